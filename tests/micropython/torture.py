# Arguments of every wrong kind, for every function and method: TypeError,
# ValueError, OSError or MemoryError, and all works afterwards.
# SPDX-License-Identifier: MIT

import gc
import socket

from checks import end, same, true

HUGE = 1 << 100
VALUES = (
    None, True, -1, 0, 1, 20, 0x7FFFFFFF, 0x80000000, -0x80000000, 0xFFFFFFFF,
    1 << 62, -(1 << 62), (1 << 63) - 1, HUGE, -HUGE, 1.5, -1.0, 1e300,
    float("nan"), float("inf"), "", "x", "a\0b", b"", b"\2\0", bytes(16),
    b"\2\0" + bytes(14), b"\x0a\0" + bytes(26), bytes(128), bytes(129),
    bytearray(3), memoryview(b"abc"), (), (1,), ("", 0), ("", -1), ("", HUGE),
    ("127.0.0.1", 1), (None, None), ("::1", 1, 1, 1), [], ["", 0], {}, {1: 2},
    object(), len, socket,
)  # fmt: skip
FUNCTIONS = (
    "socket", "inet_pton", "inet_ntop", "inet_aton", "inet_ntoa", "htons",
    "htonl", "ntohs", "ntohl", "sockaddr",
)  # fmt: skip
METHODS = (
    "bind", "listen", "accept", "connect", "connect_ex", "send", "sendall",
    "sendto", "recv", "recvfrom", "recv_into", "recvfrom_into", "read",
    "readinto", "readline", "readlines", "write", "setsockopt", "getsockopt",
    "settimeout", "gettimeout", "setblocking", "getblocking", "shutdown",
    "getsockname", "getpeername", "makefile", "fileno", "detach", "close",
    "__enter__", "__exit__",
)  # fmt: skip
calls = 0


def call(function, args):
    global calls
    calls += 1
    try:
        result = function(*args)
        if isinstance(result, socket.socket):
            result.close()
    except (TypeError, ValueError, OSError, MemoryError):
        pass
    except Exception as e:
        true(False, (function, args, e))


def arguments():
    yield ()
    for v in VALUES:
        yield (v,)
    for v in VALUES:
        for w in (None, -1, 0, 1, 20, HUGE, b"x", "x", bytearray(2), ("", 0)):
            yield (v, w)
            yield (w, v)
    for v in VALUES:
        yield (1, 2, v)
        yield (1, v, 1)
        yield (v, 2, 1)
        yield (bytearray(4), v, 0)
        yield (b"abcd", 0, v)
        yield (1, 13, v)
        yield (0, 35, v)
        yield (1, 2, 3, v)
        yield (1, 2, 3, 4, v)


def non_blocking():
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        s = socket.socket(socket.AF_INET, kind)
        s.setblocking(False)
        yield s
    s = socket.socket(socket.AF_INET6)
    s.close()
    yield s


for name in FUNCTIONS:
    for args in arguments():
        call(getattr(socket, name), args)
for args in arguments():
    # Not what goes to the resolver: that is api.py's.
    if not args or not isinstance(args[0], (str, bytes)):
        if args[:1] != (None,):
            call(socket.getaddrinfo, args)
    call(socket.getnameinfo, args[:1] if isinstance(args[:1], int) else ())
for name in METHODS:
    for s in non_blocking():
        for args in arguments():
            call(getattr(s, name), args)
            if s.fileno() < 0 and name in ("detach", "close", "__exit__"):
                break
            if name in ("settimeout", "setblocking") and s.fileno() >= 0:
                s.setblocking(False)
        s.close()
gc.collect()

a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
a.bind(("127.0.0.1", 0))
for size in (1 << 30, 1 << 40, 1 << 61):
    a.sendto(b"fits", a.getsockname())
    same(a.recv(size), b"fits", size)
a.setblocking(False)
for size in (1 << 62, 1 << 63, 1 << 200, -1):
    call(a.recv, (size,))
    call(a.read, (size,))
    call(a.recv, (size, socket.MSG_WAITALL))
print("calls:", calls)
end()
