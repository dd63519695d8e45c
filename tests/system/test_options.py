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
MOMENT = {"TCP_INFO", "TCP_CC_INFO", "TCP_TIMESTAMP", "SO_INCOMING_CPU"}
WAIT = 10000


def get_all(sh, name):
    for level, option, number, _ in OPTIONS:
        if option in MOMENT:
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
    get_all(sh, "c")


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
