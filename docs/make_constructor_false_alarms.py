# ruff: noqa: E402
"""Right constructors judged at random parameters. Writes constructor_false_alarms_table.md.

    python docs/make_constructor_false_alarms.py [COUNT [SEED]]

The ports are those of tests/meta that are right by another algorithm, each within what it claims. Every ratio above
half of the limit is printed with what recreates it.
"""

from __future__ import annotations

import datetime
import os
import platform
import sys
import warnings
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

for name, value in (("OMP_NUM_THREADS", "1"), ("JAX_ENABLE_X64", "1"), ("JAX_PLATFORMS", "cpu")):
    os.environ.setdefault(name, value)
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
from meta.wrong_constructor_ports import RIGHT, Entry
from rich.progress import track

from orthoref.oracle import cases
from orthoref.oracle.operation import Operation
from orthoref.oracle.operations import CONSTRUCTORS
from orthoref.oracle.precision import precision_of
from orthoref.oracle.run import outputs

SAMPLE = 200  # matrices


def shape_of(random: np.random.RandomState, entry: Entry, draw: str) -> tuple[int, ...]:
    """Small ones; one for JAX, which compiles for every shape."""
    if "shapes" in entry.options:
        return tuple(entry.options["shapes"][0])
    n, k = sorted(random.randint(1, 13, 2))
    if entry.name == "JAX":
        n, k = 3, 4
    if entry.operation == "haar":
        return SAMPLE, min(k, 5), min(n, 5)
    if entry.operation == "orthogonal_init":
        return k, n, *random.randint(1, 4, random.randint(3))
    batch = (3,) if entry.name != "JAX" and random.uniform() < 0.2 else ()
    n = {"reflectors": n, "butterfly_angles": 2 ** random.randint(4)}.get(draw, k)
    return *batch, n if draw == "butterfly_angles" else k, n


def drawn(random: np.random.RandomState, entry: Entry, row: Operation) -> cases.Case:
    """A case within the claims of a port."""
    claimed = row.claim(**entry.claims)
    levels = row.shown(claimed, row.levels)
    skipped = entry.options.get("skip", ())
    case = cases.drawn(
        shape_of(random, entry, levels.draw.__name__),
        None,
        None,
        str(random.choice(entry.options.get("dtypes", row.dtypes))),
        structure=str(random.choice(levels.structure)),
        scale=float(random.choice([scale for scale in levels.scale if not isinstance(scale, str)])),
        seed=int(random.randint(10**6)),
        function=levels.draw,
    )
    kinds = [kind for kind in levels.cotangent if kind not in skipped] or ["generic"]
    case.factors["cotangent"] = str(random.choice(kinds))
    return case.accompanied(row.companions(claimed), row.inputs[0])


def judged(entry: Entry, row: Operation, case: cases.Case) -> float:
    """The largest ratio over its limit; NaN where nothing is judged."""
    inputs = case.inputs()
    with np.errstate(all="ignore"):
        found = outputs(entry.port(*inputs.values()), None, row)
        given, returned = ({name: row.lift(name, x) for name, x in each.items()} for each in (inputs, found))
        claimed = row.claim(**entry.claims)
        measured = row.measure(given, returned, claimed, precision_of(case.dtype), row.limit)
    if measured.faults:
        return np.inf
    if not np.any(measured.judged):
        return np.nan
    return max(float(np.max(np.where(np.isnan(x.ratio), np.inf, x.ratio) / x.limit)) for x in measured.measurements)


def main() -> None:
    count, seed = (int(sys.argv[k]) if len(sys.argv) > k else default for k, default in ((1, 2000), (2, 0)))
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    random = np.random.RandomState(seed)
    ratios, undecided = defaultdict(list), defaultdict(int)
    largest = (0.0, "")
    for i in track(range(count), description="constructors"):
        entry = RIGHT[i % len(RIGHT)]
        row = CONSTRUCTORS[entry.operation]
        case = drawn(random, entry, row)
        key = entry.operation, entry.name, " ".join(f"{name}={value}" for name, value in entry.claims.items())
        ratio = judged(entry, row, case)
        if np.isnan(ratio):
            undecided[key] += 1
            continue
        ratios[key].append(ratio)
        described = f"{entry.operation}, {entry.name}: {case.id}"
        if not ratio <= 0.5:
            print(f"{ratio:.3g}: {described}\n{case.recreate}", flush=True)
        largest = max(largest, (ratio, described))
    above = sum(ratio > 1 for each in ratios.values() for ratio in each)
    lines = [
        "<!-- Written by docs/make_constructor_false_alarms.py: do not edit. -->",
        "",
        (
            f"{count} results, {datetime.date.today().isoformat()}, {platform.machine()} {platform.system()}, "
            f"Python {platform.python_version()}, numpy {version('numpy')}, scipy {version('scipy')}, "
            f"torch {version('torch')}, jax {version('jax')}. Ratios are parts of the limit. Above the limit: {above}. "
            f"The largest: {largest[0]:.2g} ({largest[1]})."
        ),
        "",
        "| operation | port | convention | judged | not judged | median | 99 % | largest |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for key in sorted({*ratios, *undecided}):
        cells = " | ".join(f"{q:.2g}" for q in np.quantile(ratios[key] or [np.nan], (0.5, 0.99, 1)))
        lines.append(f"| {' | '.join(key)} | {len(ratios[key])} | {undecided[key]} | {cells} |")
    Path(__file__).with_name("constructor_false_alarms_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
