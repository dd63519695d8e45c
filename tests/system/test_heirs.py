#!/usr/bin/python3
# Unmodified programs that get sockets from others.
# SPDX-License-Identifier: MIT
"""As test_preload.py: the same script runs natively, where its output is the
truth, and in an empty network namespace over a link."""

import textwrap

from harness import Far, check_equal, main, receive_all, test
from preloaded import PYTHON, RUN, both

# What the programs that inherit sockets begin with.
BEGIN = """
import os, select, socket, subprocess, sys
def left(fd):
    try: os.fstat(fd); return True
    except OSError: return False
def heir(i): return socket.socket(fileno=int(sys.argv[i]))
"""


def become(script, heir):
    """Runs script, which has the text of a program for its heir in HEIR."""
    text = BEGIN + textwrap.dedent(heir)
    return both(f"HEIR = {text!r}\n{BEGIN}" + textwrap.dedent(script))


@test
def exec_keeps():
    """A program goes on with what another one, in whose place it is, left open."""
    heirs = """
        l, c, s, u = (heir(i) for i in range(1, 5))
        print([left(int(fd)) for fd in sys.argv[5:]])
        print(c.family, c.type, u.type, c.getblocking(), u.getblocking())
        print(c.getpeername() == l.getsockname() == s.getsockname())
        print(s.getpeername() == c.getsockname())
        print(s.recv(100), select.select([c], [], [], 0)[0])
        s.sendall(b"from the heir"); print(c.recv(100))
        d = socket.create_connection(l.getsockname()); e = l.accept()[0]
        print(e.getpeername() == d.getsockname())
        e.sendall(b"accepted"); print(d.recv(100))
        u.connect(u.getsockname()); u.send(b"datagram")
        print(select.select([u], [], [], 20)[0] == [u], u.recv(100))
        v = socket.socket(fileno=os.dup(u.fileno())); u.close()
        v.send(b"again"); v.setblocking(True); print(v.recv(100))
        s.close(); print(c.recv(100))
    """
    become(
        """
        l = socket.create_server(("127.0.0.1", 0))
        c = socket.create_connection(l.getsockname()); s = l.accept()[0]
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.bind(("127.0.0.1", 0)); u.setblocking(False)
        gone = socket.create_connection(l.getsockname()); other = l.accept()[0]
        for x in l, c, s, u: x.set_inheritable(True)
        c.sendall(b"before"); sys.stdout.flush()
        fds = [str(x.fileno()) for x in (l, c, s, u, gone, other)]
        os.execv(sys.executable, [sys.executable, "-c", HEIR, *fds])
        """,
        heirs,
    )


@test
def exec_after_fork():
    """A socket that was forked before it was connected goes on as a connection."""
    become(
        """
        l = socket.create_server(("127.0.0.1", 0)); c = socket.socket()
        if os.fork() == 0: os._exit(0)
        os.wait(); c.connect(l.getsockname()); s = l.accept()[0]
        s.sendall(b"for both")
        if os.fork() == 0: print(c.recv(4), flush=True); os._exit(0)
        print(os.wait()[1], flush=True)
        c.set_inheritable(True); s.set_inheritable(True)
        args = [sys.executable, "-c", HEIR, str(c.fileno()), str(s.fileno())]
        os.execv(sys.executable, args)
        """,
        """
        c, s = heir(1), heir(2); print(c.recv(4), c.getpeername() == s.getsockname())
        c.sendall(b"up"); c.close(); print(s.recv(10), s.recv(10))
        """,
    )


@test
def exec_closes():
    """What is closed on exec ends for its peer, with every byte."""
    become(
        """
        l = socket.create_server(("127.0.0.1", 0)); l.set_inheritable(True)
        if os.fork() == 0:
            c = socket.create_connection(l.getsockname())
            os.dup2(c.fileno(), 50, inheritable=False); c.sendall(b"x" * 300000)
            os.execvp("true", ["true"])
        s = l.accept()[0]; n = 0
        while d := s.recv(65536): n += len(d)
        print(n, os.wait()[1])
        """,
        "",
    )


@test
def exec_fails():
    """A program that cannot become another one goes on with its sockets."""
    with Far() as far:
        bad = far.dir / "bad"
        bad.write_bytes(b"\x7fELF, or not")
        bad.chmod(0o755)
        script = f"""if 1:
            import os, select, socket
            l = socket.create_server(("127.0.0.1", 0))
            c = socket.create_connection(l.getsockname()); s = l.accept()[0]
            for x in l, c, s: x.set_inheritable(True)
            e = select.epoll(); e.register(s, select.EPOLLIN)
            for path in "/nowhere", {str(bad)!r}, {str(far.dir)!r}:
                c.sendall(b"a" * 9); print(s.recv(4))
                try: os.execv(path, ["it"])
                except OSError as err: print(err.errno)
                print(e.poll(20) == [(s.fileno(), 1)], s.recv(100))
                print(c.getpeername() == s.getsockname() == l.getsockname())
                with socket.create_connection(l.getsockname()) as d:
                    print(l.accept()[0].getpeername() == d.getsockname())
        """
        want = far.native(PYTHON, "-c", script).end()
        check_equal(far.near(*RUN, PYTHON, "-c", script).end(), want)
        check_equal(len(want), 15)


@test
def exec_family():
    """Each of the exec functions hands sockets on."""
    become(
        """
        import ctypes
        libc = ctypes.CDLL(None)
        l = socket.create_server(("127.0.0.1", 0)); l.set_inheritable(True)
        fd = b"%d" % l.fileno()
        text = HEIR.encode(); path = sys.executable.encode(); last = ctypes.c_void_p()
        argv = (ctypes.c_char_p * 5)(path, b"-c", text, fd)
        env = (ctypes.c_char_p * (len(os.environ) + 1))(
            *(b"%s=%s" % pair for pair in os.environb.items()))
        calls = {
            "execl": (path, path, b"-c", text, fd, last),
            "execlp": (path, path, b"-c", text, fd, last),
            "execle": (path, path, b"-c", text, fd, last, env),
            "execv": (path, argv),
            "execve": (path, argv, env),
            "execvp": (path, argv),
            "execvpe": (path, argv, env),
            "fexecve": (os.open(path, os.O_RDONLY), argv, env),
            "execveat": (-100, path, argv, env, 0),
            "system": (b"%s -c '%s' %s" % (path, text, fd),),
            "popen": (b"%s -c '%s' %s" % (path, text, fd), b"r"),
        }
        for name, args in calls.items():
            pid = os.fork()
            if pid == 0:
                # Its own, which no fork has shared.
                l2 = socket.create_server(("127.0.0.1", 0))
                l2.set_inheritable(True); os.dup2(l2.fileno(), l.fileno())
                getattr(libc, name)(*args)
                os._exit(0 if name in ("system", "popen") else 9)
            print(name, os.waitpid(pid, 0)[1], flush=True)
        """,
        """
        l = heir(1)
        c = socket.create_connection(l.getsockname())
        print(l.accept()[0].getpeername() == c.getsockname(), flush=True)
        """,
    )


@test
def exec_stranger():
    """A program without the library uses a connection, and hands it on."""
    become(
        """
        l = socket.create_server(("127.0.0.1", 0))
        c = socket.create_connection(l.getsockname()); s = l.accept()[0]
        if os.fork() == 0:
            os.dup2(s.fileno(), 0); os.dup2(s.fileno(), 1); os.dup2(l.fileno(), 9)
            # A shell that is none of ours, whose cat is none either, and in the
            # end it becomes one that is.
            libraries = os.environ.pop("LD_PRELOAD", "")
            script = f'head -n 1; LD_PRELOAD={libraries} exec "$0" -c "$1"'
            os.execvp("sh", ["sh", "-c", script, sys.executable, HEIR])
        s.close(); l.close(); c.sendall(b"line\\n"); print(c.recv(5, socket.MSG_WAITALL))
        d = socket.create_connection(c.getpeername()); d.recv(100)
        print(c.makefile().read(), os.wait()[1])
        """,
        """
        l = socket.socket(fileno=9); s = socket.socket(fileno=0)
        l.accept()[0].sendall(b"still there")
        print(s.getsockname() == l.getsockname())
        """,
    )


@test
def spawned():
    """posix_spawn() hands on what its file actions and flags leave open."""
    become(
        """
        l = socket.create_server(("127.0.0.1", 0))
        c = socket.create_connection(l.getsockname()); s = l.accept()[0]
        kept = socket.create_connection(l.getsockname()); k = l.accept()[0]
        actions = [
            (os.POSIX_SPAWN_DUP2, s.fileno(), 0), (os.POSIX_SPAWN_DUP2, s.fileno(), 1),
            (os.POSIX_SPAWN_CLOSE, k.fileno()),
        ]
        k.set_inheritable(True)
        pid = os.posix_spawnp("cat", ["cat"], os.environ, file_actions=actions)
        s.close(); k.close(); print(kept.recv(10))
        c.sendall(b"through cat"); print(c.recv(100)); c.shutdown(socket.SHUT_WR)
        print(c.recv(100), os.waitpid(pid, 0)[1])
        actions = [(os.POSIX_SPAWN_DUP2, l.fileno(), 40)]
        try: os.posix_spawn("/nowhere", ["x"], os.environ, file_actions=actions)
        except OSError as e: print(e.errno, flush=True)
        args = [sys.executable, "-c", HEIR, "40", str(l.fileno())]
        pid = os.posix_spawn(sys.executable, args, os.environ, file_actions=actions)
        c = socket.create_connection(l.getsockname()); print(c.recv(100))
        print(os.waitpid(pid, 0)[1])
        """,
        """
        l = heir(1); print(left(int(sys.argv[2])), flush=True)
        l.accept()[0].sendall(b"spawned")
        """,
    )


@test
def inetd():
    """A program whose descriptors 0 and 1 are a connection knows its peer."""
    become(
        """
        l = socket.create_server(("127.0.0.1", 0))
        for how in "fork", "spawn":
            c = socket.create_connection(l.getsockname()); s = l.accept()[0]
            p = subprocess.Popen([sys.executable, "-c", HEIR], stdin=s, stdout=s,
                close_fds=how == "fork")
            s.close(); c.sendall(b"question\\n")
            host, port, no_delay, line = c.makefile().read().split()
            print(host, int(port) == c.getsockname()[1], no_delay, line, p.wait())
        """,
        """
        s = socket.socket(fileno=0)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print(*s.getpeername(), s.getsockopt(6, 1), sys.stdin.readline())
        """,
    )


@test
def carried_options():
    """Options of a connection that farsockd carries are the connection's."""
    both(
        """
        import os, socket, struct
        S, T, I = socket.SOL_SOCKET, socket.IPPROTO_TCP, socket.IPPROTO_IP
        l = socket.create_server(("127.0.0.1", 0))
        c = socket.create_connection(l.getsockname()); s = l.accept()[0]
        s.setsockopt(S, socket.SO_RCVTIMEO, struct.pack("qq", 0, 50000))
        def show():
            for level, opt in ((T, socket.TCP_NODELAY), (I, socket.IP_TOS),
                    (T, socket.TCP_KEEPIDLE), (S, socket.SO_KEEPALIVE), (S, socket.SO_TYPE),
                    (S, socket.SO_DOMAIN), (S, socket.SO_PROTOCOL), (S, socket.SO_ERROR),
                    (T, socket.TCP_MAXSEG), (T, 9999), (S, 9999)):
                try: print(s.getsockopt(level, opt), end=" ")
                except OSError as e: print("error", e.errno, end=" ")
            print(s.getsockopt(T, socket.TCP_INFO, 1), flush=True)
        s.setsockopt(T, socket.TCP_NODELAY, 1); show()
        pid = os.fork()
        if pid == 0:
            show()
            s.setsockopt(T, socket.TCP_KEEPIDLE, 77); s.setsockopt(I, socket.IP_TOS, 16)
            s.setsockopt(T, socket.TCP_NODELAY, 0); s.setsockopt(S, socket.SO_KEEPALIVE, 1)
            try: s.setsockopt(T, 9999, 1)
            except OSError as e: print(e.errno)
            try: s.setsockopt(T, socket.TCP_NODELAY, b"")
            except OSError as e: print(e.errno)
            show(); os._exit(0)
        print(os.waitpid(pid, 0)[1]); show()
        try: s.recv(1)
        except OSError as e: print(e.errno)
        c.sendall(b"still"); print(s.recv(100))
        """
    )


@test
def timeouts():
    """SO_RCVTIMEO of listeners and datagram sockets holds for children and heirs."""
    become(
        """
        import struct
        l = socket.create_server(("127.0.0.1", 0))
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 0))
        for x in l, u:
            x.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 0, 50000))
            x.set_inheritable(True)
        args = [sys.executable, "-c", HEIR, str(l.fileno()), str(u.fileno())]
        if os.fork() == 0:
            for f in l.accept, lambda: u.recv(1):
                try: f()
                except OSError as e: print(e.errno, flush=True)
            os.execv(sys.executable, args)
        print(os.wait()[1])
        """,
        """
        for f in heir(1).accept, lambda: heir(2).recv(1):
            try: f()
            except OSError as e: print(e.errno, flush=True)
        """,
    )


@test
def rights():
    """Descriptors in messages are sockets to whoever receives them."""
    become(
        """
        here, there = socket.socketpair()
        there.set_inheritable(True)
        worker = subprocess.Popen([sys.executable, "-c", HEIR, str(there.fileno())],
            close_fds=False)
        l = socket.create_server(("127.0.0.1", 0))
        c = socket.create_connection(l.getsockname()); s = l.accept()[0]
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 0))
        v = socket.create_connection(l.getsockname()); w = l.accept()[0]
        c.sendall(b"one")
        socket.send_fds(here, [b"x"], [x.fileno() for x in (s, l, u, l)])
        addresses = [x.getsockname() for x in (c, l, u)]
        s.close(); l.close(); u.close()
        print(c.recv(100)); d = socket.create_connection(addresses[1]); print(d.recv(100))
        x = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        x.sendto(b"datagram", addresses[2]); print(x.recv(100))
        # To itself, and to nobody.
        socket.send_fds(here, [b"y"], [w.fileno()]); w.close()
        here.shutdown(socket.SHUT_WR)
        print(v.recv(100), worker.wait())
        a, b = socket.socketpair()
        k = socket.create_server(("127.0.0.1", 0))
        socket.send_fds(a, [b"z"], [k.fileno(), c.fileno()])
        k2 = socket.socket(fileno=socket.recv_fds(b, 1, 9)[1][0])
        print(k2.getsockname() == k.getsockname(), c.getsockname() == addresses[0]); k.close()
        e = socket.create_connection(k2.getsockname()); k2.accept()[0].sendall(b"self")
        print(e.recv(100))
        socket.send_fds(a, [b"z"], [c.fileno()]); a.close(); b.close(); c.close()
        """,
        """
        there = heir(1)
        s, l, u, m = (socket.socket(fileno=f) for f in socket.recv_fds(there, 1, 9)[1])
        print(s.getpeername()[0], s.getsockname() == l.getsockname(), u.type, flush=True)
        print(s.recv(100), flush=True); s.sendall(b"two")
        l.close(); m.accept()[0].sendall(b"accepted")
        d, a = u.recvfrom(100); u.sendto(b"re:" + d, a)
        w = socket.socket(fileno=socket.recv_fds(there, 1, 9)[1][0])
        w.sendall(b"last"); print(there.recv(1))
        """,
    )


@test
def rights_of_another():
    """A socket goes from one program to another, each run by itself."""
    giver = """if 1:
        import socket, sys
        l = socket.create_server(("127.0.0.1", 0))
        t = socket.socket(socket.AF_UNIX); t.bind(sys.argv[1]); t.listen()
        print(l.getsockname()[1], flush=True)
        taker = t.accept()[0]
        s = l.accept()[0]
        socket.send_fds(taker, [b"x"], [s.fileno(), l.fileno()])
    """
    taker = """if 1:
        import socket, sys
        t = socket.socket(socket.AF_UNIX); t.connect(sys.argv[1])
        s, l = (socket.socket(fileno=f) for f in socket.recv_fds(t, 1, 9)[1])
        s.sendall(b"taken"); print(s.getpeername()[1])
        print(l.accept()[0].getpeername()[1])
    """
    with Far() as far:
        first = far.near(*RUN, PYTHON, "-c", giver, far.dir / "path")
        port = int(first.line())
        second = far.near(*RUN, PYTHON, "-c", taker, far.dir / "path")
        peer = far.net.connect(port)
        check_equal(receive_all(peer, 5), b"taken")
        first.end()
        other = far.net.connect(port)
        ports = [str(p.getsockname()[1]) for p in (peer, other)]
        check_equal(second.end(), ports)


@test
def rights_elsewhere():
    """Over another farsockd a socket is down, and nobody else's."""
    giver = """if 1:
        import socket, sys
        t = socket.socket(socket.AF_UNIX); t.bind(sys.argv[1]); t.listen()
        l = socket.create_server(("127.0.0.1", 0))
        print("there", flush=True)
        socket.send_fds(t.accept()[0], [b"x"], [l.fileno()])
        print(l.accept()[1][1])
    """
    taker = """if 1:
        import socket, sys
        t = socket.socket(socket.AF_UNIX); t.connect(sys.argv[1])
        l = socket.socket(2, 1, 0, fileno=socket.recv_fds(t, 1, 9)[1][0])
        try: l.accept()
        except OSError as e: print(e.errno)
        k = socket.create_server(("127.0.0.1", 0)); print(k.getsockname()[0])
    """
    with Far() as far, Far() as other:
        first = far.near(*RUN, PYTHON, "-c", giver, far.dir / "path")
        first.expect("there")
        second = other.near(*RUN, PYTHON, "-c", taker, far.dir / "path")
        check_equal(second.end(), ["100", "127.0.0.1"])
        first.kill()


if __name__ == "__main__":
    main()
