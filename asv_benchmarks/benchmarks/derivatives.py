"""Derivatives of polar and newton_schulz: seconds, and time in units of the function at the same matrix."""

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

    def vjp_jvp(self) -> Any:
        return orthoref.polar_vjp_jvp(self.a, self.direction, self.direction, self.h_bar)

    def time_jvp(self, *_: Any) -> None:
        self.jvp()

    def time_vjp(self, *_: Any) -> None:
        self.vjp()

    def time_vjp_jvp(self, *_: Any) -> None:
        self.vjp_jvp()

    def track_ratio_jvp_to_polar(self, *_: Any) -> float:
        return paired_ratio(self.jvp, lambda: orthoref.polar(self.a))

    def track_ratio_vjp_to_polar(self, *_: Any) -> float:
        return paired_ratio(self.vjp, lambda: orthoref.polar(self.a))

    def track_ratio_vjp_jvp_to_polar(self, *_: Any) -> float:
        return paired_ratio(self.vjp_jvp, lambda: orthoref.polar(self.a))

    track_ratio_jvp_to_polar.unit = track_ratio_vjp_to_polar.unit = "time of polar"
    track_ratio_vjp_jvp_to_polar.unit = "time of polar"


class NewtonSchulz(Limited):
    """Muon's schedule with its normalization, float64, one thread."""

    params = (few([(64, 64), (256, 256), (1024, 64), (1000, 4, 4)]),)
    param_names = ("shape",)
    rounds = 1
    repeat = (1, 5, 10.0)

    def setup(self, shape: tuple[int, ...]) -> None:
        self.limit_threads(1)
        self.a = matrix(shape)
        self.direction = matrix(shape, cond=10.0)

    def vjp(self) -> Any:
        return orthoref.newton_schulz_vjp(self.a, self.direction)

    def vjp_jvp(self) -> Any:
        return orthoref.newton_schulz_vjp_jvp(self.a, self.direction, self.direction)

    def time_vjp(self, *_: Any) -> None:
        self.vjp()

    def time_vjp_jvp(self, *_: Any) -> None:
        self.vjp_jvp()

    def track_ratio_vjp_to_newton_schulz(self, *_: Any) -> float:
        return paired_ratio(self.vjp, lambda: orthoref.newton_schulz(self.a))

    def track_ratio_vjp_jvp_to_newton_schulz(self, *_: Any) -> float:
        return paired_ratio(self.vjp_jvp, lambda: orthoref.newton_schulz(self.a))

    track_ratio_vjp_to_newton_schulz.unit = track_ratio_vjp_jvp_to_newton_schulz.unit = "time of newton_schulz"
