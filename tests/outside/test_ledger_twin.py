"""The ledger twice: what src/ledger computes and what tests/outside/ledger.py computes from docs/ledger.md alone, byte for
byte, over random evidence."""

import difflib
import os
import subprocess
import unittest

from ledger import Ledger
from node import BUILD
from scenario import Scenario

DUMP = os.path.join(BUILD, "tests", "ledger", "ledger_dump")
SEEDS = int(os.environ.get("ENTENTE_TWIN_SEEDS", "200"))
FIRST = int(os.environ.get("ENTENTE_TWIN_FIRST", "1"))


class Dump:
    """src/ledger as a filter."""

    def __init__(self):
        self.process = subprocess.Popen([DUMP], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, scenario, feed, moments):
        """[(evidence lines, state lines)] for each moment."""
        self.process.stdin.write(scenario.case(feed, moments))
        self.process.stdin.flush()
        return [(self.read("evidence"), self.read("state")) for _ in moments]

    def read(self, what):
        word, size = self.process.stdout.readline().decode().split()
        assert word == what
        return self.process.stdout.read(int(size))

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Twin(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dump = Dump()
        cls.addClassCleanup(cls.dump.close)

    def assert_same(self, ours, theirs, where):
        if ours != theirs:
            lines = difflib.unified_diff(theirs.decode().splitlines(), ours.decode().splitlines(), "src", "twin", lineterm="")
            self.fail(f"{where}\n" + "\n".join(lines))

    def test_random_evidence__gives_the_same_lines(self):
        for seed in range(FIRST, FIRST + SEEDS):
            scenario = Scenario(seed)
            moments = scenario.moments()
            theirs = self.dump.ask(scenario, scenario.feed, moments)
            for moment, (evidence, state) in zip(moments, theirs):
                ledger = Ledger(scenario.evidence(), moment)
                where = f"seed {seed}, moment {moment}"
                self.assert_same(ledger.lines("evidence"), evidence, where)
                self.assert_same(ledger.lines("state"), state, where)


if __name__ == "__main__":
    unittest.main()
