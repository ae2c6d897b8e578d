"""Exact results on the Stiefel manifold, and what a backward error changes of them: docs/derivations/stiefel_ratios."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import sqrt
from typing import Any

import numpy as np

from orthoref.oracle.derivative import Truth
from orthoref.oracle.operation import Data
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import ct, inner, norm, spectral_norm
from orthoref.oracle.stiefel import truth as exact_
from orthoref.oracle.stiefel.truth import lifted, scaled, skew

Values = Mapping[str, np.ndarray]
FAR = 100.0  # units of e by which a point or a tangent may miss its equation and still be judged
PADE = 4.0  # the limit times this is what the usual algorithms lose, per unit of the exponent: (SR-EXP-ERROR)
TANGENT = ("v", "w")  # inputs that are tangent where a map needs it
FREE = ("stiefel.project",)  # maps that need no tangent


def defects(name: str, values: Values) -> tuple[np.ndarray, np.ndarray]:
    """(SR-DEFECT) |X^H X - I| and the largest |herm(X^H V)|/|V| of what has to be tangent."""
    x = values["x"]
    p = x.shape[-1]
    off = norm(inner(x, x) - np.eye(p))
    out = np.zeros(x.shape[:-2])
    for each in TANGENT:
        if each in values and name not in FREE:
            v = scaled(values[each])[0]
            size = norm(v)
            out = np.maximum(out, norm(exact_.herm(inner(x, v))) / np.where(size > 0, size, 1.0))
    return off, out


def judgeable(name: str, inputs: Data, precision: Precision) -> tuple[np.ndarray, str]:
    """Which members of a stack are points with tangents, and why others are not."""
    values = {each: x.value for each, x in inputs.items()}
    x = values["x"]
    if x.shape[-2] < x.shape[-1]:
        return np.zeros(x.shape[:-2], bool), f"x of shape {x.shape[-2]} x {x.shape[-1]} has no orthonormal columns"
    off, out = defects(name, values)
    e = precision.growth(x.shape[-1], x.shape[-2]) * precision.eps
    point, tangent = off <= FAR * e, out <= FAR * e
    if not point.all():
        return point & tangent, f"x is not on the manifold: |X^H X - I| = {np.max(off):.2g}"
    if not tangent.all():
        return tangent, f"v is not tangent: |herm(X^H V)| = {np.max(out):.2g} |V|"
    return point, ""


def made_safe(inputs: Data, good: np.ndarray) -> dict[str, Any]:
    """The inputs with I in place of a point that is none, and no tangent there."""
    found = {}
    for each, x in inputs.items():
        plain = np.eye(*x.value.shape[-2:]) if each == "x" else np.zeros(x.value.shape[-2:])
        found[each] = x._replace(value=np.where(good[..., None, None], x.value, plain))
    return found


def truths(name: str, values: Values, claimed: Any, precision: Precision) -> list[dict[str, Truth]]:
    """The exact output of an operation, with its unit; the point and the tangents are taken as they are given."""
    exact = precision.eps <= PRECISIONS["float64"].eps
    x = values["x"]
    p = x.shape[-1]
    off, out = defects(name, values)
    e = precision.growth(p, x.shape[-2]) * precision.eps + off + out
    return [{OUTPUT[name]: TRUTHS[name](values, claimed.c, exact, e)}]


def _project(values: Values, c: float, exact: bool, e: np.ndarray) -> Truth:
    """(SR-UNIT-PROJECT) e |V|."""
    v, exponent = scaled(values["v"])
    value = exact_.project(lifted(values["x"], exact), lifted(v, exact))
    return Truth(value, exponent, e * norm(v), norm(v))


def _gradient(values: Values, c: float, exact: bool, e: np.ndarray) -> Truth:
    """(SR-UNIT-GRADIENT) e |G| max(1, 1/c)."""
    g, exponent = scaled(values["egrad"])
    value = exact_.gradient(lifted(values["x"], exact), lifted(g, exact), c)
    size = norm(g) * max(1.0, 1 / c)
    return Truth(value, exponent, e * size, size)


def _hessian(values: Values, c: float, exact: bool, e: np.ndarray) -> Truth:
    """(SR-UNIT-HESSIAN) e (|H| + (1 + 2 |1 - c|) |G| |V|) max(1, 1/c)."""
    arrays = [values[each] for each in ("x", "egrad", "ehess", "v")]
    x, egrad, ehess, along = (lifted(each, exact) for each in arrays)
    value = exact_.hessian(x, egrad, ehess, along, c)
    g, h, v = (norm(each) for each in arrays[1:])
    size = (h + (1 + 2 * abs(1 - c)) * g * v) * max(1.0, 1 / c)
    return Truth(value, _none(v), e * size, size)


def _by_sum(map_: Callable[[Any, Any], Any], factor: float, values: Values, c: float, exact: bool,
            e: np.ndarray) -> Truth:  # fmt: skip
    """(SR-UNIT-QR) sqrt(2) e |A|/s_p and (SR-UNIT-POLAR) e |A|/s_p, A = X + V."""
    x, v = values["x"], values["v"]
    a = x + v
    smallest = np.linalg.svd(a, compute_uv=False)[..., -1] if a.size else np.ones(a.shape[:-2])
    value = map_(lifted(x, exact), lifted(v, exact))
    return Truth(value, _none(smallest), e * factor * norm(a) / smallest, np.full(smallest.shape, sqrt(x.shape[-1])))


def _cayley(values: Values, c: float, exact: bool, e: np.ndarray) -> Truth:
    """(SR-UNIT-CAYLEY) e (|2 X + Z| + 2 |M|) |M^-1|_2, M = I - A/2 + Z^H Z/4."""
    x, v = values["x"], values["v"]
    inside = inner(x, v)
    outside = v - x @ inside
    m = np.eye(x.shape[-1]) - skew(inside) / 2 + inner(outside, outside) / 4
    value = exact_.cayley(lifted(x, exact), lifted(v, exact))
    changed = (norm(2 * x + outside) + 2 * norm(m)) * spectral_norm(np.linalg.inv(m))
    return Truth(value, _none(changed), e * changed, np.full(changed.shape, sqrt(x.shape[-1])))


def _exp(values: Values, c: float, exact: bool, e: np.ndarray) -> Truth:
    """(SR-UNIT-EXP) e (sqrt(p) + 4 (4 c^2 |A|^2 + 2 |Z|^2)^1/2 + 4 |1 - 2 c| |A|)."""
    x, v = values["x"], values["v"]
    inside = inner(x, v)
    a, z = norm(inside), norm(v - x @ inside)
    value = exact_.exp(lifted(x, exact), lifted(v, exact), c)
    root = sqrt(x.shape[-1])
    changed = root + PADE * (np.sqrt((2 * c * a) ** 2 + 2 * z**2) + abs(1 - 2 * c) * a)
    return Truth(value, _none(a), e * changed, np.full(a.shape, root))


def _sum_of(values: Values) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """|A|, s_p of A = X + V, and |W|."""
    a = values["x"] + values["v"]
    smallest = np.linalg.svd(a, compute_uv=False)[..., -1] if a.size else np.ones(a.shape[:-2])
    return norm(a), smallest, norm(values["w"])


def _arithmetic(values: Values, exact: bool) -> list[Any]:
    return [lifted(values[each], exact) for each in ("x", "v", "w")]


def _transport_by_sum(map_: Callable[..., Any], one: float, two: float, values: Values, c: float, exact: bool,
                      e: np.ndarray) -> Truth:  # fmt: skip
    """(SR-UNIT-TRANSPORT) e |W| (k_1/s_p + k_2 |A|/s_p^2), A = X + V: k = sqrt(2), 9 for QR and 1, 7 for polar."""
    size, smallest, w = _sum_of(values)
    changed = w * (one / smallest + two * size / smallest**2)
    return Truth(map_(*_arithmetic(values, exact)), _none(w), e * changed, w * one / smallest)


def _transport_cayley(values: Values, c: float, exact: bool, e: np.ndarray) -> Truth:
    """(SR-UNIT-TRANSPORT-CAYLEY) of both solutions with M."""
    x, v, w = values["x"], values["v"], norm(values["w"])
    _, m, over, outside = exact_.cayley_parts(x, v)
    inverse, size = spectral_norm(over), norm(m)
    sum_ = (norm(2 * x + outside) + 2 * size) * inverse
    dm = w * (0.5 + spectral_norm(outside) / 2)
    changed = (w + sum_ * dm + 2 * dm + (w + 2 * dm) * size * inverse) * inverse
    return Truth(exact_.transport_cayley(*_arithmetic(values, exact)), _none(w), e * changed, 2 * w)


def _transport_isometric(values: Values, c: float, exact: bool, e: np.ndarray) -> Truth:
    """(SR-UNIT-TRANSPORT-ISOMETRIC) e |W| (1 + |L|_2^2 |K^-1|_2 (1 + |K| |K^-1|_2)), K = I - R^H L/2."""
    x, v, w = values["x"], values["v"], norm(values["w"])
    pv = v - x @ inner(x, v) / 2
    left, right = np.concatenate([pv, x], axis=-1), np.concatenate([x, -pv], axis=-1)
    k = np.eye(2 * x.shape[-1]) - inner(right, left) / 2
    inverse = spectral_norm(np.linalg.inv(k))
    changed = w * (1 + spectral_norm(left) ** 2 * inverse * (1 + norm(k) * inverse))
    return Truth(exact_.transport_isometric(*_arithmetic(values, exact)), _none(w), e * changed, w)


def _none(like: np.ndarray) -> np.ndarray:
    """Exponent 0 for every member."""
    return np.zeros((*like.shape, 1, 1), int)


TRUTHS: dict[str, Callable[..., Truth]] = {
    "stiefel.project": _project,
    "stiefel.gradient": _gradient,
    "stiefel.hessian": _hessian,
    "stiefel.retract_qr": partial(_by_sum, exact_.qr, sqrt(2)),
    "stiefel.retract_polar": partial(_by_sum, exact_.polar, 1.0),
    "stiefel.retract_cayley": _cayley,
    "stiefel.exp": _exp,
    "stiefel.transport_qr": partial(_transport_by_sum, exact_.transport_qr, sqrt(2), 9.0),
    "stiefel.transport_polar": partial(_transport_by_sum, exact_.transport_polar, 1.0, 7.0),
    "stiefel.transport_cayley": _transport_cayley,
    "stiefel.transport_isometric": _transport_isometric,
}
RETRACTIONS = ("stiefel.retract_qr", "stiefel.retract_polar", "stiefel.retract_cayley", "stiefel.exp")
TRANSPORTS = tuple(name for name in TRUTHS if name.startswith("stiefel.transport"))
OUTPUT = {
    "stiefel.project": "u",
    "stiefel.gradient": "grad",
    "stiefel.hessian": "hess",
    **dict.fromkeys(RETRACTIONS, "y"),
    **dict.fromkeys(TRANSPORTS, "u"),
}


ENDS: dict[str, Callable[..., Any]] = {
    "stiefel.transport_qr": exact_.qr,
    "stiefel.transport_polar": exact_.polar,
    "stiefel.transport_cayley": exact_.cayley,
    "stiefel.transport_isometric": exact_.cayley,
}


def tangency(name: str, values: Values, u: np.ndarray) -> np.ndarray:
    """|herm(Y^H U)| at the point Y where U has to be tangent."""
    y = ENDS[name](values["x"], values["v"]) if name in ENDS else values["x"]
    return norm(exact_.herm(ct(y) @ u))


INPUTS = {
    "stiefel.project": ("x", "v"),
    "stiefel.gradient": ("x", "egrad"),
    "stiefel.hessian": ("x", "egrad", "ehess", "v"),
    **dict.fromkeys(RETRACTIONS, ("x", "v")),
    **dict.fromkeys(TRANSPORTS, ("x", "v", "w")),
}
