"""The door: every public function takes its arrays in through here.

Nothing is converted, copied, moved or promoted. What the mathematics cannot use is refused with the
name of the argument, the offending number and the batch index.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from functools import cache
from typing import Any, NamedTuple

import array_api_compat as compat
import numpy as np

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


def ct(x: Array) -> Array:
    """Conjugate transpose of the last two axes; no copy for real arrays."""
    xp = namespace(x)
    return xp.conj(x.mT) if is_complex(x) else x.mT


BLOCK = 256


def inner(x: Array, y: Array) -> Array:
    """X^H Y, for very tall X and Y as a sum over blocks of rows.

    One product of m rows in a row commits up to m roundings, m/n units of n eps; blocks keep that independent of m.
    """
    m, n = x.shape[-2:]
    count = m // BLOCK
    if count < 2 or m < 64 * n:
        return ct(x) @ y
    xp, head = namespace(x), count * BLOCK
    x_blocks, y_blocks = (xp.reshape(z[..., :head, :], (*z.shape[:-2], count, BLOCK, z.shape[-1])) for z in (x, y))
    return xp.sum(ct(x_blocks) @ y_blocks, axis=-3) + ct(x[..., head:, :]) @ y[..., head:, :]


def hermitian_part(x: Array) -> Array:
    """(X + X^H)/2, Hermitian to the last bit."""
    return (x + ct(x)) / 2


def skew_part(x: Array) -> Array:
    """(X - X^H)/2, skew-Hermitian to the last bit."""
    return (x - ct(x)) / 2


def eps(x: Array) -> float:
    """Distance from 1 to the next number of the array's dtype (twice the unit roundoff)."""
    return float(namespace(x).finfo(x.dtype).eps)


def eye_like(x: Array) -> Array:
    """Identity of order n for an array of shape (..., m, n), in its dtype and on its device."""
    xp = namespace(x)
    return xp.eye(x.shape[-1], dtype=x.dtype, device=compat.device(x))


def frobenius(x: Array) -> Array:
    """Frobenius norm of every matrix, shape (..., 1, 1)."""
    return namespace(x).linalg.matrix_norm(x, keepdims=True)


class Scale(NamedTuple):
    """A power of two per matrix, 2^(-e) = down * down_again, split so that both halves are normal numbers."""

    down: Array | float
    down_again: Array | float

    def apply(self, x: Array) -> Array:
        """Scale X."""
        return x if self is UNSCALED else x * self.down * self.down_again

    def undo(self, x: Array) -> Array:
        """Scale back."""
        return x if self is UNSCALED else x / self.down / self.down_again


UNSCALED = Scale(1.0, 1.0)


def unit_scale(x: Array, axis: int | tuple[int, int] = (-2, -1), least: float = 0.0) -> Scale:
    """The power of two that brings the largest component of every matrix (along ``axis``) into [1/2, 4); 1 for zero.

    Where ``least`` is larger than all components, it is brought there instead.

    ([1, 2) but for the rounding of the library's log2.) Multiplying by it is exact except for components 2^1020 times
    smaller than the largest one. UNSCALED if all largest components lie in [2^-16, 2^16], far from every overflow.
    """
    xp = namespace(x)
    size = xp.maximum(xp.abs(xp.real(x)), xp.abs(xp.imag(x))) if is_complex(x) else xp.abs(x)
    largest = xp.max(size, axis=axis, keepdims=True)
    if least:
        largest = xp.maximum(largest, xp.full_like(largest, min(least, float(xp.finfo(largest.dtype).max))))
    if bool(xp.all((largest >= 2.0**-16) & (largest <= 2.0**16))):
        return UNSCALED
    exponent = -xp.floor(xp.log2(xp.where(largest > 0, largest, xp.ones_like(largest))))
    half = xp.floor(exponent / 2)
    two = xp.full_like(half, 2.0)
    return Scale(xp.pow(two, half), xp.pow(two, exponent - half))


def rescale_derivative(x: Array, scale: Scale, e_scale: Scale) -> Array:
    """Undo the scaling of a derivative that is homogeneous of degree -1 in A and 1 in the direction E."""
    if scale is UNSCALED and e_scale is UNSCALED:
        return x
    xp = namespace(x)
    with np.errstate(all="ignore"):  # judged below
        x = x * (scale.down / e_scale.down) * (scale.down_again / e_scale.down_again)
    finite = xp.all(xp.isfinite(x), axis=(-2, -1))
    if not bool(xp.all(finite)):
        raise OutsideDomain("the derivative overflows" + at_batch(first_index(~finite, xp)))
    return x


def inverse(x: Array) -> Array:
    """Inverse, all NaN where the library reports an exactly singular matrix (NumPy: the whole stack)."""
    xp = namespace(x)
    try:
        return xp.linalg.inv(x)
    except Exception as error:  # numpy.linalg.LinAlgError, torch.linalg.LinAlgError, ...: no common base
        if "LinAlgError" not in type(error).__name__:
            raise
        return xp.full_like(x, float("nan"))
