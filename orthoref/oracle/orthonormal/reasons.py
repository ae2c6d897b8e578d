"""What can be said of columns that are not orthonormal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import sqrt
from typing import Any

import numpy as np

from orthoref.oracle.operation import Data, Variant
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import ct, half_spacing, inner


def variants(
    inputs: Data, outputs: Data, claimed: Any, precision: Precision, failed: Mapping[str, float]
) -> Iterator[Variant]:
    """A shorter format."""
    q = outputs["q"].value
    vectors = "columns" if q.shape[0] >= q.shape[1] else "rows"
    for low, _ in shorter(q, errors_of_columns(q), max(q.shape), precision):
        yield Variant(f"accurate to {low}", f"{vectors} are orthonormal to {low} only", precision=PRECISIONS[low])


def describe(inputs: Data, outputs: Data, claimed: Any, precision: Precision, failed: Mapping[str, float]) -> list[str]:
    """The lengths and the angles."""
    q = outputs["q"].value
    return [not_orthonormal(q, "columns" if q.shape[0] >= q.shape[1] else "rows")] if failed else []


def shorter(
    x: np.ndarray, error: np.ndarray, size: int, precision: Precision, least: float = 0.0
) -> Iterator[tuple[str, bool]]:
    """Formats whose rounding may be the error of x, and whether its entries lie on their grid.

    ``error`` are the errors of its columns, relative to a column; ``size`` its larger dimension. They must have the
    size of the format's in most columns: equation (SPREAD). An error of at most ``least`` may have other causes.
    """
    n = len(error)
    if not n or not np.all(np.isfinite(error)):
        return
    mean, typical = float(np.sqrt(np.mean(error**2))), float(np.median(error))
    found = []
    for low in ("float32", "tf32", "float16", "bfloat16"):
        format_ = PRECISIONS[low]
        largest = 10 * format_.growth(n, size) * format_.eps / sqrt(n)
        if format_.eps > 2 * precision.eps and format_.eps / 64 <= mean <= min(largest, 0.5):
            found.append((low, lies_on_grid(x, format_)))
    on_grid = [low for low, on in found if on]
    if on_grid:
        yield on_grid[-1], True  # the grid of a coarser format is part of that of a finer one
    elif typical >= mean / 4 and n > 1 and mean > least:
        yield from found


def errors_of_columns(q: np.ndarray) -> np.ndarray:
    """Norms of the columns of I - Q^H Q, or of I - Q Q^H."""
    long = q if q.shape[0] >= q.shape[1] else ct(q)
    return np.linalg.norm(inner(long, long) - np.eye(long.shape[1]), axis=0)


def lies_on_grid(x: np.ndarray, precision: Precision) -> bool:
    """Whether every entry is a number of the format."""
    return all(_on_grid(part[i : i + 256], precision) for part in (x.real, x.imag) for i in range(0, len(x), 256))


def _on_grid(x: np.ndarray, precision: Precision) -> bool:
    scaled = np.ldexp(x, 1 - np.frexp(2 * half_spacing(x, precision))[1])
    return bool(np.all(scaled == np.rint(scaled)))


def not_orthonormal(q: np.ndarray, vectors: str) -> str:
    """Which vector is farthest from length 1, and how far they are from orthogonal."""
    long = q if vectors == "columns" else ct(q)
    gram = inner(long, long)
    if not q.any():
        return f"all {vectors} have length 0"
    lengths = np.sqrt(np.abs(np.diagonal(gram)))
    angles = np.abs(gram - np.diag(np.diagonal(gram)))
    off = float(np.linalg.norm(angles))
    if (
        np.ptp(lengths) <= 1e-3 * lengths.max()
        and off <= 1e-3 * len(gram) * lengths.max() ** 2
        and abs(lengths.mean() - 1) > 1e-3
    ):
        return f"{vectors} are orthogonal but have length {lengths.mean():.4g}: a factor is missing"
    worst = int(np.argmax(np.abs(lengths - 1)))
    one = f"{vectors[:-1]} {worst} has length {beside_one(lengths[worst])}"
    i, j = sorted(int(k) for k in np.unravel_index(int(np.argmax(angles)), angles.shape))
    alone = _alone(gram, vectors)
    if alone:
        return f"{alone} alone is wrong: {one}, inner products with the others up to {angles.max():.2g}"
    if angles.max() > 0.999 * lengths[i] * lengths[j] and lengths[i] * lengths[j] > 0:
        return f"{vectors} {i} and {j} are parallel"
    most = f", largest for {i} and {j}" if off > 0 else ""
    return f"{vectors} are not orthonormal: {one}, the Gram matrix off the diagonal {off:.2g}{most}"


def beside_one(x: float) -> str:
    """A number near 1, with the digits of its distance."""
    if x == 1:
        return "1"
    return f"{x:.6g}" if abs(x - 1) >= 1e-5 else f"1 {'+' if x > 1 else '-'} {abs(x - 1):.2g}"


def _alone(gram: np.ndarray, vectors: str) -> str:
    """The one vector whose inner products with itself and others hold all of the error, if there is one."""
    rest = np.abs(gram - np.eye(len(gram))) ** 2
    if len(gram) < 3:
        return ""
    total, j = float(np.sum(rest)), int(np.argmax(np.sum(rest, axis=0)))
    others = float(np.sum(np.delete(np.delete(rest, j, 0), j, 1)))
    single = np.sum(np.delete(rest[j], j) > 1e-6 * total) >= 2 or rest[j, j] > 0.99 * total
    return f"{vectors[:-1]} {j}" if others <= 1e-6 * total and single else ""


def one_wrong(name: str, x: np.ndarray, exact: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The one entry, row or column of x that holds nine tenths of the squared error of x, put right."""
    error = np.abs(x - exact) ** 2
    if x.size < 2:
        return
    total = float(np.sum(error))
    i, j = (int(k) for k in np.unravel_index(int(np.argmax(error)), error.shape))
    places: tuple[tuple[str, Any], ...] = (
        (f"entry ({i}, {j}) of {name}", (i, j)),
        (f"row {i} of {name}", (i, slice(None))),
        (f"column {j} of {name}", (slice(None), j)),
    )
    for where, place in places:
        if float(np.sum(error[place])) >= 0.9 * total > 0 and np.size(error[place]) < x.size:
            repaired = x.astype(np.result_type(x, exact))
            repaired[place] = exact[place]
            yield f"{where} alone is wrong, by {float(np.sqrt(np.sum(error[place]))):.2g}", repaired
            return
