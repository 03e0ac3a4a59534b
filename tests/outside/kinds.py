"""The kinds of message as tables, the machines of threads, and what makes an opened body valid: written from
docs/kinds.md and docs/ledger.md. The schemas are data of the project; what reads them here is a second reader."""

import datetime
import hashlib
import json
import os
import re

import formats
from formats import Refused, json_once, need

SCHEMAS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "message", "schemas")

# ---- kinds ----------------------------------------------------------------------------------------------------------

# name: flags. a = is an answer, w = wants an answer, r = must reply, o = may answer the writer's own message,
# t = needs text, s = passes while suspended, n = needs a neutral, N = only the neutral says it
KINDS = {
    name: frozenset(flags)
    for name, flags in (
        line.split(" ") if " " in line else (line, "")
        for line in """\
answer.acknowledgement ars
answer.response arts
answer.status ros
attribution.claim t
attribution.denial art
channel.amendment w
channel.consent ros
channel.escalation o
channel.genesis
channel.notice rs
channel.override ros
channel.resume ros
channel.reveal ros
channel.review
channel.rotate s
channel.suspend ts
commitment.breach-claim ro
commitment.fulfilment ro
commitment.match ar
commitment.pledge w
consultation.agenda o
consultation.record wrot
contact.check aws
contact.nomination s
correction.correction rots
correction.recall wrots
evidence.held s
evidence.item o
exchange.abort aron
exchange.core aron
exchange.held ron
exchange.manifest ron
exchange.offer won
feed.indicators
incident.early-warning wot
incident.final ots
incident.notification wot
incident.update rot
neutral.abort nN
neutral.close nN
neutral.deposit nN
neutral.expired nN
neutral.handover nN
neutral.lapsed nN
neutral.match nN
neutral.open nN
neutral.reject nN
neutral.release nN
neutral.withdraw nN
proposal.accept ar
proposal.counter awrt
proposal.proposal wt
proposal.reject ar
proposal.withdraw ro
request.assistance wt
request.consultation wt
request.information wt
request.preservation wt
request.surrender wt
request.takedown wt""".splitlines()
    )
}

# Every thread takes these in every state.
EVERYWHERE = frozenset(
    "evidence.item evidence.held correction.correction channel.notice channel.consent channel.override channel.reveal "
    "channel.escalation answer.acknowledgement answer.status".split()
)

CLOSED = frozenset(
    "granted partial refused impossible answered final accepted rejected withdrawn binding denied fulfilled aborted "
    "resumed recall-confirmed recall-refused".split()
)
RECALLED = ("recalled", "recall-confirmed", "recall-refused")

# ---- machines -------------------------------------------------------------------------------------------------------

OPENER, ADDRESSEE, EITHER = 1, 2, 3
_RECALL_ANSWERS = """
recalled answer.response=granted A recall-confirmed
recalled answer.response=partial,refused,impossible A recall-refused
recalled answer.response=postponed,needs-clarification A recalled"""

# "from kind[=outcome…] side to[ *]"; `from` is a list, "-" begins, "*" at the end moves every addressee's track.
_MACHINES = {
    "statement": """
- contact.nomination,feed.indicators,evidence.held,channel.genesis O said
- channel.rotate,channel.escalation,channel.review O said
said answer.response A answered
said,answered correction.recall O recalled"""
    + _RECALL_ANSWERS,
    "check": """
- contact.check O asked
asked contact.check A answered""",
    "incident": """
- incident.early-warning O warned
- incident.notification O notified
- incident.final O final
warned incident.update O warned
notified incident.update O notified
warned incident.notification O notified
warned,notified incident.final O final
warned answer.response A warned
notified answer.response A notified
final answer.response A final
warned,notified,final correction.recall O recalled"""
    + _RECALL_ANSWERS,
    "request": """
- request.information,request.preservation,request.takedown,request.assistance,request.surrender O asked
asked answer.acknowledgement A acknowledged
asked,acknowledged,clarifying,postponed answer.response=granted A granted
asked,acknowledged,clarifying,postponed answer.response=partial A partial
asked,acknowledged,clarifying,postponed answer.response=refused A refused
asked,acknowledged,clarifying,postponed answer.response=impossible A impossible
asked,acknowledged,clarifying,postponed answer.response=postponed A postponed
asked,acknowledged,clarifying,postponed answer.response=needs-clarification A clarifying
asked,acknowledged,clarifying,postponed,granted,partial correction.recall O recalled"""
    + _RECALL_ANSWERS,
    "consultation": """
- request.consultation O asked
- consultation.agenda O agenda
asked answer.acknowledgement A acknowledged
asked,acknowledged,clarifying,postponed answer.response=granted,partial A agreed
asked,acknowledged,clarifying,postponed answer.response=refused A refused
asked,acknowledged,clarifying,postponed answer.response=impossible A impossible
asked,acknowledged,clarifying,postponed answer.response=postponed A postponed
asked,acknowledged,clarifying,postponed answer.response=needs-clarification A clarifying
agreed,agenda consultation.agenda E agenda *
agenda answer.response E agenda
agreed,agenda,recorded consultation.record E recorded *
recorded proposal.accept E binding
recorded proposal.reject E agenda *
asked,acknowledged,clarifying,postponed,agreed,agenda correction.recall O recalled"""
    + _RECALL_ANSWERS,
    "proposal": """
- proposal.proposal O proposed
proposed proposal.counter A countered
proposed proposal.accept A accepted
proposed proposal.reject A rejected
proposed proposal.withdraw O withdrawn
countered proposal.counter O proposed
countered proposal.accept O accepted
countered proposal.reject O rejected
countered proposal.withdraw O withdrawn""",
    "amendment": """
- channel.amendment O proposed
proposed proposal.accept A accepted
proposed proposal.reject A rejected
proposed proposal.withdraw O withdrawn""",
    "attribution": """
- attribution.claim O claimed
claimed attribution.denial A denied
claimed answer.response A answered
claimed,denied,answered correction.recall O recalled"""
    + _RECALL_ANSWERS,
    "evidence": """
- evidence.item O handed-over
handed-over answer.response A handed-over
handed-over correction.recall O recalled"""
    + _RECALL_ANSWERS,
    "commitment": """
- commitment.pledge O pledged
pledged commitment.match A matched
pledged proposal.withdraw O withdrawn
pledged answer.response=refused A refused
pledged answer.response=impossible A impossible
pledged answer.response=postponed,needs-clarification A pledged
matched commitment.fulfilment O opener-fulfilled
matched commitment.fulfilment A other-fulfilled
opener-fulfilled commitment.fulfilment A fulfilled
other-fulfilled commitment.fulfilment O fulfilled
matched,opener-fulfilled,other-fulfilled commitment.breach-claim E breach-claimed
breach-claimed commitment.fulfilment,answer.response E breach-claimed""",
    "exchange": """
- exchange.offer O offered
offered,core exchange.core E core
core,manifest exchange.manifest E manifest
manifest,held exchange.held E held
offered,core,manifest,held exchange.abort E aborted""",
    "suspension": """
- channel.suspend O suspended
suspended channel.resume O resumed""",
}


class Machine:
    def __init__(self, name, table):
        self.name = name
        self.begins = {}  # kind: state
        self.takes = set()  # kinds of the other arrows
        self.arrows = []  # (from, kind, outcome or None, side, to, every track)
        for line in table.strip().splitlines():
            states, what, side, to, *every = line.split(" ")
            kinds, _, outcomes = what.partition("=")
            for kind in kinds.split(","):
                if states == "-":
                    self.begins[kind] = to
                    continue
                self.takes.add(kind)
                for state in states.split(","):
                    for outcome in outcomes.split(",") if outcomes else [None]:
                        self.arrows.append((state, kind, outcome, {"O": 1, "A": 2, "E": 3}[side], to, bool(every)))

    def step(self, state, kind, outcome, side):
        """(state, whether every track moves) after a message, or None."""
        for at, takes, of, by, to, every in self.arrows:
            if (at, takes) == (state, kind) and by & side and of in (None, outcome):
                return to, every
        return None


MACHINES = [Machine(name, table) for name, table in _MACHINES.items()]
MACHINE_OF = {kind: machine for machine in MACHINES for kind in machine.begins}


def asks(kind, replies):
    """Whether a message of this kind waits for an answer: what both answers and asks and may stand alone (a check)
    asks only when it stands alone."""
    flags = KINDS[kind]
    return "w" in flags and not ("a" in flags and "r" not in flags and replies)


# ---- bodies ---------------------------------------------------------------------------------------------------------


def parse_time(text):
    """Unix seconds of YYYY-MM-DDThh:mm:ssZ, years 0000 to 9999, no leap seconds."""
    need(isinstance(text, str) and formats.TIME.match(text) and text.isascii(), "malformed", "time")
    year, rest = int(text[:4]), text[4:]
    shifted = year + 400 if year == 0 else year  # datetime knows no year 0; the calendar repeats after 400
    try:
        moment = datetime.datetime.strptime(f"{shifted:04d}{rest}", "%Y-%m-%dT%H:%M:%SZ")
    except ValueError as error:
        raise Refused("malformed", f"time: {error}") from error
    need(int(text[17:19]) < 60, "malformed", "time: leap second")
    seconds = int(moment.replace(tzinfo=datetime.timezone.utc).timestamp())
    return seconds - (146097 * 86400 if year == 0 else 0)


def is_time(text):
    try:
        parse_time(text)
    except Refused:
        return False
    return True


def _is_date_time(text):
    match = re.fullmatch(r"(.{19})(\.[0-9]{1,9})?Z", text)
    return bool(match) and is_time(match[1] + "Z")


def _is_base64(text):
    try:
        formats.unb64(text)
    except Refused:
        return False
    return True


def _is_party(text):
    return bool(formats.NAME.match(text)) and "." in text and len(text) <= 64 and all(
        len(label) <= 63 for label in text.split("."))  # fmt: skip


def reference(text):
    """(party, index) of party/index, or None."""
    party, _, index = text.partition("/")
    if _is_party(party) and re.fullmatch(r"0|[1-9][0-9]{0,15}", index) and int(index) <= formats.MAX_INTEGER:
        return party, int(index)
    return None


FORMATS = {
    "date-time": _is_date_time,
    "date": lambda text: bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII)) and is_time(text + "T00:00:00Z"),
    "language": lambda text: len(text) <= 35 and bool(re.fullmatch(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", text)),
    "party": _is_party,
    "message": lambda text: reference(text) is not None,
    "sha256": lambda text: bool(re.fullmatch(r"[0-9a-f]{64}", text)),
    "hex": lambda text: bool(re.fullmatch(r"([0-9a-f]{2})*", text)),
    "base64": _is_base64,
    "uri": lambda text: bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*:.", text)),
    "email": lambda text: bool(re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", text)),
    "recipient": lambda text: text.startswith("age1"),
    "stix-id": lambda text: bool(
        re.fullmatch(r"[a-z0-9-]{3,250}--[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", text)
    ),
    "media-type": lambda text: bool(re.fullmatch(r"[!-~]+/[!-~]+", text)),
}
TYPES = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def schema_check(schema, value, path=""):
    """The subset of JSON Schema 2020-12 that the project's schemas use. Lengths count code points."""
    types = schema.get("type")
    if types is not None:
        types = [types] if isinstance(types, str) else types
        need(any(TYPES[name](value) for name in types), "invalid", f"{path}: type")
    need("enum" not in schema or value in schema["enum"], "invalid", f"{path}: enum")
    need("const" not in schema or value == schema["const"], "invalid", f"{path}: const")
    if isinstance(value, str):
        need(
            schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)),
            "invalid",
            f"{path}: length",
        )
        need("format" not in schema or FORMATS[schema["format"]](value), "invalid", f"{path}: {schema.get('format')}")
    elif TYPES["number"](value):
        need(schema.get("minimum", value) <= value <= schema.get("maximum", value), "invalid", f"{path}: range")
    elif isinstance(value, list):
        need(schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)), "invalid", f"{path}: items")
        need(not schema.get("uniqueItems") or len({json.dumps(item) for item in value}) == len(value), "invalid", path)
        for at, item in enumerate(value):
            schema_check(schema.get("items", {}), item, f"{path}[{at}]")
    elif isinstance(value, dict):
        for name in schema.get("required", []):
            need(name in value, "invalid", f"{path}.{name}: required")
        for name, item in value.items():
            schema_check(schema.get("propertyNames", {}), name, f"{path}: name")
            more = schema.get("additionalProperties", {})
            rule = schema.get("properties", {}).get(name, more)
            need(rule is not False, "invalid", f"{path}.{name}: not allowed")
            schema_check({} if rule is True else rule, item, f"{path}.{name}")


_schemas = {}


def schema_of(name):
    if name not in _schemas:
        with open(os.path.join(SCHEMAS, f"{name}.json"), encoding="utf-8") as file:
            _schemas[name] = json.load(file)
    return _schemas[name]


def _period(row, first="from", last="until"):
    if first in row and last in row:
        need(row[first][:19] <= row[last][:19], "invalid", f"{last} before {first}")


def _digest_of(fields, name):
    if "terms" in fields:
        need(hashlib.sha256(formats.unb64(fields["terms"])).hexdigest() == fields[name], "invalid", name)


def _two(rows, name, other):
    need(rows[0][name] < rows[1][name] and rows[0][other] != rows[1][other], "invalid", "two parties")


def commitment(fields):
    """SHA-256 of salt and terms."""
    return hashlib.sha256(bytes.fromhex(fields["salt"]) + formats.unb64(fields["terms"])).hexdigest()


def _further(kind, body):
    """What a kind asks of its fields and no schema can say."""
    fields = body["fields"]
    if kind == "answer.response":
        need(fields["outcome"] == "granted" or "reasons" in fields, "invalid", "reasons")
        need(fields["outcome"] != "postponed" or "until" in fields, "invalid", "until")
    elif kind == "answer.status":
        need(fields["state"] != "clarification" or "note" in fields or body.get("text"), "invalid", "note")
    elif kind == "contact.check":
        need(("nonce" in fields) == ("reply_by" in fields), "invalid", "nonce and reply_by")
        need("nonce" in fields or "echo" in fields, "invalid", "nonce or echo")
        need("scheduled" not in fields or "nonce" in fields, "invalid", "scheduled")
        need("answered_by" not in fields or "echo" in fields, "invalid", "answered_by")
    elif kind == "contact.nomination":
        need(all("phone" in contact or "email" in contact for contact in fields["contacts"]), "invalid", "contact")
        _period(fields)
    elif kind == "channel.amendment":
        need(fields["replaces"] != commitment(fields), "invalid", "replaces itself")
    elif kind == "commitment.pledge":
        _digest_of(fields, "terms_digest")
    elif kind == "commitment.match":
        _digest_of(fields, "match_digest")
    elif kind == "exchange.core":
        _two(fields["sides"], "party", "recipient")
        _two(fields["sides"], "party", "nonce")
    elif kind == "exchange.held":
        need(fields["manifests"][0] < fields["manifests"][1], "invalid", "manifests")
    elif kind == "feed.indicators":
        need("stix" in body, "invalid", "stix")
    elif kind == "incident.final":
        need(fields["cross_border"] != "yes" or "cross_border_impact" in fields, "invalid", "cross_border_impact")
        _period(fields, "start_time", "end_time")
    elif kind == "request.information":
        _period(fields)
    elif kind == "request.preservation":
        for row in fields["data"]:
            _period(row)
    elif kind == "request.surrender":
        need(fields["purpose"] != "sentence" or "judgment" in fields, "invalid", "judgment")


def _depth(value):
    if isinstance(value, (dict, list)):
        return 1 + max(map(_depth, value.values() if isinstance(value, dict) else value), default=0)
    return 0


def body_of(kind, data, attachments):
    """An opened body of a known kind; refuses what is not valid."""
    try:
        body = json_once(data)
    except (RecursionError, UnicodeDecodeError) as error:
        raise Refused("malformed", f"JSON: {error}") from error
    need(_depth(body) <= 32, "malformed", "JSON: too deep")
    schema_check(schema_of("envelope"), body)
    text, authentic = body.get("text") or {}, body.get("authentic") or ""
    need(text or "t" not in KINDS[kind], "invalid", "text")
    need(bool(text) == bool(authentic), "invalid", "authentic")
    need(not text or authentic in text, "invalid", "authentic")
    files = body.get("files") or []
    names = [row["name"] for row in files]
    need(len(files) == attachments and len(set(names)) == len(names), "invalid", "files")
    need(not any(name in (".", "..") or re.search(r"[\x00-\x1f\x7f/\\]", name) for name in names), "invalid", "files")
    schema_check(schema_of(kind), body["fields"], "fields")
    _further(kind, body)
    return body


def body_fields(kind, data, attachments):
    return body_of(kind, data, attachments)["fields"]
