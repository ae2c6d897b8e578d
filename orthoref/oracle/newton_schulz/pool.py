"""The map s -> f(s) as all matrices of a run show it, against the claimed one.

Rounding has no preferred sign; a wrong coefficient, factor, eps or number of steps does the same thing to every
singular value of a size. Derivation: docs/derivations/newton_schulz, section Pooled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from orthoref._newton_schulz.normalization import norm, normalized
from orthoref._newton_schulz.rounding import store
from orthoref._schedules import presets
from orthoref._schedules.schedule import Normalization, Row
from orthoref.errors import OutsideDomain
from orthoref.oracle.newton_schulz.claim import Iteration
from orthoref.oracle.newton_schulz.emulation import ORDERS, orders
from orthoref.oracle.newton_schulz.ratios import Points
from orthoref.oracle.newton_schulz.repeated import Guess, Map, repeated
from orthoref.oracle.operation import Measured, Measurement
from orthoref.oracle.precision import Precision

EMULATED = ("bfloat16", "float16")
FALSE_ALARM = 1e-6  # a run
SPREAD = 1 / (8 * np.log(2))  # mean square of a rounding error, over u^2: the logarithm uniformly distributed
UNSEEN = 1.5  # times the limit: an order of evaluation that was not among the emulated ones reached 1.42 of it
SAFETY = 1.5  # on variances that are seen
FLOOR = 16.0  # a port that is the emulation bit by bit shows no errors at all
APART = 13.8  # 2 ln 1000: two explanations whose squares differ by less are not told apart
FITS = 2.0  # mean square of what an explanation may leave, in the unit that no port exceeds
LEAVES = 0.01  # part of all squares that it may leave
EPSILONS = (0.0, 1e-15, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
RUNAWAY = 1e3  # maps this far away need no pooling
NO_SINGLE = "no single coefficient, factor, eps or number of steps explains it"
NAMES = "abcdefghij"


@dataclass(frozen=True)
class Member:
    """One matrix: the points, what its emulations show, and (WEIGHT) the weights of their differences.

    ``common`` is the variance of the relative error of the norm: ports store it as the emulations do, or do not.
    """

    points: Points
    emulated: np.ndarray  # one row for every order of evaluation
    common: float
    divisor: float
    norms: dict[tuple[Any, float, str], float]  # of the normalized matrix, over that of the claim

    @property
    def differences(self) -> np.ndarray:
        """What is seen beyond each emulation."""
        return self.points.seen - self.emulated

    def weighted(self, g: np.ndarray) -> np.ndarray:
        """(WEIGHT) (D + tau^2 h h^T)^-1 G, D of the difference of two results."""
        d, h = 2 * SPREAD * self.points.deviation**2, self.points.slope
        return g / d[:, None] - np.outer(h / d, (h / d) @ g) * (self.common / (1 + self.common * float(h @ (h / d))))


@dataclass(frozen=True)
class Alternative:
    """Another map: a direction ``away`` per matrix from the claimed one, and how it reads.

    ``free`` ones have a size to be fitted, ``text`` takes it; of the others there is as much as there is. ``other`` is
    what computes it: an iteration, or the row and the coefficient that are off, (-1, 0) for the norm.
    """

    text: str
    away: list[np.ndarray]
    free: bool = True
    bin: tuple[float, float] | None = None
    other: Map | tuple[int, int] | None = None


@dataclass(frozen=True)
class Bin:
    """Of the map: singular values from ``low`` to ``high``, the mean deviation from f relative to f, for a figure.

    ``error`` is one standard deviation by the model, the emulated maps deviate from ``least`` to ``most``.
    """

    low: float
    high: float
    count: int
    deviation: float
    error: float
    least: float
    most: float


def pool(observed: Iterable[Any], claimed: Iteration, precision: Precision) -> Measured:
    """The ``observed`` of all cases of a run, as :func:`.row.measure` made them: lists of :class:`.ratios.Points`."""
    points = [each for several in observed for each in several or ()]
    if precision.name not in EMULATED:
        return Measured([], np.zeros((), bool))
    with np.errstate(all="ignore"):
        # one wrong case is refused by itself, and says nothing of the others; a mistake made everywhere does
        good = [each for each in points if each.holds]
        chosen = good if 2 * len(good) >= len(points) else points
        members = _members(chosen, claimed, precision)
        if not members:
            return Measured([], np.zeros((), bool), [f"no map to pool: nothing is determined in {precision.name}"])
        found, guesses = _judged(members, claimed, precision)
        if len(chosen) < len(points):  # one reason for all that fail, if there is one
            of_all, _ = _judged(_members(points, claimed, precision), claimed, precision, only_if_it_fits=True)
            found = replace(found, notes=of_all.notes or found.notes)
        bits = repeated(points, claimed, precision, guesses)
        if bits is None:
            return found
        measurement, notes = bits  # what is repeated bit for bit is sure, the others are likely
        return replace(found, measurements=[*found.measurements, measurement], notes=notes or found.notes)


def _members(points: Iterable[Points], claimed: Iteration, precision: Precision) -> list[Member]:
    """Each stored matrix once: in another dtype it has the same rounding errors."""
    found: dict[bytes, Member | None] = {}
    for each in points:
        if not np.isfinite(each.seen).all() or not np.all(each.deviation > 0) or np.iscomplexobj(each.a):
            continue
        tall = each.a if each.a.shape[0] > each.a.shape[1] else each.a.T
        how = (claimed.normalization, claimed.eps, claimed.eps_rule)
        try:
            stored = normalized(store(tall, precision.name), *how, precision=precision.name)
        except OutsideDomain:
            continue
        if (key := stored.tobytes()) not in found:
            found[key] = _member(each, tall.astype(np.float64), stored, claimed, precision)
    return [member for member in found.values() if member is not None]


def _member(
    points: Points, tall: np.ndarray, stored: np.ndarray, claimed: Iteration, precision: Precision
) -> Member | None:
    """With its emulations; None where they overflow."""
    how = (claimed.normalization, claimed.eps, claimed.eps_rule)
    start = normalized(tall, *how)
    p, _, vh = np.linalg.svd(start, full_matrices=False)
    p, vh = p[:, points.determined], vh[points.determined]
    emulated = np.stack([np.einsum("ij,ij->j", p, x @ vh.T) for x in orders(stored, claimed, precision.name)])
    emulated = emulated[np.isfinite(emulated).all(axis=1)]
    if len(emulated) < len(ORDERS[claimed.form]):
        return None
    size = float(np.linalg.norm(start))
    divisor = float(np.linalg.norm(tall)) / size
    common = points.common**2 * SPREAD
    if claimed.normalization.factor == 1 and not claimed.eps and claimed.normalization.kind != "aol":
        significand = 2 * float(np.frexp(divisor)[0])
        common = points.common**2 / (3 * significand**2)  # one rounding, of a number that is known
    return Member(points, emulated, common, divisor, _norms(tall, claimed))


def _norms(a: np.ndarray, claimed: Iteration) -> dict[tuple[Any, float, str], float]:
    """How much larger the normalized matrix is under another eps, rule or kind of norm."""
    how = claimed.normalization
    if how.kind in ("aol", "none"):  # the former turns the singular vectors
        return {}
    sizes = {kind: float(how.factor) * norm(a, kind).item() for kind in ("frobenius", "schatten4", "spectral")}

    def divisor(kind: str, eps: float, rule: str) -> float:
        return sizes[kind] + eps if rule == "add" else max(sizes[kind], eps)

    own = (how.kind, claimed.eps, claimed.eps_rule)
    tried = [(how.kind, eps, rule) for eps in {*EPSILONS, claimed.eps} for rule in ("add", "clamp")]
    return {each: divisor(*own) / divisor(*each) for each in (*tried, *((kind, *own[1:]) for kind in sizes))}


def _alternatives(members: Sequence[Member], claimed: Iteration) -> Iterator[Alternative]:
    """Every coefficient, the norm, the multiple; other numbers of steps, factors, eps, norms, schedules; bins of s."""
    rows = claimed.schedule.steps(claimed.steps)
    distinct = list(dict.fromkeys(rows))
    singular = np.concatenate([member.points.s for member in members])
    exact = np.concatenate([member.points.f for member in members])
    ends = np.cumsum([len(member.points.s) for member in members])[:-1]
    how, eps, rule = claimed.normalization, claimed.eps, claimed.eps_rule

    def of(x: np.ndarray) -> list[np.ndarray]:
        return np.split(x, ends)

    def other(
        text: str, rows: Sequence[Row], s: np.ndarray = singular, how: Normalization = how, eps: float = eps,
        rule: str = rule,
    ) -> Alternative:  # fmt: skip
        return Alternative(text, of(_applied(rows, s) - exact), free=False, other=Map.of(rows, how, eps, rule))

    for number, row in enumerate(distinct, start=1):
        for k in range(len(row.numerator)):
            of_row = f" of row {number}" if len(distinct) > 1 else ""
            text = f"coefficient {NAMES[k]}{of_row} is off by {{:+.2g}} of it"
            yield Alternative(text, of(_by_coefficient(rows, row, k, singular)), other=(number - 1, k))
    slopes = [-member.points.slope for member in members]
    yield Alternative("the norm is {:.4f} times what is claimed", slopes, other=(-1, 0))
    for factor in ("1.01", "1.02", "1.05"):
        for times in (Fraction(factor), 1 / Fraction(factor)):
            text = f"the norm is {float(times):.4f} times what is claimed"
            yield other(text, rows, singular / float(times), replace(how, factor=how.factor * times))
    yield Alternative("x is {:.4f} times what it should be", of(exact))
    for steps in range(max(claimed.steps - 3, 0), claimed.steps + 4):
        if steps != claimed.steps:
            try:
                more = claimed.schedule.steps(steps)
            except ValueError:
                continue
            yield other(f"{steps} steps, not {claimed.steps}", more)
    for k in range(len(rows) - 1):  # without the last it is a step less
        if rows[k] != rows[k + 1]:
            yield other(f"step {k + 1} is left out", rows[:k] + rows[k + 1 :])
    for safety in ("1.01", "1.02", "1.05"):
        for last, which in ((True, "every row"), (False, "every row but the last")):
            for by, text in ((1 / Fraction(safety), "without its"), (Fraction(safety), "with a")):
                scaled = claimed.schedule.scaled(by, last=last)
                yield other(f"the schedule {text} safety factor {safety} (in {which})", scaled.steps(claimed.steps))
    for short in EMULATED:
        yield other(f"the coefficients are rounded to {short}", [row.rounded(short) for row in rows])
    for kind, least, way in members[0].norms:
        sizes = np.concatenate([member.points.s * member.norms[kind, least, way] for member in members])
        text = f"the norm is {kind}" if kind != how.kind else f"eps is {least:g} ({way})"
        yield other(text, rows, sizes, replace(how, kind=kind), least, way)
    for name in presets.names():
        if name != claimed.schedule.name and presets.get(name).rows[0].polynomial:
            try:
                yield other(f"the coefficients of {name}", presets.get(name).steps(claimed.steps))
            except ValueError:
                continue
    for low in np.unique(2.0 ** np.floor(np.log2(singular))).tolist():
        inside = (low <= singular) & (singular < 2 * low)
        text = f"singular values from {low:.2g} to {2 * low:.2g} are off by {{:+.2g}} of what they should be"
        yield Alternative(text, of(exact * inside), bin=(low, 2 * low))


def _judged(
    members: Sequence[Member], claimed: Iteration, precision: Precision, only_if_it_fits: bool = False
) -> tuple[Measured, list[Guess]]:
    """(SCORE) of all alternatives, and what the best one reads like; all that another program may compute."""
    tried: list[Alternative] = []
    unseen: list[Alternative] = []
    for each in _alternatives(members, claimed):
        (tried if _moves(each) else unseen).append(each)
    count, ways = len(tried), len(members[0].emulated)
    own: list[np.ndarray] = []
    shared: list[np.ndarray] = []
    scores: list[np.ndarray] = []
    totals, points = np.zeros(ways), 0
    plain = np.zeros(count)
    clusters: dict[int, list[int]] = {}
    for i, member in enumerate(members):
        g = np.stack([each.away[i] for each in tried], axis=1)
        w = member.weighted(g)
        d = member.differences.T
        own.append(np.maximum(np.einsum("ij,ij->j", g, w), 0))
        shared.append(member.common * (member.points.slope @ w) ** 2)
        scores.append(w.T @ d)
        plain += w.T @ (member.points.seen - member.points.f)
        totals += np.einsum("ij,ij->j", d, member.weighted(d))
        points += len(d)
        # equal norms have equal rounding errors
        clusters.setdefault(round(float(np.log2(member.divisor)) % 1 / precision.eps), []).append(i)
    weight, score = np.sum(own, axis=0), np.sum(scores, axis=0)
    squares = weight - np.sum(shared, axis=0)
    for alike in clusters.values():
        squares = squares + np.sum(np.sqrt([shared[i] for i in alike]), axis=0) ** 2
    squares = np.maximum(squares, 0)[:, None]
    away = [np.sum([scores[i] - own[i][:, None] * score / weight[:, None] for i in alike], axis=0)
            for alike in clusters.values()]  # fmt: skip
    # what is seen of the model's variances, in the mean and beside each alternative; never more than they say
    seen = SAFETY * np.maximum(np.sum(np.square(away), axis=0), squares * totals / points)
    deviations = np.sqrt(np.clip(seen, squares / FLOOR, squares))
    z = np.abs(score) / deviations
    way = int(np.argmin(np.max(np.where(np.isnan(z), np.inf, z), axis=0)))
    z, deviation = z[:, way], deviations[:, way]
    rare = float(np.sqrt(2 * np.log(2 * count / FALSE_ALARM)))
    limit = UNSEEN * rare
    worst = int(np.argmax(np.where(np.isnan(z), np.inf, z)))
    bins = [
        Bin(*each.bin, int(sum(np.count_nonzero(away) for away in each.away)), float(plain[k] / weight[k]),
            float(deviation[k] / weight[k] / 2**0.5), float((plain[k] - score[k].max()) / weight[k]),
            float((plain[k] - score[k].min()) / weight[k]))
        for k, each in enumerate(tried) if each.bin
    ]  # fmt: skip
    text = f"map s -> Re p^H X v of {len(members)} matrices, {points} singular values / its rms rounding error"
    measurement = Measurement("map", text, np.asarray(z[worst]), limit, float(deviation[worst] / weight[worst]))
    notes: list[str] = []
    if not z[worst] <= rare:
        notes = _named(tried, weight, score[:, way], z, float(totals[way]), points, rare, only_if_it_fits)
    guesses = [
        Guess(each.text, each.other, score[k] / weight[k])
        for k, each in enumerate(tried) if each.other is not None
    ]  # fmt: skip
    guesses += [Guess(each.text, each.other, np.zeros(ways)) for each in unseen if each.other is not None]
    return Measured([measurement], np.ones((), bool), notes, (), bins), guesses


def _named(
    tried: Sequence[Alternative], weight: np.ndarray, score: np.ndarray, z: np.ndarray, total: float, points: int,
    limit: float, only_if_it_fits: bool,
) -> list[str]:  # fmt: skip
    """The alternative that leaves least, and those that leave hardly more."""
    size = score / weight
    left = np.asarray([total - s * s / w if each.free else total - 2 * s + w
                       for each, s, w in zip(tried, score, weight, strict=True)])  # fmt: skip
    named = np.asarray([each.bin is None for each in tried])
    order = [int(k) for k in np.argsort(np.where(named, left, np.inf)) if named[k]]
    best = order[0]
    scale = max(float(left[best]) / points, 1e-12)

    def read(k: int) -> str:
        value = 1 + size[k] if "times" in tried[k].text else size[k]
        return tried[k].text.format(value)

    if left[best] > max(FITS * points, LEAVES * total) or z[best] <= limit:
        if only_if_it_fits:
            return []
        k = int(np.argmax(z))
        return [f"{read(k)}: {z[k]:.3g} times its rms rounding error", NO_SINGLE]
    found = [f"{read(best)}: {z[best]:.3g} times its rms rounding error"]
    alike = [read(k) for k in order[1:] if left[k] - left[best] <= APART * scale]
    if alike:
        found.append("not told apart from: " + "; ".join(alike[:4]))
    return found


def _moves(alternative: Alternative) -> bool:
    """Whether it is another map at all, and none that runs away."""
    largest = max((float(np.max(np.abs(away), initial=0.0)) for away in alternative.away), default=0.0)
    return 1e-9 < largest < RUNAWAY and all(np.isfinite(away).all() for away in alternative.away)


def _applied(rows: Sequence[Row], x: np.ndarray) -> np.ndarray:
    for row in rows:
        x = row(x)
    return x


def _by_coefficient(rows: Sequence[Row], which: Row, k: int, s: np.ndarray) -> np.ndarray:
    """Derivative of f(s) by the logarithm of coefficient k of a row, wherever it is applied."""
    x, moved = s, 0 * s
    for row in rows:
        c = np.asarray([float(value) for value in row.numerator])
        moved = moved * np.polynomial.polynomial.polyval(x**2, c * (2 * np.arange(len(c)) + 1))
        if row == which:
            moved = moved + c[k] * x ** (2 * k + 1)
        x = row(x)
    return moved
