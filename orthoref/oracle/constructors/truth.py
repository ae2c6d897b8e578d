"""Definitions of the constructors, in float64 or in fixed point: docs/derivations/constructor_ratios.

Written for the judge alone and independent of what is public. What has no closed form in sums and products is solved in
float64 and refined with residuals in fixed point.
"""

from __future__ import annotations

from math import ceil, log2
from typing import Any

import numpy as np

from orthoref.oracle.fixed import Fixed, ct, rounded
from orthoref.oracle.residual import norm

SWEEPS = 3  # of refinement; each gains -log2(n eps kappa) bits, 36 at kappa = 10^4
UNIT = np.full((1, 1), 1j)
ORDER = 16  # of the Taylor polynomial of exp: 2^-34/17! = 2e-25 is its error for a norm of 1/4


def lifted(x: np.ndarray, exact: bool) -> Any:
    """In the arithmetic of the truth."""
    return Fixed.of(x) if exact else x


def resolvent(b: Any) -> Any:
    """N = (I + B)^-1."""
    m = b + np.eye(b.shape[-1])
    over = np.linalg.inv(rounded(m))
    if not isinstance(b, Fixed):
        return over
    found = Fixed.of(over)
    for _ in range(SWEEPS):
        found = found + over @ rounded(np.eye(b.shape[-1]) - m @ found)
    return found


def cayley(a: Any, c: float, d: np.ndarray) -> Any:
    """(CR-CAYLEY) (2 (I + c A)^-1 - I) D."""
    return (resolvent(a * c) * 2.0 - np.eye(a.shape[-1])) * d


def cayley_jvp(a: Any, a_dot: Any, c: float, d: np.ndarray) -> Any:
    """(CR-CAYLEY-DOT) -2 c N A_dot N D."""
    n = resolvent(a * c)
    return n @ (a_dot * (-2 * c)) @ n * d


def cayley_vjp(a: Any, q_bar: Any, c: float, d: np.ndarray) -> Any:
    """(CR-CAYLEY-BAR) skew(-2 c N^H Q_bar D N^H)."""
    n = ct(resolvent(a * c))
    return skew(n @ (q_bar * d * (-2 * c)) @ n)


def exp(a: Any) -> Any:
    """(CR-EXP) The Taylor polynomial, its coefficients times ORDER! as integers, and squaring."""
    if not a.shape[-1]:
        return a
    size = float(np.max(norm(rounded(a)), initial=0.0))
    squarings = max(0, ceil(log2(size) + 2)) if size > 0 else 0
    a, one, coefficient = a * 2.0**-squarings, np.eye(a.shape[-1]), 1.0
    total: Any = one
    for j in range(ORDER, 0, -1):
        coefficient *= j
        total = a @ total + one * coefficient
    total = over(total, coefficient)
    for _ in range(squarings):
        total = total @ total
    return total


def exp_jvp(a: Any, a_dot: Any) -> Any:
    """(CR-EXP-DOT) The upper right block of exp([[A, A_dot], [0, A]])."""
    n = a.shape[-1]
    one, two = np.eye(2 * n, n), np.eye(2 * n, n, -n)
    found = exp(one @ a @ one.T + two @ a @ two.T + one @ a_dot @ two.T)
    return one.T @ found @ two


def exp_vjp(a: Any, q_bar: Any) -> Any:
    """(CR-EXP-BAR) skew of the derivative at A^H along Q_bar."""
    return skew(exp_jvp(ct(a), q_bar))


# Givens ---------------------------------------------------------------------------------------------------------------


def planes(n: int, order: str) -> list[tuple[int, int]]:
    """(CR-PLANES) i < j, in the order of the product."""
    if order == "columns":
        return [(i, j) for i in range(n) for j in range(i + 1, n)]
    if order == "rows":
        return [(i, j) for j in range(n) for i in range(j)]
    if order == "brickwall":
        return [(i, i + 1) for layer in range(n) for i in range(layer % 2, n - 1, 2)]
    if order == "butterfly":
        return [(i, i + s) for s in (1 << k for k in range(n.bit_length() - 1)) for i in range(n) if not i & s]
    m = n + n % 2  # round robin: player m - 1 stays, the others go round
    rounds = ([(r, m - 1)] + [((r + k) % (m - 1), (r - k) % (m - 1)) for k in range(1, m // 2)] for r in range(m - 1))
    played = ([(min(p), max(p)) for p in each if max(p) < n] for each in rounds)
    return [pair for each in played for pair in sorted(each)]


def layers(pairs: list[tuple[int, int]], n: int) -> list[list[int]]:
    """Numbers of rotations in disjoint planes, as early as those before them leave: the product is the same."""
    free, found = [0] * n, list[list[int]]()
    for k, (i, j) in enumerate(pairs):
        level = max(free[i], free[j])
        if level == len(found):
            found.append([])
        found[level].append(k)
        free[i] = free[j] = level + 1
    return found


def cis(x: Any) -> Any:
    """e^{ix}, entry by entry: (CR-EXP) for numbers."""
    size = float(np.max(np.abs(rounded(x)), initial=0.0))
    halvings = max(0, ceil(log2(size) + 2)) if size > 0 else 0
    if not isinstance(x, Fixed):
        return np.exp(1j * x)
    x, coefficient = x * 2.0**-halvings * UNIT, 1.0
    total: Any = x * 0.0 + 1.0
    for j in range(ORDER, 0, -1):
        coefficient *= j
        total = x * total + coefficient
    total = over(total, coefficient)
    for _ in range(halvings):
        total = total * total
    return total


def real(x: Any) -> Any:
    """Real parts."""
    return Fixed(x.words.real.copy(), x.exponent) if isinstance(x, Fixed) else x.real


def imag(x: Any) -> Any:
    """Imaginary parts."""
    return Fixed(x.words.imag.copy(), x.exponent) if isinstance(x, Fixed) else x.imag


def conj(x: Any) -> Any:
    """Conjugates."""
    return Fixed(np.conj(x.words), x.exponent) if isinstance(x, Fixed) else np.conj(x)


def entries(x: Any, rows: Any, columns: Any) -> Any:
    """Entries (rows_k, columns_k) of a matrix as a column."""
    if isinstance(x, Fixed):
        return Fixed(x.words[..., rows, columns][..., None], x.exponent)
    return x[..., rows, columns][..., None]


class Rotations:
    """Rotations of columns theta and phi (..., N, 1), in layers of disjoint planes."""

    def __init__(self, theta: Any, phi: Any, n: int, pairs: list[tuple[int, int]]) -> None:
        turn = cis(theta)
        self.n, self.pairs, self.layers = n, np.asarray(pairs, int).reshape(-1, 2), layers(pairs, n)
        self.c, self.s = real(turn), imag(turn)
        self.u = None if phi is None else cis(phi)

    def places(self, layer: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The i and j of a layer, and the columns of the identity that belong to them."""
        i, j = self.pairs[layer].T
        one = np.eye(self.n)
        return i, j, one[:, i], one[:, j]

    def of(self, x: Any, layer: list[int]) -> Any:
        """Entries of a column that belong to a layer."""
        return entries(x, layer, [0] * len(layer))

    def matrix(self, layer: list[int]) -> Any:
        """(CR-GIVENS) [[c, -conj(u) s], [u s, c]] in the planes of a layer, the identity elsewhere."""
        c, s = self.of(self.c, layer), self.of(self.s, layer)
        return self._placed(layer, c - 1.0, s) + np.eye(self.n)

    def moved(self, layer: list[int], theta_dot: Any, phi_dot: Any) -> Any:
        """Its derivative."""
        c, s, turn = self.of(self.c, layer), self.of(self.s, layer), self.of(theta_dot, layer)
        found = self._placed(layer, -(s * turn), c * turn)
        if self.u is None:
            return found
        return found + self._placed(layer, s * 0.0, s * self.of(phi_dot, layer) * UNIT)

    def _placed(self, layer: list[int], c: Any, s: Any) -> Any:
        _, _, p, q = self.places(layer)
        us = s if self.u is None else s * self.of(self.u, layer)
        return p @ (c * p.T) + q @ (c * q.T) + q @ (us * p.T) - p @ (conj(us) * q.T)


def givens(g: Rotations) -> Any:
    """(CR-GIVENS) G_1 G_2 ... G_N."""
    q: Any = np.eye(g.n)
    for layer in g.layers:
        q = q @ g.matrix(layer)
    return q


def givens_jvp(g: Rotations, theta_dot: Any, phi_dot: Any) -> Any:
    """(CR-GIVENS-DOT) The product rule."""
    q: Any = np.eye(g.n)
    q_dot: Any = np.zeros((g.n, g.n))
    for layer in g.layers:
        m = g.matrix(layer)
        q, q_dot = q @ m, q_dot @ m + q @ g.moved(layer, theta_dot, phi_dot)
    return q_dot


def givens_vjp(g: Rotations, q_bar: Any) -> tuple[Any, Any]:
    """(CR-GIVENS-BAR) theta_bar and phi_bar from W = P^H Q_bar Q^H P, P the product of the layers before."""
    w = q_bar @ ct(givens(g))
    count = len(g.pairs)
    theta_bar: Any = np.zeros((count, 1))
    phi_bar: Any = np.zeros((count, 1))
    for layer in g.layers:
        i, j, _, _ = g.places(layer)
        back = np.eye(count)[:, layer]
        low, high = entries(w, j, i), entries(w, i, j)
        if g.u is None:
            theta_bar = theta_bar + back @ real(low - high)
        else:
            u, s, c = (g.of(x, layer) for x in (g.u, g.s, g.c))
            low, high = conj(u) * low, u * high
            theta_bar = theta_bar + back @ real(low - high)
            beside = imag(low + high) * (s * c)
            phi_bar = phi_bar + back @ (beside + imag(entries(w, j, j) - entries(w, i, i)) * (s * s))
        m = g.matrix(layer)
        w = ct(m) @ w @ m
    return theta_bar, phi_bar


# Householder ----------------------------------------------------------------------------------------------------------


def column(x: Any, i: int) -> Any:
    """Column i of a matrix, with its own exponent."""
    if isinstance(x, Fixed):
        return Fixed(x.words[..., i : i + 1], x.exponent) + np.zeros((1, 1))
    return x[..., i : i + 1]


def tau_of(v: Any) -> Any:
    """2/|v|^2 of a column, 0 for v = 0."""
    squares = ct(v) @ v
    near = rounded(squares).real
    t = np.where(near > 0, 2 / np.where(near > 0, near, 1.0), 0.0)
    if not isinstance(v, Fixed):
        return t
    found, half = Fixed.of(t), t / 2
    for _ in range(SWEEPS):
        found = found + rounded(np.where(near > 0, 2.0, 0.0) - squares * found) * half
    return found


class Reflections:
    """Columns v and numbers tau (..., 1, 1) in the order of the product."""

    def __init__(self, v: Any, tau: Any, forward: bool, columns: int) -> None:
        numbers = range(v.shape[-1]) if forward else range(v.shape[-1] - 1, -1, -1)
        self.numbers, self.m, self.columns = list(numbers), v.shape[-2], columns
        self.v = [column(v, i) for i in self.numbers]
        self.unit = tau is None
        self.tau = [
            tau_of(x) if tau is None else entries(tau, [i], [0]) for i, x in zip(self.numbers, self.v, strict=True)
        ]

    def tau_dot(self, place: int, v_dot: Any, tau_dot: Any) -> Any:
        """Of a given tau, or of 2/|v|^2."""
        if not self.unit:
            return entries(tau_dot, [self.numbers[place]], [0])
        tau = self.tau[place]
        return -(tau * tau * real(ct(self.v[place]) @ v_dot))


def householder(r: Reflections) -> Any:
    """(CR-HOUSEHOLDER) H_1 H_2 ... H_k [I; 0], H_i = I - tau_i v_i v_i^H, from the last one."""
    q: Any = np.eye(r.m, r.columns)
    for v, tau in zip(r.v[::-1], r.tau[::-1], strict=True):
        q = q - (v * tau) @ (ct(v) @ q)
    return q


def householder_jvp(r: Reflections, v_dot: Any, tau_dot: Any) -> Any:
    """(CR-HOUSEHOLDER-DOT) The product rule."""
    q: Any = np.eye(r.m, r.columns)
    q_dot: Any = np.zeros((r.m, r.columns))
    for place in range(len(r.v) - 1, -1, -1):
        v, tau = r.v[place], r.tau[place]
        move = column(v_dot, r.numbers[place])
        inside = ct(v) @ q
        turn = r.tau_dot(place, move, tau_dot)
        q_dot = q_dot - (v * tau) @ (ct(v) @ q_dot + ct(move) @ q) - (v * turn + move * tau) @ inside
        q = q - (v * tau) @ inside
    return q_dot


def householder_vjp(r: Reflections, q_bar: Any) -> tuple[Any, Any]:
    """(CR-HOUSEHOLDER-BAR) v_bar and tau_bar, from the products S behind each reflection and P^H Q_bar before it."""
    count = len(r.v)
    behind: list[Any] = [np.eye(r.m, r.columns)]
    for v, tau in zip(r.v[:0:-1], r.tau[:0:-1], strict=True):
        behind.append(behind[-1] - (v * tau) @ (ct(v) @ behind[-1]))
    v_bar: Any = np.zeros((r.m, count))
    tau_bar: Any = np.zeros((count, 1))
    for place, s in enumerate(reversed(behind[: max(count, 0)])):
        v, tau, unit = r.v[place], r.tau[place], np.eye(count)[r.numbers[place] : r.numbers[place] + 1]
        right, left = s @ (ct(q_bar) @ v), q_bar @ (ct(s) @ v)  # H_bar^H v and H_bar v, H_bar = P^H Q_bar S^H
        t_bar = -(ct(v) @ left)
        bar = -(left * conj(tau)) - right * tau
        if r.unit:
            bar = bar - v * (real(t_bar) * (tau * tau))
        v_bar, tau_bar = v_bar + bar @ unit, tau_bar + unit.T @ t_bar
        q_bar = q_bar - (v * conj(tau)) @ (ct(v) @ q_bar)
    return v_bar, tau_bar


def skew(x: Any) -> Any:
    """(X - X^H)/2."""
    return (x - ct(x)) * 0.5


def over(x: Any, number: float) -> Any:
    """X/number, 1/number to 100 bits."""
    if not isinstance(x, Fixed):
        return x / number
    near = Fixed.of(np.full((1, 1), 1 / number))
    return x * (near + rounded(1.0 - near * number) / number)
