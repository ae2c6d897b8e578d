"""The row of the polar decomposition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log2, sqrt
from typing import Literal

import numpy as np

from orthoref._polar import decomposition, derivatives
from orthoref.arrays import require_choice
from orthoref.oracle.lift import Lifted
from orthoref.oracle.operation import Check, Claim, Data, Measured, Measurement, Operation
from orthoref.oracle.orthonormal.row import SHORT
from orthoref.oracle.polar import enclosure, ratios, reasons
from orthoref.oracle.precision import Precision, precision_of
from orthoref.oracle.residual import ratio

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
    *(
        replace(check, text=check.text.replace("Q", "U").replace("q", "u"), of=check.of.replace("Q", "U"))
        for check in SHORT
    ),
    Check("backward_2", "|A - U H|_2", "|dU|_2 |A|_2 + |dH|_2", limit=4.0),
    Check("hermitian_2", "|H - H^H|_2", "2 |dU|_2 |A|_2 + 2 |dH|_2", limit=4.0),
    Check("consistent_2", "|H - U^H A|_2", "|dU|_2 |A|_2 + |dH|_2", limit=4.0),
    Check("signs", "-lambda_min(U^H A)", "|dU|_2 |A|_2", limit=4.0),
    Check("multiple", "||H| - |A||", "|A| eps/2", limit=4.0),
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
    """The ratios, with limits that zero does not pass."""
    a, u, h = inputs["a"].value, outputs["u"], outputs.get("h")
    found = ratios.residuals(
        a,
        u.value,
        None if h is None else h.value,
        side=claimed.side,
        precision=stored(precision, u if h is None else h),
        isometry="full" if claimed.rank_deficient == "complete" else "partial",
    )
    m, n = a.shape[-2:]
    k, long = min(m, n), max(m, n)
    left = claimed.side == "left" if h is not None else m < n
    measurements = []
    for check in CHECKS:
        if check.name not in found or (h is None and check.name in ("hermitian", "consistent")):
            continue  # herm(U^H A) has been taken for H
        error, unit, size = found[check.name]
        what = check.text
        if left:
            what = what.replace("U H", "H U").replace("U^H A", "A U^H")
        if m < n and check.name.startswith("orthonormal"):
            what = what.replace("U^H U", "U U^H")
        if check.limit is not None:
            text, capped, relative = f"{what} / ({check.of})", check.limit, unit / np.where(size > 0, size, 1.0)
        else:
            in_e = check.name != "orthonormal"
            e = (precision.relative(k, long) if in_e else precision.growth(k, long)) * precision.eps
            # (CAP) never more than half of what U = 0 scores, so that no unit, however coarse, makes a check vacuous
            trivial = 1.0 if in_e else sqrt(k)
            text = f"{what} / ({check.of + ' ' if check.of else ''}{precision.unit(k, in_e, long)})"
            capped, relative = min(limit, trivial / 2 / e) if k else limit, np.asarray(e)
        measurements.append(Measurement(check.name, text, ratio(error, unit), capped, relative, bool(check.of)))
    return Measured(measurements, np.full(a.shape[:-2], a.size > 0))


def stored(precision: Precision, x: Lifted) -> Precision:
    """The format with the ``tiny`` that x rounds with.

    That of its storage; the coarser one of the format where x, stored in more, lies on its grid.
    """
    tiny = precision.tiny if x.dtype is None else precision_of(x.dtype).tiny
    coarse = tiny < precision.tiny
    if coarse:
        exponent = -round(log2(precision.tiny))
        parts = (np.ldexp(part, exponent) for part in (x.value.real, x.value.imag))
        coarse = all(bool(np.all((part == np.rint(part)) | ~np.isfinite(part))) for part in parts)
    return precision if coarse else precision._replace(tiny=tiny)


ROW = Operation(
    name="polar",
    inputs=("a",),
    outputs=("u", "h"),
    optional=("h",),
    reference=decomposition.polar,
    jvp=derivatives.polar_jvp,
    vjp=derivatives.polar_vjp,
    condition=derivatives.polar_condition,
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
