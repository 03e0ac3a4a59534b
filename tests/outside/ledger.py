"""A second implementation of the ledger, written from docs/ledger.md: who owes whom what by when, computed from evidence
alone. It is made for being read beside the document, not for speed: every moment is computed from the beginning."""

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
            need((row.get("answer_s") or NEVER) >= (row.get("acknowledge_s") or 0), "invalid", "answer before acknowledge")
            need((row.get("final_s") or NEVER) >= (row.get("notification_s") or 0), "invalid", "final before notification")
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
        self.floors = {row["id"]: URGENCY.index(row["urgency_floor"]) for row in self.terms.get("protected_systems", [])}
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
    """Of one channel: its genesis, the entries of each member's log, receipts as (log, receiver): [(size, time)], and the
    opened bodies by (member, index)."""

    genesis: bytes
    logs: dict
    receipts: dict
    bodies: dict

    def __post_init__(self):
        fields = formats.genesis_decode(self.genesis)
        self.channel = hashlib.sha256(self.genesis).hexdigest()
        self.rules, self.terms, self.neutral = fields["rules"], fields["terms"], fields["neutral"]
        self.members = [member["name"] for member in fields["members"]]
        self.entries = {name: [formats.entry_decode(entry) for entry in self.logs[name]] for name in self.members}
        self.steps = {
            (log, receiver): staircase(self.receipts.get((log, receiver), []))
            for log in self.members
            for receiver in self.members
            if log != receiver
        }

    def latest(self):
        return max((time for steps in self.steps.values() for _, time in steps), default=None)

    def counted(self, until):
        """How much of each log counts, by evidence up to a time."""
        sizes = {}
        for name, entries in self.entries.items():
            of_log = [rows for (log, _), rows in self.steps.items() if log == name]
            evidenced = max((size for rows in of_log for size, time in rows if time <= until), default=0)
            ever = max((size for rows in of_log for size, _ in rows), default=0)
            size = min(evidenced, len(entries))
            while size < len(entries) and size >= ever and kinds.parse_time(entries[size]["time"]) <= until:
                size += 1
            sizes[name] = size
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
        self.to = [name for name in ledger.members if name in entry["to"]] if entry["to"] else [
            name for name in ledger.members if name != self.writer]  # fmt: skip
        self.fields = {}
        self.contested = False
        if self.known:
            try:
                need(entry["body"] is not None, "invalid", "no body")
                body = ledger.evidence.bodies.get((self.writer, self.index))
                need(body is not None, "invalid", "it does not open")
                self.fields = kinds.body_fields(self.kind, body, len(entry["attachments"]))
            except Refused:
                self.contested = True
        self.digest = entry["body"] and entry["body"]["digest"]
        self.outcome = self.fields.get("outcome") if self.kind == "answer.response" else None
        self.reason = None
        self.thread = None
        self.answers = None  # the message that it replies to
        self.knows = {}

    @property
    def moves(self):
        return self.known and not self.contested and self.reason is None

    def knew(self, other):
        return other.index < self.knows[other.writer]


@dataclass
class Track:
    member: str
    state: str = "-"
    outcome: str = None
    crossed: bool = False
    stands: Message = None  # what an accept accepts
    accepted: Message = None  # the accept


@dataclass
class Duty:
    type: str
    debtor: str
    creditors: list
    message: Message
    urgency: str
    thread: object
    due_s: int = None
    due_at: int = None
    act: Message = None
    start: int = None
    due: int = None
    done: int = None
    claimed: bool = False
    state: str = ""
    to_all: bool = False

    def line(self):
        creditor = "*" if self.to_all else self.creditors[0]
        act = self.act.ref if self.act else "-"
        words = [self.type, self.debtor, creditor, self.message.ref, self.state.replace(" ", "-"), self.urgency]
        words += [time_text(self.start), time_text(self.due), act, time_text(self.done)]
        return " duty " + " ".join(words) + (" claimed" if self.claimed else "")


@dataclass
class Thread:
    first: Message
    machine: kinds.Machine
    commitment: str
    messages: list = field(default_factory=list)
    tracks: dict = field(default_factory=dict)
    duties: list = field(default_factory=list)
    counts: dict = field(default_factory=dict)

    @property
    def opener(self):
        return self.first.writer


class Ledger:
    """The state at one moment; without `at`, over all evidence, as of the latest."""

    def __init__(self, evidence, at=None):
        self.evidence, self.members = evidence, evidence.members
        latest = evidence.latest()
        self.until = NEVER if at is None else at
        self.now = at if at is not None else (latest if latest is not None else 0)
        self.sizes = evidence.counted(self.until)
        self.messages = {}
        self.order = []
        self.threads = []
        self.amendments = []
        self.take_in()
        self.place()
        for thread in self.threads:
            self.run(thread)
        self.find_terms()
        self.find_stops()
        for thread in self.threads:
            self.owe(thread)

    # ---- evidence and knowledge -------------------------------------------------------------------------------------

    def take_in(self):
        """Messages in an order that causality allows."""
        taken = {name: 0 for name in self.members}
        knows = {name: {other: 0 for other in self.members} for name in self.members}
        moved = True
        while moved:
            moved = False
            for name in self.members:
                while taken[name] < self.sizes[name]:
                    entry = self.evidence.entries[name][taken[name]]
                    acks = {ack["origin"].split("/")[0]: ack["size"] for ack in entry["acks"]}
                    if any(size > taken[other] for other, size in acks.items()):
                        break
                    message = Message(self, entry, self.evidence.logs[name][taken[name]])
                    knows[name].update(acks)
                    knows[name][name] = taken[name]
                    message.knows = dict(knows[name])
                    self.messages[name, taken[name]] = message
                    self.order.append(message)
                    taken[name] += 1
                    moved = True

    def receipt(self, log, receiver, index):
        """When the receiver first receipted an entry of a log, as far as it counts; None when it did not."""
        steps = self.evidence.steps.get((log, receiver), [])
        at = bisect.bisect_right([size for size, _ in steps], index)
        return steps[at][1] if at < len(steps) and steps[at][1] <= self.until else None

    def first_evidence(self, message):
        times = [self.receipt(message.writer, other, message.index) for other in self.members if other != message.writer]
        return min((time for time in times if time is not None), default=None)

    def known_by(self, message):
        """What a message's writer knew, in the order of taking in."""
        return [other for other in self.order if message.knew(other)]

    # ---- what a writer knew -----------------------------------------------------------------------------------------

    def place(self):
        for message in self.order:
            reply = message.entry["reply_to"]
            target = kinds.reference(reply) if reply else None
            answered = self.messages.get(target) if target else None
            message.answers = answered if answered is not None and message.knew(answered) else None
            if message.known:
                message.reason = self.refusal(message, target)
            self.join(message)
            if message.known and message.reason is None and not message.contested and message.kind == "channel.amendment":
                self.amendments.append(message)

    def join(self, message):
        answered = message.answers
        if answered is not None and self.joins(message, answered.thread):
            message.thread = answered.thread
        else:
            machine = kinds.MACHINE_OF.get(message.kind)
            message.thread = Thread(message, machine, self.in_force(message))
            self.threads.append(message.thread)
        message.thread.messages.append(message)
        count = message.thread.counts.get(message.writer, 0) + 1
        message.thread.counts[message.writer] = count
        if count > MOST_OF_ONE_WRITER and message.known and message.reason is None:
            message.reason = "thread-full"

    def joins(self, message, thread):
        if not message.known or "r" in message.flags or message.kind in kinds.EVERYWHERE:
            return True
        return thread.machine is not None and message.kind in thread.machine.takes

    def refusal(self, message, target):
        entry, flags, answered = message.entry, message.flags, message.answers
        if any(name == message.writer or name not in self.members for name in entry["to"]):
            return "to-stranger"
        if "N" in flags:
            return "by-neutral"
        if "n" in flags and self.evidence.neutral is None:
            return "no-neutral"
        if "s" not in flags and any(self.suspended(name, message) for name in self.members):
            return "suspended"
        if target is None:
            if "r" in flags:
                return "no-thread"
            if entry["thread"] is not None:
                return "thread-mismatch"
        else:
            if target[0] not in self.members or (target[0] == message.writer and answered is None):
                return "reply-to-nothing"
            if answered is None:
                return "reply-unseen"
            if entry["thread"] != (answered.entry["thread"] or answered.ref):
                return "thread-mismatch"
            if "r" in flags and "o" not in flags and answered.writer == message.writer:
                return "own-message"
        if message.contested:
            return None
        return self.refusal_by_fields(message)

    def refusal_by_fields(self, message):
        kind, fields, answered = message.kind, message.fields, message.answers
        if kind == "correction.recall" and answered.writer != message.writer:
            return "wrong-side"
        if kind == "contact.check" and answered is not None and answered.kind == kind:
            if fields.get("echo") != answered.fields.get("nonce"):
                return "other-nonce"
        if kind == "proposal.accept":
            if fields["digest"] != answered.digest:
                return "other-digest"
            if answered.kind == "channel.amendment" and self.stands_by_another(message, answered):
                return "second-amendment"
        if kind == "channel.amendment":
            if fields["replaces"] != self.in_force(message):
                return "terms"
            if self.stands_by_another(message, message):
                return "second-amendment"
        return None

    def suspended(self, member, by):
        """Whether a member was suspended, as far as the writer of a message knew."""
        state = None
        for message in self.known_by(by):
            if message.writer == member and message.moves:
                if message.kind == "channel.suspend":
                    state = message
                elif message.kind == "channel.resume":
                    state = None
        return state is not None

    # ---- amendments -------------------------------------------------------------------------------------------------

    def standing(self, amendment, known):
        """(members who stand by it, whether it was withdrawn or rejected), among known messages."""
        by, gone = {amendment.writer}, False
        for message in known:
            if message.answers is amendment and message.moves:
                if message.kind == "proposal.accept" and message.writer in amendment.to:
                    by.add(message.writer)
                elif message.kind == "proposal.reject":
                    gone = True
                elif message.kind == "proposal.withdraw" and message.writer == amendment.writer:
                    if not self.complete(amendment, self.known_by(message)):
                        gone = True
        return by, gone

    def complete(self, amendment, known):
        by, gone = self.standing(amendment, known)
        return not gone and by == set(self.members)

    def in_force(self, message=None):
        """The commitment of the terms in force for a message, or now."""
        known = self.order if message is None else self.known_by(message)
        terms, seen = self.evidence.terms, set()
        while terms not in seen:
            seen.add(terms)
            for amendment in self.amendments:
                if amendment in known and amendment.fields["replaces"] == terms and self.complete(amendment, known):
                    terms = kinds.commitment(amendment.fields)
                    break
        return terms

    def stands_by_another(self, message, amendment):
        known = self.known_by(message)
        for other in self.amendments:
            if other is not amendment and other in known and other.fields["replaces"] == amendment.fields["replaces"]:
                by, gone = self.standing(other, known)
                if message.writer in by and not gone:
                    return True
        return False

    # ---- threads ----------------------------------------------------------------------------------------------------

    def ordered(self, messages):
        """After what each writer knew; then earlier first evidence; then the smaller leaf hash."""
        left = list(messages)
        while left:
            ready = [m for m in left if not any(other is not m and m.knew(other) for other in left)]
            evidence = [(self.first_evidence(m), m) for m in ready]
            _, _, message = min(
                ((NEVER if time is None else time, m.leaf, m) for time, m in evidence), key=lambda row: row[:2]
            )
            left.remove(message)
            yield message

    def run(self, thread):
        thread.ordered = list(self.ordered(thread.messages))
        for member in thread.first.to:
            thread.tracks[member] = Track(member)
        finals = set()
        for message in thread.ordered:
            if not message.moves:
                continue
            if message is thread.first:
                for track in thread.tracks.values():
                    track.state = thread.machine.begins[message.kind]
                    track.stands = message
                continue
            message.reason = self.step(thread, message, finals)

    def step(self, thread, message, finals):
        """Move the tracks; gives the reason when there is no way."""
        side = kinds.OPENER if message.writer == thread.opener else kinds.ADDRESSEE
        passes = message.kind in kinds.EVERYWHERE
        if side == kinds.ADDRESSEE and message.writer not in thread.tracks:
            return None if passes else "not-addressed"
        if message.kind == "answer.response" and (message.writer, message.answers.ref) in finals:
            return "second-answer"
        if message.kind == "correction.recall" and message.answers is not thread.first:
            return None
        tracks = self.moved_by(thread, message, side)
        ways = [(track, self.way(thread, track, message, side)) for track in tracks]
        ways = [(track, way) for track, way in ways if way]
        if not ways:
            if passes:
                return None
            others = [thread.machine and thread.machine.step(t.state, message.kind, message.outcome, 3 - side) for t in tracks]
            return "wrong-side" if any(others) else "not-in-this-state"
        if message.kind == "proposal.accept" and not any(track.stands is message.answers for track, _ in ways):
            return "other-digest"
        if message.kind == "answer.response" and message.outcome not in ("postponed", "needs-clarification"):
            finals.add((message.writer, message.answers.ref))
        for track, (state, every) in ways:
            for moved in thread.tracks.values() if every else [track]:
                self.move(moved, state, message)
        return None

    def moved_by(self, thread, message, side):
        if side == kinds.ADDRESSEE:
            return [thread.tracks[message.writer]]
        if message.answers.writer != thread.opener:
            return [track for track in thread.tracks.values() if track.member == message.answers.writer]
        return [track for track in thread.tracks.values() if track.member in message.to]

    def way(self, thread, track, message, side):
        machine = thread.machine
        if machine is None:
            return None
        if message.kind == "proposal.withdraw" and side == kinds.OPENER and track.state == "accepted":
            if machine.name == "amendment":
                if not self.complete(thread.first, self.known_by(message)):
                    track.crossed = not message.knew(track.accepted)
                    return "withdrawn", False
            elif not message.knew(track.accepted) and not track.accepted.knew(message):
                track.crossed = True
                return "withdrawn", False
        if message.kind == "proposal.accept" and track.state == "withdrawn":
            withdrawal = track.withdrawn
            if not withdrawal.knew(message) and not message.knew(withdrawal):
                track.crossed = True
        return machine.step(track.state, message.kind, message.outcome, side)

    def move(self, track, state, message):
        track.state = state
        if message.kind in ("proposal.counter", "consultation.record"):
            track.stands = message
        elif message.kind == "proposal.accept":
            track.accepted = message
        elif message.kind == "proposal.withdraw":
            track.withdrawn = message
        elif message.kind == "answer.response":
            track.outcome = message.outcome

    def bound(self, thread):
        """What every party to the thread has accepted."""
        tracks = list(thread.tracks.values())
        if not tracks or any(track.state not in ("accepted", "binding") for track in tracks):
            return None
        standing = {track.stands.ref: track.stands for track in tracks}
        return standing.popitem()[1] if len(standing) == 1 else None

    def evidence_of(self, thread):
        """Items by which the claim of a thread is supported."""
        claim = thread.first
        items = []
        for item in self.order:
            if item.kind != "evidence.item" or not item.moves or item.writer != claim.writer:
                continue
            named = claim.ref in item.fields.get("supports", []) or item.ref in claim.fields.get("evidence", [])
            if not (named or item.thread is thread):
                continue
            if not any(m.kind == "correction.recall" and m.moves and m.answers is item for m in self.order):
                items.append(item)
        return sorted(items, key=lambda item: item.id)

    # ---- terms ------------------------------------------------------------------------------------------------------

    def find_terms(self):
        self.agreements = {}
        for message in self.order:
            if message.kind in ("channel.genesis", "channel.amendment") and message.moves:
                commitment = kinds.commitment(message.fields)
                if commitment not in self.agreements:
                    try:
                        self.agreements[commitment] = Agreement(formats.unb64(message.fields["terms"]))
                    except Refused:
                        self.agreements[commitment] = NoAgreement()
        self.current = self.in_force()
        self.agreement = self.agreements.get(self.current) or NoAgreement()
        seen = [
            self.first_evidence(message)
            for message in self.order
            if message.kind == "channel.review" and message.moves and message.fields["purpose"] == "decline-extension"
        ]
        self.declined = min((time for time in seen if time is not None), default=NEVER)

    def terms_of(self, thread, began):
        agreement = self.agreements.get(thread.commitment) or NoAgreement()
        if agreement.start <= began < agreement.end(began, self.declined):
            return agreement
        return NoAgreement()

    def find_stops(self):
        """When the channel was suspended by anyone."""
        self.suspensions = []  # (member's suspend message, since, until)
        for name in self.members:
            since = None
            for message in self.order:
                if message.writer != name or not message.moves:
                    continue
                if message.kind == "channel.suspend" and since is None:
                    since = message
                elif message.kind == "channel.resume" and since is not None:
                    self.suspensions.append((since, self.first_evidence(since), self.first_evidence(message)))
                    since = None
            if since is not None:
                self.suspensions.append((since, self.first_evidence(since), NEVER))

    # ---- duties -----------------------------------------------------------------------------------------------------

    def urgency(self, message, agreement):
        named = message.fields.get("protected_systems", [])
        own = URGENCY.index(message.entry["urgency"] or "routine")
        return max([own] + [agreement.floors[name] for name in named if name in agreement.floors])

    def owe(self, thread):
        for message in thread.messages:
            if not message.moves:
                continue
            began = self.first_evidence(thread.first)
            agreement = self.terms_of(thread, thread.first.time if began is None else began)
            urgency = self.urgency(message, agreement)
            row = agreement.deadlines(message.kind, urgency)
            word = URGENCY[urgency]
            hours = agreement.hours if row.get("in_service_hours") else {}
            for member in message.to:
                if row.get("acknowledge_s"):
                    duty = Duty("acknowledge", member, [message.writer], message, word, thread, row["acknowledge_s"])
                    self.settle(duty, agreement, hours)
                if row.get("answer_s") or kinds.asks(message.kind, message.entry["reply_to"]):
                    duty = Duty("answer", member, [message.writer], message, word, thread, row.get("answer_s"))
                    self.settle(duty, agreement, hours)
            if message.outcome == "postponed":
                until = kinds.parse_time(message.fields["until"][:19] + "Z")
                debtor, creditor = message.writer, message.answers.writer
                duty = Duty("follow-up", debtor, [creditor], message, word, thread, due_at=until)
                self.settle(duty, agreement, {})
            if message.kind == "incident.early-warning" and row.get("notification_s"):
                duty = Duty("notification", message.writer, message.to, message, word, thread, row["notification_s"])
                duty.to_all = True
                self.settle(duty, agreement, hours)
            if message.kind in ("incident.early-warning", "incident.notification") and row.get("final_s"):
                duty = Duty("final", message.writer, message.to, message, word, thread, row["final_s"])
                duty.to_all = True
                self.settle(duty, agreement, hours)
        order = ("acknowledge", "answer", "follow-up", "notification", "final")
        thread.duties.sort(key=lambda d: (d.message.id, order.index(d.type), self.members.index(d.debtor)))

    def does(self, duty, act):
        if act.writer != duty.debtor or not act.moves or act.answers is None:
            return False
        answers, message = act.answers, duty.message
        if duty.type == "acknowledge":
            later = answers.writer == message.writer and answers.index >= message.index
            return "a" in act.flags and later
        if duty.type == "answer":
            if answers is not message:
                return False
            if act.kind == "answer.response":
                return act.outcome != "needs-clarification"
            return act.kind in (
                "proposal.accept", "proposal.reject", "proposal.counter", "attribution.denial", "commitment.match",
                "consultation.agenda", "consultation.record", "contact.check")  # fmt: skip
        if duty.type == "follow-up":
            return act.kind == "answer.response" and act.index > message.index and answers is message.answers
        if act.index < message.index:
            return False
        return act.kind == "incident.final" or (duty.type == "notification" and act.kind == "incident.notification")

    def settle(self, duty, agreement, hours):
        message = duty.message
        duty.thread.duties.append(duty)
        if duty.debtor == message.writer:
            starts = [self.receipt(message.writer, member, message.index) for member in duty.creditors]
        else:
            starts = [self.receipt(message.writer, duty.debtor, message.index)]
        duty.start = min((time for time in starts if time is not None), default=None)
        stops = self.stops_of(duty, agreement)
        if duty.start is not None:
            if duty.due_at is not None:
                duty.due = duty.due_at
            elif duty.due_s:
                duty.due = advance(duty.start, duty.due_s, hours.get(duty.debtor), stops)
        duty.act = next((act for act in duty.thread.messages if self.does(duty, act)), None)
        if duty.act:
            self.date_act(duty)
        duty.state = self.state_of(duty, agreement)

    def date_act(self, duty):
        act = duty.act
        receipts = [self.receipt(act.writer, member, act.index) for member in duty.creditors]
        duty.done = min((time for time in receipts if time is not None), default=None)
        bounds = [act.time]
        for name, size in act.knows.items():
            if name != act.writer and size > 0:
                bounds.append(self.receipt(name, act.writer, size - 1))
        if None not in bounds and (duty.done is None or max(bounds) < duty.done):
            duty.done, duty.claimed = max(bounds), True

    def clarifying(self, duty):
        """From each needs-clarification to the asker's clarification."""
        spans, since = [], None
        for message in duty.thread.ordered:
            if not message.moves:
                continue
            if message.outcome == "needs-clarification" and message.writer == duty.debtor:
                if message.answers is duty.message and since is None:
                    since = self.first_evidence(message)
            elif message.kind == "answer.status" and message.fields["state"] == "clarification":
                if message.writer == duty.message.writer and since is not None:
                    until = self.first_evidence(message)
                    spans.append((since, NEVER if until is None else until))
                    since = None
        if since is not None:
            spans.append((since, NEVER))
        return spans

    def stops_of(self, duty, agreement):
        spans = []
        if agreement.freezes:
            spans += [(since, NEVER if until is None else until) for _, since, until in self.suspensions if since is not None]
        if duty.type == "answer":
            spans += self.clarifying(duty)
        return [span for span in spans if span[0] < span[1]]

    def state_of(self, duty, agreement):
        if duty.act:
            if self.first_evidence(duty.act) is None:
                return "answered, not receipted"
            late = duty.due is not None and duty.done is not None and duty.done > duty.due
            return "done late" if late else "done"
        if self.ended(duty):
            return "ended"
        if duty.start is None:
            return "sent, not receipted"
        if duty.due is not None and duty.due < self.now:
            return "overdue"
        if duty.type == "answer" and any(since <= self.now < until for since, until in self.clarifying(duty)):
            return "stopped"
        if agreement.freezes and any(
            since is not None and since <= self.now < (NEVER if until is None else until)
            for _, since, until in self.suspensions
        ):
            return "frozen"
        return "open"

    def ended(self, duty):
        thread = duty.thread
        if duty.debtor in thread.tracks:
            tracks = [thread.tracks[duty.debtor]]
        elif duty.to_all:
            tracks = list(thread.tracks.values())
        else:
            tracks = [track for track in thread.tracks.values() if track.member in duty.creditors]
        recalled = duty.message.kind != "correction.recall"
        return bool(tracks) and all(t.state in kinds.CLOSED or (recalled and t.state == "recalled") for t in tracks)

    # ---- sums -------------------------------------------------------------------------------------------------------

    def balances(self):
        rows = []
        for row in self.agreement.classes:
            counts = {(a, b): dict.fromkeys(("asked", "acknowledged", "answered", "in_time", "granted", "refused",
                      "overdue", "told"), 0) for a in self.members for b in self.members if a != b}  # fmt: skip
            for message in self.order:
                if message.moves and not message.exercise and message.kind in row["kinds"]:
                    self.count(counts, message)
            for a in self.members:
                for b in self.members:
                    if a == b:
                        continue
                    c, back = counts[a, b], counts[b, a]
                    given, received = back["granted"] + c["told"], c["granted"] + back["told"]
                    most = row["hold_back_at_balance"]
                    may = "may-hold-back" if most and given >= received + most else "-"
                    numbers = [c[k] for k in ("asked", "acknowledged", "answered", "in_time", "granted", "refused", "overdue")]
                    words = [quoted(row["class"]), a, b, *numbers, given, received, may]
                    rows.append("balance " + " ".join(map(str, words)))
        return rows

    def count(self, counts, message):
        for member in message.to:
            c = counts[message.writer, member]
            if self.receipt(message.writer, member, message.index) is None:
                continue
            if not message.kind.startswith("request."):
                c["told"] += message.kind.startswith(("incident.", "evidence."))
                continue
            c["asked"] += 1
            acts = [m for m in message.thread.messages if m.moves and m.writer == member and m.answers is message]
            c["acknowledged"] += any("a" in m.flags for m in acts)
            for duty in message.thread.duties:
                if duty.type == "answer" and duty.message is message and duty.debtor == member:
                    c["answered"] += duty.state in ("done", "done late")
                    c["in_time"] += duty.state == "done"
                    c["overdue"] += duty.state == "overdue"
            outcomes = [m.outcome for m in acts if m.outcome not in (None, "postponed", "needs-clarification")]
            if outcomes:
                c["granted"] += outcomes[-1] in ("granted", "partial")
                c["refused"] += outcomes[-1] in ("refused", "impossible")

    def threat(self):
        if not self.agreement.threat:
            return "threat 0 -"
        total = 0
        for thread in self.threads:
            if thread.machine is None or thread.machine.name != "incident" or not thread.first.moves:
                continue
            seen = self.first_evidence(thread.first)
            if thread.first.exercise or seen is None or not self.now - self.agreement.threat["window_s"] <= seen <= self.now:
                continue
            if thread.tracks and all(track.state in kinds.RECALLED for track in thread.tracks.values()):
                continue
            severity = None
            for message in thread.ordered:
                if message.moves and message.writer == thread.opener and message.kind.startswith("incident."):
                    severity = message.fields.get("severity", severity)
            total += self.agreement.threat["severity_weights"].get(severity, 0)
        level = [row["name"] for row in self.agreement.threat["levels"] if row["from"] <= total][-1]
        return f"threat {total} {quoted(level)}"

    # ---- lines ------------------------------------------------------------------------------------------------------

    def evidence_lines(self):
        lines = ["entente ledger evidence v1", f"channel {self.evidence.channel}", f"rules {self.evidence.rules}"]
        for name in self.members:
            size, tree = self.sizes[name], Tree()
            for entry in self.evidence.logs[name][:size]:
                tree.append(formats.leaf_hash(entry))
            lines.append(f"log {name} {size} {tree.roots[size].hex()}")
            for receiver in self.members:
                rows = [(min(of, size), time) for of, time in self.evidence.steps.get((name, receiver), []) if time <= self.until]
                for of, time in staircase([row for row in rows if row[0] > 0]):
                    lines.append(f"receipt {name} {receiver} {of} {time_text(time)}")
        lines += [f"unread {m.ref}" for m in self.in_order() if m.contested]
        return lines

    def in_order(self):
        return sorted(self.messages.values(), key=lambda message: message.id)

    def agreement_line(self):
        agreement = self.agreement
        if isinstance(agreement, NoAgreement):
            return f"agreement {self.current} unreadable -"
        end = agreement.end(self.now, self.declined)
        word = "in-force" if agreement.start <= self.now < end else "not-in-force"
        return f"agreement {self.current} {word} {time_text(end)}"

    def amendment_state(self, amendment):
        if self.complete(amendment, self.order):
            return "accepted"
        words = {track.state for track in amendment.thread.tracks.values()}
        return next((word for word in ("withdrawn", "rejected") if word in words), "proposed")

    def state_lines(self):
        lines = ["entente ledger state v1", f"channel {self.evidence.channel}", f"rules {self.evidence.rules}"]
        lines += [f"at {time_text(self.now)}", self.agreement_line()]
        for message in self.in_order():
            if message in self.amendments and message.moves:
                replaces, new = message.fields["replaces"], kinds.commitment(message.fields)
                lines.append(f"amendment {message.ref} {replaces} {new} {self.amendment_state(message)}")
        for message, since, until in self.suspensions:
            if until == NEVER:
                lines.append(f"suspended {message.ref} {time_text(since)}")
        for thread in sorted(self.threads, key=lambda thread: thread.first.id):
            lines += self.thread_lines(thread)
        return lines + self.balances() + [self.threat()]

    def thread_lines(self, thread):
        first = thread.first
        kind = first.kind if first.known else "unknown"
        lines = [f"thread {first.ref} {kind} {thread.commitment}" + (" exercise" if first.exercise else "")]
        for track in thread.tracks.values():
            outcome = f" {track.outcome}" if track.outcome else ""
            lines.append(f" track {track.member} {track.state}{outcome}" + (" crossed" if track.crossed else ""))
        messages = sorted(thread.messages, key=lambda message: message.id)
        lines += [f" refused {m.ref} {m.reason}" for m in messages if m.reason]
        lines += [duty.line() for duty in thread.duties]
        bound = self.bound(thread)
        if bound:
            lines.append(f" bound {bound.ref} {bound.digest}")
        if first.kind == "attribution.claim" and first.moves:
            items = self.evidence_of(thread)
            lines.append(" ".join([" supported" if items else " unsupported"] + [item.ref for item in items]))
        return lines

    def lines(self, what):
        lines = self.state_lines() if what == "state" else self.evidence_lines()
        return "".join(line + "\n" for line in lines).encode()

    def digest(self, what):
        return hashlib.sha256(self.lines(what)).hexdigest()
