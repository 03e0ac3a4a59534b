"""The root key on a machine of its own: prepare, sign, install, and the requests that are refused."""

import os
import shutil
import subprocess
import unittest

import formats
from node import BUILD, EXAMPLES, wait_for
from outside import OutsideTest

NAMES = ["aurora.example", "boreal.example"]


class KeysOffline(OutsideTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.aurora, cls.boreal = [cls.new_node(name) for name in NAMES]
        cls.aurora.add_peer(cls.boreal.card_path)
        cls.boreal.add_peer(cls.aurora.card_path)
        terms = os.path.join(EXAMPLES, "terms.json")
        cls.id = cls.aurora.json("channel", "open", "--with", NAMES[1], "--terms", terms, "--alias", "line")["id"]
        wait_for(lambda: cls.boreal.json("channel", "list")["channels"])
        cls.boreal.run("channel", "accept", cls.id, "--alias", "line")
        wait_for(lambda: cls.aurora.channel("line")["state"] == "open")
        cls.safe = os.path.join(cls.folder, "safe")  # another machine
        shutil.move(os.path.join(cls.aurora.dir, "root"), cls.safe)
        cls.request = os.path.join(cls.folder, "request.txt")
        cls.signed = os.path.join(cls.folder, "signed.json")

    def card(self):
        return formats.card_parse(self.aurora.text("card").encode() + b"\n")

    def prepare(self, *arguments):
        return self.aurora.text("key", "prepare", *arguments, "-o", self.request)

    def sign(self, *arguments, request=None, check=True):
        """where there is no node, and no party's folder"""
        command = [os.path.join(BUILD, "entente"), "key", "sign", request or self.request, *arguments]
        environment = {key: value for key, value in os.environ.items() if key != "ENTENTE_DIR"}
        done = subprocess.run(command, capture_output=True, check=False, timeout=60, env=environment)
        if check:
            self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done

    def sign_it(self):
        return self.sign("--root-dir", self.safe, "-o", self.signed).stdout.decode()

    def install(self, check=True):
        return self.aurora.run("key", "install", self.signed, check=check)

    def say(self, node):
        return node.text("send", "contact.check", "--channel", "line", "--wait", "receipt", "--timeout", "30")

    def refused(self, done, text, code=1):
        self.assertEqual(done.returncode, code, done.stderr.decode())
        self.assertIn(text, done.stderr.decode())

    def test_1_all_keys__by_a_request(self):
        before = self.card()
        shown = self.prepare("receipt", "age", "tls", "--reason", "personnel")
        self.assertIn("Reason: personnel", shown)
        self.assertEqual(self.card(), before)  # nothing changed
        looked = self.sign().stdout.decode()
        self.assertIn("Nothing is signed", looked)
        with open(self.request, encoding="utf-8") as file:
            text = file.read()
        for words in (shown, looked):  # the same words here, there, and in the file
            self.assertIn(text.split("\n\n", 1)[1].split("\nFor `entente key sign`")[0], words)
        self.assertIn("Signed.", self.sign_it())
        self.install()
        after = self.card()
        self.assertEqual(after["serial"], before["serial"] + 1)
        for key in ("receipt", "age", "tls"):
            self.assertNotEqual(after[key], before[key])
        for key in ("receipt", "tls"):
            self.assertIn(after[key], text)
        self.assertEqual(after["log"], before["log"])
        self.say(self.aurora)
        self.say(self.boreal)
        self.install()  # once more changes nothing
        self.assertEqual(self.card(), after)

    def test_2_log__revoked_while_the_line_goes_on(self):
        self.prepare("log", "--revoke", "--reason", "compromise")
        late = self.say(self.aurora)
        self.sign_it()
        self.install()
        self.assertIn("is in use already.", self.install().stdout.decode())
        self.assertTrue(self.card()["former"][-1]["revoked"])
        self.assertIn("revoked", self.boreal.json("show", late)["contested"])
        self.say(self.aurora)
        self.say(self.boreal)

    def test_3_log__replaced_only_when_nothing_was_said_since(self):
        before = self.card()
        self.prepare("log")
        self.sign_it()
        self.say(self.aurora)
        self.refused(self.install(check=False), "prepare the rotation again", 1)
        self.assertEqual(self.card(), before)
        self.prepare("log")  # takes the same new key, and the log as it is now
        self.sign_it()
        self.install()
        self.assertNotEqual(self.card()["log"], before["log"])
        self.say(self.aurora)

    def test_4_root__the_next_one_is_made_where_it_is_signed(self):
        before = self.card()
        self.prepare("root")
        there = sorted(os.listdir(self.safe))
        told = self.sign_it()
        self.assertNotEqual(sorted(os.listdir(self.safe)), there)
        self.install()
        self.assertNotEqual(self.card()["root"], before["root"])
        self.assertIn(self.aurora.text("card", "--fingerprint").splitlines()[0].strip(), told)
        self.prepare("receipt")
        self.sign_it()
        self.install()
        self.say(self.aurora)
        self.say(self.boreal)

    def test_5_stale__refused(self):
        self.prepare("receipt")
        self.sign_it()
        self.install()
        with open(self.request, "rb") as file:
            used = file.read()
        first = self.card()
        self.prepare("receipt")
        self.sign_it()
        self.install()
        with open(self.request, "wb") as file:
            file.write(used)
        self.sign_it()
        self.refused(self.install(check=False), "prepare it again")
        self.assertEqual(self.card()["serial"], first["serial"] + 1)
        with open(self.signed, encoding="utf-8") as file:
            old = file.read()
        again = self.aurora.run("key", "prepare", "receipt", "-o", self.request)
        self.assertEqual(again.returncode, 0)
        self.sign_it()
        self.install()
        with open(self.signed, "w", encoding="utf-8") as file:
            file.write(old)
        self.refused(self.install(check=False), "is in use by now")

    def test_6_damaged_or_edited__refused(self):
        self.prepare("receipt", "log", "--revoke")
        with open(self.request, "rb") as file:
            good = file.read()
        bad = self.request + ".bad"

        def refuse(data, text):
            with open(bad, "wb") as file:
                file.write(data)
            self.refused(self.sign("--root-dir", self.safe, "-o", self.signed + ".no", request=bad, check=False), text)
            self.assertFalse(os.path.exists(self.signed + ".no"))

        refuse(good[:-1], "damaged")
        refuse(good[: len(good) // 2], "damaged")
        refuse(good + b"x", "damaged")
        refuse(good.replace(b"Reason: compromise-suspected", b"Reason: scheduled"), "damaged or edited")
        refuse(good.replace(b'"revoke":true', b'"revoke":false'), "damaged or edited")
        refuse(good.replace(b'"reason":"compromise-suspected"', b'"reason":"boredom"'), "reason")
        card = bytes(formats.card_parse(self.aurora.text("card").encode() + b"\n")["receipt"], "ascii")
        refuse(good.replace(card, card[::-1]), "")
        refuse(b"", "not a key request")

    def test_7_foreign__refused(self):
        self.boreal.run("key", "prepare", "receipt", "-o", self.request)
        self.refused(self.sign("--root-dir", self.safe, "-o", self.signed, check=False), "does not hold the root key")
        other = os.path.join(self.boreal.dir, "root")
        self.sign("--root-dir", other, "-o", self.signed)
        before = self.card()
        self.refused(self.install(check=False), "boreal.example")
        self.assertEqual(self.card(), before)
        self.refused(self.sign("-o", self.signed, check=False), "--root-dir", 2)

    def test_8_installed_where_the_keys_are_not__refused(self):
        for role in ("receipt", "tls"):
            before = self.card()
            self.prepare(role)
            self.sign_it()
            name = f"{role}.{before['serial'] + 1}.key"
            os.unlink(os.path.join(self.aurora.dir, "keys", name))
            if role == "tls":
                os.unlink(os.path.join(self.aurora.dir, f"tls.{before['serial'] + 1}.crt"))
            self.refused(self.install(check=False), "install it where it was prepared")
            self.assertEqual(self.card(), before)

    def test_9_unsigned__said(self):
        self.prepare("receipt")
        shutil.copy(self.request, self.signed)
        self.refused(self.install(check=False), "have it signed first", 2)


if __name__ == "__main__":
    unittest.main()
