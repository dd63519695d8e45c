#!/usr/bin/python3
# The instructions of a call are those of bench/counted.txt.
# SPDX-License-Identifier: MIT
# builds: plain

import shutil

from counting import TABLE, compiler, count, read_table
from harness import check, check_equal, diagnose, main, skip, test

SLACK = 0.03
HOW = "after a change that is meant: python3 tests/system/counting.py --write"


def compare(name):
    if not shutil.which("valgrind"):
        skip("no valgrind")
    wanted = read_table().get(compiler())
    if not wanted:
        skip(f"{TABLE.name} has no numbers of {compiler()}")
    found = count(name)
    check_equal(list(found), [row for row in wanted if row.split()[0] == name], "rows")
    wrong = []
    for row, n in found.items():
        diagnose(f"{row}: {n:.1f}, agreed {wanted[row]}")
        if n > wanted[row] * (1 + SLACK):
            wrong.append(f"{row}: {n:.0f} instructions, not {wanted[row]}")
        elif n < wanted[row] * (1 - SLACK):
            wrong.append(f"{row}: only {n:.0f} instructions: lower {TABLE.name}, {wanted[row]}")
    check(not wrong, "; ".join(wrong), f"({HOW})")


@test
def calls_of_a_link():
    """Calls of the library take the instructions that were agreed."""
    compare("link")


@test
def calls_under_farsock_run():
    """Calls of programs under farsock run do, too."""
    compare("run")


if __name__ == "__main__":
    main()
