"""Riemannian gradient descent to the last digits, for each metric and retraction: the functions fit together."""

import numpy as np
import pytest

from orthoref import stiefel
from orthoref.oracle import cases

METRICS = ("euclidean", "canonical", 0.5)
RETRACTIONS = ("qr", "cholesky_qr", "polar", "cayley", "exp")


def descend(x, egrad, metric, method, step):
    """Steps of one length along the negative gradient until it is 1e-12."""
    for k in range(1000):
        v = stiefel.gradient(x, egrad(x), metric)
        if float(stiefel.norm(x, v, metric)) <= 1e-12:
            return x, k
        x = stiefel.retract(x, -step * v, method, metric=metric if method == "exp" else None)
    raise AssertionError("no convergence")


@pytest.mark.sample(3)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("method", RETRACTIONS)
def test_eigenspace(method, metric, dtype):
    """Maximizes tr(X^H M X)/2: the top three of the eigenvalues 5, 4.5, 4, 1, ..., 0; gap 3.

    The Hessian at the solution has eigenvalues between 3 and 5 in the Euclidean metric; other metrics multiply those
    of directions inside span(X) only, which are 0: a step of 1/5 contracts by 2/5 or better.
    """
    q = stiefel.random_point((8, 8), rng=np.random.default_rng(0), dtype=dtype)
    m = q @ np.diag([5, 4.5, 4, 1, 0.8, 0.5, 0.2, 0]).astype(dtype) @ q.conj().T
    start = stiefel.random_point((8, 3), rng=np.random.default_rng(1), dtype=dtype)
    x, steps = descend(start, lambda x: -m @ x, metric, method, 0.2)
    top = q[:, :3]
    # the gradient is 3 times the distance to first order, and rounding errors of M X another 8 eps |M|
    assert np.linalg.norm(x - top @ (top.conj().T @ x)) <= 1e-12
    assert steps <= 150


@pytest.mark.sample(3)
@pytest.mark.parametrize("shape", [(8, 3), (6, 6)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("method", RETRACTIONS)
def test_procrustes(method, metric, dtype, shape):
    """min |A X - A Z|^2/2 with the singular values of A in [1, 1.5], from a point near Z: back to Z."""
    z = stiefel.random_point(shape, rng=np.random.default_rng(2), dtype=dtype)
    a = cases.matrix((10, shape[0]), cond=1.5, seed=3, dtype=dtype)
    a = a / np.linalg.norm(a, 2) * 1.5
    v = stiefel.random_tangent(z, "euclidean", rng=np.random.default_rng(4))
    start = stiefel.retract_qr(z, 0.3 * v / np.linalg.norm(v))
    x, _ = descend(start, lambda x: a.conj().T @ (a @ (x - z)), metric, method, 0.2)
    # |grad| >= sigma_min(A)^2 |X - Z| (1 + O(|X - Z|)) in the Euclidean metric; the others are not smaller
    assert np.linalg.norm(x - z) <= 1e-11
