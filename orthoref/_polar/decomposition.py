"""Polar decomposition A = U H. Derivations: docs/derivations/polar."""

from __future__ import annotations

from typing import Literal, NamedTuple

import array_api_compat as compat
import numpy as np

from orthoref import kernels
from orthoref._polar.newton import newton
from orthoref._polar.rational import qdwh, zolotarev
from orthoref.arrays import (
    Array,
    at_batch,
    dtype_name,
    enter,
    first_index,
    namespace,
    require_choice,
)
from orthoref.errors import NotConverged, OutsideDomain
from orthoref.linalg import (
    Scale,
    ct,
    eps,
    eye_like,
    frobenius,
    hermitian_part,
    inner,
    skew_part,
    unit_scale,
)

Side = Literal["right", "left"]
Method = Literal["auto", "svd", "newton", "qdwh", "zolotarev"]
RankDeficient = Literal["complete", "partial", "raise"]

SMALL = 48  # above, the 49 eps |A| that LAPACK's SVD neglects in binary64 are within the promised n eps |A|
MAX_POLISHING_STEPS = 8  # a defect of 0.6 takes five to 1e-9


class PolarResult(NamedTuple):
    """Unitary factor ``u`` (..., m, n) and Hermitian factor ``h`` (..., n, n), or (..., m, m) for side="left"."""

    u: Array
    h: Array


def polar(
    a: Array,
    *,
    side: Side = "right",
    method: Method = "auto",
    impl: kernels.Impl = "auto",
    rank_deficient: RankDeficient = "complete",
    scaling: Literal["byers-xu", "one-inf"] | None = None,
    lower: float | None = None,
) -> PolarResult:
    r"""Polar decomposition, ``a = u @ h`` (right) or ``a = h @ u`` (left).

    Parameters
    ----------
    a : array of shape (..., m, n)
        float32, float64, complex64 or complex128, in any array-API namespace; tall, square or wide.
    side : {"right", "left"}
        Right: ``h = (a^H a)^(1/2)`` of order n. Left: ``h = (a a^H)^(1/2)`` of order m. ``u`` is the same.
    method : {"auto", "svd", "newton", "qdwh", "zolotarev"}
        Route to the unitary factor. ``"auto"`` takes the SVD, the one route that needs no condition estimate, and
        Newton's iteration where it has a kernel. The other three iterate on the triangular factor of a QR
        factorization where a is not square, and hand every matrix for which they miss the bounds below (numerically
        singular ones) to the SVD.
    impl : {"auto", "generic", "kernel"}
        ``"kernel"`` demands the compiled twin, ``"auto"`` takes it where it pays, ``"generic"`` is the array-API
        path. There is one for ``method="auto"`` and ``"newton"`` on stacks of small square NumPy matrices (extra
        ``numba``), several times as fast as their SVD; :doc:`/kernels` says which.
    rank_deficient : {"complete", "partial", "raise"}
        What ``u`` is when sigma_min <= max(k, 8) eps sigma_max, k = min(m, n). ``"complete"``: still orthonormal
        columns (rows if wide), completed by whatever basis of the null space the method found. ``"partial"``: the
        partial isometry with the null space of ``a`` (of the canonical polar decomposition), from the SVD.
        ``"raise"``: :class:`~orthoref.OutsideDomain`.
    scaling : {"byers-xu", "one-inf"}, optional
        Of ``method="newton"``: Byers-Xu (default) or Higham's 1,inf-norm scaling.
    lower : float, optional
        Of ``method="qdwh"`` and ``"zolotarev"``: lower bound on sigma_min/sigma_max of the whole stack,
        estimated from the inverse if not given (eps if singular). Too large a value costs time, not accuracy.

    Returns
    -------
    PolarResult
        Named tuple ``(u, h)`` in the namespace, dtype and device of ``a``. ``h`` is Hermitian to the last bit
        and positive semidefinite up to rounding. A zero matrix has ``h = 0`` and, completed, ``u = eye(m, n)``
        up to the sign choices of the SVD; an empty one has empty or zero factors.

    Raises
    ------
    OutsideDomain
        NaN or infinity in ``a``; a rank-deficient matrix with ``rank_deficient="raise"``; an ``h`` with
        entries beyond the largest finite number (possible once ``|a|_2`` is).
    NotConverged
        The SVD of the library failed.
    TypeError, ValueError
        Wrong type, dtype, number of dimensions or option; an array that torch differentiates or JAX traces (the message
        says how :func:`polar_vjp` takes part).

    Notes
    -----
    Accuracy, in Frobenius norms with n the smaller dimension: ``|I - U^H U| <= c eps`` and
    ``|A - U H| <= c eps |A|`` with c = max(n, 8) over the oracle's battery; the quantiles, a fraction of it,
    are on the accuracy page. Every method ends with polishing steps U <- U + U(I - U^H U)/2 (on the triangular
    factor, if m >= 16 n) and H = (U^H A + A^H U)/2, so that the residual of a square matrix is the skew-Hermitian
    part of U^H A. Where an iteration leaves more than n eps |A|, the SVD with a first-order correction replaces it.

    Flops for a real square matrix beside the 8 n^3 of polishing, U and H: SVD about 22 n^3, Newton
    8/3 n^3 a step (at most 9), QDWH 26/3 n^3 and 13/3 n^3 a step (at most 6).

    XLA flushes subnormal numbers to zero: on JAX arrays, so does this function.

    Values steer the iteration, so ``jax.jit`` cannot trace it; call it on concrete arrays.

    References
    ----------
    [Higham2008]_ chapter 8, [ByersXu2008]_, [NakatsukasaBaiGygi2010]_, [NakatsukasaFreund2016]_,
    [NakatsukasaHigham2012]_ for what accuracy of both factors means.

    Examples
    --------
    >>> import numpy as np
    >>> import orthoref
    >>> u, h = orthoref.polar(np.asarray([[0.0, -2.0], [3.0, 0.0]]))
    >>> u.round(12) + 0.0
    array([[ 0., -1.],
           [ 1.,  0.]])
    >>> h.round(12) + 0.0
    array([[3., 0.],
           [0., 2.]])
    """
    require_choice("side", side, ("right", "left"))
    require_choice("method", method, ("auto", "svd", "newton", "qdwh", "zolotarev"))
    require_choice("impl", impl, ("auto", "generic", "kernel"))
    require_choice("rank_deficient", rank_deficient, ("complete", "partial", "raise"))
    if impl == "kernel" and (method not in ("auto", "newton") or rank_deficient == "partial"):
        raise ValueError("impl='kernel' needs method='auto' or 'newton' and rank_deficient other than 'partial'")
    if scaling is not None:
        require_choice("scaling", scaling, ("byers-xu", "one-inf"))
        if method != "newton":
            raise ValueError(f"scaling belongs to method='newton', not {method!r}")
    if lower is not None:
        if method not in ("qdwh", "zolotarev"):
            raise ValueError(f"lower belongs to method='qdwh' and 'zolotarev', not {method!r}")
        if not 0 < lower <= 1:
            raise ValueError(f"lower={lower!r} is not in (0, 1]")
    xp = enter(a=a)
    *batch, m, n = a.shape
    order = n if side == "right" else m
    if 0 in a.shape:
        empty = xp.zeros((*batch, order, order), dtype=a.dtype, device=compat.device(a))
        return PolarResult(xp.zeros_like(a), empty)

    with np.errstate(all="ignore"):  # what overflows or is NaN on the way is judged at the end
        scale = unit_scale(a)
        x = scale.apply(a)
        if rank_deficient == "raise":
            s = svd(x)[1]
            refuse_small(s[..., -1:], s, x, scale, "a is rank deficient")
        tall = x if m >= n else ct(x)  # A = U H is A^H = H U^H
        u, g = _tall_factor(tall, method, impl, rank_deficient == "partial", scaling or "byers-xu", lower)
        if (side == "right") != (m >= n):
            g = tall @ ct(u)
        h = scale.undo(hermitian_part(g))
        u = u if m >= n else ct(u)
    finite = xp.all(xp.isfinite(h), axis=(-2, -1))
    if not bool(xp.all(finite)):
        raise OutsideDomain(
            f"h overflows: a has |a|_2 beyond the largest {dtype_name(a)}" + at_batch(first_index(~finite, xp))
        )
    return PolarResult(u, h)


def svd(x: Array) -> tuple[Array, Array, Array]:
    """Thin SVD (P, s, V^H); NotConverged where the library says so."""
    try:
        return tuple(namespace(x).linalg.svd(x, full_matrices=False))
    except Exception as error:
        if "LinAlgError" not in type(error).__name__:
            raise
        raise NotConverged(f"the SVD of a {tuple(x.shape)} {dtype_name(x)} array failed: {error}") from error


def _tall_factor(
    x: Array, method: str, impl: str, partial: bool, scaling: str, lower: float | None
) -> tuple[Array, Array]:
    """U and U^H X, for at least as many rows as columns."""
    xp = namespace(x)
    m, n = x.shape[-2:]
    iterative = method not in ("auto", "svd") and not partial
    if m >= 2 * n or (m > n and iterative):
        # A = Q R: U is Q times the polar factor of R. Householder's Q commits about 1 n eps; from m = 16 n on, where
        # polishing would cost as much as the rest, that was measured to be a fraction of it
        q, r = xp.linalg.qr(x, mode="reduced")
        u, g = _tall_factor(r, method, impl, partial, scaling, lower)
        u = q @ u
        return (_polish(u)[0] if m < 16 * n else u), g
    if method in ("auto", "newton") and not partial and (kernel := kernels.find("newton.polar", x, impl)) is not None:
        u, g, good = kernel(x, scaling)
        if not xp.all(good):
            u_svd, x_svd = _by_svd(x[~good], partial=False, refine=True), x[~good]
            at = xp.reshape(xp.cumulative_sum(xp.reshape(~good, (-1,))), good.shape) - 1
            good = good[..., None, None]
            u, g = xp.where(good, u, u_svd[at]), xp.where(good, g, inner(u_svd, x_svd)[at])
        return u, g
    if not iterative:
        u = _by_svd(x, partial=partial, refine=n <= SMALL)
        return u, inner(u, x)
    u = _by_iteration(x, method, scaling, lower)
    g = inner(u, x)
    promised = frobenius(skew_part(g)) <= n * eps(x) * frobenius(x)  # NaN: the iteration failed
    if not bool(xp.all(promised)):
        u = xp.where(promised, u, _by_svd(x, partial=False, refine=True))
        g = inner(u, x)
    return u, g


def _by_svd(x: Array, *, refine: bool, partial: bool) -> Array:
    xp = namespace(x)
    p, s, vh = svd(x)
    if partial:
        p = p * xp.astype(s > _rank_tolerance(x, s), x.dtype)[..., None, :]
    if refine:
        # (SVD) P^H X V differs from diag(s) by the backward error of the SVD. The polar factor of P^H X V to
        # first order takes it out of U; pairs with a sum below sqrt(eps) s_1 would not be first order
        f = inner(p, x) @ ct(vh)
        total = sums(s)
        small = total <= eps(x) ** 0.5 * s[..., :1, None]
        omega = xp.where(small, xp.zeros_like(f), 2 * skew_part(f) / xp.where(small, xp.ones_like(total), total))
        p = p + p @ omega
    return _polish(p @ vh)[0]


def _by_iteration(x: Array, method: str, scaling: str, lower: float | None) -> Array:
    """Orthonormal to rounding, or NaN where the iteration did not get near enough for the polishing."""
    xp = namespace(x)
    if method == "newton":
        u = newton(x, scaling)
    else:
        u = (qdwh if method == "qdwh" else zolotarev)(x, lower)
    for _ in range(MAX_POLISHING_STEPS):
        u, rest = _polish(u)
        defect = frobenius(rest)
        if not bool(xp.any(defect > eps(x) ** 0.5)):
            break
    return xp.where(defect <= eps(x) ** 0.5, u, xp.full_like(u, float("nan")))


def _polish(u: Array) -> tuple[Array, Array]:
    """(POLISH) Newton-Schulz step U + U(I - U^H U)/2, and I - U^H U of the old U.

    A defect d < 1 becomes at most d^2: after d <= sqrt(eps) rounding is all that is left.
    """
    rest = eye_like(u) - inner(u, u)
    return u + u @ (rest / 2), rest


def _rank_tolerance(x: Array, s: Array) -> Array:
    """max(n, 8) eps s_1, n = min(m, n): a smaller singular value is within the backward error; shape (..., 1)."""
    return max(8, min(x.shape[-2:])) * eps(x) * s[..., :1]


def refuse_small(size: Array, s: Array, x: Array, scale: Scale, what: str) -> None:
    """OutsideDomain with the singular values where ``size`` is below the rank tolerance."""
    xp = namespace(s)
    tolerance = _rank_tolerance(x, s)
    outside = ~(size > tolerance)
    if bool(xp.any(outside)):
        index = first_index(outside[..., 0], xp)
        s = scale.undo(s[..., None])[(*index, slice(None), 0)]
        last_two = "".join(f", sigma_{{n-1}} = {float(value):.3g}" for value in (s[-2:-1]))
        raise OutsideDomain(
            f"{what}: sigma_min = {float(s[-1]):.3g}{last_two}, sigma_max = {float(s[0]):.3g}, "
            f"tolerance max(n, 8) eps sigma_max" + at_batch(index)
        )


def sums(s: Array) -> Array:
    """s_i + s_j, shape (..., n, n)."""
    return s[..., :, None] + s[..., None, :]
