#!/usr/bin/python3
# A core that writes random words all over its memory and rings in storms, beside
# a link and a core whose bytes are counted.
# SPDX-License-Identifier: MIT
# timeout: 600
# builds: plain

import hashlib
import os
import random
import time

import harness
from cores import TRANSFER, FarOfCores, lines
from harness import FULL, TOP, check_equal, diagnose, in_thread, main, receive_all, test
from honest import Honest, judge, violations

ASAN = TOP / "build/san-address/bin/farsockd"
SECONDS = 30 if FULL else 5
ROUNDS, ENDED = 20, 10  # at least, however slow the machine
KINDS = {"ring", "index", "bell"}  # of violations, at least
SIZE = (16 if FULL else 1) << 20
if ASAN.exists():
    harness.FARSOCKD = ASAN
HONEST_CORE, HOSTILE_CORE = 0, 1


def core_moves(far, l, back):
    """Bytes of the core's both ways: what it was told, what the peer saw."""
    core = far.script(TRANSFER, l.getsockname()[1], SIZE, "127.0.0.1", n=HONEST_CORE)

    def peer():
        s, _ = l.accept()
        s.settimeout(harness.CASE_S)
        got = hashlib.sha256(receive_all(s, SIZE)).hexdigest()
        s.sendall(back)
        s.close()
        return got

    return core, in_thread(peer)


def beside(arch, core_too):
    rng = random.Random(seed := random.randrange(1 << 31))
    diagnose(f"{arch}, seed {seed}, {harness.FARSOCKD.relative_to(TOP)}")
    back = os.urandom(SIZE)
    with FarOfCores(2) as far, far.net.listener() as l:
        honest = Honest(far, rng)
        bad = far.qemu(n=HOSTILE_CORE, arch=arch, image="hostile")
        bad.expect("again")
        core, peer = core_moves(far, l, back) if core_too else (None, None)
        begun, ended = time.monotonic(), 0
        while (
            time.monotonic() < begun + SECONDS
            or honest.rounds < ROUNDS
            or ended < ENDED
            or not KINDS <= violations(far).keys()
        ):
            honest.talk()
            while not bad.lines.empty():
                ended = int(bad.line().split()[2])
        if core_too:
            want = f"{SIZE} {peer()} {hashlib.sha256(back).hexdigest()}"
            check_equal(lines(core), [want], "the other core")
        bad.write("\n")
        last = bad.end()[-1].strip()
        diagnose(f"{honest.rounds} rounds, {honest.at >> 10} KiB each way; {last}")
        judge(far, ENDED, time.monotonic() - begun)
        honest.close()


@test
def hostile_core():
    """Random words and storms of doorbells end that core's link; the others lose nothing."""
    beside("rv64", core_too=True)
    if FULL:
        beside("rv32", core_too=True)


if __name__ == "__main__":
    main()
