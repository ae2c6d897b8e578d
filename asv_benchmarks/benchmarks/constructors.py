"""Constructors of orthogonal matrices: seconds, VJPs and JVPs in units of the function, the cost of judging one."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import orthoref
from orthoref.oracle.constructors import inputs as made
from orthoref.oracle.operations import ROWS
from orthoref.testing import assert_orthogonal_constructor

from .common import Limited, few, paired_ratio

FUNCTIONS = {
    "cayley": (orthoref.cayley, orthoref.cayley_jvp, orthoref.cayley_vjp),
    "skew_exp": (orthoref.skew_exp, orthoref.skew_exp_jvp, orthoref.skew_exp_vjp),
    "givens_product": (orthoref.givens_product, orthoref.givens_product_jvp, orthoref.givens_product_vjp),
    "householder_product": (
        orthoref.householder_product, orthoref.householder_product_jvp, orthoref.householder_product_vjp,
    ),
}  # fmt: skip


class Products(Limited):
    """A matrix from its parameters, generic ones, float64, one thread."""

    params = (list(FUNCTIONS), few([(64, 64), (256, 256), (1000, 4, 4)]))
    param_names = ("function", "shape")
    rounds = 1
    repeat = (1, 5, 10.0)

    def setup(self, name: str, shape: tuple[int, ...]) -> None:
        self.limit_threads(1)
        function, jvp, vjp = FUNCTIONS[name]
        draw = {"givens_product": made.angles, "householder_product": made.reflectors}.get(name, made.skew)
        x, x_dot, q_bar = draw(shape, seed=20), draw(shape, seed=21), np.random.default_rng(20).standard_normal(shape)
        order = (shape[-1],) if name == "givens_product" else ()
        self.function, self.jvp = partial(function, x, *order), partial(jvp, x, *order, x_dot)
        self.vjp = partial(vjp, x, *order, q_bar)

    def time_function(self, *_: Any) -> None:
        self.function()

    def time_vjp(self, *_: Any) -> None:
        self.vjp()

    def track_ratio_jvp_to_function(self, *_: Any) -> float:
        return paired_ratio(self.jvp, self.function)

    def track_ratio_vjp_to_function(self, *_: Any) -> float:
        return paired_ratio(self.vjp, self.function)

    track_ratio_jvp_to_function.unit = track_ratio_vjp_to_function.unit = "time of the function"


class Samples(Limited):
    """Random matrices, float64, one thread."""

    params = (few([(64, 64), (256, 256), (1000, 4, 4)]),)
    param_names = ("shape",)
    rounds = 1
    repeat = (1, 5, 10.0)

    def setup(self, shape: tuple[int, ...]) -> None:
        self.limit_threads(1)
        self.shape, self.rng = shape, np.random.default_rng(20)

    def time_haar(self, *_: Any) -> None:
        *batch, m, n = self.shape
        orthoref.haar(m, n, batch=tuple(batch), rng=self.rng)

    def time_orthogonal_init(self, *_: Any) -> None:
        orthoref.orthogonal_init(self.shape, rng=self.rng)


class Judging(Limited):
    """Quick battery of a constructor with its VJP, and of a sample: the functions, and the judging together."""

    params = ([*FUNCTIONS, "haar"],)
    param_names = ("operation",)
    timeout = 600
    rounds = 1
    number = 1
    repeat = 1
    warmup_time = 0
    min_run_count = 1

    def setup(self, operation: str) -> None:
        self.limit_threads(1)
        self.port: Any = ROWS[operation].reference
        self.options: Any = {"vjp": ROWS[f"{operation}_vjp"].reference} if operation in FUNCTIONS else {}

    def time_assertion(self, operation: Any) -> None:
        assert_orthogonal_constructor(self.port, operation, max_cases=20, **self.options)

    time_assertion.limit = 30.0
