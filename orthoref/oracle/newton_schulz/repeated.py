"""Which map a run repeats bit for bit: a port is a program, and the last bits of its results are its fingerprint.

What a wrong coefficient does to a result may be less than what two right orders of evaluation differ by. But in its own
order a port repeats the map that it computes in nearly all bits, and no other map. Derivation:
docs/derivations/newton_schulz, section Repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from orthoref._newton_schulz.normalization import normalized
from orthoref._newton_schulz.rounding import store
from orthoref._schedules.schedule import Normalization, Row
from orthoref.errors import OutsideDomain
from orthoref.formats import FORMATS
from orthoref.oracle.newton_schulz.claim import Iteration
from orthoref.oracle.newton_schulz.emulation import ORDERS, Coefficients, Order, emulated, flipped, rounded
from orthoref.oracle.newton_schulz.ratios import Points
from orthoref.oracle.operation import Measurement
from orthoref.oracle.precision import Precision

LIMIT = 0.3  # a port repeats nearly all of its own map in its own order, and a few by chance of any other
ENTRIES = 6000  # of results, from the smallest matrices on: in long sums the order of accumulation shows
FEW = 250  # of them to search with
ENOUGH = 200  # with fewer entries nothing is said
WAYS = 14  # orders of evaluation in which sizes are searched
TOP = 4  # maps of each search that are tried on all entries
HALF = 0.5  # of the entries that two maps have in common if they are one step of the search apart
LIKELY = 0.0125  # relative changes that are searched
POINTS = 256  # of the search, on either side
NEAR = 8  # of them about what the score says
FARTHEST = 0.1  # what the score says beyond is no guess


class Map(NamedTuple):
    """Another iteration in the form that is claimed."""

    rows: Coefficients
    normalization: Normalization
    eps: float
    rule: Any

    @classmethod
    def of(cls, rows: Sequence[Row], normalization: Normalization, eps: float, rule: str) -> Map:
        """With the rows of a schedule."""
        return cls([[np.float32(float(c)) for c in row.numerator] for row in rows], normalization, eps, rule)


class Guess(NamedTuple):
    """A map to be tried; or row and coefficient that are off, by about ``size`` to judge by every emulated order."""

    text: str
    other: Map | tuple[int, int]
    size: np.ndarray


class Way(NamedTuple):
    """An order of evaluation, and whether the norm is taken in the format or in float32 before A is stored."""

    order: Order
    stored: bool


class Found(NamedTuple):
    """The share of all entries that a map repeats in some way."""

    share: float
    text: str


@dataclass(frozen=True)
class Sample:
    """Tall inputs and results in the format, with zero rows and columns up to a common shape, in one stack."""

    given: np.ndarray
    seen: np.ndarray
    inside: np.ndarray  # where the entries are
    scale: np.ndarray

    @classmethod
    def of(cls, points: Iterable[Points], claimed: Iteration, precision: Precision) -> Sample | None:
        """Of small dense matrices, the smallest first."""
        chosen: dict[bytes, tuple[np.ndarray, np.ndarray, float]] = {}
        count = 0
        for each in sorted((each for each in points if each.x is not None), key=lambda each: each.a.size):
            a, x = each.a, np.asarray(each.x, np.float32)
            key = a.tobytes()
            if key in chosen or count >= ENTRIES or 2 * np.count_nonzero(a) < a.size:
                continue
            tall, x = (a, x) if a.shape[0] > a.shape[1] else (a.T, x.T)
            try:
                store(tall, precision.name)
            except OutsideDomain:
                continue
            chosen[key] = tall, rounded(np.ascontiguousarray(x), precision.name), claimed.factor(*a.shape)
            count += a.size
        if count < ENOUGH:
            return None
        m, n = np.max([tall.shape for tall, _, _ in chosen.values()], axis=0)

        def padded(x: np.ndarray) -> np.ndarray:
            return np.pad(x, ((0, m - x.shape[0]), (0, n - x.shape[1])))

        given, seen, inside = (np.stack([padded(x) for x in each]) for each in zip(
            *((tall, x, np.ones_like(x, bool)) for tall, x, _ in chosen.values()), strict=True))  # fmt: skip
        scale = np.asarray([scale for _, _, scale in chosen.values()], np.float32)[:, None, None]
        return cls(given, seen, inside, scale)

    def few(self) -> Sample:
        """The smallest."""
        k = int(np.searchsorted(np.cumsum(self.inside.sum(axis=(1, 2))), FEW)) + 1
        m, n = (int(np.max(np.nonzero(self.inside[:k])[axis])) + 1 for axis in (1, 2))
        given, seen, inside = (x[:k, :m, :n] for x in (self.given, self.seen, self.inside))
        return Sample(given, seen, inside, self.scale[:k])

    def start(self, by: Map, way: Way, precision: str) -> np.ndarray:
        """X_0, if the norm of none overflows."""
        how = (by.normalization, by.eps, by.rule)
        if way.stored:
            return normalized(store(self.given, precision), *how, precision=precision)
        return rounded(normalized(self.given, *how), precision)

    def emulated(
        self, start: np.ndarray, rows: Coefficients, claimed: Iteration, order: Order, precision: str
    ) -> np.ndarray:
        """The results, with the update scale."""
        x = emulated(start, rows, claimed, order, precision)
        return x if claimed.scale == "none" else rounded(self.scale * x, precision)

    def share(self, start: np.ndarray, rows: Coefficients, claimed: Iteration, way: Way, precision: str) -> np.ndarray:
        """Of the entries those that are repeated bit for bit, over the last three axes."""
        x = self.emulated(start, rows, claimed, way.order, precision)
        return np.sum((x == self.seen) & self.inside, axis=(-3, -2, -1)) / self.inside.sum()


@dataclass(frozen=True)
class Search:
    """Maps on a sample."""

    sample: Sample
    claimed: Iteration
    precision: str

    def share(self, by: Map, way: Way) -> float:
        """Of one map; 0 where its norm overflows."""
        try:
            start = self.sample.start(by, way, self.precision)
        except OutsideDomain:
            return 0.0
        return float(self.sample.share(start, by.rows, self.claimed, way, self.precision))

    def of_itself(self, own: Map, way: Way) -> Search:
        """With the results of the claimed map in the place of what is seen."""
        start = self.sample.start(own, way, self.precision)
        seen = self.sample.emulated(start, own.rows, self.claimed, way.order, self.precision)
        return replace(self, sample=replace(self.sample, seen=seen))

    def shares(self, of: tuple[int, int], sizes: np.ndarray, own: Map, way: Way) -> np.ndarray:
        """Of maps with a coefficient, or the norm, that is off by these parts of it."""
        row, k = of
        if row < 0:
            return np.asarray([self.share(moved(own, of, size, self.claimed), way) for size in sizes])
        start = self.sample.start(own, way, self.precision)
        factors = (1 + sizes)[:, None, None, None]
        rows = list(_moved(self.claimed, row, k, factors))
        return self.sample.share(start[None], rows, self.claimed, way, self.precision)


def moved(own: Map, of: tuple[int, int], size: float, claimed: Iteration) -> Map:
    """The map with one coefficient, or the norm, off by a part of it."""
    row, k = of
    if row < 0:
        how = own.normalization
        return own._replace(normalization=replace(how, factor=how.factor * Fraction(1 + size)))
    return own._replace(rows=list(_moved(claimed, row, k, np.asarray(1 + size))))


def _moved(claimed: Iteration, row: int, k: int, factor: np.ndarray) -> Iterator[list[np.ndarray]]:
    rows = claimed.schedule.steps(claimed.steps)
    which = list(dict.fromkeys(rows))[row]
    for each in rows:
        yield [np.asarray(float(c) * (factor if each == which and i == k else 1.0), np.float32)
               for i, c in enumerate(each.numerator)]  # fmt: skip


@np.errstate(all="ignore")
def repeated(
    points: Iterable[Points], claimed: Iteration, precision: Precision, guesses: Sequence[Guess]
) -> tuple[Measurement, list[str]] | None:
    """(REPEATED) The share that another map repeats beyond that of the claimed one, and how it reads."""
    sample = Sample.of(points, claimed, precision)
    if sample is None or claimed.normalization.kind == "none":
        return None
    rows = claimed.schedule.steps(claimed.steps)
    own = Map.of(rows, claimed.normalization, claimed.eps, claimed.eps_rule)
    ways = [Way(order, stored) for order in flipped(claimed.form) for stored in (True, False)]
    every = Search(sample, claimed, precision.name)
    short = Map.of([row.rounded(precision.name) for row in rows], *own[1:])  # constants of the format are right, too
    shares: dict[Way, float] = {}
    least = 0.0
    for right, way in product((own, short), ways):
        share = every.share(right, way)
        least = max(least, share)
        if least + LIMIT >= 1:
            break
        shares.setdefault(way, share)
    best = Found(least, "")
    if least + LIMIT < 1:
        chosen = sorted(ways, key=lambda way: -shares[way])[:WAYS]
        best = _searched(every, own, ways, chosen, guesses, least)
    text = "share of entries that another map repeats bit for bit, less that of the claimed one"
    measurement = Measurement("bits", text, np.asarray(max(best.share - least, 0.0)), LIMIT, 1.0)
    if not best.share - least > LIMIT:
        return measurement, []
    count = sample.inside.sum()
    said = f"that repeats {best.share:.0%} of {count} entries bit for bit, the claimed iteration {least:.0%}"
    return measurement, [f"{best.text}: {said}"]


def _searched(
    every: Search, own: Map, ways: Sequence[Way], chosen: Sequence[Way], guesses: Sequence[Guess], least: float
) -> Found:
    """The map that repeats most, tried first on few entries; the first that is enough."""
    few = replace(every, sample=every.sample.few())
    best = Found(0.0, "")

    def tried(found: list[tuple[float, Guess, Way, float]]) -> bool:
        nonlocal best
        for _, guess, way, size in sorted(found, key=lambda each: -each[0])[:TOP]:
            best = max(best, _refined(every, few, own, guess, way, size))
            if best.share - least > LIMIT:
                return True
        return False

    known = [guess for guess in guesses if isinstance(guess.other, Map)]
    if tried([(few.share(guess.other, way), guess, way, 0.0) for guess in known for way in ways]):  # type: ignore[arg-type]
        return best
    orders = ORDERS[every.claimed.form]
    for way in chosen:
        found, i = [], orders.index(way.order._replace(flipped=(False,) * 3))
        mirror = few.of_itself(own, way)
        for guess in guesses:
            if isinstance(guess.other, Map):
                continue
            step = _step(mirror, guess.other, own, way)
            reach = int(np.clip(LIKELY / step, NEAR, POINTS))
            sizes = step * np.arange(-reach, reach + 1)
            if abs(guess.size[i]) <= FARTHEST:
                sizes = np.append(sizes, guess.size[i] + step * np.arange(-NEAR, NEAR + 1))
            shares = few.shares(guess.other, sizes, own, way)
            k = int(np.argmax(shares))
            found.append((float(shares[k]), guess, way, float(sizes[k])))
        if tried(found):
            break
    return best


def _step(mirror: Search, of: tuple[int, int], own: Map, way: Way) -> float:
    """The largest change, a power of two times eps, with which a map still repeats half of itself."""
    sizes = FORMATS[mirror.precision].eps * 2.0 ** -np.arange(8.0)
    alike = mirror.shares(of, sizes, own, way) >= HALF
    return float(sizes[int(np.argmax(alike)) if alike.any() else -1])


def _refined(every: Search, few: Search, own: Map, guess: Guess, way: Way, size: float) -> Found:
    """On all entries, a size to the last place that shows."""
    if isinstance(guess.other, Map):
        return Found(every.share(guess.other, way), guess.text)
    reach = _step(few.of_itself(own, way), guess.other, own, way)
    for search in (few, few, every):
        sizes = size + np.linspace(-reach, reach, 17)
        shares = search.shares(guess.other, sizes, own, way)
        best = np.flatnonzero(shares == np.max(shares))
        size, reach = float(sizes[best[len(best) // 2]]), reach / 4
    share = every.share(moved(own, guess.other, size, every.claimed), way)
    return Found(share, guess.text.format(1 + size if "times" in guess.text else size))
