"""Rows for the scaled manifold X^H X = c^2 I: everything is judged at X/c, (SR-SCALED)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from orthoref.oracle.lift import Lifted
from orthoref.oracle.operation import Data, Measured, Operation, Variant
from orthoref.oracle.precision import Precision

Powers = Mapping[str, int]
LONG = ("x", "v", "y")  # what has the length of a point
LINEAR = ("stiefel.project", "stiefel.gradient")  # in their second argument, which has no length of its own


def powers(name: str, arrays: tuple[str, ...]) -> dict[str, int]:
    """Of c, by which each array is divided."""
    operation = name.removesuffix("_jvp").removesuffix("_vjp")
    found = {each: int(each in LONG) for each in arrays}
    if operation in LINEAR:
        found |= {each: {"x": 1, "x_dot": 1, "x_bar": -1}.get(each, 0) for each in arrays}
    return found


def divided(data: Data, by: Powers, c: float, sign: int = 1) -> dict[str, Lifted]:
    """Arrays over powers of c, times them if ``sign`` is -1."""
    return {name: Lifted(x.value * c ** (-sign * by.get(name, 0)), x.dtype) for name, x in data.items()}


def on_scaled(row: Operation) -> Operation:
    """The row with its claim ``scale``."""
    by = powers(row.name, (*row.inputs, *row.outputs))

    def measure(inputs: Data, outputs: Data, claimed: Any, precision: Precision, limit: float) -> Measured:
        c = claimed.scale
        return row.measure(divided(inputs, by, c), divided(outputs, by, c), claimed, precision, limit)

    def outside(inputs: Data, claimed: Any) -> str:
        return row.outside(divided(inputs, by, claimed.scale), claimed)

    def described(inputs: Data, outputs: Data, claimed: Any, *others: Any) -> list[str]:
        return row.describe(divided(inputs, by, claimed.scale), divided(outputs, by, claimed.scale), claimed, *others)

    def variants(inputs: Data, outputs: Data, claimed: Any, precision: Precision,
                 failed: Mapping[str, float]) -> Iterator[Variant]:  # fmt: skip
        c = claimed.scale
        if c != 1:
            yield from _of_scale(row, inputs, outputs, claimed)
        given = divided(inputs, by, c), divided(outputs, by, c)
        for each in row.variants(*given, claimed, precision, failed):
            outputs_ = each.outputs and {name: x * c ** by[name] for name, x in each.outputs.items()}
            yield replace(each, outputs=outputs_)

    return replace(
        row, measure=measure, outside=outside, describe=described, variants=variants, size=lambda claimed: claimed.scale
    )


def _of_scale(row: Operation, inputs: Data, outputs: Data, claimed: Any) -> Iterator[Variant]:
    """Factors c that are missing or too many: of the result, and of the arguments."""
    c, name = claimed.scale, row.outputs[0]
    result = {name: outputs[name].value} if name in outputs else {}
    if name == "y":
        yield _named(f"the factor c = {c:g} of the result is missing", {"y": result["y"] * c})
        yield _named(f"the result has the factor c = {c:g} twice", {"y": result["y"] / c})
    if "v" in row.inputs and name in ("y", "u") and row.name not in LINEAR:
        v = inputs["v"].value
        said = f"V is not divided by c = {c:g}"
        yield _named(said, inputs=_with(inputs, "v", v * c))
        if name == "y":
            yield _named(f"{said}, and the result has no factor c", {"y": result["y"] * c}, _with(inputs, "v", v * c))
    if row.name in LINEAR and name in result:  # quadratic in X: what is in the range of X is c^2 times too large
        u, given = result[name], inputs[row.inputs[1]].value
        said = f"1/c^2 is missing in the product with X X^H, c = {c:g}"
        yield _named(said, {name: given + (u - given) / c**2})


def _named(said: str, outputs: dict[str, np.ndarray] | None = None, inputs: dict[str, np.ndarray] | None = None
           ) -> Variant:  # fmt: skip
    return Variant(said, said, outputs, inputs=inputs)


def _with(inputs: Data, name: str, value: np.ndarray) -> dict[str, np.ndarray]:
    return {each: value if each == name else x.value for each, x in inputs.items()}
