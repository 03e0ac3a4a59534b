"""Keys that change: rotation and revocation among real nodes, with a member away, and a node killed in the middle."""

import json
import os
import subprocess
import time
import unittest

import formats
from node import BUILD, EXAMPLES, wait_for
from outside import OutsideTest

NAMES = ["aurora.example", "boreal.example", "cobalt.example"]


class Keys(OutsideTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.nodes = [cls.new_node(name) for name in NAMES]
        cls.aurora, cls.boreal, cls.cobalt = cls.nodes
        for node in cls.nodes:
            for other in cls.nodes:
                if other is not node:
                    node.add_peer(other.card_path)
        others = [part for name in NAMES[1:] for part in ("--with", name)]
        terms = os.path.join(os.path.dirname(__file__), "../../examples/terms.json")
        channel = cls.aurora.json("channel", "open", *others, "--terms", terms, "--alias", "line")["id"]
        for node in cls.nodes[1:]:
            wait_for(lambda node=node: node.json("channel", "list")["channels"])
            node.run("channel", "accept", channel, "--alias", "line")
        wait_for(lambda: all(node.channel("line")["state"] == "open" for node in cls.nodes))

    # ---- what is looked at ------------------------------------------------------------------------------------------

    def card(self, node):
        return formats.card_parse(node.text("card").encode() + b"\n")

    def say(self, node, wait=True):
        more = ["--wait", "receipt", "--timeout", "20"] if wait else []
        return node.text("send", "contact.check", "--channel", "line", *more).splitlines()[-1]

    def kinds(self, node, writer):
        rows = node.json("list", "--channel", "line")["messages"]
        mine = [row for row in rows if row["message"].split("/")[1] == writer]
        return [row["kind"] for row in sorted(mine, key=lambda row: int(row["message"].split("/")[2]))]

    def settled(self):
        """every member holds every log as its writer does, and nobody saw a fork"""
        sizes = [{m["name"]: (m["size"], m["frozen"]) for m in node.channel("line")["members"]} for node in self.nodes]
        return all(row == sizes[0] for row in sizes) and not any(frozen for _, frozen in sizes[0].values())

    # ---- rotation ---------------------------------------------------------------------------------------------------

    def test_1_rotate__goes_on_under_new_keys(self):
        before = self.card(self.aurora)
        self.say(self.aurora)
        self.aurora.run("key", "rotate", "log", "receipt", "age")
        after = self.card(self.aurora)
        self.assertEqual(after["serial"], before["serial"] + 1)
        for key in ("log", "receipt", "age"):
            self.assertNotEqual(after[key], before[key])
        self.assertEqual(after["tls"], before["tls"])
        self.assertEqual([row["key"] for row in after["former"]], ["log", "receipt", "age"])
        for node in self.nodes:
            self.say(node)
        wait_for(self.settled)
        self.assertEqual(self.kinds(self.cobalt, NAMES[0]).count("channel.rotate"), 1)
        held = formats.card_parse(self.boreal.text("peer", "show", NAMES[0], "--card").encode() + b"\n")
        self.assertEqual(held["serial"], after["serial"])  # peers know the card without being given it

    def test_2_rotate__twice_while_a_member_is_away(self):
        self.cobalt.stop()
        said = []
        for _ in range(2):
            self.aurora.run("key", "rotate", "log", "receipt")
            said.append(self.say(self.aurora, wait=False))
            said.append(self.say(self.boreal, wait=False))
        self.cobalt.start()
        wait_for(self.settled)
        self.assertEqual(self.kinds(self.cobalt, NAMES[0]), self.kinds(self.aurora, NAMES[0]))
        self.say(self.cobalt)

    def test_3_rotate__after_a_restart_the_same_keys(self):
        self.aurora.stop()
        self.aurora.start()
        self.say(self.aurora)
        wait_for(self.settled)
        old = self.aurora.text("list", "--channel", "line")
        self.assertIn("Rotation of keys", old)
        first = self.aurora.json("list", "--channel", "line")["messages"]
        opened = self.aurora.text("open", next(row["message"] for row in first if row["kind"] == "contact.check"))
        self.assertIn("nonce", opened)  # sealed to the age key of before

    def test_4_revoke__what_all_had_stands(self):
        stands = self.say(self.aurora)
        wait_for(self.settled)
        self.cobalt.stop()
        after_cutoff = self.say(self.aurora, wait=False)
        wait_for(lambda: self.boreal.run("show", after_cutoff, check=False).returncode == 0)
        before = self.card(self.aurora)
        self.aurora.run("key", "revoke", "log", "--reason", "compromise")
        after = self.card(self.aurora)
        self.assertEqual([row["revoked"] for row in after["former"] if row["value"] == before["log"]], [True])
        self.cobalt.start()
        later = self.say(self.aurora)
        wait_for(self.settled)
        for node in self.nodes:  # the same on all sides, whatever came first
            contested = {name: node.json("show", name)["contested"] for name in (stands, after_cutoff, later)}
            self.assertIsNone(contested[stands])
            self.assertIn(f"card {after['serial']} of aurora.example revoked", contested[after_cutoff])
            self.assertIsNone(contested[later])
            self.assertIn("contested", node.text("show", after_cutoff).lower())
        self.say(self.boreal)

    def digests(self):
        """what each ledger says of the line"""
        return [node.text("ledger", "--channel", "line", "--digest") for node in self.nodes]

    def test_4a_revoke__duties_of_what_is_contested_say_so(self):
        body = os.path.join(EXAMPLES, "request.information.json")
        ask = ["send", "request.information", "--channel", "line", "--body", body]
        wait_for(self.settled)
        self.cobalt.stop()  # so that the cutoff lies before what is asked now
        asked = self.aurora.text(*ask).splitlines()[-1]
        wait_for(lambda: self.boreal.run("show", asked, check=False).returncode == 0)
        self.aurora.run("key", "revoke", "log", "--reason", "compromise")
        self.cobalt.start()
        later = self.aurora.text(*ask, "--wait", "receipt", "--timeout", "30").splitlines()[-1]
        wait_for(self.settled)
        wait_for(lambda: len(set(self.digests())) == 1)
        for node in self.nodes:
            rows = node.json("ledger", "--channel", "line")["obligations"]
            marks = {message: {row["contested"] for row in rows if row["message"] == message} for message in (asked, later)}
            self.assertEqual(marks, {asked: {True}, later: {False}})
            self.assertIn(", contested", node.text("ledger", "--channel", "line"))
        self.boreal.stop()  # the ledger is made anew, with all there at once
        self.boreal.start()
        wait_for(lambda: len(set(self.digests())) == 1)

    def test_4b_prove__under_the_newest_key(self):
        message = self.say(self.aurora)
        old = self.card(self.aurora)
        self.aurora.run("key", "rotate", "log", "receipt")
        self.say(self.aurora)
        self.say(self.boreal)
        wait_for(self.settled)
        base = os.path.join(self.aurora.dir, "proof")
        self.boreal.run("prove", message, "-o", base)
        with open(base + ".policy", encoding="utf-8") as file:
            policy = file.read()
        self.assertNotIn(formats.vkey(policy.split()[1].split("+")[0], formats.ED25519, bytes.fromhex(old["log"])), policy)
        card = os.path.join(self.aurora.dir, "card")
        more = [part for node in self.nodes[1:] for part in ("--card", node.card_path)]
        told = self.boreal.text("verify", base + ".tlog-proof", "--card", card, *more)
        self.assertIn("VALID", told)
        self.assertIn("as on its card", told)

    def test_5_rotate__killed_anywhere_is_old_or_new(self):
        for delay in (0.0, 0.01, 0.02, 0.04, 0.08):
            serial = self.card(self.aurora)["serial"]
            command = [os.path.join(BUILD, "entente"), "key", "rotate", "log", "--dir", self.aurora.dir]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as rotating:
                time.sleep(delay)
                self.aurora.kill()
                rotating.wait(20)
            self.aurora.start()
            wait_for(lambda: not os.path.exists(os.path.join(self.aurora.dir, "store", "card.next")))
            now = self.card(self.aurora)["serial"]
            self.assertIn(now, (serial, serial + 1))
            if now == serial:  # the same command again: what lay there of the try is used
                self.aurora.run("key", "rotate", "log")
            self.say(self.aurora)
        wait_for(self.settled)

    def test_8_tls__old_then_new_certificate(self):
        self.aurora.run("key", "rotate", "tls")
        self.say(self.aurora)
        self.say(self.boreal)
        wait_for(lambda: self.aurora.api("GET", "/keys")["known"])
        used = self.aurora.api("GET", "/keys")["tls_in_use"]
        self.aurora.stop()
        self.aurora.start()
        self.assertGreater(self.aurora.api("GET", "/keys")["tls_in_use"], used)
        self.say(self.aurora)
        self.say(self.boreal)

    def test_9_root__the_committed_key_takes_over(self):
        before = self.card(self.aurora)
        self.aurora.run("key", "rotate", "root")
        self.aurora.run("key", "rotate", "log")
        self.assertNotEqual(self.card(self.aurora)["root"], before["root"])
        self.say(self.aurora)
        wait_for(self.settled)

    def test_9b_root__several_while_a_member_is_away(self):
        self.cobalt.stop()
        for _ in range(3):
            self.aurora.run("key", "rotate", "root")
            self.say(self.aurora, wait=False)
        self.aurora.run("key", "rotate", "log", "receipt")
        card = self.card(self.aurora)
        self.say(self.aurora, wait=False)
        self.cobalt.start()
        wait_for(self.settled)
        self.say(self.cobalt)
        self.say(self.aurora)
        held = formats.card_parse(self.cobalt.text("peer", "show", NAMES[0], "--card").encode() + b"\n")
        self.assertEqual(held["root"], card["root"])
        self.assertEqual(len(card["roots"]), 4)  # with that of the test before

    # ---- refusals ---------------------------------------------------------------------------------------------------

    def test_6_without_the_root_key_nothing_is_made(self):
        keys = sorted(os.listdir(os.path.join(self.aurora.dir, "keys")))
        with_none = self.aurora.run("key", "rotate", "log", "--root-dir", self.aurora.dir, check=False)
        self.assertEqual(with_none.returncode, 1)
        self.assertIn("--root-dir", with_none.stderr.decode())
        other = self.aurora.run("key", "rotate", "log", "--root-dir", os.path.join(self.boreal.dir, "root"), check=False)
        self.assertEqual(other.returncode, 1)
        self.assertEqual(sorted(os.listdir(os.path.join(self.aurora.dir, "keys"))), keys)

    def test_7_a_rotation_of_another_party_is_refused(self):
        state = self.boreal.api("GET", "/keys")
        bundle = {"card": state["card"], "cutoffs": {}}
        with self.assertRaises(AssertionError):
            self.aurora.api("POST", "/keys", json.dumps(bundle).encode())
        for broken in (b"{}", b"[]", b'{"card":"x","cutoffs":{}}', b"x"):
            with self.assertRaises(AssertionError):
                self.aurora.api("POST", "/keys", broken)
        self.say(self.aurora)


if __name__ == "__main__":
    unittest.main()
