"""Orthogonal projections onto the tangent and the normal space. Derivations: docs/derivations/stiefel."""

from __future__ import annotations

from typing import NamedTuple

from orthoref.arrays import Array
from orthoref.linalg import hermitian_part, inner
from orthoref.stiefel.manifold import enter_unit
from orthoref.stiefel.multilinear import collect, scaled


class ProjectCotangents(NamedTuple):
    """Cotangents of the arguments of :func:`project` and :func:`normal`."""

    x_bar: Array
    v_bar: Array


def project(x: Array, v: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    """Orthogonal projection onto the tangent space, V - X sym(X^H V)/c^2, the same for every metric of the family.

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        Point and any matrix.
    scale : float
        c of the manifold X^H X = c^2 I.
    check : bool
        Whether to refuse points off the manifold. If not, the formula is evaluated as it stands.

    Returns
    -------
    array of shape (..., n, p)
        Within a small multiple of n eps |V|, and tangent to n eps of its *own* size, however small that is beside V:
        a point on the manifold is projected at twice.

    Raises
    ------
    OutsideDomain
        NaN or infinity; off the manifold, with the defect; overflow of the result.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    Equation (ST-PROJ); [AbsilMahonySepulchre2008]_.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import stiefel
    >>> stiefel.project(np.eye(3, 2), np.ones((3, 2)))
    array([[0., 0.],
           [0., 0.],
           [1., 1.]])
    """
    xp, y = enter_unit(x, {}, {"v": v}, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    v, vs = scaled(v)
    return collect((settled(y, tangential(y, v), check), (vs,)))


def project_jvp(x: Array, v: Array, x_dot: Array, v_dot: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    """Derivative of the formula of :func:`project` along any ``x_dot``, ``v_dot`` of the ambient space.

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        Point and any matrix.
    x_dot, v_dot : arrays of the shape of x
        Directions.
    scale, check
        As in :func:`project`.

    Returns
    -------
    array of shape (..., n, p)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`project`.
    """
    xp, y = enter_unit(x, {}, {"v": v, "x_dot": x_dot, "v_dot": v_dot}, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    (v, vs), (y_dot, xs), (v_dot, vds) = scaled(v), scaled(x_dot, scale), scaled(v_dot)
    return collect((tangential(y, v_dot), (vds,)), (-turned(y, y_dot, v), (xs, vs)))


def project_vjp(x: Array, v: Array, y_bar: Array, *, scale: float = 1.0, check: bool = True) -> ProjectCotangents:
    """Adjoint of :func:`project_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, v, y_bar : arrays of shape (..., n, p)
        Point, any matrix, and the cotangent of the result.
    scale, check
        As in :func:`project`.

    Returns
    -------
    ProjectCotangents
        ``x_bar``, ``v_bar`` in the ambient space.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`project`.
    """
    xp, y = enter_unit(x, {}, {"v": v, "y_bar": y_bar}, scale, check)
    if 0 in x.shape:
        return ProjectCotangents(xp.zeros_like(x), xp.zeros_like(x))
    (v, vs), (bar, bs) = scaled(v), scaled(y_bar)
    return ProjectCotangents(collect((-turned_vjp(y, v, bar) / scale, (vs, bs))), collect((tangential(y, bar), (bs,))))


def normal(x: Array, v: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    """Orthogonal projection onto the normal space, X sym(X^H V)/c^2 = V - project(X, V).

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        Point and any matrix.
    scale, check
        As in :func:`project`.

    Returns
    -------
    array of shape (..., n, p)
        Within a small multiple of n eps |V|.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`project`.

    Notes
    -----
    Equation (ST-PROJ).
    """
    xp, y = enter_unit(x, {}, {"v": v}, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    v, vs = scaled(v)
    return collect((y @ hermitian_part(inner(y, v)), (vs,)))


def normal_jvp(x: Array, v: Array, x_dot: Array, v_dot: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    """Derivative of the formula of :func:`normal` along any ``x_dot``, ``v_dot`` of the ambient space.

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        Point and any matrix.
    x_dot, v_dot : arrays of the shape of x
        Directions.
    scale, check
        As in :func:`project`.

    Returns
    -------
    array of shape (..., n, p)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`project`.
    """
    xp, y = enter_unit(x, {}, {"v": v, "x_dot": x_dot, "v_dot": v_dot}, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    (v, vs), (y_dot, xs), (v_dot, vds) = scaled(v), scaled(x_dot, scale), scaled(v_dot)
    return collect((y @ hermitian_part(inner(y, v_dot)), (vds,)), (turned(y, y_dot, v), (xs, vs)))


def normal_vjp(x: Array, v: Array, y_bar: Array, *, scale: float = 1.0, check: bool = True) -> ProjectCotangents:
    """Adjoint of :func:`normal_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, v, y_bar : arrays of shape (..., n, p)
        Point, any matrix, and the cotangent of the result.
    scale, check
        As in :func:`project`.

    Returns
    -------
    ProjectCotangents
        ``x_bar``, ``v_bar`` in the ambient space.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`project`.
    """
    xp, y = enter_unit(x, {}, {"v": v, "y_bar": y_bar}, scale, check)
    if 0 in x.shape:
        return ProjectCotangents(xp.zeros_like(x), xp.zeros_like(x))
    (v, vs), (bar, bs) = scaled(v), scaled(y_bar)
    return ProjectCotangents(
        collect((turned_vjp(y, v, bar) / scale, (vs, bs))),
        collect((y @ hermitian_part(inner(y, bar)), (bs,))),
    )


def tangential(y: Array, v: Array) -> Array:
    """(ST-PROJ) V - X sym(X^H V), its own adjoint in V."""
    return v - y @ hermitian_part(inner(y, v))


def settled(y: Array, v: Array, on_manifold: bool) -> Array:
    """A computed tangent, tangent relative to its own size: the first projection left n eps of what it took away."""
    return tangential(y, v) if on_manifold else v


def turned(y: Array, y_dot: Array, v: Array) -> Array:
    """(ST-PROJ) derivative of X sym(X^H V) along X_dot: X_dot sym(X^H V) + X sym(X_dot^H V)."""
    return y_dot @ hermitian_part(inner(y, v)) + y @ hermitian_part(inner(y_dot, v))


def turned_vjp(y: Array, v: Array, bar: Array) -> Array:
    """(ST-PROJ*) adjoint of :func:`turned` in X_dot: Y sym(X^H V) + V sym(X^H Y) for the cotangent Y."""
    return bar @ hermitian_part(inner(y, v)) + v @ hermitian_part(inner(y, bar))
