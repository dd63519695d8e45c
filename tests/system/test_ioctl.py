#!/usr/bin/python3
# ioctl(): what waits in rings and kernel, and interfaces.
# SPDX-License-Identifier: MIT

import fcntl

from harness import IN, check, main, until
from oracle import PORT, both, connected, wants

FIONREAD, SIOCOUTQ, SIOCATMARK, SIOCOUTQNSD = 0x541B, 0x5411, 0x8905, 0x894B
NAME, FLAGS, ADDR, DSTADDR, BRDADDR, NETMASK, METRIC, MTU, HWADDR, INDEX, TXQLEN = (
    0x8910, 0x8913, 0x8915, 0x8917, 0x8919, 0x891B, 0x891D, 0x8921, 0x8927,
    0x8933, 0x8942,
)  # fmt: skip
WAIT = 10000


def number(peer, request):
    return int.from_bytes(fcntl.ioctl(peer, request, bytes(4)), "little")


@both
def unread_of_streams(w, sh):
    """FIONREAD, in every state."""
    sh("socket n 2 1")
    for request in (FIONREAD, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK):
        sh(f"ioctl n {request}")
    sh(f"bind n 127.0.0.1 {PORT + 1}")
    sh("listen n 1")
    for request in (FIONREAD, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK):
        sh(f"ioctl n {request}")
    peer = connected(w, sh)
    wants(sh, f"ioctl c {FIONREAD}", "0 0")
    peer.sendall(b"0123456789")
    sh(f"poll c {IN} {WAIT}")
    until("all is there", lambda: sh.ask(f"ioctl c {FIONREAD}") == "0 10")
    wants(sh, f"ioctl c {FIONREAD}", "0 10")
    wants(sh, "recv c 3 peek", "3 012")
    wants(sh, f"ioctl c {FIONREAD}", "0 10")
    wants(sh, "recv c 3", "3 012")
    wants(sh, f"ioctl c {FIONREAD}", "0 7")
    wants(sh, "recv c 7", "7 3456789")
    wants(sh, f"ioctl c {FIONREAD}", "0 0")
    peer.close()
    sh(f"poll c {IN} {WAIT}")
    sh(f"ioctl c {FIONREAD}")
    sh("ioctl c 0x1234")
    sh("close c")
    sh(f"ioctl c {FIONREAD}")


@both
def much_unread(w, sh):
    """More than the ring holds counts, too."""
    peer = connected(w, sh)
    peer.settimeout(0.5)
    sent = 0
    try:
        while True:
            sent += peer.send(b"x" * 65536)
    except TimeoutError:
        pass
    check(sent > 300000)

    def seen():
        # What the kernel of the peer still holds is not yet readable.
        unsent = number(peer, SIOCOUTQ)
        return sh.ask(f"ioctl c {FIONREAD}") == f"0 {sent - unsent}"

    until("all that arrived is counted", seen)


@both
def unsent_of_streams(w, sh):
    """SIOCOUTQ: acknowledged bytes are gone."""
    peer = connected(w, sh)
    wants(sh, "send c hello", "5")
    assert peer.recv(10) == b"hello"
    until("it is acknowledged", lambda: sh.ask(f"ioctl c {SIOCOUTQ}") == "0 0")
    wants(sh, f"ioctl c {SIOCOUTQ}", "0 0")
    wants(sh, f"ioctl c {SIOCOUTQNSD}", "0 0")
    sent = int(sh.ask("sendn c 100000000 0 nowait").split()[0])

    def waiting():
        got = number(peer, FIONREAD)
        return sh.ask(f"ioctl c {SIOCOUTQ}") == f"0 {sent - got}"

    until("all that did not arrive is counted", waiting)


@both
def datagrams(w, sh):
    """FIONREAD is the length of the next datagram."""
    sh("socket r 2 2")
    sh(f"bind r 127.0.0.1 {PORT}")
    wants(sh, f"ioctl r {FIONREAD}", "0 0")
    wants(sh, f"ioctl r {SIOCOUTQ}", "0 0")
    sh(f"ioctl r {SIOCATMARK}")
    sh(f"ioctl r {SIOCOUTQNSD}")
    for text in ("hello", "you"):
        sh(f"sendto r {text} 127.0.0.1 {PORT}")
    sh(f"poll r {IN} {WAIT}")
    wants(sh, f"ioctl r {FIONREAD}", "0 5")
    sh("recv r 10")
    sh(f"poll r {IN} {WAIT}")
    wants(sh, f"ioctl r {FIONREAD}", "0 3")
    sh("recv r 10")
    wants(sh, f"ioctl r {FIONREAD}", "0 0")


@both
def interfaces(w, sh):
    """What there is to know of an interface."""
    for family, kind in ((2, 2), (2, 1), (10, 2)):
        sh(f"socket s {family} {kind}")
        for request in (FLAGS, ADDR, DSTADDR, BRDADDR, NETMASK, METRIC, MTU,
                        HWADDR, INDEX, TXQLEN):  # fmt: skip
            sh(f"ifreq s {request} lo")
            sh(f"ifreq s {request} none")
        sh(f"ifreq s {NAME} 1")
        sh(f"ifreq s {NAME} 99")
        for room in (0, 10, 40, 400):
            sh(f"ifconf s {room}")
        sh("close s")
    wants(sh, "ifindex lo", "1")
    sh("ifindex none")
    sh("ifindex much-too-long-a-name")
    wants(sh, "ifname 1", "0 lo")
    sh("ifname 99")
    sh("ifname 0")
    sh("ifaddrs")


if __name__ == "__main__":
    main()
