"""Scaled residuals of orthonormal columns: equations (R2) and (S1) to (S3) of docs/derivations/ratios."""

from __future__ import annotations

from typing import Any

import numpy as np

from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import ct, half_spacing, inner, norm, ratio, rounding_norm, spectral_norm

FLOAT64 = PRECISIONS["float64"]


def orthonormal(q: np.ndarray, *, precision: Precision = FLOAT64) -> dict[str, np.ndarray]:
    """Ratios of the columns of a tall or square q (..., m, n), of the rows of a wide one, each of the batch shape.

    Returns
    -------
    dict of str to array
        ``orthonormal`` |I - Q^H Q|/e in the Frobenius norm, e = ``precision.growth(n, m)`` eps. For short formats,
        whose e grows with n as the error of no single direction does, in units of the rounding of the entries of Q:
        ``orthonormal_2`` the spectral norm of I - Q^H Q, ``lengths`` max_j ||q_j| - 1| and ``scale`` ||Q|^2/n - 1|.
    """
    with np.errstate(all="ignore"):
        return {name: ratio(*each) for name, each in residuals(np.asarray(q), precision).items()}


def residuals(q: np.ndarray, precision: Precision) -> dict[str, tuple[np.ndarray, Any]]:
    """Errors and their units."""
    tall = q if q.shape[-2] >= q.shape[-1] else ct(q)
    m, n = tall.shape[-2:]
    gram = inner(tall, tall)
    rest = np.eye(n) - gram
    found: dict[str, tuple[np.ndarray, Any]] = {"orthonormal": (norm(rest), precision.growth(n, m) * precision.eps)}
    if precision.short and n:
        squares = np.diagonal(gram, axis1=-2, axis2=-1).real
        found["orthonormal_2"] = spectral_norm(rest), 2 * unit_2(q, precision)
        found["lengths"] = np.max(np.abs(np.sqrt(squares) - 1), axis=-1), precision.eps / 2
        found["scale"] = np.abs(np.mean(squares, axis=-1) - 1), scale_unit(q, precision)
    return found


def unit_2(q: np.ndarray, precision: Precision) -> np.ndarray:
    """Spectral norm of the rounding errors of an isometry: equation (TWO-NORM), and no more however large q is."""
    return np.minimum(rounding_norm(q, precision), precision.eps)


def scale_unit(q: np.ndarray, precision: Precision) -> np.ndarray:
    """sqrt(sum_g w_g^2 + (2 eps)^2)/n, w_g = 2 sum |q_ij| d_ij over the entries with one significand: (SCALE)."""
    units = np.zeros(q.shape[:-2])
    for index in np.ndindex(units.shape):
        parts = np.ascontiguousarray(q[index]).view(np.float64).ravel()
        parts = np.abs(np.where(np.isfinite(parts), parts, 0.0))
        significand = np.rint(np.frexp(parts)[0] / precision.eps).astype(int)
        weight = 2 * parts * half_spacing(parts, precision)
        units[index] = np.linalg.norm(np.bincount(significand, weight))
    return np.minimum(np.hypot(units, 2 * precision.eps) / min(q.shape[-2:]), precision.eps)
