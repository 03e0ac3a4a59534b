"""A body that somebody contests, and the file key that decides: well-formed, and the message counts from when it was
said; or proven bad, and it counts as not said. A wrong key, or anybody else's, decides nothing."""

import json
import unittest

import formats
import kinds
import sealing
from ledger import Evidence, Ledger
from node import wait_for
from outside import INCIDENT, OutsideTest


class Reveal(OutsideTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.new_node("aurora.example")
        cls.party = cls.new_party("vega.example", cls.node)

    def key(self, channel, index):
        sealed = channel.own.bodies[index]
        return sealing.open_sealed(sealed, self.party.identity)[1]

    def reveal(self, channel, index, key=None, name=None):
        name = name or self.party.name
        entry = channel.entry(name, index)
        key = self.key(channel, index) if key is None else key
        fields = {"digest": entry["body"]["digest"], "file_key": key.hex()}
        ref = f"{name}/{index}"
        said = channel.say("channel.reveal", {"fields": fields}, reply_to=ref, thread=entry["thread"] or ref)
        self.deliver(channel, self.node)
        return said

    def shown(self, alias, index, name=None):
        return self.node.api("GET", f"/messages/{alias}/{name or self.party.name}/{index}")

    def wait_shown(self, alias, index, what):
        def is_shown():
            """the node shows what the key has shown"""
            revealed = self.shown(alias, index)["revealed"]
            return revealed is not None and revealed["shows"] == what

        wait_for(is_shown)

    def wait_opened(self, alias, index):
        def opened():
            """the node's ledger has taken it"""
            lines = self.node.api_bytes("GET", f"/ledger/lines?channel={alias}&what=evidence").decode()
            sizes = [line.split()[2] for line in lines.splitlines() if line.startswith(f"log {self.party.name} ")]
            return sizes and int(sizes[0]) > index

        wait_for(opened)

    def wait_contested(self, alias, index):
        def contested():
            """the node has said that the body does not open, or is not valid"""
            return self.shown(alias, index)["contested"]

        return wait_for(contested)

    def lines(self, alias, what):
        return self.node.api_bytes("GET", f"/ledger/lines?channel={alias}&what={what}")

    def assert_twin_agrees(self, channel, alias, unread=(), bad=()):
        def same():
            """the lines of both implementations are the same"""
            logs = {name: [] for name in channel.members}
            receipts, bodies = {}, {}
            for message in self.node.api("GET", f"/messages?channel={alias}")["messages"]:
                name, index = message["party"], message["index"]
                detail = self.node.api("GET", f"/messages/{alias}/{name}/{index}")
                logs[name].append((index, detail["entry"].encode()))
                for row in detail["receipts"]:
                    receipts.setdefault((name, row["by"]), set()).add((row["size"], kinds.parse_time(row["time"])))
                if (name, index) not in unread:
                    bodies[name, index] = self.node.api_bytes("GET", f"/bodies/{alias}/{name}/{index}")
            logs = {name: [entry for _, entry in sorted(rows)] for name, rows in logs.items()}
            evidence = Evidence(channel.genesis_bytes, logs, receipts, bodies, frozenset(bad))
            ledger = Ledger(evidence, evidence.latest())
            return all(self.lines(alias, what) == ledger.lines(what) for what in ("evidence", "state"))

        wait_for(same)

    # ---- their messages ---------------------------------------------------------------------------------------------

    def assert_proven_bad(self, alias, sealed):
        channel = self.open_with(self.party, self.node, alias)
        index = channel.say("incident.notification", sealed=sealed(channel))
        self.deliver(channel, self.node)
        self.wait_contested(alias, index)
        ref = f"{self.party.name}/{index}"
        self.assertIn(f"unread {ref}\n", self.lines(alias, "evidence").decode())
        said = self.reveal(channel, index)
        self.wait_shown(alias, index, "bad")
        self.wait_opened(alias, said)
        self.assertIn(f"bad {ref}\n", self.lines(alias, "evidence").decode())
        self.assertIn(f"refused {ref} proven-bad", self.lines(alias, "state").decode())
        self.assertIn("PROVEN BAD", self.node.text("show", f"{alias}/{ref}"))
        self.assertIn("PROVEN BAD", self.node.text("list", "--channel", alias))
        self.assertNotIn("CONTESTED", self.node.text("show", f"{alias}/{ref}"))
        ledger = self.node.api("GET", f"/ledger?channel={alias}")
        self.assertEqual(ledger["contested"], [])
        self.assertIn("shown its file key", ledger["refused"][0]["reason"])
        return channel, index

    def test_rotate__that_contests_what_no_cutoff_does_is_not_valid(self):
        channel = self.open_with(self.party, self.node, "false-rotate")
        fields = {"serial": 2, "card_digest": "00" * 32, "keys": ["log"], "contested_from": 0}
        index = channel.say("channel.rotate", {"fields": fields})
        self.deliver(channel, self.node)
        self.wait_contested("false-rotate", index)
        self.assertIn("no cutoff", self.shown("false-rotate", index)["contested"])

    def test_bad__a_body_that_is_not_valid(self):
        channel, index = self.assert_proven_bad(
            "invalid", lambda channel: sealing.seal(b'{"fields":{}}', channel.recipients())
        )
        self.assert_twin_agrees(channel, "invalid", unread=[(self.party.name, index)], bad=[(self.party.name, index)])
        self.node.stop()
        self.node.start()
        for border in self.party.to.values():
            border.close()
        self.wait_shown("invalid", index, "bad")
        self.assert_twin_agrees(channel, "invalid", unread=[(self.party.name, index)], bad=[(self.party.name, index)])

    def test_bad__a_body_that_is_sealed_to_its_writer_alone(self):
        self.assert_proven_bad("alone", lambda channel: sealing.seal(json.dumps(INCIDENT).encode(), [self.own(channel)]))

    def own(self, channel):
        return channel.recipients()[sorted(channel.members).index(self.party.name)]

    def test_good__stays_and_counts_as_before(self):
        channel = self.open_with(self.party, self.node, "good")
        index = channel.say("incident.notification", INCIDENT)
        self.deliver(channel, self.node)
        self.wait_opened("good", index)
        said = self.reveal(channel, index)
        self.wait_shown("good", index, "well-formed")
        self.wait_opened("good", said)
        self.assertIn(f"thread {self.party.name}/{index} ", self.lines("good", "state").decode())
        self.assertIn("well-formed", self.node.text("show", f"good/{self.party.name}/{index}"))
        self.assert_twin_agrees(channel, "good")

    def test_nothing__follows_from_another_key_or_another_writer(self):
        channel = self.open_with(self.party, self.node, "nothing")
        index = channel.say("incident.notification", sealed=sealing.seal(b"{}", channel.recipients()))
        self.deliver(channel, self.node)
        self.wait_contested("nothing", index)
        said = self.reveal(channel, index, key=bytes(16))
        self.wait_opened("nothing", said)
        self.assertIsNone(self.shown("nothing", index)["revealed"])
        draft = {"channel": "nothing", "kind": "incident.notification", "body": INCIDENT}
        message = self.node.api("POST", "/messages", json.dumps(draft).encode())["message"]
        self.fetch(channel, self.node)
        ours = int(message.rsplit("/", 1)[1])
        key = sealing.open_sealed(channel.logs[self.node.name].bodies[ours], self.party.identity)[1]
        said = self.reveal(channel, ours, key=key, name=self.node.name)
        self.wait_opened("nothing", said)
        self.assertIsNone(self.shown("nothing", ours, self.node.name)["revealed"])
        self.assert_twin_agrees(channel, "nothing", unread=[(self.party.name, index)])

    # ---- our messages -----------------------------------------------------------------------------------------------

    def test_own__a_false_notice_is_settled(self):
        channel = self.open_with(self.party, self.node, "own")
        draft = {"channel": "own", "kind": "incident.notification", "body": INCIDENT}
        message = self.node.api("POST", "/messages", json.dumps(draft).encode())["message"]
        self.fetch(channel, self.node)
        ref = message.split("/", 1)[1]
        index = int(ref.rsplit("/", 1)[1])
        fields = {"about": ref, "code": "malformed", "reason": "it does not open"}
        channel.say("channel.notice", {"fields": fields}, reply_to=ref, thread=ref)
        self.deliver(channel, self.node)
        self.assertIn("it does not open", self.shown("own", index, self.node.name)["contested"])
        self.assertIn("entente reveal", self.node.text("show", message))
        done = self.node.json("reveal", message, "--reason", "You say that it does not open.")
        self.assertEqual(done["shows"], "well-formed")
        shown = self.shown("own", index, self.node.name)
        self.assertEqual((shown["contested"], shown["revealed"]), (None, {"by": done["message"], "shows": "well-formed"}))
        self.fetch(channel, self.node)
        body, _ = channel.open(self.node.name, int(done["message"].rsplit("/", 1)[1]))
        sealed = channel.logs[self.node.name].bodies[index]
        self.assertEqual(body["fields"]["digest"], formats.sha256(sealed).hex())
        key = bytes.fromhex(body["fields"]["file_key"])
        self.assertTrue(sealing.sealed_as_agreed(sealed, key, channel.recipients()))
        self.assertEqual(body["fields"]["reasons"], "You say that it does not open.")

    def test_own__of_others_or_of_nothing_is_refused(self):
        channel = self.open_with(self.party, self.node, "refused")
        done = self.node.run("reveal", f"refused/{self.party.name}/0", "--json", check=False)
        self.assertEqual((done.returncode, json.loads(done.stderr)["error"]["code"]), (1, "refused"))
        done = self.node.run("reveal", f"refused/{self.node.name}/99", "--json", check=False)
        self.assertEqual((done.returncode, json.loads(done.stderr)["error"]["code"]), (1, "not-found"))
        self.assertEqual(len(channel.own), 1)


if __name__ == "__main__":
    unittest.main()
