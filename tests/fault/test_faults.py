"""The short form of drive.py: some points of each scenario, chosen by a printed seed; the whole is for script/torture.

ENTENTE_FAULT_SEED chooses which."""

import os
import random
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "outside"))

from drive import SCENARIOS, Runner  # noqa: E402
from fault import KINDS, Faults  # noqa: E402
from judge import Finding, Row, World  # noqa: E402
from node import PATIENCE_S  # noqa: E402
from pair import PAIR_SCENARIOS  # noqa: E402

CASES = {"kill": 3, "torn": 1, "eio": 1, "enospc": 1, "read-eio": 1, "nomem": 1}
PAIR_CASES = {"kill": 2, "eio": 1}
SEED = int(os.environ.get("ENTENTE_FAULT_SEED", random.randrange(1 << 32)))


class Short(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"seed {SEED}", flush=True)

    def run_scenario(self, name):
        chosen = random.Random(f"{SEED} {name}")
        runner = Runner(name)
        self.addCleanup(runner.close)
        met = 0
        counted = {}  # points of each class
        plan = CASES if name not in PAIR_SCENARIOS else PAIR_CASES
        for kind, cases in plan.items():
            row = Row(name, kind)
            if KINDS[kind][0] not in counted:
                counted[KINDS[kind][0]] = runner.count(kind)
            points = counted[KINDS[kind][0]]
            self.assertGreater(points, 0, kind)
            numbers = sorted(chosen.sample(range(1, points + 1), min(cases, points)))
            runner.run(kind, numbers, time.monotonic() + 60, row, judged=False)
            self.assertEqual(row.findings, [])
            met += row.met
        runner.ready().judge()
        self.assertGreater(met, sum(plan.values()) // 4, "hardly any fault was met")


def scenario_test(name):
    return lambda self: self.run_scenario(name)


for scenario in SCENARIOS:
    setattr(Short, f"test_fault__in_{scenario.replace('-', '_')}_loses_nothing", scenario_test(scenario))


class Judge(unittest.TestCase):
    """What judges must find what it looks for."""

    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.world.say(self.world.channel)
        self.world.judge()

    def assert_finds(self, what):
        with self.assertRaises(Finding) as found:
            self.world.judge()
        self.assertEqual(found.exception.what, what)

    def test_judge__finds_what_is_lost(self):
        self.world.named[self.world.channel.id, 99] = "lost"
        self.assert_finds("losses")

    def test_judge__finds_what_was_said_otherwise(self):
        self.world.named[self.world.channel.id, 1] = "another"
        self.assert_finds("divergences")

    def test_judge__finds_two_heads_of_one_size(self):
        self.world.heads[self.world.channel.logs[self.world.node.name].origin, 2].add(b"another")
        self.assert_finds("divergences")

    def test_judge__finds_another_receipt(self):
        pouch, _ = self.world.carried[self.world.channel.id][0]
        self.world.carried[self.world.channel.id][0] = (pouch, b"another")
        self.assert_finds("divergences")

    def test_judge__finds_a_crash(self):
        self.world.node.process.kill()
        with self.assertRaises(Finding) as found:
            self.world.died(10)
        self.assertEqual(found.exception.what, "crashes")


class Ends(unittest.TestCase):
    def test_body__whose_file_fails_ends_the_process(self):
        """It may be that a name is not durable: the node must not stay and refuse everything."""
        world = World()
        self.addCleanup(world.close)
        world.node.faults.count("eio")
        world.party_says(world.channel, large=True)
        world.deliver(world.channel)
        calls = [point.split(".")[0] for point in world.node.faults.points]
        for call in ("create store/bodies/tmp-XXXXXX", "fsync store/bodies/tmp-"):
            (at, *_) = [at for at, point in enumerate(calls) if point.startswith(call)]
            world.node.faults.arm("eio", at + 1)
            world.party_says(world.channel, large=True)
            pouch = world.channel.pouch(world.node.name)
            try:
                self.assertEqual(world.border.post(pouch).status, 500)
            except (OSError, ValueError):
                pass  # it ended at once
            self.assertTrue(world.died(PATIENCE_S), "it is still there")
            world.up()
            world.deliver(world.channel)
        world.judge()


class Shim(unittest.TestCase):
    def test_page__is_laid_out_as_in_the_library(self):
        world = World()
        self.addCleanup(world.close)
        faults = world.node.faults
        self.assertIsInstance(faults, Faults)
        faults.count("kill")
        world.say(world.channel)
        points = faults.points
        self.assertIn("fdatasync marks/marks", points)
        self.assertIn("fdatasync store/store.db-wal", points)
        faults.arm("kill", points.index("fdatasync marks/marks") + 1)
        with self.assertRaises((OSError, ValueError)):
            world.say(world.channel)
        self.assertTrue(world.died(10))
        self.assertEqual((faults.hits, faults.where), (1, "fdatasync marks/marks"))
        world.up()
        world.judge()


if __name__ == "__main__":
    unittest.main()
