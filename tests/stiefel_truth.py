"""The formulas of the Stiefel manifold in 400 bits, written down once more: n x n matrices, definitions, no cheap form.

A point on the manifold to 400 bits comes from its rounding by Newton-Schulz steps; directions are floats.
"""

from __future__ import annotations

import numpy as np
from backends import gaussian, isometry
from exact import BITS, adjoint_hp, lift, lower, polar_hp

try:
    import flint
except ModuleNotFoundError:  # points and tangents are drawn without it
    flint = None

DTYPES = ("float32", "float64", "complex64", "complex128")
SHAPES = ((5, 3), (4, 4), (6, 1), (1, 1), (7, 2))
METRICS = ("euclidean", "canonical", 1.5, -0.75)


def dtypes_of(backend):
    """Two for the tests of a namespace; JAX compiles everything for each."""
    return ["complex64"] if backend.name == "jax" else sorted({"float32", "complex128"} & set(backend.dtypes))


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


def qf(b):
    """Q of B = Q R with diag(R) > 0, by Gram-Schmidt, twice."""
    rows, p = b.nrows(), b.ncols()
    columns = [flint.acb_mat([[b[i, j]] for i in range(rows)]) for j in range(p)]
    for j in range(p):
        q = columns[j]
        for _ in range(2):
            for k in range(j):
                q = q - columns[k] * (adjoint_hp(columns[k]) * q)[0, 0]
        columns[j] = (q * (1 / dot(q, q).sqrt())).mid()
    return flint.acb_mat([[columns[j][i, 0] for j in range(p)] for i in range(rows)])


def polar_factor(b):
    return polar_hp(b)[0]


def cayley(x, v):
    """(I - W/2)^-1 (I + W/2) X in n x n matrices."""
    return rotation(x, v) * x


def rotation(x, v):
    i = eye(x.nrows())
    w = 2 * skew((i - x * adjoint_hp(x) * flint.acb(0.5)) * v * adjoint_hp(x)) * flint.acb(0.5)
    return (i - w).inv() * (i + w)


def cayley_cheap(x, v):
    """The formula with p x p matrices, as stated."""
    a = adjoint_hp(x) * v
    z = v - x * a
    m = eye(x.ncols()) - a * flint.acb(0.5) + adjoint_hp(z) * z * flint.acb(0.25)
    return (x * 2 + z) * m.inv() - x


def isometric_cheap(x, v, w):
    half = flint.acb(0.5)
    a, c = adjoint_hp(x) * v, adjoint_hp(x) * w
    z = v - x * a
    m = eye(x.ncols()) - a * half + adjoint_hp(z) * z * flint.acb(0.25)
    k = m.inv() * (c - adjoint_hp(z) * w * half)
    return x * 2 * (k - c) + z * k + w


def _real(x):
    return [part for z in x.entries() for part in (z.real, z.imag)]


def _exponential(op, w):
    """e^op of W, op real-linear, through the matrix of op over the real numbers."""
    rows, columns = w.nrows(), w.ncols()
    size = rows * columns
    images = []
    for k in range(2 * size):
        unit = [flint.acb(0)] * size
        unit[k // 2] = flint.acb(0, 1) if k % 2 else flint.acb(1)
        images.append(_real(op(flint.acb_mat(rows, columns, unit))))
    matrix = flint.arb_mat([[images[k][i] for k in range(2 * size)] for i in range(2 * size)])
    out = matrix.exp() * flint.arb_mat([[z] for z in _real(w)])
    return flint.acb_mat(rows, columns, [flint.acb(out[2 * k, 0], out[2 * k + 1, 0]) for k in range(size)])


def parallel(x, v, w, metric):
    """e^E e^-L W with the generators of the derivation page, in n x n matrices."""
    b, xh = flint.acb(beta(metric)), adjoint_hp(x)
    a = xh * v
    n = v - x * a
    left = n * xh - x * adjoint_hp(n) + x * a * xh * (2 * b)

    def back(u):
        c = xh * u
        d = u - x * c
        inside = skew(adjoint_hp(n) * d) - (a * c - c * a) * (2 * b - flint.acb(0.5))
        return x * inside - (n * c - d * a) * b

    return _exponential(lambda u: left * u + u * a * (1 - 2 * b), _exponential(back, w))


def christoffel(x, v, w, metric):
    """X herm(V^H W) - (1 - beta) ((I - X X^H) V X^H W + (I - X X^H) W X^H V)."""
    b, xh = flint.acb(beta(metric)), adjoint_hp(x)
    outside = eye(x.nrows()) - x * xh
    return x * herm(adjoint_hp(v) * w) - (outside * v * xh * w + outside * w * xh * v) * (1 - b)


def mixed(f, arguments, directions, along):
    """d^2/ds dt of f(X + s X_dot, V + s V_dot + t (W + s W_dot)), central differences of step 2^-80."""
    with flint.ctx.workprec(BITS):
        (x, v, w), (x_dot, v_dot, w_dot) = map(lift, arguments), map(lift, directions)
        t = flint.acb(flint.arb(2) ** -80)

        def at(i, j):
            return f(x + x_dot * (i * t), v + v_dot * (i * t) + (w + w_dot * (i * t)) * (j * t)).mid()

        if not along:
            return lower((at(0, 1) - at(0, -1)) * (1 / (2 * t)))
        return lower((at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) * (1 / (4 * t * t)))
