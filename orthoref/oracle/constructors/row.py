"""Rows of the constructors: what a port of a map from parameters to orthogonal matrices has to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from math import sqrt
from typing import Any

import numpy as np

from orthoref._constructors import cayley, exponential, givens, householder
from orthoref.oracle import derivative
from orthoref.oracle.battery import Levels
from orthoref.oracle.constructors import reasons
from orthoref.oracle.constructors.claim import (
    COLUMNS,
    DIAGONAL,
    FACTOR,
    ORDER,
    PHASE,
    PLANES,
    SIDE,
    SIGN,
    STORAGE,
    TAU,
    Cayley,
    Givens,
    Householder,
    Skew,
)
from orthoref.oracle.constructors.inputs import (
    ANGLES,
    MEMBERS,
    REFLECTORS,
    SKEW,
    TAUS,
    angles,
    butterfly_angles,
    butterfly_order,
    order_of,
    phases,
    reflectors,
    signs,
    skew,
    taus_below,
    taus_full,
)
from orthoref.oracle.constructors.ratios import defect, truths
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


TURNS = replace(
    SQUARE,
    classes=("square", "1x1"),
    order=(1, 2, 3, 4, 5, 8, 9, 16),
    structure=tuple(ANGLES),
    scale=(1.0, 0.0, 1e-8, "squares underflow", 64.0),
    entries=2**11,
    draw=angles,
)
MIRRORS = replace(
    SQUARE,
    classes=("square", "tall", "nearly square", "very tall", "column", "1x1", "empty"),
    order=(1, 2, 3, 4, 5, 8, 9, 16, 33),
    structure=tuple(REFLECTORS),
    scale=(1.0, 1e-8, "squares underflow", "squares overflow", 64.0),
    frames=True,
    draw=reflectors,
)


def measure(name: str, unit: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision,
            limit: float) -> Measured:  # fmt: skip
    """Distance from the exact matrix, and from all orthonormal ones, in units of what a backward error does."""
    values = {each: x.value for each, x in inputs.items()}
    point = next(iter(values.values()))
    if not point.size:
        return Measured([], np.zeros(point.shape[:-2], bool))
    found = truths(name, values, claimed, precision)
    measured = derivative.measure(lambda *_: found, unit, inputs, outputs, claimed, precision, limit)
    q, truth = outputs["q"].value, found[0]["q"]
    m, n = q.shape[-2:]
    error, e = residuals(q, precision)["orthonormal"]
    error, e = np.maximum(error - defect(name, values, claimed), 0), np.maximum(e, 2 * truth.unit)
    capped = np.minimum(limit, np.maximum(sqrt(min(m, n)) / 2 / e, 1.0))  # zero does not pass
    own = Measurement("orthonormal", f"{ORTHONORMAL.text} / (2 {unit})", ratio(error, e), capped, e, False)
    return Measured([*measured.measurements, own], measured.judged, measured.notes, measured.faults)


def row(name: str, unit: str, levels: Levels, claim: Callable[..., Any] = Skew, claims: tuple[Claim, ...] = (),
        inputs: tuple[str, ...] = ("a",), companions: Callable[[Any], Mapping[str, Any]] = lambda claimed: {},
        shapes: Callable[..., tuple[int, ...]] = lambda claimed, a, *_: tuple(a),
        **more: Any) -> Operation:  # fmt: skip
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
    return cayley.cayley(arrays[0], **signs, **of(Cayley(**claims), "sign", "factor", "side"))


def with_signs(claimed: Cayley) -> dict[str, Any]:
    """The signs, if the port takes them."""
    return {"diagonal": signs} if claimed.diagonal == "given" else {}


def turns(claimed: Givens, levels: Levels) -> Levels:
    """Powers of two for a butterfly."""
    if claimed.order != "butterfly":
        return levels
    powers = tuple(n for n in levels.order if not n & (n - 1))
    return replace(levels, order=powers, draw=butterfly_angles)


def mirrors(claimed: Householder, levels: Levels) -> Levels:
    """Any length of whole reflectors without tau, else those that leave tau in range; kinds of tau; not too much."""
    if claimed.columns == "full":
        small = tuple(n for n in levels.order if n <= 9)
        levels = replace(levels, order=small, classes=tuple(name for name in levels.classes if name != "very tall"))
    if claimed.tau == "none" and claimed.storage == "full":
        return levels
    scales = tuple(x for x in levels.scale if not isinstance(x, str) and x >= 1)
    kinds = levels.cotangent or (tuple(TAUS) if claimed.tau == "given" else ())
    return replace(levels, scale=scales, cotangent=kinds)


def with_phases(claimed: Givens) -> dict[str, Any]:
    """The phases, if the port takes them."""
    return {"phase": phases} if claimed.phase == "given" else {}


def with_taus(claimed: Householder) -> dict[str, Any]:
    """The taus that belong to reflectors as they are stored."""
    if claimed.tau == "none":
        return {}
    return {"tau": taus_below if claimed.storage == "below" else taus_full}


def order_for(claimed: Givens, count: int) -> int:
    """Order of the product of so many rotations."""
    return butterfly_order(count) if claimed.order == "butterfly" else order_of(count)


def shape_of_turns(claimed: Givens, theta: tuple[int, ...], *_: tuple[int, ...]) -> tuple[int, ...]:
    """Of the product, from that of the angles as a column."""
    return (*theta[:-2], *[order_for(claimed, theta[-2])] * 2)


def shape_of_mirrors(claimed: Householder, v: tuple[int, ...], *_: tuple[int, ...]) -> tuple[int, ...]:
    """Of the product."""
    return (*v[:-1], v[-2] if claimed.columns == "full" else v[-1])


def reference_givens(theta: Any, *phase: Any, **claims: Any) -> Any:
    """Ours, the order of the matrix from the number of the angles."""
    claimed = Givens(**claims)
    return givens.givens_product(theta, order_for(claimed, theta.shape[-1]), *phase, order=claimed.order)


def reference_householder(v: Any, *tau: Any, **claims: Any) -> Any:
    """Ours, with LAPACK's defaults."""
    claimed = Householder(**claims)
    columns = v.shape[-2] if claimed.columns == "full" else v.shape[-1]
    return householder.householder_product(v, *tau, columns=columns, **of(claimed, "order", "storage"))


ROWS = (
    row("cayley", "n eps (1 + k) |I + c A| |(I + c A)^-1|", SQUARE, Cayley, (SIGN, FACTOR, SIDE, DIAGONAL),
        ("a", "diagonal"), with_signs, vectors=("diagonal",), reference=reference_cayley),
    row("skew_exp", "n eps (sqrt(n) + 4 |A|)", SQUARE, reference=exponential.skew_exp),
    row("givens_product", "n eps sqrt(n) (1 + max |theta|)", TURNS, Givens, (PLANES, PHASE), ("theta", "phase"),
        with_phases, shape_of_turns, vectors=("theta", "phase"), reference=reference_givens, shown=turns,
        complexes=lambda claimed: ("q",) if claimed.phase == "given" else (), dtypes=("float32", "float64")),
    row("householder_product", "k eps sqrt(p)", MIRRORS, Householder, (STORAGE, TAU, ORDER, COLUMNS), ("v", "tau"),
        with_taus, shape_of_mirrors, vectors=("tau",), reference=reference_householder, shown=mirrors),
)  # fmt: skip
