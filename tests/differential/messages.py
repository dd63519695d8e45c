# Steps with messages and control data, urgent bytes and errors.
# SPDX-License-Identifier: MIT
"""A part of the generator: see programs.py."""

import struct

from words import (
    DGRAM, ERRQUEUE, FIONREAD, INET, INET6, MORE, OOB, PEEK, SIOCATMARK, SIOCOUTQ,
    SOL_IP, SOL_IPV6, STREAM, TRUNC, WAITALL, i32,
)  # fmt: skip

# Options that decide what comes with each datagram.
CTL_OPTIONS = {
    INET: ((SOL_IP, 8), (SOL_IP, 12), (SOL_IP, 13), (SOL_IP, 20), (1, 29), (1, 35)),
    INET6: ((SOL_IPV6, 49), (SOL_IPV6, 51), (SOL_IPV6, 66), (1, 29), (1, 35)),
}


class Messages:
    def empty(self, s):
        """Of datagrams: a pending error may end the first drain."""
        self.drain(s)
        self.drain(s)

    def pieces(self, n):
        """n bytes in a few pieces, empty ones too."""
        out = []
        while n > 0 and len(out) < 6:
            part = self.r.choice((0, 1, n // 2, n, self.r.randint(0, n)))
            out.append(min(n, part))
            n -= out[-1]
        if n or not out:
            out.append(n)
        if self.chance(0.2):
            out.insert(self.r.randrange(len(out) + 1), 0)
        return ",".join(map(str, out))

    def sent_ctl(self, s, n):
        """Control data that goes with a datagram; at times what is refused."""
        if self.chance(0.4):
            return "-"
        v4 = [
            f"0:2:{i32(self.r.choice((1, 64, 255, 77)))}", f"0:2:{i32(self.r.choice((0, 256, -1)))}",
            f"0:1:{i32(self.r.choice((0, 16, 32, 255)))}", "0:1:10", "0:1:", "0:2:01", "0:99:01000000",
            f"0:8:{i32(self.r.choice((0, 1, 99)), 0, 0)}", f"0:8:{i32(1, 0x0100007F, 0)}",
            f"0:8:{i32(0, self.r.choice((0x0200007F, 0x0102030A)), 0)}", "0:8:01000000",
        ]  # fmt: skip
        v6 = [
            f"41:52:{i32(self.r.choice((0, 1, 9, 255)))}", f"41:52:{i32(self.r.choice((256, -2, -1)))}",
            f"41:67:{i32(self.r.choice((0, 16, 255, -1)))}", f"41:67:{i32(256)}", "41:52:01", "41:67:10",
            f"41:50:{'00' * 16}{i32(self.r.choice((0, 1, 99)))}", "41:50:01000000",
            f"41:50:{'00' * 15}01{i32(0)}", f"41:62:{i32(self.r.choice((0, 1, 2)))}" if n < 60_000 else "41:9:", "41:9:00",
        ]  # fmt: skip
        common = ["1:999:00000000", "99:1:00000000", "17:99:0100"]
        if 1 < n < 1400 and s.kind == DGRAM:
            common += [f"17:103:{struct.pack('<H', self.r.choice((n, n - 1, n // 2 + 1))).hex()}"] * 2
        own = v4 if s.family == INET else v6 + v4[:2]
        items = [self.r.choice(own if self.chance(0.85) else common)]
        if self.chance(0.25):
            items.append(self.r.choice(own))
        return "+".join(items)

    def send_message(self):
        s = self.any(0.1)
        before = len(self.lines)
        if s.kind == STREAM:
            self.send_stream(s)
        else:
            self.send_datagram(s)
        for i in range(before, len(self.lines)):
            words = self.lines[i].split()
            if words[0] != "send" or int(words[2]) > 2**20:
                continue
            name, n, flags, to, wait = words[1:]
            ctl = self.sent_ctl(s, int(n)) if s.kind == DGRAM else "-"
            self.lines[i] = f"sendmsg {name} {self.pieces(int(n))} {flags} {to} {ctl} {wait}"

    def recv_message(self, s=None):
        s = s or self.any(0.1)
        if s.stamped and s.kind == STREAM:
            return  # docs/differences.md, "control data of streams"
        if s.pending >= self.ring:
            self.drain(s)
            return
        n = self.length(70_000)
        flags = self.recv_flags()
        room = self.r.choice((0, 0, 300, 300, 1024, 16, 24, 25, 40, 64, 100, self.r.randint(0, 200)))
        wait = self.wait(0.5 if s.pending else 0.05)
        self.add(f"recvmsg {s.name} {self.pieces(n)} {flags:#x} {room} {wait}")

    def control(self):
        """What comes with datagrams, after options that ask for it."""
        takers = [s for s in self.alive(kind=DGRAM, peer=False) if s.at and not s.small]
        if not takers:
            return
        s = self.r.choice(takers)
        self.empty(s)
        for _ in range(self.r.randint(1, 3)):
            level, option = self.r.choice(CTL_OPTIONS[s.family])
            self.add(f"setopt {s.name} {level} {option} {i32(self.r.choice((1, 1, 1, 0)))}")
        origins = [t for t in self.alive(kind=DGRAM) if t.family == s.family]
        for _ in range(self.r.randint(1, 3)):
            t = self.r.choice(origins)
            n = self.length(min(2000, self.room_at(s)))
            ctl = self.sent_ctl(t, 0)
            self.add(f"sendmsg {t.name} {self.pieces(n)} 0 ={s.name} {ctl} wait")
            s.pending += n + 1300
        for _ in range(self.r.randint(1, 3)):
            self.recv_message(s)

    def gathered(self):
        """MSG_MORE: one datagram from several sends."""
        takers = [s for s in self.alive(kind=DGRAM) if s.at and not s.small]
        if not takers:
            return
        t = self.r.choice(takers)
        s = self.r.choice(self.alive(kind=DGRAM))
        if s.family != t.family:
            return
        # docs/differences.md: not with an error that the first would meet.
        self.add(f"getopt {s.name} 1 4 4")
        for i in range(n := self.r.randint(2, 4)):
            size = self.length(min(4000, self.room_at(t)))
            t.pending += size + 1300
            flags = MORE if i < n - 1 else 0
            self.add(f"send {s.name} {size} {flags:#x} ={t.name} nowait")

    def urgent(self):
        """Urgent bytes; of several at once, reading ahead may lose one."""
        pairs = [s for s in self.alive("connected", kind=STREAM) if s.mate and not s.small
                 and s.mate.state == "connected" and not s.stamped and s.mate is not s]  # fmt: skip
        if not pairs:
            return
        s = self.r.choice(pairs)
        t = s.mate
        self.drain(s)
        if self.chance(0.3):
            self.add(f"setopt {s.name} 1 10 {i32(self.r.choice((0, 1)))}")
        name = s.name
        rows = ((0, OOB, 0), (0, OOB, 0), (0, OOB, 0, OOB, 0), (OOB, OOB), (0, OOB, OOB, OOB))
        for flags in self.r.choice(rows):
            if flags or self.chance(0.6):
                self.add(f"send {t.name} {self.r.choice((1, 1, 2, 10, 700))} {flags} - nowait")
            if self.chance(0.2):
                self.add(self.r.choice((f"recv {name} 3 0 nowait", f"recv {name} 1 {OOB} nowait",
                                        f"ioctl {name} {SIOCATMARK:#x}")))  # fmt: skip
        steps = [f"recv {name} {n} {f} nowait" for n in (1, 5, 1000) for f in (0, 0, PEEK, WAITALL)]
        steps += [f"recv {name} {n} {OOB | f} nowait" for n in (0, 1, 1, 9) for f in (0, 0, PEEK)]
        steps += [f"poll 0 {name}:{e:#x}" for e in (1, 2, 3, 0x2007, 0x2007)] * 2
        steps += [f"ioctl {name} {r:#x}" for r in (SIOCATMARK, SIOCATMARK, FIONREAD)] * 2
        for _ in range(self.r.randint(2, 7)):
            self.add(self.r.choice(steps))
        if self.chance(0.2):
            self.shutdown()
        self.drain(s)

    def error_queue(self):
        """What ICMP says of datagrams, in detail (IP_RECVERR)."""
        family = self.r.choice((INET, INET6))
        s = self.make(False, family, DGRAM)
        s.state = "odd"
        name, to = s.name, f"{'127.0.0.1' if family == INET else '::1'}/P11"
        option = "0 11" if family == INET else "41 25"
        self.add(f"setopt {name} {option} {i32(1)}")
        if connected := self.chance(0.5):
            self.add(f"connect {name} {to} nowait")
        for _ in range(self.r.randint(1, 2)):
            n = self.r.choice((0, 1, 100, 1000, self.r.randint(0, 1400)))
            self.add(f"send {name} {n} 0 {'-' if connected and self.chance(0.5) else to} nowait")
            steps = [f"poll 0 {name}:{self.events():#x}", f"getopt {name} 1 4 4", f"drain {name}",
                     f"recv {name} 100 0 nowait", f"ioctl {name} {FIONREAD:#x}"]  # fmt: skip
            steps += [f"recvmsg {name} {self.pieces(size)} {ERRQUEUE | flags:#x} {room} nowait"
                      for size, flags, room in ((1500, 0, 300), (0, 0, 300), (10, 0, 300),
                                                (1500, PEEK, 300), (10, TRUNC, 40), (1500, 0, 0))]  # fmt: skip
            for _ in range(self.r.randint(1, 5)):
                self.add(self.r.choice(steps))
        for _ in range(2):
            self.add(f"recvmsg {name} 100 {ERRQUEUE:#x} 300 nowait")
        if self.chance(0.5):
            self.add(f"setopt {name} {option} {i32(0)}")  # empties the queue
            self.add(f"poll 0 {name}:0x2007")

    def ioctl(self):
        s = self.any(0.0)
        request = self.r.choice((FIONREAD, FIONREAD, FIONREAD, SIOCOUTQ, 0x12345678))
        stream = s.kind == STREAM or s.mixed
        if request == SIOCOUTQ and stream and s.state not in ("new", "listening"):
            return  # when bytes are acknowledged is the kernel's affair
        self.add(f"ioctl {s.name} {request:#x}")

    def lookup(self):
        host = self.r.choice(("localhost", "127.0.0.1", "::1", "10.1.2.3", "-", "1.2", "0x7f.1",
                              "::ffff:1.2.3.4", "fe80::1%lo", "1.2.3.4.5"))  # fmt: skip
        service = self.r.choice(("-", "80", "http", "0", "65535", "65536", "nosuch", "-1", "domain"))
        family = self.r.choice((0, 0, 2, 10, 99))
        kind = self.r.choice((0, 1, 2, 3, 99))
        # AI_PASSIVE, _CANONNAME, _NUMERICHOST, _V4MAPPED, _ALL, _NUMERICSERV, unknown
        flags = self.r.choice((0, 0, 1, 2, 4, 8, 0x18, 0x400, 0x405, 0x404, 0x8000))
        self.add(f"lookup {host} {service} {family} {kind} {flags:#x}")
