"""Right ports in bfloat16 and float16 over the default battery: how near to the limits does a whole run come?

Writes the table of docs/derivations/newton_schulz after every run. Run by hand: python docs/make_pooled_false_alarms.py
[BATTERIES [FIRST SEED]]

Needs torch. The ports are those of docs/make_false_alarms.py: nine ways to write the iteration down, in the arithmetic
of torch on the CPU.
"""

from __future__ import annotations

import datetime
import platform
import sys
from collections import defaultdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from make_false_alarms import GRAM, STANDARD, gram, normalized, quantiles, table
from rich.progress import track

from orthoref import conformance
from orthoref.oracle.newton_schulz.claim import iteration

SCHEDULES = ("jordan", "newton-schulz-5", "you-5", "you-6", "polar-express")
FORMATS = ("bfloat16", "float16")
TABLE = Path(__file__).with_name("pooled_false_alarms_table.md")
POOLED = ("map", "bits")


def one(x: torch.Tensor, claimed: Any, way: str) -> torch.Tensor:
    """A port of one matrix: the smaller side first."""
    tall = x.shape[0] > x.shape[1]
    x = normalized(x.mH if tall else x, claimed)
    rows = claimed.schedule.coefficients(claimed.steps)
    if way in GRAM:
        x = gram(x, rows, claimed.restart, *GRAM[way])
    else:
        for c in rows:
            x = STANDARD[way](x, c) if len(c) > 1 else c[0] * x
    return x.mH if tall else x


def port(a: torch.Tensor, claimed: Any, way: str) -> torch.Tensor:
    """Matrix by matrix."""
    matrices = [one(each, claimed, way) for each in a.reshape(-1, *a.shape[-2:])] if a.numel() else []
    return torch.stack(matrices).reshape(a.shape) if matrices else a.clone()


def tensor(precision: str, a: Any) -> torch.Tensor:
    """In a format that NumPy lacks."""
    return torch.from_numpy(a.copy()).to(getattr(torch, precision))


def main() -> None:
    """The table."""
    batteries, first = (int(x) for x in [*sys.argv[1:3], *("1", "0")[len(sys.argv) - 1 :]])
    torch.set_num_threads(1)
    runs = [(*each, seed) for seed in range(first, first + batteries)
            for each in ((name, precision, way) for name in SCHEDULES for precision in FORMATS
                         for way in (*STANDARD, *GRAM))]  # fmt: skip
    seen: dict[tuple[str, str], list[float]] = defaultdict(list)
    refused: list[str] = []
    for count, (name, precision, way, seed) in enumerate(track(runs, description="runs"), start=1):
        options = {"eps": 1e-7, "form": "gram" if way in GRAM else "standard"}
        report = conformance.check(
            partial(port, claimed=iteration(name, **options), way=way), "newton_schulz", schedule=name,
            convert=partial(tensor, precision), progress=False,
            dtypes=(precision,), precision=precision, seed=seed, skip=("extreme scale",), **options,
        )  # fmt: skip
        for check in report.pooled.checks if report.pooled else ():
            seen[precision, check.name].append(check.ratio / check.limit)
        if report.count("fails") or not (report.pooled is None or report.pooled.holds):
            refused.append(f"{name}, {precision}, {way}, seed {seed}")
            print(refused[-1], report.text(), flush=True)
        lines = [
            "<!-- Written by docs/make_pooled_false_alarms.py: do not edit. -->",
            "",
            (
                f"{count} runs of the default battery, nine ways to write each of {len(SCHEDULES)} schedules down, "
                f"battery seeds {first} to {runs[count - 1][-1]}, {datetime.date.today()}, {platform.machine()}, torch "
                f"{version('torch')}. Refused: {'; '.join(refused) or 0}. Shares of the limit:"
            ),
            "",
            *table(("precision", "check", "runs", "median", "99 %", "99.9 %", "largest"),
                   [(*key, len(each), quantiles(each)) for key, each in seen.items()]),
        ]  # fmt: skip
        TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
