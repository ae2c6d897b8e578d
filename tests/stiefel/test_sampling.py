"""Random points and tangents: reproducible, on the manifold, of the right distribution; components.

The statistical tests have fixed seeds, so that they do not vary from run to run; what is said of false alarms is the
probability with which a right sampler would have failed for a seed drawn at random.
"""

from math import log, sqrt

import numpy as np
import pytest
from backends import BACKENDS, ct, late, norm
from scipy.stats import beta as beta_distribution
from scipy.stats import kstest
from stiefel_truth import DTYPES, METRICS, SHAPES, point

from orthoref import OutsideDomain, stiefel

FALSE_ALARM = 1e-6  # of one test, whatever the number of comparisons in it


def rng(seed=0):
    return np.random.default_rng(seed)


def bernstein(variance, count, comparisons):
    """What the mean of count variables in [-1, 1] is off by with probability FALSE_ALARM / comparisons at most."""
    x = log(2 * comparisons / FALSE_ALARM) / count
    return 2 * x / 3 + sqrt(4 * x * x / 9 + 2 * x * variance)  # of t^2 = 2 x (variance + 2 t/3)


def hoeffding(width, count, comparisons):
    """The same for variables in an interval of that width."""
    return width * sqrt(log(2 * comparisons / FALSE_ALARM) / (2 * count))


@pytest.mark.parametrize("dtype", DTYPES)
def test_on_the_manifold(dtype):
    for shape in (*SHAPES, (2, 3, 5, 2), (3, 0), (0, 0), (0, 4, 2)):
        for c in (1.0, 3.0):
            x = stiefel.random_point(shape, rng=rng(), dtype=dtype, scale=c)
            assert x.shape == shape and x.dtype == dtype
            stiefel.project(x, x, scale=c)  # refuses what is off by 100 n eps
            defect = ct(x) @ x / c**2 - np.eye(shape[-1])
            assert norm(defect) <= max(shape[-2], 8) * float(np.finfo(dtype).eps) * max(1, x.size) ** 0.5
            for metric in METRICS:
                v = stiefel.random_tangent(x, metric, rng=rng(), scale=c)
                assert v.shape == shape and v.dtype == dtype
                stiefel.norm(x, v, metric, scale=c)  # refuses what is not tangent


@pytest.mark.parametrize("backend", [late(backend) for backend in BACKENDS], indirect=True)
def test_reproducible_in_every_namespace(backend):
    for dtype in backend.dtypes:
        like = backend.asarray(np.zeros((1, 1), dtype))
        expected = stiefel.random_point((2, 4, 2), rng=rng(7), dtype=dtype)
        got = stiefel.random_point((2, 4, 2), rng=rng(7), like=like)
        assert type(got) is type(like) and getattr(got, "device", None) == getattr(like, "device", None)
        np.testing.assert_array_equal(backend.to_numpy(got), expected)
        v = stiefel.random_tangent(got, "canonical", rng=rng(8))
        w = stiefel.random_tangent(expected, "canonical", rng=rng(8))
        assert type(v) is type(like) and norm(backend.to_numpy(v) - w) <= 100 * float(np.finfo(dtype).eps) * norm(w)
    again = stiefel.random_point((2, 4, 2), rng=rng(7), dtype="float32")
    np.testing.assert_array_equal(again, stiefel.random_point((2, 4, 2), rng=rng(7)).astype("float32"))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (3, 1)])
def test_uniform(dtype, shape):
    """U X has the distribution of X: every entry x has E x = 0, E |x|^2 = 1/n, and |x|^2 a beta distribution.

    Kolmogorov-Smirnov for |x|^2 ~ Beta(1/2, (n-1)/2), complex Beta(1, n-1); Bernstein's inequality for the means of
    entries and of products of two entries, of variance E x^2 y^2 <= E x^2 at most. 4000 points; false alarm 3e-6.
    """
    count, (n, p) = 4000, shape
    x = stiefel.random_point((count, *shape), rng=rng(3), dtype=dtype)
    law = beta_distribution(1, n - 1) if dtype == "complex128" else beta_distribution(0.5, (n - 1) / 2)
    for i, j in np.ndindex(*shape):
        assert kstest(abs(x[:, i, j]) ** 2, law.cdf).pvalue >= FALSE_ALARM / (n * p)
    parts, square = real_parts(x), 1 / (2 * n) if dtype == "complex128" else 1 / n
    d = parts.shape[1]
    assert np.max(abs(parts.mean(axis=0))) <= bernstein(square, count, d)
    products = np.einsum("ki,kj->ij", parts, parts) / count
    assert np.max(abs(products - square * np.eye(d))) <= bernstein(square, count, d * d)


def real_parts(x):
    flat = x.reshape(len(x), -1)
    return np.concatenate([flat.real, flat.imag], axis=1) if np.iscomplexobj(x) else flat


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_without_the_phases_the_test_of_uniformity_fails(dtype):
    """The Q of LAPACK has a first entry of one sign (of a phase that is not uniform)."""
    z = rng(3).standard_normal((4000, 3, 3)) + (1j * rng(4).standard_normal((4000, 3, 3)) if dtype[0] == "c" else 0)
    x = np.linalg.qr(z)[0]
    assert np.max(abs(real_parts(x).mean(axis=0))) > 5 * bernstein(1 / 3, 4000, 9)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_eigenvalues_of_haar_matrices(dtype):
    """E |tr X^k|^2 = min(k, n) on U(n), and E (tr X)^2 = 1, E tr X^2 = 1 on O(n), n >= 2: Diaconis and Shahshahani.

    Means over 20000 points, n = 3, against Hoeffding's inequality; false alarm 1e-6.
    """
    x = stiefel.random_point((20000, 3, 3), rng=rng(5), dtype=dtype)
    traces = [np.trace(np.linalg.matrix_power(x, k), axis1=1, axis2=2) for k in (1, 2, 3, 4)]
    if dtype == "complex128":
        samples = [(abs(t) ** 2, min(k, 3), 9) for k, t in enumerate(traces, 1)]
    else:
        samples = [(traces[0] ** 2, 1, 9), (traces[1], 1, 6), (traces[0], 0, 6)]
    for sample, mean, width in samples:
        assert abs(sample.mean() - mean) <= hoeffding(width, len(sample), len(samples))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_random_tangents_are_standard_normal_in_the_metric(dtype, metric):
    """Coordinates z_i, and (z_i + z_j) / sqrt(2), which sees the covariance: Kolmogorov-Smirnov.

    2000 tangents at a point; false alarm 1e-6.
    """
    shape, count = (3, 2), 2000
    x = np.broadcast_to(point(shape, dtype), (count, *shape)).copy()
    z = stiefel.vector(x, stiefel.random_tangent(x, metric, rng=rng(6)), metric)
    d = z.shape[1]
    samples = [z[:, i] if i == j else (z[:, i] + z[:, j]) / sqrt(2) for i in range(d) for j in range(i + 1)]
    assert min(kstest(sample, "norm").pvalue for sample in samples) >= FALSE_ALARM / len(samples)


@pytest.mark.parametrize("dtype", DTYPES)
def test_special(dtype):
    x = stiefel.random_point((50, 3, 3), rng=rng(1), dtype=dtype, special=True)
    assert np.max(abs(np.linalg.det(x) - 1)) <= 30 * float(np.finfo(dtype).eps)
    both = stiefel.random_point((50, 3, 3), rng=rng(1), dtype=dtype)
    np.testing.assert_array_equal(x[..., 1:], both[..., 1:])  # the first column is turned
    y = stiefel.random_point((3, 3), rng=rng(1), dtype=dtype, special=True, scale=2.0)
    assert abs(np.linalg.det(y) - 8) <= 300 * float(np.finfo(dtype).eps)


@pytest.mark.parametrize("backend", [late(backend) for backend in BACKENDS], indirect=True)
def test_component(backend):
    for dtype in backend.dtypes:
        x = stiefel.random_point((8, 3, 3), rng=rng(2), dtype=dtype)
        signs = backend.to_numpy(stiefel.component(backend.asarray(x)))
        expected = np.ones(8) if dtype.startswith("complex") else np.sign(np.linalg.det(x))
        assert signs.shape == (8,) and signs.dtype == x.real.dtype
        np.testing.assert_array_equal(signs, expected)
        assert dtype.startswith("complex") or {*signs} == {-1, 1}
        tall = backend.asarray(x[..., :2])
        np.testing.assert_array_equal(backend.to_numpy(stiefel.component(tall)), np.ones(8))


def test_component_of_scaled_and_empty():
    x = 1e-200 * np.diag([1.0, -1.0])
    assert stiefel.component(x, scale=1e-200) == -1
    assert stiefel.component(np.zeros((3, 0, 0))).shape == (3,)
    with pytest.raises(OutsideDomain, match="x is not on the manifold"):
        stiefel.component(x)


def test_minus_one_times_a_matrix_of_even_order_keeps_the_component():
    x = point((4, 4))
    assert stiefel.component(x) == stiefel.component(-x)
    assert stiefel.component(x[:3, :3], check=False) == -stiefel.component(-x[:3, :3], check=False)


def test_refused():
    with pytest.raises(TypeError, match=r"^rng must be a numpy.random.Generator, not RandomState"):
        stiefel.random_point((3, 2), rng=np.random.RandomState(0))
    with pytest.raises(TypeError, match="rng"):
        stiefel.random_point((3, 2))
    for shape in ((2, 3), (3,), (3, -1)):
        with pytest.raises(ValueError, match=r"^shape="):
            stiefel.random_point(shape, rng=rng())
    with pytest.raises(ValueError, match="only square matrices"):
        stiefel.random_point((3, 2), rng=rng(), special=True)
    with pytest.raises(ValueError, match=r"^dtype='float16'"):
        stiefel.random_point((3, 2), rng=rng(), dtype="float16")
    with pytest.raises(ValueError, match="no normal number of float32"):
        stiefel.random_point((3, 2), rng=rng(), dtype="float32", scale=1e40)
    with pytest.raises(ValueError, match=r"^metric="):
        stiefel.random_tangent(point((3, 2)), "alpha", rng=rng())
    with pytest.raises(TypeError, match=r"^rng must be"):
        stiefel.random_tangent(point((3, 2)), "canonical", rng=0)
