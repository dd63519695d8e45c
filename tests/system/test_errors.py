#!/usr/bin/python3
# The same errno on the same call as natively, and the same poll bits.
# SPDX-License-Identifier: MIT

from harness import (
    HUP,
    IN,
    OUT,
    RDHUP,
    Child,
    Far,
    Native,
    Shell,
    check,
    main,
    program,
    test,
)
from oracle import PORT, UNPRIVILEGED, accepted, both, compare, connected, reset, wants

SOL_SOCKET, TCP, IP, IPV6 = 1, 6, 0, 41
SO_ERROR, SO_OOBINLINE, SO_RCVTIMEO = 4, 10, 20
WAIT = 10000  # ms; ends with the event


@both
def refused(w, sh):
    """A refused connection, waiting for it."""
    sh("socket c 2 1")
    wants(sh, f"connect c 127.0.0.1 {PORT}", "ECONNREFUSED")
    sh(f"getopt c {SOL_SOCKET} {SO_ERROR}")
    sh("poll c 5 0")
    sh("recv c 10 nowait")
    sh("send c hello")
    wants(sh, f"connect c 127.0.0.1 {PORT}", "ECONNREFUSED")
    sh("close c")


@both
def refused_without_waiting(w, sh):
    """A refused connection, not waiting for it."""
    for first in ("recv c 10 nowait", "send c hello nowait", "poll c 5 0",
                  f"getopt c {SOL_SOCKET} {SO_ERROR}",
                  f"connect c 127.0.0.1 {PORT} nowait"):  # fmt: skip
        sh("socket c 2 1")
        wants(sh, f"connect c 127.0.0.1 {PORT} nowait", "EINPROGRESS")
        sh(f"poll c {OUT} {WAIT}")
        sh(first)
        sh("recv c 10 nowait")
        sh("send c hello nowait")
        sh("poll c 5 0")
        sh(f"getopt c {SOL_SOCKET} {SO_ERROR}")
        sh(f"connect c 127.0.0.1 {PORT} nowait")
        sh("close c")


@both
def refused_ipv6(w, sh):
    """A refused connection over IPv6."""
    sh("socket c 10 1")
    wants(sh, f"connect c ::1 {PORT}", "ECONNREFUSED")
    sh(f"connect c 127.0.0.1 {PORT}")
    sh("close c")


@both
def refused_datagram(w, sh):
    """A datagram that nobody takes is told on the next call."""
    for first in ("recv c 10 nowait", "send c again", "poll c 5 0"):
        sh("socket c 2 2")
        sh(f"connect c 127.0.0.1 {PORT}")
        wants(sh, "send c hello", "5")
        sh(f"poll c {IN} {WAIT}")
        sh(first)
        sh(f"poll c {IN} 0")
        sh(f"getopt c {SOL_SOCKET} {SO_ERROR}")
        sh("recv c 10 nowait")
        sh("close c")


@both
def unreachable(w, sh):
    """Networks that cannot be reached."""
    sh("socket c 2 1")
    wants(sh, f"connect c 10.1.2.3 {PORT}", "ENETUNREACH")
    sh(f"connect c 10.1.2.3 {PORT} nowait")
    sh("close c")
    sh("socket u 2 2")
    wants(sh, f"sendto u hello 10.1.2.3 {PORT}", "ENETUNREACH")
    wants(sh, f"sendto u hello 127.0.0.1 {PORT}", "5")
    wants(sh, f"sendto u hello 10.1.2.3 {PORT}", "ENETUNREACH")
    sh(f"connect u 10.1.2.3 {PORT}")
    sh("send u hello")
    sh("close u")
    sh("socket c 10 1")
    sh(f"connect c 2001:db8::1 {PORT}")
    sh("close c")
    sh("socket u 10 2")
    sh(f"sendto u hello 2001:db8::1 {PORT}")


@both
def in_use(w, sh):
    """An address in use, one not here, and binding twice."""
    sh("socket a 2 1")
    sh("socket b 2 1")
    wants(sh, f"bind a 127.0.0.1 {PORT}", "0")
    wants(sh, f"bind b 127.0.0.1 {PORT}", "EADDRINUSE")
    wants(sh, f"bind a 127.0.0.1 {PORT + 1}", "EINVAL")
    wants(sh, "listen a 1", "0")
    sh(f"setopt b {SOL_SOCKET} 2 1")
    wants(sh, f"bind b 127.0.0.1 {PORT}", "EADDRINUSE")
    wants(sh, f"bind b 10.1.2.3 {PORT}", "EADDRNOTAVAIL")
    sh("getsockname a")
    sh("getsockname b")
    sh("socket u 2 2")
    sh("socket v 2 2")
    sh(f"bind u 127.0.0.1 {PORT}")
    wants(sh, f"bind v 127.0.0.1 {PORT}", "EADDRINUSE")
    sh("close a")
    sh("close u")
    wants(sh, f"bind v 127.0.0.1 {PORT}", "0")
    sh(f"bind b 127.0.0.1 {PORT}")


@both
def not_connected(w, sh):
    """Calls that need a connection, without one."""
    sh("socket c 2 1")
    wants(sh, "recv c 10", "ENOTCONN")
    wants(sh, "recv c 10 nowait", "ENOTCONN")
    wants(sh, "send c hello", "EPIPE")
    wants(sh, "getpeername c", "ENOTCONN")
    sh("getsockname c")
    for how in range(4):
        sh(f"shutdown c {how}")
    sh("accept c d")
    sh("poll c 5 0")
    sh("socket u 2 2")
    wants(sh, "send u hello", "EDESTADDRREQ")
    sh("getpeername u")
    sh("shutdown u 2")
    sh("accept u d")
    sh("listen u 1")
    sh("recv u 10 nowait")
    sh("poll u 5 0")


# With an address, since the near library has shorter ways without.
NEEDS_STREAM = [
    *(f"recv c 10 from{flags}" for flags in (
        "", " nowait", " peek", " waitall", " trunc", " oob", " oob peek", " oob trunc")),
    "recv c 0 from", "recv c 0 from oob", "recvmsg c 3,7", "recvmsg c 3,7 oob",
    f"sendto c hello 127.0.0.1 {PORT}", f"sendto c #0 127.0.0.1 {PORT}",
    f"sendto c hello 127.0.0.1 {PORT} nowait", f"sendto c x 127.0.0.1 {PORT} oob",
    f"sendto c x 127.0.0.1 {PORT} more", f"sendto c #100000 127.0.0.1 {PORT}",
    "sendmsg c one,two", "sendmsg c one,two oob", "poll c 7 0",
]  # fmt: skip


def need_streams(sh):
    """Those calls on streams that are not connected."""
    for before in ("", "bind c 127.0.0.1 0", "listen c 1", "shutdown c 0", "shutdown c 1",
                   "shutdown c 2", f"setopt c {SOL_SOCKET} {SO_OOBINLINE} 1"):  # fmt: skip
        for family in (2, 10):
            sh(f"socket c {family} 1")
            if before:
                sh(before.replace("127.0.0.1", "::1") if family == 10 else before)
            for call in NEEDS_STREAM:
                sh(call)
            sh("close c")
    sh("recv c 10 from")


@both
def of_no_connection(w, sh):
    """The same on a link that never had a connection, and on one that has had."""
    need_streams(sh)
    connected(w, sh, "other").close()
    need_streams(sh)


@both
def already_connected(w, sh):
    """Connecting what is connected, or being connected."""
    peer = connected(w, sh)
    wants(sh, f"connect c 127.0.0.1 {PORT}", "EISCONN")
    wants(sh, f"connect c 127.0.0.1 {PORT} nowait", "EISCONN")
    sh("listen c 1")
    sh("bind c 127.0.0.1 0")
    wants(sh, "send c hello", "5")
    check(peer.recv(10) == b"hello")


@both
def being_connected(w, sh):
    """While a connection is under way."""
    listener = w.net.listener(PORT, backlog=0)
    first = w.net.connect(PORT)
    sh("socket c 2 1")
    wants(sh, f"connect c 127.0.0.1 {PORT} nowait", "EINPROGRESS")
    wants(sh, f"connect c 127.0.0.1 {PORT} nowait", "EALREADY")
    sh("send c hello nowait")
    sh("recv c 10 nowait")
    sh("getpeername c")
    sh("poll c 5 0")
    sh("listen c 1")
    sh(f"getopt c {SOL_SOCKET} {SO_ERROR}")
    wants(sh, "close c", "0")
    first.close()
    listener.close()


@both
def connected_without_waiting(w, sh):
    """A connection not waited for: the first call after it, and the second."""
    listener = w.net.listener(PORT)
    sh("socket c 2 1")
    wants(sh, f"connect c 127.0.0.1 {PORT} nowait", "EINPROGRESS")
    wants(sh, f"poll c {OUT} {WAIT}", "1 0x4")
    wants(sh, f"getopt c {SOL_SOCKET} {SO_ERROR}", "0 4 0")
    wants(sh, f"connect c 127.0.0.1 {PORT} nowait", "0")
    wants(sh, f"connect c 127.0.0.1 {PORT} nowait", "EISCONN")
    listener.close()


@both
def broken_pipe(w, sh):
    """Sending where nothing can be sent any more."""
    peer = connected(w, sh)
    wants(sh, "shutdown c 1", "0")
    wants(sh, "send c hello", "EPIPE")
    check(peer.recv(10) == b"")
    sh("poll c 5 0")
    peer.close()
    sh(f"poll c {IN} {WAIT}")
    sh("recv c 10")
    sh("shutdown c 1")
    sh("close c")


@both
def peer_closed(w, sh):
    """The peer closed: end, then a reset by what we send, then a broken pipe."""
    peer = connected(w, sh)
    peer.close()
    wants(sh, f"poll c {IN} {WAIT}", "1 0x1")
    sh(f"poll c {IN | OUT | RDHUP} 0")
    wants(sh, "recv c 10", "0")
    wants(sh, "send c hello", "5")
    sh(f"poll c {HUP} {WAIT}")
    sh(f"poll c {IN | OUT} 0")
    sh("send c hello")
    sh("recv c 10")
    sh("poll c 5 0")
    sh("recv c 10")
    sh("getpeername c")


@both
def reset_by_peer(w, sh):
    """A reset: on each call that may meet it first, and what comes after."""
    for first in ("recv c 10", "send c hello", f"getopt c {SOL_SOCKET} {SO_ERROR}",
                  "getpeername c", "shutdown c 1", "recv c 10 peek"):  # fmt: skip
        peer = connected(w, sh)
        reset(peer)
        sh(f"poll c {IN} {WAIT}")
        sh("poll c 5 0")
        sh(first)
        sh("recv c 10")
        sh("send c hello")
        sh("recv c 10")
        sh("poll c 5 0")
        sh("close c")


@both
def reset_of_accepted(w, sh):
    """A reset of an accepted connection."""
    peer = accepted(w, sh)
    wants(sh, "send c hello", "5")
    check(peer.recv(10) == b"hello")
    reset(peer)
    sh(f"poll c {IN} {WAIT}")
    wants(sh, "recv c 10", "ECONNRESET")
    wants(sh, "recv c 10", "0")
    wants(sh, "send c hello", "EPIPE")


@both
def message_too_long(w, sh):
    """Datagrams up to the largest, and beyond."""
    taker = w.net.udp(PORT)
    sh("socket u 2 2")
    sh(f"setopt u {SOL_SOCKET} 7 200000")
    wants(sh, f"sendto u #65508 127.0.0.1 {PORT}", "EMSGSIZE")
    wants(sh, f"sendto u #65507 127.0.0.1 {PORT}", "65507")
    check(len(taker.recv(70000)) == 65507)
    wants(sh, f"sendto u #70000 127.0.0.1 {PORT}", "EMSGSIZE")
    wants(sh, f"sendto u #0 127.0.0.1 {PORT}", "0")
    check(taker.recv(70000) == b"")
    sh(f"connect u 127.0.0.1 {PORT}")
    wants(sh, f"sendto u #65508 127.0.0.1 {PORT}", "EMSGSIZE")
    wants(sh, "send u hello", "5")
    check(taker.recv(70000) == b"hello")


@both
def bad_family(w, sh):
    """Families, types and protocols that do not exist or do not fit."""
    wants(sh, "socket a 99 1", "EAFNOSUPPORT")
    sh("socket a 2 77")
    sh("socket a 2 4")
    sh("socket a 2 1 17")
    sh("socket a 2 2 6")
    sh("socket a 2 1 6")
    sh("socket a 2 2 17")
    sh("socket a 2 1 300")
    sh("socket a 2 1")
    for family in (0, 99, 10, 1):
        sh(f"bind a @{family}")
        sh(f"connect a @{family}")
    sh("bind a ::1 0")
    sh("socket u 2 2")
    for family in (0, 99, 10):
        sh(f"connect u @{family}")
        sh(f"sendto u hello @{family}")
    sh("socket v 10 2")
    sh(f"sendto v hello 127.0.0.1 {PORT}")
    sh(f"connect v 127.0.0.1 {PORT}")


@both
def bad_option(w, sh):
    """Options that do not exist, or not there, or not with that value."""
    sh("socket c 2 1")
    sh("socket u 2 2")
    wants(sh, f"setopt c {SOL_SOCKET} 9999 1", "ENOPROTOOPT")
    wants(sh, f"getopt c {SOL_SOCKET} 9999", "ENOPROTOOPT")
    for s in "cu":
        for level in (SOL_SOCKET, TCP, IP, IPV6, 17, 99):
            sh(f"setopt {s} {level} 9998 1")
            sh(f"getopt {s} {level} 9998")
    sh("setopt u 6 1 1")
    sh("getopt u 6 1")
    sh(f"setopt c {SOL_SOCKET} 2")  # no value
    sh("setopt c 6 1")
    sh("setopt c 6 4 0")  # TCP_KEEPIDLE 0
    sh("setopt c 6 4 99999999")
    sh("setopt c 0 2 256")  # IP_TTL beyond
    sh("setopt c 0 2 -5")
    sh(f"setopt c {SOL_SOCKET} 13 1")  # half a linger
    sh(f"setopt c {SOL_SOCKET} 3 1")  # SO_TYPE is read only
    sh(f"setopt c {SOL_SOCKET} {SO_ERROR} 1")


@both
def options(w, sh):
    """Options keep their values."""
    sh("socket c 2 1")
    sh("socket u 2 2")
    for level, option, value in (
        (1, 2, 1), (1, 9, 1), (1, 8, 50000), (1, 7, 60000), (1, 8, 1),
        (1, 7, 1), (1, 8, -1), (1, 12, 3), (1, 15, 1), (1, 18, 5), (1, 10, 1),
        (1, 29, 1), (1, 6, 1), (0, 1, 16), (0, 2, 7), (0, 10, 2), (0, 33, 4),
        (0, 34, 0),
    ):  # fmt: skip
        for s in "cu":
            sh(f"getopt {s} {level} {option}")
            sh(f"setopt {s} {level} {option} {value}")
            sh(f"getopt {s} {level} {option}")
    for option, value in ((1, 1), (2, 800), (3, 1), (4, 60), (5, 7), (6, 3), (8, 9),
                          (9, 1), (12, 0), (18, 1000), (25, 4096)):  # fmt: skip
        sh(f"getopt c {TCP} {option}")
        sh(f"setopt c {TCP} {option} {value}")
        sh(f"getopt c {TCP} {option}")
    for option in (3, 4, 30, 38, 39):
        sh(f"getopt c {SOL_SOCKET} {option}")
        sh(f"getopt u {SOL_SOCKET} {option}")
    sh(f"setopt c {SOL_SOCKET} 13 1 5")
    sh(f"getopt c {SOL_SOCKET} 13")
    sh("listen c 1")
    sh(f"getopt c {SOL_SOCKET} 30")


@both
def not_listening(w, sh):
    """accept() and listen() where they do not fit."""
    sh("socket c 2 1")
    wants(sh, "accept c d", "EINVAL")
    wants(sh, "accept c d nowait", "EINVAL")
    wants(sh, "listen c 0", "0")
    wants(sh, "accept c d nowait", "EAGAIN")
    wants(sh, "listen c 3", "0")
    sh("recv c 10 nowait")
    sh("send c hello nowait")
    sh(f"connect c 127.0.0.1 {PORT}")
    sh("poll c 5 0")
    sh("shutdown c 1")
    sh("shutdown c 0")
    sh("accept c d nowait")
    sh("poll c 5 0")


@both
def closed(w, sh):
    """Every call on a closed socket."""
    for kind in (1, 2):
        sh(f"socket c 2 {kind}")
        wants(sh, "close c", "0")
        for call in (
            "bind c 127.0.0.1 0", "listen c 1", "accept c d",
            f"connect c 127.0.0.1 {PORT}", "send c hello", "recv c 10",
            f"sendto c hello 127.0.0.1 {PORT}", "shutdown c 2",
            "getsockname c", "getpeername c", "setopt c 1 2 1", "getopt c 1 2",
            "close c",
        ):  # fmt: skip
            wants(sh, call, "EBADF")
        wants(sh, "poll c 5 0", "1 0x20")


@both
def poll_bits(w, sh):
    """Poll bits in every state of a connection."""
    sh("socket c 2 1")
    wants(sh, "poll c 5 0", "1 0x14")
    sh(f"bind c 127.0.0.1 {PORT}")
    sh("poll c 5 0")
    sh("listen c 5")
    wants(sh, "poll c 5 0", "0 0x0")
    peer = w.net.connect(PORT)
    wants(sh, f"poll c {IN} {WAIT}", "1 0x1")
    sh(f"poll c {OUT} 0")
    sh("accept c d")
    sh("poll c 5 0")
    wants(sh, "poll d 5 0", "1 0x4")
    sh("poll d 1 0")
    peer.sendall(b"x")
    wants(sh, f"poll d {IN} {WAIT}", "1 0x1")
    wants(sh, "poll d 5 0", "1 0x5")
    peer.shutdown(1)
    sh(f"poll d {RDHUP} {WAIT}")
    sh(f"poll d {IN | OUT | RDHUP} 0")
    sh("recv d 10")
    sh("poll d 5 0")
    sh("recv d 10")
    sh("poll d 5 0")
    sh("shutdown d 1")
    check(peer.recv(1) == b"")
    sh(f"poll d {HUP} {WAIT}")
    sh("poll d 5 0")
    sh("poll d 0 0")


@both
def poll_full(w, sh):
    """A full connection is not writable until there is room."""
    peer = connected(w, sh)
    transcript = list(sh.transcript)
    sent = int(sh("sendn c 99999999 65536 nowait").split()[0])
    # The kernel goes on taking bytes while farsockd works: fill to the end.
    while (more := int(sh("sendn c 99999999 65536 nowait").split()[0])) or sh(
        f"poll c {OUT} 100"
    ) != "0 0x0":
        sent += more
    sh.transcript[:] = transcript
    wants(sh, f"poll c {OUT} 0", "0 0x0")
    got = 0
    while got < sent:
        data = peer.recv(1 << 20)
        check(data, "the connection ended")
        got += len(data)
    wants(sh, f"poll c {OUT} {WAIT}", "1 0x4")


@both
def receive_flags(w, sh):
    """MSG_PEEK, MSG_WAITALL, MSG_TRUNC and lengths of nothing."""
    peer = connected(w, sh)
    sh("recv c 0 nowait")
    wants(sh, "recv c 10 nowait", "EAGAIN")
    peer.sendall(b"abcdef")
    wants(sh, f"poll c {IN} {WAIT}", "1 0x1")
    wants(sh, "recv c 4 peek", "4 abcd")
    wants(sh, "recv c 0", "0")
    wants(sh, "recv c 2", "2 ab")
    sh.begin("t", "recv c 10 waitall")
    peer.sendall(b"ghi")
    peer.sendall(b"jkl")
    wants(sh, "ping", "0")
    check(sh.result("t") == "10 cdefghijkl")
    sh("send c -")


@both
def datagrams(w, sh):
    """Datagrams cut, empty, peeked at, and with their sender's address."""
    sh("socket u 2 2")
    wants(sh, f"bind u 127.0.0.1 {PORT}", "0")
    wants(sh, "recv u 10 nowait", "EAGAIN")
    peer = w.net.udp(PORT + 1)
    to = ("127.0.0.1", PORT)
    for text in (b"first", b"", b"long enough", b"0123456789", b"last"):
        peer.sendto(text, to)
    wants(sh, f"poll u {IN} {WAIT}", "1 0x1")
    wants(sh, "recv u 10 from peek", f"5 first 127.0.0.1 {PORT + 1}")
    wants(sh, "recv u 10 from", f"5 first 127.0.0.1 {PORT + 1}")
    wants(sh, "recv u 10 from", f"0  127.0.0.1 {PORT + 1}")
    wants(sh, "recv u 4 from", f"4 long 127.0.0.1 {PORT + 1}")
    wants(sh, "recv u 4 trunc", "10 0123")
    wants(sh, "recv u 10 waitall", "4 last")
    wants(sh, "recv u 10 nowait", "EAGAIN")
    sh(f"connect u 127.0.0.1 {PORT + 2}")
    sh("getpeername u")
    other = w.net.udp(PORT + 2)
    peer.sendto(b"not this one", to)
    other.sendto(b"this one", to)
    wants(sh, "recv u 100", "8 this one")
    wants(sh, "connect u @0", "0")
    wants(sh, "getpeername u", "ENOTCONN")
    wants(sh, "send u hello", "EDESTADDRREQ")
    sh("shutdown u 0")


@both
def broadcast(w, sh):
    """Broadcast needs its option."""
    sh("socket u 2 2")
    wants(sh, f"sendto u hello 127.255.255.255 {PORT}", "EACCES")
    sh(f"setopt u {SOL_SOCKET} 6 1")
    wants(sh, f"sendto u hello 127.255.255.255 {PORT}", "5")
    sh(f"setopt u {SOL_SOCKET} 6 0")
    wants(sh, f"sendto u hello 127.255.255.255 {PORT}", "EACCES")


@both
def shut_down_for_reading(w, sh):
    """shutdown() for reading, and for both."""
    peer = connected(w, sh)
    wants(sh, "shutdown c 0", "0")
    sh("poll c 5 0")
    wants(sh, "recv c 10", "0")
    wants(sh, "send c hello", "5")
    check(peer.recv(10) == b"hello")
    sh("shutdown c 7")
    wants(sh, "shutdown c 2", "0")
    check(peer.recv(10) == b"")
    wants(sh, "send c hello", "EPIPE")
    wants(sh, "recv c 10", "0")
    peer.close()
    sh(f"poll c {HUP} {WAIT}")
    sh("shutdown c 2")


@both
def addresses(w, sh):
    """getsockname() and getpeername() in each state."""
    sh("socket c 2 1")
    wants(sh, "getsockname c", "0 0.0.0.0 0")
    sh("socket d 10 2")
    wants(sh, "getsockname d", "0 :: 0")
    listener = w.net.listener(PORT, "::1")
    sh("socket e 10 1")
    wants(sh, f"bind e ::1 {PORT + 1}", "0")
    wants(sh, f"connect e ::1 {PORT}", "0")
    wants(sh, "getsockname e", f"0 ::1 {PORT + 1}")
    wants(sh, "getpeername e", f"0 ::1 {PORT}")
    listener.close()
    sh("socket f 2 1")
    sh("listen f 1")  # gets a port by itself
    name = sh("getsockname f").split()
    sh.transcript.pop()
    check(name[1] == "0.0.0.0" and int(name[2]) > 0, name)


@both
def timeouts(w, sh):
    """SO_RCVTIMEO and SO_SNDTIMEO end a call."""
    peer = connected(w, sh)
    wants(sh, f"setopt c {SOL_SOCKET} {SO_RCVTIMEO} 0 0 30000 0", "0")
    wants(sh, "recv c 10", "EAGAIN")
    peer.sendall(b"abc")
    wants(sh, "recv c 10", "3 abc")
    sh(f"getopt c {SOL_SOCKET} {SO_RCVTIMEO}")
    sh(f"setopt c {SOL_SOCKET} {SO_RCVTIMEO} 0 0 1000000 0")
    sh(f"setopt c {SOL_SOCKET} {SO_RCVTIMEO} 0")
    sh("socket u 2 2")
    sh(f"setopt u {SOL_SOCKET} {SO_RCVTIMEO} 0 0 30000 0")
    wants(sh, "recv u 10", "EAGAIN")
    sh("socket l 2 1")
    sh("listen l 1")
    sh(f"setopt l {SOL_SOCKET} {SO_RCVTIMEO} 0 0 30000 0")
    wants(sh, "accept l x", "EAGAIN")


@both
def inherited(w, sh):
    """An accepted socket has its listener's time-outs and least count."""
    sh("socket l 2 1")
    sh(f"setopt l {SOL_SOCKET} 2 1")
    sh(f"bind l 127.0.0.1 {PORT}")
    sh("listen l 1")
    sh(f"setopt l {SOL_SOCKET} {SO_RCVTIMEO} 3 0 0 0")
    sh(f"setopt l {SOL_SOCKET} 18 5")
    with w.net.connect(PORT) as peer:
        wants(sh, "accept l c", "0 127.0.0.1")
        sh(f"getopt c {SOL_SOCKET} {SO_RCVTIMEO}")
        sh(f"getopt c {SOL_SOCKET} 18")
        peer.sendall(b"abcd")
        wants(sh, f"poll c {IN} 50", "0 0x0")
        peer.sendall(b"e")
        wants(sh, f"poll c {IN} 5000", "1 0x1")
        wants(sh, "recv c 10", "5 abcde")


@both
def lookups(w, sh):
    """Names and services that need no server, and those that fail."""
    for call in (
        "lookup 127.0.0.1 80 0 1", "lookup ::1 80 0 0", "lookup localhost 80 2 1",
        "lookup - 80 0 1", "lookup 127.0.0.1 - 2 0", "lookup 127.0.0.1 http 0 1",
        "lookup 127.0.0.1 nosuchservice 0 1", "lookup - - 0 0",
        "lookup 127.0.0.1 80 99 1", "lookup 127.0.0.1 80 10 1",
        "lookup ::1 80 2 1", "lookup 127.0.0.1 80 2 77", "lookup 127.1 80 0 1",
        "lookup 0x7f000001 80 0 1", "lookup 127.0.0.1 99999 0 1",
        "lookup 127.0.0.1 domain 0 0", "lookup 127.0.0.1 domain 0 2",
    ):  # fmt: skip
        sh(call)


@test
def no_permission():
    """A port below 1024 is refused to an unprivileged farsockd."""

    def case(sh):
        wants(sh, "socket c 2 1", "0")
        wants(sh, "bind c 127.0.0.1 80", "EACCES")
        wants(sh, f"bind c 127.0.0.1 {PORT}", "0")
        sh("socket u 2 2")
        wants(sh, "bind u 127.0.0.1 80", "EACCES")
        sh("setopt u 1 32 100000")  # SO_SNDBUFFORCE
        sh("setopt u 1 36 1")  # SO_MARK
        sh("setopt u 1 12 7")  # SO_PRIORITY
        sh("setopt u 0 19 1")  # IP_TRANSPARENT
        return sh.transcript

    with Native() as native:
        command = [*UNPRIVILEGED, program("shell"), "native"]
        oracle = case(Shell(Child(command, native.net)))
    with Far(prefix=UNPRIVILEGED) as far:
        compare(case(far.shell()), oracle)


if __name__ == "__main__":
    main()
