#!/usr/bin/python3
# Socket options and raw sockets, as natively.
# SPDX-License-Identifier: MIT

import re
from pathlib import Path

from harness import IN, main
from oracle import PORT, both, connected, wants

TABLE = Path(__file__).resolve().parents[2] / "include/farsock/sockopt.def"
ROW = re.compile(r"^X\(\w+, +(\d+), +(\w+), +(\d+), (\w+)\)", re.M)
OPTIONS = ROW.findall(TABLE.read_text(encoding="utf-8"))
# What they give belongs to the moment, or to whoever is below.
MOMENT = {
    "TCP_INFO", "TCP_CC_INFO", "TCP_TIMESTAMP", "SO_INCOMING_CPU", "SO_COOKIE",
    "SO_NETNS_COOKIE", "SO_MEMINFO", "SO_INCOMING_NAPI_ID", "TCP_FASTOPEN_KEY",
    "IP_PROTOCOL",  # a port, once there is one
}  # fmt: skip
TRAFFIC = {"TCP_QUICKACK"}  # of a connection: when its last bytes came
WAIT = 10000


def get_all(sh, name, moment=frozenset(MOMENT)):
    for level, option, number, _ in OPTIONS:
        if option in moment:
            sh(f"ping {option}")
            sh.ask(f"getopt {name} {level} {number}")
        else:
            sh(f"getopt {name} {level} {number}")


@both
def defaults(w, sh):
    """Every option of every kind of socket as it is at first."""
    for family, kind, proto in ((2, 1, 0), (2, 2, 0), (10, 1, 0), (10, 2, 0), (2, 3, 1)):
        sh(f"socket s {family} {kind} {proto}")
        get_all(sh, "s")
        sh("close s")
    connected(w, sh)
    get_all(sh, "c", MOMENT | TRAFFIC)


@both
def settings(w, sh):
    """Every number of every option, set and asked for."""
    for family, kind in ((2, 1), (2, 2), (10, 1), (10, 2)):
        for level, option, number, form in OPTIONS:
            if form != "INT" or option in MOMENT:
                continue
            for value in (0, 1, 5, -1, 100000):
                sh(f"socket s {family} {kind}")
                sh(f"setopt s {level} {number} {value}")
                sh(f"getopt s {level} {number}")
                sh("close s")
            sh(f"socket s {family} {kind}")
            sh(f"setopt s {level} {number}")
            sh("close s")


@both
def low_water(w, sh):
    """SO_RCVLOWAT and SO_LINGER at their edges."""
    sh("socket c 2 1")
    for value in ("0", "1", "1000", "-1", "100000000"):
        sh(f"setopt c 1 18 {value}")
        sh("getopt c 1 18")
    for value in ("0 0", "1 0", "1 5", "0 7", "5 1", "1"):
        sh(f"setopt c 1 13 {value}")
        sh("getopt c 1 13")


JOIN, BLOCK, UNBLOCK, LEAVE, JOIN_SOURCE, LEAVE_SOURCE = 42, 43, 44, 45, 46, 47


@both
def groups(w, sh):
    """Multicast groups by address of any family: MCAST_JOIN_GROUP and its like."""
    for family, level, group, host in (
        (2, 0, "239.1.2.3", "127.0.0.1"),
        (10, 41, "ff11::123", "::1"),
    ):
        sh(f"socket r {family} 2")
        sh("setopt r 1 2 1")
        wants(sh, f"bind r {'::' if level else group} {PORT}", "0")
        sh(f"socket s {family} 2")
        sh(f"bind s {host} 0")
        out = "41 17 1" if level else f"0 32 {0x0100007F}"
        wants(sh, f"setopt s {out}", "0")
        for option, *source in (
            (LEAVE,), (JOIN,), (JOIN,), (BLOCK, host), (UNBLOCK, host), (BLOCK, "10.9.8.7"),
            (LEAVE,), (JOIN_SOURCE, host), (JOIN_SOURCE, host), (LEAVE_SOURCE, host),
            (JOIN_SOURCE,), (JOIN, host),
        ):  # fmt: skip
            sh(f"mcast r {level} {option} 1 {group} {' '.join(source)}")
            sh(f"sendto s hello {group} {PORT}")
            sh(f"poll r {IN} 50")
            sh("recv r 10 nowait")
        sh(f"mcast r {41 - level} {JOIN} 1 {group}")
        sh(f"mcast r {level} {JOIN} 1 127.0.0.1")
        sh(f"mcast r {level} {JOIN} 99 {group}")
        sh(f"setopt r {level} {JOIN} 1 2")
        sh("close r")
        sh("close s")


@both
def icmp_filter(w, sh):
    """ICMP_FILTER of a raw socket: which types it does not hear of."""
    sh("socket r 2 3 1")
    sh("getopt r 255 1")
    wants(sh, f"setopt r 255 1 {1 << 8}", "0")
    sh("getopt r 255 1")
    wants(sh, "connect r 127.0.0.1 0", "0")
    for kind in (8, 5):
        wants(sh, f"sendmsg r {chr(kind)}bcdefgh", "8")
        sh(f"poll r {IN} 50")
    sh("setopt r 255 1")
    sh("setopt r 255 2 1")
    for kind in (1, 2):
        sh(f"socket t 2 {kind}")
        sh("setopt t 255 1 0")


@both
def raw(w, sh):
    """Raw sockets: ICMP, connected or not, and a header of one's own."""
    sh("socket r 2 3 1")
    sh("socket x 2 3 0")
    wants(sh, "sendmsg r aaaaaaaaaaaa to 127.0.0.1 0", "12")
    sh(f"poll r {IN} {WAIT}")
    sh("recvmsg r 10")
    wants(sh, "connect r 127.0.0.1 0", "0")
    wants(sh, "send r hellohello", "10")
    sh("recvmsg r 10")
    sh(f"sendmsg r hello to 10.1.2.3 {PORT}")
    sh("getsockname r")
    sh("getpeername r")
    sh("socket h 2 3 255")
    sh("getopt h 0 3")
    sh("sendmsg h short to 127.0.0.1 0")
    sh("recv h 10 nowait")


if __name__ == "__main__":
    main()
