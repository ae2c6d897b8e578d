"""Samples of the Haar measure hold, others are refused and named."""

from __future__ import annotations

import numpy as np
import pytest

from orthoref import testing
from orthoref.errors import PortFailure

SHAPES = [(1, 1), (2, 2), (4, 4), (5, 2), (6, 1)]


@pytest.fixture(scope="module", autouse=True)
def warm():
    """What the first call loads is not charged to a test."""
    testing.assert_haar(fixed(gaussian((2, 1), False, 50)))


def gaussian(shape, complex_, count=2000, seed=0):
    random = np.random.RandomState(seed)
    g = random.standard_normal((count, *shape))
    return g + 1j * random.standard_normal((count, *shape)) if complex_ else g


def unfixed(g):
    return np.linalg.qr(g)[0]


def fixed(g):
    q, r = np.linalg.qr(g)
    d = np.diagonal(r, axis1=-2, axis2=-1)
    return q * (d / np.abs(d))[:, None, :]


def polar(g):
    u, _, w = np.linalg.svd(g, full_matrices=False)
    return u @ w


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("draw", [fixed, polar])
def test_the_haar_measure_holds(draw, shape, complex_):
    testing.assert_haar(draw(gaussian(shape, complex_)))


def test_false_alarms_are_as_rare_as_stated():
    """At a level of 1/2 fewer than half of 12 samples are refused, give or take three deviations."""
    refused = 0
    for seed in range(12):
        try:
            testing.assert_haar(fixed(gaussian((3, 2), False, 200, seed)), false_alarm=0.5)
        except PortFailure:
            refused += 1
    assert refused <= 6 + 3 * 3**0.5


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("shape", [(4, 4), (5, 2)])
def test_qr_without_phases_is_named(shape, complex_):
    with pytest.raises(PortFailure, match=r"x\[0, 0\] is never (positive|negative): QR without|x\["):
        testing.assert_haar(unfixed(gaussian(shape, complex_)))


def rotations(g):
    q = fixed(g)
    q[np.linalg.det(q) < 0, :, 0] *= -1
    return q


def sorted_columns(g):
    q = fixed(g)
    return np.take_along_axis(q, np.argsort(q[:, :1, :], axis=-1), axis=-1)


@pytest.mark.parametrize(("draw", "shape", "complex_", "words"), [
    (rotations, (3, 3), False, "2000 of 2000 determinants are positive"),
    (sorted_columns, (4, 3), False, "reason"),
    (lambda g: 0 * g + fixed(g)[:1], (4, 2), False, "all points are the same"),
    (lambda g: fixed(g.real) + 0j, (4, 2), True, "all points are real"),
    (lambda g: fixed(g + 0.3), (4, 2), False, "are positive, mean square"),
    (lambda g: fixed(np.random.RandomState(1).uniform(-1, 1, g.shape) ** 5), (3, 1), False, "mean square"),
])  # fmt: skip
def test_other_measures_are_refused(draw, shape, complex_, words):
    with pytest.raises(PortFailure, match=words):
        testing.assert_haar(draw(gaussian(shape, complex_)))


def test_rotations():
    testing.assert_haar(rotations(gaussian((3, 3), False)), special=True)
    with pytest.raises(PortFailure, match="determinants are positive"):
        testing.assert_haar(fixed(gaussian((3, 3), False)), special=True)


def test_what_is_no_sample():
    with pytest.raises(ValueError, match=r"not \(N, n, p\)"):
        testing.assert_haar(np.eye(3))
    with pytest.raises(ValueError, match="is not a probability"):
        testing.assert_haar(fixed(gaussian((3, 2), False)), false_alarm=1.0)
    with pytest.raises(PortFailure, match="orthonormal"):
        testing.assert_haar(gaussian((3, 2), False))
