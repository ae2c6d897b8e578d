"""Rows of the derivatives of the polar decomposition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from orthoref._polar import derivatives
from orthoref.oracle import derivative
from orthoref.oracle.battery import Levels
from orthoref.oracle.cases import COTANGENTS, STRUCTURES
from orthoref.oracle.fixed import ct
from orthoref.oracle.operation import Check, Data, Operation
from orthoref.oracle.polar import derivative_reasons as reasons
from orthoref.oracle.polar.derivative_ratios import CLAIMS, PolarDerivative, bars, differentiable, truths
from orthoref.oracle.polar.truth import point
from orthoref.oracle.precision import PRECISIONS

SINGLE = ("float32", "complex64")
UNIT = "n eps (|D| |A| + |dU| |bar|)"


def shapes(
    kind: str, claimed: PolarDerivative, a: tuple[int, ...], *others: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    """Of the outputs."""
    *batch, m, n = a
    order = n if claimed.side == "right" else m
    if kind == "jvp":
        found = {"u_dot": tuple(a), "h_dot": (*batch, order, order)}
        return found if claimed.factor == "both" else {f"{claimed.factor}_dot": found[f"{claimed.factor}_dot"]}
    return {"a_bar" if kind == "vjp" else "a_bar_dot": tuple(a)}


def outside(kind: str, inputs: Data, claimed: PolarDerivative) -> str:
    """Where a member has no derivative, or one that is out of range, a port may raise."""
    a = inputs["a"].value
    if not a.size:
        return ""
    tall = a if a.shape[-2] >= a.shape[-1] else ct(a)
    smooth = differentiable(
        point(tall, False), claimed, PRECISIONS["float32" if inputs["a"].dtype in SINGLE else "float64"]
    )
    if not smooth.all():
        return "not judged: a polar factor has no derivative there"
    return derivative.overflow(partial(truths, kind), inputs, claimed)


LEVELS = Levels(
    order=(1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 32, 33, 64, 65, 128),
    members=("alike", "scaled"),
    structure=tuple(name for name in STRUCTURES if name != "smooth"),  # singular to working precision
    spectrum=("geometric", "one_small", "repeated", "clustered", "log_uniform", "almost_equal"),
    cond=(1.0, 2.0, 10.0, 1e2, 1e4, 1e6, 1e8),
    scale=(1.0, "squares overflow", "squares underflow"),
    gallery=("identity", "minus_identity", "permutation", "jordan", "clustered", "hilbert"),
    gallery_orders=(2, 5, 16),
    cotangent=tuple(COTANGENTS),
    entries=2**14,
)


def row(kind: Literal["vjp", "jvp", "vjp_jvp"], reference: Callable[..., Any]) -> Operation:
    """The row of one kind of derivative."""
    outputs = {"vjp": ("a_bar",), "jvp": ("u_dot", "h_dot"), "vjp_jvp": ("a_bar_dot",)}[kind]
    points: Sequence[str] = ("a", "a_dot") if kind != "vjp" else ("a",)

    def companions(claimed: PolarDerivative) -> dict[str, str]:
        return dict.fromkeys(points[1:], "input") | (bars(claimed) if kind != "jvp" else {})

    return Operation(
        name=f"polar_{kind}",
        inputs=(*points, "u_bar", "h_bar") if kind != "jvp" else tuple(points),
        outputs=outputs,
        optional=outputs if kind == "jvp" else (),
        reference=reference,
        claims=CLAIMS,
        claim=PolarDerivative,
        shapes=partial(shapes, kind),
        companions=companions,
        checks=tuple(Check(name, derivative.text(name)) for name in outputs),
        measure=partial(derivative.measure, partial(truths, kind), UNIT),
        variants=partial(reasons.variants, kind),
        describe=partial(reasons.describe, kind),
        outside=partial(outside, kind),
        levels=derivative.levels_of(kind, LEVELS),
        limit=derivative.LIMIT,
        unit=UNIT,
    )


ROWS = (
    row("vjp", derivatives.polar_vjp),
    row("jvp", derivatives.polar_jvp),
    row("vjp_jvp", derivatives.polar_vjp_jvp),
)
