"""Exact derivatives of the maps and their adjoints, in float64 or in fixed point: docs/derivations/stiefel_ratios.

``push(name)(x, v, x_dot, v_dot, c)`` is the derivative along a direction of the tangent bundle, where all formulas
that are right on it agree; ``pull(name)(x, v, bar, c)`` its adjoint as a function of matrices, of which
:func:`reduced` leaves what the tangent bundle sees.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log2
from typing import Any

import numpy as np

from orthoref.oracle.fixed import ct, rounded
from orthoref.oracle.residual import norm
from orthoref.oracle.stiefel import truth
from orthoref.oracle.stiefel.truth import ORDER, block, block_row, divided, herm, over_number, project, skew

Pair = tuple[Any, Any]


def reduced(x: Any, v: Any, x_bar: Any, v_bar: Any, *, free: bool) -> Pair:
    """(SR-REDUCED) The cotangents of (X_dot, W), V_dot = W - X herm(V^H X_dot), both tangent; of X_dot if V is free."""
    if free:
        return (None if x_bar is None else project(x, x_bar)), v_bar
    moved = None if x_bar is None else project(x, x_bar - v @ herm(ct(x) @ v_bar))
    return moved, project(x, v_bar)


# (SR-PROJECT-D) -------------------------------------------------------------------------------------------------------


def push_project(x: Any, v: Any, x_dot: Any, v_dot: Any, c: float) -> Any:
    """P_X(V_dot) - X_dot herm(X^H V) - X herm(X_dot^H V)."""
    return project(x, v_dot) - x_dot @ herm(ct(x) @ v) - x @ herm(ct(x_dot) @ v)


def pull_project(x: Any, v: Any, bar: Any, c: float) -> Pair:
    """-U_bar herm(X^H V) - V herm(X^H U_bar), P_X(U_bar)."""
    return -(bar @ herm(ct(x) @ v)) - v @ herm(ct(x) @ bar), project(x, bar)


# (SR-GRADIENT-D) ------------------------------------------------------------------------------------------------------


def push_gradient(x: Any, g: Any, x_dot: Any, g_dot: Any, c: float) -> Any:
    """G_dot + X_dot N(X^H G) + X N(X_dot^H G + X^H G_dot), N(I) = skew(I)/c - I."""
    return truth.gradient(x, g_dot, c) + x_dot @ _weighed(ct(x) @ g, c) + x @ _weighed(ct(x_dot) @ g, c)


def pull_gradient(x: Any, g: Any, bar: Any, c: float) -> Pair:
    """U_bar N(X^H G)^H + G N(X^H U_bar)^H, U_bar + X N(X^H U_bar): N is its own adjoint."""
    x_bar = bar @ ct(_weighed(ct(x) @ g, c)) + g @ ct(_weighed(ct(x) @ bar, c))
    return x_bar, truth.gradient(x, bar, c)


def _weighed(inside: Any, c: float) -> Any:
    return skew(inside) * (1 / c) - inside


# (SR-QR-D), (SR-POLAR-D) ----------------------------------------------------------------------------------------------


def push_qr(x: Any, v: Any, x_dot: Any, v_dot: Any, c: float) -> Any:
    """(SR-TRANSPORT-QR) for W = X_dot + V_dot."""
    return truth.transport_qr(x, v, x_dot + v_dot)


def pull_qr(x: Any, v: Any, bar: Any, c: float) -> Pair:
    """((I - Y Y^H) Y_bar + Y rho*(Y^H Y_bar)) R^-H, rho*(K) = below(K - K^H) + i Im diag K."""
    y, r, over = truth.qr_factors(x + v)
    inside = ct(y) @ bar
    lower, half = np.tril(np.ones(inside.shape[-2:]), -1), np.eye(inside.shape[-1])
    top = bar - y @ inside + y @ ((inside - ct(inside)) * lower + skew(inside * half))
    found = divided(top, ct(r), rounded(top) @ ct(over), ct(over))
    return found, found


def push_polar(x: Any, v: Any, x_dot: Any, v_dot: Any, c: float) -> Any:
    """(SR-TRANSPORT-POLAR) for W = X_dot + V_dot."""
    return truth.transport_polar(x, v, x_dot + v_dot)


def pull_polar(x: Any, v: Any, bar: Any, c: float) -> Pair:
    """The derivative of the polar factor is its own adjoint."""
    found = truth.transport_polar(x, v, bar)
    return found, found


# (SR-CAYLEY-D) --------------------------------------------------------------------------------------------------------


def push_cayley(x: Any, v: Any, x_dot: Any, v_dot: Any, c: float) -> Any:
    """(2 X_dot + Z_dot - (X + Y) M_dot) M^-1 - X_dot."""
    s, m, over, outside = truth.cayley_parts(x, v)
    turn, z_dot = _parts_along(x, v, x_dot, v_dot)
    top = x_dot * 2.0 + z_dot - s @ (herm(ct(outside) @ z_dot) * 0.5 - skew(turn) * 0.5)
    return divided(top, m, rounded(top) @ over, over) - x_dot


def _parts_along(x: Any, v: Any, x_dot: Any, v_dot: Any) -> Pair:
    """A_dot = X_dot^H V + X^H V_dot, Z_dot = V_dot - X_dot A - X A_dot."""
    turn = ct(x_dot) @ v + ct(x) @ v_dot
    return turn, v_dot - x_dot @ (ct(x) @ v) - x @ turn


def pull_cayley(x: Any, v: Any, bar: Any, c: float) -> Pair:
    """F = Y_bar M^-H, M_bar = -(X + Y)^H F, Z_bar = F + Z herm(M_bar)/2, A_bar = -skew(M_bar)/2; then :func:`_back`."""
    s, m, over, outside = truth.cayley_parts(x, v)
    f = divided(bar, ct(m), rounded(bar) @ ct(over), ct(over))
    m_bar = -(ct(s) @ f)
    x_bar, v_bar = _back(x, v, f + outside @ herm(m_bar) * 0.5, skew(m_bar) * -0.5)
    return x_bar + f * 2.0 - bar, v_bar


def _back(x: Any, v: Any, z_bar: Any, a_bar: Any) -> Pair:
    """A_bar - X^H Z_bar in A = X^H V: X_bar = V A_bar^H - Z_bar A^H, V_bar = Z_bar + X A_bar."""
    a_bar = a_bar - ct(x) @ z_bar
    return v @ ct(a_bar) - z_bar @ (ct(v) @ x), z_bar + x @ a_bar


# (SR-EXP-D) -----------------------------------------------------------------------------------------------------------


def push_exp(x: Any, v: Any, x_dot: Any, v_dot: Any, c: float) -> Any:
    """The product rule for (SR-EXP)."""
    p = x.shape[-1]
    k, z, inside = _exponent(x, v, c)
    turn, z_dot = _parts_along(x, v, x_dot, v_dot)
    cross, none = ct(z) @ z_dot, np.zeros((p, p))
    e, e_dot = exp_along(k, block(skew(turn) * (2 * c), -(cross + ct(cross)), none, none))
    one, both = np.eye(2 * p, p), block_row(x, z)
    moved = block_row(x_dot, z_dot) @ (e @ one) + both @ (e_dot @ one)
    if c == 0.5:
        return moved
    last, last_dot = exp_along(inside * (1 - 2 * c), skew(turn) * (1 - 2 * c))
    return moved @ last + both @ (e @ one) @ last_dot


def pull_exp(x: Any, v: Any, bar: Any, c: float) -> Pair:
    """The adjoint of D exp(K) is D exp(K^H); blocks K_bar, then :func:`_back`."""
    p = x.shape[-1]
    k, z, inside = _exponent(x, v, c)
    one, two, both = np.eye(2 * p, p), np.eye(2 * p, p, -p), block_row(x, z)
    first, a_bar = truth.expm(k) @ one, 0.0
    if c != 0.5:
        turn = inside * (1 - 2 * c)
        _, last_bar = exp_along(-turn, ct(both @ first) @ bar)
        a_bar, bar = skew(last_bar) * (1 - 2 * c), bar @ ct(truth.expm(turn))
    both_bar = bar @ ct(first)
    _, k_bar = exp_along(ct(k), ct(both) @ bar @ one.T)
    a_bar = skew(one.T @ k_bar @ one) * (2 * c) + a_bar
    z_bar = both_bar @ two - z @ herm(one.T @ k_bar @ two) * 2.0
    x_bar, v_bar = _back(x, v, z_bar, a_bar)
    return x_bar + both_bar @ one, v_bar


def _exponent(x: Any, v: Any, c: float) -> tuple[Any, Any, Any]:
    """K, Z and A of (SR-EXP)."""
    p = x.shape[-1]
    z = v - x @ (ct(x) @ v)
    inside = skew(ct(x) @ v)
    return block(inside * (2 * c), -(ct(z) @ z), np.eye(p), np.zeros((p, p))), z, inside


def exp_along(k: Any, e: Any) -> Pair:
    """exp(K) and D exp(K)[E]: the polynomial and the squarings of :func:`orthoref.oracle.stiefel.truth.expm`."""
    size = float(np.max(norm(rounded(k)), initial=0.0))
    squarings = max(0, ceil(log2(size) + 2)) if size > 0 else 0
    k, e, one, coefficient = k * 2.0**-squarings, e * 2.0**-squarings, np.eye(k.shape[-1]), 1.0
    total, moved = k * 0.0 + one, e * 0.0
    for j in range(ORDER, 0, -1):
        coefficient *= j
        moved = e @ total + k @ moved
        total = k @ total + one * coefficient
    total, moved = over_number(total, coefficient), over_number(moved, coefficient)
    for _ in range(squarings):
        total, moved = total @ total, moved @ total + total @ moved
    return total, moved


PUSH: dict[str, Callable[..., Any]] = {
    "stiefel.project": push_project,
    "stiefel.gradient": push_gradient,
    "stiefel.retract_qr": push_qr,
    "stiefel.retract_polar": push_polar,
    "stiefel.retract_cayley": push_cayley,
    "stiefel.exp": push_exp,
}
PULL: dict[str, Callable[..., Pair]] = {
    "stiefel.project": pull_project,
    "stiefel.gradient": pull_gradient,
    "stiefel.retract_qr": pull_qr,
    "stiefel.retract_polar": pull_polar,
    "stiefel.retract_cayley": pull_cayley,
    "stiefel.exp": pull_exp,
}
