"""Scalar sequences of the rational iterations, as Python floats: they depend on a lower bound only.

Each maps an interval [lower, 1] that holds all singular values to the next one.
Derivations: docs/derivations/polar, equations (QDWH) and (ZOLO).
"""

from __future__ import annotations

from math import pi, prod, sinh, sqrt, tan
from typing import NamedTuple


class Halley(NamedTuple):
    """f(x) = x (a + b x^2)/(1 + c x^2), the best type-(3,2) map of [lower, 1] into [lower_next, 1]."""

    a: float
    b: float
    c: float
    lower: float


def halley(lower: float) -> Halley:
    """Dynamic weights of Nakatsukasa, Bai and Gygi (2010) for singular values in [lower, 1].

    >>> halley(1.0)[:3]
    (3.0, 1.0, 3.0)
    """
    square = lower * lower
    # d = cbrt(4 (1 - l^2)/l^4), written so that l^4 cannot underflow
    d = (4 * (1 - square) / square) ** (1 / 3) / square ** (1 / 3)
    root = sqrt(1 + d)
    a = root + sqrt(8 - 4 * d + 8 * (2 - square) / (square * root)) / 2
    b = (a - 1) ** 2 / 4
    c = a + b - 1
    return Halley(a, b, c, min(1.0, lower * (a + b * square) / (1 + c * square)))


class Zolotarev(NamedTuple):
    """f(x) = m_hat x (1 + sum_j a_j/(x^2 + c_j)), type (2r+1, 2r), f(1) = 1."""

    m_hat: float
    poles: tuple[float, ...]
    residues: tuple[float, ...]
    lower: float


def zolotarev(lower: float, r: int) -> Zolotarev:
    """Zolotarev's best rational approximation of sign on [lower, 1], scaled to f(1) = 1, in partial fractions."""
    c = _zolotarev_nodes(lower, r)
    odd, even = c[0::2], c[1::2]
    m_hat = prod((1 + p) / (1 + z) for p, z in zip(odd, even, strict=True))
    residues = tuple(_residue(p, odd, even) for p in odd)
    square = lower * lower
    image = m_hat * lower * prod((square + z) / (square + p) for p, z in zip(odd, even, strict=True))
    return Zolotarev(m_hat, tuple(odd), residues, min(1.0, image))


def _residue(p: float, odd: list[float], even: list[float]) -> float:
    # zeros and poles in pairs: products of all zeros or all poles underflow for lower < 1e-45
    return -prod((p - z) / (p - q) if q != p else p - z for q, z in zip(odd, even, strict=True))


def _zolotarev_nodes(lower: float, r: int) -> list[float]:
    # c_i = l^2 sc^2(i K'/(2r+1)), i = 1..2r, sc = sn/cn of modulus k' = sqrt(1 - l^2).
    # sc(K' - u) = 1/(l sc(u)), so c_{2r+1-i} = l^2/c_i and only u <= K'/2 is evaluated.
    quarter = _complementary_quarter_period(lower)
    lower_half = [(lower * _sc(i * quarter / (2 * r + 1), lower)) ** 2 for i in range(1, r + 1)]
    return lower_half + [lower**2 / c for c in reversed(lower_half)]


def _complementary_quarter_period(k: float) -> float:
    """K(sqrt(1 - k^2)) = pi/(2 agm(1, k))."""
    x, y = 1.0, k
    while x - y > 1e-8 * x:  # quadratic: the mean below is then exact to rounding
        x, y = (x + y) / 2, sqrt(x * y)
    return pi / (x + y)


def _sc(u: float, k: float) -> float:
    """sc(u) of modulus sqrt(1 - k^2): sn(iu, k) = i sc(u), by the descending Landen transformation in k."""
    if k < 1e-16:  # sn(iu, 0) = i sinh(u), for u <= K'/2 with a relative error of k/4
        return sinh(u)
    if k == 1:
        return tan(u)
    k1 = (k / (1 + sqrt((1 - k) * (1 + k)))) ** 2  # (1 - k')/(1 + k')
    s = _sc(u / (1 + k1), k1)
    return (1 + k1) * s / (1 - k1 * s * s)


def zolotarev_order(lower: float, target: float) -> int:
    """Smallest r with which two maps take [lower, 1] into [target, 1], at most 8."""
    for r in range(1, 8):
        if zolotarev(zolotarev(lower, r).lower, r).lower >= target:
            return r
    return 8
