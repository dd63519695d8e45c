# Branches that inputs reach: for tests/fuzz/coverage.
# SPDX-License-Identifier: MIT
"""Which branches of our code inputs reach, as clang's coverage counts them.

A branch is one outcome of one condition: it is named by file, function, the
condition's text and the outcome, so that its name stays when lines move.
"""

import collections
import json
import os
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / "build/san-coverage-clang/fuzz"
OUT = TOP / "build/fuzz-coverage"


def tool(*args):
    return subprocess.run(args, check=True, capture_output=True, text=True).stdout


def targets():
    return sorted(p.name for p in BUILD.glob("*") if p.is_file())


def profile(name, paths, to, **environment):
    """Runs a target on inputs, in this order; what it said."""
    env = {"PATH": os.environ["PATH"], "LLVM_PROFILE_FILE": str(to), **environment}
    Path(to).unlink(missing_ok=True)
    done = subprocess.run(
        ["setarch", "-R", str(BUILD / name), *map(str, paths)], env=env, cwd=OUT,
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{name}: status {done.returncode}: {done.stderr[-300:]}")
    return done.stdout


def export(names, profiles, files):
    """What llvm-cov tells of the functions in these files."""
    merged = OUT / "merged.profdata"
    tool("llvm-profdata-14", "merge", "-o", str(merged), *map(str, profiles))
    objects = [f"-object={BUILD / n}" for n in names[1:]]
    text = tool(
        "llvm-cov-14", "export", str(BUILD / names[0]), *objects, "-skip-expansions",
        f"-instr-profile={merged}", *(str(TOP / f) for f in files),
    )  # fmt: skip
    return json.loads(text)["data"][0]["functions"]


class Sources:
    def __init__(self):
        self.lines = {}

    def text(self, file, where):
        """The condition between two places, in one line."""
        if file not in self.lines:
            self.lines[file] = (TOP / file).read_text().splitlines()
        line, column, last, end = where
        rows = self.lines[file][line - 1 : last]
        rows[-1] = rows[-1][: end - 1]
        rows[0] = rows[0][column - 1 :]
        rows = [re.sub(r"//.*", "", r) for r in rows[:-1]] + rows[-1:]
        return " ".join(" ".join(rows).split())


def is_constant(text):
    return re.fullmatch(r"\d+|true|false", text) is not None


def branches(functions, files):
    """{name of a branch: how often it was taken}, in the order of the sources."""
    wanted = {str(TOP / f): f for f in files}
    found = {}
    for f in functions:
        for line, column, last, end, yes, no, file, *_ in f["branches"]:
            path = wanted.get(f["filenames"][file])
            if path:
                where = (line, column, last, end)
                name = f["name"].rsplit(":", 1)[-1]
                old = found.get((path, where), (name, 0, 0))
                found[path, where] = (old[0], old[1] + yes, old[2] + no)
    result = {}
    sources = Sources()
    seen = collections.Counter()
    for (path, where), (name, yes, no) in sorted(found.items()):
        text = sources.text(path, where)
        if is_constant(text):
            continue
        seen[path, name, text] += 1
        nth = seen[path, name, text]
        head = f"{path} {name}: {text}" + (f" #{nth}" if nth > 1 else "")
        result[head + " [true]"] = yes
        result[head + " [false]"] = no
    return result
