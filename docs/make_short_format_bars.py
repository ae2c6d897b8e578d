"""Which wrong ports does a default run in bfloat16 and float16 refuse, and which of them could any judge refuse?

Writes the table of docs/derivations/newton_schulz, after every schedule and format; what it is not asked for stays.
Run by hand: python docs/make_short_format_bars.py [SCHEDULE ...]

The ports are emulated: one order of evaluation, one fault. Of every fault: the score of the pooled map (MAP) and the
share (REPEATED) over their limits, and the largest quotient, over all matrices, of what the fault does to the result in
exact arithmetic and the distance of the two right results, in two orders of evaluation, that are farthest apart.
Matrices of more than 64 rows or columns are left out, and single results are not judged: the verdict of a run is at
least as sharp.
"""

from __future__ import annotations

import datetime
import itertools
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from orthoref import OutsideDomain
from orthoref._newton_schulz.normalization import normalized
from orthoref._newton_schulz.rounding import store
from orthoref._schedules.row import Row
from orthoref.oracle import conformance
from orthoref.oracle.newton_schulz import pool as pooled
from orthoref.oracle.newton_schulz.claim import Iteration, iteration
from orthoref.oracle.newton_schulz.emulation import Order, emulated, orders
from orthoref.oracle.newton_schulz.ratios import Judged, compare
from orthoref.oracle.precision import PRECISIONS

SCHEDULES = ("jordan", "newton-schulz-5", "you-5", "you-6", "polar-express")
FORMATS = ("bfloat16", "float16")
ORDER = Order("powers", 2)  # as torch computes what is written down
SIZES = ("1e-3", "-1e-2")
LARGEST = 64
HEAD = "<!-- Written by docs/make_short_format_bars.py: do not edit. -->"
TABLE = Path(__file__).with_name("short_format_bars_table.md")


@cache
def emulations(start: bytes, shape: tuple[int, ...], claimed: Iteration, precision: str) -> list[np.ndarray]:
    """Of right ports, once for all faults."""
    return list(orders(np.frombuffer(start, np.float32).reshape(shape), claimed, precision))


pooled.orders = lambda x, claimed, precision: iter(emulations(x.tobytes(), x.shape, claimed, precision))


def matrices() -> list[np.ndarray]:
    """Of the default battery, each once."""
    found: dict[bytes, np.ndarray] = {}
    for case in conformance.battery("newton_schulz", dtypes=["float32"]):
        (a,) = case.inputs().values()
        for one in a.reshape(-1, *a.shape[-2:]) if a.size else []:
            if max(one.shape) <= LARGEST and one.any():
                found[one.tobytes()] = np.ascontiguousarray(one.astype(np.float32))
    return list(found.values())


def with_rows(claimed: Iteration, rows: list[Row]) -> Iteration:
    """Other rows, as many steps."""
    schedule = replace(claimed.schedule, rows=tuple(rows), past="stop", default_steps=len(rows))
    return replace(claimed, schedule=schedule, steps=len(rows))


def faults(claimed: Iteration) -> Iterator[tuple[str, str, Iteration]]:
    """Kind, words, and the iteration that the port computes."""
    rows, how = list(claimed.schedule.steps(claimed.steps)), claimed.normalization
    for number, row in enumerate(dict.fromkeys(rows), start=1):
        of_row = f" of row {number}" if len(set(rows)) > 1 else ""
        for k in range(len(row.numerator)):
            for by in SIZES:
                c = list(row.numerator)
                c[k] *= 1 + Fraction(by)
                changed = [Row(tuple(c)) if each == row else each for each in rows]
                yield f"coefficient {by.lstrip('-')}", f"{'abc'[k]}{of_row} {by}", with_rows(claimed, changed)
        c = list(row.numerator)
        c[1], c[2] = c[2], c[1]
        changed = [Row(tuple(c)) if each == row else each for each in rows]
        yield "b and c swapped", f"b, c{of_row} swapped", with_rows(claimed, changed)
    for by in ("0.995", "1.005", "0.99", "1.01"):
        size = f"norm {abs(float(by) - 1):.1%}"
        yield size, f"norm x {by}", replace(claimed, normalization=replace(how, factor=how.factor * Fraction(by)))
    yield "eps", "eps 1e-3", replace(claimed, eps=1e-3)
    for k in range(len(rows)):
        if k == 0 or rows[k] != rows[k - 1]:
            yield "a step left out", f"step {k + 1} left out", with_rows(claimed, rows[:k] + rows[k + 1 :])


def port(a: np.ndarray, true: Iteration, precision: str) -> np.ndarray:
    """The result of an emulated port."""
    tall = a if a.shape[0] > a.shape[1] else a.T
    start = normalized(store(tall, precision), true.normalization, true.eps, true.eps_rule, precision=precision)
    x = emulated(start, [[np.float32(c) for c in row] for row in true.schedule.coefficients(true.steps)], true, ORDER,
                 precision)  # fmt: skip
    return x if tall is a else x.T


class Prepared:
    """What the judge knows of one matrix, made once for all faults."""

    def __init__(self, a: np.ndarray, claimed: Iteration, precision: str) -> None:
        self.a, self.claimed, self.precision = a, claimed, precision
        tall = a if a.shape[0] > a.shape[1] else a.T
        how = (claimed.normalization, claimed.eps, claimed.eps_rule)
        start = normalized(store(tall, precision), *how, precision=precision)
        right = [x for x in orders(start, claimed, precision) if np.isfinite(x).all()]
        pairs = [float(np.linalg.norm(x - y)) for i, x in enumerate(right) for y in right[:i]]
        self.spread = max(pairs, default=0.0)
        self.p, _, self.vh = np.linalg.svd(normalized(tall.astype(float), *how), full_matrices=False)
        self.one = self._compared(port(a, claimed, precision))

    def _compared(self, x: np.ndarray) -> Judged:
        return compare(self.a.astype(float), x.astype(float), self.claimed, PRECISIONS[self.precision])

    def effect(self, true: Iteration) -> float:
        """What the fault does in exact arithmetic, over the spread of right orders."""
        s = np.linalg.svd(normalized(self.a.astype(float), true.normalization, true.eps, true.eps_rule), False, False)
        claimed = (self.claimed.normalization, self.claimed.eps, self.claimed.eps_rule)
        own = np.linalg.svd(normalized(self.a.astype(float), *claimed), False, False)
        rows, wrong = (each.schedule.steps(each.steps) for each in (self.claimed, true))
        for row in rows:
            own = row(own)
        for row in wrong:
            s = row(s)
        away = float(np.linalg.norm(s - own))
        return away / self.spread if self.spread else 0.0

    def points(self, x: np.ndarray) -> Any:
        """Of another result: only what is seen differs."""
        points = self.one.points
        upright = x if x.shape[0] > x.shape[1] else x.T
        along = np.einsum("ij,ij->j", self.p, upright @ self.vh.T)[points.determined]
        return replace(points, seen=along, x=None if points.x is None else x, holds=True)


def row_of(kind: str, found: list[tuple[str, float, float, float]]) -> tuple[str, ...]:
    """A line of the table: how many are refused, the least sharp, and what is missed."""
    missed = [(words, max(score, bits), effect) for words, score, bits, effect in found if max(score, bits) <= 1]
    effects = [effect for *_, effect in found]
    by_map = sum(score > 1 for _, score, _, _ in found)
    named = "; ".join(f"{words} ({score:.2g}, {effect:.2g})" for words, score, effect in missed) or "-"
    span = f"{min(effects):.2g} to {max(effects):.2g}"
    return kind, f"{len(found) - len(missed)} of {len(found)}", str(by_map), span, named


def write(name: str, precision: str, lines: list[str]) -> None:
    """One section of the table anew, the others as they are."""
    found = re.findall(r"^(`(\S+)`, (\w+):.*?)\s*(?=^`|\Z)", TABLE.read_text(encoding="utf-8"), re.M | re.S)
    sections = {(of, within): text for text, of, within in found} | {(name, precision): "\n".join(lines)}
    ordered = [sections[each] for each in itertools.product(SCHEDULES, FORMATS) if each in sections]
    TABLE.write_text("\n\n".join([HEAD, *ordered]) + "\n", encoding="utf-8")


def main() -> None:
    """The table, or sections of it."""
    given = matrices()
    of = f"{len(given)} matrices of the default battery, at most {LARGEST} x {LARGEST}, {datetime.date.today()}"
    with np.errstate(all="ignore"):
        for name in sys.argv[1:] or SCHEDULES:
            emulations.cache_clear()
            for precision in FORMATS:
                lines = [f"`{name}`, {precision}: {of}.", "",
                         "| fault | refused | by the map alone | effect / spread | missed (score, effect / spread) |",
                         "| --- | --- | --- | --- | --- |"]  # fmt: skip
                claimed = iteration(name, eps=1e-7)
                prepared = []
                for a in given:
                    try:
                        each = Prepared(a, claimed, precision)
                    except OutsideDomain:
                        continue
                    if each.one.points is not None:
                        prepared.append(each)
                kinds: dict[str, list[tuple[str, float, float, float]]] = {}
                for kind, words, true in [("none", "right", claimed), *faults(claimed)]:
                    points, largest = [], 0.0
                    for each in prepared:
                        largest = max(largest, each.effect(true))
                        x = port(each.a, true, precision)
                        if np.isfinite(x).all():
                            points.append(each.points(x))
                    checks = {
                        check.name: check
                        for check in pooled.pool([points], claimed, PRECISIONS[precision]).measurements
                    }
                    score, bits = (float(checks[k].ratio / checks[k].limit) if k in checks else 0.0
                                   for k in ("map", "bits"))  # fmt: skip
                    score = score if 2 * len(points) > len(prepared) else np.inf  # what is not finite is refused
                    kinds.setdefault(kind, []).append((words, score, bits, largest))
                    print(
                        f"{name} {precision} {words}: map {score:.3g}, bits {bits:.3g}, effect {largest:.3g}",
                        flush=True,
                    )
                lines += [f"| {' | '.join(row_of(kind, found))} |" for kind, found in kinds.items()]
                write(name, precision, lines)


if __name__ == "__main__":
    main()
