"""Moments and the largest one of the squared singular values of deep Jacobians, in the limit of infinite width.

Derivations: docs/derivations/isometry.
"""

from __future__ import annotations

from functools import cache
from math import e, exp, inf, log, log1p, pi, sqrt
from typing import Any, Literal

import numpy as np

from orthoref.arrays import require_choice
from orthoref.errors import OutsideDomain
from orthoref.isometry.mean_field import (
    ACTIVATIONS,
    EPS,
    Activation,
    Estimate,
    chi,
    panels,
    require,
    slope_moment,
)

Weights = Literal["gaussian", "orthogonal"]


def squared_singular_value_variance(
    depth: int, q: float, sigma_w: float, activation: Activation, weights: Weights, *, negative_slope: float = 0.01
) -> Estimate:
    """Variance of the squared singular values of the Jacobian of a deep network of infinite width.

    Parameters
    ----------
    depth : int
        L >= 1.
    q : float
        Variance of the pre-activations of all layers, that of :func:`fixed_point`.
    sigma_w : float
        Standard deviation of the weights times the root of the width, or the gain of orthogonal weights.
    activation : {"linear", "relu", "leaky_relu", "hard_tanh", "tanh", "erf", "unit_erf"}
        As in :func:`second_moment`.
    weights : {"gaussian", "orthogonal"}
        Independent entries, or Haar distributed.
    negative_slope : float
        Of "leaky_relu".

    Returns
    -------
    Estimate
        L chi^(2 L) (mu_2/mu_1^2 - 1 + g), g = 1 for Gaussian and 0 for orthogonal weights; for every L. The mean
        is chi^L.

    Raises
    ------
    OutsideDomain
        A value beyond the largest finite number.
    ValueError, NotConverged
        As :func:`slope_moment`; a depth that is no positive integer.

    Notes
    -----
    Equation (JVAR); [PenningtonSchoenholzGanguli2017]_.

    Examples
    --------
    >>> from orthoref import isometry
    >>> round(isometry.squared_singular_value_variance(10, 1.0, 2**0.5, "relu", "orthogonal").value, 12)
    10.0
    """
    _require_depth(depth)
    require_choice("weights", weights, ("gaussian", "orthogonal"))
    one, two = (slope_moment(q, activation, order=k, negative_slope=negative_slope) for k in (1, 2))
    spread = two.value / one.value**2 - 1
    wobble = two.error / one.value**2 + 2 * two.value * one.error / one.value**3
    if activation == "linear":
        spread = wobble = 0.0
    step = chi(q, sigma_w, activation, negative_slope=negative_slope)
    relative = depth * (spread + (weights == "gaussian"))
    scale = _power(step.value, 2 * depth)
    error = scale * (depth * wobble + 2 * depth * relative * (step.error / step.value if step.value else 0.0))
    return Estimate(_finite(scale * relative), error + 8 * EPS * scale * relative)


def largest_squared_singular_value(
    depth: int, q: float, sigma_w: float, activation: Activation, weights: Weights, *, negative_slope: float = 0.01
) -> float:
    """Right end of the spectrum of J J^T of a deep network of infinite width.

    Parameters
    ----------
    depth : int
        L >= 1.
    q : float
        Variance of the pre-activations of all layers.
    sigma_w : float
        Standard deviation of the weights times the root of the width, or the gain of orthogonal weights.
    activation : {"linear", "relu", "leaky_relu", "hard_tanh", "tanh", "erf", "unit_erf"}
        As in :func:`second_moment`.
    weights : {"gaussian", "orthogonal"}
        Independent entries, or Haar distributed.
    negative_slope : float
        Of "leaky_relu".

    Returns
    -------
    float
        s_max^2. Closed forms where the slopes are 0 and 1 with a share p of ones ("linear", "relu", "hard_tanh");
        otherwise a minimum over one real number, to about 1e-8 relative.

    Raises
    ------
    OutsideDomain
        A value beyond the largest finite number.
    ValueError, NotConverged
        As :func:`slope_moment`; a depth that is no positive integer.

    Notes
    -----
    Equations (EDGE-GAUSS), (EDGE-ORTH) and (EDGE). Orthogonal weights: the closed form of
    [PenningtonSchoenholzGanguli2017]_ holds for L (1 - p) > 1; for L (1 - p) <= 1 the end is sigma_w^(2 L), with a
    mass of 1 - L (1 - p) there.

    Examples
    --------
    >>> from orthoref import isometry
    >>> round(isometry.largest_squared_singular_value(1, 1.0, 1.0, "linear", "gaussian"), 12)  # Marchenko and Pastur
    4.0
    """
    _require_depth(depth)
    require_choice("weights", weights, ("gaussian", "orthogonal"))
    require_choice("activation", activation, ACTIVATIONS)
    require(q=q, sigma_w=sigma_w, negative_slope=negative_slope)
    if sigma_w == 0:
        return 0.0
    if activation in ("linear", "relu", "hard_tanh"):
        p = slope_moment(q, activation).value
        return _exp(_gauss(depth, p, sigma_w) if weights == "gaussian" else _orthogonal(depth, p, sigma_w))
    return _exp(_numerical(depth, q, sigma_w, activation, weights, negative_slope))


def largest_squared_singular_value_asymptote(depth: int, share: float, weights: Weights) -> float:
    """First two terms, for large depth, of s_max^2 at chi = 1 where a share p of the slopes is 1 and the others 0.

    Parameters
    ----------
    depth : int
        L >= 1.
    share : float
        p, above 0 and at most 1 (orthogonal: below 1).
    weights : {"gaussian", "orthogonal"}
        Gaussian: e L/p + e (1 - 1/(2 p)). Orthogonal: (1 - p)/p (e L - e/2).

    Returns
    -------
    float
        With an error of order 1/L.

    Raises
    ------
    ValueError
        A depth that is no positive integer, a share out of range.

    Notes
    -----
    Equations (EDGE-GAUSS-ASYMPTOTE), (EDGE-ORTH-ASYMPTOTE).
    """
    _require_depth(depth)
    require_choice("weights", weights, ("gaussian", "orthogonal"))
    require(share=share)
    if not 0 < share <= 1 or (share == 1 and weights == "orthogonal"):
        raise ValueError(f"share={share!r} must be above 0 and at most 1, below 1 for orthogonal weights")
    if weights == "gaussian":
        return e * depth / share + e * (1 - 0.5 / share)
    return (1 - share) / share * e * (depth - 0.5)


def _gauss(depth: int, p: float, sigma_w: float) -> float:
    # (EDGE-GAUSS) log z at the root of L y^2 + (L - 1) y - p = 0, in the form without cancellation
    b = depth - 1
    y = 2 * p / (b + sqrt(b * b + 4 * depth * p))
    return log1p(1 / y) + depth * (2 * log(sigma_w) + log(p + y))


def _orthogonal(depth: int, p: float, sigma_w: float) -> float:
    # (EDGE-ORTH)
    if depth * (1 - p) <= 1:
        return 2 * depth * log(sigma_w)
    rest = (depth - 1) * log1p(-1 / depth) if depth > 1 else 0.0
    return depth * log(sigma_w**2 * p) + log((1 - p) / p) + log(depth) - rest


def _numerical(
    depth: int, q: float, sigma_w: float, activation: Activation, weights: str, negative_slope: float
) -> float:
    """(EDGE) log of the least z = (1 + 1/y) (sigma_w^2 x y/(1 + y)^g)^L, y = E d^2/(x - d^2), over x > sup d^2."""
    from scipy.optimize import minimize_scalar

    top = {"erf": 4 / pi, "leaky_relu": max(1.0, negative_slope**2)}.get(activation, 1.0)

    def log_z(t: float) -> float:  # x = sup d^2 (1 + e^t)
        y = _stieltjes(exp(t), q, activation, negative_slope)
        turn = log1p(y) if weights == "orthogonal" else 0.0
        return log1p(1 / y) + depth * (2 * log(sigma_w) + log(top) + log1p(exp(t)) + log(y) - turn)

    grid = [-30.0 + k for k in range(40)]
    values = [log_z(t) for t in grid]
    at = min(range(len(grid)), key=values.__getitem__)
    ends = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    found = minimize_scalar(log_z, bounds=ends, method="bounded", options={"xatol": 1e-9})
    return min(float(found.fun), values[at])


def _stieltjes(gap: float, q: float, activation: Activation, negative_slope: float) -> float:
    """E r/(gap + 1 - r) for the squared slopes r over their largest value; 1 - r without cancellation."""
    if activation == "leaky_relu":
        small, large = sorted((1.0, negative_slope**2))
        return (1 / gap + small / large / (gap + 1 - small / large)) / 2
    if q == 0:
        return 1 / gap
    nodes = panels(*(x / sqrt(q) for x in (0.5, 2, 8, *(sqrt(gap) * y for y in (0.3, 1, 3, 10, 30)))))
    z, weight = _gauss_legendre(nodes)
    h = np.sqrt(q) * z
    if activation == "tanh":
        t = np.tanh(h) ** 2  # r = (1 - t)^2
        r, less = (1 - t) ** 2, t * (2 - t)
    else:
        less = -np.expm1(-(2 if activation == "erf" else pi / 2) * h * h)
        r = 1 - less
    return float(np.sum(weight * r / (gap + less)))


def _gauss_legendre(nodes: list[float]) -> tuple[Any, Any]:
    """Points and weights, the density of |z| included, of 40 points in every panel."""
    x, weight = _forty_points()
    a, b = np.asarray(nodes[:-1])[:, None], np.asarray(nodes[1:])[:, None]
    z = (a + b) / 2 + (b - a) / 2 * x
    return z, (b - a) / 2 * weight * np.exp(-z * z / 2) * sqrt(2 / pi)


@cache
def _forty_points() -> tuple[Any, Any]:
    return np.polynomial.legendre.leggauss(40)


def _power(x: float, k: int) -> float:
    return x**k if x == 0 or k * log(x) < 709 else inf


def _exp(x: float) -> float:
    return _finite(exp(x) if x < 709 else inf)


def _finite(x: float) -> float:
    if not x < inf:
        raise OutsideDomain("the value overflows")
    return x


def _require_depth(depth: Any) -> None:
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
        raise ValueError(f"depth={depth!r} must be an integer of at least 1")
