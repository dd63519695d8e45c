# A link whose bytes are counted, beside one that breaks every rule.
# SPDX-License-Identifier: MIT

import re

from harness import PATIENCE_S, check, diagnose, pattern, receive_all
from oracle import connected, wants


class Honest:
    """A stream of a near core's of its own; what it moves is compared."""

    def __init__(self, far, rng):
        self.far, self.rng = far, rng
        self.shell = far.shell()
        self.peer = connected(far, self.shell)
        self.peer.settimeout(PATIENCE_S)
        self.at = self.rounds = 0

    def talk(self):
        """Bytes both ways, all of them."""
        sh, at, size = self.shell, self.at, self.rng.randrange(1, 100000)
        sh.begin("out", f"sendn c {size}")
        got = receive_all(self.peer, size)
        check(got == pattern(at % 251, size), "a sent byte is wrong, after", at)
        check(sh.result("out") == str(size), "it was not all sent")
        sh.begin("in", f"recvn c {size}")
        self.peer.sendall(got)
        check(sh.result("in") == f"{size} good", "a received byte is wrong, after", at)
        self.at += size
        self.rounds += 1

    def close(self):
        wants(self.shell, "close c", "0")
        self.peer.close()


def violations(far):
    """How often farsockd counted each kind."""
    words = next(r for r in far.dump() if r[0] == "daemon")
    return {k: int(n) for k, n in re.findall(r"([a-z]+)=(\d+)", " ".join(words))}


def judge(far, resets, seconds):
    """farsockd has counted what was done to it, and told it, but not too often."""
    kinds = violations(far)
    diagnose(kinds)
    check(sum(kinds.values()) >= resets, "violations are counted:", kinds)
    told = [t for t in far.daemon.stderr.splitlines() if "): reset: " in t]
    check(told, "nothing is told of a reset")
    # A line for each kind and second.
    check(len(told) < 7 * (seconds + 2), len(told), "lines")
