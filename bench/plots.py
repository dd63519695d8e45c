# The plots of the report. Needs matplotlib.
# SPDX-License-Identifier: MIT

import os
import tempfile

# Its cache of fonts is no concern of the user's home.
os.environ.setdefault("MPLCONFIGDIR", tempfile.gettempdir() + "/farsock-matplotlib")

import matplotlib  # noqa: E402

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: E402

from works import FREE, PLACEMENTS, TRIP, WORKS, in_words  # noqa: E402

# Of the palette by Okabe and Ito, which everybody can tell apart.
COLOURS = {"native": "#555555", "farsock": "#0072b2", "floor": "#e69f00"}
GOAL = "#d55e00"
SIZE_OF = {w.name: w.size for w in WORKS if w.program == "stream" and not w.via}
plt.rcParams.update(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#dddddd",
        "figure.dpi": 110,
        "legend.frameon": False,
    }
)


def draw(out, rows):
    made = []
    for name, function in PLOTS.items():
        figure = function(rows)
        if figure:
            made.append(out / f"{name}.png")
            figure.tight_layout()
            figure.savefig(made[-1])
            plt.close(figure)
    return made


def rate(value, _=None):
    """MB/s, in words."""
    for unit, name in ((1000, "GB/s"), (1, "MB/s"), (0.001, "kB/s")):
        if value >= unit:
            return f"{value / unit:g} {name}"
    return f"{value * 1e6:g} B/s"


def by_size(axes, sizes):
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [in_words(s) for s in sizes], rotation=45, ha="right")
    axes.xaxis.set_minor_formatter(NullFormatter())


def size_rows(rows, placement, what):
    """The rows of a curve over size, by size."""
    found = {
        SIZE_OF[row["name"]]: row
        for row in rows
        if row["placement"] == placement and row["name"] in SIZE_OF
        and row["name"].startswith(what) and "," not in row["name"]
    }  # fmt: skip
    return sorted(found.items())


def over_size(rows):
    """Throughput above, its ratio below; a column for each direction."""
    curves = [(p, w) for p in PLACEMENTS if p != FREE for w in ("write", "read")]
    curves = [c for c in curves if len(size_rows(rows, *c)) > 2]
    if not curves:
        return None
    figure, axes = plt.subplots(
        2, len(curves), figsize=(3.4 * len(curves), 6), sharex=True, sharey="row",
        squeeze=False,
    )  # fmt: skip
    for column, curve in enumerate(curves):
        draw_size(axes[0][column], axes[1][column], *curve, size_rows(rows, *curve))
    axes[0][0].set_ylabel("throughput")
    axes[1][0].set_ylabel("farsock / native\n(quartiles shaded)")
    axes[0][0].legend()
    axes[1][0].legend()
    figure.suptitle("One stream, by size of the call", fontweight="bold")
    return figure


def draw_size(top, bottom, placement, what, found):
    sizes = [size for size, _ in found]
    for mode in ("native", "farsock"):
        top.plot(sizes, [row[mode] for _, row in found], "o-", color=COLOURS[mode], label=mode, ms=4)
    top.set_yscale("log")
    top.yaxis.set_major_formatter(FuncFormatter(rate))
    top.set_title(f"{what}, {placement}", fontsize=10)
    bottom.plot(sizes, [row["ratio"] for _, row in found], "o-", color=COLOURS["farsock"], ms=4)
    low, high = zip(*(row["quartiles"] for _, row in found))
    bottom.fill_between(sizes, low, high, color=COLOURS["farsock"], alpha=0.2, lw=0)
    goals = [(size, row["goal"]) for size, row in found if row["goal"]]
    bottom.plot(*zip(*goals), "_", color=GOAL, ms=14, mew=2, label="goal")
    bottom.axhline(1, color=COLOURS["native"], lw=1)
    bottom.set_yscale("log")
    bottom.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g} x"))
    by_size(bottom, sizes)


def latency(rows):
    """Percentiles of a round trip; towards the right the rarer ones."""
    found = [row for row in rows if row["name"] == TRIP and "latency_us" in row]
    if not found:
        return None
    figure, axes = plt.subplots(
        1, len(found), figsize=(3.8 * len(found), 3.6), sharey=True, squeeze=False
    )
    for where, row in zip(axes[0], found):
        for mode, points in row["latency_us"].items():
            rare = [1 / (1 - float(part)) for part in points]
            where.plot(rare, list(points.values()), "-", color=COLOURS[mode], label=mode)
        ticks = [("p1", 1.0101), ("p50", 2), ("p90", 10), ("p99", 100), ("p99.9", 1000)]
        where.set_xscale("log")
        where.set_xticks([at for _, at in ticks], [name for name, _ in ticks])
        where.xaxis.set_minor_formatter(NullFormatter())
        where.set_yscale("log")
        where.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        where.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g} us"))
        where.yaxis.set_minor_formatter(NullFormatter())
        where.set_title(row["placement"], fontsize=10)
    axes[0][0].legend()
    axes[0][0].set_ylabel("round trip of one byte")
    figure.suptitle("Round trips: so many take at most so long", fontweight="bold")
    return figure


def over_sockets(rows):
    """What an exchange of a message costs, by number of sockets."""
    found = [
        (w.sockets, row)
        for w in WORKS
        for row in rows
        if w.crowd and row["name"] == w.name
    ]
    if len(found) < 2:
        return None
    counts = [n for n, _ in found]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6), sharex=True)
    for mode in ("native", "farsock"):
        style = {"color": COLOURS[mode], "label": mode, "ms": 4}
        left.plot(counts, [1e6 / row[mode] for _, row in found], "o-", **style)
        cpu = [row["cost"][mode]["cpu_ns"] / 1000 for _, row in found]
        right.plot(counts, cpu, "o-", **style)
    left.set_ylabel("us for each message and its echo")
    right.set_ylabel("us of processor time, all programs")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("sockets, all active")
        axes.set_xticks(counts, [f"{n:,}" for n in counts])
        axes.xaxis.set_minor_formatter(NullFormatter())
    left.legend()
    figure.suptitle("Cost of a message over number of sockets, AMP", fontweight="bold")
    return figure


def share_of_goal(row):
    share = row["ratio"] / row["goal"]
    return share if row["better"] == "higher" else 1 / share


def goals(rows):
    """How far each figure is from its goal: right of 1 it is met."""
    judged = [row for row in rows if row["goal"] and row["ratio"]]
    if not judged:
        return None
    names = list(dict.fromkeys(row["name"] for row in judged))
    figure, axes = plt.subplots(figsize=(8, 1.4 + 0.2 * len(names)))
    least, most = 0.1, 10
    for placement, marker in zip(PLACEMENTS, "osD"):
        here = [row for row in judged if row["placement"] == placement]
        axes.scatter(
            [min(max(share_of_goal(row), least), most) for row in here],
            [names.index(row["name"]) for row in here],
            c=[COLOURS["farsock"] if row["met"] else GOAL for row in here],
            marker=marker, s=28, zorder=2, clip_on=False,
        )  # fmt: skip
        axes.scatter([], [], c="#888888", marker=marker, s=28, label=placement)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.axvline(1, color="black", lw=1)
    axes.set_xscale("log")
    axes.set_xlim(least, most)
    axes.set_xticks([0.1, 0.25, 0.5, 1, 2, 4, 10])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("share of the goal that is reached; orange: not all of it")
    axes.set_title("Goals", fontweight="bold")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.8 / figure.get_figheight()), ncol=3)
    return figure


PLOTS = {
    "goals": goals,
    "size": over_size,
    "latency": latency,
    "sockets": over_sockets,
}
