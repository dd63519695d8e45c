# Sends UDP datagrams and prints the answers; a lost one is sent again.
# SPDX-License-Identifier: MIT
#
# usage: udp_client.py [ADDRESS [PORT [COUNT]]]
import errno
import socket
import sys

HOST = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 60000
COUNT = int(sys.argv[3]) if len(sys.argv) > 3 else 5
TRIES = 3


def ask(s, addr, text):
    for _ in range(TRIES):
        s.sendto(text, addr)
        try:
            return s.recvfrom(1500)
        except OSError as e:
            if e.errno != errno.ETIMEDOUT:
                raise
    return None


def main():
    addr = socket.getaddrinfo(HOST, PORT, 0, socket.SOCK_DGRAM)[0][-1]
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(1)
    for i in range(COUNT):
        answer = ask(s, addr, "datagram %d" % i)
        if answer:
            print("answer:", answer[0], "from", answer[1])
        else:
            print("no answer")
    s.close()


main()
