# Numbers and values in programs.
# SPDX-License-Identifier: MIT
"""A part of the generator: see programs.py."""

import struct

RINGS = (4096, 32768, 262144)
INDEX_BASES = (0, 0xFFFF_F000)  # the second: indexes wrap in every program
MOST_PENDING = 40_000  # bytes on their way to one socket
MOST_STEPS = 26

STREAM, DGRAM, RAW = 1, 2, 3
NONBLOCK_TYPE, CLOEXEC_TYPE = 0x800, 0x80000
INET, INET6 = 2, 10
SOL_IP, SOL_IPV6 = 0, 41
OOB, PEEK, DONTROUTE, TRUNC, DONTWAIT, EOR = 0x1, 0x2, 0x4, 0x20, 0x40, 0x80
WAITALL, CONFIRM, ERRQUEUE, NOSIGNAL, MORE = 0x100, 0x800, 0x2000, 0x4000, 0x8000
WAITFORONE = 0x10000
COMPAT = 1 << 31  # of calls of messages: of a 32-bit program, says the kernel
IN, PRI, OUT, ERR, HUP, NVAL, RDHUP = 1, 2, 4, 8, 0x10, 0x20, 0x2000
FIONREAD, SIOCOUTQ, SIOCATMARK = 0x541B, 0x5411, 0x8905


def hexed(data):
    return data.hex() or "-"


def i32(*numbers):
    return struct.pack(f"<{len(numbers)}i", *numbers).hex()
