"""Why a result is not the claimed iteration: known mistakes are undone one at a time until the ratio accepts.

The likeliest of those that come near, by distance and by what they take beside the claim, are left to the measure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from orthoref._newton_schulz.normalization import normalized
from orthoref._newton_schulz.rounding import store
from orthoref._schedules.schedule import Normalization
from orthoref.errors import OutsideDomain
from orthoref.oracle.newton_schulz import fits
from orthoref.oracle.newton_schulz.claim import Iteration, run
from orthoref.oracle.newton_schulz.hypotheses import (
    MOST,
    WITHIN,
    Divisor,
    Found,
    Scale,
    Seen,
    Table,
    aol_divisors,
    divisors_of,
    equilibrated,
    mistaken,
    nearest,
    of_presets,
    of_schedule,
    scales_of,
)
from orthoref.oracle.newton_schulz.ratios import compare, fills
from orthoref.oracle.operation import Data, Variant
from orthoref.oracle.precision import PRECISIONS, Precision

SLIGHT = 2.0**-9  # relative: what a rounding to bfloat16 changes
HOPELESS = 100.0  # units of the claim: the rounding error of another iteration is no larger
NOISE = 0.25  # of the unit of the claim: what a mistake that fits better than others fits is rounding
FITTED = 3.0  # how unlikely a number is that was not to be expected
TRIED = 6  # mistakes of one kind that are measured
SAME = 1e-12  # distances over |X| below it are alike
SEEN = 0.02  # of its unit: rounding in a format shows by no less


def variants(
    inputs: Data, outputs: Data, claimed: Iteration, precision: Precision, failed: Mapping[str, float]
) -> Iterator[Variant]:
    """Known mistakes of one matrix, undone; where the right result is all that can be put in place, it is."""
    a, x = inputs["a"].value, outputs["x"].value
    reference = claimed.factor(*a.shape) * run(a, claimed)
    right = {"x": reference}
    if not a.any():
        return
    if not x.any():
        yield Variant("zero", "x is zero", right)
        return
    grids = _grids(x, precision)
    eps = PRECISIONS[grids[0]].eps if grids else precision.eps
    away = float(np.linalg.norm(x - a))
    if away <= eps * np.linalg.norm(x) and away <= np.linalg.norm(reference - a) / 8:
        same = "x equals a: the input was returned, or overwritten with the result (judge a copy made before the call)"
        yield Variant("x equals a", same, right)
    known = _Known(a, x, claimed, reference, eps, failed.get("forward", 0.0) if not grids else 0.0)
    polar, few = (
        Variant("polar factor", "x is the polar factor: every singular value is 1", right),
        known.seen.distinct < 3,
    )
    if known.converged() and not few:  # which iterations converge to as well
        yield polar
    near = [known.variant(one) if isinstance(one, Found) else one.variant for one in known.likeliest(known.near())]
    yield from near
    yield from _fitted(known)
    for said, given, taken in _views(a, x):
        through = known.through(a if given is None else given, x if taken is None else taken)
        yield from (known.variant(one, said, given, taken) for one in known.likeliest(through))
    if known.converged() and few:
        yield polar
    if known.own.rest >= 0.1 * np.linalg.norm(reference):
        values = {"x": _with_values_of(x, reference)}
        other = "x has the singular values of the result, but other singular vectors: that of another matrix?"
        yield Variant("other vectors", other, values)
    where = _concentrated(x - reference)
    if where:
        yield Variant("concentrated", f"the error sits in {where}", right)
        return
    yield from _formats(known, precision, grids)
    for low in grids[:1]:
        for one in near[:TRIED]:
            stored = replace(one, key=f"{one.key}; in {low}", reason=f"{one.reason}; x is stored in {low}")
            yield replace(stored, precision=PRECISIONS[low], most=1.0)


def describe(
    inputs: Data, outputs: Data, claimed: Iteration, precision: Precision, failed: Mapping[str, float]
) -> list[str]:
    """What is seen of one matrix whose result fails."""
    a, x = inputs["a"].value, outputs["x"].value
    largest = float(np.max(np.abs(a), initial=0.0))
    squared = largest > (precision.largest / a.size) ** 0.5
    found = [f"|a|^2 overflows {precision.name}: a norm has to scale before it squares"] if squared else []
    if not a.any() and not np.isfinite(x).all():
        found += list(_lost_eps(claimed, precision))
    if not failed:
        return found
    if not a.any():
        return [*found, "x is not zero, though a is"]
    if min(a.shape) > 2 and not fills(a, x, claimed):
        found.append("right singular vectors, wrong singular values: a coefficient or a row differs")
    if failed.get("direction", 0.0) > 1:
        found.append("a singular direction has changed its sign")
    return [*found, "x is not this iteration, and none of the known variants of it"]


class _Known:
    """What is known of one result: seen in the bases of its input, and what there is to compare it with."""

    def __init__(
        self, a: np.ndarray, x: np.ndarray, claimed: Iteration, reference: np.ndarray, eps: float, ratio: float = 0.0
    ) -> None:
        self.a, self.x, self.claimed, self.reference, self.eps = a, x, claimed, reference, eps
        kind = claimed.normalization.kind
        self.seen, self.aol = Seen(a, x), Seen.aol(a, x, claimed.eps if kind == "aol" else 0.0, claimed.eps_rule)
        self.own = self.aol if kind == "aol" else self.seen  # in the bases of the claimed normalization
        self.away = float(np.linalg.norm(x - reference)) / max(self.seen.size, 1e-300)
        unit = self.away / ratio if 0 < ratio < np.inf else np.inf
        self.farthest, self.noise = HOPELESS * unit, NOISE * unit if unit < np.inf else 0.0
        self.few = claimed.steps <= 2 * MOST  # so many that a list is searched row by row
        self.claims = Table(of_schedule(claimed.schedule, max(MOST, claimed.steps + 2), claimed=True))
        self.presets = of_presets(max(MOST, claimed.steps) if self.few else MOST)
        self.scales = scales_of(claimed, a.shape)
        self.divisors, self.of_aol = divisors_of(claimed), aol_divisors(claimed)
        self.plain = [divisor for divisor in self.divisors if not divisor.eps or divisor is self.divisors[0]]

    def near(self) -> list[Found | _Undone]:
        """Other coefficients, steps, norms, eps and scales."""
        one = self.scales[:1]
        of_own = self.of_aol if self.own is self.aol else self.plain
        blocks = [
            (self.seen, self.claims, self.divisors, self.scales),
            (self.seen, self.presets, self.plain, self.scales),
            (self.aol, self.claims, self.of_aol, self.scales),
            (self.aol, self.presets, self.of_aol, self.scales),
        ]
        if self.few and self.claimed.steps:
            blocks.append((self.own, mistaken(self.claimed), of_own, one))
        return [*_undone(self), *(one for one in self._found(blocks) if one.said(self.claimed)[0])]

    def through(self, a: np.ndarray, x: np.ndarray) -> list[Found]:
        """The same of an input that was changed before."""
        seen = Seen(a, x)
        return self._found([(seen, table, self.plain, self.scales) for table in (self.claims, self.presets)], 3.0)

    def own_values(self) -> np.ndarray:
        """f(s) of the claim."""
        how = (self.of_aol if self.own is self.aol else self.divisors)[0]
        s = self.own.s / self.own.divisor(how)
        return self.claimed.factor(*self.a.shape) * self.claims.rows[0].value(s, self.claimed.steps)

    def converged(self) -> bool:
        """Whether x is the polar factor, which errs by eps times the condition number."""
        seen = self.seen
        with_ones = np.hypot(seen.rest, np.linalg.norm(seen.y / self.claimed.factor(*self.a.shape) - 1)) / seen.size
        condition = seen.s[0] / seen.s[-1] if seen.s[-1] else np.inf
        return bool(with_ones <= min(8 * self.eps * condition, self.away / 100))

    def likeliest(self, found: Sequence[Found | _Undone]) -> list[Any]:
        """Of those that come near the likeliest, first."""
        best = min((one.distance for one in found), default=0.0)
        alike = max(WITHIN * best, self.noise)
        near = [one for one in found if one.distance <= min(alike, self.enough(one.cost))]
        return sorted(near, key=lambda one: one.cost)[:TRIED]

    def enough(self, cost: float) -> float:
        """The distance that a mistake has to have: the less likely it is, the better it has to fit."""
        return min(self.away / float(self.own.better(cost)), self.farthest)

    def _found(
        self, blocks: Sequence[tuple[Seen, Table, Sequence[Divisor], Sequence[Scale]]], beside: float = 0.0
    ) -> list[Found]:
        name, steps = self.claimed.schedule.name, self.claimed.steps
        found = [(block[1], one) for block in blocks for one in nearest(*block, steps, self.away, beside, self.noise)]
        return [one for table, one in found if table is not self.presets or one.rows.name != name]

    def variant(
        self, found: Found, said: str = "", a: np.ndarray | None = None, x: np.ndarray | None = None
    ) -> Variant:
        """To be measured; of another input or in another order, if that is said."""
        reason, key = ("; ".join(filter(None, (said, each))) for each in found.said(self.claimed))
        outputs = None if x is None else {"x": x}
        if found.scale.renormalized:
            outputs = {"x": (self.x if x is None else x) * (self.claimed.factor(*self.a.shape) / found.factor)}
        return Variant(key, reason, outputs, found.claim(self.claimed), inputs=None if a is None else {"a": a})


@dataclass(frozen=True)
class _Undone:
    """A simple mistake: its distance over |X| when undone, and how unlikely it is."""

    distance: float
    cost: float
    variant: Variant


def _undone(known: _Known) -> Iterator[_Undone]:
    """Signs, transposes and conjugates."""
    x, reference, size = known.x, known.reference, max(known.seen.size, 1e-300)

    def one(cost: float, reason: str, undone: np.ndarray) -> _Undone:
        return _Undone(float(np.linalg.norm(undone - reference)) / size, cost, Variant(reason, reason, {"x": undone}))

    square, complex_ = x.shape[0] == x.shape[1], np.iscomplexobj(x)
    yield one(0.8, "x has the wrong sign", -x)
    if square:
        yield one(0.9, "rows and columns are swapped: x is the transpose of the result", x.T)
    if square and complex_:
        yield one(0.9, "x is the conjugate transpose of the result", x.conj().T)
    if complex_:
        yield one(0.9, "x is conjugated: a conjugate was lost or is too many", x.conj())
        lost = "X X^T was computed in place of X X^H: a conjugate was lost"
        if np.linalg.norm(x - _without_conjugates(known.a, known.claimed)) <= 0.1 * known.away * size:
            yield _Undone(0.0, 1.0, Variant("lost conjugate", lost, {"x": reference}))
    seen, f = known.own, known.own_values()
    turned = (seen.y * f < 0) & (f * f > 0.01 * np.mean(f * f))
    if 0 < np.sum(turned) < len(f):
        back = 2 * (seen.p[:, turned] * seen.y[turned]) @ seen.vh[turned]
        count = int(np.sum(turned))
        directions = "a singular direction has" if count == 1 else f"{count} singular directions have"
        reason = f"{directions} changed {'its sign' if count == 1 else 'their signs'}"
        undone = x - (back if seen.tall else back.conj().T)
        distance = float(np.linalg.norm(undone - reference)) / size
        yield _Undone(distance, 1.5, Variant("directions turned", reason, {"x": undone}))


def _views(a: np.ndarray, x: np.ndarray) -> Iterator[tuple[str, np.ndarray | None, np.ndarray | None]]:
    """Other inputs of the same shape that ports iterate on, and results in the wrong order; None for the same."""
    for axis, what in ((1, "rows"), (0, "columns")):
        even = equilibrated(a, axis)
        if np.linalg.norm(even - a) > SLIGHT * np.linalg.norm(a):
            yield f"the {what} of a are scaled to one norm first", even, None
    m, n = a.shape
    if min(m, n) > 1:
        read, written = a.ravel(order="F").reshape(m, n), x.ravel().reshape(m, n, order="F")
        if m != n:  # otherwise transposes
            yield "a is read column by column, as if it were stored so", read, None
            yield "x is stored column by column", None, written
            yield "a is read and x stored column by column", read, written


def _fitted(known: _Known) -> Iterator[Variant]:
    """A factor on the result, a norm or a coefficient that was not to be expected."""
    claimed, seen, x = known.claimed, known.own, known.x
    factor = claimed.factor(*known.a.shape)
    how = (known.of_aol if seen is known.aol else known.divisors)[0]
    s, y, list_ = seen.s / seen.divisor(how), seen.y / factor, known.claims.rows[0]
    rows = list_.rows[: claimed.steps]

    def near(distance: Any) -> bool:
        """Whether P diag(factor z) V^H is, |z - y| given."""
        return bool(np.hypot(seen.rest, factor * distance) <= known.enough(FITTED) * seen.size)

    f = list_.value(s, claimed.steps)
    multiple = float(f @ y / (f @ f)) if f.any() else 0.0
    if multiple > 0 and abs(multiple - 1) > SLIGHT and near(np.linalg.norm(multiple * f - y)):
        yield Variant("multiple", f"x is {multiple:.4g} times what it should be", {"x": x / multiple})
    if not rows or not near(0):
        return
    few = seen.distinct
    unsure = " (or another number: the singular values of this matrix are too few to tell)"
    times = fits.norm(s, y, rows)
    if near(np.linalg.norm(list_.value(s / times, claimed.steps) - y)):
        norm = Normalization(how.kind, Fraction(times * seen.divisor(how) / seen.norms[how.kind]))
        if abs(times - 1) <= SLIGHT:
            what = f"the norm is wrong by {times - 1:+.2g} of it: computed in a shorter format?"
        else:
            what = (
                f"a was divided by {times:.6g} times its norm: another norm, or that of something else than this matrix"
            )
        what += unsure if few < 2 else ""
        yield Variant("norm", what, claimed=replace(claimed, normalization=norm, eps=0.0))
    alike = len(set(rows)) == 1
    found = [one for one in fits.coefficients(s, y, rows, alike) if near(one[0])] if alike or known.few else []
    for distance, row, power, value in found[: 1 if few > 2 else TRIED]:
        if distance <= 2 * found[0][0] + SAME * seen.size:
            where = f"coefficient {power}" + ("" if row is None else f" of row {row}")
            was = rows[row or 0][power] if power < len(rows[row or 0]) else 0.0
            schedule = fits.changed(claimed.schedule, claimed.steps, row, power, value)
            what = f"{where} is {value:.6g}, not {was:.6g}" + (unsure if few < 3 else "")
            yield Variant(where, what, claimed=replace(claimed, schedule=schedule))


def _formats(known: _Known, precision: Precision, grids: Sequence[str]) -> Iterator[Variant]:
    """Another form or a shorter format: where the error has that size, is spread and leaves the singular directions."""
    a, x, claimed, error = known.a, known.x, known.claimed, known.x - known.reference

    def of_this_size(other: Iteration, low: Precision) -> bool:
        """The unit bounds every rounding: an error of its making scores less than 1, but not nothing."""
        return SEEN <= compare(a, x, other, low, parts=False).forward <= 1

    filled = known.own.rest >= 0.1 * np.linalg.norm(error) and _spread(error, known.reference)
    forms: Any = (("gram", ()), ("gram", (2,)), ("standard", ())) if filled and not grids else ()
    for form, restart in forms:
        other = replace(claimed, form=form, restart=restart)
        if other != claimed and all(step < claimed.steps for step in restart) and of_this_size(other, precision):
            what = f"the error is that of the {form} form" + (" restarted at 2" if restart else "")
            yield Variant(what, f"{what}, not of {claimed.form}", claimed=other, most=1.0)
    for low in grids[:1]:
        judged = compare(a, x, claimed, PRECISIONS[low], parts=False)
        if SEEN <= judged.forward <= 1:
            only = f"accurate to {low} only: somewhere on the way the working precision was {low}"
            key = f"accurate to {low}"
            if judged.decided:
                yield Variant(key, only, precision=PRECISIONS[low], most=1.0)
            else:  # not to be measured in it
                as_large = f"{only}, whose rounding errors may be {judged.noise:.2g} of the result"
                yield Variant(key, as_large, {"x": known.reference})
    for low in ("float32", "float16", "bfloat16") if filled and not grids else ():
        if PRECISIONS[low].eps > precision.eps and of_this_size(claimed, PRECISIONS[low]):
            names = "float16 or tf32" if low == "float16" else low
            like = f"the error is as large as that of rounding to {names}: on the way, or in a (a shift, a ridge)"
            yield Variant(f"error of {low}", like, precision=PRECISIONS[low], most=1.0)


def _grids(x: np.ndarray, precision: Precision) -> list[str]:
    """Shorter formats that hold all entries."""
    found = []
    for low in ("bfloat16", "float16", "float32"):
        if PRECISIONS[low].eps > precision.eps:
            try:
                kept = x.astype("complex64" if np.iscomplexobj(x) else "float32") if low == "float32" else store(x, low)
            except OutsideDomain:
                continue
            if np.array_equal(kept, x):
                found.append(low)
    return found


def _spread(error: np.ndarray, reference: np.ndarray) -> bool:
    """Whether an error is everywhere, where there is something to err by."""
    size = np.abs(error)[np.abs(reference) > 1e-3 * np.max(np.abs(reference))]
    return bool(np.median(size) >= 0.05 * np.sqrt(np.mean(size**2)))


def _lost_eps(claimed: Iteration, precision: Precision) -> Iterator[str]:
    """Why eps did not keep 0/0 away."""
    if not claimed.eps:
        yield "no eps is claimed: zero has to be told apart"
        return
    lost = [
        low.name
        for low in (precision, PRECISIONS["bfloat16"], PRECISIONS["float16"])
        if low.eps >= precision.eps and claimed.eps <= low.tiny / 2
    ]
    yield f"eps {claimed.eps:g} is missing" + (f", or was stored in {lost[0]}, where it is zero" if lost else "")


def _without_conjugates(a: np.ndarray, claimed: Iteration) -> np.ndarray:
    """The iteration with X^T X for X^H X."""
    tall = a if a.shape[0] > a.shape[1] else a.conj().T
    x = normalized(tall, claimed.normalization, claimed.eps, claimed.eps_rule)
    for row in claimed.schedule.steps(claimed.steps):
        c = [float(v) for v in row.numerator]
        g = x.T @ x
        tail = 0 * g
        for v in c[:0:-1]:
            tail = v * g + g @ tail
        x = c[0] * x + x @ tail
    return claimed.factor(*a.shape) * (x if tall is a else x.conj().T)


def _with_values_of(x: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The singular values of x with the singular vectors of the reference."""
    p, _, vh = np.linalg.svd(reference, full_matrices=False)
    return (p * np.linalg.svd(x, compute_uv=False)) @ vh


def _concentrated(error: np.ndarray) -> str:
    """The entry, row or column with nearly all of an error that should be spread, or nothing."""
    squares = np.abs(error) ** 2
    part = squares / squares.sum()
    if min(error.shape) >= 4:
        if part.max() > 0.9:
            return f"entry {tuple(int(i) for i in np.unravel_index(np.argmax(part), part.shape))}"
        for axis, name in ((1, "row"), (0, "column")):
            if part.sum(axis).max() > 0.9:
                return f"{name} {int(np.argmax(part.sum(axis)))}"
    return ""
