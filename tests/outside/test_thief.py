"""Somebody has a party's log key and speaks in its name to one member, who acks it before anybody knows of the theft. Once
the key is revoked, that member's own log goes on everywhere; what the thief signed counts for nothing, whatever came
first."""

import base64
import json
import os
import sqlite3
import unittest
from types import SimpleNamespace

import formats
import kinds
import sealing
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from formats import Pouch
from ledger import Evidence, Ledger
from node import EXAMPLES, wait_for
from outside import CHECK, INCIDENT, OutsideTest
from peer import Channel, Log

NAMES = ["aurora.example", "boreal.example", "cobalt.example"]


class Thief:
    """Has copied the log key and the store of a node that is stopped, and goes on with its log."""

    def __init__(self, node, channel_id):
        keys = os.path.join(node.dir, "keys")
        newest = max((name for name in os.listdir(keys) if name.startswith("log.")), key=len)
        with open(os.path.join(keys, newest), encoding="ascii") as file:
            seed = base64.b64decode(file.read().split("\n")[1])
        store = sqlite3.connect(f"file:{node.dir}/store/store.db?mode=ro", uri=True)
        (genesis,) = store.execute("SELECT genesis FROM channels WHERE id = ?", (bytes.fromhex(channel_id),)).fetchone()
        (number,) = store.execute(
            "SELECT l.number FROM logs l JOIN channels c ON c.number = l.channel WHERE c.id = ? AND l.own = 1",
            (bytes.fromhex(channel_id),),
        ).fetchone()
        rows = store.execute("SELECT entry FROM entries WHERE id >> 40 = ? ORDER BY id", (number,)).fetchall()
        store.close()
        channel = Channel.__new__(Channel)
        channel.party = SimpleNamespace(name=node.name, log=Ed25519PrivateKey.from_private_bytes(seed))
        channel.genesis_bytes, channel.genesis, channel.id = genesis, formats.genesis_decode(genesis), channel_id
        channel.members = {member["name"]: member for member in channel.genesis["members"]}
        channel.logs = {name: Log(f"{name}/entente/{channel_id}") for name in channel.members}
        for (entry,) in rows:
            channel.own.append(entry, None)
        self.channel, self.stolen = channel, len(rows)

    def say(self, kind="incident.notification", body=INCIDENT):
        return self.channel.say(kind, body)

    def pouch(self):
        log = self.channel.own
        pouch = Pouch(log.origin, self.stolen, len(log), checkpoint=log.head, entries=log.entries[self.stolen :])
        pouch.bodies = {index: sealed for index, sealed in log.bodies.items() if index >= self.stolen}
        return pouch.encode()


class Stolen(OutsideTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.nodes = [cls.new_node(name) for name in NAMES]
        cls.aurora, cls.boreal, cls.cobalt = cls.nodes
        for node in cls.nodes:
            for other in cls.nodes:
                if other is not node:
                    node.add_peer(other.card_path)

    def open(self, alias):
        others = [part for name in NAMES[1:] for part in ("--with", name)]
        terms = os.path.join(EXAMPLES, "terms.json")
        channel = self.aurora.json("channel", "open", *others, "--terms", terms, "--alias", alias)["id"]
        for node in self.nodes[1:]:
            wait_for(lambda node=node: [row for row in node.json("channel", "list")["channels"] if row["id"] == channel])
            node.run("channel", "accept", channel, "--alias", alias)
        wait_for(lambda: all(node.channel(alias)["state"] == "open" for node in self.nodes))
        for node in self.nodes:
            self.say(node, alias, "contact.check", None)
        return channel

    def say(self, node, alias, kind="incident.notification", body=INCIDENT, wait=True, **more):
        more = [part for key, value in more.items() for part in ("--" + key.replace("_", "-"), value)]
        if body is not None:
            more += ["--body", "-"]
        if wait:
            more += ["--wait", "receipt", "--timeout", "20"]
        done = node.run("send", kind, "--channel", alias, *more, stdin=json.dumps(body).encode() if body else b"")
        return done.stdout.decode().strip().splitlines()[-1]

    def digests(self, node, alias):
        return [
            [line for line in node.api_bytes("GET", f"/ledger/lines?channel={alias}&what={what}").decode().split("\n")]
            for what in ("evidence", "state")
        ]

    def alike(self, alias, *nodes):
        return all(self.digests(node, alias) == self.digests(nodes[0], alias) for node in nodes)

    def acks(self, node, message):
        return node.json("show", message)["acks"]

    def frozen(self, node, alias, name=NAMES[0]):
        return node.member(alias, name)["frozen"]

    def size(self, node, alias, name):
        return node.member(alias, name)["size"]

    def held(self, node):
        return [row["hold"] for row in node.status()["held"]]

    def steal(self, alias, channel):
        """The thief's two messages at Boreal alone, and Boreal's, which ack each of them."""
        self.aurora.stop()
        thief = Thief(self.aurora, channel)
        thief.say()
        said = [self.give(thief, alias)]
        thief.say()
        thief.say("contact.check", CHECK)
        said.append(self.give(thief, alias))
        return thief, said

    def give(self, thief, alias):
        path = os.path.join(self.folder, "thief.pouch")
        with open(path, "wb") as file:
            file.write(thief.pouch())
        self.boreal.run("pouch", "import", path)
        index = len(thief.channel.own) - 1
        wait_for(lambda: f"{NAMES[0]}/{index}" in self.boreal.text("list", "--channel", alias))
        said = self.say(self.boreal, alias, wait=False)
        entry = json.loads(self.boreal.api("GET", f"/messages/{said}")["entry"])
        acked = [ack["size"] for ack in entry["acks"] if ack["origin"].startswith(NAMES[0])]
        self.assertEqual(acked, [len(thief.channel.own)])
        return said

    def twin_agrees(self, node, alias, channel, thief):
        """The second implementation gets the same from the same evidence."""
        passed = frozenset((NAMES[0], size, root.hex()) for size, root in thief.channel.own.heads.items())
        logs = {name: [] for name in NAMES}
        receipts, bodies = {}, {}
        for message in node.api("GET", f"/messages?channel={channel}")["messages"]:
            name, index = message["party"], message["index"]
            detail = node.api("GET", f"/messages/{channel}/{name}/{index}")
            logs[name].append((index, detail["entry"].encode()))
            for row in detail["receipts"]:
                receipts.setdefault((name, row["by"]), set()).add((row["size"], kinds.parse_time(row["time"])))
            bodies[name, index] = node.api_bytes("GET", f"/bodies/{channel}/{name}/{index}")
        logs = {name: [entry for _, entry in sorted(rows)] for name, rows in logs.items()}
        evidence = Evidence(thief.channel.genesis_bytes, logs, receipts, bodies, passed=passed)
        ledger = Ledger(evidence, evidence.latest())
        return [ledger.lines(what).decode().split("\n") for what in ("evidence", "state")] == self.digests(node, alias)

    def assert_goes_on(self, alias, channel, thief, said):
        """Aurora and Cobalt hold the true log and Boreal's, and compute alike; Boreal hears them both."""
        true = (self.aurora, self.cobalt)
        more = self.say(self.aurora, alias, wait=False)
        answer = self.say(self.cobalt, alias, wait=False)
        spoken = self.say(self.boreal, alias, wait=False)

        def taken():
            """everybody has what the honest said"""
            return all(
                node.run("show", message, check=False).returncode == 0
                for node in true
                for message in (*said, more, answer, spoken)
            ) and self.boreal.run("show", answer, check=False).returncode == 0

        wait_for(taken, 40)
        wait_for(lambda: self.alike(alias, *true))
        self.assertEqual([self.frozen(node, alias) for node in self.nodes], [False, True, False])
        for node in true:
            self.assertEqual(self.held(node), [])
            lines = self.digests(node, alias)[1]
            for message in said:
                self.assertIn(f"thread {message.split('/', 1)[1]}", "\n".join(lines))
                self.assertIn("revoked", node.text("show", message))
                (why,) = [ack["passed_over"] for ack in self.acks(node, message) if ack["origin"].startswith(NAMES[0])]
                self.assertEqual(why, "replaced-key")
            self.assertEqual([ack for ack in self.acks(node, spoken) if ack["passed_over"]], [])
            self.assertEqual(node.json("audit", "--channel", alias)["findings"], [])
            wait_for(lambda node=node: self.twin_agrees(node, alias, channel, thief))
        audit = self.cobalt.text("audit", "--channel", alias)
        self.assertIn("2 of its entries", audit)
        self.assertIn("signed by a revoked or replaced key of aurora.example", audit)

    def test_1_revocation_that_comes_first(self):
        channel = self.open("first")
        self.cobalt.stop()
        thief, said = self.steal("first", channel)
        self.boreal.stop()
        self.aurora.start()
        self.cobalt.start()
        self.aurora.run("key", "revoke", "log", "--reason", "compromise")
        wait_for(lambda: self.size(self.cobalt, "first", NAMES[0]) == 3)
        self.boreal.start()
        self.assert_goes_on("first", channel, thief, said)

    def test_2_revocation_that_comes_after(self):
        channel = self.open("after")
        thief, said = self.steal("after", channel)
        wait_for(lambda: self.size(self.cobalt, "after", NAMES[1]) == 4)  # and the thief's heads with it
        self.assertFalse(self.frozen(self.cobalt, "after"))
        self.aurora.start()
        wait_for(lambda: self.held(self.aurora) == ["peer-larger"])
        self.assertIn("key revoke log", self.aurora.text("status"))
        self.aurora.run("key", "revoke", "log", "--reason", "compromise")
        self.assertEqual(self.held(self.aurora), [])
        self.assert_goes_on("after", channel, thief, said)
        self.aurora.kill()  # and what Boreal answers of our log then keeps nothing back
        self.aurora.start()
        wait_for(lambda: self.held(self.aurora) == [])
        self.assertEqual(self.digests(self.aurora, "after"), self.digests(self.cobalt, "after"))


if __name__ == "__main__":
    unittest.main()
