#!/usr/bin/python3
# A flood on one socket or link and the round trips of another.
# SPDX-License-Identifier: MIT
# alone
# timeout: 900

import os
import struct

from harness import FULL, SANITIZED, Far, check, main, program, skip, test
from linkup import Near
from oracle import PORT

COUNT = 3000 if FULL else 700  # round trips in one trial
TRIALS = 9 if FULL else 5
# What else the machine does shall not decide: root may go first.
FIRST = ("nice", "-n", "-15")
MOST = 3  # times a quiet round trip's p99
FLOODS = ("bulk", "tiny", "connect", "lookup")


# The tail is others' where processors are short: then the median decides alone.
QUIET = os.getloadavg()[0] < os.cpu_count() / 2


def times_of(child):
    """Median and p99 in us."""
    line = child.line()
    check(line and line[0].isdigit(), f"{child}: {line}")
    return tuple(int(word) for word in line.split())


def trial(far, where, flood, same):
    """Median and p99 of a ping, with a flood of the same kind of program beside it.
    Natively a second flood stands for farsockd, which keeps a processor busy."""
    start = far.near if where == "far" else far.native
    fair = (*FIRST, program("fair"))
    count = (not same) + (where == "native")
    others = [start(*fair, where, flood, PORT + 1) for _ in range(count)]
    for other in others:
        other.expect("ready")
    try:
        with_flood = (flood, PORT + 1) if same else ()
        return times_of(start(*fair, where, "ping", PORT, COUNT, *with_flood))
    finally:
        for other in others:
            other.kill()


def compare(flood, same):
    """The least median and p99 of several trials: natively and over links, quiet and flooded,
    in turns. What else the machine does only adds to it; a flood is in each."""
    if SANITIZED:
        skip("times say nothing under sanitizers")
    times = {}
    with Far(prefix=FIRST) as far:
        far.native(*FIRST, program("fair"), "native", "peers", PORT).expect("ready")
        for _ in range(TRIALS):
            for where in ("native", "far"):
                for kind in ("quiet", flood):
                    times.setdefault((where, kind), []).append(trial(far, where, kind, same))
    middle = {key: min(t[0] for t in trials) for key, trials in times.items()}
    tail = {key: min(t[1] for t in trials) for key, trials in times.items()}
    for where in ("native", "far"):
        quiet, loud = (where, "quiet"), (where, flood)
        print(
            f"# {flood}, {where}: median {middle[quiet]} -> {middle[loud]},"
            f" p99 {tail[quiet]} -> {tail[loud]} us", flush=True,
        )  # fmt: skip
    # The processors are shared natively, too: that much is not farsockd's.
    most = MOST * tail["far", "quiet"] * max(tail["native", flood] / tail["native", "quiet"], 1)
    check(middle["far", flood] <= most, f"{flood}: most take more than {most:.0f} us")
    check(not QUIET or tail["far", flood] <= most, f"{flood}: p99 is above {most:.0f} us")


@test
def other_links():
    """A flooding link does not delay another's round trips threefold."""
    for flood in FLOODS:
        compare(flood, same=False)


@test
def other_sockets():
    """A flooding socket does not delay those of its own link threefold."""
    for flood in FLOODS:
        compare(flood, same=True)


@test
def doorbell_storm():
    """A near core that rings without end does not delay another's round trips."""
    if SANITIZED:
        skip("times say nothing under sanitizers")
    quiet, loud = [], []
    with Far(prefix=FIRST) as far:
        far.native(*FIRST, program("fair"), "native", "peers", PORT).expect("ready")
        with Near(far.link) as near:
            bell = near.welcome.fds[1]
            for _ in range(TRIALS):
                quiet.append(times_of(far.near(*FIRST, program("fair"), "far", "ping", PORT, COUNT)))
                storm = os.fork()
                if storm == 0:
                    one = struct.pack("Q", 1)
                    os.set_blocking(bell, True)
                    while True:
                        os.write(bell, one)
                try:
                    loud.append(times_of(far.near(*FIRST, program("fair"), "far", "ping", PORT, COUNT)))
                finally:
                    os.kill(storm, 9)
                    os.waitpid(storm, 0)
    for i, what in enumerate(("median", "p99")):
        before, during = min(t[i] for t in quiet), min(t[i] for t in loud)
        print(f"# doorbells: {what} {before} -> {during} us", flush=True)
        # One processor of two rings all the time.
        check(
            during <= 2 * MOST * before or (what == "p99" and not QUIET),
            f"{what} {during / before:.1f} times as long",
        )


if __name__ == "__main__":
    main()
