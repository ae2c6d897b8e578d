"""Rows of the derivatives of the constructors that have one definite value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import orthoref
from orthoref.oracle import derivative
from orthoref.oracle.battery import Levels
from orthoref.oracle.cases import COTANGENTS
from orthoref.oracle.constructors import derivative_reasons as reasons
from orthoref.oracle.constructors.claim import DIAGONAL, FACTOR, SIGN, SPACE, Cayley, Skew
from orthoref.oracle.constructors.inputs import direction
from orthoref.oracle.constructors.ratios import skewed, truths
from orthoref.oracle.constructors.row import SQUARE, of, with_signs
from orthoref.oracle.operation import Check, Claim, Data, Measured, Operation
from orthoref.oracle.precision import Precision

KINDS = tuple(kind for kind in COTANGENTS if kind not in ("tangent", "normal"))
DERIVED = replace(SQUARE, cotangent=KINDS, scale=(1.0, 0.0, 1e-8, 8.0), order=(1, 2, 3, 4, 5, 8, 9, 16), entries=2**11)


def measure(name: str, unit: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision,
            limit: float) -> Measured:  # fmt: skip
    """Distance from the exact derivative, on the space on which it is determined."""
    if "a_bar" in outputs and claimed.space == "any":
        x = outputs["a_bar"]
        outputs = {"a_bar": x._replace(value=skewed(x.value))}
    return derivative.measure(partial(truths, name), unit, inputs, outputs, claimed, precision, limit)


def outside(name: str, inputs: Data, claimed: Any) -> str:
    """Where the result is out of range a port may raise."""
    return derivative.overflow(partial(truths, name), inputs, claimed) if next(iter(inputs.values())).value.size else ""


def rows(name: str, unit: str, jvp: Callable[..., Any], vjp: Callable[..., Any], levels: Levels,
         claim: Callable[..., Any], claims: tuple[Claim, ...], primal: Callable[[Any], Mapping[str, Any]],
         inputs: tuple[str, ...], dots: Mapping[str, Any], q_bar: Any, shapes: Callable[..., dict[str, tuple[int, ...]]],
         vectors: tuple[str, ...] = (), of_vjp: tuple[Claim, ...] = ()) -> tuple[Operation, Operation]:  # fmt: skip
    """JVP and VJP of a constructor.

    ``primal(claimed)`` are the companions of its own, ``dots`` those that move, ``shapes(kind, claimed, *inputs)`` of
    the outputs.
    """

    def one(kind: str, outputs: tuple[str, ...], more: Callable[[Any], Mapping[str, Any]], names: tuple[str, ...],
            reference: Callable[..., Any], claims: tuple[Claim, ...]) -> Operation:  # fmt: skip
        full = f"{name}_{kind}"
        return Operation(
            name=full,
            inputs=(*inputs, *names),
            outputs=outputs,
            optional=outputs[1:],
            claims=claims,
            claim=claim,
            reference=reference,
            shapes=partial(shapes, kind),
            companions=lambda claimed: {**primal(claimed), **more(claimed)},
            checks=tuple(Check(each, derivative.text(each)) for each in outputs),
            measure=partial(measure, full, unit),
            variants=partial(reasons.variants, full),
            describe=partial(reasons.describe, full),
            outside=partial(outside, full),
            levels=levels,
            limit=derivative.LIMIT,
            unit=unit,
            vectors=vectors,
        )

    def moving(claimed: Any) -> dict[str, Any]:
        given = {inputs[0], *primal(claimed)}
        return {f"{each}_dot": like for each, like in dots.items() if each in given}

    return (
        one("jvp", ("q_dot",), moving, tuple(f"{each}_dot" for each in dots), jvp, claims),
        one("vjp", tuple(f"{each}_bar" for each in dots), lambda claimed: {"q_bar": q_bar}, ("q_bar",), vjp,
            (*claims, *of_vjp)),
    )  # fmt: skip


def square(kind: str, claimed: Any, a: tuple[int, ...], *_: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Of the shape of the point."""
    return {"q_dot" if kind == "jvp" else "a_bar": tuple(a)}


def reference_cayley(function: Callable[..., Any], *arrays: Any, **claims: Any) -> Any:
    """Ours, with the signs in the second place."""
    a, *signs, last = arrays
    given = {"diagonal": signs[0]} if signs else {}
    return function(a, last, **given, **of(Cayley(**claims), "sign", "factor"))


ROWS = (
    *rows("cayley", "2 |c| |dA| |N| n eps (1 + k) |I + c A| |N|", partial(reference_cayley, orthoref.cayley_jvp),
          partial(reference_cayley, orthoref.cayley_vjp), DERIVED, Cayley, (SIGN, FACTOR, DIAGONAL), with_signs,
          ("a", "diagonal"), {"a": direction}, "input", square, ("diagonal",), (SPACE,)),
    *rows("skew_exp", "n eps |dA| (1 + 4 |A|)", orthoref.skew_exp_jvp, lambda a, q_bar, **_: orthoref.skew_exp_vjp(
          a, q_bar), DERIVED, Skew, (), lambda claimed: {}, ("a",), {"a": direction}, "input", square, (), (SPACE,)),
)  # fmt: skip
