"""Compiled once, or read from the cache, before the first test: the tests measure themselves, not the compiler."""

import importlib.util

import numpy as np
import pytest

import orthoref

DTYPES = ("float32", "float64", "complex64", "complex128")


@pytest.fixture(scope="session", autouse=True)
def compiled(request):
    if importlib.util.find_spec("numba") is None:
        return
    for dtype in DTYPES:
        x = np.eye(3, dtype=dtype)
        orthoref.polar(x[None], impl="kernel")
        theta = np.ones(3, dtype=x.real.dtype)
        for phase in (None, theta) if np.iscomplexobj(x) else (None,):
            for adjoint in (False, True):
                orthoref.givens_apply_vjp(theta, x, x, phase, adjoint=adjoint, impl="kernel")
