"""Faults for the programs as they ship: shim.c is preloaded into them, and one page of memory that is shared with it
arms a fault while they run and tells what became of it."""

import contextlib
import errno
import mmap
import os
import struct

from node import BUILD, Node

SHIM = os.path.join(BUILD, "tests", "fault", "fault_shim.so")

WRITES, READS, MEMORY, ANY_MEMORY = 1, 2, 4, 8
COUNT, KILL, TORN, ERROR, SHORT = range(5)

# As in shim.c.
NAME_BYTES, MOST_POINTS, ROOT_BYTES = 64, 4096, 256
FIELDS = struct.Struct("=4I3Qq")
ROOT_AT = FIELDS.size
WHERE_AT = ROOT_AT + ROOT_BYTES
POINTS_AT = WHERE_AT + NAME_BYTES
STATE_BYTES = POINTS_AT + MOST_POINTS * NAME_BYTES

# What can happen to a point, by the word that rows and options use: (classes, mode, errno, sticky).
KINDS = {
    "kill": (WRITES, KILL, 0, 0),
    "torn": (WRITES, TORN, 0, 0),
    "short": (WRITES, SHORT, 0, 0),
    "eio": (WRITES, ERROR, errno.EIO, 0),
    "enospc": (WRITES, ERROR, errno.ENOSPC, 0),
    "disk-gone": (WRITES, ERROR, errno.EIO, 1),
    "disk-full": (WRITES, ERROR, errno.ENOSPC, 1),
    "read-eio": (READS, ERROR, errno.EIO, 0),
    "nomem": (MEMORY, ERROR, errno.ENOMEM, 0),
    "nomem-library": (ANY_MEMORY, ERROR, errno.ENOMEM, 0),
}


class Faults:
    """The page shared with every process that is started under `environment`."""

    def __init__(self, folder, root):
        self.path = os.path.join(folder, os.path.basename(root) + ".faults")
        with open(self.path, "wb") as file:
            file.truncate(STATE_BYTES)
        with open(self.path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), STATE_BYTES)
        name = os.path.abspath(root).encode()
        assert len(name) < ROOT_BYTES
        self.page[ROOT_AT : ROOT_AT + len(name)] = name
        self.hit = False  # since it was armed, also after it was disarmed
        self.kills = False  # whether it was ever armed to kill
        self.kind = None  # what it was armed with last
        self.environment = {"LD_PRELOAD": SHIM, "ENTENTE_FAULT": self.path}

    def arm(self, kind, nth):
        classes, mode, number, sticky = KINDS[kind]
        self.kind = kind
        self.set(0, 0, 0, 0, 0)
        self.hit = False
        self.page[WHERE_AT:POINTS_AT] = bytes(NAME_BYTES)
        self.kills = self.kills or mode in (KILL, TORN)
        self.set(classes, mode, number, sticky, nth)

    def count(self, kind):
        """Count the points of this kind's class from now on."""
        self.page[POINTS_AT:STATE_BYTES] = bytes(STATE_BYTES - POINTS_AT)
        self.set(0, 0, 0, 0, 0)
        self.set(KINDS[kind][0], COUNT, 0, 0, 0)

    def disarm(self):
        """No more faults."""
        struct.pack_into("=I", self.page, 0, 0)
        self.hit = self.hit or self.hits > 0
        self.set(0, 0, 0, 0, 0)

    def set(self, classes, mode, number, sticky, nth):
        # the class last: the processes look at it first
        struct.pack_into("=3I3Q", self.page, 4, mode, number, sticky, nth, 0, 0)
        struct.pack_into("=I", self.page, 0, classes)

    def skew(self, seconds):
        """Set the clock on the wall off by so much."""
        struct.pack_into("=q", self.page, FIELDS.size - 8, seconds)

    @property
    def passed(self):
        return FIELDS.unpack_from(self.page)[5]

    @property
    def hits(self):
        return FIELDS.unpack_from(self.page)[6]

    @property
    def where(self):
        return self._text(WHERE_AT)

    @property
    def points(self):
        """What was counted: "call path" of each point, in order."""
        return [self._text(POINTS_AT + at * NAME_BYTES) for at in range(min(self.passed, MOST_POINTS))]

    def _text(self, at):
        return self.page[at : at + NAME_BYTES].split(b"\0")[0].decode(errors="replace")


class FaultyNode(Node):
    """A node whose process has the shim in it; `faults` arms them."""

    def __init__(self, folder, name, **options):
        self.faults = Faults(folder, os.path.join(folder, name.split(".")[0]))
        super().__init__(folder, name, **options)
        self.environment = {**os.environ, **self.faults.environment}

    @contextlib.contextmanager
    def faulty_commands(self):
        """Have the shim in the commands too."""
        before, self.command_environment = self.command_environment, self.environment
        try:
            yield
        finally:
            self.command_environment = before
