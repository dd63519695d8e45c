# Random programs of socket calls: made from a seed, written to files, read back.
# SPDX-License-Identifier: MIT
"""What a step does is in README.md. The generator keeps a rough idea of what
each socket is, so that most steps make sense; nothing depends on its being
right, except how full buffers get: how much fits into the buffers of a kernel
and of a link differs by nature, so a program never lets them fill."""

import random
import re
import struct
from pathlib import Path

from more import ASKS_FOR_CTL, More

TOP = Path(__file__).resolve().parents[2]
RINGS = (4096, 32768, 262144)
INDEX_BASES = (0, 0xFFFF_F000)  # the second: indexes wrap in every program
STREAM, DGRAM = 1, 2
INET, INET6 = 2, 10
PEEK, TRUNC, DONTWAIT, WAITALL = 0x2, 0x20, 0x40, 0x100
OOB, DONTROUTE, EOR, CONFIRM, NOSIGNAL = 0x1, 0x4, 0x80, 0x800, 0x4000
IN, PRI, OUT, ERR, HUP, NVAL, RDHUP = 1, 2, 4, 8, 0x10, 0x20, 0x2000
MOST_PENDING = 40_000  # bytes on their way to one socket
MOST_STEPS = 26

NUMBERS = (0, 1, -1, 2, 3, 4, 5, 7, 8, 16, 63, 64, 127, 128, 255, 256, 1000, 1500,
           4096, 65535, 65536, 100_000, 2**31 - 1, -(2**31))  # fmt: skip


def options():
    """sockopt.def as (level, option, kind, name)."""
    text = (TOP / "include/farsock/sockopt.def").read_text()
    line = re.compile(r"X\(\w+,\s*(\d+),\s*(\w+),\s*(\d+),\s*(\w+)\)")
    return [(int(l), int(n), kind, name) for l, name, n, kind in line.findall(text)]


OPTIONS = options()
# What is not set at random, because time or buffers would then decide what a
# program sees. Those with a value are set, and set back in the next step.
NEVER_SET = {
    "SO_RCVTIMEO", "SO_SNDTIMEO",  # every blocking call depends on them
    "TCP_FASTOPEN_CONNECT",  # connect() no longer connects
    "IP_MINTTL", "IPV6_MINHOPCOUNT",  # drop what comes: all waits for timers
    "SO_MAX_PACING_RATE",  # bytes a second
    "TCP_USER_TIMEOUT",  # ends connections by timers
    "TCP_MAXSEG", "TCP_WINDOW_CLAMP",  # change what fits
    "SO_RCVBUFFORCE", "SO_SNDBUFFORCE", "SO_RESERVE_MEM", "SO_BUF_LOCK",
    "SO_BUSY_POLL", "SO_PREFER_BUSY_POLL", "SO_BUSY_POLL_BUDGET",  # a wait's time
    "TCP_TX_DELAY", "TCP_RTO_MAX_MS", "TCP_RTO_MIN_US", "TCP_DELACK_MAX_US",
    "IP_RECVERR", "IPV6_RECVERR", "SO_TIMESTAMPING",  # queues that nobody reads here
    "SO_SELECT_ERR_QUEUE",  # docs/differences.md
}  # fmt: skip
SET_BACK = {"TCP_NODELAY": 1, "TCP_CORK": 0, "UDP_CORK": 0, "SO_RCVLOWAT": 1,
            "TCP_NOTSENT_LOWAT": 0, "TCP_DEFER_ACCEPT": 0, "UDP_SEGMENT": 0,
            "IP_TTL": 64, "SO_LINGER": None}  # fmt: skip
# How many bytes of a value are compared, where not all of them: the rest is
# clocks, or tells how the kernel adapted to the traffic's timing.
SHOWN = {"TCP_INFO": 1, "TCP_QUICKACK": 0, "SO_INCOMING_CPU": 0, "TCP_TIMESTAMP": 0,
         "SO_COOKIE": 0, "SO_MEMINFO": 0, "SO_NETNS_COOKIE": 0, "SO_INCOMING_NAPI_ID": 0,
         "IP_PROTOCOL": 0,
         "TCP_CC_INFO": 0, "TCP_SAVED_SYN": 0}  # fmt: skip
ADAPTED = {"SO_SNDBUF", "SO_RCVBUF", "TCP_MAXSEG", "TCP_WINDOW_CLAMP"}


class Program:
    def __init__(self, lines, ring=RINGS[0], base=0, seed=None, preload=False):
        self.lines, self.ring, self.base, self.seed = lines, ring, base, seed
        self.preload = preload

    def with_lines(self, lines):
        return Program(lines, self.ring, self.base, self.seed, self.preload)

    @property
    def way(self):
        """How it gets to its link, as it is written in files."""
        return f"ring {self.ring} base {self.base:#x}" + (" preload" if self.preload else "")

    @property
    def text(self):
        return "".join(f"{line}\n" for line in self.lines)

    def save(self, path, *comments):
        head = [*comments, self.way]
        Path(path).write_text("".join(f"# {c}\n" for c in head) + self.text)

    @staticmethod
    def load(path):
        p = Program([])
        for line in Path(path).read_text().splitlines():
            if m := re.match(r"# ring (\d+) base (\w+)( preload)?", line):
                p.ring, p.base, p.preload = int(m[1]), int(m[2], 0), bool(m[3])
            elif line.strip() and not line.startswith("#"):
                p.lines.append(line)
        p.seed = str(path)
        return p


class Sock:
    def __init__(self, name, family, kind):
        self.name, self.family, self.kind = name, family, kind
        self.state = "new"  # bound, listening, connected, closed
        self.mate = None
        self.pending = 0  # bytes on their way to it, at most
        self.small = False  # its buffers were made small
        self.stamped = False  # SO_TIMESTAMP was set
        self.shut = False  # shutdown() was called
        self.queue = []  # of a listener: who connected
        self.at = None  # where it is bound

    @property
    def is_peer(self):
        return self.name[0] == "p"


def hexed(data):
    return data.hex() or "-"


class Generator(More):
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
        return bits & ~OUT if s and s.small and s.kind == STREAM else bits

    # --- Sockets ---

    def new(self, peer, family, kind):
        letter = "p" if peer else "s"
        s = Sock(f"{letter}{self.count[letter]}", family, kind)
        self.count[letter] += 1
        self.socks.append(s)
        return s

    def make(self, peer, family, kind):
        s = self.new(peer, family, kind)
        self.add(f"socket {s.name} {family} {kind} 0")
        return s

    def alive(self, *states, kind=None, peer=None):
        return [
            s
            for s in self.socks
            if s.state != "closed"
            and (not states or s.state in states)
            and (kind is None or s.kind == kind)
            and (peer is None or s.is_peer == peer)
        ]

    def bind(self, s):
        s.at = f"{self.loopback(s.family)}/{self.port()}"
        self.add(f"bind {s.name} {s.at}")
        s.state = "bound"

    def listener(self, peer, family):
        s = self.make(peer, family, STREAM)
        if self.chance(0.3):
            self.add(f"setopt {s.name} 1 2 01000000")
        self.bind(s)
        self.listen(s)
        return s

    def listen(self, s):
        self.add(f"listen {s.name} {self.r.choice((0, 1, 1, 2, 5, 128, -1))}")
        s.state = "listening"

    def connect_to(self, s, listener):
        if self.chance(0.6):
            self.add(f"connect {s.name} ={listener.name} wait")
        else:
            self.add(f"connect {s.name} ={listener.name} nowait")
            if self.chance(0.7):
                self.add(f"poll 200 {s.name}:{OUT:#x}")
        s.state, s.small = "connected", s.small or listener.small
        listener.queue.append(s)

    def accept(self, listener):
        mate = listener.queue.pop(0) if listener.queue else None
        new = self.new(listener.is_peer, listener.family, STREAM)
        wait = "wait" if mate or self.chance(0.1) else "nowait"
        self.add(f"accept {listener.name} {new.name} {wait}")
        new.state = "connected" if mate else "closed"
        if mate:
            self.pair(listener, new, mate)
            new.pending = mate.unsent

    def pair(self, listener, new, mate):
        new.mate, mate.mate = mate, new
        # An accepted socket has its listener's buffers, and one window is both's.
        new.small = mate.small = mate.small or listener.small
        new.stamped = listener.stamped

    def tcp_pair(self, family):
        peer_listens, peer_connects = self.r.choice(
            ((True, False), (False, True), (False, False))
        )
        listener = self.listener(peer_listens, family)
        s = self.make(peer_connects, family, STREAM)
        s.unsent = 0
        if self.chance(0.15):
            self.bind(s)
        self.connect_to(s, listener)
        self.accept(listener)
        if self.chance(0.3):
            self.close(listener)

    def udp_pair(self, family):
        a = self.make(False, family, DGRAM)
        b = self.make(self.chance(0.8), family, DGRAM)
        for s in (a, b):
            if self.chance(0.9):
                self.bind(s)
        for s, t in ((a, b), (b, a)):
            if t.at and self.chance(0.4):
                self.add(f"connect {s.name} ={t.name} {self.wait()}")
                s.state, s.mate = "connected", t

    def lone(self, family):
        kind = self.r.choice((STREAM, DGRAM))
        s = self.make(False, family, kind)
        if self.chance(0.3):
            self.bind(s)
        if kind == STREAM and self.chance(0.3):
            self.listen(s)

    def refused(self, family):
        s = self.make(False, family, self.r.choice((STREAM, STREAM, DGRAM)))
        to = f"{self.loopback(family)}/P11"
        self.add(f"connect {s.name} {to} {self.wait(0.5)}")
        if s.kind == DGRAM:
            self.add(f"send {s.name} {self.length(5000)} 0 - {self.wait()}")
            # The first send asks the far core, which knows the error by then.
            n = s.name
            self.add(self.r.choice((f"!getopt {n} 1 4 4", f"!send {n} 9 0 - nowait",
                                    f"!recv {n} 9 0 nowait", f"!poll 0 {n}:0x2007")))  # fmt: skip

    def opening(self):
        family = INET if self.chance(0.6) else INET6
        how = self.r.choices(
            (self.tcp_pair, self.udp_pair, self.lone, self.refused), (6, 4, 2, 1)
        )[0]
        how(family)

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
            return 0
        flags = [DONTWAIT, NOSIGNAL, EOR, CONFIRM, DONTROUTE, NOSIGNAL | DONTWAIT]
        if s.kind == DGRAM and s.family == INET:
            flags.append(OOB)
        return self.r.choice(flags)

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
        if self.chance(0.08) and most == MOST_PENDING:
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
            return 0
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
            to = "@0" if self.chance(0.2) else self.odd_address()
            self.add(f"connect {s.name} {to} {self.wait()}")
            if s.kind == DGRAM:
                s.mate = None

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
        if family in (INET, INET6) and kind in (1, 2):
            s = self.new(False, family, kind)
            good = proto in (0, 6 if kind == STREAM else 17)
            s.state = "new" if good else "closed"
            self.add(f"socket {s.name} {family} {kind} {proto}")
        else:
            self.add(f"socket s99 {family} {kind} {proto}")

    # --- Options ---

    def value(self, kind, name):
        r = self.r
        if name == "SO_RCVLOWAT":
            return struct.pack("<i", r.choice((0, 1, 2, 10, 100, 1000, 2000)))
        if kind == "INT":
            return struct.pack("<i", r.choice(NUMBERS))
        if kind == "LINGER":
            return struct.pack("<ii", r.choice((0, 1, 2, -1)), r.choice((0, 1, 2, 100)))
        if kind == "TIMEVAL":
            return struct.pack("<qq", 0, r.choice((-1, 1_000_000, 2_000_000)))
        if kind == "NAME":
            return r.choice((b"lo", b"lo\0", b"", b"\0", b"nosuch", b"cubic", b"reno\0",
                             b"x" * 15, b"x" * 16, b"x" * 40))  # fmt: skip
        if kind == "MREQ":
            group = r.choice((b"\xe0\1\2\3", b"\x7f\0\0\1", b"\0\0\0\0"))
            rest = r.choice((b"\x7f\0\0\1", b"\0\0\0\0", b"\x0a\1\2\3"))
            return group + rest + struct.pack("<i", r.choice((0, 1, 99)))
        if kind == "MREQ6":
            group = r.choice((b"\xff\x02" + b"\0" * 13 + b"\x55", b"\0" * 15 + b"\1"))
            return group + struct.pack("<i", r.choice((0, 1, 99)))
        return bytes(r.randrange(256) for _ in range(r.choice((0, 4, 8, 12, 40))))

    def cut(self, data):
        """Sometimes a value of a wrong length."""
        if self.chance(0.85):
            return hexed(data)
        n = self.r.choice((0, 1, 2, 3, 5, 8, 16, 1000, 1001, 1008, 1009, 4096))
        return f"*{n}" if self.chance(0.5) else hexed((data + b"\0" * 64)[:n])

    def set_option(self):
        s = self.any(0.0)
        level, option, kind, name = self.r.choice(OPTIONS)
        if self.chance(0.1):
            # Options that Linux has not got; those that it has got and we have
            # not are in docs/differences.md.
            option = self.r.choice((-1, 9999, 2**31 - 1))
            level = self.r.choice((level, 0, 1, 6, 17, 41, 58, 99, 255, -1))
        known = next((n for l, o, _, n in OPTIONS if (l, o) == (level, option)), None)
        if kind == "GROUP" and not self.preload:
            return  # the link has another form of it
        data = self.value(kind, name)
        if known in NEVER_SET:
            if known not in ("SO_RCVTIMEO", "SO_SNDTIMEO"):
                return
            data = self.value("TIMEVAL", known)
            self.add(f"setopt {s.name} {level} {option} {hexed(data)}")
            return
        if known in ("SO_SNDBUF", "SO_RCVBUF"):
            s.small = True
            if s.mate:
                s.mate.small = True
        if known in ("SO_TIMESTAMP", "SO_TIMESTAMPNS"):
            s.stamped = True
        if known in ASKS_FOR_CTL and s.kind != STREAM:
            self.empty(s)  # on what has come it has no effect
        self.add(f"setopt {s.name} {level} {option} {self.cut(data)}")
        self.get_option((s, level, option, known))
        if known == "SO_RCVLOWAT" and self.chance(0.6):
            return  # takes part in what follows
        if known in SET_BACK:
            back = SET_BACK[known]
            good = struct.pack("<ii", 0, 0) if back is None else struct.pack("<i", back)
            self.add(f"setopt {s.name} {level} {option} {hexed(good)}")

    def get_option(self, which=None):
        if which:
            s, level, option, name = which
        else:
            s = self.any(0.0)
            common = [o for o in OPTIONS if o[0] == 1]  # SOL_SOCKET
            ours = [o for o in common if o[3] in ("SO_LINGER", "SO_RCVLOWAT", "SO_RCVTIMEO")]
            which = self.r.choices((OPTIONS, common, ours), (6, 3, 1))[0]
            level, option, _, name = self.r.choice(which)
            if self.chance(0.1):
                level, option, name = self.r.choice((1, 6, 0, 41)), 9999, None
        room = 4 if self.chance(0.6) else self.r.choice((0, 1, 2, 3, 5, 8, 16, 255, 1000, 4096))
        shown = f" {SHOWN[name]}" if name in SHOWN else ""
        if name in ADAPTED and s.kind == STREAM and s.state not in ("new", "bound"):
            shown = " 0"
        if name == "TCP_INFO" and s.shut:
            shown = " 0"  # when a FIN is acknowledged is the kernel's affair
        if name == "SO_PROTOCOL" and s.kind not in (STREAM, DGRAM):
            shown = " 0"  # the program's own
        self.add(f"getopt {s.name} {level} {option} {room}{shown}")

    def error_option(self):
        self.add(f"getopt {self.any(0.1).name} 1 4 4")

    def broadcast(self):
        """What an option allows is allowed as long as it says so."""
        s = self.any(0.0)
        if s.kind == DGRAM and s.family == INET:
            port = self.port()
            for on in self.r.choice(((1, 0), (0, 1), (1, 1, 0))):
                self.add(f"setopt {s.name} 1 6 0{on}000000")
                self.add(f"send {s.name} {self.length(1000)} 0 127.255.255.255/{port} nowait")

    # --- Two at a time ---

    def low_water(self):
        """Fewer bytes than SO_RCVLOWAT, then enough of them."""
        pairs = [s for s in self.alive("connected", kind=STREAM, peer=False) if s.mate
                 and s.mate.state == "connected" and not s.pending]  # fmt: skip
        if not pairs:
            return
        s = self.r.choice(pairs)
        low = self.r.choice((2, 10, 1000))
        self.add(f"setopt {s.name} 1 18 {hexed(struct.pack('<i', low))}")
        for n in (low - 1, 1):
            self.add(f"send {s.mate.name} {n} 0 - nowait")
            self.add(f"poll 0 {s.name}:{IN:#x}")
        s.pending += low

    def woken(self):
        """A call that waits, and what ends the wait."""
        pairs = [s for s in self.alive("connected", kind=STREAM) if s.mate
                 and s.mate.state == "connected" and not s.is_peer]  # fmt: skip
        takers = [s for s in self.alive(kind=DGRAM, peer=False) if s.at]
        listeners = self.alive("listening", peer=False)
        ways = []
        if pairs:
            ways += [self.woken_stream] * 4
        if takers:
            ways += [self.woken_datagram] * 3
        if listeners:
            ways += [self.woken_listener] * 2
        if ways:
            self.r.choice(ways)(pairs, takers, listeners)

    def woken_stream(self, pairs, _takers, _listeners):
        s = self.r.choice(pairs)
        if s.pending:
            self.drain(s)
        n = self.length(min(self.room_at(s), 5000, self.ring // 2)) or 1
        ends = {
            "send": f"send {s.mate.name} {n} 0 - wait",
            "end": f"shutdown {s.mate.name} 1",
            "close": f"close {s.mate.name}",
            "stop": f"shutdown {s.name} {self.r.choice((0, 2))}",
        }
        how = self.r.choices(list(ends), (6, 1, 1, 1))[0]
        if how == "close" and s.mate is s:
            return  # what another thread polls is not closed
        if how == "close":
            s.mate.state = "closed"
        elif how != "send":
            half = s.mate if how == "end" else s
            half.state, half.shut = "half", True
        if self.chance(0.3):
            first = f"poll 1000 {s.name}:{self.r.choice((IN, IN | RDHUP, RDHUP)):#x}"
            if how == "send" and first.endswith(f"{RDHUP:#x}"):
                first = f"poll 1000 {s.name}:{IN:#x}"
        else:
            flags = self.r.choice((0, 0, 0, PEEK, WAITALL)) if how == "send" else 0
            length = self.r.randint(1, n) if flags == WAITALL else self.length(9000) or 1
            if flags == WAITALL and self.chance(0.6):
                # A part is there, and does not suffice.
                part = self.r.choice((1, 100))
                self.add(f"send {s.mate.name} {part} 0 - wait")
                s.pending += part
                length += part
            first = f"recv {s.name} {length} {flags:#x} wait"
        s.pending += n if how == "send" else 0
        self.add(f"{first} | 3 {ends[how]}")

    def woken_datagram(self, _pairs, takers, _listeners):
        s = self.r.choice(takers)
        origins = [t for t in self.alive(kind=DGRAM) if t is not s and t.family == s.family]
        if not origins or s.state == "connected" or s.small:
            return
        n = self.length(min(self.room_at(s), 5000))
        s.pending += n + 1300
        first = f"poll 1000 {s.name}:{IN:#x}"
        if self.chance(0.7):
            first = f"recv {s.name} {self.length(9000)} {self.r.choice((0, 0, PEEK, TRUNC)):#x} wait"
        self.add(f"{first} | 3 send {self.r.choice(origins).name} {n} 0 ={s.name} wait")

    def woken_listener(self, _pairs, _takers, listeners):
        s = self.r.choice(listeners)
        other = self.make(self.chance(0.7), s.family, STREAM)
        other.small = s.small
        if self.chance(0.4):
            first = f"poll 1000 {s.name}:{IN:#x}"
            s.queue.append(other)
            other.unsent = 0
        else:
            new = self.new(False, s.family, STREAM)
            first = f"accept {s.name} {new.name} wait"
            new.state, other.unsent = "connected", 0
            s.queue.append(other)
            mate = s.queue.pop(0)
            self.pair(s, new, mate)
            new.pending = mate.unsent
        other.state = "connected"
        self.add(f"{first} | 3 connect {other.name} ={s.name} wait")

    def bulk(self):
        pairs = [s for s in self.alive("connected", kind=STREAM) if s.mate
                 and s.mate.state == "connected" and not s.small]  # fmt: skip
        if not pairs:
            return
        s = self.r.choice(pairs)
        n = self.r.choice((self.ring - 1, self.ring, self.ring + 1, 50_000, 300_000))
        part = self.r.choice((1000, 4096, self.ring, self.ring + 1, 300_000))
        self.drain(s.mate)
        self.add(f"bulk {s.name} {s.mate.name} {n} {part}")

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
        }  # fmt: skip
        if self.preload:
            steps |= {
                self.flagged_socket: 1, self.flags: 1.5, self.accept4: 1.5, self.dup: 1,
                self.read_write: 5, self.many: 5, self.epoll: 4, self.select: 2,
                self.address_length: 2, self.name_info: 0.3, self.fault: 3,
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
