"""The formulas of the Stiefel manifold in 400 bits, written down once more: n x n matrices, definitions, no cheap form.

A point on the manifold to 400 bits comes from its rounding by Newton-Schulz steps; directions are floats.
"""

from __future__ import annotations

import numpy as np
from backends import gaussian, isometry
from exact import BITS, adjoint_hp, lift, lower

try:
    import flint
except ModuleNotFoundError:  # points and tangents are drawn without it
    flint = None

DTYPES = ("float32", "float64", "complex64", "complex128")
SHAPES = ((5, 3), (4, 4), (6, 1), (1, 1), (7, 2))
METRICS = ("euclidean", "canonical", 1.5, -0.75)


def beta(metric) -> float:
    return {"euclidean": 1.0, "canonical": 0.5}[metric] if isinstance(metric, str) else 0.5 / (metric + 1)


def point(shape, dtype="float64", seed=0, scale=1.0):
    """Rounded to the dtype; a stack has another matrix in every place."""
    *batch, n, p = shape
    x = np.zeros(shape, dtype)
    for count, index in enumerate(np.ndindex(*batch)):
        x[index] = scale * isometry(n, p, dtype, 100 * seed + count)
    return x


def axis_aligned(shape, dtype="float64", seed=0, scale=1.0):
    """Columns of the identity in another order, with signs (phases)."""
    n, p = shape
    rng = np.random.default_rng(seed)
    phases = np.array([1, 1j, -1, -1j]) if dtype.startswith("complex") else np.array([1.0, -1.0])
    return (scale * np.eye(n)[:, rng.permutation(n)[:p]] * rng.choice(phases, p)).astype(dtype)


def tangent(x, seed=0, scale=1.0):
    """Of random direction, with X^H V as large as the rest, and rounded."""
    y = x.astype(np.result_type(x, np.float64)) / scale
    z = gaussian(x.shape, x.dtype.name, seed).astype(y.dtype)
    m = y.conj().swapaxes(-1, -2) @ z
    return (z - y @ (m + m.conj().swapaxes(-1, -2)) / 2).astype(x.dtype)


def normal_vector(x, seed=0, scale=1.0):
    y = x.astype(np.result_type(x, np.float64)) / scale
    s = gaussian((*x.shape[:-2], x.shape[-1], x.shape[-1]), x.dtype.name, seed)
    return (y @ (s + s.conj().swapaxes(-1, -2)) / 2).astype(x.dtype)


def number(x):
    return flint.acb_mat([[flint.acb(x)]])


def eye(n):
    return flint.acb_mat(n, n, [int(i == j) for i in range(n) for j in range(n)])


def herm(x):
    return (x + adjoint_hp(x)) * flint.acb(0.5)


def skew(x):
    return (x - adjoint_hp(x)) * flint.acb(0.5)


def dot(x, y):
    """Re tr(X^H Y)."""
    return (adjoint_hp(x) * y).trace().real


def project(x, v):
    return v - x * herm(adjoint_hp(x) * v)


def normal(x, v):
    return x * herm(adjoint_hp(x) * v)


def inner(x, v, w, metric):
    b = flint.acb(beta(metric))
    return number(dot(v, (eye(x.nrows()) - x * adjoint_hp(x) * (1 - b)) * w))


def norm(x, v, metric):
    return number(inner(x, v, v, metric)[0, 0].sqrt())


def gradient(x, g, metric):
    b = flint.acb(beta(metric))
    return project(x, g) + x * skew(adjoint_hp(x) * g) * (1 / b - 1)


def hessian(x, g, e, v, metric):
    b = flint.acb(beta(metric))
    xh, vh = adjoint_hp(x), adjoint_hp(v)
    n = (eye(x.nrows()) - x * xh) * g
    return gradient(x, e - v * herm(xh * g) + (x * vh * n - n * xh * v) * (1 - b), metric)


def weingarten(x, v, n):
    return project(x, v * herm(adjoint_hp(x) * n)) * flint.acb(-1)


def landing(x, g, attraction):
    xh = adjoint_hp(x)
    return skew(g * xh) * x + x * (xh * x - eye(x.ncols())) * flint.acb(attraction)


def on_manifold(x):
    """The point next to a rounded one: X <- X (3 I - X^H X)/2, quadratically convergent."""
    x = lift(x)
    for _ in range(8):
        x = (x * (eye(x.ncols()) * 3 - adjoint_hp(x) * x) * flint.acb(0.5)).mid()
    return x


def geodesic(x, v, metric, t):
    """exp(t W1) X exp(t W2), W1 = N X^H - X N^H + 2 beta X A X^H, W2 = (1 - 2 beta) A, in n x n matrices."""
    b, xh = flint.acb(beta(metric)), adjoint_hp(x)
    a = xh * v
    n = v - x * a
    left = n * xh - x * adjoint_hp(n) + x * a * xh * (2 * b)
    return (left * t).exp() * x * (a * ((1 - 2 * b) * t)).exp()


def derivative(f, arguments, directions, scales):
    """Central difference of step 2^-100 of f(arguments / scales) along directions / scales, rounded to float64."""
    with flint.ctx.workprec(BITS):
        t = flint.acb(flint.arb(2) ** -100)
        ends = []
        for sign in (t, -t):
            moved = [
                (lift(a) + lift(d) * sign) * flint.acb(1 / flint.arb(c))
                for a, d, c in zip(arguments, directions, scales, strict=True)
            ]
            ends.append(f(*moved).mid())
        return lower((ends[0] - ends[1]) * (1 / (2 * t)))


def value(f, arguments, scales):
    with flint.ctx.workprec(BITS):
        return lower(f(*(lift(a) * flint.acb(1 / flint.arb(c)) for a, c in zip(arguments, scales, strict=True))))
