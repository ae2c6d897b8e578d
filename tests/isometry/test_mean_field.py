"""Moments against integrals in balls, fixed points, the critical line; nothing is compared with our own quadrature."""

from functools import cache
from itertools import pairwise
from math import exp, inf, nan, pi, sqrt

import numpy as np
import pytest
from scipy import integrate, optimize  # noqa: F401 - what the first test would pay for
from scipy.special import erf

from orthoref import NotConverged, OutsideDomain, isometry

BOUNDED = ("hard_tanh", "tanh", "erf", "unit_erf")
LINES = ("linear", "relu", "leaky_relu")
QS = (1e-6, 0.01, 0.7, 3.0, 400.0)


@cache
def integral(name, q, what, order=1):
    """E phi^2 or E phi'^(2 k), rigorous: Arb integrates analytic functions over [-39, 39], cut at the corners."""
    import flint

    arb, acb = flint.arb, flint.acb
    with flint.ctx.workprec(90):
        root, two_pi = arb(q).sqrt(), (2 * arb.pi()).sqrt()

        def density(z):
            return (-z * z / 2).exp() / two_pi

        def smooth(z, _):
            h = root * z
            if name == "tanh":
                value = h.tanh() ** 2 if what == "moment" else (1 / h.cosh()) ** (4 * order)
            else:
                c = acb(1) if name == "erf" else acb(arb.pi().sqrt() / 2)
                if what == "moment":
                    value = (c * h).erf() ** 2
                else:
                    value = (c * 2 / acb.pi().sqrt() * (-((c * h) ** 2)).exp()) ** (2 * order)
            return value * density(z)

        if name in ("tanh", "erf", "unit_erf"):
            total = arb(0)
            ends = [0, *sorted({min(39.0, x / sqrt(q)) for x in (1.0, 4.0, 16.0)} | {1.0, 4.0, 12.0, 39.0})]
            for a, b in pairwise(ends):
                total += acb.integral(smooth, acb(a), acb(b), rel_tol=arb(2) ** -58, abs_tol=arb(2) ** -80).real
            return float(2 * total)
        # piecewise: corners at b = 1/root(q), exact Gaussian integrals by erf
        b = 1 / root
        inside = (b / arb(2).sqrt()).erf()
        second = inside - 2 * b * density(b)  # E z^2 on |z| < b
        return float(q * second + (1 - inside)) if what == "moment" else float(inside)


@pytest.mark.parametrize("q", QS)
@pytest.mark.parametrize("name", BOUNDED)
def test_moments_against_rigorous_integrals(name, q):
    pytest.importorskip("flint", reason="python-flint gives the reference")
    got = isometry.second_moment(q, name)
    assert abs(got.value - integral(name, q, "moment")) <= max(got.error, 1e-15 * got.value)
    assert 0 < got.error <= 1e-10 * got.value
    for order in (1, 2):
        got = isometry.slope_moment(q, name, order=order)
        assert abs(got.value - integral(name, q, "slope", order)) <= max(got.error, 1e-15 * got.value)


@pytest.mark.parametrize("name", LINES)
def test_moments_of_lines(name):
    """Half of the variance of each side."""
    for q in QS:
        slope = {"linear": 1.0, "relu": 0.0, "leaky_relu": 0.25}[name]
        assert isometry.second_moment(q, name, negative_slope=0.25).value == pytest.approx(
            q * (1 + slope**2) / 2, rel=1e-15, abs=0
        )
        assert isometry.slope_moment(q, name, order=2, negative_slope=0.25).value == (1 + slope**4) / 2


DEFINITIONS = {
    "linear": lambda h: h,
    "relu": lambda h: np.maximum(h, 0),
    "leaky_relu": lambda h: np.where(h > 0, h, 0.01 * h),
    "hard_tanh": lambda h: np.clip(h, -1, 1),
    "tanh": np.tanh,
    "erf": erf,
    "unit_erf": lambda h: erf(sqrt(pi) / 2 * h),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_moments_by_sampling_the_definition(name):
    """A check of the definition, not of digits: the mean over draws, within five of its standard errors."""
    z, f, t = np.random.default_rng(5).standard_normal(20_000), DEFINITIONS[name], 1e-5
    for q in (0.3, 2.0):
        h = sqrt(q) * z
        slopes = (f(h + t) - f(h - t)) / (2 * t)
        for values, truth in ((f(h), isometry.second_moment(q, name)), (slopes, isometry.slope_moment(q, name))):
            assert abs(np.mean(values**2) - truth.value) <= 5 * np.std(values**2) / sqrt(len(z)) + 1e-4 * truth.value


def test_limits():
    for name in BOUNDED:
        assert isometry.second_moment(0.0, name).value == 0
        top = 4 / pi if name == "erf" else 1
        assert isometry.slope_moment(0.0, name).value == pytest.approx(top, rel=1e-15, abs=0)
        # saturated: phi^2 = 1 but for |h| of about 1
        assert 0 < 1 - isometry.second_moment(1e12, name).value <= 2e-6
        assert isometry.slope_moment(1e12, name).value <= 2e-6
        assert isometry.second_moment(1e-14, name).value == pytest.approx(top * 1e-14, rel=1e-12, abs=0)


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize(
    ("sigma_w", "sigma_b"), [(1.5, 0.0), (1.5, 0.3), (0.5, 0.3), (1.0, 1e-3), (3.0, 2.0), (0.0, 0.7)]
)
def test_fixed_points(name, sigma_w, sigma_b):
    """They are: an interval of the stated error around q* has a change of sign, and is stable."""
    q, error = isometry.fixed_point(sigma_w, sigma_b, name)
    assert 0 < error <= 1e-7 * q

    def excess(x):
        return isometry.variance_map(x, sigma_w, sigma_b, name).value - x

    width = max(error, 1e-12 * q)
    assert excess(q - 4 * width) > 0 > excess(q + 4 * width)
    if (sigma_w, name) in ((1.5, "unit_erf"), (1.5, "hard_tanh"), (0.5, "erf")):
        x = 5.0  # and layers of a network go there
        for _ in range(200):
            x = isometry.variance_map(x, sigma_w, sigma_b, name).value
        assert x == pytest.approx(q, rel=1e-6, abs=0)


@pytest.mark.parametrize("name", BOUNDED)
def test_fixed_point_zero_and_just_above(name):
    slope = isometry.slope_moment(0.0, name).value ** 0.5
    assert isometry.fixed_point(0.999 / slope, 0.0, name) == (0.0, 0.0)
    q = isometry.fixed_point(1.001 / slope, 0.0, name).value
    if name != "hard_tanh":  # whose corner at 1 is felt only exponentially little: q* is not small
        assert 0 < q < 0.01
    assert isometry.variance_map(q, 1.001 / slope, 0.0, name).value == pytest.approx(q, rel=1e-12, abs=0)


def test_fixed_points_of_lines():
    assert isometry.fixed_point(0.5, 0.3, "linear").value == pytest.approx(0.09 / 0.75, rel=1e-15, abs=0)
    assert isometry.fixed_point(1.0, 0.3, "leaky_relu", negative_slope=0.5).value == pytest.approx(
        0.24, rel=1e-14, abs=0
    )
    assert isometry.fixed_point(1.0, 0.0, "relu").value == 0
    with pytest.raises(OutsideDomain, match="every q is a fixed point"):
        isometry.fixed_point(1.0, 0.0, "linear")
    for sigma_w, sigma_b in ((1.0, 0.1), (2.0, 0.0)):
        with pytest.raises(OutsideDomain, match="no fixed point"):
            isometry.fixed_point(sigma_w, sigma_b, "linear")


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize("q", [1e-3, 0.5, 5.0])
def test_critical_points(name, q):
    point = isometry.critical_point(q, name)
    assert isometry.chi(q, point.sigma_w, name).value == pytest.approx(1, rel=1e-12, abs=0)
    assert isometry.variance_map(q, point.sigma_w, point.sigma_b, name).value == pytest.approx(q, rel=1e-12, abs=0)
    if point.sigma_b > 1e-6:
        back = isometry.critical_sigma_w(point.sigma_b, name)
        assert back.sigma_w == pytest.approx(point.sigma_w, rel=1e-8, abs=0) and back.q == pytest.approx(
            q, rel=1e-5, abs=0
        )


def test_critical_lines_begin_where_they_should():
    for name in ("hard_tanh", "tanh", "unit_erf"):
        assert isometry.critical_sigma_w(0.0, name)[:2] == (1.0, 0.0)
    assert isometry.critical_sigma_w(0.0, "erf").sigma_w == pytest.approx(sqrt(pi) / 2, rel=1e-15, abs=0)
    assert isometry.critical_point(7.0, "relu")[:2] == (pytest.approx(sqrt(2), rel=1e-15, abs=0), 0.0)
    assert isometry.critical_point(0.2, "leaky_relu", negative_slope=0.5)[0] == pytest.approx(
        sqrt(1.6), rel=1e-15, abs=0
    )
    assert isometry.critical_point(3.0, "linear")[:2] == (1.0, 0.0)
    with pytest.raises(OutsideDomain, match="critical for sigma_b = 0 only"):
        isometry.critical_sigma_w(0.1, "relu")


@pytest.mark.parametrize("name", BOUNDED)
def test_the_bias_grows_along_the_critical_line(name):
    """What critical_sigma_w relies on, on a grid."""
    bs = [isometry.critical_point(q, name).sigma_b for q in np.geomspace(0.05, 50, 12)]
    assert all(a < b for a, b in pairwise(bs))


def test_order_and_chaos_by_sampling():
    """Two inputs at an angle: the layers of wide networks bring them together below the line, apart above it."""
    rng, n, point = np.random.default_rng(6), 300, isometry.critical_sigma_w(0.3, "tanh")
    for sigma_w, grows in ((0.7 * point.sigma_w, False), (1.6 * point.sigma_w, True)):
        q = isometry.fixed_point(sigma_w, 0.3, "tanh").value
        x = rng.standard_normal(n) * sqrt(q)
        h = np.stack([x, x + 1e-4 * rng.standard_normal(n)], axis=1)
        before = np.linalg.norm(h[:, 0] - h[:, 1])
        for _ in range(10):
            h = rng.standard_normal((n, n)) * (sigma_w / sqrt(n)) @ np.tanh(h) + 0.3 * rng.standard_normal((n, 1))
        after = np.linalg.norm(h[:, 0] - h[:, 1])
        rate = (after / before) ** 0.2  # the squared distance by chi a layer
        assert rate == pytest.approx(isometry.chi(q, sigma_w, "tanh").value, rel=0.25, abs=0)
        assert bool(after > before) is grows


@pytest.mark.parametrize("bad", [-1.0, inf, nan, True, "1", 1j])
def test_refusals(bad):
    for call in (
        lambda: isometry.second_moment(bad, "tanh"),
        lambda: isometry.slope_moment(bad, "relu"),
        lambda: isometry.variance_map(1.0, bad, 0.0, "tanh"),
        lambda: isometry.fixed_point(1.0, bad, "tanh"),
        lambda: isometry.chi(1.0, bad, "tanh"),
        lambda: isometry.critical_point(bad, "tanh"),
        lambda: isometry.critical_sigma_w(bad, "tanh"),
    ):
        with pytest.raises(ValueError, match="must be a finite number that is not negative"):
            call()


def test_other_refusals():
    with pytest.raises(ValueError, match="activation='gelu' is not one of"):
        isometry.second_moment(1.0, "gelu")
    for order in (0, 1.0, True):
        with pytest.raises(ValueError, match="order="):
            isometry.slope_moment(1.0, "tanh", order=order)
    assert issubclass(NotConverged, ArithmeticError) and exp(0) == 1
