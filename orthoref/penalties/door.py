"""What the penalties share: the Gram matrix that is meant, powers of two, dot products, ties, refusals."""

from __future__ import annotations

from math import frexp, inf
from typing import Any, Literal, NamedTuple

import array_api_compat as compat
import numpy as np

from orthoref.arrays import (
    Array,
    Namespace,
    at_batch,
    dtype_name,
    enter,
    first_index,
    is_complex,
    namespace,
    require_choice,
    require_shape,
)
from orthoref.errors import OutsideDomain
from orthoref.linalg import UNSCALED, ct, eps, eye_like, frobenius, hermitian_part, inner, unit_scale

Gram = Literal["columns", "rows", "smaller"]
AtZero = Literal["mean", "raise"]
Subgradient = Literal["mean", "first", "raise"]


class Point(NamedTuple):
    """W = X 2^e (``turned``: W = X^H 2^e), and the weight g^2 4^-e of the identity beside X^H X."""

    x: Array
    e: Array
    weight: Array
    turned: bool

    def turn(self, w: Array) -> Array:
        """Between the orientation of W and that of X."""
        return ct(w) if self.turned else w

    def residual(self) -> Array:
        """X^H X - g^2 4^-e I, Hermitian to the last bit."""
        return hermitian_part(inner(self.x, self.x)) - self.weight * eye_like(self.x)

    def rounding(self) -> Array:
        """Bound on the rounding error of the residual in the Frobenius norm: max(n, 8) eps (|X|^2 + weight root n)."""
        n = self.x.shape[-1]
        return max(n, 8) * eps(self.x) * (frobenius(self.x) ** 2 + n**0.5 * self.weight)

    def moved(self, v: Array) -> Array:
        """E = X^H V + V^H X, the derivative of the Gram matrix along V in the orientation of X."""
        return 2 * hermitian_part(inner(self.x, v))


def enter_matrix(w: Array, **others: Array) -> Namespace:
    """Take in a matrix with entries and others of its shape."""
    xp = enter(w=w, **others)
    if 0 in w.shape[-2:]:
        raise ValueError(f"w has shape {tuple(w.shape)}: a matrix without entries has no penalty")
    for name, x in others.items():
        require_shape(name, x, w.shape)
    return xp


def turned(w: Array, gram: str) -> bool:
    """Whether the Gram matrix that is meant is W W^H, that of the columns of W^H."""
    require_choice("gram", gram, ("columns", "rows", "smaller"))
    return gram == "rows" or (gram == "smaller" and w.shape[-2] < w.shape[-1])


def turn(x: Array, w: Array, gram: str) -> Array:
    """Between the orientation of W and the one whose columns have the Gram matrix that is meant."""
    return ct(x) if turned(w, gram) else x


def point(w: Array, gram: str, gain: float = 1.0) -> Point:
    """Bring max(|W|, gain) near 1 and turn W so that the Gram matrix is X^H X."""
    flip = turned(w, gram)
    x, e = near_one(w, least=gain)
    significand, exponent = frexp(gain)
    weight = shifted(significand**2 * namespace(e).ones_like(e), 2 * (exponent - e))
    return Point(ct(x) if flip else x, e, weight, flip)


def near_one(x: Array, axis: int | tuple[int, int] = (-2, -1), least: float = 0.0) -> tuple[Array, Array]:
    """X 2^-e with components of about 1 at most, and the integers e, broadcast against X."""
    xp = namespace(x)
    scale = unit_scale(x, axis, least)
    if scale is UNSCALED:
        return x, xp.zeros((1, 1), dtype=real_dtype(x), device=compat.device(x))
    return scale.apply(x), -xp.round(xp.log2(scale.down) + xp.log2(scale.down_again))


def shifted(x: Array, exponent: Array) -> Array:
    """X times 2^exponent in steps that all go one way: only the result can overflow or underflow."""
    xp = namespace(x)
    step = 1000.0 if dtype_name(exponent) == "float64" else 120.0
    with np.errstate(all="ignore"):  # judged by the caller
        while bool(xp.any(exponent != 0)):
            part = xp.clip(exponent, -step, step)
            x, exponent = x * xp.pow(xp.full_like(part, 2.0), part), exponent - part
    return x


def numbers(x: Array, exponent: Array | None = None) -> Array:
    """One number a matrix, shape (...), of X 2^exponent of shape (..., 1, 1)."""
    return finite(x if exponent is None else shifted(x, exponent), "the value")[..., 0, 0]


def matrices(x: Array, exponent: Array | None = None) -> Array:
    """X 2^exponent, refused if it overflows."""
    return finite(x if exponent is None else shifted(x, exponent), "the derivative")


def finite(x: Array, what: str) -> Array:
    """Refuse entries beyond the largest finite number."""
    xp = namespace(x)
    fine = xp.all(xp.isfinite(x), axis=(-2, -1))
    if not bool(xp.all(fine)):
        raise OutsideDomain(f"{what} overflows" + at_batch(first_index(~fine, xp)))
    return x


def refuse(flags: Array, message: str) -> None:
    """OutsideDomain for the first matrix, flags of shape (..., 1, 1)."""
    xp = namespace(flags)
    if bool(xp.any(flags)):
        raise OutsideDomain(message + at_batch(first_index(flags, xp)[:-2]))


def dot(x: Array, y: Array) -> Array:
    """Re tr(X^H Y), shape (..., 1, 1)."""
    xp = namespace(x)
    products = xp.real(x) * xp.real(y) + xp.imag(x) * xp.imag(y) if is_complex(x) else x * y
    return xp.sum(products, axis=(-2, -1), keepdims=True)


def real_dtype(x: Array) -> Any:
    """Dtype of the absolute values."""
    return namespace(x).real(x).dtype if is_complex(x) else x.dtype


def quotient(x: Array, size: Array) -> Array:
    """X/size, 0 where size is 0."""
    xp = namespace(x)
    return xp.where(size > 0, x / xp.where(size > 0, size, xp.ones_like(size)), xp.zeros_like(x))


def first(flags: Array) -> Array:
    """The first true entry of every row of (..., 1, n), as one of n weights; all zero if there is none."""
    xp = namespace(flags)
    count = xp.cumulative_sum(xp.astype(flags, xp.int64), axis=-1)
    return flags & (count == 1)


def require_gain(gain: Any, w: Array) -> float:
    """Refuse what is no positive normal number of the dtype."""
    info = namespace(w).finfo(w.dtype)
    if isinstance(gain, bool) or not isinstance(gain, (int, float)) or not 0 < gain < inf:
        raise ValueError(f"gain={gain!r} must be a positive finite number")
    if not float(info.smallest_normal) <= gain <= float(info.max):
        raise ValueError(f"gain={gain!r} is no normal number of {dtype_name(w)}")
    return float(gain)
