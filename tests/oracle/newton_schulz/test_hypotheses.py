"""The hypotheses themselves: which there are, what they say, what they compute and how unlikely they are."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from orthoref._newton_schulz.normalization import normalized
from orthoref._schedules import presets
from orthoref._schedules.schedule import Normalization, Row, Schedule
from orthoref.oracle import cases
from orthoref.oracle.newton_schulz import hypotheses
from orthoref.oracle.newton_schulz.claim import UPDATE_SCALES, iteration, run
from orthoref.oracle.newton_schulz.hypotheses import (
    Divisor,
    Found,
    Rows,
    Scale,
    Seen,
    Table,
    aol_divisors,
    composed,
    divisors_of,
    equilibrated,
    going_on,
    mistaken,
    named,
    nearest,
    of_presets,
    of_schedule,
    scales_of,
    squares,
)

A = cases.matrix((9, 6), cond=30, seed=2, scale=3.7)
S = np.geomspace(1, 1e-2, 7)


def rows(name, rows_, least=0, usual=5, cost=0.0, text=""):
    return Rows(name, rows_, least, usual, cost, text, lambda: presets.get("jordan"))


def claims(name="muon", **options):
    return iteration(name, **options)


def test_rows_that_go_on():
    listed = [(1.0,), (2.0,), (3.0,)]
    assert going_on(listed, "stop", 5) == listed and going_on(listed, "stop", 2) == listed[:2]
    assert going_on(listed, "repeat", 5) == [*listed, (3.0,), (3.0,)] and going_on(listed, "repeat", 2) == listed[:2]
    assert going_on(listed, "cycle", 5) == [*listed, (1.0,), (2.0,)]


def test_a_schedule_and_what_may_be_past_its_last_row():
    you = presets.get("you-6")
    assert you.past == "stop"
    own, repeats, cycles = of_schedule(you, 8)
    assert [len(each.rows) for each in (own, repeats, cycles)] == [6, 8, 8]
    assert [each.least for each in (own, repeats, cycles)] == [1, 7, 7]
    assert [each.cost for each in (own, repeats, cycles)] == [3.0, 4.0, 4.0]
    assert own.said(4, 5) == "these are the coefficients of you-6, 4 steps"
    assert repeats.said(7, 6).endswith("7 steps, and past its last row the port repeats the last row")
    assert cycles.text.endswith(", and past its last row the port cycles")
    assert repeats.rows[6:] == [own.rows[-1]] * 2 and cycles.rows[6:] == [own.rows[0], own.rows[1]]
    assert own.own == ("frobenius", float(you.normalization.factor)) and own.usual == you.default_steps
    assert own.make() is you and repeats.make().past == "repeat" and cycles.make().past == "cycle"
    claimed = of_schedule(you, 8, claimed=True)
    assert [each.least for each in claimed] == [0, 7, 7] and [each.cost for each in claimed] == [0.0, 1.0, 1.0]
    assert claimed[0].said(6, 6) == "" and claimed[0].said(4, 6) == "4 steps were taken, not 6"
    assert claimed[1].said(7, 6) == "past its last row the port repeats the last row"
    assert len(of_schedule(you, 6)) == 1  # nothing is past the last row
    assert len(of_schedule(presets.get("jordan"), 7)) == 1  # one row: all the same
    (_, other) = of_schedule(presets.get("cans-5"), 7)
    assert presets.get("cans-5").past == "repeat" and other.make().past == "cycle"
    (_, other) = of_schedule(presets.get("you-5"), 7)
    assert presets.get("you-5").past == "cycle" and other.make().past == "repeat"


def test_a_list_that_ended():
    you = of_schedule(presets.get("you-5"), 9, claimed=True)[0]
    assert you.said(5, 9) == "5 steps were taken, not 9: as many as the list has rows"
    assert you.said(4, 9) == "4 steps were taken, not 9" and you.said(5, 4) == "5 steps were taken, not 4"
    two = Schedule("two", presets.get("you-5").rows[:2], Normalization())
    assert of_schedule(two, 9, claimed=True)[0].said(2, 3).endswith(": as many as the list has rows")
    jordan = of_schedule(presets.get("jordan"), 9, claimed=True)[0]
    assert jordan.said(1, 5) == "1 steps were taken, not 5"  # of one row that is no list


def test_all_presets_are_candidates():
    table = of_presets(6)
    assert {each.name for each in table.rows} == {presets.get(name).name for name in presets.names()}
    assert table.coefficients.shape[1] == 6 and table.allowed.shape == (len(table.rows), 7)


@pytest.mark.parametrize("x", [S, S[:, None] * [1.0, 0.5]])
def test_values_of_all_rows_at_once(x):
    listed = [rows("a", [(3.0, -4.0, 2.0), (1.5, -0.5)]), rows("b", [(2.0,)])]
    table = Table(listed)
    found = composed(table.coefficients, x)
    assert found.shape == (2, 3, *x.shape)
    np.testing.assert_array_equal(found[:, 0], np.stack([x, x]))
    one = 3 * x - 4 * x**3 + 2 * x**5
    np.testing.assert_allclose(found[0, 1], one, rtol=1e-13, atol=0)
    np.testing.assert_allclose(found[0, 2], 1.5 * one - 0.5 * one**3, rtol=1e-13, atol=0)
    np.testing.assert_allclose(found[1, 1], 2 * x, rtol=1e-15, atol=0)
    np.testing.assert_allclose(listed[0].value(x, 2), found[0, 2], rtol=1e-13, atol=0)
    assert listed[0].value(x, 0) is x
    assert table.allowed.tolist() == [[True, True, True], [True, True, False]]
    assert Table([rows("a", [(1.0,)] * 3, least=2)]).allowed.tolist() == [[False, False, True, True]]


def test_how_unlikely_a_hypothesis_is():
    own = Rows("own", [(1.0,)] * 6, 0, 3, 0.0, "", lambda: None)
    other = Rows("other", [(1.0,)] * 6, 0, 3, 3.0, "text", lambda: None, ("spectral", 1.01))
    divisors = [
        Divisor("frobenius"),
        Divisor("spectral", 1.01, 0.0, "add", 3.0),
        Divisor("spectral", 1.01, 1e-7, "add", 2.0),
    ]
    scales = [Scale("none", 1.0), Scale("other", 2.0, 2.0)]
    cost = Table([own, other]).costs(divisors, scales, 4)
    assert cost.shape == (2, 7, 3, 2)
    assert cost[0, :, 0, 0].tolist() == [2, 2, 2, 1, 0, 1, 2]  # steps beside the claimed ones
    assert cost[1, :, 0, 0].tolist() == [5, 5, 5, 3, 3, 5, 5]  # as claimed, or as usual
    assert cost[0, 4, :, 0].tolist() == [0, 3, 2]
    assert cost[1, 4, :, 0].tolist() == [3, 3.5, 5]  # its own normalization, without an eps
    np.testing.assert_array_equal(cost[..., 1], cost[..., 0] + 2)


def test_how_much_nearer_a_hypothesis_has_to_be():
    for n, cost in ((6, 3.0), (2, 3.0), (1, 0.5), (6, 0.0)):
        a = np.diag(2.0 ** -np.arange(n))
        assert Seen(a, a).better(cost) == pytest.approx(max(1 + cost, 10 ** (cost / n)), rel=1e-14, abs=0)
    assert Seen(np.zeros((2, 2)), np.zeros((2, 2))).better(3.0) == 1000


@pytest.mark.parametrize(
    ("s", "distinct"),
    [
        ([1, 1, 1], 1),
        ([1, 0.995, 0.99], 1),
        ([1, 0.98, 0.5], 3),
        ([1, 0.5, 1e-13], 2),
        ([0, 0], 0),
        ([1, 0.5, 1e-11], 3),
    ],
)
def test_singular_values_that_can_be_told_apart(s, distinct):
    assert Seen(np.diag(s), np.diag(s)).distinct == distinct


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("scale", [1.0, 2.0**-950, 2.0**900])
def test_a_result_in_the_bases_of_its_input(wide, scale):
    p, s, vh = np.linalg.svd(A, full_matrices=False)
    y = np.array([1.0, 0.9, 0.8, -0.5, 0.2, 0.1])
    rest = 0.01 * np.random.RandomState(0).standard_normal(A.shape)
    x = (p * y) @ vh + rest
    seen = Seen(A.T * scale if wide else A * scale, x.T if wide else x)
    assert seen.tall != wide and seen.shape == (A.T if wide else A).shape
    np.testing.assert_allclose(seen.s, s * scale * seen.unit, rtol=1e-3, atol=0)
    expected = y + np.einsum("ij,ik,jk->j", p, rest, vh)
    np.testing.assert_allclose(seen.y, expected, rtol=0, atol=1e-3)
    assert seen.rest == pytest.approx(np.linalg.norm(x - (p * expected) @ vh), rel=1e-2, abs=0)
    assert seen.size == pytest.approx(np.linalg.norm(x), rel=1e-14, abs=0)
    assert seen.norms["frobenius"] == pytest.approx(np.linalg.norm(seen.s), rel=1e-14, abs=0)
    assert seen.norms["schatten4"] == pytest.approx(np.sum(seen.s**4) ** 0.25, rel=1e-14, abs=0)
    assert seen.norms["spectral"] == seen.s[0] and seen.norms["none"] == seen.norms["aol"] == seen.unit


def test_directions_enough_to_screen_with():
    a = np.diag(2.0 ** -np.arange(20.0))
    assert Seen(a, a).few.tolist() == sorted({*np.linspace(0, 19, 16).astype(int).tolist()})
    assert Seen(a, a, directions=20).few.tolist() == [*range(20)] and len(Seen(a, a, directions=5).few) == 5
    assert len(Seen(np.zeros((0, 3)), np.zeros((0, 3))).few) == 0


def test_factors_on_the_result():
    f = np.array([3.0, 4.0])
    assert Scale("", 0.5).of(f, 25.0) == 0.5
    assert Scale("", 0.5, renormalized=True).of(f, 25.0) == pytest.approx(0.5 * 2**0.5 / 5, rel=1e-15, abs=0)


@pytest.mark.parametrize(
    ("shape", "claimed"), [((12, 3), "none"), ((3, 12), "sqrt(max(1, m/n))"), ((12, 3), "sqrt(m/n)")]
)
def test_update_scales_beside_the_claimed_one(shape, claimed):
    found = scales_of(claims(scale=claimed), shape)
    own = UPDATE_SCALES[claimed](*shape)
    assert (found[0].name, found[0].factor, found[0].cost, found[0].text) == (claimed, own, 0.0, "")
    others = {n for n, scale in UPDATE_SCALES.items() if n != claimed and abs(scale(*shape) / own - 1) > 1e-12}
    assert {each.name for each in found[1:-1]} == others and all(each.cost == 2.0 for each in found[1:-1])
    for each in found[1:-1]:
        times = f"x is {each.factor / own:.4g} times what it should be: the update scale "
        if each.name == "none":
            assert each.text == f"{times}{claimed} is missing"
        else:
            assert each.text == f"{times}{each.name}" + (f", not {claimed}" if claimed != "none" else "")
    last = found[-1]
    assert last.renormalized and last.factor == own and last.cost == 2.5
    suffix = " times the update scale" if own != 1 else ""
    assert last.text == f"x is renormalised: |x|_F is sqrt(min(m, n)){suffix}"


def test_norms_beside_the_claimed_one():
    found = {(d.kind, d.factor): d for d in divisors_of(claims(normalize=Normalization("frobenius", "1.02")))}
    first = divisors_of(claims(normalize=Normalization("frobenius", "1.02")))[0]
    assert first == Divisor("frobenius", 1.02)
    assert {key for key in found if key[0] == "frobenius"} == {("frobenius", f) for f in (1.0, 1.01, 1.02, 1.05)} | {
        key for key in found if key[0] == "frobenius"
    }
    assert found["frobenius", 1.0].text == "the norm was not multiplied by 1.02" and found["frobenius", 1.0].cost == 1.0
    assert found["frobenius", 1.05].text == "the norm was multiplied by 1.05"
    assert (
        found["spectral", 1.0].text
        == f"the normalization is spectral, not {first and Normalization('frobenius', '1.02')}"
    )
    assert found["spectral", 1.02].text.startswith("the normalization is spectral x 1.02, not ")
    assert [found["spectral", f].cost for f in (1.0, 1.01, 1.02, 1.05)] == [1.5, 3.0, 1.5, 3.0]
    assert named("spectral", 1.0) == "spectral" and named("spectral", 1.01) == "spectral x 1.01"


def test_eps_beside_the_claimed_one():
    found = {
        (d.eps, d.rule): d
        for d in divisors_of(claims(eps=1e-7, eps_rule="clamp"))
        if d.kind == "frobenius" and d.factor == 1
    }
    assert found[0.0, "add"].text == "eps is missing" and found[0.0, "add"].cost == 1.0
    assert found[1e-7, "clamp"].text == ""
    assert found[1e-7, "add"].text == "eps goes into the norm by 'add', not 'clamp'" and found[1e-7, "add"].cost == 1.0
    assert found[1e-7, "squared add"].text == "an eps of 1e-07 is added to the squared norm"
    assert found[1e-7, "squared add"].cost == 1.5
    assert (
        found[1e-3, "add"].text == "an eps of 0.001 is added to the norm, not 1e-07" and found[1e-3, "add"].cost == 1.5
    )
    assert found[1e-3, "clamp"].text == "the norm is clipped at an eps of 0.001, not 1e-07"
    assert found[1e-3, "clamp"].cost == 1.6 and found[1e-3, "squared clamp"].cost == 2.0
    assert found[1e-8, "squared clamp"].text == (
        "the squared norm is clipped at an eps of 1e-08, the norm at 0.0001, not 1e-07"
    )
    plain = {(d.eps, d.rule): d for d in divisors_of(claims()) if d.kind == "frobenius" and d.factor == 1}
    assert plain[1e-3, "add"].text == "an eps of 0.001 is added to the norm" and plain[0.0, "add"].text == ""
    assert {rule for eps, rule in plain if not eps} == {"add"}
    added = {(d.eps, d.rule): d for d in divisors_of(claims(eps=2.0)) if d.kind == "frobenius" and d.factor == 1}
    assert (
        added[2.0, "clamp"].text == "eps goes into the norm by 'clamp', not 'add'" and (2.0, "squared clamp") in added
    )
    assert {eps for eps, _ in added} == {0.0, 2.0, *hypotheses.EPSILONS}


def test_eps_is_part_of_a_rescaled_input():
    seen = Seen.aol(A, A, 0.5, "clamp")
    assert seen.of_aol and seen.divisor(Divisor("aol", 1.02, 0.5, "clamp")) == 1.02 * seen.unit
    p = normalized(A, Normalization("aol"), 0.5, "clamp")
    np.testing.assert_allclose(seen.s / seen.unit, np.linalg.svd(p, compute_uv=False), rtol=1e-13, atol=0)
    wide = Seen.aol(A.T, A.T, 0.5, "clamp")
    np.testing.assert_allclose(wide.s / wide.unit, seen.s / seen.unit, rtol=1e-13, atol=0)


def test_norms_where_none_is_claimed_or_aol():
    (plain,) = (d for d in divisors_of(claims()) if d.kind == "none")
    assert (plain.factor, plain.eps, plain.cost) == (1.0, 0.0, 1.5) and plain.text
    none = divisors_of(claims(normalize="none"))
    assert none[0] == Divisor("none") and {d.kind for d in none} >= {"none", "frobenius", "schatten4", "spectral"}
    aol = divisors_of(claims(normalize="aol"))
    assert aol[0].kind == "aol" and all(not d.eps for d in aol)
    own = aol_divisors(claims(normalize=Normalization("aol", "1.02"), eps=1e-3, eps_rule="clamp"))
    assert own[0] == Divisor("aol", 1.02, 1e-3, "clamp")
    assert [d.factor for d in own[1:]] == [1.0, 1.01, 1.05] and all(d.eps == 1e-3 for d in own)
    assert own[1].text == "the norm was not multiplied by 1.02" and own[2].text == "the norm was multiplied by 1.01"
    assert {d.cost for d in own[1:]} == {1.0} and {d.rule for d in own} == {"clamp"}
    other = aol_divisors(claims())
    assert [(d.factor, d.cost, d.eps) for d in other] == [
        (1.0, 1.5, 0.0),
        (1.01, 3.0, 0.0),
        (1.02, 3.0, 0.0),
        (1.05, 3.0, 0.0),
    ]
    assert other[0].text == "the normalization is aol, not frobenius"
    assert other[1].text == "the normalization is aol x 1.01, not frobenius"


def polynomial(schedule, steps):
    x = np.float64(0.5)
    for row in schedule.steps(steps):
        x = sum(float(c) * x ** (2 * k + 1) for k, c in enumerate(row.numerator))
    return x


@pytest.mark.parametrize(
    ("name", "steps"), [("you-5", 5), ("you-5", 3), ("polar-express", 8), ("jordan", 5), ("cans-5", 7)]
)
def test_a_mistake_in_the_list_is_its_schedule(name, steps):
    """What is screened and what is then measured are the same polynomials."""
    table = mistaken(claims(name, steps=steps))
    assert table.rows and {each.cost for each in table.rows} <= {2.5, 3.0, 3.5}
    for each in table.rows:
        assert len(each.rows) == each.least == each.usual
        made = each.make()
        count = len(each.rows)
        if made.past == "stop":
            count = min(count, len(made.rows))
        with np.errstate(all="ignore"):  # some diverge
            value, known = float(each.value(np.array([0.5]), count)[0]), polynomial(made, count)
        if np.isfinite(value) and abs(value) < 1e6:
            assert value == pytest.approx(known, rel=1e-9, abs=1e-12), each.text


def test_mistakes_in_a_list():
    you = presets.get("you-5")
    found = {each.text: each for each in mistaken(claims("you-5")).rows}
    listed = hypotheses.floats(you.rows)
    assert found["the rows are taken in the reverse order"].rows == listed[::-1]
    assert found["only the first row is applied, again and again"].rows == [listed[0]] * 5
    assert found["row 1 is left out"].rows == [listed[0], *listed[2:]]
    assert found["row 1 is applied twice"].rows == [*listed[:2], *listed[1:]]
    assert found["row 3 is left out"].cost == 3.0 and found["row 3 is applied twice"].cost == 3.5
    assert "row 4 is left out" not in found  # a step less
    assert found["the coefficients of every row are taken in the reverse order"].rows == [row[::-1] for row in listed]
    for factor in ("1.01", "1.02", "1.05"):
        every = found[f"this is the schedule with a safety factor {factor} (in every row)"]
        but = found[f"this is the schedule with a safety factor {factor} (in every row but the last)"]
        without = found[f"this is the schedule without its safety factor {factor} (in every row)"]
        d = float(factor)
        for row, one in zip(listed, every.rows, strict=True):
            np.testing.assert_allclose(one, [c / d ** (2 * k + 1) for k, c in enumerate(row)], rtol=1e-14, atol=0)
        assert but.rows[:-1] == every.rows[:-1] and but.rows[-1] == listed[-1]
        np.testing.assert_allclose(
            without.rows[0], [c * d ** (2 * k + 1) for k, c in enumerate(listed[0])], rtol=1e-14, atol=0
        )
    rounded = found["the coefficients were rounded to bfloat16"].rows
    np.testing.assert_allclose(rounded, listed, rtol=2.0**-8, atol=0)
    assert rounded != listed and np.all(np.asarray(rounded) == cases.cast(np.asarray(listed), "bfloat16"))
    assert "the coefficients were rounded to float16" in found
    one = {each.text for each in mistaken(claims("jordan")).rows}
    assert not any("row 0" in text or "but the last" in text or "the rows are" in text for text in one)
    same = Schedule("same", (Row((Fraction(1), Fraction(1))),) * 2, Normalization())
    assert not any("every row are taken" in each.text for each in mistaken(claims(same, steps=2)).rows)


def test_what_a_hypothesis_says_and_claims():
    claimed = claims("you-5")
    seen = Seen(A, A)
    of_rows = of_schedule(presets.get("you-5"), 7, claimed=True)
    plain = Found(seen, 0.0, 0.0, of_rows[0], 5, Divisor("frobenius"), Scale("none", 1.0), 1.0)
    assert plain.said(claimed) == ("", "") and plain.claim(claimed) == claimed
    found = Found(seen, 0.0, 0.0, of_rows[1], 7, Divisor("spectral", 1.02, 1e-3, "clamp", 1.0, "spectral, not that"),
                  Scale("sqrt(m/n)", 1.2, 2.0, "x is 1.2 times"), 1.2)  # fmt: skip
    past = "past its last row the port repeats the last row"
    assert found.said(claimed) == (f"{past}; spectral, not that; x is 1.2 times",
                                   f"{past}; spectral, not that; update scale sqrt(m/n)")  # fmt: skip
    made = found.claim(claimed)
    assert (made.steps, made.scale, made.eps, made.eps_rule) == (7, "sqrt(m/n)", 1e-3, "clamp")
    assert made.normalization == Normalization("spectral", "1.02") and made.schedule.past == "repeat"
    stops, six = of_schedule(presets.get("you-6"), 8, claimed=True)[0], claims("you-6")
    plainly = Divisor("frobenius"), Scale("none", 1.0), 1.0
    longer = Found(seen, 0.0, 0.0, stops, 7, *plainly).claim(six)
    assert longer.schedule.past == "repeat" and longer.steps == 7
    assert Found(seen, 0.0, 0.0, stops, 6, *plainly).claim(six) == six
    again = Found(seen, 0.0, 0.0, of_rows[0], 5, Divisor("frobenius"),
                  Scale("renormalised", 1.0, 2.5, "x is renormalised", renormalized=True), 1.0)  # fmt: skip
    assert again.said(claimed) == ("x is renormalised", "renormalised")
    assert again.claim(claims("you-5", scale="sqrt(m/n)")).scale == "sqrt(m/n)"


def distances(x, claimed="you-5", **options):
    seen = Seen(A, x)
    table = Table(of_schedule(presets.get(claimed), 9, claimed=True))
    scales = [Scale(name, UPDATE_SCALES[name](*A.shape), 2.0 * bool(i)) for i, name in enumerate(UPDATE_SCALES)]
    claim = claims(claimed)
    return seen, table, divisors_of(claim), scales, options


def test_the_nearest_are_the_likeliest_that_fit():
    x = run(A, claims("you-5", steps=4))
    seen, table, divisors, scales, _ = distances(x)
    away = float(np.linalg.norm(x - run(A, claims("you-5")))) / np.linalg.norm(x)
    with np.errstate(all="ignore"):  # some diverge
        found = nearest(seen, table, divisors, scales, 5, away)
        one = nearest(seen, table, divisors, scales, 5, away, most=1)
        beside = nearest(seen, table, divisors, scales, 5, away, beside=1.5)
        nothing = nearest(seen, table, divisors, scales, 5, 1e-16)
        unlikely = nearest(seen, table, [Divisor("frobenius", 1.0, 1e-15, "add", 6.5)], scales[:1], 5, away)
    assert found[0].steps == 4 and found[0].distance <= 1e-13 and found[0].cost == 1.0 and found[0].factor == 1.0
    assert found[0].said(claims("you-5"))[0] == "4 steps were taken, not 5"
    assert all(one.distance <= away / seen.better(one.cost) for one in found)
    assert [one.cost for one in found] == sorted(one.cost for one in found)
    assert len(one) == 1 and one[0].steps == 4 and beside[0].cost == 2.5
    assert nothing == []  # as near as the claim
    assert unlikely == []  # 6.5 + 1 is too much


def test_a_mistake_has_to_be_nearer_than_the_claim_by_as_much_as_it_is_unlikely():
    """Not by a tenth less, with which it is screened."""
    x = run(A, claims("you-5", steps=4)) + 1e-3 * np.random.RandomState(0).standard_normal(A.shape)
    seen, table, _, scales, _ = distances(x)
    arguments = seen, table, [Divisor("frobenius")], scales[:1], 5
    with np.errstate(all="ignore"):
        (one,) = (each for each in nearest(*arguments, 1.0) if each.steps == 4)
        edge = one.distance * seen.better(one.cost)
        assert [each.steps for each in nearest(*arguments, 1.01 * edge)] == [4]
        assert nearest(*arguments, 0.99 * edge) == []


def test_distances_below_the_noise_are_alike():
    x = run(A, claims("you-5", steps=4)) * (1 + 1e-6)
    seen, table, divisors, scales, _ = distances(x)
    with np.errstate(all="ignore"):
        few = nearest(seen, table, divisors, scales, 5, 1.0, most=99)
        more = nearest(seen, table, divisors, scales, 5, 1.0, noise=0.5, most=99)
    assert len(more) > len(few)


def test_the_screen_of_some_directions_stands_for_all():
    a = cases.matrix((40, 40), cond=30, seed=2)
    x = run(a, claims("you-5"))
    table = Table(of_schedule(presets.get("you-5"), 5, claimed=True))
    with np.errstate(all="ignore"):
        screened = squares(Seen(a, x), table, [Divisor("frobenius")], [Scale("none", 1.0)])
        whole = squares(Seen(a, x, directions=99), table, [Divisor("frobenius")], [Scale("none", 1.0)])
    assert screened[0, 5, 0, 0] < 1e-28 and whole[0, 5, 0, 0] < 1e-28
    np.testing.assert_allclose(screened[0, :5], whole[0, :5], rtol=0.5, atol=0)


def test_equilibrated_matrices():
    a = np.array([[3.0, 4.0], [0.0, 0.0], [6.0, 8.0]])
    rows_ = equilibrated(a, 1)
    size = np.sqrt(125.0) / np.sqrt(3)
    np.testing.assert_allclose(np.linalg.norm(rows_, axis=1), [size, 0, size], rtol=1e-15, atol=0)
    columns = equilibrated(a, 0)
    np.testing.assert_allclose(np.linalg.norm(columns, axis=0), np.sqrt(125.0) / np.sqrt(2), rtol=1e-15, atol=0)
    assert np.isfinite(equilibrated(np.zeros((2, 3)), 0)).all()
