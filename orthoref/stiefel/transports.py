"""Transports of tangents along retractions. Derivations: docs/derivations/stiefel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from orthoref._polar.derivatives import polar_jvp, polar_vjp, polar_vjp_jvp
from orthoref.arrays import Array, at_batch, first_index, is_complex, namespace, require_choice
from orthoref.errors import OutsideDomain
from orthoref.linalg import ct, eps, eye_like, hermitian_part, inner
from orthoref.stiefel.manifold import enter_unit
from orthoref.stiefel.metric import Metric
from orthoref.stiefel.multilinear import collect, scaled, scaled_pair
from orthoref.stiefel.parallel import (
    TransportCotangents,
    transport_parallel,
    transport_parallel_jvp,
    transport_parallel_vjp,
)
from orthoref.stiefel.retraction import Method as Retraction
from orthoref.stiefel.retraction import retract, retract_jvp, retract_vjp
from orthoref.stiefel.tangent import project, project_jvp, project_vjp

Method = Literal["projection", "qr", "polar", "cayley", "isometric", "parallel"]


def transport_qr(x: Array, v: Array, w: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    """Derivative of the QR retraction at v along w: tangent at the unitary factor Y of X + V = Y R, diag(R) >= 0.

    Parameters
    ----------
    x, v, w : arrays of shape (..., n, p)
        Point, the tangent along which, and the tangent that is transported.
    scale : float
        c of the manifold X^H X = c^2 I.
    check : bool
        Whether to refuse points off the manifold and vectors that are not tangent.

    Returns
    -------
    array of shape (..., n, p)
        Linear in w. Error at most a small multiple of n eps cond(X + V)^2 |W|.

    Raises
    ------
    OutsideDomain
        NaN or infinity; off the manifold or not tangent (with the defect); overflow.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    (W - Y sigma(Y^H W R^-1) R) R^-1, where sigma(M) = R_dot R^-1 keeps what is above the diagonal, the real part of the
    diagonal, and adds the adjoint of what is below. Equation (ST-QR).
    """
    return _transport(_QR, x, v, w, scale, check)


def transport_qr_jvp(
    x: Array,
    v: Array,
    w: Array,
    x_dot: Array,
    v_dot: Array,
    w_dot: Array,
    *,
    scale: float = 1.0,
    check: bool = True,
) -> Array:
    """Derivative of the formula of :func:`transport_qr` along any directions of the ambient space.

    Parameters
    ----------
    x, v, w : arrays of shape (..., n, p)
        As in :func:`transport_qr`.
    x_dot, v_dot, w_dot : arrays of the shape of x
        Directions, independent of each other.
    scale, check
        As in :func:`transport_qr`.

    Returns
    -------
    array of shape (..., n, p)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`transport_qr`.
    """
    return _transport_jvp(_QR, x, v, w, x_dot, v_dot, w_dot, scale, check)


def transport_qr_vjp(
    x: Array, v: Array, w: Array, y_bar: Array, *, scale: float = 1.0, check: bool = True
) -> TransportCotangents:
    """Adjoint of :func:`transport_qr_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, v, w, y_bar : arrays of shape (..., n, p)
        As in :func:`transport_qr`, and the cotangent of the result.
    scale, check
        As in :func:`transport_qr`.

    Returns
    -------
    TransportCotangents
        ``x_bar``, ``v_bar``, ``w_bar`` in the ambient space.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`transport_qr`.
    """
    return _transport_vjp(_QR, x, v, w, y_bar, scale, check)


def transport_polar(x: Array, v: Array, w: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    """Derivative of the polar retraction at v along w: tangent at the polar factor of X + V.

    Parameters
    ----------
    x, v, w : arrays of shape (..., n, p)
        Point, the tangent along which, and the tangent that is transported.
    scale : float
        c of the manifold X^H X = c^2 I.
    check : bool
        Whether to refuse points off the manifold and vectors that are not tangent.

    Returns
    -------
    array of shape (..., n, p)
        Linear in w. Error at most a small multiple of n eps cond(X + V)^2 |W|.

    Raises
    ------
    OutsideDomain
        NaN or infinity; off the manifold or not tangent (with the defect); overflow.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    The derivative of :func:`orthoref.polar` at X + V along W, (DU); those of the transport are its second ones,
    (DDU).
    """
    return _transport(_POLAR, x, v, w, scale, check)


def transport_polar_jvp(
    x: Array,
    v: Array,
    w: Array,
    x_dot: Array,
    v_dot: Array,
    w_dot: Array,
    *,
    scale: float = 1.0,
    check: bool = True,
) -> Array:
    """Derivative of the formula of :func:`transport_polar` along any directions of the ambient space.

    Parameters
    ----------
    x, v, w : arrays of shape (..., n, p)
        As in :func:`transport_polar`.
    x_dot, v_dot, w_dot : arrays of the shape of x
        Directions, independent of each other.
    scale, check
        As in :func:`transport_polar`.

    Returns
    -------
    array of shape (..., n, p)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`transport_polar`.
    """
    return _transport_jvp(_POLAR, x, v, w, x_dot, v_dot, w_dot, scale, check)


def transport_polar_vjp(
    x: Array, v: Array, w: Array, y_bar: Array, *, scale: float = 1.0, check: bool = True
) -> TransportCotangents:
    """Adjoint of :func:`transport_polar_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, v, w, y_bar : arrays of shape (..., n, p)
        As in :func:`transport_polar`, and the cotangent of the result.
    scale, check
        As in :func:`transport_polar`.

    Returns
    -------
    TransportCotangents
        ``x_bar``, ``v_bar``, ``w_bar`` in the ambient space.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`transport_polar`.
    """
    return _transport_vjp(_POLAR, x, v, w, y_bar, scale, check)


def transport_cayley(x: Array, v: Array, w: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    """Derivative of the Cayley retraction at v along w.

    Parameters
    ----------
    x, v, w : arrays of shape (..., n, p)
        Point, the tangent along which, and the tangent that is transported.
    scale : float
        c of the manifold X^H X = c^2 I.
    check : bool
        Whether to refuse points off the manifold and vectors that are not tangent.

    Returns
    -------
    array of shape (..., n, p)
        Linear in w. Error at most a small multiple of n eps (1 + |V|^2) |W|, c = 1.

    Raises
    ------
    OutsideDomain
        NaN or infinity; off the manifold or not tangent (with the defect); overflow.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    (W - X C - S M_W) M^-1 with C = X^H W, A = X^H V, Z = V - X A, M = I - A/2 + Z^H Z/4, S = (2 X + Z) M^-1 and
    M_W = -C/2 + herm(Z^H (W - X C))/2. Equation (ST-CAYLEY).
    """
    return _transport(_CAYLEY, x, v, w, scale, check)


def transport_cayley_jvp(
    x: Array,
    v: Array,
    w: Array,
    x_dot: Array,
    v_dot: Array,
    w_dot: Array,
    *,
    scale: float = 1.0,
    check: bool = True,
) -> Array:
    """Derivative of the formula of :func:`transport_cayley` along any directions of the ambient space.

    Parameters
    ----------
    x, v, w : arrays of shape (..., n, p)
        As in :func:`transport_cayley`.
    x_dot, v_dot, w_dot : arrays of the shape of x
        Directions, independent of each other.
    scale, check
        As in :func:`transport_cayley`.

    Returns
    -------
    array of shape (..., n, p)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`transport_cayley`.
    """
    return _transport_jvp(_CAYLEY, x, v, w, x_dot, v_dot, w_dot, scale, check)


def transport_cayley_vjp(
    x: Array, v: Array, w: Array, y_bar: Array, *, scale: float = 1.0, check: bool = True
) -> TransportCotangents:
    """Adjoint of :func:`transport_cayley_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, v, w, y_bar : arrays of shape (..., n, p)
        As in :func:`transport_cayley`, and the cotangent of the result.
    scale, check
        As in :func:`transport_cayley`.

    Returns
    -------
    TransportCotangents
        ``x_bar``, ``v_bar``, ``w_bar`` in the ambient space.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`transport_cayley`.
    """
    return _transport_vjp(_CAYLEY, x, v, w, y_bar, scale, check)


def transport_isometric(x: Array, v: Array, w: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    """Isometric transport by the rotation of the Cayley retraction, (I - O/2)^-1 (I + O/2) W, O = P V X^H - X V^H P.

    Parameters
    ----------
    x, v, w : arrays of shape (..., n, p)
        Point, the tangent along which, and the tangent that is transported.
    scale : float
        c of the manifold X^H X = c^2 I.
    check : bool
        Whether to refuse points off the manifold and vectors that are not tangent.

    Returns
    -------
    array of shape (..., n, p)
        Linear in w. Error at most a small multiple of n eps (1 + |V|^2) |W|, c = 1.

    Raises
    ------
    OutsideDomain
        NaN or infinity; off the manifold or not tangent (with the defect); overflow.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    P = I - X X^H/2. An isometry of every metric of the family. In p x p form 2 X (K - C) + Z K + W with C = X^H W,
    A = X^H V, Z = V - X A, (I - A/2 + Z^H Z/4) K = C - Z^H W/2. Equation (ST-ISO).
    """
    return _transport(_ISOMETRIC, x, v, w, scale, check)


def transport_isometric_jvp(
    x: Array,
    v: Array,
    w: Array,
    x_dot: Array,
    v_dot: Array,
    w_dot: Array,
    *,
    scale: float = 1.0,
    check: bool = True,
) -> Array:
    """Derivative of the formula of :func:`transport_isometric` along any directions of the ambient space.

    Parameters
    ----------
    x, v, w : arrays of shape (..., n, p)
        As in :func:`transport_isometric`.
    x_dot, v_dot, w_dot : arrays of the shape of x
        Directions, independent of each other.
    scale, check
        As in :func:`transport_isometric`.

    Returns
    -------
    array of shape (..., n, p)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`transport_isometric`.
    """
    return _transport_jvp(_ISOMETRIC, x, v, w, x_dot, v_dot, w_dot, scale, check)


def transport_isometric_vjp(
    x: Array, v: Array, w: Array, y_bar: Array, *, scale: float = 1.0, check: bool = True
) -> TransportCotangents:
    """Adjoint of :func:`transport_isometric_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, v, w, y_bar : arrays of shape (..., n, p)
        As in :func:`transport_isometric`, and the cotangent of the result.
    scale, check
        As in :func:`transport_isometric`.

    Returns
    -------
    TransportCotangents
        ``x_bar``, ``v_bar``, ``w_bar`` in the ambient space.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`transport_isometric`.
    """
    return _transport_vjp(_ISOMETRIC, x, v, w, y_bar, scale, check)


def transport_projection(
    x: Array,
    v: Array,
    w: Array,
    retraction: Retraction,
    *,
    metric: Metric | None = None,
    scale: float = 1.0,
    check: bool = True,
) -> Array:
    """Projection of w onto the tangent space at the retraction of v; between two points x and y, ``project(y, w)``.

    Parameters
    ----------
    x, v, w : arrays of shape (..., n, p)
        Point, the tangent along which, and the tangent that is transported.
    retraction : {"qr", "cholesky_qr", "polar", "cayley", "exp"}
        As in :func:`retract`.
    metric : {"euclidean", "canonical"} or float, optional
        Of ``retraction="exp"``, which needs it; the others have none.
    scale : float
        c of the manifold X^H X = c^2 I.
    check : bool
        Whether to refuse points off the manifold and vectors that are not tangent.

    Returns
    -------
    array of shape (..., n, p)
        Linear in w; never longer than w in the Euclidean norm.

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`retract` and :func:`project`.

    Notes
    -----
    Equation (ST-PROJ) at the end of the step.
    """
    enter_unit(x, {"v": v, "w": w}, {}, scale, check)
    y = retract(x, v, retraction, metric=metric, scale=scale, check=False)
    return project(y, w, scale=scale, check=check)


def transport_projection_jvp(
    x: Array,
    v: Array,
    w: Array,
    x_dot: Array,
    v_dot: Array,
    w_dot: Array,
    retraction: Retraction,
    *,
    metric: Metric | None = None,
    scale: float = 1.0,
    check: bool = True,
) -> Array:
    """Derivative of the formula of :func:`transport_projection` along any directions of the ambient space.

    Parameters
    ----------
    x, v, w : arrays of shape (..., n, p)
        As in :func:`transport_projection`.
    x_dot, v_dot, w_dot : arrays of the shape of x
        Directions, independent of each other.
    retraction, metric, scale, check
        As in :func:`transport_projection`.

    Returns
    -------
    array of shape (..., n, p)

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`retract_jvp` and :func:`project_jvp`.
    """
    enter_unit(x, {"v": v, "w": w}, {"x_dot": x_dot, "v_dot": v_dot, "w_dot": w_dot}, scale, check)
    y = retract(x, v, retraction, metric=metric, scale=scale, check=False)
    y_dot = retract_jvp(x, v, x_dot, v_dot, retraction, metric=metric, scale=scale, check=False)
    return project_jvp(y, w, y_dot, w_dot, scale=scale, check=check)


def transport_projection_vjp(
    x: Array,
    v: Array,
    w: Array,
    y_bar: Array,
    retraction: Retraction,
    *,
    metric: Metric | None = None,
    scale: float = 1.0,
    check: bool = True,
) -> TransportCotangents:
    """Adjoint of :func:`transport_projection_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, v, w, y_bar : arrays of shape (..., n, p)
        As in :func:`transport_projection`, and the cotangent of the result.
    retraction, metric, scale, check
        As in :func:`transport_projection`.

    Returns
    -------
    TransportCotangents
        ``x_bar``, ``v_bar``, ``w_bar`` in the ambient space.

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`retract_vjp` and :func:`project_vjp`.
    """
    enter_unit(x, {"v": v, "w": w}, {"y_bar": y_bar}, scale, check)
    y = retract(x, v, retraction, metric=metric, scale=scale, check=False)
    onto = project_vjp(y, w, y_bar, scale=scale, check=check)
    along = retract_vjp(x, v, onto.x_bar, retraction, metric=metric, scale=scale, check=False)
    return TransportCotangents(along.x_bar, along.v_bar, onto.v_bar)


# --- what they share: T(X/c, V/c, W), linear in W ---------------------------------------------------------------------


class _Formula(NamedTuple):
    """Value, derivative along (X_dot, V_dot) with W fixed, and adjoint of both, for c = 1."""

    value: Callable[[Array, Array, Array], Array]
    along: Callable[[Array, Array, Array, Array, Array], Array]
    adjoint: Callable[[Array, Array, Array, Array], tuple[Array, Array, Array]]


def _transport(formula: _Formula, x: Array, v: Array, w: Array, scale: float, check: bool) -> Array:
    xp, y = enter_unit(x, {"v": v, "w": w}, {}, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):  # a V whose square overflows; collect judges
        w, ws = scaled(w)
        return collect((formula.value(y, v / scale, w), (ws,)))


def _transport_jvp(
    formula: _Formula,
    x: Array,
    v: Array,
    w: Array,
    x_dot: Array,
    v_dot: Array,
    w_dot: Array,
    scale: float,
    check: bool,
) -> Array:
    directions = {"x_dot": x_dot, "v_dot": v_dot, "w_dot": w_dot}
    xp, y = enter_unit(x, {"v": v, "w": w}, directions, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        v, (w, ws), (w_dot, wds) = v / scale, scaled(w), scaled(w_dot)
        y_dot, v_dot, es = scaled_pair(x_dot, v_dot, scale)
        return collect((formula.value(y, v, w_dot), (wds,)), (formula.along(y, v, w, y_dot, v_dot), (es, ws)))


def _transport_vjp(
    formula: _Formula, x: Array, v: Array, w: Array, y_bar: Array, scale: float, check: bool
) -> TransportCotangents:
    xp, y = enter_unit(x, {"v": v, "w": w}, {"y_bar": y_bar}, scale, check)
    if 0 in x.shape:
        return TransportCotangents(*(xp.zeros_like(x) for _ in range(3)))
    with np.errstate(all="ignore"):
        (w, ws), (bar, bs) = scaled(w), scaled(y_bar)
        x_bar, v_bar, w_bar = formula.adjoint(y, v / scale, w, bar)
        return TransportCotangents(
            collect((x_bar / scale, (ws, bs))), collect((v_bar / scale, (ws, bs))), collect((w_bar, (bs,)))
        )


# --- QR ---------------------------------------------------------------------------------------------------------------


def _upper(m: Array) -> Array:
    """Above the diagonal."""
    return namespace(m).triu(m, k=1)


def _real_diagonal(m: Array) -> Array:
    xp = namespace(m)
    diagonal = xp.triu(xp.tril(m))
    return xp.astype(xp.real(diagonal), m.dtype) if is_complex(m) else diagonal


def _sigma(m: Array) -> Array:
    return _upper(m + ct(m)) + _real_diagonal(m)


def _sigma_adjoint(m: Array) -> Array:
    above = _upper(m)
    return above + ct(above) + _real_diagonal(m)


def _qr(x: Array, v: Array) -> tuple[Array, Array]:
    """Y and R^-1 of X + V = Y R, diag(R) >= 0."""
    xp = namespace(x)
    q, r = xp.linalg.qr(x + v, mode="reduced")
    d = xp.linalg.diagonal(r)
    size = xp.abs(d)
    regular = xp.min(size, axis=-1) > max(x.shape[-1], 8) * eps(x) * xp.max(size, axis=-1)
    if not bool(xp.all(regular)):
        where = at_batch(first_index(~regular, xp))
        raise OutsideDomain(f"x + v is rank deficient: its QR factor has no derivative{where}")
    phase = d / size
    return q * phase[..., None, :], xp.linalg.inv(r * (xp.conj(phase) if is_complex(x) else phase)[..., None])


def _qr_value(x: Array, v: Array, w: Array) -> Array:
    # (ST-QR) T - Y sigma(Y^H T), T = W R^-1
    q, down = _qr(x, v)
    t = w @ down
    return t - q @ _sigma(inner(q, t))


def _qr_along(x: Array, v: Array, w: Array, x_dot: Array, v_dot: Array) -> Array:
    # R_dot R^-1 = psi = sigma(Y^H K), K = E R^-1, Y_dot = K - Y psi, T_dot = -T psi
    q, down = _qr(x, v)
    t, k = w @ down, (x_dot + v_dot) @ down
    psi = _sigma(inner(q, k))
    q_dot, t_dot = k - q @ psi, -(t @ psi)
    return t_dot - q_dot @ _sigma(inner(q, t)) - q @ _sigma(inner(q_dot, t) + inner(q, t_dot))


def _qr_adjoint(x: Array, v: Array, w: Array, bar: Array) -> tuple[Array, Array, Array]:
    # (ST-QR*)
    q, down = _qr(x, v)
    t = w @ down
    m_bar = -_sigma_adjoint(inner(q, bar))
    t_bar = bar + q @ m_bar
    q_bar = t @ m_bar - bar @ ct(_sigma(inner(q, t)))  # m_bar is Hermitian
    psi_bar = -inner(t, t_bar) - inner(q, q_bar)
    e_bar = (q_bar + q @ _sigma_adjoint(psi_bar)) @ ct(down)
    return e_bar, e_bar, t_bar @ ct(down)


_QR = _Formula(_qr_value, _qr_along, _qr_adjoint)


# --- polar ------------------------------------------------------------------------------------------------------------


def _polar_value(x: Array, v: Array, w: Array) -> Array:
    return polar_jvp(x + v, w, factor="u").u_dot


def _polar_along(x: Array, v: Array, w: Array, x_dot: Array, v_dot: Array) -> Array:
    return polar_vjp_jvp(x + v, x_dot + v_dot, w)  # the derivative of U is its own adjoint


def _polar_adjoint(x: Array, v: Array, w: Array, bar: Array) -> tuple[Array, Array, Array]:
    e_bar = polar_vjp_jvp(x + v, w, bar)  # a Hessian is symmetric
    return e_bar, e_bar, polar_vjp(x + v, bar)


_POLAR = _Formula(_polar_value, _polar_along, _polar_adjoint)


# --- Cayley -----------------------------------------------------------------------------------------------------------


class _Cayley(NamedTuple):
    """A = X^H V, Z = V - X A, M^-1 of M = I - A/2 + Z^H Z/4."""

    a: Array
    z: Array
    down: Array


def _cayley(x: Array, v: Array) -> _Cayley:
    a = inner(x, v)
    z = v - x @ a
    return _Cayley(a, z, namespace(x).linalg.inv(eye_like(x) - a / 2 + inner(z, z) / 4))


def _cayley_along_pair(x: Array, v: Array, x_dot: Array, v_dot: Array, of: _Cayley) -> tuple[Array, Array]:
    """Z_dot and M_dot."""
    a_dot = inner(x_dot, v) + inner(x, v_dot)
    z_dot = v_dot - x_dot @ of.a - x @ a_dot
    return z_dot, hermitian_part(inner(of.z, z_dot)) / 2 - a_dot / 2


def _cayley_adjoint_pair(
    x: Array, v: Array, of: _Cayley, x_bar: Array, z_bar: Array, m_bar: Array
) -> tuple[Array, Array]:
    """Cotangents of X and V from those of X, Z and M."""
    z_bar = z_bar + of.z @ hermitian_part(m_bar) / 2
    a_bar = -m_bar / 2 - inner(x, z_bar)
    return x_bar - z_bar @ ct(of.a) + v @ ct(a_bar), z_bar + x @ a_bar


def _cayley_value(x: Array, v: Array, w: Array) -> Array:
    # (ST-CAYLEY)
    of = _cayley(x, v)
    c = inner(x, w)
    u = w - x @ c
    m_w = hermitian_part(inner(of.z, u)) / 2 - c / 2
    return (u - (2 * x + of.z) @ (of.down @ m_w)) @ of.down


def _cayley_along(x: Array, v: Array, w: Array, x_dot: Array, v_dot: Array) -> Array:
    of = _cayley(x, v)
    z_dot, m_dot = _cayley_along_pair(x, v, x_dot, v_dot, of)
    c, c_dot = inner(x, w), inner(x_dot, w)
    u, u_dot = w - x @ c, -(x_dot @ c) - x @ c_dot
    m_w = hermitian_part(inner(of.z, u)) / 2 - c / 2
    m_w_dot = hermitian_part(inner(z_dot, u) + inner(of.z, u_dot)) / 2 - c_dot / 2
    s = (2 * x + of.z) @ of.down
    s_dot = (2 * x_dot + z_dot - s @ m_dot) @ of.down
    return (u_dot - s_dot @ m_w - s @ m_w_dot - (u - s @ m_w) @ of.down @ m_dot) @ of.down


def _cayley_adjoint(x: Array, v: Array, w: Array, bar: Array) -> tuple[Array, Array, Array]:
    # (ST-CAYLEY*)
    of = _cayley(x, v)
    c = inner(x, w)
    u, s = w - x @ c, (2 * x + of.z) @ of.down
    m_w = hermitian_part(inner(of.z, u)) / 2 - c / 2
    u_bar = bar @ ct(of.down)
    m_w_bar, half_bar = -inner(s, u_bar), -(u_bar @ ct(m_w)) @ ct(of.down)
    m_bar = -inner((u - s @ m_w) @ of.down, u_bar) - inner(s, half_bar)
    bent = hermitian_part(m_w_bar) / 2
    z_bar, u_bar = half_bar + u @ bent, u_bar + of.z @ bent
    c_bar = -m_w_bar / 2 - inner(x, u_bar)
    x_bar = 2 * half_bar - u_bar @ ct(c) + w @ ct(c_bar)
    return *_cayley_adjoint_pair(x, v, of, x_bar, z_bar, m_bar), u_bar + x @ c_bar


_CAYLEY = _Formula(_cayley_value, _cayley_along, _cayley_adjoint)


def _isometric_value(x: Array, v: Array, w: Array) -> Array:
    # (ST-ISO)
    of = _cayley(x, v)
    c = inner(x, w)
    k = of.down @ (c - inner(of.z, w) / 2)
    return w + 2 * (x @ (k - c)) + of.z @ k


def _isometric_along(x: Array, v: Array, w: Array, x_dot: Array, v_dot: Array) -> Array:
    of = _cayley(x, v)
    z_dot, m_dot = _cayley_along_pair(x, v, x_dot, v_dot, of)
    c, c_dot = inner(x, w), inner(x_dot, w)
    k = of.down @ (c - inner(of.z, w) / 2)
    k_dot = of.down @ (c_dot - inner(z_dot, w) / 2 - m_dot @ k)
    return 2 * (x_dot @ (k - c) + x @ (k_dot - c_dot)) + z_dot @ k + of.z @ k_dot


def _isometric_adjoint(x: Array, v: Array, w: Array, bar: Array) -> tuple[Array, Array, Array]:
    # (ST-ISO*)
    of = _cayley(x, v)
    c = inner(x, w)
    k = of.down @ (c - inner(of.z, w) / 2)
    right = ct(of.down) @ (2 * inner(x, bar) + inner(of.z, bar))
    c_bar = right - 2 * inner(x, bar)
    z_bar = bar @ ct(k) - w @ ct(right) / 2
    x_bar = 2 * (bar @ ct(k - c)) + w @ ct(c_bar)
    pair = _cayley_adjoint_pair(x, v, of, x_bar, z_bar, -(right @ ct(k)))
    return *pair, bar + x @ c_bar - of.z @ right / 2


_ISOMETRIC = _Formula(_isometric_value, _isometric_along, _isometric_adjoint)


# --- by name ----------------------------------------------------------------------------------------------------------


def transport(
    x: Array,
    v: Array,
    w: Array,
    method: Method,
    *,
    retraction: Retraction | None = None,
    metric: Metric | None = None,
    scale: float = 1.0,
    check: bool = True,
) -> Array:
    """The transport of that name: ``transport_qr``, ``transport_polar`` and so on.

    Parameters
    ----------
    x, v, w : arrays of shape (..., n, p)
        Point, the tangent along which, and the tangent that is transported.
    method : {"projection", "qr", "polar", "cayley", "isometric", "parallel"}
        Projection at the end of ``retraction``; differentiated retractions; the rotation of the Cayley retraction;
        parallel along the geodesic of the metric.
    retraction : {"qr", "cholesky_qr", "polar", "cayley", "exp"}, optional
        Of ``method="projection"``, which needs it; the others have none.
    metric : {"euclidean", "canonical"} or float, optional
        Of ``method="parallel"`` and ``retraction="exp"``, which need it; the others have none.
    scale, check
        As in :func:`transport_qr`.

    Returns
    -------
    array of shape (..., n, p)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As the function of that name.
    """
    if _projected(method, retraction):
        return transport_projection(x, v, w, retraction, metric=metric, scale=scale, check=check)  # type: ignore[arg-type]
    if _parallel(method, metric):
        return transport_parallel(x, v, w, metric, scale=scale, check=check)  # type: ignore[arg-type]
    return _transport(_OF[method], x, v, w, scale, check)


def transport_jvp(
    x: Array,
    v: Array,
    w: Array,
    x_dot: Array,
    v_dot: Array,
    w_dot: Array,
    method: Method,
    *,
    retraction: Retraction | None = None,
    metric: Metric | None = None,
    scale: float = 1.0,
    check: bool = True,
) -> Array:
    """The derivative of :func:`transport`.

    Parameters
    ----------
    x, v, w, x_dot, v_dot, w_dot : arrays of shape (..., n, p)
        As in :func:`transport_qr_jvp`.
    method, retraction, metric, scale, check
        As in :func:`transport`.

    Returns
    -------
    array of shape (..., n, p)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As the function of that name.
    """
    if _projected(method, retraction):
        return transport_projection_jvp(
            x,
            v,
            w,
            x_dot,
            v_dot,
            w_dot,
            retraction,  # type: ignore[arg-type]
            metric=metric,
            scale=scale,
            check=check,
        )
    if _parallel(method, metric):
        return transport_parallel_jvp(
            x,
            v,
            w,
            x_dot,
            v_dot,
            w_dot,
            metric,  # type: ignore[arg-type]
            scale=scale,
            check=check,
        )
    return _transport_jvp(_OF[method], x, v, w, x_dot, v_dot, w_dot, scale, check)


def transport_vjp(
    x: Array,
    v: Array,
    w: Array,
    y_bar: Array,
    method: Method,
    *,
    retraction: Retraction | None = None,
    metric: Metric | None = None,
    scale: float = 1.0,
    check: bool = True,
) -> TransportCotangents:
    """The adjoint of :func:`transport_jvp`.

    Parameters
    ----------
    x, v, w, y_bar : arrays of shape (..., n, p)
        As in :func:`transport_qr_vjp`.
    method, retraction, metric, scale, check
        As in :func:`transport`.

    Returns
    -------
    TransportCotangents

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As the function of that name.
    """
    if _projected(method, retraction):
        return transport_projection_vjp(
            x,
            v,
            w,
            y_bar,
            retraction,  # type: ignore[arg-type]
            metric=metric,
            scale=scale,
            check=check,
        )
    if _parallel(method, metric):
        return transport_parallel_vjp(x, v, w, y_bar, metric, scale=scale, check=check)  # type: ignore[arg-type]
    return _transport_vjp(_OF[method], x, v, w, y_bar, scale, check)


_OF = {"qr": _QR, "polar": _POLAR, "cayley": _CAYLEY, "isometric": _ISOMETRIC}


def _projected(method: str, retraction: str | None) -> bool:
    require_choice("method", method, ("projection", *_OF, "parallel"))
    if (retraction is not None) != (method == "projection"):
        raise ValueError(
            f"retraction={retraction!r} with method={method!r}: projection needs a retraction, the others have none"
        )
    return method == "projection"


def _parallel(method: str, metric: Metric | None) -> bool:
    if (metric is not None) != (method == "parallel"):
        raise ValueError(f"metric={metric!r} with method={method!r}: parallel needs a metric, the others have none")
    return method == "parallel"
