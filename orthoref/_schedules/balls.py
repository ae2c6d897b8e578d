"""Between exact Fractions and Arb's balls (python-flint, extra ``certify``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

from orthoref.errors import require


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Working precision of python-flint, which is global, restored on the way out."""
    require("flint", "certify")
    from flint import ctx

    with ctx.workprec(bits):
        yield


def ball(x: Fraction, high: Fraction | None = None) -> Any:
    """The ball of one number, or one that contains [x, high]."""
    from flint import arb, fmpq

    found = arb(fmpq(x.numerator, x.denominator))
    return found if high is None else found.union(ball(high))


def fraction(x: Any) -> Fraction:
    """An exact ball as a Fraction."""
    mantissa, exponent = x.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def lower(x: Any) -> Fraction:
    """Least element of a ball."""
    return fraction(x.lower())


def upper(x: Any) -> Fraction:
    """Largest element of a ball."""
    return fraction(x.upper())


def odd(coefficients: Sequence[Any], x: Any) -> Any:
    """The value sum c_k x^(2k+1)."""
    return x * horner(coefficients, x * x)


def horner(coefficients: Sequence[Any], t: Any) -> Any:
    """The value sum c_k t^k of a polynomial with ball coefficients."""
    value = 0 * t
    for c in reversed(coefficients):
        value = value * t + c
    return value


def positive_zeros(coefficients: Sequence[Fraction]) -> list[Any]:
    """Balls of x = sqrt(t), ascending, one for each positive zero t of sum c_k t^k."""
    from flint import fmpq, fmpq_poly

    p = fmpq_poly([fmpq(c.numerator, c.denominator) for c in coefficients])
    if p.degree() < 1:
        return []
    # Arb isolates all complex zeros; the real ones have an imaginary part of exactly 0
    real = [z.real for z, _ in p.numer().complex_roots() if z.imag.is_zero()]
    return sorted((t.sqrt() for t in real if t > 0), key=lower)


def times(p: Sequence[Fraction], q: Sequence[Fraction]) -> list[Fraction]:
    """Coefficients of a product."""
    found = [Fraction(0)] * (len(p) + len(q) - 1)
    for i, x in enumerate(p):
        for j, y in enumerate(q):
            found[i + j] += x * y
    return found


def derivative(p: Sequence[Fraction]) -> list[Fraction]:
    """Coefficients of p'."""
    return [k * c for k, c in enumerate(p)][1:] or [Fraction(0)]


def wronskian(p: Sequence[Fraction], q: Sequence[Fraction]) -> list[Fraction]:
    """Coefficients of p' q - p q', the numerator of (p/q)'."""
    return [x - y for x, y in _padded(times(derivative(p), q), times(p, derivative(q)))]


def plus(p: Sequence[Fraction], q: Sequence[Fraction]) -> list[Fraction]:
    """Coefficients of a sum."""
    return [x + y for x, y in _padded(p, q)]


def _padded(p: Sequence[Fraction], q: Sequence[Fraction]) -> Iterator[tuple[Fraction, Fraction]]:
    length = max(len(p), len(q))
    zero = Fraction(0)
    return zip([*p, *[zero] * (length - len(p))], [*q, *[zero] * (length - len(q))], strict=True)
