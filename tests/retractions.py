"""Generic pairs (point, tangent) and the retractions by their definitions, n x n, in 400 bits."""

from __future__ import annotations

import numpy as np
from backends import ct, gaussian, isometry, norm
from exact import BITS, adjoint_hp, lift, lower, polar_hp

SHAPES = [(6, 3), (5, 5), (5, 4), (4, 1), (1, 1)]
BETA = {"euclidean": 1.0, "canonical": 0.5, 0.7: 1 / 3.4}


def point(shape: tuple[int, int], dtype: str, seed: int = 0, axis: bool = False) -> np.ndarray:
    """Random, or columns of the identity."""
    n, p = shape
    return (np.eye(n)[:, ::-1][:, :p] if axis else isometry(n, p, dtype, seed)).astype(dtype)


def tangent(x: np.ndarray, size: float, seed: int = 1, skew: float = 0.6) -> np.ndarray:
    """Of norm `size`, with |X^H V| = skew |V| where both parts exist: never small. 0 where that is the only tangent."""
    g = gaussian(x.shape, x.dtype.name, seed).astype(np.result_type(x, np.float64))
    y = x.astype(g.dtype)
    a = ct(y) @ g
    inside, outside = y @ ((a - ct(a)) / 2), g - y @ a
    outside = outside - y @ (ct(y) @ outside)
    parts = [(skew, inside), ((1 - skew**2) ** 0.5, outside if x.shape[-2] > x.shape[-1] else 0 * outside)]
    v = sum((weight * part / norm(part) for weight, part in parts if norm(part) > 0), 0 * g)
    return (v * (size / norm(v))).astype(x.dtype) if norm(v) > 0 else 0 * x


def pair(shape: tuple[int, int], dtype: str, size: float, seed: int = 0, axis: bool = False):
    x = point(shape, dtype, seed, axis)
    return x, tangent(x, size, seed + 1000)  # independent of the directions and cotangents of a test


def inner(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.sum(np.conj(x).astype("complex128") * y).real)


def condition(x: np.ndarray, v: np.ndarray) -> float:
    s = np.linalg.svd((x + v).astype("complex128"))[1]
    return float(s[0] / s[-1])


# --- definitions, of matrices of 400-bit balls -------------------------------------------------------------------


def eye_hp(n: int):
    return lift(np.eye(n))


def unitary_factor_hp(b):
    """Q of B = Q R, diag(R) > 0: Gram-Schmidt, twice."""
    import flint

    columns = []
    for j in range(b.ncols()):
        a = flint.acb_mat([[b[i, j]] for i in range(b.nrows())])
        for _ in range(2):
            for q in columns:
                a = a - q * (adjoint_hp(q) * a)
        columns.append((a * (1 / (adjoint_hp(a) * a)[0, 0].sqrt())).mid())
    return flint.acb_mat([[q[i, 0] for q in columns] for i in range(b.nrows())])


def turning_hp(x, v, beta):
    """W = T X^H - X T^H, T = V - (1 - beta) X X^H V, and D."""
    g = adjoint_hp(x) * v
    t = v - x * g * (1 - beta)
    w = t * adjoint_hp(x)
    return w - adjoint_hp(w), (g - adjoint_hp(g)) * ((1 - 2 * beta) / 2)


def cayley_hp(x, v):
    import flint

    w, _ = turning_hp(x, v, 0.5)
    half, eye = w * flint.acb(0.5), eye_hp(x.nrows())
    return (eye - half).solve((eye + half) * x)


def exp_hp(x, v, beta):
    w, d = turning_hp(x, v, beta)
    return w.exp() * x * d.exp()


def truth(name, x, v):
    """Value by definition; name is a method or, for exp, a metric."""
    if name in ("qr", "cholesky_qr"):
        return unitary_factor_hp(x + v)
    if name == "polar":
        return polar_hp(x + v)[0]
    return cayley_hp(x, v) if name == "cayley" else exp_hp(x, v, BETA[name])


def value_hp(name, x: np.ndarray, v: np.ndarray) -> np.ndarray:
    import flint

    with flint.ctx.workprec(BITS):
        return lower(truth(name, lift(x), lift(v)))


def derivative_hp(name, x, v, x_dot, v_dot) -> np.ndarray:
    """Central difference of step 2^-100: its error is 2^-200 of the third derivative."""
    import flint

    with flint.ctx.workprec(BITS):
        t = flint.acb(flint.arb(2) ** -100)
        x, v, x_dot, v_dot = (lift(z) for z in (x, v, x_dot, v_dot))
        plus, minus = (truth(name, x + x_dot * s, v + v_dot * s).mid() for s in (t, -t))
        return lower((plus - minus) * (1 / (2 * t)))
