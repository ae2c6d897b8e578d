"""The compiled twin agrees with the generic function, and is taken only where it exists."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from orthoref import kernels, polar, polar_condition, testing
from orthoref.oracle import cases

pytestmark = pytest.mark.sample(3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("scaling", ["byers-xu", "one-inf"])
def test_twin(n, dtype, scaling):
    for spectrum in ("geometric", "one_small", "clustered", "graded"):
        a = cases.matrix((7, n, n), spectrum=spectrum, cond=1e3, seed=n, dtype=dtype)
        u, h = polar(a, method="newton", impl="kernel", scaling=scaling)
        generic = polar(a, method="newton", impl="generic", scaling=scaling)
        testing.assert_polar(a, u, h, limit=1)
        # both have a backward error of at most max(n, 8) eps |A|, which moves U by at most its condition number
        eps, norm = np.finfo(dtype).eps, np.linalg.norm(a, axis=(-2, -1))
        bound = 2 * max(n, 8) * eps * (1 + polar_condition(a) * norm)
        assert np.all(np.linalg.norm(u - generic.u, axis=(-2, -1)) <= bound)


def test_what_the_kernel_cannot_do_is_done_by_the_svd():
    a = np.stack([np.eye(3), np.zeros((3, 3)), np.ones((3, 3)), np.diag([1.0, 1e-300, 1]), -np.eye(3)])
    testing.assert_polar(a, *polar(a, method="newton", impl="kernel"), limit=1)


def test_it_is_deterministic_and_leaves_its_input_alone():
    a = cases.matrix((50, 4, 4), cond=1e6, seed=3)[::2].swapaxes(-1, -2)
    a.flags.writeable = False
    first, second = (polar(a, method="newton", impl="kernel") for _ in range(2))
    assert np.array_equal(first.u, second.u) and np.array_equal(first.h, second.h)


def test_stacks_of_stacks():
    a = cases.matrix((2, 3, 4, 4), seed=1)
    u = polar(a, method="newton", impl="kernel").u
    assert np.array_equal(u[1, 2], polar(a[1], method="newton", impl="kernel").u[2])


@pytest.mark.parametrize(
    ("shape", "dtype", "options"),
    [
        ((4, 4), "float64", {}),
        ((3, 9, 9), "float64", {}),
        ((3, 4, 4), "complex64", {}),
        ((3, 4, 4), "float64", {"method": "qdwh"}),
        ((3, 4, 4), "float64", {"rank_deficient": "partial"}),
    ],
)
def test_where_there_is_none_kernel_raises_and_auto_does_not(shape, dtype, options):
    a = cases.matrix(shape, dtype=dtype)
    options = {"method": "newton", **options}
    with pytest.raises(ValueError, match="kernel"):
        polar(a, impl="kernel", **options)
    polar(a, impl="auto", **options)


def test_other_arrays_have_none():
    xp = pytest.importorskip("array_api_strict")
    with pytest.raises(ValueError, match="NumPy arrays, not array_api_strict"):
        polar(xp.asarray(np.eye(3)[None]), method="newton", impl="kernel")


def test_generic_never_finds_one():
    assert kernels.find("newton.newton_polished", np.zeros((2, 3, 3)), "generic") is None
    assert kernels.find("newton.newton_polished", np.zeros((2, 3, 3)), "auto") is not None
