"""An operation that needs no mathematics, for tests of what judges any: x is a times a number that is claimed."""

from __future__ import annotations

import numpy as np

from orthoref.errors import OutsideDomain
from orthoref.oracle.lift import Lifted
from orthoref.oracle.operation import Check, Claim, Measured, Measurement, Operation, Variant
from orthoref.oracle.run import Run
from orthoref.oracle.watchdog import Watchdog


def measure(inputs, outputs, claimed, precision, limit):
    """max |x - c a|/eps and |sum(x - c a)|/eps; zero members not judged, a[0, 0] = 99 refused, x = 13 a fault."""
    a, x = inputs["a"].value, outputs["x"].value
    if a.size and a.flat[0] == 99:
        raise OutsideDomain("a[0, 0] is 99")
    rest = x - claimed * a
    error = np.max(np.abs(rest), axis=(-2, -1), initial=0.0) / precision.eps
    total = np.abs(np.sum(rest, axis=(-2, -1))) / precision.eps
    judged = np.any(a != 0, axis=(-2, -1))
    return Measured(
        [Measurement("error", "|X - c A| / (eps)", error, limit, precision.eps, False),
         Measurement("sum", "|sum(X - c A)| / (eps)", total, 100.0, precision.eps)],
        judged,
        [] if judged.all() else [f"{np.sum(~judged)} of {judged.size} not judged"],
        ["x is 13"] if (x == 13).any() else [],
        observed=float(np.sum(x).real),
    )  # fmt: skip


def variants(inputs, outputs, claimed, precision, failed):
    """Wrong signs, factors, transposes, another claim, a shorter format."""
    x = outputs["x"].value
    yield Variant("sign", "x has the wrong sign", {"x": -x})
    yield Variant("transposed", "x is transposed", {"x": x.T})
    yield Variant("twice", "c is twice that", claimed=2 * claimed, rival=True)
    yield Variant("thrice", "c is thrice that", claimed=3 * claimed, rival=True)
    yield Variant("scaled input", "a was doubled", inputs={"a": 2 * inputs["a"].value})


ROW = Operation(
    name="toy",
    inputs=("a",),
    outputs=("x", "y"),
    optional=("y",),
    checks=(Check("error", "|X - c A|"), Check("sum", "|sum(X - c A)|", limit=100.0)),
    limit=2.0,
    measure=measure,
    variants=variants,
    describe=lambda inputs, outputs, claimed, precision, failed: [f"seen: {', '.join(failed)}"] if failed else [],
    shapes=lambda claimed, a: {"x": tuple(a)},
    claims=(Claim("c", 1.0, "the number"),),
    claim=lambda c=1.0: c,
)


def lifted(x, dtype="float64"):
    return Lifted(np.asarray(x, float), dtype)


class Toy:
    """``with Toy(port) as run``: the run of a port over the operation."""

    def __init__(self, port, row=ROW, **options):
        self.watchdog = Watchdog(20.0)
        given = {"claimed": 1.0, "precision": None, "limit": row.limit, "convert": None, "order": ("x",)}
        self.run = Run(port, row, watchdog=self.watchdog, **(given | options))

    def __enter__(self):
        self.watchdog.__enter__()
        return self.run

    def __exit__(self, *error):
        self.watchdog.__exit__(*error)
