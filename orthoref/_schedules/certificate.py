"""What a schedule does to an interval of singular values, proved. Derivation: docs/derivations/schedules.

The image of an interval under a continuous function is an interval, and the image under a composition is the image of
the image: no dependence is lost, so the bounds below are sharp to the working precision. Each step needs the extrema of
one rational function, at the endpoints and at the real zeros of a polynomial with rational coefficients, which Arb
isolates. Equations (IMAGE), (SIGN), (AMP).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from fractions import Fraction
from functools import lru_cache
from math import inf, nextafter, sqrt
from typing import Any

from orthoref._schedules import balls
from orthoref._schedules.balls import ball, lower, upper
from orthoref._schedules.row import Number, Row, composed_slope, exact
from orthoref.errors import NotCertified, OutsideDomain

BITS = 256
LARGEST = 2**60  # beyond it a composition counts as divergent
SMALLEST = Fraction(1, 2**1100)  # below every float
REFINEMENTS = 60  # bisections for a threshold: to about 1e-12 relative


@dataclass(frozen=True)
class Interval:
    """Enclosure [low.lower, high.upper] of an image, with what is certainly attained in between.

    ``low`` and ``high`` are pairs of Fractions that enclose the exact minimum and maximum.
    """

    low: tuple[Fraction, Fraction]
    high: tuple[Fraction, Fraction]

    @property
    def outer(self) -> tuple[float, float]:
        """Bounds as floats, rounded outwards."""
        return _down(self.low[0]), _up(self.high[1])


@dataclass(frozen=True)
class Certificate:
    """What is proved about a schedule for singular values in [lower, upper], after normalization.

    Attributes
    ----------
    schedule : str
    lower, upper : float
    dtype : str or None
        Format that the coefficients were rounded to; None for the numbers as written.
    steps : int
    image : (float, float)
        Every singular value in [lower, upper] ends in here; both ends are attained to the last digit.
    after : tuple of (float, float)
        The same after each step.
    slope : float
        Derivative of the composition at 0: what happens to the smallest singular values.
    sign_safe : bool
        No singular value in (0, upper] changes its sign on the way. (Here and in ``highest`` and ``tolerated``, where a
        step has a pole at 0, as Newton's has, ``lower`` takes the place of 0.)
    highest : float
        Largest output of (0, upper].
    kept : float or None
        Smallest s such that all of [s, upper] ends at or above ``level``; None if upper itself does not.
    level : float
    tolerated : float
        Largest u such that (0, u] keeps its sign and ends at or below ``ceiling``, without going beyond the larger of
        2^60 and ``ceiling`` on the way: what may slip through the normalization. inf if no u below 2^60 is the largest.
    ceiling : float
    amplification : tuple of float
        Per step max (x/x_max)/(f(x)/f_max) on the interval that it sees (Nakatsukasa and Higham's d): a step is
        evaluated stably if this is a small number.
    steps_to : int or None
        Steps until [lower, upper] is within ``target`` of 1, going on past the last row as the schedule says; None if
        it does not get there.
    target : float
    """

    schedule: str
    lower: float
    upper: float
    dtype: str | None
    steps: int
    image: tuple[float, float]
    after: tuple[tuple[float, float], ...]
    slope: float
    sign_safe: bool
    highest: float
    kept: float | None
    level: float
    tolerated: float
    ceiling: float
    amplification: tuple[float, ...]
    steps_to: int | None
    target: float

    def text(self) -> str:
        """The certificate for people."""
        low, high = digits(self.image[0], ROUND_FLOOR), digits(self.image[1], ROUND_CEILING)
        sign = "kept" if self.sign_safe else "CHANGES for some singular value"
        kept = digits(self.kept, ROUND_CEILING, 4) if self.kept is not None else "none"
        highest, tolerated = digits(self.highest, ROUND_CEILING), digits(self.tolerated, ROUND_FLOOR)
        to = f"{self.steps_to}" if self.steps_to is not None else "not reached"
        lines = [
            f"{self.schedule}, {self.steps} steps, singular values in [{self.lower:.6g}, {self.upper:.6g}]",
            f"  output                       [{low}, {high}]",
            f"  sign on (0, {self.upper:.6g}]".ljust(31) + sign,
            f"  largest output of (0, {self.upper:.6g}]".ljust(31) + highest,
            f"  slope at 0                   {self.slope:.6g}",
            f"  >= {self.level:.6g} from".ljust(31) + kept,
            f"  <= {self.ceiling:.6g} up to".ljust(31)
            + f"{tolerated} (keeps its sign and ends at or below {self.ceiling:.6g})",
            "  amplification per step       " + " ".join(digits(d, ROUND_CEILING, 3) for d in self.amplification),
            f"  steps to 1 +- {self.target:.3g}".ljust(31) + to,
        ]
        return "\n".join(lines)


def certified(
    schedule: str,
    rows: tuple[Row, ...],
    further: tuple[Row, ...],
    lower: Number,
    upper: Number,
    *,
    dtype: str | None,
    level: Number,
    ceiling: Number,
    target: Number,
) -> Certificate:
    """The certificate of ``rows`` (already rounded to ``dtype``), ``steps_to`` by ``further``: Schedule.certify."""
    low, high = exact(lower), exact(upper)
    if not 0 <= low <= high <= LARGEST or not high:
        raise ValueError(f"[lower, upper] = [{lower}, {upper}] is not an interval in [0, 2^60]")
    level_, ceiling_, target_ = exact(level), exact(ceiling), exact(target)
    slope = composed_slope(rows)
    bottom = Fraction(0) if slope is not None else low
    with balls.precision(BITS):
        after = _images(rows, low, high)
        whole = _images(rows, bottom, high)
        return Certificate(
            schedule=schedule,
            lower=float(low),
            upper=float(high),
            dtype=dtype,
            steps=len(rows),
            image=after[-1].outer,
            after=tuple(image.outer for image in after[1:]),
            slope=_float(slope),
            sign_safe=_keeps_sign(rows, bottom, high),
            highest=whole[-1].outer[1],
            kept=_kept(rows, high, level_),
            level=float(level_),
            tolerated=_tolerated(rows, bottom, high, ceiling_),
            ceiling=float(ceiling_),
            amplification=tuple(_amplification(row, seen) for row, seen in zip(rows, after[:-1], strict=True)),
            steps_to=_steps_to(further, low, high, target_),
            target=float(target_),
        )


def outcome(rows: tuple[Row, ...], lower: Fraction, upper: Fraction) -> tuple[tuple[float, float], bool]:
    """Image of [lower, upper], and whether all of (0, upper] keeps its sign: the quick part of a certificate."""
    with balls.precision(BITS):
        return _images(rows, lower, upper)[-1].outer, _keeps_sign(rows, Fraction(0), upper)


def _images(rows: Iterable[Row], low: Fraction, high: Fraction, largest: Fraction | int = LARGEST) -> list[Interval]:
    """(IMAGE) The interval and its image after each step."""
    images = [Interval((low, low), (high, high))]
    for step, row in enumerate(rows):
        images.append(_image(row, images[-1]))
        if not _bounded(images[-1], largest):
            raise OutsideDomain(
                f"singular values in [{float(low):.6g}, {float(high):.6g}] diverge: step {step} of the schedule"
            )
    return images


def _bounded(seen: Interval, largest: Fraction | int = LARGEST) -> bool:
    return max(-seen.low[0], seen.high[1]) <= largest


def _image(row: Row, seen: Interval) -> Interval:
    """Image of one step. Its extrema are at the ends of the interval and at the critical points in between."""
    low, high = ball(*seen.low), ball(*seen.high)
    for pole in _both_signs(_poles(row)):
        if not (pole < low or pole > high):
            raise OutsideDomain(f"a step has a pole at x = {float(pole.mid()):.6g}")
    return _extremes(lambda x: _value(row, x), seen, _both_signs(_critical(row)))


def _keeps_sign(rows: Iterable[Row], lower: Fraction, upper: Fraction) -> bool:
    """(SIGN) N(t)/D(t) > 0 on the image of [lower, upper] at every step: then every x > 0 goes to an f(x) > 0."""
    seen = Interval((lower, lower), (upper, upper))
    for row in rows:
        factor = _factor(_without_zeros(row), seen)
        if factor.low[0] <= 0:
            if factor.low[1] < 0:
                return False
            if factor.low[1] == factor.low[0] == 0:
                return False
            raise NotCertified(f"the smallest value of f(x)/x on (0, {float(seen.high[1]):.6g}] is 0 to {BITS} bits")
        seen = _image(row, seen)
    return True


def _without_zeros(row: Row) -> Row:
    """Without the power of t in N, which is positive for x > 0."""
    first = next((i for i, c in enumerate(row.numerator) if c), 0)
    return Row(row.numerator[first:], row.denominator)


def _factor(row: Row, seen: Interval) -> Interval:
    """Image of f(x)/x = N(t)/D(t)."""
    points = (ball(Fraction(0)), *_both_signs(_critical_factor(row)))
    return _extremes(lambda x: _quotient(row, x * x), seen, points)


def _both_signs(points: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*points, *(-x for x in points))


def _extremes(f: Callable[[Any], Any], seen: Interval, critical: tuple[Any, ...]) -> Interval:
    """Enclosures of the least and the largest value, at the ends or at the critical points in between.

    A critical point that cannot be told from an end widens the outer bounds and does not count as attained.
    """
    low, high = ball(*seen.low), ball(*seen.high)
    attained = [f(x) for x in (low, high, *(x for x in critical if low < x < high))]
    possible = attained + [f(x) for x in critical if not (x < low or x > high)]
    return Interval(
        (min(lower(v) for v in possible), min(upper(v) for v in attained)),
        (max(lower(v) for v in attained), max(upper(v) for v in possible)),
    )


def _amplification(row: Row, seen: Interval) -> float:
    """(AMP) max over the interval of (x/x_max)/(|f(x)|/f_max) = (f_max/x_max)/min |f(x)/x|; inf where f vanishes."""
    factor, image = _factor(row, seen), _image(row, seen)
    smallest = factor.low[0] if factor.low[0] > 0 else -factor.high[1]
    if smallest <= 0:
        return inf
    largest = max(abs(image.low[0]), abs(image.high[1]))
    return _up(largest / max(-seen.low[1], seen.high[0]) / smallest)


def _kept(rows: tuple[Row, ...], upper: Fraction, level: Fraction) -> float | None:
    def holds(s: Fraction) -> bool:
        try:
            return _images(rows, s, upper)[-1].low[0] >= level
        except OutsideDomain:
            return False

    if not holds(upper):
        return None
    return _up(_threshold(holds, upper, Fraction(1, 2)))


def _tolerated(rows: tuple[Row, ...], lower: Fraction, upper: Fraction, ceiling: Fraction) -> float:
    largest = max(ceiling, Fraction(LARGEST))

    def holds(u: Fraction) -> bool:
        try:
            bounded = u >= lower and _images(rows, lower, u, largest)[-1].high[1] <= ceiling
            return bounded and _keeps_sign(rows, lower, u)
        except (NotCertified, OutsideDomain):
            return False

    if holds(upper):
        found = _threshold(holds, upper, Fraction(2))
        return inf if found >= LARGEST else _down(found)
    if lower:
        return _down(_bisect(holds, lower, upper)) if holds(lower) else 0.0
    low = upper
    while not holds(low):
        low /= 2
        if low < Fraction(1, 2**1000):
            return 0.0
    return _down(_bisect(holds, low, 2 * low))


def _threshold(holds: Callable[[Fraction], bool], good: Fraction, factor: Fraction) -> Fraction:
    """The last number, going from ``good`` by powers of ``factor``, for which a monotone statement is proved."""
    while holds(good * factor):
        good *= factor
        if good >= LARGEST or good < SMALLEST:
            return good
    return _bisect(holds, good, good * factor)


def _bisect(holds: Callable[[Fraction], bool], good: Fraction, bad: Fraction) -> Fraction:
    for _ in range(REFINEMENTS):
        middle = bad * Fraction(sqrt(good / bad))
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    nearest = Fraction(float(bad))  # the threshold itself, if that is a float
    return nearest if nearest and holds(nearest) else good


def _steps_to(rows: tuple[Row, ...], low: Fraction, high: Fraction, target: Fraction) -> int | None:
    seen = Interval((low, low), (high, high))
    for step, row in enumerate(rows):
        if seen.low[0] >= 1 - target and seen.high[1] <= 1 + target:
            return step
        try:
            seen = _image(row, seen)
        except OutsideDomain:
            return None
        if not _bounded(seen):
            return None
    return len(rows) if seen.low[0] >= 1 - target and seen.high[1] <= 1 + target else None


@lru_cache(maxsize=4096)
def _critical(row: Row) -> tuple[Any, ...]:
    """Positive zeros of f'."""
    with balls.precision(BITS):
        return tuple(balls.positive_zeros(_slope(row)))


def _slope(row: Row) -> list[Fraction]:
    """Numerator of f': f' D^2 = N D + 2t (N' D - N D'), a polynomial in t = x^2."""
    n, d = row.numerator, row.denominator
    return balls.plus(balls.times(n, d), balls.times((Fraction(0), Fraction(2)), balls.wronskian(n, d)))


@lru_cache(maxsize=4096)
def _slope_in_balls(row: Row) -> list[Any]:
    with balls.precision(BITS):
        return [ball(c) for c in _slope(row)]


@lru_cache(maxsize=4096)
def _critical_factor(row: Row) -> tuple[Any, ...]:
    """Positive zeros x = sqrt(t) of d(N/D)/dt."""
    with balls.precision(BITS):
        return tuple(balls.positive_zeros(balls.wronskian(row.numerator, row.denominator)))


@lru_cache(maxsize=4096)
def _poles(row: Row) -> tuple[Any, ...]:
    """Positive zeros of D."""
    with balls.precision(BITS):
        return tuple(balls.positive_zeros(row.denominator))


@lru_cache(maxsize=4096)
def _in_balls(row: Row) -> tuple[list[Any], list[Any]]:
    with balls.precision(BITS):
        return [ball(c) for c in row.numerator], [ball(c) for c in row.denominator]


def _value(row: Row, x: Any) -> Any:
    """f(x); of a ball by the mean value theorem too, so that balls shrink where f' is small."""
    value = x * _quotient(row, x * x)
    if x.is_exact():
        return value
    middle, t = x.mid(), x * x
    slope = balls.horner(_slope_in_balls(row), t) / balls.horner(_in_balls(row)[1], t) ** 2
    return value.intersection(middle * _quotient(row, middle * middle) + slope * (x - middle))


def _quotient(row: Row, t: Any) -> Any:
    numerator, denominator = _in_balls(row)
    value = balls.horner(numerator, t) / balls.horner(denominator, t)
    if not value.is_finite():
        raise OutsideDomain(f"a step has a pole at x^2 = {float(t.mid()):.6g}")
    return value


def digits(x: float, rounding: str, count: int = 7) -> str:
    """A number rounded in one direction only, so that what is printed is still proved."""
    return f"{float(Context(count, rounding).create_decimal_from_float(x)):.{count}g}"


def _float(x: Fraction | None) -> float:
    """Nearest float; inf for a pole and beyond the range."""
    try:
        return inf if x is None else float(x)
    except OverflowError:
        return inf


def _down(x: Fraction | float) -> float:
    y = float(x)
    return y if y == inf or y <= x else nextafter(y, -inf)


def _up(x: Fraction | float) -> float:
    y = float(x)
    return y if y >= x else nextafter(y, inf)
