"""Scenarios of two real nodes: what a party of the second implementation does not take part in. Both nodes and the commands can
meet the fault."""

import contextlib
import json
import os
import shutil
import subprocess

from judge import has_verb, need
from node import BUILD, PATIENCE_S
from program import NAMES, Program
from scenarios import FAULTY, Scenario

MOST_CASES = 10  # in one world: a card does not hold former keys without end


class Pair(Program):
    names = NAMES[:2]

    def __init__(self):
        super().__init__(1, 0)
        self.node, self.other = self.nodes


class PairScenario(Scenario):
    """`self.world` is a Pair; the first node meets the fault."""

    def __init__(self):
        self.world = Pair()
        self.cases = 0

    def prepare(self):
        self.cases += 1
        if self.cases > MOST_CASES:
            self.judge()
            self.world.close()
            self.world = Pair()
            self.cases = 1

    def settle(self):
        node = self.world.node
        if self.faults.hits and not self.answers() and node.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                node.process.wait(PATIENCE_S)
        lasted = self.faults.hits > 1  # a disk that was full or gone: it may be about to end, and its back-offs are long
        self.faults.disarm()
        if lasted:
            self.world.step_stop(node)
        node.running = False  # a start that was refused is an end with 1
        if not self.world.alive(node):
            self.world.start(node)
            need(self.world.alive(node), "losses", f"it does not start again:\n{node.log()[-1000:]}")

    def run(self, *words):
        """A command under the fault; how it ended."""
        node = self.world.node
        with node.faulty_commands():
            done = node.run(*words, check=False)
        killed = self.faults.hits > 0 and done.returncode in (-9, 137)
        need(killed or 0 <= done.returncode <= 5, "crashes", f"{words} ended with {done.returncode}: {done.stderr.decode()}")
        return done

    def until_done(self, *words):
        """The command, repeated until it is done; a node whose keeper has met the fault may end a moment later."""
        node, done = self.world.node, []

        def succeeded():
            if not self.world.alive(node):
                self.world.start(node)
            done[:] = [node.run(*words, check=False)]
            return done[0].returncode == 0

        self.world.wait(succeeded, lambda: f"{' '.join(words)}: {done[0].stderr.decode() if done else ''}")

    def say_both_ways(self):
        for node, other in (self.world.nodes, self.world.nodes[::-1]):
            self.world.wait(lambda node=node: self.world.step_say(node) or True, "a message to be taken")
            size = max(node.told) + 1
            self.world.wait(lambda node=node, other=other, size=size: self.receipted(node, other) >= size,
                            lambda node=node: f"the receipt; {json.dumps(node.api('GET', '/status'))[:1500]}",
                            60 + PATIENCE_S)  # fmt: skip

    @staticmethod
    def receipted(node, other):
        members = node.api("GET", "/channels/line")["members"]
        return next(member["receipted_by_them"] for member in members if member["name"] == other.name)

    def judge_quickly(self):
        for node in self.world.nodes:
            status = node.api("GET", "/status")
            need(not status["forks"], "divergences", f"a fork: {status['forks']}")

    def judge(self):
        self.world.settle()
        self.world.judge()


def restore(file, folder):
    command = [os.path.join(BUILD, "entente"), "restore", file, "--dir", folder]
    return subprocess.run(command, capture_output=True, check=False, timeout=60)


class Rotate(PairScenario):
    """A key is replaced; the command is repeated until it says that it is done."""

    name = "rotate"
    keys = ("log", "receipt", "age")

    def act(self):
        self.key = self.keys[self.cases % len(self.keys)]
        with contextlib.suppress(*FAULTY):
            self.run("key", "rotate", self.key)
            self.world.step_say(self.world.node)

    def complete(self):
        self.until_done("key", "rotate", self.key)
        self.say_both_ways()


class Backup(PairScenario):
    """A backup of a live node; one that says it is done can be restored, and the node that is restored goes on."""

    name = "backup"

    @property
    def file(self):
        """In the folder of this world: after a finding there is another."""
        return os.path.join(self.world.folder, "backup")

    def act(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.file)
        with contextlib.suppress(*FAULTY):
            self.world.step_say(self.world.node)
            self.backed_up = self.run("backup", self.file).returncode == 0

    def complete(self):
        file = self.file + ".whole"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file)
        self.until_done("backup", file)
        folder = os.path.join(self.world.folder, "restored")
        shutil.rmtree(folder, ignore_errors=True)
        done = restore(file, folder)
        need(done.returncode == 0, "losses", f"the backup is not restored: {done.stderr.decode()}")
        self.say_both_ways()


class Recover(PairScenario):
    """A node whose disk is that of yesterday, marks and all, gets back from its peer what it said since."""

    name = "recover"

    def __init__(self):
        super().__init__()
        self.copy = self.world.node.dir + ".yesterday"

    def prepare(self):
        super().prepare()
        world = self.world
        self.copy = world.node.dir + ".yesterday"
        world.step_stop(world.node)
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(world.node.dir, self.copy, ignore=shutil.ignore_patterns("socket"))
        world.start(world.node)
        self.say_both_ways()
        world.step_stop(world.node)
        shutil.rmtree(world.node.dir)
        shutil.copytree(self.copy, world.node.dir)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(world.node.dir, "marks", "clean"))  # such a copy was not stopped
        world.start(world.node)
        world.wait(lambda: world.node.status()["held"], "the node to hold itself")

    def act(self):
        with contextlib.suppress(*FAULTY):
            self.run("recover", "--from", self.world.other.name)

    def complete(self):
        self.until_done("recover", "--from", self.world.other.name)
        self.say_both_ways()


PAIR_SCENARIOS = {
    scenario.name: scenario
    for scenario, verb in ((Rotate, ("key", "rotate")), (Backup, ("backup",)), (Recover, ("recover",)))
    if has_verb(*verb)
}
