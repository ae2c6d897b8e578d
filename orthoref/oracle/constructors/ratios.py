"""Exact results of the constructors, and what a backward error changes of them: docs/derivations/constructor_ratios."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Any

import numpy as np

from orthoref.oracle.constructors import truth as exact_
from orthoref.oracle.constructors.truth import lifted
from orthoref.oracle.derivative import Truth
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import ct, exponent_of, ldexp, norm, spectral_norm

Values = Mapping[str, np.ndarray]
PADE = 4.0  # rounding of the usual algorithm for exp, per unit of the norm of the exponent: (CR-UNIT-EXP)


def truths(name: str, values: Values, claimed: Any, precision: Precision) -> list[dict[str, Truth]]:
    """The exact outputs of an operation, with their units."""
    exact = precision.eps <= PRECISIONS["float64"].eps
    n = next(iter(values.values())).shape[-2]
    return [TRUTHS[name](values, claimed, exact, precision.growth(n) * precision.eps)]


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
}
