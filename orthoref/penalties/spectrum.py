"""Penalties of the singular values: restricted isometry, spectral norm, distance. docs/derivations/penalties."""

from __future__ import annotations

from typing import NamedTuple

from orthoref._polar.decomposition import svd
from orthoref._polar.derivatives import polar_jvp
from orthoref.arrays import Array, is_complex, namespace, require_choice
from orthoref.linalg import ct, eps, frobenius, inner
from orthoref.penalties.door import (
    Gram,
    Subgradient,
    dot,
    enter_matrix,
    first,
    matrices,
    near_one,
    numbers,
    quotient,
    refuse,
    shifted,
    turned,
)


def spectral_restricted_isometry(w: Array, *, gram: Gram) -> Array:
    """Spectral restricted isometry, |G - I| in the spectral norm, exactly.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`.

    Returns
    -------
    real array of shape (...)
        The largest |s^2 - 1| over the singular values; for the larger Gram matrix at least 1.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.
    NotConverged
        The SVD of the library failed.

    Notes
    -----
    Equation (SRIP); [BansalChenWang2018]_, who run two steps of a power iteration instead:
    :func:`spectral_restricted_isometry_power`.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import penalties
    >>> w = np.diag(np.asarray([1.25, 0.5]))
    >>> round(float(penalties.spectral_restricted_isometry(w, gram="columns")), 12)
    0.75
    """
    enter_matrix(w)
    s = _spectrum(w, gram)
    return numbers(namespace(w).max(s.size, axis=-1, keepdims=True), 2 * s.e)


def spectral_restricted_isometry_gradient(w: Array, *, gram: Gram, subgradient: Subgradient = "mean") -> Array:
    """Gradient of :func:`spectral_restricted_isometry`, 2 sign(s^2 - 1) s p v^H.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`. For the larger Gram matrix it is zero wherever all singular values are
        below root 2: the eigenvalue -1 of G - I does not move.
    subgradient : {"mean", "first", "raise"}
        Where several eigenvalues of G - I have the largest absolute value up to rounding, max(k, 8) eps of
        max(|W|_2^2, 1): the mean over an orthonormal basis of their eigenvectors, which no choice of the basis
        changes; the gradient of the largest singular value among them, of one vector that the SVD of the library
        chose; :class:`~orthoref.OutsideDomain` if they have different gradients. Where G = I to rounding: zero,
        zero, or the error.

    Returns
    -------
    array of shape (..., m, n)
        Its error is a multiple of the rounding of G, divided by the gap between the eigenvalue and the others.

    Raises
    ------
    OutsideDomain, TypeError, ValueError, NotConverged
        As :func:`spectral_restricted_isometry`.

    Notes
    -----
    Equation (SRIP-GRAD).
    """
    require_choice("subgradient", subgradient, ("mean", "first", "raise"))
    enter_matrix(w)
    s = _spectrum(w, gram)
    xp, tied, there = namespace(w), *s.tied()
    if subgradient == "raise":
        refuse(~there | s.differ(tied), _MANY)
    if subgradient == "first":
        tied = first(tied)
    share = quotient(xp.astype(tied & there, s.s.dtype), s.count(tied))
    # (SRIP-GRAD)
    return matrices(s.turn((s.p * (2 * s.sign * s.s * share[..., : s.s.shape[-1]])) @ ct(s.v)), s.e)


def spectral_restricted_isometry_hvp(w: Array, w_dot: Array, *, gram: Gram) -> Array:
    """Hessian of :func:`spectral_restricted_isometry` applied to a direction.

    Parameters
    ----------
    w, w_dot : arrays of shape (..., m, n)
        Point and direction.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain
        As :func:`soft_orthogonality`; the largest eigenvalue is not the only one, or vanishes.
    TypeError, ValueError, NotConverged
        As :func:`spectral_restricted_isometry`.

    Notes
    -----
    Equation (SRIP-HESS).
    """
    enter_matrix(w, w_dot=w_dot)
    s, (u, ev) = _spectrum(w, gram), near_one(w_dot)
    xp, tied, there = namespace(w), *s.tied()
    k = s.s.shape[-1]
    moving = tied[..., :k] & ~xp.any(tied[..., k:], axis=-1, keepdims=True)  # constant where a fixed one is the largest
    refuse(~there | (s.count(moving) > 1) | s.differ(tied), _MANY)
    u, which = s.turn(u), xp.astype(moving, s.s.dtype)
    v, p = _pick(s.v, which), _pick(s.p, which)
    value = xp.sum(s.s * which, axis=-1, keepdims=True)
    # (SRIP-HESS) v_dot = sum_j v_j (v_j^H E v)/(s^2 - s_j^2), E = X^H U + U^H X
    x = (s.p * s.s) @ ct(s.v)
    gap = (value - s.s) * (value + s.s)
    gap = xp.where(moving | ~xp.any(moving, axis=-1, keepdims=True), xp.ones_like(gap), gap)
    v_dot = s.v @ ((1 - which).mT * (ct(s.v) @ (inner(x, u @ v) + inner(u, x @ v))) / gap.mT)
    side = xp.sum(s.sign * which, axis=-1, keepdims=True)
    bent = (u @ v + x @ v_dot) @ ct(v) + value * p @ ct(v_dot)
    return matrices(s.turn(2 * side * bent), ev)


def spectral_norm(w: Array) -> Array:
    """Spectral norm, the largest singular value.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.

    Returns
    -------
    real array of shape (...)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.
    NotConverged
        The SVD of the library failed.

    Notes
    -----
    Equation (NORM2); [YoshidaMiyato2017]_ penalise its square.
    """
    enter_matrix(w)
    x, e = near_one(w)
    return numbers(svd(x)[1][..., None, :1], e)


def spectral_norm_gradient(w: Array, *, subgradient: Subgradient = "mean") -> Array:
    """Gradient of :func:`spectral_norm`, p v^H of the largest singular value.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    subgradient : {"mean", "first", "raise"}
        Where several singular values are the largest one within max(k, 8) eps of it: the mean over their singular
        vectors, P V^H divided by their number; one pair that the SVD of the library chose;
        :class:`~orthoref.OutsideDomain`. At the zero matrix: zero, zero, or the error.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError, NotConverged
        As :func:`spectral_norm`.

    Notes
    -----
    Equation (NORM2-GRAD).
    """
    require_choice("subgradient", subgradient, ("mean", "first", "raise"))
    enter_matrix(w)
    xp, (x, _) = namespace(w), near_one(w)
    p, s, vh = svd(x)
    s = s[..., None, :]
    tied = _top(s, s.shape[-1], x) & (s[..., :1] > 0)
    count = xp.sum(xp.astype(tied, s.dtype), axis=-1, keepdims=True)
    if subgradient == "raise":
        refuse(count != 1, "the largest singular value is zero or not the only one")
    if subgradient == "first":
        tied, count = first(tied), xp.ones_like(count)
    return (p * quotient(xp.astype(tied, s.dtype), count)) @ vh


def spectral_norm_hvp(w: Array, w_dot: Array) -> Array:
    """Hessian of :func:`spectral_norm` applied to a direction.

    Parameters
    ----------
    w, w_dot : arrays of shape (..., m, n)
        Point and direction.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain
        As :func:`spectral_norm`; the largest singular value is zero or not the only one.
    TypeError, ValueError, NotConverged
        As :func:`spectral_norm`.

    Notes
    -----
    Equation (NORM2-HESS).
    """
    enter_matrix(w, w_dot=w_dot)
    xp, (x, e), (u, ev) = namespace(w), near_one(w), near_one(w_dot)
    x, u = _tall(x), _tall(u)
    p, s, vh = svd(x)
    s = s[..., None, :]
    tied = _top(s, s.shape[-1], x)
    refuse(
        (xp.sum(xp.astype(tied, s.dtype), axis=-1, keepdims=True) != 1) | (s[..., :1] == 0),
        "the largest singular value is zero or not the only one",
    )
    s1, rest = s[..., :1], s[..., 1:]
    p1, v1 = p[..., :1], ct(vh)[..., :1]
    # (NORM2-HESS) with a = P^H U v, b = V^H U^H p
    uv, up = u @ v1, inner(u, p1)
    a, b = inner(p, uv), vh @ up
    gap = ((s1 - rest) * (s1 + rest)).mT
    p_dot = p[..., 1:] @ ((s1 * a[..., 1:, :] + rest.mT * b[..., 1:, :]) / gap) + (uv - p @ a) / s1
    v_dot = ct(vh)[..., 1:] @ ((s1 * b[..., 1:, :] + rest.mT * a[..., 1:, :]) / gap)
    moved = p_dot @ ct(v1) + p1 @ ct(v_dot)
    if is_complex(w):
        moved = moved + 1j * xp.astype(xp.imag(a[..., :1, :]), w.dtype) / s1 * (p1 @ ct(v1))
    return matrices(_tall(moved, w), ev - e)


def distance(w: Array) -> Array:
    """Distance to the nearest matrix with orthonormal columns (wide: rows), |W - U| in the Frobenius norm.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.

    Returns
    -------
    real array of shape (...)
        The root of the sum of (s - 1)^2 over the min(m, n) singular values.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.
    NotConverged
        The SVD of the library failed.

    Notes
    -----
    Equation (DIST). Between |G - I|/(|W|_2 + 1) and |G - I| for the smaller Gram matrix G.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import penalties
    >>> round(float(penalties.distance(np.diag(np.asarray([4.0, 5.0])))), 12)
    5.0
    """
    enter_matrix(w)
    _, s, _, e = _svd(w)
    return numbers(frobenius(s - _one(e)), e)


def distance_gradient(w: Array, *, subgradient: Subgradient = "mean") -> Array:
    """Gradient of :func:`distance`, (W - U)/|W - U|.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    subgradient : {"mean", "first", "raise"}
        Where W = U to rounding: zero, zero, or :class:`~orthoref.OutsideDomain`. Where W is rank deficient, s <=
        max(k, 8) eps |W|_2, the nearest matrix is not unique: for U its mean, the partial isometry; one of them,
        which the SVD of the library chose; the error.

    Returns
    -------
    array of shape (..., m, n)
        Of norm 1, less at a rank deficient matrix with "mean".

    Raises
    ------
    OutsideDomain, TypeError, ValueError, NotConverged
        As :func:`distance`.

    Notes
    -----
    Equation (DIST-GRAD). At a rank deficient matrix the distance has a ridge: every choice leads away from it.
    """
    require_choice("subgradient", subgradient, ("mean", "first", "raise"))
    enter_matrix(w)
    xp, (size, there, away, full, _) = namespace(w), _away(w, subgradient == "mean")
    if subgradient == "raise":
        refuse(~there | ~full, _RIDGE)
    return quotient(away, xp.where(there, size, xp.zeros_like(size)))


def distance_hvp(w: Array, w_dot: Array) -> Array:
    """Hessian of :func:`distance` applied to a direction.

    Parameters
    ----------
    w, w_dot : arrays of shape (..., m, n)
        Point and direction.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain
        As :func:`distance`; rank deficient, or W = U to rounding.
    TypeError, ValueError, NotConverged
        As :func:`distance`.

    Notes
    -----
    Equation (DIST-HESS).
    """
    enter_matrix(w, w_dot=w_dot)
    v, ev = near_one(w_dot)
    size, there, away, full, e = _away(w, False)
    refuse(~there | ~full, _RIDGE)
    d = away / size
    # (DIST-HESS) (V - D <D, V> - U_dot)/|W - U|
    bent, back = _less_polar_dot(v - d * dot(d, v), w, v)
    return matrices(bent / size, ev - e + back)


def distance_squared(w: Array) -> Array:
    """Squared distance to the nearest matrix with orthonormal columns (wide: rows), |W - U|^2.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.

    Returns
    -------
    real array of shape (...)
        |W|^2 - 2 |W|_* + min(m, n), with the nuclear norm.

    Raises
    ------
    OutsideDomain, TypeError, ValueError, NotConverged
        As :func:`distance`.

    Notes
    -----
    Equation (DIST2).
    """
    enter_matrix(w)
    _, s, _, e = _svd(w)
    gaps = s - _one(e)
    return numbers(dot(gaps, gaps), 2 * e)


def distance_squared_gradient(w: Array, *, subgradient: Subgradient = "mean") -> Array:
    """Gradient of :func:`distance_squared`, 2 (W - U).

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    subgradient : {"mean", "first", "raise"}
        Where W is rank deficient, as in :func:`distance_gradient`. (At W = U it is smooth.)

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError, NotConverged
        As :func:`distance`.

    Notes
    -----
    Equation (DIST2-GRAD).
    """
    require_choice("subgradient", subgradient, ("mean", "first", "raise"))
    enter_matrix(w)
    _, _, away, full, e = _away(w, subgradient == "mean")
    if subgradient == "raise":
        refuse(~full, _RIDGE)
    return matrices(2 * away, e)


def distance_squared_hvp(w: Array, w_dot: Array) -> Array:
    """Hessian of :func:`distance_squared` applied to a direction, 2 (V - U_dot).

    Parameters
    ----------
    w, w_dot : arrays of shape (..., m, n)
        Point and direction.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain
        As :func:`distance`; rank deficient.
    TypeError, ValueError, NotConverged
        As :func:`distance`.

    Notes
    -----
    Equation (DIST2-HESS).
    """
    enter_matrix(w, w_dot=w_dot)
    refuse(~_away(w, False)[3], _RIDGE)
    v, ev = near_one(w_dot)
    bent, back = _less_polar_dot(v, w, v)
    return matrices(2 * bent, ev + back)


_MANY = "the eigenvalue of G - I of the largest absolute value vanishes or is not the only one"
_RIDGE = "the nearest orthonormal matrix is not unique, or the distance vanishes"


class _Spectrum(NamedTuple):
    """Tall X = P diag(s) V^H; |s_j^2 - 1| 4^-e, and one more for the eigenvalues of -1 that do not move, if any."""

    p: Array
    s: Array  # (..., 1, k)
    v: Array
    e: Array
    size: Array  # (..., 1, k or k + 1)
    sign: Array
    fixed: int  # how many eigenvalues are -1 whatever W is
    wide: bool

    def turn(self, x: Array) -> Array:
        return ct(x) if self.wide else x

    def tied(self) -> tuple[Array, Array]:
        """Which eigenvalues have the largest absolute value up to rounding; whether it is not zero up to rounding."""
        xp, k = namespace(self.s), self.s.shape[-1]
        rounding = max(k, 8) * eps(self.s) * (self.s[..., :1] ** 2 + _one(self.e) ** 2)
        top = xp.max(self.size, axis=-1, keepdims=True)
        return self.size >= top - rounding, top > rounding

    def count(self, tied: Array) -> Array:
        """How many, shape (..., 1, 1), the last flag standing for all eigenvalues that do not move."""
        xp, k = namespace(self.s), self.s.shape[-1]
        number = xp.sum(xp.astype(tied[..., :k], self.s.dtype), axis=-1, keepdims=True)
        if tied.shape[-1] > k:
            number = number + self.fixed * xp.astype(tied[..., k:], self.s.dtype)
        return number

    def differ(self, tied: Array) -> Array:
        """Whether the tied eigenvalues have different gradients: zero singular values and fixed ones have zero."""
        xp, k = namespace(self.s), self.s.shape[-1]
        moving = tied[..., :k] & (self.s > max(k, 8) * eps(self.s) * self.s[..., :1])
        still = xp.any(tied, axis=-1, keepdims=True) & (self.count(tied) > self.count(moving))
        return self.count(moving) + xp.astype(still, self.s.dtype) > 1


def _spectrum(w: Array, gram: Gram) -> _Spectrum:
    xp = namespace(w)
    m, n = w.shape[-2:]
    fixed = (m if turned(w, gram) else n) - min(m, n)
    p, s, vh, e = _svd(_tall(w))
    one = _one(e)
    gap = (s - one) * (s + one)
    size = abs(gap)
    if fixed:
        size = xp.concat([size, xp.broadcast_to(one**2, (*size.shape[:-1], 1))], axis=-1)
    sides = xp.where(gap < 0, -xp.ones_like(s), xp.ones_like(s))
    return _Spectrum(p, s, ct(vh), e, size, sides, fixed, m < n)


def _svd(w: Array) -> tuple[Array, Array, Array, Array]:
    """P, s of shape (..., 1, k) and V^H of W 2^-e with e so that s and 2^-e are at most about 1, and e.

    The library's SVD sees a matrix near 1 also where W is tiny: some scale by numbers that are no powers of two.
    """
    (x, own), (_, e) = near_one(w), near_one(w, least=1.0)
    p, s, vh = svd(x)
    return p, shifted(s[..., None, :], own - e), vh, e


def _one(e: Array) -> Array:
    """2^-e, the 1 beside singular values of X."""
    xp = namespace(e)
    return shifted(xp.ones_like(e), -e)


def _tall(x: Array, like: Array | None = None) -> Array:
    """X^H for wide X, or for wide ``like``."""
    like = x if like is None else like
    return ct(x) if like.shape[-2] < like.shape[-1] else x


def _pick(vectors: Array, which: Array) -> Array:
    """The one column that is meant, shape (..., n, 1)."""
    return namespace(vectors).sum(vectors * which, axis=-1, keepdims=True)


def _top(s: Array, k: int, x: Array) -> Array:
    return s >= s[..., :1] * (1 - max(k, 8) * eps(x))


def _away(w: Array, partial: bool) -> tuple[Array, Array, Array, Array, Array]:
    """|W - U| 2^-e, whether it is not zero up to rounding, (W - U) 2^-e, whether W has full rank, and e.

    ``partial``: U without the zero singular values.
    """
    xp = namespace(w)
    p, s, vh, e = _svd(w)
    one, k = _one(e), s.shape[-1]
    unit = max(k, 8) * eps(w)
    small = s <= unit * s[..., :1]
    gaps = s - one
    there = frobenius(gaps) > unit * (frobenius(s) + k**0.5 * one)
    away = (p * (xp.where(small, s, gaps) if partial else gaps)) @ vh
    return frobenius(gaps), there, away, ~xp.any(small, axis=-1, keepdims=True), e


def _less_polar_dot(y: Array, w: Array, v: Array) -> tuple[Array, Array]:
    """Y - U_dot along V as a matrix and an exponent: U_dot is large where W is small."""
    xp, (x, e) = namespace(w), near_one(w)
    low = xp.minimum(e, xp.zeros_like(e))
    return shifted(y, low) - shifted(polar_jvp(x, v, factor="u").u_dot, low - e), -low
