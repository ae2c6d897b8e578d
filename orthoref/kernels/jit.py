"""The one way to compile: no fastmath, so that NaN tests and results are those of the plain Python code."""

from __future__ import annotations

from functools import partial
from typing import Any

import numba

jit: Any = partial(numba.njit, cache=True, fastmath=False, error_model="numpy")
