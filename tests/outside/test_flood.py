"""Floods: what is refused leaves nothing behind, neither in the store nor, without bound, in the node's log; and a member that
floods with what is valid keeps no other waiting."""

import json
import os
import threading
import time
import unittest

from border import Border
from node import wait_for
from outside import CHECK, OutsideTest

TIMES = int(os.environ.get("ENTENTE_FLOOD", "200"))  # of each kind
CONNECTIONS = int(os.environ.get("ENTENTE_FLOOD_CONNECTIONS", "64"))
SECONDS = float(os.environ.get("ENTENTE_FLOOD_SECONDS", "2"))


class FloodTest(OutsideTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.new_node("aurora.example")
        cls.party = cls.new_party("vega.example", cls.node)
        cls.stranger = cls.new_party("nobody.example")
        cls.border = cls.party.to[cls.node.name]
        cls.channel = cls.open_with(cls.party, cls.node, "main")

    def stored(self):
        """Bytes below the node's folder, without its log."""
        return sum(
            os.lstat(os.path.join(folder, name)).st_size
            for folder, _, names in os.walk(self.node.dir)
            for name in names
            if os.path.join(folder, name) != self.node.log_path
        )

    def test_refused__of_every_kind_leaves_nothing(self):
        narrow = self.party.open_channel(
            [self.node.name], quotas={"entries_a_day": 2, "bytes_a_day": 0, "attachment_bytes": 0}
        )
        self.assertEqual(self.border.post(narrow.pouch(self.node.name)).status, 202)
        self.node.run("channel", "accept", narrow.id, "--alias", "narrow")
        self.deliver(narrow, self.node)
        for _ in range(3):
            narrow.say("contact.check", CHECK)
        trial = self.channel.copy()
        trial.say("contact.check", CHECK)
        right = trial.pouch(self.node.name)
        unsigned = trial.pouch(self.node.name)
        unsigned.checkpoint = unsigned.checkpoint[:-6] + b"AAAA=\n"
        stranger = Border(self.node.port, self.stranger)
        self.addCleanup(stranger.close)
        floods = {
            "another party's log": (403, lambda: self.border.post(right, origin="corvus.example/entente/" + self.channel.id)),
            "beyond what is held": (409, lambda: self.border.post(right, old_size="1000000", size="1000001")),
            "beyond the quota": (429, lambda: self.border.post(narrow.pouch(self.node.name))),
            "no tar": (422, lambda: self.border.post(b"\xff" * 2000, like=right)),
            "a signature that is none": (422, lambda: self.border.post(unsigned)),
            "an attachment that nobody named": (404, lambda: self.border.request("PUT", "/blob/" + "0" * 64, b"x")),
            "a stranger": (403, lambda: stranger.post(right)),
        }
        wait_for(lambda: self.node.status()["deliveries"])
        before, log_before = self.stored(), os.path.getsize(self.node.log_path)
        for name, (status, send) in floods.items():
            for _ in range(TIMES):
                answer = send()
                self.assertEqual(answer.status, status, f"{name}: {answer}")
        self.assertEqual(self.stored(), before)
        # 256 lines at most, and one a second: of 1,024 bytes at most
        self.assertLess(os.path.getsize(self.node.log_path) - log_before, 300 * 1024)
        self.assertEqual(self.border.post(right).status, 200)

    def flood(self, channel, party, stop, counts):
        """Small valid pouches, each over a connection of its own that lasts: one entry more, and the same again."""
        border = Border(self.node.port, party, self.border.pin)
        while not stop.is_set():
            with party.lock:
                channel.say("contact.check", CHECK)
                pouch = channel.pouch(self.node.name)
            try:
                answer = border.post(pouch)
            except OSError:
                continue
            counts[answer.status] = counts.get(answer.status, 0) + 1
            if answer.status == 200:
                with party.lock:
                    channel.take_receipt(answer.body, self.node.name, 0)
        border.close()

    def test_flood__of_a_member_keeps_no_other_waiting(self):
        hostile = self.new_party("cetus.example", self.node)
        flooded = self.open_with(hostile, self.node, "flooded")
        stop, counts = threading.Event(), {}
        threads = [threading.Thread(target=self.flood, args=(flooded, hostile, stop, counts)) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        waits = []
        try:
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline:
                self.channel.say("contact.check", CHECK)
                begun = time.monotonic()
                self.deliver(self.channel, self.node)
                waits.append(time.monotonic() - begun)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        waits.sort()
        print(f"flood of {CONNECTIONS} connections: answers {counts}; another's {len(waits)} messages receipted in "
              f"{waits[len(waits) // 2] * 1000:.0f} ms (median), {waits[-1] * 1000:.0f} ms at most")  # fmt: skip
        self.assertGreater(sum(counts.values()), 0)
        self.assertLess(waits[len(waits) // 2], 1)
        draft = json.dumps({"channel": "main", "kind": "contact.check", "body": CHECK}).encode()
        self.node.api("POST", "/messages", draft)


if __name__ == "__main__":
    unittest.main()
