"""Spectra of deep Jacobians: double roots in exact arithmetic, limits known by other means, sampling with intervals."""

from fractions import Fraction
from math import e, log, pi, sqrt

import numpy as np
import pytest
from scipy import integrate, optimize  # noqa: F401 - what the first test would pay for
from scipy.special import erfinv

from orthoref import OutsideDomain, haar, isometry

DEPTHS = (1, 2, 3, 7, 20)


def at_critical(p):
    """q and sigma_w of hard tanh with the share p of slopes 1 and chi = 1."""
    q = 0.5 / erfinv(p) ** 2
    return q, p**-0.5


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("p", [Fraction(1, 2), Fraction(4, 5), Fraction(1, 5)])
def test_the_edge_is_a_double_root(depth, weights, p):
    """The moment generating function y(z) solves a polynomial equation; where the spectrum ends two roots meet.

    Gaussian: y z = (1 + y)(s (p + y))^L; orthogonal: y z (1 + y)^L = (1 + y)(s (p + y))^L. In exact arithmetic the
    discriminant in y changes sign, or vanishes, at the edge: checked by the number of real roots y > 0 on both sides,
    two above the edge and none below.
    """
    flint = pytest.importorskip("flint", reason="python-flint counts the roots")
    if weights == "orthogonal" and depth * (1 - p) <= 1:
        pytest.skip("no double root: test_near_isometry")
    q, sigma_w = at_critical(float(p))
    edge = isometry.largest_squared_singular_value(depth, q, sigma_w, "hard_tanh", weights)
    s = 1 / p

    def positive_roots(z):
        poly = flint.fmpq_poly
        y = poly([0, 1])
        one, shifted_ = (
            poly([1, 1]),
            poly([flint.fmpq(p.numerator, p.denominator), 1]) * flint.fmpq(s.numerator, s.denominator),
        )
        right = one * shifted_**depth
        left = y * flint.fmpq(z.numerator, z.denominator) * (one**depth if weights == "orthogonal" else poly([1]))
        difference = left - right
        while difference.degree() > 0 and difference(flint.fmpq(-1)) == 0:  # the common factor 1 + y
            difference = difference // one
        roots = flint.fmpz_poly([int(c) for c in (difference * difference.denom()).numer().coeffs()]).complex_roots()
        return sum(multiplicity for root, multiplicity in roots if root.imag == 0 and root.real > 0)

    assert positive_roots(Fraction(edge) * (1 + Fraction(1, 10**9))) >= 2
    assert positive_roots(Fraction(edge) * (1 - Fraction(1, 10**9))) == 0


def test_edges_known_otherwise():
    """Marchenko and Pastur; products of square Gaussian matrices, (L + 1)^(L + 1)/L^L; orthogonal matrices."""
    for depth in DEPTHS:
        edge = isometry.largest_squared_singular_value(depth, 1.0, 1.0, "linear", "gaussian")
        assert edge == pytest.approx((depth + 1) ** (depth + 1) / depth**depth, rel=1e-13, abs=0)
        assert isometry.largest_squared_singular_value(depth, 1.0, 1.5, "linear", "orthogonal") == pytest.approx(
            1.5 ** (2 * depth), rel=1e-13, abs=0
        )
    assert isometry.largest_squared_singular_value(3, 1.0, 0.0, "tanh", "gaussian") == 0
    # two projections of ranks p n: cos^2 of their angles ends at 4 p (1 - p) for p < 1/2 (Wachter), times sigma^4
    for p in (0.2, 0.4):
        q, sigma_w = at_critical(p)
        edge = isometry.largest_squared_singular_value(2, q, sigma_w, "hard_tanh", "orthogonal")
        assert edge * p**2 == pytest.approx(4 * p * (1 - p), rel=1e-12, abs=0)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("depth", [1, 2, 5, 30])
def test_the_minimum_and_the_closed_forms(depth, weights):
    """A leaky corner of slope 0 is relu, of slope 1 linear: two ways to one number."""
    relu = isometry.largest_squared_singular_value(depth, 1.0, 1.3, "relu", weights)
    for slope, closed in (
        (0.0, relu),
        (1.0, isometry.largest_squared_singular_value(depth, 1.0, 1.3, "linear", weights)),
    ):
        got = isometry.largest_squared_singular_value(depth, 1.0, 1.3, "leaky_relu", weights, negative_slope=slope)
        assert got == pytest.approx(closed, rel=1e-7, abs=0)
    # in between, and slopes above 1 by symmetry: slope 2 is twice the slope 1/2
    half = isometry.largest_squared_singular_value(depth, 1.0, 1.3, "leaky_relu", weights, negative_slope=0.5)
    twice = isometry.largest_squared_singular_value(depth, 1.0, 0.65, "leaky_relu", weights, negative_slope=2.0)
    assert twice == pytest.approx(half, rel=1e-7, abs=0)
    # erf(x) is erf of unit slope with the variance and the slope rescaled by pi/4
    a = isometry.largest_squared_singular_value(depth, 0.3, 1.0, "erf", weights)
    b = isometry.largest_squared_singular_value(depth, 0.3 * 4 / pi, 2 / sqrt(pi), "unit_erf", weights)
    assert a == pytest.approx(b, rel=1e-7, abs=0)


def test_near_isometry():
    """Orthogonal weights with L (1 - p) <= 1: the norm sigma_w^(2 L) is reached; the printed formula is below it."""
    for depth, p in ((1, 0.5), (2, 0.5), (4, 0.9), (10, 0.95)):
        q, sigma_w = at_critical(p)
        edge = isometry.largest_squared_singular_value(depth, q, sigma_w, "hard_tanh", "orthogonal")
        assert edge == pytest.approx(sigma_w ** (2 * depth), rel=1e-12, abs=0)
        if depth > 1:
            printed = (1 - p) / p * depth**depth / (depth - 1) ** (depth - 1)
            assert printed < edge * (1 - 1e-3) or depth * (1 - p) == 1


@pytest.mark.parametrize("p", [0.25, 0.5, 0.9])
def test_asymptotes(p):
    """The error times L tends to a constant: both terms are right. (EDGE-GAUSS-ASYMPTOTE), (EDGE-ORTH-ASYMPTOTE)"""
    q, sigma_w = at_critical(p)
    for weights in ("gaussian", "orthogonal"):
        rest = []
        for depth in (100, 200, 400):
            exact = isometry.largest_squared_singular_value(depth, q, sigma_w, "hard_tanh", weights)
            rest.append(depth * (exact - isometry.largest_squared_singular_value_asymptote(depth, p, weights)))
        assert abs(rest[2] - rest[1]) <= 0.6 * abs(rest[1] - rest[0]) + 1e-6
        assert abs(rest[2]) <= 3 / p**2
        if weights == "orthogonal":
            assert rest[2] == pytest.approx((1 - p) / p * -e / 24, rel=0.02, abs=0)
    with pytest.raises(ValueError, match="share="):
        isometry.largest_squared_singular_value_asymptote(3, 1.0, "orthogonal")


def sampled(depth, n, slopes, weights, sigma_w, rng):
    """Squared singular values of D_L W_L ... D_1 W_1 with independent slopes."""
    j = np.eye(n)
    for _ in range(depth):
        w = haar(n, rng=rng) if weights == "orthogonal" else rng.standard_normal((n, n)) / sqrt(n)
        j = slopes(rng.standard_normal(n))[:, None] * (sigma_w * w @ j)
    return np.linalg.svd(j, compute_uv=False) ** 2


CASES = {
    "relu": (1.0, lambda z: (z > 0) * 1.0),
    "hard_tanh": (0.5, lambda z: (abs(z) * sqrt(0.5) < 1) * 1.0),
    "tanh": (0.5, lambda z: np.cosh(sqrt(0.5) * z) ** -2.0),
}


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", CASES)
def test_mean_and_variance_by_sampling(name, weights):
    """Means over 24 samples of order 40, within 5 standard errors and the 1/n of finite width."""
    q, slopes = CASES[name]
    depth, n, rng = 3, 40, np.random.default_rng(7)
    sigma_w = isometry.chi(q, 1.0, name).value ** -0.5
    draws = [sampled(depth, n, slopes, weights, sigma_w, rng) for _ in range(24)]
    means, squares = np.array([s.mean() for s in draws]), np.array([(s**2).mean() for s in draws])
    assert abs(means.mean() - 1) <= 5 * means.std() / sqrt(24) + 1 / n
    expected = isometry.squared_singular_value_variance(depth, q, sigma_w, name, weights).value
    assert abs(squares.mean() - 1 - expected) <= 5 * squares.std() / sqrt(24) + 4 * depth * (1 + expected) / n


@pytest.mark.exhaustive
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("depth", [1, 2, 8])
def test_edge_by_sampling(name, weights, depth):
    """The largest squared singular value of width n, whose distance to the edge is of order n^(-2/3).

    Extrapolated from widths 60 and 480 (a factor of 4 in n^(2/3)), within 5 standard errors of the extrapolation and
    the next order, taken as a tenth of the correction at width 60.
    """
    q, slopes = CASES[name]
    sigma_w, rng = isometry.chi(q, 1.0, name).value ** -0.5, np.random.default_rng(8)
    runs = {60: 100, 480: 6}
    draws = {n: [sampled(depth, n, slopes, weights, sigma_w, rng)[0] for _ in range(k)] for n, k in runs.items()}
    small, large = (np.mean(draws[n]) for n in runs)
    errors = [np.std(draws[n]) / sqrt(runs[n]) for n in runs]
    edge = isometry.largest_squared_singular_value(depth, q, sigma_w, name, weights)
    limit = (4 * large - small) / 3
    spread = sqrt((4 * errors[1]) ** 2 + errors[0] ** 2) / 3
    assert abs(limit - edge) <= 5 * spread + 0.1 * abs(edge - small) + 1e-12 * edge  # L = 1, orthogonal: exact


def test_moments():
    """Relative variances of independent factors add; Wishart products are known: L for Gaussian linear networks."""
    for depth in DEPTHS:
        assert isometry.squared_singular_value_variance(depth, 1.0, 1.0, "linear", "gaussian").value == pytest.approx(
            depth, rel=1e-14, abs=0
        )
        assert isometry.squared_singular_value_variance(depth, 1.0, 2.0, "linear", "orthogonal").value == 0
        p = 0.3
        q, sigma_w = at_critical(p)
        got = isometry.squared_singular_value_variance(depth, q, sigma_w, "hard_tanh", "gaussian")
        assert got.value == pytest.approx(depth / p, rel=1e-12, abs=0)
        off = isometry.squared_singular_value_variance(depth, q, 2 * sigma_w, "hard_tanh", "gaussian")
        assert off.value == pytest.approx(4.0 ** (2 * depth) * depth / p, rel=1e-11, abs=0)
    with pytest.raises(OutsideDomain, match="overflows"):
        isometry.squared_singular_value_variance(2000, 1.0, 2.0, "tanh", "gaussian")
    with pytest.raises(OutsideDomain, match="overflows"):
        isometry.largest_squared_singular_value(2000, 1.0, 3.0, "linear", "orthogonal")


def test_refusals():
    for call in (isometry.squared_singular_value_variance, isometry.largest_squared_singular_value):
        for depth in (0, 2.0, True):
            with pytest.raises(ValueError, match="depth="):
                call(depth, 1.0, 1.0, "tanh", "gaussian")
        with pytest.raises(ValueError, match="weights='haar' is not one of"):
            call(2, 1.0, 1.0, "tanh", "haar")
        with pytest.raises(ValueError, match="sigma_w=-1"):
            call(2, 1.0, -1, "tanh", "gaussian")


def test_learning_time():
    """Closed forms for one and two layers and in the limit; steps at the largest stable rate are bounded in depth."""
    s, a, b = 2.0, 0.5, 1.9
    assert isometry.linear_learning_time(1, a, b, s).value == pytest.approx(log((s - a) / (s - b)), rel=1e-11, abs=0)
    two = log(b * (s - a) / (a * (s - b))) / (2 * s)
    assert isometry.linear_learning_time(2, a, b, s).value == pytest.approx(two, rel=1e-11, abs=0)
    limit = log(b * (s - a) / (a * (s - b))) / s**2 + (1 / a - 1 / b) / s
    deep = 10**7 * isometry.linear_learning_time(10**7, a, b, s).value
    assert deep == pytest.approx(limit, rel=1e-5, abs=0)
    # and downwards
    assert isometry.linear_learning_time(2, 3.0, 2.1, s).value == pytest.approx(
        log(2.1 * (s - 3.0) / (3.0 * (s - 2.1))) / (2 * s), rel=1e-11, abs=0
    )
    for bad in ((0.0, 1.0, 2.0), (1.0, 2.0, 2.0), (1.5, 1.0, 2.0), (1.0, np.nan, 2.0)):
        with pytest.raises(ValueError, match=r"must be a positive|moves towards"):
            isometry.linear_learning_time(3, *bad)
    with pytest.raises(ValueError, match="depth=0"):
        isometry.linear_learning_time(0, 1.0, 1.5, 2.0)


def test_learning_time_by_gradient_descent():
    """Scalar networks trained with small steps take as long as the integral says."""
    for depth in (2, 5, 12):
        rate, s, u0, u1 = 1e-4, 2.0, 0.8, 1.8
        a = np.full(depth, u0 ** (1 / depth))
        steps = 0
        while (u := float(np.prod(a))) < u1:
            a = a + rate * (s - u) * u / a
            steps += 1
        assert steps * rate == pytest.approx(isometry.linear_learning_time(depth, u0, u1, s).value, rel=2e-2, abs=0)
