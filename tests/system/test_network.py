#!/usr/bin/python3
# The network goes away and comes back; names that nobody answers.
# SPDX-License-Identifier: MIT

import select
import subprocess
import tempfile
from pathlib import Path

from harness import Far, asleep, check, check_equal, descriptors, main, test, until
from oracle import PORT, both, connected, wants
from resolver import no_such_name, with_resolver


def ip(w, *words):
    """Change the network of the far core; farsockd has noticed."""
    with w.net.inside():
        subprocess.run(["ip", *" ".join(words).split()], check=True)
    if isinstance(w, Far):
        until("farsockd has seen it", lambda: asleep(w.pid))


@both
def interface_down_and_up(w, sh):
    """The interface goes down and up: the same errors, and connections go on."""
    peer = connected(w, sh)
    ports = [w.net.udp(9), w.net.udp(10)]
    sh("socket u 2 2")
    sh(f"bind u 127.0.0.1 {PORT}")
    sh("socket k 2 2")
    sh(f"bind k 127.0.0.1 {PORT + 1}")
    wants(sh, "connect k 127.0.0.1 10", "0")
    wants(sh, f"bind c 127.0.0.1 {PORT}", "EINVAL")
    listener = w.net.listener(PORT)
    sh("send k hello")
    wants(sh, "sendto u hello 127.0.0.1 9", "5")
    for _ in range(3):
        ip(w, "link set lo down")
        sh("sendto u hello 127.0.0.1 9")
        sh("send k hello")
        wants(sh, "send c hello", "5")
        ip(w, "link set lo up")
        check_equal(peer.recv(100), b"hello")
        wants(sh, "sendto u hello 127.0.0.1 9", "5")
        sh("send k hello")
        peer.sendall(b"world")
        wants(sh, "recv c 5", "5 world")
    for s in (listener, *ports):
        s.close()


@both
def routes_that_change(w, sh):
    """Routes come, go and turn bad: each send after it has the native errno."""
    sh("socket u 2 2")
    sh("socket k 2 2")
    far_away = "sendto u hello 10.5.0.1 9"
    wants(sh, far_away, "ENETUNREACH")
    ip(w, "route add local 10.5.0.0/16 dev lo")
    for _ in range(3):
        wants(sh, far_away, "5")
    sh("connect k 10.5.0.1 9")
    for kind, error in (
        ("unreachable", "EHOSTUNREACH"), ("blackhole", "EINVAL"),
        ("prohibit", "EACCES"), ("throw", "ENETUNREACH"),
    ):  # fmt: skip
        ip(w, "route del local 10.5.0.0/16 dev lo")
        wants(sh, far_away, "ENETUNREACH")
        sh("send k hello")
        ip(w, f"route add {kind} 10.5.0.0/16")
        sh("recv u 9 nowait")  # what an earlier datagram met
        wants(sh, far_away, error)
        wants(sh, far_away, error)
        sh("socket n 2 1")
        sh("connect n 10.5.0.1 9")
        sh("close n")
        ip(w, f"route del {kind} 10.5.0.0/16")
        wants(sh, far_away, "ENETUNREACH")
        ip(w, "route add local 10.5.0.0/16 dev lo")
        sh("recv u 9 nowait")
        wants(sh, far_away, "5")


@both
def addresses_that_go(w, sh):
    """An address goes away under its sockets, and comes back."""
    ip(w, "addr add 10.9.9.9/32 dev lo")
    receiver = w.net.udp(9)
    sh("socket u 2 2")
    wants(sh, f"bind u 10.9.9.9 {PORT}", "0")
    wants(sh, "sendto u hello 127.0.0.1 9", "5")
    wants(sh, "sendto u hello 127.0.0.1 9", "5")
    sh("socket l 2 1")
    wants(sh, f"bind l 10.9.9.9 {PORT}", "0")
    wants(sh, "listen l 5", "0")
    ip(w, "addr del 10.9.9.9/32 dev lo")
    sh("sendto u hello 127.0.0.1 9")
    sh("sendto u hello 127.0.0.1 9")
    sh("socket n 2 2")
    wants(sh, f"bind n 10.9.9.9 {PORT}", "EADDRNOTAVAIL")
    sh("getsockname u")
    sh("poll l 1 0")
    ip(w, "addr add 10.9.9.9/32 dev lo")
    wants(sh, "sendto u hello 127.0.0.1 9", "5")
    with w.net.inside():
        peer = w.net.socket()
    peer.connect(("10.9.9.9", PORT))
    sh("accept l c")
    peer.close()
    receiver.close()


# --- Names ---


@test
def lookups_that_hang():
    """A DNS server that never answers: others ask on, and the rest is told."""
    directory = tempfile.TemporaryDirectory(prefix="farsock-test-")
    conf = Path(directory.name) / "farsockd.conf"
    conf.write_text("[link]\nmax-lookups = 3\nlookups = 4\n")
    prefix = with_resolver(Path(directory.name))
    with Far(["--config", conf], prefix=prefix) as far:
        resolver = far.net.udp(53)
        sh, other = far.shell(), far.shell()
        for i in range(3):
            sh.begin(f"q{i}", f"lookup name{i}.example 80 2 1")
        # Two are being asked for, as half of four; the third waits for them.
        asked = [resolver.recvfrom(2000) for _ in range(2)]
        until("three are open", lambda: len(requests(far)) == 3)
        wants(sh, "lookup more.example 80 2 1", "EAI -3")
        wants(sh, "lookup 127.0.0.1 80 2 1", "EAI -3")
        # The other link has its own, and what is no lookup goes on.
        other.begin("q", "lookup other.example 80 2 1")
        query, who = resolver.recvfrom(2000)
        resolver.sendto(no_such_name(query), who)
        check_equal(other.result("q"), "EAI -2")
        wants(sh, "socket s 2 1", "0")
        for query, who in asked:
            resolver.sendto(no_such_name(query), who)
        query, who = resolver.recvfrom(2000)
        resolver.sendto(no_such_name(query), who)
        for i in range(3):
            check_equal(sh.result(f"q{i}"), "EAI -2")
        resolver.close()


@test
def a_lookup_of_each():
    """Names that hang in all threads but one: each further link has a spare one."""
    # Four of farsockd's eight: the rest is for other users.
    directory = tempfile.TemporaryDirectory(prefix="farsock-test-")
    conf = Path(directory.name) / "farsockd.conf"
    conf.write_text("[link]\nlookups = 4\n")
    with Far(["--config", conf], prefix=with_resolver(Path(directory.name))) as far:
        resolver = far.net.udp(53)
        shells = [far.shell() for _ in range(8)]
        asked = []
        # Two of the first link's are three with the second's, and then it is one
        # of each: the eighth finds all threads that are for links at work.
        asking = [shells[0], *shells]
        for i, sh in enumerate(asking):
            sh.begin(f"q{i}", f"lookup name{i}.example 80 2 1")
            if i < 8:
                asked.append(resolver.recvfrom(2000))
        until("all are open", lambda: len(requests(far)) == 9)
        check(shells[7].waits("q8"), "one more than there are threads for")
        check(not select.select([resolver], [], [], 0)[0], "a ninth name is asked for")
        for i in range(9):
            query, who = asked[i]
            resolver.sendto(no_such_name(query), who)
            if i == 0:
                asked.append(resolver.recvfrom(2000))
        for i, sh in enumerate(asking):
            check_equal(sh.result(f"q{i}"), "EAI -2")
        resolver.close()


def requests(far):
    return [r for r in far.dump() if r[0] == "request"]


@test
def late_answers():
    """A near core that leaves its lookups: late answers meet nobody."""
    directory = tempfile.TemporaryDirectory(prefix="farsock-test-")
    with Far(prefix=with_resolver(Path(directory.name))) as far:
        resolver = far.net.udp(53)
        for round_ in range(3):
            sh = far.shell()
            for i in range(4):
                sh.begin(f"q{i}", f"lookup name{i}-{round_}.example 80 2 1")
            asked = [resolver.recvfrom(2000) for _ in range(2)]
            until("all are open", lambda: len(requests(far)) == 4)
            sh.child.kill()
            until("its link ends", lambda: not [r for r in far.dump() if r[0] == "link"])
            # The next near core may get its tags and threads.
            heir = far.shell()
            heir.begin("q", "lookup heir.example 80 2 1")
            query, who = resolver.recvfrom(2000)
            for late, asker in asked:
                resolver.sendto(no_such_name(late), asker)
            check(heir.waits("q"), "an answer of another's")
            resolver.sendto(no_such_name(query), who)
            check_equal(heir.result("q"), "EAI -2")
            heir.child.kill()
        until("descriptors", lambda: descriptors(far.pid) <= far.baseline)
        resolver.close()


if __name__ == "__main__":
    main()
