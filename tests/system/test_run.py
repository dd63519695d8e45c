#!/usr/bin/python3
# What programs under farsock run see otherwise than natively.
# SPDX-License-Identifier: MIT
"""Rows of docs/differences.md, each with what a program gets: first natively, then
under farsock run."""

import textwrap

from harness import Far, check_equal, main, test
from preloaded import PYTHON, RUN

BEGIN = """
import ctypes, errno, os, socket, struct, sys
l = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(l.getsockname()); s = l.accept()[0]
def forked(f):
    if (pid := os.fork()) == 0: f(); os._exit(0)
    os.waitpid(pid, 0)
def error(f, *args):
    try: return f(*args)
    except OSError as e: return errno.errorcode[e.errno]
"""


def outcome(script, native, over_a_link):
    text = BEGIN + textwrap.dedent(script)
    with Far() as far:
        check_equal(far.native(PYTHON, "-c", text).end(), native, "natively")
        child = far.near(*RUN, PYTHON, "-c", text)
        check_equal(child.end(), over_a_link, child.stderr)


@test
def past_the_library():
    """What is called in the C library itself sees the token."""
    outcome(
        """
        libc = ctypes.CDLL("libc.so.6", use_errno=True)
        print(libc.send(c.fileno(), b"x", 1, socket.MSG_NOSIGNAL), ctypes.get_errno())
        name = ctypes.create_string_buffer(128); size = ctypes.c_int(128)
        print(libc.getsockname(c.fileno(), name, ctypes.byref(size)), name.raw[0])
        """,
        ["1 0", "0 2"],
        [f"-1 {107}", "0 1"],
    )


@test
def is_an_unix_socket():
    """The kernel shows a socket, of its own."""
    outcome(
        """
        where = os.readlink(f"/proc/self/fd/{c.fileno()}")
        print(where == f"socket:[{os.fstat(c.fileno()).st_ino}]")
        inode = str(os.fstat(l.fileno()).st_ino)
        print([k for k in ("tcp", "unix") if inode in open(f"/proc/self/net/{k}").read().split()])
        """,
        ["True", "['tcp']"],
        ["True", "['unix']"],
    )


@test
def vfork_is_fork():
    """A child of vfork() has memory of its own. (Natively Python would not live.)"""
    script = """if 1:
        import ctypes, os, socket
        l = socket.create_server(("127.0.0.1", 0)); seen = []
        if (pid := ctypes.CDLL(None).vfork()) == 0: seen.append(1); l.close(); os._exit(0)
        print(os.waitpid(pid, 0)[1], seen)
        c = socket.create_connection(l.getsockname()); print(l.accept()[1] == c.getsockname())
    """
    with Far() as far:
        child = far.near(*RUN, PYTHON, "-c", script)
        check_equal(child.end(), ["0 []", "True"], child.stderr)


@test
def linger_of_carried():
    """SO_LINGER of a connection that was forked has no effect."""
    outcome(
        """
        forked(lambda: None)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close(); print(error(c.recv, 1))
        """,
        ["ECONNRESET"],
        ["b''"],
    )


@test
def urgent_of_carried():
    """A connection that was forked carries no urgent data, and says so."""
    outcome(
        """
        forked(lambda: None)
        print(error(s.send, b"!", socket.MSG_OOB), error(s.sendmsg, [b"!"], [], socket.MSG_OOB))
        print(error(s.sendto, b"!", socket.MSG_OOB, c.getsockname()))
        print(s.sendto(b"to nobody", c.getsockname()), s.sendmsg([b"!"], [], 0, c.getsockname()))
        """,
        ["1 1", "1", "9 1"],
        ["ENOTSUP ENOTSUP", "ENOTSUP", "9 1"],
    )


@test
def signals_of_sockets():
    """SIGIO and SIGURG can be asked for, and do not come."""
    outcome(
        """
        import fcntl, select, signal
        got = set(); me = os.getpid()
        signal.signal(signal.SIGIO, lambda *a: got.add("io"))
        signal.signal(signal.SIGURG, lambda *a: got.add("urg"))
        fcntl.fcntl(s, fcntl.F_SETOWN, me); fcntl.fcntl(s, fcntl.F_SETFL, os.O_ASYNC)
        print(fcntl.fcntl(s, fcntl.F_GETOWN) == me, fcntl.fcntl(s, fcntl.F_GETFL) & os.O_ASYNC != 0)
        c.send(b"x"); print(s.recv(1)); c.send(b"!", socket.MSG_OOB)
        print(select.select([], [], [s], 20)[2] == [s], sorted(got))
        fcntl.fcntl(s, fcntl.F_SETFL, 0) # Python ends without its handlers
        """,
        ["True True", "b'x'", "True ['io', 'urg']"],
        ["True True", "b'x'", "True []"],
    )


if __name__ == "__main__":
    main()
