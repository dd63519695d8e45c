#!/usr/bin/python3
# Links over ivshmem whose server is another's: what it gives may be cut.
# SPDX-License-Identifier: MIT

import fcntl
import mmap
import os
import socket
import struct

from harness import (
    NONCOHERENT,
    PATIENCE_S,
    Failed,
    Far,
    check,
    check_equal,
    in_thread,
    main,
    receive_all,
    skip,
    test,
    until,
)
from linkup import Near
from oracle import connected, wants

SIZE = 1 << 20
HALF = SIZE // 2
ONE = struct.pack("<Q", 1)
MAGIC = b"FASK"
NEAR, FAR = 1, 0  # their ids
F_SEAL_SEAL = 1


class Server:
    """Gives one farsockd this memory, and is the near core as well."""

    def __init__(self, path, memory):
        self.memory = memory
        self.bells = [os.eventfd(0, os.EFD_NONBLOCK) for _ in (FAR, NEAR)]
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.served = in_thread(self.serve)

    def serve(self):
        s, _ = self.listener.accept()
        say = lambda n, *fds: socket.send_fds(s, [struct.pack("<q", n)], list(fds))
        say(0)
        say(FAR)
        say(-1, self.memory)
        say(NEAR, self.bells[NEAR])
        say(FAR, self.bells[FAR])
        return s

    def ring(self):
        os.write(self.bells[FAR], ONE)

    def link_up(self):
        """What far_join_begin() and far_join_step() do."""
        m = mmap.mmap(self.memory, SIZE)

        def word(at, *value):
            if value:
                struct.pack_into("<I", m, at, *value)
            return struct.unpack_from("<I", m, at)[0]

        struct.pack_into("<4sIII", m, 0, MAGIC, word(HALF + 4), 0, 1)
        word(24, NEAR + 1)  # how we are rung
        self.ring()
        until("far has seen us", lambda: word(HALF + 16) == 1)
        word(16, word(HALF + 12))
        self.ring()
        until("far is ready", lambda: word(HALF + 20) == word(HALF + 12))
        word(20, 1)
        self.ring()
        m.close()

    def link_down(self):
        """As a near core that begins anew."""
        with mmap.mmap(self.memory, SIZE) as m:
            struct.pack_into("<I", m, 20, 0)
        self.ring()


def memory(kind, directory):
    if kind == "file":
        fd = os.open(directory / "memory", os.O_RDWR | os.O_CREAT)
    else:
        fd = os.memfd_create("test", os.MFD_ALLOW_SEALING if kind == "open" else 0)
    os.ftruncate(fd, SIZE)
    return fd


class FarOf(Far):
    """A farsockd on an ivshmem link of this kind of memory."""

    def __init__(self, kind, size=SIZE, rules=None):
        super().__init__()
        self.kind, self.size, self.rules = kind, size, rules

    def start(self):
        fd = memory(self.kind, self.dir)
        os.ftruncate(fd, self.size)
        self.server = Server(self.dir / "core", fd)
        self.options = ["--link", f"ivshmem:{self.dir / 'core'}"]
        if self.rules:
            conf = self.dir / "farsockd.conf"
            conf.write_text(self.rules, encoding="utf-8")
            self.options += ["--config", conf]
        super().start()
        self.server_end = self.server.served()


def cut(kind, linked):
    if NONCOHERENT:
        skip("emulated caches keep what was cut")
    with FarOf(kind) as far:
        sh = far.shell()
        peer = connected(far, sh)
        if linked:
            far.server.link_up()
            until("it is served", lambda: "a near core is there" in far.daemon.stderr)
        os.ftruncate(far.server.memory, 0)
        far.server.ring()
        told = "its memory was cut: it is served no more"
        until("it is told", lambda: told in far.daemon.stderr)
        if linked:
            until("its link ends", lambda: "core: the link ended" in far.daemon.stderr)
        # Back again, it is not used: pages that were missed are others now.
        os.ftruncate(far.server.memory, SIZE)
        far.server.ring()
        sh.begin("in", "recvn c 5000")
        peer.sendall(bytes(i % 251 for i in range(5000)))
        check_equal(sh.result("in"), "5000 good", "the other link")
        wants(sh, "close c", "0")
        check_equal(receive_all(peer), b"")
        check_equal(far.daemon.stderr.count(told), 1, "how often it is told")


@test
def memory_is_cut():
    """Memory cut under a link ends that link, and nothing else."""
    for kind in ("closed", "file"):
        cut(kind, linked=True)


@test
def memory_is_cut_early():
    """Memory cut before a near core came is an error of that link."""
    cut("closed", linked=False)


@test
def memory_is_sealed():
    """Memory that can be sealed cannot be cut any more."""
    with FarOf("open") as far:
        try:
            os.ftruncate(far.server.memory, 4096)
        except PermissionError:
            return
        raise Failed("it was cut")


@test
def own_memory_is_sealed():
    """What farsockd's own server gives can be neither cut nor sealed further."""
    with Far() as far:
        path = far.dir / "own"
        far.stop()
        far.options = ["--link", f"ivshmem:{path}"]
        far.start()
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(path))
            s.settimeout(PATIENCE_S)
            fds = []
            while not fds:
                _, fds, _, _ = socket.recv_fds(s, 8, 1)
        seals = fcntl.fcntl(fds[0], fcntl.F_GET_SEALS)
        os.close(fds[0])
        want = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | F_SEAL_SEAL
        check_equal(seals, want, "seals")


@test
def rules_by_name():
    """A link's rules are found by its name, which no other near core can take."""
    rules = "[policy board]\nlinks = ivshmem:core\ndefault = allow\n[policy]\ndefault = deny\n"
    with FarOf("open", rules=rules) as far:
        far.server.link_up()
        until("it is served", lambda: "a near core is there" in far.daemon.stderr)
        with Near(far.link, name=b"ivshmem:core"):
            sections = {r[2]: r[-2] for r in far.dump() if r[0] == "link"}
        far.server.link_down()
    check_equal(sections, {"ivshmem:core": "policy board", "ivshmem?core": "policy"})


@test
def memory_too_small():
    """Memory that holds no link is refused at the start."""
    try:
        with FarOf("closed", size=4096):
            pass
    except Failed as e:
        check("no ivshmem server" in str(e), e)
        return
    raise Failed("it was taken")


main()
