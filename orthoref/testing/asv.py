"""Benchmarks of a port for the asv suite of its own project: time, memory, time in units of a product, accuracy.

    from orthoref.testing import asv
    from mypackage import orthogonalize

    class Orthogonalize(asv.Port):
        operation, claims = "newton_schulz", {"schedule": "muon", "eps": 1e-7}
        port = staticmethod(orthogonalize)

asv calls the methods of the subclass whose names begin with ``time_``, ``peakmem_`` and ``track_``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from math import ceil
from statistics import median
from typing import Any, ClassVar

import array_api_compat as compat
import numpy as np

from orthoref.oracle import conformance

Clock = Callable[[], float]

PAIRS = 9
SAMPLE = 0.02  # seconds that one timed sample lasts at least
LONG = 1.0  # a function slower than this many seconds is timed three times at most
SETTLE = 0.05  # seconds; OpenBLAS workers spin for about 30 ms after their last task
CASES = 12  # inputs whose results are judged


class Port:
    """Base of the benchmarks of one port: a subclass names the port and what it claims.

    Attributes
    ----------
    port : callable
        What is measured, as ``staticmethod``: a function of the arrays of the operation.
    operation : str
        As in :func:`orthoref.conformance.check`.
    claims : mapping
        Its claims, and other options: ``{"schedule": "muon", "eps": 1e-7}``, ``{"returns": "u", "skip": ["wide"]}``.
    shapes : sequence of tuple of int
        Of the first input; a parameter of the benchmarks.
    dtype : str
        Of the inputs as they are drawn: "float32", "float64", "complex64", "complex128".
    convert : callable, optional
        As ``staticmethod``: makes the port's array of a NumPy array, on its device and in its dtype.
    threads : int
        Of BLAS, OpenMP and torch in the process that measures. Needs threadpoolctl.

    Notes
    -----
    A result has been computed when it is: devices of torch and CuPy, and arrays of JAX, are waited for within the time.
    What is compiled at the first call is compiled in ``setup``.
    """

    port: ClassVar[Callable[..., Any]]
    operation: ClassVar[str] = "polar"
    claims: ClassVar[Mapping[str, Any]] = {}
    shapes: ClassVar[Sequence[tuple[int, ...]]] = ((64, 64), (512, 512), (2048, 256), (256, 32, 32))
    dtype: ClassVar[str] = "float32"
    convert: ClassVar[Callable[[np.ndarray], Any] | None] = None
    threads: ClassVar[int] = 1
    param_names = ("shape",)
    params: ClassVar[tuple[Sequence[tuple[int, ...]]]]
    timeout = 600

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.params = (list(cls.shapes),)

    def setup(self, shape: tuple[int, ...] | None = None) -> None:
        """Draw the inputs, bind the threads and call the port once."""
        if shape is None:
            raise NotImplementedError("the base of other benchmarks")  # asv finds it where it is imported
        self._limits = limited(self.threads)
        self.arrays = [self._converted(x) for x in inputs(self.operation, tuple(shape), self.dtype)]
        self._call()

    def teardown(self, *_: Any) -> None:
        """Give the threads back."""
        limits = getattr(self, "_limits", None)
        if limits is not None:
            limits.restore_original_limits()

    def time_port(self, shape: tuple[int, ...]) -> None:
        """Seconds of one call."""
        self._call()

    def peakmem_port(self, shape: tuple[int, ...]) -> None:
        """Peak of the process."""
        self._call()

    def track_products(self, shape: tuple[int, ...]) -> float:
        """Time of a call in units of the time of the product (m, n) @ (n, n), m >= n, measured in turns."""
        a = self.arrays[0]
        xp = compat.array_namespace(a)
        tall = a if a.shape[-2] >= a.shape[-1] else xp.matrix_transpose(a)
        square = xp.asarray(tall[..., : tall.shape[-1], :], copy=True)
        wall = "cpu" not in str(compat.device(a)).lower()
        return paired_ratio(self._call, lambda: finished(xp.matmul(tall, square)), threads=self.threads, wall=wall)

    track_products.unit = "products"  # type: ignore[attr-defined]

    def track_error(self, shape: tuple[int, ...]) -> float:
        """Largest ratio of a check to its limit over a few inputs of this shape; above 1 the port is refused."""
        report = conformance.check(
            type(self).port, self.operation, shapes=[tuple(shape)], dtypes=[self.dtype], battery="quick",
            max_cases=CASES, convert=type(self).convert, progress=False,
            **({"skip": ("extreme scale",)} | dict(self.claims)),
        )  # fmt: skip
        verdicts = [outcome.verdict for outcome in report.outcomes]
        shares = [float(check.ratio / check.limit) for verdict in verdicts for check in verdict.checks]
        if any(verdict.faults for verdict in verdicts) or not np.isfinite(shares).all():  # no ratio says how much
            raise RuntimeError(report.text())
        return max(shares, default=float("nan"))

    track_error.unit = "of the limit"  # type: ignore[attr-defined]

    def _converted(self, x: np.ndarray) -> Any:
        convert = type(self).convert
        return x if convert is None else convert(x)

    def _call(self) -> Any:
        return finished(type(self).port(*self.arrays))


def inputs(operation: str, shape: tuple[int, ...], dtype: str) -> list[np.ndarray]:
    """Inputs of ordinary size: geometric singular values, condition number 1000; points of a manifold orthonormal."""
    levels = conformance.row_of(operation).levels
    first = conformance.battery(operation, shapes=[shape], dtypes=[dtype], size="quick", max_cases=1)[0]
    options = {"structure": "orthonormal", "spectrum": "repeated", "cond": 1.0} if levels.frames else {
        "structure": "general", "spectrum": "geometric", "cond": 1e3}  # fmt: skip
    plain = first.changed(shape, memory="C", scale=1.0, dtype=dtype, kind="generic", **options)
    return list(plain.inputs().values())


def finished(result: Any) -> Any:
    """The result, when the device has computed it."""
    for x in result if isinstance(result, (tuple, list)) else (result,):
        if compat.is_jax_array(x):
            x.block_until_ready()
        elif compat.is_torch_array(x) and x.is_cuda:
            import_module("torch").cuda.synchronize(x.device)
        elif compat.is_cupy_array(x):
            x.device.synchronize()
    return result


def limited(threads: int) -> Any:
    """Limits on the threads of BLAS and OpenMP, to be restored; torch's are set."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise NotImplementedError(f"needs threadpoolctl: {error}") from error  # asv records it as skipped
    import sys

    import scipy.linalg  # noqa: F401  its BLAS must be loaded before it can be limited

    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    return threadpool_limits(threads)


def paired_ratio(
    f: Callable[[], Any], g: Callable[[], Any], *, threads: int = 1, wall: bool = False, pairs: int = PAIRS,
    sample: float = SAMPLE,
) -> float:  # fmt: skip
    """Median over interleaved pairs of time(f)/time(g), of functions that compute in this process.

    The order alternates within the pairs, so that a drift of the clock rate cancels, and each function runs once
    before. With one thread it is the processor time of the process that counts: other processes on the machine then
    disturb little; not where a device computes (``wall``). With several it is the wall time, and a pause before each
    sample lets the workers of the other function's BLAS (NumPy and SciPy bring one each) go to sleep; they would occupy
    the processors otherwise.
    """
    clock, settle = (time.process_time, 0.0) if threads == 1 and not wall else (time.perf_counter, SETTLE)
    number_f, number_g = _number(f, clock, sample), _number(g, clock, sample)
    if max(_seconds(f, 1, clock), _seconds(g, 1, clock)) > LONG:
        pairs = min(3, pairs)
    return median(in_turns((f, number_f), (g, number_g), pairs, clock, settle))


def in_turns(
    f: tuple[Callable[[], Any], int], g: tuple[Callable[[], Any], int], pairs: int, clock: Clock, settle: float
) -> Iterator[float]:
    """The ratios of the times of so many calls of both."""
    for k in range(pairs):
        seconds = {}
        for function, number in (f, g) if k % 2 == 0 else (g, f):
            time.sleep(settle)
            seconds[function] = _seconds(function, number, clock) / number
        yield seconds[f[0]] / seconds[g[0]]


def _number(f: Callable[[], Any], clock: Clock, sample: float) -> int:
    """Calls that make a sample; also the warm-up."""
    f()
    return max(1, ceil(sample / max(_seconds(f, 1, clock), 1e-9)))


def _seconds(f: Callable[[], Any], number: int, clock: Clock) -> float:
    start = clock()
    for _ in range(number):
        f()
    return clock() - start
