"""What a wrong result probably is: known mistakes are undone one at a time until the measures accept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from orthoref.oracle import measure
from orthoref.oracle.precision import PRECISIONS, Precision

Ratios = Callable[..., dict[str, np.ndarray]]


def polar(
    a: np.ndarray,
    u: np.ndarray,
    h: np.ndarray | None,
    side: str,
    ratios: Ratios,
    checks: Sequence[Any],
    limit: float,
    precision: Precision,
) -> list[str]:
    """Reasons for one matrix whose factors fail."""
    extreme = _extreme(a, precision)
    singular = precision.unit(8) == "n eps" and measure.condition(a) > 1 / (max(a.shape) * precision.eps)
    for name, x in (("u", u), ("h", h)):
        if x is not None and not np.isfinite(x).all():
            return [f"{name} has {np.sum(~np.isfinite(x))} of {x.size} entries that are NaN or infinite"]

    failed = {check.name for check in checks if not check.holds}
    limits = {check.name: check.limit for check in checks}

    def accepted(*candidate: Any, **other: Any) -> bool:
        try:
            found = ratios(*candidate, **other)
        except ValueError:  # shapes that do not fit
            return False
        return all(value <= limits.get(name, limit) for name, value in found.items())

    for reason, *candidate in _undone(a, u, h, side):
        if accepted(*candidate):
            return [reason]
    if a.shape[0] == a.shape[1] and accepted(a, u, h, side="left" if side == "right" else "right"):
        form = "A = H U, not U H" if side == "right" else "A = U H, not H U"
        return [f"these are the factors of the other side: {form}"]
    if accepted(a, u, h, isometry="partial"):
        partial = "u is a partial isometry: the null space of a was not completed (rank_deficient='partial' accepts it)"
        return [*extreme, partial]
    if not extreme and not singular and "orthonormal" in failed:
        for low in ("float32", "tf32", "float16", "bfloat16"):
            if accepted(a, u, h, precision=PRECISIONS[low]):
                return [f"accurate to {low} only: somewhere on the way the working precision was {low} or the like"]
    if singular and "orthonormal" in failed:
        extreme.append(
            "the input is rank deficient to working precision: u is neither orthonormal nor a partial isometry"
        )
    return extreme + _by_measure(a, u, failed, h is not None)


def _extreme(a: np.ndarray, precision: Precision) -> list[str]:
    largest = np.max(np.maximum(np.abs(a.real), np.abs(a.imag)), initial=0.0)
    if 0 < largest < precision.tiny / precision.eps:
        return ["all entries of the input are subnormal: scale before computing (some hardware flushes them to zero)"]
    if largest > precision.largest / (8 * max(a.size, 1)):
        return ["the input is so near overflow that its norms are not representable: scale before computing"]
    return []


def _undone(a: np.ndarray, u: np.ndarray, h: np.ndarray | None, side: str) -> Iterator[tuple[Any, ...]]:
    if h is not None:
        if h.shape == u.shape:
            yield "u and h are swapped", a, h, u
        yield "h has the wrong sign", a, u, -h
        yield "h is half of what it should be", a, u, 2 * h
        yield "h is twice what it should be", a, u, h / 2
        yield "h is transposed (or conjugated)", a, u, h.T
        yield "u and h have the wrong sign", a, -u, -h
        root = _root(h)
        if root is not None:
            yield "h lacks its square root: it is A^H A", a, u, root
    if np.iscomplexobj(u):
        yield "u is conjugated: a conjugate was lost or is too many", a, u.conj(), h
        if h is not None:
            yield "both factors are conjugated: a conjugate was lost or is too many", a, u.conj(), h.conj()
            yield "u is conjugated and h is transposed", a, u.conj(), h.T
    yield "u has the wrong sign", a, -u, h
    if u.shape[0] == u.shape[1]:
        yield "u is transposed", a, u.T, h
        yield "u is the conjugate transpose of what it should be", a, u.conj().T, h
    yield "u is half of what it should be", a, 2 * u, h
    yield "u is twice what it should be", a, u / 2, h


def _root(h: np.ndarray) -> np.ndarray | None:
    w, v = np.linalg.eigh(h / 2 + h.conj().T / 2)
    return None if (w < -1e-8 * max(abs(w), default=0)).any() else (v * np.sqrt(np.maximum(w, 0))) @ v.conj().T


def _by_measure(a: np.ndarray, u: np.ndarray, failed: set[str], has_h: bool) -> list[str]:
    tall = a.shape[0] >= a.shape[1]
    vectors = "columns" if tall else "rows"
    reasons = []
    if "orthonormal" in failed:
        reasons += [_not_orthonormal(u, vectors)]
    elif "symmetric" in failed:
        product = u.conj().T @ a
        product = product / np.abs(product).max()  # its squares may underflow
        if tall and a.shape[1] > 1 and np.linalg.norm(np.tril(product, -1)) <= 1e-3 * np.linalg.norm(product):
            reasons.append("u is the orthonormal factor of a QR factorization, not the polar factor")
        else:
            reasons.append(f"{vectors} are orthonormal, but U^H A is not Hermitian: this is not the polar factor")
    elif "positive" in failed:
        reasons.append("U^H A is Hermitian but has negative eigenvalues: some singular vectors have the wrong sign")
    elif "nuclear" in failed:
        missing = "some singular vectors have the wrong sign, or u is no isometry on the range of a"
        reasons.append(f"Re<A,U> is less than |A|_*: {missing}")
    elif "backward" in failed and not has_h:
        reasons.append("u is orthonormal and U^H A Hermitian, but the range of u is not that of a")
    if has_h and "hermitian" in failed:
        reasons.append("h is not Hermitian")
    if has_h and failed == {"consistent"}:
        reasons.append("h is wrong on the null space of u, where A = U H does not see it: H is U^H A there, too")
    if has_h and "backward" in failed and not reasons:
        reasons.append("u is a polar factor, but the product of the factors is not a: h is wrong")
    return reasons


def orthonormal(q: np.ndarray) -> list[str]:
    """Reasons why columns (rows) are not orthonormal."""
    if not np.isfinite(q).all():
        return [f"{np.sum(~np.isfinite(q))} of {q.size} entries are NaN or infinite"]
    vectors = "columns" if q.shape[0] >= q.shape[1] else "rows"
    for name in ("float32", "tf32", "float16", "bfloat16"):
        if measure.orthonormal(q, precision=PRECISIONS[name])["orthonormal"] <= 10:
            return [f"{vectors} are orthonormal to {name} only"]
    return [_not_orthonormal(q, vectors)]


def _not_orthonormal(q: np.ndarray, vectors: str) -> str:
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
