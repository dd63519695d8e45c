#!/usr/bin/python3
# The checks that a porter runs first: they pass on ports that work, and each
# finds what it is there for.
# SPDX-License-Identifier: MIT
# timeout: 600
"""A broken port is the template with one place changed (ports/template), built
anew and linked with the rest as it is."""

import re
import shlex
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import (
    BUILD,
    NONCOHERENT,
    SANITIZED,
    TOP,
    Child,
    Namespace,
    check,
    check_equal,
    diagnose,
    main,
    skip,
    test,
)

RUN = TOP / "tests/port/run"
TEMPLATE = TOP / "ports/template"
OBJECTS = BUILD / "obj/template"
HANGS_S = 30 if SANITIZED else 6
TEMPLATE_CHECKS = 28
POSIX_CHECKS = 17


def run_checks(port, *words):
    """The lines, and the exit status."""
    net = Namespace(loopback=True)
    child = Child([RUN, *words, port], net)
    lines = child.end(status=None)
    net.close()
    return lines, child.process.returncode


def passes(port, count, *words, skips=0):
    lines, status = run_checks(port, *words)
    bad = [line for line in lines if line.startswith("not ok")]
    check_equal((status, bad), (0, []), port)
    check_equal(sum("# SKIP" in line for line in lines), skips, "checks left out")
    check_equal(lines[-1], f"1..{count}", "plan")


# file, what stands there, what stands there instead, the check that must fail
HOOKS = [
    ("template.c", "uint64_t t = board_ticks();", "uint64_t t = 0;", "the clock moves"),
    (
        "template.c",
        "uint64_t t = board_ticks();",
        "uint64_t t = (uint32_t)board_ticks();",
        "the clock goes forward",
    ),
    (
        "template.c",
        "uint64_t t = board_ticks();",
        "uint64_t t = board_ticks() * 10 / 9;",
        "both clocks run at one speed",
    ),
    (
        "template.c",
        "if (rung) {",
        "if (rung || deadline_ns != 5) {",
        "wait() ends at its deadline",
    ),
    (
        "template.c",
        "uint64_t now = now_ns(ctx);\n        if (now >=",
        "uint64_t now = now_ns(ctx) + 15000000u;\n        if (now >=",
        "wait() ends at its deadline",
    ),
    (
        "template.c",
        "if (now >= deadline_ns) {\n            return FAR_ETIMEDOUT;",
        "if (now >= deadline_ns + 50000000u) {\n            return FAR_ETIMEDOUT;",
        "wait() ends at its deadline",
    ),
    (
        "template.c",
        "if (now >= deadline_ns) {\n            return FAR_ETIMEDOUT;",
        "if (now >= deadline_ns && seen == ~0u) {\n            return FAR_ETIMEDOUT;",
        "wait() ends at its deadline",
    ),
    (
        "template.c",
        "if (now >= deadline_ns) {\n            return FAR_ETIMEDOUT;",
        "if (now >= deadline_ns && deadline_ns > 1) {\n"
        "            return FAR_ETIMEDOUT;",
        "wait() does not sleep for a deadline that has passed",
    ),
    (
        "board_sim.c",
        "while (events.count == seen && err == 0) {",
        "while (err == 2) {",
        "wait() leaves the processor alone",
    ),
    (
        "template.c",
        "static void wake(void *ctx) {\n    (void)ctx;\n"
        "    atomic_store(&core.rung, true);",
        "static void wake(void *ctx) {\n    (void)ctx;",
        "wake() before wait() is not lost",
    ),
    (
        "template.c",
        "static void wake(void *ctx) {\n    (void)ctx;\n"
        "    atomic_store(&core.rung, true);\n    board_event();",
        "static void wake(void *ctx) {\n    (void)ctx;\n"
        "    atomic_store(&core.rung, true);",
        "wake() ends a wait() that sleeps",
    ),
    (
        "template.c",
        "bool rung = atomic_exchange(&core.rung, false);",
        "bool rung = atomic_load(&core.rung);",
        "wake() before wait() is not lost",
    ),
    (
        "template.c",
        "(void)word;\n    board_event();",
        "(void)word;",
        "park() and unpark()",
    ),
    (
        "template.c",
        "atomic_load(word) == value && now",
        "(void)word, (void)value, now",
        "park() and unpark()",
    ),
]
MEMORY_AND_LINK = [
    (
        "cache.c",
        "board_drop_line(at);",
        "",
        "what the far side stores is seen here",
    ),
    (
        "cache.c",
        "board_clean_line(at);",
        "",
        "what is stored here is seen by the far side",
    ),
    (
        "cache.c",
        "at += BOARD_LINE) {\n        board_clean",
        "at += 2 * BOARD_LINE) {\n        board_clean",
        "CLEAN takes every byte along",
    ),
    (
        "cache.c",
        "at = line_of(p); n > 0 && at < end; at += BOARD_LINE) {\n        board_clean",
        "at = (uintptr_t)p; n > 0 && at < end; at += BOARD_LINE) {\n        board_clean",
        "CLEAN takes every byte along",
    ),
    (
        "cache.c",
        "at = line_of(p); n > 0 && at < end; at += BOARD_LINE) {\n        board_drop",
        "at = (uintptr_t)p; n > 0 && at < end; at += BOARD_LINE) {\n        board_drop",
        "INV drops every byte",
    ),
    (
        "board_sim.c",
        "uint64_t one = 1;\n    ssize_t n = write(board.to_far, &one, sizeof one);",
        "ssize_t n = 0;",
        "near's doorbell interrupts the far side",
    ),
    (
        "template.c",
        "(void)ctx;\n    board_bell_ring();",
        "(void)ctx;\n    static int n;\n    if (++n % 50) {\n"
        "        board_bell_ring();\n    }",
        "near's doorbell interrupts the far side",
    ),
    (
        "template.c",
        "board_bell_ack();\n    atomic_store(&core.rung, true);",
        "board_bell_ack();",
        "doorbells there and back, and what they announce",
    ),
    (
        "template.c",
        "board_bell_ack();\n",
        "",
        "doorbells there and back, and what they announce|no more interrupts than "
        "doorbells|a doorbell ends a wait() that sleeps",
    ),
    (
        "board_sim.c",
        "board.handler();",
        "static int n;\n            ++n % 100 ? board.handler() : board_bell_ack();",
        "doorbells there and back, and what they announce",
    ),
    ("template.c", "far_join_begin(&core.join);", "", "the link comes up"),
    (
        "template.c",
        "atomic_load(&core.up) && !far_join_holds(&core.join)",
        "atomic_load(&core.up) && core.join.epoch == 0",
        "the far side's death is noticed",
    ),
]


def compiler():
    return shlex.split((BUILD / "obj/flags").read_text())


def build_broken(directory, file, old, new):
    """The near program with that change."""
    text = (TEMPLATE / file).read_text()
    check_equal(text.count(old), 1, f"places like {old!r} in {file}")
    source = directory / file
    source.write_text(text.replace(old, new))
    replaced = OBJECTS / "ports/template" / file.replace(".c", ".o")
    objects = [o for o in OBJECTS.rglob("*.o") if o != replaced]
    program = directory / "near"
    subprocess.run(
        [
            *compiler(),
            "-D_GNU_SOURCE",
            "-pthread",
            "-Wno-error",
            '-DFAR_PORT_MEM_H="ports/template/mem.h"',
            "-o",
            program,
            source,
            *objects,
        ],
        cwd=TOP,
        check=True,
        capture_output=True,
    )
    return program


def first_failure(break_):
    file, old, new, _ = break_
    directory = Path(tempfile.mkdtemp(prefix="farsock-port-"))
    try:
        program = build_broken(directory, file, old, new)
        net = Namespace(loopback=True)
        with net.inside():
            done = subprocess.run(
                [RUN, "--first", "--limit", str(HANGS_S), "--program", program, "template"],
                capture_output=True,
                text=True,
                check=False,
            )
        net.close()
    finally:
        shutil.rmtree(directory)
    lines = done.stdout.splitlines()
    at = next((i for i, line in enumerate(lines) if line.startswith("not ok")), None)
    if at is None:
        return "nothing", lines[-5:]
    return re.sub(r"not ok \d+ - ", "", lines[at]), lines[at:]


# --- Cases ---


@test
def template_passes():
    """The port to copy passes every check, on a simulated board."""
    if NONCOHERENT:
        skip("the board has caches of its own")
    passes("template", TEMPLATE_CHECKS)


@test
def posix_passes():
    """A link between processes passes every check that such a link can have."""
    passes("posix", POSIX_CHECKS)


@test
def qemu_passes():
    """A core without an operating system passes, on both kinds of RISC-V."""
    for arch in ("rv64", "rv32"):
        image = TOP / f"build/qemu/{arch}/port-check.elf"
        if shutil.which(f"qemu-system-riscv{arch[2:]}") is None:
            skip("no QEMU: apt install qemu-system-misc")
        if not image.exists() or BUILD != TOP / "build":
            skip("no image of the checks for it: make qemu")
        # Nothing interrupts that core at a time of its own, and it has one task.
        passes("qemu-ivshmem", TEMPLATE_CHECKS, "--program", image, skips=3)


def each_is_found(breaks):
    if NONCOHERENT:
        skip("the board has caches of its own")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(first_failure, breaks))
    missed = 0
    for (file, old, new, want), (got, lines) in zip(breaks, found):
        if got not in want.split("|"):
            missed += 1
            diagnose(f"{file}: {old!r} -> {new!r}\n  fails {got!r}, not {want!r}")
            diagnose("\n".join(lines))
        else:
            check(any("look at: " in line for line in lines), "no advice:", lines)
    check_equal(missed, 0, "faults that were not found")


@test
def broken_hooks_are_found():
    """A broken clock, sleep or wake fails the check that names it, with advice."""
    each_is_found(HOOKS)


@test
def broken_memory_is_found():
    """So does a broken CLEAN, INV, doorbell or link-up."""
    each_is_found(MEMORY_AND_LINK)


@test
def guide_names_everything():
    """The porting guide speaks of each hook and board function there is."""
    guide = (TOP / "docs/porting.md").read_text()
    port = (TOP / "include/farsock/port.h").read_text()
    hooks = re.findall(r"\(\*(\w+)\)|uint32_t (\w+);", port)
    board = re.findall(r"\b(board_\w+)\(", (TEMPLATE / "board.h").read_text())
    names = {a or b for a, b in hooks} | set(board)
    check(len(names) > 15, names)
    missing = [n for n in sorted(names) if f"`{n}`" not in guide and f"`{n}()`" not in guide]
    check_equal(missing, [], "not in docs/porting.md")
    for count in re.findall(r"(\d+) checks", guide):
        check_equal(int(count), TEMPLATE_CHECKS, "checks")


@test
def ports_are_listed():
    """Without a name, the ports there are."""
    done = subprocess.run([RUN], capture_output=True, text=True, check=True)
    for name in ("template", "posix", "qemu-ivshmem", "noncoherent"):
        check(f"  {name} " in done.stdout, done.stdout)


if __name__ == "__main__":
    main()
