"""What it costs to judge a derivative: the truth in fixed point or float64, its unit, and a battery."""

from __future__ import annotations

from typing import Any

import orthoref
from orthoref.oracle import cases, conformance
from orthoref.testing import assert_jvp, assert_vjp

from .common import Limited, few, matrix


class Assertion(Limited):
    """One right derivative of one matrix; float64 is compared with fixed point, float32 with float64."""

    params = (few(["polar", "newton_schulz"]), few(["float32", "float64"]), few([(32, 32), (256, 32)]))
    param_names = ("operation", "dtype", "shape")
    rounds = 1
    repeat = (1, 5, 10.0)

    def setup(self, operation: str, dtype: str, shape: tuple[int, ...]) -> None:
        self.limit_threads(1)
        self.a = matrix(shape, dtype=dtype, cond=10.0)
        self.other = cases.cotangent(self.a, dtype=dtype)
        vjp, jvp = {
            "polar": (orthoref.polar_vjp, orthoref.polar_jvp),
            "newton_schulz": (orthoref.newton_schulz_vjp, orthoref.newton_schulz_jvp),
        }[operation]
        self.a_bar, self.dot = vjp(self.a, self.other), jvp(self.a, self.other)

    def time_assert_vjp(self, operation: str, *_: Any) -> None:
        assert_vjp(operation, self.a, self.other, self.a_bar)

    def time_assert_jvp(self, operation: str, *_: Any) -> None:
        assert_jvp(operation, self.a, self.other, tuple(self.dot) if operation == "polar" else self.dot)

    time_assert_vjp.limit = time_assert_jvp.limit = 1.0


class Check(Limited):
    """Quick battery of the derivatives; our own functions as ports, and the judging together."""

    params = (few(["polar_vjp", "polar_jvp", "polar_vjp_jvp", "newton_schulz_vjp", "newton_schulz_vjp_jvp"]),)
    param_names = ("operation",)
    timeout = 600
    rounds = 1
    number = 1
    repeat = 1
    warmup_time = 0
    min_run_count = 1

    def setup(self, operation: str) -> None:
        self.limit_threads(1)
        self.port = getattr(orthoref, operation)

    def time_check(self, operation: str) -> None:
        conformance.check(self.port, operation, battery="quick", progress=False)

    time_check.limit = 30.0
