"""The row of orthonormal columns: a property of one array, which no input determines."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from orthoref.oracle.operation import Check, Data, Measured, Measurement, Operation
from orthoref.oracle.orthonormal import enclosure, ratios, reasons
from orthoref.oracle.precision import Precision
from orthoref.oracle.residual import ratio

# of formats that only store: the result and two factors that it was made of are rounded, and one more for the rest
SHORT = (
    Check("orthonormal_2", "|I - Q^H Q|_2", "2 |dQ|_2", limit=4.0),
    Check("lengths", "max_j ||q_j| - 1|", "eps/2", limit=4.0),
    Check("scale", "||Q|^2/n - 1|", "d|Q|^2/n", limit=10.0),
)
CHECKS = (Check("orthonormal", "|I - Q^H Q|"), *SHORT)


def measure(inputs: Data, outputs: Data, claimed: Any, precision: Precision, limit: float) -> Measured:
    """(R2), with a limit that zero does not pass, and (S1) to (S3)."""
    q = outputs["q"].value
    m, n = max(q.shape[-2:]), min(q.shape[-2:])
    found = ratios.residuals(q, precision)
    measurements = []
    for check in CHECKS:
        if check.name not in found:
            continue
        error, unit = found[check.name]
        what = check.text if q.shape[-2] == m else check.text.replace("Q^H Q", "Q Q^H")
        capped = check.limit or (min(limit, sqrt(n) / 2 / unit) if n else limit)
        text = f"{what} / ({check.of or precision.unit(n, m=m)})"
        measurements.append(Measurement(check.name, text, ratio(error, unit), capped, unit, bool(check.of)))
    return Measured(measurements, np.full(q.shape[:-2], q.size > 0))


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
