# Answers UDP datagrams with their own content.
# SPDX-License-Identifier: MIT
#
# usage: udp_server.py [PORT [COUNT]]     0 datagrams: for ever
#
# Try it with: nc -u ADDRESS 8080
import socket
import sys

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 0


def main():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", PORT))
    print("waiting on", PORT)
    n = 0
    while COUNT == 0 or n < COUNT:
        data, peer = s.recvfrom(65535)
        s.sendto(data, peer)
        print(len(data), "bytes from", peer[0])
        n += 1
    s.close()


main()
