"""newton_schulz: a step in units of the product of its order, both forms, a plain torch loop; design of a schedule."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import numpy as np

import orthoref
from orthoref import schedules

from .common import QUICK, Limited, few, matrix, paired_ratio, require

JORDAN = (3.4445, -4.7750, 2.0315)
STEPS = 5


class Step(Limited):
    """One standard quintic step of a square matrix over the product of two such matrices, one thread.

    The difference of nine steps and one is taken, so that the normalization does not count.
    """

    params = (few([1024, 2048], 256), few(["float32", "float64"]))
    param_names = ("n", "dtype")
    timeout = 300

    def setup(self, n: int, dtype: str) -> None:
        self.limit_threads(1)
        self.a = matrix((n, n), dtype)
        self.b = matrix((n, n), dtype, cond=10.0)

    def track_step_to_gemm(self, *_: Any) -> float:
        def run(steps: int) -> float:
            start = time.process_time()
            orthoref.newton_schulz(self.a, "jordan", steps=steps)
            return time.process_time() - start

        def product() -> float:
            start = time.process_time()
            np.matmul(self.a, self.b)
            return time.process_time() - start

        run(1), product()
        return median((run(9) - run(1)) / 8 / median(product() for _ in range(5)) for _ in range(1 if QUICK else 5))

    track_step_to_gemm.unit = "time of a product"
    track_step_to_gemm.limit = 3.3


class FiveSteps(Limited):
    """What the two below share."""

    params = (few([(1024, 1024), (2048, 512), (512, 2048)], (512, 256)), few(["float32", "float64"]))
    param_names = ("shape", "dtype")
    timeout = 300

    def setup(self, shape: tuple[int, ...], dtype: str) -> None:
        self.limit_threads(1)
        self.shape = shape
        self.a = matrix(shape, dtype)

    def standard(self) -> Any:
        return orthoref.newton_schulz(self.a, "jordan")

    def gram(self) -> Any:
        return orthoref.newton_schulz(self.a, "jordan", form="gram")


class Forms(FiveSteps):
    """Five steps: the Gram form over the standard form."""

    def time_standard(self, *_: Any) -> None:
        self.standard()

    def time_gram(self, *_: Any) -> None:
        self.gram()

    def track_gram_to_standard(self, *_: Any) -> float:
        return paired_ratio(self.gram, self.standard)

    track_gram_to_standard.unit = "time of the standard form"


class Torch(FiveSteps):
    """Both forms over a plain torch loop of the same schedule."""

    def setup(self, shape: tuple[int, ...], dtype: str) -> None:
        require("torch")
        import torch

        super().setup(shape, dtype)
        torch.set_num_threads(1)
        self.torch, self.tensor = torch, torch.asarray(self.a.copy())

    def loop(self) -> Any:
        a, b, c = JORDAN
        x = self.tensor / self.tensor.norm()
        x = x.T if x.shape[0] > x.shape[1] else x
        for _ in range(STEPS):
            g = x @ x.T
            s = self.torch.addmm(g, g, g, beta=b, alpha=c)
            x = self.torch.addmm(x, s, x, beta=a)
        return x

    def track_standard_to_torch(self, *_: Any) -> float:
        return paired_ratio(self.standard, self.loop)

    def track_gram_to_torch(self, *_: Any) -> float:
        return paired_ratio(self.gram, self.loop)

    track_standard_to_torch.unit = track_gram_to_torch.unit = "time of the torch loop"


class Design:
    """Seconds to design an eight-step schedule of degree 5, and to certify one."""

    params: tuple[list[str], ...] = (["0.001"],)
    param_names = ("lower",)

    def setup(self, _: str) -> None:
        require("flint")

    def time_minimax(self, lower: str) -> None:
        schedules.minimax(lower, 8, cushion="0.024")

    def time_certify(self, lower: str) -> None:
        schedules.get("polar-express").certify(lower)

    time_minimax.limit = 1.0
