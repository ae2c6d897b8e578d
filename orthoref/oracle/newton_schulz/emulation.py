"""Results of ports that store a short format, in the usual orders of evaluation: float32, a few roundings, stacks.

Derivation: docs/derivations/newton_schulz, sections Emulated arithmetic and Pooled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from orthoref.oracle.newton_schulz.claim import Iteration

Number = np.ndarray | np.float32  # one, or one for every stack of matrices
Coefficients = Sequence[Sequence[Number]]  # of every step


class Order(NamedTuple):
    """How a step is put together, and what of it is stored: sums with products (0), products (1), everything (2).

    Matrices that are symmetric but for rounding are multiplied from one side or, ``flipped``, from the other: those of
    Horner's rule; in the Gram form also Q, and G.
    """

    how: str
    kept: int
    flipped: tuple[bool, bool, bool] = (False, False, False)


HOW = {"standard": ("horner", "powers", "chain", "shifted"), "gram": ("horner", "powers", "separate")}
ORDERS = {form: tuple(Order(*each) for each in product(how, (0, 1, 2))) for form, how in HOW.items()}


def flipped(form: str) -> Iterator[Order]:
    """Every order, from every side on which something depends."""
    for order in ORDERS[form]:
        sides = (False, True) if order.how in ("horner", "shifted", "separate") else (False,)
        for side in product(sides, *([(False, True)] * 2 if form == "gram" else [(False,)] * 2)):
            yield order._replace(flipped=side)


def orders(x: np.ndarray, claimed: Iteration, precision: str) -> Iterator[np.ndarray]:
    """Results of a normalized tall float32 matrix, or of a stack of them, in the orders of evaluation ``ORDERS``."""
    rows = [[np.float32(c) for c in row] for row in claimed.schedule.coefficients(claimed.steps)]
    for order in ORDERS[claimed.form]:
        yield emulated(x, rows, claimed, order, precision)


def emulated(x: np.ndarray, rows: Coefficients, claimed: Iteration, order: Order, precision: str) -> np.ndarray:
    """The result in one order, with other coefficients than those of the claim."""
    arithmetic = _Arithmetic(precision, order)
    if claimed.form == "gram":
        return arithmetic.gram(x, rows, claimed.restart)
    for c in rows:
        x = arithmetic.step(x, c)
    return x


def rounded(x: np.ndarray, precision: str) -> np.ndarray:
    """To nearest, ties to even: bit by bit for bfloat16, which is a float32 cut short."""
    if precision == "float16":
        return x.astype(np.float16).astype(np.float32)
    bits = x.view(np.uint32)
    even = (bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))) & np.uint32(0xFFFF0000)
    return np.where(np.isfinite(x), even.view(np.float32), x)


class _Arithmetic:
    """Products and sums in an order."""

    def __init__(self, precision: str, order: Order) -> None:
        self.precision, (self.how, self.kept, self.flipped) = precision, order

    def store(self, x: np.ndarray) -> np.ndarray:
        """Rounded."""
        return rounded(x, self.precision)

    def product(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """X Y, which is added to something."""
        return self.store(x @ y) if self.kept else x @ y

    def times(self, c: Number, x: np.ndarray) -> np.ndarray:
        """C X, which is added to something."""
        return self.store(c * x) if self.kept == 2 else c * x

    def tail(self, g: np.ndarray, c: Sequence[Number]) -> np.ndarray:
        """S = c_1 G + ... + c_q G^q, by Horner's rule or by powers."""
        if len(c) == 2:
            return self.store(c[1] * g)
        if self.how == "powers":
            s, power = self.times(c[1], g), g
            for a in c[2:]:
                power = self.store(g @ power)
                s = self.store(s + self.times(a, power))
            return s

        def by_g(s: np.ndarray) -> np.ndarray:
            return self.product(s, g) if self.flipped[0] else self.product(g, s)

        if self.kept:
            s, rest = self.store(c[-1] * g), c[-2:0:-1]
        else:
            s, rest = self.store(c[-2] * g + c[-1] * (g @ g)), c[-3:0:-1]
        for a in rest:
            s = self.store(self.times(a, g) + by_g(s))
        return s

    def step(self, x: np.ndarray, c: Sequence[Number]) -> np.ndarray:
        """One step of the standard form."""
        if len(c) == 1:
            return self.store(c[0] * x)
        g = self.store(x.mT @ x)
        if self.how == "chain":
            y, z = self.times(c[0], x), x
            for a in c[1:]:
                z = self.store(z @ g)
                y = self.store(y + self.times(a, z))
            return y
        s = self.tail(g, c)
        if self.how == "shifted":
            return self.store(x @ self.shifted(s, c[0]))
        return self.store(self.times(c[0], x) + self.product(x, s))

    def shifted(self, s: np.ndarray, c: Number) -> np.ndarray:
        """P = c I + S."""
        return self.store(s + self.times(c, np.eye(s.shape[-1], dtype=np.float32)))

    def gram(self, x: np.ndarray, rows: Coefficients, restart: Sequence[int]) -> np.ndarray:
        """The Gram form; with P formed, or c_0 Q + Q S."""
        g = self.store(x.mT @ x)
        q: np.ndarray | None = None
        _, left, before = self.flipped
        for k, c in enumerate(rows):
            if k in restart and q is not None:
                x, q = self.store(x @ q), None
                g = self.store(x.mT @ x)
            s = self.tail(g, c) if len(c) > 1 else 0 * g
            p = self.shifted(s, c[0])
            if self.how == "separate":
                other = None if q is None else self.product(s, q) if left else self.product(q, s)
                q = p if q is None else self.store(self.times(c[0], q) + other)
                y = self.store(self.times(c[0], g) + (self.product(g, s) if before else self.product(s, g)))
                g = self.store(self.times(c[0], y) + (self.product(s, y) if before else self.product(y, s)))
            else:
                q = p if q is None else self.store(p @ q if left else q @ p)
                g = self.store(self.store(p @ g) @ p) if before else self.store(p @ self.store(g @ p))
        return x if q is None else self.store(x @ q)
