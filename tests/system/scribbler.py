# A near core that writes anything anywhere in its memory, all the time.
# SPDX-License-Identifier: MIT
#
# usage: scribbler.py LINK SEED; until something is to be read. It opens sockets
# of all kinds first, and again in between. Prints how often farsockd ended its
# link, and the states that its sockets had, after each life and in the end.

import mmap
import os
import random
import select
import socket
import struct
import sys

import linkup

ONE = struct.pack("<Q", 1)
LIFE = 100  # times some hundred words, until it hangs up by itself
KEEP, WILD = 0.7, 0.02  # of what is written: nearly good, anywhere at all
LINE, SLOTS, RING = 64, 8, 2048
EVT_TAIL = 2 * LINE  # in near's part
FAR_EVT = 2 * LINE  # in far's
SOCKET, BIND, CONNECT, LISTEN, ACCEPT, SHUTDOWN, SETSOCKOPT = 4, 5, 6, 7, 8, 9, 12
FLUSH, LOOKUP, IOCTL, URGENT, ERRQUEUE, RECV, KICK = 14, 15, 17, 22, 23, 25, 1
STREAM, DGRAM, RAW = 1, 2, 3
PORT = 7000  # of slot 0, bound
CONNECTED, LISTENING, ACCEPTS, FIN, HUP = 2, 4, 8, 0x10, 0x20


def address(port):
    return struct.pack("<HHII4s12xI", 2, port, 0, 0, bytes([127, 0, 0, 1]), 0)


class Core:
    """A near core that knows what it does: requests, lines, bytes."""

    def __init__(self, near, m, rng):
        self.near, self.m, self.rng = near, m, rng
        at = near.welcome.far_at * LINE
        words = linkup.LAYOUT.unpack_from(m, at + linkup.PART_HEADER)
        self.far, self.tags = at, words[3]
        self.near_lines, self.far_lines = words[4] * LINE, words[5] * LINE
        self.cmd, self.cmd_bytes = words[6] * LINE, words[7]
        self.tx, self.rx = words[10], words[11]
        self.head, self.tag = 0, 0
        self.states = 0

    def word(self, at):
        return struct.unpack_from("<I", self.m, at)[0]

    def put(self, op, sock=0, payload=b"", tagged=True):
        size = 8 + (len(payload) + 7) // 8 * 8
        end = self.cmd_bytes - self.head % self.cmd_bytes
        if end < size:
            struct.pack_into("<BBHHH", self.m, self.cmd + self.head % self.cmd_bytes, 0, 0, 0, 0, end - 8)
            self.head += end
        self.tag = self.tag % self.tags + 1
        at = self.cmd + self.head % self.cmd_bytes
        struct.pack_into("<BBHHH", self.m, at, op, 0, self.tag if tagged else 0, sock, len(payload))
        self.m[at + 8 : at + 8 + len(payload)] = payload
        self.head = self.head + size & 0xFFFFFFFF
        struct.pack_into("<I", self.m, linkup.PART_HEADER, self.head)

    def rings(self, slot):
        """A new life of the slot's lines, and its rings."""
        line = self.near_lines + slot * LINE
        gen = self.word(line) + 1 & 0xFFFFFFFF or 1
        struct.pack_into("<9I", self.m, line, gen, 0, 0, 0xFFFFFFFF, 0, 0, 0xFFFFFFFF, 0, 0)
        share = slot * (RING // LINE)
        log2 = RING.bit_length() - 1
        return struct.pack("<IIBBHI", self.tx + share, self.rx + share, log2, log2, 0, gen)

    def kick(self, slot):
        self.put(KICK, slot, tagged=False)

    def socket(self, slot, kind):
        family = self.rng.choice((2, 2, 2, 10))
        proto = 1 if kind == RAW else 0
        self.put(SOCKET, slot, self.rings(slot) + struct.pack("<4I", family, kind, proto, 0))

    def named(self, op, slot, port):
        self.put(op, slot, address(port) + struct.pack("<II", 0, 0))

    def bytes(self, slot, count):
        line = self.near_lines + slot * LINE
        struct.pack_into("<I", self.m, line + 4, self.word(line + 4) + count & 0xFFFFFFFF)
        self.kick(slot)

    def datagram(self, slot, port):
        line = self.near_lines + slot * LINE
        head = self.word(line + 4)
        at = self.tx * LINE + slot * RING
        record = struct.pack("<IHH", 8, 0, 1) + address(port) + bytes(8)
        for i, byte in enumerate(record):
            self.m[at + (head + i) % RING] = byte
        self.bytes(slot, len(record))

    def listener(self, slot):
        """A listener, and a connection to it by another slot."""
        self.socket(slot, STREAM)
        self.named(BIND, slot, PORT + slot)
        self.put(LISTEN, slot, struct.pack("<iI", 4, 0))
        other, child = (slot + 1) % SLOTS, (slot + 2) % SLOTS
        self.socket(other, STREAM)
        self.named(CONNECT, other, PORT + slot)
        self.put(ACCEPT, slot, self.rings(child) + struct.pack("<II", child, 0))
        self.bytes(other, self.rng.randrange(1, RING))

    def datagrams(self, slot):
        self.socket(slot, DGRAM)
        self.named(BIND, slot, PORT + slot)
        self.put(SETSOCKOPT, slot, struct.pack("<iii", 0, 11, 1))  # IP_RECVERR
        for port in (PORT + slot, PORT + slot, 9):
            self.datagram(slot, port)
        self.put(FLUSH, slot, struct.pack("<II", self.word(self.near_lines + slot * LINE + 4), 0))

    def lookup(self):
        self.put(LOOKUP, 0, struct.pack("<iiiIHHI", 0, 1, 0, 0, 9, 2, 0) + b"localhost80")

    def question(self, slot):
        op, payload = self.rng.choice((
            (URGENT, b""),
            (ERRQUEUE, struct.pack("<II", 2000, 0)),
            (RECV, struct.pack("<II", 100, 0)),
            (SHUTDOWN, struct.pack("<II", self.rng.randrange(3), 0)),
            (IOCTL, struct.pack("<II", 0x541B, 0) + bytes(72)),
        ))  # fmt: skip
        self.put(op, slot, payload)

    def ring(self):
        for fd in self.near.welcome.fds[1:]:
            try:
                os.write(fd, ONE)
            except BlockingIOError:
                pass

    def settle(self):
        """Until farsockd has read what was asked, or ends the link."""
        self.ring()
        for _ in range(40):
            head = self.word(self.far + FAR_EVT)
            struct.pack_into("<II", self.m, EVT_TAIL, head, head)
            if self.word(self.far + FAR_EVT + LINE) == self.head:
                break
            if select.select([self.near.socket], [], [], 0.005)[0]:
                break
        for slot in range(SLOTS):
            self.states |= self.word(self.far_lines + slot * LINE + 20) & 0xFFFF

    def open(self):
        """Sockets of all kinds, on their way."""
        slots = list(range(SLOTS))
        self.rng.shuffle(slots)
        self.listener(slots[0])
        self.datagrams(slots[3])
        self.socket(slots[4], RAW)
        self.lookup()
        self.settle()
        for slot in slots[:3]:
            self.question(slot)
        self.settle()


def scribble(core, words):
    """Some hundred words, of which most lie where farsockd looks. Without an
    index it lets the message ring's own alone, and lives longer."""
    m, rng = core.m, core.rng
    size, hot, index = words
    for _ in range(300):
        kind = rng.random()
        if kind < WILD:
            at = rng.randrange(size // 4) * 4
        else:
            at = rng.randrange(hot // 4) * 4
        if kind < KEEP:  # an index that moved, a small number
            old = core.word(at)
            new = old + rng.choice((8, 16, 24, 64, 1, -8)) & 0xFFFFFFFF
            new = rng.choice((new, rng.randrange(32)))
        else:
            new = rng.getrandbits(32)
        if index or at != linkup.PART_HEADER:
            struct.pack_into("<I", m, at, new)
        if index and kind < KEEP / 2:  # more messages are there
            index[0] = index[0] + rng.randrange(1, 8) * 8 & 0xFFFFFFFF
            struct.pack_into("<I", m, linkup.PART_HEADER, index[0])
    core.ring()


def live(path, rng):
    """One link, to its end: whether farsockd ended it, states of its sockets."""
    with linkup.Near(path, sockets=SLOTS, tx_ring=RING, rx_ring=RING) as near:
        size = near.welcome.region_bytes
        near.socket.setblocking(False)
        with mmap.mmap(near.welcome.fds[0], size) as m:
            core = Core(near, m, rng)
            core.open()
            states = core.states  # later ones may be scribbled
            # Control, lines and messages; a wild one goes to far's part, too.
            index = rng.choice(([core.head], []))
            words = (size, min(size, 4096), index)
            for turn in range(LIFE):
                if select.select([sys.stdin], [], [], 0)[0]:
                    break
                scribble(core, words)
                if turn % 8 == 7 and not index:
                    core.open()
                try:
                    if near.socket.recv(1) == b"":
                        return True, states
                except BlockingIOError:
                    pass
                except ConnectionResetError:
                    return True, states
            return False, states


def main():
    path, seed = sys.argv[1:]
    rng = random.Random(int(seed))
    resets = states = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        try:
            reset, seen = live(path, rng)
            resets, states = resets + reset, states | seen
            print(f"again {resets} {states}", flush=True)
        except (OSError, socket.timeout):
            pass
    print(f"resets {resets} {states}", flush=True)


main()
