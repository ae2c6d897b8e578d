"""What scaled residuals are made of, each against its definition."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from orthoref.oracle.precision import PRECISIONS
from orthoref.oracle.residual import (
    condition,
    ct,
    exponent_of,
    half_spacing,
    inner,
    ldexp,
    norm,
    ratio,
    rounding_norm,
    singular_values,
    spectral_norm,
)

BFLOAT16 = PRECISIONS["bfloat16"]


def random(*shape, complex_=True, seed=0):
    rng = np.random.RandomState(seed)
    return rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if complex_ else 0)


def test_the_condition_number_of_the_worst_matrix():
    assert condition(np.diag([1.0, 4.0])) == 4
    stack = np.array([np.diag([1.0, 4.0]), np.diag([3.0, 24.0]), np.eye(2)])
    assert condition(stack) == pytest.approx(8, rel=1e-15, abs=0)
    stack[2, 1, 1] = 0
    assert condition(stack) == np.inf and condition(np.zeros((3, 2))) == np.inf
    assert condition(1j * np.diag([1.0, 4.0])) == 4 and condition(np.eye(2, dtype="complex64")) == 1
    assert condition(np.zeros((2, 0, 3))) == condition(np.zeros((0, 3, 3))) == 1
    assert condition(np.diag([1, 4])) == 4  # integers too
    for scale in (2.0**-1070, 2.0**1020):
        assert condition(scale * np.diag([1.0, 4.0])) == pytest.approx(4, rel=1e-15, abs=0)
    assert condition(np.float32([[1, 0], [0, 1e-20]])) == pytest.approx(1e20, rel=1e-6, abs=0)


def test_the_adjoint():
    x = random(2, 3, 4)
    assert np.array_equal(ct(x), np.array([each.conj().T for each in x]))


@pytest.mark.parametrize("m", [1, 127, 128, 129, 255, 256, 257, 300])
def test_inner_products_of_all_rows(m):
    x, y = random(2, m, 3), random(2, m, 4, seed=1)
    expected = np.einsum("imj,imk->ijk", x.conj(), y)
    np.testing.assert_allclose(inner(x, y), expected, rtol=0, atol=1e-13 * m)
    one = np.zeros((m, 1))
    one[-1] = 1
    assert inner(one, one) == 1


def test_blocks_of_128_rows_are_summed_one_after_the_other():
    """2^53 in the first block, then ones: lost one by one, kept as a block of 128."""
    x = np.ones((300, 1))
    y = np.ones((300, 1))
    y[:128] = 2.0**46
    expected = 2.0**53 + 128 + 44
    assert inner(x, y)[0, 0] == expected
    assert inner(np.zeros((0, 2)), np.zeros((0, 3))).shape == (2, 3)


def test_frobenius_norms():
    assert np.array_equal(norm(np.array([[[3, 4j], [0, 12]], [[0, 0], [0, 0]]])), [13.0, 0.0])
    assert norm(np.zeros((2, 0, 3))).shape == (2,)


def test_ratios_of_zero():
    with np.errstate(all="ignore"):
        found = ratio(np.array([0.0, 0.0, 1.0, 3.0, np.nan, np.inf]), np.array([0.0, 2.0, 0.0, 2.0, 1.0, 1.0]))
    assert np.array_equal(found, [0, 0, np.inf, 1.5, np.nan, np.inf], equal_nan=True)
    assert ratio(np.array(3.0), 1.5) == 2


@pytest.mark.parametrize(
    ("value", "exponent"), [(1.0, 1), (0.75, 0), (2.0, 2), (-3.0, 2), (3j, 2), (1 - 4j, 3), (0.0, 0)]
)
def test_exponents(value, exponent):
    a = np.zeros((2, 3, 2), complex)
    a[1, 2, 0] = value
    assert exponent_of(a).shape == (2, 1, 1) and exponent_of(a).ravel().tolist() == [0, exponent]
    assert exponent_of(np.zeros((2, 0, 3))).tolist() == [[[0]], [[0]]]


def test_scaling_by_powers_of_two():
    x = random(2, 3, 4)
    e = np.array([3, -5])[:, None, None]
    assert np.array_equal(ldexp(x, e), x * 2.0**e) and np.array_equal(ldexp(x.real, e), x.real * 2.0**e)
    assert not np.iscomplexobj(ldexp(x.real, e))
    tiny = np.array([[2.0**-1074 * (1 + 1j)]])
    assert ldexp(tiny, np.array([[1074]])) == 1 + 1j


@pytest.mark.parametrize("shape", [(3, 3), (5, 2), (2, 5), (16, 2), (17, 2), (2, 17), (40, 3), (3, 40), (4, 30, 2)])
def test_singular_values_of_short_and_long_matrices(shape):
    a = random(*shape)
    np.testing.assert_allclose(singular_values(a), np.linalg.svd(a, compute_uv=False), rtol=1e-13, atol=0)


@pytest.mark.parametrize("shape", [(3, 3), (5, 2), (2, 5), (300, 2), (2, 4, 3)])
@pytest.mark.parametrize("scale", [1.0, 2.0**-1000, 2.0**1000])
def test_spectral_norms(shape, scale):
    a = random(*shape)
    expected = scale * np.linalg.svd(a, compute_uv=False)[..., 0]
    np.testing.assert_allclose(spectral_norm(a * scale), expected, rtol=1e-14, atol=0)


def test_spectral_norms_of_what_is_not_finite_empty_or_zero():
    a = np.stack([np.eye(3)] * 4)
    a[1, 0, 1], a[2, 2, 2] = np.nan, np.inf
    with np.errstate(all="ignore"):
        found = spectral_norm(a)
    assert found[0] == found[3] == 1 and np.isnan(found[1]) and np.isnan(found[2])
    assert spectral_norm(np.zeros((2, 0, 3))).tolist() == [0, 0] and spectral_norm(np.zeros((0, 2, 3))).shape == (0,)
    assert spectral_norm(np.zeros((2, 2))) == 0


@pytest.mark.parametrize("shape", [(2000, 2), (2, 2000)])
def test_the_gram_matrix_is_that_of_the_smaller_side(shape):
    """The other one has 1000 times the memory of the matrix."""
    a = random(*shape, complex_=False)
    tracemalloc.start()
    found = spectral_norm(a)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 10 * a.nbytes and found == pytest.approx(np.linalg.norm(a, 2), rel=1e-14, abs=0)


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_half_of_the_spacing_is_the_largest_error_of_rounding(name):
    precision = PRECISIONS[name]
    normal = 4 * precision.tiny / precision.eps
    for x, spacing in ((1.0, 1), (1.99, 1), (2.0, 2), (-3.0, 2), (0.75, 0.5), (1 - precision.eps, 0.5)):
        assert half_spacing(np.array([x]), precision)[0] == precision.eps * spacing / 2
    for x in (0.0, precision.tiny, normal / 8):
        assert half_spacing(np.array([x]), precision)[0] == precision.tiny / 2
    assert half_spacing(np.array([normal]), precision)[0] == 4 * precision.tiny / 2
    assert half_spacing(np.array([4 + 3j]), precision)[0] == np.hypot(4, 2) * precision.eps / 2


def test_norms_of_rounding_errors():
    """The longest row and the longest column of half spacings, not of one matrix but of each."""
    x = np.zeros((2, 3, 2))
    x[0] = [[1.0, 1.0], [0.0, 2.0], [0.0, 4.0]]
    u = BFLOAT16.eps / 2
    row, column = 4 * u, u * np.sqrt(1 + 4 + 16)
    zero = BFLOAT16.tiny / 2 * (np.sqrt(2) + np.sqrt(3))
    np.testing.assert_allclose(rounding_norm(x, BFLOAT16), [row + column, zero], rtol=1e-12, atol=0)
    wide = rounding_norm(np.swapaxes(x, -1, -2), BFLOAT16)
    np.testing.assert_allclose(wide, [row + column, zero], rtol=1e-12, atol=0)
    assert rounding_norm(np.zeros((2, 0, 3)), BFLOAT16).tolist() == [0, 0]
