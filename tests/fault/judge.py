"""What must be true whatever was done to a node: the second implementation keeps all that the node told it and looks for
anything lost, said twice, or said otherwise."""

import collections
import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time

import sealing
from border import Border, Listener
from fault import FaultyNode
from formats import Pouch
from node import BUILD, PATIENCE_S, wait_for
from outside import INCIDENT
from peer import Answer, Party, blob

SAFE_EXITS = {0, 4}  # stopped as asked; a local fault, said on stderr
LOADER_EXITS = {1, 127}  # refused to start, with the reason; the dynamic loader did
LIBRARY_ENDS = {-6, -11}  # of a library that was given no memory: libtasn1, which GnuTLS uses, takes NULL for a node
LARGE = "x" * 100_000  # a body over 64 KiB is a file


BAD = ("losses", "divergences", "crashes", "hangs", "damages")


class Finding(Exception):
    """Something that must never be. `what` is the column of the table it counts in."""

    def __init__(self, what, text):
        super().__init__(f"{what}: {text}")
        self.what = what


def say(text):
    print(text, file=sys.stderr, flush=True)


class Row:
    """Outcomes of one scenario under one kind of fault."""

    def __init__(self, scenario, kind):
        self.scenario, self.kind = scenario, kind
        self.cases = self.met = self.points = 0
        self.seconds = 0.0
        self.bad = {word: 0 for word in BAD}
        self.findings = []

    def fields(self):
        return {"part": "faults", "scenario": self.scenario, "kind": self.kind, "points": self.points,
                "cases": self.cases, "met": self.met, **self.bad, "seconds": round(self.seconds, 1),
                "findings": self.findings}  # fmt: skip


def need(condition, what, text):
    if not condition:
        raise Finding(what, text)


class World:
    """A node with the shim in it, and a party of the second implementation that listens; one channel between them."""

    def __init__(self, name="aurora.example", folder=None):
        self.stack = contextlib.ExitStack()
        self.folder = folder or self.stack.enter_context(tempfile.TemporaryDirectory(prefix="entf"))
        self.node = FaultyNode(self.folder, name)
        self.stack.callback(self.end)
        self.party = Party("vega.example", self.folder)
        listener = self.party.listener = Listener()
        self.party.url = listener.url
        self.party.card = self.party.make_card()
        with open(self.party.card_path, "wb") as file:
            file.write(self.party.card)
        self.party.cards[self.party.name] = self.party.card
        fields = self.party.know(self.node.card)
        self.pin = fields["tls"]
        listener.behaviour = self.answer
        listener.serve(self.party, [self.node.certificate])
        self.stack.callback(listener.close)
        self.refusals = []
        self.strangled = False  # something else than the shim may end it
        self.named = {}  # (channel, index): nonce, of what the node said it had logged
        self.said = set()  # nonces that the node was asked to say
        self.carried = {}  # channel: [(pouch, receipt)]
        self.attached = []  # (channel, index, digest)
        self.heads = collections.defaultdict(set)  # (origin, size): the texts signed
        self.border = None
        self.node.start()
        self.node.add_peer(self.party.card_path)
        self.connect()
        self.channel = self.open("line")

    def close(self):
        self.stack.close()

    def end(self):
        if self.node.process is not None:
            self.node.kill()
        if self.border:
            self.border.close()
        self.party.listener.hang_up()

    def connect(self):
        """A new connection to the node's border, when one is next needed."""
        if self.border:
            self.border.close()
        self.border = Border(self.node.port, self.party, self.pin)

    # ---- what comes from the node -------------------------------------------------------------------------------------

    def answer(self, request):
        if request.path == "/pouch":
            self.look_at(request)
        answer = self.party.answer(request)
        asked = request.method == "GET" and answer.status == 404  # for a head that we do not hold
        if answer.status not in (200, 201, 202) and not asked:
            self.refusals.append((answer, request.method, request.path))
        self.party.listener.requests.clear()  # looked at; a long run must not keep them
        return answer

    def look_at(self, request):
        pouch = Pouch.parse(request.body)
        self.heads[pouch.origin, pouch.size].add(pouch.checkpoint)

    # ---- the process --------------------------------------------------------------------------------------------------

    def died(self, patience=0.0):
        """Whether the node has ended; how it ended is judged."""
        process = self.node.process
        if process is None:
            return True
        if patience:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
        if process.poll() is None:
            return False
        self.node.process = None
        faults = self.node.faults
        killed = (faults.hit or faults.hits > 0 or self.strangled) and process.returncode in (-9, 137)
        by_library = faults.kind == "nomem-library" and process.returncode in LIBRARY_ENDS
        need(killed or by_library or process.returncode in SAFE_EXITS or self.strangled and process.returncode in LOADER_EXITS, "crashes",
             f"entented ended with {process.returncode}:\n{self.node.log()[-600:]}")
        return True

    def up(self):
        """The node without a fault."""
        self.node.faults.disarm()
        if self.node.process is None:
            try:
                self.node.start()
            except AssertionError as error:
                raise Finding("losses", f"it does not start again: {str(error)[-1500:]}") from error
            self.connect()

    # ---- what happens -------------------------------------------------------------------------------------------------

    def open(self, alias):
        """A channel that the party opens, open on both sides; may be called again until it is."""
        channel = self.party.open_channel([self.node.name])
        self.opened(channel, alias)
        return channel

    def opened(self, channel, alias):
        answer = self.until(lambda: self.border.post(channel.pouch(self.node.name, 0)))
        need(answer.status in (200, 202), "losses", f"the invitation: {answer}")

        def accepted():
            """it is accepted; after a crash, the other side is asked first"""
            if self.node.api("GET", f"/channels/{channel.id}")["state"] == "invited":
                with contextlib.suppress(AssertionError):
                    self.node.api("POST", f"/channels/{channel.id}/accept", json.dumps({"alias": alias}).encode())
            return self.node.api("GET", f"/channels/{channel.id}")["state"] != "invited"

        self.wait(accepted, "the channel to be accepted")
        self.wait(lambda: len(channel.logs[self.node.name]) >= 1, "the entry 0 of the node")
        self.deliver(channel)

    def draft(self, channel, large=False, attachment=None):
        """(nonce, draft) of a message that can be told from every other."""
        nonce = os.urandom(16).hex()
        self.said.add(nonce)
        body = {"fields": {"nonce": nonce, "reply_by": "2030-01-01T00:00:00Z"}}
        draft = {"channel": channel.id, "kind": "contact.check", "body": body}
        if large or attachment:
            body = json.loads(json.dumps(INCIDENT))
            body["fields"]["title"] = nonce
            body["text"]["en"] = LARGE if large else "text"
            draft.update(kind="incident.notification", body=body)
        if attachment:
            body["files"] = [{"name": "a"}]
            draft["attachments"] = [attachment]
        return nonce, draft

    def say(self, channel, large=False, attachment=None, timeout_s=int(PATIENCE_S) - 2):
        """Have the node say something and wait for the receipt; what it names must last."""
        nonce, draft = self.draft(channel, large, attachment)
        if self.died():  # it met the fault a moment ago
            self.up()
        said = self.node.api("POST", f"/messages?wait=receipt&timeout={timeout_s}", json.dumps(draft).encode())
        key = (channel.id, said["index"])
        need(key not in self.named, "divergences", f"index {said['index']} was given twice")
        self.named[key] = nonce
        return said

    def attach(self, channel, size=70_000):
        data = os.urandom(size)
        return self.node.api("POST", f"/attachments?channel={channel.id}&type=application/octet-stream", data)

    def deliver(self, channel):
        """Hand over what the node lacks of the party's log, until it is receipted."""
        with self.party.lock:
            pouch = channel.pouch(self.node.name)
        answer = self.until(lambda: self.border.post(pouch))
        need(answer.status == 200, "losses", f"a good pouch of size {pouch.size} is refused: {answer}")
        self.took(channel, pouch, answer.body)

    def took(self, channel, pouch, receipt):
        with self.party.lock:
            channel.take_receipt(receipt, self.node.name, pouch.size)
        rows = self.carried.setdefault(channel.id, [])
        for earlier, given in rows[-3:]:
            if earlier.size == pouch.size:
                need(given == receipt, "divergences", f"two receipts for size {pouch.size}")
        rows.append((pouch, receipt))

    def until(self, ask, patience=PATIENCE_S):
        """An answer that is not "later"."""
        until = time.monotonic() + patience
        while True:
            try:
                answer = ask()
            except (OSError, http.client.HTTPException) as error:
                answer = error
            if isinstance(answer, Answer) and answer.status not in (429, 500, 503, 507):
                return answer
            if self.died():  # it met the fault a moment ago
                self.up()
            need(time.monotonic() < until, "hangs", f"no answer for {patience} s but {answer!r}")
            time.sleep(0.01)

    def wait(self, what, text):
        try:
            return wait_for(what)
        except AssertionError as error:
            raise Finding("hangs", f"waited in vain: {text}") from error

    def party_says(self, channel, large=False, attached=False):
        """Log something at our side; gives (index, digest and sealed of the attachment, or None)."""
        with self.party.lock:
            if not large and not attached:
                return channel.say("contact.check", {"fields": {"nonce": "00" * 16, "reply_by": "2030-01-01T00:00:00Z"}}), None
            body = INCIDENT | {"text": {"en": LARGE if large else "text"}}
            if not attached:
                return channel.say("incident.notification", body), None
            sealed = sealing.seal(os.urandom(70_000), channel.recipients())
            named = blob(sealed, "application/octet-stream")
            index = channel.say("incident.notification", body | {"files": [{"name": "a"}]}, attachments=[named])
            return index, (named["digest"], sealed)

    def put_blob(self, digest, sealed):
        answer = self.until(lambda: self.border.request("PUT", f"/blob/{digest}", sealed))
        need(answer.status in (200, 201), "losses", f"a good attachment is refused: {answer}")

    # ---- judgement ----------------------------------------------------------------------------------------------------

    def judge_quickly(self):
        """After each case; the node is up."""
        need(not self.refusals, "divergences", f"our side had to refuse what the node sent: {self.refusals[:2]}")
        twice = {key: len(texts) for key, texts in self.heads.items() if len(texts) > 1}
        need(not twice, "divergences", f"heads signed twice: {twice}")
        status = {}

        def at_rest():
            """nothing is held any more: after a crash the other side is asked first"""
            status.update(self.node.api("GET", "/status"))
            return status["forks"] or not status["held"]

        with contextlib.suppress(AssertionError):
            wait_for(at_rest)
        need(not status["forks"], "divergences", f"a fork: {status['forks']}")
        need(not status["held"], "losses", f"held for ever: {status['held']}")

    def judge(self):
        """At the end; the node is up."""
        self.judge_quickly()
        for channel in list(self.party.channels.values()):
            if channel.id in self.carried:
                self.judge_what_the_node_said(channel)
                self.judge_what_it_receipted(channel)
        for channel_id, index, digest in self.attached:
            shown = self.node.api("GET", f"/messages/{channel_id}/{self.party.name}/{index}")
            states = {row["digest"]: row["state"] for row in shown["attachment_list"]}
            need(states[digest] == "held", "losses", f"attachment {digest} is {states[digest]}")
        self.audit()

    def judge_what_the_node_said(self, channel):
        log = lambda: channel.logs[self.node.name]  # noqa: E731
        members = self.node.api("GET", f"/channels/{channel.id}")["members"]
        size = next(member["size"] for member in members if member["name"] == self.node.name)
        self.wait(lambda: len(log()) >= size, f"all {size} entries of the node")
        seen = collections.Counter()
        for index in range(1, len(log())):
            entry = channel.entry(self.node.name, index)
            if entry["kind"] not in ("contact.check", "incident.notification"):
                continue
            body, agreed = channel.open(self.node.name, index)
            need(agreed, "losses", f"message {index} is not sealed as agreed")
            nonce = body["fields"].get("nonce") or body["fields"].get("title")
            seen[nonce] += 1
            named = self.named.get((channel.id, index))
            need(named in (None, nonce), "divergences", f"message {index} is another now")
            need(nonce in self.said, "divergences", f"message {index} was never said")
        need(not seen or max(seen.values()) == 1, "divergences", "something was said twice")
        for channel_id, index in self.named:
            need(channel_id != channel.id or index < len(log()), "losses", f"message {index} had a name and is lost")

    def judge_what_it_receipted(self, channel):
        rows = self.carried[channel.id]
        for pouch, receipt in rows if len(rows) < 60 else rows[:: len(rows) // 40]:
            answer = self.until(lambda pouch=pouch: self.border.post(pouch))
            need(answer.status == 200, "losses", f"what was receipted at {pouch.size} is refused: {answer}")
            need(answer.body == receipt, "divergences", f"another receipt for size {pouch.size}")
        for index in range(len(channel.own)):
            shown = self.node.api("GET", f"/messages/{channel.id}/{self.party.name}/{index}")
            need(shown["entry"].encode() == channel.own.entries[index], "divergences", f"entry {index} is another")
            need(shown["contested"] is None, "losses", f"entry {index} is contested: {shown['contested']}")

    def audit(self):
        if not has_verb("audit"):
            return
        done = self.node.run("audit", check=False)
        need(done.returncode == 0, "damages", f"audit: {done.stdout.decode()[-800:]}{done.stderr.decode()[-400:]}")


VERBS = {}


def has_verb(*words):
    """Whether the command line has this verb."""
    if words not in VERBS:
        done = subprocess.run([os.path.join(BUILD, "entente"), *words, "--help"], capture_output=True, check=False)
        VERBS[words] = done.returncode == 0
    return VERBS[words]
