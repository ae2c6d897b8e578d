"""Exponential of skew-Hermitian matrices and principal logarithm. Derivations: docs/derivations/constructors."""

from __future__ import annotations

from math import pi

import array_api_compat as compat
import numpy as np

from orthoref._constructors.door import require_orthonormal, require_skew, require_tangent, to_complex
from orthoref.arrays import Array, Namespace, at_batch, enter, first_index, is_complex, require_shape
from orthoref.errors import OutsideDomain
from orthoref.linalg import ct, eps, eye_like, frobenius, hermitian_part, inverse, skew_part


def skew_exp(a: Array) -> Array:
    r"""Exponential of a skew-Hermitian matrix.

    Parameters
    ----------
    a : array of shape (..., n, n)
        Skew-Hermitian, :func:`skew_from_vector` makes one.

    Returns
    -------
    array of shape (..., n, n)
        Orthogonal with determinant 1, or unitary. Real a, real result.

    Raises
    ------
    OutsideDomain
        NaN or infinity; not skew-Hermitian, with the defect; a real matrix so large that rounding it leaves fewer than
        a quarter of the digits of exp(A), n eps |A| > eps^(1/4).
    TypeError, ValueError
        Wrong type, dtype or number of dimensions; not square.

    Notes
    -----
    Equation (EXP), by the eigenvectors of the Hermitian matrix -iA: unitary to a multiple of n eps whatever
    the size of A, with an error of n eps (1 + |A|). (Of a real matrix that error has an imaginary part, which is
    dropped; a polishing step makes up for it.) Every unitary matrix is reached, of the orthogonal ones those with
    determinant 1. About 25 n^3 complex flops.

    Examples
    --------
    >>> import numpy as np
    >>> import orthoref
    >>> orthoref.skew_exp(np.asarray([[0.0, -np.pi / 2], [np.pi / 2, 0.0]])).round(12) + 0.0
    array([[ 0., -1.],
           [ 1.,  0.]])
    """
    xp = _enter(a)
    if 0 in a.shape:
        return xp.zeros_like(a)
    w, v = _spectrum(a, xp)
    q = v * _phase(w, v, xp)[..., None, :] @ ct(v)
    return q if is_complex(a) else _orthogonal(xp.real(q), xp)


def skew_exp_jvp(a: Array, a_dot: Array) -> Array:
    r"""Derivative of :func:`skew_exp`.

    Parameters
    ----------
    a, a_dot : arrays of shape (..., n, n)
        Skew-Hermitian point and direction.

    Returns
    -------
    array of shape (..., n, n)
        Tangent at exp(A).

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`skew_exp`, for both.

    Notes
    -----
    Equation (EXP-DOT): Daleckii-Krein with sinc((w_i - w_j)/2), without a division by differences.
    """
    xp = _enter(a, a_dot=a_dot)
    require_skew(a_dot, xp, name="a_dot")
    if 0 in a.shape:
        return xp.zeros_like(a)
    w, v = _spectrum(a, xp)
    return _like(v @ (_quotients(w, v, xp) * (ct(v) @ to_complex(a_dot, xp) @ v)) @ ct(v), a, xp)


def skew_exp_vjp(a: Array, q_bar: Array) -> Array:
    r"""Adjoint of :func:`skew_exp_jvp` for Re tr(X^H Y), on the space of skew-Hermitian matrices.

    Parameters
    ----------
    a : array of shape (..., n, n)
    q_bar : array of shape (..., n, n)
        Cotangent.

    Returns
    -------
    array of shape (..., n, n)
        Skew-Hermitian ``a_bar``. For parameters in one triangle follow with :func:`skew_from_vector_vjp`.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`skew_exp`.

    Notes
    -----
    Equation (EXP-BAR).
    """
    xp = _enter(a, q_bar=q_bar)
    if 0 in a.shape:
        return xp.zeros_like(a)
    w, v = _spectrum(a, xp)
    pulled = v @ (xp.conj(_quotients(w, v, xp)) * (ct(v) @ to_complex(q_bar, xp) @ v)) @ ct(v)
    return skew_part(_like(pulled, a, xp))


def skew_log(q: Array) -> Array:
    r"""Principal logarithm of an orthogonal or unitary matrix.

    Parameters
    ----------
    q : array of shape (..., n, n)

    Returns
    -------
    array of shape (..., n, n)
        Skew-Hermitian to the last bit, with eigenvalues i w, -pi < w <= pi, and exp(A) = Q. Real q, real result.

    Raises
    ------
    OutsideDomain
        NaN or infinity; not unitary, with the defect; a real matrix with an eigenvalue that is -1 to working precision,
        ``|w| >= pi - max(n, 8) eps``: of determinant -1 it has no real logarithm, otherwise infinitely many and none
        is principal. As a complex matrix it has one.
    TypeError, ValueError
        Wrong type, dtype or number of dimensions; not square.

    Notes
    -----
    Equation (SKEW-LOG): eigenvectors of a Hermitian Cayley transform of a multiple e^{it} Q, t such that the widest gap
    of the spectrum lies at -1. The error is n eps times :func:`skew_log_jvp`'s norm: at most pi/2 as long as no two
    eigenvalues differ by more than pi on the circle cut at -1, and growing like 1/(2 pi - |w_i - w_j|).
    """
    xp = _enter_log(q)
    if 0 in q.shape:
        return xp.zeros_like(q)
    w, v = _angles(q, xp, real=not is_complex(q))
    return skew_part(_like((v * (1j * to_complex(w, xp))[..., None, :]) @ ct(v), q, xp))


def skew_log_jvp(q: Array, q_dot: Array) -> Array:
    r"""Derivative of :func:`skew_log`.

    Parameters
    ----------
    q, q_dot : arrays of shape (..., n, n)
        Point and tangent.

    Returns
    -------
    array of shape (..., n, n)
        Skew-Hermitian ``a_dot``.

    Raises
    ------
    OutsideDomain
        As :func:`skew_log`, and for complex matrices too; ``q_dot`` not tangent.
    TypeError, ValueError
        As :func:`skew_log`.

    Notes
    -----
    Equation (LOG-DOT): the inverse of (EXP-DOT), whose factors do not vanish for |w_i - w_j| < 2 pi.
    """
    xp = _enter_log(q, q_dot=q_dot)
    require_tangent(q, q_dot, xp)
    if 0 in q.shape:
        return xp.zeros_like(q)
    w, v = _angles(q, xp, real=True)
    return skew_part(_like(v @ ((ct(v) @ to_complex(q_dot, xp) @ v) / _quotients(w, v, xp)) @ ct(v), q, xp))


def skew_log_vjp(q: Array, a_bar: Array) -> Array:
    r"""Adjoint of :func:`skew_log_jvp` for Re tr(X^H Y), on the tangent space at q.

    Parameters
    ----------
    q : array of shape (..., n, n)
    a_bar : array of shape (..., n, n)
        Cotangent; its Hermitian part meets nothing.

    Returns
    -------
    array of shape (..., n, n)
        ``q_bar``, tangent at q.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`skew_log_jvp`.

    Notes
    -----
    Equation (LOG-BAR).
    """
    xp = _enter_log(q, a_bar=a_bar)
    if 0 in q.shape:
        return xp.zeros_like(q)
    w, v = _angles(q, xp, real=True)
    inside = ct(v) @ to_complex(skew_part(a_bar), xp) @ v
    return _like(v @ (inside / xp.conj(_quotients(w, v, xp))) @ ct(v), q, xp)


def skew_exp_log_jacobian(a: Array) -> Array:
    r"""Logarithm of |det| of the derivative of :func:`skew_exp`, for densities of orthogonal and unitary matrices.

    Parameters
    ----------
    a : array of shape (..., n, n)
        Skew-Hermitian.

    Returns
    -------
    real array of shape (...)
        Of the map A_dot -> Q^H Q_dot of the skew-Hermitian matrices to themselves; minus infinity at conjugate points.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`skew_exp`.

    Notes
    -----
    Equation (EXP-VOLUME), with the eigenvalues i w of A: the sum over i < j of ``log|sinc((w_i + w_j)/2)|`` real,
    of ``2 log|sinc((w_i - w_j)/2)|`` complex.
    """
    xp = _enter(a)
    if 0 in a.shape:
        real = xp.real(a) if is_complex(a) else a
        return xp.sum(real, axis=(-2, -1))
    w, _ = _spectrum(a, xp)
    other = -w if not is_complex(a) else w
    with np.errstate(divide="ignore"):
        logs = xp.log(xp.abs(_sinc((w[..., :, None] - other[..., None, :]) / 2, xp)))
    above = xp.where(xp.triu(xp.ones_like(logs), k=1) > 0, logs, xp.zeros_like(logs))  # 0 times infinity is no number
    return xp.sum(above, axis=(-2, -1)) * (2 if is_complex(a) else 1)


def _spectrum(a: Array, xp: Namespace) -> tuple[Array, Array]:
    """(EXP) A = V diag(iw) V^H."""
    w, v = xp.linalg.eigh(hermitian_part(-1j * to_complex(a, xp)))
    return w, v


def _phase(w: Array, like: Array, xp: Namespace) -> Array:
    return xp.astype(xp.cos(w), like.dtype) + 1j * xp.astype(xp.sin(w), like.dtype)


def _quotients(w: Array, like: Array, xp: Namespace) -> Array:
    """(EXP-DOT) F_ij = e^{i(w_i + w_j)/2} sinc((w_i - w_j)/2)."""
    half = _phase(w / 2, like, xp)
    sinc = _sinc((w[..., :, None] - w[..., None, :]) / 2, xp)
    return half[..., :, None] * half[..., None, :] * xp.astype(sinc, like.dtype)


def _sinc(x: Array, xp: Namespace) -> Array:
    """The sine over x, 1 at 0."""
    return xp.where(x != 0, xp.sin(x) / xp.where(x != 0, x, xp.ones_like(x)), xp.ones_like(x))


def _angles(q: Array, xp: Namespace, *, real: bool) -> tuple[Array, Array]:
    """(SKEW-LOG) Q = V diag(e^{iw}) V^H, -pi < w <= pi; ``real``: refused where w is pi to working precision."""
    z = to_complex(q, xp)
    w, v = xp.linalg.eigh(_tangents(z * _opposite_the_gap(z, xp), xp))
    # Rayleigh quotients: what is wrong in V enters them by its square
    quotient = xp.sum(xp.conj(v) * (z @ v), axis=-2)
    w = xp.atan2(xp.imag(quotient), xp.real(quotient))
    w = xp.where(w <= -pi, -w, w)
    if real:
        tolerance = max(q.shape[-1], 8) * eps(q)
        nearest = pi - xp.max(xp.abs(w), axis=-1)
        good = nearest > tolerance
        if not bool(xp.all(good)):
            index = first_index(~good, xp)
            size = f"{max(float(nearest[index]), 0.0):.1e}"
            raise OutsideDomain(
                f"an eigenvalue of q is -1 to working precision: pi - |w| = {size}, not above {tolerance:.1e}"
                + at_batch(index)
            )
    return w, v


def _opposite_the_gap(z: Array, xp: Namespace) -> Array:
    """The factor e^{it} (..., 1, 1) that moves the middle of the widest gap of the spectrum to -1.

    Of n + 1 different turns one leaves all n eigenvalues far enough from -1 to know the angles to eps^(1/2).
    """
    n = z.shape[-1]
    angles = xp.zeros_like(xp.real(z[..., 0]))
    found = angles[..., :1] != 0
    for k in range(1, n + 2):
        turn = 2 * pi * (k * 0.6180339887498949 % 1)
        h = _tangents(z * complex(np.exp(1j * turn)), xp)
        good = frobenius(h)[..., 0] <= eps(z) ** -0.5
        h = xp.where(good[..., None], h, xp.zeros_like(h))
        angles = xp.where(good & ~found, 2 * xp.atan(xp.linalg.eigvalsh(h)) - turn, angles)
        found = found | good
        if bool(xp.all(found)):
            break
    angles = xp.sort(angles - 2 * pi * xp.floor(angles / (2 * pi)), axis=-1)
    following = xp.concat([angles[..., 1:], angles[..., :1] + 2 * pi], axis=-1)
    widest = xp.argmax(following - angles, axis=-1, keepdims=True)
    here = xp.astype(xp.arange(n, device=compat.device(z)) == widest, angles.dtype)
    middle = xp.sum((angles + following) / 2 * here, axis=-1)
    return _phase(pi - middle, z, xp)[..., None, None]


def _tangents(p: Array, xp: Namespace) -> Array:
    """H = i (I - P)(I + P)^-1, with the eigenvalues tan(t/2) for e^{it} of P."""
    return hermitian_part(1j * (2 * inverse(eye_like(p) + p) - eye_like(p)))


def _orthogonal(x: Array, xp: Namespace) -> Array:
    """The real part X of a unitary matrix X + iY, with Y rounding: X^T X = I - Y^T Y, polished by (POLISH)."""
    g = eye_like(x) - ct(x) @ x
    small = frobenius(g)[..., 0, 0] <= eps(x) ** 0.5
    if not bool(xp.all(small)):
        index = first_index(~small, xp)
        raise OutsideDomain("a is so large that its rounding decides about exp(a)" + at_batch(index))
    return x + x @ g / 2


def _like(x: Array, a: Array, xp: Namespace) -> Array:
    return x if is_complex(a) else xp.real(x)


def _enter(a: Array, **others: Array) -> Namespace:
    xp = enter(a=a, **others)
    require_skew(a, xp)
    for name, x in others.items():
        require_shape(name, x, a.shape)
    return xp


def _enter_log(q: Array, **others: Array) -> Namespace:
    xp = enter(q=q, **others)
    require_orthonormal(q, xp)
    for name, x in others.items():
        require_shape(name, x, q.shape)
    return xp
