"""What `entente recover` brings back beside entries: channels begun after the backup, and attachments; from a member that
tells the truth, and from one that does not."""

import json
import os
import shutil
import time
import unittest

import formats
import peer
from formats import Note, Pouch
from node import EXAMPLES, wait_for
from outside import CHECK, OutsideTest

BODY = os.path.join(EXAMPLES, "evidence.item.json")
DRAFT = json.dumps({"channel": "line", "kind": "contact.check", "body": CHECK}).encode()


class Lost(OutsideTest):
    """Two nodes; one is put back from a backup that knows less."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.aurora = cls.new_node("aurora.example")
        cls.boreal = cls.new_node("boreal.example")
        cls.aurora.add_peer(cls.boreal.card_path)
        cls.boreal.add_peer(cls.aurora.card_path)
        cls.open(cls.boreal, cls.aurora, "line")

    @classmethod
    def open(cls, opener, other, alias):
        terms = os.path.join(EXAMPLES, "terms.json")
        channel = opener.text("channel", "open", "--with", other.name, "--terms", terms, "--alias", alias)
        wait_for(lambda: other.run("channel", "show", channel, check=False).returncode == 0)
        other.run("channel", "accept", channel, "--alias", alias)
        wait_for(lambda: opener.channel(alias)["state"] == other.channel(alias)["state"] == "open")
        return channel

    def path(self, name):
        return os.path.join(self.folder, name)

    def attach(self, node, channel, name, size):
        with open(self.path(name), "wb") as file:
            file.write(os.urandom(size))
        return node.text("send", "evidence.item", "--channel", channel, "--attach", self.path(name), "--body", BODY)

    def opened(self, node, message, name):
        """Whether the attachment of this message can be opened, and is what was attached."""
        out = self.path("out")
        if os.path.exists(out):
            os.unlink(out)
        node.run("open", message, "--attachment", "0", "-o", out)
        with open(out, "rb") as left, open(self.path(name), "rb") as right:
            return left.read() == right.read()

    def digests_alike(self, *channels):
        rows = [{node.json("ledger", "--channel", channel)["evidence_digest"] for node in (self.aurora, self.boreal)}
                for channel in channels]  # fmt: skip
        return all(len(row) == 1 for row in rows)

    def test_recover__channels_and_attachments_come_back(self):
        tar = self.path("aurora.tar")
        self.aurora.run("backup", tar)
        shutil.copytree(os.path.join(self.aurora.dir, "keys"), self.path("keys"))
        mine = self.open(self.aurora, self.boreal, "mine")  # opened by who forgets it, and by the other
        theirs = self.open(self.boreal, self.aurora, "theirs")
        ours = self.attach(self.aurora, theirs, "ours", 9_000_000)
        given = self.attach(self.boreal, mine, "given", 5_000_000)
        for alias in ("line", "mine", "theirs"):
            for node in (self.aurora, self.boreal):
                node.api("POST", f"/messages?wait=receipt&timeout=20", DRAFT.replace(b"line", alias.encode()))
        for node, message in ((self.boreal, ours), (self.aurora, given)):
            wait_for(lambda: [row["state"] for row in node.json("show", message)["attachment_list"]] == ["held"])  # noqa: B023
        wait_for(lambda: self.digests_alike("line", mine, theirs))
        self.aurora.kill()
        shutil.rmtree(self.aurora.dir)
        self.aurora.run("restore", tar)
        shutil.rmtree(os.path.join(self.aurora.dir, "keys"), ignore_errors=True)
        shutil.copytree(self.path("keys"), os.path.join(self.aurora.dir, "keys"))
        self.aurora.start()
        self.assertEqual(self.aurora.run("channel", "show", mine, check=False).returncode, 1)
        done = self.aurora.json("recover", "--from", "boreal.example")
        self.assertIsNone(done["channels_trouble"])
        rows = {row["channel"]: row for row in done["channels"]}
        self.assertEqual([rows[channel]["found"] for channel in (mine, theirs)], [True, True], done)
        self.assertEqual(sorted(row["found"] for row in rows.values()), [False, True, True])
        for row in rows.values():
            self.assertEqual((row["failed"], row["trouble"], row["hold"]), (None, None, None), row)
        self.assertEqual([rows[channel]["attachments"] for channel in (mine, theirs)], [1, 1], done)
        self.assertEqual({row["attachments_missing"] for row in rows.values()}, {0})
        for message, name in ((ours, "ours"), (given, "given")):
            self.assertTrue(self.opened(self.aurora, message.replace("theirs/", theirs + "/").replace("mine/", mine + "/"), name))
        self.assertEqual({self.aurora.channel(channel)["state"] for channel in (mine, theirs)}, {"open"})
        for channel in (mine, theirs):
            draft = DRAFT.replace(b"line", channel.encode())
            for node in (self.aurora, self.boreal):
                self.assertTrue(node.api("POST", "/messages?wait=receipt&timeout=20", draft)["done"])
        wait_for(lambda: self.digests_alike("line", mine, theirs))
        again = self.aurora.json("recover", "--from", "boreal.example")  # once more does nothing
        self.assertEqual({(row["found"], row["attachments"], row["others"]) for row in again["channels"]}, {(False, 0, 0)})
        self.assertIn("entries of others came back", self.aurora.text("recover", "--from", "boreal.example"))
        self.aurora.stop()
        self.assertEqual(self.aurora.run("audit", check=False).returncode, 0)
        self.aurora.start()


class Lies(OutsideTest):
    """A member that gives back something else than it was asked for."""

    made = 0

    def setUp(self):
        Lies.made += 1
        self.node = self.new_node(f"cygnus{self.made}.example")
        self.party = self.new_party(f"cassio{self.made}.example", self.node, listens=True)
        self.channel = self.open_with(self.party, self.node, "line")

    def snapshot(self, name):
        self.node.stop()
        shutil.copytree(self.node.dir, os.path.join(self.folder, name), ignore=shutil.ignore_patterns("socket"))
        self.node.start()

    def put_back(self, name):
        self.node.stop()
        shutil.rmtree(self.node.dir)
        shutil.copytree(os.path.join(self.folder, name), self.node.dir)
        self.node.start()

    def recover(self, *more, check=False):
        done = self.node.run("--json", "recover", "--from", self.party.name, *more, check=check)
        return done.returncode, done.stdout.decode() + done.stderr.decode()

    def behave(self, answer, path="/pouch"):
        """Answer requests below this path so, and all others honestly."""
        honest = self.party.answer
        self.party.listener.behaviour = lambda request: answer(request) if request.path.startswith(path) else honest(request)

    def answers(self):
        """What a hostile member may answer to GET /pouch: name to function of the honest answer."""
        own = self.channel.logs[self.node.name].origin

        def change(**fields):
            def made(body):
                pouch = Pouch.parse(body)
                for key, value in fields.items():
                    setattr(pouch, key, value)
                return pouch.encode()

            return made

        other = self.channel.own.head  # a head of another log
        forged = formats.note_sign(formats.checkpoint_text(own, 9, os.urandom(32)), own, self.party.log)
        return {
            "nothing": lambda body: b"",
            "nonsense": lambda body: b"yes\n" * 1000,
            "truncated": lambda body: body[: len(body) // 2],
            "more behind": lambda body: body + bytes(512),
            "other log's head": change(checkpoint=other),
            "forged head": change(checkpoint=forged),
            "other log": lambda body: self.channel.give_back(self.party.name, 0).encode(),
            "less than asked": lambda body: self.channel.give_back(self.node.name, 0).encode(),
            "entries left out": change(entries=[]),
            "another entry": lambda body: body.replace(b'"kind":"contact.check"', b'"kind":"contact.cheque"', 1),
            "larger than a pouch": lambda body: bytes((64 << 20) + 512),
            "receipt of nobody": change(receipts=[(self.party.name, self.channel.own.receipts[self.node.name][-1][2])]),
        }

    def test_recover__lies_are_refused_and_the_truth_comes_back(self):
        self.snapshot("early")
        for _ in range(2):
            self.assertTrue(self.node.api("POST", "/messages?wait=receipt&timeout=20", DRAFT)["done"])
        self.channel.say("contact.check", CHECK)
        self.deliver(self.channel, self.node)
        given = list(self.channel.own.receipts[self.node.name])
        self.put_back("early")
        wait_for(lambda: [row["hold"] for row in self.node.status()["held"]] == ["peer-larger"])
        size = self.node.held("line")[self.node.name][0]
        for name, lie in self.answers().items():
            def answer(request, lie=lie):
                honest = self.party.answer(request)
                return peer.Answer(honest.status, honest.type, lie(honest.body))

            self.behave(answer)
            with self.subTest(name):
                status, told = self.recover()
                self.assertIn(status, (1, 3), told)
                self.assertEqual(self.node.held("line")[self.node.name][0], size, told)
                self.assertEqual([row["hold"] for row in self.node.status()["held"]], ["peer-larger"])
                self.assertIn(self.party.name, told)
        self.refuses_and_breaks_off(size)
        self.lists_without_end()
        self.party.listener.behaviour = None
        status, told = self.recover()
        self.assertEqual(status, 0, told)
        self.assertEqual(self.node.held("line")[self.node.name][0], 3)
        self.assertEqual(self.node.status()["held"], [])
        self.channel.say("contact.check", CHECK)
        self.forged_receipts()
        self.deliver(self.channel, self.node)
        again = self.channel.own.receipts[self.node.name]
        self.assertEqual(again[: len(given)], given)  # none was given a second time
        self.assertEqual(len(again), len(given) + 1)

    def refuses_and_breaks_off(self, size):
        """A larger head was shown, and then it is not given; or the connection ends in the middle, or says nothing."""

        def cut(request):
            request.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(1000))

        refusal = peer.Answer(403, "application/json", b'{"error":{"code":"forbidden","rule":"","text":"\xe2\x80\xaeno\\u001b[31m"}}')
        for answer in (lambda request: refusal, lambda request: peer.Answer(500), lambda request: None, cut):
            self.behave(answer)
            began = time.monotonic()
            status, told = self.recover()
            self.assertIn(status, (1, 3, 4), told)
            self.assertNotIn("\u001b", told)
            self.assertEqual(self.node.held("line")[self.node.name][0], size)
            self.assertLess(time.monotonic() - began, 15)

    def lists_without_end(self):
        """Channels that there are not, a list that does not ascend, one that is no list: the others are recovered."""
        asked = []

        def endless(request):
            asked.append(request)
            first = int(request.path.partition("after=")[2] or "0", 16) + 1
            return peer.Answer(200, "text/plain", b"".join(b"%064x\n" % (first + at) for at in range(1000)))

        id_line = f"{self.channel.id}\n".encode()
        lies = {
            "endless": endless,
            "twice": lambda request: peer.Answer(200, "text/plain", id_line * 2),
            "nonsense": lambda request: peer.Answer(200, "text/plain", b"no list\n"),
            "too long": lambda request: peer.Answer(200, "text/plain", id_line * 2000),
        }
        for name, lie in lies.items():
            with self.subTest(name):
                self.behave(lie, "/channels")
                before = len(self.party.listener.requests)
                _, told = self.recover()
                answer = json.loads(told.splitlines()[0])
                self.assertTrue(answer["channels_trouble"], told)
                self.assertEqual([row["channel"] for row in answer["channels"]], [self.channel.id])
                self.assertLess(len(self.party.listener.requests) - before, 40)
                if name == "endless":  # it was recovered all the same
                    self.assertEqual(self.node.status()["held"], [])
                    self.put_back("early")
                    wait_for(lambda: [row["hold"] for row in self.node.status()["held"]] == ["peer-larger"])
        self.assertLess(len(asked), 3)

    def forged_receipts(self):
        """Receipts in the node's name that it did not give, beside a pouch of the member: refused, and told which."""
        receipt = self.channel.own.receipts[self.node.name][-1]
        note = Note.parse(receipt[2])
        key, name = self.party.receipt, f"{self.node.name}/entente/receipt"
        forged = note.text + b"\n" + formats.cosignature_line(note.text, name, key, 1)
        foreign = self.channel.logs[self.node.name].receipts[self.party.name][-1][2]
        for note in (forged, foreign):
            pouch = self.channel.pouch(self.node.name)
            pouch.receipts = [(self.node.name, note)]
            answer = self.party.to[self.node.name].post(pouch)
            self.assertEqual(answer.status, 422)
            self.assertIn("receipts/0000", answer.body.decode())

    def test_recover__forgotten_channel_is_proved_by_our_own_head(self):
        """A channel comes back only by a head that our own key signed; an attachment only by its digest."""
        node, party = self.node, self.party
        self.snapshot("before")
        channel = self.open_with(party, node, "later")
        sealed = os.urandom(5 << 20)
        party.blobs[formats.sha256(sealed).hex()] = sealed
        channel.say("contact.check", CHECK, attachments=[peer.blob(sealed, "application/octet-stream")])
        self.deliver(channel, node)
        self.put_back("before")
        with party.lock:
            head, channel.logs[node.name].head = channel.logs[node.name].head, b""
        status, told = self.recover("--channel", channel.id)
        self.assertEqual(status, 1, told)
        self.assertIn("no channel came back", told)
        with party.lock:
            channel.logs[node.name].head = head
        digest = formats.sha256(sealed).hex()
        lies = {
            "other bytes": lambda request: peer.Answer(206, "", party.answer(request).body[::-1]),
            "too few": lambda request: peer.Answer(206, "", b"x"),
            "too many": lambda request: peer.Answer(206, "", bytes(9 << 20)),
            "no range": lambda request: peer.Answer(200, "", party.answer(request).body),
            "gone": lambda request: peer.Answer(404, "application/json", b'{"error":{"code":"not-found","rule":"","text":"gone"}}'),
        }
        found = []
        for name, lie in lies.items():
            with self.subTest(name):
                self.behave(lie, "/blob/")
                status, told = self.recover("--channel", channel.id)
                (row,) = json.loads(told.splitlines()[0])["channels"]
                found.append(row["found"])
                self.assertEqual((row["attachments"], row["attachments_missing"], row["failed"]), (0, 1, None), told)
        self.assertEqual(found, [True] + [False] * (len(lies) - 1))
        party.listener.behaviour = None
        status, told = self.recover("--channel", channel.id)
        (row,) = json.loads(told.splitlines()[0])["channels"]
        self.assertEqual((status, row["attachments"], row["attachments_missing"]), (0, 1, 0), told)
        path = os.path.join(node.dir, "blobs", digest[:2], digest)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), sealed)

    def test_give__only_to_members_and_only_what_is_named(self):
        """GET /channels and GET /blob of a node: who may ask, and what a request must say."""
        node, party = self.node, self.party
        stranger = self.new_party("corona.example", node)  # known, in no channel of ours
        mine = party.to[node.name].request
        theirs = stranger.to[node.name].request
        self.assertIn(self.channel.id, mine("GET", "/channels").body.decode().split())
        listed = sorted(party.channels)
        self.assertEqual(mine("GET", "/channels").body.decode().split(), listed)
        self.assertEqual(mine("GET", f"/channels?after={listed[-1]}").body, b"")
        self.assertEqual(mine("GET", "/channels?after=xyz").status, 422)
        self.assertEqual(theirs("GET", "/channels").body, b"")
        draft = self.attach_own()
        digest, size = draft["digest"], draft["size"]
        whole = mine("GET", f"/blob/{digest}?size={size}", headers={"Range": f"bytes=0-{size - 1}"})
        self.assertEqual((whole.status, whole.headers["content-range"]), (206, f"bytes 0-{size - 1}/{size}"))
        self.assertEqual(formats.sha256(whole.body).hex(), digest)
        part = mine("GET", f"/blob/{digest}?size={size}", headers={"Range": "bytes=7-16"})
        self.assertEqual(part.body, whole.body[7:17])
        self.assertEqual(theirs("GET", f"/blob/{digest}?size={size}", headers={"Range": "bytes=0-1"}).status, 403)
        wrong = {
            f"/blob/{digest}?size={size + 1}": ("bytes=0-1", 404),
            f"/blob/{digest}": ("bytes=0-1", 422),
            f"/blob/{digest}?size={size}": (f"bytes=0-{size}", 422),
            f"/blob/{digest[:-1]}?size={size}": ("bytes=0-1", 422),
            f"/blob/{'0' * 64}?size={size}": ("bytes=0-1", 404),
            f"/blob/{digest}?size={size}&": ("bytes=-5", 422),
        }
        for path, (asked, status) in wrong.items():
            self.assertEqual(mine("GET", path, headers={"Range": asked}).status, status, path)
        self.assertEqual(mine("GET", f"/blob/{digest}?size={size}").status, 422)

    def attach_own(self):
        path = os.path.join(self.folder, "own")
        with open(path, "wb") as file:
            file.write(os.urandom(1000))
        message = self.node.text("send", "evidence.item", "--channel", "line", "--attach", path, "--body", BODY)
        return self.node.json("show", message)["attachment_list"][0]


if __name__ == "__main__":
    unittest.main()
