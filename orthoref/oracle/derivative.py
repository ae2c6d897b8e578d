"""Rows of derivatives: JVP, VJP and the derivative of the VJP are operations whose inputs are point and (co)tangents.

Unlike a factorization a derivative has no residual: it is compared with the true one. What it may err by is what a
backward error of the point and of the (co)tangents changes it by, equation (DERIVATIVE-UNIT).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from orthoref.oracle.battery import Levels
from orthoref.oracle.fixed import Matrix, ct, rounded
from orthoref.oracle.operation import Data, Measured, Measurement, Variant
from orthoref.oracle.precision import PRECISIONS, Precision, precision_of
from orthoref.oracle.residual import ldexp, norm, ratio

LIMIT = 10.0
KINDS = {
    "vjp": "adjoint of the derivative",
    "jvp": "derivative",
    "vjp_jvp": "derivative of the adjoint along a direction: double backward",
}


def levels_of(kind: str, levels: Levels) -> Levels:
    """Those of a kind: second derivatives, of degree 2 in the directions and -2 in the point, leave the range."""
    if kind != "vjp_jvp":
        return levels
    cotangent = tuple(level for level in levels.cotangent if level not in ("tiny", "huge"))
    return replace(levels, cotangent=cotangent, scale=tuple(x for x in levels.scale if not isinstance(x, str)))


class Truth(NamedTuple):
    """The exact output, ``value 2^exponent``, with what it may err by, both in units of 2^exponent and per matrix.

    ``unit`` is what a backward error changes it by, infinite where there is no derivative; ``reach`` is the largest
    size of the output that inputs of this size can have.
    """

    value: Matrix
    exponent: np.ndarray
    unit: np.ndarray
    reach: np.ndarray


Truths = Callable[[Mapping[str, np.ndarray], Any, Precision], Sequence[Mapping[str, Truth]]]


def text(name: str) -> str:
    """How an output is written in a check."""
    return f"|{name} - exact|"


def measure(
    truths: Truths, unit: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision, limit: float
) -> Measured:
    """Errors in units of what a backward error changes; of several true results the nearest one counts.

    A matrix is judged where the largest accepted error is at most half of the result; where the result is zero to
    rounding (a cotangent that the derivative maps to zero), half of what it could be.
    """
    point = next(iter(inputs.values())).value
    batch = point.shape[:-2]
    if not point.size:
        return Measured([], np.zeros(batch, bool))
    branches = truths({name: x.value for name, x in inputs.items()}, claimed, precision)
    judged, measurements, notes, faults = np.ones(batch, bool), [], [], []
    for name, x in outputs.items():
        if name not in branches[0]:
            faults.append(f"{name} is there, but not claimed: {', '.join(branches[0])}")
            continue
        scores = np.stack([_score(branch[name], x.value, precision) for branch in branches])
        nearest = np.argmin(np.where(np.isnan(scores), np.inf, scores), axis=0)[None]
        truth = branches[0][name]
        size = norm(rounded(truth.value))
        most = limit * truth.unit
        decided = (most <= size / 2) | ((size <= truth.unit) & (most <= truth.reach / 2))
        with np.errstate(all="ignore"):
            inside = size <= np.ldexp(precision.largest, -truth.exponent)[..., 0, 0]
        known = np.isfinite(truth.unit) & inside
        judged &= decided & known
        if not known.all():
            why = "no derivative there" if inside.all() else f"{name} is out of range"
            notes.append(f"{np.sum(~known)} of {known.size} not judged: {why} in {precision.name}")
        if (open_ := known & ~decided).any():
            i = int(np.argmax(open_))
            said = f"{float((truth.unit / size).flat[i]):.2g} of {name}" if size.flat[i] else f"all of {name}"
            notes.append(
                f"{np.sum(open_)} of {open_.size} not judged: a backward error in {precision.name} changes {said}"
            )
        score = np.where(known, np.take_along_axis(scores, nearest, axis=0)[0], 0.0)
        grid = _grid(truth, x.value, precision)
        relative = (truth.unit + grid) / np.where(size > 0, size, 1.0)
        measurements.append(Measurement(name, f"{text(name)} / ({unit})", score, limit, np.where(known, relative, 1.0)))
    return Measured(measurements, judged, list(dict.fromkeys(notes)), faults)


def _score(truth: Truth, x: np.ndarray, precision: Precision) -> np.ndarray:
    scaled = ldexp(x, -truth.exponent)
    high = rounded(truth.value)
    low = rounded(truth.value - high)
    return ratio(norm((scaled - high) - low), truth.unit + _grid(truth, x, precision))


def _grid(truth: Truth, x: np.ndarray, precision: Precision) -> np.ndarray:
    """Entries below the smallest normal number lie on the subnormal grid."""
    return np.asarray(np.sqrt(x.shape[-1] * x.shape[-2]) * np.ldexp(precision.tiny, -truth.exponent)[..., 0, 0])


def overflow(truths: Truths, inputs: Data, claimed: Any) -> str:
    """Why a port may raise where its result is out of range, or nothing."""
    precision = precision_of(next(iter(inputs.values())).dtype or "float64")
    with np.errstate(all="ignore"):
        found = truths({name: x.value for name, x in inputs.items()}, claimed, PRECISIONS["float32"])[0]
    for name, truth in found.items():
        with np.errstate(all="ignore"):
            largest = np.ldexp(precision.largest, -truth.exponent)[..., 0, 0]
        if not np.all(np.maximum(norm(rounded(truth.value)), truth.reach) <= largest):  # or its terms are
            return f"not judged: {name} is out of range in {precision.name}"
    return ""


def operator_norm(apply: Callable[[np.ndarray], np.ndarray], like: np.ndarray, adjoint: Any = None) -> np.ndarray:
    """Largest stretching of a real-linear map of matrices, per member of the stack: four steps of the power method.

    ``adjoint`` is that of ``apply``, which is its own if left out. From a random start the estimate is a lower bound
    that is seldom below half of the truth.
    """
    random = np.random.RandomState(0)
    x = random.standard_normal(like.shape) + (1j * random.standard_normal(like.shape) if np.iscomplexobj(like) else 0)
    found = np.zeros(like.shape[:-2])
    for _ in range(4):
        x = x / norm(x)[..., None, None]
        y = apply(x)
        found = np.fmax(found, norm(y))
        x = y if adjoint is None else adjoint(y)
        x = np.where((norm(x) > 0)[..., None, None], x, 1.0)
    return found


# Reasons --------------------------------------------------------------------------------------------------------------

Mistake = tuple[str, Any]  # what it is, and the output that it makes, in the units of the truth
MULTIPLES = {-1.0: "the wrong sign", 2.0: "twice", 0.5: "half", -2.0: "minus twice", -0.5: "minus half"}


def undone(outputs: Data, name: str, truth: Truth, mistakes: Iterable[Mistake]) -> Iterator[Variant]:
    """Each mistake as the difference that it makes, taken out of the output, if that is most of the error."""
    x, value = outputs[name].value, rounded(truth.value)
    scaled = ldexp(x, -truth.exponent)
    half = norm(scaled - value) / 2
    for said, made in mistakes:
        if np.shape(made) == value.shape and not np.any(norm(scaled - made) > half):  # measuring takes longer
            right = x - ldexp(np.asarray(made) - value, truth.exponent)
            if np.iscomplexobj(x) or not np.iscomplexobj(right):
                others = {other: each.value for other, each in outputs.items()}
                yield Variant(said, said, others | {name: right})


def multiples(name: str, truth: Truth, bar: np.ndarray | None) -> Iterator[Mistake]:
    """What every derivative can be wrong by."""
    value = rounded(truth.value)
    yield f"{name} is zero", 0 * value
    for factor, words in MULTIPLES.items():
        yield (
            f"{name} is {words} of what it should be" if factor != -1 else f"{name} has the wrong sign",
            factor * value,
        )
    if np.iscomplexobj(value):
        yield f"{name} is conjugated: the gradient convention of JAX", np.conj(value)
    if value.shape[-2] == value.shape[-1]:
        yield f"{name} is transposed", np.swapaxes(value, -2, -1)
        if np.iscomplexobj(value):
            yield f"{name} is conjugate-transposed", ct(value)
    if bar is not None and bar.any():
        length = float(np.max(np.abs(bar)) * np.linalg.norm(bar / np.max(np.abs(bar))))  # squares may underflow
        of = "direction" if name in ("u_dot", "h_dot", "x_dot") else "cotangent"
        yield f"{name} does not depend on the length of its {of}", value / length
        yield f"straight-through: {name} is the {of} itself", ldexp(bar, -truth.exponent)


def shorter(error: np.ndarray, value: np.ndarray, precision: Precision, unit: float) -> Iterator[Variant]:
    """Formats whose rounding, ``unit`` times eps, is of the size of the error, which is spread as such errors are."""
    size, most = float(norm(error)), float(np.max(np.abs(error)))
    along = abs(float(np.sum(np.conj(value) * error).real))
    single = error.size > 3 and (most > 0.95 * size or along > 0.9 * float(norm(value)) * size)
    if size > 0.05 * float(norm(value)):
        return  # no rounding
    for low in ("float32", "tf32", "float16", "bfloat16"):
        eps = PRECISIONS[low].eps
        if single and (low != "float32" or size > 64 * eps * float(norm(value))):
            continue  # a single entry, or a multiple of what is right: a norm in float32 at most
        if eps > 8 * precision.eps and 1e-4 <= size / (unit * eps) <= 1:
            said = f"accurate to {low} only: somewhere on the way the working precision was {low} or the like"
            yield Variant(f"accurate to {low}", said, precision=PRECISIONS[low])
