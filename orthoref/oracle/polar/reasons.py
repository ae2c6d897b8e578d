"""Known mistakes of polar decompositions, and what can be said of the factors where none of them fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np

from orthoref.oracle.operation import Data, Variant
from orthoref.oracle.orthonormal.reasons import errors_of_columns, not_orthonormal, one_wrong, shorter
from orthoref.oracle.polar.directions import Directions, recognised, tall
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import condition, ct, exponent_of, inner, ldexp


def variants(
    inputs: Data, outputs: Data, claimed: Any, precision: Precision, failed: Mapping[str, float]
) -> Iterator[Variant]:
    """Known mistakes of one matrix, undone; those that a probe with two vectors already contradicts are left out."""
    a, u = inputs["a"].value, outputs["u"].value
    h = outputs["h"].value if "h" in outputs else None
    if not a.size:
        return
    seen = Directions(a, u, precision)
    if not u.any():
        yield Variant("u is zero", "u is zero", _exact(seen, h, claimed.side))
        return
    for reason, other_u, other_h in _undone(a, u, h, claimed.side):
        if _plausible(a, other_u, other_h, claimed.side):
            yield Variant(reason, reason, _named(other_u, other_h))
    if a.shape[0] == a.shape[1] and h is not None:
        form = "A = H U, not U H" if claimed.side == "right" else "A = U H, not H U"
        other = replace(claimed, side="left" if claimed.side == "right" else "right")
        if _plausible(a, u, h, other.side):
            yield Variant("other side", f"these are the factors of the other side: {form}", claimed=other)
    if claimed.rank_deficient == "complete" and _plausible(a, u, h, claimed.side, isometry=False):
        partial = "u is a partial isometry: the null space of a was not completed (rank_deficient='partial' accepts it)"
        yield Variant("partial isometry", partial, claimed=replace(claimed, rank_deficient="partial"))
    low = [] if _extreme(a, precision) else list(_shorter(seen, h, claimed.side, failed))
    for variant, on_grid in low:
        if on_grid:
            yield variant
    exact = _exact(seen, h, claimed.side)
    for variant in (*_alone(seen, u, h, exact), *_reversed(a, u, h, claimed.side)):
        if variant.outputs and _plausible(a, variant.outputs["u"], variant.outputs.get("h"), claimed.side):
            yield variant
    for key, reason in recognised(seen):
        yield Variant(key, reason, exact)
    for variant, on_grid in low:
        if not on_grid:
            yield variant


def _exact(seen: Directions, h: np.ndarray | None, side: str) -> dict[str, np.ndarray]:
    """The factors that float64 finds."""
    return _named(seen.unitary, None if h is None else seen.hermitian(side))


def _shorter(
    seen: Directions, h: np.ndarray | None, side: str, failed: Mapping[str, float]
) -> Iterator[tuple[Variant, bool]]:
    """Formats to which u, or h alone, is accurate."""
    a, u, precision = seen.a, seen.u, seen.precision
    inverse = 10 * precision.eps / max(seen.relative[-1], precision.eps)  # an inverse errs as much, as evenly
    way = "somewhere on the way the working precision was"
    for low, on_grid in shorter(u, errors_of_columns(u), max(u.shape), precision, inverse):
        reason = f"accurate to {low} only: {way} {low} or the like"
        yield Variant(f"accurate to {low}", reason, precision=PRECISIONS[low]), on_grid
    if h is not None and h.any() and not {"orthonormal", "symmetric", "nuclear"} & set(failed):
        rest = h - (inner(u, a) if side == "right" else inner(ct(a), ct(u)))
        error = np.linalg.norm(rest, axis=0) / np.linalg.norm(h) * sqrt(len(h))
        for low, on_grid in shorter(h, error, max(u.shape), precision):
            reason = f"h is accurate to {low} only: {way} {low} or the like"
            yield Variant(f"h accurate to {low}", reason, precision=PRECISIONS[low]), on_grid


def _named(u: np.ndarray, h: np.ndarray | None) -> dict[str, np.ndarray]:
    return {"u": u} if h is None else {"u": u, "h": h}


def _plausible(a: np.ndarray, u: np.ndarray, h: np.ndarray | None, side: str, isometry: bool = True) -> bool:
    """Whether two vectors do not contradict that these are the factors, at a cost of O(m n)."""
    if side == "left" and h is not None:
        a, u, h, side = ct(a), ct(u), ct(h), "right"
    if h is None and a.shape[0] < a.shape[1]:
        a, u = ct(a), ct(u)
    a = ldexp(a, -(exponent := exponent_of(a)))
    x = np.random.RandomState(0).standard_normal((a.shape[1], 2))
    size = 0.3 * np.linalg.norm(a) * np.linalg.norm(x) / sqrt(a.shape[1])
    y = u @ x
    if isometry:
        z = x if a.shape[0] >= a.shape[1] else np.random.RandomState(0).standard_normal((a.shape[0], 2))
        back = ct(u) @ (u @ z) if a.shape[0] >= a.shape[1] else u @ (ct(u) @ z)
        if not np.linalg.norm(back - z) <= 0.3 * np.linalg.norm(z):
            return False
    if h is not None:
        h = ldexp(h, -exponent)
        hx = h @ x
        return bool(np.linalg.norm(a @ x - u @ hx) <= size and np.linalg.norm(hx - ct(h) @ x) <= size)
    product = ct(u) @ (a @ x)
    away = max(np.linalg.norm(product - ct(a) @ y), np.linalg.norm(a @ x - u @ product))
    return bool(away <= size and np.vdot(x, product).real >= -size)


def _reversed(a: np.ndarray, u: np.ndarray, h: np.ndarray | None, side: str) -> Iterator[Variant]:
    """Eigenvectors of U^H A (A U^H, if that is smaller) with negative eigenvalues: U v = -p."""
    long = a.shape[0] >= a.shape[1]
    scaled = ldexp(a, -exponent_of(a))
    product = inner(u, scaled) if long else inner(ct(scaled), ct(u))
    w, x = np.linalg.eigh((product + ct(product)) / 2)
    x = x[:, w < -1e-3 * np.max(np.abs(w))]
    if count := x.shape[1]:
        are = "is" if count == 1 else "are"
        text = f"{count} of {len(w)} directions of u {are} reversed: U^H A has negative eigenvalues"
        turned = u - 2 * (u @ x) @ ct(x) if long else u - 2 * x @ (ct(x) @ u)
        yield Variant("reversed directions", text, _named(turned, h))
        if h is not None:
            y = x if (side == "right") == long else u @ x if long else ct(u) @ x
            yield Variant("reversed directions", f"{text}, of h too", _named(turned, h - 2 * (h @ y) @ ct(y)))


def _alone(seen: Directions, u: np.ndarray, h: np.ndarray | None, exact: Mapping[str, np.ndarray]) -> Iterator[Variant]:
    """One entry, row or column that is wrong, all others as they should be."""
    if seen.relative[-1] > 0:
        for where, repaired in one_wrong("u", u, exact["u"]):
            yield Variant(f"one {where.partition(' ')[0]} of u", where, _named(repaired, h))
    if h is not None:
        for where, repaired in one_wrong("h", h, exact["h"]):
            yield Variant(f"one {where.partition(' ')[0]} of h", where, _named(u, repaired))


def describe(inputs: Data, outputs: Data, claimed: Any, precision: Precision, failed: Mapping[str, float]) -> list[str]:
    """What is seen of one matrix whose factors fail: of the input, and, if no mistake is known, of the factors."""
    a, u = inputs["a"].value, outputs["u"].value
    found = _extreme(a, precision)
    if not failed:
        return found
    if _singular(a, precision) and np.max(errors_of_columns(u)) > 1e-3 and "orthonormal" in failed:
        found.append(
            "the input is rank deficient to working precision: u is neither orthonormal nor a partial isometry"
        )
    return found + _by_measure(a, u, outputs["h"].value if "h" in outputs else None, claimed.side, set(failed))


def _singular(a: np.ndarray, precision: Precision) -> bool:
    return not precision.short and condition(a) > 1 / (max(a.shape) * precision.eps)


def _extreme(a: np.ndarray, precision: Precision) -> list[str]:
    largest = np.max(np.maximum(np.abs(a.real), np.abs(a.imag)), initial=0.0)
    if 0 < largest < precision.tiny / precision.eps:
        return ["all entries of the input are subnormal: scale before computing (some hardware flushes them to zero)"]
    if largest > precision.largest / (8 * max(a.size, 1)):
        return ["the input is so near overflow that its norms are not representable: scale before computing"]
    return []


def _undone(
    a: np.ndarray, u: np.ndarray, h: np.ndarray | None, side: str
) -> Iterator[tuple[str, np.ndarray, np.ndarray | None]]:
    if h is not None:
        if h.shape == u.shape:
            yield "u and h are swapped", h, u
        yield "h has the wrong sign", u, -h
        yield "h is half of what it should be", u, 2 * h
        yield "h is twice what it should be", u, h / 2
        yield "h is transposed (or conjugated)", u, h.T
        yield "u and h have the wrong sign", -u, -h
        root = _root(a, u, h, side)
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


def _root(a: np.ndarray, u: np.ndarray, h: np.ndarray, side: str) -> np.ndarray | None:
    """The square root of h, if that is A^H A (A A^H)."""
    x = np.random.RandomState(0).standard_normal((h.shape[0], 2))
    square = ct(a) @ (a @ x) if side == "right" else a @ (ct(a) @ x)
    if not np.linalg.norm(h @ x - square) <= 0.3 * np.linalg.norm(square):
        return None
    w, v = np.linalg.eigh(h / 2 + ct(h) / 2)
    return (v * np.sqrt(np.maximum(w, 0))) @ ct(v)


def _by_measure(a: np.ndarray, u: np.ndarray, h: np.ndarray | None, side: str, failed: set[str]) -> list[str]:
    """What the checks that fail say together, the larger error first."""
    if not u.size:
        return ["the factors of an empty matrix: h is zero"]
    vectors = "columns" if a.shape[0] >= a.shape[1] else "rows"
    long, scaled = tall(u), tall(ldexp(a, -exponent_of(a)))
    product = inner(long, scaled)
    off = float(np.linalg.norm(product - ct(product)) / 2 / max(float(np.linalg.norm(scaled)), 1e-300))
    rest = inner(long, long) - np.eye(long.shape[1])
    lengths = float(np.linalg.norm(rest)) / sqrt(len(rest))
    sized = []
    if failed & {"orthonormal", "orthonormal_2", "lengths", "scale"}:
        sized.append((lengths, not_orthonormal(u, vectors)))
    if failed & {"symmetric", "backward", "backward_2"} and off > 3 * lengths:
        are = "" if sized else f"{vectors} are orthonormal, but "
        sized.append((off, f"{are}U^H A is not Hermitian by {off:.2g} |A|: this is not the polar factor"))
    reasons = [text for _, text in sorted(sized, key=lambda each: -each[0])]
    if reasons:
        pass
    elif failed & {"positive", "signs"}:
        reasons.append("U^H A is Hermitian but has negative eigenvalues: some singular vectors have the wrong sign")
    elif "nuclear" in failed:
        missing = "some singular vectors have the wrong sign, or u is no isometry on the range of a"
        reasons.append(f"Re<A,U> is less than |A|_*: {missing}")
    elif failed & {"backward", "backward_2"} and h is None:
        reasons.append("u is orthonormal and U^H A Hermitian, but the range of u is not that of a")
    if h is not None and failed & {"hermitian", "hermitian_2"}:
        reasons.append("h is not Hermitian")
    if h is not None and failed <= {"consistent", "consistent_2"}:
        reasons.append("h is wrong on the null space of u, where A = U H does not see it: H is U^H A there, too")
    if h is not None and failed & {"backward", "backward_2", "multiple"} and not reasons:
        reasons.append(f"u is a polar factor, but the product of the factors is not a: {_wrong_h(a, u, h, side)}")
    return reasons


def _wrong_h(a: np.ndarray, u: np.ndarray, h: np.ndarray, side: str) -> str:
    """Whether h is a multiple of U^H A."""
    scaled, size = (ldexp(x, -exponent_of(a)) for x in (a, h))
    product = inner(u, scaled) if side == "right" else inner(ct(scaled), ct(u))
    multiple = float(np.vdot(product, size).real / max(np.vdot(product, product).real, 1e-300))
    away = np.linalg.norm(size - multiple * product)
    if away <= 0.1 * abs(multiple - 1) * np.linalg.norm(product):
        return f"h is {multiple:.4g} times what it should be"
    return "h is wrong"
