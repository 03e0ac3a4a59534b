"""What a node is doing when the fault comes. `prepare` goes before it is armed, `act` runs into it, `complete` does what
was left once the node is up again."""

import contextlib
import http.client
import json
import os
import shutil
import subprocess

from fault import Faults
from judge import LIBRARY_ENDS, Finding, World, need
from node import BUILD, PATIENCE_S, wait_for

# What a request meets when the node dies, answers with an error, or is not there.
FAULTY = (OSError, AssertionError, ValueError, KeyError, http.client.HTTPException)


def say_at_last(world, channel, **options):
    """Say it without a fault; a node whose keeper has met one a moment ago may end only now."""
    try:
        said = world.say(channel, **options)
    except FAULTY:
        need(world.died(PATIENCE_S), "hangs", "it neither answers nor ends")
        world.up()
        said = world.say(channel, **options)
    if said["held"]:  # after a crash others are asked first, in each of hundreds of channels
        world.wait(lambda: not world.node.api("GET", "/status")["held"], "what is held to be signed")
        said = world.say(channel, **options)
    need(said["done"], "losses", f"not receipted: {said}")


class Scenario:
    name = ""

    def __init__(self):
        self.world = World()

    @property
    def faults(self):
        return self.world.node.faults

    def close(self):
        self.world.close()

    def prepare(self):
        pass

    def act(self):
        raise NotImplementedError

    def complete(self):
        raise NotImplementedError

    def judge(self):
        self.world.judge()

    def judge_quickly(self):
        self.world.judge_quickly()

    def settle(self):
        """After act: the node up, without the fault."""
        self.world.died(PATIENCE_S if self.faults.hits and not self.answers() else 0)
        lasted = self.faults.hits > 1  # a disk that was full or gone: the courier is in a long back-off by now
        self.faults.disarm()
        if lasted and self.world.node.process:
            self.world.node.process.terminate()
            self.world.died(PATIENCE_S)
        self.world.up()

    def answers(self):
        try:
            self.world.node.api("GET", "/status")
        except FAULTY:
            return False
        return True


class Send(Scenario):
    """The node says something small, and gets a receipt."""

    name = "send"
    options = {}

    def act(self):
        with contextlib.suppress(*FAULTY):
            self.world.say(self.world.channel, **self.options, timeout_s=2)

    def complete(self):
        say_at_last(self.world, self.world.channel, **self.options)


class SendLarge(Send):
    """The same with a body that is a file."""

    name = "send-large"
    options = {"large": True}


class SendAttached(Scenario):
    """A message with an attachment, until the other side has all of it."""

    name = "send-attached"

    def send(self, timeout_s=int(PATIENCE_S) - 2):
        world = self.world
        named = world.attach(world.channel)
        self.sent = named["digest"]
        return world.say(world.channel, attachment=named, timeout_s=timeout_s)

    def act(self):
        self.sent = None
        with contextlib.suppress(*FAULTY):
            self.send(timeout_s=2)
            self.arrived()

    def arrived(self):
        try:
            wait_for(lambda: self.sent in self.world.party.blobs or self.world.node.process.poll() is not None, 2)
        except AssertionError:
            need(self.faults.hits, "hangs", "the attachment does not arrive")

    def complete(self):
        said = self.send()
        need(said["done"], "losses", f"not receipted: {said}")
        self.world.wait(lambda: self.sent in self.world.party.blobs, "the attachment")
        self.world.party.blobs.clear()


class Receive(Scenario):
    """The node takes a pouch and receipts it."""

    name = "receive"
    options = {}

    def act(self):
        world = self.world
        self.index, self.blob = world.party_says(world.channel, **self.options)
        with world.party.lock:
            pouch = world.channel.pouch(world.node.name)
        with contextlib.suppress(*FAULTY):
            answer = world.border.post(pouch)
            if answer.status == 200:
                world.took(world.channel, pouch, answer.body)
            if self.blob:
                world.border.request("PUT", f"/blob/{self.blob[0]}", self.blob[1])

    def complete(self):
        self.world.deliver(self.world.channel)
        if self.blob:
            self.world.put_blob(*self.blob)
            self.world.attached.append((self.world.channel.id, self.index, self.blob[0]))


class ReceiveLarge(Receive):
    """The same with a body that is a file."""

    name = "receive-large"
    options = {"large": True}


class ReceiveAttached(Receive):
    """A pouch, and then the attachment that it names."""

    name = "receive-attached"
    options = {"attached": True}


class Start(Scenario):
    """A start after a crash between the commit and the signature: what is committed must be signed, once, as it is."""

    name = "start"

    def prepare(self):
        world = self.world
        self.faults.arm("kill", 9)  # of a message: after its commit, before the keeper's mark
        with contextlib.suppress(*FAULTY):
            world.say(world.channel)
        if world.node.process.poll() is None:
            world.node.kill()
        world.node.process = None

    def act(self):
        with contextlib.suppress(AssertionError):
            self.world.node.start()
        self.world.connect()

    def complete(self):
        say_at_last(self.world, self.world.channel)


class Stop(Scenario):
    """A clean stop."""

    name = "stop"

    def act(self):
        world = self.world
        with contextlib.suppress(*FAULTY):
            world.node.api("POST", "/messages", json.dumps(world.draft(world.channel)[1]).encode())
        world.node.process.terminate()
        try:
            world.node.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            raise Finding("hangs", "it does not stop when asked to") from error

    complete = Start.complete


class Open(Scenario):
    """An invitation is taken in and accepted, and the channel opens."""

    name = "open"

    def act(self):
        world = self.world
        self.alias = "c" + os.urandom(6).hex()
        self.channel = world.party.open_channel([world.node.name])
        with contextlib.suppress(*FAULTY):
            answer = world.border.post(self.channel.pouch(world.node.name, 0))
            if answer.status == 202:
                world.node.api("POST", f"/channels/{self.channel.id}/accept",
                               json.dumps({"alias": self.alias}).encode())

    def complete(self):
        world = self.world
        world.opened(self.channel, self.alias)
        world.wait(lambda: world.node.api("GET", f"/channels/{self.channel.id}")["state"] == "open", "the channel to open")
        say_at_last(world, self.channel)


class Init(Scenario):
    """`entente init`: after a fault the same command does it, or says what to do; keys that a card names are there."""

    name = "init"

    def __init__(self):
        self.world = World()
        self.dir = os.path.join(self.world.folder, "fresh")
        self.init_faults = Faults(self.world.folder, self.dir)

    @property
    def faults(self):
        return self.init_faults

    def run(self, environment):
        command = [os.path.join(BUILD, "entente"), "init", "--name", "cobalt.example", "--air-gapped", "--dir", self.dir]
        return subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False, env=environment)

    def act(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        done = self.run({**os.environ, **self.faults.environment})
        allowed = {0, 1, 4} | ({-9, 137} if self.faults.hits else set())
        if self.faults.kind == "nomem-library":
            allowed |= LIBRARY_ENDS
        need(done.returncode in allowed, "crashes", f"init ended with {done.returncode}: {done.stderr.decode()}")

    def settle(self):
        self.faults.disarm()

    def complete(self):
        done = self.run(None)
        if done.returncode == 0:
            return
        text = done.stderr.decode()
        if os.path.exists(os.path.join(self.dir, "card")) and "set up" in text or "exists" in text:
            return
        need(False, "losses", f"init again ended with {done.returncode}: {text}")

    def judge(self):
        pass

    judge_quickly = judge


SCENARIOS = {
    scenario.name: scenario
    for scenario in (Send, SendLarge, SendAttached, Receive, ReceiveLarge, ReceiveAttached, Start, Stop, Open, Init)
}
