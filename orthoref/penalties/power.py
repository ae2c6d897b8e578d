"""The restricted isometry penalty as it is run, by a power iteration. Derivations: docs/derivations/penalties."""

from __future__ import annotations

from typing import Any

from orthoref.arrays import Array, enter, namespace, require_choice, require_shape
from orthoref.linalg import ct, frobenius, hermitian_part
from orthoref.penalties.door import (
    AtZero,
    Gram,
    Point,
    dot,
    enter_matrix,
    matrices,
    near_one,
    numbers,
    point,
    refuse,
    turned,
)


def spectral_restricted_isometry_power(w: Array, z: Array, *, gram: Gram, products: int = 2) -> Array:
    """Estimate of |G - I| in the spectral norm by a power iteration, |R^p z|/|R^(p-1) z| with R = G - I.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    z : array of shape (..., k)
        Start, k the order of G; its length does not matter. Ports draw it at random for every evaluation.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`.
    products : int
        p >= 1, how many products with R.

    Returns
    -------
    real array of shape (...)
        At most :func:`spectral_restricted_isometry`, and not decreasing in p: another function than that norm, with
        another gradient. Zero where G = I to rounding.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`; an R^j z with j < p that vanishes to rounding while R does not.

    Notes
    -----
    Equation (POWER); p = 2 in [BansalChenWang2018]_. Code in circulation also squares the result.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import penalties
    >>> w = np.diag(np.asarray([2.0, 1.0, 0.0]))
    >>> z = np.ones(3)
    >>> for products in (1, 2, 3):
    ...     print(f"{penalties.spectral_restricted_isometry_power(w, z, gram='columns', products=products):.4f}")
    1.8257
    2.8636
    2.9837
    >>> round(float(penalties.spectral_restricted_isometry(w, gram="columns")), 12)
    3.0
    """
    p, r, v, there = _enter(w, z, gram, products)
    size = frobenius(_iterate(r, v, products, there)[2])
    return numbers(namespace(w).where(there, size, 0 * size), 2 * p.e)


def spectral_restricted_isometry_power_gradient(
    w: Array, z: Array, *, gram: Gram, products: int = 2, subgradient: AtZero = "mean"
) -> Array:
    """Gradient of :func:`spectral_restricted_isometry_power` with respect to w, through the whole iteration.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    z : array of shape (..., k)
        Start, held fixed.
    gram, products
        As in :func:`spectral_restricted_isometry_power`.
    subgradient : {"mean", "raise"}
        Where G = I to rounding: zero or :class:`~orthoref.OutsideDomain`.

    Returns
    -------
    array of shape (..., m, n)
        Not the 2 W herm(u v^H) of ports that hold the vectors of the iteration fixed.

    Raises
    ------
    OutsideDomain
        As :func:`spectral_restricted_isometry_power`; a value of zero to rounding where R is not zero.
    TypeError, ValueError
        As :func:`spectral_restricted_isometry_power`.

    Notes
    -----
    Equation (POWER-GRAD).
    """
    require_choice("subgradient", subgradient, ("mean", "raise"))
    p, r, v, there = _enter(w, z, gram, products)
    if subgradient == "raise":
        refuse(~there, "|G - I| is not differentiable where it vanishes")
    xp = namespace(w)
    vs, lengths, b = _iterate(r, v, products, there)
    size = _positive(p, b, there)
    # (POWER-GRAD) back through v_j = R v_(j-1)/l_j with the lengths l_j held fixed: the value does not change with them
    u = b / size
    r_bar, v_bar = u @ ct(vs[-1]), r @ u - size * vs[-1]
    for before, length in zip(vs[-2::-1], lengths[::-1], strict=True):
        c = v_bar / length
        r_bar, v_bar = r_bar + c @ ct(before), r @ c
    f = xp.where(there, hermitian_part(r_bar), xp.zeros_like(r))
    return matrices(p.turn(2 * p.x @ f), p.e)


def spectral_restricted_isometry_power_hvp(w: Array, z: Array, w_dot: Array, *, gram: Gram, products: int = 2) -> Array:
    """Hessian of :func:`spectral_restricted_isometry_power` with respect to w, applied to a direction.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    z : array of shape (..., k)
        Start, held fixed.
    w_dot : array of shape (..., m, n)
        Direction.
    gram, products
        As in :func:`spectral_restricted_isometry_power`.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain
        As :func:`spectral_restricted_isometry_power_gradient`; G = I to rounding.
    TypeError, ValueError
        As :func:`spectral_restricted_isometry_power`.

    Notes
    -----
    The derivative of (POWER-GRAD), line by line.
    """
    p, r, v, there = _enter(w, z, gram, products, w_dot=w_dot)
    refuse(~there, "|G - I| is not differentiable where it vanishes")
    y, ev = near_one(w_dot)
    y = p.turn(y)
    e = p.moved(y)
    vs, lengths, b = _iterate(r, v, products, there)
    size = _positive(p, b, there)
    dots = [0 * vs[0]]
    for before, length in zip(vs[:-1], lengths, strict=True):
        dots.append((e @ before + r @ dots[-1]) / length)
    a, a_dot, u = vs[-1], dots[-1], b / size
    b_dot, stretch = e @ a + r @ a_dot, dot(a, a_dot)
    size_dot = dot(u, b_dot)
    u_dot = (b_dot - u * size_dot) / size - u * stretch
    bar, bar_dot = r @ u - size * a, e @ u + r @ u_dot - (size_dot - 3 * size * stretch) * a - size * a_dot
    r_bar, r_dot = u @ ct(a), u_dot @ ct(a) + u @ ct(a_dot)
    for before, moved, length in zip(vs[-2::-1], dots[-2::-1], lengths[::-1], strict=True):
        c, c_dot = bar / length, bar_dot / length
        r_bar, r_dot = r_bar + c @ ct(before), r_dot + c_dot @ ct(before) + c @ ct(moved)
        bar, bar_dot = r @ c, e @ c + r @ c_dot
    return matrices(p.turn(2 * (y @ hermitian_part(r_bar) + p.x @ hermitian_part(r_dot))), ev)


def _enter(w: Array, z: Array, gram: Gram, products: Any, **directions: Array) -> tuple[Point, Array, Array, Array]:
    if isinstance(products, bool) or not isinstance(products, int) or products < 1:
        raise ValueError(f"products={products!r} must be an integer of at least 1")
    enter_matrix(w, **directions)
    order = w.shape[-2] if turned(w, gram) else w.shape[-1]
    column = z[..., None] if hasattr(z, "shape") else z
    enter(w=w, z=column)
    require_shape("z", z, (*w.shape[:-2], order))
    p = point(w, gram)
    r, (v, _) = p.residual(), near_one(column)
    length = frobenius(v)
    refuse(length == 0, "z is zero")
    return p, r, v / length, frobenius(r) > p.rounding()


def _iterate(r: Array, v: Array, products: int, there: Array) -> tuple[list[Array], list[Array], Array]:
    """The unit vectors R^j z/|R^j z| for j < p, the lengths between them, and R times the last one."""
    xp, vs, lengths = namespace(r), [v], []
    for _ in range(products - 1):
        b = r @ vs[-1]
        length = xp.where(there, frobenius(b), xp.ones_like(frobenius(b)))
        refuse(length <= _noise(r), "a power of G - I maps z to zero")
        lengths.append(length)
        vs.append(b / length)
    return vs, lengths, r @ vs[-1]


def _noise(r: Array) -> Array:
    xp = namespace(r)
    return max(r.shape[-1], 8) * float(xp.finfo(r.dtype).eps) * frobenius(r)


def _positive(p: Point, b: Array, there: Array) -> Array:
    xp, size = namespace(b), frobenius(b)
    refuse(there & (size <= p.rounding()), "the value vanishes where G - I does not")
    return xp.where(there, size, xp.ones_like(size))
