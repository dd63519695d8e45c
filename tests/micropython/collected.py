# Sockets that nobody holds are closed by a collection; their peers see it.
# SPDX-License-Identifier: MIT

import gc
import socket
import sys

PORT, COUNT = int(sys.argv[1]), int(sys.argv[2])


def drop_one():
    s = socket.socket()
    s.connect(("127.0.0.1", PORT))
    s.send(b"last words")


def drop_many():
    many = []
    for _ in range(COUNT):
        s = socket.socket()
        s.connect(("127.0.0.1", PORT))
        many.append(s)
    print("open", len(many))
    sys.stdin.readline()


def clear_stack(n):
    # A stale pointer on the C stack would keep a socket.
    return [None] * 50 if n == 0 else clear_stack(n - 1)


drop_one()
clear_stack(20)
gc.collect()
print("dropped one")
sys.stdin.readline()
drop_many()
clear_stack(20)
gc.collect()
print("dropped")
sys.stdin.readline()
# More sockets than a link has: what is unreachable makes room by itself.
for i in range(3000):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print("made 3000")
