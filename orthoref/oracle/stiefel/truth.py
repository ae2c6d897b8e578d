"""Definitions on the Stiefel manifold, in float64 or in fixed point: docs/derivations/stiefel_ratios.

Written for the judge alone and independent of what is public. X^H X = I, V = X A + Z with A = X^H V skew-Hermitian
and X^H Z = 0. A metric is one number, g(V, V) = |Z|^2 + c |A|^2: c = 1 Euclidean, c = 1/2 canonical.
What has no closed form in sums and products is solved in float64 and refined: residuals in fixed point.
"""

from __future__ import annotations

from math import ceil, log2
from typing import Any

import numpy as np

from orthoref.oracle.fixed import Fixed, ct, rounded
from orthoref.oracle.residual import exponent_of, ldexp, norm

SWEEPS = 3  # of refinement; each gains 40 bits and more, since the matrices are well conditioned
ORDER = 16  # of the Taylor polynomial of exp: 2^-34/17! = 2e-25 is its error for a norm of 1/4


def lifted(x: np.ndarray, exact: bool) -> Any:
    """In the arithmetic of the truth."""
    return Fixed.of(x) if exact else x


def herm(x: Any) -> Any:
    """(X + X^H)/2."""
    return (x + ct(x)) * 0.5


def skew(x: Any) -> Any:
    """(X - X^H)/2."""
    return (x - ct(x)) * 0.5


def project(x: Any, v: Any) -> Any:
    """(SR-PROJECT) V - X herm(X^H V)."""
    return v - x @ herm(ct(x) @ v)


def gradient(x: Any, g: Any, c: float) -> Any:
    """(SR-GRADIENT) G - X X^H G + X skew(X^H G)/c: <grad, V>_g = Re <G, V> for every tangent V."""
    inside = ct(x) @ g
    return g + x @ (skew(inside) * (1 / c) - inside)


def acceleration(x: Any, v: Any, c: float) -> Any:
    """(SR-CHRISTOFFEL) of the geodesic with the velocity V: -X V^H V + 2 (1 - c) Z A."""
    inside = ct(x) @ v
    outside = v - x @ inside
    return outside @ inside * (2 - 2 * c) - x @ (ct(v) @ v)


def hessian(x: Any, g: Any, h: Any, v: Any, c: float) -> Any:
    """(SR-HESSIAN) grad of W -> Re <D^2 f[V], W> + Re <G, acceleration(V, W)>, the symmetric bilinear form."""
    form = h - v @ herm(ct(x) @ g)
    if c != 1:
        inside = ct(x) @ v
        outside = v - x @ inside
        bent = g @ inside
        form = form + (x @ (ct(outside) @ g) - bent + x @ (ct(x) @ bent)) * (1 - c)
    return gradient(x, form, c)


def qr(x: Any, v: Any) -> Any:
    """(SR-QR) Q of X + V = Q R, r_ii > 0."""
    return qr_factors(x + v)[0]


def qr_factors(a: Any) -> tuple[Any, Any, np.ndarray]:
    """Q and R with R^H R = A^H A and Q R = A, each refined; R^-1 in float64."""
    near = rounded(a)
    q, r = np.linalg.qr(near)
    phase = _phases(np.diagonal(r, axis1=-2, axis2=-1))
    q, r = q * phase[..., None, :], np.conj(phase)[..., :, None] * r
    r = r - 1j * (r.imag * np.eye(r.shape[-1])) if np.iscomplexobj(r) else r  # a phase in R^H R would stay
    over = np.linalg.inv(r)
    if not isinstance(a, Fixed):
        return q, r, over
    exact, gram = Fixed.of(r), ct(a) @ a
    for _ in range(SWEEPS):
        rest = ct(over) @ rounded(gram - ct(exact) @ exact) @ over
        half = np.eye(rest.shape[-1]) * 0.5
        exact = exact + Fixed.of(np.triu(rest, 1) + half * rest) @ exact
    return divided(a, exact, q, over), exact, over


def polar(x: Any, v: Any) -> Any:
    """(SR-POLAR) U = A (A^H A)^-1/2, A = X + V."""
    return polar_factors(x + v)[0]


def polar_factors(a: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """U; Z with Z A^H A Z = I refined; eigenvectors W of A^H A and the square roots of its eigenvalues in float64."""
    gram = ct(a) @ a
    s, w = np.linalg.eigh(rounded(gram))
    root = np.sqrt(s)
    z = herm((w / root[..., None, :]) @ ct(w))
    if isinstance(a, Fixed):
        z, sums = Fixed.of(z), root[..., :, None] + root[..., None, :]
        for _ in range(SWEEPS):
            rest = ct(w) @ rounded(np.eye(w.shape[-1]) - z @ gram @ z) @ w
            z = z + herm(w @ (rest / sums) @ ct(w))
    return a @ z, w, root


def cayley(x: Any, v: Any) -> Any:
    """(SR-CAYLEY) (2 X + Z)(I - A/2 + Z^H Z/4)^-1 - X."""
    return cayley_parts(x, v)[0] - x


def cayley_parts(x: Any, v: Any) -> tuple[Any, Any, np.ndarray, Any]:
    """X + Y, M = I - A/2 + Z^H Z/4, M^-1 in float64, Z."""
    inside = skew(ct(x) @ v)
    outside = v - x @ (ct(x) @ v)
    m = np.eye(x.shape[-1]) - inside * 0.5 + ct(outside) @ outside * 0.25
    top = x * 2.0 + outside
    over = np.linalg.inv(rounded(m))
    return divided(top, m, rounded(top) @ over, over), m, over, outside


def transport_qr(x: Any, v: Any, w: Any) -> Any:
    """(SR-TRANSPORT-QR) (I - Y Y^H) B + Y rho(Y^H B), B = W R^-1."""
    y, r, over = qr_factors(x + v)
    b = divided(w, r, rounded(w) @ over, over)
    inside = ct(y) @ b
    lower, half = np.tril(np.ones(inside.shape[-2:]), -1), np.eye(inside.shape[-1])
    below = inside * lower
    turn = below - ct(below) + skew(inside * half)
    return b - y @ inside + y @ turn


def transport_polar(x: Any, v: Any, w: Any) -> Any:
    """(SR-TRANSPORT-POLAR) U L + (I - U U^H) W H^-1 with H L + L H = U^H W - W^H U."""
    a = x + v
    u, e, root = polar_factors(a)
    h = herm(ct(u) @ a)
    inside = ct(u) @ w
    right, sums = skew(inside) * 2.0, root[..., :, None] + root[..., None, :]

    def solve(r: np.ndarray) -> np.ndarray:
        return e @ ((ct(e) @ r @ e) / sums) @ ct(e)

    turn: Any = skew(solve(rounded(right)))  # refinement leaves what is Hermitian
    if isinstance(right, Fixed):
        turn = Fixed.of(turn)
        for _ in range(SWEEPS):
            turn = turn + skew(solve(rounded(right - h @ turn - turn @ h)))
    over = (e / root[..., None, :]) @ ct(e)
    outside = w - u @ inside
    return u @ turn + divided(outside, h, rounded(outside) @ over, over)


def transport_cayley(x: Any, v: Any, w: Any) -> Any:
    """(SR-TRANSPORT-CAYLEY) (dZ - (X + Y) dM) M^-1."""
    s, m, over, outside = cayley_parts(x, v)
    inside = ct(x) @ w
    dz = w - x @ inside
    cross = ct(outside) @ dz
    top = dz - s @ (herm(cross) * 0.5 - skew(inside) * 0.5)
    return divided(top, m, rounded(top) @ over, over)


def transport_isometric(x: Any, v: Any, w: Any) -> Any:
    """(SR-TRANSPORT-ISOMETRIC) (I - S/2)^-1 (I + S/2) W = W + L (I - R^H L/2)^-1 R^H W, S = L R^H the Cayley turn."""
    pv = v - x @ (ct(x) @ v) * 0.5
    left, right = block_row(pv, x), block_row(x, -pv)
    k = np.eye(2 * x.shape[-1]) - ct(right) @ left * 0.5
    over = np.linalg.inv(rounded(k))
    b = ct(right) @ w
    if not isinstance(b, Fixed):
        return w + left @ (over @ b)
    found = Fixed.of(over @ rounded(b))
    for _ in range(SWEEPS):
        found = found + over @ rounded(b - k @ found)
    return w + left @ found


def exp(x: Any, v: Any, c: float) -> Any:
    """(SR-EXP) [X, Z] exp([[2 c A, -Z^H Z], [I, 0]]) [I; 0] exp((1 - 2 c) A)."""
    p = x.shape[-1]
    inside = skew(ct(x) @ v)
    outside = v - x @ (ct(x) @ v)
    k = block(inside * (2 * c), -(ct(outside) @ outside), np.eye(p), np.zeros((p, p)))
    first = (expm(k) @ np.eye(2 * p, p)) if p else np.zeros((*x.shape[:-2], 0, 0))
    found = block_row(x, outside) @ first
    return found if c == 0.5 else found @ expm(inside * (1 - 2 * c))


def expm(k: Any) -> Any:
    """Taylor polynomial, its coefficients times ORDER! as integers, and squaring."""
    size = float(np.max(norm(rounded(k)), initial=0.0))
    squarings = max(0, ceil(log2(size) + 2)) if size > 0 else 0
    k, one, coefficient = k * 2.0**-squarings, np.eye(k.shape[-1]), 1.0
    total: Any = one
    for j in range(ORDER, 0, -1):
        coefficient *= j
        total = k @ total + one * coefficient
    total = over_number(total, coefficient)
    for _ in range(squarings):
        total = total @ total
    return total


def block(a: Any, b: Any, c: Any, d: Any) -> Any:
    """[[A, B], [C, D]], as E1 A E1^H + ...: fixed point has no concatenation."""
    p = a.shape[-1]
    one, two = np.eye(2 * p, p), np.eye(2 * p, p, -p)
    return one @ a @ one.T + one @ b @ two.T + two @ c @ one.T + two @ d @ two.T


def block_row(a: Any, b: Any) -> Any:
    """[A, B]."""
    p = a.shape[-1]
    return a @ np.eye(p, 2 * p) + b @ np.eye(p, 2 * p, p)


def over_number(x: Any, number: float) -> Any:
    """X/number, 1/number to 100 bits."""
    if not isinstance(x, Fixed):
        return x / number
    near = Fixed.of(np.full((1, 1), 1 / number))
    return x * (near + rounded(1.0 - near * number) / number)


def divided(a: Any, r: Any, y: np.ndarray, over: np.ndarray) -> Any:
    """Y with Y R = A, from a first Y and R^-1 in float64."""
    if not isinstance(a, Fixed):
        return y
    found = Fixed.of(y)
    for _ in range(SWEEPS):
        found = found + rounded(a - found @ r) @ over
    return found


def _phases(d: np.ndarray) -> np.ndarray:
    """d/|d|, 1 where d = 0."""
    size = np.abs(d)
    return np.where(size > 0, d / np.where(size > 0, size, 1.0), 1.0)


def scaled(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X 2^-e with entries near 1, and e."""
    exponent = exponent_of(x)
    return ldexp(x, -exponent), exponent
