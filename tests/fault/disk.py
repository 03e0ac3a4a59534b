#!/usr/bin/env python3
"""A disk that is full, or nearly: the node's folder on a file system of its own, filled to within a few bytes while it sends, receives,
takes attachments and starts. It refuses, goes on, and does what was left when there is room again. Needs root, to mount.

usage: disk.py [--rows FILE]"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "outside"))

from judge import Finding, Row, World, need, say  # noqa: E402
from scenarios import FAULTY  # noqa: E402

DISK_MIB = 192
LEFT_KIB = (70_000, 65_600, 65_500, 40_000, 5_000, 1_000, 300, 100, 40, 8, 4, 0)


@contextlib.contextmanager
def disk():
    with tempfile.TemporaryDirectory(prefix="entd") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0700", "tmpfs", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], check=False)


def fill(folder, left_kib):
    """Leave so much."""
    path = os.path.join(folder, "filler")
    with open(path, "wb") as file:
        state = os.statvfs(folder)
        size = state.f_bavail * state.f_frsize - left_kib * 1024
        with contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, max(size, 1))
    return path


def try_everything(world):
    """Whatever it answers; what it names or receipts must last."""
    channel = world.channel
    for large in (False, True):
        if world.died():  # it does not start
            break
        with contextlib.suppress(*FAULTY):
            world.say(channel, large=large, timeout_s=1)
        world.party_says(channel, large=large)
        with contextlib.suppress(*FAULTY), world.party.lock:
            pouch = channel.pouch(world.node.name)
            answer = world.border.post(pouch)
            if answer.status == 200:
                world.took(channel, pouch, answer.body)
    with contextlib.suppress(*FAULTY):
        if not world.died():
            world.attach(channel, 1 << 20)
    index, blob = world.party_says(channel, attached=True)
    with contextlib.suppress(*FAULTY), world.party.lock:
        answer = world.border.post(channel.pouch(world.node.name))
        if answer.status == 200:
            world.border.request("PUT", f"/blob/{blob[0]}", blob[1])
    return index, blob


def case(world, folder, left_kib, restarted):
    filler = fill(folder, left_kib)
    try:
        if restarted:
            world.node.kill()
            with contextlib.suppress(AssertionError):
                world.node.start()
            world.connect()
        index, blob = try_everything(world)
        world.died()
    finally:
        os.unlink(filler)
    if world.node.process:  # its back-offs begin anew
        world.node.process.terminate()
        world.died(20)
    world.up()
    said = world.say(world.channel)
    need(said["done"], "losses", f"not receipted: {said}")
    world.deliver(world.channel)
    world.put_blob(*blob)
    world.attached.append((world.channel.id, index, blob[0]))
    world.judge_quickly()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows")
    options = parser.parse_args()
    row = Row("everything", "the disk is full")
    begun = time.monotonic()
    with disk() as folder:
        world = World(folder=folder)
        world.strangled = True  # it may refuse to start
        try:
            for left_kib in LEFT_KIB:
                for restarted in (False, True):
                    row.cases += 1
                    case(world, folder, left_kib, restarted)
            world.judge()
        except Finding as finding:
            row.bad[finding.what] += 1
            row.findings.append(f"{left_kib} KiB left, {'re' if restarted else 'not re'}started: {finding}"[:2000])
            say(f"FOUND {row.findings[-1]}")
        finally:
            world.close()
    row.met, row.seconds = row.cases, time.monotonic() - begun
    with open(options.rows, "a", encoding="utf-8") if options.rows else sys.stdout as out:
        print(json.dumps({**row.fields(), "part": "disk"}), file=out, flush=True)
    return 1 if row.findings else 0


if __name__ == "__main__":
    sys.exit(main())
