"""Givens rotations: one from two numbers, and products of many angles. Derivations: docs/derivations/constructors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import array_api_compat as compat
import numpy as np

from orthoref import kernels
from orthoref._constructors.door import enter_any, require_count, to_complex
from orthoref.arrays import Array, Namespace, enter, is_complex, namespace, require_choice, require_shape
from orthoref.errors import OutsideDomain
from orthoref.kernels import Impl
from orthoref.linalg import ct

Convention = Literal["lartg", "rotg", "positive"]
Order = str | Sequence[tuple[int, int]]
Side = Literal["left", "right"]
ORDERS = ("columns", "rows", "brickwall", "round_robin", "butterfly")


class GivensRotation(NamedTuple):
    """Cosine ``c`` (real), sine ``s`` and length ``r`` with [[c, -s^*], [s, c]] [r, 0] = [a, b]."""

    c: Array
    s: Array
    r: Array


class GivensCotangent(NamedTuple):
    """Cotangents of angles, phases and of what the rotations are applied to; None where there is no such argument."""

    theta_bar: Array
    phase_bar: Array | None
    x_bar: Array | None = None


# --- one rotation from two numbers ------------------------------------------------------------------------------------


def givens_rotation(a: Array, b: Array, *, convention: Convention = "lartg") -> GivensRotation:
    r"""Rotation that takes (a, b) to (r, 0), entry by entry.

    Parameters
    ----------
    a, b : arrays of one shape
    convention : {"lartg", "rotg", "positive"}
        Sign of r. ``"lartg"`` (LAPACK 3.10 and later): c >= 0, r with the sign, or phase, of a; for a = 0 c = 0
        and r = |b|. ``"rotg"``, of the BLAS: r with the sign of the larger of a and b, of b if their moduli are equal;
        complex as ``"lartg"``. ``"positive"``: r >= 0, real only.

    Returns
    -------
    GivensRotation
        ``c`` real, ``s``, ``r``: with G = [[c, -s^*], [s, c]] unitary, G^H [a, b] = [r, 0]. LAPACK's s is our s^*. Both
        zero: c = 1, s = 0, r = 0.

    Raises
    ------
    OutsideDomain
        NaN or infinity.
    TypeError, ValueError
        Wrong type, dtype, shape or option.

    Notes
    -----
    Equation (GIVENS). No overflow or underflow but that of r itself; each result to a few eps.

    Examples
    --------
    >>> import numpy as np
    >>> import orthoref
    >>> c, s, r = orthoref.givens_rotation(np.asarray(-3.0), np.asarray(4.0))
    >>> float(c.round(12)), float(s.round(12)), float(r)
    (0.6, -0.8, -5.0)
    """
    xp = _enter_rotation(a, b, convention)
    size = xp.maximum(xp.abs(a), xp.abs(b))
    safe = xp.where(size > 0, size, xp.ones_like(size))
    x, y = _over(a, safe, xp), _over(b, safe, xp)
    h = xp.hypot(xp.abs(x), xp.abs(y))
    h = xp.where(size > 0, h, xp.ones_like(h))
    zero = size == 0
    if is_complex(a):
        p = _sign(a, xp)
        c = xp.where(zero, xp.ones_like(h), xp.abs(x) / h)
        return GivensRotation(c, _over(y * xp.conj(p), h, xp), p * xp.astype(h * size, a.dtype))
    if convention == "lartg":
        sign = _sign(a, xp)
    elif convention == "rotg":
        sign = xp.where(xp.abs(a) > xp.abs(b), _sign(a, xp), _sign(b, xp))
    else:
        sign = xp.ones_like(a)
    c = xp.where(zero, xp.ones_like(h), sign * x / h)
    return GivensRotation(c, sign * y / h, sign * (h * size))


def givens_rotation_jvp(
    a: Array, b: Array, a_dot: Array, b_dot: Array, *, convention: Convention = "lartg"
) -> GivensRotation:
    r"""Derivative of :func:`givens_rotation`.

    Parameters
    ----------
    a, b, a_dot, b_dot : arrays of one shape
        Point and direction.
    convention : {"lartg", "rotg", "positive"}
        As in :func:`givens_rotation`.

    Returns
    -------
    GivensRotation
        The derivatives of c, s and r.

    Raises
    ------
    OutsideDomain
        As :func:`givens_rotation`; a = b = 0, and where the sign of r jumps: a = 0 with ``"lartg"`` and complex
        numbers, a = -b with ``"rotg"``.
    TypeError, ValueError
        As :func:`givens_rotation`.

    Notes
    -----
    Equation (GIVENS-DOT).
    """
    xp = _enter_rotation(a, b, convention, a_dot=a_dot, b_dot=b_dot)
    c, s, r = _differentiable(a, b, convention, xp)
    if not is_complex(a):
        # (GIVENS-DOT) theta_dot = (c b_dot - s a_dot)/r
        turn = (c * b_dot - s * a_dot) / r
        return GivensRotation(-s * turn, c * turn, c * a_dot + s * b_dot)
    p, h = _sign(a, xp), xp.abs(r)
    away = xp.conj(p) * a_dot
    p_dot = 1j * p * to_complex(xp.imag(away) / xp.abs(a), xp)
    h_dot = c * xp.real(away) + xp.real(xp.conj(s * p) * b_dot)
    c_dot = (xp.real(away) - c * h_dot) / h
    s_dot = _over(b_dot * xp.conj(p) + b * xp.conj(p_dot) - s * to_complex(h_dot, xp), h, xp)
    return GivensRotation(c_dot, s_dot, p_dot * to_complex(h, xp) + p * to_complex(h_dot, xp))


def givens_rotation_vjp(
    a: Array, b: Array, c_bar: Array, s_bar: Array, r_bar: Array, *, convention: Convention = "lartg"
) -> tuple[Array, Array]:
    r"""Adjoint of :func:`givens_rotation_jvp` for Re tr(X^H Y).

    Parameters
    ----------
    a, b : arrays of one shape
    c_bar, s_bar, r_bar : arrays of that shape
        Cotangents, c_bar real.
    convention : {"lartg", "rotg", "positive"}
        As in :func:`givens_rotation`.

    Returns
    -------
    tuple of two arrays
        ``a_bar``, ``b_bar``.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`givens_rotation_jvp`.

    Notes
    -----
    Equation (GIVENS-BAR).
    """
    xp = _enter_rotation(a, b, convention, s_bar=s_bar, r_bar=r_bar)
    enter_any({}, {"c_bar": c_bar})
    require_shape("c_bar", c_bar, a.shape)
    if is_complex(c_bar):
        raise TypeError("c_bar must be real, as c")
    c, s, r = _differentiable(a, b, convention, xp)
    if not is_complex(a):
        # (GIVENS-BAR) theta_bar = (c s_bar - s c_bar)/r
        turn = (c * s_bar - s * c_bar) / r
        return c * r_bar - s * turn, s * r_bar + c * turn
    p, h = _sign(a, xp), xp.abs(r)
    p_bar = r_bar * to_complex(h, xp) + _over(xp.conj(s_bar) * b, h, xp)
    h_bar = xp.real(xp.conj(r_bar) * p) - (xp.real(xp.conj(s_bar) * s) + c_bar * c) / h
    along, across = c_bar / h + h_bar * c, xp.imag(xp.conj(p) * p_bar) / xp.abs(a)
    a_bar = p * (to_complex(along, xp) + 1j * to_complex(across, xp))
    return a_bar, _over(s_bar * p, h, xp) + s * p * to_complex(h_bar, xp)


# --- products ---------------------------------------------------------------------------------------------------------


def givens_pairs(n: int, *, order: Order = "columns") -> list[tuple[int, int]]:
    """Planes (i, j), i < j, of the rotations of :func:`givens_product`, in the order of the product.

    Parameters
    ----------
    n : int
        Order of the matrix.
    order : {"columns", "rows", "brickwall", "round_robin", "butterfly"} or sequence of pairs
        ``"columns"``: (0,1), (0,2), ..., (1,2), .... ``"rows"``: (0,1), (0,2), (1,2), (0,3), .... ``"brickwall"``: n
        layers of neighbours, from (0,1) and (1,2) in turn. ``"round_robin"``: n - 1 rounds of n/2 disjoint pairs, n
        rounds of (n - 1)/2 for odd n. ``"butterfly"``: strides 1, 2, 4, ... of a power of two n, n/2 log2(n)
        rotations. All others have n (n - 1)/2.

    Returns
    -------
    list of pairs

    Raises
    ------
    ValueError
        n is no integer, or no power of two for ``"butterfly"``; an unknown order; a pair that is none.

    Examples
    --------
    >>> import orthoref
    >>> orthoref.givens_pairs(4, order="brickwall")
    [(0, 1), (2, 3), (1, 2), (0, 1), (2, 3), (1, 2)]
    """
    require_count("n", n)
    if not isinstance(order, str):
        pairs = [(int(i), int(j)) for i, j in order]
        for i, j in pairs:
            if not 0 <= i < j < n:
                raise ValueError(f"order={order!r}: ({i}, {j}) is no pair i < j of 0, ..., {n - 1}")
        return pairs
    require_choice("order", order, ORDERS)
    if order == "columns":
        return [(i, j) for i in range(n) for j in range(i + 1, n)]
    if order == "rows":
        return [(i, j) for j in range(n) for i in range(j)]
    if order == "brickwall":
        return [(i, i + 1) for layer in range(n) for i in range(layer % 2, n - 1, 2)]
    if order == "round_robin":
        m = n + n % 2  # a dummy makes it even; who plays against it rests
        rounds = [
            [(a, b) if a < b else (b, a) for a, b in _meetings(m, turn) if a < n and b < n] for turn in range(m - 1)
        ]
        return [pair for pairs in rounds for pair in sorted(pairs)]
    if n & (n - 1) or n == 0:
        raise ValueError(f"order='butterfly' needs a power of two, not n={n}")
    strides = [1 << k for k in range(n.bit_length() - 1)]
    return [(i, i + stride) for stride in strides for i in range(n) if not i & stride]


def givens_matrix(theta: Array, n: int, phase: Array | None = None, *, i: int, j: int) -> Array:
    """One rotation: [[c, -e^{-i phase} s], [e^{i phase} s, c]] in the rows and columns i < j of the identity.

    Parameters
    ----------
    theta : real array of shape (...)
        Angle.
    n : int
        Order.
    phase : real array of shape (...), optional
        The result is complex if it is given.
    i, j : int
        Plane, 0 <= i < j < n.

    Returns
    -------
    array of shape (..., n, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`givens_product`.

    Examples
    --------
    >>> import numpy as np
    >>> import orthoref
    >>> np.rint(orthoref.givens_matrix(np.asarray(np.pi / 2), 3, i=0, j=2)).astype(int).tolist()
    [[0, 0, -1], [0, 1, 0], [1, 0, 0]]
    """
    return givens_product(_last(theta), n, _last(phase), order=[(i, j)])


def givens_matrix_jvp(
    theta: Array,
    n: int,
    theta_dot: Array,
    phase: Array | None = None,
    phase_dot: Array | None = None,
    *,
    i: int,
    j: int,
) -> Array:
    """Derivative of :func:`givens_matrix`.

    Parameters
    ----------
    theta, theta_dot : real arrays of shape (...)
        Point and direction.
    n : int
        Order.
    phase, phase_dot : real arrays of shape (...), optional
        Both or neither.
    i, j : int
        Plane.

    Returns
    -------
    array of shape (..., n, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`givens_product_jvp`.
    """
    return givens_product_jvp(_last(theta), n, _last(theta_dot), _last(phase), _last(phase_dot), order=[(i, j)])


def givens_matrix_vjp(
    theta: Array, n: int, g_bar: Array, phase: Array | None = None, *, i: int, j: int
) -> GivensCotangent:
    """Adjoint of :func:`givens_matrix_jvp` for Re tr(X^H Y).

    Parameters
    ----------
    theta : real array of shape (...)
    n : int
        Order.
    g_bar : array of shape (..., n, n)
        Cotangent.
    phase : real array of shape (...), optional
    i, j : int
        Plane.

    Returns
    -------
    GivensCotangent
        ``theta_bar`` and ``phase_bar`` (...), None if there is no phase.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`givens_product_vjp`.
    """
    bars = givens_product_vjp(_last(theta), n, g_bar, _last(phase), order=[(i, j)])
    return GivensCotangent(bars.theta_bar[..., 0], None if bars.phase_bar is None else bars.phase_bar[..., 0])


def givens_product(
    theta: Array, n: int, phase: Array | None = None, *, order: Order = "columns", impl: Impl = "auto"
) -> Array:
    r"""Product of Givens rotations, Q = G_1 G_2 ... G_N.

    Parameters
    ----------
    theta : real array of shape (..., N)
        Angles, in the order of :func:`givens_pairs`.
    n : int
        Order of Q.
    phase : real array of shape (..., N), optional
        Q is complex if it is given.
    order : str or sequence of pairs
        As in :func:`givens_pairs`.
    impl : {"auto", "generic", "kernel"}
        ``"kernel"`` demands the compiled twin, ``"auto"`` takes it where it pays, ``"generic"`` is the array-API path.

    Returns
    -------
    array of shape (..., n, n)
        Orthogonal with determinant 1, or unitary with determinant 1.

    Raises
    ------
    OutsideDomain
        NaN or infinity.
    TypeError, ValueError
        Wrong type, dtype, shape or option; complex angles; a number of angles that is not that of the order.

    Notes
    -----
    Equation (GIVENS-PRODUCT). Rotations of disjoint planes are applied at once, by one gather; the sequence on every
    row is that of the product, so that it does not matter to a bit how they are grouped. 6 n N flops.

    Examples
    --------
    >>> import numpy as np
    >>> import orthoref
    >>> np.rint(orthoref.givens_product(np.asarray([np.pi / 2, 0.0, np.pi / 2]), 3)).astype(int).tolist()
    [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    """
    xp = _enter_angles(theta, phase, n, order)
    return givens_apply(theta, _identity(theta, phase, n, xp), phase, order=order, impl=impl)


def givens_product_jvp(
    theta: Array,
    n: int,
    theta_dot: Array,
    phase: Array | None = None,
    phase_dot: Array | None = None,
    *,
    order: Order = "columns",
) -> Array:
    """Derivative of :func:`givens_product`.

    Parameters
    ----------
    theta, theta_dot : real arrays of shape (..., N)
        Point and direction.
    n : int
        Order of Q.
    phase, phase_dot : real arrays of shape (..., N), optional
        Both or neither.
    order : str or sequence of pairs
        As in :func:`givens_pairs`.

    Returns
    -------
    array of shape (..., n, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`givens_product`.

    Notes
    -----
    Equation (GIVENS-PRODUCT-DOT).
    """
    xp = _enter_angles(theta, phase, n, order, theta_dot, phase_dot)
    x = _identity(theta, phase, n, xp)
    return givens_apply_jvp(theta, x, theta_dot, xp.zeros_like(x), phase, phase_dot, order=order)


def givens_product_vjp(
    theta: Array, n: int, q_bar: Array, phase: Array | None = None, *, order: Order = "columns", impl: Impl = "auto"
) -> GivensCotangent:
    """Adjoint of :func:`givens_product_jvp` for Re tr(X^H Y).

    Parameters
    ----------
    theta : real array of shape (..., N)
    n : int
        Order of Q.
    q_bar : array of shape (..., n, n)
        Cotangent, complex if there is a phase.
    phase : real array of shape (..., N), optional
    order : str or sequence of pairs
        As in :func:`givens_pairs`.
    impl : {"auto", "generic", "kernel"}
        As in :func:`givens_product`.

    Returns
    -------
    GivensCotangent
        ``theta_bar``, ``phase_bar`` (..., N), None if there is no phase.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`givens_product`.

    Notes
    -----
    Equation (GIVENS-PRODUCT-BAR): a sweep that undoes the rotations. Nothing but Q and q_bar is stored.
    """
    xp = _enter_angles(theta, phase, n, order)
    bars = givens_apply_vjp(theta, _identity(theta, phase, n, xp), q_bar, phase, order=order, impl=impl)
    return GivensCotangent(bars.theta_bar, bars.phase_bar)


def givens_apply(
    theta: Array,
    x: Array,
    phase: Array | None = None,
    *,
    side: Side = "left",
    adjoint: bool = False,
    order: Order = "columns",
    impl: Impl = "auto",
) -> Array:
    """Q X, Q^H X, X Q or X Q^H for the Q of :func:`givens_product`, which is not formed.

    Parameters
    ----------
    theta : real array of shape (..., N)
    x : array of shape (..., n, c), or (..., c, n) for side="right"
        Of the precision of theta; complex if there is a phase.
    phase : real array of shape (..., N), optional
    side : {"left", "right"}
        On which side of X.
    adjoint : bool
        Q^H in the place of Q.
    order : str or sequence of pairs
        As in :func:`givens_pairs`.
    impl : {"auto", "generic", "kernel"}
        As in :func:`givens_product`.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`givens_product`.
    """
    if side == "right":  # X Q = (Q^H X^H)^H
        _require_matrix(x=x)
        return ct(givens_apply(theta, ct(x), phase, adjoint=not adjoint, order=order, impl=impl))
    require_choice("side", side, ("left", "right"))
    plan, xp = _enter_apply(theta, x, phase, order)
    if (kernel := kernels.find("givens.apply", x, impl)) is not None:
        s = to_complex(xp.sin(theta), xp) if is_complex(x) else xp.sin(theta)
        return kernel(x, plan.pairs, xp.cos(theta), s if phase is None else s * _circle(phase, xp), adjoint)
    t = _tables(theta, phase, x, plan, xp)
    for level in range(plan.levels) if adjoint else reversed(range(plan.levels)):
        x = t.turn(x, level, -1 if adjoint else 1)
    return x + xp.zeros_like(x)


def givens_apply_jvp(
    theta: Array,
    x: Array,
    theta_dot: Array,
    x_dot: Array,
    phase: Array | None = None,
    phase_dot: Array | None = None,
    *,
    side: Side = "left",
    adjoint: bool = False,
    order: Order = "columns",
) -> Array:
    """Derivative of :func:`givens_apply`.

    Parameters
    ----------
    theta, x, phase : arrays
        As in :func:`givens_apply`.
    theta_dot, x_dot, phase_dot : arrays
        Directions; phase and phase_dot both or neither.
    side, adjoint, order : options
        As in :func:`givens_apply`.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`givens_apply`.

    Notes
    -----
    Equation (GIVENS-PRODUCT-DOT).
    """
    if side == "right":
        _require_matrix(x=x, x_dot=x_dot)
        back = givens_apply_jvp(theta, ct(x), theta_dot, ct(x_dot), phase, phase_dot, adjoint=not adjoint, order=order)
        return ct(back)
    require_choice("side", side, ("left", "right"))
    plan, xp = _enter_apply(theta, x, phase, order, x_dot=x_dot)
    require_shape("x_dot", x_dot, x.shape)
    _enter_angles(theta, phase, x.shape[-2], order, theta_dot, phase_dot)
    t = _tables(theta, phase, x, plan, xp)
    move = _moves(theta, theta_dot, phase, phase_dot, x, plan, xp)
    sign = -1 if adjoint else 1
    for level in range(plan.levels) if adjoint else reversed(range(plan.levels)):
        x, x_dot = t.turn(x, level, sign), t.turn(x_dot, level, sign) + move.turn(x, level, sign)
    return x_dot


def givens_apply_vjp(
    theta: Array,
    x: Array,
    y_bar: Array,
    phase: Array | None = None,
    *,
    side: Side = "left",
    adjoint: bool = False,
    order: Order = "columns",
    impl: Impl = "auto",
) -> GivensCotangent:
    """Adjoint of :func:`givens_apply_jvp` for Re tr(X^H Y).

    Parameters
    ----------
    theta, x, phase : arrays
        As in :func:`givens_apply`.
    y_bar : array of the shape of x
        Cotangent.
    side, adjoint, order, impl : options
        As in :func:`givens_apply`.

    Returns
    -------
    GivensCotangent
        ``theta_bar``, ``phase_bar`` (None if there is no phase), ``x_bar``.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`givens_apply`.

    Notes
    -----
    Equation (GIVENS-PRODUCT-BAR).
    """
    if side == "right":
        _require_matrix(x=x, y_bar=y_bar)
        bars = givens_apply_vjp(theta, ct(x), ct(y_bar), phase, adjoint=not adjoint, order=order, impl=impl)
        return GivensCotangent(bars.theta_bar, bars.phase_bar, ct(bars.x_bar))
    require_choice("side", side, ("left", "right"))
    plan, xp = _enter_apply(theta, x, phase, order, y_bar=y_bar)
    require_shape("y_bar", y_bar, x.shape)
    # <y_bar, dQ^H x> = <dQ y_bar, x>: the adjoint exchanges the two
    start, z_bar = (y_bar, x) if adjoint else (x, y_bar)
    z = givens_apply(theta, start, phase, order=order, impl=impl)
    if (kernel := kernels.find("givens.unwind", x, impl)) is not None:
        u = None if phase is None else _circle(phase, xp)
        theta_bar, phase_bar, end = kernel(z, z_bar, plan.pairs, xp.cos(theta), xp.sin(theta), u)
    else:
        theta_bar, phase_bar, end = _unwind(theta, phase, z, z_bar, plan, xp)
    return GivensCotangent(theta_bar, phase_bar, z if adjoint else end)


def givens_log_jacobian(
    theta: Array, n: int, *, order: Literal["columns", "rows"] = "columns", field: Literal["real", "complex"] = "real"
) -> Array:
    r"""Logarithm of |det| of the derivative of :func:`givens_product`, for densities of such matrices.

    Parameters
    ----------
    theta : real array of shape (..., n (n - 1)/2)
    n : int
        Order of Q.
    order : {"columns", "rows"}
        The orders that eliminate one column or row after the other; the others have no closed form.
    field : {"real", "complex"}
        Complex: of (theta, phase, t) to Q diag(e^{it}) (``"columns"``) or diag(e^{it}) Q (``"rows"``), which does not
        depend on the phases.

    Returns
    -------
    real array of shape (...)
        In the coordinates of Q^H dQ below the diagonal (and on it, complex). Minus infinity where rotations cannot be
        told apart.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`givens_product`.

    Notes
    -----
    Equation (GIVENS-VOLUME): the sum over i < j of ``(j - i - 1) log|cos theta_ij|``, of both orders; complex of
    ``(2 (j - i) - 1) log|cos theta_ij| + log|sin theta_ij|``.
    """
    require_choice("order", order, ("columns", "rows"))
    require_choice("field", field, ("real", "complex"))
    xp = _enter_angles(theta, None, n, order)
    pairs = givens_pairs(n, order=order)
    powers = np.asarray([j - i - 1 for i, j in pairs], dtype=np.float64)
    if field == "complex":
        powers = 2 * powers + 1
    weights = xp.asarray(powers, dtype=theta.dtype, device=compat.device(theta))
    with np.errstate(divide="ignore"):
        c, s = xp.log(xp.abs(xp.cos(theta))), xp.log(xp.abs(xp.sin(theta)))
    terms = xp.where(weights > 0, weights * c, xp.zeros_like(c))  # 0 times infinity is no number
    return xp.sum(terms + s if field == "complex" else terms, axis=-1)


# --- rounds of disjoint rotations -------------------------------------------------------------------------------------


class Plan(NamedTuple):
    """Rotations grouped into levels of disjoint planes, each row meeting them in the order of the product."""

    pairs: np.ndarray  # (N, 2)
    level: np.ndarray  # (N,)
    levels: int
    partner: np.ndarray  # (levels, n): the other row of the plane, itself if there is none
    which: np.ndarray  # (levels, n): the rotation, 0 if there is none
    side: np.ndarray  # (levels, n): -1 for row i, 1 for row j, 0 if there is none


def plan_of(n: int, order: Order) -> Plan:
    """The plan of an order, remembered."""
    return _plan(n, order if isinstance(order, str) else tuple(givens_pairs(n, order=order)))


@lru_cache(maxsize=64, typed=True)
def _plan(n: int, order: str | tuple[tuple[int, int], ...]) -> Plan:
    pairs = givens_pairs(n, order=order)
    free, level = [0] * n, []
    for i, j in pairs:  # as early as both rows are free
        level.append(max(free[i], free[j]))
        free[i] = free[j] = level[-1] + 1
    levels = max(level, default=-1) + 1
    partner = np.tile(np.arange(n), (levels, 1))
    which, side = np.zeros((levels, n), dtype=np.int64), np.zeros((levels, n))
    for k, ((i, j), at) in enumerate(zip(pairs, level, strict=True)):
        partner[at, i], partner[at, j] = j, i
        which[at, i] = which[at, j] = k
        side[at, i], side[at, j] = -1, 1
    shaped = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    return Plan(shaped, np.asarray(level, dtype=np.int64), levels, partner, which, side)


class Tables(NamedTuple):
    """Z_k = c_k W_k + sign s_k W_partner(k) for every row k and level: sign -1 is the adjoint."""

    c: Array  # (..., levels, n)
    s: Array
    partner: list[Array]

    def turn(self, w: Array, level: int, sign: int) -> Array:
        """One level of rotations of rows."""
        other = namespace(w).take(w, self.partner[level], axis=-2)
        return self.c[..., level, :, None] * w + sign * self.s[..., level, :, None] * other


def _tables(theta: Array, phase: Array | None, x: Array, plan: Plan, xp: Namespace) -> Tables:
    """(GIVENS-PRODUCT) Row i: c, -conj(u) s; row j: c, u s; u = e^{i phase}."""
    c = _spread(xp.cos(theta), plan, xp)
    side = _side(plan, theta, xp)
    c = xp.where(side == 0, xp.ones_like(c), c)
    s = _spread(xp.sin(theta), plan, xp) * side
    u = _unit(phase, plan, xp)
    if is_complex(x):
        c, s = to_complex(c, xp), to_complex(s, xp)
    return Tables(c, s if u is None else s * u, _partners(plan, x, xp))


def _moves(
    theta: Array, theta_dot: Array, phase: Array | None, phase_dot: Array | None, x: Array, plan: Plan, xp: Namespace
) -> Tables:
    """(GIVENS-PRODUCT-DOT) c_dot = -s theta_dot, (u s)_dot = u (c theta_dot + i s phase_dot)."""
    cos, sin = xp.cos(theta), xp.sin(theta)
    side = _side(plan, theta, xp)
    c = -_spread(sin * theta_dot, plan, xp) * xp.abs(side)
    s = _spread(cos * theta_dot, plan, xp) * side
    if is_complex(x):
        c, s = to_complex(c, xp), to_complex(s, xp)
    u = _unit(phase, plan, xp)
    if u is not None:
        # the phase of row i is -phase, its sign is taken twice
        s = u * (s + 1j * to_complex(_spread(sin * phase_dot, plan, xp) * xp.abs(side), xp))
    return Tables(c, s, _partners(plan, x, xp))


def _unwind(
    theta: Array, phase: Array | None, z: Array, z_bar: Array, plan: Plan, xp: Namespace
) -> tuple[Array, Array | None, Array]:
    """(GIVENS-PRODUCT-BAR) From Z = G_1 ... G_N X and its cotangent, undoing one level after the other.

    At the end the cotangent is that of X.
    """
    if not plan.levels:
        return xp.zeros_like(theta), None if phase is None else xp.zeros_like(theta), z_bar + xp.zeros_like(z_bar)
    t = _tables(theta, phase, z, plan, xp)
    u = _unit(phase, plan, xp)
    turn = _side(plan, theta, xp)
    turn = (to_complex(turn, xp) if is_complex(z) else turn) * (1.0 if u is None else u)
    sin, cos = (_spread(f(theta), plan, xp) for f in (xp.sin, xp.cos))
    by_theta, by_phase = [], []
    for level in range(plan.levels):
        other = xp.take(z, t.partner[level], axis=-2)
        # row by row <z_bar, (dG G^H) z>; dG G^H of the angle is [[0, -conj(u)], [u, 0]]
        across = _rows(z_bar, turn[..., level, :, None] * other, xp)
        by_theta.append(across[..., None, :])
        if phase is not None:
            # and of the phase i s [[-s, conj(u) c], [u c, s]]
            s, c, side = sin[..., level, :], cos[..., level, :], _side(plan, theta, xp)[level, :]
            along = _rows(z_bar, 1j * z, xp)
            mixed = _rows(z_bar, 1j * turn[..., level, :, None] * other, xp)
            by_phase.append((s * (side * s * along + side * c * mixed))[..., None, :])
        z, z_bar = t.turn(z, level, -1), t.turn(z_bar, level, -1)
    return _gather(by_theta, plan, xp), None if phase is None else _gather(by_phase, plan, xp), z_bar


def _rows(x: Array, y: Array, xp: Namespace) -> Array:
    """Re<x, y> of every row."""
    return xp.sum(xp.real(xp.conj(x) * y) if is_complex(y) else x * y, axis=-1)


def _gather(by_level: list[Array], plan: Plan, xp: Namespace) -> Array:
    """The contributions of both rows of every rotation, in the order of the product."""
    rows = xp.concat(by_level, axis=-2)
    n = rows.shape[-1]
    flat = xp.reshape(rows, (*rows.shape[:-2], plan.levels * n))
    i, j = (xp.asarray(plan.level * n + plan.pairs[:, k], device=compat.device(rows)) for k in (0, 1))
    return xp.take(flat, i, axis=-1) + xp.take(flat, j, axis=-1)


def _spread(values: Array, plan: Plan, xp: Namespace) -> Array:
    """Values of rotations (..., N) at the rows and levels where they act, anything elsewhere: (..., levels, n)."""
    if not plan.levels:
        return xp.zeros((*values.shape[:-1], *plan.which.shape), dtype=values.dtype, device=compat.device(values))
    index = xp.asarray(plan.which.ravel(), device=compat.device(values))
    return xp.reshape(xp.take(values, index, axis=-1), (*values.shape[:-1], *plan.which.shape))


def _unit(phase: Array | None, plan: Plan, xp: Namespace) -> Array | None:
    """U = e^{i phase} in rows j, its conjugate in rows i."""
    if phase is None:
        return None
    return _circle(_spread(phase, plan, xp) * _side(plan, phase, xp), xp)


def _circle(angle: Array, xp: Namespace) -> Array:
    return to_complex(xp.cos(angle), xp) + 1j * to_complex(xp.sin(angle), xp)


def _side(plan: Plan, like: Array, xp: Namespace) -> Array:
    return xp.asarray(plan.side, dtype=like.dtype, device=compat.device(like))


def _partners(plan: Plan, x: Array, xp: Namespace) -> list[Array]:
    return [xp.asarray(row, device=compat.device(x)) for row in plan.partner]


def _meetings(m: int, turn: int) -> list[tuple[int, int]]:
    """The circle method: m - 1 stays, the others move on."""
    ring = [(turn + k) % (m - 1) for k in range(m - 1)]
    return [(ring[0], m - 1), *((ring[k], ring[-k]) for k in range(1, m // 2))]


# --- doors ------------------------------------------------------------------------------------------------------------


def _identity(theta: Array, phase: Array | None, n: int, xp: Namespace) -> Array:
    dtype = theta.dtype if phase is None else to_complex(theta, xp).dtype
    eye = xp.eye(n, dtype=dtype, device=compat.device(theta))
    return eye + xp.zeros((*theta.shape[:-1], n, n), dtype=dtype, device=compat.device(theta))


def _enter_angles(
    theta: Array,
    phase: Array | None,
    n: int,
    order: Order,
    theta_dot: Array | None = None,
    phase_dot: Array | None = None,
) -> Namespace:
    others = {"theta_dot": theta_dot, "phase": phase, "phase_dot": phase_dot}
    xp = enter_any({}, {"theta": theta, **others})
    if is_complex(theta):
        raise TypeError("theta must be real; phases are an argument of their own")
    if theta.ndim < 1:
        raise ValueError("theta must have at least 1 dimension (..., N)")
    for name, x in others.items():
        if x is not None:
            require_shape(name, x, theta.shape)
    if theta_dot is not None and (phase is None) != (phase_dot is None):
        raise ValueError("phase and phase_dot belong together")
    count = len(plan_of(n, order).pairs)
    if theta.shape[-1] != count:
        raise ValueError(f"theta has {theta.shape[-1]} angles, order={order!r} of n={n} has {count}")
    return xp


def _enter_apply(theta: Array, x: Array, phase: Array | None, order: Order, **others: Array) -> tuple[Plan, Namespace]:
    xp = enter(x=x, **others)
    n = x.shape[-2]
    _enter_angles(theta, phase, n, order)
    if phase is not None and not is_complex(x):
        raise TypeError("x must be complex if there are phases")
    enter(x=x, theta=(to_complex(theta, xp) if is_complex(x) else theta)[..., None])
    require_shape("theta", theta, (*x.shape[:-2], theta.shape[-1]))
    return plan_of(n, order), xp


def _require_matrix(**arguments: Array) -> None:
    enter(**arguments)


def _last(x: Array | None) -> Array | None:
    """One angle as a vector."""
    return None if x is None else x[..., None]


def _enter_rotation(a: Array, b: Array, convention: str, **others: Array) -> Namespace:
    require_choice("convention", convention, ("lartg", "rotg", "positive"))
    xp = enter_any({}, {"a": a, "b": b, **others})
    for name, x in {"b": b, **others}.items():
        require_shape(name, x, a.shape)
    if convention == "positive" and is_complex(a):
        raise ValueError("convention='positive' is of real numbers: c is real, and r has the phase of a")
    return xp


def _differentiable(a: Array, b: Array, convention: str, xp: Namespace) -> GivensRotation:
    rotation = givens_rotation(a, b, convention=convention)  # type: ignore[arg-type]
    bad = rotation.r == 0
    if convention == "lartg" or is_complex(a):
        bad = bad | (a == 0)
    elif convention == "rotg":
        bad = bad | (a == -b)
    if bool(xp.any(bad)):
        index = tuple(int(i[0]) for i in xp.nonzero(bad)) if bad.ndim else ()
        raise OutsideDomain(
            f"the rotation is not differentiable at a = {a[index]}, b = {b[index]} ({convention})"
            + (f", index {index}" if index else "")
        )
    return rotation


def _sign(x: Array, xp: Namespace) -> Array:
    """X over |x|, 1 at 0, to full accuracy for subnormal numbers too."""
    if not is_complex(x):
        return xp.where(x >= 0, xp.ones_like(x), -xp.ones_like(x))
    size = xp.maximum(xp.abs(xp.real(x)), xp.abs(xp.imag(x)))
    zero = size == 0
    y = _over(x, xp.where(zero, xp.ones_like(size), size), xp)
    length = xp.where(zero, xp.ones_like(size), xp.abs(y))
    return xp.where(zero, xp.ones_like(x), _over(y, length, xp))


def _over(x: Array, size: Array, xp: Namespace) -> Array:
    """A number divided by a positive real one, part by part."""
    if not is_complex(x):
        return x / size
    return to_complex(xp.real(x) / size, xp) + 1j * to_complex(xp.imag(x) / size, xp)
