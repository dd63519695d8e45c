#!/usr/bin/python3
# Many near cores, many sockets, many calls that wait: none delays another.
# SPDX-License-Identifier: MIT

import signal
import tempfile
from pathlib import Path

from content import Content, make_pool
from harness import (
    LONG,
    Far,
    asleep,
    check,
    check_equal,
    descriptors,
    in_thread,
    main,
    program,
    test,
    until,
)
from resolver import no_such_name, with_resolver
from oracle import PORT, accepted, connected, wants

CORES = 8
MIB = 1 << 20
EACH = 64 * MIB if LONG else 4 * MIB
SOCKETS = 1000
WAIT = 10000  # ms; ends with the event

# Columns of a link in farsock dump, see farsock(1).
LINK_SOCKETS, LINK_NEAR, LINK_FAR = 8, slice(11, 16), slice(16, 21)


def links(far):
    return [row for row in far.dump() if row[0] == "link"]


@test
def eight_near_cores():
    """Eight near cores carry data at once over one farsockd."""
    with Far() as far:
        pool_path = far.dir / "pool"
        pool = make_pool(pool_path, seed=88)
        listeners = [far.net.listener(PORT + i) for i in range(CORES)]
        near = [
            far.near(
                program("stream"), "far", "connect", "127.0.0.1", PORT + i,
                pool_path, 1, EACH, 65536, 65536,
            )
            for i in range(CORES)
        ]  # fmt: skip
        peers = [listener.accept()[0] for listener in listeners]
        joins = []
        for s in peers:
            s.settimeout(None)
            joins.append(
                (
                    in_thread(Content(pool, 1).send, s, EACH),
                    in_thread(Content(pool, 0).take, s, EACH),
                )
            )
        for child, (sender, taker) in zip(near, joins):
            _, sent, taken = child.end()[0].split()
            check_equal(sent, taker(), "sum of what a near core sent")
            check_equal(taken, sender(), "sum of what a near core took")


@test
def figures():
    """farsock dump and show know each link, its sockets, and what it did."""
    with Far() as far:
        shells = [far.shell() for _ in range(CORES)]
        peers = [connected(far, sh) for sh in shells]
        for i, (sh, peer) in enumerate(zip(shells, peers)):
            for _ in range(20 + i):
                sh.begin("answer", "recv c 10")
                wants(sh, "send c ping", "4")
                check_equal(peer.recv(10), b"ping")
                until("the near core waits", lambda: asleep(sh.pid))
                peer.sendall(b"pong")
                check_equal(sh.result("answer"), "4 pong")
        rows = links(far)
        check_equal(len(rows), CORES, "links")
        check_equal({row[3] for row in rows}, {str(sh.pid) for sh in shells})
        for row in rows:
            check_equal(row[LINK_SOCKETS], "1", row)
            for side in (LINK_NEAR, LINK_FAR):
                kicks, doorbells, wakeups, rescues, _ = map(int, row[side])
                check(kicks and doorbells and wakeups, "a counter is 0:", row)
                check_equal(rescues, 0, row)
        sockets = [row for row in far.dump() if row[0] == "socket"]
        check_equal(len(sockets), CORES, "sockets")
        for row in sockets:
            check(f"127.0.0.1:{PORT}" in row, row)
        text = "\n".join(far.show())
        check(text.count("link ") >= CORES and f"127.0.0.1:{PORT}" in text, text)
        for sh in shells:
            sh.end()
        until("no link is left", lambda: not links(far))


@test
def thousand_sockets():
    """A thousand sockets on one link, and each carries data both ways."""
    with Far() as far:
        listener = far.net.listener(PORT, backlog=1024)
        sh = far.shell()
        peers = []
        for i in range(SOCKETS):
            wants(sh, f"socket s{i} 2 1", "0")
            wants(sh, f"connect s{i} 127.0.0.1 {PORT}", "0")
            peers.append(listener.accept()[0])
        check_equal(links(far)[0][LINK_SOCKETS], str(SOCKETS))
        wants(sh, f"pollmany s {SOCKETS} 1 0", "0")
        for i, peer in enumerate(peers):
            text = f"number{i}"
            wants(sh, f"send s{i} {text}", str(len(text)))
            check_equal(peer.recv(100), text.encode())
        for i in (999, 0, 500):
            peers[i].sendall(b"ready")
        for i in (999, 0, 500):
            wants(sh, f"poll s{i} 1 {WAIT}", "1 0x1")
        wants(sh, f"pollmany s {SOCKETS} 1 {WAIT}", "3 0:0x1 500:0x1 999:0x1")
        for i in reversed(range(SOCKETS)):
            peers[i].sendall(b"%d" % i)
        for i in range(SOCKETS):
            want = b"%d" % i
            if i in (0, 500, 999):
                want = b"ready" + want
                wants(sh, f"recv s{i} {len(want)} waitall", f"{len(want)} {want.decode()}")
            else:
                wants(sh, f"recv s{i} 100", f"{len(want)} {want.decode()}")
        for i in range(SOCKETS):
            wants(sh, f"close s{i}", "0")
        for peer in peers:
            check_equal(peer.recv(1), b"")
        until("all slots are free", lambda: links(far)[0][LINK_SOCKETS] == "0")
        listener.close()
        peer = connected(far, sh)
        wants(sh, "send c again", "5")
        check_equal(peer.recv(10), b"again")


@test
def more_than_there_are():
    """A link's last slot is used, then EMFILE; a closed one is used again."""
    with Far() as far:
        sh = far.shell("far:0:0:20")
        made = 0
        while (result := sh(f"socket s{made} 2 1")) == "0":
            made += 1
            check(made < 5000, "no end")
        check_equal(result, "EMFILE")
        check(made >= 20, made)
        for turn in range(50):
            wants(sh, f"close s{turn % made}", "0")
            until("a slot is free", lambda: sh(f"socket s{turn % made} 2 1") == "0")
        check_equal(sh("socket one 2 1"), "EMFILE")


@test
def waiting_calls():
    """Calls that wait in accept, recv, connect and lookup delay no other call."""
    directory = tempfile.TemporaryDirectory(prefix="farsock-test-")
    with Far(prefix=with_resolver(Path(directory.name))) as far:
        resolver = far.net.udp(53)
        sh = far.shell()
        other = far.shell()
        silent = connected(far, sh, "r")
        polled = connected(far, sh, "p")
        peer = connected(far, sh, "free")
        other_peer = connected(far, other)
        sh("socket l 2 1")
        sh("listen l 0")
        full = far.net.listener(PORT, backlog=0)
        first = far.net.connect(PORT)
        sh("socket n 2 1")
        sh("socket u 2 2")
        sh("bind u 127.0.0.1 0")
        # More lookups than farsockd has workers for one link.
        calls = {f"lookup{i}": f"lookup nobody{i}.test 80 2 1" for i in range(8)}
        calls |= {
            "accepting": "accept l x",
            "receiving": "recv r 100",
            "connecting": f"connect n 127.0.0.1 {PORT}",
            "datagram": "recv u 100",
            "polling": "poll p 1 -1",
        }
        for name, call in calls.items():
            sh.begin(name, call)
        query, asker = resolver.recvfrom(2000)  # a lookup has begun to wait
        check(b"nobody" in query)

        for s, p in ((sh, peer), (other, other_peer)):
            name = "free" if s is sh else "c"
            for i in range(100):
                wants(s, f"send {name} ping{i}", str(4 + len(str(i))))
                p.sendall(p.recv(100))
                wants(s, f"recv {name} 100", f"{4 + len(str(i))} ping{i}")
            wants(s, "socket again 2 1", "0")
            wants(s, "listen again 1", "0")
            wants(s, "close again", "0")
        for name in calls:
            check(sh.waits(name), name, "ended:", sh.pending)

        # A lookup of a second near core is served while the first one's wait.
        other.begin("mine", "lookup somebody.test 80 2 1")
        pending = [(query, asker)]
        while b"somebody" not in pending[-1][0]:
            pending.append(resolver.recvfrom(2000))
        query, asker = pending.pop()
        resolver.sendto(no_such_name(query), asker)
        check_equal(other.result("mine"), "EAI -2")
        for name in calls:
            check(sh.waits(name), name, "ended:", sh.pending)

        def answer():
            while True:
                query, asker = pending.pop() if pending else resolver.recvfrom(2000)
                resolver.sendto(no_such_name(query), asker)

        in_thread(answer)
        for i in range(8):
            check_equal(sh.result(f"lookup{i}"), "EAI -2")
        polled.sendall(b"x")
        check_equal(sh.result("polling"), "1 0x1")
        silent.sendall(b"at last")
        check_equal(sh.result("receiving"), "7 at last")
        full.accept()[0].close()
        check_equal(sh.result("connecting"), "0")
        first.close()
    directory.cleanup()


@test
def no_descriptor_leaks():
    """Sockets that come and go leave nothing behind, nor do near cores."""
    with Far() as far:
        sh = far.shell()
        until("farsockd waits", lambda: asleep(far.pid))
        with_link = descriptors(far.pid)
        listener = far.net.listener(PORT)
        for _ in range(300):
            sh("socket c 2 1")
            wants(sh, f"connect c 127.0.0.1 {PORT}", "0")
            peer, _ = listener.accept()
            peer.sendall(b"unread")
            wants(sh, "close c", "0")
            peer.close()
        # One is there for the next that is asked for.
        until("no socket is left", lambda: descriptors(far.pid) == with_link + 1)
        for _ in range(20):
            for s in range(20):
                sh(f"socket s{s} 2 {1 + s % 2}")
            sh.child.send_signal(signal.SIGKILL)
            sh.child.end(status=-signal.SIGKILL)
            sh = far.shell()
        until("no link is left", lambda: descriptors(far.pid) == with_link)


@test
def slow_peer_pins_nothing():
    """A peer that does not read holds up neither its own near core nor another."""
    with Far() as far:
        sh = far.shell()
        slow = connected(far, sh, "slow")
        peer = accepted(far, sh, "free")
        sh.begin("sender", "sendn slow 50000000")
        until("the sender waits", lambda: asleep(sh.pid))
        for i in range(100):
            wants(sh, "sendn free 100000", "100000")
            got = 0
            while got < 100000:
                got += len(peer.recv(100000))
        check(sh.waits("sender"))
        got = 0
        while got < 50000000:
            got += len(slow.recv(MIB))
        check_equal(sh.result("sender"), "50000000")


if __name__ == "__main__":
    main()
