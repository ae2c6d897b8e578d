"""Exact results of the constructors, and what a backward error changes of them: docs/derivations/constructor_ratios."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from orthoref.oracle.constructors import truth as exact_
from orthoref.oracle.constructors.inputs import below, butterfly_order, order_of
from orthoref.oracle.constructors.truth import lifted
from orthoref.oracle.derivative import Truth
from orthoref.oracle.fixed import rounded
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import ct, exponent_of, ldexp, norm, spectral_norm

Values = Mapping[str, np.ndarray]
PADE = 4.0  # rounding of the usual algorithm for exp, per unit of the norm of the exponent: (CR-UNIT-EXP)


def truths(name: str, values: Values, claimed: Any, precision: Precision) -> list[dict[str, Truth]]:
    """The exact outputs of an operation, with their units; explanations ask for those of one input again and again."""
    return [
        _truths(name, claimed, precision, tuple((each, x.shape, x.dtype, x.tobytes()) for each, x in values.items()))
    ]


@lru_cache(maxsize=16)
def _truths(name: str, claimed: Any, precision: Precision, inputs: tuple[Any, ...]) -> dict[str, Truth]:
    values = {each: np.frombuffer(data, dtype).reshape(shape) for each, shape, dtype, data in inputs}
    exact = precision.eps <= PRECISIONS["float64"].eps
    return TRUTHS[name](values, claimed, exact, growth(values, claimed, precision) * precision.eps)


def growth(values: Values, claimed: Any, precision: Precision) -> float:
    """Of the order n, of n(n - 1)/2 angles too; of k reflectors of length m."""
    rows, columns = next(iter(values.values())).shape[-2:]
    if "theta" in values:
        return precision.growth(butterfly_order(rows) if claimed.order == "butterfly" else order_of(rows))
    return precision.growth(columns, rows)


def cayley_terms(a: np.ndarray, c: float) -> tuple[np.ndarray, np.ndarray]:
    """|N|_2 and (1 + kappa) |M|_F |N|_2, M = I + c A, N = M^-1, kappa = |M|_2 |N|_2."""
    m = np.eye(a.shape[-1]) + c * a
    inverse = spectral_norm(np.linalg.inv(m))
    return inverse, (1 + spectral_norm(m) * inverse) * norm(m) * inverse


def columns_of(values: Values) -> np.ndarray:
    """D as a row that multiplies columns."""
    a = values["a"]
    return np.swapaxes(values["diagonal"], -1, -2) if "diagonal" in values else np.ones((*a.shape[:-2], 1, a.shape[-1]))


def _cayley(values: Values, claimed: Any, exact: bool, e: float) -> dict[str, Truth]:
    """(CR-UNIT-CAYLEY) e (1 + kappa) |M|_F |N|_2."""
    a, d = values["a"], columns_of(values)
    _, size = cayley_terms(a, claimed.c)
    value = exact_.cayley(lifted(a, exact), claimed.c, d)
    return {"q": Truth(value, none(size), e * size, root(a))}


def _cayley_jvp(values: Values, claimed: Any, exact: bool, e: float) -> dict[str, Truth]:
    """(CR-UNIT-CAYLEY-DOT) 2 |c| e |A_dot| |N|_2 (1 + kappa) |M|_F |N|_2."""
    a, c = values["a"], claimed.c
    a_dot, exponent = scaled(values["a_dot"])
    inverse, size = cayley_terms(a, c)
    value = exact_.cayley_jvp(lifted(a, exact), lifted(a_dot, exact), c, columns_of(values))
    most = 2 * abs(c) * norm(a_dot) * inverse
    return {"q_dot": Truth(value, exponent, e * most * size, most * inverse)}


def _cayley_vjp(values: Values, claimed: Any, exact: bool, e: float) -> dict[str, Truth]:
    """(CR-UNIT-CAYLEY-DOT) with Q_bar."""
    a, c = values["a"], claimed.c
    q_bar, exponent = scaled(values["q_bar"])
    inverse, size = cayley_terms(a, c)
    value = exact_.cayley_vjp(lifted(a, exact), lifted(q_bar, exact), c, columns_of(values))
    most = 2 * abs(c) * norm(q_bar) * inverse
    return {"a_bar": Truth(value, exponent, e * most * size, most * inverse)}


def _exp(values: Values, claimed: Any, exact: bool, e: float) -> dict[str, Truth]:
    """(CR-UNIT-EXP) e (sqrt(n) + 4 |A|)."""
    a = values["a"]
    size = root(a) + PADE * norm(a)
    return {"q": Truth(exact_.exp(lifted(a, exact)), none(size), e * size, root(a))}


def _exp_jvp(values: Values, claimed: Any, exact: bool, e: float) -> dict[str, Truth]:
    """(CR-UNIT-EXP-DOT) e |A_dot| (1 + 4 |A|)."""
    a_dot, exponent = scaled(values["a_dot"])
    value = exact_.exp_jvp(lifted(values["a"], exact), lifted(a_dot, exact))
    return {"q_dot": Truth(value, exponent, e * norm(a_dot) * (1 + PADE * norm(values["a"])), norm(a_dot))}


def _exp_vjp(values: Values, claimed: Any, exact: bool, e: float) -> dict[str, Truth]:
    """(CR-UNIT-EXP-DOT) with Q_bar."""
    q_bar, exponent = scaled(values["q_bar"])
    value = exact_.exp_vjp(lifted(values["a"], exact), lifted(q_bar, exact))
    return {"a_bar": Truth(value, exponent, e * norm(q_bar) * (1 + PADE * norm(values["a"])), norm(q_bar))}


def rotations(values: Values, claimed: Any, exact: bool) -> tuple[exact_.Rotations, np.ndarray]:
    """The rotations, and 1 + max |theta| + max |phi|."""
    theta, phi = values["theta"], values.get("phase")
    count = theta.shape[-2]
    n = butterfly_order(count) if claimed.order == "butterfly" else order_of(count)
    given = [lifted(x, exact) for x in (theta, phi) if x is not None]
    found = exact_.Rotations(given[0], given[1] if len(given) > 1 else None, n, exact_.planes(n, claimed.order))
    return found, sum((largest(x) for x in (theta, phi) if x is not None), np.ones(theta.shape[:-2]))


def largest(x: np.ndarray) -> np.ndarray:
    """Of the entries of each member, in modulus."""
    return np.max(np.abs(x), axis=(-2, -1), initial=0.0)


def _givens(values: Values, claimed: Any, exact: bool, e: float) -> dict[str, Truth]:
    """(CR-UNIT-GIVENS) e sqrt(n) (1 + max |theta| + max |phi|)."""
    g, size = rotations(values, claimed, exact)
    value = exact_.givens(g) + np.zeros((*size.shape, g.n, g.n))
    return {"q": Truth(value, none(size), e * sqrt(g.n) * size, np.full(size.shape, sqrt(g.n)))}


def together(values: Values, *names: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Directions over a common power of two."""
    given = {name: values[name] for name in names if name in values}
    exponent = np.maximum.reduce([exponent_of(x) for x in given.values()])
    return {name: ldexp(x, -exponent) for name, x in given.items()}, exponent


def _givens_jvp(values: Values, claimed: Any, exact: bool, e: float) -> dict[str, Truth]:
    """(CR-UNIT-GIVENS-DOT) e (sqrt(2) |dot| + |Q_dot|) (1 + max |theta| + max |phi|)."""
    g, size = rotations(values, claimed, exact)
    dots, exponent = together(values, "theta_dot", "phase_dot")
    theta_dot, phi_dot = (lifted(dots[name], exact) if name in dots else None for name in ("theta_dot", "phase_dot"))
    value = exact_.givens_jvp(g, theta_dot, phi_dot)
    moved = sum((sqrt(2) * norm(x) for x in dots.values()), np.zeros(size.shape))
    unit = e * (moved + norm(rounded(value))) * size
    return {"q_dot": Truth(value, exponent, unit, moved * sqrt(len(g.pairs)))}


def _givens_vjp(values: Values, claimed: Any, exact: bool, e: float) -> dict[str, Truth]:
    """(CR-UNIT-GIVENS-BAR) e sqrt(2) |Q_bar| (1 + max |theta| + max |phi|)."""
    g, size = rotations(values, claimed, exact)
    q_bar, exponent = scaled(values["q_bar"])
    bars = exact_.givens_vjp(g, lifted(q_bar, exact))
    most = sqrt(2) * norm(q_bar)
    unit = e * most * size
    reach = most * sqrt(len(g.layers))
    names = ("theta_bar", "phase_bar") if "phase" in values else ("theta_bar",)
    return {name: Truth(bar, exponent, unit, reach) for name, bar in zip(names, bars, strict=False)}


class Reflected(NamedTuple):
    """Reflections of v 2^-e, what scales with them, and |1 - tau |v|^2|^2 - 1 summed over them."""

    r: exact_.Reflections
    exponent: np.ndarray
    mask: np.ndarray
    lengths: np.ndarray
    taus: np.ndarray
    off: np.ndarray


def reflected(values: Values, claimed: Any, exact: bool) -> Reflected:
    """The reflections of an input."""
    v = below(values["v"]) if claimed.storage == "below" else values["v"]
    m, k = v.shape[-2:]
    mask = np.tril(np.ones((m, k)), -1) if claimed.storage == "below" else np.ones((m, k))
    v, exponent = scaled(v)
    lengths = np.sqrt(np.sum(np.abs(v) ** 2, axis=-2))
    if "tau" in values:
        tau = ldexp(values["tau"], 2 * exponent)
        taus = tau[..., 0]
    else:
        tau, taus = None, np.where(lengths > 0, 2 / np.where(lengths > 0, lengths, 1.0) ** 2, 0.0)
    off = np.sum(np.abs(np.abs(1 - taus * lengths**2) ** 2 - 1), axis=-1) if tau is not None else np.zeros(v.shape[:-2])
    columns = m if claimed.columns == "full" else k
    lifted_ = lifted(v, exact)
    r = exact_.Reflections(lifted_, None if tau is None else lifted(tau, exact), claimed.order == "forward", columns)
    return Reflected(r, exponent, mask, lengths, np.abs(taus), off)


def _householder(values: Values, claimed: Any, exact: bool, e: float) -> dict[str, Truth]:
    """(CR-UNIT-HOUSEHOLDER) e sqrt(p)."""
    at = reflected(values, claimed, exact)
    size = np.full(at.off.shape, sqrt(at.r.columns))
    value = exact_.householder(at.r) + np.zeros((*size.shape, at.r.m, at.r.columns))
    return {"q": Truth(value, none(size), e * size, size)}


def _householder_jvp(values: Values, claimed: Any, exact: bool, e: float) -> dict[str, Truth]:
    """(CR-UNIT-HOUSEHOLDER-DOT) e sum_i (|tau_dot_i| |v_i|^2 + 2 |tau_i| |v_i| |v_dot_i|); no tau: twice the last."""
    at = reflected(values, claimed, exact)
    moved = {"v_dot": ldexp(values["v_dot"] * at.mask, -at.exponent)}
    if "tau" in values:
        moved["tau_dot"] = ldexp(values["tau_dot"], 2 * at.exponent)
    dots, exponent = together(moved, "v_dot", "tau_dot")
    v_dot = lifted(dots["v_dot"], exact)
    tau_dot = lifted(dots["tau_dot"], exact) if "tau" in values else None
    value = exact_.householder_jvp(at.r, v_dot, tau_dot)
    moving = 2 * at.taus * at.lengths * np.sqrt(np.sum(np.abs(dots["v_dot"]) ** 2, axis=-2))
    each = moving + np.abs(dots["tau_dot"][..., 0]) * at.lengths**2 if "tau" in values else 2 * moving
    most = np.sum(each, axis=-1)
    return {"q_dot": Truth(value, exponent, e * most, most)}


def _householder_vjp(values: Values, claimed: Any, exact: bool, e: float) -> dict[str, Truth]:
    """(CR-UNIT-HOUSEHOLDER-BAR) e |Q_bar| times (sum 4 |tau_i|^2 |v_i|^2)^1/2, no tau: twice; (sum |v_i|^4)^1/2."""
    at = reflected(values, claimed, exact)
    q_bar, exponent = scaled(values["q_bar"])
    v_bar, tau_bar = exact_.householder_vjp(at.r, lifted(q_bar, exact))
    size = norm(q_bar)
    most = size * np.sqrt(np.sum((2 * at.taus * at.lengths) ** 2, axis=-1)) * (1 if "tau" in values else 2)
    found = {"v_bar": Truth(v_bar * at.mask, exponent - at.exponent, e * most, most)}
    if "tau" in values:
        most = size * np.sqrt(np.sum(at.lengths**4, axis=-1))
        found["tau_bar"] = Truth(tau_bar, exponent + 2 * at.exponent, e * most, most)
    return found


def defect(name: str, values: Values, claimed: Any) -> np.ndarray:
    """How far the exact result is from orthonormal columns."""
    if name == "householder_product":
        return reflected(values, claimed, False).off
    return np.zeros(next(iter(values.values())).shape[:-2])


def scaled(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X 2^-e with entries near 1, and e."""
    exponent = exponent_of(x)
    return ldexp(x, -exponent), exponent


def root(a: np.ndarray) -> np.ndarray:
    """|Q|_F."""
    return np.full(a.shape[:-2], sqrt(a.shape[-1]))


def none(like: np.ndarray) -> np.ndarray:
    """Exponent 0 for every member."""
    return np.zeros((*like.shape, 1, 1), int)


def skewed(x: np.ndarray) -> np.ndarray:
    """(X - X^H)/2, halved first: it does not overflow."""
    return x / 2 - ct(x) / 2


TRUTHS: dict[str, Callable[..., dict[str, Truth]]] = {
    "cayley": _cayley,
    "cayley_jvp": _cayley_jvp,
    "cayley_vjp": _cayley_vjp,
    "skew_exp": _exp,
    "skew_exp_jvp": _exp_jvp,
    "skew_exp_vjp": _exp_vjp,
    "givens_product": _givens,
    "givens_product_jvp": _givens_jvp,
    "givens_product_vjp": _givens_vjp,
    "householder_product": _householder,
    "householder_product_jvp": _householder_jvp,
    "householder_product_vjp": _householder_vjp,
}
