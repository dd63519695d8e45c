# The table of what is measured, and the goals.
# SPDX-License-Identifier: MIT
"""A work is a program of this directory, its arguments and its peer, measured in
placements. Each gives one row of the report or several (rows.py)."""

import dataclasses

KIB, MIB = 1 << 10, 1 << 20
ONE, FREE, AMP = "one core", "free", "AMP"
PLACEMENTS = (ONE, FREE, AMP)
RISCV = "riscv64 -Os"  # not run, but built
PORT = 6001


def in_words(size):
    for unit, name in ((MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


@dataclasses.dataclass(frozen=True)
class Work:
    name: str
    program: str
    args: tuple = ()  # those after the port
    first: tuple = ()  # those before it
    peer: tuple = ("peer", "serve")
    start: int = 1  # operations of the first round
    # bytes: of an operation, for MB/s. rate: operations per second. p50: median
    # time of one. time: mean time of one.
    kind: str = "rate"
    size: int = 0
    goal: object = None  # of the ratio; or a goal for each placement
    placements: tuple = PLACEMENTS
    floor: tuple = ()  # the program that does the least, and its work
    trace: bool = False  # system calls are counted
    nears: int = 1  # links, each with a near program
    sockets: int = 1  # of each
    crowd: bool = False  # one of the curve over the number of sockets
    idle: bool = False  # no rounds: nothing happens
    python: bool = False  # on MicroPython
    via: str = ""  # another way than the C interface: BSD or RUN
    beside: object = None  # a work whose rounds take turns with those of this one

    @property
    def better(self):
        return "higher" if self.kind in ("bytes", "rate") else "lower"

    @property
    def unit(self):
        return {"bytes": "MB/s", "rate": "1/s", "p50": "us", "time": "us"}[self.kind]

    def goal_in(self, placement):
        return self.goal.get(placement) if isinstance(self.goal, dict) else self.goal


# Sizes with a goal; the others are for the curve.
SIZES = (1, 16, 64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB)
WRITE_GOALS = {64: 50, KIB: 10, 16 * KIB: 1.5, 64 * KIB: 1.0, 256 * KIB: 1.0}
READ_GOALS = {64: 8, KIB: 2, 16 * KIB: 1.0, 64 * KIB: 1.0, 256 * KIB: 1.0}


def stream(name, what, size, **more):
    return Work(
        name, "stream", first=(what,), args=(size,), kind="bytes", size=size,
        start=max(1, 64 * KIB // size), **more,
    )  # fmt: skip


def streams(what, goals):
    for size in SIZES:
        yield stream(
            f"{what} {in_words(size)}",
            what,
            size,
            goal=goals.get(size),
            placements=PLACEMENTS if size in goals else (ONE, AMP),
            floor=("floor", what) if size in goals else (),
            trace=size == 64 * KIB,
        )


def datagrams(what, size):
    return Work(
        f"UDP {what} {size} B",
        "udp",
        first=(what,),
        args=(size,),
        peer=("udp", "peer"),
        start=64,
        goal=1.0,
        floor=("floor_udp", what),
        trace=size == 64,
        size=size,
    )


def crowd(sockets, active, name=None, **more):
    return Work(
        name or f"echo on {sockets} sockets",
        "scale",
        args=(sockets, active),
        peer=("peer", "echo"),
        start=50,
        sockets=sockets,
        **more,
    )


def links(count):
    return Work(f"round trips on {count} links", "trip", nears=count, placements=(AMP,))


def micropython(what, name, **more):
    return Work(
        f"MicroPython {name}", "mpy.py", first=(what,), args=(64 * KIB,),
        python=True, floor=("floor_call" if what == "trip" else "floor", what), **more,
    )  # fmt: skip


def by_other_ways(via):
    """What programs that know nothing of the C interface get."""
    more = {"via": via, "placements": (ONE, AMP)}
    yield stream(f"{via}: write 64 KiB", "write", 64 * KIB, **more)
    yield stream(f"{via}: read 64 KiB", "read", 64 * KIB, **more)
    yield Work(f"{via}: {TRIP}", "trip", kind="p50", start=100, **more)
    yield Work(f"{via}: {POLL}", "poll", args=(1000,), kind="time", sockets=1000, **more)


BSD, RUN = "bsd.h", "farsock run"
FEW, MANY = "50 of 50 sockets active", "50 of 5000 sockets active"
TRIP = "round trip"
POLL = "poll 1000, 1 ready"
IDLE = "1000 idle sockets"

HAS_FEW = crowd(50, 50, FEW)

WORKS = [
    *streams("write", WRITE_GOALS),
    *streams("read", READ_GOALS),
    stream("both ways 64 KiB", "both", 64 * KIB, goal=0.9, floor=("floor", "both")),
    stream("write 64 B, Nagle", "nagle", 64),
    Work(
        TRIP, "trip", kind="p50", start=100, goal={ONE: 1.5, AMP: 1.0}, floor=("floor_call", "trip"),
        trace=True,
    ),
    *(datagrams(what, size) for what in ("send", "receive") for size in (64, 1400)),
    Work(
        "connect, byte, close", "connect", peer=("peer", "greet"), goal=0.7,
        floor=("floor_call", "connect"), trace=True,
    ),
    Work(POLL, "poll", args=(1000,), kind="time", goal=0.2, sockets=1000),
    HAS_FEW,
    crowd(5000, 50, MANY, beside=HAS_FEW),
    crowd(1000, 1000, IDLE, idle=True),
    micropython("write", "write 64 KiB", kind="bytes", size=64 * KIB, goal=1.0),
    micropython("read", "read 64 KiB", kind="bytes", size=64 * KIB, goal=1.0),
    micropython("trip", TRIP, kind="p50", start=100, goal=1.5),
    *by_other_ways(BSD),
    *by_other_ways(RUN),
    *(crowd(n, n, placements=(AMP,), crowd=True) for n in (1, 10, 100, 1000, 10000)),
    *(links(n) for n in (1, 4, 16, 64)),
    Work("near library", "size-report", placements=(RISCV,)),
]  # fmt: skip


def all_measurements():
    """(placement, work), in the order in which they are made."""
    return [(p, w) for p in (*PLACEMENTS, RISCV) for w in WORKS if p in w.placements]


def full_name(placement, work):
    return f"{placement}: {work.name}"
