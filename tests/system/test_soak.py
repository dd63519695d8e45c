#!/usr/bin/python3
# Random work on thousands of sockets, and random faults (tests/soak).
# SPDX-License-Identifier: MIT
# timeout: 2700

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import harness
from harness import LONG, TOP, Failed, Namespace, diagnose, main, skip, test

# Other builds (TSan, emulated caches) have no layer that orders faults.
FAULTY = TOP / "build" / {
    "build": "faults",
    "san-address": "san-address-faults",
}.get(harness.BUILD.name, "none")
SECONDS = os.environ.get("FARSOCK_SECONDS") or ("600" if LONG else "60")
SEED = os.environ.get("FARSOCK_SEED") or str(random.randrange(1 << 31))
harness.CASE_S = int(SECONDS) * 2 + 300


@test
def soak():
    """Every byte is right, nothing hangs, and at the end nothing is left."""
    program = FAULTY / "test/soak"
    if not program.exists():
        skip(f"{program.relative_to(TOP)} is not built")
    with tempfile.TemporaryDirectory(prefix="farsock-soak-") as folder:
        with Namespace(loopback=True).inside():
            child = subprocess.Popen(
                [program, FAULTY / "bin/farsockd", Path(folder) / "link", SECONDS, SEED],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        for line in child.stdout:
            diagnose(line.removeprefix("# "))
        if child.wait():
            raise Failed(f"soak {SECONDS} {SEED} ended with {child.returncode}")


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    main()
