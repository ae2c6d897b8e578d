"""The row of orthonormal columns: a property of one array, which no input determines."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from orthoref.oracle.operation import Check, Data, Measured, Measurement, Operation
from orthoref.oracle.orthonormal import enclosure, ratios, reasons
from orthoref.oracle.precision import Precision

CHECKS = (Check("orthonormal", "|I - Q^H Q|"),)


def measure(inputs: Data, outputs: Data, claimed: Any, precision: Precision, limit: float) -> Measured:
    """(R2), with a limit that zero does not pass."""
    q = outputs["q"].value
    m, n = q.shape[-2:]
    k = min(m, n)
    unit = precision.growth(k) * precision.eps
    text = f"{'|I - Q^H Q|' if m >= n else '|I - Q Q^H|'} / ({precision.unit(k)})"
    found = ratios.orthonormal(q, precision=precision)["orthonormal"]
    capped = min(limit, sqrt(k) / 2 / unit) if k else limit
    return Measured([Measurement("orthonormal", text, found, capped, unit)], np.full(q.shape[:-2], q.size > 0))


ROW = Operation(
    name="orthonormal",
    inputs=(),
    outputs=("q",),
    checks=CHECKS,
    measure=measure,
    variants=reasons.variants,
    describe=reasons.describe,
    limit=10.0,
    unit="n eps",
    enclosure=enclosure.orthonormal,
)
