#!/usr/bin/python3
# What farsockd gives up, and who may attach to it.
# SPDX-License-Identifier: MIT

import os
import re
import subprocess
import tempfile
from pathlib import Path

from harness import (
    FARSOCK,
    FARSOCKD,
    PATIENCE_S,
    SANITIZED,
    Shell,
    check,
    check_equal,
    main,
    program,
    skip,
    test,
    until,
)
from configured import Configured
from linkup import hello, refused
from oracle import wants

EACCES = 13
BIND_SERVICE, NET_ADMIN, NET_RAW = 1 << 10, 1 << 12, 1 << 13
SOMEBODY = 65534  # nobody; any user but root


def status(far, name):
    """A line of /proc/PID/status, which must be the same for each thread (but for
    that of emulated caches, which runs before any right is given up)."""
    tasks = [t.read_text() for t in Path(f"/proc/{far.pid}/task").glob("*/status")]
    tasks = [t for t in tasks if not t.startswith("Name:\tnoncoherent\n")]
    values = {re.search(rf"^{name}:\s*(.*)$", t, re.M)[1] for t in tasks}
    check_equal(len(values), 1, f"{name}: {values}")
    return values.pop()


def capabilities(far):
    return int(status(far, "CapEff"), 16)


def rules(*lines):
    return "[policy]\n" + "".join(f"{line}\n" for line in lines)


# --- Rights ---


@test
def own_user():
    """As root farsockd becomes its own user, and serves all the same."""
    with Configured(f"[daemon]\nuser = {SOMEBODY}\nmode = 0600\n") as far:
        check_equal(status(far, "Uid").split(), [str(SOMEBODY)] * 4)
        check_equal(status(far, "Gid").split(), [str(SOMEBODY)] * 4)
        check("0" not in status(far, "Groups").split(), "root's groups")
        check_equal(os.stat(far.link).st_uid, SOMEBODY)
        check_equal(status(far, "NoNewPrivs"), "1")
        sh = far.shell()
        wants(sh, "socket s 2 1", "0")
        wants(sh, "bind s 127.0.0.1 80", "0")
        wants(sh, "listen s 5", "0")
        wants(sh, "socket r 2 3 1", "0")
        wants(sh, "setopt r 1 33 1000", "EPERM")  # SO_RCVBUFFORCE


@test
def only_what_the_rules_need():
    """The capabilities that are left are those that the rules need."""
    everything = BIND_SERVICE | NET_RAW
    for rights, *lines in (
        (0, "rule = allow connect tcp any"),
        (0, "rule = allow listen tcp any:1024-65535"),
        (0, "rule = allow listen tcp any:0"),
        (BIND_SERVICE, "rule = allow listen tcp any:80"),
        (BIND_SERVICE, "rule = allow bind udp any"),
        (NET_RAW, "rule = allow connect icmp any"),
        (NET_RAW, "rule = allow option mark"),
        (0, "rule = allow option device"),
        (everything, "default = allow"),
        (0, "rule = deny any"),
    ):
        with Configured(f"[daemon]\nuser = {SOMEBODY}\n" + rules(*lines)) as far:
            check_equal(capabilities(far), rights, lines)
            check_equal(int(status(far, "CapBnd"), 16), rights, "CapBnd")
            check_equal(int(status(far, "CapPrm"), 16), rights, "CapPrm")
    with Configured("") as far:
        check_equal(capabilities(far), everything | NET_ADMIN, "root, without rules")


@test
def users_that_cannot_be():
    """A user that there is none of, or that farsockd cannot become, is an error."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf", dir="/var/tmp") as f:
        os.chmod(f.name, 0o644)
        with tempfile.TemporaryDirectory(dir="/var/tmp") as d:
            os.chmod(d, 0o777)
            for text, prefix, word in (
                ("user = no-such-user", [], ":2: user"),
                ("user = 54321", [], "cannot give up rights"),
                ("user = 0", ["setpriv", "--reuid=65534", "--clear-groups"], "only root"),
            ):
                f.seek(0)
                f.truncate()
                f.write(f"[daemon]\n{text}\n")
                f.flush()
                done = subprocess.run(
                    [*prefix, FARSOCKD, "--config", f.name, "--link", f"{d}/link"],
                    capture_output=True, text=True, check=False, timeout=PATIENCE_S,
                )  # fmt: skip
                check_equal(done.returncode, 1, done.stderr)
                check(word in done.stderr, done.stderr)
                check_equal(os.listdir(d), [], "left behind")


@test
def calls_are_filtered():
    """farsockd's system calls are filtered, unless it is told not to."""
    if SANITIZED:
        skip("not under sanitizers, whose run times make calls of their own")
    for text, mode in (("", "2"), ("[daemon]\nseccomp = no\n", "0")):
        with Configured(text) as far:
            check_equal(status(far, "Seccomp"), mode, text)
            wants(far.shell(), "lookup localhost 80 2 1", "1 127.0.0.1 80 type 1 proto 6")


# --- Who may attach ---


def attempt(far, *who):
    """farsock show as somebody: its status and what it says."""
    child = far.near("setpriv", *who, FARSOCK, "show")
    lines = child.end(None)
    return child.process.returncode, "\n".join(lines) + child.stderr


@test
def who_may_attach():
    """The kernel's word for user and groups decides who may attach."""
    user = [f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups"]
    other = ["--reuid=12345", "--regid=12345"]
    for allow, good, bad in (
        ("allow-users = 65534", [user], [[*other, "--clear-groups"], ["--groups=7"]]),
        ("allow-groups = 7", [[*other, "--groups=7"], ["--regid=7", "--clear-groups"]], [user]),
        ("allow-users = root\nallow-groups = 12345", [["--groups=1"], [*other, "--clear-groups"]], [user]),
    ):  # fmt: skip
        with Configured(f"[daemon]\nmode = 0666\n{allow}\n") as far:
            for who in good:
                code, said = attempt(far, *who)
                check_equal(code, 0, f"{allow}: {who}: {said}")
            for who in bad:
                code, said = attempt(far, *who)
                check(code == 1 and "allow-users" in said, allow, who, said)
    with Configured("[daemon]\nallow-users = 65534\n") as far:
        text = refused(far.link, hello(), EACCES)
        check("user 0" in text, text)
        until("a line", lambda: "refused process" in far.daemon.stderr)


SHARED_PORT = 15353  # nobody's by name, and below those that the kernel chooses

# Sockets that ask to share a port: what each user's calls give.
KINDS = {"tcp": "2 1", "udp": "2 2", "tcp6": "10 1"}
SHARING = [
    (mine, theirs, at, to, both)
    for mine, theirs in (("tcp", "tcp"), ("udp", "udp"), ("tcp6", "tcp"), ("tcp", "udp"))
    for at, to in (("any", "any"), ("127.0.0.1", "any"), ("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "127.0.0.2"))
    for both in (False, True)
]  # fmt: skip


def share_ports(shells):
    """What two users' shells get, for each of SHARING."""
    got = []
    for mine, theirs, at, to, both in SHARING:
        for sh, kind, where in zip(shells, (mine, theirs), (at, to)):
            six = kind == "tcp6"
            where = {"any": "::" if six else "0.0.0.0"}.get(where, f"::ffff:{where}" if six else where)
            wants(sh, f"socket s {KINDS[kind]}", "0")
            wants(sh, "setopt s 1 15 1", "0")
            if both:
                wants(sh, "setopt s 1 2 1", "0")
            got.append((mine, theirs, at, to, both, sh(f"bind s {where} {SHARED_PORT}"), sh("listen s 5")))
        for sh in shells:
            wants(sh, "close s", "0")
    return got


@test
def ports_are_not_shared_among_users():
    """SO_REUSEPORT shares a port among one user's sockets, as natively."""
    users = [["setpriv", f"--reuid={n}", f"--regid={n}", "--clear-groups"] for n in (12345, 12346)]
    shell = program("shell")
    with Configured("[daemon]\nmode = 0666\n") as far:
        for a, b in ((0, 1), (1, 0), (0, 0)):
            pairs = [
                [Shell(run(*users[n], shell, how)) for n in (a, b)]
                for run, how in ((far.near, "far"), (far.native, "native"))
            ]
            got, want = (share_ports(pair) for pair in pairs)
            refused = sum("EADDRINUSE" in row for row in want)
            check(refused if a != b else not refused, refused, "are refused natively")
            wrong = [f"{x}, natively {y}" for x, y in zip(got, want) if x != y]
            check(not wrong, "; ".join(wrong))
            for pair in pairs:
                for sh in pair:
                    sh.end()


@test
def group_of_the_socket():
    """The socket's file is of the group that is named."""
    with Configured("[daemon]\ngroup = 7\nmode = 0660\n") as far:
        st = os.stat(far.link)
        check_equal((st.st_gid, st.st_mode & 0o777), (7, 0o660))
        code, said = attempt(far, "--reuid=12345", "--regid=7", "--clear-groups")
        check_equal(code, 0, said)
        code, said = attempt(far, "--reuid=12345", "--regid=12345", "--clear-groups")
        check(code == 1 and "ermission denied" in said, said)


if __name__ == "__main__":
    main()
