"""Retractions of the Stiefel manifold with their derivatives. Derivations: docs/derivations/retractions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from orthoref._polar.decomposition import polar
from orthoref._polar.derivatives import polar_jvp
from orthoref.arrays import Array, at_batch, first_index, is_complex, namespace, require_choice
from orthoref.errors import OutsideDomain
from orthoref.linalg import (
    UNSCALED,
    Scale,
    ct,
    eps,
    eye_like,
    frobenius,
    inner,
    inverse,
    rescale_derivative,
    skew_part,
    unit_scale,
)
from orthoref.stiefel.geodesic import exp, exp_jvp, exp_vjp
from orthoref.stiefel.metric import Metric
from orthoref.stiefel.rotation import (
    CAYLEY,
    RetractionCotangents,
    eigh,
    enter_pair,
    frame,
    householder,
    rotate,
    rotate_jvp,
    rotate_vjp,
    times,
)

Method = Literal["qr", "cholesky_qr", "polar", "cayley", "exp"]


# --- QR -----------------------------------------------------------------------------------------------------------


def retract_qr(x: Array, v: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    r"""QR retraction: the unitary factor of X + V = Q R with diag(R) >= 0.

    Parameters
    ----------
    x : array of shape (..., n, p), n >= p
        Point, X^H X = c^2 I.
    v : array of the shape of x
        Tangent vector at x, of any length.
    scale : float
        c.
    check : bool
        Whether to refuse a point off the manifold and a vector that is not tangent. With ``check=False`` the same
        formula for any pair; where R is singular Q is a completion, with phase 1 where r_ii = 0.

    Returns
    -------
    array of the shape of x
        c Q.

    Raises
    ------
    OutsideDomain
        NaN or infinity; x off the manifold or v not tangent, with the defect and the batch index.
    TypeError, ValueError
        As :func:`orthoref.arrays.enter`; wide x, another shape, ``scale`` not positive.

    Notes
    -----
    First order for every metric. Equation (RETR-QR) of the derivation page. Householder's QR: |I - Q^H Q| is a small
    multiple of n eps for every step, the forward error a multiple of n eps cond(X + V), and
    cond(X + V) <= (1 + |V/c|^2)^(1/2) for a tangent vector. 4 n p^2 - 4/3 p^3 flops, real.

    References
    ----------
    [AbsilMahonySepulchre2008]_.
    """
    xp, x, v = enter_pair(x, v, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    return times(householder(_sum(x, v)[0])[0], scale)


def retract_qr_jvp(x: Array, v: Array, x_dot: Array, v_dot: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    r"""Derivative of :func:`retract_qr` along (x_dot, v_dot).

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        The pair, as in :func:`retract_qr`.
    x_dot, v_dot : arrays of the shape of x
        Any directions: the formula Q(X + V) is differentiated as a function of two matrices.
    scale, check
        As in :func:`retract_qr`.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain
        As :func:`retract_qr`; R singular to working precision, min |r_ii| <= max(p, 8) eps max |r_ii|; a result that
        overflows.
    TypeError, ValueError
        As :func:`retract_qr`.

    Notes
    -----
    Equation (RETR-QR-D). Error a multiple of n eps cond(X + V)^2 |(X_dot, V_dot)|. QR and 6 n p^2 flops, real.
    """
    xp, x, v = enter_pair(x, v, scale, check, x_dot=x_dot, v_dot=v_dot)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        b, down = _sum(x, v)
        return _directed(_qr_push, b, down, x_dot, v_dot, *_factors(b))


def retract_qr_vjp(x: Array, v: Array, y_bar: Array, *, scale: float = 1.0, check: bool = True) -> RetractionCotangents:
    r"""Adjoint of :func:`retract_qr_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        The pair, as in :func:`retract_qr`.
    y_bar : array of the shape of x
        Cotangent of the result.
    scale, check
        As in :func:`retract_qr`.

    Returns
    -------
    RetractionCotangents
        ``x_bar`` and ``v_bar``; equal, since only X + V enters.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`retract_qr_jvp`.

    Notes
    -----
    Equation (RETR-QR-D*). QR and 6 n p^2 flops, real.
    """
    xp, x, v = enter_pair(x, v, scale, check, y_bar=y_bar)
    if 0 in x.shape:
        return RetractionCotangents(xp.zeros_like(x), xp.zeros_like(x))
    with np.errstate(all="ignore"):
        b, down = _sum(x, v)
        return _pulled(_qr_pull, b, down, y_bar, *_factors(b))


def retract_cholesky_qr(x: Array, v: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    r"""QR retraction through two Cholesky factorizations of p x p Gram matrices: the same function, products only.

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        The pair, as in :func:`retract_qr`.
    scale, check
        As in :func:`retract_qr`.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`retract_qr`.

    Notes
    -----
    CholeskyQR2, the second factorization to first order. The Gram matrix of X + V is I + (V/c)^H (V/c) for a tangent
    vector: well conditioned for moderate steps. A matrix with |R| |R^-1| > 10 p in the Frobenius norm, or whose first Q
    has a defect above sqrt(eps), takes Householder's way, per matrix of a stack. Equation (RETR-CHOL); 8 n p^2 flops,
    real, all in products.

    References
    ----------
    [YamamotoNakatsukasaYanagisawaFukaya2015]_.
    """
    xp, x, v = enter_pair(x, v, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        b, _ = _sum(x, v)
        q, _, safe = _cholesky_qr(b)
        return times(q if bool(xp.all(safe)) else xp.where(safe, q, householder(b)[0]), scale)


def retract_cholesky_qr_jvp(
    x: Array, v: Array, x_dot: Array, v_dot: Array, *, scale: float = 1.0, check: bool = True
) -> Array:
    r"""Derivative of :func:`retract_cholesky_qr`: :func:`retract_qr_jvp` with its factors.

    Parameters
    ----------
    x, v, x_dot, v_dot : arrays of shape (..., n, p)
        As in :func:`retract_qr_jvp`.
    scale, check
        As in :func:`retract_qr`.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`retract_qr_jvp`.

    Notes
    -----
    Equation (RETR-QR-D). 14 n p^2 flops, real.
    """
    xp, x, v = enter_pair(x, v, scale, check, x_dot=x_dot, v_dot=v_dot)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        b, down = _sum(x, v)
        return _directed(_qr_push, b, down, x_dot, v_dot, *_cholesky_factors(b))


def retract_cholesky_qr_vjp(
    x: Array, v: Array, y_bar: Array, *, scale: float = 1.0, check: bool = True
) -> RetractionCotangents:
    r"""Adjoint of :func:`retract_cholesky_qr_jvp`: :func:`retract_qr_vjp` with the factors of CholeskyQR2.

    Parameters
    ----------
    x, v, y_bar : arrays of shape (..., n, p)
        As in :func:`retract_qr_vjp`.
    scale, check
        As in :func:`retract_qr`.

    Returns
    -------
    RetractionCotangents
        ``x_bar`` and ``v_bar``, equal.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`retract_qr_jvp`.

    Notes
    -----
    Equation (RETR-QR-D*). 14 n p^2 flops, real.
    """
    xp, x, v = enter_pair(x, v, scale, check, y_bar=y_bar)
    if 0 in x.shape:
        return RetractionCotangents(xp.zeros_like(x), xp.zeros_like(x))
    with np.errstate(all="ignore"):
        b, down = _sum(x, v)
        return _pulled(_qr_pull, b, down, y_bar, *_cholesky_factors(b))


def _cholesky_qr(b: Array) -> tuple[Array, Array, Array]:
    """Q and R^-1 of B = Q R by Gram matrices, and for which matrices of the stack that is as good as Householder's."""
    xp = namespace(b)
    # (RETR-CHOL) B^H B = R_1^H R_1, Q_1 = B R_1^-1, E = Q_1^H Q_1 - I, Q = Q_1 (I - U), U = triu(E, 1) + diag(E)/2
    r = _cholesky(inner(b, b))
    down = inverse(r)
    q = b @ down
    e = inner(q, q) - eye_like(b)
    safe = (frobenius(r) * frobenius(down) <= 10 * b.shape[-1]) & (frobenius(e) <= eps(b) ** 0.5)  # NaN: not definite
    u = xp.triu(e) - eye_like(e) * (e / 2)
    return q - q @ u, down - down @ u, safe


def _cholesky_factors(b: Array) -> tuple[Array, Array]:
    """Q and R^-1 for the derivative."""
    xp = namespace(b)
    q, down, safe = _cholesky_qr(b)
    if bool(xp.all(safe)):
        return q, down
    return tuple(xp.where(safe, near, far) for near, far in zip((q, down), _factors(b), strict=True))


def _cholesky(g: Array) -> Array:
    """Upper triangular R with R^H R = G; NaN where the library says that G is not positive definite."""
    xp = namespace(g)
    try:
        return xp.linalg.cholesky(g, upper=True)
    except Exception as error:
        if "LinAlgError" not in type(error).__name__:
            raise
        return xp.full_like(g, float("nan"))


def _factors(b: Array) -> tuple[Array, Array]:
    """Q and R^-1; OutsideDomain where R is singular to working precision."""
    q, r = householder(b)
    xp, p = namespace(r), r.shape[-1]
    size = xp.abs(xp.linalg.diagonal(r))
    smallest, largest = xp.min(size, axis=-1), xp.max(size, axis=-1)
    outside = ~(smallest > max(p, 8) * eps(r) * largest)
    if bool(xp.any(outside)):
        index = first_index(outside, xp)
        raise OutsideDomain(
            f"the QR factor of x + v is not differentiable: min |r_ii|/max |r_ii| = "
            f"{float(smallest[index]) / float(largest[index]) if float(largest[index]) else 0.0:.3g}, "
            f"tolerance max(p, 8) eps" + at_batch(index)
        )
    return q, inverse(r)


def _qr_push(q: Array, r_inverse: Array, e: Array) -> Array:
    # (RETR-QR-D) Q_dot = (I - Q Q^H) E R^-1 + Q rho(Q^H E R^-1), rho(M) = L - L^H + i Im diag(M), L = tril(M, -1)
    xp = namespace(q)
    f = e @ r_inverse
    m = inner(q, f)
    lower = xp.tril(m, k=-1)
    return f + q @ (lower - ct(lower) + _turn(m) - m)


def _qr_pull(q: Array, r_inverse: Array, y_bar: Array) -> Array:
    # (RETR-QR-D*) B_bar = (Y_bar + Q (tril(M - M^H, -1) + i Im diag(M) - M)) R^-H, M = Q^H Y_bar
    xp = namespace(q)
    m = inner(q, y_bar)
    return (y_bar + q @ (xp.tril(m - ct(m), k=-1) + _turn(m) - m)) @ ct(r_inverse)


def _turn(m: Array) -> Array | float:
    """Imaginary diagonal i Im diag(M): the phases of the columns; 0 for real matrices."""
    if not is_complex(m):
        return 0.0
    xp = namespace(m)
    diagonal = (m - xp.conj(m)) / 2
    return diagonal * eye_like(m)


# --- what Q and U share: functions of X + V alone -----------------------------------------------------------------


def _sum(x: Array, v: Array) -> tuple[Array, Scale]:
    """2^-k (X + V) and the power of two, which is 1 unless a step is beyond 2^16."""
    with np.errstate(all="ignore"):
        scale = unit_scale(v, least=1.0)
        return scale.apply(x) + scale.apply(v), scale


def _directed(push: Callable[..., Array], b: Array, down: Scale, x_dot: Array, v_dot: Array, *factors: Array) -> Array:
    """The derivative along X_dot + V_dot, free of overflow and underflow on the way."""
    e_scale = unit_scale(namespace(b).concat([x_dot, v_dot], axis=-1))
    return rescale_derivative(push(*factors, e_scale.apply(x_dot) + e_scale.apply(v_dot)), down, e_scale)


def _pulled(pull: Callable[..., Array], b: Array, down: Scale, y_bar: Array, *factors: Array) -> RetractionCotangents:
    """The pull-back of Y_bar to X + V."""
    y_scale = unit_scale(y_bar)
    b_bar = rescale_derivative(pull(*factors, y_scale.apply(y_bar)), down, y_scale)
    return RetractionCotangents(b_bar, b_bar)


# --- polar --------------------------------------------------------------------------------------------------------

GRAM_LIMIT = 16.0  # condition of the Gram matrix up to which its eigenvalues lose two bits of the singular values


def retract_polar(x: Array, v: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    r"""Polar retraction: the unitary polar factor of X + V, the nearest point to X + V.

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        The pair, as in :func:`retract_qr`.
    scale, check
        As in :func:`retract_qr`.

    Returns
    -------
    array of the shape of x
        c (X + V)(c^2 I + V^H V)^(-1/2) for a tangent vector.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`retract_qr`.
    NotConverged
        The eigendecomposition or the SVD of the library failed.

    Notes
    -----
    Second order for the Euclidean metric, first order for the others. Equation (RETR-POLAR): through the p x p Gram
    matrix of X + V, 4 n p^2 flops and an eigendecomposition of order p, where its condition number is at most 16
    (|V|_2 <= 3.8 c), by :func:`orthoref.polar` elsewhere, per matrix of a stack. The Gram matrix is that of X + V, not
    I + V^H V: errors of X do not accumulate.

    References
    ----------
    [AbsilMahonySepulchre2008]_.
    """
    xp, x, v = enter_pair(x, v, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        b, _ = _sum(x, v)
        h_inverse, _, _, safe = _gram_polar(b)
        u = b @ h_inverse
        return times(u if bool(xp.all(safe)) else xp.where(safe, u, polar(b).u), scale)


def retract_polar_jvp(
    x: Array, v: Array, x_dot: Array, v_dot: Array, *, scale: float = 1.0, check: bool = True
) -> Array:
    r"""Derivative of :func:`retract_polar` along (x_dot, v_dot).

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        The pair, as in :func:`retract_qr`.
    x_dot, v_dot : arrays of the shape of x
        Any directions: the polar factor of X + V is differentiated as a function of two matrices.
    scale, check
        As in :func:`retract_qr`.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain
        As :func:`retract_qr`; X + V rank deficient, as :func:`orthoref.polar_jvp`; a result that overflows.
    NotConverged, TypeError, ValueError
        As :func:`retract_polar`.

    Notes
    -----
    Equation (RETR-POLAR-D): sums of singular values are divided by only, rounding errors stay rounding errors for the
    smallest steps. Error a multiple of n eps cond(X + V)^2 |(X_dot, V_dot)|. 10 n p^2 flops and the
    eigendecomposition, real.
    """
    xp, x, v = enter_pair(x, v, scale, check, x_dot=x_dot, v_dot=v_dot)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        b, down = _sum(x, v)
        return _directed(_polar_push, b, down, x_dot, v_dot, b)


def retract_polar_vjp(
    x: Array, v: Array, y_bar: Array, *, scale: float = 1.0, check: bool = True
) -> RetractionCotangents:
    r"""Adjoint of :func:`retract_polar_jvp`; the derivative of the polar factor is its own.

    Parameters
    ----------
    x, v, y_bar : arrays of shape (..., n, p)
        As in :func:`retract_qr_vjp`.
    scale, check
        As in :func:`retract_qr`.

    Returns
    -------
    RetractionCotangents
        ``x_bar`` and ``v_bar``, equal.

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`retract_polar_jvp`.

    Notes
    -----
    Equation (RETR-POLAR-D). 10 n p^2 flops and the eigendecomposition, real.
    """
    xp, x, v = enter_pair(x, v, scale, check, y_bar=y_bar)
    if 0 in x.shape:
        return RetractionCotangents(xp.zeros_like(x), xp.zeros_like(x))
    with np.errstate(all="ignore"):
        b, down = _sum(x, v)
        return _pulled(_polar_push, b, down, y_bar, b)


def _gram_polar(b: Array) -> tuple[Array, Array, Array, Array]:
    """H^-1, the eigenvalues s and eigenvectors Q of H, and where they can be trusted."""
    xp = namespace(b)
    # (RETR-POLAR) B^H B = Q diag(s^2) Q^H, U = B Q diag(1/s) Q^H
    square, q = eigh(inner(b, b))
    safe = (square[..., -1:] <= GRAM_LIMIT * square[..., :1]) & (square[..., :1] > 0)
    s = xp.sqrt(xp.where(safe, square, xp.ones_like(square)))
    return (q / s[..., None, :]) @ ct(q), s, q, safe[..., None]


def _polar_push(b: Array, e: Array) -> Array:
    # (RETR-POLAR-D) U_dot = U Q (Z - F diag(1/s)) Q^H + E H^-1, Z_ij = (F_ij - conj(F_ji))/(s_i + s_j), F = Q^H U^H E Q
    xp = namespace(b)
    h_inverse, s, q, safe = _gram_polar(b)
    row, column = s[..., None, :], s[..., :, None]
    f = (ct(q) @ inner(b, e) @ q) / column
    z = 2 * skew_part(f) / (row + column)
    if b.shape[-2] == b.shape[-1]:
        u_dot = b @ (q @ (z / column) @ ct(q))
    else:
        u_dot = b @ (q @ ((z - f / row) / column) @ ct(q))
        u_dot += e @ h_inverse
    return u_dot if bool(xp.all(safe)) else xp.where(safe, u_dot, polar_jvp(b, e, factor="u").u_dot)


# --- Cayley -------------------------------------------------------------------------------------------------------

CAYLEY_LIMIT = 2.0  # |M - I| <= 2 p^(1/2): the solve with M loses two bits at most


def retract_cayley(x: Array, v: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    r"""Cayley retraction (I - W/2)^-1 (I + W/2) X, W = P V X^H - X V^H P, P = I - X X^H/2 (c = 1).

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        The pair, as in :func:`retract_qr`.
    scale, check
        As in :func:`retract_qr`.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain
        As :func:`retract_qr`; v / scale overflows.
    NotConverged
        The eigendecomposition of the library failed.
    TypeError, ValueError
        As :func:`retract_qr`.

    Notes
    -----
    Second order for the canonical metric, first order for the others. Equation (RETR-CAYLEY): one p x p system,
    8 n p^2 flops, real; nothing n x n. Beyond |M - I| = 2 p^(1/2), M the matrix of that system, where solving it would
    cost orthogonality, through an eigendecomposition of order min(2p, n), (FRAME), per matrix of a stack. The defect
    X^H X - I is that of x but for rounding: the map is an isometry and does not reorthonormalize.

    References
    ----------
    [WenYin2013]_, where the system is of order 2p.
    """
    xp, x, v = enter_pair(x, v, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        at = _cayley_system(x, v)
        y = _half(x, at) @ at.inverse
        y -= x
        y = y if bool(xp.all(at.safe)) else xp.where(at.safe, y, rotate(CAYLEY, frame(x, v, 0.5)))
    return times(y, scale)


def retract_cayley_jvp(
    x: Array, v: Array, x_dot: Array, v_dot: Array, *, scale: float = 1.0, check: bool = True
) -> Array:
    r"""Derivative of :func:`retract_cayley` along (x_dot, v_dot).

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        The pair, as in :func:`retract_qr`.
    x_dot, v_dot : arrays of the shape of x
        Any directions: what is differentiated is the n x n formula of :func:`retract_cayley` as a function of two
        matrices. (For directions of the tangent bundle every formula has the same derivative.)
    scale, check
        As in :func:`retract_qr`.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`retract_cayley`; a result that overflows.

    Notes
    -----
    Equation (RETR-CAYLEY-D); about 34 n p^2 flops, real.
    """
    xp, x, v = enter_pair(x, v, scale, check, x_dot=x_dot, v_dot=v_dot)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        e_scale = unit_scale(xp.concat([x_dot, v_dot], axis=-1))
        x_dot, v_dot = e_scale.apply(x_dot), e_scale.apply(v_dot)
        at = _cayley_system(x, v)
        y_dot = _cayley_push(at, x, v, x_dot, v_dot)
        if not bool(xp.all(at.safe)):
            y_dot = xp.where(at.safe, y_dot, rotate_jvp(CAYLEY, frame(x, v, 0.5), x_dot, v_dot))
        return rescale_derivative(y_dot, UNSCALED, e_scale)


def retract_cayley_vjp(
    x: Array, v: Array, y_bar: Array, *, scale: float = 1.0, check: bool = True
) -> RetractionCotangents:
    r"""Adjoint of :func:`retract_cayley_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, v, y_bar : arrays of shape (..., n, p)
        As in :func:`retract_qr_vjp`.
    scale, check
        As in :func:`retract_qr`.

    Returns
    -------
    RetractionCotangents
        ``x_bar`` and ``v_bar``.

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`retract_cayley_jvp`.

    Notes
    -----
    Equation (RETR-CAYLEY-D*); 22 n p^2 flops, real, 11 products where the retraction has 4.
    """
    xp, x, v = enter_pair(x, v, scale, check, y_bar=y_bar)
    if 0 in x.shape:
        return RetractionCotangents(xp.zeros_like(x), xp.zeros_like(x))
    with np.errstate(all="ignore"):
        y_scale = unit_scale(y_bar)
        y_bar = y_scale.apply(y_bar)
        at = _cayley_system(x, v)
        pulled = _cayley_pull(at, x, v, y_bar)
        if not bool(xp.all(at.safe)):
            far = rotate_vjp(CAYLEY, frame(x, v, 0.5), y_bar)
            pulled = RetractionCotangents(*(xp.where(at.safe, near, y) for near, y in zip(pulled, far, strict=True)))
        return RetractionCotangents(*(rescale_derivative(y, UNSCALED, y_scale) for y in pulled))


class _CayleySystem(NamedTuple):
    """What the three Cayley functions share."""

    g: Array  # X^H V
    z: Array  # V - X G
    gram: Array  # Z^H Z
    inverse: Array  # of M
    safe: Array


def _cayley_system(x: Array, v: Array) -> _CayleySystem:
    # (RETR-CAYLEY) Y = (2X + Z) M^-1 - X, M = I - A/2 + Z^H Z/4, A = skew(X^H V), Z = V - X X^H V
    xp, (n, p) = namespace(x), x.shape[-2:]
    g = inner(x, v)
    step = -skew_part(g) / 2
    if n == p:  # nothing is outside the range of X
        z, gram = xp.zeros_like(x), xp.zeros_like(x)
    else:
        z = v - x @ g
        gram = inner(z, z)
        step = step + gram / 4
    safe = frobenius(step) <= CAYLEY_LIMIT * p**0.5
    m_inverse = inverse(eye_like(x) + xp.where(safe, step, xp.zeros_like(step)))
    return _CayleySystem(g, z, gram, m_inverse, safe)


def _half(x: Array, at: _CayleySystem) -> Array:
    """2X + Z, (I + W/2) X for tangents."""
    half = x + x
    if x.shape[-2] > x.shape[-1]:
        half += at.z
    return half


def _cayley_push(at: _CayleySystem, x: Array, v: Array, x_dot: Array, v_dot: Array) -> Array:
    # (RETR-CAYLEY-D) Y_dot = (I - W/2)^-1 (W_dot S/2 + 2 X_dot) - X_dot, S = X + Y, W_dot from T = V - X X^H V/2,
    # (I - W/2)^-1 F = F - X X^H F + (X + Z/2) M^-1 (X^H F - Z^H F/2)
    g_dot = inner(x_dot, v) + inner(x, v_dot)
    t = v - x @ (at.g / 2)
    t_dot = v_dot - (x_dot @ at.g + x @ g_dot) / 2
    half = _half(x, at)
    s = half @ at.inverse
    w_dot_s = t_dot @ (2 * at.inverse) - x_dot @ ((ct(at.g) + at.gram) @ at.inverse)
    f = (w_dot_s + t @ inner(x_dot, s) - x @ inner(t_dot, s)) / 2 + 2 * x_dot
    top = inner(x, f)
    return f - x @ top + half @ (at.inverse @ (top / 2 - inner(at.z, f) / 4)) - x_dot


def _cayley_pull(at: _CayleySystem, x: Array, v: Array, y_bar: Array) -> RetractionCotangents:
    # (RETR-CAYLEY-D*) G = (I + W/2)^-1 Y_bar = Y_bar + X (U - F) - Z U/2, U = M^-H (F + Z^H Y_bar/2), F = X^H Y_bar,
    # T_bar = G M^-H - S U^H/2, V_bar = T_bar - X K/2, K = X^H T_bar = U M^-H - M^-1 U^H,
    # X_bar = 2 G - Y_bar + (S (T^H G)^H - G (T^H S)^H - T_bar (X^H V)^H - V K^H)/2; p x p but the last products
    f, up = inner(x, y_bar), ct(at.inverse)
    twice_herm = at.g + ct(at.g)
    if x.shape[-2] == x.shape[-1]:
        u = up @ f
        k = 2 * skew_part(u @ up)
        return RetractionCotangents(x @ (2 * u - f + (at.g @ k - k @ twice_herm) / 2), x @ (k / 2))
    zy = inner(at.z, y_bar)
    u = up @ (f + zy / 2)
    uu = u @ up
    k = 2 * skew_part(uu)
    v_bar = y_bar @ up
    v_bar += x @ (k / 2 - f @ up)
    v_bar -= at.z @ ((uu + ct(uu)) / 2)
    a = at.inverse @ (ct(zy) + ct(u) @ (twice_herm - at.gram) / 2)
    b = up @ (twice_herm + at.gram)
    ub = u @ b
    x_bar = y_bar @ (eye_like(x) - b / 2)
    x_bar += x @ (2 * (u - f) + a + (f @ b - ub + at.g @ k) / 2)
    x_bar += at.z @ (a / 2 - u + ub / 4 + k / 2)
    return RetractionCotangents(x_bar, v_bar)


# --- by name ------------------------------------------------------------------------------------------------------


def retract(
    x: Array,
    v: Array,
    method: Method,
    *,
    metric: Metric | None = None,
    scale: float = 1.0,
    check: bool = True,
) -> Array:
    """The retraction of that name: ``retract_qr``, ``retract_cholesky_qr``, ``retract_polar``, ``retract_cayley``, exp.

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        The pair, as in :func:`retract_qr`.
    method : {"qr", "cholesky_qr", "polar", "cayley", "exp"}
    metric : {"euclidean", "canonical"} or float, optional
        Of ``method="exp"``, which needs it; the others have none.
    scale, check
        As in :func:`retract_qr`.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As the function of that name.
    """
    _require_method(method, metric)
    if method == "exp":
        return exp(x, v, metric, scale=scale, check=check)  # type: ignore[arg-type]
    return _OF[method][0](x, v, scale=scale, check=check)


def retract_jvp(
    x: Array,
    v: Array,
    x_dot: Array,
    v_dot: Array,
    method: Method,
    *,
    metric: Metric | None = None,
    scale: float = 1.0,
    check: bool = True,
) -> Array:
    """The derivative of :func:`retract`, ``retract_qr_jvp`` and so on.

    Parameters
    ----------
    x, v, x_dot, v_dot : arrays of shape (..., n, p)
        As in :func:`retract_qr_jvp`.
    method, metric, scale, check
        As in :func:`retract`.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As the function of that name.
    """
    _require_method(method, metric)
    if method == "exp":
        return exp_jvp(x, v, x_dot, v_dot, metric, scale=scale, check=check)  # type: ignore[arg-type]
    return _OF[method][1](x, v, x_dot, v_dot, scale=scale, check=check)


def retract_vjp(
    x: Array,
    v: Array,
    y_bar: Array,
    method: Method,
    *,
    metric: Metric | None = None,
    scale: float = 1.0,
    check: bool = True,
) -> RetractionCotangents:
    """The adjoint of :func:`retract_jvp`, ``retract_qr_vjp`` and so on.

    Parameters
    ----------
    x, v, y_bar : arrays of shape (..., n, p)
        As in :func:`retract_qr_vjp`.
    method, metric, scale, check
        As in :func:`retract`.

    Returns
    -------
    RetractionCotangents

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As the function of that name.
    """
    _require_method(method, metric)
    if method == "exp":
        return exp_vjp(x, v, y_bar, metric, scale=scale, check=check)  # type: ignore[arg-type]
    return _OF[method][2](x, v, y_bar, scale=scale, check=check)


_OF: dict[str, tuple[Callable[..., Array], Callable[..., Array], Callable[..., RetractionCotangents]]] = {
    "qr": (retract_qr, retract_qr_jvp, retract_qr_vjp),
    "cholesky_qr": (retract_cholesky_qr, retract_cholesky_qr_jvp, retract_cholesky_qr_vjp),
    "polar": (retract_polar, retract_polar_jvp, retract_polar_vjp),
    "cayley": (retract_cayley, retract_cayley_jvp, retract_cayley_vjp),
}


def _require_method(method: str, metric: Metric | None) -> None:
    require_choice("method", method, (*_OF, "exp"))
    if (metric is not None) != (method == "exp"):
        raise ValueError(f"metric={metric!r} with method={method!r}: exp needs a metric, the others have none")
