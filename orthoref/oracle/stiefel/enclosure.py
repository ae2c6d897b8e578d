"""Balls that contain the exact value of maps on the Stiefel manifold, and bounds of the errors of given ones.

Public as ``orthoref.certify.stiefel``. Every map is a formula that makes sense for the entries as they are given, on
the manifold to rounding only: there the formula is what is enclosed, the one that the oracle's rows take for the truth.
The logarithm, which has no formula, is that of the nearest points of the manifold. X^H X = I, c = 1.
Theorems and proofs: docs/derivations/stiefel_certificate, equations (SC1) to (SC11).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, TypeVar

import numpy as np

from orthoref.errors import NotCertified, require
from orthoref.oracle.balls import (
    Balls,
    blocks,
    ct,
    distance,
    down,
    exact_balls,
    eye_like,
    lower_norm,
    midpoints,
    one_finite,
    up,
    upper_norm,
    widen,
)
from orthoref.oracle.polar.enclosure import _enclose as enclose_unitary_factor
from orthoref.oracle.stiefel.claim import METRIC
from orthoref.oracle.stiefel.claim import metric as named
from orthoref.stiefel.geodesic import log as approximate_log

__all__ = [
    "LogCertificate",
    "StiefelCertificate",
    "exp",
    "gradient",
    "log",
    "project",
    "retract_cayley",
    "retract_polar",
    "retract_qr",
]


@dataclass(frozen=True)
class StiefelCertificate:
    """What was proved about the value of a map at one point.

    Attributes
    ----------
    value : flint.arb_mat or flint.acb_mat
        Ball matrix that contains the exact value; also under its name in :mod:`orthoref.stiefel`, ``u`` (projection),
        ``grad``, ``y`` or ``v``.
    radius : float
        Bound on the Frobenius distance from the midpoint of ``value`` to the exact value.
    error : (float, float), optional
        Lower and upper bounds of the Frobenius distance of the value that was given from the exact one.
    bits : int
        Working precision that sufficed.
    """

    value: Balls
    radius: float
    error: tuple[float, float] | None
    bits: int

    u = grad = y = v = property(lambda self: self.value)


@dataclass(frozen=True)
class LogCertificate(StiefelCertificate):
    """What was proved about a logarithm: it is the velocity at X of a geodesic that is at Y at time 1.

    Attributes
    ----------
    value, radius, error, bits
        As in :class:`StiefelCertificate`.
    unique : float
        No other tangent vector this near to the midpoint of ``value`` is the velocity of a geodesic to Y.
    length : (float, float)
        Lower and upper bounds of the length of the geodesic.
    shortest : bool
        Whether that is below a lower bound of the injectivity radius: then no other geodesic to Y is as short. Known
        are pi for the Euclidean metric and real columns, (4/5)^(1/2) pi for the canonical one of real matrices, and
        that of square matrices; elsewhere False, which says nothing.
    """

    unique: float = inf
    length: tuple[float, float] = (0.0, 0.0)
    shortest: bool = True


Certificate = TypeVar("Certificate", bound=StiefelCertificate)


def project(x: Any, v: Any, u: Any = None, *, digits: int = 15, max_bits: int = 8192) -> StiefelCertificate:
    """Enclose V - X herm(X^H V), and bound the error of a given projection.

    Parameters
    ----------
    x : array of shape (n, p), n >= p
        One point, near X^H X = I. Its entries are exact, and it is not checked.
    v : array of the shape of x
        Any matrix.
    u : array of the shape of x, optional
        Computed value whose distance from the exact one is to be bounded.
    digits : int
        The distance from the midpoint of the enclosure to the exact value is at most 10^-digits in the Frobenius norm,
        1 to 300.
    max_bits : int
        Precision at which to give up. Each trial doubles it.

    Returns
    -------
    StiefelCertificate

    Raises
    ------
    NotCertified
        Not to so many digits within max_bits.
    OutsideDomain
        NaN or infinity.
    TypeError, ValueError
        Arguments that cannot be read, stacks of matrices, shapes that do not fit.

    Notes
    -----
    Equation (SC1).
    """
    # (SC1) V - X herm(X^H V)
    return _certified(StiefelCertificate, "projection", _tangential, {"x": x, "v": v}, ("u", u), digits, max_bits)


def gradient(
    x: Any, egrad: Any, metric: Any, grad: Any = None, *, digits: int = 15, max_bits: int = 8192
) -> StiefelCertificate:
    """Enclose G - X X^H G + X skew(X^H G)/c, and bound the error of a given gradient.

    Parameters
    ----------
    x : array of shape (n, p)
        As in :func:`project`.
    egrad : array of the shape of x
        Any matrix G.
    metric : {"euclidean", "canonical"} or float
        A number is alpha > -1, c = 1/(2 (alpha + 1)); its binary value is exact.
    grad : array of the shape of x, optional
        Computed value whose distance from the exact one is to be bounded.
    digits, max_bits
        As in :func:`project`.

    Returns
    -------
    StiefelCertificate

    Raises
    ------
    NotCertified, OutsideDomain, TypeError, ValueError
        As :func:`project`; an unknown metric.

    Notes
    -----
    Equation (SC1).
    """
    over = _reciprocal_weight(metric)

    def value(x: Balls, g: Balls) -> Balls:
        # (SC1) G - X X^H G + X skew(X^H G)/c
        inside = ct(x) * g
        return g - x * inside + x * (_skew(inside) * over())

    return _certified(StiefelCertificate, "gradient", value, {"x": x, "egrad": egrad}, ("grad", grad), digits, max_bits)


def retract_qr(x: Any, v: Any, y: Any = None, *, digits: int = 15, max_bits: int = 8192) -> StiefelCertificate:
    """Enclose the unitary factor of X + V = Y R, r_ii > 0, and bound the error of a given one.

    Parameters
    ----------
    x, v : arrays of shape (n, p)
        As in :func:`project`; X + V has to be of full rank, as it is for a tangent V.
    y : array of the shape of x, optional
        Computed value whose distance from the exact one is to be bounded.
    digits, max_bits
        As in :func:`project`.

    Returns
    -------
    StiefelCertificate

    Raises
    ------
    NotCertified
        As :func:`project`; it could not be proved that X + V has full rank.
    OutsideDomain, TypeError, ValueError
        As :func:`project`.

    Notes
    -----
    Equation (SC2): Cholesky's factor of the Gram matrix in balls.
    """
    return _certified(StiefelCertificate, "QR retraction", _unitary_of_qr, {"x": x, "v": v}, ("y", y), digits, max_bits)


def retract_polar(x: Any, v: Any, y: Any = None, *, digits: int = 15, max_bits: int = 8192) -> StiefelCertificate:
    """Enclose the unitary polar factor of X + V, and bound the error of a given one.

    Parameters
    ----------
    x, v, y : arrays of shape (n, p)
        As in :func:`retract_qr`.
    digits, max_bits
        As in :func:`project`.

    Returns
    -------
    StiefelCertificate

    Raises
    ------
    NotCertified, OutsideDomain, TypeError, ValueError
        As :func:`retract_qr`.

    Notes
    -----
    Equation (SC3): the theorem of :func:`orthoref.certify.polar`.
    """

    def near(x: Balls, v: Balls) -> tuple[Balls, float]:
        return enclose_unitary_factor(x + v)[:2]  # (SC3)

    return _certified(StiefelCertificate, "polar retraction", near, {"x": x, "v": v}, ("y", y), digits, max_bits)


def retract_cayley(x: Any, v: Any, y: Any = None, *, digits: int = 15, max_bits: int = 8192) -> StiefelCertificate:
    """Enclose (2 X + Z) M^-1 - X, M = I - A/2 + Z^H Z/4, and bound the error of a given one.

    Parameters
    ----------
    x, v, y : arrays of shape (n, p)
        As in :func:`retract_qr`; any V will do.
    digits, max_bits
        As in :func:`project`.

    Returns
    -------
    StiefelCertificate

    Raises
    ------
    NotCertified, OutsideDomain, TypeError, ValueError
        As :func:`project`.

    Notes
    -----
    Equation (SC4), A = skew(X^H V), Z = V - X X^H V; for X and V on the manifold (I - W/2)^-1 (I + W/2) X.
    """
    return _certified(StiefelCertificate, "Cayley retraction", _cayley, {"x": x, "v": v}, ("y", y), digits, max_bits)


def exp(x: Any, v: Any, metric: Any, y: Any = None, *, digits: int = 15, max_bits: int = 8192) -> StiefelCertificate:
    """Enclose the end of the geodesic that leaves X with the velocity V, and bound the error of a given one.

    Parameters
    ----------
    x, v : arrays of shape (n, p)
        As in :func:`project`.
    metric : {"euclidean", "canonical"} or float
        As in :func:`gradient`.
    y : array of the shape of x, optional
        Computed value whose distance from the exact one is to be bounded.
    digits, max_bits
        As in :func:`project`.

    Returns
    -------
    StiefelCertificate

    Raises
    ------
    NotCertified, OutsideDomain, TypeError, ValueError
        As :func:`gradient`.

    Notes
    -----
    Equation (SC5): [X, Z] exp([[2 c A, -Z^H Z], [I, 0]]) [I; 0] exp((1 - 2 c) A) with A = skew(X^H V) and
    Z = V - X X^H V; Arb's exponential of matrices is rigorous. Bits for the number of turns are lost.
    """
    over = _reciprocal_weight(metric)

    def value(x: Balls, v: Balls) -> Balls:
        return _exp(x, v, 1 / over())

    return _certified(StiefelCertificate, "exponential map", value, {"x": x, "v": v}, ("y", y), digits, max_bits)


def log(x: Any, y: Any, metric: Any, v: Any = None, *, digits: int = 15, max_bits: int = 8192) -> LogCertificate:
    """Enclose the velocity of a geodesic from X to Y, the only one near, and bound the error of a given one.

    Parameters
    ----------
    x, y : arrays of shape (n, p)
        Points near X^H X = I; meant are the nearest ones on the manifold, their unitary polar factors.
    metric : {"euclidean", "canonical"} or float
        As in :func:`gradient`.
    v : array of the shape of x, optional
        Computed value whose distance from the exact one is to be bounded.
    digits, max_bits
        As in :func:`project`.

    Returns
    -------
    LogCertificate

    Raises
    ------
    NotCertified
        As :func:`project`; conjugate points, or points far off the manifold.
    OutsideDomain
        As :func:`project`; none was found, or one beyond the injectivity radius: see :func:`orthoref.stiefel.log`,
        whose result is the approximation that is proved here.
    NotConverged
        As :func:`orthoref.stiefel.log`.
    TypeError, ValueError
        As :func:`gradient`.

    Notes
    -----
    Equations (SC6) to (SC11): Newton and Kantorovich's theorem with a bound of the second derivative of exp.
    """
    over, chosen = _reciprocal_weight(metric), named(metric)

    def value(x: Balls, y: Balls) -> tuple[Any, ...]:
        # (SC6) the nearest points
        x, y = (widen(*enclose_unitary_factor(z)[:2]) for z in (x, y))
        c = 1 / over()
        near, radius, unique = _log(x, y, c, chosen)
        length = _length(x, widen(near, radius), c)
        return near, radius, unique, length, length[1] < _injectivity(x, c)

    return _certified(LogCertificate, "logarithm", value, {"x": x, "y": y}, ("v", v), digits, max_bits)


OF: dict[str, Callable[..., StiefelCertificate]] = {  # with the defaults of what a port claims
    "stiefel.project": project,
    "stiefel.gradient": partial(gradient, metric=METRIC.default),
    "stiefel.retract_qr": retract_qr,
    "stiefel.retract_polar": retract_polar,
    "stiefel.retract_cayley": retract_cayley,
    "stiefel.exp": partial(exp, metric=METRIC.default),
    "stiefel.log": partial(log, metric=METRIC.default),
}


# --- from balls to a certificate --------------------------------------------------------------------------------------


def _certified(
    kind: type[Certificate],
    what: str,
    value: Callable[..., Any],
    arrays: dict[str, Any],
    given: tuple[str, Any],
    digits: int,
    max_bits: int,
) -> Certificate:
    """Precision doubled until the radius is small enough.

    ``value`` gives balls, or balls, the distance that they lack, and what else the certificate has.
    """
    require("flint", "certify")
    from flint import ctx

    inputs = {name: one_finite(name, z) for name, z in arrays.items()}
    name, result = given
    result = None if result is None else one_finite(name, result)
    everything = inputs | ({} if result is None else {name: result})
    x = inputs["x"]
    if x.shape[0] < x.shape[1]:
        raise ValueError(f"x has shape {x.shape}: more columns than rows cannot be orthonormal; pass its adjoint")
    for each, z in everything.items():
        if z.shape != x.shape:
            raise ValueError(f"{each} has shape {z.shape}, not {x.shape}")
    if not 1 <= digits <= 300:
        raise ValueError(f"digits={digits!r} is not in 1..300: the radius is reported as a binary64 number")
    complex_ = any(np.iscomplexobj(z) for z in everything.values())
    bits, failure = 64 + 4 * digits, f"so many digits take more than {max_bits} bits"
    while bits <= max_bits:
        with ctx.workprec(bits):
            try:
                balls = [exact_balls(z, complex_) for z in inputs.values()]
                found = value(*balls) if x.size else balls[0]
                near, beyond, *facts = found if isinstance(found, tuple) else (found, 0.0)
                radius = up(upper_norm(near - near.mid()) + beyond)
                if radius <= 10.0**-digits:
                    near = widen(near, beyond)
                    error = None if result is None else distance(exact_balls(result, complex_), near)
                    return kind(near, radius, error, bits, *facts)
                failure = f"radius {radius:.3g} with {bits} bits"
            except (ZeroDivisionError, NotCertified) as problem:
                failure = f"{problem} with {bits} bits"
        bits *= 2
    n, p = x.shape
    raise NotCertified(f"the {what} at the {n} x {p} point could not be enclosed to {digits} digits: {failure}")


def _reciprocal_weight(metric: Any) -> Callable[[], Any]:
    """1/c = 2 (alpha + 1), as a ball of the precision in which it is asked for."""
    chosen = named(metric)
    alpha = {"euclidean": -0.5, "canonical": 0.0}[chosen] if isinstance(chosen, str) else chosen

    def ball() -> Any:
        from flint import arb

        return 2 * (arb(alpha) + 1)

    return ball


def _herm(x: Balls) -> Balls:
    return (x + ct(x)) * 0.5


def _skew(x: Balls) -> Balls:
    return (x - ct(x)) * 0.5


def _tangential(x: Balls, v: Balls) -> Balls:
    """V - X herm(X^H V)."""
    return v - x * _herm(ct(x) * v)


# --- retractions ------------------------------------------------------------------------------------------------------


def _unitary_of_qr(x: Balls, v: Balls) -> Balls:
    # (SC2) R^H R = (X + V)^H (X + V), R^H Y^H = (X + V)^H
    a = x + v
    return ct(ct(_cholesky(ct(a) * a)).solve(ct(a)))


def _cholesky(gram: Balls) -> Balls:
    """(SC2) upper triangular R with R^H R = G and r_ii > 0, row by row."""
    g, n = gram.tolist(), gram.nrows()
    zero = g[0][0] * 0
    r = [[zero] * n for _ in range(n)]
    for i in range(n):
        for j in range(i, n):
            rest = g[i][j] - sum((_conjugate(r[k][i]) * r[k][j] for k in range(i)), zero)
            if i < j:
                r[i][j] = rest / r[i][i]
            elif rest.real > 0:
                r[i][i] = zero + rest.real.sqrt()
            else:
                raise NotCertified(f"column {i + 1} of X + V was not shown to be independent of those before")
    return type(gram)(r)


def _conjugate(z: Any) -> Any:
    return z.conjugate() if hasattr(z, "conjugate") else z


def _cayley(x: Balls, v: Balls) -> Balls:
    # (SC4) (Y + X) M = 2 X + Z, M = I - A/2 + Z^H Z/4
    inside = ct(x) * v
    z = v - x * inside
    m = eye_like(x) - _skew(inside) * 0.5 + (ct(z) * z) * 0.25
    return ct(ct(m).solve(ct(x * 2 + z))) - x


def _exp(x: Balls, v: Balls, c: Any) -> Balls:
    # (SC5) [X, Z/s] exp([[2 c A, -Z^H Z/s], [s I, 0]]) [I; 0] exp((1 - 2 c) A), s a power of two near max(1, |Z|)
    a, z, s = _parts(x, v)
    k = blocks([[a * (2 * c), ct(z) * z * -s], [eye_like(x) * s, eye_like(x) * 0]])
    return blocks([[x, z]]) * _columns(k.exp(), 0, x.ncols()) * (a * (1 - 2 * c)).exp()


def _parts(x: Balls, v: Balls) -> tuple[Balls, Balls, Any]:
    """A = skew(X^H V), Z/s and s, Z = V - X X^H V."""
    from flint import arb

    inside = ct(x) * v
    z = v - x * inside
    size = upper_norm(z)
    s = arb(2) ** (size.log() / arb(2).log()).mid().floor() if size > 1 else arb(1)
    return _skew(inside), z * (1 / s), s


def _columns(x: Balls, first: int, count: int) -> Balls:
    return type(x)([row[first : first + count] for row in x.tolist()])


# --- the logarithm ----------------------------------------------------------------------------------------------------

CRUDE = 128  # bits: of the derivative and its inverse two digits are wanted


def _log(x: Balls, y: Balls, c: Any, metric: Any) -> tuple[Balls, float, float]:
    """V_0 and r with a V in |V - V_0| <= r such that exp(X, V) = Y, and how near it is the only one."""
    from flint import arb, ctx

    start = _tangential(x, exact_balls(approximate_log(midpoints(x), midpoints(y), metric), _is_complex(x)))
    with ctx.workprec(CRUDE):
        jacobian = _derivative(x, y, start, c)
        inverse = jacobian.mid().inv().mid()
        left = 1 - upper_norm(eye_like(inverse) - inverse * jacobian)
        size = upper_norm(inverse)
    _require_regular(left)
    v = _refined(x, y, start, c, inverse)
    off = _exp(x, v, c) - y
    # (SC8) |D exp| <= ell, |D^2 exp| <= ell^2; (SC9) k >= |J^-1| at V_0
    ell = (2 * c).max(arb(2).sqrt()) + abs(1 - 2 * c)
    left = left - size * ell**2 * upper_norm(v - start)
    _require_regular(left)
    k = size / left
    # (SC10) a = k |P_Y (exp(X, V_0) - Y)|, r = 2 a
    a = k * upper_norm(_tangential(y, off))
    if not (2 * k * ell**2 * a < 1 and upper_norm(off) + 2 * ell * a < 2):
        raise NotCertified(f"residual {float(upper_norm(off)):.3g} with |J^-1| <= {float(k):.3g}")
    return v, up(2 * a), down(1 / (k * ell**2) - upper_norm(v - v.mid()))


def _require_regular(left: Any) -> None:
    """1 - |I - R J| > 0, (SC9)."""
    if not left > 0:
        raise NotCertified("the derivative of the exponential map was not shown to be invertible")


def _refined(x: Balls, y: Balls, v: Balls, c: Any, inverse: Balls) -> Balls:
    """A tangent V with a smaller residual, by Newton's method with a fixed derivative; nothing is proved."""
    from flint import ctx

    for _ in range(2 + ctx.prec // 32):
        step = inverse * _coordinates(_tangential(y, _exp(x, v, c) - y))
        v = _tangential(x, (v - _matrix(step, x)).mid())
    return v


def _derivative(x: Balls, y: Balls, v: Balls, c: Any) -> Balls:
    """(SC9) the map J E = P_Y D exp(X, V)[P_X E] + Y herm(X^H E) in real coordinates."""
    from flint import acb_mat, arb_mat

    n, p = x.nrows(), x.ncols()
    a, z, s = _parts(x, v)
    zero, columns = eye_like(x) * 0, []
    k = blocks([[a * (2 * c), ct(z) * z * -s], [eye_like(x) * s, zero]])
    for i in range(n * p):
        for unit in (1, 1j) if _is_complex(x) else (1,):
            e = (acb_mat if _is_complex(x) else arb_mat)(n, p, [unit * (m == i) for m in range(n * p)])
            w = _tangential(x, e)
            inside = ct(x) * w
            a_dot, z_dot = _skew(inside), (w - x * inside) * (1 / s)
            cross = ct(z) * z_dot
            k_dot = blocks([[a_dot * (2 * c), (cross + ct(cross)) * -s], [zero, zero]])
            (first, first_dot), (last, last_dot) = _pushed(k, k_dot), _pushed(a * (1 - 2 * c), a_dot * (1 - 2 * c))
            first, first_dot = _columns(first, 0, p), _columns(first_dot, 0, p)
            moved = blocks([[x * 0, z_dot]]) * first * last + blocks([[x, z]]) * (first_dot * last + first * last_dot)
            columns.append(_coordinates(_tangential(y, moved) + y * _herm(ct(x) * e)).entries())
    return arb_mat(columns).transpose()


def _pushed(s: Balls, s_dot: Balls) -> tuple[Balls, Balls]:
    """e^S and its derivative, blocks of the exponential of [[S, S_dot], [0, S]]."""
    n = s.nrows()
    e = type(s)(blocks([[s, s_dot], [s * 0, s]]).exp().tolist()[:n])
    return _columns(e, 0, n), _columns(e, n, n)


def _is_complex(x: Balls) -> bool:
    return hasattr(x, "conjugate")


def _coordinates(x: Balls) -> Balls:
    """Real and imaginary parts in a column."""
    from flint import arb_mat

    parts = [part for z in x.entries() for part in ((z.real, z.imag) if _is_complex(x) else (z,))]
    return arb_mat(len(parts), 1, parts)


def _matrix(coordinates: Balls, like: Balls) -> Balls:
    """The inverse of :func:`_coordinates`."""
    from flint import acb

    parts = coordinates.entries()
    if _is_complex(like):
        parts = [acb(*pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
    return type(like)(like.nrows(), like.ncols(), parts)


def _length(x: Balls, v: Balls, c: Any) -> tuple[float, float]:
    """Bounds of (|Z|^2 + c |A|^2)^(1/2)."""
    inside = ct(x) * v
    low, high = ((norm(v - x * inside) ** 2 + c * norm(inside) ** 2).sqrt() for norm in (lower_norm, upper_norm))
    return down(low), up(high)


def _injectivity(x: Balls, c: Any) -> float:
    """(SC11) a lower bound of the injectivity radius, 0 where none is known."""
    from flint import arb

    n, p, real = x.nrows(), x.ncols(), not _is_complex(x)
    if n == p:
        return down((c * (2 if real else 1)).sqrt() * arb.pi())
    if c == 1 or (real and p == 1):
        return down(arb.pi())
    return down((arb(4) / 5).sqrt() * arb.pi()) if real and c == 0.5 else 0.0
