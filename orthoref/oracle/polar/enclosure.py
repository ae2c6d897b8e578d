"""Balls that contain the exact polar factors, and bounds of the errors of given ones.

Nothing here trusts an iteration: an approximation is found by any means, and a theorem about its residuals, evaluated
in ball arithmetic, bounds the distance to the exact result. Theorem and proof: docs/derivations/certificate, equations
(C1) to (C5).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, Literal

import numpy as np

from orthoref.errors import NotCertified, require
from orthoref.oracle.balls import (
    Balls,
    ct,
    distance,
    down,
    exact_balls,
    eye_like,
    one_finite,
    up,
    upper_norm,
    widen,
)


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

    a, u, h = (None if x is None else one_finite(name, x) for name, x in (("a", a), ("u", u), ("h", h)))
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
                exact = exact_balls(a, complex_)
                x, radius, sigma_min = _enclose(exact if m >= n else ct(exact))
                x = x if m >= n else ct(x)
                if radius <= 10.0**-digits:
                    u_balls = widen(x, radius)
                    h_balls = ct(u_balls) * exact if side == "right" else exact * ct(u_balls)
                    return PolarCertificate(
                        u_balls,
                        h_balls,
                        radius,
                        sigma_min,
                        None if u is None else distance(exact_balls(u, complex_), u_balls),
                        None if h is None else distance(exact_balls(h, complex_), h_balls),
                        bits,
                    )
                failure = f"radius {radius:.3g} with {bits} bits"
            except (ZeroDivisionError, NotCertified) as error:
                failure = f"{error} with {bits} bits"
        bits *= 2
    raise NotCertified(f"the polar factor of the {m} x {n} matrix could not be enclosed to {digits} digits: {failure}")


def _enclose(a: Balls) -> tuple[Balls, float, float]:
    """X, r, s with |X - U| <= r and sigma_n(A) >= s for an exact a with at least as many rows as columns."""
    if a.ncols() == 0:
        return a, 0.0, inf
    x = _approximate(a)
    e = upper_norm(ct(x) * x - eye_like(x))
    if not e < 1:
        raise NotCertified("the approximate factor is not orthonormal")
    k = _hermitian_midpoint(ct(x) * a)
    if not _positive_definite(k):
        raise NotCertified("the Hermitian factor was not shown to be positive definite")
    smallest = 1 / upper_norm(k.inv())  # (C3)
    d = upper_norm(a - x * k) + e * upper_norm(k)  # (C4)
    if not d < smallest:
        raise NotCertified(f"residual {float(d):.3g} against sigma_min {float(smallest):.3g}")
    return x, up(2 * d / (2 * smallest - d) + e), down(smallest - d)  # (C5)


def _approximate(a: Balls) -> Balls:
    """Midpoints of Newton iterates X <- (zeta X + X (X^H X)^-1/zeta)/2 with Frobenius scaling; nothing is proved."""
    from flint import arb, ctx

    x, converged = a.mid(), False
    for _ in range(12 * ctx.prec.bit_length()):
        y = (x * (ct(x) * x).inv()).mid()
        zeta = (upper_norm(y) / upper_norm(x)).sqrt().mid()
        if abs(float(zeta) - 1) < 1e-2:
            zeta = arb(1)
        previous, x = x, ((x * zeta + y * (1 / zeta)) * arb(0.5)).mid()
        if converged:
            break
        converged = bool(upper_norm(x - previous) < arb(2) ** (-ctx.prec // 2))
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
    return _positive_definite(k22 - k21 * k11.solve(ct(k21)))


def _hermitian_midpoint(c: Balls) -> Balls:
    """An exact Hermitian matrix near (C + C^H)/2."""
    rows = ((c + ct(c)) * 0.5).mid().tolist()
    for i, row in enumerate(rows):
        row[i] = row[i].real
        for j in range(i):
            row[j] = rows[j][i].conjugate() if hasattr(rows[j][i], "conjugate") else rows[j][i]
    return type(c)(rows)
