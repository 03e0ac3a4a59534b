"""The short form of hosts.py: two hosts whose link loses, delays, reorders, doubles and damages packets. Needs root.

ENTENTE_FAULT_SEED chooses which."""

import os
import random
import struct
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "outside"))

from hosts import Tunnelled  # noqa: E402
from link import TCP, altered, checksum  # noqa: E402
from program import NAMES  # noqa: E402

SEED = int(os.environ.get("ENTENTE_FAULT_SEED", random.randrange(1 << 32)))
ROUGH_S = 2
DONE = ("lost", "overtook", "doubled", "flipped", "altered", "cut off")


class Two(Tunnelled):
    names = NAMES[:2]


class Short(unittest.TestCase):
    def test_links__that_are_rough_lose_nothing(self):
        print(f"seed {SEED}", flush=True)
        program = Two(SEED, 0)
        self.addCleanup(program.close)
        one, other = program.nodes
        one.set("everything")
        program.step_attach(other)
        until = time.monotonic() + ROUGH_S
        while time.monotonic() < until:
            for node in program.nodes:
                program.step_say(node)
            time.sleep(0.05)
        other.set("deaf")
        program.step_say(one)
        program.wait(lambda: program.switch.done["cut off"], "the deaf host to be spoken to")
        program.settle()
        program.judge()
        print(f"{program.messages} messages; {dict(program.switch.done)}")
        self.assertEqual([word for word in DONE if not program.switch.done[word]], [])


class Altered(unittest.TestCase):
    def test_packet__that_is_altered_has_a_right_checksum(self):
        payload = bytes(range(101))
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 1, 0, 64, TCP, 0, b"\x0a\1\2\3", b"\x0a\1\2\4")
        packet = head + struct.pack("!HHLLBBHHH", 7400, 7401, 1, 2, 0x50, 0x18, 9, 0, 0) + payload
        chosen = random.Random(SEED)
        changed = altered(packet, chosen)
        self.assertEqual(sum(one != other for one, other in zip(changed[40:], payload)), 1)
        pseudo = changed[12:20] + struct.pack("!BBH", 0, TCP, len(changed) - 20)
        self.assertEqual(checksum(pseudo + changed[20:]), 0)
        self.assertIsNone(altered(packet[:40], chosen), "a packet without a payload")


if __name__ == "__main__":
    unittest.main()
