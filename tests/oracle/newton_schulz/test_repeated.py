"""Which map a run repeats bit for bit, among many orders of evaluation."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from orthoref._newton_schulz.normalization import normalized
from orthoref._newton_schulz.rounding import store
from orthoref._schedules.row import Row
from orthoref.oracle import cases
from orthoref.oracle.newton_schulz.claim import iteration
from orthoref.oracle.newton_schulz.emulation import ORDERS, Order, emulated, flipped, orders, rounded
from orthoref.oracle.newton_schulz.ratios import SMALL, Points, compare
from orthoref.oracle.newton_schulz.repeated import LIMIT, Guess, Map, Sample, repeated
from orthoref.oracle.precision import PRECISIONS

SHAPES = ((4, 6), (7, 3), (5, 3), (3, 8), (2, 5), (9, 4))
POWERS = Order("powers", 2)


@cache
def inputs(count=48):
    return [
        cases.matrix(SHAPES[i % 6], cond=20.0, seed=i, scale=1 + 0.13 * i, dtype="float32").astype("float32")
        for i in range(count)
    ]


def port(a, true, precision, order=POWERS, stored=True):
    tall = a if a.shape[0] > a.shape[1] else a.T
    how = (true.normalization, true.eps, true.eps_rule)
    if stored:
        x = normalized(store(tall, precision), *how, precision=precision)
    else:
        x = rounded(normalized(tall, *how), precision)
    rows = [[np.float32(c) for c in row] for row in true.schedule.coefficients(true.steps)]
    x = emulated(np.ascontiguousarray(x), rows, true, order, precision)
    x = x if tall is a else x.T
    return x if true.scale == "none" else rounded(np.float32(true.factor(*a.shape)) * x, precision)


def points(a, x):
    """All that is looked at is the matrix and the result."""
    none = np.zeros(0)
    return Points(a, none, none, none, none, none, none, 0.0, True, x)


def found(claimed, true=None, precision="bfloat16", guesses=(), **options):
    seen = [points(a, port(a, true or claimed, precision, **options)) for a in inputs()]
    return repeated(seen, claimed, PRECISIONS[precision], guesses)


def coefficients(claimed):
    """Each of them, and the norm, may be off by any part."""
    none = np.zeros(len(ORDERS[claimed.form]))
    rows = dict.fromkeys(claimed.schedule.steps(claimed.steps))
    every = [Guess(f"{r}, {k}: {{:+.2g}}", (r, k), none) for r in range(len(rows)) for k in range(3)]
    return [*every, Guess("the norm times {:.4f}", (-1, 0), none)]


def off(claimed, row, k, by):
    rows = list(claimed.schedule.rows)
    c = list(rows[row].numerator)
    c[k] *= 1 + Fraction(by)
    rows[row] = Row(tuple(c))
    return replace(claimed, schedule=replace(claimed.schedule, rows=tuple(rows)))


@pytest.mark.exhaustive
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("form", ["standard", "gram"])
def test_right_ports_repeat_their_own_map(precision, form):
    claimed = iteration("you-5", form=form, restart=(2,) if form == "gram" else (), eps=1e-7)
    for order, stored in zip(list(flipped(form))[3::7], [True, False] * 9, strict=False):
        measurement, notes = found(claimed, precision=precision, order=order, stored=stored)
        assert float(measurement.ratio) == 0 and measurement.limit == LIMIT and not notes


@pytest.mark.exhaustive
def test_coefficients_rounded_to_the_format_are_right():
    claimed = iteration("jordan")
    short = replace(claimed, schedule=claimed.schedule.rounded("bfloat16"))
    guess = Guess("rounded", Map.of(short.schedule.steps(5), claimed.normalization, 0.0, "add"), np.zeros(12))
    measurement, notes = found(claimed, short, guesses=[guess])
    assert float(measurement.ratio) == 0 and not notes


@pytest.mark.parametrize(
    ("name", "precision", "row", "k", "by"),
    [
        ("jordan", "bfloat16", 0, 1, "1e-3"),
        pytest.param("jordan", "float16", 0, 0, "-1e-3", marks=pytest.mark.exhaustive),
        ("you-5", "bfloat16", 2, 0, "-1e-3"),
        pytest.param("polar-express", "bfloat16", 0, 1, "1e-3", marks=pytest.mark.exhaustive),
        pytest.param("polar-express", "float16", 4, 2, "1e-3", marks=pytest.mark.exhaustive),
    ],
)
def test_a_coefficient_that_changes_no_digit_is_named(name, precision, row, k, by):
    claimed = iteration(name)
    guesses = coefficients(claimed)[3 * row : 3 * row + 3]
    measurement, (note,) = found(claimed, off(claimed, row, k, by), precision, guesses)
    assert float(measurement.ratio) > LIMIT
    assert note.startswith(f"{row}, {k}: ") and "bit for bit, the claimed iteration" in note
    assert float(note.split()[2].rstrip(":")) == pytest.approx(float(by), rel=0.15, abs=0)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("precision", "by"), [("bfloat16", "1.005"), ("float16", "0.995")])
def test_a_norm_is_named(precision, by):
    claimed = iteration("jordan")
    how = claimed.normalization
    wrong = replace(claimed, normalization=replace(how, factor=how.factor * Fraction(by)))
    measurement, (note,) = found(claimed, wrong, precision, coefficients(claimed)[3:])
    assert float(measurement.ratio) > LIMIT and note.startswith("the norm times")
    assert float(note.split()[3].rstrip(":")) == pytest.approx(float(by), rel=2e-3, abs=0)


def test_a_step_left_out():
    claimed = iteration("you-5")
    rows = claimed.schedule.steps(5)
    wrong = replace(claimed, schedule=replace(claimed.schedule, rows=rows[:3] + rows[4:], default_steps=4), steps=4)
    guess = Guess("a step is left out", Map.of(rows[:3] + rows[4:], claimed.normalization, 0.0, "add"), np.zeros(12))
    measurement, (note,) = found(claimed, wrong, guesses=[guess])
    assert float(measurement.ratio) > 0.8 and note.startswith("a step is left out: that repeats 100%")


@pytest.mark.exhaustive
def test_with_an_update_scale():
    claimed = iteration("jordan", scale="sqrt(max(1, m/n))")
    assert found(claimed, guesses=coefficients(claimed))[0].ratio == 0
    assert found(claimed, off(claimed, 0, 1, "1e-3"), guesses=coefficients(claimed))[1]


@pytest.mark.exhaustive
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["jordan", "newton-schulz-5", "polar-express", "aol-a"])
def test_right_ports_in_an_order_that_is_not_known(name, precision):
    """Float64 with errors of the right size: no map is repeated."""
    claimed, random, seen = iteration(name), np.random.RandomState(0), []
    for a in inputs():
        x = port(a, claimed, precision).astype("float64")
        x *= 1 + PRECISIONS[precision].eps * random.uniform(-1, 1, x.shape)
        seen.append(points(a, rounded(x.astype("float32"), precision)))
    measurement, notes = repeated(seen, claimed, PRECISIONS[precision], coefficients(claimed))
    assert float(measurement.ratio) <= LIMIT / 3 and not notes


def test_the_sample():
    claimed, bfloat16 = iteration("jordan"), PRECISIONS["bfloat16"]
    given = [points(a, port(a, claimed, "bfloat16")) for a in inputs()]
    sample = Sample.of([*given, *given], claimed, bfloat16)
    assert sample.given.shape == (48, 9, 4) and sample.inside.sum() == sum(a.size for a in inputs())
    few = sample.few()
    assert 250 <= few.inside.sum() <= 250 + 36 and np.array_equal(few.seen, sample.seen[: len(few.seen), :9, :4][
        :, : few.seen.shape[1], : few.seen.shape[2]])  # fmt: skip
    assert Sample.of(given[:3], claimed, bfloat16) is None
    assert repeated(given[:3], claimed, bfloat16, []) is None
    sparse = [
        points(a * (np.arange(a.size).reshape(a.shape) % 3 == 0), x.x) for a, x in zip(inputs(), given, strict=True)
    ]
    assert Sample.of(sparse, claimed, bfloat16) is None


def test_zero_rows_and_columns_change_no_bit():
    x = normalized(np.stack([a if a.shape[0] > a.shape[1] else a.T for a in (inputs()[2], -inputs()[2])]),
                   iteration().normalization, 0.0, "add")  # fmt: skip
    x = rounded(x, "bfloat16")
    wide = np.pad(x, ((0, 0), (0, 4), (0, 3)))
    for form in ("standard", "gram"):
        claimed = iteration("you-5", form=form, restart=(2,) if form == "gram" else ())
        for one, other in zip(orders(x, claimed, "bfloat16"), orders(wide, claimed, "bfloat16"), strict=True):
            assert np.array_equal(one, other[:, :5, :3]) and not other[:, 5:].any() and not other[:, :, 3:].any()


@pytest.mark.parametrize("form", ["standard", "gram"])
def test_the_other_side_gives_other_bits_and_the_same_result(form):
    a = cases.matrix((9, 5), cond=5.0, seed=1, dtype="float32")
    claimed = iteration("you-5", form=form)
    x = rounded(normalized(a, claimed.normalization, 0.0, "add"), "float16")
    rows = [[np.float32(c) for c in row] for row in claimed.schedule.coefficients()]
    results = [emulated(x, rows, claimed, order, "float16") for order in flipped(form)]
    assert np.max(np.std(results, axis=0)) < 0.02
    assert len({result.tobytes() for result in results}) > len(ORDERS[form])


def test_small_results_are_kept():
    claimed, bfloat16 = iteration("jordan"), PRECISIONS["bfloat16"]
    for shape, kept in (((4, 6), True), ((6, 6), False), ((SMALL + 1, 40), False), ((1, 5), False), ((37, 4), False)):
        a = cases.matrix(shape, cond=3.0, seed=0, dtype="float64")
        one = compare(a, port(a.astype("float32"), claimed, "bfloat16").astype("float64"), claimed, bfloat16)
        assert (one.points.x is not None) == kept


def test_without_a_normalization_nothing_is_said():
    claimed = iteration("jordan", normalize="none")
    seen = [points(a / 9, a) for a in inputs()]
    assert repeated(seen, claimed, PRECISIONS["bfloat16"], ()) is None
