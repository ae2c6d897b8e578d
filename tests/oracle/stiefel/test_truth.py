"""The judge's own definitions: against identities that say what they are, and against 300 bits."""

from __future__ import annotations

import numpy as np
import pytest
from backends import norm

from orthoref.oracle import cases
from orthoref.oracle.fixed import Fixed, ct, rounded
from orthoref.oracle.stiefel import truth

pytestmark = pytest.mark.sample(4)

SHAPES = [(1, 1), (4, 4), (6, 3), (7, 1), (2, 5, 2)]
over_shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
over_dtypes = pytest.mark.parametrize("dtype", ["float64", "complex128"])
over_lengths = pytest.mark.parametrize("kind", ["generic", "10", "1e-8"])
TINY = 1e-29  # 2^-96: what 120 bits leave after a few operations
DEFECT = 4e-15  # of points and tangents that are rounded to binary64


def drawn(shape, dtype, kind="generic", seed=0):
    x = cases.matrix(shape, structure="orthonormal", dtype=dtype, seed=seed)
    return x, *(cases.cotangent(x, kind=kind, like="tangent", dtype=dtype, seed=seed + i) for i in (1, 2))


def small(x, bound):
    return np.all(norm(rounded(x)) <= bound)


@over_shapes
@over_dtypes
@over_lengths
def test_the_qr_retraction_is_the_q_of_x_plus_v(shape, dtype, kind):
    x, v, _ = drawn(shape, dtype, kind)
    a = Fixed.of(x) + v
    y, r, _ = truth.qr_factors(a)
    assert small(a - y @ r, TINY * 20)
    assert small(ct(y) @ y - np.eye(shape[-1]), TINY)
    triangle = rounded(r)
    assert np.array_equal(triangle, np.triu(triangle))
    diagonal = np.diagonal(triangle, axis1=-2, axis2=-1)
    assert np.all(diagonal.real > 0.99) and np.all(np.abs(diagonal.imag) < TINY)  # R^H R = I + V^H V


@over_shapes
@over_dtypes
@over_lengths
def test_the_polar_retraction_is_the_nearest_isometry(shape, dtype, kind):
    x, v, _ = drawn(shape, dtype, kind)
    a = Fixed.of(x) + v
    y = truth.polar_factors(a)[0]
    h = ct(y) @ a
    assert small(ct(y) @ y - np.eye(shape[-1]), TINY) and small(h - ct(h), TINY * 20)
    assert np.all(np.linalg.eigvalsh(rounded(h)) > 0.99)
    assert small(a - y @ h, TINY * 20)


@over_shapes
@over_dtypes
@over_lengths
def test_the_cayley_retraction_is_the_n_by_n_definition(shape, dtype, kind):
    """(I - W/2) Y = (I + W/2) X with W = P V X^H - X V^H P; both forms differ by the defects of X and V."""
    x, v, _ = drawn(shape, dtype, kind)
    y = rounded(truth.cayley(Fixed.of(x), Fixed.of(v)))
    p = np.eye(shape[-2]) - x @ ct(x) / 2
    w = p @ v @ ct(x) - x @ ct(v) @ p
    assert small(y - w @ y / 2 - x - w @ x / 2, DEFECT * (1 + norm(v)))


@over_shapes
@over_dtypes
@over_lengths
@pytest.mark.parametrize("c", [1.0, 0.5, 0.8])
def test_the_exponential_map_is_on_the_manifold_and_additive(shape, dtype, kind, c):
    """Exp(X, V) is Exp(X, V/2) and then as far again with the velocity there, by a difference of 2^-24."""
    x, v, _ = drawn(shape, dtype, kind)
    y = truth.exp(Fixed.of(x), Fixed.of(v), c)
    assert small(ct(y) @ y - np.eye(shape[-1]), DEFECT * (1 + norm(v)))
    if kind == "generic":
        half, h = Fixed.of(x), 2.0**-24
        middle = rounded(truth.exp(half, Fixed.of(v) * 0.5, c))
        ahead, behind = (truth.exp(half, Fixed.of(v) * (0.5 + t), c) for t in (h, -h))
        velocity = truth.project(middle, rounded((ahead - behind) * (0.5 / h)))
        assert small(truth.exp(middle, velocity * 0.5, c) - rounded(y), 1e-14)


@pytest.mark.parametrize("c", [1.0, 0.5, 0.8])
@over_dtypes
def test_the_exponential_map_against_300_bits(dtype, c):
    flint = pytest.importorskip("flint", reason="python-flint gives the reference")
    x, v, _ = drawn((5, 2), dtype, "10")
    y = rounded(truth.exp(Fixed.of(x), Fixed.of(v), c))
    one = flint.acb_mat if dtype == "complex128" else flint.arb_mat
    with flint.ctx.workprec(300):
        bx, bv, bh = (one(z.tolist()) for z in (x, v, ct(x)))
        product = bh * bv
        adjoint = one([[product[j, i].conjugate() if dtype == "complex128" else product[j, i] for j in range(2)]
                       for i in range(2)])  # fmt: skip
        a, z = (product - adjoint) / 2, bv - bx * product
        zh = one([[z[j, i].conjugate() if dtype == "complex128" else z[j, i] for j in range(5)] for i in range(2)])
        s, top = zh * z, a * flint.arb(2 * c)
        rows = [[*(top[i, j] for j in range(2)), *(-s[i, j] for j in range(2))] for i in range(2)]
        rows += [[1.0 * (i == j) for j in range(2)] + [0.0, 0.0] for i in range(2)]
        first = one(rows).exp()
        block = one([[first[i, j] for j in range(2)] for i in range(4)])
        both = one([[*(bx[i, j] for j in range(2)), *(z[i, j] for j in range(2))] for i in range(5)])
        exact = both * block * (a * flint.arb(1 - 2 * c)).exp()
        found = np.array([[complex(exact[i, j].mid()) if dtype == "complex128" else float(exact[i, j].mid())
                           for j in range(2)] for i in range(5)])  # fmt: skip
    assert norm(y - found) <= 1e-15


@over_shapes
@over_dtypes
@pytest.mark.parametrize("name", ["qr", "polar", "cayley"])
def test_transports_are_derivatives(shape, dtype, name):
    """By differences of 2^-30 in 120 bits: 2^-60 of the third derivative is left."""
    x, v, w = (Fixed.of(z) for z in drawn(shape, dtype))
    h, map_ = 2.0**-30, getattr(truth, name)
    difference = (map_(x, v + w * h) - map_(x, v - w * h)) * (0.5 / h)
    assert small(getattr(truth, f"transport_{name}")(x, v, w) - difference, 1e-16)


@over_shapes
@over_dtypes
def test_the_isometric_transport_turns_as_the_retraction_does(shape, dtype):
    x, v, w = drawn(shape, dtype)
    assert small(truth.transport_isometric(x, v, x) - truth.cayley(x, v), DEFECT)
    u = rounded(truth.transport_isometric(*map(Fixed.of, (x, v, w))))
    y = truth.cayley(x, v)
    assert small(truth.herm(ct(y) @ u), DEFECT)
    np.testing.assert_allclose(norm(u), norm(w), rtol=1e-14, atol=0)


def energy(shape):
    """f(X) = Re tr(X^H B X C)/2 with its gradient and second derivative."""
    random, n, p = np.random.RandomState(3), shape[-2], shape[-1]
    b, c = random.standard_normal((n, n)), random.standard_normal((p, p))
    b, c = b + b.T, c @ c.T

    def f(x):
        return np.sum((np.conj(x) * (b @ x @ c)).real, axis=(-2, -1)) / 2

    return f, lambda x: b @ x @ c


def metric_product(x, v, w, c):
    inside = np.sum((np.conj(ct(x) @ v) * (ct(x) @ w)).real, axis=(-2, -1))
    return np.sum((np.conj(v) * w).real, axis=(-2, -1)) + (c - 1) * inside


@over_shapes
@over_dtypes
@pytest.mark.parametrize("c", [1.0, 0.5, 0.8])
def test_gradient_and_hessian_are_what_their_names_say(shape, dtype, c):
    """<grad, V>_g = Re <G, V>; <Hess V, W>_g symmetric; <Hess V, V>_g = d^2 f/dt^2 along the geodesic."""
    f, g = energy(shape)
    x, v, w = drawn(shape, dtype)
    grad = truth.gradient(x, g(x), c)
    hess_v, hess_w = (truth.hessian(x, g(x), g(each), each, c) for each in (v, w))
    for tangent in (grad, hess_v):
        assert small(truth.herm(ct(x) @ tangent), 1e-13)
    size = norm(g(x)) + norm(g(v))
    paired = np.sum((np.conj(g(x)) * v).real, axis=(-2, -1))
    assert np.all(np.abs(metric_product(x, grad, v, c) - paired) <= 1e-14 * size)
    skewness = metric_product(x, hess_v, w, c) - metric_product(x, v, hess_w, c)
    assert np.all(np.abs(skewness) <= 1e-14 * size)
    h = 2.0**-10
    second = (f(truth.exp(x, h * v, c)) + f(truth.exp(x, -h * v, c)) - 2 * f(x)) / h**2
    assert np.all(np.abs(metric_product(x, hess_v, v, c) - second) <= 1e-5 * size)  # h^2/12 of the fourth derivative


@over_shapes
@over_dtypes
@pytest.mark.parametrize("c", [1.0, 0.5, 0.8])
def test_the_acceleration_is_that_of_the_geodesic(shape, dtype, c):
    x, v, _ = (Fixed.of(z) for z in drawn(shape, dtype))
    h = 2.0**-20
    second = (truth.exp(x, v * h, c) + truth.exp(x, v * -h, c) - x * 2.0) * (1 / h**2)
    assert small(second - truth.acceleration(x, v, c), 1e-11)


@over_shapes
@over_dtypes
def test_the_projection_is_idempotent_and_self_adjoint(shape, dtype):
    random = np.random.RandomState(5)
    x = cases.matrix(shape, structure="orthonormal", dtype=dtype, seed=1)
    v, w = (cases.cotangent(x, dtype=dtype, seed=random.randint(1000)) for _ in range(2))
    first = truth.project(x, v)
    assert small(truth.project(x, first) - first, DEFECT)
    pairs = [np.sum((np.conj(a) * b).real, axis=(-2, -1)) for a, b in ((first, w), (v, truth.project(x, w)))]
    assert np.all(np.abs(pairs[0] - pairs[1]) <= DEFECT)
