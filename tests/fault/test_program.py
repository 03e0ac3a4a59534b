"""The short form of program.py: one program of three parties, of a printed seed."""

import os
import random
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "outside"))

from judge import Finding, Row  # noqa: E402
from program import Program, run_program  # noqa: E402

SEED = int(os.environ.get("ENTENTE_FAULT_SEED", random.randrange(1 << 32)))


class WithoutRestore(Program):
    """A ledger may differ for a while after a restore ("What is open" in docs/reliability.md)."""

    STEPS = {**Program.STEPS, "restore": 0}


class Short(unittest.TestCase):
    def test_program__in_the_end_all_hold_the_same_evidence(self):
        print(f"seed {SEED}", flush=True)
        row = Row("three parties", "program")
        run_program(SEED, 40, row, WithoutRestore)
        self.assertEqual(row.findings, [])

    def test_judge__finds_what_is_lost_or_another(self):
        program = Program(1, 0)
        self.addCleanup(program.close)
        node = program.nodes[0]
        program.step_say(node)
        program.settle()
        program.judge()
        ((index, nonce),) = node.told.items()
        node.told[index] = "another"
        with self.assertRaises(Finding) as found:
            program.judge()
        self.assertEqual(found.exception.what, "divergences")
        node.told = {index: nonce, 99: "lost"}
        self.assertRaises((Finding, AssertionError), program.judge)


if __name__ == "__main__":
    unittest.main()
