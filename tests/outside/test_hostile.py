"""A peer that means no good, and crashes: floods of messages that cannot be read, checks without end, receipts of any
date, consents in another's name. The node goes on answering, says of each message what is wrong with it once, and its
ledger stays that of the second implementation."""

import json
import os
import random
import threading
import time
import unittest

import formats
from node import wait_for
from test_ledger import AGREEMENT, REQUEST, LedgerTest, changed, example

NONSENSE = b"not json"


class Hostile(LedgerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.new_node("aurora.example")
        cls.party = cls.new_party("vega.example", cls.node, listens=True)

    def answer(self, channel, party_index):
        draft = {
            "channel": channel,
            "kind": "answer.acknowledgement",
            "reply_to": f"{channel}/{self.party.name}/{party_index}",
            "body": example("answer.acknowledgement"),
        }
        return self.node.api("POST", "/messages", json.dumps(draft).encode())["index"]

    def scheduled(self):
        return {"fields": {"nonce": os.urandom(16).hex(), "reply_by": "2036-01-01T00:00:00Z", "scheduled": True}}

    def give_receipts_again(self):
        """Those that a crash of the node lost on their way, as a node carries all that the other may lack."""
        with self.party.lock:
            for _, _, note in self.channel.logs[self.node.name].receipts[self.party.name]:
                pouch = self.channel.pouch(self.node.name)
                pouch.receipts = [(self.party.name, note)]
                self.assertEqual(self.party.to[self.node.name].post(pouch).status, 200)

    def assert_quiet(self):
        """The node says nothing more."""

        def quiet():
            """its log does not grow"""
            before = self.node.held(self.alias)
            time.sleep(2)
            return self.node.held(self.alias) == before

        wait_for(quiet)

    def test_flood__what_was_asked_in_between_can_be_answered__flood(self):
        other = self.open_under(self.party, self.node, "beside", AGREEMENT)
        with self.party.lock:
            for _ in range(20):  # a receipt each: more than a node remembers
                self.channel.say("request.information", NONSENSE)
                self.deliver(self.channel, self.node)
            asked = self.channel.say("request.information", REQUEST)
            self.deliver(self.channel, self.node)
            for _ in range(600):
                self.channel.say("request.information", NONSENSE)
            self.deliver(self.channel, self.node)
        begun = time.monotonic()
        self.answer(self.alias, asked)
        with self.party.lock:
            asked = other.say("request.information", REQUEST)
            self.deliver(other, self.node)
        self.answer("beside", asked)
        self.assertLess(time.monotonic() - begun, 10)
        wait_for(lambda: len(self.notices()) == 620)
        self.assert_agrees()

    def test_checks__without_end_get_an_end_of_answers__checks(self):
        with self.party.lock:
            for _ in range(100):
                self.channel.say("contact.check", self.scheduled())
        self.deliver(self.channel, self.node)
        wait_for(lambda: self.node.held(self.alias)[self.node.name][0] > 16)
        self.assert_quiet()
        self.assertLess(self.node.held(self.alias)[self.node.name][0], 20)
        self.assert_agrees()

    def test_receipts__of_any_date_make_nothing_of_ours_overdue__dates(self):
        self.say("request.information", REQUEST)
        for moment in (0, 1, 4133980800, 253402300799, 253402300800, 2**53, 2**63 - 1):

            def receipt(name, moment=moment):
                log = self.channel.logs[name]
                text = formats.checkpoint_text(log.origin, len(log), log.tree.roots[len(log)])
                line = formats.cosignature_line(text, f"{self.party.name}/entente/receipt", self.party.receipt, moment)
                log.receipts.setdefault(self.party.name, []).append((len(log), moment, text + b"\n" + line))

            self.channel.receipt = receipt
            index = self.send("request.information", REQUEST)
            shown = self.ledger()
            self.assertLess(shown["at"], "2036")
            self.assertEqual(shown["agreement"]["state"], "in-force")
            self.assertEqual({row["state"] for row in shown["obligations"] if row["mine"]}, {"open"})
            self.node.api("GET", f"/threads/{self.ours(index)}")
            for to in ("", "&to=1970-01-01T00:00:00Z", "&to=9999-12-31T23:59:59Z"):
                self.node.api("GET", f"/report?channel={self.alias}&from=1970-01-01T00:00:00Z{to}")

    def test_publish__consent_is_the_writers_own__publish(self):
        def published():
            report = self.node.api("GET", f"/report?channel={self.alias}&publish=1")
            return {row["message"] for row in report["lines"] + report["proofs"]}

        def consent(about, **fields):
            self.send("channel.consent", changed("channel.consent", **fields), reply_to=about)

        ours = self.send("request.information", REQUEST)
        theirs = self.say("request.information", REQUEST)
        for kind in ("channel.consent", "channel.override"):
            for scope in ("message", "thread"):
                body = changed(kind, purpose="report", scope=scope)
                self.say(kind, body, reply_to=f"{self.node.name}/{ours}")
        self.assert_agrees()
        self.assertEqual(published(), set(), "another's consent or override shows our message")
        consent(self.theirs(theirs), purpose="report", scope="thread")
        self.assertEqual(published(), set(), "our consent shows their message")
        consent(self.ours(ours), purpose="disclose", scope="message")
        self.assertEqual(published(), set(), "a consent for another purpose")
        consent(self.ours(ours), purpose="report", scope="message")
        self.assertEqual(published(), {f"{self.node.name}/{ours}"})

    def test_crash__again_and_again_says_nothing_twice__crash(self):
        chance = random.Random(20261122)
        for _ in range(6):
            with self.party.lock:
                for _ in range(30):
                    if chance.random() < 0.5:
                        self.channel.say("request.information", NONSENSE)
                    else:
                        self.channel.say("contact.check", self.scheduled())
            self.deliver(self.channel, self.node)

            def talk():
                try:
                    for _ in range(20):
                        self.send("request.information", REQUEST, wait=False)
                except (AssertionError, OSError, ValueError):
                    pass  # it was killed

            threads = [threading.Thread(target=talk) for _ in range(3)]
            for thread in threads:
                thread.start()
            time.sleep(chance.random() * 0.25)
            self.node.kill()
            for thread in threads:
                thread.join()
            self.node.start()
        own = range(len(self.channel.own))
        wrong = sum(self.channel.entry(self.party.name, index)["kind"] == "request.information" for index in own)
        wait_for(lambda: len(self.notices()) == wrong)
        self.assert_quiet()
        self.give_receipts_again()
        self.assert_agrees()
        answered = set()
        for index in range(len(self.channel.logs[self.node.name])):
            entry = self.channel.entry(self.node.name, index)
            if entry["kind"] == "contact.check":
                self.assertNotIn(entry["reply_to"], answered, "two answers to one check")
                answered.add(entry["reply_to"])
        self.assertGreater(len(answered), 0)


if __name__ == "__main__":
    unittest.main()
