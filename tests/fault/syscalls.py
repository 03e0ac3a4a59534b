#!/usr/bin/env python3
"""Has strace fail, or kill a node at, the Nth call of each system call that it makes from its start to its stop.

usage: syscalls.py [--syscall NAME]... [--kind EIO|ENOSPC|KILL]... [--when N] [--seconds S] [--seed N] [--rows FILE]

strace counts the Nth call in each thread. What fails here once and is not on the disk (polls, sockets, memory, threads) may cost a
connection, a request or the process, but nothing that was promised; drive.py does the disk, point by point."""

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "outside"))

from judge import Finding, Row, World, need, say  # noqa: E402
from node import PATIENCE_S  # noqa: E402
from scenarios import FAULTY  # noqa: E402

# These cannot fail as they are called (their manual pages), or the C library stops the process by design when they do:
# a failure would test the injection. They are killed at all the same.
CANNOT_FAIL = {
    "arch_prctl", "brk", "exit", "exit_group", "futex", "getegid", "geteuid", "getgid", "getpid", "gettid", "getuid",
    "rseq", "rt_sigaction", "rt_sigprocmask", "sched_yield", "set_robust_list", "set_tid_address", "umask", "execve",
    "restart_syscall", "rt_sigreturn", "munmap", "membarrier",
}  # fmt: skip
KINDS = ("EIO", "ENOSPC", "KILL")
SAFE_EXITS = {0, 1, 4, 127, -9, 137}  # 1: refused to start, with the reason; 127: the dynamic loader did


class Life:
    """A node that is started under strace, says something, takes something in and is stopped; then once more without."""

    def __init__(self):
        self.world = World()
        self.world.node.stop()
        self.world.strangled = True
        self.randomness = False  # is what fails: libsodium and GnuTLS stop the process by design
        self.trace = os.path.join(self.world.folder, "trace")

    def close(self):
        self.world.close()

    def count(self):
        """How often each system call is made: {name: calls}."""
        self.live(["-c"])
        self.again()
        calls = {}
        with open(self.trace, encoding="ascii") as file:
            for line in file:
                words = line.split()
                if len(words) >= 5 and words[0][0].isdigit() and words[-1] != "total":
                    calls[words[-1]] = int(words[3])
        need(calls, "hangs", "strace counted nothing: is it allowed here?")
        return calls

    def live(self, options):
        world = self.world
        self.logged = len(world.node.log())
        world.node.wrapper = ["strace", "-D", "-f", "-qq", "-o", self.trace, *options]
        try:
            with contextlib.suppress(AssertionError):
                world.node.start()
        finally:
            world.node.wrapper = []
        if world.node.process.poll() is None:
            world.connect()
            with contextlib.suppress(*FAULTY):
                world.say(world.channel, timeout_s=2)
            world.party_says(world.channel)
            with contextlib.suppress(*FAULTY), world.party.lock:
                pouch = world.channel.pouch(world.node.name)
                answer = world.border.post(pouch)
                if answer.status == 200:
                    world.took(world.channel, pouch, answer.body)
        self.end()

    def end(self):
        """It stops when asked to, however it was treated."""
        process = self.world.node.process
        self.world.node.process = None
        if process.poll() is None:
            process.terminate()
        try:
            code = process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise Finding("hangs", "it does not stop when asked to") from error
        log = self.world.node.log()
        if code == -11 and len(log) == self.logged:  # nothing of the program has run: the dynamic loader has no other way out
            return
        log = log[-600:]
        # it stops the process by design, too, when its threads cannot be told to end
        by_library = code == -6 and (self.randomness or "Fatal error in GNU libmicrohttpd" in log)
        need(code in SAFE_EXITS or by_library, "crashes", f"entented ended with {code}:\n{log}")

    def again(self):
        world = self.world
        world.up()
        said = world.say(world.channel)
        need(said["done"], "losses", f"not receipted: {said}")
        world.deliver(world.channel)
        world.judge_quickly()
        world.node.kill()

    def case(self, syscall, kind, when):
        self.randomness = syscall == "getrandom"
        what = "signal=KILL" if kind == "KILL" else f"error={kind}"
        self.live(["-e", f"trace={syscall}", "-e", f"inject={syscall}:{what}:when={when}"])
        self.again()

    def judge(self):
        self.world.up()
        self.world.judge()
        self.world.node.kill()


def cases_of(calls, kinds, syscalls=None):
    """(system call, kind, when): the first calls, one in the middle, one late."""
    for syscall in sorted(calls):
        if syscalls and syscall not in syscalls:
            continue
        count = calls[syscall]
        for when in sorted({1, 2, 3, 5, 8, count // 4, count // 2} - {0}):
            if when <= count:
                for kind in kinds:
                    if kind == "KILL" or syscall not in CANNOT_FAIL:
                        yield syscall, kind, when


def run_cases(cases, until):
    """A row for each kind."""
    rows = {}
    life = None
    for syscall, kind, when in cases:
        if time.monotonic() > until:
            break
        row = rows.setdefault(kind, Row("life under strace", kind))
        row.cases += 1
        row.met += 1
        begun = time.monotonic()
        try:
            life = life or Life()
            life.case(syscall, kind, when)
        except Finding as finding:
            text = f"{syscall} {kind} {when}: {finding}"
            row.bad[finding.what] += 1
            row.findings.append(text[:2000])
            say(f"FOUND {text}\n  again: tests/fault/syscalls.py --syscall {syscall} --kind {kind} --when {when}")
            life.close()
            life = None
        row.seconds += time.monotonic() - begun
    if life:
        try:
            life.judge()
        except Finding as finding:
            row = next(iter(rows.values()))
            row.bad[finding.what] += 1
            row.findings.append(f"at the end: {finding}"[:2000])
        life.close()
    return list(rows.values())


def all_cases(kinds=KINDS, syscalls=None):
    life = Life()
    try:
        return list(cases_of(life.count(), kinds, syscalls))
    finally:
        life.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--syscall", action="append")
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--when", type=int)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--rows")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    say(f"seed {seed}")
    if options.when:
        cases = [(name, kind, options.when) for name in options.syscall for kind in options.kind or KINDS]
    else:
        cases = all_cases(options.kind or KINDS, options.syscall)
        random.Random(seed).shuffle(cases)
    rows = run_cases(cases, time.monotonic() + options.seconds)
    with open(options.rows, "a", encoding="utf-8") if options.rows else sys.stdout as out:
        for row in rows:
            print(json.dumps({**row.fields(), "part": "syscalls", "points": len(cases)}), file=out, flush=True)
    return 1 if any(sum(row.bad.values()) for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
