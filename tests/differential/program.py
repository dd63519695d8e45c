# A program: its steps, and the way to its link.
# SPDX-License-Identifier: MIT
"""A part of the generator: see programs.py."""

import re
from pathlib import Path

from words import RINGS


class Program:
    def __init__(self, lines, ring=RINGS[0], base=0, seed=None, preload=False):
        self.lines, self.ring, self.base, self.seed = lines, ring, base, seed
        self.preload = preload

    def with_lines(self, lines):
        return Program(lines, self.ring, self.base, self.seed, self.preload)

    @property
    def way(self):
        """How it gets to its link, as it is written in files."""
        return f"ring {self.ring} base {self.base:#x}" + (" preload" if self.preload else "")

    @property
    def text(self):
        return "".join(f"{line}\n" for line in self.lines)

    def save(self, path, *comments):
        head = [*comments, self.way]
        Path(path).write_text("".join(f"# {c}\n" for c in head) + self.text)

    @staticmethod
    def load(path):
        p = Program([])
        for line in Path(path).read_text().splitlines():
            if m := re.match(r"# ring (\d+) base (\w+)( preload)?", line):
                p.ring, p.base, p.preload = int(m[1]), int(m[2], 0), bool(m[3])
            elif line.strip() and not line.startswith("#"):
                p.lines.append(line)
        p.seed = str(path)
        return p
