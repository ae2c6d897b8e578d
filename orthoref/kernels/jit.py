"""The one way to compile: no fastmath, so that NaN tests and results are those of the plain Python code.

The GIL is released, so that a caller may work on parts of a stack in threads; a kernel itself starts none.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numba

jit: Any = partial(numba.njit, cache=True, fastmath=False, error_model="numpy", nogil=True)
