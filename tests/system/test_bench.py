#!/usr/bin/python3
# make bench: its names, its report, and that it ends what it started.
# SPDX-License-Identifier: MIT
# builds: plain

import collections
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import harness
from harness import (
    PATIENCE_S,
    TOP,
    check,
    check_equal,
    main,
    test,
    until,
)

sys.path.append(str(TOP / "bench"))

import rows  # noqa: E402
import sides  # noqa: E402
from works import KIB, ONE, stream  # noqa: E402

BENCH = TOP / "scripts/bench"
PLAIN_KEYS = {
    "name": str, "placement": str, "unit": str, "better": str, "native": float,
    "farsock": float, "ratio": float, "goal": float, "floor": float, "of_floor": float,
    "met": bool,
}  # fmt: skip
SMALLEST = ["--rounds", "2", "--round-ms", "1"]


def bench(*args, env=None):
    return subprocess.run(
        [BENCH, *args],
        capture_output=True,
        text=True,
        env=dict(os.environ, **(env or {})),
    )


def check_form(row):
    for key, kind in PLAIN_KEYS.items():
        value = row[key]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        check(value is None or isinstance(value, kind), f"{key} is {value!r} in", row)
    check(row["better"] in ("higher", "lower"), row)
    check(row["farsock"] is not None, row)
    check_equal(row["met"] is None, row["goal"] is None, f"goal and verdict of {row}")
    if row["goal"] is not None:
        got = round(row[row["goal_is_of"]], 2)
        good = got >= row["goal"] if row["better"] == "higher" else got <= row["goal"]
        check_equal(row["met"], good, f"verdict on {row}")


@test
def names():
    """bench --list prints each name once; a wrong pattern is told which exist."""
    listed = bench("--list").stdout.splitlines()
    check("AMP: write 64 KiB" in listed, listed)
    check_equal(len(set(listed)), len(listed), "different names")
    wrong = bench("no such work")
    check(wrong.returncode != 0, "a pattern without a match is no success")
    check_equal(wrong.stderr.splitlines()[1:], listed, "what there is")
    broken = bench("(")
    check(broken.returncode != 0 and "bad pattern (" in broken.stderr, broken)
    none = bench("--congestion", "none")
    check(none.returncode == 2 and "there are: " in none.stderr, none)


@test
def report():
    """A small run's report has the form that programs read, and adds up."""
    with tempfile.TemporaryDirectory() as out:
        pattern = "^one core: (write 64 KiB|round trip|MicroPython round trip)$"
        # Where it may be chosen: not in a container whose /proc/sys is read only.
        may = sides.may_choose_congestion()
        control = ["--congestion", "reno"] if may else []
        ran = bench(*SMALLEST, *control, "--out", out, pattern)
        check(ran.returncode == 0, ran.stdout, ran.stderr)
        rows = json.loads(Path(out, "report.json").read_text())
        text = Path(out, "report.md").read_text()
    check(("TCP with reno" if may else "TCP with ") in text.replace("\n", " "), text)
    for row in rows:
        check_form(row)
        check(row["name"] in ran.stdout and row["name"] in text, "told:", row)
    found = {row["name"]: row for row in rows}
    check_equal(len(found), len(rows), "rows of different names")
    for name in ("write 64 KiB", "round trip", "MicroPython round trip"):
        row = found[name]
        check(min(row["native"], row["farsock"], row["ratio"]) > 0, row)
        check(min(c["cpu_ns"] for c in row["cost"].values()) > 0, row)
    # farsockd sleeps, and is kicked: so the bytes went over the link. Near is not where
    # farsockd runs at once and has the answer before near can sleep.
    cost = found["round trip"]["cost"]["farsock"]
    check(cost["near_kicks"] > 0, cost)
    curve = list(found["round trip"]["latency_us"]["farsock"].values())
    check(curve == sorted(curve) and curve[0] > 0, curve)
    check(found["round trip"]["floor"] > 0, found["round trip"])
    check(found["round trip"]["of_floor"] > 0, found["round trip"])


WORK = stream("write 64 KiB", "write", 64 * KIB, floor=("floor", "write"))


class FakeSide:
    """A side whose rounds take the longer the later they are; what it costs grows."""

    started = []
    ns = collections.Counter()  # of the next round, by mode

    def __init__(self, far, mode, work, placement, name=None):
        self.far, self.mode, self.slept, self.rounds = far, mode, 0, 0
        self.name = name or mode
        self.near_pids, self.helpers, self.pids = [], [], [self]
        self.known = None
        FakeSide.started.append(self)

    def calibrate(self, ns, known):
        self.known, self.asked_ns = known, ns
        self.far.rung += 1000  # is of no round
        self.slept += 1000
        return known or 10

    def round(self):
        self.rounds += 1
        self.slept += 2
        self.far.rung += self.mode == "farsock"
        self.ns[self.mode] += {"native": 100, "farsock": 300, "floor": 200}[self.mode]
        return sides.Round(self.ns[self.mode], 10, 0, 1, collections.Counter())

    def syscalls(self):
        return [1, 2]

    def end(self):
        pass


class FakeFar:
    def __enter__(self):
        self.rung = 500
        return self

    def __exit__(self, *_):
        pass


@contextlib.contextmanager
def fakes():
    """rows.py measures these."""
    of_harness, of_rows = {"Far": FakeFar}, {
        "Side": FakeSide,
        "counters": lambda far: collections.Counter({"near doorbells": far.rung}),
        "switches": lambda pids: pids[0].slept,
        "memory": lambda pids: len(FakeSide.started),
    }  # fmt: skip
    replaced = [(module, name, getattr(module, name), new)
                for module, all_new in ((harness, of_harness), (rows, of_rows))
                for name, new in all_new.items()]  # fmt: skip
    FakeSide.started.clear()
    FakeSide.ns.clear()
    try:
        for module, name, _, new in replaced:
            setattr(module, name, new)
        yield
    finally:
        for module, name, old, _ in replaced:
            setattr(module, name, old)


@test
def instances():
    """The rounds of a work are shared among fresh programs, and costs are theirs alone."""
    with fakes():
        m = rows.Measurement(WORK, ONE).run(14, 1e6, trace=False)
    for mode in ("native", "farsock", "floor"):
        here = [side for side in FakeSide.started if side.mode == mode]
        check_equal([side.rounds for side in here], [3, 3, 2, 2, 2, 2], f"rounds of {mode}")
        check_equal([side.known for side in here], [None, *[10] * 5], "what is known")
        check_equal(len({side.far for side in here}), 6, "farsockds")
        check_equal(m.slept[mode], 28, f"sleeps of {mode}")
        check_equal(len(m.memory[mode]), 6, f"looks at the memory of {mode}")
    check_equal(m.counted["near doorbells"], 14, "doorbells of all rounds")
    check_equal([rows.shares_of(n) for n in (2, 3, 9)],
                [[1, 1], [1, 1, 1], [2, 2, 2, 1, 1, 1]], "shares")  # fmt: skip


@test
def pairs():
    """A ratio, and that of the floor, is of rounds that were made together."""
    m = rows.Measurement(WORK, ONE)
    for mode, times in {
        "native": (100, 200, 400),
        "farsock": (100, 100, 100),
        "floor": (50, 20, 80),
    }.items():
        m.rounds[mode] = [sides.Round(ns, 1, 0, 1, {}) for ns in times]
        m.slept[mode] = 0
    row = rows.paired_row(m, "x", "MB/s", "higher", None)
    check_equal(row["ratio"], 2.0, "of 1, 2 and 4")
    check_equal(row["floor"], 5.0, "of 2, 10 and 5")
    check_equal(row["of_floor"], 0.5, "of 0.5, 0.2 and 0.8, not 2 / 5")
    check_equal(row["of_floor_quartiles"], [0.2, 0.8], "quartiles")


@test
def beside_another():
    """A work's rounds take turns with those of the one beside it, which has another
    farsockd; what they cost is not counted, and its speed is that of paired rounds."""
    work = dataclasses.replace(WORK, floor=(), beside=WORK)
    with fakes():
        m = rows.Measurement(work, ONE).run(4, 1e6, trace=False)
    fars = {side.name: side.far for side in FakeSide.started[-4:]}
    check(fars["farsock"] is fars["native"] is not fars["farsock beside"], fars)
    check_equal({name: len(found) for name, found in m.rounds.items()},
                dict.fromkeys(fars, 12), "rounds, three times as many")  # fmt: skip
    check_equal(m.counted["near doorbells"], 12, "doorbells")
    check_equal({side.asked_ns for side in FakeSide.started}, {0.5e6}, "their time")
    for name, times in {
        "native": (100, 100, 400),
        "native beside": (50, 100, 200),
        "farsock": (400, 200, 100),
        "farsock beside": (100, 100, 100),
    }.items():
        m.rounds[name] = [sides.Round(ns, 1, 0, 1, {}) for ns in times]
    row = rows.share_row(m)
    check_equal((row["native"], row["farsock"]), (0.5, 0.5), "of 2, 1, 2; of 4, 2, 1")
    check_equal(row["ratio"], 0.5, "of 2/4, 1/2 and 2/1")
    check_equal(row["met"], False, "goal")


@test
def calibration():
    """What another instance needed is believed if a short round agrees."""
    side = sides.Side.__new__(sides.Side)
    side.work = WORK
    made = []

    def round_of(count):
        made.append(count)
        return sides.Round(count * 1000, count, 0, 1, {})

    side.round = round_of
    check_equal(side.calibrate(1e6, 1500), 1500, "half more than it takes")
    check_equal(made, [375], "one short round")
    check_equal(side.calibrate(1e6, 9000), 1000, "nine times as many")
    check_equal(side.calibrate(1e6, 100), 1000, "a tenth of it")
    check_equal(side.calibrate(1e6), 1000, "nothing known")


def marked(mark):
    """Processes that have the mark in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark.encode() in path.read_bytes():
                found.append(path.parent.name)
    return found


def ends_all(end):
    """Calls end(process) in the middle of a run; nothing of it stays."""
    mark = f"bench-test-{uuid.uuid4()}"
    with tempfile.TemporaryDirectory() as out:
        process = subprocess.Popen(
            [BENCH, "--rounds", "2", "--round-ms", "20", "--out", out],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=dict(os.environ, FARSOCK_BENCH_MARK=mark),
            start_new_session=True,
        )
        try:
            for line in process.stdout:
                if line.startswith("2/"):
                    break
            check(len(marked(mark)) > 1, "it runs more than itself")
            end(process)
            last = process.communicate(timeout=PATIENCE_S)[0].splitlines()[-1]
            check_equal(last, "bench: interrupted", "its last line")
            check_equal(process.returncode, 130, "exit status")
            until("nothing of it is left", lambda: not marked(mark))
        finally:
            process.kill()
            process.wait()
            for pid in marked(mark):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            process.stdout.close()


@test
def interrupted():
    """Ctrl-C ends a run and all that it started."""
    ends_all(lambda process: os.killpg(process.pid, signal.SIGINT))


@test
def terminated():
    """So does ending the program alone."""
    ends_all(lambda process: process.terminate())


if __name__ == "__main__":
    main()
