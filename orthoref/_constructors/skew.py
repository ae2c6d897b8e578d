"""Skew-Hermitian matrices from real vectors, and back. Derivations: docs/derivations/constructors."""

from __future__ import annotations

from math import isqrt
from typing import Literal

import array_api_compat as compat
import numpy as np

from orthoref._constructors.door import enter_any, require_count, require_skew, to_complex
from orthoref.arrays import Array, Namespace, enter, is_complex, require_choice, require_shape
from orthoref.linalg import ct

Field = Literal["real", "complex"]
Triangle = Literal["rows", "columns"]


def degrees_of_freedom(m: int, n: int, *, field: Field = "real") -> int:
    """Dimension of the manifold of m x n matrices with orthonormal columns.

    Parameters
    ----------
    m, n : int
        m >= n.
    field : {"real", "complex"}

    Returns
    -------
    int
        m n - n (n + 1)/2 real, 2 m n - n^2 complex.

    Raises
    ------
    ValueError
        Not integers, negative, or n > m.

    Examples
    --------
    >>> import orthoref
    >>> orthoref.degrees_of_freedom(5, 2), orthoref.degrees_of_freedom(3, 3, field="complex")
    (7, 9)
    """
    require_choice("field", field, ("real", "complex"))
    require_count("n", n)
    require_count("m", m, n)
    return m * n - n * (n + 1) // 2 if field == "real" else 2 * m * n - n * n


def skew_from_vector(x: Array, *, field: Field = "real", order: Triangle = "rows") -> Array:
    r"""Skew-Symmetric or skew-Hermitian matrix of real parameters.

    Parameters
    ----------
    x : real array of shape (..., n (n - 1)/2), complex field: (..., n^2)
        The strict lower triangle (no entries: order 1); complex: its real parts, its imaginary parts, and the
        imaginary diagonal.
    field : {"real", "complex"}
        Whether A is real or complex.
    order : {"rows", "columns"}
        How the strict lower triangle is numbered: (1,0), (2,0), (2,1), ... or (1,0), (2,0), ..., (2,1), ....
        A library that fills the strict *upper* triangle by rows has minus the matrix of ``"columns"``.

    Returns
    -------
    array of shape (..., n, n)
        A = L - L^H + i diag, skew-Hermitian to the last bit.

    Raises
    ------
    OutsideDomain
        NaN or infinity.
    TypeError, ValueError
        Wrong type, dtype or option; a complex x; a length that belongs to no n.

    Examples
    --------
    >>> import numpy as np
    >>> import orthoref
    >>> orthoref.skew_from_vector(np.asarray([1.0, 2.0, 3.0])) + 0.0
    array([[ 0., -1., -2.],
           [ 1.,  0., -3.],
           [ 2.,  3.,  0.]])
    """
    n, xp = _enter(x, field, order)
    if field == "real":
        return _lower(x, n, order, xp) - _lower(x, n, order, xp).mT
    pairs = n * (n - 1) // 2
    low = to_complex(_lower(x[..., :pairs], n, order, xp), xp)
    low = low + 1j * to_complex(_lower(x[..., pairs : 2 * pairs], n, order, xp), xp)
    eye = xp.eye(n, dtype=low.dtype, device=compat.device(x))
    return low - ct(low) + 1j * eye * to_complex(x[..., None, 2 * pairs :], xp)


def skew_from_vector_jvp(x: Array, x_dot: Array, *, field: Field = "real", order: Triangle = "rows") -> Array:
    """Derivative of :func:`skew_from_vector`, which is linear.

    Parameters
    ----------
    x, x_dot : real arrays of one shape
        Point and direction.
    field, order : options
        As in :func:`skew_from_vector`.

    Returns
    -------
    array of shape (..., n, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`skew_from_vector`; shapes that differ.
    """
    enter_any({}, {"x": x, "x_dot": x_dot})
    require_shape("x_dot", x_dot, x.shape)
    return skew_from_vector(x_dot, field=field, order=order)


def skew_from_vector_vjp(x: Array, a_bar: Array, *, order: Triangle = "rows") -> Array:
    """Adjoint of :func:`skew_from_vector_jvp` for Re tr(X^H Y).

    Parameters
    ----------
    x : real array
        The point; its values do not matter.
    a_bar : array of shape (..., n, n)
        Cotangent; its dtype says which field.
    order : {"rows", "columns"}
        As in :func:`skew_from_vector`.

    Returns
    -------
    real array of the shape of x
        Of A_bar - A_bar^H what is below the diagonal, and the imaginary diagonal of A_bar.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`skew_from_vector`; shapes that differ.
    """
    field: Field = "complex" if is_complex(a_bar) else "real"
    n, xp = _enter(x, field, order)
    enter(a_bar=a_bar)
    require_shape("a_bar", a_bar, (*x.shape[:-1], n, n))
    low = _read(a_bar - ct(a_bar), n, order, xp)
    if field == "real":
        return low
    return xp.concat([xp.real(low), xp.imag(low), xp.imag(xp.linalg.diagonal(a_bar))], axis=-1)


def vector_from_skew(a: Array, *, order: Triangle = "rows") -> Array:
    """Parameters of a skew-Hermitian matrix, the inverse of :func:`skew_from_vector`.

    Parameters
    ----------
    a : array of shape (..., n, n)
        Skew-Hermitian; its dtype says which field.
    order : {"rows", "columns"}
        As in :func:`skew_from_vector`.

    Returns
    -------
    real array of shape (..., n (n - 1)/2), complex: (..., n^2)

    Raises
    ------
    OutsideDomain
        NaN or infinity; not skew-Hermitian, with the defect.
    TypeError, ValueError
        Wrong type, dtype, number of dimensions or option.
    """
    require_choice("order", order, ("rows", "columns"))
    xp = enter(a=a)
    require_skew(a, xp)
    low = _read(a, a.shape[-1], order, xp)
    if not is_complex(a):
        return low
    return xp.concat([xp.real(low), xp.imag(low), xp.imag(xp.linalg.diagonal(a))], axis=-1)


def vector_from_skew_jvp(a: Array, a_dot: Array, *, order: Triangle = "rows") -> Array:
    """Derivative of :func:`vector_from_skew`, which is linear.

    Parameters
    ----------
    a, a_dot : arrays of shape (..., n, n)
        Skew-Hermitian point and direction.
    order : {"rows", "columns"}
        As in :func:`skew_from_vector`.

    Returns
    -------
    real array
        The parameters of a_dot.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`vector_from_skew`, for both.
    """
    xp = enter(a=a, a_dot=a_dot)
    require_shape("a_dot", a_dot, a.shape)
    require_skew(a, xp)
    require_skew(a_dot, xp, name="a_dot")
    return vector_from_skew(a_dot, order=order)


def vector_from_skew_vjp(a: Array, x_bar: Array, *, order: Triangle = "rows") -> Array:
    """Adjoint of :func:`vector_from_skew_jvp` for Re tr(X^H Y), on the space of skew-Hermitian matrices.

    Parameters
    ----------
    a : array of shape (..., n, n)
        The point; its values do not matter.
    x_bar : real array
        Cotangent of the parameters.
    order : {"rows", "columns"}
        As in :func:`skew_from_vector`.

    Returns
    -------
    array of shape (..., n, n)
        Skew-Hermitian. Half of ``skew_from_vector(x_bar)`` beside the diagonal: the inner product of matrices counts
        every pair of entries twice.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`vector_from_skew`; shapes that differ.
    """
    xp = enter(a=a)
    require_skew(a, xp)
    complex_ = is_complex(a)
    n = a.shape[-1]
    enter_any({}, {"x_bar": x_bar})
    require_shape("x_bar", x_bar, (*a.shape[:-2], n * n if complex_ else n * (n - 1) // 2))
    a_bar = skew_from_vector(x_bar, field="complex" if complex_ else "real", order=order)
    return a_bar / 2 + (a_bar * xp.eye(n, dtype=a_bar.dtype, device=compat.device(a)) / 2 if complex_ else 0)


def _triangle(n: int, order: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the strict lower triangle."""
    if order == "rows":
        return np.tril_indices(n, -1)
    columns, rows = np.triu_indices(n, 1)
    return rows, columns


def _lower(x: Array, n: int, order: str, xp: Namespace) -> Array:
    """The strict lower triangle with the entries x, by one gather: nothing is assigned to."""
    if n < 2:
        return xp.zeros((*x.shape[:-1], n, n), dtype=x.dtype, device=compat.device(x))
    rows, columns = _triangle(n, order)
    where = np.zeros((n, n), dtype=np.int64)
    where[rows, columns] = np.arange(len(rows))
    flat = xp.take(x, xp.asarray(where.ravel(), device=compat.device(x)), axis=-1)
    return xp.tril(xp.reshape(flat, (*x.shape[:-1], n, n)), k=-1)


def _read(a: Array, n: int, order: str, xp: Namespace) -> Array:
    rows, columns = _triangle(n, order)
    flat = xp.reshape(a, (*a.shape[:-2], n * n))
    return xp.take(flat, xp.asarray(rows * n + columns, device=compat.device(a)), axis=-1)


def _enter(x: Array, field: str, order: str) -> tuple[int, Namespace]:
    require_choice("field", field, ("real", "complex"))
    require_choice("order", order, ("rows", "columns"))
    xp = enter_any({}, {"x": x})
    if is_complex(x):
        raise TypeError("x must be real: real and imaginary parts are parameters of their own")
    if x.ndim < 1:
        raise ValueError("x must have at least 1 dimension")
    length = x.shape[-1]
    n = isqrt(length) if field == "complex" else (1 + isqrt(1 + 8 * length)) // 2
    if length != (n * n if field == "complex" else n * (n - 1) // 2):
        raise ValueError(f"x has {length} entries: no order n has as many ({field})")
    return n, xp
