"""Riemannian gradient descent to 1e-12, for every metric and retraction: the Procrustes problem and an eigenspace.

A step of length 1/L, L the largest eigenvalue of the Hessian in the metric at the minimum (times 1.3 for what it is
elsewhere), converges linearly. It ends when the gradient is 1e-12 of what it was: gradients are tangent relative to
their own size, or this would be refused long before.
"""

import numpy as np
import pytest
from backends import ct, gaussian, isometry, norm
from stiefel_truth import METRICS, beta

from orthoref import polar, stiefel

pytestmark = pytest.mark.sample(6)

RETRACTIONS = ("qr", "cholesky_qr", "polar", "cayley", "exp")


def descend(x, egrad, metric, retraction, step):
    first = None
    options = {"metric": metric} if retraction == "exp" else {}
    for count in range(500):
        grad = stiefel.gradient(x, egrad(x), metric)
        size = float(stiefel.norm(x, grad, metric))
        first = first or size
        if size <= 1e-12 * first:
            return x, count
        x = stiefel.retract(x, -step * grad, retraction, **options)
    raise AssertionError(f"{size / first:.1e} after {count} steps")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("retraction", RETRACTIONS)
@pytest.mark.parametrize(("shape", "dtype"), [((6, 3), "float64"), ((4, 2), "complex128"), ((3, 3), "float64")])
def test_procrustes(metric, retraction, shape, dtype):
    """|X A - B|^2/2 = const - <X, B A^H>; the minimum is the polar factor of C = B A^H, the Hessian there
    (h_i + h_j)/(2 beta) along X A and h_j across.
    """
    n, p = shape
    c = isometry(n, p, dtype, 1) @ np.diag(np.linspace(1.0, 2.0, p))
    start = isometry(n, p, dtype, 2)
    if n == p and stiefel.component(start) != stiefel.component(polar(c).u):
        start[:, 0] *= -1  # no step leaves a component
    x, _ = descend(start, lambda x: -c, metric, retraction, 1 / (1.3 * 2.0 * max(1, 1 / beta(metric))))
    assert (
        norm(x - polar(c).u) <= 1e-11
    )  # gradients of 1e-12 times |C| < 5 over a smallest eigenvalue of min(1, 1/beta)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("retraction", RETRACTIONS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_eigenspace(metric, retraction, dtype):
    """-<X, A X>/2: the Hessian has the eigenvalues lambda_j - lambda_i, j <= p < i, and 0 along X A."""
    n, p = 6, 2
    q = isometry(n, n, dtype, 3)
    values = np.asarray([5.0, 4.8, 1.4, 1.3, 1.1, 1.0])
    a = (q * values) @ ct(q)
    # far from the minimum X A, too, where the gradient is divided by beta
    x, _ = descend(
        isometry(n, p, dtype, 4), lambda x: -a @ x, metric, retraction, 1 / (1.3 * 4 * max(1, 1 / beta(metric)))
    )
    leading = q[:, :p]
    assert norm(x @ ct(x) - leading @ ct(leading)) <= 1e-11


def test_a_hessian_step_is_newtons_method():
    """In coordinates: the error is squared, for the Procrustes problem and every metric."""
    for metric in METRICS:
        c = isometry(5, 2, "float64", 1) @ np.diag([1.0, 2.0])
        u = polar(c).u
        x = stiefel.retract(u, 1e-3 * stiefel.project(u, gaussian((5, 2), "float64", 3)), "polar")
        for _ in range(2):
            units = np.eye(stiefel.dimension(5, 2, "real"))
            basis = [stiefel.unvector(x, unit, metric) for unit in units]
            rows = [stiefel.vector(x, stiefel.hessian(x, -c, 0 * c, v, metric), metric) for v in basis]
            grad = stiefel.vector(x, stiefel.gradient(x, -c, metric), metric)
            x = stiefel.retract(x, stiefel.unvector(x, -np.linalg.solve(np.array(rows).T, grad), metric), "qr")
        assert norm(x - u) <= 1e-11
