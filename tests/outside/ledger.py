"""A second implementation of the ledger, written from docs/ledger.md: who owes whom what by when, computed from
evidence alone. It is made for being read beside the document, not for speed: every moment is computed from the
beginning."""

import bisect
import hashlib
import json
import os
from dataclasses import dataclass, field

import formats
import kinds
from formats import Refused, Tree, json_once, need

NEVER = float("inf")
LAST_TIME = 253402300799  # 9999-12-31T23:59:59Z
DAY = 86400
URGENCY = ["routine", "priority", "immediate", "flash"]
MOST_OF_ONE_WRITER = 1024
AGREEMENT_SCHEMA = os.path.join(kinds.SCHEMAS, "..", "..", "ledger", "schemas", "agreement.json")


def time_text(seconds):
    if seconds is None:
        return "-"
    if seconds == NEVER:
        return "never"
    days, rest = divmod(seconds, DAY)
    # Days since 0000-03-01, in eras of 400 years.
    era, of_era = divmod(days + 719468, 146097)
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    year, month = year + era * 400 + (month >= 10), month + 3 - 12 * (month >= 10)
    return f"{year:04d}-{month:02d}-{day:02d}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}Z"


def quoted(text):
    return json.dumps(text, ensure_ascii=False)


# ---- the agreement --------------------------------------------------------------------------------------------------


def _time_of_day(text, ends):
    need(len(text) == 5 and text[2] == ":" and (text[:2] + text[3:]).isdecimal() and text.isascii(), "invalid", "time")
    hour, minute = int(text[:2]), int(text[3:])
    need(minute < 60 and (hour < 24 or (hour, minute, ends) == (24, 0, True)), "invalid", "time")
    return hour * 3600 + minute * 60


class Agreement:
    """Terms of the schema that do not contradict themselves; others are refused."""

    def __init__(self, terms):
        self.terms = json_once(terms)
        with open(AGREEMENT_SCHEMA, encoding="utf-8") as file:
            kinds.schema_check(json.load(file), self.terms)
        self._validity()
        self._deadlines()
        self._classes()
        self._threat_level()
        self._others()
        self._service_hours()

    def _validity(self):
        validity = self.terms["validity"]
        self.start, self.until = kinds.parse_time(validity["from"]), kinds.parse_time(validity["until"])
        self.extension = validity.get("extension")
        need(self.start < self.until, "invalid", "validity")
        if self.extension:
            need(self.extension["unless_declined_days_before"] * DAY < self.until - self.start, "invalid", "extension")

    def _deadlines(self):
        columns = ("acknowledge_s", "answer_s", "notification_s", "final_s")
        self.rows = {}
        for row in self.terms["deadlines"]:
            need(row["kind"] in kinds.KINDS, "invalid", "deadlines: kind")
            of_kind, urgency = self.rows.setdefault(row["kind"], {}), URGENCY.index(row["urgency"])
            need(urgency not in of_kind, "invalid", "deadlines: a row twice")
            of_kind[urgency] = row
            need(
                (row.get("answer_s") or NEVER) >= (row.get("acknowledge_s") or 0),
                "invalid",
                "answer before acknowledge",
            )
            need(
                (row.get("final_s") or NEVER) >= (row.get("notification_s") or 0),
                "invalid",
                "final before notification",
            )
            need(not row.get("notification_s") or row["kind"] == "incident.early-warning", "invalid", "notification_s")
            need(not row.get("final_s") or row["kind"].startswith("incident."), "invalid", "final_s")
            need(not row.get("in_service_hours") or self.terms.get("service_hours"), "invalid", "no service hours")
        for of_kind in self.rows.values():
            for mild in of_kind:
                for strict in of_kind:
                    by_clock = of_kind[mild].get("in_service_hours") and not of_kind[strict].get("in_service_hours")
                    if mild < strict and not by_clock:
                        for column in columns:
                            most, given = of_kind[mild].get(column), of_kind[strict].get(column)
                            need(not most or (given and given <= most), "invalid", "stricter but longer")

    def _classes(self):
        self.classes = self.terms.get("reciprocity", [])
        names = [row["class"] for row in self.classes]
        counted = [kind for row in self.classes for kind in row["kinds"]]
        need(len(set(names)) == len(names) and len(set(counted)) == len(counted), "invalid", "reciprocity")
        need(set(counted) <= set(kinds.KINDS), "invalid", "reciprocity: kind")

    def _threat_level(self):
        self.threat = self.terms.get("threat_level")
        if self.threat:
            weights = [self.threat["severity_weights"][word] for word in ("low", "medium", "high", "critical")]
            starts = [level["from"] for level in self.threat["levels"]]
            names = [level["name"] for level in self.threat["levels"]]
            need(weights == sorted(weights), "invalid", "weights")
            need(starts[0] == 0 and starts == sorted(set(starts)), "invalid", "levels")
            need(len(set(names)) == len(names), "invalid", "levels: name")

    def _others(self):
        parties, two = self.terms["parties"], self.terms.get("two_officers", [])
        need(len(set(parties)) == len(parties), "invalid", "parties")
        self.floors = {
            row["id"]: URGENCY.index(row["urgency_floor"]) for row in self.terms.get("protected_systems", [])
        }
        need(len(self.floors) == len(self.terms.get("protected_systems", [])), "invalid", "protected_systems")
        said_by_nobody = {"channel.genesis", "channel.notice", "channel.rotate", "evidence.held"}
        need(len(set(two)) == len(two) and set(two) <= set(kinds.KINDS) - said_by_nobody, "invalid", "two_officers")
        need(not any("N" in kinds.KINDS[kind] for kind in two), "invalid", "two_officers")
        self.freezes = self.terms.get("suspension", {}).get("freezes_deadlines", True)

    def _service_hours(self):
        """Of each party that has any: seconds of the week from Monday 00:00, sorted and disjoint."""
        self.hours = {}
        days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
        for party, rows in self.terms.get("service_hours", {}).items():
            need(party in self.terms["parties"], "invalid", "service_hours: party")
            spans = []
            for row in rows:
                since, until = _time_of_day(row["from"], False), _time_of_day(row["until"], True)
                need(since < until, "invalid", "service_hours")
                spans += [(days.index(day) * DAY + since, days.index(day) * DAY + until) for day in row["days"]]
            spans.sort()
            need(all(a[1] <= b[0] for a, b in zip(spans, spans[1:])), "invalid", "service_hours overlap")
            self.hours[party] = spans

    def deadlines(self, kind, urgency):
        rows = self.rows.get(kind)
        if not rows:
            return {}
        fitting = [row for row in rows if row <= urgency]
        return rows[max(fitting) if fitting else min(rows)]

    def end(self, now, declined):
        """The end as it stands at a moment; `declined` is when a decline was first seen."""
        end = self.until
        if self.extension:
            step, before = self.extension["by_days"] * DAY, self.extension["unless_declined_days_before"] * DAY
            known = min(now, declined, LAST_TIME)
            if known >= end - before:
                end += ((known - (end - before)) // step + 1) * step
        return min(end, LAST_TIME)


class NoAgreement:
    """Of terms that cannot be read: no deadlines, nothing protected, no classes, no end."""

    start, until, freezes = -NEVER, NEVER, True
    classes, threat, floors, hours = (), None, {}, {}

    def deadlines(self, kind, urgency):
        return {}

    def end(self, now, declined):
        return NEVER


def advance(start, seconds, hours, stops):
    """The earliest moment by which that many seconds that count have passed. `hours` are of a week or None; in `stops`,
    [(from, until)], nothing counts."""
    edges = sorted({edge for stop in stops for edge in stop if start < edge < NEVER})
    at = start
    while True:
        if any(since <= at < until == NEVER for since, until in stops):
            return NEVER
        next_edge = next((edge for edge in edges if edge > at), NEVER)
        if any(since <= at < until for since, until in stops):
            at = next_edge
            continue
        if hours is None:
            if at + seconds <= next_edge:
                return min(at + seconds, LAST_TIME)
            seconds, at = seconds - (next_edge - at), next_edge
            continue
        week = (at + 3 * DAY) // (7 * DAY) * 7 * DAY - 3 * DAY  # 1970-01-01 was a Thursday
        span = next(((week + since, week + until) for since, until in hours if week + until > at), None)
        since, until = span or (week + 7 * DAY + hours[0][0], week + 7 * DAY + hours[0][1])
        since = max(since, at)
        if since >= next_edge:
            at = next_edge
            continue
        if since > LAST_TIME:
            return LAST_TIME
        room = min(until, next_edge) - since
        if seconds <= room:
            return min(since + seconds, LAST_TIME)
        seconds, at = seconds - room, since + room


# ---- evidence -------------------------------------------------------------------------------------------------------


def staircase(rows):
    """Of (size, time) those that count: a receipt for more entries with an earlier or equal time makes another void."""
    kept = []
    for size, time in sorted(set(rows), key=lambda row: (row[0], -row[1])):
        while kept and kept[-1][1] >= time:
            kept.pop()
        kept.append((size, time))
    return kept


@dataclass
class Evidence:
    """Of one channel: its genesis, the entries of each member's log, receipts as (log, receiver): [(size, time)], and
    the opened bodies by (member, index)."""

    genesis: bytes
    logs: dict
    receipts: dict
    bodies: dict
    bad: frozenset = frozenset()  # messages (member, index) whose file key has shown that the body is not well-formed
    forked: frozenset = frozenset()  # members whose logs forked: nothing more of them comes
    passed: frozenset = frozenset()  # heads (member, size, root) that a key signed beyond its cutoff

    def __post_init__(self):
        fields = formats.genesis_decode(self.genesis)
        self.channel = hashlib.sha256(self.genesis).hexdigest()
        self.rules, self.terms, self.neutral = fields["rules"], fields["terms"], fields["neutral"]
        self.succeeds = fields["predecessor"] is not None
        self.members = [member["name"] for member in fields["members"]]
        self.roots = {}  # of the logs that are looked at
        self.entries = {name: [formats.entry_decode(entry) for entry in self.logs[name]] for name in self.members}
        self.times = {name: [kinds.parse_time(entry["time"]) for entry in rows] for name, rows in self.entries.items()}
        self.steps = {
            (log, receiver): staircase(
                (size, min(max(time, 0), LAST_TIME)) for size, time in self.receipts.get((log, receiver), [])
            )
            for log in self.members
            for receiver in self.members
            if log != receiver
        }

    def of_log(self, name):
        return [rows for (log, _), rows in self.steps.items() if log == name]

    def latest(self):
        """Of what has no receipt yet its writer's time counts."""
        latest = [time for rows in self.steps.values() for _, time in rows]
        for name in self.members:
            latest += self.times[name][max((size for rows in self.of_log(name) for size, _ in rows), default=0) :]
        return max([0, *latest])

    def counted(self, until):
        """How much of each log counts at a moment."""
        sizes = {}
        for name in self.members:
            steps = [row for rows in self.of_log(name) for row in rows]
            ever = max((size for size, _ in steps), default=0)
            size = min(max((size for size, time in steps if time <= until), default=0), len(self.entries[name]))
            while ever <= size < len(self.entries[name]) and self.times[name][size] <= until:
                size += 1
            sizes[name] = size
        return self.closed(sizes)

    def acked(self, ack):
        """(whose log, how many entries of it an ack counts for): of a log that forked, and of what a key signed beyond its
        cutoff, those of the history held here."""
        other, size = ack["origin"].split("/")[0], ack["size"]
        if other not in self.forked and (other, size, ack["root"]) not in self.passed:
            return other, size
        if other not in self.roots:
            tree = formats.Tree()
            for entry in self.logs[other]:
                tree.append(formats.leaf_hash(entry))
            self.roots[other] = tree.roots
        roots = self.roots[other]
        return other, size if size < len(roots) and roots[size].hex() == ack["root"] else 0

    def closed(self, sizes):
        """With everything that is acked by what counts."""
        seen = {name: 0 for name in sizes}
        while seen != sizes:
            seen = dict(sizes)
            for name, size in seen.items():
                for entry in self.entries[name][:size]:
                    for ack in entry["acks"]:
                        other, acked = self.acked(ack)
                        sizes[other] = max(sizes[other], acked)
        return sizes


class Message:
    def __init__(self, ledger, entry, data):
        self.entry = entry
        self.writer, self.index, self.kind = entry["writer"], entry["index"], entry["kind"]
        self.id = (ledger.members.index(self.writer), self.index)
        self.ref = f"{self.writer}/{self.index}"
        self.time = kinds.parse_time(entry["time"])
        self.known = self.kind in kinds.KINDS
        self.flags = kinds.KINDS.get(self.kind, frozenset())
        self.leaf = formats.leaf_hash(data)
        self.exercise = entry["exercise"]
        self.to = []
        self.fields = {}
        self.continues = None  # a message of the channel before
        self.contested = False
        self.bad = (self.writer, self.index) in ledger.evidence.bad
        if self.known and not self.bad:
            try:
                need(entry["body"] is not None, "invalid", "no body")
                body = ledger.evidence.bodies.get((self.writer, self.index))
                need(body is not None, "invalid", "it does not open")
                body = kinds.body_of(self.kind, body, len(entry["attachments"]))
                self.fields, self.continues = body["fields"], body.get("continues")
            except Refused:
                self.contested = True
        self.digest = entry["body"] and entry["body"]["digest"]
        self.outcome = self.fields.get("outcome") if self.kind == "answer.response" else None
        self.reason = None
        self.thread = None
        self.target = None  # the message that it replies to, as far as its writer knew it
        self.replies = False
        self.knows = {}

    def addressees(self, members):
        """None named is everybody; so is a stranger; and what concerns the channel as a whole is for everybody."""
        others = [name for name in members if name != self.writer]
        named = [name for name in others if name in self.entry["to"]]
        for_all = self.kind in ("channel.amendment", "channel.suspend", "channel.resume")
        for_all = for_all or (self.kind == "proposal.withdraw" and self.answers("channel.amendment"))
        return others if for_all or not named or len(named) < len(self.entry["to"]) else named

    @property
    def counts(self):
        """Not refused, and its body gives facts."""
        return self.known and not self.contested and self.reason is None

    def knew(self, other):
        return other.index < self.knows[other.writer]

    def answers(self, kind):
        return self.target is not None and self.target.kind == kind


OFFERS = ("proposal.proposal", "proposal.counter", "channel.amendment", "consultation.record")


class Amendment:
    """Terms of the channel: those of the genesis (no message), or proposed ones."""

    def __init__(self, message, parent, commitment):
        self.message, self.parent, self.commitment = message, parent, commitment
        self.depth = parent.depth + 1 if parent else 0
        self.accepts, self.rejects, self.withdrawal = {}, {}, None  # member: message
        self.declines = {}
        if message is not None:
            self.accepts[message.writer] = message

    def known_complete(self, by, members):
        return all(name in self.accepts and by.knew(self.accepts[name]) for name in members)

    def known_withdrawn(self, by):
        return self.withdrawal is not None and by.knew(self.withdrawal)

    def known_rejected(self, by):
        return any(by.knew(message) for message in self.rejects.values())


@dataclass(eq=False)
class Track:
    member: str
    state: str = "-"
    outcome: str = None
    acknowledged: bool = False
    crossed: bool = False
    stands: Message = None  # what an accept accepts
    closing: Message = None  # the accept or withdrawal that came last

    @property
    def settled(self):
        return self.state in kinds.RECALLED or self.state in kinds.CLOSED


@dataclass(eq=False)
class Duty:
    type: str
    debtor: str
    creditor: str  # None: every addressee
    message: Message
    urgency: str
    seconds: int = None
    in_hours: bool = False
    due: int = None
    carried: int = None  # when its clock started in the channel before
    start: int = None
    act: Message = None
    done: int = None
    claimed: bool = False
    contested: bool = False
    state: str = ""

    def line(self):
        words = [self.type, self.debtor, self.creditor or "*", self.message.ref, self.state.replace(" ", "-")]
        words += [self.urgency, time_text(self.start), time_text(self.due), self.act.ref if self.act else "-"]
        marks = (" claimed" if self.claimed else "") + (" contested" if self.contested else "")
        return " duty " + " ".join(words) + f" {time_text(self.done)}" + marks


@dataclass(eq=False)
class Thread:
    first: Message
    machine: kinds.Machine
    root: Message
    terms: Amendment
    messages: list = field(default_factory=list)
    tracks: dict = field(default_factory=dict)
    duties: list = field(default_factory=list)
    stops: list = field(default_factory=list)  # [debtor, asker, from, until]
    finals: set = field(default_factory=set)  # (writer, message answered)
    accepts: dict = field(default_factory=dict)  # offer: members who accepted it
    recalled: bool = False
    severity: str = None
    agreement: object = None

    @property
    def opener(self):
        return self.first.writer

    @property
    def bound(self):
        """What every party to the thread has accepted."""
        parties = {self.opener, *self.tracks}
        return next((offer for offer, by in self.accepts.items() if by | {offer.writer} >= parties), None)


class Anybody:
    """Knows so many entries of each log."""

    def __init__(self, sizes):
        self.knows = sizes

    knew = Message.knew


class Ledger:
    """The state at one moment; without `at`, over all evidence, as of the latest."""

    def __init__(self, evidence, at=None):
        self.evidence, self.members = evidence, evidence.members
        self.until = NEVER if at is None else at
        self.now = evidence.latest() if at is None else at
        self.sizes = evidence.counted(self.until)
        self.messages = {}  # by (member, index), in an order that causality allows
        self.threads = []
        self.genesis = Amendment(None, None, evidence.terms)
        self.amendments = []
        self.suspensions = {name: [] for name in self.members}  # messages that suspend and resume, in turn
        self.revocations = {name: [] for name in self.members}  # (first contested index, index of who says so)
        self.take_in()
        for message in self.messages.values():
            self.place(message)
        self.read_terms()
        self.frozen = self.find_frozen()
        for thread in self.threads:
            self.run(thread)

    # ---- evidence and knowledge -------------------------------------------------------------------------------------

    def take_in(self):
        taken = {name: 0 for name in self.members}
        knows = {name: {other: 0 for other in self.members} for name in self.members}
        moved = True
        while moved:
            moved = False
            for name in self.members:
                while taken[name] < self.sizes[name]:
                    index = taken[name]
                    entry = self.evidence.entries[name][index]
                    acks = {name: size for name, size in map(self.evidence.acked, entry["acks"]) if size}
                    if any(size > taken[other] for other, size in acks.items()):
                        break
                    message = Message(self, entry, self.evidence.logs[name][index])
                    knows[name].update(acks)
                    knows[name][name] = index
                    message.knows = dict(knows[name])
                    self.messages[name, index] = message
                    taken[name] += 1
                    moved = True

    def receipt(self, log, receiver, index):
        """When the receiver first receipted an entry of a log, as far as it counts; None when it did not."""
        steps = self.evidence.steps.get((log, receiver), [])
        at = bisect.bisect_right([size for size, _ in steps], index)
        return steps[at][1] if at < len(steps) and steps[at][1] <= self.until else None

    def receipted(self, message, by):
        """The first receipt of a message by one of these members."""
        times = [self.receipt(message.writer, name, message.index) for name in by if name != message.writer]
        return min((time for time in times if time is not None), default=None)

    def first_evidence(self, message):
        return self.receipted(message, self.members)

    def said_at(self, message):
        """Its first evidence, but not before its own time; None without evidence."""
        first = self.first_evidence(message)
        return None if first is None else max(first, message.time)

    # ---- what a writer knew -----------------------------------------------------------------------------------------

    def place(self, message):
        reply = self.refusal_of_reply(message)
        message.to = message.addressees(self.members)
        message.replies = message.target is not None and reply in (None, "own-message")
        message.reason = self.refusal(message, reply)
        if not self.join(message):
            message.replies = False
            message.reason = message.reason or "thread-full"
        nowhere = message.thread is None and message.replies and message.kind not in kinds.EVERYWHERE
        if nowhere and message.known:
            message.reason = message.reason or "not-in-this-state"
        if message.counts:
            self.follow(message)

    def refusal_of_reply(self, message):
        entry = message.entry
        if entry["reply_to"] is None:
            if "r" in message.flags:
                return "no-thread"
            return "thread-mismatch" if entry["thread"] is not None else None
        party, index = kinds.reference(entry["reply_to"])
        own = party == message.writer
        if party not in self.members or (own and index >= message.index):
            return "reply-to-nothing"
        if index >= message.knows[party]:
            return "reply-unseen"
        target = self.messages[party, index]
        root = target.thread.root if target.thread else target
        message.target = target
        if entry["thread"] != root.ref:
            return "thread-mismatch"
        return "own-message" if own and "r" in message.flags and "o" not in message.flags else None

    def refusal(self, message, reply):
        """The first that applies, of what its writer knew."""
        if message.bad:
            return "proven-bad"
        if any(name == message.writer or name not in self.members for name in message.entry["to"]):
            return "to-stranger"
        if not message.known:
            return reply
        if "N" in message.flags:
            return "by-neutral"
        if "n" in message.flags and self.evidence.neutral is None:
            return "no-neutral"
        if message.exercise and message.kind in ("channel.amendment", "channel.suspend", "channel.review"):
            return "exercise"
        if self.knows_suspended(message):
            return "suspended"
        if reply or message.contested:
            return reply
        return self.refusal_of_side(message) or self.refusal_of_content(message) or self.refusal_of_terms(message)

    def knows_suspended(self, message):
        if message.kind == "channel.suspend":
            return self.suspension(message.writer, message) is not None
        return "s" not in message.flags and any(self.suspension(name, message) for name in self.members)

    def suspension(self, member, by):
        """A member's suspend message that holds, as far as somebody knew."""
        known = [message for message in self.suspensions[member] if by.knew(message)]
        return known[-1] if len(known) % 2 else None

    def refusal_of_side(self, message):
        target = message.target
        if target is None:
            return None
        if message.exercise and not (target.thread.first if target.thread else target).exercise:
            return "exercise"
        own = target.writer == message.writer
        if message.kind.startswith("correction."):
            if not own:
                return "wrong-side"
            return None if set(target.to) & set(message.to) else "not-addressed"
        if message.kind == "channel.resume" and target is not self.suspension(message.writer, message):
            return "not-in-this-state" if own else "wrong-side"
        if "a" in message.flags and not own and message.writer not in target.to:
            return "not-addressed"
        return None

    def refusal_of_content(self, message):
        target, fields = message.target, message.fields
        if message.kind == "contact.check" and message.answers("contact.check") and "nonce" in target.fields:
            return None if fields.get("echo") == target.fields["nonce"] else "other-nonce"
        if message.kind == "proposal.accept" and target.kind in OFFERS and fields["digest"] != target.digest:
            return "other-digest"
        return None

    # ---- suspensions and terms, as writers knew them ----------------------------------------------------------------

    def in_force(self, by):
        """The terms in force for what somebody knew: of those complete and not withdrawn, what stands on most."""
        known = [a for a in self.amendments if a.known_complete(by, self.members) and not a.known_withdrawn(by)]
        return max(known, key=lambda amendment: amendment.depth, default=self.genesis)

    def amendment_of(self, message):
        return next((amendment for amendment in self.amendments if amendment.message is message), None)

    def refusal_of_terms(self, message):
        proposes = message.kind == "channel.amendment"
        amendment = self.amendment_of(message.target) if message.kind == "proposal.accept" else None
        if not proposes and amendment is None:
            return None
        current = self.in_force(message)
        if proposes:
            before, was = current, set()
            while before is not None:
                was.add(before.commitment)
                before = before.parent
            if message.fields["replaces"] != current.commitment or kinds.commitment(message.fields) in was:
                return "terms"
        elif amendment.parent is not current:
            return "terms"
        for other in self.amendments:
            if other is not amendment and other.parent is current and message.writer in other.accepts:
                if not other.known_withdrawn(message) and not other.known_rejected(message):
                    return "second-amendment"
        return None

    def follow(self, message):
        """What a message that its writer's knowledge does not forbid changes for the channel."""
        rows = self.suspensions[message.writer]
        if message.kind == ("channel.resume" if len(rows) % 2 else "channel.suspend"):
            rows.append(message)
        if message.kind == "channel.rotate" and message.fields.get("contested_from") is not None:
            self.revocations[message.writer].append((message.fields["contested_from"], message.index))
        if message.kind == "channel.review" and message.fields["purpose"] == "decline-extension":
            self.in_force(message).declines.setdefault(message.writer, message)
        if message.kind == "channel.amendment":
            self.amendments.append(Amendment(message, self.in_force(message), kinds.commitment(message.fields)))
        amendment = self.amendment_of(message.target) if message.target else None
        if amendment is None:
            return
        said = message.writer in amendment.accepts or message.writer in amendment.rejects
        if (
            message.kind in ("proposal.accept", "proposal.reject")
            and not said
            and not amendment.known_withdrawn(message)
        ):
            (amendment.accepts if message.kind == "proposal.accept" else amendment.rejects)[message.writer] = message
        elif message.kind == "proposal.withdraw" and message.writer == amendment.message.writer:
            if amendment.withdrawal is None and not amendment.known_complete(message, self.members):
                amendment.withdrawal = message

    # ---- threads ----------------------------------------------------------------------------------------------------

    def join(self, message):
        """Put a message into its thread, if it has one; False when that is full."""
        above = message.target.thread if message.target else None
        thread = above if message.replies and self.joins(message, above) else None
        if thread is not None:
            if sum(other.writer == message.writer for other in thread.messages) >= MOST_OF_ONE_WRITER:
                return False
        elif self.begins(message):
            machine = kinds.MACHINE_OF[message.kind] if message.known else kinds.MACHINES[0]
            root = above.root if message.replies and above else message.target if message.replies else message
            thread = Thread(message, machine, root, self.in_force(message))
            self.threads.append(thread)
        if thread is not None:
            message.thread = thread
            thread.messages.append(message)
        return True

    def joins(self, message, thread):
        if thread is None:
            return False
        everywhere = not message.known or "r" in message.flags or message.kind in kinds.EVERYWHERE
        return everywhere or message.kind not in kinds.MACHINE_OF or message.kind in thread.machine.takes

    def begins(self, message):
        if message.entry["reply_to"] is not None and not message.replies:
            return False
        return not message.known or ("r" not in message.flags and message.kind in kinds.MACHINE_OF)

    def ordered(self, messages):
        """After what each writer knew; then earlier first evidence; then the smaller leaf hash."""
        left = {name: [m for m in messages if m.writer == name] for name in self.members}

        def rank(name):
            evidence = self.first_evidence(left[name][0])
            return NEVER if evidence is None else evidence, left[name][0].leaf

        while any(left.values()):
            heads = [name for name in self.members if left[name]]  # each writer's own come in their order
            ready = [a for a in heads if not any(a != b and left[a][0].knew(left[b][0]) for b in heads)]
            yield left[min(ready, key=rank)].pop(0)

    def run(self, thread):
        first = thread.first
        thread.agreement = self.terms_of(thread)
        thread.messages = list(self.ordered(thread.messages))
        for member in first.to:
            state = thread.machine.begins.get(first.kind, "said") if first.reason is None else "-"
            thread.tracks[member] = Track(member, state, stands=first if first.kind in OFFERS else None)
        for message in thread.messages:
            if message is not first and message.counts:
                message.reason = self.judge(thread, message)
            if message.counts:
                self.take(thread, message)
        for duty in thread.duties:
            self.settle(thread, duty)

    def judge(self, thread, message):
        """Move the tracks; gives the reason when there is no way."""
        side = kinds.OPENER if message.writer == thread.opener else kinds.ADDRESSEE
        other = side == kinds.ADDRESSEE and message.writer not in thread.tracks
        if message.kind in kinds.EVERYWHERE:
            if message.kind == "answer.status" and other:
                return "not-addressed"
            if not other and thread.first.reason is None:
                self.move_tracks(thread, message, side)
            return None
        if message.kind == "answer.response" and (message.writer, message.target) in thread.finals:
            return "second-answer"
        recall = message if message.kind == "correction.recall" else message.target
        if recall.kind == "correction.recall" and message.kind in ("correction.recall", "answer.response"):
            if recall.target is not thread.first:
                return None
        if thread.first.reason is not None:
            return "not-in-this-state"
        return "not-addressed" if other else self.move_tracks(thread, message, side)

    def move_tracks(self, thread, message, side):
        if side == kinds.ADDRESSEE:
            moved = [thread.tracks[message.writer]]
        elif message.target.writer != message.writer:
            moved = [track for track in thread.tracks.values() if track.member == message.target.writer]
        else:
            moved = [track for track in thread.tracks.values() if track.member in message.to]
        reasons, ways = [], []
        for track in moved:
            reason, way = self.move_track(thread, track, message, side)
            reasons.append(reason)
            ways += [way] if way else []
        if ways and ways[-1][1]:
            self.move_others(
                thread, message, [track for track in thread.tracks.values() if track not in moved], ways[-1][0]
            )
        return None if None in reasons else (reasons or ["not-in-this-state"])[-1]

    def move_track(self, thread, track, message, side):
        """(reason or None, the way it went)."""
        if self.crosses(track, message, side):
            track.state, track.crossed = "withdrawn", True
            thread.accepts.clear()
            return None, None
        way = self.way(thread, track, message, side)
        reason = self.why_not(thread, track, message) if way is None else self.misfit(track, message)
        if reason:
            return reason, None
        if message.kind == "proposal.accept":
            thread.accepts.setdefault(message.target, set()).add(message.writer)
        self.move(track, way[0], message)
        return None, way

    def way(self, thread, track, message, side):
        state = track.state
        if state == "binding" and message.kind == "consultation.record" and not thread.bound:
            state = "recorded"
        return thread.machine.step(state, message.kind, message.outcome, side)

    def move_others(self, thread, message, tracks, to):
        bound = thread.bound
        for track in tracks:
            way = self.way(thread, track, message, kinds.EITHER)
            if way is None and track.state == "binding" and not bound:
                way = (to, True)
            if way:
                self.move(track, way[0], message)

    def crosses(self, track, message, side):
        """An accept and a withdrawal that did not know of each other."""
        if track.closing is None or message.knew(track.closing):
            return False
        if message.kind == "proposal.withdraw":
            return track.state == "accepted" and side == kinds.OPENER
        return message.kind == "proposal.accept" and track.state == "withdrawn" and message.target.kind in OFFERS

    def why_not(self, thread, track, message):
        if track.state == "-":
            return "not-in-this-state"
        if self.way_of_anybody(thread, track, message):
            return "wrong-side"
        if message.kind == "answer.response" and (track.outcome or track.state in kinds.CLOSED):
            return "second-answer"
        return "not-in-this-state"

    @staticmethod
    def way_of_anybody(thread, track, message):
        return thread.machine.step(track.state, message.kind, message.outcome, kinds.EITHER)

    @staticmethod
    def misfit(track, message):
        """Why what a message answers is not what it must answer here."""
        target = message.target
        if message.kind == "proposal.accept":
            return None if target is track.stands else "other-digest"
        if message.kind == "proposal.reject":
            return None if target is track.stands else "not-in-this-state"
        if message.kind == "proposal.withdraw":
            own = target.writer == message.writer and target.kind in (*OFFERS, "commitment.pledge")
            return None if own else "not-in-this-state"
        if message.kind == "answer.response":
            return None if (target.kind == "correction.recall") == (track.state == "recalled") else "not-in-this-state"
        return None

    @staticmethod
    def move(track, state, message):
        track.state = state
        if message.kind in OFFERS:
            track.stands = message
        if message.kind in ("proposal.accept", "proposal.withdraw"):
            track.closing = message

    def take(self, thread, message):
        """What an allowed message brings with it."""
        if message.writer == thread.opener:
            severity = message.fields.get("severity")
            thread.severity = severity if severity in ("low", "medium", "high", "critical") else thread.severity
        track, target = thread.tracks.get(message.writer), message.target
        if message is not thread.first and track and target.writer == thread.opener and "a" in message.flags:
            track.acknowledged = True
            if message.kind == "answer.response" and target.kind != "correction.recall":
                track.outcome = message.outcome
        if message.kind == "correction.recall" and target is thread.first:
            thread.recalled = True
        if message.outcome not in (None, "postponed", "needs-clarification"):
            thread.finals.add((message.writer, target))
        self.act(thread, message)
        if message.outcome == "needs-clarification":
            thread.stops.append([message.writer, target.writer, self.act_time(message, [target.writer])[0], NEVER])
        if message.kind == "answer.status" and message.fields["state"] == "clarification":
            self.clarify(thread, message)
        self.bring_about(thread, message)

    def evidence_of(self, thread):
        """Items by which the claim of a thread is supported."""
        claim = thread.first
        items = []
        for item in self.messages.values():
            if item.kind != "evidence.item" or not item.counts or item.writer != claim.writer:
                continue
            named = (item.knew(claim) and claim.ref in item.fields.get("supports", [])[:16]) or (
                claim.counts and claim.knew(item) and item.ref in claim.fields.get("evidence", [])[:16]
            )
            named = named and item.exercise == claim.exercise
            if (named or item.thread is thread) and not self.was_recalled(item):
                items.append(item)
        return sorted(items, key=lambda item: item.id)

    def was_recalled(self, item):
        recalls = (m for m in self.messages.values() if m.kind == "correction.recall" and m.target is item)
        return any(m.counts for m in recalls)

    # ---- terms ------------------------------------------------------------------------------------------------------

    def read_terms(self):
        self.agreements = {}  # by amendment
        for amendment in [self.genesis, *self.amendments]:
            messages = [amendment.message] if amendment.message else [
                self.messages[name, 0] for name in self.members if (name, 0) in self.messages]  # fmt: skip
            self.agreements[amendment] = NoAgreement()
            for message in messages:
                if not message.contested and kinds.commitment(message.fields) == amendment.commitment:
                    try:
                        self.agreements[amendment] = Agreement(formats.unb64(message.fields["terms"]))
                    except Refused:
                        pass
        self.terms = self.in_force(Anybody(self.sizes))
        self.agreement = self.agreements[self.terms]

    def declined(self, terms):
        times = [self.said_at(message) for message in terms.declines.values()]
        return min((time for time in times if time is not None), default=NEVER)

    def terms_of(self, thread):
        """The agreement under which a thread began; none when it began outside its validity."""
        agreement, began = self.agreements[thread.terms], self.said_at(thread.first)
        if began is None or agreement.start <= began < agreement.end(began, self.declined(thread.terms)):
            return agreement
        return NoAgreement()

    def find_frozen(self):
        """When the channel was suspended by anyone: spans that may overlap."""
        spans = []
        for rows in self.suspensions.values():
            for at in range(0, len(rows), 2):
                since, until = self.said_at(rows[at]), None
                if at + 1 < len(rows):
                    until = self.said_at(rows[at + 1])
                if since is not None:
                    spans.append((since, NEVER if until is None else until))
        return [span for span in spans if span[0] < span[1]]

    # ---- duties -----------------------------------------------------------------------------------------------------

    @staticmethod
    def urgency(message, agreement):
        named = message.fields.get("protected_systems", [])
        named = list(named.values()) if isinstance(named, dict) else named if isinstance(named, list) else []
        named = [name for name in named if isinstance(name, str) and name][:8]
        own = URGENCY.index(message.entry["urgency"] or "routine")
        return max([own] + [agreement.floors[name] for name in named if name in agreement.floors])

    def bring_about(self, thread, message):
        if message.kind == "contact.check" and message.target is not None:
            return
        urgency = self.urgency(message, thread.agreement)
        row, word = thread.agreement.deadlines(message.kind, urgency), URGENCY[urgency]
        in_hours = row.get("in_service_hours", False)
        asks = kinds.asks(message.kind, message.entry["reply_to"]) and not message.kind.startswith("incident.")
        if message is thread.first or message.kind not in kinds.EVERYWHERE:
            asks = asks or bool(row.get("answer_s"))
        debtors = message.to
        if message.kind == "proposal.counter":
            debtors = [name for name in debtors if name == message.target.writer]
        for member in debtors:
            if self.carry_over(thread, message, member, row, word):
                continue
            duty = Duty("acknowledge", member, message.writer, message, word, row.get("acknowledge_s"), in_hours)
            if duty.seconds:
                thread.duties.append(duty)
            if asks:
                duty = Duty("answer", member, message.writer, message, word, row.get("answer_s"), in_hours)
                if not duty.seconds and message.kind == "contact.check":
                    duty.due = self.date(message, "reply_by")
                thread.duties.append(duty)
        if self.carry_over(thread, message, message.writer, row, word):
            return
        if message.kind == "incident.early-warning" and row.get("notification_s"):
            thread.duties.append(
                Duty("notification", message.writer, None, message, word, row["notification_s"], in_hours)
            )
        if message.kind != "incident.final" and row.get("final_s"):
            thread.duties.append(Duty("final", message.writer, None, message, word, row["final_s"], in_hours))

    def carry_over(self, thread, message, debtor, row, word):
        """What the debtor's own first entry says of what this message continues; false when it says nothing."""
        first = self.messages.get((debtor, 0))
        if not self.evidence.succeeds or first is None or first.contested or first.kind != "channel.genesis":
            return False
        if not message.continues or message.continues.split("/")[0] != message.writer:
            return False
        columns = {"acknowledge": "acknowledge_s", "notification": "notification_s", "final": "final_s"}
        rows = [
            carried
            for carried in first.fields.get("carried", [])
            if carried["debtor"] == debtor and carried["message"] == message.continues
        ]
        for carried in rows:
            own = carried["duty"] in ("notification", "final")
            if own != (debtor == message.writer):
                continue
            duty = Duty(carried["duty"], debtor, None if own else message.writer, message, word)
            duty.carried, duty.due = self.second(carried.get("started")), self.second(carried.get("due"))
            if duty.carried is None:
                duty.seconds = row.get(columns.get(duty.type, "answer_s"))
                duty.in_hours = row.get("in_service_hours", False)
            thread.duties.append(duty)
        return bool(rows)

    @classmethod
    def date(cls, message, name):
        """A date in a body, to the second; dates before 1970 are none."""
        return cls.second(message.fields.get(name))

    @staticmethod
    def second(text):
        seconds = kinds.parse_time(text[:19] + "Z") if text else 0
        return seconds if seconds > 0 else None

    def act(self, thread, message):
        for duty in list(thread.duties):
            if duty.act is None and duty.debtor == message.writer and self.does(duty, message):
                duty.act = message
                if duty.type in ("answer", "follow-up") and message.outcome == "postponed":
                    later = Duty("follow-up", duty.debtor, duty.creditor, duty.message, duty.urgency)
                    later.due = self.date(message, "until")
                    thread.duties.append(later)

    @staticmethod
    def does(duty, act):
        if duty.type == "notification":
            return act.kind in ("incident.notification", "incident.final")
        if duty.type == "final":
            return act.kind == "incident.final"
        target = act.target
        if target is None or target.writer != duty.message.writer or target.index < duty.message.index:
            return False
        full = act.outcome not in (None, "needs-clarification") or act.kind in (
            "contact.check", "proposal.accept", "proposal.reject", "proposal.counter", "attribution.denial",
            "commitment.match", "consultation.agenda", "consultation.record", "exchange.core",
            "exchange.abort")  # fmt: skip
        if duty.type == "acknowledge":
            return full or "a" in act.flags
        recalls = "correction.recall" in (target.kind, duty.message.kind)
        return full and (target is duty.message or not recalls)

    def not_before(self, act):
        """The later of its own time and the receipts that its writer had given for what he knew."""
        times = [
            self.receipt(name, act.writer, size - 1) for name, size in act.knows.items() if name != act.writer and size
        ]
        return max([act.time] + [time for time in times if time is not None])

    def act_time(self, act, creditors):
        """(when it is done, whether that is claimed); what the creditors have not receipted is done when it may be."""
        receipt, claimed = self.receipted(act, creditors), self.not_before(act)
        return (claimed, True) if receipt is None or claimed < receipt else (receipt, False)

    def clarify(self, thread, message):
        target = message.target
        to = [target.writer] if target.writer != message.writer else message.to
        for stop in thread.stops:
            if stop[3] == NEVER and stop[1] == message.writer and stop[0] in to:
                until = self.receipted(message, [stop[0]])
                if until is not None:
                    stop[3] = max(until, stop[2])

    def is_contested(self, message):
        """Whether a revoked key may have signed it, as its own log tells."""
        rows = self.revocations[message.writer] if message else []
        return any(first <= message.index < told for first, told in rows)

    def settle(self, thread, duty):
        message, agreement = duty.message, thread.agreement
        duty.contested = self.is_contested(message) or self.is_contested(duty.act)
        duty.start = self.receipted(message, [duty.debtor] if duty.creditor else message.to)
        if not duty.creditor and duty.start is not None:
            duty.start = max(duty.start, message.time)
        if duty.carried is not None:
            duty.start = duty.carried
        stops = [stop for stop in thread.stops if duty.type == "answer" and stop[:2] == [duty.debtor, duty.creditor]]
        frozen = self.frozen if agreement.freezes else []
        if duty.due is None and duty.seconds and duty.start is not None:
            hours = agreement.hours.get(duty.debtor) if duty.in_hours else None
            spans = frozen + [(since, until) for _, _, since, until in stops if since < until]
            duty.due = advance(duty.start, duty.seconds, hours, spans)
        if duty.act:
            creditors = [duty.creditor] if duty.creditor else self.members
            if self.receipted(duty.act, creditors) is None:
                duty.state = "answered, not receipted"
                return
            duty.done, duty.claimed = self.act_time(duty.act, creditors)
            duty.state = "done late" if duty.due is not None and duty.done > duty.due else "done"
        elif self.ended(thread, duty):
            duty.state = "ended"
        elif duty.start is None:
            duty.state = "sent, not receipted"
        elif duty.due is not None and duty.due < self.now:
            duty.state = "overdue"
        elif any(stop[3] == NEVER for stop in stops):
            duty.state = "stopped"
        elif duty.seconds and any(since <= self.now < until for since, until in frozen):
            duty.state = "frozen"
        else:
            duty.state = "open"

    @staticmethod
    def ended(thread, duty):
        if duty.message.kind == "correction.recall":
            return False
        track = thread.tracks.get(duty.debtor) or thread.tracks.get(duty.creditor)
        tracks = [track] if track else thread.tracks.values()
        states = kinds.RECALLED if thread.machine.name == "incident" else (*kinds.RECALLED, *kinds.CLOSED)
        return all(track.state in states for track in tracks)

    # ---- sums -------------------------------------------------------------------------------------------------------

    def balances(self):
        lines = []
        for row in self.agreement.classes:
            names = (
                "asked",
                "acknowledged",
                "answered",
                "in time",
                "granted",
                "refused",
                "overdue",
                "given",
                "received",
            )
            sums = {(a, b): dict.fromkeys(names, 0) for a in self.members for b in self.members if a != b}
            for thread in self.threads:
                if thread.first.kind in row["kinds"] and thread.first.known and not thread.first.exercise:
                    self.count(sums, thread)
            for (a, b), sum_ in sums.items():
                most = row["hold_back_at_balance"]
                may = "may-hold-back" if most and sum_["given"] >= sum_["received"] + most else "-"
                lines.append(
                    f"balance {quoted(row['class'])} {a} {b} " + " ".join(str(sum_[name]) for name in names) + f" {may}"
                )
        return lines

    def count(self, sums, thread):
        for track in thread.tracks.values():
            mine, back = sums[thread.opener, track.member], sums[track.member, thread.opener]
            if track.state == "-":
                continue
            if thread.machine.name in ("request", "consultation", "proposal", "amendment", "check"):
                granted = track.outcome in ("granted", "partial") or track.state == "accepted"
                self.count_asked(mine, thread, track)
                mine["granted"] += granted
                mine["received"] += granted
                back["given"] += granted
            elif not thread.recalled and self.first_evidence(thread.first) is not None:
                mine["given"] += 1
                back["received"] += 1

    @staticmethod
    def count_asked(sum_, thread, track):
        duties = [duty for duty in thread.duties if duty.debtor == track.member]
        for duty in duties:
            if duty.type == "answer" and duty.message is thread.first:
                sum_["asked"] += duty.start is not None
                sum_["answered"] += duty.act is not None
                sum_["in time"] += duty.state == "done"
        sum_["acknowledged"] += track.acknowledged
        sum_["refused"] += track.outcome in ("refused", "impossible") or track.state == "rejected"
        sum_["overdue"] += any(duty.state == "overdue" for duty in duties)

    def threat(self):
        if not self.agreement.threat:
            return "threat 0 -"
        total = 0
        for thread in self.threads:
            seen = self.first_evidence(thread.first)
            if thread.machine.name != "incident" or thread.first.exercise or thread.recalled or seen is None:
                continue
            if self.now - seen <= self.agreement.threat["window_s"]:
                total += self.agreement.threat["severity_weights"].get(thread.severity, 0)
        level = [row["name"] for row in self.agreement.threat["levels"] if row["from"] <= total][-1]
        return f"threat {total} {quoted(level)}"

    # ---- lines ------------------------------------------------------------------------------------------------------

    def heading(self, what):
        return [f"entente ledger {what} v1", f"channel {self.evidence.channel}", f"rules {self.evidence.rules}"]

    def evidence_lines(self):
        lines = self.heading("evidence")
        for name in self.members:
            size, tree = self.sizes[name], Tree()
            for entry in self.evidence.logs[name][:size]:
                tree.append(formats.leaf_hash(entry))
            lines.append(f"log {name} {size} {tree.roots[size].hex()}")
            for receiver in self.members:
                steps = self.evidence.steps.get((name, receiver), [])
                for of, time in staircase((min(of, size), time) for of, time in steps if time <= self.until):
                    lines.append(f"receipt {name} {receiver} {of} {time_text(time)}")
            of_log = [self.messages[name, index] for index in range(size)]
            lines += [f"{'bad' if message.bad else 'unread'} {message.ref}" for message in of_log if message.contested or message.bad]
        return lines

    def agreement_line(self):
        if isinstance(self.agreement, NoAgreement):
            return f"agreement {self.terms.commitment} unreadable -"
        end = self.agreement.end(self.now, self.declined(self.terms))
        word = "in-force" if self.agreement.start <= self.now < end else "not-in-force"
        return f"agreement {self.terms.commitment} {word} {time_text(end)}"

    @staticmethod
    def amendment_line(amendment):
        thread = amendment.message.thread
        words = [track.state for track in thread.tracks.values() if track.state in ("withdrawn", "rejected")]
        word = "accepted" if thread.bound else (words or ["proposed"])[-1]
        return f"amendment {amendment.message.ref} {amendment.parent.commitment} {amendment.commitment} {word}"

    def state_lines(self):
        lines = self.heading("state") + [f"at {time_text(self.now)}", self.agreement_line()]
        lines += [self.amendment_line(a) for a in sorted(self.amendments, key=lambda a: a.message.id)]
        for rows in self.suspensions.values():
            if len(rows) % 2:
                since = self.first_evidence(rows[-1])
                lines.append(f"suspended {rows[-1].ref} {time_text(rows[-1].time if since is None else since)}")
        for thread in sorted(self.threads, key=lambda thread: thread.first.id):
            lines += self.thread_lines(thread)
        return lines + self.balances() + [self.threat()]

    def thread_lines(self, thread):
        first = thread.first
        kind = first.kind if first.known else "unknown"
        lines = [f"thread {first.ref} {kind} {thread.terms.commitment}" + (" exercise" if first.exercise else "")]
        for track in thread.tracks.values():
            outcome = f" {track.outcome}" if track.outcome else ""
            state = "record-accepted" if track.state == "binding" and not thread.bound else track.state
            lines.append(f" track {track.member} {state}{outcome}" + (" crossed" if track.crossed else ""))
        lines += [f" refused {message.ref} {message.reason}" for message in thread.messages if message.reason]
        lines += [duty.line() for duty in thread.duties]
        if thread.bound:
            lines.append(f" bound {thread.bound.ref} {thread.bound.digest}")
        if first.kind == "attribution.claim":
            items = self.evidence_of(thread)
            lines.append(" ".join([" supported" if items else " unsupported"] + [item.ref for item in items]))
        return lines

    def lines(self, what):
        lines = self.state_lines() if what == "state" else self.evidence_lines()
        return "".join(line + "\n" for line in lines).encode()

    def digest(self, what):
        return hashlib.sha256(self.lines(what)).hexdigest()
