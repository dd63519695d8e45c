#!/usr/bin/python3
# Every example works against a real counterpart: nc, curl, nginx, openssl.
# SPDX-License-Identifier: MIT

import json
import re
import shutil
import signal
import socket
import subprocess

from certificates import make_certificates
from harness import (
    BUILD,
    TOP,
    Child,
    Far,
    Namespace,
    check,
    check_equal,
    main,
    needs_preload,
    skip,
    test,
    until,
)

EXAMPLES = TOP / "examples"
PAGE = "<p>from nginx</p>\n" * 5000  # bytes; more than one segment
LINES = "".join(f"line {i} from the near core\r\n" for i in range(10))


def need(command):
    found = shutil.which(command)
    if not found:
        skip(f"{command} is not installed")
    return found


def example(far, name, *args):
    return far.micropython(EXAMPLES / name, *args)


def listens(far, port):
    """True when somebody listens there, or has bound a datagram socket."""
    table = ""
    for protocol in ("tcp", "tcp6", "udp"):
        with open(f"/proc/{far.pid}/net/{protocol}", encoding="ascii") as f:
            table += f.read()
    return re.search(rf":{port:04X} \S+ (0A|07) ", table)


def counterpart(far, port, *command, directory=None):
    """A native program that listens there."""
    child = far.native(*command, directory=directory)
    until(
        f"{command[0]} listens",
        lambda: listens(far, port) or child.process.poll() is not None,
    )
    check(child.process.poll() is None, f"{child} ended: {child.stderr}")
    return child


def check_tcp_client(lines):
    infos = [line for line in lines if line.startswith("Address infos: [(")]
    check_equal(len(infos), 1, f"addresses in {lines}")
    check("60000" in infos[0] and "127.0.0.1" in infos[0], infos)
    counts = [int(line[7:]) for line in lines if line.startswith("write: ")]
    check_equal(counts, [len(line) + 2 for line in LINES.split("\r\n")[:-1]])
    check_equal(lines[-1], "end")


@test
def tcp_client_and_debugging_tool():
    """tcp_client.py writes to the debugging tool, which sees each line."""
    with Far() as far:
        peer = far.native(TOP / "scripts/debug-peer", "--once")
        peer.expect("listening")
        check_tcp_client(example(far, "tcp_client.py").end())
        out = "\n".join(peer.end())
        for line in LINES.splitlines():
            check(line in out, f"{line!r} is not in {out}")


@test
def tcp_client_and_nc():
    """tcp_client.py writes to nc, which gets exactly these bytes."""
    with Far() as far:
        nc = counterpart(far, 60000, need("nc"), "-l", "127.0.0.1", 60000)
        check_tcp_client(example(far, "tcp_client.py").end())
        check_equal("\n".join(nc.end()) + "\n", LINES)


@test
def tcp_server_and_nc():
    """tcp_server.py sends back what nc sends."""
    with Far() as far:
        server = example(far, "tcp_server.py", 8080, 3)
        server.expect("listening on 8080")
        for size in (0, 1000, 500_000):
            text = ("0123456789abcde\n" * (size // 16 + 1))[:size]
            out = subprocess_in(far, [need("nc"), "-N", "127.0.0.1", "8080"], text)
            check_equal(out, text)
            server.expect(f"served 127.0.0.1 {size} bytes")
        server.end()


def subprocess_in(far, command, text="", status=0):
    """What a native program prints beside farsockd."""
    with far.net.inside():
        done = subprocess.run(
            [str(c) for c in command],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
        )
    check_equal(done.returncode, status, f"status of {command[0]}: {done.stderr}")
    return done.stdout


@test
def udp_client_and_debugging_tool():
    """udp_client.py gets its datagrams back from the debugging tool."""
    with Far() as far:
        peer = far.native(TOP / "scripts/debug-peer", "--echo")
        peer.expect("listening")
        lines = example(far, "udp_client.py", "127.0.0.1", 60000, 5).end()
        check_equal(len(lines), 5)
        for i, line in enumerate(lines):
            check(f"b'datagram {i}' from ('127.0.0.1', 60000)" in line, line)


@test
def udp_client_asks_again():
    """udp_client.py sends a datagram again that is not answered."""
    with Far() as far:
        peer = far.net.udp(60000)
        client = example(far, "udp_client.py", "127.0.0.1", 60000, 1)
        first, _ = peer.recvfrom(100)
        second, sender = peer.recvfrom(100)
        check_equal(first, second)
        peer.sendto(b"here", sender)
        check_equal(client.end(), ["answer: b'here' from ('127.0.0.1', 60000)"])


@test
def udp_server_and_nc():
    """udp_server.py answers nc with its own datagrams."""
    with Far() as far:
        server = example(far, "udp_server.py", 8080, 3)
        server.expect("waiting on 8080")
        nc = far.native(need("nc"), "-u", "127.0.0.1", 8080)
        for i in range(3):
            nc.write(f"datagram {i}\n")
            check_equal(nc.line(), f"datagram {i}")
        lines = server.end()
        check_equal(lines, ["11 bytes from 127.0.0.1"] * 3)


NGINX = """
daemon off;
master_process off;
user root;
error_log stderr;
pid {dir}/nginx.pid;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{
        listen 127.0.0.1:8080;
        listen [::1]:8080;
        {tls}
        root {dir}/www;
    }}
}}
"""
TLS = """
        listen 127.0.0.1:8443 ssl;
        listen [::1]:8443 ssl;
        ssl_certificate {dir}/server.pem;
        ssl_certificate_key {dir}/server.key;
"""


def start_nginx(far, tls=""):
    (far.dir / "www").mkdir()
    (far.dir / "www/index.html").write_text(PAGE)
    conf = far.dir / "nginx.conf"
    conf.write_text(NGINX.format(dir=far.dir, tls=tls.format(dir=far.dir)))
    command = [need("nginx"), "-e", "stderr", "-p", far.dir, "-c", conf]
    return counterpart(far, 8443 if tls else 8080, *command)


@test
def http_client_and_nginx():
    """http_client.py fetches a page from nginx, by address and by name."""
    with Far() as far:
        start_nginx(far)
        for host in ("127.0.0.1", "localhost"):
            lines = example(far, "http_client.py", f"http://{host}:8080/").end()
            check_equal(lines[0], "status: 200")
            check_equal("\n".join(lines[1:]) + "\n", PAGE)
        lines = example(far, "http_client.py", "http://127.0.0.1:8080/none").end()
        check_equal(lines[0], "status: 404")


@test
def http_server_and_curl():
    """http_server.py serves curl: a page, a head, an error."""
    with Far() as far:
        server = example(far, "http_server.py", 8080, 13)
        server.expect("serving on 8080")
        curl = [need("curl"), "-sS", "--max-time", "20"]
        url = "http://127.0.0.1:8080"
        out = subprocess_in(far, [*curl, url + "/"])
        check("<title>near core</title>" in out and "GET of /." in out, out)
        out = subprocess_in(far, [*curl, "-I", url + "/"])
        check("200 OK" in out and "<title>" not in out, out)
        out = subprocess_in(
            far, [*curl, "-w", "%{json}", "-o", far.dir / "page", url + "/none"]
        )
        check_equal(json.loads(out)["http_code"], 404)
        for _ in range(10):
            subprocess_in(far, [*curl, "-f", url + "/"])
        server.end()


@test
def https_client_and_nginx():
    """https_client.py fetches a page over TLS, and checks who serves it."""
    with Far() as far:
        make_certificates(far.dir)
        start_nginx(far, TLS)
        url = "https://localhost:8443/"
        for args in ((), (far.dir / "ca.der",)):
            lines = example(far, "https_client.py", url, *args).end()
            check_equal(lines[0], "status: 200")
            check_equal("\n".join(lines[1:]) + "\n", PAGE)
        client = example(far, "https_client.py", url, far.dir / "other.der")
        client.end(status=1)
        check("CERT" in client.stderr or "cert" in client.stderr, client.stderr)


@test
def https_client_and_openssl():
    """https_client.py fetches a file from openssl s_server."""
    with Far() as far:
        make_certificates(far.dir)
        (far.dir / "page.html").write_text(PAGE)
        counterpart(
            far, 8443, need("openssl"), "s_server", "-quiet", "-accept", 8443, "-cert",
            "server.pem", "-key", "server.key", "-WWW", directory=far.dir,
        )  # fmt: skip
        lines = example(
            far, "https_client.py", "https://localhost:8443/page.html", far.dir / "ca.der"
        ).end()
        check_equal(lines[0], "status: 200")
        check_equal("\n".join(lines[1:]) + "\n", PAGE)


@test
def asyncio_echo_server_and_nc():
    """asyncio_echo_server.py serves several nc at once, line by line."""
    with Far() as far:
        server = example(far, "asyncio_echo_server.py", 8080, 4)
        server.expect("serving on 8080")
        ncs = [far.native(need("nc"), "-N", "127.0.0.1", 8080) for _ in range(4)]
        for turn in range(20):
            for i, nc in enumerate(ncs):
                nc.write(f"{turn} of {i}\n")
            for i, nc in reversed(list(enumerate(ncs))):
                check_equal(nc.line(), f"{turn} of {i}")
        for nc in ncs:
            check_equal(nc.end(), [])
        check_equal(server.end(), ["served 127.0.0.1 20 lines"] * 4)


@test
def demonstration():
    """scripts/run-demo shows both sides, and fails where it cannot work."""
    if not (BUILD / "bin/micropython").exists():
        skip("this build has no MicroPython of its own, and the script takes no other")
    net = Namespace(loopback=True)
    out = Child([TOP / "scripts/run-demo"], net).end()
    near = [line for line in out if "near |" in line]
    peer = [line for line in out if "peer |" in line]
    check(any("end" in line for line in near), near)
    for line in LINES.splitlines():
        check(any(line in p for p in peer), f"{line!r} is not in", peer)
    with net.inside():
        taken = socket.create_server(("127.0.0.1", 60000))
    demo = Child([TOP / "scripts/run-demo"], net)
    demo.end(status=None)
    check(demo.process.returncode != 0, "succeeds without its peer")
    taken.close()
    net.close()


@test
def without_network():
    """README's program without any network reaches it by farsockd only."""
    need("curl")
    needs_preload()
    part = (TOP / "README.md").read_text(encoding="utf-8").split("know nothing of it")[1]
    commands = re.findall(r"^    (\S.*)$", part, re.M)[:4]
    check_equal([c.endswith("&") for c in commands], [True, True, False, False])
    net = Namespace(loopback=True)
    link = TOP / "build/far"
    link.unlink(missing_ok=True)
    children = [Child(["sh", "-c", "exec " + c.rstrip("& ")], net) for c in commands[:2]]
    until("a web server", lambda: accepts(net, 8000))
    until("farsockd", link.exists)
    Child(["sh", "-c", commands[2]], net).end(status=7)
    got = Child(["sh", "-c", commands[3]], net).end()
    want = (TOP / "README.md").read_text(encoding="utf-8").splitlines()
    check_equal(got == want, True, f"{len(got)} lines")
    for child in reversed(children):
        child.send_signal(signal.SIGTERM)
        child.end(status=None)


def accepts(net, port):
    try:
        net.connect(port).close()
    except ConnectionRefusedError:
        return False
    return True


if __name__ == "__main__":
    main()
