"""`entente audit`: beside a node at work and on a stopped one's folder nothing is found; then each kind of thing that is kept is
damaged, and the audit names it."""

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import unittest

from node import BUILD, wait_for
from outside import CHECK, INCIDENT, OutsideTest


class AuditTest(OutsideTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.new_node("aurora.example")
        cls.other = cls.new_node("boreal.example")
        cls.node.add_peer(os.path.join(cls.other.dir, "card"))
        cls.other.add_peer(os.path.join(cls.node.dir, "card"))
        terms = os.path.join(cls.folder, "terms.json")
        with open(terms, "w", encoding="utf-8") as file:
            file.write('{"title":"Terms"}')
        cls.id = cls.node.text("channel", "open", "--with", cls.other.name, "--terms", terms, "--alias", "north")
        wait_for(lambda: cls.id[:12] in cls.other.text("channel", "list", "--json"))
        cls.other.run("channel", "accept", cls.id, "--alias", "north")
        wait_for(lambda: cls.node.channel("north")["state"] == "open")
        attached = os.path.join(cls.folder, "attached")
        with open(attached, "wb") as file:
            file.write(os.urandom(3 << 19))
        large = json.dumps(INCIDENT | {"text": {"en": "x" * 100_000}}).encode()
        cls.say(cls.node, 150)
        cls.say(cls.other, 150)
        cls.say(cls.node, 150)
        cls.node.run("send", "incident.notification", "--channel", "north", "--body", "-", "--attach", attached, stdin=large)
        cls.say(cls.other, 150)

        def settled():
            """all that was said is held and receipted, and the attachment is"""
            mine = {row["name"]: row["size"] for row in cls.node.channel("north")["members"]}
            theirs = {row["name"]: row for row in cls.other.channel("north")["members"]}
            return (
                all(theirs[name]["size"] == size for name, size in mine.items())
                and theirs[cls.node.name]["receipted_by_us"] == mine[cls.node.name]
                and cls.node.member("north", cls.other.name)["receipted_by_us"] == mine[cls.other.name]
                and mine[cls.other.name] == 302  # entry 0, what it said, evidence.held
                and cls.node.member("north", cls.other.name)["receipted_by_them"] == mine[cls.node.name]
            )

        wait_for(settled)
        cls.running = cls.node.json("audit")
        cls.node.stop()
        cls.other.stop()

    @classmethod
    def say(cls, node, count):
        draft = json.dumps({"channel": "north", "kind": "contact.check", "body": CHECK}).encode()
        for _ in range(count):
            node.api("POST", "/messages", draft)

    # ---- auditing a copy --------------------------------------------------------------------------------------------

    def copy(self):
        folder = os.path.join(self.folder, f"copy-{len(os.listdir(self.folder))}")
        shutil.copytree(self.node.dir, folder, ignore=lambda folder, names: [
            name for name in names if stat.S_ISSOCK(os.lstat(os.path.join(folder, name)).st_mode)])  # fmt: skip
        self.addCleanup(shutil.rmtree, folder)
        return folder

    def audit(self, folder, *more):
        done = self.entente(folder, "--json", *more)
        return done, json.loads(done.stdout) if done.stdout else None

    @staticmethod
    def entente(folder, *more):
        command = [os.path.join(BUILD, "entente"), "audit", *more, "--dir", folder]
        return subprocess.run(command, capture_output=True, timeout=60, check=False)

    def change(self, folder, *statements):
        """Change the database as one who has the file would."""
        with sqlite3.connect(os.path.join(folder, "store", "store.db")) as database:
            for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
                database.execute(f"DROP TRIGGER {name}")
            database.create_function("spoil", 2, lambda data, at: bytes(
                byte ^ (index == at) for index, byte in enumerate(data)))  # fmt: skip
            for statement, *values in statements:
                self.assertEqual(database.execute(statement, values).rowcount, 1, statement)
        database.close()

    def log_number(self, own):
        with sqlite3.connect(os.path.join(self.node.dir, "store", "store.db")) as database:
            ((number,),) = database.execute("SELECT number FROM logs WHERE own = ?", (own,)).fetchall()
        database.close()
        return number

    def entry_id(self, own, index):
        return self.log_number(own) << 40 | index

    def assert_found(self, folder, what, at, *words, party=None, only=True):
        done, found = self.audit(folder)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertFalse(found["end"]["clean"])
        rows = [row for row in found["findings"] if (row["what"], row["at"]) == (what, at)]
        self.assertTrue(rows, found["findings"])
        for word in words:
            self.assertIn(word, rows[0]["text"])
        if party:
            self.assertEqual(rows[0]["party"], party)
        if only:
            self.assertEqual(len(found["findings"]), 1, found["findings"])
        self.assertEqual(found["end"]["findings"], len(found["findings"]))
        return found

    # ---- nothing is wrong -------------------------------------------------------------------------------------------

    def test_clean__beside_the_node_at_work(self):
        self.assertTrue(self.running["end"]["clean"])
        rows = {row["party"]: row for row in self.running["logs"]}
        self.assertEqual(rows[self.node.name]["entries"], 302)
        self.assertEqual(rows[self.other.name]["entries"], 302)
        self.assertEqual(rows[self.node.name]["attachments"], 1)
        self.assertTrue(all(row["heads"] > 0 and row["receipts"] > 0 for row in rows.values()), rows)

    def test_clean__of_a_stopped_node(self):
        done, found = self.audit(self.node.dir, "--channel", "north")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(found["findings"], [])
        self.assertEqual([row["entries"] for row in found["logs"]], [302, 302])
        self.assertGreater(found["end"]["bytes"], 3 << 19)
        shown = self.entente(self.node.dir).stdout.decode()
        self.assertIn("Nothing is wrong: 604 entries in 1 channel,", shown)
        unknown = self.entente(self.node.dir, "--channel", "south")
        self.assertEqual(unknown.returncode, 1)
        self.assertIn(b'no channel is called "south"', unknown.stderr)

    def test_none__where_there_is_no_store(self):
        done = self.entente(os.path.join(self.folder, "nowhere"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"init", done.stderr)

    # ---- each kind of damage ----------------------------------------------------------------------------------------

    def test_entry__changed(self):
        folder = self.copy()
        spoilt = "UPDATE entries SET entry = CAST(replace(CAST(entry AS TEXT), 'contact.check', 'contact.chock') AS BLOB)"
        self.change(folder, (spoilt + " WHERE id = ?", self.entry_id(True, 70)))
        self.assert_found(folder, "entry", 70, "is not the one that was logged", party=self.node.name)

    def test_entry__replaced_by_another(self):
        folder = self.copy()
        self.change(folder, ("UPDATE entries SET entry = (SELECT entry FROM entries WHERE id = ?) WHERE id = ?",
                             self.entry_id(False, 100), self.entry_id(False, 90)))  # fmt: skip
        self.assert_found(folder, "entry", 90, party=self.other.name)

    def test_entry__missing(self):
        folder = self.copy()
        self.change(folder, ("DELETE FROM entries WHERE id = ?", self.entry_id(False, 256)))
        self.assert_found(folder, "entry", 256, "256 to 256 are missing", party=self.other.name, only=False)

    def test_entry__last_ones_missing(self):
        folder = self.copy()
        self.change(folder, ("DELETE FROM entries WHERE id = ?", self.entry_id(True, 301)))
        self.assert_found(folder, "entry", 301, "301 to 301 are missing", only=False)

    def test_entry__and_its_tile_changed_together(self):
        folder = self.copy()
        import hashlib

        with sqlite3.connect(os.path.join(folder, "store", "store.db")) as database:
            ((entry,),) = database.execute("SELECT entry FROM entries WHERE id = ?", (self.entry_id(True, 5),)).fetchall()
        database.close()
        forged = entry.replace(b"contact.check", b"contact.chuck")
        tile = self.entry_id(True, 0)
        self.change(
            folder,
            ("UPDATE entries SET entry = ? WHERE id = ?", forged, self.entry_id(True, 5)),
            ("UPDATE tiles SET hashes = CAST(substr(hashes, 1, 160) || ? || substr(hashes, 193) AS BLOB) WHERE id = ?",
             hashlib.sha256(b"\0" + forged).digest(), tile),
        )  # fmt: skip
        done, found = self.audit(folder)
        self.assertEqual(done.returncode, 1)
        self.assertEqual({row["what"] for row in found["findings"]} & {"head", "receipt"}, {"head", "receipt"})
        self.assertIn("another root", found["findings"][0]["text"])

    def test_tile__of_leaves(self):
        folder = self.copy()
        self.change(folder, ("UPDATE tiles SET hashes = spoil(hashes, ?) WHERE id = ?", 32 * 44, self.entry_id(True, 1)))
        self.assert_found(folder, "tile", 256 + 44, "tile 0/1", party=self.node.name)

    def test_tile__above(self):
        folder = self.copy()
        self.change(folder, ("UPDATE tiles SET hashes = spoil(hashes, 3) WHERE id = ?",
                             self.log_number(False) << 40 | 1 << 36))  # fmt: skip
        self.assert_found(folder, "tile", None, "tile 1/0", party=self.other.name)

    def test_tile__missing(self):
        folder = self.copy()
        self.change(folder, ("DELETE FROM tiles WHERE id = ?", self.entry_id(True, 0)))
        self.assert_found(folder, "tile", None, "tile 0/0 cannot be read")

    def newest(self, table, own):
        with sqlite3.connect(os.path.join(self.node.dir, "store", "store.db")) as database:
            ((size,),) = database.execute(
                f"SELECT max(size) FROM {table} WHERE log = ? AND size < 200", (self.log_number(own),)
            ).fetchall()
        database.close()
        return size

    def test_head__signature(self):
        for own in (True, False):
            folder, size = self.copy(), self.newest("heads", own)
            self.change(folder, ("UPDATE heads SET note = spoil(note, length(note) - 20) WHERE log = ? AND size = ?",
                                 self.log_number(own), size))  # fmt: skip
            self.assert_found(folder, "head", size, "does not verify")

    def test_head__root(self):
        folder, size = self.copy(), self.newest("heads", True)
        self.change(folder, ("UPDATE heads SET root = spoil(root, 0) WHERE log = ? AND size = ?",
                             self.log_number(True), size))  # fmt: skip
        found = self.assert_found(folder, "head", size, "of another size or root than its row says", only=False)
        self.assertIn("has another root", found["findings"][1]["text"])

    def test_receipt__signature_time_and_root(self):
        for own in (True, False):
            for column in ("signature = spoil(signature, 9)", "timestamp_unix_s = timestamp_unix_s - 60"):
                folder, size = self.copy(), self.newest("receipts", own)
                self.change(folder, (f"UPDATE receipts SET {column} WHERE log = ? AND size = ?", self.log_number(own), size))
                self.assert_found(folder, "receipt", size, "does not verify")
        folder = self.copy()
        self.change(folder, ("UPDATE receipts SET root = spoil(root, 1) WHERE log = ? AND size = ?",
                             self.log_number(own), size))  # fmt: skip
        self.assert_found(folder, "receipt", size, only=False)

    def test_body__in_a_row(self):
        folder = self.copy()
        self.change(folder, ("UPDATE bodies SET sealed = spoil(sealed, 200) WHERE id = ?", self.entry_id(False, 33)))
        self.assert_found(folder, "body", 33, "does not have the digest", party=self.other.name)
        folder = self.copy()
        self.change(folder, ("DELETE FROM bodies WHERE id = ?", self.entry_id(False, 33)))
        self.assert_found(folder, "body", 33, "cannot be read")

    @staticmethod
    def only_file(*parts):
        ((folder, _, names),) = [found for found in os.walk(os.path.join(*parts)) if found[2]]
        (name,) = names
        return os.path.join(folder, name)

    def test_body__in_a_file(self):
        folder = self.copy()
        with open(self.only_file(folder, "store", "bodies"), "r+b") as file:
            file.seek(1000)
            file.write(b"damaged")
        self.assert_found(folder, "body", 301, "damaged")

    def test_attachment__changed_cut_or_missing(self):
        folder = self.copy()
        path = self.only_file(folder, "blobs")
        with open(path, "r+b") as file:
            file.seek(5 << 18)
            file.write(b"damaged")
        self.assert_found(folder, "attachment", 301, "does not have the digest")
        os.truncate(path, 1 << 20)
        self.assert_found(folder, "attachment", 301, "does not have the digest")
        os.unlink(path)
        self.assert_found(folder, "attachment", 301, "cannot be read")

    def test_attachment__its_row(self):
        folder = self.copy()
        self.change(folder, ("UPDATE blobs SET size = size + 1",))
        self.assert_found(folder, "attachment", 301, "list of them is another")

    def test_log__its_row(self):
        for column in ("edge = spoil(edge, 5)", "bytes = bytes + 1", "acked = spoil(acked, length(acked) - 1)"):
            folder = self.copy()
            self.change(folder, (f"UPDATE logs SET {column} WHERE own = 1",))
            self.assert_found(folder, "log", 302)

    def test_channel__its_genesis(self):
        folder = self.copy()
        self.change(folder, ("UPDATE channels SET genesis = spoil(genesis, 30)",))
        self.assert_found(folder, "channel", None, "does not have the channel's id")

    def test_mark__lost_or_of_more_than_is_here(self):
        folder = self.copy()
        os.unlink(os.path.join(folder, "marks", "marks"))
        self.assert_found(folder, "mark", None, "its marks were lost")

    def test_rollback__an_older_store_under_the_marks(self):
        folder = self.copy()
        self.change(folder, ("UPDATE logs SET size = 301 WHERE own = 1",))
        done, found = self.audit(folder)
        self.assertEqual(done.returncode, 1)  # the edge no longer fits the size: the row cannot be read
        self.assertTrue(found["findings"])


if __name__ == "__main__":
    unittest.main()
