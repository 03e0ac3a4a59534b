"""Three parties, of whom one has no network: what the other two say to each other reaches it on a stick, its receipts and
answers go back the same way, and each hears of all."""

import json
import os
import time
import unittest
from unittest import mock

from formats import Pouch
from node import EXAMPLES, CliError, Node, wait_for
from outside import OutsideTest


class Stick(OutsideTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.aurora = cls.new_quick("aurora.example")
        cls.boreal = cls.new_quick("boreal.example")
        cls.cobalt = cls.new_quick("cobalt.example", air_gapped=True)
        nodes = (cls.aurora, cls.boreal, cls.cobalt)
        for node in nodes:
            for other in nodes:
                if other is not node:
                    node.add_peer(other.card_path)
        cls.channel = cls.aurora.text(
            "channel", "open", "--with", "boreal.example", "--with", "cobalt.example",
            "--terms", os.path.join(EXAMPLES, "terms.json"), "--alias", "line",
        )  # fmt: skip
        wait_for(lambda: cls.boreal.run("channel", "accept", cls.channel, "--alias", "line", check=False).returncode == 0)
        wait_for(lambda: cls.aurora.member("line", "boreal.example")["receipted_by_them"] == 1)

    @classmethod
    def new_quick(cls, name, **options):
        """A node that carries others' logs after a second."""
        node = Node(cls.folder, name, **options)
        path = os.path.join(node.dir, "node.json")
        with open(path, encoding="utf-8") as file:
            configuration = json.load(file)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(configuration | {"forward_delay_s": 1}, file)
        node.start()
        cls.addClassCleanup(node.stop)
        return node

    def path(self, name):
        return os.path.join(self.folder, name)

    def say(self, node, count):
        for _ in range(count):
            node.run("send", "contact.check", "--channel", "line", "--body", os.path.join(EXAMPLES, "contact.check.json"))

    def test_1__invitation_goes_alone_and_its_answer_opens_the_channel_for_all(self):
        told = self.aurora.json("pouch", "export", "--channel", "line", "--to", "cobalt.example", "-o", self.path("0"))
        self.assertEqual(told["others"], [])
        self.assertFalse(os.path.exists(self.path("0.d")))
        self.assertIn("invites us", self.cobalt.text("pouch", "import", self.path("0")))
        self.cobalt.run("channel", "accept", self.channel, "--alias", "line")
        self.cobalt.run("pouch", "export", "--channel", "line", "--to", "aurora.example", "-o", self.path("1"))
        self.aurora.run("pouch", "import", self.path("1"))
        wait_for(lambda: self.aurora.channel("line")["state"] == "open")
        wait_for(lambda: self.boreal.channel("line")["state"] == "open")  # Aurora has carried Cobalt's log there
        self.assertEqual(self.cobalt.channel("line")["state"], "opening")  # it has not seen Boreal's yet

    def test_2__logs_of_others_lie_beside_and_the_receipts_come_back(self):
        self.say(self.aurora, 2)
        self.say(self.boreal, 3)
        wait_for(lambda: self.aurora.member("line", "boreal.example")["size"] == 4)
        rows = [row for row in self.aurora.status()["lacking"] if row["of"] == "boreal.example"]
        self.assertEqual([(row["peer"], row["size"], row["confirmed"]) for row in rows], [("cobalt.example", 4, 0)])
        self.assertIn("lacks 4 of the 4 entries of boreal.example", self.aurora.text("status"))
        self.assertIn("cobalt.example (0, lacks 4)", self.aurora.text("channel", "show", "line"))
        text = self.aurora.text("pouch", "export", "--channel", "line", "--to", "cobalt.example", "-o", self.path("2"))
        self.assertIn("what cobalt.example lacks of the log of boreal.example", text)
        self.assertEqual(os.listdir(self.path("2.d")), ["boreal.example.pouch"])
        told = self.cobalt.json("pouch", "import", self.path("2"), "--reply", self.path("3"))
        self.assertEqual((told["from"], told["new"]), ("aurora.example", 2))
        (other,) = told["others"]
        self.assertEqual((other["answer"]["from"], other["answer"]["new"]), ("boreal.example", 4))
        self.assertFalse(os.path.exists(self.path("3.d")))
        self.assertEqual(self.cobalt.channel("line")["state"], "open")
        self.say(self.cobalt, 1)
        self.cobalt.run("pouch", "export", "--channel", "line", "--to", "aurora.example", "-o", self.path("3"))
        self.aurora.run("pouch", "import", self.path("3"))
        wait_for(lambda: self.boreal.member("line", "cobalt.example")["size"] == 2)
        self.assertEqual(self.boreal.member("line", "cobalt.example")["receipted_by_them"], 4)
        # What Cobalt said last came by hand: it learns of the receipts by hand too.
        self.aurora.run("pouch", "export", "--channel", "line", "--to", "cobalt.example", "-o", self.path("4"))
        self.cobalt.run("pouch", "import", self.path("4"))
        message = self.cobalt.json("show", "line/cobalt.example/1")
        self.assertIn("aurora.example", {row["by"] for row in message["receipts"]})

        def both():
            """Boreal's receipt, which Aurora was brought by Boreal, reaches Cobalt on the next stick"""
            self.aurora.run("pouch", "export", "--channel", "line", "--to", "cobalt.example", "-o", self.path("5"))
            self.cobalt.run("pouch", "import", self.path("5"))
            return len(self.cobalt.json("show", "line/cobalt.example/1")["receipts"]) == 2

        wait_for(both)
        text = self.cobalt.text("show", "line/cobalt.example/1")
        self.assertIn("aurora.example signed at", text)
        self.assertIn("boreal.example signed at", text)

    def test_3__spoilt_log_beside_is_named_and_the_rest_is_taken(self):
        self.say(self.aurora, 1)
        self.say(self.boreal, 1)
        wait_for(lambda: self.aurora.member("line", "boreal.example")["size"] == 5)
        self.aurora.run("pouch", "export", "--channel", "line", "--to", "cobalt.example", "-o", self.path("6"))
        beside = os.path.join(self.path("6.d"), "boreal.example.pouch")
        with open(beside, "r+b") as file:
            data = bytearray(file.read())
            data[-1500] ^= 1
            file.seek(0)
            file.write(data)
        done = self.cobalt.run("pouch", "import", self.path("6"), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("aurora.example: 1 new entry", done.stdout.decode())
        self.assertIn(f"{beside}: not taken", done.stdout.decode())
        self.assertIn("1 pouch beside the first", done.stderr.decode())
        self.aurora.run("pouch", "export", "--channel", "line", "--to", "cobalt.example", "-o", self.path("6"))
        self.assertIn("boreal.example: 1 new entry", self.cobalt.text("pouch", "import", self.path("6")))

    def test_4__nobody_can_ask_for_what_makes_no_sense(self):
        for of in ("cobalt.example", "dorado.example"):
            with self.assertRaises(AssertionError):
                self.aurora.api_bytes("GET", f"/pouches?channel=line&to=cobalt.example&of={of}")
        with self.assertRaises(CliError):
            self.aurora.run("pouch", "export", "--channel", "line", "--to", "aurora.example", "-o", self.path("7"))


class Dated(OutsideTest):
    """A receiver chooses the time in its receipt; where that cannot be, it shows."""

    def test_receipts__dated_ahead_or_before_their_message_are_flagged_and_kept(self):
        node = self.new_node("aurora.example")
        party = self.new_party("vega.example", node)
        channel = self.open_with(party, node, "line")
        delta = node.channel("line")["delta_s"]
        check = os.path.join(EXAMPLES, "contact.check.json")
        for off, flag in ((0, None), (delta + 600, "later than it arrived"), (-delta - 600, "before the message")):
            message = node.text("send", "contact.check", "--channel", "line", "--body", check)
            data = node.api_bytes("GET", f"/pouches?channel={channel.id}&to={party.name}")
            with mock.patch("peer.time.time", return_value=time.time() + off):
                channel.take(Pouch.parse(data))
            self.deliver(channel, node)
            (row,) = node.json("show", message)["receipts"]
            self.assertEqual(row["by"], party.name)
            if flag is None:
                self.assertIsNone(row["flag"])
            else:
                self.assertIn(flag, row["flag"])
                self.assertIn(row["flag"], node.text("show", message))


class Configured(OutsideTest):
    def test_forward_delay__that_is_none_is_refused_with_the_reason(self):
        node = Node(self.folder, "aurora.example")
        path = os.path.join(node.dir, "node.json")
        with open(path, encoding="utf-8") as file:
            configuration = json.load(file)
        for bad in (0, -1, "20", 86401, None):
            with open(path, "w", encoding="utf-8") as file:
                json.dump(configuration | {"forward_delay_s": bad}, file)
            with self.assertRaises(AssertionError):
                node.start()
            self.assertIn("forward_delay_s", node.log())
            os.truncate(node.log_path, 0)


if __name__ == "__main__":
    unittest.main()
