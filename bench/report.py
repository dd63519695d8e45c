# The report: JSON for programs, tables for people, and the plots.
# SPDX-License-Identifier: MIT

import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import harness
from notes import note_on
from works import PLACEMENTS, RISCV, TRIP

IN_SHORT = (
    "write 64 B",
    "write 64 KiB",
    "read 64 B",
    "read 64 KiB",
    TRIP,
    "connect, byte, close",
    "poll 1000, 1 ready",
)
MARKS = "<!-- figures -->", "<!-- end of figures -->"
LOOK_S = 1  # at the processors, before anything is measured
BUSY = 0.25  # of a processor: there is always something


def processor_times():
    """Seconds that all processors together worked, the host's share included."""
    names = "user nice system idle iowait irq softirq steal".split()
    first = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    ticks = dict(zip(names, map(int, first)))
    worked = sum(n for name, n in ticks.items() if name not in ("idle", "iowait"))
    return worked / os.sysconf("SC_CLK_TCK")


def others():
    """How many processors other programs keep busy now. (The load of the last minute
    is that of what ran before.)"""
    start, worked = time.monotonic(), processor_times()
    time.sleep(LOOK_S)
    return (processor_times() - worked) / (time.monotonic() - start)


class About:
    """Machine, date, command, and what else the machine was doing."""

    def __init__(self, args):
        self.args = args
        self.others = others()
        self.date = datetime.date.today().isoformat()

    @property
    def busy(self):
        return self.others > BUSY

    def warnings(self):
        if self.busy:
            yield f"other programs use {self.others:.1f} processors: figures will be bad"

    @property
    def command(self):
        words = ["scripts/bench", *sys.argv[1:]]
        return " ".join(w if re.fullmatch(r"[\w./=-]+", w) else f"'{w}'" for w in words)

    @property
    def machine(self):
        text = Path("/proc/cpuinfo").read_text()
        model = re.search(r"^model name\s*:\s*(.*)", text, re.M)
        virtual = "virtual machine, " if " hypervisor" in text else ""
        count = len(os.sched_getaffinity(0))
        return (
            f"{virtual}{count} processors ({model[1] if model else platform.machine()}), "
            f"Linux {platform.release().split('-')[0]}, TCP with {self.args.congestion_used}, "
            f"{compiler()}"
        )

    @property
    def load_text(self):
        words = f"other programs used {self.others:.2f} processors at the beginning"
        return words + (": **too much for good figures**" if self.busy else "")

    @property
    def text(self):
        words = (
            f"{self.machine}, {self.date}, `{self.command}`: {self.args.rounds} rounds "
            f"of {self.args.round_ms:g} ms; {self.load_text}."
        )
        return textwrap.fill(words[0].upper() + words[1:], 80, break_on_hyphens=False)


def compiler():
    out = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True)
    return f"gcc {out.stdout.strip()}"


def figure(value):
    """Three digits, or as many as there are before the point."""
    if value is None:
        return "-"
    if value == int(value):
        return str(int(value))
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def ratio_text(row, key="ratio", quartiles="quartiles"):
    if row[key] is None:
        return "-"
    text = f"{row[key]:.2f}"
    if row[quartiles]:
        q1, q3 = row[quartiles]
        text += f" ({q1:.2f}..{q3:.2f})"
    return text


def of_floor_text(row):
    return ratio_text(row, "of_floor", "of_floor_quartiles")


def goal_text(row):
    if row["goal"] is None:
        return "-"
    sign = "≥" if row["better"] == "higher" else "≤"
    return f"{sign} {row['goal']:g}"


def met_text(row):
    return {None: "-", True: "yes", False: "no"}[row["met"]]


def line(row):
    """For the terminal, as soon as it is known."""
    name = f"{row['placement']}: {row['name']}"
    text = f"{name:45} {figure(row['native']):>8} {figure(row['farsock']):>8} {row['unit']:5} {ratio_text(row):20}"
    if row["goal"] is not None:
        text += f" goal {goal_text(row)}: {met_text(row)}"
    if row["floor"] is not None:
        text += f", floor {row['floor']:.2f}"
    return text.rstrip()


def table(rows, head, cells):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def main_table(rows):
    def cells(row):
        floor = f"{row['floor']:.2f}" if row["floor"] is not None else "-"
        return [
            row["name"], row["unit"], figure(row["native"]), figure(row["farsock"]),
            ratio_text(row), goal_text(row), met_text(row), floor,
        ]  # fmt: skip

    head = "work unit native farsock ratio goal met floor".split()
    head[4] = "ratio (quartiles)"
    return table(rows, head, cells)


def missed_table(rows, notes):
    """Of what does not reach its goal: how near the floor it is, and which note."""

    def cells(row):
        got = row["ratio"] if row["goal_is_of"] == "ratio" else row["farsock"]
        return [
            f"{row['placement']}: {row['name']}", figure(got), goal_text(row),
            figure(row["floor"]), of_floor_text(row), note_number(row, notes),
        ]  # fmt: skip

    head = ["work", "got", "goal", "floor", "of the floor (quartiles)", "where it goes"]
    return table(rows, head, cells)


def note_number(row, notes):
    """The place of its note among those of all rows."""
    note = note_on(row)
    return f"[{notes.index(note) + 1}]" if note else "-"


def numbered(note, number):
    first = f"[{number}] "
    return textwrap.fill(
        note, 80, initial_indent=first, break_on_hyphens=False, break_long_words=False
    )


def missed(rows, level):
    found = [row for row in rows if row["met"] is False]
    # Each once, in the order of the rows.
    notes = list(dict.fromkeys(note for row in found if (note := note_on(row))))
    text = f"{level} What does not reach its goal\n\n{missed_table(found, notes)}\n"
    text += "".join(numbered(note, n) + "\n\n" for n, note in enumerate(notes, 1))
    return text if found else ""


def cost_table(rows):
    def cells(row):
        native, ours = row["cost"]["native"], row["cost"]["farsock"]

        def both(key, scale=1):
            return [figure(c[key] / scale) if key in c else "-" for c in (native, ours)]

        return [
            row["name"],
            *both("cpu_ns", 1000),
            *both("sleeps"),
            both("syscalls_near")[0],
            "{} + {}".format(*(figure(ours.get(f"syscalls_{s}")) for s in ("near", "far"))),
            *("{} + {}".format(*(figure(ours.get(f"{s}_{k}", 0)) for s in ("near", "far")))
              for k in ("doorbells", "kicks")),
            figure(ours.get("near_rescues", 0) + ours.get("far_rescues", 0)),
        ]  # fmt: skip

    head = [
        "work", "CPU, us: native", "farsock", "sleeps: native", "farsock",
        "system calls: native", "farsock, near + far", "doorbells, near + far",
        "kicks, near + far", "rescues",
    ]  # fmt: skip
    return table(rows, head, cells)


def summary(rows):
    judged = [row for row in rows if row["met"] is not None]
    missed = [row for row in judged if not row["met"]]
    return f"{len(judged) - len(missed)} of {len(judged)} goals are met."


def sections(rows, level, title, make):
    text = ""
    for placement in (*PLACEMENTS, RISCV):
        here = [row for row in rows if row["placement"] == placement]
        if here:
            text += f"{level} {title}, {placement}\n\n{make(here)}\n"
    return text


def tables(rows, level):
    costly = [row for row in rows if "cost" in row]
    return (
        sections(rows, level, "Figures", main_table)
        + missed(rows, level)
        + sections(costly, level, "Costs of one operation", cost_table)
    )


def write(out, rows, about, problems):
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(rows, indent=1) + "\n")
    plots, why = draw(out, rows)
    text = f"# farsock beside native sockets\n\n{about.text}\n\n{summary(rows)}\n"
    for problem in problems:
        text += f"\nNot measured: {problem}\n"
    text += "\n" + "".join(f"![{p.stem}]({p.name})\n" for p in plots) + "\n"
    text += tables(rows, "##")
    (out / "report.md").write_text(text)
    print(f"\n{summary(rows)} {about.load_text[0].upper()}{about.load_text[1:]}.")
    print(f"report: {os.path.relpath(out)}/report.md, report.json; {why}", flush=True)


def draw(out, rows):
    """The plots, and a word about them."""
    for old in out.glob("*.png"):
        old.unlink()
    try:
        import plots

        made = plots.draw(out, rows)
    except ImportError as e:
        return [], f"NO PLOTS: {e} (Debian: python3-matplotlib)"
    except Exception as e:  # what was measured for ten minutes is not lost for that
        return [], f"NO PLOTS: {type(e).__name__}: {e}"
    return made, f"plots: {', '.join(p.name for p in made) or 'none of these rows'}"


def put_between_marks(path, text):
    old = path.read_text()
    head, rest = old.split(MARKS[0])
    tail = rest.split(MARKS[1])[1]
    path.write_text(f"{head}{MARKS[0]}\n{text}{MARKS[1]}{tail}")


def write_docs(out, rows, about):
    """The figures of docs/performance.md and of README.md."""
    plots = harness.TOP / "docs/plots"
    shutil.rmtree(plots, ignore_errors=True)
    text = f"{about.text}\n\n{summary(rows)}\n\n"
    for plot in sorted(out.glob("*.png")):
        plots.mkdir(exist_ok=True)
        shutil.copy(plot, plots)
        text += f"![{plot.stem}](plots/{plot.name})\n"
    text += "\n" + tables(rows, "###")
    put_between_marks(harness.TOP / "docs/performance.md", text)
    put_between_marks(harness.TOP / "README.md", in_short(rows, about))


def in_short(rows, about):
    """For README.md: what most programs do."""
    found = {(row["placement"], row["name"]): row for row in rows}
    text = f"{about.text}\n\n| work | " + " | ".join(PLACEMENTS) + " |\n|---|"
    text += "---|" * len(PLACEMENTS) + "\n"
    for name in IN_SHORT:
        here = [found.get((p, name)) for p in PLACEMENTS]
        cells = [f"{row['ratio']:.2f}" if row else "-" for row in here]
        unit = next((row["better"] for row in here if row), None)
        what = {"higher": "speed", "lower": "time"}.get(unit)
        text += f"| {name}: {what} | " + " | ".join(cells) + " |\n" if unit else ""
    return text + (
        "\nThe figures are ratios to native sockets in the same run. More, and how to "
        "measure,\nis in [docs/performance.md](docs/performance.md).\n"
    )
