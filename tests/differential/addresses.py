# Steps with groups, raw sockets, and sockets that share a port.
# SPDX-License-Identifier: MIT
"""A part of the generator: see programs.py."""

from words import DGRAM, FIONREAD, INET, INET6, PEEK, RAW, STREAM, TRUNC, i32


class Addresses:
    def multicast(self):
        """A group on lo: joined or not, looped back or not."""
        port = self.port()
        # One of its own: programs under way beside this one may have joined one.
        octets = [224, self.r.randint(1, 255), self.r.randint(0, 255), self.r.randint(0, 255)]
        group = ".".join(map(str, octets))
        r = self.make(False, INET, DGRAM)
        t = self.make(self.chance(0.5), INET, DGRAM)
        r.state = t.state = "odd"
        at = self.r.choice((group, "0.0.0.0", "127.0.0.1"))
        if self.chance(0.3):
            self.add(f"setopt {r.name} 0 49 {i32(self.r.choice((0, 1)))}")
        self.add(f"bind {r.name} {at}/{port}")
        member = bytes(octets).hex() + "7f000001" + i32(self.r.choice((0, 1)))
        if self.chance(0.8):
            self.add(f"setopt {r.name} 0 35 {member}")
        if self.chance(0.9):
            self.add(f"setopt {t.name} 0 32 00000000{'7f000001'}{i32(0)}")
        if self.chance(0.3):
            self.add(f"setopt {t.name} 0 34 {i32(self.r.choice((0, 1)))}")
        if self.chance(0.2):
            self.add(f"setopt {t.name} 0 33 {i32(self.r.choice((0, 1, 2, 255)))}")
        if self.chance(0.3):
            self.add(f"connect {t.name} {group}/{port} wait")
        for _ in range(self.r.randint(1, 3)):
            self.add(f"send {t.name} {self.length(1200)} 0 {group}/{port} wait")
            self.add(self.r.choice((f"drain {r.name}", f"recvmsg {r.name} 2000 0 0 nowait")))
        if self.chance(0.5):
            self.add(f"setopt {r.name} 0 36 {member}")
            self.add(f"send {t.name} 10 0 {group}/{port} wait")
        self.add(f"drain {r.name}")

    def raw(self):
        """Raw sockets of a protocol and at addresses that no other program has."""
        r, t = self.new(False, INET, RAW), self.new(self.chance(0.4), INET, RAW)
        for i, s in enumerate((r, t), 1):
            self.add(f"socket {s.name} 2 3 own")
            self.add(f"bind {s.name} own{i}/0")
            s.state = "odd"
        if self.chance(0.3):
            self.add(f"setopt {r.name} 0 {self.r.choice((8, 12, 13))} {i32(1)}")
        if connected := self.chance(0.4):
            self.add(f"connect {t.name} own1/0 wait")
        for _ in range(self.r.randint(1, 3)):
            to = "-" if connected and self.chance(0.5) else "own1/0"
            n = self.length(3000)
            if self.chance(0.5):
                ctl = self.sent_ctl(r, 0)
                self.add(f"sendmsg {t.name} {self.pieces(n)} 0 {to} {ctl} {self.wait()}")
            else:
                self.add(f"send {t.name} {n} 0 {to} {self.wait()}")
            flags = self.r.choice((0, PEEK, TRUNC, PEEK | TRUNC))
            self.add(f"recvmsg {r.name} {self.pieces(self.length(3500))} {flags:#x} 300 nowait")
        self.add(f"ioctl {r.name} {FIONREAD:#x}")
        self.add(f"getsockname {r.name}")
        self.add(f"getpeername {t.name}")
        if self.chance(0.3):
            self.add(f"shutdown {r.name} {self.r.choice((0, 1, 2))}")
            self.add(f"recv {r.name} 100 0 nowait")
        self.add(f"drain {r.name}")

    def conflict(self):
        """Several sockets that want one port."""
        port = self.port()
        kind = self.r.choice((STREAM, DGRAM))
        for _ in range(self.r.randint(2, 3)):
            family = self.r.choice((INET, INET6))
            s = self.make(self.chance(0.2), family, kind)
            s.state = "odd"
            for option in (2, 15):
                if self.chance(0.4):
                    self.add(f"setopt {s.name} 1 {option} {i32(self.r.choice((1, 1, 0)))}")
            if family == INET6 and self.chance(0.5):
                self.add(f"setopt {s.name} 41 26 {i32(self.r.choice((0, 1)))}")
            v4 = ("127.0.0.1", "0.0.0.0", "127.0.0.2")
            ip = self.r.choice(v4 if family == INET else ("::1", "::", "::ffff:127.0.0.1"))
            self.add(f"bind {s.name} {ip}/{port}")
            if kind == STREAM and self.chance(0.6):
                self.add(f"listen {s.name} 1")
        if self.chance(0.5):
            self.close(s)

    def dual(self):
        """IPv4 to a socket of IPv6."""
        port = self.port()
        kind = self.r.choice((STREAM, DGRAM))
        a = self.make(False, INET6, kind)
        b = self.make(self.chance(0.5), self.r.choice((INET, INET6)), kind)
        a.state = b.state = "odd"
        if self.chance(0.6):
            self.add(f"setopt {a.name} 41 26 {i32(self.r.choice((0, 0, 1)))}")
        self.add(f"bind {a.name} {self.r.choice(('::', '::', '::ffff:127.0.0.1', '::1'))}/{port}")
        to = f"127.0.0.1/{port}" if b.family == INET else f"::ffff:127.0.0.1/{port}"
        if kind == STREAM:
            self.add(f"listen {a.name} 2")
            self.add(f"connect {b.name} {to} {self.wait()}")
            new = self.new(False, INET6, STREAM)
            self.add(f"accept {a.name} {new.name} nowait")
            new.state = "odd"
            new.mate, b.mate = b, new
            self.add(f"getsockname {new.name}")
            self.add(f"getpeername {b.name}")
            n = self.length(3000)
            new.pending += n
            self.add(f"send {b.name} {n} 0 - nowait")
            self.add(f"recvmsg {new.name} 5000 0 0 nowait")
        else:
            self.add(f"sendmsg {b.name} {self.length(3000)} 0 {to} - wait")
            self.add(f"recvmsg {a.name} 5000 0 300 nowait")
            self.add(f"connect {a.name} {to} nowait")
            self.add(f"getpeername {a.name}")

    def datagram_connect(self):
        """connect(), disconnect and connect again, and who is heard then."""
        known = [t for t in self.alive(kind=DGRAM) if t.at]
        mine = self.alive(kind=DGRAM, peer=False)
        if len(known) < 2 or not mine:
            return
        s = self.r.choice(mine)
        for _ in range(self.r.randint(2, 3)):
            t = self.r.choice(known)
            to = "@0" if self.chance(0.35) else f"={t.name}"
            self.add(f"connect {s.name} {to} nowait")
            self.add(f"{self.r.choice(('getsockname', 'getpeername'))} {s.name}")
            if s.at and not s.small:
                u = self.r.choice(known)
                n = self.length(min(900, self.room_at(s)))
                s.pending += n + 1300
                self.add(f"send {u.name} {n} 0 ={s.name} nowait")
            if self.chance(0.4):
                self.add(f"send {s.name} {self.length(100)} 0 - nowait")
        s.state, s.mate = "odd", None
