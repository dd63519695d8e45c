#!/usr/bin/python3
# sendmsg() and recvmsg(): pieces, control data, flags.
# SPDX-License-Identifier: MIT

import socket

from harness import ERR, HUP, IN, OUT, Far, asleep, check_equal, main, until
from oracle import PORT, accepted, both, connected, reset, wants

SOL_SOCKET, IP, UDP, IPV6 = 1, 0, 17, 41
SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING = 29, 35, 37
IP_RECVERR, IPV6_RECVERR = 11, 25
IP_TOS, IP_TTL, IP_PKTINFO, IP_RECVTTL, IP_RECVTOS = 1, 2, 8, 12, 13
IP_RECVORIGDSTADDR = 20
IPV6_RECVPKTINFO, IPV6_PKTINFO, IPV6_RECVHOPLIMIT, IPV6_HOPLIMIT = 49, 50, 51, 52
IPV6_RECVTCLASS, IPV6_TCLASS = 66, 67
UDP_SEGMENT = 103
FIONREAD = 0x541B
WAIT = 10000


def pair(sh, family=2, address="127.0.0.1"):
    """A socket r that is bound, and s to send from, bound too."""
    sh(f"socket r {family} 2")
    wants(sh, f"bind r {address} {PORT}", "0")
    sh(f"socket s {family} 2")
    wants(sh, f"bind s {address} {PORT + 1}", "0")


@both
def pieces_of_streams(w, sh):
    """Several buffers in one call, on a stream."""
    peer = connected(w, sh)
    wants(sh, "sendmsg c one,-,two,three", "11")
    assert peer.recv(100) == b"onetwothree"
    peer.sendall(b"abcdefghij")
    sh(f"poll c {IN} {WAIT}")
    sh("recvmsg c 3,0,4,2 peek")
    sh("recvmsg c 3,0,4,2")
    sh("recvmsg c 3,2")
    sh("recvmsg c 3 nowait")
    sh("sendmsg c x ctl 1 99 4 1")
    peer.close()
    sh("recvmsg c 3")


@both
def pieces_of_datagrams(w, sh):
    """Several buffers in one call, with datagrams, cut ones too."""
    pair(sh)
    to = f"to 127.0.0.1 {PORT}"
    wants(sh, f"sendmsg s one,-,two,three {to}", "11")
    sh("recvmsg r 3,0,4,20 peek")
    sh("recvmsg r 3,0,4,20")
    for flags in ("", "trunc", "peek", "trunc peek"):
        sh(f"sendmsg s one,two {to}")
        sh(f"recvmsg r 2,2 {flags}")
        sh("recvmsg r 10 nowait")
    sh(f"sendmsg s - {to}")
    sh("recvmsg r 10")
    sh("recvmsg r 10 nowait")
    sh("sendmsg s one")
    sh(f"connect s 127.0.0.1 {PORT}")
    sh("sendmsg s one")
    sh("recvmsg r 10")


@both
def received_control(w, sh):
    """Control data that comes with datagrams."""
    pair(sh)
    to = f"to 127.0.0.1 {PORT}"
    for option in (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVORIGDSTADDR):
        wants(sh, f"setopt r {IP} {option} 1", "0")
        sh(f"sendmsg s hello {to}")
        sh("recvmsg r 10")
    sh(f"setopt r {SOL_SOCKET} {SO_TIMESTAMP} 1")
    sh(f"sendmsg s hello {to}")
    sh("recvmsg r 10 peek")
    sh("recvmsg r 10")
    sh(f"setopt r {SOL_SOCKET} {SO_TIMESTAMPNS} 1")
    for room in (0, 1, 8, 15, 16, 17, 30, 32, 33, 60, 64, 100, 120):
        sh(f"sendmsg s hello {to}")
        sh(f"recvmsg r 3 room {room}")
    sh(f"setopt r {IP} {IP_PKTINFO} 0")
    sh(f"sendmsg s hello {to}")
    sh("recvmsg r 10")


@both
def sent_control(w, sh):
    """Control data that goes with datagrams, and what is refused."""
    pair(sh)
    to = f"to 127.0.0.1 {PORT}"
    sh(f"setopt r {IP} {IP_RECVTTL} 1")
    sh(f"setopt r {IP} {IP_RECVTOS} 1")
    for ctl in (f"ctl {IP} {IP_TTL} 4 77", f"ctl {IP} {IP_TOS} 4 16",
                f"ctl {IP} {IP_TOS} 1 32",
                f"ctl {IP} {IP_TTL} 4 77 ctl {IP} {IP_TOS} 1 16",
                f"ctl {IP} {IP_PKTINFO} 12 1 0 0"):  # fmt: skip
        wants(sh, f"sendmsg s hello {to} {ctl}", "5")
        sh("recvmsg r 10")
    for ctl in (f"ctl {IP} {IP_TTL} 1 77", f"ctl {IP} {IP_TTL} 4 0",
                f"ctl {IP} {IP_TTL} 4 256", f"ctl {IP} 99 4 1",
                f"ctl {IP} {IP_PKTINFO} 4 1", f"ctl {IP} {IP_PKTINFO} 12 99 0 0",
                f"ctl {SOL_SOCKET} 999 4 1", "ctl 999 1 4 1",
                f"ctl {UDP} 99 4 1"):  # fmt: skip
        sh(f"sendmsg s hello {to} {ctl}")
        sh(f"poll r {IN} 100")
        sh("recvmsg r 10 nowait")
    wants(sh, f"sendmsg s hello {to}", "5")
    sh("recvmsg r 10")


@both
def control_that_lies(w, sh):
    """Control data whose length is not what it says."""
    pair(sh)
    to = f"to 127.0.0.1 {PORT}"
    for length in (0, 15, 16, 19, 20, 24, 25, 1000):
        sh(f"sendmsg s hello {to} lie {length} ctl {IP} {IP_TTL} 4 77")
        sh(f"poll r {IN} 100")
        sh("recvmsg r 10 nowait")
    peer = connected(w, sh)
    sh(f"sendmsg c hello lie 25 ctl {IP} {IP_TTL} 4 77")
    peer.close()


@both
def control_over_ipv6(w, sh):
    """The same over IPv6."""
    pair(sh, 10, "::1")
    to = f"to ::1 {PORT}"
    for option in (IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS):
        wants(sh, f"setopt r {IPV6} {option} 1", "0")
        sh(f"sendmsg s hello {to}")
        sh("recvmsg r 10")
    for ctl in (f"{IPV6_HOPLIMIT} 4 9", f"{IPV6_TCLASS} 4 16",
                f"{IPV6_HOPLIMIT} 4 256", f"{IPV6_TCLASS} 1 16",
                f"{IPV6_PKTINFO} 20 0 0 0 0 1", f"{IPV6_PKTINFO} 4 1",
                f"{IPV6_PKTINFO} 20 0 0 0 0 99"):  # fmt: skip
        sh(f"sendmsg s hello {to} ctl {IPV6} {ctl}")
        sh(f"poll r {IN} 200")
        sh("recvmsg r 10 nowait")


@both
def segments(w, sh):
    """One call that sends several datagrams."""
    pair(sh)
    sh(f"sendmsg s aabbc to 127.0.0.1 {PORT} ctl {UDP} {UDP_SEGMENT} 2 2")
    for _ in range(4):
        sh(f"poll r {IN} 100")
        sh("recvmsg r 10 nowait")


def queue_of_errors(sh):
    sh(f"poll u {IN | OUT} 0")
    sh("recvmsg u 3,10 errqueue")
    sh(f"poll u {IN | OUT} 0")
    sh("recvmsg u 10 errqueue")


@both
def error_queue(w, sh):
    """MSG_ERRQUEUE: which datagram was refused, by whom."""
    for family, host, level, option in (
        (2, "127.0.0.1", IP, IP_RECVERR),
        (10, "::1", IPV6, IPV6_RECVERR),
        (10, "::ffff:127.0.0.1", IPV6, IPV6_RECVERR),
    ):
        to = f"to {host} {PORT}"
        sh(f"socket u {family} 2")
        wants(sh, "recvmsg u 10 errqueue", "EAGAIN")
        wants(sh, f"setopt u {level} {option} 1", "0")
        if host.startswith("::ffff"):
            sh(f"setopt u {IP} {IP_RECVERR} 1")
        wants(sh, "recvmsg u 10 errqueue", "EAGAIN")
        wants(sh, f"sendmsg u hello {to}", "5")
        wants(sh, f"poll u 0 {WAIT}", f"1 0x{ERR:x}")
        queue_of_errors(sh)
        # The error is told by the next call; the queue stays.
        wants(sh, f"sendmsg u hello {to}", "5")
        wants(sh, f"poll u 0 {WAIT}", f"1 0x{ERR:x}")
        sh("recvmsg u 10 nowait")
        queue_of_errors(sh)
        # Several in the queue: each has its own in SO_ERROR.
        for text in ("one", "two", "three", "four"):
            sh(f"sendmsg u {text} {to}")
            # What is in the queue already would end the wait for its refusal.
            if isinstance(w, Far):
                until("farsockd has sent it", lambda: asleep(w.pid))
            sh(f"poll u 0 {WAIT}")
        for _ in range(4):
            queue_of_errors(sh)
            sh(f"getopt u {SOL_SOCKET} 4")
        sh(f"connect u {host} {PORT}")
        wants(sh, "sendmsg u hello", "5")
        wants(sh, f"poll u 0 {WAIT}", f"1 0x{ERR:x}")
        sh("recvmsg u 10 errqueue room 20")
        sh("sendmsg u hello")
        sh(f"poll u 0 {WAIT}")
        sh(f"setopt u {level} {option} 0")
        queue_of_errors(sh)
        sh("close u")


@both
def error_queue_of_streams(w, sh):
    """MSG_ERRQUEUE on a stream: there is nothing."""
    peer = connected(w, sh)
    wants(sh, f"setopt c {IP} {IP_RECVERR} 1", "0")
    wants(sh, "recvmsg c 10 errqueue", "EAGAIN")
    wants(sh, "recv c 10 errqueue", "EAGAIN")
    peer.close()
    sh(f"poll c {IN} {WAIT}")
    wants(sh, "recvmsg c 10 errqueue", "EAGAIN")
    sh("recvmsg c 10")


TX, RX, SOFTWARE, OPT_ID, TSONLY = 2, 8, 16, 128, 2048


def stamped(w):
    """While this socket is open Linux stamps all packets. It begins to do so a
    moment after it was asked to."""
    s = w.net.udp(PORT + 9)
    s.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, RX | SOFTWARE)

    def comes():
        s.sendto(b"x", s.getsockname())
        return s.recvmsg(10, 100)[1]

    until("times come", comes)
    return s


@both
def time_stamping(w, sh):
    """SO_TIMESTAMPING: when a datagram came, and when one went."""
    keeper = stamped(w)
    pair(sh)
    wants(sh, f"setopt r {SOL_SOCKET} {SO_TIMESTAMPING} {RX | SOFTWARE}", "0")
    sh(f"getopt r {SOL_SOCKET} {SO_TIMESTAMPING}")
    for flags in (TX | SOFTWARE, TX | SOFTWARE | OPT_ID | TSONLY):
        wants(sh, f"setopt s {SOL_SOCKET} {SO_TIMESTAMPING} {flags}", "0")
        wants(sh, f"sendmsg s hello to 127.0.0.1 {PORT}", "5")
        sh("recvmsg r 10")
        wants(sh, f"poll s 0 {WAIT}", f"1 0x{ERR:x}")
        sh("recvmsg s 100 errqueue")
        sh("recvmsg s 100 errqueue")
        sh("poll s 0 0")
    keeper.close()


@both
def times_of_streams(w, sh):
    """SO_TIMESTAMP and its like on a stream: control data with its bytes."""
    keeper = stamped(w)
    peer = connected(w, sh)
    wants(sh, f"setopt c {SOL_SOCKET} {SO_TIMESTAMPING} {RX | SOFTWARE}", "0")
    peer.sendall(b"abc")
    sh("recvmsg c 4")
    peer.close()
    sh("close c")
    for make in (connected, accepted):
        for option in (SO_TIMESTAMP, SO_TIMESTAMPNS):
            peer = make(w, sh)
            wants(sh, f"setopt c {SOL_SOCKET} {option} 1", "0")
            wants(sh, f"setopt c {IP} {IP_RECVTTL} 1", "0")
            peer.sendall(b"abcdefghij")
            sh(f"poll c {IN} {WAIT}")
            sh("recvmsg c 4 peek")
            sh("recvmsg c 4")
            sh("recvmsg c 4 room 20")
            sh("recvmsg c 4 room 0")
            sh("recvmsg c 4 nowait")
            peer.sendall(b"k")
            sh("recvmsg c 4")
            wants(sh, f"setopt c {SOL_SOCKET} {option} 0", "0")
            peer.sendall(b"l")
            sh("recvmsg c 4")
            peer.sendall(b"m")
            sh("recv c 4")
            peer.close()
            sh("recvmsg c 4")
            sh("close c")
            sh("close listener")
    keeper.close()


@both
def flags_of_streams(w, sh):
    """Flags that mean nothing to a stream."""
    peer = connected(w, sh)
    for flags in ("dontroute", "confirm", "eor", "dontroute confirm eor"):
        wants(sh, f"send c hello {flags}", "5")
        assert peer.recv(10) == b"hello"
        wants(sh, f"sendmsg c he,llo {flags}", "5")
        assert peer.recv(10) == b"hello"
        peer.sendall(b"x")
        wants(sh, f"recv c 1 {flags}", "1 x")


@both
def ignored_control(w, sh):
    """Control data that a socket lets pass, and what it refuses."""
    peer = connected(w, sh)
    for ctl in ("1 1 4 0", "1 2 12 1 1 1", "0 2 4 7", "41 50 4 1", "6 1 4 1", "1 29 4 1",
                "1 1 4 0 ctl 1 99 4 0"):  # fmt: skip
        sh(f"sendmsg c x ctl {ctl}")
    sh("sendmsg c y")
    pair(sh)
    for ctl in ("1 1 4 0", "1 2 12 1 1 1", "1 29 4 1"):
        sh(f"sendmsg s x to 127.0.0.1 {PORT} ctl {ctl}")
    sh("sendmsg s y")
    del peer


@both
def more_of_datagrams(w, sh):
    """MSG_MORE gathers one datagram; MSG_DONTROUTE and MSG_CONFIRM."""
    pair(sh)
    to = f"to 127.0.0.1 {PORT}"
    wants(sh, f"sendmsg s before {to}", "6")
    sh("recvmsg r 20")
    wants(sh, f"sendmsg s one {to} more", "3")
    wants(sh, f"sendmsg s two {to} more", "3")
    sh("recvmsg r 20 nowait")
    wants(sh, f"sendmsg s three {to}", "5")
    sh("recvmsg r 20")
    sh(f"sendmsg s one {to} dontroute")
    sh("recvmsg r 20")
    sh(f"sendmsg s one to 10.1.2.3 {PORT} dontroute")
    sh(f"sendmsg s one {to} confirm")
    sh("recvmsg r 20")


@both
def more_of_streams(w, sh):
    """MSG_MORE: the pieces come at once when the last has been sent."""
    for make in (connected, accepted):
        peer = make(w, sh)
        wants(sh, "send c one more", "3")
        wants(sh, "send c two more", "3")
        wants(sh, "send c three", "5")
        got = b""
        while len(got) < 11:
            got += peer.recv(100)
        assert got == b"onetwothree", got
        # And without a last one, in a while.
        wants(sh, "send c end more", "3")
        assert peer.recv(100) == b"end"
        wants(sh, "send c more more", "4")
        sh("shutdown c 1")
        assert peer.recv(100) == b"more"
        peer.close()
        sh("close c")
        sh("close listener")


def unread(sh, name, n):
    """Waits until so many bytes are there to be read."""
    until(f"{n} bytes are there", lambda: sh.ask(f"ioctl {name} {FIONREAD}") == f"0 {n}")


@both
def many_to_streams(w, sh):
    """sendmmsg() and recvmmsg() on a stream: errors that come before and after
    the first message, and a message that goes in part."""
    peer = connected(w, sh)
    wants(sh, "sendmmsg c 3,0,4", "3 3,0,4")
    assert len(peer.recv(7, socket.MSG_WAITALL)) == 7
    sh("recvmmsg c 5 nowait")
    peer.sendall(b"abcdefgh")
    sh.begin("r", "recvmmsg c 5,5,5")
    unread(sh, "c", 0)
    reset(peer)
    check_equal(sh.result("r"), "2 5,3")
    wants(sh, "recv c 9", "ECONNRESET")
    wants(sh, "recvmmsg c 9,9", "2 0,0")
    peer = connected(w, sh, "d")
    peer.sendall(b"abc")
    unread(sh, "d", 3)
    reset(peer)
    sh(f"poll d {HUP} {WAIT}")
    wants(sh, "recvmmsg d 9", "ECONNRESET")
    wants(sh, "recvmmsg d 9", "1 3")
    peer = connected(w, sh, "e")
    wants(sh, "sendmmsg e 64000000,0 nowait", "1 part")
    peer.close()


@both
def many_datagrams(w, sh):
    """The same with datagrams."""
    pair(sh)
    wants(sh, f"connect s 127.0.0.1 {PORT}", "0")
    wants(sh, f"connect r 127.0.0.1 {PORT + 1}", "0")
    wants(sh, "sendmmsg s 3,0,4", "3 3,0,4")
    wants(sh, "recvmmsg r 9,9", "2 3,0")
    sh.begin("r", "recvmmsg r 9,9")
    unread(sh, "r", 0)
    wants(sh, "close s", "0")
    wants(sh, "send r x", "1")
    check_equal(sh.result("r"), "1 4")
    wants(sh, "send r x", "ECONNREFUSED")


if __name__ == "__main__":
    main()
