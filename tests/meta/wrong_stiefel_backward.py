"""Derivatives of maps on the Stiefel manifold as ports: WRONG ones with one error each, RIGHT ones by other formulas.

A backward pass takes (x, v, y_bar) and returns (x_bar, v_bar), a forward one (x, v, x_dot, v_dot) and returns y_dot;
NumPy stacks, the inner product Re tr(X^H Y). ``words`` is a pattern of the reason. TORCH and JAX are forward passes
that are differentiated automatically.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from meta.wrong_stiefel_ports import ct, herm, skew, t

Port = Callable[..., Any]
CANONICAL = {"metric": "canonical"}


class Entry(NamedTuple):
    """A port, the row that it is taken for, and (if it is wrong) a pattern of the reason."""

    name: str
    operation: str
    port: Port
    words: str = ""
    claims: dict[str, Any] = {}  # noqa: RUF012 - a NamedTuple


def unchecked(port: Port) -> Port:
    """Empty stacks aside, in the dtype of the input."""

    def called(x, *arrays, **claims):
        one = "dot" if len(arrays) == 3 else "bar"
        if x.size == 0:
            return np.zeros_like(x) if one == "dot" else (np.zeros_like(x), np.zeros_like(x))
        with np.errstate(all="ignore"):
            found = port(x, *arrays, **claims)
        return np.array(found, x.dtype) if one == "dot" else tuple(np.array(y, x.dtype) for y in found)

    return called


# --- QR ---------------------------------------------------------------------------------------------------------------


def factors(a):
    q, r = np.linalg.qr(a)
    d = np.diagonal(r, axis1=-2, axis2=-1)
    phase = (d / np.abs(d))[..., None, :]
    return q * phase, np.conj(t(phase)) * r


def qr(x, v, bar, *, lower=True, phases=1.0, half=1.0, outside=1.0, inside=1.0, adjoint=ct, conj=ct):
    """A_bar = ((I - Q Q^H) Q_bar + Q (tril(M - M^H, -1) + i Im diag M)) R^-H, M = Q^H Q_bar."""
    q, r = factors(x + v)
    m = ct(q) @ bar
    skewed = m - conj(m)
    one = np.eye(m.shape[-1])
    triangle = half * (np.tril(skewed, -1) if lower else np.triu(skewed, 1)) + phases * skew(m * one)
    a_bar = (outside * (bar - q @ m) + inside * q @ triangle) @ adjoint(np.linalg.inv(r))
    return a_bar, a_bar


def qr_copyltu(x, v, bar):
    """As papers write it: (Q_bar + Q copyltu(-Q_bar^H Q)) R^-H, the lower triangle and its adjoint, real diagonal."""
    q, r = factors(x + v)
    m = -ct(bar) @ q
    lower = np.tril(m, -1)
    a_bar = (bar + q @ (lower + ct(lower) + np.eye(m.shape[-1]) * m.real)) @ ct(np.linalg.inv(r))
    return a_bar, a_bar


def qr_constant_r(x, v, bar):
    a_bar = bar @ ct(np.linalg.inv(factors(x + v)[1]))
    return a_bar, a_bar


def qr_jvp(x, v, x_dot, v_dot, *, lower=True, phases=1.0, of_x=1.0):
    """(I - Q Q^H) B + Q rho(Q^H B), B = A_dot R^-1."""
    q, r = factors(x + v)
    b = (of_x * x_dot + v_dot) @ np.linalg.inv(r)
    m = ct(q) @ b
    triangle = np.tril(m, -1) if lower else np.triu(m, 1)
    return b - q @ m + q @ (triangle - ct(triangle) + phases * skew(m * np.eye(m.shape[-1])))


def left_out(port: Port, which: int) -> Port:
    """Nothing sent back to one of the inputs."""
    return lambda *arrays: tuple(y * (i != which) for i, y in enumerate(port(*arrays)))


def times(port: Port, factor: float) -> Port:
    return lambda *arrays: tuple(factor * y for y in port(*arrays))


def conjugated(port: Port) -> Port:
    return lambda *arrays: tuple(np.conj(y) for y in port(*arrays))


def through(x, v, bar):
    return bar, bar


# --- polar ------------------------------------------------------------------------------------------------------------


def polar(x, v, bar, *, half=1.0, outside=1.0, over=True, project=True, conj=ct, power=1, phases=True):
    """U L + (I - U U^H) U_bar H^-1, s_i L_ij + L_ij s_j = (U^H U_bar - U_bar^H U)_ij in the basis of H."""
    p, s, wh = np.linalg.svd(x + v, full_matrices=False)
    u, w = p @ wh, ct(wh)
    m = ct(u) @ bar
    f = wh @ (m - conj(m) if project else 2 * m) @ w
    if not phases:
        f = f * (1 - np.eye(f.shape[-1]))
    divided = f / (s[..., :, None] ** power + s[..., None, :] ** power)
    rest = bar - u @ m
    if over:
        rest = rest @ (w / s[..., None, :]) @ wh
    a_bar = half * u @ w @ divided @ wh + outside * rest
    return a_bar, a_bar


def polar_constant_h(x, v, bar):
    _, s, wh = np.linalg.svd(x + v, full_matrices=False)
    a_bar = bar @ (ct(wh) / s[..., None, :]) @ wh
    return a_bar, a_bar


def polar_tangent(x, v, bar):
    """Projected at Y and no more."""
    p, _, wh = np.linalg.svd(x + v, full_matrices=False)
    y = p @ wh
    found = bar - y @ herm(ct(y) @ bar)
    return found, found


def polar_by_svd(x, v, bar):
    """With the differences of squares that the derivative of singular vectors has."""
    p, s, wh = np.linalg.svd(x + v, full_matrices=False)
    one = np.eye(s.shape[-1])
    f = np.where(one > 0, 0, 1 / (s[..., None, :] ** 2 - s[..., :, None] ** 2 + one))
    p_bar, w_bar = bar @ ct(wh), ct(bar) @ p
    j, k = f * (ct(p) @ p_bar), f * (wh @ w_bar)
    a_bar = p @ ((j + ct(j)) * s[..., None, :] + s[..., :, None] * (k + ct(k))) @ wh
    a_bar = a_bar + (p_bar - p @ (ct(p) @ p_bar)) / s[..., None, :] @ wh
    imaginary = np.eye(s.shape[-1]) * skew(ct(p) @ p_bar)
    a_bar = a_bar + p @ (imaginary / s[..., None, :]) @ wh
    return a_bar, a_bar


def polar_jvp(x, v, x_dot, v_dot):
    return polar(x, v, x_dot + v_dot)[0]


# --- Cayley, exp ------------------------------------------------------------------------------------------------------


def cayley(x, v, bar, *, system=1.0, gram=0.5, turn=0.5, adjoint=ct, of_z=1.0, own=1.0):
    """Of (2 X + Z) M^-1 - X, M = I - skew(A)/2 + Z^H Z/4, Z = V - X A, A = X^H V."""
    a = ct(x) @ v
    z = v - x @ a
    m_inverse = np.linalg.inv(np.eye(x.shape[-1]) - skew(a) / 2 + ct(z) @ z / 4)
    s = (2 * x + z) @ m_inverse
    f = bar @ adjoint(m_inverse)
    m_bar = -system * ct(s) @ f
    z_bar = f + gram * z @ herm(m_bar)
    a_bar = -turn * skew(m_bar) - of_z * ct(x) @ z_bar
    return 2 * f - own * bar - of_z * z_bar @ ct(a) + v @ ct(a_bar), z_bar + x @ a_bar


def cayley_by_order_n(x, v, bar, *, adjoint=1.0, both=1.0):
    """Of (I - W/2)^-1 (I + W/2) X with W of order n."""
    one = np.eye(x.shape[-2])
    p = one - x @ ct(x) / 2
    w = p @ v @ ct(x) - x @ ct(v) @ p
    y = np.linalg.solve(one - w / 2, x + w @ x / 2)
    f = np.linalg.solve(one + adjoint * w / 2, bar)  # (I - W/2)^-H
    w_bar = f @ ct(x + y) / 2
    k = w_bar - both * ct(w_bar)
    p_bar = k @ x @ ct(v)
    return f - w @ f / 2 + ct(k) @ p @ v - herm(p_bar) @ x, p @ k @ x


def exp_along(k, e):
    """exp(K) and its derivative along E from the exponential of [[K, E], [0, K]]."""
    n = k.shape[-1]
    both = scipy.linalg.expm(np.block([[k, e], [0 * k, k]]))
    return both[:n, :n], both[:n, n:]


def generator(x, v, c):
    """Omega = 2 c X A X^H + Z X^H - X Z^H, with exp(Omega) X exp((1 - 2 c) A) the geodesic."""
    a = ct(x) @ v
    z = v - x @ a
    return 2 * c * x @ skew(a) @ ct(x) + z @ ct(x) - x @ ct(z), a, z


def exp(x, v, bar, *, c=1.0, factor=1.0):
    """By matrices of order n."""
    omega, a, z = generator(x, v, c)
    last, e = scipy.linalg.expm((1 - 2 * c) * skew(a)), scipy.linalg.expm(omega)
    moved = bar @ ct(last)
    given = moved @ ct(x)
    omega_bar = exp_along(ct(omega), given)[1]
    last_bar = exp_along(-(1 - 2 * c) * skew(a), ct(e @ x) @ bar)[1]
    w = omega_bar - ct(omega_bar)
    z_bar = w @ x
    x_bar = ct(e) @ moved + ct(w) @ z
    inside = 2 * c * skew(ct(x) @ omega_bar @ x)
    x_bar = x_bar + 2 * c * (omega_bar @ x @ ct(skew(a)) + ct(omega_bar) @ x @ skew(a))
    a_bar = inside + factor * (1 - 2 * c) * skew(last_bar) - ct(x) @ z_bar
    return x_bar - z_bar @ ct(a) + v @ ct(a_bar), z_bar + x @ a_bar


def exp_blocks(x, v, bar, *, commuting=False, frame=1.0, gram=1.0, block=1.0, adjoint=ct):
    """Of the canonical metric, [X, Z] exp([[A, -Z^H Z], [I, 0]]) [I; 0]."""
    p = x.shape[-1]
    a = ct(x) @ v
    z = v - x @ a
    k = np.block([[skew(a), -ct(z) @ z], [np.eye(p), np.zeros((p, p))]])
    e = scipy.linalg.expm(k)
    given = np.concatenate([ct(np.concatenate([x, z], axis=1)) @ bar, np.zeros((2 * p, p))], axis=1)
    k_bar = ct(e) @ given if commuting else exp_along(adjoint(k), given)[1]
    both_bar = frame * bar @ ct(e[:, :p])
    z_bar = both_bar[:, p:] - 2 * gram * z @ herm(k_bar[:p, p:])
    a_bar = block * skew(k_bar[:p, :p]) - ct(x) @ z_bar
    return both_bar[:, :p] - z_bar @ ct(a) + v @ ct(a_bar), z_bar + x @ a_bar


def one_by_one(port: Port) -> Port:
    """A backward pass of single matrices for stacks."""

    def called(x, *arrays):
        flat = [y.reshape(-1, *y.shape[-2:]) for y in (x, *arrays)]
        found = [port(*members) for members in zip(*flat, strict=True)]
        return tuple(np.stack(parts).reshape(x.shape) for parts in zip(*found, strict=True))

    return called


def at_zero(x, v, bar):
    """Projected at X: the derivative of every retraction at V = 0."""
    found = bar - x @ herm(ct(x) @ bar)
    return found, found


# --- projection and gradient ------------------------------------------------------------------------------------------


def project(x, v, bar, *, own=1.0, other=1.0, full=False, half=1.0, conj=ct, tangent=True):
    """x_bar = -U_bar herm(X^H V) - V herm(X^H U_bar), v_bar = U_bar - X herm(X^H U_bar)."""
    a, b = ct(x) @ v, ct(x) @ bar
    symmetric = b if full else half * (b + conj(b)) / 2
    v_bar = bar - x @ symmetric if tangent else bar
    return -own * bar @ herm(a) - other * v @ herm(b), v_bar


def project_jvp(x, v, x_dot, v_dot, *, own=1.0, other=1.0, tangent=True):
    moved = v_dot - x @ herm(ct(x) @ v_dot) if tangent else v_dot
    return moved - own * x_dot @ herm(ct(x) @ v) - other * x @ herm(ct(x_dot) @ v)


def gradient(x, g, bar, *, c=1.0, turned=True, own=1.0, other=1.0):
    """N(I) = skew(I)/c - I: x_bar = U_bar N(X^H G)^H + G N(X^H U_bar)^H, g_bar = U_bar + X N(X^H U_bar)."""

    def n(inside):
        return skew(inside) / c - inside

    at, of = n(ct(x) @ g), n(ct(x) @ bar)
    up = ct if turned else (lambda y: y)
    return own * bar @ up(at) + other * g @ up(of), bar + x @ of


WRONG_BACKWARD = [
    ("no imaginary diagonal", "retract_qr", partial(qr, phases=0.0), "i Im diag.* is missing"),
    ("imaginary diagonal twice", "retract_qr", partial(qr, phases=2.0), "i Im diag.* taken twice"),
    ("triu for tril", "retract_qr", partial(qr, lower=False), "triu for tril"),
    ("half", "retract_qr", partial(qr, half=0.5, phases=0.5), "half"),
    ("transposed R", "retract_qr", partial(qr, adjoint=lambda y: y), "R.-1 in place of R.-H"),
    ("R^-T", "retract_qr", partial(qr, adjoint=t), "conjugate is missing.*R.-T"),
    ("no conjugate", "retract_qr", partial(qr, conj=t), "conjugate is missing"),
    ("square only", "retract_qr", partial(qr, outside=0.0), "outside the range of Y is missing: exact for p = n"),
    ("outside only", "retract_qr", partial(qr, inside=0.0), "in the range of Y is missing"),
    ("R constant", "retract_qr", qr_constant_r, "R is treated as constant"),
    ("straight-through", "retract_qr", through, "straight-through"),
    ("polar's", "retract_qr", polar, "adjoint of the derivative of the polar retraction"),
    ("X constant", "retract_qr", left_out(qr, 0), "x_bar is zero: x is treated as constant"),
    ("V constant", "retract_qr", left_out(qr, 1), "v_bar is zero: v is treated as constant"),
    ("twice", "retract_qr", times(qr, 2.0), "x_bar and v_bar are twice"),
    ("sign", "retract_qr", times(qr, -1.0), "x_bar and v_bar have the wrong sign"),
    ("conjugated", "retract_qr", conjugated(qr), "are conjugated: the gradient convention of JAX"),
    ("half", "retract_polar", partial(polar, half=0.5), "half is lost"),
    ("H constant", "retract_polar", polar_constant_h, "H is treated as constant"),
    ("square only", "retract_polar", partial(polar, outside=0.0), "outside the range of Y is missing: exact for p = n"),
    ("not divided", "retract_polar", partial(polar, over=False), "not divided by H"),
    ("not projected", "retract_polar", partial(polar, project=False), "cotangent is not projected"),
    ("no conjugate", "retract_polar", partial(polar, conj=t), "conjugate is missing"),
    ("squares", "retract_polar", partial(polar, power=2), "squares of singular values"),
    ("no phases", "retract_polar", partial(polar, phases=False), "phases.* is missing"),
    ("projected at Y", "retract_polar", polar_tangent, "projected onto the tangent space at Y"),
    ("QR's", "retract_polar", qr, "adjoint of the derivative of the QR retraction"),
    ("system constant", "retract_cayley", partial(cayley, system=0.0), "M = .* is treated as constant"),
    ("Z^H Z constant", "retract_cayley", partial(cayley, gram=0.0), "Z.H Z/4 in M is treated as constant"),
    ("half of Z^H Z", "retract_cayley", partial(cayley, gram=0.25), "half of Z herm"),
    ("X^H V constant", "retract_cayley", partial(cayley, turn=0.0), "X.H V/2 in M is treated as constant"),
    ("sign of X^H V", "retract_cayley", partial(cayley, turn=-0.5), "sign of the derivative of X.H V/2"),
    ("not the adjoint", "retract_cayley", partial(cayley, adjoint=lambda y: y), "M.-1 in place of M.-H"),
    ("no conjugate", "retract_cayley", partial(cayley, adjoint=t), "conjugate is missing"),
    ("Z = V", "retract_cayley", partial(cayley, of_z=0.0), "X.H V in Z = V - X X.H V is treated as constant"),
    ("last X constant", "retract_cayley", partial(cayley, own=0.0), "last -X .* is treated as constant"),
    ("n x n, not the adjoint", "retract_cayley", partial(cayley_by_order_n, adjoint=-1.0), "W/2..-1 in place of"),
    ("n x n, half of W", "retract_cayley", partial(cayley_by_order_n, both=0.0), "W_bar alone in place of"),
    ("X constant", "retract_cayley", left_out(cayley, 0), "x_bar is zero: x is treated as constant"),
    ("at zero", "retract_cayley", at_zero, "derivative at V = 0"),
    ("commuting", "exp", one_by_one(partial(exp_blocks, commuting=True)), "as if K and E commuted", CANONICAL),
    ("frame constant", "exp", one_by_one(partial(exp_blocks, frame=0.0)), "frame .X, Z. .* constant", CANONICAL),
    ("Z^H Z constant", "exp", one_by_one(partial(exp_blocks, gram=0.0)), "Z.H Z is treated as constant", CANONICAL),
    ("half of Z^H Z", "exp", one_by_one(partial(exp_blocks, gram=0.5)), "half of the block Z.H Z", CANONICAL),
    ("X^H V constant", "exp", one_by_one(partial(exp_blocks, block=0.0)), "X.H V is treated as constant", CANONICAL),
    (
        "not the adjoint",
        "exp",
        one_by_one(partial(exp_blocks, adjoint=lambda k: k)),
        "at K in place of K.H",
        CANONICAL,
    ),
    ("no conjugate", "exp", one_by_one(partial(exp_blocks, adjoint=t)), "conjugate is missing", CANONICAL),
    ("canonical for Euclidean", "exp", one_by_one(partial(exp, c=0.5)), "exponential map of the canonical metric"),
    ("Euclidean for canonical", "exp", one_by_one(exp), "exponential map of the Euclidean metric", CANONICAL),
    ("last factor constant", "exp", one_by_one(partial(exp, factor=0.0)), "factor exp.* is treated as constant"),
    ("at zero", "exp", at_zero, "derivative at V = 0"),
    ("Cayley's", "exp", cayley, "derivative of the Cayley retraction", CANONICAL),
    ("X constant", "exp", left_out(one_by_one(exp), 0), "x_bar is zero: x is treated as constant"),
    ("no P_X", "project", partial(project, tangent=False), "P_X is missing"),
    ("no skew part", "project", partial(project, full=True), "X skew.X.H u_bar. is lost"),
    ("twice", "project", partial(project, half=2.0), "factor 1/2 of herm"),
    ("no conjugate", "project", partial(project, conj=t), "conjugate is missing"),
    ("X constant", "project", left_out(project, 0), "x_bar is zero: x is treated as constant"),
    ("own term", "project", partial(project, own=0.0), "u_bar herm.X.H V. is missing"),
    ("other term", "project", partial(project, other=0.0), "V herm.X.H u_bar. is missing"),
    ("sign", "project", partial(project, other=-1.0), "sign of V herm"),
    ("canonical", "gradient", partial(gradient, c=0.5), "gradient for the canonical metric"),
    ("Euclidean", "gradient", gradient, "gradient for the Euclidean metric", CANONICAL),
    ("not transposed", "gradient", partial(gradient, c=0.5, turned=False), "N is not transposed", CANONICAL),
    ("one term", "gradient", partial(gradient, other=0.0), "is missing"),
    ("X constant", "gradient", left_out(gradient, 0), "x_bar is zero: x is treated as constant"),
]
WRONG_FORWARD = [
    ("triu for tril", "retract_qr", partial(qr_jvp, lower=False), "above the diagonal"),
    ("no imaginary diagonal", "retract_qr", partial(qr_jvp, phases=0.0), "i Im diag"),
    ("X constant", "retract_qr", partial(qr_jvp, of_x=0.0), "X is treated as constant"),
    ("polar's", "retract_qr", polar_jvp, "derivative of the polar retraction"),
    ("straight-through", "retract_polar", lambda x, v, x_dot, v_dot: x_dot + v_dot, "straight-through"),
    ("V constant", "retract_polar", lambda x, v, x_dot, v_dot: polar_jvp(x, v, x_dot, 0 * v), "V is treated as const"),
    ("X constant", "project", partial(project_jvp, own=0.0, other=0.0), "X is treated as constant"),
    ("one term", "project", partial(project_jvp, other=0.0), "X herm.X_dot.H V. is missing"),
    ("no P_X", "project", partial(project_jvp, tangent=False), "P_X is missing"),
]
WRONG = [Entry(e[0], f"stiefel.{e[1]}_vjp", unchecked(e[2]), *e[3:]) for e in WRONG_BACKWARD]
WRONG += [Entry(e[0], f"stiefel.{e[1]}_jvp", unchecked(e[2]), *e[3:]) for e in WRONG_FORWARD]


# --- right by other formulas ------------------------------------------------------------------------------------------


def polar_by_lyapunov(x, v, bar):
    """Of one matrix, by SciPy's solver."""
    u, h = scipy.linalg.polar(x + v)
    m = ct(u) @ bar
    turn = scipy.linalg.solve_continuous_lyapunov(h, m - ct(m))
    a_bar = u @ turn + ct(np.linalg.solve(h, ct(bar - u @ m)))
    return a_bar, a_bar


def off_the_bundle(port: Port) -> Port:
    """Plus what no direction along the tangent bundle sees: (X S + V T, X T), S and T Hermitian."""

    def called(x, v, bar):
        x_bar, v_bar = port(x, v, bar)
        s, other = herm(ct(x) @ bar), herm(ct(bar) @ v)
        return x_bar + x @ s + v @ other, v_bar + x @ other

    return called


RIGHT_BACKWARD = [
    ("tril", "retract_qr", qr),
    ("copyltu", "retract_qr", qr_copyltu),
    ("off the bundle", "retract_qr", off_the_bundle(qr)),
    ("SVD", "retract_polar", polar),
    ("Lyapunov", "retract_polar", one_by_one(polar_by_lyapunov)),
    ("off the bundle", "retract_polar", off_the_bundle(polar)),
    ("p x p", "retract_cayley", cayley),
    ("n x n", "retract_cayley", cayley_by_order_n),
    ("n x n", "exp", one_by_one(exp)),
    ("blocks", "exp", one_by_one(exp_blocks), CANONICAL),
    ("n x n", "exp", one_by_one(partial(exp, c=0.5)), CANONICAL),
    ("two terms", "project", project),
    ("Euclidean", "gradient", gradient),
    ("canonical", "gradient", partial(gradient, c=0.5), CANONICAL),
]
RIGHT_FORWARD = [
    ("rho", "retract_qr", qr_jvp),
    ("SVD", "retract_polar", polar_jvp),
    ("three terms", "project", project_jvp),
]
RIGHT = [Entry(e[0], f"stiefel.{e[1]}_vjp", unchecked(e[2]), "", *e[3:]) for e in RIGHT_BACKWARD]
RIGHT += [Entry(e[0], f"stiefel.{e[1]}_jvp", unchecked(e[2]), "", *e[3:]) for e in RIGHT_FORWARD]


# --- differentiated by a framework ------------------------------------------------------------------------------------


def in_torch():
    """Right in value, all of them; where automatic differentiation of them is wrong, ``words``."""
    torch = import_module("torch")

    def ht(y):
        return y.mH

    def polar_of_svd(x, v):
        p, _, wh = torch.linalg.svd(x + v, full_matrices=False)
        return p @ wh

    def polar_of_eigh(x, v):
        a = x + v
        s, w = torch.linalg.eigh(ht(a) @ a)
        return a @ (w * s.rsqrt()[..., None, :]) @ ht(w)

    def polar_of_newton_schulz(x, v):
        y = x + v
        y = y / torch.linalg.matrix_norm(y, ord=2, keepdim=True).detach()
        for _ in range(12):
            y = y @ (3 * torch.eye(y.shape[-1], dtype=y.dtype) - ht(y) @ y) / 2
        return y

    def by_qr(x, v):
        q, r = torch.linalg.qr(x + v)
        d = torch.diagonal(r, dim1=-2, dim2=-1)
        return q * torch.sgn(d)[..., None, :]

    def by_cholesky(x, v):
        a = x + v
        upper = ht(torch.linalg.cholesky(ht(a) @ a))
        return torch.linalg.solve_triangular(upper, a, upper=True, left=False)

    def by_cholesky_of_v(x, v):
        """R^H R = I + V^H V: another function off the tangent bundle, the same on it."""
        upper = ht(torch.linalg.cholesky(torch.eye(x.shape[-1], dtype=x.dtype) + ht(v) @ v))
        return torch.linalg.solve_triangular(upper, x + v, upper=True, left=False)

    def cayley_n(x, v):
        one = torch.eye(x.shape[-2], dtype=x.dtype)
        p = one - x @ ht(x) / 2
        w = p @ v @ ht(x) - x @ ht(v) @ p
        return torch.linalg.solve(one - w / 2, x + w @ x / 2)

    def cayley_p(x, v):
        a = ht(x) @ v
        z = v - x @ a
        m = torch.eye(x.shape[-1], dtype=x.dtype) - (a - ht(a)) / 4 + ht(z) @ z / 4
        return torch.linalg.solve(m, 2 * x + z, left=False) - x

    def expm(s):
        """torch.matrix_exp of torch 2.13 is wrong by 1e-10 where 3e-4 < |S|_1 < 0.05."""
        found = one = torch.eye(s.shape[-1], dtype=s.dtype)
        for k in range(12, 0, -1):
            found = one + s @ found / (64 * k)
        for _ in range(6):
            found = found @ found
        return found

    def exp_n(x, v, c):
        a = ht(x) @ v
        z = v - x @ a
        a = (a - ht(a)) / 2
        omega = 2 * c * x @ a @ ht(x) + z @ ht(x) - x @ ht(z)
        return expm(omega) @ x @ expm((1 - 2 * c) * a)

    def exp_p(x, v):
        """By a QR decomposition of what is outside the range of X: of rank p only where n >= 2 p."""
        p = x.shape[-1]
        a = ht(x) @ v
        q, r = torch.linalg.qr(v - x @ a)
        a = (a - ht(a)) / 2
        s = torch.cat([torch.cat([a, -ht(r)], -1), torch.cat([r, torch.zeros_like(a)], -1)], -2)
        return torch.cat([x, q], -1) @ expm(s)[..., :p]

    def detached(x, v):
        return by_qr(x.detach(), v)

    def straight_through(x, v):
        return x + v + (by_qr(x, v) - x - v).detach()

    def herm_of(y):
        return (y + ht(y)) / 2

    right = [
        ("torch QR", "retract_qr", by_qr),
        ("torch Cholesky", "retract_qr", by_cholesky),
        ("torch Cholesky of I + V^H V", "retract_qr", by_cholesky_of_v),
        ("torch Newton-Schulz", "retract_polar", polar_of_newton_schulz),
        ("torch n x n", "retract_cayley", cayley_n),
        ("torch p x p", "retract_cayley", cayley_p),
        ("torch n x n", "exp", partial(exp_n, c=1.0)),
        ("torch n x n", "exp", partial(exp_n, c=0.5), CANONICAL),
        ("torch", "project", lambda x, v: v - x @ herm_of(ht(x) @ v)),
        ("torch", "gradient", lambda x, g: g - x @ ht(g) @ x, CANONICAL),
    ]
    svd = "a derivative through the SVD or an eigenvalue decomposition divides by their differences"
    wrong = [
        ("torch SVD", "retract_polar", polar_of_svd, svd),
        ("torch eigh", "retract_polar", polar_of_eigh, svd),
        ("torch QR of Z", "exp", exp_p, "through its QR decomposition divides by R", CANONICAL),
        ("torch detached X", "retract_qr", detached, "x_bar is zero: x is treated as constant"),
        ("torch straight-through", "retract_qr", straight_through, "straight-through"),
        ("torch polar by QR", "retract_polar", by_qr, "derivative of the QR retraction"),
        ("torch no skew part", "project", lambda x, v: v - x @ (ht(x) @ v), "derivative of V - X X.H V"),
    ]
    return (
        [Entry(e[0], f"stiefel.{e[1]}", e[2], "", *e[3:]) for e in right],
        [Entry(e[0], f"stiefel.{e[1]}", *e[2:]) for e in wrong],
    )


def in_jax():
    """The same in JAX, which conjugates."""
    jnp = import_module("jax.numpy")

    def ht(y):
        return jnp.conj(jnp.swapaxes(y, -2, -1))

    def by_qr(x, v):
        q, r = jnp.linalg.qr(x + v)
        d = jnp.diagonal(r, axis1=-2, axis2=-1)
        return q * (d / jnp.abs(d))[..., None, :]

    def cayley_p(x, v):
        a = ht(x) @ v
        z = v - x @ a
        m = jnp.eye(x.shape[-1], dtype=x.dtype) - (a - ht(a)) / 4 + ht(z) @ z / 4
        return ht(jnp.linalg.solve(ht(m), ht(2 * x + z))) - x

    def polar_of_svd(x, v):
        p, _, wh = jnp.linalg.svd(x + v, full_matrices=False)
        return p @ wh

    svd = "a derivative through the SVD or an eigenvalue decomposition divides by their differences"
    right = [("JAX QR", "retract_qr", by_qr), ("JAX p x p", "retract_cayley", cayley_p),
             ("JAX", "project", lambda x, v: v - x @ (ht(x) @ v + ht(v) @ x) / 2)]  # fmt: skip
    wrong = [("JAX SVD", "retract_polar", polar_of_svd, svd)]
    return (
        [Entry(e[0], f"stiefel.{e[1]}", e[2]) for e in right],
        [Entry(e[0], f"stiefel.{e[1]}", *e[2:]) for e in wrong],
    )
