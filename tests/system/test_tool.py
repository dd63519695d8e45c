#!/usr/bin/python3
# farsock: show and dump, what they say of sockets that wait, and the tool.
# SPDX-License-Identifier: MIT

import os
import re
import socket
import struct
import subprocess
import tempfile
import textwrap
from pathlib import Path

from harness import (
    FARSOCK,
    PATIENCE_S,
    TOP,
    Far,
    check,
    check_equal,
    in_thread,
    main,
    needs_preload,
    skip,
    test,
    until,
)
import linkup
from linkup import Near, connect, hello, text_of, welcome
from oracle import PORT, accepted, connected, wants


def columns():
    """What farsock(1) says: record type -> names of its fields."""
    page = (TOP / "docs/man/farsock.1").read_text(encoding="utf-8")
    dump = page.split(".Sh DUMP")[1].split("\n.Sh ")[0]
    found = {}
    for part in dump.split("\n.Ss ")[1:]:
        name, _, text = part.partition("\n")
        found[name] = re.findall(r"^\.It Va (\w+)$", text, re.M)
    return found


COLUMNS = columns()


def records(far):
    """farsock dump, each line as a dictionary."""
    found = []
    for fields in far.dump():
        names = COLUMNS.get(fields[0])
        check(names is not None, "undocumented record", fields)
        check_equal(len(fields), 1 + len(names), f"fields of {fields}")
        check(all(fields), "an empty field", fields)
        found.append(dict(zip(names, fields[1:]), record=fields[0]))
    return found


def sockets(far):
    return [r for r in records(far) if r["record"] == "socket"]


def run(*args, **env):
    """farsock to its end: status, output, errors."""
    environment = {**os.environ, **{k: str(v) for k, v in env.items()}}
    if "FARSOCK_LINK" not in env:
        environment.pop("FARSOCK_LINK", None)
    done = subprocess.run(
        [FARSOCK, *args],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def check_failed(done, status, *words):
    got, out, err = done
    check_equal(got, status, err)
    check_equal(out, "", "output")
    check(err.startswith("farsock: ") and err.count("\n") == 1, repr(err))
    for word in words:
        check(word in err, repr(word), "is not in", repr(err))


# --- The tool ---


@test
def help_and_version():
    """help and version, as commands and as options."""
    for args in (["help"], ["--help"]):
        status, out, err = run(*args)
        check_equal((status, err), (0, ""))
        for word in ("show", "dump", "help", "version", "--link"):
            check(word in out, word)
    for args in (["version"], ["--version"]):
        status, out, _ = run(*args)
        check(re.fullmatch(r"farsock \d+\.\d+\.\d+\n", out), repr(out))
        check_equal(status, 0)


@test
def commands_are_documented():
    """farsock(1) names every command."""
    _, out, _ = run("help")
    listed = re.findall(r"^  ([a-z]+) ", out, re.M)
    page = (TOP / "docs/man/farsock.1").read_text(encoding="utf-8")
    description = page.split(".Sh DESCRIPTION")[1].split(".Sh")[0]
    documented = re.findall(r"^\.It Cm (\w+)$", description, re.M)
    check(len(listed) >= 4, out)
    check_equal(sorted(documented), sorted(listed))


@test
def wrong_command_lines():
    """A wrong command line ends with status 2 and one line."""
    for args, *words in (
        (["nonsense"], "nonsense"),
        (["--nonsense"], "--nonsense"),
        (["-x"], "-x"),
        (["--link"], "--link"),
        (["--help=1"], "--help=1"),
        (["show", "more"], "more"),
        (["dump", "--all"], "--all"),
        (["help", "me"], "me"),
        (["a\nb"], "a?b"),
    ):
        check_failed(run(*args), 2, *words)


@test
def nobody_there():
    """Without farsockd it says which paths it tried."""
    with tempfile.TemporaryDirectory() as d:
        link = Path(d) / "link"
        check_failed(run("--link", link), 1, str(link), "No such file")
        check_failed(run(FARSOCK_LINK=link), 1, str(link))
        check_failed(run("--link", "/tmp/" + "x" * 200), 1, "too long")
        if not os.path.exists("/run/farsock/link"):
            done = run(XDG_RUNTIME_DIR=d)
            check_failed(done, 1, "/run/farsock/link", f"{d}/farsock/link")
            done = run(XDG_RUNTIME_DIR="")
            check_failed(done, 1, "/run/farsock/link")
        link.write_text("")
        check_failed(run("--link", link), 1, str(link))


@test
def which_path():
    """--link wins over FARSOCK_LINK, and that over the default paths."""
    with Far() as far:
        status, out, _ = run("--link", far.link, FARSOCK_LINK="/nowhere")
        check_equal(status, 0)
        check(f"process {far.pid}," in out, out)
        status, _, _ = run("dump", FARSOCK_LINK=far.link)
        check_equal(status, 0)
        # As a default path it is found where nobody names it.
        if not os.path.exists("/run/farsock/link"):
            (far.dir / "farsock").mkdir()
            (far.dir / "farsock/link").symlink_to(far.link)
            status, out, _ = run(XDG_RUNTIME_DIR=far.dir, FARSOCK_LINK="")
            check_equal(status, 0)
            check(f"process {far.pid}," in out, out)


def serve(path, answer):
    """A farsockd that answers one hello with these packets."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.bind(str(path))
    s.listen()

    def run_it():
        c, _ = s.accept()
        with c:
            c.recv(4096)
            for packet in answer:
                c.send(packet)
        s.close()

    return in_thread(run_it)


@test
def refusals():
    """What farsockd refuses is said in its words; what is none, too."""
    text = b"farsockd speaks protocol version 7, the near core version 1"
    no = linkup.WELCOME.pack(linkup.MAGIC, 7, 0, -linkup.ELINKPROTO, 0, 0, 0, text)
    bare = linkup.WELCOME.pack(linkup.MAGIC, 1, 0, -linkup.EMFILE, 0, 0, 0, b"")
    for answer, *words in (
        ([no], text.decode()),
        ([bare], "too many open files"),
        ([], "hung up"),
        ([b"hello"], "another protocol"),
        ([bytes(128)], "another protocol"),
    ):
        with tempfile.TemporaryDirectory() as d:
            ended = serve(f"{d}/link", answer)
            check_failed(run("--link", f"{d}/link"), 1, f"{d}/link", *words)
            ended()
    with tempfile.TemporaryDirectory() as d, socket.socket(socket.AF_UNIX) as s:
        s.bind(f"{d}/link")
        s.listen()
        check_failed(run("--link", f"{d}/link"), 1, f"{d}/link", "rong type")


@test
def full_disk():
    """Output that cannot be written is an error."""
    with Far() as far, open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [FARSOCK, "--link", far.link, "dump"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
        check_equal(done.returncode, 1)
        check_equal(done.stderr.count(b"\n"), 1)


# --- dump ---


@test
def dump_of_nothing():
    """Without links there is one record, the daemon's."""
    with Far() as far:
        (daemon,) = records(far)
        check_equal(daemon["record"], "daemon")
        check_equal(daemon["pid"], str(far.pid))
        check_equal((daemon["protocol"], daemon["links"]), ("1", "0"))
        check_equal(daemon["links_max"], "64")
        check(0 <= int(daemon["age_ms"]) < PATIENCE_S * 1000)


@test
def dump_of_links():
    """Links have who they are, and ids that are not used again."""
    with Far() as far:
        with Near(far.link, name=b"camera", sockets=7):
            pass
        until("its end", lambda: len(records(far)) == 1)
        with Near(far.link, name=b"camera", sockets=7), Near(far.link, name=b"two"):
            daemon, camera, two = records(far)
        check_equal(daemon["links"], "2")
        check_equal((camera["id"], camera["name"]), ("2", "camera"))
        check_equal((two["id"], two["name"]), ("3", "two"))
        check_equal(camera["pid"], str(os.getpid()))
        check_equal((camera["uid"], camera["gid"]), (str(os.getuid()), str(os.getgid())))
        check_equal((camera["state"], camera["sockets"]), ("up", "0"))
        check_equal(camera["sockets_max"], "7")
        check(0 <= int(two["age_ms"]) <= int(camera["age_ms"]) <= 1000 * PATIENCE_S)


@test
def dump_of_what_is_gone():
    """What moved counts for farsockd's life, streams, datagrams and forks."""
    needs_preload()
    with Far() as far:
        script = textwrap.dedent("""
            import os, socket
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            u.bind(("127.0.0.1", 0))
            u.sendto(b"12345", u.getsockname()); u.recv(100)
            l = socket.create_server(("127.0.0.1", 0))
            c = socket.create_connection(l.getsockname()); s = l.accept()[0]
            c.sendall(b"x" * 1000); s.recv(1000, socket.MSG_WAITALL)
            if os.fork() == 0:
                s.sendall(b"y" * 70000); os._exit(0)
            os.wait(); s.close()
            while s and c.recv(65536): pass
        """)
        far.near(FARSOCK, "run", "--", "/usr/bin/python3", "-c", script).end()
        (daemon,) = until(
            "its end", lambda: (r := records(far)) and len(r) == 1 and r
        )
        check_equal((daemon["links_made"], daemon["sockets_made"]), ("1", "4"))
        check_equal((daemon["tx_bytes"], daemon["rx_bytes"]), ("71005", "71005"))
        check("sockets 4, bytes sent 69.3K" in "\n".join(far.show()), far.show())


@test
def dump_of_a_connection():
    """A connected socket has its addresses, and counts its bytes."""
    with Far() as far:
        sh = far.shell()
        peer = connected(far, sh)
        (s,) = sockets(far)
        check_equal(s["peer"], f"127.0.0.1:{PORT}")
        check_equal(s["local"], "127.0.0.1:%d" % peer.getpeername()[1])
        check_equal((s["family"], s["type"], s["state"]), ("inet", "stream", "connected"))
        check_equal((s["waits"], s["last_error"]), ("-", "-"))
        wants(sh, "send c hello", "5")
        check_equal(peer.recv(100), b"hello")
        until("5 bytes out", lambda: sockets(far)[0]["tx_bytes"] == "5")
        peer.send(b"good day")
        until("8 bytes for near", lambda: sockets(far)[0]["rx_used"] == "8")
        check_equal(sockets(far)[0]["waits"], "near")
        wants(sh, "recv c 100", "8 good day")
        until("none left", lambda: sockets(far)[0]["rx_used"] == "0")
        (s,) = sockets(far)
        check_equal((s["rx_bytes"], s["waits"]), ("8", "-"))
        (link,) = [r for r in records(far) if r["record"] == "link"]
        check_equal(link["sockets"], "1")
        check(int(link["far_wakeups"]) > 0 or int(link["near_doorbells"]) > 0, link)
        check_equal((link["near_rescues"], link["far_rescues"]), ("0", "0"))
        check_equal((link["violations"], link["kinds"]), ("0", "-"))
        sh("close c")
        until("no socket", lambda: not sockets(far))


@test
def dump_of_other_sockets():
    """Listening, bound and IPv6 sockets have their state and addresses."""
    with Far() as far:
        sh = far.shell()
        sh("socket l 10 1")
        wants(sh, f"bind l ::1 {PORT}", "0")
        wants(sh, "listen l 5", "0")
        sh("socket u 2 2")
        wants(sh, f"bind u 127.0.0.1 {PORT}", "0")
        by_type = {s["type"]: s for s in sockets(far)}
        listener, udp = by_type["stream"], by_type["dgram"]
        check_equal(listener["state"], "listening")
        check_equal((listener["family"], listener["local"]), ("inet6", f"[::1]:{PORT}"))
        check_equal((listener["peer"], listener["waits"]), ("-", "-"))
        check_equal((udp["family"], udp["local"]), ("inet", f"127.0.0.1:{PORT}"))
        peer = far.net.connect(PORT, "::1")
        until(
            "somebody to accept",
            lambda: any("near" in s["waits"] for s in sockets(far)),
        )
        peer.close()


@test
def dump_of_an_error():
    """A socket keeps its last error for whoever looks."""
    with Far() as far:
        sh = far.shell()
        sh("socket c 2 1")
        wants(sh, f"connect c 127.0.0.1 {PORT}", "ECONNREFUSED")
        check_equal([s["last_error"] for s in sockets(far)], ["ECONNREFUSED"])


@test
def sender_that_waits():
    """A peer that does not read: network, then tx-room."""
    with Far() as far:
        sh = far.shell()
        peer = connected(far, sh)
        sh.begin("s", "sendn c 20000000")
        # Full for good: farsockd still takes from the ring while the kernel
        # has room.
        last = {}

        def still():
            (s,) = sockets(far)
            before, last["moved"] = last.get("moved"), (s["tx_bytes"], s["tx_used"])
            return "tx-room" in s["waits"] and before == last["moved"] and s

        s = until("a full ring", still)
        check_equal(s["waits"], "network,tx-room")
        check(int(s["tx_used"]) * 3 > int(s["tx_ring"]) * 2, s)
        check(int(s["tx_kernel"]) > 0, s)
        check_equal((s["rx_used"], s["rx_kernel"]), ("0", "0"))
        text = "\n".join(far.show())
        check("network, tx-room" in text or "network,tx-room" in text, text)
        total = 0
        while total < 20000000:
            total += len(peer.recv(1 << 20))
        check_equal(sh.result("s"), "20000000")
        until("nothing waits", lambda: sockets(far)[0]["waits"] == "-")


@test
def receiver_that_does_not_read():
    """A near core that does not read: near, then rx-room."""
    with Far() as far:
        sh = far.shell()
        peer = connected(far, sh)
        sent = in_thread(peer.sendall, bytes(8 << 20))
        until("a full ring", lambda: "rx-room" in sockets(far)[0]["waits"])
        (s,) = sockets(far)
        check_equal(s["waits"], "near,rx-room")
        check(int(s["rx_kernel"]) > 0, s)
        check(int(s["rx_used"]) > int(s["rx_ring"]) // 2, s)
        far.near_programs[0].kill()
        try:
            sent()
        except OSError:
            pass  # the near core died with unread data: a reset, as natively


@test
def dump_of_a_request():
    """A lookup that hangs is an open request, with its age."""
    prefix = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"']
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
        conf.write("nameserver 127.0.0.1\noptions timeout:30 attempts:1\n")
        conf.flush()
        prefix.append(conf.name)
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
            skip("cannot mount here")
        with Far(prefix=prefix, check_leaks=False) as far:
            silent = far.net.udp(53)
            sh = far.shell()
            sh.begin("l", "lookup nobody.example -")
            silent.recv(1000)
            request = until(
                "a request",
                lambda: next((r for r in records(far) if r["record"] == "request"), None),
            )
            check_equal((request["op"], request["slot"]), ("GETADDRINFO", "-1"))
            (link,) = [r for r in records(far) if r["record"] == "link"]
            check_equal((link["requests"], request["link"]), ("1", link["id"]))
            later = until(
                "its age",
                lambda: int(
                    [r for r in records(far) if r["record"] == "request"][0]["age_ms"]
                ) > int(request["age_ms"]),
            )
            check(later)
            text = "\n".join(far.show())
            check(re.search(r"request \d+: GETADDRINFO, open for [\d.]+ s", text), text)


# --- show ---


@test
def show_for_people():
    """show names link, sides and sockets; it is the default command."""
    with Far() as far:
        sh = far.shell()
        peer = connected(far, sh)
        peer.send(bytes(3000))
        until("bytes for near", lambda: sockets(far)[0]["rx_used"] == "3000")
        text = "\n".join(far.show())
        for pattern in (
            rf"^farsockd [\d.]+, process {far.pid}, up [\d.]+ s, protocol 1, 1 of 64 links$",
            rf"^listens at {far.link}$",
            rf"^link 1: .*, process {sh.pid}, user \d+, up [\d.]+ s, sockets 1 of \d+,",
            r"^  near: +kicks \d+, doorbells \d+, wake-ups \d+ \(\d+ for nothing\), rescues 0$",
            r"^  far: +kicks \d+, doorbells",
            rf"tcp +connected +127.0.0.1:\d+ +127.0.0.1:{PORT} +0\+0 +2.9K\+0 .* near$",
        ):
            check(re.search(pattern, text, re.M), pattern, "is not in", text)
        check(max(len(line) for line in text.splitlines()) < 160, text)
        _, default, _ = run("--link", far.link)
        check_equal(default.splitlines()[1:3], text.splitlines()[1:3])


@test
def accepted_sockets_are_shown():
    """What was accepted has its addresses too."""
    with Far() as far:
        sh = far.shell()
        peer = accepted(far, sh)
        mine = "127.0.0.1:%d" % peer.getsockname()[1]
        check(mine in [s["peer"] for s in sockets(far)], sockets(far))


@test
def many_sockets():
    """A thousand sockets are all there once, in several packets."""
    with Far() as far:
        sh = far.shell("far:0:4096:1000")
        for i in range(1000):
            sh(f"socket s{i} 2 2")
        slots = [int(s["slot"]) for s in sockets(far)]
        check_equal(len(slots), 1000)
        check_equal(len(set(slots)), 1000)
        check(len(far.show()) > 1000)


@test
def slow_readers():
    """Readers that do not read delay nobody, and only some are taken."""
    with Far() as far:
        # More than the kernel keeps for somebody who does not read.
        sh = far.shell("far:0:1024:4001")
        for i in range(4000):
            sh(f"socket s{i} 2 2")
        readers = []
        for _ in range(8):
            readers.append(connect(far.link))
            readers[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO,
                                   struct.pack("ll", PATIENCE_S, 0))  # fmt: skip
            readers[-1].send(hello(linkup.DUMP))
        for r in readers:
            check_equal(welcome(r).status, 0)
        text = linkup.refused(far.link, hello(linkup.SHOW), linkup.EBUSY)
        check("readers" in text, text)
        peer = connected(far, sh)
        wants(sh, "send c hello", "5")
        check_equal(peer.recv(10), b"hello")
        # Each still gets all of it.
        for r in readers:
            got = b""
            while packet := r.recv(65536):
                check(len(packet) <= 65536)
                got += packet
            check(got.count(b"\nsocket\t") >= 4000, len(got))
            r.close()
        until("room for a reader", lambda: text_of(far.link, linkup.SHOW))


if __name__ == "__main__":
    main()
