"""Rigorous statements: balls that contain the exact result, bounds that hold for a given one.

Computed with Arb through python-flint (extra ``certify``). Nothing here trusts an iteration: an approximation is
found by any means, and a theorem about its residuals, evaluated in ball arithmetic, bounds the distance to the exact
result. Theorem and proof: docs/derivations/certificate, equations (C1) to (C5). The context precision of python-flint
is global; it is restored on every way out, but the calls are not thread safe.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nextafter
from typing import Any, Literal

import numpy as np

from orthoref._schedules import balls
from orthoref._schedules.schedule import Normalization, Schedule
from orthoref.errors import NotCertified, OutsideDomain, require
from orthoref.oracle import finite
from orthoref.oracle.finite import Iteration
from orthoref.oracle.foreign import lift

Balls = Any  # flint.arb_mat or flint.acb_mat


@dataclass(frozen=True)
class PolarCertificate:
    """What was proved about the polar factors of one matrix.

    Attributes
    ----------
    u, h : flint.arb_mat or flint.acb_mat
        Ball matrices that contain the exact factors.
    radius : float
        Bound on the Frobenius distance from the midpoint of ``u`` to the exact U.
    sigma_min : float
        Lower bound on the smallest singular value (0 only by underflow, infinite for an empty matrix).
    u_error, h_error : (float, float), optional
        Lower and upper bounds of |u - U| and |h - H| in the Frobenius norm, for the u and h that were given.
    bits : int
        Working precision that sufficed.
    """

    u: Balls
    h: Balls
    radius: float
    sigma_min: float
    u_error: tuple[float, float] | None
    h_error: tuple[float, float] | None
    bits: int


def polar(
    a: Any,
    u: Any = None,
    h: Any = None,
    *,
    side: Literal["right", "left"] = "right",
    digits: int = 15,
    max_bits: int = 8192,
) -> PolarCertificate:
    """Enclose the exact polar factors of a, and bound the errors of given ones.

    Parameters
    ----------
    a : array of shape (m, n)
        One matrix of full rank, anything that :func:`orthoref.testing.assert_polar` takes. Its entries are exact.
    u, h : arrays of the shapes of the factors, optional
        Computed factors whose distance from the exact ones is to be bounded.
    side : {"right", "left"}
        a = u h or a = h u.
    digits : int
        The distance from the midpoint of the enclosure to U is at most 10^-digits in the Frobenius norm, 1 to 300.
        The ball of H = U^H A is wider by |A|.
    max_bits : int
        Precision at which to give up. Each trial doubles it; the cost of one is O(m n^2) operations in it.

    Returns
    -------
    PolarCertificate

    Raises
    ------
    NotCertified
        It could not be proved that a has full rank, or not to so many digits, within max_bits. A rank-deficient a
        has no unique U and is always refused.
    OutsideDomain
        NaN or infinity.
    TypeError, ValueError
        Arguments that cannot be read, stacks of matrices, shapes that do not fit.

    Notes
    -----
    For X with |I - X^H X| <= e < 1 and Hermitian positive definite K with smallest eigenvalue l,
    d = |A - X K| + e |K| < l implies sigma_n(A) >= l - d and |X - U| <= 2 d/(2 l - d) + e: equation (C5).
    """
    require("flint", "certify")
    from flint import ctx

    a, u, h = (None if x is None else _finite(name, x) for name, x in (("a", a), ("u", u), ("h", h)))
    if side not in ("right", "left"):
        raise ValueError(f"side={side!r} is not one of 'right', 'left'")
    m, n = a.shape
    order = n if side == "right" else m
    if not 1 <= digits <= 300:
        raise ValueError(f"digits={digits!r} is not in 1..300: the radius is reported as a binary64 number")
    for name, x, shape in (("u", u, (m, n)), ("h", h, (order, order))):
        if x is not None and x.shape != shape:
            raise ValueError(f"{name} has shape {x.shape}, not {shape}")
    complex_ = any(x is not None and np.iscomplexobj(x) for x in (a, u, h))
    # |X - U| relative to 1 costs bits for the condition number twice (X^H X), which is not known yet
    bits, failure = 64 + 4 * digits, f"so many digits take more than {max_bits} bits"
    while bits <= max_bits:
        with ctx.workprec(bits):
            try:
                exact = _balls(a, complex_)
                x, radius, sigma_min = _enclose(exact if m >= n else _ct(exact))
                x = x if m >= n else _ct(x)
                if radius <= 10.0**-digits:
                    u_balls = _widen(x, radius)
                    h_balls = _ct(u_balls) * exact if side == "right" else exact * _ct(u_balls)
                    return PolarCertificate(
                        u_balls,
                        h_balls,
                        radius,
                        sigma_min,
                        None if u is None else _distance(_balls(u, complex_), u_balls),
                        None if h is None else _distance(_balls(h, complex_), h_balls),
                        bits,
                    )
                failure = f"radius {radius:.3g} with {bits} bits"
            except (ZeroDivisionError, NotCertified) as error:
                failure = f"{error} with {bits} bits"
        bits *= 2
    raise NotCertified(f"the polar factor of the {m} x {n} matrix could not be enclosed to {digits} digits: {failure}")


@dataclass(frozen=True)
class NewtonSchulzCertificate:
    """What was proved about a finite Newton-Schulz iteration of one matrix.

    Attributes
    ----------
    x : flint.arb_mat or flint.acb_mat
        Ball matrix that contains the exact result.
    radius : float
        Bound on the Frobenius distance from the midpoint of ``x`` to the exact result.
    x_error : (float, float), optional
        Lower and upper bounds of |x - f(a)| in the Frobenius norm, for the x that was given.
    bits : int
        Working precision that sufficed.
    """

    x: Balls
    radius: float
    x_error: tuple[float, float] | None
    bits: int


def newton_schulz(
    a: Any,
    schedule: str | Schedule = "muon",
    x: Any = None,
    *,
    steps: int | None = None,
    normalize: str | Normalization | None = None,
    eps: float = 0.0,
    eps_rule: Literal["add", "clamp"] = "add",
    digits: int = 15,
    max_bits: int = 8192,
) -> NewtonSchulzCertificate:
    """Enclose the exact result of :func:`orthoref.newton_schulz`, and bound the error of a given one.

    Parameters
    ----------
    a : array of shape (m, n)
        One matrix, anything that :func:`orthoref.testing.assert_newton_schulz` takes. Its entries are exact.
    schedule, steps, normalize, eps, eps_rule
        As in :func:`orthoref.newton_schulz`. The coefficients are those that were written, not the nearest floats.
    x : array of shape (m, n), optional
        Computed result whose distance from the exact one is to be bounded.
    digits : int
        The distance from the midpoint of the enclosure to the result is at most 10^-digits, 1 to 300.
    max_bits : int
        Precision at which to give up. Each trial doubles it.

    Returns
    -------
    NewtonSchulzCertificate

    Raises
    ------
    NotCertified
        Not to so many digits within max_bits: the iteration amplifies too much, or a norm is as large as eps.
    OutsideDomain
        NaN or infinity.
    TypeError, ValueError
        Arguments that cannot be read, stacks of matrices, shapes that do not fit, a rational schedule.

    Notes
    -----
    The iteration itself, carried out in balls, is an enclosure: equations (NORM) and (STEP). The spectral norm lies
    between (tr G^p/n)^(1/2p) and (tr G^p)^(1/2p), G = A^H A.
    """
    require("flint", "certify")
    from flint import ctx

    claimed = finite.iteration(schedule, steps=steps, normalize=normalize, eps=eps, eps_rule=eps_rule)
    a, x = (None if y is None else _finite(name, y) for name, y in (("a", a), ("x", x)))
    if x is not None and x.shape != a.shape:
        raise ValueError(f"x has shape {x.shape}, not {a.shape}")
    if not 1 <= digits <= 300:
        raise ValueError(f"digits={digits!r} is not in 1..300: the radius is reported as a binary64 number")
    complex_ = any(y is not None and np.iscomplexobj(y) for y in (a, x))
    tall = a.shape[0] > a.shape[1]
    bits, radius = 64 + 4 * digits, inf
    while bits <= max_bits:
        with ctx.workprec(bits):
            exact = _balls(a if tall else a.conj().T, complex_)
            result = _iterated(exact, claimed) if a.any() else exact
            result = result if tall else _ct(result)
            radius = _up(_upper_norm(result - result.mid()))
            if radius <= 10.0**-digits:
                error = None if x is None else _distance(_balls(x, complex_), result)
                return NewtonSchulzCertificate(result, radius, error, bits)
        bits *= 2
    raise NotCertified(
        f"the iteration could not be enclosed to {digits} digits: radius {radius:.3g} with {bits // 2} bits"
    )


def _iterated(x: Balls, claimed: Iteration) -> Balls:
    """(NORM) and (STEP) in balls, for a nonzero exact x with at least as many rows as columns."""
    x = _normalized(x, claimed)
    for row in claimed.schedule.steps(claimed.steps):
        c = [balls.ball(value) for value in row.numerator]
        gram = _ct(x) * x
        eye = _eye_like(x)
        p = eye * c[-1]
        for value in reversed(c[:-1]):
            p = gram * p + eye * value
        x = x * p
    return x


def _normalized(a: Balls, claimed: Iteration) -> Balls:
    from flint import arb

    how = claimed.normalization
    factor, eps = balls.ball(how.factor), arb(claimed.eps)
    if how.kind == "none":
        return a
    gram = _ct(a) * a
    if how.kind == "aol":
        n = a.ncols()
        sums = [sum((abs(gram[i, j]) for i in range(n)), arb(0)) for j in range(n)]
        scale = [
            1 / (factor * _denominator(s, eps, claimed.eps_rule).sqrt()) if not s.is_zero() else arb(0) for s in sums
        ]
        return a * type(a)(n, n, [scale[i] if i == j else 0 for i in range(n) for j in range(n)])
    squares = {"frobenius": lambda: _trace(gram), "schatten4": lambda: _trace(gram * gram).sqrt(),
               "spectral": lambda: _largest_eigenvalue(gram)}  # fmt: skip
    return a * (1 / _denominator(factor * squares[how.kind]().sqrt(), eps, claimed.eps_rule))


def _denominator(size: Any, eps: Any, rule: str) -> Any:
    return size + eps if rule == "add" else size.max(eps)


def _trace(x: Balls) -> Any:
    from flint import arb

    return sum((x[i, i].real for i in range(x.nrows())), arb(0))


def _largest_eigenvalue(gram: Balls) -> Any:
    """Between (tr G^p/n)^(1/p) and (tr G^p)^(1/p); p = 2^k with k a third of the precision, which is lost."""
    from flint import arb, ctx

    power, k = gram, ctx.prec // 3
    for _ in range(k):
        power = power * power
    high = _trace(power)
    return (high.log() / arb(2) ** k).exp().union(((high / gram.nrows()).log() / arb(2) ** k).exp())


def orthonormal(q: Any, *, bits: int = 256) -> tuple[float, float]:
    """Rigorous lower and upper bounds of |I - Q^H Q| (|I - Q Q^H| if wide) in the Frobenius norm.

    Parameters
    ----------
    q : array of shape (m, n)
        As in :func:`polar`.
    bits : int
        Precision of the ball arithmetic; the two bounds agree to about this many bits of 1.
    """
    require("flint", "certify")
    from flint import ctx

    q = _finite("q", q)
    with ctx.workprec(bits):
        x = _balls(q if q.shape[0] >= q.shape[1] else q.conj().T, np.iscomplexobj(q))
        rest = _ct(x) * x - _eye_like(x)
        return _down(_lower_norm(rest)), _up(_upper_norm(rest))


def _finite(name: str, x: Any) -> np.ndarray:
    value = lift(name, x).value
    if value.ndim != 2:
        raise ValueError(f"{name} must be one matrix, not a stack of shape {value.shape}: certify them one by one")
    if not np.isfinite(value).all():
        index = tuple(int(i[0]) for i in np.nonzero(~np.isfinite(value)))
        raise OutsideDomain(f"{name} has {value[index]} at entry {index}")
    return value


def _enclose(a: Balls) -> tuple[Balls, float, float]:
    """X, r, s with |X - U| <= r and sigma_n(A) >= s for an exact a with at least as many rows as columns."""
    if a.ncols() == 0:
        return a, 0.0, inf
    x = _approximate(a)
    e = _upper_norm(_ct(x) * x - _eye_like(x))
    if not e < 1:
        raise NotCertified("the approximate factor is not orthonormal")
    k = _hermitian_midpoint(_ct(x) * a)
    if not _positive_definite(k):
        raise NotCertified("the Hermitian factor was not shown to be positive definite")
    smallest = 1 / _upper_norm(k.inv())  # (C3)
    d = _upper_norm(a - x * k) + e * _upper_norm(k)  # (C4)
    if not d < smallest:
        raise NotCertified(f"residual {float(d):.3g} against sigma_min {float(smallest):.3g}")
    return x, _up(2 * d / (2 * smallest - d) + e), _down(smallest - d)  # (C5)


def _approximate(a: Balls) -> Balls:
    """Midpoints of Newton iterates X <- (zeta X + X (X^H X)^-1/zeta)/2 with Frobenius scaling; nothing is proved."""
    from flint import arb, ctx

    x, converged = a.mid(), False
    for _ in range(12 * ctx.prec.bit_length()):
        y = (x * (_ct(x) * x).inv()).mid()
        zeta = (_upper_norm(y) / _upper_norm(x)).sqrt().mid()
        if abs(float(zeta) - 1) < 1e-2:
            zeta = arb(1)
        previous, x = x, ((x * zeta + y * (1 / zeta)) * arb(0.5)).mid()
        if converged:
            break
        converged = bool(_upper_norm(x - previous) < arb(2) ** (-ctx.prec // 2))
    return x


def _positive_definite(k: Balls) -> bool:
    """Proved by Schur complements (C2): K > 0 if and only if K_11 > 0 and K_22 - K_21 K_11^-1 K_21^H > 0."""
    n = k.nrows()
    if n == 1:
        return bool(k[0, 0].real > 0)
    half, rows = n // 2, k.tolist()
    k11 = type(k)([row[:half] for row in rows[:half]])
    if not _positive_definite(k11):
        return False
    k21 = type(k)([row[:half] for row in rows[half:]])
    k22 = type(k)([row[half:] for row in rows[half:]])
    return _positive_definite(k22 - k21 * k11.solve(_ct(k21)))


def _hermitian_midpoint(c: Balls) -> Balls:
    """An exact Hermitian matrix near (C + C^H)/2."""
    rows = ((c + _ct(c)) * 0.5).mid().tolist()
    for i, row in enumerate(rows):
        row[i] = row[i].real
        for j in range(i):
            row[j] = rows[j][i].conjugate() if hasattr(rows[j][i], "conjugate") else rows[j][i]
    return type(c)(rows)


def _balls(x: np.ndarray, complex_: bool) -> Balls:
    """The matrix itself: every finite binary64 number is an exact ball."""
    from flint import acb_mat, arb_mat

    m, n = x.shape
    kind, scalar = (acb_mat, complex) if complex_ else (arb_mat, float)
    return kind(m, n, [scalar(value) for value in x.ravel()])


def _ct(x: Balls) -> Balls:
    return x.transpose().conjugate() if hasattr(x, "conjugate") else x.transpose()


def _eye_like(x: Balls) -> Balls:
    n = x.ncols()
    return type(x)(n, n, [int(i == j) for i in range(n) for j in range(n)])


def _widen(x: Balls, radius: float) -> Balls:
    """Every entry enlarged by the radius: |X_ij - U_ij| <= |X - U|."""
    from flint import acb, arb

    ball = arb(0, radius)
    if hasattr(x, "conjugate"):
        ball = acb(ball, ball)
    return type(x)(x.nrows(), x.ncols(), [entry + ball for entry in x.entries()])


def _upper_norm(x: Balls) -> Any:
    """Exact upper bound of the Frobenius norm, from ``abs_upper``: the square of a ball around 0 may be negative."""
    from flint import arb

    return sum((entry.abs_upper() ** 2 for entry in x.entries()), arb(0)).sqrt().upper()


def _lower_norm(x: Balls) -> Any:
    from flint import arb

    return sum((entry.abs_lower() ** 2 for entry in x.entries()), arb(0)).sqrt().lower()


def _distance(given: Balls, exact: Balls) -> tuple[float, float]:
    """Bounds of |given - exact| over all matrices in the balls."""
    return _down(_lower_norm(given - exact)), _up(_upper_norm(given - exact))


def _up(x: Any) -> float:
    """A binary64 number above: conversion rounds to nearest, one step outwards makes up for it."""
    return nextafter(float(x.upper()), inf)


def _down(x: Any) -> float:
    return max(0.0, nextafter(float(x.lower()), -inf))
