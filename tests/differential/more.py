# Steps with messages, control data, descriptors and the C library's calls.
# SPDX-License-Identifier: MIT
"""The second half of the generator, see programs.py. The steps of UNIX are for
programs of the host's descriptors: natively, and with farsock run."""

import struct

STREAM, DGRAM, RAW = 1, 2, 3
INET, INET6 = 2, 10
OOB, PEEK, TRUNC, WAITALL, ERRQUEUE, MORE = 0x1, 0x2, 0x20, 0x100, 0x2000, 0x8000
SOL_IP, SOL_IPV6 = 0, 41
NONBLOCK_TYPE, CLOEXEC_TYPE = 0x800, 0x80000
FIONREAD, SIOCOUTQ, SIOCATMARK = 0x541B, 0x5411, 0x8905

# Options that decide what comes with each datagram.
CTL_OPTIONS = {
    INET: ((SOL_IP, 8), (SOL_IP, 12), (SOL_IP, 13), (SOL_IP, 20), (1, 29), (1, 35)),
    INET6: ((SOL_IPV6, 49), (SOL_IPV6, 51), (SOL_IPV6, 66), (1, 29), (1, 35)),
}
ASKS_FOR_CTL = {
    "SO_TIMESTAMP", "SO_TIMESTAMPNS", "SO_RXQ_OVFL", "IP_PKTINFO", "IP_RECVOPTS",
    "IP_RETOPTS", "IP_RECVTTL", "IP_RECVTOS", "IP_RECVORIGDSTADDR", "IP_CHECKSUM",
    "IP_RECVFRAGSIZE", "IPV6_RECVPKTINFO", "IPV6_RECVHOPLIMIT", "IPV6_RECVTCLASS",
    "IPV6_FLOWINFO", "IPV6_RECVORIGDSTADDR", "IPV6_RECVFRAGSIZE", "UDP_GRO",
}  # fmt: skip


def i32(*numbers):
    return struct.pack(f"<{len(numbers)}i", *numbers).hex()


class More:
    # --- Messages ---

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
            f"41:50:{'00' * 15}01{i32(0)}", f"41:62:{i32(self.r.choice((0, 1, 2)))}", "41:9:00",
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
        for i in range(n := self.r.randint(2, 4)):
            size = self.length(min(4000, self.room_at(t)))
            t.pending += size + 1300
            flags = MORE if i < n - 1 else 0
            self.add(f"send {s.name} {size} {flags:#x} ={t.name} nowait")

    def urgent(self):
        """An urgent byte, alone: of several, reading ahead may lose one."""
        pairs = [s for s in self.alive("connected", kind=STREAM) if s.mate and not s.small
                 and s.mate.state == "connected" and not s.stamped and s.mate is not s]  # fmt: skip
        if not pairs:
            return
        s = self.r.choice(pairs)
        t = s.mate
        self.drain(s)
        if self.chance(0.3):
            self.add(f"setopt {s.name} 1 10 {i32(self.r.choice((0, 1)))}")
        for flags in (0, OOB, 0):
            if flags or self.chance(0.6):
                self.add(f"send {t.name} {self.r.choice((1, 1, 2, 10, 700))} {flags} - nowait")
        name = s.name
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
        if request == SIOCOUTQ and s.kind == STREAM and s.state not in ("new", "listening"):
            return  # when bytes are acknowledged is the kernel's affair
        self.add(f"ioctl {s.name} {request:#x}")

    def lookup(self):
        host = self.r.choice(("localhost", "127.0.0.1", "::1", "10.1.2.3", "-", "1.2", "0x7f.1",
                              "::ffff:1.2.3.4", "fe80::1%lo", "1.2.3.4.5"))  # fmt: skip
        service = self.r.choice(("-", "80", "http", "0", "65535", "65536", "nosuch", "-1", "domain"))
        family = self.r.choice((0, 0, 2, 10, 99))
        kind = self.r.choice((0, 1, 2, 3, 99))
        self.add(f"lookup {host} {service} {family} {kind}")

    # --- Addresses ---

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

    # --- Descriptors ---

    def flagged_socket(self):
        kind = self.r.choice((STREAM, DGRAM))
        flags = self.r.choice((NONBLOCK_TYPE, CLOEXEC_TYPE, NONBLOCK_TYPE | CLOEXEC_TYPE, 0x400, 0x1000))
        s = self.new(False, self.r.choice((INET, INET6)), kind)
        self.add(f"socket {s.name} {s.family} {kind | flags} 0")
        self.add(f"flags {s.name}")

    def flags(self):
        s = self.any(0.0)
        if self.chance(0.5):
            self.add(f"setfl {s.name} {self.r.choice((0, 0x800, 0x802, 0x400))}")
        self.add(f"flags {s.name}")

    def accept4(self):
        ready = [s for s in self.alive("listening", peer=False) if s.queue]
        s = self.r.choice(ready) if ready and self.chance(0.8) else self.any(0.0)
        new = self.new(False, s.family, STREAM)
        good = (0, NONBLOCK_TYPE, CLOEXEC_TYPE, NONBLOCK_TYPE | CLOEXEC_TYPE)
        flags = self.r.choice(good if self.chance(0.85) else (1, 0x400, -1))
        self.add(f"accept4 {s.name} {new.name} {flags}")
        new.state = "closed"
        if s in ready and flags in good:
            mate = s.queue.pop(0)
            new.state = "connected"
            self.pair(s, new, mate)
            new.pending = getattr(mate, "unsent", 0)
            self.add(f"flags {new.name}")

    def dup(self):
        s = self.any(0.0)
        new = self.new(False, s.family, s.kind)
        new.state, new.small, new.stamped = "odd", s.small, s.stamped
        self.add(f"dup {s.name} {new.name}")
        if self.chance(0.5):
            self.close(s if self.chance(0.5) else new)
        for _ in range(2):
            self.add(self.r.choice((f"getsockname {new.name}", f"recv {new.name} 100 0 nowait",
                                    f"poll 0 {s.name}:0x2003 {new.name}:0x2003")))  # fmt: skip

    def read_write(self):
        s = self.any(0.0)
        call = self.r.choice(("read", "readv", "write", "writev"))
        if call[0] == "r":
            n = self.length(5000)
        elif s.mate and (s.mate.state != "connected" if s.kind == STREAM else s.mate.small):
            return
        else:
            n = self.length(min(4000, self.room_at(s.mate), self.ring // 8))
            if s.mate:
                s.mate.pending += n + 1300
        self.add(f"{call} {s.name} {self.pieces(n)}")

    def many(self):
        s = self.any(0.0)
        count = self.r.choice((0, 1, 2, 3, 8))
        if self.chance(0.5) and s.pending < self.ring:
            flags = self.r.choice((0, PEEK, TRUNC, 0x10000))
            self.add(f"recvmmsg {s.name} {count} {self.length(2000)} {flags:#x}")
            return
        to, t = self.target(s) if s.kind == DGRAM else ("-", s.mate)
        if s.kind == STREAM and not (t and t.state == "connected") or (t and t.small):
            return
        heard = t and t.state != "closed" and t.at and (t.state == "bound" or t.mate is s)
        if s.kind == DGRAM and not heard:
            count = min(count, 1)  # an error may come later than natively
        n = self.length(min(500, self.room_at(t) // 20))
        if t:
            t.pending += count * (n + 1300)
        self.add(f"sendmmsg {s.name} {count} {n} 0 {to}")

    def group(self):
        mine = [s for s in self.socks if not s.is_peer]
        return self.r.sample(mine, min(len(mine), self.r.randint(1, 4)))

    def epoll(self):
        words = []
        for s in self.group():
            extra = self.r.choice((0, 0, 0, 1 << 31, 1 << 30))
            words.append(f"{s.name}:{self.events(s) | extra:#x}")
        self.add("epoll " + " ".join(words))

    def select(self):
        self.add("select " + " ".join(s.name for s in self.group()
                                      if s.state != "closed" and not s.small))  # fmt: skip

    def address_length(self):
        s = self.any(0.0)
        length = self.r.choice((0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 20, 23, 24, 27, 28, 29, 127, 128,
                                129, 200, -1, 2**31 - 1))  # fmt: skip
        call = self.r.choice(("bind", "connect", "sendto", "sendto", "getsockname", "getpeername"))
        if call == "connect" and s.kind == STREAM:
            call = "bind"
        if call == "sendto" and s.small:
            return  # there may be no room
        ip = self.r.choice(("127.0.0.1", "::1", "10.1.2.3", "@0", "@1", "@99"))
        to = ip if ip[0] == "@" else f"{ip}/{self.r.choice(('P11', self.port()))}"
        self.add(f"length {call} {s.name} {to} {length}")

    def fault(self):
        """A pointer to nothing, where else all is well or is not."""
        s = self.any(0.0)
        calls = ["send", "send", "recv", "recv", "sendto", "recvfrom", "recvfrom.len", "read", "write",
                 "bind", "connect", "getsockname", "getpeername", "getsockname.len",
                 "getpeername.len", "setsockopt", "getsockopt", "getsockopt.len", "ioctl"]  # fmt: skip
        calls += [f"{call}.{part}" for call in ("sendmsg", "recvmsg")
                  for part in ("iov", "name", "ctl", "pieces")]  # fmt: skip
        call = self.r.choice(calls)
        if call[:7] in ("sendto", "sendmsg") and s.mate:
            if s.small or s.mate.small:
                return
            s.mate.pending += 64 + 1300  # it may go all the same
        length = self.r.choice((0, 1, 8, 16, 100, 4096))
        self.add(f"fault {call} {s.name} {self.r.choice(('null', 'one', 'hole', 'last'))} {length}")

    def name_info(self):
        to = self.r.choice(("127.0.0.1/80", "::1/53", "10.1.2.3/7", "::ffff:1.2.3.4/0", "@0", "@1",
                            "127.0.0.1/9", "fe80::1/22/1"))  # fmt: skip
        flags = self.r.choice((1, 2, 3, 4, 8, 9, 16, 19, 64, 0)) | (1 if to[:3] in ("10.", "fe8", "::f") else 0)
        self.add(f"nameinfo {to} {flags}")
