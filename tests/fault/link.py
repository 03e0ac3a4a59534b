"""Rough links between hosts: each has a TUN device in a network namespace of its own, and this program carries the packets from
one to another, or loses, delays, reorders, doubles and damages them, chosen by a seed. It does without the kernel's netem,
and can do what netem cannot: change what TCP carries and mend the checksum, so that only TLS can notice. Needs root."""

import collections
import contextlib
import dataclasses
import fcntl
import heapq
import os
import random
import select
import socket
import struct
import subprocess
import threading
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
LARGEST = 65536
TCP = 6


@dataclasses.dataclass(frozen=True)
class Rough:
    """What happens to the packets of a host's link, both ways; chances are of each packet."""

    loss: float = 0
    burst: float = 0  # the chance that a packet begins a loss of many
    burst_packets: int = 20
    delay_s: float = 0
    jitter_s: float = 0
    early: float = 0  # does not wait: overtakes
    double: float = 0
    flip: float = 0  # one bit, anywhere
    alter: float = 0  # one byte of what TCP carries; the checksum is right
    bytes_a_second: int = 0  # 0 = no bound
    queue_s: float = 1.0  # what would wait longer for its turn is lost
    deaf: bool = False  # nothing comes in; what goes out gets through
    down: bool = False


MODES = {
    "pass": Rough(),
    "down": Rough(down=True),
    "deaf": Rough(deaf=True),
    "loss": Rough(loss=0.15),
    "bursts": Rough(burst=0.03),
    "delay": Rough(delay_s=0.3, jitter_s=0.2),
    "reorder": Rough(delay_s=0.02, early=0.3),
    "double": Rough(double=0.3, jitter_s=0.01),
    "flip": Rough(flip=0.1),
    "alter": Rough(alter=0.02),
    "narrow": Rough(bytes_a_second=8000),
    "everything": Rough(loss=0.02, delay_s=0.002, jitter_s=0.005, early=0.1, double=0.1, flip=0.02, alter=0.02),
}


def checksum(data):
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def altered(packet, chosen):
    """The packet with one byte of its TCP payload changed and a right checksum; None when it carries nothing."""
    head = (packet[0] & 15) * 4
    if packet[9] != TCP or len(packet) < head + 20:
        return None
    payload = head + (packet[head + 12] >> 4) * 4
    if payload >= len(packet):
        return None
    data = bytearray(packet)
    data[chosen.randrange(payload, len(data))] ^= chosen.randrange(1, 256)
    data[head + 16 : head + 18] = b"\0\0"
    pseudo = packet[12:20] + struct.pack("!BBH", 0, TCP, len(data) - head)
    data[head + 16 : head + 18] = struct.pack("!H", checksum(pseudo + bytes(data[head:])))
    return bytes(data)


class Port:
    """One host's end."""

    def __init__(self, file):
        self.file = file
        self.rough = MODES["pass"]
        self.losing = 0  # packets of a burst that are still to be lost
        self.free_at = 0.0  # when a narrow link has sent what waits


class Switch:
    """Joins the hosts. `done` counts what was done to packets."""

    def __init__(self, seed):
        self.chosen = random.Random(seed)
        self.ports = {}  # address as 4 bytes: Port
        self.files = {}  # descriptor: Port
        self.waiting = []  # (when, number, Port, packet)
        self.number = 0
        self.done = collections.Counter()
        self.mutex = threading.Lock()
        self.poll = select.epoll()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def add(self, device, namespace, address):
        """A TUN device for that namespace; the address gets a route to its /24."""
        file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
        for words in (["link", "set", device, "netns", namespace], ["-n", namespace, "addr", "add", address + "/24", "dev", device],
                      ["-n", namespace, "link", "set", device, "up"]):  # fmt: skip
            subprocess.run(["ip", *words], check=True, capture_output=True)
        port = Port(file)
        with self.mutex:
            self.ports[socket.inet_aton(address)] = self.files[file] = port
        self.poll.register(file, select.EPOLLIN)

    def set(self, address, mode):
        with self.mutex:
            port = self.ports[socket.inet_aton(address)]
            port.rough, port.losing, port.free_at = MODES[mode], 0, 0.0

    def close(self):
        self.ended.set()
        self.thread.join()
        self.poll.close()
        for file in self.files:
            os.close(file)

    def run(self):
        while not self.ended.is_set():
            now = time.monotonic()
            while self.waiting and self.waiting[0][0] <= now:
                _, _, port, packet = heapq.heappop(self.waiting)
                with contextlib.suppress(OSError):  # the kernel refuses a damaged one, or the host is gone
                    os.write(port.file, packet)
            rest = self.waiting[0][0] - now if self.waiting else 1
            for file, _ in self.poll.poll(min(rest, 0.1)):
                with contextlib.suppress(OSError):
                    while True:
                        self.take(self.files[file], os.read(file, LARGEST))

    def take(self, source, packet):
        """A packet that a host sends."""
        with self.mutex:
            target = self.ports.get(packet[16:20]) if packet[0] >> 4 == 4 and len(packet) >= 20 else None
            if target is None:
                return
            self.done["packets"] += 1
            if source.rough.down or target.rough.down or target.rough.deaf:
                self.done["cut off"] += 1
                return
            when = time.monotonic()
            for port in (source, target):
                packet, when = self.treat(port, packet, when)
                if packet is None:
                    return
            self.send(when, target, packet)
            for rough in (source.rough, target.rough):
                if self.by_chance(rough.double, "doubled"):
                    self.send(when + self.chosen.random() * rough.jitter_s, target, packet)

    def send(self, when, target, packet):
        self.number += 1
        heapq.heappush(self.waiting, (when, self.number, target, packet))

    def by_chance(self, chance, word):
        if chance == 0 or self.chosen.random() >= chance:
            return False
        self.done[word] += 1
        return True

    def treat(self, port, packet, when):
        """What this end of a link makes of a packet: (packet or None, when it is through)."""
        rough = port.rough
        if port.losing == 0 and self.by_chance(rough.burst, "bursts"):
            port.losing = self.chosen.randrange(1, rough.burst_packets)
        if port.losing:
            port.losing -= 1
            self.done["lost"] += 1
            return None, when
        if self.by_chance(rough.loss, "lost"):
            return None, when
        if self.by_chance(rough.flip, "flipped"):
            at = self.chosen.randrange(8 * len(packet))
            packet = packet[: at // 8] + bytes([packet[at // 8] ^ 1 << at % 8]) + packet[at // 8 + 1 :]
        elif rough.alter and self.chosen.random() < rough.alter:
            changed = altered(packet, self.chosen)
            self.done["altered"] += changed is not None
            packet = changed or packet
        if rough.bytes_a_second:
            port.free_at = max(port.free_at, when) + len(packet) / rough.bytes_a_second
            if port.free_at - when > rough.queue_s:
                port.free_at -= len(packet) / rough.bytes_a_second
                self.done["lost"] += 1
                return None, when
            when = port.free_at
        if (rough.delay_s or rough.jitter_s) and not self.by_chance(rough.early, "overtook"):
            when += max(0, rough.delay_s + self.chosen.uniform(-1, 1) * rough.jitter_s)
        return packet, when
