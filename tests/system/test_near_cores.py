#!/usr/bin/python3
# MicroPython on two near cores, and on one against MicroPython's own sockets.
# SPDX-License-Identifier: MIT

from certificates import make_certificates
from harness import (
    MICROPYTHON,
    MICROPYTHON_NATIVE,
    TOP,
    Far,
    check_equal,
    main,
    skip,
    test,
)
from oracle import PORT

SCRIPTS = TOP / "tests/system/near"


def start(far, kind, script, role):
    """A script over a link ("near") or over native sockets ("native")."""
    command = [SCRIPTS / script, role, PORT]
    if kind == "near":
        return far.near(MICROPYTHON, *command, directory=far.dir)
    return far.native(MICROPYTHON_NATIVE, *command, directory=far.dir)


def converse(script, server_lines, client_lines, prepare=None):
    """Server and client, each over a link and natively, but not both natively."""
    if not MICROPYTHON_NATIVE.exists():
        skip(f"no {MICROPYTHON_NATIVE.name}")
    for pair in (("near", "near"), ("near", "native"), ("native", "near")):
        with Far() as far:
            if prepare:
                prepare(far.dir)
            server = start(far, pair[0], script, "server")
            server.expect("^ready")
            client = start(far, pair[1], script, "client")
            check_equal(client.end(), client_lines, f"client of {pair}")
            check_equal(server.end(), server_lines, f"server of {pair}")


@test
def tcp():
    """TCP between near cores, and between a near core and native sockets."""
    converse(
        "tcp.py",
        [f"b'connection {kind}\\n' 1000700" for kind in ("read", "readinto", "recv")],
        ["read fine", "readinto fine", "recv fine", "refused 111"],
    )


@test
def udp():
    """UDP between near cores, and between a near core and native sockets."""
    converse("udp.py", ["end"], ["b'ended'", "empty 11"])


@test
def asyncio_streams():
    """asyncio between near cores, and between a near core and native sockets."""
    converse("aio.py", ["served 20"], ["clients 190"])


@test
def tls():
    """TLS between near cores, and between a near core and native sockets."""
    converse("tls.py", ["b'hello\\n'", "end"], ["end b''"], make_certificates)


if __name__ == "__main__":
    main()
