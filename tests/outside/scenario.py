"""Random channels: what members say to each other, honestly, wrongly and out of order, and what they receipt, as
evidence for the two implementations of the ledger. Everything follows from the seed."""

import copy
import json
import os
import random

import formats
import kinds
from formats import compact, sha256
from ledger import DAY, URGENCY, Evidence, time_text

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples")
START = 1622505600  # 2021-06-01T00:00:00Z, a Tuesday
NAMES = ["aurora.example", "boreal.example", "cirrus.example"]
SYSTEMS = ["food", "health", "water", *(f"system-{number}" for number in range(9))]
OPENERS = (
    "request.information request.information request.preservation request.consultation request.surrender "
    "incident.early-warning incident.notification incident.final proposal.proposal channel.amendment attribution.claim "
    "evidence.item commitment.pledge contact.check consultation.agenda channel.suspend channel.review feed.indicators "
    "contact.nomination channel.escalation"
).split()
# What fits a message of a family: from those who heard it, and from its writer.
HEARERS = {
    "request": "answer.response answer.response answer.response answer.acknowledgement answer.status evidence.item "
    "consultation.agenda consultation.record",
    "incident": "answer.acknowledgement answer.response request.information",
    "proposal": "proposal.accept proposal.accept proposal.counter proposal.reject answer.acknowledgement",
    "channel": "proposal.accept proposal.accept proposal.accept proposal.reject answer.acknowledgement answer.response",
    "consultation": "consultation.record consultation.agenda proposal.accept proposal.accept proposal.reject "
    "answer.response",
    "attribution": "attribution.denial answer.response answer.response",
    "evidence": "answer.response evidence.item",
    "commitment": "commitment.match commitment.match commitment.fulfilment commitment.breach-claim answer.response "
    "proposal.accept",
    "contact": "contact.check contact.check answer.acknowledgement",
    "correction": "answer.response answer.response",
    "answer": "answer.status answer.status answer.status correction.recall proposal.accept",
    "exchange": "exchange.core exchange.manifest exchange.held exchange.abort",
    "feed": "answer.response",
}
WRITERS = {
    "request": "correction.recall evidence.item answer.status consultation.agenda consultation.record",
    "incident": "incident.update incident.notification incident.final incident.final correction.recall",
    "proposal": "proposal.withdraw proposal.withdraw",
    "channel": "proposal.withdraw channel.resume channel.resume correction.recall",
    "consultation": "consultation.record consultation.agenda correction.recall",
    "attribution": "evidence.item evidence.item correction.recall",
    "evidence": "correction.recall correction.correction evidence.item",
    "commitment": "commitment.fulfilment commitment.breach-claim proposal.withdraw",
    "answer": "answer.status correction.correction correction.recall",
    "feed": "correction.recall",
}


def example(kind):
    with open(os.path.join(EXAMPLES, f"{kind}.json"), encoding="utf-8") as file:
        return json.load(file)


_examples = {kind: example(kind) for kind in kinds.KINDS}


class Member:
    def __init__(self, name):
        self.name = name
        self.log = []  # entries as fields
        self.data = []  # their bytes
        self.holds = {}  # of others: size receipted
        self.acked = {}


class Scenario:
    """`feed` is the evidence in the order in which it came about."""

    def __init__(self, seed, steps=None):
        self.random = random.Random(seed)
        self.now = START
        names = NAMES[: self.random.choice([2, 2, 3])]
        self.members = {name: Member(name) for name in names}
        self.messages = {}  # ref: (fields of the entry, body)
        self.said = {}  # ref: how many came before
        self.receipts = {}
        self.bodies = {}
        self.feed = []
        self.spell = self.random.choice([1, 10, 60, 600, 3600])  # how fast things go
        self.hostility = self.random.choice([0.0, 0.03, 0.15, 0.4])
        self.openers = OPENERS if self.random.random() < 0.4 else self.random.sample(OPENERS, 3)  # deep or wide
        self.all_terms = [self.terms()]
        self.salt = bytes(32)
        self.open_channel(names)
        for _ in range(self.random.choice([30, 60, 60, 120]) if steps is None else steps):
            self.step()

    # ---- the channel ------------------------------------------------------------------------------------------------

    def hex(self, size):
        return self.random.randbytes(size).hex()

    def open_channel(self, names):
        rows = [
            {"name": name, **{key: self.hex(32) for key in ("root", "log", "receipt", "age", "tls")}} for name in names
        ]
        self.commitments = [sha256(self.salt + self.all_terms[0]).hex()]
        neutral = None
        if self.random.random() < 0.2:
            keys = {key: self.hex(32) for key in ("root", "log", "witness", "age", "tls")}
            neutral = {"name": "neutral.example", **keys}
        self.succeeds, predecessor = self.random.random() < 0.4, None
        if self.succeeds:
            before = self.hex(32)
            heads = [{"origin": f"{name}/entente/{before}", "size": 9, "root": self.hex(32)} for name in names]
            predecessor = {"channel": before, "heads": heads}
        genesis = formats.genesis_encode(
            rows,
            bytes.fromhex(self.commitments[0]),
            self.random.randbytes(16),
            neutral=neutral,
            predecessor=predecessor,
        )
        self.genesis, self.channel = genesis, sha256(genesis).hex()
        carried = [self.carried(names) for _ in range(self.random.randint(0, 12))]
        for name in names:
            fields = {"salt": self.salt.hex(), "terms": formats.b64(self.all_terms[0])}
            if self.random.random() < 0.8:  # else it does not accept them
                fields["carried"] = carried
            self.log(name, "channel.genesis", {"fields": fields})

    def carried(self, names):
        """A duty of the channel before, mostly one that was open."""
        row = {"message": self.before(names), "debtor": self.random.choice(names)}
        row["duty"] = self.random.choice(["acknowledge", "answer", "follow-up", "notification", "final"])
        if self.random.random() < 0.7:
            row["started"] = time_text(self.now - self.seconds())
        if self.random.random() < 0.7:
            row["due"] = time_text(self.now + self.seconds(80) - self.seconds(40))
        return row

    def before(self, names):
        return f"{self.random.choice(names)}/{self.random.randint(0, 3)}"

    def seconds(self, most=40):
        return self.random.randint(1, most) * self.spell

    def deadline(self, kind, urgency, stricter):
        row = {"kind": kind, "urgency": urgency}
        base = max(4, 40 * self.spell >> (2 * stricter))
        if kind.startswith("incident."):
            row["acknowledge_s"] = base
            if kind == "incident.early-warning":
                row["notification_s"] = 2 * base
            row["final_s"] = 3 * base
        else:
            row["acknowledge_s"] = base
            row["answer_s"] = 2 * base
        return row

    def terms(self):
        """Mostly an agreement, of rather random members."""
        chance = self.random.random
        if chance() < 0.06:
            return self.random.choice([b'{"title":"Not an agreement"}', b"no JSON at all", b'{"a":1,"a":2}'])
        names = list(self.members)
        terms = {"title": f"Terms {self.hex(4)}", "parties": names, "validity": self.validity(), "deadlines": []}
        answered = [
            kind for kind in kinds.KINDS if kind.startswith(("request.", "incident.", "proposal.p", "contact.c"))
        ]
        answered += [
            "channel.amendment",
            "correction.recall",
            "commitment.pledge",
            "incident.final",
            "attribution.claim",
        ]
        for kind in sorted(set(answered)):
            if chance() < 0.7:
                urgencies = sorted(self.random.sample(range(4), self.random.choice([1, 1, 2, 4])))
                without = self.random.choice(["none", "none", "acknowledge_s", "answer_s", "final_s"])
                for at, urgency in enumerate(urgencies):
                    row = self.deadline(kind, URGENCY[urgency], at)
                    row.pop(without, None)
                    terms["deadlines"].append(row)
        if chance() < 0.5:
            terms["protected_systems"] = [
                {"id": name, "name": name, "urgency_floor": self.random.choice(URGENCY)} for name in SYSTEMS[:3]
            ]
        if chance() < 0.8:
            terms["reciprocity"] = [
                {"class": "inf\"o", "kinds": ["request.information", "incident.notification", "evidence.item"],
                 "hold_back_at_balance": self.random.choice([None, 1, 2])},
                {"class": "oth er", "kinds": ["request.preservation", "request.surrender", "proposal.proposal",
                 "contact.check", "incident.final"], "hold_back_at_balance": 1},
            ]  # fmt: skip
        if chance() < 0.7:
            terms["threat_level"] = {
                "window_s": self.seconds(400),
                "severity_weights": {"low": 1, "medium": 3, "high": 9, "critical": 20},
                "levels": [{"name": "calm", "from": 0}, {"name": "tense", "from": 9}, {"name": "высокий", "from": 25}],
            }
        if chance() < 0.4:
            terms["service_hours"] = self.hours(names)
            for row in terms["deadlines"]:
                row["in_service_hours"] = True
        if chance() < 0.5:
            terms["suspension"] = {"freezes_deadlines": chance() < 0.6}
        return json.dumps(terms).encode()

    def validity(self):
        chance = self.random.random()
        start = START - DAY if chance < 0.85 else START + self.seconds()
        end = start + 2000 * DAY if self.random.random() < 0.7 else max(start, START) + self.seconds(200)
        validity = {"from": time_text(start), "until": time_text(end)}
        if self.random.random() < 0.3:
            days = (end - start - 1) // DAY
            validity["extension"] = {"by_days": self.random.randint(1, 40), "unless_declined_days_before":
                                     min(days, self.random.choice([0, 1, 30, days]))}  # fmt: skip
        return validity

    def hours(self, names):
        hours = {}
        for name in names:
            if self.random.random() < 0.7:
                days = self.random.sample(["mon", "tue", "wed", "thu", "fri", "sat", "sun"], self.random.randint(1, 7))
                row = {"days": days, "from": f"{self.random.randint(0, 11):02d}:{self.random.choice(['00', '30'])}"}
                row["until"] = self.random.choice(["12:00", "16:30", "23:59", "24:00"])
                hours[name] = [row]
        return hours or {names[0]: [{"days": ["tue", "wed"], "from": "00:00", "until": "24:00"}]}

    # ---- what happens -----------------------------------------------------------------------------------------------

    def step(self):
        chance = self.random.random()
        if chance < 0.35:
            self.now += self.random.choice([0, 1, self.seconds(3), self.seconds(), self.seconds(90)])
        elif chance < 0.62:
            self.receipt()
        else:
            self.say()

    def receipt(self):
        by, log = self.random.sample(list(self.members), 2)
        most = len(self.members[log].log)
        holds = self.members[by].holds.get(log, 0)
        size = most if self.random.random() < 0.7 else self.random.randint(holds, most)
        if size == 0:
            return
        time = self.now if self.random.random() < 0.9 else self.now + self.random.randint(-2, 2) * self.seconds()
        if self.random.random() < 0.85:  # else it is lost
            self.receipts.setdefault((log, by), []).append((size, time))
            order = list(self.members)
            self.feed.append({"receipt": [order.index(log), order.index(by), size, time]})
        self.members[by].holds[log] = max(holds, size)

    def known(self, name):
        member = self.members[name]
        mine = [f"{name}/{index}" for index in range(len(member.log))]
        return mine + [f"{log}/{index}" for log, size in member.holds.items() for index in range(size)]

    def recent(self, known):
        return sorted(known, key=lambda ref: self.said[ref])[-8:]

    def say(self):
        name = self.random.choice(list(self.members))
        hostile = self.random.random() < self.hostility
        known = [ref for ref in self.known(name) if self.messages[ref][0]["kind"] != "channel.genesis"]
        known = self.recent(known) if self.random.random() < 0.8 else known
        reply = self.random.choice(known) if known and self.random.random() < 0.72 else None
        suspends = [ref for ref in known if self.messages[ref][0]["kind"] == "channel.suspend" and ref.startswith(name)]
        reply = suspends[-1] if suspends and self.random.random() < 0.15 else reply
        if reply:
            entry = self.messages[reply][0]
            table, other = (WRITERS, "correction.correction") if entry["writer"] == name else (HEARERS, "answer.status")
            kind = self.random.choice(table.get(entry["kind"].split(".")[0], other).split())
            if self.random.random() < 0.08:
                kind = self.random.choice(
                    ["correction.correction", "channel.consent", "channel.notice", "evidence.held"]
                )
        else:
            kind = self.random.choice(self.openers)
        if hostile and self.random.random() < 0.4:
            kind = self.random.choice([*kinds.KINDS, "future.kind", "answer.response"])
            kind = "answer.acknowledgement" if kind == "channel.genesis" else kind
        if self.random.random() < 0.03:
            kind, reply = "channel.rotate", None
        self.log(name, kind, self.body(name, kind, reply), reply, hostile)

    def log(self, name, kind, body, reply=None, hostile=False):
        member = self.members[name]
        acks = []
        for other in sorted(member.holds):
            if member.holds[other] > member.acked.get(other, 0) and self.random.random() < 0.9:
                size = member.acked[other] = member.holds[other]
                acks.append({"origin": f"{other}/entente/{self.channel}", "size": size, "root": self.hex(32)})
        target = self.messages[reply][0] if reply else None
        fields = {
            "v": 1,
            "channel": self.channel,
            "writer": name,
            "index": len(member.log),
            "time": time_text(
                self.now if self.random.random() < 0.9 else self.now + self.random.randint(-3, 3) * self.seconds()
            ),
            "kind": kind,
            "nonce": self.hex(16),
            "thread": (target["thread"] or reply) if target else None,
            "reply_to": reply,
            "to": self.addressees(name, kind),
            "acks": acks,
            "agreement": self.random.choice(self.commitments),
            "marking": None,
            "urgency": self.random.choice([None, None, "priority", "immediate", "flash"]),
            "exercise": self.random.random() < 0.07,
            "body": None,
            "attachments": [],
        }
        if hostile:
            self.spoil(fields, body)
        if body is not None:
            for row in body.get("files") or []:
                fields["attachments"].append(
                    {"digest": sha256(row["name"].encode()).hex(), "size": 1, "type": "text/plain"}
                )
            sealed = json.dumps(body).encode() if not isinstance(body, bytes) else body
            ref = f"{name}/{fields['index']}"
            fields["body"] = {
                "digest": sha256(sealed + ref.encode()).hex(),
                "size": len(sealed),
                "type": "application/json",
            }
            opened = hostile and self.random.random() < 0.1
            self.bodies[name, fields["index"]] = b"" if opened else sealed
        data = formats.entry_encode(fields)
        member.log.append(fields)
        member.data.append(data)
        self.said[f"{name}/{fields['index']}"] = len(self.messages)
        self.messages[f"{name}/{fields['index']}"] = (fields, body)
        sealed = self.bodies.get((name, fields["index"]))
        self.feed.append({"entry": formats.b64(data), "body": None if sealed is None else formats.b64(sealed)})

    def addressees(self, name, kind):
        others = [other for other in self.members if other != name]
        if self.random.random() < 0.7:
            return []
        return sorted(self.random.sample(others, self.random.randint(1, len(others))))

    def spoil(self, fields, body):
        how = self.random.randrange(8)
        everything = list(self.messages)
        if how == 0:
            fields["to"] = [self.random.choice([fields["writer"], "stranger.example"])]
        elif how == 1:
            strangers = [name for name in [*NAMES, "stranger.example"] if name != fields["writer"]]
            fields["reply_to"] = f"{self.random.choice(strangers)}/{self.random.randint(0, 40)}"
        elif how == 2:
            fields["reply_to"] = self.random.choice(everything)
        elif how == 3:
            fields["thread"] = self.random.choice([None, self.random.choice(everything)])
        elif how == 4:
            fields["reply_to"] = None
        elif how == 5 and body:
            body["fields"] = {}
        elif how == 6 and body:
            name = self.random.choice(["digest", "echo", "replaces", "outcome", "nonce"])
            if name in body["fields"]:
                body["fields"][name] = self.hex(16 if name in ("echo", "nonce") else 32)
        elif how == 7 and body and self.random.random() < 0.5:
            body["files"] = [{"name": "one.txt"}]

    def reference(self, name):
        return self.random.choice(self.known(name) or [f"{name}/0"])

    def body(self, name, kind, reply):
        if kind not in kinds.KINDS:
            return {"fields": {"of": "the future"}}
        body = copy.deepcopy(_examples[kind])
        fields = body["fields"]
        if self.random.random() < (0.5 if self.succeeds and reply is None else 0.02):
            body["continues"] = self.before(list(self.members))
        target, of_target = self.messages[reply] if reply else (None, None)
        chance = self.random.random
        if "protected_systems" in kinds.schema_of(kind).get("properties", {}):
            fields["protected_systems"] = self.random.sample(SYSTEMS, self.random.choice([0, 0, 1, 2, 11]))
        if kind == "answer.response":
            words = ["granted", "granted", "partial", "refused", "postponed", "impossible", "needs-clarification"]
            fields["outcome"] = self.random.choice(words)
            until = time_text(
                self.random.choice([self.now, -self.now]) if chance() < 0.1 else self.now + self.seconds(80)
            )
            fields["until"] = until if chance() < 0.9 else until[:-1] + ".75Z"
        elif kind == "answer.status":
            fields["state"] = self.random.choice(["clarification", "clarification", "in-progress"])
        elif kind == "contact.check":
            if target is not None:
                nonce = (of_target or {}).get("fields", {}).get("nonce", "00" * 16)
                body["fields"] = {"echo": nonce}
            else:
                body["fields"] = {"nonce": self.hex(16), "reply_by": time_text(self.now + self.seconds())}
        elif kind.startswith("incident."):
            fields["severity"] = self.random.choice(["low", "medium", "high", "critical"])
            if kind in ("incident.update", "incident.early-warning") and chance() < 0.5:
                fields.pop("severity", None)
        elif kind == "proposal.accept":
            fields["digest"] = target["body"]["digest"] if target and target["body"] else self.hex(32)
        elif kind == "channel.amendment":
            terms, salt = self.terms(), self.hex(32)
            fields.update(replaces=self.random.choice(self.commitments[-2:]), salt=salt, terms=formats.b64(terms))
            self.commitments.append(kinds.commitment(fields))
        elif kind == "attribution.claim":
            fields["evidence"] = sorted({self.reference(name) for _ in range(self.random.choice([0, 1, 2, 40]))})
        elif kind == "evidence.item":
            claims = [ref for ref in self.known(name) if self.messages[ref][0]["kind"] == "attribution.claim"]
            fields["supports"] = self.random.sample(claims, min(len(claims), self.random.randint(0, 2)))
        elif kind == "channel.rotate":
            fields["contested_from"] = self.random.randrange(len(self.members[name].log) + 2)
            if chance() < 0.2:
                fields.pop("contested_from")
        elif kind == "channel.review":
            fields["purpose"] = self.random.choice(["periodic", "decline-extension"])
        return body

    # ---- what comes out ---------------------------------------------------------------------------------------------

    def evidence(self):
        return Evidence(
            self.genesis,
            {name: member.data for name, member in self.members.items()},
            self.receipts,
            self.bodies,
        )

    def moments(self):
        """All evidence, and some moments before, between and after."""
        times = [self.random.randint(START - 10, self.now + 10) for _ in range(2)]
        dated = [time for rows in self.receipts.values() for _, time in rows]
        times += [self.random.choice(dated)] if dated else []
        return [None, *times, self.now + self.seconds(300)]

    def shuffled(self):
        """The feed in another order that causality allows."""
        waiting = {name: [] for name in self.members}
        receipts = [item for item in self.feed if "receipt" in item]
        for item in self.feed:
            if "entry" in item:
                entry = formats.entry_decode(formats.unb64(item["entry"]))
                waiting[entry["writer"]].append((entry, item))
        taken, feed = {name: 0 for name in self.members}, []
        self.random.shuffle(receipts)
        while any(waiting.values()) or receipts:
            ready = [
                name
                for name, rows in waiting.items()
                if rows and all(taken[ack["origin"].split("/")[0]] >= ack["size"] for ack in rows[0][0]["acks"])
            ]
            if receipts and (not ready or self.random.random() < 0.5):
                feed.append(receipts.pop())
            else:
                name = self.random.choice(ready)
                feed.append(waiting[name].pop(0)[1])
                taken[name] += 1
        return feed

    def case(self, feed, moments):
        return compact({"genesis": formats.b64(self.genesis), "feed": feed, "moments": moments}) + b"\n"
