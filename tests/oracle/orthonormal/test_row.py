"""What the row makes of the ratios: which checks, their units, limits and words."""

from __future__ import annotations

import numpy as np
import pytest

from orthoref.oracle.lift import Lifted
from orthoref.oracle.orthonormal import ratios
from orthoref.oracle.orthonormal.row import ROW, measure
from orthoref.oracle.precision import PRECISIONS

FORMATS = [PRECISIONS[name] for name in ("float64", "bfloat16")]


def measured(q, precision, limit=10.0):
    with np.errstate(all="ignore"):  # as in judge
        found = measure({}, {"q": Lifted(q, "float64")}, None, precision, limit)
    return {each.name: each for each in found.measurements}, found.judged


@pytest.mark.parametrize("precision", FORMATS)
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 4, 4), (20, 12), (1, 1)])
def test_ratios_units_and_limits(shape, precision):
    """(CAP): half of what zero scores."""
    q, n = np.random.RandomState(0).standard_normal(shape), min(shape[-2:])
    found, judged = measured(q, precision)
    loose, _ = measured(q, precision, 1e30)
    assert judged.shape == shape[:-2] and judged.all()
    expected = ratios.orthonormal(q, precision=precision)
    assert found.keys() == expected.keys() and len(found) == (4 if precision.short else 1)
    for name, each in found.items():
        np.testing.assert_allclose(each.ratio, expected[name], rtol=1e-14, atol=0)
        np.testing.assert_allclose(each.unit, ratios.residuals(q, precision)[name][1], rtol=1e-14, atol=0)
        assert each.relative == (name != "orthonormal")
    assert found["orthonormal"].limit == 10
    unit = precision.growth(n) * precision.eps
    assert loose["orthonormal"].limit == pytest.approx(n**0.5 / 2 / unit, rel=1e-15, abs=0)
    for name in found.keys() - {"orthonormal"}:
        assert found[name].limit == loose[name].limit == (10 if name == "scale" else 4)


def test_the_limit_of_the_row():
    assert ROW.limit == 10 and ROW.outputs == ("q",) and ROW.inputs == ()


def test_zero_never_passes():
    for precision in FORMATS:
        found, _ = measured(np.zeros((40, 30)), precision, 1e30)
        assert not found["orthonormal"].holds


def test_words():
    tall, wide = np.ones((5, 3)), np.ones((3, 5))
    float64, bfloat16 = FORMATS
    assert measured(tall, float64)[0]["orthonormal"].text == "|I - Q^H Q| / (8 eps)"
    assert measured(wide, float64)[0]["orthonormal"].text == "|I - Q Q^H| / (8 eps)"
    assert measured(np.ones((4, 4)), float64)[0]["orthonormal"].text == "|I - Q^H Q| / (8 eps)"
    assert measured(np.ones((12, 9)), float64)[0]["orthonormal"].text == "|I - Q^H Q| / (n eps)"
    assert measured(np.ones((5000, 2)), float64)[0]["orthonormal"].text == "|I - Q^H Q| / (sqrt(n) 100 eps)"
    assert [each.text for each in measured(wide, bfloat16)[0].values()] == [
        "|I - Q Q^H| / (sqrt(n) eps)", "|I - Q Q^H|_2 / (2 |dQ|_2)", "max_j ||q_j| - 1| / (eps/2)",
        "||Q|^2/n - 1| / (d|Q|^2/n)",
    ]  # fmt: skip


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 3), (0, 2, 2)])
@pytest.mark.parametrize("precision", FORMATS)
def test_empty_matrices_are_not_judged_and_hold(shape, precision):
    found, judged = measured(np.zeros(shape), precision)
    assert judged.shape == shape[:-2] and not judged.any()
    assert all(np.all(each.ratio <= each.limit) for each in found.values())
    if min(shape[-2:]) == 0:
        assert found.keys() == {"orthonormal"} and found["orthonormal"].limit == 10
