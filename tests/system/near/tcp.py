# A TCP server that sends back what comes, and its client.
# SPDX-License-Identifier: MIT
#
# Runs over a link and over MicroPython's own sockets, so addresses are only
# handed on, never looked at. usage: tcp.py server|client PORT
import socket
import sys

BLOCK = bytes(i * 7 & 255 for i in range(10007))
BLOCKS = 100
NODELAY = (6, 1, 1)  # not waiting for acknowledgements; no constant natively


def address(port):
    return socket.getaddrinfo("127.0.0.1", port)[0][-1]


def send_all(s, data):
    view = memoryview(data)
    while view:
        view = view[s.send(view) :]


def server(port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(address(port))
    s.listen(3)
    print("ready")
    for _ in range(3):
        conn, _ = s.accept()
        conn.setsockopt(*NODELAY)
        name = conn.readline()
        total = 0
        while True:
            data = conn.recv(5000)
            if not data:
                break
            send_all(conn, data)
            total += len(data)
        conn.close()
        print(name, total)
    s.close()


def client(port):
    for kind in ("read", "readinto", "recv"):
        s = socket.socket()
        s.connect(address(port))
        s.setsockopt(*NODELAY)
        s.write("connection %s\n" % kind)
        for i in range(BLOCKS):
            # The whole of it fits no buffer: the answer must be taken between.
            s.write(BLOCK)
            if kind == "read":
                got = s.read(len(BLOCK))
            elif kind == "readinto":
                got = bytearray(len(BLOCK))
                assert s.readinto(got) == len(BLOCK)
            else:
                got = b""
                while len(got) < len(BLOCK):
                    got += s.recv(len(BLOCK) - len(got))
            assert got == BLOCK, (kind, i)
        s.close()
        print(kind, "fine")
    while True:
        s = socket.socket()
        try:
            s.connect(address(port))
        except OSError as e:
            # One that the closing listener had completed is reset.
            if e.errno != 104:
                print("refused", e.errno)
                break
        s.close()


if sys.argv[1] == "server":
    server(int(sys.argv[2]))
else:
    client(int(sys.argv[2]))
