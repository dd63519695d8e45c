#!/usr/bin/python3
# Limits of a link: enforced, with the errno that a native limit gives.
# SPDX-License-Identifier: MIT

import socket
import time

from configured import Configured
from harness import asleep, check, check_equal, main, pattern, test, until
from linkup import Near, hello, refused
from oracle import PORT, end_of, wants

EBUSY, ENOMEM = 16, 12
MIB = 1 << 20


def limits(*lines):
    return Configured("[link]\n" + "".join(f"{line}\n" for line in lines))


@test
def open_sockets():
    """One socket more than a link may have gives EMFILE, until one is closed."""
    with limits("open-sockets = 3") as far:
        for family in (2, 10):
            sh = far.shell()
            for i in range(3):
                wants(sh, f"socket s{i} {family} 1", "0")
            for _ in range(3):
                wants(sh, f"socket more {family} 1", "EMFILE")
            wants(sh, "close s1", "0")
            wants(sh, f"socket more {family} 1", "0")
            wants(sh, f"socket s1 {family} 1", "EMFILE")
        listener = far.shell()
        wants(listener, "socket l 2 1", "0")
        wants(listener, f"bind l 127.0.0.1 {PORT}", "0")
        wants(listener, "listen l 9", "0")
        peers = [far.net.connect(PORT) for _ in range(3)]
        wants(listener, "accept l a0", "0 127.0.0.1")
        wants(listener, "accept l a1", "0 127.0.0.1")
        wants(listener, "accept l a2", "EMFILE")
        wants(listener, "close a0", "0")
        wants(listener, "accept l a2", "0 127.0.0.1")
        for s in peers:
            s.close()


@test
def incoming_connections():
    """Accepting one connection more than may come in gives EMFILE; it waits."""
    with limits("max-incoming = 2") as far:
        sh = far.shell()
        wants(sh, "socket l 2 1", "0")
        wants(sh, f"bind l 127.0.0.1 {PORT}", "0")
        wants(sh, "listen l 9", "0")
        peers = [far.net.connect(PORT) for _ in range(4)]
        for name in ("a", "b"):
            wants(sh, f"accept l {name}", "0 127.0.0.1")
        for _ in range(3):
            wants(sh, "accept l c", "EMFILE")
        out = far.net.listener(PORT + 1)
        wants(sh, "socket o 2 1", "0")  # outgoing ones are not counted
        wants(sh, f"connect o 127.0.0.1 {PORT + 1}", "0")
        out.close()
        wants(sh, "close o", "0")
        wants(sh, "accept l c", "EMFILE")
        for name in ("c", "d"):
            wants(sh, f"close {'a' if name == 'c' else 'b'}", "0")
            wants(sh, f"accept l {name}", "0 127.0.0.1")
        wants(sh, "send d hello", "5")
        check_equal(peers[3].recv(9), b"hello")
        for s in peers:
            s.close()


@test
def memory_and_tags():
    """What a near core wishes for its link has limits."""
    with limits("max-memory = 1024", "max-tags = 5", "tags = 3") as far:
        small = {"sockets": 4, "tx_ring": 65536, "rx_ring": 65536}
        for wish, tags in ((0, 3), (4, 4), (5, 5), (1000, 5)):
            with Near(far.link, tags=wish, **small) as near:
                check_equal(near.layout()[1], tags, f"tags wished for: {wish}")
        for wishes in ({**small, "sockets": 9}, {**small, "tx_ring": 4 * MIB}, {"sockets": 0}):
            check("memory" in refused(far.link, hello(**wishes), ENOMEM), wishes)
        with Near(far.link, **small):
            pass


@test
def links_of_a_user():
    """One link more than a user may have is refused, until one ends."""
    with limits("links-per-user = 2", "[daemon]", "mode = 0666") as far:
        with Near(far.link), Near(far.link):
            text = refused(far.link, hello(), EBUSY)
            check("links-per-user" in text, text)
            other = far.near(
                "setpriv", "--reuid=12345", "--clear-groups", "/usr/bin/python3", "-c",
                "import sys; sys.path.insert(0, 'tests/system')\n"
                f"import linkup; linkup.Near({str(far.link)!r}); print('attached')",
            )  # fmt: skip
            check_equal(other.end(), ["attached"])
        until("room", lambda: not [r for r in far.dump() if r[0] == "link"])
        with Near(far.link):
            pass


# --- Orphans: closed connections whose peer does not read ---


def fill_and_close(far, sh, name, peer_listener):
    """A connection closed with all buffers full; its peer, who has not read."""
    wants(sh, f"socket {name} 2 1", "0")
    wants(sh, f"setopt {name} 1 7 8192", "0")
    wants(sh, f"connect {name} 127.0.0.1 {PORT}", "0")
    peer, _ = peer_listener.accept()
    sent = 0
    while True:  # until neither ring nor kernel takes more for a while
        words = sh(f"sendn {name} {64 * MIB} 65536 nowait").split()
        sent += int(words[0])
        until("farsockd waits", lambda: asleep(far.pid))
        if words[0] == "0":
            break
    wants(sh, f"close {name}", "0")
    return peer, sent


def small_window(far):
    listener = far.net.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("127.0.0.1", PORT))
    listener.listen(9)
    return listener


def sockets(far):
    return [r for r in far.dump() if r[0] == "socket"]


def orphan_bytes(far):
    return sum(int(r[22]) for r in far.dump() if r[0] == "link")


@test
def time_of_orphans():
    """A closed connection whose peer reads nothing is reset after orphan-time."""
    with limits("orphan-time = 1") as far:
        sh = far.shell()
        listener = small_window(far)
        peer, _ = fill_and_close(far, sh, "s", listener)
        check(not sockets(far), "its slot is kept")
        check(orphan_bytes(far) > 0)
        until("its memory is given back", lambda: orphan_bytes(far) == 0)
        check_equal(end_of(peer)[1], "reset")
        # One whose peer reads in time gets everything.
        far.stop()
    with limits("orphan-time = 100") as far:
        sh = far.shell()
        listener = small_window(far)
        peer, sent = fill_and_close(far, sh, "s", listener)
        got, how = end_of(peer)
        check_equal((len(got), how), (sent, "end"))
        check_equal(got[: 4 * MIB], pattern(0, min(sent, 4 * MIB)))


@test
def bytes_of_orphans():
    """What exceeds the budget keeps its slot, and is sent all the same."""
    for budget in ("max-orphans = 300K", "orphans = 300K"):
        with limits(budget) as far:
            sh = far.shell()
            listener = small_window(far)
            peers = [fill_and_close(far, sh, f"s{i}", listener) for i in range(3)]
            check(0 < orphan_bytes(far) <= 300 << 10, orphan_bytes(far))
            kept = sockets(far)
            check_equal([r[6] for r in kept], ["closing"] * 2)
            for peer, sent in peers:
                got, how = end_of(peer)
                check_equal((len(got), how), (sent, "end"))
            until("no orphan is left", lambda: orphan_bytes(far) == 0 and not sockets(far))


@test
def linger_and_a_zero_window():
    """close() that lingers ends in time, though the peer reads nothing."""
    with limits("orphan-time = 100") as far:
        sh = far.shell()
        listener = small_window(far)
        wants(sh, "socket s 2 1", "0")
        wants(sh, "setopt s 1 13 1 1", "0")
        wants(sh, f"connect s 127.0.0.1 {PORT}", "0")
        peer, _ = listener.accept()
        sh(f"sendn s {64 * MIB} 65536 nowait")
        start = time.monotonic()
        wants(sh, "close s", "0")
        took = time.monotonic() - start
        check(0.9 < took < 15, f"it took {took:.1f} s")
        wants(sh, "socket s 2 1", "0")  # others go on
        check(end_of(peer)[0])


if __name__ == "__main__":
    main()
