"""Why a result is not the claimed iteration: known mistakes are undone one at a time until the ratio accepts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Literal

import numpy as np

from orthoref._newton_schulz.normalization import normalized
from orthoref._schedules import presets
from orthoref._schedules.schedule import Normalization
from orthoref.oracle.newton_schulz.claim import UPDATE_SCALES, Iteration, run
from orthoref.oracle.newton_schulz.ratios import compare, fills
from orthoref.oracle.operation import Data, Variant
from orthoref.oracle.precision import PRECISIONS, Precision

SLIGHT = 2.0**-9  # relative: what a rounding to bfloat16 changes


def variants(
    inputs: Data, outputs: Data, claimed: Iteration, precision: Precision, failed: Mapping[str, float]
) -> Iterator[Variant]:
    """Known mistakes of one matrix, undone; where the right result is all that can be put in place, it is."""
    a, x = inputs["a"].value, outputs["x"].value
    reference = claimed.factor(*a.shape) * run(a, claimed)
    right = {"x": reference}
    if not x.any():
        yield Variant("zero", "x is zero", right)
    if np.max(np.abs(x - a)) <= SLIGHT * np.max(np.abs(x)) < np.inf:
        same = "x equals a: the input was returned, or overwritten with the result (judge a copy made before the call)"
        yield Variant("x equals a", same, right)
    for reason, undone in _undone(x):
        yield Variant(reason, reason, {"x": undone})
    for reason, other in _alternatives(claimed):
        yield Variant(reason, reason, claimed=other, rival=True)
    weight = float(np.vdot(reference, reference).real)
    multiple = float(np.vdot(reference, x).real) / weight if weight else 0.0
    if multiple > 0 and abs(multiple - 1) > SLIGHT:
        known = [s for s, of in UPDATE_SCALES.items() if abs(of(*a.shape) / multiple - 1) < 0.01]
        named = f": the update scale {known[0]}" if known else ""
        yield Variant("multiple" + named, f"x is {multiple:.4g} times what it should be{named}", {"x": x / multiple})
    if np.iscomplexobj(a) and np.linalg.norm(x - _without_conjugates(a, claimed)) <= 0.1 * np.linalg.norm(
        x - reference
    ):
        yield Variant("lost conjugate", "X X^T was computed in place of X X^H: a conjugate was lost", right)
    times = _other_norm(a, x, claimed)
    norm = Normalization(claimed.normalization.kind, claimed.normalization.factor * Fraction(times))
    if abs(times - 1) <= SLIGHT:
        what = f"the norm is wrong by {times - 1:+.2g} of it: computed in a shorter format?"
    else:
        what = f"a was divided by {times:.6g} times its norm: another norm, or that of something else than this matrix"
    yield Variant("norm", what, claimed=replace(claimed, normalization=norm))
    where = _concentrated(x - reference)
    if where:
        yield Variant("concentrated", f"the error sits in {where}", right)
    if fills(a, x, claimed):
        for low in ("float32", "float16", "bfloat16"):
            if PRECISIONS[low].eps > precision.eps and compare(a, x, claimed, PRECISIONS[low]).forward <= 1:
                # the unit bounds every rounding: a result in this format scores less than 1
                only = f"accurate to {low} only: somewhere on the way the working precision was {low}"
                yield Variant(f"accurate to {low}", only, precision=PRECISIONS[low])


def describe(
    inputs: Data, outputs: Data, claimed: Iteration, precision: Precision, failed: Mapping[str, float]
) -> list[str]:
    """What is seen of one matrix whose result fails."""
    a, x = inputs["a"].value, outputs["x"].value
    largest = float(np.max(np.abs(a), initial=0.0))
    squared = largest > (precision.largest / a.size) ** 0.5
    found = [f"|a|^2 overflows {precision.name}: a norm has to scale before it squares"] if squared else []
    if not failed:
        return found
    if min(a.shape) > 2 and not fills(a, x, claimed):
        found.append("right singular vectors, wrong singular values: a coefficient or a row differs")
    if failed.get("direction", 0.0) > 1:
        found.append("a singular direction has changed its sign")
    return [*found, "x is not this iteration, and none of the known variants of it"]


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


def _other_norm(a: np.ndarray, x: np.ndarray, claimed: Iteration) -> float:
    """The c for which f(a/(c |a|)) is nearest to x in its singular values."""
    tall, y = (a, x) if a.shape[0] > a.shape[1] else (a.conj().T, x.conj().T)
    x0 = normalized(tall, claimed.normalization, claimed.eps, claimed.eps_rule)
    p, s, vh = np.linalg.svd(x0, full_matrices=False)
    seen = np.real(np.einsum("ij,ik,jk->j", p.conj(), y, vh.conj())) / claimed.factor(*a.shape)
    best, width = 1.0, 64.0
    while width > 1 + 2.0**-50:
        found = best * width ** np.linspace(-1, 1, 401)
        moved = s / found[:, None]
        for row in claimed.schedule.steps(claimed.steps):
            moved = row(moved)
        error = np.sum((moved - seen) ** 2, axis=1)
        best = float(found[np.argmin(np.where(np.isfinite(error), error, np.inf))])
        width **= 1 / 50
    return best


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


def _undone(x: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    yield "x has the wrong sign", -x
    if x.shape[0] == x.shape[1]:
        yield "rows and columns are swapped: x is the transpose of the result", x.T
        if np.iscomplexobj(x):
            yield "x is the conjugate transpose of the result", x.conj().T
    if np.iscomplexobj(x):
        yield "x is conjugated: a conjugate was lost or is too many", x.conj()


def _alternatives(claimed: Iteration) -> Iterator[tuple[str, Iteration]]:
    schedule, how = claimed.schedule, claimed.normalization
    if how.factor != 1:
        without = replace(claimed, normalization=Normalization(how.kind))
        yield f"the norm was not multiplied by {float(how.factor):.10g}", without
    for factor in ("1.01", "1.02", "1.05"):
        if how.factor != Fraction(factor):
            yield (
                f"the norm was multiplied by {factor}",
                replace(claimed, normalization=Normalization(how.kind, Fraction(factor))),
            )
    for factor in ("1.01", "1.02", "1.05"):
        for last in (True, False):
            rows = "every row" if last else "every row but the last"
            plain = schedule.scaled(1 / Fraction(factor), last=last)
            yield (
                f"this is the schedule without its safety factor {factor} (in {rows})",
                replace(claimed, schedule=plain),
            )
            safe = schedule.scaled(factor, last=last)
            yield f"this is the schedule with a safety factor {factor} (in {rows})", replace(claimed, schedule=safe)
    for steps in (claimed.steps - 1, claimed.steps + 1):
        if steps >= 0:
            yield f"{steps} steps were taken, not {claimed.steps}", replace(claimed, steps=steps)
    if claimed.steps > len(schedule.rows):
        for past in ("repeat", "cycle"):
            if past != schedule.past:
                after = "repeats the last row" if past == "repeat" else "cycles"
                yield f"past its last row the port {after}", replace(claimed, schedule=replace(schedule, past=past))
    for kind in ("frobenius", "schatten4", "spectral", "aol", "none"):
        if kind != how.kind:
            before = ", or a had been normalized in place" if kind == "none" else ""
            yield f"the normalization is {kind}, not {how}{before}", replace(claimed, normalization=Normalization(kind))
    for name in presets.names():
        other = presets.get(name)
        if other.name != schedule.name:
            for steps in {claimed.steps, other.default_steps}:
                yield (
                    f"these are the coefficients of {name}, {steps} steps",
                    replace(claimed, schedule=other, steps=steps),
                )
    if claimed.eps:
        yield "eps is missing", replace(claimed, eps=0.0)
        rule: Literal["add", "clamp"] = "clamp" if claimed.eps_rule == "add" else "add"
        yield f"eps goes into the norm by {rule!r}, not {claimed.eps_rule!r}", replace(claimed, eps_rule=rule)
    else:
        for eps in (1e-7, 1e-8, 1e-6, 1e-15):
            yield f"an eps of {eps:g} is added to the norm", replace(claimed, eps=eps)
