# Connects to a TCP debugging tool, writes ten lines and closes.
# SPDX-License-Identifier: MIT
#
# usage: tcp_client.py [ADDRESS [PORT]]
#
# In place of write() try send(), or at its end recv(4096) or read().
import socket
import sys
import time

HOST = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 60000


def client():
    ai = socket.getaddrinfo(HOST, PORT)
    print("Address infos:", ai)
    addr = ai[0][-1]
    print("Connect address:", addr)

    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    s.connect(addr)
    for i in range(10):
        text = "line %d from the near core\r\n" % i
        print("write:", s.write(text))
        time.sleep(0.2)
    time.sleep(1)
    s.close()
    print("end")


client()
