#!/usr/bin/python3
# A near core without an operating system: RISC-V in QEMU, memory and doorbells.
# SPDX-License-Identifier: MIT
# timeout: 900

import hashlib
import os
import signal

from cores import ARCHS, IMAGES, SIZE, TRANSFER, FarOfCores, archs, lines, needed
from harness import (
    FARSOCK,
    Far,
    check,
    check_equal,
    in_thread,
    main,
    receive_all,
    test,
    until,
)

# --- Without MicroPython ---


@test
def c_example():
    """The C example, on both kinds of core: 100 lines go and come back."""
    for arch in archs("echo"):
        with FarOfCores() as far:
            with far.net.listener(7777) as l:
                core = far.qemu(arch=arch, image="echo")
                peer, _ = l.accept()
                got = b""
                while data := peer.recv(4096):
                    got += data
                    peer.sendall(data)
                check_equal(got, b"hello, far core\n" * 100)
                check_equal(lines(core), ["100 lines came back"])


# --- Scripts ---

@test
def transfers():
    """Megabytes each way, compared by digest."""
    back = os.urandom(SIZE)
    for arch in archs():
        with FarOfCores() as far, far.net.listener() as l:
            core = far.script(TRANSFER, l.getsockname()[1], SIZE, arch=arch)
            peer, _ = l.accept()
            peer.settimeout(300)
            got = hashlib.sha256(receive_all(peer, SIZE)).hexdigest()
            peer.sendall(back)
            peer.close()
            want = f"{SIZE} {got} {hashlib.sha256(back).hexdigest()}"
            check_equal(lines(core), [want])


CALLS = """
import select, socket, time
def attempt(f, *args):
    try:
        return f(*args)
    except OSError as e:
        return e.errno
print(socket.getaddrinfo("localhost", 80, socket.AF_INET, socket.SOCK_STREAM)[0][-1])
print(attempt(socket.getaddrinfo, "no-such-host.invalid", 80) < 0)
s = socket.socket()
print(attempt(s.connect, ("127.0.0.1", 1)))
s.close()
a = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
b = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
a.bind(("::1", 0))
print(b.sendto(b"datagram", a.getsockname()))
data, sender = a.recvfrom(100)
print(data, sender[0])
a.settimeout(0.3)
began = time.ticks_ms()
print(attempt(a.recv, 1))
print(250 < time.ticks_diff(time.ticks_ms(), began) < 5000)
a.setblocking(False)
print(attempt(a.recv, 1), a.read(1))
p = select.poll()
p.register(a, select.POLLIN)
print(p.poll(10))
b.sendto(b"x", a.getsockname())
print(len(p.poll(5000)), a.recv(5))
l = socket.socket()
l.bind(("127.0.0.1", 0))
l.listen(1)
c = socket.socket()
c.connect(l.getsockname())
d, _ = l.accept()
c.send(b"over the far core")
print(d.recv(100))
c.close()
print(d.recv(100))
print(time.time() > 1700000000)
import os
print(len(set(os.urandom(8) for _ in range(8))))
"""

CALLS_GIVE = """\
('127.0.0.1', 80)
True
111
8
b'datagram' ::1
110
True
11 None
[]
1 b'x'
b'over the far core'
b''
True
8"""


@test
def calls():
    """Names, errors, IPv6, datagrams, time-outs, poll, a server."""
    for arch in archs():
        with FarOfCores() as far:
            check_equal("\n".join(lines(far.script(CALLS, arch=arch))), CALLS_GIVE)


ASYNCIO = """
import asyncio, sys
async def serve(reader, writer):
    writer.write(await reader.readline())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
async def ask(port, n):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"line %d\\n" % n)
    await writer.drain()
    data = await reader.read(100)
    writer.close()
    await writer.wait_closed()
    return data
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 8888)
    got = await asyncio.gather(*[ask(8888, n) for n in range(8)])
    print(got == [b"line %d\\n" % n for n in range(8)])
asyncio.run(main())
"""


@test
def asyncio():
    """A server and eight clients in one event loop."""
    with FarOfCores() as far:
        check_equal(lines(far.script(ASYNCIO)), ["True"])


TLS = """
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.verify_mode = ssl.CERT_REQUIRED
with open("/ca.der", "rb") as f:
    context.load_verify_locations(f.read())
s = socket.socket()
s.connect(("127.0.0.1", int(sys.argv[1])))
t = context.wrap_socket(s, server_hostname="localhost")
t.write(b"over TLS")
print(t.read(100))
t.close()
"""


@test
def tls():
    """A TLS client that checks the server's certificate, of OpenSSL's."""
    import ssl
    import subprocess

    with FarOfCores() as far:
        key, cert, der = (far.dir / n for n in ("key.pem", "cert.pem", "ca.der"))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
            + ["ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert]
            + ["-subj", "/CN=localhost", "-days", "2"],
            check=True,
            capture_output=True,
        )
        subprocess.run(
            ["openssl", "x509", "-in", cert, "-outform", "DER", "-out", der],
            check=True,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        with far.net.listener() as l:
            path = far.dir / "tls.py"
            path.write_text(TLS)
            core = far.qemu("--file", f"ca.der={der}", path, l.getsockname()[1])

            def serve():
                peer, _ = l.accept()
                peer.settimeout(60)
                with context.wrap_socket(peer, server_side=True) as t:
                    data = t.recv(100)
                    t.sendall(data.upper())
                return data

            result = in_thread(serve)
            check_equal(lines(core), ["b'OVER TLS'"])
            check_equal(result(), b"over TLS")


# --- The terminal ---


@test
def terminal():
    """Ctrl-C ends a call that waits; Ctrl-D closes every socket."""
    needed("rv64")
    with FarOfCores() as far, far.net.listener() as l:
        port = l.getsockname()[1]
        core = far.qemu()
        # Raw mode: what is typed is not echoed, and answers are lines.
        core.expect("MicroPython")
        core.write("\x01")
        core.expect("raw REPL; CTRL-B to exit")
        core.write(
            "import socket\n"
            "s = socket.socket()\n"
            f"s.connect(('127.0.0.1', {port}))\n"
            "l = socket.socket()\n"
            "l.bind(('127.0.0.1', 5555))\n"
            "l.listen(1)\n"
            "print('connected')\n"
            "s.recv(1)\n"
            "\x04"
        )
        core.expect("connected")
        peer, _ = l.accept()
        core.write("\x03")
        core.expect("KeyboardInterrupt")
        core.write("print('alive', s.send(b'x'))\n\x04")
        core.expect("alive 1")
        check_equal(peer.recv(10), b"x")
        core.write("\x04")
        core.expect("soft reboot")
        check_equal(peer.recv(10), b"", "the soft reset closes")
        core.write(
            "import socket\n"
            "l = socket.socket()\n"
            "l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
            "l.bind(('127.0.0.1', 5555))\n"
            "print('bound')\n\x04"
        )
        core.expect("bound")
        core.send_signal(signal.SIGTERM)
        core.end(None)


# --- Deaths ---

UNTIL_DEATH = """
import socket, sys, time
port = int(sys.argv[1])
def attempt(f, *args):
    try:
        return f(*args)
    except OSError as e:
        return e.errno
s = socket.socket()
s.connect(("127.0.0.1", port))
print("connected")
print(attempt(s.recv, 10))
print(attempt(s.recv, 10))
s.close()
while True:
    t = attempt(socket.socket)
    if not isinstance(t, int):
        break
    time.sleep_ms(20)
t.connect(("127.0.0.1", port))
t.write("back again")
print(t.read())
"""


@test
def farsockd_dies():
    """farsockd is killed and started again; the core links up again."""
    with FarOfCores() as far, far.net.listener() as l:
        core = far.script(UNTIL_DEATH, l.getsockname()[1])
        core.expect("connected")
        peer, _ = l.accept()
        far.kill()
        check_equal(core.line().rstrip("\r"), "104")
        check_equal(core.line().rstrip("\r"), "b''")
        far.start()
        again, _ = l.accept()
        check_equal(receive_all(again, 10), b"back again")
        again.sendall(b"welcome")
        again.close()
        peer.close()
        check_equal(lines(core), ["b'welcome'"])


WRITES = """
import socket, sys
s = socket.socket()
s.connect(("127.0.0.1", int(sys.argv[1])))
print("wrote", s.send(b"0123456789" * 1000))
s.recv(1)
"""


@test
def core_dies():
    """The core is killed: what it wrote arrives, and the next core is served."""
    with FarOfCores() as far:
        for _ in range(3):
            with far.net.listener() as l:
                core = far.script(WRITES, l.getsockname()[1])
                peer, _ = l.accept()
                core.expect("wrote 10000")
                core.send_signal(signal.SIGKILL)
                core.end(None)
                check_equal(receive_all(peer), b"0123456789" * 1000)
        until(
            "farsockd has let go of the last core",
            lambda: not [row for row in far.dump() if row[0] == "socket"],
        )


RESETS = """
import socket, sys, _farsock
s = socket.socket()
s.connect(("127.0.0.1", int(sys.argv[1])))
s.send(b"alive\\n")
if s.recv(1) == b"r":
    s.send(b"last words\\n")
    _farsock.reset()
print("done")
"""


@test
def core_resets():
    """The core resets itself with a connection open, three times."""
    with FarOfCores() as far, far.net.listener() as l:
        core = far.script(RESETS, l.getsockname()[1])
        for _ in range(3):
            peer, _ = l.accept()
            check_equal(receive_all(peer, 6), b"alive\n")
            peer.sendall(b"r")
            check_equal(receive_all(peer), b"last words\n")
        peer, _ = l.accept()
        check_equal(receive_all(peer, 6), b"alive\n")
        peer.sendall(b"x")
        check_equal(lines(core)[-1], "done")


@test
def two_cores():
    """Two cores at once, of both kinds, on links of their own."""
    with FarOfCores(2) as far, far.net.listener() as l:
        port = l.getsockname()[1]
        cores = [
            far.script(TRANSFER, port, 100000, n=n, arch=arch)
            for n, arch in enumerate((ARCHS[0], archs()[-1]))
        ]
        peers = [l.accept()[0] for _ in cores]
        for peer in peers:
            peer.settimeout(60)
            got = receive_all(peer, 100000)
            peer.sendall(got[:5000])
            peer.close()
        for core in cores:
            check(lines(core)[0].startswith("5000 "), core.seen)


@test
def nobody_there():
    """Without farsockd, one line says so."""
    needed("rv64")
    with Far() as far:
        image = IMAGES / "rv64/micropython.elf"
        link = f"ivshmem:{far.dir}/none"
        core = far.near(FARSOCK, "--link", link, "qemu", "--image", image, "/dev/null")
        core.end(1)
        check("none" in core.stderr, core.stderr)


if __name__ == "__main__":
    main()
