# A UDP server that sends back what comes, and its client.
# SPDX-License-Identifier: MIT
#
# usage: udp.py server|client PORT
import select
import socket
import sys

SIZES = (0, 1, 100, 1472, 1473, 9000, 65507)


def address(port):
    return socket.getaddrinfo("127.0.0.1", port, 0, socket.SOCK_DGRAM)[0][-1]


def server(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(address(port))
    print("ready")
    while True:
        data, peer = s.recvfrom(70000)
        if data == b"end":
            break
        assert s.sendto(data, peer) == len(data)
    s.sendto(b"ended", peer)
    print("end")


def client(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    poller = select.poll()
    poller.register(s, select.POLLIN)
    assert not poller.poll(0)
    for turn in range(20):
        for size in SIZES:
            data = bytes((size + turn) & 255 for _ in range(size))
            assert s.sendto(data, address(port)) == size
            assert poller.poll(10000), "no answer"
            got, _ = s.recvfrom(70000)
            assert got == data, size
    s.sendto(b"end", address(port))
    print(s.recvfrom(100)[0])
    s.setblocking(False)
    try:
        s.recvfrom(10)
    except OSError as e:
        print("empty", e.errno)


if sys.argv[1] == "server":
    server(int(sys.argv[2]))
else:
    client(int(sys.argv[2]))
