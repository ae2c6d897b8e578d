"""Real coordinates of tangents in an orthonormal basis of the tangent space. Derivations: docs/derivations/stiefel."""

from __future__ import annotations

from functools import cache
from math import sqrt
from typing import Literal, NamedTuple

import array_api_compat as compat
import numpy as np

from orthoref._polar.decomposition import polar
from orthoref._polar.derivatives import polar_jvp, polar_vjp
from orthoref.arrays import Array, enter, is_complex, namespace, require_choice, require_shape
from orthoref.errors import OutsideDomain
from orthoref.linalg import ct, eye_like, inner, skew_part
from orthoref.stiefel.manifold import enter_unit
from orthoref.stiefel.metric import Metric, real_dtype, skew_weight
from orthoref.stiefel.multilinear import collect, scaled


class VectorCotangents(NamedTuple):
    """Cotangents of the arguments of :func:`vector`."""

    x_bar: Array
    v_bar: Array


class UnvectorCotangents(NamedTuple):
    """Cotangents of the arguments of :func:`unvector`."""

    x_bar: Array
    coordinates_bar: Array


def dimension(n: int, p: int, field: Literal["real", "complex"]) -> int:
    """Dimension over the real numbers of the manifold of n x p matrices with orthonormal columns.

    Parameters
    ----------
    n, p : int
        n >= p >= 0.
    field : {"real", "complex"}

    Returns
    -------
    int
        n p - p (p + 1)/2, or 2 n p - p^2.

    Raises
    ------
    ValueError
        More columns than rows, a negative number, another field.

    Examples
    --------
    >>> dimension(3, 3, "real"), dimension(3, 1, "real"), dimension(3, 3, "complex")
    (3, 2, 9)
    """
    require_choice("field", field, ("real", "complex"))
    if not 0 <= p <= n:
        raise ValueError(f"n={n!r}, p={p!r}: there are no {p} orthonormal columns of {n} rows")
    return n * p - p * (p + 1) // 2 if field == "real" else 2 * n * p - p * p


def vector(x: Array, v: Array, metric: Metric, *, scale: float = 1.0, check: bool = True) -> Array:
    """Coordinates of a tangent in a basis of the tangent space that is orthonormal in the metric.

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        Point and tangent at it.
    metric : {"euclidean", "canonical"} or float
        As in :func:`inner`.
    scale : float
        c of the manifold X^H X = c^2 I.
    check : bool
        Whether to refuse points off the manifold and vectors that are not tangent.

    Returns
    -------
    array of shape (..., d)
        d = dimension(n, p, field), real: first X^H V/c (below the diagonal, by rows; complex: the imaginary parts of
        the diagonal, then real and imaginary parts below it), then Z^H V by rows (complex: real parts, then imaginary
        parts), where [X/c, Z] is unitary. Error at most a small multiple of n eps max(1, beta) |V|.

    Raises
    ------
    OutsideDomain
        NaN or infinity; off the manifold or not tangent (with the defect); overflow of the result.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    Z is the rest of the block reflector that takes X to -S, S the polar factor of the first p rows, on top of zeros,
    equation (ST-BASIS): no n x n matrix is formed, and Z depends smoothly on X where these rows are nonsingular (on a
    sphere of even dimension no choice is smooth everywhere). It is determined by X everywhere, up to the rounding of
    that polar factor.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import stiefel
    >>> x, v = np.eye(3, 2), np.asarray([[0.0, -1.0], [1.0, 0.0], [5.0, 7.0]])
    >>> stiefel.vector(x, v, "canonical")
    array([1., 5., 7.])
    """
    beta = skew_weight(metric)
    _, y = enter_unit(x, {"v": v}, {}, scale, check)
    if 0 in x.shape:
        return _nothing(x)
    v, vs = scaled(v)
    b = None if _square(x) else _Frame(y).rest_adjoint(v)
    return collect((_pack(skew_part(inner(y, v)), b, beta), (vs,)))[..., 0]


def vector_jvp(
    x: Array, v: Array, x_dot: Array, v_dot: Array, metric: Metric, *, scale: float = 1.0, check: bool = True
) -> Array:
    """Derivative of the formula of :func:`vector` along any ``x_dot``, ``v_dot`` of the ambient space.

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        Point and tangent at it.
    x_dot, v_dot : arrays of the shape of x
        Directions.
    metric, scale, check
        As in :func:`vector`.

    Returns
    -------
    array of shape (..., d)

    Raises
    ------
    OutsideDomain
        As :func:`vector`; p < n and the first p rows of x are singular, where the basis jumps (real x: have rank p - 2
        at most; with rank p - 1 it is the derivative of the branch that :func:`vector` is on).
    TypeError, ValueError
        As :func:`vector`.
    """
    beta = skew_weight(metric)
    _, y = enter_unit(x, {"v": v}, {"x_dot": x_dot, "v_dot": v_dot}, scale, check)
    if 0 in x.shape:
        return _nothing(x)
    (v, vs), (y_dot, xs), (v_dot, vds) = scaled(v), scaled(x_dot, scale), scaled(v_dot)
    along = moved = None
    if not _square(x):
        frame = _Frame(y)
        along, moved = frame.rest_adjoint(v_dot), frame.rest_adjoint_along(y_dot, v)
    return collect(
        (_pack(skew_part(inner(y, v_dot)), along, beta), (vds,)),
        (_pack(skew_part(inner(y_dot, v)), moved, beta), (xs, vs)),
    )[..., 0]


def vector_vjp(
    x: Array, v: Array, y_bar: Array, metric: Metric, *, scale: float = 1.0, check: bool = True
) -> VectorCotangents:
    """Adjoint of :func:`vector_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        Point and tangent at it.
    y_bar : array of shape (..., d)
        Cotangent of the coordinates, real.
    metric, scale, check
        As in :func:`vector`.

    Returns
    -------
    VectorCotangents
        ``x_bar``, ``v_bar`` in the ambient space.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`vector_jvp`.
    """
    beta = skew_weight(metric)
    xp, y = enter_unit(x, {"v": v}, {}, scale, check)
    y_bar = _enter_coordinates("y_bar", y_bar, x)
    if 0 in x.shape:
        return VectorCotangents(xp.zeros_like(x), xp.zeros_like(x))
    (v, vs), (bar, bs) = scaled(v), scaled(y_bar)
    a_bar, b_bar = _unpack(bar, x, beta)
    a_bar = beta * a_bar  # the coordinates of A are an isometry of beta |A|^2
    x_bar, v_bar = v @ ct(a_bar), y @ a_bar
    if b_bar is not None:
        x_more, v_more = _Frame(y).rest_adjoint_vjp(v, b_bar)
        x_bar, v_bar = x_bar + x_more, v_bar + v_more
    return VectorCotangents(collect((x_bar / scale, (vs, bs))), collect((v_bar, (bs,))))


def unvector(x: Array, coordinates: Array, metric: Metric, *, scale: float = 1.0, check: bool = True) -> Array:
    """Tangent with the given coordinates, the inverse of :func:`vector`.

    Parameters
    ----------
    x : array of shape (..., n, p)
        Point.
    coordinates : array of shape (..., d)
        Real, d = dimension(n, p, field).
    metric, scale, check
        As in :func:`vector`.

    Returns
    -------
    array of shape (..., n, p)
        Tangent, within a small multiple of n eps max(1, 1/beta) of the size of the coordinates.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`vector`.

    Notes
    -----
    Equation (ST-BASIS).
    """
    beta = skew_weight(metric)
    xp, y = enter_unit(x, {}, {}, scale, check)
    coordinates = _enter_coordinates("coordinates", coordinates, x)
    if 0 in x.shape:
        return xp.zeros_like(x)
    z, zs = scaled(coordinates)
    a, b = _unpack(z, x, beta)
    v = y @ a if b is None else y @ a + _Frame(y).rest(b)
    return collect((v, (zs,)))


def unvector_jvp(
    x: Array,
    coordinates: Array,
    x_dot: Array,
    coordinates_dot: Array,
    metric: Metric,
    *,
    scale: float = 1.0,
    check: bool = True,
) -> Array:
    """Derivative of the formula of :func:`unvector` along any ``x_dot`` of the ambient space and ``coordinates_dot``.

    Parameters
    ----------
    x, x_dot : arrays of shape (..., n, p)
        Point and direction.
    coordinates, coordinates_dot : arrays of shape (..., d)
        Coordinates and direction, real.
    metric, scale, check
        As in :func:`vector`.

    Returns
    -------
    array of shape (..., n, p)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`vector_jvp`.
    """
    beta = skew_weight(metric)
    xp, y = enter_unit(x, {}, {"x_dot": x_dot}, scale, check)
    coordinates = _enter_coordinates("coordinates", coordinates, x)
    coordinates_dot = _enter_coordinates("coordinates_dot", coordinates_dot, x)
    if 0 in x.shape:
        return xp.zeros_like(x)
    (z, zs), (y_dot, xs), (z_dot, zds) = scaled(coordinates), scaled(x_dot, scale), scaled(coordinates_dot)
    (a, b), (a_dot, b_dot) = _unpack(z, x, beta), _unpack(z_dot, x, beta)
    along, moved = y @ a_dot, y_dot @ a
    if b is not None:
        frame = _Frame(y)
        along, moved = along + frame.rest(b_dot), moved + frame.rest_along(y_dot, b)
    return collect((along, (zds,)), (moved, (xs, zs)))


def unvector_vjp(
    x: Array, coordinates: Array, y_bar: Array, metric: Metric, *, scale: float = 1.0, check: bool = True
) -> UnvectorCotangents:
    """Adjoint of :func:`unvector_jvp` for the real inner products.

    Parameters
    ----------
    x, y_bar : arrays of shape (..., n, p)
        Point, and the cotangent of the tangent.
    coordinates : array of shape (..., d)
        Real.
    metric, scale, check
        As in :func:`vector`.

    Returns
    -------
    UnvectorCotangents
        ``x_bar`` in the ambient space, ``coordinates_bar``.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`vector_jvp`.
    """
    beta = skew_weight(metric)
    xp, y = enter_unit(x, {}, {"y_bar": y_bar}, scale, check)
    coordinates = _enter_coordinates("coordinates", coordinates, x)
    if 0 in x.shape:
        return UnvectorCotangents(xp.zeros_like(x), _nothing(x))
    (z, zs), (bar, bs) = scaled(coordinates), scaled(y_bar)
    a, b = _unpack(z, x, beta)
    a_bar, b_bar, x_bar = skew_part(inner(y, bar)) / beta, None, bar @ ct(a)
    if b is not None:
        frame = _Frame(y)
        b_bar, x_bar = frame.rest_adjoint(bar), x_bar + frame.rest_vjp(b, bar)
    return UnvectorCotangents(collect((x_bar / scale, (zs, bs))), collect((_pack(a_bar, b_bar, beta), (bs,)))[..., 0])


class _Frame:
    """(ST-BASIS) The block reflector I - Y T Y^H, Y = X + [S; 0], T = (I + S^H X_1)^-1, and Z, its last n - p columns.

    Z^H V = V_2 - X_2 T (X^H V + S^H V_1) and Z B = [0; B] - (X + [S; 0]) T X_2^H B.
    """

    def __init__(self, x: Array) -> None:
        self.p = x.shape[-1]
        self.x, self.one, self.two = x, *self.split(x)
        self.s = polar(self.one).u
        self.t = namespace(x).linalg.inv(eye_like(self.one) + ct(self.s) @ self.one)  # of condition number 2 at most

    def split(self, v: Array) -> tuple[Array, Array]:
        return v[..., : self.p, :], v[..., self.p :, :]

    def under(self, top: Array, bottom: Array) -> Array:
        return namespace(top).concat([top, bottom], axis=-2)

    def rest_adjoint(self, v: Array) -> Array:
        """Z^H V."""
        one, two = self.split(v)
        return two - self.two @ (self.t @ (inner(self.x, v) + ct(self.s) @ one))

    def rest(self, b: Array) -> Array:
        """Z B."""
        k = self.t @ inner(self.two, b)
        return self.under(-(self.one + self.s) @ k, b - self.two @ k)

    def s_along(self, x_dot: Array) -> Array:
        try:
            return polar_jvp(self.one, self.split(x_dot)[0], factor="u").u_dot
        except OutsideDomain as error:
            raise OutsideDomain(f"the basis has no derivative at x, a = its first {self.p} rows: {error}") from error

    def s_vjp(self, s_bar: Array) -> Array:
        try:
            return polar_vjp(self.one, s_bar)
        except OutsideDomain as error:
            raise OutsideDomain(f"the basis has no derivative at x, a = its first {self.p} rows: {error}") from error

    def rest_adjoint_along(self, x_dot: Array, v: Array) -> Array:
        """Derivative of Z^H V along X_dot."""
        s_dot, (one_dot, two_dot), (v_one, _) = self.s_along(x_dot), self.split(x_dot), self.split(v)
        k = self.t @ (inner(self.x, v) + ct(self.s) @ v_one)
        right = inner(x_dot, v) + ct(s_dot) @ v_one - (ct(s_dot) @ self.one + ct(self.s) @ one_dot) @ k
        return -(two_dot @ k) - self.two @ (self.t @ right)

    def rest_along(self, x_dot: Array, b: Array) -> Array:
        """Derivative of Z B along X_dot."""
        s_dot, (one_dot, two_dot) = self.s_along(x_dot), self.split(x_dot)
        k = self.t @ inner(self.two, b)
        k_dot = self.t @ (inner(two_dot, b) - (ct(s_dot) @ self.one + ct(self.s) @ one_dot) @ k)
        top = (one_dot + s_dot) @ k + (self.one + self.s) @ k_dot
        return self.under(-top, -(two_dot @ k) - self.two @ k_dot)

    def rest_adjoint_vjp(self, v: Array, bar: Array) -> tuple[Array, Array]:
        """(ST-BASIS*) cotangents of X and V of Z^H V."""
        v_one, _ = self.split(v)
        k = self.t @ (inner(self.x, v) + ct(self.s) @ v_one)
        right = -(ct(self.t) @ inner(self.two, bar))
        one_bar, s_bar = self._inverse_vjp(right, k)
        s_bar = s_bar + v_one @ ct(right)
        x_bar = v @ ct(right) + self.under(one_bar + self.s_vjp(s_bar), -(bar @ ct(k)))
        return x_bar, self.x @ right + self.under(self.s @ right, bar)

    def rest_vjp(self, b: Array, bar: Array) -> Array:
        """(ST-BASIS*) cotangent of X of Z B."""
        bar_one, bar_two = self.split(bar)
        k = self.t @ inner(self.two, b)
        k_bar = -(ct(self.one + self.s) @ bar_one) - inner(self.two, bar_two)
        right = ct(self.t) @ k_bar
        one_bar, s_bar = self._inverse_vjp(right, k)
        outer = -(bar_one @ ct(k))
        return self.under(one_bar + outer + self.s_vjp(s_bar + outer), b @ ct(right) - bar_two @ ct(k))

    def _inverse_vjp(self, right: Array, k: Array) -> tuple[Array, Array]:
        """Cotangents of X_1 and S of T in K = T R, of which ``right`` is the cotangent of R."""
        h_bar = -(right @ ct(k))  # of S^H X_1
        return self.s @ h_bar, self.one @ ct(h_bar)


# --- the isometry between (A, B), A skew-Hermitian, with beta |A|^2 + |B|^2, and real columns -------------------------


@cache
def _below(p: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and columns of the entries below the diagonal, and for every entry (i, j) its place in that list."""
    rows, columns = np.tril_indices(p, -1)
    place = np.zeros((p, p), dtype=np.int64)
    place[rows, columns] = place[columns, rows] = np.arange(len(rows))
    return rows, columns, place


def _pack(a: Array, b: Array | None, beta: float) -> Array:
    """Coordinates of (A, B), shape (..., d, 1)."""
    xp, p, batch = namespace(a), a.shape[-1], a.shape[:-2]
    rows, columns, _ = _below(p)

    def entries(z: Array, index: np.ndarray) -> Array:
        flat = xp.reshape(z, (*batch, z.shape[-2] * z.shape[-1]))
        return xp.take(flat, xp.asarray(index, device=compat.device(a)), axis=-1)

    low = entries(a, rows * p + columns)
    parts = [sqrt(2 * beta) * low]
    if is_complex(a):
        diagonal = xp.imag(entries(a, np.arange(p) * (p + 1)))
        parts = [sqrt(beta) * diagonal, sqrt(2 * beta) * xp.real(low), sqrt(2 * beta) * xp.imag(low)]
    if b is not None:
        flat = xp.reshape(b, (*batch, b.shape[-2] * p))
        parts += [xp.real(flat), xp.imag(flat)] if is_complex(b) else [flat]
    return xp.concat(parts, axis=-1)[..., None]


def _unpack(z: Array, x: Array, beta: float) -> tuple[Array, Array | None]:
    """(A, B) with the coordinates z of shape (..., d, 1); B is None for square X."""
    xp, (n, p), batch = namespace(x), x.shape[-2:], x.shape[:-2]
    z, device = z[..., 0], compat.device(x)
    _, _, place = _below(p)
    count = p * (p - 1) // 2
    sign = xp.asarray(np.sign(np.arange(p)[:, None] - np.arange(p)), dtype=z.dtype, device=device)

    def spread(low: Array) -> Array:
        if not count:
            return xp.zeros((*batch, p, p), dtype=z.dtype, device=device)
        index = xp.asarray(place.ravel(), device=device)
        return xp.reshape(xp.take(low, index, axis=-1), (*batch, p, p)) / sqrt(2 * beta)

    start = count
    if is_complex(x):
        diagonal = z[..., :p, None] * xp.eye(p, dtype=z.dtype, device=device) / sqrt(beta)
        real, imag = spread(z[..., p : p + count]) * sign, spread(z[..., p + count : p + 2 * count]) * abs(sign)
        a = _complex(real, imag + diagonal, x)
        start = p + 2 * count
    else:
        a = spread(z[..., :count]) * sign
    if _square(x):
        return a, None
    size = (n - p) * p
    parts = [xp.reshape(z[..., k : k + size], (*batch, n - p, p)) for k in range(start, z.shape[-1], size)]
    return a, (_complex(parts[0], parts[1], x) if is_complex(x) else parts[0])


def _complex(real: Array, imag: Array, x: Array) -> Array:
    xp = namespace(x)
    return xp.astype(real, x.dtype) + 1j * xp.astype(imag, x.dtype)


def _square(x: Array) -> bool:
    return x.shape[-2] == x.shape[-1]


def _dimension(x: Array) -> int:
    n, p = x.shape[-2:]
    return dimension(n, p, "complex" if is_complex(x) else "real")


def _nothing(x: Array) -> Array:
    shape = (*x.shape[:-2], _dimension(x))
    return namespace(x).zeros(shape, dtype=real_dtype(x), device=compat.device(x))


def _enter_coordinates(name: str, value: Array, x: Array) -> Array:
    """Take in real coordinates; returned with shape (..., d, 1)."""
    if not compat.is_array_api_obj(value):
        raise TypeError(f"{name} must be an array of an array-API library, not {type(value).__name__}")
    require_shape(name, value, (*x.shape[:-2], _dimension(x)))
    value = value[..., None]
    real = namespace(x).real(x) if is_complex(x) else x
    enter(**{"the real part of x" if is_complex(x) else "x": real, name: value})
    return value
