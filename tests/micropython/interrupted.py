# Blocks in one call until the runner's SIGINT, then uses the same socket.
# SPDX-License-Identifier: MIT

import gc
import select
import socket
import sys
import time

NAME, PORT, FULL = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
HOST = "127.0.0.1"


def listener():
    s = socket.socket()
    s.bind((HOST, 0))
    s.listen(5)
    return s


def pair():
    s = listener()
    a = socket.socket()
    a.connect(s.getsockname())
    b = s.accept()[0]
    return a, b


def block(function, *args):
    print("blocks")
    try:
        print("came back with", function(*args))
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted")


def reading(method, *args):
    a, b = pair()
    block(getattr(a, method), *args)
    b.write(b"line\n")
    assert a.read(5) == b"line\n"


def accept():
    s = listener()
    block(s.accept)
    a = socket.socket()
    a.connect(s.getsockname())
    s.accept()


def connect():
    s = socket.socket()
    block(s.connect, (HOST, FULL))
    s.close()


def polling(kind):
    a, b = pair()
    if kind == "poll":
        p = select.poll()
        p.register(a, select.POLLIN)
        block(p.poll)
        b.write(b"x")
        assert p.poll() == [(a, 1)]
    else:
        block(select.select, [a], [], [])
        b.write(b"x")
        assert select.select([a], [], []) == ([a], [], [])
    assert a.read(1) == b"x"


def getaddrinfo():
    block(socket.getaddrinfo, "slow.example.org", 80)
    assert socket.getaddrinfo(HOST, 80)


def sending(method):
    a, b = pair()
    data = bytes(range(256)) * 256
    sent = [0]

    def fill():
        while True:
            if method == "send":
                sent[0] += a.send(data)
            else:
                getattr(a, method)(data)

    block(fill)
    a.shutdown(socket.SHUT_WR)
    got = 0
    while True:
        piece = b.recv(65536)
        if not piece:
            break
        start = got % 256
        assert piece == (data + data)[start : start + len(piece)]
        got += len(piece)
        gc.collect()
    # What an interrupted send() took it says, so that nothing is sent twice.
    if method == "send":
        assert got == sent[0], (got, sent[0])


def asynchronous():
    import asyncio

    a, b = pair()

    async def main():
        a.setblocking(False)
        await asyncio.StreamReader(a).read(5)

    block(asyncio.run, main())
    b.write(b"x")
    a.setblocking(True)
    assert a.read(1) == b"x"


def threads():
    # The exception is the main thread's, whichever the signal strikes.
    import _thread

    a, b = pair()
    c, d = pair()
    results = []

    def run():
        results.append(c.recv(10))
        d.close()

    _thread.start_new_thread(run, ())
    block(a.recv, 1)
    d.write(b"still here")
    while not results:
        time.sleep_ms(5)
    assert c.recv(1) == b""
    assert results == [b"still here"], results


{
    "accept": accept,
    "connect": connect,
    "recv": lambda: reading("recv", 1),
    "recv_into": lambda: reading("recv_into", bytearray(1)),
    "recvfrom": lambda: reading("recvfrom", 1),
    "read": lambda: reading("read"),
    "readinto": lambda: reading("readinto", bytearray(9)),
    "readline": lambda: reading("readline"),
    "poll": lambda: polling("poll"),
    "select": lambda: polling("select"),
    "getaddrinfo": getaddrinfo,
    "send": lambda: sending("send"),
    "sendall": lambda: sending("sendall"),
    "write": lambda: sending("write"),
    "asyncio": asynchronous,
    "threads": threads,
}[NAME]()
print("usable")
