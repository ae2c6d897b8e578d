"""Explanations that the planted factors of tests/oracle/test_factors.py do not tell apart."""

import pytest

from orthoref.oracle.factors import DIVISORS, concentrated


@pytest.mark.parametrize("divisor", DIVISORS[1:])
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
