# What the system tests share: TAP, namespaces, farsockd, near programs.
# SPDX-License-Identifier: MIT
"""A near program runs in a network namespace that has nothing in it, farsockd
and its peers in another that has loopback. So nothing a test sees can have gone
past the link. Every wait is for an event and has an end."""

import contextlib
import ctypes
import fcntl
import os
import queue
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("FARSOCK_BUILD", TOP / "build")).resolve()
FULL = os.environ.get("FARSOCK_FULL") == "1"
SANITIZED = "san-" in BUILD.name
NONCOHERENT = BUILD.name == "noncoherent"  # emulated caches (docs/memory.md)
# Full sizes are the plain build's: what takes long finds little in each other one.
LONG = FULL and not SANITIZED and not NONCOHERENT
PATIENCE_S = 60 if SANITIZED else 20  # for one event
CASE_S = 900 if FULL or SANITIZED else 120  # for one test
REPORT = re.compile(r"(Address|Thread|Leak)Sanitizer|runtime error:")

FARSOCKD = BUILD / "bin/farsockd"
FARSOCK = BUILD / "bin/farsock"
# Under TSan the plain one: MicroPython's threads race among themselves.
MICROPYTHON = (TOP / "build" if BUILD.name == "san-thread" else BUILD) / "bin/micropython"
# The build with native sockets serves every variant of ours.
MICROPYTHON_NATIVE = next(
    (
        p
        for p in (BUILD / "bin/micropython-native", TOP / "build/bin/micropython-native")
        if p.exists()
    ),
    BUILD / "bin/micropython-native",
)


# --- TAP ---

_tests = []


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


class TimeLimit(Exception):
    pass


def test(function):
    """Decorator: a case, whose name is the first line of its text."""
    _tests.append(function)
    return function


def check(condition, *what):
    if not condition:
        raise Failed(" ".join(str(w) for w in what) or "check failed")


def check_equal(got, want, what=""):
    if got != want:
        raise Failed(f"{what}: got {got!r}, not {want!r}")


def skip(reason):
    raise Skipped(reason)


def needs_preload():
    """For cases with programs under farsock run."""
    if SANITIZED:
        skip("a sanitizer's run time must be loaded first")


def diagnose(text):
    for line in str(text).splitlines():
        print(f"# {line}", flush=True)


def _time_limit(_signal, _frame):
    raise TimeLimit(f"no end after {CASE_S} s")


def _terminated(_signal, _frame):
    raise SystemExit("terminated")


def _run_one(number, function):
    name = (function.__doc__ or function.__name__).splitlines()[0].rstrip(".")
    start = time.monotonic()
    result, why = "ok", ""
    signal.alarm(CASE_S)
    try:
        function()
    except Skipped as e:
        why = f" # SKIP {e}"
    except Exception as e:  # whatever went wrong is this case's failure
        result = "not ok"
        signal.alarm(0)
        diagnose(f"{type(e).__name__}: {e}")
        for frame in traceback.extract_tb(e.__traceback__):
            diagnose(f"  {Path(frame.filename).name}:{frame.lineno}: {frame.line}")
    finally:
        signal.alarm(0)
        _end_children(show=result != "ok")
    print(f"{result} {number} - {name}{why}", flush=True)
    diagnose(f"{time.monotonic() - start:.1f} s")
    return result == "ok"


def main():
    """Run the cases, or those whose name contains an argument."""
    as_root()
    signal.signal(signal.SIGALRM, _time_limit)
    signal.signal(signal.SIGTERM, _terminated)
    os.chdir(TOP)
    wanted = [
        t
        for t in _tests
        if len(sys.argv) < 2 or any(a in t.__name__ for a in sys.argv[1:])
    ]
    good = [_run_one(i, t) for i, t in enumerate(wanted, 1)]
    print(f"1..{len(wanted)}", flush=True)
    # Peers that still wait for what never came are daemon threads.
    sys.stdout.flush()
    os._exit(0 if all(good) else 1)


# --- Namespaces ---

_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def _call(function, *args):
    if function(*args) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), function.__name__)


def as_root():
    """Namespaces need root; anybody is root in a user namespace."""
    if os.geteuid() != 0:
        os.execvp("unshare", ["unshare", "-Urn", sys.executable, *sys.argv])


class Namespace:
    """A network namespace: empty, or with loopback only."""

    def __init__(self, loopback):
        with self._switched(lambda: _call(_libc.unshare, CLONE_NEWNET)):
            self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            if loopback:
                self._loopback_up()

    @staticmethod
    def _loopback_up():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            name = struct.pack("16sH", b"lo", 0).ljust(40, b"\0")
            flags = struct.unpack_from("H", fcntl.ioctl(s, SIOCGIFFLAGS, name), 16)[0]
            fcntl.ioctl(
                s,
                SIOCSIFFLAGS,
                struct.pack("16sH", b"lo", flags | IFF_UP).ljust(40, b"\0"),
            )

    @staticmethod
    @contextlib.contextmanager
    def _switched(switch):
        old = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            switch()
            yield
        finally:
            _call(_libc.setns, old, CLONE_NEWNET)
            os.close(old)

    def inside(self):
        """Context: this thread's new sockets and children are in here."""
        return self._switched(lambda: _call(_libc.setns, self.fd, CLONE_NEWNET))

    def close(self):
        os.close(self.fd)

    # Native sockets in here, for peers.

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM):
        with self.inside():
            s = socket.socket(family, kind)
        s.settimeout(PATIENCE_S)
        return s

    def listener(self, port=0, host="127.0.0.1", backlog=128):
        s = self.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, port))
        s.listen(backlog)
        return s

    def connect(self, port, host="127.0.0.1"):
        s = self.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        s.connect((host, port))
        return s

    def udp(self, port=0, host="127.0.0.1"):
        s = self.socket(kind=socket.SOCK_DGRAM)
        s.bind((host, port))
        return s


# --- Processes ---

_children = []


def _end_children(show):
    for child in reversed(_children):
        child.kill()
        if show:
            child.tell()
    _children.clear()


def inherit_orphans():
    """What children leave behind becomes ours, and ends with us."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_all_children():
    """Whatever still runs: also what was left behind, or interrupted at its start."""
    me = str(os.getpid())
    for _ in range(100):
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[1] == me and fields[0] != "Z":
                found.append(int(stat.parent.name))
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


class Child:
    """A process whose output is read line by line."""

    def __init__(self, command, namespace, env=None, cwd=None):
        self.command = [str(c) for c in command]
        self.errors = tempfile.TemporaryFile()
        self.seen = []
        environment = dict(os.environ, **{k: str(v) for k, v in (env or {}).items()})
        with namespace.inside():
            self.process = subprocess.Popen(
                self.command,
                env=environment,
                cwd=cwd or TOP,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
            )
        self.pid = self.process.pid
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        _children.append(self)

    def _read(self):
        with contextlib.suppress(ValueError):  # kill() closes it meanwhile
            for line in self.process.stdout:
                self.lines.put(line.decode(errors="replace").rstrip("\n"))
        self.lines.put(None)

    def line(self, seconds=PATIENCE_S):
        """The next line; None at the end of the output."""
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            raise Failed(f"{self}: no line in {seconds} s; {self.stderr}") from None
        self.seen.append(line)
        return line

    def expect(self, pattern, seconds=PATIENCE_S):
        """The match of the first line that the pattern fits."""
        while True:
            line = self.line(seconds)
            if line is None:
                raise Failed(f"{self} ended without {pattern!r}; {self.stderr}")
            match = re.search(pattern, line)
            if match:
                return match

    def silent(self):
        return self.lines.empty()

    def write(self, text):
        try:
            self.process.stdin.write(text.encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # its end is seen where its output is read

    def end(self, status=0, seconds=None):
        """Wait for the end; the rest of the output."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        rest = []
        while (line := self.line(seconds or CASE_S)) is not None:
            rest.append(line)
        got = self.process.wait(PATIENCE_S)
        self._check_reports()
        if status is not None and got != status:
            raise Failed(f"{self} ended with {got}; {rest[-5:]} {self.stderr}")
        return rest

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(Exception):
                pipe.close()

    @property
    def stderr(self):
        # Not by seeking: the place is the child's, too, who may write meanwhile.
        fd = self.errors.fileno()
        text = os.pread(fd, os.fstat(fd).st_size, 0)
        return text.decode(errors="replace").strip()

    def _check_reports(self):
        if REPORT.search(self.stderr):
            raise Failed(f"{self}: a sanitizer reports {self.stderr}")

    def tell(self):
        diagnose(f"{self}: status {self.process.returncode}")
        for line in self.seen[-20:]:
            diagnose(f"  | {line}")
        for line in self.stderr.splitlines()[-30:]:
            diagnose(f"  ! {line}")

    def __str__(self):
        name = " ".join(Path(c).name for c in self.command[:2])
        return f"{name} ({self.pid})"


def until(what, condition, seconds=PATIENCE_S):
    """Wait until condition() is true: for states that no event announces."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(0.005)
    return value


def asleep(pid):
    """True if every thread of the process waits for something."""
    tasks = Path(f"/proc/{pid}/task").glob("*/stat")
    try:
        return all(t.read_text().rpartition(")")[2].split()[0] == "S" for t in tasks)
    except (FileNotFoundError, ProcessLookupError):
        return False  # one has just ended


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def in_thread(function, *args):
    """A peer: returns a call that waits for its end and gives its result."""
    box = queue.Queue()

    def run():
        try:
            box.put((function(*args), None))
        except BaseException as e:  # handed to whoever joins
            box.put((None, e))

    threading.Thread(target=run, daemon=True).start()

    def join(seconds=CASE_S):
        try:
            value, error = box.get(timeout=seconds)
        except queue.Empty:
            raise Failed(f"{function.__name__}: no end in {seconds} s") from None
        if error:
            raise error
        return value

    return join


# --- The two cores ---


class Far:
    """A farsockd in a namespace of its own, and near programs on its link.

    At the end it must stop by itself with status 0, without a sanitizer's
    report, and hold no descriptor that it did not hold before."""

    def __init__(self, options=(), prefix=(), check_leaks=True):
        self.options = options
        self.prefix = prefix
        self.check_leaks = check_leaks

    def __enter__(self):
        self.net = Namespace(loopback=True)
        self.empty = Namespace(loopback=False)
        self.dir = Path(tempfile.mkdtemp(prefix="farsock-test-"))
        self.dir.chmod(0o777)
        self.link = self.dir / "link"
        self.daemon = None
        self.near_programs = []
        try:
            self.start()
        except BaseException:
            shutil.rmtree(self.dir, ignore_errors=True)
            raise
        return self

    def start(self):
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = self.dir / "notify"
        path.unlink(missing_ok=True)
        notify.bind(str(path))
        path.chmod(0o777)
        notify.settimeout(PATIENCE_S)
        self.daemon = Child(
            [*self.prefix, FARSOCKD, "--link", self.link, *self.options],
            self.net,
            {"NOTIFY_SOCKET": path},
        )
        # It may end instead of getting ready.
        notify.settimeout(0.1)
        for _ in range(PATIENCE_S * 10):
            try:
                if b"READY=1" in notify.recv(4096):
                    break
            except TimeoutError:
                pass
            if self.daemon.process.poll() is not None:
                raise Failed(f"farsockd does not start: {self.daemon.stderr}")
        else:
            raise Failed("farsockd does not get ready")
        notify.close()
        # What it told us with is closed when it sleeps.
        until("farsockd waits", lambda: asleep(self.pid))
        self.baseline = descriptors(self.pid)

    @property
    def pid(self):
        return self.daemon.pid

    def env(self, **more):
        return {"FARSOCK_LINK": self.link, **more}

    def near(self, *command, directory=None, **env):
        """A program on the near core: no network but the link's."""
        child = Child(command, self.empty, self.env(**env), directory)
        self.near_programs.append(child)
        return child

    def native(self, *command, directory=None, **env):
        """Its counterpart beside farsockd, with the kernel's sockets."""
        return Child(command, self.net, env, directory)

    def micropython(self, script, *args, **env):
        return self.near(MICROPYTHON, script, *args, **env)

    def shell(self, mode="far", **env):
        return Shell(self.near(program("shell"), mode, **env))

    def native_shell(self):
        return Shell(self.native(program("shell"), "native"))

    def dump(self):
        """farsock dump, as lists of words."""
        out = self.near(FARSOCK, "dump").end()
        return [line.split("\t") for line in out]

    def show(self):
        return self.near(FARSOCK, "show").end()

    def kill(self):
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.process.wait(PATIENCE_S)

    def stop(self):
        """End it as an init system would; what a user would find wrong."""
        if self.daemon.process.poll() is None and self.check_leaks:
            for child in self.near_programs:
                if child.process.poll() is None:
                    child.kill()
            until(
                "farsockd holds as many descriptors as before its links",
                lambda: descriptors(self.pid) <= self.baseline,
            )
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.end(0, PATIENCE_S)

    def __exit__(self, kind, error, trace):
        try:
            if kind is None and self.daemon.process.poll() is None:
                self.stop()
        finally:
            self.daemon.kill()
            for child in self.near_programs:
                child.kill()
            self.net.close()
            self.empty.close()
            shutil.rmtree(self.dir, ignore_errors=True)


class Native:
    """What Far is, with the kernel's sockets in place of the link: the oracle."""

    def __enter__(self):
        self.net = Namespace(loopback=True)
        return self

    def shell(self, **env):
        return Shell(Child([program("shell"), "native"], self.net, env))

    def __exit__(self, kind, error, trace):
        self.net.close()


def program(name):
    """A C program of this directory."""
    path = BUILD / "test/system" / name
    if not path.exists():
        raise Failed(f"{path} is not built: make tests-build")
    return path


class Shell:
    """tests/system/shell.c: one call for each line."""

    def __init__(self, child):
        self.child = child
        self.transcript = []
        self.pending = []
        if child.line() != "ready":
            raise Failed(f"shell: {child.seen} {child.stderr}")

    def __call__(self, call, seconds=PATIENCE_S):
        """Make the call; its result."""
        self.child.write(call + "\n")
        result = self._next(None, seconds)
        self.transcript.append(f"{call} -> {result}")
        return result

    def ask(self, call):
        """The result of a call that is made again until it is as wanted."""
        self.child.write(call + "\n")
        return self._next(None, PATIENCE_S)

    def begin(self, name, call):
        """Make the call in a thread of its own, called name."""
        self.child.write(f"{name}& {call}\n")

    def result(self, name, seconds=PATIENCE_S):
        """The result of the call that began under that name."""
        return self._next(name, seconds)

    def waits(self, name):
        """True if that call has not come back yet."""
        return not any(n == name for n, _ in self._drain())

    def _parse(self, line):
        if line is None:
            raise Failed(f"shell ended; {self.child.stderr}")
        match = re.match(r"(\w+): (.*)", line)
        return (match[1], match[2]) if match else (None, line)

    def _drain(self):
        while not self.child.lines.empty():
            self.pending.append(self._parse(self.child.line()))
        return self.pending

    def _next(self, name, seconds):
        while True:
            for i, (n, result) in enumerate(self.pending):
                if n == name:
                    del self.pending[i]
                    return result
            self.pending.append(self._parse(self.child.line(seconds)))

    @property
    def pid(self):
        return self.child.pid

    def end(self):
        self.child.end()


# Linux's numbers, as shell.c takes them.
INET, INET6, STREAM, DGRAM = 2, 10, 1, 2
IN, PRI, OUT, ERR, HUP, NVAL, RDHUP = 1, 2, 4, 8, 0x10, 0x20, 0x2000
PATTERN = bytes(i % 251 for i in range(251)) * 4200


def pattern(position, length):
    """What shell.c's sendn sends and recvn expects (up to 1 MiB at once)."""
    start = position % 251
    return PATTERN[start : start + length]


def receive_all(s, limit=1 << 40):
    """All bytes up to the end of the stream, or limit."""
    got = bytearray()
    while len(got) < limit and (data := s.recv(min(1 << 16, limit - len(got)))):
        got += data
    return bytes(got)
