"""Retractions of the Stiefel manifold, stiefel.retract_*: time over a product, over peers, of the VJP; memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from orthoref import stiefel

from .common import Limited, few, paired_ratio, require, skip_if

SHAPES = [(1024, 32), (1024, 256), (4096, 64), (1024, 1024), (256, 64, 16)]
METHODS = ["qr", "cholesky_qr", "polar", "cayley", "exp"]


class Step(Limited):
    """A step of length 1 from a random point, float64, one thread."""

    rounds = 1
    repeat = (1, 5, 10.0)

    def setup(self, shape: tuple[int, ...], method: str) -> None:
        self.limit_threads(1)
        rng = np.random.default_rng(20)
        self.x = stiefel.random_point(shape, rng=rng)
        self.v = stiefel.random_tangent(self.x, "euclidean", rng=rng)
        self.v = self.v / np.linalg.norm(self.v, axis=(-2, -1), keepdims=True)
        self.y_bar = rng.standard_normal(shape)
        self.method, self.metric = method, "canonical" if method == "exp" else None


class Retraction(Step):
    """Over X^T V, the least that any of them computes, and the VJP over the retraction."""

    params = (few(SHAPES, (256, 16)), METHODS)
    param_names = ("shape", "method")

    def retract(self) -> Any:
        return stiefel.retract(self.x, self.v, self.method, metric=self.metric)

    def vjp(self) -> Any:
        return stiefel.retract_vjp(self.x, self.v, self.y_bar, self.method, metric=self.metric)

    def gram(self) -> Any:
        return self.x.mT @ self.v

    def time_retract(self, *_: Any) -> None:
        self.retract()

    def peakmem_retract(self, *_: Any) -> None:
        self.retract()

    def track_ratio_to_gram_product(self, *_: Any) -> float:
        return paired_ratio(self.retract, self.gram)

    def track_ratio_vjp_to_retract(self, *_: Any) -> float:
        return paired_ratio(self.vjp, self.retract)

    track_ratio_to_gram_product.unit = "time of X^T V"
    track_ratio_vjp_to_retract.unit = "time of the retraction"
    track_ratio_vjp_to_retract.limit = 3.0


class Parallel(Step):
    """Parallel transport over the geodesic itself."""

    params = (few(SHAPES, (256, 16)), ["exp"])
    param_names = ("shape", "method")

    def transport(self) -> Any:
        return stiefel.transport_parallel(self.x, self.v, self.v, self.metric)

    def exp(self) -> Any:
        return stiefel.exp(self.x, self.v, self.metric)

    def time_transport(self, *_: Any) -> None:
        self.transport()

    def track_ratio_to_exp(self, *_: Any) -> float:
        return paired_ratio(self.transport, self.exp)

    track_ratio_to_exp.unit = "time of exp"


class Peers(Step):
    """Over pymanopt's and geoopt's, unchecked like theirs."""

    params = (few(SHAPES, (256, 16)), ["qr", "polar"], few(["pymanopt", "geoopt"]))
    param_names = ("shape", "method", "peer")

    def setup(self, shape: tuple[int, ...], method: str, peer: str) -> None:  # type: ignore[override]
        skip_if(peer == "geoopt" and method == "polar", "geoopt has the QR retraction only")
        require(peer)
        super().setup(shape, method)
        if peer == "pymanopt":
            from pymanopt.manifolds import Stiefel

            manifold = Stiefel(shape[-2], shape[-1], k=shape[0] if len(shape) == 3 else 1, retraction=method)
            self.peer = lambda: manifold.retraction(self.x, self.v)
        else:
            import torch
            from geoopt import Stiefel

            torch.set_num_threads(1)
            manifold, x, v = Stiefel(), torch.asarray(self.x), torch.asarray(self.v)
            self.peer = lambda: manifold.retr(x, v)

    def unchecked(self) -> Any:
        return stiefel.retract(self.x, self.v, self.method, check=False)

    def track_ratio_to_peer(self, *_: Any) -> float:
        return paired_ratio(self.unchecked, self.peer)

    track_ratio_to_peer.unit = "time of the peer"
    track_ratio_to_peer.limit = 0.5
