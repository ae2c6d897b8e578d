"""Exact derivatives of the finite iteration, and what rounding changes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from orthoref.oracle.derivative import Truth, operator_norm
from orthoref.oracle.dual import Dual, dual
from orthoref.oracle.fixed import Fixed, ct, rounded
from orthoref.oracle.newton_schulz import sweep
from orthoref.oracle.newton_schulz.claim import Iteration
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import exponent_of, ldexp, norm

SAMPLES = 4  # of the rounding errors of a sweep


def truths(
    kind: str, inputs: Mapping[str, np.ndarray], claimed: Iteration, precision: Precision
) -> list[dict[str, Truth]]:
    """The one true result, with every input scaled by a power of two."""
    m, n = inputs["a"].shape[-2:]
    factor, turned = claimed.factor(m, n), m <= n  # as in the iteration: for "aol" it matters what a square one is
    if turned:
        inputs = {name: ct(x) for name, x in inputs.items()}
    a = inputs["a"]
    e, eps = scaled(a, claimed)
    free = claimed.normalization.kind != "none"
    a = ldexp(a, -e)
    degree = e if free else 0 * e
    exponents = {name: exponent_of(x) for name, x in inputs.items() if name != "a"}
    others = {name: ldexp(inputs[name], -exponent) for name, exponent in exponents.items()}

    def exactly(x: np.ndarray) -> Any:
        return Fixed.of(x) if precision.eps <= PRECISIONS["float64"].eps else x

    value = outcome(kind, exactly(a), {name: exactly(x) for name, x in others.items()}, claimed, eps)
    unit = factor * rounding(kind, a, others, claimed, eps, precision)
    x_bar = next(iter(others.values()))
    if kind == "vjp_jvp":
        x_bar = others["x_bar"]
    push = lambda x: outcome("jvp", a, {"a_dot": x}, claimed, eps)  # noqa: E731
    pull = lambda x: outcome("vjp", a, {"x_bar": x}, claimed, eps)  # noqa: E731
    reach = norm(rounded(value)) * factor
    if np.any(reach <= unit):  # nearly nothing is left: how much it could be
        with np.errstate(all="ignore"):
            reach = factor * operator_norm(pull, a, push) * norm(x_bar)
            if kind == "vjp_jvp":  # at most the first derivative over the size of A
                reach = reach * norm(others["a_dot"]) / norm(a)
    name = {"vjp": "a_bar", "jvp": "x_dot", "vjp_jvp": "a_bar_dot"}[kind]
    exponent = sum(exponents.values()) - (2 * degree if kind == "vjp_jvp" else degree)
    unit = np.where(np.isfinite(unit) & smooth(kind, a, claimed, precision), unit, np.inf)
    return [{name: Truth(ct(value * factor) if turned else value * factor, exponent, unit, reach)}]


def exact(
    kind: str, inputs: Mapping[str, np.ndarray], claimed: Iteration, in_fixed: bool = True
) -> tuple[Any, np.ndarray]:
    """The true result alone, value and exponent, in fixed point or in float64."""
    m, n = inputs["a"].shape[-2:]
    turned = m <= n
    if turned:
        inputs = {name: ct(x) for name, x in inputs.items()}
    e, eps = scaled(inputs["a"], claimed)
    degree = e if claimed.normalization.kind != "none" else 0 * e
    exponents = {name: exponent_of(x) for name, x in inputs.items() if name != "a"}
    arithmetic: Any = Fixed.of if in_fixed else np.asarray
    others = {name: arithmetic(ldexp(inputs[name], -exponent)) for name, exponent in exponents.items()}
    value = outcome(kind, arithmetic(ldexp(inputs["a"], -e)), others, claimed, eps) * claimed.factor(m, n)
    return ct(value) if turned else value, sum(exponents.values()) - (2 * degree if kind == "vjp_jvp" else degree)


def smooth(kind: str, a: np.ndarray, claimed: Iteration, precision: Precision) -> np.ndarray:
    """Whether the normalization has a derivative, to working precision: no kink within a backward error.

    |G_ij| of "aol" has one at 0, the spectral norm where the largest singular value is repeated. A/(|A| + eps) has a
    first derivative at 0 and no second one.
    """
    m, n = a.shape[-2:]
    if kind == "vjp_jvp" and claimed.eps_rule == "add" and claimed.normalization.kind == "frobenius":
        return norm(a) > 0
    tolerance = precision.growth(n, m) * precision.eps
    if claimed.normalization.kind == "aol":
        size = np.sqrt(np.sum(np.abs(a) ** 2, axis=-2, keepdims=True))
        product = size * np.swapaxes(size, -1, -2)
        return np.all((np.abs(ct(a) @ a) > tolerance * product) | (product == 0), axis=(-2, -1))
    if claimed.normalization.kind == "spectral" and n > 1:
        s = np.linalg.svd(a, compute_uv=False)
        return s[..., 0] - s[..., 1] > tolerance * s[..., 0]
    return np.ones(a.shape[:-2], bool)


def scaled(a: np.ndarray, claimed: Iteration) -> tuple[np.ndarray, np.ndarray]:
    """The exponent that A is scaled by, and eps in the units of the scaled matrix (of its square for "aol")."""
    free = claimed.normalization.kind != "none"
    e = exponent_of(a) if free else np.zeros((*a.shape[:-2], 1, 1), int)
    power = 2 if claimed.normalization.kind == "aol" else 1
    return e, np.ldexp(claimed.eps, -power * e)


def outcome(kind: str, a: Any, others: Mapping[str, Any], claimed: Iteration, eps: np.ndarray) -> Any:
    """One derivative of the iteration of a tall A, in the arithmetic of A."""
    if kind == "vjp":
        return sweep.backward(a, others["x_bar"], claimed, eps)
    along = Dual(a, others["a_dot"])
    if kind == "jvp":
        return sweep.forward(along, claimed, eps).dot
    return sweep.backward(along, dual(others["x_bar"]), claimed, eps).dot


def rounding(kind: str, a: np.ndarray, others: Mapping[str, np.ndarray], claimed: Iteration, eps: np.ndarray,
             precision: Precision) -> np.ndarray:  # fmt: skip
    """(SWEEP) Root mean square of what the result errs by if each stored matrix errs by n eps of its terms.

    eps/2 in short formats, which store what was computed with more.
    """
    m, n = a.shape[-2:]
    gamma = (0.5 if precision.short else precision.growth(n, m)) * precision.eps
    random, squares = np.random.RandomState(0), np.zeros(a.shape[:-2])
    steps, at = sweep.rows(claimed), sweep.normalized(a, claimed, eps)
    over = np.ones(a.shape[:-2]) if at.over is None else np.max(at.over, axis=(-2, -1))
    finite = np.all(np.isfinite(at.x), axis=(-2, -1), keepdims=True)  # else there is no derivative
    s = [np.where(finite[..., 0], np.linalg.svd(np.where(finite, at.x, 0.0), compute_uv=False), np.nan)]
    for c in steps:
        s.append(np.abs(s[-1] * _terms(c, s[-1], signed=True)))
    length = norm(others["a_dot"]) if "a_dot" in others else 0.0
    bars: list[np.ndarray] = []  # sizes of X_bar, and of its derivative, before the step of the reverse sweep

    def noise(x: np.ndarray, size: np.ndarray) -> np.ndarray:
        z = random.standard_normal(x.shape)
        if np.iscomplexobj(x):
            z = (z + 1j * random.standard_normal(x.shape)) / np.sqrt(2)
        return z * (gamma * size / np.sqrt(x.shape[-1] * x.shape[-2]))[..., None, None]

    def store(x: Any, way: str, k: int) -> Any:
        """A matrix as a port keeps it: it errs by a part of its terms, not of their sum."""
        value, dot = x.value, x.dot
        parts = _parts(value)
        sizes = [norm(part) for part in parts]
        if way == "forward" and k:
            terms = np.sqrt(np.sum((s[k - 1] * _terms(steps[k - 1], s[k - 1])) ** 2, axis=-1))
            slope = np.max(_terms(steps[k - 1], s[k - 1], slope=True), axis=-1)
            sizes = [terms, slope * bars[1]] if len(parts) > 1 else [terms]
            bars[:] = [norm(part) for part in parts]
        elif way == "forward":  # (A_dot - X <grad t, A_dot>)/t
            sizes = [sizes[0], *(size + over * length for size in sizes[1:])]
            bars[:] = [norm(part) for part in parts]
        elif way == "backward":
            if k < len(steps):
                slope = np.max(_terms(steps[k], s[k], slope=True), axis=-1)
                sizes = [slope * bar for bar in bars]
                if len(parts) > 1:  # and what the change of the step makes of X_bar
                    sizes[1] = sizes[1] + norm(parts[1])
            bars[:] = [norm(part) for part in parts]
        else:  # (X_bar - grad t <X, X_bar>)/t
            sizes = [size + over * bar for size, bar in zip(sizes, bars, strict=True)]
            if len(parts) > 1:
                sizes[1] = sizes[1] + over**2 * length * bars[0]
        made = [noise(part, size) for part, size in zip(parts, sizes, strict=True)]
        if way == "forward" and k == 0:  # the norm errs as a whole
            shift = gamma * random.standard_normal()
            made = [each + part * shift for each, part in zip(made, parts, strict=True)]
        error = made[0] if len(made) == 1 else Dual(*made)
        return Dual(value, error if dot is None else dot + error)

    for _ in range(SAMPLES):
        if kind == "vjp":
            point, bar = dual(a), dual(others["x_bar"])
            found = sweep.backward(point, bar, claimed, eps, store).dot
        elif kind == "jvp":
            found = sweep.forward(Dual(Dual(a, others["a_dot"]), None), claimed, eps, store).dot.dot
        else:
            point, bar = (
                Dual(Dual(x, y), None) for x, y in ((a, others["a_dot"]), (others["x_bar"], 0 * others["x_bar"]))
            )
            found = sweep.backward(point, bar, claimed, eps, store).dot.dot
        squares = squares + norm(found) ** 2
    return np.sqrt(squares / SAMPLES)


def _parts(x: Any) -> list[np.ndarray]:
    return [x.value, x.dot] if isinstance(x, Dual) else [x]


def _terms(c: list[float], s: np.ndarray, signed: bool = False, slope: bool = False) -> np.ndarray:
    """Sum of |c_k| s^2k; of c_k s^2k; of (2k + 1) |c_k| s^2k."""
    return np.asarray(
        sum(((a if signed else abs(a)) * (2 * k + 1 if slope else 1)) * s ** (2 * k) for k, a in enumerate(c))
    )
