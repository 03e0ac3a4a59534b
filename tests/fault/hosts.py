#!/usr/bin/env python3
"""Three parties on hosts of their own: network namespaces whose links go down in mid-sentence and come up again, hear nothing, lose,
delay, reorder, double and damage packets. Needs root.

usage: hosts.py [--links tun|netem] [--seed N] [--steps N] [--seconds S] [--rows FILE]

The links are TUN devices whose packets link.py carries, or interfaces that a bridge joins and the kernel's netem spoils; netem
where this kernel has it, unless --links says otherwise."""

import argparse
import json
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "outside"))

import link  # noqa: E402
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
    """A node in a namespace; a link's class says how it is joined with others."""

    def __init__(self, folder, name, network, number):
        self.network, self.number = network, number
        self.namespace = f"{network}n{number}"
        self.address = f"10.213.{random.Random(network).randrange(256)}.{number + 1}"
        ip("netns", "add", self.namespace)
        ip("-n", self.namespace, "link", "set", "lo", "up")
        self.join()
        super().__init__(folder, name, host=self.address, port=PORT)
        self.wrapper = ["ip", "netns", "exec", self.namespace]
        self.proxy = self  # of a program: what its network steps change
        self.told, self.files, self.running = {}, [], False

    def close(self):
        ip("netns", "del", self.namespace, check=False)


class BridgedHost(Host):
    """Joined by a bridge, which the network is."""

    def join(self):
        self.outer, inner = f"{self.network}v{self.number}", f"{self.network}w{self.number}"
        ip("link", "add", self.outer, "type", "veth", "peer", "name", inner)
        ip("link", "set", inner, "netns", self.namespace)
        ip("link", "set", self.outer, "master", self.network, "up")
        ip("-n", self.namespace, "addr", "add", self.address + "/24", "dev", inner)
        ip("-n", self.namespace, "link", "set", inner, "up")

    def set(self, mode):
        """As a proxy has it: "pass", or how the link misbehaves from now on."""
        subprocess.run(["tc", "qdisc", "del", "dev", self.outer, "root"], check=False, capture_output=True)
        ip("link", "set", self.outer, "down" if mode == "down" else "up")
        if mode in NETEM:
            command = ["tc", "qdisc", "add", "dev", self.outer, "root", "netem", *NETEM[mode].split()]
            subprocess.run(command, check=True, capture_output=True)

    def close(self):
        ip("link", "del", self.outer, check=False)
        super().close()


class TunHost(Host):
    """Joined by a link.Switch."""

    switch = None

    def join(self):
        self.switch.add(f"{self.network}t{self.number}", self.namespace, self.address)

    def set(self, mode):
        self.switch.set(self.address, mode)


def has_netem():
    ip("link", "add", "entprobe", "type", "veth", "peer", "name", "entprobe2")
    command = ["tc", "qdisc", "add", "dev", "entprobe", "root", "netem", "loss", "1%"]
    done = subprocess.run(command, check=False, capture_output=True)
    ip("link", "del", "entprobe", check=False)
    return done.returncode == 0


class Bridged(Program):
    """Programs whose network steps are those of links on a bridge."""

    modes = ["down", "down", "pass", *NETEM]

    def make_node(self, name, number):
        if number == 0:
            self.network = f"ent{os.getpid() % 100000}"
            ip("link", "add", self.network, "type", "bridge")
            self.stack.callback(lambda: ip("link", "del", self.network, check=False))
            ip("link", "set", self.network, "up")
        return BridgedHost(self.folder, name, self.network, number)


class Tunnelled(Program):
    """The same with links that link.py carries."""

    modes = ["down", "pass", *link.MODES]

    def make_node(self, name, number):
        if number == 0:
            self.network = f"ent{os.getpid() % 100000}"
            self.switch = link.Switch(self.seed)
            self.stack.callback(self.switch.close)

        class Joined(TunHost):
            switch = self.switch

        return Joined(self.folder, name, self.network, number)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--links", choices=("tun", "netem"))
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--rows")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    netem = options.links == "netem" or options.links is None and has_netem()
    kind = Bridged if netem else Tunnelled
    until = time.monotonic() + options.seconds
    row = Row("three hosts", "rough links (netem)" if netem else "rough links")
    while True:
        say(f"seed {seed}, {'netem' if netem else 'tun'}")
        run_program(seed, options.steps, row, kind)
        seed += 1
        if time.monotonic() > until:
            break
    with open(options.rows, "a", encoding="utf-8") if options.rows else sys.stdout as out:
        print(json.dumps({**row.fields(), "part": "hosts"}), file=out, flush=True)
    return 1 if row.findings else 0


if __name__ == "__main__":
    sys.exit(main())
