"""The landing field, which needs no point on the manifold. Derivations: docs/derivations/stiefel."""

from __future__ import annotations

from math import inf
from typing import Any, NamedTuple

from orthoref.arrays import Array
from orthoref.linalg import eye_like, hermitian_part, inner
from orthoref.stiefel.manifold import enter_unit
from orthoref.stiefel.multilinear import collect, scaled


class LandingCotangents(NamedTuple):
    """Cotangents of the arguments of :func:`landing`."""

    x_bar: Array
    egrad_bar: Array


def landing(x: Array, egrad: Array, *, attraction: float, scale: float = 1.0) -> Array:
    """Landing field: skew(G X^H) X/c^2 + attraction X (X^H X/c^2 - I), defined on and off the manifold.

    Parameters
    ----------
    x : array of shape (..., n, p)
        Any matrix.
    egrad : array of the shape of x
        Euclidean gradient G there.
    attraction : float
        Weight of the second term, the gradient of c^2 |X^H X/c^2 - I|^2 / 4. Not negative.
    scale : float
        c of the manifold X^H X = c^2 I.

    Returns
    -------
    array of shape (..., n, p)
        Two orthogonal terms. The first one is half of the canonical gradient on the manifold.

    Raises
    ------
    OutsideDomain
        NaN or infinity; overflow of the result.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    Equation (ST-LAND); [AblinPeyre2022]_. A method steps against the field.
    """
    _require_weight(attraction)
    xp, y = enter_unit(x, {}, {"egrad": egrad}, scale, check=False)
    if 0 in x.shape:
        return xp.zeros_like(x)
    (g, gs), gram = scaled(egrad), inner(y, y)
    # (ST-LAND) skew(G X^H) X = (G X^H X - X G^H X)/2
    return collect(((g @ gram - y @ inner(g, y)) / 2, (gs,)), (attraction * (x @ (gram - eye_like(gram))), ()))


def landing_jvp(
    x: Array, egrad: Array, x_dot: Array, egrad_dot: Array, *, attraction: float, scale: float = 1.0
) -> Array:
    """Derivative of :func:`landing` along any ``x_dot``, ``egrad_dot``.

    Parameters
    ----------
    x, egrad : arrays of shape (..., n, p)
        Any matrix and the Euclidean gradient there.
    x_dot, egrad_dot : arrays of the shape of x
        Directions, independent of each other.
    attraction, scale
        As in :func:`landing`.

    Returns
    -------
    array of shape (..., n, p)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`landing`.
    """
    _require_weight(attraction)
    others = {"egrad": egrad, "x_dot": x_dot, "egrad_dot": egrad_dot}
    xp, y = enter_unit(x, {}, others, scale, check=False)
    if 0 in x.shape:
        return xp.zeros_like(x)
    (g, gs), (y_dot, xs), (g_dot, gds) = scaled(egrad), scaled(x_dot, scale), scaled(egrad_dot)
    gram, gram_dot = inner(y, y), 2 * hermitian_part(inner(y, y_dot))
    moved = (g @ gram_dot - y_dot @ inner(g, y) - y @ inner(g, y_dot)) / 2
    pull = y_dot @ (gram - eye_like(gram)) + y @ gram_dot
    return collect(
        ((g_dot @ gram - y @ inner(g_dot, y)) / 2, (gds,)),
        (moved, (xs, gs)),
        (attraction * scale * pull, (xs,)),
    )


def landing_vjp(x: Array, egrad: Array, y_bar: Array, *, attraction: float, scale: float = 1.0) -> LandingCotangents:
    """Adjoint of :func:`landing_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, egrad, y_bar : arrays of shape (..., n, p)
        As in :func:`landing`, and the cotangent of the result.
    attraction, scale
        As in :func:`landing`.

    Returns
    -------
    LandingCotangents
        ``x_bar``, ``egrad_bar``.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`landing`.
    """
    _require_weight(attraction)
    xp, y = enter_unit(x, {}, {"egrad": egrad, "y_bar": y_bar}, scale, check=False)
    if 0 in x.shape:
        return LandingCotangents(xp.zeros_like(x), xp.zeros_like(x))
    (g, gs), (bar, bs), gram = scaled(egrad), scaled(y_bar), inner(y, y)
    # (ST-LAND*)
    moved = y @ hermitian_part(inner(g, bar)) - (bar @ inner(y, g) + g @ inner(y, bar)) / 2
    pull = bar @ (gram - eye_like(gram)) + 2 * (y @ hermitian_part(inner(y, bar)))
    return LandingCotangents(
        collect((moved / scale, (gs, bs)), (attraction * pull, (bs,))),
        collect(((bar @ gram - y @ inner(bar, y)) / 2, (bs,))),
    )


def _require_weight(attraction: Any) -> None:
    if isinstance(attraction, bool) or not isinstance(attraction, (int, float)) or not 0 <= attraction < inf:
        raise ValueError(f"attraction={attraction!r} must be a finite number that is not negative")
