# Timeouts count for the whole call; what cannot be done at once says so.
# SPDX-License-Identifier: MIT

import errno
import select
import socket
import sys
import time

from checks import end, fails, same, true

DRIPPING = int(sys.argv[1])  # sends a byte every 0.1 s
FULL = ("127.0.0.1", int(sys.argv[2]))  # a listener whose backlog is full
EAGAIN, ETIMEDOUT, EINPROGRESS, EALREADY = 11, 110, 115, 114
K230 = len(sys.argv) > 3
NOTHING = b"" if K230 else None


def timed(low, high, error, function, *args):
    start = time.ticks_ms()
    fails(error, function, *args)
    ms = time.ticks_diff(time.ticks_ms(), start)
    true(low <= ms <= high, (function, args, "took", ms, "ms"))


def limit(seconds, *kind):
    s = socket.socket(socket.AF_INET, *kind)
    s.settimeout(seconds)
    return s


def fill(s):
    """Until nothing more goes for a while, also not in the kernel."""
    big = bytes(1 << 18)
    idle = 0
    while idle < 5:
        try:
            s.send(big)
            idle = 0
        except OSError as e:
            same(e.errno, ETIMEDOUT, "send")
            idle += 1


def settings():
    s = socket.socket()
    same(s.gettimeout(), None, "none at first")
    same(s.getblocking(), True, "blocking at first")
    for value, want in ((1.5, 1.5), (3, 3.0), (0, 0.0), (None, None), (0.25, 0.25)):
        s.settimeout(value)
        same(s.gettimeout(), want, value)
        same(s.getblocking(), want != 0.0, value)
    s.settimeout(1e-12)
    true(s.gettimeout() > 0, "as short as may be, but not non-blocking")
    for value in (1e18, float("inf"), 1 << 40, 1 << 70):
        s.settimeout(value)
        true(s.gettimeout() > 1e9, value)
    for value in (-1, -0.001, float("nan"), -(1 << 70), float("-inf")):
        fails(ValueError, s.settimeout, value)
    for value in ("1", b"1", (1,)):
        fails(TypeError, s.settimeout, value)
    s.setblocking(False)
    same(s.gettimeout(), 0.0, "setblocking(False)")
    s.setblocking(True)
    same(s.gettimeout(), None, "setblocking(True)")
    s.close()


def waiting():
    listener = limit(0.1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    timed(90, 400, ETIMEDOUT, listener.accept)
    s = limit(0.1)
    s.connect(listener.getsockname())
    t, _ = listener.accept()
    same(t.gettimeout(), None, "an accepted socket blocks")
    buf = bytearray(4)
    for function, args in (
        (s.recv, (1,)), (s.recv, (1 << 30,)), (s.recvfrom, (1,)), (s.recv_into, (buf,)),
        (s.recvfrom_into, (buf,)), (s.read, (1,)), (s.read, ()), (s.readinto, (buf,)),
        (s.readline, ()), (s.readlines, ()), (s.recv, (4, socket.MSG_WAITALL)),
    ):  # fmt: skip
        timed(90, 400, ETIMEDOUT, function, *args)
    fails(EAGAIN, s.recv, 1, socket.MSG_DONTWAIT)
    fill(s)
    big = bytes(1 << 18)
    timed(90, 400, ETIMEDOUT, s.send, big)
    timed(90, 400, ETIMEDOUT, s.sendall, big)
    timed(90, 400, ETIMEDOUT, s.write, big)
    s.close()
    # SO_RCVTIMEO on a blocking socket means the same.
    span = (0).to_bytes(8, "little") + (100000).to_bytes(8, "little")
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, span)
    timed(90, 400, ETIMEDOUT, u.recv, 1)
    timed(90, 400, ETIMEDOUT, u.read, 1)
    timed(90, 400, ETIMEDOUT, u.recvfrom, 1)
    for x in (t, u, listener):
        x.close()


def whole_call():
    s = limit(0.35)
    s.connect(("127.0.0.1", DRIPPING))
    # A new wait for each byte would take a second.
    timed(340, 700, ETIMEDOUT, s.read, 10)
    timed(340, 700, ETIMEDOUT, s.readline)
    timed(340, 700, ETIMEDOUT, s.readinto, bytearray(10))
    timed(340, 700, ETIMEDOUT, s.read)
    s.close()


def connecting():
    # The handshake is never answered.
    s = limit(0.1)
    timed(90, 400, ETIMEDOUT, s.connect, FULL)
    s.close()
    start = time.ticks_ms()
    fails(ETIMEDOUT, socket.create_connection, FULL, 0.1)
    true(time.ticks_diff(time.ticks_ms(), start) < 400, "create_connection")
    s = limit(0)
    fails(EINPROGRESS, s.connect, FULL)
    fails(EALREADY, s.connect, FULL)
    fails(EAGAIN, s.send, b"x")
    same(s.write(b"x"), None, "write while connecting")
    same(s.read(1), NOTHING, "read while connecting")
    poll = select.poll()
    poll.register(s, select.POLLIN | select.POLLOUT)
    same(poll.poll(50), [], "poll while connecting")
    s.close()


def non_blocking():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    s = limit(0)
    try:
        s.connect(listener.getsockname())
    except OSError as e:
        same(e.errno, EINPROGRESS, "connect")
    t, _ = listener.accept()
    poll = select.poll()
    poll.register(s, select.POLLOUT)
    same(poll.poll(2000), [(s, 4)], "connected")
    poll.modify(s, select.POLLIN)
    buf = bytearray(4)
    for function, args in (
        (s.recv, (1,)), (s.recv, (0,)), (s.recvfrom, (1,)), (s.recv_into, (buf,)),
        (s.recvfrom_into, (buf,)),
    ):  # fmt: skip
        fails(EAGAIN, function, *args)
    same(s.read(), NOTHING, "read()")
    same(s.read(3), NOTHING, "read(3)")
    same(s.read(0), b"", "read(0)")
    same(s.readline(), NOTHING, "readline()")
    same(s.readinto(buf), 0 if K230 else None, "readinto()")
    t.send(b"abc")
    same(poll.poll(2000), [(s, 1)], "data")
    same(s.read(10), b"abc", "read(10) with three")
    t.send(b"ab\ncd")
    poll.poll(2000)
    same(s.readline(), b"ab\n", "a line")
    same(s.readline(), b"cd", "part of a line")
    same(s.readline(), NOTHING, "no line")
    t.send(b"xyz")
    poll.poll(2000)
    same(s.readinto(buf), 3, "readinto() with three")
    t.send(b"xyz")
    poll.poll(2000)
    same(s.read(), b"xyz", "read() what is there")
    big = bytes(1 << 18)
    total = 0
    idle = 0
    while idle < 3:
        n = s.write(big)
        if n is None:
            idle += 1
            time.sleep_ms(100)  # the far core may still take some
        else:
            idle = 0
            total += n
    fails(EAGAIN, s.send, b"x")
    fails(EAGAIN, s.sendall, b"x")
    same(s.write(b"x"), None, "full")
    t.settimeout(5)
    got = 0
    while got < total:
        got += len(t.recv(1 << 16))
    same(got, total, "what write() said went")
    poll.modify(s, select.POLLOUT)
    same(poll.poll(2000), [(s, 4)], "room again")
    t.close()
    poll.modify(s, select.POLLIN)
    same(poll.poll(2000), [(s, 1)], "the end")
    same(s.read(), b"", "the end")
    same(s.read(5), b"", "the end")
    same(s.readline(), b"", "the end")
    same(s.readinto(buf), 0, "the end")
    s.close()
    listener.close()


settings()
if not K230:
    waiting()
    whole_call()
connecting()
non_blocking()
end()
