"""Geodesics of the Stiefel manifold: exp, log, distance. Derivations: docs/derivations/retractions."""

from __future__ import annotations

from math import isfinite
from typing import Any, Literal

import numpy as np

from orthoref.arrays import Array
from orthoref.linalg import rescale_derivative, unit_scale, UNSCALED
from orthoref.stiefel.rotation import (
    EXP,
    RetractionCotangent,
    enter_pair,
    frame,
    rotate,
    rotate_jvp,
    rotate_vjp,
    times,
)

Metric = Literal["euclidean", "canonical"] | float


def weight(metric: Any) -> float:
    """beta = 1/(2 (alpha + 1)), the weight of the part of a tangent in the range of X: 1 Euclidean, 1/2 canonical."""
    if isinstance(metric, str):
        if metric in ("euclidean", "canonical"):
            return 1.0 if metric == "euclidean" else 0.5
    elif isinstance(metric, (int, float)) and not isinstance(metric, bool) and isfinite(metric) and metric > -1:
        return 1 / (2 * (metric + 1))
    raise ValueError(f"metric={metric!r} is not 'euclidean', 'canonical' or a number alpha > -1")


def exp(x: Array, v: Array, metric: Metric, *, scale: float = 1.0, check: bool = True) -> Array:
    r"""Point at time 1 of the geodesic through x with velocity v.

    Parameters
    ----------
    x : array of shape (..., n, p), n >= p
        Point, X^H X = c^2 I.
    v : array of the shape of x
        Tangent vector at x, of any length.
    metric : {"euclidean", "canonical"} or float
        A number is alpha > -1 in <U, V> = Re tr(U^H (I - (2 alpha + 1)/(2 (alpha + 1)) X X^H) V) for c = 1:
        -1/2 is the Euclidean metric, 0 the canonical one.
    scale : float
        c.
    check : bool
        Whether to refuse a point off the manifold and a vector that is not tangent.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain
        NaN or infinity; x off the manifold or v not tangent, with the defect and the batch index; v / scale overflows.
    NotConverged
        The eigendecomposition of the library failed.
    TypeError, ValueError
        As :func:`orthoref.arrays.enter`; wide x, another shape, ``scale`` not positive, an unknown metric.

    Notes
    -----
    exp(W) X exp((1 - 2 beta) skew(G)), W = T X^H - X T^H, T = V - (1 - beta) X G, G = X^H V, beta = 1/(2 (alpha + 1)):
    equations (GEODESIC) and (FRAME) of the derivation page. The exponential of a skew-Hermitian matrix of order
    min(2p, n) by its eigendecomposition: |I - Y^H Y| is a small multiple of n eps for every step; the error is a
    multiple of n eps (1 + |V/c|). About 16 n p^2 flops and 25 (2p)^3 complex ones.

    References
    ----------
    [EdelmanAriasSmith1998]_ for the Euclidean and canonical metric, [HuperMarkinaSilvaLeite2021]_,
    [ZimmermannHuper2022]_ for the family.
    """
    beta = weight(metric)
    xp, x, v = enter_pair(x, v, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        return times(rotate(EXP, frame(x, v, beta)), scale)


def exp_jvp(
    x: Array, v: Array, x_dot: Array, v_dot: Array, metric: Metric, *, scale: float = 1.0, check: bool = True
) -> Array:
    r"""Derivative of :func:`exp` along (x_dot, v_dot): Jacobi fields.

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        The pair, as in :func:`exp`.
    x_dot, v_dot : arrays of the shape of x
        Any directions: the formula in the notes of :func:`exp` is differentiated as a function of two matrices.
    metric, scale, check
        As in :func:`exp`.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`exp`; a result that overflows.

    Notes
    -----
    Equation (FRAME-D) with the divided differences (SINC): nothing is divided by differences of eigenvalues.
    """
    beta = weight(metric)
    xp, x, v = enter_pair(x, v, scale, check, x_dot=x_dot, v_dot=v_dot)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        e_scale = unit_scale(xp.concat([x_dot, v_dot], axis=-1))
        y_dot = rotate_jvp(EXP, frame(x, v, beta), e_scale.apply(x_dot), e_scale.apply(v_dot))
        return rescale_derivative(y_dot, UNSCALED, e_scale)


def exp_vjp(
    x: Array, v: Array, y_bar: Array, metric: Metric, *, scale: float = 1.0, check: bool = True
) -> RetractionCotangent:
    r"""Adjoint of :func:`exp_jvp` for the real inner product Re tr(X^H Y), whatever the metric.

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        The pair, as in :func:`exp`.
    y_bar : array of the shape of x
        Cotangent of the result.
    metric, scale, check
        As in :func:`exp`.

    Returns
    -------
    RetractionCotangent
        ``x_bar`` and ``v_bar``.

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`exp_jvp`.

    Notes
    -----
    Equation (FRAME-D*).
    """
    beta = weight(metric)
    xp, x, v = enter_pair(x, v, scale, check, y_bar=y_bar)
    if 0 in x.shape:
        return RetractionCotangent(xp.zeros_like(x), xp.zeros_like(x))
    with np.errstate(all="ignore"):
        y_scale = unit_scale(y_bar)
        pulled = rotate_vjp(EXP, frame(x, v, beta), y_scale.apply(y_bar))
        return RetractionCotangent(*(rescale_derivative(y, UNSCALED, y_scale) for y in pulled))
