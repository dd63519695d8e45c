#!/usr/bin/python3
# A flood on one socket or link and the round trips of another.
# SPDX-License-Identifier: MIT
# alone
# timeout: 900
"""With --table it prints what docs/reliability.md has of it, for a machine that does
nothing else; with a word behind it only the rows that have it, about 40 seconds for
those of "own", "same" or "socket"."""

import contextlib
import ctypes
import os
import platform
import statistics
import struct
import subprocess
import sys

from harness import (
    FULL,
    NONCOHERENT,
    SANITIZED,
    TOP,
    Far,
    as_root,
    check,
    end_all_children,
    main,
    program,
    skip,
    test,
)
from linkup import Near
from oracle import PORT

TABLE = "--table" in sys.argv
COUNT = 2000 if (FULL or TABLE) and not NONCOHERENT else 700  # round trips in one trial
TRIALS = 7 if TABLE else 9 if FULL else 5
# What else the machine does shall not decide: root may go first.
FIRST = ("nice", "-n", "-15")
# A core of another kind has a processor of its own: here it takes what the others leave,
# and whoever wakes up goes before it. Farsockd has all of its flood nevertheless.
LAST = ("nice", "-n", "19", sys.executable, __file__, "--give-way")
# Peers are elsewhere, and have processors of their own: here they wait for nobody.
ELSEWHERE = ("chrt", "-r", "1") if os.geteuid() == 0 else FIRST
MOST = 3  # times a quiet round trip's p99
FLOODS = ("bulk", "tiny", "connect", "lookup")

if NONCOHERENT:
    # Lines that move at random take time at random, and that is measured here.
    os.environ.setdefault("FARSOCK_NONCOHERENT", "noise=none")

# The tail is others' where processors are short: then the median decides alone.
QUIET = os.getloadavg()[0] < os.cpu_count() / 2


def times_of(child):
    """Median, p99 and p99.9 in us."""
    line = child.line()
    check(line and line[0].isdigit(), f"{child}: {line}")
    return tuple(int(word) for word in line.split())


def trial(far, where, flood, same, first=FIRST, port=PORT + 1):
    """Median and p99 of a ping, with a flood of the same kind of program beside it.
    Natively a second flood stands for farsockd, which keeps a processor busy."""
    start = far.near if where == "far" else far.native
    fair = (*FIRST, program("fair"))
    count = (not same) + (where == "native")
    others = [start(*first, program("fair"), where, flood, port) for _ in range(count)]
    for other in others:
        other.expect("ready")
    try:
        with_flood = (flood, PORT + 1) if same else ()
        return times_of(start(*fair, where, "ping", PORT, COUNT, *with_flood))
    finally:
        for other in others:
            other.kill()


def trials_of(far, flood, same, count=TRIALS):
    """The times of several trials, in turns: natively and over links, quiet and flooded."""
    times = {}
    for _ in range(count):
        for where in ("native", "far"):
            for kind in ("quiet", flood):
                times.setdefault((where, kind), []).append(trial(far, where, kind, same))
    return times


def middle(trials, i):
    """The median of a figure: one trial that something disturbs says nothing."""
    return statistics.median(t[i] for t in trials)


def say(what, where, before, during):
    """A line for people; docs/reliability.md has it as a table."""
    cells = (f"{name} {middle(before, i):.0f} -> {middle(during, i):.0f}"
             for i, name in enumerate(("p50", "p99", "p99.9")))  # fmt: skip
    print(f"# {what}, {where}: {', '.join(cells)} us", flush=True)


def peers(far, first=ELSEWHERE, port=PORT):
    far.native(*first, program("fair"), "native", "peers", port).expect("ready")


def compare(flood, same):
    """What most round trips take, and the slowest of a hundred, quiet and flooded."""
    if SANITIZED:
        skip("times say nothing under sanitizers")
    if NONCOHERENT:
        skip("an emulator of caches has costs of its own")
    with Far(prefix=FIRST) as far:
        peers(far)
        times = trials_of(far, flood, same)
    for where in ("native", "far"):
        say(flood, where, times[where, "quiet"], times[where, flood])
    # What else the machine does only adds: where it does, the least trial decides, and p99
    # says nothing. The processors are shared natively, too: that much is not farsockd's.
    least = {key: [min(t[i] for t in trials) for i in (0, 1)] for key, trials in times.items()}
    share = max(least["native", flood][1] / least["native", "quiet"][1], 1)
    most = MOST * least["far", "quiet"][1] * share
    check(least["far", flood][0] <= most, f"{flood}: most take more than {most:.0f} us")
    tails = {key: middle(trials, 1) for key, trials in times.items()}
    most = MOST * tails["far", "quiet"] * max(tails["native", flood] / tails["native", "quiet"], 1)
    check(not QUIET or tails["far", flood] <= most, f"{flood}: p99 is above {most:.0f} us")


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


@contextlib.contextmanager
def ringing(bell):
    """Somebody rings without end."""
    storm = os.fork()
    if storm == 0:
        one = struct.pack("Q", 1)
        os.set_blocking(bell, True)
        while True:
            os.write(bell, one)
    try:
        yield
    finally:
        os.kill(storm, 9)
        os.waitpid(storm, 0)


def storm_trials(far, count=TRIALS):
    """Quiet and under a storm of doorbells, in turns."""
    ping = (*FIRST, program("fair"), "far", "ping", PORT, COUNT)
    quiet, loud = [], []
    with Near(far.link) as near:
        for _ in range(count):
            quiet.append(times_of(far.near(*ping)))
            with ringing(near.welcome.fds[1]):
                loud.append(times_of(far.near(*ping)))
    return quiet, loud


@test
def doorbell_storm():
    """A near core that rings without end does not delay another's round trips."""
    if SANITIZED:
        skip("times say nothing under sanitizers")
    with Far(prefix=FIRST) as far:
        peers(far)
        quiet, loud = storm_trials(far)
    say("doorbells", "far", quiet, loud)
    for i, what in enumerate(("median", "p99")):
        least = i == 0 or not QUIET
        before, during = (
            min(t[i] for t in trials) if least else middle(trials, i) for trials in (quiet, loud)
        )
        check(
            during <= MOST * before or (what == "p99" and not QUIET),
            f"{what} {during / before:.1f} times as long",
        )


# --- Figures for docs/reliability.md ---


@contextlib.contextmanager
def awake():
    """A processor that sleeps is slow to wake where it is a virtual one: none does. What
    keeps it awake gives way: else it may have a tick while somebody waits who has just
    had more than a share."""
    spin = [sys.executable, "-c", "import os\nwhile True: os.sched_yield()"]
    idlers = [
        subprocess.Popen(["taskset", "-c", str(cpu), "chrt", "-i", "0", *spin])
        for cpu in os.sched_getaffinity(0)
    ]
    try:
        yield
    finally:
        for idler in idlers:
            idler.kill()
            idler.wait()


def give_way(command):
    """Becomes that program, with slices that are longer than others': see daemon/slice.c."""
    number = {"x86_64": 314, "aarch64": 274, "riscv64": 274}[platform.machine()]
    size, policy, flags, nice = 48, os.SCHED_OTHER, 0, os.getpriority(os.PRIO_PROCESS, 0)
    slice_ns = 100_000_000
    attr = struct.pack("IIQiIQQQ", size, policy, flags, nice, 0, slice_ns, 0, 0)
    if ctypes.CDLL(None).syscall(number, 0, attr, 0) != 0:
        sys.exit("no slice")
    os.execvp(command[0], command)


def figures(quiet, loud):
    """p50 and p99, quiet and flooded, and how much p99 rose."""
    cells = [middle(trials, i) for trials in (quiet, loud) for i in (0, 1)]
    return *(f"{us:.0f}" for us in cells), f"{cells[3] / cells[1]:.1f}"


def row(flood, beside, times):
    """times: those of quiet and flooded trials, over a link and natively."""
    far = figures(times["far", "quiet"], times["far", flood])
    native = figures(times["native", "quiet"], times["native", flood])
    cells = (flood, beside, *far, native[1], *native[3:])
    print(f"| {' | '.join(cells)} |", flush=True)


# Whom it floods beside: a name, a socket of the same link?, how, at which port.
PLACES = (
    ("another link, with a processor of its own", False, LAST, PORT + 11),
    ("another link, same processors", False, FIRST, PORT + 1),
    ("another socket of its link", True, FIRST, PORT + 1),
)


def table(word):
    """Each flood: medians of the figures of several trials in turns, in us."""
    head = ("flood", "beside", "quiet p50", "p99", "flooded p50", "p99", "ratio of p99",
            "natively: quiet p99", "flooded p99", "ratio")  # fmt: skip
    print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|", flush=True)
    with awake(), Far(prefix=FIRST) as far:
        peers(far)
        peers(far, LAST, PORT + 10)
        for beside, same, first, port in PLACES:
            for flood in FLOODS if word in beside else ():
                times = {}
                for _ in range(TRIALS):
                    for where in ("native", "far"):
                        for kind in ("quiet", flood):
                            one = trial(far, where, kind, same, first, port)
                            times.setdefault((where, kind), []).append(one)
                row(flood, beside, times)
        if word in PLACES[0][0]:  # natively there are none
            cells = figures(*storm_trials(far, TRIALS))
            print(f"| doorbells | another link | {' | '.join(cells)} | | | |", flush=True)
    print(f"\n{COUNT} round trips in each of {TRIALS} trials; load {os.getloadavg()[0]:.1f} at the end.")


if __name__ == "__main__":
    if "--give-way" in sys.argv:
        give_way(sys.argv[2:])
    if TABLE:
        as_root()
        os.chdir(TOP)
        try:
            table(" ".join(sys.argv[sys.argv.index("--table") + 1 :]))
        finally:
            end_all_children()
        sys.exit(0)
    main()
