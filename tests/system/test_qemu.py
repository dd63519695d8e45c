#!/usr/bin/python3
# A near core without an operating system: RISC-V in QEMU, memory and doorbells.
# SPDX-License-Identifier: MIT
# timeout: 900
# builds: plain

import hashlib
import os
import signal
import socket
import subprocess
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

from cores import SIZE, TRANSFER, FarOfCores, archs, both, lines, on_each
from harness import BUILD, FULL, check, check_equal, in_thread, main, receive_all, test

# --- Without MicroPython ---


@test
@on_each(lambda: archs("echo"))
def c_example(arch):
    """The C example, on both kinds of core: 100 lines go and come back."""
    with FarOfCores() as far, far.net.listener(7777) as l:
        core = far.qemu(arch=arch, image="echo")
        peer, _ = l.accept()
        got = b""
        while data := peer.recv(4096):
            got += data
            peer.sendall(data)
        check_equal(got, b"hello, far core\n" * 100)
        check_equal(lines(core), ["100 lines came back"])


@test
@on_each(lambda: archs("echo"))
def shared_words_are_stored(arch):
    """What is told through memory is stored, not exchanged for what was there:
    memory between cores may know of no AMO."""
    command = ["riscv64-unknown-elf-objdump", "-d", BUILD / f"qemu/{arch}/near/src/ring/msg.o"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    check_equal([line for line in text.splitlines() if "\tamo" in line], [])
    check("\tfence" in text, text)


@test
@on_each(lambda: archs("console"))
def console_loses_nothing(arch):
    """A line that comes while the core starts with its console arrives whole."""
    line = "0123456789abcdef" * 125
    with FarOfCores() as far:
        core = far.qemu(arch=arch, image="console")
        core.write(f"{line}\n")
        check_equal(lines(core), [line])


# --- Scripts ---

def transfer(arch, host):
    back = os.urandom(SIZE)
    with FarOfCores() as far, far.net.listener(host=host) as l:
        core = far.script(TRANSFER, l.getsockname()[1], SIZE, host, arch=arch)
        peer, _ = l.accept()
        peer.settimeout(300)
        got = hashlib.sha256(receive_all(peer, SIZE)).hexdigest()
        peer.sendall(back)
        peer.close()
        want = f"{SIZE} {got} {hashlib.sha256(back).hexdigest()}"
        check_equal(lines(core), [want])


@test
def transfers():
    """Megabytes each way over IPv4 and IPv6, compared by digest."""
    for arch in archs():
        transfer(arch, "127.0.0.1")
    for arch in both():
        transfer(arch, "::1")


DOWNLOADED = (64 if FULL else 2) << 20
DOWNLOAD = """
import hashlib, socket, sys
to = socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), 0, socket.SOCK_STREAM)[0]
s = socket.socket(to[0])
s.connect(to[-1])
s.write(b"GET /file HTTP/1.0\\r\\n\\r\\n")
print(s.readline().split()[1].decode())
while (line := s.readline().lower()) != b"\\r\\n":
    if line.startswith(b"content-length:"):
        print(int(line.split()[1]))
digest, count, part = hashlib.sha256(), 0, bytearray(16384)
while n := s.readinto(part):
    digest.update(memoryview(part)[:n])
    count += n
print(count, digest.digest().hex())
"""


@test
@on_each(both)
def download(arch):
    """A file by HTTP, 64 MiB in the full tests, compared by digest."""
    with FarOfCores() as far, far.net.listener() as l:
        content = os.urandom(DOWNLOADED)
        (far.dir / "file").write_bytes(content)
        files = partial(SimpleHTTPRequestHandler, directory=far.dir)
        with HTTPServer(l.getsockname(), files, bind_and_activate=False) as server:
            server.socket.close()
            server.socket = l
            done = in_thread(server.handle_request)
            core = far.script(DOWNLOAD, "localhost", l.getsockname()[1], arch=arch)
            digest = hashlib.sha256(content).hexdigest()
            check_equal(lines(core), ["200", str(DOWNLOADED), f"{DOWNLOADED} {digest}"])
            done()


DATAGRAMS = """
import socket, sys
host, port, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
to = socket.getaddrinfo(host, port, 0, socket.SOCK_DGRAM)[0]
s = socket.socket(to[0], socket.SOCK_DGRAM)
s.settimeout(20)
word = bytes(range(256)) * 36
good = 0
for i in range(rounds):
    size = i * 613 % 9200
    data = word[i % 256 : i % 256 + size]
    s.sendto(data, to[-1])
    got, sender = s.recvfrom(10000)
    good += got == bytes(reversed(data)) and sender[1] == port
print(good)
"""


@test
def datagrams():
    """Datagrams of 0 to 9199 bytes over IPv4 and IPv6, each answered reversed."""
    rounds = 2000 if FULL else 60
    for arch, host, family in (
        (arch, *where)
        for arch in both()
        for where in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6))
    ):
        with FarOfCores() as far:
            peer = far.net.socket(family, socket.SOCK_DGRAM)
            peer.bind((host, 0))

            def answer(peer=peer):
                for _ in range(rounds):
                    data, sender = peer.recvfrom(10000)
                    peer.sendto(data[::-1], sender)

            done = in_thread(answer)
            core = far.script(DATAGRAMS, host, peer.getsockname()[1], rounds, arch=arch)
            check_equal(lines(core), [str(rounds)])
            done()
            peer.close()


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
@on_each(archs)
def calls(arch):
    """Names, errors, IPv6, datagrams, time-outs, poll, a server."""
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
@on_each(both)
def asyncio(arch):
    """A server and eight clients in one event loop."""
    with FarOfCores() as far:
        check_equal(lines(far.script(ASYNCIO, arch=arch)), ["True"])


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
@on_each(both)
def tls(arch):
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
            given = ("--file", f"ca.der={der}")
            core = far.qemu(*given, path, l.getsockname()[1], arch=arch)

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


# --- How a script ends ---

TRACEBACK = "Traceback (most recent call last):"
RAISES = """
import gc
f = open("/x", "w")
f.write("closed by the collector")
f = None
gc.collect()
print(open("/x").read())
print(input("name? "))
left = open("/y", "w")
left.write("still open")
raise ValueError("the end")
"""


@test
@on_each(both)
def script_raises(arch):
    """What it is given to read arrives whole; what it raises is shown, and is 1."""
    with FarOfCores() as far:
        core = far.script(RAISES, arch=arch)
        core.write("joe\n")
        got = lines(core, status=1)
        check_equal(got[:3], ["closed by the collector", "name? joe", "joe"])
        check_equal([got[3], got[-1]], [TRACEBACK, "ValueError: the end"])


LOOPS = """
print("it runs")
while True:
    pass
"""


@test
@on_each(both)
def script_is_ended(arch):
    """A signal ends a script that does not, and is the status, as a shell has it."""
    with FarOfCores() as far:
        core = far.script(LOOPS, arch=arch)
        core.expect("it runs")
        core.send_signal(signal.SIGINT)
        core.end(128 + signal.SIGINT)


@test
@on_each(both)
def script_is_interrupted(arch):
    """Ctrl-C interrupts a script that computes."""
    with FarOfCores() as far:
        core = far.script(LOOPS, arch=arch)
        core.expect("it runs")
        core.write("\x03")
        check_equal(lines(core, status=1)[-1].strip(), "KeyboardInterrupt:")


# --- The terminal ---


@test
@on_each(archs)
def terminal(arch):
    """Ctrl-C ends a call that waits; Ctrl-D closes every socket."""
    with FarOfCores() as far, far.net.listener() as l:
        port = l.getsockname()[1]
        core = far.qemu(arch=arch)
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
        # What is typed during the reset is for the core after it.
        core.write(
            "\x04import socket\n"
            "l = socket.socket()\n"
            "l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
            "l.bind(('127.0.0.1', 5555))\n"
            "print('bound')\n\x04"
        )
        core.expect("soft reboot")
        check_equal(peer.recv(10), b"", "the soft reset closes")
        core.expect("bound")
        core.send_signal(signal.SIGTERM)
        core.end(None)


if __name__ == "__main__":
    main()
