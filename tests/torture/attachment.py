"""A large attachment crosses between two real nodes that are killed on the way, while flash messages pass.

    tests/torture/attachment.py --bytes 2147483648 --kills 6

Prints what was measured as one JSON object; exit status 1 when something is not as it must be. Needs some three times as
many bytes of disk in the temporary folder."""

import argparse
import glob
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(SOURCE, "tests", "outside"), os.path.join(SOURCE, "tests", "fault")]

from judge import Row  # noqa: E402
from node import BUILD, EXAMPLES, Node, wait_for  # noqa: E402

BLOCK = 1 << 20
# Sanitizers take several times the memory and the time.
SANITIZED = "ENTENTE_PATIENCE" in os.environ
MOST_MEMORY = (64 << 20) * (4 if SANITIZED else 1)  # of each process: docs/threat-model.md, design section 11
MOST_LATENCY_S = 1.0 * (4 if SANITIZED else 1)


def make_file(path, size):
    """Random bytes, none twice in a row; gives their SHA-256."""
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        while size > 0:
            block = os.urandom(min(BLOCK, size))
            digest.update(block)
            file.write(block)
            size -= len(block)
    return digest.hexdigest()


def digest_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def open_channel(folder, nodes):
    terms = os.path.join(folder, "terms.json")
    with open(terms, "w", encoding="utf-8") as file:
        file.write('{"title":"Terms"}')
    first, second = nodes
    first.add_peer(second.card_path)
    second.add_peer(first.card_path)
    channel = first.text("channel", "open", "--with", second.name, "--terms", terms, "--alias", "line")
    wait_for(lambda: second.run("channel", "accept", channel, "--alias", "line", check=False).returncode == 0)
    for node in nodes:
        wait_for(lambda: node.channel("line")["state"] == "open")


def processes_of(node):
    """The daemon and what it has started."""
    found = {node.process.pid}
    for status in glob.glob("/proc/[0-9]*/status"):
        try:
            with open(status, encoding="utf-8") as file:
                fields = dict(line.split(":", 1) for line in file if ":" in line)
        except OSError:
            continue
        if int(fields["PPid"]) == node.process.pid:
            found.add(int(fields["Pid"]))
    return found


def memory_of(node):
    """The most that any of its processes has held in memory, in bytes."""
    most = 0
    for pid in processes_of(node):
        try:
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                most = max([most] + [int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM")])
        except OSError:
            continue
    return most


class Transfer:
    """One run. `sender` attaches, `receiver` opens."""

    def __init__(self, folder, size, kills):
        self.folder = folder
        self.size = size
        self.kills = kills
        self.sender = Node(folder, "aurora.example")
        self.receiver = Node(folder, "boreal.example")
        self.memory = {}
        self.latencies = []
        self.lost = []  # bytes that a kill has cost
        self.stopping = threading.Event()

    def nodes(self):
        return (self.sender, self.receiver)

    def note_memory(self):
        for node in self.nodes():
            if node.process is not None:
                self.memory[node.name] = max(self.memory.get(node.name, 0), memory_of(node))

    def come(self):
        """Bytes of it that have come."""
        parts = glob.glob(os.path.join(self.receiver.dir, "blobs", "parts", "*"))
        try:
            return max([os.stat(part).st_size for part in parts] + [0])
        except FileNotFoundError:
            return 0  # just now it has become whole

    def flash(self):
        """Flash messages, one after another; how long each takes until it is receipted."""
        with open(os.path.join(EXAMPLES, "incident.notification.json"), encoding="utf-8") as file:
            body = json.load(file)
        draft = {"channel": "line", "kind": "incident.notification", "urgency": "flash", "body": body}
        while not self.stopping.is_set():
            began = time.monotonic()
            answer = self.sender.api("POST", "/messages?wait=receipt&timeout=20", json.dumps(draft).encode())
            if not answer["done"]:
                raise AssertionError(f"no receipt for a flash message: {answer}")
            self.latencies.append(time.monotonic() - began)
            self.stopping.wait(0.2)

    def kill_at(self, bytes_come, node):
        """SIGKILL when so much has come; what came must still be there afterwards."""
        wait_for(lambda: self.come() >= bytes_come, 600, 0.001)
        self.note_memory()
        node.kill()
        before = self.come()
        node.start()
        wait_for(lambda: self.come() > before or self.is_held(), 120, 0.005)
        self.lost.append(max(0, before - self.come()))

    def is_held(self):
        """the receiver has said that it holds it"""
        (row,) = self.sender.json("show", self.message)["attachment_list"]
        return row["held_by"] == [self.receiver.name]

    def watch(self):
        """Flash messages while it crosses, undisturbed."""
        officer = threading.Thread(target=self.flash)
        officer.start()
        try:
            wait_for(self.is_held, 1800, 0.2)
        finally:
            self.stopping.set()
            officer.join()

    def attach(self, path):
        began = time.monotonic()
        body = os.path.join(EXAMPLES, "evidence.item.json")
        self.message = self.sender_sends(body, path)
        return time.monotonic() - began

    def sender_sends(self, body, path):
        command = [os.path.join(BUILD, "entente"), "send", "evidence.item", "--channel", "line", "--body", body,
                   "--attach", path, "--dir", self.sender.dir]  # fmt: skip
        return subprocess.run(command, check=True, capture_output=True, timeout=1800).stdout.decode().strip()

    def open(self, node, path):
        """Open it there, compare, and remove it; gives its digest."""
        command = [os.path.join(BUILD, "entente"), "open", self.message, "--attachment", "0", "-o", path,
                   "--dir", node.dir]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=1800)
        digest = digest_of(path)
        os.unlink(path)
        return digest

    def run(self):
        path = os.path.join(self.folder, "attached")
        digest = make_file(path, self.size)
        for node in self.nodes():
            node.start()
        open_channel(self.folder, self.nodes())
        sealed_s = self.attach(path)
        began = time.monotonic()
        for at in range(self.kills):
            self.kill_at(self.size * (at + 1) // (self.kills + 2), self.nodes()[at % 2])
        self.watch()
        crossed_s = time.monotonic() - began
        opened = self.open(self.receiver, path)
        self.note_memory()
        received = sum("event=attachment.received" in line for line in self.receiver.log().splitlines())
        for node in self.nodes():
            node.stop()
        return {
            "bytes": self.size,
            "kills": self.kills,
            "sealed_s": round(sealed_s, 2),
            "crossed_s": round(crossed_s, 2),
            "mib_a_second": round(self.size / crossed_s / (1 << 20), 1),
            "memory": self.memory,
            "flash": len(self.latencies),
            "flash_median_s": round(statistics.median(self.latencies or [0]), 4),
            "flash_most_s": round(max(self.latencies or [0]), 4),
            "lost_to_kills": self.lost,
            "same": opened == digest,
            "received": received,
        }


def faults_of(result):
    """What is not as it must be."""
    faults = []
    if not result["same"]:
        faults.append("what was opened is not what was attached")
    if result["received"] > 1:
        faults.append(f"it came {result['received']} times")
    if max([0] + result["lost_to_kills"]) > 0:
        faults.append(f"a kill has cost bytes that had come: {result['lost_to_kills']}")
    faults += [f"{name} held {bytes_held} bytes in memory" for name, bytes_held in result["memory"].items()
               if bytes_held > MOST_MEMORY]  # fmt: skip
    if result["flash_most_s"] > MOST_LATENCY_S:
        faults.append(f"a flash message took {result['flash_most_s']} s")
    return faults


def row_of(result, faults, seconds):
    """As script/torture has its rows: a case is a kill, or a flash message beside the transfer."""
    row = Row(f"an attachment of {result['bytes'] / (1 << 30):.3g} GiB", "killed, beside flash messages")
    row.cases, row.met, row.seconds = result["kills"] + result["flash"], result["kills"], seconds
    row.bad["losses"] = len(faults)
    row.findings = faults
    memory = " and ".join(f"{size / (1 << 20):.0f} MiB" for size in result["memory"].values())
    measured = (
        f"{result['mib_a_second']} MiB/s with {result['kills']} kills on the way; sender and receiver held {memory} in memory at most; "
        f"{result['flash']} flash messages meanwhile were receipted in {result['flash_median_s'] * 1000:.0f} ms (median), "
        f"{result['flash_most_s'] * 1000:.0f} ms at most"
    )
    return {**row.fields(), "part": "attachment", "measured": measured}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=2 << 30)
    parser.add_argument("--kills", type=int, default=6, help="SIGKILLs on the way, of the sender and the receiver in turn")
    parser.add_argument("--rows", help="append a row for script/torture's table to this file")
    options = parser.parse_args()
    begun = time.monotonic()
    folder = tempfile.mkdtemp(prefix="entente-attachment-")
    try:
        result = Transfer(folder, options.bytes, options.kills).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    faults = faults_of(result)
    print(json.dumps({**result, "faults": faults}, indent=1))
    if options.rows:
        with open(options.rows, "a", encoding="utf-8") as out:
            print(json.dumps(row_of(result, faults, time.monotonic() - begun)), file=out)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
