"""The exact step from a state that a port has reached, and how far rounding may move it: (MUON-UNIT), (MUON-SEEN)."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, NamedTuple

import numpy as np

from orthoref import steps
from orthoref._schedules.presets import get
from orthoref.oracle.newton_schulz.rounding_error import Expected, expected
from orthoref.oracle.precision import PRECISIONS
from orthoref.steps.directions import matrix_shape

LIMIT = 4.0  # of the oracle, in root mean squares of the rounding error of the iteration
TELLING = 6.0  # standard deviations
_AVERAGED = ("momentum", "averaging", "nesterov", "bias_correction")
_FACTOR = ("factor", "factor_of", "orientation", "view")
_ORTHOGONALIZED = ("schedule", "steps", "normalize", "eps", "eps_rule", "view")


class State(NamedTuple):
    """A state of a port before step k, the gradient that it is shown, the rate; what else it might have used."""

    momentum: np.ndarray
    parameter: np.ndarray
    gradient: np.ndarray
    k: int
    lr: float
    first_lr: float
    gradient_before: np.ndarray
    carried: float = 0.0  # bound on the error of the momentum, where it is not the port's own


class Next(NamedTuple):
    """A state after a step."""

    momentum: np.ndarray
    parameter: np.ndarray


class Unit(NamedTuple):
    """Bounds on the rounding errors of a step, Frobenius norms; the variances of what the iteration adds."""

    momentum: float
    parameter: float
    rest: float  # of the bound on the error of the parameter, what is not the iteration's own
    error: Expected | None
    weight: float  # of the error of the iteration in that of the parameter
    turned: bool


def stepped(state: State, options: Mapping[str, Any]) -> Next:
    """The step of :func:`orthoref.steps.muon` in float64."""
    before = steps.MomentumState(state.momentum, state.k - 1)
    after, update = steps.muon(before, state.gradient, state.parameter, lr=state.lr, **exact(options))
    return Next(after.momentum, state.parameter + update)


def exact(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without formats."""
    return dict(options) | {"precision": None, "storage": None}


def direction(state: State, options: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The next momentum and what is orthogonalized."""
    g = state.gradient
    if options["weight_decay"] and options["decay"] == "coupled":
        g = g + options["weight_decay"] * state.parameter
    before = steps.MomentumState(state.momentum, state.k - 1)
    after = steps.averaged(before, g, **{name: options[name] for name in _AVERAGED})
    return after.state.momentum, after.direction


def orthogonalized(d: np.ndarray, options: Mapping[str, Any]) -> np.ndarray:
    """What the rule makes of a direction, without the factor."""
    o = steps.orthogonalized(d, **{name: options[name] for name in _ORTHOGONALIZED})
    return o * abs(float(np.sum(d * o))) if options["adaptive"] else o


def factor(shape: tuple[int, ...], options: Mapping[str, Any]) -> float:
    """The factor of a matrix."""
    (number,) = steps.update_factor(shape, rms=options.get("rms", 0.2), **{name: options[name] for name in _FACTOR})
    return number


def moved(state: State, o: np.ndarray, options: Mapping[str, Any]) -> np.ndarray:
    """The parameter after an orthogonalized direction."""
    w = state.parameter - state.lr * factor(state.gradient.shape, options) * o
    return w - state.lr * decoupled(options) * state.parameter


def decoupled(options: Mapping[str, Any]) -> float:
    """The weight decay that shrinks the parameter."""
    return float(options["weight_decay"]) if options["decay"] == "decoupled" else 0.0


def unit(state: State, options: Mapping[str, Any], stored: str, computed: str) -> Unit:
    """(MUON-UNIT) of one step: e_W is 0 before it, e_M too where the momentum is the port's own."""
    u, mu, k = PRECISIONS[stored].eps / 2, float(options["momentum"]), state.k
    weight = 1 - mu if options["averaging"] == "ema" else 1.0
    taken, of_g = state.gradient, 0.0
    if options["weight_decay"] and options["decay"] == "coupled":
        decay = float(options["weight_decay"])
        taken = taken + decay * state.parameter
        of_g = 2 * u * (norm(state.gradient) + decay * norm(state.parameter))
    m, d = direction(state, options)
    of_m = mu * state.carried + weight * of_g + 4 * u * (norm(state.momentum) + weight * norm(taken))
    own, other, power = (mu, weight, 0.0) if options["nesterov"] else (1.0, 0.0, 0.0)
    if options["bias_correction"]:
        own, other = (mu / (1 - mu ** (k + 1)), weight / (1 - mu**k)) if options["nesterov"] else (1 / (1 - mu**k), 0.0)
        power = u * (k + 2) / (1 - mu**k)  # of the powers of mu
    of_d = own * of_m + other * of_g + (4 * u + power) * (own * norm(m) + other * norm(taken))
    matrix = d.reshape(matrix_shape(d.shape, options["view"]))
    slope, of_o, error = _sensitivity(matrix, options, computed)
    own_error, of_o = LIMIT * of_o, slope * of_d + LIMIT * of_o
    o, pairing = orthogonalized(d, {**options, "adaptive": False}), 1.0
    if options["adaptive"]:
        pairing = abs(float(np.sum(d * o)))
        of_pairing = norm(d) * of_o + norm(o) * of_d + (d.size + 1) * PRECISIONS[computed].eps * norm(d) * norm(o)
        of_o = pairing * of_o + norm(o) * of_pairing
    length = pairing * norm(o)
    if options["factor_on"] == "update":
        of_o += PRECISIONS[computed].eps / 2 * length
    if options["aliased"] and not options["nesterov"]:  # divided by its own norm, in the short format
        of_m = of_m / max(norm(m), float(options["eps"])) + 3 * u
    c = state.lr * factor(d.shape, options)
    of_w = 3 * u * norm(state.parameter) + c * (of_o + 3 * u * length)
    turned = matrix.shape[0] <= matrix.shape[1]
    rest = of_w - c * pairing * own_error if np.isfinite(of_w) else inf
    return Unit(of_m * (1 + u), of_w * (1 + u), rest * (1 + u), error, c * pairing, turned)


def _sensitivity(d: np.ndarray, options: Mapping[str, Any], computed: str) -> tuple[float, float, Expected | None]:
    """(MUON-SLOPE) the norm of the derivative of D -> O; root mean square of the rounding error of the iteration."""
    tall = d if d.shape[0] > d.shape[1] else d.T
    if options["schedule"] is None:  # the polar factor: |A - U H| and |I - U^H U| of a backward stable method
        s = np.linalg.svd(d, compute_uv=False)
        smallest = float(s[-1] if d.shape[0] != d.shape[1] else (s[-1] + s[-2 if len(s) > 1 else -1]) / 2)
        n = max(8, min(d.shape))
        size = n * PRECISIONS[computed].eps * (norm(d) / smallest + len(s) ** 0.5) if smallest > 0 else inf
        return (1 / smallest if smallest > 0 else inf), size, None
    x0 = steps.orthogonalized(d, **{name: options[name] for name in _ORTHOGONALIZED} | {"steps": 0, "view": "matrix"})
    t = norm(d) / norm(x0) if d.any() else max(float(options["eps"]), np.finfo(float).tiny)
    rows = get(options["schedule"]).steps(options["steps"])
    error = expected(x0 if d.shape[0] > d.shape[1] else x0.T, rows, PRECISIONS[computed])
    x, y = error.s[:, None], error.s[None, :]
    minus = plus = np.ones((len(error.s),) * 2)
    for row in rows:
        a, b, c = (*(float(z) for z in row.numerator), 0.0, 0.0)[:3]
        minus = minus * _divided(x, y, a, b, c)
        plus = plus * _divided(x, -y, a, b, c)
        x, y = (a * z + b * z**3 + c * z**5 for z in (x, y))
    flat = error.f / error.s if tall.shape[0] > tall.shape[1] and error.s.all() else np.zeros(1)
    slope = max(np.abs(minus).max(), np.abs(plus).max(), np.abs(flat).max()) / t
    if options["normalize"] != "frobenius":
        slope *= 2  # the derivative of the normalization is no contraction: E/t and D times a derivative of at most 1/t
    total = error.total()
    return float(slope), (total if np.isfinite(total) else inf), error


def _divided(x: np.ndarray, y: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    """(p(x) - p(y))/(x - y) of p = a x + b x^3 + c x^5, without the difference."""
    return a + b * (x**2 + x * y + y**2) + c * (x**4 + x**3 * y + x**2 * y**2 + x * y**3 + y**4)


def deviation(of: Unit, difference: np.ndarray) -> tuple[float, float]:
    """(MUON-TELL) Bounds of the standard deviation of <E, difference>: of the diagonal; of the rest, squared."""
    error = of.error
    assert error is not None
    x = difference.reshape(difference.shape[0], -1) if difference.ndim > 2 else difference
    x = x.T if of.turned else x
    if x.shape != (error.rows, len(error.f)):
        x = difference.reshape(error.rows, len(error.f))
    columns = x @ error.vh.T
    inside = error.p.T @ columns
    outside = np.maximum(np.sum(columns**2, axis=0) - np.sum(inside**2, axis=0), 0.0)
    diagonal = float(np.sqrt(np.diagonal(error.inside)) @ np.abs(np.diagonal(inside)))
    off = inside - np.diag(np.diagonal(inside))
    rest = 2 * float(np.sum(error.inside * off**2)) + float(error.outside @ outside)
    return of.weight * diagonal, of.weight**2 * rest


def norm(x: np.ndarray) -> float:
    """Frobenius norm."""
    return float(np.linalg.norm(x))
