"""Cayley transforms, their inverse and their series. Derivations: docs/derivations/constructors."""

from __future__ import annotations

from math import inf, log
from typing import Literal, NamedTuple

import array_api_compat as compat

from orthoref._constructors.door import require_count, require_orthonormal, require_skew, require_tangent
from orthoref._constructors.householder_factor import householder_factor
from orthoref.arrays import Array, Namespace, at_batch, enter, first_index, is_complex, require_choice, require_shape
from orthoref.errors import OutsideDomain
from orthoref.linalg import ct, eps, eye_like, skew_part

Side = Literal["left", "right"]


class CayleyFactors(NamedTuple):
    """Skew-Hermitian ``a`` (..., n, n) and ``diagonal`` (..., n) of +1 and -1 with Q = cayley(a, diagonal=diagonal)."""

    a: Array
    diagonal: Array


def cayley(
    a: Array, *, sign: int = 1, factor: float = 1.0, side: Side = "left", diagonal: Array | None = None
) -> Array:
    r"""Cayley transform (I + c A)^-1 (I - c A) D of a skew-Hermitian matrix, c = sign factor.

    Parameters
    ----------
    a : array of shape (..., n, n)
        Skew-Hermitian, :func:`skew_from_vector` makes one.
    sign : {1, -1}
        Of A. 1 is the textbook.
    factor : float
        Of A, positive: 1 is the textbook, 1/2 the form that agrees with exp(-A) to second order.
    side : {"left", "right"}
        Where the inverse stands. The factors commute: it decides about rounding only.
    diagonal : array of shape (..., n), optional
        Of entries 1 and -1, in the dtype of a. Without it no Q has the eigenvalue -1.

    Returns
    -------
    array of shape (..., n, n)

    Raises
    ------
    OutsideDomain
        NaN or infinity; not skew-Hermitian, with the defect; a result that is not finite.
    TypeError, ValueError
        Wrong type, dtype, shape or option.

    Notes
    -----
    Equation (CAYLEY). The error is a multiple of n eps (1 + |c A|), also in Q^H Q - I.

    torch's ``parametrizations.orthogonal(orthogonal_map="cayley")`` and geotorch: ``sign=-1, factor=0.5``; expRNN and
    PEFT's PSOFT: ``sign=-1``; scoRNN: ``diagonal``; PEFT's OFT and BOFT: ``side="right"``.

    Examples
    --------
    >>> import numpy as np
    >>> import orthoref
    >>> orthoref.cayley(np.asarray([[0.0, 1.0], [-1.0, 0.0]])) + 0.0
    array([[ 0., -1.],
           [ 1.,  0.]])
    """
    xp, c = _enter(a, sign, factor, diagonal)
    require_choice("side", side, ("left", "right"))
    b, eye = c * a, eye_like(a)
    # (I - B)(I + B)^-1 is the adjoint of (I - B)^-1 (I + B)
    q = _solve(eye + b, eye - b, xp) if side == "left" else ct(_solve(eye - b, eye + b, xp))
    return q if diagonal is None else q * diagonal[..., None, :]


def cayley_jvp(a: Array, a_dot: Array, *, sign: int = 1, factor: float = 1.0, diagonal: Array | None = None) -> Array:
    r"""Derivative of :func:`cayley`.

    Parameters
    ----------
    a, a_dot : arrays of shape (..., n, n)
        Skew-Hermitian point and direction.
    sign, factor, diagonal : options
        As in :func:`cayley`.

    Returns
    -------
    array of shape (..., n, n)
        Tangent at Q: Q^H Q_dot is skew-Hermitian.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`cayley`, for both.

    Notes
    -----
    Equation (CAYLEY-DOT).
    """
    xp, c = _enter(a, sign, factor, diagonal, a_dot=a_dot)
    require_shape("a_dot", a_dot, a.shape)
    require_skew(a_dot, xp, name="a_dot")
    # (CAYLEY-DOT) Q_dot = -2c (I + cA)^-1 A_dot (I + cA)^-1 D
    n = _solve(eye_like(a) + c * a, eye_like(a) + xp.zeros_like(a), xp)
    q_dot = -2 * c * (n @ a_dot @ n)
    return q_dot if diagonal is None else q_dot * diagonal[..., None, :]


def cayley_vjp(a: Array, q_bar: Array, *, sign: int = 1, factor: float = 1.0, diagonal: Array | None = None) -> Array:
    r"""Adjoint of :func:`cayley_jvp` for Re tr(X^H Y), on the space of skew-Hermitian matrices.

    Parameters
    ----------
    a : array of shape (..., n, n)
    q_bar : array of shape (..., n, n)
        Cotangent.
    sign, factor, diagonal : options
        As in :func:`cayley`.

    Returns
    -------
    array of shape (..., n, n)
        Skew-Hermitian ``a_bar``. For parameters in one triangle follow with :func:`skew_from_vector_vjp`.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`cayley`.

    Notes
    -----
    Equation (CAYLEY-BAR).
    """
    xp, c = _enter(a, sign, factor, diagonal, q_bar=q_bar)
    require_shape("q_bar", q_bar, a.shape)
    # (CAYLEY-BAR) A_bar = -2c skew((I + cA)^-H Q_bar D (I + cA)^-H)
    n = ct(_solve(eye_like(a) + c * a, eye_like(a) + xp.zeros_like(a), xp))
    return -2 * c * skew_part(n @ (q_bar if diagonal is None else q_bar * diagonal[..., None, :]) @ n)


def inverse_cayley(
    q: Array, *, sign: int = 1, factor: float = 1.0, diagonal: Array | Literal["auto"] | None = None
) -> CayleyFactors:
    r"""Skew-Hermitian A with cayley(A) = Q.

    Parameters
    ----------
    q : array of shape (..., n, n)
        Orthogonal or unitary.
    sign, factor : options
        As in :func:`cayley`.
    diagonal : array of shape (..., n) or "auto", optional
        None: all 1, and A exists exactly if -1 is no eigenvalue of Q. ``"auto"``: entries 1 and -1 such
        that A exists and is small, which is possible for every Q.

    Returns
    -------
    CayleyFactors
        ``a``, skew-Hermitian to the last bit, and ``diagonal``. With ``"auto"`` entries of c A are at most sqrt(2) in
        modulus (complex: 2 on the diagonal, sqrt(6) beside it), up to rounding.

    Raises
    ------
    OutsideDomain
        NaN or infinity; not unitary, with the defect; an eigenvalue of Q D that is -1 to working precision,
        sigma_min(I + Q D) <= max(n, 8) eps.
    TypeError, ValueError
        Wrong type, dtype, shape or option.

    Notes
    -----
    Equations (CAYLEY-INVERSE) and (CAYLEY-SIGNS). That signs exist for every real Q was known to [Kahan2006]_ and
    others; they start from :func:`householder_factor`, and a pair of signs is changed while an entry is too large, at
    most n times. The error is a multiple of n eps (1 + |c A|^2)/c.

    Examples
    --------
    >>> import numpy as np
    >>> import orthoref
    >>> a, d = orthoref.inverse_cayley(-np.eye(2), diagonal="auto")
    >>> np.any(a), d
    (np.False_, array([-1., -1.]))
    """
    xp, c, d = _enter_inverse(q, sign, factor, diagonal)
    if 0 in q.shape:
        return CayleyFactors(xp.zeros_like(q), d)
    n = _inverse_of_one_plus(q * d[..., None, :], xp)
    # (CAYLEY-INVERSE) cA = (I + QD)^-1 (I - QD)
    return CayleyFactors(skew_part(n @ (eye_like(q) - q * d[..., None, :])) / c, d)


def inverse_cayley_jvp(
    q: Array, q_dot: Array, *, sign: int = 1, factor: float = 1.0, diagonal: Array | Literal["auto"] | None = None
) -> Array:
    r"""Derivative of :func:`inverse_cayley`; the diagonal is locally constant.

    Parameters
    ----------
    q, q_dot : arrays of shape (..., n, n)
        Point and tangent.
    sign, factor, diagonal : options
        As in :func:`inverse_cayley`.

    Returns
    -------
    array of shape (..., n, n)
        Skew-Hermitian ``a_dot``.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`inverse_cayley`; ``q_dot`` not tangent.

    Notes
    -----
    Equation (CAYLEY-INVERSE-DOT).
    """
    xp, c, d = _enter_inverse(q, sign, factor, diagonal, q_dot=q_dot)
    require_tangent(q, q_dot, xp)
    if 0 in q.shape:
        return xp.zeros_like(q)
    n = _inverse_of_one_plus(q * d[..., None, :], xp)
    # (CAYLEY-INVERSE-DOT) A_dot = -(2/c) (I + QD)^-1 Q_dot D (I + QD)^-1
    return -2 / c * skew_part(n @ (q_dot * d[..., None, :]) @ n)


def inverse_cayley_vjp(
    q: Array, a_bar: Array, *, sign: int = 1, factor: float = 1.0, diagonal: Array | Literal["auto"] | None = None
) -> Array:
    r"""Adjoint of :func:`inverse_cayley_jvp` for Re tr(X^H Y), on the tangent space at q.

    Parameters
    ----------
    q : array of shape (..., n, n)
    a_bar : array of shape (..., n, n)
        Cotangent; its Hermitian part meets nothing.
    sign, factor, diagonal : options
        As in :func:`inverse_cayley`.

    Returns
    -------
    array of shape (..., n, n)
        ``q_bar``, tangent at q.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`inverse_cayley`.

    Notes
    -----
    Equation (CAYLEY-INVERSE-BAR).
    """
    xp, c, d = _enter_inverse(q, sign, factor, diagonal, a_bar=a_bar)
    require_shape("a_bar", a_bar, q.shape)
    if 0 in q.shape:
        return xp.zeros_like(q)
    n = ct(_inverse_of_one_plus(q * d[..., None, :], xp))
    # (CAYLEY-INVERSE-BAR) Q_bar = -(2/c) (I + QD)^-H skew(A_bar) (I + QD)^-H D, tangent as it is
    return -2 / c * (n @ skew_part(a_bar) @ n) * d[..., None, :]


def cayley_log_jacobian(a: Array, *, factor: float = 1.0) -> Array:
    r"""Logarithm of |det| of the derivative of :func:`cayley`, for densities of orthogonal and unitary matrices.

    Parameters
    ----------
    a : array of shape (..., n, n)
        Skew-Hermitian.
    factor : float
        As in :func:`cayley`; sign, side and diagonal do not matter.

    Returns
    -------
    real array of shape (...)
        Of the map A_dot -> Q^H Q_dot of the skew-Hermitian matrices to themselves.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`cayley`.

    Notes
    -----
    Equation (CAYLEY-VOLUME): ``n (n - 1)/2 log(2c) - (n - 1) log det(I + cA)`` real,
    ``n^2 log(2c) - 2n log|det(I + cA)|`` complex.
    """
    xp, c = _enter(a, 1, factor, None)
    n = a.shape[-1]
    log_det = xp.linalg.slogdet(eye_like(a) + c * a).logabsdet
    if is_complex(a):
        return n * n * log(2 * c) - 2 * n * log_det
    return n * (n - 1) // 2 * log(2 * c) - (n - 1) * log_det


def cayley_rectangular(x: Array) -> Array:
    r"""Matrix with orthonormal columns of any tall matrix, by the Cayley transform of Trockman and Kolter.

    Parameters
    ----------
    x : array of shape (..., m, n), m >= n
        U (n rows) above V.

    Returns
    -------
    array of shape (..., m, n)
        (I + A)^-1 (I - A) above -2 V (I + A)^-1, A = U - U^H + V^H V.

    Raises
    ------
    OutsideDomain
        NaN or infinity; a result that is not finite.
    TypeError, ValueError
        Wrong type, dtype or number of dimensions; wide x: pass its adjoint. (The published code takes the plain
        transpose, also of complex matrices.)

    Notes
    -----
    Equation (CAYLEY-TALL), [TrockmanKolter2021]_. Only the skew-Hermitian part of U matters.
    """
    xp = _enter_tall(x)
    p = x.shape[-1]
    n, v = _tall(x, xp)
    return xp.concat([2 * n - eye_like(x), -2 * (v @ n)], axis=-2) if p else xp.zeros_like(x)


def cayley_rectangular_jvp(x: Array, x_dot: Array) -> Array:
    """Derivative of :func:`cayley_rectangular`.

    Parameters
    ----------
    x, x_dot : arrays of shape (..., m, n)
        Point and direction.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`cayley_rectangular`.

    Notes
    -----
    Equation (CAYLEY-TALL-DOT).
    """
    xp = _enter_tall(x, x_dot=x_dot)
    require_shape("x_dot", x_dot, x.shape)
    p = x.shape[-1]
    n, v = _tall(x, xp)
    u_dot, v_dot = x_dot[..., :p, :], x_dot[..., p:, :]
    # (CAYLEY-TALL-DOT) N_dot = -N A_dot N, N = (I + A)^-1
    g = ct(v) @ v_dot
    n_dot = -(n @ (u_dot - ct(u_dot) + g + ct(g)) @ n)
    return xp.concat([2 * n_dot, -2 * (v_dot @ n + v @ n_dot)], axis=-2)


def cayley_rectangular_vjp(x: Array, q_bar: Array) -> Array:
    """Adjoint of :func:`cayley_rectangular_jvp` for Re tr(X^H Y).

    Parameters
    ----------
    x : array of shape (..., m, n)
    q_bar : array of shape (..., m, n)
        Cotangent.

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`cayley_rectangular`.

    Notes
    -----
    Equation (CAYLEY-TALL-BAR).
    """
    xp = _enter_tall(x, q_bar=q_bar)
    require_shape("q_bar", q_bar, x.shape)
    p = x.shape[-1]
    n, v = _tall(x, xp)
    above, below = q_bar[..., :p, :], q_bar[..., p:, :]
    # (CAYLEY-TALL-BAR) N_bar = 2 Q_1_bar - 2 V^H Q_2_bar, A_bar = -N^H N_bar N^H
    a_bar = -2 * (ct(n) @ (above - ct(v) @ below) @ ct(n))
    return xp.concat([a_bar - ct(a_bar), v @ (a_bar + ct(a_bar)) - 2 * (below @ ct(n))], axis=-2)


def cayley_neumann(a: Array, *, terms: int, sign: int = 1, factor: float = 1.0) -> Array:
    r"""Cayley transform with the inverse replaced by the first terms of its Neumann series.

    Parameters
    ----------
    a : array of shape (..., n, n)
        Skew-Hermitian.
    terms : int
        K >= 1 powers of -cA, from the zeroth. PEFT's ``num_cayley_neumann_terms`` is K + 1.
    sign, factor : options
        As in :func:`cayley`.

    Returns
    -------
    array of shape (..., n, n)
        sum_{k<K} (-cA)^k (I - cA) = (I - (-cA)^K) cayley(a). Not unitary: :func:`cayley_neumann_defect`.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`cayley`.

    Notes
    -----
    Equation (CAYLEY-NEUMANN). Every matrix has a value; it is near the Cayley transform only if |cA|_2 < 1.
    """
    xp, c = _enter(a, sign, factor, None)
    require_count("terms", terms, 1)
    b = c * a
    s = _partial_sums(b, terms, xp)[-1]
    return s - s @ b


def cayley_neumann_jvp(a: Array, a_dot: Array, *, terms: int, sign: int = 1, factor: float = 1.0) -> Array:
    """Derivative of :func:`cayley_neumann`.

    Parameters
    ----------
    a, a_dot : arrays of shape (..., n, n)
        Skew-Hermitian point and direction.
    terms, sign, factor : options
        As in :func:`cayley_neumann`.

    Returns
    -------
    array of shape (..., n, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`cayley_neumann`, for both.

    Notes
    -----
    Equation (CAYLEY-NEUMANN-DOT).
    """
    xp, c = _enter(a, sign, factor, None, a_dot=a_dot)
    require_count("terms", terms, 1)
    require_shape("a_dot", a_dot, a.shape)
    require_skew(a_dot, xp, name="a_dot")
    b, b_dot = c * a, c * a_dot
    sums = _partial_sums(b, terms, xp)
    s_dot = xp.zeros_like(a)
    for s in sums[:-1]:
        s_dot = -(b_dot @ s + b @ s_dot)  # (CAYLEY-NEUMANN-DOT)
    return s_dot - s_dot @ b - sums[-1] @ b_dot


def cayley_neumann_vjp(a: Array, q_bar: Array, *, terms: int, sign: int = 1, factor: float = 1.0) -> Array:
    """Adjoint of :func:`cayley_neumann_jvp` for Re tr(X^H Y), on the space of skew-Hermitian matrices.

    Parameters
    ----------
    a : array of shape (..., n, n)
    q_bar : array of shape (..., n, n)
        Cotangent.
    terms, sign, factor : options
        As in :func:`cayley_neumann`.

    Returns
    -------
    array of shape (..., n, n)
        Skew-Hermitian.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`cayley_neumann`.

    Notes
    -----
    Equation (CAYLEY-NEUMANN-BAR).
    """
    xp, c = _enter(a, sign, factor, None, q_bar=q_bar)
    require_count("terms", terms, 1)
    require_shape("q_bar", q_bar, a.shape)
    b = c * a
    *sums, last = _partial_sums(b, terms, xp)
    s_bar, b_bar = q_bar - q_bar @ ct(b), -(ct(last) @ q_bar)
    for s in reversed(sums):
        s_bar, b_bar = -(ct(b) @ s_bar), b_bar - s_bar @ ct(s)  # (CAYLEY-NEUMANN-BAR)
    return c * skew_part(b_bar)


def cayley_neumann_defect(a: Array, *, terms: int, sign: int = 1, factor: float = 1.0) -> Array:
    r"""Q^H Q - I of :func:`cayley_neumann` in exact arithmetic, by a formula without Q.

    Parameters
    ----------
    a : array of shape (..., n, n)
        Skew-Hermitian.
    terms, sign, factor : options
        As in :func:`cayley_neumann`.

    Returns
    -------
    array of shape (..., n, n)
        With N = (-cA)^K: N^2 - 2N for even K, -N^2 for odd K. Singular values of Q are |1 - (-i t)^K| for the
        eigenvalues i t of cA.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`cayley_neumann`.

    Notes
    -----
    Equation (CAYLEY-NEUMANN-DEFECT).
    """
    xp, c = _enter(a, sign, factor, None)
    require_count("terms", terms, 1)
    power = eye_like(a) + xp.zeros_like(a)
    for _ in range(terms):
        power = -c * (power @ a)
    return -(power @ power) if terms % 2 else power @ power - 2 * power


def _partial_sums(b: Array, terms: int, xp: Namespace) -> list[Array]:
    """S_1 = I, S_{k+1} = I - B S_k."""
    eye = eye_like(b)
    sums = [eye + xp.zeros_like(b)]
    for _ in range(terms - 1):
        sums.append(eye - b @ sums[-1])
    return sums


def _tall(x: Array, xp: Namespace) -> tuple[Array, Array]:
    """(CAYLEY-TALL) N = (I + A)^-1, A = U - U^H + V^H V, and V."""
    p = x.shape[-1]
    u, v = x[..., :p, :], x[..., p:, :]
    eye = eye_like(x)
    return _solve(eye + (u - ct(u) + ct(v) @ v), eye + xp.zeros_like(u), xp), v


def _solve(left: Array, right: Array, xp: Namespace) -> Array:
    """I + cA is never singular; entries near the largest finite number can make it so in floating point."""
    try:
        x = xp.linalg.solve(left, right)
    except Exception as error:  # numpy.linalg.LinAlgError, torch.linalg.LinAlgError, ...: no common base
        if "LinAlgError" not in type(error).__name__:
            raise
        x = xp.full_like(right, float("nan"))
    finite = xp.all(xp.isfinite(x), axis=(-2, -1))
    if not bool(xp.all(finite)):
        raise OutsideDomain("I + c A is singular to working precision" + at_batch(first_index(~finite, xp)))
    return x


def _inverse_of_one_plus(p: Array, xp: Namespace) -> Array:
    """(I + P)^-1, refused where -1 is an eigenvalue of P."""
    one_plus = eye_like(p) + p
    smallest = xp.min(xp.linalg.svdvals(one_plus), axis=-1)
    tolerance = max(p.shape[-1], 8) * eps(p)
    good = smallest > tolerance
    if not bool(xp.all(good)):
        index = first_index(~good, xp)
        raise OutsideDomain(
            f"an eigenvalue of Q D is -1 to working precision: sigma_min(I + Q D) = {float(smallest[index]):.1e}, not "
            f"above {tolerance:.1e}; diagonal='auto' finds signs with which it is not" + at_batch(index)
        )
    return xp.linalg.inv(one_plus)


def _signs(q: Array, xp: Namespace) -> Array:
    """(CAYLEY-SIGNS) Elimination makes |det(I + QD)| >= 1; while an entry of A is too large, other signs double it."""
    n = q.shape[-1]
    d = -householder_factor(q, diagonal="sign").d
    eye = eye_like(q)
    beside, on = (6**0.5, 2.0) if is_complex(q) else (2**0.5, inf)
    limits = beside + (on - beside) * xp.real(eye) if is_complex(q) else beside + xp.zeros_like(eye)
    for _ in range(n):
        a = 2 * xp.linalg.inv(eye + q * d[..., None, :]) - eye
        score = xp.abs(a) / limits
        diagonal = score * (xp.real(eye) if is_complex(q) else eye)
        score = xp.where(xp.max(diagonal, axis=(-2, -1), keepdims=True) > 1, diagonal, score)
        flat = xp.reshape(score, (*q.shape[:-2], n * n))
        largest = xp.max(flat, axis=-1, keepdims=True)
        if not bool(xp.any(largest > 1)):
            break
        where = xp.argmax(flat, axis=-1, keepdims=True)
        k = xp.arange(n, device=compat.device(q))
        hit = (largest > 1) & ((k == where // n) | (k == where % n))
        d = xp.where(hit, -d, d)
    return d


def _enter(a: Array, sign: int, factor: float, diagonal: Array | None, **others: Array) -> tuple[Namespace, float]:
    c = _constant(sign, factor)
    xp = enter(a=a, **others)
    require_skew(a, xp)
    if diagonal is not None:
        _require_signs(diagonal, a, xp)
    return xp, c


def _enter_inverse(
    q: Array, sign: int, factor: float, diagonal: Array | str | None, **others: Array
) -> tuple[Namespace, float, Array]:
    c = _constant(sign, factor)
    xp = enter(q=q, **others)
    require_orthonormal(q, xp)
    if diagonal is None or 0 in q.shape:
        return xp, c, xp.ones(q.shape[:-1], dtype=q.dtype, device=compat.device(q))
    if isinstance(diagonal, str):
        require_choice("diagonal", diagonal, ("auto",))
        return xp, c, _signs(q, xp)
    _require_signs(diagonal, q, xp)
    return xp, c, diagonal + xp.zeros(q.shape[:-1], dtype=q.dtype, device=compat.device(q))


def _enter_tall(x: Array, **others: Array) -> Namespace:
    xp = enter(x=x, **others)
    if x.shape[-2] < x.shape[-1]:
        raise ValueError(f"x has shape {tuple(x.shape)}: pass the adjoint of a wide matrix")
    return xp


def _constant(sign: int, factor: float) -> float:
    if sign not in (1, -1) or isinstance(sign, bool):
        raise ValueError(f"sign={sign!r} must be 1 or -1")
    if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 0 < factor < inf:
        raise ValueError(f"factor={factor!r} must be a positive finite number")
    return sign * float(factor)


def _require_signs(diagonal: Array, a: Array, xp: Namespace) -> None:
    enter(a=a, diagonal=diagonal[..., None] if compat.is_array_api_obj(diagonal) and diagonal.ndim else diagonal)
    if tuple(diagonal.shape) not in ((a.shape[-1],), tuple(a.shape[:-1])):
        require_shape("diagonal", diagonal, a.shape[:-1])
    if not bool(xp.all((diagonal == 1) | (diagonal == -1))):
        raise ValueError("diagonal must consist of 1 and -1")
