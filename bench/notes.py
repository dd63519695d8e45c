# Where the time goes of what does not reach its goal, for the report.
# SPDX-License-Identifier: MIT

import re

COPY = (
    "Each byte is copied twice on the way, natively once: here by the near program "
    "{near} and by farsockd's kernel {far}. "
)
TURNS = "On one core farsockd and the near program also take turns: two switches for a ring."

# The first whose pattern is found in "placement: name" is told.
NOTES = (
    (
        r"doorbells per MiB$",
        "A side that has nothing to do sleeps, and is rung for each piece that it waits "
        "for: the faster one waits for the slower. On one core that is twice for a ring, "
        "by the floor, too (its own doorbells are in its column): near sleeps when the ring "
        "is full, farsockd when it is empty. Who sleeps for room is rung when a third is "
        "free, not at the first byte; the rest is the ring's size, which is memory of every "
        "socket. Whom farsockd wakes goes before it, so on one core near sleeps again sooner; "
        "gained: up to 192 KiB in one turn to the peer make a third less of that. Tried: to "
        "publish what is written every 64 KiB, not 16: a seventh fewer on one core, but in AMP "
        "more, and slower, since farsockd starts later.",
    ),
    (
        r": write (64 B|1 KiB)$",
        "Of a call: the lock and its release, two locked instructions, of which the second "
        "is the barrier before the look whether farsockd sleeps; the look whether the socket "
        "is open, connected and without an error; in all what counted.txt says. The floor has "
        "one thread and one socket, and does none of that. Gained: a short copy needs no "
        "setjmp() to survive a bad pointer, the short way no calls (a quarter of the "
        "instructions), and no barrier but the lock's release. Then farsockd's sendmsg() and "
        "the kernel's TCP with the peer, which the floor has, too.",
    ),
    (
        r": read (64 B|1 KiB)$",
        "Of a call: two locked instructions, and the look whether the socket is open and "
        "without a mark; in all what counted.txt says. Gained: as in writing. Then the "
        "peer, the kernel's TCP and farsockd's recvmsg(), which the floor has, too.",
    ),
    (
        r": (MicroPython )?write ",
        COPY.format(near="into the ring", far="out of it")
        + TURNS
        + " Gained: a stream that is alone has up to 192 KiB in a turn, so that the peer, who "
        "goes before farsockd when it is woken, is woken a third as often.",
    ),
    (
        r": (MicroPython )?read ",
        COPY.format(near="out of the ring", far="into it")
        + TURNS
        + " Gained: a stream that is alone has up to 512 KiB in a turn (a tenth less "
        "processor time), and copies by near are not left to rep movsb where some processors "
        "do it byte by byte (reads of 256 KiB half as fast again). Tried without gain: turns "
        "of 256 and 384 KiB; to tell near of each part while it is awake; shorter turns then.",
    ),
    (
        r": both ways ",
        COPY.format(near="into one ring and out of the other", far="likewise")
        + "Both directions are one thread's of farsockd, natively two threads' of the program. "
        "Gained: streams begin in the middle of a page, since the kernel's copies into a ring "
        "went byte by byte when the peer's other thread had sent a byte (half as fast again), "
        "and longer turns of who is alone.",
    ),
    (
        r": round trip, p99$",
        "As in the round trip; four sleepers in a row, natively two, each of which the "
        "machine may hold up.",
    ),
    (
        r": round trip, processor time$",
        "Two wake-ups more than natively, and on either side the system calls that go "
        "with them: a write to wake, a wait, and its return.",
    ),
    (
        r": (MicroPython )?round trip",
        "Near wakes farsockd, the kernel the peer, then farsockd, and that near: four "
        "wake-ups, natively two. The floor has them, too, without a look at the rings, at "
        "other sockets, or at the clock. System calls of a round trip: near 2, farsockd 5; "
        "the floor's far side 4, since it blocks in recv() of its only socket. MicroPython "
        "itself adds little: 4,200 instructions with our module, 2,000 natively.",
    ),
    (
        r": UDP (send|receive) .*, lost$",
        "What comes while farsockd has no turn has the kernel's receive buffer only.",
    ),
    (
        r": UDP ",
        "A copy through the ring with its header and address, and the kernel's way through "
        "UDP. Those of one length that wait together are sent in one call, up to 32, and "
        "received up to eight (the floor makes a call for each). At most 64 are under way, "
        "so that both sides sleep for each other.",
    ),
    (
        r": connect, byte, close$",
        "Socket, connect, the byte and close: near tells farsockd twice and waits twice, "
        "and farsockd makes and watches a socket as of any other; the floor tells once, "
        "waits twice, and watches nothing. Gained: a connection that stands at once is "
        "answered with its result, and the peer's first byte is there with it.",
    ),
    (
        r": poll ",
        "Some loads and comparisons for each socket, without a call of the kernel: what "
        "counted.txt says. Gained: one that is quiet is known by what far says of it (half "
        "of the instructions).",
    ),
    (
        r": speed with 5000 open",
        "Memory: lines, tables and the kernel's sockets of 5000 do not fit the caches.",
    ),
    (
        r" idle sockets, wake-ups",
        "Nobody should wake: whoever did was woken by something outside of the measurement.",
    ),
    (
        r": near library: code of every call",
        "All of BSD sockets. A program with clients and servers of TCP and UDP links two "
        "thirds; the rest is options, ioctl, names, interfaces, control data, sharing, calls "
        "without a copy and texts of errors. What is not called is not linked.",
    ),
)


def note_on(row):
    name = f"{row['placement']}: {row['name']}"
    return next((text for pattern, text in NOTES if re.search(pattern, name)), "-")
