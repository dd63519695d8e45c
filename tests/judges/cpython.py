# CPython's network tests: what is run, and each test's result.
# SPDX-License-Identifier: MIT

import os
import re
import subprocess
import tempfile
from pathlib import Path

from stage import ALONE, Moved, counted
from harness import BUILD, FARSOCK, Far

PYTHON = "/usr/bin/python3.11"
SUITE = Path("/usr/lib/python3.11/test/test_socket.py")
SUITE_S = 15 * 60

SOCKET_CLASSES = (
    "BasicTCPTest BasicTCPTest2 BasicUDPTest BufferIOTest ContextManagersTest "
    "CreateServerTest CreateServerFunctionalTest *FileObjectClassTestCase "
    "InheritanceTest Interrupted*TimeoutTest NetworkConnection* "
    "NonBlockingTCPTests NonblockConstantTest SendmsgTCPTest SendmsgUDPTest "
    "SendmsgUDP6Test RecvmsgTCPTest RecvmsgIntoTCPTest RecvmsgUDPTest "
    "RecvmsgIntoUDPTest RecvmsgUDP6Test RecvmsgIntoUDP6Test TCPCloserTest "
    "TCPTimeoutTest UDPTimeoutTest SendfileUsingSendTest GeneralModuleTests "
    "TestExceptions"
).split()
# test_selectors makes AF_UNIX pairs, which never touch us. One listener serves
# all: ten thousand would use up the ports, and take minutes to find free ones.
SELECTORS = """
import socket, sys, unittest
listener = socket.create_server(("127.0.0.1", 0))
def pair(*args):
    c = socket.create_connection(listener.getsockname())
    while True: # one that failed for want of a descriptor may be there still
        s, peer = listener.accept()
        if peer == c.getsockname(): return c, s
        s.close()
socket.socketpair = pair
unittest.main("test.test_selectors", argv=["x", "-v"])
"""
REGRTEST = ["-m", "test", "-v", "-i", "*VSOCK*"]
# The longest first: they run several at once.
SUITES = {
    "asyncore": [*REGRTEST, "test_asyncore", "test_asynchat"],
    "ftp": [*REGRTEST, "test_ftplib"],
    "ssl": [*REGRTEST, "test_ssl"],
    "socket": [
        *REGRTEST,
        "--timeout=150",
        *(w for c in SOCKET_CLASSES for w in ("-m", c)),
        "test_socket",
    ],
    "http": [
        *REGRTEST, "test_httplib", "test_httpservers", "test_xmlrpc",
        "test_urllib2_localnet",
    ],
    "mail": [*REGRTEST, "test_poplib", "test_smtplib", "test_imaplib", "test_telnetlib"],
    "asyncio": [
        "-m", "unittest", "-v", "test.test_epoll",
        "test.test_asyncio.test_sock_lowlevel", "test.test_asyncio.test_streams",
        "test.test_asyncio.test_server", "test.test_asyncio.test_buffered_proto",
        "test.test_asyncio.test_sslproto",
    ],
    "selectors": ["-c", SELECTORS],
    "socketserver": [
        *REGRTEST, "-u", "network", "-i", "*Unix*", "-i", "*unix*", "test_socketserver",
    ],
}  # fmt: skip

NAME = re.compile(r"^(\w+) \((\S+)\)(?:\n.*)? \.\.\. ", re.M)
WORD = re.compile(r"(?:^|\n| )(ok|FAIL|ERROR|skipped|expected failure)\b")


def results(text):
    """Each test's result. Output of the test may stand before its word."""
    found = {}
    starts = list(NAME.finditer(text))
    for i, m in enumerate(starts):
        end = starts[i + 1].start() if i + 1 < len(starts) else len(text)
        words = WORD.findall(" " + text[m.end() : end])
        name = m[2] if m[2].endswith("." + m[1]) else f"{m[2]}.{m[1]}"
        found[name] = words[0] if words else "no result"
    return found


def spawn(far, command, native):
    prefix = ALONE if native else [*ALONE, str(FARSOCK), "run", "--"]
    net = far.net if native else far.empty
    env = {**os.environ, "FARSOCK_LINK": str(far.link)}
    with net.inside():
        return subprocess.Popen(
            [*prefix, PYTHON, *command],
            cwd=tempfile.mkdtemp(dir=far.dir),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


def run_suite(name, native):
    """Every test's result, and what farsockd counted."""
    with Far(prefix=ALONE, check_leaks=False) as far:
        process = spawn(far, SUITES[name], native)
        try:
            out = process.communicate(timeout=SUITE_S)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            out = process.communicate()[0] + b"\njudges: no end\n"
        moved = Moved() if native else counted(far)
    text = out.decode(errors="replace")
    side = "native" if native else "farsock"
    (BUILD / "judges" / f"{name}-{side}.log").write_text(text, encoding="utf-8")
    return results(text), moved
