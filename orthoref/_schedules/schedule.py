"""What a schedule is: odd functions x N(x^2)/D(x^2), applied one after the other to the singular values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from operator import index
from typing import Any, Literal

Number = int | float | str | Fraction
Kind = Literal["frobenius", "schatten4", "spectral", "aol", "none"]
Past = Literal["stop", "repeat", "cycle"]

MAX_STEPS = 1000
FORMATS = {  # significand bits, smallest exponent of the last place
    "bfloat16": (8, -133),
    "float16": (11, -24),
    "tf32": (11, -136),
    "float32": (24, -149),
    "float64": (53, -1074),
}
LARGEST_EXPONENT = {"float16": 16, "float64": 1024, "bfloat16": 128, "tf32": 128, "float32": 128}


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


@dataclass(frozen=True)
class Normalization:
    """What is divided by before the first step, factor |A| + eps (or the larger of factor |A| and eps).

    Attributes
    ----------
    kind : {"frobenius", "schatten4", "spectral", "aol", "none"}
        |A|_F; |A A^H|_F^(1/2); |A|_2; X = diag(s) A with s_i = (sum_j |(A A^H)_ij|)^(-1/2) on the smaller side, which
        changes the singular vectors; nothing.
    factor : Fraction
        Safety factor in front of the norm.
    """

    kind: Kind = "frobenius"
    factor: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if self.kind not in ("frobenius", "schatten4", "spectral", "aol", "none"):
            raise ValueError(f"normalization {self.kind!r} is not one of frobenius, schatten4, spectral, aol, none")
        object.__setattr__(self, "factor", exact(self.factor))
        if self.factor <= 0:
            raise ValueError(f"factor={self.factor} is not positive")

    def __str__(self) -> str:
        return self.kind if self.factor == 1 else f"{self.kind} x {float(self.factor):.10g}"


@dataclass(frozen=True)
class Schedule:
    """A named sequence of odd functions that is to take every singular value to 1.

    Attributes
    ----------
    name : str
    rows : tuple of Row
        In the order of application, with the coefficients exactly as written (Fractions).
    normalization : Normalization
        What the coefficients assume of their input.
    past : {"stop", "repeat", "cycle"}
        What happens when more steps are asked for than there are rows: an error, the last row again, all rows again.
    default_steps : int
        Number of steps when none is asked for.
    source : str
        Where the numbers were published and how they came about.
    """

    name: str
    rows: tuple[Row, ...]
    normalization: Normalization = Normalization()
    past: Past = "stop"
    default_steps: int = 0
    source: str = ""

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError(f"schedule {self.name!r} has no rows")
        for row in self.rows:
            if not isinstance(row, Row):
                raise TypeError(f"schedule {self.name!r}: {row!r} is no Row; Schedule.of takes lists of coefficients")
        if self.past not in ("stop", "repeat", "cycle"):
            raise ValueError(f"past={self.past!r} is not one of stop, repeat, cycle")
        if self.default_steps < 0:
            raise ValueError(f"default_steps={self.default_steps} is negative")
        if not self.default_steps:
            object.__setattr__(self, "default_steps", len(self.rows))

    @classmethod
    def of(cls, name: str, coefficients: Sequence[Sequence[Number]], **options: Any) -> Schedule:
        """From lists (a, b, c, ...) of a x + b x^3 + c x^5 + ...; strings keep decimals exact, floats are binary."""
        return cls(name, tuple(Row(tuple(exact(c) for c in row)) for row in coefficients), **options)

    def steps(self, count: int | None = None) -> tuple[Row, ...]:
        """The rows that ``count`` steps apply.

        Raises
        ------
        ValueError
            Negative, more than 1000, or more than there are rows where the schedule stops.
        """
        asked = count = self.default_steps if count is None else count
        try:
            count = -1 if isinstance(count, bool) else index(count)
        except TypeError:
            count = -1
        if count < 0:
            raise ValueError(f"steps={asked!r} is not a number of steps")
        if count > MAX_STEPS:
            raise ValueError(f"steps={count} is more than {MAX_STEPS}")
        last = len(self.rows)
        if count > last and self.past == "stop":
            raise ValueError(f"steps={count}: schedule {self.name!r} has {last} rows and does not say what comes after")
        if self.past == "cycle":
            return tuple(self.rows[i % last] for i in range(count))
        return tuple(self.rows[min(i, last - 1)] for i in range(count))

    def __call__(self, x: Any, steps: int | None = None) -> Any:
        """The composed scalar function at x: a float, a Fraction (exact) or an array."""
        for row in self.steps(steps):
            x = row(x)
        return x

    def coefficients(self, steps: int | None = None) -> list[tuple[float, ...]]:
        """(a, b, c, ...) of every step as the nearest floats, for a polynomial schedule."""
        self.require_polynomial()
        return [tuple(float(c) for c in row.numerator) for row in self.steps(steps)]

    def slope(self, steps: int | None = None) -> Fraction | None:
        """Exact slope of the composed function at 0, None if a step has a pole there."""
        slopes = [row.slope for row in self.steps(steps)]
        finite = [slope for slope in slopes if slope is not None]
        return prod(finite, start=Fraction(1)) if len(finite) == len(slopes) else None

    def rounded(self, dtype: str) -> Schedule:
        """The schedule with coefficients rounded to bfloat16, float16, tf32, float32 or float64."""
        return replace(self, name=f"{self.name} in {dtype}", rows=tuple(row.rounded(dtype) for row in self.rows))

    def scaled(self, factor: Number, *, last: bool = True) -> Schedule:
        """Every row (without ``last``: all but the last) with x/factor for x: a safety factor after the design."""
        kept = len(self.rows) if last else len(self.rows) - 1
        rows = tuple(row.scaled(factor) if i < kept else row for i, row in enumerate(self.rows))
        return replace(self, rows=rows)

    def require_polynomial(self) -> None:
        """ValueError for a rational schedule."""
        if not all(row.polynomial for row in self.rows):
            raise ValueError(f"schedule {self.name!r} is rational: it has no list of polynomial coefficients")

    def certify(self, lower: Number, upper: Number = 1, **options: Any) -> Any:
        """Rigorous statements about [lower, upper]: see :func:`orthoref.schedules.certify`."""
        from orthoref._schedules.certificate import certify

        return certify(self, lower, upper, **options)


def round_to(x: Fraction, dtype: str) -> Fraction:
    """Round to a format, to nearest, ties to even; OverflowError beyond its range.

    >>> round_to(Fraction("3.4445"), "bfloat16")
    Fraction(55, 16)
    """
    try:
        bits, smallest = FORMATS[dtype]
    except KeyError:
        raise ValueError(f"dtype={dtype!r} is not one of {', '.join(FORMATS)}") from None
    if not x:
        return x
    exponent = x.numerator.bit_length() - x.denominator.bit_length()  # of |x|, or one more
    if abs(x) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** max(exponent - bits + 1, smallest)
    rounded = round(x / unit) * unit
    if abs(rounded) >= Fraction(2) ** LARGEST_EXPONENT[dtype]:
        raise OverflowError(f"a number of about 2^{exponent} is beyond the range of {dtype}")
    return rounded


def _horner(coefficients: tuple[Fraction, ...], t: Any, rational: bool) -> Any:
    value: Any = 0 * t
    for c in reversed(coefficients):
        value = value * t + (c if rational else float(c))
    return value
