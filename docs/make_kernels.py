"""Which kernels there are, what they gain and what their first calls cost. Run by hand: python docs/make_kernels.py

Writes docs/kernels_table.md in some minutes. The numbers are those of asv_benchmarks/benchmarks/kernels.py.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "asv_benchmarks"))
FIRST = {
    "polar": "orthoref.polar(x[None], impl='kernel')",
    "givens_product": "orthoref.givens_apply(np.ones(3), x, impl='kernel')",
    "givens_product_vjp": "orthoref.givens_apply_vjp(np.ones(3), x, x, impl='kernel')",
}
TIMED = """
import time, numba, orthoref, numpy as np
x, start = np.eye(3, dtype={!r}), time.process_time()
{}
print(time.process_time() - start)
"""


def gains() -> Iterator[str]:
    """The tracked numbers, as in asv."""
    import summary

    yield from summary.machine()
    yield ""
    yield "| Benchmark | Parameters | Measured | Limit | |"
    yield "| --- | --- | ---: | ---: | --- |"
    yield from summary.rows(re.compile(r"^kernels\."), busy=False)


def first_calls() -> Iterator[str]:
    """Processor seconds of the first call in a process: with an empty cache, and with that of another process."""
    yield "| function | dtype | compiled | from the cache |"
    yield "| --- | --- | --: | --: |"
    for name, call in FIRST.items():
        for dtype in ("float64", "complex128"):
            with TemporaryDirectory() as folder:
                command, env = (
                    [sys.executable, "-c", TIMED.format(dtype, call)],
                    os.environ | {"NUMBA_CACHE_DIR": folder},
                )
                runs = (subprocess.run(command, env=env, capture_output=True, text=True, check=True) for _ in range(2))
                compiled, read = (float(run.stdout) for run in runs)
            yield f"| `{name}` | {dtype} | {compiled:.1f} s | {read:.2f} s |"


def which() -> Iterator[str]:
    """The table of the dispatcher."""
    from orthoref.kernels import KERNELS

    yield '| functions | by | inputs | with `impl="auto"` |'
    yield "| --- | --- | --- | --- |"
    for kernel in KERNELS.values():
        names = ", ".join(f"`{name}`" for name in kernel.functions)
        yield f"| {names} | {kernel.needs} | {kernel.inputs} | {kernel.auto} |"


if __name__ == "__main__":
    parts = ["<!-- Written by docs/make_kernels.py: do not edit. -->"]
    for part in (which, gains, first_calls):
        parts.append("\n".join(part()))
    (HERE / "kernels_table.md").write_text("\n\n".join(parts) + "\n")
