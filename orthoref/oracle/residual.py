"""What every scaled residual is made of: norms, products and scalings of float64 or complex128 stacks.

No implementation is trusted here, ours included. NaN in, NaN (or inf) out; compare with ``ratio <= limit`` so that NaN
fails.
"""

from __future__ import annotations

import numpy as np


def condition(a: np.ndarray) -> float:
    """sigma_1/sigma_n of the worst matrix of a finite stack; infinite if one is singular, 1 if it is empty."""
    if not a.size:
        return 1.0
    a = a.astype(np.complex128 if np.iscomplexobj(a) else np.float64)
    s = np.linalg.svd(ldexp(a, -exponent_of(a)), compute_uv=False)
    with np.errstate(all="ignore"):
        return float(np.max(np.where(s[..., -1] > 0, s[..., 0] / s[..., -1], np.inf)))


def ct(x: np.ndarray) -> np.ndarray:
    """Conjugate transpose of the last two axes."""
    return np.conj(np.swapaxes(x, -2, -1))


def inner(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """X^H Y, summed over blocks of 128 rows: the judge's own roundings must not grow with m."""
    starts = range(0, max(x.shape[-2], 1), 128)
    return np.sum([ct(x[..., i : i + 128, :]) @ y[..., i : i + 128, :] for i in starts], axis=0)


def norm(x: np.ndarray) -> np.ndarray:
    """Frobenius norm of every matrix."""
    return np.sqrt(np.sum(x.real**2 + x.imag**2, axis=(-2, -1)))


def ratio(error: np.ndarray, unit: np.ndarray | float) -> np.ndarray:
    """Error over unit, 0 for 0/0."""
    return np.where(error == 0, 0.0, error / unit)


def exponent_of(a: np.ndarray) -> np.ndarray:
    """Integer e with the largest component of each matrix in [2^(e-1), 2^e); shape (..., 1, 1)."""
    size = np.maximum(np.abs(a.real), np.abs(a.imag))
    return np.frexp(np.max(size, axis=(-2, -1), keepdims=True, initial=0.0))[1]


def ldexp(x: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """X 2^exponent, exact but for underflow."""
    if np.iscomplexobj(x):
        return np.ldexp(x.real, exponent) + 1j * np.ldexp(x.imag, exponent)
    return np.ldexp(x, exponent)
