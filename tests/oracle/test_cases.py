"""The inputs are what they are said to be."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import orthoref
from orthoref.oracle import cases, conformance
from orthoref.oracle.cases import GALLERY, SPECTRA, gallery, matrix
from orthoref.oracle.precision import precision_of

EPS = 2.0**-52


@pytest.mark.parametrize("spectrum", [s for s in SPECTRA if s != "graded"])
@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (1, 1), (2, 5, 3)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_singular_values_are_the_declared_ones(spectrum, shape, dtype):
    a = matrix(shape, spectrum=spectrum, cond=1e4, seed=2, dtype=dtype)
    k = min(shape[-2:])
    i = np.arange(k) / max(k - 1, 1)
    halves = np.where(np.arange(k) < (k + 1) // 2, 1, 1e-4)
    declared = {
        "geometric": 1e-4**i,
        "arithmetic": 1 - i * (1 - 1e-4),
        "one_small": np.where(i == 1, 1e-4, 1.0),
        "one_large": np.where(i == 0, 1, 1e-4),
        "clustered": halves,
        "repeated": halves,
        "rank_deficient": np.where(np.arange(k) < k - max(1, k // 3), 1e-4**i, 0),
    }
    s = np.linalg.svd(a, compute_uv=False)
    tolerance = 20 * k * EPS  # Weyl: forming P diag(s) Q^H and the SVD each commit a few k eps
    if spectrum == "log_uniform":
        assert np.all(np.abs(s[..., 0] - 1) <= tolerance)
        assert k == 1 or np.all(np.abs(s[..., -1] - 1e-4) <= tolerance)
    else:
        assert np.max(np.abs(s - np.sort(declared[spectrum])[::-1])) <= tolerance


def test_graded_rows_have_the_declared_norms():
    a = matrix((5, 5), spectrum="graded", cond=1e8, seed=1)
    assert np.linalg.norm(a, axis=1) == pytest.approx(1e8 ** -(np.arange(5) / 4), rel=20 * EPS, abs=0)


@pytest.mark.parametrize("sign", ["+", "-"])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_sign_of_the_determinant(sign, n):
    for seed in range(10):
        assert np.sign(np.linalg.det(matrix((n, n), det=sign, seed=seed))) == (1 if sign == "+" else -1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"spectrum": "flat"}, "spectrum='flat'"),
        ({"cond": 0.5}, "cond=0.5"),
        ({"cond": float("nan")}, "cond=nan"),
        ({"det": "+", "dtype": "complex64"}, "det"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(ValueError, match=words):
        matrix((3, 3), **options)


def test_every_case_is_recreated_by_its_line_and_has_its_own_id():
    battery = conformance.battery(dtypes=("float32", "complex128"))
    assert len({case.id for case in battery}) == len(battery)
    for case in battery:
        again = eval(case.recreate, {"orthoref": orthoref})
        assert again.dtype == case.dtype and again.tobytes() == case.matrix().tobytes()
        assert np.isfinite(again).all()


def test_ids_are_stable():
    # published: users pin them
    battery = {case.id for case in conformance.battery()}
    assert {
        "float64-5x5-geometric-cond=1e+03-seed=1",
        "complex64-16x16-kahan",
        "float32-3x4x4-graded-cond=1e+03-seed=0",
    } <= battery


def test_the_random_stream_is_the_frozen_one():
    # first draws of RandomState(0): frozen by NumPy's compatibility policy
    first = np.random.RandomState(0).standard_normal(2)
    assert first.tolist() == [1.764052345967664, 0.4001572083672233]


def test_scale_is_applied_last():
    a, b = matrix((4, 4), seed=5), matrix((4, 4), seed=5, scale=2.0**-1060)
    assert np.array_equal(a * 2.0**-1060, b)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_rounding_to_16_bits_is_that_of_ml_dtypes(dtype):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    target = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    rng = np.random.RandomState(0)
    values = np.concatenate([
        rng.standard_normal(1000) * 2.0 ** rng.randint(-140, 128, 1000),
        rng.standard_normal(1000) * 2.0 ** rng.randint(-27, 17, 1000),
        [0.0, -0.0, 1 + 2.0**-8, 1 + 3 * 2.0**-8, 2.0**-133, 2.0**-134, 3 * 2.0**-135, 65504.0, 65519.0, -65520.0],
    ]).astype("float32")  # fmt: skip
    with np.errstate(over="ignore"):
        assert np.array_equal(cases.cast(values, dtype), values.astype(target).astype("float32"))


def exact(a: np.ndarray) -> list[list[Fraction]]:
    return [[Fraction(float(x)) for x in row] for row in a]


def rank(rows: list[list[Fraction]]) -> int:
    """By exact elimination."""
    rows, found = [list(row) for row in rows], 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((i for i in range(found, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        for i in range(found + 1, len(rows)):
            factor = rows[i][column] / rows[found][column]
            rows[i] = [x - factor * y for x, y in zip(rows[i], rows[found], strict=True)]
        found += 1
    return found


def minors(rows: list[list[Fraction]]) -> bool:
    """Sylvester's criterion by exact elimination without pivoting: all pivots positive."""
    rows = [list(row) for row in rows]
    for k in range(len(rows)):
        if not rows[k][k] > 0:
            return False
        for i in range(k + 1, len(rows)):
            factor = rows[i][k] / rows[k][k]
            rows[i] = [x - factor * y for x, y in zip(rows[i], rows[k], strict=True)]
    return True


def holds(claim: str, a: np.ndarray, n: int, dtype: str) -> bool:
    rows, precision = exact(a.real), precision_of(dtype)
    largest = float(np.abs(a).max())
    if claim == "nilpotent":
        return not np.linalg.matrix_power(a, n).any()
    if claim == "orthogonal":
        return np.array_equal(a @ a.T, np.eye(n))  # entries 0 and +-1: exact
    if claim == "symmetric":
        return np.array_equal(a, a.T)
    if claim == "positive definite":
        return np.array_equal(a, a.T) and minors(rows)
    if claim == "upper triangular":
        return not np.tril(a, -1).any()
    if claim == "diagonal":
        return np.array_equal(a, np.diag(np.diagonal(a)))
    if claim == "nonsingular":
        return rank(rows) == n
    if claim == "subnormal":
        return 0 < largest < precision.tiny / precision.eps
    if claim == "near overflow":
        return precision.largest / 4 <= largest < np.inf
    if claim == "bfloat16":
        return np.array_equal(cases.cast(a.real, "bfloat16"), a.real)
    if claim.startswith("rank "):
        return rank(rows) == {"0": 0, "1": 1, "n-1": n - 1}[claim.removeprefix("rank ")]
    raise AssertionError(f"no check for the property {claim!r}")


@pytest.mark.parametrize("name", GALLERY)
@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_gallery_matrices_have_the_declared_properties(name, n, dtype):
    a = gallery(name, n, dtype=dtype)
    assert a.shape == (n, n) and a.dtype == dtype and np.isfinite(a).all()
    for claim in GALLERY[name].properties:
        assert holds(claim, a, n, dtype), claim


def test_unknown_gallery_name():
    with pytest.raises(ValueError, match="name='wilson'"):
        gallery("wilson", 3)
