#!/usr/bin/python3
# A plain C program, compiled unchanged for a near core with farsock/bsd.h.
# SPDX-License-Identifier: MIT

import os
import subprocess
import tempfile
from pathlib import Path

from harness import BUILD, SANITIZED, Far, check, check_equal, in_thread, main, program
from harness import skip, test

TOP = Path(__file__).resolve().parents[2]
PORT = 5001


def build(path, name):
    command = ["cc", "-D_GNU_SOURCE", "-Wall", "-Werror", f"-I{TOP / 'include'}"]
    command += ["-include", "farsock/bsd.h", "-o", path]
    command += ["-Wno-nonnull", TOP / f"tests/system/{name}.c"]
    command += [BUILD / "lib/libfarsock.a", "-pthread"]
    done = subprocess.run(command, capture_output=True, text=True)
    check(done.returncode == 0, done.stderr)


def echo(far):
    listener = far.net.listener(PORT)
    udp = far.net.udp(PORT)

    def stream():
        peer, _ = listener.accept()
        while data := peer.recv(1000):
            peer.sendall(data)
        peer.close()

    def datagrams():
        for _ in range(2):
            data, whence = udp.recvfrom(1000)
            udp.sendto(data, whence)

    joins = [in_thread(stream), in_thread(datagrams)]

    def end():
        for join in joins:
            join()
        listener.close()
        udp.close()

    return end


@test
def both_ways():
    """It prints the same as natively."""
    if SANITIZED:
        skip("the program is compiled without")
    with tempfile.TemporaryDirectory() as d, Far() as far:
        plain = os.path.join(d, "plain")
        build(plain, "plain")
        end = echo(far)
        oracle = far.native(program("plain"), "127.0.0.1", PORT).end()
        end()
        end = echo(far)
        ours = far.near(plain, "127.0.0.1", PORT).end()
        end()
        check(len(oracle) > 30, *oracle)
        check_equal(ours, oracle)


@test
def bad_pointers():
    """Bad pointers, descriptors and lengths give what they give natively."""
    if SANITIZED:
        skip("the program is compiled without")
    with tempfile.TemporaryDirectory() as d, Far() as far:
        faults = os.path.join(d, "faults")
        build(faults, "faults")
        # What is not one of bsd.h's names is not called there.
        oracle = far.native(program("faults"), "bsd").end()
        ours = far.near(faults, "bsd").end()
        check(len(oracle) > 900, len(oracle))
        check_equal(ours, oracle)


NATIVELY = """dup goes
of which recv EAGAIN
epoll_ctl goes
F_GETFL 0x2
F_SETFL goes
F_GETFL 0x802
F_SETFL goes
F_GETFD 0
F_SETFD goes
F_GETFD 1
F_GETOWN goes
F_DUPFD goes
handled
recv with a signal EINTR
child 0
then send goes
then recv goes""".splitlines()
# What docs/differences.md says of them.
OVER_A_LINK = {
    "of which recv EAGAIN": "of which recv EBADF",
    "epoll_ctl goes": "epoll_ctl EBADF",
    "F_GETOWN goes": "F_GETOWN EINVAL",
    "F_DUPFD goes": "F_DUPFD EINVAL",
    "recv with a signal EINTR": "recv with a signal goes",
}


def serve_apart(far, start, interrupts):
    listener = far.net.listener(PORT)
    child = start()
    first, _ = listener.accept()
    first.sendall(b"1")
    lines = []

    def second():
        listener.accept()[0].sendall(b"2")

    join = in_thread(second)
    while len(lines) < len(NATIVELY):
        line = child.line()
        lines.append(line)
        if line == "handled" and not interrupts:
            first.sendall(b"3")
        if line == "then send goes":
            check_equal(first.recv(10), b"x")
            first.sendall(b"4")
    join()
    listener.close()
    return lines + child.end()


@test
def told_apart():
    """Descriptors, fcntl(), signals, fork(): what a program can tell apart."""
    if SANITIZED:
        skip("the program is compiled without")
    with tempfile.TemporaryDirectory() as d, Far() as far:
        apart = os.path.join(d, "apart")
        build(apart, "apart")
        native = serve_apart(far, lambda: far.native(program("apart"), "127.0.0.1", PORT), True)
        check_equal(native, NATIVELY)
        ours = serve_apart(far, lambda: far.near(apart, "127.0.0.1", PORT), False)
        check_equal(ours, [OVER_A_LINK.get(line, line) for line in NATIVELY])


if __name__ == "__main__":
    main()
