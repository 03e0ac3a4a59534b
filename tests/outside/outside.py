"""What the tests from outside share: a folder, real nodes, parties of the second implementation, and channels between
them."""

import tempfile
import unittest

from border import Border, Listener
from formats import Pouch
from node import Node, wait_for
from peer import Party

CHECK = {"fields": {"nonce": "00" * 16, "reply_by": "2030-01-01T00:00:00Z"}}
INCIDENT = {
    "fields": {
        "title": "A test",
        "awareness_time": "2021-05-30T11:00:00Z",
        "malicious": "yes",
        "cross_border": "yes",
        "sector": "food",
        "severity": "high",
    },
    "text": {"en": "What happened."},
    "authentic": "en",
}


class OutsideTest(unittest.TestCase):
    """Nodes, parties and listeners end with the class."""

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory(prefix="ent")
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = temporary.name

    @classmethod
    def new_node(cls, name, **options):
        node = Node(cls.folder, name, **options).start()
        cls.addClassCleanup(node.stop)
        return node

    @classmethod
    def new_party(cls, name, *nodes, listens=False):
        """A party that knows the nodes and is known to them; `party.to[node name]` is its border to each."""
        listener = Listener() if listens else None
        party = Party(name, cls.folder, url=listener.url if listener else "")
        party.listener = listener
        party.to = {}
        for node in nodes:
            cls.acquaint(party, node)
        if listener:
            listener.serve(party, [node.certificate for node in nodes])
            cls.addClassCleanup(listener.close)
        return party

    @classmethod
    def acquaint(cls, party, node):
        fields = party.know(node.card)
        node.add_peer(party.card_path)
        party.to[node.name] = Border(node.port, party, fields["tls"])
        cls.addClassCleanup(party.to[node.name].close)

    @classmethod
    def open_with(cls, party, node, alias):
        """A channel that the party opens with one node, open on both sides."""
        channel = party.open_channel([node.name])
        answer = party.to[node.name].post(channel.pouch(node.name))
        assert (answer.status, answer.body) == (202, b"invited\n"), answer
        node.run("channel", "accept", channel.id, "--alias", alias)
        if party.listener:
            wait_for(lambda: len(channel.logs[node.name]) == 1)
        cls.deliver(channel, node)
        if not party.listener:
            cls.fetch(channel, node)
        return channel

    @staticmethod
    def deliver(channel, node):
        """Hand over what the node lacks of the party's log; gives the receipt's bytes."""
        party = channel.party
        with party.lock:
            pouch = channel.pouch(node.name)
            answer = party.to[node.name].post(pouch)
            assert answer.status == 200, answer
            channel.take_receipt(answer.body, node.name, pouch.size)
            return answer.body

    @classmethod
    def fetch(cls, channel, node):
        """Carry the node's log to a party without a listener, as a file would be; the receipt goes back the same way."""
        data = node.api_bytes("GET", f"/pouches?channel={channel.id}&to={channel.party.name}")
        channel.take(Pouch.parse(data))
        return cls.deliver(channel, node)
