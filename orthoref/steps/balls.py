"""Norms, their duals, and linear minimisation oracles over their balls. Derivations: docs/derivations/steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from orthoref._polar.decomposition import polar
from orthoref.arrays import Array, Namespace, enter, is_complex, namespace, require_choice
from orthoref.linalg import unit_scale
from orthoref.steps.directions import divided
from orthoref.steps.door import require_number, settled

Norm = Literal["frobenius", "spectral", "max", "rms-rms", "1-2", "nuclear"]
NORMS = ("frobenius", "spectral", "max", "rms-rms", "1-2", "nuclear")
Orientation = Literal["out-in", "in-out"]


def norm(x: Array, kind: Norm, *, orientation: Orientation = "out-in") -> Array:
    """A norm of every matrix of x.

    Parameters
    ----------
    x : array of shape (..., m, n)
    kind : {"frobenius", "spectral", "max", "rms-rms", "1-2", "nuclear"}
        |X|_F; sigma_1; max |x_ij|; (d_in/d_out)^(1/2) sigma_1, the largest ratio of root mean squares |Xv|/|v|; the
        largest Euclidean norm of the image of a unit vector, of a column for m outputs; the sum of singular values.
    orientation : {"out-in", "in-out"}
        Whether x maps n inputs to m outputs, or is the transpose of what does. For "rms-rms" and "1-2".

    Returns
    -------
    real array of shape (...)

    Raises
    ------
    OutsideDomain
        NaN or infinity; overflow.
    TypeError, ValueError
        Wrong type, shape or option; a side of length 0 for "rms-rms".

    Notes
    -----
    Equation (NORMS). Within a small multiple of max(m, n) eps of the norm.
    """
    xp = _enter(kind, orientation, x=x)
    return _size(x, kind, orientation, xp, dual=False)


def dual_norm(g: Array, kind: Norm, *, orientation: Orientation = "out-in") -> Array:
    """The dual of :func:`norm`, max Re tr(G^H X) over norm(X) <= 1, of every matrix of g.

    Parameters
    ----------
    g : array of shape (..., m, n)
    kind : {"frobenius", "spectral", "max", "rms-rms", "1-2", "nuclear"}
        Of the norm whose dual it is: |G|_F; the sum of singular values; the sum of |g_ij|;
        (d_out/d_in)^(1/2) times the sum of singular values; the sum of the norms of the columns; sigma_1.
    orientation : {"out-in", "in-out"}
        As in :func:`norm`.

    Returns
    -------
    real array of shape (...)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`norm`.

    Notes
    -----
    Equation (DUALS).
    """
    xp = _enter(kind, orientation, g=g)
    return _size(g, kind, orientation, xp, dual=True)


def lmo(g: Array, kind: Norm, *, radius: float = 1.0, orientation: Orientation = "out-in") -> Array:
    """Linear minimisation oracle of a ball: an X with norm(X) <= radius and least Re tr(G^H X) = -radius dual_norm(G).

    Parameters
    ----------
    g : array of shape (..., m, n)
    kind : {"frobenius", "spectral", "max", "rms-rms", "1-2", "nuclear"}
        Norm of the ball.
    radius : float
    orientation : {"out-in", "in-out"}
        As in :func:`norm`.

    Returns
    -------
    array of the shape of g
        -radius times G/|G|_F; U V^H; the signs (phases) of the entries; (d_out/d_in)^(1/2) U V^H; the columns over
        their norms; u_1 v_1^H. Where there is a choice, the one that does not depend on how it is computed: zero for
        the zero matrix, a zero entry or column, and on the null space of a rank-deficient G. With equal largest
        singular values "nuclear" has none such, and takes a pair of the SVD.

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`norm` and :func:`orthoref.polar`.

    Notes
    -----
    Equation (LMO). Minus this over the radius is a subgradient of the dual norm at G.

    References
    ----------
    [Kovalev2025]_, [PethickXieAntonakopoulos2025]_.
    """
    require_number("radius", radius)
    xp = _enter(kind, orientation, g=g)
    if 0 in g.shape:
        return xp.zeros_like(g)
    if kind == "frobenius":
        d = divided(g, (-2, -1))
    elif kind == "max":
        d = divided(g[..., None], -1)[..., 0] if is_complex(g) else xp.sign(g)
    elif kind == "1-2":
        d = divided(g, -2 if orientation == "out-in" else -1)
    elif kind == "nuclear":
        p, s, vh = xp.linalg.svd(unit_scale(g).apply(g), full_matrices=False)
        d = p[..., :, :1] @ vh[..., :1, :] * xp.astype(s[..., :1, None] > 0, g.dtype)
    else:
        d = polar(g, rank_deficient="partial").u
        if kind == "rms-rms":
            d = d / _rms_factor(g, orientation)
    return settled(-float(radius) * d, "the minimiser")


def product_norm(xs: Sequence[Array], kinds: Sequence[Norm], radii: Sequence[float]) -> Array:
    """Norm of a list of layers: the largest norm(X_l)/radius_l.

    Parameters
    ----------
    xs : sequence of arrays of shape (..., m_l, n_l)
        One for each layer, with the same leading axes.
    kinds : sequence of str
        Norm of each layer, as in :func:`norm`.
    radii : sequence of float
        Positive.

    Returns
    -------
    real array of shape (...)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`norm`; lists of different lengths.

    Notes
    -----
    Equation (LMO-PRODUCT). Its unit ball is the product of the balls.
    """
    sizes = [norm(x, kind) / radius for x, kind, radius in _layers(xs, kinds, radii)]
    largest = sizes[0]
    for size in sizes[1:]:
        largest = namespace(largest).maximum(largest, size)
    return largest


def product_dual_norm(gs: Sequence[Array], kinds: Sequence[Norm], radii: Sequence[float]) -> Array:
    """Dual of :func:`product_norm`: the sum of radius_l dual_norm(G_l).

    Parameters
    ----------
    gs : sequence of arrays of shape (..., m_l, n_l)
    kinds : sequence of str
    radii : sequence of float

    Returns
    -------
    real array of shape (...)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`product_norm`.
    """
    first, *rest = [radius * dual_norm(g, kind) for g, kind, radius in _layers(gs, kinds, radii)]
    return sum(rest, first)


def product_lmo(
    gs: Sequence[Array], kinds: Sequence[Norm], radii: Sequence[float], *, radius: float = 1.0
) -> list[Array]:
    """Linear minimisation oracle of a product of balls: each layer minimises on its own.

    Parameters
    ----------
    gs : sequence of arrays of shape (..., m_l, n_l)
    kinds : sequence of str
    radii : sequence of float
    radius : float
        Of the ball of :func:`product_norm`: layer l has radius radius_l.

    Returns
    -------
    list of arrays
        Of the shapes of gs.

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`product_norm` and :func:`lmo`.
    """
    require_number("radius", radius)
    return [lmo(g, kind, radius=float(radius) * of) for g, kind, of in _layers(gs, kinds, radii)]


def _size(x: Array, kind: Norm, orientation: Orientation, xp: Namespace, *, dual: bool) -> Array:
    """(NORMS), (DUALS): every one is homogeneous, so that the matrix may be scaled first."""
    if 0 in x.shape:
        return xp.sum(xp.abs(x), axis=(-2, -1))
    scale = unit_scale(x)
    y = scale.apply(x)
    entries = xp.abs(y)
    if kind == "frobenius":
        size = xp.sqrt(xp.sum(entries**2, axis=(-2, -1)))
    elif kind == "max":
        size = xp.sum(entries, axis=(-2, -1)) if dual else xp.max(entries, axis=(-2, -1))
    elif kind == "1-2":
        axis = -2 if orientation == "out-in" else -1
        columns = _norms_along(y, axis)
        size = xp.sum(columns, axis=-1) if dual else xp.max(columns, axis=-1)
    else:
        s = xp.linalg.svdvals(y)
        size = xp.sum(s, axis=-1) if dual != (kind == "nuclear") else s[..., 0]
        if kind == "rms-rms":
            factor = _rms_factor(x, orientation)
            size = size / factor if dual else size * factor
    with np.errstate(all="ignore"):
        return settled(scale.undo(size[..., None, None]), "the norm")[..., 0, 0]


def _norms_along(y: Array, axis: int) -> Array:
    """Euclidean norms along an axis, each scaled on its own."""
    xp = namespace(y)
    scale = unit_scale(y, axis=axis)
    z = scale.apply(y)
    return xp.squeeze(scale.undo(xp.sqrt(xp.sum(xp.abs(z) ** 2, axis=axis, keepdims=True))), axis=axis)


def _rms_factor(x: Array, orientation: Orientation) -> float:
    """(RMS-RMS) (d_in/d_out)^(1/2)."""
    out, into = x.shape[-2:] if orientation == "out-in" else x.shape[:-3:-1]
    return float((into / out) ** 0.5)


def _enter(kind: str, orientation: str, **of: Array) -> Namespace:
    require_choice("kind", kind, NORMS)
    require_choice("orientation", orientation, ("out-in", "in-out"))
    xp, ((name, x),) = enter(**of), of.items()
    if kind == "rms-rms" and 0 in x.shape[-2:]:
        raise ValueError(f"{name} has shape {tuple(x.shape)}: the RMS of a vector without entries is not defined")
    return xp


def _layers(xs: Sequence[Array], kinds: Sequence[Norm], radii: Sequence[float]) -> list[tuple[Array, Norm, float]]:
    if not len(xs) == len(kinds) == len(radii) or not len(xs):
        raise ValueError(f"{len(xs)} layers, {len(kinds)} norms, {len(radii)} radii")
    for radius in radii:
        require_number("radius", radius)
        if not radius > 0:
            raise ValueError("a radius of 0 makes no norm")
    return [(x, kind, float(radius)) for x, kind, radius in zip(xs, kinds, radii, strict=True)]
