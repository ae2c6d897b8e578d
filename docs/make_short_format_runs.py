"""What the matrices up to 64 x 64 miss in bfloat16 and float16: does a whole default run refuse it?

Reads what docs/make_short_format_bars.py has missed and writes the table beside its own, after every run. Run by hand:
python docs/make_short_format_runs.py

The same emulated ports, the right one of every schedule and format among them, now as ports of NumPy over the default
battery with everything that a run judges.
"""

from __future__ import annotations

import datetime
import os
import re
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from make_short_format_bars import FORMATS, SCHEDULES, faults, port
from make_short_format_bars import TABLE as MISSED
from rich.progress import track

from orthoref.oracle import conformance
from orthoref.oracle.newton_schulz.claim import Iteration, iteration

HEAD = "<!-- Written by docs/make_short_format_runs.py: do not edit. -->"
TABLE = Path(__file__).with_name("short_format_runs_table.md")
COLUMNS = ("schedule", "format", "fault", "cases refused", "map / limit", "verdict", "reason given")


def missed() -> set[tuple[str, str, str]]:
    """Schedule, format and fault."""
    sections = re.findall(r"^`(\S+)`, (\w+):(.*?)(?=^`|\Z)", MISSED.read_text(encoding="utf-8"), re.M | re.S)
    words = re.compile(r"(?:\| |; )([a-c][a-z0-9,. -]*?) \([^()]*, [^()]*\)")
    return {(name, precision, each) for name, precision, text in sections for each in words.findall(text)}


def stacks(a: np.ndarray, true: Iteration, precision: str) -> np.ndarray:
    """Matrix by matrix."""
    with np.errstate(all="ignore"):
        found = [port(x, true, precision) for x in a.reshape(-1, *a.shape[-2:])] if a.size else []
    return np.stack(found).reshape(a.shape) if found else a.copy()


def row(name: str, precision: str, words: str, claimed: Iteration, true: Iteration) -> tuple[str, ...]:
    """A run and its line of the table."""
    report = conformance.check(
        lambda a: stacks(a, true, precision), "newton_schulz", schedule=name, eps=claimed.eps, dtypes=("float32",),
        precision=precision, skip=("extreme scale",), progress=False,
    )  # fmt: skip
    pooled = {check.name: check for check in report.pooled.checks}["map"]
    score = f"{pooled.ratio / pooled.limit:.2g}"
    reasons = [*report.pooled.reasons, *(finding.reason for finding in report.findings())]
    return name, precision, words, str(report.count("fails")), score, report.status, next(iter(reasons), "-")


def main() -> None:
    """The table."""
    wanted = missed()
    runs = []
    for name in SCHEDULES:
        claimed = iteration(name, eps=1e-7)
        for precision in FORMATS:
            runs += [(name, precision, words, claimed, true)
                     for words, true in [("none", claimed), *(each[1:] for each in faults(claimed))]
                     if words == "none" or (name, precision, words) in wanted]  # fmt: skip
    assert len(runs) == len(wanted) + len(SCHEDULES) * len(FORMATS)
    lines = [HEAD, "", f"{datetime.date.today()}", "", f"| {' | '.join(COLUMNS)} |", "| --- " * len(COLUMNS) + "|"]
    for each in track(runs, description="runs"):
        lines.append(f"| {' | '.join(row(*each))} |")
        print(lines[-1], flush=True)
        TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
