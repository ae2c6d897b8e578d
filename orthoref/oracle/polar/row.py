"""The row of the polar decomposition."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np

from orthoref._polar import decomposition
from orthoref.arrays import require_choice
from orthoref.oracle.operation import Check, Claim, Data, Measured, Measurement, Operation
from orthoref.oracle.polar import enclosure, ratios, reasons
from orthoref.oracle.precision import Precision, precision_of

CLAIMS = (
    Claim("side", "right", "a = u h or a = h u", ("right", "left")),
    Claim(
        "rank_deficient",
        "complete",
        "u of a rank-deficient input has orthonormal columns, or may be a partial isometry",
        ("complete", "partial"),
    ),
)
CHECKS = (
    Check("backward", "|A - U H|", "|A|"),
    Check("orthonormal", "|I - U^H U|"),
    Check("hermitian", "|H - H^H|", "|H|"),
    Check("positive", "-lambda_min(H)", "|H|"),
    Check("symmetric", "|skew(U^H A)|", "|A|"),
    Check("nuclear", "| |A|_* - Re<A,U> |", "|A|_*"),
    Check("consistent", "|H - U^H A|", "|A|"),
)


@dataclass(frozen=True)
class PolarClaim:
    """Which decomposition, and what U of a rank-deficient matrix may be."""

    side: Literal["right", "left"] = "right"
    rank_deficient: str = "complete"

    def __post_init__(self) -> None:
        for each in CLAIMS:
            require_choice(each.name, getattr(self, each.name), each.choices)

    def __str__(self) -> str:
        partial = ", partial isometries" if self.rank_deficient == "partial" else ""
        return f"side={self.side}{partial}"


def shapes(claimed: PolarClaim, a: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """U like A; H of the order of the side that it stands on."""
    *batch, m, n = a
    order = n if claimed.side == "right" else m
    return {"u": tuple(a), "h": (*batch, order, order)}


def measure(inputs: Data, outputs: Data, claimed: PolarClaim, precision: Precision, limit: float) -> Measured:
    """The seven ratios, with limits that zero does not pass."""
    a, u, h = inputs["a"].value, outputs["u"], outputs.get("h")
    if u.dtype is not None:  # results round on the subnormal grid of what they are stored in
        precision = precision._replace(tiny=precision_of(u.dtype).tiny)
    found = ratios.polar(
        a,
        u.value,
        None if h is None else h.value,
        side=claimed.side,
        precision=precision,
        isometry="full" if claimed.rank_deficient == "complete" else "partial",
    )
    m, n = a.shape[-2:]
    k = min(m, n)
    measurements = []
    for check in CHECKS:
        if h is None and check.name in ("hermitian", "consistent"):  # herm(U^H A) has been taken for H
            continue
        relative = check.name != "orthonormal"
        unit = (precision.relative(k) if relative else precision.growth(k)) * precision.eps
        # (CAP) never more than half of what U = 0 scores, so that no unit, however coarse, makes a check vacuous
        trivial = 1.0 if relative else sqrt(k)
        what = check.text
        if claimed.side == "left":
            what = what.replace("U H", "H U").replace("U^H A", "A U^H")
        if m < n and not relative:
            what = what.replace("U^H U", "U U^H")
        text = f"{what} / ({check.of + ' ' if check.of else ''}{precision.unit(k, relative)})"
        capped = min(limit, trivial / 2 / unit) if k else limit
        measurements.append(Measurement(check.name, text, found[check.name], capped, unit))
    return Measured(measurements, np.full(a.shape[:-2], a.size > 0))


ROW = Operation(
    name="polar",
    inputs=("a",),
    outputs=("u", "h"),
    optional=("h",),
    reference=decomposition.polar,
    jvp=decomposition.polar_jvp,
    vjp=decomposition.polar_vjp,
    condition=decomposition.polar_condition,
    claims=CLAIMS,
    claim=PolarClaim,
    shapes=shapes,
    checks=CHECKS,
    measure=measure,
    variants=reasons.variants,
    describe=reasons.describe,
    limit=10.0,
    unit="n eps",
    enclosure=enclosure.polar,
)
