"""Derivatives of the polar decomposition, first and second, and its condition. Derivations: docs/derivations/polar."""

from __future__ import annotations

from typing import Literal, NamedTuple

import array_api_compat as compat
import numpy as np

from orthoref._polar.decomposition import Side, polar, refuse_small, sums, svd
from orthoref.arrays import Array, Namespace, enter, is_complex, namespace, require_choice, require_shape
from orthoref.linalg import Scale, ct, hermitian_part, inner, rescale_derivative, skew_part, unit_scale


class PolarTangent(NamedTuple):
    """Directional derivatives of both factors; ``None`` for a factor that was not asked for."""

    u_dot: Array
    h_dot: Array


def polar_jvp(
    a: Array, a_dot: Array, *, side: Side = "right", factor: Literal["both", "u", "h"] = "both"
) -> PolarTangent:
    r"""Derivative of :func:`polar` at ``a`` along ``a_dot``.

    Parameters
    ----------
    a, a_dot : arrays of shape (..., m, n)
        Point and direction; same namespace, dtype and device.
    side : {"right", "left"}
        As in :func:`polar`.
    factor : {"both", "u", "h"}
        Which derivative. U alone has the larger domain.

    Returns
    -------
    PolarTangent
        ``u_dot`` of the shape of u and Hermitian ``h_dot`` of the shape of h; None if not asked for.

    Raises
    ------
    OutsideDomain
        Where the derivative does not exist to working precision, with the singular values in the message.
        With the tolerance t = max(k, 8) eps sigma_max, k = min(m, n): h needs sigma_min > t, u of a complex or
        rectangular matrix too, u of a real square one sigma_n + sigma_{n-1} > t. (A real square matrix with one zero
        singular value has two completed polar factors; each is differentiable, and the one that
        :func:`polar` returns by the SVD is meant.)

    Notes
    -----
    With the thin SVD A = P diag(s) V^H and F = P^H E V, only sums of singular values are divided by:
    repeated ones are harmless. Errors are a small multiple of eps times :func:`polar_condition`.
    Equations (DU) and (DH) of the derivation page; about 30 n^3 flops, real square, of which 22 for the SVD.
    """
    require_choice("side", side, ("right", "left"))
    require_choice("factor", factor, ("both", "u", "h"))
    enter(a=a, a_dot=a_dot)
    require_shape("a_dot", a_dot, a.shape)
    if a.shape[-2] < a.shape[-1]:  # A = U H is A^H = H U^H
        u_dot, h_dot = polar_jvp(ct(a), ct(a_dot), side=_OTHER[side], factor=factor)
        return PolarTangent(None if u_dot is None else ct(u_dot), h_dot)
    want_u, want_h = factor != "h", factor != "u"
    if 0 in a.shape:
        zero = polar(a, side=side)
        return PolarTangent(zero.u if want_u else None, zero.h if want_h else None)

    scale, e_scale = unit_scale(a), unit_scale(a_dot)
    p, s, v = _svd_in_domain(scale, a, want_u, want_h)
    e = e_scale.apply(a_dot)
    u_dot = h_dot = None
    if want_u:
        u_dot = rescale_derivative(_move(p, s, v, e).u(p) @ ct(v), scale, e_scale)
    if want_h:
        # (DH) H_dot = V K V^H, K_ij = (s_i F_ij + s_j conj(F_ji))/(s_i + s_j)
        f = inner(p, e @ v)
        if side == "left":  # the same with F^H, in the basis P, and the part of E outside it
            f = ct(f)
        k = hermitian_part(2 * _weight(s) * f)
        if side == "right":
            h_dot = v @ k @ ct(v)
        else:
            h_dot = p @ k @ ct(p) + 2 * hermitian_part(_outside(p, e @ v) @ ct(p))
        h_dot = e_scale.undo(hermitian_part(h_dot))
    return PolarTangent(u_dot, h_dot)


def polar_vjp(a: Array, u_bar: Array | None, h_bar: Array | None = None, *, side: Side = "right") -> Array:
    r"""Adjoint of :func:`polar_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    a : array of shape (..., m, n)
    u_bar, h_bar : arrays of the shapes of u and h, or None
        Cotangents; None stands for zero, and its factor then puts no condition on ``a``.
    side : {"right", "left"}
        As in :func:`polar`.

    Returns
    -------
    array of shape (..., m, n)
        ``a_bar`` with ``<polar_jvp(a, e), (u_bar, h_bar)> = <e, a_bar>`` for every e.

    Raises
    ------
    OutsideDomain
        As :func:`polar_jvp`, for the factors whose cotangent is given.

    Notes
    -----
    The derivative of U is its own adjoint: U is the gradient of the nuclear norm. Equations (DU) and (DH*).
    """
    xp = _enter(a, u_bar, h_bar, side)
    if a.shape[-2] < a.shape[-1]:
        return ct(polar_vjp(ct(a), None if u_bar is None else ct(u_bar), h_bar, side=_OTHER[side]))
    if 0 in a.shape:
        return xp.zeros_like(a)

    scale = unit_scale(a)
    p, s, v = _svd_in_domain(scale, a, u_bar is not None, h_bar is not None)
    a_bar = xp.zeros_like(a)
    if u_bar is not None:
        u_scale = unit_scale(u_bar)
        pulled = _move(p, s, v, u_scale.apply(u_bar)).u(p) @ ct(v)
        a_bar = a_bar + rescale_derivative(pulled, scale, u_scale)
    if h_bar is not None:
        h_scale = unit_scale(h_bar)
        a_bar = a_bar + h_scale.undo(_h_pull_back(p, s, v, hermitian_part(h_scale.apply(h_bar)), side))
    return a_bar


def polar_vjp_jvp(
    a: Array, a_dot: Array, u_bar: Array | None, h_bar: Array | None = None, *, side: Side = "right"
) -> Array:
    r"""Derivative of :func:`polar_vjp` at ``a`` along ``a_dot``, the cotangents held fixed.

    Parameters
    ----------
    a, a_dot : arrays of shape (..., m, n)
        Point and direction; same namespace, dtype and device.
    u_bar, h_bar : arrays of the shapes of u and h, or None
        Cotangents; None stands for zero, and its factor then puts no condition on ``a``.
    side : {"right", "left"}
        As in :func:`polar`.

    Returns
    -------
    array of shape (..., m, n)
        ``a_bar_dot``, the derivative of ``polar_vjp(a + t a_dot, u_bar, h_bar)`` at t = 0.

    Raises
    ------
    OutsideDomain
        As :func:`polar_vjp`; a result with entries beyond the largest finite number.
    NotConverged
        The SVD of the library failed.
    TypeError, ValueError
        As :func:`polar_vjp`; both cotangents None.

    Notes
    -----
    ``polar_vjp(a, u_bar, h_bar)`` is the gradient of ``<u_bar, u> + <h_bar, h>``, so that this is a Hessian applied to
    ``a_dot``: self-adjoint, ``<w, D[e]> = <e, D[w]>``. It is therefore also what the double backward of a framework
    returns: with w the cotangent of ``a_bar``, the gradient with respect to a is ``polar_vjp_jvp(a, w, u_bar, h_bar)``,
    and the one with respect to the cotangents is ``polar_jvp(a, w)``.

    Equations (DDU), (DDH) and (DDL) of the derivation page divide by sums of singular values only: repeated and
    clustered ones are ordinary points. Its norm is at most 6 kappa^2 |a_dot||u_bar| + 11 kappa |a_dot||h_bar|, and its
    error a multiple of n eps kappa |a| of that, kappa = 1/sigma_min (2/(sigma_n + sigma_{n-1}) for u of a real
    square matrix). Homogeneous in a of degree -2 in its first part and -1 in the second. About 40 n^3 flops for u_bar,
    52 n^3 for both, real, square, right, of which 22 for the SVD.
    """
    xp = _enter(a, u_bar, h_bar, side, a_dot=a_dot)
    if a.shape[-2] < a.shape[-1]:
        u_bar = None if u_bar is None else ct(u_bar)
        return ct(polar_vjp_jvp(ct(a), ct(a_dot), u_bar, h_bar, side=_OTHER[side]))
    if 0 in a.shape:
        return xp.zeros_like(a)

    scale, e_scale = unit_scale(a), unit_scale(a_dot)
    p, s, v = _svd_in_domain(scale, a, u_bar is not None, h_bar is not None)
    e, a_bar_dot = e_scale.apply(a_dot), xp.zeros_like(a)
    along = _move(p, s, v, e)
    if u_bar is not None:
        u_scale = unit_scale(u_bar)
        bent = _u_second(p, s, v, along, u_scale.apply(u_bar))
        a_bar_dot = a_bar_dot + rescale_derivative(bent, scale, e_scale, u_scale, degree=-2)
    if h_bar is not None:
        h_scale = unit_scale(h_bar)
        bent = _h_second(p, s, v, e, along, hermitian_part(h_scale.apply(h_bar)), side)
        a_bar_dot = a_bar_dot + rescale_derivative(bent, scale, e_scale, h_scale)
    return a_bar_dot


def polar_condition(a: Array, *, factor: Literal["u", "h"] = "u", side: Side = "right") -> Array:
    r"""Absolute condition number of a polar factor in the Frobenius norm.

    Parameters
    ----------
    a : array of shape (..., m, n)
    factor : {"u", "h"}
    side : {"right", "left"}
        Matters for ``factor="h"`` of a rectangular matrix.

    Returns
    -------
    real array of shape (...)
        sup |U_dot| over |A_dot| = 1, in units of 1/a (for h: a pure number between 1 and sqrt(2)):
        U: 2/(s_n + s_{n-1}) real square, 1/s_n complex or rectangular, 0 for a real number;
        H: sqrt(2 (1 + r^2))/(1 + r) with r = s_n/s_1, sqrt(2) for the larger factor of a rectangular matrix.
        Infinite, or of the order of 1/(eps |A|), where U is not differentiable. For a real square matrix it is a
        local statement: a perturbation that changes the sign of the determinant moves U by 2.

    Raises
    ------
    OutsideDomain
        NaN or infinity.
    NotConverged
        The SVD of the library failed.
    TypeError, ValueError
        Wrong type, dtype, number of dimensions or option.

    Notes
    -----
    Equations (KU) and (KH) of the derivation page, with proof; see also [Higham2008]_ chapter 8.
    """
    require_choice("factor", factor, ("u", "h"))
    require_choice("side", side, ("right", "left"))
    xp = enter(a=a)
    *batch, m, n = a.shape
    real = xp.real(a) if is_complex(a) else a
    if 0 in a.shape:
        return xp.zeros(tuple(batch), dtype=real.dtype, device=compat.device(a))
    with np.errstate(all="ignore"):
        scale = unit_scale(a)
        s = svd(scale.apply(a))[1]
        largest, smallest = s[..., 0], s[..., -1]
        if factor == "h":
            larger = (side == "left") if m > n else (side == "right")
            if m != n and larger:
                return xp.full_like(largest, 2**0.5)
            ratio = xp.where(largest > 0, smallest / largest, xp.ones_like(largest))
            return xp.sqrt(2 * (1 + ratio**2)) / (1 + ratio)
        if is_complex(a) or m != n:
            kappa = 1 / smallest
        elif n > 1:
            kappa = 2 / (smallest + s[..., -2])
        else:
            return xp.zeros_like(smallest)
        return scale.apply(kappa[..., None, None])[..., 0, 0]


_OTHER: dict[str, Side] = {"right": "left", "left": "right"}


def _enter(a: Array, u_bar: Array | None, h_bar: Array | None, side: str, **directions: Array) -> Namespace:
    require_choice("side", side, ("right", "left"))
    if u_bar is None and h_bar is None:
        raise ValueError("u_bar and h_bar are both None: nothing to pull back")
    given = {name: x for name, x in (("u_bar", u_bar), ("h_bar", h_bar)) if x is not None}
    xp = enter(a=a, **directions, **given)
    *batch, m, n = a.shape
    for name, x in directions.items():
        require_shape(name, x, a.shape)
    if u_bar is not None:
        require_shape("u_bar", u_bar, a.shape)
    if h_bar is not None:
        require_shape("h_bar", h_bar, (*batch, *((n, n) if side == "right" else (m, m))))
    return xp


def _svd_in_domain(scale: Scale, a: Array, want_u: bool, want_h: bool) -> tuple[Array, Array, Array]:
    """P, s, V of the scaled matrix, if the derivatives that are wanted exist there."""
    x = scale.apply(a)
    p, s, vh = svd(x)
    square_real = x.shape[-2] == x.shape[-1] and not is_complex(x)
    if want_h or not square_real:
        refuse_small(s[..., -1:], s, x, scale, "the polar factors are not differentiable")
    elif s.shape[-1] > 1:
        refuse_small(s[..., -1:] + s[..., -2:-1], s, x, scale, "u is not differentiable")
    return p, s, ct(vh)


class _Move(NamedTuple):
    """First derivative along E in the bases P and V: F = P^H E V, U_dot V = P Z + N, H_dot V = V K."""

    f: Array
    z: Array
    n: Array | None  # None where P is square and nothing is outside its range

    def k(self, s: Array) -> Array:
        """(DH) K_ij = (s_i F_ij + s_j conj(F_ji))/(s_i + s_j)."""
        return hermitian_part(2 * _weight(s) * self.f)

    def u(self, p: Array) -> Array:
        """U_dot V."""
        return _with_outside(p @ self.z, self.n)


def _move(p: Array, s: Array, v: Array, e: Array) -> _Move:
    """(DU) Z_ij = (F_ij - conj(F_ji))/(s_i + s_j), N = (I - P P^H) E V diag(s)^-1."""
    ev = e @ v
    f = inner(p, ev)
    z = 2 * skew_part(f) / _positive(sums(s))
    return _Move(f, z, None if p.shape[-2] == p.shape[-1] else _outside(p, ev) / s[..., None, :])


def _h_pull_back(p: Array, s: Array, v: Array, y: Array, side: str) -> Array:
    """(DH*) A_bar = P G V^H, G_ij = 2 s_i S_ij/(s_i + s_j), S = V^H Y V, Y = sym(H_bar)."""
    if side == "right":
        return p @ (2 * _weight(s) * (ct(v) @ y @ v)) @ ct(v)
    return (p @ (2 * _weight(s).mT * (ct(p) @ y @ p)) + 2 * _outside(p, y @ p)) @ ct(v)


def second(
    p: Array,
    s: Array,
    v: Array,
    e: Array,
    u_bar: Array | None = None,
    h_bar: Array | None = None,
    side: Side = "right",
) -> Array:
    """The derivative of the VJP along E at a tall or square A = P diag(s) V^H whose thin SVD is known.

    Nothing is checked or scaled. Leading axes broadcast: a stack of E, one P, s, V. Self-adjoint in E.
    """
    along = _move(p, s, v, e)
    total = 0.0
    if u_bar is not None:
        total = total + _u_second(p, s, v, along, u_bar)
    if h_bar is not None:
        total = total + _h_second(p, s, v, e, along, hermitian_part(h_bar), side)
    return total


def _u_second(p: Array, s: Array, v: Array, along: _Move, u_bar: Array) -> Array:
    moved = _move(p, s, v, u_bar)
    return _bend(p, s, along, moved, along.k(s), moved.k(s)) @ ct(v)


def _bend(p: Array, s: Array, one: _Move, two: _Move, one_k: Array, two_k: Array) -> Array:
    """Second derivative of U along two directions, times V, from the first derivatives of U and H.

    (DDU) P (2 w_ij B_ij - (T - T^H)_ij/(s_i + s_j)) - (N K' + N' K) diag(s)^-1, w_ij = s_i/(s_i + s_j),
    B = sym(Z Z' - N^H N'), T = Z K' + Z' K.
    """
    b, t = one.z @ two.z, one.z @ two_k + two.z @ one_k
    if one.n is not None:
        b = b - inner(one.n, two.n)
    inside = p @ (2 * _weight(s) * hermitian_part(b) - 2 * skew_part(t) / _positive(sums(s)))
    return inside if one.n is None else inside - (one.n @ two_k + two.n @ one_k) / s[..., None, :]


def _h_second(p: Array, s: Array, v: Array, e: Array, along: _Move, y: Array, side: str) -> Array:
    """Derivative of (DH*) along E."""
    k = along.k(s)
    if side == "right":
        # (DDH) E R + A R_dot, R = V (2 S_ij/(s_i + s_j)) V^H, H R_dot + R_dot H = -(H_dot R + R H_dot), without the
        # terms in 1/s_n that cancel: Z G + w_ji M_ij - w_ij conj(M_ji), M = K R, G = diag(s) R
        y, w = ct(v) @ y @ v, _weight(s)
        r = 2 * y / sums(s)
        m = k @ r
        moved = along.z @ (2 * w * y) + (w.mT * m - w * ct(m))
        outside = None if along.n is None else (along.n * s[..., None, :]) @ r
        return _with_outside(p @ moved, outside) @ ct(v)
    # (DDL) Y U_dot + DU[Y E] + D^2 U[E, Y A]; the first derivatives along Y A have no quotient that can be large
    yp = y @ p
    f = inner(p, yp)
    rows, columns = s[..., :, None], s[..., None, :]
    of_ya = _Move(f * columns, f * (columns - rows) / sums(s), None if along.n is None else _outside(p, yp))
    bent = _bend(p, s, along, of_ya, k, 2 * f * rows * columns / sums(s))
    return (y @ along.u(p) + _move(p, s, v, y @ e).u(p) + bent) @ ct(v)


def _with_outside(inside: Array, outside: Array | None) -> Array:
    return inside if outside is None else inside + outside


def _outside(p: Array, x: Array) -> Array:
    """(I - P P^H) X."""
    return x - p @ inner(p, x)


def _positive(total: Array) -> Array:
    """A zero sum meets a zero numerator only (one zero singular value of a real square matrix)."""
    xp = namespace(total)
    return xp.where(total > 0, total, xp.ones_like(total))


def _weight(s: Array) -> Array:
    """s_i/(s_i + s_j), 1/2 for two zeros."""
    xp, total = namespace(s), sums(s)
    return xp.where(total > 0, s[..., :, None] / _positive(total), xp.full_like(total, 0.5))
