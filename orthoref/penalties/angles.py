"""Penalties that ignore lengths: of the whole matrix, of every column. Derivations: docs/derivations/penalties."""

from __future__ import annotations

from orthoref.arrays import Array, is_complex, namespace
from orthoref.linalg import eye_like, hermitian_part, inner
from orthoref.penalties.door import Gram, dot, enter_matrix, matrices, near_one, numbers, refuse, shifted, turn
from orthoref.penalties.norms import off


def scale_free(w: Array, *, gram: Gram) -> Array:
    """Scale-free orthogonality, |k G/tr G - I|^2 in the Frobenius norm, k the order of G.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex, not zero.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`.

    Returns
    -------
    real array of shape (...)
        k^2 |G|^2/(tr G)^2 - k: between 0, where W is a multiple of a matrix with orthonormal columns, and k^2 - k,
        where it has rank 1. The same for W and c W.

    Raises
    ------
    OutsideDomain
        NaN or infinity; a zero matrix.
    TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (FREE).

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import penalties
    >>> float(penalties.scale_free(1e-200 * np.eye(4, 2), gram="columns"))
    0.0
    """
    enter_matrix(w)
    b = _scaled_gram(turn(near_one(w)[0], w, gram))[0]
    return numbers(dot(b, b))


def scale_free_gradient(w: Array, *, gram: Gram) -> Array:
    """Gradient of :func:`scale_free`, orthogonal to W.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex, not zero.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain
        As :func:`scale_free`; a derivative beyond the largest finite number.
    TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (FREE-GRAD).
    """
    enter_matrix(w)
    x, e = near_one(w)
    x = turn(x, w, gram)
    b, trace = _scaled_gram(x)
    n = x.shape[-1]
    # (FREE-GRAD) (4 k/tr G) W (B - (|B|^2/k) I)
    return matrices(turn(4 * n / trace * (x @ (b - dot(b, b) / n * eye_like(b))), w, gram), -e)


def scale_free_hvp(w: Array, w_dot: Array, *, gram: Gram) -> Array:
    """Hessian of :func:`scale_free` applied to a direction.

    Parameters
    ----------
    w, w_dot : arrays of shape (..., m, n)
        Point, not zero, and direction.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`scale_free_gradient`.

    Notes
    -----
    Equation (FREE-HESS).
    """
    enter_matrix(w, w_dot=w_dot)
    (x, e), (v, ev) = near_one(w), near_one(w_dot)
    x, v = turn(x, w, gram), turn(v, w, gram)
    b, trace = _scaled_gram(x)
    n, eye = x.shape[-1], eye_like(b)
    grown = 2 * dot(x, v) / trace
    # (FREE-HESS)
    b_dot = n / trace * 2 * hermitian_part(inner(x, v)) - grown * (b + eye)
    k, k_dot = b - dot(b, b) / n * eye, b_dot - 2 * dot(b, b_dot) / n * eye
    return matrices(turn(4 * n / trace * (v @ k + x @ (k_dot - grown * k)), w, gram), ev - 2 * e)


def cosine(w: Array, *, gram: Gram) -> Array:
    """Sum of |cos|^2 over all ordered pairs of different columns (rows).

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex, no column (row) zero.
    gram : {"columns", "rows", "smaller"}
        Between columns, rows, or those of which there are fewer.

    Returns
    -------
    real array of shape (...)
        :func:`off_diagonal` of the columns divided by their lengths.

    Raises
    ------
    OutsideDomain
        NaN or infinity; a column (row) of zeros.
    TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (COS).
    """
    enter_matrix(w)
    c = _cosines(_columns(w, w, gram)[0])
    return numbers(dot(c, c))


def cosine_gradient(w: Array, *, gram: Gram) -> Array:
    """Gradient of :func:`cosine`, every column of it orthogonal to that of W.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex, no column (row) zero.
    gram : {"columns", "rows", "smaller"}
        As in :func:`cosine`.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain
        As :func:`cosine`; a derivative beyond the largest finite number.
    TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (COS-GRAD).
    """
    enter_matrix(w)
    y, length, e = _columns(w, w, gram)
    c = _cosines(y)
    return matrices(turn(shifted(4 * (y @ c - y * _squares(c)) / length, -e), w, gram))


def cosine_hvp(w: Array, w_dot: Array, *, gram: Gram) -> Array:
    """Hessian of :func:`cosine` applied to a direction.

    Parameters
    ----------
    w, w_dot : arrays of shape (..., m, n)
        Point, no column (row) zero, and direction.
    gram : {"columns", "rows", "smaller"}
        As in :func:`cosine`.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`cosine_gradient`.

    Notes
    -----
    Equation (COS-HESS).
    """
    enter_matrix(w, w_dot=w_dot)
    xp = namespace(w)
    y, length, e = _columns(w, w, gram)
    v, ev = near_one(turn(w_dot, w, gram), axis=-2)
    # columns of V relative to those of W, with one power of two for all: their sizes may differ by all there is
    most = xp.max(ev - e, axis=-1, keepdims=True)
    v = shifted(v, ev - e - most) / length
    along = _dots(y, v)
    y_dot, c = v - y * along, _cosines(y)
    c_dot, size = 2 * off(hermitian_part(inner(y, y_dot))), _squares(c)
    n = y @ c - y * size
    # (COS-HESS)
    n_dot = y_dot @ c + y @ c_dot - y_dot * size - 2 * y * _dots(c, c_dot)
    return matrices(turn(shifted(4 * (n_dot - n * along) / length, most - e), w, gram))


def _scaled_gram(x: Array) -> tuple[Array, Array]:
    """The matrix k G/tr G - I, and tr G = |X|^2."""
    trace = dot(x, x)
    refuse(trace == 0, "w is zero")
    return x.shape[-1] / trace * hermitian_part(inner(x, x)) - eye_like(x), trace


def _columns(x: Array, w: Array, gram: Gram) -> tuple[Array, Array, Array]:
    """Columns of length 1, their lengths times 2^-e, and e, of shape (..., 1, n)."""
    x, e = near_one(turn(x, w, gram), axis=-2)
    xp = namespace(x)
    length = xp.linalg.vector_norm(x, axis=-2, keepdims=True)
    refuse(xp.any(length == 0, axis=-1, keepdims=True), "w has a column of zeros (gram='rows': a row)")
    return x / length, length, e


def _cosines(y: Array) -> Array:
    return off(hermitian_part(inner(y, y)))


def _squares(c: Array) -> Array:
    return _dots(c, c)


def _dots(x: Array, y: Array) -> Array:
    """Re x_j^H y_j of the columns, shape (..., 1, n)."""
    xp = namespace(x)
    products = xp.real(x) * xp.real(y) + xp.imag(x) * xp.imag(y) if is_complex(x) else x * y
    return xp.sum(products, axis=-2, keepdims=True)
