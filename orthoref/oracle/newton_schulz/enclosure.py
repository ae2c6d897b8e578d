"""Balls that contain the exact result of a finite Newton-Schulz iteration: the iteration, carried out in balls."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, Literal

import numpy as np

from orthoref._schedules import balls
from orthoref._schedules.schedule import Normalization, Schedule
from orthoref.errors import NotCertified, require
from orthoref.oracle.balls import Balls, ct, distance, exact_balls, eye_like, one_finite, up, upper_norm
from orthoref.oracle.newton_schulz.claim import Iteration, iteration


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

    claimed = iteration(schedule, steps=steps, normalize=normalize, eps=eps, eps_rule=eps_rule)
    a, x = (None if y is None else one_finite(name, y) for name, y in (("a", a), ("x", x)))
    if x is not None and x.shape != a.shape:
        raise ValueError(f"x has shape {x.shape}, not {a.shape}")
    if not 1 <= digits <= 300:
        raise ValueError(f"digits={digits!r} is not in 1..300: the radius is reported as a binary64 number")
    complex_ = any(y is not None and np.iscomplexobj(y) for y in (a, x))
    tall = a.shape[0] > a.shape[1]
    bits, radius = 64 + 4 * digits, inf
    while bits <= max_bits:
        with ctx.workprec(bits):
            exact = exact_balls(a if tall else a.conj().T, complex_)
            result = _iterated(exact, claimed) if a.any() else exact
            result = result if tall else ct(result)
            radius = up(upper_norm(result - result.mid()))
            if radius <= 10.0**-digits:
                error = None if x is None else distance(exact_balls(x, complex_), result)
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
        gram = ct(x) * x
        eye = eye_like(x)
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
    gram = ct(a) * a
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
