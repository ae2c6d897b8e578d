"""Products of reflections for single large matrices, by LAPACK and by blocks of the compact WY form: (WY)."""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas, lapack

BLOCK = (
    64  # reflections at a time: T is small, and V T V^H X two products that a matrix multiplication does at full speed
)


def product(v: np.ndarray, d: np.ndarray, columns: int, trapezoid: bool) -> np.ndarray:
    """The first columns of H_1 ... H_k, H_i = I - d_i v_i v_i^H; trapezoid: v_i has a 1 at i and zeros above."""
    m = v.shape[0]
    if not trapezoid or columns == 0:
        return apply(v, d, np.eye(m, columns, dtype=v.dtype), False)
    k = min(v.shape[1], columns)  # the others leave these columns of the identity alone
    q = np.empty((m, columns), dtype=v.dtype, order="F")
    q[:, :k] = v[:, :k]
    orgqr = lapack.get_lapack_funcs("ungqr" if np.iscomplexobj(v) else "orgqr", dtype=v.dtype)
    return orgqr(q, d[:k], lwork=BLOCK * columns, overwrite_a=1)[0]


def apply(v: np.ndarray, d: np.ndarray, x: np.ndarray, adjoint: bool) -> np.ndarray:
    """H_1 ... H_k X or its adjoint times X."""
    y = np.array(x)
    starts = range(0, v.shape[1], BLOCK)
    for start in starts if adjoint else reversed(starts):
        block = np.ascontiguousarray(v[:, start : start + BLOCK])
        back = block.conj().T
        weights = d[start : start + BLOCK]
        t = inverse(np.eye(len(weights), dtype=v.dtype) + weights[:, None] * np.triu(back @ block, 1)) * weights
        y -= block @ ((t.conj().T if adjoint else t) @ (back @ y))
    return y


def inverse(a: np.ndarray) -> np.ndarray:
    """Of an upper triangular matrix with a unit diagonal."""
    trtri = lapack.get_lapack_funcs("trtri", dtype=a.dtype)
    return trtri(np.ascontiguousarray(a).T, lower=1, unitdiag=1)[0].T  # LAPACK sees rows as columns


def times_upper(x: np.ndarray, t: np.ndarray, adjoint: bool) -> np.ndarray:
    """X T or X T^H for upper triangular T: half the flops of a product."""
    trmm = blas.get_blas_funcs("trmm", dtype=x.dtype)
    return trmm(1.0, np.ascontiguousarray(t).T, np.ascontiguousarray(x).T, lower=1, trans_a=2 if adjoint else 0).T
