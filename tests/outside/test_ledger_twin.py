"""The ledger twice: what src/ledger computes and what ledger.py computes from docs/ledger.md, byte for byte. First over
random channels, then over what two real nodes and a party that breaks the rules have said to each other."""

import copy
import difflib
import json
import os
import subprocess
import time
import unittest

import formats
import kinds
from ledger import Evidence, Ledger, time_text
from node import BUILD, PATIENCE_S, wait_for
from outside import OutsideTest
from scenario import Scenario, example

DUMP = os.path.join(BUILD, "tests", "ledger", "ledger_dump")
SEEDS = int(os.environ.get("ENTENTE_TWIN_SEEDS", "200"))
FIRST = int(os.environ.get("ENTENTE_TWIN_FIRST", "1"))


class Dump:
    """src/ledger as a filter."""

    def __init__(self):
        self.process = subprocess.Popen([DUMP], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, scenario, feed, moments):
        """[(evidence lines, state lines)] for each moment."""
        self.process.stdin.write(scenario.case(feed, moments))
        self.process.stdin.flush()
        return [(self.read("evidence"), self.read("state")) for _ in moments]

    def read(self, what):
        word, size = self.process.stdout.readline().decode().split()
        assert word == what
        return self.process.stdout.read(int(size))

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class TwinTest(unittest.TestCase):
    def assert_same(self, ours, theirs, where):
        if ours != theirs:
            lines = difflib.unified_diff(
                theirs.decode().splitlines(), ours.decode().splitlines(), "src", "twin", lineterm=""
            )
            self.fail(f"{where}\n" + "\n".join(lines))


class RandomChannels(TwinTest):
    @classmethod
    def setUpClass(cls):
        cls.dump = Dump()
        cls.addClassCleanup(cls.dump.close)

    def compare(self, scenario, where):
        moments = scenario.moments()
        theirs = self.dump.ask(scenario, scenario.feed, moments)
        self.assertEqual(theirs, self.dump.ask(scenario, scenario.shuffled(), moments), f"{where}: the order matters")
        for moment, (evidence, state) in zip(moments, theirs):
            ledger = Ledger(scenario.evidence(), moment)
            self.assert_same(ledger.lines("evidence"), evidence, f"{where}, moment {moment}")
            self.assert_same(ledger.lines("state"), state, f"{where}, moment {moment}")

    def test_channels__give_the_same_lines_in_every_order(self):
        for seed in range(FIRST, FIRST + SEEDS):
            self.compare(Scenario(seed), f"ENTENTE_TWIN_FIRST={seed}")

    def test_thread__is_full_at_1024_of_one_writer(self):
        scenario = Scenario(7, steps=0)
        asker, other = list(scenario.members)[:2]
        first = f"{asker}/1"
        scenario.log(asker, "request.information", scenario.body(asker, "request.information", None))
        for _ in range(1030):
            scenario.log(asker, "evidence.item", scenario.body(asker, "evidence.item", first), first)
        scenario.members[other].holds[asker] = len(scenario.members[asker].log)
        answer = {"fields": {"outcome": "granted"}, "text": {"en": "Yes."}, "authentic": "en"}
        scenario.log(other, "answer.response", answer, first)
        refused = Ledger(scenario.evidence()).lines("evidence")
        self.assertIn(f"log {asker} 1032 ".encode(), refused)
        self.compare(scenario, "a full thread")


TERMS = {
    "title": "Arrangement for tests",
    "parties": ["aurora.example", "boreal.example", "cirrus.example"],
    "validity": {"from": "2021-01-01T00:00:00Z", "until": "2090-01-01T00:00:00Z",
                 "extension": {"by_days": 365, "unless_declined_days_before": 30}},
    "deadlines": [
        {"kind": "request.information", "urgency": "routine", "acknowledge_s": 2, "answer_s": 600},
        {"kind": "request.information", "urgency": "immediate", "acknowledge_s": 1, "answer_s": 2},
        {"kind": "incident.early-warning", "urgency": "routine", "acknowledge_s": 600, "notification_s": 600,
         "final_s": 800},
        {"kind": "incident.notification", "urgency": "routine", "acknowledge_s": 600, "final_s": 700},
        {"kind": "proposal.proposal", "urgency": "routine", "answer_s": 900},
        {"kind": "request.assistance", "urgency": "routine", "answer_s": 7200, "in_service_hours": True},
    ],
    "protected_systems": [{"id": "health", "name": "Hospitals", "urgency_floor": "immediate"},
                          {"id": "food", "name": "Food", "urgency_floor": "priority"}],
    "reciprocity": [{"class": "what \"we\" know", "kinds": ["request.information", "incident.notification"],
                     "hold_back_at_balance": 1}],
    "threat_level": {"window_s": 3600, "severity_weights": {"low": 1, "medium": 3, "high": 8, "critical": 20},
                     "levels": [{"name": "спокойно", "from": 0}, {"name": "elevated", "from": 8}]},
    "service_hours": {"boreal.example": [{"days": ["mon", "wed", "fri"], "from": "06:00", "until": "16:30"}]},
    "suspension": {"freezes_deadlines": True},
}  # fmt: skip


def changed(kind, **fields):
    body = copy.deepcopy(example(kind))
    body["fields"].update(fields)
    return body


class RealNodes(TwinTest, OutsideTest):
    """Aurora and boreal are nodes; cirrus is a party of the second implementation and says what a node would not."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.nodes = {name: cls.new_node(name) for name in ("aurora.example", "boreal.example")}
        aurora, boreal = cls.nodes.values()
        aurora.add_peer(boreal.card_path)
        boreal.add_peer(aurora.card_path)
        cls.party = cls.new_party("cirrus.example", aurora, boreal, listens=True)
        cls.channel = cls.party.open_channel(list(cls.nodes), terms=json.dumps(TERMS).encode())
        for node in cls.nodes.values():
            assert cls.party.to[node.name].post(cls.channel.pouch(node.name)).status == 202
            node.run("channel", "accept", cls.channel.id, "--alias", "line")
        cls.hand_over()
        for node in cls.nodes.values():
            wait_for(lambda node=node: node.channel("line")["state"] == "open")

    # ---- saying -----------------------------------------------------------------------------------------------------

    @classmethod
    def hand_over(cls):
        """Our log to both nodes, with every receipt that they may lack: those for it, and those that we gave."""
        for node in cls.nodes.values():
            with cls.party.lock:
                pouch = cls.channel.pouch(node.name)
                pouch.receipts = [
                    (receiver, note)
                    for log in cls.channel.logs.values()
                    for receiver, rows in log.receipts.items()
                    for _, _, note in rows
                    if receiver != node.name and (receiver == cls.party.name or log is cls.channel.own)
                ]
                answer = cls.party.to[node.name].post(pouch)
                assert answer.status == 200, answer
                cls.channel.take_receipt(answer.body, node.name, pouch.size)

    def entry(self, ref):
        name, index = ref.split("/")
        wait_for(lambda: len(self.channel.logs[name]) > int(index))
        with self.party.lock:
            return self.channel.entry(name, int(index))

    def say(self, who, kind, body=None, reply=None, **more):
        """Somebody says something; gives its reference once everybody has receipted it."""
        entry = self.entry(reply) if reply else None
        if body is None:
            body = changed(kind, digest=entry["body"]["digest"]) if kind == "proposal.accept" else example(kind)
        if who == self.party.name:
            if reply:
                more = {"reply_to": reply, "thread": entry["thread"] or reply, **more}
            with self.party.lock:
                index = self.channel.say(kind, body, **more)
            self.hand_over()
            return f"{who}/{index}"
        draft = {"channel": "line", "kind": kind, "body": body, "reply_to": reply and f"line/{reply}", **more}
        said = self.nodes[who].api("POST", "/messages?wait=receipt&timeout=20", json.dumps(draft).encode())
        assert said["done"], said
        self.entry(f"{who}/{said['index']}")
        return f"{who}/{said['index']}"

    # ---- what the nodes hold ----------------------------------------------------------------------------------------

    def evidence(self, node):
        """Everything that a node holds, as its API gives it."""
        logs, receipts, bodies = {name: [] for name in TERMS["parties"]}, {}, {}
        for message in node.api("GET", "/messages?channel=line&limit=100000")["messages"]:
            name, index = message["party"], message["index"]
            detail = node.api("GET", f"/messages/line/{name}/{index}")
            logs[name].append((index, detail["entry"].encode()))
            for row in detail["receipts"]:
                moment = kinds.parse_time(row["time"])
                receipts.setdefault((name, row["by"]), set()).add((row["size"], moment))
            try:
                bodies[name, index] = node.api_bytes("GET", f"/bodies/line/{name}/{index}")
            except AssertionError:
                pass  # it does not open
        logs = {name: [entry for _, entry in sorted(rows)] for name, rows in logs.items()}
        return Evidence(self.channel.genesis_bytes, logs, receipts, bodies)

    def lines(self, node, what, at=None):
        more = "" if at is None else f"&at={time_text(at)}"
        return node.api_bytes("GET", f"/ledger/lines?channel=line&what={what}{more}")

    def test_nodes__give_the_lines_of_the_document(self):
        self.converse()

        seen = []

        def quiet():
            """both nodes hold the same evidence, and nothing comes any more (receipts alone wait three seconds)"""
            self.hand_over()
            seen.append([self.lines(node, "evidence") for node in self.nodes.values()])
            return len(seen) > 8 and all(lines == [seen[-1][0]] * 2 for lines in seen[-8:])

        wait_for(quiet, seconds=3 * PATIENCE_S, step=0.5)
        aurora, boreal = self.nodes.values()
        evidence = self.evidence(aurora)
        times = sorted({moment for rows in evidence.receipts.values() for _, moment in rows})
        moments = [
            None,
            times[-1] + 1,
            times[-1] + 900,
            times[-1] + 40 * 86400,
            *times[:: max(1, len(times) // 12)],
            times[0] - 1,
        ]
        for moment in moments:
            ledger = Ledger(evidence, moment)
            for what in ("evidence", "state"):
                for node in (aurora, boreal):
                    self.assert_same(
                        ledger.lines(what), self.lines(node, what, moment), f"{node.name}, moment {moment}"
                    )
        state = Ledger(evidence).lines("state").decode()
        for word in (
            "granted",
            "binding",
            "final",
            "accepted",
            "withdrawn",
            "denied",
            "fulfilled",
            "recall-confirmed",
            "resumed",
            "unknown",
            "exercise",
            " bound ",
            " supported ",
            "second-answer",
            "other-digest",
            "other-nonce",
            "no-neutral",
            "suspended",
            "terms",
            "wrong-side",
            "follow-up",
            "may-hold-back",
        ):
            self.assertIn(word, state)  # fmt: skip

    # ---- the story --------------------------------------------------------------------------------------------------

    def converse(self):
        self.a, self.b, self.c = TERMS["parties"]
        self.checks_and_requests()
        self.incidents()
        self.proposals_and_terms()
        self.evidence_and_pledges()
        self.consultations()
        self.suspension()
        self.nonsense()

    def response(self, who, reply, outcome, **fields):
        return self.say(who, "answer.response", changed("answer.response", outcome=outcome, **fields), reply)

    def checks_and_requests(self):
        a, b, c = self.a, self.b, self.c
        check = self.say(a, "contact.check", to=[b, c])
        nonce = example("contact.check")["fields"]["nonce"]
        self.say(b, "contact.check", {"fields": {"echo": nonce}}, check)
        self.say(c, "contact.check", {"fields": {"echo": "00" * 16}}, check)
        asked = self.say(a, "request.information", changed("request.information", protected_systems=["health"]))
        self.say(b, "answer.acknowledgement", None, asked)
        unclear = self.response(b, asked, "needs-clarification")
        self.say(a, "answer.status", changed("answer.status", state="clarification"), unclear)
        self.response(b, asked, "granted")
        self.response(c, asked, "postponed", until=time_text(int(time.time()) + 1))
        time.sleep(2.1)
        self.response(c, asked, "refused")
        self.response(c, asked, "granted")  # a second answer
        for outcome in ("granted", "partial"):
            self.response(
                a, self.say(c, "request.information", changed("request.information", protected_systems=[])), outcome
            )
        self.say(b, "request.assistance", exercise=True)
        self.say(c, "request.surrender", to=[a])
        recalled = self.say(b, "request.preservation", to=[a])
        self.response(a, self.say(b, "correction.recall", None, recalled, to=[a]), "granted")

    def incidents(self):
        warning = self.say(self.a, "incident.early-warning")
        self.say(self.b, "answer.acknowledgement", None, warning)
        self.say(self.a, "incident.notification", None, warning)
        self.say(self.c, "incident.update", None, warning)  # not ours to update
        self.say(self.a, "incident.update", None, warning)
        self.say(self.a, "incident.final", None, warning)
        self.say(self.b, "incident.notification", changed("incident.notification", severity="high"))

    def proposals_and_terms(self):
        a, b, c = self.a, self.b, self.c
        proposal = self.say(a, "proposal.proposal", to=[b])
        counter = self.say(b, "proposal.counter", None, proposal, to=[a])
        self.say(a, "proposal.accept", None, counter)
        self.say(a, "proposal.withdraw", None, self.say(a, "proposal.proposal", to=[c]), to=[c])
        other = self.say(b, "proposal.proposal", to=[c])
        self.say(c, "proposal.accept", changed("proposal.accept", digest="00" * 32), other, to=[b])
        self.say(c, "proposal.reject", None, other)
        terms = copy.deepcopy(TERMS) | {"title": "New terms"}
        fields = {
            "replaces": self.channel.genesis["terms"],
            "salt": "11" * 32,
            "terms": formats.b64(json.dumps(terms).encode()),
        }
        rival = changed("channel.amendment", **fields | {"salt": "22" * 32})
        self.say(c, "proposal.withdraw", None, self.say(c, "channel.amendment", rival))
        amendment = self.say(b, "channel.amendment", changed("channel.amendment", **fields))
        self.say(a, "proposal.accept", None, amendment)
        self.say(c, "proposal.accept", None, amendment)
        self.say(c, "channel.amendment", rival)  # of terms that are not in force any more
        self.say(a, "request.information", changed("request.information", protected_systems=[]), urgency="flash")
        self.say(c, "channel.review", changed("channel.review", purpose="decline-extension"))

    def evidence_and_pledges(self):
        a, b, c = self.a, self.b, self.c
        claim = self.say(a, "attribution.claim", changed("attribution.claim", evidence=[]))
        self.say(b, "attribution.denial", None, claim)
        for recalled in (True, False):
            item = self.say(a, "evidence.item", plain_item(supports=[claim]))
            if recalled:
                recall = self.say(a, "correction.recall", None, item)
                self.response(c, recall, "granted")
        self.say(b, "evidence.item", plain_item(supports=[claim]))  # another's
        pledge = self.say(b, "commitment.pledge", to=[a])
        self.say(a, "commitment.match", None, pledge)
        self.say(b, "commitment.fulfilment", None, pledge, to=[a])
        self.say(a, "commitment.fulfilment", None, pledge)
        self.say(c, "commitment.breach-claim", None, self.say(c, "commitment.pledge"))
        said = self.say(a, "contact.nomination")
        self.response(b, said, "granted")
        self.say(a, "channel.escalation", None, said)

    def consultations(self):
        asked = self.say(self.a, "request.consultation")
        for name in (self.b, self.c):
            self.response(name, asked, "granted")
        self.say(self.b, "consultation.agenda", None, asked)
        record = self.say(self.c, "consultation.record", None, asked)
        self.say(self.a, "proposal.accept", None, record)
        self.say(self.b, "proposal.accept", None, record)

    def suspension(self):
        suspended = self.say(self.a, "channel.suspend")
        late = self.say(self.c, "request.information", changed("request.information", protected_systems=[]))
        self.say(self.c, "answer.acknowledgement", None, late)
        self.say(self.c, "channel.resume", None, suspended)
        time.sleep(1.1)
        self.say(self.a, "channel.resume", None, suspended)

    def nonsense(self):
        asked = self.say(self.b, "request.information", changed("request.information", protected_systems=[]))
        for more in (
            {"reply_to": "aurora.example/999", "thread": asked},
            {"reply_to": asked, "thread": "aurora.example/0"},
            {"reply_to": None, "thread": None},
        ):
            self.say(self.c, "answer.response", changed("answer.response", outcome="granted"), asked, **more)
        self.say(self.c, "weather.report", {"fields": {"sky": "blue"}}, asked)
        self.say(self.c, "weather.report", {"fields": {}})
        self.say(self.c, "request.takedown", {"fields": {}})
        self.say(self.c, "exchange.offer")
        self.say(
            self.c,
            "answer.response",
            changed("answer.response", outcome="postponed"),
            asked,
            time="2019-01-01T00:00:00Z",
        )


def plain_item(**fields):
    """An item without attachments."""
    return {key: value for key, value in changed("evidence.item", **fields).items() if key != "files"}


if __name__ == "__main__":
    unittest.main()
