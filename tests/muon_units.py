"""How far rounding may move a port of Muon from the exact steps: docs/derivations/steps, (MUON-UNIT)."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any, NamedTuple

import numpy as np

from orthoref import newton_schulz, polar, steps
from orthoref.oracle.newton_schulz.rounding_error import expected
from orthoref.oracle.precision import PRECISIONS
from orthoref.schedules import get

LIMIT = 4.0  # of the oracle, in root mean squares of the rounding error of the iteration


class Exact(NamedTuple):
    """The exact state and parameter after a step, and bounds on the errors of a port's, all in the Frobenius norm."""

    momentum: np.ndarray
    parameter: np.ndarray
    momentum_bound: float
    parameter_bound: float


def trajectory(
    w: np.ndarray, gradients: list[np.ndarray], *, lr: float, stored: str, computed: str, **options: Any
) -> Iterator[Exact]:
    """Steps of :func:`orthoref.steps.muon` in float64, and what formats of the parameter and the iteration do to them.

    (MUON-UNIT): each line is the exact recursion, the errors so far carried along, and the roundings of this step, as
    many of them as any of the ports commits.
    """
    u, mu = PRECISIONS[stored].eps / 2, options["momentum"]
    weight = 1 - mu if options["averaging"] == "ema" else 1.0
    decay = options["weight_decay"]
    exact = options | {"precision": None, "storage": None}
    w, of_m, of_w = np.asarray(w, np.float64), 0.0, 0.0
    state = steps.momentum_state(w)
    for g in gradients:
        g = np.asarray(g, np.float64)
        before, of_g, taken = norm(state.momentum), 0.0, g
        if decay and options["decay"] == "coupled":
            taken = g + decay * w
            of_g = decay * of_w + 2 * u * (norm(g) + decay * norm(w))
        mixed = steps.averaged(
            state, taken, momentum=mu, averaging=options["averaging"], nesterov=options["nesterov"],
            bias_correction=options["bias_correction"],
        )  # fmt: skip
        d = mixed.direction
        d = d.reshape(len(d), -1) if options["view"] == "first-axis" else d
        of_m = mu * of_m + weight * of_g + 4 * u * (before + weight * norm(taken))
        k = mixed.state.step
        if options["bias_correction"]:
            own, other = mu / (1 - mu ** (k + 1)), weight / (1 - mu**k)
            own, other = (own, other) if options["nesterov"] else (1 / (1 - mu**k), 0.0)
            # the powers of mu are computed too: k roundings of each, divided by 1 - mu^k
            power = u * (k + 2) / (1 - mu**k)
        else:
            own, other, power = (mu, weight, 0.0) if options["nesterov"] else (1.0, 0.0, 0.0)
        of_d = own * of_m + other * of_g + (4 * u + power) * (own * norm(mixed.state.momentum) + other * norm(taken))
        slope, of_o = sensitivity(d, computed, options)
        o = newton_schulz(d, options["schedule"], **{name: options[name] for name in ("steps", "eps", "eps_rule")})
        of_o = slope * of_d + LIMIT * of_o
        (number,) = steps.update_factor(
            g.shape, factor=options["factor"], factor_of=options["factor_of"], rms=options.get("rms", 0.2),
            orientation=options["orientation"], view=options["view"],
        )  # fmt: skip
        state, update = steps.muon(state, g, w, lr=lr, **exact)
        if options["adaptive"]:
            pairing = abs(float(np.sum(d * o)))
            of_pairing = norm(d) * of_o + norm(o) * of_d + (d.size + 1) * PRECISIONS[computed].eps * norm(d) * norm(o)
            o, of_o = pairing * o, pairing * of_o + norm(o) * of_pairing
        length = norm(o)
        once_more = PRECISIONS[computed].eps / 2 if options["factor_on"] == "update" else 0.0
        of_o += once_more * length
        if options["aliased"] and not options["nesterov"]:  # divided by its own norm, in the short format
            of_m = of_m / norm(mixed.state.momentum) + 3 * u
        shrink = 1 - lr * decay if decay and options["decay"] == "decoupled" else 1.0
        of_w = shrink * of_w + 3 * u * norm(w) + lr * number * (of_o + 3 * u * length)
        w = w + update
        yield Exact(state.momentum, w, of_m * (1 + u), of_w * (1 + u))


def sensitivity(d: np.ndarray, precision: str, options: Any) -> tuple[float, float]:
    """Norm of the derivative of the normalized iteration at D; root mean square of its rounding error."""
    rows = get(options["schedule"]).steps(options["steps"])
    tall = d if d.shape[0] > d.shape[1] else d.T
    t = norm(d) + options["eps"] if options["eps_rule"] == "add" else max(norm(d), options["eps"])
    error = expected(tall / t, rows, PRECISIONS[precision])
    x, y, minus, plus = error.s[:, None], error.s[None, :], 1.0, 1.0
    for row in rows:
        a, b, c = (float(z) for z in row.numerator)
        minus = minus * divided(x, y, a, b, c)
        plus = plus * divided(x, -y, a, b, c)
        x, y = (a * z + b * z**3 + c * z**5 for z in (x, y))
    flat = error.f / error.s if tall.shape[0] > tall.shape[1] else np.zeros(1)  # outside the column space
    slope = max(np.abs(minus).max(), np.abs(plus).max(), np.abs(flat).max()) / t
    total = error.total()
    return float(slope), total if np.isfinite(total) else inf


def divided(x: np.ndarray, y: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    """(p(x) - p(y))/(x - y) of p = a x + b x^3 + c x^5, without the difference."""
    return a + b * (x**2 + x * y + y**2) + c * (x**4 + x**3 * y + x**2 * y**2 + x * y**3 + y**4)


def norm(x: np.ndarray) -> float:
    return float(np.linalg.norm(np.asarray(x, np.float64)))


def gradients(shape: tuple[int, ...], count: int, seed: int, dtype: str = "float32") -> list[np.ndarray]:
    """A fixed part with singular values between 1 and 1/3 and a random one: momenta are well conditioned, and turn."""
    rng = np.random.default_rng(seed)
    rows, columns = shape[0], int(np.prod(shape[1:]))
    fixed = polar(rng.standard_normal((rows, columns))).u * rng.uniform(1 / 3, 1, (1, columns))
    noise = 0.5 / np.sqrt(max(rows, columns))
    return [(fixed + noise * rng.standard_normal((rows, columns))).reshape(shape).astype(dtype) for _ in range(count)]


def worst(ours: Iterator[Exact], theirs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """Largest ratios of the port's errors, of momentum and parameter, to their bounds; both must be at most 1."""
    ratios = [
        (norm(m - exact.momentum) / exact.momentum_bound, norm(w - exact.parameter) / exact.parameter_bound)
        for exact, (m, w) in zip(ours, theirs, strict=True)
    ]
    of_m, of_w = (np.asarray(column) for column in zip(*ratios, strict=True))
    return float(of_m.max()), float(of_w.max())  # NaN stays NaN
