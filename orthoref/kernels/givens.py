"""Twins of the sequences of Givens rotations and of the sweep that undoes them: (GIVENS-PRODUCT).

Rotations act on rows. Columns are taken in blocks that stay in the cache, one block through all rotations; real and
imaginary parts of a row lie apart there, which is what the compiler turns into vector instructions.
"""

from __future__ import annotations

from math import prod

import numpy as np

from orthoref.kernels.jit import jit

FORWARD, BACK = 128, 64  # columns of a block; backward it holds Z and its cotangent, zeros beyond the matrix


def apply(x: np.ndarray, pairs: np.ndarray, c: np.ndarray, s: np.ndarray, adjoint: bool) -> np.ndarray:
    """G_1 ... G_N X or G_N^H ... G_1^H X for rotations [[c, -s^*], [s, c]], c and s of shape (..., N)."""
    y = np.array(x, order="C")
    run = _apply_complex if np.iscomplexobj(x) else _apply
    run(_stacked(y, 2), np.ascontiguousarray(pairs.T), _stacked(c, 1), _stacked(s, 1), adjoint)
    return y


def unwind(
    z: np.ndarray, z_bar: np.ndarray, pairs: np.ndarray, c: np.ndarray, s: np.ndarray, u: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Cotangents of angles and phases for Z = G_1 ... G_N X, and G_N^H ... G_1^H Z_bar.

    S is the sine, U = e^{i phase}.
    """
    start = np.array(z_bar, order="C")
    by_theta, by_phase = np.zeros((2, *c.shape), dtype=c.dtype)
    arguments = [_stacked(z, 2), _stacked(start, 2), np.ascontiguousarray(pairs.T), _stacked(c, 1), _stacked(s, 1)]
    if np.iscomplexobj(z):
        arguments.append(np.ones(arguments[3].shape, dtype=z.dtype) if u is None else _stacked(u, 1))
        _unwind_complex(*arguments, _stacked(by_theta, 1), _stacked(by_phase, 1))
    else:
        _unwind(*arguments, _stacked(by_theta, 1))
    return by_theta, None if u is None else by_phase, start


def _stacked(x: np.ndarray, axes: int) -> np.ndarray:
    """One batch axis; a view of contiguous arrays."""
    batch = x.ndim - axes
    return np.ascontiguousarray(x).reshape(prod(x.shape[:batch]), *x.shape[batch:])


@jit
def _apply(x, pairs, c, s, adjoint):
    """In place."""
    batch, n, columns = x.shape
    count = pairs.shape[1]
    w = np.empty((n, min(columns, FORWARD)), x.dtype)
    for one in range(batch):
        for start in range(0, columns, FORWARD):
            width = min(columns - start, FORWARD)
            for i in range(n):
                for col in range(width):
                    w[i, col] = x[one, i, start + col]
            for step in range(count):
                k = step if adjoint else count - 1 - step
                _turn(w, pairs[0, k], pairs[1, k], c[one, k], -s[one, k] if adjoint else s[one, k], width)
            for i in range(n):
                for col in range(width):
                    x[one, i, start + col] = w[i, col]


@jit
def _apply_complex(x, pairs, c, s, adjoint):
    """In place."""
    batch, n, columns = x.shape
    count = pairs.shape[1]
    w = np.empty((n, 2 * min(columns, FORWARD)), c.dtype)
    for one in range(batch):
        for start in range(0, columns, FORWARD):
            width = min(columns - start, FORWARD)
            for i in range(n):
                for col in range(width):
                    w[i, col], w[i, width + col] = x[one, i, start + col].real, x[one, i, start + col].imag
            for step in range(count):
                k = step if adjoint else count - 1 - step
                _turn_complex(w, pairs[0, k], pairs[1, k], c[one, k], -s[one, k] if adjoint else s[one, k], 0, width)
            for i in range(n):
                for col in range(width):
                    x[one, i, start + col] = complex(w[i, col], w[i, width + col])


@jit
def _unwind(z, z_bar, pairs, c, s, by_theta):
    """(GIVENS-PRODUCT-BAR), real: theta_bar = <Z_bar_j, Z_i> - <Z_bar_i, Z_j>, then both are turned back."""
    batch, n, columns = z.shape
    w, t = np.zeros((n, 2 * BACK), z.dtype), np.empty(BACK, z.dtype)
    for one in range(batch):
        for start in range(0, columns, BACK):
            width = min(columns - start, BACK)
            for i in range(n):
                for col in range(BACK):
                    w[i, col] = z[one, i, start + col] if col < width else 0
                    w[i, BACK + col] = z_bar[one, i, start + col] if col < width else 0
            for k in range(pairs.shape[1]):
                i, j, ck, sk = pairs[0, k], pairs[1, k], c[one, k], s[one, k]
                for col in range(BACK):  # both in one loop: it is memory that takes the time
                    a, b, a_bar, b_bar = w[i, col], w[j, col], w[i, BACK + col], w[j, BACK + col]
                    t[col] = b_bar * a - a_bar * b
                    w[i, col] = ck * a + sk * b
                    w[j, col] = ck * b - sk * a
                    w[i, BACK + col] = ck * a_bar + sk * b_bar
                    w[j, BACK + col] = ck * b_bar - sk * a_bar
                by_theta[one, k] += _sum(t, 0)
            for i in range(n):
                for col in range(width):
                    z_bar[one, i, start + col] = w[i, BACK + col]


@jit
def _unwind_complex(z, z_bar, pairs, c, s, u, by_theta, by_phase):
    """(GIVENS-PRODUCT-BAR) with R = <Z_bar_j, Z_i>, L = <Z_bar_i, Z_j>, P = <Z_bar_i, Z_i> - <Z_bar_j, Z_j>.

    theta_bar = Re(u R - u^* L), phase_bar = s (s Im P - c Im(u R + u^* L)).
    """
    batch, n, columns = z.shape
    w, t = np.zeros((n, 4 * BACK), c.dtype), np.empty(3 * BACK, c.dtype)
    for one in range(batch):
        for start in range(0, columns, BACK):
            width = min(columns - start, BACK)
            for i in range(n):
                for col in range(width):
                    w[i, col], w[i, BACK + col] = z[one, i, start + col].real, z[one, i, start + col].imag
                    w[i, 2 * BACK + col] = z_bar[one, i, start + col].real
                    w[i, 3 * BACK + col] = z_bar[one, i, start + col].imag
                for part in range(4):
                    for col in range(width, BACK):
                        w[i, part * BACK + col] = 0
            for k in range(pairs.shape[1]):
                i, j, ck, sk, uk = pairs[0, k], pairs[1, k], c[one, k], s[one, k], u[one, k]
                for col in range(BACK):
                    a, a_im, b, b_im = w[i, col], w[i, BACK + col], w[j, col], w[j, BACK + col]
                    p, p_im, q, q_im = (
                        w[i, 2 * BACK + col], w[i, 3 * BACK + col], w[j, 2 * BACK + col], w[j, 3 * BACK + col]
                    )  # fmt: skip
                    t[col] = (q * a + q_im * a_im) - (p * b + p_im * b_im)  # Re(R - L)
                    t[BACK + col] = (q * a_im - q_im * a) + (p * b_im - p_im * b)  # Im(R + L)
                    t[2 * BACK + col] = (p * a_im - p_im * a) - (q * b_im - q_im * b)  # Im P
                _turn_complex(w, i, j, ck, -sk * uk, 0, BACK)
                _turn_complex(w, i, j, ck, -sk * uk, 2 * BACK, BACK)
                re, im, along = _sum(t, 0), _sum(t, BACK), _sum(t, 2 * BACK)
                by_theta[one, k] += uk.real * re - uk.imag * im
                by_phase[one, k] += sk * (sk * along - ck * (uk.real * im + uk.imag * re))
            for i in range(n):
                for col in range(width):
                    z_bar[one, i, start + col] = complex(w[i, 2 * BACK + col], w[i, 3 * BACK + col])


@jit
def _turn(w, i, j, c, s, width):
    for col in range(width):
        a, b = w[i, col], w[j, col]
        w[i, col] = c * a - s * b
        w[j, col] = c * b + s * a


@jit
def _turn_complex(w, i, j, c, s, at, width):
    """The same for complex s, of columns ``at`` (real parts) and ``at + width`` (imaginary parts)."""
    re, im = s.real, s.imag
    for col in range(at, at + width):
        a, a_im, b, b_im = w[i, col], w[i, width + col], w[j, col], w[j, width + col]
        w[i, col] = c * a - (re * b + im * b_im)
        w[i, width + col] = c * a_im - (re * b_im - im * b)
        w[j, col] = c * b + (re * a - im * a_im)
        w[j, width + col] = c * b_im + (re * a_im + im * a)


@jit
def _sum(t, at):
    """Four sums at a time: one after the other would wait for every addition."""
    a = b = c = d = t[0] * 0
    for col in range(at, at + BACK, 4):
        a, b, c, d = a + t[col], b + t[col + 1], c + t[col + 2], d + t[col + 3]
    return (a + b) + (c + d)
