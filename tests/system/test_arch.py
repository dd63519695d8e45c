#!/usr/bin/python3
# Near programs of other processors, run by qemu, with this machine's farsockd.
# SPDX-License-Identifier: MIT
# timeout: 600
"""Both sides share the region: sizes, offsets and alignment of everything in it
must be the same for each processor's compiler. What qemu does not show is how
that processor orders memory: it does as this one's."""

import shutil

from content import Content, make_pool
from harness import (
    LONG,
    NONCOHERENT,
    PATIENCE_S,
    TOP,
    Far,
    check,
    check_equal,
    in_thread,
    main,
    skip,
    test,
)

ARCHS = ("riscv64", "aarch64")
PROGRAMS = TOP / "build/arch"
MIB = 1 << 20
SIZE = 32 * MIB if LONG else MIB
CONNECTIONS = 3
PORT = 5001
POSIX_CHECKS = 17


def emulated(arch, name):
    """The command for a program of that processor."""
    if NONCOHERENT:
        skip("a near core without such a cache")
    emulator = f"qemu-{arch}-static"
    if shutil.which(emulator) is None:
        skip("no emulator: apt install qemu-user-static")
    program = PROGRAMS / arch / name
    if not program.exists():
        skip("no programs for other processors: make arch")
    return emulator, program


def serve(pool, s, number):
    """Both directions of connection number at once; both sums."""
    s.settimeout(None)
    with s:
        sender = in_thread(Content(pool, 2 * number + 1).send, s, SIZE)
        taken = Content(pool, 2 * number).take(s, SIZE)
        return taken, sender()


def exchange(far, *command):
    """Streams both ways, on several connections; what each side says it saw."""
    pool_path = far.dir / "pool"
    pool = make_pool(pool_path, seed=len(str(command)))
    with far.net.listener(PORT) as listener:
        near = far.near(*command, "far", "connect", "127.0.0.1", PORT, pool_path,
                        CONNECTIONS, SIZE, 7001, 9001)  # fmt: skip
        peers = [listener.accept()[0] for _ in range(CONNECTIONS)]
    joins = [in_thread(serve, pool, s, i) for i, s in enumerate(peers)]
    lines = near.end()
    for i, line in enumerate(lines):
        taken, sent = joins[i]()
        check_equal(line.split(), [str(i), taken, sent], f"sums of connection {i}")
        check_equal(taken, Content(pool, 2 * i).sum(SIZE), "the seed's sum")
    check_equal(len(lines), CONNECTIONS, "connections")


@test
def streams():
    """Streams of each processor arrive as they were sent, both ways, by digest."""
    for arch in ARCHS:
        command = emulated(arch, "stream")
        with Far() as far:
            exchange(far, *command)


@test
def checks():
    """Its port passes every check: sleeping, requests, datagrams, death, rebirth."""
    for arch in ARCHS:
        command = emulated(arch, "port-posix")
        with Far() as far:
            near = far.near(*command, "hooks link")
            lines = []
            while (line := near.line()) is not None:
                lines.append(line)
                if line == "# far: restart":
                    far.kill()
                    far.start()
            near.process.wait(PATIENCE_S)
        bad = [line for line in lines if line.startswith("not ok")]
        check_equal(bad, [], arch)
        check_equal(lines[-1], f"1..{POSIX_CHECKS}", arch)
        check(not any("# SKIP" in line for line in lines), lines)


if __name__ == "__main__":
    main()
