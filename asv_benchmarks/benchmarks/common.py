"""What the benchmarks share: inputs, thread limits, quick mode and the paired ratio.

A benchmark that cannot run here raises NotImplementedError in ``setup``, which asv records as skipped. Parameters
never depend on what is installed, so that results of two machines have the same shape. They do depend on the quick
mode, whose results are for nobody to keep.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np

from orthoref.oracle import cases
from orthoref.testing import asv

QUICK = os.environ.get("ORTHOREF_BENCH_QUICK", "") not in ("", "0")
PAIRS = 1 if QUICK else asv.PAIRS
SAMPLE = 0.005 if QUICK else asv.SAMPLE  # seconds that one timed sample lasts at least


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
    """As users measure it; quick mode takes one short sample."""
    return asv.paired_ratio(f, g, threads=threads, pairs=PAIRS, sample=SAMPLE)


def paired_wall_ratio(f: Callable[[], Any], g: Callable[[], Any], pairs: int) -> float:
    """The same in wall time, one call a sample: for functions that start processes."""
    f(), g()
    return median(asv.in_turns((f, 1), (g, 1), pairs, time.perf_counter, 0.0))
