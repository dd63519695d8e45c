#!/usr/bin/python3
# Without farsockd, with one that comes late, dies, and comes back.
# SPDX-License-Identifier: MIT

import contextlib
import signal
import socket
import subprocess
import tempfile
import time

import linkup
from harness import (
    FARSOCKD,
    PATIENCE_S,
    Child,
    Far,
    Namespace,
    Shell,
    asleep,
    check,
    check_equal,
    main,
    program,
    receive_all,
    test,
    until,
)
from oracle import PORT, connected, wants
from steady import steadily

WAIT = 10000  # ms; ends with the event
ENETDOWN, ECONNRESET = 100, 104

NO_FARSOCKD = """
import socket
for _ in range(3):
    try:
        socket.socket()
        print("a socket")
    except OSError as e:
        print(e.errno)
"""

THROUGH_A_DEATH = """
import select, socket, sys
def attempt(what, *args):
    try:
        return what(*args)
    except OSError as e:
        return e.errno
PORT = int(sys.argv[1])
s = socket.socket()
s.connect(("127.0.0.1", PORT))
poller = select.poll()
poller.register(s, select.POLLIN)
poller.poll()
print("connected")
sys.stdin.readline()
events = poller.poll()[0][1]
print("data", bool(events & select.POLLIN))
print(attempt(s.recv, 3))
print(attempt(s.recv, 100))
print(attempt(s.recv, 100))
print("hang-up", bool(poller.poll()[0][1] & select.POLLHUP))
print("send fails", isinstance(attempt(s.send, b"x"), int) and attempt(s.send, b"x") > 1)
print(attempt(socket.socket))
s.close()
print("waiting")
sys.stdin.readline()
s = socket.socket()
s.connect(("127.0.0.1", PORT + 1))
s.write("back again")
print(s.read())
s.close()
"""


def links(far):
    return sum(row[0] == "link" for row in far.dump())


def script(far, text, name="script.py"):
    path = far.dir / name
    path.write_text(text)
    return path


@test
@steadily
def nobody_there():
    """Without farsockd, a link is refused at once, with one line that says why."""
    empty = Namespace(loopback=False)
    link = "/nonexistent/farsock/link"
    near = Child([program("shell"), "far"], empty, {"FARSOCK_LINK": link})
    start = time.monotonic()
    check_equal(near.end(status=1), ["ENETDOWN"])
    check(time.monotonic() - start < 5, "not at once")
    lines = near.stderr.splitlines()
    check_equal(len(lines), 1, f"lines on stderr: {lines}")
    check(link in lines[0], "which path was tried:", lines)


@test
def nobody_there_for_micropython():
    """Without farsockd, socket() raises ENETDOWN each time, and says why once."""
    with Far() as far:
        far.stop()
        near = far.micropython(script(far, NO_FARSOCKD))
        check_equal(near.end(), [str(ENETDOWN)] * 3)
        lines = near.stderr.splitlines()
        check_equal(len(lines), 1, f"lines on stderr: {lines}")
        check(str(far.link) in lines[0], "which path was tried:", lines)


@test
def nobody_there_after_waiting():
    """FARSOCK_WAIT ends when its time is over."""
    with Far() as far:
        far.stop()
        near = far.near(program("shell"), "far", FARSOCK_WAIT="0.3")
        start = time.monotonic()
        check_equal(near.end(status=1), ["ENETDOWN"])
        check(time.monotonic() - start > 0.25, "did not wait")


@test
def comes_late():
    """FARSOCK_WAIT waits for a farsockd that comes later."""
    with Far() as far:
        far.stop()
        near = far.near(program("shell"), "far", FARSOCK_WAIT="60")
        mpy = far.micropython(script(far, NO_FARSOCKD), FARSOCK_WAIT="60")
        until("both wait", lambda: asleep(near.pid) and asleep(mpy.pid))
        check(near.silent() and mpy.silent(), near.seen, mpy.seen)
        far.start()
        sh = Shell(near)
        peer = connected(far, sh)
        wants(sh, "send c hello", "5")
        check_equal(peer.recv(10), b"hello")
        check_equal(mpy.end(), ["a socket"] * 3)


@test
def dies_in_the_middle():
    """farsockd is killed: what had arrived is read, then ECONNRESET and hang-up."""
    with Far() as far:
        sh = far.shell()
        peer = connected(far, sh)
        peer.sendall(b"arrived before")
        wants(sh, "poll c 1 10000", "1 0x1")
        sh("socket l 2 1")
        sh("listen l 1")
        sh("socket u 2 2")
        sh("bind u 127.0.0.1 0")
        far.kill()
        result = sh(f"poll c 0 {WAIT}")
        check(int(result.split()[1], 16) & 0x10, "poll:", result)
        wants(sh, "recv c 7", "7 arrived")
        wants(sh, "recv c 100", "7  before")
        wants(sh, "recv c 100", "ECONNRESET")
        wants(sh, "recv c 100", "0")
        check(sh("send c x") in ("EPIPE", "ECONNRESET", "ENETDOWN"), sh.transcript)
        wants(sh, "socket d 2 1", "ENETDOWN")
        wants(sh, "bind u 127.0.0.1 0", "ENETDOWN")
        for s in ("c", "l", "u"):
            check(int(sh(f"poll {s} 1 0").split()[1], 16) & 0x10, sh.transcript)
            wants(sh, f"close {s}", "0")
        wants(sh, "poll c 1 0", "1 0x20")
        far.start()
        wants(sh, "link far", "0")
        peer = connected(far, sh)
        wants(sh, "send c again", "5")
        check_equal(peer.recv(10), b"again")


@test
def dies_under_calls():
    """farsockd is killed: every call that waits ends."""
    with Far() as far:
        sh = far.shell()
        peer = connected(far, sh, "r")
        peer2 = connected(far, sh, "s")
        sh("socket l 2 1")
        sh("listen l 1")
        sh("socket u 2 2")
        sh("bind u 127.0.0.1 0")
        full = far.net.listener(PORT, backlog=0)
        first = far.net.connect(PORT)
        sh("socket n 2 1")
        calls = {
            "receiving": "recv r 100",
            "sending": "sendn s 99999999",
            "accepting": "accept l x",
            "datagram": "recv u 100",
            "connecting": f"connect n 127.0.0.1 {PORT}",
            "polling": "poll l 1 -1",
        }
        for name, call in calls.items():
            sh.begin(name, call)
        until("the near core waits", lambda: asleep(sh.pid))
        for name in calls:
            check(sh.waits(name), name, "does not wait")
        far.kill()
        ends = {name: sh.result(name) for name in calls}
        check_equal(ends["receiving"], "ECONNRESET")
        for name in ("accepting", "datagram", "connecting"):
            check(ends[name].startswith("E"), ends)
        # The send that had sent a part leaves the error to the next one.
        check_equal(ends["sending"].split()[-1], "ECONNRESET", ends)
        for s in (peer, peer2, first, full):
            s.close()


@test
def back_again_for_micropython():
    """farsockd is killed and started: a script's new sockets work."""
    with Far() as far:
        listener = far.net.listener(PORT)
        near = far.micropython(script(far, THROUGH_A_DEATH), PORT)
        peer, _ = listener.accept()
        peer.sendall(b"arrived")
        near.expect("^connected")
        far.kill()
        near.write("\n")
        near.expect("^data True")
        check_equal(near.line(), "b'arr'")
        check_equal(near.line(), "b'ived'")
        check_equal(near.line(), str(ECONNRESET))
        check_equal(near.line(), "hang-up True")
        check_equal(near.line(), "send fails True")
        check_equal(near.line(), str(ENETDOWN))
        near.expect("^waiting")
        listener = far.net.listener(PORT + 1)
        far.start()
        near.write("\n")
        peer, _ = listener.accept()
        check_equal(peer.recv(100), b"back again")
        peer.sendall(b"welcome")
        peer.close()
        check_equal(near.end(), ["b'welcome'"])


@test
def many_deaths():
    """farsockd is killed and started ten times under a near core with traffic."""
    with Far() as far:
        sh = far.shell()
        for _ in range(10):
            peer = connected(far, sh)
            wants(sh, "sendn c 100000", "100000")
            far.kill()
            peer.close()
            far.start()
            wants(sh, "link far", "0")


@test
@steadily
def silent_far():
    """With a heartbeat, a farsockd that stands still is dead to the near core."""
    with Far() as far:
        sh = far.shell(LINK_LIKE="beat")
        peer = connected(far, sh)
        peer.sendall(b"before")
        wants(sh, "recv c 100", "6 before")
        sh.begin("r", "recv c 100")
        until("the near core waits", lambda: asleep(sh.pid))
        time.sleep(1.5)  # longer than silence may last: hearts beat
        check(sh.waits("r"), "a living farsockd was taken for dead")
        far.daemon.send_signal(signal.SIGSTOP)
        check_equal(sh.result("r", 10), "ECONNRESET")
        wants(sh, "socket d 2 1", "ENETDOWN")
        far.daemon.send_signal(signal.SIGCONT)
        until("its link is gone", lambda: links(far) == 0)
        wants(sh, "link far", "0")
        peer = connected(far, sh)
        wants(sh, "send c again", "5")
        check_equal(peer.recv(10), b"again")


@test
@steadily
def silent_near():
    """With a heartbeat, a near core that stands still is dead to farsockd."""
    with Far() as far:
        sh = far.shell(LINK_LIKE="beat")
        peer = connected(far, sh)
        wants(sh, "send c before", "6")
        sh.child.send_signal(signal.SIGSTOP)
        check_equal(receive_all(peer), b"before")
        until("its link is gone", lambda: links(far) == 0)
        sh.child.send_signal(signal.SIGCONT)
        wants(sh, "recv c 10", "ECONNRESET")


@test
def rings_begin_within_a_page():
    """Where they begin with one, kernels copy whole streams slowly (ports/posix/posix.c)."""
    with tempfile.TemporaryDirectory() as d, socket.socket(
        socket.AF_UNIX, socket.SOCK_SEQPACKET
    ) as listener:
        listener.bind(f"{d}/link")
        listener.listen()
        listener.settimeout(PATIENCE_S)
        env = {"FARSOCK_LINK": f"{d}/link"}
        with contextlib.closing(Namespace(loopback=False)) as empty:
            near = Child(["env", "-u", "FARSOCK_INDEX_BASE", program("shell"), "far"], empty, env)
            conn = listener.accept()[0]
            with conn:
                conn.settimeout(PATIENCE_S)
                hello = linkup.HELLO.unpack(conn.recv(4096))
            near.kill()
    check_equal(hello[8] % 4096, 2048, "index_base")


@test
def refuses_a_second():
    """A second farsockd on the same path is refused; a stale path is not."""
    with Far() as far:
        with far.net.inside():
            second = subprocess.run(
                [FARSOCKD, "--link", far.link], capture_output=True, timeout=20
            )
        check(second.returncode > 0, "status", second.returncode)
        check_equal(len(second.stderr.splitlines()), 1, second.stderr)
        check(str(far.link).encode() in second.stderr, second.stderr)
        sh = far.shell()
        wants(sh, "socket c 2 1", "0")
        sh.end()
        far.kill()
        check(far.link.exists())
        far.start()
        far.shell().end()


@test
def stops():
    """farsockd ends cleanly on SIGINT and SIGTERM, also under traffic."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with Far() as far:
            sh = far.shell()
            peer = connected(far, sh)
            sh.begin("s", "sendn c 99999999")
            peer.recv(1000)
            far.daemon.send_signal(number)
            far.daemon.end(0)
            check(not far.link.exists(), "the path is left behind")
            check("E" in sh.result("s"))


if __name__ == "__main__":
    main()
