"""Large attachments over the network, with the programs killed on the way; and on a stick, with what a stick can do to them."""

import glob
import os
import shutil
import sys
import unittest

from node import EXAMPLES, SOURCE, CliError, wait_for
from outside import OutsideTest

sys.path.insert(0, os.path.join(SOURCE, "tests", "torture"))

from attachment import Transfer, digest_of, faults_of, make_file, open_channel  # noqa: E402

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
