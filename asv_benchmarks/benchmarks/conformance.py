"""What a conformance run costs whoever puts it into a test suite."""

from __future__ import annotations

from typing import Any

import orthoref
from orthoref.oracle import conformance

from .common import Limited, few


class Check(Limited):
    """Default battery of 'polar' on NumPy arrays; the port and the judging together."""

    params = (few(["orthoref", "scipy"]), few([1, 2]))
    param_names = ("port", "threads")
    timeout = 600
    rounds = 1
    number = 1
    repeat = 1
    warmup_time = 0
    min_run_count = 1

    def setup(self, port: str, threads: int) -> None:
        self.limit_threads(threads)
        if port == "orthoref":
            self.port = orthoref.polar
        else:
            from scipy.linalg import polar

            self.port = polar

    def time_check(self, *_: Any) -> None:
        conformance.check(self.port, progress=False)

    time_check.limit = 20.0
