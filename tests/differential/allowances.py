# Where what a link gives may differ from what the kernel gives.
# SPDX-License-Identifier: MIT
"""Each function is one allowance. It gets the program, the step's words and the
two results, and says whether it explains them. An allowance may only excuse a
step that leaves everything as it was, or else what follows differs too.

What a program cannot contain, because it differs by nature, is said where
programs are made: NEVER_SET, SHOWN and ADAPTED in programs.py. Not in a program
either: MSG_MORE on any socket, MSG_OOB sent on a stream, MSG_ERRQUEUE
(docs/differences.md, "Not carried"), and buffers that fill ("Time and
buffers")."""

PEEK = 0x2
MOST = 0.05  # of the programs may need any


def number(text):
    return int(text.split()[0]) if text.split() and text.split()[0].isdigit() else None


def peek_beyond_ring(program, words, native, far):
    """docs/differences.md: MSG_PEEK sees at most what the rx ring holds; of a
    datagram larger than the ring it gives EMSGSIZE."""
    if words[0] != "recv" or not int(words[3], 0) & PEEK:
        return False
    got, want = number(far), number(native)
    if want is None or want < program.ring - 64:
        return False
    return far.startswith("EMSGSIZE") or (got is not None and got <= program.ring)


ALLOWANCES = (peek_beyond_ring,)


def which(program, line, native, far):
    """The allowance's name, or None."""
    words = line.lstrip("!").split()
    for a in ALLOWANCES:
        if a(program, words, native, far):
            return a.__name__
    return None
