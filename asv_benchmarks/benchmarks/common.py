"""What the benchmarks share: inputs, thread limits, quick mode and the paired ratio.

A benchmark that cannot run here raises NotImplementedError in ``setup``, which asv records as skipped. Parameters
never depend on what is installed, so that results of two machines have the same shape.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from math import ceil
from statistics import median
from typing import Any

import numpy as np

from orthoref.oracle import cases

QUICK = os.environ.get("ORTHOREF_BENCH_QUICK", "") not in ("", "0")
PAIRS = 3 if QUICK else 9
SAMPLE = 0.005 if QUICK else 0.02  # seconds that one timed sample lasts at least
LONG = 1.0  # a function slower than this many seconds is timed three times at most
SETTLE = 0.05  # seconds; OpenBLAS workers spin for about 30 ms after their last task


def matrix(shape: Sequence[int], dtype: str = "float64", cond: float = 1e3) -> np.ndarray:
    """Input of prescribed singular values from the oracle, which depends on no routine that is timed."""
    return cases.matrix(shape, spectrum="geometric", cond=cond, seed=20, dtype=dtype)


def require(*packages: str) -> None:
    """Skip the benchmark unless all packages are installed."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise NotImplementedError(f"needs {', '.join(missing)}")


def skip_if(condition: bool, why: str) -> None:
    if condition:
        raise NotImplementedError(why)


def skip_in_quick_mode(condition: bool) -> None:
    skip_if(QUICK and condition, "left out by ORTHOREF_BENCH_QUICK")


class Limited:
    """Base of benchmarks that run under a limit on BLAS threads, set by ``limit_threads`` in ``setup``."""

    _limits: Any = None

    def limit_threads(self, threads: int) -> None:
        require("threadpoolctl")
        skip_if(threads > (os.cpu_count() or 1), f"needs {threads} processors")
        import scipy.linalg  # noqa: F401  its BLAS must be loaded before it can be limited
        from threadpoolctl import threadpool_limits

        self._limits = threadpool_limits(threads)

    def teardown(self, *_: Any) -> None:
        if self._limits is not None:
            self._limits.restore_original_limits()


def paired_ratio(f: Callable[[], Any], g: Callable[[], Any], *, pairs: int | None = None, threads: int = 1) -> float:
    """Median over interleaved pairs of time(f)/time(g).

    The order alternates within the pairs, so that a drift of the clock rate cancels, and each function runs once
    before. With several threads a pause before each sample lets the workers of the other function's BLAS (NumPy and
    SciPy bring one each) go to sleep; they would occupy the processors otherwise.
    """
    number_f, number_g = _number(f), _number(g)
    count = pairs or (3 if max(_seconds(f, 1), _seconds(g, 1)) > LONG else PAIRS)
    ratios = []
    for k in range(count):
        order = ((f, number_f), (g, number_g))
        seconds = {}
        for function, number in order if k % 2 == 0 else order[::-1]:
            if threads > 1:
                time.sleep(SETTLE)
            seconds[function] = _seconds(function, number)
        ratios.append(seconds[f] / seconds[g])
    return median(ratios)


def _number(f: Callable[[], Any]) -> int:
    """Calls that make a sample; also the warm-up."""
    f()
    return max(1, ceil(SAMPLE / max(_seconds(f, 1), 1e-9)))


def _seconds(f: Callable[[], Any], number: int) -> float:
    start = time.perf_counter()
    for _ in range(number):
        f()
    return (time.perf_counter() - start) / number
