# Random programs of socket calls: made from a seed, written to files, read back.
# SPDX-License-Identifier: MIT
"""What a step does is in README.md. The generator keeps a rough idea of what
each socket is, so that most steps make sense; nothing depends on its being
right, except how full buffers get: how much fits into the buffers of a kernel
and of a link differs by nature, so a program never lets them fill."""

import random
import struct

from addresses import Addresses
from descriptors import Descriptors
from edges import Edges
from messages import Messages
from options import Options
from program import Program
from sockets import Sockets
from waits import Waits
from words import (
    CONFIRM, DGRAM, DONTROUTE, DONTWAIT, EOR, ERR, HUP, IN, INDEX_BASES, INET,
    INET6, MOST_PENDING, MOST_STEPS, NOSIGNAL, OOB, OUT, PEEK, PRI, RDHUP, RINGS,
    STREAM, TRUNC, WAITALL, hexed,
)  # fmt: skip


class Generator(Sockets, Options, Waits, Messages, Addresses, Descriptors, Edges):
    def __init__(self, seed, preload):
        self.r = random.Random(seed)
        self.lines = []
        self.socks = []
        self.count = {"s": 0, "p": 0}
        self.ports = 0
        self.seed = seed
        self.ring = self.r.choice(RINGS)
        self.base = self.r.choice(INDEX_BASES)
        self.preload = self.chance(0.4) and preload
        if self.preload:
            self.ring, self.base = RINGS[-1], 0  # what farsock run makes

    # --- Words ---

    def chance(self, p):
        return self.r.random() < p

    def add(self, line):
        self.lines.append(line)

    def port(self):
        self.ports = (self.ports + 1) % 11
        return f"P{self.ports}"

    def wait(self, p=0.3):
        return "wait" if self.chance(p) else "nowait"

    def loopback(self, family):
        if family == INET:
            return self.r.choices(("127.0.0.1", "0.0.0.0"), (12, 1))[0]
        return self.r.choices(("::1", "::ffff:127.0.0.1", "::"), (12, 1.4, 1))[0]

    def odd_address(self):
        port = self.r.choice(("P1", "P2", "P3", "0", self.port()))
        ip = self.r.choice(
            ("127.0.0.1", "::1", "0.0.0.0", "::", "10.1.2.3", "127.255.255.255",
             "255.255.255.255", "224.0.0.1", "2001:db8::1", "fe80::1", "ff02::1",
             "::ffff:127.0.0.1", "127.1.2.3", "@0", "@99", "@10", "@2", "@1")
        )  # fmt: skip
        return ip if ip[0] == "@" else f"{ip}/{port}"

    def length(self, most):
        edges = [0, 1, 2, 7, 8, 9, 100, 1000, 1460, 16384, 65535,
                 *(self.ring + d for d in (-33, -8, -1, 0, 1, 8))]  # fmt: skip
        n = self.r.choice(edges) if self.chance(0.5) else self.r.randint(1, 5000)
        return max(0, min(n, most))

    def events(self, s=None):
        """Not whether a stream has room whose buffer was made small."""
        some = (IN, PRI, OUT, RDHUP, ERR, HUP)
        if self.chance(0.6):
            bits = IN | OUT | RDHUP | PRI
        else:
            bits = sum(b for b in some if self.chance(0.5))
        return bits & ~OUT if s and s.small and (s.kind == STREAM or s.mixed) else bits

    # --- Steps ---

    def any(self, p_peer=0.25):
        """Any socket, closed ones too; the program's more often."""
        mine = [s for s in self.socks if not s.is_peer]
        peers = [s for s in self.socks if s.is_peer]
        live = [s for s in mine if s.state != "closed"]
        if peers and self.chance(p_peer):
            return self.r.choice(peers)
        return self.r.choice(live if live and self.chance(0.9) else mine)

    def room_at(self, s):
        if s is None:
            return 5000
        return max(0, (300 if s.small else MOST_PENDING) - s.pending)

    def target(self, s):
        """Where a datagram goes: a word, and the socket if it is one."""
        known = [t for t in self.alive(kind=DGRAM) if t.at]
        if s.state == "connected" and self.chance(0.6):
            return "-", s.mate
        if known and self.chance(0.85):
            t = self.r.choice(known)
            return f"={t.name}", t
        return (self.odd_address(), None) if self.chance(0.8) else ("-", s.mate)

    def send(self):
        s = self.any(0.4)
        if s.kind == STREAM:
            self.send_stream(s)
        else:
            self.send_datagram(s)

    def send_flags(self, s):
        if self.chance(0.75):
            return self.odd_flags(0)
        flags = [DONTWAIT, NOSIGNAL, EOR, CONFIRM, DONTROUTE, NOSIGNAL | DONTWAIT]
        if s.kind == DGRAM and s.family == INET:
            flags.append(OOB)
        return self.odd_flags(self.r.choice(flags))

    def send_stream(self, s, most=MOST_PENDING):
        if s.mate and s.mate.state != "connected":
            most = self.ring // 2  # the error comes with the next
        # Who is not accepted yet may get a listener's small buffers.
        early = max(0, 300 - getattr(s, "unsent", 0)) if s.small else 5000
        room = self.room_at(s.mate) if s.mate else early
        n = self.length(min(room, most))
        if s.mate:
            s.mate.pending += n
        else:
            s.unsent = getattr(s, "unsent", 0) + n
        to = self.odd_address() if self.chance(0.05) else "-"
        # Not waiting, a link takes as much as its ring holds.
        wait = self.wait() if n <= self.ring else "wait"
        flags = self.send_flags(s)
        if n > self.ring:
            flags &= ~DONTWAIT
        self.add(f"send {s.name} {n} {flags:#x} {to} {wait}")

    def send_datagram(self, s, most=MOST_PENDING):
        to, t = self.target(s)
        n = self.length(min(self.room_at(t), most))
        if t and t.small and t.pending:
            self.drain(t)  # there may be room for one only
        # To a stream that took its number so much is more than buffers hold.
        if self.chance(0.08) and most == MOST_PENDING and not s.mixed:
            n = self.r.choice((65507, 65508, 65527, 65528, 65535, 65536, 70000,
                               2**31 - 1, 2**31, 2**32 + 5))  # fmt: skip
            if t and (t.pending or t.small):
                self.drain(t)
        plain = t and t.at and t.at.startswith("::1") and to != "-"
        if s.family == INET6 and not plain:
            n = min(n, 65535)  # see refusal() in src/near/dgram.c
        if t:
            t.pending += n + 1300 if n < 70000 else 0
        self.add(f"send {s.name} {n} {self.send_flags(s):#x} {to} {self.wait()}")

    def burst(self):
        """Sends one after the other, without a look at what they do. Where that
        is an error, a link may tell later."""
        s = self.any(0.2)
        heard = s.mate and (s.mate.mate is s or s.mate.state == "bound")
        if s.state != "connected" or not heard or s.mate.state in ("half", "closed"):
            return
        for i in range(self.r.randint(2, 6)):
            before = len(self.lines)
            most = self.ring // 8  # all of them fit
            self.send_stream(s, most) if s.kind == STREAM else self.send_datagram(s, most)
            for j in range(before, len(self.lines)):
                if i and self.lines[j].startswith(f"send {s.name}"):
                    self.lines[j] = "!" + self.lines[j]
        if self.chance(0.3):
            self.add(f"!shutdown {s.name} 1")
            s.shut = True
        elif self.chance(0.2):
            self.close(s, "!")

    def recv_flags(self):
        if self.chance(0.6):
            return self.odd_flags(0)
        return self.r.choice(
            (PEEK, WAITALL, TRUNC, DONTWAIT, PEEK | WAITALL, PEEK | TRUNC, PEEK | DONTWAIT,
             TRUNC | DONTWAIT, NOSIGNAL, OOB, WAITALL | DONTWAIT, WAITALL | TRUNC)
        )  # fmt: skip

    def recv(self):
        s = self.any(0.3)
        if s.pending >= self.ring:
            # A link gives as much at once as its ring holds.
            self.drain(s)
            return
        n = self.length(100_000)
        if self.chance(0.05):
            n = self.r.choice((2**20, 2**31 - 1, 2**31, 2**32 + 5))
        # What is not there is waited for 20 ms: not too often.
        wait = self.wait(0.5 if s.pending else 0.05)
        self.add(f"recv {s.name} {n} {self.recv_flags():#x} {wait}")

    def drain(self, s=None):
        s = s or self.any(0.4)
        self.add(f"drain {s.name}")
        s.pending = 0

    def poll(self):
        s = self.any(0.2)
        group = [t for t in self.socks if t.is_peer == s.is_peer]
        group = self.r.sample(group, min(len(group), self.r.randint(1, 4)))
        timeout = self.r.choice((0, 0, 0, 0, 5))
        words = " ".join(f"{t.name}:{self.events(t):#x}" for t in {s: 0, **dict.fromkeys(group)})
        self.add(f"poll {timeout} {words}")

    def names(self):
        call = self.r.choice(("getsockname", "getpeername"))
        self.add(f"{call} {self.any().name}")

    def shutdown(self):
        s = self.any(0.35)
        how = self.r.choice((0, 1, 1, 1, 2, 2, 3, -1, 100))
        self.add(f"shutdown {s.name} {how}")
        s.shut = True
        if s.state == "connected" and 0 <= how <= 2:
            s.state = "half"

    def shut_listener(self):
        """What shutdown() leaves behind on a socket that listens in between."""
        s = self.make(False, self.r.choice((INET, INET6)), STREAM)
        s.state, s.shut = "odd", True
        steps = [f"shutdown {s.name} {self.r.choice((0, 1, 2))}", f"listen {s.name} 1"]
        for _ in range(self.r.randint(2, 4)):
            self.add(self.r.choice(steps))
        for step in ("recv {} 10 0 nowait", "send {} 10 0 - nowait", "poll 0 {}:0x2007"):
            self.add(step.format(s.name))

    def close(self, s=None, prefix=""):
        s = s or self.any(0.4)
        self.add(f"{prefix}close {s.name}")
        s.state = "closed"

    def reset(self):
        s = self.any(0.6)
        seconds = self.r.choice((0, 0, 0, 1))  # else it ends as close() does
        self.add(f"setopt {s.name} 1 13 {hexed(struct.pack('<ii', 1, seconds))}")
        self.close(s)

    def reconnect(self):
        s = self.any(0.1)
        targets = self.alive("listening", "bound")
        if targets and self.chance(0.7):
            t = self.r.choice(targets)
            if s.kind == STREAM and t.state == "listening" and s.state in ("new", "bound"):
                s.unsent = 0
                self.connect_to(s, t)
                return
            self.add(f"connect {s.name} ={t.name} {self.wait()}")
            if s.kind == DGRAM:
                s.state, s.mate = "connected", t if t.kind == DGRAM else None
            elif t is s:
                s.state, s.mate = "connected", s  # the two ends meet
        else:
            to = "@0" if self.chance(0.3) else self.odd_address()
            self.add(f"connect {s.name} {to} {self.wait()}")
            if s.kind == DGRAM:
                s.mate = None
            elif to == "@0" and self.chance(0.6):
                self.left_error(s)

    def left_error(self, s):
        """Of a connection that was dissolved: the next call tells it, or not."""
        if self.chance(0.6):
            self.add(f"listen {s.name} 1")
        calls = [f"recv {s.name} 9 0 nowait", f"getopt {s.name} 1 4 4"]
        if self.preload:
            calls += [f"recvmmsg {s.name} {self.r.choice((0, 1, 3))} 2000 0x0"] * 2
            part = self.r.choice(("mmsghdr.recv", "msghdr.recv", "iov.read"))
            calls += [f"fault {part} {s.name} hole 16"]
        self.add(self.r.choice(calls))

    def any_accept(self):
        ready = [s for s in self.alive("listening") if s.queue]
        if ready and self.chance(0.9):
            self.accept(self.r.choice(ready))
        else:
            s = self.any(0.1)
            new = self.new(s.is_peer, s.family, STREAM)
            self.add(f"accept {s.name} {new.name} {self.wait(0.1)}")
            new.state = "closed"

    def any_bind(self):
        s = self.any(0.1)
        to = self.odd_address() if self.chance(0.7) else f"127.0.0.1/{self.port()}"
        self.add(f"bind {s.name} {to}")

    def any_listen(self):
        s = self.any(0.1)
        self.add(f"listen {s.name} {self.r.choice((0, 1, -1, 5, 2**31 - 1, -(2**31)))}")
        if s.kind == STREAM and s.state == "bound":
            s.state = "listening"

    def any_socket(self):
        """Any arguments; with good ones it becomes one of the program's."""
        family = self.r.choice((INET, INET6, INET, INET6, 99, -1, 2**31 - 1))
        # Raw sockets need privileges; 10 is AF_PACKET's.
        kind = self.r.choice((1, 2, 1, 2, 0, 4, 5, 6, 11, 15, 16, 77, 300, -1))
        proto = self.r.choice((0, 0, 0, 6, 17, 1, 58, 255, 256, -1, 262))
        if family in (INET, INET6) and kind in (1, 2) and proto != 262:
            s = self.new(False, family, kind)
            good = proto in (0, 6 if kind == STREAM else 17)
            s.state = "new" if good else "closed"
            self.add(f"socket {s.name} {family} {kind} {proto}")
        else:
            self.add(f"socket s99 {family} {kind} {proto}")

    def step(self):
        steps = {
            self.send: 12, self.recv: 12, self.drain: 5, self.burst: 4, self.poll: 8,
            self.names: 2, self.shutdown: 3, self.close: 2, self.reset: 1.5,
            self.reconnect: 2, self.any_accept: 2, self.any_bind: 1,
            self.any_listen: 1, self.any_socket: 0.7, self.set_option: 5,
            self.get_option: 3, self.error_option: 2, self.woken: 3, self.bulk: 0.6,
            self.broadcast: 0.7, self.low_water: 0.4, self.shut_listener: 0.3,
            self.opening: 1,
            self.send_message: 4, self.recv_message: 4, self.control: 1.5,
            self.gathered: 0.5, self.ioctl: 1.5, self.lookup: 0.2,
            self.multicast: 0.4, self.conflict: 0.4, self.dual: 0.4,
            self.datagram_connect: 0.7, self.raw: 0.4, self.urgent: 1, self.error_queue: 0.7,
            self.in_place: 1, self.multicast6: 0.4, self.raw6: 0.3, self.polled_oddly: 0.4,
        }  # fmt: skip
        if self.preload:
            steps |= {
                self.flagged_socket: 1, self.flags: 1.5, self.accept4: 1.5, self.dup: 1,
                self.read_write: 5, self.many: 5, self.epoll: 4, self.select: 2,
                self.address_length: 2, self.name_info: 0.3, self.fault: 3,
                self.kept_epoll: 5, self.dup_onto: 1, self.file: 1.5, self.odd_call: 3,
            }  # fmt: skip
        self.r.choices(list(steps), list(steps.values()))[0]()

    def program(self):
        for _ in range(self.r.choice((1, 1, 1, 2, 2, 3))):
            self.opening()
        want = self.r.randint(5, MOST_STEPS)
        end = len(self.lines) + want
        while len(self.lines) < end:
            self.step()
        return Program(self.lines, self.ring, self.base, self.seed, self.preload)


def generate(seed, preload=True):
    return Generator(seed, preload).program()
