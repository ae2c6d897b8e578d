"""Twin of the scaled Newton iteration for stacks of small matrices: (NEWTON), (POLISH)."""

from __future__ import annotations

from math import prod

import numpy as np

from orthoref.kernels.jit import jit
from orthoref.kernels.lanes import conjugate_transpose, entry, invert, lanes_of, pack, product, unpack

MAX_STEPS = 20


def polar(x: np.ndarray, scaling: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """U and U^H X of a stack (..., n, n), and which of them are as near to a polar decomposition as that of the SVD."""
    *batch, n, _ = x.shape
    stack = np.ascontiguousarray(x).reshape(prod(batch), n, n)
    u, g, good = np.empty_like(stack), np.empty_like(stack), np.empty(len(stack), dtype=np.bool_)
    lanes, real = lanes_of(len(stack), n * n * (1 + np.iscomplexobj(x))), x.real.dtype
    work = [np.zeros(shape, dtype=real) for shape in (*[(n, n, lanes)] * 3, (2, n, lanes), (1, 2, lanes))]
    work_im = [np.zeros_like(one) if np.iscomplexobj(x) else None for one in work]
    with np.errstate(all="ignore"):  # of singular matrices, where this is not compiled
        _stack(stack, u, g, good, *work, *work_im, scaling == "byers-xu", np.finfo(real).eps)
    return u.reshape(x.shape), g.reshape(x.shape), good.reshape(batch)


@jit
def _stack(stack, u, g, good, x, y, z, t, f, x_im, y_im, z_im, t_im, f_im, byers_xu, eps):
    n, _, lanes = x.shape
    pivot = np.empty((n, lanes), np.int64)
    defect, skew, size = np.empty(lanes, x.dtype), np.empty(lanes, x.dtype), np.empty(lanes, x.dtype)
    for first in range(0, stack.shape[0], lanes):
        pack(x, x_im, stack, first)
        _iterate(x, x_im, y, y_im, t, t_im, f, f_im, pivot, byers_xu, eps)
        # (POLISH) U <- U + U (I - U^H U)/2: a defect within sqrt(eps) is gone, with another the SVD takes over
        product(y, y_im, x, x_im, x, x_im, True, f, f_im)
        for i in range(n):
            for lane in range(lanes):
                y[i, i, lane] -= 1
        _squares(y, y_im, defect)
        product(z, z_im, x, x_im, y, y_im, False, f, f_im)
        _subtract(x, z, 0.5)
        if x_im is not None:
            _subtract(x_im, z_im, 0.5)
        pack(y, y_im, stack, first)
        _squares(y, y_im, size)
        product(z, z_im, x, x_im, y, y_im, True, f, f_im)
        unpack(u, x, x_im, first)
        unpack(g, z, z_im, first)
        conjugate_transpose(y, y_im, z, z_im)
        _subtract(y, z, 1)
        if x_im is not None:
            _subtract(y_im, z_im, 1)
        _squares(y, y_im, skew)
        for lane in range(min(lanes, stack.shape[0] - first)):
            # |(G - G^H)/2| <= max(n, 8) eps |X|/4, where that of the SVD is: no accuracy is paid for the speed
            good[first + lane] = defect[lane] <= eps and skew[lane] <= (max(n, 8) * eps / 2) ** 2 * size[lane]


@jit
def _iterate(x, x_im, y, y_im, t, t_im, f, f_im, pivot, byers_xu, eps):
    """X <- (zeta X + X^-H/zeta)/2, in every lane until one with zeta = 1 has norm eps^(1/4): the defect is its square.

    (With another zeta a step can be small far from a unitary matrix.)
    """
    lanes = x.shape[2]
    a, b, zeta = np.empty(lanes, x.dtype), np.empty(lanes, x.dtype), np.empty(lanes, x.dtype)
    change, running = np.full(lanes, np.inf, x.dtype), np.ones(lanes, np.bool_)
    for step in range(MAX_STEPS):
        conjugate_transpose(y, y_im, x, x_im)
        invert(y, y_im, t, t_im, pivot, f, f_im)
        if step == 0 or not byers_xu:
            _bound(x, x_im, a)
            _bound(y, y_im, b)
        for lane in range(lanes):
            if change[lane] <= 0.1:
                zeta[lane] = 1
            elif step == 0 or not byers_xu:
                zeta[lane] = np.sqrt(b[lane] / a[lane])
            elif step == 1:
                zeta[lane] = np.sqrt(2 * np.sqrt(a[lane] / b[lane]) / (a[lane] + 1 / b[lane]))
            else:
                zeta[lane] = 1 / np.sqrt((zeta[lane] + 1 / zeta[lane]) / 2)
            change[lane] = 0
        _step(x, y, zeta, running, change)
        if x_im is not None:
            _step(x_im, y_im, zeta, running, change)
        some = False
        for lane in range(lanes):
            change[lane] = np.sqrt(change[lane])
            going = change[lane] > eps**0.25 or zeta[lane] != 1
            running[lane] = running[lane] and going and change[lane] < np.inf  # False at NaN
            some |= running[lane]
        if not some:
            break


@jit
def _step(x, y, zeta, running, change):
    """Of the real or the imaginary parts, where it is still running; change gains the squares of the step."""
    n, _, lanes = x.shape
    for i in range(n):
        for j in range(n):
            for lane in range(lanes):
                old = x[i, j, lane]
                new = (zeta[lane] * old + y[i, j, lane] / zeta[lane]) / 2
                x[i, j, lane] = new if running[lane] else old
                change[lane] += (new - old) ** 2


@jit
def _bound(x, x_im, bound):
    """sqrt(|X|_1 |X|_inf) >= |X|_2."""
    n, _, lanes = x.shape
    total, largest = np.empty(lanes, x.dtype), np.empty((2, lanes), x.dtype)
    largest[:] = 0
    for side in range(2):
        for i in range(n):
            total[:] = 0
            for j in range(n):
                for lane in range(lanes):
                    value = entry(x, x_im, i, j, lane) if side else entry(x, x_im, j, i, lane)
                    total[lane] += np.sqrt(value.real * value.real + value.imag * value.imag)
            for lane in range(lanes):
                largest[side, lane] = max(largest[side, lane], total[lane])
    for lane in range(lanes):
        bound[lane] = np.sqrt(largest[0, lane] * largest[1, lane])


@jit
def _subtract(x, z, factor):
    """X <- X - factor Z."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            for lane in range(x.shape[2]):
                x[i, j, lane] -= factor * z[i, j, lane]


@jit
def _squares(x, x_im, size):
    """Squared Frobenius norms."""
    size[:] = 0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            for lane in range(x.shape[2]):
                value = entry(x, x_im, i, j, lane)
                size[lane] += value.real * value.real + value.imag * value.imag
