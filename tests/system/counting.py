# Counts the instructions of bench/counted.c under callgrind.
# SPDX-License-Identifier: MIT
"""The agreed numbers are in bench/counted.txt: a row for each piece of work, a
column for each compiler. With --write this file brings the column of the
present build up to date. Only our own objects count, without copies: there is
other code for other processors."""

import os
import platform
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from harness import BUILD, FARSOCK, TOP, Far, as_root, check, check_equal

TABLE = TOP / "bench/counted.txt"
WORKS = {
    "link": ([], BUILD / "bench/farsock/counted"),
    "run": ([FARSOCK, "run", "--"], BUILD / "bench/native/counted"),
}
OURS = {"counted", "libfarsock-preload.so"}
COPIES = {"far_copy_short", "far_copy_wide"}
# callgrind's --dump-after takes no patterns.
ROWS = ["send", "recv", "recv_none", "sendto", "recvfrom", "poll"]


def compiler():
    """Of this build: gcc-12-x86_64."""
    # A wrapper may stand in front of it, and flags behind.
    words = (BUILD / "obj/flags").read_text(encoding="utf-8").split(" -")[0].split()
    version = subprocess.run(
        [*words, "-dumpversion"], capture_output=True, text=True, check=True
    ).stdout.strip().split(".")[0]
    name = "clang" if "clang" in words[-1] else "gcc"
    return f"{name}-{version}-{platform.machine()}"


def own(path):
    """Instructions of our functions in one file of callgrind's. The costs of a
    line follow its position; behind "calls=" they are those of the callee."""
    names, total = {}, Counter()
    where = {"ob": None, "fn": None}
    called = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"(c?)(ob|fn)=\((\d+)\)(?: (.*))?$", line):
            callee, what, number, name = match.groups()
            if name:
                names[what, number] = name
            if not callee:
                where[what] = names[what, number]
        elif line.startswith("calls="):
            called = True
        elif re.match(r"[+*\-\d]", line):
            if not called:
                total[Path(where["ob"] or "").name, where["fn"]] += int(line.split()[1])
            called = False
    return sum(
        n
        for (ob, fn), n in total.items()
        if ob in OURS and "row_" not in fn and fn not in COPIES
    )


def count(name):
    """Instructions per call: {"link send 64": 425.0, ...}"""
    prefix, program = WORKS[name]
    with Far() as far:
        out = far.dir / "out"
        command = [
            *prefix, "valgrind", "-q", "--tool=callgrind", "--collect-atstart=no",
            "--toggle-collect=row_*", *(f"--dump-after=row_{row}" for row in ROWS),
            f"--callgrind-out-file={out}", program, far.pid,
        ]  # fmt: skip
        lines = [line.split() for line in far.near(*command).end()]
        check(lines, "no rows")
        files = {int(f.suffix[1:]): f for f in far.dir.glob("out.*")}
        check_equal(sorted(files), list(range(1, len(lines) + 1)), "files of callgrind's")
        return {
            f"{name} {row} {size}": own(files[i]) / int(calls)
            for i, (row, size, calls) in enumerate(lines, 1)
        }


def read_table():
    """{compiler: {row: instructions}}"""
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    names = lines[0].split()[1:] if lines else []
    table = {name: {} for name in names}
    for line in lines[1:]:
        words = line.split()
        for name, n in zip(names, words[-len(names) :]):
            table[name][" ".join(words[: -len(names)])] = None if n == "-" else int(n)
    return table


def write_table(table):
    head = [l for l in TABLE.read_text(encoding="utf-8").splitlines() if l[:1] == "#"]
    rows = list(dict.fromkeys(row for column in table.values() for row in column))
    body = [f"{'row':18}" + "".join(f" {name:>16}" for name in table)]
    for row in rows:
        numbers = (column.get(row) for column in table.values())
        body.append(
            f"{row:18}" + "".join(f" {'-' if n is None else n:>16}" for n in numbers)
        )
    TABLE.write_text("\n".join([*head, *body]) + "\n", encoding="utf-8")


def main():
    as_root()
    os.chdir(TOP)
    table = read_table()
    found = {row: round(n) for name in WORKS for row, n in count(name).items()}
    if sys.argv[1:] == ["--write"]:
        table[compiler()] = found
        write_table(table)
    for row, n in found.items():
        print(f"{row:18} {n:8}")


if __name__ == "__main__":
    main()
