"""The message flow as officers at two real nodes live it, on the command line: sending and waiting, lists, watching,
proving and verifying, and everything by files where there is no network."""

import json
import os
import signal
import subprocess
import time
import unittest

import formats
from node import BUILD, EXAMPLES, wait_for
from outside import OutsideTest


def example(name):
    return os.path.join(EXAMPLES, name)


class TwoOfficers(OutsideTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.aurora, cls.boreal = cls.new_node("aurora.example"), cls.new_node("boreal.example")
        cls.aurora.add_peer(cls.boreal.card_path, formats.fingerprint(cls.boreal.fields))
        cls.boreal.add_peer(cls.aurora.card_path, formats.fingerprint(cls.aurora.fields))
        cls.channel_id = cls.aurora.text("channel", "open", "--with", cls.boreal.name, "--terms", example("terms.json"),
                                 "--alias", "hotline")  # fmt: skip
        wait_for(lambda: [row["state"] for row in cls.boreal.json("channel", "list")["channels"]] == ["invited"])
        cls.boreal.run("channel", "accept", cls.channel_id, "--alias", "redline")
        wait_for(lambda: cls.aurora.channel("hotline")["state"] == "open")
        wait_for(lambda: cls.boreal.channel("redline")["state"] == "open")

    def notify(self, *more, node=None, channel="hotline"):
        return (node or self.aurora).text("send", "incident.notification", "--channel", channel, "--body",
                                          example("incident.notification.json"), *more)  # fmt: skip

    def over_there(self, message):
        """A message's name at boreal."""
        return "redline/" + message.split("/", 1)[1]

    def arrived(self, message):
        index = int(message.rsplit("/", 1)[1])
        wait_for(lambda: self.boreal.member("redline", self.aurora.name)["size"] > index)
        return self.over_there(message)

    # ---- send, show, open -------------------------------------------------------------------------------------------

    def test_send__waits_for_the_receipt(self):
        message = self.notify("--wait", "receipt", "--urgency", "flash", "--exercise")
        shown = self.aurora.json("show", message)
        self.assertEqual((shown["state"], shown["receipts"][0]["by"]), ("receipted", self.boreal.name))
        self.assertIsNone(shown["receipts"][0]["flag"])
        text = self.boreal.text("show", self.over_there(message))
        for part in ("EXERCISE", "FLASH", "Ransomware stops a meat processor", "aurora.example", shown["leaf"]):
            self.assertIn(part, text)

    def test_send__waits_for_the_answer(self):
        command = [os.path.join(BUILD, "entente"), "send", "incident.notification", "--channel", "hotline", "--body",
                   example("incident.notification.json"), "--wait", "answer", "--timeout", "30", "--json",
                   "--dir", self.aurora.dir]  # fmt: skip
        before = self.boreal.member("redline", self.aurora.name)["size"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as waiting:
            wait_for(lambda: self.boreal.member("redline", self.aurora.name)["size"] > before)
            time.sleep(0.3)
            self.assertIsNone(waiting.poll(), "did not wait")
            answer = self.boreal.text("send", "answer.acknowledgement", "--reply-to", f"redline/aurora.example/{before}",
                                      "--body", example("answer.acknowledgement.json"))  # fmt: skip
            said = json.loads(waiting.communicate(timeout=30)[0])
        self.assertEqual(waiting.returncode, 0)
        self.assertEqual((said["done"], said["waited"]), (True, "answer"))
        self.assertEqual(said["answer"], "hotline/" + answer.split("/", 1)[1])
        shown = self.aurora.json("show", said["message"])
        self.assertEqual(shown["answered_by"], [said["answer"]])

    def test_send__5_when_the_peer_is_away_and_delivered_when_it_is_back(self):
        self.boreal.stop()
        done = self.aurora.run("send", "incident.notification", "--channel", "hotline", "--body",
                               example("incident.notification.json"), "--wait", "receipt", "--timeout", "1",
                               check=False)  # fmt: skip
        self.assertEqual(done.returncode, 5, done)
        message = done.stdout.decode().strip()
        self.assertEqual(self.aurora.json("show", message)["state"], "sent")
        (row,) = wait_for(lambda: [r for r in self.aurora.status()["deliveries"] if r["problem"]])
        self.assertLess(row["confirmed"], row["size"])
        self.assertIn("not receipted yet", self.aurora.text("status"))
        self.boreal.start()
        wait_for(lambda: self.aurora.json("show", message)["state"] == "receipted")
        wait_for(lambda: self.aurora.status()["deliveries"][0]["problem"] is None)
        self.boreal.run("open", self.over_there(message))

    def test_send__what_is_not_valid_is_never_logged(self):
        before = self.aurora.held("hotline")
        body = os.path.join(self.folder, "bad.json")
        with open(example("incident.notification.json"), encoding="utf-8") as file:
            good = json.load(file)
        for change in ({"severity": "urgent"}, {"title": ""}, {"awareness_time": "yesterday"}):
            with open(body, "w", encoding="utf-8") as file:
                json.dump(good | {"fields": good["fields"] | change}, file)
            done = self.aurora.run("send", "incident.notification", "--channel", "hotline", "--body", body, check=False)
            self.assertEqual(done.returncode, 1, done)
            self.assertIn(next(iter(change)).encode(), done.stderr)
        done = self.aurora.run("send", "answer.acknowledgement", "--channel", "hotline", check=False)
        self.assertEqual(done.returncode, 2, done)
        self.assertEqual(self.aurora.held("hotline"), before)

    def test_send__kinds_that_are_not_for_people_are_refused_with_the_reason(self):
        before = self.aurora.held("hotline")
        for kind, reasons in {
            "neutral.release": ("neutral", "its own log"),
            "channel.notice": ("the node itself",),
            "exchange.offer": ("needs a neutral", "names none"),
            "incident.notifcation": ("there is no kind", "incident.early-warning", "incident.notification"),
            "accident.report": ("there is no kind", "FAMILY.KIND", "incident", "request"),
        }.items():
            path = example(kind + ".json")
            body = path if os.path.exists(path) else example("incident.notification.json")
            done = self.aurora.run("send", kind, "--channel", "hotline", "--body", body, check=False)
            self.assertIn(done.returncode, (1, 2), done)
            for reason in reasons:
                self.assertIn(reason.encode(), done.stderr)
        self.assertEqual(self.aurora.held("hotline"), before)

    def test_send__an_answer_to_our_own_message_is_refused(self):
        message = self.notify("--wait", "receipt")
        before = self.aurora.held("hotline")
        done = self.aurora.run("send", "answer.acknowledgement", "--reply-to", message, "--body",
                               example("answer.acknowledgement.json"), check=False)  # fmt: skip
        self.assertEqual((done.returncode, done.stdout), (2, b""), done)
        self.assertIn(b"own message", done.stderr)
        self.assertEqual(self.aurora.held("hotline"), before)
        self.assertIn(message, self.names("--unanswered"))

    def test_open__gives_body_and_attachments(self):
        notes = example("forensic-notes.txt")
        message = self.arrived(self.notify("--attach", notes, "--attach", example("terms.json"), "--wait", "receipt"))

        def held():
            """both attachments have arrived"""
            rows = self.boreal.json("show", message)["attachment_list"]
            return [(row["name"], row["state"]) for row in rows] == [
                ("forensic-notes.txt", "held"), ("terms.json", "held")
            ]  # fmt: skip

        wait_for(held)
        self.assertIn("Ransomware stops a meat processor", self.boreal.text("open", message))
        with open(example("incident.notification.json"), encoding="utf-8") as file:
            wanted = json.load(file)
        opened = self.boreal.json("open", message)
        self.assertEqual((opened["fields"], opened["text"]), (wanted["fields"], wanted["text"]))
        path = os.path.join(self.folder, "opened.json")
        self.boreal.run("open", message, "-o", path)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["fields"], wanted["fields"])
        with open(notes, "rb") as file:
            self.assertEqual(self.boreal.api_bytes("GET", f"/attachments/{message}/0"), file.read())
        here = "hotline/" + message.split("/", 1)[1]
        wait_for(lambda: [row["held_by"] for row in self.aurora.json("show", here)["attachment_list"]]
                 == [[self.boreal.name]] * 2)  # fmt: skip

    # ---- list -------------------------------------------------------------------------------------------------------

    def names(self, *options, node=None):
        return [row["message"] for row in (node or self.aurora).json("list", *options)["messages"]]

    def test_list__filters(self):
        first = self.notify("--wait", "receipt")
        other = self.notify("--wait", "receipt")
        answer = self.boreal.text("send", "answer.response", "--reply-to", self.over_there(first), "--body",
                                  example("answer.response.json"), "--wait", "receipt")  # fmt: skip
        answer = "hotline/" + answer.split("/", 1)[1]
        everything = self.names()
        self.assertEqual([name for name in everything if name in (first, other, answer)], [first, other, answer])
        self.assertEqual(self.names("--channel", "hotline"), everything)
        self.assertEqual(self.names("--channel", self.channel_id[:8]), everything)
        self.assertEqual(self.names("--thread", first), [first, answer])
        unanswered = self.names("--unanswered")
        self.assertIn(other, unanswered)
        self.assertNotIn(first, unanswered)
        self.assertNotIn(answer, unanswered)
        self.assertEqual(self.names("--limit", "2"), everything[-2:])
        self.assertEqual(self.names("--since", "2000-01-01"), everything)
        self.assertEqual(self.names("--since", "2999-01-01T00:00:00Z"), [])
        self.assertEqual(self.aurora.run("list", "--channel", "nowhere", check=False).returncode, 1)
        self.assertEqual(len(self.names(node=self.boreal)), len(everything))

    # ---- watch ------------------------------------------------------------------------------------------------------

    def test_watch__tells_messages_and_receipts_as_they_happen(self):
        command = [os.path.join(BUILD, "entente"), "watch", "--json", "--dir"]
        watchers = [
            subprocess.Popen([*command, node.dir], stdout=subprocess.PIPE, text=True)
            for node in (self.aurora, self.boreal)
        ]
        try:
            time.sleep(0.3)
            message = self.notify("--wait", "receipt")
            index = int(message.rsplit("/", 1)[1])
            here = self.until_event(watchers[0], lambda event: event["event"] == "receipt" and event["size"] > index)
            self.assertEqual((here["by"], here["alias"]), (self.boreal.name, "hotline"))
            there = self.until_event(watchers[1], lambda event: event.get("message") == self.over_there(message))
            self.assertEqual(there["event"], "message")
            self.assertEqual(there["subject"], "Ransomware stops a meat processor in three countries")
        finally:
            for watcher in watchers:
                watcher.send_signal(signal.SIGINT)
                self.assertEqual(watcher.wait(10), 0)
                watcher.stdout.close()

    def until_event(self, watcher, wanted):
        timer_ends = time.monotonic() + 20
        while time.monotonic() < timer_ends:
            event = json.loads(watcher.stdout.readline())
            if wanted(event):
                return event
        raise AssertionError("the event did not come")

    # ---- prove and verify -------------------------------------------------------------------------------------------

    def proof(self, node, message, name):
        path = os.path.join(self.folder, name)
        node.run("prove", message, "-o", path)
        return path

    def verify(self, *arguments):
        """With no node: in a folder where there is none."""
        command = [os.path.join(BUILD, "entente"), "verify", *arguments]
        return subprocess.run(command, capture_output=True, cwd=self.folder, check=False)

    def test_verify__accepts_both_sides_proofs_and_says_what_they_prove(self):
        message = self.notify("--wait", "receipt")
        cards = ["--card", self.aurora.card_path, "--card", self.boreal.card_path]
        for node, name in ((self.aurora, message), (self.boreal, self.over_there(message))):
            path = self.proof(node, name, node.name)
            done = self.verify(path + ".tlog-proof", *cards)
            self.assertEqual(done.returncode, 0, done)
            for part in (b"aurora.example", b"boreal.example"):
                self.assertIn(part, done.stdout)
            with open(path + ".entry", "rb") as entry, open(path + ".tlog-proof", "rb") as proof:
                with open(path + ".policy", "rb") as policy:
                    formats.proof_verify(entry.read(), proof.read(), policy.read())

    def test_verify__without_cards_says_that_none_was_compared(self):
        path = self.proof(self.aurora, self.notify("--wait", "receipt"), "nocard")
        done = self.verify(path + ".tlog-proof")
        self.assertIn(b"card", done.stdout + done.stderr)

    def test_verify__refuses_another_card_and_another_entry(self):
        path = self.proof(self.aurora, self.notify("--wait", "receipt"), "real")
        other = self.new_party("aurora.example")  # another party under the same name
        done = self.verify(path + ".tlog-proof", "--card", other.card_path)
        self.assertEqual(done.returncode, 1, done)
        os.rename(self.proof(self.aurora, "hotline/aurora.example/0", "zero") + ".entry", path + ".entry")
        self.assertEqual(self.verify(path + ".tlog-proof", "--card", self.aurora.card_path).returncode, 1)

    def test_verify__a_pouch(self):
        path = os.path.join(self.folder, "line.pouch")
        self.aurora.run("pouch", "export", "--channel", "hotline", "--to", self.boreal.name, "-o", path)
        done = self.verify(path, "--card", self.aurora.card_path, "--card", self.boreal.card_path)
        self.assertEqual(done.returncode, 0, done)
        with open(path, "r+b") as file:
            data = file.read()
            at = data.index("— aurora.example".encode()) + 120
            file.seek(at)
            file.write(bytes([data[at] ^ 1]))
        self.assertEqual(self.verify(path, "--card", self.aurora.card_path).returncode, 1)


class ByHand(OutsideTest):
    """Two air-gapped nodes: cards, invitation, messages, receipts and answers travel as files."""

    def test_files__carry_a_whole_exchange(self):
        north, south = self.new_node("north.example", air_gapped=True), self.new_node("south.example", air_gapped=True)
        self.assertIn("air-gapped", north.text("status"))
        north.add_peer(south.card_path)
        south.add_peer(north.card_path)
        channel = north.text("channel", "open", "--with", south.name, "--terms", example("terms.json"), "--alias", "n")
        invitation = self.export(north, "n", south)
        self.assertEqual(south.json("pouch", "import", invitation)["state"], "invited")
        self.assertEqual(south.json("pouch", "import", invitation)["state"], "invited")  # twice does no harm
        south.run("channel", "accept", channel, "--alias", "s")
        back = self.file("back")
        done = north.json("pouch", "import", self.export(south, "s", north), "--reply", back)
        self.assertEqual((done["state"], done["from"], done["new"]), ("receipted", south.name, 1))
        done = south.json("pouch", "import", back)
        self.assertEqual((done["state"], done["new"]), ("receipted", 0))
        for node, alias in ((north, "n"), (south, "s")):
            self.assertEqual(node.channel(alias)["state"], "open")

        done = north.run("send", "incident.notification", "--channel", "n", "--body",
                         example("incident.notification.json"), "--wait", "receipt", "--timeout", "0",
                         check=False)  # fmt: skip
        self.assertEqual((done.returncode, done.stdout), (5, b"n/north.example/1\n"), done)
        there = self.export(north, "n", south)
        reply = self.file("reply")
        done = south.json("pouch", "import", there, "--reply", reply)
        self.assertEqual((done["state"], done["from"], done["new"], done["size"]), ("receipted", north.name, 1, 2))
        self.assertEqual(north.json("show", "n/north.example/1")["state"], "sent")
        north.run("pouch", "import", reply)
        shown = north.json("show", "n/north.example/1")
        self.assertEqual((shown["state"], [row["by"] for row in shown["receipts"]]), ("receipted", [south.name]))

        # the same again: nothing new, and the same receipts
        again = self.file("again")
        self.assertEqual(south.json("pouch", "import", there, "--reply", again)["new"], 0)
        north.run("pouch", "import", again)
        self.assertEqual(north.json("show", "n/north.example/1")["receipts"], shown["receipts"])

        # an answer, and the proof of it
        answer = south.text("send", "answer.acknowledgement", "--reply-to", "s/north.example/1", "--body",
                            example("answer.acknowledgement.json"))  # fmt: skip
        north.run("pouch", "import", self.export(south, "s", north), "--reply", again)
        south.run("pouch", "import", again)
        self.assertEqual(south.json("show", answer)["state"], "receipted")
        self.assertEqual(north.json("show", "n/north.example/1")["answered_by"], ["n/south.example/1"])
        proof = os.path.join(self.folder, "proof")
        south.run("prove", answer, "-o", proof)
        north.run("verify", proof + ".tlog-proof", "--card", south.card_path, "--card", north.card_path)
        self.assert_refusals(north, south, there)

    def assert_refusals(self, north, south, pouch):
        """A tampered file is refused and changes nothing; one's own log comes back as carried."""
        before = south.held("s")
        with open(pouch, "rb") as file:
            data = file.read()
        tampered = self.file("tampered")
        for at in range(100, len(data), len(data) // 7):
            with open(tampered, "wb") as file:
                file.write(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
            done = south.run("pouch", "import", tampered, check=False)
            self.assertEqual(done.returncode, 1, (at, done))
            self.assertTrue(done.stderr)
        self.assertEqual(south.held("s"), before)
        self.assertEqual(north.json("pouch", "import", pouch)["state"], "carried")
        self.assertEqual(south.run("pouch", "import", self.file("none"), check=False).returncode, 1)

    def file(self, name):
        return os.path.join(self.folder, f"{name}.pouch")

    def export(self, node, channel, to):
        path = self.file(f"{node.name}-{time.monotonic_ns()}")
        node.run("pouch", "export", "--channel", channel, "--to", to.name, "-o", path)
        return path


if __name__ == "__main__":
    unittest.main()
