#!/usr/bin/env python3
"""Has strace fail, or kill a node at, the Nth call of each system call that it makes from its start to its stop.

usage: syscalls.py [--syscall NAME]... [--kind EIO|ENOSPC|KILL]... [--when N] [--jobs N] [--seconds S] [--seed N] [--rows FILE]

A life is traced first; then few calls are chosen that together are every place where a system call is made (calls.py). strace
counts the Nth call in each thread, so one case may spoil a call in several. What fails here once and is not on the disk (polls,
sockets, memory, threads) may cost a connection, a request or the process, but nothing that was promised; drive.py does the disk,
point by point. Exit status 1 when something was found, 5 when the time was over before the last case."""

import argparse
import concurrent.futures
import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "outside"))

from calls import calls_in, injected_in, points_of  # noqa: E402
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

    def points(self):
        """Where it makes which calls: as calls.points_of."""
        self.live(["-yy"])
        found = points_of(calls_in(self.trace, self.world.node.dir))
        self.again()
        need(found, "hangs", "strace saw nothing: is it allowed here?")
        return found

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
        """Gives the places that were met."""
        self.randomness = syscall == "getrandom"
        what = "signal=KILL" if kind == "KILL" else f"error={kind}"
        self.live(["-yy", "-e", f"trace={syscall}", "-e", f"inject={syscall}:{what}:when={when}"])
        met = injected_in(self.trace, self.world.node.dir)
        self.again()
        return met

    def judge(self):
        self.world.up()
        self.world.judge()
        self.world.node.kill()


def cases_of(points, kinds, syscalls=None):
    """(system call, kind, when)."""
    for syscall in sorted(points):
        for when in sorted(points[syscall]):
            for kind in kinds:
                if (not syscalls or syscall in syscalls) and (kind == "KILL" or syscall not in CANNOT_FAIL):
                    yield syscall, kind, when


class Run:
    """Cases that several lives go through side by side."""

    def __init__(self, cases, until):
        self.cases, self.until = iter(cases), until
        self.rows = {}
        self.places = {}  # kind: places that were met
        self.mutex = threading.Lock()

    def next_case(self):
        with self.mutex:
            case = next(self.cases, None) if time.monotonic() < self.until else None
            if case:
                row = self.rows.setdefault(case[1], Row("life under strace", case[1]))
                row.cases += 1
            return case

    def found(self, finding, case):
        syscall, kind, when = case
        text = f"{syscall} {kind} {when}: {finding}"
        with self.mutex:
            self.rows[kind].bad[finding.what] += 1
            self.rows[kind].findings.append(text[:2000])
        say(f"FOUND {text}\n  again: tests/fault/syscalls.py --syscall {syscall} --kind {kind} --when {when}")

    def work(self):
        """One life after another, each until something is found."""
        life = case = None
        while next_case := self.next_case():
            case, begun = next_case, time.monotonic()
            row = self.rows[case[1]]
            try:
                life = life or Life()
                met = life.case(*case)
                with self.mutex:
                    row.met += bool(met)
                    self.places.setdefault(case[1], set()).update(met)
            except Finding as finding:
                self.found(finding, case)
                if life:
                    life.close()
                life = None
            row.seconds += time.monotonic() - begun
        if life:
            try:
                life.judge()
            except Finding as finding:
                self.found(finding, case)
            life.close()


def run_cases(cases, until, jobs=1):
    """A row for each kind."""
    run = Run(cases, until)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for done in [pool.submit(run.work) for _ in range(jobs)]:
            done.result()
    for kind, row in run.rows.items():
        row.points = len(run.places.get(kind, ()))
    return list(run.rows.values())


def all_cases(kinds=KINDS, syscalls=None):
    life = Life()
    try:
        return list(cases_of(life.points(), kinds, syscalls))
    finally:
        life.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--syscall", action="append")
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--when", type=int)
    parser.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1), help="lives side by side: they mostly wait")
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
    rows = run_cases(cases, time.monotonic() + options.seconds, options.jobs)
    with open(options.rows, "a", encoding="utf-8") if options.rows else sys.stdout as out:
        for row in rows:
            print(json.dumps({**row.fields(), "part": "syscalls"}), file=out, flush=True)
    done = sum(row.cases for row in rows)
    say(f"{done} of {len(cases)} cases; places met: " + ", ".join(f"{row.kind} {row.points}" for row in rows))
    if any(sum(row.bad.values()) for row in rows):
        return 1
    return 0 if done == len(cases) else 5


if __name__ == "__main__":
    sys.exit(main())
