"""Scaled residuals of polar factors: equations (R1) to (R7) and (S1) to (S8) of docs/derivations/ratios.

A ratio says how far a *given* result is from satisfying the definition, in units of the rounding error that a backward
stable method may commit.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from orthoref.oracle.orthonormal.ratios import residuals as orthonormality
from orthoref.oracle.orthonormal.ratios import unit_2
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import (
    ct,
    exponent_of,
    inner,
    ldexp,
    norm,
    ratio,
    rounding_norm,
    singular_values,
    spectral_norm,
)

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
    """Ratios that are O(1) for acceptable polar factors, each an array of the batch shape.

    Parameters
    ----------
    a, u : arrays of shape (..., m, n)
        Finite matrix, and what is said to be its unitary factor.
    h : array of shape (..., n, n) (right) or (..., m, m) (left), optional
        Said to be the Hermitian factor; if left out, the Hermitian part of U^H A, or of A U^H if that is smaller, is
        judged in its place.
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
        In Frobenius norms, with k and l the smaller and the larger dimension, e the unit
        ``precision.relative(k, l) * precision.eps`` (for ``orthonormal`` ``precision.growth(k, l) * precision.eps``,
        the same but for short formats):
        ``backward`` |A - U H|/(|A| e); ``orthonormal`` |I - U^H U|/e (rows if wide); ``hermitian``
        |H - H^H|/(|H| e); ``positive`` max(0, -lambda_min(H))/(|H| e); ``symmetric`` |skew(U^H A)|/(|A| e)
        with skew X = (X - X^H)/2; ``nuclear`` ||A|_* - Re<A, U>|/(|A|_* e); ``consistent``
        |H - herm(U^H A)|/(|A| e), which sees the part of H on the null space of U (wide, partial). A ratio 0/0 is 0.

        For short formats also those of :func:`orthoref.oracle.orthonormal.ratios.orthonormal`, and, in units of the
        rounding of the entries of U and H, ``backward_2``, ``hermitian_2`` and ``consistent_2`` in the spectral norm,
        ``signs`` max(0, -lambda_min(herm U^H A)) and ``multiple`` ||H| - |A||.
    """
    with np.errstate(all="ignore"):
        found = residuals(a, u, h, side=side, precision=precision, isometry=isometry)
        return {name: ratio(error, unit) for name, (error, unit, _) in found.items()}


def residuals(
    a: np.ndarray,
    u: np.ndarray,
    h: np.ndarray | None,
    *,
    side: str,
    precision: Precision,
    isometry: str,
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Errors, their units and the sizes that they are relative to, of A scaled by a power of two."""
    a, u = np.asarray(a), np.asarray(u)
    given = h is not None
    right = side == "right" if given else a.shape[-2] >= a.shape[-1]
    exponent = exponent_of(a)
    a = ldexp(a, -exponent)
    product = inner(u, a) if right else inner(ct(a), ct(u))
    hermitian = (product + ct(product)) / 2
    h = ldexp(np.asarray(h), -exponent) if given else hermitian
    e = precision.relative(min(a.shape[-2:]), max(a.shape[-2:])) * precision.eps
    floor = h.shape[-1] * np.ldexp(precision.tiny, -exponent)[..., 0, 0]
    size_a, size_h = norm(a), norm(h)
    s = singular_values(a)
    nuclear = np.sum(s, axis=-1)
    trace = np.sum((np.conj(u) * a).real, axis=(-2, -1))
    rest = a - (u @ h if right else h @ u)
    unitary = orthonormality(u, precision) if isometry == "full" else _partial(u, precision)
    found = {
        "backward": (norm(rest), e * size_a + floor, size_a),
        "orthonormal": (*unitary.pop("orthonormal"), np.ones(())),
        "hermitian": (norm(h - ct(h)), e * size_h + floor, size_h),
        "positive": (np.maximum(-_smallest_eigenvalue(h), 0.0), e * size_h + floor, size_h),
        "symmetric": (norm(product - ct(product)) / 2, e * size_a, size_a),
        "nuclear": (np.abs(nuclear - trace), e * nuclear, nuclear),
        "consistent": (norm(h - hermitian), e * size_a + floor, size_a),
    }
    if precision.short and a.size:
        largest = s[..., 0]
        unit_u = unit_2(u, precision) * largest  # spectral norm of dU^H A: (TWO-NORM)
        unit_h = np.minimum(rounding_norm(h, precision._replace(tiny=0.0)), precision.eps * largest) + floor
        found |= {name: (*each, np.ones(())) for name, each in unitary.items()}
        found["backward_2"] = spectral_norm(rest), unit_u + unit_h, largest
        found["signs"] = np.maximum(-_smallest_eigenvalue(hermitian), 0.0), unit_u, largest
        if given:
            found["hermitian_2"] = spectral_norm(h - ct(h)), 2 * (unit_u + unit_h), largest
            found["multiple"] = np.abs(size_h - size_a), precision.eps / 2 * size_a + floor, size_a
        if given and (h.shape[-1] > s.shape[-1] or isometry == "partial"):  # else it is backward_2
            found["consistent_2"] = spectral_norm(h - hermitian), unit_u + unit_h, largest
    return found


def _partial(u: np.ndarray, precision: Precision) -> dict[str, tuple[np.ndarray, Any]]:
    """|U U^H U - U| in place of |I - U^H U|, the smaller product first."""
    tall = u if u.shape[-2] >= u.shape[-1] else ct(u)
    rest = tall @ inner(tall, tall) - tall
    m, n = tall.shape[-2:]
    found: dict[str, tuple[np.ndarray, Any]] = {"orthonormal": (norm(rest), precision.growth(n, m) * precision.eps)}
    if precision.short:
        found["orthonormal_2"] = spectral_norm(rest), 2 * unit_2(u, precision)
    return found


def _smallest_eigenvalue(h: np.ndarray) -> np.ndarray:
    """Smallest eigenvalue of the Hermitian part; NaN where an entry is not finite."""
    if h.shape[-1] == 0:
        return np.zeros(h.shape[:-2])
    finite = np.all(np.isfinite(h), axis=(-2, -1))
    safe = np.where(finite[..., None, None], h, 0.0)
    return np.where(finite, np.linalg.eigvalsh(safe / 2 + ct(safe) / 2)[..., 0], np.nan)
