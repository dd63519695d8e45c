#!/usr/bin/python3
# Random programs of socket calls give the same over a link as natively.
# SPDX-License-Identifier: MIT
# timeout: 2700

import argparse
import contextlib
import importlib.machinery
import io
import os
import subprocess
import sys
import time

import harness
from harness import FULL, LONG, TOP, Failed
from harness import check_equal, diagnose, main, skip, test

RUN = TOP / "tests/differential/run"
PLANTED = TOP / "tests/differential/planted/run"
SECONDS = 60 if LONG else 25
harness.CASE_S = 1800 if FULL else SECONDS + 120  # a difference is shrunk


def differential(*args, program=RUN):
    """Run it; what it prints is the reason if it fails."""
    env = dict(os.environ, FARSOCK_BUILD=str(harness.BUILD))
    done = subprocess.run(
        [sys.executable, program, *args],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = done.stdout.splitlines()
    diagnose("\n".join(lines[-200:] if done.returncode else lines[-30:]))
    if done.returncode:
        raise Failed(f"{program} {' '.join(args)} ended with {done.returncode}")


def commit_seed():
    """A seed that is fresh for each commit: one commit is judged the same on
    every machine, and what differs there can be found again here."""
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=TOP, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return time.time_ns() // 1_000_000_000
    return int(done.stdout, 16) % 2**40


@test
def saved_programs():
    """Programs that once gave something else than natively."""
    differential("--count", "0")


@test
def fixed_seeds():
    """The programs of fixed seeds."""
    differential("--no-cases", "--seed", "1", "--seconds", str(SECONDS))


@test
def fresh_seeds():
    """Programs that nobody has run before this commit."""
    differential("--no-cases", "--seed", str(commit_seed()), "--seconds", str(SECONDS))


class Results:
    """In place of native and far sockets: programs that give what it says."""

    def __init__(self, *pairs):
        self.pairs = [([native], [far]) for native, far in pairs]

    def run(self, programs):
        return [self.pairs.pop(0) if self.pairs else (["0"], ["0"]) for _ in programs]


@test
def what_counts_as_a_difference():
    """Only what comes again each time is a difference; a crash is one at once."""
    sys.dont_write_bytecode = True
    run = importlib.machinery.SourceFileLoader("run", str(RUN)).load_module()
    args = argparse.Namespace(no_shrink=True, save=None, differences=3)
    differs, again = ("0", "1"), run.AGAIN
    for pairs, good in (
        ([], True),
        ([differs], True),
        ([differs] * again, True),
        ([differs] * (1 + again), False),
        ([differs] * again + [("1", "0")], True),
        ([("0", run.HUNG)] * run.AGAIN_HUNG, True),
        ([("0", run.HUNG)] * (1 + run.AGAIN_HUNG), False),
        ([("0", "executor ended with -11")], False),
    ):
        runner = run.Runner(Results(*pairs), args)
        with contextlib.redirect_stdout(io.StringIO()):
            runner.check([run.Program(["close s0"], seed=0)])
            end = runner.summary()
        check_equal(end, good, pairs)


@test
def bugs_to_plant():
    """Each of planted/bugs is about a line that is there, and compiles."""
    differential("--check", program=PLANTED)


@test
def planted_bugs():
    """Bugs that were put in are found."""
    if not LONG:
        skip("takes long: only in test-full, and there once")
    differential(program=PLANTED)


if __name__ == "__main__":
    main()
