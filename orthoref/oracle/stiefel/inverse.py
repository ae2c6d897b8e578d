"""Inverse retractions and logarithms: a tangent V is judged by where it leads, R(X, V) = Y."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from math import pi, sqrt
from typing import Any

import numpy as np

from orthoref.oracle.derivative import Mistake, Truth, undone
from orthoref.oracle.fixed import rounded
from orthoref.oracle.operation import Check, Data, Measured, Measurement, Variant
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import ct, inner, norm, ratio
from orthoref.oracle.stiefel import truth as exact
from orthoref.oracle.stiefel.ratios import judgeable, made_safe, truths
from orthoref.oracle.stiefel.truth import gradient, herm, project

FORWARD = {
    "stiefel.inverse_retract_qr": "stiefel.retract_qr",
    "stiefel.inverse_retract_polar": "stiefel.retract_polar",
    "stiefel.inverse_retract_cayley": "stiefel.retract_cayley",
    "stiefel.log": "stiefel.exp",
}
MAPS: dict[str, Callable[..., Any]] = {
    "the inverse of the QR retraction": exact.qr,
    "the inverse of the polar retraction": exact.polar,
    "the inverse of the Cayley retraction": exact.cayley,
    "the logarithm of the Euclidean metric": partial(exact.exp, c=1.0),
    "the logarithm of the canonical metric": partial(exact.exp, c=0.5),
}
OWN = {name: own for name, own in zip(FORWARD, MAPS, strict=False) if name != "stiefel.log"}
CHECKS = (
    Check("there", "|R(X, V) - Y|"),
    Check("tangent", "|herm(X^H V)|"),
    Check("shortest", "|V|", "bound of the injectivity radius", limit=1.0),
)
ITERATIONS = 200


def measure(name: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision, limit: float) -> Measured:
    """(SR-INVERSE) where V leads, in units of the retraction's; (SR-INVERSE-TANGENT) e (1 + |V|)^2; length of a log."""
    good, note = judgeable(name, inputs, precision)
    if not good.any():
        return Measured([], good, [f"not judged: {note}"] if note else [])
    safe = made_safe(inputs, good)
    x, y, v = safe["x"].value, np.where(good[..., None, None], inputs["y"].value, safe["x"].value), outputs["v"].value
    finite = np.all(np.isfinite(v), axis=(-2, -1))
    tame = np.where(finite[..., None, None] & (norm(v) < 1e6)[..., None, None], v, 0.0)
    p, n = x.shape[-1], x.shape[-2]
    e = precision.growth(p, n) * precision.eps
    truth = truths(FORWARD[name], {"x": x, "v": project(x, tame)}, claimed, precision)[0]["y"]
    off = norm(inner(y, y) - np.eye(p))
    unit = truth.unit + (e + off) * np.sqrt(p)
    error = np.where(norm(v) < 1e6, norm(rounded(truth.value - y)), np.where(finite, np.inf, np.nan))
    size = e * (1 + norm(v)) ** 2
    measurements = [
        Measurement("there", "|R(X, V) - Y| / (unit of R + n eps |Y|)", ratio(error, unit), limit, unit, False),
        Measurement("tangent", "|herm(X^H V)| / (n eps (1 + |V|)^2)", ratio(norm(herm(inner(x, v))), size), limit, size,
                    False),
    ]  # fmt: skip
    if name == "stiefel.log":
        a = norm(inner(x, v))
        length = np.sqrt(np.maximum(norm(v) ** 2 - (1 - claimed.c) * a**2, 0.0))
        radius = reach(x, claimed.c) * (1 + limit * e)  # of two that are equally long either will do
        measurements.append(Measurement("shortest", f"|V| / ({radius:.3g})", length / radius, 1.0, radius, False))
    notes = [f"{np.sum(~good)} of {good.size} not judged: {note}"] if note else []
    kept = [m.__class__(**(m.__dict__ | {"ratio": np.where(good, m.ratio, 0.0)})) for m in measurements]
    return Measured(kept, good & np.full(good.shape, v.size > 0), notes)


def reach(x: np.ndarray, c: float) -> float:
    """(SR-REACH) what the injectivity radius is at most, or is known to be at least."""
    n, p = x.shape[-2:]
    found = [1.0] if p < n else []
    if np.iscomplexobj(x):
        found.append(sqrt(c))
    elif p > 1:
        found.append(sqrt(2 * c))
        found += [sqrt(0.8)] if c == 0.5 and p < n else []
    return pi * min(found, default=1.0)


def solved(map_: Callable[..., Any], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """V with R(X, V) = Y in float64: V <- V + P_X(Y - R(X, V)), since the derivative of R is near the identity."""
    v = project(x, y - x)
    for _ in range(ITERATIONS):
        step = project(x, y - map_(x, v))
        v = v + step
        if not norm(step) > 1e-15 * norm(v):
            break
    return v


def variants(name: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision,
             failed: Mapping[str, float]) -> Iterator[Variant]:  # fmt: skip
    """Known mistakes of one member."""
    x, y = inputs["x"].value, inputs["y"].value
    own = OWN.get(name, f"the logarithm of the {str(claimed.metric).title()} metric" if name == "stiefel.log" else "")
    map_ = partial(exact.exp, c=claimed.c) if name == "stiefel.log" else MAPS[own]
    v = solved(map_, x, y)
    if not norm(project(x, map_(x, v) - y)) <= 1e-10:  # what is normal is the rounding of Y
        return
    e = precision.growth(x.shape[-1]) * PRECISIONS["float32"].eps
    truth = Truth(v, np.zeros((1, 1), int), np.asarray(e), norm(v))
    yield from undone(outputs, "v", truth, _mistakes(name, own, claimed, x, y, v))


def _mistakes(name: str, own: str, claimed: Any, x: np.ndarray, y: np.ndarray, v: np.ndarray) -> Iterator[Mistake]:
    flat = y - x
    yield "V is Y - X, not tangent", flat
    yield (
        "V is P_X(Y - X): that leads to Y to first order only (the inverse of the orthographic retraction)",
        project(x, flat),
    )
    yield "V is Y - X Y^H X, the canonical gradient map of Y", gradient(x, y, 0.5)
    yield "V has the wrong sign", -v
    yield "V is twice too long", 2 * v
    yield "V is half of what it should be", v / 2
    a = x @ (ct(x) @ v)
    yield "the component X^H V is doubled", v + a
    yield "the component X^H V is lost", v - a
    yield "the component X^H V is halved", v - a / 2
    yield "the part outside the range of X is lost: exact for p = n only", a
    if np.iscomplexobj(x):
        yield "a conjugate is missing: right for real, wrong for complex (V is conjugated)", np.conj(v)
    for words, map_ in MAPS.items():
        if words.lower() != own.lower():
            yield f"this is {words}, not {own}", solved(map_, x, y)
    map_ = partial(exact.exp, c=claimed.c) if name == "stiefel.log" else MAPS[own]
    yield "X and Y are exchanged: it is tangent at Y and leads to X", solved(map_, y, x)


def describe(name: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision,
             failed: Mapping[str, float]) -> list[str]:  # fmt: skip
    """Whether V is tangent, how far from Y it leads."""
    if not failed:
        return []
    x, y, v = inputs["x"].value, inputs["y"].value, outputs["v"].value
    said = []
    if "tangent" in failed:
        inside = norm(herm(inner(x, v))) / max(float(norm(v)), 1e-300)
        said.append(f"V is not tangent: |herm(X^H V)| = {float(inside):.2g} |V|")
    if "there" in failed and norm(v) < 1e6:
        map_ = partial(exact.exp, c=claimed.c) if name == "stiefel.log" else MAPS[OWN[name]]
        said.append(f"V leads elsewhere: |R(X, V) - Y| = {float(norm(map_(x, project(x, v)) - y)):.2g}")
    if "shortest" in failed:
        said.append("V is beyond the injectivity radius: another tangent that leads to Y is shorter, or may be")
    return said
