"""What the mathematics shares: adjoints, inner products, norms, scaling by powers of two, the inverse."""

from __future__ import annotations

from itertools import zip_longest
from typing import NamedTuple

import array_api_compat as compat
import numpy as np

from orthoref.arrays import Array, at_batch, first_index, is_complex, namespace
from orthoref.errors import OutsideDomain


def ct(x: Array) -> Array:
    """Conjugate transpose of the last two axes; no copy for real arrays."""
    xp = namespace(x)
    return xp.conj(x.mT) if is_complex(x) else x.mT


BLOCK = 256


def inner(x: Array, y: Array) -> Array:
    """X^H Y, for very tall X and Y as a sum over blocks of rows.

    One product of m rows in a row commits up to m roundings, m/n units of n eps; blocks keep that independent of m.
    """
    m, n = x.shape[-2:]
    count = m // BLOCK
    if count < 2 or m < 64 * n:
        return ct(x) @ y
    xp, head = namespace(x), count * BLOCK
    x_blocks, y_blocks = (xp.reshape(z[..., :head, :], (*z.shape[:-2], count, BLOCK, z.shape[-1])) for z in (x, y))
    return xp.sum(ct(x_blocks) @ y_blocks, axis=-3) + ct(x[..., head:, :]) @ y[..., head:, :]


def hermitian_part(x: Array) -> Array:
    """(X + X^H)/2, Hermitian to the last bit."""
    return (x + ct(x)) / 2


def skew_part(x: Array) -> Array:
    """(X - X^H)/2, skew-Hermitian to the last bit."""
    return (x - ct(x)) / 2


def eps(x: Array) -> float:
    """Distance from 1 to the next number of the array's dtype (twice the unit roundoff)."""
    return float(namespace(x).finfo(x.dtype).eps)


def eye_like(x: Array) -> Array:
    """Identity of order n for an array of shape (..., m, n), in its dtype and on its device."""
    xp = namespace(x)
    return xp.eye(x.shape[-1], dtype=x.dtype, device=compat.device(x))


def frobenius(x: Array) -> Array:
    """Frobenius norm of every matrix, shape (..., 1, 1)."""
    return namespace(x).linalg.matrix_norm(x, keepdims=True)


class Scale(NamedTuple):
    """A power of two per matrix, 2^(-e) = down * down_again, split so that both halves are normal numbers."""

    down: Array | float
    down_again: Array | float

    def apply(self, x: Array) -> Array:
        """Scale X."""
        return x if self is UNSCALED else x * self.down * self.down_again

    def undo(self, x: Array) -> Array:
        """Scale back."""
        return x if self is UNSCALED else x / self.down / self.down_again


UNSCALED = Scale(1.0, 1.0)


def unit_scale(x: Array, axis: int | tuple[int, int] = (-2, -1), least: float = 0.0) -> Scale:
    """The power of two that brings the largest component of every matrix (along ``axis``) into [1/2, 4); 1 for zero.

    Where ``least`` is larger than all components, it is brought there instead.

    ([1, 2) but for the rounding of the library's log2.) Multiplying by it is exact except for components 2^1020 times
    smaller than the largest one. UNSCALED if all largest components lie in [2^-16, 2^16], far from every overflow.
    """
    xp = namespace(x)
    size = xp.maximum(xp.abs(xp.real(x)), xp.abs(xp.imag(x))) if is_complex(x) else xp.abs(x)
    largest = xp.max(size, axis=axis, keepdims=True)
    if least:
        largest = xp.maximum(largest, xp.full_like(largest, min(least, float(xp.finfo(largest.dtype).max))))
    if bool(xp.all((largest >= 2.0**-16) & (largest <= 2.0**16))):
        return UNSCALED
    exponent = -xp.floor(xp.log2(xp.where(largest > 0, largest, xp.ones_like(largest))))
    half = xp.floor(exponent / 2)
    two = xp.full_like(half, 2.0)
    return Scale(xp.pow(two, half), xp.pow(two, exponent - half))


def rescale_derivative(x: Array, scale: Scale, *directions: Scale, degree: int = -1) -> Array:
    """Undo the scaling of a derivative, homogeneous of ``degree`` -1 or -2 in A and of 1 in every direction."""
    if all(one is UNSCALED for one in (scale, *directions)):
        return x
    xp = namespace(x)
    down = down_again = 1.0
    with np.errstate(all="ignore"):  # judged below
        # in pairs: the scale of A nearly cancels that of a direction of its size
        for a, e in zip_longest((scale,) * -degree, directions, fillvalue=UNSCALED):
            down, down_again = down * (a.down / e.down), down_again * (a.down_again / e.down_again)
        x = x * down * down_again
    finite = xp.all(xp.isfinite(x), axis=(-2, -1))
    if not bool(xp.all(finite)):
        raise OutsideDomain("the derivative overflows" + at_batch(first_index(~finite, xp)))
    return x


def inverse(x: Array) -> Array:
    """Inverse, all NaN where the library reports an exactly singular matrix (NumPy: the whole stack)."""
    xp = namespace(x)
    try:
        return xp.linalg.inv(x)
    except Exception as error:  # numpy.linalg.LinAlgError, torch.linalg.LinAlgError, ...: no common base
        if "LinAlgError" not in type(error).__name__:
            raise
        return xp.full_like(x, float("nan"))
