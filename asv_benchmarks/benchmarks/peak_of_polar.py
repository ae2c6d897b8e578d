"""Peak resident memory of one call of polar beyond its input and output, in its own process (Linux).

``python peak_of_polar.py N METHOD`` prints JSON. tracemalloc would not do: NumPy's linear algebra takes LAPACK's
copies and work arrays from malloc. The kernel's high-water mark of the resident memory (VmHWM) sees them; writing 5 to
/proc/self/clear_refs resets it to what is resident now. A first call takes what stays (code, packing buffers of the
BLAS) out of the difference.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

import numpy as np


def resident(field: str) -> int:
    """Bytes in a line of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def main() -> None:
    import orthoref

    n, method = int(sys.argv[1]), sys.argv[2]
    a = np.random.RandomState(0).standard_normal((n, n))
    orthoref.polar(a, method=method)
    gc.collect()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    result = orthoref.polar(a, method=method)
    peak = resident("VmHWM")
    extra = peak - before - sum(x.nbytes for x in result)
    print(json.dumps({"extra_words_per_n2": extra / (n * n * a.itemsize), "peak_bytes": peak}))


if __name__ == "__main__":
    main()
