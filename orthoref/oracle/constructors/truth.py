"""Definitions of the constructors, in float64 or in fixed point: docs/derivations/constructor_ratios.

Written for the judge alone and independent of what is public. What has no closed form in sums and products is solved in
float64 and refined with residuals in fixed point.
"""

from __future__ import annotations

from math import ceil, log2
from typing import Any

import numpy as np

from orthoref.oracle.fixed import Fixed, ct, rounded
from orthoref.oracle.residual import norm

SWEEPS = 3  # of refinement; each gains -log2(n eps kappa) bits, 36 at kappa = 10^4
ORDER = 16  # of the Taylor polynomial of exp: 2^-34/17! = 2e-25 is its error for a norm of 1/4


def lifted(x: np.ndarray, exact: bool) -> Any:
    """In the arithmetic of the truth."""
    return Fixed.of(x) if exact else x


def resolvent(b: Any) -> Any:
    """N = (I + B)^-1."""
    m = b + np.eye(b.shape[-1])
    over = np.linalg.inv(rounded(m))
    if not isinstance(b, Fixed):
        return over
    found = Fixed.of(over)
    for _ in range(SWEEPS):
        found = found + over @ rounded(np.eye(b.shape[-1]) - m @ found)
    return found


def cayley(a: Any, c: float, d: np.ndarray) -> Any:
    """(CR-CAYLEY) (2 (I + c A)^-1 - I) D."""
    return (resolvent(a * c) * 2.0 - np.eye(a.shape[-1])) * d


def cayley_jvp(a: Any, a_dot: Any, c: float, d: np.ndarray) -> Any:
    """(CR-CAYLEY-DOT) -2 c N A_dot N D."""
    n = resolvent(a * c)
    return n @ (a_dot * (-2 * c)) @ n * d


def cayley_vjp(a: Any, q_bar: Any, c: float, d: np.ndarray) -> Any:
    """(CR-CAYLEY-BAR) skew(-2 c N^H Q_bar D N^H)."""
    n = ct(resolvent(a * c))
    return skew(n @ (q_bar * d * (-2 * c)) @ n)


def exp(a: Any) -> Any:
    """(CR-EXP) The Taylor polynomial, its coefficients times ORDER! as integers, and squaring."""
    if not a.shape[-1]:
        return a
    size = float(np.max(norm(rounded(a)), initial=0.0))
    squarings = max(0, ceil(log2(size) + 2)) if size > 0 else 0
    a, one, coefficient = a * 2.0**-squarings, np.eye(a.shape[-1]), 1.0
    total: Any = one
    for j in range(ORDER, 0, -1):
        coefficient *= j
        total = a @ total + one * coefficient
    total = over(total, coefficient)
    for _ in range(squarings):
        total = total @ total
    return total


def exp_jvp(a: Any, a_dot: Any) -> Any:
    """(CR-EXP-DOT) The upper right block of exp([[A, A_dot], [0, A]])."""
    n = a.shape[-1]
    one, two = np.eye(2 * n, n), np.eye(2 * n, n, -n)
    found = exp(one @ a @ one.T + two @ a @ two.T + one @ a_dot @ two.T)
    return one.T @ found @ two


def exp_vjp(a: Any, q_bar: Any) -> Any:
    """(CR-EXP-BAR) skew of the derivative at A^H along Q_bar."""
    return skew(exp_jvp(ct(a), q_bar))


def skew(x: Any) -> Any:
    """(X - X^H)/2."""
    return (x - ct(x)) * 0.5


def over(x: Any, number: float) -> Any:
    """X/number, 1/number to 100 bits."""
    if not isinstance(x, Fixed):
        return x / number
    near = Fixed.of(np.full((1, 1), 1 / number))
    return x * (near + rounded(1.0 - near * number) / number)
