"""Stacks of matrices in fixed point, 120 bits and more, in products of float64 arrays only.

Each matrix has its own exponent: its value is B^e (w_0/B + w_1/B^2 + ...), B = 2^20, with integers |w_j| <= 2^19.
Products of words are integers, and sums of up to 2^15 of them stay below 2^53: BLAS adds them without error in whatever
order, equation (WORDS). What is lost are the words beyond the last, relative to the largest entry of the matrix, and in
products, which keep one more since both first words may be small, relative to the largest entries of both.
"""

from __future__ import annotations

from typing import Any, Union

import numpy as np

from orthoref.oracle.residual import exponent_of

BITS, WORDS = 20, 7  # the first word may hold one bit only: 121 bits at least
BASE = 2.0**BITS
LONG = 2**14 // WORDS  # longest sums of products, of which a complex one is two
NOTHING = -(2**30)  # exponent of a zero matrix: it never decides about the other one


class Fixed:
    """Immutable; ``+ - @`` and the entrywise ``*`` with broadcasting, ``x.H``, ``float(x)`` as :meth:`rounded`."""

    __slots__ = ("exponent", "words")
    __array_ufunc__ = None  # an ndarray on the left leaves the operation to us

    def __init__(self, words: np.ndarray, exponent: np.ndarray) -> None:
        self.words, self.exponent = words, exponent

    @classmethod
    def of(cls, x: np.ndarray) -> Fixed:
        """A float64 or complex128 stack; exact but for entries below 2^-67 of the largest."""
        exponent = -(-exponent_of(x) // BITS)
        rest, words = _ldexp(x, -BITS * exponent), []
        for _ in range(WORDS):
            words.append(np.rint(rest * BASE))
            rest = rest * BASE - words[-1]
        return _normalized(np.stack(words), exponent)

    def rounded(self) -> np.ndarray:
        """The nearest float64 or complex128, but for a rounding or two."""
        total = np.zeros_like(self.words[0])
        for word in self.words[::-1]:
            total = (total + word) / BASE
        return _ldexp(total, np.maximum(BITS * self.exponent, -10000))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the stack."""
        return self.words.shape[1:]

    @property
    def H(self) -> Fixed:  # noqa: N802 - the superscript
        """Conjugate transpose."""
        return Fixed(np.conj(np.swapaxes(self.words, -2, -1)), self.exponent)

    def __neg__(self) -> Fixed:
        return Fixed(-self.words, self.exponent)

    def __add__(self, other: Matrix) -> Fixed:
        other = fixed(other)
        exponent = np.maximum(self.exponent, other.exponent)
        x, y = (_moved(z.words, exponent - z.exponent, WORDS + 1) for z in (self, other))
        return _normalized(x + y, exponent)

    def __sub__(self, other: Matrix) -> Fixed:
        return self + (-fixed(other))

    def __rsub__(self, other: Matrix | float) -> Fixed:
        return fixed(other) - self

    __radd__ = __add__

    def __matmul__(self, other: Matrix) -> Fixed:
        """(WORDS) All pairs of words of one weight in one product of long rows with long columns."""
        other = fixed(other)
        x, y = self.words, other.words
        if x.shape[-1] > LONG:
            head, tail = slice(None, LONG), slice(LONG, None)
            first, rest = (
                Fixed(x[..., part], self.exponent) @ Fixed(y[..., part, :], other.exponent) for part in (head, tail)
            )
            return first + rest
        words = [
            np.concatenate([*x[max(k - WORDS + 1, 0) : k + 1]], axis=-1)
            @ np.concatenate([*y[max(k - WORDS + 1, 0) : k + 1][::-1]], axis=-2)
            for k in range(WORDS + 1)
        ]
        return _normalized(np.stack(words), self.exponent + other.exponent - 1)

    def __rmatmul__(self, other: Matrix) -> Fixed:
        return fixed(other) @ self

    def __mul__(self, other: Matrix | float) -> Fixed:
        """Entry by entry."""
        other = fixed(other)
        x, y = self.words, other.words
        words = [
            sum(x[i] * y[k - i] for i in range(max(k - WORDS + 1, 0), min(k + 1, WORDS))) for k in range(WORDS + 1)
        ]
        return _normalized(np.stack(words), self.exponent + other.exponent - 1)

    __rmul__ = __mul__

    def sum(self, axis: int | tuple[int, ...]) -> Fixed:
        """Over the last axes, which stay with length 1."""
        return _normalized(np.sum(self.words, axis=axis, keepdims=True), self.exponent)


Matrix = Union[Fixed, np.ndarray]


def fixed(x: Matrix | float) -> Fixed:
    """As fixed point; numbers as matrices that broadcast."""
    return x if isinstance(x, Fixed) else Fixed.of(np.full((1, 1), x) if isinstance(x, (int, float)) else x)


def rounded(x: Matrix) -> np.ndarray:
    """As float64 or complex128."""
    return x.rounded() if isinstance(x, Fixed) else x


def ct(x: Any) -> Any:
    """Conjugate transpose of either kind."""
    return x.H if isinstance(x, Fixed) else np.conj(np.swapaxes(x, -2, -1))


def _ldexp(x: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    if np.iscomplexobj(x):
        return np.ldexp(x.real, exponent) + 1j * np.ldexp(x.imag, exponent)
    return np.ldexp(x, exponent)


def _normalized(words: np.ndarray, exponent: np.ndarray) -> Fixed:
    """Words carried from the last to the first, leading zeros shifted out."""
    extra = 3  # words are below 2^53
    words = np.concatenate([np.zeros((extra, *words.shape[1:]), words.dtype), words])
    for k in range(len(words) - 1, 0, -1):
        carry = np.rint(words[k] / BASE)
        words[k] -= carry * BASE
        words[k - 1] += carry
    some = np.any(words != 0, axis=(-2, -1), keepdims=True)
    first = np.argmax(some, axis=0)
    exponent = np.where(np.any(some, axis=0), exponent + extra - first, NOTHING)
    return Fixed(_moved(words, -first, WORDS), exponent)


def _moved(words: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """So many words, moved to later places (earlier ones if negative), those beyond the last cut off."""
    words = words.reshape(len(words), *[1] * (places.ndim + 1 - words.ndim), *words.shape[1:])
    if places.size and np.all(places == (place := int(places.flat[0]))):  # as for every single matrix
        moved = np.zeros((count, *words.shape[1:]), words.dtype)
        some = words[max(-place, 0) : max(count - place, 0)]
        first = min(max(place, 0), count)
        moved[first : first + len(some)] = some
        return moved
    index = np.arange(count).reshape(-1, *[1] * places.ndim) - places
    inside = (index >= 0) & (index < len(words))
    return np.where(inside, np.take_along_axis(words, np.where(inside, index, 0), axis=0), 0)
