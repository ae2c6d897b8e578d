"""Sums of terms that are linear in each of several arrays, whatever the sizes of these: no overflow on the way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from orthoref.arrays import Array, at_batch, first_index, namespace
from orthoref.errors import OutsideDomain
from orthoref.linalg import UNSCALED, Scale, unit_scale


class Scaled(NamedTuple):
    """An array near 1 and the power of two that brought it there."""

    array: Array
    scale: Scale


def scaled(x: Array, divisor: float = 1.0) -> Scaled:
    """X brought near 1, then divided. Arrays without entries stay as they are."""
    scale = UNSCALED if 0 in x.shape else unit_scale(x)
    x = scale.apply(x)
    return Scaled(x if divisor == 1 else x / divisor, scale)


def scaled_pair(x: Array, v: Array, divisor: float = 1.0) -> tuple[Array, Array, Scale]:
    """Two arrays with one scale: a direction of a pair."""
    scale = unit_scale(namespace(x).concat([x, v], axis=-1))
    return scale.apply(x) / divisor, scale.apply(v) / divisor, scale


def collect(*terms: tuple[Array, tuple[Scale, ...]]) -> Array:
    """Sum of terms, each given with the scales of the factors that it is linear in.

    Raises
    ------
    OutsideDomain
        The sum has entries beyond the largest finite number.
    """
    with np.errstate(all="ignore"):  # judged below
        first, *rest = [_restored(term, scales) for term, scales in terms]
        total = sum(rest, first)
    xp = namespace(total)
    finite = xp.isfinite(total)
    if not bool(xp.all(finite)):
        raise OutsideDomain("the result overflows" + at_batch(first_index(~finite, xp)[:-2]))
    return total


def _restored(x: Array, scales: tuple[Scale, ...]) -> Array:
    scales = tuple(scale for scale in scales if scale is not UNSCALED)
    if not scales:
        return x
    down, down_again = scales[0]
    for scale in scales[1:]:
        down, down_again = down * scale.down, down_again * scale.down_again
    return x / down / down_again
