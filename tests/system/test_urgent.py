#!/usr/bin/python3
# Urgent data: MSG_OOB, SO_OOBINLINE, SIOCATMARK, POLLPRI.
# SPDX-License-Identifier: MIT

import socket

from harness import IN, PRI, Far, Native, check, check_equal, main, test, until
from oracle import PORT, accepted, both, connected, reset, wants

SOL_SOCKET, SO_OOBINLINE, SO_RCVLOWAT = 1, 10, 18
FIONREAD, SIOCATMARK = 0x541B, 0x8905
OOB = socket.MSG_OOB
WAIT = 10000


def looks(sh, n="c"):
    """All that can be asked about urgent data without taking any."""
    sh(f"poll {n} {IN | PRI} 0")
    sh(f"ioctl {n} {SIOCATMARK}")
    sh(f"ioctl {n} {FIONREAD}")
    sh(f"recv {n} 10 peek nowait")


def arrives(sh, peer, data, n="c"):
    """Urgent data, and far has seen it."""
    peer.send(data, OOB)
    wants(sh, f"poll {n} {PRI} {WAIT}", f"1 0x{PRI:x}")


def all_there(sh, n):
    until("all is there", lambda: sh.ask(f"ioctl c {FIONREAD}") == f"0 {n}")


@both
def none(w, sh):
    """MSG_OOB where there is no urgent data."""
    sh("socket n 2 1")
    wants(sh, "recv n 10 oob", "EINVAL")
    sh("send n x oob")
    sh(f"ioctl n {SIOCATMARK}")
    sh(f"bind n 127.0.0.1 {PORT + 1}")
    sh("listen n 1")
    sh("recv n 10 oob")
    sh("send n x oob")
    peer = connected(w, sh)
    wants(sh, "recv c 10 oob", "EINVAL")
    wants(sh, "recv c 10 oob nowait", "EINVAL")
    peer.sendall(b"plain")
    sh(f"poll c {IN | PRI} {WAIT}")
    wants(sh, "recv c 10 oob", "EINVAL")
    looks(sh)
    peer.close()
    sh(f"poll c 0x2000 {WAIT}")
    sh("recv c 10 oob")
    sh("recv c 10")
    sh("recv c 10 oob")
    sh("send c x oob")


@both
def one_byte(w, sh):
    """One urgent byte and nothing else: all ways to take it, or not."""
    for take in ("oob", "oob peek", "oob trunc", "", "peek", "waitall"):
        peer = connected(w, sh)
        arrives(sh, peer, b"!")
        looks(sh)
        sh(f"recv c 10 {take} nowait")
        looks(sh)
        sh("recv c 10 oob")
        sh("recv c 10 nowait")
        sh("recv c 10 oob")
        looks(sh)
        peer.close()
        sh(f"poll c 0x2000 {WAIT}")
        sh("recv c 10")
        sh("close c")


@both
def stops_at_the_mark(w, sh):
    """A receive ends at the mark, and the next goes on behind it."""
    for make in (connected, accepted):
        for first in ("recv c 10 oob", "recv c 2", "recv c 10 peek"):
            peer = make(w, sh)
            arrives(sh, peer, b"abc!")
            peer.sendall(b"defg")
            all_there(sh, 3)
            looks(sh)
            sh(first)
            looks(sh)
            sh("recv c 10")
            looks(sh)
            sh("recv c 10 oob")
            sh("recv c 10 peek")
            sh("recv c 2")
            looks(sh)
            sh("recv c 10")
            looks(sh)
            peer.close()
            sh("close c")
            sh("close listener")


@both
def waits_for_all(w, sh):
    """MSG_WAITALL and SO_RCVLOWAT end at the mark, too."""
    peer = connected(w, sh)
    arrives(sh, peer, b"abc!")
    peer.sendall(b"defg")
    all_there(sh, 3)
    wants(sh, "recv c 7 waitall peek", "3 abc")
    wants(sh, "recv c 7 waitall", "3 abc")
    wants(sh, "recv c 4 waitall", "4 defg")
    wants(sh, f"setopt c {SOL_SOCKET} {SO_RCVLOWAT} 4", "0")
    arrives(sh, peer, b"hi!")
    sh(f"poll c {IN} 0")
    wants(sh, "recv c 10", "2 hi")
    sh(f"poll c {IN} 0")
    sh.begin("r", "recv c 10")
    check(sh.waits("r"))
    peer.sendall(b"jklm")
    check_equal(sh.result("r"), "4 jklm")


@both
def waits_at_the_mark(w, sh):
    """A receive that waits at the mark gets what comes behind it."""
    peer = connected(w, sh)
    arrives(sh, peer, b"!")
    sh.begin("r", "recv c 10")
    until("it has gone on", lambda: sh.ask(f"ioctl c {SIOCATMARK}") == "0 0")
    sh("recv c 1 oob")
    check(sh.waits("r"))
    peer.sendall(b"behind")
    check_equal(sh.result("r"), "6 behind")
    sh.begin("r", "recv c 10")
    check(sh.waits("r"))
    peer.send(b"abc!", OOB)
    check_equal(sh.result("r"), "3 abc")
    wants(sh, "recv c 1 oob", "1 !")


@both
def in_line(w, sh):
    """SO_OOBINLINE, set before the data came and after."""
    for late in (False, True):
        for take in ("recv c 10", "recv c 1", "recv c 10 peek", "recv c 10 oob"):
            peer = connected(w, sh)
            if not late:
                wants(sh, f"setopt c {SOL_SOCKET} {SO_OOBINLINE} 1", "0")
            sh(f"getopt c {SOL_SOCKET} {SO_OOBINLINE}")
            arrives(sh, peer, b"ab!")
            peer.sendall(b"cd")
            all_there(sh, 2 if late else 5)
            if late:
                wants(sh, f"setopt c {SOL_SOCKET} {SO_OOBINLINE} 1", "0")
            sh(f"getopt c {SOL_SOCKET} {SO_OOBINLINE}")
            looks(sh)
            sh("recv c 10")
            looks(sh)
            sh(take)
            looks(sh)
            sh("recv c 10 nowait")
            looks(sh)
            wants(sh, f"setopt c {SOL_SOCKET} {SO_OOBINLINE} 0", "0")
            arrives(sh, peer, b"x!")
            looks(sh)
            sh("recv c 10")
            sh("recv c 10 nowait")
            peer.close()
            sh("close c")


@both
def in_line_from_the_listener(w, sh):
    """SO_OOBINLINE comes from the listener."""
    sh("socket l 2 1")
    sh(f"setopt l {SOL_SOCKET} {SO_OOBINLINE} 1")
    sh(f"bind l 127.0.0.1 {PORT}")
    sh("listen l 1")
    peer = w.net.connect(PORT)
    sh("accept l c")
    sh(f"getopt c {SOL_SOCKET} {SO_OOBINLINE}")
    arrives(sh, peer, b"ab!")
    sh("recv c 10")
    sh(f"ioctl c {SIOCATMARK}")
    sh("recv c 10")


@both
def another_before_the_first_is_read(w, sh):
    """A second urgent byte: the first becomes plain data, or is dropped where
    the reader stands at it."""
    for first, taken in ((b"ab!", False), (b"ab!", True), (b"!", False), (b"!", True)):
        for second in (b"?", b"cd?"):
            for read in (False, True):
                peer = connected(w, sh)
                arrives(sh, peer, first)
                if read:
                    sh("recv c 2 nowait" if first != b"!" else "recv c 2 peek nowait")
                if taken:
                    wants(sh, "recv c 1 oob", "1 !")
                peer.send(second, OOB)
                sh(f"poll c {PRI} {WAIT}")
                until("the second", lambda: sh.ask("recv c 1 oob peek") == "1 ?")
                looks(sh)
                for _ in range(4):
                    sh("recv c 10 nowait")
                    sh(f"ioctl c {SIOCATMARK}")
                sh("recv c 1 oob")
                peer.close()
                sh("close c")


@both
def ends_behind_urgent_data(w, sh):
    """The peer's end, or a reset, behind urgent data."""
    for end in (lambda p: p.close(), lambda p: p.shutdown(1), reset):
        for inline in (0, 1):
            peer = connected(w, sh)
            sh(f"setopt c {SOL_SOCKET} {SO_OOBINLINE} {inline}")
            arrives(sh, peer, b"ab!")
            end(peer)
            sh(f"poll c 0x2000 {WAIT}")
            sh("poll c 0x2007 0")
            sh("recv c 10 peek")
            sh("recv c 10")
            sh(f"ioctl c {SIOCATMARK}")
            sh("recv c 10 oob")
            sh("recv c 10 peek")
            sh("recv c 10")
            sh("recv c 10")
            peer.close()
            sh("close c")


def comes(peer):
    """What a native peer sees: data, and the urgent byte where it is."""
    got = []
    while True:
        data = peer.recv(1000)
        if not data:
            return got
        got.append(data)


@both
def sent(w, sh):
    """Urgent data that we send: the last byte of the call is it."""
    for flags in ("oob", "oob nowait", "oob more"):
        peer = connected(w, sh)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        wants(sh, "send c plain", "5")
        wants(sh, f"send c ab! {flags}", "3")
        wants(sh, "send c behind", "6")
        sh("send c - oob")
        sh("shutdown c 1")
        check_equal(b"".join(comes(peer)), b"plainab!behind")
        peer.close()
        sh("close c")
    for text in ("!", "ab!"):
        peer = connected(w, sh)
        for _ in range(3):
            wants(sh, f"send c {text} oob", str(len(text)))
            got = peer.recv(10) if text != "!" else b""
            check_equal(got, text[:-1].encode())
            check_equal(peer.recv(1, OOB), b"!")
            wants(sh, "send c -+-", "3")
            check_equal(peer.recv(10), b"-+-")
        peer.close()
        sh("close c")


@both
def sent_without_a_rest(w, sh):
    """Urgent bytes sent one after the other: each is told."""
    peer = connected(w, sh)
    for byte in b"abcdefgh":
        wants(sh, f"send c {byte:c} oob", "1")
        check_equal(peer.recv(1, OOB), bytes([byte]))


@both
def sent_behind_full_buffers(w, sh):
    """Urgent data goes behind what was sent before it."""
    peer = connected(w, sh)
    n = int(sh.ask("sendn c 100000000 0 nowait").split()[0])
    sh.begin("u", "send c ab! oob")
    got = bytearray()
    while len(got) < n + 2:
        got += peer.recv(1 << 20)
    check_equal(sh.result("u"), "3")
    check_equal(bytes(got[-2:]), b"ab")
    check_equal(peer.recv(1, OOB), b"!")


def behind_the_ring(w, sh):
    peer = connected(w, sh)
    n = 40000
    peer.sendall(b"x" * n)
    peer.sendall(b"yz!", OOB)
    wants(sh, f"poll c {PRI} {WAIT}", f"1 0x{PRI:x}")
    wants(sh, f"ioctl c {FIONREAD}", f"0 {n + 2}")
    wants(sh, "recv c 1 oob peek", "1 !")
    wants(sh, "recv c 1 oob", "1 !")
    wants(sh, "recv c 1 oob", "EINVAL")
    sh(f"poll c {PRI} 0")
    peer.sendall(b"behind")
    wants(sh, f"ioctl c {FIONREAD}", f"0 {n + 2}")
    got = 0
    while got < n + 2:
        got += int(sh.ask("recv c 10000").split()[0])
    check_equal(got, n + 2)
    wants(sh, f"ioctl c {SIOCATMARK}", "0 1")
    wants(sh, "recv c 10", "6 behind")


@test
def behind_more_than_the_ring():
    """Urgent data is told though its place is further on than the ring ends."""
    with Native() as native:
        behind_the_ring(native, native.shell())
    for mode in ("far:0:1024", "far:0xfffffff0:4096"):
        with Far() as far:
            behind_the_ring(far, far.shell(mode))


@both
def messages(w, sh):
    """sendmsg() and recvmsg() with MSG_OOB."""
    peer = connected(w, sh)
    arrives(sh, peer, b"ab!")
    sh("recvmsg c 4,4 oob peek")
    sh("recvmsg c 0 oob peek")
    sh("recvmsg c 4,4")
    sh("recvmsg c 0,4 oob")
    sh("recvmsg c 4 oob")
    sh("recvmsg c 4 nowait")
    wants(sh, "sendmsg c ab,c! oob", "4")
    check_equal(peer.recv(10), b"abc")
    check_equal(peer.recv(1, OOB), b"!")


@both
def datagrams(w, sh):
    """MSG_OOB of datagram sockets."""
    for family, host in ((2, "127.0.0.1"), (10, "::1")):
        sh(f"socket r {family} 2")
        wants(sh, f"bind r {host} {PORT}", "0")
        sh(f"socket s {family} 2")
        sh(f"sendto s hello {host} {PORT} oob")
        sh(f"sendto s hello {host} {PORT}")
        sh(f"poll r {IN} {WAIT}")
        sh("recv r 10 oob")
        if family == 10:  # where both have gone
            sh(f"poll r {IN} {WAIT}")
        sh("recv r 10 oob nowait")
        sh(f"ioctl r {SIOCATMARK}")
        for to in ("127.0.0.1", "::ffff:127.0.0.1", "::1"):
            sh(f"sendto s hello {to} {PORT} oob")
            sh(f"sendto s #70000 {to} {PORT}")
            sh(f"sendto s hello {to} 0 oob")
        sh("close r")
        sh("close s")


if __name__ == "__main__":
    main()
