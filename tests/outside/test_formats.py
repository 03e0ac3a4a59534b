"""The judge is judged: the second implementation against published examples and other programs."""

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import unittest

import formats
import sealing
from formats import Note, Pouch, Refused
from outside import CHECK
from peer import Party


class Published(unittest.TestCase):
    def test_note__the_example_of_the_specification_verifies(self):
        """C2SP signed-note, "Example"."""
        name, kind, key = formats.vkey_parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
        text = (
            "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZ"
            "XsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
        ).encode()
        self.assertEqual((name, kind), ("example.com/foo", formats.ED25519))
        self.assertTrue(Note.parse(text).signed_by(name, key))
        self.assertFalse(Note.parse(text.replace(b"an example", b"no example")).signed_by(name, key))

    def test_tree__roots_are_those_of_certificate_transparency(self):
        """Leaves and roots of the reference tests of RFC 6962's authors."""
        leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
        roots = {
            0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        }
        tree = formats.Tree()
        for leaf in leaves:
            tree.append(formats.leaf_hash(bytes.fromhex(leaf)))
        for size, root in roots.items():
            self.assertEqual(tree.roots[size].hex(), root)
            self.assertEqual(formats.tree_root(tree.leaves[:size]).hex(), root)

    def test_bech32__the_example_of_the_specification_opens(self):
        """C2SP age, "The X25519 recipient type"."""
        secret = sealing.unbech32("AGE-SECRET-KEY-".lower(), (
            "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX").lower())  # fmt: skip
        self.assertEqual(secret, b"\x42" * 32)
        identity = sealing.X25519PrivateKey.from_private_bytes(secret)
        recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
        self.assertEqual(sealing.bech32("age", sealing.public_of(identity)), recipient)
        self.assertEqual(sealing.unbech32("age", recipient), sealing.public_of(identity))


class Others(unittest.TestCase):
    def test_seal__opens_again_at_every_length(self):
        identities = [sealing.new_identity() for _ in range(3)]
        recipients = [sealing.public_of(identity) for identity in identities]
        for size in (0, 1, 100, 65535, 65536, 65537, 131072):
            plain = os.urandom(size)
            sealed = sealing.seal(plain, recipients)
            for identity in identities:
                opened, key = sealing.open_sealed(sealed, identity)
                self.assertEqual(opened, plain)
                self.assertTrue(sealing.sealed_as_agreed(sealed, key, recipients))
                self.assertFalse(sealing.sealed_as_agreed(sealed, key, recipients[::-1]))
            self.assertRaises(Refused, sealing.open_sealed, sealed[:-1], identities[0])

    @unittest.skipUnless(shutil.which("age"), "the program age is not installed")
    def test_seal__stock_age_opens_it(self):
        identity = sealing.new_identity()
        secret = identity.private_bytes(sealing.serialization.Encoding.Raw, sealing.serialization.PrivateFormat.Raw,
                                        sealing.serialization.NoEncryption())  # fmt: skip
        plain = os.urandom(70000)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(sealing.bech32("age-secret-key-", secret).upper() + "\n")
            file.flush()
            done = subprocess.run(["age", "-d", "-i", file.name], input=sealing.seal(plain, [sealing.public_of(identity)]),
                                  capture_output=True, check=True)  # fmt: skip
        self.assertEqual(done.stdout, plain)

    def test_pouch__is_a_tar_file_and_reads_back(self):
        with tempfile.TemporaryDirectory() as folder:
            one, two = Party("one.example", folder), Party("two.example", folder)
        one.know(two.card)
        two.know(one.card)
        channel = one.open_channel([two.name])
        two.invited(channel.pouch(two.name))
        answer = two.accept(channel.id)
        channel.take(answer.pouch(one.name))
        channel.say("contact.check", CHECK)
        data = channel.pouch(two.name, old_size=0).encode()
        self.assertEqual(Pouch.parse(data).encode(), data)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar.getmembers():
                self.assertEqual((member.mode, member.uid, member.mtime, member.type), (0o644, 0, 0, tarfile.REGTYPE))
        receipt = answer.take(Pouch.parse(data))
        self.assertEqual(channel.take_receipt(receipt, two.name, 2), 2)

    def test_party__refuses_another_history(self):
        with tempfile.TemporaryDirectory() as folder:
            one, two = Party("one.example", folder), Party("two.example", folder)
        one.know(two.card)
        two.know(one.card)
        channel = one.open_channel([two.name])
        two.invited(channel.pouch(two.name))
        held = two.accept(channel.id)
        other = channel.copy()
        channel.say("contact.check", CHECK)
        other.say("contact.check", CHECK)
        held.take(channel.pouch(two.name))
        with self.assertRaises(Refused):
            held.take(other.pouch(two.name))


if __name__ == "__main__":
    unittest.main()
