# Unmodified programs over a link, and the same natively.
# SPDX-License-Identifier: MIT
import os
import subprocess
import textwrap

from harness import BUILD, FARSOCK, SANITIZED, Far, check, check_equal, program

PYTHON = "/usr/bin/python3"


def run_sanitized():
    """What farsock run does. The tool has the sanitizer in itself, and the program
    has none: its run time is loaded behind the library, which takes the program's
    calls first in every build."""
    kind = {"san-address": "ASAN", "san-thread": "TSAN"}[BUILD.name]
    name = f"-print-file-name=lib{kind.lower()}.so"
    run_time = subprocess.run(["gcc", name], capture_output=True, text=True, check=True)
    libraries = f"{BUILD}/lib/libfarsock-preload.so:{run_time.stdout.strip()}"
    # Of other people's programs nothing is known: what they leak is theirs.
    more = {
        "ASAN": "verify_asan_link_order=0:detect_leaks=0",
        "TSAN": "die_after_fork=0:ignore_noninstrumented_modules=1",
    }[kind]
    options = f"{kind}_OPTIONS={os.environ.get(f'{kind}_OPTIONS', '')}:{more}"
    return ["env", f"LD_PRELOAD={libraries}", options]


RUN = run_sanitized() if SANITIZED else [FARSOCK, "run", "--"]


def unsanitized(name):
    """A test program of C: it has no run time of its own."""
    return BUILD.parent / "test" / "system" / name if SANITIZED else program(name)


def both(script, *args, **env):
    """What a Python script prints natively, and what over a link."""
    text = textwrap.dedent(script)
    with Far() as far:
        want = far.native(PYTHON, "-c", text, *args).end()
        child = far.near(*RUN, PYTHON, "-c", text, *args, **env)
        got = child.end()
        check_equal(got, want, child.stderr)
        check(want, "the script says nothing")
        return got
