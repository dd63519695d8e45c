#!/usr/bin/python3
# Nothing wakes while nothing happens, and nothing goes past the link.
# SPDX-License-Identifier: MIT

import os
import re
import time
from pathlib import Path

from content import Content, make_pool
from harness import (
    BUILD,
    MICROPYTHON,
    NONCOHERENT,
    SANITIZED,
    TOP,
    Far,
    asleep,
    check,
    check_equal,
    in_thread,
    main,
    program,
    receive_all,
    skip,
    test,
    until,
)
from oracle import PORT, connected, wants

QUIET_S = 2
COUNTERS = slice(11, 21)  # of a link in farsock dump

POLLING = """
import select, socket, sys
s = socket.socket()
s.connect(("127.0.0.1", int(sys.argv[1])))
poller = select.poll()
poller.register(s, select.POLLIN)
print("polling")
poller.poll()
print(s.recv(10))
"""

ASYNCIO = """
import asyncio, sys
async def client(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    print("reading")
    print(await reader.read(10))
async def main():
    await asyncio.gather(client(int(sys.argv[1])), client(int(sys.argv[1])))
asyncio.run(main())
"""

RECEIVING = """
import socket, sys
s = socket.socket()
s.connect(("127.0.0.1", int(sys.argv[1])))
print("receiving")
print(s.recv(10))
"""


def switches(pid):
    """How often the threads of a process slept, all together."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        total += int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status.read_text(), re.M)[1])
    return total


def settle(pids):
    """The emulator's threads go on for a while after the last access."""
    seen, since = None, 0

    def settled():
        nonlocal seen, since
        now = [switches(pid) for pid in pids]
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > 0.3

    until("the emulator sleeps", settled)


def check_quiet(far, *pids):
    """Over a period, no process wakes and no counter of the link moves."""
    pids = (far.pid, *pids)

    def counters():
        rows = [row[COUNTERS] for row in far.dump() if row[0] == "link"]
        until("everybody sleeps", lambda: all(asleep(pid) for pid in pids))
        if NONCOHERENT:
            settle(pids)
        return rows

    before_rows = counters()
    check(before_rows, "no link")
    before = [switches(pid) for pid in pids]
    time.sleep(QUIET_S)  # the period itself
    check_equal([switches(pid) for pid in pids], before, "wake-ups")
    check_equal(counters(), before_rows, "counters")


@test
def idle_c_program():
    """An idle link with open sockets and calls that wait wakes nobody."""
    if SANITIZED:
        skip("a sanitizer's own threads wake")
    with Far() as far:
        sh = far.shell()
        peers = [connected(far, sh, f"c{i}") for i in range(20)]
        wants(sh, "socket l 2 1", "0")
        wants(sh, "listen l 1", "0")
        sh.begin("a", "accept l x")
        sh.begin("r", "recv c1 10")
        sh.begin("p", "pollmany c 20 1 -1")
        wants(sh, "ping", "0")
        until("the calls wait", lambda: asleep(sh.pid))
        check_quiet(far, sh.pid)
        peers[0].sendall(b"x")
        check_equal(sh.result("p"), "1 0:0x1")


@test
def idle_unreliable_link():
    """A link whose doorbells may get lost has no timer without an open socket."""
    if BUILD.name == "san-thread":
        skip("the sanitizer's own thread in farsockd wakes")
    with Far() as far:
        sh = far.shell(LINK_LIKE="rescue")
        connected(far, sh)
        wants(sh, "close c", "0")
        check_quiet(far, far.pid, sh.pid)


def idle_script(text, ready, count):
    if BUILD.name == "san-thread":
        skip("the sanitizer's own thread in farsockd wakes")
    with Far() as far:
        path = far.dir / "script.py"
        path.write_text(text)
        listener = far.net.listener(PORT)
        near = far.micropython(path, PORT)
        peers = [listener.accept()[0] for _ in range(count)]
        for _ in range(count):
            near.expect(ready)
        until("the script waits", lambda: asleep(near.pid))
        check_quiet(far, near.pid)
        for peer in peers:
            peer.sendall(b"woken")
        check_equal(near.end(), ["b'woken'"] * count)


@test
def idle_receive():
    """A script that waits in recv() wakes nobody."""
    idle_script(RECEIVING, "receiving", 1)


@test
def idle_poll():
    """A script that waits in poll() wakes nobody."""
    idle_script(POLLING, "polling", 1)


@test
def idle_asyncio():
    """A script that waits in asyncio wakes nobody."""
    idle_script(ASYNCIO, "reading", 2)


LINK_FAR = slice(16, 21)  # the part of COUNTERS that farsockd counts


def far_doorbells(far):
    return [int(row[LINK_FAR][1]) for row in far.dump() if row[0] == "link"][0]


@test
def looking_before_a_sleep():
    """Who may look for a while before a sleep needs no doorbell of farsockd's."""
    rounds = 50
    with Far() as far:
        sh = far.shell(FARSOCK_BUSY_POLL="1000000")
        peer = connected(far, sh)
        before = far_doorbells(far)
        for _ in range(rounds):
            sh.begin("r", "recv c 10")
            wants(sh, "send c ping", "4")
            check_equal(peer.recv(10), b"ping")
            peer.sendall(b"pong")
            check_equal(sh.result("r"), "4 pong")
        rung = far_doorbells(far) - before
        check(rung < rounds / 5, f"{rung} doorbells in {rounds} round trips")


def processor_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@test
def looking_in_vain():
    """Looks that find nothing become rare: what they take stays little."""
    waits, look_ms = 60, 20
    with Far() as far:
        sh = far.shell(FARSOCK_BUSY_POLL=str(1000 * look_ms))
        peer = connected(far, sh, "c0")
        before = processor_s(sh.pid)
        for _ in range(waits):
            wants(sh, f"pollmany c 1 1 {look_ms + 5}", "0")
        took = processor_s(sh.pid) - before
        check(took < waits * look_ms / 1000 / 3, f"{took} s in {waits} waits")
        peer.close()


# Calls that have to do with a network; those on the link's own Unix socket
# name no address family of a network.
NETWORK = re.compile(r"AF_(?!UNIX|LOCAL|UNSPEC)\w+|sin6?_port|SOL_(IP|TCP|UDP)|IPPROTO_")
UNEXPECTED = re.compile(r"^\d*\s*(bind|listen|accept4?|getpeername|getsockname)\(")


def check_trace(far, near_command):
    trace = far.dir / "trace"
    env = {"ASAN_OPTIONS": "detect_leaks=0"} if SANITIZED else {}
    near = far.near(
        "strace", "-f", "-q", "-e", "trace=%network", "-o", trace, *near_command, **env
    )
    out = near.end()
    lines = trace.read_text().splitlines()
    check(any("connect(" in line and "AF_UNIX" in line for line in lines), lines)
    bad = [l for l in lines if NETWORK.search(l) or UNEXPECTED.search(l)]
    check_equal(bad[:3], [], "network system calls")
    return out


@test
def no_network_calls_from_a_script():
    """strace of a script shows no network system call."""
    with Far() as far:
        listener = far.net.listener(60000)
        taken = in_thread(lambda: receive_all(listener.accept()[0]))
        check_trace(far, [MICROPYTHON, TOP / "examples/tcp_client.py"])
        check(taken().startswith(b"line 0"))
        check_trace(far, [MICROPYTHON, TOP / "examples/udp_client.py", "127.0.0.1", 9, 0])


@test
def no_network_calls_from_a_program():
    """strace of a C program shows no network system call."""
    with Far() as far:
        pool = make_pool(far.dir / "pool", 1)
        listener = far.net.listener(PORT)

        def peer():
            s = listener.accept()[0]
            sender = in_thread(Content(pool, 1).send, s, 1 << 20)
            Content(pool, 0).take(s, 1 << 20)
            return sender()

        join = in_thread(peer)
        check_trace(
            far,
            [program("stream"), "far", "connect", "127.0.0.1", PORT, far.dir / "pool",
             1, 1 << 20, 65536, 65536],
        )  # fmt: skip
        join()


if __name__ == "__main__":
    main()
