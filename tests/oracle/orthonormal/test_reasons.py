"""What is said of columns that are not orthonormal."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from orthoref import PortFailure, testing
from orthoref.oracle import cases
from orthoref.oracle.orthonormal.reasons import (
    beside_one,
    errors_of_columns,
    lies_on_grid,
    not_orthonormal,
    one_wrong,
    shorter,
)
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
    "square, stored in float32": (
        np.linalg.qr(Q[:12])[0].astype("float32").astype(float),
        "columns are orthonormal to float32 only",
    ),
    "wide, stored in float32": (Q.T.astype("float32").astype(float), "rows are orthonormal to float32 only"),
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


def said(q, vectors="columns"):
    return not_orthonormal(q, vectors)


def test_which_vector_and_which_pair():
    q = np.eye(5)
    q[:, 2] *= 1.5
    q[0, 1], q[0, 3] = 0.25, 0.5
    lengths = "column 2 has length 1.5"
    off = np.sqrt(2 * (0.25**2 + 0.5**2 + 0.125**2))
    gram = f"the Gram matrix off the diagonal {off:.2g}, largest for 0 and 3"
    assert said(q) == f"columns are not orthonormal: {lengths}, {gram}"
    assert said(q.T, "rows") == said(q).replace("column", "row")
    assert said(np.diag([1.0, 1.5, 0.75])) == (
        "columns are not orthonormal: column 1 has length 1.5, the Gram matrix off the diagonal 0"
    )


def test_a_missing_factor_is_seen_where_lengths_are_equal_and_angles_right():
    assert said(0.5 * np.eye(3)) == "columns are orthogonal but have length 0.5: a factor is missing"
    assert said(2 * np.eye(3) + 1e-4) == "columns are orthogonal but have length 2: a factor is missing"
    assert "a factor" not in said(2 * np.diag([1.0, 1.0, 1.002]))
    assert "a factor" not in said(1.0005 * np.eye(3)) and "a factor" in said(1.002 * np.eye(3))
    turned = np.eye(3)
    turned[0, 1], turned[1, 1] = np.sin(0.01), np.cos(0.01)
    assert "a factor" not in said(2 * turned)
    assert said(np.zeros((3, 2))) == "all columns have length 0"


def test_parallel_columns():
    q = np.eye(4)
    q[:, 3] = q[:, 1]
    q[:, 0] += 0.3 * q[:, 2]  # not one column alone
    assert said(q) == "columns 1 and 3 are parallel"
    q[:, 3] *= -2
    assert said(q) == "columns 1 and 3 are parallel"
    q[:, 3] = 0
    assert "parallel" not in said(q)


def test_one_column_alone():
    q = np.eye(4)
    q[:, 2] += [0.1, 0.2, 0.0, 0.0]
    one = "column 2 alone is wrong: column 2 has length 1.0247"
    assert said(q) == f"{one}, inner products with the others up to 0.2"
    q = np.eye(4)
    q[2, 2] = 1.5
    assert said(q).startswith("column 2 alone is wrong: column 2 has length 1.5, ")
    q[2, 2] = 1.01
    assert said(q).startswith("column 2 alone is wrong: column 2 has length 1.01, ")
    q = np.eye(4)
    q[0, 2] = 0.1  # one pair: either may be wrong
    assert "alone" not in said(q)
    q[1, 2], q[3, 0] = 0.1, 1e-2
    assert "alone" not in said(q)
    assert "alone" not in said(np.diag([1.0, 2.0]))  # of two
    assert "alone" not in said(np.eye(4))


@pytest.mark.parametrize(
    ("x", "text"),
    [(1.0, "1"), (1.5, "1.5"), (0.25, "0.25"), (1 + 1e-5, "1.00001"), (1 + 1e-6, "1 + 1e-06"), (1 - 2e-9, "1 - 2e-09"),
     (1 - 2e-5, "0.99998"), (0.0, "0")],
)  # fmt: skip
def test_numbers_beside_one(x, text):
    assert beside_one(x) == text


def test_one_wrong_place_is_put_right():
    exact = np.arange(12.0).reshape(3, 4)

    def found(*places, exact=exact):
        x = exact.copy()
        for place, by in places:
            x[place] = x[place] + by
        return [(where, np.array_equal(repaired, exact)) for where, repaired in one_wrong("h", x, exact)]

    assert found(((1, 2), 0.5)) == [("entry (1, 2) of h alone is wrong, by 0.5", True)]
    assert found((1, 0.5)) == [("row 1 of h alone is wrong, by 1", True)]
    assert found(((slice(None), 3), [3.0, 0.0, 4.0])) == [("column 3 of h alone is wrong, by 5", True)]
    assert found(((0, 0), 3.0), ((2, 2), 1.0)) == [("entry (0, 0) of h alone is wrong, by 3", False)]  # nine tenths
    assert found(((0, 0), 3.0), ((2, 2), 1.01)) == [] == found(((0, 0), 1.0), ((1, 1), 1.0)) == found()
    assert found((0, 1.0), exact=exact[:1]) == [] == found(((0, 0), 1.0), exact=exact[:1, :1])
    assert found(((0, 1), 1.0), exact=exact[:1]) == [("entry (0, 1) of h alone is wrong, by 1", True)]
    ((where, repaired),) = one_wrong("u", np.eye(2), np.array([[1, 1j], [0, 1]]))
    assert where.startswith("entry (0, 1) of u") and repaired[0, 1] == 1j


def test_errors_of_columns_and_rows():
    q = np.array([[1.0, 0.5], [0.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(errors_of_columns(q), [0.5, np.hypot(0.5, 0.25)], rtol=1e-15, atol=0)
    np.testing.assert_allclose(errors_of_columns(q.T), errors_of_columns(q), rtol=0, atol=0)
    np.testing.assert_allclose(errors_of_columns(1j * q), errors_of_columns(q), rtol=1e-15, atol=0)


OFF = np.array([[1 + 2.0**-50]])
FLOAT64 = PRECISIONS["float64"]


def formats(error, x=OFF, size=16, precision=FLOAT64, least=0.0):
    return [*shorter(x, np.asarray(error, float), size, precision, least)]


def test_a_format_is_named_for_errors_of_its_size():
    """Between eps/64 and ten units over sqrt(n), at most 1/2, the root mean square over the columns."""
    eps = PRECISIONS["float32"].eps
    most = 10 * 16 * eps / 4
    for error, named in ((eps / 64, True), (eps / 65, False), (most, True), (1.01 * most, False)):
        assert (("float32", False) in formats([error] * 16)) == named
    names = [name for name, _ in formats([2.0**-10] * 16)]
    assert names == ["tf32", "float16", "bfloat16"]  # 2^-7/64 = 2^-13
    assert formats([0.51] * 300, size=300) == []
    assert formats([eps] * 16, precision=PRECISIONS["float32"]) == []  # not shorter
    assert formats([]) == [] == formats([np.nan, eps]) == formats([np.inf, eps])


def test_an_error_of_a_format_is_in_most_columns():
    """(SPREAD): the median is a fourth of the mean; one column alone says nothing; a known cause is preferred."""
    eps = PRECISIONS["float32"].eps
    assert formats([eps] * 16) and not formats([eps] + [0.0] * 15) and not formats([eps], size=1)
    many = [eps] * 8 + [0.36 * eps] * 9  # mean square 0.539 eps^2
    few = [eps] * 8 + [0.1 * eps] * 9
    assert formats(many) and not formats(few)
    assert formats([eps] * 16, least=0.99 * eps) and not formats([eps] * 16, least=eps)


def test_the_coarsest_grid_wins_and_needs_no_spread():
    eps = PRECISIONS["bfloat16"].eps
    assert formats([eps] + [0.0] * 15, x=np.array([[1.0, 0.5]])) == [("bfloat16", True)]
    assert formats([2.0**-10] * 16, x=np.array([[1 + 2.0**-10]])) == [("float16", True)]
    assert formats([eps], x=np.array([[1.0]]), size=1) == [("bfloat16", True)]
    assert formats([2.0**-20] * 16, x=np.array([[1 + 2.0**-20]]))[0] == ("float32", True)


def test_grids_are_seen_beyond_the_first_rows():
    x = np.ones((600, 2))
    assert lies_on_grid(x, PRECISIONS["bfloat16"])
    for row in (0, 255, 256, 599):
        y = x.copy()
        y[row, 1] += 2.0**-20
        assert not lies_on_grid(y, PRECISIONS["bfloat16"]) and not lies_on_grid(x + 1j * y, PRECISIONS["bfloat16"])
