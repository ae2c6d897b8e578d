"""The map of a whole run: what a wrong coefficient, norm or number of steps does to all matrices alike."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from orthoref import newton_schulz
from orthoref._newton_schulz.normalization import normalized
from orthoref._newton_schulz.rounding import store
from orthoref._schedules.schedule import Row
from orthoref.errors import OutsideDomain
from orthoref.oracle import cases
from orthoref.oracle.newton_schulz import emulation
from orthoref.oracle.newton_schulz import pool as module
from orthoref.oracle.newton_schulz.claim import iteration
from orthoref.oracle.newton_schulz.emulation import ORDERS, orders, rounded
from orthoref.oracle.newton_schulz.pool import Alternative, pool
from orthoref.oracle.newton_schulz.ratios import compare
from orthoref.oracle.precision import PRECISIONS

pytestmark = pytest.mark.sample(6)

SHAPES = ((24, 24), (40, 10), (16, 16))


@cache
def inputs(count=24):
    """Dense matrices of many norms; the last dimension but one is the larger or equal."""
    return [
        cases.matrix(SHAPES[i % 3], spectrum="log_uniform", cond=20.0, seed=i, scale=1 + 0.13 * i, dtype="float32")
        for i in range(count)
    ]


def port(a, true, precision, order=None):
    """In the library's order, or in another one."""
    if order is None:
        return newton_schulz(a, true.schedule, steps=true.steps, normalize=true.normalization, eps=true.eps,
                             form=true.form, restart=true.restart, precision=precision)  # fmt: skip
    x = normalized(store(a if a.shape[0] > a.shape[1] else a.T, precision), true.normalization, true.eps, "add",
                   precision=precision)  # fmt: skip
    x = list(orders(x, true, precision))[order]
    return x if a.shape[0] > a.shape[1] else x.T


def pooled(claimed, true=None, precision="bfloat16", order=None, of=None, change=lambda x: x):
    """Verdict of a run of a port that computes ``true`` and claims ``claimed``."""
    observed = []
    for a in inputs() if of is None else of:
        x = change(port(a, true or claimed, precision, order))
        with np.errstate(all="ignore"):
            one = compare(a.astype("float64"), x.astype("float64"), claimed, PRECISIONS[precision])
        observed.append([] if one.points is None else [one.points])
    return pool(observed, claimed, PRECISIONS[precision])


def off(claimed, row, k, by):
    """With a wrong coefficient."""
    rows = list(claimed.schedule.rows)
    c = list(rows[row].numerator)
    c[k] *= 1 + Fraction(by)
    rows[row] = Row(tuple(c))
    return replace(claimed, schedule=replace(claimed.schedule, rows=tuple(rows)))


def times(claimed, factor):
    """With another factor on the norm."""
    how = claimed.normalization
    return replace(claimed, normalization=replace(how, factor=how.factor * Fraction(factor)))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("form", ["standard", "gram"])
@pytest.mark.parametrize("order", [None, 1, 8])
def test_right_ports(form, precision, order):
    claimed = iteration("you-5", form=form, restart=(2,) if form == "gram" else ())
    found = pooled(claimed, precision=precision, order=order, of=inputs()[:12])
    (check,) = found.measurements
    assert check.name == "map" and float(check.ratio) <= 4 and found.judged and not found.notes


@pytest.mark.parametrize("order", range(len(ORDERS["standard"])))
def test_its_own_emulation_has_no_error(order):
    assert float(pooled(iteration("jordan"), order=order, of=inputs()[:3]).measurements[0].ratio) <= 1e-3


MISTAKES = {
    "coefficient": (lambda c: off(c, 0, 1, "1e-3"), "coefficient"),
    "norm": (lambda c: times(c, "1.005"), "the norm is 1.00"),
    "factor": (lambda c: times(c, "0.99"), "the norm is 0.99"),
    "one step less": (lambda c: replace(c, steps=4), "4 steps, not 5"),
    "one step more": (lambda c: replace(c, steps=6), "6 steps, not 5"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_seen_and_named_in_float16(mistake):
    make, name = MISTAKES[mistake]
    claimed = iteration("jordan")
    found = pooled(claimed, make(claimed), "float16", 8, inputs()[:12])
    (check,) = found.measurements
    assert not check.holds and float(check.ratio) > check.limit
    assert name in " ".join(found.notes)


@pytest.mark.exhaustive
def test_a_coefficient_of_bfloat16_is_named_with_its_size():
    claimed = iteration("jordan")
    found = pooled(claimed, off(claimed, 0, 0, "3e-3"), "bfloat16")
    assert not found.measurements[0].holds
    assert any("coefficient a is off by +0.00" in note for note in found.notes)


def test_a_row_is_named():
    claimed = iteration("you-5")
    found = pooled(claimed, off(claimed, 2, 1, "3e-3"), "float16", of=inputs()[:12])
    assert not found.measurements[0].holds and "of row 3" in found.notes[0]


@pytest.mark.exhaustive
def test_rounded_coefficients_are_named():
    claimed = iteration("jordan")
    wrong = replace(claimed, schedule=replace(claimed.schedule, rows=claimed.schedule.rounded("bfloat16").rows))
    found = pooled(claimed, wrong, "float16")
    assert not found.measurements[0].holds and "the coefficients are rounded to bfloat16" in " ".join(found.notes)


def test_eps():
    claimed = iteration("jordan", eps=1e-7)
    small = [a / 100 for a in inputs()[:12]]
    found = pooled(claimed, replace(claimed, eps=1e-3), "float16", of=small)
    assert not found.measurements[0].holds and "eps is 0.001 (add)" in " ".join(found.notes)


@pytest.mark.exhaustive
def test_one_wrong_case_is_not_the_map():
    claimed = iteration("jordan")
    results = iter(range(100))
    found = pooled(claimed, change=lambda x: -x if next(results) == 3 else x)
    assert found.measurements[0].holds and not found.notes


@pytest.mark.exhaustive
def test_what_nothing_explains():
    claimed = iteration("jordan")

    def bent(x):
        p, s, vh = np.linalg.svd(x, full_matrices=False)
        return (p * (s + 0.02 * np.sin(9 * s))) @ vh

    found = pooled(claimed, precision="float16", change=bent)
    assert not found.measurements[0].holds and found.notes[-1] == module.NO_SINGLE


@pytest.mark.exhaustive
def test_the_same_matrix_twice_is_no_more_than_once():
    claimed = iteration("jordan")
    wrong = off(claimed, 0, 1, "2e-4")
    once, twice = (pooled(claimed, wrong, of=inputs()[:8] * n).measurements[0] for n in (1, 2))
    assert float(twice.ratio) == pytest.approx(float(once.ratio), rel=1e-12, abs=0)


@pytest.mark.exhaustive
def test_equal_norms_err_alike():
    """A norm that rounds the same way everywhere is one error, not many."""
    claimed = iteration("newton-schulz-5", steps=2)
    q = [np.linalg.qr(np.random.RandomState(i).standard_normal((16, 16)))[0] for i in range(24)]
    a = cases.matrix((16, 16), spectrum="arithmetic", cond=2.0, seed=0)
    alike = [(u @ a).astype("float32") for u in q]
    apart = [(u @ a * 1.03**i).astype("float32") for i, u in enumerate(q)]
    one, other = (pooled(claimed, times(claimed, "1.004"), of=of).measurements[0] for of in (alike, apart))
    assert float(one.ratio) < float(other.ratio) / 1.5


@pytest.mark.exhaustive
def test_the_figure():
    found = pooled(iteration("jordan"))
    assert sum(each.count for each in found.observed) > 200
    for each in found.observed:
        assert each.high == 2 * each.low and each.error > 0 and each.least <= each.most
        assert abs(each.deviation) <= 6 * each.error + max(abs(each.least), abs(each.most))


def test_nothing_to_pool():
    claimed = iteration("jordan")
    for precision in ("float32", "float64", "tf32"):
        assert not pool([[]], claimed, PRECISIONS[precision]).judged
    found = pool([[], None], claimed, PRECISIONS["bfloat16"])
    assert not found.judged and not found.measurements and found.notes


def test_derivatives_by_coefficients():
    claimed = iteration("you-5")
    s, h = np.geomspace(0.01, 0.5, 7), 2.0**-20
    rows = claimed.schedule.rows
    for k, row in enumerate(rows):
        for c in range(3):
            up, down = (off(claimed, k, c, by).schedule(s) for by in (h, -h))
            exact = module._by_coefficient(rows, row, c, s)
            assert exact == pytest.approx((up - down) / (2 * h), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_rounding_bit_by_bit(precision):
    x = np.random.RandomState(0).standard_normal(2000).astype("float32") * 10.0 ** np.linspace(-4, 4, 2000)
    x = np.concatenate([x, [0, 1 + 2.0**-8, 1 + 3 * 2.0**-8, -1 - 2.0**-11]]).astype("float32")
    assert np.array_equal(rounded(x, precision), store(x, precision))


@pytest.mark.parametrize("form", ["standard", "gram"])
def test_orders_agree_in_exact_arithmetic(form, monkeypatch):
    monkeypatch.setattr(emulation, "rounded", lambda x, precision: x)
    a = cases.matrix((9, 5), cond=5.0, seed=1, dtype="float32")
    for name in ("jordan", "newton-schulz-3", "newton-schulz-9"):
        claimed = iteration(name, steps=3, form=form, restart=(2,) if form == "gram" else ())
        x = normalized(a, claimed.normalization, 0.0, "add")
        for result in orders(x, claimed, "bfloat16"):
            assert result == pytest.approx(newton_schulz(a, name, steps=3), rel=0, abs=1e-4)


def test_what_moves_nothing_is_not_tried():
    nothing, infinite = (Alternative("", [np.full(3, value)]) for value in (0.0, np.inf))
    assert not module._moves(nothing) and not module._moves(infinite)
    assert module._moves(Alternative("", [np.zeros(3), np.full(3, 1e-3)]))


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # some of the drawn iterations overflow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("form", ["standard", "gram"])
def test_no_false_alarms(form, precision):
    ratios = []
    for name in ("jordan", "polar-express", "you-6", "newton-schulz-5", "cubic5", "aol-a"):
        claimed = iteration(name, form=form, restart=(2,) if form == "gram" else ())
        for order in (None, *range(len(ORDERS[form]))):
            try:
                found = pooled(claimed, precision=precision, order=order)
            except OutsideDomain:
                continue
            ratios += [float(check.ratio) / check.limit for check in found.measurements]
    assert max(ratios) <= 0.8
