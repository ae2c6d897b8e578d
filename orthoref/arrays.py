"""The door: every public function takes its arrays in through here.

Nothing is converted, copied, moved or promoted. What the mathematics cannot use is refused with the
name of the argument, the offending number and the batch index.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from functools import cache
from typing import Any

import array_api_compat as compat

from orthoref.errors import OutsideDomain

Array = Any
Namespace = Any

FLOATING = ("float32", "float64", "complex64", "complex128")


_namespaces: dict[type, Namespace] = {}


def namespace(x: Array) -> Namespace:
    """array-api-compat's namespace of one array, remembered by type: asking costs as much as a small matmul."""
    found = _namespaces.get(type(x))
    if found is None:
        found = _namespaces[type(x)] = compat.array_namespace(x)
    return found


@cache
def _bare_name(array_type: Hashable, dtype: Hashable) -> str:  # the type first: dtypes of two libraries never meet
    name = getattr(dtype, "name", None)  # of NumPy: str shows the byte order where it is not the machine's
    if isinstance(name, str):
        return name
    return str(dtype).rsplit(".", 1)[-1].strip("'>")


def dtype_name(x: Array) -> str:
    """Bare name of the dtype in any namespace: ``float32``, ``bfloat16``, ..."""
    kind: Any = type(x)
    return _bare_name(kind, x.dtype)


def enter(**arguments: Array) -> Namespace:
    """Check arrays of matrices and return the namespace that they share.

    Parameters
    ----------
    **arguments : array of shape (..., m, n)
        The arrays under their public names.

    Returns
    -------
    namespace
        The array-API namespace of all of them.

    Raises
    ------
    TypeError
        Not an array, an array subclass with meaning of its own (masked arrays, ``numpy.matrix``),
        a dtype outside float32, float64, complex64, complex128, or namespaces or dtypes that differ. An array that
        torch differentiates or JAX traces.
    ValueError
        Fewer than two dimensions, or arrays on different devices.
    OutsideDomain
        NaN or infinity; the message names the first entry and its batch index.
    """
    for name, x in arguments.items():
        if not compat.is_array_api_obj(x):
            raise TypeError(f"{name} must be an array of an array-API library, not {type(x).__name__}")
        if type(x).__name__ in ("MaskedArray", "matrix"):
            raise TypeError(f"{name} must be a plain array, not numpy's {type(x).__name__}")
        _refuse_differentiated(name, x)
        if dtype_name(x) not in FLOATING:
            raise TypeError(f"{name} has dtype {dtype_name(x)}; orthoref takes {', '.join(FLOATING)}")
        if x.ndim < 2:
            raise ValueError(f"{name} must have at least 2 dimensions (..., m, n), not shape {tuple(x.shape)}")
    first, *others = arguments
    for name in others:
        x, y = arguments[first], arguments[name]
        for what, of in (("namespace", namespace), ("dtype", dtype_name), ("device", compat.device)):
            if of(x) != of(y):
                kind = ValueError if what == "device" else TypeError
                raise kind(f"{first} and {name} differ in {what}: {of(x)} and {of(y)}")
    xp = namespace(arguments[first])
    for name, x in arguments.items():
        _require_finite(name, x, xp)
    return xp


def _refuse_differentiated(name: str, x: Array) -> None:
    """Derivatives of a library go through its SVD and are NaN at repeated singular values; tracers have no values."""
    if compat.is_torch_array(x):
        torch = sys.modules["torch"]
        backward = x.requires_grad and torch.is_grad_enabled()
        if backward or torch.autograd.forward_ad.unpack_dual(x).tangent is not None:
            raise TypeError(
                f"{name} is differentiated by torch, whose derivative of a singular value decomposition is NaN where "
                f"singular values repeat: pass {name}.detach(), or put the function (polar) and its derivative "
                "(polar_vjp) into a torch.autograd.Function"
            )
    if compat.is_jax_array(x) and isinstance(x, sys.modules["jax"].core.Tracer):
        raise TypeError(
            f"{name} is traced by jax ({type(x).__name__}); orthoref looks at values. Under jax.grad put the function "
            "(polar) and its derivative (polar_vjp) into a jax.custom_vjp; under jax.jit or jax.vmap also into "
            "jax.pure_callback"
        )


def require_shape(name: str, x: Array, shape: tuple[int, ...]) -> None:
    """Refuse an array whose shape is not exactly the one that the other arguments imply."""
    if tuple(x.shape) != tuple(shape):
        raise ValueError(f"{name} has shape {tuple(x.shape)}, the other arguments imply {tuple(shape)}")


def require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse an option that is not among the named ones."""
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, choices))}")


def _require_finite(name: str, x: Array, xp: Namespace) -> None:
    finite = xp.isfinite(x)
    if not bool(xp.all(finite)):
        index = tuple(int(i[0]) for i in xp.nonzero(~finite))
        raise OutsideDomain(f"{name} has {x[index]} at entry {index[-2:]}" + at_batch(index[:-2]))


def first_index(flags: Array, xp: Namespace) -> tuple[int, ...]:
    """Index of the first true element, ``()`` for an array without axes."""
    return tuple(int(i[0]) for i in xp.nonzero(flags)) if flags.ndim else ()


def at_batch(index: tuple[int, ...]) -> str:
    """The tail of every message about one matrix of a stack."""
    return f", batch index {index}" if index else ""


def is_complex(x: Array) -> bool:
    """Whether the dtype is complex."""
    return dtype_name(x).startswith("complex")
