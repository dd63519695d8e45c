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
        "for: the faster one waits for the slower (the floor's own doorbells are in its "
        "column). Who sleeps for room is rung when a third is free, not at the first byte; the "
        "rest is the ring's size, which is memory of every socket. Gained: whom farsockd wakes "
        "goes before it, and where on one core a turn takes all of the ring farsockd's doorbell "
        "is all there is: one for a ring, four in a MiB. Tried: to "
        "publish what is written every 64 KiB, not 16: a seventh fewer on one core, but in AMP "
        "more, and slower, since farsockd starts later. Where the scheduler puts the peer of "
        "a read beside both, it is the slowest: near, woken for each piece of 64 KiB and less, "
        "goes before farsockd and has read it before the next comes. Tried: to leave farsockd "
        "the slice that all have then: 25 to 17 doorbells, but a twentieth slower; and to look "
        "for the next piece before near is told: none is there yet.",
    ),
    (
        r": write (64 B|1 KiB)$",
        "Of a call: the lock and its release, two locked instructions, of which the second "
        "is the barrier before the look whether farsockd sleeps; the look whether the socket "
        "is open, connected and without an error; in all what counted.txt says. The floor has "
        "one thread and one socket, and does none of that. Gained: copies need no "
        "setjmp() to survive a bad pointer, the short way no calls (a quarter of the "
        "instructions), no barrier but the lock's release, and on two processors lines of the "
        "ring that come back together (64 B: two to three times as fast). Then farsockd's "
        "sendmsg() and the kernel's TCP with the peer, which the floor has, too. Gained on "
        "one core: a stream that trickles alone is served without farsockd's long slice, by "
        "which farsockd went before near at each doorbell (64 B: 30 times native before); and "
        "as in writing 64 KiB, turns that take all of the ring. "
        "Tried instead: doorbells for half a ring or all of it, and a look after 20 to "
        "200 us (40 to 45). Tried without gain: to take the lock without a locked "
        "instruction where the program has one thread.",
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
        + " Gained: over loopback the kernel takes more only once it has sent what it has; else "
        "megabytes waited there, had left the cache when they were read, and had BBR pace by "
        "the program's speed, with a timer of the kernel for each second packet. Turns end with "
        "a whole segment, and take all of the ring where near waits meanwhile in most of them: "
        "half the switches. Tried without gain: turns of one and of three segments; pieces of one or two "
        "segments for the kernel; to wake near every second turn; huge pages for the rings.",
    ),
    (
        r": (MicroPython )?read ",
        COPY.format(near="out of the ring", far="into it")
        + TURNS
        + " Gained: a stream that is alone has up to 512 KiB in a turn (a tenth less "
        "processor time), and copies by near are not left to rep movsb where some processors "
        "do it byte by byte (reads of 256 KiB half as fast again). Tried without gain: turns "
        "of 256 and 384 KiB; to tell near of each part while it is awake; shorter turns then; "
        "to receive in pieces of 32 to 128 KiB (a tenth to a fifth slower: each "
        "acknowledgement wakes the peer); a bound for the window.",
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
        "As in the round trip; each of those that sleep may be held up by the machine.",
    ),
    (
        r": round trip, processor time$",
        "As in the round trip: system calls and the instructions of both sides. Where the "
        "scheduler puts the programs decides more than these: it spreads natively two, here "
        "three, and who wakes another processor interrupts it, 9 us of its time. Gained: "
        "farsockd looks for 20 us before it sleeps where that has paid, so that near and peer "
        "need not do that (free: 4.2 -> 1.6 times a native pair on one processor; AMP: 1.2 -> "
        "0.6).",
    ),
    (
        r": (MicroPython )?round trip",
        "Near's write to ring and its wait, for the doorbell or farsockd's death; farsockd's "
        "wait, for any doorbell or socket, its send, its receive and its write to ring. "
        "The floor has the same, less a write where far is awake when near asks: it "
        "says so at each wait, a link's index says it for a whole turn. Beside them: "
        "some 2,700 instructions of farsockd and 2,500 of near, all of them cold in the "
        "caches, 3 us; farsockd's seccomp filter is 0.05 us a call, since the kernel knows by "
        "its number alone that a call is allowed. Gained: who is woken runs before farsockd, "
        "so that two sleep as natively, where four did; what near then asks for is served "
        "without a look for events in between (four calls of farsockd, where five were); three "
        "looks at the clock, where seven were. Tried for "
        "nothing: futex or pipe for eventfd, ppoll for epoll_wait (dearer), send and recv for "
        "sendmsg and recvmsg, no PLT. Optimising at link time gives a hundredth, a farsockd "
        "without threads for names less than two, and a blocking read() of near's doorbell 0.3 "
        "us, but is deaf to a death. MicroPython itself adds little: 4,200 instructions with "
        "our module, 2,000 natively. Traced on one core, farsockd's and the floor's switches and "
        "calls are the same: four and five. Of what farsock takes longer than the floor two "
        "thirds are instructions outside the kernel, at one and a half cycles each; the rest is "
        "in the kernel: the filter, descriptors of a process with threads, iovecs. Between "
        "processors farsockd looks for 20 us before it sleeps, where that has paid: half the "
        "time in AMP.",
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
        "so that both sides sleep for each other. On one core receiving had two speeds, for "
        "a second each: 32 come at a time and near never sleeps (1.2), or farsockd, which is "
        "owed time for giving way, goes before the peer at each datagram (0.73). Gained: where "
        "they come one by one it takes the slice that all have, and is owed nothing. "
        "Tried: farsockd as a batch (SCHED_BATCH) is always at 1.2, "
        "and writes 64 B and 64 KiB a tenth quicker, but waits for the tick beside anybody who "
        "is busy (connections 0.02 of native, where 1.2); with the slice of others all the time "
        "it is always at 0.8.",
    ),
    (
        r": connect, byte, close$",
        "Of 10 system calls farsockd has six that the floor has, too "
        "(socket, connect, epoll_ctl, a receive, a write to ring, close); then waits, the "
        "limit of descriptors, poll() for what stands, and the end of the watch (without it no "
        "quicker: tried). Gained: socket() takes one that farsockd has made ahead, and does "
        "not wait (a twelfth less); a connection that stands at once is "
        "answered with its result and the peer's first byte; that it stands, and that the peer "
        "has ended, is asked once (14 calls before); who is woken runs before farsockd (three "
        "sleeps instead of six).",
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
        "without a copy and texts of errors. What is not called is not linked. Gained, of "
        "39,840 B: registers saved by calls (-msave-restore, -mtune=size), 4.2 KB; one function "
        "that says where a socket's things are, 1.4 KB; stores that gcc made exchanges, 0.2 KB; "
        "names of messages in one string, 0.6 KB; one function that asks, 0.3 KB; memcpy() is "
        "called as a program calls it, not across the address space, 0.3 KB. The largest that "
        "stay: texts of errors, 1.6 KB; datagrams, 5 KB; sleeping and waking, 3 KB; options, "
        "ioctl and names, 3 KB, each of which is its own case. Tried for nothing: -flto (100 B; "
        "5 % of a TCP client), -Oz, some 30 other flags (100 B at the most), streams without "
        "their short way (550 B, but that is what makes small sends quick).",
    ),
)


def note_on(row):
    """None: there is nothing to say."""
    name = f"{row['placement']}: {row['name']}"
    return next((text for pattern, text in NOTES if re.search(pattern, name)), None)
