"""Arithmetic of a port that stores in a short format and accumulates in float32.

Derivation: docs/derivations/newton_schulz.

The model (STORE): every matrix that is stored is rounded to the format, to nearest, ties to even, with gradual
underflow; a product with the scaled addition behind it is one fused operation, evaluated in float32 from stored
operands and rounded once. What the format cannot hold is an error.
"""

from __future__ import annotations

from orthoref.arrays import Array, at_batch, first_index, is_complex, namespace
from orthoref.errors import OutsideDomain
from orthoref.formats import FORMATS

EMULATED = ("bfloat16", "float16", "float32")


def store(x: Array, precision: str | None) -> Array:
    """X rounded to the format (both parts of a complex number); X itself for None and float32."""
    if precision in (None, "float32"):
        return x
    if is_complex(x):
        xp = namespace(x)
        return _round(xp.real(x), precision) + 1j * _round(xp.imag(x), precision)
    return _round(x, precision)


def _round(x: Array, precision: str) -> Array:
    """2^(e-k) round(2^(k-e) x), 2^e <= |x| < 2^(e+1), k bits after the leading one: exact but for the rounding."""
    xp = namespace(x)
    of = FORMATS[precision]
    two = xp.full_like(x, 2.0)
    size = xp.abs(x)
    exponent = xp.floor(xp.log2(xp.where(size > 0, size, two)))
    # log2 may round to the next integer
    exponent = xp.where(xp.pow(two, exponent) > size, exponent - 1, exponent)
    exponent = xp.where((xp.pow(two, exponent) <= size / 2) & (size > 0), exponent + 1, exponent)
    scale = xp.pow(two, exponent)
    steps = xp.pow(two, xp.minimum(xp.full_like(x, of.bits - 1.0), exponent - of.smallest))
    rounded = xp.round(x / scale * steps) / steps * scale
    outside = ~(xp.abs(rounded) <= of.largest)
    if bool(xp.any(outside)):
        index = first_index(outside, xp)
        raise OutsideDomain(f"{float(x[index]):.6g} at entry {index[-2:]} overflows {precision}" + at_batch(index[:-2]))
    return rounded
