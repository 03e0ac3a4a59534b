"""`entente doctor`: on a party's folder without a node, and with one that has been dealt each kind of trouble, it names what is
wrong, why it matters and what to do."""

import fcntl
import json
import os
import shutil
import unittest

from node import wait_for
from outside import CHECK, OutsideTest
from peer import Answer


class DoctorTest(OutsideTest):
    def doctor(self, node, *more):
        done = node.run("doctor", "--json", *more, check=False)
        answer = json.loads(done.stdout)
        problems = [row for row in answer["findings"] if row["level"] == "problem"]
        self.assertEqual(done.returncode, 1 if problems else 0, done.stderr)
        for row in answer["findings"]:
            self.assertTrue(row["text"] and row["matters"] and row["todo"], row)
        return answer

    def found(self, node, what, *more):
        return [row for row in self.doctor(node, *more)["findings"] if row["what"] == what]

    def assert_found(self, node, what, *words, level="problem", **more):
        rows = self.found(node, what)
        self.assertEqual(len(rows), 1, rows)
        for word in words:
            self.assertIn(word, rows[0]["text"])
        self.assertEqual(rows[0]["level"], level)
        for key, value in more.items():
            self.assertEqual(rows[0][key], value)
        return rows[0]


class Folder(DoctorTest):
    """No node runs."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.new_node("aurora.example")
        cls.running = cls.node.json("doctor")
        cls.shown = cls.node.text("doctor")
        cls.node.stop()
        cls.whole = cls.node.dir

    def setUp(self):
        self.node.dir = os.path.join(self.folder, f"copy-{self.id()}")
        shutil.copytree(self.whole, self.node.dir, ignore=shutil.ignore_patterns("socket"))
        self.addCleanup(shutil.rmtree, self.node.dir)

    def path(self, *names):
        return os.path.join(self.node.dir, *names)

    def test_nothing__is_wrong_with_a_new_node(self):
        self.assertEqual(self.running["node"], "running")
        self.assertEqual([row["what"] for row in self.running["findings"]], ["root-key"])
        self.assertIn("Nothing is wrong", self.shown)

    def test_stopped(self):
        answer = self.doctor(self.node)
        self.assertEqual(answer["node"], "stopped")
        self.assert_found(self.node, "stopped", "no node runs")
        shown = self.node.run("doctor", check=False).stdout.decode()
        for word in ("PROBLEM stopped", "why it matters", "what to do", f"entented --dir {self.node.dir}", "note root-key"):
            self.assertIn(word, shown)

    def test_not_clean__where_the_marker_is_missing(self):
        self.assertEqual(self.found(self.node, "not-clean"), [])
        with open(self.path("marks", "marks"), "ab"):
            pass
        for name in os.listdir(self.path("marks")):
            if name == "clean":
                os.unlink(self.path("marks", name))
        self.assert_found(self.node, "not-clean", "not stopped cleanly", level="note")

    def test_permissions(self):
        os.chmod(self.path("keys"), 0o750)
        os.chmod(self.path("keys", "age.key"), 0o644)
        rows = self.found(self.node, "permissions")
        self.assertEqual(len(rows), 2)
        self.assertIn("mode 0750", rows[0]["text"])
        self.assertIn("chmod go= ", rows[1]["todo"])

    def test_keys__missing_or_not_those_of_the_card(self):
        other = self.new_node("boreal.example")
        shutil.copy(os.path.join(other.dir, "keys", "log.key"), self.path("keys", "log.key"))
        self.assert_found(self.node, "keys", "does not name the keys")
        os.unlink(self.path("keys", "receipt.key"))
        (row,) = [row for row in self.found(self.node, "keys") if "receipt.key" in row["text"]]  # said once
        self.assertIn("receipt.key is missing", row["text"])
        self.assertIn("key revoke receipt", row["todo"])

    def test_marks__missing(self):
        self.assertEqual(self.found(self.node, "marks"), [])
        os.unlink(self.path("marks", "marks"))
        self.assert_found(self.node, "marks", "is missing")

    def test_certificate__is_not_that_of_the_card(self):
        other = self.new_node("corvus.example")
        shutil.copy(os.path.join(other.dir, "tls.crt"), self.path("tls.crt"))
        self.assert_found(self.node, "certificate", "is not the certificate pinned in the card")
        with open(self.path("tls.crt"), "w", encoding="ascii") as file:
            file.write("none")
        self.assert_found(self.node, "certificate", "cannot be used")

    def test_card__damaged(self):
        with open(self.path("card"), "r+b") as file:
            file.seek(60)
            file.write(b"XXXX")
        self.assert_found(self.node, "card", "card")

    def test_configuration__damaged(self):
        with open(self.path("node.json"), "w", encoding="ascii") as file:
            file.write("{")
        self.assert_found(self.node, "configuration")

    def test_marks__damaged(self):
        with open(self.path("marks", "marks"), "wb") as file:
            file.write(b"nonsense\nmore\n")
        self.assert_found(self.node, "keys", "marks")

    def test_locked__by_a_process_that_does_not_answer(self):
        with open(self.path("store", "lock"), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.assert_found(self.node, "locked", "no node answers")

    def test_nowhere__is_no_finding(self):
        self.node.dir = os.path.join(self.folder, "nowhere")
        os.mkdir(self.node.dir)
        done = self.node.run("doctor", check=False)
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"entente init", done.stderr)


class AtWork(DoctorTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.new_node("aurora.example")
        cls.party = cls.new_party("vega.example", cls.node, listens=True)
        cls.channel = cls.open_with(cls.party, cls.node, "main")
        wait_for(lambda: not [row for row in cls.node.json("doctor")["findings"] if row["level"] == "problem"])

    def say(self, alias="main"):
        draft = {"channel": alias, "kind": "contact.check", "body": CHECK}
        self.node.api("POST", "/messages", json.dumps(draft).encode())

    def behave(self, behaviour):
        self.party.listener.behaviour = behaviour
        self.addCleanup(setattr, self.party.listener, "behaviour", None)

    def test_clock__of_a_peer_that_differs(self):
        self.party.listener.clock_ahead_s = -1000
        self.addCleanup(setattr, self.party.listener, "clock_ahead_s", 0)
        self.say()
        wait_for(lambda: self.found(self.node, "clock"))
        row = self.assert_found(self.node, "clock", "the clock of vega.example is", "behind of ours")
        self.assertEqual(row["party"], self.party.name)
        self.party.listener.clock_ahead_s = 0
        self.say()
        wait_for(lambda: not self.found(self.node, "clock"))

    def test_refused__with_the_reason(self):
        reason = json.dumps({"error": {"code": "invalid", "rule": "", "text": "we do not like it"}}).encode()
        self.behave(lambda request: Answer(422, "application/json", reason))
        self.say()
        wait_for(lambda: self.found(self.node, "refused"))
        self.assert_found(self.node, "refused", "we do not like it", party=self.party.name, alias="main")

    def test_unreachable__since_when_and_why(self):
        other = self.new_party("lyra.example", self.node, listens=True)
        self.open_with(other, self.node, "gone")
        other.listener.close()
        other.listener.hang_up()
        self.say("gone")
        wait_for(lambda: self.found(self.node, "unreachable"))
        row = self.assert_found(self.node, "unreachable", "lyra.example is not reached", party="lyra.example")
        self.assertRegex(row["since"], r"^\d{4}-\d\d-\d\dT")

    def test_quota__nearly_used_up(self):
        every = {"entries_a_day": 10, "bytes_a_day": 0, "attachment_bytes": 0}
        channel = self.party.open_channel([self.node.name], quotas=every)
        self.assertEqual(self.party.to[self.node.name].post(channel.pouch(self.node.name)).status, 202)
        wait_for(lambda: self.found(self.node, "invitation"))
        self.assert_found(self.node, "invitation", "have not answered", level="note")
        self.node.run("channel", "accept", channel.id, "--alias", "narrow")
        wait_for(lambda: len(channel.logs[self.node.name]) == 1)
        with self.party.lock:
            for _ in range(8):
                channel.say("contact.check", CHECK)
        self.deliver(channel, self.node)
        self.assert_found(self.node, "quota", "vega.example may say 1 more messages today", alias="narrow")

    def test_frozen__after_a_fork(self):
        other = self.new_party("cetus.example", self.node)
        channel = self.open_with(other, self.node, "forked")
        twin = channel.copy()
        channel.say("contact.check", CHECK)
        self.deliver(channel, self.node)
        twin.say("contact.check", CHECK)
        self.assertEqual(other.to[self.node.name].post(twin.pouch(self.node.name)).word, "fork")
        self.assert_found(self.node, "frozen", "the log of cetus.example is frozen at", alias="forked")


if __name__ == "__main__":
    unittest.main()
