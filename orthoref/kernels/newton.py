"""Twin of the scaled Newton iteration with polishing, for small real matrices: (NEWTON), (POLISH)."""

from __future__ import annotations

import numpy as np

from orthoref.kernels.jit import jit

MAX_STEPS, MAX_POLISHING_STEPS = 20, 8


def newton_polished(x: np.ndarray, scaling: str) -> np.ndarray:
    """Orthogonal polar factors of a real stack (..., n, n), orthonormal to rounding; NaN where the iteration fails."""
    u = np.array(x, order="C")  # writable, whatever x is: one type to compile for
    _stack(u.reshape(-1, *x.shape[-2:]), scaling == "byers-xu", np.finfo(x.dtype).eps ** 0.5)
    return u


@jit
def _stack(x, byers_xu, tolerance):
    """In place."""
    n = x.shape[1]
    y, work = np.empty((n, n), x.dtype), np.empty((n, n), x.dtype)
    for u in x:
        if not (_newton(u, y, work, byers_xu) and _polish(u, y, work, tolerance)):
            u.fill(np.nan)


@jit
def _newton(x, y, work, byers_xu):
    """X <- (zeta X + X^-T/zeta)/2 in place until the step has norm 0.1; False if X is singular."""
    n = x.shape[0]
    zeta = a = b = 1.0
    for step in range(MAX_STEPS):
        for i in range(n):
            for j in range(n):  # an assignment of slices takes seconds to compile
                work[i, j] = x[i, j]
        if not _inverse(work, y):
            return False
        if step == 0 or not byers_xu:
            a, b = _bound(x), 1 / _bound(y)
            zeta = 1 / np.sqrt(a * b)
        elif step == 1:
            zeta = np.sqrt(2 * np.sqrt(a * b) / (a + b))
        else:
            zeta = 1 / np.sqrt((zeta + 1 / zeta) / 2)
        change = 0.0
        for i in range(n):
            for j in range(n):
                new = (zeta * x[i, j] + y[j, i] / zeta) / 2
                change += np.abs(new - x[i, j]) ** 2
                x[i, j] = new
        if not np.sqrt(change) > 0.1:
            break
    return True


@jit
def _polish(u, product, rest, tolerance):
    """U <- U + U(I - U^T U)/2 in place; False if the defect stays above the tolerance (or is NaN)."""
    n = u.shape[0]
    for _ in range(MAX_POLISHING_STEPS):
        defect = 0.0
        for i in range(n):
            for j in range(n):
                entry = 0.0
                for k in range(n):
                    entry += u[k, i] * u[k, j]
                rest[i, j] = (1 - entry) if i == j else -entry
                defect += np.abs(rest[i, j]) ** 2
        for i in range(n):
            for j in range(n):
                entry = 0.0
                for k in range(n):
                    entry += u[i, k] * rest[k, j]
                product[i, j] = entry
        for i in range(n):
            for j in range(n):
                u[i, j] += product[i, j] / 2
        if np.sqrt(defect) <= tolerance:
            return True
    return False


@jit
def _bound(x):
    """sqrt(|X|_1 |X|_inf) >= |X|_2."""
    n = x.shape[0]
    columns = rows = 0.0
    for i in range(n):
        column = row = 0.0
        for j in range(n):
            column += np.abs(x[j, i])
            row += np.abs(x[i, j])
        columns, rows = max(columns, column), max(rows, row)
    return np.sqrt(columns * rows)


@jit
def _inverse(a, y):
    """Y <- A^-1 by Gauss-Jordan elimination with partial pivoting, which destroys A; False at a zero pivot."""
    n = a.shape[0]
    for i in range(n):
        for j in range(n):
            y[i, j] = 1 if i == j else 0
    for k in range(n):
        p = k
        for i in range(k + 1, n):
            if np.abs(a[i, k]) > np.abs(a[p, k]):
                p = i
        if not np.abs(a[p, k]) > 0:
            return False
        if p != k:
            for j in range(n):
                a[k, j], a[p, j] = a[p, j], a[k, j]
                y[k, j], y[p, j] = y[p, j], y[k, j]
        pivot = a[k, k]
        for j in range(n):
            a[k, j] /= pivot
            y[k, j] /= pivot
        for i in range(n):
            factor = a[i, k]
            if i != k and factor != 0:
                for j in range(n):
                    a[i, j] -= factor * a[k, j]
                    y[i, j] -= factor * y[k, j]
    return True
