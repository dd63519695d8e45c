#!/usr/bin/python3
# Rows of docs/differences.md that no other test holds.
# SPDX-License-Identifier: MIT

import signal
import socket
import textwrap
from pathlib import Path

from harness import FARSOCK, IN, MICROPYTHON, OUT, PRI, Far, check, check_equal, in_thread, main
from harness import diagnose, needs_preload, skip, test, until
from oracle import PORT, connected, wants

PYTHON = "/usr/bin/python3"
WAIT = 10000


@test
def low_water_of_half_the_ring():
    """SO_RCVLOWAT above half of the rx ring waits for half of it."""
    with Far() as far:
        sh = far.shell("far:0:4096")
        peer = connected(far, sh)
        wants(sh, "setopt c 1 18 4000", "0")
        peer.sendall(b"x" * 2047)
        until("it is there", lambda: sh.ask("ioctl c 0x541b") == "0 2047")
        wants(sh, f"poll c {IN} 0", "0 0x0")
        peer.sendall(b"x")
        wants(sh, f"poll c {IN} {WAIT}", "1 0x1")
        check(sh.ask("recv c 4000").startswith("2048 "))


@test
def peek_beyond_the_ring():
    """MSG_PEEK sees what the rx ring holds, not what is behind it."""
    with Far() as far:
        sh = far.shell("far:0:4096")
        peer = connected(far, sh)
        peer.sendall(b"x" * 5000)
        wants(sh, f"poll c {IN} {WAIT}", "1 0x1")
        until("the ring is full", lambda: sh.ask("recv c 5000 peek").startswith("4096 "))
        check(sh.ask("recv c 5000 peek waitall").startswith("4096 "))
        check(sh.ask("recv c 5000 waitall").startswith("5000 "))
        sh("socket r 2 2")
        wants(sh, f"bind r 127.0.0.1 {PORT + 1}", "0")
        far.net.udp().sendto(b"y" * 5000, ("127.0.0.1", PORT + 1))
        wants(sh, f"poll r {IN} {WAIT}", "1 0x1")
        wants(sh, "recv r 5000 peek", "EMSGSIZE")
        # A header of 8 bytes and the sender's address are before it.
        check(sh.ask("recv r 4056 peek trunc").startswith("5000 "))
        wants(sh, "recv r 4057 peek", "EMSGSIZE")
        check(sh.ask("recv r 5000").startswith("5000 "))


@test
def nothing_of_an_unconnected_mptcp():
    """recv() of no bytes says ENOTCONN of MPTCP as of TCP, which natively it does not."""
    with Far() as far:
        sh = far.shell()
        if sh.ask("socket m 2 1 262") != "0":
            skip("this kernel has no MPTCP")
        wants(sh, "recv m 0 dontwait", "ENOTCONN")
        sh("socket t 2 1 6")
        wants(sh, "recv t 0 dontwait", "ENOTCONN")


@test
def small_buffers():
    """SO_RCVBUF and SO_SNDBUF hold beside the rings, not in place of them."""
    ring = 4096
    kept = {}
    sent = {}
    with Far() as far:
        for name, sh in ("native", far.native_shell()), ("far", far.shell(f"far:0:{ring}")):
            sh("socket r 2 2")
            wants(sh, "setopt r 1 8 1", "0")
            wants(sh, f"bind r 127.0.0.1 {PORT}", "0")
            s = far.net.udp()
            for _ in range(500):
                s.sendto(b"x", ("127.0.0.1", PORT))
            wants(sh, f"poll r {IN} {WAIT}", "1 0x1")
            kept[name] = 0
            while sh.ask(f"poll r {IN} 100") == "1 0x1":
                wants(sh, "recv r 10", "1 x")
                kept[name] += 1
            wants(sh, "close r", "0")
            listener = far.net.listener(PORT)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            sh("socket c 2 1")
            wants(sh, "setopt c 1 7 1", "0")
            wants(sh, f"connect c 127.0.0.1 {PORT}", "0")
            peer, _ = listener.accept()
            listener.close()
            sent[name] = 0
            while True:
                n = int(sh.ask("sendn c 1000000 500 nowait").split()[0])
                sent[name] += n
                if n == 0 and sh.ask(f"poll c {OUT} 100") == "0 0x0":
                    break
            peer.close()
            wants(sh, "close c", "0")
        diagnose(f"datagrams: {kept}, bytes: {sent}")
        check(kept["native"] < 10, kept)
        # A datagram is 40 bytes in the ring; some may have come before it was full.
        check(kept["native"] <= kept["far"] <= ring // 40 + 10, kept)
        check(sent["native"] < 30000, sent)
        check(ring <= sent["far"] <= sent["native"] + ring + 10000, sent)


@test
def older_than_its_call():
    """A TCP socket that was made ahead is as the kernel made it then."""
    path = Path("/proc/sys/net/ipv4/tcp_rmem")
    with Far() as far:
        sh = far.shell()
        for name in "abcd":
            if name == "c":
                with far.net.inside():
                    path.write_text("4096 50000 6291456", encoding="ascii")
            wants(sh, f"socket {name} 2 1", "0")
            size = sh.ask(f"getopt {name} 1 8")
            check_equal(size.endswith(" 50000"), name == "d", f"{name}: {size}")


@test
def second_look_at_nothing():
    """MSG_PEEK gives an empty datagram again; natively not on a raw IPv6 socket."""
    with Far() as far:
        peer = far.native_shell()
        peer("socket p 10 3 200")
        for sh, again in (far.native_shell(), "EAGAIN"), (far.shell(), "0 "):
            sh("socket r 10 3 200")
            wants(sh, "bind r ::1 0", "0")
            wants(peer, "sendto p #0 ::1 0", "0")
            wants(sh, f"poll r {IN} {WAIT}", "1 0x1")
            check_equal(sh.ask("recv r 10 peek nowait").strip(), "0")
            check_equal(sh.ask("recv r 10 peek nowait").strip(), again.strip())
            check_equal(sh.ask("recv r 10 nowait").strip(), "0")
            wants(sh, "close r", "0")


@test
def pending_before_the_path():
    """A pending error comes before EMSGSIZE by IPV6_DONTFRAG; natively after it."""
    needs_preload()
    script = f"""
    import errno, select, socket
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.connect(("::1", {PORT}))
    s.send(b"x")
    p = select.poll()
    p.register(s, 0)
    p.poll()
    item = (socket.IPPROTO_IPV6, 62, (1).to_bytes(4, "little"))
    for _ in range(2):
        try:
            print(s.sendmsg([b"x" * 65527], [item]))
        except OSError as e:
            print(errno.errorcode[e.errno])
    """
    with Far() as far:
        native = far.native(PYTHON, "-c", textwrap.dedent(script)).end()
        check_equal(native, ["EMSGSIZE", "EMSGSIZE"])
        check_equal(under_run(far, script), ["ECONNREFUSED", "EMSGSIZE"])


@test
def part_that_meets_an_error():
    """A first part (MSG_MORE) that an error refused does not lead the next datagram."""
    needs_preload()
    script = f"""
    import errno, select, socket
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.bind(("127.0.0.1", 0))
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect(("127.0.0.1", {PORT}))
    p = select.poll()
    p.register(s, 0)
    s.send(b"nobody has this")
    p.poll()
    try:
        s.sendto(b"part", 0x8000, other.getsockname())
    except OSError as e:
        print(errno.errorcode[e.errno])
    print(s.send(b"nobody has this"))
    p.poll(10000)
    print(errno.errorcode[s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)])
    s.sendto(b"whole", other.getsockname())
    print(other.recv(100))
    """
    with Far() as far:
        wanted = ["ECONNREFUSED", "15", "ECONNREFUSED", "b'whole'"]
        check_equal(under_run(far, script), wanted)


@test
def sum_of_what_is_cut():
    """IP_CHECKSUM: a sum of a datagram that is cut, natively only."""
    needs_preload()
    script = """
    import socket
    s, p = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    s.bind(("127.0.0.1", 0))
    s.setsockopt(socket.IPPROTO_IP, 23, 1)
    for room in 6000, 3000:
        p.sendto(b"x" * 1177, 0x8000, s.getsockname())
        p.sendto(b"x" * 4000, s.getsockname())
        data, items, flags, _ = s.recvmsg(room, 100)
        print(len(data), len(items))
    """
    with Far() as far:
        native = far.native(PYTHON, "-c", textwrap.dedent(script)).end()
        check_equal(native, ["5177 0", "3000 1"])
        check_equal(under_run(far, script), ["5177 0", "3000 0"])


@test
def runs_of_datagrams():
    """Equal datagrams that wait together are one packet to who looks at packets."""
    script = """
    import socket
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    print("ready", flush=True)
    while True:
        print(len(raw.recv(70000)) - 28, flush=True)
    """
    with Far() as far:
        peer = far.net.udp(PORT)
        watcher = far.native(PYTHON, "-c", textwrap.dedent(script))
        watcher.expect("ready")
        sh = far.shell()
        wants(sh, "socket s 2 2", "0")
        send = f"sendto s hello 127.0.0.1 {PORT}"
        for _ in range(2):  # then near sends without asking
            wants(sh, send, "5")
            check_equal(peer.recv(9), b"hello")
            check_equal(watcher.line(), "5")
        far.daemon.send_signal(signal.SIGSTOP)
        for _ in range(20):
            wants(sh, send, "5")
        far.daemon.send_signal(signal.SIGCONT)
        for _ in range(20):
            check_equal(peer.recv(9), b"hello")
        check_equal(watcher.line(), "100")


@test
def error_queue_selected():
    """SO_SELECT_ERR_QUEUE: POLLPRI of the error queue, natively also of an error."""
    with Far() as far:
        for sh, error in (far.native_shell(), 0xA), (far.shell(), 0x8):
            sh("socket s 2 2")
            wants(sh, "setopt s 1 45 1", "0")
            wants(sh, f"connect s 127.0.0.1 {PORT}", "0")
            wants(sh, "send s x", "1")
            wants(sh, f"poll s {PRI} {WAIT}", f"1 0x{error:x}")
            wants(sh, "getopt s 1 4", "0 4 111")
            wants(sh, "setopt s 0 11 1", "0")
            wants(sh, "send s x", "1")
            wants(sh, f"poll s {PRI} {WAIT}", "1 0xa")


@test
def control_data_of_earlier_datagrams():
    """An option that asks for control data has no effect on what had arrived."""
    with Far() as far:
        sh = far.shell()
        sh("socket r 2 2")
        wants(sh, f"bind r 127.0.0.1 {PORT}", "0")
        s = far.net.udp()
        s.sendto(b"early", ("127.0.0.1", PORT))
        wants(sh, f"poll r {IN} {WAIT}", "1 0x1")
        wants(sh, "setopt r 0 12 1", "0")
        s.sendto(b"late", ("127.0.0.1", PORT))
        check("ctl 0" in sh.ask("recvmsg r 10"))
        check("0/2:40000000" in sh.ask("recvmsg r 10"))


@test
def long_entries_of_the_error_queue():
    """Of an error queue's entry at most 2048 bytes are quoted."""
    with Far() as far:
        sh = far.shell()
        far.net.udp(PORT)
        sh("socket s 2 2")
        wants(sh, "setopt s 1 37 18", "0")  # a time for what is sent
        wants(sh, f"sendto s #3000 127.0.0.1 {PORT}", "3000")
        wants(sh, f"poll s 0 {WAIT}", "1 0x8")
        got = sh.ask("recvmsg s 4000 errqueue").split()
        check_equal((got[0], got[4]), ("2048", "0x2020"), got)


def under_run(far, script):
    text = textwrap.dedent(script)
    return far.near(FARSOCK, "run", "--", PYTHON, "-c", text).end()


@test
def much_control_data():
    """More than 512 bytes of control data are refused; natively they go."""
    needs_preload()
    script = f"""
    import errno, socket
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for n in 32, 33:
        items = [(0, 1, (16).to_bytes(4, "little"))] * n
        try:
            print(s.sendmsg([b"x"], items, 0, ("127.0.0.1", {PORT})))
        except OSError as e:
            print(errno.errorcode[e.errno])
    """
    with Far() as far:
        far.net.udp(PORT)
        native = far.native(PYTHON, "-c", textwrap.dedent(script)).end()
        check_equal(native, ["1", "1"])
        check_equal(under_run(far, script), ["1", "ENOBUFS"])


@test
def no_statistics():
    """getifaddrs() has no statistics."""
    needs_preload()
    script = """
    import ctypes
    P = ctypes.c_void_p
    class I(ctypes.Structure):
        pass
    I._fields_ = [("next", ctypes.POINTER(I)), ("name", ctypes.c_char_p),
                  ("flags", ctypes.c_uint), ("addr", P), ("mask", P), ("other", P),
                  ("data", P)]
    first = ctypes.POINTER(I)()
    print(ctypes.CDLL(None).getifaddrs(ctypes.byref(first)))
    some = False
    while first:
        some = some or bool(first.contents.data)
        first = first.contents.next
    print(some)
    """
    with Far() as far:
        native = far.native(PYTHON, "-c", textwrap.dedent(script)).end()
        check_equal(native, ["0", "True"])
        check_equal(under_run(far, script), ["0", "False"])


@test
def wrong_later_message():
    """recvmmsg(): what is wrong with a message behind the first is not kept."""
    needs_preload()
    script = """
    import ctypes, socket
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(("127.0.0.1", 0))
    for data in (b"one", b"two"):
        u.sendto(data, u.getsockname())
    buf = ctypes.create_string_buffer(8)
    iov = (ctypes.c_uint64 * 2)(ctypes.addressof(buf), 8)
    # Of struct mmsghdr 64 bytes; the second one's pieces are nowhere.
    v = (ctypes.c_uint64 * 16)()
    v[2], v[3], v[8 + 2], v[8 + 3] = ctypes.addressof(iov), 1, 1, 1
    libc = ctypes.CDLL(None)
    r = libc.recvmmsg(u.fileno(), v, 2, socket.MSG_DONTWAIT, None)
    print(r, u.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    """
    with Far() as far:
        check_equal(far.native(PYTHON, "-c", textwrap.dedent(script)).end(), ["1 14"])
        check_equal(under_run(far, script), ["1 0"])


@test
def error_of_a_shared_socket():
    """A pending error is the process's that met it; natively who calls next gets it."""
    needs_preload()
    script = """
    import os, select, socket
    def receive(u):
        try: return u.recv(9)
        except OSError as e: return type(e).__name__
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.setblocking(False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        u.connect(nobody.getsockname())
    asks, told = os.pipe()
    if (pid := os.fork()) == 0:
        os.read(asks, 1); print(receive(u), flush=True); os._exit(0)
    u.send(b"x"); select.select([u], [], [])
    os.write(told, b"x"); os.waitpid(pid, 0)
    print(receive(u))
    """
    native = ["ConnectionRefusedError", "BlockingIOError"]
    with Far() as far:
        check_equal(far.native(PYTHON, "-c", textwrap.dedent(script)).end(), native)
        check_equal(under_run(far, script), native[::-1])


@test
def edges():
    """EPOLLET: the end once more after a short recv(); no edge when a datagram went."""
    needs_preload()
    script = f"""
    import select, socket
    ep = select.epoll()
    def told(s):
        return [bits for fd, bits in ep.poll(0) if fd == s.fileno()]
    c = socket.create_connection(("127.0.0.1", {PORT}))
    want = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
    p = select.poll()
    p.register(c, select.POLLRDHUP)
    p.poll()
    ep.register(c, want)
    print(len(told(c)), len(told(c)), len(c.recv(100)), len(told(c)), len(c.recv(1)), len(told(c)))
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ep.register(u, select.EPOLLOUT | select.EPOLLET)
    print(len(told(u)), u.sendto(b"x", ("127.0.0.1", {PORT})), len(told(u)))
    """

    def serve():
        peer, _ = listener.accept()
        peer.sendall(b"x" * 27)
        peer.close()

    with Far() as far:
        listener = far.net.listener(PORT)
        far.net.udp(PORT)
        for _ in range(5):
            join = in_thread(serve)
            native = far.native(PYTHON, "-c", textwrap.dedent(script)).end()
            join()
            # The kernel tells of one end twice; the second may come later.
            if not native[0].startswith("1 0 27 1"):
                break
        check_equal(native, ["1 0 27 0 0 0", "1 1 1"])
        join = in_thread(serve)
        check_equal(under_run(far, script), ["1 0 27 1 0 0", "1 1 0"])
        join()


@test
def modules_that_are_not_built():
    """This MicroPython has neither ffi nor btree."""
    if not MICROPYTHON.exists():
        skip("no MicroPython here")
    with Far() as far:
        script = far.dir / "modules.py"
        script.write_text(
            "for name in 'socket', 'ffi', 'btree':\n"
            "    try:\n"
            "        __import__(name)\n"
            "        print(name)\n"
            "    except ImportError:\n"
            "        print('no', name)\n"
        )
        check_equal(far.near(MICROPYTHON, script).end(), ["socket", "no ffi", "no btree"])


if __name__ == "__main__":
    main()
