"""Large attachments over the network, with the programs killed on the way; and on a stick, with what a stick can do to them."""

import glob
import hashlib
import os
import shutil
import sys
import threading
import time
import unittest

from node import EXAMPLES, PATIENCE_S, SOURCE, CliError, wait_for
from outside import OutsideTest
from peer import Answer

sys.path.insert(0, os.path.join(SOURCE, "tests", "torture"))

from attachment import Transfer, digest_of, faults_of, make_file  # noqa: E402

LARGE = 96 << 20
BODY = os.path.join(EXAMPLES, "evidence.item.json")


class Large(OutsideTest):
    def test_crossing__killed_on_both_sides_goes_on_where_it_was(self):
        folder = os.path.join(self.folder, "large")
        os.mkdir(folder)
        transfer = Transfer(folder, LARGE, kills=4)
        try:
            result = transfer.run()
        finally:
            for node in transfer.nodes():
                if node.process is not None:
                    node.kill()
        self.assertEqual(faults_of(result), [])
        self.assertEqual(result["received"], 1)
        self.assertGreater(result["flash"], 0)


class Pieces(OutsideTest):
    """What the node sends to a second implementation, piece by piece."""

    PIECE = 8 << 20
    OFFSET = "text/x.entente.offset"

    def setUp(self):
        name = self.id().rsplit("__", 1)[1].replace("_", "-")[:40]
        self.node = self.new_node(f"{name}.example")
        self.party = self.new_party(f"to-{name}.example", self.node, listens=True)
        self.channel = self.open_with(self.party, self.node, "line")
        self.path = os.path.join(self.folder, "attached")

    def attach(self, size):
        """Say something with a file of this size; gives the sealed digest."""
        make_file(self.path, size)
        message = self.node.text("send", "evidence.item", "--channel", "line", "--body", BODY, "--attach", self.path)
        return self.node.json("show", message)["attachment_list"][0]["digest"]

    def test_pieces__none_begins_while_a_pouch_is_under_way(self):
        begun, seen, posting = threading.Event(), [], threading.Event()

        def slow_pouches(request):
            seen.append((request.method, posting.is_set()))
            if request.method == "PUT":
                answer = self.party.answer(request)
                if request.body:
                    begun.set()
                return answer
            posting.set()
            if begun.is_set():
                time.sleep(0.5)
            answer = self.party.answer(request)
            posting.clear()
            return answer

        self.party.listener.behaviour = slow_pouches
        digest = self.attach(4 * self.PIECE)
        self.assertTrue(begun.wait(PATIENCE_S))
        self.node.run("send", "incident.notification", "--channel", "line", "--urgency", "flash", "--body",
                      os.path.join(EXAMPLES, "incident.notification.json"), "--wait", "receipt")  # fmt: skip
        pieces = sum(method == "PUT" for method, _ in seen)
        self.assertLess(pieces, 5, "the attachment was through before the message: this shows nothing")
        wait_for(lambda: digest in self.party.blobs)
        self.assertLessEqual(seen.count(("PUT", True)), 1)  # one was on its way when the message was said
        self.assertEqual(digest_of_bytes(self.party.blobs[digest]), digest)

    def test_pieces__go_on_from_where_the_peer_is(self):
        dropped = []

        def forgetful(request):
            part = self.party.parts.get(request.path[6:], b"")
            if request.method == "PUT" and len(part) > self.PIECE and not dropped:
                dropped.append(len(part))
                del part[5:]
            return self.party.answer(request)

        self.party.listener.behaviour = forgetful
        digest = self.attach(2 * self.PIECE + 1)
        wait_for(lambda: digest in self.party.blobs)
        self.assertEqual(len(dropped), 1)

    def test_pieces__small_one_passes_a_large_one(self):
        first = threading.Event()

        def step(request):
            if request.method == "PUT" and len(request.body) == self.PIECE:
                first.set()
                time.sleep(0.1)
            return self.party.answer(request)

        self.party.listener.behaviour = step
        large = self.attach(5 * self.PIECE)
        self.assertTrue(first.wait(PATIENCE_S))
        small = [self.attach(1000), self.attach(2000)]
        wait_for(lambda: large in self.party.blobs)
        self.assertEqual(list(self.party.blobs), [*small, large])

    def test_pieces__nonsense_answers_stop_no_other_attachment(self):
        nonsense = [
            Answer(202, self.OFFSET, b"99999999999\n"), Answer(202, self.OFFSET, b"x\n"), Answer(202, "text/plain", b"0\n"),
            Answer(409, self.OFFSET, b"-1\n"), Answer(204), Answer(301), Answer(404), Answer(422),
            Answer(413, "application/json", b"{"),
        ]  # fmt: skip
        victims = {}

        def mad(request):
            answer = self.party.answer
            if request.method == "PUT" and request.path[6:] in victims:
                victims[request.path[6:]].append(request)
                return nonsense[list(victims).index(request.path[6:])]
            return answer(request)

        self.party.listener.behaviour = mad
        with self.party.lock:
            for _ in nonsense:
                victims[self.attach(1000)] = []
        last = self.attach(1000)
        wait_for(lambda: last in self.party.blobs)
        wait_for(lambda: all(victims.values()))
        self.assertLess(max(len(requests) for requests in victims.values()), 5)
        wait_for(lambda: self.node.status()["attachments_to_send"] == len(nonsense))

    def test_pieces__peer_that_never_comes_further_is_left_alone(self):
        asked = []

        def stuck(request):
            if request.method != "PUT":
                return self.party.answer(request)
            asked.append(request)
            return Answer(409, self.OFFSET, b"7\n")

        self.party.listener.behaviour = stuck
        self.attach(2 * self.PIECE)
        wait_for(lambda: len(asked) == 10)  # a question, a first try and eight more
        time.sleep(0.7)
        self.assertEqual(len(asked), 10)


def digest_of_bytes(data):
    return hashlib.sha256(data).hexdigest()


class Stick(OutsideTest):
    """Boreal has no network: everything goes by hand."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.near = cls.new_node("aurora.example", air_gapped=True)
        cls.far = cls.new_node("boreal.example", air_gapped=True)
        cls.near.add_peer(cls.far.card_path)
        cls.far.add_peer(cls.near.card_path)
        cls.stick = os.path.join(cls.folder, "stick")
        os.mkdir(cls.stick)
        terms = os.path.join(cls.folder, "terms.json")
        with open(terms, "w", encoding="utf-8") as file:
            file.write('{"title":"Terms"}')
        channel = cls.near.text("channel", "open", "--with", cls.far.name, "--terms", terms, "--alias", "line")
        cls.far.run("pouch", "import", cls.export(cls.near, cls.far, channel))
        cls.far.run("channel", "accept", channel, "--alias", "line")
        cls.carry(cls.far, cls.near)
        cls.carry(cls.near, cls.far)

    @classmethod
    def export(cls, sender, receiver, channel="line", *options):
        path = os.path.join(cls.stick, sender.name)
        sender.run("pouch", "export", "--channel", channel, "--to", receiver.name, "-o", path, *options)
        return path

    @classmethod
    def carry(cls, sender, receiver):
        """There, and the reply back; what each import answered."""
        reply = os.path.join(cls.stick, "reply")
        there = receiver.json("pouch", "import", cls.export(sender, receiver), "--reply", reply)
        back = sender.json("pouch", "import", reply)
        return there, back

    def attach(self, node, sizes):
        """Say something with files of these sizes; gives MSG and the files' digests."""
        paths = [os.path.join(self.folder, f"file-{at}") for at in range(len(sizes))]
        digests = [make_file(path, size) for path, size in zip(paths, sizes)]
        attached = [word for path in paths for word in ("--attach", path)]
        return node.text("send", "evidence.item", "--channel", "line", "--body", BODY, *attached), digests

    def named(self, node, message):
        return [row["digest"] for row in node.json("show", message)["attachment_list"]]

    def assert_opens(self, node, message, digests):
        out = os.path.join(self.folder, "out")
        for at, digest in enumerate(digests):
            node.run("open", message, "--attachment", str(at), "-o", out)
            self.assertEqual(digest_of(out), digest)

    def tearDown(self):
        self.empty_stick()
        self.carry(self.near, self.far)
        wait_for(lambda: self.near.status()["attachments_to_send"] == 0)
        self.empty_stick()

    def empty_stick(self):
        shutil.rmtree(self.stick)
        os.mkdir(self.stick)

    def test_stick__carries_attachments_both_ways_with_the_word_that_they_are_held(self):
        first, digests = self.attach(self.near, [3_000_000, 0, 70_000])
        second, others = self.attach(self.far, [10_000])
        self.assertEqual(self.near.status()["attachments_to_send"], 3)
        there, back = self.carry(self.near, self.far)
        self.assertEqual([row["state"] for row in there["attachments"]], ["taken"] * 3)
        self.assertEqual([row["state"] for row in back["attachments"]], ["taken"])
        self.assert_opens(self.far, first, digests)
        self.assert_opens(self.near, second, others)
        # the reply has said it, and so nothing is to be sent there any more
        wait_for(lambda: self.near.status()["attachments_to_send"] == 0)
        for row in self.near.json("show", first)["attachment_list"]:
            self.assertEqual(row["held_by"], [self.far.name])
        self.carry(self.near, self.far)
        wait_for(lambda: self.far.status()["attachments_to_send"] == 0)

    def test_stick__what_is_there_already_is_not_written_again_and_what_is_held_not_taken_again(self):
        message, _ = self.attach(self.near, [200_000])
        (digest,) = self.named(self.near, message)
        path = self.export(self.near, self.far)
        beside = os.path.join(path + ".d", digest)
        before = os.stat(beside)
        again = self.near.json("pouch", "export", "--channel", "line", "--to", self.far.name, "-o", path)
        self.assertEqual([row["state"] for row in again["attachments"]], ["there"])
        after = os.stat(beside)
        self.assertEqual((before.st_ino, before.st_mtime_ns), (after.st_ino, after.st_mtime_ns))
        self.assertEqual(self.far.json("pouch", "import", path)["attachments"][0]["state"], "taken")
        self.assertEqual(self.far.json("pouch", "import", path)["attachments"][0]["state"], "held")

    def test_stick__damaged_cut_and_strange_files_are_told_and_not_taken(self):
        message, digests = self.attach(self.near, [100_000, 150_000, 50_000])
        names = self.named(self.near, message)
        path = self.export(self.near, self.far)
        damaged, cut, whole = (os.path.join(path + ".d", name) for name in names)
        with open(damaged, "r+b") as file:
            file.seek(5000)
            file.write(b"\x00\x01\x02\x03")
        os.truncate(cut, 149_000)
        with open(os.path.join(path + ".d", "0" * 64), "wb") as file:
            file.write(b"nobody waits for this")
        os.mkfifo(os.path.join(path + ".d", "1" * 64))
        with open(os.path.join(path + ".d", "readme.txt"), "wb") as file:
            file.write(b"?")
        done = self.far.run("pouch", "import", path, check=False)
        self.assertEqual(done.returncode, 1)
        said = done.stdout.decode()
        self.assertIn(damaged + " is not taken", said)
        self.assertIn("another digest", said)
        self.assertIn("1 attachment,", said)
        self.assertIn("2 files that no message here waits for, or not whole", said)
        rows = self.far.json("show", message)["attachment_list"]
        self.assertEqual([row["state"] for row in rows], ["wanted", "wanted", "held"])
        self.assertTrue(os.path.exists(whole))
        # another stick mends it
        shutil.rmtree(path + ".d")
        self.far.run("pouch", "import", self.export(self.near, self.far))
        self.assert_opens(self.far, message, digests)

    def test_stick__may_leave_attachments_out(self):
        self.attach(self.near, [1000])
        path = self.export(self.near, self.far, "line", "--no-attachments")
        self.assertEqual(glob.glob(path + ".d/*"), [])
        path = self.export(self.near, self.far)
        self.assertEqual(self.far.json("pouch", "import", path, "--no-attachments")["attachments"], [])
        self.assertEqual(self.far.json("pouch", "import", path)["attachments"][0]["state"], "taken")

    def test_stick__attachment_before_its_pouch_is_refused(self):
        with self.assertRaisesRegex(AssertionError, "send its pouch first"):
            self.far.api("PUT", "/blobs/" + "2" * 64, b"x")
        with self.assertRaisesRegex(AssertionError, "64 hex digits|hex"):
            self.far.api("PUT", "/blobs/" + "x" * 64, b"x")
        with self.assertRaises(CliError):
            self.near.run("pouch", "export", "--channel", "line", "--to", "nobody.example", "-o", "x")


if __name__ == "__main__":
    unittest.main()
