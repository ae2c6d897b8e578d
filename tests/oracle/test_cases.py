"""The inputs are what they are said to be."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import orthoref
from orthoref.oracle import cases
from orthoref.oracle.cases import (
    CONDS,
    GALLERY,
    MEMBERS,
    MEMORY,
    SCALES,
    SPECTRA,
    SQUARE,
    STRUCTURES,
    gallery,
    matrix,
)  # fmt: skip
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
        "almost_equal": 1 - i * 0.5e-4,
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
        ({"det": "+", "structure": "diagonal"}, "det"),
        ({"structure": "round"}, "structure='round'"),
        ({"members": "odd"}, "members='odd'"),
        ({"memory": "fortran"}, "memory='fortran'"),
        ({"structure": "real"}, "complex dtype"),
        ({"structure": "skew", "spectrum": "graded"}, "graded"),
        ({"members": "one zero"}, "at least two"),
        ({"memory": "broadcast"}, "batch axis"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(ValueError, match=words):
        matrix((3, 3), **options)


@pytest.mark.parametrize("shape", [(3.5, 3), (3,), (-1, 3), ("3", 3), (True, 3), 3, np.zeros((2, 2))])
def test_what_is_no_shape(shape):
    with pytest.raises(ValueError, match="two or more non-negative integers"):
        matrix(shape)
    assert cases.checked_shape([np.int64(3), 4]) == (3, 4)


def test_shapes_that_a_structure_or_layout_does_not_have():
    with pytest.raises(ValueError, match="square"):
        matrix((3, 4), structure="hermitian")
    with pytest.raises(ValueError, match="members='alike'"):
        matrix((3, 4, 4), members="one zero", memory="broadcast")
    with pytest.raises(ValueError, match="memory='broadcast'"):
        gallery("kahan", 3, memory="broadcast")


MIXED = [
    cases.drawn((5, 5), "geometric", 1e3, "float64", seed=1),
    cases.drawn((2, 3, 4, 4), "repeated", "1/eps", "complex64", structure="skew", members="one zero", memory="F"),
    cases.drawn((3, 4, 7), None, None, "float32", scale="squares overflow", structure="integer", memory="strided"),
    cases.drawn((6, 2), "graded", "eps^-1/2", "complex128", structure="real", memory="byteswapped"),
    cases.drawn((4, 3, 3), "one_small", 10.0, "bfloat16", scale=1e30, members="scaled", memory="unaligned"),
    cases.drawn((4, 3, 3), "one_small", 10.0, "float16", memory="broadcast"),
    cases.drawn((0, 4), None, None, "float64"),
    cases.named("kahan", 16, "complex64"),
    cases.named("hilbert", 3, "float32", memory="negative"),
]


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.strides == b.strides and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("case", MIXED, ids=lambda case: case.id)
def test_the_recreation_line_evaluates_to_the_same_array(case):
    again = eval(case.recreate, {"orthoref": orthoref})
    assert same(again, case.matrix()) and same(again, case.inputs()["a"]) and again.shape == case.shape
    assert again is not case.matrix()
    if not case.dtype.endswith("float16"):
        assert again.dtype.newbyteorder("=") == case.dtype
    assert np.isfinite(again).all()


def test_a_case_of_two_inputs_has_a_line_for_each():
    x, v = (case.calls[0][1] for case in (MIXED[0], MIXED[3]))
    case = cases.Case("id", "family", "name", "float64", (("x", x), ("v", v)), {})
    space: dict = {"orthoref": orthoref}
    exec(case.recreate, space)
    assert [*case.inputs()] == ["x", "v"] and all(same(space[name], a) for name, a in case.inputs().items())
    assert same(case.matrix(), x()) and hash(case) == hash(cases.Case(*(getattr(case, f) for f in FIELDS)))


FIELDS = ("id", "family", "name", "dtype", "calls", "factors")


def test_ids_are_stable_and_fit_for_pytest_k():
    # published: users pin them
    assert [case.id for case in MIXED] == [
        "float64-5x5-geometric-cond1e+03-seed1",
        "complex64-2x3x4x4-skew-repeated-cond8.39e+06-one_zero-F-seed0",
        "float32-3x4x7-integer-squares_overflow-strided-seed0",
        "complex128-6x2-real-graded-cond6.71e+07-byteswapped-seed0",
        "bfloat16-4x3x3-one_small-cond10-scale1e+30-scaled-unaligned-seed0",
        "float16-4x3x3-one_small-cond10-broadcast-seed0",
        "float64-0x4-seed0",
        "complex64-16x16-kahan",
        "float32-3x3-hilbert-negative",
    ]


def test_factors_are_the_levels_as_text_and_a_dash_where_there_is_none():
    assert MIXED[1].factors == {
        "class": "square", "orientation": "square", "order": "4", "rows": "4", "columns": "4",
        "batch": "two axes", "members": "one zero",
        "memory": "F", "structure": "skew", "spectrum": "repeated", "cond": "8.39e+06", "scale": "1",
        "dtype": "complex64",
    }  # fmt: skip
    assert MIXED[2].factors["spectrum"] == MIXED[2].factors["cond"] == "-"
    assert MIXED[2].factors["scale"] == "squares overflow"
    assert MIXED[6].factors == {
        "class": "empty", "orientation": "wide", "order": "-", "rows": "0", "columns": "4",
        "batch": "none", "members": "-", "memory": "C", "structure": "-",
        "spectrum": "-", "cond": "-", "scale": "-", "dtype": "float64",
    }  # fmt: skip
    assert MIXED[7].factors["structure"] == "gallery kahan"


@pytest.mark.parametrize(
    ("shape", "levels"),
    [
        ((3, 4), ("nearly square", "3", "none")),
        ((4, 6), ("wide", "4", "none")),
        ((6, 4), ("tall", "4", "none")),
        ((40, 4), ("very tall", "4", "none")),
        ((1, 2), ("row", "1", "none")),
        ((2, 1), ("column", "1", "none")),
        ((1, 1, 1), ("1x1", "1", "length 1")),
        ((2, 0, 3), ("empty", "-", "length 2")),
        ((0, 3, 3), ("square", "3", "length 0")),
        ((0, 2, 3, 3), ("square", "3", "length 0")),
        ((3, 3, 3), ("square", "3", "matrix dimension")),
        ((6, 6, 4), ("tall", "4", "matrix dimension")),
        ((5, 6, 4), ("tall", "4", "one axis")),
        ((1, 1, 6, 4), ("tall", "4", "two axes")),
    ],
)
def test_factors_of_a_shape(shape, levels):
    m, n = shape[-2:]
    found = cases.factors_of(shape)
    assert found.pop("orientation") == ("square" if m == n else "tall" if m > n else "wide")
    assert (found.pop("rows"), found.pop("columns")) == (str(m), str(n))
    assert tuple(found.values()) == levels


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128", "float16", "bfloat16"])
def test_named_scales_and_conditions(dtype):
    p = precision_of(dtype)
    assert CONDS["eps^-1/2"](p) ** 2 * p.eps == pytest.approx(1, rel=1e-15, abs=0) and CONDS["1/eps"](p) * p.eps == 1
    scale = {name: f(p) for name, f in SCALES.items()}
    assert 0 < scale["near underflow"] < p.tiny / p.eps  # below the smallest normal number
    assert (
        p.tiny < scale["squares underflow"] and (scale["squares underflow"] / p.tiny) * scale["squares underflow"] < 1
    )
    assert (scale["squares overflow"] / p.largest) * scale["squares overflow"] > 1
    assert scale["squares overflow"] <= p.largest / 4 and scale["near overflow"] == p.largest / 8


STRUCTURED = [
    (structure, dtype, shape)
    for structure in STRUCTURES
    for dtype in ("float32", "complex128")
    for shape in ((6, 6), (5, 5), (3, 2, 7, 4), (4, 7), (1, 1), (1, 5), (2, 0, 3))
    if (structure != "real" or dtype == "complex128") and (structure not in SQUARE or shape[-1] == shape[-2])
]


@pytest.mark.parametrize(("structure", "dtype", "shape"), STRUCTURED)
def test_structures_are_what_they_are_said_to_be(structure, dtype, shape):
    spectrum, cond, eps = "repeated", 1e3, precision_of(dtype).eps
    a = matrix(shape, spectrum=spectrum, cond=cond, seed=3, dtype=dtype, structure=structure)
    *_, m, n = shape
    k, adjoint, nonzero = min(m, n), a.conj().swapaxes(-1, -2), a != 0
    declared = np.where(np.arange(k) < (k + 1) // 2, 1, 1 / cond)
    match structure:
        case "hermitian" | "definite":
            values = np.linalg.eigvalsh(a)
            assert np.array_equal(a, adjoint)
            assert (values > 0).all() if structure == "definite" or k < 2 else (values[..., 0] < 0).all()
            assert (values[..., -1] > 0).all()
        case "skew":
            assert np.array_equal(a, -adjoint)
            if dtype == "float32":
                half = np.where(np.arange(k // 2) < (k // 2 + 1) // 2, 1, 1 / cond)
                declared = np.sort([*half, *half, *[0] * (k % 2)])[::-1]
        case "triangular":
            assert not np.tril(a, -1).any()
        case "diagonal":
            assert np.array_equal(a, a * np.eye(m, n))
        case "monomial" | "permutation":
            assert (nonzero.sum(axis=-1) <= 1).all() and (nonzero.sum(axis=-2) <= 1).all()
            assert (nonzero.sum(axis=(-1, -2)) == k).all()
            assert structure == "monomial" or np.array_equal(a, nonzero)
        case "integer":
            assert np.array_equal(a, np.round(a)) and (np.abs(a) <= 4).all()
            assert np.array_equal(a.real, cases.cast(a.real, "bfloat16"))
        case "real":
            assert np.iscomplexobj(a) and not a.imag.any()
            assert np.array_equal(a.real, matrix(shape, spectrum=spectrum, cond=cond, seed=3))
        case "positive" | "smooth":
            assert (a.real > 0).all() and np.iscomplexobj(a) == (dtype == "complex128")
            assert (np.linalg.norm(a, axis=(-1, -2)) <= 1).all()
    s = np.linalg.svd(a, compute_uv=False)
    tolerance = 20 * max(k, 1) * eps  # Weyl: forming the matrix, rounding it, and the SVD each commit a few k eps
    if structure in ("permutation", "orthonormal"):
        declared = np.ones(k)
    if structure not in ("integer", "positive", "smooth"):
        assert (np.abs(s - declared) <= tolerance).all()
    elif structure == "integer":
        assert (s > tolerance).all()


def test_integer_matrices_have_full_rank_at_any_order():
    for n in (1, 2, 8, 33):
        rows = exact(matrix((n, n + 1), structure="integer", seed=n))
        assert rank(rows) == n
        det = np.linalg.slogdet(matrix((n, n), structure="integer", seed=n, dtype="complex128")).logabsdet
        assert det >= -1e-10  # |det| of Gaussian integers, odd and so at least 1


def test_smooth_matrices_are_cauchy_matrices():
    a = 5 * matrix((5, 5), structure="smooth", seed=1)  # 1/a is of rank 2
    assert np.linalg.svd(1 / a, compute_uv=False)[2:] == pytest.approx(0, abs=100 * EPS)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("members", MEMBERS)
def test_members_of_a_stack(structure, members):
    dtype = "complex128" if structure == "real" else "float64"
    options = {"structure": structure, "cond": 1e3, "seed": 4, "dtype": dtype}
    a, alike = matrix((2, 3, 6, 6), members=members, **options), matrix((2, 3, 6, 6), **options)
    a, alike = a.reshape(6, 6, 6), alike.reshape(6, 6, 6)
    s = np.linalg.svd(a, compute_uv=False)
    others = [0, 1, 2, 4, 5]
    if members in ("one zero", "one singular"):
        assert np.array_equal(a[:3], alike[:3])  # the stream is drawn from before
        assert s[3, 0] == 0 if members == "one zero" else s[3, 0] > 0.1
        assert s[3, -1] <= 100 * EPS * s[3, 0]
        if structure != "smooth":
            assert (s[others, -1] > 1e-4 * s[others, 0]).all()
    if members == "one singular" and structure in SQUARE:
        assert np.array_equal(np.abs(a), np.abs(a.swapaxes(-1, -2)))
    if members == "scaled":
        powers = s[:, 0] / np.linalg.svd(alike, compute_uv=False)[:, 0]
        assert powers == pytest.approx(2.0 ** -np.round(np.arange(6) * 52 / 5), rel=100 * EPS, abs=0)


@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 4, 6), (2, 0, 5), (0, 3, 3), (1, 1)])
@pytest.mark.parametrize("dtype", ["float32", "complex128", "bfloat16"])
def test_memory_layouts(memory, shape, dtype):
    if memory == "broadcast" and len(shape) == 2:
        with pytest.raises(ValueError, match="batch axis"):
            matrix(shape, memory=memory)
        return
    a, c = matrix(shape, seed=5, dtype=dtype, memory=memory), matrix(shape, seed=5, dtype=dtype)
    assert a.shape == c.shape and a.dtype.newbyteorder("=") == c.dtype
    assert np.array_equal(a, np.broadcast_to(c[:1], shape) if memory == "broadcast" else c)
    assert a.flags.writeable == (memory not in ("broadcast", "readonly"))
    assert a.flags.aligned == (memory != "unaligned" or not a.size)
    assert a.dtype.isnative == (memory != "byteswapped")
    if a.size > 1:
        e, n, m = a.itemsize, shape[-1], shape[-2]
        last = {
            "F": (e * 6, e * 24) if len(shape) > 2 else (e, m * e),
            "transposed": (e, m * e),
            "strided": (2 * n * e, 2 * e),
            "negative": (-n * e, -e),
        }.get(memory, (n * e, e))
        assert a.strides[-2:] == last
        assert memory != "broadcast" or (a.strides[0] == 0 and a.strides[1] == m * n * e)


def test_gaps_of_strided_columns_hold_nan():
    a = matrix((3, 4), memory="strided")
    assert np.isnan(a.base[..., 1::2]).all()


@pytest.mark.parametrize("memory", [m for m in MEMORY if m != "broadcast"])
def test_gallery_in_memory_layouts(memory):
    a = gallery("kahan", 4, memory=memory)
    assert np.array_equal(a, gallery("kahan", 4)) and same(a, matrix_like(a, memory))


def matrix_like(a: np.ndarray, memory: str) -> np.ndarray:
    b = matrix(a.shape, memory=memory)
    if b.flags.writeable:
        b[...] = a
        return b
    return a


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
