#!/usr/bin/python3
# What was written arrives, then the end; what ends badly ends as natively.
# SPDX-License-Identifier: MIT

import signal

from harness import (
    IN,
    Far,
    Native,
    check,
    check_equal,
    in_thread,
    main,
    pattern,
    test,
)
from oracle import PORT, accepted, both, connected, end_of, reset, wants

WAIT = 10000  # ms; ends with the event
LARGE = 1_000_000  # bytes; several rings, and less than the kernel takes in


@both
def end_after_data(w, sh):
    """The end of a stream comes after all of its bytes."""
    for length in (1, 1000, 65536, LARGE):
        peer = connected(w, sh)
        peer.sendall(pattern(0, length))
        peer.close()
        sh(f"poll c {IN} {WAIT}")
        wants(sh, f"recvn c {length + 10}", f"{length} good end")
        wants(sh, "recv c 10", "0")
        sh("close c")


@both
def data_before_accept(w, sh):
    """A connection that came, sent and ended before it was accepted."""
    sh("socket l 2 1")
    sh(f"bind l 127.0.0.1 {PORT}")
    sh("listen l 10")
    for i in range(4):
        peer = w.net.connect(PORT)
        peer.sendall(pattern(0, 1000 * (i + 1)))
        peer.close()
    for i in range(4):
        wants(sh, "accept l c", "0 127.0.0.1")
        wants(sh, "recvn c 99999", f"{1000 * (i + 1)} good end")
        sh("close c")


@both
def shutdown_after_data(w, sh):
    """shutdown() takes effect after the bytes written before it."""
    peer = connected(w, sh)
    wants(sh, f"sendn c {LARGE}", str(LARGE))
    wants(sh, "shutdown c 1", "0")
    got, how = end_of(peer)
    check(got == pattern(0, LARGE) and how == "end", len(got), how)
    peer.sendall(b"still here")
    wants(sh, f"poll c {IN} {WAIT}", "1 0x1")
    wants(sh, "recv c 100", "10 still here")
    peer.close()
    wants(sh, "recv c 100", "0")


@both
def close_after_data(w, sh):
    """close() takes effect after the bytes written before it."""
    for length in (1, 65536, LARGE):
        peer = connected(w, sh)
        wants(sh, f"sendn c {length}", str(length))
        wants(sh, "close c", "0")
        got, how = end_of(peer)
        check(got == pattern(0, length) and how == "end", len(got), how)


def behind_full_buffers(finish):
    """Fill every buffer, finish, and only then let the peer read: it must get
    what send() said it took, then the end."""
    for world in (Native(), Far()):
        with world as w:
            sh = w.shell()
            peer = connected(w, sh)
            sent = 0
            while more := int(sh("sendn c 99999999 65536 nowait").split()[0]):
                sent += more
            finish(sh)
            got, how = 0, b""
            while data := peer.recv(1 << 16):
                check(data == pattern(got, len(data)), "wrong byte after", got)
                got += len(data)
            check_equal(got, sent, f"bytes in {type(w).__name__}")


@test
def shutdown_behind_full_buffers():
    """shutdown() behind full buffers: all that was taken arrives, then the end."""
    behind_full_buffers(lambda sh: wants(sh, "shutdown c 1", "0"))


@test
def close_behind_full_buffers():
    """close() behind full buffers: all that was taken arrives, then the end."""
    behind_full_buffers(lambda sh: wants(sh, "close c", "0"))


@test
def exit_behind_full_buffers():
    """A program that exits behind full buffers: all that was taken arrives."""

    def leave(sh):
        sh.child.write("exit 3\n")
        sh.child.end(status=3)

    behind_full_buffers(leave)


@test
def killed_behind_full_buffers():
    """A program killed behind full buffers: all that was taken arrives."""

    def kill(sh):
        sh.child.send_signal(signal.SIGKILL)
        sh.child.end(status=-signal.SIGKILL)

    behind_full_buffers(kill)


@both
def datagrams_before_exit(w, sh):
    """Datagrams sent before a program is killed arrive."""
    taker = w.net.udp(PORT)
    sh("socket u 2 2")
    for i in range(20):
        wants(sh, f"sendto u number{i} 127.0.0.1 {PORT}", str(6 + len(str(i))))
    sh.child.send_signal(signal.SIGKILL)
    for i in range(20):
        check_equal(taker.recv(100), b"number%d" % i)


@both
def close_with_unread_data(w, sh):
    """Closing with unread data resets; what was written is not held back."""
    for write in (False, True):
        peer = connected(w, sh)
        if write:
            wants(sh, "send c hello", "5")
            check_equal(peer.recv(5), b"hello")
        peer.sendall(b"unread")
        wants(sh, f"poll c {IN} {WAIT}", "1 0x1")
        wants(sh, "close c", "0")
        check_equal(end_of(peer), (b"", "reset"))


@both
def exit_with_unread_data(w, sh):
    """Exiting with unread data resets."""
    peer = connected(w, sh)
    peer.sendall(b"unread")
    wants(sh, f"poll c {IN} {WAIT}", "1 0x1")
    sh.child.write("exit 0\n")
    check_equal(end_of(peer), (b"", "reset"))


@both
def linger_zero(w, sh):
    """SO_LINGER with no time resets."""
    peer = connected(w, sh)
    sh("setopt c 1 13 1 0")
    wants(sh, "send c hello", "5")
    check_equal(peer.recv(5), b"hello")
    wants(sh, "close c", "0")
    check_equal(end_of(peer), (b"", "reset"))


@both
def linger_until_taken(w, sh):
    """SO_LINGER with time: close() waits until the peer has it all."""
    peer = connected(w, sh)
    sh("setopt c 1 13 1 60")
    wants(sh, f"sendn c {LARGE}", str(LARGE))
    taker = in_thread(end_of, peer)
    wants(sh, "close c", "0")
    got, how = taker()
    check(got == pattern(0, LARGE) and how == "end", len(got), how)


@both
def reset_after_data(w, sh):
    """Data that came before a reset is read before the error."""
    peer = connected(w, sh)
    peer.sendall(b"abcdef")
    wants(sh, f"poll c {IN} {WAIT}", "1 0x1")
    reset(peer)
    sh(f"poll c 0 {WAIT}")  # ERR and HUP
    wants(sh, "recv c 3", "3 abc")
    wants(sh, "recv c 10", "3 def")
    wants(sh, "recv c 10", "ECONNRESET")
    wants(sh, "recv c 10", "0")


@both
def closed_listener(w, sh):
    """Closing a listener resets the connections that wait in it."""
    sh("socket l 2 1")
    sh(f"bind l 127.0.0.1 {PORT}")
    sh("listen l 5")
    peers = [w.net.connect(PORT) for _ in range(4)]
    wants(sh, f"poll l {IN} {WAIT}", "1 0x1")
    wants(sh, "close l", "0")
    for peer in peers:
        check_equal(end_of(peer), (b"", "reset"))
    sh("socket l 2 1")
    sh("setopt l 1 2 1")
    wants(sh, f"bind l 127.0.0.1 {PORT}", "0")


@both
def accepted_in_order(w, sh):
    """Connections are accepted in the order they came, one listener or two."""
    sh("socket l 2 1")
    sh(f"bind l 127.0.0.1 {PORT}")
    sh("listen l 20")
    peers = [w.net.connect(PORT) for _ in range(10)]
    for i, peer in enumerate(peers):
        peer.sendall(b"%d" % i)
    for i, peer in enumerate(peers):
        wants(sh, "accept l c", "0 127.0.0.1")
        wants(sh, "recv c 10", f"1 {i}")
        wants(sh, "send c answer", "6")
        check_equal(peer.recv(10), b"answer")
        sh("close c")
        check_equal(end_of(peer), (b"", "end"))


@both
def backlog(w, sh):
    """A backlog of n completes n + 1 connections, and no more."""
    for n in (0, 1, 3):
        sh("socket l 2 1")
        sh("setopt l 1 2 1")
        sh(f"bind l 127.0.0.1 {PORT + n}")
        sh(f"listen l {n}")
        peers = [w.net.connect(PORT + n) for _ in range(n + 1)]
        late = w.net.socket()
        late.settimeout(0.3)
        try:
            late.connect(("127.0.0.1", PORT + n))
            check(False, "a connection more than the backlog allows")
        except TimeoutError:
            pass
        for _ in peers:
            wants(sh, "accept l c", "0 127.0.0.1")
            sh("close c")
        sh("close l")


@both
def both_directions(w, sh):
    """A blocked send does not keep a receive of the same socket waiting."""
    peer = accepted(w, sh)
    sh.begin("sender", f"sendn c {50 * LARGE}")
    # The sender stands when the peer's buffers are full; nobody reads.
    peer.sendall(b"meanwhile")
    wants(sh, "recv c 100", "9 meanwhile")
    check(sh.waits("sender"))
    got = 0
    while got < 50 * LARGE:
        data = peer.recv(1 << 20)
        check(data == pattern(got, len(data)), "wrong byte after", got)
        got += len(data)
    check_equal(sh.result("sender"), str(50 * LARGE))


@both
def shutdown_ends_a_blocked_receive(w, sh):
    """shutdown() for reading ends a receive that waits."""
    peer = connected(w, sh)
    sh.begin("r", "recv c 10")
    wants(sh, "poll c 1 20", "0 0x0")
    wants(sh, "shutdown c 0", "0")
    check_equal(sh.result("r"), "0")
    peer.close()


if __name__ == "__main__":
    main()
