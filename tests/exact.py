"""Truth without rounding: residuals, decompositions known exactly, and the polar factor in 400 bits."""

from __future__ import annotations

from fractions import Fraction
from math import fsum
from typing import NamedTuple

import numpy as np

HADAMARD = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
UNITARY = np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2


def residual(c: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """C - X Y, every entry correctly rounded to float64. For entries of size about 1: no product may underflow.

    Each product is split into its rounded value and its rounding error (Dekker), and fsum adds without error.
    """
    if any(np.iscomplexobj(z) for z in (c, x, y)):
        re = residual(c.real, np.concat([x.real, -x.imag], -1), np.concat([y.real, y.imag], -2))
        im = residual(c.imag, np.concat([x.real, x.imag], -1), np.concat([y.imag, y.real], -2))
        return re + 1j * im
    c, x, y = (z.astype(np.float64) for z in (c, x, y))
    x, y = x[:, None, :], y.T[None, :, :]
    product = x * y
    (x1, x2), (y1, y2) = _halves(x), _halves(y)
    error = x2 * y2 - (((product - x1 * y1) - x2 * y1) - x1 * y2)
    terms = np.concat([c[:, :, None], -product, -error], axis=-1)
    return np.array([[fsum(entry) for entry in row] for row in terms.tolist()]).reshape(c.shape)


def _halves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    t = 134217729.0 * x  # 2^27 + 1
    high = t - (t - x)
    return high, x - high


class Exact(NamedTuple):
    """A = U H without rounding, H = Q diag(s) Q^H."""

    a: np.ndarray
    u: np.ndarray
    h: np.ndarray
    q: np.ndarray
    s: np.ndarray


def dyadic_unitary(n: int, dtype: str, seed: int) -> np.ndarray:
    """Orthogonal (unitary) with entries k/4 (i allowed): signed permutations and two layers of 4x4 (2x2) blocks."""
    rng = np.random.default_rng(seed)
    complex_ = dtype.startswith("complex")
    block = UNITARY if complex_ else HADAMARD
    phases = np.array([1, 1j, -1, -1j]) if complex_ else np.array([1.0, -1.0])
    x = np.eye(n, dtype=dtype)
    for _ in range(2):
        layer = np.eye(n, dtype=dtype)
        for start in range(0, n - len(block) + 1, len(block)):
            layer[start : start + len(block), start : start + len(block)] = block
        x = layer @ (rng.choice(phases, n)[:, None] * x[rng.permutation(n)])
    return x.astype(dtype)


def exact_polar(m: int, n: int, s: list[float], dtype: str = "float64", seed: int = 0) -> Exact:
    """Tall or square A with the given dyadic singular values; checked in rational arithmetic."""
    u = dyadic_unitary(m, dtype, 2 * seed)[:, :n]
    q = dyadic_unitary(n, dtype, 2 * seed + 1)
    s = np.array(s, dtype=u.real.dtype)
    h = (q * s) @ q.conj().T
    a = u @ h
    fu, fq, fh, fa = (rational(x) for x in (u, q, h, a))
    assert equal(mul(adjoint(fu), fu), rational(np.eye(n)))
    assert equal(mul(adjoint(fq), fq), rational(np.eye(n)))
    assert equal(mul(mul(fq, rational(np.diag(s))), adjoint(fq)), fh)
    assert equal(adjoint(fh), fh)
    assert equal(mul(fu, fh), fa)
    return Exact(a, u, h, q, s)


def rational(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Real and imaginary part as arrays of fractions."""
    to_fractions = np.frompyfunc(lambda value: Fraction(float(value)), 1, 1)
    return to_fractions(np.real(x)), to_fractions(np.imag(x))


def mul(x, y):
    return x[0] @ y[0] - x[1] @ y[1], x[0] @ y[1] + x[1] @ y[0]


def adjoint(x):
    return x[0].T, -x[1].T


def equal(x, y) -> bool:
    return bool(np.all(x[0] == y[0]) and np.all(x[1] == y[1]))


BITS = 400


def lift(x: np.ndarray):
    """Matrix of 400-bit complex numbers; every float is one."""
    import flint

    return flint.acb_mat([[flint.acb(float(z.real), float(z.imag)) for z in row] for row in x])


def lower(x) -> np.ndarray:
    return np.array([[complex(z) for z in row] for row in x.tolist()]).reshape(x.nrows(), x.ncols())


def adjoint_hp(x):
    return x.conjugate().transpose()


def size_hp(x) -> float:
    return max(float(abs(z).upper()) for z in x.entries())


def polar_hp(a, side: str = "right"):
    """(U, H) of a lifted matrix of full rank, by Newton's iteration X <- X (I + (X^H X)^-1)/2 from A itself."""
    import flint

    assert flint.ctx.prec == BITS
    if a.nrows() < a.ncols():
        u, h = polar_hp(adjoint_hp(a), "left" if side == "right" else "right")
        return adjoint_hp(u), h
    eye = flint.acb_mat(a.ncols(), a.ncols(), [int(i == j) for i in range(a.ncols()) for j in range(a.ncols())])
    u = a
    for _ in range(200):
        gram = adjoint_hp(u) * u
        if size_hp(gram - eye) < 2.0**-180:  # one more step squares it
            break
        u = (u * (eye + gram.inv()) * flint.acb(0.5)).mid()
    u = (u * (eye + gram.inv()) * flint.acb(0.5)).mid()
    assert size_hp(adjoint_hp(u) * u - eye) < 2.0**-330
    g = adjoint_hp(u) * a
    assert size_hp(g - adjoint_hp(g)) < 2.0**-300 * (1 + size_hp(a))
    return u, (g if side == "right" else a * adjoint_hp(u))


def derivative_hp(a: np.ndarray, e: np.ndarray, side: str = "right") -> tuple[np.ndarray, np.ndarray]:
    """Central difference of step 2^-100: its error is about 2^-200 |e|^3/sigma_min^3, nothing in float64."""
    import flint

    with flint.ctx.workprec(BITS):
        t = flint.acb(flint.arb(2) ** -100)
        (u1, h1), (u0, h0) = (polar_hp(lift(a) + lift(e) * sign, side) for sign in (t, -t))
        return tuple(lower((x1 - x0) * (1 / (2 * t))) for x1, x0 in ((u1, u0), (h1, h0)))


def mixed_hp(f, a, e: np.ndarray, g: np.ndarray) -> list[np.ndarray]:
    """Second derivatives along E and G of the matrices f(A) = [...], A lifted: mixed central differences.

    Step 2^-80: the error is 2^-160 of the fourth derivative, and 2^160 times the 2^-300 of the values.
    """
    import flint

    with flint.ctx.workprec(BITS):
        t = flint.acb(flint.arb(2) ** -80)
        e, g = lift(e) * t, lift(g) * t
        corners = zip(f(a + e + g), f(a + e - g), f(a - e + g), f(a - e - g), strict=True)
        return [lower((x.mid() - y.mid() - z.mid() + w.mid()) * (1 / (4 * t * t))) for x, y, z, w in corners]
