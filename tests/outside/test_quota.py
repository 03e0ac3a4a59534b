"""Quotas, as a peer and an officer meet them: what is beyond them is refused by its headers where that is possible, and in
any case before anything is stored; the sender keeps it and comes back."""

import datetime
import json
import os
import unittest

import sealing
from node import wait_for
from outside import CHECK, INCIDENT, OutsideTest
from peer import blob

ENTRIES = 5
BYTES = 40_000
ATTACHMENTS = 20_000
DAY_S = 86400


class QuotaTest(OutsideTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        now = datetime.datetime.now(datetime.timezone.utc)
        left = DAY_S - (now.hour * 3600 + now.minute * 60 + now.second)
        if left < 60:
            raise unittest.SkipTest("a day ends within the minute: its quotas would be two days'")
        cls.node = cls.new_node("aurora.example")
        cls.party = cls.new_party("vega.example", cls.node)
        cls.border = cls.party.to[cls.node.name]

    def open_within(self, alias, **quotas):
        every = {"entries_a_day": 0, "bytes_a_day": 0, "attachment_bytes": 0} | quotas
        channel = self.party.open_channel([self.node.name], quotas=every)
        self.assertEqual(self.border.post(channel.pouch(self.node.name)).status, 202)
        self.node.run("channel", "accept", channel.id, "--alias", alias)
        self.deliver(channel, self.node)
        self.fetch(channel, self.node)
        return channel

    def assert_later(self, answer, daily=True):
        self.assertEqual((answer.status, answer.word), (429, "quota"), answer)
        self.assertIn("quota", json.loads(answer.body)["error"]["text"])
        if daily:
            self.assertTrue(0 < int(answer.headers["retry-after"]) <= DAY_S, answer)

    def used(self, alias, name=None):
        return self.node.member(alias, name or self.party.name)["used"]

    def test_entries__beyond_it_are_refused_by_the_headers_and_kept_for_later(self):
        channel = self.open_within("count", entries_a_day=ENTRIES)
        for _ in range(ENTRIES):  # entry 0 was one: the last is too many
            channel.say("contact.check", CHECK)
        before = self.node.held("count")
        pouch = channel.pouch(self.node.name)
        self.assert_later(self.border.post(pouch))
        # "decide … before any body is read": nothing but the headers is sent here
        with self.border.socket() as connection:
            connection.sendall(
                f"POST /pouch HTTP/1.1\r\nHost: x\r\nEntente-Origin: {pouch.origin}\r\nExpect: 100-continue\r\n"
                f"Entente-Old-Size: {pouch.old_size}\r\nEntente-Size: {pouch.size}\r\nContent-Length: 9999\r\n\r\n".encode()
            )
            self.assertIn(b" 429 ", connection.recv(4096).split(b"\r\n")[0])
        self.assertEqual(self.node.held("count"), before)
        self.assertEqual(self.used("count")["entries_left"], ENTRIES - 1)
        # what fits is taken, under the head that covers just that
        fits = channel.copy()
        for _ in range(ENTRIES - 1):
            fits.say("contact.check", CHECK)
        smaller = self.rewound(channel, 1)
        self.assertEqual(self.border.post(smaller).status, 200)
        self.assertEqual(self.used("count")["entries_left"], 0)
        self.assertEqual(self.used("count")["entries_today"], ENTRIES)
        self.assert_later(self.border.post(channel.pouch(self.node.name)))
        # a pouch without entries, and the same again, are no more of anything
        self.assertEqual(self.border.post(smaller).status, 200)
        # nor does anybody else pay for it
        wait_for(lambda: self.node.run("send", "contact.check", "--channel", "count", "--body", "-",
                                       stdin=json.dumps(CHECK).encode()).returncode == 0)  # fmt: skip

    def rewound(self, channel, by):
        """The pouch up to a head that was signed `by` entries ago."""
        from formats import checkpoint_text, note_sign

        pouch = channel.pouch(self.node.name)
        size = pouch.size - by
        pouch.checkpoint = note_sign(
            checkpoint_text(channel.own.origin, size, channel.own.tree.roots[size]), channel.own.origin, self.party.log
        )
        pouch.bodies = {index: sealed for index, sealed in pouch.bodies.items() if index < size}
        pouch.entries = pouch.entries[: size - pouch.old_size]
        pouch.size = size
        return pouch

    def test_bytes__are_counted_exactly(self):
        channel = self.open_within("bytes", bytes_a_day=BYTES)
        left = self.used("bytes")["bytes_left"]
        sealed = sealing.seal(json.dumps(CHECK).encode(), channel.recipients())
        empty = channel.copy()
        empty.say("contact.check", sealed=sealed)
        one = len(empty.own.entries[-1]) + len(sealed)
        while left >= one:
            channel.say("contact.check", sealed=sealed)
            added = len(channel.own.entries[-1]) + len(sealed)
            if added > left:
                break
            self.deliver(channel, self.node)
            left -= added
            self.assertEqual(self.used("bytes")["bytes_left"], left)
        else:
            channel.say("contact.check", sealed=sealed)
        before = self.node.held("bytes")
        self.assert_later(self.border.post(channel.pouch(self.node.name)))
        self.assertEqual(self.node.held("bytes"), before)

    def test_attachments__beyond_it_are_not_taken(self):
        channel = self.open_within("files", attachment_bytes=ATTACHMENTS)
        sealed = [sealing.seal(os.urandom(size), channel.recipients()) for size in (9000, 9000, 9000)]
        named = [blob(each, "application/octet-stream") for each in sealed]
        files = {"files": [{"name": name} for name in "abc"]}
        channel.say("incident.notification", INCIDENT | files, attachments=named)
        self.deliver(channel, self.node)
        for each, status in zip(sealed, (201, 201, 429)):
            answer = self.border.request("PUT", f"/blob/{blob(each, 'x/y')['digest']}", each)
            self.assertEqual(answer.status, status, answer)
        self.assert_later(answer, daily=False)
        self.assertEqual(self.border.request("PUT", f"/blob/{named[0]['digest']}", sealed[0]).status, 200)  # is held
        wait_for(lambda: self.used("files")["attachment_bytes"] == len(sealed[0]) + len(sealed[1]))

    def test_send__beyond_our_own_is_refused_and_says_until_when(self):
        other = self.new_node("boreal.example")
        self.node.add_peer(os.path.join(other.dir, "card"))
        other.add_peer(os.path.join(self.node.dir, "card"))
        terms = os.path.join(self.folder, "terms.json")
        with open(terms, "w", encoding="utf-8") as file:
            file.write('{"title":"Terms"}')
        wrong = self.node.run("channel", "open", "--with", other.name, "--terms", terms, "--quota-bytes", "1X", check=False)
        self.assertEqual(wrong.returncode, 2)
        opened = self.node.text("channel", "open", "--with", other.name, "--terms", terms, "--alias", "within",
                                "--quota-entries", "3", "--quota-bytes", "1M", "--quota-attachments", "2K")  # fmt: skip
        wait_for(lambda: opened[:12] in other.text("channel", "list", "--json"))
        other.run("channel", "accept", opened[:12])
        wait_for(lambda: self.node.channel("within")["state"] == "open")
        self.assertEqual(other.channel(opened[:12])["quotas"],
                         {"entries_a_day": 3, "bytes_a_day": 1_000_000, "attachment_bytes": 2000})  # fmt: skip
        check = json.dumps(CHECK).encode()
        send = ("send", "contact.check", "--channel", "within", "--body", "-")
        large = os.path.join(self.folder, "large")
        with open(large, "wb") as file:
            file.write(os.urandom(4096))
        refused = self.node.run(*send, "--attach", large, stdin=check, check=False)
        self.assertEqual(refused.returncode, 1, refused.stderr)
        self.assertIn(b"quota for attachments of aurora.example", refused.stderr)
        for _ in range(2):
            self.node.run(*send, "--wait", "receipt", stdin=check)
        refused = self.node.run(*send, stdin=check, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertRegex(refused.stderr, rb"0 of 3 entries .* until \d{4}-\d\d-\d\dT00:00:00Z")
        shown = self.node.text("channel", "show", "within")
        self.assertRegex(shown, r"today 3 of 3 messages, \d\.\d kB of 1\.0 MB; attachments 0 bytes of 2\.0 kB\n")


if __name__ == "__main__":
    unittest.main()
