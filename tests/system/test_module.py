#!/usr/bin/python3
# The socket module of MicroPython, by the scripts of tests/micropython.
# SPDX-License-Identifier: MIT
# timeout: 600

import os
import re
import resource
import select
import socket
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from harness import (  # noqa: E402
    BUILD,
    PATIENCE_S,
    SANITIZED,
    Failed,
    Far,
    asleep,
    check,
    check_equal,
    in_thread,
    main,
    skip,
    test,
    until,
)
from steady import steadily  # noqa: E402

SCRIPTS = Path(__file__).resolve().parents[1] / "micropython"
# Everything of the API that scripts are promised.
MODULE = """
    socket getaddrinfo create_connection inet_pton inet_ntop sockaddr
    getnameinfo gethostbyname inet_aton inet_ntoa htons htonl ntohs ntohl
    has_ipv6 __name__
""".split()
METHODS = """
    close bind listen accept connect connect_ex send sendall recv sendto
    recvfrom setsockopt settimeout setblocking makefile read readinto readline
    readlines write recv_into recvfrom_into getsockopt getsockname getpeername
    shutdown gettimeout getblocking detach fileno __enter__ __exit__ __del__
""".split()
CONSTANTS = """
    AF_INET AF_INET6 AF_UNSPEC SOCK_STREAM SOCK_DGRAM SOCK_RAW SOL_SOCKET
    IPPROTO_IP IPPROTO_TCP IPPROTO_UDP IPPROTO_IPV6 SO_REUSEADDR SO_BROADCAST
    SO_KEEPALIVE SO_LINGER SO_ERROR SO_RCVBUF SO_SNDBUF SO_RCVTIMEO SO_SNDTIMEO
    SO_REUSEPORT SO_BINDTODEVICE SO_TYPE TCP_NODELAY TCP_KEEPIDLE TCP_KEEPINTVL
    TCP_KEEPCNT TCP_CORK TCP_USER_TIMEOUT IP_TTL IP_TOS IP_MULTICAST_IF
    IP_MULTICAST_TTL IP_MULTICAST_LOOP IP_ADD_MEMBERSHIP IP_DROP_MEMBERSHIP
    IPV6_V6ONLY IPV6_JOIN_GROUP IPV6_LEAVE_GROUP MSG_PEEK MSG_DONTWAIT
    MSG_WAITALL MSG_TRUNC MSG_DONTROUTE MSG_NOSIGNAL SHUT_RD SHUT_WR SHUT_RDWR
    AI_PASSIVE AI_CANONNAME AI_NUMERICHOST AI_NUMERICSERV AI_ADDRCONFIG
    EAI_NONAME EAI_AGAIN EAI_FAIL EAI_FAMILY EAI_SOCKTYPE EAI_SERVICE
    INADDR_ANY INADDR_LOOPBACK INADDR_BROADCAST SOMAXCONN NI_NUMERICHOST
""".split()
# A name server that never answers, for lookups that take long.
SLOW_NAMES = (
    "unshare", "-m", "sh", "-c",
    "echo 'nameserver 127.0.0.1\noptions timeout:30' >\"$NAMES\" &&"
    " mount --bind \"$NAMES\" /etc/resolv.conf && exec \"$@\"", "sh",
)  # fmt: skip


def script(far, name, *args, **env):
    return far.micropython(SCRIPTS / f"{name}.py", *args, **env)


def run(far, name, *args, **env):
    """The script's checks must all hold."""
    child = script(far, name, *args, **env)
    rest = child.end(status=None)
    wrong = [line for line in rest if line.startswith("not ok")]
    status = child.process.returncode
    if wrong or status != 0:
        raise Failed("\n".join([*wrong[:20], *rest[-3:], f"status {status}", child.stderr]))
    return rest


def serve(listener, handler):
    """Answer connections one after the other, for as long as the test runs."""

    def loop():
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            in_thread(handler, connection)

    listener.settimeout(None)
    in_thread(loop)
    return listener.getsockname()[1]


def echo(connection):
    connection.settimeout(None)
    while data := connection.recv(1 << 16):
        connection.sendall(data)


def drip(connection):
    try:
        while True:
            connection.sendall(b".")
            time.sleep(0.1)
    except OSError:
        pass


class FullListener:
    """A listener on which no handshake ends any more."""

    def __init__(self, net):
        self.listener = net.listener(backlog=0)
        self.port = self.listener.getsockname()[1]
        self.held = []
        for _ in range(3):
            s = net.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", self.port))
            self.held.append(s)


no_names = tempfile.NamedTemporaryFile()
os.environ["NAMES"] = no_names.name


def slow_far():
    """farsockd with a resolver that gets no answer, and holds its socket."""
    return Far(prefix=SLOW_NAMES, check_leaks=False)


# --- Names ---


@test
def names_and_constants():
    """Every promised name is there, every constant has CPython's value."""
    with Far() as far:
        lines = [line.split() for line in script(far, "names").end()]
    found = {w[1] for w in lines if w[0] in ("constant", "other")}
    methods = {w[1] for w in lines if w[0] == "method"}
    check_equal(set(MODULE) - found, set(), "missing in the module")
    check_equal(set(METHODS) - methods, set(), "missing methods")
    check_equal(set(CONSTANTS) - found, set(), "missing constants")
    compared = 0
    for word, name, *value in lines:
        if word == "constant" and hasattr(socket, name):
            check_equal(int(value[0]), int(getattr(socket, name)), name)
            compared += 1
    check(compared > 90, compared, "constants compared")
    check_equal(["usocket", "True", "False"] in lines, True, "usocket, error")


@test
def every_call():
    """Every name of the API does what it is known to do."""
    with Far() as far:
        run(far, "api", serve(far.net.listener(), echo))


@test
def bad_arguments():
    """Arguments of every wrong kind raise, and nothing is broken after."""
    with Far() as far:
        run(far, "torture")


# --- Time ---


@test
def timeouts():
    """Timeouts count for the whole call, and read() gives None."""
    with Far() as far:
        full = FullListener(far.net)
        run(far, "timeouts", serve(far.net.listener(), drip), full.port)


@test
def compat_k230():
    """With FARSOCK_COMPAT=k230 an empty non-blocking read gives b''."""
    with Far() as far:
        full = FullListener(far.net)
        run(far, "timeouts", 0, full.port, "k230", FARSOCK_COMPAT="k230")
        child = script(far, "timeouts", 0, full.port, "k230")
        check(child.end(status=1), "without it, it does not")


def interrupt(name):
    with slow_far() as far:
        full = FullListener(far.net)
        silent = far.net.udp(53)
        child = script(far, "interrupted", name, 0, full.port)
        child.expect("^blocks$")
        if name in ("send", "sendall", "write"):
            time.sleep(0.3)
        until("it blocks", lambda: asleep(child.pid))
        time.sleep(0.05)
        start = time.monotonic()
        child.send_signal(2)
        child.expect("^interrupted$")
        took = time.monotonic() - start
        check(took < (5 if SANITIZED else 0.5), "took", took)
        child.expect("^usable$")
        child.end()
        silent.close()


def add_interrupts():
    for name in (
        "accept", "connect", "recv", "recv_into", "recvfrom", "read", "readinto",
        "readline", "poll", "select", "getaddrinfo", "send", "sendall", "write",
        "asyncio", "threads",
    ):  # fmt: skip

        def case(name=name):
            interrupt(name)

        case.__name__ = f"interrupt_{name}"
        case.__doc__ = f"Ctrl-C ends {name} at once, and the socket is usable."
        test(case)


add_interrupts()


@test
def other_signals():
    """A signal that means nothing does not end a call."""
    with Far() as far:
        listener = far.net.listener()
        child = script(far, "sleeping", listener.getsockname()[1], "recv")
        peer = listener.accept()[0]
        child.expect("^sleeps$")
        until("it sleeps", lambda: asleep(child.pid))
        for _ in range(20):
            # MicroPython's signal for a collection, which it has a handler for
            child.send_signal(34 + 5)
            time.sleep(0.01)
        check(child.silent(), "it came back")
        peer.sendall(b"xy")
        child.expect("^woke$")
        child.end()


def switches(pid):
    """How often its threads gave up a processor by themselves."""
    return sum(
        int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", p.read_text(), re.M)[1])
        for p in Path(f"/proc/{pid}/task").glob("*/status")
    )


def quiet(how):
    if BUILD.name == "san-thread":
        skip("the sanitizer's own thread in farsockd wakes")
    with Far() as far:
        listener = far.net.listener()
        child = script(far, "sleeping", listener.getsockname()[1], how)
        peer = listener.accept()[0]
        child.expect("^sleeps$")
        until("it sleeps", lambda: asleep(child.pid))
        time.sleep(0.2)
        before = switches(child.pid), switches(far.pid)
        time.sleep(1)
        check_equal((switches(child.pid), switches(far.pid)), before, "wake-ups")
        start = time.monotonic()
        peer.sendall(b"xy")
        child.expect("^woke$")
        check(time.monotonic() - start < PATIENCE_S / 2, "woke late")
        child.end()


def add_quiet():
    for how in ("recv", "poll", "asyncio", "poll and recv"):

        def case(how=how):
            quiet(how)

        case.__name__ = "quiet_" + how.replace(" ", "_")
        case.__doc__ = f"Nothing wakes while nothing happens: {how}."
        test(case)


add_quiet()


# --- Life ---


@test
def collected():
    """The garbage collector closes: peers see the end, also of many."""
    with Far() as far:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2
        )
        count = 300
        listener = far.net.listener(backlog=count)
        child = script(far, "collected", listener.getsockname()[1], count)
        first = listener.accept()[0]
        child.expect("^dropped one$")
        check_equal(first.recv(100), b"last words", "before the end")
        check_equal(first.recv(100), b"", "the end")
        child.write("\n")
        peers = [listener.accept()[0] for _ in range(count)]
        child.expect(f"^open {count}$")
        check_equal(select.select(peers[:200], [], [], 0)[0], [], "still open")
        child.write("\n")
        child.expect("^dropped$")
        # The last one may still be on the stack of the interpreter.
        ended = 0
        for peer in peers:
            peer.settimeout(PATIENCE_S if ended < count - 2 else 0.5)
            try:
                check_equal(peer.recv(1), b"", "the end")
                ended += 1
            except TimeoutError:
                pass
        check(ended >= count - 2, ended, "of", count, "closed")
        child.write("\n")
        child.expect("^made 3000$")
        child.end()


def leave(how, status):
    with slow_far() as far:
        silent = far.net.udp(53)
        child = script(far, "leaving", how)
        child.expect("^leaves$")
        start = time.monotonic()
        child.end(status)
        took = time.monotonic() - start
        check(took < (10 if SANITIZED else 1), "took", took)
        silent.close()


@test
def leave_at_the_end():
    """The script's end ends the process though threads block in calls."""
    leave("return", 0)


@test
def leave_by_exit():
    """So does sys.exit()."""
    leave("exit", 7)


@test
def leave_by_exception():
    """And so does an exception."""
    leave("raise", 1)


@test
def watched():
    """Option 20 calls a function when a socket becomes readable."""
    with Far() as far:
        run(far, "watched")


@test
def reborn():
    """farsockd dies and comes back: old sockets reset, new ones work."""
    with Far(check_leaks=False) as far:
        port = serve(far.net.listener(), echo)
        child = script(far, "reborn", port)
        child.expect("^kill$")
        time.sleep(0.2)
        far.kill()
        child.expect("^restart$")
        far.start()
        child.write("\n")
        child.expect("^kill again$")
        until("it polls", lambda: asleep(child.process.pid))
        far.kill()
        wrong = [line for line in child.end() if line.startswith("not ok")]
        check_equal(wrong, [])


@test
@steadily
def no_farsockd():
    """Without farsockd a socket raises ENETDOWN, with one line for people."""
    with Far() as far:
        far.stop()
        code = (
            "import socket\n"
            "for _ in range(3):\n"
            "    try: socket.socket()\n"
            "    except OSError as e: print(e.errno)\n"
        )
        start = time.monotonic()
        path = far.dir / "none.py"
        path.write_text(code)
        child = far.micropython(path)
        check_equal(child.end(), ["100"] * 3)
        check(time.monotonic() - start < 2, "not at once")
        check_equal(len(child.stderr.splitlines()), 1, child.stderr)
        check(str(far.link) in child.stderr, child.stderr)
        waiting = far.micropython(path, FARSOCK_WAIT=PATIENCE_S)
        time.sleep(0.3)
        check(waiting.silent(), "it did not wait")
        far.start()
        check_equal(waiting.end(), [])


if __name__ == "__main__":
    main()
