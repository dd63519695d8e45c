#!/usr/bin/python3
# Signals and sleeping calls, natively and over a link.
# SPDX-License-Identifier: MIT
"""tests/system/signals.c runs natively beside farsockd and under farsock run;
what it prints must be the same, line by line."""

import contextlib
import platform
import signal
import tempfile
from pathlib import Path

from harness import (
    BUILD,
    PATIENCE_S,
    Far,
    check,
    check_equal,
    descriptors,
    main,
    skip,
    test,
    until,
)
from preloaded import RUN, unsanitized
from resolver import no_such_name, with_resolver


@test
def every_call():
    """A call that a signal comes to says what it says natively."""
    if BUILD.name == "san-thread":
        skip("TSan takes a handler that changes errno for a mistake")
    with Far() as far:
        want = far.native(unsanitized("signals")).end()
        child = far.near(*RUN, unsanitized("signals"))
        got = child.end()
        for line in zip(got, want):
            check_equal(*line)
        check_equal(len(got), len(want), child.stderr)
        check(len(got) > 300)


def answer_until(resolver, what, condition):
    """Answer whatever is asked, meanwhile."""

    def answered():
        with contextlib.suppress(BlockingIOError):
            query, who = resolver.recvfrom(2000)
            resolver.sendto(no_such_name(query), who)
        return condition()

    resolver.setblocking(False)
    until(what, answered)
    resolver.settimeout(PATIENCE_S)


def ask_interrupted(child, resolver):
    """A lookup whose question is there when a signal comes."""
    query, who = resolver.recvfrom(2000)
    child.write("\n")
    check_equal(child.line(), "asleep")
    resolver.sendto(no_such_name(query), who)
    answer_until(resolver, "it has its answers", lambda: not child.silent())
    return child.end()


@test
def names():
    """getaddrinfo() is not ended by a handler."""
    with tempfile.TemporaryDirectory(prefix="farsock-test-") as directory:
        prefix = with_resolver(Path(directory))
        with Far(prefix=prefix) as far:
            resolver = far.net.udp(53)
            ask = [unsanitized("signals"), "names", "nothing.example"]
            want = ask_interrupted(far.native(*prefix, *ask), resolver)
            got = ask_interrupted(far.near(*RUN, *ask), resolver)
            check_equal(got, want)
            check_equal(got, ["2, handled 1"])
            # The lookup that the signal ended has a socket until it is answered.
            answer_until(
                resolver,
                "farsockd asks nothing any more",
                lambda: descriptors(far.pid) <= far.baseline,
            )


@test
def leaves_by_longjmp():
    """A handler leaves a call by siglongjmp(); none runs in a forked child."""
    if BUILD.name == "san-thread":
        skip("TSan puts handlers off itself")
    with Far() as far:
        want = far.native(unsanitized("handlers")).end()
        check_equal(len(want), 28)
        check_equal(far.near(*RUN, unsanitized("handlers")).end(), want)


@test
def changed_registers():
    """A handler that changes registers changes nothing of a sleeping call."""
    if platform.machine() != "x86_64":
        skip("registers have other names here")
    with Far() as far:
        command = [unsanitized("handlers"), "registers"]
        check_equal(far.native(*command).end(), ["-1 EDOM"])
        check_equal(far.near(*RUN, *command).end(), ["-1 EINTR"])


FAULT = """if 1:
    import ctypes, signal, socket
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    s.sendto(b"some", s.getsockname())
    s.recv(1, socket.MSG_PEEK)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGSEGV])
    libc = ctypes.CDLL(None, use_errno=True)
    print(libc.recv(s.fileno(), ctypes.c_void_p(1), 4, 0), ctypes.get_errno())
"""


@test
def blocked_faults():
    """A bad pointer kills who blocks SIGSEGV; natively it is EFAULT."""
    with Far() as far:
        python = ["/usr/bin/python3", "-c", FAULT]
        check_equal(far.native(*python).end(), ["-1 14"])
        far.near(*RUN, *python).end(status=-signal.SIGSEGV)


main()
