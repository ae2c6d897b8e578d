"""What a claim does to singular values that its maker may not want: true of every port that does what it claims."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache, partial
from importlib.util import find_spec

from orthoref._schedules.certificate import LARGEST, outcome
from orthoref._schedules.row import Row
from orthoref.errors import NotCertified, OutsideDomain
from orthoref.oracle.newton_schulz.claim import Iteration
from orthoref.oracle.precision import Precision

LOWER = Fraction(1, 100)  # of the norm: what an iteration of a few steps is to bring near 1
BAND = 0.5, 1.5  # what counts as near
CEILING = Fraction(3, 2)  # of what is tolerated, as in a certificate


def hazards(claimed: Iteration, precision: Precision) -> list[str]:
    """Sentences proved by ``certify``; none without python-flint, nor where nothing is divided by."""
    if find_spec("flint") is None or claimed.normalization.kind == "none":
        return []
    try:
        return [*_sentences(claimed, precision.name, precision.eps)]
    except (NotCertified, OutsideDomain, ValueError):  # of a rational schedule, or one that diverges
        return []


@lru_cache(maxsize=256)
def _sentences(claimed: Iteration, name: str, eps: float) -> tuple[str, ...]:
    schedule, norm = str(claimed).partition(",")[0], claimed.normalization
    under, top = f"{schedule} under the normalization {norm}", 1 / norm.factor
    certify = partial(claimed.schedule.certify, steps=claimed.steps)
    rows = claimed.schedule.steps(claimed.steps)
    (low, high), keeps = outcome(rows, LOWER * top, top)
    if not keeps:
        reach = certify(LOWER * top, top, ceiling=LARGEST).tolerated  # all that keeps its sign
        above = reach * float(norm.factor)
        return (f"{under} reverses directions of singular values above {above:.3g} of the norm",)
    found = []
    if not (low >= BAND[0] and high <= BAND[1]):
        cycled = claimed.steps > len(claimed.schedule.rows) > 1 and claimed.schedule.past == "cycle"
        how = f"cycled to {claimed.steps} steps" if cycled else f"in {claimed.steps} steps"
        found.append(f"{schedule} {how} maps [0.01, 1] of the norm into [{low:.2g}, {high:.3g}]")
    # the norm and the quotient are rounded: what was 1 may be above it
    if norm.kind != "aol" and not _tolerated(rows, top * (1 + Fraction(eps))):
        above = certify(LOWER * top, top, ceiling=CEILING).tolerated * float(norm.factor)
        rounded = f"in {name} that is rounded down by up to {eps / 2:.2g}"
        found.append(f"{under} tolerates nothing above {above:.6g} of the norm, and {rounded}")
    return tuple(found)


def _tolerated(rows: tuple[Row, ...], upper: Fraction) -> bool:
    try:
        (_, highest), keeps = outcome(rows, Fraction(0), upper)
    except OutsideDomain:  # it diverges
        return False
    return keeps and highest <= CEILING
