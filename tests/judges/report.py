# What the judges say: a line when something ends, the table at the end.
# SPDX-License-Identifier: MIT

import threading
from dataclasses import dataclass, field

ROW = "{:24} {:>9} {:>10}  {}"
HEAD = ROW.format("suite or program", "natively", "over links", "differences")
NOTE = """\
"natively" and "over links": how many passed, of those that ran. A program's case
runs over links three times: its server, its client, and both of them near."""


@dataclass
class Count:
    ok: int = 0
    fail: int = 0
    skip: int = 0

    def add(self, result):
        if result in ("ok", "expected failure"):
            self.ok += 1
        elif result == "skipped":
            self.skip += 1
        else:
            self.fail += 1

    def plus(self, other):
        self.ok += other.ok
        self.fail += other.fail
        self.skip += other.skip

    def __str__(self):
        ran = self.ok + self.fail
        return f"{self.ok}/{ran}" if ran else "skipped"


@dataclass
class Difference:
    what: str
    why: str = ""  # the row of docs/differences.md; none: it is a failure


@dataclass
class Row:
    """A line of the table, and what is behind it."""

    name: str
    title: str = ""
    native: Count = field(default_factory=Count)
    far: Count = field(default_factory=Count)
    judged: Count = field(default_factory=Count)  # far by native
    moved: int = 0
    differs: list = field(default_factory=list)
    missing: set = field(default_factory=set)  # why it was skipped
    again: bool = False  # this is the second attempt

    def judge(self, what, differs, why, result):
        """One result over a link: passed, differs, or skipped."""
        if differs:
            self.differs.append(Difference(what, why))
            self.judged.add("skipped" if why else "FAIL")
        else:
            self.judged.add(result)

    def bad(self):
        return [d.what for d in self.differs if not d.why]

    def known(self):
        return [d for d in self.differs if d.why]

    def remark(self):
        said = []
        if self.bad():
            said.append(f"{len(self.bad())} FAILED")
        if self.known():
            why = sorted({d.why for d in self.known()})
            said.append(f"{len(self.known())} known: {'; '.join(why)}")
        if self.missing:
            said.append("; ".join(sorted(self.missing)))
        if self.again:
            said.append("second attempt")
        return ", ".join(said) or "none"

    def __str__(self):
        return ROW.format(self.name, str(self.native), str(self.far), self.remark())


def one_line(text):
    line = " ".join(str(text).split())
    return line if len(line) < 300 else line[:300] + "..."


class Progress:
    """What ends is said when it ends, by several threads."""

    def __init__(self, count):
        self.count = count
        self.done = 0
        self.lock = threading.Lock()

    def say(self, row):
        with self.lock:
            self.done += not row.again
            print(f"[{self.done}/{self.count}] {row}", flush=True)
            for what in row.bad():
                print(f"  FAILED: {one_line(what)}", flush=True)


def table(rows):
    """Of all rows; then each difference, and what passed in all."""
    lines = [HEAD, *map(str, rows), "", NOTE]
    if known := [(r, d) for r in rows for d in r.known()]:
        lines += ["", "Different as docs/differences.md says:"]
        lines += [f"  {r.name}: {one_line(d.what)} ({d.why})" for r, d in known]
    if bad := [(r, what) for r in rows for what in r.bad()]:
        lines += ["", "Failed:"]
        lines += [f"  {r.name}: {one_line(what)}" for r, what in bad]
    return "\n".join([*lines, "", totals(rows)])


def totals(rows):
    """Of what ran over links, judged by what it gave natively."""
    all_of = Count()
    for row in rows:
        all_of.plus(row.judged)
    known = sum(len(r.known()) for r in rows)
    moved = sum(r.moved for r in rows)
    return (
        f"{moved >> 20} MiB went over links; {known} that are known to differ count"
        f" as skipped\n{all_of.ok} passed, {all_of.fail} failed, {all_of.skip} skipped"
    )
