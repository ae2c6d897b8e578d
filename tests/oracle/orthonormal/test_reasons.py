"""What is said of columns that are not orthonormal."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from orthoref import PortFailure, testing
from orthoref.oracle import cases
from orthoref.oracle.orthonormal.reasons import lies_on_grid
from orthoref.oracle.precision import PRECISIONS

Q = np.linalg.qr(np.random.RandomState(0).standard_normal((30, 12)))[0]


def put(place, value):
    q = Q.copy()
    q[place] = value
    return q


WRONG = {
    "zero": (0 * Q, "all columns have length 0"),
    "twice": (2 * Q, "columns are orthogonal but have length 2: a factor is missing"),
    "zero column": (put((slice(None), 3), 0), "column 3 alone is wrong: column 3 has length 0"),
    "equal columns": (put((slice(None), 3), Q[:, 5]), "columns 3 and 5 are parallel"),
    "one entry": (put((4, 7), Q[4, 7] + 1e-9), "column 7 alone is wrong"),
    "one tiny entry": (put((4, 7), Q[4, 7] + 4e-13), "column 7"),
    "stored in float32": (Q.astype("float32").astype(float), "columns are orthonormal to float32 only"),
    "stored in float16": (Q.astype("float16").astype(float), "columns are orthonormal to float16 only"),
    "stored in bfloat16": (cases.cast(Q, "bfloat16").astype(float), "columns are orthonormal to bfloat16 only"),
    "computed in float32": (
        (Q.astype("float32") @ np.linalg.qr(np.ones((12, 12)) + np.eye(12))[0].astype("float32")) + 1e-12,
        "columns are orthonormal to float32 only",
    ),
    "wide": (2 * Q.T, "rows are orthogonal but have length 2"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_reason(name):
    q, words = WRONG[name]
    with pytest.raises(PortFailure) as failure:
        testing.assert_orthonormal(q.astype(float))
    assert words in str(failure.value)


@pytest.mark.parametrize("name", ["one entry", "one tiny entry", "zero column", "twice"])
def test_no_shorter_format_is_named_for_one_wrong_place(name):
    with pytest.raises(PortFailure) as failure:
        testing.assert_orthonormal(WRONG[name][0])
    assert "only" not in str(failure.value)


def test_an_error_between_two_formats_is_that_of_neither():
    with pytest.raises(PortFailure) as failure:
        testing.assert_orthonormal(Q + 1e-12 * np.random.RandomState(1).standard_normal(Q.shape))
    assert "only" not in str(failure.value)


def test_grids():
    x = np.array([[1.0, -1.5], [2.0**-24, 0.0]])
    assert lies_on_grid(x, PRECISIONS["float16"]) and lies_on_grid(1j * x, PRECISIONS["float16"])
    assert not lies_on_grid(x / 2, PRECISIONS["float16"]) and lies_on_grid(x / 2, PRECISIONS["bfloat16"])
    assert not lies_on_grid(x * (1 + 2.0**-8), PRECISIONS["bfloat16"])


def test_a_long_wrong_result_costs_a_small_multiple_of_its_memory():
    q = np.linalg.qr(np.random.RandomState(0).standard_normal((50_000, 3)))[0] * 1.0001
    tracemalloc.start()
    with pytest.raises(PortFailure):
        testing.assert_orthonormal(q)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 8 * q.nbytes
