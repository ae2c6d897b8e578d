"""Inputs near the limits of a format: the square of their norm leaves its range.

There whatever forms a norm, a Gram matrix or an inner product without scaling first overflows, or loses its digits to
subnormal numbers. That is a property of the format as much as of the port, and is told apart in a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

import numpy as np

from orthoref.oracle.precision import Precision


def near_limits(arrays: Iterable[np.ndarray], formats: Iterable[Precision]) -> bool:
    """Whether |A|_F^2 of some matrix, not 0, is above the largest number of a format or below its smallest normal."""
    formats = [*formats]
    most = min(sqrt(each.largest) for each in formats)
    least = max(sqrt(each.tiny / each.eps) for each in formats)
    found = (norms(a) for a in arrays if a.size)
    return any(bool(np.any((n > most) | ((n > 0) & (n < least)))) for n in found)


def norms(a: np.ndarray) -> np.ndarray:
    """|A|_F of each matrix of a stack, without overflow or underflow on the way."""
    size = np.abs(np.atleast_2d(a).astype(np.complex128 if np.iscomplexobj(a) else np.float64))
    largest = size.max((-2, -1), keepdims=True)
    with np.errstate(all="ignore"):
        scaled = size / np.where(largest > 0, largest, 1)
        return largest[..., 0, 0] * np.sqrt(np.sum(scaled**2, (-2, -1)))
