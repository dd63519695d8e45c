# farsockd dies and comes back under a running script.
# SPDX-License-Identifier: MIT

import select
import socket
import sys

from checks import end, fails, same, true

a = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
blocked = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
a.send(b"hello")
poll = select.poll()
poll.register(a, select.POLLIN)
same(poll.poll(5000), [(a, 1)], "data")
numbers = a.fileno(), blocked.fileno()
print("kill")
fails(104, blocked.recv, 1)
same(a.recv(5), b"hello", "what had arrived")
fails(104, a.recv, 1)
same(a.recv(1), b"", "then the end")
flags = poll.poll(0)[0][1]
true(flags & select.POLLHUP, flags)
fails(100, socket.socket)
fails(100, socket.getaddrinfo, "127.0.0.1", 1)
print("restart")
sys.stdin.readline()
b = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
b.sendall(b"again")
same(b.read(5), b"again", "a new link")
true(b.fileno() not in numbers, "a number of its own")
poll.register(b, select.POLLIN)
same(len(poll.poll(1000)), 1, "both links in one poll")
a.close()
same(poll.poll(0), [(a, 0x20)], "closed")
poll.unregister(a)
same(poll.poll(50), [], "the new one sleeps")
# A poll that watches a terminal or a pipe beside the link sees the death, too.
poll.register(sys.stdin, select.POLLIN)
print("kill again")
flags = [f for o, f in poll.poll(5000) if o is b]
true(flags and flags[0] & select.POLLHUP, flags)
blocked.close()
b.close()
end()
