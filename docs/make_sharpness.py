"""How large the unit of a Newton-Schulz result is, and how sharp. Run by hand: python docs/make_sharpness.py

Writes two tables of docs/derivations/newton_schulz.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

import orthoref
from orthoref import schedules
from orthoref.oracle import cases
from orthoref.oracle.newton_schulz.claim import iteration
from orthoref.oracle.newton_schulz.ratios import compare
from orthoref.oracle.newton_schulz.rounding_error import expected
from orthoref.oracle.precision import PRECISIONS

HERE = Path(__file__).parent
FORMS = {
    "standard": ("standard", ()),
    "Gram": ("gram", ()),
    "Gram, restart at 2": ("gram", (2,)),
    "Gram, restarts at 2, 4": ("gram", (2, 4)),
}
INPUTS = [
    cases.matrix(shape, spectrum=spectrum, cond=cond, seed=seed)
    for shape in ((16, 16), (64, 64), (96, 32))
    for seed, (spectrum, cond) in enumerate(
        [("geometric", 10.0), ("geometric", 1e3), ("one_small", 1e3), ("repeated", 10.0), ("log_uniform", 1e3)]
    )
]


def units() -> Iterator[tuple]:
    """The unit over the norm of the result."""
    for name in ("jordan", "polar-express", "you-6", "newton-schulz-5"):
        schedule = schedules.get(name)
        a = cases.matrix((96, 32), cond=1e3)
        x = a / (float(schedule.normalization.factor) * np.linalg.norm(a))
        growth = " ".join(f"{float(row.numerator[0]) ** 2:.3g}" for row in schedule.steps(5))
        for precision in ("bfloat16", "float16", "float32"):
            found = (expected(x, schedule.steps(5), PRECISIONS[precision], *form) for form in FORMS.values())
            yield name, growth, precision, *(f"{e.total() / np.linalg.norm(e.f):.2g}" for e in found)


def plain(a, schedule):
    """The iteration as one would write it down, in the dtype of a."""
    x = a.T if a.shape[0] > a.shape[1] else a
    x = x / (a.dtype.type(schedule.normalization.factor) * np.linalg.norm(x))
    for c in schedule.coefficients():
        c0, c1, c2 = map(a.dtype.type, c)
        g = x @ x.T
        x = c0 * x + (c1 * g + c2 * g @ g) @ x
    return x.T if a.shape[0] > a.shape[1] else x


def run(a, schedule, precision, form, restart):
    if precision in ("bfloat16", "float16"):
        return orthoref.newton_schulz(a, schedule, form=form, restart=restart, precision=precision)
    if form == "standard":
        return plain(a, schedule)
    return orthoref.newton_schulz(a, schedule, form=form, restart=restart)


def sharpness() -> Iterator[tuple]:
    """Quantiles of the ratio of right results."""
    for precision in ("bfloat16", "float16", "float32", "float64"):
        for label, (form, restart) in FORMS.items():
            ratios, overflows, total = [], 0, 0
            for name in ("jordan", "polar-express"):
                claimed = iteration(name, form=form, restart=restart)
                for a in INPUTS:
                    a, total = a.astype("float64" if precision == "float64" else "float32"), total + 1
                    try:
                        x = run(a, claimed.schedule, precision, form, restart)
                    except orthoref.OutsideDomain:
                        overflows, x = overflows + 1, np.zeros_like(a)
                    with np.errstate(all="ignore"):  # runaways of the Gram form
                        one = compare(*(z.astype("float64") for z in (a, x)), claimed, PRECISIONS[precision])
                    if one.decided:
                        ratios.append(one.forward)
            quantiles = np.quantile(ratios, (0.05, 0.5, 0.95, 1)) if ratios else ()
            shown = [f"{q:.2g}" for q in quantiles] or ["-"] * 4
            yield precision, label, f"{len(ratios)} of {total}", overflows, *shown


def write(name: str, head: Iterable, rows: Iterable[Iterable]) -> None:
    head = [*head]
    lines = ["| " + " | ".join(map(str, cells)) + " |" for cells in (head, ["---"] * len(head), *rows)]
    first = "<!-- Written by docs/make_sharpness.py: do not edit. -->"
    (HERE / f"{name}_table.md").write_text("\n".join([first, "", *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write("rounding_units", ("schedule", "$c_0^2$ of the steps", "precision", *FORMS), units())
    head = ("precision", "form", "judged", "overflows", "5 %", "median", "95 %", "maximum")
    write("sharpness", head, sharpness())
