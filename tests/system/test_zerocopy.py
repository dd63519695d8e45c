#!/usr/bin/python3
# Building in the ring and reading from it.
# SPDX-License-Identifier: MIT

from harness import IN, Far, check_equal, in_thread, main, pattern, test
from oracle import PORT, accepted, both, connected, end_of, reset, wants

WAIT = 10000


@both
def a_little(w, sh):
    """Both ways, the end, and errors."""
    sh("socket n 2 1")
    sh("buildn n 10")
    sh("readn n 10")
    peer = connected(w, sh)
    sh("readn c 10 10 nowait")
    wants(sh, "buildn c 1000 100", "1000")
    got = b""
    while len(got) < 1000:
        got += peer.recv(1000)
    check_equal(got, pattern(0, 1000))
    peer.sendall(pattern(0, 1000))
    wants(sh, "readn c 1000 70", "1000 good")
    peer.close()
    wants(sh, "readn c 10", "0 good end")
    sh("close c")
    sh("buildn c 10")
    sh("readn c 10")


@both
def resets(w, sh):
    """A reset shows as in recv and send."""
    peer = accepted(w, sh)
    peer.sendall(b"")
    reset(peer)
    sh(f"poll c {IN} {WAIT}")
    sh("readn c 10")
    sh("readn c 10")
    sh("buildn c 10")


@both
def turns(w, sh):
    """Reading in place and by recv take turns."""
    peer = connected(w, sh)
    peer.sendall(pattern(0, 3000))
    for _ in range(10):
        wants(sh, "readn c 100", "100 good")
        wants(sh, "recvn c 200", "200 good")
        wants(sh, "sendn c 200", "200")
        wants(sh, "buildn c 100", "100")
    sh("close c")
    data, _ = end_of(peer)
    check_equal(data, pattern(0, 3000))


@test
def much():
    """More than the ring, over its end and over the wrap of indexes."""
    with Far() as far:
        for mode in ("far", "far:0xffff0000:4096"):
            sh = far.shell(mode)
            peer = connected(far, sh)
            size = 1 << 20
            join = in_thread(peer.sendall, pattern(0, size))
            check_equal(sh(f"readn c {size} 1000"), f"{size} good")
            join()

            def take():
                got = b""
                while len(got) < size:
                    got += peer.recv(65536)
                return got

            join = in_thread(take)
            check_equal(sh(f"buildn c {size} 3000").strip(), str(size))
            check_equal(join(), pattern(0, size))
            sh.end()


@test
def wrong_use():
    """Datagram sockets have no such calls."""
    with Far() as far:
        sh = far.shell()
        sh("socket u 2 2")
        check_equal(sh("buildn u 10"), "0 EOPNOTSUPP")
        check_equal(sh("readn u 10"), "0 good EOPNOTSUPP")


if __name__ == "__main__":
    main()
