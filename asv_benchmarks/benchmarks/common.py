"""What the benchmarks share: inputs, thread limits, quick mode and the paired ratio.

A benchmark that cannot run here raises NotImplementedError in ``setup``, which asv records as skipped. Parameters
never depend on what is installed, so that results of two machines have the same shape. They do depend on the quick
mode, whose results are for nobody to keep.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from math import ceil
from statistics import median
from typing import Any

import numpy as np

from orthoref.oracle import cases

Clock = Callable[[], float]

QUICK = os.environ.get("ORTHOREF_BENCH_QUICK", "") not in ("", "0")
PAIRS = 1 if QUICK else 9
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


def few(values: Sequence[Any], *quick: Any) -> list[Any]:
    """The values of a parameter; in quick mode the ``quick`` ones, the first where none are named."""
    return list(quick or values[:1]) if QUICK else list(values)


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


def paired_ratio(f: Callable[[], Any], g: Callable[[], Any], *, threads: int = 1) -> float:
    """Median over interleaved pairs of time(f)/time(g), of functions that compute in this process.

    The order alternates within the pairs, so that a drift of the clock rate cancels, and each function runs once
    before. With one thread it is the processor time of the process that counts: other processes on the machine then
    disturb little. With several it is the wall time, and a pause before each sample lets the workers of the other
    function's BLAS (NumPy and SciPy bring one each) go to sleep; they would occupy the processors otherwise.
    """
    clock, settle = (time.process_time, 0.0) if threads == 1 else (time.perf_counter, SETTLE)
    number_f, number_g = _number(f, clock), _number(g, clock)
    pairs = min(3, PAIRS) if max(_seconds(f, 1, clock), _seconds(g, 1, clock)) > LONG else PAIRS
    return median(_pairs((f, number_f), (g, number_g), pairs, clock, settle))


def paired_wall_ratio(f: Callable[[], Any], g: Callable[[], Any], pairs: int) -> float:
    """The same in wall time, one call a sample: for functions that start processes."""
    f(), g()
    return median(_pairs((f, 1), (g, 1), pairs, time.perf_counter, 0.0))


def _pairs(
    f: tuple[Callable[[], Any], int], g: tuple[Callable[[], Any], int], pairs: int, clock: Clock, settle: float
) -> Iterator[float]:
    for k in range(pairs):
        seconds = {}
        for function, number in (f, g) if k % 2 == 0 else (g, f):
            time.sleep(settle)
            seconds[function] = _seconds(function, number, clock)
        yield seconds[f[0]] / seconds[g[0]]


def _number(f: Callable[[], Any], clock: Clock) -> int:
    """Calls that make a sample; also the warm-up."""
    f()
    return max(1, ceil(SAMPLE / max(_seconds(f, 1, clock), 1e-9)))


def _seconds(f: Callable[[], Any], number: int, clock: Clock) -> float:
    start = clock()
    for _ in range(number):
        f()
    return (clock() - start) / number
