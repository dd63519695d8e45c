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
        "for: the faster one waits for the slower.",
    ),
    (
        r": write (64 B|1 KiB)$",
        "Of a call: the lock and its release and the barrier before the look whether "
        "farsockd sleeps, three locked instructions; a copy that survives a bad pointer; "
        "in all what counted.txt says. Then farsockd's sendmsg() and the kernel's TCP "
        "with the peer, which the floor has, too.",
    ),
    (
        r": read (64 B|1 KiB)$",
        "Of a call: two locked instructions, a copy that survives a bad pointer; in all "
        "what counted.txt says. Then the peer, the kernel's TCP and farsockd's recvmsg(), "
        "which the floor has, too.",
    ),
    (
        r": (MicroPython )?write ",
        COPY.format(near="into the ring", far="out of it") + TURNS,
    ),
    (
        r": (MicroPython )?read ",
        COPY.format(near="out of the ring", far="into it") + TURNS,
    ),
    (
        r": both ways ",
        COPY.format(near="into one ring and out of the other", far="likewise")
        + "Both directions are one thread's of farsockd, natively two threads' of the program.",
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
        "other sockets, or at the clock.",
    ),
    (
        r": UDP (send|receive) .*, lost$",
        "What comes while farsockd has no turn has the kernel's receive buffer only.",
    ),
    (
        r": UDP ",
        "A datagram is a call of farsockd's, as natively of the program, and the copy "
        "through the ring with its header and address. At most 64 are under way, so that "
        "both sides sleep for each other.",
    ),
    (
        r": connect, byte, close$",
        "socket, connect, the question what came of it, the byte and close: each tells "
        "farsockd or waits for it, where the floor tells once and waits twice.",
    ),
    (r": poll ", "Two loads and some comparisons for each socket, without a call of the kernel."),
    (
        r": speed with 5000 open",
        "Memory: lines, tables and the kernel's sockets of 5000 do not fit the caches.",
    ),
    (
        r" idle sockets, wake-ups",
        "Nobody should wake: whoever did was woken by something outside of the measurement.",
    ),
    (
        r": near library: code that a UDP",
        "Datagrams need records, addresses, control data and the verdicts that give each "
        "send its own errno, beside what streams have.",
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
