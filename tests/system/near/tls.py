# A TLS server that sends back what comes, and its client.
# SPDX-License-Identifier: MIT
#
# usage: tls.py server|client PORT; server.der, server.key.der and ca.der are in
# the current directory.
import socket
import ssl
import sys

BLOCK = bytes(i * 11 & 255 for i in range(40001))


def content(name):
    with open(name, "rb") as f:
        return f.read()


def address(port):
    return socket.getaddrinfo("127.0.0.1", port)[0][-1]


def server(port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(content("server.der"), content("server.key.der"))
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(address(port))
    s.listen(1)
    print("ready")
    conn, _ = s.accept()
    conn = context.wrap_socket(conn, server_side=True)
    print(conn.readline())
    for _ in range(5):
        conn.write(conn.read(len(BLOCK)))
    conn.close()
    s.close()
    print("end")


def client(port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(content("ca.der"))
    s = socket.socket()
    s.connect(address(port))
    s = context.wrap_socket(s, server_hostname="localhost")
    s.write(b"hello\n")
    for _ in range(5):
        s.write(BLOCK)
        assert s.read(len(BLOCK)) == BLOCK
    print("end", s.read(1))
    s.close()


if sys.argv[1] == "server":
    server(int(sys.argv[2]))
else:
    client(int(sys.argv[2]))
