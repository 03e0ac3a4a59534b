#!/usr/bin/env python3
"""Runs a node into every fault there is: each scenario once to count its points, then once for each of them.

usage: drive.py [--scenario NAME]... [--kind KIND]... [--every K] [--nth N] [--seconds S] [--seed N] [--rows FILE]

One JSON row for each scenario and kind goes to FILE (or stdout): cases tried, faults that were met, and what must never
be: losses, divergences, crashes, hangs, damages. Exit status 1 when there was any."""

import argparse
import json
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "outside"))

from fault import KINDS  # noqa: E402
from judge import Finding, Row, say  # noqa: E402
from pair import PAIR_SCENARIOS  # noqa: E402
from scenarios import SCENARIOS as SINGLE_SCENARIOS  # noqa: E402

SCENARIOS = {**SINGLE_SCENARIOS, **PAIR_SCENARIOS}

MOST_BEYOND = 8  # points that a case may pass more than the one that was counted


class Runner:
    """One scenario; its world lasts while nothing bad is found."""

    def __init__(self, name):
        self.name = name
        self.scenario = None

    def close(self):
        if self.scenario:
            self.scenario.close()
            self.scenario = None

    def ready(self):
        if self.scenario is None:
            self.scenario = SCENARIOS[self.name]()
        return self.scenario

    def count(self, kind):
        """The points that the scenario passes without a fault."""
        scenario = self.ready()
        scenario.prepare()
        scenario.faults.count(kind)
        scenario.act()
        points = scenario.faults.passed
        scenario.settle()
        scenario.complete()
        return points

    def case(self, kind, nth):
        """One fault; gives whether it was met. Raises Finding."""
        scenario = self.ready()
        scenario.prepare()
        scenario.faults.arm(kind, nth)
        scenario.act()
        met = scenario.faults.hits > 0
        scenario.where = scenario.faults.where
        scenario.settle()
        scenario.complete()
        scenario.judge_quickly()
        return met

    def run(self, kind, numbers, until, row, judged=True):
        """Cases for these points, while there is time; then the whole judgement, if it is due."""
        begun = time.monotonic()
        beyond = 0
        for nth in numbers:
            if time.monotonic() > until or beyond > MOST_BEYOND:
                break
            row.cases += 1
            try:
                met = self.case(kind, nth)
                row.met += met
                beyond = 0 if met else beyond + 1
            except Finding as finding:
                self.found(finding, kind, nth, row)
        try:
            if self.scenario and judged:
                self.scenario.judge()
        except Finding as finding:
            self.found(finding, kind, "last", row)
        row.seconds += time.monotonic() - begun

    def found(self, finding, kind, nth, row):
        where = getattr(self.scenario, "where", "")
        text = f"{self.name} {kind} {nth} ({where}): {finding}"
        row.bad[finding.what] += 1
        row.findings.append(text[:2000])
        row.met += 1
        say(f"FOUND {text}\n  again: tests/fault/drive.py --scenario {self.name} --kind {kind} --nth {nth}")
        self.close()


def run_part(name, kind, every=1, chosen=None, seconds=1e9, nth=None):
    """A row: each `every`th point of a scenario, from one that `chosen` gives."""
    row = Row(name, kind)
    runner = Runner(name)
    until = time.monotonic() + seconds
    try:
        row.points = runner.count(kind)
        if nth is not None:
            numbers = [nth]
        elif every == 1:
            numbers = range(1, row.points + 200)
        else:
            first = 1 + (chosen or random).randrange(every)
            numbers = range(min(first, max(row.points, 1)), row.points + 1, every)
        runner.run(kind, numbers, until, row)
    except Finding as finding:
        runner.found(finding, kind, "none", row)
    finally:
        runner.close()
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS))
    parser.add_argument("--kind", action="append", choices=list(KINDS))
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--nth", type=int)
    parser.add_argument("--seconds", type=float, default=1e9, help="for each part")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--rows")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    say(f"seed {seed}")
    chosen = random.Random(seed)
    bad = 0
    with open(options.rows, "a", encoding="utf-8") if options.rows else sys.stdout as out:
        for name in options.scenario or SCENARIOS:
            for kind in options.kind or KINDS:
                row = run_part(name, kind, options.every, chosen, options.seconds, options.nth)
                print(json.dumps(row.fields()), file=out, flush=True)
                bad += sum(row.bad.values())
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
