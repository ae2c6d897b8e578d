"""X = A/t, t = factor |A| + eps or max(factor |A|, eps), for tall A, and its derivatives: (NORM), (DNORM), (DDNORM)."""

from __future__ import annotations

from collections.abc import Callable

import array_api_compat as compat

from orthoref._newton_schulz.rounding import store
from orthoref._schedules.schedule import Normalization, Schedule
from orthoref.arrays import Array, Namespace, at_batch, first_index, is_complex, namespace
from orthoref.errors import OutsideDomain
from orthoref.linalg import Scale, ct, frobenius, inner, unit_scale
from orthoref.linalg import eps as machine_epsilon


def resolve(normalize: str | Normalization | None, schedule: Schedule) -> Normalization:
    """The argument ``normalize`` as a Normalization: the schedule's, one by name, or the one given."""
    if normalize is None:
        return schedule.normalization
    if isinstance(normalize, str):
        return Normalization(normalize)  # type: ignore[arg-type]
    if not isinstance(normalize, Normalization):
        raise TypeError(f"normalize must be a name or a Normalization, not {type(normalize).__name__}")
    return normalize


def normalized(a: Array, how: Normalization, eps: float, eps_rule: str, precision: str | None = None) -> Array:
    """X of a tall A: zero columns for "aol" and zero matrices stay zero."""
    xp = namespace(a)
    if how.kind == "none":
        return a
    scale = scaling(a, how, eps)
    x = scale.apply(a)
    if how.kind == "aol":
        t = float(how.factor) * _root(_aol_norms(x, precision)[0], scale, eps, eps_rule)
    else:
        size = float(how.factor) * store(norm(x, how.kind), precision)
        t = _denominator(size, _scaled(scale, eps), eps_rule)
    t = store(t, precision)
    return store(xp.where(t > 0, x / t, xp.zeros_like(x)), precision)


def scaling(a: Array, how: Normalization, eps: float) -> Scale:
    """What brings A, or eps where that is larger, near 1: in units of A alone eps could overflow."""
    return unit_scale(a, least=eps**0.5 if how.kind == "aol" else eps)


def _scaled(scale: Scale, eps: float) -> Array | float:
    """Eps in the units of the scaled matrix; 0 remains 0 where the factor overflows."""
    return eps * scale.down * scale.down_again if eps else 0.0


def _aol_norms(x: Array, precision: str | None = None) -> tuple[Array, Array]:
    """Square roots of r_j = sum_i |x_i^H x_j|, shape (..., 1, n), and the Gram matrix of the scaled columns.

    Squares of a small column underflow beside a large one. With x_j = d_j y_j, d_j a power of two near max |x_j|,
    r_j = d_j sum_i |y_i^H y_j| d_i; neither factor does.
    """
    xp = namespace(x)
    columns = unit_scale(x, axis=-2)
    y = columns.apply(x)
    gram = store(inner(y, y), precision)
    d = columns.undo(xp.ones_like(xp.abs(x[..., :1, :])))
    sums = store(xp.sum(xp.abs(gram) * xp.matrix_transpose(d), axis=-2, keepdims=True), precision)
    return xp.sqrt(d) * xp.sqrt(sums), gram


def _root(norms: Array, scale: Scale, eps: float, eps_rule: str) -> Array:
    """Square root of norms^2 + eps or max(norms^2, eps); eps, in units of A^2, may overflow when scaled."""
    xp = namespace(norms)
    other = 0 * norms + _scaled(scale, eps**0.5)
    return xp.hypot(norms, other) if eps_rule == "add" else xp.maximum(norms, other)


def norm(x: Array, kind: str) -> Array:
    """The Frobenius, Schatten-4 or spectral norm of every matrix, shape (..., 1, 1)."""
    if kind == "frobenius":
        return frobenius(x)
    if kind == "schatten4":
        return frobenius(inner(x, x)) ** 0.5
    return namespace(x).linalg.matrix_norm(x, ord=2, keepdims=True)


def normalized_jvp(
    a: Array, a_dot: Array, how: Normalization, scale: Scale, eps: float, eps_rule: str
) -> tuple[Array, Array]:
    """X and X_dot = A_dot/t - X <grad t, A_dot>/t; for "aol" column by column. ``a`` is scaled, eps is not."""
    if how.kind == "aol":
        x, t, ratio, signs, weight = _aol(a, how, scale, eps, eps_rule)
        e = a_dot / t
        half = inner(x, e)
        return x, e - x * weight * _real_sum(signs, (half + ct(half)) * ratio)
    x, t, slope, gradient = _by_norm(a, how, _scaled(scale, eps), eps_rule)
    gradient = slope * gradient
    return x, (a_dot - x * real_inner(gradient, a_dot)) / t


def normalized_vjp(
    a: Array, how: Normalization, scale: Scale, eps: float, eps_rule: str
) -> tuple[Array, Callable[[Array], Array]]:
    """X and the adjoint of the derivative, X_bar -> A_bar = X_bar/t - grad t <X, X_bar>/t."""
    if how.kind == "aol":
        x, t, ratio, signs, weight = _aol(a, how, scale, eps, eps_rule)

        def pull_back(x_bar: Array) -> Array:
            m = signs * (weight * _real_sum(x, x_bar) * ratio)
            return (x_bar - x @ (m + ct(m))) / t

        return x, pull_back
    x, t, slope, gradient = _by_norm(a, how, _scaled(scale, eps), eps_rule)
    gradient = slope * gradient
    return x, lambda x_bar: (x_bar - gradient * real_inner(x, x_bar)) / t


def normalized_vjp_jvp(
    a: Array, e: Array, how: Normalization, scale: Scale, eps: float, eps_rule: str
) -> tuple[Array, Array, Callable[[Array, Array], Array]]:
    """X, X_dot along E, and the derivative (X_bar, X_bar_dot) -> A_bar_dot of the adjoint; ``a`` is not scaled."""
    if how.kind == "aol":
        return _aol_vjp_jvp(scale.apply(a), e, how, scale, eps, eps_rule)
    x, t, slope, _ = _by_norm(scale.apply(a), how, _scaled(scale, eps), eps_rule)
    a = unit_scale(a).apply(a)  # beside a large eps the scaled matrix may vanish, and its direction still counts
    size = norm(a, how.kind)
    _refuse(~(size > 0) & (slope > 0), "a is the zero matrix: its normalization has no second derivative")
    b, gradient = _over(a, size), _gradient(a, size, how.kind)
    bent, gradient = slope * _bend(b, gradient, e, how.kind), slope * gradient
    along = real_inner(gradient, e)
    x_dot = (e - x * along) / t

    def pull_back(x_bar: Array, x_bar_dot: Array) -> Array:
        moved = real_inner(x_dot, x_bar) + real_inner(x, x_bar_dot)
        turned = bent * real_inner(b, x_bar) + (x_bar - gradient * real_inner(x, x_bar)) * along
        return (x_bar_dot - gradient * moved - turned / t) / t

    return x, x_dot, pull_back


def _aol_vjp_jvp(
    a: Array, e: Array, how: Normalization, scale: Scale, eps: float, eps_rule: str
) -> tuple[Array, Array, Callable[[Array, Array], Array]]:
    xp = namespace(a)
    x, t, ratio, signs, weight = _aol(a, how, scale, eps, eps_rule)
    y = e / t
    half = inner(x, y)
    gram_dot = half + ct(half)
    along = weight * _real_sum(signs, gram_dot * ratio)  # t_dot/t
    x_dot, ratio_dot = y - x * along, ratio * (xp.matrix_transpose(along) - along)
    signs_dot = xp.zeros_like(signs)
    if is_complex(a):
        across = xp.conj(signs) * gram_dot
        signs_dot = signs * (across - xp.real(across)) / xp.abs(inner(x, x))

    def pull_back(x_bar: Array, x_bar_dot: Array) -> Array:
        c = weight * _real_sum(x, x_bar)
        c_dot = weight * (_real_sum(x_dot, x_bar) + _real_sum(x, x_bar_dot))
        m, m_dot = signs * c * ratio, signs_dot * c * ratio + signs * (c_dot * ratio + c * ratio_dot)
        m, m_dot = m + ct(m), m_dot + ct(m_dot)
        return (x_bar_dot - x_dot @ m - x @ m_dot - (x_bar - x @ m) * along) / t

    return x, x_dot, pull_back


def real_inner(x: Array, y: Array) -> Array:
    """Re tr(X^H Y) of every pair, shape (..., 1, 1)."""
    xp = namespace(x)
    return xp.sum(_real(xp.conj(x) * y if is_complex(x) else x * y, xp), axis=(-2, -1), keepdims=True)


def _by_norm(
    a: Array, how: Normalization, eps: Array | float, eps_rule: str
) -> tuple[Array, Array, Array | float, Array]:
    """X, t, dt/dnu, and the gradient of nu, anything at A = 0, where X = 0."""
    xp = namespace(a)
    size = norm(a, how.kind)
    zero = ~(size > 0)
    eps = 0 * size + eps
    _refuse(zero & (eps == 0), "a is the zero matrix: its normalization is not differentiable")
    slope = xp.full_like(size, float(how.factor))
    gradient = _gradient(a, size, how.kind)
    t = _denominator(slope * size, eps, eps_rule)
    if eps_rule == "clamp":
        _refuse((slope * size == eps) & ~zero, "factor |a| = eps: the clamped norm is not differentiable")
        slope = xp.where(slope * size > eps, slope, xp.zeros_like(size))
    return a / t, t, slope, gradient


def _gradient(a: Array, size: Array, kind: str) -> Array:
    """Of nu at A: B, B B^H B, p_1 v_1^H with B = A/nu."""
    xp = namespace(a)
    if kind != "spectral":
        b = _over(a, size)
        return b if kind == "frobenius" else b @ inner(b, b)
    p, s, vh = xp.linalg.svd(a, full_matrices=False)
    if s.shape[-1] > 1:
        near = s[..., 0] - s[..., 1] <= max(8, s.shape[-1]) * machine_epsilon(a) * s[..., 0]
        _refuse(
            near[..., None, None] & (size > 0), "the largest singular value is not simple: |a|_2 is not differentiable"
        )
    return p[..., :, :1] @ vh[..., :1, :]


def _over(a: Array, size: Array) -> Array:
    xp = namespace(a)
    return a / xp.where(size > 0, size, xp.ones_like(size))


def _bend(b: Array, gradient: Array, e: Array, kind: str) -> Array:
    """(DDNORM) nu times the derivative of the gradient of nu along E; B = A/nu."""
    if kind == "spectral":
        return _bend_of_largest(b, e)
    c = e - b * real_inner(gradient, e)  # nu B_dot
    if kind == "frobenius":
        return c
    half = inner(b, c)
    return c @ inner(b, b) + b @ (half + ct(half))


def _bend_of_largest(b: Array, e: Array) -> Array:
    """p_1_dot v_1^H + p_1 v_1_dot^H: sums over the other singular vectors, with the quotients 1/(s_1^2 - s_j^2)."""
    xp = namespace(b)
    p, s, vh = xp.linalg.svd(b, full_matrices=False)
    p1, v1 = p[..., :, :1], ct(vh[..., :1, :])
    s = s[..., :, None]
    s1 = s[..., :1, :]
    ev = e @ v1
    f, f_star = inner(p, ev), vh @ (ct(e) @ p1)
    first = xp.arange(s.shape[-2], device=compat.device(s))[:, None] == 0
    gap = xp.where(first | ~(s1 > 0), xp.ones_like(s), (s1 - s) * (s1 + s))
    # i Im F_11 from the phase of p_1 v_1^H
    p_dot = xp.where(first, (f - f_star) / 2, (s1 * f + s * f_star) / gap)
    v_dot = xp.where(first, xp.zeros_like(f), (s1 * f_star + s * f) / gap)
    return (p @ (p_dot - f) + ev) @ ct(v1) + p1 @ ct(v_dot) @ vh


def _aol(
    a: Array, how: Normalization, scale: Scale, eps: float, eps_rule: str
) -> tuple[Array, Array, Array, Array, Array]:
    """X, t (one per column), t_i/t_j, the signs of G = A^H A, and factor^2/2 where t depends on A, else 0."""
    xp = namespace(a)
    norms, gram = _aol_norms(a)
    size = xp.abs(gram)
    _refuse(~(size > 0), "an entry of the Gram matrix is zero: AOL rescaling is not differentiable")
    t = float(how.factor) * _root(norms, scale, eps, eps_rule)
    weight = xp.full_like(t, float(how.factor) ** 2 / 2)
    if eps_rule == "clamp":
        level = 0 * norms + _scaled(scale, eps**0.5)
        _refuse(norms == level, "a row sum equals eps: the clamped rescaling is not differentiable")
        weight = xp.where(norms > level, weight, xp.zeros_like(weight))
    return a / t, t, xp.matrix_transpose(t) / t, gram / size, weight


def _real_sum(x: Array, y: Array) -> Array:
    """Sum_i Re(conj(x_ij) y_ij), shape (..., 1, n)."""
    xp = namespace(x)
    return xp.sum(_real(xp.conj(x) * y if is_complex(x) else x * y, xp), axis=-2, keepdims=True)


def _real(x: Array, xp: Namespace) -> Array:
    return xp.real(x) if is_complex(x) else x


def _denominator(size: Array, eps: Array, eps_rule: str) -> Array:
    return size + eps if eps_rule == "add" else namespace(size).maximum(size, size * 0 + eps)


def _refuse(outside: Array, message: str) -> None:
    xp = namespace(outside)
    flags = xp.any(outside, axis=(-2, -1))
    if bool(xp.any(flags)):
        raise OutsideDomain(message + at_batch(first_index(flags, xp)))
