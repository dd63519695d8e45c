#!/usr/bin/python3
# Every byte arrives, once and in order: streams and datagrams at full load.
# SPDX-License-Identifier: MIT
# timeout: 1800

import socket

from content import Content, Datagrams, make_pool
from harness import (
    LONG,
    SANITIZED,
    Far,
    check,
    check_equal,
    in_thread,
    main,
    program,
    test,
)

MIB = 1 << 20
# A tenth of the size by default, less where a sanitizer slows everything down.
ONE = 1024 * MIB if LONG else 100 * MIB if not SANITIZED else 16 * MIB
FEWER = 4 if SANITIZED else 1
EACH = 10 * MIB if LONG else MIB // FEWER
SMALL, LARGE = (450_000, 50_000) if LONG else (45_000 // FEWER, 5_000 // FEWER)
NEARLY_WRAPPED = 0xFFFF0000
SMALL_RING = 4096
PORT = 5001
WINDOW = 100_000  # bytes of datagrams under way; the kernel's buffers hold more


def serve_stream(pool, s, number, length):
    """Both directions of connection number at once; both sums."""
    with s:
        sender = in_thread(Content(pool, 2 * number + 1).send, s, length)
        taken = Content(pool, 2 * number).take(s, length)
        return taken, sender()


def exchange(far, role, connections, length, write, read, mode="far"):
    """One run of stream.c against native sockets; all sums must agree."""
    pool_path = far.dir / "pool"
    pool = make_pool(pool_path, seed=length + connections)
    arguments = [pool_path, connections, length, write, read]
    if role == "connect":
        listener = far.net.listener(PORT)
        near = far.near(program("stream"), mode, role, "127.0.0.1", PORT, *arguments)
        peers = [listener.accept()[0] for _ in range(connections)]
        listener.close()
    else:
        near = far.near(program("stream"), mode, role, "127.0.0.1", PORT, *arguments)
        near.expect("ready")
        peers = [far.net.connect(PORT) for _ in range(connections)]
    for s in peers:
        s.settimeout(None)
    joins = [
        in_thread(serve_stream, pool, s, i, length) for i, s in enumerate(peers)
    ]
    lines = near.end(status=None)
    sums = [join() for join in joins]
    check_equal(near.process.returncode, 0, "the near program's status")
    check_equal(len(lines), connections, "lines")
    for i, line in enumerate(lines):
        number, sent, taken = line.split()
        check_equal(int(number), i)
        check_equal(sent, sums[i][0], f"sum of what connection {i} sent")
        check_equal(taken, sums[i][1], f"sum of what connection {i} took")
        check_equal(sent, Content(pool, 2 * i).sum(length), "the seed's sum")


@test
def one_connection():
    """A connection carries a tenth of 1 GiB (all of it in full) each way at once."""
    with Far() as far:
        exchange(far, "connect", 1, ONE, 65536, 65536)


@test
def one_accepted_connection_with_large_calls():
    """An accepted connection carries writes and reads larger than the rings."""
    with Far() as far:
        exchange(far, "accept", 1, ONE // 4, 3 * MIB + 1, 2 * MIB + 3)


@test
def hundred_connections():
    """A hundred connections carry data at once, each its own."""
    with Far() as far:
        exchange(far, "connect", 100, EACH, 32768, 32768)


@test
def hundred_accepted_connections():
    """A hundred accepted connections carry data at once, each its own."""
    with Far() as far:
        exchange(far, "accept", 100, EACH, 50_000, 30_000)


@test
def one_byte_reads():
    """Reads of one byte see every byte."""
    with Far() as far:
        exchange(far, "connect", 1, 2 * MIB // FEWER, 65536, 1)


@test
def one_byte_writes():
    """Writes of one byte arrive, every one."""
    with Far() as far:
        exchange(far, "connect", 1, MIB // FEWER, 1, 65536)


@test
def wrapping_indexes():
    """Indexes that wrap past 2^32 lose nothing, with small rings and odd sizes."""
    with Far() as far:
        mode = f"far:{NEARLY_WRAPPED}:{SMALL_RING}"
        exchange(far, "connect", 1, 4 * MIB, 4097, 1021, mode)
        exchange(far, "accept", 10, MIB // 2, 10_007, 4099, mode)
        exchange(far, "connect", 2, MIB, 65536, 65536, f"far:{NEARLY_WRAPPED}")


def near_sends(far, small, large, mode="far"):
    pool = make_pool(far.dir / "pool", seed=7)
    s = far.net.udp(PORT)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
    near = far.near(
        program("dgram"), mode, "send", "127.0.0.1", PORT, far.dir / "pool",
        6, small, large, WINDOW,
    )  # fmt: skip
    Datagrams(pool, 6, small, large).take(s, lambda n: near.write(f"{n}\n"))
    check_equal(near.end(), [])
    s.settimeout(0.2)
    try:
        check(not s.recv(65536), "one more datagram came")
    except TimeoutError:
        pass


def near_takes(far, small, large, mode="far"):
    pool = make_pool(far.dir / "pool", seed=8)
    near = far.near(
        program("dgram"), mode, "take", "127.0.0.1", PORT, far.dir / "pool",
        9, small, large, WINDOW,
    )  # fmt: skip
    near.expect("ready")
    Datagrams(pool, 9, small, large).send(
        far.net.udp(),
        ("127.0.0.1", PORT),
        WINDOW,
        lambda: int(near.expect(r"^\d+$")[0]),
    )
    check_equal(near.end(), [])


@test
def datagrams_sent():
    """Datagrams that the near core sends arrive once, whole and in order."""
    with Far() as far:
        near_sends(far, SMALL, LARGE)


@test
def datagrams_taken():
    """Datagrams that the near core takes arrive once, whole and in order."""
    with Far() as far:
        near_takes(far, SMALL, LARGE)


@test
def datagrams_in_wrapping_rings():
    """Datagrams lose nothing in rings that wrap, whose indexes wrap as well."""
    with Far() as far:
        mode = f"far:{NEARLY_WRAPPED}:{SMALL_RING}"
        near_sends(far, 4000, 0, mode)
        near_takes(far, 4000, 0, mode)
        mode = f"far:{NEARLY_WRAPPED}:{2 * 65536}"
        near_sends(far, 500, 500, mode)
        near_takes(far, 500, 500, mode)


@test
def datagrams_larger_than_the_rings():
    """Datagrams larger than the rings stream through them."""
    with Far() as far:
        mode = f"far:{NEARLY_WRAPPED}:{SMALL_RING}"
        near_takes(far, 20, 200, mode)
        near_sends(far, 20, 200, mode)


if __name__ == "__main__":
    main()
