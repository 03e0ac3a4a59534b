"""A backup that is made while both sides speak, put back elsewhere: what was signed since comes back from the peer, no index
is signed twice, and both go on. A damaged backup is refused and leaves nothing."""

import base64
import collections
import copy
import hashlib
import io
import json
import os
import random
import shutil
import tarfile
import threading
import unittest

from node import EXAMPLES, wait_for
from outside import CHECK, OutsideTest

DRAFT = json.dumps({"channel": "line", "kind": "contact.check", "body": CHECK}).encode()


class Backup(OutsideTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.aurora = cls.new_node("aurora.example")
        cls.boreal = cls.new_node("boreal.example")
        cls.aurora.add_peer(cls.boreal.card_path)
        cls.boreal.add_peer(cls.aurora.card_path)
        terms = os.path.join(EXAMPLES, "terms.json")
        cls.channel = cls.aurora.text("channel", "open", "--with", "boreal.example", "--terms", terms, "--alias", "line")
        wait_for(lambda: cls.boreal.run("channel", "show", cls.channel, check=False).returncode == 0)
        cls.boreal.run("channel", "accept", cls.channel, "--alias", "line")
        wait_for(lambda: cls.aurora.channel("line")["state"] == "open")
        cls.passphrase = os.path.join(cls.folder, "passphrase")
        with open(cls.passphrase, "w", encoding="ascii") as file:
            file.write("correct horse\n")
        os.chmod(cls.passphrase, 0o600)

    def path(self, name):
        return os.path.join(self.folder, name)

    def entries(self, node, party):
        size = node.held("line")[party][0]
        return [node.api("GET", f"/messages/line/{party}/{index}")["entry"] for index in range(size)]

    def counts_alike(self):
        return len({node.json("ledger", "--channel", "line")["evidence_digest"] for node in (self.aurora, self.boreal)}) == 1

    def test_backup__under_load_restored_and_recovered(self):
        stopping = threading.Event()
        said = collections.Counter()

        def speak(node):
            while not stopping.is_set():
                said[node.name] += node.api("POST", "/messages", DRAFT)["held"] is None

        big = self.path("big")
        with open(big, "wb") as file:
            file.write(os.urandom(3_000_000))
        self.aurora.run("send", "evidence.item", "--channel", "line", "--attach", big, "--body",
                        os.path.join(EXAMPLES, "evidence.item.json"))  # fmt: skip
        threads = [threading.Thread(target=speak, args=(node,)) for node in (self.aurora, self.boreal)]
        for thread in threads:
            thread.start()
        wait_for(lambda: said["aurora.example"] > 10)
        tar = self.path("aurora.tar")
        made = self.aurora.json("backup", tar, "--with-keys", "--passphrase-file", self.passphrase)
        after = said["aurora.example"]
        wait_for(lambda: said["aurora.example"] > after + 20)
        stopping.set()
        for thread in threads:
            thread.join()
        self.assertEqual(made["bytes"], os.path.getsize(tar))
        self.assertGreaterEqual(made["keys"], 4)
        self.check_tar(tar)
        wait_for(lambda: self.boreal.held("line")["aurora.example"][0] == self.aurora.held("line")["aurora.example"][0])
        before = self.entries(self.boreal, "aurora.example")
        self.aurora.kill()
        shutil.move(self.aurora.dir, self.aurora.dir + ".lost")
        self.assertEqual(self.aurora.run("restore", tar, check=False).returncode, 2)  # there are keys
        self.assertFalse(os.path.exists(self.aurora.dir))
        told = self.aurora.run("restore", tar, "--passphrase-file", self.passphrase).stdout.decode()
        self.assertIn("recover --from", told)
        self.assertEqual(self.aurora.run("restore", tar, check=False).returncode, 1)  # not empty
        for name in os.listdir(os.path.join(self.aurora.dir, "keys")):
            with open(os.path.join(self.aurora.dir, "keys", name), "rb") as ours, \
                 open(os.path.join(self.aurora.dir + ".lost", "keys", name), "rb") as theirs:  # fmt: skip
                self.assertEqual(ours.read(), theirs.read(), name)
        self.aurora.start()
        held = self.aurora.api("POST", "/messages", DRAFT)
        # The marks are copied after the store: when more was signed in between, the keeper knows by itself.
        self.assertRegex(held["held"], "boreal.example shows a head of our log|the keeper signed our log with")
        self.assertIn([row["hold"] for row in self.aurora.status()["held"]], (["peer-larger"], ["keeper"]))
        (row,) = self.aurora.json("recover", "--from", "boreal.example")["channels"]
        self.assertEqual((row["hold"], row["set_aside"], row["trouble"]), (None, 1, None), row)
        self.assertEqual(self.aurora.status()["held"], [])
        self.assertEqual(self.entries(self.aurora, "aurora.example")[: len(before)], before)  # nothing is another now
        for node in (self.aurora, self.boreal):
            self.assertTrue(node.api("POST", "/messages?wait=receipt&timeout=20", DRAFT)["done"])
        for party in ("aurora.example", "boreal.example"):
            self.assertEqual(self.entries(self.aurora, party), self.entries(self.boreal, party))
        self.assertEqual(self.boreal.status()["forks"], [])
        wait_for(self.counts_alike)

        self.aurora.stop()
        self.assertEqual(self.aurora.run("audit", check=False).returncode, 0)
        self.aurora.start()

    def check_tar(self, path):
        """Any tar reads it; the list at its end is true."""
        with tarfile.open(path) as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}
            names = tar.getnames()
        listed = dict(line.split(" ")[::2][::-1] for line in members["members"].decode().splitlines())
        plain = [name for name in names if not name.startswith("keys/")]
        self.assertEqual(plain, [*listed, "members"])
        for name, digest in listed.items():
            self.assertEqual(hashlib.sha256(members[name]).hexdigest(), digest)
        self.assertNotIn("marks/clean", names)
        self.assertLess(names.index("store/store.db"), names.index("marks/marks"))
        with open(os.path.join(self.aurora.dir, "keys", "log.key"), "rb") as file:
            secret = file.read().splitlines()[1]
        self.assertFalse([name for name, data in members.items() if secret in data])

    def test_restore__damage_is_refused_and_leaves_nothing(self):
        tar = self.path("boreal.tar")
        self.assertEqual(self.boreal.json("backup", tar)["keys"], 0)
        with open(tar, "rb") as file:
            whole = file.read()
        chosen = random.Random(2022)
        damaged = {f"cut at {at}": whole[:at] for at in (0, 1, 511, 512, 5000, len(whole) - 1, len(whole) - 1024)}
        damaged["more behind"] = whole + bytes(512)
        for at in [chosen.randrange(len(whole)) for _ in range(30)]:
            damaged[f"bit at {at}"] = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        damaged.update(self.forged(whole))
        node = copy.copy(self.boreal)
        node.dir = self.path("again")
        for name, data in damaged.items():
            with self.subTest(name):
                with open(self.path("damaged.tar"), "wb") as file:
                    file.write(data)
                done = node.run("restore", self.path("damaged.tar"), "--passphrase-file", self.passphrase, check=False)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertEqual([found for found in os.listdir(self.folder) if found.startswith("again")], [])
        told = node.run("restore", tar).stdout.decode()
        self.assertIn("put the keys back", told)
        self.assertNotEqual(os.path.exists(os.path.join(node.dir, "store", "store.db")), False)
        self.assertFalse(os.path.exists(os.path.join(node.dir, "marks", "clean")))

    @staticmethod
    def forged(whole):
        """Whole tars with a member that no backup has, one that no passphrase sealed, or none of those that every backup
        has."""
        with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
            members = [(member, tar.extractfile(member).read()) for member in tar.getmembers()]

        def tar_of(rows):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as made:
                for member, data in rows:
                    member.size = len(data)
                    made.addfile(member, io.BytesIO(data))
            end = (out.tell() // 10240) and len(out.getvalue().rstrip(b"\0"))
            return out.getvalue()[: (end + 511) // 512 * 512] + bytes(1024)

        strange = tarfile.TarInfo("../evil")
        strange.mode, strange.uname, strange.gname = 0o644, "", ""
        other = tarfile.TarInfo("marks/clean")
        other.mode, other.uname, other.gname = 0o644, "", ""
        program = tarfile.TarInfo("keys/alerts.json")
        program.mode, program.uname, program.gname = 0o644, "", ""
        unsealed = b"entente.key/v1 keys/alerts.json\n" + base64.b64encode(b'{"execute":{"path":"/bin/sh"}}') + b"\n"
        return {
            "not sealed": tar_of([(program, unsealed), *members]),
            "outside": tar_of([members[0], (strange, b"x"), *members[1:]]),
            "marker": tar_of([members[0], (other, b"x"), *members[1:]]),
            "no title": tar_of(members[1:]),
            "no list": tar_of(members[:-1]),
            "one less": tar_of([row for row in members if row[0].name != "marks/marks"]),
            "twice": tar_of([members[0], members[1], *members[1:]]),
        }


if __name__ == "__main__":
    unittest.main()
