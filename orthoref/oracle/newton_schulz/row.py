"""The row of the finite Newton-Schulz iteration."""

from __future__ import annotations

from typing import Any

import numpy as np

from orthoref._newton_schulz.iteration import newton_schulz, newton_schulz_jvp, newton_schulz_vjp
from orthoref._schedules import presets
from orthoref.errors import OutsideDomain
from orthoref.oracle.battery import Levels
from orthoref.oracle.newton_schulz import enclosure, reasons
from orthoref.oracle.newton_schulz.claim import UPDATE_SCALES, Iteration, iteration, run
from orthoref.oracle.newton_schulz.ratios import LIMIT, Judged, compare
from orthoref.oracle.operation import Check, Claim, Data, Measured, Measurement, Operation
from orthoref.oracle.precision import Precision

ZERO = 0.5  # unit up to which zero is refused where nothing else is judged

CLAIMS = (
    Claim("schedule", "muon", "the preset", tuple(presets.names())),
    Claim("steps", None, "number of steps (default: that of the schedule)", kind=int),
    Claim("normalize", None, "what is divided by (default: what the schedule assumes)",
          ("frobenius", "schatten4", "spectral", "aol", "none")),
    Claim("eps", 0.0, "added to the norm, or its least value", kind=float),
    Claim("eps_rule", "add", "how eps goes into the norm", ("add", "clamp")),
    Claim("form", "standard", "form of the iteration", ("standard", "gram")),
    Claim("restart", (), "with form gram: X is formed anew before this step", kind=int, repeated=True),
    Claim("scale", "none", "update scale, a factor on the result", tuple(UPDATE_SCALES)),
)  # fmt: skip
CHECKS = (
    Check("forward", "|X - f(A)|", "rms rounding error"),
    Check("direction", "1 - min Re(p_i^H X v_i)/f(s_i)", limit=1.0),
)


def shapes(claimed: Iteration, a: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """X like A."""
    return {"x": tuple(a)}


def outside(inputs: Data, claimed: Iteration) -> str:
    """Without a normalization, or with a factor below 1, some schedules diverge."""
    try:
        run(inputs["a"].value, claimed)
    except OutsideDomain as error:
        return f"not judged: {error}"
    return ""


def measure(inputs: Data, outputs: Data, claimed: Iteration, precision: Precision, limit: float) -> Measured:
    """A stack matrix by matrix; where rounding errors are as large as the result, nothing can be judged."""
    a, x = inputs["a"].value, outputs["x"].value
    batch = a.shape[:-2]
    if not a.size:
        return Measured([], np.zeros(batch, bool))
    one: dict[tuple[int, ...], Judged] = {i: compare(a[i], x[i], claimed, precision) for i in np.ndindex(batch)}
    judged = np.asarray([each.decided for each in one.values()]).reshape(batch)
    notes, faults = [], []
    undecided = [i for i in one if not one[i].decided]
    if undecided:
        part = one[undecided[0]].noise
        notes.append(
            f"{len(undecided)} of {len(one)} not judged: in {precision.name} the rounding errors alone are "
            f"{part:.2g} of the result (form {claimed.form!r}, schedule {claimed.schedule.name!r})"
        )
        bad = [i for i in undecided if not np.isfinite(x[i]).all()]
        faults += [f"x has entries that are NaN or infinite{f', batch index {i}' if i else ''}" for i in bad[:1]]
        # an error of 100 % of the result, in every entry: no sum of roundings
        zero = [i for i in undecided if one[i].unit <= ZERO and not x[i].any()]
        faults += [f"x is zero{f', batch index {i}' if i else ''}" for i in zero[:1]]
    if not judged.any():
        return Measured([], judged, notes, faults)

    def of(values: Any, else_: float = 0.0) -> np.ndarray:
        return np.where(judged, np.asarray(values).reshape(batch), else_)

    unit = of([each.unit for each in one.values()])
    forward, direction = CHECKS
    measurements = [
        Measurement(forward.name, f"{forward.text} / {forward.of}", of([each.forward for each in one.values()]),
                    of([each.limit(limit) for each in one.values()], limit), np.where(unit > 0, unit, 1.0)),
        Measurement(direction.name, direction.text, of([each.direction for each in one.values()]), 1.0, 1.0),
    ]  # fmt: skip
    return Measured(measurements, judged, notes, faults)


LEVELS = Levels(
    spectrum=("geometric", "one_small", "repeated", "rank_deficient", "one_large", "log_uniform"),
    cond=(1.0, 10.0, 30.0, 1e2, 1e3, 1e5),
    scale=(1.0, 0.0, 1e3, 1e-3, "squares overflow", "squares underflow"),
    gallery=("zero", "identity", "rank_one", "jordan", "permutation"),
)

ROW = Operation(
    name="newton_schulz",
    inputs=("a",),
    outputs=("x",),
    reference=newton_schulz,
    jvp=newton_schulz_jvp,
    vjp=newton_schulz_vjp,
    claims=CLAIMS,
    claim=iteration,
    shapes=shapes,
    checks=CHECKS,
    measure=measure,
    variants=reasons.variants,
    describe=reasons.describe,
    outside=outside,
    levels=LEVELS,
    dtypes=("float32", "float64", "complex64", "complex128"),
    limit=LIMIT,
    enclosure=enclosure.newton_schulz,
)
