"""One step of a schedule: an odd rational function with exact coefficients."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

from orthoref.formats import FORMATS

Number = int | float | str | Fraction


def exact(x: Number) -> Fraction:
    """A number as it was written: decimal strings and floats exactly, nothing that is not finite."""
    try:
        if isinstance(x, str) and abs(int((re.search(r"[eE]([-+]?\d+)", x) or "00")[1])) > 1000:
            raise ValueError
        value = Fraction(x)
        if abs(value) >= 2**1024:
            raise ValueError
        return value
    except (ValueError, OverflowError, TypeError, ZeroDivisionError):
        shown = f"{x!r:.60}" if not isinstance(x, int) else f"an integer of {x.bit_length()} bits"
        raise ValueError(f"{shown} is not a finite number of moderate size") from None


@dataclass(frozen=True)
class Row:
    """One step f(x) = x N(t)/D(t), t = x^2: coefficients of N and D from the constant term on, exactly as written."""

    numerator: tuple[Fraction, ...]
    denominator: tuple[Fraction, ...] = (Fraction(1),)

    def __post_init__(self) -> None:
        for part in ("numerator", "denominator"):
            object.__setattr__(self, part, tuple(exact(c) for c in getattr(self, part)))
        if not self.numerator or not any(self.denominator):
            raise ValueError("a row needs coefficients, and a denominator other than 0")

    def __call__(self, x: Any) -> Any:
        """f(x), in the arithmetic of x: Fractions are exact, floats and arrays take float coefficients."""
        rational = isinstance(x, (int, Fraction))
        return x * _horner(self.numerator, x * x, rational) / _horner(self.denominator, x * x, rational)

    @property
    def polynomial(self) -> bool:
        """Whether D = 1."""
        return self.denominator == (Fraction(1),)

    @property
    def degree(self) -> int:
        """Of the numerator x N(x^2)."""
        return 2 * len(self.numerator) - 1

    @property
    def slope(self) -> Fraction | None:
        """f'(0), None at a pole."""
        return self.numerator[0] / self.denominator[0] if self.denominator[0] else None

    def scaled(self, factor: Number) -> Row:
        """The row f(x/factor): coefficient a_k becomes a_k/factor^k."""
        c = exact(factor)
        if not c:
            raise ValueError("factor=0 cannot be divided by")
        return Row(
            tuple(a / c ** (2 * i + 1) for i, a in enumerate(self.numerator)),
            tuple(a / c ** (2 * i) for i, a in enumerate(self.denominator)),
        )

    def rounded(self, dtype: str) -> Row:
        """The coefficients rounded to a format, to nearest, ties to even."""
        return Row(*(tuple(round_to(a, dtype) for a in part) for part in (self.numerator, self.denominator)))


def composed_slope(rows: Iterable[Row]) -> Fraction | None:
    """Exact slope at 0 of the composition, None if a step has a pole there."""
    slopes = [row.slope for row in rows]
    finite = [slope for slope in slopes if slope is not None]
    return prod(finite, start=Fraction(1)) if len(finite) == len(slopes) else None


def round_to(x: Fraction, dtype: str) -> Fraction:
    """Round to a format, to nearest, ties to even; OverflowError beyond its range.

    >>> round_to(Fraction("3.4445"), "bfloat16")
    Fraction(55, 16)
    """
    try:
        of = FORMATS[dtype]
    except KeyError:
        raise ValueError(f"dtype={dtype!r} is not one of {', '.join(FORMATS)}") from None
    if not x:
        return x
    exponent = x.numerator.bit_length() - x.denominator.bit_length()  # of |x|, or one more
    if abs(x) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** max(exponent - of.bits + 1, of.smallest)
    rounded = round(x / unit) * unit
    if abs(rounded) >= Fraction(2) ** of.top:
        raise OverflowError(f"a number of about 2^{exponent} is beyond the range of {dtype}")
    return rounded


def _horner(coefficients: tuple[Fraction, ...], t: Any, rational: bool) -> Any:
    value: Any = 0 * t
    for c in reversed(coefficients):
        value = value * t + (c if rational else float(c))
    return value
