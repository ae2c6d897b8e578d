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
from orthoref.oracle.newton_schulz.hazards import hazards
from orthoref.oracle.newton_schulz.pool import pool
from orthoref.oracle.newton_schulz.ratios import LIMIT, MULTIPLE, Judged, compare
from orthoref.oracle.operation import Check, Claim, Data, Measured, Measurement, Operation
from orthoref.oracle.precision import Precision

ZERO = 0.5  # unit up to which zero is refused where nothing else is judged

CLAIMS = (
    Claim("schedule", "muon", "the preset", (*presets.names(), *presets.ALIASES)),
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
    Check("entries", "rms e_ij of P^H X V", "their rms rounding errors"),
    Check("entry", "max e_ij of P^H X V", "its largest rounding error", limit=1.0),
    Check("multiple", "|c - 1|, X nearest to c f(A)", "its rms rounding error", limit=MULTIPLE),
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
    """A stack matrix by matrix: as a whole, and in short formats in the singular directions that rounding leaves.

    The zero matrix has ratios, but does not count as judged: whatever returns zero is right there.
    """
    a, x = inputs["a"].value, outputs["x"].value
    batch = a.shape[:-2]
    if not a.size:
        return Measured([], np.zeros(batch, bool))
    one: dict[tuple[int, ...], Judged] = {i: compare(a[i], x[i], claimed, precision) for i in np.ndindex(batch)}
    notes, faults = [], []
    undecided = {i: each for i, each in one.items() if not each.decided}
    lost = [i for i, each in undecided.items() if not each.determined.any()]
    if lost:
        notes.append(f"{len(lost)} of {len(one)} not judged: {_why(one[lost[0]], claimed, precision)}")
    parts = [i for i in undecided if i not in lost]
    if parts:
        found = one[parts[0]].determined
        notes.append(
            f"{len(parts)} of {len(one)} judged in part, in {np.sum(found)} of {found.size} singular directions: "
            f"{_why(one[parts[0]], claimed, precision)}"
        )
    for said in (_not_finite, _zero, _far, _too_large):
        for i, each in undecided.items():
            text = said(each, x[i], limit, precision)
            if text:
                faults.append(f"{text}{f', batch index {i}' if i else ''}")
                break
    judged = np.asarray([each.judged for each in one.values()]).reshape(batch)

    def of(values: Any) -> np.ndarray:
        return np.asarray(list(values), float).reshape(batch)

    measurements = []
    whole = of(each.decided for each in one.values()) > 0
    if whole.any():
        forward = CHECKS[0]
        unit = of(each.unit if each.decided else 0.0 for each in one.values())
        limits = of(each.limit(limit) if each.decided else limit for each in one.values())
        measurements = [
            Measurement(forward.name, f"{forward.text} / {forward.of}",
                        np.where(whole, of(each.forward for each in one.values()), 0.0), limits,
                        np.where(unit > 0, unit, 1.0)),
        ]  # fmt: skip
    partial = of(each.determined.any() for each in one.values()) > 0
    if (whole | partial).any():
        direction = CHECKS[1]
        turned = np.where(whole | partial, of(each.direction for each in one.values()), 0.0)
        measurements.append(Measurement(direction.name, direction.text, turned, 1.0, 1.0))
    if partial.any():
        entries, entry = CHECKS[2:4]
        measurements += [
            Measurement(entries.name, f"{entries.text} / {entries.of}", of(each.entries for each in one.values()),
                        limit, 1.0),
            Measurement(entry.name, f"{entry.text} / {entry.of}", of(each.entry for each in one.values()), 1.0, 1.0),
        ]  # fmt: skip
    sharp = of(each.sharp for each in one.values())
    if sharp.any():
        multiple = CHECKS[4]
        measurements += [
            Measurement(multiple.name, f"{multiple.text} / {multiple.of}", of(each.multiple for each in one.values()),
                        of(each.most for each in one.values()), np.where(sharp > 0, sharp, 1.0)),
        ]  # fmt: skip
    observed = [each.points for each in one.values() if each.points is not None]
    return Measured(measurements, judged, notes, faults, observed)


def _why(one: Judged, claimed: Iteration, precision: Precision) -> str:
    """What rounding does to one matrix."""
    said = (
        f"in {precision.name} the rounding errors alone are {one.noise:.2g} of the result "
        f"(form {claimed.form!r}, schedule {claimed.schedule.name!r})"
    )
    if one.unstable:
        said += f"; the iteration is unstable there: a few roundings are enlarged to {one.leap:.2g} of the result"
    return f"{said}; it may leave the range of {precision.name}" if one.overflows else said


def _not_finite(one: Judged, x: np.ndarray, limit: float, precision: Precision) -> str:
    """Right ports may overflow where their rounding errors do."""
    return "" if one.overflows or np.isfinite(x).all() else "x has entries that are NaN or infinite"


def _zero(one: Judged, x: np.ndarray, limit: float, precision: Precision) -> str:
    """An error of 100 % of the result, in every entry: no sum of roundings."""
    return "x is zero" if one.unit <= ZERO and not x.any() else ""


def _far(one: Judged, x: np.ndarray, limit: float, precision: Precision) -> str:
    """Errors far beyond what rounding does, to first order or to all."""
    error = one.forward * one.unit
    if not np.isfinite(x).all() or error <= one.far or not np.isfinite(one.far):
        return ""
    return f"|X - f(A)| is {error:.2g} of |f(A)|: in {precision.name} rounding errors are at most {one.far:.2g} of it"


def _too_large(one: Judged, x: np.ndarray, limit: float, precision: Precision) -> str:
    """What no input leads to, whatever the rounding errors of the steps."""
    if one.largest <= 1 or not np.isfinite(x).all():
        return ""
    return f"|X|_2 is {one.largest:.2g} times the largest that these steps can return in {precision.name}"


LEVELS = Levels(
    spectrum=("geometric", "one_small", "repeated", "rank_deficient", "one_large", "log_uniform"),
    cond=(1.0, 10.0, 30.0, 1e2, 1e3, 1e5),
    scale=(1.0, 0.0, 1e3, 1e-3, "squares overflow", "squares underflow", "near overflow", "near underflow"),
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
    pool=pool,
    limit=LIMIT,
    hazards=hazards,
    enclosure=enclosure.newton_schulz,
)
