"""What only several calls of a retraction show: its derivative at zero, and its order."""

from __future__ import annotations

from collections.abc import Iterator
from math import log2
from typing import Any

import numpy as np

from orthoref.oracle.cases import Case, cotangent
from orthoref.oracle.lift import lift
from orthoref.oracle.operation import Law
from orthoref.oracle.precision import precision_of
from orthoref.oracle.residual import ct, norm
from orthoref.oracle.run import Run
from orthoref.oracle.stiefel import truth
from orthoref.oracle.stiefel.claim import METRICS

STEP = {"float64": (2.0**-7, 2.0**-9), "float32": (2.0**-2, 2.0**-4)}  # (SR-SLOPE)
WINDOW = {"float64": 0.1, "float32": 0.5}  # what terms of higher order, and rounding, may take off a slope


def called(run: Run, x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """R(X, V) of the port, on X^H X = I."""
    c = run.claimed.scale
    arrays = ((name, (c * y).astype(y.dtype)) for name, y in (("x", x), ("v", v)))
    given = {name: y if run.convert is None else run.convert(y) for name, y in arrays}
    before = {name: lift(name, y) for name, y in given.items()}
    return run.call(given, before).outputs["y"].value / c


def _direction(case: Case, c: float) -> tuple[np.ndarray, np.ndarray, str]:
    x = case.matrix()
    x = (x / c).astype(x.dtype)
    seed = dict(case.calls[0][1].options).get("seed", 0)
    v = cotangent(x, like="tangent", seed=seed + 11, dtype=case.dtype)
    return x, v, "float32" if case.dtype in ("float32", "complex64") else "float64"


def _distances(run: Run, case: Case, c: float) -> tuple[list[np.ndarray], np.ndarray, tuple[float, float]]:
    """|R(X, t V) - Exp(X, t V)| for two steps, and what rounding makes of it."""
    x, v, format_ = _direction(case, run.claimed.scale)
    wide = np.complex128 if np.iscomplexobj(x) else np.float64
    steps, found = STEP[format_], []
    for t in steps:
        tv = (t * v).astype(x.dtype)
        found.append(norm(called(run, x, tv) - truth.exp(x.astype(wide), tv.astype(wide), c)))
    precision, (n, p) = precision_of(case.dtype), x.shape[-2:]
    noise = run.limit * precision.growth(p, n) * precision.eps * np.sqrt(p) * np.ones(x.shape[:-2])
    return found, noise, steps


def slope(run: Run, case: Case, c: float) -> float:
    """Of the distance to the geodesic, the smallest of a stack; infinite where it is rounding."""
    (far, near), noise, (s, t) = _distances(run, case, c)
    with np.errstate(all="ignore"):
        slopes = np.where(near <= noise, np.inf, np.log2(far / near) / log2(s / t))
    return float(np.min(slopes, initial=np.inf)) if not np.isnan(slopes).any() else np.nan


def first_order(run: Run, case: Case, other: Case) -> str:
    """R(X, t V) = X + t V + O(t^2)."""
    found = slope(run, case, run.claimed.c)
    least = 2 - WINDOW[_direction(case, run.claimed.scale)[2]]
    if found >= least:
        return ""
    return f"R(X, t V) leaves the curve X + t V like t^{found:.2f}, not t^2{_derivative(run, case)}"


def second_order(run: Run, case: Case, other: Case) -> str:
    """R(X, t V) = Exp(X, t V) + O(t^3), if that is claimed."""
    if run.claimed.order < 2:
        return ""
    least = 3 - WINDOW[_direction(case, run.claimed.scale)[2]]
    found = slope(run, case, run.claimed.c)
    if found >= least:
        return ""
    others = [name for name, c in METRICS.items() if c != run.claimed.c and slope(run, case, c) >= least]
    also = f"; it is second order for the {others[0]} metric" if others else ""
    return (
        f"|R(X, t V) - Exp(X, t V)| falls like t^{found:.2f}, not t^3, for the {run.claimed.metric} metric: "
        f"first order only{also}"
    )


def _candidates(x: np.ndarray, v: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    a = x @ (ct(x) @ v)
    yield "V + X X^H V: P_X is missing, or the canonical gradient map is in it", v + a
    yield "V - X X^H V: the component X^H V is lost", v - a
    yield "X X^H V: exact for p = n only", a
    yield "V - X X^H V/2", v - a / 2
    yield "V - 2 X X^H V: the sign of X^H V is wrong", v - 2 * a
    yield "zero: it does not move", 0 * v
    yield "conj V: a conjugate is missing, right for real, wrong for complex", np.conj(v)
    for words, factor in (
        ("-V: the sign of the step is wrong", -1),
        ("2 V", 2),
        ("V/2", 0.5),
        ("-2 V", -2),
        ("-V/2", -0.5),
    ):
        yield words, factor * v


def _derivative(run: Run, case: Case) -> str:
    """What the derivative at zero is in place of V, if that can be told."""
    x, v, format_ = _direction(case, run.claimed.scale)
    h, close = (2.0**-20, 1e-4) if format_ == "float64" else (2.0**-8, 3e-2)
    start = called(run, x, 0 * v)
    if np.any(norm(start - x) > 1e-3):
        return f": R(X, 0) differs from X by {np.max(norm(start - x)):.2g}"
    moved: Any = (called(run, x, (h * v).astype(x.dtype)) - start) / h
    for words, made in _candidates(x.astype(moved.dtype), v.astype(moved.dtype)):
        if np.all(norm(moved - made) <= close * norm(v)):
            return f": the derivative at zero is {words}: not a retraction"
    return ": the derivative at zero is not V: not a retraction"


RETRACTION = (
    Law("first order", "the derivative at zero is the identity", "steps", first_order),
    Law("second order", "it agrees with the geodesic to second order", "steps", second_order),
)
