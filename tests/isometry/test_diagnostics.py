"""Bands of singular values and diversity of representations."""

from fractions import Fraction

import numpy as np
import pytest
from backends import BACKENDS, NUMPY, ct, gaussian, late, norm
from exact import dyadic_unitary

from orthoref import OutsideDomain, isometry


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_band(dtype):
    q, p = dyadic_unitary(4, dtype, 1), dyadic_unitary(4, dtype, 2)
    s = np.array([[3.0, 1.0, 1.0, 0.5], [1.0, 1.0, 1.0, 1.0]], q.real.dtype)
    w = np.stack([(q * x) @ p for x in s])
    band, eps = isometry.singular_value_band(w), float(np.finfo(dtype).eps)
    assert norm(band.singular_values - s) <= 200 * eps
    mean = Fraction(11, 8)
    deviation = float(sum((Fraction(float(x)) - mean) ** 2 for x in s[0]) / 4) ** 0.5
    assert norm(band.mean - np.array([1.375, 1.0])) <= 200 * eps
    assert abs(band.deviation[0] - deviation) <= 200 * eps and band.deviation[1] <= 200 * eps
    assert norm(band.smallest - np.array([0.5, 1.0])) <= 200 * eps
    assert norm(band.largest - np.array([3.0, 1.0])) <= 200 * eps
    assert all(x.dtype == q.real.dtype for x in band)


def test_band_at_the_ends_of_the_format():
    for size in (1e-300, 1e300):
        band = isometry.singular_value_band(size * np.diag([1.0, 0.5]))
        assert norm(band.singular_values / size - np.array([1, 0.5])) <= 1e-14
        assert abs(band.deviation / size - 0.25) <= 1e-14
    with pytest.raises(OutsideDomain, match="a singular value overflows"):
        isometry.singular_value_band(np.full((4, 4), 1e308))
    with pytest.raises(ValueError, match="without entries"):
        isometry.singular_value_band(np.zeros((3, 0, 2)))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_mean_absolute_cosine(dtype):
    x = gaussian((5, 7), dtype, 3)
    y = x / np.linalg.norm(x, axis=1, keepdims=True)
    pairs = [abs(np.vdot(y[i], y[j])) for i in range(5) for j in range(i)]
    got = isometry.mean_absolute_cosine(x)
    assert abs(got - np.mean(pairs)) <= 1e-14
    lengths = 10.0 ** np.arange(-200, 300, 100)[:, None]  # lengths do not matter
    assert abs(isometry.mean_absolute_cosine(lengths * x) - got) <= 1e-14
    assert abs(isometry.mean_absolute_cosine(-x) - got) <= 1e-15
    assert isometry.mean_absolute_cosine(dyadic_unitary(4, dtype, 4)) == 0
    assert isometry.mean_absolute_cosine(np.ones((3, 2), dtype)) == pytest.approx(1, rel=1e-15, abs=0)
    assert isometry.mean_absolute_cosine(np.stack([x, x])).shape == (2,)


@pytest.mark.parametrize("field", ["real", "complex"])
def test_expected_absolute_cosine(field):
    """d = 1, 2, 3 by hand; large d; the mean over random directions."""
    by_hand = {"real": (1, 2 / np.pi, 0.5), "complex": (1, 2 / 3, 8 / 15)}[field]
    for d, truth in zip((1, 2, 3), by_hand, strict=True):
        assert isometry.expected_absolute_cosine(d, field=field) == pytest.approx(truth, rel=1e-14, abs=0)
    limit = (2 / np.pi if field == "real" else np.pi / 4) ** 0.5
    assert isometry.expected_absolute_cosine(10**6, field=field) * 1000 == pytest.approx(limit, rel=1e-5, abs=0)
    x = gaussian((400, 6), "float64" if field == "real" else "complex128", 5)
    y = x / np.linalg.norm(x, axis=1, keepdims=True)
    sizes = abs(np.sum(y[::2].conj() * y[1::2], axis=1))
    truth = isometry.expected_absolute_cosine(6, field=field)
    assert abs(sizes.mean() - truth) <= 5 * sizes.std() / 200**0.5
    assert abs(isometry.mean_absolute_cosine(x) - truth) <= 5 * sizes.std() / 200**0.5


def test_refusals():
    with pytest.raises(OutsideDomain, match=r"a representation is zero, batch index \(1,\)"):
        isometry.mean_absolute_cosine(np.stack([np.eye(2), np.diag([1.0, 0.0])]))
    with pytest.raises(ValueError, match="pairs of representations"):
        isometry.mean_absolute_cosine(np.ones((1, 4)))
    for d in (0, 1.5, True):
        with pytest.raises(ValueError, match="d="):
            isometry.expected_absolute_cosine(d)
    with pytest.raises(ValueError, match="field='quaternion'"):
        isometry.expected_absolute_cosine(3, field="quaternion")


@pytest.mark.parametrize("backend", [late(backend) for backend in BACKENDS if backend is not NUMPY], indirect=True)
def test_other_libraries(backend):
    for dtype in (d for d in ("float32", "complex128") if d in backend.dtypes):
        x = gaussian((2, 4, 3), dtype, 6)
        eps = float(np.finfo(dtype).eps)
        for f in (isometry.singular_value_band, lambda z: (isometry.mean_absolute_cosine(z),)):
            for got, plain in zip(f(backend.asarray(x)), f(x), strict=True):
                assert type(got) is type(backend.asarray(x))
                got = backend.to_numpy(got)
                assert got.dtype == plain.dtype and norm(got - plain) <= 100 * eps * norm(x)
    assert ct(np.eye(2)).shape == (2, 2)
