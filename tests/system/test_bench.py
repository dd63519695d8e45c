#!/usr/bin/python3
# make bench: its names, its report, and that it ends what it started.
# SPDX-License-Identifier: MIT
# builds: plain

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import uuid
from pathlib import Path

from harness import (
    PATIENCE_S,
    TOP,
    check,
    check_equal,
    main,
    test,
    until,
)

BENCH = TOP / "scripts/bench"
PLAIN_KEYS = {
    "name": str, "placement": str, "unit": str, "better": str, "native": float,
    "farsock": float, "ratio": float, "goal": float, "floor": float, "met": bool,
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


@test
def report():
    """A small run's report has the form that programs read, and adds up."""
    with tempfile.TemporaryDirectory() as out:
        pattern = "^one core: (write 64 KiB|round trip|MicroPython round trip)$"
        ran = bench(*SMALLEST, "--out", out, pattern)
        check(ran.returncode == 0, ran.stdout, ran.stderr)
        rows = json.loads(Path(out, "report.json").read_text())
        text = Path(out, "report.md").read_text()
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
