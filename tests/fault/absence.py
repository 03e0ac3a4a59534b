#!/usr/bin/env python3
"""A member that is away for long, of three: the others go on without it, restart, and are away by turns; then it comes back, by a
clock that is a day off, and gets everything once.

usage: absence.py [--messages N] [--rows FILE]"""

import argparse
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "outside"))

from judge import Finding, Row, say  # noqa: E402
from program import DAY_S, Program  # noqa: E402


def absence(program, messages):
    away, *others = program.nodes
    program.step_stop(away)
    for at in range(messages):
        program.step_say(others[at % 2])
        if at % 500 == 250:
            program.step_stop(others[0])
            program.step_start(others[0])
        if at % 500 == 400:
            program.kill(others[1])
            program.step_start(others[1])
    program.step_stop(others[0])  # one of them is not there when it comes back
    away.faults.skew(DAY_S)
    program.step_start(away)
    program.step_say(away)
    program.settle()
    program.judge()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--rows")
    options = parser.parse_args()
    row = Row("three parties", "one away for long")
    begun = time.monotonic()
    program = Program(1, 0)
    try:
        row.cases = row.met = options.messages
        absence(program, options.messages)
    except Finding as finding:
        row.bad[finding.what] += 1
        row.findings.append(str(finding)[:3000])
        say(f"FOUND {finding}")
    finally:
        program.close()
    row.seconds = time.monotonic() - begun
    with open(options.rows, "a", encoding="utf-8") if options.rows else sys.stdout as out:
        print(json.dumps({**row.fields(), "part": "absence"}), file=out, flush=True)
    return 1 if row.findings else 0


if __name__ == "__main__":
    sys.exit(main())
