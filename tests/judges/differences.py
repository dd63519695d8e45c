# What differs over a link, and which row of docs/differences.md says why.
# SPDX-License-Identifier: MIT
"""The one list of expected differences. An unexpected one fails, and so does one
that is listed and is not met any more."""

from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "differences.md"
SLOTS = "socket() and accept() give EMFILE when the link's slots are used up"

# A test of CPython's: its results natively and over a link, and the row.
TESTS = {
    # They open as many sockets as the process may, and skip at the first error.
    **{
        f"test.test_selectors.{how}SelectorTestCase.test_above_fd_setsize":
            ("ok", "skipped", SLOTS)
        for how in ("Epoll", "Poll")
    },
}  # fmt: skip

# A case of programs/, and on which stages it fails.
CASES = {}


def rows():
    """The first cells of the page's tables."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [line.split(" | ")[0].strip("| ") for line in lines if line.startswith("| ")]


def unnamed():
    """Rows that are named here and are not on the page."""
    there = rows()
    named = {row for *_, row in (*TESTS.values(), *CASES.values())}
    return sorted(n for n in named if not any(r.startswith(n) for r in there))
