# What the tests of cores in QEMU share.
# SPDX-License-Identifier: MIT

import functools
import shutil

from harness import FARSOCK, FULL, TOP, Far, diagnose, skip

IMAGES = TOP / "build/qemu"
ARCHS = ("rv64", "rv32")
SIZE = (16 if FULL else 2) << 20


# argv: a port, how many bytes go there before all of the peer's come back, a host.
TRANSFER = """
import hashlib, socket, sys
port, size = int(sys.argv[1]), int(sys.argv[2])
to = socket.getaddrinfo(sys.argv[3], port, 0, socket.SOCK_STREAM)[0]
s = socket.socket(to[0])
s.connect(to[-1])
sent = hashlib.sha256()
piece = bytes(range(256)) * 40 + b"end"
left = size
while left:
    part = piece[:min(left, len(piece))]
    sent.update(part)
    s.write(part)
    left -= len(part)
got = hashlib.sha256()
count = 0
while data := s.recv(20000):
    got.update(data)
    count += len(data)
print(count, sent.digest().hex(), got.digest().hex())
s.close()
"""


def lacks(arch, image):
    if shutil.which(f"qemu-system-riscv{arch[2:]}") is None:
        return "no QEMU: apt install qemu-system-misc"
    if not (IMAGES / arch / f"{image}.elf").exists():
        return f"no image of {image} for {arch}: make qemu"
    return None


def needed(arch, image="micropython"):
    if why := lacks(arch, image):
        skip(why)


def archs(image="micropython"):
    """Those that there are: make test builds MicroPython for the first only."""
    needed(ARCHS[0], image)
    why = {arch: lacks(arch, image) for arch in ARCHS}
    for reason in filter(None, why.values()):
        diagnose(reason)
    return [arch for arch in ARCHS if not why[arch]]


class FarOfCores(Far):
    """A farsockd that also waits for cores."""

    def __init__(self, cores=1):
        super().__init__()
        self.cores = cores

    def core(self, n=0):
        return self.dir / f"core{n}"

    def start(self):
        self.options = [
            word
            for n in range(self.cores)
            for word in ("--link", f"ivshmem:{self.core(n)}")
        ]
        super().start()

    def qemu(self, *words, n=0, arch="rv64", image="micropython"):
        """farsock qemu, as a child of the empty namespace."""
        needed(arch, image)
        tool = [FARSOCK, "--link", f"ivshmem:{self.core(n)}", "qemu", "--arch", arch]
        return self.near(*tool, "--image", IMAGES / arch / f"{image}.elf", *words)

    def script(self, text, *args, **more):
        path = self.dir / f"script{len(self.near_programs)}.py"
        path.write_text(text)
        return self.qemu(path, *args, **more)


def both():
    """The kinds of core for a case that is the same on both: one, in make test."""
    return archs() if FULL else archs()[:1]


def on_each(kinds):
    """Decorator: a case that is run on one kind of core after the other."""

    def decorate(case):
        @functools.wraps(case)
        def run():
            for arch in kinds():
                case(arch)

        return run

    return decorate


def lines(child, status=0):
    return [line.rstrip("\r") for line in child.end(status)]
