"""How far a given result is from the claimed iteration, in units of the rounding error that the claim implies.

The reference is the same schedule in float64, the unit the rounding error that the form and the precision imply.
Derivation: docs/derivations/newton_schulz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from orthoref._newton_schulz.normalization import normalized
from orthoref._schedules.row import Row
from orthoref.oracle.newton_schulz.claim import Iteration, run
from orthoref.oracle.newton_schulz.rounding_error import (
    GRIDS,
    ColumnNorms,
    Expected,
    Norm,
    alike,
    chained,
    expected,
    iterate,
    shaken,
    shaken_grams,
    value,
)
from orthoref.oracle.precision import PRECISIONS, Precision

LIMIT = 4.0  # the unit counts every rounding with its largest size u, not its root mean square u/sqrt(3)


UNDECIDED = 0.25  # rounding errors of this part of the result: nothing can be judged


SMALLEST = -200  # exponent of a normalized matrix whose errors can be squared and squared again


LINEAR = 2.0**-100  # cubes of smaller numbers are lost beside them


DIRECTION = 10.0  # root mean squares of its rounding error that a direction must exceed to have a sign


MULTIPLE = 5.0  # root mean squares of its rounding error that the multiple may be off


RARE = 2.0**-30  # probability with which one entry of a matrix may exceed its limit


SMALL = 9  # order of matrices whose results can be repeated bit for bit, whatever the order of accumulation


SHORT = ("bfloat16", "float16", "tf32")  # formats in which the errors of storing hide those of accumulation


@dataclass(frozen=True)
class Points:
    """(POINTS) What one matrix ``a`` shows of the map s -> f(s), in the singular directions that are ``determined``.

    ``s`` are the normalized singular values there, ``f`` the map, ``slope`` s f'(s), ``seen`` Re p_i^H X v_i over the
    update scale, ``deviation`` their standard deviations. ``common`` is that of the relative error of the norm. Results
    that are refused by themselves do not ``hold``. Small results ``x`` that are not square are kept as they are.
    """

    a: np.ndarray
    determined: np.ndarray
    s: np.ndarray
    f: np.ndarray
    slope: np.ndarray
    seen: np.ndarray
    deviation: np.ndarray
    common: float
    holds: bool
    x: np.ndarray | None = None


@dataclass(frozen=True)
class Judged:
    """One matrix against the exact iteration: the reference, the ratios, and errors relative to |f(A)|_F.

    ``unit`` is the root mean square of the rounding error, ``shaken`` what a few of them do to all orders.
    ``entries``, ``entry`` and ``multiple`` are the ratios (WHITENED), (EXTREME) and (MULTIPLE) over the ``determined``
    of all singular directions; ``sharp`` is what a multiple of 1 is, in relative terms. ``largest`` is |X|_2 over what
    the steps can return, rounding errors included; ``leap`` what a few roundings do to one direction. ``far`` is (FAR),
    the largest error of a matrix that is not decided. X is not finite and a right one may be so: it ``overflows``.
    """

    reference: np.ndarray
    unit: float
    forward: float
    direction: float
    shaken: float
    determined: np.ndarray
    entries: float = 0.0
    entry: float = 0.0
    multiple: float = 0.0
    sharp: float = 0.0
    largest: float = 0.0
    leap: float = 0.0
    far: float = float("inf")
    overflows: bool = False
    points: Points | None = None

    @property
    def decided(self) -> bool:
        """Whether the rounding errors leave something to judge, and the first order is enough to say so."""
        return self.noise <= UNDECIDED

    @property
    def holds(self) -> bool:
        """Whether all ratios are within their own limits."""
        forward = not self.decided or self.forward <= self.limit(LIMIT)
        return (forward and self.direction <= 1 and self.entries <= LIMIT and self.entry <= 1
                and self.multiple <= self.most)  # fmt: skip

    @property
    def most(self) -> float:
        """Limit of the multiple, never more than 0.9 of what zero scores."""
        return min(MULTIPLE, 0.9 / self.sharp) if self.sharp else MULTIPLE

    @property
    def judged(self) -> bool:
        """Whether something of a result that is not zero could be judged."""
        return bool(self.reference.any()) and (self.decided or bool(self.determined.any()))

    @property
    def unstable(self) -> bool:
        """Whether a few roundings are enlarged beyond the size of the result."""
        return not self.leap <= 1

    def limit(self, limit: float) -> float:
        """The limit, but never more than 0.9 of what zero scores."""
        return min(limit, 0.9 / self.unit) if self.unit else limit

    @property
    def noise(self) -> float:
        """Part of the result that rounding errors are, or may be beyond first order."""
        return max(self.unit, self.shaken)


def compare(a: np.ndarray, x: np.ndarray, claimed: Iteration, precision: Precision, parts: bool = True) -> Judged:
    """Ratios of one result x for one matrix a, both float64 or complex128; without ``parts`` of the whole alone."""
    m, n = a.shape
    factor = claimed.factor(m, n)
    reference = factor * run(a, claimed)
    tall = a if m > n else a.conj().T
    start = normalized(tall, claimed.normalization, claimed.eps, claimed.eps_rule)
    rows = claimed.schedule.steps(claimed.steps)
    lift = _lift(float(np.max(np.abs(start), initial=0.0)), rows)
    lifted = precision._replace(tiny=min(precision.tiny * 2.0**lift, 2.0**100))
    error = _error(tall, start, lift, claimed, precision)
    beyond = shaken(error)
    # in float64 the reference is as inaccurate as the port
    unit = factor * max(error.total(), beyond / 4) * (2**0.5 if precision.name == "float64" else 1.0)
    difference, size = (float(np.linalg.norm(z * 2.0**lift)) for z in (x - reference, reference))
    forward = 0.0 if difference == 0 else difference / unit if unit > 0 else float("inf")
    upright = (x if m > n else x.conj().T) * 2.0**lift
    turned = _turned(upright, error, factor)
    none = np.zeros(error.s.shape, bool)
    if not size:  # zero, or its square is
        return Judged(reference, float("inf") if reference.any() or unit else 0.0, forward, turned, 0.0, none)
    found = Judged(reference, unit / size, forward, turned, factor * beyond / size, none)
    if not found.decided:
        found = replace(found, far=LIMIT**2 * found.noise)
        if claimed.form == "gram" and found.noise > 1 and not difference / size <= LIMIT * found.noise:
            coarse = _error(tall, start, lift, claimed, precision._replace(eps=LIMIT**2 * precision.eps))
            found = replace(found, far=max(found.far, factor * max(coarse.total(), shaken(coarse)) / size))
    in_parts = parts and precision.name in SHORT
    local = _Local.of(start * 2.0**lift, rows, lifted, claimed, error) if in_parts else None
    if not np.isfinite(x).all():
        quiet = found.decided or (local is not None and bool(local.determined.any()))  # then no direction runs away
        reach = found.far * size if claimed.form == "gram" else factor * _leaps(error)[3]
        return replace(found, overflows=not quiet and not reach < precision.largest * 2.0**lift)
    if local is None:
        return found
    found = local.whitened(found, upright / factor, a)
    # in square ones the side of the Gram matrix is the port's
    small = m != n and 2 <= min(m, n) <= SMALL and max(m, n) <= 4 * SMALL and not np.iscomplexobj(x)
    return replace(found, points=replace(found.points, x=x)) if small and found.points is not None else found


@np.errstate(all="ignore")  # what overflows is infinite
def _error(tall: np.ndarray, start: np.ndarray, lift: int, claimed: Iteration, precision: Precision) -> Expected:
    """What rounding is expected to do from the normalized matrix on, 2^lift times as large."""
    aol, spectral = (claimed.normalization.kind == kind for kind in ("aol", "spectral"))
    sizes, starts = (np.max(np.abs(z), axis=0 if aol else None, initial=0.0) for z in (tall, start))
    divisor = np.divide(sizes, starts, out=np.ones_like(sizes), where=starts > 0)
    times = float(claimed.normalization.factor)
    norm = ColumnNorms.of(tall, divisor, precision, times) if aol else Norm(float(divisor), spectral)
    lifted = precision._replace(tiny=min(precision.tiny * 2.0**lift, 2.0**100))
    rows = claimed.schedule.steps(claimed.steps)
    return expected(start * 2.0**lift, rows, lifted, claimed.form, claimed.restart, norm)


@dataclass(frozen=True)
class _Local:
    """Standard deviations of the entries of P^H E V, and in which directions they are small."""

    error: Expected
    inside: np.ndarray  # variances, with concentration and what leaves the first order
    outside: np.ndarray
    second: np.ndarray  # (TURNED), mean squares
    turned: np.ndarray  # its diagonal, in relative terms
    rounded: np.ndarray  # (ROUNDED-C0)
    shared: np.ndarray  # (SHARED), standard deviations
    slope: np.ndarray
    common: float  # variance of the relative error of all singular values alike
    counted: float  # what of it `inside` counts as if it were independent
    alike: float  # (REPEAT)
    known: np.ndarray
    determined: np.ndarray
    bent: np.ndarray
    ceiling: float  # of |X|_2
    leap: float
    gram: bool
    close: float  # relative distance of singular values that count as equal

    @classmethod
    def of(
        cls, start: np.ndarray, rows: Sequence[Row], precision: Precision, claimed: Iteration, error: Expected
    ) -> _Local:
        """Of the normalized matrix."""
        m, n = start.shape
        of_columns = error.norm.relative if isinstance(error.norm, ColumnNorms) else None
        near, far = _concentration(error)
        beyond, bent, runs, ceiling = _leaps(error)
        inside, outside = error.inside * near, error.outside * far
        noise = np.sqrt(np.maximum(inside.sum(0), inside.sum(1)) + (m - n) * outside)
        linear = beyond <= 8 * noise  # of beyond, a quarter is one error among many: here the first order says little
        inside = inside + np.diag((beyond / 4) ** 2)
        # below the rank tolerance of the SVD that made them, p_i and v_i mean nothing
        known = error.s > max(8, n) * PRECISIONS["float64"].eps * np.max(error.s, initial=0.0)
        size = np.abs(error.f)
        leap = runs / max(float(np.linalg.norm(size)), 1e-300)
        # a direction that runs away takes the others with it, to second order
        stable = runs <= np.max(size, initial=0.0) + 1
        known &= size > 0
        rounded = _rounded(error.s, rows, precision) - error.f
        largest = np.maximum(np.maximum(noise, beyond), np.abs(rounded))
        determined = known & stable & linear & (largest <= UNDECIDED * size)
        u = precision.eps / 2
        stored = 1 + (claimed.normalization.factor != 1) + (claimed.eps != 0)
        common = stored * u**2 if of_columns is None else float(np.max(of_columns, initial=0.0)) / n
        common = 0.0 if claimed.normalization.kind == "none" else common
        counted = 3 * u**2 if of_columns is None else 0.0
        same = max(error.sources.entries_alike, alike(error.sources.first_gram, 2 * u))
        slope = _slope(error.s, rows)
        f = np.where(size > 0, size, np.inf)
        either = np.maximum(inside, inside.T)
        with np.errstate(all="ignore"):  # infinite in directions that are not determined
            turned = (either.sum(axis=0) + (m - n) * outside) / (2 * f**2)
            second = (either @ either + (m - n) * np.outer(outside, outside)) / (4 * np.outer(f, f))
        shared = _shared(error)
        np.fill_diagonal(second, (turned * size) ** 2 + shared**2)
        return cls(
            error,
            inside,
            outside,
            second,
            turned,
            rounded,
            shared,
            slope,
            common,
            counted,
            same,
            known,
            determined,
            bent,
            ceiling,
            leap,
            claimed.form == "gram",
            4 * u,
        )

    def whitened(self, found: Judged, x: np.ndarray, a: np.ndarray) -> Judged:
        """The ratios over the directions (DETERMINED); ``x`` tall, without the update scale."""
        error, d = self.error, self.determined
        right = x @ error.vh.conj().T
        seen = error.p.conj().T @ right
        found = replace(found, largest=float(np.linalg.norm(x, 2)) / self.ceiling, determined=d, leap=self.leap)
        if d.any():
            away = seen - np.diag(error.f + _nearest(np.real(np.diagonal(seen)) - error.f, self.rounded))
            square = np.abs(away[np.ix_(d, d)]) ** 2 / (self.inside + self.second)[np.ix_(d, d)]
            rest, count = 0.0, square.size
            # what is left of a direction that is not determined takes others out of the range of P, to second order
            if error.rows > error.f.size and d.all():
                away = np.sum(np.abs((right - error.p @ seen)[:, d]) ** 2, axis=0)
                rest = float(np.sum(away / self.outside[d]))
                count += (error.rows - error.f.size) * int(d.sum())
            entries = float(np.sqrt((square.sum() + rest) / count))
            entry = float(np.sqrt(np.max(square) / (2 * np.log(4 * square.size / RARE))))
            found = replace(found, entries=entries, entry=entry)
        elif found.decided:
            d = self.known
        d = d & np.isfinite(self.bent + self.rounded)
        if not d.any():
            return found
        f, variance = error.f[d], self.inside.diagonal()[d]
        biased = variance + self.second.diagonal()[d]
        weights = np.divide(f, biased, out=np.zeros_like(f), where=biased > 0)
        if not weights.any():
            return found
        total = float(weights @ f)
        apart, together = float(weights**2 @ variance), float(np.abs(weights) @ np.sqrt(variance)) ** 2
        common = self.common * float(weights @ self.slope[d]) ** 2
        # to second order errors have a sign: singular vectors turn, by 1 - cos of an angle, and f is no straight line
        same = self.alike
        if self.gram:  # errors of G and Q are one error for equal singular values
            s = error.s[d]
            same = max(same, float(np.mean(np.abs(s[:, None] - s) <= self.close * s[:, None])))
        bias = np.abs(weights) @ (self.turned[d] * np.abs(f) + self.bent[d])
        shared = np.abs(weights) @ self.shared[d]
        sharp = float(np.sqrt((1 - same) * apart + same * together + common + bias**2 + shared**2)) / total
        if not np.isfinite(sharp):
            return found
        multiple = float(weights @ np.real(np.diagonal(seen))[d]) / total - 1
        off = abs(multiple - float(_nearest(multiple, weights @ self.rounded[d] / total)))
        found = replace(found, multiple=off / sharp, sharp=sharp)
        return replace(found, points=self.points(seen, a, found)) if self.determined.any() else found

    def points(self, seen: np.ndarray, a: np.ndarray, found: Judged) -> Points | None:
        """What a run pools."""
        error, d = self.error, self.determined
        single = a.astype(np.complex64 if np.iscomplexobj(a) else np.float32)  # a run keeps them all
        if not np.isfinite(single).all() or not single.any():
            return None
        variance = self.inside.diagonal()[d]
        own = np.maximum(variance - self.counted * self.slope[d] ** 2, variance / 16)
        deviation = np.sqrt(own * (1 + self.alike * (np.sum(d) - 1)))
        along = np.real(np.diagonal(seen))[d]
        return Points(single, d, error.s[d], error.f[d], self.slope[d], along, deviation, self.common**0.5, found.holds)


def _concentration(error: Expected) -> tuple[np.ndarray, np.ndarray]:
    """(CONCENTRATION) Variances of P^H dY V over those of entries of one size, dY in proportion to |y_kl|."""
    p, v, u = error.p, error.vh.conj().T, error.sources.arithmetic.u
    near, far = np.ones((len(error.s), len(error.s))), np.ones(len(error.s))
    for s in (error.s, error.f):
        inside, outside = _waves(p, s, v, 2 * u)
        near, far = np.maximum(near, inside), np.maximum(far, outside)
    for q in (v, p) if error.rows == len(v) else (v,):
        near = np.maximum(near, _waves(q, error.s**2, q, 2 * u)[0])
    return near, far


def _waves(p: np.ndarray, s: np.ndarray, v: np.ndarray, grid: float) -> tuple[np.ndarray, np.ndarray]:
    """(WAVES) Of Y = P diag(s) V^H: the larger of independent errors, and of errors that are a wave of log|y_kl|.

    What the latter have in common, along Y, is left to (REPEAT).
    """
    y = (p * s) @ v.conj().T
    (m, n), total = y.shape, float(np.sum(s**2))
    if not total:
        return np.ones((n, n)), np.ones(n)
    p2, right = np.abs(p) ** 2, np.abs(y) ** 2 @ np.abs(v) ** 2
    inside, outside = p2.T @ right, np.maximum(1 - p2.sum(axis=1), 0) @ right
    logarithm = np.log(np.abs(np.where(y == 0, 1.0, y)))
    waves, left = np.zeros((n, n)), np.zeros(n)
    for k in np.linspace(0, 1, GRIDS, endpoint=False):
        turn = logarithm / (grid * 2**k)
        angle = 2 * np.pi * (turn - np.rint(turn))
        for part in (np.cos(angle), np.sin(angle)):
            right = (y * part) @ v
            found = p.conj().T @ right
            left += np.maximum(np.sum(np.abs(right) ** 2, axis=0) - np.sum(np.abs(found) ** 2, axis=0), 0) / GRIDS
            found = found - np.diag(s * (s @ np.diagonal(found)) / total)
            waves += np.abs(found) ** 2 / GRIDS
    return np.maximum(inside, waves) * (m * n / total), np.maximum(outside, left) * (m * n / total) / max(m - n, 1)


@np.errstate(all="ignore")
def _leaps(error: Expected) -> tuple[np.ndarray, np.ndarray, float, float]:
    """(SHAKEN) by direction, (BENT), the largest of (SHAKEN) that counts in full, (LARGEST)."""
    exact, u, n = error.exact, error.sources.arithmetic.u, len(error.s)
    values, coefficients = exact.values, exact.coefficients
    worst, bent, runs = np.zeros(n), np.zeros(n), 0.0

    def shift(x: np.ndarray, k: int, weight: float = 1.0) -> np.ndarray:
        nonlocal worst, runs
        x = iterate(x, coefficients[k:])[-1]
        moved = np.nan_to_num(np.abs(x - values[-1]), nan=np.inf, posinf=np.inf)
        if weight:
            worst = np.maximum(worst, weight * moved)
        if weight == 1:
            runs = max(runs, float(np.max(moved, initial=0.0)))
        return x

    def bend(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.nan_to_num(np.abs((one + other) / 2 - values[-1]), nan=np.inf, posinf=np.inf)

    for relative in (
        error.common,
        -error.common,
    ):  # of the norm; later errors have no part in common but that in error.stored
        shift(values[0] * (1 + relative), 0)
    start = 2**0.5 * u * np.linalg.norm(error.s) / (error.rows * n) ** 0.5
    for k, deviation in ((0, start), *error.stored.items()):
        if k:
            for times, weight in ((2, 1.0), (-2, 1.0), (4, 0.25), (-4, 0.25)):
                shift(values[k] + times * deviation, k, weight)
        # among equal singular values the errors of all add up
        reach = deviation * np.ones(n)
        equal = np.abs(values[k][:, None] - values[k]) <= 2 * n**0.5 * reach[:, None]
        bent += bend(*(shift(values[k] + times * np.sqrt(equal.sum(axis=1)) * reach, k, 0.0) for times in (1, -1)))
    top = float(np.max(error.s, initial=0.0)) * (1 + error.common)
    if isinstance(error.norm, ColumnNorms):
        for sign in (4, -4):
            t_squared = np.maximum(1 + 2 * sign * np.sqrt(error.norm.relative), 0)
            moved = (error.p * error.s) @ (error.vh / np.sqrt(t_squared))
            if not np.all(np.abs(moved) < 1e100):
                return np.full(n, np.inf), np.full(n, np.inf), float("inf"), float("inf")
            p, s, qh = np.linalg.svd(moved, full_matrices=False)
            top = max(top, float(s[0]))
            away = (p * iterate(s, coefficients)[-1]) @ (qh @ error.vh.conj().T) - error.p * error.f
            worst = np.maximum(worst, np.nan_to_num(np.linalg.norm(away, axis=0), nan=np.inf, posinf=np.inf))
            runs = max(runs, float(np.max(worst)))
    if exact.form == "gram":
        grams = [shift(x, end) for x, end in shaken_grams(error)]  # two signs each, at this many standard deviations
        for one, other in zip(grams[::2], grams[1::2], strict=True):
            bent += bend(one, other) * n / max(4, 2 * n**0.5) ** 2
        return worst, bent, runs, float("inf")
    top += error.longest[0]
    for k, c in enumerate(coefficients, start=1):
        grid = np.linspace(0, top, 1025)
        top = float(np.max(np.abs(grid * value(c, grid**2)))) * (1 + 4 * u)
        top += error.longest[k]
    return worst, bent, runs, top if top > 0 else float("inf")


def _shared(error: Expected) -> np.ndarray:
    """(SHARED) What the roundings of P, S and X S have in common, at the end."""
    u, n, v = error.sources.arithmetic.u, error.f.size, error.vh.conj().T
    bases = (v, error.p) if error.rows == n else (v,)
    total, after = np.zeros(n), np.ones(n)
    for s, c in zip(error.exact.values[-2::-1], error.exact.coefficients[::-1], strict=True):
        t, powers = s**2, np.arange(len(c))
        if len(c) > 1:
            tail = value(c, t) - c[0]
            terms = np.sum((c[1:, None] * t ** powers[1:, None]) ** 2, axis=0) + tail**2
            made = alike((error.p * (s * tail)) @ error.vh, 2 * u) * chained(s, c) / 3
            made = made + t * np.max([_of_p(q, c[0], tail, terms, u) for q in bases], axis=0)
            total = total + (u * after) ** 2 * made
        after = after * value(c * (2 * powers + 1), t)
    shared: np.ndarray = np.sqrt(total)
    return shared


def _of_p(q: np.ndarray, c0: float, tail: np.ndarray, terms: np.ndarray, u: float) -> np.ndarray:
    """Over u^2, of the diagonal of P and of S, which have the eigenvectors q."""
    diagonal = c0 + np.abs(q) ** 2 @ tail
    same: np.ndarray = alike(diagonal, 2 * u) * np.mean(diagonal**2) + alike((q * tail) @ q.conj().T, 2 * u) * terms
    return same


def _nearest(x: np.ndarray | float, end: np.ndarray | float) -> np.ndarray:
    """The number between 0 and ``end`` nearest to x."""
    return np.clip(x, np.minimum(end, 0.0), np.maximum(end, 0.0))


@np.errstate(all="ignore")  # where it diverges, nothing is determined
def _rounded(s: np.ndarray, rows: Sequence[Row], precision: Precision) -> np.ndarray:
    """(ROUNDED-C0) f(s) of a port that stores c_0 I."""
    coefficients = [np.asarray([float(a) for a in row.numerator]) for row in rows]
    for c in coefficients:
        fraction, exponent = np.frexp(c[0])
        c[0] = np.ldexp(np.rint(fraction * 2 / precision.eps) * precision.eps / 2, exponent)
    return np.nan_to_num(iterate(s, coefficients)[-1], nan=np.inf, posinf=np.inf)


def _slope(s: np.ndarray, rows: Sequence[Row]) -> np.ndarray:
    """S f'(s), by the chain rule."""
    x, slope = s, s
    for row in rows:
        c = np.asarray([float(a) for a in row.numerator])
        slope = slope * value(c * (2 * np.arange(len(c)) + 1), x**2)
        x = x * value(c, x**2)
    return slope


def _lift(size: float, rows: Sequence[Row]) -> int:
    """The k for which errors of 2^k X_0 can be squared twice; 0 if X_0 is not small or the iteration not linear."""
    if not 0 < size < 2.0**SMALLEST:
        return 0
    x = size
    for row in rows:
        x = abs(float(row(x)))
        if not row.numerator[0] or x > LINEAR:
            return 0
    return SMALLEST - int(np.frexp(size)[1])


def _turned(x: np.ndarray, error: Expected, factor: float) -> float:
    """(SIGNS) max of 1 - Re(p_i^H X v_i)/f_i over the directions whose f_i stands out of its rounding error."""
    along = np.real(np.einsum("ij,ik,jk->j", error.p.conj(), x, error.vh.conj())) / factor
    noise = np.sqrt(np.diagonal(error.inside) + (error.total() / max(error.f.size, 1)) ** 2)
    # below the rank tolerance of the SVD that made them, p_i and v_i mean nothing
    known = error.s > max(8, error.s.size) * PRECISIONS["float64"].eps * np.max(error.s, initial=0.0)
    clear = known & (np.abs(error.f) > DIRECTION * noise)
    if not clear.any():
        return 0.0
    return float(np.max(1 - along[clear] / error.f[clear]))


def fills(a: np.ndarray, x: np.ndarray, claimed: Iteration) -> bool:
    """Whether the error leaves the singular directions, as rounding does and a wrong coefficient does not."""
    if min(a.shape) <= 2:
        return True
    tall, y = (a, x) if a.shape[0] > a.shape[1] else (a.conj().T, x.conj().T)
    p, _, vh = np.linalg.svd(
        normalized(tall, claimed.normalization, claimed.eps, claimed.eps_rule), full_matrices=False
    )
    reference = claimed.factor(*a.shape) * run(a, claimed)
    error = p.conj().T @ (y - (reference if tall is a else reference.conj().T)) @ vh.conj().T
    return bool(np.linalg.norm(error - np.diag(np.diagonal(error))) >= 0.1 * np.linalg.norm(error))
