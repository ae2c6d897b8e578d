"""Angles of a given orthogonal or unitary matrix. Derivations: docs/derivations/constructors."""

from __future__ import annotations

from typing import Literal, NamedTuple

import array_api_compat as compat
import numpy as np

from orthoref._constructors.door import require_orthonormal, require_tangent, to_complex
from orthoref._constructors.givens import Tables, plan_of
from orthoref.arrays import Array, Namespace, at_batch, enter, first_index, is_complex, require_choice, require_shape
from orthoref.errors import OutsideDomain
from orthoref.linalg import hermitian_part, inner

Elimination = Literal["columns", "rows"]


class GivensFactors(NamedTuple):
    """Angles ``theta``, ``phase`` (..., n (n - 1)/2), None if real, and ``diagonal`` (..., n) of modulus 1."""

    theta: Array
    phase: Array | None
    diagonal: Array


def givens_factor(q: Array, *, order: Elimination = "columns") -> GivensFactors:
    r"""Angles of an orthogonal or unitary matrix, by elimination with rotations.

    Parameters
    ----------
    q : array of shape (..., n, n)
    order : {"columns", "rows"}
        Q = givens_product(theta, n, phase, order="columns") diag(diagonal), or diag(diagonal)
        givens_product(theta, n, phase, order="rows").

    Returns
    -------
    GivensFactors
        Real: the diagonal is 1 but for det Q, last (``"columns"``) or first (``"rows"``); theta in (-pi, pi], in
        [-pi/2, pi/2] for j > i + 1. Complex: theta in [0, pi/2], phase in (-pi, pi], 0 where theta = 0.

    Raises
    ------
    OutsideDomain
        NaN or infinity; not unitary, with the defect.
    TypeError, ValueError
        Wrong type, dtype, number of dimensions or option; not square.

    Notes
    -----
    Equation (GIVENS-FACTOR). Angles of generic matrices are unique in these ranges. The other orders of
    :func:`givens_product` have no elimination of this kind.

    Examples
    --------
    >>> import numpy as np
    >>> import orthoref
    >>> f = orthoref.givens_factor(np.asarray([[0.0, 1.0], [1.0, 0.0]]))
    >>> f.theta.round(12), f.diagonal.round(12)
    (array([1.57079633]), array([ 1., -1.]))
    """
    xp = _enter(q, order)
    if order == "rows":
        return _reversed(givens_factor(_turned(q, xp)), xp)
    theta, phase, w, _ = _eliminate(q, None, xp)
    return GivensFactors(theta, phase, xp.linalg.diagonal(w))


def givens_factor_jvp(q: Array, q_dot: Array, *, order: Elimination = "columns") -> GivensFactors:
    r"""Derivative of :func:`givens_factor` along a tangent.

    Parameters
    ----------
    q, q_dot : arrays of shape (..., n, n)
        Point and tangent.
    order : {"columns", "rows"}
        As in :func:`givens_factor`.

    Returns
    -------
    GivensFactors
        The derivatives of theta, phase and the diagonal.

    Raises
    ------
    OutsideDomain
        As :func:`givens_factor`; not tangent; where an angle or a phase is not determined: both numbers of a pair zero
        (real), one of them (complex).
    TypeError, ValueError
        As :func:`givens_factor`; shapes that differ.

    Notes
    -----
    Equation (GIVENS-FACTOR-DOT).
    """
    xp = _enter(q, order, q_dot=q_dot)
    require_tangent(q, q_dot, xp)
    if order == "rows":
        return _reversed(givens_factor_jvp(_turned(q, xp), _turned(q_dot, xp)), xp)
    theta_dot, phase_dot, _, w_dot = _eliminate(q, q_dot, xp)
    return GivensFactors(theta_dot, phase_dot, xp.linalg.diagonal(w_dot))


def givens_factor_vjp(
    q: Array,
    theta_bar: Array | None,
    phase_bar: Array | None = None,
    diagonal_bar: Array | None = None,
    *,
    order: Elimination = "columns",
) -> Array:
    r"""Adjoint of :func:`givens_factor_jvp` for Re tr(X^H Y), on the tangent space at q.

    Parameters
    ----------
    q : array of shape (..., n, n)
    theta_bar, phase_bar, diagonal_bar : arrays of the shapes of theta, phase, diagonal, or None
        Cotangents; None stands for zero.
    order : {"columns", "rows"}
        As in :func:`givens_factor`.

    Returns
    -------
    array of shape (..., n, n)
        ``q_bar``, tangent at q.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`givens_factor_jvp`; a cotangent of the phases of a real matrix.

    Notes
    -----
    Equation (GIVENS-FACTOR-BAR): the elimination is undone rotation by rotation.
    """
    xp = _enter(q, order)
    if order == "rows":
        bars = (None if x is None else xp.flip(x, axis=-1) for x in (theta_bar, phase_bar, diagonal_bar))
        return _turned(givens_factor_vjp(_turned(q, xp), *bars), xp)
    if phase_bar is not None and not is_complex(q):
        raise ValueError("phase_bar belongs to complex matrices")
    theta, phase, w, _ = _eliminate(q, None, xp)
    diagonal = xp.linalg.diagonal(w)
    for name, x, like in (
        ("theta_bar", theta_bar, theta),
        ("phase_bar", phase_bar, theta),
        ("diagonal_bar", diagonal_bar, diagonal),
    ):
        if x is not None:
            require_shape(name, x, like.shape)
            enter(**{name: x[..., None]})
    theta_bar = xp.zeros_like(theta) if theta_bar is None else theta_bar
    if phase is not None and phase_bar is None:
        phase_bar = xp.zeros_like(theta)
    n = q.shape[-1]
    eye = xp.eye(n, dtype=q.dtype, device=compat.device(q))
    w_bar = xp.zeros_like(q) if diagonal_bar is None else eye * diagonal_bar[..., None, :]
    for level in reversed(_levels(n, q, xp)):
        s, c, u = _pair(theta, phase, level, xp)
        t = _table(s, c, u, level, q, xp)
        other = xp.take(w, level.partner, axis=-2)
        # (GIVENS-FACTOR-BAR) G^H_dot G: [[0, u^*], [-u, 0]] for the angle, i s [[-s, -u^* c], [-u c, s]] for the phase
        angle = xp.take(theta_bar, level.which, axis=-1) - _both(_rows(w_bar, t.swap * other, xp), level, xp)
        turn = None
        if phase is not None and phase_bar is not None:
            sine, cosine = (_spread(x, level, xp) for x in (s, c))
            along, mixed = _rows(w_bar, 1j * w, xp), _rows(w_bar, 1j * t.swap * other, xp)
            rows = sine * level.side * (sine * along - cosine * mixed)
            turn = xp.take(phase_bar, level.which, axis=-1) + _both(rows, level, xp)
        w, w_bar = t.turn(w, 1), t.turn(w_bar, 1)
        a, b = _numbers(w, level, xp)
        w_bar = w_bar + _at(*_pull(a, b, angle, turn, xp), level, n, xp)
    return w_bar - q @ hermitian_part(inner(q, w_bar))


class _Level(NamedTuple):
    """One level of disjoint rotations, as indices in the library of the matrix."""

    side: Array  # (n,): -1 in row i, 1 in row j, 0
    which: Array  # (k,): rotations
    i: Array  # (k,)
    j: Array
    pivot: Array  # (k,): places of a and b in the flattened matrix
    gone: Array
    partner: Array  # (n,)
    place: Array  # (n,): which of the k acts on the row, 0 if none
    scatter: Array  # (n n,): of a, b and a zero what belongs there


class _Table(NamedTuple):
    c: Array
    s: Array
    swap: Array  # -u^* in row i, u in row j
    partner: Array

    def turn(self, w: Array, sign: int) -> Array:
        return Tables(self.c[..., None, :], self.s[..., None, :], [self.partner]).turn(w, 0, sign)


def _levels(n: int, like: Array, xp: Namespace) -> list[_Level]:
    plan, device = plan_of(n, "columns"), compat.device(like)
    real = xp.real(like).dtype if is_complex(like) else like.dtype
    levels = []
    for at in range(plan.levels):
        which = np.nonzero(plan.level == at)[0]
        i, j = plan.pairs[which].T
        place = np.zeros(n, dtype=np.int64)
        place[i] = place[j] = np.arange(len(which))
        scatter = np.full(n * n, 2 * len(which))
        scatter[i * n + i], scatter[j * n + i] = np.arange(len(which)), len(which) + np.arange(len(which))
        indices = (which, i, j, i * n + i, j * n + i, plan.partner[at], place, scatter)
        side = xp.asarray(plan.side[at], dtype=real, device=device)
        levels.append(_Level(side, *(xp.asarray(x, device=device) for x in indices)))
    return levels


def _eliminate(q: Array, q_dot: Array | None, xp: Namespace) -> tuple[Array, Array | None, Array, Array]:
    """(GIVENS-FACTOR) Angles, phases and what is left; with a tangent the derivatives of the former."""
    n = q.shape[-1]
    w, w_dot, order, angles, phases = q, q_dot, [], [], []
    for level in _levels(n, q, xp):
        a, b = _numbers(w, level, xp)
        angle, phase = _angle(a, b, xp)
        t = _table(xp.sin(angle), xp.cos(angle), _unit(phase, xp), level, q, xp)
        if w_dot is not None:
            angle_dot, phase_dot = _angle_dot(a, b, *_numbers(w_dot, level, xp), xp)
            # G^H_dot W = (G^H_dot G)(G^H W)
            after = t.turn(w, -1)
            other = xp.take(after, level.partner, axis=-2)
            moved = -(t.swap * _like(_spread(angle_dot, level, xp), q, xp)[..., :, None]) * other
            if phase_dot is not None:
                s, c = (_spread(f(angle), level, xp) for f in (xp.sin, xp.cos))
                turn = 1j * _like(s * level.side * _spread(phase_dot, level, xp), q, xp)[..., :, None]
                moved = moved + turn * (
                    _like(s, q, xp)[..., :, None] * after - t.swap * _like(c, q, xp)[..., :, None] * other
                )
            w_dot, w = t.turn(w_dot, -1) + moved, after
            angle, phase = angle_dot, phase_dot
        else:
            w = t.turn(w, -1)
        order.append(level.which)
        angles.append(angle)
        phases.append(phase)
    if not order:
        empty = xp.zeros((*q.shape[:-2], 0), dtype=(xp.real(q) if is_complex(q) else q).dtype, device=compat.device(q))
        return empty, empty if is_complex(q) else None, w, w if w_dot is None else w_dot
    back = xp.argsort(xp.concat(order))
    theta = xp.take(xp.concat(angles, axis=-1), back, axis=-1)
    phase = xp.take(xp.concat(phases, axis=-1), back, axis=-1) if is_complex(q) else None
    return theta, phase, w, w if w_dot is None else w_dot


def _numbers(w: Array, level: _Level, xp: Namespace) -> tuple[Array, Array]:
    """A and b of every pair of the level."""
    flat = xp.reshape(w, (*w.shape[:-2], w.shape[-1] ** 2))
    return xp.take(flat, level.pivot, axis=-1), xp.take(flat, level.gone, axis=-1)


def _angle(a: Array, b: Array, xp: Namespace) -> tuple[Array, Array | None]:
    """The angle, and the phase of b against a, 0 for b = 0."""
    if not is_complex(a):
        return xp.atan2(b, a), None
    x, y = (xp.where(z == 0, xp.ones_like(z), z) for z in (a, b))
    phase = xp.where(b == 0, xp.zeros_like(xp.real(b)), xp.atan2(xp.imag(y), xp.real(y)))
    phase = xp.where(b == 0, phase, phase - xp.atan2(xp.imag(x), xp.real(x)))
    turns = xp.where(phase > np.pi, -xp.ones_like(phase), xp.where(phase <= -np.pi, xp.ones_like(phase), phase * 0))
    return xp.atan2(xp.abs(b), xp.abs(a)), phase + 2 * np.pi * turns


def _angle_dot(a: Array, b: Array, a_dot: Array, b_dot: Array, xp: Namespace) -> tuple[Array, Array | None]:
    """(GIVENS-FACTOR-DOT) (|a| |b|_dot - |b| |a|_dot)/(|a|^2 + |b|^2), Im(b_dot/b - a_dot/a)."""
    h = _determined(a, b, xp)
    if not is_complex(a):
        return (a / h * b_dot - b / h * a_dot) / h, None
    x, y = a_dot / a, b_dot / b
    return xp.abs(a) / h * (xp.abs(b) / h) * (xp.real(y) - xp.real(x)), xp.imag(y) - xp.imag(x)


def _pull(a: Array, b: Array, angle: Array, turn: Array | None, xp: Namespace) -> tuple[Array, Array]:
    """The adjoint of (GIVENS-FACTOR-DOT)."""
    h = _determined(a, b, xp)
    if not is_complex(a) or turn is None:
        return -b / h * (angle / h), a / h * (angle / h)
    radial = xp.abs(a) / h * (xp.abs(b) / h) * angle
    x = to_complex(radial, xp) + 1j * to_complex(turn, xp)
    return -x / xp.conj(a), x / xp.conj(b)


def _determined(a: Array, b: Array, xp: Namespace) -> Array:
    bad = (a == 0) | (b == 0) if is_complex(a) else (a == 0) & (b == 0)
    if bool(xp.any(bad)):
        *index, _ = first_index(bad, xp)
        what = "a phase of zero" if is_complex(a) else "an angle between zeros"
        raise OutsideDomain(f"{what} is not differentiable" + at_batch(tuple(index)))
    return xp.hypot(xp.abs(a), xp.abs(b))


def _pair(theta: Array, phase: Array | None, level: _Level, xp: Namespace) -> tuple[Array, Array, Array | None]:
    angle = xp.take(theta, level.which, axis=-1)
    unit = None if phase is None else _unit(xp.take(phase, level.which, axis=-1), xp)
    return xp.sin(angle), xp.cos(angle), unit


def _unit(phase: Array | None, xp: Namespace) -> Array | None:
    return None if phase is None else to_complex(xp.cos(phase), xp) + 1j * to_complex(xp.sin(phase), xp)


def _table(s: Array, c: Array, u: Array | None, level: _Level, like: Array, xp: Namespace) -> _Table:
    """Of G: c and -u^* s in row i, c and u s in row j, 1 and 0 elsewhere."""
    rows = xp.where(level.side == 0, xp.ones_like(level.side), _spread(c, level, xp))
    swap = _like(level.side, like, xp)
    if u is not None:
        u = xp.take(u, level.place, axis=-1)
        swap = swap * xp.where(level.side < 0, xp.conj(u), u)
    sines = swap * _like(_spread(s, level, xp), like, xp)
    return _Table(_like(rows, like, xp), sines, swap[..., :, None], level.partner)


def _spread(values: Array, level: _Level, xp: Namespace) -> Array:
    return xp.take(values, level.place, axis=-1)


def _both(rows: Array, level: _Level, xp: Namespace) -> Array:
    return xp.take(rows, level.i, axis=-1) + xp.take(rows, level.j, axis=-1)


def _rows(x: Array, y: Array, xp: Namespace) -> Array:
    return xp.sum(xp.real(xp.conj(x) * y) if is_complex(x) else x * y, axis=-1)


def _at(a: Array, b: Array, level: _Level, n: int, xp: Namespace) -> Array:
    """A matrix with the numbers at their places and zero elsewhere, by a gather."""
    flat = xp.take(xp.concat([a, b, xp.zeros_like(a[..., :1])], axis=-1), level.scatter, axis=-1)
    return xp.reshape(flat, (*a.shape[:-1], n, n))


def _like(x: Array, like: Array, xp: Namespace) -> Array:
    return to_complex(x, xp) if is_complex(like) else x


def _turned(q: Array, xp: Namespace) -> Array:
    """P Q^T P, P the reversal: takes rows to columns and every rotation to one with the same angle and phase."""
    return xp.flip(q.mT, axis=(-2, -1))


def _reversed(f: GivensFactors, xp: Namespace) -> GivensFactors:
    return GivensFactors(*(None if x is None else xp.flip(x, axis=-1) for x in f))


def _enter(q: Array, order: str, **others: Array) -> Namespace:
    require_choice("order", order, ("columns", "rows"))
    xp = enter(q=q, **others)
    require_orthonormal(q, xp)
    return xp
