"""The door of the constructors: matrices beside vectors, unitary and skew-Hermitian matrices, tangents."""

from __future__ import annotations

import array_api_compat as compat

from orthoref.arrays import Array, Namespace, at_batch, dtype_name, enter, first_index, is_complex, require_shape
from orthoref.errors import OutsideDomain
from orthoref.linalg import ct, eps, eye_like, frobenius, inner, unit_scale

LIMIT = 100  # units of n eps by which an equation that an input has to satisfy may be missed, as for Stiefel points


def enter_any(matrices: dict[str, Array], others: dict[str, Array | None] | None = None) -> Namespace:
    """Take in matrices beside arrays of any number of axes (vectors, scalars); None stands for nothing."""
    given = {name: x for name, x in (others or {}).items() if x is not None}
    columns = {name: x[..., None, None] if compat.is_array_api_obj(x) else x for name, x in given.items()}
    return enter(**matrices, **columns)


def require_skew(a: Array, xp: Namespace, *, name: str = "a") -> None:
    """Refuse what is not square, or |A + A^H| / 2 > LIMIT n eps |A|."""
    require_square(name, a)
    if 0 in a.shape:
        return
    x = unit_scale(a).apply(a)
    size = frobenius(x)
    defect = frobenius(x + ct(x)) / 2 / xp.where(size > 0, size, xp.ones_like(size))
    _refuse(defect[..., 0, 0], a, xp, f"{name} is not skew-Hermitian: |A + A^H| / 2 = {{}} |A|")


def require_orthonormal(q: Array, xp: Namespace, *, square: bool = True, name: str = "q") -> None:
    """Refuse what is not square (or wide), or |Q^H Q - I| > LIMIT n eps."""
    if square:
        require_square(name, q)
    elif q.shape[-2] < q.shape[-1]:
        raise ValueError(f"{name} has shape {tuple(q.shape)}: more columns than rows cannot be orthonormal")
    if 0 not in q.shape:
        _refuse(frobenius(inner(q, q) - eye_like(q))[..., 0, 0], q, xp, f"{name} is not unitary: |Q^H Q - I| = {{}}")


def require_tangent(q: Array, q_dot: Array, xp: Namespace, *, name: str = "q_dot") -> None:
    """Refuse |sym(Q^H V)| > LIMIT n eps |V|."""
    require_shape(name, q_dot, q.shape)
    if 0 in q.shape:
        return
    x = unit_scale(q_dot).apply(q_dot)
    size, g = frobenius(x), inner(q, x)
    defect = frobenius(g + ct(g)) / 2 / xp.where(size > 0, size, xp.ones_like(size))
    _refuse(defect[..., 0, 0], q, xp, f"{name} is not tangent at q: |Q^H V + V^H Q| / 2 = {{}} |V|")


def require_square(name: str, a: Array) -> None:
    """Refuse matrices that are not square."""
    if a.shape[-2] != a.shape[-1]:
        raise ValueError(f"{name} has shape {tuple(a.shape)}, it must be square")


def require_count(name: str, value: object, least: int = 0) -> None:
    """Refuse what is no integer of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}={value!r} must be an integer of at least {least}")


def to_complex(x: Array, xp: Namespace) -> Array:
    """In the complex dtype of the same precision."""
    return x if is_complex(x) else xp.astype(x, xp.complex64 if dtype_name(x) == "float32" else xp.complex128)


def _refuse(defect: Array, x: Array, xp: Namespace, message: str) -> None:
    limit = LIMIT * x.shape[-2] * eps(x)
    within = defect <= limit
    if not bool(xp.all(within)):
        index = first_index(~within, xp)
        size = f"{float(defect[index]):.1e}"
        raise OutsideDomain(f"{message.format(size)}, more than {LIMIT} n eps = {limit:.1e}" + at_batch(index))
