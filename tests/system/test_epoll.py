#!/usr/bin/python3
# epoll with many far sockets, of which few have something to tell.
# SPDX-License-Identifier: MIT
"""The scripts run natively beside farsockd and under farsock run; what they
print must be the same."""

import textwrap

from harness import (
    NONCOHERENT,
    Far,
    check,
    check_equal,
    main,
    skip,
    test,
)

from preloaded import PYTHON, RUN, unsanitized

# A set that has slept knows its sockets as quiet: from then on each line is
# about something that must put one back.
BEGIN = """
import fcntl, os, select, socket, termios
from select import EPOLLIN, EPOLLOUT, EPOLLET, EPOLLONESHOT, EPOLLRDHUP
l = socket.create_server(("127.0.0.1", 0))
def pair():
    c = socket.create_connection(l.getsockname())
    return c, l.accept()[0]
def show(e, wait_s=10, **names):
    got = sorted((name, b) for f, b in e.poll(wait_s) for name, s in names.items() if s.fileno() == f)
    print(got, flush=True)
def quiet(e, **names): show(e, 0.02, **names)
"""


def both(script):
    text = BEGIN + textwrap.dedent(script)
    with Far() as far:
        want = far.native(PYTHON, "-c", text).end()
        child = far.near(*RUN, PYTHON, "-c", text)
        check_equal(child.end(), want, child.stderr)
        check(want, "the script says nothing")


@test
def modified():
    """EPOLL_CTL_MOD reports again what is ready: level, edge and one-shot."""
    both(
        """
        c, s = pair()
        e = select.epoll()
        for mode in 0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT:
            e.register(s, EPOLLIN | mode)
            quiet(e, s=s)
            c.send(b"x")
            show(e, s=s)
            if mode:
                quiet(e, s=s)
            e.modify(s, EPOLLIN | mode); show(e, s=s)
            if mode:
                quiet(e, s=s)
            e.modify(s, EPOLLIN | EPOLLOUT | mode); show(e, s=s)
            e.modify(s, EPOLLRDHUP | mode); quiet(e, s=s)
            e.modify(s, EPOLLOUT | mode); show(e, s=s)
            s.recv(9)
            e.modify(s, EPOLLIN | mode); quiet(e, s=s)
            c.send(b"y"); show(e, s=s); s.recv(9)
            e.unregister(s)
        """
    )


@test
def own_calls():
    """What a program's own calls do to a quiet socket is seen."""
    both(
        """
        c, s = pair(); d, t = pair()
        e = select.epoll(); f = select.epoll()
        for x in s, t: e.register(x, EPOLLIN | EPOLLRDHUP)
        f.register(s, EPOLLIN | EPOLLET)
        u = socket.socket(); e.register(u, EPOLLIN | EPOLLET)
        show(e, s=s, t=t, u=u); quiet(e, s=s, t=t, u=u); quiet(f, s=s)
        m = socket.create_server(("127.0.0.1", 0))
        u.setblocking(False); u.connect_ex(m.getsockname()); v = m.accept()[0]
        quiet(e, s=s, t=t, u=u)
        v.send(b"hello"); show(e, s=s, t=t, u=u)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 5)
        c.send(b"abc")
        while fcntl.ioctl(s, termios.FIONREAD, bytes(4))[0] < 3: pass
        quiet(e, s=s, t=t, u=u)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        show(e, s=s, t=t, u=u); show(f, s=s); quiet(f, s=s)
        print(s.recv(9)); quiet(e, s=s, t=t, u=u)
        t.shutdown(socket.SHUT_RD); show(e, s=s, t=t, u=u)
        c.shutdown(socket.SHUT_WR); show(f, s=s); quiet(f, s=s)
        show(e, s=s, t=t, u=u)
        d.close(); e.unregister(s); show(e, t=t, u=u)
        """
    )


@test
def room():
    """EPOLLOUT comes when a socket that was full has room, as an edge too."""
    both(
        """
        for mode in 0, EPOLLET, EPOLLONESHOT:
            c, s = pair()
            for x in c, s: x.setblocking(False)
            e = select.epoll(); e.register(c, EPOLLOUT | mode)
            show(e, c=c)
            if mode: quiet(e, c=c)
            full = False
            while not full:
                try:
                    while True: c.send(bytes(65536))
                except BlockingIOError:
                    pass
                if mode == EPOLLONESHOT: e.modify(c, EPOLLOUT | mode)
                # Far may yet take more, and then there is room once more.
                full = not e.poll(0.02)
            got = False
            while not got:
                try: s.recv(1 << 20)
                except BlockingIOError: pass
                got = e.poll(0.001)
            print([b for _, b in got], flush=True)
        """
    )


@test
def never_asleep():
    """A quiet socket is seen beside one that is always ready."""
    both(
        """
        c, s = pair(); d, t = pair()
        e = select.epoll()
        e.register(d, EPOLLOUT)
        e.register(s, EPOLLIN); e.register(t, EPOLLIN | EPOLLET)
        for i in range(100):
            got = dict(e.poll(0))
            if got != {d.fileno(): EPOLLOUT}: print("wrong", got)
        for one, other in (c, s), (d, t):
            one.send(b"x")
            while other.fileno() not in (got := dict(e.poll())): pass
            print(got[other.fileno()], other.recv(9), flush=True)
        for i in range(100):
            got = dict(e.poll(0))
            if got != {d.fileno(): EPOLLOUT}: print("wrong", got)
        c.close()
        while s.fileno() not in (got := dict(e.poll())): pass
        print(got[s.fileno()])
        """
    )


@test
def crowded():
    """A wait costs what is ready, not how many sockets are quiet."""
    if NONCOHERENT:
        skip("an emulator of caches has costs of its own")
    with Far() as far:
        run = [*RUN, unsanitized("crowd")]

        def least(count):
            """Of three runs: others may have had the processor in one."""
            runs = [map(int, far.near(*run, count).end()) for _ in range(3)]
            return [min(costs) for costs in zip(*runs)]

        few, many = least(10), least(4000)
        # Looking at each would be 250 and 200 us.
        check(many[0] < 20 * max(few[0], 500), few, many)
        check(many[1] < 6 * max(few[1], 5000), few, many)


@test
def far_dies():
    """All that is quiet shows its end when farsockd dies."""
    script = BEGIN + textwrap.dedent(
        """
        c, s = pair(); d, t = pair()
        e = select.epoll()
        for x in s, t: e.register(x, EPOLLIN | EPOLLET)
        quiet(e, s=s, t=t)
        print("ready", flush=True)
        got = {}
        while len(got) < 2: got.update(e.poll())
        print(sorted(got.values()), flush=True)
        """
    )
    with Far() as far:
        child = far.near(*RUN, PYTHON, "-c", script)
        child.expect("ready")
        far.kill()
        check_equal(len(child.end()), 1)


main()
