# What the scripts of this directory share.
# SPDX-License-Identifier: MIT

import sys

failures = 0
checks = 0


def short(value):
    text = repr(value)
    return text if len(text) < 200 else text[:200] + "..."


def same(got, want, what=""):
    global failures, checks
    checks += 1
    if got != want or type(got) != type(want):
        failures += 1
        print("not ok:", short(what), "got", short(got), "not", short(want))


def true(value, what):
    same(bool(value), True, what)


def fails(error, function, *args, **kwargs):
    """The call raises OSError(error), or the exception that error is."""
    global failures, checks
    checks += 1
    what = "nothing"
    try:
        function(*args, **kwargs)
    except Exception as e:
        what = repr(e)
        if isinstance(error, int):
            if type(e) is OSError and e.errno == error:
                return
        elif isinstance(e, error):
            return
    failures += 1
    print("not ok:", function, short(args), kwargs, "raised", what, "not", error)


def end():
    print("checks:", checks, "failures:", failures)
    sys.exit(1 if failures else 0)
