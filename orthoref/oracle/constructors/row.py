"""Rows of the constructors: what a port of a map from parameters to orthogonal matrices has to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import sqrt
from typing import Any

import numpy as np

import orthoref
from orthoref.oracle import derivative
from orthoref.oracle.battery import Levels
from orthoref.oracle.constructors import reasons
from orthoref.oracle.constructors.claim import DIAGONAL, FACTOR, SIDE, SIGN, Cayley, Skew
from orthoref.oracle.constructors.inputs import MEMBERS, SKEW, signs, skew
from orthoref.oracle.constructors.ratios import truths
from orthoref.oracle.operation import Check, Claim, Data, Measured, Measurement, Operation
from orthoref.oracle.orthonormal.ratios import residuals
from orthoref.oracle.precision import Precision
from orthoref.oracle.residual import ratio

LIMIT = 10.0
VALUE = Check("q", derivative.text("q"))
ORTHONORMAL = Check("orthonormal", "|I - Q^H Q|")
MEMORY = ("C", "F", "transposed", "strided", "negative", "broadcast", "readonly", "unaligned", "byteswapped")
SQUARE = Levels(
    classes=("square", "1x1", "0x0"),
    order=(1, 2, 3, 4, 5, 8, 9, 16, 33),
    members=MEMBERS,
    memory=MEMORY,
    structure=tuple(SKEW),
    spectrum=(),
    cond=(),
    scale=(1.0, 0.0, 1e-8, "squares underflow", 8.0, 64.0),
    gallery=(),
    entries=2**12,
    draw=skew,
)


def measure(name: str, unit: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision,
            limit: float) -> Measured:  # fmt: skip
    """Distance from the exact matrix, and from all orthonormal ones, in units of what a backward error does."""
    found = truths(name, {each: x.value for each, x in inputs.items()}, claimed, precision)
    measured = derivative.measure(lambda *_: found, unit, inputs, outputs, claimed, precision, limit)
    q, truth = outputs["q"].value, found[0]["q"]
    m, n = q.shape[-2:]
    error, e = residuals(q, precision)["orthonormal"]
    e = np.maximum(e, 2 * truth.unit)
    capped = np.minimum(limit, sqrt(min(m, n)) / 2 / e) if q.size else limit  # zero does not pass
    own = Measurement("orthonormal", f"{ORTHONORMAL.text} / (2 {unit})", ratio(error, e), capped, e, False)
    return Measured([*measured.measurements, own], measured.judged, measured.notes, measured.faults)


def row(name: str, unit: str, levels: Levels, claim: Callable[..., Any] = Skew, claims: tuple[Claim, ...] = (),
        inputs: tuple[str, ...] = ("a",), companions: Callable[[Any], Mapping[str, Any]] = lambda claimed: {},
        shapes: Callable[..., tuple[int, ...]] = lambda claimed, a, *_: tuple(a), **more: Any) -> Operation:  # fmt: skip
    """The row of a map with one definite value."""
    return Operation(
        name=name,
        inputs=inputs,
        outputs=("q",),
        claims=claims,
        claim=claim,
        shapes=lambda claimed, *given: {"q": shapes(claimed, *given)},
        companions=companions,
        checks=(VALUE, ORTHONORMAL),
        measure=partial(measure, name, unit),
        variants=partial(reasons.variants, name),
        describe=partial(reasons.describe, name),
        levels=levels,
        limit=LIMIT,
        unit=unit,
        **more,
    )


def of(claimed: Any, *names: str) -> dict[str, Any]:
    """Claims as options."""
    return {name: getattr(claimed, name) for name in names}


def reference_cayley(*arrays: Any, **claims: Any) -> Any:
    """Ours, with the signs in the second place."""
    signs = {"diagonal": arrays[1]} if len(arrays) > 1 else {}
    return orthoref.cayley(arrays[0], **signs, **of(Cayley(**claims), "sign", "factor", "side"))


def with_signs(claimed: Cayley) -> dict[str, Any]:
    """The signs, if the port takes them."""
    return {"diagonal": signs} if claimed.diagonal == "given" else {}


ROWS = (
    row("cayley", "n eps (1 + k) |I + c A| |(I + c A)^-1|", SQUARE, Cayley, (SIGN, FACTOR, SIDE, DIAGONAL),
        ("a", "diagonal"), with_signs, vectors=("diagonal",), reference=reference_cayley),
    row("skew_exp", "n eps (sqrt(n) + 4 |A|)", SQUARE, reference=orthoref.skew_exp),
)  # fmt: skip
