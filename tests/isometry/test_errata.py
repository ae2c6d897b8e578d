"""The errata of the literature on dynamical isometry: the printed formula, a counterexample, the right one."""

from fractions import Fraction
from math import e, erf, pi, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from backends import norm
from exact import dyadic_unitary

from orthoref import isometry


def test_i1_transposes_and_order():
    """dx_2/dx_0 of two linear layers, in integers: W_2 W_1, neither W_1^T W_2^T nor W_1 W_2."""
    w1, w2 = np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [3.0, 1.0]])
    ones = [np.ones(2)] * 2
    columns = np.stack([w2 @ (w1 @ x) for x in np.eye(2)], axis=1)
    assert np.array_equal(isometry.input_output_jacobian([w1, w2], ones), columns)
    for printed in (w1.T @ w2.T, w2.T @ w1.T, w1 @ w2):
        assert not np.array_equal(printed, columns)
    # layers that are not square: the printed product does not exist
    with pytest.raises(ValueError, match="mismatch in its core dimension"):
        np.eye(3) @ np.ones((3, 2)).T  # D_1 W_1^T
    # what the transposes are right for: gradients, carried back
    back = isometry.input_output_jacobian_vjp([w1, w2], ones, np.eye(2))
    assert np.array_equal(back.weights_bar[0], w2.T) and np.array_equal(back.weights_bar[1], w1.T)


def test_i2_variance_of_weights():
    """q = sigma_w^2 E phi^2 needs entries of variance sigma_w^2/n: with sigma_w^2 itself it is n times as much."""
    n = 50
    x = np.ones(n)  # E x^2 = 1
    rng = np.random.default_rng(1)
    h = np.array([rng.standard_normal((n, n)) @ x for _ in range(200)])
    assert np.mean(h**2) == pytest.approx(n, rel=0.1, abs=0)
    assert isometry.variance_map(1.0, 1.0, 0.0, "linear").value == pytest.approx(1, rel=1e-14, abs=0)
    # and an orthogonal matrix times g has entries of mean square g^2/n, though E W W^T = g^2 I
    w = 3 * dyadic_unitary(8, "float64", 1)
    assert np.array_equal(w @ w.T, 9 * np.eye(8)) and np.mean(w**2) == 9 / 8


def test_i3_mean_of_squares():
    """Chi is the mean of the squared singular values of a layer, not of the singular values: 8/(3 pi) for Gaussian."""
    rng = np.random.default_rng(2)
    s = isometry.spectrum(rng.standard_normal((20, 100, 100)) / 10)
    assert np.mean(s.mean) == pytest.approx(isometry.chi(1.0, 1.0, "linear").value, rel=0.01, abs=0)
    assert np.mean(s.singular_values) == pytest.approx(8 / (3 * pi), rel=0.01, abs=0)


def test_i4_condition_one_is_no_isometry():
    """Isometries have it, and so do their multiples."""
    q = dyadic_unitary(4, "float64", 2)
    for c in (0.5, 1.0, 8.0):
        s = isometry.spectrum(c * q)
        assert float(s.condition) == pytest.approx(1, rel=1e-14, abs=0)
        assert float(s.mean) == pytest.approx(c**2, rel=1e-14, abs=0)
    deep = isometry.spectrum(isometry.input_output_jacobian([q / 2] * 60, [np.ones(4)] * 60))
    assert float(deep.condition) == pytest.approx(1, rel=1e-13, abs=0)  # and the gradient has vanished
    assert deep.singular_values[0] < 1e-18


def test_i5_eigenvalues_of_the_jacobian():
    """All eigenvalues 1, and a condition number of 10^4."""
    j = np.array([[1.0, 100.0], [0.0, 1.0]])
    assert np.array_equal(np.linalg.eigvals(j), [1, 1])
    assert isometry.spectrum(j).condition > 1e4
    # the other way round: a perfect isometry with no eigenvalue near 1
    s = isometry.spectrum(np.array([[0.0, -1.0], [1.0, 0.0]]))
    assert s.condition == 1 and s.mean == 1 and s.variance == 0


def test_i6_fixed_point_of_linear_networks():
    """q = sigma_w^2 q + sigma_b^2, with squares; below sigma_w = 1 there is one for every sigma_b."""
    sigma_w, sigma_b = Fraction(1, 2), Fraction(1)
    right, printed = sigma_b**2 / (1 - sigma_w**2), sigma_b / (1 - sigma_w)
    assert right == Fraction(4, 3) and printed == 2
    assert isometry.fixed_point(0.5, 1.0, "linear").value == pytest.approx(4 / 3, rel=1e-15, abs=0)
    q = Fraction(5)
    for _ in range(200):
        q = sigma_w**2 * q + sigma_b**2
    assert abs(q - right) < Fraction(1, 10**50)


def test_i7_share_of_linear_units_of_hard_tanh():
    """P(|h| < 1) for h of variance q is erf(1/root(2 q)); erf(1/(root(2) q)) is right for q = 1 only."""
    for q in (0.25, 4.0):
        truth = 2 * NormalDist(0, sqrt(q)).cdf(1) - 1
        assert isometry.slope_moment(q, "hard_tanh").value == pytest.approx(truth, rel=1e-12, abs=0)
        assert abs(erf(1 / (sqrt(2) * q)) - truth) > 0.04
    assert erf(1 / sqrt(2)) == pytest.approx(isometry.slope_moment(1.0, "hard_tanh").value, rel=1e-15, abs=0)


def test_i8_relu_has_every_fixed_point():
    """At (root 2, 0) the map is the identity, q -> q."""
    for q in (1e-3, 1.0, 50.0):
        assert isometry.variance_map(q, sqrt(2), 0.0, "relu").value == pytest.approx(q, rel=1e-14, abs=0)
        assert isometry.critical_point(q, "relu").q == q


def test_i9_the_critical_line_is_no_isometry():
    """Chi = 1 for hard tanh at every q; the largest singular value grows with depth all the same."""
    point = isometry.critical_point(1.0, "hard_tanh")
    assert isometry.chi(1.0, point.sigma_w, "hard_tanh").value == pytest.approx(1, rel=1e-14, abs=0)
    edges = [
        isometry.largest_squared_singular_value(depth, 1.0, point.sigma_w, "hard_tanh", "orthogonal")
        for depth in (10, 100)
    ]
    assert edges[0] > 10 and edges[1] > 100
    # it takes q -> 0 with depth: p = 1 - c/L
    p = isometry.slope_moment(1 / 12, "hard_tanh").value
    near = isometry.largest_squared_singular_value(100, 1 / 12, p**-0.5, "hard_tanh", "orthogonal")
    assert near < 1.1


def test_i10_variance_off_the_critical_line():
    """L/p is the variance for chi = 1; in general chi^(2 L) L/p."""
    p = isometry.slope_moment(1.0, "hard_tanh").value
    got = isometry.squared_singular_value_variance(10, 1.0, 1.0, "hard_tanh", "gaussian").value
    assert got == pytest.approx(p**20 * 10 / p, rel=1e-11, abs=0) and got < 1e-2 < 10 / p
    # and for orthogonal weights (1 - p) L/p is exact for every L: one layer has the variance of its slopes
    sigma_w = p**-0.5
    one = isometry.squared_singular_value_variance(1, 1.0, sigma_w, "hard_tanh", "orthogonal").value
    assert one == pytest.approx(sigma_w**4 * p * (1 - p), rel=1e-12, abs=0)


def test_i11_the_edge_for_orthogonal_weights_has_a_condition():
    """(1 - p)/p L^L/(L - 1)^(L - 1) for L (1 - p) > 1 only: below, projections of rank 0.9 n intersect.

    Exactly: four coordinate projections whose null spaces are orthogonal, and the norm of the product is 1.
    """
    depth, p = 4, Fraction(9, 10)
    printed = (1 - p) / p * Fraction(depth**depth, (depth - 1) ** (depth - 1)) * p**depth  # times sigma_w^8
    assert printed < Fraction(7, 10)
    j = np.eye(10)
    for k in range(depth):
        d = np.ones(10)
        d[k] = 0
        j = d[:, None] * (dyadic_unitary(10, "float64", 3) @ j)
    assert np.linalg.norm(j, 2) ** 2 > float(printed)
    # any frames: the four null spaces have dimension 4 together, so 6 of 10 dimensions are untouched
    assert np.sum(np.linalg.svd(j, compute_uv=False) > 1 - 1e-12) >= 6
    q = 0.5 / 1.1630871536766743**2  # erf(1.163...) = 0.9
    edge = isometry.largest_squared_singular_value(depth, q, 1.0, "hard_tanh", "orthogonal")
    assert edge == 1


def test_i12_the_constant_of_the_expansion():
    """e L - e/2, the base of logarithms in both terms; then -e/(24 L)."""
    for depth in (10, 100, 1000):
        exact = Fraction(depth**depth, (depth - 1) ** (depth - 1))
        rest = float(exact) - (e * depth - e / 2)
        assert rest * depth == pytest.approx(-e / 24, rel=2 / depth, abs=0)


def test_i13_cosines_have_denominators():
    """|<x_i, x_j>| grows with the activations; the mean over pairs of the cosine does not."""
    x = np.array([[1.0, 1.0], [1.0, 0.0]])
    for c in (1.0, 10.0):
        assert abs((c * x) @ (c * x).T)[0, 1] == c**2
        assert float(isometry.mean_absolute_cosine(c * x)) == pytest.approx(sqrt(0.5), rel=1e-14, abs=0)
    assert norm(x) > 0
