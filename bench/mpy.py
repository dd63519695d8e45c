# What stream.c and trip.c do, for MicroPython.
# SPDX-License-Identifier: MIT
#
#   mpy.py write|read|trip PORT SIZE

import socket
import struct
import sys
import time


def command(s, what, count):
    s.write(struct.pack("QQ", ord(what), count))


def write(s, n, block):
    command(s, "w", n * len(block))
    for _ in range(n):
        s.write(block)
    s.recv(1)


def read(s, n, block):
    command(s, "r", n * len(block))
    for _ in range(n):
        s.readinto(block)


def trip(s, n, block):
    command(s, "p", n)
    times = {}
    for _ in range(n):
        start = time.time_ns()
        s.send(b"x")
        s.recv(1)
        tenth = (time.time_ns() - start) // 100  # us
        times[tenth] = times.get(tenth, 0) + 1
    return times


work = {"write": write, "read": read, "trip": trip}[sys.argv[1]]
s = socket.socket()
s.connect(socket.getaddrinfo("127.0.0.1", int(sys.argv[2]))[0][-1])
s.setsockopt(6, 1, 1)  # TCP_NODELAY
block = bytearray(int(sys.argv[3]))
print("ready")
while True:
    line = sys.stdin.readline()
    if not line:
        break
    n = int(line)
    start = time.time_ns()
    times = work(s, n, block) or {}
    ns = time.time_ns() - start
    print(ns, n, 0, *("%d:%d" % (t * 100, c) for t, c in times.items()))
