"""A key file that is lost or damaged: the node starts, holds what that key does, and goes on once the key is revoked."""

import os
import subprocess
import unittest

from node import BUILD, EXAMPLES, wait_for
from outside import OutsideTest

NAMES = ["aurora.example", "boreal.example"]


class KeysLost(OutsideTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.nodes = [cls.new_node(name) for name in NAMES]
        cls.aurora, cls.boreal = cls.nodes
        cls.aurora.add_peer(cls.boreal.card_path)
        cls.boreal.add_peer(cls.aurora.card_path)
        terms = os.path.join(EXAMPLES, "terms.json")
        cls.id = cls.aurora.json("channel", "open", "--with", NAMES[1], "--terms", terms, "--alias", "line")["id"]
        wait_for(lambda: cls.boreal.json("channel", "list")["channels"])
        cls.boreal.run("channel", "accept", cls.id, "--alias", "line")
        wait_for(lambda: all(node.channel("line")["state"] == "open" for node in cls.nodes))

    def say(self, node, wait=True):
        more = ["--wait", "receipt", "--timeout", "30"] if wait else []
        done = node.run("send", "contact.check", "--channel", "line", *more, check=wait)
        return done.stdout.decode().strip().splitlines()[-1] if done.stdout else None

    def key_path(self, role):
        folder = os.path.join(self.aurora.dir, "keys")
        names = [name for name in os.listdir(folder) if name.startswith(role + ".")]
        return os.path.join(folder, max(names, key=lambda name: (len(name), name)))

    def lose(self, role):
        """without its key the node starts, and says what is held and what to do"""
        path = self.key_path(role)
        self.aurora.stop()
        os.unlink(path)
        self.aurora.start()
        (row,) = self.aurora.status()["keys_missing"]
        self.assertEqual((row["key"], row["file"]), (role, path))
        self.assertIn(f"`entente key revoke {role} --root-dir DIR`", row["text"])
        self.assertIn("KEY MISSING", self.aurora.text("status"))
        self.assertIn("KEY MISSING", self.aurora.text("key", "show"))
        found = [row for row in self.aurora.json("doctor", check=False)["findings"] if (row["what"], row["level"]) == ("keys", "problem")]
        self.assertEqual(len(found), 1)
        self.assertIn("is missing", found[0]["text"])
        rotated = self.aurora.run("key", "rotate", role, check=False)
        self.assertEqual(rotated.returncode, 1)
        self.assertIn("not replaced but revoked", rotated.stderr.decode())

    def revoke(self, role):
        self.aurora.run("key", "revoke", role, "--reason", "compromise-suspected")
        self.assertEqual(self.aurora.status()["keys_missing"], [])

    def settled(self):
        """both hold both logs alike, and nothing is held"""
        sizes = [{m["name"]: (m["size"], m["frozen"]) for m in node.channel("line")["members"]} for node in self.nodes]
        return sizes[0] == sizes[1] and not any(node.status()["held"] for node in self.nodes)

    def digests_alike(self):
        """both ledgers have the same digests"""
        return self.aurora.text("ledger", "--channel", "line", "--digest") == self.boreal.text(
            "ledger", "--channel", "line", "--digest"
        )

    # ---- log and receipts -------------------------------------------------------------------------------------------

    def test_1_log__said_waits_and_goes_by_the_new_key(self):
        self.say(self.aurora)
        self.lose("log")
        held = self.aurora.run("send", "contact.check", "--channel", "line", check=False)
        self.assertIn("held: ", held.stderr.decode())
        self.assertIn("key revoke log", held.stderr.decode())
        self.assertIn("contested if the key is revoked", held.stderr.decode())
        self.assertEqual([row["hold"] for row in self.aurora.status()["held"]], ["key"])
        self.assertEqual(self.aurora.channel("line")["hold"], "key")
        self.say(self.boreal)  # what comes is receipted and read
        released = self.aurora.run("release", "line", "--accept-fork-risk", check=False)
        self.assertIn("cannot be released", released.stderr.decode())
        terms = os.path.join(EXAMPLES, "terms.json")
        opened = self.aurora.run("channel", "open", "--with", NAMES[1], "--terms", terms, check=False)
        self.assertIn("log.key is missing", opened.stderr.decode())
        revoked = self.aurora.text("key", "revoke", "log", "--reason", "compromise-suspected")
        self.assertIn("in use: log revoked and replaced.", revoked)
        self.assertIn("say again what still holds", revoked)
        shown = self.aurora.text("show", held.stdout.decode().strip())
        self.assertIn("CONTESTED", shown)
        self.assertIn("its writer says again", shown)
        useless = self.aurora.run("reveal", held.stdout.decode().strip(), check=False)
        self.assertEqual(useless.returncode, 1)
        self.assertIn("Say it again", useless.stderr.decode())
        self.say(self.aurora)
        self.say(self.boreal)
        wait_for(self.settled)
        wait_for(self.digests_alike)
        self.aurora.stop()  # and again, with the first key for ever gone
        self.aurora.start()
        self.say(self.aurora)
        self.assertEqual(self.aurora.status()["held"], [])

    def test_2_log__after_a_crash_the_members_are_asked_all_the_same(self):
        self.say(self.aurora)
        path = self.key_path("log")
        self.boreal.stop()
        self.aurora.kill()
        os.unlink(path)
        self.aurora.start()
        self.assertEqual([row["hold"] for row in self.aurora.status()["held"]], ["asking"])
        self.aurora.run("key", "revoke", "log")
        self.assertEqual([row["hold"] for row in self.aurora.status()["held"]], ["asking"])
        self.boreal.start()
        wait_for(lambda: self.aurora.status()["held"] == [])
        self.say(self.aurora)
        wait_for(self.settled)

    def test_3_receipt__what_came_is_receipted_by_the_new_key(self):
        self.lose("receipt")
        said = self.say(self.boreal, wait=False)
        wait_for(lambda: self.aurora.run("show", said, check=False).returncode == 0)  # kept and read
        wait_for(lambda: "lost its receipt key" in (self.boreal.status()["deliveries"][0]["problem"] or ""))
        self.say(self.aurora)  # our own go on
        self.revoke("receipt")
        self.say(self.boreal)
        wait_for(self.settled)
        wait_for(self.digests_alike)

    def test_4_root_key_signs_once_for_several(self):
        paths = [self.key_path("log"), self.key_path("receipt")]
        self.aurora.stop()
        for path in paths:
            os.unlink(path)
        self.aurora.start()
        self.assertEqual([row["key"] for row in self.aurora.status()["keys_missing"]], ["log", "receipt"])
        self.aurora.run("key", "revoke", "receipt")  # one after the other: the log waits on
        self.assertEqual([row["key"] for row in self.aurora.status()["keys_missing"]], ["log"])
        self.assertEqual([row["hold"] for row in self.aurora.status()["held"]], ["key"])
        self.say(self.boreal)
        self.revoke("log")
        self.say(self.aurora)
        wait_for(self.settled)

    # ---- damaged is not lost ----------------------------------------------------------------------------------------

    def test_5_damaged__said_and_not_started(self):
        self.aurora.stop()
        for role in ("log", "receipt", "age", "tls"):
            path = self.key_path(role)
            with open(path, "rb") as file:
                good = file.read()
            for bad in (b"", good[: len(good) // 2], b"\0" * len(good)):
                with open(path, "wb") as file:
                    file.write(bad)
                done = subprocess.run(
                    [os.path.join(BUILD, "entented"), "--dir", self.aurora.dir], capture_output=True, check=False, timeout=60
                )
                self.assertEqual(done.returncode, 1)
                self.assertIn(path, done.stderr.decode())
                self.assertIn("damaged", done.stderr.decode())
                self.assertIn(f"key revoke {role}", done.stderr.decode())
            with open(path, "wb") as file:
                file.write(good)
        self.aurora.start()
        self.say(self.aurora)

    # ---- age and TLS ------------------------------------------------------------------------------------------------

    def test_6_age__unopened_until_its_writer_shows_the_key(self):
        self.lose("age")
        unopened = self.say(self.boreal)  # receipted
        mute = self.aurora.run("send", "contact.check", "--channel", "line", check=False)
        self.assertIn("age", mute.stderr.decode())
        self.assertNotIn("channel.notice", [row["kind"] for row in self.boreal.json("list", "--channel", "line")["messages"]])
        self.revoke("age")
        self.say(self.aurora)
        wait_for(lambda: "channel.notice" in [r["kind"] for r in self.boreal.json("list", "--channel", "line")["messages"]])
        self.say(self.boreal)
        wait_for(self.settled)
        self.boreal.run("reveal", unopened)
        wait_for(lambda: self.aurora.run("open", unopened, check=False).returncode == 0)
        self.assertIsNone(self.aurora.json("show", unopened)["contested"])

    def test_7_tls__by_hand_until_the_card_is_known(self):
        self.lose("tls")
        self.say(self.aurora, wait=False)
        pouch = os.path.join(self.aurora.dir, "pouch")
        self.aurora.run("pouch", "export", "--channel", "line", "--to", NAMES[1], "-o", pouch)
        self.boreal.run("pouch", "import", pouch)
        self.revoke("tls")
        (row,) = [r for r in self.aurora.json("doctor", check=False)["findings"] if r["what"] == "certificate"]
        self.assertIn("Restart the node", row["todo"])
        self.aurora.stop()
        self.aurora.start()
        card = os.path.join(self.aurora.dir, "card")
        self.boreal.add_peer(card)
        self.say(self.aurora)
        self.say(self.boreal)
        wait_for(self.settled)

    def test_8_certificate__revoked_and_still_shown_is_a_finding(self):
        self.assertEqual([r for r in self.aurora.json("doctor", check=False)["findings"] if r["what"] == "certificate"], [])
        self.aurora.run("key", "revoke", "tls")
        (row,) = [r for r in self.aurora.json("doctor", check=False)["findings"] if r["what"] == "certificate"]
        self.assertEqual(row["level"], "problem")
        self.assertIn("which is revoked", row["text"])
        self.aurora.stop()
        self.aurora.start()
        self.assertEqual([r for r in self.aurora.json("doctor", check=False)["findings"] if r["what"] == "certificate"], [])

    # ---- receipts by a revoked key ----------------------------------------------------------------------------------

    def test_5b_receipt_that_comes_after_its_key_was_revoked__shown_apart(self):
        before = self.say(self.aurora)
        self.boreal.stop()
        said = self.say(self.aurora, wait=False)
        out, back = (os.path.join(self.folder, name) for name in ("out", "back"))
        self.aurora.run("pouch", "export", "--channel", "line", "--to", NAMES[1], "-o", out)
        self.aurora.stop()
        self.boreal.start()
        self.boreal.run("pouch", "import", out)
        self.boreal.run("pouch", "export", "--channel", "line", "--to", NAMES[0], "-o", back)
        self.boreal.run("key", "revoke", "receipt")
        self.boreal.stop()
        self.aurora.start()
        self.aurora.add_peer(os.path.join(self.boreal.dir, "card"))
        self.aurora.run("pouch", "import", back)
        (counted,) = self.aurora.json("show", before)["receipts"]
        self.assertEqual((counted["revoked"], counted["counts"]), (True, True))
        self.assertIn("was revoked since", self.aurora.text("show", before))
        (apart,) = self.aurora.json("show", said)["receipts"]
        self.assertEqual((apart["by"], apart["revoked"], apart["counts"]), (NAMES[1], True, False))
        self.assertIn("counts for nothing", self.aurora.text("show", said))
        self.assertIn("None yet", self.aurora.text("show", said))
        self.boreal.start()  # gives it once more, by the key of now and for the same time

        def receipts():
            """the message is receipted by a key that is good"""
            return [(r["counts"], r["revoked"]) for r in self.aurora.json("show", said)["receipts"]]

        wait_for(lambda: receipts() == [(True, False), (False, True)])
        self.assertEqual(self.aurora.json("show", said)["receipts"][0]["time"], apart["time"])
        wait_for(self.settled)
        wait_for(self.digests_alike)
        self.say(self.aurora)


if __name__ == "__main__":
    unittest.main()
