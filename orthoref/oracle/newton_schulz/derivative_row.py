"""Rows of the derivatives of the finite iteration, the normalization included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np

from orthoref._newton_schulz.iteration import newton_schulz_jvp, newton_schulz_vjp, newton_schulz_vjp_jvp
from orthoref.oracle import derivative
from orthoref.oracle.cases import COTANGENTS
from orthoref.oracle.newton_schulz import derivative_reasons as reasons
from orthoref.oracle.newton_schulz.claim import Iteration, iteration
from orthoref.oracle.newton_schulz.derivative_ratios import truths
from orthoref.oracle.newton_schulz.ratios import LIMIT
from orthoref.oracle.newton_schulz.row import CLAIMS, LEVELS
from orthoref.oracle.operation import Check, Data, Operation
from orthoref.oracle.precision import PRECISIONS

UNIT = "rms rounding error"
NOT_FOR_DERIVATIVES = ("form", "restart")  # the derivative of a polynomial, however it is evaluated


def outside(kind: str, inputs: Data, claimed: Iteration) -> str:
    """Where the normalization has no derivative (zero matrices), or results are out of range, a port may raise."""
    a = inputs["a"].value
    if not a.size:
        return ""
    with np.errstate(all="ignore"):
        truth = truths("jvp", {"a": a, "a_dot": np.ones_like(a)}, claimed, PRECISIONS["float32"])[0]["x_dot"]
    if not np.isfinite(truth.unit).all():
        return "not judged: the normalization has no derivative there"
    return derivative.overflow(partial(truths, kind), inputs, claimed)


def shapes(kind: str, claimed: Iteration, a: tuple[int, ...], *others: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Like A."""
    return {OUTPUT[kind]: tuple(a)}


OUTPUT = {"vjp": "a_bar", "jvp": "x_dot", "vjp_jvp": "a_bar_dot"}
DERIVATIVE_LEVELS = replace(
    LEVELS,
    order=(1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 32, 33, 64, 65),
    scale=(1.0, 1e3, 1e-3),
    gallery=("identity", "rank_one", "jordan", "permutation"),
    gallery_orders=(2, 5, 16),
    members=("alike", "one singular", "scaled"),
    cotangent=tuple(COTANGENTS),
    entries=2**14,
)


def row(kind: Literal["vjp", "jvp", "vjp_jvp"], reference: Callable[..., Any]) -> Operation:
    """The row of one kind of derivative."""
    others = {"vjp": ("x_bar",), "jvp": ("a_dot",), "vjp_jvp": ("a_dot", "x_bar")}[kind]
    return Operation(
        name=f"newton_schulz_{kind}",
        inputs=("a", *others),
        outputs=(OUTPUT[kind],),
        reference=reference,
        claims=tuple(each for each in CLAIMS if each.name not in NOT_FOR_DERIVATIVES),
        claim=iteration,
        shapes=partial(shapes, kind),
        companions=lambda claimed: dict.fromkeys(others, "input"),
        checks=(Check(OUTPUT[kind], derivative.text(OUTPUT[kind])),),
        measure=partial(derivative.measure, partial(truths, kind), UNIT),
        variants=partial(reasons.variants, kind),
        describe=partial(reasons.describe, kind),
        outside=partial(outside, kind),
        levels=derivative.levels_of(kind, DERIVATIVE_LEVELS),
        limit=LIMIT,
        unit=UNIT,
    )


ROWS = (row("vjp", newton_schulz_vjp), row("jvp", newton_schulz_jvp), row("vjp_jvp", newton_schulz_vjp_jvp))
