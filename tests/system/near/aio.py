# An asyncio server and twenty asyncio clients at once.
# SPDX-License-Identifier: MIT
#
# usage: aio.py server|client PORT
import asyncio
import sys

CLIENTS = 20
BLOCK = bytes(range(256)) * 100
done = asyncio.Event()
served = 0


async def serve(reader, writer):
    global served
    while True:
        head = await reader.readline()
        if not head:
            break
        data = await reader.readexactly(int(head))
        writer.write(b"%d\n" % len(data))
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()
    served += 1
    if served == CLIENTS:
        done.set()


async def server(port):
    s = await asyncio.start_server(serve, "127.0.0.1", port, 30)
    print("ready")
    await done.wait()
    s.close()
    await s.wait_closed()
    print("served", served)


async def one(port, number):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for turn in range(10):
        data = BLOCK[number : number + 1000 * turn]
        writer.write(b"%d\n" % len(data))
        writer.write(data)
        await writer.drain()
        assert int(await reader.readline()) == len(data)
        assert await reader.readexactly(len(data)) == data
    writer.close()
    await writer.wait_closed()
    return number


async def client(port):
    numbers = await asyncio.gather(*(one(port, i) for i in range(CLIENTS)))
    print("clients", sum(numbers))


if sys.argv[1] == "server":
    asyncio.run(server(int(sys.argv[2])))
else:
    asyncio.run(client(int(sys.argv[2])))
