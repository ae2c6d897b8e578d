"""The judge's own definitions of constructors: against identities, differences in 120 bits, and 300 bits."""

from __future__ import annotations

import numpy as np
import pytest
from backends import norm

from orthoref import givens_pairs
from orthoref.oracle.constructors import inputs, truth
from orthoref.oracle.fixed import Fixed, ct, rounded
from orthoref.oracle.residual import norm as norms

TINY = 1e-29  # 2^-96: what 120 bits leave after a few operations
SERIES = 1e-23  # what a Taylor polynomial of degree 16 leaves at 1/4, 2e-25, and some squarings
STEP = 2.0**-30  # of differences: 2^-60 = 1e-18 of the third derivative is left
over_dtypes = pytest.mark.parametrize("dtype", ["float64", "complex128"])
over_structures = pytest.mark.parametrize("structure", inputs.SKEW)
over_orders = pytest.mark.parametrize("order", ["columns", "rows", "brickwall", "round_robin", "butterfly"])


def small(x, bound):
    return np.all(norms(rounded(x)) <= bound)


def drawn(shape, dtype, seed):
    random = np.random.default_rng(seed)
    x = random.standard_normal(shape)
    return x + 1j * random.standard_normal(shape) if dtype.startswith("complex") else x


def skewed(shape, dtype, seed):
    x = drawn(shape, dtype, seed)
    return (x - ct(x)) / 2


def inner(x, y):
    return float(np.sum(np.conj(rounded(x)) * rounded(y)).real)


def difference(f, points, dots):
    """Central, of a function of Fixed matrices."""
    ends = [f(*(Fixed.of(x) + Fixed.of(e) * h for x, e in zip(points, dots, strict=True))) for h in (STEP, -STEP)]
    return (ends[0] - ends[1]) * (0.5 / STEP)


def adjoint(jvp, vjp, bar, dots):
    """<J e, y> = <e, J^H y>, to rounding in binary64."""
    pulled = vjp if isinstance(vjp, tuple) else (vjp,)
    left, right = inner(jvp, bar), sum(inner(x, e) for x, e in zip(pulled, dots, strict=True))
    return abs(left - right) <= 1e-13 * norm(bar) * sum(map(norm, dots))


# --- Cayley and exp


@over_dtypes
@over_structures
@pytest.mark.parametrize("c", [1.0, -0.5])
def test_the_cayley_transform_solves_its_equation(dtype, structure, c):
    a, one = Fixed.of(inputs.skew((2, 5, 5), structure=structure, dtype=dtype, seed=1)), np.eye(5)
    d = np.array([[1.0, -1, -1, 1, -1]])
    q = truth.cayley(a, c, d)
    assert small((one + a * c) @ (q * d) - (one - a * c), TINY) and small(ct(q) @ q - one, TINY)


@pytest.mark.parametrize("scale", [1e-8, 64.0, 1e4])
def test_the_cayley_transform_at_other_scales(scale):
    a, one = Fixed.of(inputs.skew((6, 6), scale=scale, seed=2)), np.eye(6)
    q = truth.cayley(a, 1.0, np.ones((1, 6)))
    assert small((one + a) @ q - (one - a), TINY * max(scale, 1))


@over_dtypes
def test_derivatives_of_the_cayley_transform(dtype):
    a, e, bar = (skewed((4, 4), dtype, 1), skewed((4, 4), dtype, 2), drawn((4, 4), dtype, 3))
    d = np.array([[1.0, -1, 1, -1]])
    moved = truth.cayley_jvp(Fixed.of(a), Fixed.of(e), 0.5, d)
    assert small(difference(lambda a: truth.cayley(a, 0.5, d), [a], [e]) - moved, 1e-15)
    assert adjoint(moved, truth.cayley_vjp(Fixed.of(a), Fixed.of(bar), 0.5, d), bar, [e])


@over_dtypes
@over_structures
@pytest.mark.parametrize("scale", [1e-8, 1.0, 64.0])
def test_the_exponential_is_a_group(dtype, structure, scale):
    a = Fixed.of(inputs.skew((2, 5, 5), structure=structure, dtype=dtype, seed=1, scale=scale))
    q = truth.exp(a)
    assert small(truth.exp(-a) @ q - np.eye(5), SERIES * max(scale, 1))
    assert small(truth.exp(a * 0.625) @ truth.exp(a * 0.375) - q, SERIES * max(scale, 1))


@over_dtypes
def test_the_exponential_against_300_bits(dtype):
    flint = pytest.importorskip("flint", reason="python-flint gives the reference")
    a = inputs.skew((4, 4), dtype=dtype, seed=3, scale=4.0)
    with flint.ctx.workprec(300):
        exact = flint.acb_mat([[flint.acb(x.real, x.imag) for x in row] for row in a.astype(complex).tolist()]).exp()
        found = np.array([[complex(exact[i, j].mid()) for j in range(4)] for i in range(4)])
    assert norm(rounded(truth.exp(Fixed.of(a))) - found) <= 1e-15


@over_dtypes
def test_derivatives_of_the_exponential(dtype):
    a, e, bar = (skewed((4, 4), dtype, 1), skewed((4, 4), dtype, 2), drawn((4, 4), dtype, 3))
    moved = truth.exp_jvp(Fixed.of(a), Fixed.of(e))
    assert small(difference(truth.exp, [a], [e]) - moved, 1e-15)
    assert adjoint(moved, truth.exp_vjp(Fixed.of(a), Fixed.of(bar)), bar, [e])


# --- products


def test_sine_and_cosine_in_120_bits():
    x = np.array([[0.0], [1e-9], [0.7], [np.pi], [-3.0], [200.0]])
    turn = truth.cis(Fixed.of(x))
    assert np.all(np.abs(rounded(turn) - np.exp(1j * x)) <= 3e-16)
    ones = truth.real(turn) * truth.real(turn) + truth.imag(turn) * truth.imag(turn)
    half = truth.cis(Fixed.of(x) * 0.5)
    assert small(ones - np.ones((6, 1)), 200 * SERIES) and small(half * half - turn, 200 * SERIES)


@over_orders
@pytest.mark.parametrize("n", [2, 4, 8])
def test_planes_are_those_of_the_public_function(order, n):
    pairs = truth.planes(n, order)
    assert pairs == givens_pairs(n, order=order)
    levels = truth.layers(pairs, n)
    assert sorted(k for level in levels for k in level) == list(range(len(pairs)))
    assert all(len({i for k in level for i in pairs[k]}) == 2 * len(level) for level in levels)


@over_orders
@pytest.mark.parametrize("phase", [False, True])
def test_rotations_are_multiplied_one_after_the_other(order, phase):
    n = 4
    pairs = truth.planes(n, order)
    theta, phi = drawn((len(pairs), 1), "float64", 1), drawn((len(pairs), 1), "float64", 2)
    q = np.eye(n, dtype=complex)
    for k, (i, j) in enumerate(pairs):
        g, u = np.eye(n, dtype=complex), np.exp(1j * phi[k, 0]) if phase else 1
        c, s = np.cos(theta[k, 0]), np.sin(theta[k, 0])
        g[i, i], g[i, j], g[j, i], g[j, j] = c, -np.conj(u) * s, u * s, c
        q = q @ g
    made = truth.givens(truth.Rotations(Fixed.of(theta), Fixed.of(phi) if phase else None, n, pairs))
    assert norm(rounded(made) - q) <= 1e-14 and small(ct(made) @ made - np.eye(n), SERIES)


@over_orders
@pytest.mark.parametrize("phase", [False, True])
def test_derivatives_of_products_of_rotations(order, phase):
    n = 4
    pairs = truth.planes(n, order)
    points = [drawn((len(pairs), 1), "float64", i) for i in range(1 + phase)]
    dots = [drawn((len(pairs), 1), "float64", 2 + i) for i in range(1 + phase)]
    bar = drawn((n, n), "complex128" if phase else "float64", 5)

    def rotations(theta, phi=None):
        return truth.Rotations(theta, phi, n, pairs)

    g = rotations(*map(Fixed.of, points))
    moved = truth.givens_jvp(g, Fixed.of(dots[0]), Fixed.of(dots[1]) if phase else None)
    assert small(difference(lambda *x: truth.givens(rotations(*x)), points, dots) - moved, 1e-15)
    assert adjoint(moved, truth.givens_vjp(g, Fixed.of(bar))[: 1 + phase], bar, dots)


CONVENTIONS = [(tau, forward, columns) for tau in (False, True) for forward in (True, False) for columns in (3, 5)]


@over_dtypes
@pytest.mark.parametrize(("tau", "forward", "columns"), CONVENTIONS)
def test_reflections_are_multiplied_one_after_the_other(dtype, tau, forward, columns):
    v = drawn((5, 3), dtype, 1)
    taus = drawn((3, 1), dtype, 2) if tau else 2 / np.sum(np.abs(v) ** 2, axis=0)[:, None]
    factors = [np.eye(5) - taus[i, 0] * np.outer(v[:, i], np.conj(v[:, i])) for i in range(3)]
    q = np.linalg.multi_dot(factors if forward else factors[::-1])[:, :columns]
    made = truth.householder(truth.Reflections(Fixed.of(v), Fixed.of(taus) if tau else None, forward, columns))
    assert norm(rounded(made) - q) <= 1e-13 * norm(q)
    if not tau:
        assert small(ct(made) @ made - np.eye(columns), TINY)


@over_dtypes
@pytest.mark.parametrize(("tau", "forward", "columns"), CONVENTIONS)
def test_derivatives_of_products_of_reflections(dtype, tau, forward, columns):
    points, dots = ([drawn((5, 3), dtype, i), drawn((3, 1), dtype, i + 1)][: 1 + tau] for i in (1, 3))
    bar = drawn((5, columns), dtype, 7)

    def reflections(v, tau=None):
        return truth.Reflections(v, tau, forward, columns)

    r = reflections(*map(Fixed.of, points))
    moved = truth.householder_jvp(r, Fixed.of(dots[0]), Fixed.of(dots[1]) if tau else None)
    size = 1 + norm(rounded(moved))
    assert small(difference(lambda *x: truth.householder(reflections(*x)), points, dots) - moved, 1e-13 * size)
    pulled = truth.householder_vjp(r, Fixed.of(bar))[: 1 + tau]
    assert adjoint(rounded(moved) / size, tuple(rounded(x) / size for x in pulled), bar, dots)


def test_a_zero_reflector_is_the_identity_and_a_projection_has_derivatives():
    v = np.zeros((4, 2))
    v[:, 1] = [1.0, 2, 0, -1]
    q = truth.householder(truth.Reflections(Fixed.of(v), None, True, 4))
    assert small(q @ v[:, 1:] + v[:, 1:], TINY) and small(q @ q - np.eye(4), TINY)
    singular = np.array([[0.0], [1 / 6]])
    r = truth.Reflections(Fixed.of(v), Fixed.of(singular), True, 4)
    assert np.all(np.isfinite(rounded(truth.householder_vjp(r, Fixed.of(np.eye(4)))[0])))
