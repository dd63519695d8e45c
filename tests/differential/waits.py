# Steps of two calls: one that waits, and what ends the wait.
# SPDX-License-Identifier: MIT
"""A part of the generator: see programs.py."""

import struct

from words import DGRAM, IN, INET, PEEK, RDHUP, STREAM, TRUNC, WAITALL, WAITFORONE, hexed, i32


class Waits:
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
        if self.preload and pairs:
            ways += [self.woken_many]
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

    def woken_many(self, pairs, _takers, _listeners):
        """Some messages are there; an error comes while it waits for more."""
        s = self.r.choice(pairs)
        t = s.mate
        if t is s or self.chance(0.5):
            s, t = self.make(False, INET, DGRAM), self.make(True, INET, DGRAM)
            for x, y in ((s, t), (t, s)):
                self.add(f"bind {x.name} 127.0.0.1/{self.port()}")
            for x, y in ((s, t), (t, s)):
                self.add(f"connect {x.name} ={y.name} wait")
        elif s.pending:
            self.drain(s)
        self.add(f"send {t.name} {self.r.choice((3, 5, 10))} 0 - wait")
        if s.kind == DGRAM:
            self.add(f"close {t.name}")
            cause = f"send {s.name} 9 0 - wait"
        else:
            self.add(f"setopt {t.name} 1 13 {i32(1, 0)}")
            cause = f"close {t.name}"
        flags = self.r.choice((0, 0, 0, PEEK, WAITFORONE))
        # Later than others: it must not come before the first message is taken.
        self.add(f"recvmmsg {s.name} 3 5 {flags:#x} wait | 20 {cause}")
        s.state, s.mate, s.shut = "odd", None, True
        t.state = "closed"
        for _ in range(2):
            self.add(self.r.choice((
                f"getopt {s.name} 1 4 4", f"recv {s.name} 9 0 nowait", f"send {s.name} 9 0 - nowait",
                f"recvmmsg {s.name} 2 9 0", f"poll 0 {s.name}:{IN | RDHUP:#x}")))  # fmt: skip

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
