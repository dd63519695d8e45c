# Steps at and beyond the edges of what calls take, and an epoll instance.
# SPDX-License-Identifier: MIT
"""A part of the generator: see programs.py."""

import struct

from words import CLOEXEC_TYPE, COMPAT, DGRAM, IN, INET6, NONBLOCK_TYPE, OUT, PRI, RAW, RDHUP, STREAM, i32

# Flags of messages that mean nothing to the call that gets them, and numbers
# that no flag has: MSG_SYN, MSG_FIN, MSG_BATCH, MSG_ZEROCOPY, MSG_CMSG_CLOEXEC...
ODD_FLAGS = (0x8, 0x10, 0x200, 0x400, 0x1000, 0x10000, 0x20000, 0x40000, 0x80000, 0x100000,
             0x1000000, 0x4000000, 0x8000000, 0x10000000, 0x40000000)  # fmt: skip
ODD_COUNTS = (0, 1, -1, 1023, 1024, 1025)
ODD_LENGTHS = (0, 1, -1, 2**31 - 1, 2**31, 2**32, 2**63 - 1, -(2**63), -17)
ODD_CALLS = {
    "sendmsg": ODD_COUNTS, "recvmsg": ODD_COUNTS, "sendmmsg": (0, 1, 1023, 1024, 1025),
    "recvmmsg": (0, 1, 1024, 1025), "readv": ODD_COUNTS, "writev": ODD_COUNTS,
    "sendmsg.piece": (0, -1, -17, -(2**63)), "recvmsg.piece": ODD_LENGTHS,
    "readv.piece": ODD_LENGTHS, "writev.piece": (0, -1, -17, -(2**63)),
    "sendmsg.name": (-1, 0, 1, 2, 15, 16, 128, 129, 2**31 - 1),
    "recvmsg.name": (-1, 0, 1, 2, 15, 16, 128, 129, 2**31 - 1),
    "sendmsg.item": (-1, 0, 1, 15, 16, 17, 20, 21, 24, 25, 64, 2**31, 2**63 - 1),
    "sendmsg.ctl": (1, 12, 15, 16, 17, 19, 20, 21, 23, 24),
    "recvmsg.ctl": (1, 12, 15, 16, 17, 19, 20, 21, 23, 24),
    "setsockopt": (-1, 0, 3, 4, 5, 2**31 - 1), "getsockopt": (-1, 0, 3, 4, 5, 2**31 - 1),
    "recvmmsg.left": (-1, 0, 1, 9), "recvmmsg.time": (-1, 0, 1, 999_999_999, 1_000_000_000), "ppoll.time": (-1, 0, 1_000_000_000),
    "epoll_wait": (-1, 0, 1, 2**31 - 1), "select": (-1, 0, 1), "epoll_ctl": (0, 4, 99, -1),
}  # fmt: skip


class Edges:
    def odd_flags(self, flags):
        odd = (*ODD_FLAGS, COMPAT) if self.preload else ODD_FLAGS
        return flags | self.r.choice(odd) if self.chance(0.06) else flags

    def in_place(self):
        """Built in the ring and read where it lies."""
        pairs = [s for s in self.alive("connected", kind=STREAM) if s.mate and not s.small
                 and s.mate.state == "connected" and not s.stamped]  # fmt: skip
        if not pairs or self.preload:
            return
        s = self.r.choice(pairs)
        for _ in range(self.r.randint(1, 4)):
            t, u = (s, s.mate) if self.chance(0.5) else (s.mate, s)
            n = self.length(min(self.room_at(u), self.ring // 4))
            if self.chance(0.5) or not t.pending:
                u.pending += n
                self.add(f"zsend {t.name} {n}" if self.chance(0.7) else f"send {t.name} {n} 0 - nowait")
            else:
                self.add(f"zrecv {t.name} {self.length(t.pending + 10)}")
        if self.chance(0.3):
            self.add(f"shutdown {s.mate.name} 1")
            s.mate.state, s.mate.shut = "half", True
        self.add(f"zrecv {s.name} 1000000")
        s.pending = 0

    def kept_epoll(self):
        """One instance for the program: entries added, changed, removed."""
        s = self.any(0.0)
        way = self.r.random()
        if way < 0.5:
            extra = self.r.choice((0, 0, 1 << 31, 1 << 30, 1 << 28))
            op = self.r.choice((1, 1, 1, 3, 2))
            events = self.events(s) | extra
            if extra == 1 << 31:
                events &= ~OUT  # natively room that comes is an edge each time
            if extra == 1 << 28 and self.chance(0.7):
                events &= IN | OUT | extra
            self.add(f"epctl {op} {s.name} {events:#x}")
        self.add("epwait 64")

    def dup_onto(self):
        s, new = self.any(0.0), self.any(0.0)
        if self.chance(0.4):
            new = self.new(False, s.family, s.kind)
            self.add(f"dupfd {s.name} {new.name} {self.r.choice((0, 100, 500, -1, 2**31 - 1))}")
        else:
            flags = self.r.choice((-1, -1, 0, CLOEXEC_TYPE, NONBLOCK_TYPE, 1))
            self.add(f"dup2 {s.name} {new.name} {flags}")
            new.mixed = new.mixed or s.mixed or s.kind != new.kind
            new.small = new.small or s.small
        if new.mate and new.mate is not new:
            new.mate.mate = None
        for t in {s, new}:
            t.state, t.mate, t.shut = "odd", None, True
        for listener in self.socks:
            listener.queue = [t for t in listener.queue if t not in (s, new)]
        s.queue, new.queue = [], []
        s.appends = new.appends = s.appends or new.appends
        self.add(self.r.choice((f"getsockname {new.name}", f"poll 0 {s.name}:0x2003 {new.name}:0x2003",
                                f"getopt {new.name} 1 3 4")))  # fmt: skip

    def file(self):
        """sendfile() and splice()."""
        s = self.any(0.0)
        if self.chance(0.5):
            n = self.length(s.pending + 10) or 1
            if s.pending < self.ring:
                self.add(f"splice {s.name} {min(n, 3000)}")
            return
        t = s.mate
        if s.kind != STREAM or s.small or s.appends or t and (t.small or t.state != "connected"):
            return
        n = self.length(min(4000, self.room_at(t), self.ring // 8))
        if t:
            t.pending += n
        self.add(f"sendfile {s.name} {self.r.choice((0, 0, 1, 5000, 9999, 10000, 20000, -1))} {n}")

    def odd_call(self):
        s = self.any(0.0)
        call = self.r.choice(list(ODD_CALLS))
        number = self.r.choice(ODD_CALLS[call])
        if call[0] in "sw" and (s.small or s.mate and s.mate.small):
            return
        if call == "sendmmsg" and s.kind != STREAM and number > 8:
            return  # so many fill buffers
        if s.mate:
            s.mate.pending += 1400
        self.add(f"odd {call} {s.name} {number}")

    def multicast6(self):
        """A group on lo, IPv6."""
        port = self.port()
        group = bytes([0xFF, self.r.choice((0x01, 0x02))]) + bytes(12) + struct.pack(
            ">H", self.r.randint(0x1000, 0xFFFF))  # fmt: skip
        name = ":".join(group[i : i + 2].hex() for i in range(0, 16, 2))
        r = self.make(False, INET6, DGRAM)
        t = self.make(self.chance(0.5), INET6, DGRAM)
        r.state = t.state = "odd"
        if self.chance(0.3):
            self.add(f"setopt {r.name} 41 29 {i32(self.r.choice((0, 1)))}")
        at = self.r.choice((f"::/{port}", f"::/{port}", f"{name}/{port}", f"{name}/{port}/1"))
        self.add(f"bind {r.name} {at}")
        member = group.hex() + i32(self.r.choice((1, 1, 0, 99)))
        if self.chance(0.8):
            self.add(f"setopt {r.name} 41 20 {member}")
        if self.chance(0.8):
            self.add(f"setopt {t.name} 41 17 {i32(1)}")
        if self.chance(0.3):
            self.add(f"setopt {t.name} 41 19 {i32(self.r.choice((0, 1)))}")
        if self.chance(0.3):
            self.add(f"setopt {t.name} 41 18 {i32(self.r.choice((-1, 0, 1, 255)))}")
        to = f"{name}/{port}" + self.r.choice(("", "/1", "/1", "/99"))
        if self.chance(0.3):
            self.add(f"connect {t.name} {to} wait")
        for _ in range(self.r.randint(1, 3)):
            self.add(f"send {t.name} {self.length(1200)} 0 {to} wait")
            self.add(self.r.choice((f"drain {r.name}", f"recvmsg {r.name} 2000 0 0 nowait")))
        if self.chance(0.5):
            self.add(f"setopt {r.name} 41 21 {member}")
            self.add(f"send {t.name} 10 0 {to} wait")
        self.add(f"drain {r.name}")

    def raw6(self):
        """Raw sockets of IPv6, of a protocol that no other program has."""
        r, t = self.new(False, INET6, RAW), self.new(self.chance(0.4), INET6, RAW)
        for s in (r, t):
            self.add(f"socket {s.name} 10 3 own")
            s.state = "odd"
        if self.chance(0.5):
            self.add(f"bind {r.name} {self.r.choice(('::1', '::', '2001:db8::1'))}/0")
        if self.chance(0.3):
            self.add(f"setopt {r.name} 41 {self.r.choice((49, 51, 66, 7))} {i32(self.r.choice((1, 2, -1)))}")
        if connected := self.chance(0.4):
            self.add(f"connect {t.name} ::1/0 wait")
        for _ in range(self.r.randint(1, 3)):
            to = "-" if connected and self.chance(0.5) else f"::1/{self.r.choice((0, 0, 0, 7))}"
            n = self.length(3000) or 1  # natively a second look passes over nothing
            ctl = self.sent_ctl(r, 0)
            self.add(f"sendmsg {t.name} {self.pieces(n)} 0 {to} {ctl} {self.wait()}")
            self.add(f"recvmsg {r.name} {self.pieces(self.length(3500))} {self.r.choice((0, 2, 0x20))} 300 nowait")
        self.add(f"getsockname {r.name}")
        self.add(f"getpeername {t.name}")
        self.add(f"drain {r.name}")
        self.add(f"drain {t.name}")

    def polled_oddly(self):
        """The same socket twice, and one that is none."""
        s = self.any(0.0)
        both = (IN, OUT, PRI, RDHUP, IN | OUT | RDHUP, 0)
        some = [e for e in both if not (s.small and e & OUT)]
        self.add(f"poll 0 {s.name}:{self.r.choice(some):#x} s98:{IN:#x} {s.name}:{self.r.choice(some):#x}")
