"""The sentence names the planted factor, and none where there is none."""

from __future__ import annotations

from math import comb, nan

import numpy as np
import pytest

from orthoref.oracle import battery, factors
from orthoref.oracle.factors import concentrated

pytestmark = pytest.mark.sample(6)

TABLE = [
    case.factors for case in battery.cases(battery.Levels(), dtypes=("float32", "float64", "complex64", "complex128"))
]


def number(level):
    return nan if level == "-" else float(level)


def stack(f):
    return f["batch"] != "none"


PLANTED = {
    "fails only in Fortran order": lambda f: f["memory"] == "F",
    "fails only for negative strides": lambda f: f["memory"] == "negative",
    "fails only for stacks": stack,
    "fails only for stacks of wide matrices": lambda f: stack(f) and f["orientation"] == "wide",
    "fails only for stacks with a singular member": lambda f: f["members"] == "one singular",
    "fails only for stacks with two axes": lambda f: f["batch"] == "two axes",
    "fails only for order 3": lambda f: f["order"] == "3",
    "fails only for orders of at least 64": lambda f: number(f["order"]) >= 64,
    "fails only for orders from 63 to 65": lambda f: 63 <= number(f["order"]) <= 65,
    "fails only for odd orders": lambda f: number(f["order"]) % 2 == 1,
    "fails only for orders not divisible by 16": lambda f: number(f["order"]) % 16 > 0,
    "fails only at condition numbers of at least 1e+08": lambda f: number(f["cond"]) >= 1e8,
    "fails only at condition numbers from 1e+11 to 1e+13": lambda f: 1e9 < number(f["cond"]) < 1e14,
    "fails only for complex dtypes": lambda f: f["dtype"].startswith("complex"),
    "fails only in single precision": lambda f: f["dtype"] in ("float32", "complex64"),
    "fails only for skew-Hermitian input": lambda f: f["structure"] == "skew",
    "fails only for Hermitian input": lambda f: f["structure"] in ("hermitian", "definite"),
    "fails only for input of small scale": lambda f: "underflow" in f["scale"],
    "fails only where squares overflow": lambda f: f["scale"] == "squares overflow",
    "fails only for empty matrices": lambda f: f["class"] == "empty",
    "fails only for the jordan matrices of the gallery": lambda f: f["structure"] == "gallery jordan",
    "fails only for wide matrices in Fortran order": lambda f: f["orientation"] == "wide" and f["memory"] == "F",
}


@pytest.mark.parametrize(
    ("sentence", "fails"),
    [
        pytest.param(
            *planted,
            id=planted[0],
            marks=pytest.mark.exhaustive if "divisible" in planted[0] or planted[0].endswith("for stacks") else (),
        )
        for planted in PLANTED.items()
    ],
)
def test_planted_factors_are_named(sentence, fails):
    assert concentrated([(f, not fails(f)) for f in TABLE]) == sentence


@pytest.mark.parametrize("sentence", ["fails only in Fortran order", "fails only for complex dtypes"])
def test_cases_that_hold_by_luck_are_counted(sentence):
    fails, random = PLANTED[sentence], np.random.RandomState(0)
    outcomes = [(f, not fails(f) or random.uniform() < 0.3) for f in TABLE]
    n, failing = sum(map(fails, TABLE)), sum(not holds for _, holds in outcomes)
    found = concentrated(outcomes)
    assert found.startswith(sentence) and f"{failing} of " in found
    assert found.endswith(f"{failing} of {n} such cases)") or "complex" not in sentence


def test_failures_elsewhere_are_counted():
    fails = PLANTED["fails only in Fortran order"]
    n, elsewhere = (
        sum(map(fails, TABLE)),
        [f for f in TABLE if not fails(f) and stack(f) and f["order"] != "-"][::60][:3],
    )
    outcomes = [(f, not fails(f) and f not in elsewhere) for f in TABLE]
    assert concentrated(outcomes) == (
        f"fails mostly in Fortran order: {n} of {n + 3} failing cases, {n} of {n} such cases"
    )


@pytest.mark.exhaustive
def test_two_faults_are_told_apart():
    found = concentrated([(f, f["memory"] != "F" and not number(f["order"]) >= 128) for f in TABLE])
    one, other = sorted(found.removeprefix("fails partly ").split("; otherwise fails only "))  # in any order
    assert one.startswith("for orders of at least 128") and other.startswith("in Fortran order")


@pytest.mark.exhaustive
@pytest.mark.parametrize("failing", [1, 2, 3, 5, 20])
def test_failures_at_random_are_not_explained(failing):
    for seed in range(5):
        bad = {*np.random.RandomState(seed).choice(len(TABLE), failing, replace=False).tolist()}
        assert concentrated([(f, i not in bad) for i, f in enumerate(TABLE)]) == ""


def test_nothing_to_tell():
    assert concentrated([]) == ""
    assert concentrated([(f, True) for f in TABLE]) == concentrated([(f, False) for f in TABLE]) == ""


def test_factors_of_another_family():
    outcomes = [({"side": side, "call": str(i)}, side == "right") for i in range(20) for side in ("left", "right")]
    assert concentrated(outcomes) == "fails only for side left"
    outcomes = [({"call": call}, call == "first") for _ in range(20) for call in ("first", "second")]
    assert concentrated(outcomes) == "fails only in the second call"


def test_fisher_is_the_hypergeometric_tail():
    # drawing 3 of 10 without replacement, 4 of them marked: P(2 or more) = (C(4,2) C(6,1) + C(4,3)) / C(10,3)
    assert factors._fisher(10, 3, 4, 2) == pytest.approx((6 * 6 + 4) / comb(10, 3), rel=1e-15, abs=0)
    assert factors._fisher(10, 3, 4, 0) == 1
