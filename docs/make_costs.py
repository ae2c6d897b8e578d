"""What judging costs, in time and memory. Run by hand, on Linux: python docs/make_costs.py [LOG]

Writes the table of the page on the battery. LOG is what `bash .ci/run` printed; without it the times of the tests and
of the lanes are left out.
"""

from __future__ import annotations

import datetime
import gc
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

import orthoref
from orthoref import conformance, testing

CLAIM = {"schedule": "jordan", "steps": 5, "eps": 1e-7}


def schulz(steps):
    return lambda a: orthoref.newton_schulz(a, "jordan", steps=steps, eps=1e-7)


def qr(a):
    """The orthonormal factor of QR, or of LQ."""
    wide = a.shape[-2] < a.shape[-1]
    q, _ = np.linalg.qr(np.conj(np.swapaxes(a, -2, -1)) if wide else a)
    q = np.conj(np.swapaxes(q, -2, -1)) if wide else q
    with np.errstate(all="ignore"):  # NaN, where LAPACK's squares overflow
        return q, np.conj(np.swapaxes(q, -2, -1)) @ a


def bent(x):
    """Off by up to 10 %, every entry by another factor: no known mistake."""
    return x * (1 + 0.1 * np.sin(1 + 7.3 * np.arange(x.size) ** 2)).reshape(x.shape).astype(x.real.dtype)


def bent_polar(a):
    u, h = orthoref.polar(a)
    return bent(u), h


RIGHT, KNOWN, UNKNOWN = "right", "wrong, known: ", "wrong, not known: each entry off by its own factor"
PORTS = {
    "polar": {RIGHT: orthoref.polar, KNOWN + "Q of QR or LQ": qr, UNKNOWN: bent_polar},
    "newton_schulz": {
        RIGHT: schulz(5),
        KNOWN + "4 steps for 5": schulz(4),
        UNKNOWN: lambda a: bent(schulz(5)(a)),
    },
}
CLAIMS = {"polar": {}, "newton_schulz": CLAIM}


def runs() -> Iterator[str]:
    """Processor time of the default battery."""
    yield "| operation | port | cases | hold | fail | seconds | of the right port's |"
    yield "|---|---|--:|--:|--:|--:|--:|"
    for operation, ports in PORTS.items():
        conformance.check(ports[RIGHT], operation, battery="quick", progress=False, **CLAIMS[operation])  # imports
        right = 0.0
        for kind, port in ports.items():
            start = time.process_time()
            report = conformance.check(port, operation, progress=False, **CLAIMS[operation])
            report.text()
            seconds = time.process_time() - start
            right = right or seconds
            counts = len(report.outcomes), report.count("holds"), report.count("fails")
            yield f"| `{operation}` | {kind} | {' | '.join(map(str, counts))} | {seconds:.1f} | {seconds / right:.2f} |"


def resident(field: str) -> int:
    """Bytes in a line of /proc/self/status."""
    return 1024 * int(re.search(rf"{field}:\s*(\d+)", Path("/proc/self/status").read_text())[1])


def judged(operation: str, a: np.ndarray, x: np.ndarray) -> None:
    try:
        if operation == "polar":
            testing.assert_polar(a, x)
        else:
            testing.assert_newton_schulz(a, x, **CLAIM)
    except AssertionError:
        pass


def peak(operation: str, wrong: bool) -> float:
    """Peak memory of judging a matrix of 1e6 x 4, without input and result, of which it is a multiple."""
    a = np.random.default_rng(0).standard_normal((1_000_000, 4))
    x = orthoref.polar(a)[0] if operation == "polar" else schulz(5)(a)
    x = 0.9 * x if wrong else x
    judged(operation, a[:1000], x[:1000])  # what stays: code, buffers
    gc.collect()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    judged(operation, a, x)
    return (resident("VmHWM") - before) / (a.nbytes + x.nbytes)


def peaks() -> Iterator[str]:
    yield "| operation | result | peak, in units of input and result (64 MB) |"
    yield "|---|---|--:|"
    for operation in PORTS:
        for wrong in (False, True):
            with get_context("spawn").Pool(1) as alone:
                found = alone.apply(peak, (operation, wrong))
            yield f"| `{operation}` | {'0.9 x the right one, explained' if wrong else 'right'} | {found:.1f} |"


def lanes(log: str) -> Iterator[str]:
    """Wall time of the tests and of the lanes, from what `bash .ci/run` printed."""
    whole = re.search(r"^=== done \((\d+) s since", log, re.M)
    summary = re.search(r"(\d+ passed).* in ([\d.]+)s", log)
    yield "| what | seconds of wall time |"
    yield "|---|--:|"
    if summary:
        yield f"| `pytest -n auto` of the README's test command, {summary[1]} | {float(summary[2]):.0f} |"
    for name, seconds in re.findall(r"^=== (.+): (\d+) s, status 0$", log, re.M):
        yield f"| lane: {name} | {seconds} |"
    if whole:
        yield f"| the whole of `.ci/run` | {whole[1]} |"


def machine() -> str:
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy"))
    return (
        f"Run on {datetime.date.today().isoformat()}, {model[1] if model else platform.machine()}, {os.cpu_count()} "
        f"processors, load {os.getloadavg()[0]:.1f}: Python {platform.python_version()}, "
        f"orthoref {orthoref.__version__}, {versions}."
    )


def main(logs: list[str]) -> None:
    lines = ["<!-- Written by docs/make_costs.py: do not edit. -->", "", machine(), ""]
    lines += ["Processor time of a run of the default battery, one thread:", "", *runs(), ""]
    lines += ["Memory of judging one float64 matrix of 1e6 x 4 (Linux, resident memory):", "", *peaks(), ""]
    for log in logs:
        lines += ["Tests, two at a time:", "", *lanes(Path(log).read_text(encoding="utf-8")), ""]
    Path(__file__).with_name("costs_table.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
