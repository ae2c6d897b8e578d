"""On a CUDA device: ``pytest -m gpu``."""

from __future__ import annotations

import numpy as np
import pytest

from orthoref import polar, polar_jvp, polar_vjp, testing
from orthoref.oracle import cases

pytestmark = pytest.mark.gpu

try:
    import cupy

    DEVICES = cupy.cuda.runtime.getDeviceCount()
except Exception:  # no CuPy, or CuPy without a driver
    DEVICES = 0

needs_device = pytest.mark.skipif(DEVICES == 0, reason="needs CuPy and a CUDA device")


@needs_device
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(5, 5), (200, 200), (60, 9), (9, 60), (10, 4, 4)])
@pytest.mark.parametrize("method", ["svd", "newton", "qdwh", "zolotarev"])
def test_polar(shape, dtype, method):
    for spectrum in ("geometric", "one_small", "rank_deficient"):
        a = cupy.asarray(cases.matrix(shape, spectrum=spectrum, cond=1e5, seed=1, dtype=dtype))
        u, h = polar(a, method=method)
        assert isinstance(u, cupy.ndarray) and u.device == a.device
        testing.assert_polar(a, u, h)


@needs_device
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_derivatives_are_adjoint(dtype):
    a, e, y = (cupy.asarray(cases.matrix((7, 4), cond=10, seed=seed, dtype=dtype)) for seed in range(3))
    u_dot = polar_jvp(a, e, factor="u").u_dot
    left, right = (float(cupy.sum((cupy.conj(x) * z).real)) for x, z in ((y, u_dot), (polar_vjp(a, y), e)))
    assert left == pytest.approx(right, abs=100 * np.finfo(dtype).eps * 10)  # condition 10, norms about 1
