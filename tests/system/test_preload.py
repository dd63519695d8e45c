#!/usr/bin/python3
# Unmodified programs, whose sockets go over a link.
# SPDX-License-Identifier: MIT
"""The programs run in a network namespace that has nothing in it. The same
script runs natively beside farsockd where its output is compared."""

import hashlib
import errno
import os
import shutil
import signal
import socket
import subprocess

from harness import (
    BUILD,
    FARSOCK,
    Far,
    check,
    check_equal,
    in_thread,
    main,
    NONCOHERENT,
    SANITIZED,
    receive_all,
    skip,
    test,
)
from preloaded import PYTHON, RUN, both, unsanitized

DATA = bytes(i * 7 % 251 for i in range(1 << 16)) * 48  # 3 MiB
DIGEST = hashlib.sha256(DATA).hexdigest()


def not_sanitized(why):
    if SANITIZED:
        skip(why)


def needs(*programs):
    not_sanitized("not every program bears a sanitizer's run time: curl hangs natively")
    for name in programs:
        if not shutil.which(name):
            skip(f"no {name} here")


def http_server(far):
    """One answer with DATA; its port and how to wait for it."""
    listener = far.net.listener()

    def serve():
        peer = listener.accept()[0]
        peer.recv(1 << 16)
        head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(DATA)}\r\n\r\n"
        peer.sendall(head.encode() + DATA)
        peer.close()

    return listener.getsockname()[1], in_thread(serve)


@test
def urgent_data():
    """Urgent data in epoll, poll and select; SIGURG does not come."""
    got = both(
        """
        import ctypes, fcntl, select, signal, socket, sys, os
        l = socket.create_server(("127.0.0.1", 0))
        c = socket.create_connection(l.getsockname())
        s = l.accept()[0]
        raised = []
        signal.signal(signal.SIGURG, lambda *a: raised.append(1))
        fcntl.fcntl(s, fcntl.F_SETOWN, os.getpid())
        libc = ctypes.CDLL(None)
        for mode in 0, select.EPOLLET:
            e = select.epoll()
            e.register(s, select.EPOLLIN | select.EPOLLPRI | mode)
            c.send(b"ab!", socket.MSG_OOB)
            while not select.select([], [], [s], 10)[2]:
                pass
            p = select.poll()
            p.register(s, select.POLLPRI)
            print([b for _, b in e.poll(10)], [b for _, b in p.poll(10)])
            print([b for _, b in e.poll(0)])
            print(s.recv(10), libc.sockatmark(s.fileno()))
            print(s.recv(1, socket.MSG_OOB), select.select([s], [], [s], 0))
            print([b for _, b in e.poll(0)])
            c.send(b"cd")
            print(select.select([s], [], [], 10)[0] == [s], s.recv(10))
            e.unregister(s)
        print(len(raised), file=sys.stderr)
        """
    )
    check_equal(len(got), 12)


@test
def curl():
    """curl fetches from an empty namespace."""
    needs("curl")
    with Far() as far:
        port, served = http_server(far)
        url = f"http://127.0.0.1:{port}/"
        child = far.near(*RUN, "sh", "-c", f"curl -s {url} | sha256sum")
        check_equal(child.line().split()[0], DIGEST)
        child.end()
        served()


@test
def nc_serves():
    """nc listens, and gets every byte."""
    needs("nc")
    with Far() as far:
        probe = far.net.listener()
        port = probe.getsockname()[1]
        probe.close()
        child = far.near(*RUN, "sh", "-c", f"nc -l 127.0.0.1 {port} | sha256sum")
        peer = connect_when_up(far, port)
        peer.sendall(DATA)
        peer.shutdown(socket.SHUT_WR)
        check_equal(child.line().split()[0], DIGEST)
        child.end()


def connect_when_up(far, port):
    from harness import until

    def attempt():
        try:
            return far.net.connect(port)
        except ConnectionRefusedError:
            return None

    return until(f"somebody listens at {port}", attempt)


@test
def tls():
    """openssl s_client speaks TLS through it."""
    needs("openssl")
    with Far() as far:
        key, cert = far.dir / "key.pem", far.dir / "cert.pem"
        subprocess.run(
            f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
            f" -nodes -keyout {key} -out {cert} -subj /CN=far -days 2",
            shell=True,
            check=True,
            capture_output=True,
        )
        probe = far.net.listener()
        port = probe.getsockname()[1]
        probe.close()
        server = far.near(
            *RUN, "openssl", "s_server", "-accept", str(port), "-cert", cert,
            "-key", key, "-WWW", directory=far.dir,
        )
        (far.dir / "data").write_bytes(DATA)
        connect_when_up(far, port).close()
        client = far.native(
            "curl", "-sk", f"https://127.0.0.1:{port}/data", "-o", far.dir / "got"
        )
        client.end()
        check_equal((far.dir / "got").read_bytes() == DATA, True)
        server.kill()


@test
def readiness():
    """epoll, poll and select show far sockets beside others as natively."""
    both(
        """
        import os, select, socket
        def hang(s): s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\0\\0\\0\\0")
        l = socket.create_server(("127.0.0.1", 0))
        r, w = os.pipe()
        e = select.epoll()
        e.register(r, select.EPOLLIN)
        e.register(l, select.EPOLLIN)
        name = {r: "pipe", l.fileno(): "listener"}
        show = lambda got: print(sorted((name[f], b) for f, b in got), flush=True)
        show(e.poll(0.05))
        os.write(w, b"x"); show(e.poll(5)); os.read(r, 1)
        c = socket.create_connection(l.getsockname()); show(e.poll(5))
        s = l.accept()[0]; show(e.poll(0.05))
        name[s.fileno()] = "edge"
        e.register(s, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)
        show(e.poll(5)); show(e.poll(0.05))
        c.send(b"one"); show(e.poll(5)); show(e.poll(0.05))
        c.send(b"two"); show(e.poll(5)); print(s.recv(6, socket.MSG_WAITALL))
        e.modify(s, select.EPOLLOUT | select.EPOLLONESHOT)
        show(e.poll(5)); show(e.poll(0.05))
        e.modify(s, select.EPOLLIN | select.EPOLLRDHUP)
        c.shutdown(socket.SHUT_WR); show(e.poll(5))
        p = select.poll(); p.register(s); p.register(r); show(p.poll(5000))
        ready = select.select([s, r], [s], [s, r], 5)
        print([len(x) for x in ready])
        print([len(x) for x in select.select([r, c], [], [], 0.05)])
        q = select.poll(); q.register(s, 0)
        hang(c); c.close(); show(q.poll(5000)); show(p.poll(5000))
        d = socket.socket(fileno=os.dup(s.fileno())); s.close()
        print(e.poll(0.05) != [], d.fileno() >= 0)
        """
    )


@test
def descriptors():
    """dup, flags and closing are the kernel's; the last one closes."""
    both(
        """
        import fcntl, os, socket
        l = socket.create_server(("127.0.0.1", 0))
        c = socket.create_connection(l.getsockname()); s = l.accept()[0]
        print(fcntl.fcntl(s, fcntl.F_GETFL), fcntl.fcntl(s, fcntl.F_GETFD))
        s.setblocking(False); print(fcntl.fcntl(s, fcntl.F_GETFL))
        d = os.dup(s.fileno()); print(fcntl.fcntl(d, fcntl.F_GETFL))
        s.close()
        try: os.read(d, 1)
        except OSError as e: print(e.errno)
        c.send(b"still"); os.set_blocking(d, True); print(os.read(d, 9))
        print(os.dup2(d, 40), os.write(40, b"up"), c.recv(9)); os.close(40)
        os.close(d); print(c.recv(9))
        for fd in range(3, 200):
            try: os.close(fd)
            except OSError: pass
        n = socket.socket(); print(n.fileno())
        os.closerange(3, 5000); n.detach()
        n = socket.create_server(("127.0.0.1", 0)); print(n.fileno())
        """
    )


@test
def signals():
    """EINTR and SA_RESTART as natively."""
    both(
        """
        import ctypes, os, signal, socket, threading
        l = socket.create_server(("127.0.0.1", 0))
        c = socket.create_connection(l.getsockname()); s = l.accept()[0]
        libc = ctypes.CDLL(None, use_errno=True)
        buf = ctypes.create_string_buffer(10)
        me = threading.get_ident(); back = threading.Event()
        of_me = f"/proc/self/task/{threading.get_native_id()}/"
        def asleep(): # in a call, not for Python's lock (a futex)
            while open(of_me + "syscall").read().split()[0] in ("running", "202", "98"): pass
        def pending():
            return int(open(of_me + "status").read().split("SigPnd:")[1].split()[0], 16)
        def disturb():
            asleep(); signal.pthread_kill(me, signal.SIGUSR1)
        def disturb_and_send(restart):
            disturb()
            if not restart: back.wait(20)
            while pending(): pass
            asleep(); c.send(b"late")
        def beside(f, *args): threading.Thread(target=f, args=args).start()
        ran = []
        # C code that only returns, so that Python's own retry does not hide it
        noop = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda n: ran.append(n))
        signal.signal(signal.SIGUSR1, lambda *a: None)
        for restart in (False, True):
            signal.siginterrupt(signal.SIGUSR1, not restart)
            beside(disturb_and_send, restart)
            r = libc.recv(s.fileno(), buf, 10, 0)
            print(restart, r, ctypes.get_errno() if r < 0 else buf.value)
            back.set()
            if r < 0: print(s.recv(10))
        class Pollfd(ctypes.Structure):
            _fields_ = [("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short)]
        p = Pollfd(s.fileno(), 1, 0)
        beside(disturb)
        print(libc.poll(ctypes.byref(p), 1, 5000), ctypes.get_errno())
        """
    )


# Between a call of ours and the kernel: the signal comes after the library's
# last look, and before the sleep.
LATE_SIGNAL = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
static void late(void) {
    struct sigaction a;
    sigaction(SIGUSR1, NULL, &a);
    if (a.sa_handler != SIG_DFL) raise(SIGUSR1);
}
int epoll_pwait(int fd, struct epoll_event *ev, int n, int ms, const sigset_t *mask) {
    int (*next)(int, struct epoll_event *, int, int, const sigset_t *) =
        dlsym(RTLD_NEXT, "epoll_pwait");
    if (ms < 0) late();
    return next(fd, ev, n, ms, mask);
}
int ppoll(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *mask) {
    int (*next)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *) =
        dlsym(RTLD_NEXT, "ppoll");
    if (!t) late();
    return next(p, n, t, mask);
}
"""


@test
def no_handler_with_siginfo():
    """SIG_DFL and SIG_IGN are no handlers, whatever the flags say."""
    if BUILD.name == "san-thread":
        skip("TSan itself takes SIG_DFL with SA_SIGINFO for a handler")
    both(
        """
        import ctypes, os, signal, struct
        libc = ctypes.CDLL(None, use_errno=True)
        def act(number, handler):
            a = struct.pack("Q128xi4xQ", handler, 4, 0)  # SA_SIGINFO
            assert libc.sigaction(number, a, None) == 0
        for number in (signal.SIGTERM, signal.SIGSEGV, signal.SIGURG):
            for handler in (signal.SIG_IGN, signal.SIG_DFL):
                if (pid := os.fork()) == 0:
                    act(number, handler)
                    os.kill(os.getpid(), number)
                    os._exit(7)
                print(number, int(handler), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """
    )


@test
def late_signals():
    """A signal that comes just before the sleep ends it."""
    not_sanitized("it loads a library of its own")
    with Far() as far:
        source = far.dir / "late.c"
        source.write_text(LATE_SIGNAL)
        library = far.dir / "late.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
        for call in (
            "s.recv(1)",
            "select.select([s], [], [])",
            "p.poll()",
            "e.poll()",
        ):
            child = far.near(
                *RUN, PYTHON, "-uc",
                "import select, signal, socket\n"
                "s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('127.0.0.1', 0))\n"
                "p = select.poll(); p.register(s, 1); e = select.epoll(); e.register(s, 1)\n"
                "signal.signal(signal.SIGUSR1, lambda *a: exit('interrupted'))\n"
                f"{call}\n",
                LD_PRELOAD=library,
            )  # fmt: skip
            child.end(status=1)
            check_equal(child.stderr.strip(), "interrupted", call)


@test
def broken_pipe():
    """SIGPIPE comes where it comes natively."""
    both(
        """
        import os, signal, socket
        signal.signal(signal.SIGPIPE, lambda *a: print("pipe", flush=True))
        l = socket.create_server(("127.0.0.1", 0))
        c = socket.create_connection(l.getsockname())
        c.shutdown(socket.SHUT_WR)
        for f in (lambda: os.write(c.fileno(), b"x"), lambda: c.send(b"x", socket.MSG_NOSIGNAL)):
            try: print(f())
            except OSError as e: print(e.errno)
        """
    )


@test
def bad_pointers():
    """Bad pointers, descriptors and lengths give what they give natively, and
    the program's own faults are its own."""
    not_sanitized("UBSan sees what it does on purpose")
    with Far() as far:
        want = far.native(unsanitized("faults")).end()
        got = far.near(*RUN, unsanitized("faults")).end()
        check_equal(got, want)
        check(len(want) > 1000, len(want))


@test
def many_threads():
    """Threads wait in epoll on one link and each gets what is for it."""
    both(
        """
        import select, socket, threading
        l = socket.create_server(("127.0.0.1", 0))
        total = []
        def serve(s):
            e = select.epoll(); e.register(s, select.EPOLLIN)
            while True:
                e.poll()
                d = s.recv(100)
                if not d: break
                s.send(d)
            s.close()
        def ask():
            c = socket.create_connection(l.getsockname())
            for i in range(200):
                c.send(b"%d" % i); assert c.recv(100) == b"%d" % i
            c.close(); total.append(1)
        t = []
        for _ in range(8):
            t.append(threading.Thread(target=ask)); t[-1].start()
            t.append(threading.Thread(target=serve, args=(l.accept()[0],))); t[-1].start()
        for x in t: x.join()
        print(len(total))
        """
    )


@test
def small_stack():
    """A thread with the least stack that there may be: names, a connection."""
    not_sanitized("a sanitizer's frames are larger")
    with Far() as far:
        listener = far.net.listener()

        def serve():
            for _ in range(2):
                with listener.accept()[0] as peer:
                    while data := peer.recv(1 << 16):
                        peer.sendall(data)

        serving = in_thread(serve)
        port = listener.getsockname()[1]
        check_equal(far.native(unsanitized("stack"), port).end(), ["4096"], "natively")
        check_equal(far.near(*RUN, unsanitized("stack"), port).end(), ["4096"])
        serving()


@test
def late_socket():
    """A socket that is added while a thread waits on the empty set wakes it."""
    both(
        """
        import os, select, socket, threading, time
        e = select.epoll(); r, w = os.pipe(); e.register(r, select.EPOLLIN)
        got = []
        t = threading.Thread(target=lambda: got.extend(e.poll(10))); t.start()
        time.sleep(0.2)
        l = socket.create_server(("127.0.0.1", 0))
        e.register(l, select.EPOLLIN)
        time.sleep(0.2)
        c = socket.create_connection(l.getsockname())
        t.join(); print(got == [(l.fileno(), 1)])
        """
    )


@test
def files():
    """sendfile and splice move every byte."""
    with Far() as far:
        path = far.dir / "data"
        path.write_bytes(DATA)
        listener = far.net.listener()
        port = listener.getsockname()[1]
        script = f"""if 1:
            import os, socket
            c = socket.create_connection(("127.0.0.1", {port}))
            with open({str(path)!r}, "rb") as f:
                print(c.sendfile(f))
            c.shutdown(socket.SHUT_WR)
            print(len(c.recv(1)))
        """
        child = far.near(*RUN, PYTHON, "-c", script)
        peer = listener.accept()[0]
        check_equal(hashlib.sha256(receive_all(peer)).hexdigest(), DIGEST)
        peer.close()
        check_equal(child.end(), [str(len(DATA)), "0"])


@test
def names():
    """Names are the far core's."""
    both(
        """
        import socket
        print(socket.getaddrinfo("localhost", "http", 0, socket.SOCK_STREAM))
        print(socket.gethostbyname("localhost"), socket.gethostbyname_ex("127.0.0.1")[2])
        print(socket.getnameinfo(("127.0.0.1", 80), 0))
        try: socket.getaddrinfo("nothing.invalid", None)
        except socket.gaierror as e: print("no", e.errno in (socket.EAI_NONAME, socket.EAI_AGAIN))
        """
    )


@test
def stdio():
    """The C library's streams work on connections, also on descriptors 0 to 2."""
    both(
        """
        import ctypes, os, select, socket
        libc = ctypes.CDLL(None, use_errno=True)
        libc.fdopen.restype = ctypes.c_void_p
        def stream(s, mode): return ctypes.c_void_p(libc.fdopen(s.fileno(), mode))
        l = socket.create_server(("127.0.0.1", 0))
        c = socket.create_connection(l.getsockname()); s = l.accept()[0]
        c.send(b"first\\nsecond\\n")
        print(select.select([s], [], [], 9)[0] == [s])
        f = stream(s, b"r+")
        line = ctypes.create_string_buffer(100)
        libc.fgets(line, 100, f); print(line.value)
        libc.fgets(line, 100, f); print(line.value)
        libc.fprintf(f, b"%d and %s", 42, b"more"); print(libc.fflush(f))
        print(c.recv(100), s.getsockname() == l.getsockname())
        libc.fclose(f); s.detach(); print(c.recv(100))
        c = socket.create_connection(l.getsockname()); s = l.accept()[0]
        print(libc.dprintf(s.fileno(), b"%s %05d", b"text", 7), c.recv(100))
        saved = os.dup(1); os.dup2(s.fileno(), 1); s.close()
        libc.puts(b"said"); libc.fflush(None); os.dup2(saved, 1)
        print(c.recv(100, socket.MSG_WAITALL))
        """
    )


@test
def by_number():
    """System calls by number, as libuv makes some, are carried too."""
    both(
        """
        import ctypes, os, platform, socket
        if platform.machine() != "x86_64": print("other numbers"); raise SystemExit
        libc = ctypes.CDLL(None, use_errno=True)
        def call(number, *args):
            ctypes.set_errno(0)
            return libc.syscall(number, *args), ctypes.get_errno()
        READ, WRITE, CLOSE, POLL, DUP, SOCKET, SENDTO, CLOSE_RANGE = 0, 1, 3, 7, 32, 41, 44, 436
        l = socket.create_server(("127.0.0.1", 0))
        c = socket.create_connection(l.getsockname()); s = l.accept()[0]
        print(call(WRITE, c.fileno(), b"hello", 5), s.recv(100))
        print(call(SENDTO, c.fileno(), b"again", 5, 0, None, 0))
        fd = call(DUP, s.fileno())[0]
        poll = ctypes.create_string_buffer(fd.to_bytes(4, "little") + bytes([1, 0, 0, 0]), 8)
        print(call(POLL, poll, 1, 5000), poll.raw[6:])
        got = ctypes.create_string_buffer(100)
        print(call(READ, fd, got, 100), got.value)
        print(call(CLOSE, fd), call(CLOSE, fd))
        u = socket.socket(fileno=call(SOCKET, 2, 2, 0)[0]); u.bind(("127.0.0.1", 0))
        u.sendto(b"datagram", u.getsockname()); print(u.recv(100))
        print(call(CLOSE_RANGE, s.fileno(), s.fileno(), 0)); s.detach()
        print(c.recv(100), call(39)[0] == os.getpid())
        """
    )


@test
def forked():
    """A child serves on its parent's listener and datagram socket."""
    both(
        """
        import os, socket
        l = socket.create_server(("127.0.0.1", 0))
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.bind(("127.0.0.1", 0))
        pid = os.fork()
        if pid == 0:
            c = l.accept()[0]; c.sendall(b"child " + c.recv(100)); c.close()
            d, a = u.recvfrom(100); u.sendto(b"re:" + d, a); os._exit(0)
        c = socket.create_connection(l.getsockname())
        c.sendall(b"hi"); print(c.recv(100), c.recv(10)); c.close()
        v = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        v.connect(u.getsockname()); u.close()
        v.send(b"dg"); print(v.recv(100)); print(os.waitpid(pid, 0)[1])
        """
    )


@test
def shared_datagrams():
    """Parent and child receive from one datagram socket, each what it asks for."""
    both(
        """
        import os, select, socket
        def child(f):
            pid = os.fork()
            if pid == 0:
                f(); os._exit(0)
            return pid
        def ended(pid): print(os.waitpid(pid, 0)[1], flush=True)
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 0))
        v = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); v.connect(u.getsockname())
        readable = lambda s=0: bool(select.select([u], [], [], s)[0])
        # What came before the fork is lost to nobody.
        for d in b"abc": v.send(bytes([d]))
        print(readable(10), flush=True)
        ended(child(lambda: print(u.recv(9), flush=True)))
        print(u.recv(9), u.recv(9), readable(), flush=True)
        # A look takes nothing, and a child has it then.
        v.send(b"dddd"); print(readable(10))
        two = bytearray(2)
        print(u.recv(9, socket.MSG_PEEK), flush=True)
        print(u.recv_into(two, 2, socket.MSG_PEEK | socket.MSG_TRUNC), two, flush=True)
        ended(child(lambda: print(u.recv(9), flush=True)))
        print(readable())
        try: u.recv(9, socket.MSG_DONTWAIT)
        except BlockingIOError: print("none", flush=True)
        # All wait at the same time, and each datagram wakes one.
        r, w = os.pipe()
        def take():
            while (d := u.recv(60000)) != b"end": os.write(w, b"%d " % len(d))
        pids = [child(take) for _ in range(3)]
        for i in range(30): v.send(bytes(100 * i))
        for _ in pids: v.send(b"end")
        for pid in pids: ended(pid)
        got = os.read(r, 9999); print(sorted(int(n) for n in got.split()))
        """
    )


@test
def forking_server():
    """A server that forks for each datagram answers all of them from children."""
    both(
        """
        import os, socket, socketserver, threading
        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                data, s = self.request
                s.sendto(data + b" %d" % (os.getpid() != parent), self.client_address)
        parent = os.getpid()
        server = socketserver.ForkingUDPServer(("127.0.0.1", 0), Handler)
        def ask():
            c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            c.connect(server.server_address)
            wrong = 0
            for i in range(200):
                c.send(b"%d" % i); wrong += c.recv(100) != b"%d 1" % i
            print(wrong, "of 200 wrong"); server.shutdown()
        t = threading.Thread(target=ask); t.start()
        server.serve_forever(0.05); t.join()
        """
    )


@test
def little_memory():
    """A child with little address space has a link all the same."""
    not_sanitized("ASan's own memory does not fit")
    if NONCOHERENT:
        skip("emulated caches map a region four times, and nobody reckons with that")
    both(
        """
        import os, resource, socket
        l = socket.create_server(("127.0.0.1", 0))
        pid = os.fork()
        if pid == 0:
            resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
            c = socket.create_connection(l.getsockname()); s = l.accept()[0]
            c.sendall(b"enough"); print(s.recv(100), flush=True)
            many = [socket.socket() for _ in range(90)]
            print(len(many), flush=True); os._exit(0)
        print(os.waitpid(pid, 0)[1])
        """
    )


@test
def inherited_streams():
    """A child goes on with its parent's connection, and so does a program."""
    both(
        """
        import os, select, socket, subprocess
        l = socket.create_server(("127.0.0.1", 0))
        c = socket.create_connection(l.getsockname()); s = l.accept()[0]
        e = select.epoll(); e.register(c, select.EPOLLIN)
        c.sendall(b"before"); s.recv(1)
        pid = os.fork()
        if pid == 0:
            l.close(); c.close()
            print(s.recv(5, socket.MSG_WAITALL), s.family, flush=True)
            print(s.getsockname() == l.getsockname() if l.fileno() >= 0 else "")
            s.sendall(b"x" * 200000 + b"END"); s.shutdown(socket.SHUT_WR)
            print(s.recv(10), flush=True); os._exit(0)
        s.close()
        print(len(e.poll(10)), c.getpeername() == l.getsockname())
        n = 0
        while d := c.recv(65536): n += len(d)
        print(n); c.sendall(b"bye"); c.close(); print(os.waitpid(pid, 0)[1])
        c = socket.create_connection(l.getsockname()); s = l.accept()[0]
        p = subprocess.Popen(["cat"], stdin=s, stdout=s); s.close()
        c.sendall(b"through cat"); print(c.recv(100))
        c.shutdown(socket.SHUT_WR); print(c.recv(100), p.wait())
        """
    )


@test
def fork_beside_recv():
    """A thread that sleeps in recv while another forks gets its bytes."""
    both(
        """
        import os, socket, subprocess, threading, time
        l = socket.create_server(("127.0.0.1", 0))
        c = socket.create_connection(l.getsockname()); s = l.accept()[0]
        got = []
        t = threading.Thread(target=lambda: got.append(s.recv(100)))
        t.start(); time.sleep(0.3)
        pid = os.fork()
        if pid == 0: os._exit(0)
        os.waitpid(pid, 0); c.sendall(b"after"); t.join(); print(got)
        """
    )


@test
def fork_beside_calls():
    """Connections are made, waited for and used while another thread forks."""
    both(
        """
        import os, select, socket, threading
        l = socket.create_server(("127.0.0.1", 0), backlog=50)
        address = l.getsockname()
        done = []
        def serve(s):
            while d := s.recv(100): s.sendall(d)
            s.close()
        def accept():
            while len(done) < 4:
                if select.select([l], [], [], 0.05)[0]:
                    threading.Thread(target=serve, args=(l.accept()[0],)).start()
        def ask():
            good = 0
            for i in range(25):
                with socket.socket() as c:
                    c.connect(address)
                    assert c.getpeername() == address
                    c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    c.sendall(b"%d" % i)
                    assert select.select([c], [], [], 20)[0]
                    good += c.recv(100) == b"%d" % i
                    c.shutdown(socket.SHUT_WR)
                    good += c.recv(100) == b""
            done.append(good)
        t = [threading.Thread(target=f) for f in (accept, ask, ask, ask, ask)]
        for x in t: x.start()
        while len(done) < 4:
            if (pid := os.fork()) == 0: os._exit(0)
            os.waitpid(pid, 0)
        for x in t: x.join()
        print(done)
        """
    )


@test
def faults_sent():
    """A SIGSEGV that somebody sent to a sleeping call finds its handler once."""
    both(
        """
        import ctypes, os, signal, socket, threading
        l = socket.create_server(("127.0.0.1", 0))
        c = socket.create_connection(l.getsockname()); s = l.accept()[0]
        libc = ctypes.CDLL(None); libc.signal.restype = ctypes.c_void_p
        libc.__sysv_signal(signal.SIGSEGV, libc.abs) # with SA_RESETHAND
        def send():
            os.kill(os.getpid(), signal.SIGSEGV); c.send(b"x")
        threading.Timer(0.1, send).start()
        print(s.recv(1), libc.signal(signal.SIGSEGV, None))
        """
    )


@test
def deeply_bound():
    """A library that is loaded with RTLD_DEEPBIND, as PHP loads its own."""
    both(
        """
        import os, socket, sys, threading
        sys.setdlopenflags(os.RTLD_NOW | os.RTLD_DEEPBIND)
        import ssl # whose library calls read() and write() itself
        socket.setdefaulttimeout(20)
        def context(side):
            c = ssl.SSLContext(side)
            c.check_hostname = False; c.maximum_version = ssl.TLSVersion.TLSv1_2
            c.set_ciphers("aNULL:@SECLEVEL=0") # without certificates
            return c
        l = socket.create_server(("127.0.0.1", 0))
        def serve():
            s = context(ssl.PROTOCOL_TLS_SERVER).wrap_socket(l.accept()[0], server_side=True)
            s.sendall(s.recv(100)[::-1]); s.close()
        t = threading.Thread(target=serve); t.start()
        c = socket.create_connection(l.getsockname())
        c = context(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(c)
        c.sendall(b"hello"); print(c.recv(100), c.recv(100)); t.join()
        """
    )


@test
def nginx():
    """nginx with a master and workers serves files."""
    needs("nginx", "curl")
    with Far() as far:
        (far.dir / "data").write_bytes(DATA)
        probe = far.net.listener()
        port = probe.getsockname()[1]
        probe.close()
        (far.dir / "conf").write_text(
            f"daemon off; worker_processes 2; user root; pid {far.dir}/pid;\n"
            f"error_log stderr; events {{}}\n"
            f"http {{ access_log off; sendfile on; server {{\n"
            f"  listen 127.0.0.1:{port}; root {far.dir}; }} }}\n"
        )
        server = far.near(*RUN, "nginx", "-p", far.dir, "-c", far.dir / "conf")
        connect_when_up(far, port).close()
        for place in (far.native, lambda *c: far.near(*RUN, *c)):
            url = f"http://127.0.0.1:{port}/data"
            out = place("sh", "-c", f"curl -s {url} | sha256sum").end()
            check_equal(out[0].split()[0], DIGEST)
        server.send_signal(signal.SIGTERM)
        server.end(0)


@test
def control_data():
    """Control data, interfaces and what ioctl() tells are the far core's."""
    both(
        """
        import fcntl, select, socket, struct, termios
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.bind(("127.0.0.1", 0))
        u.setsockopt(socket.IPPROTO_IP, 8, 1)
        u.sendto(b"data", u.getsockname())
        select.select([u], [], [], 5)
        print(struct.unpack("i", fcntl.ioctl(u, termios.FIONREAD, b"0000")))
        print(u.recvmsg(100, 100)[:3])
        print(u.sendmsg([b"a", b"bc"], [], 0, u.getsockname()), u.recv(9))
        print(socket.if_nametoindex("lo"))
        """
    )


@test
def interfaces():
    """The list of interfaces is the far core's."""
    needs("ip")
    with Far() as far:
        with far.net.inside():
            pair = ["far0", "type", "veth", "peer", "name", "far1"]
            subprocess.run(["ip", "link", "add", *pair], check=True)
        script = "import socket; print(socket.if_nameindex())"
        want = far.native(PYTHON, "-c", script).end()
        check("far0" in want[0], want)
        check_equal(far.near(*RUN, PYTHON, "-c", script).end(), want)


@test
def counted():
    """farsockd's counters show that nothing went past it."""
    with Far() as far:
        child = far.near(
            *RUN, PYTHON, "-uc",
            "import socket; l = socket.create_server(('127.0.0.1', 0)); print(1); input()",
        )
        child.expect("1")
        links = [r for r in far.dump() if r[0] == "link"]
        check(any(r[2].startswith("python3") for r in links), links)
        child.write("\n")
        child.end()


@test
def refused():
    """What cannot work is said in one line."""
    not_sanitized("it is about the tool")
    with Far() as far:
        gone = far.near(FARSOCK, "run", "--link", far.dir / "none", "--", "true")
        gone.end(status=125)
        check("no farsockd answers" in gone.stderr, gone.stderr)
        static = far.dir / "static"
        source = far.dir / "s.c"
        source.write_text("int main(void) { return 0; }\n")
        subprocess.run(["gcc", "-static", "-o", static, source], check=True)
        child = far.near(*RUN, static)
        child.end(status=126)
        check("static" in child.stderr, child.stderr)
        far.near(*RUN, "no-such-program").end(status=127)
        far.near(FARSOCK, "run").end(status=2)


@test
def own_daemon():
    """Without a link named or there, a farsockd runs for as long as the program."""
    not_sanitized("it is about the tool")
    if os.path.exists("/run/farsock/link"):
        skip("a farsockd answers at the default path")
    with Far() as far:
        script = (
            "import socket, os; l = socket.create_server(('127.0.0.1', 0));"
            "print(os.environ['FARSOCK_LINK']); raise SystemExit(7)"
        )
        child = far.native(
            FARSOCK, "run", PYTHON, "-c", script,
            XDG_RUNTIME_DIR=far.dir, TMPDIR=far.dir,
        )
        link = child.end(status=7)[0]
        check(link.startswith(str(far.dir)), link)
        check(not os.path.exists(os.path.dirname(link)), "left behind", link)


@test
def without_farsockd():
    """A server whose farsockd has died asks again and again, but not fast."""
    with Far() as far:
        child = far.near(
            *RUN, PYTHON, "-uc",
            "import select, socket, time\n"
            "def six(call):\n"
            "    said = []\n"
            "    start = time.monotonic()\n"
            "    for _ in range(6):\n"
            "        select.select([call.__self__], [], [])\n"
            "        try: said.append(call(*ARGS[call.__name__]))\n"
            "        except OSError as e: said.append(e.errno)\n"
            "    return time.monotonic() - start > 0.4, said\n"
            "ARGS = {'_accept': (), 'recv': (9,)}\n"
            "l = socket.create_server(('127.0.0.1', 0)); l.setblocking(False)\n"
            "u = socket.socket(type=socket.SOCK_DGRAM); u.bind(('127.0.0.1', 0)); u.setblocking(False)\n"
            "print(); input(); print(six(l._accept)); print(six(u.recv))\n",
        )  # fmt: skip
        child.line()
        far.daemon.kill()
        child.write("\n")
        out = child.end()
        check_equal(out[0], str((True, [errno.ENETDOWN] * 6)))
        check_equal(out[1], str((True, [errno.ECONNRESET] + [b""] * 5)))


@test
def killed():
    """A program that is killed leaves nothing at farsockd."""
    with Far() as far:
        child = far.near(
            *RUN, PYTHON, "-uc",
            "import socket; l = [socket.create_server(('127.0.0.1', 0)) for _ in range(9)];"
            "print(l[0].getsockname()[1]); input()",
        )
        port = int(child.line())
        far.net.connect(port).close()
        child.send_signal(signal.SIGKILL)
        child.end(status=-signal.SIGKILL)
        # Far.stop() compares farsockd's descriptors with those before.


if __name__ == "__main__":
    check((BUILD / "lib/libfarsock-preload.so").exists(), "make products")
    main()
