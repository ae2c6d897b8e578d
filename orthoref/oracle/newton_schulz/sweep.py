"""The finite iteration and its adjoint, step by step, in any arithmetic of :mod:`orthoref.oracle.dual`.

In fixed point that is the truth, with dual numbers its derivatives, and with dual numbers whose second part is what each
stored matrix errs by it is the rounding error of a port to first order: equation (SWEEP).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from orthoref.oracle.dual import Dual, ct, modulus, real, real_inner, reciprocal, root, total
from orthoref.oracle.fixed import Fixed, rounded
from orthoref.oracle.newton_schulz.claim import Iteration

Store = Callable[[Any, str, int], Any]  # a matrix as a port keeps it, of which sweep, after which step


def exactly(x: Any, sweep: str, step: int) -> Any:
    """Nothing is rounded."""
    return x


class Normalized(NamedTuple):
    """X = A/t of a tall A, 1/t (of each column for "aol"), and what the adjoint of its derivative takes."""

    x: Any
    over: Any
    gradient: Any  # of t; for "aol" the signs of the Gram matrix
    weight: Any  # of the gradient; for "aol" by column, over t^2


def plain(x: Any) -> np.ndarray:
    """The value in float64, without derivatives."""
    while isinstance(x, Dual):
        x = x.value
    return rounded(x)


def normalized(a: Any, claimed: Iteration, eps: np.ndarray) -> Normalized:
    """(NORM), eps in the units of A (of A^2 for "aol"); NaN where there is no derivative."""
    how, factor = claimed.normalization, float(claimed.normalization.factor)
    if how.kind == "none":
        return Normalized(a, None, None, None)
    clamp = claimed.eps_rule == "clamp"
    if how.kind == "aol":
        g = ct(a) @ a
        size = modulus(g)
        sums = total(size, -2)
        above = plain(sums) > eps if clamp else np.ones(plain(sums).shape, bool)
        level = _select(above, sums, eps) if clamp else sums + eps
        over = reciprocal(root(level) * factor)
        whole = over * factor
        return Normalized(a * over, over, g * reciprocal(size), whole * whole * (above * 0.5))
    if how.kind == "frobenius":
        size = root(real_inner(a, a))
        gradient = a * reciprocal(size)
    elif how.kind == "schatten4":
        g = ct(a) @ a
        size = root(root(real_inner(g, g)))
        b = a * reciprocal(size)
        gradient = b @ (ct(b) @ b)
    else:
        size, gradient = top(a)
    above = plain(size) * factor > eps if clamp else np.ones(plain(size).shape, bool)
    t = _select(above, size * factor, eps) if clamp else size * factor + eps
    over = reciprocal(t)
    return Normalized(a * over, over, gradient, above * factor)


def _select(above: np.ndarray, x: Any, y: np.ndarray) -> Any:
    """X where ``above``, else the constant Y."""
    return x * (1.0 * above) + np.where(above, 0.0, y)


def top(a: Any) -> tuple[Any, Any]:
    """(TOP) sigma_1 and its gradient p v^H, and their derivatives, refined in the arithmetic of A."""
    if isinstance(a, Dual) and a.dot is None:
        size, gradient = top(a.value)
        return Dual(size, None), Dual(gradient, None)
    value = a.value if isinstance(a, Dual) else a
    p, s, vh = np.linalg.svd(rounded(value), full_matrices=False)
    left, right, size = p[..., :, :1], ct(vh)[..., :, :1], s[..., :1, None]
    others = np.where(s == s[..., :1], np.inf, s[..., :1] ** 2 - s**2)

    def turned(u: Any, v: Any) -> tuple[Any, Any]:
        """First-order changes of the unit vectors for A v - k u = U and A^H u - k v = V; a phase is shared."""
        u, v = rounded(u), rounded(v)
        pu, vv, first = (ct(p) @ u)[..., 0], (vh @ v)[..., 0], s[..., :1]
        of_p, of_v = (first * pu + s * vv) / others, (first * vv + s * pu) / others
        if np.iscomplexobj(pu):
            phase = 0.5j * pu[..., :1].imag / first
            of_p[..., :1] += phase
            of_v[..., :1] -= phase
        outer = u - p @ (ct(p) @ u), v - ct(vh) @ (vh @ v)
        return p @ of_p[..., None] + outer[0] / size, ct(vh) @ of_v[..., None] + outer[1] / size

    refinements = 4 if isinstance(value, Fixed) else 0
    if refinements:
        left, right = Fixed.of(left), Fixed.of(right)
    for _ in range(refinements):
        sigma = real(ct(left) @ value @ right)
        du, dv = turned(value @ right - left * sigma, ct(value) @ left - right * sigma)
        left, right = left + du, right + dv
        left, right = (x * reciprocal(root(real_inner(x, x))) for x in (left, right))
    sigma, gradient = real(ct(left) @ value @ right), left @ ct(right)
    if not isinstance(a, Dual):
        return sigma, gradient
    e = a.dot
    slope = real(ct(left) @ e @ right)
    u, v = e @ right - left * slope, ct(e) @ left - right * slope
    du, dv = turned(u, v)
    for _ in range(refinements):
        more = turned(u + value @ dv - du * sigma, v + ct(value) @ du - dv * sigma)
        du, dv = (x + Fixed.of(y) for x, y in zip((du, dv), more, strict=True))
        du, dv = (y - x * real_inner(x, y) for x, y in ((left, du), (right, dv)))  # lengths stay 1
    return Dual(sigma, slope), Dual(gradient, du @ ct(right) + left @ ct(dv))


def pulled(n: Normalized, a: Any, x_bar: Any, aol: bool) -> Any:
    """(DNORM) A_bar = (X_bar - grad t <X, X_bar>)/t."""
    if n.over is None:
        return x_bar
    if not aol:
        return (x_bar - n.gradient * (real_inner(n.x, x_bar) * n.weight)) * n.over
    # t_j^2 = f^2 sum_i |a_i^H a_j|
    m = n.gradient * (real_inner(n.x, x_bar, -2) * n.weight)
    return x_bar * n.over - a @ (m + ct(m))


def step(x: Any, c: Sequence[float]) -> Any:
    """(STEP) c_0 X + X S(G)."""
    return x * c[0] + x @ tail(ct(x) @ x, c) if len(c) > 1 else x * c[0]


def tail(g: Any, c: Sequence[float]) -> Any:
    """S(G) = c_1 G + ... + c_q G^q."""
    s = g * c[-1]
    for a in c[-2:0:-1]:
        s = g * a + g @ s
    return s


def step_pulled(x: Any, x_bar: Any, c: Sequence[float]) -> Any:
    """The adjoint of the derivative of a step, which is its own: (SELF). G^k differentiated factor by factor."""
    if len(c) == 1:
        return x_bar * c[0]
    g, half = ct(x) @ x, ct(x) @ x_bar
    g_dot = half + ct(half)
    s, s_dot = g * c[-1], g_dot * c[-1]
    for a in c[-2:0:-1]:
        s, s_dot = g * a + g @ s, g_dot * a + g_dot @ s + g @ s_dot
    return x_bar * c[0] + x_bar @ s + x @ s_dot


def rows(claimed: Iteration) -> list[list[float]]:
    """Coefficients of the steps."""
    return [[float(c) for c in row.numerator] for row in claimed.schedule.steps(claimed.steps)]


def forward(a: Any, claimed: Iteration, eps: np.ndarray, store: Store = exactly) -> Any:
    """The result of a tall A."""
    x = store(normalized(a, claimed, eps).x, "forward", 0)
    for k, c in enumerate(rows(claimed), start=1):
        x = store(step(x, c), "forward", k)
    return x


def backward(a: Any, x_bar: Any, claimed: Iteration, eps: np.ndarray, store: Store = exactly) -> Any:
    """The cotangent of a tall A: every X is kept, and the steps are taken from the last to the first."""
    n, aol = normalized(a, claimed, eps), claimed.normalization.kind == "aol"
    seen, steps = [store(n.x, "forward", 0)], rows(claimed)
    for k, c in enumerate(steps[:-1], start=1):
        seen.append(store(step(seen[-1], c), "forward", k))
    x_bar = store(x_bar, "backward", len(steps))
    for k in range(len(steps) - 1, -1, -1):
        x_bar = store(step_pulled(seen[k], x_bar, steps[k]), "backward", k)
    return store(pulled(n, a, x_bar, aol), "result", 0)
