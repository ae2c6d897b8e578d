"""How far rounding moves the result of a finite Newton-Schulz iteration. Derivation: docs/derivations/newton_schulz.

To first order, every matrix that is stored and every sum that is accumulated adds a small random matrix, and the
derivative of the remaining iteration carries it to the end. In the singular bases of the normalized input that
derivative multiplies entry by entry, by divided differences of the composed polynomial (equation (DK)), so the root
mean square of the final error is a sum over sources: equations (SOURCES), (CARRY) and, for the Gram form, (GRAM).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from orthoref._schedules.schedule import Row
from orthoref.oracle.precision import Precision

ACCUMULATION = {"bfloat16": 2.0**-24, "float16": 2.0**-24, "tf32": 2.0**-24, "float32": 2.0**-24, "float64": 2.0**-53}


COHERENT = 7.0  # a sum of k equal terms errs by kv/7: half of them fall into the last binade, and round alike


class Roundoff(NamedTuple):
    """Unit roundoff of the format and of the accumulation, half the smallest subnormal number of the format."""

    u: float
    v: float
    w: float

    @classmethod
    def of(cls, precision: Precision) -> Roundoff:
        """Of a precision."""
        return cls(precision.eps / 2, ACCUMULATION[precision.name], precision.tiny / 2)


class Expected(NamedTuple):
    """Exact result and mean square of its rounding error, entry by entry, in the singular bases P, V of the input.

    The input is P diag(s) V^H, the result P diag(f) V^H; ``inside[i, j]`` is the variance of entry (i, j) of P^H E V,
    ``outside[j]`` that of every entry of column j of the part of E V orthogonal to P. ``stored`` are the standard
    deviations of the entries (i, i) of the errors made on the way to each X_k that is formed, by k.
    """

    p: np.ndarray
    s: np.ndarray
    f: np.ndarray
    vh: np.ndarray
    inside: np.ndarray
    outside: np.ndarray
    rows: int
    stored: dict[int, np.ndarray]

    def total(self) -> float:
        """Root mean square of |E|_F."""
        n = len(self.f)
        return float(np.sqrt(self.inside.sum() + (self.rows - n) * self.outside.sum()))


def expected(
    x: np.ndarray,
    rows: Sequence[Row],
    precision: Precision,
    form: str = "standard",
    restart: Collection[int] = (),
    divisor: float | np.ndarray = 1.0,
    of_columns: np.ndarray | None = None,
) -> Expected:
    """Result and error of the iteration from a normalized matrix x = a/divisor, (m, n) with m >= n, in float64.

    ``of_columns`` are the variances of the relative errors of the n divisors of the columns, from :func:`of_aol`.
    """
    p, s, vh = np.linalg.svd(x, full_matrices=False)
    m, n = x.shape
    coefficients = [np.asarray([float(c) for c in row.numerator]) for row in rows]
    values = [s]
    for c in coefficients:
        values.append(values[-1] * _value(c, values[-1] ** 2))
    carry = _Carry(values, coefficients, not np.iscomplexobj(x))
    roundoff = Roundoff.of(precision) if s.any() else Roundoff.of(precision)._replace(w=0.0)  # zero has no underflow
    u, v, w = roundoff

    # the input and its quotient by t are stored; t is one number and has the errors of the norm, the factor and eps
    repeated, of_gram = _repetition(x), _repetition(x.conj().T @ x)
    underflow = w**2 + float(np.mean((w / np.asarray(divisor)) ** 2))
    inside, outside = carry.isotropic(0, 2 * u**2 * _square(s) / (m * n) + underflow)
    if of_columns is None:
        relative = 3 * u**2 + v**2 * (m * n / 12 + repeated * (m * n / COHERENT / 2) ** 2)
    else:
        relative = repeated * float(np.max(of_columns, initial=0.0))
        inside = inside + carry.columns(s, vh, of_columns)
    inside = inside + np.diag((relative + 2 * u**2 * repeated) * (s * np.diagonal(carry.minus[0])) ** 2)
    ends = [*sorted(restart), len(rows)] if form == "gram" else range(1, len(rows) + 1)
    start, stored = 0, {}
    for end in ends:
        local = _step if form == "standard" else _segment
        near, far = local(values[start : end + 1], coefficients[start:end], m, roundoff, of_gram)
        near = near + np.diag(u**2 * repeated * values[end] ** 2)
        stored[end] = np.sqrt(np.diagonal(near) + w**2)
        more_inside, more_outside = carry.to_end(end, near + w**2, far + w**2)
        inside, outside = inside + more_inside, outside + more_outside
        start = end
    return Expected(p, s, values[-1], vh, inside, outside, m, stored)


def of_aol(a: np.ndarray, t: np.ndarray, precision: Precision) -> np.ndarray:
    """(AOL-ERROR) Variances of the relative errors of t_k = (sum_j |a_k^H a_j| + eps)^(1/2), for the columns a_k of a.

    Of the products of two columns the computed modulus is too large on average where it is small beside its error.
    """
    m, n = a.shape
    u, v, w = Roundoff.of(precision)
    if not a.any():
        return np.zeros(n)
    power = 1 - int(np.frexp(np.max(np.abs(a)))[1])
    for half in (power // 2, power - power // 2):
        a, t = a * 2.0**half, t * 2.0**half
    gram, norms = np.abs(a.conj().T @ a), np.linalg.norm(a, axis=0)
    accumulated = v**2 * np.where(np.eye(n, dtype=bool), m / 3, 1.0) * (norms[:, None] * norms) ** 2
    variance = u**2 * gram**2 + accumulated + w**2
    sums, bias = gram.sum(axis=1), np.sum(np.hypot(gram, np.sqrt(variance)) - gram, axis=1)
    alike = v**2 * n / 12 + _repetition(gram) * (u**2 + (v * (m + n) / COHERENT) ** 2)
    with np.errstate(all="ignore"):  # infinite where nothing is left of a column
        relative = (variance.sum(axis=1) + bias**2 + alike * sums**2) / (4 * t**4)
    return np.where(norms > 0, 3 * u**2 + relative, 0.0)


@np.errstate(all="ignore")  # what overflows is infinite
def shaken(
    error: Expected,
    rows: Sequence[Row],
    precision: Precision,
    form: str = "standard",
    restart: Collection[int] = (),
    of_columns: np.ndarray | None = None,
) -> float:
    """(SHAKEN) How far single errors of several times their size move the result, to all orders.

    They are errors 4u of every iterate, the same for all singular values; those of one singular value in a step, twice
    their size, and a quarter of what four times their size does; of one eigenvalue of a Gram matrix in the Gram form;
    of the divisors of the columns (variances ``of_columns``). That is far more than to first order where the schedule
    does not tolerate what they let through.
    """
    u, v, w = Roundoff.of(precision)
    coefficients = [np.asarray([float(c) for c in row.numerator]) for row in rows]
    values, worst = [error.s], 0.0
    for c in coefficients:
        values.append(values[-1] * _value(c, values[-1] ** 2))

    def finish(x: np.ndarray, k: int) -> np.ndarray:
        for c in coefficients[k:]:
            x = x * _value(c, x**2)
        return np.nan_to_num(np.abs(x - values[-1]), nan=np.inf, posinf=np.inf)

    for k in range(len(rows)):
        for shift in (4 * u, -4 * u):
            worst = max(worst, float(np.linalg.norm(finish(values[k] * (1 + shift), k))))
    if of_columns is not None:
        for sign in (4, -4):
            t_squared = np.maximum(1 + 2 * sign * np.sqrt(of_columns), 0)  # where it may be zero, X may be anything
            moved = (error.p * error.s) @ (error.vh / np.sqrt(t_squared))
            if not np.all(np.abs(moved) < 1e100):
                return float("inf")
            p, s, qh = np.linalg.svd(moved, full_matrices=False)
            for c in coefficients:
                s = s * _value(c, s**2)
            away = float(np.linalg.norm((p * s) @ qh - (error.p * error.f) @ error.vh))
            worst = max(worst, away if np.isfinite(away) else float("inf"))
    for k, deviation in error.stored.items():
        for times, weight in ((2, 1.0), (-2, 1.0), (4, 0.25), (-4, 0.25)):
            worst = max(worst, weight * float(np.max(finish(values[k] + times * deviation, k), initial=0.0)))
    if form == "standard":
        return worst
    start = 0
    for end in [*sorted(restart), len(rows)]:
        for k in range(start, end):
            gram = values[k] ** 2
            if k == start:
                variance = _gram_variance(values[k], error.rows, u, v, w)
            else:
                variance = _next_gram_variance(coefficients[k - 1], values[k - 1] ** 2, u, v, w)
            size = max(4, 2 * len(gram) ** 0.5) * variance**0.5  # the norm of a matrix of independent entries
            for shift in (size, -size):
                q, t = np.ones_like(gram), values[start] ** 2
                for c in coefficients[start:k]:
                    q, t = q * _value(c, t), t * _value(c, t) ** 2
                t = t + shift
                for c in coefficients[k:end]:
                    q, t = q * _value(c, t), t * _value(c, t) ** 2
                worst = max(worst, float(np.max(finish(values[start] * q, end), initial=0.0)))
        start = end
    return worst


class _Carry:
    """(CARRY) Divided differences of the composition of the steps from k on: f[s_i, s_j], f[s_i, -s_j], f[s_j, 0]."""

    def __init__(self, values: list[np.ndarray], coefficients: list[np.ndarray], real: bool) -> None:
        n, self.real = len(values[0]), real
        self.minus = [np.ones((n, n))]
        self.plus = [np.ones((n, n))]
        self.zero = [np.ones(n)]
        for s, c in zip(values[-2::-1], coefficients[::-1], strict=True):
            self.minus.insert(0, self.minus[0] * _difference(c, s[:, None], s[None, :]))
            self.plus.insert(0, self.plus[0] * _difference(c, s[:, None], -s[None, :]))
            self.zero.insert(0, self.zero[0] * _value(c, s**2))

    def to_end(self, k: int, inside: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Variances at the end, of independent entries with these variances before step k."""
        even, odd = (inside + inside.T) / 4, (inside - inside.T) / 4
        minus, plus = self.minus[k], self.plus[k]
        if self.real:  # the diagonal has no skew part
            plus = np.where(np.eye(len(plus), dtype=bool), minus, plus)
        return (minus**2 + plus**2) * even + 2 * minus * plus * odd, self.zero[k] ** 2 * outside

    def columns(self, s: np.ndarray, vh: np.ndarray, relative: np.ndarray) -> np.ndarray:
        """(AOL-ERROR) Variances at the end, of an error E = X_0 diag(d) with independent d_k of these variances."""
        weights = np.abs(vh) ** 2
        either = (weights * relative) @ weights.T
        x, y = s[:, None], s[None, :]
        return (self.minus[0] * (x + y) / 2 + self.plus[0] * (x - y) / 2) ** 2 * either

    def isotropic(self, k: int, variance: float) -> tuple[np.ndarray, np.ndarray]:
        """The same for equal variances of all entries."""
        n = len(self.zero[0])
        return self.to_end(k, np.full((n, n), variance), np.full(n, variance))


def _step(
    values: list[np.ndarray], coefficients: list[np.ndarray], m: int, roundoff: Roundoff, repeated: float
) -> tuple[np.ndarray, np.ndarray]:
    """(SOURCES) of one standard step: G, S and the new X are stored, their products accumulated."""
    (s, _), (c,), (u, v, w) = values, coefficients, roundoff
    n, t = len(s), s**2
    x2 = _square(s)
    if len(c) == 1:
        return np.full((n, n), u**2 * c[0] ** 2 * x2 / (m * n)), np.full(n, u**2 * c[0] ** 2 * x2 / (m * n))
    of_g = _gram_variance(s, m, u, v, w)
    of_s = _tail_variance(t, c, u, v) if len(c) > 2 else 0.0
    tail = _tail(c, t)
    stored = u**2 * (c[0] ** 2 * x2 + _square(s * tail)) + v**2 * x2 * _square(tail)
    difference = _tail_difference(c, t[:, None], t[None, :])
    near = t[:, None] * (difference**2 * of_g + of_s) + stored / (m * n)
    same = _coherent(m, u, v) * (t * np.diagonal(difference)) ** 2 + _coherent(n, u, v) * (len(c) - 1) * tail**2
    return near + np.diag(repeated * t * same), np.full(n, stored / (m * n))


def _segment(
    values: list[np.ndarray], coefficients: list[np.ndarray], m: int, roundoff: Roundoff, repeated: float
) -> tuple[np.ndarray, np.ndarray]:
    """(GRAM) of the steps between two restarts: errors of G grow by h[t_i, t_j], h(t) = t p(t)^2, those of Q by p."""
    s, (u, v, w) = values[0], roundoff
    n = len(s)
    gram = [x**2 for x in values]
    factors = [_value(c, t) for c, t in zip(coefficients, gram, strict=False)]
    before = [np.ones(n)]
    for p in factors:
        before.append(before[-1] * p)  # eigenvalues of Q
    near = np.zeros((n, n))
    to_q, after = np.zeros((n, n)), np.ones(n)  # what an error of G, of Q after the step does to the last Q
    for k in range(len(coefficients) - 1, -1, -1):
        c, t, p, q = coefficients[k], gram[k], factors[k], before[k]
        ti, tj, tail = t[:, None], t[None, :], _tail(c, t)
        of_p = u**2 * (_square(p) + _square(tail)) / n**2 + (_tail_variance(t, c, u, v) if len(c) > 2 else 0.0)
        of_q = _product(q, c[0], tail, u, v) if k else 0.0  # Q P, after this step
        near += after[None, :] ** 2 * (of_q + q[:, None] ** 2 * of_p)
        same = repeated * _coherent(n, u, v) * len(c)
        near += np.diag(same * (after * np.max(np.abs(q)) * (np.abs(p) + np.abs(tail))) ** 2)
        if k + 1 < len(coefficients):  # G of the next step is P (G P)
            near += to_q**2 * _next_gram_variance(c, t, u, v, w)
            near += np.diag(same * (np.diagonal(to_q) * t * (np.abs(p) + np.abs(tail)) * np.abs(p)) ** 2)
            # the error of P goes into it as well
            near += to_q**2 * ((ti * p[:, None] + tj * p[None, :]) ** 2) * of_p
        difference = _tail_difference(c, ti, tj)  # p[t_i, t_j]
        grow = p[:, None] * p[None, :] + difference * (ti * p[:, None] + tj * p[None, :])  # h[t_i, t_j]
        to_q = q[:, None] * difference * after[None, :] + grow * to_q
        after = after * p
    near += to_q**2 * _gram_variance(s, m, u, v, w)
    near += np.diag(repeated * _coherent(m, u, v) * (np.diagonal(to_q) * s**2) ** 2)
    stored = (u**2 + v**2) * _square(values[-1]) / (m * n)
    # X Q: terms as large as the largest eigenvalue of Q, which belongs to the smallest of G
    near += np.diag(np.full(n, repeated * _coherent(n, u, v) * np.max(np.abs(before[-1])) ** 2))
    return s[:, None] ** 2 * near + stored, np.full(n, stored)


def _product(y: np.ndarray, c0: float, tail: np.ndarray, u: float, v: float) -> float:
    """Of one entry of Y P = c_0 Y + Y S, of order n with these eigenvalues: both terms stored, Y S accumulated."""
    return (u**2 * (c0**2 * _square(y) + _square(y * tail)) + v**2 * _square(y) * _square(tail)) / len(y) ** 2


def _next_gram_variance(c: np.ndarray, t: np.ndarray, u: float, v: float, w: float) -> float:
    """Of one entry of P (G P)."""
    p, tail = _value(c, t), _tail(c, t)
    return _product(t, c[0], tail, u, v) * float(np.max(np.abs(p))) ** 2 + _product(t * p, c[0], tail, u, v) + w**2


def _repetition(x: np.ndarray) -> float:
    """(REPEAT) Sum of the squares of the shares of |X|^2 that entries of one modulus have: 1 if all are equal."""
    size = np.abs(x)
    largest = np.max(size, initial=0.0)
    if not largest > 0:
        return 0.0
    _, group = np.unique(np.round(size / largest * 2.0**30), return_inverse=True)
    share = np.bincount(group.ravel(), (size / largest).ravel() ** 2)
    return float(np.sum((share / share.sum()) ** 2))


def _coherent(terms: int, u: float, v: float) -> float:
    """Mean square of the relative error of a sum of equal terms that is stored."""
    return u**2 + (v * terms / COHERENT) ** 2


def _gram_variance(s: np.ndarray, m: int, u: float, v: float, w: float) -> float:
    """Of one entry of X^H X, stored; partial sums grow on the diagonal and wander off it."""
    n = len(s)
    return (u**2 * _square(s**2) + v**2 * (1 + m / (3 * n)) * _square(s) ** 2) / n**2 + w**2


def _tail_variance(t: np.ndarray, c: np.ndarray, u: float, v: float) -> float:
    """Of one entry of S = c_1 G + ... + c_q G^q by Horner's rule, each stage stored; the inner stages times |G|_2."""
    n = len(t)
    total, power, stage = 0.0, np.ones(n), c[-1] * t
    stages = []
    for k in range(len(c) - 2, 0, -1):
        terms = u**2 * (_square(c[k] * t) + _square(t * stage))
        stages.append(terms + 4 / 3 * v**2 * _square(t) * _square(stage))
        stage = c[k] * t + t * stage
    for variance in reversed(stages):
        total += variance * float(np.max(power)) ** 2
        power = power * t
    return total / n**2


def _square(x: np.ndarray) -> float:
    return float(np.sum(x**2))


def _value(c: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Sum c_k t^k."""
    return np.polynomial.polynomial.polyval(t, c)


def _tail(c: np.ndarray, t: np.ndarray) -> np.ndarray:
    return _value(np.concatenate([[0.0], c[1:]]), t)


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
