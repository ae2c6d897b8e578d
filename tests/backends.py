"""One table of the array libraries that the tests run on, and matrices drawn by spectrum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from math import sqrt
from typing import Any

import numpy as np
import pytest

DTYPES = ("float32", "float64", "complex64", "complex128")


def _numpy(x: np.ndarray) -> np.ndarray:
    x = np.array(x)
    x.flags.writeable = False  # a function that writes to its input raises
    return x


def _strict(device: str) -> Callable[[np.ndarray], Any]:
    def asarray(x: np.ndarray) -> Any:
        import array_api_strict as xp

        xp.set_array_api_strict_flags(api_version="2024.12")
        return xp.asarray(np.array(x), device=xp.Device(device))

    return asarray


def _strict_to_numpy(x: Any) -> np.ndarray:
    import array_api_strict as xp

    return np.array(x.to_device(xp.Device("CPU_DEVICE")))


def _torch(x: np.ndarray) -> Any:
    import torch

    return torch.asarray(np.array(x))


def _jax(x: np.ndarray) -> Any:
    import jax.numpy as jnp

    return jnp.asarray(x)


@dataclass(frozen=True)
class Backend:
    name: str
    package: str
    asarray: Callable[[np.ndarray], Any]
    to_numpy: Callable[[Any], np.ndarray] = np.array
    dtypes: tuple[str, ...] = DTYPES

    def require(self) -> None:
        if find_spec(self.package) is None:
            pytest.skip(f"{self.package} is not installed")


NUMPY = Backend("numpy", "numpy", _numpy)
STRICT = Backend("strict", "array_api_strict", _strict("CPU_DEVICE"), _strict_to_numpy)
DEVICE1 = Backend("strict-device1", "array_api_strict", _strict("device1"), _strict_to_numpy)
NO_FLOAT64 = Backend(
    "strict-no_float64", "array_api_strict", _strict("no_float64"), _strict_to_numpy, ("float32", "complex64")
)
TORCH = Backend("torch", "torch", _torch, lambda x: x.resolve_conj().numpy().copy())
JAX = Backend("jax", "jax", _jax)

BACKENDS = (NUMPY, STRICT, DEVICE1, NO_FLOAT64, TORCH, JAX)


def late(backend: Backend) -> Any:
    """A parameter; JAX, which compiles every operation for every shape and dtype, is left to the exhaustive run."""
    return pytest.param(backend, id=backend.name, marks=pytest.mark.exhaustive if backend is JAX else ())


JAX_LATE = pytest.mark.parametrize("backend", [late(backend) for backend in BACKENDS], indirect=True)

SPECTRA = ("geometric", "arithmetic", "one-small", "clustered", "repeated", "rank-deficient")


def singular_values(spectrum: str, n: int, cond: float) -> np.ndarray:
    """Between 1 and 1/cond, decreasing."""
    steps = np.arange(n) / max(n - 1, 1)
    return {
        "geometric": cond**-steps,
        "arithmetic": 1 - steps * (1 - 1 / cond),
        "one-small": np.where(np.arange(n) < max(n - 1, 1), 1.0, 1 / cond),
        "clustered": np.where(steps < 0.5, 1 - 1e-9 * steps, (1 + 1e-9 * (1 - steps)) / cond),
        "repeated": np.where(steps < 0.5, 1.0, 1 / cond),
        "rank-deficient": np.where(steps < 0.6, cond**-steps, 0.0),
    }[spectrum]


def gaussian(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    if dtype.startswith("complex"):
        x = x + 1j * rng.standard_normal(shape)
    return x.astype(dtype)


def isometry(m: int, n: int, dtype: str, seed: int) -> np.ndarray:
    """Random orthonormal columns in float64 or complex128."""
    q, r = np.linalg.qr(gaussian((m, n), "complex128" if dtype.startswith("complex") else "float64", seed))
    d = np.diagonal(r)
    return q * (d / abs(d))


def draw(
    shape: tuple[int, ...], dtype: str = "float64", *, spectrum: str = "geometric", cond: float = 1e3, seed: int = 0
) -> np.ndarray:
    """P diag(s) Q^H with the singular values of the named spectrum, other singular vectors in every matrix."""
    *batch, m, n = shape
    k = min(m, n)
    stack = np.zeros(shape, dtype)
    for count, index in enumerate(np.ndindex(*batch)):
        if k:
            p = isometry(m, k, dtype, 1000 * seed + 2 * count)
            q = isometry(n, k, dtype, 1000 * seed + 2 * count + 1)
            stack[index] = (p * singular_values(spectrum, k, cond)) @ q.conj().T
    return stack


def ct(x: np.ndarray) -> np.ndarray:
    return x.conj().swapaxes(-1, -2)


def norm(x: np.ndarray) -> float:
    """Frobenius norm in float64, free of overflow."""
    x = np.asarray(x)
    x = abs(x.astype(np.result_type(x, np.float64), copy=False)).ravel()
    size = float(x.max(initial=0.0))
    if not 0 < size < np.inf:
        return size
    x = x / size
    return size * sqrt(x @ x)
