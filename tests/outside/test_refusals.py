"""What must not pass the border, seen from outside: each refusal has its status and stable word, stores nothing, gives no
receipt, and leaves the way free for the right pouch."""

import concurrent.futures
import contextlib
import copy
import json
import os
import random
import socket
import ssl
import time
import unittest

import formats
import sealing
from border import Border
from formats import Pouch
from node import wait_for
from outside import CHECK, INCIDENT, OutsideTest
from peer import Party, blob


class BorderTest(OutsideTest):
    """A node and a party with an open channel. Listeners are not needed: what the node says is fetched."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.new_node("aurora.example")
        cls.party = cls.new_party("vega.example", cls.node)
        cls.border = cls.party.to[cls.node.name]
        cls.channel = cls.open_with(cls.party, cls.node, "main")

    def assert_reason(self, answer, status, word):
        self.assertEqual(answer.status, status, answer)
        self.assertTrue(answer.type.startswith("application/json"), answer)
        error = json.loads(answer.body)["error"]
        if word is not None:
            self.assertIn(error["code"], word if isinstance(word, (set, tuple)) else {word}, answer)
        self.assertTrue(error["text"], answer)
        self.assertNotIn("—".encode(), answer.body)

    def assert_refused(self, pouch, status, word, channel="main", border=None, like=None, **headers):
        before = self.node.held(channel)
        answer = (border or self.border).post(pouch, like=like, **headers)
        self.assert_reason(answer, status, word)
        self.assertEqual(self.node.held(channel), before, f"stored in spite of {answer}")
        return answer

    def assert_way_is_free(self, channel=None):
        channel = channel or self.channel
        channel.say("contact.check", CHECK)
        self.deliver(channel, self.node)

    def with_entry(self, change=None, sealed=None, of=None, **fields):
        """The pouch of our log with one more entry: with other fields, or changed bytes, than it should have."""
        trial = (of or self.channel).copy()
        if sealed is None:
            sealed = sealing.seal(json.dumps(CHECK).encode(), trial.recipients())
        drafted = trial.draft("contact.check", sealed) | fields
        entry = formats.entry_encode(drafted)
        trial.say_raw(entry if change is None else change(entry), sealed if drafted["body"] else None)
        return trial.pouch(self.node.name)


class Bytes(BorderTest):
    """A flipped bit in each part of a pouch."""

    HEADER = (0, 3, 99, 103, 110, 118, 124, 134, 140, 148, 153, 156, 157, 257, 262, 263, 265, 297, 330, 338, 345, 511)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.fetch(cls.channel, cls.node)
        for kind in ("incident.notification", "incident.notification", "incident.notification"):
            cls.channel.say(kind, INCIDENT)
        # all from the beginning, so that every part a pouch has is in it
        cls.pouch = cls.channel.pouch(cls.node.name, old_size=0)
        cls.data = cls.pouch.encode()
        cls.layout = {name: place for name, *place in formats.ustar_layout(cls.data)}
        assert {name.split("/")[0] for name in cls.layout} == {
            "pouch.json", "genesis", "cards", "checkpoint", "heads", "receipts", "entries", "bodies"
        }  # fmt: skip

    def flip(self, positions):
        """Send with each of these bits flipped alone; all must be refused, and nothing may be stored."""
        before, taken, statuses = self.node.held("main"), [], set()
        for at, bit in positions:
            data = bytearray(self.data)
            data[at] ^= 1 << bit
            answer = self.border.post(bytes(data), like=self.pouch)
            statuses.add(answer.status)
            if answer.status not in (403, 409, 413, 422) or "—".encode() in answer.body:
                taken.append((at, bit, answer))
            elif answer.status != 409:
                self.assertNotEqual(answer.word, "fork", (at, bit))
        self.assertEqual(taken, [], f"{len(taken)} of {len(positions)} flipped bits were not refused")
        self.assertEqual(self.node.held("main"), before)
        self.assertIn(422, statuses)

    def in_data(self, name):
        _, start, size = self.layout[name]
        chosen = random.Random(name)
        places = {0, 1, size // 2, size - 1} | {chosen.randrange(size) for _ in range(96)}
        return [(start + at, chosen.randrange(8)) for at in sorted(places)]

    def flip_data(self, folder):
        names = [name for name in self.layout if name.split("/")[0] == folder]
        self.flip([place for name in names for place in self.in_data(name)])

    def test_flip__in_every_header_is_refused(self):
        chosen = random.Random("headers")
        self.flip([(start + at, chosen.randrange(8)) for start, *_ in self.layout.values() for at in self.HEADER])

    def test_flip__in_padding_is_refused(self):
        ends = [start + size for _, start, size in self.layout.values() if size % 512]
        self.flip([(end, 0) for end in ends] + [(end + -end % 512 - 1, 7) for end in ends])

    def test_flip__in_the_end_blocks_is_refused(self):
        self.flip([(len(self.data) - at, 3) for at in (1, 500, 512, 513, 1024)])

    def test_flip__in_pouch_json_is_refused(self):
        self.flip_data("pouch.json")

    def test_flip__in_genesis_is_refused(self):
        self.flip_data("genesis")

    def test_flip__in_cards_is_refused(self):
        self.flip_data("cards")

    def test_flip__in_checkpoint_is_refused(self):
        self.flip_data("checkpoint")

    def test_flip__in_heads_is_refused(self):
        self.flip_data("heads")

    def test_flip__in_receipts_is_refused(self):
        self.flip_data("receipts")

    def test_flip__in_entries_is_refused(self):
        self.flip_data("entries")

    def test_flip__in_bodies_is_refused(self):
        self.flip_data("bodies")

    def test_structure__every_other_shape_is_refused(self):
        members = self.pouch.members()
        names = [name for name, _ in members]
        whole = self.data
        swapped = members[:]
        swapped[0], swapped[1] = swapped[1], swapped[0]
        genesis = names.index("genesis")
        shapes = {
            "cut": whole[:-512],
            "cut in a member": whole[: len(whole) // 2],
            "cut in a block": whole[: len(whole) // 2 + 100],
            "nothing": b"",
            "only the end": bytes(1024),
            "data after the end": whole + bytes(512),
            "a third zero block": whole + bytes(1024),
            "noise": os.urandom(4096),
            "twice": self.pouch.encode(members[: genesis + 1] + members[genesis:]),
            "out of order": self.pouch.encode(swapped),
            "a member too much": self.pouch.encode(members + [("bodies/99.age", b"x")]),
            "a name of no meaning": self.pouch.encode(members + [("readme", b"x")]),
            "an empty member": self.pouch.encode([("genesis", b"")] + members[1:]),
            "no checkpoint": self.pouch.encode([row for row in members if row[0] != "checkpoint"]),
            "a path that climbs": self.pouch.encode(members + [("../genesis", b"x")]),
            "an absolute path": self.pouch.encode(members + [("/genesis", b"x")]),
            "cutoffs of nonsense": self.pouch.encode(
                members[: names.index("checkpoint")] + [("cutoffs/vega.example", b"x")]
                + members[names.index("checkpoint") :]
            ),
            "not listed": formats.ustar_write([("pouch.json", self.pouch.index(members[:-1]))] + members),
            "listed, missing": formats.ustar_write([("pouch.json", self.pouch.index(members))] + members[:-1]),
            "no pouch.json": formats.ustar_write(members),
            "pouch.json with spaces": formats.ustar_write(
                [("pouch.json", json.dumps(json.loads(self.pouch.index(members))).encode())] + members
            ),
        }  # fmt: skip
        for name, data in shapes.items():
            with self.subTest(name):
                self.assert_refused(data, 422, {"malformed", "not-canonical", "mismatch", "bad-signature"},
                                    like=self.pouch)  # fmt: skip

    def test_zz_right__the_unchanged_pouch_is_taken_after_all(self):
        """Runs last: what was refused flipped is receipted whole."""
        answer = self.border.post(self.pouch)
        self.assertEqual(answer.status, 200, answer)
        self.channel.take_receipt(answer.body, self.node.name, self.pouch.size)


class Entries(BorderTest):
    """Entries that belong elsewhere, are not canonical, or do not go with their bodies."""

    def tearDown(self):
        self.assert_way_is_free()

    def test_entry__of_another_channel_is_refused(self):
        self.assert_refused(self.with_entry(channel="00" * 32), 422, "mismatch")

    def test_entry__of_another_writer_is_refused(self):
        self.assert_refused(self.with_entry(writer=self.node.name), 422, "mismatch")
        self.assert_refused(self.with_entry(writer="nobody.example"), 422, "mismatch")

    def test_entry__at_another_index_is_refused(self):
        size = len(self.channel.own)
        for index in (0, size - 1, size + 1, 2**53 - 1):
            self.assert_refused(self.with_entry(index=index), 422, {"mismatch", "malformed"})

    def test_entry__a_second_genesis_is_refused(self):
        self.assert_refused(self.with_entry(kind="channel.genesis"), 422, "invalid")

    def test_entry__to_or_about_a_stranger_is_refused(self):
        self.assert_refused(self.with_entry(to=["nobody.example"]), 422, "invalid")
        self.assert_refused(self.with_entry(reply_to="nobody.example/0"), 422, "invalid")
        self.assert_refused(self.with_entry(thread="nobody.example/0"), 422, "invalid")

    def test_entry__about_itself_or_a_later_one_is_refused(self):
        size = len(self.channel.own)
        for index in (size, size + 1):
            self.assert_refused(self.with_entry(reply_to=f"{self.party.name}/{index}"), 422, "malformed")
            self.assert_refused(self.with_entry(thread=f"{self.party.name}/{index}"), 422, "malformed")

    def test_entry__signed_but_not_canonical_is_refused(self):
        size = b'"index":%d,' % len(self.channel.own)

        def replaced(old, new):
            def change(entry):
                assert old in entry, old
                return entry.replace(old, new, 1)

            return change

        def reordered(entry):
            fields = json.loads(entry)
            return formats.compact({key: fields[key] for key in sorted(fields)})

        def without(key):
            def change(entry):
                fields = json.loads(entry)
                del fields[key]
                return formats.compact(fields)

            return change

        wrong_times = ("2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:60Z", "2026-01-01t00:00:00z",
                       "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00.0Z", "2026-1-1T0:0:0Z", "26-01-01T00:00:00Z",
                       "2026-01-01 00:00:00Z", "0000-00-00T00:00:00Z", "", "now")  # fmt: skip
        changes = {
            "a space": replaced(b'"v":1,', b'"v": 1,'),
            "a space at the end": lambda entry: entry + b" ",
            "a newline at the end": lambda entry: entry + b"\n",
            "a byte order mark": lambda entry: b"\xef\xbb\xbf" + entry,
            "another order": reordered,
            "an escape": replaced(b"contact.check", rb"contact\u002echeck"),
            "an escaped slash": replaced(b"application/json", rb"application\/json"),
            "upper-case hex": lambda entry: entry.replace(self.channel.id.encode(), self.channel.id.upper().encode()),
            "an upper-case nonce": lambda entry: entry.replace(b'"nonce":"', b'"nonce":"AB', 1)[: len(entry)],
            "2^53": replaced(size, b'"index":9007199254740992,'),
            "2^64": replaced(size, b'"index":18446744073709551616,'),
            "a leading zero": replaced(size, size.replace(b":", b":0")),
            "a sign": replaced(size, size.replace(b":", b":-")),
            "a fraction": replaced(size, size.replace(b",", b".0,")),
            "an exponent": replaced(size, size.replace(b",", b"e0,")),
            "a number as text": replaced(b'"v":1', b'"v":"1"'),
            "another version": replaced(b'"v":1', b'"v":2'),
            "a field twice": replaced(b'"v":1,', b'"v":1,"v":1,'),
            "a field more": replaced(b'"attachments":[]', b'"attachments":[],"more":1'),
            "a field less": without("urgency"),
            "null for a list": replaced(b'"to":[]', b'"to":null'),
            "a list for null": replaced(b'"thread":null', b'"thread":[]'),
            "0 for false": replaced(b'"exercise":false', b'"exercise":0'),
            "routine spelled out": replaced(b'"urgency":null', b'"urgency":"routine"'),
            "an unknown urgency": replaced(b'"urgency":null', b'"urgency":"soon"'),
            "a marking in lower case": replaced(b'"marking":null', b'"marking":"TLP:amber"'),
            "a marking without prefix": replaced(b'"marking":null', b'"marking":"AMBER"'),
            "addressees unsorted": replaced(b'"to":[]', b'"to":["vega.example","aurora.example"]'),
            "an addressee twice": replaced(b'"to":[]', b'"to":["aurora.example","aurora.example"]'),
            "UTF-8": replaced(b"application/json", "application/jsön".encode()),
            "DEL": replaced(b"application/json", b"application/js\x7fn"),
            "a control character": replaced(b"contact.check", b"contact.\x01heck"),
            "NUL": replaced(b"contact.check", b"contact.\x00heck"),
            "a kind in upper case": replaced(b"contact.check", b"contact.Check"),
            "a kind without family": replaced(b"contact.check", b"contactcheck"),
            "a writer in upper case": replaced(b'"vega.example"', b'"Vega.example"'),
            "a reference with a leading zero": replaced(b'"reply_to":null', b'"reply_to":"aurora.example/00"'),
            "a digest cut short": replaced(b'"digest":"', b'"digest":"0'),
            "no JSON": lambda _: b"hello",
            "a line in front": lambda entry: b"\n" + entry,
            "nothing": lambda _: b"",
            **{f"time {text!r}": time_changed(text) for text in wrong_times},
        }  # fmt: skip
        for name, change in changes.items():
            with self.subTest(name):
                self.assert_refused(self.with_entry(change), 422, {"not-canonical", "malformed", "mismatch"})

    def test_entry__too_large_is_refused(self):
        references = [blob(b"", "x/" + "y" * 60) for _ in range(16)]
        self.assert_refused(self.with_entry(attachments=references * 9), 413, "too-large")
        self.assert_refused(self.with_entry(attachments=references + references[:1]), 422,
                            {"malformed", "not-canonical"})  # fmt: skip

    def test_body__missing_extra_or_other_is_refused(self):
        pouch = self.with_entry()
        index = pouch.size - 1
        right = pouch.bodies[index]
        flipped = right[:-1] + bytes([right[-1] ^ 1])
        cases = {
            "missing": {},
            "of the same size": {index: flipped},
            "longer": {index: right + b"x"},
            "shorter": {index: right[:-1]},
            "at another index": {index + 1: right},
            "one too much": {index: right, index + 1: b"x"},
            "of an entry that is not in the pouch": {0: self.channel.own.bodies[0], index: right},
        }
        for name, bodies in cases.items():
            with self.subTest(name):
                trial = copy.copy(pouch)
                trial.bodies = bodies
                self.assert_refused(trial, 422, "mismatch")

    def test_body__where_the_entry_has_none_is_refused(self):
        pouch = self.with_entry(body=None)
        pouch.bodies = {pouch.size - 1: b"x"}
        self.assert_refused(pouch, 422, "mismatch")

    def test_body__whose_size_or_digest_the_entry_gives_wrong_is_refused(self):
        sealed = sealing.seal(b"{}", self.channel.recipients())
        right = blob(sealed, "application/json")
        self.assert_refused(self.with_entry(sealed=sealed, body={**right, "size": len(sealed) + 1}), 422, "mismatch")
        self.assert_refused(self.with_entry(sealed=sealed, body={**right, "digest": "0" * 64}), 422, "mismatch")
        self.assert_refused(self.with_entry(sealed=sealed, body={**right, "size": (8 << 20) + 1}), 422, "malformed")

    def test_ack__that_its_log_never_signed_is_refused(self):
        self.fetch(self.channel, self.node)
        theirs = self.channel.logs[self.node.name]
        size, root = len(theirs), theirs.tree.roots[-1].hex()
        own = self.channel.own

        def ack(**changes):
            return {"acks": [{"origin": theirs.origin, "size": size, "root": root} | changes]}

        self.assert_refused(self.with_entry(**ack(root="00" * 32)), 422, "inconsistent")
        self.assert_refused(self.with_entry(**ack(size=size + 1)), 422, "inconsistent")
        self.assert_refused(self.with_entry(**ack(size=2**53 - 1)), 422, "inconsistent")
        self.assert_refused(self.with_entry(**ack(size=0)), 422, {"invalid", "inconsistent"})
        wrong = {"malformed", "mismatch"}
        root = own.tree.roots[-1].hex()
        self.assert_refused(self.with_entry(**ack(origin=own.origin, size=len(own), root=root)), 422, wrong)
        self.assert_refused(self.with_entry(**ack(origin=f"{self.node.name}/entente/{'0' * 64}")), 422, wrong)
        self.assert_refused(self.with_entry(**ack(origin=f"nobody.example/entente/{self.channel.id}")), 422, wrong)

    def test_ack__that_goes_back_is_refused(self):
        theirs = self.channel.logs[self.node.name]
        for _ in range(2):
            self.node.api("POST", "/messages", json.dumps(
                {"channel": "main", "kind": "contact.check", "body": CHECK}).encode())  # fmt: skip
        self.fetch(self.channel, self.node)
        self.assert_way_is_free()  # acks all of it
        theirs = self.channel.logs[self.node.name]
        back = {"origin": theirs.origin, "size": 1, "root": theirs.tree.roots[1].hex()}
        self.assert_refused(self.with_entry(acks=[back]), 422, "invalid")

    def test_heads__not_signed_by_their_log_are_refused(self):
        pouch = self.with_entry()
        theirs = self.channel.logs[self.node.name]
        text = formats.checkpoint_text(theirs.origin, 99, bytes(32))
        trial = copy.copy(pouch)
        trial.heads = {self.node.name: formats.note_sign(text, theirs.origin, self.party.log)}
        self.assert_refused(trial, 422, "bad-signature")
        trial.heads = {"nobody.example": trial.heads[self.node.name]}
        self.assert_refused(trial, 422, "mismatch")
        trial.heads = {self.party.name: self.channel.own.head}
        self.assert_refused(trial, 422, "mismatch")

    def test_receipts__forged_are_refused(self):
        pouch = self.with_entry()
        own, theirs = self.channel.own, self.channel.logs[self.node.name]
        text = formats.checkpoint_text(own.origin, 1, own.tree.roots[1])
        name = f"{self.node.name}/entente/receipt"
        ours = f"{self.party.name}/entente/receipt"
        beyond = formats.checkpoint_text(theirs.origin, 1000, bytes(32))
        forged = {
            "for what the log has not reached": (self.party.name, beyond, ours, self.party.receipt, "inconsistent"),
            "by another key": (self.node.name, text, name, self.party.receipt, "bad-signature"),
            "by ourselves of our own log": (self.party.name, text, ours, self.party.receipt, "mismatch"),
            "by nobody": ("nobody.example", text, "nobody.example/entente/receipt", self.party.receipt, "mismatch"),
        }
        for case, (receiver, signed, key_name, key, word) in forged.items():
            with self.subTest(case):
                note = signed + b"\n" + formats.cosignature_line(signed, key_name, key, int(time.time()))
                trial = copy.copy(pouch)
                trial.receipts = [(receiver, note)]
                self.assert_refused(trial, 422, word)


    def test_receipts__for_another_root_are_set_apart(self):
        """They stop nobody's log, and are few however many come."""
        theirs, name = self.channel.logs[self.node.name], f"{self.party.name}/entente/receipt"
        for at in range(1, 12):
            text = formats.checkpoint_text(theirs.origin, 1, bytes([at]) * 32)
            note = text + b"\n" + formats.cosignature_line(text, name, self.party.receipt, int(time.time()))
            self.channel.say("contact.check", CHECK)
            pouch = self.channel.pouch(self.node.name)
            pouch.receipts = [(self.party.name, note)]
            answer = self.border.post(pouch)
            self.assertEqual(answer.status, 200, answer)
            self.channel.take_receipt(answer.body, self.node.name, pouch.size)
        apart = self.node.json("fork", "list", "--channel", self.channel.id)["apart"]
        self.assertEqual([(row["by"], row["party"], row["size"]) for row in apart], [(self.party.name, self.node.name, 1)] * 8)
        self.assertIn("receipted", self.node.text("fork", "list", "--channel", self.channel.id))
        found = [row for row in json.loads(self.node.run("doctor", "--json", check=False).stdout)["findings"] if row["what"] == "receipt-apart"]
        self.assertEqual(len(found), 1)


def time_changed(text):
    def change(entry):
        fields = json.loads(entry)
        fields["time"] = text
        return formats.compact(fields)

    return change


class Heads(BorderTest):
    """Checkpoints, sizes, overlaps, repetition, forks."""

    def test_checkpoint__by_another_key_is_refused(self):
        pouch = self.with_entry()
        text = formats.Note.parse(pouch.checkpoint).text
        pouch.checkpoint = formats.note_sign(text, pouch.origin, self.party.receipt)
        self.assert_refused(pouch, 422, "bad-signature")
        # the right key under another name, and a cosignature in a signature's place
        key = formats.public_bytes(self.party.log)
        line = formats.signature_line("vega.example", formats.ED25519, key, self.party.log.sign(text))
        pouch.checkpoint = text + b"\n" + line
        self.assert_refused(pouch, 422, "bad-signature")
        pouch.checkpoint = text + b"\n" + formats.cosignature_line(text, pouch.origin, self.party.log, 1)
        self.assert_refused(pouch, 422, "bad-signature")
        self.assert_way_is_free()

    def test_checkpoint__of_the_nodes_own_log_by_our_key_is_refused(self):
        theirs = self.channel.logs[self.node.name]
        text = formats.checkpoint_text(theirs.origin, 1, bytes(32))
        pouch = Pouch(theirs.origin, 1, 1, checkpoint=formats.note_sign(text, theirs.origin, self.party.log))
        self.assert_refused(pouch, 422, "bad-signature")

    def test_checkpoint__with_an_extension_line_is_refused(self):
        pouch = self.with_entry()
        text = formats.Note.parse(pouch.checkpoint).text + b"more\n"
        pouch.checkpoint = formats.note_sign(text, pouch.origin, self.party.log)
        self.assert_refused(pouch, 422, "malformed")

    def test_checkpoint__of_another_size_than_the_pouch_is_refused(self):
        pouch = self.with_entry()
        pouch.checkpoint = self.channel.own.head
        self.assert_refused(pouch, 422, "mismatch")

    def test_checkpoint__whose_root_does_not_follow_is_refused_without_a_fork(self):
        """ "a failed recomputation alone is 422" """
        pouch = self.with_entry()
        text = formats.checkpoint_text(pouch.origin, pouch.size, bytes(32))
        pouch.checkpoint = formats.note_sign(text, pouch.origin, self.party.log)
        self.assert_refused(pouch, 422, "inconsistent")
        self.assert_no_fork(self.channel)
        self.assert_way_is_free()

    def assert_no_fork(self, channel):
        self.assertNotIn(channel.id, [fork["channel"] for fork in self.node.status()["forks"]])

    def test_entries__more_or_fewer_than_the_sizes_say_are_refused(self):
        for entries in (lambda rows: rows + rows[-1:], lambda rows: rows[:-1]):
            pouch = self.with_entry()
            pouch.entries = entries(pouch.entries)
            self.assert_refused(pouch, 422, {"inconsistent", "mismatch"})

    def test_old_size__beyond_what_is_held_gets_409_and_the_size(self):
        channel = self.channel.copy()
        for _ in range(3):
            channel.say("contact.check", CHECK)
        held = len(self.channel.own)
        for first in (held + 1, held + 2):
            answer = self.border.post(channel.pouch(self.node.name, old_size=first))
            self.assertEqual((answer.status, answer.type, answer.body), (409, "text/x.tlog.size", b"%d\n" % held))
        self.assertEqual(self.node.held("main")[self.party.name][0], held)

    def test_old_size__409_comes_before_the_body(self):
        held = len(self.channel.own)
        headers = {"Entente-Origin": self.channel.own.origin, "Entente-Old-Size": str(held + 5),
                   "Entente-Size": str(held + 6), "Content-Length": str(60 << 20),
                   "Expect": "100-continue"}  # fmt: skip
        status, head, body, seconds = answer_to_headers(self.border, headers)
        self.assertEqual((status, body), (409, b"%d\n" % held), head)
        self.assertLess(seconds, 3)

    def test_overlap__is_taken_and_covered_by_the_first_receipt(self):
        channel = self.open_with(self.party, self.node, "overlap")
        heads, receipts = {}, {}
        for _ in range(6):
            index = channel.say("contact.check", CHECK)
            heads[index + 1] = channel.own.head
            if index % 2 == 0:  # receipts cover 3, 5, 7; the heads of 2, 4 and 6 are receipted by the next
                receipts[index + 1] = self.deliver(channel, self.node)
        self.assertEqual(sorted(receipts), [3, 5, 7])
        for size, head in heads.items():
            for first in range(size + 1):
                pouch = channel.pouch(self.node.name, old_size=first)
                pouch.size, pouch.checkpoint, pouch.entries = size, head, pouch.entries[: size - first]
                pouch.bodies = {at: sealed for at, sealed in pouch.bodies.items() if at < size}
                answer = self.border.post(pouch)
                covering = min(at for at in receipts if at >= size)
                self.assertEqual((answer.status, answer.body), (200, receipts[covering]), (first, size))
        # and an overlap that brings something new
        channel.say("contact.check", CHECK)
        answer = self.border.post(channel.pouch(self.node.name, old_size=0))
        self.assertEqual(answer.status, 200)
        self.assertEqual(channel.take_receipt(answer.body, self.node.name, 8), 8)

    def test_overlap__with_other_entries_under_the_true_head_is_refused(self):
        """The head is right, the entries that come with it are not: no fork, and no receipt."""
        channel = self.open_with(self.party, self.node, "liar")
        channel.say("contact.check", CHECK)
        self.deliver(channel, self.node)
        pouch = channel.pouch(self.node.name, old_size=0)
        other = channel.copy()
        pouch.entries = [formats.entry_encode(other.draft("contact.check", None, index=at)) for at in (0, 1)]
        pouch.bodies = {}
        self.assert_refused(pouch, 422, "mismatch", channel="liar")
        self.assert_no_fork(channel)

    def test_repeat__the_same_pouch_gives_the_same_receipt(self):
        self.channel.say("contact.check", CHECK)
        pouch = self.channel.pouch(self.node.name)
        receipt = self.deliver(self.channel, self.node)
        time.sleep(1.1)  # a receipt made anew would have another time
        for _ in range(3):
            answer = self.border.post(pouch)
            self.assertEqual((answer.status, answer.body), (200, receipt))

    def test_repeat__many_at_once_give_one_receipt(self):
        self.channel.say("contact.check", CHECK)
        pouch = self.channel.pouch(self.node.name)
        borders = [Border(self.node.port, self.party, self.node.fields["tls"]) for _ in range(6)]
        with concurrent.futures.ThreadPoolExecutor(len(borders)) as pool:
            answers = list(pool.map(lambda border: border.post(pouch), borders))
        for border in borders:
            border.close()
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertEqual(len({answer.body for answer in answers}), 1)
        self.channel.take_receipt(answers[0].body, self.node.name, pouch.size)

    # ---- forks ------------------------------------------------------------------------------------------------------

    def forked(self, alias, say, like):
        """A channel of three entries, and a pouch of another history of it."""
        channel = self.open_with(self.party, self.node, alias)
        start = channel.copy()
        for _ in range(2):
            channel.say("contact.check", CHECK)
        receipt = self.deliver(channel, self.node)
        for _ in range(say):
            start.say("contact.check", CHECK)
        return channel, receipt, start.pouch(self.node.name, old_size=like)

    def assert_fork(self, alias, channel, receipt, pouch):
        size = self.node.held(alias)[self.party.name][0]
        answer = self.border.post(pouch)
        self.assert_reason(answer, 422, "fork")
        self.assertEqual(self.node.held(alias)[self.party.name], (size, size, 1, True))
        forks = [fork for fork in self.node.status()["forks"] if fork["channel"] == channel.id]
        self.assertEqual([fork["party"] for fork in forks], [self.party.name])
        self.assertIn("FORK", self.node.text("status"))
        # what was receipted stays receipted, nothing more is taken, and the other logs go on
        right = channel.pouch(self.node.name, old_size=0)
        self.assertEqual(self.border.post(right).body, receipt)
        channel.say("contact.check", CHECK)
        answer = self.border.post(channel.pouch(self.node.name, old_size=size))
        self.assert_reason(answer, 409, "frozen")
        self.assertEqual(self.node.held(alias)[self.party.name][0], size)
        body = {"channel": alias, "kind": "contact.check", "body": CHECK}
        self.node.api("POST", "/messages", json.dumps(body).encode())
        self.assertEqual(self.node.held(alias)[self.node.name][0], 2)
        return answer

    def test_fork__an_equal_size_with_another_root_freezes_the_log(self):
        self.assert_fork("equal", *self.forked("equal", say=2, like=1))

    def test_fork__a_smaller_size_with_another_root_freezes_the_log(self):
        self.assert_fork("smaller", *self.forked("smaller", say=1, like=1))

    def test_fork__without_any_entries_freezes_the_log(self):
        self.assert_fork("bare", *self.forked("bare", say=2, like=3))

    def test_fork__a_larger_history_that_contradicts_ours_freezes_the_log(self):
        """ "two signed heads and a path that reproduces the larger root exactly and yields another root for the smaller
        size": the entries are that path."""
        self.assert_fork("larger", *self.forked("larger", say=4, like=0))

    def test_fork__is_kept_over_a_restart(self):
        self.assert_fork("kept", *self.forked("kept", say=2, like=1))
        self.node.stop()
        self.node.start()
        self.assertTrue(self.node.member("kept", self.party.name)["frozen"])
        self.assertIn(self.channel_id("kept"), [fork["channel"] for fork in self.node.status()["forks"]])

    def channel_id(self, alias):
        return self.node.channel(alias)["id"]

    # ---- three members ----------------------------------------------------------------------------------------------

    def with_another(self, alias):
        """(the channel as another member has it, the same as we have it): both have said their entry 0, and the node
        holds the other's."""
        other = self.new_party(f"{alias}.example", self.node)
        other.know(self.party.card)
        channel = other.open_channel([self.node.name, self.party.name])
        self.assertEqual(other.to[self.node.name].post(channel.pouch(self.node.name)).status, 202)
        self.node.run("channel", "accept", channel.id, "--alias", alias)
        self.deliver(channel, self.node)
        self.party.know(other.card)
        self.party.invited(channel.pouch(self.party.name))
        return channel, self.party.accept(channel.id)

    def test_open__before_it_only_genesis_and_checks_pass(self):
        channel, ours = self.with_another("early")
        trial = channel.copy()
        trial.say("incident.notification", INCIDENT)
        before = self.node.held("early")
        answer = channel.party.to[self.node.name].post(trial.pouch(self.node.name))
        self.assert_reason(answer, 409, "not-open")
        self.assertEqual(self.node.held("early"), before)
        self.assertEqual(self.node.channel("early")["state"], "opening")
        channel.say("contact.check", CHECK)
        self.deliver(channel, self.node)
        self.deliver(ours, self.node)  # the last entry 0
        self.assertEqual(self.node.channel("early")["state"], "open")
        channel.say("incident.notification", INCIDENT)
        self.deliver(channel, self.node)

    def test_fork__of_a_head_that_came_before_its_entries_freezes_the_log(self):
        """Another member shows a head of ours ahead of its entries; then we tell another history of that size."""
        channel, ours = self.with_another("ahead")
        self.deliver(ours, self.node)
        told, kept = ours.copy(), ours.copy()
        for _ in range(2):
            told.say("contact.check", CHECK)
            kept.say("contact.check", CHECK)
        kept.say("contact.check", CHECK)
        channel.say("contact.check", CHECK)
        pouch = channel.pouch(self.node.name)
        pouch.heads[self.party.name] = told.own.head
        answer = channel.party.to[self.node.name].post(pouch)
        self.assertEqual(answer.status, 200, answer)
        self.assert_reason(self.border.post(kept.pouch(self.node.name)), 422, "fork")
        self.assertEqual(self.node.held("ahead")[self.party.name][::3], (1, True))

    def test_fork__of_two_heads_whose_entries_nobody_brought_freezes_the_log(self):
        channel, ours = self.with_another("beside")
        self.deliver(ours, self.node)
        first, second = ours.copy(), ours.copy()
        first.say("contact.check", CHECK)
        second.say("contact.check", CHECK)
        statuses = []
        for history in (first, second):
            trial = channel.copy()
            pouch = trial.pouch(self.node.name)
            pouch.heads[self.party.name] = history.own.head
            statuses.append(channel.party.to[self.node.name].post(pouch).status)
        self.assertEqual(statuses, [200, 200])  # who shows it is not to blame
        self.assertTrue(self.node.held("beside")[self.party.name][3])

    def test_fork__shown_by_another_member_freezes_that_log_alone(self):
        channel, ours = self.with_another("witnessed")
        other = channel.party
        self.deliver(ours, self.node)
        lie = formats.checkpoint_text(ours.own.origin, 1, bytes(32))
        channel.say("contact.check", CHECK)
        pouch = channel.pouch(self.node.name)
        pouch.heads[self.party.name] = formats.note_sign(lie, ours.own.origin, self.party.log)
        before = self.node.held("witnessed")
        answer = other.to[self.node.name].post(pouch)
        self.assertEqual(answer.status, 200, answer)
        channel.take_receipt(answer.body, self.node.name, pouch.size)
        after = self.node.held("witnessed")
        self.assertEqual((after[self.party.name][0], after[self.party.name][3]), (before[self.party.name][0], True))
        self.assertEqual(after[other.name][0], before[other.name][0] + 1)  # who shows it is not to blame


def answer_to_headers(border, headers, method="POST", path="/pouch", after=b""):
    """Send a request's headers and nothing (or only `after`) of its body: (status, header text, body, seconds)."""
    text = f"{method} {path} HTTP/1.1\r\nHost: node\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
    with border.socket(timeout=10) as connection:
        start = time.monotonic()
        connection.sendall(text.encode() + after)
        data = b""
        try:
            while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < length_of(data):
                piece = connection.recv(65536)
                if not piece:
                    break
                data += piece
        except (ConnectionResetError, ssl.SSLError):
            pass
        seconds = time.monotonic() - start
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]) if head else None, head.decode("latin-1"), body, seconds


def length_of(data):
    for line in data.split(b"\r\n\r\n", 1)[0].lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


class Requests(BorderTest):
    """Headers, sizes, certificates, and HTTP that is none."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.new_party("wega.example", cls.node)

    def setUp(self):
        self.right = self.with_entry()

    def headers(self, **changes):
        said = {"Entente-Origin": self.right.origin, "Entente-Old-Size": str(self.right.old_size),
                "Entente-Size": str(self.right.size), "Content-Type": "application/x-tar"}  # fmt: skip
        return said | changes

    def test_headers__missing_are_refused(self):
        for name in ("origin", "old_size", "size"):
            self.assert_refused(self.right, 422, "malformed", **{name: None})

    def test_headers__that_are_no_numbers_are_refused(self):
        for text in ("", "-1", "+1", "01", "1 ", "1.0", "0x1", "one", "9007199254740993", "18446744073709551617"):
            text = text if text.strip() == text else "1 1"
            self.assert_refused(self.right, 422, "malformed", size=text)
            self.assert_refused(self.right, 422, "malformed", old_size=text)

    def test_headers__origin_that_is_none_is_refused(self):
        for origin in ("x", "/", "vega.example", f"vega.example/entente/{'0' * 63}", f"vega.example//{'0' * 64}",
                       f"VEGA.example/entente/{self.channel.id}", "%s" * 50, "a" * 2000):  # fmt: skip
            self.assert_refused(self.right, 422, "malformed", origin=origin)

    def test_headers__origin_of_a_stranger_is_refused(self):
        self.assert_refused(self.right, 403, "forbidden", origin=f"nobody.example/entente/{self.channel.id}")

    def test_headers__other_than_the_contents_are_refused(self):
        """They "decide … before any body is read": a pouch under false headers has been let in by a lie."""
        other = self.open_with(self.party, self.node, "other")
        other.say("contact.check", CHECK)
        self.deliver(other, self.node)
        for at, changes in enumerate((
            {"origin": other.own.origin},
            {"origin": f"{self.node.name}/entente/"},
            {"old_size": "0"},
            {"size": "3"},
            {"size": "1"},
        )):  # fmt: skip
            with self.subTest(changes):
                channel = self.open_with(self.party, self.node, f"lie{at}")
                if changes.get("origin", "").endswith("/"):
                    changes["origin"] += channel.id
                pouch = self.with_entry(of=channel)
                self.assert_refused(pouch, 422, {"mismatch", "malformed"}, channel=f"lie{at}", **changes)

    def test_headers__a_larger_old_size_inside_than_announced_is_refused(self):
        trial = self.channel.copy()
        for _ in range(3):
            trial.say("contact.check", CHECK)
        pouch = trial.pouch(self.node.name, old_size=len(self.channel.own) + 1)
        answer = self.border.post(pouch, old_size=str(len(self.channel.own)))
        self.assertIn(answer.status, (409, 422), answer)

    def test_length__over_64_mib_is_refused_before_the_body(self):
        for length in ((64 << 20) + 1, 1 << 40, 2**62):
            status, head, body, seconds = answer_to_headers(
                self.border, self.headers(**{"Content-Length": str(length)})
            )
            self.assertEqual(status, 413, head)
            self.assertEqual(json.loads(body)["error"]["code"], "too-large")
            self.assertLess(seconds, 3, "the answer waited for the body")

    def test_length__missing_or_doubtful_is_refused(self):
        cases = {
            "none": (self.headers(), b"", (422, 411, 400)),
            "chunked": (self.headers(**{"Transfer-Encoding": "chunked"}), b"1\r\nx\r\n0\r\n\r\n", (422, 411, 400)),
            "both": (
                self.headers(**{"Transfer-Encoding": "chunked", "Content-Length": "1"}), b"0\r\n\r\n", (400, 422)
            ),
            "no number": (self.headers(**{"Content-Length": "many"}), b"", (400, 413, 422)),
            "negative": (self.headers(**{"Content-Length": "-1"}), b"", (400, 413, 422)),
        }  # fmt: skip
        for name, (headers, after, statuses) in cases.items():
            with self.subTest(name):
                status, head, _, _ = answer_to_headers(self.border, headers, after=after)
                self.assertIn(status, statuses, head)

    def test_length__shorter_body_than_announced_stores_nothing(self):
        before = self.node.held("main")
        data = self.right.encode()
        with self.border.socket() as connection:
            headers = self.headers(**{"Content-Length": str(len(data) + 512)})
            text = "POST /pouch HTTP/1.1\r\nHost: node\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
            connection.sendall(text.encode() + b"\r\n" + data)
        time.sleep(0.2)
        self.assertEqual(self.node.held("main"), before)

    # ---- who ---------------------------------------------------------------------------------------------------------

    def test_certificate__none_gets_a_readable_403(self):
        border = Border(self.node.port, None, self.node.fields["tls"])
        answer = self.assert_refused(self.right, 403, "unknown-peer", border=border)
        self.assertIn("certificate", json.loads(answer.body)["error"]["text"])
        border.close()

    def test_certificate__of_a_stranger_gets_a_readable_403(self):
        stranger = Party("stranger.example", self.folder)
        border = Border(self.node.port, stranger, self.node.fields["tls"])
        self.assert_refused(self.right, 403, "unknown-peer", border=border)
        answer = border.request("PUT", "/blob/" + "0" * 64, b"x")
        self.assertIn(answer.status, (403, 404), answer)
        # an invitation by a stranger, too
        stranger.know(self.node.card)
        channel = stranger.open_channel([self.node.name])
        self.assert_refused(channel.pouch(self.node.name), 403, "unknown-peer", border=border)
        border.close()

    def test_certificate__of_a_stranger_under_a_peers_name_gets_403(self):
        folder = os.path.join(self.folder, "double")
        os.makedirs(folder, exist_ok=True)
        double = Party(self.party.name, folder)
        border = Border(self.node.port, double, self.node.fields["tls"])
        self.assert_refused(self.right, 403, "unknown-peer", border=border)
        border.close()

    def test_member__a_peer_who_is_none_may_not_carry(self):
        self.assert_refused(self.right, 403, "forbidden", border=self.other.to[self.node.name])
        self.assert_way_is_free()

    # ---- invitations --------------------------------------------------------------------------------------------------

    def assert_uninvited(self, pouch, status, word, border=None, **headers):
        before = self.node.text("channel", "list", "--json")
        answer = (border or self.border).post(pouch, **headers)
        self.assert_reason(answer, status, word)
        self.assertEqual(self.node.text("channel", "list", "--json"), before)

    def invitation(self, changed=None, **more):
        """An invitation by us whose genesis has one member changed."""
        members = [self.party.member(), self.party.member_of(self.node.name)]
        for name, key, value in [changed] if changed else []:
            next(member for member in members if member["name"] == name)[key] = value
        own = self.party.member
        try:
            self.party.member = lambda: next(member for member in members if member["name"] == self.party.name)
            channel = self.party.open_channel([self.node.name], members=members, **more)
        finally:
            self.party.member = own
        del self.party.channels[channel.id]
        return channel

    def test_invite__with_keys_that_are_not_the_cards_is_refused(self):
        for name in (self.party.name, self.node.name):
            for key in ("root", "log", "receipt", "age", "tls"):
                value = formats.public_bytes(formats.new_key()).hex()
                if key == "age":
                    value = sealing.public_of(sealing.new_identity()).hex()
                with self.subTest(name=name, key=key):
                    channel = self.invitation((name, key, value))
                    self.assert_uninvited(channel.pouch(self.node.name), 422, "mismatch")

    def test_invite__with_one_key_in_two_places_is_refused(self):
        theirs = self.party.member_of(self.node.name)
        for key in ("root", "log", "receipt", "age", "tls"):
            with self.subTest(key):
                members = [dict(self.party.member(), **{key: theirs[key]}), theirs]
                genesis = formats.genesis_encode(members, bytes(32), bytes(16))
                pouch = self.pouch_of(genesis)
                self.assert_uninvited(pouch, 422, "malformed")

    def pouch_of(self, genesis, origin_id=None):
        """An invitation for any bytes as genesis."""
        channel = self.invitation()
        origin = f"{self.party.name}/entente/{origin_id or formats.sha256(genesis).hex()}"
        entry = formats.entry_encode(channel.draft("channel.genesis", None, index=0))
        text = formats.checkpoint_text(origin, 1, formats.leaf_hash(entry))
        return Pouch(origin, 0, 1, genesis=genesis, entries=[entry],
                     checkpoint=formats.note_sign(text, origin, self.party.log))  # fmt: skip

    def test_invite__that_is_not_the_digest_of_its_genesis_is_refused(self):
        channel = self.invitation()
        self.assert_uninvited(self.pouch_of(channel.genesis_bytes, "0" * 64), 422, "mismatch")

    def test_invite__with_a_genesis_that_is_not_canonical_is_refused(self):
        right = self.invitation().genesis_bytes
        for old, new in ((b'{"v":1', b'{"v": 1'), (b'"rules":1', b'"rules":2'), (b'"neutral":null', b'"neutral":{}'),
                         (b'"delta_s":300', b'"delta_s":0300'), (b'"predecessor":null}', b'"predecessor":null} ')):  # fmt: skip
            with self.subTest(new):
                self.assertIn(old, right)
                pouch = self.pouch_of(right.replace(old, new))
                self.assert_uninvited(pouch, 422, {"not-canonical", "malformed"})

    def test_invite__to_a_channel_without_the_node_is_refused(self):
        self.party.know(self.other.card)
        channel = self.party.open_channel([self.other.name])
        self.assert_uninvited(channel.pouch(self.other.name), 422, "not-for-us")

    def test_invite__by_an_unknown_peer_is_refused_whoever_carries_it(self):
        stranger = Party("unknown.example", self.folder)
        stranger.know(self.node.card)
        channel = stranger.open_channel([self.node.name])
        self.assert_uninvited(channel.pouch(self.node.name), 403, "unknown-peer")

    def test_invite__carried_by_another_than_its_opener_is_refused(self):
        channel = self.invitation()
        self.assert_uninvited(channel.pouch(self.node.name), 403, "forbidden", border=self.other.to[self.node.name])

    def test_invite__without_genesis_is_refused_as_an_unknown_channel(self):
        pouch = self.invitation().pouch(self.node.name)
        pouch.genesis = b""
        self.assert_uninvited(pouch, 403, "forbidden")

    def test_invite__without_entry_0_is_refused(self):
        channel = self.invitation()
        pouch = channel.pouch(self.node.name)
        pouch.old_size, pouch.entries, pouch.bodies = 1, [], {}
        before = self.node.text("channel", "list", "--json")
        answer = self.border.post(pouch)
        self.assertIn(answer.status, (409, 422), answer)
        self.assertEqual(self.node.text("channel", "list", "--json"), before)

    def test_invite__over_1_mib_is_refused(self):
        channel = self.invitation()
        trial = channel.copy()
        trial.logs[self.party.name] = type(trial.own)(trial.own.origin)
        trial.say("channel.genesis", {"fields": {"salt": "00" * 32, "terms": formats.b64(bytes(2 << 20))}})
        self.assert_uninvited(trial.pouch(self.node.name), 413, "too-large")

    def test_invite__with_terms_that_are_not_committed_to_cannot_be_accepted(self):
        channel = self.invitation()
        channel.logs[self.party.name] = type(channel.own)(channel.own.origin)
        channel.say("channel.genesis", {"fields": {"salt": "00" * 32, "terms": formats.b64(b"{}")}})
        self.assertEqual(self.border.post(channel.pouch(self.node.name)).status, 202)
        done = self.node.run("channel", "accept", channel.id, check=False)
        self.assertEqual(done.returncode, 1, done)
        self.assertEqual(self.node.channel(channel.id)["state"], "invited")
        self.assertEqual(self.node.held(channel.id)[self.node.name][0], 0)
        self.node.run("channel", "refuse", channel.id)
        answer = self.border.post(channel.pouch(self.node.name))
        self.assert_reason(answer, 403, "forbidden")

    # ---- attachments ----------------------------------------------------------------------------------------------------

    def test_blob__that_nothing_names_is_refused(self):
        for digest, status, word in (("0" * 64, 404, "not-found"), ("0" * 63, 422, "malformed"), ("", 422, "malformed"),
                                     ("G" * 64, 422, "malformed"), ("../../keys", 422, "malformed")):  # fmt: skip
            self.assert_reason(self.border.request("PUT", f"/blob/{digest}", b"x"), status, word)

    def test_blob__of_other_bytes_or_size_or_by_others_is_refused(self):
        sealed = sealing.seal(os.urandom(5000), self.channel.recipients())
        named = blob(sealed, "application/octet-stream")
        index = self.channel.say("incident.notification", INCIDENT | {"files": [{"name": "a"}]}, attachments=[named])
        self.deliver(self.channel, self.node)
        path = f"/blob/{named['digest']}"
        message = f"main/{self.party.name}/{index}"
        flipped = bytes([sealed[0] ^ 1]) + sealed[1:]
        self.assert_reason(self.border.request("PUT", path, flipped), 422, "mismatch")
        self.assert_reason(self.border.request("PUT", path, sealed + b"x"), 404, "not-found")
        self.assert_reason(self.border.request("PUT", path, sealed[:-1]), 404, "not-found")
        self.assert_reason(self.border.request("PUT", path, b""), 404, "not-found")
        self.assert_reason(self.other.to[self.node.name].request("PUT", path, sealed), 403, "forbidden")
        (row,) = self.node.json("show", message)["attachment_list"]
        self.assertEqual((row["state"], row["held_by"]), ("wanted", []))
        self.assertEqual(self.border.request("PUT", path, sealed).status, 201)
        wait_for(lambda: self.node.json("show", message)["attachment_list"][0]["held_by"] == [self.node.name])
        (row,) = self.node.json("show", message)["attachment_list"]
        self.assertEqual(row["state"], "held")

    def put_piece(self, border, path, content_range, body=b""):
        answer = border.request("PUT", path, body, {"Content-Range": content_range})
        return answer.status, answer.type, answer.body

    def test_blob__pieces_are_taken_only_where_the_last_one_ended(self):
        sealed = sealing.seal(os.urandom(5000), self.channel.recipients())
        size = len(sealed)
        named = blob(sealed, "application/octet-stream")
        index = self.channel.say("incident.notification", INCIDENT | {"files": [{"name": "a"}]}, attachments=[named])
        self.deliver(self.channel, self.node)
        path = f"/blob/{named['digest']}"
        message = f"main/{self.party.name}/{index}"
        offset = "text/x.entente.offset"
        for wrong in ("bytes 0-9", "bytes 0-9/*", "items 0-9/10", f"bytes 9-0/{size}", f"bytes 0-{size}/{size}",
                      f"bytes 00-9/{size}", f"bytes 0-8/{size}", f"bytes 0-10/{size}", "bytes */", ""):  # fmt: skip
            answer = self.border.request("PUT", path, sealed[:10], {"Content-Range": wrong})
            self.assert_reason(answer, 422, "malformed")
        self.assert_reason(self.border.request("PUT", path, b"x", {"Content-Range": f"bytes */{size}"}), 422,
                           "malformed")  # fmt: skip
        self.assert_reason(self.border.request("PUT", path, b"", {"Content-Range": f"bytes */{size + 1}"}), 404,
                           "not-found")  # fmt: skip
        self.assert_reason(self.border.request("PUT", path, b"", {"Content-Range": f"bytes */{1 << 50}"}), 413,
                           "too-large")  # fmt: skip
        self.assertEqual(self.put_piece(self.border, path, f"bytes */{size}"), (202, offset, b"0\n"))
        piece = f"bytes 10-19/{size}"
        self.assertEqual(self.put_piece(self.border, path, piece, sealed[10:20]), (409, offset, b"0\n"))
        self.assertEqual(self.put_piece(self.border, path, f"bytes 0-999/{size}", sealed[:1000]),
                         (202, offset, b"1000\n"))  # fmt: skip
        self.assertEqual(self.put_piece(self.border, path, piece, sealed[10:20]), (409, offset, b"1000\n"))
        self.assertEqual(self.node.json("show", message)["attachment_list"][0]["bytes_here"], 1000)
        wrong = bytes(size - 1000)
        answer = self.border.request("PUT", path, wrong, {"Content-Range": f"bytes 1000-{size - 1}/{size}"})
        self.assert_reason(answer, 422, "mismatch")
        self.assertEqual(self.put_piece(self.border, path, f"bytes */{size}"), (202, offset, b"0\n"))
        self.assertEqual(self.put_piece(self.border, path, f"bytes 0-1999/{size}", sealed[:2000]),
                         (202, offset, b"2000\n"))  # fmt: skip
        self.node.stop()
        self.node.start()
        wait_for(lambda: self.put_piece(self.border, path, f"bytes */{size}") == (202, offset, b"2000\n"))
        self.assertEqual(self.put_piece(self.border, path, f"bytes 2000-{size - 1}/{size}", sealed[2000:])[0], 201)
        self.assertEqual(self.put_piece(self.border, path, f"bytes */{size}")[0], 200)
        self.assertEqual(self.put_piece(self.border, path, piece, sealed[10:20])[0], 200)
        wait_for(lambda: self.node.json("show", message)["attachment_list"][0]["held_by"] == [self.node.name])

    # ---- HTTP that is none ------------------------------------------------------------------------------------------------

    def test_http__other_methods_and_paths_are_refused(self):
        for method, path in (("GET", "/"), ("GET", "/pouches"), ("PUT", "/pouch"), ("POST", "/blob/" + "0" * 64),
                             ("DELETE", "/pouch"), ("POST", "/pouch/"), ("POST", "/POUCH"), ("GET", "/api/v1/status"),
                             ("POST", "/pouch%00"), ("OPTIONS", "/pouch"), ("POST", "//pouch")):  # fmt: skip
            with self.subTest(f"{method} {path}"):
                answer = self.border.request(method, path, b"x" if method != "GET" else b"")
                self.assert_reason(answer, 404, "not-found")

    def test_http__garbage_does_no_harm(self):
        garbage = (b"\0" * 100, b"\r\n" * 1000, os.urandom(3000), b"POST /pouch\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                   b"POST " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n", b"A: b\r\n" * 5000,
                   b"POST /pouch HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 5000 + b"\r\n")  # fmt: skip
        for data in garbage:
            with self.border.socket() as connection:
                connection.settimeout(0.3)
                try:
                    connection.sendall(data)
                    connection.recv(4096)
                except OSError:
                    pass  # cut, or still waited for: both are fine
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", os.urandom(500), b""):
            with socket.create_connection(("127.0.0.1", self.node.port), timeout=0.3) as plain:
                try:
                    plain.sendall(data)
                    plain.recv(4096)
                except OSError:
                    pass
        self.assert_way_is_free()

    def test_connections__that_say_nothing_keep_nobody_out(self):
        with contextlib.ExitStack() as silent:
            for _ in range(100):
                plain = socket.create_connection(("127.0.0.1", self.node.port), timeout=5)
                silent.enter_context(plain)
            for _ in range(20):
                silent.enter_context(self.border.socket()).sendall(b"POST /pouch HTTP/1.1\r\nHost: no")
            start = time.monotonic()
            self.border.close()
            self.assert_way_is_free()
            self.assertLess(time.monotonic() - start, 5)

    def test_tls__older_than_1_3_is_refused(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(("127.0.0.1", self.node.port), timeout=5) as plain:
            self.assertRaises((ssl.SSLError, OSError), context.wrap_socket, plain)


class Contested(BorderTest):
    """Bodies that are what the entry says, but do not open or say nothing valid: receipted, and answered by one notice."""

    def notices(self):
        """What the node's notices are about."""
        self.fetch(self.channel, self.node)
        log = self.channel.logs[self.node.name]
        entries = [self.channel.entry(self.node.name, index) for index in range(len(log))]
        return [entry["reply_to"] for entry in entries if entry["kind"] == "channel.notice"]

    def test_contested__each_is_receipted_and_answered_by_one_notice(self):
        recipients = self.channel.recipients()
        ours = sealing.public_of(self.party.identity)
        plain = json.dumps(INCIDENT).encode()
        self.assertEqual(recipients.index(ours), 1)

        def other_ephemerals(file_key, _nonce, those):
            return [sealing.stanza(file_key, recipient, sealing.new_identity()) for recipient in those]

        def garbage_for_the_node(file_key, nonce, those):
            stanzas = sealing.agreed_stanzas(file_key, nonce, those)
            stanzas[0] = (stanzas[0][0], os.urandom(32))
            return stanzas

        def sealed(who=recipients, stanzas=None, content=plain):
            return sealing.seal(content, who, stanzas)

        right = sealed()
        cut = sealing.split(right)[1] + sealing.split(right)[2][:20]
        bad = {
            "no age file": os.urandom(100),
            "a cut payload": cut,
            "a flipped bit in the payload": right[:-1] + bytes([right[-1] ^ 1]),
            "a garbage stanza": sealed(stanzas=garbage_for_the_node),
            "sealed to others": sealed([ours]),
            "a recipient less": sealed([recipients[0]]),
            "a recipient more": sealed(recipients + [sealing.public_of(sealing.new_identity())]),
            "recipients in another order": sealed(recipients[::-1]),
            "random ephemerals": sealed(stanzas=other_ephemerals),
            "no JSON": sealed(content=b"hello"),
            "nothing": sealed(content=b""),
            "no fields": sealed(content=b"{}"),
            "a field of a wrong type": sealed(content=json.dumps({**INCIDENT, "fields": []}).encode()),
            "an invalid value": sealed(content=plain.replace(b'"high"', b'"urgent"')),
            "a field missing": sealed(content=plain.replace(b'"sector"', b'"sektor"')),
            "a key twice": sealed(content=b'{"fields":{},"fields":{}}'),
            "files without attachments": sealed(content=json.dumps({**INCIDENT, "files": [{"name": "a"}]}).encode()),
            "too deep": sealed(content=b'{"fields":{"a":' + b"[" * 100 + b"]" * 100 + b"}}"),
        }
        indexes = {}
        for name, content in bad.items():
            indexes[name] = self.channel.say("incident.notification", sealed=content)
            self.deliver(self.channel, self.node)  # receipted all the same
        # never a notice about a notice, whatever is wrong with it
        unanswered = [
            self.channel.say("channel.notice", sealed=content, reply_to=f"{self.party.name}/1")
            for content in (os.urandom(50), sealed(content=b"{}"), sealed(stanzas=other_ephemerals))
        ]
        good = self.channel.say("incident.notification", INCIDENT)
        last = self.channel.say("incident.notification", sealed=os.urandom(60))
        self.deliver(self.channel, self.node)
        wait_for(lambda: f"{self.party.name}/{last}" in self.notices())
        about = self.notices()
        for name, index in indexes.items():
            with self.subTest(name):
                self.assertEqual(about.count(f"{self.party.name}/{index}"), 1)
                shown = self.node.json("show", f"main/{self.party.name}/{index}")
                self.assertTrue(shown["contested"], shown)
                self.assertIn("CONTESTED", self.node.text("show", f"main/{self.party.name}/{index}"))
        for index in [good, *unanswered]:
            self.assertNotIn(f"{self.party.name}/{index}", about)
        self.assertIsNone(self.node.json("show", f"main/{self.party.name}/{good}")["contested"])
        self.assertEqual(len(about), len(indexes) + 1)
        self.check_a_notice()
        # not once more after a restart
        self.node.stop()
        self.node.start()
        self.channel.say("incident.notification", INCIDENT)
        self.deliver(self.channel, self.node)
        time.sleep(0.5)
        self.assertEqual(sorted(self.notices()), sorted(about))

    def check_a_notice(self):
        log = self.channel.logs[self.node.name]
        index = next(at for at in range(len(log)) if self.channel.entry(self.node.name, at)["kind"] == "channel.notice")
        body, agreed = self.channel.open(self.node.name, index)
        self.assertTrue(agreed)
        self.assertEqual(body["fields"]["about"], self.channel.entry(self.node.name, index)["reply_to"])
        self.assertTrue(body["fields"]["code"] and body["fields"]["reason"])


if __name__ == "__main__":
    unittest.main()
