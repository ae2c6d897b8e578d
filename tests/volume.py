"""log |det| of a parametrisation from its JVP, in coordinates of Q^H dQ and of what is orthogonal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from backends import ct


def coordinates(x: np.ndarray, p: int) -> np.ndarray:
    """Of X = Q^H dQ (m, p), skew-Hermitian above: what is below the diagonal, and the imaginary diagonal."""
    low = x[np.tril_indices(x.shape[0], -1, p)]
    return np.concatenate([low.real, low.imag, np.diagonal(x).imag]) if np.iscomplexobj(x) else low


def log_volume(q: np.ndarray, p: int, push: Callable[[np.ndarray], np.ndarray], count: int) -> tuple[float, float]:
    """The logarithm, and the error that n eps in every entry of the Jacobian makes in it."""
    if not count:
        return 0.0, 0.0
    jacobian = np.array([coordinates(ct(q) @ push(e), p) for e in np.eye(count)])
    assert jacobian.shape == (count, count)
    loss = np.linalg.norm(np.linalg.inv(jacobian)) * np.linalg.norm(jacobian)
    return float(np.linalg.slogdet(jacobian)[1]), 10 * len(q) * float(np.finfo("float64").eps) * loss
