#!/usr/bin/python3
# The models of the protocol, beside the code that they model.
# SPDX-License-Identifier: MIT
# builds: plain
# timeout: 900
"""Each src/*/*.pml must hold as it is, and must be found wrong with each of its
steps left out: lines "// omit: NAME [NAME=VALUE] ..." in it name those, as
macros, with the least size that shows it. A line "// live: NAME" asks for an LTL
formula of that name, with weak fairness; "// full: NAME=VALUE" enlarges the model
in full runs. "// models: FILE: FUNCTION ..." says what code it is a model of, and
"// spec: HEADING" which part of SPEC.md: both must be there."""

import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import FULL, TOP, Failed, check, main, test

MODELS = sorted(TOP.glob("src/*/*.pml"))
LIMIT_S = 900 if FULL else 120


def named(path, word):
    text = path.read_text(encoding="utf-8")
    found = re.findall(rf"^// {word}: (\w+(?:=\w+)?(?: \w+=\w+)*)", text, re.M)
    return [words.split() for words in found]


def run(directory, *command):
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def search(path, defines, live=None):
    """The number of errors and of states, and what the first error was."""
    with tempfile.TemporaryDirectory(prefix="farsock-model-") as d:
        run(d, "spin", "-a", *(f"-D{x}" for x in defines), path)
        kind = [] if live else ["-DSAFETY", "-DNOCLAIM"]
        run(d, "gcc", "-O2" if FULL else "-O0", "-w", "-DVECTORSZ=4096",
            "-DMEMLIM=4000", *kind, "-o", "pan", "pan.c")  # fmt: skip
        out = run(d, "./pan", "-m1000000", *(["-a", "-f", "-N", live] if live else []))
    errors = re.search(r"errors: (\d+)", out)
    states = re.search(r"(\d+) states, stored", out)
    check(errors and states, out)
    check("max search depth too small" not in out, "the search was cut off")
    check("out of memory" not in out, "not enough memory for the search")
    what = re.search(r"^pan:\d+: (.*)", out, re.M)
    return int(errors[1]), int(states[1]), what[1] if what else ""


def enlarged(path):
    return sum(named(path, "full"), []) if FULL else []


def formulas(path):
    """None stands for what is checked in each state."""
    return [None, *sum(named(path, "live"), [])]


def holds(path):
    for live in formulas(path):
        errors, states, what = search(path, enlarged(path), live)
        print(f"# {path.stem}{' ' + live if live else ''}: {states} states")
        check(errors == 0, what)


def omission(path, defines):
    for live in formulas(path):
        errors, _, what = search(path, defines, live)
        if errors:
            print(f"# without {defines[0]}: {what}")
            return
    raise Failed(f"without {defines[0]} it holds as well")


def omissions(path):
    omitted = named(path, "omit")
    check(omitted, "no step is ever left out")
    with ThreadPoolExecutor(2) as pool:  # raises what one of them raised
        list(pool.map(lambda defines: omission(path, defines), omitted))


def add(path):
    def as_it_is():
        holds(path)

    def without():
        omissions(path)

    as_it_is.__doc__ = f"{path.relative_to(TOP)} holds"
    without.__doc__ = f"{path.relative_to(TOP)} fails without each of its steps"
    test(as_it_is)
    test(without)


@test
def names_code_that_is_there():
    """What a model says that it models is there: functions, and parts of SPEC.md."""
    spec = (TOP / "SPEC.md").read_text(encoding="utf-8")
    for path in MODELS:
        text = path.read_text(encoding="utf-8")
        modelled = re.findall(r"^// models: (\S+): (.+)$", text, re.M)
        headings = re.findall(r"^// spec: (.+)$", text, re.M)
        check(modelled and headings, f"{path.name} does not say what it models")
        for file, functions in modelled:
            code = (TOP / file).read_text(encoding="utf-8")
            for name in functions.split():
                body = re.search(rf"^\w[^;]*?\b{name}\([^;]*?\) \{{$", code, re.M)
                check(body, f"{path.name}: no {name}() in {file}")
        for heading in headings:
            found = re.search(rf"^##+ (\d+\. )?{re.escape(heading)}$", spec, re.M)
            check(found, f"{path.name}: no {heading!r} in SPEC.md")


for model in MODELS:
    if len(sys.argv) < 2 or Path(sys.argv[1]).stem == model.stem:
        add(model)

if __name__ == "__main__":
    sys.argv[1:] = []
    main()
