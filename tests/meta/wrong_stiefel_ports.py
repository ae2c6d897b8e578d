"""Ports of maps on the Stiefel manifold: WRONG ones with one error each, RIGHT ones by different algorithms.

The errors are those of real libraries and of their authors: factors, conjugates, metrics, signs, orders. All take
NumPy stacks; ``words`` is a pattern of the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

Port = Callable[..., np.ndarray]


class Entry(NamedTuple):
    """A port, what it is taken for, and (if it is wrong) a pattern of the reason."""

    name: str
    operation: str
    port: Port
    words: str = ""
    claims: dict[str, Any] = {}  # noqa: RUF012 - a NamedTuple
    dtypes: tuple[str, ...] | None = None


def ct(x):
    return np.conj(np.swapaxes(x, -1, -2))


def t(x):
    return np.swapaxes(x, -1, -2)


def herm(x):
    return (x + ct(x)) / 2


def skew(x):
    return (x - ct(x)) / 2


def unchecked(port: Port) -> Port:
    """Empty stacks and matrices aside, in the dtype of the input."""

    def called(x, *arrays, **claims):
        if x.size == 0:
            return np.zeros_like(x)
        with np.errstate(all="ignore"):
            return np.array(port(x, *arrays, **claims), x.dtype)

    return called


def each(port: Port) -> Port:
    """A function of single matrices for stacks."""

    def called(x, *arrays):
        flat = [a.reshape(-1, *a.shape[-2:]) for a in (x, *arrays)]
        return np.stack([port(*members) for members in zip(*flat, strict=True)]).reshape(x.shape)

    return called


# --- projections ------------------------------------------------------------------------------------------------------


def canonical_gradient(x, v):
    return v - x @ ct(v) @ x


def horizontal(x, v):
    return v - x @ (ct(x) @ v)


def without_half(x, v):
    inside = ct(x) @ v
    return v - x @ (inside + ct(inside))


def half_twice(x, v):
    return v - x @ herm(ct(x) @ v) / 2


def skew_in_place_of_herm(x, v):
    return v - x @ skew(ct(x) @ v)


def transposed_without_conjugate(x, v):
    inside = t(x) @ v
    return v - x @ (inside + t(inside)) / 2


def herm_by_transpose(x, v):
    inside = ct(x) @ v
    return v - x @ (inside + t(inside)) / 2


def conjugate_of_the_second_factor_only(x, v):
    inside = t(x) @ v
    return v - x @ herm(inside)


def normal_part(x, v):
    return x @ herm(ct(x) @ v)


def sign_of_the_normal_part(x, v):
    return v + x @ herm(ct(x) @ v)


def skew_part_only(x, v):
    return x @ skew(ct(x) @ v)


def landing_field(x, v):
    return skew(v @ ct(x)) @ x


def exchanged(x, v):
    return x - v @ herm(ct(v) @ x)


def oblique(x, v):
    return v - x * np.sum(np.conj(x) * v, axis=-2, keepdims=True).real


def upper_triangle(x, v):
    inside = np.triu(ct(x) @ v)
    return v - x @ (inside + ct(np.triu(ct(x) @ v, 1)))


def of_v_itself(x, v):
    return v.copy()


# --- gradients and Hessians -------------------------------------------------------------------------------------------


def euclidean(x, g):
    return g - x @ herm(ct(x) @ g)


def left_multiplied(x, g):
    return g - x @ (ct(x) @ g)


def canonical_by_transposes(x, g):
    return g - x @ t(g) @ x


def canonical_with_half(x, g):
    return g - x @ ct(g) @ x / 2


def canonical_sign(x, g):
    return g + x @ ct(g) @ x


def hessian(x, g, h, v):
    return euclidean(x, h - v @ herm(ct(x) @ g))


def hessian_without_curvature(x, g, h, v):
    return euclidean(x, h)


def hessian_without_herm(x, g, h, v):
    return euclidean(x, h - v @ (ct(x) @ g))


def hessian_without_half(x, g, h, v):
    return euclidean(x, h - 2 * v @ herm(ct(x) @ g))


def hessian_sign(x, g, h, v):
    return euclidean(x, h + v @ herm(ct(x) @ g))


def hessian_not_projected(x, g, h, v):
    return h - v @ herm(ct(x) @ g)


def hessian_by_transposes(x, g, h, v):
    inside = t(x) @ g
    return euclidean(x, h - v @ (inside + t(inside)) / 2)


def hessian_of_the_riemannian_gradient(x, g, h, v):
    return euclidean(x, h - v @ herm(ct(x) @ euclidean(x, g)))


def hessian_in_the_canonical_gradient_map(x, g, h, v):
    return canonical_gradient(x, h - v @ herm(ct(x) @ g))


def hessian_exchanged(x, g, h, v):
    return hessian(x, h, g, v)


# --- retractions ------------------------------------------------------------------------------------------------------


def qr_fixed(x, v):
    q, r = np.linalg.qr(x + v)
    d = np.diagonal(r, axis1=-2, axis2=-1)
    return q * (d / np.abs(d))[..., None, :]


def qr_without_signs(x, v):
    return np.linalg.qr(x + v)[0]


def qr_real_signs(x, v):
    q, r = np.linalg.qr(x + v)
    return q * np.sign(np.diagonal(r, axis1=-2, axis2=-1).real)[..., None, :] * -1


def polar(x, v):
    u, _, w = np.linalg.svd(x + v, full_matrices=False)
    return u @ w


def minus(port):
    return lambda x, v: port(x, -v)


def stretched(port, factor):
    return lambda x, v: port(x, factor * v)


def not_retracted(x, v):
    return x + v


def column_lengths(x, v):
    a = x + v
    return a / np.linalg.norm(a, axis=-2, keepdims=True)


def newton_schulz_step(x, v):
    a = x + v
    return a @ (3 * np.eye(a.shape[-1]) - ct(a) @ a) / 2


def normalised_step(x, v):
    size = np.linalg.norm(v, axis=(-2, -1), keepdims=True)
    return polar(x, v / np.where(size > 0, size, 1))


def polar_by_eigh_of_a_shifted_gram(x, v):
    a = x + v
    s, w = np.linalg.eigh(ct(a) @ a + 1e-4 * np.eye(a.shape[-1]))
    return a @ (w / np.sqrt(s)[..., None, :]) @ ct(w)


def transpose_in_the_polar_factor(x, v):
    u, _, w = np.linalg.svd(x + v, full_matrices=False)
    return u @ np.conj(w)


def cayley(x, v, *, p=0.5, left=0.5, right=0.5, adjoint=ct):
    one = np.eye(x.shape[-2])
    px = one - p * x @ adjoint(x)
    w = px @ v @ adjoint(x) - x @ adjoint(v) @ adjoint(px)
    return np.linalg.solve(one - left * w, x + right * w @ x)


def cayley_fixed_point(x, v):
    one = np.eye(x.shape[-2])
    px = one - x @ ct(x) / 2
    w = px @ v @ ct(x) - x @ ct(v) @ px
    y = x + w @ x
    for _ in range(4):
        y = x + w @ (x + y) / 2
    return y


def cayley_small(x, v):
    a = ct(x) @ v
    z = v - x @ a
    m = np.eye(x.shape[-1]) - a / 2 + ct(z) @ z / 4
    return t(np.linalg.solve(t(m), t(2 * x + z))) - x


def cayley_small_without_quarter(x, v):
    a = ct(x) @ v
    z = v - x @ a
    m = np.eye(x.shape[-1]) - a / 2 + ct(z) @ z / 2
    return t(np.linalg.solve(t(m), t(2 * x + z))) - x


def cayley_by_woodbury(x, v):
    pv = v - x @ (ct(x) @ v) / 2
    u, w = np.concatenate([pv, x], axis=-1), np.concatenate([x, -pv], axis=-1)
    return x + u @ np.linalg.solve(np.eye(2 * x.shape[-1]) - ct(w) @ u / 2, ct(w) @ x)


def blocks(a, b, c, d):
    return np.concatenate([np.concatenate([a, b], -1), np.concatenate([c, d], -1)], -2)


def exp_euclidean(x, v, *, first=1.0, square=None, last=-1.0, sign=-1.0):
    p = x.shape[-1]
    a = ct(x) @ v
    s = ct(v) @ v
    one = np.broadcast_to(np.eye(p), a.shape)
    k = blocks(first * a, sign * s, one, first * a)
    y = np.concatenate([x, v], -1) @ each_expm(k)[..., :p]
    return y @ each_expm(last * a)


def each_expm(k):
    return scipy.linalg.expm(k)


def exp_canonical(x, v):
    p = x.shape[-1]
    a = skew(ct(x) @ v)
    q, r = np.linalg.qr(v - x @ (ct(x) @ v))
    k = blocks(a, -ct(r), r, np.zeros_like(a))
    return np.concatenate([x, q], -1) @ each_expm(k)[..., :p]


def exp_blocks(x, v, *, c=1.0, first=1.0, whole=False):
    """[X, Z] exp([[2 c A, -Z^H Z], [I, 0]]) [I; 0] exp((1 - 2 c) A)."""
    p = x.shape[-1]
    a = skew(ct(x) @ v)
    z = v - x @ (ct(x) @ v)
    s = ct(v) @ v if whole else ct(z) @ z
    k = blocks(2 * c * first * a, -s, np.broadcast_to(np.eye(p), a.shape), 0 * a)
    return np.concatenate([x, z], -1) @ each_expm(k)[..., :p] @ each_expm((1 - 2 * c) * a)


def exp_series(x, v):
    """The geodesic to second order."""
    return x + v - x @ (ct(v) @ v) / 2


def along_both(port):
    return lambda x, v: port(x, v + x @ (ct(x) @ v))


def horizontal_step(port):
    return lambda x, v: port(x, v - x @ (ct(x) @ v))


def starts_elsewhere(x, v):
    return polar(-x, -v)


# --- transports and inverses ------------------------------------------------------------------------------------------


def transport_qr(x, v, w, *, diagonal=True, lower=True, scaled=True, sign=1.0):
    q, r = np.linalg.qr(x + v)
    d = np.diagonal(r, axis1=-2, axis2=-1)
    phase = d / np.abs(d)
    q, r = q * phase[..., None, :], np.conj(phase)[..., :, None] * r
    b = w @ np.linalg.inv(r) if scaled else w
    inside = ct(q) @ b
    part = np.tril(inside, -1) if lower else np.triu(inside, 1)
    turn = part - ct(part)
    if diagonal:
        turn = turn + skew(inside * np.eye(inside.shape[-1]))
    return b - q @ inside + sign * q @ turn


def transport_projection(point):
    return lambda x, v, w: _projected(point(x, v), w)


def _projected(x, v):
    return v - x @ herm(ct(x) @ v)


def transport_polar(x, v, w, *, square=False):
    a = x + v
    s, e = np.linalg.eigh(ct(a) @ a)
    root = np.sqrt(s)
    h = (e * root[..., None, :]) @ ct(e)
    u = a @ (e / root[..., None, :]) @ ct(e)
    right = ct(e) @ (ct(u) @ w - ct(w) @ u) @ e
    turn = e @ (right / (root[..., :, None] + root[..., None, :])) @ ct(e)
    outside = w - u @ (ct(u) @ w)
    return u @ turn + (0 * outside if square else outside @ np.linalg.inv(h))


def transport_isometric(x, v, w, *, p=0.5, back=1.0):
    one = np.eye(x.shape[-2])
    px = one - p * x @ ct(x)
    turn = back * (px @ v @ ct(x) - x @ ct(v) @ px)
    return np.linalg.solve(one - turn / 2, w + turn @ w / 2)


def transport_cayley(x, v, w):
    """From the n x n form."""
    one, px = np.eye(x.shape[-2]), np.eye(x.shape[-2]) - x @ ct(x) / 2
    turn, along = (px @ z @ ct(x) - x @ ct(z) @ px for z in (v, w))
    y = np.linalg.solve(one - turn / 2, x + turn @ x / 2)
    return np.linalg.solve(one - turn / 2, along @ (x + y) / 2)


def flat(x, y):
    return _projected(x, y - x)


def inverse_polar(x, y):
    """V = Y S - X, M S + S M^H = 2 I, by a Kronecker product."""
    m, p = ct(x) @ y, x.shape[-1]
    one = np.eye(p)
    k = np.einsum("...ij,kl->...ikjl", m, one) + np.einsum("ij,...kl->...ikjl", one, np.conj(m))
    s = np.linalg.solve(
        k.reshape(*m.shape[:-2], p * p, p * p), np.broadcast_to(2 * one.reshape(-1, 1), (*m.shape[:-2], p * p, 1))
    )
    return y @ s.reshape(m.shape) - x


def inverse_cayley(x, y):
    m = 2 * np.linalg.inv(np.eye(x.shape[-1]) + ct(x) @ y)
    z = (y - x @ (ct(x) @ y)) @ m
    a = 2 * skew(np.eye(x.shape[-1]) - m + ct(z) @ z / 4)
    return x @ a + z


def inverse_qr(x, y):
    """Column by column: the leading part of M r_j is known from the columns before."""
    m, p = ct(x) @ y, x.shape[-1]
    r = np.zeros_like(m)
    for j in range(p):
        # Re (M r_j)_j = 1 with r_jj real, and (M r_j)_i = -conj (M r_i)_j for i < j
        known = -np.conj((m @ r)[..., j, :j])
        if j == 0:
            r[..., 0, 0] = 1 / m[..., 0, 0].real
            continue
        lead = m[..., :j, :j]
        first = np.linalg.solve(lead, known[..., None])[..., 0]
        slope = np.linalg.solve(lead, m[..., :j, j][..., None])[..., 0]
        row = m[..., j, :j]
        constant = np.sum(row * first, axis=-1).real
        factor = (m[..., j, j] - np.sum(row * slope, axis=-1)).real
        diagonal = (1 - constant) / factor
        r[..., j, j] = diagonal
        r[..., :j, j] = first - slope * diagonal[..., None]
    return y @ r - x


CANONICAL = {"metric": "canonical"}
COMPLEX = ("complex64", "complex128")
CONJUGATE = "conjugate is missing.*: right for real, wrong for complex"

_WRONG = [
    (
        "canonical gradient map",
        "stiefel.project",
        canonical_gradient,
        "not idempotent: it doubles .* canonical gradient map",
    ),
    ("horizontal", "stiefel.project", horizontal, "horizontal .Grassmann. projection"),
    ("no half", "stiefel.project", without_half, "factor 1/2 of herm.* is lost"),
    ("half twice", "stiefel.project", half_twice, "factor 1/2 of herm.* twice"),
    ("skew for herm", "stiefel.project", skew_in_place_of_herm, "skew.* is taken out in place of herm"),
    ("transposes", "stiefel.project", transposed_without_conjugate, CONJUGATE),
    ("herm by transpose", "stiefel.project", herm_by_transpose, CONJUGATE),
    ("one conjugate", "stiefel.project", conjugate_of_the_second_factor_only, CONJUGATE),
    ("normal part", "stiefel.project", normal_part, "normal part"),
    ("sign", "stiefel.project", sign_of_the_normal_part, "sign of X herm"),
    ("square only", "stiefel.project", skew_part_only, "exact for p = n only"),
    ("landing", "stiefel.project", landing_field, "half of the canonical gradient map"),
    ("exchanged", "stiefel.project", exchanged, "arguments are exchanged"),
    ("oblique", "stiefel.project", oblique, "product of spheres"),
    ("upper triangle", "stiefel.project", upper_triangle, "upper triangle"),
    ("identity", "stiefel.project", of_v_itself, "u is v itself"),
    (
        "float32 inside",
        "stiefel.project",
        lambda x, v: v - (x.astype("c8") @ herm(ct(x).astype("c8") @ v.astype("c8"))).astype(x.dtype),
        "accurate to float32",
    ),
    (
        "canonical for Euclidean",
        "stiefel.gradient",
        canonical_gradient,
        "gradient for the canonical metric, not for euclidean",
    ),
    (
        "Euclidean for canonical",
        "stiefel.gradient",
        euclidean,
        "gradient for the euclidean metric, not for canonical",
        CANONICAL,
    ),
    ("half of canonical", "stiefel.gradient", landing_field, "half of the canonical gradient", CANONICAL),
    ("Grassmann gradient", "stiefel.gradient", left_multiplied, "horizontal"),
    ("canonical by transposes", "stiefel.gradient", canonical_by_transposes, CONJUGATE, CANONICAL),
    ("canonical with half", "stiefel.gradient", canonical_with_half, "factor 1/2 is applied", CANONICAL),
    ("canonical sign", "stiefel.gradient", canonical_sign, "sign of X G.H X is wrong", CANONICAL),
    ("ascent", "stiefel.gradient", lambda x, g: -euclidean(x, g), "wrong sign"),
    ("egrad", "stiefel.gradient", lambda x, g: g.copy(), "grad is egrad itself"),
    (
        "canonical square only",
        "stiefel.gradient",
        lambda x, g: 2 * skew_part_only(x, g),
        "exact for p = n only",
        CANONICAL,
    ),
    ("no curvature", "stiefel.hessian", hessian_without_curvature, "curvature term"),
    ("no herm", "stiefel.hessian", hessian_without_herm, "herm is missing"),
    ("no half", "stiefel.hessian", hessian_without_half, "1/2 of herm.*is lost"),
    ("sign", "stiefel.hessian", hessian_sign, "sign of V herm"),
    ("not projected", "stiefel.hessian", hessian_not_projected, "not projected"),
    ("transposes", "stiefel.hessian", hessian_by_transposes, CONJUGATE),
    ("of rgrad", "stiefel.hessian", hessian_of_the_riemannian_gradient, "curvature term|Riemannian gradient"),
    (
        "Euclidean for canonical",
        "stiefel.hessian",
        hessian,
        "Hessian for the euclidean metric, not for canonical",
        CANONICAL,
    ),
    (
        "Euclidean in canonical map",
        "stiefel.hessian",
        hessian_in_the_canonical_gradient_map,
        "metric that is not Euclidean",
        CANONICAL,
    ),
    ("exchanged", "stiefel.hessian", hessian_exchanged, "exchanged"),
    ("no signs", "stiefel.retract_qr", qr_without_signs, "QR without making the diagonal of R positive"),
    ("wrong signs", "stiefel.retract_qr", qr_real_signs, "QR without making|sign"),
    ("polar for QR", "stiefel.retract_qr", polar, "this is the polar retraction, not the QR retraction"),
    ("no retraction", "stiefel.retract_qr", not_retracted, "not brought back"),
    ("lengths", "stiefel.retract_qr", column_lengths, "one by one"),
    ("minus", "stiefel.retract_qr", minus(qr_fixed), "sign of the step"),
    ("canonical map first", "stiefel.retract_qr", along_both(qr_fixed), "derivative at zero is V . X X.H V"),
    ("conjugated step", "stiefel.retract_qr", lambda x, v: qr_fixed(x, np.conj(v)), CONJUGATE),
    ("QR for polar", "stiefel.retract_polar", qr_fixed, "this is the QR retraction, not the polar retraction"),
    ("one Newton-Schulz step", "stiefel.retract_polar", newton_schulz_step, "Newton-Schulz step"),
    ("normalised step", "stiefel.retract_polar", normalised_step, "step is normalised"),
    ("twice", "stiefel.retract_polar", stretched(polar, 2), "twice too long"),
    ("conjugated W", "stiefel.retract_polar", transpose_in_the_polar_factor, "y differs from the exact result"),
    ("shifted", "stiefel.retract_polar", polar_by_eigh_of_a_shifted_gram, "length"),
    ("no P", "stiefel.retract_cayley", partial(cayley, p=0.0), "P_X is missing"),
    ("P without half", "stiefel.retract_cayley", partial(cayley, p=1.0), "P_X = I - X X.H"),
    (
        "no half",
        "stiefel.retract_cayley",
        partial(cayley, left=1.0, right=1.0),
        "factors 1/2 are missing|twice too long",
    ),
    ("one half", "stiefel.retract_cayley", partial(cayley, right=1.0), "only one factor 1/2 is missing"),
    ("sign", "stiefel.retract_cayley", partial(cayley, left=-0.5, right=-0.5), "sign of the step"),
    ("same sign", "stiefel.retract_cayley", partial(cayley, right=-0.5, left=0.5), "= X|x itself"),
    ("transposes", "stiefel.retract_cayley", partial(cayley, adjoint=t), CONJUGATE),
    ("five sweeps", "stiefel.retract_cayley", cayley_fixed_point, "fixed-point iteration .* ended after 5 steps"),
    ("no quarter", "stiefel.retract_cayley", cayley_small_without_quarter, "Z.H Z/2 in place"),
    ("exp for Cayley", "stiefel.retract_cayley", exp_canonical, "exponential map of the canonical metric, not"),
    ("canonical for Euclidean", "stiefel.exp", exp_canonical, "exponential map of the canonical metric"),
    ("Euclidean for canonical", "stiefel.exp", exp_euclidean, "exponential map of the Euclidean metric", CANONICAL),
    ("no last factor", "stiefel.exp", partial(exp_euclidean, last=0.0), "factor exp.* is missing"),
    ("sign of last factor", "stiefel.exp", partial(exp_euclidean, last=1.0), "sign of the exponent of the last factor"),
    ("V^H V", "stiefel.exp", partial(exp_blocks, whole=True), "V.H V in place of Z.H Z"),
    ("half block", "stiefel.exp", partial(exp_blocks, first=0.5), "first block is halved"),
    ("truncated", "stiefel.exp", exp_series, "Taylor polynomial"),
    ("Cayley for exp", "stiefel.exp", cayley_small, "this is the Cayley retraction", CANONICAL),
    ("rho above", "stiefel.transport_qr", partial(transport_qr, lower=False), "above the diagonal"),
    ("no imaginary diagonal", "stiefel.transport_qr", partial(transport_qr, diagonal=False), "i Im diag"),
    ("no R^-1", "stiefel.transport_qr", partial(transport_qr, scaled=False), "R.-1 is missing"),
    ("sign of rho", "stiefel.transport_qr", partial(transport_qr, sign=-1.0), "sign of rho"),
    ("projection", "stiefel.transport_qr", transport_projection(qr_fixed), "transport by projection"),
    ("projection", "stiefel.transport_polar", transport_projection(polar), "transport by projection"),
    ("square only", "stiefel.transport_polar", partial(transport_polar, square=True), "horizontally|differs"),
    (
        "projection at X",
        "stiefel.transport_polar",
        transport_projection(lambda x, v: x),
        "projected at X itself|u is w",
    ),
    ("isometric for derivative", "stiefel.transport_cayley", transport_isometric, "isometric transport of the Cayley"),
    (
        "derivative for isometric",
        "stiefel.transport_isometric",
        transport_cayley,
        "derivative of the Cayley retraction",
    ),
    ("no P", "stiefel.transport_isometric", partial(transport_isometric, p=0.0), "P_X is missing"),
    ("backwards", "stiefel.transport_isometric", partial(transport_isometric, back=-1.0), "wrong sign|backwards"),
    ("exchanged", "stiefel.transport_isometric", lambda x, v, w: transport_isometric(x, w, v), "V and W are exchanged"),
    ("flat", "stiefel.inverse_retract_qr", flat, "first order only"),
    ("polar for QR", "stiefel.inverse_retract_qr", inverse_polar, "this is the inverse of the polar"),
    ("difference", "stiefel.inverse_retract_polar", lambda x, y: y - x, "not tangent"),
    ("QR for polar", "stiefel.inverse_retract_polar", inverse_qr, "this is the inverse of the QR"),
    ("backwards", "stiefel.inverse_retract_polar", lambda x, y: -inverse_polar(x, y), "wrong sign"),
    ("exchanged", "stiefel.inverse_retract_cayley", lambda x, y: inverse_cayley(y, x), "exchanged"),
    (
        "canonical map",
        "stiefel.inverse_retract_cayley",
        lambda x, y: canonical_gradient(x, y),
        "canonical gradient map of Y",
    ),
    ("Cayley for log", "stiefel.log", inverse_cayley, "this is the inverse of the Cayley", CANONICAL),
    ("flat", "stiefel.log", flat, "first order only"),
    ("X+V", "stiefel.retract", not_retracted, "length|orthonormal"),
    ("doubled", "stiefel.retract", along_both(polar), "derivative at zero is V . X X.H V"),
    ("horizontal step", "stiefel.retract", horizontal_step(qr_fixed), "component X.H V is lost"),
    ("backwards", "stiefel.retract", minus(polar), "sign of the step"),
    ("twice as far", "stiefel.retract", stretched(qr_fixed, 2), "derivative at zero is 2 V"),
    ("no P", "stiefel.retract", partial(cayley, p=0.0), "derivative at zero is V . X X.H V"),
    ("no signs", "stiefel.retract", qr_without_signs, "R.X, 0. "),
    ("QR as second order", "stiefel.retract", qr_fixed, "first order only", {"order": 2}),
    (
        "polar as second order, canonical",
        "stiefel.retract",
        polar,
        "second order for the euclidean metric",
        {"order": 2, **CANONICAL},
    ),
    (
        "Cayley as second order, Euclidean",
        "stiefel.retract",
        cayley_small,
        "second order for the canonical metric",
        {"order": 2},
    ),
    ("antipode", "stiefel.retract", starts_elsewhere, "R.X, 0. "),
]

WRONG = [Entry(e[0], e[1], unchecked(e[2]), *e[3:]) for e in _WRONG]

_RIGHT = [
    ("herm", "stiefel.project", euclidean),
    ("normal and tangent parts", "stiefel.project", lambda x, v: v - x @ (ct(x) @ v) + x @ skew(ct(x) @ v)),
    (
        "einsum",
        "stiefel.project",
        lambda x, v: v - np.einsum("...ij,...jk->...ik", x, herm(np.einsum("...ji,...jk->...ik", np.conj(x), v))),
    ),
    ("half the sum", "stiefel.project", lambda x, v: (canonical_gradient(x, v) + v - x @ (ct(x) @ v)) / 2),
    ("Euclidean", "stiefel.gradient", euclidean),
    ("canonical", "stiefel.gradient", canonical_gradient, CANONICAL),
    ("canonical by parts", "stiefel.gradient", lambda x, g: g - x @ (ct(x) @ g) + 2 * x @ skew(ct(x) @ g), CANONICAL),
    ("canonical by n x n", "stiefel.gradient", lambda x, g: 2 * skew(g @ ct(x)) @ x, CANONICAL),
    ("Weingarten", "stiefel.hessian", hessian),
    ("LAPACK", "stiefel.retract_qr", qr_fixed),
    (
        "Cholesky",
        "stiefel.retract_qr",
        lambda x, v: t(np.linalg.solve(np.conj(np.linalg.cholesky(ct(x + v) @ (x + v))), t(x + v))),
    ),
    ("Gram-Schmidt twice", "stiefel.retract_qr", lambda x, v: gram_schmidt(gram_schmidt(x + v))),
    ("SVD", "stiefel.retract_polar", polar),
    ("eigh", "stiefel.retract_polar", lambda x, v: polar_by_eigh(x, v)),
    ("Newton", "stiefel.retract_polar", lambda x, v: polar_by_newton(x, v)),
    ("n x n", "stiefel.retract_cayley", cayley),
    ("p x p", "stiefel.retract_cayley", cayley_small),
    ("Woodbury", "stiefel.retract_cayley", cayley_by_woodbury),
    ("2p x 2p", "stiefel.exp", exp_canonical, CANONICAL),
    ("EAS", "stiefel.exp", exp_euclidean),
    ("by Sylvester", "stiefel.transport_polar", transport_polar),
    ("by R^-1", "stiefel.transport_qr", transport_qr),
    ("n x n", "stiefel.transport_cayley", transport_cayley),
    ("n x n", "stiefel.transport_isometric", transport_isometric),
    ("by columns", "stiefel.inverse_retract_qr", inverse_qr),
    ("closed form", "stiefel.inverse_retract_cayley", inverse_cayley),
    ("QR", "stiefel.retract", qr_fixed),
    ("polar", "stiefel.retract", polar, {"order": 2}),
    ("Cayley", "stiefel.retract", cayley_small, {"order": 2, **CANONICAL}),
    ("exp", "stiefel.retract", exp_canonical, {"order": 2, **CANONICAL}),
]


def gram_schmidt(a):
    """Modified."""
    columns = []
    for j in range(a.shape[-1]):
        c = a[..., j : j + 1]
        for q in columns:
            c = c - q * (ct(q) @ c)
        columns.append(c / np.linalg.norm(c, axis=-2, keepdims=True))
    return np.concatenate(columns, axis=-1)


def polar_by_eigh(x, v):
    a = x + v
    s, w = np.linalg.eigh(ct(a) @ a)
    return a @ (w / np.sqrt(s)[..., None, :]) @ ct(w)


def polar_by_newton(x, v):
    """Of the triangular factor."""
    q, y = np.linalg.qr(x + v)
    for _ in range(30):
        y = (y + ct(np.linalg.inv(y))) / 2
    return q @ y


RIGHT = [Entry(e[0], e[1], unchecked(e[2]), "", *e[3:]) for e in _RIGHT]
