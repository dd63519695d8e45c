#!/usr/bin/python3
# The examples on a core without an operating system, as they are.
# SPDX-License-Identifier: MIT
# timeout: 600
# builds: plain

from pathlib import Path

import harness
import test_examples as examples
from cores import ARCHS, FarOfCores, archs, needed
from harness import FULL, Child, main, test

ALL = (
    examples.tcp_client_and_debugging_tool,
    examples.udp_client_and_debugging_tool,
    examples.http_server_and_curl,
    examples.asyncio_echo_server_and_nc,
    examples.https_client_and_nginx,
    examples.tcp_client_and_nc,
    examples.tcp_server_and_nc,
    examples.udp_client_asks_again,
    examples.udp_server_and_nc,
    examples.http_client_and_nginx,
    examples.https_client_and_openssl,
)
CASES = ALL if FULL else ALL[:4]


class Core(Child):
    """A core as a program: its terminal is its output, and its errors."""

    def line(self, *args):
        line = super().line(*args)
        return line and line.rstrip("\r")

    @property
    def stderr(self):
        return "\n".join([super().stderr, *map(str, self.seen)])


class OnCore(FarOfCores):
    """Where a script runs on a core, with the files that its arguments name."""

    arch = ARCHS[0]

    def micropython(self, script, *args, **env):
        files, words = [], []
        for arg in args:
            if isinstance(arg, Path):
                files += ["--file", f"{arg.name}={arg}"]
                arg = f"/{arg.name}"
            words.append(arg)
        child = self.qemu(*files, script, *words, arch=self.arch)
        child.__class__ = Core
        return child


def on_cores(case):
    def run():
        needed(ARCHS[0])
        for OnCore.arch in archs() if FULL else ARCHS[:1]:
            case()

    run.__name__, run.__doc__ = case.__name__, f"On a core: {case.__doc__}"
    return run


if __name__ == "__main__":
    examples.Far = OnCore
    harness._tests.clear()  # those of the unix MicroPython
    for each in CASES:
        test(on_cores(each))
    main()
