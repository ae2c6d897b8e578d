"""What may have been computed: hundreds of iterations, screened for the price of one singular value decomposition.

An iteration takes A = P diag(s) V^H to c P diag(f(s/t)) V^H, whatever its coefficients, its norm t and its factor c.
With y_i = Re p_i^H X v_i the distance of a result X from it is

    |X - c f(A)|^2 = |X - P diag(y) V^H|^2 + sum_i (y_i - c f(s_i/t))^2,

of which only the sum depends on the hypothesis. The few that come near are left to the real measure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, cached_property, partial
from typing import Any, Literal

import numpy as np

from orthoref._newton_schulz.normalization import normalized
from orthoref._newton_schulz.rounding import store
from orthoref._schedules import presets
from orthoref._schedules.schedule import Kind, Normalization, Row, Schedule
from orthoref.oracle.newton_schulz.claim import UPDATE_SCALES, Iteration

MOST = 12  # steps that are tried, and two more than are claimed
FACTORS = ("1", "1.01", "1.02", "1.05")
EPSILONS = (1e-15, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
KINDS: tuple[Kind, ...] = ("frobenius", "schatten4", "spectral")
DIRECTIONS = 16  # that are enough to screen with
WITHIN = 2.0  # distances within this factor are alike: the likelier mistake is named
LIKELY = 7.0  # mistakes that take more than this are none that anybody made
SQUARED = 1e-7  # relative distances below it are lost where they come as a difference of squares
Rule = Literal["add", "clamp", "squared add", "squared clamp"]


class Seen:
    """A result x in the singular bases of its input: P (diag(y) + rest) V^H. Tall, and scaled by a power of two."""

    def __init__(self, a: np.ndarray, x: np.ndarray, of_aol: bool = False, directions: int = DIRECTIONS) -> None:
        """Of an input that is rescaled already, if ``of_aol``: that changes the singular vectors."""
        self.shape = a.shape
        self.tall = a.shape[0] > a.shape[1]
        tall, z = (a, x) if self.tall else (a.conj().T, x.conj().T)
        power = int(np.clip(np.frexp(np.max(np.abs(tall), initial=0.0))[1], -1000, 1000))
        self.unit = 2.0**-power
        self.p, self.s, self.vh = np.linalg.svd(tall * self.unit, full_matrices=False)
        self.y = np.real(np.einsum("ij,ik,jk->j", self.p.conj(), z, self.vh.conj()))
        self.rest = float(np.linalg.norm(z - (self.p * self.y) @ self.vh))
        self.size = float(np.linalg.norm(x))
        self.of_aol = of_aol
        top = float(self.s[0]) if len(self.s) and self.s[0] else 1.0
        self.norms = {
            "frobenius": float(np.linalg.norm(self.s)),
            "schatten4": float(np.sum((self.s / top) ** 4) ** 0.25) * top,
            "spectral": top,
            "none": self.unit,
            "aol": self.unit,
        }
        n = len(self.s)
        self.few = np.arange(n) if n <= directions else np.unique(np.linspace(0, n - 1, directions).astype(int))

    @classmethod
    def aol(
        cls,
        a: np.ndarray,
        x: np.ndarray,
        eps: float = 0.0,
        rule: Literal["add", "clamp"] = "add",
        directions: int = DIRECTIONS,
    ) -> Seen:
        """In the singular bases of the rescaled input."""
        tall = a if a.shape[0] > a.shape[1] else a.conj().T
        start = normalized(tall, Normalization("aol"), eps, rule)
        return cls(start if tall is a else start.conj().T, x, True, directions)

    def divisor(self, how: Divisor) -> float:
        """What is divided by, in the units of ``s``."""
        size = self.norms[how.kind] * how.factor
        if not how.eps or self.of_aol:
            return size
        eps = how.eps * self.unit
        if how.rule.startswith("squared"):
            eps = how.eps**0.5 * self.unit
            return float(np.hypot(size, eps)) if how.rule == "squared add" else max(size, eps)
        return size + eps if how.rule == "add" else max(size, eps)

    def better(self, cost: Any) -> Any:
        """How many times nearer than the claim a mistake has to be: so many fit a few numbers by chance.

        One that costs c explains at least c decimal digits, all singular values that differ taken together.
        """
        return np.maximum(1 + cost, 10 ** (cost / max(self.distinct, 1)))

    @cached_property
    def distinct(self) -> int:
        """How many singular values differ by more than 1 %: as many parameters can be told apart."""
        s = self.s[self.s > 1e-12 * self.norms["spectral"]]
        return int(np.sum(s[1:] < 0.99 * s[:-1])) + 1 if len(s) else 0


@dataclass(frozen=True)
class Divisor:
    """A norm, its factor and eps, and how unlikely that is; an empty text if it is the claimed one."""

    kind: Kind
    factor: float = 1.0
    eps: float = 0.0
    rule: Rule = "add"
    cost: float = 0.0
    text: str = ""

    def apply(self, claimed: Iteration, seen: Seen) -> Iteration:
        """The claim with this divisor; a sum of squares becomes a factor."""
        if self.rule == "squared add":
            factor = Fraction(seen.divisor(self) / seen.norms[self.kind])
            return replace(claimed, normalization=Normalization(self.kind, factor), eps=0.0)
        rule: Any = self.rule
        eps, rule = (self.eps**0.5, "clamp") if rule == "squared clamp" else (self.eps, rule)
        how = Normalization(self.kind, Fraction(repr(self.factor)))
        return replace(claimed, normalization=how, eps=eps, eps_rule=rule)


@dataclass(frozen=True)
class Rows:
    """Coefficients of as many steps as are tried, how many of them may be taken, and how unlikely that is.

    ``usual`` is the number of steps to expect of it beside the claimed one, ``own`` its normalization and factor,
    ``text`` takes the number of steps; empty for the claimed list. ``make`` returns the schedule.
    """

    name: str
    rows: Sequence[Sequence[float]]
    least: int
    usual: int
    cost: float
    text: str
    make: Callable[[], Schedule]
    own: tuple[str, float] = ("", 1.0)

    def value(self, s: np.ndarray, steps: int) -> np.ndarray:
        """f(s)."""
        for c in self.rows[:steps]:
            t, value = s * s, c[-1]
            for a in c[-2::-1]:
                value = value * t + a
            s = s * value
        return s

    def said(self, steps: int, claimed: int) -> str:
        """What it says with a number of steps: nothing if it is the claim."""
        if self.text:
            return self.text.format(steps)
        if steps == claimed:
            return ""
        ended = ": as many as the list has rows" if steps == len(self.make().rows) > 1 and steps < claimed else ""
        return f"{steps} steps were taken, not {claimed}{ended}"


class Table:
    """Rows with their coefficients in one array (rows, step, power), zero where there are none."""

    def __init__(self, rows: Sequence[Rows]) -> None:
        self.rows = rows
        steps = max(len(r.rows) for r in rows)
        self.coefficients = np.zeros((len(rows), steps, max(len(c) for r in rows for c in r.rows)))
        for i, each in enumerate(rows):
            for k, c in enumerate(each.rows):
                self.coefficients[i, k, : len(c)] = c
        self.steps = np.arange(steps + 1)
        self.allowed = np.asarray([(r.least <= self.steps) & (self.steps <= len(r.rows)) for r in rows])

    def costs(self, divisors: Sequence[Divisor], scales: Sequence[Scale], claimed: int) -> np.ndarray:
        """How unlikely each is: what it takes beside the claim, added up; (rows, 1 + steps, divisors, scales)."""
        near = np.where(self.steps == claimed, 0.0, np.where(np.abs(self.steps - claimed) == 1, 1.0, 2.0))
        of_rows = np.asarray(
            [
                r.cost + (np.where((self.steps == claimed) | (self.steps == r.usual), 0.0, 2.0) if r.text else near)
                for r in self.rows
            ]
        )
        own = np.asarray([[r.own == (d.kind, d.factor) and not d.eps for d in divisors] for r in self.rows])
        cost = np.asarray([d.cost for d in divisors])
        of_divisors = np.where(own, np.minimum(cost, 0.5), cost)
        return of_rows[:, :, None, None] + of_divisors[:, None, :, None] + np.asarray([z.cost for z in scales])


@dataclass(frozen=True)
class Scale:
    """A factor on the result; if ``renormalized`` on sqrt(min(m, n))/|f(A)|_F."""

    name: str
    factor: float
    cost: float = 0.0
    text: str = ""
    renormalized: bool = False

    def of(self, f: np.ndarray, squared: np.ndarray | float) -> np.ndarray | float:
        """The factor on f, given |f|^2."""
        return self.factor * np.sqrt(f.shape[-1] / squared) if self.renormalized else self.factor


@dataclass(frozen=True)
class Found:
    """A hypothesis that comes near: its distance over |X|, how unlikely it is, and the factor on f(A)."""

    seen: Seen
    distance: float
    cost: float
    rows: Rows
    steps: int
    divisor: Divisor
    scale: Scale
    factor: float

    def said(self, claimed: Iteration) -> tuple[str, str]:
        """What it says beside the claim, and the same without numbers of this case."""
        of_rows = self.rows.said(self.steps, claimed.steps)
        said = of_rows, self.divisor.text, self.scale.text
        scale = self.scale.name if self.scale.renormalized else f"update scale {self.scale.name}"
        names = of_rows, self.divisor.text, self.scale.text and scale
        return "; ".join(filter(None, said)), "; ".join(filter(None, names))

    def claim(self, claimed: Iteration) -> Iteration:
        """As a claim; a factor that is not an update scale is left to the caller."""
        schedule = self.rows.make()
        if schedule.past == "stop" and self.steps > len(schedule.rows):
            schedule = replace(schedule, past="repeat")
        scale = claimed.scale if self.scale.renormalized else self.scale.name
        return self.divisor.apply(replace(claimed, schedule=schedule, steps=self.steps, scale=scale), self.seen)


def composed(coefficients: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Values f(x), shape (rows, 1 + step, ...), of coefficients (rows, step, power)."""
    pick = (slice(None), *(None,) * x.ndim)
    found = np.empty((len(coefficients), coefficients.shape[1] + 1, *x.shape))
    found[:, 0] = x
    for step in range(coefficients.shape[1]):
        t = found[:, step] ** 2
        total = coefficients[:, step, -1][pick] * np.ones_like(t)
        for power in range(coefficients.shape[2] - 2, -1, -1):
            total *= t
            total += coefficients[:, step, power][pick]
        np.multiply(found[:, step], total, out=found[:, step + 1])
    return found


def squares(seen: Seen, table: Table, divisors: Sequence[Divisor], scales: Sequence[Scale]) -> np.ndarray:
    """|X - c f(A)|^2 over |X|^2, shape (rows, 1 + steps, divisors, scales); inf where there is none.

    Exactly for the first scale, to about 1e-14 for the others.
    """
    t = np.asarray([seen.divisor(each) for each in divisors])
    y, weight = seen.y[seen.few], len(seen.y) / max(len(seen.few), 1)
    f = composed(table.coefficients, seen.s[seen.few] / t[:, None])
    ff, fy = np.einsum("...i,...i->...", f, f), f @ y
    found = np.empty((*ff.shape, len(scales)))
    for i, scale in enumerate(scales):
        c = scale.of(f, ff)
        found[..., i] = np.maximum(y @ y - 2 * c * fy + c * c * ff, 0) if i else np.sum((y - c * f) ** 2, axis=-1)
    found = (weight * found + seen.rest**2) / max(seen.size, 1e-300) ** 2
    return np.where(table.allowed[:, :, None, None] & np.isfinite(found), found, np.inf)


def nearest(
    seen: Seen,
    table: Table,
    divisors: Sequence[Divisor],
    scales: Sequence[Scale],
    claimed: int,
    away: float,
    beside: float = 0.0,
    noise: float = 0.0,
    most: int = 12,
) -> list[Found]:
    """The likeliest of the hypotheses that are as near as they have to be, and about as near as the nearest.

    ``away`` is the distance of the claim: the less likely a mistake is, the better it has to fit. ``beside`` is what
    was assumed already. Below ``noise`` distances say nothing.
    """
    rough = np.sqrt(squares(seen, table, divisors, scales))
    cost = table.costs(divisors, scales, claimed)
    cost = beside + np.where(cost <= LIKELY, cost, np.inf)
    slack = np.where(np.arange(len(scales)), SQUARED, 0.0)
    rough = np.where(rough <= 1.1 * away / seen.better(cost) + slack, rough, np.inf)
    near = np.argwhere(rough <= max(WITHIN * float(np.min(rough)), noise) + slack)
    near = near[np.isfinite(rough[tuple(near.T)])]
    near = near[np.argsort(cost[tuple(near.T)], kind="stable")[:most]]
    found = []
    for i, step, j, k in near:
        f = table.rows[i].value(seen.s / seen.divisor(divisors[j]), step)
        c = float(scales[k].of(f, float(f @ f)))
        distance = float(np.hypot(seen.rest, np.linalg.norm(seen.y - c * f))) / max(seen.size, 1e-300)
        found.append(
            Found(seen, distance, float(cost[i, step, j, k]), table.rows[i], int(step), divisors[j], scales[k], c)
        )
    return [one for one in found if one.distance <= away / seen.better(one.cost)]


def going_on(rows: Sequence[Sequence[float]], past: str, most: int) -> list[Sequence[float]]:
    """The rows of as many steps as are tried."""
    last = len(rows)
    if past == "stop":
        return list(rows[:most])
    return [rows[i % last] if past == "cycle" else rows[min(i, last - 1)] for i in range(most)]


def floats(rows: Sequence[Row]) -> list[tuple[float, ...]]:
    """Coefficients as floats: Fractions are slow to make and to compare."""
    return [tuple(float(c) for c in row.numerator) for row in rows]


@cache
def of_presets(most: int) -> Table:
    """Every preset, and what there may be past its last row."""
    return Table([each for name in presets.names() for each in of_schedule(presets.get(name), most)])


def of_schedule(schedule: Schedule, most: int, claimed: bool = False) -> list[Rows]:
    """One schedule, as claimed or as a candidate, and past its last row another rule than its own."""
    rows, name = floats(schedule.rows), schedule.name
    text = "" if claimed else f"these are the coefficients of {name}, {{}} steps"
    own = schedule.normalization.kind, float(schedule.normalization.factor)
    usual, cost = schedule.default_steps, 0.0 if claimed else 3.0
    found = [Rows(name, going_on(rows, schedule.past, most), not claimed, usual, cost, text, lambda: schedule, own)]
    for past, does in (("repeat", "repeats the last row"), ("cycle", "cycles")):
        if past != schedule.past and 1 < len(rows) < most:
            said = ", and ".join(filter(None, (text, f"past its last row the port {does}")))
            found.append(Rows(name, going_on(rows, past, most), len(rows) + 1, usual, cost + 1, said,
                              partial(replace, schedule, past=past), own))  # fmt: skip
    return found


def mistaken(claimed: Iteration) -> Table:
    """Mistakes in the list of coefficients that the claimed number of steps applies."""
    schedule, exactly = claimed.schedule, claimed.schedule.steps(claimed.steps)
    rows, n = floats(exactly), len(schedule.rows)
    found: list[Rows] = []

    def one(rows: Sequence[Sequence[float]], cost: float, text: str, make: Callable[[], Schedule]) -> None:
        found.append(Rows(text, rows, len(rows), len(rows), cost, text, make))

    def picked(order: Sequence[int], cost: float, text: str) -> None:
        def make() -> Schedule:
            return Schedule(f"{schedule.name}, {text}", tuple(exactly[i] for i in order), schedule.normalization)

        one([rows[i] for i in order], cost, text, make)

    def rescaled(factor: float, last: bool) -> list[tuple[float, ...]]:
        kept = [not last and (i % n if schedule.past == "cycle" else min(i, n - 1)) == n - 1 for i in range(len(rows))]
        by = [1.0 if keep else factor for keep in kept]
        return [tuple(c / d ** (2 * i + 1) for i, c in enumerate(row)) for row, d in zip(rows, by, strict=True)]

    for factor in FACTORS[1:] if rows else ():
        for last in (True, False) if n > 1 else (True,):
            where = f"{factor} (in {'every row' if last else 'every row but the last'})"
            one(rescaled(float(factor), last), 2.5, f"this is the schedule with a safety factor {where}",
                partial(schedule.scaled, factor, last=last))  # fmt: skip
            one(rescaled(1 / float(factor), last), 2.5, f"this is the schedule without its safety factor {where}",
                partial(schedule.scaled, 1 / Fraction(factor), last=last))  # fmt: skip
    for dtype in ("bfloat16", "float16"):
        rounded = [tuple(store(np.asarray(row), dtype)) for row in rows]
        one(rounded, 2.5, f"the coefficients were rounded to {dtype}", partial(schedule.rounded, dtype))
    if any(row != row[::-1] for row in rows):
        text = "the coefficients of every row are taken in the reverse order"
        one([row[::-1] for row in rows], 3.0, text,
            lambda: Schedule(text, tuple(Row(row.numerator[::-1]) for row in exactly)))  # fmt: skip
    count = len(rows)
    if len(set(rows)) > 1:
        picked(range(count)[::-1], 3.0, "the rows are taken in the reverse order")
        picked([0] * count, 3.0, "only the first row is applied, again and again")
    for j in range(count - 1):
        if rows[j] != rows[j + 1]:
            picked([*range(j), *range(j + 1, count)], 3.0, f"row {j} is left out")
            picked([*range(j + 1), *range(j, count)], 3.5, f"row {j} is applied twice")
    return Table(found)


def named(kind: str, factor: float) -> str:
    """A normalization, as it is printed."""
    return kind if factor == 1 else f"{kind} x {factor:.10g}"


def divisors_of(claimed: Iteration) -> list[Divisor]:
    """The claimed norm first, then others, with other factors, and other eps with the claimed norm."""
    how, factor = claimed.normalization, float(claimed.normalization.factor)
    found = [Divisor(how.kind, factor, claimed.eps, claimed.eps_rule)]
    for kind in KINDS:
        for each in sorted({1.0, factor, *map(float, FACTORS)}):
            if kind == how.kind:
                if each != factor:
                    said = f"was multiplied by {each:.10g}" if each != 1 else f"was not multiplied by {factor:.10g}"
                    found.append(Divisor(kind, each, claimed.eps, claimed.eps_rule, 1.0, f"the norm {said}"))
            else:
                cost = 1.5 if each in (1.0, factor) else 3.0
                said = f"the normalization is {named(kind, each)}, not {how}"
                found.append(Divisor(kind, each, 0.0, "add", cost, said))
    if how.kind == "none":
        return found
    none = f"the normalization is none, not {how}, or a had been normalized in place"
    found.append(Divisor("none", 1.0, 0.0, "add", 1.5, none))
    if how.kind == "aol":
        return found
    if claimed.eps:
        found.append(Divisor(how.kind, factor, 0.0, "add", 1.0, "eps is missing"))
    for eps in sorted({claimed.eps, *EPSILONS} - {0.0}):
        rules: tuple[tuple[Rule, float, str], ...] = (
            ("add", 1.5, f"an eps of {eps:g} is added to the norm"),
            ("clamp", 1.6, f"the norm is clipped at an eps of {eps:g}"),
            ("squared add", 2.0, f"an eps of {eps:g} is added to the squared norm"),
            ("squared clamp", 2.0, f"the squared norm is clipped at an eps of {eps:g}, the norm at {eps**0.5:.2g}"),
        )
        for rule, cost, said in rules:
            if eps == claimed.eps:
                if rule == claimed.eps_rule:
                    continue
                if not rule.startswith("squared"):
                    said = f"eps goes into the norm by {rule!r}, not {claimed.eps_rule!r}"
                cost -= 0.5
            elif claimed.eps:
                said += f", not {claimed.eps:g}"
            found.append(Divisor(how.kind, factor, eps, rule, cost, said))
    return found


def aol_divisors(claimed: Iteration) -> list[Divisor]:
    """Factors of AOL rescaling."""
    how, own = claimed.normalization, float(claimed.normalization.factor)
    found: list[Divisor] = []
    for factor in sorted({1.0, own, *map(float, FACTORS)}):
        if how.kind == "aol" and factor == own:
            found.insert(0, Divisor("aol", factor, claimed.eps, claimed.eps_rule))
        elif how.kind == "aol":
            said = f"was multiplied by {factor:.10g}" if factor != 1 else f"was not multiplied by {own:.10g}"
            found.append(Divisor("aol", factor, claimed.eps, claimed.eps_rule, 1.0, f"the norm {said}"))
        else:
            cost = 1.5 if factor == 1 else 3.0
            said = f"the normalization is {named('aol', factor)}, not {how}"
            found.append(Divisor("aol", factor, 0.0, "add", cost, said))
    return found


def scales_of(claimed: Iteration, shape: tuple[int, int]) -> list[Scale]:
    """The claimed update scale first, then the others, and the one that makes the norm sqrt(min(m, n))."""
    own = claimed.factor(*shape)
    found = [Scale(claimed.scale, own)]
    for name, scale in UPDATE_SCALES.items():
        factor = scale(*shape)
        if name != claimed.scale and abs(factor / own - 1) > 1e-12:
            times = f"x is {factor / own:.4g} times what it should be: "
            if name == "none":
                said = f"{times}the update scale {claimed.scale} is missing"
            else:
                said = f"{times}the update scale {name}" + (f", not {claimed.scale}" if claimed.scale != "none" else "")
            found.append(Scale(name, factor, 2.0, said))
    said = "x is renormalised: |x|_F is sqrt(min(m, n))" + (" times the update scale" if own != 1 else "")
    found.append(Scale("renormalised", own, 2.5, said, renormalized=True))
    return found


def equilibrated(a: np.ndarray, axis: int) -> np.ndarray:
    """MuonEq: rows (axis 1) or columns (axis 0) scaled to one norm, |a|_F as before."""
    norms = np.linalg.norm(a, axis=axis, keepdims=True)
    return a * (np.linalg.norm(a) / a.shape[1 - axis] ** 0.5 / np.maximum(norms, 1e-6))
