# Accepts TCP connections one after another and sends back what comes.
# SPDX-License-Identifier: MIT
#
# usage: tcp_server.py [PORT [CONNECTIONS]]     0 connections: for ever
#
# Try it with: nc ADDRESS 8080
import socket
import sys

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
CONNECTIONS = int(sys.argv[2]) if len(sys.argv) > 2 else 0


def serve(conn, peer):
    total = 0
    while True:
        data = conn.recv(4096)
        if not data:
            break
        conn.sendall(data)
        total += len(data)
    conn.close()
    print("served", peer[0], total, "bytes")


def main():
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("0.0.0.0", PORT))
    s.listen(5)
    print("listening on", PORT)
    served = 0
    while CONNECTIONS == 0 or served < CONNECTIONS:
        conn, peer = s.accept()
        serve(conn, peer)
        served += 1
    s.close()


main()
