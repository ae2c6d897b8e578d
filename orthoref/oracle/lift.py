"""Arrays of any library, lifted exactly to NumPy float64 or complex128 for judging. No framework is imported."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import array_api_compat as compat
import numpy as np

from orthoref.oracle.precision import precision_of


class Lifted(NamedTuple):
    """The values, and the name of the dtype they came in (``None`` for nested lists)."""

    value: np.ndarray
    dtype: str | None


def lift(name: str, x: Any, *, vector: bool = False) -> Lifted:
    """Exact float64 or complex128 copy of an array of shape (..., m, n); a vector (..., n) becomes a column.

    Takes NumPy (ml_dtypes' bfloat16 included), CuPy, torch (any device, bfloat16, tensors that require gradients),
    JAX, anything with DLPack or ``__array__``, and nested lists of numbers. This is the one place where data is
    moved between devices: judging happens on the host.

    Raises
    ------
    TypeError
        Not convertible, or a dtype that is no floating-point format.
    ValueError
        Fewer than two dimensions, of a vector one.
    """
    if isinstance(x, (list, tuple)):
        try:
            array = np.asarray(x)
        except ValueError:
            raise TypeError(f"{name} is a nested list whose rows differ in length") from None
        dtype = None
        if array.dtype.kind not in "iufc":
            raise TypeError(f"{name} is a nested list that does not hold numbers only")
        _require_exact(name, x)
    else:
        array = _to_numpy(name, x)
        dtype = name_of_dtype(x if hasattr(x, "dtype") else array)
        precision_of(dtype)
    if array.ndim < (1 if vector else 2):
        needed = "1 dimension (..., n)" if vector else "2 dimensions (..., m, n)"
        raise ValueError(f"{name} must have at least {needed}, not shape {array.shape}")
    value = np.array(array, dtype=np.complex128 if array.dtype.kind == "c" else np.float64)
    return Lifted(value[..., None] if vector else value, dtype)


def name_of_dtype(x: Any) -> str:
    """Name of the dtype of an array of any library."""
    return getattr(x.dtype, "name", None) or str(x.dtype).rpartition(".")[2]


def _require_exact(name: str, x: Any) -> None:
    """Refuse numbers in nested lists that binary64 cannot hold."""
    if isinstance(x, (list, tuple)):
        for item in x:
            _require_exact(name, item)
    elif isinstance(x, np.ndarray):
        lift(name, np.atleast_2d(x))
    elif isinstance(x, np.inexact) and x.dtype.itemsize > (16 if x.dtype.kind == "c" else 8):
        raise TypeError(f"{name} holds {type(x).__name__} numbers, which float64 cannot hold")
    elif isinstance(x, (int, np.integer)) and int(float(x)) != x:
        raise TypeError(f"{name} holds the integer {x}, which float64 cannot hold")


def _to_numpy(name: str, x: Any) -> np.ndarray:
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: the mask would be lost")
    if isinstance(x, np.ndarray):
        return x
    if compat.is_torch_array(x):
        torch = sys.modules["torch"]
        x = x.detach().resolve_conj().resolve_neg().cpu()
        return x.to(torch.complex128 if x.is_complex() else torch.float64).numpy()
    if compat.is_cupy_array(x):
        return x.get()
    if not any(hasattr(x, attribute) for attribute in ("__array__", "__dlpack__", "dtype")):
        raise TypeError(f"{name} must be an array or a nested list, not {type(x).__name__}")
    for convert in (np.asarray, np.from_dlpack, lambda y: np.asarray(compat.to_device(y, "cpu"))):
        try:
            array = convert(x)
        except Exception:
            continue
        if array.dtype != object:
            return array
    raise TypeError(f"{name}: cannot read a {type(x).__module__}.{type(x).__name__} by __array__ or DLPack")
