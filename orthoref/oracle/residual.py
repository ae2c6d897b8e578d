"""What every scaled residual is made of: norms, products and scalings of float64 or complex128 stacks.

No implementation is trusted here, ours included. NaN in, NaN (or inf) out; compare with ``ratio <= limit`` so that NaN
fails.
"""

from __future__ import annotations

import numpy as np

from orthoref.oracle.precision import Precision


def condition(a: np.ndarray) -> float:
    """sigma_1/sigma_n of the worst matrix of a finite stack; infinite if one is singular, 1 if it is empty."""
    if not a.size:
        return 1.0
    a = a.astype(np.complex128 if np.iscomplexobj(a) else np.float64)
    s = singular_values(ldexp(a, -exponent_of(a)))
    with np.errstate(all="ignore"):
        return float(np.max(np.where(s[..., -1] > 0, s[..., 0] / s[..., -1], np.inf)))


def ct(x: np.ndarray) -> np.ndarray:
    """Conjugate transpose of the last two axes."""
    return np.conj(np.swapaxes(x, -2, -1))


def inner(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """X^H Y, summed over blocks of 128 rows: the judge's own roundings must not grow with m."""
    total = ct(x[..., :128, :]) @ y[..., :128, :]
    for i in range(128, x.shape[-2], 128):
        total += ct(x[..., i : i + 128, :]) @ y[..., i : i + 128, :]
    return total


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


def singular_values(a: np.ndarray) -> np.ndarray:
    """Singular values of finite matrices, of R where A = Q R is long: an SVD would copy A several times."""
    tall = a if a.shape[-2] >= a.shape[-1] else ct(a)
    long = tall.shape[-2] > 8 * tall.shape[-1]
    return np.linalg.svd(np.linalg.qr(tall, mode="r") if long else tall, compute_uv=False)


def spectral_norm(x: np.ndarray) -> np.ndarray:
    """Largest singular value, of the Gram matrix (half of the digits would do); NaN where an entry is not finite."""
    tall = x if x.shape[-2] >= x.shape[-1] else ct(x)
    if not x.size:
        return np.zeros(x.shape[:-2])
    exponent = exponent_of(tall)
    gram = inner(scaled := ldexp(tall, -exponent), scaled)
    finite = np.all(np.isfinite(gram), axis=(-2, -1))
    largest = np.linalg.eigvalsh(np.where(finite[..., None, None], gram, 0.0))[..., -1]
    return np.where(finite, np.ldexp(np.sqrt(np.maximum(largest, 0.0)), exponent[..., 0, 0]), np.nan)


def half_spacing(x: np.ndarray, precision: Precision) -> np.ndarray:
    """Largest error that rounding to a format can have made of each entry: half the spacing of its numbers there."""
    if np.iscomplexobj(x):
        return np.hypot(half_spacing(x.real, precision), half_spacing(x.imag, precision))
    spacing = np.where(x == 0, 0.0, np.ldexp(precision.eps, np.frexp(x)[1] - 1))
    return np.maximum(spacing, precision.tiny) / 2


def rounding_norm(x: np.ndarray, precision: Precision) -> np.ndarray:
    """max_i |d_i.| + max_j |d_.j| of the half spacings d: the spectral norm of rounding errors, (TWO-NORM)."""
    squares = half_spacing(x, precision) ** 2
    longest = [np.sqrt(np.max(np.sum(squares, axis=axis), axis=-1, initial=0.0)) for axis in (-1, -2)]
    return longest[0] + longest[1]
