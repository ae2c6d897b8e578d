"""Inverses of the QR, polar and Cayley retractions, with derivatives. Derivations: docs/derivations/retractions."""

from __future__ import annotations

from typing import Literal

import numpy as np

from orthoref.arrays import Array, Namespace, at_batch, first_index, is_complex, namespace, require_choice
from orthoref.errors import OutsideDomain
from orthoref.linalg import ct, eps, eye_like, frobenius, hermitian_part, inner, inverse
from orthoref.stiefel.geodesic import clean, enter_points, log
from orthoref.stiefel.metric import Metric
from orthoref.stiefel.rotation import PointsCotangents, times

MAX_STEPS = 60  # of the matrix sign iteration: an eigenvalue at an angle of eps to the imaginary axis takes 52


# --- QR -----------------------------------------------------------------------------------------------------------


def inverse_retract_qr(x: Array, y: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    r"""The tangent vector V at X with retract_qr(X, V) = Y.

    Parameters
    ----------
    x, y : arrays of shape (..., n, p), n >= p
        Points, X^H X = Y^H Y = c^2 I.
    scale : float
        c.
    check : bool
        Whether to refuse points off the manifold.

    Returns
    -------
    array of the shape of x
        Y R - X for c = 1, tangent to rounding of V.

    Raises
    ------
    OutsideDomain
        NaN or infinity; a point off the manifold; Y is no retraction of a tangent vector at X: a leading principal
        minor of X^H Y vanishes, or R comes out with a diagonal entry that is not positive.
    TypeError, ValueError
        As :func:`orthoref.arrays.enter`; wide x, another shape, ``scale`` not positive.

    Notes
    -----
    Equation (INV-QR): M R + R^H M^H = 2 I with M = X^H Y for the upper triangular R with positive diagonal, column by
    column, a system with each leading principal submatrix of M. 12 n p^2 + p^4/6 flops, real.

    References
    ----------
    [KanekoFioriTanaka2013]_.
    """
    xp, x, y = enter_points(x, y, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        return times(clean(x, y @ _qr_factor(x, y)[1] - x), scale)


def inverse_retract_qr_jvp(
    x: Array, y: Array, x_dot: Array, y_dot: Array, *, scale: float = 1.0, check: bool = True
) -> Array:
    r"""Derivative of :func:`inverse_retract_qr` along (x_dot, y_dot).

    Parameters
    ----------
    x, y : arrays of shape (..., n, p)
        Points, as in :func:`inverse_retract_qr`.
    x_dot, y_dot : arrays of the shape of x
        Any directions: Y R(X^H Y) - X is differentiated as a function of two matrices.
    scale, check
        As in :func:`inverse_retract_qr`.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`inverse_retract_qr`.

    Notes
    -----
    Equation (INV-QR-D).
    """
    xp, x, y = enter_points(x, y, scale, check, x_dot=x_dot, y_dot=y_dot)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        m, r = _qr_factor(x, y)
        # (INV-QR-D) M R_dot + R_dot^H M^H = -2 herm(M_dot R), V_dot = Y_dot R + Y R_dot - X_dot
        m_dot = inner(x_dot, y) + inner(x, y_dot)
        return y_dot @ r + y @ _upper(m, -2 * hermitian_part(m_dot @ r)) - x_dot


def inverse_retract_qr_vjp(
    x: Array, y: Array, v_bar: Array, *, scale: float = 1.0, check: bool = True
) -> PointsCotangents:
    r"""Adjoint of :func:`inverse_retract_qr_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, y : arrays of shape (..., n, p)
        Points, as in :func:`inverse_retract_qr`.
    v_bar : array of the shape of x
        Cotangent of the result.
    scale, check
        As in :func:`inverse_retract_qr`.

    Returns
    -------
    PointsCotangents
        ``x_bar`` and ``y_bar``.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`inverse_retract_qr`.

    Notes
    -----
    Equation (INV-QR-D*): the columns in the reverse order.
    """
    xp, x, y = enter_points(x, y, scale, check, v_bar=v_bar)
    if 0 in x.shape:
        return PointsCotangents(xp.zeros_like(x), xp.zeros_like(x))
    with np.errstate(all="ignore"):
        m, r = _qr_factor(x, y)
        # (INV-QR-D*) M_bar = -2 herm(H_bar) R^H, H_bar the adjoint of H -> R at triu(Y^H V_bar)
        m_bar = -2 * hermitian_part(_upper_adjoint(m, inner(y, v_bar))) @ ct(r)
        return PointsCotangents(y @ ct(m_bar) - v_bar, v_bar @ ct(r) + x @ m_bar)


def _qr_factor(x: Array, y: Array) -> tuple[Array, Array]:
    # (INV-QR) V = Y R - X is tangent: M R + R^H M^H = 2 I, M = X^H Y
    xp, m = namespace(x), inner(x, y)
    r = _upper(m, 2 * eye_like(m) + xp.zeros_like(m))
    diagonal = _real(xp.linalg.diagonal(r))
    smallest = xp.min(diagonal, axis=-1)
    exists = (smallest > 0) & (frobenius(r)[..., 0, 0] * max(m.shape[-1], 8) * eps(m) <= 1)
    _refuse(exists, smallest, "min r_ii = {:.3g} where X^H Y = (I + A) R^-1, A skew, needs positive ones", xp)
    return m, r


def _upper(m: Array, h: Array) -> Array:
    """R upper triangular with real diagonal and M R + R^H M^H = H, H Hermitian; NaN where there is none."""
    xp, p = namespace(m), m.shape[-1]
    r = None
    for j in range(p):
        column = _Column(m, j)
        b = h[..., : j + 1, j : j + 1]
        if r is None:
            b = b / 2
        else:  # rows above: the columns that are known
            b = xp.concat([b[..., :j, :] - ct(m[..., j : j + 1, :] @ r), b[..., j:, :] / 2], axis=-2)
        new = xp.concat([column.solve(b), xp.zeros_like(m[..., j + 1 :, :1])], axis=-2)
        r = new if r is None else xp.concat([r, new], axis=-1)
    return r


def _upper_adjoint(m: Array, r_bar: Array) -> Array:
    """Upper triangular H_bar with <R_bar, R> = <H_bar, H> for every H and the R of :func:`_upper`."""
    xp, p = namespace(m), m.shape[-1]
    h_bar = None
    for j in reversed(range(p)):
        column = _Column(m, j)
        b_bar = column.pull(r_bar[..., : j + 1, j : j + 1])
        new = xp.concat([b_bar[..., :j, :], _real_part(b_bar[..., j:, :]) / 2, m[..., j + 1 :, :1] * 0], axis=-2)
        h_bar = new if h_bar is None else xp.concat([new, h_bar], axis=-1)
        r_bar = r_bar[..., :, :j] - ct(m[..., j : j + 1, :]) @ ct(b_bar[..., :j, :])
    return h_bar


class _Column:
    """The system of column j: M_j r = b + i y e_j, M_j the leading block of M, y such that r_j is real."""

    def __init__(self, m: Array, j: int) -> None:
        self.down = inverse(m[..., : j + 1, : j + 1])
        self.complex = is_complex(m)
        self.w = self.down[..., :, j:]
        self.turn = _real(self.w[..., j:, :])

    def solve(self, b: Array) -> Array:
        u = self.down @ b
        if not self.complex:
            return u
        xp = namespace(b)
        r = u - 1j * (xp.imag(u[..., -1:, :]) / self.turn) * self.w
        return xp.concat([r[..., :-1, :], _real_part(r[..., -1:, :])], axis=-2)

    def pull(self, r_bar: Array) -> Array:
        if self.complex:
            xp = namespace(r_bar)
            r_bar = xp.concat([r_bar[..., :-1, :], _real_part(r_bar[..., -1:, :])], axis=-2)
            along = xp.real(ct(r_bar) @ (1j * self.w)) / self.turn
            r_bar = xp.concat([r_bar[..., :-1, :], r_bar[..., -1:, :] - 1j * along], axis=-2)
        return ct(self.down) @ r_bar


def _real(x: Array) -> Array:
    return namespace(x).real(x) if is_complex(x) else x


def _real_part(x: Array) -> Array:
    """The real part, in the dtype of x."""
    return (x + namespace(x).conj(x)) / 2 if is_complex(x) else x


# --- polar --------------------------------------------------------------------------------------------------------


def inverse_retract_polar(x: Array, y: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    r"""The tangent vector V at X with retract_polar(X, V) = Y.

    Parameters
    ----------
    x, y : arrays of shape (..., n, p)
        Points, as in :func:`inverse_retract_qr`.
    scale, check
        As in :func:`inverse_retract_qr`.

    Returns
    -------
    array of the shape of x
        Y S - X for c = 1, tangent to rounding of V.

    Raises
    ------
    OutsideDomain
        NaN or infinity; a point off the manifold; Y is no retraction of a tangent vector at X: X^H Y has an eigenvalue
        that is not in the open right half-plane.
    TypeError, ValueError
        As :func:`inverse_retract_qr`.

    Notes
    -----
    Equation (INV-POLAR): the Lyapunov equation M S + S M^H = 2 I, M = X^H Y, by the matrix sign iteration and one step
    of refinement. It has a positive definite solution if and only if the eigenvalues of M have positive real parts.
    12 n p^2 flops and about 10 p^3 a step, real; 6 to 10 steps for moderate V.

    References
    ----------
    [AbsilMahonySepulchre2008]_ for the retraction, [Roberts1980]_ for the sign iteration.
    """
    xp, x, y = enter_points(x, y, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        return times(clean(x, y @ _polar_factor(x, y)[1] - x), scale)


def inverse_retract_polar_jvp(
    x: Array, y: Array, x_dot: Array, y_dot: Array, *, scale: float = 1.0, check: bool = True
) -> Array:
    r"""Derivative of :func:`inverse_retract_polar` along (x_dot, y_dot).

    Parameters
    ----------
    x, y, x_dot, y_dot : arrays of shape (..., n, p)
        As in :func:`inverse_retract_qr_jvp`; Y S(X^H Y) - X is differentiated.
    scale, check
        As in :func:`inverse_retract_qr`.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`inverse_retract_polar`.

    Notes
    -----
    Equation (INV-POLAR-D).
    """
    xp, x, y = enter_points(x, y, scale, check, x_dot=x_dot, y_dot=y_dot)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        m, s = _polar_factor(x, y)
        # (INV-POLAR-D) M S_dot + S_dot M^H = -2 herm(M_dot S), V_dot = Y_dot S + Y S_dot - X_dot
        m_dot = inner(x_dot, y) + inner(x, y_dot)
        return y_dot @ s + y @ lyapunov(m, -2 * hermitian_part(m_dot @ s))[0] - x_dot


def inverse_retract_polar_vjp(
    x: Array, y: Array, v_bar: Array, *, scale: float = 1.0, check: bool = True
) -> PointsCotangents:
    r"""Adjoint of :func:`inverse_retract_polar_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, y, v_bar : arrays of shape (..., n, p)
        As in :func:`inverse_retract_qr_vjp`.
    scale, check
        As in :func:`inverse_retract_qr`.

    Returns
    -------
    PointsCotangents
        ``x_bar`` and ``y_bar``.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`inverse_retract_polar`.

    Notes
    -----
    Equation (INV-POLAR-D*).
    """
    xp, x, y = enter_points(x, y, scale, check, v_bar=v_bar)
    if 0 in x.shape:
        return PointsCotangents(xp.zeros_like(x), xp.zeros_like(x))
    with np.errstate(all="ignore"):
        m, s = _polar_factor(x, y)
        # (INV-POLAR-D*) M^H L + L M = herm(Y^H V_bar), M_bar = -2 L S, X_bar = Y M_bar^H - V_bar,
        # Y_bar = V_bar S + X M_bar
        m_bar = -2 * lyapunov(ct(m), hermitian_part(inner(y, v_bar)))[0] @ s
        return PointsCotangents(y @ ct(m_bar) - v_bar, v_bar @ s + x @ m_bar)


def _polar_factor(x: Array, y: Array) -> tuple[Array, Array]:
    # (INV-POLAR) V = Y S - X is tangent: M S + S M^H = 2 I, M = X^H Y, S Hermitian
    xp, m = namespace(x), inner(x, y)
    s, defect = lyapunov(m, 2 * eye_like(m) + xp.zeros_like(m))
    exists = (defect <= 0.5) & (frobenius(s)[..., 0, 0] * max(m.shape[-1], 8) * eps(m) <= 1)
    message = "the matrix sign of X^H Y misses I by {:.3g}: not all of its eigenvalues have positive real parts"
    _refuse(exists, defect, message, xp)
    return m, s


def lyapunov(m: Array, h: Array) -> tuple[Array, Array]:
    """Hermitian S with M S + S M^H = H, and |sign(M) - I|, at least 1 or NaN where M is not positive stable."""
    xp, n = namespace(m), m.shape[-1]
    # (LYAPUNOV) sign([[M, H], [0, -M^H]]) = [[I, 2 S], [0, -I]]: M <- (t M + M^-1/t)/2, H <- (t H + M^-1 H M^-H/t)/2
    steps, a = [], m
    for _ in range(MAX_STEPS):
        down = inverse(a)
        t = xp.sqrt(frobenius(down) / frobenius(a))
        near = frobenius(a - eye_like(a)) <= 0.1
        t = xp.where(near, xp.ones_like(t), t)  # quadratic convergence takes over
        steps.append((t, down / t))
        previous, a = a, (t * a + down / t) / 2
        if not bool(xp.any(frobenius(a - previous) > n * eps(m) ** 0.5)):
            break

    def apply(h: Array) -> Array:
        for t, down in steps:
            h = (t * h + down @ h @ ct(down) * t) / 2
        return hermitian_part(h) / 2

    s = apply(h)
    s = s + apply(h - 2 * hermitian_part(m @ s))
    return s, frobenius(a - eye_like(a))[..., 0, 0]


# --- Cayley -------------------------------------------------------------------------------------------------------


def inverse_retract_cayley(x: Array, y: Array, *, scale: float = 1.0, check: bool = True) -> Array:
    r"""The tangent vector V at X with retract_cayley(X, V) = Y.

    Parameters
    ----------
    x, y : arrays of shape (..., n, p)
        Points, as in :func:`inverse_retract_qr`.
    scale, check
        As in :func:`inverse_retract_qr`.

    Returns
    -------
    array of the shape of x
        Y M + X M^H - 2 X, M = 2 (I + X^H Y)^-1, for c = 1; tangent to rounding of V.

    Raises
    ------
    OutsideDomain
        NaN or infinity; a point off the manifold; Y is no retraction of a tangent vector at X: -1 is an eigenvalue of
        X^H Y to working precision.
    TypeError, ValueError
        As :func:`inverse_retract_qr`.

    Notes
    -----
    Equation (INV-CAYLEY); 14 n p^2 flops and an inverse of order p. Error a multiple of n eps |M|^2.
    """
    xp, x, y = enter_points(x, y, scale, check)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        # (INV-CAYLEY) V = Y M + X M^H - 2 X = (Y - X) M + X (M + M^H - 2 I)
        m = _cayley_factor(x, y)
        v = (y - x) @ m + x @ (2 * hermitian_part(m - eye_like(m)))
        return times(clean(x, v), scale)


def inverse_retract_cayley_jvp(
    x: Array, y: Array, x_dot: Array, y_dot: Array, *, scale: float = 1.0, check: bool = True
) -> Array:
    r"""Derivative of :func:`inverse_retract_cayley` along (x_dot, y_dot).

    Parameters
    ----------
    x, y, x_dot, y_dot : arrays of shape (..., n, p)
        As in :func:`inverse_retract_qr_jvp`; Y M + X M^H - 2 X, M = 2 (I + X^H Y)^-1, is differentiated.
    scale, check
        As in :func:`inverse_retract_qr`.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`inverse_retract_cayley`.

    Notes
    -----
    Equation (INV-CAYLEY-D).
    """
    xp, x, y = enter_points(x, y, scale, check, x_dot=x_dot, y_dot=y_dot)
    if 0 in x.shape:
        return xp.zeros_like(x)
    with np.errstate(all="ignore"):
        m = _cayley_factor(x, y)
        # (INV-CAYLEY-D) M_dot = -M (X_dot^H Y + X^H Y_dot) M/2
        m_dot = m @ (inner(x_dot, y) + inner(x, y_dot)) @ m / -2
        return y_dot @ m + y @ m_dot + x_dot @ ct(m) + x @ ct(m_dot) - 2 * x_dot


def inverse_retract_cayley_vjp(
    x: Array, y: Array, v_bar: Array, *, scale: float = 1.0, check: bool = True
) -> PointsCotangents:
    r"""Adjoint of :func:`inverse_retract_cayley_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    x, y, v_bar : arrays of shape (..., n, p)
        As in :func:`inverse_retract_qr_vjp`.
    scale, check
        As in :func:`inverse_retract_qr`.

    Returns
    -------
    PointsCotangents
        ``x_bar`` and ``y_bar``.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`inverse_retract_cayley`.

    Notes
    -----
    Equation (INV-CAYLEY-D*).
    """
    xp, x, y = enter_points(x, y, scale, check, v_bar=v_bar)
    if 0 in x.shape:
        return PointsCotangents(xp.zeros_like(x), xp.zeros_like(x))
    with np.errstate(all="ignore"):
        m = _cayley_factor(x, y)
        # (INV-CAYLEY-D*) P_bar = -M^H (Y^H V_bar + V_bar^H X) M^H/2
        p_bar = ct(m) @ (inner(y, v_bar) + ct(inner(x, v_bar))) @ ct(m) / -2
        return PointsCotangents(v_bar @ m - 2 * v_bar + y @ ct(p_bar), v_bar @ ct(m) + x @ p_bar)


def _cayley_factor(x: Array, y: Array) -> Array:
    xp = namespace(x)
    m = 2 * inverse(eye_like(x) + inner(x, y))
    size = frobenius(m)[..., 0, 0]
    exists = size * max(m.shape[-1], 8) * eps(m) <= 1
    _refuse(exists, size, "-1 is an eigenvalue of X^H Y to working precision: |2 (I + X^H Y)^-1| = {:.3g}", xp)
    return m


# --- by name ------------------------------------------------------------------------------------------------------


def inverse_retract(
    x: Array,
    y: Array,
    method: Literal["qr", "cholesky_qr", "polar", "cayley", "exp"],
    *,
    metric: Metric | None = None,
    scale: float = 1.0,
    check: bool = True,
) -> Array:
    """The inverse of :func:`retract` for that method: ``inverse_retract_qr``, ``_polar``, ``_cayley``, ``log``.

    Parameters
    ----------
    x, y : arrays of shape (..., n, p)
        Points, as in :func:`inverse_retract_qr`.
    method : {"qr", "cholesky_qr", "polar", "cayley", "exp"}
    metric : {"euclidean", "canonical"} or float, optional
        Of ``method="exp"``, which needs it; the others have none.
    scale, check
        As in :func:`inverse_retract_qr`.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As the function of that name.
    """
    require_choice("method", method, (*_OF, "exp"))
    if (metric is not None) != (method == "exp"):
        raise ValueError(f"metric={metric!r} with method={method!r}: exp needs a metric, the others have none")
    if method == "exp":
        return log(x, y, metric, scale=scale, check=check)  # type: ignore[arg-type]
    return _OF[method](x, y, scale=scale, check=check)


_OF = {
    "qr": inverse_retract_qr,
    "cholesky_qr": inverse_retract_qr,
    "polar": inverse_retract_polar,
    "cayley": inverse_retract_cayley,
}


def _refuse(exists: Array, size: Array, message: str, xp: Namespace) -> None:
    if not bool(xp.all(exists)):
        index = first_index(~exists, xp)
        reason = message.format(float(size[index]))
        raise OutsideDomain(f"y is no retraction of a tangent vector at x: {reason}" + at_batch(index))
