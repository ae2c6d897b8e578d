"""Rows of the Stiefel manifold: what a port of a map on it has to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import sqrt
from typing import Any

import numpy as np

from orthoref import stiefel
from orthoref.oracle import derivative
from orthoref.oracle.battery import Levels
from orthoref.oracle.cases import TANGENTS
from orthoref.oracle.operation import Check, Claim, Data, Measured, Measurement, Operation
from orthoref.oracle.orthonormal.ratios import residuals
from orthoref.oracle.precision import Precision, precision_of
from orthoref.oracle.residual import inner, ldexp, norm, ratio
from orthoref.oracle.stiefel import enclosure, inverse, laws, reasons
from orthoref.oracle.stiefel.claim import METRIC, ORDER, SCALE, Geometry, Points, Retraction
from orthoref.oracle.stiefel.ratios import INPUTS, OUTPUT, PADE, judgeable, made_safe, tangency, truths
from orthoref.oracle.stiefel.scaled import on_scaled
from orthoref.oracle.stiefel.truth import herm, scaled, skew

LIMIT = 10.0
POINTS = Levels(
    classes=("square", "tall", "nearly square", "very tall", "column", "1x1", "empty"),
    order=(1, 2, 3, 4, 5, 8, 9, 16, 17, 33, 64),
    members=("alike",),
    structure=("orthonormal", "permutation", "diagonal", "monomial"),
    spectrum=("repeated",),
    cond=(1.0,),
    scale=(1.0,),
    gallery=("identity", "minus_identity", "permutation"),
    gallery_orders=(1, 2, 5, 16),
    entries=2**13,
    frames=True,
)
AMBIENT = ("generic", "tangent", "normal", "zero", "tiny", "huge", "transposed", "strided")
STEPS = tuple(kind for kind in TANGENTS if kind not in ("tiny", "huge"))
NEAR = ("generic", "vertical", "horizontal", "zero", "1e-8", "1e-4", "0.01", "0.1", "transposed", "strided")
TANGENT_CHECK = Check("tangent", "|herm(X^H {})|")
ON_MANIFOLD = Check("orthonormal", "|I - Y^H Y|")


def measure(name: str, unit: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision,
            limit: float) -> Measured:  # fmt: skip
    """Distance from the exact result, and from the manifold or its tangents, in units of what a backward error does."""
    good, note = judgeable(name, inputs, precision)
    if not good.any():
        return Measured([], good, [f"not judged: {note}"] if note else [])
    safe = made_safe(inputs, good)
    found = truths(name, {each: x.value for each, x in safe.items()}, claimed, precision)
    measured = derivative.measure(lambda *_: found, unit, safe, outputs, claimed, precision, limit)
    output, u = next((each, x.value) for each, x in outputs.items())
    truth = found[0][output]
    if output == "y":
        also = _on_manifold(u, precision, limit, truth.unit)
    else:
        x = {each: x.value for each, x in safe.items()}
        error = tangency(name, x, ldexp(u, -truth.exponent))
        grid = np.sqrt(u.shape[-1] * u.shape[-2]) * np.ldexp(precision.tiny, -truth.exponent)[..., 0, 0]
        also = Measurement("tangent", f"{TANGENT_CHECK.text.format(output)} / ({unit})",
                           ratio(error, truth.unit + grid), limit, truth.unit + grid, False)  # fmt: skip
    return only(good, note, measured, [*measured.measurements, also])


def _on_manifold(y: np.ndarray, precision: Precision, limit: float, unit: np.ndarray | float) -> Measurement:
    """(SR-ORTHONORMAL) with a limit that zero does not pass."""
    p, n = y.shape[-1], y.shape[-2]
    error, e = residuals(y, precision)["orthonormal"]
    e = np.maximum(e, unit)
    capped = np.minimum(limit, sqrt(p) / 2 / e) if p else limit
    return Measurement(
        "orthonormal", f"{ON_MANIFOLD.text} / ({precision.unit(p, m=n)})", ratio(error, e), capped, e, False
    )


def only(good: np.ndarray, note: str, measured: Measured, measurements: list[Measurement]) -> Measured:
    """Members that are judged; the others hold."""
    kept = [replace(each, ratio=np.where(good, each.ratio, 0.0)) for each in measurements]
    notes = [f"{np.sum(~good)} of {good.size} not judged: {note}"] if note else []
    return Measured(kept, measured.judged & good, [*measured.notes, *notes], measured.faults)


def measure_retraction(inputs: Data, outputs: Data, claimed: Any, precision: Precision, limit: float) -> Measured:
    """On the manifold, and R(X, 0) = X; the rest are laws."""
    good, note = judgeable("stiefel.retract", inputs, precision)
    if not good.any():
        return Measured([], good, [f"not judged: {note}"] if note else [])
    x, v, y = inputs["x"].value, inputs["v"].value, outputs["y"].value
    p, n = y.shape[-1], y.shape[-2]
    e = precision.growth(p, n) * precision.eps
    unit = f"sqrt(p) {precision.unit(p, m=n)}"
    moved = np.where(norm(v) > 0, 0.0, norm(y - x))
    measurements = [
        _on_manifold(y, precision, limit, e * (sqrt(p) + sqrt(2) * PADE * norm(v))),  # it may be an exponential map
        Measurement("fixed", f"|R(X, 0) - X| / ({unit})", ratio(moved, e * np.sqrt(p)), limit, e * np.sqrt(p), False),
    ]
    return only(good, note, Measured([], np.full(good.shape, y.size > 0)), measurements)


def outside(name: str, inputs: Data, claimed: Any) -> str:
    """Where X is not on the manifold, or V not tangent, a port may raise."""
    good, note = judgeable(name, inputs, precision_of(inputs["x"].dtype or "float64"))
    if not good.all():
        return f"not judged: {note}"
    if name not in OUTPUT:
        return ""
    return derivative.overflow(partial(_truths, name), inputs, claimed)


def _truths(name: str, values: Any, claimed: Any, precision: Precision) -> Any:
    return truths(name, values, claimed, precision)


def row(name: str, ours: Callable[..., Any], unit: str, kinds: tuple[str, ...], tangents: tuple[str, ...],
        claim: Callable[..., Any], claims: tuple[Claim, ...] = ()) -> Operation:  # fmt: skip
    """The row of a map with one definite value."""
    output, (_, *others) = OUTPUT[name], INPUTS[name]
    companions = {each: "tangent" if each in tangents else "input" for each in others}
    second = ON_MANIFOLD if output == "y" else replace(TANGENT_CHECK, text=TANGENT_CHECK.text.format(output))
    return Operation(
        name=name,
        inputs=INPUTS[name],
        outputs=(output,),
        reference=ours,
        claims=(*claims, SCALE),
        claim=claim,
        shapes=lambda claimed, x, *_: {output: tuple(x)},
        companions=lambda claimed: companions,
        checks=(Check(output, derivative.text(output)), second),
        measure=partial(measure, name, unit),
        variants=partial(reasons.variants, name),
        describe=partial(reasons.describe, name),
        outside=partial(outside, name),
        levels=replace(POINTS, cotangent=kinds),
        limit=LIMIT,
        unit=unit,
        enclosure=enclosure.OF.get(name),
    )


def measure_tangent(inputs: Data, outputs: Data, claimed: Any, precision: Precision, limit: float) -> Measured:
    """|herm(X^H V)| in units of e |V|."""
    good, note = judgeable("stiefel.project", inputs, precision)
    if not good.any():
        return Measured([], good, [f"not judged: {note}"] if note else [])
    x, (v, exponent) = made_safe(inputs, good)["x"].value, scaled(outputs["v"].value)
    p, n = x.shape[-1], x.shape[-2]
    off = norm(inner(x, x) - np.eye(p))
    grid = np.sqrt(n * p) * np.ldexp(precision.tiny, -exponent)[..., 0, 0]
    unit = (precision.growth(p, n) * precision.eps + off) * norm(v) + grid
    error = norm(herm(inner(x, v)))
    text = f"|herm(X^H V)| / (({precision.unit(p, m=n)} + |X^H X - I|) |V|)"
    relative = unit / np.where(norm(v) > 0, norm(v), 1.0)
    found = Measurement("tangent", text, ratio(error, unit), limit, relative)
    return only(good, note, Measured([], np.full(good.shape, v.size > 0)), [found])


def _describe_tangent(inputs: Data, outputs: Data, claimed: Any, precision: Precision, failed: Any) -> list[str]:
    x, v = inputs["x"].value, scaled(outputs["v"].value)[0]
    inside = inner(x, v)
    if not failed or not norm(v) > 0:
        return []
    part, turn, size = (float(norm(each) / norm(v)) for each in (herm(inside), skew(inside), v - x @ inside))
    shares = f"{part:.2g} |V| is normal, X herm(X^H V), {turn:.2g} |V| is X skew(X^H V), {size:.2g} |V| outside of X"
    return [f"V is not tangent: {shares}"]


TANGENT = Operation(
    name="stiefel.tangent",
    inputs=("x",),
    outputs=("v",),
    shapes=lambda claimed, x: {"v": tuple(x)},
    checks=(Check("tangent", "|herm(X^H V)|"),),
    measure=measure_tangent,
    variants=lambda *_: iter(()),
    describe=_describe_tangent,
    limit=LIMIT,
    unit="n eps |V|",
)

SMALL = replace(POINTS, order=(1, 2, 3, 4, 5, 8, 9, 16, 17, 33), entries=2**12)

_UNIT = (
    row("stiefel.project", stiefel.project, "n eps |V|", AMBIENT, (), Points),
    row("stiefel.gradient", partial(stiefel.gradient, metric="euclidean"), "n eps |G| max(1, 1/c)", AMBIENT, (),
        Geometry, (METRIC,)),
    row("stiefel.hessian", partial(stiefel.hessian, metric="euclidean"), "n eps (|H| + |G| |V|)",
        ("generic", "zero", "transposed", "strided"), ("v",), Geometry, (METRIC,)),
    row("stiefel.retract_qr", stiefel.retract_qr, "n eps sqrt(2) |X + V|/s_p", STEPS, ("v",), Points),
    row("stiefel.retract_polar", stiefel.retract_polar, "n eps |X + V|/s_p", STEPS, ("v",), Points),
    row("stiefel.retract_cayley", stiefel.retract_cayley, "n eps (|2 X + Z| + 2 |M|) |M^-1|", STEPS, ("v",), Points),
    replace(row("stiefel.exp", partial(stiefel.exp, metric="euclidean"), "n eps (sqrt(p) + 4 |S|)", STEPS, ("v",),
                Geometry, (METRIC,)), levels=replace(SMALL, cotangent=STEPS)),
    *(
        row(name, ours, unit, STEPS, ("v", "w"), Points)
        for name, ours, unit in (
            ("stiefel.transport_qr", stiefel.transport_qr, "n eps |W| (sqrt(2)/s_p + 9 |X + V|/s_p^2)"),
            ("stiefel.transport_polar", stiefel.transport_polar, "n eps |W| (1/s_p + 7 |X + V|/s_p^2)"),
            ("stiefel.transport_cayley", stiefel.transport_cayley, "n eps |W| k(X, V)"),
            ("stiefel.transport_isometric", stiefel.transport_isometric, "n eps |W| k(X, V)"),
        )
    ),
    *(
        Operation(
            name=name,
            inputs=("x", "y"),
            outputs=("v",),
            reference=ours,
            claims=(*claims, SCALE),
            claim=claim,
            shapes=lambda claimed, x, *_: {"v": tuple(x)},
            companions=lambda claimed: {"y": "neighbour"},
            checks=inverse.CHECKS if name == "stiefel.log" else inverse.CHECKS[:2],
            measure=partial(inverse.measure, name),
            variants=partial(inverse.variants, name),
            describe=partial(inverse.describe, name),
            outside=partial(outside, name),
            levels=replace(SMALL, cotangent=NEAR),
            limit=LIMIT,
            unit="n eps",
            enclosure=enclosure.OF.get(name),
        )
        for name, ours, claim, claims in (
            ("stiefel.inverse_retract_qr", stiefel.inverse_retract_qr, Points, ()),
            ("stiefel.inverse_retract_polar", stiefel.inverse_retract_polar, Points, ()),
            ("stiefel.inverse_retract_cayley", stiefel.inverse_retract_cayley, Points, ()),
            ("stiefel.log", partial(stiefel.log, metric="euclidean"), Geometry, (METRIC,)),
        )
    ),
    Operation(
        name="stiefel.retract",
        inputs=("x", "v"),
        outputs=("y",),
        reference=partial(stiefel.retract, method="polar"),
        claims=(METRIC, ORDER, SCALE),
        claim=Retraction,
        shapes=lambda claimed, x, *_: {"y": tuple(x)},
        companions=lambda claimed: {"v": "tangent"},
        checks=(ON_MANIFOLD, Check("fixed", "|R(X, 0) - X|")),
        measure=measure_retraction,
        variants=lambda *_: iter(()),
        describe=partial(reasons.describe, "stiefel.retract"),
        outside=partial(outside, "stiefel.retract"),
        levels=replace(POINTS, cotangent=STEPS),
        limit=LIMIT,
        unit="n eps",
        laws=laws.RETRACTION,
    ),
)  # fmt: skip
ROWS = tuple(map(on_scaled, _UNIT))
