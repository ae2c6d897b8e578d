"""What a schedule is: odd functions x N(x^2)/D(x^2), applied one after the other to the singular values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from operator import index
from typing import Any, Literal

from orthoref._schedules.certificate import Certificate, certified
from orthoref._schedules.row import Number, Row, composed_slope, exact

__all__ = ["Normalization", "Past", "Row", "Schedule"]

Kind = Literal["frobenius", "schatten4", "spectral", "aol", "none"]
Past = Literal["stop", "repeat", "cycle"]

MAX_STEPS = 1000
HORIZON = 200  # steps within which a certificate looks for its target


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
        return composed_slope(self.steps(steps))

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

    def certify(
        self,
        lower: Number,
        upper: Number = 1,
        *,
        steps: int | None = None,
        dtype: str | None = None,
        level: Number = "0.5",
        ceiling: Number = "1.5",
        target: Number = "0.001",
    ) -> Certificate:
        """Rigorous statements about what the schedule does to singular values in [lower, upper].

        Parameters
        ----------
        lower, upper : numbers or decimal strings
            Interval of normalized singular values, 0 <= lower <= upper. 0 for all small ones.
        steps : int, optional
            Steps to apply; the schedule's default.
        dtype : str, optional
            Format that the coefficients are rounded to before: "bfloat16", "float16", "tf32", "float32", "float64". The
            arithmetic remains exact: this is about the numbers, not about rounding on the way.
        level, ceiling, target : numbers
            Of ``kept``, ``tolerated`` and ``steps_to`` of the certificate.

        Returns
        -------
        Certificate

        Raises
        ------
        NotCertified
            A question lies so near its own boundary that 256 bits do not decide it.
        OutsideDomain
            A step of a rational schedule has a pole in the interval, or the interval is mapped beyond 2^60.
        ValueError
            An empty or negative interval, or steps that the schedule does not have.
        OverflowError
            A coefficient is beyond the range of ``dtype``.
        ModuleNotFoundError
            python-flint (extra ``certify``) is not installed.
        """
        chosen = self if dtype is None else self.rounded(dtype)
        further = chosen.rows if chosen.past == "stop" else chosen.steps(HORIZON)
        return certified(
            chosen.name,
            chosen.steps(steps),
            further,
            lower,
            upper,
            dtype=dtype,
            level=level,
            ceiling=ceiling,
            target=target,
        )
