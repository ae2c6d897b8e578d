"""How far rounding moves the result of a finite Newton-Schulz iteration. Derivation: docs/derivations/newton_schulz.

To first order, every matrix that is stored and every sum that is accumulated adds a small random matrix, and the
derivative of the remaining iteration carries it to the end. In the singular bases P, V of the normalized input that
derivative multiplies entry by entry. So the variance of every entry of P^H E V (``inside``), and that of the entries of
each column of the rest of E V, which is orthogonal to P (``outside``), are sums over sources:

- (NORM-ERROR), (AOL-ERROR): :class:`Norm`, :class:`ColumnNorms`, what the input was divided by
- (SOURCES), (ACCUMULATED), (REPEAT): :class:`Sources`, what one stored matrix or one product adds
- ``_step`` and ``_segment``: the sources of a step of the standard form, of the steps between two restarts (GRAM-ERROR)
- (CARRY): :class:`Carry`, to the end
- (SHAKEN): :func:`shaken`, beyond first order
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from orthoref._schedules.row import Row
from orthoref.formats import FORMATS
from orthoref.oracle.precision import Precision

COHERENT = 7.0  # a sum of k equal terms errs by kv/7: half of them fall into the last binade, and round alike
KNOWN = 2.0**-40  # relative: finer differences of the entries of X_0 may come from its computation
PARTS = 16  # of a sum, between which its partial sums are taken to grow linearly
BLOCK = 2**16  # numbers of which all waves are taken at once
GRIDS = 8  # positions of the grid of rounding over which (REPEAT) is averaged


class Arithmetic(NamedTuple):
    """Unit roundoff of the format and of the accumulation, half the smallest subnormal number of the format."""

    u: float
    v: float
    w: float

    @classmethod
    def of(cls, precision: Precision) -> Arithmetic:
        """Of a precision."""
        return cls(precision.eps / 2, FORMATS[precision.name].accumulation, precision.tiny / 2)


class Variance(NamedTuple):
    """Of the entries of P^H E V; of the entries of each column of the part of E V orthogonal to P."""

    inside: np.ndarray
    outside: np.ndarray

    def plus(self, other: Variance) -> Variance:
        """Of the sum of independent errors."""
        return Variance(self.inside + other.inside, self.outside + other.outside)

    def of_all(self, variance: float) -> Variance:
        """With a variance that every entry has in addition."""
        return Variance(self.inside + variance, self.outside + variance)

    def longest(self, rows: int) -> float:
        """Largest row and column of standard deviations, together: the spectral norm of independent entries."""
        squares = self.inside.sum(axis=0) + (rows - len(self.inside)) * self.outside, self.inside.sum(axis=1)
        return float(sum(np.sqrt(np.max(each, initial=0.0)) for each in squares))

    def at_least(self, other: Variance) -> Variance:
        """The larger of both, entry by entry."""
        return Variance(np.maximum(self.inside, other.inside), np.maximum(self.outside, other.outside))

    def of_diagonal(self, variance: np.ndarray | float) -> Variance:
        """With variances that the entries (i, i) have in addition: of factors of the singular values."""
        return Variance(self.inside + np.diag(np.broadcast_to(variance, self.outside.shape)), self.outside)


@dataclass(frozen=True)
class Exact:
    """The exact iteration in the bases P, V: singular values of X_0, X_1, ..., coefficients, ends of the segments."""

    p: np.ndarray
    vh: np.ndarray
    values: list[np.ndarray]
    coefficients: list[np.ndarray]
    form: str
    restart: tuple[int, ...]

    @classmethod
    def of(cls, x: np.ndarray, rows: Sequence[Row], form: str, restart: Collection[int]) -> Exact:
        """From X_0, (m, n) with m >= n."""
        p, s, vh = np.linalg.svd(x, full_matrices=False)
        coefficients = [np.asarray([float(c) for c in row.numerator]) for row in rows]
        return cls(p, vh, iterate(s, coefficients), coefficients, form, tuple(sorted(restart)))

    def segments(self) -> Iterator[tuple[int, int]]:
        """The steps k, ..., l - 1 between two X that are formed, X_k and X_l."""
        count = len(self.coefficients)
        return pairwise([0, *self.restart, count] if self.form == "gram" else range(count + 1))


class Expected(NamedTuple):
    """Exact result and mean square of its rounding error, entry by entry, in the singular bases P, V of the input.

    The input is P diag(s) V^H, the result P diag(f) V^H; ``inside[i, j]`` is the variance of entry (i, j) of P^H E V,
    ``outside[j]`` that of every entry of column j of the part of E V orthogonal to P. ``stored`` are the standard
    deviations of the entries (i, i) of the errors made on the way to each X_k that is formed, by k; ``longest`` their
    largest row and column, together, and for X_0 those of storing.
    """

    p: np.ndarray
    s: np.ndarray
    f: np.ndarray
    vh: np.ndarray
    inside: np.ndarray
    outside: np.ndarray
    rows: int
    stored: dict[int, np.ndarray]
    longest: dict[int, float]
    exact: Exact
    sources: Sources
    norm: Norm | ColumnNorms

    def total(self) -> float:
        """Root mean square of |E|_F."""
        n = len(self.f)
        return float(np.sqrt(self.inside.sum() + (self.rows - n) * self.outside.sum()))


@dataclass(frozen=True)
class Norm:
    """(NORM-ERROR) One divisor, X_0 = A/t; ``spectral``: of a singular value."""

    t: float = 1.0
    spectral: bool = False

    def error(self, sources: Sources, carry: Carry, exact: Exact) -> np.ndarray:
        """Variances at the end: t has the errors of the sum of squares, the root, the factor and eps."""
        u, v, _ = sources.arithmetic
        count, s = sources.m * sources.n, exact.values[0]
        sums = count / 12 + alike(sources.x, v * count / 2) * (count / COHERENT / 2) ** 2
        of_value = neglected(s, 2 * v) ** 2 / 16 if self.spectral else 0.0
        return np.diag((3 * u**2 + v**2 * sums + of_value) * carry.along(s))


def neglected(s: np.ndarray, eps: float) -> float:
    """(NEGLECTED) Bound of the relative error of the largest singular value that LAPACK's dqds leaves."""
    if len(s) < 2 or not s[0] > 0:
        return 0.0
    gap, e = float(1 - s[1] / s[0]), 100 * eps
    return 2 * e**2 / (gap + (gap**2 + 4 * e**2) ** 0.5)


@dataclass(frozen=True)
class ColumnNorms:
    """(AOL-ERROR) A divisor for each column, X_0 = A diag(t)^-1, and the variances of their relative errors."""

    t: np.ndarray
    relative: np.ndarray

    @classmethod
    def of(cls, a: np.ndarray, t: np.ndarray, precision: Precision, factor: float = 1.0) -> ColumnNorms:
        """Divisors t_k = factor (sum_j |a_k^H a_j| + eps)^(1/2) of the columns a_k of A.

        The computed modulus of a product of two columns is too large on average where it is small beside its error.
        """
        m, n = a.shape
        arithmetic = u, v, w = Arithmetic.of(precision)
        if not a.any():
            return cls(t, np.zeros(n))
        power, root = 1 - int(np.frexp(np.max(np.abs(a)))[1]), t / factor
        for half in (power // 2, power - power // 2):
            a, root = a * 2.0**half, root * 2.0**half
        gram = np.abs(a.conj().T @ a)
        variance = u**2 * gram**2 + v**2 * accumulated(a) + w**2
        sums, bias = gram.sum(axis=1), np.sum(np.hypot(gram, np.sqrt(variance)) - gram, axis=1)
        same = v**2 * n / 12 + _same(gram, gram, n, arithmetic) + _same(gram, a, m, arithmetic._replace(u=0.0))
        with np.errstate(all="ignore"):  # infinite where nothing is left of a column
            relative = (variance.sum(axis=1) + bias**2 + same * sums**2) / (4 * root**4)
        return cls(t, np.where(gram.diagonal() > 0, 3 * u**2 + relative, 0.0))

    def error(self, sources: Sources, carry: Carry, exact: Exact) -> np.ndarray:
        """Variances at the end of E = X_0 diag(d), d_k independent; the same for equal entries."""
        s, weights = exact.values[0], np.abs(exact.vh) ** 2
        x, y = s[:, None], s[None, :]
        either = (weights * self.relative) @ weights.T
        independent = (carry.minus[0] * (x + y) / 2 + carry.plus[0] * (x - y) / 2) ** 2 * either
        same = sources.entries_alike * float(np.max(self.relative, initial=0.0))
        return independent + np.diag(same * carry.along(s))

    def shaken(self, exact: Exact) -> float:
        """(SHAKEN) How far four times their errors, one sign for all, move the result."""
        s, worst = exact.values[0], 0.0
        for sign in (4, -4):
            t_squared = np.maximum(1 + 2 * sign * np.sqrt(self.relative), 0)  # where it may be 0, X may be anything
            moved = (exact.p * s) @ (exact.vh / np.sqrt(t_squared))
            if not np.all(np.abs(moved) < 1e100):
                return float("inf")
            p, moved_s, vh = np.linalg.svd(moved, full_matrices=False)
            f = iterate(moved_s, exact.coefficients)[-1]
            away = float(np.linalg.norm((p * f) @ vh - (exact.p * exact.values[-1]) @ exact.vh))
            worst = max(worst, away if np.isfinite(away) else float("inf"))
        return worst


def expected(
    x: np.ndarray,
    rows: Sequence[Row],
    precision: Precision,
    form: str = "standard",
    restart: Collection[int] = (),
    norm: Norm | ColumnNorms | None = None,
) -> Expected:
    """Result and error of the iteration from a normalized matrix x, (m, n) with m >= n, in float64.

    ``norm`` is what it was divided by, :class:`Norm` or :class:`ColumnNorms`; 1 by default.
    """
    norm = norm or Norm()
    exact = Exact.of(x, rows, form, restart)
    s, arithmetic = exact.values[0], Arithmetic.of(precision)
    if not s.any():
        arithmetic = arithmetic._replace(w=0.0)  # zero has no underflow
    sources = Sources(x, exact.p, exact.vh, arithmetic)
    square = x.shape[0] == x.shape[1]  # either side is the smaller one
    other = Sources(x.conj().T, exact.vh.conj().T, exact.p.conj().T, arithmetic) if square else None
    carry = Carry(exact.values, exact.coefficients, not np.iscomplexobj(x))
    u, _, w = arithmetic

    # A and its quotient by t are stored
    underflow = w**2 + float(np.mean((w / np.asarray(norm.t)) ** 2))
    start = sources.nothing().of_all(2 * u**2 * _square(s) / x.size + underflow)
    error = carry.to_end(0, start.of_diagonal(2 * u**2 * sources.entries_alike * s**2))
    error = error._replace(inside=error.inside + norm.error(sources, carry, exact))
    stored, longest = {}, {0: start.longest(len(x))}
    for k, end in exact.segments():
        local = _step if form == "standard" else _segment
        made = local(exact.values[k : end + 1], exact.coefficients[k:end], sources)
        if other:
            turned = local(exact.values[k : end + 1], exact.coefficients[k:end], other)
            made = made.at_least(turned._replace(inside=turned.inside.T))
        made = made.of_diagonal(u**2 * sources.entries_alike * exact.values[end] ** 2).of_all(w**2)
        stored[end], longest[end] = np.sqrt(np.diagonal(made.inside)), made.longest(len(x))
        error = error.plus(carry.to_end(end, made))
    return Expected(exact.p, s, exact.values[-1], exact.vh, *error, len(x), stored, longest, exact, sources, norm)


@np.errstate(all="ignore")  # what overflows is infinite
def shaken(error: Expected) -> float:
    """(SHAKEN) How far single errors of several times their size move the result, to all orders.

    They are errors 4u of every iterate, the same for all singular values; those of one singular value in a step, twice
    their size, and a quarter of what four times their size does; of one eigenvalue of a Gram matrix in the Gram form;
    of the divisors of the columns. That is far more than to first order where the schedule does not tolerate what they
    let through.
    """
    exact, u = error.exact, error.sources.arithmetic.u
    values = exact.values

    def moved(x: np.ndarray, k: int) -> np.ndarray:
        return _infinite(np.abs(iterate(x, exact.coefficients[k:])[-1] - values[-1]))

    found = [0.0]
    for k in range(len(exact.coefficients)):
        found += [float(np.linalg.norm(moved(values[k] * (1 + shift), k))) for shift in (4 * u, -4 * u)]
    for k, deviation in error.stored.items():
        for times, weight in ((2, 1.0), (-2, 1.0), (4, 0.25), (-4, 0.25)):
            found.append(weight * float(np.max(moved(values[k] + times * deviation, k), initial=0.0)))
    if isinstance(error.norm, ColumnNorms):
        found.append(error.norm.shaken(exact))
    if exact.form == "gram":
        for x, end in shaken_grams(error):
            found.append(float(np.max(moved(x, end), initial=0.0)))
    return max(found)


def shaken_grams(error: Expected) -> Iterator[tuple[np.ndarray, int]]:
    """Singular values of the X_l formed next where the eigenvalues of one G_k have moved, and l."""
    values, coefficients = error.exact.values, error.exact.coefficients
    for start, end in error.exact.segments():
        for k in range(start, end):
            gram = values[k] ** 2
            variance = (
                error.sources.gram(values[k])
                if k == start
                else error.sources.next_gram(coefficients[k - 1], values[k - 1] ** 2)
            )
            size = max(4, 2 * len(gram) ** 0.5) * variance**0.5  # the norm of a matrix of independent entries
            for shift in (size, -size):
                q, t = np.ones_like(gram), values[start] ** 2
                for step in range(start, end):
                    t = t + shift if step == k else t
                    p = value(coefficients[step], t)
                    q, t = q * p, t * p**2
                yield values[start] * q, end


class Carry:
    """(CARRY) Divided differences of the composition of the steps from k on: f[s_i, s_j], f[s_i, -s_j], f[s_j, 0]."""

    def __init__(self, values: list[np.ndarray], coefficients: list[np.ndarray], real: bool) -> None:
        n, self.real = len(values[0]), real
        self.minus = [np.ones((n, n))]
        self.plus = [np.ones((n, n))]
        self.zero = [np.ones(n)]
        for s, c in zip(values[-2::-1], coefficients[::-1], strict=True):
            self.minus.insert(0, self.minus[0] * _difference(c, s[:, None], s[None, :]))
            self.plus.insert(0, self.plus[0] * _difference(c, s[:, None], -s[None, :]))
            self.zero.insert(0, self.zero[0] * value(c, s**2))

    def to_end(self, k: int, before: Variance) -> Variance:
        """Variances at the end, of independent entries with these variances before step k."""
        inside, outside = before
        even, odd = (inside + inside.T) / 4, (inside - inside.T) / 4
        minus, plus = self.minus[k], self.plus[k]
        if self.real:  # the diagonal has no skew part
            plus = np.where(np.eye(len(plus), dtype=bool), minus, plus)
        return Variance((minus**2 + plus**2) * even + 2 * minus * plus * odd, self.zero[k] ** 2 * outside)

    def along(self, s: np.ndarray) -> np.ndarray:
        """(f'(s_i) s_i)^2, of a relative error of X_0."""
        result: np.ndarray = (s * np.diagonal(self.minus[0])) ** 2
        return result


class Sources:
    """(SOURCES) What storing and accumulating add, for the iterates of one X_0.

    s are singular values, t = s^2, y and z eigenvalues of matrices of order n that commute with X_0^H X_0, in the order
    of the columns of V.
    """

    def __init__(self, x: np.ndarray, p: np.ndarray, vh: np.ndarray, arithmetic: Arithmetic) -> None:
        (self.m, self.n), self.x, self.arithmetic = x.shape, x, arithmetic
        self.left, self.right = accumulated(p), accumulated(vh.conj().T)

    @cached_property
    def entries_alike(self) -> float:
        """(REPEAT) Of the entries of X_0 as they are stored."""
        return alike(self.x, 2 * self.arithmetic.u)

    @cached_property
    def first_gram(self) -> np.ndarray:
        """X_0^H X_0."""
        return self.x.conj().T @ self.x

    @cached_property
    def gram_alike(self) -> float:
        """(REPEAT) Mean square of the relative error that all entries of X^H X have in common."""
        return _same(self.first_gram, self.x, self.m, self.arithmetic)

    @cached_property
    def product_alike(self) -> float:
        """(REPEAT) The same of a product of order n."""
        return _same(self.first_gram, self.first_gram, self.n, self.arithmetic)

    @cached_property
    def terms_alike(self) -> float:
        """(REPEAT) Mean square of the relative errors of sums of equal terms that are not themselves equal."""
        v = self.arithmetic.v
        sums = _same(self.first_gram, self.x, self.m, Arithmetic(0.0, v, 0.0))
        return sums * (1 - alike(self.first_gram, v * self.m))

    def nothing(self) -> Variance:
        """No error."""
        return Variance(np.zeros((self.n, self.n)), np.zeros(self.n))

    def summed(self, y: np.ndarray, z: np.ndarray) -> float:
        """(ACCUMULATED) Of |E|_F^2 for the product of Y, with these singular values, and Z."""
        return float(self.arithmetic.v**2 * (y**2 @ self.right @ z**2))

    def added(self, y: np.ndarray, c0: float, tail: np.ndarray) -> float:
        """Of |E|_F^2 for c_0 Y + Y S: both terms stored, Y S accumulated."""
        return self.arithmetic.u**2 * (c0**2 * _square(y) + _square(y * tail)) + self.summed(y, tail)

    def in_other_orders(self, s: np.ndarray, c: np.ndarray) -> Variance:
        """(ORDERS) Of X P with P = c_0 I + S formed, or of c_0 X + c_1 X G + c_2 (X G) G + ... term after term."""
        u, t, size = self.arithmetic.u, s**2, self.m * self.n
        p, summed = value(c, t), self.summed(s, _tail(c, t)) / size
        chain = self.nothing().of_all(u**2 / 3 * float(np.sum(chained(s, c))) / size + summed)
        formed = self.nothing().of_all(u**2 / 3 * _square(s * p) / size + summed)
        of_p = u**2 / 3 * _square(p) / self.n**2
        return chain.at_least(formed._replace(inside=formed.inside + t[:, None] * of_p))

    def gram(self, s: np.ndarray) -> float:
        """Of one entry of X^H X."""
        u, v, w = self.arithmetic
        summed = v**2 * (s**2 @ self.left @ s**2) + self.terms_alike * _square(s**2)
        return float(u**2 * _square(s**2) + summed) / self.n**2 + w**2

    def next_gram(self, c: np.ndarray, t: np.ndarray) -> float:
        """Of one entry of P (G P)."""
        p, tail = value(c, t), _tail(c, t)
        inner, outer = self.added(t, c[0], tail), self.added(t * p, c[0], tail)
        return (inner * float(np.max(np.abs(p))) ** 2 + outer) / self.n**2 + self.arithmetic.w**2

    def tail(self, c: np.ndarray, t: np.ndarray) -> float:
        """Of one entry of S = c_1 G + ... + c_q G^q by Horner's rule, each stage stored; inner stages times |G|_2."""
        total, power, stage = 0.0, np.ones_like(t), c[-1] * t
        stages = []
        for k in range(len(c) - 2, 0, -1):
            stages.append(self.arithmetic.u**2 * (_square(c[k] * t) + _square(t * stage)) + self.summed(t, stage))
            stage = c[k] * t + t * stage
        for variance in reversed(stages):
            total += variance * float(np.max(power)) ** 2
            power = power * t
        return total / self.n**2


def _step(values: list[np.ndarray], coefficients: list[np.ndarray], sources: Sources) -> Variance:
    """(SOURCES) of one standard step: G, S and the new X are stored, their products accumulated."""
    (s, _), (c,), t = values, coefficients, values[0] ** 2
    tail, size = _tail(c, t), sources.m * sources.n
    if len(c) == 1:
        return sources.nothing().of_all(sources.arithmetic.u**2 * c[0] ** 2 * _square(s) / size)
    difference = _tail_difference(c, t[:, None], t[None, :])
    made = sources.nothing().of_all(sources.added(s, c[0], tail) / size)
    made = made.at_least(sources.in_other_orders(s, c))
    made = made._replace(inside=made.inside + t[:, None] * (difference**2 * sources.gram(s) + sources.tail(c, t)))
    same = sources.gram_alike * (t * np.diagonal(difference)) ** 2 + sources.product_alike * (len(c) - 1) * tail**2
    return made.of_diagonal(t * same)


def _segment(values: list[np.ndarray], coefficients: list[np.ndarray], sources: Sources) -> Variance:
    """(GRAM-ERROR) of the steps between two restarts: errors of G grow by h[t_i, t_j], h(t) = t p(t)^2, of Q by p."""
    s, n = values[0], sources.n
    gram = [x**2 for x in values]
    factors = [value(c, t) for c, t in zip(coefficients, gram, strict=False)]
    before = [np.ones(n)]
    for p in factors:
        before.append(before[-1] * p)  # eigenvalues of Q
    turned = _mirrored(values, coefficients, sources)
    of_q = np.zeros((n, n))
    to_q, after = np.zeros((n, n)), np.ones(n)  # what an error of G, of Q after the step does to the last Q
    for k in range(len(coefficients) - 1, -1, -1):
        c, t, p, q = coefficients[k], gram[k], factors[k], before[k]
        ti, tj, pi, pj, tail = t[:, None], t[None, :], p[:, None], p[None, :], _tail(c, t)
        size = np.abs(p) + np.abs(tail)
        of_p = sources.arithmetic.u**2 * (_square(p) + _square(tail)) / n**2 + sources.tail(c, t)
        of_product = sources.added(q, c[0], tail) / n**2 + turned[k] if k else 0.0  # Q P, after this step
        of_q += after[None, :] ** 2 * (of_product + q[:, None] ** 2 * of_p)
        same = sources.product_alike * len(c)
        of_q += np.diag(same * (after * np.max(np.abs(q)) * size) ** 2)
        if k + 1 < len(coefficients):  # G of the next step is P (G P); the error of P goes into it as well
            of_q += to_q**2 * (sources.next_gram(c, t) + (ti * pi + tj * pj) ** 2 * of_p)
            of_q += np.diag(same * (np.diagonal(to_q) * t * size * np.abs(p)) ** 2)
        difference = _tail_difference(c, ti, tj)  # p[t_i, t_j]
        grow = pi * pj + difference * (ti * pi + tj * pj)  # h[t_i, t_j]
        to_q = q[:, None] * difference * after[None, :] + grow * to_q
        after = after * p
    of_q += to_q**2 * sources.gram(s) + np.diag(sources.gram_alike * (np.diagonal(to_q) * s**2) ** 2)
    # X Q: terms as large as the largest eigenvalue of Q, which belongs to the smallest of G
    of_q += np.diag(np.full(n, sources.product_alike * np.max(np.abs(before[-1])) ** 2))
    of_q = np.maximum(of_q, of_q.T)  # Q P or P Q: the side is the port's
    stored = sources.arithmetic.u**2 * _square(values[-1]) + sources.summed(s, before[-1])
    made = sources.nothing().of_all(stored / (sources.m * n))
    return made._replace(inside=made.inside + s[:, None] ** 2 * of_q)


def _mirrored(values: list[np.ndarray], coefficients: list[np.ndarray], sources: Sources) -> list[float]:
    """(MIRROR) Of one entry of each Q P of which one triangle is computed: variance of the skew part, turned around."""
    y, found, errors = np.ones(sources.n), [], []
    for k, (c, s) in enumerate(zip(coefficients, values, strict=False)):
        t, total = s**2, 0.0
        p, difference = value(c, t), _tail_difference(c, t[:, None], t[None, :])
        grow = np.outer(p, p) + difference * np.add.outer(t * p, t * p)
        variance = sources.next_gram(coefficients[k - 1], values[k - 1] ** 2) if k else sources.gram(s)
        errors.append((variance, np.ones_like(grow), np.zeros_like(grow)))
        for at, (variance, in_g, in_q) in enumerate(errors):
            now = in_q * p + y[:, None] * difference * in_g
            total += variance * _square(now - now.T) / 4
            errors[at] = (variance, grow * in_g, (now + now.T) / 2)
        found.append(total / sources.n**2)
        y = y * p
    return found


def chained(s: np.ndarray, c: np.ndarray) -> np.ndarray:
    """(ORDERS) Of c_0 X + c_1 X G + c_2 (X G) G + ..., all terms and partial sums stored, over u^2."""
    t, power, partial, after = s**2, s, c[0] * s, c
    total = partial**2
    for a in c[1:]:
        power, after = power * t, after[1:]
        partial = partial + a * power
        total = total + power**2 * (a**2 + np.max(np.abs(value(after, t))) ** 2) + partial**2
    return total


def accumulated(y: np.ndarray) -> np.ndarray:
    """(ACCUMULATED) Sums over the partial sums of the entries of Y^H Y, of their squares, and the wandering between.

    In the order of the rows; linear between the ends of at most 16 parts.
    """
    m, n = y.shape
    last, total = np.zeros((n, n)), np.outer(*2 * [np.sum(np.abs(y) ** 2, axis=0)])
    for i, j in pairwise(np.unique(np.linspace(0, m, PARTS + 1).astype(int))):
        now = last + y[i:j].conj().T @ y[i:j]
        total = total + (j - i) / 3 * (np.abs(last) ** 2 + np.real(np.conj(last) * now) + np.abs(now) ** 2)
        last = now
    return total


def alike(x: np.ndarray, grid: float) -> float:
    """(REPEAT) Share of their mean square that rounding errors on this grid, relative, of entries of X have in common.

    1 for a matrix of ones, the sum of |x_ij|^4/|X|^4 where the moduli spread over many points of the grid.
    """
    size = np.abs(x[x != 0])
    if not size.size:
        return 0.0
    weight, logarithm = (size / np.max(size)) ** 2, np.log(size / np.max(size))
    grids = max(grid, KNOWN) * 2 ** np.linspace(0, 1, GRIDS, endpoint=False)[:, None]
    waves = np.zeros((2, GRIDS))
    for i in range(0, len(size), BLOCK):
        turn = logarithm[i : i + BLOCK] / grids
        angle = (2 * np.pi * (turn - np.rint(turn))).astype(np.float32)  # much faster, and 1e-7 is enough
        waves += np.stack([np.cos(angle), np.sin(angle)]) @ weight[i : i + BLOCK]
    return float(np.sum(waves**2)) / GRIDS / float(weight.sum()) ** 2


def _same(stored: np.ndarray, terms: np.ndarray, count: int, arithmetic: Arithmetic) -> float:
    """(REPEAT) Mean square of the relative error that sums of so many terms have in common."""
    u, v, _ = arithmetic
    return u**2 * alike(stored, 2 * u) + (v * count / COHERENT) ** 2 * alike(terms, v * count)


def iterate(s: np.ndarray, coefficients: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Singular values of all iterates."""
    values = [s]
    for c in coefficients:
        values.append(values[-1] * value(c, values[-1] ** 2))
    return values


def _infinite(x: np.ndarray) -> np.ndarray:
    return np.nan_to_num(x, nan=np.inf, posinf=np.inf)


def _square(x: np.ndarray) -> float:
    return float(np.sum(x**2))


def value(c: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Sum c_k t^k."""
    result: np.ndarray = c[-1] + 0 * t
    for a in c[-2::-1]:
        result = a + result * t
    return result


def _tail(c: np.ndarray, t: np.ndarray) -> np.ndarray:
    """S(t) = sum c_k t^k without c_0."""
    return value(np.concatenate([[0.0], c[1:]]), t)


def _difference(c: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Divided difference of sum c_k x^(2k+1) at x, y."""
    return _sums(x, y, {2 * k: a for k, a in enumerate(c)})


def _tail_difference(c: np.ndarray, t: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Divided difference of sum c_k t^k at t, r."""
    return _sums(t, r, {k - 1: a for k, a in enumerate(c) if k})


def _sums(x: np.ndarray, y: np.ndarray, terms: dict[int, float]) -> np.ndarray:
    """Sum of a (x^d + x^(d-1) y + ... + y^d) over the terms {d: a}."""
    total, complete = 0 * (x + y), 1 + 0 * (x + y)
    for d in range(max(terms, default=-1) + 1):
        if d:
            complete = y**d + x * complete
        total = total + terms.get(d, 0.0) * complete
    return total
