"""Compiled twins of the generic functions, for work that is slow in Python: sequences and many small matrices.

A kernel computes what the generic function computes, by the same formula, and a test holds the two together.
``KERNELS`` says which there are and for which inputs, :func:`find` is the one place that picks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from math import prod
from typing import Literal

import array_api_compat as compat

from orthoref.arrays import Array, require_choice

Impl = Literal["auto", "generic", "kernel"]


@dataclass(frozen=True)
class Kernel:
    """What a kernel takes besides NumPy arrays in the machine's byte order, and from where on ``"auto"`` takes it."""

    functions: tuple[str, ...]  # public names with impl=
    inputs: str  # in words, for the message and the table of the docs
    takes: Callable[[Array], bool]
    auto: str  # in words
    pays: Callable[[Array], bool]  # the first import of the compiler's runtime costs as much as 0.3 s
    needs: str = "numba"


def _many(x: Array) -> bool:
    return prod(x.shape[:-2]) >= 16 and prod(x.shape) >= 2**13  # some milliseconds by SVD; compiling takes 13 s, once


KERNELS = {
    "newton": Kernel(
        ("polar",),
        "stacks of square matrices of order at most 32",
        lambda x: x.ndim > 2 and x.shape[-2] == x.shape[-1] <= 32,
        "16 matrices and 8192 entries and more, method 'auto' or 'newton'",
        _many,
    ),
    "reflectors": Kernel(
        ("householder_product", "householder_product_vjp", "householder_apply", "householder_apply_vjp"),
        "single matrices, not stacks",
        lambda v: v.ndim == 2,
        "v with 16384 entries and more",
        lambda v: v.ndim == 2 and prod(v.shape) >= 2**14,
        needs="scipy",
    ),
    "givens": Kernel(
        ("givens_product", "givens_product_vjp", "givens_apply", "givens_apply_vjp"),
        "all",
        lambda _: True,
        "x with 256 entries and more",
        lambda x: prod(x.shape) >= 256,  # torch: size is a method
    ),
}


def find(name: str, x: Array, impl: str) -> Callable[..., Array] | None:
    """The kernel ``name``, a function of ``orthoref.kernels``, for this input; None where the generic path is meant.

    Raises
    ------
    ValueError
        With ``impl="kernel"``, where there is none; another ``impl``.
    """
    require_choice("impl", impl, ("auto", "generic", "kernel"))
    if impl == "generic":
        return None
    module, _, function = name.partition(".")
    kernel = KERNELS[module]
    if impl == "auto" and not kernel.pays(x):
        return None
    reason = _refusal(kernel, x)
    if reason and impl == "kernel":
        raise ValueError(f"impl='kernel': {reason}")
    return None if reason else getattr(import_module(f"orthoref.kernels.{module}"), function)


def _refusal(kernel: Kernel, x: Array) -> str:
    if not compat.is_numpy_array(x):
        return f"the kernel takes NumPy arrays, not {type(x).__module__.partition('.')[0]}"
    if not x.dtype.isnative:
        return f"the kernel takes the machine's byte order, not {x.dtype.str}"
    if not kernel.takes(x):
        return f"the kernel takes {kernel.inputs}, not {x.dtype} {x.shape}"
    try:
        import_module(kernel.needs)
    except ImportError as error:  # missing, or not made for this NumPy
        return f"{kernel.needs} cannot be imported: {error}: pip install 'orthoref[numba]'"  # brings both
    return ""
