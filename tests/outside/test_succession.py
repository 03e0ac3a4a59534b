"""A channel that succeeds another: what was open there is owed here, by the clock of there; who accepts it compares."""

import json
import os
import unittest

from node import EXAMPLES, CliError, wait_for
from outside import OutsideTest

TERMS = os.path.join(EXAMPLES, "terms.json")


def example(kind):
    return os.path.join(EXAMPLES, f"{kind}.json")


class Succession(OutsideTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.aurora = cls.new_node("aurora.example")
        cls.boreal = cls.new_node("boreal.example")
        cls.aurora.add_peer(cls.boreal.card_path)
        cls.boreal.add_peer(cls.aurora.card_path)
        cls.open("north", "--with", "boreal.example")
        cls.asked = cls.send(cls.aurora, "request.information", "north")
        cls.answered = cls.send(cls.boreal, "request.information", "north")
        cls.warned = cls.send(cls.boreal, "incident.early-warning", "north")
        cls.send(cls.aurora, "answer.acknowledgement", "north", "--reply-to", cls.answered)
        cls.send(cls.aurora, "answer.response", "north", "--reply-to", cls.answered)
        wait_for(cls.alike)

    @classmethod
    def open(cls, alias, *how, accept=True):
        channel = cls.aurora.text("channel", "open", *how, "--terms", TERMS, "--alias", alias)

        def state(node):
            return {row["id"]: row["state"] for row in node.json("channel", "list")["channels"]}.get(channel)

        wait_for(lambda: state(cls.boreal) == "invited")
        if accept:
            cls.boreal.run("channel", "accept", channel, "--alias", alias)
            wait_for(lambda: state(cls.aurora) == state(cls.boreal) == "open")
        return channel

    @staticmethod
    def send(node, kind, channel, *how):
        more = ["--body", example(kind), "--wait", "receipt", "--timeout", "20"]
        return node.text("send", kind, "--channel", channel, *more, *how)

    @classmethod
    def digests(cls, channel):
        return [json.loads(node.run("ledger", "--channel", channel, "--digest", "--json").stdout) for node in
                (cls.aurora, cls.boreal)]  # fmt: skip

    @classmethod
    def alike(cls):
        """both ledgers hold the same evidence"""
        ours, theirs = cls.digests("north")
        return ours == theirs

    @staticmethod
    def duties(node, channel):
        rows = node.json("ledger", "--channel", channel)["obligations"]
        return {(row["kind"], row["type"], row["debtor"]): row for row in rows}

    def test_successor__owes_what_was_open(self):
        before = self.duties(self.aurora, "north")
        channel = self.open("south", "--succeeds", "north")
        shown = self.boreal.json("channel", "show", channel)
        self.assertEqual(shown["succeeds"], self.boreal.json("channel", "show", "north")["id"])
        self.assertEqual(self.boreal.json("channel", "show", "north")["succeeded_by"], channel)
        owed = {(row["message"], row["duty"], row["debtor"]) for row in shown["carried"]}
        index = self.asked.split("/")[-1]
        self.assertIn((f"aurora.example/{index}", "answer", "boreal.example"), owed)
        self.assertNotIn(self.answered.split("/", 1)[1], {message for message, _, _ in owed})
        expected = {key for key in before if key[0] in ("request.information", "incident.early-warning")
                    and before[key]["state"] in ("open", "overdue")}  # fmt: skip

        def said_again():
            """both have said again what was open"""
            return all(expected <= set(self.duties(node, "south")) for node in (self.aurora, self.boreal))

        wait_for(said_again)
        wait_for(lambda: self.digests("south")[0] == self.digests("south")[1])
        after = self.duties(self.boreal, "south")
        for key in expected:
            self.assertEqual(after[key]["due"], before[key]["due"], key)
            self.assertEqual(after[key]["started"]["event"], "carried over", key)
        asked = after["request.information", "answer", "boreal.example"]["message"]
        self.send(self.boreal, "answer.response", "south", "--reply-to", asked)
        done = wait_for(lambda: ("request.information", "answer", "boreal.example") not in self.duties(self.boreal, "south"))
        self.assertTrue(done)
        said = {node.name: node.channel("south")["members"] for node in (self.aurora, self.boreal)}
        for node in (self.aurora, self.boreal):  # nothing is said a second time
            node.stop()
            node.start()
        self.send(self.aurora, "contact.nomination", "south")
        sizes = {row["name"]: row["size"] for row in self.aurora.channel("south")["members"]}
        self.assertEqual(sizes["boreal.example"], {row["name"]: row["size"] for row in said["boreal.example"]}["boreal.example"])
        self.assertEqual(sizes["aurora.example"], {row["name"]: row["size"] for row in said["aurora.example"]}["aurora.example"] + 1)

    def test_successor__is_of_the_heads_that_it_names(self):
        """What is said after the invitation is of no concern to who accepts it."""
        self.send(self.aurora, "request.preservation", "north")
        channel = self.open("east", "--succeeds", "north", accept=False)
        self.send(self.aurora, "request.preservation", "north")
        self.boreal.run("channel", "accept", channel, "--alias", "east")

    def test_successor__of_which_there_is_one_already_is_warned_of(self):
        self.open("base", "--with", "boreal.example")
        how = ["--succeeds", "base", "--terms", TERMS]
        one = self.aurora.run("channel", "open", *how, "--alias", "one")
        self.assertNotIn(b"beware", one.stderr)
        one = one.stdout.decode().strip()

        def state(channel):
            return {row["id"]: row["state"] for row in self.boreal.json("channel", "list")["channels"]}.get(channel)

        wait_for(lambda: state(one) == "invited")
        accepted = self.boreal.run("channel", "accept", one, "--alias", "one")
        self.assertNotIn(b"beware", accepted.stderr)
        two = self.boreal.run("channel", "open", *how, "--alias", "two")  # another member's
        self.assertIn(b"one succeeds the same channel (it is ours too)", two.stderr)
        two = two.stdout.decode().strip()
        wait_for(lambda: [row["id"] for row in self.aurora.json("channel", "show", one)["also_succeeding"]] == [two])
        shown = self.aurora.run("channel", "show", one)
        self.assertIn(b"we are invited to it", shown.stderr)
        accepted = self.aurora.run("channel", "accept", two, "--alias", "two")
        self.assertIn(b"one succeeds the same channel", accepted.stderr)
        three = self.aurora.run("channel", "open", *how, "--alias", "three")
        self.assertEqual(three.stderr.count(b"beware"), 2)
        three = three.stdout.decode().strip()
        wait_for(lambda: state(three) == "invited")
        self.boreal.run("channel", "refuse", three)  # and is no rival any more
        rivals = {row["id"] for row in self.boreal.json("channel", "show", one)["also_succeeding"]}
        self.assertEqual(rivals, {two})

    def test_successor__needs_an_open_channel(self):
        with self.assertRaisesRegex(CliError, "no channel"):
            self.aurora.run("channel", "open", "--succeeds", "nowhere", "--terms", TERMS)


if __name__ == "__main__":
    unittest.main()
