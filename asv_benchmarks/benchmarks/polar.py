"""polar: time, time in units of SciPy's polar and of a matrix product, accuracy, memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import orthoref
from orthoref.oracle.polar import ratios
from orthoref.oracle.precision import PRECISIONS

from .common import Limited, few, matrix, paired_ratio, require, skip_if

SHAPES = few([(64, 64), (256, 256), (1024, 1024), (2048, 2048), (4096, 256), (10000, 4, 4), (1024, 32, 32)])
THREADS = few([1, 2])
METHODS = ["svd", "newton", "qdwh", "zolotarev"]


class Auto(Limited):
    """Seconds of the default method."""

    params = (SHAPES, THREADS)
    param_names = ("shape", "threads")
    rounds = 1
    repeat = (1, 5, 20.0)

    def setup(self, shape: tuple[int, ...], threads: int) -> None:
        self.limit_threads(threads)
        self.a = matrix(shape)

    def time_polar(self, *_: Any) -> None:
        orthoref.polar(self.a)


class Single(Limited):
    """Seconds of the default method in float32, one thread."""

    params = (few([(64, 64), (1024, 1024), (4096, 256)]),)
    param_names = ("shape",)
    rounds = 1
    repeat = (1, 5, 20.0)

    def setup(self, shape: tuple[int, ...]) -> None:
        self.limit_threads(1)
        self.a = matrix(shape, "float32")

    def time_polar(self, *_: Any) -> None:
        orthoref.polar(self.a)


class Methods(Limited):
    """Seconds of every method, one thread."""

    params = (few([(64, 64), (256, 256), (1024, 1024), (4096, 256), (10000, 4, 4), (1024, 32, 32)]), METHODS)
    param_names = ("shape", "method")
    rounds = 1
    repeat = (1, 3, 20.0)

    def setup(self, shape: tuple[int, ...], method: str) -> None:
        self.limit_threads(1)
        self.a = matrix(shape)

    def time_polar(self, shape: tuple[int, ...], method: str) -> None:
        orthoref.polar(self.a, method=method)


class Ratio(Limited):
    """Time of the default method in units of another function's, measured in the same run."""

    params = (SHAPES, THREADS)
    param_names = ("shape", "threads")

    def setup(self, shape: tuple[int, ...], threads: int) -> None:
        self.limit_threads(threads)
        self.a = matrix(shape)

    def track_ratio_to_scipy(self, shape: tuple[int, ...], threads: int) -> float:
        from scipy.linalg import polar

        try:
            polar(self.a[..., :1, :1])
        except ValueError:  # SciPy before 1.15 takes no stacks
            return float("nan")
        return paired_ratio(lambda: orthoref.polar(self.a), lambda: polar(self.a), threads=threads)

    track_ratio_to_scipy.unit = "time of scipy.linalg.polar"
    track_ratio_to_scipy.limit = 1.3

    def track_ratio_to_gemm(self, shape: tuple[int, ...], threads: int) -> float:
        square = np.array(self.a[..., : shape[-1], :])
        return paired_ratio(lambda: orthoref.polar(self.a), lambda: self.a @ square, threads=threads)

    track_ratio_to_gemm.unit = "time of the product (m, n) @ (n, n)"


class Kernel(Limited):
    """How many times faster the compiled twin is than the array-API path (Newton, stacks of small matrices)."""

    params = (few([(10000, 4, 4), (1000, 8, 8)], (100, 4, 4)),)
    param_names = ("shape",)

    def setup(self, shape: tuple[int, ...]) -> None:
        require("numba")
        skip_if(find_spec("orthoref.kernels") is None, "this version has no kernels")
        self.limit_threads(1)
        self.a = matrix(shape)

    def track_speedup(self, shape: tuple[int, ...]) -> float:
        def run(impl: str) -> None:
            orthoref.polar(self.a, method="newton", impl=impl)

        return paired_ratio(lambda: run("generic"), lambda: run("kernel"))

    track_speedup.unit = "time generic / time kernel"
    track_speedup.at_least = 2.0


class Accuracy(Limited):
    """Ratios of the oracle, worst of the stack: O(1) is backward stable, the oracle refuses more than 10."""

    params = (
        few([(64, 64), (256, 256), (512, 128), (100, 32, 32)]),
        few(["auto", *METHODS[1:]]),
        few(["float64", "float32"]),
    )
    param_names = ("shape", "method", "dtype")
    only_the_worst = True  # summary.py shows one line

    def setup_cache(self) -> dict[str, dict[str, float]]:
        """All of them at once, at the condition number 1/eps, the hardest that is not singular to working precision."""
        self.limit_threads(1)
        found = {}
        for shape, method, dtype in product(*self.params):
            precision = PRECISIONS[dtype]
            a = matrix(shape, dtype, cond=1 / precision.eps)
            u, h = orthoref.polar(a, method=method)
            measured = ratios.polar(*(np.asarray(x, dtype=np.float64) for x in (a, u, h)), precision=precision)
            found[repr((shape, method, dtype))] = {name: float(np.max(values)) for name, values in measured.items()}
        self.teardown()
        return found

    def setup(self, cache: dict[str, dict[str, float]], *case: Any) -> None:
        self.worst = cache[repr(case)]

    def track_orthonormal(self, *_: Any) -> float:
        return self.worst["orthonormal"]

    track_orthonormal.unit = "|I - U^H U| / (n eps)"
    track_orthonormal.limit = 1.0  # what the docstring of polar promises

    def track_backward(self, *_: Any) -> float:
        return self.worst["backward"]

    track_backward.unit = "|A - U H| / (|A| n eps)"
    track_backward.limit = 1.0

    def track_nuclear(self, *_: Any) -> float:
        return self.worst["nuclear"]

    track_nuclear.unit = "||A|_* - Re<A, U>| / (|A|_* n eps)"
    track_nuclear.limit = 10.0  # the oracle's


class Memory(Limited):
    """Peak memory of one call. ``peakmem_`` counts the interpreter and the input, the tracked number does not."""

    params = (few(["auto 1024", "auto 2048", "newton 1024", "qdwh 1024", "zolotarev 1024"], "auto 256"),)
    param_names = ("call",)

    def setup(self, call: str) -> None:
        self.limit_threads(1)
        self.method, n = call.split()
        self.a = np.random.RandomState(0).standard_normal((int(n), int(n)))

    def peakmem_polar(self, *_: Any) -> None:
        orthoref.polar(self.a, method=self.method)

    def track_extra_words_per_n2(self, *_: Any) -> float:
        if not os.access("/proc/self/clear_refs", os.W_OK):  # Linux only
            return float("nan")
        script = Path(__file__).with_name("peak_of_polar.py")
        # every array comes from mmap and goes back at once: resident memory is what is alive
        env = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        command = [sys.executable, str(script), str(len(self.a)), self.method]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout)["extra_words_per_n2"]

    track_extra_words_per_n2.unit = "n^2 words beyond input and output"
    track_extra_words_per_n2.limit = 8.0
