"""A second implementation of the formats, from their descriptions: C2SP signed-note, tlog-checkpoint, tlog-cosignature,
tlog-proof and tlog-policy, RFC 6962, and our own card, genesis, entry and pouch (design, section 2).

It shares no code with src/: where both agree, the description was enough. Every decoder takes only what the encoder
would write. Refusals raise Refused with the stable word that the other implementation should give too."""

import base64
import binascii
import hashlib
import json
import re
import struct
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\Z")
PLAIN = re.compile(r"[ !#-\[\]-~]*\Z")  # bytes 20-7E without '"' and '\'
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
MAX_INTEGER = 2**53 - 1


class Refused(Exception):
    """What came is not as it must be; `word` is the stable code."""

    def __init__(self, word, text=""):
        super().__init__(f"{word}: {text}")
        self.word = word


def need(condition, word, text=""):
    if not condition:
        raise Refused(word, text)


def sha256(data):
    return hashlib.sha256(data).digest()


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("malformed", f"base64: {error}") from error
    need(b64(data) == text, "malformed", "base64 that is not canonical")
    return data


def compact(value):
    """The one spelling of canonical JSON: members in the order given, no space."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode()


def public_bytes(key):
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


# ---- RFC 6962 -------------------------------------------------------------------------------------------------------


def leaf_hash(entry):
    return sha256(b"\0" + entry)


def node_hash(left, right):
    return sha256(b"\1" + left + right)


def _split(count):
    """The largest power of two smaller than count."""
    return 1 << ((count - 1).bit_length() - 1)


def tree_root(leaves):
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    at = _split(len(leaves))
    return node_hash(tree_root(leaves[:at]), tree_root(leaves[at:]))


class Tree:
    """Leaves, and the root at every size so far."""

    def __init__(self):
        self.leaves = []
        self.roots = [tree_root([])]
        self._edge = []  # (hash, number of leaves)

    def append(self, leaf):
        self.leaves.append(leaf)
        self._edge.append((leaf, 1))
        while len(self._edge) > 1 and self._edge[-1][1] == self._edge[-2][1]:
            right, count = self._edge.pop()
            left, _ = self._edge.pop()
            self._edge.append((node_hash(left, right), 2 * count))
        root = self._edge[-1][0]
        for left, _ in reversed(self._edge[:-1]):
            root = node_hash(left, root)
        self.roots.append(root)

    def copy(self):
        other = Tree()
        other.leaves, other.roots, other._edge = list(self.leaves), list(self.roots), list(self._edge)
        return other

    def __len__(self):
        return len(self.leaves)


def inclusion_root(index, leaf, size, path):
    """The root that an inclusion path leads to (RFC 9162, section 2.1.3.2)."""
    need(0 <= index < size, "malformed", "index beyond the tree")
    fn, sn, root = index, size - 1, leaf
    for step in path:
        need(sn != 0, "malformed", "a path that is too long")
        if fn & 1 or fn == sn:
            root = node_hash(step, root)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = node_hash(root, step)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "malformed", "a path that is too short")
    return root


# ---- signed notes, checkpoints, cosignatures ------------------------------------------------------------------------

ED25519, COSIGNATURE = 1, 4


def key_id(name, kind, key):
    return sha256(name.encode() + b"\n" + bytes([kind]) + key)[:4]


def vkey(name, kind, key):
    return f"{name}+{key_id(name, kind, key).hex()}+{b64(bytes([kind]) + key)}"


def vkey_parse(text):
    """(name, kind, key) of a verifier key."""
    parts = text.split("+", 2)
    need(len(parts) == 3, "malformed", "vkey")
    data = unb64(parts[2])
    need(len(data) == 33 and data[0] in (ED25519, COSIGNATURE), "malformed", "vkey type")
    need(parts[1] == key_id(parts[0], data[0], data[1:]).hex(), "malformed", "vkey id")
    return parts[0], data[0], data[1:]


def verifies(key, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def signature_line(name, kind, key, signature):
    return f"— {name} {b64(key_id(name, kind, key) + signature)}\n".encode()


@dataclass
class Note:
    text: bytes
    signatures: list  # of (name, id, signature)

    @classmethod
    def parse(cls, data):
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refused("malformed", "note: UTF-8") from error
        need(not re.search(r"[\x00-\x09\x0b-\x1f]", whole), "malformed", "note: control character")
        at = whole.rfind("\n\n")
        need(at >= 0 and whole.endswith("\n"), "malformed", "note: no signatures")
        lines = whole[at + 2 : -1].split("\n")
        signatures = []
        for line in lines:
            match = re.fullmatch(r"— (\S+) (\S+)", line)
            need(match and "+" not in match[1], "malformed", "note: signature line")
            signature = unb64(match[2])
            need(len(signature) > 4, "malformed", "note: short signature")
            signatures.append((match[1], signature[:4], signature[4:]))
        return cls(whole[: at + 1].encode(), signatures)

    def by(self, name, kind, key):
        wanted = key_id(name, kind, key)
        return [signature for of, key_id_, signature in self.signatures if of == name and key_id_ == wanted]

    def signed_by(self, name, key):
        """Whether it has signatures by this type 01 key, all of which verify."""
        found = self.by(name, ED25519, key)
        return bool(found) and all(verifies(key, signature, self.text) for signature in found)

    def cosigned_by(self, name, key):
        """The times of cosignatures by this type 04 key; empty when there is none or one does not verify."""
        times = []
        for signature in self.by(name, COSIGNATURE, key):
            if len(signature) != 72:
                return []
            time = struct.unpack(">Q", signature[:8])[0]
            if not verifies(key, signature[8:], b"cosignature/v1\ntime %d\n" % time + self.text):
                return []
            times.append(time)
        return times


def notes_split(data):
    """Notes one behind the other; what is no note comes out as one that does not parse."""
    notes = []
    while data:
        at = data.find(b"\n\n")
        end = len(data) if at < 0 else at + 2
        while data.startswith("— ".encode(), end):
            line_end = data.find(b"\n", end)
            end = len(data) if line_end < 0 else line_end + 1
        notes.append(data[:end])
        data = data[end:]
    return notes


def note_sign(text, name, secret):
    key = public_bytes(secret)
    return text + b"\n" + signature_line(name, ED25519, key, secret.sign(text))


def checkpoint_text(origin, size, root):
    return f"{origin}\n{size}\n{b64(root)}\n".encode()


def checkpoint_parse(text):
    """(origin, size, root); extension lines are refused."""
    lines = text.decode().split("\n")
    need(len(lines) == 4 and lines[3] == "" and all(lines[:3]), "malformed", "checkpoint: three lines")
    need(re.fullmatch(r"0|[1-9][0-9]{0,15}", lines[1]), "malformed", "checkpoint: size")
    root = unb64(lines[2])
    need(len(root) == 32, "malformed", "checkpoint: root")
    return lines[0], int(lines[1]), root


def cosignature_line(text, name, secret, time):
    signature = secret.sign(b"cosignature/v1\ntime %d\n" % time + text)
    return signature_line(name, COSIGNATURE, public_bytes(secret), struct.pack(">Q", time) + signature)


# ---- proofs and policies --------------------------------------------------------------------------------------------


def proof_parse(data):
    """(index, path, checkpoint note) of a .tlog-proof."""
    head, _, note = data.partition(b"\n\n")
    lines = head.decode().split("\n")
    need(lines[0] == "c2sp.org/tlog-proof@v1", "malformed", "proof: first line")
    if lines[1].startswith("extra "):
        unb64(lines.pop(1)[6:])
    match = re.fullmatch(r"index (0|[1-9][0-9]*)", lines[1])
    need(match, "malformed", "proof: index line")
    path = [unb64(line) for line in lines[2:]]
    need(all(len(step) == 32 for step in path), "malformed", "proof: a hash")
    return int(match[1]), path, note


def policy_accepts(policy, note):
    """Whether a checkpoint is valid under a tlog-policy: signed by one of its logs, and its quorum has cosigned."""
    logs, groups, witnessed, quorum = [], {}, {"none": True}, None
    for line in policy.decode().split("\n"):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "log":
            logs.append(vkey_parse(words[1]))
        elif words[0] == "witness":
            name, kind, key = vkey_parse(words[2])
            need(kind == COSIGNATURE and words[1] not in witnessed, "malformed", "policy: witness")
            witnessed[words[1]] = bool(note.cosigned_by(name, key))
        elif words[0] == "group":
            count = len(words) - 3
            threshold = {"all": count, "any": 1}.get(words[2]) or int(words[2])
            groups[words[1]] = words[3:]
            witnessed[words[1]] = sum(witnessed[member] for member in words[3:]) >= threshold
        elif words[0] == "quorum":
            need(quorum is None, "malformed", "policy: two quorums")
            quorum = witnessed[words[1]]
        else:
            raise Refused("malformed", f"policy: {words[0]}")
    need(quorum is not None, "malformed", "policy: no quorum")
    origin = checkpoint_parse(note.text)[0]
    return quorum and any(
        kind == ED25519 and name == origin and note.signed_by(name, key) for name, kind, key in logs
    )


def proof_verify(entry, proof, policy):
    """Verify an offline proof of an entry as any C2SP verifier would; gives its note."""
    index, path, checkpoint = proof_parse(proof)
    note = Note.parse(checkpoint)
    _, size, root = checkpoint_parse(note.text)
    need(inclusion_root(index, leaf_hash(entry), size, path) == root, "inconsistent", "proof: another root")
    need(policy_accepts(policy, note), "bad-signature", "proof: the policy does not accept the checkpoint")
    return index, note


# ---- cards ----------------------------------------------------------------------------------------------------------

CARD_KEYS = ("root", "next_root", "log", "receipt", "tls")


def fork_roots(small, large, path):
    """(root of the smaller size, root of the larger one) that a path leads to: SUBPROOF of RFC 6962, section 2.1.2, read
    backwards, with the node where it ends always given."""
    need(path, "malformed", "fork: a path that is too short")
    if small == large:
        need(len(path) == 1, "malformed", "fork: a path that is too long")
        return path[0], path[0]
    at, beside = _split(large), path[-1]
    if small <= at:
        old, new = fork_roots(small, at, path[:-1])
        return old, node_hash(new, beside)
    old, new = fork_roots(small - at, large - at, path[:-1])
    return node_hash(beside, old), node_hash(beside, new)


def fork_verify(data):
    """Check a proof that a log forked; gives (origin, keys, [(size, root), (size, root)])."""
    lines = data.decode().split("\n")
    need(lines[0].startswith("entente.fork/v1 "), "malformed", "fork: first line")
    origin, keys, at = lines[0].removeprefix("entente.fork/v1 "), [], 1
    while lines[at].startswith("key "):
        name, kind, key = vkey_parse(lines[at].removeprefix("key "))
        need((name, kind) == (origin, ED25519), "malformed", "fork: key")
        keys.append(key)
        at += 1
    start = lines.index("", at)
    path = [unb64(line) for line in lines[at:start]]
    end = lines.index("", lines.index("", start + 1) + 1)  # behind the first note's text and its signatures
    notes = [Note.parse("\n".join([*lines[start + 1 : end], ""]).encode()), Note.parse("\n".join(lines[end + 1 :]).encode())]
    heads = []
    for note in notes:
        of, size, root = checkpoint_parse(note.text)
        need(of == origin, "malformed", "fork: origin")
        need(any(note.signed_by(origin, key) for key in keys), "bad-signature", "fork: head")
        heads.append((size, root))
    need(heads == sorted(heads), "malformed", "fork: the smaller head first")
    (small, root), (large, larger_root) = heads
    if small == large:
        need(not path and root != larger_root, "inconsistent", "fork: one size")
    else:
        old, new = fork_roots(small, large, path)
        need(new == larger_root and old != root, "inconsistent", "fork: path")
    return origin, keys, heads


def card_sign(fields, root):
    text = f"entente.card/v1 {fields['name']}\n".encode()
    text += json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    return note_sign(text, f"{fields['name']}/entente/root", root)


def card_parse(data):
    """The fields of a card whose own root key signed it."""
    note = Note.parse(data)
    lines = note.text.decode().split("\n")
    need(len(lines) == 3, "malformed", "card: two lines")
    fields = json.loads(lines[1])
    need(lines[0] == f"entente.card/v1 {fields['name']}" and NAME.match(fields["name"]), "malformed", "card: name")
    need(all(re.fullmatch("[0-9a-f]{64}", fields[key]) for key in CARD_KEYS), "malformed", "card: a key")
    root = bytes.fromhex(fields["root"])
    need(note.signed_by(f"{fields['name']}/entente/root", root), "bad-signature", "card")
    return fields


def fingerprint(fields):
    """The first 160 bits of SHA-256 over the root's vkey, in groups of four digits."""
    root = vkey(f"{fields['name']}/entente/root", ED25519, bytes.fromhex(fields["root"]))
    digits = sha256(root.encode())[:20].hex()
    return " ".join(digits[at : at + 4] for at in range(0, 40, 4))


# ---- genesis --------------------------------------------------------------------------------------------------------


def genesis_encode(members, terms_commitment, nonce, **changed):
    """Canonical JSON. `members` are objects with name, root, log, receipt, age and tls."""
    order = ("name", "root", "log", "receipt", "age", "tls")
    fields = {
        "v": 1,
        "rules": 1,
        "nonce": nonce.hex(),
        "members": [{key: member[key] for key in order} for member in sorted(members, key=lambda m: m["name"])],
        "neutral": None,
        "witness_policy": None,
        "quotas": {"entries_a_day": 0, "bytes_a_day": 0, "attachment_bytes": 0},
        "delta_s": 300,
        "mailbox_window_s": 86400,
        "terms": terms_commitment.hex(),
        "predecessor": None,
    }
    fields.update(changed)
    return compact(fields)


def genesis_decode(data):
    genesis = json_once(data)
    need(compact(genesis) == data, "not-canonical", "genesis")
    order = ["v", "rules", "nonce", "members", "neutral", "witness_policy", "quotas", "delta_s", "mailbox_window_s"]
    need(list(genesis) == order + ["terms", "predecessor"], "not-canonical", "genesis: fields")
    names = [member["name"] for member in genesis["members"]]
    need(genesis["v"] == 1 and names == sorted(set(names)) and 2 <= len(names) <= 32, "malformed", "genesis: members")
    keys = [member[key] for member in genesis["members"] for key in ("root", "log", "receipt")]
    need(len(set(keys)) == len(keys), "malformed", "genesis: a key stands twice")
    return genesis


def json_once(data):
    """Parse JSON, refusing what has a key twice."""

    def pairs(items):
        need(len({key for key, _ in items}) == len(items), "malformed", "JSON: a key stands twice")
        return dict(items)

    try:
        return json.loads(data, object_pairs_hook=pairs)
    except ValueError as error:
        raise Refused("malformed", f"JSON: {error}") from error


# ---- entries --------------------------------------------------------------------------------------------------------

ENTRY_FIELDS = (
    "v channel writer index time kind nonce thread reply_to to acks agreement marking urgency exercise body "
    "attachments"
).split()
MARKINGS = (None, "TLP:CLEAR", "TLP:GREEN", "TLP:AMBER", "TLP:AMBER+STRICT", "TLP:RED")
URGENCIES = (None, "priority", "immediate", "flash")


def entry_encode(fields):
    assert list(fields) == ENTRY_FIELDS
    return compact(fields)


def _is_hex(value, digits):
    return isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{digits}}}", value)


def _is_count(value):
    return type(value) is int and 0 <= value <= MAX_INTEGER


def _check_reference(value):
    if value is not None:
        party, _, index = value.partition("/")
        need(NAME.match(party) and re.fullmatch("0|[1-9][0-9]*", index), "malformed", "entry: reference")


def _check_blob(value):
    need(list(value) == ["digest", "size", "type"] and _is_hex(value["digest"], 64) and _is_count(value["size"]),
         "malformed", "entry: blob")
    need(len(value["type"]) <= 64 and PLAIN.match(value["type"]), "malformed", "entry: media type")


def _strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)


def entry_decode(data):
    need(len(data) <= 16384, "too-large", "entry")
    entry = json_once(data)
    need(list(entry) == ENTRY_FIELDS and compact(entry) == data, "not-canonical", "entry")
    need(all(PLAIN.match(text) for text in _strings(entry)), "malformed", "entry: a character")
    need(entry["v"] == 1 and _is_hex(entry["channel"], 64) and NAME.match(entry["writer"]), "malformed", "entry")
    need(_is_count(entry["index"]) and TIME.match(entry["time"]), "malformed", "entry: index or time")
    need(re.fullmatch(r"[a-z0-9-]+\.[a-z0-9-]+", entry["kind"]) and _is_hex(entry["nonce"], 32), "malformed", "entry")
    _check_reference(entry["thread"])
    _check_reference(entry["reply_to"])
    need(entry["to"] == sorted(set(entry["to"])), "malformed", "entry: to")
    origins = [ack["origin"] for ack in entry["acks"]]
    need(origins == sorted(set(origins)), "malformed", "entry: acks")
    for ack in entry["acks"]:
        need(list(ack) == ["origin", "size", "root"] and _is_count(ack["size"]) and _is_hex(ack["root"], 64),
             "malformed", "entry: ack")
    need(_is_hex(entry["agreement"], 64) and type(entry["exercise"]) is bool, "malformed", "entry")
    need(entry["marking"] in MARKINGS and entry["urgency"] in URGENCIES, "malformed", "entry: words")
    if entry["body"] is not None:
        _check_blob(entry["body"])
        need(entry["body"]["size"] <= 8 << 20, "malformed", "entry: body size")
    need(len(entry["attachments"]) <= 16, "malformed", "entry: attachments")
    for blob in entry["attachments"]:
        _check_blob(blob)
    return entry


def bundle(entries):
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def unbundle(data):
    entries = []
    while data:
        need(len(data) >= 2, "malformed", "bundle")
        size = struct.unpack(">H", data[:2])[0]
        need(len(data) >= 2 + size, "malformed", "bundle")
        entries.append(data[2 : 2 + size])
        data = data[2 + size :]
    return entries


# ---- ustar ----------------------------------------------------------------------------------------------------------

BLOCK = 512


def ustar_header(name, size):
    """POSIX.1-2017 pax, "ustar Interchange Format", with fixed metadata."""
    fields = [
        name.encode().ljust(100, b"\0"),
        b"0000644\0" b"0000000\0" b"0000000\0",  # mode, uid, gid
        b"%011o\0" % size,
        b"00000000000\0",  # mtime
        b" " * 8,  # checksum, as it counts
        b"0".ljust(101, b"\0"),  # a regular file, no link name
        b"ustar\00000",
        bytes(64),  # no user and group names
        b"0000000\0" b"0000000\0",  # device numbers
        bytes(167),  # prefix and the unused rest
    ]
    block = b"".join(fields)
    assert len(block) == BLOCK
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def ustar_write(members):
    parts = []
    for name, data in members:
        parts += [ustar_header(name, len(data)), data, bytes(-len(data) % BLOCK)]
    return b"".join(parts) + bytes(2 * BLOCK)


def ustar_layout(data):
    """(name, offset of the header, offset of the data, size) of each member."""
    need(len(data) % BLOCK == 0, "malformed", "ustar: not whole blocks")
    at, members = 0, []
    while data[at : at + BLOCK] != bytes(BLOCK):
        header = data[at : at + BLOCK]
        name = header[:100].rstrip(b"\0").decode("ascii", "replace")
        need(re.fullmatch(rb"[0-7]{11}\0", header[124:136]), "malformed", "ustar: size")
        size = int(header[124:135], 8)
        need(header == ustar_header(name, size), "malformed", f"ustar: header of {name}")
        end = at + BLOCK + size
        need(end <= len(data) and data[end : end + -size % BLOCK] == bytes(-size % BLOCK), "malformed", "ustar: data")
        members.append((name, at, at + BLOCK, size))
        at = end + -size % BLOCK
    need(data[at:] == bytes(2 * BLOCK), "malformed", "ustar: the end")
    return members


# ---- pouches --------------------------------------------------------------------------------------------------------


@dataclass
class Pouch:
    origin: str
    old_size: int
    size: int
    genesis: bytes = b""
    cards: dict = field(default_factory=dict)
    cutoffs: dict = field(default_factory=dict)
    checkpoint: bytes = b""
    heads: dict = field(default_factory=dict)
    forks: dict = field(default_factory=dict)
    receipts: list = field(default_factory=list)  # of (receiver, note)
    entries: list = field(default_factory=list)
    bodies: dict = field(default_factory=dict)  # index: sealed

    def members(self):
        members = [("genesis", self.genesis)] if self.genesis else []
        members += [(f"cards/{party}", self.cards[party]) for party in sorted(self.cards)]
        members += [(f"cutoffs/{party}", self.cutoffs[party]) for party in sorted(self.cutoffs)]
        members += [("checkpoint", self.checkpoint)]
        members += [(f"heads/{party}", self.heads[party]) for party in sorted(self.heads)]
        members += [(f"forks/{party}", self.forks[party]) for party in sorted(self.forks)]
        members += [(f"receipts/{at:04d}-{party}", note) for at, (party, note) in enumerate(self.receipts)]
        members += [("entries", bundle(self.entries))] if self.entries else []
        return members + [(f"bodies/{index}.age", self.bodies[index]) for index in sorted(self.bodies)]

    def index(self, members):
        listed = [{"name": name, "size": len(data)} for name, data in members]
        fields = {"v": 1, "origin": self.origin, "old_size": self.old_size, "size": self.size, "members": listed}
        return compact(fields)

    def encode(self, members=None):
        """The bytes; with `members` a file of exactly those, listed as they are."""
        members = self.members() if members is None else members
        return ustar_write([("pouch.json", self.index(members))] + members)

    @classmethod
    def parse(cls, data):
        need(len(data) <= 64 << 20, "too-large", "pouch")
        members = [(name, data[at : at + size]) for name, _, at, size in ustar_layout(data)]
        need(members and members[0][0] == "pouch.json", "malformed", "pouch: pouch.json")
        index = json_once(members[0][1])
        pouch = cls(index["origin"], index["old_size"], index["size"])
        for name, content in members[1:]:
            folder, _, rest = name.partition("/")
            if folder in ("cards", "cutoffs", "heads", "forks"):
                getattr(pouch, folder)[rest] = content
            elif folder == "receipts":
                pouch.receipts.append((rest[5:], content))
            elif folder == "bodies":
                pouch.bodies[int(rest[:-4])] = content
            elif name in ("genesis", "checkpoint"):
                setattr(pouch, name, content)
            else:
                need(name == "entries", "malformed", f"pouch: {name}")
                pouch.entries = unbundle(content)
        need(pouch.encode() == data, "malformed", "pouch: writing it again gives other bytes")
        return pouch


def new_key():
    return Ed25519PrivateKey.generate()
