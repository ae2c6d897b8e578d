from typing import ClassVar

import numpy as np
import pytest
from backends import BACKENDS, JAX, draw, gaussian

from orthoref import linalg


def test_eps(backend):
    for dtype in backend.dtypes:
        assert linalg.eps(backend.asarray(np.ones((2, 2), dtype))) == np.finfo(dtype).eps


def exponents(dtype):
    info = np.finfo(dtype)
    lowest = round(np.log2(float(info.smallest_subnormal)))
    return [lowest, lowest + 7, info.minexp, -25, -1, 0, 1, 2, 30, info.maxexp - 1]


@pytest.mark.parametrize(
    ("backend", "dtype"), [pytest.param(x, dtype, id=f"{x.name}-{dtype}") for x in BACKENDS for dtype in x.dtypes]
)
@pytest.mark.parametrize("step", ["first", "middle", "last"])
def test_unit_scale_brings_the_largest_near_1(backend, dtype, step):
    """At, inside and just below the powers of two, from the smallest subnormal to the largest number."""
    backend.require()
    real = np.empty(0, dtype).real.dtype
    for k in exponents(dtype):
        if backend is JAX and k < np.finfo(dtype).minexp:
            continue  # XLA flushes subnormal numbers to zero
        mantissa = {"first": 1.0, "middle": 1.5, "last": 2 - np.finfo(dtype).eps}[step]
        if k < np.finfo(dtype).minexp + 1 and step != "first":
            continue  # 1.5 and 2 - eps have no such multiple among the subnormal numbers
        top = np.ldexp(real.type(mantissa), k)
        x = np.zeros((2, 2), dtype)
        x[1, 0] = -top if real == dtype else -1j * top
        scaled = backend.to_numpy(linalg.unit_scale(backend.asarray(x)).apply(backend.asarray(x)))
        # log2 may round to the next integer, in XLA even at powers of two
        low, high = (0.5, 4) if abs(k) > 16 else (2.0**-16, 2.0**17)
        assert low <= np.max(np.abs([scaled.real, scaled.imag])) < high, f"{top} became {scaled[1, 0]}"


def test_a_moderate_stack_is_not_scaled_and_not_copied(backend):
    x = backend.asarray(np.asarray([[[2.0**-16]], [[2.0**16]]], "float32"))
    scale = linalg.unit_scale(x)
    assert scale is linalg.UNSCALED
    assert scale.apply(x) is x
    assert scale.undo(x) is x
    y = backend.asarray(np.asarray([[[2.0**-17]], [[1.0]]], "float32"))
    assert linalg.unit_scale(y) is not linalg.UNSCALED


def test_unit_scale_is_an_exact_power_of_two(backend):
    dtype = "float32" if "float64" not in backend.dtypes else "float64"
    info = np.finfo(dtype)
    for k in range(info.minexp, info.maxexp, 41):
        x = backend.asarray(np.full((1, 1), np.ldexp(info.dtype.type(1), k)))
        scale = linalg.unit_scale(x)
        for factor in scale:
            value = 1.0 if scale is linalg.UNSCALED else backend.to_numpy(factor)
            assert np.frexp(value)[0] == 0.5, f"2^{k}: {value!r}"
        assert backend.to_numpy(scale.undo(scale.apply(x))) == backend.to_numpy(x)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("k", [-1000, -400, 0, 400, 1000])
def test_unit_scale_loses_no_bit(dtype, k):
    x = draw((3, 4, 4), dtype) * 2.0**k
    scale = linalg.unit_scale(x)
    np.testing.assert_array_equal(scale.undo(scale.apply(x)), x)
    np.testing.assert_array_equal(scale.apply(x), x * (scale.down * scale.down_again))


def test_unit_scale_per_matrix():
    x = np.stack([np.eye(2), 2.0**40 * np.eye(2), np.zeros((2, 2))])
    scale = linalg.unit_scale(x)
    assert (scale.down * scale.down_again).ravel().tolist() == [1, 2.0**-40, 1]


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_conjugate_transpose_and_parts(backend, dtype):
    x = gaussian((2, 3, 3), dtype, 0)
    z = backend.asarray(x)
    sym, skew = (backend.to_numpy(part(z)) for part in (linalg.hermitian_part, linalg.skew_part))
    np.testing.assert_array_equal(backend.to_numpy(linalg.ct(z)), x.conj().transpose(0, 2, 1))
    np.testing.assert_array_equal(sym, sym.conj().transpose(0, 2, 1))
    np.testing.assert_array_equal(skew, -skew.conj().transpose(0, 2, 1))
    # one rounded sum each, halving is exact, and one sum here: 2 * 2^-24 (|sym| + |skew|)
    assert np.max(np.abs(sym + skew - x)) <= 2.0**-23 * np.max(np.abs(sym) + np.abs(skew))


def test_conjugate_transpose_of_a_rectangle():
    x = gaussian((2, 3, 5), "complex128", 1)
    np.testing.assert_array_equal(linalg.ct(x), np.conj(np.swapaxes(x, 1, 2)))


def test_inverse_of_a_singular_stack_is_nan(backend):
    x = np.stack([np.eye(2), np.zeros((2, 2))]).astype("float32")
    with np.errstate(all="ignore"):
        y = backend.to_numpy(linalg.inverse(backend.asarray(x)))
    assert not np.isfinite(y[1]).any()


def test_inverse_passes_other_errors_on():
    with pytest.raises(TypeError):
        linalg.inverse(np.eye(2, dtype=np.float16))


def test_frobenius_keeps_the_axes():
    assert linalg.frobenius(np.full((2, 3, 4), 2.0)).tolist() == [[[48**0.5]], [[48**0.5]]]


@pytest.mark.parametrize("m", [3, 511, 512, 1000])
def test_inner_is_exact_on_small_integers(backend, m):
    """Sums of integers below 2^24 are exact in any order: blocks and remainder must add up to X^H Y."""
    x, y = (np.arange(2.0 * m).reshape(m, 2) % k - 1 for k in (5, 7))
    x, y = x.astype("complex64") * (1 + 2j), y.astype("complex64")
    found = backend.to_numpy(linalg.inner(backend.asarray(x), backend.asarray(y)))
    assert np.array_equal(found, x.conj().T @ y)


class Recorded(np.ndarray):
    """Notes how many terms the sums of each product have."""

    terms: ClassVar[list[int]] = []

    def __matmul__(self, other):
        self.terms.append(self.shape[-1])
        return super().__matmul__(other)


@pytest.mark.parametrize(
    ("shape", "most"), [((256 * 40 + 3, 2), 256), ((600, 600), 600), ((511, 1), 511), ((512, 8), 256)]
)
def test_inner_sums_blocks_of_rows_of_very_tall_matrices_only(shape, most):
    x = np.ones(shape).view(Recorded)
    Recorded.terms.clear()
    assert (linalg.inner(x, x) == shape[0]).all()
    assert max(Recorded.terms) == most
