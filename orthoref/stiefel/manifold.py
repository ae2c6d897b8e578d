"""The door of the Stiefel manifold: points X of shape (..., n, p), n >= p, with X^H X = c^2 I, and their tangents."""

from __future__ import annotations

from math import inf, isfinite
from typing import Any

from orthoref.arrays import Array, Namespace, at_batch, enter, first_index, require_shape
from orthoref.errors import OutsideDomain
from orthoref.linalg import eps, eye_like, frobenius, hermitian_part, inner, unit_scale

LIMIT = 100  # units of n eps by which a point or a tangent may miss its equation: thousands of careful steps, no more


def enter_point(x: Array, *, scale: float = 1.0, check: bool = True, **vectors: Array) -> Namespace:
    """Take in a point and vectors at it, all of the shape of x.

    Parameters
    ----------
    x : array of shape (..., n, p), n >= p
        Point with X^H X = c^2 I.
    scale : float
        c, positive and finite.
    check : bool
        Whether to refuse a point with |X^H X - c^2 I| > LIMIT n eps c^2 in the Frobenius norm.
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
    """Refuse vectors with |sym(X^H V)| > LIMIT n eps c |V|, the limit and the defect in the message."""
    if 0 in x.shape:
        return
    for name, v in vectors.items():
        w = unit_scale(v).apply(v)  # neither overflow nor underflow of squares
        size = frobenius(w)
        defect = frobenius(hermitian_part(inner(x / scale, w))) / xp.where(size > 0, size, xp.ones_like(size))
        _refuse(
            defect[..., 0, 0], x, xp, f"{name} is not tangent at x: |X^H V + V^H X| / 2 = {{}} c |V| with c = {scale:g}"
        )


def require_scale(scale: Any) -> None:
    """Refuse what is no positive finite number."""
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale < inf or not isfinite(scale):
        raise ValueError(f"scale={scale!r} must be a positive finite number")


def _refuse(defect: Array, x: Array, xp: Namespace, message: str) -> None:
    limit = LIMIT * x.shape[-2] * eps(x)
    within = defect <= limit
    if not bool(xp.all(within)):
        index = first_index(~within, xp)
        size = f"{float(defect[index]):.1e}"
        raise OutsideDomain(f"{message.format(size)}, more than {LIMIT} n eps = {limit:.1e}" + at_batch(index))
