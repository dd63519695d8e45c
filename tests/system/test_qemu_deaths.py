#!/usr/bin/python3
# A core without an operating system, and farsockd: each dies, and comes back.
# SPDX-License-Identifier: MIT
# timeout: 900
# builds: plain

import signal

from cores import (
    ARCHS,
    IMAGES,
    TRANSFER,
    FarOfCores,
    archs,
    both,
    lines,
    needed,
    on_each,
)
from harness import (
    FARSOCK,
    PATIENCE_S,
    Far,
    check,
    check_equal,
    main,
    receive_all,
    test,
    until,
)

UNTIL_DEATH = """
import socket, sys, time
port = int(sys.argv[1])
def attempt(f, *args):
    try:
        return f(*args)
    except OSError as e:
        return e.errno
s = socket.socket()
s.connect(("127.0.0.1", port))
print("connected")
print(attempt(s.recv, 10))
print(attempt(s.recv, 10))
s.close()
while True:
    t = attempt(socket.socket)
    if not isinstance(t, int):
        break
    time.sleep_ms(20)
t.connect(("127.0.0.1", port))
t.write("back again")
print(t.read())
"""


def outlives(number, arch):
    with FarOfCores() as far, far.net.listener() as l:
        core = far.script(UNTIL_DEATH, l.getsockname()[1], arch=arch)
        core.expect("connected")
        peer, _ = l.accept()
        far.daemon.send_signal(number)
        far.daemon.process.wait(PATIENCE_S)
        check_equal(core.line().rstrip("\r"), "104")
        check_equal(core.line().rstrip("\r"), "b''")
        far.start()
        again, _ = l.accept()
        check_equal(receive_all(again, 10), b"back again")
        again.sendall(b"welcome")
        again.close()
        peer.close()
        check_equal(lines(core), ["b'welcome'"])


@test
@on_each(both)
def farsockd_dies(arch):
    """farsockd is killed, then another is stopped: the core's calls end at once,
    and when it is started again the core links up again."""
    for number in (signal.SIGKILL, signal.SIGTERM):
        outlives(number, arch)


WRITES = """
import socket, sys
s = socket.socket()
s.connect(("127.0.0.1", int(sys.argv[1])))
print("wrote", s.send(b"0123456789" * 1000))
s.recv(1)
"""


@test
@on_each(both)
def core_dies(arch):
    """The core is killed: what it wrote arrives, and the next core is served."""
    with FarOfCores() as far:
        for _ in range(3):
            with far.net.listener() as l:
                core = far.script(WRITES, l.getsockname()[1], arch=arch)
                peer, _ = l.accept()
                core.expect("wrote 10000")
                core.send_signal(signal.SIGKILL)
                core.end(None)
                check_equal(receive_all(peer), b"0123456789" * 1000)
        until(
            "farsockd has let go of the last core",
            lambda: not [row for row in far.dump() if row[0] == "socket"],
        )


RESETS = """
import socket, sys, _farsock
s = socket.socket()
s.connect(("127.0.0.1", int(sys.argv[1])))
s.send(b"alive\\n")
if s.recv(1) == b"r":
    s.send(b"last words\\n")
    _farsock.reset()
print("done")
"""


@test
@on_each(both)
def core_resets(arch):
    """The core resets itself with a connection open, three times."""
    with FarOfCores() as far, far.net.listener() as l:
        core = far.script(RESETS, l.getsockname()[1], arch=arch)
        for _ in range(3):
            peer, _ = l.accept()
            check_equal(receive_all(peer, 6), b"alive\n")
            peer.sendall(b"r")
            check_equal(receive_all(peer), b"last words\n")
        peer, _ = l.accept()
        check_equal(receive_all(peer, 6), b"alive\n")
        peer.sendall(b"x")
        check_equal(lines(core)[-1], "done")


@test
def two_cores():
    """Two cores at once, of both kinds, on links of their own."""
    with FarOfCores(2) as far, far.net.listener() as l:
        port = l.getsockname()[1]
        cores = [
            far.script(TRANSFER, port, 100000, "127.0.0.1", n=n, arch=arch)
            for n, arch in enumerate((ARCHS[0], archs()[-1]))
        ]
        peers = [l.accept()[0] for _ in cores]
        for peer in peers:
            peer.settimeout(60)
            got = receive_all(peer, 100000)
            peer.sendall(got[:5000])
            peer.close()
        for core in cores:
            check(lines(core)[0].startswith("5000 "), core.seen)


@test
def nobody_there():
    """Without farsockd, one line says so."""
    needed("rv64")
    with Far() as far:
        image = IMAGES / "rv64/micropython.elf"
        link = f"ivshmem:{far.dir}/none"
        core = far.near(FARSOCK, "--link", link, "qemu", "--image", image, "/dev/null")
        core.end(1)
        check("none" in core.stderr, core.stderr)


if __name__ == "__main__":
    main()
