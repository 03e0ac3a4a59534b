"""A second implementation of a party: its keys and card, its channels and logs, what it says, and how it checks and
receipts what others say (design, sections 2 and 3). It keeps everything in memory, and every honest node must get along
with it."""

import datetime
import hashlib
import json
import os
import re
import threading
import time
import urllib.parse
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import formats
import sealing
from formats import Note, Pouch, Refused, Tree, compact, need, sha256


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Answer:
    """An HTTP answer, of a node or of ours."""

    status: int
    type: str = "text/plain"
    body: bytes = b""
    headers: dict = field(default_factory=dict)

    @property
    def word(self):
        """The stable word of a JSON reason."""
        return json.loads(self.body)["error"]["code"]


class Stale(Refused):
    """The pouch begins beyond what is held."""

    def __init__(self, held):
        super().__init__("stale", f"{held} held")
        self.held = held


def tls_identity(name, folder):
    """(certificate file with its key, pin): a self-signed ECDSA P-256 certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    day = datetime.datetime(2020, 1, 1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(day)
        .not_valid_after(day + datetime.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = os.path.join(folder, f"{name}.pem")
    with open(path, "wb") as file:
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return path, pin_of(certificate)


def pin_of(certificate):
    """SHA-256 of the SubjectPublicKeyInfo."""
    return sha256(
        certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    ).hex()


class Log:
    """What is held of one member's log."""

    def __init__(self, origin):
        self.origin = origin
        self.entries = []
        self.bodies = {}
        self.tree = Tree()
        self.head = b""  # newest signed head
        self.heads = {}  # size: root, of every signed head seen
        self.receipts = {}  # receiver: [(size, time, note)], by size
        self.acked = {}  # member: largest size that the entries ack

    def __len__(self):
        return len(self.entries)

    def copy(self):
        other = Log(self.origin)
        other.entries, other.bodies, other.tree = list(self.entries), dict(self.bodies), self.tree.copy()
        other.head, other.heads, other.acked = self.head, dict(self.heads), dict(self.acked)
        other.receipts = {receiver: list(rows) for receiver, rows in self.receipts.items()}
        return other

    def append(self, entry, sealed):
        if sealed is not None:
            self.bodies[len(self.entries)] = sealed
        self.entries.append(entry)
        self.tree.append(formats.leaf_hash(entry))

    def covering(self, receiver, size):
        """The first receipt by `receiver` that covers size."""
        return next((note for at, _, note in self.receipts.get(receiver, []) if at >= size), None)


class Channel:
    """One channel as one party holds it. `say` and `take` are the two things that happen in it."""

    def __init__(self, party, genesis_bytes):
        self.party = party
        self.genesis_bytes = genesis_bytes
        self.genesis = formats.genesis_decode(genesis_bytes)
        self.id = sha256(genesis_bytes).hex()
        self.members = {member["name"]: member for member in self.genesis["members"]}
        self.logs = {name: Log(f"{name}/entente/{self.id}") for name in self.members}
        self.confirmed = {name: 0 for name in self.members}  # how much of our log each is known to hold
        self.invitation = None
        need(self.members[party.name] == party.member(), "mismatch", "the genesis has other keys of ours")

    def copy(self):
        """The same at this moment, to try out another future."""
        other = Channel.__new__(Channel)
        other.__dict__.update(self.__dict__)
        other.logs = {name: log.copy() for name, log in self.logs.items()}
        other.confirmed = dict(self.confirmed)
        return other

    @property
    def own(self):
        return self.logs[self.party.name]

    def recipients(self):
        return [bytes.fromhex(member["age"]) for member in self.genesis["members"]]

    # ---- saying -----------------------------------------------------------------------------------------------------

    def acks(self):
        """Heads of other logs that we have receipted since our last entry."""
        acks = []
        for name in sorted(self.logs):
            receipts = self.logs[name].receipts.get(self.party.name)
            if name != self.party.name and receipts and receipts[-1][0] > self.own.acked.get(name, 0):
                size = receipts[-1][0]
                root = self.logs[name].tree.roots[size]
                acks.append({"origin": self.logs[name].origin, "size": size, "root": root.hex()})
        return acks

    def draft(self, kind, sealed, **changes):
        """The fields of our next entry."""
        fields = {
            "v": 1,
            "channel": self.id,
            "writer": self.party.name,
            "index": len(self.own),
            "time": now(),
            "kind": kind,
            "nonce": os.urandom(16).hex(),
            "thread": None,
            "reply_to": None,
            "to": [],
            "acks": self.acks(),
            "agreement": self.genesis["terms"],
            "marking": None,
            "urgency": None,
            "exercise": False,
            "body": sealed and blob(sealed, "application/json"),
            "attachments": [],
        }
        assert set(changes) <= set(fields)
        return {**fields, **changes}

    def say(self, kind, body=None, sealed=None, **changes):
        """Log a message; gives its index. `body` is what is sealed, unless `sealed` stands for it already."""
        if sealed is None and body is not None:
            plain = body if isinstance(body, bytes) else json.dumps(body).encode()
            sealed = sealing.seal(plain, self.recipients())
        fields = self.draft(kind, sealed, **changes)
        for ack in fields["acks"]:
            self.own.acked[ack["origin"].split("/")[0]] = ack["size"]
        return self.say_raw(formats.entry_encode(fields), sealed)

    def say_raw(self, entry, sealed=None):
        """Log these bytes, whatever they are, and sign."""
        self.own.append(entry, sealed)
        self.sign()
        return len(self.own) - 1

    def sign(self):
        size = len(self.own)
        text = formats.checkpoint_text(self.own.origin, size, self.own.tree.roots[size])
        self.own.head = formats.note_sign(text, self.own.origin, self.party.log)
        self.own.heads[size] = self.own.tree.roots[size]

    def pouch(self, to, old_size=None):
        """What a member lacks of our log, with what else it may lack."""
        log, first = self.own, self.confirmed[to] if old_size is None else old_size
        pouch = Pouch(log.origin, first, len(log), checkpoint=log.head, entries=log.entries[first:])
        pouch.bodies = {index: sealed for index, sealed in log.bodies.items() if index >= first}
        for name, other in self.logs.items():
            if name != self.party.name and other.head:
                pouch.heads[name] = other.head
            if name == to and self.party.name in other.receipts:
                pouch.receipts.append((self.party.name, other.receipts[self.party.name][-1][2]))
        if first == 0:
            pouch.genesis = self.genesis_bytes
            pouch.cards = {name: card for name, card in self.party.cards.items() if name in self.members}
        return pouch

    def give_back(self, writer, old_size):
        """A log again from an entry on, for a member that may have lost it."""
        log = self.logs[writer]
        need(old_size <= len(log), "usage", f"{len(log)} held")
        need(log.head, "not-open", "nothing is held of this log")
        pouch = Pouch(log.origin, old_size, len(log), checkpoint=log.head, entries=log.entries[old_size:])
        pouch.bodies = {index: sealed for index, sealed in log.bodies.items() if index >= old_size}
        pouch.heads = {name: other.head for name, other in self.logs.items() if name != writer and other.head}
        for receiver, rows in sorted(log.receipts.items()):
            pouch.receipts += [(receiver, note) for size, _, note in rows if old_size <= size]
        if old_size == 0:
            pouch.genesis = self.genesis_bytes
            pouch.cards = {name: card for name, card in self.party.cards.items() if name in self.members}
        return pouch

    # ---- hearing ----------------------------------------------------------------------------------------------------

    def take_receipt(self, data, receiver, least):
        """Check a receipt for our own log and keep it; gives its size."""
        note = Note.parse(data)
        origin, size, root = formats.checkpoint_parse(note.text)
        need(origin == self.own.origin, "mismatch", "a receipt for another log")
        need(least <= size <= len(self.own), "inconsistent", "a receipt for another size")
        need(root == self.own.tree.roots[size], "inconsistent", "a receipt for another root")
        key = bytes.fromhex(self.members[receiver]["receipt"])
        times = note.cosigned_by(f"{receiver}/entente/receipt", key)
        need(len(times) == 1 and len(note.signatures) == 1, "bad-signature", "receipt")
        rows = self.own.receipts.setdefault(receiver, [])
        if all(row[2] != data for row in rows):
            rows.append((size, times[0], data))
            rows.sort()
        self.confirmed[receiver] = max(self.confirmed[receiver], size)
        return size

    def receipt(self, name):
        """Cosign what is held of a log."""
        log = self.logs[name]
        text = formats.checkpoint_text(log.origin, len(log), log.tree.roots[len(log)])
        moment = int(time.time())
        line = formats.cosignature_line(text, f"{self.party.name}/entente/receipt", self.party.receipt, moment)
        log.receipts.setdefault(self.party.name, []).append((len(log), moment, text + b"\n" + line))

    def take(self, pouch):
        """Check a pouch of another member's log in the order of design, section 3; gives the receipt."""
        writer, _, rest = pouch.origin.partition("/entente/")
        need(writer in self.members and rest == self.id and writer != self.party.name, "forbidden", "origin")
        log = self.logs[writer]
        note = Note.parse(pouch.checkpoint)
        origin, size, root = formats.checkpoint_parse(note.text)
        need(origin == log.origin == pouch.origin and size == pouch.size, "mismatch", "checkpoint")
        need(note.signed_by(origin, bytes.fromhex(self.members[writer]["log"])), "bad-signature", "checkpoint")
        if pouch.old_size > len(log):
            raise Stale(len(log))
        need(len(pouch.entries) == size - pouch.old_size, "inconsistent", "number of entries")
        overlap = min(size, len(log)) - pouch.old_size
        need(pouch.entries[:overlap] == log.entries[pouch.old_size : pouch.old_size + overlap], "mismatch", "overlap")
        after = log.copy()
        for at, entry in enumerate(pouch.entries[overlap:], len(log)):
            after.append(entry, pouch.bodies.get(at))
        need(after.tree.roots[size] == root, "fork" if size <= len(log) else "inconsistent", "root")
        heads = self.check_heads(pouch, writer)
        for index in range(len(log), size):
            self.check_entry(after, writer, index, heads)
        self.check_receipts(pouch, after)
        after.head, after.heads[size] = pouch.checkpoint, root
        if size <= len(log):
            return log.covering(self.party.name, size)
        self.logs[writer] = after
        self.receipt(writer)
        return after.receipts[self.party.name][-1][2]

    def check_heads(self, pouch, writer):
        heads = set()
        for name, data in pouch.heads.items():
            need(name in self.members and name != writer, "mismatch", "heads: who")
            before = 0
            for one in formats.notes_split(data):
                note = Note.parse(one)
                origin, size, root = formats.checkpoint_parse(note.text)
                need(origin == self.logs[name].origin, "mismatch", "heads: origin")
                need(note.signed_by(origin, bytes.fromhex(self.members[name]["log"])), "bad-signature", "heads")
                need(size > before or before == 0, "malformed", "heads: order")
                need(size > len(self.logs[name]) or self.logs[name].tree.roots[size] == root, "fork", "heads")
                heads.add((origin, size, root.hex()))
                before = size
        return heads

    def check_entry(self, log, writer, index, heads):
        entry = formats.entry_decode(log.entries[index])
        need((entry["channel"], entry["writer"], entry["index"]) == (self.id, writer, index), "mismatch", "entry")
        need((entry["kind"] == "channel.genesis") == (index == 0), "invalid", "entry: kind")
        need(set(entry["to"]) <= set(self.members), "invalid", "entry: to")
        for ack in entry["acks"]:
            name = ack["origin"].split("/")[0]
            need(name in self.members and name != writer and ack["origin"] == self.logs[name].origin, "mismatch", "ack")
            need(ack["size"] >= log.acked.get(name, 1), "invalid", "ack goes back")
            held = self.logs[name].tree.roots
            known = ack["size"] < len(held) and held[ack["size"]].hex() == ack["root"]
            need(known or (ack["origin"], ack["size"], ack["root"]) in heads, "inconsistent", "ack")
            log.acked[name] = ack["size"]
        sealed = log.bodies.get(index)
        need((entry["body"] is None) == (sealed is None), "mismatch", "body: missing or too much")
        need(sealed is None or entry["body"] == blob(sealed, entry["body"]["type"]), "mismatch", "body: digest or size")

    def check_receipts(self, pouch, after):
        for receiver, data in pouch.receipts:
            need(receiver in self.members, "mismatch", "receipt: who")
            note = Note.parse(data)
            origin, size, root = formats.checkpoint_parse(note.text)
            name = origin.split("/")[0]
            need(name in self.members and origin == self.logs[name].origin, "mismatch", "receipt: of what")
            key = bytes.fromhex(self.members[receiver]["receipt"])
            need(note.cosigned_by(f"{receiver}/entente/receipt", key), "bad-signature", "receipt")
            roots = (after if origin == after.origin else self.logs[name]).tree.roots
            need(size >= len(roots) or roots[size] == root, "inconsistent", "receipt: root")
            if name == self.party.name and receiver != name:
                self.take_receipt(data, receiver, 1)

    def entry(self, name, index):
        return formats.entry_decode(self.logs[name].entries[index])

    def open(self, name, index):
        """(opened body, whether it is sealed as agreed)."""
        sealed = self.logs[name].bodies[index]
        plain, key = sealing.open_sealed(sealed, self.party.identity)
        return json.loads(plain), sealing.sealed_as_agreed(sealed, key, self.recipients())


def member_age(member):
    """The age recipient of a member: hex in the genesis, bech32 for people."""
    return sealing.bech32("age", bytes.fromhex(member["age"]))


def blob(sealed, kind):
    return {"digest": hashlib.sha256(sealed).hexdigest(), "size": len(sealed), "type": kind}


class Party:
    """Keys, card, known cards, and channels by id. `answer` is what its listener says."""

    def __init__(self, name, folder, url=""):
        self.name = name
        self.url = url
        self.root, self.next_root, self.log, self.receipt = (formats.new_key() for _ in range(4))
        self.identity = sealing.new_identity()
        self.certificate, self.pin = tls_identity(name, folder)
        self.channels = {}
        self.invitations = {}
        self.blobs = {}
        self.parts = {}  # of those that come piece by piece
        self.lock = threading.RLock()
        self.card = self.make_card()
        self.cards = {name: self.card}
        self.card_path = os.path.join(folder, f"{name}.card")
        with open(self.card_path, "wb") as file:
            file.write(self.card)

    def member(self):
        keys = {"root": self.root, "log": self.log, "receipt": self.receipt}
        hexed = {key: formats.public_bytes(secret).hex() for key, secret in keys.items()}
        return {"name": self.name, **hexed, "age": sealing.public_of(self.identity).hex(), "tls": self.pin}

    def make_card(self):
        member = self.member()
        fields = {
            "name": self.name,
            "serial": 1,
            "previous": None,
            "issued": now(),
            "root": member["root"],
            "next_root": sha256(formats.public_bytes(self.next_root)).hex(),
            "log": member["log"],
            "receipt": member["receipt"],
            "age": member_age(member),
            "tls": self.pin,
            "url": self.url,
            "quotas": {"entries_a_day": 0, "bytes_a_day": 0, "attachment_bytes": 0},
            "contacts": [],
        }
        return formats.card_sign(fields, self.root)

    def know(self, card):
        fields = formats.card_parse(card)
        self.cards[fields["name"]] = card
        return fields

    def member_of(self, name):
        """A member as a genesis lists it, from the card we know."""
        fields = formats.card_parse(self.cards[name])
        member = {key: fields[key] for key in ("name", "root", "log", "receipt", "tls")}
        return {**member, "age": sealing.unbech32("age", fields["age"]).hex()}

    # ---- channels ---------------------------------------------------------------------------------------------------

    def open_channel(self, others, terms=b'{"title":"Terms"}', members=None, **changes):
        """A genesis and our entry 0."""
        salt = os.urandom(32)
        members = members or [self.member()] + [self.member_of(name) for name in others]
        genesis = formats.genesis_encode(members, sha256(salt + terms), os.urandom(16), **changes)
        channel = Channel(self, genesis)
        channel.say("channel.genesis", {"fields": {"salt": salt.hex(), "terms": formats.b64(terms)}})
        self.channels[channel.id] = channel
        return channel

    def accept(self, channel_id):
        """Say our entry 0 with the opener's salt and terms, and take the invitation in."""
        with self.lock:
            channel, pouch = self.invitations.pop(channel_id)
            opener = pouch.origin.split("/")[0]
            plain, key = sealing.open_sealed(pouch.bodies[0], self.identity)
            need(sealing.sealed_as_agreed(pouch.bodies[0], key, channel.recipients()), "invalid", "terms: sealing")
            fields = json.loads(plain)["fields"]
            terms = formats.unb64(fields["terms"])
            commitment = sha256(bytes.fromhex(fields["salt"]) + terms).hex()
            need(commitment == channel.genesis["terms"], "mismatch", "terms")
            channel.say("channel.genesis", plain)
            need(channel.take(pouch), "bug", f"no receipt for {opener}")
            self.channels[channel_id] = channel
            return channel

    def invited(self, pouch):
        channel = Channel(self, pouch.genesis)
        need(pouch.origin.endswith("/" + channel.id), "mismatch", "the id is not the digest of the genesis")
        opener = pouch.origin.split("/")[0]
        need(opener in self.cards, "unknown-peer", opener)
        need(channel.members[opener] == self.member_of(opener), "mismatch", "other keys than the card's")
        for name, card in pouch.cards.items():
            need(formats.card_parse(card)["name"] == name, "mismatch", "cards")
        channel.copy().take(pouch)
        self.invitations[channel.id] = (channel, pouch)

    # ---- the listener -----------------------------------------------------------------------------------------------

    def answer(self, request):
        """What this party's listener answers."""
        try:
            with self.lock:
                return self.answer_checked(request)
        except Stale as stale:
            return Answer(409, "text/x.tlog.size", b"%d\n" % stale.held)
        except Refused as refused:
            status = 403 if refused.word in ("unknown-peer", "forbidden") else 422
            reason = {"error": {"code": refused.word, "rule": "", "text": str(refused)}}
            return Answer(status, "application/json", compact(reason))

    def take_blob(self, digest, content_range, body):
        """An attachment, whole or piece by piece."""
        if digest in self.blobs:
            return Answer(200, "text/plain", b"held\n")
        part = self.parts.setdefault(digest, bytearray())
        if content_range is None:
            part[:] = body
        else:
            asked = re.fullmatch(r"bytes (?:\*|(\d+)-(\d+))/(\d+)", content_range)
            need(asked, "malformed", content_range)
            offset = b"%d\n" % len(part)
            if asked[1] is None:
                return Answer(202, "text/x.entente.offset", offset)
            need(int(asked[2]) + 1 - int(asked[1]) == len(body), "malformed", content_range)
            if int(asked[1]) != len(part):
                return Answer(409, "text/x.entente.offset", offset)
            part += body
            if len(part) < int(asked[3]):
                return Answer(202, "text/x.entente.offset", b"%d\n" % len(part))
        whole = bytes(self.parts.pop(digest))
        need(hashlib.sha256(whole).hexdigest() == digest, "mismatch", "blob")
        self.blobs[digest] = whole
        return Answer(201, "text/plain", b"held\n")

    def newest_head(self, origin):
        """The newest head that is held of a log, for a node that does not know how far it came."""
        writer, _, channel_id = origin.partition("/entente/")
        channel, pouch = self.invitations.get(channel_id, (self.channels.get(channel_id), None))
        note = channel and writer in channel.logs and channel.logs[writer].head
        if pouch and pouch.origin == origin:
            note = pouch.checkpoint
        if note:
            return Answer(200, "text/plain", note)
        reason = {"error": {"code": "not-found", "rule": "", "text": "nothing is held of this log"}}
        return Answer(404, "application/json", compact(reason))

    def recovered(self, request, path, query):
        """GET /pouch, /channels and /blob, for a node that was restored."""
        asker = next(name for name, card in self.cards.items() if formats.card_parse(card)["tls"] == request.pin)
        shared = {key: channel for key, channel in self.channels.items() if asker in channel.members}
        if path == "/channels":
            known = sorted(key for key, channel in shared.items() if len(channel.logs[asker]) > 0)
            return Answer(200, "text/plain", b"".join(f"{key}\n".encode() for key in known if key > query.get("after", "")))
        if path == "/pouch":
            writer, _, channel_id = query["origin"].partition("/entente/")
            need(channel_id in shared, "forbidden", channel_id)
            return Answer(200, "application/x-tar", shared[channel_id].give_back(writer, int(query["old"])).encode())
        whole = self.blobs.get(path.removeprefix("/blob/"))
        if whole is None:
            reason = {"error": {"code": "not-found", "rule": "", "text": "no such attachment"}}
            return Answer(404, "application/json", compact(reason))
        first, last = (int(part) for part in re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["Range"]).groups())
        need(len(whole) == int(query["size"]) and last < len(whole), "malformed", "range")
        return Answer(206, "application/octet-stream", whole[first : last + 1])

    def answer_checked(self, request):
        need(request.pin in [formats.card_parse(card)["tls"] for card in self.cards.values()], "unknown-peer", "pin")
        if request.method == "PUT" and request.path.startswith("/blob/"):
            return self.take_blob(request.path[6:], request.headers.get("Content-Range"), request.body)
        if request.method == "GET" and request.path.startswith("/head?origin="):
            return self.newest_head(urllib.parse.unquote(request.path.partition("=")[2]))
        path, _, query = request.path.partition("?")
        if request.method == "GET" and (path in ("/pouch", "/channels") or path.startswith("/blob/")):
            return self.recovered(request, path, dict(urllib.parse.parse_qsl(query)))
        need((request.method, request.path) == ("POST", "/pouch"), "not-found", request.path)
        pouch = Pouch.parse(request.body)
        need(request.headers["Entente-Origin"] == pouch.origin, "mismatch", "Entente-Origin")
        need(request.headers["Entente-Old-Size"] == str(pouch.old_size), "mismatch", "Entente-Old-Size")
        need(request.headers["Entente-Size"] == str(pouch.size), "mismatch", "Entente-Size")
        channel = self.channels.get(pouch.origin.split("/")[-1])
        if channel is None:
            need(pouch.genesis, "forbidden", "an unknown channel")
            self.invited(pouch)
            return Answer(202, "text/plain", b"invited\n")
        return Answer(200, "text/plain", channel.take(pouch))
