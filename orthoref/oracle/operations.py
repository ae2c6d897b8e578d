"""The table: one row per operation, from which conformance runs, tests, docs and benchmarks iterate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from orthoref._polar import decomposition
from orthoref.oracle import cases, judge, measure
from orthoref.oracle.cases import GALLERY, SPECTRA, Case
from orthoref.oracle.precision import precision_of


@dataclass(frozen=True)
class Operation:
    """What the oracle knows of an operation.

    ``battery(dtypes, shapes)`` yields the inputs of a conformance run, ``judge`` turns an input and the outputs
    of a port into a :class:`~orthoref.oracle.judge.Verdict`, ``checks`` names and describes its ratios.
    """

    name: str
    primal: Callable[..., Any]
    jvp: Callable[..., Any]
    vjp: Callable[..., Any]
    condition: Callable[..., Any]
    battery: Callable[[Sequence[str], Sequence[tuple[int, ...]]], list[Case]]
    judge: Callable[..., judge.Verdict]
    checks: dict[str, tuple[str, str]]
    outputs: tuple[str, ...]
    default_shapes: tuple[tuple[int, ...], ...]


def polar_battery(dtypes: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> list[Case]:
    """Every spectrum with cond 1, 1e3, eps^-1/2 and 1/eps, extreme scales, and the gallery for square shapes."""
    found = []
    for dtype in dtypes:
        precision = precision_of(dtype)
        conditions = (1.0, 1e3, precision.eps**-0.5, 1 / precision.eps)
        for shape in shapes:
            for spectrum in SPECTRA:
                # cond = 1 gives the same singular values for every spectrum, and a vector has no other
                vector, all_ = min(shape[-2:]) < 2, spectrum == "geometric"
                some = conditions[:1] if vector else conditions if all_ else conditions[1:]
                found += [cases.drawn(shape, spectrum, cond, dtype, seed=seed) for seed, cond in enumerate(some)]
            for scale in (
                precision.tiny / precision.eps / 8,
                precision.largest / 8,
            ):  # an eighth of the smallest normal
                found.append(cases.drawn(shape, "geometric", 1e3, dtype, scale=scale, seed=7))
        orders = sorted({shape[-1] for shape in shapes if len(shape) == 2 and shape[0] == shape[1]})
        found += [cases.named(name, n, dtype) for n in orders for name in GALLERY]
    return found


OPERATIONS: dict[str, Operation] = {
    "polar": Operation(
        name="polar",
        primal=decomposition.polar,
        jvp=decomposition.polar_jvp,
        vjp=decomposition.polar_vjp,
        condition=decomposition.polar_condition,
        battery=polar_battery,
        judge=judge.polar,
        checks=measure.POLAR,
        outputs=("u", "h"),
        default_shapes=((1, 1), (2, 2), (5, 5), (16, 16), (48, 48), (24, 7), (7, 24), (60, 3), (3, 4, 4)),
    ),
}
