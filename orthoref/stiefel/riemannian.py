"""Riemannian gradient and Hessian, Weingarten map. Derivations: docs/derivations/stiefel."""

from __future__ import annotations

from typing import NamedTuple

from orthoref.arrays import Array
from orthoref.linalg import ct, hermitian_part, inner, skew_part
from orthoref.stiefel.manifold import enter_unit, require_normal
from orthoref.stiefel.metric import Metric, raising, skew_weight
from orthoref.stiefel.multilinear import collect, scaled
from orthoref.stiefel.tangent import settled, tangential, turned, turned_vjp


class GradientCotangents(NamedTuple):
    """Cotangents of the arguments of :func:`gradient`."""

    x_bar: Array
    egrad_bar: Array


class HessianCotangents(NamedTuple):
    """Cotangents of the arguments of :func:`hessian`."""

    x_bar: Array
    egrad_bar: Array
    ehess_bar: Array
    v_bar: Array


class WeingartenCotangents(NamedTuple):
    """Cotangents of the arguments of :func:`weingarten`."""

    x_bar: Array
    v_bar: Array
    normal_bar: Array


def gradient(x: Array, egrad: Array, metric: Metric, *, scale: float = 1.0, check: bool = True) -> Array:
    """Riemannian gradient: the tangent with <gradient, V>_metric = Re tr(egrad^H V) for every tangent V.

    Parameters
    ----------
    x : array of shape (..., n, p)
        Point.
    egrad : array of the shape of x
        Euclidean gradient G of any extension of the function; for complex x the derivative by the real part plus i
        times the one by the imaginary part.
    metric : {"euclidean", "canonical"} or float
        As in :func:`inner`.
    scale : float
        c of the manifold X^H X = c^2 I.
    check : bool
        Whether to refuse points off the manifold. If not, the formula is evaluated as it stands.

    Returns
    -------
    array of shape (..., n, p)
        project(X, G) + (2 alpha + 1) X skew(X^H G)/c^2; canonical: G - X G^H X/c^2. Within a small multiple of
        n eps max(1, 1/beta) |G|, beta = 1/(2 (alpha + 1)), and tangent to n eps of its own size.

    Raises
    ------
    OutsideDomain
        NaN or infinity; off the manifold, with the defect; overflow of the result.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    Equation (ST-GRAD); [EdelmanAriasSmith1998]_ for the canonical metric.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import stiefel
    >>> stiefel.gradient(np.eye(2), np.asarray([[1.0, 2.0], [0.0, 3.0]]), "canonical")
    array([[ 0.,  2.],
           [-2.,  0.]])
    """
    tau = raising(metric)
    xp, y = enter_unit(x, {}, {"egrad": egrad}, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    g, gs = scaled(egrad)
    return collect((settled(y, raised(y, g, tau), check), (gs,)))


def gradient_jvp(
    x: Array,
    egrad: Array,
    x_dot: Array,
    egrad_dot: Array,
    metric: Metric,
    *,
    scale: float = 1.0,
    check: bool = True,
) -> Array:
    """Derivative of the formula of :func:`gradient` along any ``x_dot``, ``egrad_dot`` of the ambient space.

    The two arguments are independent: put the derivative of the Euclidean gradient along ``x_dot`` into ``egrad_dot``.
    This is no covariant derivative; that is :func:`hessian`.

    Parameters
    ----------
    x, egrad : arrays of shape (..., n, p)
        Point and Euclidean gradient.
    x_dot, egrad_dot : arrays of the shape of x
        Directions.
    metric, scale, check
        As in :func:`gradient`.

    Returns
    -------
    array of shape (..., n, p)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`gradient`.
    """
    tau = raising(metric)
    xp, y = enter_unit(x, {}, {"egrad": egrad, "x_dot": x_dot, "egrad_dot": egrad_dot}, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    (g, gs), (y_dot, xs), (g_dot, gds) = scaled(egrad), scaled(x_dot, scale), scaled(egrad_dot)
    return collect((raised(y, g_dot, tau), (gds,)), (raised_along(y, y_dot, g, tau), (xs, gs)))


def gradient_vjp(
    x: Array, egrad: Array, y_bar: Array, metric: Metric, *, scale: float = 1.0, check: bool = True
) -> GradientCotangents:
    """Adjoint of :func:`gradient_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, egrad, y_bar : arrays of shape (..., n, p)
        Point, Euclidean gradient, and the cotangent of the result.
    metric, scale, check
        As in :func:`gradient`.

    Returns
    -------
    GradientCotangents
        ``x_bar``, ``egrad_bar`` in the ambient space.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`gradient`.
    """
    tau = raising(metric)
    xp, y = enter_unit(x, {}, {"egrad": egrad, "y_bar": y_bar}, scale, check)
    if 0 in x.shape:
        return GradientCotangents(xp.zeros_like(x), xp.zeros_like(x))
    (g, gs), (bar, bs) = scaled(egrad), scaled(y_bar)
    return GradientCotangents(
        collect((raised_vjp(y, g, bar, tau) / scale, (gs, bs))), collect((raised(y, bar, tau), (bs,)))
    )


def hessian(
    x: Array, egrad: Array, ehess: Array, v: Array, metric: Metric, *, scale: float = 1.0, check: bool = True
) -> Array:
    """Riemannian Hessian applied to a tangent: the covariant derivative of the gradient along v.

    Parameters
    ----------
    x : array of shape (..., n, p)
        Point.
    egrad, ehess : arrays of the shape of x
        Euclidean gradient G, and its derivative along v.
    v : array of the shape of x
        Tangent at x.
    metric : {"euclidean", "canonical"} or float
        As in :func:`inner`.
    scale : float
        c of the manifold X^H X = c^2 I.
    check : bool
        Whether to refuse points off the manifold and a v that is not tangent.

    Returns
    -------
    array of shape (..., n, p)
        Tangent to n eps of its own size, within a small multiple of n eps max(1, 1/beta) (|ehess| + (1 + beta) |G| |V|
        / c), beta = 1/(2 (alpha + 1)). Self-adjoint in the inner product of the same metric, where
        <hessian, V> is the second derivative of the function along the geodesic of that metric that leaves x with v.

    Raises
    ------
    OutsideDomain
        NaN or infinity; off the manifold or not tangent (with the defect); overflow of the result.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    With c = 1, S = sym(X^H G) and N = (I - X X^H) G it is what :func:`gradient` makes of

        ehess - V S + (1 - beta) (X V^H N - N X^H V),

    equation (ST-HESS). The last bracket vanishes for the Euclidean metric and for square X.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import stiefel
    >>> x, v = np.eye(2, 1), np.asarray([[0.0], [1.0]])
    >>> a = np.diag([1.0, 3.0])  # x^T A x / 2 on the circle: (3 - 1) cos 0
    >>> stiefel.hessian(x, a @ x, a @ v, v, "euclidean")
    array([[0.],
           [2.]])
    """
    beta = skew_weight(metric)
    xp, y = enter_unit(x, {"v": v}, {"egrad": egrad, "ehess": ehess}, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    tau, (v, vs), (g, gs), (e, es) = raising(metric), scaled(v, scale), scaled(egrad), scaled(ehess)
    h = collect((raised(y, e, tau), (es,)), (raised(y, bent(y, v, g, 1 - beta), tau), (vs, gs)))
    if not check:
        return h
    h, hs = scaled(h)  # the sum may be much smaller than its terms
    return collect((tangential(y, h), (hs,)))


def hessian_jvp(
    x: Array,
    egrad: Array,
    ehess: Array,
    v: Array,
    x_dot: Array,
    egrad_dot: Array,
    ehess_dot: Array,
    v_dot: Array,
    metric: Metric,
    *,
    scale: float = 1.0,
    check: bool = True,
) -> Array:
    """Derivative of the formula of :func:`hessian` along any directions of the ambient space.

    Parameters
    ----------
    x, egrad, ehess, v : arrays of shape (..., n, p)
        As in :func:`hessian`.
    x_dot, egrad_dot, ehess_dot, v_dot : arrays of the shape of x
        Directions, independent of each other.
    metric, scale, check
        As in :func:`hessian`.

    Returns
    -------
    array of shape (..., n, p)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`hessian`.
    """
    tau, k = raising(metric), 1 - skew_weight(metric)
    others = {"egrad": egrad, "ehess": ehess, "x_dot": x_dot, "egrad_dot": egrad_dot}
    xp, y = enter_unit(x, {"v": v}, others | {"ehess_dot": ehess_dot, "v_dot": v_dot}, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    (v, vs), (g, gs), (e, es), (y_dot, xs) = scaled(v, scale), scaled(egrad), scaled(ehess), scaled(x_dot, scale)
    (v_dot, vds), (g_dot, gds), (e_dot, eds) = scaled(v_dot, scale), scaled(egrad_dot), scaled(ehess_dot)
    moved = raised(y, bent_along(y, y_dot, v, g, k), tau) + raised_along(y, y_dot, bent(y, v, g, k), tau)
    return collect(
        (raised(y, e_dot, tau), (eds,)),
        (raised_along(y, y_dot, e, tau), (xs, es)),
        (raised(y, bent(y, v_dot, g, k), tau), (vds, gs)),
        (raised(y, bent(y, v, g_dot, k), tau), (vs, gds)),
        (moved, (xs, vs, gs)),
    )


def hessian_vjp(
    x: Array,
    egrad: Array,
    ehess: Array,
    v: Array,
    y_bar: Array,
    metric: Metric,
    *,
    scale: float = 1.0,
    check: bool = True,
) -> HessianCotangents:
    """Adjoint of :func:`hessian_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, egrad, ehess, v, y_bar : arrays of shape (..., n, p)
        As in :func:`hessian`, and the cotangent of the result.
    metric, scale, check
        As in :func:`hessian`.

    Returns
    -------
    HessianCotangents
        ``x_bar``, ``egrad_bar``, ``ehess_bar``, ``v_bar`` in the ambient space.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`hessian`.
    """
    tau, k = raising(metric), 1 - skew_weight(metric)
    xp, y = enter_unit(x, {"v": v}, {"egrad": egrad, "ehess": ehess, "y_bar": y_bar}, scale, check)
    if 0 in x.shape:
        return HessianCotangents(*(xp.zeros_like(x) for _ in range(4)))
    (v, vs), (g, gs), (e, es), (bar, bs) = scaled(v, scale), scaled(egrad), scaled(ehess), scaled(y_bar)
    pulled = raised(y, bar, tau)  # the cotangent of what the gradient map is applied to
    moved = raised_vjp(y, bent(y, v, g, k), bar, tau)
    x_bar, v_bar, g_bar = bent_vjp(y, v, g, pulled, k)
    return HessianCotangents(
        collect((raised_vjp(y, e, bar, tau) / scale, (es, bs)), ((x_bar + moved) / scale, (vs, gs, bs))),
        collect((g_bar, (vs, bs))),
        collect((pulled, (bs,))),
        collect((v_bar / scale, (gs, bs))),
    )


def weingarten(x: Array, v: Array, normal: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    """Weingarten map of the manifold in the matrices around it: P_X times the derivative of P along v, of normal.

    Parameters
    ----------
    x, v, normal : arrays of shape (..., n, p)
        Point, tangent and normal vector at it.
    scale : float
        c of the manifold X^H X = c^2 I.
    check : bool
        Whether to refuse points off the manifold, a v that is not tangent and a normal that is not normal.

    Returns
    -------
    array of shape (..., n, p)
        -project(X, V sym(X^H normal))/c^2. Self-adjoint in v for the Euclidean metric, whose Hessian is
        project(X, ehess) + weingarten(X, V, normal(X, egrad)).

    Raises
    ------
    OutsideDomain
        NaN or infinity; off the manifold, not tangent or not normal (with the defect); overflow of the result.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    Equation (ST-WEIN); [AbsilMahonyTrumpf2013]_.
    """
    xp, y = enter_unit(x, {"v": v}, {"normal": normal}, scale, check)
    if check:
        require_normal(x, xp, scale=scale, normal=normal)
    if 0 in x.shape:
        return xp.zeros_like(x)
    (v, vs), (n, ns) = scaled(v, scale), scaled(normal)
    # (ST-WEIN) -P(V sym(X^H N))
    return collect((settled(y, -tangential(y, v @ hermitian_part(inner(y, n))), check), (vs, ns)))


def weingarten_jvp(
    x: Array,
    v: Array,
    normal: Array,
    x_dot: Array,
    v_dot: Array,
    normal_dot: Array,
    *,
    scale: float = 1.0,
    check: bool = True,
) -> Array:
    """Derivative of the formula of :func:`weingarten` along any directions of the ambient space.

    Parameters
    ----------
    x, v, normal : arrays of shape (..., n, p)
        As in :func:`weingarten`.
    x_dot, v_dot, normal_dot : arrays of the shape of x
        Directions, independent of each other.
    scale, check
        As in :func:`weingarten`.

    Returns
    -------
    array of shape (..., n, p)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`weingarten`.
    """
    others = {"normal": normal, "x_dot": x_dot, "v_dot": v_dot, "normal_dot": normal_dot}
    xp, y = enter_unit(x, {"v": v}, others, scale, check)
    if check:
        require_normal(x, xp, scale=scale, normal=normal)
    if 0 in x.shape:
        return xp.zeros_like(x)
    (v, vs), (n, ns), (y_dot, xs) = scaled(v, scale), scaled(normal), scaled(x_dot, scale)
    (v_dot, vds), (n_dot, nds) = scaled(v_dot, scale), scaled(normal_dot)
    s = hermitian_part(inner(y, n))
    return collect(
        (-tangential(y, v_dot @ s), (vds, ns)),
        (-tangential(y, v @ hermitian_part(inner(y, n_dot))), (vs, nds)),
        (turned(y, y_dot, v @ s) - tangential(y, v @ hermitian_part(inner(y_dot, n))), (xs, vs, ns)),
    )


def weingarten_vjp(
    x: Array, v: Array, normal: Array, y_bar: Array, *, scale: float = 1.0, check: bool = True
) -> WeingartenCotangents:
    """Adjoint of :func:`weingarten_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, v, normal, y_bar : arrays of shape (..., n, p)
        As in :func:`weingarten`, and the cotangent of the result.
    scale, check
        As in :func:`weingarten`.

    Returns
    -------
    WeingartenCotangents
        ``x_bar``, ``v_bar``, ``normal_bar`` in the ambient space.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`weingarten`.
    """
    xp, y = enter_unit(x, {"v": v}, {"normal": normal, "y_bar": y_bar}, scale, check)
    if check:
        require_normal(x, xp, scale=scale, normal=normal)
    if 0 in x.shape:
        return WeingartenCotangents(*(xp.zeros_like(x) for _ in range(3)))
    (v, vs), (n, ns), (bar, bs) = scaled(v, scale), scaled(normal), scaled(y_bar)
    # (ST-WEIN*) with U = P(Y), S = sym(X^H N): v_bar = -U S, the cotangent of S is -sym(V^H U)
    s, u = hermitian_part(inner(y, n)), tangential(y, bar)
    s_bar = -hermitian_part(inner(v, u))
    return WeingartenCotangents(
        collect(((n @ s_bar + turned_vjp(y, v @ s, bar)) / scale, (vs, ns, bs))),
        collect((-(u @ s) / scale, (ns, bs))),
        collect((y @ s_bar, (vs, bs))),
    )


def raised(y: Array, z: Array, tau: float) -> Array:
    """(ST-GRAD) Z - X K(X^H Z), K(M) = sym(M) - tau skew(M), tau = 2 alpha + 1; its own adjoint in Z."""
    return z - y @ _k(inner(y, z), tau)


def raised_along(y: Array, y_dot: Array, z: Array, tau: float) -> Array:
    """Derivative of (ST-GRAD) along X_dot: -X_dot K(X^H Z) - X K(X_dot^H Z)."""
    return -(y_dot @ _k(inner(y, z), tau)) - y @ _k(inner(y_dot, z), tau)


def raised_vjp(y: Array, z: Array, bar: Array, tau: float) -> Array:
    """(ST-GRAD*) adjoint of :func:`raised_along` in X_dot: -Y K(X^H Z)^H - Z K(X^H Y)^H."""
    return -(bar @ ct(_k(inner(y, z), tau))) - z @ ct(_k(inner(y, bar), tau))


def bent(y: Array, v: Array, g: Array, k: float) -> Array:
    """(ST-HESS) -V sym(X^H G) + k (X V^H N - N X^H V), N = G - X X^H G, k = 1 - beta."""
    m = inner(y, g)
    flat = -(v @ hermitian_part(m))
    if not k:
        return flat
    n = g - y @ m
    return flat + k * (y @ inner(v, n) - n @ inner(y, v))


def bent_along(y: Array, y_dot: Array, v: Array, g: Array, k: float) -> Array:
    """Derivative of (ST-HESS) along X_dot."""
    m, m_dot = inner(y, g), inner(y_dot, g)
    n, n_dot = g - y @ m, -(y_dot @ m) - y @ m_dot
    along = y_dot @ inner(v, n) + y @ inner(v, n_dot) - n_dot @ inner(y, v) - n @ inner(y_dot, v)
    return k * along - v @ hermitian_part(m_dot)


def bent_vjp(y: Array, v: Array, g: Array, u: Array, k: float) -> tuple[Array, Array, Array]:
    """(ST-HESS*) cotangents of X, V, G from the cotangent U of :func:`bent`."""
    m = inner(y, g)
    n = g - y @ m
    n_bar = k * (v @ inner(y, u) - u @ inner(v, y))
    s_bar, m_bar = -hermitian_part(inner(v, u)), -inner(y, n_bar)
    x_bar = k * (u @ inner(n, v) - v @ inner(u, n)) + g @ (s_bar + ct(m_bar)) - n_bar @ ct(m)
    v_bar = k * (n @ inner(u, y) - y @ inner(n, u)) - u @ hermitian_part(m)
    return x_bar, v_bar, n_bar + y @ (m_bar + s_bar)


def _k(m: Array, tau: float) -> Array:
    return hermitian_part(m) - tau * skew_part(m) if tau else hermitian_part(m)
