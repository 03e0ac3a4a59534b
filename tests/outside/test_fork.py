"""A member that tells each of two others another history: they find out as soon as heads meet, both hold a proof that
anybody can check, that log is frozen, and nothing else stops."""

import json
import os
import sqlite3
import unittest

import formats
import kinds
from formats import Pouch, sha256
from ledger import Evidence, Ledger
from node import wait_for
from outside import CHECK, INCIDENT, OutsideTest


class SplitView(OutsideTest):
    """Two nodes that know each other, and a party that plays them against each other."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.aurora = cls.new_node("aurora.example")
        cls.boreal = cls.new_node("boreal.example")
        cls.nodes = (cls.aurora, cls.boreal)
        cls.genesis = {}
        cls.aurora.add_peer(cls.boreal.card_path)
        cls.boreal.add_peer(cls.aurora.card_path)
        cls.cobalt = cls.new_party("cobalt.example", *cls.nodes)

    def open_three(self, alias):
        """A channel of all three, open everywhere; gives it as the party holds it."""
        channel = self.cobalt.open_channel([node.name for node in self.nodes])
        self.genesis[channel.id] = channel.genesis_bytes
        for node in self.nodes:
            answer = self.cobalt.to[node.name].post(channel.pouch(node.name))
            self.assertEqual(answer.status, 202, answer)
            node.run("channel", "accept", channel.id, "--alias", alias)
        for node in self.nodes:
            self.deliver(channel, node)

        def is_open():
            """the channel is open on both nodes"""
            return all(node.channel(alias)["state"] == "open" for node in self.nodes)

        wait_for(is_open)
        return channel

    def frozen(self, node, alias):
        return node.member(alias, self.cobalt.name)["frozen"]

    def split(self, alias, to_aurora, to_boreal):
        """Tell each another history of these many messages."""
        channel = self.open_three(alias)
        histories = (channel.copy(), channel.copy())
        for history, node, count in zip(histories, self.nodes, (to_aurora, to_boreal), strict=True):
            for _ in range(count):
                history.say("incident.notification", INCIDENT)
            self.deliver(history, node)
        return histories

    def say(self, node, alias, kind="incident.notification", body=INCIDENT, **more):
        draft = {"channel": alias, "kind": kind, "body": body, **more}
        return node.api("POST", "/messages", json.dumps(draft).encode())["message"]

    def receipted(self, node, message):
        return {row["by"] for row in node.api("GET", f"/messages/{message}")["receipts"]}

    def assert_proven(self, node, alias, sizes):
        """The node shows the fork, and its proof convinces another implementation and `verify`."""
        (fork,) = node.json("fork", "list", "--channel", alias)["forks"]
        self.assertEqual((fork["party"], fork["own"]), (self.cobalt.name, False))
        self.assertEqual(fork["sizes"], sizes)
        path = os.path.join(node.dir, f"{alias}.proof")
        self.assertIn("verify", node.text("fork", "export", f"{alias}/{self.cobalt.name}", "-o", path))
        with open(path, "rb") as file:
            origin, keys, heads = formats.fork_verify(file.read())
        self.assertEqual(origin, f"{self.cobalt.name}/entente/{node.channel(alias)['id']}")
        self.assertEqual(keys, [formats.public_bytes(self.cobalt.log)])
        self.assertEqual([size for size, _ in heads], sizes)
        told = node.text("verify", path, "--card", self.cobalt.card_path)
        self.assertIn("VALID", told)
        self.assertIn("as on its card", told)
        self.assertIn("No card was compared", node.text("verify", path))
        done = node.run("verify", path, "--card", node.card_path, check=False)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(f"no card of {self.cobalt.name} is among those given", (done.stdout + done.stderr).decode())
        self.assertEqual(node.run("verify", path, "--card", self.stranger().card_path, check=False).returncode, 1)
        result = node.json("verify", path, "--card", self.cobalt.card_path)["results"][0]
        self.assertEqual([head["size"] for head in result["heads"]], sizes)
        self.assertEqual([key["as_on_card"] for key in result["keys"]], [True])
        return path

    def stranger(self):
        """A party of the same name with other keys."""
        if not hasattr(type(self), "other"):
            folder = os.path.join(self.folder, "stranger")
            os.mkdir(folder)
            type(self).other = type(self.cobalt)(self.cobalt.name, folder)
        return self.other

    def assert_both_find_out(self, alias, sizes):
        def both():
            """both nodes have frozen the log"""
            return all(self.frozen(node, alias) for node in self.nodes)

        wait_for(both)
        for node in self.nodes:
            self.assert_proven(node, alias, sizes)
            self.assertIn("FORK", node.text("status"))
            self.assertIn("FROZEN", node.text("channel", "show", alias))
            self.assertIn("FORKED", node.text("show", f"{alias}/{self.cobalt.name}/0"))
            self.assertNotIn("FORKED", node.text("show", f"{alias}/{node.name}/0"))
            found = [row for row in json.loads(node.run("doctor", "--json", check=False).stdout)["findings"]
                     if row["what"] not in ("root-key", "invitation", "opening") and row["alias"] == alias]  # fmt: skip
            self.assertEqual([(row["what"], row["party"]) for row in found], [("frozen", self.cobalt.name)])
            audit = node.json("audit", "--channel", alias)
            self.assertEqual(audit["findings"], [])

    def assert_others_go_on(self, alias):
        for node, other in (self.nodes, self.nodes[::-1]):
            message = self.say(node, alias)

            def taken(node=node, other=other, message=message):
                """the other node has receipted it"""
                return other.name in self.receipted(node, message)

            wait_for(taken)
            self.assert_counted(other, alias, message)

    def assert_counted(self, node, alias, message):
        reference = message.split("/", 1)[1]

        def counted():
            """the node's ledger counts it, whatever its writer acks of the forked log"""
            lines = node.api_bytes("GET", f"/ledger/lines?channel={alias}&what=state").decode()
            return f"thread {reference}" in lines

        wait_for(counted)

    def assert_twin_agrees(self, node, alias):
        """The second implementation gets the same from the evidence that the node shows."""
        channel = node.channel(alias)

        def same():
            """the lines of both are the same"""
            evidence = self.evidence(node, channel)
            lines = [node.api_bytes("GET", f"/ledger/lines?channel={alias}&what={what}") for what in ("evidence", "state")]
            ledger = Ledger(evidence, evidence.latest())
            return lines == [ledger.lines(what) for what in ("evidence", "state")]

        wait_for(same)

    def evidence(self, node, channel):
        logs = {member["name"]: [] for member in channel["members"]}
        receipts, bodies = {}, {}
        for message in node.api("GET", f"/messages?channel={channel['id']}")["messages"]:
            name, index = message["party"], message["index"]
            detail = node.api("GET", f"/messages/{channel['id']}/{name}/{index}")
            logs[name].append((index, detail["entry"].encode()))
            for row in detail["receipts"]:
                receipts.setdefault((name, row["by"]), set()).add((row["size"], kinds.parse_time(row["time"])))
            bodies[name, index] = node.api_bytes("GET", f"/bodies/{channel['id']}/{name}/{index}")
        logs = {name: [entry for _, entry in sorted(rows)] for name, rows in logs.items()}
        return Evidence(self.genesis[channel["id"]], logs, receipts, bodies, forked=frozenset([self.cobalt.name]))

    def test_split_view__of_different_sizes_is_found_by_both_and_proven(self):
        self.split("sizes", to_aurora=2, to_boreal=4)
        self.say(self.aurora, "sizes")  # brings Aurora's head of that log to Boreal
        self.assert_both_find_out("sizes", [3, 5])
        self.assert_others_go_on("sizes")
        for node in self.nodes:
            self.assert_twin_agrees(node, "sizes")

    def test_split_view__of_one_size_is_found_by_both_and_proven(self):
        self.split("equal", to_aurora=3, to_boreal=3)
        self.say(self.boreal, "equal")
        self.assert_both_find_out("equal", [4, 4])
        self.assert_others_go_on("equal")

    def test_split_view__that_acks_who_was_told_otherwise_stops_nobody(self):
        """Boreal acks the one history; in the other, which Aurora holds, its writer acks just that message of Boreal's:
        they must not wait for each other."""
        channel = self.open_three("ring")
        ours, theirs = channel.copy(), channel.copy()
        for _ in range(4):
            theirs.say("contact.check", CHECK)
        self.deliver(theirs, self.boreal)
        said = self.say(self.boreal, "ring")

        def brought():
            """Aurora holds it"""
            return self.aurora.held("ring")[self.boreal.name][0] == 2

        wait_for(brought)
        pouch = Pouch.parse(self.boreal.api_bytes("GET", f"/pouches?channel={channel.id}&to={self.cobalt.name}"))
        pouch.receipts = []  # for the other history
        ours.take(pouch)
        ours.say("incident.notification", INCIDENT)
        self.assertEqual(formats.entry_decode(ours.own.entries[-1])["acks"][-1]["size"], 2)
        self.deliver(ours, self.aurora)
        self.say(self.aurora, "ring")
        self.assert_both_find_out("ring", [2, 5])
        self.assert_counted(self.aurora, "ring", said)
        self.assert_counted(self.aurora, "ring", f"ring/{self.cobalt.name}/1")
        self.assert_twin_agrees(self.aurora, "ring")
        logs = {row["party"]: row["acks_passed"] for row in self.aurora.json("audit", "--channel", "ring")["logs"]}
        passed = {"party": self.cobalt.name, "why": "other-history"}
        self.assertEqual([row | passed for row in logs[self.boreal.name]], logs[self.boreal.name])
        self.assertGreater(sum(row["count"] for row in logs[self.boreal.name]), 0)
        self.assertEqual(logs[self.aurora.name], [])
        self.assertIn("of the log of cobalt.example, which forked", self.aurora.text("audit", "--channel", "ring"))
        self.assertIn("forked; that counts for nothing", self.aurora.text("show", said))

    def test_split_view__what_the_writer_says_then_is_refused_the_same_way_always(self):
        histories = self.split("later", to_aurora=1, to_boreal=2)
        self.say(self.aurora, "later")
        self.assert_both_find_out("later", [2, 3])
        for history, node in zip(histories, self.nodes, strict=True):
            history.say("contact.check", CHECK)
            words = set()
            for _ in range(3):
                answer = self.cobalt.to[node.name].post(history.pouch(node.name))
                words.add((answer.status, answer.word))
            self.assertEqual(words, {(409, "frozen")})

    def test_fork__is_proven_over_a_restart_and_to_who_hears_of_it_by_hand(self):
        """An air-gapped member gets the proof by hand: then it freezes that log too."""
        histories = self.split("hand", to_aurora=1, to_boreal=2)
        self.say(self.aurora, "hand")
        self.assert_both_find_out("hand", [2, 3])
        path = self.assert_proven(self.aurora, "hand", [2, 3])
        again = self.boreal.json("fork", "import", path)
        self.assertEqual((again["party"], again["new"]), (self.cobalt.name, False))
        self.aurora.stop()
        self.aurora.start()
        self.assert_proven(self.aurora, "hand", [2, 3])
        self.assertTrue(self.frozen(self.aurora, "hand"))
        self.assertEqual(len(histories), 2)

    def test_heads__without_end_and_without_entries_leave_one_row(self):
        """A member signs heads far beyond what it shows; they come with another member's log."""
        channel = self.open_three("heads")
        self.say(self.boreal, "heads")

        def rows():
            store = sqlite3.connect(f"file:{self.aurora.dir}/store/store.db?mode=ro", uri=True)
            row = store.execute(
                "SELECT count(*), max(h.size) FROM heads h JOIN logs l ON l.number = h.log JOIN channels c"
                " ON c.number = l.channel WHERE c.alias = 'heads' AND l.member = 2"
            ).fetchone()
            store.close()
            return row

        before, _ = rows()
        origin = channel.own.origin
        pouch = Pouch.parse(self.boreal.api_bytes("GET", f"/pouches?channel={channel.id}&to={self.aurora.name}"))
        for start in (5000, 1000, 9000):  # 10,000 of them, not always larger ones
            texts = [formats.checkpoint_text(origin, size, sha256(b"%d" % size)) for size in range(start, start + 3334)]
            pouch.heads[self.cobalt.name] = b"".join(formats.note_sign(text, origin, self.cobalt.log) for text in texts)
            answer = self.cobalt.to[self.aurora.name].post(pouch)
            self.assertEqual(answer.status, 200, answer)
        self.assertEqual(rows(), (before + 1, 12333))
        channel.say("incident.notification", INCIDENT)
        self.deliver(channel, self.aurora)  # and its log goes on
        self.assertFalse(self.frozen(self.aurora, "heads"))

    def test_import__of_what_proves_nothing_is_refused(self):
        channel = self.open_three("calm")
        one = channel.copy()
        one.say("contact.check", CHECK)
        key = formats.public_bytes(self.cobalt.log)
        other = formats.new_key()

        def proof(heads, secret, named):
            notes = [formats.note_sign(formats.checkpoint_text(one.own.origin, *head), one.own.origin, secret) for head in heads]
            line = formats.vkey(one.own.origin, formats.ED25519, named)
            return f"entente.fork/v1 {one.own.origin}\nkey {line}\n\n".encode() + b"\n".join(notes)

        def elsewhere(*parts):
            """The same about a channel that the node does not know."""
            origin, one.own.origin = one.own.origin, f"{self.cobalt.name}/entente/{'00' * 32}"
            data, one.own.origin = proof(*parts), origin
            return data

        roots = sorted([(2, bytes(32)), (2, one.own.tree.roots[2])])
        cases = {
            "malformed": b"entente.fork/v1 nothing\n",
            "inconsistent": proof([roots[0], roots[0]], self.cobalt.log, key),
            "bad-signature": proof(roots, other, formats.public_bytes(other)),
            "not-found": elsewhere(roots, self.cobalt.log, key),
        }
        for word, data in cases.items():
            path = os.path.join(self.folder, "bad.proof")
            with open(path, "wb") as file:
                file.write(data)
            done = self.aurora.run("fork", "import", path, "--json", check=False)
            self.assertEqual((done.returncode, json.loads(done.stderr)["error"]["code"]), (1, word), done)
        self.assertEqual(self.aurora.json("fork", "list", "--channel", "calm")["forks"], [])
        self.assertIn("No log is known to have forked", self.aurora.text("fork", "list", "--channel", "calm"))
        done = self.aurora.run("fork", "export", f"calm/{self.cobalt.name}", "-o", "-", check=False)
        self.assertEqual(done.returncode, 1)
        with open(path, "wb") as file:  # and one that does, without any pouch
            file.write(proof(roots, self.cobalt.log, key))
        self.assertTrue(self.aurora.json("fork", "import", path)["new"])

        def told():
            """the other node hears of it"""
            return self.frozen(self.boreal, "calm")

        wait_for(told)


if __name__ == "__main__":
    unittest.main()
