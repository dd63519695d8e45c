# Steps that set socket options and ask for them.
# SPDX-License-Identifier: MIT
"""A part of the generator: see programs.py."""

import re
import struct
from pathlib import Path

from words import DGRAM, INET, STREAM, hexed

TOP = Path(__file__).resolve().parents[2]

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
    "SO_SELECT_ERR_QUEUE", "IP_CHECKSUM",  # docs/differences.md
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
# What decides what comes with a datagram.
ASKS_FOR_CTL = {
    "SO_TIMESTAMP", "SO_TIMESTAMPNS", "SO_RXQ_OVFL", "IP_PKTINFO", "IP_RECVOPTS",
    "IP_RETOPTS", "IP_RECVTTL", "IP_RECVTOS", "IP_RECVORIGDSTADDR", "IP_CHECKSUM",
    "IP_RECVFRAGSIZE", "IPV6_RECVPKTINFO", "IPV6_RECVHOPLIMIT", "IPV6_RECVTCLASS",
    "IPV6_FLOWINFO", "IPV6_RECVORIGDSTADDR", "IPV6_RECVFRAGSIZE", "UDP_GRO",
}  # fmt: skip


class Options:
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
        if known in ("SO_BINDTODEVICE", "SO_BINDTOIFINDEX") and s.mate and s.kind == STREAM:
            return  # what either side's kernel sends next is answered by a reset
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
        usual = 8 if name == "SO_LINGER" else 4
        room = usual if self.chance(0.6) else self.r.choice((0, 1, 2, 3, 5, 8, 16, 255, 1000, 4096))
        shown = f" {SHOWN[name]}" if name in SHOWN else ""
        if name in ADAPTED and (s.kind == STREAM or s.mixed) and s.state not in ("new", "bound"):
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
