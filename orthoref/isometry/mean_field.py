"""Mean field theory of wide networks: variances of pre-activations, and of the slopes there. Floats, no arrays.

Derivations: docs/derivations/isometry.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import asin, erf, erfc, exp, inf, isfinite, pi, sqrt
from typing import Any, Literal, NamedTuple

import numpy as np

from orthoref.arrays import require_choice
from orthoref.errors import NotConverged, OutsideDomain

Activation = Literal["linear", "relu", "leaky_relu", "hard_tanh", "tanh", "erf", "unit_erf"]
ACTIVATIONS = ("linear", "relu", "leaky_relu", "hard_tanh", "tanh", "erf", "unit_erf")

EPS = float(np.finfo("float64").eps)


class Estimate(NamedTuple):
    """A number and an estimate of its absolute error: rounding of a closed form, or that of an adaptive quadrature."""

    value: float
    error: float


class CriticalPoint(NamedTuple):
    """Standard deviations of weights (times root n) and biases where chi = 1, at the variance q of pre-activations."""

    sigma_w: float
    sigma_b: float
    q: float


def second_moment(q: float, activation: Activation, *, negative_slope: float = 0.01) -> Estimate:
    """Mean square of an activation, E phi(root(q) z)^2 for a standard normal z.

    Parameters
    ----------
    q : float
        Variance of the pre-activations, not negative.
    activation : {"linear", "relu", "leaky_relu", "hard_tanh", "tanh", "erf", "unit_erf"}
        "hard_tanh" is x clipped to [-1, 1], "unit_erf" is erf(root(pi) x/2), whose slope at 0 is 1.
    negative_slope : float
        Of "leaky_relu", for negative x.

    Returns
    -------
    Estimate
        ``value``, ``error``. A closed form for all but "tanh", for which the quadrature of SciPy is used.

    Raises
    ------
    ValueError
        q or the slope is no number, infinite or negative; an unknown activation.
    NotConverged
        The quadrature did not reach ten digits.

    Notes
    -----
    Equation (MOMENT).

    Examples
    --------
    >>> from orthoref import isometry
    >>> round(isometry.second_moment(1.0, "hard_tanh").value, 6), isometry.second_moment(3.0, "relu").value
    (0.516059, 1.5)
    """
    require(q=q, negative_slope=negative_slope)
    require_choice("activation", activation, ACTIVATIONS)
    if q == 0:
        return Estimate(0.0, 0.0)
    if activation == "tanh":
        return quadrature(lambda x: np.tanh(x) ** 2, q)
    if activation in ("linear", "relu", "leaky_relu"):
        return _rounded(q * _one_sided(activation, negative_slope, 2))
    if activation == "hard_tanh":
        # (MOMENT) q P(3/2, a^2) + erfc(a), a = 1/root(2 q): no difference that cancels
        from scipy.special import gammainc

        return _rounded(q * float(gammainc(1.5, 0.5 / q)) + erfc(sqrt(0.5 / q)))
    c = 2 * q if activation == "erf" else pi * q / 2
    return _rounded(2 / pi * asin(c / (1 + c)))


def slope_moment(q: float, activation: Activation, *, order: int = 1, negative_slope: float = 0.01) -> Estimate:
    """Moment of the squared slopes of an activation, mu_k = E phi'(root(q) z)^(2 k) for a standard normal z.

    Parameters
    ----------
    q : float
        Variance of the pre-activations, not negative.
    activation : {"linear", "relu", "leaky_relu", "hard_tanh", "tanh", "erf", "unit_erf"}
        As in :func:`second_moment`.
    order : int
        k >= 1.
    negative_slope : float
        Of "leaky_relu".

    Returns
    -------
    Estimate
        For "relu" 1/2 and for "hard_tanh" erf(1/root(2 q)), the share p of units that are not constant, for every k.

    Raises
    ------
    ValueError, NotConverged
        As :func:`second_moment`; an order that is no positive integer.

    Notes
    -----
    Equation (SLOPE). "relu" and "leaky_relu" have no slope at 0; at q = 0 theirs is the limit of q > 0.

    Examples
    --------
    >>> from orthoref import isometry
    >>> round(isometry.slope_moment(1.0, "hard_tanh").value, 6)
    0.682689
    """
    require(q=q, negative_slope=negative_slope)
    require_choice("activation", activation, ACTIVATIONS)
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ValueError(f"order={order!r} must be an integer of at least 1")
    if activation in ("linear", "relu", "leaky_relu"):
        return _rounded(_one_sided(activation, negative_slope, 2 * order))
    if activation == "hard_tanh":
        return _rounded(erf(sqrt(0.5 / q)) if q > 0 else 1.0)
    if activation == "tanh":
        return quadrature(lambda x: np.cosh(np.minimum(abs(x), 300.0)) ** (-4.0 * order), q)
    # the slope of erf(c x) is c (2/root(pi)) exp(-c^2 x^2)
    top, c2 = (2 / sqrt(pi), 1.0) if activation == "erf" else (1.0, pi / 4)
    return _rounded(top ** (2 * order) / sqrt(1 + 4 * order * c2 * q))


def variance_map(
    q: float, sigma_w: float, sigma_b: float, activation: Activation, *, negative_slope: float = 0.01
) -> Estimate:
    """Variance of the pre-activations of the next layer, sigma_w^2 E phi(root(q) z)^2 + sigma_b^2.

    Parameters
    ----------
    q : float
        Variance of the pre-activations of this layer.
    sigma_w, sigma_b : float
        Standard deviations: of the weights times the root of the width, of the biases.
    activation : {"linear", "relu", "leaky_relu", "hard_tanh", "tanh", "erf", "unit_erf"}
        As in :func:`second_moment`.
    negative_slope : float
        Of "leaky_relu".

    Returns
    -------
    Estimate

    Raises
    ------
    ValueError, NotConverged
        As :func:`second_moment`; negative standard deviations.

    Notes
    -----
    Equation (QMAP); [PooleLahiriRaghuSohlDicksteinGanguli2016]_. In the limit of infinite width.
    """
    require(sigma_w=sigma_w, sigma_b=sigma_b)
    moment = second_moment(q, activation, negative_slope=negative_slope)
    value = sigma_w**2 * moment.value + sigma_b**2
    return Estimate(value, sigma_w**2 * moment.error + 4 * EPS * value)


def fixed_point(sigma_w: float, sigma_b: float, activation: Activation, *, negative_slope: float = 0.01) -> Estimate:
    """The variance q* of the pre-activations that the layers of a deep network tend to.

    Parameters
    ----------
    sigma_w, sigma_b : float
        As in :func:`variance_map`.
    activation : {"linear", "relu", "leaky_relu", "hard_tanh", "tanh", "erf", "unit_erf"}
        As in :func:`second_moment`.
    negative_slope : float
        Of "leaky_relu".

    Returns
    -------
    Estimate
        The stable fixed point: 0 where sigma_b = 0 and sigma_w |phi'(0)| <= 1.

    Raises
    ------
    OutsideDomain
        No fixed point, or all q are: piecewise linear activations with one corner, at and above their critical sigma_w.
    ValueError, NotConverged
        As :func:`variance_map`.

    Notes
    -----
    Equation (QSTAR): unique but for q = 0, as the map divided by q decreases.

    Examples
    --------
    >>> from orthoref import isometry
    >>> round(isometry.fixed_point(1.0, 0.5, "relu").value, 12)
    0.5
    """
    require(sigma_w=sigma_w, sigma_b=sigma_b, negative_slope=negative_slope)
    require_choice("activation", activation, ACTIVATIONS)
    if activation in ("linear", "relu", "leaky_relu"):
        gain = sigma_w**2 * _one_sided(activation, negative_slope, 2)
        if not gain < 1:
            what = "every q is a fixed point" if gain == 1 and sigma_b == 0 else "the variance has no fixed point"
            raise OutsideDomain(f"{what}: sigma_w^2 E phi'^2 = {gain:.17g} for {activation}, sigma_b = {sigma_b:g}")
        q = sigma_b**2 / (1 - gain)
        return Estimate(q, 4 * EPS * q / (1 - gain))
    if sigma_b == 0 and sigma_w**2 * slope_moment(0.0, activation).value <= 1:
        return Estimate(0.0, 0.0)

    def excess(q: float) -> float:
        return variance_map(q, sigma_w, sigma_b, activation).value / q - 1

    high = sigma_w**2 + sigma_b**2  # |phi| <= 1
    low = sigma_b**2 if sigma_b else high
    while sigma_b == 0 and excess(low) <= 0:
        low = low / 2
        if low < 1e-300:
            raise NotConverged(
                f"no fixed point was found above {low:g}: sigma_w = {sigma_w!r} is too near the critical one"
            )
    if (
        excess(low) <= 0 or excess(high) >= 0
    ):  # sigma_w^2 phi^2 is below the rounding of sigma_b^2, or phi = 1 to rounding
        q = low if excess(low) <= 0 else high
    else:
        from scipy.optimize import brentq

        q = float(brentq(excess, low, high, xtol=low * EPS, rtol=4 * EPS, maxiter=500))
    step = variance_map(q, sigma_w, sigma_b, activation)
    # the slope of the map is below 1 there; its secant is enough for an estimate
    slope = (variance_map(q * 1.001, sigma_w, sigma_b, activation).value - step.value) / (0.001 * q)
    return Estimate(q, (abs(step.value - q) + step.error + 8 * EPS * q) / max(1 - slope, EPS))


def chi(q: float, sigma_w: float, activation: Activation, *, negative_slope: float = 0.01) -> Estimate:
    """Mean of the squared singular values of the Jacobian of one layer, sigma_w^2 E phi'(root(q) z)^2.

    Parameters
    ----------
    q : float
        Variance of the pre-activations, that of :func:`fixed_point` in a deep network.
    sigma_w : float
        Standard deviation of the weights times the root of the width, or the gain of orthogonal weights.
    activation : {"linear", "relu", "leaky_relu", "hard_tanh", "tanh", "erf", "unit_erf"}
        As in :func:`second_moment`.
    negative_slope : float
        Of "leaky_relu".

    Returns
    -------
    Estimate
        Above 1 gradients explode with depth ("chaos"), below 1 they vanish ("order").

    Raises
    ------
    ValueError, NotConverged
        As :func:`variance_map`.

    Notes
    -----
    Equation (CHI); [SchoenholzGilmerGanguliSohlDickstein2017]_.
    """
    require(sigma_w=sigma_w)
    moment = slope_moment(q, activation, negative_slope=negative_slope)
    value = sigma_w**2 * moment.value
    return Estimate(value, sigma_w**2 * moment.error + 4 * EPS * value)


def critical_point(q: float, activation: Activation, *, negative_slope: float = 0.01) -> CriticalPoint:
    """The point of the critical line chi = 1 whose fixed point is q.

    Parameters
    ----------
    q : float
        Not negative.
    activation : {"linear", "relu", "leaky_relu", "hard_tanh", "tanh", "erf", "unit_erf"}
        As in :func:`second_moment`.
    negative_slope : float
        Of "leaky_relu".

    Returns
    -------
    CriticalPoint
        ``sigma_w``, ``sigma_b``, ``q``. For "linear", "relu" and "leaky_relu" one point with sigma_b = 0, of which
        every q is a fixed point.

    Raises
    ------
    ValueError, NotConverged
        As :func:`second_moment`.

    Notes
    -----
    Equation (CRITICAL): sigma_w^2 = 1/mu_1, sigma_b^2 = q - E phi^2/mu_1, which the Gaussian Poincare inequality
    keeps from being negative.

    Examples
    --------
    >>> from orthoref import isometry
    >>> point = isometry.critical_point(0.0, "tanh")
    >>> point.sigma_w, point.sigma_b
    (1.0, 0.0)
    """
    mu = slope_moment(q, activation, negative_slope=negative_slope)
    moment = second_moment(q, activation, negative_slope=negative_slope)
    square = q - moment.value / mu.value
    rounding = moment.error / mu.value + moment.value * mu.error / mu.value**2 + 4 * EPS * q
    return CriticalPoint(sqrt(1 / mu.value), sqrt(square) if square > rounding else 0.0, float(q))


def critical_sigma_w(sigma_b: float, activation: Activation) -> CriticalPoint:
    """The point of the critical line chi = 1 with given biases.

    Parameters
    ----------
    sigma_b : float
        Not negative.
    activation : {"hard_tanh", "tanh", "erf", "unit_erf"}
        The others have one critical point, :func:`critical_point`.

    Returns
    -------
    CriticalPoint
        With ``sigma_b`` as given, to about 1e-12 relative to it.

    Raises
    ------
    OutsideDomain
        Another activation with sigma_b > 0: its line is a point.
    ValueError, NotConverged
        As :func:`second_moment`.

    Notes
    -----
    Equation (CRITICAL), solved for q between a point of less bias and one of more.
    """
    require(sigma_b=sigma_b)
    require_choice("activation", activation, ACTIVATIONS)
    if sigma_b == 0:
        return critical_point(0.0, activation)
    if activation in ("linear", "relu", "leaky_relu"):
        raise OutsideDomain(f"{activation} is critical for sigma_b = 0 only, not {sigma_b!r}")
    from scipy.optimize import brentq

    low = high = 1.0
    while critical_point(high, activation).sigma_b < sigma_b:
        high = 2 * high
    while critical_point(low, activation).sigma_b > sigma_b:
        low = low / 2
    if low < high:
        low = float(
            brentq(lambda q: critical_point(q, activation).sigma_b - sigma_b, low, high, xtol=low * EPS, rtol=4 * EPS)
        )
    point = critical_point(low, activation)
    return CriticalPoint(point.sigma_w, float(sigma_b), point.q)


def _one_sided(activation: str, negative_slope: float, power: int) -> float:
    """E phi'^power of a line with a corner at 0."""
    left = {"linear": 1.0, "relu": 0.0, "leaky_relu": negative_slope}[activation]
    return (1 + left**power) / 2


def _rounded(value: float) -> Estimate:
    return Estimate(value, 16 * EPS * value)


def panels(*bends: float) -> list[float]:
    """Where to cut an integral over the positive half of a normal variable; beyond 39 its density is below 1e-330."""
    return sorted({0.0, 1.0, 3.0, 9.0, 39.0, *(x for x in bends if 0 < x < 39)})


def quadrature(f: Callable[[Any], Any], q: float) -> Estimate:
    """E f(root(q) z) for even f, between the places where f and the density bend."""
    from scipy.integrate import quad

    def integrand(z: float) -> float:
        return float(2 * f(sqrt(q) * z)) * exp(-z * z / 2) / sqrt(2 * pi)

    nodes = panels(0.5 / sqrt(q), 2 / sqrt(q), 8 / sqrt(q)) if q > 0 else panels()
    value = error = 0.0
    for a, b in pairwise(nodes):
        part, uncertain = quad(integrand, a, b, epsabs=0.0, epsrel=1e-13, limit=200)[:2]
        value, error = value + part, error + uncertain
    if not error <= 1e-10 * value:
        raise NotConverged(f"the quadrature for q = {q!r} has the error estimate {error:.1e} at the value {value:.3g}")
    return Estimate(value, error + 16 * EPS * value)


def require(**numbers: Any) -> None:
    """Refuse what is no finite number of at least 0."""
    for name, x in numbers.items():
        if isinstance(x, bool) or not isinstance(x, (int, float)) or not 0 <= x < inf or not isfinite(x):
            raise ValueError(f"{name}={x!r} must be a finite number that is not negative")
