# Makes a measurement, and the rows of the report from it.
# SPDX-License-Identifier: MIT

import collections
import contextlib
import re
import statistics
import subprocess
import time

import harness
from sides import (
    Side,
    counters,
    cpus_of,
    memory,
    on_cpus,
    switches,
    use_congestion_control,
)
from works import AMP, FEW, KIB, MANY, MIB, RISCV, TRIP

MODES = {"native", "farsock", "floor"}
QUIET_S = 2
CPU_GOAL = 1.6  # of a round trip
P99_GOAL = {AMP: 1.5}
DOORBELL_GOAL = 1.0  # fewer than that per MiB of steady bulk
SIZE_GOALS = {  # lines of size-report
    "linked: all calls": ("near library: code of every call", 20 * KIB),
    "linked: TCP client": ("near library: code that a TCP client links", 20 * KIB),
    "linked: TCP server with poll": ("near library: code that a TCP server links", 20 * KIB),
    "linked: UDP client": ("near library: code that a UDP client links", 20 * KIB),
    "private: struct fari_sock": ("near library: private memory of a socket", 96),
    "shared: lines of a socket": ("shared control of a socket", 128),
}
SHARE_GOAL = 0.95  # of the throughput that few sockets have, with many open
MORE_ROUNDS = 3  # and shorter ones: that share is a ratio of four rounds
INSTANCES = 6  # of all programs of a work: each has other pages, and another speed


class Measurement:
    """Rounds of a work in a placement, native and over a link in turn. They are of
    several instances of all programs, and what is measured is put together."""

    def __init__(self, work, placement, congestion=None):
        self.work, self.placement, self.congestion = work, placement, congestion
        self.rounds = collections.defaultdict(list)  # of each side, by its name
        self.counts = {}  # operations of a round
        self.counted = collections.Counter()
        self.slept = collections.Counter()
        self.syscalls = {}
        self.memory = collections.defaultdict(list)  # of each instance

    def run(self, rounds, round_ns, trace):
        if self.work.beside:
            rounds, round_ns = rounds * MORE_ROUNDS, round_ns / 2
        shares = [1] if self.work.idle else shares_of(rounds)
        for i, share in enumerate(shares):
            last = i == len(shares) - 1
            self._run_instance(share, round_ns, trace and self.work.trace and last)
        return self

    def _run_instance(self, rounds, round_ns, trace):
        modes = ["native", "farsock", *(["floor"] if self.work.floor else [])]
        with contextlib.ExitStack() as stack:
            far = self._start_far(stack)
            sides = [Side(far, m, self.work, self.placement) for m in modes]
            if self.work.beside:
                sides += self._sides_beside(self._start_far(stack))
            if self.work.idle:
                self._watch(sides)
            else:
                self._measure(far, sides, rounds, round_ns)
            for side in sides:
                self.memory[side.name].append(memory(side.near_pids + side.helpers))
                if trace:
                    self.syscalls[side.name] = side.syscalls()
            for side in sides:
                side.end()

    def _start_far(self, stack):
        with on_cpus(cpus_of(self.placement)[1]):
            far = stack.enter_context(harness.Far())
        if self.congestion:
            use_congestion_control(far, self.congestion)
        return far

    def _sides_beside(self, far):
        """Of the work beside this one, whose farsockd has none of our sockets."""
        return [
            Side(far, mode, self.work.beside, self.placement, beside(mode))
            for mode in ("native", "farsock")
        ]

    def _measure(self, far, sides, rounds, round_ns):
        for side in sides:
            self.counts[side.name] = side.calibrate(round_ns, self.counts.get(side.name))
        before = counters(far)
        with self._sleeps_of(sides):
            for _ in range(rounds):
                self._round(sides)
        self.counted += counters(far) - before

    def _round(self, sides):
        # Whoever comes first has no advantage of it.
        turn = len(self.rounds["native"]) % 2
        for side in sides if turn else sides[::-1]:
            self.rounds[side.name].append(side.round())

    def _watch(self, sides):
        """How often anybody wakes while nothing happens."""
        pids = [pid for side in sides for pid in side.pids]
        harness.until("everybody sleeps", lambda: all(map(harness.asleep, pids)))
        with self._sleeps_of(sides):
            time.sleep(QUIET_S)

    @contextlib.contextmanager
    def _sleeps_of(self, sides):
        before = {s.name: switches(s.pids) for s in sides}
        yield
        for side in sides:
            self.slept[side.name] += switches(side.pids) - before[side.name]

    # --- figures ---

    def ops(self, mode):
        return sum(r.ops for r in self.rounds[mode])

    def value_of(self, r):
        """A round's figure in the work's unit."""
        return {
            "bytes": lambda: r.ops * self.work.size / r.ns * 1000,
            "rate": lambda: (r.ops - r.lost) / r.ns * 1e9,
            "time": lambda: r.ns / r.ops / 1000,
            "p50": lambda: quantile(r.times, 0.5) / 1000,
        }[self.work.kind]()

    def values(self, mode, figure=None):
        return [(figure or self.value_of)(r) for r in self.rounds[mode]]

    def times(self, mode):
        return sum((r.times for r in self.rounds[mode]), collections.Counter())

    def cost(self):
        """What an operation costs beside time, for each mode."""
        found = {}
        for mode in MODES & self.rounds.keys():
            rounds = self.rounds[mode]
            ops = self.ops(mode)
            found[mode] = {
                "cpu_ns": statistics.median(r.cpu_ns / r.ops for r in rounds),
                "sleeps": self.slept[mode] / ops,
            }
            if self.syscalls.get(mode):
                near, far = self.syscalls[mode]
                found[mode] |= {"syscalls_near": near, "syscalls_far": far}
        for name in self.counted:
            key = name.replace(" ", "_")
            found["farsock"][key] = self.counted[name] / self.ops("farsock")
        return found


def beside(mode):
    """The name of a side of a work beside another one."""
    return f"{mode} beside"


def shares_of(rounds):
    """How many rounds each instance makes."""
    instances = min(INSTANCES, rounds)
    return [len(range(i, rounds, instances)) for i in range(instances)]


def quantile(times, part):
    """The time below which that part of the times lies."""
    left = part * sum(times.values())
    for ns in sorted(times):
        left -= times[ns]
        if left <= 0:
            return ns
    return 0


def verdict(row, on):
    """Whether the figure that the goal is about is good enough."""
    if row["goal"] is None or row[on] is None:
        return None
    got = round(row[on], 2)
    return got >= row["goal"] if row["better"] == "higher" else got <= row["goal"]


def make_row(name, placement, unit, better, native, farsock, goal=None, on="ratio", **more):
    row = {
        "name": name,
        "placement": placement,
        "unit": unit,
        "better": better,
        "native": native,
        "farsock": farsock,
        "ratio": farsock / native if native and on == "ratio" else None,
        "quartiles": None,
        "goal": goal,
        "goal_is_of": on,
        "floor": None,
        "of_floor": None,
        "of_floor_quartiles": None,
        **more,
    }
    row["met"] = verdict(row, on)
    return row


def paired_row(m, name, unit, better, goal, figure=None, **more):
    """A row whose ratio is the median of those of paired rounds."""
    native, ours = m.values("native", figure), m.values("farsock", figure)
    least = m.values("floor", figure)
    q1, middle, q3 = paired(ours, native)
    f1, of_floor, f3 = paired(ours, least)
    return make_row(
        name,
        m.placement,
        unit,
        better,
        statistics.median(native),
        statistics.median(ours),
        goal,
        ratio=middle,
        quartiles=[q1, q3],
        floor=paired(least, native)[1],
        of_floor=of_floor,
        of_floor_quartiles=[f1, f3] if least else None,
        **more,
    )


def paired(ours, others):
    """The quartiles of the ratios of the same rounds."""
    ratios = [a / b for a, b in zip(ours, others) if b]
    return statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [None] * 3


def rows_of(m):
    work, name = m.work, m.work.name
    if work.idle:
        return [
            make_row(f"{name}, wake-ups in {QUIET_S} s", m.placement, "wake-ups",
                     "lower", m.slept["native"], m.slept["farsock"], 0, "farsock"),
        ]  # fmt: skip
    goal = work.goal_in(m.placement)
    rows = [paired_row(m, name, work.unit, work.better, goal, cost=m.cost())]
    if work.beside:
        rows.append(share_row(m))
    if work.kind == "p50":
        rows[0]["latency_us"] = {mode: latencies(m.times(mode)) for mode in m.rounds}
        rows += trip_rows(m)
    if work.program == "udp":
        lost = [sum(r.lost for r in m.rounds[mode]) for mode in ("native", "farsock")]
        rows.append(
            make_row(f"{name}, lost", m.placement, "datagrams", "lower", *lost,
                     lost[0], "farsock")
        )  # fmt: skip
    if work.size == 64 * KIB and work.program == "stream" and not work.via:
        rung = m.counted["near doorbells"] + m.counted["far doorbells"]
        ours = rung * MIB / (m.ops("farsock") * work.size)
        bells = sum(r.lost for r in m.rounds["floor"])  # see floor.c
        floor = bells * MIB / (m.ops("floor") * work.size)
        rows.append(
            make_row(f"{name}, doorbells per MiB", m.placement, "doorbells", "lower",
                     None, ours, DOORBELL_GOAL, "farsock",
                     floor=floor, of_floor=ours / floor if floor else None)
        )  # fmt: skip
    return rows


def share_row(m):
    """Native sockets are the measure: their network, too, has more to look at."""
    shares = [
        [many / few for many, few in zip(m.values(mode), m.values(beside(mode)))]
        for mode in ("native", "farsock")
    ]
    q1, middle, q3 = paired(*shares[::-1])
    return make_row(
        f"speed with {m.work.sockets} open, beside {m.work.beside.sockets} open",
        m.placement, "share", "higher", *map(statistics.median, shares), SHARE_GOAL,
        ratio=middle, quartiles=[q1, q3],
    )  # fmt: skip


def trip_rows(m):
    if m.work.name != TRIP:
        return []
    p99 = paired_row(
        m, f"{TRIP}, p99", "us", "lower", P99_GOAL.get(m.placement),
        lambda r: quantile(r.times, 0.99) / 1000,
    )  # fmt: skip
    cpu = paired_row(
        m, f"{TRIP}, processor time", "us", "lower", CPU_GOAL,
        lambda r: r.cpu_ns / r.ops / 1000,
    )  # fmt: skip
    return [p99, cpu]


def latencies(times):
    """The histogram as points of a curve, in us."""
    parts = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
    return {str(p): quantile(times, p) / 1000 for p in parts}


def size_rows():
    """What the near library needs of a small core."""
    report = harness.TOP / "scripts/size-report"
    out = subprocess.run([report], capture_output=True, text=True, check=True).stdout
    rows = []
    for line, (name, goal) in SIZE_GOALS.items():
        got = re.search(rf"^{re.escape(line)} +(\d+)", out, re.M)
        size = int(got[1]) if got else None
        rows.append(make_row(name, RISCV, "B", "lower", None, size, goal, "farsock"))
    return rows


def rows_across(measurements):
    """Rows that compare measurements with each other."""
    found = {(m.placement, m.work.name): m for m in measurements}
    rows = []
    for placement in dict.fromkeys(m.placement for m in measurements):
        few, many = found.get((placement, FEW)), found.get((placement, MANY))
        if few and many:
            rows.append(memory_row("an idle socket", few, many))
        crowds = [m for m in measurements if m.placement == placement and m.work.crowd]
        if len(crowds) > 1:
            rows.append(memory_row("a socket that was used", crowds[0], crowds[-1]))
    return rows


def memory_row(what, few, many):
    """Of the near program, farsockd and the memory that they share."""
    more = many.work.sockets - few.work.sockets
    each = [
        (statistics.median(many.memory[m]) - statistics.median(few.memory[m])) / more
        for m in ("native", "farsock")
    ]
    name = f"memory of {what}, {many.work.sockets} open"
    return make_row(name, few.placement, "B", "lower", *each, on="farsock")
