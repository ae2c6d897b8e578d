"""f(W) X for skew-Hermitian W = T X^H - X T^H, f = exp or Cayley. Derivations: docs/derivations/retractions.

What geodesics and the Cayley retraction share. Nothing is checked here; points have X^H X = I.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from orthoref.arrays import Array, Namespace, at_batch, dtype_name, first_index, is_complex, namespace
from orthoref.errors import NotConverged, OutsideDomain
from orthoref.linalg import ct, eps, eye_like, inner, skew_part
from orthoref.stiefel.manifold import enter_point, require_tangent


class RetractionCotangents(NamedTuple):
    """Cotangents of the point and of the tangent, both of the shape of x."""

    x_bar: Array
    v_bar: Array


class PointsCotangents(NamedTuple):
    """Cotangents of the two points, both of the shape of x."""

    x_bar: Array
    y_bar: Array


def enter_pair(x: Array, v: Array, scale: float, check: bool, **vectors: Array) -> tuple[Namespace, Array, Array]:
    """Take in a tangent vector v at x and what comes with it; the pair (x/c, v/c) on the manifold of c = 1."""
    xp = enter_point(x, scale=scale, check=check, v=v, **vectors)
    if check:
        require_tangent(x, xp, scale=scale, v=v)
    if scale == 1:
        return xp, x, v
    with np.errstate(all="ignore"):
        v = v / scale
    finite = xp.all(xp.isfinite(v), axis=(-2, -1))
    if not bool(xp.all(finite)):
        raise OutsideDomain(f"v / scale overflows, scale = {scale:g}" + at_batch(first_index(~finite, xp)))
    return xp, x / scale, v


def times(y: Array, scale: float) -> Array:
    """Back to the manifold of c: c Y."""
    return y if scale == 1 else y * scale


def householder(b: Array) -> tuple[Array, Array]:
    """Q and R of B = Q R, diag(R) >= 0 and real."""
    # (RETR-QR) Q D, D^H R with D = diag(r_ii/|r_ii|), 1 where r_ii = 0
    xp = namespace(b)
    q, r = xp.linalg.qr(b, mode="reduced")
    d = xp.linalg.diagonal(r) * 2.0**60  # subnormal numbers have no phase to full precision
    size = xp.abs(d)
    phase = xp.where(size > 0, d, xp.ones_like(d)) / xp.where(size > 0, size, xp.ones_like(size))
    if is_complex(b):
        return q * phase[..., None, :], r * xp.conj(phase)[..., :, None]
    return q * phase[..., None, :], r * phase[..., :, None]


def eigh(x: Array) -> tuple[Array, Array]:
    """Eigenvalues, ascending, and eigenvectors of Hermitian matrices; NotConverged where the library says so."""
    try:
        w, q = namespace(x).linalg.eigh(x)
    except Exception as error:
        if "LinAlgError" not in type(error).__name__:
            raise
        message = f"the eigendecomposition of a {tuple(x.shape)} {dtype_name(x)} array failed: {error}"
        raise NotConverged(message) from error
    return w, q


def _imaginary(w: Array) -> Array:
    """The complex numbers i w."""
    xp = namespace(w)
    return 1j * xp.astype(w, xp.complex64 if dtype_name(w) == "float32" else xp.complex128)


class Function(NamedTuple):
    """A unimodular function of i w, w real, with f(0) = 1, and its divided difference f[i w, i y]: no difference."""

    value: Callable[[Array], Array]
    quotient: Callable[[Array, Array], Array]


def _exp(w: Array) -> Array:
    return namespace(w).exp(_imaginary(w))


def _exp_quotient(w: Array, y: Array) -> Array:
    # (SINC) (e^iw - e^iy)/(iw - iy) = e^(i (w + y)/2) sin(d)/d, d = (w - y)/2
    xp, d = namespace(w), w / 2 - y / 2
    zero = d == 0
    sinc = xp.where(zero, xp.ones_like(d), xp.sin(d) / xp.where(zero, xp.ones_like(d), d))
    return _exp(w / 2) * _exp(y / 2) * sinc


def _cayley(w: Array) -> Array:
    # (1 + iw/2)/(1 - iw/2) = e^(i theta), theta = 2 arctan(w/2): of modulus 1 to rounding and free of overflow
    return _exp(2 * namespace(w).atan(w / 2))


def _cayley_quotient(w: Array, y: Array) -> Array:
    """1/((1 - iw/2)(1 - iy/2))."""
    return _half(w) * _half(y)


def _half(w: Array) -> Array:
    """1/(1 - iw/2), of modulus 1/sqrt(1 + w^2/4)."""
    xp = namespace(w)
    return _exp(xp.atan(w / 2)) / xp.hypot(xp.ones_like(w), w / 2)


EXP = Function(_exp, _exp_quotient)
CAYLEY = Function(_cayley, _cayley_quotient)


class Skew(NamedTuple):
    """S = i U diag(w) U^H, and whether S is real."""

    w: Array
    u: Array
    real: bool

    def apply(self, values: Array, right: Array | None = None) -> Array:
        """U diag(values) U^H, or its product with a matrix."""
        left = ct(self.u) if right is None else ct(self.u) @ self.complex(right)
        return self.cast(self.u @ (values[..., :, None] * left))

    def derivative(self, f: Function, s_dot: Array, *, adjoint: bool = False) -> Array:
        """Df(S)[E] = U (f[iw_i, iw_j] (U^H E U)_ij) U^H, or its adjoint."""
        xp = namespace(self.u)
        q = f.quotient(self.w[..., :, None], self.w[..., None, :])
        q = xp.conj(q) if adjoint else q
        return self.cast(self.u @ (q * (ct(self.u) @ self.complex(s_dot) @ self.u)) @ ct(self.u))

    def complex(self, x: Array) -> Array:
        """In the dtype of U."""
        return namespace(x).astype(x, self.u.dtype, copy=False)

    def cast(self, x: Array) -> Array:
        """The real part where S is real."""
        return namespace(x).real(x) if self.real else x


def spectral(s: Array) -> Skew:
    """Spectral decomposition of skew-Hermitian S through the Hermitian -i S."""
    xp = namespace(s)
    z = s if is_complex(s) else xp.astype(s, xp.complex64 if dtype_name(s) == "float32" else xp.complex128)
    return Skew(*eigh(-1j * z), real=not is_complex(s))


def blocks(a: Array, r: Array | None) -> Array:
    """[[A, -R^H], [R, 0]]; A alone without R."""
    if r is None:
        return a
    xp = namespace(a)
    corner = xp.zeros_like(r @ ct(r))
    return xp.concat([xp.concat([a, -ct(r)], axis=-1), xp.concat([r, corner], axis=-1)], axis=-2)


def complement(x: Array, z: Array) -> Array | None:
    """Q with [X, Q] orthonormal and min(2p, n) columns, span [X, Q] containing that of Z; None for square X.

    From Householder's QR of [X, Z]: orthonormal however small or dependent the columns of Z are.
    """
    n, p = x.shape[-2:]
    if n == p:
        return None
    xp = namespace(x)
    return xp.linalg.qr(xp.concat([x, z], axis=-1), mode="reduced")[0][..., :, p:]


class Frame(NamedTuple):
    """W = [X, Q] S [X, Q]^H with S = [[2 beta skew(G), -R^H], [R, 0]], G = X^H V, and the second factor e^D."""

    x: Array
    v: Array
    beta: float
    g: Array
    q: Array | None
    r: Array | None
    s: Skew
    d: Skew | None  # of D = (1 - 2 beta) skew(G); None for beta = 1/2

    def lift(self, c: Array) -> Array:
        """[X, Q] C."""
        if self.q is None:
            return self.x @ c
        p = self.x.shape[-1]
        return self.x @ c[..., :p, :] + self.q @ c[..., p:, :]

    def components(self, y: Array) -> Array:
        """[X, Q]^H Y."""
        xp = namespace(y)
        return inner(self.x, y) if self.q is None else xp.concat([inner(self.x, y), inner(self.q, y)], axis=-2)

    def outside(self, y: Array, inside: Array) -> Array:
        """(I - [X, Q] [X, Q]^H) Y from Y and its components."""
        n, k = self.x.shape[-2], self.s.w.shape[-1]
        return namespace(y).zeros_like(y) if k == n else y - self.lift(inside)

    def unit(self) -> Array:
        """E = [X, Q]^H X = [I; 0], of shape (k, p)."""
        xp, eye = namespace(self.x), xp_eye(self.g)
        return eye if self.r is None else xp.concat([eye, xp.zeros_like(self.r)], axis=-2)

    def t(self) -> Array:
        """[X, Q]^H T = [beta G; R]."""
        top = self.beta * self.g
        return top if self.r is None else namespace(top).concat([top, self.r], axis=-2)


def xp_eye(g: Array) -> Array:
    """A stack of identities of the shape of g."""
    return namespace(g).zeros_like(g) + eye_like(g)


def frame(x: Array, v: Array, beta: float) -> Frame:
    """The frame of a pair: one QR of n x min(2p, n), one eigendecomposition of that order (two where D is not 0)."""
    g = inner(x, v)
    z = v - x @ g
    q = complement(x, z)
    r = None if q is None else inner(q, z)
    a = skew_part(g)
    d = None if beta == 0.5 else spectral((1 - 2 * beta) * a)
    return Frame(x, v, beta, g, q, r, spectral(blocks(2 * beta * a, r)), d)


def rotate(f: Function, at: Frame) -> Array:
    """(FRAME) Y = f(W) X e^D = [X, Q] f(S) E e^D."""
    c = at.s.apply(f.value(at.s.w), at.unit())
    if at.d is not None:
        c = c @ at.d.apply(_exp(at.d.w))
    return at.lift(_orthonormal(c, at) if at.s.real else c)


def _orthonormal(c: Array, at: Frame) -> Array:
    """Real C with orthonormal columns.

    The eigenvalues of real S come in pairs +-w but for eps |w|: that much is the imaginary part that was left out, and
    its square, below eps for |w| <= eps^(-1/2), is what the columns of the real part lack in length.
    """
    xp = namespace(c)
    w = at.s.w if at.d is None else xp.concat([at.s.w, at.d.w], axis=-1)
    far = (xp.max(xp.abs(w), axis=-1) > eps(c) ** -0.5)[..., None, None]
    return xp.where(far, householder(c)[0], c) if bool(xp.any(far)) else c


def rotate_jvp(f: Function, at: Frame, x_dot: Array, v_dot: Array) -> Array:
    r"""Derivative of f(W) X e^D along (X_dot, V_dot), W = T X^H - X T^H, T = V - (1 - beta) X X^H V.

    (FRAME-D) Y_dot = [X, Q] (Df(S)[W_dot^] E + f(S) X_dot^) + N, N outside the frame:
    N = (I - [X, Q][X, Q]^H) (X_dot (I - T^^H C) + T_dot E^H C), C = f[S, 0] E; a hat is [X, Q]^H times.
    """
    x, unit, t = at.x, at.unit(), at.t()
    g_dot = inner(x_dot, at.v) + inner(x, v_dot)
    t_dot = v_dot - (1 - at.beta) * (x_dot @ at.g + x @ g_dot)
    x_in, t_in = at.components(x_dot), at.components(t_dot)
    w_dot = 2 * skew_part(t_in @ ct(unit) + t @ ct(x_in))
    value = f.value(at.s.w)
    c = at.s.apply(f.quotient(at.s.w, 0 * at.s.w), unit)
    top = c[..., : x.shape[-1], :]  # E^H C
    y_dot = at.lift(at.s.derivative(f, w_dot) @ unit + at.s.apply(value, x_in))
    right = ct(t) @ c
    y_dot = y_dot + at.outside(x_dot - x_dot @ right + t_dot @ top, x_in - x_in @ right + t_in @ top)
    if at.d is None:
        return y_dot
    turn = at.d.apply(_exp(at.d.w))
    d_dot = at.d.derivative(EXP, (1 - 2 * at.beta) * skew_part(g_dot))
    return y_dot @ turn + at.lift(at.s.apply(value, unit) @ d_dot)


def rotate_vjp(f: Function, at: Frame, y_bar: Array) -> RetractionCotangents:
    r"""Adjoint of :func:`rotate_jvp`.

    (FRAME-D*) with Y_bar^ = [X, Q]^H Y_bar e^-D, K = J - J^H, J = Df(S)*[Y_bar^ E^H], N the part of Y_bar e^-D outside:
    T_bar = [X, Q] K E + N (E^H C)^H, X_bar = [X, Q] (f(S)^H Y_bar^ - K T^) + N (I - T^^H C)^H, then through
    T = V - (1 - beta) X G, G = X^H V and D = (1 - 2 beta) skew(G).
    """
    xp = namespace(y_bar)
    x, unit, t, p = at.x, at.unit(), at.t(), at.x.shape[-1]
    value = f.value(at.s.w)
    inside = at.components(y_bar)
    g_bar: Array | float = 0.0
    if at.d is not None:
        pulled = at.d.derivative(EXP, ct(at.s.apply(value, unit)) @ inside, adjoint=True)
        g_bar = (1 - 2 * at.beta) * skew_part(pulled)
        back = ct(at.d.apply(_exp(at.d.w)))
        y_bar, inside = y_bar @ back, inside @ back
    outside = at.outside(y_bar, inside)
    k = 2 * skew_part(at.s.derivative(f, inside @ ct(unit), adjoint=True))
    c = at.s.apply(f.quotient(at.s.w, 0 * at.s.w), unit)
    t_bar = at.lift(k @ unit) + outside @ ct(c[..., :p, :])
    x_bar = at.lift(at.s.apply(xp.conj(value), inside) - k @ t) + outside - outside @ (ct(c) @ t)
    g_bar = g_bar - (1 - at.beta) * (k @ unit)[..., :p, :]  # X^H T_bar: nothing outside the frame
    v_bar = t_bar + x @ g_bar
    x_bar = x_bar + at.v @ ct(g_bar) - (1 - at.beta) * (t_bar @ ct(at.g))
    return RetractionCotangents(x_bar, v_bar)
