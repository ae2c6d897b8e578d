"""Random points and tangents, and the component that a point is on. Derivations: docs/derivations/stiefel."""

from __future__ import annotations

from math import sqrt
from typing import Any

import array_api_compat as compat
import numpy as np

from orthoref.arrays import FLOATING, Array, dtype_name, is_complex, namespace
from orthoref.linalg import inner
from orthoref.stiefel.manifold import enter_unit, require_scale
from orthoref.stiefel.metric import Metric, real_dtype, skew_weight
from orthoref.stiefel.tangent import tangential


def random_point(
    shape: tuple[int, ...],
    *,
    rng: np.random.Generator,
    dtype: str | None = None,
    like: Array | None = None,
    scale: float = 1.0,
    special: bool = False,
) -> Array:
    """Points drawn from the uniform distribution, the one that U X has, too, for every unitary U (Haar, for square X).

    Parameters
    ----------
    shape : tuple of int
        (..., n, p), n >= p.
    rng : numpy.random.Generator
        Source of the Gaussian matrices. Equal states give equal matrices, whatever the namespace and the device.
    dtype : {"float32", "float64", "complex64", "complex128"}, optional
        That of ``like``, or float64.
    like : array, optional
        Whose namespace and device the result has; NumPy's if not given.
    scale : float
        c of the manifold X^H X = c^2 I.
    special : bool
        Square matrices of determinant c^n only: the special orthogonal or unitary group.

    Returns
    -------
    array of shape (..., n, p)
        Orthonormal to n eps; computed in binary64 and rounded.

    Raises
    ------
    TypeError, ValueError
        No generator; wide shape; unknown dtype; ``special`` for matrices that are not square.

    Notes
    -----
    QR of a Gaussian matrix, Q times the phases of diag(R), equation (ST-HAAR), [Mezzadri2007]_: without the phases the
    distribution is that of the library's convention for signs.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import stiefel
    >>> x = stiefel.random_point((2, 5, 3), rng=np.random.default_rng(0), dtype="complex64")
    >>> x.shape, x.dtype
    ((2, 5, 3), dtype('complex64'))
    """
    _require_generator(rng)
    shape = tuple(shape)
    if len(shape) < 2 or not 0 <= shape[-1] <= shape[-2]:
        raise ValueError(f"shape={shape!r} is not (..., n, p) with n >= p")
    if special and shape[-1] != shape[-2]:
        raise ValueError(f"special=True with shape={shape!r}: only square matrices have a determinant")
    if dtype is None:
        dtype = dtype_name(like) if like is not None else "float64"
    if dtype not in FLOATING:
        raise ValueError(f"dtype={dtype!r} is not one of {', '.join(FLOATING)}")
    require_scale(scale, dtype)
    # (ST-HAAR) X = Q diag(r_ii/|r_ii|), A = Q R Gaussian
    q, r = np.linalg.qr(_gaussian(rng, shape, dtype))
    d = np.diagonal(r, axis1=-2, axis2=-1)
    size = np.abs(d)
    q = q * (np.where(size > 0, d, 1) / np.where(size > 0, size, 1))[..., None, :]
    if special and 0 not in shape:
        det = np.linalg.det(q)
        turn = np.ones(q.shape[:-2] + q.shape[-1:], q.dtype)
        turn[..., 0] = (det / np.abs(det)).conj()
        q = q * turn[..., None, :]
    return _as_array((scale * q).astype(dtype), like)


def random_tangent(
    x: Array, metric: Metric, *, rng: np.random.Generator, scale: float = 1.0, check: bool = True
) -> Array:
    """Gaussian tangents: the coordinates in a basis that is orthonormal in the metric are independent, standard normal.

    Parameters
    ----------
    x : array of shape (..., n, p)
        Point.
    metric : {"euclidean", "canonical"} or float
        As in :func:`inner`.
    rng : numpy.random.Generator
        As in :func:`random_point`.
    scale : float
        c of the manifold X^H X = c^2 I.
    check : bool
        Whether to refuse points off the manifold.

    Returns
    -------
    array of shape (..., n, p)
        The square of its norm in the metric has the dimension of the manifold as its mean.

    Raises
    ------
    OutsideDomain
        NaN or infinity; off the manifold, with the defect.
    TypeError, ValueError
        No generator; wrong type, shape or option.

    Notes
    -----
    The projection of a Gaussian matrix, its part in the range of X divided by the root of beta.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import stiefel
    >>> v = stiefel.random_tangent(np.eye(2), "canonical", rng=np.random.default_rng(1))
    >>> bool(v[0, 1] == -v[1, 0]), float(v[0, 0])
    (True, 0.0)
    """
    beta = skew_weight(metric)
    _require_generator(rng)
    xp, y = enter_unit(x, {}, {}, scale, check)
    z = _as_array(_gaussian(rng, tuple(x.shape), dtype_name(x)).astype(dtype_name(x)), x)
    if 0 in x.shape:
        return xp.zeros_like(x)
    z = tangential(y, z)
    return tangential(y, z + (1 / sqrt(beta) - 1) * (y @ inner(y, z)))


def component(x: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    """Component of the manifold: the sign of the determinant for real square matrices, 1 for all others.

    Parameters
    ----------
    x : array of shape (..., n, p)
        Point.
    scale : float
        c of the manifold X^H X = c^2 I.
    check : bool
        Whether to refuse points off the manifold.

    Returns
    -------
    array of shape (...)
        1 or -1. The manifold is connected for p < n and for complex matrices. No retraction, geodesic or transport by
        tangents leaves a component.

    Raises
    ------
    OutsideDomain
        NaN or infinity; off the manifold, with the defect.
    TypeError, ValueError
        Wrong type, shape or option.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import stiefel
    >>> stiefel.component(np.asarray([np.eye(2), [[0, 1], [1, 0]]]))
    array([ 1., -1.])
    """
    xp, y = enter_unit(x, {}, {}, scale, check)
    n, p = x.shape[-2:]
    if is_complex(x) or n != p or 0 in x.shape:
        return xp.ones(x.shape[:-2], dtype=real_dtype(x), device=compat.device(x))
    return xp.linalg.slogdet(y)[0]


def _gaussian(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Binary64; real and imaginary part standard normal."""
    z = rng.standard_normal(shape)
    return z + 1j * rng.standard_normal(shape) if dtype.startswith("complex") else z


def _as_array(z: np.ndarray, like: Array | None) -> Array:
    return z if like is None else namespace(like).asarray(z, device=compat.device(like))


def _require_generator(rng: Any) -> None:
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator, not {type(rng).__name__}")
