"""polar_jvp and polar_vjp: seconds, and time in units of polar at the same matrix."""

from __future__ import annotations

from typing import Any

import orthoref

from .common import Limited, few, matrix, paired_ratio


class Derivatives(Limited):
    """Both factors, right polar decomposition, float64, one thread."""

    params = (few([(64, 64), (256, 256), (1024, 64), (1000, 4, 4)]),)
    param_names = ("shape",)
    rounds = 1
    repeat = (1, 5, 10.0)

    def setup(self, shape: tuple[int, ...]) -> None:
        self.limit_threads(1)
        self.a = matrix(shape)
        self.direction = matrix(shape, cond=10.0)
        self.h_bar = matrix((*shape[:-2], shape[-1], shape[-1]), cond=10.0)

    def jvp(self) -> Any:
        return orthoref.polar_jvp(self.a, self.direction)

    def vjp(self) -> Any:
        return orthoref.polar_vjp(self.a, self.direction, self.h_bar)

    def time_jvp(self, *_: Any) -> None:
        self.jvp()

    def time_vjp(self, *_: Any) -> None:
        self.vjp()

    def track_ratio_jvp_to_polar(self, *_: Any) -> float:
        return paired_ratio(self.jvp, lambda: orthoref.polar(self.a))

    def track_ratio_vjp_to_polar(self, *_: Any) -> float:
        return paired_ratio(self.vjp, lambda: orthoref.polar(self.a))

    track_ratio_jvp_to_polar.unit = track_ratio_vjp_to_polar.unit = "time of polar"
