"""Parallel transport along geodesics of every metric of the family. Derivations: docs/derivations/stiefel."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, factorial, sqrt
from typing import NamedTuple

import numpy as np

from orthoref.arrays import Array, at_batch, first_index, namespace
from orthoref.errors import OutsideDomain
from orthoref.linalg import ct, eps, eye_like, frobenius, inner, skew_part
from orthoref.stiefel.manifold import enter_unit
from orthoref.stiefel.metric import Metric, skew_weight
from orthoref.stiefel.multilinear import collect, scaled, scaled_pair

LONGEST = 1024.0  # of a geodesic, in units of c: 163 turns; every unit is one Taylor polynomial


class TransportCotangents(NamedTuple):
    """Cotangents of the arguments of a transport."""

    x_bar: Array
    v_bar: Array
    w_bar: Array


def transport_parallel(
    x: Array, v: Array, w: Array, metric: Metric, *, scale: float = 1.0, check: bool = True
) -> Array:
    """Parallel transport of w along the geodesic of the metric that leaves x with velocity v, to time 1.

    Parameters
    ----------
    x, v, w : arrays of shape (..., n, p)
        Point, velocity, and the tangent that is transported.
    metric : {"euclidean", "canonical"} or float
        As in :func:`inner`.
    scale : float
        c of the manifold X^H X = c^2 I.
    check : bool
        Whether to refuse points off the manifold and vectors that are not tangent.

    Returns
    -------
    array of shape (..., n, p)
        Tangent at the end of the geodesic. Error at most a small multiple of n eps (1 + t) |W| max(sqrt(beta),
        1/sqrt(beta)), where t is the length of the geodesic over c in the larger one of the metric and the Euclidean
        one, and beta = 1/(2 (alpha + 1)).

    Raises
    ------
    OutsideDomain
        NaN or infinity; off the manifold or not tangent (with the defect); a v longer than about 1024 c; overflow.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    A geodesic is the orbit of X under isometries e^(t W1) X e^(t W2). Seen from them the equation of parallel transport
    is W' = -L W with one skew-adjoint map L of the tangent space, so that the result is e^E e^-L W, E the generator of
    the isometries: equations (ST-PAR). Both exponentials are Taylor polynomials, cut off below eps, on intervals where
    the generators have norm 1 at most; 20 n p^2 flops for each of about 19 terms (binary64) and unit of length, or, for
    n >= 6 p, some 30 n p^2 in all and 100 p^3 for each term: equation (ST-PAR-SPAN).

    The end of the geodesic itself is what E makes of X: :func:`exp`.
    """
    beta = skew_weight(metric)
    xp, y = enter_unit(x, {"v": v, "w": w}, {}, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        (w, ws), whole = scaled(w), _at(y, v / scale)
        turns, moves = _lengths(whole, beta)
        span, at, (w,) = _span(whole, w)
        w = _flow(lambda z: (_turn(at, z, beta),), (w,), turns)[0]
        return collect((span.lift(_flow(lambda z: (_move(at, z, beta),), (w,), moves)[0]), (ws,)))


def transport_parallel_jvp(
    x: Array,
    v: Array,
    w: Array,
    x_dot: Array,
    v_dot: Array,
    w_dot: Array,
    metric: Metric,
    *,
    scale: float = 1.0,
    check: bool = True,
) -> Array:
    """Derivative of the formula of :func:`transport_parallel` along any directions of the ambient space.

    Parameters
    ----------
    x, v, w : arrays of shape (..., n, p)
        As in :func:`transport_parallel`.
    x_dot, v_dot, w_dot : arrays of the shape of x
        Directions, independent of each other.
    metric, scale, check
        As in :func:`transport_parallel`.

    Returns
    -------
    array of shape (..., n, p)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`transport_parallel`.

    Notes
    -----
    The Taylor polynomials are differentiated term by term.
    """
    beta = skew_weight(metric)
    directions = {"x_dot": x_dot, "v_dot": v_dot, "w_dot": w_dot}
    xp, y = enter_unit(x, {"v": v, "w": w}, directions, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        v, (w, ws), (w_dot, wds) = v / scale, scaled(w), scaled(w_dot)
        whole = _at(y, v)
        turns, moves = _lengths(whole, beta)
        y_dot, v_dot, es = scaled_pair(x_dot, v_dot, scale)
        a_dot, n_dot = _along(whole, v, y_dot, v_dot)
        span, at, (w, y_dot, n_dot, w_dot) = _span(whole, w, y_dot, n_dot, w_dot)
        along = span.geodesic(y_dot, a_dot, n_dot)

        def turn(z: Array, z_dot: Array, z_new: Array) -> tuple[Array, ...]:
            moved = _turn(at, z_dot, beta) + _turn_along(at, along, z, beta)
            return _turn(at, z, beta), moved, _turn(at, z_new, beta)

        def move(z: Array, z_dot: Array, z_new: Array) -> tuple[Array, ...]:
            moved = _move(at, z_dot, beta) + _move_along(at, along, z, beta)
            return _move(at, z, beta), moved, _move(at, z_new, beta)

        _, moved, new = _flow(move, _flow(turn, (w, xp.zeros_like(w), w_dot), turns), moves)
        return collect((span.lift(moved), (es, ws)), (span.lift(new), (wds,)))


def transport_parallel_vjp(
    x: Array, v: Array, w: Array, y_bar: Array, metric: Metric, *, scale: float = 1.0, check: bool = True
) -> TransportCotangents:
    """Adjoint of :func:`transport_parallel_jvp` for the real inner product Re tr(X^H Y), whatever the metric.

    Parameters
    ----------
    x, v, w, y_bar : arrays of shape (..., n, p)
        As in :func:`transport_parallel`, and the cotangent of the result.
    metric, scale, check
        As in :func:`transport_parallel`.

    Returns
    -------
    TransportCotangents
        ``x_bar``, ``v_bar``, ``w_bar`` in the ambient space.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`transport_parallel`.

    Notes
    -----
    The Taylor polynomials backwards; their terms are kept, about 19 arrays (binary64) for every unit of length, of the
    shape of x or, for n >= 8 p, of shape (..., 4 p, p).
    """
    beta = skew_weight(metric)
    xp, y = enter_unit(x, {"v": v, "w": w}, {"y_bar": y_bar}, scale, check)
    if 0 in x.shape:
        return TransportCotangents(*(xp.zeros_like(x) for _ in range(3)))
    with np.errstate(all="ignore"):
        v, (w, ws), (bar, bs) = v / scale, scaled(w), scaled(y_bar)
        whole = _at(y, v)
        turns, moves = _lengths(whole, beta)
        span, at, (w, bar) = _span(whole, w, bar)
        turned = _terms(lambda z: _turn(at, z, beta), w, turns)
        moved = _terms(lambda z: _move(at, z, beta), sum(turned[-1]), moves)
        bar, one = _flow_vjp(lambda z, b: _move_vjp(span, at, z, b, beta), moved, bar)
        bar, two = _flow_vjp(lambda z, b: _turn_vjp(span, at, z, b, beta), turned, bar)
        x_bar, a_bar, n_bar = (i + j for i, j in zip(one, two, strict=True))
        a_bar = a_bar - inner(at.x_dual, n_bar)
        x_bar = x_bar - n_bar @ ct(at.a) + (at.n + at.x @ at.a) @ ct(a_bar)  # V = N + X A
        return TransportCotangents(
            collect((span.lift(x_bar) / scale, (ws, bs))),
            collect((span.lift(n_bar + at.x @ a_bar) / scale, (ws, bs))),
            collect((span.lift(bar), (bs,))),
        )


class _Geodesic(NamedTuple):
    """X, A = X^H V and N = V - X A, or a derivative of the three, in a span; X^H Y is inner(x_dual, y)."""

    x: Array
    a: Array
    n: Array
    x_dual: Array
    n_dual: Array


class _Span(NamedTuple):
    """Matrices of n rows; or their coefficients, Y = basis C, with the Gram matrix of the basis."""

    basis: Array | None
    gram: Array | None

    def lift(self, c: Array) -> Array:
        """The matrix itself."""
        return c if self.basis is None else self.basis @ c

    def dual(self, c: Array) -> Array:
        """What X^H Y is the product with."""
        return c if self.gram is None else self.gram @ c

    def geodesic(self, x: Array, a: Array, n: Array) -> _Geodesic:
        """With the duals of X and N."""
        return _Geodesic(x, a, n, self.dual(x), self.dual(n))


def _at(x: Array, v: Array) -> _Geodesic:
    a = inner(x, v)
    return _Span(None, None).geodesic(x, a, v - x @ a)


def _along(at: _Geodesic, v: Array, x_dot: Array, v_dot: Array) -> tuple[Array, Array]:
    """Derivatives of A and N."""
    a_dot = inner(x_dot, v) + inner(at.x, v_dot)
    return a_dot, v_dot - x_dot @ at.a - at.x @ a_dot


def _span(at: _Geodesic, *others: Array) -> tuple[_Span, _Geodesic, tuple[Array, ...]]:
    """(ST-PAR-SPAN) what the maps make of few columns stays in their span: coefficients where those are much fewer."""
    xp, (n, p), count = namespace(at.x), at.x.shape[-2:], 2 + len(others)
    if n < 2 * count * p:
        return _Span(None, None), at, others
    basis = xp.concat([at.x, at.n, *others], axis=-1)
    span = _Span(basis, inner(basis, basis))
    unit = eye_like(span.gram) + xp.zeros_like(span.gram)
    x, n_, *rest = (unit[..., :, k * p : (k + 1) * p] for k in range(count))
    return span, span.geodesic(x, at.a, n_), tuple(rest)


def _turn(at: _Geodesic, w: Array, beta: float) -> Array:
    """(ST-PAR) -L W = X (skew(N^H D) - (2 beta - 1/2) [A, C]) - beta (N C - D A), C = X^H W, D = W - X C."""
    x, a, n, x_dual, n_dual = at
    c = inner(x_dual, w)
    d = w - x @ c
    return x @ (skew_part(inner(n_dual, d)) - (2 * beta - 0.5) * (a @ c - c @ a)) - beta * (n @ c - d @ a)


def _turn_along(at: _Geodesic, dot: _Geodesic, w: Array, beta: float) -> Array:
    """Derivative of :func:`_turn` along the three matrices."""
    (x, a, n, x_dual, n_dual), g = at, 2 * beta - 0.5
    c, c_dot = inner(x_dual, w), inner(dot.x_dual, w)
    d, d_dot = w - x @ c, -(dot.x @ c) - x @ c_dot
    inside = skew_part(inner(n_dual, d)) - g * (a @ c - c @ a)
    bracket = dot.a @ c + a @ c_dot - c_dot @ a - c @ dot.a
    inside_dot = skew_part(inner(dot.n_dual, d) + inner(n_dual, d_dot)) - g * bracket
    outside_dot = dot.n @ c + n @ c_dot - d_dot @ a - d @ dot.a
    return dot.x @ inside + x @ inside_dot - beta * outside_dot


def _turn_vjp(
    span: _Span, at: _Geodesic, w: Array, bar: Array, beta: float
) -> tuple[Array, tuple[Array, Array, Array]]:
    """(ST-PAR*) cotangents of W and of X, A, N."""
    (x, a, n, x_dual, n_dual), g = at, 2 * beta - 0.5
    c = inner(x_dual, w)
    d = w - x @ c
    inside, m = skew_part(inner(n_dual, d)) - g * (a @ c - c @ a), inner(x_dual, bar)
    s = skew_part(m)
    d_bar = n @ s + beta * (bar @ ct(a))
    a_bar = g * (ct(c) @ m - m @ ct(c)) + beta * inner(d, span.dual(bar))
    n_bar = d @ ct(s) - beta * (bar @ ct(c))
    c_bar = g * (m @ ct(a) - ct(a) @ m) - beta * inner(n_dual, bar) - inner(x_dual, d_bar)
    x_bar = bar @ ct(inside) - d_bar @ ct(c) + w @ ct(c_bar)
    return d_bar + x @ c_bar, (x_bar, a_bar, n_bar)


def _move(at: _Geodesic, w: Array, beta: float) -> Array:
    """(ST-PAR) E W = W1 W + W W2, W1 = N X^H - X N^H + 2 beta X A X^H, W2 = (1 - 2 beta) A."""
    x, a, n, x_dual, n_dual = at
    c = inner(x_dual, w)
    return n @ c + x @ (2 * beta * (a @ c) - inner(n_dual, w)) + (1 - 2 * beta) * (w @ a)


def _move_along(at: _Geodesic, dot: _Geodesic, w: Array, beta: float) -> Array:
    """Derivative of :func:`_move` along the three matrices."""
    x, a, n, x_dual, n_dual = at
    c, c_dot = inner(x_dual, w), inner(dot.x_dual, w)
    inside = 2 * beta * (a @ c) - inner(n_dual, w)
    inside_dot = 2 * beta * (dot.a @ c + a @ c_dot) - inner(dot.n_dual, w)
    return dot.n @ c + n @ c_dot + dot.x @ inside + x @ inside_dot + (1 - 2 * beta) * (w @ dot.a)


def _move_vjp(
    span: _Span, at: _Geodesic, w: Array, bar: Array, beta: float
) -> tuple[Array, tuple[Array, Array, Array]]:
    """(ST-PAR*) cotangents of W and of X, A, N."""
    x, a, n, x_dual, n_dual = at
    c, m = inner(x_dual, w), inner(x_dual, bar)
    inside = 2 * beta * (a @ c) - inner(n_dual, w)
    c_bar = inner(n_dual, bar) + 2 * beta * (ct(a) @ m)
    w_bar = x @ c_bar - n @ m + (1 - 2 * beta) * (bar @ ct(a))
    a_bar = 2 * beta * (m @ ct(c)) + (1 - 2 * beta) * inner(w, span.dual(bar))
    return w_bar, (bar @ ct(inside) + w @ ct(c_bar), a_bar, bar @ ct(c) - w @ ct(m))


# --- Taylor polynomials of e^G, for skew-adjoint G --------------------------------------------------------------------


def _lengths(at: _Geodesic, beta: float) -> tuple[int, int]:
    """Numbers of intervals on which L and E have norm 1 at most, in the metric and in the Euclidean one."""
    xp, a, n = namespace(at.x), frobenius(at.a), frobenius(at.n)
    turn = max(abs(4 * beta - 1), beta) * a + sqrt(beta) * n
    move = (2 * beta + abs(1 - 2 * beta)) * a + n
    within = (turn <= LONGEST) & (move <= LONGEST)
    if not bool(xp.all(within)):
        index = first_index(~within[..., 0, 0], xp)
        raise OutsideDomain(f"v has length {float(move[(*index, 0, 0)]):.3g} c, beyond {LONGEST:g} c" + at_batch(index))
    return max(1, ceil(float(xp.max(turn)))), max(1, ceil(float(xp.max(move))))


def _degree(x: Array) -> int:
    """The first K with 2/(K + 1)! <= eps/8, an upper bound of the rest for norms up to 1."""
    k = 1
    while not 2 / factorial(k + 1) <= eps(x) / 8:
        k += 1
    return k


def _flow(step: Callable[..., tuple[Array, ...]], start: tuple[Array, ...], count: int) -> tuple[Array, ...]:
    """e^G of the start, one Taylor polynomial for every interval."""
    degree, total = _degree(start[0]), start
    for _ in range(count):
        term = total
        for k in range(1, degree + 1):
            term = tuple(z / (k * count) for z in step(*term))
            total = tuple(z + more for z, more in zip(total, term, strict=True))
    return total


def _terms(step: Callable[[Array], Array], start: Array, count: int) -> list[list[Array]]:
    """Terms of the Taylor polynomial of every interval."""
    degree = _degree(start)
    intervals: list[list[Array]] = []
    for _ in range(count):
        terms = [sum(intervals[-1][1:], intervals[-1][0]) if intervals else start]
        for k in range(1, degree + 1):
            terms.append(step(terms[-1]) / (k * count))
        intervals.append(terms)
    return intervals


def _flow_vjp(
    pull: Callable[[Array, Array], tuple[Array, tuple[Array, ...]]], intervals: list[list[Array]], bar: Array
) -> tuple[Array, list[Array]]:
    """Cotangents of the start and of the matrices that G is made of."""
    total: list[Array] = []
    for terms in reversed(intervals):
        out = bar
        for k in range(len(terms) - 1, 0, -1):
            back, more = pull(terms[k - 1], out / (k * len(intervals)))
            total = [z + m for z, m in zip(total, more, strict=True)] if total else list(more)
            out = bar + back
        bar = out
    return bar, total
