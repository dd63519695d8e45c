# Where other people's programs run: natively, or over a link.
# SPDX-License-Identifier: MIT
"""A case starts servers and clients on a Stage and returns what they said. The
same case runs on each kind of stage, and says the same on all of them.

Natively all programs share a network namespace of the case's own. A program
over a link is in an empty one, and its farsockd in the first."""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "system"))

from harness import FARSOCK, Child, Failed, Far, Skipped, until  # noqa: E402

SERVER_S = 20  # until a server answers
CLIENT_S = 120  # until a client ends
# Debian keeps servers where a user's PATH does not look.
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/lib/git-core"
DATA = random.Random(1).randbytes(3 << 20)  # what is moved
DIGEST = hashlib.sha256(DATA).hexdigest()

# Which programs are near. Natively is the truth.
MODES = {
    "native": (False, False),
    "server": (True, False),
    "client": (False, True),
    "both": (True, True),
}
# The scheduler shares the processors among sessions before it does among
# processes: a farsockd in the session of a busy caller would be served less
# often than the programs that it is compared with.
ALONE = ("setsid",)
UDP_UNCONNECTED, TCP_LISTEN = "07", "0A"


class Differs(Failed):
    pass


def expect(got, want, what):
    """Against what is known, not against the other side."""
    if got != want:
        raise Differs(f"{what}: {str(got)[:200]!r}, not {str(want)[:200]!r}")


def which(name):
    return shutil.which(name, path=PATH)


@dataclass
class Moved:
    """What farsockd counted."""

    sockets: int = 0
    bytes: int = 0
    links: int = 0


def counted(far):
    """farsock dump's first record; farsock(1) names its fields."""
    (daemon,) = [r for r in far.dump() if r[0] == "daemon"]
    links, sockets, tx, rx = (int(n) for n in daemon[7:11])
    return Moved(sockets, tx + rx, links)


class Stage:
    def __init__(self, mode):
        self.near_server, self.near_client = MODES[mode]
        self.mode = mode
        self.started = []
        self.moved = Moved()

    def __enter__(self):
        self.far = Far(prefix=ALONE).__enter__()
        self.dir = self.far.dir
        self.net = self.far.net
        try:
            (self.dir / "data").write_bytes(DATA)
            self.far.link.chmod(0o666)  # for those that give up being root
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, kind, error, trace):
        try:
            self._stop_servers()
            if kind is None:
                self.moved = counted(self.far)
        finally:
            self._close(kind, error, trace)

    def _close(self, *why):
        self._stop_servers()
        self.far.__exit__(*(why or (None, None, None)))

    def _stop_servers(self):
        """Politely; then they and what they left behind are killed."""
        for child in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
        end = time.monotonic() + 5
        while time.monotonic() < end and any(
            c.process.poll() is None for c in self.started
        ):
            time.sleep(0.01)
        for child in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.kill()
        self.started.clear()

    # --- Programs ---

    def _start(self, near, command, env):
        # A group of its own, so that its children end with it.
        prefix = [*ALONE, FARSOCK, "run", "--"] if near else ALONE
        place = self.far.empty if near else self.net
        environment = {"PATH": PATH, "HOME": self.dir, "LC_ALL": "C", **env}
        if near:
            environment["FARSOCK_LINK"] = self.far.link
        child = Child([*prefix, *command], place, environment, self.dir)
        self.started.append(child)
        return child

    def server(self, *command, port=None, udp=None, **env):
        """Start it; wait until it has bound these ports."""
        child = self._start(self.near_server, command, env)
        for number in (port,) if isinstance(port, int) else port or ():
            self._wait(child, "tcp", TCP_LISTEN, number)
        if udp:
            self._wait(child, "udp", UDP_UNCONNECTED, udp)
        return child

    def _wait(self, child, kind, state, port):
        def there():
            if child.process.poll() is not None:
                raise Failed(f"{child} ended: {child.stderr[-500:]}")
            return self.bound(kind, state, port)

        until(f"{child} is at port {port}", there, SERVER_S)

    def bound(self, kind, state, port):
        """As the kernel of the namespace says."""
        lines = ""
        with self.net.inside():
            for name in (kind, kind + "6"):
                with contextlib.suppress(OSError):
                    lines += Path(f"/proc/thread-self/net/{name}").read_text()
        rows = [line.split() for line in lines.splitlines()]
        return any(r[1].endswith(f":{port:04X}") and r[3] == state for r in rows)

    def begin(self, *command, **env):
        """A client that runs beside others."""
        return self._start(self.near_client, command, env)

    def finish(self, child, status=0, seconds=CLIENT_S):
        """Its output."""
        timer = threading.Timer(seconds, child.kill)
        timer.start()
        try:
            out = child.end(status, seconds + 5)
        finally:
            timer.cancel()
        # What it started may still run on purpose; it ends with the stage.
        return "\n".join(out)

    def client(self, *command, status=0, seconds=CLIENT_S, **env):
        """Run it to its end; its output."""
        return self.finish(self.begin(*command, **env), status, seconds)

    def native_server(self, *command, port, **env):
        """A server beside farsockd, on every stage."""
        self._wait(self._start(False, command, env), "tcp", TCP_LISTEN, port)

    def native(self, *command, status=0, seconds=CLIENT_S, **env):
        """A client beside farsockd, on every stage."""
        return self.finish(self._start(False, command, env), status, seconds)

    def shell(self, script, **more):
        """A client that is a line of shell."""
        return self.client("sh", "-c", script, **more)

    def prepare(self, script):
        """What needs no network."""
        done = subprocess.run(
            ["sh", "-ec", script],
            cwd=self.dir,
            env={**os.environ, "PATH": PATH, "HOME": str(self.dir)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Failed(f"{script}: {done.stderr[-500:]}")
        return done.stdout

    def write(self, name, text):
        path = self.dir / name
        path.write_text(text)
        return path

    def digest(self, name):
        return hashlib.sha256((self.dir / name).read_bytes()).hexdigest()

    def expect_file(self, name):
        expect(self.digest(name), DIGEST, name)


# --- Cases ---


@dataclass
class Case:
    name: str
    function: object
    needs: tuple
    fast: bool
    area: str
    moves: int  # bytes that farsockd must have moved at least

    @property
    def key(self):
        return self.function.__name__

    def missing(self):
        return [n for n in self.needs if not which(n)]


CASES = []


def case(*needs, fast=False, moves=1000):
    """Decorator: a case; its name is the first line of its text."""

    def add(function):
        name = function.__doc__.splitlines()[0].rstrip(".")
        area = function.__module__.rpartition(".")[2]
        CASES.append(Case(name, function, needs, fast, area, moves))
        return function

    return add


@dataclass
class Outcome:
    case: Case
    mode: str
    result: str  # "ok", "FAIL", "skipped"
    text: str  # what it said, or why
    moved: Moved
    seconds: float


def run_case(it, mode):
    """Run it on a stage of this kind."""
    start = time.monotonic()
    stage = Stage(mode)
    missing = it.missing()
    if missing:
        why = f"no {', '.join(missing)} here"
        return Outcome(it, mode, "skipped", why, stage.moved, 0)
    try:
        with stage:
            said = it.function(stage)
        result, text = "ok", str(said)
        far = mode != "native"
        if far and (not stage.moved.sockets or stage.moved.bytes < it.moves):
            result, text = "FAIL", f"farsockd counted only {stage.moved}"
    except Skipped as e:
        result, text = "skipped", str(e)
    except Exception as e:  # whatever went wrong is this case's result
        result, text = "FAIL", f"{type(e).__name__}: {e}"
    return Outcome(it, mode, result, text, stage.moved, time.monotonic() - start)


def compare(outcomes):
    """{mode: what is wrong} of one case's outcomes, natively is the truth."""
    native = outcomes["native"]
    wrong = {}
    for mode, o in outcomes.items():
        if o.result == "FAIL":
            wrong[mode] = o.text
        elif o.result != native.result or o.text != native.text:
            wrong[mode] = f"{o.text[:300]!r}, natively {native.text[:300]!r}"
    return wrong


def load_cases():
    """All cases of programs/."""
    if not CASES:
        sys.path.insert(0, str(Path(__file__).parent))
        for path in sorted((Path(__file__).parent / "programs").glob("*.py")):
            __import__(f"programs.{path.stem}")
    return CASES
