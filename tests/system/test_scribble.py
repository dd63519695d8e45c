#!/usr/bin/python3
# A near core that writes random words all over its memory while it is served,
# beside one whose bytes are counted.
# SPDX-License-Identifier: MIT
# timeout: 1200

import random
import time

import harness
from harness import FULL, TOP, Far, diagnose, main, skip, test
from honest import Honest, judge

SCRIBBLER = TOP / "tests/system/scribbler.py"
# Under ASan wherever that is built.
ASAN = TOP / "build/san-address/bin/farsockd"
SECONDS = 15 if not FULL else 180 if harness.BUILD.name == "build" else 40
ROUNDS, RESETS = 50, 10  # at least, however slow the machine
harness.CASE_S = 1000
if harness.BUILD.name == "build" and ASAN.exists():
    harness.FARSOCKD = ASAN


@test
def beside_an_honest_link():
    """Random words all over a link's memory end that link; its neighbour loses nothing."""
    if harness.BUILD.name == "noncoherent":
        skip("caches are emulated for near cores that are there")
    seed = random.randrange(1 << 31)
    diagnose(f"seed {seed}, {harness.FARSOCKD.relative_to(TOP)}")
    rng = random.Random(seed)
    with Far() as far:
        honest = Honest(far, rng)
        bad = far.near("/usr/bin/python3", SCRIBBLER, far.link, seed)
        begun, resets = time.monotonic(), 0
        while (
            time.monotonic() < begun + SECONDS
            or honest.rounds < ROUNDS
            or resets < RESETS
        ):
            honest.talk()
            while not bad.lines.empty():
                resets = int(bad.line().split()[1])
        bad.write("end\n")
        last = bad.end()[-1]
        diagnose(f"{honest.rounds} rounds, {honest.at >> 10} KiB each way; {last}")
        judge(far, resets, time.monotonic() - begun)
        honest.close()


main()
