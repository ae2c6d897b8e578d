"""Known mistakes of polar decompositions, and what can be said of the factors where none of them fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from orthoref.oracle.operation import Data, Variant
from orthoref.oracle.orthonormal.reasons import not_orthonormal
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import condition


def variants(
    inputs: Data, outputs: Data, claimed: Any, precision: Precision, failed: Mapping[str, float]
) -> Iterator[Variant]:
    """Known mistakes of one matrix, undone."""
    a, u = inputs["a"].value, outputs["u"].value
    h = outputs["h"].value if "h" in outputs else None
    for reason, *undone in _undone(u, h):
        yield Variant(reason, reason, {name: x for name, x in zip("uh", undone, strict=False) if x is not None})
    if a.shape[0] == a.shape[1]:
        form = "A = H U, not U H" if claimed.side == "right" else "A = U H, not H U"
        other = replace(claimed, side="left" if claimed.side == "right" else "right")
        yield Variant("other side", f"these are the factors of the other side: {form}", claimed=other)
    partial = "u is a partial isometry: the null space of a was not completed (rank_deficient='partial' accepts it)"
    yield Variant("partial isometry", partial, claimed=replace(claimed, rank_deficient="partial"))
    if "orthonormal" in failed and not _extreme(a, precision) and not _singular(a, precision):
        for low in ("float32", "tf32", "float16", "bfloat16"):
            reason = f"accurate to {low} only: somewhere on the way the working precision was {low} or the like"
            yield Variant(f"accurate to {low}", reason, precision=PRECISIONS[low])


def describe(inputs: Data, outputs: Data, claimed: Any, precision: Precision, failed: Mapping[str, float]) -> list[str]:
    """What is seen of one matrix whose factors fail: of the input, and, if no mistake is known, of the factors."""
    a, u = inputs["a"].value, outputs["u"].value
    found = _extreme(a, precision)
    if not failed:
        return found
    if _singular(a, precision) and "orthonormal" in failed:
        found.append(
            "the input is rank deficient to working precision: u is neither orthonormal nor a partial isometry"
        )
    return found + _by_measure(a, u, set(failed), "h" in outputs)


def _singular(a: np.ndarray, precision: Precision) -> bool:
    return precision.unit(8) == "n eps" and condition(a) > 1 / (max(a.shape) * precision.eps)


def _extreme(a: np.ndarray, precision: Precision) -> list[str]:
    largest = np.max(np.maximum(np.abs(a.real), np.abs(a.imag)), initial=0.0)
    if 0 < largest < precision.tiny / precision.eps:
        return ["all entries of the input are subnormal: scale before computing (some hardware flushes them to zero)"]
    if largest > precision.largest / (8 * max(a.size, 1)):
        return ["the input is so near overflow that its norms are not representable: scale before computing"]
    return []


def _undone(u: np.ndarray, h: np.ndarray | None) -> Iterator[tuple[Any, ...]]:
    if h is not None:
        if h.shape == u.shape:
            yield "u and h are swapped", h, u
        yield "h has the wrong sign", u, -h
        yield "h is half of what it should be", u, 2 * h
        yield "h is twice what it should be", u, h / 2
        yield "h is transposed (or conjugated)", u, h.T
        yield "u and h have the wrong sign", -u, -h
        root = _root(h)
        if root is not None:
            yield "h lacks its square root: it is A^H A", u, root
    if np.iscomplexobj(u):
        yield "u is conjugated: a conjugate was lost or is too many", u.conj(), h
        if h is not None:
            yield "both factors are conjugated: a conjugate was lost or is too many", u.conj(), h.conj()
            yield "u is conjugated and h is transposed", u.conj(), h.T
    yield "u has the wrong sign", -u, h
    if u.shape[0] == u.shape[1]:
        yield "u is transposed", u.T, h
        yield "u is the conjugate transpose of what it should be", u.conj().T, h
    yield "u is half of what it should be", 2 * u, h
    yield "u is twice what it should be", u / 2, h


def _root(h: np.ndarray) -> np.ndarray | None:
    w, v = np.linalg.eigh(h / 2 + h.conj().T / 2)
    return None if (w < -1e-8 * max(abs(w), default=0)).any() else (v * np.sqrt(np.maximum(w, 0))) @ v.conj().T


def _by_measure(a: np.ndarray, u: np.ndarray, failed: set[str], has_h: bool) -> list[str]:
    tall = a.shape[0] >= a.shape[1]
    vectors = "columns" if tall else "rows"
    reasons = []
    if "orthonormal" in failed:
        reasons += [not_orthonormal(u, vectors)]
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
