#!/usr/bin/python3
# A near core that writes random words all over its memory while it is served,
# beside one whose bytes are counted.
# SPDX-License-Identifier: MIT
# timeout: 1200

import random
import re
import time

import harness
from harness import FULL, PATIENCE_S, TOP, Far, check, diagnose, main, pattern, receive_all, skip, test
from oracle import connected, wants

SCRIBBLER = TOP / "tests/system/scribbler.py"
# Under ASan wherever that is built.
ASAN = TOP / "build/san-address/bin/farsockd"
SECONDS = 15 if not FULL else 180 if harness.BUILD.name == "build" else 40
ROUNDS, RESETS = 50, 10  # at least, however slow the machine
MIB = 1 << 20
harness.CASE_S = 1000
if harness.BUILD.name == "build" and ASAN.exists():
    harness.FARSOCKD = ASAN


def talk(sh, peer, at, rng):
    """Bytes both ways on the honest link, all of them; how many."""
    size = rng.randrange(1, 100000)
    sh.begin("out", f"sendn c {size}")
    got = receive_all(peer, size)
    check(got == pattern(at % 251, size), "a sent byte is wrong, after", at)
    check(sh.result("out") == str(size), "it was not all sent")
    sh.begin("in", f"recvn c {size}")
    peer.sendall(got)
    check(sh.result("in") == f"{size} good", "a received byte is wrong, after", at)
    return size




@test
def beside_an_honest_link():
    """Random words all over a link's memory end that link; its neighbour loses nothing."""
    if harness.BUILD.name == "noncoherent":
        skip("caches are emulated for near cores that are there")
    seed = random.randrange(1 << 31)
    diagnose(f"seed {seed}, {harness.FARSOCKD.relative_to(TOP)}")
    rng = random.Random(seed)
    with Far() as far:
        sh = far.shell()
        peer = connected(far, sh)
        peer.settimeout(PATIENCE_S)
        bad = far.near("/usr/bin/python3", SCRIBBLER, far.link, seed)
        begun, at, rounds, resets = time.monotonic(), 0, 0, 0
        while time.monotonic() < begun + SECONDS or rounds < ROUNDS or resets < RESETS:
            at += talk(sh, peer, at, rng)
            rounds += 1
            while not bad.lines.empty():
                resets = int(bad.line().split()[1])
        bad.write("end\n")
        last = bad.end()[-1]
        kinds = next(r for r in far.dump() if r[0] == "daemon")
        counted = sum(int(n) for n in re.findall(r"[a-z]+=(\d+)", " ".join(kinds)))
        diagnose(f"{rounds} rounds, {at >> 10} KiB each way; {last}; {' '.join(kinds)}")
        check(counted >= resets, "violations are counted:", kinds)
        told = [t for t in far.daemon.stderr.splitlines() if "): reset: " in t]
        # A line for each kind and second.
        check(told, "nothing is told of a reset")
        check(len(told) < 7 * (time.monotonic() - begun + 2), len(told), "lines")
        wants(sh, "close c", "0")
        peer.close()


main()
