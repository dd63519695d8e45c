# A case that runs over the kernel's sockets and over a link, and compares.
# SPDX-License-Identifier: MIT

import functools
import socket
import struct

from harness import Failed, Far, Native, diagnose, test

PORT = 5001  # each world is new, so every case may use the same one
UNPRIVILEGED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


def compare(far, native):
    """The two lists of "call -> result" must be the same."""
    different = False
    for i in range(max(len(far), len(native))):
        ours = far[i] if i < len(far) else "nothing"
        oracle = native[i] if i < len(native) else "nothing"
        different |= ours != oracle
        diagnose(f"{'  ' if ours == oracle else '! '}{oracle}")
        if ours != oracle:
            diagnose(f"  over the link: {ours}")
    if different:
        raise Failed("the link's results are not native ones")


def both(function):
    """Decorator: a case(world, shell), run natively and then over a link. What
    the shell answered must be the same; so must what the case itself checks."""

    @functools.wraps(function)
    def run():
        with Native() as native:
            oracle = native.shell()
            function(native, oracle)
        with Far() as far:
            near = far.shell()
            try:
                function(far, near)
            except Failed:
                for line in near.transcript:
                    diagnose(f"over the link: {line}")
                diagnose(f"natively: {oracle.transcript}")
                raise
            if near.transcript != oracle.transcript:
                compare(near.transcript, oracle.transcript)

    return test(run)


def wants(sh, call, result):
    """Make the call; its result is known."""
    got = sh(call)
    if got != result:
        raise Failed(f"{call}: {got}, not {result}")


def connected(world, sh, name="c"):
    """The shell's socket connected to a native peer; the peer's end."""
    listener = world.net.listener(PORT)
    sh(f"socket {name} 2 1")
    wants(sh, f"connect {name} 127.0.0.1 {PORT}", "0")
    peer, _ = listener.accept()
    listener.close()
    return peer


def accepted(world, sh, name="c"):
    """The same, with the connection coming from the native peer."""
    sh("socket listener 2 1")
    sh("setopt listener 1 2 1")
    wants(sh, f"bind listener 127.0.0.1 {PORT}", "0")
    wants(sh, "listen listener 5", "0")
    peer = world.net.connect(PORT)
    wants(sh, f"accept listener {name}", "0 127.0.0.1")
    return peer


def reset(s):
    """Close with a reset."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def end_of(s):
    """What comes until the end, and how it ends."""
    got = bytearray()
    while True:
        try:
            data = s.recv(65536)
        except ConnectionResetError:
            return bytes(got), "reset"
        if not data:
            return bytes(got), "end"
        got += data
