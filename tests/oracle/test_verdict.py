"""From measurements to a verdict, of an operation that is as simple as can be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy import ROW, lifted

from orthoref import OutsideDomain
from orthoref.oracle.operation import Measurement, Ratio
from orthoref.oracle.precision import PRECISIONS
from orthoref.oracle.verdict import Verdict, dtype_faults, judge, require_finite

EPS = 2.0**-52
FLOAT64 = PRECISIONS["float64"]
A = np.arange(1.0, 13.0).reshape(2, 3, 2)
HOLDS, FAILS, NAN = (Ratio("r", "R", ratio, 1.0, 0.5, (1,)) for ratio in (1.0, 1.5, np.nan))


def judged(x, a=A, **options):
    return judge(ROW, {"a": lifted(a)}, {"x": lifted(x)}, precision=FLOAT64, **options)


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (Verdict("s", [HOLDS], judged=(1, 3)), "holds"),
        (Verdict("s", [HOLDS], judged=(0, 3)), "not judged"),
        (Verdict("s", [], notes=["outside"]), "not judged"),
        (Verdict("s", [HOLDS]), "empty"),
        (Verdict("s", [HOLDS, FAILS], judged=(3, 3)), "fails"),
        (Verdict("s", [NAN], judged=(3, 3)), "fails"),
        (Verdict("s", [HOLDS], faults=["broken"], judged=(3, 3)), "fails"),
        (Verdict("s", [], faults=["broken"], notes=["outside"]), "fails"),
    ],
)
def test_states(verdict, state):
    assert verdict.state == state and verdict.holds == (state != "fails")


def test_lines():
    relative, absolute = replace(FAILS, text="long text"), replace(FAILS, relative=False, index=())
    verdict = Verdict("s", [HOLDS, relative, absolute], ["why"], ["fault"], ["note"])
    assert [*verdict.lines()] == [
        "  R                  1  <= 1",
        "  long text        1.5  <= 1  FAIL  batch index (1,)  = 0.5 relative",
        "  R                1.5  <= 1  FAIL  = 0.5 absolute",
        "  fault",
        "  reason: why",
        "  note",
    ]
    assert [*Verdict("s", notes=["note"]).lines()] == ["  note"]
    assert verdict.text("f").startswith("f: 3 of 4 checks failed        s\n")


def test_what_is_right_holds():
    found = judged(A, subject="s")
    assert found.state == "holds" and found.subject == "s" and found.judged == (2, 2)
    assert [check.ratio for check in found.checks] == [0, 0] and found.reasons == found.faults == found.notes == []
    assert found.observed == A.sum()


def test_the_limit_is_that_of_the_row_or_the_one_that_is_given():
    x = A + np.where(np.arange(2) == 0, 8 * EPS, -8 * EPS)
    assert [check.limit for check in judged(x).checks] == [2.0, 100.0]
    assert not judged(x).holds and judged(x, limit=8.0).holds and not judged(x, limit=7.9).holds


def test_the_claim_is_that_of_the_row_or_the_one_that_is_given():
    assert judged(3 * A, claimed=3.0).holds and not judged(A, claimed=3.0).holds
    assert judged(0 * A, claimed=0.0).holds  # a claim that is false is one


def test_the_worst_member_is_named_and_explained():
    x = A.copy()
    x[1] = -x[1]
    found = judged(x)
    error, total = found.checks
    assert (error.index, error.ratio, error.absolute) == ((1,), 24 / EPS, 24.0)
    assert (total.index, total.absolute) == ((1,), 114.0)
    assert found.reasons == ["x has the wrong sign"] and found.key == "sign" and found.state == "fails"
    assert judged(x, reasons=False).reasons == []


def test_what_no_known_mistake_explains_is_described():
    x = A.copy()
    x[0, 1] += [1.0, -1.0]
    assert judged(x).reasons == ["seen: error"] and judged(x).key == ""


def test_members_that_are_not_judged_are_counted():
    a = A.copy()
    a[1] = 0
    found = judged(a, a)
    assert found.judged == (1, 2) and found.notes == ["1 of 2 not judged"] and found.state == "holds"
    assert judged(0 * a, 0 * a).state == "not judged"


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 3), (0, 0)])
def test_nothing_of_an_empty_input_is_judged(shape):
    found = judged(np.ones(shape), np.ones(shape))
    assert found.judged == (0, 0) and found.holds


def test_one_empty_input_of_two_leaves_something_to_judge():
    row = replace(ROW, inputs=("a", "b"), shapes=lambda claimed, *_: {})
    found = judge(row, {"a": lifted(A), "b": lifted(np.zeros((0, 2)))}, {"x": lifted(A)}, precision=FLOAT64)
    assert found.judged == (2, 2)
    without_inputs = judge(
        replace(ROW, inputs=(), shapes=lambda claimed: {}, measure=lambda inputs, outputs, *more: ROW.measure(
            {"a": outputs["x"]}, outputs, *more)), {}, {"x": lifted(A)}, precision=FLOAT64,
    )  # fmt: skip
    assert without_inputs.judged == (2, 2)


def test_a_fault_of_the_family_fails_without_a_ratio():
    a = np.full((2, 2), 13.0)
    found = judged(a, a)
    assert found.faults == ["x is 13"] and found.state == "fails" and found.reasons == []


def test_shapes_that_do_not_fit_are_a_fault_and_nothing_is_measured():
    found = judged(A[0])
    assert found.faults == ["x has shape (3, 2), not (2, 3, 2)"] and found.checks == [] and found.state == "fails"
    extra = judge(ROW, {"a": lifted(A)}, {"x": lifted(A), "y": lifted(A[0])}, precision=FLOAT64)
    assert extra.holds  # no shape is claimed of y
    both = judge(ROW, {"a": lifted(A)}, {"x": lifted(A[0], "float32")}, precision=FLOAT64)
    assert both.faults == ["x has dtype float32, the input float64", "x has shape (3, 2), not (2, 3, 2)"]


@pytest.mark.parametrize(
    ("given", "found", "also", "broken"),
    [
        ("float64", "float64", "", False),
        ("float64", "float32", "", True),
        ("float64", "bfloat16", "bfloat16", False),
        ("float64", "float64", "bfloat16", False),
        ("float64", "float32", "bfloat16", True),
        (None, "float32", "", False),
        ("float64", None, "", False),
    ],
)
def test_dtypes(given, found, also, broken):
    inputs, outputs = {"a": lifted(A, given)}, {"x": lifted(A, found)}
    assert dtype_faults(inputs, outputs, also) == ([f"x has dtype {found}, the input {given}"] if broken else [])
    assert judge(ROW, inputs, outputs, precision=FLOAT64, also=also).holds != broken


def test_the_dtype_is_that_of_the_first_input_that_has_one():
    inputs = {"a": lifted(A, None), "b": lifted(A, "float32"), "c": lifted(A, "float64")}
    assert dtype_faults(inputs, {"x": lifted(A, "float32"), "y": lifted(A, "float64")}) == [
        "y has dtype float64, the input float32"
    ]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_inputs_that_are_not_finite_are_refused_with_their_index(bad):
    a = A.copy()
    require_finite("a", a)
    a[1, 2, 0] = bad
    with pytest.raises(OutsideDomain, match=rf"a has {bad} at index \(1, 2, 0\)"):
        judged(A, a)


def test_the_worst_ratio_is_that_which_exceeds_its_limit_most():
    ratio, limit = np.array([[3.0, 8.0], [4.0, 0.5]]), np.array([[1.0, 4.0], [4.0, 0.0]])
    worst = Measurement("r", "R", ratio, limit, np.array([[2.0, 1.0], [1.0, 1.0]])).worst()
    assert (worst.index, worst.ratio, worst.limit, worst.absolute) == ((0, 0), 3.0, 1.0, 6.0)
    ratio[1, 0] = np.nan
    worst = Measurement("r", "R", ratio, limit, 1.0).worst()
    assert worst.index == (1, 0) and not worst.holds
    assert Measurement("r", "R", np.array([3.0, 4.0]), 0.0, 1.0).worst().index == (1,)  # nothing is allowed
    empty = Measurement("r", "R", np.zeros((0, 2)), 5.0, 1.0).worst()
    assert (empty.ratio, empty.limit, empty.holds) == (0.0, 5.0, True)
