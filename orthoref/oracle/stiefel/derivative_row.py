"""Rows of the derivatives on the Stiefel manifold, judged along its tangent bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from orthoref import stiefel
from orthoref.oracle import derivative
from orthoref.oracle.battery import Levels
from orthoref.oracle.cases import Companion
from orthoref.oracle.operation import Check, Data, Measured, Operation
from orthoref.oracle.precision import PRECISIONS, Precision, precision_of
from orthoref.oracle.stiefel import derivative_reasons as reasons
from orthoref.oracle.stiefel.derivative_ratios import FREE, Kind, inputs_of, judgeable, outputs_of, seen, truths
from orthoref.oracle.stiefel.ratios import made_safe
from orthoref.oracle.stiefel.row import AMBIENT, POINTS, SMALL, STEPS, only
from orthoref.oracle.stiefel.row import ROWS as OPERATIONS
from orthoref.oracle.stiefel.scaled import on_scaled

PRIMAL = {each.name: each for each in OPERATIONS}


def measure(kind: Kind, name: str, unit: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision,
            limit: float) -> Measured:  # fmt: skip
    """Distance from the exact derivative, of a VJP after (SR-REDUCED)."""
    good, note = judgeable(kind, name, inputs, precision)
    if not good.any():
        return Measured([], good, [f"not judged: {note}"] if note else [])
    safe = made_safe(inputs, good)
    exact = precision.eps <= PRECISIONS["float64"].eps
    given = outputs if kind == "jvp" else seen(name, safe, outputs, exact)
    measured = derivative.measure(partial(truths, kind, name), unit, safe, given, claimed, precision, limit)
    return only(good, note, measured, [*measured.measurements])


def outside(kind: Kind, name: str, inputs: Data, claimed: Any) -> str:
    """Where X is not on the manifold, V not tangent, or a direction not along the tangent bundle, a port may raise."""
    good, note = judgeable(kind, name, inputs, precision_of(inputs["x"].dtype or "float64"))
    if not good.all():
        return f"not judged: {note}"
    return derivative.overflow(partial(truths, kind, name), inputs, claimed)


def row(kind: Kind, name: str, reference: Callable[..., Any], levels: Levels) -> Operation:
    """The row of one kind of derivative of an operation."""
    primal, inputs, outputs = PRIMAL[name], inputs_of(kind, name), outputs_of(kind, name)
    companions: dict[str, Companion] = dict(primal.companions(None))
    if kind == "vjp":
        companions[inputs[-1]] = "ambient"
    else:
        companions["x_dot"] = "direction"
        companions[inputs[-1]] = "ambient" if name in FREE else ("lifted", "v", "x_dot")
    unit = f"n eps k(X, V) {'|(X_dot, V_dot)|' if kind == 'jvp' else '|bar|'}"
    return Operation(
        name=f"{name}_{kind}",
        inputs=inputs,
        outputs=outputs,
        optional=outputs[:1] if kind == "vjp" else (),
        reference=reference,
        claims=primal.claims,
        claim=primal.claim,
        shapes=lambda claimed, x, *_: dict.fromkeys(outputs, tuple(x)),
        companions=lambda claimed: companions,
        checks=tuple(Check(each, derivative.text(each)) for each in outputs),
        measure=partial(measure, kind, name, unit),
        variants=partial(reasons.variants, kind, name),
        describe=partial(reasons.describe, kind, name),
        outside=partial(outside, kind, name),
        levels=levels,
        limit=derivative.LIMIT,
        unit=unit,
    )


BESIDE = replace(POINTS, cotangent=tuple(kind for kind in AMBIENT if kind not in ("tiny", "huge")))
ALONG, SHORT = replace(POINTS, cotangent=STEPS), replace(SMALL, cotangent=STEPS)

OURS: tuple[tuple[Kind, str, Callable[..., Any], Levels], ...] = (
    ("vjp", "stiefel.project", stiefel.project_vjp, BESIDE),
    ("jvp", "stiefel.project", stiefel.project_jvp, BESIDE),
    ("vjp", "stiefel.gradient", partial(stiefel.gradient_vjp, metric="euclidean"), BESIDE),
    ("jvp", "stiefel.gradient", partial(stiefel.gradient_jvp, metric="euclidean"), BESIDE),
    ("vjp", "stiefel.retract_qr", stiefel.retract_qr_vjp, ALONG),
    ("jvp", "stiefel.retract_qr", stiefel.retract_qr_jvp, ALONG),
    ("vjp", "stiefel.retract_polar", stiefel.retract_polar_vjp, ALONG),
    ("jvp", "stiefel.retract_polar", stiefel.retract_polar_jvp, ALONG),
    ("vjp", "stiefel.retract_cayley", stiefel.retract_cayley_vjp, ALONG),
    ("jvp", "stiefel.retract_cayley", stiefel.retract_cayley_jvp, ALONG),
    ("vjp", "stiefel.exp", partial(stiefel.exp_vjp, metric="euclidean"), SHORT),
    ("jvp", "stiefel.exp", partial(stiefel.exp_jvp, metric="euclidean"), SHORT),
)
ROWS = tuple(on_scaled(row(*each)) for each in OURS)
