# Serves many TCP connections at once: sends back every line that comes.
# SPDX-License-Identifier: MIT
#
# usage: asyncio_echo_server.py [PORT [CONNECTIONS]]     0: for ever
#
# Try it with: nc ADDRESS 8080, from several terminals at once.
import asyncio
import sys

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
CONNECTIONS = int(sys.argv[2]) if len(sys.argv) > 2 else 0

done = 0
all_done = asyncio.Event()


async def serve(reader, writer):
    global done
    peer = writer.get_extra_info("peername")
    lines = 0
    while True:
        line = await reader.readline()
        if not line:
            break
        writer.write(line)
        await writer.drain()
        lines += 1
    writer.close()
    await writer.wait_closed()
    print("served", peer[0], lines, "lines")
    done += 1
    if done == CONNECTIONS:
        all_done.set()


async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", PORT)
    print("serving on", PORT)
    await all_done.wait()
    server.close()
    await server.wait_closed()


asyncio.run(main())
