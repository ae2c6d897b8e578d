"""polar on the arrays of other libraries; the device has finished when the clock stops."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import orthoref

from .common import Limited, few, matrix, require, skip_if


class Namespaces(Limited):
    """Seconds in float32 (JAX has no float64 by default), host to host or device to device, one BLAS thread."""

    params = (["numpy", "torch", "jax", "cupy"], few([(256, 256), (100, 32, 32)], (32, 32)), few(["svd", "newton"]))
    param_names = ("library", "shape", "method")
    rounds = 1
    repeat = (1, 3, 10.0)

    def setup(self, library: str, shape: tuple[int, ...], method: str) -> None:
        require(library)
        self.limit_threads(1)
        self.a, self.wait = on(library, matrix(shape, "float32"))
        self.time_polar(library, shape, method)  # whatever is compiled is compiled here

    def time_polar(self, library: str, shape: tuple[int, ...], method: str) -> None:
        self.wait(orthoref.polar(self.a, method=method))


def on(library: str, a: Any) -> tuple[Any, Any]:
    """The array in a library, and the function that waits for a result there."""
    if library == "torch":
        torch = import_module("torch")
        torch.set_num_threads(1)
        return torch.from_numpy(a), lambda result: result
    if library == "jax":
        jax = import_module("jax")
        return jax.numpy.asarray(a), jax.block_until_ready
    if library == "cupy":
        cupy = import_module("cupy")
        try:
            devices = cupy.cuda.runtime.getDeviceCount()
        except cupy.cuda.runtime.CUDARuntimeError:
            devices = 0
        skip_if(devices == 0, "needs a CUDA device")
        return cupy.asarray(a), lambda result: cupy.cuda.get_current_stream().synchronize()
    return a, lambda result: result
