"""Scaled residuals: pure functions of float64 or complex128 arrays, one number per matrix of a stack.

No implementation is trusted here, ours included: a ratio says how far a *given* result is from satisfying the
definition, in units of the rounding error that a backward stable method may commit. NaN in, NaN (or inf) out; compare
with ``ratio <= limit`` so that NaN fails. Definitions and derivations: docs/derivations/ratios, equations (R1) to (R7).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from orthoref.oracle.precision import PRECISIONS, Precision

FLOAT64 = PRECISIONS["float64"]

POLAR = {  # name -> (what it is, its unit), in the order in which a verdict prints them
    "backward": ("|A - U H|", "|A|"),
    "orthonormal": ("|I - U^H U|", ""),
    "hermitian": ("|H - H^H|", "|H|"),
    "positive": ("-lambda_min(H)", "|H|"),
    "symmetric": ("|skew(U^H A)|", "|A|"),
    "nuclear": ("| |A|_* - Re<A,U> |", "|A|_*"),
    "consistent": ("|H - U^H A|", "|A|"),
}


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
        exponent = _exponent(a)
        a = _ldexp(a, -exponent)
        given = h is not None
        product = _inner(u, a) if side == "right" else _inner(_ct(a), _ct(u))
        h = _ldexp(np.asarray(h), -exponent) if given else (product + _ct(product)) / 2
        e, e_unitary = precision.relative(n) * precision.eps, precision.growth(n) * precision.eps
        floor = h.shape[-1] * np.ldexp(precision.tiny, -exponent)[..., 0, 0]
        unit_a = e * _norm(a) + floor
        unit_h = e * _norm(h) + floor
        eye = np.eye(n)
        tall = u if a.shape[-2] >= a.shape[-1] else _ct(u)
        rest = eye - _inner(tall, tall)
        if isometry == "partial":
            rest = u @ _ct(u) @ u - u
        nuclear = np.sum(np.linalg.svd(a, compute_uv=False), axis=-1) if a.size else np.zeros(a.shape[:-2])
        trace = np.sum((np.conj(u) * a).real, axis=(-2, -1))
        return {
            "backward": _ratio(_norm(a - (u @ h if side == "right" else h @ u)), unit_a),
            "orthonormal": _ratio(_norm(rest), e_unitary),
            "hermitian": _ratio(_norm(h - _ct(h)), unit_h),
            "positive": _ratio(np.maximum(-_smallest_eigenvalue(h), 0.0), unit_h),
            "symmetric": _ratio(_norm(product - _ct(product)) / 2, e * _norm(a)),
            "nuclear": _ratio(np.abs(nuclear - trace), e * nuclear),
            "consistent": _ratio(_norm(h - (product + _ct(product)) / 2), unit_a),
        }


def orthonormal(q: np.ndarray, *, precision: Precision = FLOAT64) -> dict[str, np.ndarray]:
    """|I - Q^H Q|/e for the columns of a tall or square q (..., m, n), |I - Q Q^H|/e for the rows of a wide one."""
    q = np.asarray(q)
    n = min(q.shape[-2:])
    with np.errstate(all="ignore"):
        tall = q if q.shape[-2] >= q.shape[-1] else _ct(q)
        return {"orthonormal": _ratio(_norm(np.eye(n) - _inner(tall, tall)), precision.growth(n) * precision.eps)}


def condition(a: np.ndarray) -> float:
    """sigma_1/sigma_n of the worst matrix of a finite stack; infinite if one is singular, 1 if it is empty."""
    if not a.size:
        return 1.0
    a = a.astype(np.complex128 if np.iscomplexobj(a) else np.float64)
    s = np.linalg.svd(_ldexp(a, -_exponent(a)), compute_uv=False)
    with np.errstate(all="ignore"):
        return float(np.max(np.where(s[..., -1] > 0, s[..., 0] / s[..., -1], np.inf)))


def _ct(x: np.ndarray) -> np.ndarray:
    return np.conj(np.swapaxes(x, -2, -1))


def _inner(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """X^H Y, summed over blocks of 128 rows: the judge's own roundings must not grow with m."""
    starts = range(0, max(x.shape[-2], 1), 128)
    return np.sum([_ct(x[..., i : i + 128, :]) @ y[..., i : i + 128, :] for i in starts], axis=0)


def _norm(x: np.ndarray) -> np.ndarray:
    return np.sqrt(np.sum(x.real**2 + x.imag**2, axis=(-2, -1)))


def _ratio(error: np.ndarray, unit: np.ndarray | float) -> np.ndarray:
    return np.where(error == 0, 0.0, error / unit)


def _exponent(a: np.ndarray) -> np.ndarray:
    """Integer e with the largest component of each matrix in [2^(e-1), 2^e); shape (..., 1, 1)."""
    size = np.maximum(np.abs(a.real), np.abs(a.imag))
    return np.frexp(np.max(size, axis=(-2, -1), keepdims=True, initial=0.0))[1]


def _ldexp(x: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """X 2^exponent, exact but for underflow."""
    if np.iscomplexobj(x):
        return np.ldexp(x.real, exponent) + 1j * np.ldexp(x.imag, exponent)
    return np.ldexp(x, exponent)


def _smallest_eigenvalue(h: np.ndarray) -> np.ndarray:
    """Smallest eigenvalue of the Hermitian part; NaN where an entry is not finite."""
    if h.shape[-1] == 0:
        return np.zeros(h.shape[:-2])
    finite = np.all(np.isfinite(h), axis=(-2, -1))
    safe = np.where(finite[..., None, None], h, 0.0)
    return np.where(finite, np.linalg.eigvalsh(safe / 2 + _ct(safe) / 2)[..., 0], np.nan)
