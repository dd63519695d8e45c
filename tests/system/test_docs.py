#!/usr/bin/python3
# What the documents say is so: tables, links, names, options.
# SPDX-License-Identifier: MIT
# builds: plain

import re
import subprocess

from harness import BUILD, FARSOCK, FARSOCKD, MICROPYTHON, TOP, check, main, skip, test

# The API that farsock implements, as its manual names it.
MODULE = ["socket", "getaddrinfo"]
METHODS = (
    "close bind listen accept connect send sendall recv sendto recvfrom "
    "setsockopt settimeout setblocking makefile read readinto readline write"
).split()
# And what users of CPython reach for.
MODULE_EXTRAS = ["create_connection", "inet_pton", "inet_ntop", "sockaddr"]
METHODS_EXTRAS = (
    "recv_into recvfrom_into getsockopt getsockname getpeername shutdown "
    "gettimeout detach fileno"
).split()
CONSTANTS = (
    "AF_INET AF_INET6 SOCK_STREAM SOCK_DGRAM SOCK_RAW IPPROTO_TCP IPPROTO_UDP "
    "SOL_SOCKET SO_REUSEADDR SO_ERROR SO_KEEPALIVE SO_BROADCAST SO_LINGER "
    "TCP_NODELAY TCP_KEEPIDLE IP_ADD_MEMBERSHIP IP_DROP_MEMBERSHIP "
    "IP_MULTICAST_TTL MSG_PEEK MSG_DONTWAIT MSG_WAITALL SHUT_RD SHUT_WR "
    "SHUT_RDWR AI_PASSIVE AI_CANONNAME EAI_NONAME INADDR_ANY"
).split()
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")


def run(*command, **options):
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, timeout=60, **options
    )
    return done.returncode, done.stdout, done.stderr


def documents():
    found = [*TOP.glob("*.md")]
    for directory in ("docs", "examples", "packaging", "ports", "micropython"):
        found += (TOP / directory).rglob("*.md")
    return sorted(found)


def readme_names():
    """Names in the first column of README's API tables."""
    names = set()
    for line in (TOP / "README.md").read_text(encoding="utf-8").splitlines():
        cells = line.split("|")
        if len(cells) == 5 and cells[2].strip() == "yes":
            names.update(re.findall(r"`(?:\w+\.)*(\w+)", cells[1]))
            names.update(re.findall(r"`(\w+)`", cells[3]))
    return names


@test
def spec():
    """SPEC.md's tables agree with the headers."""
    status, out, err = run(TOP / "scripts/check-spec")
    check(status == 0, out, err)


def anchor_of(heading):
    text = re.sub(r"[`*]", "", heading.lstrip("#").strip().lower())
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def prose(path):
    """The lines that are no code."""
    fenced = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            yield line


def broken_links(path):
    for line in prose(path):
        for target in LINK.findall(re.sub(r"`[^`]*`", "`", line)):
            file, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            there = path.parent / file if file else path
            if not there.exists():
                yield f"{path.relative_to(TOP)}: {target}"
            elif anchor and there.suffix == ".md":
                anchors = {anchor_of(h) for h in prose(there) if h.startswith("#")}
                if anchor not in anchors:
                    yield f"{path.relative_to(TOP)}: {target}"


@test
def links():
    """Relative links in the documents lead somewhere."""
    broken = [b for path in documents() for b in broken_links(path)]
    check(not broken, "\n".join(broken))


@test
def tests_named():
    """The tests that the tables of docs name exist."""
    pages = ("differences.md", "reliability.md")
    text = "".join((TOP / "docs" / p).read_text(encoding="utf-8") for p in pages)
    missing = []
    for file, functions in re.findall(r"\b(test_\w+)(?:: ([\w, ]+))?", text):
        path = TOP / "tests/system" / f"{file}.py"
        code = path.read_text(encoding="utf-8") if path.exists() else None
        if code is None:
            missing.append(path.name)
            continue
        for function in re.findall(r"\w+(?=,|$| \()", functions.split("(")[0].strip()):
            if not re.search(rf"^def {function}\(", code, re.M):
                missing.append(f"{path.name}: {function}")
    check(not missing, "no such test:", "; ".join(missing))


@test
def tests_of_differences():
    """Each row of a table of differences.md with a column for it names a test."""
    without = []
    column = None
    for line in prose(TOP / "docs/differences.md"):
        cells = [c.strip() for c in line.split("|")]
        if not line.startswith("|"):
            column = None
        elif "test" in cells:
            column = cells.index("test")
        elif column and not set(cells[1]) <= set("-"):
            if len(cells) <= column or not re.match(r"test_\w+|oracle: ", cells[column]):
                without.append(line)
    check(not without, "no test:", "\n".join(without))


@test
def api_in_readme():
    """README's table of the API has every name."""
    wanted = {*MODULE, *METHODS, *MODULE_EXTRAS, *METHODS_EXTRAS, "poll", "OSError"}
    missing = wanted - readme_names()
    check(not missing, "not in the table:", *sorted(missing))


def ask_module(code):
    if not MICROPYTHON.exists():
        skip(f"{MICROPYTHON.name} is not built")
    status, out, err = run(MICROPYTHON, "-c", code)
    check(status == 0, out, err)
    return out.split()


@test
def api_in_module():
    """Every name of the API is in the module, and on its socket."""
    found = set(ask_module("import socket\nfor n in dir(socket): print(n)"))
    missing = {*MODULE, *MODULE_EXTRAS, *CONSTANTS} - found
    check(not missing, "not in the module:", *sorted(missing))
    found = set(ask_module("import socket\nfor n in dir(socket.socket): print(n)"))
    missing = {*METHODS, *METHODS_EXTRAS, "__enter__", "__exit__", "__del__"} - found
    check(not missing, "not on a socket:", *sorted(missing))
    check(ask_module("import usocket\nprint('yes')") == ["yes"])


@test
def readme_in_module():
    """Every name of README's tables is in the module."""
    found = set(ask_module("import socket\nfor n in dir(socket): print(n)"))
    found |= set(ask_module("import socket\nfor n in dir(socket.socket): print(n)"))
    elsewhere = {"OSError", "poll", "socket", "with", "select", "asyncio", "fileno"}
    names = {n for n in readme_names() if re.fullmatch(r"[a-z_0-9]+", n)}
    missing = names - found - elsewhere
    check(not missing, "in no module:", *sorted(missing))


def check_manual(page, help_text):
    """Each option and command of the help is in the manual page."""
    text = (TOP / "docs/man" / page).read_text(encoding="utf-8")
    for option in sorted(set(re.findall(r"(?<!\S)--([a-z][a-z-]*)", help_text))):
        check(
            re.search(rf"^\.It Fl Fl {option}\b", text, re.M)
            or option in ("help", "version")
            and re.search(rf"Fl Fl {option}\b|^\.It Cm {option}\b", text, re.M),
            f"{page} says nothing of --{option}",
        )
    for command in re.findall(r"^  ([a-z]+)  ", help_text, re.M):
        check(
            re.search(rf"^\.It Cm {command}\b", text, re.M),
            f"{page} says nothing of {command}",
        )


@test
def manual_of_functions():
    """Every function of farsock.h and posix.h has a page."""
    pages = "".join(p.read_text("utf-8") for p in (TOP / "docs/man").glob("*.3"))
    named = set(re.findall(r"^\.Nm (far_\w+)", pages, re.M))
    for header in ("farsock.h", "posix.h"):
        text = (TOP / "include/farsock" / header).read_text("utf-8")
        there = re.findall(r"^(?:struct )?\w+[ *]+(far_\w+)\(", text, re.M)
        check(len(there) > 10, header)
        missing = [f for f in there if f not in named]
        check(not missing, header, *missing)


@test
def manual_of_farsockd():
    """farsockd(8) has every option of farsockd --help."""
    status, out, err = run(FARSOCKD, "--help")
    check(status == 0 and "--link" in out, out, err)
    check_manual("farsockd.8", out)


@test
def manual_of_farsock():
    """farsock(1) has every command and option of farsock help."""
    status, out, err = run(FARSOCK, "help")
    check(status == 0 and "show" in out, out, err)
    check_manual("farsock.1", out)


@test
def make_targets():
    """The targets that the documents name exist."""
    known = set()
    for path in (TOP / "Makefile", *(TOP / "mk").glob("*.mk")):
        text = path.read_text(encoding="utf-8")
        known.update(re.findall(r"^([a-z][a-z-]*):(?!=)", text, re.M))
    for path in documents():
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"`make ([a-z-]+)[^`]*`|^    make ([a-z-]+)$", text, re.M):
            name = target[0] or target[1]
            check(name in known, f"{path.relative_to(TOP)}: make {name}")


if __name__ == "__main__":
    check(BUILD.exists(), f"{BUILD} is not there")
    main()
