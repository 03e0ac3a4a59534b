"""A node that is killed again and again amid traffic: what it receipted or named is there, no index is given twice, and the
same pouch gets the same receipt."""

import collections
import json
import os
import random
import resource
import shutil
import subprocess
import threading
import time
import unittest

import formats
import peer
import sealing
from border import Border
from formats import Note, Pouch
from node import BUILD, PATIENCE_S, wait_for
from outside import CHECK, INCIDENT, OutsideTest
from peer import blob

KILLS = 12


class Killed(OutsideTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.new_node("aurora.example")
        cls.party = cls.new_party("vega.example", cls.node, listens=True)
        cls.channel = cls.open_with(cls.party, cls.node, "line")

    def setUp(self):
        self.refusals = []
        self.stopping = threading.Event()
        self.named = {}  # index: nonce, of what the node said it had logged
        self.carried = []  # (pouch, receipt)
        self.attached = {}  # digest: sealed

        def remember(request):
            answer = self.party.answer(request)
            if answer.status not in (200, 201):
                self.refusals.append((answer, request.path))
            return answer

        self.party.listener.behaviour = remember

    # ---- traffic ----------------------------------------------------------------------------------------------------

    def officer(self):
        """Says things at the node; what gets a name must last."""
        while not self.stopping.is_set():
            nonce = os.urandom(16).hex()
            fields = {"nonce": nonce, "reply_by": "2030-01-01T00:00:00Z"}
            draft = {"channel": "line", "kind": "contact.check", "body": {"fields": fields}}
            try:
                said = self.node.api("POST", "/messages", json.dumps(draft).encode())
            except (OSError, ValueError, AssertionError):
                time.sleep(0.02)  # it is down; whether this one was logged is not known
                continue
            self.assertNotIn(said["index"], self.named, "an index was given twice")
            self.named[said["index"]] = nonce
            time.sleep(0.005)

    def carrier(self):
        """Says things at our side and carries them until they are receipted."""
        border = self.party.to[self.node.name]
        count = 0
        while not self.stopping.is_set():
            count += 1
            with self.party.lock:
                if count % 4 == 0:
                    sealed = sealing.seal(os.urandom(20_000), self.channel.recipients())
                    named = blob(sealed, "application/octet-stream")
                    self.attached[named["digest"]] = sealed
                    body = INCIDENT | {"files": [{"name": "a"}]}
                    self.channel.say("incident.notification", body, attachments=[named])
                else:
                    named = None
                    self.channel.say("contact.check", CHECK)
                pouch = self.channel.pouch(self.node.name)
            receipt = self.until_answered(lambda: border.post(pouch), {200})
            if receipt is None:
                return
            self.carried.append((pouch, receipt))
            with self.party.lock:
                self.channel.take_receipt(receipt, self.node.name, pouch.size)
            if named:
                self.until_answered(
                    lambda: border.request("PUT", f"/blob/{named['digest']}", sealed), {200, 201}
                )

    def until_answered(self, ask, statuses):
        """The answer's body; None when the traffic ends while the node is down."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = ask()
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
                continue
            if answer.status == 503:  # stopping, or starting
                continue
            self.assertIn(answer.status, statuses, answer)
            return answer.body

    # ---- judgement --------------------------------------------------------------------------------------------------

    def test_kill__nothing_is_lost_doubled_or_said_otherwise(self):
        chosen = random.Random(2021)
        errors = []

        def run(work):
            try:
                work()
            except BaseException as error:  # noqa: BLE001 (told by the main thread)
                errors.append(error)

        threads = [threading.Thread(target=run, args=(work,)) for work in (self.officer, self.carrier)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(KILLS):
                time.sleep(chosen.uniform(0.02, 0.5))
                self.node.kill()
                self.node.start()
            time.sleep(0.5)
        finally:
            self.stopping.set()
            for thread in threads:
                thread.join()
        self.assertEqual(errors, [])
        self.assertGreater(len(self.named), 20)
        self.assertGreater(len(self.carried), 20)
        self.judge_what_the_node_said()
        self.judge_what_it_receipted()

    def judge_what_the_node_said(self):
        log = lambda: self.channel.logs[self.node.name]  # noqa: E731
        size = self.node.held("line")[self.node.name][0]
        wait_for(lambda: len(log()) >= size)
        self.assertEqual(self.refusals, [], "our side had to refuse what the node sent")
        for index, nonce in self.named.items():
            self.assertLess(index, len(log()), "a message that had a name is lost")
            body, agreed = self.channel.open(self.node.name, index)
            self.assertEqual((body["fields"]["nonce"], agreed), (nonce, True), f"message {index} is another now")
        nonces = collections.Counter(
            self.channel.open(self.node.name, index)[0]["fields"].get("nonce")
            for index in range(len(log()))
            if self.channel.entry(self.node.name, index)["kind"] == "contact.check"
        )
        self.assertEqual({count for count in nonces.values()}, {1})
        # every signed head of a size is the same, byte for byte
        heads = collections.defaultdict(set)
        for request in self.party.listener.requests:
            if request.path == "/pouch":
                pouch = Pouch.parse(request.body)
                heads[pouch.size].add(pouch.checkpoint)
        self.assertEqual({size: len(notes) for size, notes in heads.items() if len(notes) != 1}, {})

    def judge_what_it_receipted(self):
        border = self.party.to[self.node.name]
        for pouch, receipt in self.carried:
            answer = border.post(pouch)
            self.assertEqual((answer.status, answer.body), (200, receipt), f"size {pouch.size}")
        self.assertEqual(len({receipt for _, receipt in self.carried}), len(self.carried))
        sizes = [formats.checkpoint_parse(Note.parse(receipt).text)[1] for _, receipt in self.carried]
        self.assertEqual(sizes, sorted(sizes))
        for index in range(len(self.channel.own)):
            ask = lambda at=index: self.node.api("GET", f"/messages/line/{self.party.name}/{at}")  # noqa: E731
            shown = ask()
            self.assertEqual(shown["entry"].encode(), self.channel.own.entries[index])
            self.assertIsNone(shown["contested"])
            for row in shown["attachment_list"]:
                self.assertEqual(row["state"], "held")
                wait_for(lambda: ask()["attachment_list"][0]["held_by"] == [self.node.name])
        # "evidence.held" was said once for each attachment
        wait_for(lambda: self.node.status()["deliveries"][0]["confirmed"] == self.node.held("line")[self.node.name][0])
        log = self.channel.logs[self.node.name]
        entries = [self.channel.entry(self.node.name, index) for index in range(len(log))]
        held = collections.Counter(entry["reply_to"] for entry in entries if entry["kind"] == "evidence.held")
        self.assertEqual((len(held), {*held.values()}), (len(self.attached), {1}))


class Stopped(OutsideTest):
    def test_stop__is_clean_and_keeps_everything(self):
        node = self.new_node("boreal.example")
        party = self.new_party("wega.example", node, listens=True)
        channel = self.open_with(party, node, "line")
        channel.say("incident.notification", INCIDENT)
        pouch = channel.pouch(node.name)
        receipt = self.deliver(channel, node)
        before = node.held("line"), node.json("list"), node.json("peer", "list")
        for _ in range(2):
            node.stop()
            self.assertFalse(os.path.exists(os.path.join(node.dir, "socket")))
            node.start()
            self.assertEqual((node.held("line"), node.json("list"), node.json("peer", "list")), before)
            self.assertEqual(party.to[node.name].post(pouch).body, receipt)


    def test_stop__a_start_that_fails_is_none(self):
        """whatever it fails for: the folder is as clean as it was, so that the next start has nobody to ask"""
        node = self.new_node("cassini.example")
        node.stop()
        marker = os.path.join(node.dir, "marks", "clean")
        failed = set()
        for most in range(7, 24):  # descriptors: each start gets a little further

            def limit(most=most):
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

            with subprocess.Popen([os.path.join(BUILD, "entented"), "--dir", node.dir], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=limit) as starting:  # fmt: skip
                timer = threading.Timer(2, starting.terminate)
                timer.start()
                reason = starting.stderr.read()
                timer.cancel()
            with self.subTest(descriptors=most, reason=reason):
                self.assertTrue(os.path.exists(marker))
            if starting.returncode == 0:
                break  # it started
            failed.add(reason)
        self.assertGreater(len(failed), 3)


class Restored(OutsideTest):
    """A store from a backup: the keeper's marks, kept apart, must not let it sign another history."""

    def test_restore__an_older_store_signs_no_other_history(self):
        node = self.new_node("cobalt.example")
        party = self.new_party("xenia.example", node, listens=True)
        channel = self.open_with(party, node, "line")
        draft = json.dumps({"channel": "line", "kind": "contact.check", "body": CHECK}).encode()
        node.stop()
        shutil.copytree(os.path.join(node.dir, "store"), os.path.join(self.folder, "backup"))
        node.start()
        for _ in range(3):
            node.api("POST", "/messages", draft)
        wait_for(lambda: len(channel.logs[node.name]) == 4)
        wait_for(lambda: node.json("show", f"line/{node.name}/3")["state"] == "receipted")
        node.stop()
        shutil.rmtree(os.path.join(node.dir, "store"))
        shutil.copytree(os.path.join(self.folder, "backup"), os.path.join(node.dir, "store"))
        node.start()
        before = len(party.listener.requests)
        for _ in range(5):  # past the size it had
            done = node.run("send", "contact.check", "--channel", "line", "--body", "-", stdin=json.dumps(CHECK).encode(),
                            check=False)  # fmt: skip
            self.assertNotEqual(done.returncode, 0, "said as if nothing had happened")
        time.sleep(1.5)
        self.assertEqual([row["channel"] for row in node.status()["held"]], [channel.id])
        self.assertIn("HELD", node.text("status"))
        # what we say still comes in
        channel.say("contact.check", CHECK)
        self.deliver(channel, node)
        roots = channel.logs[node.name].tree.roots
        for request in party.listener.requests[before:]:
            pouch = Pouch.parse(request.body)
            _, size, root = formats.checkpoint_parse(Note.parse(pouch.checkpoint).text)
            self.assertTrue(size < len(roots) and roots[size] == root, "another history was signed")

    @staticmethod
    def marks(node):
        """What the keeper signed last: (kind, origin) to (size, root, time)."""
        with open(os.path.join(node.dir, "marks", "marks"), encoding="ascii") as file:
            rows = [line.split(" ") for line in file.read().rstrip("\0").splitlines()]
        return {(row[2], row[6]): tuple(row[3:6]) for row in rows if row[2] != "."}

    def test_restore__with_its_marks_is_held_once_the_peer_shows_more_and_stays_so(self):
        """A machine's snapshot takes store and marks back together: only the peer's word tells, and is kept."""
        node = self.new_node("corvus.example")
        party = self.new_party("castor.example", node, listens=True)
        channel = self.open_with(party, node, "line")
        holds = lambda: [(row["channel"], row["hold"]) for row in node.status()["held"]]  # noqa: E731
        draft = json.dumps({"channel": "line", "kind": "contact.check", "body": CHECK}).encode()
        backup = os.path.join(self.folder, "snapshot")
        for at in range(2):
            self.assertTrue(node.api("POST", "/messages?wait=receipt&timeout=20", draft)["done"])
            node.stop()
            if at == 0:
                shutil.copytree(node.dir, backup, ignore=shutil.ignore_patterns("socket"))
                node.start()
        shutil.rmtree(node.dir)
        shutil.copytree(backup, node.dir)
        party.listener.deaf = True
        party.listener.hang_up()
        node.start()
        self.assertEqual(holds(), [(channel.id, "asking")])  # and nobody answers
        channel.say("contact.check", CHECK)
        with party.lock:
            party.to[node.name].post(channel.pouch(node.name))  # with our head of three in heads/
        wait_for(lambda: holds() == [(channel.id, "peer-larger")])
        node.kill()
        asked = len(party.listener.requests)
        marks = self.marks(node)
        self.assertEqual(marks["H", channel.logs[node.name].origin][0], "2")
        node.start()  # before anything comes from the peer
        self.assertEqual([row["channel"] for row in node.status()["held"]], [channel.id])
        for _ in range(3):  # past the size the peer has
            self.assertTrue(node.api("POST", "/messages", draft)["held"])
        time.sleep(0.5)
        self.assertEqual([row["channel"] for row in node.status()["held"]], [channel.id])
        self.assertEqual(self.marks(node), marks, "something was signed")
        with self.assertRaisesRegex(AssertionError, "GET /pouches"):
            node.api_bytes("GET", f"/pouches?channel={channel.id}&to={party.name}")
        party.listener.deaf = False
        time.sleep(1)
        self.assertEqual(len(party.listener.requests), asked, "a held log was sent")


class Asked(OutsideTest):
    """After a crash the node asks how far its log goes, before it signs anything new."""

    def test_asked__only_a_head_of_ours_from_every_member_will_do(self):
        node = self.new_node("delta.example")
        draft = lambda alias: json.dumps({"channel": alias, "kind": "contact.check", "body": CHECK}).encode()  # noqa: E731
        refusal = b'{"error":{"code":"forbidden","rule":"","text":"no"}}'
        wrong = {
            "nothing": None,
            "nonsense": peer.Answer(200, "text/plain", b"yes\n"),
            "other": None,  # the head of another log
            "error": peer.Answer(500, "text/plain", b""),
            "refusal": peer.Answer(403, "application/json", refusal),
            "much": peer.Answer(200, "text/plain", b"x" * 100_000),
        }
        channels = {}
        for alias, answer in wrong.items():
            party = self.new_party(f"{alias}.deneb.example", node, listens=True)
            channel = channels[alias] = self.open_with(party, node, alias)
            answer = peer.Answer(200, "text/plain", channel.own.head) if alias == "other" else answer
            party.listener.behaviour = lambda _, answer=answer: answer
        node.kill()
        before = {alias: len(channel.party.listener.requests) for alias, channel in channels.items()}
        node.start()
        for alias in wrong:
            self.assertTrue(node.api("POST", "/messages", draft(alias))["held"])
        told = lambda row: f"{row['alias']}.deneb.example (" in row["reason"]  # noqa: E731
        wait_for(lambda: all(told(row) for row in node.status()["held"]))  # every wrong answer is told
        rows = node.status()["held"]
        self.assertEqual(sorted((row["alias"], row["hold"], row["messages"]) for row in rows),
                         sorted((alias, "asking", 1) for alias in wrong))  # fmt: skip
        check = json.dumps(CHECK).encode()
        done = node.run("send", "contact.check", "--channel", "error", "--body", "-", stdin=check, check=False)
        self.assertEqual(done.returncode, 5)
        self.assertIn(b"error.deneb.example (", done.stderr)
        self.assertIn("HELD", node.text("list", "--channel", "error"))
        self.assertEqual(node.json("show", f"error/{node.name}/2")["state"], "held")
        done = node.run("release", "error", "--accept-fork-risk", check=False)
        self.assertEqual((done.returncode, b"s more to answer" in done.stderr), (1, True), done.stderr)
        self.assertEqual(node.run("release", "error", check=False).returncode, 2)
        for alias, channel in channels.items():
            for request in channel.party.listener.requests[before[alias] :]:
                if request.path == "/pouch":  # what was signed before may be offered again
                    self.assertLessEqual(Pouch.parse(request.body).size, 1)
            channel.party.listener.behaviour = channel.party.answer
            with channel.party.lock:  # heard of again: what it refused meanwhile need not wait for its time
                channel.say("contact.check", CHECK)
                self.deliver(channel, node)
        wait_for(lambda: all(len(channel.logs[node.name]) >= 2 for channel in channels.values()), seconds=60)
        wait_for(lambda: len(channels["error"].logs[node.name]) == 3)
        self.assertEqual(node.status()["held"], [])

    def test_asked__heads_are_for_members(self):
        node = self.new_node("epsilon.example")
        party = self.new_party("enif.example", node, listens=True)
        other = self.new_party("eltanin.example", node)
        stranger = self.new_party("errai.example")
        stranger.know(node.card)
        border = Border(node.port, stranger, formats.card_parse(node.card)["tls"])
        self.addCleanup(border.close)
        channel = self.open_with(party, node, "line")
        head = lambda at, origin: at.request("GET", f"/head?origin={origin}")  # noqa: E731
        mine, theirs = channel.own.origin, channel.logs[node.name].origin
        self.assertEqual(head(party.to[node.name], mine).body, channel.own.head)
        self.assertEqual(head(party.to[node.name], theirs).body, channel.logs[node.name].head)
        unknown = mine[:-4] + "0000"
        self.assertEqual(head(party.to[node.name], unknown).status, 404)
        for bad in ("", "x", "/", mine + "0", mine.upper()):
            self.assertIn(head(party.to[node.name], bad).status, (404, 422), bad)
        self.assertEqual(party.to[node.name].request("GET", "/head").status, 422)
        for origin in (mine, theirs):
            self.assertEqual((head(other.to[node.name], origin).status, head(border, origin).status), (403, 403))
        self.assertEqual((head(other.to[node.name], unknown).status, head(border, unknown).status), (404, 403))
        self.assertEqual(party.to[node.name].request("DELETE", "/head").status, 404)

    def test_asked__logs_are_given_back_to_members(self):
        node = self.new_node("zeta.example")
        party = self.new_party("zaniah.example", node, listens=True)
        other = self.new_party("zosma.example", node)
        channel = self.open_with(party, node, "line")
        for _ in range(2):
            channel.say("contact.check", CHECK)
            self.deliver(channel, node)
        mine, theirs = channel.own.origin, channel.logs[node.name].origin
        ask = lambda origin, old, at=party: at.to[node.name].request("GET", f"/pouch?origin={origin}&old={old}")  # noqa: E731
        for old in (0, 2, 3):
            answer = ask(mine, old)
            pouch = Pouch.parse(answer.body)
            self.assertEqual((pouch.origin, pouch.old_size, pouch.size), (mine, old, 3))
            self.assertEqual(pouch.entries, channel.own.entries[old:])
            self.assertEqual(pouch.bodies, {index: channel.own.bodies[index] for index in range(old, 3)})
            given = [note for size, _, note in channel.own.receipts[node.name] if size >= old]
            self.assertEqual([note for name, note in pouch.receipts if name == node.name], given)
        pouch = Pouch.parse(ask(theirs, 0).body)
        self.assertEqual(pouch.entries, channel.logs[node.name].entries)
        ours = [note for _, _, note in channel.logs[node.name].receipts[party.name]]
        self.assertEqual([note for name, note in pouch.receipts if name == party.name], ours)  # our own, too
        self.assertEqual((ask(mine, 4).status, ask(mine, "x").status, ask(mine, "").status), (400, 422, 422))
        self.assertEqual(ask(mine, 2**63).status, 422)
        self.assertEqual((ask(mine, 0, other).status, ask(mine[:-4] + "0000", 0, other).status), (403, 404))


if __name__ == "__main__":
    unittest.main()
