# The content of content.h, made and checked by the native side.
# SPDX-License-Identifier: MIT

import hashlib
import random
import struct

POOL_SPAN = 1 << 20
PIECE = 65536
POOL_STEP = 40503
SMALL_MAX, LARGE_MAX, DGRAM_COST = 1472, 65507, 1024


def make_pool(path, seed):
    pool = random.Random(seed).randbytes(POOL_SPAN + PIECE)
    path.write_bytes(pool)
    return pool


class Content:
    def __init__(self, pool, stream):
        self.pool = memoryview(pool)
        self.stream = stream

    def part(self, piece, length):
        start = (piece * POOL_STEP + self.stream) % POOL_SPAN
        return self.pool[start : start + length]

    def head(self, piece):
        return struct.pack("<Q", self.stream << 40 | piece)

    def pieces(self, length):
        """The stream's first length bytes, piece by piece."""
        for piece in range((length + PIECE - 1) // PIECE):
            data = self.head(piece) + self.part(piece, PIECE - 8)
            yield data[: length - piece * PIECE]

    def sum(self, length):
        digest = hashlib.sha256()
        for data in self.pieces(length):
            digest.update(data)
        return digest.hexdigest()

    def send(self, s, length):
        """Send it and end the stream; the sum."""
        digest = hashlib.sha256()
        for data in self.pieces(length):
            s.sendall(data)
            digest.update(data)
        s.shutdown(1)
        return digest.hexdigest()

    def take(self, s, length):
        """Take the stream to its end; the sum, or where it is wrong."""
        digest = hashlib.sha256()
        buffer = bytearray(PIECE)
        view = memoryview(buffer)
        position = 0
        for data in self.pieces(length):
            got = 0
            while got < len(data):
                n = s.recv_into(view[got : len(data)])
                if n == 0:
                    raise AssertionError(f"the stream ends at {position + got}")
                got += n
            if view[:got] != data:
                first = next(i for i in range(got) if buffer[i] != data[i])
                raise AssertionError(f"the stream is wrong at {position + first}")
            digest.update(data)
            position += got
        if s.recv(1):
            raise AssertionError(f"the stream goes on beyond {position}")
        return digest.hexdigest()


class Datagrams:
    """Numbered datagrams: first small ones, then large ones."""

    def __init__(self, pool, stream, small, large):
        self.content = Content(pool, stream)
        self.small = small
        self.count = small + large

    def size(self, i):
        largest = SMALL_MAX if i < self.small else LARGE_MAX
        return (i * 2654435761 % (1 << 32) >> 8) % (largest + 1)

    def make(self, i):
        length = self.size(i)
        head = self.content.head(i)[:length]
        return head + self.content.part(i, length - len(head))

    def send(self, s, address, window, arrived):
        """arrived() waits, and returns how many have arrived."""
        under_way = 0
        known = 0
        for i in range(self.count):
            data = self.make(i)
            while known < i and under_way + len(data) + DGRAM_COST > window:
                now = arrived()
                for k in range(known, now):
                    under_way -= self.size(k) + DGRAM_COST
                known = now
            if s.sendto(data, address) != len(data):
                raise AssertionError(f"datagram {i} was cut")
            under_way += len(data) + DGRAM_COST
        while known < self.count:
            known = arrived()

    def take(self, s, arrived):
        """Calls arrived(n) after each; raises at the first that is wrong."""
        for i in range(self.count):
            data = s.recv(65536)
            if data != self.make(i):
                raise AssertionError(
                    f"datagram {i} of {self.size(i)} bytes is not the one of "
                    f"{len(data)} bytes that came"
                )
            arrived(i + 1)
