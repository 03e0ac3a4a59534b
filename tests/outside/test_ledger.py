"""Who owes whom what by when, as a node tells it: what it refuses to say, what it notices of others, its digests against
those of the second implementation of the ledger, comm checks by the clock, and reports with their proofs."""

import copy
import json
import os
import time
import unittest

import formats
import sealing
from ledger import Evidence, Ledger, time_text
from node import EXAMPLES, wait_for
from outside import INCIDENT, OutsideTest

PARTIES = ("aurora.example", "vega.example")
AGREEMENT = {
    "title": "Arrangement for tests",
    "parties": list(PARTIES),
    "validity": {"from": "2021-01-01T00:00:00Z", "until": "2099-01-01T00:00:00Z", "extension": None},
    "deadlines": [
        {"kind": "request.information", "urgency": "routine", "acknowledge_s": 3600, "answer_s": 7200},
        {"kind": "request.information", "urgency": "immediate", "acknowledge_s": 60, "answer_s": 600},
        {"kind": "incident.notification", "urgency": "routine", "acknowledge_s": 3600, "answer_s": None,
         "final_s": 864000},
    ],
    "protected_systems": [
        {"id": "health", "name": "Hospitals", "urgency_floor": "immediate"},
        {"id": "food", "name": "Food", "urgency_floor": "priority"},
    ],
    "reciprocity": [{"class": "information", "kinds": ["request.information"], "hold_back_at_balance": 2}],
    "threat_level": {
        "window_s": 2592000,
        "severity_weights": {"low": 1, "medium": 3, "high": 8, "critical": 20},
        "levels": [{"name": "guarded", "from": 0}, {"name": "elevated", "from": 8}],
    },
    "two_officers": ["request.surrender"],
}  # fmt: skip


def example(kind):
    with open(os.path.join(EXAMPLES, f"{kind}.json"), encoding="utf-8") as file:
        return json.load(file)


def changed(kind, **fields):
    body = example(kind)
    for key, value in fields.items():
        if value is None:
            body["fields"].pop(key, None)
        else:
            body["fields"][key] = value
    return body


REQUEST = changed("request.information", protected_systems=None)


class LedgerTest(OutsideTest):
    @classmethod
    def open_under(cls, party, node, alias, agreement):
        """A channel under an agreement that the party opens with a node, open on both sides."""
        channel = party.open_channel([node.name], terms=json.dumps(agreement).encode())
        assert party.to[node.name].post(channel.pouch(node.name)).status == 202
        node.run("channel", "accept", channel.id, "--alias", alias)
        wait_for(lambda: len(channel.logs[node.name]) == 1)
        cls.deliver(channel, node)
        return channel

    def setUp(self):
        self.alias = self.id().rsplit("__", 1)[-1].replace("_", "-")[:40]
        self.channel = self.open_under(self.party, self.node, self.alias, AGREEMENT)
        self.maxDiff = None

    # ---- saying -----------------------------------------------------------------------------------------------------

    def send(self, kind, body, wait=True, **draft):
        """Say something at the node; gives its index there, when our side has it."""
        draft = {"channel": self.alias, "kind": kind, "body": body, **draft}
        path = "/messages?wait=receipt&timeout=20" if wait else "/messages"
        self.said = self.node.api("POST", path, json.dumps(draft).encode())
        return self.said["index"]

    def refused(self, kind, body, **draft):
        """What the node says when it refuses to say something; nothing may have been logged."""
        before = self.node.held(self.alias)[self.node.name][0]
        with self.assertRaises(AssertionError) as caught:
            self.send(kind, body, wait=False, **draft)
        self.assertIn(" 409 ", str(caught.exception))
        self.assertEqual(self.node.held(self.alias)[self.node.name][0], before, "it was logged")
        return str(caught.exception)

    def theirs(self, index):
        return f"{self.alias}/{self.party.name}/{index}"

    def ours(self, index):
        return f"{self.alias}/{self.node.name}/{index}"

    def say(self, kind, body, reply_to=None, thread=None, **changes):
        """Say something at our side and hand it over; gives its index."""
        if reply_to is not None:
            changes |= {"reply_to": reply_to, "thread": thread or reply_to}
        with self.party.lock:
            index = self.channel.say(kind, body, **changes)
        self.deliver(self.channel, self.node)
        return index

    # ---- looking ----------------------------------------------------------------------------------------------------

    def ledger(self, **query):
        more = "".join(f"&{key}={value}" for key, value in query.items())
        return self.node.api("GET", f"/ledger?channel={self.alias}{more}")

    def lines(self, what, at=None):
        more = f"&at={at}" if at else ""
        return self.node.api_bytes("GET", f"/ledger/lines?channel={self.alias}&what={what}{more}").decode()

    def notices(self):
        """{about: code} of every notice that came to us; each about one message once."""
        with self.party.lock:
            found = {}
            for index in range(len(self.channel.logs[self.node.name])):
                if self.channel.entry(self.node.name, index)["kind"] == "channel.notice":
                    fields = self.channel.open(self.node.name, index)[0]["fields"]
                    self.assertNotIn(fields["about"], found, "two notices about one message")
                    found[fields["about"]] = fields["code"]
            return found

    def settle(self):
        """Everything that either side said is receipted by the other."""

        def settled():
            """both logs receipted"""
            with self.party.lock:
                log = self.channel.logs[self.node.name]
                held = self.node.held(self.alias)
                return held[self.node.name][0] == len(log) == held[self.party.name][2]

        wait_for(settled)

    def evidence(self):
        """All that we hold, for the second implementation of the ledger."""
        with self.party.lock:
            bodies = {}
            for name, log in self.channel.logs.items():
                for index, sealed in log.bodies.items():
                    plain, key = sealing.open_sealed(sealed, self.party.identity)
                    if sealing.sealed_as_agreed(sealed, key, self.channel.recipients()):
                        bodies[name, index] = plain
            receipts = {
                (name, receiver): [(size, moment) for size, moment, _ in rows]
                for name, log in self.channel.logs.items()
                for receiver, rows in log.receipts.items()
            }
            logs = {name: list(log.entries) for name, log in self.channel.logs.items()}
            return Evidence(self.channel.genesis_bytes, logs, receipts, bodies)

    def assert_agrees(self):
        """The node's lines and digests are those of the second implementation."""
        self.settle()
        evidence = self.evidence()
        at = evidence.latest()

        def same():
            """the node has opened everything"""
            return self.lines("evidence") == Ledger(evidence, at).lines("evidence").decode()

        try:
            wait_for(same, seconds=10)
        except AssertionError:
            self.assertEqual(self.lines("evidence"), Ledger(evidence, at).lines("evidence").decode())
        twin = Ledger(evidence, at)
        self.assertEqual(self.lines("state"), twin.lines("state").decode())
        shown = self.ledger()
        self.assertEqual((shown["evidence_digest"], shown["state_digest"]),
                         (twin.digest("evidence"), twin.digest("state")))  # fmt: skip
        return shown


class Judged(LedgerTest):
    """What may not be said, by us or by the other side."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.new_node(PARTIES[0])
        cls.party = cls.new_party(PARTIES[1], cls.node, listens=True)

    def test_send__what_its_thread_does_not_take_is_refused__thread(self):
        asked = self.say("request.information", REQUEST)
        message = self.theirs(asked)
        self.send("answer.response", changed("answer.response", outcome="granted"), reply_to=message)
        self.assertIn("answered already",
                      self.refused("answer.response", changed("answer.response", outcome="refused"), reply_to=message))
        self.assertIn("does not take", self.refused("proposal.accept",
                                                    changed("proposal.accept", digest="00" * 32), reply_to=message))
        ours = self.send("request.information", REQUEST)
        self.assertIn("does not take", self.refused("attribution.denial", example("attribution.denial"), reply_to=message))
        with self.assertRaisesRegex(AssertionError, "our own message"):
            self.send("answer.response", example("answer.response"), wait=False, reply_to=self.ours(ours))
        thread = self.node.api("GET", f"/threads/{message}")
        self.assertEqual((thread["machine"], [track["state"] for track in thread["tracks"]]), ("request", ["granted"]))
        self.assertNotIn("answer.response", thread["takes"])
        self.assertEqual([row["state"] for row in thread["obligations"]], ["done", "done"])
        self.assert_agrees()

    def test_send__an_answer_put_off_until_a_time_that_has_passed_is_refused__postponed(self):
        asked = self.theirs(self.say("request.information", REQUEST))
        before = self.node.held(self.alias)[self.node.name][0]
        for until in ("2021-06-01T12:00:00Z", time_text(int(time.time()) - 1)):
            body = changed("answer.response", outcome="postponed", until=until)
            with self.assertRaisesRegex(AssertionError, f"fields.until: {until} has passed"):
                self.send("answer.response", body, wait=False, reply_to=asked)
        self.assertEqual(self.node.held(self.alias)[self.node.name][0], before, "it was logged")
        self.send("answer.response", body | {"fields": body["fields"] | {"until": "2098-01-01T00:00:00Z"}}, reply_to=asked)
        self.assert_agrees()

    def test_send__an_accept_of_other_bytes_is_refused__accept(self):
        proposed = self.say("proposal.proposal", example("proposal.proposal"))
        self.assertIn("other bytes", self.refused("proposal.accept", changed("proposal.accept", digest="00" * 32),
                                                  reply_to=self.theirs(proposed)))
        digest = self.channel.entry(self.party.name, proposed)["body"]["digest"]
        self.send("proposal.accept", changed("proposal.accept", digest=digest), reply_to=self.theirs(proposed))
        shown = self.assert_agrees()
        self.assertEqual([(row["accepted"], row["digest"]) for row in shown["bindings"]],
                         [(self.theirs(proposed), digest)])  # fmt: skip

    def test_send__two_officers_and_unknown_systems_are_refused__terms(self):
        self.assertIn("needs two officers", self.refused("request.surrender", example("request.surrender")))
        body = changed("request.information", protected_systems=["water"])
        answer = self.refused("request.information", body)
        self.assertRegex(answer, 'water.* is not in the agreement')
        self.assertIn("food, health", answer)
        body = changed("request.information", protected_systems=["food", "health"])
        index = self.send("request.information", body, urgency="priority")
        self.assertEqual(self.said["urgency"], "immediate")
        self.assertEqual(self.channel.entry(self.node.name, index)["urgency"], "immediate")
        self.send("request.information", body, urgency="flash")
        self.assertEqual(self.said["urgency"], "flash")
        self.assertEqual({row["urgency"] for row in self.assert_agrees()["obligations"]}, {"immediate", "flash"})

    def test_send__while_suspended_little_passes__suspended(self):
        asked = self.say("request.information", REQUEST)
        self.say("channel.suspend", example("channel.suspend"))
        self.assertIn("suspended", self.refused("request.information", REQUEST))
        self.assertIn("suspended", self.refused("proposal.proposal", example("proposal.proposal")))
        self.assertEqual(self.ledger()["suspended"][0]["by"], self.party.name)
        self.send("answer.response", changed("answer.response", outcome="granted"), reply_to=self.theirs(asked))
        self.send("contact.check", example("contact.check"))
        mine = self.send("channel.suspend", example("channel.suspend"))
        late = self.say("request.information", REQUEST)
        wait_for(lambda: self.notices() == {f"{self.party.name}/{late}": "suspended"})
        self.send("channel.resume", example("channel.resume"), reply_to=self.ours(mine))
        self.assertEqual(len(self.assert_agrees()["suspended"]), 1)

    def test_receive__each_wrong_message_gets_one_notice_of_its_reason__wrong(self):
        me = self.party.name
        asked = self.send("request.information", REQUEST)
        proposed = self.send("proposal.proposal", example("proposal.proposal"))
        to_asked, to_proposed = f"{self.node.name}/{asked}", f"{self.node.name}/{proposed}"
        response = changed("answer.response", outcome="granted")
        wrong = {}
        wrong[self.say("answer.response", response, f"{self.node.name}/900")] = "reply-unseen"
        wrong[self.say("answer.response", response, to_asked, thread=to_proposed)] = "thread-mismatch"
        wrong[self.say("proposal.accept", changed("proposal.accept", digest="00" * 32), to_proposed)] = "other-digest"
        self.say("answer.response", response, to_asked)
        wrong[self.say("answer.response", changed("answer.response", outcome="refused"), to_asked)] = "second-answer"
        wrong[self.say("answer.response", response)] = "no-thread"
        wrong[self.say("request.information", {"fields": {}})] = "invalid"
        wrong[self.say("correction.correction", example("correction.correction"), to_asked)] = "wrong-side"
        odd = self.say("weather.report", {"fields": {"sky": "blue"}})
        self.say("channel.notice", {"fields": {"about": 7}}, to_asked)  # no notice about a notice
        expected = {f"{me}/{index}": code for index, code in wrong.items()}
        wait_for(lambda: self.notices().keys() >= expected.keys())
        shown = self.assert_agrees()
        self.assertEqual(self.notices(), expected)
        for index, code in wrong.items():
            row = self.node.api("GET", f"/messages/{self.theirs(index)}")
            word = "contested" if code == "invalid" else "not_allowed"
            other = "not_allowed" if code == "invalid" else "contested"
            self.assertTrue(row[word].startswith(f"{self.node.name} says: "), row[word])
            self.assertIsNone(row[other])
        refused = {row["message"] for row in shown["refused"]}
        self.assertEqual({self.theirs(index) for index, code in wrong.items() if code != "invalid"} - refused, set())
        self.assertEqual(shown["unknown"], [self.theirs(odd)])
        self.assertEqual([row["state"] for row in self.node.api("GET", f"/threads/{self.ours(asked)}")["tracks"]],
                         ["granted"])  # fmt: skip

    def test_restart__gives_the_same_digests__restart(self):
        self.say("request.information", REQUEST)
        self.say("incident.notification", INCIDENT)
        asked = self.send("request.information", REQUEST)
        self.say("answer.acknowledgement", example("answer.acknowledgement"), f"{self.node.name}/{asked}")
        before = self.assert_agrees()
        at = before["evidence_until"]
        lines = self.lines("state", at), self.lines("evidence", at)
        for stop in (self.node.stop, self.node.kill):
            stop()
            self.node.start()
            after = self.ledger(at=at)
            for key in ("evidence_digest", "state_digest", "balances", "threat_level"):
                self.assertEqual(after[key], before[key], key)
            self.assertEqual((self.lines("state", at), self.lines("evidence", at)), lines)
        self.send("answer.acknowledgement", example("answer.acknowledgement"), reply_to=self.theirs(1))
        self.assert_agrees()

    def test_send__an_answer_to_what_has_just_come_waits_for_the_opener__just_come(self):
        for _ in range(20):
            asked = self.say("request.information", REQUEST)
            index = self.send("answer.acknowledgement", example("answer.acknowledgement"), reply_to=self.theirs(asked))
            self.assertEqual(self.channel.entry(self.node.name, index)["acks"][0]["size"], asked + 1)
        self.assertEqual(len([row for row in self.assert_agrees()["obligations"] if row["mine"]]), 20)

    def test_ledger__shows_what_is_owed_and_why__owed(self):
        asked = self.send("request.information", REQUEST)
        self.say("request.information", REQUEST)
        self.say("incident.notification", INCIDENT)
        shown = self.assert_agrees()
        self.assertEqual((shown["agreement"]["state"], shown["agreement"]["title"]), ("in-force", AGREEMENT["title"]))
        rows = {(row["type"], row["debtor"], row["message"]): row for row in shown["obligations"]}
        self.assertEqual(len(rows), len(shown["obligations"]), "an obligation twice")
        answer = rows["answer", self.party.name, self.ours(asked)]
        self.assertEqual((answer["state"], answer["mine"], answer["started"]["by"]), ("open", False, self.party.name))
        self.assertEqual(answer["subject"], REQUEST["fields"]["title"])
        self.assertTrue(0 < answer["left_s"] <= 7200)
        self.assertIn(("final", self.party.name, self.theirs(2)), rows)
        self.assertEqual((shown["threat_level"]["name"], shown["threat_level"]["sum"]), ("elevated", 8))
        pair = next(row for row in shown["balances"] if row["from"] == self.node.name)
        self.assertEqual((pair["asked"], pair["messages"]), (1, [self.ours(asked)]))
        mine = len([row for row in shown["obligations"] if row["mine"]])
        counts = {"open": len(rows), "mine": mine, "overdue": 0, "in_time": 0, "late": 0}
        self.assertEqual(shown["duties"], counts)
        later = self.ledger(at="2090-01-01T00:00:00Z", limit=1)
        self.assertEqual((later["duties"], len(later["obligations"])), (counts | {"overdue": len(rows)}, 1))
        later = self.ledger(at="2090-01-01T00:00:00Z")
        self.assertTrue(all(row["state"] == "overdue" and row["left_s"] < 0 for row in later["obligations"]))
        with self.assertRaisesRegex(AssertionError, "400"):
            self.ledger(at="yesterday")

    def test_thread__custody_joins_what_items_say_and_what_logs_show__custody(self):
        sealed = sealing.seal(b"notes", self.channel.recipients())
        named = {"digest": formats.sha256(sealed).hex(), "size": len(sealed), "type": "application/octet-stream"}
        item = self.say("evidence.item", example("evidence.item") | {"files": [{"name": "notes"}]}, attachments=[named])
        border = self.party.to[self.node.name]
        self.assertEqual(border.request("PUT", f"/blob/{named['digest']}", sealed).status, 201)
        recall = self.say("correction.recall", changed("correction.recall", action="destroy"), f"{self.party.name}/{item}")
        self.send("answer.response", changed("answer.response", outcome="granted"), reply_to=self.theirs(recall))
        self.assert_agrees()
        said = self.channel.entry(self.party.name, recall)["time"]
        shown = {"by": self.theirs(recall), "time": said, "action": "destroy"}
        rows = self.node.api("GET", f"/messages?channel={self.alias}")["messages"]
        self.assertEqual({row["message"]: row["recalled"] for row in rows if row["recalled"]}, {self.theirs(item): shown})
        self.assertEqual(self.node.api("GET", f"/messages/{self.theirs(item)}")["recalled"], shown)
        banner = f"RECALLED by {self.theirs(recall)} at {said.replace('T', ' ')[:-1]} UTC: destroy"
        for verb in ("show", "open"):
            self.assertIn(banner, self.node.text(verb, self.theirs(item)))
            self.assertNotIn("RECALLED", self.node.text(verb, self.theirs(recall)))
        thread = self.node.api("GET", f"/threads/{self.theirs(item)}")
        actions = [(row["who"], row["action"]) for row in thread["custody"]]
        for row in example("evidence.item")["fields"]["custody"]:
            self.assertIn((row["who"], row["action"]), actions)
        for row in [(self.party.name, "handed over"), (self.node.name, "receipted"),
                    (self.node.name, f"holds attachment {named['digest']}"), (self.party.name, "recalled: destroy"),
                    (self.node.name, "recall confirmed")]:  # fmt: skip
            self.assertIn(row, actions)
        times = [row["time"] for row in thread["custody"]]
        self.assertEqual(times, sorted(times))
        self.assertEqual([row["source"] for row in thread["use_limits"]], [self.theirs(item)])

    def test_report__each_line_has_its_proof_and_publishing_leaves_out__report(self):
        answered = self.say("request.information", REQUEST, marking="TLP:CLEAR")
        self.send("answer.response", changed("answer.response", outcome="granted"), reply_to=self.theirs(answered),
                  marking="TLP:CLEAR")
        left = self.send("request.information", REQUEST, marking="TLP:CLEAR")
        hidden = self.send("request.information", REQUEST, marking="TLP:AMBER")
        consented = self.say("request.information", REQUEST)
        self.say("channel.consent", changed("channel.consent", purpose="report", scope="message"),
                 f"{self.party.name}/{consented}")
        self.assert_agrees()
        report = self.node.api("GET", f"/report?channel={self.alias}")
        lines = {line["message"]: line for line in report["lines"] if line["kind"] == "request.information"}
        self.assertEqual(set(lines), {f"{self.party.name}/{answered}", f"{self.party.name}/{consented}",
                                      f"{self.node.name}/{left}", f"{self.node.name}/{hidden}"})
        line = lines[f"{self.party.name}/{answered}"]
        self.assertEqual((line["state"], line["outcome"], line["in_time"], line["asked_of"]),
                         ("done", "granted", True, self.node.name))  # fmt: skip
        self.assertEqual((report["marking"], report["published"], report["withheld"]), ("TLP:AMBER", False, 0))
        sums = {(row["from"], row["to"]): row for row in report["sums"]}
        self.assertEqual(sums[self.node.name, self.party.name]["unanswered"],
                         [f"{self.node.name}/{left}", f"{self.node.name}/{hidden}"])  # fmt: skip
        row = sums[self.party.name, self.node.name]
        self.assertEqual((row["asked"], row["answered"], row["granted"], row["unanswered"]),
                         (2, 1, 1, [f"{self.party.name}/{consented}"]))  # fmt: skip
        self.assert_proofs(report)
        self.assert_verifies(report)
        published = self.node.api("GET", f"/report?channel={self.alias}&publish=1")
        text = json.dumps(published)
        self.assertNotIn(f"{self.node.name}/{hidden}\"", text)
        self.assertNotIn(f"{self.alias}/{self.node.name}/{hidden}\"", text)
        self.assertEqual(published["withheld"], len(report["lines"]) - len(published["lines"]))
        shown = {line["message"] for line in published["lines"]}
        self.assertEqual(shown, {f"{self.party.name}/{answered}", f"{self.party.name}/{consented}",
                                 f"{self.node.name}/{left}"})
        self.assertEqual(published["sums"][0]["asked"], report["sums"][0]["asked"])
        self.assert_proofs(published)
        self.assert_verifies(published)
        nothing = self.node.api("GET", f"/report?channel={self.alias}&from=2090-01-01T00:00:00Z&to=2090-01-02T00:00:00Z")
        self.assertEqual((nothing["lines"], nothing["proofs"], nothing["marking"]), ([], [], "TLP:CLEAR"))

    def test_report__comm_checks_are_counted_apart__checks(self):
        asked = self.send("contact.check", example("contact.check"))
        nonce = example("contact.check")["fields"]["nonce"]
        open_one = self.say("contact.check", changed("contact.check", nonce=os.urandom(16).hex()))
        self.say("contact.check", {"fields": {"echo": nonce, "answered_by": "officer"}}, f"{self.node.name}/{asked}")
        self.assert_agrees()
        report = self.node.api("GET", f"/report?channel={self.alias}")
        lines = [line["message"] for line in report["lines"] if line["kind"] == "contact.check"]
        self.assertEqual(lines, [f"{self.party.name}/{open_one}"])
        self.assertEqual({row["by"]: (row["asked"], row["answered"]) for row in report["checks"]},
                         {self.node.name: (1, 0), self.party.name: (1, 1)})  # fmt: skip
        self.assertEqual([(row["asked"], row["unanswered"]) for row in report["sums"]], [(0, []), (0, [])])
        self.assert_proofs(report)

    def test_report__sums_are_those_of_its_lines_whatever_came_of_them__sums(self):
        accepted, rejected = (self.say("proposal.proposal", example("proposal.proposal")) for _ in range(2))
        digest = self.channel.entry(self.party.name, accepted)["body"]["digest"]
        self.send("proposal.accept", changed("proposal.accept", digest=digest), reply_to=self.theirs(accepted))
        self.send("proposal.reject", example("proposal.reject"), reply_to=self.theirs(rejected))
        for outcome in ("granted", "partial", "refused", "impossible", "postponed", "needs-clarification"):
            asked = self.say("request.information", REQUEST)
            until = "2098-01-01T00:00:00Z" if outcome == "postponed" else None
            self.send("answer.response", changed("answer.response", outcome=outcome, until=until), reply_to=self.theirs(asked))
        withdrawn = self.say("request.information", REQUEST)
        self.say("correction.recall", example("correction.recall"), f"{self.party.name}/{withdrawn}")
        self.send("request.information", REQUEST, exercise=True)
        self.send("contact.check", example("contact.check"))
        self.say("incident.notification", INCIDENT)
        self.assert_agrees()
        report = self.node.api("GET", f"/report?channel={self.alias}")
        self.assert_verifies(report)
        self.assertEqual((report["sums"][1]["from"], report["sums"][1]["granted"]), (self.party.name, 3))
        report["sums"][1]["granted"] = 4
        self.assert_verifies(report, ": granted is 3 there")

    def assert_verifies(self, report, problem=""):
        path = os.path.join(self.folder, "report.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(report, file)
        done = self.node.run("verify", path, check=False)
        self.assertEqual(done.returncode, 1 if problem else 0, done.stderr)
        self.assertIn(problem, done.stderr.decode())

    def assert_proofs(self, report):
        proven = {row["message"] for row in report["proofs"]}
        named = {line["message"] for line in report["lines"]} | {line["answer"] for line in report["lines"]} - {None}
        self.assertEqual(proven, named - {None})
        for row in report["proofs"]:
            entry = formats.entry_decode(row["entry"].encode())
            self.assertEqual(f"{entry['writer']}/{entry['index']}", row["message"])
            index, note = formats.proof_verify(row["entry"].encode(), row["proof"].encode(), row["policy"].encode())
            self.assertEqual(index, entry["index"])
            receiver = next(name for name in PARTIES if name != entry["writer"])
            self.assertIn(f"{receiver}/entente/receipt", row["policy"] + note.text.decode() + row["proof"])


class Scheduled(LedgerTest):
    """Comm checks by the clock."""

    def setUp(self):
        pass

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.new_node(PARTIES[0])
        cls.party = cls.new_party(PARTIES[1], cls.node, listens=True)

    def checks(self, name):
        """(index, fields) of the checks in a log; answers have an echo."""
        with self.party.lock:
            log = self.channel.logs[name]
            kinds = [(index, self.channel.entry(name, index)["kind"]) for index in range(len(log))]
            return [(index, self.channel.open(name, index)[0]["fields"]) for index, kind in kinds if kind == "contact.check"]

    def test_check__is_sent_on_schedule_and_answered_once(self):
        agreement = copy.deepcopy(AGREEMENT) | {"comm_checks": {"every_s": 2, "reply_within_s": 2}}
        self.alias = "often"
        self.channel = self.open_under(self.party, self.node, self.alias, agreement)
        wait_for(lambda: len(self.checks(self.node.name)) == 2)
        first, second = self.checks(self.node.name)
        self.assertTrue(first[1]["scheduled"] and second[1]["scheduled"])
        self.assertNotEqual(first[1]["nonce"], second[1]["nonce"])
        self.assertEqual(self.channel.entry(self.node.name, first[0])["to"], [self.party.name])
        # what our clock sends is answered without an officer, what a person sends is not
        to_node = {"nonce": os.urandom(16).hex(), "reply_by": "2099-01-01T00:00:00Z"}
        by_clock = self.say("contact.check", {"fields": to_node | {"scheduled": True}})
        by_person = self.say("contact.check", {"fields": to_node | {"nonce": os.urandom(16).hex()}})

        def answers():
            """the node's answers"""
            return [(index, fields) for index, fields in self.checks(self.node.name) if "echo" in fields]

        (index, fields) = wait_for(answers)[0]
        self.assertEqual((fields["echo"], fields["answered_by"]), (to_node["nonce"], "node"))
        self.assertEqual(self.channel.entry(self.node.name, index)["reply_to"], f"{self.party.name}/{by_clock}")
        self.node.kill()
        self.node.start()
        time.sleep(2.5)
        self.assertEqual(len(answers()), 1, "answered twice, or an officer's check was answered")
        # unanswered and not overdue: no second one; answered: the next after every_s
        asked = [row for row in self.checks(self.node.name) if "nonce" in row[1]]
        times = [self.channel.entry(self.node.name, index)["time"] for index, _ in asked]
        self.assertEqual(len(set(times)), len(times))
        self.say("contact.check", {"fields": {"echo": asked[-1][1]["nonce"], "answered_by": "node"}},
                 f"{self.node.name}/{asked[-1][0]}")
        wait_for(lambda: len([row for row in self.checks(self.node.name) if "nonce" in row[1]]) > len(asked))
        record = next(row for row in self.ledger()["checks"] if row["by"] == self.party.name)
        self.assertTrue(record["asked"] >= 3 and record["answered"] == 1 and record["last"], record)
        self.assertIn(self.theirs(by_person), [row["message"] for row in self.ledger()["obligations"] if row["mine"]])

    def test_check__none_is_agreed_none_is_sent(self):
        self.alias = "never"
        self.channel = self.open_under(self.party, self.node, self.alias, AGREEMENT)
        time.sleep(2)
        self.assertEqual(self.checks(self.node.name), [])


class Blocked(OutsideTest):
    """A member answers what another has said to it alone: our ledger waits, our officers do not."""

    def test_ack__of_what_we_lack_blocks_until_it_comes(self):
        node = self.new_node("aurora.example")
        vega, wega = (self.new_party(name, node, listens=True) for name in ("vega.example", "wega.example"))
        vega.know(wega.card)
        wega.know(vega.card)
        ours = vega.open_channel([node.name, wega.name])
        invitation = ours.pouch(node.name)
        self.assertEqual(vega.to[node.name].post(invitation).status, 202)
        wega.invited(invitation)
        theirs = wega.accept(ours.id)
        node.run("channel", "accept", ours.id, "--alias", "three")

        def carry(channel, *others):
            """Hand a log to the other party of the second implementation."""
            for other in others:
                with other.party.lock, channel.party.lock:
                    channel.take_receipt(other.take(channel.pouch(other.party.name)), other.party.name, 1)

        carry(theirs, ours)
        for channel in (ours, theirs):
            self.deliver(channel, node)
        wait_for(lambda: node.channel("three")["state"] == "open")
        wait_for(lambda: len(ours.logs[node.name]) == len(theirs.logs[node.name]) == 1)

        with wega.lock:
            secret = theirs.say("request.information", REQUEST)  # the node does not get it
        carry(theirs, ours)
        with vega.lock:
            answer = ours.say("answer.acknowledgement", example("answer.acknowledgement"),
                              reply_to=f"{wega.name}/{secret}", thread=f"{wega.name}/{secret}")  # fmt: skip
            flash = ours.say("incident.notification", INCIDENT, urgency="flash")
        self.deliver(ours, node)
        shown = node.api("GET", f"/messages/three/{vega.name}/{flash}")
        self.assertEqual((shown["subject"], shown["contested"], shown["not_allowed"]), ("A test", None, None))
        draft = {"channel": "three", "kind": "answer.acknowledgement", "body": example("answer.acknowledgement")}
        draft["reply_to"] = f"three/{vega.name}/{flash}"
        with self.assertRaisesRegex(AssertionError, "503.*not here or not opened yet"):
            node.api("POST", "/messages", json.dumps(draft).encode())
        draft = {"channel": "three", "kind": "contact.check", "body": example("contact.check")}
        said = node.api("POST", "/messages", json.dumps(draft).encode())["index"]  # everything else goes on
        lines = node.api_bytes("GET", "/ledger/lines?channel=three&what=evidence").decode()
        self.assertIn(f"log {vega.name} {answer} ", lines)
        self.deliver(theirs, node)
        wait_for(lambda: f"log {vega.name} {flash + 1} " in
                 node.api_bytes("GET", "/ledger/lines?channel=three&what=evidence").decode())  # fmt: skip
        draft = {"channel": "three", "kind": "answer.acknowledgement", "body": example("answer.acknowledgement")}
        draft["reply_to"] = f"three/{vega.name}/{flash}"
        self.assertGreater(node.api("POST", "/messages", json.dumps(draft).encode())["index"], said)


class TwoNodes(OutsideTest):
    """Two real nodes print the same digests."""

    def test_digests__are_equal_after_all_is_delivered(self):
        north, south = self.new_node("aurora.example"), self.new_node("boreal.example")
        north.add_peer(south.card_path)
        south.add_peer(north.card_path)
        agreement = copy.deepcopy(AGREEMENT) | {"parties": ["aurora.example", "boreal.example"]}
        path = os.path.join(self.folder, "terms.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(agreement, file)
        channel = north.text("channel", "open", "--with", south.name, "--terms", path, "--alias", "line")
        wait_for(lambda: south.run("channel", "accept", channel, "--alias", "line", check=False).returncode == 0)
        wait_for(lambda: north.channel("line")["state"] == south.channel("line")["state"] == "open")

        def send(node, kind, body, **draft):
            draft = {"channel": "line", "kind": kind, "body": body, **draft}
            return node.api("POST", "/messages?wait=receipt&timeout=20", json.dumps(draft).encode())["message"]

        for asking, asked in ((north, south), (south, north)):
            for outcome in ("granted", "refused", None):
                message = send(asking, "request.information", REQUEST)
                if outcome:
                    send(asked, "answer.response", changed("answer.response", outcome=outcome), reply_to=message)
        send(north, "incident.notification", INCIDENT)

        def digests(node, at=None):
            shown = node.api("GET", "/ledger?channel=line" + (f"&at={at}" if at else ""))
            return shown["evidence_digest"], shown["state_digest"], shown["evidence_until"]

        wait_for(lambda: digests(north) == digests(south))
        at = digests(north)[2]
        for node in (north, south):
            before = digests(node, at)
            node.stop()
            node.start()
            self.assertEqual(digests(node, at), before)
        self.assertEqual(digests(north, at), digests(south, at))
        for node in (north, south):
            lines = [node.api_bytes("GET", f"/ledger/lines?channel=line&what={what}&at={at}")
                     for what in ("evidence", "state")]  # fmt: skip
            self.assertEqual(tuple(formats.sha256(text).hex() for text in lines), digests(node, at)[:2])
        shown = south.api("GET", "/ledger?channel=line")
        self.assertEqual({row["message"] for row in shown["obligations"] if row["mine"] and row["type"] == "answer"},
                         {row["message"] for row in north.api("GET", "/ledger?channel=line")["obligations"]
                          if not row["mine"] and row["type"] == "answer" and row["debtor"] == south.name})  # fmt: skip


if __name__ == "__main__":
    unittest.main()
