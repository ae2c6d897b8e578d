"""Scaled residuals of polar factors: equations (R1) to (R7) of docs/derivations/ratios.

A ratio says how far a *given* result is from satisfying the definition, in units of the rounding error that a backward
stable method may commit.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import ct, exponent_of, inner, ldexp, norm, ratio

FLOAT64 = PRECISIONS["float64"]


def polar(
    a: np.ndarray,
    u: np.ndarray,
    h: np.ndarray | None = None,
    *,
    side: Literal["right", "left"] = "right",
    precision: Precision = FLOAT64,
    isometry: Literal["full", "partial"] = "full",
) -> dict[str, np.ndarray]:
    """Seven ratios that are O(1) for acceptable polar factors, each an array of the batch shape.

    Parameters
    ----------
    a, u : arrays of shape (..., m, n)
        Finite matrix, and what is said to be its unitary factor. With n the smaller dimension, e the unit
        ``precision.relative(n) * precision.eps`` (for ``orthonormal`` ``precision.growth(n) * precision.eps``, the
        same but for 16-bit formats), Frobenius norms throughout:
    h : array of shape (..., n, n) (right) or (..., m, m) (left), optional
        Said to be the Hermitian factor; if left out, the Hermitian part of U^H A (A U^H) is judged in its place.
    side : {"right", "left"}
        A = U H or A = H U.
    precision : Precision
        Format whose eps is the unit. Results near the smallest subnormal number ``tiny`` are granted
        k tiny of absolute error, the rounding of H, of order k, on the subnormal grid.
    isometry : {"full", "partial"}
        ``"partial"`` judges |U U^H U - U| instead of |I - U^H U|: for a rank-deficient a, whose canonical
        factor is a partial isometry. A completed U passes that, too.

    Returns
    -------
    dict of str to array
        ``backward`` |A - U H|/(|A| e); ``orthonormal`` |I - U^H U|/e (rows if wide); ``hermitian``
        |H - H^H|/(|H| e); ``positive`` max(0, -lambda_min(H))/(|H| e); ``symmetric`` |skew(U^H A)|/(|A| e)
        with skew X = (X - X^H)/2; ``nuclear`` ||A|_* - Re<A, U>|/(|A|_* e); ``consistent``
        |H - herm(U^H A)|/(|A| e), which sees the part of H on the null space of U (wide, partial). A ratio 0/0 is 0.
    """
    a, u = np.asarray(a), np.asarray(u)
    n = min(a.shape[-2:])
    with np.errstate(all="ignore"):
        exponent = exponent_of(a)
        a = ldexp(a, -exponent)
        given = h is not None
        product = inner(u, a) if side == "right" else inner(ct(a), ct(u))
        h = ldexp(np.asarray(h), -exponent) if given else (product + ct(product)) / 2
        e, e_unitary = precision.relative(n) * precision.eps, precision.growth(n) * precision.eps
        floor = h.shape[-1] * np.ldexp(precision.tiny, -exponent)[..., 0, 0]
        unit_a = e * norm(a) + floor
        unit_h = e * norm(h) + floor
        eye = np.eye(n)
        tall = u if a.shape[-2] >= a.shape[-1] else ct(u)
        rest = eye - inner(tall, tall)
        if isometry == "partial":
            rest = u @ ct(u) @ u - u
        nuclear = np.sum(np.linalg.svd(a, compute_uv=False), axis=-1) if a.size else np.zeros(a.shape[:-2])
        trace = np.sum((np.conj(u) * a).real, axis=(-2, -1))
        return {
            "backward": ratio(norm(a - (u @ h if side == "right" else h @ u)), unit_a),
            "orthonormal": ratio(norm(rest), e_unitary),
            "hermitian": ratio(norm(h - ct(h)), unit_h),
            "positive": ratio(np.maximum(-_smallest_eigenvalue(h), 0.0), unit_h),
            "symmetric": ratio(norm(product - ct(product)) / 2, e * norm(a)),
            "nuclear": ratio(np.abs(nuclear - trace), e * nuclear),
            "consistent": ratio(norm(h - (product + ct(product)) / 2), unit_a),
        }


def _smallest_eigenvalue(h: np.ndarray) -> np.ndarray:
    """Smallest eigenvalue of the Hermitian part; NaN where an entry is not finite."""
    if h.shape[-1] == 0:
        return np.zeros(h.shape[:-2])
    finite = np.all(np.isfinite(h), axis=(-2, -1))
    safe = np.where(finite[..., None, None], h, 0.0)
    return np.where(finite, np.linalg.eigvalsh(safe / 2 + ct(safe) / 2)[..., 0], np.nan)
