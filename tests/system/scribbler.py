# A near core that writes anything anywhere in its memory, all the time.
# SPDX-License-Identifier: MIT
#
# usage: scribbler.py LINK SEED; until something is to be read. Prints how often
# farsockd ended its link, after each life and in the end.

import mmap
import os
import random
import select
import socket
import struct
import sys

import linkup

ONE = struct.pack("<Q", 1)
LIFE = 100  # times some hundred words, until it hangs up by itself
KEEP, WILD = 0.7, 0.02  # of what is written: nearly good, anywhere at all


def scribble(near, rng, words):
    """Some hundred words, of which most lie where farsockd looks. Without an
    index it lets the message ring's own alone, and lives longer."""
    m, size, hot, index = words
    for _ in range(300):
        kind = rng.random()
        if kind < WILD:
            at = rng.randrange(size // 4) * 4
        else:
            at = rng.randrange(hot // 4) * 4
        if kind < KEEP:  # an index that moved, a small number
            old = struct.unpack_from("<I", m, at)[0]
            new = old + rng.choice((8, 16, 24, 64, 1, -8)) & 0xFFFFFFFF
            new = rng.choice((new, rng.randrange(32)))
        else:
            new = rng.getrandbits(32)
        if index or at != linkup.PART_HEADER:
            struct.pack_into("<I", m, at, new)
        if index and kind < KEEP / 2:  # more messages are there
            index[0] = index[0] + rng.randrange(1, 8) * 8 & 0xFFFFFFFF
            struct.pack_into("<I", m, linkup.PART_HEADER, index[0])
    for fd in near.welcome.fds[1:]:
        try:
            os.write(fd, ONE)
        except BlockingIOError:
            pass


def live(path, rng):
    """One link, to its end. True if farsockd ended it."""
    with linkup.Near(path, sockets=8, tx_ring=2048, rx_ring=2048) as near:
        size = near.welcome.region_bytes
        near.socket.setblocking(False)
        with mmap.mmap(near.welcome.fds[0], size) as m:
            # Control, lines and messages; a wild one goes to far's part, too.
            words = (m, size, min(size, 4096), rng.choice(([0], [])))
            for _ in range(LIFE):
                if select.select([sys.stdin], [], [], 0)[0]:
                    break
                scribble(near, rng, words)
                try:
                    if near.socket.recv(1) == b"":
                        return True
                except BlockingIOError:
                    pass
                except ConnectionResetError:
                    return True
    return False


def main():
    path, seed = sys.argv[1:]
    rng = random.Random(int(seed))
    resets = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        try:
            resets += live(path, rng)
            print(f"again {resets}", flush=True)
        except (OSError, socket.timeout):
            pass
    print(f"resets {resets}", flush=True)


main()
