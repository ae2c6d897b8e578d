"""The door of the Stiefel manifold: points X of shape (..., n, p), n >= p, with X^H X = c^2 I, and their tangents."""

from __future__ import annotations

from math import inf
from typing import Any

import array_api_compat as compat
import numpy as np

from orthoref.arrays import Array, Namespace, at_batch, dtype_name, enter, first_index, is_complex, require_shape
from orthoref.errors import OutsideDomain
from orthoref.linalg import eps, eye_like, frobenius, hermitian_part, inner, unit_scale

# units of max(p, 8) eps by which a point or a tangent may miss its equation: thousands of careful steps, no more. Not
# of n eps: sums over rows are in blocks, and computed tangents were measured to be off by less than p eps for p << n
LIMIT = 100


def enter_point(x: Array, *, scale: float = 1.0, check: bool = True, **vectors: Array) -> Namespace:
    """Take in a point and vectors at it, all of the shape of x.

    Parameters
    ----------
    x : array of shape (..., n, p), n >= p
        Point with X^H X = c^2 I.
    scale : float
        c, positive, and a normal number of the dtype together with its reciprocal.
    check : bool
        Whether to refuse a point with |X^H X - c^2 I| > 100 max(p, 8) eps c^2 in the Frobenius norm.
    **vectors : arrays of the shape of x
        By public name; their tangency is :func:`require_tangent`'s business.

    Returns
    -------
    namespace

    Raises
    ------
    OutsideDomain
        NaN or infinity; off the manifold, with the defect and the batch index.
    TypeError, ValueError
        As :func:`orthoref.arrays.enter`; wide x, vectors of another shape, ``scale`` not positive.
    """
    require_scale(scale)
    xp = enter(x=x, **vectors)
    require_scale(scale, dtype_name(x))
    if x.shape[-2] < x.shape[-1]:
        raise ValueError(
            f"x has shape {tuple(x.shape)}: more columns than rows cannot be orthonormal; pass its adjoint"
        )
    for name, v in vectors.items():
        require_shape(name, v, x.shape)
    if check and 0 not in x.shape:
        y = x / scale
        defect = frobenius(inner(y, y) - eye_like(y))[..., 0, 0]
        _refuse(defect, x, xp, f"x is not on the manifold: |X^H X - c^2 I| = {{}} c^2 with c = {scale:g}")
    return xp


def require_tangent(x: Array, xp: Namespace, *, scale: float = 1.0, **vectors: Array) -> None:
    """Refuse vectors with |sym(X^H V)| > 100 max(p, 8) eps c |V|, the limit and the defect in the message."""
    if 0 in x.shape:
        return
    for name, v in vectors.items():
        w = unit_scale(v).apply(v)  # neither overflow nor underflow of squares
        size = frobenius(w)
        defect = frobenius(hermitian_part(inner(x / scale, w))) / xp.where(size > 0, size, xp.ones_like(size))
        _refuse(
            defect[..., 0, 0], x, xp, f"{name} is not tangent at x: |X^H V + V^H X| / 2 = {{}} c |V| with c = {scale:g}"
        )


def require_scale(scale: Any, dtype: str = "float64") -> None:
    """Refuse what is no positive number, normal in the dtype together with its reciprocal."""
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale < inf:
        raise ValueError(f"scale={scale!r} must be a positive finite number")
    info = np.finfo(dtype)
    if not float(info.tiny) <= min(scale, 1 / scale) or not scale <= float(info.max):
        raise ValueError(f"scale={scale!r} or its reciprocal is no normal number of {dtype}")


def _refuse(defect: Array, x: Array, xp: Namespace, message: str) -> None:
    limit = LIMIT * max(x.shape[-1], 8) * eps(x)
    within = defect <= limit
    if not bool(xp.all(within)):
        index = first_index(~within, xp)
        size = f"{float(defect[index]):.1e}"
        raise OutsideDomain(f"{message.format(size)}, more than {LIMIT} max(p, 8) eps = {limit:.1e}" + at_batch(index))


def enter_unit(
    x: Array, tangents: dict[str, Array], others: dict[str, Array], scale: float, check: bool
) -> tuple[Namespace, Array]:
    """Namespace and X/c; refuses what :func:`enter_point` and, for the tangents, :func:`require_tangent` refuse."""
    xp = enter_point(x, scale=scale, check=check, **tangents, **others)
    if check:
        require_tangent(x, xp, scale=scale, **tangents)
    return xp, (x if scale == 1 else x / scale)


def enter_numbers(name: str, value: Array, x: Array) -> Array:
    """Take in real numbers, one a matrix of x; returned with shape (..., 1, 1)."""
    xp = enter(x=x)
    real = xp.real(x) if is_complex(x) else x
    if not compat.is_array_api_obj(value):
        raise TypeError(f"{name} must be an array of an array-API library, not {type(value).__name__}")
    require_shape(name, value, x.shape[:-2])
    value = value[..., None, None]
    enter(**{"x" if real is x else "the real part of x": real, name: value})
    return value


def require_normal(x: Array, xp: Namespace, *, scale: float = 1.0, **vectors: Array) -> None:
    """Refuse vectors with |P_X N| > 100 max(p, 8) eps |N|, the limit and the defect in the message."""
    if 0 in x.shape:
        return
    y = x / scale
    for name, v in vectors.items():
        w = unit_scale(v).apply(v)
        size = frobenius(w)
        defect = frobenius(w - y @ hermitian_part(inner(y, w))) / xp.where(size > 0, size, xp.ones_like(size))
        _refuse(defect[..., 0, 0], x, xp, f"{name} is not normal at x: its tangential part is {{}} of it")
