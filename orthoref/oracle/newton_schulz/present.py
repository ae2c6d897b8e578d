"""A schedule and its certificate for people: text, table, JSON, picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from decimal import ROUND_CEILING, ROUND_FLOOR
from fractions import Fraction
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from orthoref._schedules import presets
from orthoref._schedules.certificate import Certificate, digits
from orthoref._schedules.schedule import Schedule
from orthoref.errors import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAST = {"stop": "not said", "repeat": "the last row again", "cycle": "all rows again"}
LEAST = 1e-6  # left end of the picture
POINTS = 2**16  # the fine structure of a composition is next to 1
HOLLOW: dict[str, Any] = {"markerfacecolor": "none"}


def listing() -> str:
    """Names, aliases and sources of the presets, one per line."""
    also = {name: [alias for alias, of in presets.ALIASES.items() if of == name] for name in presets.names()}
    named = {name: f"{name} ({', '.join(aliases)})" if aliases else name for name, aliases in also.items()}
    width = max(map(len, named.values()))
    return "\n".join(f"{said:{width}} {presets.get(name).source}" for name, said in named.items())


def text(schedule: Schedule, certificate: Certificate) -> str:
    """Where a schedule is from, its coefficients as Python, and what is proved about it."""
    return f"{_listed(schedule, certificate.steps)}\n\n{certificate.text()}"


def uncertified(schedule: Schedule, steps: int | None = None) -> str:
    """The same where nothing can be proved, for want of python-flint."""
    missing = "what is proved about it needs python-flint: pip install 'orthoref[certify]'"
    return f"{_listed(schedule, len(schedule.steps(steps)))}\n\n{missing}"


def _listed(schedule: Schedule, steps: int) -> str:
    lines = [
        schedule.name,
        f"  source              {schedule.source}",
        f"  normalization       {schedule.normalization}",
        f"  past the last row   {PAST[schedule.past]}",
        "",
        _assignment("coefficients", schedule.coefficients(steps)),
    ]
    if not _as_printed(schedule):
        lines += ["# the float64 numbers nearest to", _assignment("exact", _exact(schedule, steps))]
    return "\n".join(lines)


def _assignment(name: str, rows: Iterable[tuple]) -> str:
    return "\n".join([f"{name} = [", *(f"    {row!r}," for row in rows), "]"])


def _as_printed(schedule: Schedule) -> bool:
    """Whether every coefficient is the float64 number, or the decimal, that is printed for it."""
    numbers = (c for row in schedule.rows for c in row.numerator)
    return all(c in (Fraction(float(c)), Fraction(repr(float(c)))) for c in numbers)


def _exact(schedule: Schedule, steps: int) -> list[tuple[str, ...]]:
    return [tuple(str(c) for c in row.numerator) for row in schedule.steps(steps)]


def record(schedule: Schedule, certificate: Certificate) -> dict[str, Any]:
    """All of it for strict JSON: numbers that are not finite are strings."""
    return {
        "name": schedule.name,
        "source": schedule.source,
        "normalization": str(schedule.normalization),
        "past": schedule.past,
        "coefficients": schedule.coefficients(certificate.steps),
        "exact": _exact(schedule, certificate.steps),
        "certificate": {key: _strict(value) for key, value in asdict(certificate).items()},
    }


def _strict(x: Any) -> Any:
    if isinstance(x, tuple):
        return [_strict(y) for y in x]
    return str(x) if isinstance(x, float) and not isfinite(x) else x


def table(certificates: Sequence[Certificate]) -> list[list[str]]:
    """Certificates of one interval side by side, the first row is the header."""
    head = ["schedule", "steps", "slope", "image", "kept", "tolerated", "amplification", "sign safe", "steps to"]
    return [head] + [
        [
            c.schedule,
            str(c.steps),
            f"{c.slope:.4g}",
            _image(c),
            _kept(c),
            digits(c.tolerated, ROUND_FLOOR, 7),
            digits(max(c.amplification, default=1.0), ROUND_CEILING, 3),
            "yes" if c.sign_safe else "NO",
            "never" if c.steps_to is None else str(c.steps_to),
        ]
        for c in certificates
    ]


def _image(c: Certificate) -> str:
    """Rounded outwards; relative to 1 if it is near 1."""
    near = max(abs(end - 1) for end in c.image) < 0.001
    low, high = (end - 1 for end in c.image) if near else c.image
    return ("1 + " if near else "") + f"[{digits(low, ROUND_FLOOR, 4)}, {digits(high, ROUND_CEILING, 4)}]"


def _kept(c: Certificate) -> str:
    return "none" if c.kept is None else digits(c.kept, ROUND_CEILING, 4)


def show(certificates: Sequence[Certificate]) -> None:
    """Print the table, with rich if that is installed."""
    rows, first = table(certificates), certificates[0]
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    else:
        grid = Table(*rows[0], box=None, pad_edge=False)
        for row in rows[1:]:
            grid.add_row(*row)
        console = Console(width=1000)  # never cut: the terminal may wrap
        with console.capture() as caught:  # rich itself would exit with 1 where a reader has gone
            console.print(grid)
        print(caught.get(), end="")
    print(
        f"singular values in [{first.lower:.6g}, {first.upper:.6g}]; "
        f"kept: >= {first.level:.6g} from; tolerated: <= {first.ceiling:.6g} up to;\n"
        f"amplification: of the worst step; steps to 1 +- {first.target:.3g}"
    )


def figure(pairs: Sequence[tuple[Schedule, Certificate]]) -> Figure:
    """Output against input and its distance from 1, with what the certificates say. Needs matplotlib."""
    require("matplotlib", "report")
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(9, 6.6 + 0.17 * len(pairs)), layout="constrained")
    top, bottom = drawn.subplots(2, 1, sharex=True, height_ratios=(5, 2))
    for i, (schedule, certificate) in enumerate(pairs):
        style = {"color": f"C{i}", "linestyle": ("-", "--")[i // 10 % 2], "zorder": 3 - i / 100}  # the first in front
        _draw(top, bottom, schedule, certificate, style)
    first = pairs[0][1]
    top.axhline(1, color="black", linewidth=0.6, zorder=1)
    top.fill_between([], [], color="grey", alpha=0.2, label=f"proved image of [{first.lower:.6g}, {first.upper:.6g}]")
    top.plot([], [], "^", color="grey", label=f"kept: from here on the output is at least {first.level:.6g}")
    top.plot(
        [], [], "s", **HOLLOW, color="grey", label=f"tolerated: so far it is positive, at most {first.ceiling:.6g}"
    )
    top.set(xscale="log", ylabel="output")
    bottom.set(yscale="log", ylabel="|1 - output|", xlabel="singular value after normalization")
    drawn.legend(loc="outside lower center", fontsize=8)
    return drawn


def _draw(top: Axes, bottom: Axes, schedule: Schedule, certificate: Certificate, style: dict[str, Any]) -> None:
    c = certificate
    tolerated = c.tolerated if isfinite(c.tolerated) else 0.0
    marks = [x for x in (c.lower, c.upper, c.kept or 0.0, tolerated) if x > 0]
    first, last = min(LEAST, min(marks) / 10), max(c.upper, tolerated)
    x = np.union1d(np.geomspace(first, last, POINTS), marks)
    y = schedule(x, c.steps)
    numbers = f"image {_image(c)}, kept {_kept(c)}, tolerated {digits(c.tolerated, ROUND_FLOOR, 7)}"
    top.plot(x, y, linewidth=1, label=f"{c.schedule}, {c.steps} steps: {numbers}", **style)
    top.fill_between([max(c.lower, first), c.upper], *c.image, color=style["color"], alpha=0.15, linewidth=0)
    if c.kept:
        top.plot(c.kept, schedule(c.kept, c.steps), "^", color=style["color"])
    if tolerated:
        top.plot(tolerated, schedule(tolerated, c.steps), "s", **HOLLOW, color=style["color"])
    bottom.plot(x, np.maximum(abs(1 - y), np.finfo(float).epsneg), linewidth=1, **style)
