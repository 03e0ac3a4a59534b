#!/usr/bin/env python3
"""What script/torture runs: every fault there is, every system call, hostile peers, hosts, disks, then random programs
until the time is over. What is done is remembered, so that it can be stopped and goes on where it was.

usage: torture.py [HOURS] [--state FOLDER] [--part NAME]... [--restart] [--table]

HOURS is 1 unless given. --part runs these parts alone, also when they are done. --table prints the table of all that
was run and writes it into docs/reliability.md."""

import argparse
import contextlib
import datetime
import json
import os
import random
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(HERE, "..", "outside"))

from drive import SCENARIOS  # noqa: E402
from fault import KINDS  # noqa: E402
from judge import BAD  # noqa: E402
from node import BUILD  # noqa: E402

SLICE_S = 600  # of what has no end
LEAST_S = 15  # for each scenario and kind of fault; more when there are more hours
PART_S = 1800  # the most that a part may take
UNFINISHED = 5  # the status of a part that had to leave cases out
BEGIN, END = "<!-- the table begins: script/torture --table -->", "<!-- the table ends -->"


def python(name, *arguments):
    return [sys.executable, os.path.join(HERE, name), *arguments]


def outside(name, *tests):
    return [sys.executable, "-W", "ignore", os.path.join(HERE, "..", "outside", name), *tests]


def meson_test(name, *more):
    return [os.path.join(BUILD, "tests", *name), *more]


def parts(seconds):
    """`seconds` for each scenario and kind of fault: (name, command, environment, the row's scenario and kind when the command writes none itself)."""
    for scenario in SCENARIOS:
        for kind in KINDS:
            yield f"faults {scenario} {kind}", python("drive.py", "--scenario", scenario, "--kind", kind, "--seconds", str(seconds)), {}, None
    yield "syscalls", python("syscalls.py", "--seconds", str(PART_S - 60)), {}, None
    yield "attacks", outside("test_attacks.py"), {"ENTENTE_ATTACKS_FULL": "1"}, ("a hostile peer", "patience")
    yield "refusals", outside("test_refusals.py"), {}, ("a hostile peer", "wrong pouches and requests")
    yield "courier", outside("test_courier.py"), {}, ("a hostile peer", "wrong answers")
    yield "crash", meson_test(("node", "test_node_crash")), {"ENTENTE_CRASH_ROUNDS": "400"}, ("two nodes", "killed at random")
    yield "store", meson_test(("store", "test_store_crash")), {}, ("the store", "killed, power cut")
    yield "disk", python("disk.py"), {}, None
    yield "absence", python("absence.py"), {}, None
    if os.geteuid() == 0:
        yield "hosts", python("hosts.py", "--seconds", str(10 * seconds)), {}, None
    attachment = os.path.join(ROOT, "tests", "torture", "attachment.py")
    yield "attachment", [sys.executable, attachment, "--bytes", str(2 << 30)], {}, None


def endless():
    """Parts without an end, in turn."""
    while True:
        seed = str(random.randrange(1 << 32))
        yield "programs", python("program.py", "--seed", seed, "--seconds", str(SLICE_S)), {}, None
        if os.geteuid() == 0:
            seed = str(random.randrange(1 << 32))
            yield "hosts", python("hosts.py", "--seed", seed, "--seconds", str(SLICE_S)), {}, None
        yield "crash", meson_test(("node", "test_node_crash")), {"ENTENTE_CRASH_ROUNDS": "400"}, ("two nodes", "killed at random")


class State:
    """What was done and found, in a folder."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.rows_path = os.path.join(folder, "rows.jsonl")
        self.done_path = os.path.join(folder, "done")
        self.log_path = os.path.join(folder, "torture.log")

    def done(self):
        with contextlib.suppress(FileNotFoundError), open(self.done_path, encoding="utf-8") as file:
            return set(file.read().splitlines())
        return set()

    def remember(self, name):
        with open(self.done_path, "a", encoding="utf-8") as file:
            file.write(name + "\n")

    def restart(self):
        for path in (self.rows_path, self.done_path, self.log_path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def rows(self):
        with contextlib.suppress(FileNotFoundError), open(self.rows_path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]
        return []

    def add(self, row):
        with open(self.rows_path, "a", encoding="utf-8") as file:
            print(json.dumps(row), file=file)


def run_part(state, name, command, environment, shown, seconds):
    """Run one part to its end or for so long; a row is added by it, or here. True when nothing bad was found, None when
    its time was over before its last case."""
    begun = time.monotonic()
    if shown is None:
        command = [*command, "--rows", state.rows_path]
    with open(state.log_path, "ab") as log:
        log.write(f"\n==== {name}: {' '.join(command)}\n".encode())
        log.flush()
        at = log.tell()
        try:
            code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False,
                                  timeout=seconds, env={**os.environ, **environment}).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            return None
    if code == UNFINISHED:
        return None
    took = time.monotonic() - begun
    if shown is not None:
        with open(state.log_path, encoding="utf-8", errors="replace") as file:
            file.seek(at)
            text = file.read()
        state.add({"part": name, "scenario": shown[0], "kind": shown[1], "points": 0, "cases": cases_in(text), "met": 0,
                   **{word: 0 for word in BAD}, "losses": int(code != 0), "seconds": round(took, 1),
                   "findings": [] if code == 0 else [f"{name}: status {code}, see {state.log_path}"]})  # fmt: skip
    return code == 0


def cases_in(text):
    """How many cases a test program says that it ran."""
    for pattern in (r"^(\d+) rounds", r"^Ran (\d+) tests?", r"(\d+) test\(s\) run"):
        found = re.findall(pattern, text, re.MULTILINE)
        if found:
            return int(found[-1])
    return 1


def torture(state, hours, chosen):
    until = time.monotonic() + hours * 3600
    bad = 0
    done = set() if chosen else state.done()
    seconds = max(LEAST_S, int(hours * 1800 / len(SCENARIOS) / len(KINDS)))
    todo = [part for part in parts(seconds) if part[0] not in done and (not chosen or any(part[0].startswith(word) for word in chosen))]
    print(f"{len(todo)} parts to do, {len(done)} done before; the log is {state.log_path}", flush=True)
    sequence = iter(todo)
    forever = iter(()) if chosen else endless()
    while time.monotonic() < until:
        part = next(sequence, None)
        last = part is None
        part = part or next(forever, None)
        if part is None:
            break
        name, command, environment, shown = part
        begun = time.monotonic()
        good = run_part(state, name, command, environment, shown, min(PART_S, max(60, until - begun)))
        word = {True: "ok", False: "FOUND SOMETHING", None: "no end in time"}[good]
        print(f"{datetime.datetime.now():%H:%M:%S}  {name}: {word} ({time.monotonic() - begun:.0f} s)", flush=True)
        bad += good is False
        if not last and good is not None:
            state.remember(name)
    for row in state.rows():
        for finding in row["findings"]:
            print(f"FOUND {finding}")
    print(table(state.rows()))
    return 1 if bad else 0


# ---- the table ------------------------------------------------------------------------------------------------------


def table(rows):
    """A line for each scenario and family of faults, and the sum; then what was measured, the newest of each."""
    sums = {}
    for row in rows:
        key = (row["part"].split(" ")[0], row["scenario"], row["kind"])
        total = sums.setdefault(key, dict.fromkeys(("cases", "met", "seconds", *BAD), 0))
        for word in total:
            total[word] += row[word]
    lines = ["| what the node did | what was done to it | cases | losses | divergences | crashes | hangs | damage found by audit |",
             "|---|---|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    whole = dict.fromkeys(("cases", *BAD), 0)
    for (_, scenario, kind), total in sorted(sums.items()):
        lines.append(f"| {scenario} | {kind} | {total['cases']} | " + " | ".join(str(total[word]) for word in BAD) + " |")
        for word in whole:
            whole[word] += total[word]
    lines.append("| **all** | | **{}** | ".format(whole["cases"]) + " | ".join(f"**{whole[word]}**" for word in BAD) + " |")
    measured = {row["scenario"]: row["measured"] for row in rows if row.get("measured")}
    lines += ["", *(f"{name}: {text}." for name, text in sorted(measured.items()))] if measured else []
    return "\n".join(lines)


def write_table(state):
    path = os.path.join(ROOT, "docs", "reliability.md")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    hours = sum(row["seconds"] for row in state.rows()) / 3600
    commit = subprocess.run(["git", "-C", ROOT, "log", "-1", "--format=%h"], capture_output=True, check=False).stdout.decode().strip()
    note = f"Made at commit {commit}, from {hours:.1f} hours of runs on {os.cpu_count()} cores."
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{note}\n\n{table(state.rows())}\n{END}{after}")
    print(note + "\n\n" + table(state.rows()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hours", nargs="?", type=float, default=1)
    parser.add_argument("--state", default=os.path.join(BUILD, "torture"))
    parser.add_argument("--part", action="append", default=[])
    parser.add_argument("--restart", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    state = State(options.state)
    if options.restart:
        state.restart()
    if options.table:
        write_table(state)
        return 0
    return torture(state, options.hours, options.part)


if __name__ == "__main__":
    sys.exit(main())
