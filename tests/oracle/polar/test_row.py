"""What the row makes of the ratios: which checks, their units, limits and words, and the grid that is granted."""

from __future__ import annotations

import numpy as np
import pytest

from orthoref import polar
from orthoref.oracle.lift import Lifted
from orthoref.oracle.polar import ratios
from orthoref.oracle.polar.row import ROW, PolarClaim, measure, shapes, stored
from orthoref.oracle.precision import PRECISIONS

BFLOAT16, FLOAT16, FLOAT32, FLOAT64 = (PRECISIONS[name] for name in ("bfloat16", "float16", "float32", "float64"))


def measured(a, u, h=None, dtype="float64", precision=FLOAT64, limit=10.0, **claims):
    outputs = {"u": Lifted(u, dtype)} | ({} if h is None else {"h": Lifted(h, dtype)})
    with np.errstate(all="ignore"):  # as in judge
        found = measure({"a": Lifted(a, dtype)}, outputs, PolarClaim(**claims), precision, limit)
    return {each.name: each for each in found.measurements}, found


def random(*shape, seed=0):
    return np.random.RandomState(seed).standard_normal(shape)


@pytest.mark.parametrize(
    ("side", "shape", "order"),
    [("right", (5, 3), 3), ("right", (3, 5), 5), ("left", (5, 3), 5), ("left", (3, 5), 3), ("left", (2, 4, 3, 5), 3)],
)
def test_shapes(side, shape, order):
    assert shapes(PolarClaim(side), shape) == {"u": shape, "h": (*shape[:-2], order, order)}


@pytest.mark.parametrize("claims", [{"side": "top"}, {"rank_deficient": "some"}])
def test_claims_are_checked(claims):
    with pytest.raises(ValueError, match=next(iter(claims))):
        PolarClaim(**claims)


@pytest.mark.parametrize("precision", [FLOAT64, BFLOAT16])
@pytest.mark.parametrize("claims", [{}, {"rank_deficient": "partial"}])
@pytest.mark.parametrize("with_h", [True, False])
def test_the_ratios_are_those_of_the_claims(claims, with_h, precision):
    a, u, h = random(2, 5, 3), random(2, 5, 3, seed=1), random(2, 3, 3, seed=2)
    found, whole = measured(a, u, h if with_h else None, precision=precision, **claims)
    isometry = "partial" if claims else "full"
    expected = ratios.polar(a, u, h if with_h else None, precision=precision, isometry=isometry)
    if not with_h:
        del expected["hermitian"], expected["consistent"]  # herm(U^H A) is taken for H
    assert found.keys() == expected.keys()
    for name, each in found.items():
        np.testing.assert_allclose(each.ratio, expected[name], rtol=1e-14, atol=0, err_msg=name)
    assert whole.judged.tolist() == [True, True]


def words(shape, side, with_h=True, precision=FLOAT64):
    a = random(*shape)
    order = shape[1] if side == "right" else shape[0]
    return {name: m.text for name, m in measured(a, a, np.eye(order) if with_h else None, precision=precision,
                                                 side=side)[0].items()}  # fmt: skip


def test_the_words_are_those_of_the_side_and_of_the_longer_dimension():
    right = {
        "backward": "|A - U H| / (|A| 8 eps)", "orthonormal": "|I - U^H U| / (8 eps)",
        "hermitian": "|H - H^H| / (|H| 8 eps)", "positive": "-lambda_min(H) / (|H| 8 eps)",
        "symmetric": "|skew(U^H A)| / (|A| 8 eps)", "nuclear": "| |A|_* - Re<A,U> | / (|A|_* 8 eps)",
        "consistent": "|H - U^H A| / (|A| 8 eps)",
    }  # fmt: skip
    assert words((5, 3), "right") == right
    left = {name: text.replace("U H", "H U").replace("U^H A", "A U^H") for name, text in right.items()}
    assert words((5, 3), "left") == left
    rows = {"orthonormal": "|I - U U^H| / (8 eps)"}
    assert words((3, 5), "right") == right | rows and words((3, 5), "left") == left | rows
    alone = {name: right[name] for name in right if name not in ("hermitian", "consistent")}
    assert words((5, 3), "right", False) == words((5, 3), "left", False) == alone
    assert words((3, 5), "right", False) == {name: (left | rows)[name] for name in alone}
    assert words((4, 4), "left", False) == words((4, 4), "right", False) == alone
    assert words((12, 9), "right")["backward"] == "|A - U H| / (|A| n eps)"


@pytest.mark.parametrize(("shape", "side"), [((5000, 2), "right"), ((2, 5000), "left")])
def test_long_matrices_have_the_unit_of_their_length(shape, side):
    a = random(*shape)
    found, _ = measured(a, a, np.eye(2), side=side, limit=1e30)
    unit = 2**0.5 * 100 * FLOAT64.eps
    for name in ("backward", "orthonormal"):
        assert found[name].text.endswith("sqrt(n) 100 eps)")
        assert found[name].unit == pytest.approx(unit, rel=1e-15, abs=0)
    assert found["backward"].limit == pytest.approx(0.5 / unit, rel=1e-15, abs=0)


def test_the_words_of_short_formats():
    found = words((5, 3), "right", precision=BFLOAT16)
    assert found["orthonormal"] == "|I - U^H U| / (sqrt(n) eps)" and found["backward"] == "|A - U H| / (|A| eps)"
    assert found["orthonormal_2"] == "|I - U^H U|_2 / (2 |dU|_2)"
    assert found["lengths"] == "max_j ||u_j| - 1| / (eps/2)" and found["scale"] == "||U|^2/n - 1| / (d|U|^2/n)"
    assert words((3, 5), "right", precision=BFLOAT16)["orthonormal_2"] == "|I - U U^H|_2 / (2 |dU|_2)"
    assert words((5, 3), "left", precision=BFLOAT16)["signs"] == "-lambda_min(A U^H) / (|dU|_2 |A|_2)"


@pytest.mark.parametrize(("precision", "n"), [(FLOAT64, 3), (FLOAT64, 20), (BFLOAT16, 3), (BFLOAT16, 20)])
def test_limits_and_what_a_ratio_of_1_is(precision, n):
    """(CAP): half of what U = 0 scores, 1/e relative to |A|, sqrt(n)/e for I - U^H U."""
    a = random(n, n)
    found, _ = measured(a, a, a, precision=precision)
    growth, relative = precision.growth(n) * precision.eps, precision.relative(n) * precision.eps
    loose, _ = measured(a, a, a, precision=precision, limit=1e30)
    for name, each in found.items():
        if name.endswith("_2") or name in ("lengths", "signs", "multiple", "scale"):
            assert each.limit == loose[name].limit == (10.0 if name == "scale" else 4.0)
            continue
        in_e = name != "orthonormal"
        unit = relative if in_e else growth
        assert each.limit == 10.0 and each.unit == pytest.approx(unit, rel=1e-15, abs=0)
        assert loose[name].limit == pytest.approx((1 if in_e else n**0.5) / 2 / unit, rel=1e-15, abs=0)
        assert each.relative == in_e


def test_a_ratio_of_1_in_a_short_format_is_relative_to_the_size():
    a = np.diag([4.0, 2.0])
    found, _ = measured(a, np.eye(2), a + np.diag([1.0, 0]), precision=BFLOAT16)
    assert float(found["backward_2"].ratio * found["backward_2"].unit) == pytest.approx(1 / 4, rel=1e-14, abs=0)
    far = abs(np.sqrt(29) - np.sqrt(20)) / np.sqrt(20)
    assert float(found["multiple"].ratio * found["multiple"].unit) == pytest.approx(far, rel=1e-14, abs=0)
    lengths, _ = measured(a, np.diag([1.25, 1.0]), a, precision=BFLOAT16)
    assert float(lengths["lengths"].ratio * lengths["lengths"].unit) == 0.25
    zero, _ = measured(0 * a, np.eye(2), a, precision=BFLOAT16)
    assert np.isfinite(zero["backward_2"].unit) and zero["backward_2"].ratio * zero["backward_2"].unit == 4


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 3), (0, 3, 3)])
@pytest.mark.parametrize("precision", [FLOAT64, BFLOAT16])
def test_empty_matrices_are_not_judged_and_hold(shape, precision):
    found, whole = measured(np.zeros(shape), np.zeros(shape), precision=precision)
    assert whole.judged.shape == shape[:-2] and not whole.judged.any()
    assert all(np.all(each.ratio == 0) and each.limit == 10 for each in found.values() if min(shape[-2:]) == 0)


def test_the_grid_is_that_of_the_storage():
    one = np.eye(2)
    assert stored(FLOAT64, Lifted(one, "float64")) == FLOAT64
    assert stored(FLOAT64, Lifted(one, "float32")).tiny == FLOAT32.tiny
    assert stored(BFLOAT16, Lifted(one, None)).tiny == BFLOAT16.tiny
    assert stored(FLOAT32, Lifted(one, "complex128")).eps == FLOAT32.eps


@pytest.mark.parametrize("precision", [BFLOAT16, FLOAT16, FLOAT32])
def test_the_coarser_grid_is_granted_to_what_lies_on_it(precision):
    """In complex numbers both parts; what is not finite lies on any grid."""
    for on in (np.array([[1.0, -3.0], [0.0, 2.0**12]]), np.array([[1 + 2j, -3.0], [0.0, 5j]]), np.array([[np.nan, 1]])):
        assert stored(precision, Lifted(precision.tiny * on, "float64")).tiny == precision.tiny
    for off in (
        np.array([[0.5, 1.0]]),
        np.array([[1.0, 1 + 0.5j]]),
        np.array([[np.inf, 1.25]]),
        np.array([[1.0, 0.5]]),
    ):
        assert stored(precision, Lifted(precision.tiny * off, "float64")).tiny == FLOAT64.tiny
    assert stored(precision, Lifted(precision.tiny * np.array([[1.0]]), "float64")).eps == precision.eps


def test_the_grid_is_that_of_h_where_it_is_given_and_else_of_u():
    tiny = 2.0**-149
    a = tiny * np.array([[3.0, 1.0], [1.0, 3.0]])
    u, _ = polar(a / tiny)
    exact = np.eye(2)
    h = a + tiny * np.array([[0.0, 1.0], [1.0, 0.0]])
    for dtype, holds in (("float32", True), ("float64", False)):
        found, _ = measured(a, exact, h + (0 if holds else 0.25 * tiny), dtype, FLOAT32)
        assert (found["backward"].ratio <= 1) == holds
    single = {"a": Lifted(a, "float64"), "u": Lifted(exact * (1 + 2.0**-40), "float64"), "h": Lifted(h, "float32")}
    found = measure({"a": single["a"]}, {name: single[name] for name in "uh"}, PolarClaim(), FLOAT32, 10.0)
    assert found.measurements[0].ratio <= 1
    np.testing.assert_allclose(u, exact, rtol=0, atol=1e-15)


def test_the_row_names_its_parts():
    four = ("orthonormal_2", "lengths", "backward_2", "hermitian_2", "consistent_2", "signs", "multiple")
    limits = dict.fromkeys(four, 4.0)
    assert {check.name: check.limit for check in ROW.checks if check.limit} == limits | {"scale": 10}
    assert ROW.inputs == ("a",) and ROW.outputs == ("u", "h") and ROW.optional == ("h",) and ROW.limit == 10
