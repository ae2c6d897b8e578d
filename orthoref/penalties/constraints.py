"""Weights whose singular values are bounded or all one. Derivations: docs/derivations/penalties."""

from __future__ import annotations

from typing import Any, Literal

import array_api_compat as compat

from orthoref._polar.decomposition import polar, refuse_small, sums, svd
from orthoref._polar.derivatives import polar_jvp, polar_vjp
from orthoref.arrays import Array, Namespace, enter, is_complex, namespace, require_choice, require_shape
from orthoref.linalg import UNSCALED, ct, eps, hermitian_part, inner, skew_part
from orthoref.penalties.door import enter_matrix, matrices, near_one, refuse, shifted

Side = Literal["columns", "rows"]


def spectral_margin(p: Array, *, margin: float) -> Array:
    """Singular values within a margin of 1 from free parameters, 2 margin (sigmoid(p) - 1/2) + 1.

    Parameters
    ----------
    p : real array of any shape
    margin : float
        Between 0 and 1.

    Returns
    -------
    real array of the shape of p
        1 + margin tanh(p/2), between 1 - margin and 1 + margin; both ends are reached by rounding only. The weight of
        [VorontsovTrabelsiKadouryPal2017]_ is U diag(s) V^H with orthogonal U and V.

    Raises
    ------
    OutsideDomain
        NaN or infinity.
    TypeError, ValueError
        Wrong type or dtype, complex parameters, a margin that is not between 0 and 1.

    Notes
    -----
    Equation (MARGIN).

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import penalties
    >>> penalties.spectral_margin(np.asarray([-1e3, 0.0, 1e3]), margin=0.25)
    array([0.75, 1.  , 1.25])
    """
    xp = _enter_parameters(margin, p=p)
    return 1 + margin * xp.tanh(p / 2)


def spectral_margin_jvp(p: Array, p_dot: Array, *, margin: float) -> Array:
    """Derivative of :func:`spectral_margin`.

    Parameters
    ----------
    p, p_dot : real arrays of one shape
        Parameters and direction.
    margin : float
        As in :func:`spectral_margin`.

    Returns
    -------
    real array of the shape of p
        To relative accuracy, however small it is.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`spectral_margin`; shapes that differ.

    Notes
    -----
    Equation (MARGIN-DOT).
    """
    xp = _enter_parameters(margin, p=p, p_dot=p_dot)
    # (MARGIN-DOT) 2 margin sigmoid(p) sigmoid(-p), without the cancellation of 1 - tanh^2
    small = xp.exp(-abs(p))
    return 2 * margin * small / (1 + small) ** 2 * p_dot


def spectral_margin_vjp(p: Array, s_bar: Array, *, margin: float) -> Array:
    """Adjoint of :func:`spectral_margin_jvp`, a diagonal map: the same.

    Parameters
    ----------
    p, s_bar : real arrays of one shape
        Parameters and cotangent of the singular values.
    margin : float
        As in :func:`spectral_margin`.

    Returns
    -------
    real array of the shape of p

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`spectral_margin`; shapes that differ.
    """
    _enter_parameters(margin, p=p, s_bar=s_bar)
    return spectral_margin_jvp(p, s_bar, margin=margin)


def singular_value_bounding(w: Array, *, lower: float, upper: float) -> Array:
    """Nearest matrix whose singular values lie in [lower, upper], P clip(S) V^H.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    lower, upper : float
        0 <= lower <= upper, finite. 1/(1 + e) and 1 + e in [JiaTaoGaoXu2017]_; lower = upper = 1 is the polar factor,
        lower = 0 the projection onto a ball of the spectral norm.

    Returns
    -------
    array of shape (..., m, n)
        Nearest in every unitarily invariant norm. With lower > 0 and a rank deficient W one of several, which the
        SVD of the library chose.

    Raises
    ------
    OutsideDomain
        NaN or infinity.
    NotConverged
        The SVD of the library failed.
    TypeError, ValueError
        Wrong type, dtype, number of dimensions; a matrix without entries; bounds out of order.

    Notes
    -----
    Equation (SVB).

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import penalties
    >>> w = np.asarray([[0.0, 5.0], [1.0, 0.0]])
    >>> penalties.singular_value_bounding(w, lower=2.0, upper=4.0)
    array([[0., 4.],
           [2., 0.]])
    """
    _require_bounds(lower, upper)
    enter_matrix(w)
    x, e = near_one(w)
    p, s, vh = svd(x)
    return matrices((p * shifted(_clipped(s[..., None, :], e, lower, upper)[0], e)) @ vh)


def singular_value_bounding_jvp(w: Array, w_dot: Array, *, lower: float, upper: float) -> Array:
    """Derivative of :func:`singular_value_bounding`.

    Parameters
    ----------
    w, w_dot : arrays of shape (..., m, n)
        Point and direction.
    lower, upper : float
        As in :func:`singular_value_bounding`.

    Returns
    -------
    array of shape (..., m, n)
        Repeated singular values are harmless: differences are divided by between singular values on two sides of a
        bound only, with quotients of at most 1.

    Raises
    ------
    OutsideDomain
        As :func:`singular_value_bounding`; a singular value within max(k, 8) eps |W|_2 of a bound; with lower > 0 one
        of zero.
    NotConverged, TypeError, ValueError
        As :func:`singular_value_bounding`.

    Notes
    -----
    Equation (SVB-DOT).
    """
    _require_bounds(lower, upper)
    xp = enter_matrix(w, w_dot=w_dot)
    if w.shape[-2] < w.shape[-1]:
        return ct(singular_value_bounding_jvp(ct(w), ct(w_dot), lower=lower, upper=upper))
    (x, e), (v, ev) = near_one(w), near_one(w_dot)
    p, s, vh = svd(x)
    row = s[..., None, :]
    g, low, high, inside = _clipped(row, e, lower, upper)
    rounding = max(row.shape[-1], 8) * eps(x) * row[..., :1]
    near = abs(row - high) <= rounding
    if lower:  # zero bounds nothing
        near = near | (abs(row - low) <= rounding)
    refuse(xp.any(near, axis=-1, keepdims=True), "a singular value is at a bound")
    if lower:
        refuse_small(s[..., -1:], s, x, UNSCALED, "singular values of zero are moved to the lower bound")
    f, both = inner(p, v @ ct(vh)), inside & inside.mT
    d, t = row.mT - row, sums(s)
    ones = xp.ones_like(d)
    # (SVB-DOT) K_ij = (g_i - g_j)/(s_i - s_j) herm(F)_ij + (g_i + g_j)/(s_i + s_j) skew(F)_ij
    slope = xp.where(both, ones, (g.mT - g) / xp.where(_same(row, low, high), ones, d))
    mean = xp.where(both, ones, (g.mT + g) / xp.where(t > 0, t, ones))
    k = slope * hermitian_part(f) + mean * skew_part(f)
    ratio = xp.where(inside, xp.ones_like(row), g / xp.where(row > 0, row, xp.ones_like(row)))
    moved = p @ k + (v @ ct(vh) - p @ f) * ratio
    return matrices(moved @ vh, ev)


def singular_value_bounding_vjp(w: Array, y_bar: Array, *, lower: float, upper: float) -> Array:
    """Adjoint of :func:`singular_value_bounding_jvp`, which is self-adjoint for Re tr(X^H Y).

    Parameters
    ----------
    w, y_bar : arrays of shape (..., m, n)
        Point and cotangent.
    lower, upper : float
        As in :func:`singular_value_bounding`.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`singular_value_bounding_jvp`.
    """
    _require_bounds(lower, upper)
    enter_matrix(w, y_bar=y_bar)
    return singular_value_bounding_jvp(w, y_bar, lower=lower, upper=upper)


def orthogonal_weight_normalization(w: Array, *, gram: Side, center: bool = True) -> Array:
    """Orthogonal weight normalisation, (C C^H)^(-1/2) C of the centred rows C of W, or the same of columns.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gram : {"rows", "columns"}
        What becomes orthonormal; the rows in [HuangLiuLangYuWangLi2018]_, one filter each.
    center : bool
        Whether the mean of every row (column) is subtracted first. Then there may be at most n - 1 rows
        (m - 1 columns): all are orthogonal to the vector of ones.

    Returns
    -------
    array of shape (..., m, n)
        The polar factor of C: the matrix with orthonormal rows nearest to it.

    Raises
    ------
    OutsideDomain
        NaN or infinity; C of deficient rank, with the singular values.
    NotConverged
        The SVD of the library failed.
    TypeError, ValueError
        Wrong type, dtype, number of dimensions or option; more rows than orthonormal ones can exist.

    Notes
    -----
    Equation (OWN).
    """
    xp = _enter_side(w, gram, center)
    return polar(_centred(near_one(w)[0], gram, center, xp), rank_deficient="raise").u


def orthogonal_weight_normalization_jvp(w: Array, w_dot: Array, *, gram: Side, center: bool = True) -> Array:
    """Derivative of :func:`orthogonal_weight_normalization`.

    Parameters
    ----------
    w, w_dot : arrays of shape (..., m, n)
        Point and direction.
    gram, center
        As in :func:`orthogonal_weight_normalization`.

    Returns
    -------
    array of shape (..., m, n)
        Only sums of singular values are divided by.

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`orthogonal_weight_normalization`; a derivative beyond the largest finite number.

    Notes
    -----
    Equation (OWN-DOT).
    """
    xp = _enter_side(w, gram, center, w_dot=w_dot)
    (x, e), (v, ev) = near_one(w), near_one(w_dot)
    x, v = (_centred(z, gram, center, xp) for z in (x, v))
    return matrices(polar_jvp(x, v, factor="u").u_dot, ev - e)


def orthogonal_weight_normalization_vjp(w: Array, y_bar: Array, *, gram: Side, center: bool = True) -> Array:
    """Adjoint of :func:`orthogonal_weight_normalization_jvp` for Re tr(X^H Y).

    Parameters
    ----------
    w, y_bar : arrays of shape (..., m, n)
        Point and cotangent.
    gram, center
        As in :func:`orthogonal_weight_normalization`.

    Returns
    -------
    array of shape (..., m, n)
        With ``center`` its rows (columns) have the mean zero.

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`orthogonal_weight_normalization_jvp`.

    Notes
    -----
    Equation (OWN-BAR). The formula by the eigenvectors of C C^H in [HuangLiuLangYuWangLi2018]_ divides by differences
    of eigenvalues, which this one does not.
    """
    xp = _enter_side(w, gram, center, y_bar=y_bar)
    (x, e), (bar, eb) = near_one(w), near_one(y_bar)
    pulled = polar_vjp(_centred(x, gram, center, xp), bar)
    return matrices(_centred(pulled, gram, center, xp), eb - e)


def lowdin(w: Array) -> Array:
    """Löwdin's symmetric orthogonalisation, W (W^H W)^(-1/2), wide: (W W^H)^(-1/2) W.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Of full rank.

    Returns
    -------
    array of shape (..., m, n)
        ``polar(w).u``: among all orthonormal columns (rows) the ones nearest to those of W.

    Raises
    ------
    OutsideDomain
        NaN or infinity; deficient rank, with the singular values.
    NotConverged
        The SVD of the library failed.
    TypeError, ValueError
        Wrong type, dtype, number of dimensions; a matrix without entries.

    Notes
    -----
    Equation (LOWDIN); [Lowdin1950]_.
    """
    enter_matrix(w)
    return polar(w, rank_deficient="raise").u


def lowdin_jvp(w: Array, w_dot: Array) -> Array:
    """Derivative of :func:`lowdin`.

    Parameters
    ----------
    w, w_dot : arrays of shape (..., m, n)
        Point and direction.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`lowdin`.
    """
    enter_matrix(w, w_dot=w_dot)
    return polar_jvp(w, w_dot, factor="u").u_dot


def lowdin_vjp(w: Array, u_bar: Array) -> Array:
    """Adjoint of :func:`lowdin_jvp` for Re tr(X^H Y), which is self-adjoint.

    Parameters
    ----------
    w, u_bar : arrays of shape (..., m, n)
        Point and cotangent.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`lowdin`.
    """
    enter_matrix(w, u_bar=u_bar)
    return polar_vjp(w, u_bar)


def _enter_parameters(margin: Any, **arrays: Array) -> Namespace:
    if isinstance(margin, bool) or not isinstance(margin, (int, float)) or not 0 <= margin <= 1:
        raise ValueError(f"margin={margin!r} must be a number between 0 and 1")
    xp = enter(**{name: x[..., None, None] if compat.is_array_api_obj(x) else x for name, x in arrays.items()})
    first, *_ = arrays.values()
    if is_complex(first):
        raise TypeError("p must be real")
    for name, x in list(arrays.items())[1:]:
        require_shape(name, x, first.shape)
    return xp


def _require_bounds(lower: Any, upper: Any) -> None:
    numbers = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (lower, upper))
    if not numbers or not 0 <= lower <= upper < float("inf"):
        raise ValueError(f"lower={lower!r}, upper={upper!r}: bounds are numbers with 0 <= lower <= upper, finite")


def _clipped(s: Array, e: Array, lower: float, upper: float) -> tuple[Array, Array, Array, Array]:
    """Singular values of X = W 2^-e in the bounds, the bounds times 2^-e, and which ones were within."""
    xp = namespace(s)
    low, high = (shifted(xp.full_like(e, bound), -e) for bound in (lower, upper))
    inside = (s >= low) & (s <= high)
    return xp.minimum(xp.maximum(s, low), high), low, high, inside


def _same(s: Array, low: Array, high: Array) -> Array:
    """Whether two singular values lie on the same side of both bounds."""
    return ((s < low) == (s < low).mT) & ((s > high) == (s > high).mT)


def _enter_side(w: Array, gram: str, center: bool, **others: Array) -> Namespace:
    require_choice("gram", gram, ("rows", "columns"))
    xp = enter_matrix(w, **others)
    m, n = w.shape[-2:]
    count, length = (m, n) if gram == "rows" else (n, m)
    if count > length - bool(center):
        raise ValueError(
            f"w has shape {tuple(w.shape)}: {count} {gram} of length {length} cannot be made orthonormal"
            + (" and orthogonal to the ones" if center else "")
        )
    return xp


def _centred(x: Array, gram: str, center: bool, xp: Namespace) -> Array:
    return x - xp.mean(x, axis=-1 if gram == "rows" else -2, keepdims=True) if center else x
