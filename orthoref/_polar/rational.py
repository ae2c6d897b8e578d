"""QDWH and Zolotarev iterations. Derivations: docs/derivations/polar, equations (QDWH) and (ZOLO)."""

from __future__ import annotations

from math import sqrt

from orthoref._polar import weights
from orthoref._polar.newton import spectral_bound
from orthoref.arrays import Array, namespace
from orthoref.linalg import ct, eps, eye_like, inverse

TARGET = 0.99  # all singular values in [TARGET, 1]: the polishing steps take over
MAX_STEPS = 10  # 6 suffice for lower = 1e-16


def qdwh(x: Array, lower: float | None) -> Array:
    """Unitary polar factor of square matrices to about 1e-2 by dynamically weighted Halley steps.

    X <- X (aI + b X^H X)(I + c X^H X)^-1, by the QR factorization of [sqrt(c) X; I] while c > 100 and by
    solving with I + c X^H X after. At most 26/3 n^3 flops a QR step, 13/3 n^3 a Cholesky-type step.
    """
    x, lower = _unit_interval(x, lower)
    for _ in range(MAX_STEPS):
        if lower >= TARGET:
            break
        a, b, c, lower = weights.halley(lower)
        x = b / c * x + (a - b / c) * _times_resolvent(x, c)
    return x


def zolotarev(x: Array, lower: float | None) -> Array:
    """Unitary polar factor of square matrices to about 1e-2 by two Zolotarev functions of type (2r+1, 2r).

    X <- m_hat (X + sum_j a_j X (X^H X + c_j I)^-1); r <= 8 is the least order for which two steps suffice.
    """
    x, lower = _unit_interval(x, lower)
    order = weights.zolotarev_order(lower, TARGET)
    while lower < TARGET:
        m_hat, poles, residues, lower = weights.zolotarev(lower, order)
        x = m_hat * (x + sum(a / c * _times_resolvent(x, 1 / c) for a, c in zip(residues, poles, strict=True)))
    return x


def _unit_interval(x: Array, lower: float | None) -> tuple[Array, float]:
    """X with all singular values in [lower, 1], up to those below eps, which count as noise."""
    xp = namespace(x)
    x = x / spectral_bound(x)
    if lower is None:
        lower = 1 / float(xp.max(spectral_bound(inverse(x))))
    else:
        lower = lower / sqrt(x.shape[-1])  # |x|_2 may be as small as 1/sqrt(n)
    return x, min(1.0, lower) if lower > eps(x) else eps(x)


def _times_resolvent(x: Array, c: float) -> Array:
    """X (I + c X^H X)^-1, by the route that is backward stable for this c."""
    xp = namespace(x)
    eye = eye_like(x)
    if c > 100:
        stacked = xp.broadcast_to(eye, x.shape)
        q, _ = xp.linalg.qr(xp.concat([sqrt(c) * x, stacked], axis=-2), mode="reduced")
        n = x.shape[-1]
        return q[..., :n, :] @ ct(q[..., n:, :]) / sqrt(c)
    return ct(xp.linalg.solve(eye + c * (ct(x) @ x), ct(x)))
