"""Mistakes of polar factors one by one: what undoes them, what contradicts them, what is said where none is known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from orthoref import polar
from orthoref.oracle import cases
from orthoref.oracle.lift import Lifted
from orthoref.oracle.polar import reasons
from orthoref.oracle.polar.reasons import describe, variants
from orthoref.oracle.polar.row import PolarClaim
from orthoref.oracle.precision import PRECISIONS

pytestmark = pytest.mark.sample(4)

FLOAT64, FLOAT32, BFLOAT16 = (PRECISIONS[name] for name in ("float64", "float32", "bfloat16"))
SHAPES = [(6, 6), (9, 4), (4, 9)]
SIDES = ["right", "left"]


def drawn(shape, scale=1.0, **options):
    return cases.matrix(shape, cond=20, seed=3, dtype="complex128", scale=scale, **options)


def named(a, u, h=None, failed=("backward",), precision=FLOAT64, **claims):
    """Keys of the variants, with what they would make of the factors."""
    inputs, outputs = {"a": Lifted(a, None)}, {"u": Lifted(u, None)} | ({} if h is None else {"h": Lifted(h, None)})
    with np.errstate(all="ignore"):
        return {
            v.key: v for v in variants(inputs, outputs, PolarClaim(**claims), precision, dict.fromkeys(failed, 1.0))
        }


def told(a, u, h=None, failed=("backward",), precision=FLOAT64, **claims):
    inputs, outputs = {"a": Lifted(a, None)}, {"u": Lifted(u, None)} | ({} if h is None else {"h": Lifted(h, None)})
    with np.errstate(all="ignore"):
        return describe(inputs, outputs, PolarClaim(**claims), precision, dict.fromkeys(failed, 1.0))


def rotation(n, angle):
    x = np.eye(n, dtype=complex)
    x[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return x


MISTAKES = {  # of (u, h) -> (u, h)
    "h has the wrong sign": lambda u, h: (u, -h),
    "h is half of what it should be": lambda u, h: (u, h / 2),
    "h is twice what it should be": lambda u, h: (u, 2 * h),
    "h is transposed (or conjugated)": lambda u, h: (u, h.T),
    "u and h have the wrong sign": lambda u, h: (-u, -h),
    "u is conjugated: a conjugate was lost or is too many": lambda u, h: (u.conj(), h),
    "both factors are conjugated: a conjugate was lost or is too many": lambda u, h: (u.conj(), h.conj()),
    "u is conjugated and h is transposed": lambda u, h: (u.conj(), h.T),
    "u has the wrong sign": lambda u, h: (-u, h),
    "u is half of what it should be": lambda u, h: (u / 2, h),
    "u is twice what it should be": lambda u, h: (2 * u, h),
}
SQUARE = {
    "u and h are swapped": lambda u, h: (h, u),
    "u is transposed": lambda u, h: (u.T, h),
    "u is the conjugate transpose of what it should be": lambda u, h: (u.conj().T, h),
}


@pytest.mark.parametrize("scale", [1.0, 1e150])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("name", "shape"), [*product(MISTAKES, SHAPES), *product(SQUARE, SHAPES[:1])])
def test_a_mistake_is_undone(name, shape, side, scale):
    a = drawn(shape, scale)
    u, h = polar(a, side=side)
    found = named(a, *(MISTAKES | SQUARE)[name](u, h), side=side)
    assert name in found
    np.testing.assert_allclose(found[name].outputs["u"], u, rtol=1e-15, atol=0)
    np.testing.assert_allclose(found[name].outputs["h"], h, rtol=1e-15, atol=0)
    if name != "u and h have the wrong sign":  # which two vectors do not contradict
        assert name not in named(a, u, h, side=side)
    if "h " not in name and "both" not in name:
        alone = named(a, MISTAKES.get(name, SQUARE.get(name))(u, h)[0])
        np.testing.assert_allclose(alone[name].outputs["u"], u, rtol=1e-15, atol=0)
        assert alone[name].outputs.keys() == {"u"}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_lost_square_root(shape, side):
    a = drawn(shape)
    u, h = polar(a, side=side)
    name = "h lacks its square root: it is A^H A"
    root = named(a, u, h @ h, side=side)[name].outputs["h"]
    np.testing.assert_allclose(root, h, rtol=0, atol=1e-6)
    assert name not in named(a, u, 1.5 * h @ h, side=side)


def test_factors_of_the_other_side():
    a = drawn((6, 6))
    for side, other in (SIDES, SIDES[::-1]):
        found = named(a, *polar(a, side=side), side=other)["other side"]
        assert found.claimed.side == side and found.outputs is None
        form = "A = H U, not U H" if other == "right" else "A = U H, not H U"
        assert found.reason == f"these are the factors of the other side: {form}"
        assert "other side" not in named(a, *polar(a, side=other), side=other)
    assert "other side" not in named(a, polar(a)[0])
    long = drawn((9, 4))
    assert "other side" not in named(long, polar(long)[0], np.eye(9), side="left")


def test_a_partial_isometry():
    a = np.diag([3.0, 2.0, 0.0])
    partial = np.diag([1.0, 1.0, 0.0])
    found = named(a, partial, a)["partial isometry"]
    assert found.claimed.rank_deficient == "partial" and found.claimed.side == "right"
    assert "partial isometry" not in named(a, partial, a, rank_deficient="partial")
    assert "partial isometry" not in named(a, np.diag([1.0, -1.0, 0.0]), a)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", SIDES)
def test_zero_is_said_at_once(shape, side):
    a = drawn(shape)
    u, h = polar(a, side=side)
    found = named(a, 0 * u, h, side=side)
    assert [*found] == ["u is zero"]
    np.testing.assert_allclose(found["u is zero"].outputs["u"], u, rtol=0, atol=1e-14)
    np.testing.assert_allclose(found["u is zero"].outputs["h"], h, rtol=0, atol=1e-14)
    assert named(a[:0], u[:0], None) == {}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("count", [1, 2])
def test_reversed_directions(shape, side, count):
    a = drawn(shape)
    p, s, vh = np.linalg.svd(a, full_matrices=False)
    u, h = polar(a, side=side)
    wrong = (p * np.where(np.arange(len(s)) < count, -1, 1)) @ vh
    first, both = reasons._reversed(a, wrong, h, side)
    are = "is" if count == 1 else "are"
    text = f"{count} of 4 directions of u {are} reversed: U^H A has negative eigenvalues"
    assert first.reason == text.replace("of 4", f"of {min(shape)}") and both.reason == f"{first.reason}, of h too"
    np.testing.assert_allclose(first.outputs["u"], u, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(first.outputs["h"], h)
    turned = {"right": wrong.conj().T @ a, "left": a @ wrong.conj().T}[side]
    _, again = reasons._reversed(a, wrong, (turned + turned.conj().T) / 2, side)
    np.testing.assert_allclose(again.outputs["h"], h, rtol=0, atol=1e-13)
    assert [*reasons._reversed(a, u, h, side)] == [] and len([*reasons._reversed(a, wrong, None, side)]) == 1
    assert "reversed directions" in named(a, wrong, h, side=side)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", SIDES)
def test_one_wrong_place(shape, side):
    a = drawn(shape)
    u, h = polar(a, side=side)
    off, off_h = u.copy(), h.copy()
    off[1, 2] += 0.1
    off_h[2, 1] += 0.1
    found = named(a, off, h, side=side)["one entry of u"]
    assert found.reason == "entry (1, 2) of u alone is wrong, by 0.1"
    np.testing.assert_allclose(found.outputs["u"], u, rtol=0, atol=1e-14)
    found = named(a, u, off_h, side=side)["one entry of h"]
    assert found.reason == "entry (2, 1) of h alone is wrong, by 0.1"
    np.testing.assert_allclose(found.outputs["h"], h, rtol=0, atol=1e-13)


def test_shorter_formats():
    a = drawn((20, 20))
    u, h = polar(a)
    rounded = u.astype("complex64").astype("complex128")
    assert named(a, rounded, h)["accurate to float32"].precision == FLOAT32
    single = h.astype("complex64").astype("complex128")
    assert "h accurate to float32" in named(a, u, single) and "h accurate to float32" in named(
        a, u, single, ["hermitian"]
    )
    for failed in ("orthonormal", "symmetric", "nuclear"):
        assert "h accurate to float32" not in named(a, u, single, ["backward", failed])
    for scale in (1e-6, 1e6):
        assert "h accurate to float32" in named(a * scale, u, (h * scale).astype("complex64").astype("complex128"))
    tiny = drawn((20, 20), scale=1e-310)
    assert "accurate to float32" not in named(tiny, rounded)  # its subnormal numbers are the reason


def test_an_inverse_errs_like_a_shorter_format():
    noise = np.random.RandomState(0).standard_normal((20, 20))
    for cond, named_ in ((10.0, True), (1e9, False)):
        a = cases.matrix((20, 20), cond=cond, seed=3)
        u, _ = polar(a)
        assert ("accurate to float32" in named(a, u + 3e-8 * noise)) == named_
        assert "accurate to float32" in named(a, u.astype("float32").astype(float))  # on its grid


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("scale", [1.0, 1e-200])
def test_what_two_vectors_contradict(shape, side, scale):
    a = drawn(shape, scale)
    u, h = polar(a, side=side)
    plausible = reasons._plausible
    assert plausible(a, u, h, side) and plausible(a, u, None, side)
    for wrong_u, wrong_h in ((-u, h), (u, -h), (0.5 * u, 2 * h), (2 * u, h / 2), (u.conj(), h), (u, h.conj())):
        assert not plausible(a, wrong_u, wrong_h, side)
    for wrong_u in (-u, 2 * u, u / 2, u.conj(), np.roll(u, 1, axis=0), np.full(u.shape, np.nan)):
        assert not plausible(a, wrong_u, None, side)
    skew = h + 2j * scale * np.eye(len(h))
    assert not plausible(a, u, skew, side)
    assert not plausible(a, 2 * u, h / 2, side, isometry=True) and plausible(a, 2 * u, h / 2, side, isometry=False)


WIDE_U = np.eye(2, 3)


def test_what_is_said_of_checks_that_fail():
    a = drawn((6, 6))
    u, h = polar(a)
    turned = u @ rotation(6, 0.3)
    found = told(a, turned, h, ["symmetric", "backward"])
    assert len(found) == 1 and found[0].startswith("columns are orthonormal, but U^H A is not Hermitian by 0.")
    assert (
        told(a, u, h, ["positive"])
        == told(a, u, h, ["signs"])
        == ["U^H A is Hermitian but has negative eigenvalues: some singular vectors have the wrong sign"]
    )
    assert told(a, u, h, ["nuclear"]) == [
        "Re<A,U> is less than |A|_*: some singular vectors have the wrong sign, or u is no isometry on the range of a"
    ]
    assert (
        told(a, u, None, ["backward"])
        == told(a, u, None, ["backward_2"])
        == ["u is orthonormal and U^H A Hermitian, but the range of u is not that of a"]
    )
    assert told(a, u, h, ["hermitian"]) == told(a, u, h, ["hermitian_2"]) == ["h is not Hermitian"]
    null = "h is wrong on the null space of u, where A = U H does not see it: H is U^H A there, too"
    assert told(a, u, h, ["consistent"]) == told(a, u, h, ["consistent", "consistent_2"]) == [null]
    assert told(a, u, h, ["consistent", "hermitian"]) == ["h is not Hermitian"]
    product = "u is a polar factor, but the product of the factors is not a: h is"
    for name in ("backward", "backward_2", "multiple"):
        assert told(a, u, 1.25 * h, [name]) == [f"{product} 1.25 times what it should be"]
        assert told(a, u, h + np.diag([1, 0, 0, 0, 0, 0]), [name]) == [f"{product} wrong"]
    assert told(a, u, 1.25 * h, ["backward", "positive"])[0].startswith("U^H A is Hermitian but")
    assert told(a, u, h, []) == [] == told(a, u, None, ["symmetric"])
    assert told(a[:0], u[:0], np.eye(6), ["hermitian"]) == ["the factors of an empty matrix: h is zero"]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("scale", [1.0, 1e-250])
def test_a_multiple_of_h(side, scale):
    a = drawn((5, 3), scale)
    u, h = polar(a, side=side)
    assert reasons._wrong_h(a, u, 0.875 * h, side) == "h is 0.875 times what it should be"
    assert reasons._wrong_h(a, u, h @ (h / scale), side) == "h is wrong"
    beside = np.roll(np.eye(len(h)), 1, axis=0) * np.linalg.norm(h / scale) * scale
    assert reasons._wrong_h(a, u, 1.01 * h + 0.02 * beside, side) == "h is wrong"  # no multiple explains it


@pytest.mark.parametrize("shape", SHAPES)
def test_the_larger_error_is_named_first(shape):
    a = drawn(shape)
    u, _ = polar(a)
    vectors = "columns" if shape[0] >= shape[1] else "rows"
    k = min(shape)
    turn = rotation(k, 0.2)
    turned = u @ turn if shape[0] >= shape[1] else turn @ u
    off = "U^H A is not Hermitian by 0."
    both = ["orthonormal", "symmetric"]
    first, second = told(a, 1.002 * turned, None, both)
    assert first.startswith(off) and second.startswith(f"{vectors} are orthogonal but have length 1.002")
    (only,) = told(a, 1.5 * u, None, both)  # off by less than three times the lengths
    assert only.startswith(f"{vectors} are orthogonal but have length 1.5")
    assert told(a, turned, None, ["symmetric"])[0].startswith(f"{vectors} are orthonormal, but {off}")
    for name in ("orthonormal", "orthonormal_2", "lengths", "scale"):
        assert told(a, 1.5 * u, None, [name])[0].startswith(f"{vectors} are orthogonal but have length 1.5")
    for name in ("symmetric", "backward", "backward_2"):
        assert told(a, turned, None, [name])[0].startswith(f"{vectors} are orthonormal, but {off}")


def test_singular_inputs():
    a = np.diag([1.0, 1.0, 0.0])
    found = told(a, np.diag([1.0, 1.0, 0.5]), None, ["orthonormal"])
    words = "the input is rank deficient to working precision: u is neither orthonormal nor a partial isometry"
    assert found[0] == words
    assert words not in told(a, np.diag([1.0, 1.0, 0.5]), None, ["symmetric"])
    assert words not in told(a, np.diag([1.0, 1.0, 1.0004]), None, ["orthonormal"])
    assert words not in told(np.eye(3), np.diag([1.0, 1.0, 0.5]), None, ["orthonormal"])
    edge = 1 / (3 * FLOAT64.eps)
    for cond, singular in ((edge / 2, False), (2 * edge, True)):
        assert reasons._singular(np.diag([1.0, 1.0, 1 / cond]), FLOAT64) == singular
    assert not reasons._singular(a, BFLOAT16)


def test_extreme_inputs():
    small = "all entries of the input are subnormal: scale before computing (some hardware flushes them to zero)"
    large = "the input is so near overflow that its norms are not representable: scale before computing"
    normal, most = FLOAT64.tiny / FLOAT64.eps, FLOAT64.largest / 32
    for a, words in (
        (np.full((2, 2), normal / 2), [small]), (np.array([[normal, 0], [0, 0]]), []), (np.zeros((2, 2)), []),
        (np.full((2, 2), 0.5j * normal), [small]), (np.full((2, 2), 1j * normal), []),
        (np.full((2, 2), most), []), (np.full((2, 2), -1.01 * most), [large]), (np.full((2, 2), 1.01j * most), [large]),
        (np.zeros((0, 2)), []), (np.full((4, 2), 0.51 * most), [large]), (np.array([[8 * most / 2]]), []),
    ):  # fmt: skip
        assert reasons._extreme(a, FLOAT64) == words == told(a, a, None, [])
    assert reasons._extreme(np.full((2, 2), 1e-39), FLOAT32) == [small]
    assert told(np.full((2, 2), normal / 2), np.eye(2), None, ["positive"])[0] == small
