#!/usr/bin/env python3
"""Random programs of three parties: they say and answer, attach, reveal, stop, are killed, run into faults, are cut off, carry sticks,
go by wrong clocks, replace and revoke keys, lose their disk and are restored from a backup. In the end all faults are over; then all must hold the same evidence, nothing that was named or
receipted may be missing, and the audits are clean.

usage: program.py [--seed N] [--steps N] [--seconds S] [--rows FILE]

The seed is printed and makes the same program again. With --seconds, programs follow each other."""

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "outside"))

from fault import FaultyNode  # noqa: E402
from judge import LARGE, SAFE_EXITS, Finding, Row, need, say  # noqa: E402
from network import MODES, PASS, Proxy  # noqa: E402
from node import EXAMPLES, PATIENCE_S, free_port  # noqa: E402
from outside import INCIDENT  # noqa: E402
from scenarios import FAULTY  # noqa: E402

NAMES = ("aurora.example", "boreal.example", "cobalt.example")
DAY_S = 86400
SETTLE_S = 60 + 2 * PATIENCE_S
FAULT_KINDS = ("kill", "kill", "kill", "torn", "eio", "enospc", "read-eio", "nomem", "short")


class ProxiedNode(FaultyNode):
    """A node that others reach through a proxy."""

    def __init__(self, folder, name, seed):
        listen = free_port()
        self.proxy = Proxy(listen, seed)
        super().__init__(folder, name, url=f"https://127.0.0.1:{self.proxy.port}", port=listen)
        self.told = {}  # index: nonce
        self.files = []  # (index, digest of the content)
        self.running = False


class Restored:
    """What a program knows of a node's backups. `backup` is a file; `missing` are the members that have not given back what
    they hold since it was restored."""

    def __init__(self):
        self.backup, self.at_backup, self.keys, self.missing = None, None, 0, []


class Program:
    """One run. Every choice comes from the seed; how threads and disks take their turns does not."""

    names = NAMES

    def __init__(self, seed, steps):
        self.seed, self.steps = seed, steps
        self.chosen = random.Random(seed)
        self.stack = contextlib.ExitStack()
        self.folder = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="entp"))
        self.history = []
        self.new_roots = set()
        self.restored = {name: Restored() for name in self.names}
        self.passphrase = os.path.join(self.folder, "passphrase")
        with open(self.passphrase, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write("correct horse\n")
        self.nodes = []
        for at, name in enumerate(self.names):
            node = self.make_node(name, at)
            self.stack.callback(node.proxy.close)
            self.stack.callback(self.kill, node)
            self.nodes.append(node)
            self.start(node)
        for node in self.nodes:
            for other in self.nodes:
                if other is not node:
                    node.add_peer(other.card_path)
        self.open()

    modes = MODES

    def make_node(self, name, number):
        return ProxiedNode(self.folder, name, self.seed + number)

    def close(self):
        self.stack.close()

    def open(self):
        first, *others = self.nodes
        with_them = [word for other in others for word in ("--with", other.name)]
        terms = os.path.join(self.folder, "terms.json")
        with open(os.path.join(EXAMPLES, "terms.json"), encoding="utf-8") as file:
            fields = json.load(file)
        fields["parties"] = list(self.names)
        with open(terms, "w", encoding="utf-8") as file:
            json.dump(fields, file)
        self.id = first.text("channel", "open", *with_them, "--terms", terms, "--alias", "line").splitlines()[-1].strip()
        for other in others:
            self.wait(lambda other=other: other.run("channel", "show", self.id, check=False).returncode == 0, "the invitation")
            other.run("channel", "accept", self.id, "--alias", "line")
        for node in self.nodes:
            self.wait(lambda node=node: node.api("GET", "/channels/line")["state"] == "open", "the channel to open")

    def wait(self, what, text, seconds=PATIENCE_S):
        until = time.monotonic() + seconds
        while True:
            with contextlib.suppress(*FAULTY):
                if what():
                    return
            need(time.monotonic() < until, "hangs", f"waited {seconds:.0f} s in vain: {text()if callable(text) else text}")
            time.sleep(0.05)

    # ---- processes ----------------------------------------------------------------------------------------------------

    def alive(self, node):
        """Whether it runs; how it ended is judged."""
        if node.process is None:
            return False
        code = node.process.poll()
        if code is None:
            return True
        node.process = None
        need(code in SAFE_EXITS or (node.faults.kills and code in (-9, 137)) or (not node.running and code == 1), "crashes",
             f"{node.name} ended with {code}:\n{node.log()[-1000:]}")
        return False

    def start(self, node):
        """It may fail to start while a fault is armed."""
        node.running = False
        with contextlib.suppress(AssertionError):
            node.start()
            node.running = True

    def kill(self, node):
        if node.process is not None:
            node.process.kill()
            node.process.wait()
            node.process = None

    # ---- steps --------------------------------------------------------------------------------------------------------

    def run(self):
        for _ in range(self.steps):
            node = self.chosen.choice(self.nodes)
            step = self.chosen.choices(list(self.STEPS), weights=self.STEPS.values())[0]
            detail = None
            with contextlib.suppress(*FAULTY, subprocess.TimeoutExpired):
                detail = getattr(self, "step_" + step)(node)
            self.history.append(f"{node.name.split('.')[0]} {step}{'' if detail is None else ' ' + str(detail)}")
            for each in self.nodes:
                self.alive(each)
            if self.chosen.random() < 0.3:
                time.sleep(self.chosen.random() * 0.1)

    def step_say(self, node, large=False):
        nonce = hashlib.sha256(os.urandom(16)).hexdigest()[:32]
        body = json.loads(json.dumps(INCIDENT))
        body["fields"]["title"] = nonce
        if large:
            body["text"]["en"] = LARGE
        self.post(node, {"channel": "line", "kind": "incident.notification", "body": body}, nonce)

    def post(self, node, draft, nonce):
        said = node.api("POST", "/messages", json.dumps(draft).encode())
        if said["held"] and self.restored[node.name].missing:
            return None  # never signed: it gives way to what the others hold
        need(said["index"] not in node.told, "divergences", f"{node.name} gave index {said['index']} twice")
        node.told[said["index"]] = nonce
        return said["index"]

    def step_say_large(self, node):
        self.step_say(node, large=True)

    def step_say_many(self, node):
        threads = [threading.Thread(target=self.quietly, args=(self.step_say, node)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    @staticmethod
    def quietly(work, *arguments):
        with contextlib.suppress(*FAULTY):
            work(*arguments)

    def step_attach(self, node):
        data = os.urandom(self.chosen.choice((10, 70_000, 300_000)))
        named = node.api("POST", "/attachments?channel=line&type=application/octet-stream", data)
        nonce = hashlib.sha256(data).hexdigest()[:32]
        body = json.loads(json.dumps(INCIDENT))
        body["fields"]["title"], body["files"] = nonce, [{"name": "a"}]
        draft = {"channel": "line", "kind": "incident.notification", "body": body, "attachments": [named]}
        index = self.post(node, draft, nonce)
        if index is not None:
            node.files.append((index, hashlib.sha256(data).digest()))

    def step_answer(self, node):
        rows = node.api("GET", "/messages?channel=line&unanswered=1&limit=20")["messages"]
        theirs = [row["message"] for row in rows if row["party"] != node.name and row["kind"] == "incident.notification"]
        if theirs:
            with open(os.path.join(EXAMPLES, "answer.acknowledgement.json"), encoding="utf-8") as file:
                body = json.load(file)
            draft = {"channel": "line", "kind": "answer.acknowledgement", "reply_to": self.chosen.choice(theirs), "body": body}
            node.api("POST", "/messages", json.dumps(draft).encode())

    def step_stop(self, node):
        if self.alive(node):
            node.process.terminate()
            try:
                node.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired as error:
                raise Finding("hangs", f"{node.name} does not stop") from error
            self.alive(node)

    def step_kill(self, node):
        self.kill(node)

    def step_start(self, node):
        if not self.alive(node):
            node.faults.disarm()
            self.start(node)

    def step_fault(self, node):
        kind, nth = self.chosen.choice(FAULT_KINDS), self.chosen.randrange(1, 60)
        node.faults.arm(kind, nth)
        return f"{kind} {nth}"

    def step_network(self, node):
        mode = self.chosen.choice(self.modes)
        node.proxy.set(mode)
        return mode

    def step_clock(self, node):
        skew = self.chosen.choice((-DAY_S, -3600, 0, 0, 0, 3600, DAY_S))
        node.faults.skew(skew)
        return skew

    def step_stick(self, node):
        other = self.chosen.choice([each for each in self.nodes if each is not node])
        stick = os.path.join(self.folder, f"stick{len(self.history)}")
        node.run("pouch", "export", "--channel", "line", "--to", other.name, "-o", stick, check=False)
        if os.path.exists(stick):
            other.run("pouch", "import", stick, "--reply", stick + ".reply", check=False)
            if os.path.exists(stick + ".reply"):
                node.run("pouch", "import", stick + ".reply", check=False)

    # Not the receipt key: what a revoked one signed counts where it came before (docs/threat-model.md), so that members may differ.
    REVOKED = ("log", "log", "age", "tls")

    def step_rotate(self, node, verb="rotate"):
        which = self.chosen.choice(("log", "log", "receipt", "age", "tls", "root") if verb == "rotate" else self.REVOKED)
        if which == "root":  # once: a second one waits until all have heard of the first
            which = "log" if node.name in self.new_roots else which
            self.new_roots.add(node.name)
        self.restored[node.name].keys += 1
        return f"{which} {node.run('key', verb, which, check=False).returncode}"

    def step_revoke(self, node):
        return self.step_rotate(node, "revoke")

    def step_reveal(self, node):
        index = self.chosen.choice(sorted(node.told) or [0])
        node.api("POST", f"/reveals/line/{node.name}/{index}", b"{}")
        return index

    def step_backup(self, node):
        kept = self.restored[node.name]
        file = os.path.join(self.folder, f"{node.name}.{len(self.history)}.backup")
        done = node.run("backup", file, "--with-keys", "--passphrase-file", self.passphrase, check=False)
        if done.returncode == 0:
            kept.backup, kept.at_backup = file, (kept.keys, len(node.files))
        return done.returncode

    def step_restore(self, node):
        """Its disk is lost, when another holds all that it said: a backup is put in its place, the others give back the rest."""
        kept = self.restored[node.name]
        others = [each for each in self.nodes if each is not node]
        as_then = kept.at_backup == (kept.keys, len(node.files))  # its own attachments do not come back: docs/reliability.md
        if not kept.backup or kept.missing or not as_then or not self.held_elsewhere(node, others):
            return "not now"
        self.kill(node)
        node.faults.disarm()
        root = os.path.join(node.dir, "root")
        shutil.move(root, node.dir + ".root")
        shutil.rmtree(node.dir)
        done = node.run("restore", kept.backup, "--passphrase-file", self.passphrase, check=False)
        need(done.returncode == 0, "losses", f"the backup is not restored: {done.stderr.decode()}")
        shutil.move(node.dir + ".root", root)
        kept.missing = others
        self.start(node)
        return self.recover(node)

    @staticmethod
    def held_elsewhere(node, others):
        """Whether one of the others has all of its log."""
        size = node.held("line")[node.name][0]
        for other in others:
            with contextlib.suppress(*FAULTY):
                if other.held("line")[node.name][0] == size:
                    return True
        return False

    def recover(self, node):
        """What is still missing, from those that can be reached."""
        kept, tried = self.restored[node.name], []
        for other in list(kept.missing):
            done = node.run("recover", "--from", other.name, check=False)
            tried.append(f"{other.name.split('.')[0]} {done.returncode}")
            if done.returncode == 0:
                kept.missing = [each for each in kept.missing if each is not other]
        return ", ".join(tried)

    def step_audit(self, node):
        if self.alive(node):
            done = node.run("audit", check=False)
            read_well = node.faults.hits == 0  # else it tells of the fault that it has met
            need(done.returncode != 1 or not read_well, "damages", f"audit of {node.name}: {done.stdout.decode()[-800:]}")

    def step_release(self, node):
        """Everything is well again for this node."""
        node.faults.disarm()
        node.proxy.set(PASS)

    STEPS = {"say": 30, "say_large": 3, "say_many": 6, "attach": 5, "answer": 8, "stop": 4, "kill": 5, "start": 22,
             "fault": 8, "network": 8, "clock": 2, "stick": 4, "release": 8, "rotate": 2,
             "revoke": 1, "reveal": 2, "backup": 3, "restore": 2, "audit": 1}  # fmt: skip

    # ---- the end ------------------------------------------------------------------------------------------------------

    def settle(self):
        for node in self.nodes:
            node.faults.disarm()
            node.faults.skew(0)
            node.proxy.set(PASS)
        for node in self.nodes:
            if self.alive(node):  # its back-offs begin anew
                self.step_stop(node)
            self.start(node)
            need(self.alive(node), "losses", f"{node.name} does not start again:\n{node.log()[-1000:]}")
        for node in self.nodes:  # a revoked certificate is refused at once: its party's card goes round by hand
            for other in self.nodes:
                if other is not node:
                    self.wait(lambda node=node, other=other: node.add_peer(other.card_path), f"the card of {other.name}")
        for node in self.nodes:
            if self.restored[node.name].missing:
                tried = []
                self.wait(lambda node=node, tried=tried: tried.append(self.recover(node)) or not self.restored[node.name].missing,
                          lambda tried=tried: f"the recovery: {tried[-3:]}")  # fmt: skip
        state = []

        def settled():
            state[:] = [self.picture(node) for node in self.nodes]
            return all(picture == state[0] for picture in state) and self.all_receipted()

        self.wait(settled, lambda: self.difference(state), SETTLE_S)

    def picture(self, node):
        """What must be the same everywhere: sizes of all logs, and the digests of the ledger."""
        members = node.api("GET", "/channels/line")["members"]
        ledger = node.api("GET", "/ledger?channel=line")
        sizes = tuple((member["name"], member["size"], member["frozen"]) for member in members)
        return sizes, ledger["evidence_digest"], ledger["state_digest"]

    def all_receipted(self):
        """Every member has receipted the whole of every other's log, and its attachments are there."""
        for node in self.nodes:
            members = node.api("GET", "/channels/line")["members"]
            size = next(member["size"] for member in members if member["self"])
            if any(member["receipted_by_them"] != size for member in members if not member["self"]):
                return False
        return all(self.has_file(reader, node, index) for node in self.nodes for index, _ in node.files for reader in self.nodes)

    def has_file(self, reader, writer, index):
        rows = reader.api("GET", f"/messages/line/{writer.name}/{index}")["attachment_list"]
        return all(row["state"] == "held" for row in rows)

    def difference(self, state):
        status = {node.name: (node.api("GET", "/status")["deliveries"], node.api("GET", "/status")["held"])
                  for node in self.nodes}  # fmt: skip
        lines = [set(node.api_bytes("GET", "/ledger/lines?channel=line&what=evidence").decode().splitlines()) for node in self.nodes]
        common = set.intersection(*lines)
        apart = {node.name: sorted(held - common)[:10] for node, held in zip(self.nodes, lines)}
        missing = [f"{writer.name} {index} at {reader.name}" for writer in self.nodes for index, _ in writer.files
                   for reader in self.nodes if not self.has_file(reader, writer, index)]  # fmt: skip
        return f"the parties do not come to hold the same: {state}\nattachments that are missing: {missing}\n{json.dumps(status)[:3000]}\nevidence: {json.dumps(apart)[:4000]}"

    def is_alike(self):
        lines = {node.api_bytes("GET", "/ledger/lines?channel=line&what=evidence") for node in self.nodes}
        return len(lines) == 1

    def judge(self):
        for node in self.nodes:
            status = node.api("GET", "/status")
            need(not status["forks"], "divergences", f"{node.name}: a fork: {status['forks']}")
            need(not status["held"], "losses", f"{node.name} is held: {status['held']}")
        self.wait(self.is_alike, lambda: self.difference([]))  # the last receipts may still be on their way
        for writer in self.nodes:
            entries = {}
            for index, nonce in writer.told.items():
                for reader in self.nodes:
                    message = f"line/{writer.name}/{index}"
                    entry = reader.api("GET", f"/messages/{message}")["entry"]
                    need(entries.setdefault(index, entry) == entry, "divergences", f"{message} differs")
                    title = json.loads(reader.api_bytes("GET", f"/bodies/{message}"))["fields"]["title"]
                    need(title == nonce, "divergences", f"{message} is another now")
            for index, digest in writer.files:
                for reader in self.nodes:
                    data = reader.api_bytes("GET", f"/attachments/line/{writer.name}/{index}/0")
                    need(hashlib.sha256(data).digest() == digest, "losses", f"the attachment of {index} is another now")
        for node in self.nodes:
            done = node.run("audit", check=False)
            need(done.returncode == 0, "damages", f"audit of {node.name}: {done.stdout.decode()[-800:]}")

    @property
    def messages(self):
        return sum(len(node.told) for node in self.nodes)


def run_program(seed, steps, row, kind=Program):
    """One program, counted in the row."""
    begun = time.monotonic()
    program = None
    row.cases += 1
    row.met += 1
    try:
        program = kind(seed, steps)
        program.run()
        program.settle()
        try:
            program.judge()
        except FAULTY as error:
            raise Finding("losses", f"the judge was refused: {error}") from error
        row.points += program.messages
    except Finding as finding:
        history = "; ".join(program.history) if program else ""
        text = f"seed {seed}, {steps} steps: {finding}\n  {history}"
        row.bad[finding.what] += 1
        row.findings.append(text[:6000])
        say(f"FOUND {text}\n  again: tests/fault/program.py --seed {seed} --steps {steps}")
        if os.environ.get("ENTENTE_KEEP_LOGS") and program:
            for node in program.nodes:
                say(f"==== {node.name}\n{node.log()[-6000:]}")
    finally:
        if program:
            program.close()
    row.seconds += time.monotonic() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--rows")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    until = time.monotonic() + options.seconds
    row = Row("three parties", "program")
    while True:
        say(f"seed {seed}")
        run_program(seed, options.steps, row)
        seed += 1
        if time.monotonic() > until:
            break
    with open(options.rows, "a", encoding="utf-8") if options.rows else sys.stdout as out:
        print(json.dumps({**row.fields(), "part": "programs"}), file=out, flush=True)
    return 1 if row.findings else 0


if __name__ == "__main__":
    sys.exit(main())
