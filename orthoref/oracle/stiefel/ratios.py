"""Exact results on the Stiefel manifold, and what a backward error changes of them: docs/derivations/stiefel_ratios."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import sqrt
from typing import Any

import numpy as np

from orthoref.oracle.derivative import Truth
from orthoref.oracle.fixed import rounded
from orthoref.oracle.operation import Data
from orthoref.oracle.precision import PRECISIONS, Precision, precision_of
from orthoref.oracle.residual import ct, inner, ldexp, norm, spectral_norm
from orthoref.oracle.stiefel import truth as exact_
from orthoref.oracle.stiefel.truth import lifted, scaled, skew

Values = Mapping[str, np.ndarray]
FAR = 100.0  # units of e by which a point or a tangent may miss its equation and still be judged
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
    value = exact_.hessian(*(lifted(each, exact) for each in arrays), c)
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
    """(SR-UNIT-EXP) e (sqrt(p) + (4 c^2 |A|^2 + 2 |Z|^2)^1/2 + |1 - 2 c| |A|)."""
    x, v = values["x"], values["v"]
    inside = inner(x, v)
    a, z = norm(inside), norm(v - x @ inside)
    value = exact_.exp(lifted(x, exact), lifted(v, exact), c)
    root = sqrt(x.shape[-1])
    changed = root + np.sqrt((2 * c * a) ** 2 + 2 * z**2) + abs(1 - 2 * c) * a
    return Truth(value, _none(a), e * changed, np.full(a.shape, root))


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
}
OUTPUT = {
    "stiefel.project": "u",
    "stiefel.gradient": "grad",
    "stiefel.hessian": "hess",
    **dict.fromkeys(("stiefel.retract_qr", "stiefel.retract_polar", "stiefel.retract_cayley", "stiefel.exp"), "y"),
}


def tangency(values: Values, u: np.ndarray) -> np.ndarray:
    """|herm(X^H U)| 2^-e, and e, scaled like U."""
    return norm(exact_.herm(ct(values["x"]) @ u))


def reference(name: str, claim: Callable[..., Any], *arrays: np.ndarray, **claims: Any) -> np.ndarray:
    """The definition, rounded to the dtype of the input."""
    order = INPUTS[name]
    values = {each: np.asarray(x, np.result_type(x.dtype, np.float64)) for each, x in zip(order, arrays, strict=True)}
    found = truths(name, values, claim(**claims), precision_of(arrays[0].dtype.name))[0][OUTPUT[name]]
    return ldexp(rounded(found.value), found.exponent).astype(arrays[0].dtype)


INPUTS = {
    "stiefel.project": ("x", "v"),
    "stiefel.gradient": ("x", "egrad"),
    "stiefel.hessian": ("x", "egrad", "ehess", "v"),
    **dict.fromkeys(
        ("stiefel.retract_qr", "stiefel.retract_polar", "stiefel.retract_cayley", "stiefel.exp"), ("x", "v")
    ),
}
