"""A member that was away for more than one pouch holds, while the other's log key was rotated and then revoked: by network
and by hand."""

import json
import os
import unittest

from node import EXAMPLES, wait_for
from outside import CHECK, OutsideTest

AURORA, BOREAL, COBALT = "aurora.example", "boreal.example", "cobalt.example"
LONG_BYTES = 7 << 20
BEFORE, AFTER = 6, 6  # long messages before the rotation, and between it and the revocation: 84 MiB in all


class Absence(OutsideTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.aurora, cls.boreal = cls.new_node(AURORA), cls.new_node(BOREAL)
        cls.cobalt = cls.new_node(COBALT, air_gapped=True)
        nodes = (cls.aurora, cls.boreal, cls.cobalt)
        for node in nodes:
            for other in nodes:
                if other is not node:
                    node.add_peer(other.card_path)
        terms = os.path.join(EXAMPLES, "terms.json")
        channel = cls.aurora.json("channel", "open", "--with", BOREAL, "--with", COBALT, "--terms", terms, "--alias", "line")
        wait_for(lambda: cls.boreal.json("channel", "list")["channels"])
        cls.boreal.run("channel", "accept", channel["id"], "--alias", "line")
        cls.stick = os.path.join(cls.folder, "stick")
        os.mkdir(cls.stick)
        wait_for(lambda: cls.aurora.member("line", BOREAL)["size"] == 1)
        cls.carry(cls.aurora, cls.cobalt, "invitation")
        cls.cobalt.run("channel", "accept", channel["id"], "--alias", "line")
        cls.carry(cls.cobalt, cls.aurora, "accepted")
        cls.carry(cls.cobalt, cls.boreal, "accepted too")
        wait_for(lambda: cls.boreal.channel("line")["state"] == "open")
        wait_for(lambda: cls.aurora.member("line", BOREAL)["receipted_by_them"] == 1)
        cls.carry(cls.aurora, cls.cobalt, "opened")
        cls.carry(cls.cobalt, cls.aurora, "receipts")

    @classmethod
    def carry(cls, giver, taker, name):
        """What giver has for taker, on a stick; gives what both said of it"""
        path = os.path.join(cls.stick, name)
        told = giver.json("pouch", "export", "--channel", "line", "--to", taker.name, "-o", path)
        return told, taker.json("pouch", "import", path)

    def say(self, count):
        path = os.path.join(self.folder, "long.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(CHECK | {"rest": "x" * LONG_BYTES}, file)
        for _ in range(count):
            self.aurora.run("send", "contact.check", "--channel", "line", "--body", path)

    def test_1_away__rotation_and_revocation_and_more_than_a_pouch(self):
        self.boreal.stop()
        self.say(BEFORE)
        self.aurora.run("key", "rotate", "log")
        self.say(AFTER)
        self.aurora.run("key", "revoke", "log", "--reason", "compromise")
        size = self.aurora.member("line", AURORA)["size"]
        self.assertEqual(size, 1 + BEFORE + 1 + AFTER + 1)
        self.boreal.start()
        wait_for(lambda: self.boreal.member("line", AURORA)["size"] == size)
        delivered = [line for line in self.aurora.log().splitlines() if "pouch.delivered" in line and BOREAL in line]
        self.assertGreaterEqual(sum("bytes=3" in line or "bytes=4" in line for line in delivered), 2, delivered)
        self.boreal.run("audit")

    def test_2_stream__what_is_left_out_is_told(self):
        done = self.aurora.run("pouch", "export", "--channel", "line", "--to", COBALT, "-o", "-")
        self.assertIn("there is more", done.stderr.decode())
        with self.assertRaises(AssertionError):
            self.aurora.api_bytes("GET", f"/pouches?channel=line&to={COBALT}&old=1000000")

    def test_3_by_hand__all_of_it_lies_on_the_stick(self):
        size = self.aurora.member("line", AURORA)["size"]
        path = os.path.join(self.stick, "all")
        text = self.aurora.text("pouch", "export", "--channel", "line", "--to", COBALT, "-o", path)
        further = sorted(name for name in os.listdir(path + ".d") if name.startswith(AURORA))
        self.assertGreaterEqual(len(further), 2)
        self.assertEqual(further[0], f"{AURORA}_002.pouch")
        self.assertIn("goes on with the log of aurora.example", text)
        told = self.cobalt.json("pouch", "import", path, "--reply", os.path.join(self.stick, "reply"))
        self.assertLess(told["size"], size)
        self.assertEqual([row["problem"] for row in told["others"]], [None] * len(told["others"]))
        self.assertEqual(self.cobalt.member("line", AURORA)["size"], size)
        self.assertFalse(self.cobalt.member("line", AURORA)["frozen"])
        self.cobalt.run("audit")
        self.aurora.run("pouch", "import", os.path.join(self.stick, "reply"))
        held = next(m for m in self.aurora.channel("line")["members"] if m["name"] == AURORA)
        self.assertIn({"by": COBALT, "size": size}, [{"by": r["by"], "size": r["size"]} for r in held["receipted_by"]])
        # Nothing more is lacking: one file, and nothing beside it
        told = self.aurora.json("pouch", "export", "--channel", "line", "--to", COBALT, "-o", path + "2")
        self.assertEqual(told["others"], [])


if __name__ == "__main__":
    unittest.main()
