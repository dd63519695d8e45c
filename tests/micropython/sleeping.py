# Waits in ways that must not wake while nothing happens.
# SPDX-License-Identifier: MIT

import _thread
import asyncio
import select
import socket
import sys

a = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
b = socket.create_connection(("127.0.0.1", int(sys.argv[1])))


async def echo():
    a.setblocking(False)
    await asyncio.StreamReader(a).readexactly(2)


def polls():
    poll = select.poll()
    poll.register(a, select.POLLIN)
    poll.register(sys.stdin, select.POLLIN)
    poll.poll()
    a.read(2)


print("sleeps")
if sys.argv[2] == "poll":
    polls()
elif sys.argv[2] == "asyncio":
    asyncio.run(echo())
elif sys.argv[2] == "recv":
    a.read(2)
else:
    _thread.start_new_thread(b.read, (2,))
    polls()
print("woke")
