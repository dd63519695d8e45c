#!/usr/bin/python3
# farsockd is short of something, or the network is.
# SPDX-License-Identifier: MIT
# timeout: 900

import contextlib
import errno
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

from harness import (
    BUILD,
    FARSOCKD,
    NONCOHERENT,
    SANITIZED,
    Child,
    Far,
    Failed,
    Namespace,
    asleep,
    check,
    check_equal,
    descriptors,
    main,
    skip,
    test,
    until,
)
from linkup import Near, connect, hello, welcome
from oracle import PORT, wants

SHIM = BUILD / "test/scarcity.so"
PLAN = struct.Struct("5i")  # kind, left, count, error, hits
# What fails, and with what; numbers as in tests/scarcity/shim.c.
FAULTS = {
    "accept": (1, errno.EMFILE),
    "socket": (2, errno.EMFILE),
    "epoll_ctl": (3, errno.ENOSPC),
    "eventfd": (4, errno.ENFILE),
    "memfd_create": (5, errno.EMFILE),
    "mmap": (6, errno.ENOMEM),
    "malloc": (7, errno.ENOMEM),
    "pthread_create": (8, errno.EAGAIN),
    "dup": (9, errno.EMFILE),
    "ftruncate": (10, errno.ENOSPC),
    "sendmsg": (11, errno.ENOBUFS),
    "recvmsg": (12, errno.ENOMEM),
}  # 13 is test_policy's


class Plan:
    """The file by which the shim is told what fails."""

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="farsock-test-")
        self.set()

    def set(self, kind=0, left=0, count=0, error=0):
        os.pwrite(self.file.fileno(), PLAN.pack(0, left, count, error, 0), 0)
        os.pwrite(self.file.fileno(), struct.pack("i", kind), 0)  # the rest first

    @property
    def hits(self):
        return PLAN.unpack(os.pread(self.file.fileno(), PLAN.size, 0))[4]

    def env(self):
        return ["env", f"LD_PRELOAD={SHIM}", f"FAULTS={self.file.name}"]


def without_sanitizers():
    if SANITIZED:
        skip("a sanitizer's run time takes these calls itself")


# --- Each call that can fail, failing once, at each of its turns ---


def life(far):
    """What a near core does from its link to its end; the results. Whatever
    fails, each call comes back."""
    child = far.near(BUILD / "test/system/shell", "far")
    if child.line() != "ready":
        child.kill()
        return ["no link"]

    def sh(call):
        child.write(call + "\n")
        try:
            return child.line()
        except Failed as e:
            raise Failed(f"{call}: it does not come back after {results}") from e

    results = []
    results += [sh("socket l 2 1"), sh(f"bind l 127.0.0.1 {PORT}"), sh("listen l 5")]
    peer = far.net.socket()
    with contextlib.suppress(OSError):
        peer.connect(("127.0.0.1", PORT))
        for _ in range(3):  # EMFILE leaves it waiting, other errors lose it
            results += [sh("poll l 1 200"), sh("accept l c nowait")]
            if results[-1].startswith("0"):
                break
        results.append(sh("send c hello"))
        peer.sendall(b"hello")
        results += [sh("poll c 1 200"), sh("recv c 9 nowait")]
    for call in (
        "socket o 2 1", f"connect o 127.0.0.1 {PORT}", "send o hello",
        "socket u 2 2", "bind u 127.0.0.1 5353", "sendto u hello 127.0.0.1 5353",
        "poll u 1 200", "recv u 9 nowait", "lookup localhost 80 2 1", "ifaddrs",
        "socket s 10 1", "getopt s 1 3", "sendn o 100000 1000 nowait", "close o", "close u",
    ):  # fmt: skip
        results.append(sh(call))
    with contextlib.suppress(Failed):
        dump = Child([BUILD / "bin/farsock", "dump"], far.empty, far.env())
        results.append(str(len(dump.end(None)) > 1))
    peer.close()
    child.kill()
    return results


def links(far):
    return [r for r in far.dump() if r[0] == "link"]


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def sweep(name):
    """The n-th call fails, for each n that there is. How many were tried."""
    kind, error = FAULTS[name]
    plan = Plan()
    with Far(prefix=plan.env()) as far:
        good = life(far)
        until("no link", lambda: not links(far))
        tried = 0
        for n in range(1000):
            plan.set(kind, n, 1, error)
            got = life(far)
            hits = plan.hits
            plan.set()
            if not hits:
                break
            tried += 1
            check(got, f"{name} {n}")
            until(f"{name} {n}: its links end", lambda: not links(far))
            until(
                f"{name} {n}: descriptors are closed",
                lambda: descriptors(far.pid) <= far.baseline,
            )
            check(far.daemon.process.poll() is None, "farsockd ended")
        check_equal(life(far), good, f"after {tried} faults of {name}")
        until("farsockd sleeps", lambda: asleep(far.pid))
        check(cpu_s(far.pid) < 60, "it spins")
        return tried


@test
def each_call_fails_once():
    """Each call that can fail does so at each of its turns; all go on after it."""
    without_sanitizers()
    for name in FAULTS:
        if name == "pthread_create":
            continue  # at the start only
        tried = sweep(name)
        print(f"# {name}: {tried} faults", flush=True)
        check(tried > 0 or name == "dup", name, "never failed")


@test
def each_call_fails_for_a_while():
    """A call fails again and again, and then no more: all go on after it."""
    without_sanitizers()
    plan = Plan()
    with Far(prefix=plan.env()) as far:
        good = life(far)
        for name, (kind, error) in FAULTS.items():
            if name in ("pthread_create", "dup"):
                continue
            plan.set(kind, 0, 1 << 30, error)
            before = cpu_s(far.pid)
            if name == "accept":
                # The link's own listener: nothing spins while it cannot.
                waiting = connect(far.link)
                waiting.settimeout(0.5)
                with contextlib.suppress(TimeoutError, ConnectionResetError):
                    waiting.send(hello())
                    waiting.recv(1)
                check(cpu_s(far.pid) - before < 0.3, "it spins")
                waiting.close()
            else:
                life(far)
            check(plan.hits > 0, name, "never failed")
            plan.set()
            until(f"{name}: its links end", lambda: not links(far))
            check_equal(life(far), good, f"after {name}")


@test
def starting_while_it_is_scarce():
    """farsockd starts and serves, or ends with status 1 and one line."""
    without_sanitizers()
    net = Namespace(loopback=True)
    counts = {}
    conf_dir = tempfile.TemporaryDirectory(prefix="farsock-test-")
    conf = Path(conf_dir.name) / "farsockd.conf"
    for name, (kind, error) in FAULTS.items():
        for n in range(1000):
            plan = Plan()
            plan.set(kind, n, 1, error)
            with tempfile.TemporaryDirectory(prefix="farsock-test-") as d:
                # Without the filter: libseccomp makes a wrong one then.
                conf.write_text("[daemon]\nseccomp = no\n")
                child = Child(
                    [*plan.env(), FARSOCKD, "--config", conf, "--link", f"{d}/link"], net
                )
                while child.process.poll() is None and "listens at" not in child.stderr:
                    time.sleep(0.002)
                ended, hits = child.process.poll(), plan.hits
                plan.set()
                if ended is None:
                    with Near(f"{d}/link"):
                        pass
                    child.send_signal(signal.SIGTERM)
                    child.end(0)
                else:
                    check_equal(ended, 1, f"{name} {n}: {child.stderr}")
                    check_equal(child.stderr.count("farsockd: "), 1, child.stderr)
                check_equal(os.listdir(d), [], f"{name} {n}: left behind")
            if not hits:
                break
            counts[name] = n + 1
    print(f"# faults at the start: {counts}", flush=True)
    check(counts.get("malloc", 0) > 3 and counts.get("epoll_ctl", 0) > 3, counts)
    check(counts.get("pthread_create", 0) > 0, counts)
    net.close()


# --- Real limits ---


@test
def out_of_descriptors():
    """A near core that takes every descriptor gets EMFILE, in every call."""
    with Far(prefix=["prlimit", "--nofile=64:64"]) as far:
        sh = far.shell()
        wants(sh, "socket l 2 1", "0")
        wants(sh, f"bind l 127.0.0.1 {PORT}", "0")
        wants(sh, "listen l 50", "0")
        opened = 0
        while (result := sh(f"socket s{opened} 2 2")) == "0":
            opened += 1
        check_equal(result, "EMFILE")
        check(opened > 10, opened)
        peer = far.net.connect(PORT)
        wants(sh, "accept l c", "EMFILE")
        wants(sh, "accept l c", "EMFILE")
        for _ in range(3):
            wants(sh, "socket more 10 1", "EMFILE")
        # Names need a descriptor; sockets that are there do not.
        sh("lookup localhost 80 2 1")
        wants(sh, "sendto s0 hello 127.0.0.1 9", "5")
        until("farsockd sleeps", lambda: asleep(far.pid))
        wants(sh, "close s0", "0")
        wants(sh, "accept l c", "0 127.0.0.1")
        wants(sh, "send c hello", "5")
        check_equal(peer.recv(9), b"hello")
        for i in range(1, opened):
            wants(sh, f"close s{i}", "0")
        wants(sh, "lookup localhost 80 2 1", "1 127.0.0.1 80 type 1 proto 6")
        with Near(far.link):
            pass


@test
def out_of_memory():
    """With a limit on its address space farsockd refuses what does not fit."""
    without_sanitizers()
    with Far(["--log-level", "error"]) as far:
        used = int(re.search(r"VmSize:\s+(\d+)", Path(f"/proc/{far.pid}/status").read_text())[1])
        maps = 4 if NONCOHERENT else 1  # of each region
        limit = (used << 10) + maps * (24 << 20)
        no_limit = resource.RLIM_INFINITY
        resource.prlimit(far.pid, resource.RLIMIT_AS, (limit, no_limit))
        nears, status = [], 0
        while status == 0:
            s = connect(far.link)
            s.send(hello(sockets=16, tx_ring=65536, rx_ring=65536))
            w = welcome(s)
            status = w.status
            for fd in w.fds:
                os.close(fd)
            nears.append(s)
        check_equal(status, -errno.ENOMEM, w.text)
        check(len(nears) > 3, len(nears))
        for s in nears:
            s.close()
        until("no link", lambda: not links(far))
        resource.prlimit(far.pid, resource.RLIMIT_AS, (no_limit, no_limit))
        with Near(far.link, sockets=16, tx_ring=65536, rx_ring=65536):
            pass


if __name__ == "__main__":
    main()
