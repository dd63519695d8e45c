#!/usr/bin/python3
# Either side is killed at every step of every call (tests/sweep).
# SPDX-License-Identifier: MIT
# timeout: 2700

import os
import random
import subprocess
import tempfile
from pathlib import Path

import harness
from harness import FULL, LONG, SANITIZED, TOP, Failed, Namespace, diagnose, main, skip, test

# Other builds (TSan, emulated caches) have no layer that orders faults.
FAULTY = TOP / "build" / {
    "build": "faults",
    "san-address": "san-address-faults",
}.get(harness.BUILD.name, "none")
SECONDS = 30 if SANITIZED else 20
SEED = os.environ.get("FARSOCK_SEED") or str(random.randrange(1 << 31))
CALL = os.environ.get("FARSOCK_CALL")  # one alone
harness.CASE_S = 2400 if FULL else 300


def run(name, *args):
    """A program of the build with faults; its lines."""
    program = FAULTY / "test" / name
    if not program.exists():
        skip(f"{program.relative_to(TOP)} is not built")
    with Namespace(loopback=True).inside():
        done = subprocess.run(
            [program, *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    diagnose("\n".join(line.removeprefix("# ") for line in done.stdout.splitlines()))
    if done.returncode:
        raise Failed(f"{name} {' '.join(map(str, args))} ended with {done.returncode}")


def sweep(*args):
    with tempfile.TemporaryDirectory(prefix="farsock-sweep-") as folder:
        run("sweep", FAULTY / "bin/farsockd", Path(folder) / "link", *args)


@test
def killed_anywhere():
    """Either side killed at a step of a call: nothing hangs, leaks or is lost."""
    if LONG:
        sweep("all", SEED, *([CALL] if CALL else []))
    else:
        sweep(str(SECONDS), SEED)


@test
def doorbells_wrong():
    """Doorbells that ring twice, late, early or 1000 times, or get lost."""
    sweep("bells" if LONG else f"bells{SECONDS // 2}", SEED)


@test
def reborn_in_fixed_memory():
    """Memory that stays: either side, or both, killed at each step and reborn."""
    run("lives", "all" if FULL else "5", SEED)


if __name__ == "__main__":
    main()
