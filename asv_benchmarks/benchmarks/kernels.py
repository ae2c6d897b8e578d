"""Compiled twins and LAPACK: time over the paths that they replace, over peers and over matrix products; one thread."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import orthoref

from .common import Limited, few, matrix, paired_ratio, require


class Givens(Limited):
    """All n (n - 1)/2 rotations of a matrix of order n."""

    params = (few([64, 256], 16), few(["float64", "complex128"]))
    param_names = ("n", "dtype")

    def setup(self, n: int, dtype: str) -> None:
        require("numba")
        self.limit_threads(1)
        theta, phase = np.random.default_rng(20).standard_normal((2, n * (n - 1) // 2))
        self.arguments = (theta, n), (phase if dtype == "complex128" else None)
        self.q_bar = matrix((n, n), dtype)

    def run(self, impl: str = "kernel") -> Any:
        angles, phase = self.arguments
        return orthoref.givens_product(*angles, phase, impl=impl)

    def vjp(self) -> Any:
        angles, phase = self.arguments
        return orthoref.givens_product_vjp(*angles, self.q_bar, phase, impl="kernel")

    def time_product(self, *_: Any) -> None:
        self.run()

    def time_vjp(self, *_: Any) -> None:
        self.vjp()

    def track_generic_over_kernel(self, *_: Any) -> float:
        return paired_ratio(partial(self.run, "generic"), self.run)

    track_generic_over_kernel.unit = "time of the array-API path / time"
    track_generic_over_kernel.at_least = 2.0

    def track_vjp_over_product(self, *_: Any) -> float:
        return paired_ratio(self.vjp, self.run)

    track_vjp_over_product.unit = "time of the product"
    track_vjp_over_product.limit = 3.0

    def track_share_of_peak(self, n: int, dtype: str) -> float:
        """The peak without fused multiply-add is half of what a matrix product of order 256 reaches with it."""
        a = matrix((256, 256))
        flops = (6 if dtype == "float64" else 20) * n * (n * (n - 1) / 2)  # 6 or 20 a rotation and column
        return flops / (256**3 * paired_ratio(self.run, lambda: a @ a))

    track_share_of_peak.unit = "of the peak without fused multiply-add"
    track_share_of_peak.at_least = 0.3


class Reflectors(Limited):
    """Products of k reflections of order m in LAPACK's form, their first k columns."""

    params = (few([(256, 256), (512, 512), (1024, 128)], (128, 128)),)
    param_names = ("shape",)

    def setup(self, shape: tuple[int, int]) -> None:
        from scipy.linalg import qr

        self.limit_threads(1)
        (h, self.tau), _ = qr(np.random.default_rng(20).standard_normal(shape), mode="raw")
        self.h, self.q_bar = np.ascontiguousarray(h), matrix(shape)

    def product(self, impl: str = "auto") -> Any:
        return orthoref.householder_product(self.h, self.tau, columns=self.h.shape[1], impl=impl)

    def both(self, impl: str = "auto") -> Any:
        return self.product(impl), orthoref.householder_product_vjp(self.h, self.q_bar, self.tau, impl=impl)

    def time_product(self, *_: Any) -> None:
        self.product()

    def time_both(self, *_: Any) -> None:
        self.both()

    def track_product_over_orgqr(self, *_: Any) -> float:
        from scipy.linalg.lapack import dorgqr

        return paired_ratio(self.product, lambda: dorgqr(self.h, self.tau, lwork=64 * self.h.shape[1]))

    track_product_over_orgqr.unit = "time of LAPACK's orgqr"
    track_product_over_orgqr.limit = 1.5

    def track_generic_over_both(self, *_: Any) -> float:
        return paired_ratio(partial(self.both, "generic"), self.both)

    track_generic_over_both.unit = "time of the array-API path / time of product and VJP"

    def track_both_over_gemm(self, *_: Any) -> float:
        square = matrix((self.h.shape[1],) * 2)
        return paired_ratio(self.both, lambda: self.q_bar @ square)

    track_both_over_gemm.unit = "time of the product (m, k) @ (k, k)"

    def track_torch_over_both(self, *_: Any) -> float:
        require("torch")
        import torch

        torch.set_num_threads(1)
        h, tau = (torch.tensor(x, requires_grad=True) for x in (self.h, self.tau))
        q_bar = torch.tensor(self.q_bar)

        def port() -> None:
            torch.linalg.householder_product(h, tau).backward(q_bar)

        return paired_ratio(port, self.both)

    track_torch_over_both.unit = "time of torch's forward and backward / time of product and VJP"


class Small(Limited):
    """polar of stacks of small matrices as it comes, and by NumPy's SVD: U = P V^H, H = V diag(s) V^H."""

    params = (few([(10000, 4, 4), (4096, 16, 16), (1024, 32, 32)], (100, 4, 4)), few(["float64", "complex128"]))
    param_names = ("shape", "dtype")

    def setup(self, shape: tuple[int, ...], dtype: str) -> None:
        require("numba")
        self.limit_threads(1)
        self.a = matrix(shape, dtype)

    def by_svd(self) -> Any:
        p, s, vh = np.linalg.svd(self.a)
        return p @ vh, (vh.conj().mT * s[..., None, :]) @ vh

    def track_svd_over_polar(self, *_: Any) -> float:
        return paired_ratio(self.by_svd, lambda: orthoref.polar(self.a))

    track_svd_over_polar.unit = "time by numpy.linalg.svd / time"
    track_svd_over_polar.at_least = 1.0
