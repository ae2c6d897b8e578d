"""Geodesics of the Stiefel manifold: exp, log, distance. Derivations: docs/derivations/retractions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import cos, pi, sin

import numpy as np

from orthoref._polar.decomposition import polar, svd
from orthoref.arrays import Array, Namespace, at_batch, first_index, is_complex, namespace
from orthoref.errors import OutsideDomain
from orthoref.linalg import (
    UNSCALED,
    eps,
    eye_like,
    frobenius,
    hermitian_part,
    inner,
    inverse,
    rescale_derivative,
    skew_part,
    unit_scale,
)
from orthoref.stiefel.manifold import enter_point, require_tangent
from orthoref.stiefel.metric import Metric, skew_weight
from orthoref.stiefel.rotation import (
    EXP,
    Frame,
    PointsCotangents,
    RetractionCotangents,
    complement,
    enter_pair,
    frame,
    rotate,
    rotate_jvp,
    rotate_vjp,
    spectral,
    times,
    xp_eye,
)


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
    beta = skew_weight(metric)
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
    beta = skew_weight(metric)
    xp, x, v = enter_pair(x, v, scale, check, x_dot=x_dot, v_dot=v_dot)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        e_scale = unit_scale(xp.concat([x_dot, v_dot], axis=-1))
        y_dot = rotate_jvp(EXP, frame(x, v, beta), e_scale.apply(x_dot), e_scale.apply(v_dot))
        return rescale_derivative(y_dot, UNSCALED, e_scale)


def exp_vjp(
    x: Array, v: Array, y_bar: Array, metric: Metric, *, scale: float = 1.0, check: bool = True
) -> RetractionCotangents:
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
    RetractionCotangents
        ``x_bar`` and ``v_bar``.

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`exp_jvp`.

    Notes
    -----
    Equation (FRAME-D*).
    """
    beta = skew_weight(metric)
    xp, x, v = enter_pair(x, v, scale, check, y_bar=y_bar)
    if 0 in x.shape:
        return RetractionCotangents(xp.zeros_like(x), xp.zeros_like(x))
    with np.errstate(all="ignore"):
        y_scale = unit_scale(y_bar)
        pulled = rotate_vjp(EXP, frame(x, v, beta), y_scale.apply(y_bar))
        return RetractionCotangents(*(rescale_derivative(y, UNSCALED, y_scale) for y in pulled))


def log(x: Array, y: Array, metric: Metric, *, scale: float = 1.0, check: bool = True) -> Array:
    r"""Velocity at x of the geodesic that reaches y at time 1: exp(x, v) = y.

    Parameters
    ----------
    x, y : arrays of shape (..., n, p), n >= p
        Points, X^H X = Y^H Y = c^2 I.
    metric
        As in :func:`exp`.
    scale : float
        c.
    check : bool
        Whether to refuse points off the manifold.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain
        NaN or infinity; a point off the manifold; real square matrices with determinants of different sign; a geodesic
        longer than the injectivity radius can be (see the notes), or none found.
    NotConverged
        A decomposition of the library failed.
    TypeError, ValueError
        As :func:`exp`.

    Notes
    -----
    Newton's method for exp(x, v) = y on a manifold of min(2p, n) rows, equation (LOG), started along curves from x to
    y. What is returned has a residual |exp(x, v) - y| <= 10 max(n, 8) eps c, besides what y is off the manifold. Below
    the injectivity radius there is one such v, and it is the shortest. The radius is pi c for the Euclidean metric
    (proof on the derivation page) and at least (4/5)^(1/2) pi c for the canonical one of real matrices
    [Rentmeesters2013]_. For every metric it is at most pi c (p < n), (2 beta)^(1/2) pi c for real p > 1,
    beta^(1/2) pi c for complex matrices, equation (LOOPS), and what (CONJUGATE) says, 0.913 pi c for the canonical
    metric [AbsilMataigne2024]_. A v longer than that is refused.
    """
    beta = skew_weight(metric)
    xp, x, y = enter_points(x, y, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        return times(_near_log(x, y, beta), scale)


def log_jvp(
    x: Array, y: Array, x_dot: Array, y_dot: Array, metric: Metric, *, scale: float = 1.0, check: bool = True
) -> Array:
    r"""Derivative of :func:`log` along tangent vectors of the manifold.

    Parameters
    ----------
    x, y : arrays of shape (..., n, p)
        Points, as in :func:`log`.
    x_dot, y_dot : arrays of the shape of x
        Tangent vectors at x and at y: the logarithm is defined on the manifold only.
    metric, scale
        As in :func:`log`.
    check : bool
        Whether to refuse points off the manifold and directions that are not tangent.

    Returns
    -------
    array of the shape of x
        Such that ``exp_jvp(x, v, x_dot, v_dot)`` is y_dot. Not tangent at x: X_dot^H V + X^H V_dot is skew-Hermitian.

    Raises
    ------
    OutsideDomain
        As :func:`log`; a direction that is not tangent; no derivative to working precision (conjugate points).
    NotConverged, TypeError, ValueError
        As :func:`log`.

    Notes
    -----
    By the inverse function theorem, equation (LOG-D). Its condition is that of the logarithm.
    """
    beta = skew_weight(metric)
    xp, x, y = enter_points(x, y, scale, check, x_dot=x_dot, y_dot=y_dot)
    if check:
        require_tangent(x, xp, x_dot=x_dot)
        require_tangent(y, xp, y_dot=y_dot)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        scales = unit_scale(xp.concat([x_dot, y_dot], axis=-1))
        x_dot, y_dot = scales.apply(x_dot), scales.apply(y_dot)
        v = _near_log(x, y, beta)
        at = frame(x, v, beta)
        # (LOG-D) V_dot = N + D, N = -X herm(X_dot^H V), J D = P_X e^-W (Y_dot - Dexp(X, V)[X_dot, N]) e^-D
        normal = -(x @ hermitian_part(inner(x_dot, v)))
        r = _turn_back(at, y_dot - rotate_jvp(EXP, at, x_dot, normal))
        return rescale_derivative(normal + _solve(at, partial(_jacobian, at), r), UNSCALED, scales)


def log_vjp(
    x: Array, y: Array, v_bar: Array, metric: Metric, *, scale: float = 1.0, check: bool = True
) -> PointsCotangents:
    r"""Adjoint of :func:`log_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, y : arrays of shape (..., n, p)
        Points, as in :func:`log`.
    v_bar : array of the shape of x
        Cotangent of the result.
    metric, scale, check
        As in :func:`log`.

    Returns
    -------
    PointsCotangents
        ``x_bar`` and ``y_bar``, tangent at x and at y.

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`log_jvp`.

    Notes
    -----
    Equation (LOG-D*).
    """
    beta = skew_weight(metric)
    xp, x, y = enter_points(x, y, scale, check, v_bar=v_bar)
    if 0 in x.shape:
        return PointsCotangents(xp.zeros_like(x), xp.zeros_like(x))
    with np.errstate(all="ignore"):
        scales = unit_scale(v_bar)
        v_bar = scales.apply(v_bar)
        v = _near_log(x, y, beta)
        at = frame(x, v, beta)
        # (LOG-D*) J* L = P_X V_bar, Y_bar = e^W L e^D, X_bar = -P_X (E_X*[Y_bar] + V herm(X^H (V_bar - E_V*[Y_bar])))
        y_bar = _turn(at, _solve(at, partial(_jacobian_adjoint, at), tangent_part(x, v_bar)))
        pulled = rotate_vjp(EXP, at, y_bar)
        x_bar = -pulled.x_bar - v @ hermitian_part(inner(x, v_bar - pulled.v_bar))
        return PointsCotangents(*(rescale_derivative(z, UNSCALED, scales) for z in (tangent_part(x, x_bar), y_bar)))


def distance(x: Array, y: Array, metric: Metric, *, scale: float = 1.0, check: bool = True) -> Array:
    """Length of the geodesic that :func:`log` finds.

    Parameters
    ----------
    x, y, metric, scale, check
        As in :func:`log`.

    Returns
    -------
    real array of shape (...)
        Its error is a multiple of n eps c, also for points that are close to each other.

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`log`.
    """
    v = log(x, y, metric, scale=scale, check=check)
    xp = namespace(x)
    if 0 in x.shape:
        return xp.sum(xp.abs(x), axis=(-2, -1))
    return times(_length(v / scale, x / scale, skew_weight(metric)), scale)


def enter_points(x: Array, y: Array, scale: float, check: bool, **vectors: Array) -> tuple[Namespace, Array, Array]:
    """Take in two points and what comes with them; x/c and y/c."""
    xp = enter_point(x, scale=scale, check=check, y=y, **vectors)
    try:
        enter_point(y, scale=scale, check=check)
    except OutsideDomain as error:
        raise OutsideDomain(str(error).replace("x is", "y is", 1)) from None
    return (xp, x, y) if scale == 1 else (xp, x / scale, y / scale)


def tangent_part(x: Array, v: Array) -> Array:
    """V - X herm(X^H V)."""
    return v - x @ hermitian_part(inner(x, v))


def clean(x: Array, v: Array) -> Array:
    """Tangent to rounding of V itself: projected twice, as X^H X is I to rounding only; zero if no digit is left."""
    t = tangent_part(x, tangent_part(x, v))
    xp, left = namespace(x), frobenius(t) > 10 * x.shape[-2] * eps(x) * frobenius(v)
    return xp.where(left, t, xp.zeros_like(t))


def _length(v: Array, x: Array, beta: float) -> Array:
    """(beta |G|^2 + |V - X G|^2)^(1/2), G = X^H V."""
    g = inner(x, v)
    xp = namespace(g)
    return xp.hypot(beta**0.5 * frobenius(g), frobenius(v - x @ g))[..., 0, 0]


def _near_log(x: Array, y: Array, beta: float) -> Array:
    """The logarithm for c = 1, not longer than the injectivity radius can be."""
    v = clean(x, _log(x, y, beta))
    _require_near(v, x, beta, namespace(x))
    return v


def _require_near(v: Array, x: Array, beta: float, xp: Namespace) -> None:
    """OutsideDomain for a geodesic longer than half of a closed one."""
    n, p = x.shape[-2:]
    # (LOOPS) half of a great circle, of a phase, of a rotation of two columns
    loops = [1.0] if p < n else []
    loops += [beta**0.5] if is_complex(x) else [(2 * beta) ** 0.5] if p > 1 else []
    loops += [_conjugate(1 / beta - 1) / pi] if 2 <= p <= n - 2 and beta < 1 else []
    radius, length = pi * min(loops, default=1.0), _length(v, x, beta)
    near = length <= radius * (1 + 8 * x.shape[-1] * eps(x))
    if not bool(xp.all(near)):
        index = first_index(~near, xp)
        raise OutsideDomain(
            f"the geodesic found has length {float(length[index]):.6g} c: beyond {radius:.6g} c none is the only "
            "shortest one" + at_batch(index)
        )


def _conjugate(k: float) -> float:
    """(CONJUGATE) 2^(1/2) t with the root t in [pi/2, pi] of sin(t)/t + k cos(t), k > 0: a conjugate point."""
    low, high = pi / 2, pi
    for _ in range(60):
        t = (low + high) / 2
        low, high = (t, high) if sin(t) / t + k * cos(t) > 0 else (low, t)
    return 2**0.5 * low


MAX_NEWTON = 12
MESHES = (1, 4, 16, 64)  # of the curve from x to y along which the logarithm is followed
KRYLOV, GCR_RESIDUAL = 30, 1e-4  # of the linear system of a Newton step


def _log(x: Array, y: Array, beta: float) -> Array:
    n, p = x.shape[-2:]
    xp = namespace(x)
    if n <= 2 * p:
        return _shoot(x, y, beta)
    # (LOG) with [X, Q] of 2p columns that span X and Y, V = [X, Q] V', V' the logarithm between [I; 0] and [X, Q]^H Y
    q = complement(x, y)
    top, bottom = inner(x, y), inner(q, y)
    e = xp.concat([xp_eye(top), xp.zeros_like(bottom)], axis=-2)
    v = _shoot(e, xp.concat([top, bottom], axis=-2), beta)
    return x @ v[..., :p, :] + q @ v[..., p:, :]


def _shoot(x: Array, y: Array, beta: float) -> Array:
    """The logarithm followed along curves from X to Y, on finer meshes until Newton's method converges."""
    xp = namespace(x)
    limit = max(x.shape[-2], 8) * eps(x) + frobenius(inner(y, y) - eye_like(y))  # rounding, and what Y is off
    curves: list[Callable[[float], Array]] = [_turning(x, y), lambda t: polar(x + t * (y - x)).u]
    if beta >= 0.75:  # the one that is nearer to the geodesic first
        curves.reverse()
    answer: Array = None
    best: Array = None
    for mesh in MESHES:
        for curve in curves[: 1 if mesh == 1 else 2]:
            before, v = xp.zeros_like(x), _chord(x, curve(1 / mesh) if mesh > 1 else y)
            for step in range(1, mesh):
                v, _ = _newton(x, curve(step / mesh), v, beta, 1e-2)
                before, v = v, 2 * v - before
            v, size = _newton(x, y, v, beta, limit)
            if answer is None:
                answer, best = v, size
            else:
                answer, best = xp.where(size < best, v, answer), xp.where(size < best, size, best)
            if bool(xp.all(best <= 10 * limit)):
                return answer
    index = first_index(~(best <= 10 * limit)[..., 0, 0], xp)
    raise OutsideDomain(
        f"no geodesic from x to y was found: |exp(x, v) - y| >= {float(best[(*index, 0, 0)]):.1e} c" + at_batch(index)
    )


def _chord(x: Array, y: Array) -> Array:
    """P_X Y with the length of Y - X."""
    xp, v = namespace(x), tangent_part(x, y)
    size = frobenius(v)
    return v * (frobenius(y - x) / xp.where(size > 0, size, xp.ones_like(size)))


def _newton(x: Array, y: Array, v: Array, beta: float, limit: Array | float) -> tuple[Array, Array]:
    """The best V found, and the size of its residual Y - exp(X, V)."""
    xp = namespace(x)
    answer: Array = None
    best: Array = None
    for _ in range(MAX_NEWTON):
        at = frame(x, v, beta)
        r = y - rotate(EXP, at)
        size = frobenius(r)
        if best is None:
            answer, best = v, size
        else:
            better = size < best
            answer, best = xp.where(better, v, answer), xp.where(better, size, best)
        if bool(xp.all((best <= limit) | (size > 2 * best))):  # that far, or not getting better
            break
        v = v + _gcr(partial(_jacobian, at), _turn_back(at, r))
    return answer, best


def _jacobian(at: Frame, d: Array) -> Array:
    """The derivative of exp along D in T_X, turned back to X."""
    return _turn_back(at, rotate_jvp(EXP, at, namespace(d).zeros_like(d), d))


def _jacobian_adjoint(at: Frame, d: Array) -> Array:
    """The adjoint of :func:`_jacobian` on T_X."""
    return tangent_part(at.x, rotate_vjp(EXP, at, _turn(at, d)).v_bar)


def _turn(at: Frame, r: Array, direction: int = 1) -> Array:
    """e^W R e^D, which maps the tangent space at X onto that at exp(X, V); with -1 the inverse."""
    inside = at.components(r)
    r = at.lift(at.s.apply(EXP.value(direction * at.s.w), inside)) + at.outside(r, inside)
    return r if at.d is None else r @ at.d.apply(EXP.value(direction * at.d.w))


def _turn_back(at: Frame, r: Array) -> Array:
    """P_X e^-W R e^-D."""
    return tangent_part(at.x, _turn(at, r, -1))


def _solve(at: Frame, apply: Callable[[Array], Array], r: Array) -> Array:
    """D with apply(D) = R to rounding, by refinement; OutsideDomain where that does not succeed."""
    xp, limit = namespace(r), max(r.shape[-2], 8) * eps(r) * frobenius(r)
    d, rest = xp.zeros_like(r), r
    for _ in range(MAX_NEWTON):
        if bool(xp.all(frobenius(rest) <= limit)):
            break
        d = d + _gcr(apply, rest)
        rest = tangent_part(at.x, r - apply(d))  # what is normal is rounding, and apply would take it for nearly zero
    solved = frobenius(rest) <= 10 * limit
    if not bool(xp.all(solved)):
        index = first_index(~solved[..., 0, 0], xp)
        raise OutsideDomain("the logarithm has no derivative to working precision" + at_batch(index))
    return d


def _gcr(apply: Callable[[Array], Array], r: Array) -> Array:
    """Generalized conjugate residuals: D with |R - apply(D)| <= GCR_RESIDUAL |R|, or what KRYLOV steps find."""
    xp = namespace(r)
    solution, target = xp.zeros_like(r), GCR_RESIDUAL * frobenius(r)
    pairs: list[tuple[Array, Array]] = []
    for _ in range(KRYLOV):
        d, image = r, apply(r)
        for old, old_image in pairs:
            h = _dot(old_image, image)
            d, image = d - h * old, image - h * old_image
        size = frobenius(image)
        down = xp.where(size > 0, 1 / xp.where(size > 0, size, xp.ones_like(size)), xp.zeros_like(size))
        d, image = d * down, image * down
        pairs.append((d, image))
        h = _dot(image, r)
        solution, r = solution + h * d, r - h * image
        if bool(xp.all(frobenius(r) <= target)):
            break
    return solution


def _dot(x: Array, y: Array) -> Array:
    """Re tr(X^H Y), with the axes kept."""
    xp = namespace(x)
    product = xp.real(xp.conj(x) * y) if is_complex(x) else x * y
    return xp.sum(product, axis=(-2, -1), keepdims=True)


def _turning(x: Array, y: Array) -> Callable[[float], Array]:
    """The curve t -> [X, Q] U^t [I; 0] with the unitary U that turns [X, Q] to [Y, C], C as near to Q as it can be."""
    xp, p = namespace(x), x.shape[-1]
    q, c = complement(x, y), complement(y, x)
    if q is None:
        turned = inner(x, y)
        if not is_complex(x):
            _require_same_component(turned, xp)
    else:
        left, _, right = svd(inner(c, q))
        old, c = xp.concat([x, q], axis=-1), c @ left
        turned = inner(old, xp.concat([y, c @ right], axis=-1))
        if not is_complex(x):  # a rotation; the last column of C is the one whose sign matters least
            sign = xp.sign(xp.linalg.det(turned))[..., None, None]
            c = xp.concat([c[..., :, :-1], sign * c[..., :, -1:]], axis=-1)
            turned = inner(old, xp.concat([y, c @ right], axis=-1))
    # (UNITARY-LOG) U = (I + K)(I - K)^-1, log U = 2 artanh K = 2 i arctan(-i K)
    eye = eye_like(turned)
    k = skew_part((turned - eye) @ inverse(turned + eye))
    k = spectral(xp.where(xp.isfinite(k), k, xp.zeros_like(k)))

    def at(t: float) -> Array:
        c = k.apply(EXP.value(2 * t * xp.atan(k.w)))[..., :, :p]
        return x @ c[..., :p, :] + (0.0 if q is None else q @ c[..., p:, :])

    return at


def _require_same_component(m: Array, xp: Namespace) -> None:
    det = xp.linalg.det(m)
    if not bool(xp.all(det > 0)):
        raise OutsideDomain(
            "x and y have determinants of different sign: no geodesic joins them"
            + at_batch(first_index(~(det > 0), xp))
        )
