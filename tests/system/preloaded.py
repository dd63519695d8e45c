# Unmodified programs over a link, and the same natively.
# SPDX-License-Identifier: MIT
import textwrap

from harness import FARSOCK, SANITIZED, Far, check, check_equal

RUN = [FARSOCK, "run", "--"]
PYTHON = "/usr/bin/python3"

if SANITIZED:
    print("1..0 # SKIP a sanitizer's run time must be loaded first")
    raise SystemExit


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
