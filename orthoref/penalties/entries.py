"""Penalties of the entries of a Gram matrix: maxima and sums of absolute values. docs/derivations/penalties."""

from __future__ import annotations

from typing import NamedTuple

from orthoref.arrays import Array, is_complex, namespace, require_choice
from orthoref.linalg import hermitian_part, inner
from orthoref.penalties.door import (
    AtZero,
    Gram,
    Point,
    Subgradient,
    enter_matrix,
    first,
    matrices,
    near_one,
    numbers,
    point,
    quotient,
    refuse,
)
from orthoref.penalties.norms import off


def mutual_coherence(w: Array, *, gram: Gram) -> Array:
    """Mutual coherence penalty with the largest entry, max |G - I|_ij.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`.

    Returns
    -------
    real array of shape (...)
        Not the coherence of a frame, max |cos| of two columns: lengths count, and the diagonal does.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (MC). [BansalChenWang2018]_ writes |G - I| with the index infinity, which is this one or the norm induced
    by the maximum norm, :func:`mutual_coherence_induced`.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import penalties
    >>> w = np.asarray([[1.0, 0.5], [0.5, 1.0]])
    >>> float(penalties.mutual_coherence(w, gram="columns"))
    1.0
    >>> float(penalties.mutual_coherence_induced(w, gram="columns"))
    1.25
    """
    enter_matrix(w)
    p = point(w, gram)
    return numbers(_largest(abs(p.residual()), (-2, -1)), 2 * p.e)


def mutual_coherence_gradient(w: Array, *, gram: Gram, subgradient: Subgradient = "mean") -> Array:
    """Gradient of :func:`mutual_coherence`.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`.
    subgradient : {"mean", "first", "raise"}
        Where several entries are the largest one up to the rounding of G: the mean of their gradients over all of
        them, counted as entries (what frameworks return for a maximum over all entries); the gradient of the first
        one, row by row; :class:`~orthoref.OutsideDomain`. (i, j) and (j, i) are one. Where G = I to rounding: zero,
        zero, or the error.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (MC-GRAD).
    """
    z = _enter(w, gram, subgradient)
    tied, there = _tied_entries(z.p, z.r)
    if subgradient == "raise":
        _refuse_ties(tied, there)
    if subgradient == "first":
        xp, shape = namespace(w), z.r.shape
        tied = xp.reshape(first(xp.reshape(tied, (*shape[:-2], 1, shape[-1] ** 2))), shape)
    # (MC-GRAD) F = S over the entries in the maximum
    f = _mean(hermitian_part(z.s * _weights(tied, z.s)), tied, there)
    return matrices(z.p.turn(2 * z.p.x @ f), z.p.e)


def mutual_coherence_hvp(w: Array, w_dot: Array, *, gram: Gram) -> Array:
    """Hessian of :func:`mutual_coherence` applied to a direction.

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
        As :func:`soft_orthogonality`; the largest entry is not the only one, or vanishes.
    TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (ABS-HESS) for the entries in the maximum.
    """
    z, v, ev = _enter_hvp(w, w_dot, gram)
    tied, there = _tied_entries(z.p, z.r)
    _refuse_ties(tied, there)
    f, f_dot = (_mean(s * _weights(tied, s), tied, there) for s in (z.s, z.dot(v)))
    return matrices(z.p.turn(2 * (v @ f + z.x @ f_dot)), ev)


def mutual_coherence_induced(w: Array, *, gram: Gram) -> Array:
    """Mutual coherence penalty with the largest row sum, max_i sum_j |G - I|_ij.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`.

    Returns
    -------
    real array of shape (...)
        The norm induced by the maximum norm (and by the sum norm, G being Hermitian).

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (MCI).
    """
    enter_matrix(w)
    p = point(w, gram)
    return numbers(_largest(_row_sums(p.residual()), (-2, -1)), 2 * p.e)


def mutual_coherence_induced_gradient(w: Array, *, gram: Gram, subgradient: Subgradient = "mean") -> Array:
    """Gradient of :func:`mutual_coherence_induced`.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`.
    subgradient : {"mean", "first", "raise"}
        As in :func:`mutual_coherence_gradient`, with rows for entries. An entry of G - I in a largest row that is
        exactly zero is a kink, too: it counts zero, the mean of its two signs, or raises.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (MCI-GRAD).
    """
    z = _enter(w, gram, subgradient)
    tied, there = _tied_rows(z.p, z.r)
    if subgradient == "raise":
        _refuse_rows(tied, there, z.s)
    if subgradient == "first":
        tied = first(tied.mT).mT
    # (MCI-GRAD) F = herm(e_i s_i), s_i the signs of a largest row
    f = _mean(hermitian_part(z.s * _weights(tied, z.s)), tied, there)
    return matrices(z.p.turn(2 * z.p.x @ f), z.p.e)


def mutual_coherence_induced_hvp(w: Array, w_dot: Array, *, gram: Gram) -> Array:
    """Hessian of :func:`mutual_coherence_induced` applied to a direction.

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
        As :func:`soft_orthogonality`; the largest row is not the only one, or has an entry of exactly zero.
    TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (ABS-HESS) for the largest row.
    """
    z, v, ev = _enter_hvp(w, w_dot, gram)
    tied, there = _tied_rows(z.p, z.r)
    _refuse_rows(tied, there, z.s)
    f, f_dot = (hermitian_part(s * _weights(tied, s)) for s in (z.s, z.dot(v)))
    return matrices(z.p.turn(2 * (v @ f + z.x @ f_dot)), ev)


def absolute_sum(w: Array, *, gram: Gram) -> Array:
    """Sum of the absolute values of the entries of G - I.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`.

    Returns
    -------
    real array of shape (...)
        Between |G - I| and k |G - I| of the Frobenius norm, k the order of G.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (ABS). Other than the norms of singular values it changes with an orthogonal change of basis on the side
    of the Gram matrix.
    """
    enter_matrix(w)
    p = point(w, gram)
    return numbers(_total(_row_sums(p.residual()), (-2, -1)), 2 * p.e)


def absolute_sum_gradient(w: Array, *, gram: Gram, subgradient: AtZero = "mean") -> Array:
    """Gradient of :func:`absolute_sum`, 2 W S with the signs S of G - I.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`.
    subgradient : {"mean", "raise"}
        An entry of G - I that is exactly zero as computed counts zero, the mean of all its signs, or raises. Entries
        within rounding of zero have the sign of the rounding error: at a matrix with orthonormal columns the gradient
        is a matter of luck, and not small.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (ABS-GRAD).
    """
    z = _enter(w, gram, subgradient, ("mean", "raise"))
    if subgradient == "raise":
        _refuse_zeros(z.s)
    return matrices(z.p.turn(2 * z.p.x @ z.s), z.p.e)


def absolute_sum_hvp(w: Array, w_dot: Array, *, gram: Gram) -> Array:
    """Hessian of :func:`absolute_sum` applied to a direction.

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
        As :func:`soft_orthogonality`; an entry of G - I that is exactly zero.
    TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (ABS-HESS).
    """
    z, v, ev = _enter_hvp(w, w_dot, gram)
    _refuse_zeros(z.s)
    return matrices(z.p.turn(2 * (v @ z.s + z.x @ z.dot(v))), ev)


class _Signs(NamedTuple):
    """The residual G - I of a point and its signs, those beside the diagonal from W scaled without regard to I."""

    p: Point
    r: Array
    s: Array
    x: Array
    g: Array

    def dot(self, v: Array) -> Array:
        """(ABS-HESS) S_dot_ij = (E_ij - S_ij Re(conj(S_ij) E_ij))/|G_ij|, zero on the diagonal and for real matrices.

        For E = X^H V + V^H X, of degree -1 in the scale of ``x``.
        """
        xp = namespace(self.r)
        if not is_complex(self.r):
            return xp.zeros_like(self.r)
        e = off(2 * hermitian_part(inner(self.x, v)))
        along = xp.real(self.s) * xp.real(e) + xp.imag(self.s) * xp.imag(e)
        return quotient(e - self.s * along, abs(self.g))


def _signs(w: Array, gram: Gram) -> _Signs:
    p = point(w, gram)
    r, x = p.residual(), p.turn(near_one(w)[0])
    g = off(hermitian_part(inner(x, x)))
    return _Signs(p, r, quotient(g, abs(g)) + quotient(r - off(r), abs(r - off(r))), x, g)


def _enter(w: Array, gram: Gram, subgradient: str, choices: tuple[str, ...] = ("mean", "first", "raise")) -> _Signs:
    require_choice("subgradient", subgradient, choices)
    enter_matrix(w)
    return _signs(w, gram)


def _enter_hvp(w: Array, w_dot: Array, gram: Gram) -> tuple[_Signs, Array, Array]:
    enter_matrix(w, w_dot=w_dot)
    z, (v, ev) = _signs(w, gram), near_one(w_dot)
    return z, z.p.turn(v), ev


def _tied_entries(p: Point, r: Array) -> tuple[Array, Array]:
    """Which entries are the largest up to rounding, and whether that one is not zero up to rounding."""
    size, rounding = abs(r), p.rounding()
    top = _largest(size, (-2, -1))
    tied = size >= top - rounding
    return tied | tied.mT, top > rounding


def _tied_rows(p: Point, r: Array) -> tuple[Array, Array]:
    """The same of rows, flags of shape (..., k, 1); a row sum has root k times the rounding of a norm."""
    sums, rounding = _row_sums(r), r.shape[-1] ** 0.5 * p.rounding()
    top = _largest(sums, (-2, -1))
    return sums >= top - rounding, top > rounding


def _mean(f: Array, tied: Array, there: Array) -> Array:
    count = _total(_weights(tied, f), (-2, -1))
    xp = namespace(f)
    return xp.where(there, f / count, xp.zeros_like(f))


def _weights(flags: Array, like: Array) -> Array:
    xp = namespace(like)
    return xp.astype(flags, abs(like).dtype)


def _row_sums(r: Array) -> Array:
    return _total(abs(r), -1)


def _total(x: Array, axis: int | tuple[int, int]) -> Array:
    return namespace(x).sum(x, axis=axis, keepdims=True)


def _largest(x: Array, axis: int | tuple[int, int]) -> Array:
    return namespace(x).max(x, axis=axis, keepdims=True)


def _refuse_ties(tied: Array, there: Array) -> None:
    xp = namespace(tied)
    pairs = _total(xp.astype(xp.triu(xp.astype(tied, xp.int64)), xp.int64), (-2, -1))
    refuse(~there | (pairs > 1), "the largest entry of G - I vanishes or is not the only one")


def _refuse_rows(tied: Array, there: Array, s: Array) -> None:
    xp = namespace(s)
    zeros = xp.any(tied & (s == 0), axis=(-2, -1), keepdims=True)
    rows = _total(xp.astype(tied, xp.int64), (-2, -1))
    refuse(~there | zeros | (rows > 1), "the largest row of G - I vanishes, has a zero or is not the only one")


def _refuse_zeros(s: Array) -> None:
    refuse(namespace(s).any(s == 0, axis=(-2, -1), keepdims=True), "G - I has an entry of zero")
