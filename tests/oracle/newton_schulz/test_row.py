"""What the row makes of the members of a stack: each is told how it was found, and the row puts them together."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from orthoref import newton_schulz
from orthoref.oracle.lift import Lifted
from orthoref.oracle.newton_schulz import row
from orthoref.oracle.newton_schulz.claim import UPDATE_SCALES, Iteration, iteration, run
from orthoref.oracle.newton_schulz.ratios import LIMIT
from orthoref.oracle.newton_schulz.row import ROW, measure, outside, shapes
from orthoref.oracle.precision import PRECISIONS

BFLOAT16 = PRECISIONS["bfloat16"]
ALL, SOME, NONE = np.array([True, True, True]), np.array([True, False, False]), np.zeros(3, bool)


def decided(**found):
    plain = {"decided": True, "determined": NONE, "judged": True, "unit": 0.01, "forward": 0.5, "direction": 0.25,
             "entries": 0.0, "entry": 0.0, "multiple": 0.0, "sharp": 0.0, "most": 5.0, "noise": 0.01, "unstable": False,
             "leap": 0.0, "largest": 0.0, "shaken": 0.0, "points": None, "overflows": False,
             "limit": lambda limit: limit}  # fmt: skip
    one = plain | found
    return SimpleNamespace(**({"far": LIMIT**2 * max(one["unit"], one["shaken"])} | one))


def undecided(**found):
    return decided(**({"decided": False, "determined": SOME, "noise": 0.4, "unit": 0.4} | found))


@pytest.fixture
def measured(monkeypatch):
    def of(*members, shape=(2, 2), x=None, limit=4.0, batch=None):
        told = iter(members)
        monkeypatch.setattr(row, "compare", lambda *_: next(told))
        a = np.ones(((len(members),) if batch is None else batch) + shape)
        outputs = {"x": Lifted(a if x is None else x, None)}
        found = measure({"a": Lifted(a, None)}, outputs, iteration("muon"), BFLOAT16, limit)
        return found, {each.name: each for each in found.measurements}

    return of


def test_decided_members_are_judged_as_a_whole(measured):
    found, by_name = measured(decided(), decided(forward=3.0, unit=0.02, direction=0.75))
    assert found.judged.tolist() == [True, True] and list(found.notes) == list(found.faults) == []
    assert by_name.keys() == {"forward", "direction"}
    forward, direction = by_name["forward"], by_name["direction"]
    assert forward.text == "|X - f(A)| / rms rounding error" and direction.text == "1 - min Re(p_i^H X v_i)/f(s_i)"
    assert forward.ratio.tolist() == [0.5, 3.0] and forward.unit.tolist() == [0.01, 0.02]
    assert forward.limit.tolist() == [4.0, 4.0]
    assert direction.ratio.tolist() == [0.25, 0.75] and direction.limit == 1.0 and direction.unit == 1.0


def test_each_member_has_its_own_limit_and_a_unit_of_zero_is_none(measured):
    _, by_name = measured(decided(limit=lambda limit: limit / 2), decided(unit=0.0), limit=6.0)
    assert by_name["forward"].limit.tolist() == [3.0, 6.0] and by_name["forward"].unit.tolist() == [0.01, 1.0]


def test_the_limits_of_the_checks_are_those_of_the_table():
    assert [(check.name, check.limit) for check in ROW.checks] == [
        ("forward", None), ("direction", 1.0), ("entries", None), ("entry", 1.0), ("multiple", 5.0)
    ]  # fmt: skip
    assert ROW.limit == 4.0


def test_the_batch_is_kept(measured):
    found, by_name = measured(*[decided(forward=i / 10) for i in range(6)], batch=(2, 3))
    assert found.judged.shape == (2, 3) and by_name["forward"].ratio.tolist() == [[0, 0.1, 0.2], [0.3, 0.4, 0.5]]
    found, by_name = measured(decided(), batch=())
    assert found.judged.shape == () and by_name["forward"].ratio == 0.5


def test_entries_of_decided_members_are_judged_too_where_directions_are_determined(measured):
    found, by_name = measured(decided(determined=ALL, entries=3.0, entry=0.5), decided())
    assert by_name.keys() == {"forward", "direction", "entries", "entry"} and not found.notes
    assert by_name["entries"].ratio.tolist() == [3.0, 0.0] and by_name["entry"].ratio.tolist() == [0.5, 0.0]
    assert by_name["entries"].unit == by_name["entry"].unit == 1.0
    assert by_name["entries"].text == "rms e_ij of P^H X V / their rms rounding errors"
    assert by_name["entry"].text == "max e_ij of P^H X V / its largest rounding error"


def test_members_of_which_a_part_is_determined_are_judged_there(measured):
    found, by_name = measured(decided(), undecided(forward=99.0, direction=0.5, entries=2.0, entry=0.125), decided())
    assert by_name.keys() == {"forward", "direction", "entries", "entry"}
    assert by_name["forward"].ratio.tolist() == [0.5, 0.0, 0.5] and by_name["forward"].unit.tolist() == [0.01, 1, 0.01]
    assert by_name["forward"].limit.tolist() == [4.0, 4.0, 4.0]
    assert by_name["direction"].ratio.tolist() == [0.25, 0.5, 0.25]
    assert by_name["entries"].ratio.tolist() == [0, 2.0, 0] and by_name["entries"].limit == 4.0
    assert by_name["entry"].ratio.tolist() == [0, 0.125, 0] and by_name["entry"].limit == 1.0
    said = "in bfloat16 the rounding errors alone are 0.4 of the result (form 'standard', schedule 'jordan')"
    assert list(found.notes) == [f"1 of 3 judged in part, in 1 of 3 singular directions: {said}"]
    _, by_name = measured(undecided())
    assert by_name.keys() == {"direction", "entries", "entry"}


def test_members_that_are_lost_are_not_judged(measured):
    lost = undecided(determined=NONE, judged=False, direction=99.0, forward=9.0, noise=0.7)
    found, by_name = measured(lost, decided(), lost)
    assert found.judged.tolist() == [False, True, False]
    said = "in bfloat16 the rounding errors alone are 0.7 of the result (form 'standard', schedule 'jordan')"
    assert list(found.notes) == [f"2 of 3 not judged: {said}"]
    assert by_name.keys() == {"forward", "direction"}
    assert by_name["direction"].ratio.tolist() == [0, 0.25, 0] and by_name["forward"].ratio.tolist() == [0, 0.5, 0]
    found, by_name = measured(lost)
    assert not by_name and not found.judged.any() and not found.faults
    found, _ = measured(lost, undecided())
    assert [note[:6] for note in found.notes] == ["1 of 2", "1 of 2"] and "in part" in found.notes[1]


def test_an_unstable_iteration_is_said_to_be_so(measured):
    found, _ = measured(undecided(unstable=True, leap=12.0))
    assert found.notes[0].endswith(
        "; the iteration is unstable there: a few roundings are enlarged to 12 of the result"
    )


def test_overflow_is_no_fault_where_a_right_port_may_overflow(measured):
    found, _ = measured(
        undecided(overflows=True, determined=NONE, judged=False), x=np.asarray([[[np.nan, np.inf], [1, 1]]])
    )
    assert not found.faults and not found.judged.any()
    assert found.notes[0].endswith("; it may leave the range of bfloat16")


def test_the_multiple_has_its_own_limits(measured):
    _, by_name = measured(decided(multiple=2.0, sharp=0.25, most=3.6), decided())
    multiple = by_name["multiple"]
    assert multiple.text == "|c - 1|, X nearest to c f(A) / its rms rounding error"
    assert multiple.ratio.tolist() == [2.0, 0.0] and multiple.limit.tolist() == [3.6, 5.0]
    assert multiple.unit.tolist() == [0.25, 1.0]


def test_points_to_be_pooled(measured):
    found, _ = measured(decided(points="p"), decided(), undecided(points="q"))
    assert found.observed == ["p", "q"]


FAULTS = {  # what a member is found to be, its result, and what is said
    "nan": (undecided(), [[np.nan, 1], [1, 1]], "x has entries that are NaN or infinite"),
    "inf": (undecided(forward=np.inf), [[np.inf, 1], [1, 1]], "x has entries that are NaN or infinite"),
    "zero": (undecided(unit=0.5), [[0, 0], [0, 0]], "x is zero"),
    "far": (
        undecided(forward=17.0, unit=0.5, shaken=0.25), [[1, 1], [1, 1]],
        "|X - f(A)| is 8.5 of |f(A)|: in bfloat16 rounding errors are at most 8 of it",
    ),
    "far of what is shaken": (
        undecided(forward=33.0, unit=0.25, shaken=0.5), [[1, 1], [1, 1]],
        "|X - f(A)| is 8.2 of |f(A)|: in bfloat16 rounding errors are at most 8 of it",
    ),
    "large": (
        undecided(largest=1.5), [[1, 1], [1, 1]],
        "|X|_2 is 1.5 times the largest that these steps can return in bfloat16",
    ),
}  # fmt: skip
NO_FAULTS = {
    "zero, where zero is possible": (undecided(unit=0.51), [[0, 0], [0, 0]]),
    "not zero": (undecided(unit=0.4), [[0, 0], [0, 1]]),
    "as far as can be": (undecided(forward=16.0, unit=0.5, shaken=0.25), [[1, 1], [1, 1]]),
    "any distance": (undecided(forward=1e9, unit=0.5, shaken=np.inf), [[1, 1], [1, 1]]),
    "as large as can be": (undecided(largest=1.0), [[1, 1], [1, 1]]),
    "decided": (decided(largest=9.0, forward=99.0), [[np.nan, 0], [0, 0]]),  # the ratios say it
}


@pytest.mark.parametrize("name", FAULTS)
def test_errors_beyond_the_unit_fail_undecided_members(measured, name):
    member, x, words = FAULTS[name]
    assert list(measured(member, x=np.array([x], float))[0].faults) == [f"{words}, batch index (0,)"]
    assert list(measured(member, x=np.array(x, float), batch=())[0].faults) == [words]
    two = np.array([np.ones((2, 2)), x, x], float)
    assert list(measured(undecided(), member, member, x=two)[0].faults) == [f"{words}, batch index (1,)"]


@pytest.mark.parametrize("name", NO_FAULTS)
def test_errors_that_rounding_makes_are_no_fault(measured, name):
    member, x = NO_FAULTS[name]
    assert list(measured(member, x=np.array([x], float))[0].faults) == []


@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3), (0, 3, 3)])
def test_nothing_is_measured_of_empty_arrays(measured, shape):
    found = measure({"a": Lifted(np.ones(shape), None)}, {"x": Lifted(np.ones(shape), None)}, None, BFLOAT16, 4.0)
    assert found.judged.shape == shape[:-2] and not found.judged.any() and list(found.measurements) == []


def test_outside_is_where_the_exact_iteration_overflows():
    claimed = iteration("muon", normalize="none")
    assert outside({"a": Lifted(np.eye(3), None)}, claimed) == ""
    assert outside({"a": Lifted(1e30 * np.eye(3), None)}, claimed).startswith("not judged: ")


def test_the_shape_is_that_of_the_input():
    assert shapes(iteration("muon"), (2, 5, 3)) == {"x": (2, 5, 3)} and ROW.outputs == ("x",)


@pytest.mark.parametrize(
    ("name", "tall", "wide", "square"),
    [  # of (12, 3), (3, 12) and (4, 4)
        ("none", 1, 1, 1),
        ("sqrt(max(1, m/n))", 2, 1, 1),
        ("sqrt(max(1, n/m))", 1, 2, 1),
        ("0.2 sqrt(max(m, n))", 0.2 * 12**0.5, 0.2 * 12**0.5, 0.4),
        ("sqrt(m/n)", 2, 0.5, 1),
        ("sqrt(n/m)", 0.5, 2, 1),
        ("sqrt(max(m, n))", 12**0.5, 12**0.5, 2),
    ],
)
def test_update_scales(name, tall, wide, square):
    found = [iteration("muon", scale=name).factor(*shape) for shape in ((12, 3), (3, 12), (4, 4))]
    assert found == pytest.approx([tall, wide, square], rel=1e-15, abs=0)
    assert name in UPDATE_SCALES and len(UPDATE_SCALES) == 7


def test_a_claim_is_its_arguments():
    plain = iteration("muon")
    assert (plain.eps, plain.eps_rule, plain.form, plain.restart, plain.scale) == (0.0, "add", "standard", (), "none")
    assert plain.steps == 5 and plain.normalization.kind == "frobenius" and plain.schedule.name == "jordan"
    assert Iteration(plain.schedule, 5, plain.normalization) == plain
    full = iteration("you-6", steps=4, normalize="spectral", eps=1e-7, eps_rule="clamp", form="gram", restart=[2])
    assert (full.steps, full.normalization.kind, full.eps, full.eps_rule) == (4, "spectral", 1e-7, "clamp")
    assert (full.form, full.restart) == ("gram", (2,))
    assert str(full) == "you-6, 4 steps, norm spectral, eps 1e-07 (clamp), Gram form restarted at 2"
    assert str(iteration("muon", form="gram", scale="sqrt(m/n)")).endswith(", Gram form, times sqrt(m/n)")
    assert iteration(plain.schedule) == plain
    with pytest.raises(TypeError, match="schedule must be a name or a Schedule, not int"):
        iteration(3)
    with pytest.raises(ValueError, match="scale='half'"):
        iteration("muon", scale="half")


@pytest.mark.parametrize("eps_rule", ["add", "clamp"])
def test_the_exact_iteration_is_that_of_the_claim(eps_rule):
    a = np.random.RandomState(0).standard_normal((4, 3))
    options = {"steps": 3, "normalize": "schatten4", "eps": 2.5, "eps_rule": eps_rule}
    claimed = iteration("polar-express", **options, form="gram", scale="sqrt(m/n)")
    np.testing.assert_array_equal(run(a, claimed), newton_schulz(a, "polar-express", **options))
