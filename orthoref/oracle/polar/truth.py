"""Derivatives of the polar factors without rounding that shows: by Lyapunov equations, in float64 or in fixed point.

Independent of orthoref.polar_vjp and its relatives: nothing is differentiated in the basis of singular vectors. With
A = U H, at least as many rows as columns, L(R) the solution X of H X + X H = R, and E' = (I - U U^H) E,

    (TRUTH-1)  dU[E] = U L(U^H E - E^H U) + E' H^-1              the adjoint of dU is dU
    (TRUTH-2)  dH[E] = L(A^H E + E^H A)                           its adjoint S -> 2 A L(herm S)

and the second derivatives by differentiating these equations once more. In fixed point each equation is solved by
iterative refinement: residuals in 121 bits, corrections by the float64 decomposition H = V diag(s) V^H.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from orthoref.oracle.fixed import Fixed, Matrix, ct, rounded
from orthoref.oracle.residual import exponent_of, ldexp, norm

SWEEPS = 12  # of refinement; each gains 50 bits less those of the condition number
ENOUGH = 2.0**-90  # relative size of the last correction but one, which gains 20 bits and more


def herm(x: Any) -> Any:
    """(X + X^H)/2."""
    return (x + ct(x)) * 0.5


def skew(x: Any) -> Any:
    """X - X^H."""
    return x - ct(x)


@dataclass(frozen=True)
class Point:
    """A = U H in one of the arithmetics, |A| about 1, at least as many rows as columns; H = V diag(s) V^H in float64.

    ``exponent`` is what A was scaled by; ``s`` may be negative in the last place of a real square matrix: the other
    branch of U.
    """

    a: Any
    u: Any
    h: Any
    v: np.ndarray
    s: np.ndarray
    exponent: np.ndarray

    @property
    def square(self) -> bool:
        """Whether nothing is outside the range of A."""
        return self.a.shape[-2] == self.a.shape[-1]

    @property
    def sums(self) -> np.ndarray:
        """s_i + s_j; infinite where the real skew numerator is zero as well."""
        sums = self.s[..., :, None] + self.s[..., None, :]
        return np.where(sums == 0, np.inf, sums)

    def lyapunov(self, r: Any, sign: int) -> Any:
        """L(R): H X + X H = R, for R^H = sign R, and X likewise; sign 0 for a general R in float64."""

        def solve(r: np.ndarray) -> np.ndarray:
            x = self.v @ ((ct(self.v) @ r @ self.v) / self.sums) @ ct(self.v)
            return (x + sign * ct(x)) / 2 if sign else x

        def apply(x: Any) -> Any:
            y = self.h @ x
            return y + ct(y) if sign > 0 else y - ct(y)

        return refined(solve, apply, r)

    def over_h(self, r: Any) -> Any:
        """X H = R."""
        return refined(lambda r: (r @ self.v / self.s[..., None, :]) @ ct(self.v), lambda x: x @ self.h, r)

    def outside(self, x: Any) -> Any:
        """(I - U U^H) X."""
        return x - self.u @ (ct(self.u) @ x)


def refined(solve: Callable[[np.ndarray], np.ndarray], apply: Callable[[Any], Any], r: Any) -> Any:
    """The solution of a linear equation; in fixed point by refinement, NaN where that does not converge."""
    if not isinstance(r, Fixed):
        return solve(r)
    x = Fixed.of(_finite(solve(r.rounded())))
    before = size = norm(x.rounded())
    for _ in range(SWEEPS):
        step = _finite(solve((r - apply(x)).rounded()))
        x = x + step
        now = norm(step)
        if np.all((now <= ENOUGH * size) | (now > before / 2)):  # there, or as far as it gets
            break
        before = now
    return x


def point(a: np.ndarray, exact: bool, branch: int = 1) -> Point:
    """The polar decomposition at a finite A of the shape (..., m, n), m >= n; ``branch`` -1 the other sign of s_n."""
    exponent = exponent_of(a)
    a = ldexp(a, -exponent)
    p, s, vh = np.linalg.svd(a, full_matrices=False)
    if branch < 0:
        p[..., -1], s[..., -1] = -p[..., -1], -s[..., -1]
    u, v = p @ vh, ct(vh)
    if not exact:
        return Point(a, u, (v * s[..., None, :]) @ vh, v, s, exponent)
    here = Point(Fixed.of(a), Fixed.of(u), None, v, s, exponent)
    sums, over, before = here.sums, np.where(s == 0, np.inf, s)[..., None, :], np.inf
    for _ in range(SWEEPS):
        # (TRUTH-3) Newton's method for U^H U = I, U^H A Hermitian, A in the range of U
        g = ct(here.u) @ here.a
        rest = rounded(np.eye(a.shape[-1]) - ct(here.u) @ here.u)
        omega = v @ ((vh @ rounded(skew(g)) @ v) / sums) @ vh
        step = u @ (omega + rest / 2)
        if not here.square:
            outer = rounded(here.a - here.u @ g)
            step = step + ((outer - u @ (ct(u) @ outer)) @ v / over) @ vh
        step = _finite(step)
        here = Point(here.a, here.u + step, None, v, s, exponent)
        u = here.u.rounded()
        now = norm(step)
        if np.all((now <= ENOUGH) | (now > before / 2)):
            break
        before = now
    return Point(here.a, here.u, herm(ct(here.u) @ here.a), v, s, exponent)


def pull(at: Point, u_bar: Any, h_bar: Any, left: bool) -> Any:
    """A_bar of the scaled A: the adjoint of :func:`push`."""
    total: Any = 0.0
    if u_bar is not None:
        total = along(at, u_bar)
    if h_bar is not None:
        s = herm(h_bar)
        if left:  # H_L = U H U^H
            inner = ct(at.u) @ s @ at.u
            pulled = at.u @ at.lyapunov(inner, 1) @ at.h
            pulled = pulled if at.square else pulled + s @ at.u - at.u @ inner
        else:
            pulled = at.a @ at.lyapunov(s, 1)
        total = pulled * 2.0 + total if u_bar is not None else pulled * 2.0
    return total


def along(at: Point, e: Any) -> Any:
    """(TRUTH-1) dU[E]."""
    inside = at.u @ at.lyapunov(skew(ct(at.u) @ e), -1)
    return inside if at.square else inside + at.over_h(at.outside(e))


def push(at: Point, e: Any, left: bool) -> tuple[Any, Any]:
    """dU[E] and dH[E]."""
    u_dot = along(at, e)
    if left:
        return u_dot, herm(e @ ct(at.u) + at.a @ ct(u_dot))
    return u_dot, at.lyapunov(herm(ct(at.a) @ e) * 2.0, 1)


def pull_along(at: Point, e: Any, u_bar: Any, h_bar: Any, left: bool) -> Any:
    """Derivative of :func:`pull` along E; (TRUTH-1) and (TRUTH-2) differentiated."""
    u, h = at.u, at.h
    u_dot, h_dot = along(at, e), at.lyapunov(herm(ct(at.a) @ e) * 2.0, 1)
    total: Any = None
    if u_bar is not None:
        omega = at.lyapunov(skew(ct(u) @ u_bar), -1)
        total = u_dot @ omega + u @ at.lyapunov(skew(ct(u_dot) @ u_bar - h_dot @ omega), -1)
        if not at.square:
            w = at.over_h(at.outside(u_bar))
            r = u_dot @ (ct(u) @ u_bar) + u @ (ct(u_dot) @ u_bar) + w @ h_dot
            total = total - at.over_h(r)
    if h_bar is not None:
        s = herm(h_bar)
        if left:
            inner = ct(u) @ s @ u
            inner_dot = herm(ct(u_dot) @ s @ u) * 2.0
            y = at.lyapunov(inner, 1)
            y_dot = at.lyapunov(inner_dot - herm(h_dot @ y) * 2.0, 1)
            pulled = u_dot @ y @ h + u @ y_dot @ h + u @ y @ h_dot
            if not at.square:
                pulled = pulled + s @ u_dot - u_dot @ inner - u @ inner_dot
        else:
            y = at.lyapunov(s, 1)
            y_dot = at.lyapunov(-2.0 * herm(h_dot @ y), 1)
            pulled = e @ y + at.a @ y_dot
        total = pulled * 2.0 if total is None else pulled * 2.0 + total
    return total


def _finite(x: np.ndarray) -> np.ndarray:
    """Zero in place of a member that has no derivative: its unit is infinite."""
    return np.where(np.all(np.isfinite(x), axis=(-2, -1), keepdims=True), x, 0.0)
