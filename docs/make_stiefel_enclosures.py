"""Enclosures of maps on the Stiefel manifold against truth of more than 500 bits: is one of them ever wrong?

Writes docs/stiefel_enclosures_table.md after every block of cases. Run by hand:
python docs/make_stiefel_enclosures.py [CASES OF EACH MAP [CASES OF THE LOGARITHM [FIRST SEED]]]

The inputs and the truth, found by other routes, are those of tests/stiefel_enclosures.py.
"""

from __future__ import annotations

import datetime
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from rich.progress import track

from orthoref import NotCertified, NotConverged, OutsideDomain, certify

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))
from stiefel_enclosures import OPERATIONS, SHAPES, broken, drawn  # noqa: E402

BLOCK = 100  # cases after which the table is written
DIGITS = 15


class Row(NamedTuple):
    """Of one map: cases, those that are complex, without a proof and wrong; the widest radius and the most bits."""

    cases: int = 0
    complex: int = 0
    refused: int = 0
    wrong: int = 0
    radius: float = 0.0
    bits: int = 0

    def line(self, name: str) -> str:
        proved = self.cases - self.refused
        return (f"| `{name}` | {self.cases} | {self.complex} | {self.refused} | {self.wrong} of {proved} "
                f"| {self.radius:.1e} | {self.bits} |")  # fmt: skip


def tried(row: Row, name: str, seed: int) -> Row:
    """One case more."""
    rng = np.random.default_rng([seed, OPERATIONS.index(name)])
    case = drawn(name, rng)
    given = (rng.standard_normal(case.x.shape) * 10.0 ** -rng.integers(16)).astype(case.x.dtype)
    row = row._replace(cases=row.cases + 1, complex=row.complex + np.iscomplexobj(case.x))
    try:
        found = getattr(certify.stiefel, name)(*case.arguments(), given, digits=DIGITS)
    except (OutsideDomain, NotCertified, NotConverged):
        return row._replace(refused=row.refused + 1)
    said = broken(case, found, given)
    if said:
        print(f"{name}, seed {seed}: {said}\n{case}")
    return row._replace(
        wrong=row.wrong + bool(said), radius=max(row.radius, found.radius), bits=max(row.bits, found.bits)
    )


def write(rows: dict[str, Row], first: int) -> None:
    made = f"Made on {datetime.date.today().isoformat()}, Python {platform.python_version()}, "
    made += f"python-flint {version('python-flint')}; {DIGITS} digits, seeds from {first}."
    shapes = ", ".join(f"{n} x {p}" for n, p in SHAPES)
    lines = ["<!-- Written by docs/make_stiefel_enclosures.py: do not edit. -->", "", made, f"Shapes: {shapes}.", ""]
    lines += ["| map | cases | complex | no proof | violations | widest radius | most bits |", "|" + " --- |" * 7]
    lines += [row.line(name) for name, row in rows.items()]
    (HERE / "stiefel_enclosures_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(cases: int = 2000, logarithms: int = 500, first: int = 0) -> None:
    rows = {name: Row() for name in OPERATIONS}
    for name in OPERATIONS:
        count = logarithms if name == "log" else cases
        for seed in track(range(first, first + count), name):
            rows[name] = tried(rows[name], name, seed)
            if (seed - first) % BLOCK == BLOCK - 1:
                write(rows, first)
    write(rows, first)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
