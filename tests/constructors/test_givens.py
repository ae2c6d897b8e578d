"""Givens rotations: LAPACK's and the BLAS's signs, orders, exact arithmetic, what is reached, angles and volume."""

from math import pi

import numpy as np
import pytest
from backends import ct, gaussian, norm
from constructor_rows import skew, unitary
from exact import equal, mul, rational
from volume import log_volume

from orthoref import (
    OutsideDomain,
    givens_apply,
    givens_factor,
    givens_factor_jvp,
    givens_factor_vjp,
    givens_log_jacobian,
    givens_matrix,
    givens_pairs,
    givens_product,
    givens_product_jvp,
    givens_product_vjp,
    givens_rotation,
    givens_rotation_jvp,
)

EPS = float(np.finfo("float64").eps)
FIELDS = ("float64", "complex128")
ORDERS = ("columns", "rows", "brickwall", "round_robin", "butterfly")

# --- one rotation -----------------------------------------------------------------------------------------------------

NUMBERS = [0.0, 1.0, -1.0, 3.0, -4.0, 1e-3, 5e-324, -2e-308, 1e300, -1e308]


def grid(dtype):
    values = np.asarray(NUMBERS)
    if dtype == "complex128":
        values = np.concatenate([values, 1j * values, (1 - 2j) * values[1:-1]])
    return (x.ravel() for x in np.meshgrid(values, values))


@pytest.mark.parametrize("dtype", FIELDS)
def test_lapack(dtype):
    """SciPy's lartg, whose s is our conjugate; the sign of c of a real one is that of the release."""
    linalg = pytest.importorskip("scipy.linalg")
    lartg = getattr(linalg.lapack, {"float64": "dlartg", "complex128": "zlartg"}[dtype])
    for a, b in zip(gaussian((40,), dtype, 1), gaussian((40,), dtype, 2), strict=True):
        theirs = lartg(a, b)
        c, s, r = givens_rotation(np.asarray(a), np.asarray(b))
        sign = 1 if dtype == "complex128" else np.sign(theirs[0])  # before 3.10: c of any sign
        assert abs(c - sign * theirs[0]) <= 10 * EPS and abs(s.conj() - sign * theirs[1]) <= 10 * EPS
        assert abs(r - sign * theirs[2]) <= 10 * EPS * abs(r) and c >= 0


def test_blas():
    blas = pytest.importorskip("scipy.linalg").blas
    for a, b in zip(gaussian((40,), "float64", 3), gaussian((40,), "float64", 4), strict=True):
        c, s = blas.drotg(a, b)
        ours = givens_rotation(np.asarray(a), np.asarray(b), convention="rotg")
        assert abs(ours.c - c) <= 10 * EPS and abs(ours.s - s) <= 10 * EPS
        assert np.sign(ours.r) == np.sign(a if abs(a) > abs(b) else b)
    for a, b in zip(gaussian((40,), "complex128", 5), gaussian((40,), "complex128", 6), strict=True):
        c, s = blas.zrotg(a, b)
        ours = givens_rotation(np.asarray(a), np.asarray(b), convention="rotg")
        assert abs(ours.c - c) <= 10 * EPS and abs(ours.s.conj() - s) <= 10 * EPS


@pytest.mark.parametrize("convention", ["lartg", "rotg", "positive"])
@pytest.mark.parametrize("dtype", FIELDS)
def test_the_whole_range(convention, dtype):
    """From subnormal numbers to near overflow: a rotation to rounding, and G [r, 0] = [a, b] entry by entry."""
    a, b = grid(dtype)
    if convention == "positive" and dtype == "complex128":
        with pytest.raises(ValueError, match="real numbers"):
            givens_rotation(a, b, convention=convention)
        return
    c, s, r = givens_rotation(a, b, convention=convention)
    assert np.isfinite(r).all() and c.dtype == np.float64
    assert (abs(c**2 + abs(s) ** 2 - 1) <= 10 * EPS).all()
    tiny = 5e-324 * 4 * (1 + abs(r))  # c, s, r and the products on the grid of subnormal numbers
    assert (abs(c * r - a) <= 10 * EPS * abs(a) + tiny).all() and (abs(s * r - b) <= 10 * EPS * abs(b) + tiny).all()
    zero = (a == 0) & (b == 0)
    assert (c[zero] == 1).all() and (s[zero] == 0).all() and (r[zero] == 0).all()
    if convention == "lartg" or dtype == "complex128":
        assert (c >= 0).all() and (c[(a == 0) & (b != 0)] == 0).all()
        assert (r[(a == 0) & (b != 0)].real > 0).all() or dtype == "float64"
    if convention == "positive":
        assert (r >= 0).all()


def test_no_derivative_of_a_rotation():
    one, zero = np.ones(2), np.asarray([1.0, 0.0])
    for a, b, convention in (
        (zero, zero, "positive"),
        (zero, one, "lartg"),
        (-one, one, "rotg"),
        (zero + 0j, one + 0j, "rotg"),
    ):
        with pytest.raises(OutsideDomain, match="rotation is not differentiable at"):
            givens_rotation_jvp(a, b, a, b, convention=convention)
    turn = givens_rotation_jvp(zero, one, one, zero, convention="positive")  # the positive length is smooth there
    np.testing.assert_allclose(turn.c[1], 1.0, rtol=1e-15, atol=0)


# --- orders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("order", ORDERS)
def test_orders(order, n):
    """Each of the first four has n (n - 1)/2 rotations; round robin and the sweeps every pair once; odd n too."""
    if order == "butterfly" and n not in (1, 2, 4, 8):
        with pytest.raises(ValueError, match="power of two"):
            givens_pairs(n, order=order)
        return
    pairs = givens_pairs(n, order=order)
    assert all(0 <= i < j < n for i, j in pairs)
    assert len(pairs) == (n // 2 * (n.bit_length() - 1) if order == "butterfly" else n * (n - 1) // 2)
    if order in ("columns", "rows", "round_robin"):
        assert len(set(pairs)) == len(pairs)
    if order == "round_robin" and n > 1:
        per_round = n // 2
        for k in range(0, len(pairs), per_round):
            assert len({i for pair in pairs[k : k + per_round] for i in pair}) == 2 * per_round
    if order == "brickwall":
        assert all(j == i + 1 for i, j in pairs)


@pytest.mark.parametrize("phases", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_levels_are_the_product_to_the_last_bit(order, phases):
    """One rotation after the other, two rows at a time: the same operations on every row."""
    n = 8
    pairs = givens_pairs(n, order=order)
    theta, phase = gaussian((len(pairs),), "float64", 7), gaussian((len(pairs),), "float64", 8) if phases else None
    x = np.eye(n) if not phases else np.eye(n) + 0j
    for k, (i, j) in reversed(list(enumerate(pairs))):
        c, s = np.cos(theta[k]), np.sin(theta[k])
        u = 1.0 if phase is None else np.cos(phase[k]) + 1j * np.sin(phase[k])
        u_star = 1.0 if phase is None else np.cos(-phase[k]) + 1j * np.sin(-phase[k])
        x[[i, j]] = c * x[i] + (-s * u_star) * x[j], c * x[j] + (s * u) * x[i]
    np.testing.assert_array_equal(givens_product(theta, n, phase, order=order), x)


def test_quarter_turns():
    """Quarter turns make signed permutations: the product in rational arithmetic, ours but for the rounding of pi/2."""
    rng = np.random.default_rng(9)
    pairs = givens_pairs(5)
    quarter = rng.integers(-1, 3, len(pairs))
    truth = rational(np.eye(5))
    for (i, j), k in zip(pairs, quarter.tolist(), strict=True):
        g = np.eye(5)
        c, s = [(1, 0), (0, 1), (-1, 0), (0, -1)][k % 4]
        g[i, i] = g[j, j] = c
        g[i, j], g[j, i] = -s, s
        truth = mul(truth, rational(g))
    q = givens_product(quarter * pi / 2, 5)
    assert equal(rational(np.round(q)), truth) and norm(q - np.round(q)) <= 10 * 10 * EPS


def test_formulas_in_use():
    """EUNN's code block [[cos, sin], [-e^{iz} sin, e^{iz} cos]] is a rotation by -theta between phases of one row."""
    t, z = 0.3, 1.1
    block = np.asarray([[np.cos(t), np.sin(t)], [-np.exp(1j * z) * np.sin(t), np.exp(1j * z) * np.cos(t)]])
    g = givens_matrix(np.asarray(-t), 2, np.asarray(0.0), i=0, j=1)
    assert norm(np.diag([1, np.exp(1j * z)]) @ g - block) <= 10 * EPS
    paper = np.asarray([[np.exp(1j * z) * np.cos(t), -np.exp(1j * z) * np.sin(t)], [np.sin(t), np.cos(t)]])
    g = givens_matrix(np.asarray(t), 2, np.asarray(0.0), i=0, j=1)
    assert norm(np.diag([np.exp(1j * z), 1]) @ g - paper) <= 10 * EPS
    transposed = np.asarray([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])
    assert norm(givens_matrix(np.asarray(-t), 2, i=0, j=1) - transposed) <= 10 * EPS


def test_sides():
    theta, phase = gaussian((6,), "float64", 10), gaussian((6,), "float64", 11)
    x = gaussian((4, 3), "complex128", 12)
    q = givens_product(theta, 4, phase, order="round_robin")
    kind = {"order": "round_robin"}
    limit = 10 * 6 * EPS * norm(x) * 2
    assert norm(givens_apply(theta, x, phase, **kind) - q @ x) <= limit
    assert norm(givens_apply(theta, x, phase, adjoint=True, **kind) - ct(q) @ x) <= limit
    assert norm(givens_apply(theta, ct(x), phase, side="right", **kind) - ct(x) @ q) <= limit
    assert norm(givens_apply(theta, ct(x), phase, side="right", adjoint=True, **kind) - ct(x) @ ct(q)) <= limit
    assert givens_apply(theta.astype("float32"), x.astype("complex64"), **kind).dtype == np.complex64


# --- what is reached --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["columns", "rows", "brickwall", "round_robin"])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_products_have_determinant_one(order, n):
    """SO(n) and not O(n): a reflection is missed by every choice of angles, one sign brings it back."""
    count = n * (n - 1) // 2
    for seed in range(20):
        theta, phase = 4 * gaussian((2, count), "float64", seed)
        assert abs(np.linalg.det(givens_product(theta, n, order=order)) - 1) <= 100 * n * EPS
        assert abs(np.linalg.det(givens_product(theta, n, phase, order=order)) - 1) <= 100 * n * EPS
    reflection = np.diag([1.0] * (n - 1) + [-1.0])
    assert norm(givens_product(np.zeros(count), n, order=order) - reflection) >= 2
    f = givens_factor(reflection)
    assert not f.theta.any() and (f.diagonal == np.diagonal(reflection)).all()


def degenerate(dtype):
    yield from (np.eye(n, dtype=dtype) * s for n in (1, 2, 4) for s in (1, -1))
    yield from (np.eye(4, dtype=dtype)[p] for p in ([1, 2, 3, 0], [3, 2, 1, 0], [0, 2, 1, 3]))
    yield np.asarray([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], dtype) / 2
    yield from (unitary((), n, n, dtype, n) for n in (2, 3, 6))
    if dtype == "complex128":
        yield np.diag([1j, -1, np.exp(2j)])


@pytest.mark.parametrize("order", ["columns", "rows"])
@pytest.mark.parametrize("dtype", FIELDS)
def test_every_matrix_is_reached(order, dtype):
    for q in degenerate(dtype):
        n = len(q)
        theta, phase, d = givens_factor(q, order=order)
        g = givens_product(theta, n, phase, order=order)
        assert norm((g * d if order == "columns" else d[:, None] * g) - q) <= 10 * n * n * EPS
        assert (abs(abs(d) - 1) <= 10 * n * EPS).all()
        if dtype == "float64":
            rest = d[:-1] if order == "columns" else d[1:]
            assert phase is None and (abs(rest - 1) <= 10 * n * EPS).all()
            near = np.asarray([j > i + 1 for i, j in givens_pairs(n, order=order)], dtype=bool)
            assert (abs(theta[near]) <= pi / 2).all()
        else:
            assert (theta >= 0).all() and (theta <= pi / 2).all() and (abs(phase) <= pi).all()
            assert (phase[theta == 0] == 0).all()


@pytest.mark.parametrize("order", ["columns", "rows"])
@pytest.mark.parametrize("phases", [False, True])
def test_parameters_to_matrix_to_parameters(order, phases):
    n, rng = 4, np.random.default_rng(13)
    near = np.asarray([j > i + 1 for i, j in givens_pairs(n, order=order)])
    theta = rng.uniform(0.2, 1.3, 6) if phases else np.where(near, rng.uniform(-1.3, 1.3, 6), rng.uniform(-3, 3, 6))
    phase = rng.uniform(-3, 3, 6) if phases else None
    back = givens_factor(givens_product(theta, n, phase, order=order), order=order)
    # the derivative of the way back is 1/cos or 1/sin of an angle in each of three steps
    loss = (1 / np.cos(1.3)) ** 3 * (1 / np.sin(0.2) if phases else 1)
    assert norm(back.theta - theta) <= 10 * 6 * EPS * loss
    if phases:
        assert norm(np.exp(1j * back.phase) - np.exp(1j * phase)) <= 10 * 6 * EPS * loss


def test_no_derivative_of_angles():
    e, q, flip = skew((3, 3), "float64", 14), unitary((), 3, 3, "float64", 1), np.eye(3)[[1, 2, 0]]
    with pytest.raises(OutsideDomain, match=r"angle between zeros is not differentiable, batch index \(1,\)"):
        givens_factor_jvp(np.stack([q, flip]), np.stack([q @ e, flip @ e]))
    with pytest.raises(OutsideDomain, match="phase of zero is not differentiable"):
        givens_factor_vjp(np.eye(2) + 0j, np.ones(1))
    with pytest.raises(ValueError, match="belongs to complex"):
        givens_factor_vjp(np.eye(2), None, np.ones(1))


# --- volume -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["columns", "rows"])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_log_jacobian_real(n, order):
    theta = gaussian((n * (n - 1) // 2,), "float64", 15)
    value, limit = log_volume(
        givens_product(theta, n, order=order), n, lambda x: givens_product_jvp(theta, n, x, order=order), len(theta)
    )
    assert abs(float(givens_log_jacobian(theta, n, order=order)) - value) <= limit


@pytest.mark.parametrize("order", ["columns", "rows"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_log_jacobian_complex(n, order):
    count = n * (n - 1) // 2
    theta, phase = gaussian((2, count), "float64", 16)
    d = np.exp(1j * np.arange(n))
    g = givens_product(theta, n, phase, order=order)

    def with_phases(x, t=None):
        t = np.ones(n) if t is None else t
        return x * (d * t) if order == "columns" else (d * t)[:, None] * x

    def push(x):
        moved = givens_product_jvp(theta, n, x[:count], phase, x[count : 2 * count], order=order)
        return with_phases(moved) + with_phases(g, 1j * x[2 * count :])

    value, limit = log_volume(with_phases(g), n, push, 2 * count + n)
    assert abs(float(givens_log_jacobian(theta, n, order=order, field="complex")) - value) <= limit


# --- wrong input ------------------------------------------------------------------------------------------------------


def test_empty_and_wrong():
    assert givens_product(np.zeros((2, 0)), 1).shape == (2, 1, 1)
    assert givens_product_vjp(np.zeros(0), 1, np.ones((1, 1)) + 0j, np.zeros(0)).phase_bar.shape == (0,)
    assert givens_factor(np.zeros((2, 0, 0))).diagonal.shape == (2, 0)
    assert givens_product(np.zeros((0, 3)), 3).shape == (0, 3, 3)
    assert givens_apply(np.zeros(3), np.zeros((3, 0))).shape == (3, 0)
    theta = np.zeros(3)
    with pytest.raises(ValueError, match="has 3 angles, order='columns' of n=4 has 6"):
        givens_product(theta, 4)
    with pytest.raises(ValueError, match="is not one of"):
        givens_product(theta, 3, order="fft")
    with pytest.raises(ValueError, match=r"\(2, 1\) is no pair"):
        givens_pairs(3, order=[(2, 1)])
    for n in (-1, 3.0, True):
        with pytest.raises(ValueError, match=f"n={n}"):
            givens_product(theta, n)
    with pytest.raises(TypeError, match="theta must be real"):
        givens_product(theta + 0j, 3)
    with pytest.raises(TypeError, match="x must be complex"):
        givens_apply(theta, np.eye(3), theta)
    with pytest.raises(TypeError, match="differ in dtype"):
        givens_apply(theta.astype("float32"), np.eye(3))
    with pytest.raises(ValueError, match="belong together"):
        givens_product_jvp(theta, 3, theta, theta)
    with pytest.raises(ValueError, match="theta must have at least 1"):
        givens_product(np.asarray(1.0), 2)
    with pytest.raises(ValueError, match="is not one of"):
        givens_factor(np.eye(3), order="brickwall")
    with pytest.raises(OutsideDomain, match="not unitary"):
        givens_factor(np.ones((2, 2)))
