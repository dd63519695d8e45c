# The processes of a measurement: a near program with its peer, over a link,
# natively, or through the floor; rounds of it, and what they cost.
# SPDX-License-Identifier: MIT

import collections
import contextlib
import ctypes
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import harness
from works import AMP, BSD, FREE, ONE, PORT, RISCV, RUN

PROGRAMS = harness.BUILD / "bench"
SCRIPTS = harness.TOP / "bench"
RISCV_LIBRARY = harness.TOP / "build/qemu/rv64/libfarsock.a"
LIMIT_S = 3600  # of anything that is left behind
PR_SET_PDEATHSIG = 1
COUNTERS = ("kicks", "doorbells", "wakeups", "rescues", "spurious")
LINK_NEAR, LINK_FAR = 11, 16  # columns of a link in farsock dump
CPU_CLOCK = 2  # of a process, see clock_getcpuclockid(3)

Round = collections.namedtuple("Round", "ns ops lost cpu_ns times")


# A near core of its own has time to look for an answer before it sleeps.
NEAR_ENV = {AMP: {"FARSOCK_BUSY_POLL": "100"}}


def cpus_of(placement):
    """Where the near program runs, and where farsockd and the peer do."""
    cpus = sorted(os.sched_getaffinity(0))
    return {
        ONE: ({cpus[0]}, {cpus[0]}),
        FREE: (None, None),
        AMP: ({cpus[0]}, {cpus[1]}) if len(cpus) > 1 else None,
    }[placement]


def allow_descriptors():
    """As many as the administrator lets us have."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


CONGESTION = Path("/proc/sys/net/ipv4/tcp_congestion_control")


def congestion_controls():
    """Those that a network namespace may make its own, the machine's first."""
    allowed = CONGESTION.with_name("tcp_allowed_congestion_control").read_text().split()
    return list(dict.fromkeys([CONGESTION.read_text().strip(), *allowed]))


def may_choose_congestion():
    """Anybody may in a namespace of his own, but where /proc/sys is read only."""
    return not os.statvfs(CONGESTION).f_flag & os.ST_RDONLY


def use_congestion_control(far, name):
    """For all sockets that are made in the namespace from now on."""
    with far.net.inside():
        CONGESTION.write_text(name)


def lacking(placement, work):
    """Why that cannot be measured here, or None."""
    if placement == RISCV:
        name = os.path.relpath(RISCV_LIBRARY)
        return None if RISCV_LIBRARY.exists() else f"there is no {name} (make size)"
    if cpus_of(placement) is None:
        return "it needs two processors"
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if work.sockets + 100 > limit:
        return f"it needs more than {limit} descriptors (ulimit -n)"
    return None


def _bounded():
    """In a child: it ends with us, and some time."""
    signal.alarm(LIMIT_S)  # stays over exec
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _schedule(process, policy):
    with contextlib.suppress(OSError):
        os.sched_setscheduler(process.pid, policy, os.sched_param(0))


def _start_loop(cpu):
    with on_cpus({cpu}):
        loop = subprocess.Popen(["sh", "-c", "while :; do :; done"], preexec_fn=_bounded)
    _schedule(loop, os.SCHED_IDLE)
    return loop


def _end_loop(loop):
    # Where much else runs it gets no time otherwise, not even to die.
    _schedule(loop, os.SCHED_OTHER)
    loop.kill()
    loop.wait()


@contextlib.contextmanager
def busy_processors():
    """Keeps the host of a virtual machine from taking a processor away while
    it is idle: that would show as tails of milliseconds."""
    loops = []
    try:
        for cpu in sorted(os.sched_getaffinity(0)):
            loops.append(_start_loop(cpu))
        yield
    finally:
        for loop in loops:
            _end_loop(loop)


@contextlib.contextmanager
def on_cpus(cpus):
    """Children of this thread are bound to these processors."""
    old = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, cpus or old)
        yield
    finally:
        os.sched_setaffinity(0, old)


def cpu_ns(pids):
    return sum(time.clock_gettime_ns((~pid << 3) | CPU_CLOCK) for pid in pids)


def switches(pids):
    """How often threads slept."""
    total = 0
    for pid in pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            found = re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status.read_text(), re.M)
            total += int(found[1])
    return total


def memory(pids):
    """Bytes, what is shared divided among those who share it."""
    total = 0
    for pid in pids:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s*(\d+) kB", text, re.M)[1]) * 1024
    return total


def counters(far):
    """What both sides of all links have counted."""
    total = collections.Counter()
    for row in far.dump():
        if row[0] == "link":
            for i, name in enumerate(COUNTERS):
                total[f"near {name}"] += int(row[LINK_NEAR + i])
                total[f"far {name}"] += int(row[LINK_FAR + i])
    return total


class Side:
    """mode: native, farsock or floor. The ports of two are not the same."""

    def __init__(self, far, mode, work, placement, name=None):
        self.name = name or mode
        near_cpus, far_cpus = cpus_of(placement)
        self.far, self.mode, self.work = far, mode, work
        port = PORT + ["native", "farsock", "floor"].index(mode)
        program, *args = work.peer
        with on_cpus(far_cpus):
            self.peer = far.native(PROGRAMS / "native" / program, *args, port)
        self.peer.expect("ready")
        with on_cpus(near_cpus):
            env = NEAR_ENV.get(placement, {}) if mode == "farsock" else {}
            self.nears = [self._start(port, far_cpus, env) for _ in range(work.nears)]
        self.helpers = []
        for near in self.nears:
            found = near.expect(r"ready *(\d+)?", seconds=300)
            self.helpers += [int(found[1])] if found[1] else []
        self.near_pids = [near.pid for near in self.nears]
        if mode == "farsock":
            self.helpers.append(far.pid)
        self.pids = self.near_pids + self.helpers + [self.peer.pid]

    def _start(self, port, far_cpus, env):
        work = self.work
        args = [*work.first, port, *work.args]
        start = self.far.near if self.mode == "farsock" else self.far.native
        if self.mode == "floor":
            cpu = min(far_cpus) if far_cpus else -1
            program, what = work.floor
            return start(PROGRAMS / "native" / program, what, port, cpu, work.size or 1)
        if work.python:
            ours = self.mode == "farsock"
            program = harness.MICROPYTHON if ours else harness.MICROPYTHON_NATIVE
            return start(program, SCRIPTS / work.program, *args, **env)
        if self.mode == "farsock" and work.via == RUN:
            program = PROGRAMS / "native" / work.program
            return start(harness.FARSOCK, "run", program, *args, **env)
        kind = "bsd" if self.mode == "farsock" and work.via == BSD else self.mode
        return start(PROGRAMS / kind / work.program, *args, **env)

    def calibrate(self, ns, known=None):
        """Finds out how many operations take that long: as many as known, by another
        instance, unless a short round says that they are far from it."""
        if known:
            part = max(self.work.start, known // 4)
            took = self.round(part).ns * known / part
            self.count = known
            if ns / 2 < took < ns * 2:
                return known
        count = self.work.start
        for _ in range(12):
            took = self.round(count).ns
            if took > ns / 3:
                # Perhaps only because something else was running.
                took = min(took, self.round(count).ns)
            if took > ns / 3:
                break
            count *= max(2, min(10, int(ns / 2 / max(took, 1))))
        self.count = max(self.work.start, int(count * ns / took))
        return self.count

    def round(self, count=None):
        count = count or self.count
        before = cpu_ns(self.pids)
        for near in self.nears:
            near.write(f"{count}\n")
        results = [self._result(near) for near in self.nears]
        cpu = cpu_ns(self.pids) - before
        times = collections.Counter()
        for result in results:
            for pair in result[3:]:
                ns, n = pair.split(":")
                times[int(ns)] += int(n)
        return Round(
            max(int(r[0]) for r in results),
            sum(int(r[1]) for r in results),
            sum(int(r[2]) for r in results),
            cpu,
            times,
        )

    @staticmethod
    def _result(near):
        line = near.line(seconds=120)
        if line is None:
            raise harness.Failed(f"{near} has ended: {near.stderr}")
        return line.split()

    def syscalls(self):
        """How many an operation takes on the near side and on the far side."""
        if not shutil.which("strace"):
            return None
        count = max(self.work.start, self.count // 10)
        with contextlib.ExitStack() as stack:
            tracers = [
                stack.enter_context(tracer(pids))
                for pids in (self.near_pids, self.helpers)
                if pids
            ]
            ops = self.round(count).ops
            found = [t() / ops for t in tracers]
        return found if len(found) == 2 else [*found, 0.0]

    def end(self):
        for near in self.nears:
            near.end()
        self.peer.kill()


@contextlib.contextmanager
def tracer(pids):
    """strace -c of running processes; gives a call that ends it and counts."""
    command = ["strace", "-f", "-c", "-U", "calls,name"]
    for pid in pids:
        command += ["-p", str(pid)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def calls():
        process.send_signal(signal.SIGINT)
        found = re.search(r"(\d+) +total", process.communicate()[1])
        return int(found[1]) if found else 0

    try:
        for line in process.stderr:
            if "attached" in line:
                break
        yield calls
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
