#!/usr/bin/python3
# Peers that write random words all over the memory of a link: a near core while
# it is served, and a far side while calls are made. Beside each an honest link.
# SPDX-License-Identifier: MIT
# timeout: 1200

import random
import time

import harness
from harness import (
    LONG,
    PATIENCE_S,
    TOP,
    Far,
    check,
    check_equal,
    diagnose,
    in_thread,
    main,
    skip,
    test,
)
from honest import Honest, judge

SCRIBBLER = TOP / "tests/system/scribbler.py"
# Under ASan wherever that is built.
ASAN = TOP / "build/san-address/bin/farsockd"
NEAR = TOP / "build/san-fuzz-clang/test/scribble_near"
SECONDS = 60 if LONG else 15
ROUNDS, RESETS = 50, 10  # at least, however slow the machine
LIVES, ECHOED = 5, 10000
# Connected, listening: what its sockets came to, among others.
STATES = 0x2 | 0x4
harness.CASE_S = 1000
if harness.BUILD.name == "build" and ASAN.exists():
    harness.FARSOCKD = ASAN


@test
def beside_an_honest_link():
    """Random words all over a link's memory end that link; its neighbour loses nothing."""
    if harness.BUILD.name == "noncoherent":
        skip("caches are emulated for near cores that are there")
    seed = random.randrange(1 << 31)
    diagnose(f"seed {seed}, {harness.FARSOCKD.relative_to(TOP)}")
    rng = random.Random(seed)
    with Far() as far:
        honest = Honest(far, rng)
        bad = far.near("/usr/bin/python3", SCRIBBLER, far.link, seed)
        begun, resets, states = time.monotonic(), 0, 0
        while (
            time.monotonic() < begun + SECONDS
            or honest.rounds < ROUNDS
            or resets < RESETS
        ):
            honest.talk()
            while not bad.lines.empty():
                resets, states = (int(n) for n in bad.line().split()[1:])
        bad.write("end\n")
        last = bad.end()[-1]
        diagnose(f"{honest.rounds} rounds, {honest.at >> 10} KiB each way; {last}")
        check_equal(states & STATES, STATES, "states of its sockets")
        judge(far, resets, time.monotonic() - begun)
        honest.close()


def echo(listener):
    """Gives back what it gets, to the end."""
    peer, _ = listener.accept()
    peer.settimeout(PATIENCE_S)
    with peer:
        while data := peer.recv(65536):
            peer.sendall(data)


@test
def a_far_side_that_scribbles():
    """Whatever a far side writes, calls end, and another link of the process loses nothing."""
    if harness.BUILD.name != "build":
        skip("one build of it, with ASan and UBSan, is enough")
    if not NEAR.exists():
        skip("it is built with clang: make SAN=fuzz CC=clang fuzz-build")
    seed = random.randrange(1 << 31)
    diagnose(f"seed {seed}")
    with Far() as far:
        listener = far.net.listener()
        done = in_thread(echo, listener)
        near = far.near(NEAR, SECONDS, seed, listener.getsockname()[1])
        said = near.end(0, SECONDS + 4 * PATIENCE_S)[-1]
        done()
        diagnose(said)
        lives, calls, _, echoed = (int(n) for n in said.split()[1::2])
        check(lives >= LIVES and calls > lives and echoed >= ECHOED, "it did too little:", said)


main()
