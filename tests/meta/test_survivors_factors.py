"""Explanations that the planted factors of tests/oracle/test_factors.py do not tell apart."""

import numpy as np
import pytest

from orthoref.oracle.factors import _candidates, concentrated


@pytest.mark.parametrize("divisor", [4, 8, 16, 32])
@pytest.mark.parametrize("divisible", [True, False])
def test_every_vector_length_is_named(divisor, divisible):
    orders = [divisor * k + r for k in range(1, 12) for r in (0, 1, divisor // 2)]
    outcomes = [({"order": str(order)}, (order % divisor == 0) != divisible) for order in orders]
    word = "divisible" if divisible else "not divisible"
    assert concentrated(outcomes) == f"fails only for orders {word} by {divisor}"


@pytest.mark.parametrize(
    ("failing", "phrase"),
    [
        (("near underflow", "squares underflow"), "for input of small scale"),
        (("near overflow", "squares overflow"), "for input of large scale"),
        (("near underflow", "squares underflow", "near overflow", "squares overflow"), "for input of extreme scale"),
        (("0.5", "0.25"), "for input of small scale"),
        (("2", "1e+10"), "for input of large scale"),
        (("0",), "for zero input"),
    ],
)
def test_scales_are_grouped_by_size(failing, phrase):
    """1 and 0 are neither small nor large."""
    named = ["near underflow", "squares underflow", "near overflow", "squares overflow"]
    if failing[0] in ("0.5", "2"):  # without the named levels of the same side, which would have to fail as well
        named = [level for level in named if ("underflow" in level) != phrase.endswith("small scale")]
    levels = dict.fromkeys(["0", "1", *named, *failing])
    outcomes = [({"scale": level}, level not in failing) for level in levels for _ in range(12)]
    assert concentrated(outcomes) == f"fails only {phrase}"


def outcomes(*groups):
    """From (factors, cases, failing ones among them)."""
    return [(factors, i >= failing) for factors, count, failing in groups for i in range(count)]


LEFT, RIGHT = {"side": "left"}, {"side": "right"}


@pytest.mark.parametrize(
    ("left", "right", "sentence"),
    [  # (cases, failing ones) on either side
        ((40, 40), (400, 0), "fails only for side left"),
        ((240, 20), (900, 0), "fails only for side left (20 of 240 such cases)"),  # a twelfth of those that have it
        ((252, 20), (900, 0), ""),
        ((60, 30), (900, 10), "fails mostly for side left: 30 of 40 failing cases, 30 of 60 such cases"),
        ((61, 30), (900, 10), ""),  # less than half of those that have it
        ((60, 30), (900, 11), ""),  # less than three quarters of the failing cases
        ((20, 18), (900, 54), "fails partly for side left: 18 of 72 failing cases, 18 of 20 such cases"),
        ((20, 18), (900, 55), ""),  # less than a quarter of the failing cases
        ((20, 17), (900, 51), ""),  # less than nine tenths of those that have it
    ],
)
def test_shares_from_which_on_a_property_is_told(left, right, sentence):
    """The bounds of the docstring, each met and missed by one case; all are far from chance."""
    assert concentrated(outcomes((LEFT, *left), (RIGHT, *right))) == sentence


def test_the_rest_is_explained_after_a_part():
    first, second = {"side": "left"}, {"dtype": "float32"}
    neither = {"side": "right", "dtype": "float64"}
    table = outcomes(
        (neither | first, 40, 40), (neither | first | second, 10, 10), (neither | second, 30, 30), (neither, 120, 0)
    )
    part = "fails partly for side left: 50 of 80 failing cases, 50 of 50 such cases"
    assert concentrated(table) == f"{part}; otherwise fails only in float32"


@pytest.mark.parametrize(
    ("pair", "phrase"),
    [
        ({"batch": "two axes", "structure": "skew"}, "for stacks with two axes with skew-Hermitian input"),
        ({"batch": "two axes", "orientation": "wide"}, "for stacks with two axes of wide matrices"),
        ({"batch": "none", "orientation": "wide"}, "for single wide matrices"),
        ({"orientation": "wide", "memory": "F"}, "for wide matrices in Fortran order"),
        ({"orientation": "wide", "structure": "skew"}, "for wide matrices with skew-Hermitian input"),
    ],
)
def test_two_properties_at_once(pair, phrase):
    others = {"batch": "length 1", "orientation": "square", "structure": "general", "memory": "C"}
    (a, x), (b, y) = pair.items()
    base = {name: others[name] for name in pair}
    table = outcomes((pair, 30, 30), (base | {a: x}, 30, 0), (base | {b: y}, 30, 0), (base, 30, 0))
    assert concentrated(table) == f"fails only {phrase}"


def test_what_all_or_no_cases_have_is_not_tried():
    columns = {"side": np.array(["left"] * 4), "dtype": np.array(["float32", "float32", "float64", "float64"])}
    tried = [*_candidates(columns, np.array([True, False, False, False]))]
    assert [(k, n) for k, n, _, _ in tried[:2]] == [(2, 2), (2, 2)]
    assert all(0 < n < 4 for _, n, _, _ in tried)
