"""The input-output Jacobian of a network, and its spectrum. Derivations: docs/derivations/isometry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from orthoref._polar.decomposition import svd
from orthoref.arrays import Array, Namespace, enter, is_complex, require_shape
from orthoref.linalg import ct
from orthoref.penalties.door import matrices, near_one, numbers


class JacobianCotangents(NamedTuple):
    """Cotangents of the arguments of :func:`input_output_jacobian`, one for each layer."""

    weights_bar: list[Array]
    slopes_bar: list[Array]


class Spectrum(NamedTuple):
    """Singular values of the matrices of a stack, and what is said about them.

    Attributes
    ----------
    singular_values : real array of shape (..., k)
        Decreasing, k = min(m, n).
    condition : real array of shape (...)
        The largest over the smallest, infinite for a singular matrix. 1 is a *multiple* of an isometry.
    mean, variance : real arrays of shape (...)
        Of the *squared* singular values, over all k.
    """

    singular_values: Array
    condition: Array
    mean: Array
    variance: Array


def input_output_jacobian(weights: Sequence[Array], slopes: Sequence[Array]) -> Array:
    """Jacobian of the output of a network with respect to its input, D_L W_L ... D_1 W_1.

    Parameters
    ----------
    weights : sequence of L arrays of shape (..., n_l, n_(l-1))
        The layers in the order in which they are applied: h_l = W_l x_(l-1) + b_l, x_l = phi(h_l).
    slopes : sequence of L arrays of shape (..., n_l)
        phi'(h_l), the diagonals of D_l.

    Returns
    -------
    array of shape (..., n_L, n_0)
        dx_L/dx_0. Error at most L n eps times the product of the norms: small singular values of a long product
        have no digits.

    Raises
    ------
    OutsideDomain
        NaN or infinity; a result beyond the largest finite number. Products that overflow on the way do not matter.
    TypeError, ValueError
        Wrong type, dtype, shape; no layer; as many slopes as layers are needed.

    Notes
    -----
    Equation (JACOBIAN). For layers x W + b, whose rows are examples, pass W^T.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import isometry
    >>> w1, w2 = np.asarray([[1.0, 2.0], [0.0, 1.0]]), np.asarray([[0.0, 1.0]])
    >>> isometry.input_output_jacobian([w1, w2], [np.asarray([1.0, 0.5]), np.asarray([2.0])])
    array([[0., 1.]])
    """
    xp = _enter(weights, slopes)
    j, e = near_one(slopes[0][..., None] * weights[0])
    for w, d in zip(weights[1:], slopes[1:], strict=True):
        (x, ex), (y, ey) = near_one(w), near_one(d[..., None])
        j, more = near_one(y * (x @ j))
        e = e + ex + ey + more
    return matrices(xp.asarray(j), e)


def input_output_jacobian_jvp(
    weights: Sequence[Array], slopes: Sequence[Array], weights_dot: Sequence[Array], slopes_dot: Sequence[Array]
) -> Array:
    """Derivative of :func:`input_output_jacobian` along directions of all weights and slopes.

    Parameters
    ----------
    weights, slopes : sequences of arrays
        As in :func:`input_output_jacobian`.
    weights_dot, slopes_dot : sequences of arrays of the same shapes
        Directions. Slopes are arguments of their own: through h they depend on the weights, too.

    Returns
    -------
    array of shape (..., n_L, n_0)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`input_output_jacobian`.

    Notes
    -----
    Equation (JACOBIAN-DOT).
    """
    _enter(weights, slopes)
    _enter(weights_dot, slopes_dot)
    _require_same(weights, weights_dot, slopes, slopes_dot)
    j, j_dot = None, None
    for w, d, w_dot, d_dot in zip(weights, slopes, weights_dot, slopes_dot, strict=True):
        below, moved = (w, w_dot) if j is None else (w @ j, w_dot @ j + w @ j_dot)
        j, j_dot = d[..., None] * below, d_dot[..., None] * below + d[..., None] * moved
    return matrices(j_dot)


def input_output_jacobian_vjp(weights: Sequence[Array], slopes: Sequence[Array], j_bar: Array) -> JacobianCotangents:
    """Adjoint of :func:`input_output_jacobian_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    weights, slopes : sequences of arrays
        As in :func:`input_output_jacobian`.
    j_bar : array of shape (..., n_L, n_0)
        Cotangent.

    Returns
    -------
    JacobianCotangents
        ``weights_bar``, ``slopes_bar``, lists of arrays of the shapes of the arguments.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`input_output_jacobian`.

    Notes
    -----
    Equation (JACOBIAN-BAR).
    """
    xp = _enter(weights, slopes)
    require_shape("j_bar", j_bar, (*weights[-1].shape[:-1], weights[0].shape[-1]))
    enter(weights=weights[0], j_bar=j_bar)
    below = [None]  # D_(l-1) W_(l-1) ... D_1 W_1
    for w, d in zip(weights[:-1], slopes[:-1], strict=True):
        below.append(d[..., None] * (w if below[-1] is None else w @ below[-1]))
    weights_bar, slopes_bar = [], []
    for w, d, j in zip(weights[::-1], slopes[::-1], below[::-1], strict=True):
        products = j_bar * xp.conj(w if j is None else w @ j) if is_complex(w) else j_bar * (w if j is None else w @ j)
        slopes_bar.append(matrices(xp.sum(products, axis=-1, keepdims=True))[..., 0])
        j_bar = (xp.conj(d) if is_complex(d) else d)[..., None] * j_bar
        weights_bar.append(matrices(j_bar if j is None else j_bar @ ct(j)))
        j_bar = ct(w) @ j_bar
    return JacobianCotangents(weights_bar[::-1], slopes_bar[::-1])


def recurrent_jacobian(w: Array, slopes: Sequence[Array]) -> Array:
    """Jacobian of the last hidden state of a recurrent network with respect to the first, D_T W ... D_1 W.

    Parameters
    ----------
    w : array of shape (..., n, n)
        Recurrent weights: h_t = W x_(t-1) + U u_t + b, x_t = phi(h_t).
    slopes : sequence of T arrays of shape (..., n)
        phi'(h_t).

    Returns
    -------
    array of shape (..., n, n)
        dx_T/dx_0: the unrolled network is one of T layers that share their weights.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`input_output_jacobian`.

    Notes
    -----
    Equation (RECURRENT). Its derivative with respect to w is the sum over the layers of that of
    :func:`input_output_jacobian`.
    """
    return input_output_jacobian([w] * len(slopes), slopes)


def spectrum(j: Array) -> Spectrum:
    """Singular values of a Jacobian, its condition number, mean and variance of the squared singular values.

    Parameters
    ----------
    j : array of shape (..., m, n)

    Returns
    -------
    Spectrum
        ``singular_values``, ``condition``, ``mean``, ``variance``.

    Raises
    ------
    OutsideDomain
        NaN or infinity; a square beyond the largest finite number.
    NotConverged
        The SVD of the library failed.
    TypeError, ValueError
        Wrong type, dtype, number of dimensions; a matrix without entries.

    Notes
    -----
    Equation (SPECTRUM). A perfect dynamical isometry has mean 1 and variance 0, all singular values 1; the condition
    number does not see a factor.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import isometry
    >>> s = isometry.spectrum(np.diag(np.asarray([2.0, 1.0])))
    >>> float(s.condition), float(s.mean), float(s.variance)
    (2.0, 2.5, 2.25)
    """
    xp = enter(j=j)
    if 0 in j.shape[-2:]:
        raise ValueError(f"j has shape {tuple(j.shape)}: a matrix without entries has no singular values")
    x, e = near_one(j)
    s = svd(x)[1][..., None, :]
    least = s[..., -1:]
    condition = xp.where(
        least > 0, s[..., :1] / xp.where(least > 0, least, xp.ones_like(least)), float("inf") + 0 * least
    )
    mean = xp.mean(s**2, axis=-1, keepdims=True)
    variance = xp.mean((s**2 - mean) ** 2, axis=-1, keepdims=True)
    return Spectrum(matrices(s, e)[..., 0, :], condition[..., 0, 0], numbers(mean, 2 * e), numbers(variance, 4 * e))


def _enter(weights: Sequence[Array], slopes: Sequence[Array]) -> Namespace:
    if not len(weights) or len(weights) != len(slopes):
        raise ValueError(f"{len(weights)} weights and {len(slopes)} slopes: one of each for every layer, at least one")
    columns = {f"slopes[{i}]": d[..., None] if hasattr(d, "shape") else d for i, d in enumerate(slopes)}
    xp = enter(**{f"weights[{i}]": w for i, w in enumerate(weights)}, **columns)
    for i, (w, d) in enumerate(zip(weights, slopes, strict=True)):
        require_shape(f"slopes[{i}]", d, w.shape[:-1])
        if i:
            require_shape(f"weights[{i}]", w, (*weights[0].shape[:-2], w.shape[-2], weights[i - 1].shape[-2]))
    return xp


def _require_same(*pairs: Sequence[Array]) -> None:
    for which, (xs, ys) in zip(("weights", "slopes"), (pairs[:2], pairs[2:]), strict=True):
        for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
            require_shape(f"{which}_dot[{i}]", y, x.shape)
