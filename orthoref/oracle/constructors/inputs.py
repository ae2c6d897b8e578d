"""Parameters of orthogonal matrices: skew-Hermitian matrices, and what is given beside them.

Functions of the shape of the matrix that is made, as :func:`orthoref.oracle.cases.matrix` is of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isqrt, pi, prod, sqrt

import numpy as np

from orthoref.oracle.cases import COTANGENTS, _haar, _laid_out, cast, checked_shape, cotangent

SKEW: dict[str, str] = {
    "general": "skew part of normal numbers, largest angle about 2",
    "axes": "generic blocks of order 2 on the diagonal, zero elsewhere",
    "equal angles": "angles 1 (complex: 1 and -1) in random planes",
    "one plane": "rank two (complex: one), angle 1",
    "half turn": "random angles and one of pi, in random planes",
    "full turn": "random angles and one of 2 pi, in random planes",
}
ANGLES: dict[str, str] = {
    "general": "between -pi and pi",
    "equal": "all the same",
    "one": "one angle, the others 0",
    "quarter turns": "multiples of pi/2",
    "half turns": "pi, all of them",
}
REFLECTORS: dict[str, str] = {
    "general": "normal numbers",
    "zero reflector": "one is zero; below the diagonal, where it stands",
    "equal": "all the same, so that they cancel in pairs",
    "axes": "multiples of unit vectors",
    "graded": "columns of norms that fall from 1 to 1e-3",
}
TAUS: dict[str, str] = {
    "reflection": "2/|v|^2; complex: (1 + e^{it})/|v|^2 with random t",
    "zero tau": "one is 0",
    "singular tau": "one is 1/|v|^2: a projection",
}
MEMBERS = ("alike", "one zero")
COMPLEX = {"float32": "complex64", "float64": "complex128"}


def skew(
    shape: Sequence[int],
    *,
    structure: str = "general",
    scale: float = 1.0,
    seed: int = 0,
    dtype: str = "float64",
    members: str = "alike",
    memory: str = "C",
) -> np.ndarray:
    """Random skew-Hermitian matrices (..., n, n), exactly so; ``structure`` is one of ``SKEW``."""
    _require(structure, SKEW)
    *_, m, n = checked_shape(shape)
    if m != n:
        raise ValueError(f"shape={shape!r} is not square")

    def one(random: np.random.RandomState) -> np.ndarray:
        a = _angular(random, n, structure, dtype.startswith("complex"))
        return (a - np.conj(a.T)) / 2

    return stacked(shape, one, scale=scale, seed=seed, dtype=dtype, members=members, memory=memory)


def _angular(random: np.random.RandomState, n: int, structure: str, complex_: bool) -> np.ndarray:
    if structure in ("general", "axes"):
        a = random.standard_normal((n, n))
        a = (a + 1j * random.standard_normal((n, n)) if complex_ else a) * sqrt(2 / max(n, 1))
        i = np.arange(n) // 2
        return a if structure == "general" else a * sqrt(max(n, 1) / 2) * (i[:, None] == i)
    count = n if complex_ else n // 2
    angles: np.ndarray = random.uniform(0.25, 2.0, count)
    if structure == "equal angles":
        angles = (-1.0) ** np.arange(count) if complex_ else np.ones(count)
    elif structure == "one plane":
        angles = (np.arange(count) == 0).astype(float)
    else:
        angles[:1] = pi if structure == "half turn" else 2 * pi
    if complex_:
        blocks: np.ndarray = np.diag(1j * angles)
    else:
        blocks = np.zeros((n, n))
        i = 2 * np.arange(count)
        blocks[i, i + 1], blocks[i + 1, i] = -angles, angles
    p = _haar(random, n, n, complex_)
    return p @ blocks @ np.conj(p.T)


def signs(point: np.ndarray, *, kind: str = "generic", seed: int = 0, dtype: str = "float64") -> np.ndarray:
    """Entries 1 and -1, both where there is room, for a matrix (..., n, n); ``kind`` is that of other companions."""
    random = np.random.RandomState(seed)
    found = random.choice([-1.0, 1.0], point.shape[:-1])
    found[..., :1], found[..., -1:] = 1, -1
    return cast(found, dtype)


def direction(point: np.ndarray, *, kind: str = "generic", seed: int = 0, dtype: str = "float64") -> np.ndarray:
    """Skew-Hermitian direction of length about 1 at a matrix (..., n, n); ``kind`` as of a cotangent."""
    x = cotangent(point, kind=kind, seed=seed, dtype=dtype)
    wide = x.astype(np.result_type(x.dtype, np.float64)) / sqrt(2)
    found = cast(wide - np.conj(np.swapaxes(wide, -1, -2)), dtype)
    return _laid_out(found, kind if kind in ("transposed", "strided") else "C", found.shape)


def angles(
    shape: Sequence[int],
    *,
    structure: str = "general",
    scale: float = 1.0,
    seed: int = 0,
    dtype: str = "float64",
    members: str = "alike",
    memory: str = "C",
) -> np.ndarray:
    """Angles (..., n(n - 1)/2) of rotations in all planes, of matrices (..., n, n); ``structure`` in ``ANGLES``."""
    return _angles(shape, lambda n: n * (n - 1) // 2, structure, scale, seed, dtype, members, memory)


def butterfly_angles(
    shape: Sequence[int],
    *,
    structure: str = "general",
    scale: float = 1.0,
    seed: int = 0,
    dtype: str = "float64",
    members: str = "alike",
    memory: str = "C",
) -> np.ndarray:
    """Angles (..., n/2 log2(n)) of a butterfly, n a power of two."""
    return _angles(shape, lambda n: n // 2 * _log2(n), structure, scale, seed, dtype, members, memory)


def _log2(n: int) -> int:
    if n < 1 or n & (n - 1):
        raise ValueError(f"n={n} is no power of two")
    return n.bit_length() - 1


def _angles(shape: Sequence[int], count: Callable[[int], int], structure: str, scale: float, seed: int, dtype: str,
            members: str, memory: str) -> np.ndarray:  # fmt: skip
    _require(structure, ANGLES)
    *_, m, n = checked_shape(shape)
    if m != n:
        raise ValueError(f"shape={shape!r} is not square")
    length = count(n)

    def one(random: np.random.RandomState) -> np.ndarray:
        found = random.uniform(-pi, pi, length)
        if structure == "equal":
            return np.full(length, found[0] if length else 0.0)
        if structure == "one":
            return found * (np.arange(length) == random.randint(max(length, 1)))
        if structure == "quarter turns":
            return np.round(found / (pi / 2)) * (pi / 2)
        return np.full(length, pi) if structure == "half turns" else found

    return stacked(shape, one, scale=scale, seed=seed, dtype=dtype, members=members, memory=memory)


def reflectors(
    shape: Sequence[int],
    *,
    structure: str = "general",
    scale: float = 1.0,
    seed: int = 0,
    dtype: str = "float64",
    members: str = "alike",
    memory: str = "C",
) -> np.ndarray:
    """Reflectors in columns of (..., m, k), k <= m, on and above the diagonal too; ``structure`` in ``REFLECTORS``."""
    _require(structure, REFLECTORS)
    *_, m, k = checked_shape(shape)
    if k > m:
        raise ValueError(f"shape={shape!r}: more reflectors than rows")

    def one(random: np.random.RandomState) -> np.ndarray:
        v = random.standard_normal((m, k))
        v = v + 1j * random.standard_normal((m, k)) if dtype.startswith("complex") else v
        if structure == "equal" and k:
            return np.repeat(v[:, :1], k, axis=1)
        if structure == "axes":
            return v * (np.arange(m)[:, None] == np.minimum(np.arange(k) + random.randint(2), m - 1))
        if structure == "graded":
            return v * 10.0 ** -(3 * np.arange(k) / max(k - 1, 1))
        if structure == "zero reflector" and k:
            v[:, random.randint(k)] = 0
        return v

    return stacked(shape, one, scale=scale, seed=seed, dtype=dtype, members=members, memory=memory)


def below(v: np.ndarray) -> np.ndarray:
    """Reflectors as LAPACK stores them: ones on the diagonal, what is above is not looked at."""
    m, k = v.shape[-2:]
    return np.tril(v, -1) + np.eye(m, k)


def taus_below(point: np.ndarray, *, kind: str = "generic", seed: int = 0, dtype: str = "float64") -> np.ndarray:
    """Taus (..., k) that belong to reflectors below the diagonal; ``kind`` is one of ``TAUS``, else the first."""
    return taus_full(below(point), kind=kind, seed=seed, dtype=dtype)


def taus_full(point: np.ndarray, *, kind: str = "generic", seed: int = 0, dtype: str = "float64") -> np.ndarray:
    """Taus that belong to reflectors as they are."""
    random = np.random.RandomState(seed)
    v = point.astype(np.result_type(point.dtype, np.float64))
    squares = np.sum(np.abs(v) ** 2, axis=-2)
    over = np.where(squares > 0, 1 / np.where(squares > 0, squares, 1.0), 0.0)
    turn = random.uniform(-pi, pi, over.shape)
    found = over * (1 + np.exp(1j * turn)) if dtype.startswith("complex") else 2 * over
    if found.shape[-1] and kind in ("zero tau", "singular tau"):
        i = random.randint(found.shape[-1])
        found[..., i] = 0 if kind == "zero tau" else over[..., i]
    return cast(found, dtype)


def phases(point: np.ndarray, *, kind: str = "generic", seed: int = 0, dtype: str = "float64") -> np.ndarray:
    """Phases beside angles (..., N)."""
    return cast(np.random.RandomState(seed).uniform(-pi, pi, point.shape), dtype)


def vector(point: np.ndarray, *, kind: str = "generic", seed: int = 0, dtype: str = "float64") -> np.ndarray:
    """A direction (..., N) beside a vector of this shape; ``kind`` as of a cotangent."""
    return bar(point[..., None], kind=kind, seed=seed, dtype=dtype)[..., 0]


def columnwise(point: np.ndarray, *, kind: str = "generic", seed: int = 0, dtype: str = "float64") -> np.ndarray:
    """A direction (..., k) of a vector with an entry for every column of the point."""
    return vector(np.zeros((*point.shape[:-2], point.shape[-1])), kind=kind, seed=seed, dtype=dtype)


def bar(point: np.ndarray, *, kind: str = "generic", seed: int = 0, dtype: str = "float64") -> np.ndarray:
    """A cotangent of the shape of the point; kinds that are none are generic."""
    return cotangent(point, kind=kind if kind in COTANGENTS else "generic", seed=seed, dtype=dtype)


def left_bar(point: np.ndarray, *, kind: str = "generic", seed: int = 0, dtype: str = "float64") -> np.ndarray:
    """A cotangent (..., m, m) for a point (..., m, k)."""
    return bar(_like(point, point.shape[-2]), kind=kind, seed=seed, dtype=dtype)


def product_bar(point: np.ndarray, *, kind: str = "generic", seed: int = 0, dtype: str = "float64") -> np.ndarray:
    """A cotangent (..., n, n) for angles (..., n(n - 1)/2)."""
    return bar(_like(point[..., None], order_of(point.shape[-1])), kind=kind, seed=seed, dtype=dtype)


def butterfly_bar(point: np.ndarray, *, kind: str = "generic", seed: int = 0, dtype: str = "float64") -> np.ndarray:
    """A cotangent (..., n, n) for angles (..., n/2 log2(n))."""
    return bar(_like(point[..., None], butterfly_order(point.shape[-1])), kind=kind, seed=seed, dtype=dtype)


def complex_product_bar(
    point: np.ndarray, *, kind: str = "generic", seed: int = 0, dtype: str = "float64"
) -> np.ndarray:
    """A complex cotangent for angles with phases."""
    return product_bar(point, kind=kind, seed=seed, dtype=COMPLEX[dtype])


def complex_butterfly_bar(
    point: np.ndarray, *, kind: str = "generic", seed: int = 0, dtype: str = "float64"
) -> np.ndarray:
    """A complex cotangent for the angles of a butterfly with phases."""
    return butterfly_bar(point, kind=kind, seed=seed, dtype=COMPLEX[dtype])


def order_of(count: int) -> int:
    """The n of n(n - 1)/2 angles; 1 of none."""
    n = (1 + isqrt(1 + 8 * count)) // 2
    if n * (n - 1) // 2 != count:
        raise ValueError(f"{count} angles are not n(n - 1)/2 for any n")
    return n


def butterfly_order(count: int) -> int:
    """The n of n/2 log2(n) angles."""
    k = next((k for k in range(64) if (k << k) >= 2 * count), 0)
    if k << k != 2 * count:
        raise ValueError(f"{count} angles are not n/2 log2(n) for any power of two")
    return 1 << k


def _like(point: np.ndarray, n: int) -> np.ndarray:
    return np.broadcast_to(np.zeros((), point.dtype), (*point.shape[:-2], n, n))


def normal(
    shape: Sequence[int],
    *,
    structure: str = "general",
    scale: float = 1.0,
    seed: int = 0,
    dtype: str = "float64",
    members: str = "alike",
    memory: str = "C",
) -> np.ndarray:
    """Independent standard normal numbers, of which a sampler may take the shape only; complex: in both parts."""
    random, shape = np.random.RandomState(seed), checked_shape(shape)
    values = random.standard_normal(shape)
    values = values + 1j * random.standard_normal(shape) if dtype.startswith("complex") else values
    return _laid_out(cast(values * scale, dtype), memory, shape)


def stacked(
    shape: Sequence[int],
    one: Callable[[np.random.RandomState], np.ndarray],
    *,
    scale: float,
    seed: int,
    dtype: str,
    members: str,
    memory: str,
) -> np.ndarray:
    """A stack of what ``one`` makes, with the options that all inputs have."""
    *batch, _, _ = checked_shape(shape)
    if members not in MEMBERS or (members != "alike" and prod(batch) < 2):
        raise ValueError(f"members={members!r} is not one of {', '.join(MEMBERS)} for the shape {shape!r}")
    if memory == "broadcast" and (not batch or members != "alike"):
        raise ValueError("memory='broadcast' needs a batch axis and members='alike'")
    drawn = [1, *batch[1:]] if memory == "broadcast" else batch
    random, count = np.random.RandomState(seed), prod(drawn)
    like = one(np.random.RandomState(0))
    values = np.asarray([one(random) for _ in range(count)], like.dtype).reshape(count, *like.shape)
    if members == "one zero":
        values[count // 2] = 0
    values = cast(values.reshape(*drawn, *like.shape) * scale, dtype)
    if like.ndim == 1:  # as a column
        return _laid_out(values[..., None], memory, (*batch, *like.shape, 1))[..., 0]
    return _laid_out(values, memory, (*batch, *like.shape))


def _require(structure: str, known: dict[str, str]) -> None:
    if structure not in known:
        raise ValueError(f"structure={structure!r} is not one of {', '.join(known)}")
