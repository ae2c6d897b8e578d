"""Conventions of other libraries: adapters bring them to tall stacks, for ports that are right in their own."""

from __future__ import annotations

import numpy as np
import pytest
from meta import wrong_stiefel_ports as ports

from orthoref import conformance
from orthoref.oracle import cases
from orthoref.oracle.stiefel import adapters

FEW = {"dtypes": ["float64", "complex128"], "max_cases": 6, "progress": False,
       "skip": ["repeatable", "kept", "history", "threads", "every call", "own memory"]}  # fmt: skip


def holds(port, operation, shapes, **options):
    report = conformance.check(port, operation, shapes=shapes, **{**FEW, **options})
    assert report.status == "HOLDS", report.text()


def test_rows_in_place_of_columns():
    def of_rows(x, v):
        assert x.shape[-2] <= x.shape[-1]
        inside = v @ ports.ct(x)
        return v - (inside + ports.ct(inside)) / 2 @ x

    holds(adapters.wide(of_rows), "stiefel.project", [(5, 3), (2, 4, 4)])


def test_single_matrices():
    def one(x, v):
        assert x.ndim == 2
        return ports.qr_fixed(x, v)

    holds(adapters.one_by_one(one), "stiefel.retract_qr", [(5, 3), (2, 3, 4, 2)])


class Manifold:
    """In the convention of pymanopt: k matrices, point first; of a group: skew-Hermitian tangents."""

    def __init__(self, n, p, k):
        self.shape = (k, n, p) if k > 1 else (n, p)

    def projection(self, point, vector):
        assert point.shape == vector.shape == self.shape
        return ports.euclidean(point, vector)

    def retraction(self, point, omega):
        np.testing.assert_allclose(omega, -ports.ct(omega), atol=1e-13, rtol=0)
        return ports.polar(point, point @ omega)

    def log(self, point_a, point_b):
        return ports.ct(point_a) @ ports.inverse_cayley(point_a, point_b)


def test_methods_with_the_point_first():
    holds(adapters.pymanopt(Manifold, "projection"), "stiefel.project", [(5, 3), (4, 5, 3)])


def test_tangents_in_the_algebra():
    port = adapters.algebra(adapters.pymanopt(Manifold, "retraction"), tangent=(0,))
    holds(port, "stiefel.retract_polar", [(4, 4), (2, 3, 3)])
    port = adapters.algebra(adapters.pymanopt(Manifold, "log"), result=True)
    holds(port, "stiefel.inverse_retract_cayley", [(4, 4), (2, 3, 3)])


class Space:
    """In the convention of geomstats: the point last."""

    def __init__(self, n, p):
        self.shape = (n, p)

    def to_tangent(self, vector, base_point):
        assert base_point.shape[-2:] == self.shape
        return ports.euclidean(base_point, vector)


def test_methods_with_the_point_last():
    holds(adapters.point_last(Space, "to_tangent"), "stiefel.project", [(5, 3), (4, 5, 3)])


def test_parametrisations_are_retractions():
    """Q f(L - L^H) [I; 0] with the Cayley map as f."""

    def set_base(x):
        n, p = x.shape
        rest = np.linalg.svd(x)[0][:, p:]  # orthogonal to the range of x

        def forward(low):
            wide = np.concatenate([low, np.zeros((n, n - p))], axis=1)
            a, one = wide - ports.ct(wide), np.eye(n)
            return q @ np.linalg.solve(one - a / 2, one + a / 2)[:, :p]

        q = np.concatenate([x, rest], axis=1)
        return forward, q

    holds(adapters.trivialization(set_base), "stiefel.retract_cayley", [(5, 3), (4, 4), (2, 5, 2), (3, 1)])


def test_empty_stacks():
    x = cases.matrix((0, 4, 2), structure="orthonormal")
    for port in (
        adapters.one_by_one(ports.polar),
        adapters.pymanopt(Manifold, "projection"),
        adapters.point_last(Space, "to_tangent"),
    ):
        assert port(x, x).shape == x.shape


@pytest.mark.port
@pytest.mark.exhaustive
def test_pymanopts_unitary_group_misses_a_conjugate():
    """Its Stiefel manifold holds; the projection of the unitary group takes the transpose in skew(X^H V)."""
    manifolds = pytest.importorskip("pymanopt.manifolds")
    holds(adapters.pymanopt(lambda n, p, k: manifolds.Stiefel(n, p, k=k), "projection"), "stiefel.project",
          [(5, 3), (4, 5, 3)], dtypes=["float64"])  # fmt: skip
    port = adapters.algebra(
        adapters.pymanopt(lambda n, p, k: manifolds.UnitaryGroup(n, k=k), "projection"), result=True
    )
    report = conformance.check(
        port, "stiefel.project", shapes=[(3, 3), (2, 4, 4)], dtypes=["complex128"], progress=False
    )
    assert report.status == "FAILS" and "a conjugate is missing" in report.text()
