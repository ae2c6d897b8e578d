"""Parameters of orthogonal matrices: skew-Hermitian matrices, and what is given beside them.

Functions of the shape of the matrix that is made, as :func:`orthoref.oracle.cases.matrix` is of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi, prod, sqrt

import numpy as np

from orthoref.oracle.cases import _haar, _laid_out, cast, checked_shape, cotangent

SKEW: dict[str, str] = {
    "general": "skew part of normal numbers, largest angle about 2",
    "axes": "generic blocks of order 2 on the diagonal, zero elsewhere",
    "equal angles": "angles 1 (complex: 1 and -1) in random planes",
    "one plane": "rank two (complex: one), angle 1",
    "half turn": "random angles and one of pi, in random planes",
    "full turn": "random angles and one of 2 pi, in random planes",
}
MEMBERS = ("alike", "one zero")


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
    angles = random.uniform(0.25, 2.0, count)
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
    random, n = np.random.RandomState(seed), point.shape[-1]
    found = random.choice([-1.0, 1.0], point.shape[:-1])
    found[..., :1], found[..., -1:] = 1, -1
    return cast(found, dtype)


def direction(point: np.ndarray, *, kind: str = "generic", seed: int = 0, dtype: str = "float64") -> np.ndarray:
    """Skew-Hermitian direction of length about 1 at a matrix (..., n, n); ``kind`` as of a cotangent."""
    x = cotangent(point, kind=kind, seed=seed, dtype=dtype)
    wide = x.astype(np.result_type(x.dtype, np.float64)) / sqrt(2)
    found = cast(wide - np.conj(np.swapaxes(wide, -1, -2)), dtype)
    return _laid_out(found, kind if kind in ("transposed", "strided") else "C", found.shape)


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
    return _laid_out(values, memory, (*batch, *like.shape))


def _require(structure: str, known: dict[str, str]) -> None:
    if structure not in known:
        raise ValueError(f"structure={structure!r} is not one of {', '.join(known)}")
