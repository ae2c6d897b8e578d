"""Products of Householder reflections by the compact WY form. Derivations: docs/derivations/constructors."""

from __future__ import annotations

from math import log
from typing import Literal, NamedTuple

import array_api_compat as compat
import numpy as np

from orthoref import kernels
from orthoref._constructors.door import enter_any, require_count
from orthoref.arrays import Array, Namespace, enter, is_complex, namespace, require_choice, require_shape
from orthoref.kernels import Impl
from orthoref.linalg import UNSCALED, Scale, ct, inner, unit_scale

Order = Literal["forward", "backward"]
Storage = Literal["below", "full"]
Side = Literal["left", "right"]

AXIS = -2  # one scale for every reflector


class HouseholderCotangent(NamedTuple):
    """Cotangents of reflectors, of what they are applied to, and of tau; None where there is no such argument."""

    v_bar: Array
    tau_bar: Array | None
    x_bar: Array | None = None


def householder_matrix(v: Array, tau: Array | None = None) -> Array:
    r"""One reflection H = I - tau v v^H.

    Parameters
    ----------
    v : array of shape (..., m)
        As it is: nothing is normalised.
    tau : array of shape (...), optional
        Dtype of v. 2/|v|^2 if not given, and H = I for v = 0. H is unitary exactly if
        ``2 Re tau = |tau|^2 |v|^2``; other values are allowed.

    Returns
    -------
    array of shape (..., m, m)

    Raises
    ------
    OutsideDomain
        NaN or infinity.
    TypeError, ValueError
        Wrong type, dtype, number of dimensions or shape.

    Notes
    -----
    Equation (HOUSEHOLDER). Hermitian for real tau only: LAPACK's complex H are not, and it is H^H that annihilates.

    Examples
    --------
    >>> import numpy as np
    >>> import orthoref
    >>> orthoref.householder_matrix(np.asarray([1.0, -1.0])).round(12) + 0.0
    array([[0., 1.],
           [1., 0.]])
    """
    return householder_product(*_one(v, tau), storage="full")


def householder_matrix_jvp(v: Array, v_dot: Array, tau: Array | None = None, tau_dot: Array | None = None) -> Array:
    """Derivative of :func:`householder_matrix`.

    Parameters
    ----------
    v, v_dot : arrays of shape (..., m)
        Point and direction.
    tau, tau_dot : arrays of shape (...), optional
        Both or neither.

    Returns
    -------
    array of shape (..., m, m)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`householder_product_jvp`.
    """
    one, tau_one = _one(v, tau)
    dot, tau_dot_one = _one(v_dot, tau_dot)
    return householder_product_jvp(one, dot, tau_one, tau_dot_one, storage="full")


def householder_matrix_vjp(v: Array, h_bar: Array, tau: Array | None = None) -> HouseholderCotangent:
    """Adjoint of :func:`householder_matrix_jvp` for Re tr(X^H Y).

    Parameters
    ----------
    v : array of shape (..., m)
    h_bar : array of shape (..., m, m)
        Cotangent.
    tau : array of shape (...), optional

    Returns
    -------
    HouseholderCotangent
        ``v_bar`` (..., m), ``tau_bar`` (...), None if tau was not given.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`householder_product_vjp`.
    """
    one, tau_one = _one(v, tau)
    enter(h_bar=h_bar)
    require_shape("h_bar", h_bar, (*v.shape, v.shape[-1]))
    v_bar, tau_bar, _ = householder_product_vjp(one, h_bar, tau_one, storage="full")
    return HouseholderCotangent(v_bar[..., 0], None if tau_bar is None else tau_bar[..., 0])


def householder_product(
    v: Array,
    tau: Array | None = None,
    *,
    columns: int | None = None,
    order: Order = "forward",
    storage: Storage | None = None,
    impl: Impl = "auto",
) -> Array:
    r"""Product of reflections H_i = I - tau_i v_i v_i^H.

    Parameters
    ----------
    v : array of shape (..., m, k)
        Reflectors in columns.
    tau : array of shape (..., k), optional
        In the dtype of v. Not given: 2/|v_i|^2, and H_i = I for v_i = 0.
    columns : int, optional
        How many columns of Q, at most m; all of them if not given.
    order : {"forward", "backward"}
        Q = H_1 H_2 ... H_k, or H_k ... H_2 H_1.
    storage : {"below", "full"}, optional
        ``"below"``, the default with tau: as LAPACK stores them, k <= m, entry i of v_i is 1, those above are 0,
        and what stands there is not looked at. ``"full"``, the default without tau: v_i as it is.
    impl : {"auto", "generic", "kernel"}
        ``"kernel"`` demands LAPACK and triangular BLAS for NumPy arrays, ``"auto"`` takes them where that pays,
        ``"generic"`` is the array-API path.

    Returns
    -------
    array of shape (..., m, columns)

    Raises
    ------
    OutsideDomain
        NaN or infinity.
    TypeError, ValueError
        Wrong type, dtype, number of dimensions, shape or option.

    Notes
    -----
    Compact WY form [SchreiberVanLoan1989]_, equations (HOUSEHOLDER) and (WY): Q = I - V T V^H with
    T = (I + D S)^-1 D, D = diag(tau), S the strict upper triangle of V^H V. I + D S is unit upper triangular, so that
    tau_i = 0 drops a reflection and needs no division. About 2 m k (k + columns) + 2 k^3 flops. Where all H_i are
    unitary the error is a small multiple of k eps, |T_ij| <= |tau_i v_i||tau_j v_j|.

    ``torch.linalg.householder_product(a, tau)``, ``jax.lax.linalg.householder_product`` and LAPACK's ``orgqr`` are
    ``householder_product(a[:, :k], tau, columns=n)``.

    Examples
    --------
    >>> import numpy as np
    >>> import orthoref
    >>> orthoref.householder_product(np.asarray([[1.0, 0.0], [1.0, 1.0]])).round(12) + 0.0
    array([[ 0.,  1.],
           [-1.,  0.]])
    """
    xp = _enter(v, tau, order, storage, columns)
    p = v.shape[-2] if columns is None else columns
    eye = _eye(v, p, xp)
    if 0 in v.shape:
        return eye
    if (kernel := kernels.find("reflectors.product", v, impl)) is not None:
        f = _form(v, tau, order, storage, xp)
        return kernel(f.v, f.d[0, :], p, f.below and not f.flipped and f.size is None)
    w = _wy(v, tau, order, storage, xp, "generic")
    return eye - w.v @ (w.t @ ct(w.v[..., :p, :]))


def householder_product_jvp(
    v: Array,
    v_dot: Array,
    tau: Array | None = None,
    tau_dot: Array | None = None,
    *,
    columns: int | None = None,
    order: Order = "forward",
    storage: Storage | None = None,
) -> Array:
    r"""Derivative of :func:`householder_product` along ``v_dot`` and ``tau_dot``.

    Parameters
    ----------
    v, v_dot : arrays of shape (..., m, k)
        Point and direction.
    tau, tau_dot : arrays of shape (..., k), optional
        Both or neither.
    columns, order, storage : options
        As in :func:`householder_product`.

    Returns
    -------
    array of shape (..., m, columns)

    Raises
    ------
    OutsideDomain
        NaN or infinity.
    TypeError, ValueError
        As :func:`householder_product`; one of tau and tau_dot without the other.

    Notes
    -----
    Equation (WY-DOT): finite for all tau, also for tau_i = 0 and for a singular H_i, tau_i |v_i|^2 = 1. Without tau H_i
    is not continuous at v_i = 0; the derivative there is that of the constant I, zero.
    """
    xp = _enter(v, tau, order, storage, columns, v_dot=v_dot, tau_dot=tau_dot)
    require_shape("v_dot", v_dot, v.shape)
    p = v.shape[-2] if columns is None else columns
    if 0 in v.shape:
        return xp.zeros_like(_eye(v, p, xp))
    w = _wy(v, tau, order, storage, xp, "generic")
    v_move, d_move = _move(w, v_dot, tau_dot, xp)
    head, head_move = w.v[..., :p, :], v_move[..., :p, :]
    return -(v_move @ (w.t @ ct(head)) + w.v @ (_t_dot(w, v_move, d_move) @ ct(head) + w.t @ ct(head_move)))


def householder_product_vjp(
    v: Array,
    q_bar: Array,
    tau: Array | None = None,
    *,
    order: Order = "forward",
    storage: Storage | None = None,
    impl: Impl = "auto",
) -> HouseholderCotangent:
    r"""Adjoint of :func:`householder_product_jvp` for Re tr(X^H Y).

    Parameters
    ----------
    v : array of shape (..., m, k)
    q_bar : array of shape (..., m, columns)
        Cotangent; its number of columns is that of Q.
    tau : array of shape (..., k), optional
    order, storage, impl : options
        As in :func:`householder_product`.

    Returns
    -------
    HouseholderCotangent
        ``v_bar`` (..., m, k), ``tau_bar`` (..., k), None if tau was not given. Zero where ``storage="below"`` does not
        look at v. Without tau every column satisfies <v_bar_i, v_i> = 0.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`householder_product_jvp`.

    Notes
    -----
    Equation (WY-BAR), closed: no sweep over the reflections is undone, so that nothing is divided by
    tau_i |v_i|^2 - 1.
    """
    xp = _enter(v, tau, order, storage, None, q_bar=q_bar)
    *batch, m, _ = v.shape
    p = q_bar.shape[-1]
    require_shape("q_bar", q_bar, (*batch, m, min(p, m)))
    if 0 in v.shape:
        return HouseholderCotangent(xp.zeros_like(v), None if tau is None else xp.zeros_like(tau))
    w = _wy(v, tau, order, storage, xp, impl)
    below = xp.zeros((*batch, m - p, v.shape[-1]), dtype=v.dtype, device=compat.device(v))
    qh_v = xp.concat([inner(q_bar, w.v), below], axis=-2)
    return HouseholderCotangent(*_pull_back(w, q_bar @ w.v[..., :p, :], qh_v, tau, xp, impl))


def householder_apply(
    v: Array,
    x: Array,
    tau: Array | None = None,
    *,
    side: Side = "left",
    adjoint: bool = False,
    order: Order = "forward",
    storage: Storage | None = None,
    impl: Impl = "auto",
) -> Array:
    r"""Q X, Q^H X, X Q or X Q^H for the Q of :func:`householder_product`, which is not formed.

    Parameters
    ----------
    v : array of shape (..., m, k)
    x : array of shape (..., m, c), or (..., c, m) for side="right"
    tau : array of shape (..., k), optional
    side : {"left", "right"}
        On which side of X.
    adjoint : bool
        Q^H in the place of Q.
    order, storage, impl : options
        As in :func:`householder_product`.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`householder_product`.

    Notes
    -----
    X - V (T (V^H X)), equation (WY): LAPACK's ``ormqr``. 4 m k c flops beside those of T.
    """
    xp = _enter_apply(v, x, tau, side, order, storage)
    if side == "right":  # X Q = (Q^H X^H)^H
        return ct(householder_apply(v, ct(x), tau, adjoint=not adjoint, order=order, storage=storage, impl=impl))
    if 0 in v.shape or 0 in x.shape:
        return x + xp.zeros_like(x)
    if (kernel := kernels.find("reflectors.apply", v, impl)) is not None:
        f = _form(v, tau, order, storage, xp)
        return kernel(f.v, f.d[0, :], x, adjoint)
    w = _wy(v, tau, order, storage, xp, "generic")
    return x - w.v @ ((ct(w.t) if adjoint else w.t) @ inner(w.v, x))


def householder_apply_jvp(
    v: Array,
    x: Array,
    v_dot: Array,
    x_dot: Array,
    tau: Array | None = None,
    tau_dot: Array | None = None,
    *,
    side: Side = "left",
    adjoint: bool = False,
    order: Order = "forward",
    storage: Storage | None = None,
) -> Array:
    """Derivative of :func:`householder_apply`.

    Parameters
    ----------
    v, x, tau : arrays
        As in :func:`householder_apply`.
    v_dot, x_dot, tau_dot : arrays
        Directions, of the shapes of v, x, tau; tau and tau_dot both or neither.
    side, adjoint, order, storage : options
        As in :func:`householder_apply`.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`householder_product_jvp`.
    """
    xp = _enter_apply(v, x, tau, side, order, storage, v_dot=v_dot, x_dot=x_dot, tau_dot=tau_dot)
    require_shape("v_dot", v_dot, v.shape)
    require_shape("x_dot", x_dot, x.shape)
    if side == "right":
        back = {"adjoint": not adjoint, "order": order, "storage": storage}
        return ct(householder_apply_jvp(v, ct(x), v_dot, ct(x_dot), tau, tau_dot, **back))  # type: ignore[arg-type]
    if 0 in v.shape or 0 in x.shape:
        return x_dot + xp.zeros_like(x_dot)
    w = _wy(v, tau, order, storage, xp, "generic")
    v_move, d_move = _move(w, v_dot, tau_dot, xp)
    t, t_move = w.t, _t_dot(w, v_move, d_move)
    if adjoint:
        t, t_move = ct(t), ct(t_move)
    vx = inner(w.v, x)
    return x_dot - v_move @ (t @ vx) - w.v @ (t_move @ vx + t @ (inner(v_move, x) + inner(w.v, x_dot)))


def householder_apply_vjp(
    v: Array,
    x: Array,
    y_bar: Array,
    tau: Array | None = None,
    *,
    side: Side = "left",
    adjoint: bool = False,
    order: Order = "forward",
    storage: Storage | None = None,
    impl: Impl = "auto",
) -> HouseholderCotangent:
    """Adjoint of :func:`householder_apply_jvp` for Re tr(X^H Y).

    Parameters
    ----------
    v, x, tau : arrays
        As in :func:`householder_apply`.
    y_bar : array of the shape of x
        Cotangent.
    side, adjoint, order, storage, impl : options
        As in :func:`householder_apply`.

    Returns
    -------
    HouseholderCotangent
        ``v_bar``, ``tau_bar`` (None if tau was not given), ``x_bar``.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`householder_product_vjp`.

    Notes
    -----
    Equation (WY-BAR) for the cotangent ``y_bar x^H`` of Q (``x y_bar^H`` for Q^H), which is not formed.
    """
    xp = _enter_apply(v, x, tau, side, order, storage, y_bar=y_bar)
    require_shape("y_bar", y_bar, x.shape)
    options = {"order": order, "storage": storage, "impl": impl}
    if side == "right":
        v_bar, tau_bar, x_bar = householder_apply_vjp(v, ct(x), ct(y_bar), tau, adjoint=not adjoint, **options)  # type: ignore[arg-type]
        return HouseholderCotangent(v_bar, tau_bar, None if x_bar is None else ct(x_bar))
    x_bar = householder_apply(v, y_bar, tau, adjoint=not adjoint, **options)  # type: ignore[arg-type]
    if 0 in v.shape or 0 in x.shape:
        return HouseholderCotangent(xp.zeros_like(v), None if tau is None else xp.zeros_like(tau), x_bar)
    w = _wy(v, tau, order, storage, xp, impl)
    left, right = (x, y_bar) if adjoint else (y_bar, x)
    v_bar, tau_bar = _pull_back(w, left @ inner(right, w.v), right @ inner(left, w.v), tau, xp, impl)
    return HouseholderCotangent(v_bar, tau_bar, x_bar)


def householder_log_jacobian(v: Array) -> Array:
    r"""Logarithm of |det| of the derivative of reflectors -> matrix, for densities of orthogonal and unitary matrices.

    Parameters
    ----------
    v : array of shape (..., m, k), k <= m
        As ``householder_product(v, storage="below", columns=k)`` takes them: Hermitian reflections, v_i with a 1 at i.

    Returns
    -------
    real array of shape (...)
        Real: of v, strictly below the diagonal, to Q. Complex: of (v, phases d) to Q diag(d), with d_j = exp(i t_j)
        in the coordinates t. The volume on the Stiefel manifold is that of Q^H dQ and of what is orthogonal to Q, with
        every skew-Hermitian pair of entries counted once.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`householder_product`.

    Notes
    -----
    Equation (HOUSEHOLDER-VOLUME), with tau_j = 2/|v_j|^2:
    ``sum_j (m - j) log tau_j`` real, ``sum_j 2 (m - j) log tau_j + log |1 - tau_j|`` complex; minus infinity where
    tau_j = 1. Gaussian columns below and on the diagonal, normalised to v_j, give Haar measure [Stewart1980]_.
    """
    xp = _enter(v, None, "forward", "below", None)
    *batch, m, k = v.shape
    if 0 in v.shape:
        real = xp.real(v) if is_complex(v) else v
        return xp.zeros(tuple(batch), dtype=real.dtype, device=compat.device(v))
    x = xp.tril(v, k=-1)
    scale = unit_scale(x, axis=AXIS, least=1.0)  # |v_j| without overflow of squares
    below = xp.linalg.vector_norm(scale.apply(x), axis=-2)
    one = scale.apply(xp.ones_like(below)[..., None, :])[..., 0, :]
    log_tau = log(2.0) - 2 * (xp.log(xp.hypot(below, one)) - xp.log(one))
    free = xp.asarray(np.arange(m - 1, m - 1 - k, -1.0), dtype=log_tau.dtype, device=compat.device(v))
    if not is_complex(v):
        return xp.sum(free * log_tau, axis=-1)
    with np.errstate(divide="ignore"):
        return xp.sum(2 * free * log_tau + xp.log(xp.abs(1 - xp.exp(log_tau))), axis=-1)


# --- the compact WY form ----------------------------------------------------------------------------------------------


class _Form(NamedTuple):
    """Reflectors in the order of the product, of unit length where there is no tau."""

    v: Array
    d: Array  # (..., 1, k)
    size: Array | None  # |v_i| (..., 1, k) of scaled columns, if tau was not given
    scale: Scale
    below: bool
    flipped: bool


class _WY(NamedTuple):
    """V and T of Q = I - V T V^H, and what the derivatives need."""

    v: Array
    d: Array
    size: Array | None
    scale: Scale
    below: bool
    flipped: bool
    t: Array
    m_inv: Array  # (I + D S)^-1
    n_inv: Array  # (I + S D)^-1


def _form(v: Array, tau: Array | None, order: str, storage: str | None, xp: Namespace) -> _Form:
    """Columns of unit length and D = 2 where there is no tau."""
    below = _is_below(tau, storage)
    if below:
        v = xp.tril(v, k=-1) + _eye(v, v.shape[-1], xp)
    flipped = order == "backward"
    if flipped:
        v, tau = xp.flip(v, axis=-1), None if tau is None else xp.flip(tau, axis=-1)
    if tau is not None:
        return _Form(v, tau[..., None, :], None, UNSCALED, below, flipped)
    scale = unit_scale(v, axis=AXIS)
    v = scale.apply(v)
    size = xp.linalg.vector_norm(v, axis=-2, keepdims=True)
    size = xp.where(size > 0, size, xp.ones_like(size))
    d = xp.full((*v.shape[:-2], 1, v.shape[-1]), 2.0, dtype=v.dtype, device=compat.device(v))
    return _Form(v / size, d, size, scale, below, flipped)


def _wy(v: Array, tau: Array | None, order: str, storage: str | None, xp: Namespace, impl: str) -> _WY:
    """(WY) T = (I + D S)^-1 D, S = striu(V^H V)."""
    f = _form(v, tau, order, storage, xp)
    s = xp.triu(inner(f.v, f.v), k=1)
    eye = _eye(s, s.shape[-1], xp)
    m = eye + f.d.mT * s
    if (kernel := kernels.find("reflectors.inverse", v, impl)) is not None:
        m_inv = kernel(m)
    else:  # upper triangular with unit diagonal: partial pivoting finds nothing to do, this is back substitution
        m_inv = xp.linalg.solve(m, eye)
    t = m_inv * f.d
    return _WY(*f, t, m_inv, eye - _by_upper(s, t, False, impl))


def _by_upper(x: Array, t: Array, adjoint: bool, impl: str) -> Array:
    """X T or X T^H, T upper triangular."""
    if (kernel := kernels.find("reflectors.times_upper", x, impl)) is not None:
        return kernel(x, t, adjoint)
    return x @ (ct(t) if adjoint else t)


def _move(w: _WY, v_dot: Array, tau_dot: Array | None, xp: Namespace) -> tuple[Array, Array]:
    """Directions of V and D in the form of w."""
    if w.below:
        v_dot = xp.tril(v_dot, k=-1)
    if w.flipped:
        v_dot, tau_dot = xp.flip(v_dot, axis=-1), None if tau_dot is None else xp.flip(tau_dot, axis=-1)
    if w.size is None:
        assert tau_dot is not None
        return v_dot, tau_dot[..., None, :]
    # d(2/|u|^2) = -4 Re u^H du at |u| = 1; a zero column does not move
    v_dot = w.scale.apply(v_dot) / w.size * _nonzero(w.v, xp)
    return v_dot, -4 * xp.sum(_real(xp.conj(w.v) * v_dot if is_complex(v_dot) else w.v * v_dot), axis=-2, keepdims=True)


def _t_dot(w: _WY, v_dot: Array, d_dot: Array) -> Array:
    """(WY-DOT) T_dot = (I + D S)^-1 D_dot (I + S D)^-1 - T S_dot T."""
    xp = namespace(w.v)
    g = inner(v_dot, w.v)
    return (w.m_inv * d_dot) @ w.n_inv - w.t @ (xp.triu(g + ct(g), k=1) @ w.t)


def _pull_back(
    w: _WY, qv: Array, qhv: Array, tau: Array | None, xp: Namespace, impl: str
) -> tuple[Array, Array | None]:
    """Cotangents of v and tau from Q_bar V and Q_bar^H V.

    (WY-BAR) C = V^H Q_bar V, S_bar = T^H C T^H, Phi = striu(S_bar),
    V_bar = V (Phi + Phi^H) - Q_bar V T^H - Q_bar^H V T, D_bar = -diag((I + D S)^-H C (I + S D)^-H).
    """
    d, m_inv = (xp.conj(x) if is_complex(x) else x for x in (w.d, w.m_inv))
    e = _by_upper(inner(w.v, qv), w.n_inv, True, impl)  # C (I + S D)^-H; times D^H it is C T^H
    phi = xp.triu(ct(_by_upper(ct(e * d), w.t, False, impl)), k=1)
    v_bar = w.v @ (phi + ct(phi)) - _by_upper(qv, w.t, True, impl) - _by_upper(qhv, w.t, False, impl)
    d_bar: Array = -xp.sum(m_inv * e, axis=-2)
    if w.size is not None:
        v_bar = (v_bar - 4 * w.v * _real(d_bar)[..., None, :]) * _nonzero(w.v, xp)
        v_bar = w.scale.apply(v_bar / w.size)
    if w.below:
        v_bar = xp.tril(xp.flip(v_bar, axis=-1) if w.flipped else v_bar, k=-1)
    elif w.flipped:
        v_bar = xp.flip(v_bar, axis=-1)
    if tau is None:
        return v_bar, None
    return v_bar, xp.flip(d_bar, axis=-1) if w.flipped else d_bar


def _real(x: Array) -> Array:
    """The real part in the dtype of x."""
    return namespace(x).astype(namespace(x).real(x), x.dtype) if is_complex(x) else x


def _nonzero(v: Array, xp: Namespace) -> Array:
    """1 for columns that are not zero, else 0."""
    return xp.astype(xp.any(v != 0, axis=-2, keepdims=True), v.dtype)


def _is_below(tau: Array | None, storage: str | None) -> bool:
    return storage == "below" if storage is not None else tau is not None


def _eye(v: Array, columns: int, xp: Namespace) -> Array:
    """The first columns of the identity of order m, for every matrix of the stack."""
    *batch, m, _ = v.shape
    eye = xp.eye(m, columns, dtype=v.dtype, device=compat.device(v))
    return eye + xp.zeros((*batch, m, columns), dtype=v.dtype, device=compat.device(v)) if batch else eye


def _one(v: Array, tau: Array | None) -> tuple[Array, Array | None]:
    """One reflector as a matrix of one column."""
    if not compat.is_array_api_obj(v):
        raise TypeError(f"v must be an array of an array-API library, not {type(v).__name__}")
    if v.ndim < 1:
        raise ValueError("v must have at least 1 dimension (..., m)")
    return v[..., None], None if tau is None else tau[..., None]


def _enter(
    v: Array, tau: Array | None, order: str, storage: str | None, columns: int | None, **others: Array | None
) -> Namespace:
    require_choice("order", order, ("forward", "backward"))
    if storage is not None:
        require_choice("storage", storage, ("below", "full"))
    tau_dot = others.pop("tau_dot", None)
    xp = enter_any({"v": v, **others}, {"tau": tau, "tau_dot": tau_dot})
    *batch, m, k = v.shape
    for name, x in (("tau", tau), ("tau_dot", tau_dot)):
        if x is not None:
            require_shape(name, x, (*batch, k))
    if (tau_dot is not None and tau is None) or ("v_dot" in others and tau is not None and tau_dot is None):
        raise ValueError("tau and tau_dot belong together")
    if _is_below(tau, storage) and k > m:
        raise ValueError(f"v has shape {tuple(v.shape)}: reflectors stored below the diagonal are at most m = {m}")
    if columns is not None:
        require_count("columns", columns)
        if columns > m:
            raise ValueError(f"columns={columns} of a matrix of order {m}")
    return xp


def _enter_apply(
    v: Array, x: Array, tau: Array | None, side: str, order: str, storage: str | None, **others: Array | None
) -> Namespace:
    require_choice("side", side, ("left", "right"))
    xp = _enter(v, tau, order, storage, None, x=x, **others)
    *batch, m, _ = v.shape
    c = x.shape[-1 if side == "left" else -2]
    require_shape("x", x, (*batch, m, c) if side == "left" else (*batch, c, m))
    return xp
