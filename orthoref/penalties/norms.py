"""Penalties that are Frobenius norms of Gram matrices. Derivations: docs/derivations/penalties."""

from __future__ import annotations

from math import frexp

from orthoref.arrays import Array, namespace, require_choice
from orthoref.linalg import eye_like, frobenius, hermitian_part, inner
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
    quotient,
    refuse,
    require_gain,
    turn,
)


def soft_orthogonality(w: Array, *, gram: Gram) -> Array:
    """Soft orthogonality without the square, |G - I| in the Frobenius norm.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gram : {"columns", "rows", "smaller"}
        Which Gram matrix G is: W^H W of order n, W W^H of order m, or the one of the smaller order (columns if
        square). The other ones have a value of at least root |m - n|.

    Returns
    -------
    real array of shape (...)
        Error at most a multiple of max(k, 8) eps (|W|^2 + root k), k the order of G: what rounding G - I commits.

    Raises
    ------
    OutsideDomain
        NaN or infinity; a value beyond the largest finite number. Squares that overflow on the way do not matter.
    TypeError, ValueError
        Wrong type, dtype, number of dimensions or option; a matrix without entries.

    Notes
    -----
    Equation (SO). [Ju2025]_ writes this norm, [BansalChenWang2018]_ its square,
    :func:`soft_orthogonality_squared`.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import penalties
    >>> [float(penalties.soft_orthogonality(np.eye(5, 1), gram=gram)) for gram in ("columns", "rows")]
    [0.0, 2.0]
    """
    enter_matrix(w)
    p = point(w, gram)
    return numbers(frobenius(p.residual()), 2 * p.e)


def soft_orthogonality_gradient(w: Array, *, gram: Gram, subgradient: AtZero = "mean") -> Array:
    """Gradient of :func:`soft_orthogonality`, 2 W (G - I)/|G - I| for the columns.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`.
    subgradient : {"mean", "raise"}
        Where G = I to rounding, the norm is not differentiable: zero, the mean of all subgradients of the norm, or
        :class:`~orthoref.OutsideDomain`.

    Returns
    -------
    array of shape (..., m, n)
        For Re tr(X^H Y). Of norm at most 2 |W|_2. Its direction carries the relative error of G - I.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (SO-GRAD).
    """
    require_choice("subgradient", subgradient, ("mean", "raise"))
    enter_matrix(w)
    p = point(w, gram)
    f = _direction(p, subgradient == "raise")[0]
    return matrices(p.turn(2 * p.x @ f), p.e)


def soft_orthogonality_hvp(w: Array, w_dot: Array, *, gram: Gram) -> Array:
    """Hessian of :func:`soft_orthogonality` applied to a direction.

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
        As :func:`soft_orthogonality`; G = I to rounding.
    TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (SO-HESS).
    """
    enter_matrix(w, w_dot=w_dot)
    p, (v, ev) = point(w, gram), near_one(w_dot)
    v = p.turn(v)
    (f, size), e = _direction(p, True), p.moved(v)
    # (SO-HESS) F_dot = (E - F <F, E>)/|G - I|
    return matrices(p.turn(2 * (v @ f + p.x @ ((e - f * dot(f, e)) / size))), ev)


def soft_orthogonality_squared(w: Array, *, gram: Gram) -> Array:
    """Soft orthogonality, |G - I|^2 in the Frobenius norm.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`. For the singular values s: sum of (s^2 - 1)^2, and |m - n| more for the
        larger Gram matrix.

    Returns
    -------
    real array of shape (...)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (SO2); [BansalChenWang2018]_.
    """
    return gain_target(w, gain=1.0, gram=gram)


def soft_orthogonality_squared_gradient(w: Array, *, gram: Gram) -> Array:
    """Gradient of :func:`soft_orthogonality_squared`, 4 W (W^H W - I) = 4 (W W^H - I) W for either Gram matrix.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`; without influence on the gradient but for rounding.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (SO2-GRAD).
    """
    return gain_target_gradient(w, gain=1.0, gram=gram)


def soft_orthogonality_squared_hvp(w: Array, w_dot: Array, *, gram: Gram) -> Array:
    """Hessian of :func:`soft_orthogonality_squared` applied to a direction.

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
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (SO2-HESS).
    """
    return gain_target_hvp(w, w_dot, gain=1.0, gram=gram)


def double_soft_orthogonality(w: Array) -> Array:
    """Double soft orthogonality of norms, |W^H W - I| + |W W^H - I|.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.

    Returns
    -------
    real array of shape (...)
        At least root |m - n|.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (DSO); without squares as in [Ju2025]_.
    """
    total = soft_orthogonality(w, gram="columns") + soft_orthogonality(w, gram="rows")
    return numbers(total[..., None, None])


def double_soft_orthogonality_gradient(w: Array, *, subgradient: AtZero = "mean") -> Array:
    """Gradient of :func:`double_soft_orthogonality`.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    subgradient : {"mean", "raise"}
        As in :func:`soft_orthogonality_gradient`, for each of the two norms.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality_gradient`.

    Notes
    -----
    Equation (DSO-GRAD).
    """
    columns, rows = (soft_orthogonality_gradient(w, gram=gram, subgradient=subgradient) for gram in ("columns", "rows"))
    return matrices(columns + rows)


def double_soft_orthogonality_hvp(w: Array, w_dot: Array) -> Array:
    """Hessian of :func:`double_soft_orthogonality` applied to a direction.

    Parameters
    ----------
    w, w_dot : arrays of shape (..., m, n)
        Point and direction.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality_hvp`.

    Notes
    -----
    The sum of (SO-HESS) for both Gram matrices.
    """
    columns, rows = (soft_orthogonality_hvp(w, w_dot, gram=gram) for gram in ("columns", "rows"))
    return matrices(columns + rows)


def double_soft_orthogonality_squared(w: Array) -> Array:
    """Double soft orthogonality, |W^H W - I|^2 + |W W^H - I|^2.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.

    Returns
    -------
    real array of shape (...)
        Twice :func:`soft_orthogonality_squared` of the smaller Gram matrix, plus |m - n|.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (DSO2); [BansalChenWang2018]_. Same minimisers, same gradient up to the factor 2: for matrices that are
    not square nothing is demanded of the longer side that could be met.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import penalties
    >>> float(penalties.double_soft_orthogonality_squared(np.eye(5, 2)))
    3.0
    """
    total = soft_orthogonality_squared(w, gram="columns") + soft_orthogonality_squared(w, gram="rows")
    return numbers(total[..., None, None])


def double_soft_orthogonality_squared_gradient(w: Array) -> Array:
    """Gradient of :func:`double_soft_orthogonality_squared`, 8 W (W^H W - I).

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (DSO2-GRAD).
    """
    return matrices(2 * soft_orthogonality_squared_gradient(w, gram="smaller"))


def double_soft_orthogonality_squared_hvp(w: Array, w_dot: Array) -> Array:
    """Hessian of :func:`double_soft_orthogonality_squared` applied to a direction.

    Parameters
    ----------
    w, w_dot : arrays of shape (..., m, n)
        Point and direction.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Twice (SO2-HESS).
    """
    return matrices(2 * soft_orthogonality_squared_hvp(w, w_dot, gram="smaller"))


def gain_target(w: Array, *, gain: float, gram: Gram) -> Array:
    """Gain-adjusted penalty in the units of W, |G - g^2 I|^2 in the Frobenius norm.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gain : float
        g > 0: zero where the singular values are g.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`.

    Returns
    -------
    real array of shape (...)
        g^4 times :func:`gain_adjusted`.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`; a gain that is no positive normal number of the dtype.

    Notes
    -----
    Equation (GAIN).
    """
    enter_matrix(w)
    p = point(w, gram, require_gain(gain, w))
    r = p.residual()
    return numbers(dot(r, r), 4 * p.e)


def gain_target_gradient(w: Array, *, gain: float, gram: Gram) -> Array:
    """Gradient of :func:`gain_target`, 4 W (W^H W - g^2 I) = 4 (W W^H - g^2 I) W.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gain, gram
        As in :func:`gain_target`.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`gain_target`.

    Notes
    -----
    Equation (GAIN-GRAD).
    """
    enter_matrix(w)
    p = point(w, gram, require_gain(gain, w))
    return matrices(p.turn(4 * p.x @ p.residual()), 3 * p.e)


def gain_target_hvp(w: Array, w_dot: Array, *, gain: float, gram: Gram) -> Array:
    """Hessian of :func:`gain_target` applied to a direction.

    Parameters
    ----------
    w, w_dot : arrays of shape (..., m, n)
        Point and direction.
    gain, gram
        As in :func:`gain_target`.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`gain_target`.

    Notes
    -----
    Equation (GAIN-HESS).
    """
    enter_matrix(w, w_dot=w_dot)
    p, (v, ev) = point(w, gram, require_gain(gain, w)), near_one(w_dot)
    v = p.turn(v)
    # (GAIN-HESS) 4 V (G - g^2 I) + 4 W (W^H V + V^H W)
    return matrices(p.turn(4 * (v @ p.residual() + p.x @ p.moved(v))), 2 * p.e + ev)


def gain_adjusted(w: Array, *, gain: float, gram: Gram) -> Array:
    """Gain-adjusted penalty, |G/g^2 - I|^2 in the Frobenius norm.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gain : float
        g > 0: zero where the singular values are g.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`.

    Returns
    -------
    real array of shape (...)
        :func:`soft_orthogonality_squared` of W/g.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`gain_target`.

    Notes
    -----
    Equation (GAIN); [Hlav2019]_.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import penalties
    >>> float(penalties.gain_adjusted(3 * np.eye(4), gain=3.0, gram="rows"))
    0.0
    """
    enter_matrix(w)
    significand, exponent = frexp(require_gain(gain, w))
    p = point(w, gram, gain)
    r = p.residual() / significand**2
    return numbers(dot(r, r), 4 * (p.e - exponent))


def gain_adjusted_gradient(w: Array, *, gain: float, gram: Gram) -> Array:
    """Gradient of :func:`gain_adjusted`, (4/g^4) W (W^H W - g^2 I).

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gain, gram
        As in :func:`gain_target`.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`gain_target`.

    Notes
    -----
    Equation (GAIN-GRAD), divided by g^4.
    """
    enter_matrix(w)
    significand, exponent = frexp(require_gain(gain, w))
    p = point(w, gram, gain)
    return matrices(p.turn(4 * p.x @ p.residual()) / significand**4, 3 * p.e - 4 * exponent)


def gain_adjusted_hvp(w: Array, w_dot: Array, *, gain: float, gram: Gram) -> Array:
    """Hessian of :func:`gain_adjusted` applied to a direction.

    Parameters
    ----------
    w, w_dot : arrays of shape (..., m, n)
        Point and direction.
    gain, gram
        As in :func:`gain_target`.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`gain_target`.

    Notes
    -----
    Equation (GAIN-HESS), divided by g^4.
    """
    enter_matrix(w, w_dot=w_dot)
    significand, exponent = frexp(require_gain(gain, w))
    p, (v, ev) = point(w, gram, gain), near_one(w_dot)
    v = p.turn(v)
    moved = 4 * (v @ p.residual() + p.x @ p.moved(v))
    return matrices(p.turn(moved) / significand**4, 2 * p.e + ev - 4 * exponent)


def off_diagonal(w: Array, *, gram: Gram) -> Array:
    """Sum of the squared entries of the Gram matrix beside its diagonal: lengths are free, only angles are penalised.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`. It matters: orthogonal columns are not orthogonal rows.

    Returns
    -------
    real array of shape (...)
        :func:`soft_orthogonality_squared` less the sum of (|w_j|^2 - 1)^2.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (OFF); [BrockDonahueSimonyan2019]_.
    """
    enter_matrix(w)
    x, e = near_one(w)
    g = _off_gram(turn(x, w, gram))
    return numbers(dot(g, g), 4 * e)


def off_diagonal_gradient(w: Array, *, gram: Gram) -> Array:
    """Gradient of :func:`off_diagonal`, 4 W (G - diag G) for the columns.

    Parameters
    ----------
    w : array of shape (..., m, n)
        Real or complex.
    gram : {"columns", "rows", "smaller"}
        As in :func:`soft_orthogonality`.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (OFF-GRAD).
    """
    enter_matrix(w)
    x, e = near_one(w)
    x = turn(x, w, gram)
    return matrices(turn(4 * x @ _off_gram(x), w, gram), 3 * e)


def off_diagonal_hvp(w: Array, w_dot: Array, *, gram: Gram) -> Array:
    """Hessian of :func:`off_diagonal` applied to a direction.

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
    OutsideDomain, TypeError, ValueError
        As :func:`soft_orthogonality`.

    Notes
    -----
    Equation (OFF-HESS).
    """
    enter_matrix(w, w_dot=w_dot)
    (x, e), (v, ev) = near_one(w), near_one(w_dot)
    x, v = turn(x, w, gram), turn(v, w, gram)
    moved = 2 * hermitian_part(inner(x, v))
    return matrices(turn(4 * (v @ _off_gram(x) + x @ off(moved)), w, gram), 2 * e + ev)


def off(g: Array) -> Array:
    """G with a zero diagonal."""
    xp = namespace(g)
    return xp.where(eye_like(g) != 0, xp.zeros_like(g), g)


def _off_gram(x: Array) -> Array:
    return off(hermitian_part(inner(x, x)))


def _direction(p: Point, raises: bool) -> tuple[Array, Array]:
    """(SO-GRAD) F = (G - I)/|G - I|, and |G - I|; F is 0, or refused, where G = I to rounding."""
    r = p.residual()
    size = frobenius(r)
    there = size > p.rounding()
    if raises:
        refuse(~there, "|G - I| is not differentiable where it vanishes")
    return quotient(r, namespace(r).where(there, size, 0 * size)), size
