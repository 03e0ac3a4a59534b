"""age v1 (C2SP age) with X25519 recipients, and how messages are sealed (design, section 2, "Body and attachments"):
one stanza for each member in genesis order, the ephemeral secret of each from the file key, so that whoever holds the
file key can recompute the header. Written from the descriptions; shares no code with src/."""

import base64
import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from formats import Refused, need

CHUNK = 64 * 1024
CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def _checksum(values):
    state = 1
    for value in values:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            state ^= generator if top >> bit & 1 else 0
    return state


def _prefix(hrp):
    return [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]


def bech32(hrp, data):
    """BIP 173, without its limit of length."""
    bits = int.from_bytes(data, "big") << -8 * len(data) % 5
    count = (8 * len(data) + 4) // 5
    values = [bits >> 5 * (count - 1 - at) & 31 for at in range(count)]
    check = _checksum(_prefix(hrp) + values + [0] * 6) ^ 1
    return hrp + "1" + "".join(CHARSET[v] for v in values + [check >> 5 * (5 - at) & 31 for at in range(6)])


def unbech32(hrp, text):
    need(text.startswith(hrp + "1"), "malformed", "bech32: prefix")
    values = [CHARSET.index(c) for c in text[len(hrp) + 1 :]]
    need(_checksum(_prefix(hrp) + values) == 1, "malformed", "bech32: checksum")
    bits = 0
    for value in values[:-6]:
        bits = bits << 5 | value
    spare = 5 * (len(values) - 6) % 8
    need(bits & (1 << spare) - 1 == 0, "malformed", "bech32: padding")
    return (bits >> spare).to_bytes(5 * (len(values) - 6) // 8, "big")


def _hkdf(ikm, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info).derive(ikm)


def raw64(data):
    return base64.b64encode(data).decode().rstrip("=")


def unraw64(text):
    data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    need(raw64(data) == text, "malformed", "age: base64")
    return data


def public_of(secret):
    return secret.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def new_identity():
    return X25519PrivateKey.generate()


def stanza(file_key, recipient, ephemeral):
    """(arguments, body) of an X25519 stanza."""
    share = public_of(ephemeral)
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient))
    wrap = _hkdf(shared, share + recipient, b"age-encryption.org/v1/X25519")
    return ["X25519", raw64(share)], ChaCha20Poly1305(wrap).encrypt(bytes(12), file_key, b"")


def agreed_stanzas(file_key, nonce, recipients):
    """The ephemeral secret of each is HKDF-SHA256(ikm = file key, salt = payload nonce, info = "entente/eph" || recipient)."""
    secrets = [_hkdf(file_key, nonce, b"entente/eph" + recipient) for recipient in recipients]
    return [
        stanza(file_key, recipient, X25519PrivateKey.from_private_bytes(secret))
        for recipient, secret in zip(recipients, secrets)
    ]


def header(file_key, stanzas):
    text = "age-encryption.org/v1\n"
    for arguments, body in stanzas:
        encoded = raw64(body)
        lines = [encoded[at : at + 64] for at in range(0, len(encoded) + 1, 64)]
        text += "-> " + " ".join(arguments) + "\n" + "\n".join(lines) + "\n"
    text += "---"
    mac = hmac.new(_hkdf(file_key, b"", b"header"), text.encode(), hashlib.sha256).digest()
    return (text + " " + raw64(mac) + "\n").encode()


def _payload(file_key, nonce):
    return ChaCha20Poly1305(_hkdf(file_key, nonce, b"payload"))


def seal(plain, recipients, stanzas=None):
    """Seal as agreed to recipients. `stanzas(file_key, nonce, recipients)` may make others."""
    file_key, nonce = os.urandom(16), os.urandom(16)
    sealed = header(file_key, (stanzas or agreed_stanzas)(file_key, nonce, recipients)) + nonce
    chunks = [plain[at : at + CHUNK] for at in range(0, len(plain), CHUNK)] or [b""]
    aead = _payload(file_key, nonce)
    for at, chunk in enumerate(chunks):
        sealed += aead.encrypt(at.to_bytes(11, "big") + bytes([at == len(chunks) - 1]), chunk, b"")
    return sealed


def split(sealed):
    """(stanzas, whole header, payload)."""
    at = sealed.find(b"\n--- ")
    end = sealed.find(b"\n", at + 1) + 1
    need(sealed.startswith(b"age-encryption.org/v1\n") and at > 0 and end > 0, "malformed", "age: header")
    stanzas = []
    for part in sealed[:at].decode("ascii", "strict").split("\n-> ")[1:]:
        first, *lines = part.split("\n")
        need(all(len(line) == 64 for line in lines[:-1]) and lines and len(lines[-1]) < 64, "malformed", "age: stanza")
        stanzas.append((first.split(" "), unraw64("".join(lines))))
    return stanzas, sealed[:end], sealed[end:]


def unwrap(stanzas, identity):
    own = public_of(identity)
    for arguments, body in stanzas:
        if arguments[0] != "X25519":
            continue
        share = unraw64(arguments[1])
        shared = identity.exchange(X25519PublicKey.from_public_bytes(share))
        wrap = _hkdf(shared, share + own, b"age-encryption.org/v1/X25519")
        try:
            return ChaCha20Poly1305(wrap).decrypt(bytes(12), body, b"")
        except InvalidTag:
            continue
    raise Refused("not-found", "age: no stanza for this identity")


def open_sealed(sealed, identity):
    """(plain, file key) of any age file that this identity can open."""
    stanzas, head, payload = split(sealed)
    file_key = unwrap(stanzas, identity)
    need(head == header(file_key, stanzas), "bad-signature", "age: MAC")
    nonce, payload = payload[:16], payload[16:]
    aead, plain, at = _payload(file_key, nonce), b"", 0
    chunks = [payload[i : i + CHUNK + 16] for i in range(0, len(payload), CHUNK + 16)]
    need(chunks, "malformed", "age: no payload")
    for at, chunk in enumerate(chunks):
        last = at == len(chunks) - 1
        try:
            plain += aead.decrypt(at.to_bytes(11, "big") + bytes([last]), chunk, b"")
        except InvalidTag as error:
            raise Refused("bad-signature", "age: chunk") from error
    return plain, file_key


def sealed_as_agreed(sealed, file_key, recipients):
    """Whether the header is, byte for byte, what these recipients, this key and this nonce give."""
    _, head, payload = split(sealed)
    return head == header(file_key, agreed_stanzas(file_key, payload[:16], recipients))
