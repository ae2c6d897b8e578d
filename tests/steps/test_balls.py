"""Norms, duals and minimisers from their definitions; all to the rounding of sums and singular values."""

from __future__ import annotations

import numpy as np
import pytest

from orthoref import steps
from orthoref.errors import OutsideDomain

KINDS = ("frobenius", "spectral", "max", "rms-rms", "1-2", "nuclear")
SHAPES = [(4, 4), (6, 3), (3, 6), (1, 5), (5, 1), (1, 1)]
DTYPES = ["float32", "float64", "complex64", "complex128"]


def drawn(shape, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    g = rng.standard_normal(shape)
    return (g + 1j * rng.standard_normal(shape) if dtype.startswith("complex") else g).astype(dtype)


def eps(x):
    return float(np.finfo(x.dtype).eps)


def inner(x, y):
    x, y = (z.astype("complex128") for z in (x, y))
    return np.vdot(x, y).real


def definition(x, kind):
    """In NumPy's norms."""
    out, into = x.shape
    s = np.linalg.svd(x.astype("complex128"))[1]
    return {
        "frobenius": np.sqrt((abs(x.astype("complex128")) ** 2).sum()),
        "spectral": s[0],
        "max": abs(x).max(),
        "rms-rms": np.sqrt(into / out) * s[0],
        "1-2": np.linalg.norm(x.astype("complex128"), axis=0).max(),
        "nuclear": s.sum(),
    }[kind]


def unit(g, x, value):
    """The sum of mn products, and 10 max(m, n) eps of the value for what SVD and polar factor commit."""
    return g.size * eps(g) * np.linalg.norm(g) * np.linalg.norm(x) + 10 * max(g.shape) * eps(g) * value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_minimiser_attains_minus_radius_times_the_dual_norm(shape, dtype, kind):
    g = drawn(shape, dtype)
    x, dual = steps.lmo(g, kind, radius=1.5), float(steps.dual_norm(g, kind))
    assert abs(inner(g, x) + 1.5 * dual) <= unit(g, x, 1.5 * dual)
    assert abs(float(steps.norm(x, kind)) - 1.5) <= 10 * max(shape) * eps(g) * 1.5
    assert abs(float(steps.norm(g, kind)) - definition(g, kind)) <= 10 * max(shape) * eps(g) * definition(g, kind)
    assert x.dtype == g.dtype and x.shape == g.shape


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_in_the_ball_is_below(kind):
    g, rng = drawn((5, 3)), np.random.default_rng(1)
    dual = float(steps.dual_norm(g, kind))
    for x in [*rng.standard_normal((50, 5, 3)), *(steps.lmo(drawn((5, 3), seed=k), kind) for k in range(9))]:
        x = x / definition(x, kind)
        assert abs(inner(g, x)) <= dual * (1 + 100 * eps(g))
    for other in KINDS:  # minimisers of other balls are in this one after scaling
        x = steps.lmo(g, other)
        assert inner(g, x) / definition(x, kind) >= -dual * (1 + 100 * eps(g))


@pytest.mark.parametrize("kind", KINDS)
def test_a_minimiser_is_a_subgradient_of_the_dual_norm(kind):
    g = drawn((4, 5))
    s = -steps.lmo(g, kind)
    for seed in range(1, 20):
        h = g + 10.0 ** -(seed % 8) * drawn((4, 5), seed=seed)
        model = float(steps.dual_norm(g, kind)) + inner(s, h - g)
        assert float(steps.dual_norm(h, kind)) >= model - 500 * eps(g) * np.linalg.norm(h) * 20**0.5


def test_duals_are_mutual():
    g = drawn((6, 4))
    assert np.allclose(steps.dual_norm(g, "frobenius"), steps.norm(g, "frobenius"), rtol=8 * eps(g), atol=0)
    assert np.allclose(steps.dual_norm(g, "spectral"), steps.norm(g, "nuclear"), rtol=8 * eps(g), atol=0)
    assert np.allclose(steps.dual_norm(g, "nuclear"), steps.norm(g, "spectral"), rtol=8 * eps(g), atol=0)


@pytest.mark.parametrize(
    ("kind", "norm", "dual"),
    [
        ("frobenius", 13, 13),
        ("spectral", 12, 17),
        ("max", 12, 19),
        ("rms-rms", 12 * (2 / 3) ** 0.5, 17 * 1.5**0.5),
        ("1-2", 12, 17),
        ("nuclear", 17, 12),
    ],
)
def test_by_hand(kind, norm, dual):
    g = np.asarray([[3.0, 0.0], [4.0, 0.0], [0.0, -12.0]])  # singular values 12 and 5
    assert float(steps.norm(g, kind)) == pytest.approx(norm, rel=8 * eps(g), abs=0)
    assert float(steps.dual_norm(g, kind)) == pytest.approx(dual, rel=8 * eps(g), abs=0)


def test_rms_to_rms_is_the_largest_ratio_of_root_mean_squares():
    a, rng = drawn((3, 7)), np.random.default_rng(2)

    def rms(v):
        return np.sqrt(np.mean(v**2))

    best = np.linalg.svd(a)[2][0]
    found = float(steps.norm(a, "rms-rms"))
    assert rms(a @ best) / rms(best) == pytest.approx(found, rel=50 * eps(a), abs=0)
    assert all(rms(a @ v) / rms(v) <= found * (1 + 50 * eps(a)) for v in rng.standard_normal((99, 7)))
    longest = float(steps.norm(a, "1-2"))
    assert all(np.linalg.norm(a @ v) <= longest * abs(v).sum() for v in rng.standard_normal((99, 7)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_orientation_is_the_transpose(kind):
    g = drawn((5, 3))
    assert np.allclose(steps.lmo(g, kind, orientation="in-out"), steps.lmo(g.T, kind).T, rtol=0, atol=100 * eps(g))
    for of in (steps.norm, steps.dual_norm):
        assert float(of(g, kind, orientation="in-out")) == pytest.approx(float(of(g.T, kind)), rel=50 * eps(g), abs=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("power", [1020, -1060])
def test_far_from_one(kind, power):
    g = np.round(2.0**10 * drawn((4, 3))) / 2.0**10  # still exact when it is small
    far = np.ldexp(g, power)
    assert np.allclose(steps.lmo(far, kind), steps.lmo(g, kind), rtol=0, atol=100 * eps(g))
    for of in (steps.norm, steps.dual_norm):
        near = np.ldexp(float(of(g, kind)), power)
        assert float(of(far, kind)) == pytest.approx(near, rel=20 * eps(g), abs=2.0**-1074)


def test_overflow_is_refused():
    with pytest.raises(OutsideDomain, match="the norm overflows"):
        steps.norm(np.full((3, 3), 1.7e308), "frobenius")
    with pytest.raises(OutsideDomain, match="nan"):
        steps.lmo(np.asarray([[np.nan]]), "max")


@pytest.mark.parametrize("kind", KINDS)
def test_zero_stays_zero(kind):
    stack = np.stack([np.zeros((3, 2)), drawn((3, 2))])
    x = steps.lmo(stack, kind)
    assert not x[0].any() and np.allclose(x[1], steps.lmo(stack[1], kind), rtol=0, atol=50 * eps(stack))
    assert not steps.norm(stack, kind)[0] and not steps.dual_norm(stack, kind)[0]


def test_zero_entries_columns_and_null_spaces_stay_zero():
    g = np.asarray([[0.0, 2.0, 0.0], [0.0, -1.0, 3.0]])
    assert np.array_equal(steps.lmo(g, "max"), [[0, -1, 0], [0, 1, -1]])
    assert not steps.lmo(g, "1-2")[:, 0].any()
    low = np.outer([3.0, 4.0], [1.0, 2.0, 2.0])
    assert np.allclose(steps.lmo(low, "spectral"), -low / 15, rtol=0, atol=20 * eps(g))
    assert np.allclose(steps.lmo(low, "nuclear"), -low / 15, rtol=0, atol=20 * eps(g))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rms-rms"])
def test_empty(kind):
    g = np.zeros((2, 0, 3))
    assert steps.lmo(g, kind).shape == (2, 0, 3) and not steps.norm(g, kind).any() and steps.norm(g, kind).shape == (2,)
    with pytest.raises(ValueError, match="RMS"):
        steps.norm(g, "rms-rms")


def test_products_of_balls():
    gs = [drawn((4, 3)), drawn((2, 5), seed=1), drawn((3, 3), seed=2)]
    kinds, radii = ["spectral", "max", "1-2"], [2, 0.5, 3]
    xs = steps.product_lmo(gs, kinds, radii, radius=0.25)
    dual = float(steps.product_dual_norm(gs, kinds, radii))
    by_hand = sum(r * float(steps.dual_norm(g, k)) for g, k, r in zip(gs, kinds, radii, strict=True))
    assert dual == pytest.approx(by_hand, rel=4 * eps(gs[0]), abs=0)
    assert sum(map(inner, gs, xs)) == pytest.approx(-dual / 4, rel=200 * eps(gs[0]), abs=0)
    assert float(steps.product_norm(xs, kinds, radii)) == pytest.approx(0.25, rel=50 * eps(gs[0]), abs=0)
    rng = np.random.default_rng(3)
    for _ in range(50):  # nothing in the product ball pairs with the gradients to more
        ys = [rng.standard_normal(g.shape) for g in gs]
        size = float(steps.product_norm(ys, kinds, radii))
        assert size == max(float(steps.norm(y, k)) / r for y, k, r in zip(ys, kinds, radii, strict=True))
        assert sum(map(inner, gs, ys)) <= dual * size * (1 + 100 * eps(gs[0]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: steps.norm(g, "2"), "kind"),
        (lambda g: steps.lmo(g, "max", radius=-1.0), "radius"),
        (lambda g: steps.lmo(g, "max", orientation="rows"), "orientation"),
        (lambda g: steps.product_norm([g], ["max"], []), "layers"),
        (lambda g: steps.product_norm([], [], []), "layers"),
        (lambda g: steps.product_lmo([g], ["max"], [0.0]), "radius of 0"),
        (lambda g: steps.product_lmo([g], ["max"], [1.0], radius=-1), "radius"),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.eye(2))
