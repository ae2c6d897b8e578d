"""Dual numbers whose parts are stacks of matrices: a value and its derivative along one direction.

The parts are NumPy arrays, :class:`orthoref.oracle.fixed.Fixed`, or dual numbers again. Functions here take all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from orthoref.oracle import fixed
from orthoref.oracle.fixed import Fixed


@dataclass(frozen=True, slots=True)
class Dual:
    """x + d x_dot, d^2 = 0; ``+ - @`` and the entrywise ``*``."""

    value: Any
    dot: Any
    __array_ufunc__: ClassVar[None] = None  # an ndarray on the left would take the pair for an array

    def __neg__(self) -> Dual:
        return Dual(-self.value, None if self.dot is None else -self.dot)

    def __add__(self, other: Any) -> Dual:
        other = dual(other)
        return Dual(self.value + other.value, _sum(self.dot, other.dot))

    def __sub__(self, other: Any) -> Dual:
        return self + (-dual(other))

    def __mul__(self, other: Any) -> Dual:
        other = dual(other)
        return Dual(self.value * other.value, _sum(_times(self.dot, other.value), _times(other.dot, self.value)))

    def __matmul__(self, other: Any) -> Dual:
        other = dual(other)
        left = None if self.dot is None else self.dot @ other.value
        return Dual(self.value @ other.value, _sum(left, None if other.dot is None else self.value @ other.dot))


def dual(x: Any) -> Dual:
    """A constant as a dual number: its derivative, None, is not computed with."""
    return x if isinstance(x, Dual) else Dual(x, None)


def _sum(x: Any, y: Any) -> Any:
    return y if x is None else x if y is None else x + y


def _times(x: Any, y: Any) -> Any:
    return None if x is None else x * y


def _linear(function: Any, x: Dual) -> Dual:
    return Dual(function(x.value), None if x.dot is None else function(x.dot))


def ct(x: Any) -> Any:
    """Conjugate transpose."""
    return _linear(ct, x) if isinstance(x, Dual) else fixed.ct(x)


def conj(x: Any) -> Any:
    """Entrywise conjugate."""
    if isinstance(x, Dual):
        return _linear(conj, x)
    return Fixed(np.conj(x.words), x.exponent) if isinstance(x, Fixed) else np.conj(x)


def real(x: Any) -> Any:
    """Real part."""
    if isinstance(x, Dual):
        return _linear(real, x)
    return Fixed(x.words.real, x.exponent) if isinstance(x, Fixed) else x.real


def total(x: Any, axis: int | tuple[int, ...] = (-2, -1)) -> Any:
    """Sum over the last axes, which stay with length 1."""
    if isinstance(x, Dual):
        return _linear(lambda y: total(y, axis), x)
    return x.sum(axis) if isinstance(x, Fixed) else np.sum(x, axis=axis, keepdims=True)


def reciprocal(x: Any) -> Any:
    """1/x, entry by entry; in fixed point by Newton's method."""
    if isinstance(x, Dual):
        r = reciprocal(x.value)
        return Dual(r, None if x.dot is None else -(r * r * x.dot))
    if not isinstance(x, Fixed):
        return 1 / x
    r = Fixed.of(1 / x.rounded())
    for _ in range(2):  # 53, 106, 121 bits
        r = r + r * (1.0 - x * r)
    return r


def root(x: Any) -> Any:
    """Square root of positive entries; in fixed point by Newton's method for its reciprocal."""
    if isinstance(x, Dual):
        s = root(x.value)
        return Dual(s, None if x.dot is None else x.dot * reciprocal(s) * 0.5)
    if not isinstance(x, Fixed):
        return np.sqrt(x)
    r = Fixed.of(1 / np.sqrt(x.rounded()))
    for _ in range(2):
        r = r + r * (1.0 - x * r * r) * 0.5
    return x * r


def modulus(x: Any) -> Any:
    """|x| of entries that are not zero."""
    return root(real(conj(x) * x))


def real_inner(x: Any, y: Any, axis: int | tuple[int, ...] = (-2, -1)) -> Any:
    """Re tr(X^H Y); with ``axis=-2`` of every pair of columns."""
    return total(real(conj(x) * y), axis)
