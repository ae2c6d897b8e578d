"""Certify the published schedules; write schedules_table.md and _static/schedules.png.

Run by hand, with python-flint and matplotlib installed: python docs/make_schedules.py
Every number of the table is computed here. Bounds are rounded in the direction in which they stay true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from fractions import Fraction
from functools import cache
from math import inf, isfinite
from pathlib import Path

import matplotlib as mpl
import numpy as np

import orthoref
from orthoref import OutsideDomain, schedules
from orthoref.schedules import Certificate, Row, Schedule

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
LOWER = "0.001"
SHORT = Fraction(1, 256)  # unit roundoff of bfloat16
MINUS, SPACE = "\u2212", "\u00a0"
CUSHION = "0.02407327424182761"  # of the Polar Express paper
EXPRESS = [name for name in schedules.names() if name.startswith("polar-express")]
REPRODUCED = {  # preset: (arguments of minimax, decimals that the list is rounded to)
    "cans-5": (("1e-3", 5), {}, 4),
    "polar-express-list": (("1e-3", 8), {"cushion": CUSHION}, None),
    "polar-express-nanogpt": (("1e-3", 5), {"cushion": "0.02", "safety": "0.02"}, None),
    "polar-express-timm": (("1e-3", 8), {"cushion": "0.02", "safety": "0.01"}, None),
    "polar-express-timm-safer": (("1e-3", 8), {"cushion": "0.02", "safety": "0.02"}, None),
}
# not a preset: five rows of AngularMuown (axolotl), there called Polar Express
ANGULAR = Schedule.of(
    "AngularMuown",
    [
        ("8.237312490495555", "-23.157747414558198", "16.680568411445915"),
        ("4.082441999064836", "-2.8930477353325887", "0.5252849256975651"),
        ("3.9263479922546556", "-2.8547468034765293", "0.5318022422894989"),
        ("3.2982187133085143", "-2.4245419810267062", "0.48632008358844075"),
        ("2.320007312889811", "-1.6862169729967622", "0.42068027340235137"),
    ],
)


def main() -> None:
    """Write the table and the picture."""
    parts: tuple[Callable[[], Iterable[str]], ...] = (
        overview,
        short,
        reproduction,
        stagnation,
        optimum,
        express,
        overshoot,
        beyond,
        refused,
        aol,
        jordan,
        limits,
        norms,
        cushions,
        cost,
        details,
    )
    lines = ["---", "orphan: true", "---", "", "<!-- Written by docs/make_schedules.py: do not edit. -->", ""]
    lines += ["# Certificates of the presets", "", "The page that explains them is {doc}`which_schedule`.", ""]
    for part in _track(parts):
        lines += [f"## {str(part.__doc__).rstrip('.')}", ""]
        lines += [f"<!-- begin {part.__name__} -->", "", *part(), "", f"<!-- end {part.__name__} -->", ""]
    (HERE / "schedules_table.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    picture(HERE / "_static" / "schedules.png")


def _track(parts: Sequence[Callable]) -> Iterable[Callable]:
    try:
        from rich.progress import track
    except ImportError:
        return parts
    return track(parts, description="certificates")


# ---- certificates


@cache
def certified(
    schedule: Schedule,
    lower: str | Fraction = LOWER,
    upper: str | Fraction = 1,
    steps: int | None = None,
    dtype: str | None = None,
) -> Certificate:
    """A certificate, compared with the schedule at many points: a sampled value outside it is a bug."""
    found = schedules.certify(schedule, lower, upper, steps=steps, dtype=dtype)
    x = np.geomspace(float(Fraction(lower)), float(Fraction(upper)), 20001)
    rows = (schedule if dtype is None else schedule.rounded(dtype)).steps(steps)
    for row, (low, high) in zip(rows, found.after, strict=True):
        x = row(x)
        if x.min() < low - 1e-9 or x.max() > high + 1e-9:
            raise AssertionError(f"{schedule.name}: [{x.min()}, {x.max()}] is not in the certified [{low}, {high}]")
    return found


def outcome(schedule: Schedule, upper: str | Fraction = 1, steps: int | None = None) -> str:
    """Image of [LOWER, upper], or what goes wrong."""
    try:
        c = certified(schedule, LOWER, upper, steps)
    except OutsideDomain:
        return "**diverges**"
    return interval(c.image) if c.sign_safe else "**sign changes**"


def design(name: str) -> Schedule:
    """The exact composition that a published list stands for, as float64 numbers."""
    arguments, options, _ = REPRODUCED[name]
    return schedules.minimax(*arguments, **options)


# ---- text


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A Markdown table."""
    return ["| " + " | ".join(map(str, cells)) + " |" for cells in (head, ["---"] * len(head), *rows)]


def number(x: float, rounding: str, digits: int = 4) -> str:
    """Digits rounded in one direction, with a minus sign at which no line is broken."""
    if not isfinite(x):
        return "unbounded" if x == inf else str(x)
    return f"{float(Context(digits, rounding).create_decimal_from_float(x)):.{digits}g}".replace("-", MINUS)


def up(x: float, digits: int = 4) -> str:
    """Rounded up."""
    return number(x, ROUND_CEILING, digits)


def down(x: float, digits: int = 4) -> str:
    """Rounded down."""
    return number(x, ROUND_FLOOR, digits)


def interval(image: tuple[float, float]) -> str:
    """Rounded outwards, relative to 1 where that says more."""
    low, high = image
    if max(abs(low - 1), abs(high - 1)) < 1e-3:
        text = f"1 + [{down(low - 1, 2)}, {up(high - 1, 2)}]"
    else:
        text = f"[{down(low)}, {up(high)}]"
    return text.replace(" ", SPACE)


def near(x: float, rounding: Callable[[float], str]) -> str:
    """A bound, relative to 1 where that says more."""
    if x != 1 and abs(x - 1) < 1e-3:
        return f"1 {'+' if x > 1 else MINUS} {rounding(x - 1).lstrip(MINUS)}".replace(" ", SPACE)
    return rounding(x)


def tolerated(c: Certificate) -> str:
    """Its bound, rounded down."""
    return near(c.tolerated, lambda x: down(x, 5 if x > 0.01 else 2))


def code(name: str) -> str:
    """A preset, linked to its certificate."""
    return f"[`{name}`](#{name})"


def plain(x: Fraction) -> str:
    """A Fraction as a decimal."""
    return f"{float(x):.6g}"


def columns(c: Certificate) -> tuple[str, ...]:
    """Of the two overviews."""
    return (
        interval(c.image),
        "none" if c.kept is None else up(c.kept),
        tolerated(c),
        up(max(c.amplification), 3),
        "never" if c.steps_to is None else str(c.steps_to),
    )


COLUMNS = ("image of [0.001, 1]", "kept", "tolerated", "largest $d$", "steps to 0.001")


# ---- parts


def overview() -> Iterable[str]:
    """Every preset, coefficients as written."""
    past = {"stop": "not said", "repeat": "last row", "cycle": "all rows"}
    presets = [schedules.get(name) for name in schedules.names()]
    yield from table(
        ("preset", "steps, then", *COLUMNS),
        ((code(s.name), f"{s.default_steps}, {past[s.past]}", *columns(certified(s))) for s in presets),
    )


def short() -> Iterable[str]:
    """Every preset, coefficients rounded to bfloat16."""
    presets = [(name, certified(schedules.get(name), dtype="bfloat16")) for name in schedules.names()]
    yield from table(
        ("preset", "slope at 0", *COLUMNS), ((code(name), f"{c.slope:.4g}", *columns(c)) for name, c in presets)
    )


def deviation(published: Row, exact: Row) -> Fraction:
    """Largest relative difference of a coefficient."""
    return max(abs(x / y - 1) for x, y in zip(published.numerator, exact.numerator, strict=True))


def agreement(x: Fraction) -> str:
    """A deviation for people."""
    return "0" if not x else f"{float(x):.1e}"


def call(name: str) -> str:
    """The call of minimax as one would type it."""
    arguments, options, _ = REPRODUCED[name]
    words = [repr(arguments[0]), str(arguments[1]), *(f"{key}={value!r}" for key, value in options.items())]
    return f"`minimax({', '.join(words)})`"


def reproduction() -> Iterable[str]:
    """Which lists are compositions of best polynomials, and how exactly."""
    rows = []
    for name, (_, _, decimals) in REPRODUCED.items():
        exact, published = design(name).rows, schedules.get(name).rows
        if decimals is None:
            how = ", ".join(agreement(deviation(p, e)) for p, e in zip(published, exact, strict=True))
        else:
            how = rounded(published, exact, decimals)
        rows.append((code(name), call(name), how))
    exact = schedules.minimax("1e-3", 5, cushion="0.02", safety="0.01").rows
    how = ", ".join(agreement(deviation(p, e)) for p, e in zip(ANGULAR.rows, exact, strict=True))
    rows.append(("AngularMuown", "`minimax('1e-3', 5, cushion='0.02', safety='0.01')`", how))
    express = schedules.get("polar-express").rows
    rows.append(
        (code("polar-express"), "`polar-express-list` with $x/1.01$ for $x$ in all rows but the last", "defined so")
    )
    rows.append(
        (
            code("polar-express-nvidia"),
            "`polar-express`",
            rounded(schedules.get("polar-express-nvidia").rows, express, 4),
        )
    )
    rows.append((code("polar-express-gram"), "`polar-express-list`, five rows, $x/1.05$ for $x$ in all", "defined so"))
    rows.append((code("cubic5"), "`minimax('7e-3', 5, 3)`, every step rescaled to the maximum 1.3", cubic()))
    yield from table(("list", "is", "relative deviation, row by row"), rows)


def rounded(published: Sequence[Row], exact: Sequence[Row], decimals: int) -> str:
    """Whether rounding to so many decimals gives exactly the published numbers."""
    pairs = [pair for p, e in zip(published, exact, strict=True) for pair in zip(p.numerator, e.numerator, strict=True)]
    other = [f"{float(x)} for {float(y):.6f}" for x, y in pairs if x != round(y, decimals)]
    found = f"{len(pairs) - len(other)} of {len(pairs)} coefficients equal after rounding to {decimals} decimals"
    return found + (f"; the other is {', '.join(other)}" if other else "")


def cubic() -> str:
    """cubic5 against (CUBIC) on the intervals that its own steps leave, scaled to a maximum of 1.3."""
    top, low, high = Fraction("1.3"), Fraction("0.007"), Fraction(1)
    found = []
    for row in schedules.get("cubic5").rows:
        best = schedules.minimax(low, 1, 3, upper=high).rows[0]
        a, b = (float(x) for x in best.numerator)
        factor = Fraction(float(top) / (2 * a / 3 * (-a / (3 * b)) ** 0.5))
        exact = Row(tuple(factor * x for x in best.numerator))
        found.append(agreement(deviation(row, exact)))
        low, high = exact(low), top
    return ", ".join(found)


def stagnation() -> Iterable[str]:
    """Rows whose published digits are rounding errors of the Remez exchange in double precision."""
    rows = []
    for name in ("polar-express-list", "polar-express-timm", "polar-express-timm-safer"):
        exact = design(name)
        ends = [(Fraction(LOWER), Fraction(1)), *((Fraction(a[0]), 2 - Fraction(a[0])) for a in certified(exact).after)]
        cushion = Fraction(REPRODUCED[name][1]["cushion"])
        for i, (p, e) in enumerate(zip(schedules.get(name).rows, exact.rows, strict=True)):
            low, high = ends[i]
            width = float(1 - max(low / high, cushion))
            if i > 3:
                predicted = 2.0**-53 / width**2 if width else inf
                rows.append((code(name), i + 1, f"{width:.1e}", f"{predicted:.0e}", agreement(deviation(p, e))))
    yield from table(("list", "row", r"$\delta = 1 - l/u$", r"$u/\delta^2$, $u = 2^{-53}$", "relative deviation"), rows)


def optimum() -> Iterable[str]:
    """How far from the best composition with the same number and degree of steps."""
    rows = []
    for name in schedules.names():
        s = schedules.get(name)
        c = certified(s)
        degree = max(row.degree for row in s.rows)
        best = certified(schedules.minimax(LOWER, c.steps, degree))
        low, high = c.image
        least = best.image[1] / best.image[0]
        quotient = "sign changes" if not c.sign_safe else show_quotient(high / low)
        rows.append((code(name), f"{c.steps} of degree {degree}", quotient, show_quotient(least)))
    yield from table(("preset", "steps", "largest over smallest output of [0.001, 1]", "least possible"), rows)


def show_quotient(x: float) -> str:
    """A quotient that may be next to 1."""
    if x - 1 < 1e-14:
        return "1 to rounding"
    return f"{x:.4g}" if x > 1.001 else f"1 + {x - 1:.1g}"


def express() -> Iterable[str]:
    """The lists that ship as Polar Express, side by side."""
    rows = []
    for name in EXPRESS:
        s = schedules.get(name)
        c = certified(s)
        factor = s.normalization.factor
        first, last = (f"{float(row.numerator[0]):.6g}" for row in (s.rows[0], s.rows[-1]))
        kept = up(c.kept * float(factor))
        room = down((c.tolerated * float(factor) - 1) * 100, 3)
        rows.append((code(name), len(s.rows), first, last, s.normalization, interval(c.image), kept, room))
    yield from table(
        (
            "preset",
            "rows",
            "slope of the first",
            "and the last row",
            "norm",
            "image of [0.001, 1]",
            "kept, in units of the norm",
            "norm may be too small by, %",
        ),
        rows,
    )


def overshoot() -> Iterable[str]:
    """Outputs if singular values above 1 slip through the normalization."""
    uppers = {
        "1": Fraction(1),
        "$1 + 2^{-8}$": 1 + SHORT,
        "1.01": Fraction("1.01"),
        "1.02": Fraction("1.02"),
        "1.05": Fraction("1.05"),
        "1.1": Fraction("1.1"),
        "1.2": Fraction("1.2"),
    }

    def cell(s: Schedule, upper: Fraction) -> str:
        try:
            c = certified(s, LOWER, upper)
        except OutsideDomain:
            return "**diverges**"
        if not c.sign_safe:
            return "**sign**"
        if abs(c.highest - 1) < 1e-12:
            return "1.000"
        highest = near(c.highest, lambda x: up(x, 2 if abs(x) < 1e-3 else 4))
        return f"**{highest}**" if c.highest > 1.5 else highest

    yield from table(
        ("preset", "tolerated", *uppers),
        (
            (code(name), tolerated(certified(s)), *(cell(s, u) for u in uppers.values()))
            for name, s in ((name, schedules.get(name)) for name in schedules.names())
        ),
    )


def beyond() -> Iterable[str]:
    """What becomes of finite lists beyond their last row."""
    names = ("you-5", "aol-a", "aol-b", "cubic5", "cans-5", "polar-express-nanogpt", "polar-express-gram")
    rows = []
    for name in names:
        s = schedules.get(name)
        n = len(s.rows)
        cells = [
            outcome(replace(s, past=past, name=f"{name}, {past}"), steps=count)
            for past in ("repeat", "cycle")
            for count in (n + 1, 2 * n)
        ]
        rows.append((code(name), n, {"stop": "refuses", "repeat": "repeats", "cycle": "cycles"}[s.past], *cells))
    yield from table(
        (
            "preset",
            "rows",
            "this package",
            "last row once more",
            "to twice the steps",
            "all rows again: one step",
            "to twice the steps",
        ),
        rows,
    )


def refused() -> Iterable[str]:
    """The message."""
    yield "```pycon"
    for name, steps in (("polar-express-nanogpt", 6), ("you-6", 7)):
        yield f'>>> schedules.get("{name}").steps({steps})'
        try:
            schedules.get(name).steps(steps)
        except ValueError as error:
            yield f"ValueError: {error}"
    yield "```"


def flips(a: np.ndarray, **options: object) -> tuple[float, int, int]:
    """Largest singular value after the rescaling, number of singular directions, how many change their sign."""
    x = orthoref.newton_schulz(a, "aol-a", steps=0, **options)
    p, s, vh = np.linalg.svd(x, full_matrices=False)
    y = orthoref.newton_schulz(a, "aol-a", **options)
    keep = s > 1e-12
    signs = np.sum(p.conj() * (y @ vh.T.conj()), axis=0).real[keep]
    return float(s[0]), int(keep.sum()), int((signs < 0).sum())


def aol() -> Iterable[str]:
    """Where aol-a changes signs."""
    s = schedules.get("aol-a")
    after, x = [], Fraction(1)
    for row in s.rows:
        x = row(x)
        after.append(f"{float(x):.4g}")
    yield f"`aol-a` takes 1 to {', then to '.join(after)}."
    yield ""
    rng = np.random.default_rng(0)
    orthogonal = np.linalg.qr(rng.standard_normal((64, 64)))[0]
    rank_one = np.outer(rng.standard_normal(64), rng.standard_normal(32))
    matrices = {
        "diag(3, 4)": (np.diag([3.0, 4.0]), {}),
        "orthogonal, 64 x 64": (orthogonal, {}),
        "rank 1, 64 x 32": (rank_one, {}),
        "the same, Frobenius norm instead of AOL": (rank_one, {"normalize": "frobenius"}),
        "normal random entries, 64 x 64": (rng.standard_normal((64, 64)), {}),
        "normal random entries, 256 x 64": (rng.standard_normal((256, 64)), {}),
        "normal random entries, 1024 x 16": (rng.standard_normal((1024, 16)), {}),
        "entries uniform in (0, 1), 64 x 64": (rng.uniform(size=(64, 64)), {}),
    }
    rows = []
    for name, (a, options) in matrices.items():
        largest, count, bad = flips(a, **options)
        rows.append((name, f"{largest:.4g}", count, f"**{bad}**" if bad else 0))
    yield from table(
        ("matrix", "largest singular value after rescaling", "nonzero singular values", "signs changed"), rows
    )


def jordan() -> Iterable[str]:
    """Images under more and more steps, and why."""
    s = schedules.get("jordan")
    yield from table(
        ("steps", "image of [0.001, 1]"),
        ((count, interval(certified(s, steps=count).image)) for count in (1, 2, 3, 5, 8, 10, 20, 50, 100)),
    )
    a, b, c = (float(x) for x in s.rows[0].numerator)
    slopes = []
    for sign in (-1, 1):
        t = (-b + sign * (b * b - 4 * c * (a - 1)) ** 0.5) / (2 * c)
        slopes.append(f"{t**0.5:.4f} with slope {a + 3 * b * t + 5 * c * t * t:.3f}")
    yield ""
    yield f"It takes 1 to {float(s.rows[0](Fraction(1))):.4g}; its positive fixed points are {' and '.join(slopes)}."


def fixed(row: Row) -> float:
    """The attracting fixed point near 1."""
    x = 1.0
    for _ in range(10000):
        x = float(row(x))
    return x


def limits() -> Iterable[str]:
    """Where a safety factor on the last row leads."""
    last = schedules.get("polar-express-list").rows[-1]
    rows = [
        (f"{name} on $(15/8, -10/8, 3/8)$, repeated", f"1 - {1 - fixed(last.scaled(name)):.1e}", "")
        for name in ("1.01", "1.02", "1.05")
    ]
    five = Schedule("five", schedules.get("polar-express-list").rows[:5])
    for label, s in (
        ("none, five rows", five),
        ("1.01, five rows, not on the last", five.scaled("1.01", last=False)),
        ("1.05, five rows, not on the last", five.scaled("1.05", last=False)),
        ("1.05, five rows, on all: `polar-express-gram`", schedules.get("polar-express-gram")),
    ):
        rows.append((label, f"{float(s(Fraction(1))):.4f}", interval(certified(s).image)))
    yield from table(("safety factor", "limit, or what 1 goes to", "image of [0.001, 1]"), rows)


def norms() -> Iterable[str]:
    """One list with three safety factors in front of the norm."""
    s = schedules.get("polar-express-nanogpt")
    c = certified(s)
    rows = []
    for factor in (Fraction(1), Fraction("1.01"), Fraction("1.02")):
        room = down((c.tolerated * float(factor) - 1) * 100, 3)
        rows.append((plain(factor), interval(certified(s, LOWER, 1 / factor).image), up(c.kept * float(factor)), room))
    yield from table(
        (
            "norm times",
            "image of [0.001, 1/factor]",
            "kept, in units of the norm",
            "norm may be too small by, %",
        ),
        rows,
    )


def cushions() -> Iterable[str]:
    """What a cushion buys and costs."""
    low, high = schedules.certify(schedules.minimax(CUSHION, 1), CUSHION, 1).image
    yield (
        f"The best polynomial of degree 5 on [{CUSHION}, 1] has the error {high - 1:.13f}, and 9/11 is {9 / 11:.13f}: "
        f"it maps onto an interval whose ends are as 1 to {high / low:.11g}."
    )
    yield ""
    rows = []
    for cushion in ("0", "0.01", "0.02", CUSHION, "0.05", "0.1"):
        s = schedules.minimax(LOWER, 12, cushion=cushion)
        five = certified(s, steps=5)
        least = min(row_minimum(row) for row in s.rows[:5])
        d = " ".join(up(x, 3) for x in five.amplification)
        rows.append((cushion, d, f"{least:.3g}", interval(five.image), certified(s).steps_to))
    yield from table(
        ("cushion", "$d$ of the first five steps", "least $f(x)/x$", "image after five steps", "steps to 0.001"), rows
    )


def row_minimum(row: Row) -> float:
    """Least f(x)/x over all x of a quintic."""
    a, b, c = (float(x) for x in row.numerator)
    return a - b * b / (4 * c)


def cost() -> Iterable[str]:
    """Steps and products that the best composition needs."""
    rows = []
    for condition in (10, 100, 1000, 10**4, 10**5):
        cells = []
        for degree in (3, 5, 7):
            s = schedules.minimax(Fraction(1, condition), 24 if degree == 3 else 16, degree)
            for target in ("0.1", "0.001", "1e-8"):
                steps = schedules.certify(s, Fraction(1, condition), 1, steps=1, target=target).steps_to
                cells.append(f"{steps} ({steps * (degree + 1) // 2})")
        rows.append((f"{condition:.0e}".replace("e+0", "e"), *cells))
    head = [f"degree {degree}: to {target}" for degree in (3, 5, 7) for target in ("0.1", "0.001", "1e-8")]
    yield from table(("$1/l$", *head), rows)


def details() -> Iterable[str]:
    """Source, coefficients and certificate of every preset."""
    past = {"stop": "not said: refused", "repeat": "the last row again", "cycle": "all rows again"}
    for name in schedules.names():
        s = schedules.get(name)
        yield f"### {name}"
        yield ""
        yield f"{s.source}. Made for: {s.normalization}. Past the last row: {past[s.past]}."
        yield ""
        yield "```text"
        yield from (" ".join(f"{x!r:>23}" for x in row).rstrip() for row in s.coefficients(len(s.rows)))
        yield ""
        yield from certified(s).text().splitlines()
        yield "```"
        yield ""


# ---- picture


DRAWN = (
    ("newton-schulz-5", 8, None),
    ("jordan", 5, None),
    ("you-5", 5, None),
    ("you-6", 6, None),
    ("cubic5", 5, None),
    ("cans-5", 5, None),
    ("cans-5", 5, "bfloat16"),
    ("polar-express-nanogpt", 5, None),
    ("polar-express", 5, None),
    ("polar-express", 8, None),
    ("aol-a", 4, None),
    ("aol-b", 4, None),
)


def picture(path: Path) -> None:
    """Outputs of the main presets, one panel each."""
    figure, axes = plt.subplots(3, 4, figsize=(12, 8), layout="constrained", sharex=True, sharey=True)
    x = np.concatenate([np.geomspace(1e-4, 0.1, 4001), np.linspace(0.1, 2, 60001)])
    for axis, (name, steps, dtype) in zip(axes.flat, DRAWN, strict=True):
        s = schedules.get(name)
        c = certified(s, steps=steps, dtype=dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            y = np.asarray((s if dtype is None else s.rounded(dtype))(x, steps))
        y = np.where(np.isfinite(y) & (np.abs(y) < 5), y, np.nan)
        axis.axhspan(0.5, 1.5, color="0.93", linewidth=0)
        axis.axhline(1, color="0.6", linewidth=0.6)
        axis.axvline(1, color="0.6", linewidth=0.6)
        axis.plot(x, np.where(y >= 0, y, np.nan), color="tab:blue", linewidth=0.9)
        axis.plot(x, np.where(y < 0, y, np.nan), color="tab:red", linewidth=1.2)
        if c.kept is not None:
            axis.axvline(c.kept, color="black", linewidth=0.9, linestyle=":")
        axis.axvline(c.tolerated, color="black", linewidth=0.9, linestyle="--")
        axis.set_title(f"{name}, {steps} steps" + ("" if dtype is None else f", {dtype}"), fontsize=10)
    axes[0, 0].set_xscale("log")
    axes[0, 0].set_xlim(1e-4, 2)
    axes[0, 0].set_ylim(-1.3, 1.7)
    figure.supxlabel("normalized singular value")
    figure.supylabel("output (red: negative)")
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
