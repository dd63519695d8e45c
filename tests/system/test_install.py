#!/usr/bin/python3
# What make install puts where, and building against it.
# SPDX-License-Identifier: MIT

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from harness import SANITIZED, Far, check, check_equal, in_thread, main, skip, test

TOP = Path(__file__).resolve().parents[2]
EXAMPLE = TOP / "examples/tcp_client.c"
PORT = 5001
CMAKE = """cmake_minimum_required(VERSION 3.13)
project(example C)
find_package(farsock 0.1 REQUIRED)
add_executable(shared {0})
target_link_libraries(shared farsock::farsock)
add_executable(static {0})
target_link_libraries(static farsock::farsock-static)
"""


def run(*command, **more):
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, **more
    )
    check(done.returncode == 0, *command, done.stdout, done.stderr)
    return done.stdout


class Installed:
    """A temporary DESTDIR."""

    def __enter__(self):
        if SANITIZED:
            skip("a plain build is what is installed")
        self.dir = Path(tempfile.mkdtemp(prefix="farsock-install-"))
        self.root = self.dir / "root"
        run("make", "-C", TOP, "install", f"DESTDIR={self.root}", "PREFIX=/usr")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir)

    def works(self, example):
        """The example talks to a peer that echoes."""
        with Far() as far:
            listener = far.net.listener(PORT)

            def serve():
                peer, _ = listener.accept()
                while data := peer.recv(1000):
                    peer.sendall(data)
                peer.close()

            join = in_thread(serve)
            near = far.near(
                example, "127.0.0.1", PORT, LD_LIBRARY_PATH=str(self.root / "usr/lib")
            )
            check_equal(near.end(), ["hello from the near core"])
            join()


@test
def pkg_config():
    """An example builds with pkg-config's flags, and runs."""
    with Installed() as d:
        env = dict(
            os.environ,
            PKG_CONFIG_PATH=str(d.root / "usr/lib/pkgconfig"),
            PKG_CONFIG_SYSROOT_DIR=str(d.root),
        )
        flags = run("pkg-config", "--cflags", "--libs", "farsock", env=env).split()
        run("cc", "-o", d.dir / "example", EXAMPLE, *flags)
        d.works(d.dir / "example")


@test
def cmake():
    """An example builds with CMake's package, shared and static, and runs."""
    if not shutil.which("cmake"):
        skip("cmake is not installed")
    with Installed() as d:
        source = d.dir / "source"
        source.mkdir()
        (source / "CMakeLists.txt").write_text(CMAKE.format(EXAMPLE))
        build = d.dir / "build"
        prefix = d.root / "usr"
        run("cmake", "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}")
        run("cmake", "--build", build)
        d.works(build / "shared")
        d.works(build / "static")


@test
def symbols():
    """The shared library exports far_... and nothing else."""
    with Installed() as d:
        library = d.root / "usr/lib/libfarsock.so"
        out = run("nm", "-D", "--defined-only", library)
        names = {line.split()[-1].split("@")[0] for line in out.splitlines()}
        strange = {n for n in names if not n.startswith("far_")} - {"FARSOCK_0"}
        check(not strange, "exported:", *sorted(strange))
        check("far_socket" in names and "far_posix_open" in names)
        dynamic = run("objdump", "-p", library)
        check("SONAME               libfarsock.so.0" in dynamic, dynamic)


@test
def manual_pages():
    """Each call of farsock.h has a manual page."""
    with Installed() as d:
        text = (TOP / "include/farsock/farsock.h").read_text(encoding="utf-8")
        calls = set(re.findall(r"^(?:\w+ )+\*?(far_\w+)\(", text, re.M))
        check(len(calls) > 30, *calls)
        have = {p.stem for p in (d.root / "usr/share/man/man3").glob("*.3")}
        check(calls <= have, "no page for", *sorted(calls - have))


if __name__ == "__main__":
    main()
