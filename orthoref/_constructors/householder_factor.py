"""Reflectors of a given matrix with orthonormal columns. Derivations: docs/derivations/constructors."""

from __future__ import annotations

from typing import Literal, NamedTuple

import array_api_compat as compat

from orthoref._constructors.door import require_orthonormal, require_tangent
from orthoref.arrays import Array, Namespace, at_batch, enter, first_index, is_complex, require_choice, require_shape
from orthoref.errors import OutsideDomain
from orthoref.linalg import ct, hermitian_part, inner

Diagonal = Literal["phase", "sign", "none"]


class HouseholderFactors(NamedTuple):
    """Reflectors ``v`` (..., m, p), ``tau`` (..., p) and phases ``d`` (..., p): Q = H_1 ... H_p [diag(d); 0]."""

    v: Array
    tau: Array
    d: Array


def householder_factor(q: Array, *, diagonal: Diagonal = "phase") -> HouseholderFactors:
    r"""Reflectors and phases of a matrix with orthonormal columns.

    Parameters
    ----------
    q : array of shape (..., m, p), m >= p
    diagonal : {"phase", "sign", "none"}
        Which d. ``"phase"``: of modulus 1, so that tau = 2/|v|^2 is real and every H_i Hermitian. ``"sign"``: real,
        +1 or -1, with complex tau, as LAPACK. ``"none"``: all 1, the inverse of :func:`householder_product`
        with ``storage="below"``. The first two choose d_j away from the pivot, 1 <= Re tau <= 2 (1 <= tau); for real q
        they are the same.

    Returns
    -------
    HouseholderFactors
        ``q = householder_product(v, tau, columns=p) * d[..., None, :]``, v with 1 on and 0 above the diagonal. With
        ``"none"`` a column that is one of the identity already has v_i = e_i and tau_i = 0.

    Raises
    ------
    OutsideDomain
        NaN or infinity; columns that are not orthonormal, with the defect.
    TypeError, ValueError
        Wrong type, dtype, number of dimensions or option; wide q.

    Notes
    -----
    Equation (HOUSEHOLDER-LU): Q D^* - [I; 0] = L U without pivoting, v = L, tau = -diag(U); LAPACK's ``orhr_col``,
    [BallardDemmelGrigoriJacquelinKnightNguyen2015]_.

    Examples
    --------
    >>> import numpy as np
    >>> import orthoref
    >>> v, tau, d = orthoref.householder_factor(np.asarray([[0.6, -0.8], [0.8, 0.6]]))
    >>> v.round(12), tau.round(12), d
    (array([[1. , 0. ],
           [0.5, 1. ]]), array([1.6, 2. ]), array([-1., -1.]))
    """
    xp = _enter(q, diagonal)
    *batch, _, p = q.shape
    if 0 in q.shape:
        return HouseholderFactors(
            xp.zeros_like(q), *(xp.zeros((*batch, p), dtype=q.dtype, device=compat.device(q)) for _ in range(2))
        )
    w, columns, taus, ds = q, [], [], []
    for j in range(p):
        alpha, rest = w[..., :1, :1], w[..., 1:, :1]
        d, tau = _pivot(alpha, rest, diagonal, xp)
        divisor = xp.where(tau != 0, -tau * d, xp.ones_like(tau))
        tail = xp.where(tau != 0, rest / divisor, xp.zeros_like(rest))
        v = xp.concat([xp.ones_like(alpha), tail], axis=-2)
        columns.append(xp.concat([xp.zeros((*batch, j, 1), dtype=q.dtype, device=compat.device(q)), v], axis=-2))
        taus.append(tau[..., 0])
        ds.append(d[..., 0])
        w = w[..., 1:]
        w = (w - (xp.conj(tau) if is_complex(tau) else tau) * v @ inner(v, w))[..., 1:, :]
    return HouseholderFactors(xp.concat(columns, axis=-1), xp.concat(taus, axis=-1), xp.concat(ds, axis=-1))


def householder_factor_jvp(q: Array, q_dot: Array, *, diagonal: Diagonal = "phase") -> HouseholderFactors:
    r"""Derivative of :func:`householder_factor` along a tangent.

    Parameters
    ----------
    q, q_dot : arrays of shape (..., m, p)
        Point and tangent, Q^H Q_dot skew-Hermitian.
    diagonal : {"phase", "sign", "none"}
        As in :func:`householder_factor`.

    Returns
    -------
    HouseholderFactors
        The derivatives of v, tau and d.

    Raises
    ------
    OutsideDomain
        As :func:`householder_factor`; not tangent; tau_j = 0 with ``"none"``, a zero pivot, tau_j = 1, of a complex
        matrix with ``"phase"``: v, and the phase, are not differentiable there.
    TypeError, ValueError
        As :func:`householder_factor`; shapes that differ.

    Notes
    -----
    Equations (HOUSEHOLDER-LU-DOT): the derivative of an LU factorization.
    """
    xp = _enter(q, diagonal, q_dot=q_dot)
    require_tangent(q, q_dot, xp)
    f = householder_factor(q, diagonal=diagonal)
    if 0 in q.shape:
        return HouseholderFactors(q_dot, f.tau, f.d)
    lu = _lu(f, diagonal, xp)
    x = q_dot * _conj(f.d, xp)[..., None, :]
    g, outside = lu.l_inv @ x[..., : lu.p, :], x[..., lu.p :, :] @ lu.u_inv
    d_dot = xp.zeros_like(f.d)
    if lu.k is not None:
        # (HOUSEHOLDER-PHASE-DOT) K phi = Im diag F
        phi = xp.linalg.solve(lu.k, xp.imag(_diagonal(g @ lu.u_inv, xp))[..., None])[..., 0]
        turn = -1j * xp.astype(phi, q.dtype)
        g = g + (lu.l_inv + lu.u) * turn[..., None, :]
        outside = outside + ((lu.below @ lu.u) * turn[..., None, :]) @ lu.u_inv
        d_dot = -turn * f.d
    inside = g @ lu.u_inv
    lower = xp.tril(inside, k=-1)
    v_dot = xp.concat([f.v[..., : lu.p, :] @ lower, outside - lu.below @ xp.triu(inside)], axis=-2)
    return HouseholderFactors(v_dot, _diagonal(lower @ lu.u - g, xp), d_dot)


def householder_factor_vjp(
    q: Array,
    v_bar: Array | None,
    tau_bar: Array | None = None,
    d_bar: Array | None = None,
    *,
    diagonal: Diagonal = "phase",
) -> Array:
    r"""Adjoint of :func:`householder_factor_jvp` for Re tr(X^H Y), on the tangent space at q.

    Parameters
    ----------
    q : array of shape (..., m, p)
    v_bar, tau_bar, d_bar : arrays of the shapes of v, tau, d, or None
        Cotangents; None stands for zero. v_bar on and above the diagonal meets constants.
    diagonal : {"phase", "sign", "none"}
        As in :func:`householder_factor`.

    Returns
    -------
    array of shape (..., m, p)
        ``q_bar``, tangent at q.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`householder_factor_jvp`.

    Notes
    -----
    Equation (HOUSEHOLDER-LU-BAR).
    """
    given = {"v_bar": v_bar, "tau_bar": tau_bar, "d_bar": d_bar}
    xp = _enter(q, diagonal, v_bar=v_bar)
    f = householder_factor(q, diagonal=diagonal)
    for (name, x), like in zip(given.items(), f, strict=True):
        if x is not None:
            require_shape(name, x, like.shape)
    if 0 in q.shape:
        return xp.zeros_like(q)
    lu, zero = _lu(f, diagonal, xp), xp.zeros_like(f.tau)
    v_bar = xp.zeros_like(f.v) if v_bar is None else xp.tril(v_bar, k=-1)
    tau_bar, d_bar = zero if tau_bar is None else tau_bar, zero if d_bar is None else d_bar
    head, outside = v_bar[..., : lu.p, :], v_bar[..., lu.p :, :]
    eye = xp.eye(lu.p, dtype=q.dtype, device=compat.device(q))
    lower = xp.tril(ct(f.v[..., : lu.p, :]) @ head + tau_bar[..., :, None] * ct(lu.u), k=-1)
    g_bar = (lower - xp.triu(ct(lu.below) @ outside)) @ ct(lu.u_inv) - eye * tau_bar[..., None, :]
    if lu.k is not None:
        pulled = ct(g_bar) @ (lu.l_inv + lu.u) + lu.u_inv @ ct(outside) @ lu.below @ lu.u
        phi_bar = xp.imag(_diagonal(pulled, xp)) - xp.imag(_conj(d_bar, xp) * f.d)
        y_bar = xp.linalg.solve(lu.k.mT, phi_bar[..., None])
        g_bar = g_bar + 1j * xp.astype(y_bar, q.dtype) * ct(lu.u_inv)
    x_bar = xp.concat([ct(lu.l_inv) @ g_bar, outside @ ct(lu.u_inv)], axis=-2)
    q_bar = x_bar * f.d[..., None, :]
    return q_bar - q @ hermitian_part(inner(q, q_bar))


class _LU(NamedTuple):
    """L = [L_1; below] and U of Q D^* - [I; 0], with what is solved with them."""

    p: int
    l_inv: Array
    below: Array
    u: Array
    u_inv: Array
    k: Array | None  # K of the phases


def _lu(f: HouseholderFactors, diagonal: str, xp: Namespace) -> _LU:
    """(HOUSEHOLDER-LU) U = -T V_1^H, hence U^-1 = -V_1^-H T^-1, T^-1 = striu(V^H V) + diag(1/tau)."""
    m, p = f.v.shape[-2:]
    eye = xp.eye(p, dtype=f.v.dtype, device=compat.device(f.v))
    phases = diagonal == "phase" and is_complex(f.v)
    tau = f.tau
    if m == p and not phases:  # the last reflector has no entry below its 1, and tau = 0 is as good as any other
        tau = xp.concat([tau[..., :-1], xp.ones_like(tau[..., -1:])], axis=-1)
    bad = tau == (1 if phases else 0)
    if bool(xp.any(bad)):
        *index, j = first_index(bad, xp)
        what = "the phase of a zero pivot" if phases else "the reflector of a column of the identity, tau = 0,"
        raise OutsideDomain(f"{what} is not differentiable, column {j}" + at_batch(tuple(index)))
    top, below = f.v[..., :p, :], f.v[..., p:, :]
    s = xp.triu(inner(f.v, f.v), k=1)
    l_inv = xp.linalg.solve(top, eye + xp.zeros_like(top))
    u = -xp.linalg.solve(eye + f.tau[..., :, None] * s, f.tau[..., :, None] * ct(top))
    u_inv = -ct(l_inv) @ (s + eye / tau[..., None, :])
    return _LU(p, l_inv, below, u, u_inv, xp.real(l_inv * u_inv.mT + eye) if phases else None)


def _pivot(alpha: Array, rest: Array, diagonal: str, xp: Namespace) -> tuple[Array, Array]:
    """d_j and tau_j = 1 - alpha conj(d_j) of a column (alpha, rest) of length 1."""
    one = xp.ones_like(alpha)
    if diagonal == "none":
        # 1 - Re alpha without cancellation: 1 - alpha^2 is what is left of the length of the column
        re, im = (xp.real(alpha), xp.imag(alpha)) if is_complex(alpha) else (alpha, xp.zeros_like(alpha))
        left = xp.sum(xp.abs(rest) ** 2, axis=-2, keepdims=True) + im**2
        tau = xp.where(re > 0, left / (1 + xp.abs(re)), 1 - re)
        return one, tau if not is_complex(alpha) else xp.astype(tau, alpha.dtype) - 1j * xp.astype(im, alpha.dtype)
    if diagonal == "sign" or not is_complex(alpha):
        re = xp.real(alpha) if is_complex(alpha) else alpha
        d = xp.where(re >= 0, -one, one)
        return d, 1 - alpha * d
    size = xp.astype(xp.abs(alpha), alpha.dtype)
    return xp.where(size != 0, -alpha / xp.where(size != 0, size, one), -one), 1 + size


def _enter(q: Array, diagonal: str, **others: Array | None) -> Namespace:
    require_choice("diagonal", diagonal, ("phase", "sign", "none"))
    xp = enter(q=q, **{name: x for name, x in others.items() if x is not None})
    require_orthonormal(q, xp, square=False)
    return xp


def _diagonal(x: Array, xp: Namespace) -> Array:
    return xp.linalg.diagonal(x)


def _conj(x: Array, xp: Namespace) -> Array:
    return xp.conj(x) if is_complex(x) else x
