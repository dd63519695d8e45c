# Steps that make sockets and connect them.
# SPDX-License-Identifier: MIT
"""A part of the generator: see programs.py."""

from words import DGRAM, INET, INET6, OUT, STREAM


class Sock:
    def __init__(self, name, family, kind):
        self.name, self.family, self.kind = name, family, kind
        self.state = "new"  # bound, listening, connected, closed
        self.mate = None
        self.pending = 0  # bytes on their way to it, at most
        self.small = False  # its buffers were made small
        self.stamped = False  # SO_TIMESTAMP was set
        self.shut = False  # shutdown() was called
        self.appends = False  # O_APPEND: natively sendfile() refuses it
        self.mixed = False  # dup2() may have made it of another kind
        self.queue = []  # of a listener: who connected
        self.at = None  # where it is bound

    @property
    def is_peer(self):
        return self.name[0] == "p"


class Sockets:
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
