"""Many small matrices at a time: entry (i, j) of all of them lies together, and every operation is one on vectors.

An array ``a`` of shape (m, n, lanes) holds the real parts, ``a_im`` the imaginary ones, None for real matrices (the
compiler then drops their branches). What happens in one lane depends on no other. Two rows at a time are added to a
third: it is memory that takes the time.
"""

from __future__ import annotations

import numpy as np

from orthoref.kernels.jit import jit

CACHE = 2**15  # numbers: three arrays of so many, of 8 bytes, stay in a second-level cache of 1 MiB


def lanes_of(count: int, numbers: int) -> int:
    """How many of ``count`` matrices of so many real numbers to take together; vectors of fewer than 32 are slow."""
    return max(1, min(count, 64, max(32, CACHE // max(1, numbers))))


@jit
def pack(a, a_im, x, first):
    """From the matrices first, first + 1, ... of a stack; the last one again where there are no more."""
    for lane in range(a.shape[2]):
        one = min(first + lane, x.shape[0] - 1)
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                a[i, j, lane] = x[one, i, j].real
                if a_im is not None:
                    a_im[i, j, lane] = x[one, i, j].imag


@jit
def unpack(x, a, a_im, first):
    """Back into the stack."""
    for lane in range(min(a.shape[2], x.shape[0] - first)):
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                if a_im is None:
                    x[first + lane, i, j] = a[i, j, lane]
                else:
                    x[first + lane, i, j] = complex(a[i, j, lane], a_im[i, j, lane])


@jit
def entry(a, a_im, i, j, lane):
    """As a real or complex number."""
    if a_im is None:
        return a[i, j, lane]
    return complex(a[i, j, lane], a_im[i, j, lane])


@jit
def put(a, a_im, i, j, lane, value):
    """Set an entry."""
    a[i, j, lane] = value.real
    if a_im is not None:
        a_im[i, j, lane] = value.imag


@jit
def add_rows(a, a_im, i, f, f_im, b, b_im, k, m):
    """Row i of A += f_0 times row k of B + f_1 times row m of B; f of shape (1, 2, lanes)."""
    for j in range(a.shape[1]):
        for lane in range(a.shape[2]):
            x = entry(f, f_im, 0, 0, lane) * entry(b, b_im, k, j, lane)
            y = entry(f, f_im, 0, 1, lane) * entry(b, b_im, m, j, lane)
            put(a, a_im, i, j, lane, entry(a, a_im, i, j, lane) + (x + y))


@jit
def conjugate_transpose(c, c_im, a, a_im):
    """C <- A^H."""
    for i in range(c.shape[0]):
        for j in range(c.shape[1]):
            for lane in range(c.shape[2]):
                put(c, c_im, i, j, lane, np.conj(entry(a, a_im, j, i, lane)))


@jit
def product(c, c_im, a, a_im, b, b_im, adjoint, f, f_im):
    """C <- A B or A^H B; f is work space (1, 2, lanes)."""
    c[:] = 0
    if c_im is not None:
        c_im[:] = 0
    terms = b.shape[0]
    for i in range(c.shape[0]):
        for k in range(0, terms, 2):
            m = min(k + 1, terms - 1)
            for lane in range(c.shape[2]):
                put(f, f_im, 0, 1, lane, 0 * entry(f, f_im, 0, 1, lane))
            for at in range(k, m + 1):
                for lane in range(c.shape[2]):
                    if adjoint:
                        put(f, f_im, 0, at - k, lane, np.conj(entry(a, a_im, at, i, lane)))
                    else:
                        put(f, f_im, 0, at - k, lane, entry(a, a_im, i, at, lane))
            add_rows(c, c_im, i, f, f_im, b, b_im, k, m)


@jit
def invert(a, a_im, t, t_im, pivot, f, f_im):
    """A <- A^-1 by Gauss-Jordan elimination with partial pivoting; infinite or NaN where A is singular.

    The modulus of a complex pivot is |re| + |im|, as in LAPACK. Two columns are eliminated, then what that does to the
    others is added. Work space: t (2, n, lanes), pivot (n, lanes) of integers, f (1, 2, lanes).
    """
    n, _, lanes = a.shape
    for k in range(0, n, 2):
        m = min(k + 1, n - 1)
        for at in range(k, m + 1):
            _find_pivot(a, a_im, at, pivot[at], f[0, 0])
            for j in range(n):
                for lane in range(lanes):
                    _exchange(a, a_im, at, j, pivot[at, lane], j, lane)
            _eliminate(a, a_im, at, k + m - at, f, f_im)
        for at in range(k, k + 2):
            for j in range(n):
                others = at <= m and not k <= j <= m
                for lane in range(lanes):
                    value = entry(a, a_im, min(at, m), j, lane)
                    put(t, t_im, at - k, j, lane, value if others else 0 * value)
                    if others:
                        put(a, a_im, at, j, lane, 0 * value)
        for i in range(n):
            for lane in range(lanes):
                put(f, f_im, 0, 0, lane, entry(a, a_im, i, k, lane))
                put(f, f_im, 0, 1, lane, entry(a, a_im, i, m, lane))
            add_rows(a, a_im, i, f, f_im, t, t_im, 0, 1)
    for k in range(n - 1, -1, -1):  # A^-1 = (P A)^-1 P
        for i in range(n):
            for lane in range(lanes):
                _exchange(a, a_im, i, k, i, pivot[k, lane], lane)


@jit
def _find_pivot(a, a_im, k, pivot, largest):
    """The row k or below with the largest entry in column k, of every lane; without a branch."""
    n, _, lanes = a.shape
    pivot[:] = k
    largest[:] = -1
    for i in range(k, n):
        for lane in range(lanes):
            x = entry(a, a_im, i, k, lane)
            size = abs(x.real) + abs(x.imag)
            larger = size > largest[lane]
            pivot[lane] = i if larger else pivot[lane]
            largest[lane] = size if larger else largest[lane]


@jit
def _exchange(a, a_im, i, j, p, q, lane):
    """The entries (i, j) and (p, q) of one lane."""
    x, y = entry(a, a_im, i, j, lane), entry(a, a_im, p, q, lane)
    put(a, a_im, i, j, lane, y)
    put(a, a_im, p, q, lane, x)


@jit
def _reciprocal(a, a_im, k, lane):
    """Of a pivot: infinite or NaN for zero, where complex division would raise."""
    if a_im is None:
        return 1 / a[k, k, lane]
    scale = 1 / (abs(a[k, k, lane]) + abs(a_im[k, k, lane]))
    x, y = scale * a[k, k, lane], scale * a_im[k, k, lane]
    factor = scale / (x * x + y * y)
    return complex(factor * x, -factor * y)


@jit
def _eliminate(a, a_im, k, m, f, f_im):
    """One step of Gauss-Jordan on the columns k and m alone."""
    n, _, lanes = a.shape
    for lane in range(lanes):
        r = _reciprocal(a, a_im, k, lane)
        put(f, f_im, 0, 0, lane, r)
        put(a, a_im, k, m, lane, r * entry(a, a_im, k, m, lane))
        put(a, a_im, k, k, lane, r)
    for i in range(n):
        if i != k:
            for lane in range(lanes):
                x, r = entry(a, a_im, i, k, lane), entry(f, f_im, 0, 0, lane)
                put(a, a_im, i, m, lane, entry(a, a_im, i, m, lane) - x * entry(a, a_im, k, m, lane))
                put(a, a_im, i, k, lane, -x * r)
