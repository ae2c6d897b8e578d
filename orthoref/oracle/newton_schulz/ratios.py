"""How far a given result is from the claimed iteration, in units of the rounding error that the claim implies.

The reference is the same schedule in float64, the unit the rounding error that the form and the precision imply.
Derivation: docs/derivations/newton_schulz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orthoref._newton_schulz.normalization import normalized
from orthoref._schedules.row import Row
from orthoref.oracle.newton_schulz.claim import Iteration, run
from orthoref.oracle.newton_schulz.rounding_error import ColumnNorms, Expected, Norm, expected, shaken
from orthoref.oracle.precision import PRECISIONS, Precision

LIMIT = 4.0  # the unit counts every rounding with its largest size u, not its root mean square u/sqrt(3)


UNDECIDED = 0.25  # rounding errors of this part of the result: nothing can be judged


SMALLEST = -200  # exponent of a normalized matrix whose errors can be squared and squared again


LINEAR = 2.0**-100  # cubes of smaller numbers are lost beside them


DIRECTION = 10.0  # root mean squares of its rounding error that a direction must exceed to have a sign


@dataclass(frozen=True)
class Judged:
    """One matrix against the exact iteration: the reference, the two ratios, and errors relative to |f(A)|_F.

    ``unit`` is the root mean square of the rounding error, ``shaken`` what a few of them do to all orders.
    """

    reference: np.ndarray
    unit: float
    forward: float
    direction: float
    shaken: float

    @property
    def decided(self) -> bool:
        """Whether the rounding errors leave something to judge, and the first order is enough to say so."""
        return self.noise <= UNDECIDED

    def limit(self, limit: float) -> float:
        """The limit, but never more than 0.9 of what zero scores."""
        return min(limit, 0.9 / self.unit) if self.unit else limit

    @property
    def noise(self) -> float:
        """Part of the result that rounding errors are, or may be beyond first order."""
        return max(self.unit, self.shaken)


def compare(a: np.ndarray, x: np.ndarray, claimed: Iteration, precision: Precision) -> Judged:
    """Ratios of one result x for one matrix a, both float64 or complex128."""
    m, n = a.shape
    factor = claimed.factor(m, n)
    reference = factor * run(a, claimed)
    tall = a if m > n else a.conj().T
    start = normalized(tall, claimed.normalization, claimed.eps, claimed.eps_rule)
    aol = claimed.normalization.kind == "aol"
    sizes, starts = (np.max(np.abs(z), axis=0 if aol else None, initial=0.0) for z in (tall, start))
    divisor = np.divide(sizes, starts, out=np.ones_like(sizes), where=starts > 0)
    times = float(claimed.normalization.factor)
    norm = ColumnNorms.of(tall, divisor, precision, times) if aol else Norm(float(divisor))
    rows = claimed.schedule.steps(claimed.steps)
    lift = _lift(float(np.max(starts, initial=0.0)), rows)
    lifted = precision._replace(tiny=min(precision.tiny * 2.0**lift, 2.0**100))
    error = expected(start * 2.0**lift, rows, lifted, claimed.form, claimed.restart, norm)
    beyond = shaken(error)
    # in float64 the reference is as inaccurate as the port
    unit = factor * max(error.total(), beyond / 4) * (2**0.5 if precision.name == "float64" else 1.0)
    difference, size = (float(np.linalg.norm(z * 2.0**lift)) for z in (x - reference, reference))
    forward = 0.0 if difference == 0 else difference / unit if unit > 0 else float("inf")
    turned = _turned((x if m > n else x.conj().T) * 2.0**lift, error, factor)
    if not size:  # zero, or its square is
        return Judged(reference, float("inf") if reference.any() or unit else 0.0, forward, turned, 0.0)
    return Judged(reference, unit / size, forward, turned, factor * beyond / size)


def _lift(size: float, rows: Sequence[Row]) -> int:
    """The k for which errors of 2^k X_0 can be squared twice; 0 if X_0 is not small or the iteration not linear."""
    if not 0 < size < 2.0**SMALLEST:
        return 0
    x = size
    for row in rows:
        x = abs(float(row(x)))
        if not row.numerator[0] or x > LINEAR:
            return 0
    return SMALLEST - int(np.frexp(size)[1])


def _turned(x: np.ndarray, error: Expected, factor: float) -> float:
    """(SIGNS) max of 1 - Re(p_i^H X v_i)/f_i over the directions whose f_i stands out of its rounding error."""
    along = np.real(np.einsum("ij,ik,jk->j", error.p.conj(), x, error.vh.conj())) / factor
    noise = np.sqrt(np.diagonal(error.inside) + (error.total() / max(error.f.size, 1)) ** 2)
    # below the rank tolerance of the SVD that made them, p_i and v_i mean nothing
    known = error.s > max(8, error.s.size) * PRECISIONS["float64"].eps * np.max(error.s, initial=0.0)
    clear = known & (np.abs(error.f) > DIRECTION * noise)
    if not clear.any():
        return 0.0
    return float(np.max(1 - along[clear] / error.f[clear]))


def fills(a: np.ndarray, x: np.ndarray, claimed: Iteration) -> bool:
    """Whether the error leaves the singular directions, as rounding does and a wrong coefficient does not."""
    if min(a.shape) <= 2:
        return True
    tall, y = (a, x) if a.shape[0] > a.shape[1] else (a.conj().T, x.conj().T)
    p, _, vh = np.linalg.svd(
        normalized(tall, claimed.normalization, claimed.eps, claimed.eps_rule), full_matrices=False
    )
    reference = claimed.factor(*a.shape) * run(a, claimed)
    error = p.conj().T @ (y - (reference if tall is a else reference.conj().T)) @ vh.conj().T
    return bool(np.linalg.norm(error - np.diag(np.diagonal(error))) >= 0.1 * np.linalg.norm(error))
