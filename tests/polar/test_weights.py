"""Scalar sequences of QDWH and Zolotarev, judged in 400 bits by equioscillation and by elliptic integrals.

f has positive terms only, so a relative error of d in each coefficient changes f by at most 2 d relatively
(numerator and denominator). Limits on d are stated where they are used.
"""

from itertools import pairwise
from math import log

import pytest

from orthoref._polar import weights
from orthoref._polar.rational import TARGET

flint = pytest.importorskip("flint", reason="python-flint gives the reference")

EPS = 2.0**-52
LOWER = [1e-16, 1e-12, 9e-10, 3e-8, 1e-5, 1e-3, 0.05, 0.3, 0.7, 0.9, 0.99, 0.999999]
ORDERS = range(1, 9)


@pytest.fixture(autouse=True)
def bits():
    with flint.ctx.workprec(400):
        yield


def arb(x):
    return flint.arb(x)


def halley_map(w, x):
    """In the 400-bit numbers, with the floating-point coefficients."""
    return x * (arb(w.a) + arb(w.b) * x * x) / (1 + arb(w.c) * x * x)


def zolotarev_map(w, x):
    return arb(w.m_hat) * x * (1 + sum(arb(a) / (x * x + arb(c)) for a, c in zip(w.residues, w.poles, strict=True)))


def samples(lower, count=400):
    """Geometric in [lower, 1], both ends included."""
    return [arb(lower) ** (arb(i) / count) for i in range(count, -1, -1)]


def extrema(f, lower):
    """Values of f at its ends and turning points on [lower, 1], refined by a parabola through three samples."""
    x = samples(lower, 1000)
    y = [f(z) for z in x]
    found = [float(y[0])]
    for i in range(1, len(x) - 1):
        d0, d1 = y[i] - y[i - 1], y[i + 1] - y[i]
        if (d0 > 0) != (d1 > 0):
            left, right = x[i - 1], x[i + 1]
            up = d0 > 0
            for _ in range(120):  # ternary search on a unimodal piece, until it is narrower than 1e-20
                p, q = (left * 2 + right) / 3, (left + right * 2) / 3
                if (f(p).mid() < f(q).mid()) == bool(up):
                    left = p.mid()
                else:
                    right = q.mid()
            found.append(float(f(left)))
    return [*found, float(y[-1])]


# d of halley: cbrt as a power (argument up to 1e32, exponent rounded: 74 * eps/2 relative at most), root, a, b, c:
# in all below 50 eps, damped by the power 1/2 that a and b take of d: 25 eps in each coefficient
HALLEY = 50 * EPS


@pytest.mark.parametrize("lower", LOWER)
def test_halley_maps_into_its_interval(lower):
    w = weights.halley(lower)
    values = [halley_map(w, x) for x in samples(lower)]
    assert all(w.lower * (1 - HALLEY) <= y <= 1 + HALLEY for y in values)


@pytest.mark.parametrize("lower", [x for x in LOWER if x < 0.7])  # flat to rounding beyond
def test_halley_equioscillates(lower):
    w = weights.halley(lower)
    first, high, low, last = extrema(lambda x: halley_map(w, x), lower)
    for value, level in ((first, w.lower), (high, 1.0), (low, w.lower), (last, 1.0)):
        assert abs(value / level - 1) <= HALLEY


def test_halley_at_one():
    assert weights.halley(1.0) == (3.0, 1.0, 3.0, 1.0)


@pytest.mark.parametrize("lower", LOWER)
def test_halley_raises_the_bound(lower):
    assert lower < weights.halley(lower).lower <= 1


def test_halley_first_step_at_1e16():
    """To the three digits known from the literature."""
    assert [f"{x:.2e}" for x in weights.halley(1e-16)[:3]] == ["1.17e+11", "3.42e+21", "3.42e+21"]


def steps(f, kappa, enough):
    lower, count = 1 / kappa, 0
    while lower < enough:
        lower, count = f(lower).lower, count + 1
    return count


@pytest.mark.parametrize(("kappa", "count"), [(10, 4), (1e2, 4), (1e3, 4), (1e5, 5), (1e7, 5), (1e12, 5), (1e16, 6)])
def test_halley_iterations(kappa, count):
    assert steps(weights.halley, kappa, 1 - 1e-15) == count


KAPPA = ["1.001", "1.01", "1.1", "1.2", "1.5", "2", "10", "1e2", "1e3", "1e5", "1e7", "1e16"]
# steps of type (2r+1, 2r) to 1e-15, by mpmath (heat's _zolopd_n_iterations begins its row for kappa = 1e3 with 3, 3
# where 4, 3 are needed). r = 7, kappa = 2 is the nearest to its threshold: 1 - l = 8.03665593e-16 after one step, in
# 300 bits. In double precision the bound comes out as 1 - 1.6e-15, and counting there gives 2.
ITERATIONS = {
    1: [2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6],
    2: [1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4],
    3: [1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3],
    4: [1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3],
    5: [1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3],
    6: [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3],
    7: [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3],
    8: [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2],
}


def exact_bounds(kappa, r, count):
    """Bounds after 1 .. count steps, without any node: the map takes the nome q of sqrt(1 - l^2) to q^(2r+1).

    l = (theta_4(q)/theta_3(q))^2 = prod ((1 - q^(2i-1))/(1 + q^(2i-1)))^4, q = exp(-pi K(l)/K'(l)).
    """
    lower = 1 / arb(kappa)
    quarter, parameter = flint.acb(lower**2).elliptic_k().real, 1 - lower**2
    q = (-flint.arb.pi() * quarter / flint.acb(parameter).elliptic_k().real).exp()
    bounds = []
    for _ in range(count):
        q = q ** (2 * r + 1)
        bound, power = arb(1), q
        while power > arb(2) ** -400:
            bound, power = bound * ((1 - power) / (1 + power)) ** 4, power * q * q
        bounds.append(bound)
    return bounds


@pytest.mark.parametrize("r", ORDERS)
def test_zolotarev_iterations_in_400_bits(r):
    enough = 1 - arb("1e-15")
    for kappa, count in zip(KAPPA, ITERATIONS[r], strict=True):
        bounds = exact_bounds(kappa, r, count)
        assert all(bound < enough for bound in bounds[:-1]) and bounds[-1] > enough, kappa


def test_the_entry_nearest_to_its_threshold():
    assert abs(float(1 - exact_bounds("2", 7, 1)[0]) / 8.036655929145770e-16 - 1) <= 1e-15


@pytest.mark.parametrize("r", ORDERS)
def test_zolotarev_bounds_against_400_bits(r):
    """A bound is a product of 4r sums of a node and a number: so many errors of a node, and ten roundings each.

    The map of the bounds contracts relative errors (log(1/l) shrinks).
    """
    for kappa, count in zip(KAPPA, ITERATIONS[r], strict=True):
        lower, limit = float(1 / arb(kappa)), 0.0
        for exact in exact_bounds(kappa, r, count):
            limit += 4 * r * (node_limit(lower) + 10 * EPS)
            lower = weights.zolotarev(lower, r).lower
            assert abs(float(lower / exact - 1)) <= limit, kappa


def quarter_period(lower):
    """K' and the parameter m' = 1 - l^2."""
    parameter = 1 - arb(lower) ** 2
    return flint.acb(parameter).elliptic_k().real, parameter


def node_limit(lower):
    """Relative error of a node c = l^2 sc^2(u), u <= K'/2: 2 dn/(sn cn) du <= 2 (1 + 1/u) du with du = 4 eps u, and
    ten roundings in each of at most six Landen steps.
    """
    return (8 * (1 + float(quarter_period(lower)[0])) + 60) * EPS


@pytest.mark.parametrize("r", ORDERS)
@pytest.mark.parametrize("lower", LOWER)
def test_zolotarev_poles(lower, r):
    """Pole c_{2j-1}: F(arctan(sqrt(c)/l) | 1 - l^2) = (2j-1) K'/(2r+1). du = dc/(2c) sn cn/dn <= dc/(2c)."""
    quarter, parameter = quarter_period(lower)
    for j, pole in enumerate(sorted(weights.zolotarev(lower, r).poles)):
        angle = (arb(pole).sqrt() / arb(lower)).atan()
        u = flint.acb.elliptic_f(flint.acb(angle), flint.acb(parameter)).real
        assert abs(float(u - (2 * j + 1) * quarter / (2 * r + 1))) <= node_limit(lower) / 2


def exact_nodes(lower, r):
    """c_1 .. c_2r in 400 bits, by Newton's method for F(angle) = i K'/(2r+1), dF/dangle = 1/sqrt(1 - m sin^2)."""
    quarter, parameter = quarter_period(lower)
    nodes = []
    for i in range(1, 2 * r + 1):
        u = i * quarter / (2 * r + 1)
        t = u.sinh() if lower < 0.01 and i <= r else (u * flint.arb.pi() / (2 * quarter)).tan()  # tan of the angle
        t = 1 / (arb(lower) * ((2 * r + 1 - i) * quarter / (2 * r + 1)).sinh()) if lower < 0.01 and i > r else t
        for _ in range(60):
            f = flint.acb.elliptic_f(flint.acb(t.atan()), flint.acb(parameter)).real - u
            dn = ((1 + arb(lower) ** 2 * t * t) / (1 + t * t)).sqrt()
            t = (t - f * dn * (1 + t * t)).mid()
            if abs(float(f)) < 1e-50:
                break
        assert abs(float(f)) < 1e-50
        nodes.append((arb(lower) * t) ** 2)
    return nodes


@pytest.mark.parametrize("r", [1, 2, 5, 8])
@pytest.mark.parametrize("lower", [1e-16, 1e-8, 1e-3, 0.1, 0.5, 0.9])
def test_partial_fractions_are_the_product(lower, r):
    """M x prod (x^2 + c_2j)/(x^2 + c_2j-1) with exact nodes, M from f(1) = 1."""
    c = exact_nodes(lower, r)
    odd, even = c[0::2], c[1::2]

    def product(x):
        y = x
        for p, z in zip(odd, even, strict=True):
            y = y * (x * x + z) / (x * x + p)
        return y

    w = weights.zolotarev(lower, r)
    scale = product(arb(1))
    # every residue is a product of at most 2r differences of nodes, of which neighbours lose at most the factor
    # (c_i + c_i+1)/|c_i+1 - c_i|
    loss = max(float((q + p) / abs(q - p)) for p, q in pairwise(c))
    limit = 4 * r * loss * node_limit(lower)
    assert all(abs(float(zolotarev_map(w, x) * scale / product(x) - 1)) <= limit for x in samples(lower, 100))


@pytest.mark.parametrize("r", ORDERS)
@pytest.mark.parametrize("lower", [1e-16, 1e-7, 1e-3, 0.1])
def test_zolotarev_equioscillates(lower, r):
    """r + 1 equal minima and r + 1 equal maxima, in turn."""
    w = weights.zolotarev(lower, r)
    values = extrema(lambda x: zolotarev_map(w, x), lower)
    # in double precision a minimum cannot be told from a maximum once 1 - lower is rounding
    limit = 20 * r * node_limit(lower)
    if 1 - w.lower > 4 * limit:
        assert len(values) == 2 * (r + 1)
    assert all(abs(low / w.lower - 1) <= limit for low in values[0::2])
    assert all(abs(high - 1) <= limit for high in values[1::2])


@pytest.mark.parametrize("lower", LOWER)
def test_zolotarev_of_order_one_is_halley(lower):
    halley, zolotarev = weights.halley(lower), weights.zolotarev(lower, 1)
    limit = HALLEY + 8 * node_limit(lower)
    for x in samples(lower, 50):
        assert abs(float(halley_map(halley, x) / zolotarev_map(zolotarev, x) - 1)) <= limit
    assert abs(halley.lower / zolotarev.lower - 1) <= limit


@pytest.mark.parametrize("r", ORDERS)
@pytest.mark.parametrize("lower", LOWER)
def test_zolotarev_is_one_at_one(lower, r):
    assert abs(float(zolotarev_map(weights.zolotarev(lower, r), arb(1))) - 1) <= 4 * r * node_limit(lower)


@pytest.mark.parametrize("lower", LOWER)
def test_zolotarev_gains_with_the_order(lower):
    reached = [weights.zolotarev(lower, r).lower for r in ORDERS]
    assert all(x <= y + EPS * 100 for x, y in pairwise(reached)) and reached[-1] <= 1


@pytest.mark.parametrize("kappa", [1.05, 2.0, 10.0, 1e3, 1e7, 1e12, 1e16])
def test_order_is_the_least_for_two_steps(kappa):
    def twice(r):
        return weights.zolotarev(weights.zolotarev(1 / kappa, r).lower, r).lower

    r = weights.zolotarev_order(1 / kappa, TARGET)
    assert twice(r) >= TARGET and (r == 1 or twice(r - 1) < TARGET)


def test_errors_fall_as_the_theory_says():
    """1 - f <= 4 exp(-(2r+1) pi K/(2 K')), the classical bound for the relative error of sign on [l, 1]."""
    lower = 1e-6
    for r in ORDERS:
        quarter, _ = quarter_period(lower)
        k = flint.acb(arb(lower) ** 2).elliptic_k().real
        reached = weights.zolotarev(lower, r).lower
        error = (1 - reached) / (1 + reached)  # after recentring
        assert log(error) <= log(2.0) - (2 * r + 1) * float(flint.arb.pi() * k / (2 * quarter)) + 1e-9
