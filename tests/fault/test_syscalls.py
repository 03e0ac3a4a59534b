"""The short form of syscalls.py: some cases, chosen by a printed seed; all of them are for script/torture."""

import os
import random
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "outside"))

from syscalls import KINDS, all_cases, run_cases  # noqa: E402

CASES = 8  # of each kind
MOST_S = 60
SEED = int(os.environ.get("ENTENTE_FAULT_SEED", random.randrange(1 << 32)))


class Short(unittest.TestCase):
    def test_syscalls__failing_or_killed_lose_nothing(self):
        print(f"seed {SEED}", flush=True)
        chosen = random.Random(SEED)
        cases = all_cases()
        self.assertGreater(len(cases), 200)
        some = [case for kind in KINDS for case in chosen.sample([row for row in cases if row[1] == kind], CASES)]
        rows = run_cases(some, time.monotonic() + MOST_S)
        self.assertEqual([finding for row in rows for finding in row.findings], [])
        self.assertGreater(sum(row.cases for row in rows), CASES)


if __name__ == "__main__":
    unittest.main()
