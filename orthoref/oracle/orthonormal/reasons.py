"""What can be said of columns that are not orthonormal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from orthoref.oracle.operation import Data, Variant
from orthoref.oracle.precision import PRECISIONS, Precision


def variants(
    inputs: Data, outputs: Data, claimed: Any, precision: Precision, failed: Mapping[str, float]
) -> Iterator[Variant]:
    """A shorter format."""
    q = outputs["q"].value
    vectors = "columns" if q.shape[0] >= q.shape[1] else "rows"
    for low in ("float32", "tf32", "float16", "bfloat16"):
        yield Variant(f"accurate to {low}", f"{vectors} are orthonormal to {low} only", precision=PRECISIONS[low])


def describe(inputs: Data, outputs: Data, claimed: Any, precision: Precision, failed: Mapping[str, float]) -> list[str]:
    """The lengths and the angles."""
    q = outputs["q"].value
    return [not_orthonormal(q, "columns" if q.shape[0] >= q.shape[1] else "rows")] if failed else []


def not_orthonormal(q: np.ndarray, vectors: str) -> str:
    """Which vector is farthest from length 1, and how far they are from orthogonal."""
    gram = q.conj().T @ q if vectors == "columns" else q @ q.conj().T
    lengths = np.sqrt(np.abs(np.diagonal(gram)))
    off = float(np.linalg.norm(gram - np.diag(np.diagonal(gram))))
    if (
        np.ptp(lengths) <= 1e-3 * lengths.max()
        and off <= 1e-3 * len(gram) * lengths.max() ** 2
        and abs(lengths[0] - 1) > 1e-3
    ):
        return f"{vectors} are orthogonal but have length {lengths.mean():.4g}" + (
            ": a factor is missing" if lengths[0] else ""
        )
    worst = int(np.argmax(np.abs(lengths - 1)))
    one = f"{vectors[:-1]} {worst} has length {lengths[worst]:.6g}"
    return f"{vectors} are not orthonormal: {one}, the Gram matrix off the diagonal {off:.2g}"
