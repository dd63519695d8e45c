#!/usr/bin/python3
# farsockd as a program: options, configuration, its paths, its end, its peers.
# SPDX-License-Identifier: MIT

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path

from harness import (
    FARSOCKD,
    NONCOHERENT,
    PATIENCE_S,
    SANITIZED,
    TOP,
    Child,
    Far,
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
import linkup
from linkup import Near, connect, hello, refused, text_of, welcome
from steady import steadily

F_GET_SEALS = 1034
SEALS = 0x1 | 0x2 | 0x4  # seal, shrink, grow


def run(*args, prefix=(), **env):
    """farsockd to its end: status, output, errors."""
    done = subprocess.run(
        [*prefix, FARSOCKD, *args],
        env={**os.environ, **{k: str(v) for k, v in env.items()}},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def check_refused(done, status, *words):
    """It ended with status and one line that holds the words."""
    got, out, err = done
    check_equal(got, status, err)
    check_equal(out, "", "output")
    check(err.endswith("\n") and err.count("\n") == 1, "not one line:", repr(err))
    check(err.startswith("farsockd: "), repr(err))
    for word in words:
        check(word in err, repr(word), "is not in", repr(err))


@contextlib.contextmanager
def directory():
    path = Path(tempfile.mkdtemp(prefix="farsock-test-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def notify_socket(net, name):
    """A service manager's socket; name as in NOTIFY_SOCKET."""
    with net.inside():  # where abstract names are looked for
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with s:
        s.settimeout(PATIENCE_S)
        s.bind("\0" + name[1:] if name[0] == "@" else name)
        yield s


# --- Command line ---


@test
def help_and_version():
    """--help and --version print and end."""
    status, out, err = run("--help")
    check_equal((status, err), (0, ""))
    for option in ("--link", "--config", "--check-config", "--explain", "--log-level"):
        check(option in out, option)
    status, out, err = run("--version")
    check_equal((status, err), (0, ""))
    check(re.fullmatch(r"farsockd \d+\.\d+\.\d+\n", out), repr(out))


@test
def help_on_a_full_disk():
    """Output that cannot be written is an error."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [FARSOCKD, "--help"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    check_equal(done.returncode, 1)
    check_equal(done.stderr.count(b"\n"), 1)


@test
def bad_options():
    """Every wrong command line ends with status 2 and one line."""
    long = "/tmp/" + "x" * 103
    for args, *words in (
        (["--nonsense"], "--nonsense"),
        (["-x"], "-x"),
        (["--link"], "--link", "value"),
        (["--config"], "--config", "value"),
        (["--help=yes"], "--help=yes", "no value"),
        (["more"], "more"),
        (["--explain", "interfaces"], "--check-config"),
        (["--check-config", "--explain", "nonsense"], "nonsense"),
        (["--log-level", "loud"], "loud"),
        (["--log-level", ""], "log-level"),
        (["--config", "a", "--config", "b"], "twice"),
        (["--link", ""], "empty"),
        (["--link", long], "too long", "107"),
        (["--link", "/tmp/" + "y" * 5000], "too long"),
        (["--link", "/tmp/a", "--link", "/tmp/a"], "twice"),
        (["--link", "ivshmem:"], "empty"),
        ([w for i in range(17) for w in ("--link", f"/tmp/{i}")], "16"),
        (["--link", "/tmp/a\nb", "--nonsense\n"], "--nonsense?"),
    ):
        check_refused(run(*args), 2, *words)


# --- Configuration ---


def config(directory_, text):
    path = directory_ / "farsockd.conf"
    path.write_text(text, encoding="utf-8")
    return path


@test
def bad_configurations():
    """Every wrong configuration names its line."""
    with directory() as d:
        for text, line, *words in (
            ("[nonsense]\n", 1, "unknown section", "nonsense"),
            ("[]\n", 1, "unknown section"),
            ("[link\n", 1, "]"),
            ("sockets = 1\n", 1, "before any section"),
            ("[link]\n\nnonsense = 1\n", 3, "unknown key", "nonsense"),
            ("[daemon]\nsockets = 1\n", 2, "unknown key", "sockets"),
            ("[link]\nsockets\n", 2),
            ("[link]\nsockets =\n", 2, "no number"),
            ("[link]\nsockets = many\n", 2, "many", "no number"),
            ("[link]\nsockets = 12x\n", 2, "no number"),
            ("[link]\nsockets = -1\n", 2, "no number"),
            ("[link]\nsockets = 0\n", 2, "1 to 65535"),
            ("[link]\nsockets = 65536\n", 2, "1 to 65535"),
            ("[link]\nsockets = 99999999999999999999999\n", 2, "1 to 65535"),
            ("[link]\nsockets = 1K\n", 2, "no number"),
            ("[link]\nsockets = 1\nsockets = 2\n", 3, "twice"),
            ("[link]\n# c\n; c\ntags = 1025\n", 4, "1 to 1024"),
            ("[link]\ntx-ring = 1023\n", 2, "1024"),
            ("[link]\nrx-ring = 17M\n", 2, "16777216"),
            ("[link]\nrx-ring = 99999999999M\n", 2, "16777216"),
            ("[link]\nrx-ring = 1G\n", 2, "no number"),
            ("[link]\nsockets = 10\nmax-sockets = 9\n", 3, "above max-sockets"),
            ("[link]\nmax-links = 0\n", 2, "1 to 4096"),
            ("[link]\nlookups = 65\n", 2, "1 to 64"),
            ("[daemon]\nmode = 0888\n", 2, "octal"),
            ("[daemon]\nmode = 1777\n", 2, "777"),
            ("[daemon]\nlog-level = loud\n", 2, "loud"),
            ("[daemon]\nuser = no such\n", 2, "user", "no such"),
            ("[daemon]\ngroup = -1\n", 2, "group", "-1"),
            ("[daemon]\nallow-users = root, no-such\n", 2, "no-such"),
            ("[daemon]\nallow-groups =\n", 2, "nobody"),
            ("[daemon]\nseccomp = maybe\n", 2, "yes"),
            ("[link]\ntags = 10\nmax-tags = 9\n", 3, "above max-tags"),
            ("[link]\norphan-time = 0\n", 2, "1 to"),
            ("[daemon]\n  link = /tmp/a\n  link = /tmp/a\n", 3, "twice"),
            ("[daemon]\nlink =\n", 2, "empty"),
            (f"[daemon]\nlink = /{'x' * 107}\n", 2, "too long"),
            (f"[daemon]\nlink = /{'x' * 500}\n", 2, "too long"),
            ("[daemon]\nlink = ivshmem:\n", 2, "empty"),
            ("[link]\nivshmem-memory = 300K\n", 2, "power of two"),
        ):
            path = config(d, text)
            for args in (["--check-config"], ["--link", d / "link"]):
                done = run("--config", path, *args)
                check_refused(done, 1, f"{path}:{line}: ", *words)
        check_equal([p.name for p in d.iterdir()], ["farsockd.conf"])
        check_refused(run("--config", d / "none"), 1, str(d / "none"))
        check_refused(run("--config", d), 1, str(d))


@test
def check_config_reads_back():
    """--check-config prints a configuration that means the same."""
    with directory() as d:
        path = config(
            d,
            "\n; comment\n[daemon]\nlink = /tmp/a ; here\n  link=/tmp/b c\n"
            "log-level = debug\nmode = 777\n[link]\n\tsockets=7\ntx-ring = 2K\n"
            "rx-ring = 5000\nmax-ring = 16M\n",
        )
        status, out, err = run("--config", path, "--check-config")
        check_equal((status, err), (0, ""))
        for line in ("link = /tmp/a", "link = /tmp/b c", "log-level = debug",
                     "mode = 0777", "sockets = 7", "tx-ring = 2K",
                     "rx-ring = 5000", "max-ring = 16384K"):  # fmt: skip
            check(line in out.splitlines(), line, "is not in", out)
        again = run("--config", config(d, out), "--check-config")
        check_equal(again, (0, out, ""))
        empty = config(d, "")
        check_equal(run("--config", empty, "--check-config"), run("--check-config"))


@test
def command_line_wins():
    """The command line wins over the file."""
    with directory() as d:
        path = config(d, "[daemon]\nlink = /tmp/a\nlog-level = debug\n")
        args = ["--config", path, "--check-config"]
        _, out, _ = run(*args, "--link", "/tmp/b", "--log-level", "error")
        check("link = /tmp/b\n" in out and "/tmp/a" not in out, out)
        check("log-level = error\n" in out, out)


@test
def keys_are_documented():
    """farsockd.conf(5) and the example name every key with its default."""
    _, out, _ = run("--check-config")
    shown = dict(re.findall(r"^([a-z-]+) = (.*)$", out, re.M))
    page = (TOP / "docs/man/farsockd.conf.5").read_text(encoding="utf-8")
    keys = page.split(".Ss Sections policy")[0]
    documented = re.findall(r"^\.It Cm ([a-z-]+)$", keys, re.M)
    without = ["link", "group", "user", "allow-users", "allow-groups"]
    check_equal(sorted(documented), sorted([*shown, *without]))
    example = TOP / "packaging/farsockd.conf"
    with directory() as d:
        text = re.sub(r"^#(?=[a-z-]+ =)", "", example.read_text(), flags=re.M)
        status, given, err = run("--config", config(d, text), "--check-config")
    check_equal((status, err), (0, ""))
    check_equal(given.replace("link = /run/farsock/link\n", ""), out)
    check_equal(run("--config", example, "--check-config"), run("--check-config"))


# --- Start and end ---


def one_life(d, name, number):
    """Ready, then stopped by a signal; what it told the service manager."""
    far = Namespace(loopback=True)
    with notify_socket(far, name) as s:
        daemon = Child(
            [FARSOCKD, "--link", d / "link"], far, {"NOTIFY_SOCKET": name}
        )
        check("READY=1" in s.recv(4096).decode().splitlines())
        connect(d / "link").close()
        daemon.send_signal(number)
        check("STOPPING=1" in s.recv(4096).decode().splitlines())
        daemon.end(0)
    far.close()
    check(not (d / "link").exists(), "the path is still there")
    check(not (d / "link.lock").exists(), "the lock file is still there")


@test
def clean_life():
    """READY and STOPPING are told; SIGTERM and SIGINT end it and its path."""
    with directory() as d:
        one_life(d, str(d / "notify"), signal.SIGTERM)
        one_life(d, f"@farsock-test-{os.getpid()}", signal.SIGINT)


@test
def notify_that_fails():
    """A service manager that is not there is a warning only."""
    with directory() as d, Far() as far:
        child = Child(
            [FARSOCKD, "--link", d / "link"], far.net, {"NOTIFY_SOCKET": d / "none"}
        )
        until("the path", (d / "link").is_socket)
        until("the warning", lambda: "NOTIFY_SOCKET" in child.stderr)
        child.send_signal(signal.SIGTERM)
        child.end(0)


@test
def sighup_is_logged():
    """SIGHUP without a file to read again is logged, no more."""
    with Far() as far:
        far.daemon.send_signal(signal.SIGHUP)
        until("a line", lambda: "no --config" in far.daemon.stderr)
        with Near(far.link):
            pass


@test
def descriptor_limit():
    """The soft descriptor limit is raised to the hard one."""
    with Far(prefix=["prlimit", "--nofile=64:3000"]) as far:
        limits = Path(f"/proc/{far.pid}/limits").read_text(encoding="utf-8")
        check(re.search(r"Max open files\s+3000\s+3000", limits), limits)


# --- Paths ---


@test
def second_instance():
    """A second instance on the same path is refused, the first serves on."""
    with Far() as far:
        done = run("--link", far.link)
        check_refused(done, 1, str(far.link), "another farsockd", str(far.pid))
        other = far.dir / "other"
        check_refused(run("--link", other, "--link", far.link), 1, "another")
        check(not other.exists(), "the path that it had made is still there")
        with Near(far.link):
            pass


@test
def stale_path():
    """What a killed one leaves behind is taken over."""
    with Far() as far:
        far.kill()
        check(far.link.is_socket() and Path(f"{far.link}.lock").exists())
        far.start()
        with Near(far.link):
            pass
        check("left behind" in far.daemon.stderr, far.daemon.stderr)


@test
def race_for_a_stale_path():
    """Of several that start at once on a stale path one wins."""
    with Far() as far:
        far.kill()
        for _ in range(5):
            rivals = [
                Child([FARSOCKD, "--link", far.link], far.net) for _ in range(4)
            ]
            until(
                "three losers",
                lambda r=rivals: sum(c.process.poll() is not None for c in r) == 3,
            )
            winner = next(c for c in rivals if c.process.poll() is None)
            for loser in rivals:
                if loser is not winner:
                    check_equal(loser.process.returncode, 1, loser.stderr)
                    check("another farsockd" in loser.stderr, loser.stderr)
            until("the path", lambda: text_or_none(far.link))
            check(f"process {winner.pid}," in text_of(far.link, linkup.SHOW))
            winner.send_signal(signal.SIGKILL)
            winner.process.wait()
        far.start()


def text_or_none(path):
    with contextlib.suppress(OSError):
        return text_of(path, linkup.SHOW)
    return None


@test
def path_that_is_no_socket():
    """A path that is no socket is refused and left alone."""
    with directory() as d:
        path = d / "file"
        path.write_text("precious", encoding="utf-8")
        check_refused(run("--link", path), 1, str(path), "no socket")
        check_equal(path.read_text(encoding="utf-8"), "precious")
        (d / "dir").mkdir()
        check_refused(run("--link", d / "dir"), 1, "no socket")
        (d / "symlink").symlink_to(d / "nowhere")
        check_refused(run("--link", d / "symlink"), 1, "no socket")
        check_refused(run("--link", d / "no" / "where"), 1, str(d / "no/where"))
        names = sorted(p.name for p in d.iterdir())
        check_equal(names, ["dir", "file", "symlink"])


@test
def path_of_another_program():
    """A path that another program serves is refused and left alone."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
        with directory() as d, socket.socket(socket.AF_UNIX, kind) as s:
            s.bind(str(d / "link"))
            if kind != socket.SOCK_DGRAM:
                s.listen()
            check_refused(run("--link", d / "link"), 1, "another program")
            check((d / "link").is_socket())


@test
def longest_path():
    """A path of 107 bytes is served, one of 108 is refused."""
    with directory() as d:
        room = 107 - len(str(d)) - 1
        one_life_at = d / ("x" * room)
        check_refused(run("--link", f"{one_life_at}y"), 2, "too long")
        net = Namespace(loopback=True)
        child = Child([FARSOCKD, "--link", one_life_at], net)
        until("the path", one_life_at.is_socket)
        child.send_signal(signal.SIGTERM)
        child.end(0)
        net.close()


@test
def signal_while_it_begins():
    """A signal ends farsockd also while an ivshmem server lets it wait; no path is left."""
    with directory() as d, socket.socket(socket.AF_UNIX) as server:
        server.bind(str(d / "ivshmem"))
        server.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(d / "ivshmem"))  # takes the one place that there is
            net = Namespace(loopback=True)
            links = ["--link", d / "link", "--link", f"ivshmem:{d}/ivshmem"]
            child = Child([FARSOCKD, *links], net)
            lock = d / "ivshmem.far.lock"
            until("it waits", lambda: lock.exists() and asleep(child.pid))
            child.send_signal(signal.SIGTERM)
            child.end(-signal.SIGTERM)
            net.close()
        check(not (d / "link").exists(), "a path is left")


@test
def several_paths():
    """Several paths are served by one farsockd."""
    with directory() as d, Far(["--link", d / "two", "--link", d / "three"]) as far:
        with Near(far.link), Near(d / "two"), Near(d / "three"):
            links = [r for r in far.dump() if r[0] == "link"]
            check_equal(len(links), 3)
            text = text_of(d / "two", linkup.SHOW)
            check(f"listens at {d / 'three'}\n" in text, text)
        far.stop()
        check(not list(d.iterdir()), "paths are left")


@test
def mode_of_the_socket():
    """Who may connect is the configuration's mode, whatever the umask."""
    with directory() as d:
        for mode in ("0660", "0600", "0666"):
            conf = config(d, f"[daemon]\nmode = {mode}\n")
            command = ["sh", "-c", 'umask 0177; exec "$@"', "sh"]
            with Far(["--config", conf], prefix=command) as far:
                got = stat.S_IMODE(far.link.stat().st_mode)
                check_equal(oct(got), oct(int(mode, 8)))


@test
def default_path_of_the_system():
    """The default path is /run/farsock/link where it can be made."""
    mount = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs t /run && exec "$@"', "sh"]
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
        skip("cannot mount here")
    net = Namespace(loopback=True)
    child = Child(
        ["sh", "-c", 'umask 077; exec "$@"', "sh", *mount, FARSOCKD], net
    )
    until("its line", lambda: "listens at /run/farsock/link" in child.stderr)
    run_dir = Path(f"/proc/{child.pid}/root/run/farsock")
    check_equal(oct(stat.S_IMODE(run_dir.stat().st_mode)), "0o755")
    with Near(run_dir / "link"):
        pass
    child.send_signal(signal.SIGTERM)
    child.end(0)
    net.close()


@test
def default_path_of_a_user():
    """Else it is in XDG_RUNTIME_DIR, else farsockd says what it tried."""
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    tried = subprocess.run([*user, FARSOCKD, "--version"], capture_output=True,
                           check=False)  # fmt: skip
    if tried.returncode != 0 or os.access("/run/farsock", os.F_OK):
        skip("needs another user, and no /run/farsock")
    with directory() as d:
        d.chmod(0o711)
        home = d / "run"
        home.mkdir()
        os.chown(home, 65534, 65534)
        net = Namespace(loopback=True)
        child = Child([*user, FARSOCKD], net, {"XDG_RUNTIME_DIR": home})
        link = home / "farsock/link"
        until("its line", lambda: f"listens at {link}" in child.stderr)
        check_equal(oct(stat.S_IMODE(link.parent.stat().st_mode)), "0o700")
        child.send_signal(signal.SIGTERM)
        child.end(0)
        net.close()
        for value in ("", "relative", str(d)):
            done = run(prefix=user, XDG_RUNTIME_DIR=value)
            check_refused(done, 1, "--link", "/run/farsock", "ermission")


# --- Log ---


@test
def log_levels():
    """The level decides what is logged; a clean life logs no error."""
    for level, wants in (
        ("error", []),
        ("warn", []),
        ("info", ["listens at", "link 1: test", "link 1: gone", "SIGTERM"]),
        ("debug", ["listens at"]),
    ):
        with Far(["--log-level", level]) as far:
            with Near(far.link):
                pass
        # When it stops, whom it told that it was ready is no longer there.
        got = [x for x in far.daemon.stderr.splitlines() if "NOTIFY" not in x]
        for want in wants:
            check(any(want in line for line in got), want, "is not in", got)
        check(wants or not got, level, got)


@test
def log_in_the_journal():
    """Under the journal lines have its priorities and no time."""
    net = Namespace(loopback=True)
    with directory() as d:
        child = Child(
            [FARSOCKD, "--link", d / "link"], net, {"JOURNAL_STREAM": "8:1"}
        )
        until("a line", lambda: "listens" in child.stderr)
        check(child.stderr.startswith("<6>farsockd "), child.stderr)
        child.send_signal(signal.SIGTERM)
        child.end(0)
    net.close()


@test
def names_cannot_break_lines():
    """What a near core calls itself cannot break a line or a column."""
    with Far() as far:
        name = b"a\tb\nc\x1b[31m\xff"
        with Near(far.link, name=name), Near(far.link, name=b"n" * 32):
            with Near(far.link, name=b""):
                names = [r[2] for r in far.dump() if r[0] == "link"]
        check_equal(names, ["a?b?c?[31m?", "n" * 32, "-"])
        until("its line", lambda: "a?b?c?[31m?" in far.daemon.stderr)


# --- Link-up ---


@test
def a_link():
    """A link is a sealed region with a layout, and two doorbells."""
    with Far() as far:
        with Near(far.link, features=0xFFFFFFFF, sockets=0) as near:
            w = near.welcome
            check_equal((w.version, w.features, w.text), (1, 3, ""))
            region, *bells = w.fds
            check_equal(fcntl.fcntl(region, F_GET_SEALS) & SEALS, SEALS)
            page = 4096 if NONCOHERENT else 0  # the emulator's own
            check_equal(os.fstat(region).st_size, w.region_bytes + page)
            for bell in bells:
                check("eventfd" in os.readlink(f"/proc/self/fd/{bell}"))
                flags = fcntl.fcntl(bell, fcntl.F_GETFL)
                check(flags & os.O_NONBLOCK, "a doorbell that blocks")
            check_equal(near.layout(), (1024, 64, 256 << 10, 512 << 10))


@test
def wishes_and_limits():
    """Near's wishes are granted up to the configuration's maximum."""
    with directory() as d:
        conf = config(
            d,
            "[link]\nsockets = 5\nmax-sockets = 9\ntags = 3\ntx-ring = 2K\n"
            "rx-ring = 4K\nmax-ring = 8K\n",
        )
        with Far(["--config", conf]) as far:
            for wishes, granted in (
                ({"sockets": 0}, (5, 3, 2048, 4096)),
                ({"sockets": 9, "tx_ring": 8192}, (9, 3, 8192, 4096)),
                ({"sockets": 10, "tx_ring": 1 << 31}, (9, 3, 8192, 4096)),
                ({"sockets": 1, "tags": 4000}, (1, 1024, 2048, 4096)),
                ({"sockets": 0xFFFFFFFF, "rx_ring": 1}, (9, 3, 2048, 1024)),
                ({"index_base": 0xFFFFFFFF}, (8, 3, 2048, 4096)),
            ):
                with Near(far.link, **wishes) as near:
                    check_equal(near.layout(), granted, wishes)


@test
def other_versions():
    """Another version of the protocol is refused by a text that names both."""
    with Far() as far:
        for kind in (linkup.LINK, linkup.SHOW, 77):
            text = refused(far.link, hello(kind, version=9), linkup.ELINKPROTO)
            check("version 1" in text and "version 9" in text, text)
        # Its hello may be shorter or longer than ours.
        for packet in (hello(version=2)[:6], hello(version=2) + bytes(1000)):
            text = refused(far.link, packet, linkup.ELINKPROTO)
            check("version 2" in text, text)
        until("a line", lambda: "version 9" in far.daemon.stderr)


@test
def unknown_kind():
    """An unknown kind of connection is refused."""
    with Far() as far:
        check("77" in refused(far.link, hello(77), linkup.EOPNOTSUPP))


@test
def foreign_packets():
    """What is no hello is dropped with a line in the log."""
    with Far() as far:
        for packet in (
            b"x",
            b"GET / HTTP/1.0\r\n\r\n",
            hello(magic=1),
            hello()[:-1],
            hello() + b"x",
            hello()[:7],
            bytes(60000),
        ):
            with connect(far.link) as s:
                s.send(packet)
                with contextlib.suppress(ConnectionResetError):
                    check_equal(s.recv(1), b"")
        until("lines", lambda: "another protocol" in far.daemon.stderr)
        with Near(far.link):
            pass


@test
@steadily
def silent_connections():
    """Silent connections delay nobody and are dropped after some seconds."""
    with Far() as far:
        start = time.monotonic()
        silent = [connect(far.link) for _ in range(10)]
        with Near(far.link):
            pass
        check(time.monotonic() - start < 4, "a link had to wait")
        for s in silent:
            check_equal(s.recv(1), b"")
            s.close()
        check(4 < time.monotonic() - start < PATIENCE_S)
        until("a line", lambda: "says nothing" in far.daemon.stderr)


@test
def flood_of_silent_connections():
    """Of too many silent connections the oldest must go."""
    with Far() as far:
        silent = [connect(far.link) for _ in range(300)]
        with Near(far.link):
            pass
        check_equal(silent[0].recv(1), b"")
        check(descriptors(far.pid) < far.baseline + 80, "they are all kept")
        for s in silent:
            s.close()


@test
def most_links():
    """One link more than max-links is refused, until another ends."""
    with directory() as d:
        conf = config(d, "[link]\nmax-links = 2\n")
        with Far(["--config", conf]) as far, Near(far.link):
            with Near(far.link):
                text = refused(far.link, hello(), linkup.EBUSY)
                check("max-links" in text, text)
            until("room", lambda: len([r for r in far.dump() if r[0] == "link"]) == 1)
            with Near(far.link):
                pass


@test
def no_descriptors():
    """Without descriptors a near core is told so, and nothing spins."""
    with Far(prefix=["prlimit", "--nofile=40:40"]) as far:
        nears = []
        status = 0
        while status == 0 and len(nears) < 40:
            s = connect(far.link)
            with contextlib.suppress(BrokenPipeError):
                s.send(hello())
            with contextlib.suppress(ConnectionResetError):
                w = welcome(s)
                status = w.status
                for fd in w.fds:
                    os.close(fd)
                nears.append(s)
        check_equal(status, -linkup.EMFILE, w.text)
        check("too many open files" in w.text, w.text)
        check(len(nears) > 5, len(nears))
        # Connections that say nothing take what is left.
        idle = [connect(far.link) for _ in range(20)]
        until("farsockd sleeps", lambda: asleep(far.pid))
        ticks = cpu_ticks(far.pid)
        time.sleep(1)  # nothing happens, and that is what is measured
        check(cpu_ticks(far.pid) - ticks < 20, "it spins")
        for s in nears + idle:
            s.close()
        until("a link again", lambda: links_again(far))


def cpu_ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def links_again(far):
    with connect(far.link) as s:
        with contextlib.suppress(BrokenPipeError):
            s.send(hello())
        with contextlib.suppress(ConnectionResetError):
            w = welcome(s)
            for fd in w.fds if w else ():
                os.close(fd)
            return w is not None and w.status == 0
    return False


@test
def no_memory():
    """A region that memory has no room for is refused as such."""
    if SANITIZED:
        skip("sanitizers need the address space themselves")
    with Far(prefix=["prlimit", f"--as={4 << 30}"]) as far:
        huge = hello(sockets=16384, tx_ring=4 << 20, rx_ring=4 << 20)
        check("memory" in refused(far.link, huge, linkup.ENOMEM))
        with Near(far.link):
            pass
    with Far(prefix=["prlimit", "--fsize=1000000"]) as far:
        check("memory" in refused(far.link, hello(sockets=1024), linkup.ENOMEM))
        with Near(far.link, sockets=1, tags=1, tx_ring=1024, rx_ring=1024):
            pass


@test
def stop_with_links():
    """SIGTERM ends links: near sees farsockd hang up."""
    with Far(check_leaks=False) as far:
        with Near(far.link) as near, connect(far.link) as silent:
            far.stop()
            near.ended()
            check_equal(silent.recv(1), b"")


@test
def near_that_dies():
    """A near core that goes away leaves nothing behind."""
    with Far() as far:
        for _ in range(20):
            Near(far.link).close()
            with connect(far.link) as s:
                s.send(hello())  # gone before its welcome is read
        until("no links", lambda: not [r for r in far.dump() if r[0] == "link"])
        until("descriptors", lambda: descriptors(far.pid) <= far.baseline)
        maps = Path(f"/proc/{far.pid}/maps").read_text(encoding="utf-8")
        check("memfd:farsock" not in maps, "a region is still mapped")


def switches(pid):
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)[1])


@test
def idle_link_never_wakes():
    """Nothing wakes farsockd while nothing happens."""
    with Far() as far, Near(far.link):
        until("farsockd sleeps", lambda: asleep(far.pid))
        before = switches(far.pid)
        time.sleep(6)  # longer than every time limit of a connection
        check_equal(switches(far.pid), before, "times it slept")


if __name__ == "__main__":
    main()
