"""A party of the second implementation and real nodes understand each other, both ways, in everything that crosses the
border and in every proof."""

import json
import os
import unittest

import formats
import sealing
from formats import Pouch
from node import EXAMPLES, wait_for
from outside import CHECK, INCIDENT, OutsideTest
from peer import blob


def example(name):
    with open(os.path.join(EXAMPLES, name), "rb") as file:
        return file.read()


def written(path):
    with open(path, "rb") as file:
        return file.read()


class TwoSides(OutsideTest):
    """One node, one party of ours, channels opened from each side."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = cls.new_node("aurora.example")
        cls.party = cls.new_party("vega.example", cls.node, listens=True)
        cls.ours = cls.open_with(cls.party, cls.node, "ours")
        cls.theirs = cls.accepted()

    @classmethod
    def accepted(cls):
        """A channel that the node opens and we accept."""
        terms = os.path.join(EXAMPLES, "terms.json")
        channel_id = cls.node.text(
            "channel", "open", "--with", cls.party.name, "--terms", terms, "--alias", "theirs"
        )
        wait_for(lambda: channel_id in cls.party.invitations)
        channel = cls.party.accept(channel_id)
        cls.deliver(channel, cls.node)
        wait_for(lambda: cls.node.channel("theirs")["state"] == "open")
        return channel

    def prove(self, message):
        """(entry, proof, policy) as the node writes them."""
        name = os.path.join(self.folder, message.replace("/", "_"))
        self.node.run("prove", message, "-o", name)
        return [written(f"{name}.{end}") for end in ("entry", "tlog-proof", "policy")]

    # ---- cards ------------------------------------------------------------------------------------------------------

    def test_fingerprint__both_sides_compute_the_same(self):
        shown = self.node.text("card", "--fingerprint")
        self.assertEqual(shown, formats.fingerprint(self.node.fields))
        ours = formats.fingerprint(formats.card_parse(self.party.card))
        self.assertEqual(self.node.json("peer", "show", self.party.name)["fingerprint"], ours)
        self.node.add_peer(self.party.card_path, fingerprint=ours)

    def test_fingerprint__another_is_refused(self):
        wrong = formats.fingerprint(self.node.fields)
        done = self.node.run("peer", "add", self.party.card_path, "--fingerprint", wrong, check=False)
        self.assertEqual(done.returncode, 1)

    # ---- channels ---------------------------------------------------------------------------------------------------

    def test_channel__opened_by_us_is_open_and_shows_the_terms(self):
        shown = self.node.channel("ours")
        self.assertEqual((shown["state"], shown["id"]), ("open", self.ours.id))
        self.assertEqual(shown["terms"], {"title": "Terms"})
        self.assertEqual(shown["terms_commitment"], self.ours.genesis["terms"])

    def test_channel__opened_by_the_node_brings_its_terms(self):
        body, agreed = self.theirs.open(self.node.name, 0)
        self.assertTrue(agreed)
        terms = formats.unb64(body["fields"]["terms"])
        self.assertEqual(terms, example("terms.json"))
        commitment = formats.sha256(bytes.fromhex(body["fields"]["salt"]) + terms)
        self.assertEqual(commitment.hex(), self.theirs.genesis["terms"])
        self.assertEqual(self.theirs.members[self.node.name], self.party.member_of(self.node.name))

    # ---- messages of the node ---------------------------------------------------------------------------------------

    def test_send__we_receive_check_and_open_it(self):
        file = os.path.join(EXAMPLES, "incident.notification.json")
        message = self.node.text(
            "send", "incident.notification", "--channel", "theirs", "--body", file, "--urgency", "flash", "--marking",
            "amber", "--to", self.party.name, "--exercise", "--wait", "receipt", "--timeout", "20",
        )  # fmt: skip
        index = int(message.rsplit("/", 1)[1])
        entry = self.theirs.entry(self.node.name, index)
        self.assertEqual(entry["kind"], "incident.notification")
        self.assertEqual((entry["urgency"], entry["marking"], entry["exercise"]), ("flash", "TLP:AMBER", True))
        self.assertEqual((entry["to"], entry["agreement"]), ([self.party.name], self.theirs.genesis["terms"]))
        body, agreed = self.theirs.open(self.node.name, index)
        self.assertEqual(body, json.loads(example("incident.notification.json")))
        self.assertTrue(agreed, "not sealed as agreed")
        shown = self.node.json("show", message)
        self.assertEqual(shown["state"], "receipted")
        self.assertEqual([receipt["by"] for receipt in shown["receipts"]], [self.party.name])
        self.assertEqual(shown["entry"].encode(), self.theirs.logs[self.node.name].entries[index])
        self.assertEqual(shown["leaf"], formats.leaf_hash(shown["entry"].encode()).hex())

    def test_send__acks_our_log_with_a_root_that_is_ours(self):
        self.theirs.say("contact.check", CHECK)
        self.deliver(self.theirs, self.node)
        size = len(self.theirs.own)
        message = self.node.text("send", "contact.check", "--channel", "theirs", "--body", self.check_body(),
                                 "--wait", "receipt")  # fmt: skip
        entry = self.theirs.entry(self.node.name, int(message.rsplit("/", 1)[1]))
        root = self.theirs.own.tree.roots[size].hex()
        self.assertEqual(entry["acks"], [{"origin": self.theirs.own.origin, "size": size, "root": root}])

    def check_body(self):
        path = os.path.join(self.folder, "check.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(CHECK, file)
        return path

    def test_attachment__arrives_sealed_and_opens(self):
        path = os.path.join(EXAMPLES, "forensic-notes.txt")
        message = self.node.text("send", "evidence.item", "--channel", "theirs", "--body",
                                 os.path.join(EXAMPLES, "evidence.item.json"), "--attach", path,
                                 "--wait", "receipt")  # fmt: skip
        index = int(message.rsplit("/", 1)[1])
        (named,) = self.theirs.entry(self.node.name, index)["attachments"]
        wait_for(lambda: named["digest"] in self.party.blobs)
        sealed = self.party.blobs[named["digest"]]
        self.assertEqual(blob(sealed, named["type"]), named)
        plain, key = sealing.open_sealed(sealed, self.party.identity)
        self.assertEqual(plain, example("forensic-notes.txt"))
        self.assertTrue(sealing.sealed_as_agreed(sealed, key, self.theirs.recipients()))
        # our word that we hold it
        self.theirs.say("evidence.held", {"fields": {"digests": [named["digest"]]}},
                        reply_to=f"{self.node.name}/{index}", thread=f"{self.node.name}/{index}")  # fmt: skip
        self.deliver(self.theirs, self.node)
        wait_for(lambda: self.node.json("show", message)["attachment_list"][0]["held_by"] == [self.party.name])

    # ---- our messages -----------------------------------------------------------------------------------------------

    def test_deliver__the_node_receipts_shows_and_opens_it(self):
        index = self.ours.say("incident.notification", INCIDENT, urgency="immediate", marking="TLP:GREEN")
        note = formats.Note.parse(self.deliver(self.ours, self.node))
        origin, size, root = formats.checkpoint_parse(note.text)
        self.assertEqual((origin, size, root), (self.ours.own.origin, index + 1, self.ours.own.tree.roots[index + 1]))
        message = f"ours/{self.party.name}/{index}"
        shown = self.node.json("show", message)
        self.assertEqual((shown["kind"], shown["urgency"], shown["marking"]),
                         ("incident.notification", "immediate", "TLP:GREEN"))  # fmt: skip
        self.assertEqual((shown["subject"], shown["contested"], shown["state"]), ("A test", None, "received"))
        self.assertEqual([receipt["by"] for receipt in shown["receipts"]], [self.node.name])
        self.assertEqual(self.node.json("open", message), INCIDENT)

    def test_deliver__what_we_attach_is_taken_opened_and_acknowledged(self):
        content = os.urandom(200_000)
        sealed = sealing.seal(content, self.ours.recipients())
        index = self.ours.say("evidence.item", json.loads(example("evidence.item.json")) | {"files": [{"name": "a"}]},
                              attachments=[blob(sealed, "application/octet-stream")])  # fmt: skip
        self.deliver(self.ours, self.node)
        digest = blob(sealed, "")["digest"]
        border = self.party.to[self.node.name]
        self.assertEqual(border.request("PUT", f"/blob/{digest}", sealed).status, 201)
        self.assertEqual(border.request("PUT", f"/blob/{digest}", sealed).status, 200)
        message = f"ours/{self.party.name}/{index}"
        path = os.path.join(self.folder, "out")
        shown = self.node.json("show", message)
        self.assertEqual(shown["attachment_list"][0]["state"], "held")
        self.assertEqual(self.node.api_bytes("GET", f"/attachments/{message}/0"), content)
        self.node.run("open", message, "-o", path)

        def acknowledged():
            """evidence.held has come to us, once"""
            log = self.ours.logs[self.node.name]
            entries = [self.ours.entry(self.node.name, at) for at in range(len(log))]
            held = [entry for entry in entries if entry["kind"] == "evidence.held"]
            return [entry["reply_to"] for entry in held].count(f"{self.party.name}/{index}") == 1

        wait_for(acknowledged)

    def test_deliver__only_anothers_answer_answers_what_we_said(self):
        index = self.ours.say("incident.notification", INCIDENT)
        asked = f"{self.party.name}/{index}"
        body = json.loads(example("answer.acknowledgement.json"))
        self.ours.say("answer.acknowledgement", body, reply_to=asked, thread=asked)  # by ourselves
        self.ours.say("contact.check", CHECK)
        self.deliver(self.ours, self.node)
        message = f"ours/{asked}"

        def unanswered():
            rows = self.node.json("list", "--channel", "ours", "--unanswered")["messages"]
            return [row["message"] for row in rows]

        # The one said last is known: so is the answer before it.
        wait_for(lambda: f"ours/{self.party.name}/{index + 2}" in unanswered())
        self.assertIn(message, unanswered())
        self.assertEqual(self.node.json("show", message)["answered_by"], [])
        path = os.path.join(EXAMPLES, "answer.acknowledgement.json")
        answer = self.node.text("send", "answer.acknowledgement", "--reply-to", message, "--body", path)
        wait_for(lambda: message not in unanswered())
        self.assertEqual(self.node.json("show", message)["answered_by"], [answer])

    def test_deliver__a_body_of_8_mib_is_taken_whole(self):
        text = {"en": "x" * 999_000}
        texts = {f"x{chr(97 + at)}": text["en"] for at in range(7)} | text
        index = self.ours.say("incident.notification", INCIDENT | {"text": texts})
        self.assertGreater(len(self.ours.own.bodies[index]), 7_900_000)
        self.deliver(self.ours, self.node)
        opened = self.node.api_bytes("GET", f"/bodies/ours/{self.party.name}/{index}")
        self.assertEqual(json.loads(opened)["text"], texts)

    # ---- proofs -----------------------------------------------------------------------------------------------------

    def test_prove__our_verifier_accepts_a_message_of_the_node(self):
        message = self.node.text("send", "contact.check", "--channel", "theirs", "--body", self.check_body(),
                                 "--wait", "receipt")  # fmt: skip
        entry, proof, policy = self.prove(message)
        index, note = formats.proof_verify(entry, proof, policy)
        self.assertEqual(entry, self.theirs.logs[self.node.name].entries[index])
        # the receipt in it is the very one that we gave, and the keys are those of the cards
        _, moment, ours = self.theirs.logs[self.node.name].receipts[self.party.name][-1]
        key = formats.public_bytes(self.party.receipt)
        self.assertEqual(note.cosigned_by(f"{self.party.name}/entente/receipt", key), [moment])
        self.assertIn(ours.split(b"\n\n")[1], proof)
        origin = formats.checkpoint_parse(note.text)[0]
        self.assertTrue(note.signed_by(origin, bytes.fromhex(self.node.fields["log"])))

    def test_prove__our_verifier_accepts_every_message_of_a_long_log(self):
        """Proofs of our own messages from the node's tiles, across the edge of the first."""
        channel = self.open_with(self.party, self.node, "long")
        for _ in range(300):
            channel.say_raw(formats.entry_encode(channel.draft("contact.check", None)))
        self.deliver(channel, self.node)
        for index in (0, 1, 7, 254, 255, 256, 257, 299, 300):
            entry, proof, policy = self.prove(f"long/{self.party.name}/{index}")
            self.assertEqual(entry, channel.own.entries[index])
            at, note = formats.proof_verify(entry, proof, policy)
            self.assertEqual(at, index)
            self.assertTrue(note.signed_by(channel.own.origin, formats.public_bytes(self.party.log)))

    def test_prove__our_verifier_refuses_what_was_changed(self):
        index = self.ours.say("contact.check", CHECK)
        self.deliver(self.ours, self.node)
        entry, proof, policy = self.prove(f"ours/{self.party.name}/{index}")
        formats.proof_verify(entry, proof, policy)
        for changed in ((entry[:-3] + b" ]}", proof, policy),
                        (entry, proof.replace(b"index %d" % index, b"index 0"), policy),
                        (entry, proof, policy.replace(b"quorum aurora.example", b"quorum nobody"))):  # fmt: skip
            self.assertRaises((formats.Refused, KeyError), formats.proof_verify, *changed)

    def test_verify__accepts_a_proof_that_we_made(self):
        self.ours.say("contact.check", CHECK)
        self.deliver(self.ours, self.node)
        index = len(self.ours.own) - 1
        paths = self.write_proof(self.ours, index)
        card = ["--card", self.party.card_path, "--card", self.node.card_path]
        self.node.run("verify", paths["tlog-proof"], *card)
        self.node.run("verify", self.party.card_path)

    def test_verify__refuses_our_proof_when_anything_in_it_is_changed(self):
        index = self.ours.say("contact.check", CHECK)
        self.deliver(self.ours, self.node)
        for end, old, new in (("entry", b'"v":1', b'"v":2'), ("entry", b"contact.check", b"contact.chess"),
                              ("tlog-proof", b"index ", b"index 1"), ("policy", b"quorum a", b"quorum b")):  # fmt: skip
            paths = self.write_proof(self.ours, index)
            data = written(paths[end])
            self.assertIn(old, data)
            with open(paths[end], "wb") as file:
                file.write(data.replace(old, new, 1))
            done = self.node.run("verify", paths["tlog-proof"], "--card", self.party.card_path, check=False)
            self.assertEqual(done.returncode, 1, (end, new, done))

    def write_proof(self, channel, index):
        """A proof by this implementation: log key, inclusion path, the node's receipt, a policy that asks for it."""
        size, _, receipt = channel.own.receipts[self.node.name][-1]
        text = formats.checkpoint_text(channel.own.origin, size, channel.own.tree.roots[size])
        key = formats.public_bytes(self.party.log)
        note = formats.note_sign(text, channel.own.origin, self.party.log) + receipt.split(b"\n\n")[1]
        path = inclusion_path(index, channel.own.tree.leaves[:size])
        lines = ["c2sp.org/tlog-proof@v1", f"index {index}"] + [formats.b64(step) for step in path]
        witness = formats.vkey(f"{self.node.name}/entente/receipt", formats.COSIGNATURE,
                               bytes.fromhex(self.node.fields["receipt"]))  # fmt: skip
        policy = f"log {formats.vkey(channel.own.origin, formats.ED25519, key)}\n"
        policy += f"witness {self.node.name} {witness}\nquorum {self.node.name}\n"
        contents = {
            "entry": channel.own.entries[index],
            "tlog-proof": "\n".join(lines).encode() + b"\n\n" + note,
            "policy": policy.encode(),
        }
        formats.proof_verify(contents["entry"], contents["tlog-proof"], contents["policy"])
        paths = {end: os.path.join(self.folder, f"made.{end}") for end in contents}
        for end, path in paths.items():
            with open(path, "wb") as file:
                file.write(contents[end])
        return paths

    # ---- pouches ----------------------------------------------------------------------------------------------------

    def test_pouch__the_node_packs_what_our_reader_and_tar_take(self):
        path = os.path.join(self.folder, "pouch.tar")
        self.node.run("pouch", "export", "--channel", "ours", "--to", self.party.name, "-o", path)
        pouch = Pouch.parse(written(path))
        self.assertEqual(pouch.origin, self.ours.logs[self.node.name].origin)
        import tarfile  # noqa: PLC0415

        with tarfile.open(path) as tar:
            self.assertEqual(tar.getnames(), [name for name, *_ in formats.ustar_layout(written(path))])

    def test_pouch__our_own_log_comes_back_to_its_writer_as_carried(self):
        data = self.node.api_bytes("GET", f"/pouches?channel=ours&to={self.party.name}")
        answer = self.party.to[self.node.name].post(Pouch.parse(data))
        self.assertEqual((answer.status, answer.body), (202, b"carried\n"))


def inclusion_path(index, leaves):
    """RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    at = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < at:
        return inclusion_path(index, leaves[:at]) + [formats.tree_root(leaves[at:])]
    return inclusion_path(index - at, leaves[at:]) + [formats.tree_root(leaves[:at])]


class ThreeSides(OutsideTest):
    """Two nodes that cannot see each other, and a member who carries their logs."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.north, cls.south = cls.new_node("north.example", air_gapped=True), cls.new_node("south.example")
        cls.party = cls.new_party("vega.example", cls.south)
        cls.party.know(cls.north.card)
        cls.north.add_peer(cls.party.card_path)

    def test_carry__any_member_may_carry_any_members_log(self):
        party, north, south = self.party, self.north, self.south
        north.add_peer(south.card_path)
        south.add_peer(north.card_path)
        channel = party.open_channel([north.name, south.name])
        invitation = channel.pouch(north.name)
        north.api_bytes("POST", "/pouches", invitation.encode())
        self.assertEqual(party.to[south.name].post(invitation).status, 202)
        for node in (north, south):
            node.run("channel", "accept", channel.id, "--alias", "three")
        # north's entry 0 reaches south through us, and south's north
        for giver, taker in ((north, south), (south, north), (north, south)):
            pouch = Pouch.parse(giver.api_bytes("GET", f"/pouches?channel=three&to={taker.name}"))
            channel.take(Pouch.parse(giver.api_bytes("GET", f"/pouches?channel=three&to={party.name}")))
            if taker is south:
                answer = party.to[south.name].post(pouch)
                self.assertEqual(answer.status, 200, answer)
                note = formats.Note.parse(answer.body)
                key = bytes.fromhex(south.fields["receipt"])
                self.assertTrue(note.cosigned_by(f"{south.name}/entente/receipt", key))
            else:
                done = json.loads(north.api_bytes("POST", "/pouches", pouch.encode()))
                self.assertEqual((done["state"], done["from"]), ("receipted", south.name))
        for node in (north, south):
            self.assertEqual(node.channel("three")["state"], "open")
        # north's proof now carries the receipt of south
        back = south.api_bytes("GET", f"/pouches?channel=three&to={north.name}")
        north.api_bytes("POST", "/pouches", back)
        shown = north.json("show", f"three/{north.name}/0")
        self.assertIn(south.name, [receipt["by"] for receipt in shown["receipts"]])


if __name__ == "__main__":
    unittest.main()
