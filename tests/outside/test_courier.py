"""Peers that answer nonsense: the node keeps the message, says in `status` what is wrong, is not driven to haste, and
delivers when the peer behaves."""

import http.client
import json
import os
import socket
import subprocess
import threading
import time
import unittest

import formats
from formats import Note, Pouch
from node import BUILD, EXAMPLES, PATIENCE_S, wait_for
from outside import CHECK, INCIDENT, OutsideTest
from peer import Answer, tls_identity

TOLD_S = PATIENCE_S / 4
SOON_S = PATIENCE_S / 5
CALLS = 64  # what the node's socket takes at a time
HASTE = 12  # tries of one peer that a back-off may come to in that time
REFUSED_S = 30 + PATIENCE_S  # a refusal is tried again after half a minute


def reason(status, word):
    return Answer(status, "application/json", formats.compact({"error": {"code": word, "rule": "", "text": "no"}}))


class Nonsense(OutsideTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.new_node("aurora.example")
        cls.elsewhere = cls.new_party("elsewhere.example", cls.node, listens=True)

    # ---- what a peer may come up with: a function of (party, channel) that gives the listener's behaviour ------------------

    def forged(self, party, channel, size=None, root=None, key=None, name=None):
        """A note that looks like a receipt."""

        def behave(request):
            pouch = Pouch.parse(request.body)
            at = pouch.size + (size or 0)
            text = Note.parse(pouch.checkpoint).text
            if size or root:
                text = formats.checkpoint_text(pouch.origin, at, root or formats.checkpoint_parse(text)[2])
            line = formats.cosignature_line(
                text, name or f"{party.name}/entente/receipt", key or party.receipt, int(time.time())
            )
            return Answer(200, "text/plain", text + b"\n" + line)

        return behave

    def cut(self, what):
        """Break off: `what` is all that is sent."""

        def behave(request):
            if what:
                request.connection.sendall(what)
            request.connection.shutdown(2)

        return behave

    @staticmethod
    def always(answer):
        return lambda _request: answer

    def cases(self):
        """name: (how a party is set to misbehave, how soon a node tries again by itself)"""

        def answers(answer):
            return lambda party, channel: setattr(party.listener, "behaviour", self.always(answer))

        def size(text):
            return answers(Answer(409, "text/x.tlog.size", text))

        def forges(**how):
            return lambda party, channel: setattr(party.listener, "behaviour", self.forged(party, channel, **how))

        def cuts(what):
            return lambda party, channel: setattr(party.listener, "behaviour", self.cut(what))

        def old_receipt(party, channel):
            receipt = channel.logs[self.node.name].receipts[party.name][0][2]
            party.listener.behaviour = self.always(Answer(200, "text/plain", receipt))

        def receipt_of_its_own_log(party, channel):
            receipt = channel.own.receipts[self.node.name][-1][2]
            party.listener.behaviour = self.always(Answer(200, "text/plain", receipt))

        def claims_to_hold_all(party, channel):
            party.listener.behaviour = lambda request: Answer(
                409, "text/x.tlog.size", request.headers["Entente-Size"].encode() + b"\n"
            )

        def another_certificate(party, channel):
            party.listener.present(tls_identity("double." + party.name, self.folder)[0], [self.node.certificate])

        def deaf(party, channel):
            party.listener.deaf = True

        page = b"<html>\x1b[31m\xff" + b"x" * 4000
        redirect = Answer(307, headers={"Location": self.elsewhere.listener.url + "/pouch"})
        whole = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 400\r\n\r\naurora"
        return {
            "page500": answers(Answer(500, "text/html", page)),
            "page200": answers(Answer(200, "text/html", page)),
            "empty200": answers(Answer(200)),
            "long200": answers(Answer(200, "text/plain", b"x" * (1 << 20))),
            "json403": answers(reason(403, "unknown-peer")),
            "json422": answers(reason(422, "fork")),
            "json429": answers(reason(429, "quota")),
            "json503": answers(reason(503, "busy")),
            "json202": answers(Answer(202, "text/plain", b"invited\n")),
            "redirect": answers(redirect),
            "size-huge": size(b"9007199254740991\n"),
            "size-over": size(b"99999999999999999999999\n"),
            "size-word": size(b"none\n"),
            "size-zero": size(b"0\n"),
            "size-all": claims_to_hold_all,
            "key": forges(key=formats.new_key()),
            "name": forges(name="nobody.example/entente/receipt"),
            "root": forges(root=bytes(32)),
            "more": forges(size=1, root=bytes(32)),
            "old": old_receipt,
            "own": receipt_of_its_own_log,
            "cut-headers": cuts(b"HTTP/1.1 200 OK\r\nContent-"),
            "cut-body": cuts(whole),
            "cut-all": cuts(b""),
            "noise": cuts(os.urandom(300)),
            "certificate": another_certificate,
            "deaf": deaf,
        }

    def delivery(self, channel):
        return next(row for row in self.node.status()["deliveries"] if row["channel"] == channel.id)

    def receipts(self, channel):
        shown = self.node.json("show", f"{channel.id[:16]}/{self.node.name}/1")
        return shown["state"], [receipt["by"] for receipt in shown["receipts"]]

    def test_nonsense__is_told_and_outlived(self):
        channels = {}
        for name in self.cases():
            party = self.new_party(f"{name}.example", self.node, listens=True)
            channels[name] = self.open_with(party, self.node, name)
        wait_for(lambda: all(self.delivery(channel)["confirmed"] == 1 for channel in channels.values()))
        seen = {}
        for name, misbehave in self.cases().items():
            channel = channels[name]
            misbehave(channel.party, channel)
            channel.party.listener.hang_up()
            seen[name] = channel.party.listener.connections, len(channel.party.listener.requests)
            body = {"channel": name, "kind": "contact.check", "body": CHECK}
            self.node.api("POST", "/messages", json.dumps(body).encode())
        until = time.monotonic() + TOLD_S
        for name, channel in channels.items():
            with self.subTest(name, part="is told"):
                wait_for(lambda: channel.party.listener.connections > seen[name][0], until - time.monotonic())
                row = wait_for(lambda: self.problem(channel), until - time.monotonic(), step=0.1)
                self.assertEqual(row["size"], 2)
        for name, channel in channels.items():
            with self.subTest(name, part="stays unreceipted"):
                self.assertEqual(self.receipts(channel), ("sent", []))
                self.assertLess(self.delivery(channel)["confirmed"], 2, "told as receipted")
            with self.subTest(name, part="is not driven to haste"):
                self.assertLess(len(channel.party.listener.requests) - seen[name][1], HASTE)
        self.assertEqual(self.elsewhere.listener.requests, [], "followed a redirection")
        self.assertNotIn("\x1b", self.node.text("status"))
        self.assertNotIn("\x1b", self.node.log())
        for channel in channels.values():
            listener = channel.party.listener
            listener.behaviour, listener.deaf = None, False
            listener.present(channel.party.certificate, [self.node.certificate])
        until = time.monotonic() + REFUSED_S
        for name, channel in channels.items():
            with self.subTest(name, part="is delivered"):
                wait_for(lambda: self.receipts(channel) == ("receipted", [channel.party.name]),
                         until - time.monotonic(), step=0.2)  # fmt: skip
                wait_for(lambda: self.delivery(channel)["problem"] is None)
                self.assertEqual(self.delivery(channel)["confirmed"], 2)
                self.assertEqual(channel.entry(self.node.name, 1)["kind"], "contact.check")

    def problem(self, channel):
        """`status` says what is wrong"""
        row = self.delivery(channel)
        return row if row["problem"] else None


class Waiting(OutsideTest):
    """A peer that is away: what is said waits, in order, and goes out in one pouch."""

    def test_away__messages_wait_and_go_together(self):
        node = self.new_node("aurora.example")
        party = self.new_party("vega.example", node, listens=True)
        channel = self.open_with(party, node, "line")
        party.listener.deaf = True
        party.listener.hang_up()
        path = os.path.join(self.folder, "check.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(CHECK, file)
        done = node.run("send", "contact.check", "--channel", "line", "--body", path, "--wait", "receipt",
                        "--timeout", "1", check=False)  # fmt: skip
        self.assertEqual((done.returncode, done.stdout), (5, b"line/aurora.example/1\n"), done)
        for _ in range(4):
            node.run("send", "contact.check", "--channel", "line", "--body", path)
        before = len(party.listener.requests)
        party.listener.deaf = False
        wait_for(lambda: len(channel.logs[node.name]) == 6)
        self.assertEqual([channel.entry(node.name, at)["index"] for at in range(6)], list(range(6)))
        self.assertEqual(len([r for r in party.listener.requests[before:] if r.method == "POST"]), 1)
        wait_for(lambda: node.json("show", "line/aurora.example/5")["state"] == "receipted")

    def test_slow__one_pouch_at_a_time_and_what_queues_goes_together(self):
        node = self.new_node("slow.example")
        party = self.new_party("xenia.example", node, listens=True)
        channel = self.open_with(party, node, "line")
        under_way, most = [0], [0]

        def slowly(request):
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
            time.sleep(0.4)
            try:
                return party.answer(request)
            finally:
                under_way[0] -= 1

        party.listener.behaviour = slowly
        before = len(party.listener.requests)
        for _ in range(60):
            draft = {"channel": "line", "kind": "contact.check", "body": CHECK}
            node.api("POST", "/messages", json.dumps(draft).encode())
        wait_for(lambda: len(channel.logs[node.name]) == 61)
        self.assertEqual(most[0], 1)
        self.assertLess(len(party.listener.requests) - before, 15)

    def test_little_room__smaller_pouches_are_sent_at_once(self):
        """A peer that takes two entries at a time, by its limit or its disk: under heads that never were the newest."""
        node = self.new_node("much.example")
        for name, status, word in (("narrow.example", 413, "too-large"), ("full.example", 507, "disk-full")):
            party = self.new_party(name, node, listens=True)
            channel = self.open_with(party, node, name.split(".")[0])
            party.listener.deaf = True
            party.listener.hang_up()
            for _ in range(6):
                draft = {"channel": channel.id, "kind": "contact.check", "body": CHECK}
                node.api("POST", "/messages", json.dumps(draft).encode())
            sizes = []

            def narrow(request, party=party, sizes=sizes, refusal=reason(status, word)):
                pouch = Pouch.parse(request.body)
                sizes.append(pouch.size - pouch.old_size)
                return refusal if sizes[-1] > 2 else party.answer(request)

            party.listener.behaviour = narrow
            party.listener.deaf = False
            with self.subTest(name):
                wait_for(lambda: len(channel.logs[node.name]) == 7)
                self.assertEqual(sizes[0], 6)
                self.assertLess(len(sizes), 12)

    def test_attachment__under_way_holds_up_no_message(self):
        node = self.new_node("bulky.example")
        party = self.new_party("yonder.example", node, listens=True)
        channel = self.open_with(party, node, "line")
        arrived, go_on = threading.Event(), threading.Event()

        def stuck(request):
            if request.method == "PUT":
                arrived.set()
                go_on.wait(PATIENCE_S)
            return party.answer(request)

        party.listener.behaviour = stuck
        try:
            node.run("send", "evidence.item", "--channel", "line", "--body",
                     os.path.join(EXAMPLES, "evidence.item.json"),
                     "--attach", os.path.join(EXAMPLES, "forensic-notes.txt"), "--wait", "receipt")  # fmt: skip
            self.assertTrue(arrived.wait(PATIENCE_S), "the attachment is not sent")
            node.run("send", "incident.notification", "--channel", "line", "--urgency", "flash", "--body",
                     os.path.join(EXAMPLES, "incident.notification.json"), "--wait", "receipt",
                     "--timeout", "5")  # fmt: skip
            self.assertEqual(len(channel.logs[node.name]), 3)
            self.assertEqual(node.status()["attachments_to_send"], 1)
        finally:
            go_on.set()
        wait_for(lambda: node.status()["attachments_to_send"] == 0)
        self.assertEqual(len(party.blobs), 1)

    def test_invited__the_invitation_waits_until_it_is_accepted(self):
        node = self.new_node("boreal.example")
        party = self.new_party("wega.example", node, listens=True)
        terms = os.path.join(self.folder, "terms.json")
        with open(terms, "w", encoding="utf-8") as file:
            file.write("{}")
        channel_id = node.text("channel", "open", "--with", party.name, "--terms", terms)
        wait_for(lambda: channel_id in party.invitations)
        self.assertEqual(node.channel(channel_id)["state"], "opening")
        row = wait_for(lambda: next((r for r in node.status()["deliveries"] if r["problem"]), None))
        self.assertIn("accept", row["problem"])
        channel = party.accept(channel_id)
        self.deliver(channel, node)
        wait_for(lambda: node.channel(channel_id)["state"] == "open")
        wait_for(lambda: node.json("show", f"{channel_id[:12]}/{node.name}/0")["state"] == "receipted")

    def test_attachment__named_again_meanwhile_is_sent_for_each_message(self):
        """The second message is said before the first is receipted, and comes before the attachment does."""
        node = self.new_node("twice.example")
        party = self.new_party("zweimal.example", node, listens=True)
        channel = self.open_with(party, node, "line")
        said = threading.Event()
        pouches, arrivals = [], []

        def stepwise(request):
            if request.method == "PUT":
                arrivals.append(len(channel.logs[node.name]))
            else:
                pouches.append(request)
                said.wait(PATIENCE_S)
            return party.answer(request)

        party.listener.behaviour = stepwise
        try:
            stored = node.api("POST", "/attachments?channel=line", b"evidence")
            first = self.say_attached(node, "line", stored)
            wait_for(lambda: pouches)
            second = self.say_attached(node, "line", stored)
            said.set()
            wait_for(lambda: len(channel.logs[node.name]) == second + 1)
            wait_for(lambda: node.status()["attachments_to_send"] == 0)
        finally:
            said.set()
        self.assertGreater(second, first)
        self.assertEqual(arrivals, [second + 1, second + 1])

    @staticmethod
    def say_attached(node, channel, stored):
        body = INCIDENT | {"files": [{"name": "evidence.txt"}]}
        named = [{"digest": stored["digest"], "type": "text/plain"}]
        draft = {"channel": channel, "kind": "incident.notification", "body": body, "attachments": named}
        return node.api("POST", "/messages", json.dumps(draft).encode())["index"]

    def test_killed__a_client_that_waited_leaves_its_place(self):
        node = self.new_node("places.example")
        party = self.new_party("quietly.example", node)  # nothing is ever sent to it, nor receipted
        self.open_with(party, node, "line")
        path = os.path.join(self.folder, "killed.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(CHECK, file)
        command = [os.path.join(BUILD, "entente"), "send", "contact.check", "--channel", "line", "--body", path,
                   "--wait", "receipt", "--timeout", "60", "--dir", node.dir]  # fmt: skip

        def size():
            looking = http.client.HTTPConnection("node", timeout=PATIENCE_S)  # anew: an idle one makes room for others
            looking.sock = socket.socket(socket.AF_UNIX)
            looking.sock.settimeout(PATIENCE_S)
            try:
                looking.sock.connect(os.path.join(node.dir, "socket"))
                looking.request("GET", "/api/v1/channels/line")
                members = json.loads(looking.getresponse().read())["members"]
            finally:
                looking.close()
            return next(member["size"] for member in members if member["name"] == node.name)

        waited = 0
        before = size()
        until = time.monotonic() + PATIENCE_S
        while waited < CALLS + 6:
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
                try:
                    while client.poll() is None and size() == before + waited:
                        self.assertLess(time.monotonic(), until, f"no place after {waited} that are gone")
                        time.sleep(0.002)
                finally:
                    client.kill()
            self.assertLess(time.monotonic(), until, f"no place after {waited} that are gone")
            waited = size() - before  # one that was turned away tries again
        wait_for(lambda: node.run("status", check=False).returncode == 0)


class Beside(OutsideTest):
    """Two real nodes with three channels: what happens in one holds up no other."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.aurora, cls.boreal = cls.new_node("aurora.example"), cls.new_node("boreal.example")
        cls.aurora.add_peer(cls.boreal.card_path)
        cls.boreal.add_peer(cls.aurora.card_path)
        terms = os.path.join(EXAMPLES, "terms.json")
        for alias in ("quiet", "busy", "busier"):
            channel = cls.aurora.text("channel", "open", "--with", cls.boreal.name, "--terms", terms, "--alias", alias)
            accept = ["channel", "accept", channel, "--alias", alias]
            wait_for(lambda: cls.boreal.run(*accept, check=False).returncode == 0)
            wait_for(lambda: [node.channel(alias)["state"] for node in (cls.aurora, cls.boreal)] == ["open", "open"])

    def say(self, channel, query=""):
        draft = {"channel": channel, "kind": "contact.check", "body": CHECK}
        return self.aurora.api("POST", f"/messages{query}", json.dumps(draft).encode())

    def test_quiet__is_receipted_soon_beside_busy_channels(self):
        stopping = threading.Event()
        errors = []
        hammered = {"busy": 0, "busier": 0}

        def hammer(channel):
            try:
                while not stopping.is_set():
                    self.say(channel)
                    hammered[channel] += 1
            except BaseException as error:  # noqa: BLE001 (told by the main thread)
                errors.append(error)

        threads = [threading.Thread(target=hammer, args=(channel,)) for channel in hammered]
        for thread in threads:
            thread.start()
        try:
            until = time.monotonic() + 3
            while time.monotonic() < until:
                said = self.say("quiet", f"?wait=receipt&timeout={SOON_S:.0f}")
                self.assertTrue(said["done"], f"{said['message']} has no receipt within {SOON_S} s")
        finally:
            stopping.set()
            for thread in threads:
                thread.join()
        self.assertEqual(errors, [])
        self.assertGreater(min(hammered.values()), 10)

    def test_attachment__of_several_messages_is_held_for_each(self):
        stored = self.aurora.api("POST", "/attachments?channel=quiet", b"evidence")
        said = []
        for _ in range(6):
            said.append(Waiting.say_attached(self.aurora, "quiet", stored))
            time.sleep(0.02)  # so that some arrive together, and some after the attachment

        def held():
            """every message's attachment is held there"""
            rows = [self.aurora.json("show", f"quiet/{self.aurora.name}/{at}")["attachment_list"] for at in said]
            return rows == [[row | {"held_by": [self.boreal.name]} for row in message] for message in rows]

        wait_for(held, step=0.1)
        wait_for(lambda: self.aurora.status()["attachments_to_send"] == 0)
        for at in said:
            (row,) = self.boreal.json("show", f"quiet/{self.aurora.name}/{at}")["attachment_list"]
            self.assertEqual(row["state"], "held")


if __name__ == "__main__":
    unittest.main()
