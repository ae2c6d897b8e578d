"""Compiled twins of the generic functions, for work that is slow in Python: many small matrices.

A kernel computes what the generic function of the same name computes, by the same formula, and a test holds the two
together. :func:`find` is the one place that decides which inputs have one.
"""

from __future__ import annotations

from collections.abc import Callable

import array_api_compat as compat

from orthoref.arrays import Array, is_complex

MAX_ORDER = 8  # above, and for complex matrices, it is not twice as fast as the batched LAPACK calls


def find(name: str, x: Array, impl: str) -> Callable[..., Array] | None:
    """The kernel of a function for this input; None where the generic path is meant.

    Raises
    ------
    ValueError
        With ``impl="kernel"``, where there is none.
    """
    reason = _no_kernel(name, x)
    if impl == "kernel" and reason:
        raise ValueError(f"impl='kernel': {reason}")
    if impl == "generic" or reason:
        return None
    from orthoref.kernels import newton

    return newton.newton_polished


def _no_kernel(name: str, x: Array) -> str:
    if name != "newton":
        return f"there is a kernel for method='newton' only, not {name!r}"
    if not compat.is_numpy_array(x):
        return f"the kernel takes NumPy arrays, not {type(x).__module__.partition('.')[0]}"
    if not x.dtype.isnative:
        return f"the kernel takes the machine's byte order, not {x.dtype.str}"
    m, n = x.shape[-2:]
    if x.ndim < 3 or m != n or n > MAX_ORDER or is_complex(x):
        return f"the kernel takes stacks of real square matrices of order at most {MAX_ORDER}, not {x.dtype} {x.shape}"
    try:
        import numba  # noqa: F401
    except ImportError as error:  # missing, or not made for this NumPy
        return f"numba cannot be imported: {error}: pip install 'orthoref[numba]'"
    return ""
