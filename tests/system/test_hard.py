#!/usr/bin/python3
# What is easily forgotten: nothing left to accept with, peers that never answer,
# and more wanted than a ring holds.
# SPDX-License-Identifier: MIT

import resource

from harness import Far, check, check_equal, descriptors, in_thread, main, pattern, test, until
from oracle import PORT, connected, wants

BUSY = 63


@test
def accept_without_descriptors():
    """accept() while farsockd has no descriptor: EMFILE; the connection stays."""
    with Far() as far:
        sh = far.shell()
        sh("socket l 2 1")
        wants(sh, f"bind l 127.0.0.1 {PORT}", "0")
        wants(sh, "listen l 5", "0")
        peers = [far.net.connect(PORT) for _ in range(3)]
        wants(sh, "poll l 1 10000", "1 0x1")
        limits = resource.prlimit(far.pid, resource.RLIMIT_NOFILE)
        # The directory is open while its entries are counted, too.
        resource.prlimit(far.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        for _ in range(3):
            wants(sh, "accept l x nowait", "EMFILE")
        before = descriptors(far.pid)
        wants(sh, "poll l 1 0", "1 0x1")
        resource.prlimit(far.pid, resource.RLIMIT_NOFILE, limits)
        for i, peer in enumerate(peers):
            wants(sh, f"accept l a{i}", "0 127.0.0.1")
            peer.sendall(b"still there")
            wants(sh, f"recv a{i} 100", "11 still there")
        check_equal(descriptors(far.pid), before + len(peers))


@test
def black_hole():
    """A connect into a black hole holds up none of 63 busy sockets."""
    with Far() as far:
        sh = far.shell()
        full = far.net.listener(PORT + 1, backlog=0)
        first = far.net.connect(PORT + 1)
        peers = [connected(far, sh, f"b{i}") for i in range(BUSY)]
        sh("socket hole 2 1")
        sh.begin("hole", f"connect hole 127.0.0.1 {PORT + 1}")
        until("it is under way", lambda: any(row[6] == "connecting" for row in sockets(far)))
        for turn in range(5):
            for i, peer in enumerate(peers):
                wants(sh, f"send b{i} turn{turn}", "5")
                peer.sendall(peer.recv(10))
                wants(sh, f"recv b{i} 10", f"5 turn{turn}")
        check(sh.waits("hole"), "it is no black hole")
        full.accept()[0].close()
        check_equal(sh.result("hole"), "0")
        first.close()


def sockets(far):
    return [row for row in far.dump() if row[0] == "socket"]


@test
def wanted_beyond_the_ring():
    """MSG_WAITALL, MSG_PEEK and SO_RCVLOWAT of more than a ring holds."""
    ring = 4096
    with Far() as far:
        sh = far.shell(f"far:0:{ring}")
        peer = connected(far, sh)
        sh.begin("all", f"recv c {5 * ring} waitall")
        sent = in_thread(peer.sendall, b"x" * (5 * ring))
        check(sh.result("all").startswith(f"{5 * ring} "), sh.transcript)
        sent()
        # A peek ends where the ring does.
        sent = in_thread(peer.sendall, pattern(0, 3 * ring))
        peeked = sh(f"recv c {3 * ring} peek waitall").split()[0]
        check_equal(peeked, str(ring), "bytes peeked at")
        wants(sh, f"recvn c {3 * ring}", f"{3 * ring} good")
        sent()
        # More than half of a ring cannot be promised to fit.
        wants(sh, f"setopt c 1 18 {10 * ring}", "0")
        peer.sendall(b"y" * (ring // 2 - 1))
        wants(sh, "poll c 1 100", "0 0x0")
        sh.begin("low", f"recv c {2 * ring}")
        check(sh.waits("low"), "less than half of the ring was enough")
        peer.sendall(b"z")
        check(sh.result("low").startswith(f"{ring // 2} "), sh.transcript)


if __name__ == "__main__":
    main()
