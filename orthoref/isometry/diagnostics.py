"""What to draw over a training run. Derivations: docs/derivations/isometry."""

from __future__ import annotations

from math import exp, lgamma, pi, sqrt
from typing import Literal, NamedTuple

from orthoref._polar.decomposition import svd
from orthoref.arrays import Array, enter, require_choice
from orthoref.linalg import ct
from orthoref.penalties.door import finite, near_one, refuse, shifted


class Band(NamedTuple):
    """Singular values over a stack of matrices, and the band that sums them up.

    Attributes
    ----------
    singular_values : real array of shape (..., k)
        Decreasing.
    mean, deviation, smallest, largest : real arrays of shape (...)
        Of the k singular values; the deviation is the root of their mean squared distance to the mean.
    """

    singular_values: Array
    mean: Array
    deviation: Array
    smallest: Array
    largest: Array


def singular_value_band(w: Array) -> Band:
    """Trajectory of the singular values of a weight matrix, with mean, deviation, smallest and largest.

    Parameters
    ----------
    w : array of shape (..., m, n)
        The matrix at every recorded step of a training run, along the leading axes.

    Returns
    -------
    Band
        To draw: the mean, shaded by the deviation, between the smallest and the largest.

    Raises
    ------
    OutsideDomain
        NaN or infinity; a singular value beyond the largest finite number.
    NotConverged
        The SVD of the library failed.
    TypeError, ValueError
        Wrong type, dtype, number of dimensions; a matrix without entries.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import isometry
    >>> band = isometry.singular_value_band(np.stack([np.eye(2), np.diag(np.asarray([3.0, 1.0]))]))
    >>> band.mean, band.deviation, band.largest
    (array([1., 2.]), array([0., 1.]), array([1., 3.]))
    """
    xp = enter(w=w)
    if 0 in w.shape[-2:]:
        raise ValueError(f"w has shape {tuple(w.shape)}: a matrix without entries has no singular values")
    x, e = near_one(w)
    s = svd(x)[1][..., None, :]
    mean = xp.mean(s, axis=-1, keepdims=True)
    deviation = xp.sqrt(xp.mean((s - mean) ** 2, axis=-1, keepdims=True))
    whole, *rest = (
        finite(shifted(value, e), "a singular value") for value in (s, mean, deviation, s[..., -1:], s[..., :1])
    )
    return Band(whole[..., 0, :], *(value[..., 0, 0] for value in rest))


def mean_absolute_cosine(x: Array) -> Array:
    """Mean of |cos| over all pairs of different rows: how much the representations of a layer repeat each other.

    Parameters
    ----------
    x : array of shape (..., c, d)
        c >= 2 representations (one a component, flattened), none zero.

    Returns
    -------
    real array of shape (...)
        Between 0, all orthogonal, and 1, all parallel. For independent random directions about
        :func:`expected_absolute_cosine`.

    Raises
    ------
    OutsideDomain
        NaN or infinity; a representation that is zero has no direction.
    TypeError, ValueError
        Wrong type, dtype, number of dimensions; fewer than two rows.

    Notes
    -----
    Equation (DIVERSITY); the statistic of [OrthonormalisingGradients2022]_, with the lengths divided out.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import isometry
    >>> float(isometry.mean_absolute_cosine(np.asarray([[1.0, 0.0], [0.0, 5.0], [0.0, -2.0]]))) * 3
    1.0
    """
    xp = enter(x=x)
    c = x.shape[-2]
    if c < 2 or x.shape[-1] < 1:
        raise ValueError(f"x has shape {tuple(x.shape)}: pairs of representations are needed")
    y = near_one(x, axis=-1)[0]
    length = xp.linalg.vector_norm(y, axis=-1, keepdims=True)
    refuse(xp.any(length == 0, axis=-2, keepdims=True), "a representation is zero")
    y = y / length
    size = abs(y @ ct(y))
    return xp.sum(xp.triu(size, k=1), axis=(-2, -1)) / (c * (c - 1) / 2)


def expected_absolute_cosine(d: int, *, field: Literal["real", "complex"] = "real") -> float:
    """Mean of |cos| of two independent, uniformly distributed directions.

    Parameters
    ----------
    d : int
        Dimension, at least 1.
    field : {"real", "complex"}

    Returns
    -------
    float
        Gamma(d/2)/(root(pi) Gamma((d + 1)/2)), about root(2/(pi d)); complex
        root(pi) Gamma(d)/(2 Gamma(d + 1/2)), about root(pi/(4 d)).

    Raises
    ------
    ValueError
        A dimension that is no positive integer; an unknown field.

    Notes
    -----
    Equation (DIVERSITY-MEAN).

    Examples
    --------
    >>> from orthoref import isometry
    >>> round(isometry.expected_absolute_cosine(2), 12)  # 2/pi
    0.636619772368
    """
    require_choice("field", field, ("real", "complex"))
    if isinstance(d, bool) or not isinstance(d, int) or d < 1:
        raise ValueError(f"d={d!r} must be an integer of at least 1")
    if field == "real":
        return exp(lgamma(d / 2) - lgamma((d + 1) / 2)) / sqrt(pi)
    return exp(lgamma(d) - lgamma(d + 0.5)) * sqrt(pi) / 2
