"""Each ratio against factors whose defects are known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from exact import exact_polar

from orthoref import PortFailure, polar, testing
from orthoref.oracle import cases
from orthoref.oracle.orthonormal import ratios as orthonormal_ratios
from orthoref.oracle.polar import ratios as polar_ratios
from orthoref.oracle.precision import PRECISIONS, precision_of
from orthoref.oracle.residual import rounding_norm

EPS = 2.0**-52
UNIT = 8 * EPS  # max(n, 8) eps for the orders below


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(("m", "n"), [(4, 4), (6, 4)])
def test_exact_factors_score_zero(m, n, dtype):
    # dyadic factors: every product and difference in the measures is exact, |A|_* = tr H up to its own SVD
    a, u, h, *_ = exact_polar(m, n, [1, 0.5, 0.5, 0.25], dtype)
    ratios = polar_ratios.polar(a, u, h)
    assert {name for name, ratio in ratios.items() if ratio != 0} <= {"nuclear"}
    assert ratios["nuclear"] <= 1
    left = polar_ratios.polar(a, u, u @ h @ u.conj().T, side="left")
    assert left["backward"] == left["symmetric"] == left["hermitian"] == 0


DEFECTS = {  # (U, H) for A = diag(3, 4), |A| = 5, and the ratio times its unit, worked out by hand
    "backward": (np.eye(2), np.diag([3.0, 5.0]), 1 / 5),
    "orthonormal": (np.diag([1.0, 2.0]), np.diag([3.0, 4.0]), 3.0),
    "hermitian": (np.eye(2), np.array([[3.0, 1.0], [0.0, 4.0]]), np.sqrt(2) / np.sqrt(26)),
    "positive": (np.eye(2), np.diag([3.0, -4.0]), 4 / 5),
    "symmetric": (np.array([[0.0, 1.0], [1.0, 0.0]]), np.eye(2), np.sqrt(1 / 2) / 5),  # skew [[0,4],[3,0]] = 1/2
    "nuclear": (np.diag([1.0, -1.0]), np.diag([3.0, -4.0]), 8 / 7),
}


@pytest.mark.parametrize("name", DEFECTS)
@pytest.mark.parametrize("scale", [1.0, 2.0**1000, 2.0**-900])
def test_a_known_defect_has_its_known_ratio(name, scale):
    u, h, defect = DEFECTS[name]
    ratios = polar_ratios.polar(scale * np.diag([3.0, 4.0]), u, scale * h)
    assert ratios[name] == pytest.approx(defect / UNIT, rel=8 * EPS, abs=0)  # a handful of roundings


def test_without_h_the_hermitian_part_is_judged():
    u = np.array([[0.0, -1.0], [1.0, 0.0]])
    a = u @ np.array([[2.0, 1.0], [1.0, 2.0]])
    assert all(ratio <= 1 for ratio in polar_ratios.polar(a, u).values())
    assert polar_ratios.polar(a, -u)["positive"] > 1e14


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["u", "h"])
def test_what_is_not_finite_never_passes(bad, where):
    a, u, h, *_ = exact_polar(4, 4, [1, 1, 0.5, 0.5])
    spoilt = {"u": u.copy(), "h": h.copy()}
    spoilt[where][1, 2] = bad
    ratios = polar_ratios.polar(a, spoilt["u"], spoilt["h"])
    assert not all(ratio <= 1e300 for ratio in ratios.values())


def test_a_stack_is_its_matrices():
    rng = np.random.RandomState(0)
    a, u, h = rng.standard_normal((3, 2, 5, 4)), rng.standard_normal((3, 2, 5, 4)), rng.standard_normal((3, 2, 4, 4))
    stacked = polar_ratios.polar(a, u, h)
    for index in np.ndindex(3, 2):
        single = polar_ratios.polar(a[index], u[index], h[index])
        for name, ratio in single.items():
            assert stacked[name].shape == (3, 2)
            # the same sums, in an order that BLAS may choose differently: 5 products of size 10 over 8 eps
            assert stacked[name][index] == pytest.approx(ratio, rel=100 * EPS, abs=0)


def test_the_subnormal_grid_is_granted_and_nothing_more():
    tiny = 2.0**-1074
    a = tiny * np.array([[3.0, 1.0], [1.0, 3.0]])
    assert polar_ratios.polar(a, np.eye(2), a)["backward"] == 0
    off_by_one = a + tiny * np.array([[0, 1.0], [1.0, 0]])  # rounded the wrong way: n tiny is the unit
    assert polar_ratios.polar(a, np.eye(2), off_by_one)["backward"] <= 1
    assert polar_ratios.polar(a, np.eye(2), 100 * a)["backward"] > 10


def test_partial_isometries():
    u = np.diag([1.0, 0.0])
    assert polar_ratios.polar(u, u, u, isometry="partial")["orthonormal"] == 0
    assert polar_ratios.polar(u, u, u)["orthonormal"] == pytest.approx(1 / UNIT, rel=1e-12, abs=0)
    assert polar_ratios.polar(u, np.diag([1.0, 0.5]), u, isometry="partial")["orthonormal"] > 1e14


def test_orthonormal_rows_of_a_wide_matrix():
    q = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    assert orthonormal_ratios.orthonormal(q)["orthonormal"] == orthonormal_ratios.orthonormal(q.T)["orthonormal"] == 0
    assert orthonormal_ratios.orthonormal(2 * q)["orthonormal"] == pytest.approx(
        3 * np.sqrt(2) / UNIT, rel=1e-12, abs=0
    )


def test_units():
    assert [precision_of("float64").growth(n) for n in (1, 8, 9, 100)] == [8, 8, 9, 100]
    assert precision_of("bfloat16").growth(16) == 4
    assert precision_of("complex64") == PRECISIONS["float32"]
    with pytest.raises(TypeError, match="int64"):
        precision_of("int64")


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_the_formats_are_numpys(name):
    info = np.finfo(name)
    assert PRECISIONS[name][1:] == (float(info.eps), float(info.smallest_subnormal), float(info.max))


def test_bfloat16_is_ml_dtypes():
    info = pytest.importorskip("ml_dtypes").finfo("bfloat16")
    assert PRECISIONS["bfloat16"][1:] == (float(info.eps), float(info.smallest_subnormal), float(info.max))


def test_the_judges_own_rounding_does_not_grow_with_the_number_of_rows():
    # 1/sqrt(m) with m a power of 4: an exactly orthonormal column in binary, whose Gram sum is exact in any order;
    # then random columns normalised in extended precision, whose defect is below m^(1/2) half-ulps of 1/sqrt(m)
    m = 4**9
    assert orthonormal_ratios.orthonormal(np.full((m, 1), 2.0**-9))["orthonormal"] == 0
    rng = np.random.RandomState(0)
    q = rng.standard_normal((200_000, 1)).astype(np.longdouble)
    q = (q / np.sqrt(np.sum(q * q))).astype(np.float64)
    assert orthonormal_ratios.orthonormal(q)["orthonormal"] <= 1
    assert orthonormal_ratios.orthonormal(q.T)["orthonormal"] <= 1


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("shape", [(300, 2), (2, 300)])
def test_the_grid_is_granted_to_the_larger_factor_as_well(shape, side):
    tiny = 2.0**-1074
    u = np.zeros(shape)
    u[0, 0] = u[1, 1] = 1
    order = shape[1] if side == "right" else shape[0]
    h = np.zeros((order, order))
    h[0, 0] = h[1, 1] = 64 * tiny
    a = u @ h if side == "right" else h @ u
    ratios = polar_ratios.polar(a, u, h + np.where(np.arange(order)[:, None] == np.arange(order), 0, tiny), side=side)
    assert ratios["backward"] <= 1 and ratios["positive"] <= 1


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_factors_of_subnormal_scale_rounded_once_to_a_coarser_format_pass(precision):
    # they lie on the subnormal grid of that format, whose numbers float32 stores with more
    tiny = PRECISIONS[precision].tiny
    for seed in range(5):
        a = cases.matrix((12, 12), cond=10, seed=seed) * 20 * tiny
        a = cases.cast(a, precision)
        u, h = (cases.cast(x, precision) for x in polar(a.astype(float)))
        testing.assert_polar(a, u, h, precision=precision)
        with pytest.raises(PortFailure):
            testing.assert_polar(a, -u, h, precision=precision)
        with pytest.raises(PortFailure):  # of the size of their tiny, but on the grid of float32
            testing.assert_polar(a, u, h * np.float32(1.3), precision=precision)


SHORT_DEFECTS = {  # (A, U, H), the check, and the error, worked out by hand; bfloat16, eps = 2^-7
    "multiple": (np.eye(2), np.eye(2), 1.5 * np.eye(2), 0.5 / 2.0**-8),
    "signs": (np.eye(2), np.diag([1.0, -1.0]), np.eye(2), 1 / (2 * 2.0**-8)),  # |dU|_2 = eps/2 + eps/2
    "backward_2": (np.eye(2), np.eye(2), np.diag([1.0, 2.0]), 1 / (4 * 2.0**-8)),  # |dH|_2 capped
    "hermitian_2": (np.eye(2), np.eye(2), np.array([[1.0, 1.0], [0.0, 1.0]]), 1 / (8 * 2.0**-8)),
    "orthonormal_2": (np.eye(2), np.diag([1.0, 0.0]), np.eye(2), 1 / (4 * 2.0**-8)),
    "lengths": (np.eye(2), np.diag([1.0, 0.0]), np.eye(2), 1 / 2.0**-8),
    "consistent_2": (np.eye(1, 2), np.eye(1, 2), np.diag([1.0, 0.5]), 0.5 / (4 * 2.0**-8)),
}


@pytest.mark.parametrize("name", SHORT_DEFECTS)
@pytest.mark.parametrize("scale", [1.0, 2.0**1000, 2.0**-100])
def test_a_known_defect_has_its_known_ratio_in_a_short_format(name, scale):
    a, u, h, expected = SHORT_DEFECTS[name]
    found = polar_ratios.polar(scale * a, u, scale * h, precision=PRECISIONS["bfloat16"])
    assert found[name] == pytest.approx(expected, rel=1e-6, abs=0)  # 2^-133/2^-100 of granted subnormal grid


def test_without_h_the_smaller_product_is_judged():
    a = np.random.RandomState(0).standard_normal((2, 5))
    u, _ = polar(a)
    for side in ("right", "left"):
        assert all(ratio <= 1 for ratio in polar_ratios.polar(a, u, side=side).values())
    turned = np.array([[0.0, -1.0], [1.0, 0.0]]) @ u
    assert polar_ratios.polar(a, turned)["symmetric"] == polar_ratios.polar(a, turned, side="left")["symmetric"] > 1e10


@pytest.mark.parametrize("name", ["symmetric", "nuclear", "orthonormal"])
def test_nothing_is_granted_to_u_on_the_subnormal_grid(name):
    a, u = np.array([[3.0, 1.0], [2.0, 4.0]]), np.array([[0.6, -0.8], [0.8, 0.6]])
    assert polar_ratios.polar(a * 2.0**-1074, u)[name] == polar_ratios.polar(a, u)[name]


@pytest.mark.parametrize("precision", ["float64", "bfloat16"])
@pytest.mark.parametrize("isometry", ["full", "partial"])
@pytest.mark.parametrize("side", ["right", "left", "without h"])
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (1, 1)])
def test_every_ratio_is_its_formula(shape, side, isometry, precision):
    """(R1) to (R7) and (S1) to (S8), written out, for factors that satisfy none of them."""
    rng, (m, n), p = np.random.RandomState(1), shape, PRECISIONS[precision]
    k, long = min(shape), max(shape)
    a, u = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape) for _ in range(2))
    right = m >= n if side == "without h" else side == "right"
    order = n if right else m
    h = rng.standard_normal((order, order)) + 1j * rng.standard_normal((order, order)) - 3 * np.eye(order)
    product = u.conj().T @ a if right else a @ u.conj().T
    herm = (product + product.conj().T) / 2
    given = {} if side == "without h" else {"h": h, "side": side}
    h = given.get("h", herm)

    def frobenius(x):
        return np.sqrt((np.abs(x) ** 2).sum())

    def spectral(x):
        return np.linalg.svd(x, compute_uv=False)[0]

    def below_zero(x):
        return max(0.0, -np.linalg.eigvalsh((x + x.conj().T) / 2)[0])

    rest = a - (u @ h if right else h @ u)
    gram = u.conj().T @ u if m >= n else u @ u.conj().T
    off = u @ u.conj().T @ u - u if isometry == "partial" else np.eye(k) - gram
    nuclear = np.linalg.svd(a, compute_uv=False).sum()
    e, e_u = p.relative(k, long) * p.eps, p.growth(k, long) * p.eps
    expected = {
        "backward": frobenius(rest) / frobenius(a) / e,
        "orthonormal": frobenius(off) / e_u,
        "hermitian": frobenius(h - h.conj().T) / frobenius(h) / e,
        "positive": below_zero(h) / frobenius(h) / e,
        "symmetric": frobenius(product - product.conj().T) / 2 / frobenius(a) / e,
        "nuclear": abs(nuclear - np.trace(product).real) / nuclear / e,
        "consistent": frobenius(h - herm) / frobenius(a) / e,
    }
    if precision == "bfloat16":
        largest, unit = spectral(a), orthonormal_ratios.unit_2(u, p)
        unit_h = min(float(rounding_norm(h, p)), p.eps * largest)
        expected["orthonormal_2"] = spectral(off) / unit / 2
        if isometry == "full":
            squares = (np.abs(u) ** 2).sum(axis=0 if m >= n else 1)
            expected["lengths"] = np.abs(np.sqrt(squares) - 1).max() / (p.eps / 2)
            expected["scale"] = abs(squares.mean() - 1) / orthonormal_ratios.scale_unit(u, p)
        expected["backward_2"] = spectral(rest) / (unit * largest + unit_h)
        expected["signs"] = below_zero(herm) / (unit * largest)
        if given:
            expected["hermitian_2"] = spectral(h - h.conj().T) / 2 / (unit * largest + unit_h)
            expected["multiple"] = abs(frobenius(h) - frobenius(a)) / (p.eps / 2 * frobenius(a))
            if order > k or isometry == "partial":
                expected["consistent_2"] = spectral(h - herm) / (unit * largest + unit_h)
    found = polar_ratios.polar(a, u, isometry=isometry, precision=p, **given)
    assert found.keys() == expected.keys()
    for name, ratio in found.items():
        if not given and name in ("hermitian", "consistent"):
            assert ratio == 0  # the Hermitian part is judged in the place of H
        else:
            assert ratio == pytest.approx(expected[name], rel=1e-12, abs=0), name


@pytest.mark.parametrize("isometry", ["full", "partial"])
@pytest.mark.parametrize("precision", ["float64", "bfloat16"])
@pytest.mark.parametrize("shape", [(2, 3, 0), (2, 0, 3), (2, 0, 0), (0, 3, 2)])
def test_ratios_of_empty_matrices_have_the_batch_shape_and_are_zero(shape, precision, isometry):
    a = np.zeros(shape)
    for h in (None, np.zeros((*shape[:-2], shape[-1], shape[-1]))):
        found = polar_ratios.polar(a, a, h, precision=PRECISIONS[precision], isometry=isometry)
        assert all(ratio.shape == shape[:1] and not ratio.any() for ratio in found.values())


@pytest.mark.parametrize("n", [1, 2, 3, 40])
def test_one_entry_that_is_not_finite_spoils_its_member_alone(n):
    h = np.stack([np.eye(n)] * 3)
    h[1, 0, 0] = np.nan
    a = np.stack([np.eye(n)] * 3)
    found = polar_ratios.polar(a, a, h, precision=PRECISIONS["bfloat16"])
    for name in ("backward", "positive", "consistent", "backward_2", "hermitian_2"):
        assert np.isnan(found[name][1]) and not found[name][[0, 2]].any(), name


@pytest.mark.parametrize("shape", [(5000, 2), (2, 5000)])
def test_long_matrices_are_judged_in_the_unit_of_their_length(shape):
    a, u = (np.random.RandomState(seed).standard_normal(shape) for seed in (0, 1))
    long, tall = (x if shape[0] > shape[1] else x.T for x in (u, a))
    product = long.T @ tall
    unit = 2**0.5 * 100 * EPS  # (LONG)
    found = polar_ratios.polar(a, u)
    skew = np.linalg.norm(product - product.T) / 2 / np.linalg.norm(a)
    assert found["symmetric"] == pytest.approx(skew / unit, rel=1e-10, abs=0)
    rest = np.linalg.norm(np.eye(2) - long.T @ long)
    assert found["orthonormal"] == pytest.approx(rest / unit, rel=1e-10, abs=0)
    partial = polar_ratios.polar(a, u, isometry="partial")["orthonormal"]
    rest = np.linalg.norm(long @ (long.T @ long) - long)
    assert partial == pytest.approx(rest / unit, rel=1e-10, abs=0)
