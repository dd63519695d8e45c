# Steps of the host's descriptors: natively, and with farsock run.
# SPDX-License-Identifier: MIT
"""A part of the generator: see programs.py."""

from words import CLOEXEC_TYPE, COMPAT, DGRAM, INET, INET6, NONBLOCK_TYPE, PEEK, STREAM, TRUNC


class Descriptors:
    def flagged_socket(self):
        kind = self.r.choice((STREAM, DGRAM))
        flags = self.r.choice((NONBLOCK_TYPE, CLOEXEC_TYPE, NONBLOCK_TYPE | CLOEXEC_TYPE, 0x400, 0x1000))
        s = self.new(False, self.r.choice((INET, INET6)), kind)
        self.add(f"socket {s.name} {s.family} {kind | flags} 0")
        self.add(f"flags {s.name}")

    def flags(self):
        s = self.any(0.0)
        if self.chance(0.5):
            flags = self.r.choice((0, 0x800, 0x802, 0x400))
            s.appends |= flags == 0x400
            self.add(f"setfl {s.name} {flags}")
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
        new.state, new.small, new.stamped, new.appends = "odd", s.small, s.stamped, s.appends
        new.mixed = s.mixed
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
            flags = self.odd_flags(flags)
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
        flags = COMPAT if self.chance(0.02) else 0
        self.add(f"sendmmsg {s.name} {count} {n} {flags:#x} {to}")

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
        call = self.r.choice(("bind", "connect", "sendto", "sendto", "getsockname", "getpeername",
                              "recvfrom", "recvfrom"))  # fmt: skip
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
        calls += ["msghdr.send", "msghdr.recv", "mmsghdr.send", "mmsghdr.recv", "iov.read",
                  "iov.write", "poll.fds", "select.set", "off.sendfile"]  # fmt: skip
        calls += [f"{call}.{part}" for call in ("sendmsg", "recvmsg")
                  for part in ("iov", "name", "ctl", "pieces")]  # fmt: skip
        call = self.r.choice(calls)
        if call[:7] in ("sendto", "sendmsg") and s.mate:
            if s.small or s.mate.small:
                return
            s.mate.pending += 64 + 1300  # it may go all the same
        length = self.r.choice((0, 1, 8, 16, 100, 4096))
        pointer = self.r.choice(("null", "one", "hole", "last"))
        if call == "off.sendfile" and pointer == "null":
            return  # where the file stands
        self.add(f"fault {call} {s.name} {pointer} {length}")

    def name_info(self):
        to = self.r.choice(("127.0.0.1/80", "::1/53", "10.1.2.3/7", "::ffff:1.2.3.4/0", "@0", "@1",
                            "127.0.0.1/9", "fe80::1/22/1"))  # fmt: skip
        flags = self.r.choice((1, 2, 3, 4, 8, 9, 16, 19, 64, 0)) | (1 if to[:3] in ("10.", "fe8", "::f") else 0)
        self.add(f"nameinfo {to} {flags}")
