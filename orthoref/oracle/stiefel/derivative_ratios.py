"""Exact derivatives on the tangent bundle, and what a backward error changes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Any, Literal, NamedTuple

import numpy as np

from orthoref.oracle.derivative import Truth
from orthoref.oracle.fixed import rounded
from orthoref.oracle.lift import Lifted
from orthoref.oracle.operation import Data
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import exponent_of, inner, ldexp, norm, spectral_norm
from orthoref.oracle.stiefel import ratios
from orthoref.oracle.stiefel import truth as exact_
from orthoref.oracle.stiefel.derivative_truth import PULL, PUSH, reduced
from orthoref.oracle.stiefel.ratios import FAR, INPUTS, OUTPUT, PADE, Values
from orthoref.oracle.stiefel.truth import herm, lifted, skew

Kind = Literal["jvp", "vjp"]
FREE = ("stiefel.project", "stiefel.gradient")  # whose second argument is any matrix


class Sizes(NamedTuple):
    """What a map's derivative is at most, and its errors over e: of X_dot and of V_dot, or of their adjoints."""

    reach_x: np.ndarray
    reach_v: np.ndarray
    error_x: np.ndarray
    error_v: np.ndarray


def inputs_of(kind: Kind, name: str) -> tuple[str, ...]:
    """Of the derivative of an operation."""
    points = INPUTS[name]
    return (*points, *(f"{each}_dot" for each in points)) if kind == "jvp" else (*points, f"{OUTPUT[name]}_bar")


def outputs_of(kind: Kind, name: str) -> tuple[str, ...]:
    """Of the derivative of an operation."""
    return (f"{OUTPUT[name]}_dot",) if kind == "jvp" else tuple(f"{each}_bar" for each in INPUTS[name])


def defect(kind: Kind, name: str, values: Values) -> np.ndarray:
    """(SR-LIFTED) |herm(X^H X_dot)|/|X_dot| and |herm(X_dot^H V + X^H V_dot)|/(|X_dot| |V|_2 + |V_dot|)."""
    x = values["x"]
    if kind != "jvp":
        return np.zeros(x.shape[:-2])
    v, x_dot, v_dot = (values[each] for each in inputs_of("jvp", name)[1:])
    x_dot, v_dot = _together(x_dot, v_dot)[0]
    found = _share(norm(herm(inner(x, x_dot))), norm(x_dot))
    if name in FREE:
        return found
    off = norm(herm(inner(x_dot, v) + inner(x, v_dot)))
    return np.maximum(found, _share(off, norm(x_dot) * spectral_norm(v) + norm(v_dot)))


def _share(part: np.ndarray, of: np.ndarray) -> np.ndarray:
    return part / np.where(of > 0, of, 1.0)


def _together(*arrays: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Scaled by one power of two."""
    exponent = np.max([exponent_of(each) for each in arrays], axis=0)
    return [ldexp(each, -exponent) for each in arrays], exponent


def judgeable(kind: Kind, name: str, inputs: Data, precision: Precision) -> tuple[np.ndarray, str]:
    """Which members are points with tangents and directions along the tangent bundle, and why others are not."""
    good, note = ratios.judgeable(name, inputs, precision)
    if note.startswith("x of shape"):
        return good, note
    x = inputs["x"].value
    off = defect(kind, name, {each: given.value for each, given in inputs.items()})
    along = off <= FAR * precision.growth(x.shape[-1], x.shape[-2]) * precision.eps
    if note or along.all():
        return good & along, note
    return good & along, f"the direction leaves the tangent bundle: |herm(X_dot^H V + X^H V_dot)| = {np.max(off):.2g}"


def truths(kind: Kind, name: str, values: Values, claimed: Any, precision: Precision) -> list[dict[str, Truth]]:
    """(SR-DERIVATIVE-UNIT) e (k_x |X_dot| + k_v |V_dot|), and of the adjoint e k_v |bar|, e (k_x + |V|_2 k_v) |bar|."""
    exact = precision.eps <= PRECISIONS["float64"].eps
    x, v = (values[each] for each in INPUTS[name])
    off, out = ratios.defects(name, values)
    e = precision.growth(x.shape[-1], x.shape[-2]) * precision.eps + off + out + defect(kind, name, values)
    sizes = SIZES[name](x, v, claimed.c)
    at = [lifted(each, exact) for each in (x, v)]
    if kind == "jvp":
        (x_dot, v_dot), exponent = _together(*(values[each] for each in inputs_of("jvp", name)[2:]))
        value = PUSH[name](*at, lifted(x_dot, exact), lifted(v_dot, exact), claimed.c)
        one, two = norm(x_dot), norm(v_dot)
        unit, reach = sizes.error_x * one + sizes.error_v * two, sizes.reach_x * one + sizes.reach_v * two
        return [{outputs_of("jvp", name)[0]: Truth(value, exponent, e * unit, reach)}]
    (bar,), exponent = _together(values[inputs_of("vjp", name)[-1]])
    size, moved = norm(bar), 0.0 if name in FREE else spectral_norm(v)
    first, second = PULL[name](*at, lifted(bar, exact), claimed.c)
    found = reduced(at[0], at[1], first, second, free=name in FREE)
    units = e * size * (sizes.error_x + moved * sizes.error_v), e * size * sizes.error_v
    reaches = size * (sizes.reach_x + moved * sizes.reach_v), size * sizes.reach_v
    return [
        {
            each: Truth(value, exponent, unit, reach)
            for each, value, unit, reach in zip(outputs_of("vjp", name), found, units, reaches, strict=True)
        }
    ]


def seen(name: str, inputs: Data, outputs: Data, exact: bool) -> dict[str, Lifted]:
    """(SR-REDUCED) The cotangents that a port returned without what the tangent bundle does not see of them."""
    first, second = outputs_of("vjp", name)
    x, v = (inputs[each].value for each in INPUTS[name])
    given = [outputs[each].value if each in outputs else np.zeros_like(x) for each in (first, second)]
    if second not in outputs or any(each.shape != x.shape for each in given):
        return dict(outputs)
    finite = np.all([np.isfinite(each) for each in given], axis=(0, -2, -1))
    at = [lifted(np.where(finite[..., None, None], each, 0.0), exact) for each in (x, v, *given)]
    found = [np.where(finite[..., None, None], rounded(each), np.nan) for each in reduced(*at, free=name in FREE)]
    moved = dict(zip((first, second), found, strict=True))
    return {each: Lifted(moved.get(each, old.value), old.dtype) for each, old in outputs.items()}


def _project(x: np.ndarray, v: np.ndarray, c: float) -> Sizes:
    """(SR-PROJECT-D): 2 |V|_2 and 1."""
    one = np.ones(x.shape[:-2])
    return Sizes(2 * spectral_norm(v), one, 2 * spectral_norm(v), one)


def _gradient(x: np.ndarray, g: np.ndarray, c: float) -> Sizes:
    """(SR-GRADIENT-D): the same times max(1, 1/c)."""
    return Sizes(*(max(1.0, 1 / c) * each for each in _project(x, g, c)))


def _by_sum(one: float, two: float) -> Callable[..., Sizes]:
    """(SR-UNIT-TRANSPORT) k_1/s_p and k_1/s_p + k_2 |A|/s_p^2, A = X + V, for either."""

    def sizes(x: np.ndarray, v: np.ndarray, c: float) -> Sizes:
        a = x + v
        smallest = np.linalg.svd(a, compute_uv=False)[..., -1] if a.size else np.ones(a.shape[:-2])
        reach, error = one / smallest, one / smallest + two * norm(a) / smallest**2
        return Sizes(reach, reach, error, error)

    return sizes


def _cayley(x: np.ndarray, v: np.ndarray, c: float) -> Sizes:
    """(SR-UNIT-CAYLEY-D)."""
    _, m, over, outside = exact_.cayley_parts(x, v)
    inverse, length = spectral_norm(over), spectral_norm(v)
    u = (norm(2 * x + outside) + 2 * norm(m)) * inverse
    d = 0.5 + spectral_norm(outside)
    solved = norm(m) * inverse
    reach_v, reach_x = (2 + 2 * d) * inverse, (2 + 2 * length + 2 * d * length) * inverse + 1
    return Sizes(
        reach_x,
        reach_v,
        (2 + 2 * length + (u + 2) * d * length + (2 + 2 * length + 2 * d * length) * solved) * inverse + 1,
        (2 + (u + 2) * d + (2 + 2 * d) * solved) * inverse,
    )


def _exp(x: np.ndarray, v: np.ndarray, c: float) -> Sizes:
    """(SR-UNIT-EXP-D)."""
    inside = skew(inner(x, v))
    outside = v - x @ inner(x, v)
    length, turn, aside = spectral_norm(v), spectral_norm(inside), abs(1 - 2 * c)
    reach_x = 1 + 4 * c * turn + 2 * spectral_norm(outside) + (2 * c + aside + 2) * length + 2 * turn
    reach_v = (2 * c + aside + 4) * np.ones_like(length)
    a, z = norm(inside), norm(outside)
    grown = 1 + 2 * PADE * (np.sqrt((2 * c * a) ** 2 + 2 * z**2) + aside * a)
    return Sizes(reach_x, reach_v, reach_x * grown, reach_v * grown)


SIZES: Mapping[str, Callable[..., Sizes]] = {
    "stiefel.project": _project,
    "stiefel.gradient": _gradient,
    "stiefel.retract_qr": _by_sum(sqrt(2), 9.0),
    "stiefel.retract_polar": _by_sum(1.0, 7.0),
    "stiefel.retract_cayley": _cayley,
    "stiefel.exp": _exp,
}
