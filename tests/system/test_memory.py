#!/usr/bin/python3
# Memory that is not coherent: what runs on emulated caches, and what no longer
# does when one CLEAN, INV or barrier is left out.
# SPDX-License-Identifier: MIT
# timeout: 900
"""The table of places is farsock/sites.def. Each that a part of memory.c shows
is left out in one side; the part must fail then, and must not without that."""

import itertools
import mmap
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
IN_SUITE = Path(os.environ.get("FARSOCK_BUILD", "build")).name
if "san-" not in IN_SUITE:
    os.environ["FARSOCK_BUILD"] = str(TOP / "build/noncoherent")

# pylint: disable=wrong-import-position
import harness
from harness import (
    BUILD,
    FULL,
    SANITIZED,
    Failed,
    Far,
    asleep,
    check,
    check_equal,
    diagnose,
    main,
    program,
    test,
    until,
    PATIENCE_S,
)
from linkup import LAYOUT, Near

harness.CASE_S = max(harness.CASE_S, 300)  # a minute for all places, if nothing else runs
SECONDS = 5 if FULL and not SANITIZED else 2
LIMIT_S = 20  # for a place that is left out
AGAIN = 4  # times it is tried if nothing was noticed, and no model shows it
OFTEN = ("drip", "life", "ping", "bulk", "full")
PARTS = ("ping", "drip", "bulk", "full", "hammer", "zerocopy", "dgram", "life", "handover", "join",
         "lookup", "count", "mark", "init")  # fmt: skip
BASES = ("0", "0xffff8000")
LINES = ("64", "128")  # bytes of a cache line
SOCKET = 4
KICKS, RX_USED = 11, 13  # columns of farsock dump


# --- Parts ---


def options(words="early"):
    return {"FARSOCK_NONCOHERENT": words}


def far_with(environment):
    words = [f"{k}={v}" for k, v in environment.items()]
    return Far(prefix=["env", *words], check_leaks=False)


def play_show(far, near, _patience):
    """What farsock dump says when traffic is over."""
    near.expect("there")
    kicks, fill = 0, []
    deadline = time.monotonic() + 1  # what is posted arrives much sooner
    while time.monotonic() < deadline:
        rows = far.dump()
        link = next(row for row in rows if row[0] == "link")
        kicks = int(link[KICKS])
        fill = [int(row[RX_USED]) for row in rows if row[0] == "socket"]
        if 5 <= kicks < 1000 and not any(fill):
            break
        time.sleep(0.05)
    check(5 <= kicks < 1000, f"near has sent {kicks} KICKs, as shown")
    check(not any(fill), f"shown in the rings: {fill}")
    near.write("\n")


def play_undo(far, near, patience):
    near.expect("stop")
    far.daemon.send_signal(signal.SIGSTOP)
    until("farsockd stops", lambda: state(far.pid) == "T")
    near.write("\n")
    near.expect("go")
    far.daemon.send_signal(signal.SIGCONT)
    near.write("\n")
    near.expect("undone")
    until("the socket goes", lambda: sockets(far) == 1, patience)
    near.write("\n")


def play_promise(far, near, _patience):
    near.expect("stop")
    until("farsockd sleeps", lambda: asleep(far.pid))
    far.daemon.send_signal(signal.SIGSTOP)
    until("farsockd stops", lambda: state(far.pid) == "T")
    near.write("\n")
    near.expect("go")
    far.daemon.send_signal(signal.SIGCONT)
    near.write("\n")
    near.expect("taken")
    check(sockets(far) == 1, "only what is taken is shown")
    near.write("\n")


def play_route(far, near, _patience):
    near.expect("there")
    run_in(far, "ip", "route", "del", "local", "10.9.9.9")
    until("farsockd has seen it", lambda: asleep(far.pid))
    near.write("\n")


ALONE = (
    "beat", "count", "fixed", "show", "undo", "mark", "init", "raw", "route", "promise"
)  # fmt: skip
PLAYS = {"show": play_show, "undo": play_undo, "route": play_route, "promise": play_promise}


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def sockets(far):
    return sum(row[0] == "socket" for row in far.dump())


def play(part, near_env, far_env, seconds, base, lost_s, seed=1, line="64"):
    """One run of memory.c; what it says is wrong, or None."""
    # What is looked at once must not be put right by chance.
    words = f"seed={seed},early,line={line}" + (",noise=inline" if part in ALONE else "")
    words = options(words + (",lazy" if part == "route" else ""))
    try:
        with far_with({**words, **far_env}) as far:
            # One route of the namespace: to somewhere that takes anything.
            if part == "route":
                run_in(far, "ip", "route", "add", "local", "10.9.9.9", "dev", "lo")
            near = far.near(
                program("memory"), part, seconds, seed, base, lost_s, **words, **near_env
            )
            if part in PLAYS:
                PLAYS[part](far, near, 3 if near_env or far_env else PATIENCE_S)
            near.end(seconds=float(seconds) + 3 * float(lost_s) + 5)
            far.dump()  # farsockd lives
    except Failed as e:
        return " ".join(str(e).split())[:150]
    return None


def play_whole(part):
    """The part with every place."""
    wrong = play(part, {}, {}, "1", BASES[1], "15")
    # A heart that the machine lets stand still for a second is dead indeed.
    for _ in range(2 if part == "beat" else 0):
        wrong = wrong and play(part, {}, {}, "1", BASES[1], "15")
    check(wrong is None, f"{part}: {wrong}")


def run_in(far, *command):
    with far.net.inside():
        subprocess.run(command, check=True)


def play_raw(far_env):
    """What memory says of far when no cache of ours stands between."""
    words = options("noise=inline")
    try:
        with far_with({**words, **far_env}) as far, Near(far.link, sockets=4) as near:
            raw = Raw(near)
            gen = 7
            rings = struct.pack("<IIBBHI", *raw.rings(), 0, gen)
            raw.request(SOCKET, rings + struct.pack("<4I", 2, 2, 0, 0))
            patience = 3 if far_env else PATIENCE_S
            until("far's line counts", lambda: raw.far_line() == gen, patience)
            until("far counts what it does", lambda: raw.far_wakeups() > 0, patience)
    except Failed as e:
        return str(e)
    return None


def run_fixed(env, line="64", seconds=6):
    """daemon/fixed_test.c, whose two sides are threads of one process."""
    words = options(f"noise=inline,line={line}")
    try:
        done = subprocess.run([BUILD / "test/daemon_fixed_test"], env={**os.environ, **words, **env},
            capture_output=True, text=True, timeout=seconds, check=False)  # fmt: skip
    except subprocess.TimeoutExpired:
        return "it hangs"
    return (done.stdout + done.stderr)[-150:] if done.returncode else None


class Raw:
    """A near core that writes its own messages; SPEC.md says where."""

    def __init__(self, near):
        self.bells = near.welcome.fds
        size = near.welcome.region_bytes
        self.map = mmap.mmap(near.welcome.fds[0], size)
        self.far = near.welcome.far_at * 64
        self.lay = LAYOUT.unpack_from(self.map, self.far + 64)
        near_header = struct.pack("<6I", 0x4B534146, 1, 0, 1, 1, 1)
        self.map[0:24] = near_header
        struct.pack_into("<II", self.map, 128, 0, 0xFFFFFFFF)

    def rings(self):
        tx_at, rx_at, tx_ring, rx_ring = self.lay[10:14]
        return tx_at, rx_at, tx_ring.bit_length() - 1, rx_ring.bit_length() - 1

    def request(self, op, payload):
        at = self.lay[6] * 64
        record = struct.pack("<BBHHH", op, 0, 1, 0, len(payload)) + payload
        self.map[at : at + len(record)] = record
        struct.pack_into("<I", self.map, 64, len(record))
        os.write(self.bells[1], struct.pack("<Q", 1))

    def far_line(self):
        """The generation of slot 0."""
        return struct.unpack_from("<I", self.map, self.lay[5] * 64)[0]

    def far_wakeups(self):
        return struct.unpack_from("<I", self.map, self.far + 256 + 8)[0]


# --- Places ---


@dataclass
class Place:
    name: str
    primitive: str
    whose: str
    where: str
    shown: str
    text: str

    def proofs(self):
        """(side, part or model/step), as sites.def says."""
        for word in self.shown.split():
            side, _, what = word.rpartition(":")
            both = ("near", "far") if self.whose == "BOTH" else (self.whose.lower(),)
            for s in (side,) if side else both:
                yield s, what


def places():
    text = (TOP / "include/farsock/sites.def").read_text(encoding="utf-8")
    rows = re.findall(
        r'^X\((\w+),\s*(\w+),\s*(\w+),\s*"([^"]*)",\s*"([^"]*)",\s*"([^"]*)"\)', text, re.M
    )
    return [Place(*row) for row in rows]


def proofs_by_running():
    return [
        (place, side, what)
        for place in places()
        for side, what in place.proofs()
        if "/" not in what
    ]


def without(place, side, part):
    """What goes wrong when this place does nothing, within the limit."""
    omit = {"FARSOCK_OMIT": place.name}
    near_env, far_env = (omit, {}) if side == "near" else ({}, omit)
    start = time.monotonic()
    seed = 0
    # Its own part first, then others, which may meet the moment more often.
    others = [p for p in OFTEN if p != part and part not in ALONE]
    for one in itertools.cycle([part, *others]):
        if time.monotonic() - start > LIMIT_S - 4:
            return None
        seed += 1
        if one == "raw":
            wrong = play_raw(far_env)
        elif one == "fixed":
            wrong = run_fixed({**near_env, **far_env})
        else:
            wrong = play(one, near_env, far_env, "3", BASES[1], "2", seed)
        if wrong:
            return f"{one}, {time.monotonic() - start:.1f} s: {wrong}"
    return None


def in_models():
    """The barriers that the steps of the models stand for."""
    lines = [
        line
        for path in (TOP / "src").glob("*/*.pml")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("// omit:")
    ]
    barriers = [p.name for p in places() if p.primitive not in ("CLEAN", "INV")]
    return {name for name in barriers if re.search(rf"\b{name}\b", "\n".join(lines))}


def in_pairs(work, items):
    """Two at a time. What the work returned, in order."""
    results = [None] * len(items)
    todo = iter(range(len(items)))
    lock = threading.Lock()

    def worker():
        while True:
            with lock:
                i = next(todo, None)
            if i is None:
                return
            results[i] = work(*items[i])

    threads = [threading.Thread(target=worker) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


# --- Cases ---


@test
def parts_hold():
    """Every part holds, with indexes that wrap and without, and lines of any size."""

    def one(part, base, line):
        return play(part, {}, {}, str(SECONDS), base, "15", line=line)

    todo = list(itertools.product(PARTS, BASES, LINES))
    if not FULL:  # each part with each base and each line, and the rest another time
        todo = [x for x in todo if (BASES.index(x[1]) + LINES.index(x[2]) + commit()) % 2]
    for how, wrong in zip(todo, in_pairs(one, todo)):
        check(wrong is None, f"{how}: {wrong}")


def test_on_caches(function):
    """Sanitized builds have no emulator."""
    return function if SANITIZED else test(function)


@test_on_caches
def plays_hold():
    """What farsock show tells, a request that is left, routes that change, hearts."""
    for part in (*PLAYS, "beat"):
        play_whole(part)
    check_equal(play_raw({}), None)
    for line in LINES:
        check_equal(run_fixed({}, line, harness.CASE_S / 2), None)


@test_on_caches
def every_place_is_needed():
    """Without any one CLEAN, INV or barrier something fails."""
    todo = proofs_by_running()
    if not FULL:
        todo = todo[commit() % 3 :: 3]
    # Else everything would be noticed.
    for part in sorted({part for _, _, part in todo} - {"fixed", "raw"}):
        play_whole(part)
    # What the emulator says of these is wanted, and no failure of the suite.
    os.environ.pop("FARSOCK_NONCOHERENT_LOG", None)
    found = in_pairs(without, todo)
    # Chance moves the lines, also the one that was left out.
    modelled = in_models()
    for _ in range(AGAIN):
        again = [i for i, wrong in enumerate(found) if not wrong and todo[i][0].name not in modelled]
        for i, wrong in zip(again, in_pairs(without, [todo[i] for i in again])):
            found[i] = wrong
    for (place, side, _), wrong in zip(todo, found):
        diagnose(f"{place.name} ({side}): {wrong}")
    # Which moment a barrier is for may not come on a busy machine: then a model
    # must have shown it.
    missed = {p.name for (p, _, _), wrong in zip(todo, found) if not wrong}
    diagnose(f"by a model only, this time: {sorted(missed & modelled)}")
    check_equal(sorted(missed - modelled), [], "not noticed")


@test_on_caches
def each_place_has_its_proof():
    """A run or a model shows it; what a model shows, it shows of that place."""
    for place in places():
        proofs = list(place.proofs())
        check(proofs, f"{place.name}: nothing shows it")
        for _, what in proofs:
            check("/" in what or what in PARTS + ALONE, f"{place.name}: {what} is no part")
            model, _, step = what.partition("/")
            if step:
                found = list((TOP / "src").glob(f"*/{model}.pml"))
                check(found, f"{place.name}: no model {model}")
                line = re.search(rf"^// omit: {step} .*", found[0].read_text(), re.M)
                check(line and place.name in line[0], f"{what} does not name {place.name}")


def in_code(path):
    """(place, FILE:FUNCTION) of each that the file has."""
    function = None
    for line in path.read_text(encoding="utf-8").splitlines():
        begins = re.match(r"[A-Za-z].*?\b(\w+)\(", line)
        function = begins[1] if begins else function
        for name in re.findall(r"\bFAR_AT_(\w+)", line):
            yield name, f"{path.relative_to(TOP)}:{function}"


@test_on_caches
def places_are_where_the_table_says():
    """The table of places, the code and docs/memory.md agree."""
    seen = {}
    for path in (p for d in ("src/*", "daemon", "ports/posix") for p in TOP.glob(f"{d}/*.[ch]")):
        if path.name.endswith("_test.c"):
            continue
        for name, where in in_code(path):
            check(name not in seen, f"{name} is in two places")
            seen[name] = where
    docs = (TOP / "docs/memory.md").read_text(encoding="utf-8")
    for place in places():
        check_equal(seen.pop(place.name, None), place.where, place.name)
        row = f"| {place.name} | {place.primitive} | {place.where} | {place.text} | {place.shown} |"
        check(row in docs, f"docs/memory.md lacks: {row}")
    check_equal(seen, {}, "places that the table lacks")


def commit():
    done = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], cwd=TOP,
        capture_output=True, text=True, check=False)  # fmt: skip
    return int(done.stdout or "0", 16)


if __name__ == "__main__":
    if IN_SUITE == "noncoherent":
        print("1..0 # SKIP it ran in the group system")
        sys.exit()
    main()
