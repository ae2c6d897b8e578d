"""The metrics of the Stiefel manifold, inner products and norms in them. Derivations: docs/derivations/stiefel."""

from __future__ import annotations

from math import inf
from typing import Any, Literal, NamedTuple

import array_api_compat as compat

from orthoref.arrays import Array, at_batch, first_index, is_complex, namespace
from orthoref.errors import OutsideDomain
from orthoref.linalg import ct
from orthoref.linalg import inner as product
from orthoref.stiefel.manifold import enter_numbers, enter_unit
from orthoref.stiefel.multilinear import collect, scaled

Metric = Literal["euclidean", "canonical"] | float

NAMED = {"euclidean": -0.5, "canonical": 0.0}


class InnerCotangents(NamedTuple):
    """Cotangents of the arguments of :func:`inner`."""

    x_bar: Array
    v_bar: Array
    w_bar: Array


class NormCotangents(NamedTuple):
    """Cotangents of the arguments of :func:`norm`."""

    x_bar: Array
    v_bar: Array


def alpha_of(metric: Metric) -> float:
    """Parameter of the family of metrics: "euclidean" is -1/2, "canonical" is 0.

    Raises
    ------
    ValueError
        Another name; a number that is not finite or not above -1, where the metric is not positive definite.
    """
    if isinstance(metric, str) and metric in NAMED:
        return NAMED[metric]
    if isinstance(metric, (bool, str)) or not isinstance(metric, (int, float)) or not -1 < metric < inf:
        raise ValueError(f"metric={metric!r} is not 'euclidean', 'canonical' or a finite number alpha > -1")
    return float(metric)


def skew_weight(metric: Metric) -> float:
    """Weight beta = 1/(2(alpha + 1)) of the part X X^H V of a tangent: 1 Euclidean, 1/2 canonical."""
    return 0.5 / (alpha_of(metric) + 1)


def raising(metric: Metric) -> float:
    """Weight tau = 2 alpha + 1 = 1/beta - 1 that a gradient gives to X skew(X^H G) beside the projection."""
    return 2 * alpha_of(metric) + 1


def inner(x: Array, v: Array, w: Array, metric: Metric, *, scale: float = 1.0, check: bool = True) -> Array:
    """Inner product of two tangents, Re tr(V^H (I - (2 alpha + 1)/(2 (alpha + 1)) X X^H/c^2) W).

    Parameters
    ----------
    x, v, w : arrays of shape (..., n, p)
        Point and tangents at it.
    metric : {"euclidean", "canonical"} or float
        "euclidean": Re tr(V^H W), alpha = -1/2. "canonical": Re tr(V^H (I - X X^H/(2 c^2)) W), alpha = 0. A
        number: the member alpha of the family, any alpha > -1 (where it is positive definite).
    scale : float
        c of the manifold X^H X = c^2 I.
    check : bool
        Whether to refuse points off the manifold and vectors that are not tangent.

    Returns
    -------
    array of shape (...)
        Real. Error at most a small multiple of n eps (1 + beta) |V| |W|, beta = 1/(2 (alpha + 1)).

    Raises
    ------
    OutsideDomain
        NaN or infinity; off the manifold or not tangent (with the defect); overflow of the result.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    Equation (ST-METRIC). With V = X A + V', X^H V' = 0, the square of the norm is beta c^2 |A|^2 + |V'|^2:
    [EdelmanAriasSmith1998]_ for the two named ones, [HuperMarkinaSilvaLeite2021]_ for the family.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import stiefel
    >>> x, v = np.eye(2), np.asarray([[0.0, -3.0], [3.0, 0.0]])
    >>> [float(stiefel.inner(x, v, v, metric)) for metric in ("euclidean", "canonical", 1.0)]
    [18.0, 9.0, 4.5]
    """
    k = 1 - skew_weight(metric)
    xp, y = enter_unit(x, {"v": v, "w": w}, {}, scale, check)
    if 0 in x.shape:
        return xp.zeros(x.shape[:-2], dtype=real_dtype(x), device=compat.device(x))
    (v, vs), (w, ws) = scaled(v), scaled(w)
    # (ST-METRIC) <V, W> - (1 - beta) <X^H V, X^H W>
    g = real_dot(v, w) - k * real_dot(product(y, v), product(y, w)) if k else real_dot(v, w)
    return collect((g, (vs, ws)))[..., 0, 0]


def inner_jvp(
    x: Array,
    v: Array,
    w: Array,
    x_dot: Array,
    v_dot: Array,
    w_dot: Array,
    metric: Metric,
    *,
    scale: float = 1.0,
    check: bool = True,
) -> Array:
    """Derivative of the formula of :func:`inner` along any ``x_dot``, ``v_dot``, ``w_dot`` of the ambient space.

    Parameters
    ----------
    x, v, w : arrays of shape (..., n, p)
        Point and tangents at it.
    x_dot, v_dot, w_dot : arrays of the shape of x
        Directions.
    metric, scale, check
        As in :func:`inner`.

    Returns
    -------
    array of shape (...)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`inner`.
    """
    k = 1 - skew_weight(metric)
    xp, y = enter_unit(x, {"v": v, "w": w}, {"x_dot": x_dot, "v_dot": v_dot, "w_dot": w_dot}, scale, check)
    if 0 in x.shape:
        return xp.zeros(x.shape[:-2], dtype=real_dtype(x), device=compat.device(x))
    (v, vs), (w, ws) = scaled(v), scaled(w)
    (y_dot, xs), (v_dot, vds), (w_dot, wds) = scaled(x_dot, scale), scaled(v_dot), scaled(w_dot)
    a, b = product(y, v), product(y, w)
    return collect(
        (real_dot(v_dot, w - k * (y @ b)), (vds, ws)),
        (real_dot(v - k * (y @ a), w_dot), (vs, wds)),
        (-k * (real_dot(product(y_dot, v), b) + real_dot(a, product(y_dot, w))), (xs, vs, ws)),
    )[..., 0, 0]


def inner_vjp(
    x: Array, v: Array, w: Array, y_bar: Array, metric: Metric, *, scale: float = 1.0, check: bool = True
) -> InnerCotangents:
    """Adjoint of :func:`inner_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, v, w : arrays of shape (..., n, p)
        Point and tangents at it.
    y_bar : array of shape (...)
        Cotangent, real.
    metric, scale, check
        As in :func:`inner`.

    Returns
    -------
    InnerCotangents
        ``x_bar``, ``v_bar``, ``w_bar`` in the ambient space.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`inner`.
    """
    k = 1 - skew_weight(metric)
    xp, y = enter_unit(x, {"v": v, "w": w}, {}, scale, check)
    y_bar = enter_numbers("y_bar", y_bar, x)
    if 0 in x.shape:
        return InnerCotangents(*(xp.zeros_like(x) for _ in range(3)))
    (v, vs), (w, ws), (bar, bs) = scaled(v), scaled(w), scaled(y_bar)
    a, b = product(y, v), product(y, w)
    # (ST-METRIC*)
    return InnerCotangents(
        collect((-k / scale * bar * (v @ ct(b) + w @ ct(a)), (bs, vs, ws))),
        collect((bar * (w - k * (y @ b)), (bs, ws))),
        collect((bar * (v - k * (y @ a)), (bs, vs))),
    )


def norm(x: Array, v: Array, metric: Metric, *, scale: float = 1.0, check: bool = True) -> Array:
    """Norm of a tangent, the root of ``inner(x, v, v, metric)``.

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        Point and tangent at it.
    metric, scale, check
        As in :func:`inner`.

    Returns
    -------
    array of shape (...)
        Not negative, with a relative error of a small multiple of n eps max(beta, 1/beta), beta = 1/(2 (alpha + 1)).

    Raises
    ------
    OutsideDomain
        As :func:`inner`; a square that rounding, n eps/beta, has made negative.
    TypeError, ValueError
        As :func:`inner`.
    """
    beta = skew_weight(metric)
    xp, y = enter_unit(x, {"v": v}, {}, scale, check)
    if 0 in x.shape:
        return xp.zeros(x.shape[:-2], dtype=real_dtype(x), device=compat.device(x))
    v, vs = scaled(v)
    return collect((_norm(y, v, beta)[0], (vs,)))[..., 0, 0]


def norm_jvp(
    x: Array, v: Array, x_dot: Array, v_dot: Array, metric: Metric, *, scale: float = 1.0, check: bool = True
) -> Array:
    """Derivative of the formula of :func:`norm` along any ``x_dot``, ``v_dot`` of the ambient space.

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        Point and tangent at it.
    x_dot, v_dot : arrays of the shape of x
        Directions.
    metric, scale, check
        As in :func:`inner`.

    Returns
    -------
    array of shape (...)

    Raises
    ------
    OutsideDomain
        As :func:`norm`; v = 0, where there is no derivative.
    TypeError, ValueError
        As :func:`inner`.
    """
    beta = skew_weight(metric)
    xp, y = enter_unit(x, {"v": v}, {"x_dot": x_dot, "v_dot": v_dot}, scale, check)
    if 0 in x.shape:
        return xp.zeros(x.shape[:-2], dtype=real_dtype(x), device=compat.device(x))
    (v, vs), (y_dot, xs), (v_dot, vds) = scaled(v), scaled(x_dot, scale), scaled(v_dot)
    size, a = _norm(y, v, beta)
    _refuse_zero(size)
    return collect(
        (real_dot(v_dot, v - (1 - beta) * (y @ a)) / size, (vds,)),
        (-(1 - beta) * real_dot(product(y_dot, v), a) / size, (xs, vs)),
    )[..., 0, 0]


def norm_vjp(
    x: Array, v: Array, y_bar: Array, metric: Metric, *, scale: float = 1.0, check: bool = True
) -> NormCotangents:
    """Adjoint of :func:`norm_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        Point and tangent at it.
    y_bar : array of shape (...)
        Cotangent, real.
    metric, scale, check
        As in :func:`inner`.

    Returns
    -------
    NormCotangents
        ``x_bar``, ``v_bar`` in the ambient space.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`norm_jvp`.
    """
    beta = skew_weight(metric)
    xp, y = enter_unit(x, {"v": v}, {}, scale, check)
    y_bar = enter_numbers("y_bar", y_bar, x)
    if 0 in x.shape:
        return NormCotangents(xp.zeros_like(x), xp.zeros_like(x))
    (v, vs), (bar, bs) = scaled(v), scaled(y_bar)
    size, a = _norm(y, v, beta)
    _refuse_zero(size)
    # (ST-NORM*)
    return NormCotangents(
        collect(((beta - 1) / scale * bar / size * (v @ ct(a)), (bs, vs))),
        collect((bar / size * (v - (1 - beta) * (y @ a)), (bs,))),
    )


def real_dot(x: Array, y: Array) -> Array:
    """Re tr(X^H Y), shape (..., 1, 1)."""
    xp = namespace(x)
    products = xp.real(x) * xp.real(y) + xp.imag(x) * xp.imag(y) if is_complex(x) else x * y
    return xp.sum(products, axis=(-2, -1), keepdims=True)


def real_dtype(x: Array) -> Any:
    """Dtype of the absolute values."""
    return namespace(x).real(x).dtype if is_complex(x) else x.dtype


def _norm(y: Array, v: Array, beta: float) -> tuple[Array, Array]:
    """(ST-METRIC) root of |V|^2 - (1 - beta) |X^H V|^2, shape (..., 1, 1), and X^H V."""
    xp, a, whole = namespace(v), product(y, v), real_dot(v, v)
    square = whole - (1 - beta) * real_dot(a, a)
    within = (square > 0) | (whole == 0)
    if not bool(xp.all(within)):
        raise OutsideDomain(
            f"the square of the norm is lost to rounding: the metric is {beta:.1e} of the Euclidean one along X X^H V"
            + at_batch(first_index(~within[..., 0, 0], xp))
        )
    return xp.sqrt(xp.where(whole > 0, square, whole)), a


def _refuse_zero(size: Array) -> None:
    xp = namespace(size)
    if not bool(xp.all(size > 0)):
        raise OutsideDomain("the norm has no derivative at v = 0" + at_batch(first_index(~(size > 0)[..., 0, 0], xp)))
