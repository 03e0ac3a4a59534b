"""Attacks that take patience: a pouch cut at every border of a block, members in every other order, headers that tar would take,
histories said two ways at once, histories told differently to two members, and connections that are held, starved or
too many. Nothing of it is stored, costs memory or keeps others out.

ENTENTE_ATTACKS_FULL=1 waits until the node has closed what starves it (half a minute)."""

import concurrent.futures
import contextlib
import json
import os
import re
import resource
import socket
import struct
import threading
import time
import unittest

import formats
from border import Border
from formats import Pouch
from node import PATIENCE_S, SANITIZED, wait_for
from outside import CHECK, INCIDENT, OutsideTest
from test_refusals import BorderTest

FULL = os.environ.get("ENTENTE_ATTACKS_FULL") == "1"
CONNECTIONS = 10_000
CLOSED_S = 75  # slower than 1 KiB/s over 30 s is closed


def memory_bytes(node):
    return node.status()["memory_bytes"]


class Shapes(BorderTest):
    """Files that are not the one that the sender's tree permits."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.fetch(cls.channel, cls.node)
        cls.channel.say("incident.notification", INCIDENT)
        cls.channel.say("contact.check", CHECK)
        cls.pouch = cls.channel.pouch(cls.node.name, old_size=0)
        cls.data = cls.pouch.encode()

    def refuse_all(self, cases):
        """Each of these files is refused, and nothing is held afterwards that was not before."""
        before, wrong = self.node.held("main"), []
        for name, data in cases:
            answer = self.border.post(data, like=self.pouch)
            if answer.status not in (413, 422):
                wrong.append((name, answer))
        self.assertEqual(wrong, [])
        self.assertEqual(self.node.held("main"), before)

    def test_cut__at_every_block_is_refused(self):
        blocks = len(self.data) // 512
        self.assertGreater(blocks, 20)
        self.refuse_all((at, self.data[: 512 * at]) for at in range(1, blocks))
        self.refuse_all((at, self.data[: 512 * at - 1]) for at in range(1, blocks, 3))

    def test_blocks__left_out_doubled_or_exchanged_are_refused(self):
        blocks = [self.data[at : at + 512] for at in range(0, len(self.data), 512)]
        for at in range(len(blocks)):
            self.refuse_all([(("without", at), b"".join(blocks[:at] + blocks[at + 1 :]))])
        self.refuse_all(
            (("twice", at), b"".join(blocks[: at + 1] + blocks[at:])) for at in range(0, len(blocks), 2)
        )
        self.refuse_all(
            (("exchanged", at), b"".join([*blocks[:at], blocks[at + 1], blocks[at], *blocks[at + 2 :]]))
            for at in range(len(blocks) - 1)
            if blocks[at] != blocks[at + 1]
        )

    def test_members__in_any_other_order_are_refused(self):
        members = self.pouch.members()
        cases = []
        for one in range(len(members)):
            for other in range(one):
                swapped = members[:]
                swapped[one], swapped[other] = swapped[other], swapped[one]
                cases.append(((one, other), self.pouch.encode(swapped)))
        self.refuse_all(cases)

    def test_two_pouches__in_one_file_are_refused(self):
        self.refuse_all([("two", self.data + self.data), ("joined", self.data[:-1024] + self.data)])

    def test_headers__that_tar_would_take_are_refused(self):
        """Links, folders, devices, sparse and extended members, other owners, other times, other paths."""

        def header(name, size=0, **at):
            block = bytearray(formats.ustar_header(name, size))
            for place, value in at.items():
                start = int(place[1:])
                block[start : start + len(value)] = value
            block[148:156] = b" " * 8
            block[148:156] = b"%06o\0 " % sum(block)
            return bytes(block)

        extended = b"30 path=../../outside\n".ljust(30, b"\n")
        odd = {
            "hard link": header("bodies/1.age", _156=b"1", _157=b"genesis"),
            "symbolic link": header("bodies/1.age", _156=b"2", _157=b"/etc/passwd"),
            "character device": header("bodies/1.age", _156=b"3"),
            "block device": header("bodies/1.age", _156=b"4"),
            "folder": header("bodies/", _156=b"5"),
            "pipe": header("bodies/1.age", _156=b"6"),
            "contiguous": header("bodies/1.age", _156=b"7"),
            "pax": header("pax", 30, _156=b"x") + extended.ljust(512, b"\0"),
            "pax of all": header("pax", 30, _156=b"g") + extended.ljust(512, b"\0"),
            "gnu long name": header("././@LongLink", 12, _156=b"L") + b"bodies/1.age".ljust(512, b"\0"),
            "gnu sparse": header("bodies/1.age", _156=b"S"),
            "gnu magic": header("bodies/1.age", _257=b"ustar  \0"),
            "old tar": header("bodies/1.age", _257=bytes(8)),
            "prefix": header("1.age", _345=b"bodies"),
            "climbing prefix": header("1.age", _345=b"../.."),
            "path outside": header("../../../tmp/outside"),
            "absolute": header("/tmp/outside"),
            "dot": header("./bodies/1.age"),
            "double slash": header("bodies//1.age"),
            "owner": header("bodies/1.age", _108=b"0001750\0"),
            "set uid": header("bodies/1.age", _100=b"0004755\0"),
            "time": header("bodies/1.age", _136=b"14000000000\0"),
            "size in base 256": header("bodies/1.age", _124=b"\x80" + bytes(11)),
            "size of 8 GiB": header("bodies/1.age", _124=b"77777777777\0"),
            "negative size": header("bodies/1.age", _124=b"\xff" * 12),
        }
        first = len(formats.ustar_header("x", 0)) + 512 * (1 + len(self.pouch.index(self.pouch.members())) // 512)
        cases = []
        for name, block in odd.items():
            cases.append((name, self.data[:-1024] + block + bytes(1024)))
            cases.append((name + ", listed", self.pouch.encode(self.pouch.members())[:first] + block + self.data[first:]))
            cases.append((name + ", first", block + self.data))
        self.refuse_all(cases)
        self.assertFalse(os.path.exists("/tmp/outside"))

    def test_text__that_is_no_utf_8_or_too_deep_is_refused(self):
        index = json.loads(self.pouch.index(self.pouch.members()))
        members = self.pouch.members()

        def with_index(text):
            return formats.ustar_write([("pouch.json", text)] + members)

        bad = (b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\0", b"\x80")
        whole = formats.compact(index)
        cases = [(text, with_index(whole.replace(b'"genesis"', b'"genesis%s"' % text))) for text in bad]
        for depth in (33, 1000, 100_000):
            for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
                deep = opening * depth + b"1" + closing * depth
                cases.append((f"deep {depth}", with_index(whole[:-1] + b',"x":' + deep + b"}")))
                cases.append((f"only deep {depth}", with_index(deep)))
                changed = [(name, deep if name == "genesis" else content) for name, content in members]
                cases.append((f"genesis deep {depth}", self.pouch.encode(changed)))
        for text in bad:
            changed = [(name, content.replace(b'"rules"', b'"rules%s"' % text) if name == "genesis" else content)
                       for name, content in members]  # fmt: skip
            cases.append((text, self.pouch.encode(changed)))
        self.refuse_all(cases)
        for text in bad[:-2]:
            trial = self.with_entry(lambda entry, text=text: entry.replace(b'"kind":"', b'"kind":"' + text))
            self.assert_refused(trial, 422, {"not-canonical", "malformed", "invalid"})

    def test_signatures__of_many_lines_are_bounded(self):
        """A note with 64 lines and more: too many are refused, none takes long."""
        party, channel = self.party, self.channel
        for count in (64, 65, 1000, 100_000):
            lines = b"".join(
                formats.signature_line(f"w{at}.example", 4, os.urandom(32), os.urandom(72)) for at in range(min(count, 2000))
            ) * max(1, count // 2000)
            begun = time.monotonic()
            trial = channel.copy()
            trial.say("contact.check", CHECK)
            pouch = trial.pouch(self.node.name)
            pouch.checkpoint += lines
            self.assert_many(pouch)
            pouch = trial.pouch(self.node.name)
            pouch.heads[self.node.name] = channel.logs[self.node.name].head + lines
            self.assert_many(pouch)
            pouch = trial.pouch(self.node.name)
            note = channel.logs[self.node.name].receipts[party.name][-1][2]
            pouch.receipts = [(party.name, note + lines)]
            self.assert_many(pouch)
            self.assertLess(time.monotonic() - begun, 10)

    def assert_many(self, pouch):
        before = self.node.held("main")
        self.assertIn(self.border.post(pouch).status, (413, 422))
        self.assertEqual(self.node.held("main"), before)

    def test_at_once__two_histories_from_many_sides_give_one(self):
        """Two continuations of one log race: one is receipted, the other is a fork, and both say so for ever."""
        channel = self.open_with(self.new_party("race.example", self.node), self.node, "race")
        futures = []
        for at in range(2):
            future = channel.copy()
            future.say("incident.notification", {**INCIDENT, "text": {"en": f"history {at}"}})
            futures.append(future.pouch(self.node.name))
        fields = formats.card_parse(self.node.card)
        borders = [Border(self.node.port, channel.party, fields["tls"]) for _ in range(8)]
        try:
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(lambda at: borders[at].post(futures[at % 2]), range(8)))
        finally:
            for border in borders:
                border.close()
        taken = {answer.body for answer in answers if answer.status == 200}
        self.assertEqual(len(taken), 1, answers)
        refused = [answer for answer in answers if answer.status != 200]
        self.assertEqual({(answer.status, answer.word) for answer in refused}, {(422, "fork")})
        self.assertTrue(self.node.held("race")["race.example"][3], "not frozen")


class Split(OutsideTest):
    """A member that tells two others different histories of its log."""

    def test_split__is_found_when_the_heads_meet(self):
        one, two = self.new_node("aurora.example"), self.new_node("boreal.example")
        party = self.new_party("vega.example", one, two)
        one.add_peer(two.card_path)
        two.add_peer(one.card_path)
        channel = party.open_channel([one.name, two.name])
        for node in (one, two):
            self.assertEqual(party.to[node.name].post(channel.pouch(node.name)).status, 202)
            node.run("channel", "accept", channel.id, "--alias", "split")
        for _ in range(3):
            self.carry_all(channel, (one, two))
        for node in (one, two):
            wait_for(lambda node=node: node.api("GET", "/channels/split")["state"] == "open")
        worlds = [channel.copy(), channel.copy()]
        for at, node in enumerate((one, two)):
            worlds[at].say("incident.notification", {**INCIDENT, "text": {"en": f"only {node.name} hears this"}})
            self.assertEqual(party.to[node.name].post(worlds[at].pouch(node.name)).status, 200)
        one.run("send", "contact.check", "--channel", "split", "--body", "-", stdin=json.dumps(CHECK).encode())
        two.run("send", "contact.check", "--channel", "split", "--body", "-", stdin=json.dumps(CHECK).encode())
        for node, other in ((one, two), (two, one)):

            def frozen(node=node):
                """the split log is frozen"""
                return node.held("split")[party.name][3]

            wait_for(frozen, PATIENCE_S + 20)
            self.assertFalse(node.held("split")[other.name][3], "an honest log is frozen")
            self.assertIn(party.name, {row["party"] for row in node.status()["forks"]})

    def carry_all(self, channel, nodes):
        """What each node said goes to the party and back, as far as it goes."""
        for node in nodes:
            with contextlib.suppress(AssertionError, formats.Refused):
                data = node.api_bytes("GET", f"/pouches?channel={channel.id}&to={channel.party.name}")
                channel.take(Pouch.parse(data))
            answer = channel.party.to[node.name].post(channel.pouch(node.name))
            if answer.status == 200:
                channel.take_receipt(answer.body, node.name, len(channel.own))


class Starved(OutsideTest):
    """Connections that give nothing, next to nothing, or are too many; all at once, while an honest peer goes on."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.new_node("aurora.example")
        cls.party = cls.new_party("vega.example", cls.node, listens=True)
        cls.channel = cls.open_with(cls.party, cls.node, "line")
        cls.villain = cls.new_party("villain.example", cls.node)  # a known peer, within its rights
        cls.evil = cls.open_with(cls.villain, cls.node, "evil")
        cls.starving = contextlib.ExitStack()
        cls.addClassCleanup(cls.starving.close)
        cls.begun = time.monotonic()
        cls.held = {}
        cls.ended = threading.Event()
        cls.addClassCleanup(cls.ended.set)
        for name, work in (("a body that never comes", cls.announce), ("1 byte a second", cls.trickle),
                           ("headers 1 byte a second", cls.trickle_headers), ("a handshake that stops", cls.half_handshake),
                           ("an answer not read", cls.never_read)):  # fmt: skip
            cls.held[name] = [work() for _ in range(8)]

    @classmethod
    def keep(cls, connection):
        cls.starving.callback(connection.close)
        return connection

    @classmethod
    def dribble(cls, connection, data):
        def run():
            with contextlib.suppress(OSError):
                for byte in data:
                    connection.sendall(bytes([byte]))
                    if cls.ended.wait(1):
                        return

        threading.Thread(target=run, daemon=True).start()
        return connection

    @classmethod
    def headers(cls, size):
        pouch = cls.evil.pouch(cls.node.name)
        return (
            f"POST /pouch HTTP/1.1\r\nHost: x\r\nEntente-Origin: {pouch.origin}\r\nEntente-Old-Size: {pouch.old_size}\r\n"
            f"Entente-Size: {pouch.size + 1}\r\nContent-Length: {size}\r\n\r\n"
        ).encode()

    @classmethod
    def announce(cls):
        connection = cls.keep(cls.villain.to[cls.node.name].socket())
        connection.sendall(cls.headers(50 << 20))
        return connection

    @classmethod
    def trickle(cls):
        connection = cls.keep(cls.villain.to[cls.node.name].socket())
        connection.sendall(cls.headers(1 << 20))
        return cls.dribble(connection, b"x" * 200)

    @classmethod
    def trickle_headers(cls):
        return cls.dribble(cls.keep(cls.villain.to[cls.node.name].socket()), cls.headers(1 << 20))

    @classmethod
    def half_handshake(cls):
        connection = cls.keep(socket.create_connection(("127.0.0.1", cls.node.port), timeout=20))
        connection.sendall(b"\x16\x03\x01\x02\x00\x01")
        return connection

    @classmethod
    def never_read(cls):
        connection = cls.keep(cls.villain.to[cls.node.name].socket())
        connection.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        return connection

    def assert_served(self, within_s):
        begun = time.monotonic()
        self.party.to[self.node.name].close()
        self.channel.say("contact.check", CHECK)
        self.deliver(self.channel, self.node)
        draft = {"channel": "line", "kind": "contact.check", "body": CHECK}
        self.assertTrue(self.node.api("POST", "/messages?wait=receipt&timeout=10", json.dumps(draft).encode())["done"])
        self.assertLess(time.monotonic() - begun, within_s)

    def test_1_starved__others_are_served(self):
        self.assert_served(PATIENCE_S / 4)

    def flood(self, count, addresses):
        """So many connections that say nothing, each address in turn; what the process may hold open stays open."""
        before = memory_bytes(self.node)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = count + 500
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with contextlib.ExitStack() as opened:
            for made in range(1, count + 1):
                connection = socket.socket()
                if made < wanted - 600:
                    opened.callback(connection.close)
                connection.settimeout(PATIENCE_S)
                connection.bind((f"127.{1 + os.getpid() % 250}.0.{2 + made % addresses}", 0))  # of this run alone: ports run out
                connection.connect(("127.0.0.1", self.node.port))
                if made >= wanted - 600:
                    connection.close()
                if made % (count // 4) == 0:
                    self.assert_served(PATIENCE_S / 4)
        self.assert_served(PATIENCE_S / 4)
        if not SANITIZED:  # a sanitizer keeps what was freed
            self.assertLess(memory_bytes(self.node) - before, 64 << 20)

    def test_2_many__connections_of_one_address_keep_nobody_out(self):
        self.flood(CONNECTIONS, 1)

    def test_2_many__connections_of_many_addresses_keep_nobody_out(self):
        self.flood(CONNECTIONS // 4, 100)

    def test_4_socket__held_by_many_silent_callers_answers_others(self):
        """Local callers that hang, more than the socket has places for."""
        with contextlib.ExitStack() as opened:
            for made in range(1000):
                connection = socket.socket(socket.AF_UNIX)
                opened.callback(connection.close)
                connection.settimeout(PATIENCE_S)
                connection.connect(os.path.join(self.node.dir, "socket"))
                with contextlib.suppress(ConnectionError):  # it had to make room for others
                    connection.sendall((b"", b"GET /api/v1/sta", b"POST /api/v1/messages HTTP/1.1\r\nHost: x\r\n")[made % 3])
                if made % 250 == 249:
                    begun = time.monotonic()
                    self.assertEqual(self.node.run("status").returncode, 0)
                    self.assertLess(time.monotonic() - begun, PATIENCE_S / 4)

    def test_3_answers__that_trickle_or_never_end_hold_up_nobody_else(self):
        """Our own listener starves the node's courier; another peer is served all the while."""
        slow = self.new_party("slow.example", self.node, listens=True)
        channel = self.open_with(slow, self.node, "slow")
        stop = threading.Event()
        self.addCleanup(stop.set)

        def endless(request):
            with contextlib.suppress(OSError):
                request.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
                while not stop.wait(0.01):
                    request.connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")

        def trickling(request):
            with contextlib.suppress(OSError):
                for byte in b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4000\r\n\r\n" + b"y" * 4000:
                    request.connection.sendall(bytes([byte]))
                    if stop.wait(0.5):
                        return

        before = memory_bytes(self.node)
        for behaviour in (endless, trickling):
            slow.listener.behaviour = behaviour
            draft = json.dumps({"channel": "slow", "kind": "contact.check", "body": CHECK}).encode()
            self.node.api("POST", "/messages", draft)
            time.sleep(0.3)
            self.assert_served(PATIENCE_S / 4)
        self.assertLess(memory_bytes(self.node) - before, 32 << 20)
        self.assertEqual(len(channel.logs[self.node.name]), 1)
        stop.set()
        slow.listener.behaviour = None
        slow.listener.hang_up()

    @unittest.skipUnless(FULL, "waits for half a minute")
    def test_9_starved__is_closed_in_the_end(self):
        until = self.begun + CLOSED_S
        for name, connections in self.held.items():
            for connection in connections:
                with self.subTest(name):
                    connection.settimeout(max(0.1, until - time.monotonic()))
                    try:
                        while connection.recv(65536):
                            pass
                    except (ConnectionError, OSError) as error:
                        self.assertNotIsInstance(error, TimeoutError, f"{name}: it is open after {CLOSED_S} s")


class Verifier(OutsideTest):
    """`entente verify` reads what anybody made up."""

    def test_proof__of_64_lines_and_more_is_refused_at_once(self):
        node = self.new_node("aurora.example")
        party = self.new_party("vega.example", node, listens=True)
        self.open_with(party, node, "line")
        draft = {"channel": "line", "kind": "contact.check", "body": CHECK}
        self.assertTrue(node.api("POST", "/messages?wait=receipt&timeout=20", json.dumps(draft).encode())["done"])
        name = os.path.join(self.folder, "proof")
        node.run("prove", f"line/{node.name}/1", "-o", name)
        with open(name + ".tlog-proof", "rb") as file:
            proof = file.read()
        self.assertEqual(node.run("verify", name + ".tlog-proof", check=False).returncode, 0)
        index_line = re.search(rb"^index .*\n", proof, re.MULTILINE).end()
        for count in (63, 64, 100_000):
            lines = b"".join(formats.b64(struct.pack(">Q24x", at)).encode() + b"\n" for at in range(count))
            with open(name + ".tlog-proof", "wb") as file:
                file.write(proof[:index_line] + lines + proof[index_line:])
            done = node.run("verify", name + ".tlog-proof", check=False)
            self.assertEqual(done.returncode, 1, done)


if __name__ == "__main__":
    unittest.main()
