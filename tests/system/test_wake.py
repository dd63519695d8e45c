#!/usr/bin/python3
# Lost wake-ups: as many hand-shakes over a real link as fit into the time.
# SPDX-License-Identifier: MIT
# timeout: 900

import re

from harness import FULL, LONG, Far, check, check_equal, main, program, test

SECONDS = 60 if LONG else 15 if FULL else 3
LOST_S = 30
BASES = ("0", "0xffff0000")  # the second wraps after 64 KiB


@test
def no_wake_up_is_lost():
    """Nobody sleeps beside what came, however long it goes on, and no timer helps."""
    for base in BASES:
        with Far() as far:
            near = far.near(program("memory"), "hammer", SECONDS, 1, base, LOST_S)
            ok, counters = near.end(seconds=SECONDS + LOST_S)[-2:]
            shakes = int(re.fullmatch(r"ok (\d+)", ok)[1]) * 100
            print(f"# base {base}: {shakes} hand-shakes, {shakes // SECONDS} per second, {counters}")
            check_equal(re.match(r"rescues (\d+) (\d+)", counters).groups(), ("0", "0"))
            check(shakes > 0, "none")


if __name__ == "__main__":
    main()
