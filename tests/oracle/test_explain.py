"""Known mistakes are undone until the measures accept: which is named, and which is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy import ROW, lifted

from orthoref.oracle.explain import accepted, accepts, agreed, explain, masked, member
from orthoref.oracle.operation import Check, Variant
from orthoref.oracle.precision import PRECISIONS

EPS = 2.0**-52
FLOAT64 = PRECISIONS["float64"]
A = np.array([[1.0, 2.0], [3.0, 5.0]])
TRIED = {"claimed": 1.0, "precision": FLOAT64, "limit": 2.0}


def accepted_ratio(variant, x=A, a=A, row=ROW, **options):
    return accepts(row, {"a": lifted(a)}, {"x": lifted(x)}, variant=variant, **(TRIED | options))


def named(variants, x, failed, first="", a=A, row=ROW, **options):
    row = replace(row, variants=lambda *_: iter(variants))
    arguments = {"a": lifted(a)}, {"x": lifted(x)}
    return [each.reason for each in accepted(row, *arguments, **(TRIED | options), failed=failed, first=first)]


def test_one_member_of_every_stack():
    a, b = np.arange(24.0).reshape(2, 3, 2, 2), np.arange(6.0).reshape(2, 3, 1, 1)
    data = {"a": lifted(a), "b": lifted(b, "float32")}
    found = member(data, (1, 2))
    assert np.array_equal(found["a"].value, [[20, 21], [22, 23]]) and found["a"].dtype == "float64"
    assert np.array_equal(found["b"].value, [[5]]) and found["b"].dtype == "float32"
    single = {"a": lifted(A)}
    assert np.array_equal(member(single, ())["a"].value, A)


def test_what_is_replaced_by_a_variant():
    nothing = Variant("", "")
    assert accepted_ratio(nothing) == 0 and accepted_ratio(nothing, -A) is None
    assert accepted_ratio(Variant("", "", {"x": A}), -A) == 0
    assert accepted_ratio(Variant("", "", inputs={"a": -A}), -A) == 0
    assert accepted_ratio(Variant("", "", claimed=-1.0), -A) == 0
    assert accepted_ratio(Variant("", "", claimed=0.0), 0 * A) == 0  # a claim that is false is one
    coarse = Variant("", "", precision=PRECISIONS["float32"])
    assert accepted_ratio(coarse, A * (1 + 2.0**-25)) == 5 * 2.0**-25 / 2.0**-23 / 2  # of a limit of 2


def test_the_ratio_is_the_largest_over_its_limit():
    x = A + EPS * np.array([[1, 0], [0, 0]])  # error 1 of 2, sum 1 of 100
    assert accepted_ratio(Variant("", ""), x) == 0.5
    assert accepted_ratio(Variant("", ""), x, limit=1.0) == 1.0
    assert accepted_ratio(Variant("", ""), x, limit=0.9) is None
    assert accepted_ratio(Variant("", "", most=1.0), x) == 1.0
    assert accepted_ratio(Variant("", "", most=0.9), x) is None
    assert accepted_ratio(Variant("", "", most=9.0), x) == 0.5  # a larger one than the limit is none


def test_a_variant_that_cannot_be_judged_is_not_accepted():
    assert accepted_ratio(Variant("", "", {"x": A[:1]})) is None  # another shape
    assert accepted_ratio(Variant("", "", inputs={"a": A[:1]})) is None
    assert accepted_ratio(Variant("", "", inputs={"a": 99 * np.ones((2, 2))})) is None  # OutsideDomain
    assert accepted_ratio(Variant("", "", {"x": 0 * A}, inputs={"a": 0 * A})) is None  # not judged
    thirteen = np.full((2, 2), 13.0)
    assert accepted_ratio(Variant("", ""), thirteen, thirteen) is None  # a fault
    failing = replace(ROW, measure=lambda *_: 1 / 0)
    assert accepted_ratio(Variant("", ""), row=failing) is None
    with pytest.raises(KeyError):  # any other exception is a mistake of ours
        accepted_ratio(Variant("", ""), row=replace(ROW, measure=lambda *_: {}["x"]))


def test_without_measurements_there_is_nothing_against_it():
    def empty(*arguments):
        return replace(ROW.measure(*arguments), measurements=[])

    assert accepted_ratio(Variant("", ""), row=replace(ROW, measure=empty)) == 0


def test_all_that_explain_are_named_in_their_order():
    right = [Variant(str(i), str(i), {"x": A}) for i in range(3)]
    wrong = Variant("wrong", "wrong", {"x": 2 * A})
    assert named([wrong, right[0], wrong, right[1], right[2]], -A, {"error": 1e9}) == ["0", "1", "2"]


def test_a_mistake_that_is_undone_must_leave_half_of_the_ratio():
    """In multiples of the limit: from 1.5 = 3/2 to at most 0.75, that is 1.5 of 2."""
    x = A + EPS * np.array([[3, 0], [0, 0]])
    better, as_bad = (Variant(str(k), str(k), {"x": A + EPS * np.array([[k, 0], [0, 0]])}) for k in (1, 2))
    assert named([as_bad, better], x, {"error": 3.0}) == ["1"]
    assert named([as_bad, better], x, {"error": 4.0}) == ["2", "1"]
    assert named([as_bad, better], x, {"error": 0.0, "sum": 150.0}) == ["1"]  # its own limit is 100
    assert named([as_bad, better], x, {"error": 0.0, "sum": 200.0}) == ["2", "1"]
    assert named([as_bad, better], x, {"of the run": 4.0}) == ["2", "1"]
    assert named([as_bad, better], x, {"of the run": 3.0}) == ["1"]
    assert named([as_bad, better], x, {}) == ["2", "1"]
    assert named([as_bad, better], x, {"error": np.inf}) == ["2", "1"]
    assert named([as_bad, better], x, {"error": np.nan}) == ["2", "1"]
    tight = replace(ROW, checks=(Check("error", "", limit=0.5),))
    assert named([as_bad, better], x, {"error": 1.0}, row=tight) == ["2", "1"]


def test_of_rivals_the_best_wins_and_of_equals_the_first():
    rivals = [Variant(str(k), str(k), {"x": A + EPS * np.array([[k, 0], [0, 0]])}, rival=True) for k in (2, 1, 0, 0)]
    other = Variant("other", "other", {"x": A})
    assert named([rivals[0], rivals[1], other, *rivals], -A, {"error": 1e9}) == ["1", "other", "0"]
    last = replace(rivals[3], reason="last")
    assert named([*rivals[:3], last], -A, {"error": 1e9}) == ["0"]
    assert named([replace(rivals[0], outputs={"x": 2 * A})], -A, {"error": 1e9}) == []


def test_one_that_is_known_from_elsewhere_comes_first():
    variants = [Variant(str(i), str(i), {"x": A}) for i in range(3)]
    assert named(variants, -A, {"error": 1e9}, first="2") == ["2", "0", "1"]
    assert named(variants, -A, {"error": 1e9}, first="5") == ["0", "1", "2"]
    wrong = Variant("2", "2", {"x": 2 * A})
    assert named([*variants[:2], wrong], -A, {"error": 1e9}, first="2") == ["0", "1"]


def test_the_explanation_is_the_first_that_is_accepted():
    arguments = {"a": lifted(A)}, {"x": lifted(-A)}, 1.0, FLOAT64, 2.0, {"error": 1e9}
    assert explain(ROW, *arguments) == ("sign", ["x has the wrong sign"])
    also = replace(ROW, describe=lambda *all_: ["large"] if not all_[-1] else ["wrong"])
    assert explain(also, *arguments) == ("sign", ["x has the wrong sign", "large"])
    none = replace(also, variants=lambda *_: iter(()))
    assert explain(none, *arguments) == ("", ["wrong"])
    found = replace(also, variants=lambda *_: iter([Variant(k, k, {"x": A}) for k in "ab"]))
    assert explain(found, *arguments)[0] == "a" and explain(found, *arguments, "b")[0] == "b"


def test_entries_that_are_not_finite_are_counted():
    also = replace(ROW, describe=lambda *all_: ["large"] if not all_[-1] else ["wrong"])
    x = np.array([[1.0, np.nan], [np.inf, 2.0]])
    said = "x has 2 of 4 entries that are NaN or infinite"
    failed = {"error": np.nan}
    assert explain(also, {"a": lifted(A)}, {"x": lifted(x)}, 1.0, FLOAT64, 2.0, failed) == (
        "x not finite: large", [said, "large"])  # fmt: skip
    zero = {"a": lifted(0 * A)}
    assert explain(also, zero, {"x": lifted(x)}, 1.0, FLOAT64, 2.0, failed) == (
        "x not finite at zero: large", [f"{said} for a zero input: 0/0?", "large"])  # fmt: skip
    key, _ = explain(also, zero | {"b": lifted(A)}, {"x": lifted(x)}, 1.0, FLOAT64, 2.0, failed)
    assert key == "x not finite: large"


@pytest.mark.parametrize(
    ("found", "key"),
    [
        ([["a", "b"], ["b"]], "b"),  # explains most
        ([["a", "b"], ["a", "b"], ["b", "a"]], "a"),  # both explain all, and a comes earlier
        ([["b", "a"], ["a", "b"]], "a"),  # by name
        ([["b", "b", "a"], ["a"], []], "a"),  # twice in one is once
        ([["c", "a"], ["d", "a"], ["c"], ["d"], ["d"]], "d"),
        ([[]], ""),
        ([], ""),
    ],
)
def test_the_key_on_which_most_agree(found, key):
    assert agreed(found) == key
    assert agreed(iter(found)) == key


def test_where_a_key_is_missing_it_ranks_last():
    """Of two that explain two members each: a ranks 0 + 1 and 3, c ranks 2 + 2 and 1."""
    assert agreed([["a", "x", "c"], ["b", "a"], ["z", "c"]]) == "a"
    assert agreed([["x", "y", "a"], ["b", "c"], ["a"], ["c"]]) == "c"


@pytest.mark.parametrize(
    ("text", "expect"),
    [
        ("0.31 of 1.5e-07 in float32, bfloat16 and tf32", "# of # in float32, bfloat16 and tf32"),
        ("complex64 (3, 40), 96x32", "complex64 (#, #), #x#"),
    ],
)
def test_numbers_are_masked_and_formats_are_not(text, expect):
    assert masked(text) == expect
