#!/usr/bin/env python3
"""Three parties on hosts of their own: network namespaces with real interfaces, joined by a bridge. Links go down in mid-sentence and come
up again; where the kernel has netem they also lose, delay, double and reorder packets. Needs root.

usage: hosts.py [--seed N] [--steps N] [--seconds S] [--rows FILE]"""

import argparse
import json
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "outside"))

from fault import FaultyNode  # noqa: E402
from judge import Row, say  # noqa: E402
from program import Program, run_program  # noqa: E402

NETEM = {
    "loss": "loss 30%",
    "delay": "delay 300ms 200ms distribution normal",
    "reorder": "delay 20ms reorder 30% 50%",
    "double": "duplicate 20% corrupt 2%",
    "narrow": "rate 64kbit",
}
PORT = 7400


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True).returncode == 0


class Host(FaultyNode):
    """A node in a namespace."""

    def __init__(self, folder, name, network, number):
        self.network, self.number = network, number
        self.namespace = f"{network}n{number}"
        self.outer, self.inner = f"{network}v{number}", f"{network}w{number}"
        address = f"10.213.{random.Random(network).randrange(256)}.{number + 1}"
        ip("netns", "add", self.namespace)
        ip("link", "add", self.outer, "type", "veth", "peer", "name", self.inner)
        ip("link", "set", self.inner, "netns", self.namespace)
        ip("link", "set", self.outer, "master", network, "up")
        for words in (("addr", "add", address + "/24", "dev", self.inner), ("link", "set", self.inner, "up"),
                      ("link", "set", "lo", "up")):  # fmt: skip
            ip("-n", self.namespace, *words)
        super().__init__(folder, name, host=address, port=PORT)
        self.wrapper = ["ip", "netns", "exec", self.namespace]
        self.proxy = self
        self.told, self.files, self.running = {}, [], False

    def set(self, mode):
        """As a proxy has it: "pass", or how the link misbehaves from now on."""
        subprocess.run(["tc", "qdisc", "del", "dev", self.outer, "root"], check=False, capture_output=True)
        ip("link", "set", self.outer, "down" if mode == "down" else "up")
        if mode in NETEM:
            command = ["tc", "qdisc", "add", "dev", self.outer, "root", "netem", *NETEM[mode].split()]
            subprocess.run(command, check=True, capture_output=True)

    def close(self):
        ip("link", "del", self.outer, check=False)
        ip("netns", "del", self.namespace, check=False)


def has_netem():
    ip("link", "add", "entprobe", "type", "veth", "peer", "name", "entprobe2")
    command = ["tc", "qdisc", "add", "dev", "entprobe", "root", "netem", "loss", "1%"]
    done = subprocess.run(command, check=False, capture_output=True)
    ip("link", "del", "entprobe", check=False)
    return done.returncode == 0


class Hosts(Program):
    """Programs whose network steps are those of links."""

    modes = ["down", "down", "pass"]

    def make_node(self, name, number):
        if number == 0:
            self.network = f"ent{os.getpid() % 100000}"
            ip("link", "add", self.network, "type", "bridge")
            self.stack.callback(lambda: ip("link", "del", self.network, check=False))
            ip("link", "set", self.network, "up")
        return Host(self.folder, name, self.network, number)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--rows")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    netem = has_netem()
    if netem:
        Hosts.modes = [*Hosts.modes, *NETEM]
    else:
        say("this kernel has no netem: links only go down and up")
    until = time.monotonic() + options.seconds
    row = Row("three hosts", "links and netem" if netem else "links")
    while True:
        say(f"seed {seed}")
        run_program(seed, options.steps, row, Hosts)
        seed += 1
        if time.monotonic() > until:
            break
    with open(options.rows, "a", encoding="utf-8") if options.rows else sys.stdout as out:
        print(json.dumps({**row.fields(), "part": "hosts"}), file=out, flush=True)
    return 1 if row.findings else 0


if __name__ == "__main__":
    sys.exit(main())
