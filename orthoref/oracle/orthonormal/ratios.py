"""Scaled residual of orthonormal columns: equation (R2) of docs/derivations/ratios."""

from __future__ import annotations

import numpy as np

from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import ct, inner, norm, ratio

FLOAT64 = PRECISIONS["float64"]


def orthonormal(q: np.ndarray, *, precision: Precision = FLOAT64) -> dict[str, np.ndarray]:
    """|I - Q^H Q|/e for the columns of a tall or square q (..., m, n), |I - Q Q^H|/e for the rows of a wide one."""
    q = np.asarray(q)
    n = min(q.shape[-2:])
    with np.errstate(all="ignore"):
        tall = q if q.shape[-2] >= q.shape[-1] else ct(q)
        return {"orthonormal": ratio(norm(np.eye(n) - inner(tall, tall)), precision.growth(n) * precision.eps)}
