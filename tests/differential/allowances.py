# Where what a link gives may differ from what the kernel gives.
# SPDX-License-Identifier: MIT
"""Each function is one allowance. It gets the program, the step's words and the
two results, and says whether it explains them. After a step that left the two
in different states (LAST) the rest of the program is not compared.

What a program cannot contain, because it differs by nature, is said where
programs are made: NEVER_SET, SHOWN and ADAPTED in options.py. Not in a program
either: MSG_MORE (on a stream a timer decides when bytes go), several urgent
bytes at once, IPV6_DONTFRAG with the longest datagrams, a second look at an
empty one of a raw IPv6 socket, and buffers that fill ("Time and buffers")."""

PEEK = 0x2
MOST = 0.05  # of the programs may need any


def number(text):
    return int(text.split()[0]) if text.split() and text.split()[0].isdigit() else None


def peeks(words):
    return words[0] in ("recv", "recvmsg") and int(words[3], 0) & PEEK


def peek_beyond_ring(program, words, native, far):
    """docs/differences.md: MSG_PEEK sees at most what the rx ring holds."""
    got, want = number(far), number(native)
    return peeks(words) and None not in (got, want) and program.ring - 64 <= got < want


def peek_of_large(program, words, native, far):
    """docs/differences.md: asked for more than the ring holds of a datagram that
    is larger it gives EMSGSIZE, and so not its sender."""
    if not peeks(words) or not far.startswith("EMSGSIZE") or number(native) is None:
        return False
    # The header and control data are in the ring, too.
    room = sum(map(int, words[2].split(",")))
    return min(room, number(native)) > program.ring - 600


def edge_again(program, words, native, far):
    """docs/differences.md: an entry with EPOLLET may tell of the end once more."""
    if words[0] != "epwait":
        return False
    told, also = (set(text.split()[1:]) for text in (native, far))
    edges = {w[2] for w in map(str.split, program.lines)
             if w[0] == "epctl" and int(w[3], 0) >> 31 & 1}  # fmt: skip
    return told < also and all(e.split(":")[0] in edges for e in also - told)


ALLOWANCES = (peek_beyond_ring, peek_of_large, edge_again)
LAST = (peek_of_large,)


def which(program, line, native, far):
    """The allowance, or None. Of two steps in a pair only one may differ."""
    words = line.lstrip("!").split()
    parts = [text.split(" | ") for text in (line, native, far)]
    if all(len(p) == 2 for p in parts):
        i = int(parts[1][0] == parts[2][0])
        if parts[1][1 - i] != parts[2][1 - i]:
            return None
        words = parts[0][i].split()[i:]  # after the second's delay
        native, far = parts[1][i], parts[2][i]
    for a in ALLOWANCES:
        if a(program, words, native, far):
            return a
    return None
