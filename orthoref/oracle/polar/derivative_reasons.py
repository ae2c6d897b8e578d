"""Known mistakes in derivatives of the polar decomposition, and what can be said where none of them fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from orthoref.oracle.derivative import MULTIPLES, Mistake, Truth, multiples, shorter, undone
from orthoref.oracle.fixed import ct, rounded
from orthoref.oracle.lift import Lifted
from orthoref.oracle.operation import Data, Variant
from orthoref.oracle.polar.derivative_ratios import PolarDerivative, truths
from orthoref.oracle.polar.truth import Point, along, herm, point, pull, skew
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import ldexp

FLOAT32 = PRECISIONS["float32"]  # whose truth is found in float64


def variants(kind: str, inputs: Data, outputs: Data, claimed: PolarDerivative, precision: Precision,
             failed: Mapping[str, float]) -> Iterator[Variant]:  # fmt: skip
    """Known mistakes of one member, as the difference that they make."""
    values = {name: x.value for name, x in inputs.items()}
    if not values["a"].size:
        return
    found = truths(kind, values, claimed, FLOAT32)[0]
    for name in failed:
        truth = found[name]
        bar = values.get("a_dot" if kind == "jvp" else "u_bar")
        if not np.isfinite(truth.unit):
            return
        mistakes = [*multiples(name, truth, bar if bar is not None and name != "h_dot" else None)]
        x = outputs[name].value
        for said, made in _mistakes(kind, name, values, claimed, x):
            mistakes.append((said, ldexp(made, -truth.exponent)))
        others = {  # judged alone: another output may be wrong in its own way
            other: Lifted(ldexp(rounded(found[other].value), found[other].exponent), each.dtype)
            if other != name and other in failed
            else each
            for other, each in outputs.items()
        }
        yield from undone(others, name, truth, mistakes)
        if not any("difference" in each for each in describe(kind, inputs, outputs, claimed, precision, {name: 0.0})):
            value = rounded(truth.value)
            error = ldexp(outputs[name].value, -truth.exponent) - value
            yield from shorter(error, value, precision, float(truth.unit) / FLOAT32.eps)


def _mistakes(kind: str, name: str, values: Mapping[str, np.ndarray], claimed: PolarDerivative,
              found: np.ndarray) -> Iterator[Mistake]:  # fmt: skip
    """Outputs of wrong formulas, in the scale of the inputs."""
    a = values["a"]
    wide, left = a.shape[0] < a.shape[1], claimed.side == "left"
    left = left != wide

    def turn(x: np.ndarray) -> np.ndarray:
        return ct(x) if wide else x

    at = point(turn(a), False)

    def scale(x: np.ndarray, k: int) -> np.ndarray:
        return ldexp(x, -k * at.exponent)

    bar = None if (x := values.get("u_bar")) is None else turn(x)
    hbar = values.get("h_bar")
    if kind == "vjp":
        rest_u = 0 * at.a if bar is None else scale(along(at, bar), 1)
        rest_h = 0 * at.a if hbar is None else pull(at, None, hbar, left)
        if bar is not None:
            for said, made in _of_u(at, bar):
                yield said, turn(scale(made, 1) + rest_h)
                if hbar is not None:
                    yield f"{said}; h_bar is ignored", turn(scale(made, 1))
            if hbar is not None:
                yield "u_bar is ignored", turn(rest_h + 0 * bar)
        if hbar is not None:
            if bar is not None:
                yield "h_bar is ignored", turn(rest_u)
            y = at.lyapunov(hbar if not left else ct(at.u) @ hbar @ at.u, 0)
            full = 2 * at.a @ y if not left else 2 * at.u @ y @ at.h
            yield "h_bar is taken as Hermitian: its skew-Hermitian part must not count", turn(rest_u + full)
            if not left:
                v, s = at.v, at.s
                inner = ct(v) @ hbar @ v
                for said, r, weight in (
                    ("the weights of h_bar are transposed", herm(inner), s),
                    ("the skew-Hermitian part of h_bar is taken", skew(inner) / 2, s[:, None]),
                ):
                    made = at.u @ v @ (2 * weight / at.sums * r) @ ct(v)
                    yield said, turn(rest_u + made)
            yield (
                "u is treated as constant in h = u^H a, h_bar not symmetrised",
                turn(rest_u + (hbar @ at.u if left else at.u @ hbar)),
            )
            own = herm(hbar)
            yield "u is treated as constant in h = u^H a", turn(rest_u + (own @ at.u if left else at.u @ own))
            if np.iscomplexobj(a):
                yield "h_bar is conjugated", turn(rest_u + pull(at, None, np.conj(hbar), left))
                plain = (hbar + hbar.T) / 2
                yield "h_bar is symmetrised without a conjugate", turn(rest_u + pull(at, None, plain, left))
        yield from _parts(rest_u, rest_h, 0.0 if bar is None or at.square else scale(at.over_h(at.outside(bar)), 1),
                          turn, found, ("u_bar", "h_bar"))  # fmt: skip
        if np.iscomplexobj(a):
            bars = (None if x is None else np.conj(x) for x in (bar, hbar))
            conj_u, conj_h = bars
            made = 0 * at.a if conj_u is None else scale(along(at, conj_u), 1)
            made = made if conj_h is None else made + pull(at, None, conj_h, left)
            yield "the cotangent is conjugated: the gradient convention of JAX", turn(made)
            yield "cotangent and result are conjugated: the gradient convention of JAX", np.conj(turn(made))
    elif kind == "jvp":
        direction = turn(values["a_dot"])
        if name == "u_dot":
            for said, made in _of_u(at, direction):
                yield said, turn(scale(made, 1))
            rest = 0.0 if at.square else scale(at.over_h(at.outside(direction)), 1)
            yield from _parts(scale(along(at, direction), 1), 0 * at.a, rest, turn, found, ("a_dot", ""))
        else:
            made = herm(direction @ ct(at.u)) if left else herm(ct(at.u) @ direction)
            yield "u is treated as constant in h = u^H a", made
    elif bar is not None and hbar is None:
        direction = turn(values["a_dot"])
        yield (
            "the derivative of u in the cotangent equation is missing",
            turn(scale(at.u @ at.lyapunov(skew(ct(along(at, direction)) @ bar), -1), 2)),
        )
        yield "it is the derivative, not that of the adjoint", turn(scale(along(at, direction), 1))


def _parts(of_u: np.ndarray, of_h: np.ndarray, outer: Any, turn: Callable[[np.ndarray], np.ndarray], found: np.ndarray,
           names: tuple[str, str]) -> Iterator[Mistake]:  # fmt: skip
    """A part of the result that is missing or a multiple of what it should be."""
    parts = {names[0]: of_u, names[1]: of_h, f"{names[0]} inside the column space": of_u - outer,
             f"{names[0]} outside the column space": outer}  # fmt: skip
    whole = of_u + of_h
    for of, part in parts.items():
        if np.any(part) and np.any(whole - part):
            long = np.linalg.norm(part)  # its square may overflow
            c = 1 + float(np.vdot(part / long, (turn(found) - whole) / long).real)
            words = next((said for factor, said in MULTIPLES.items() if abs(c - factor) < 1e-3), "")
            said = f"{words or f'{c:.6g} times'} what it should be" if words != "the wrong sign" else f"of {words}"
            if abs(c) < 1e-3:
                said = "missing"
            elif not words:
                said += ": is the cotangent scaled, clipped or dropped?"
            yield f"the part of {of} is {said}", turn(whole + (c - 1) * part)


def _of_u(at: Point, bar: np.ndarray) -> Iterator[Mistake]:
    """Wrong formulas for dU[bar], of the scaled A."""
    inside = at.u @ at.lyapunov(skew(ct(at.u) @ bar), -1)

    def free(x: np.ndarray, k: int) -> np.ndarray:
        """Of degree k - 1 in A, not -1."""
        return ldexp(x, k * at.exponent)

    if not at.square:
        rest = at.outside(bar)
        yield "the part outside the column space is missing (rows, if wide)", inside
        yield "the part outside the column space is not divided by the singular values", inside + free(rest, 1)
        yield "the part outside is divided by the largest singular value", inside + rest / at.s[0]
        yield "the part inside the column space is missing", at.over_h(rest)
    outer = 0.0 if at.square else at.over_h(at.outside(bar))
    skewed = at.u @ skew(ct(at.u) @ bar) / 2
    yield "h is treated as constant in u = a h^-1", at.over_h(bar)
    yield (
        "projected onto the tangent space, but not divided by sums of singular values",
        free(skewed if at.square else skewed + at.outside(bar), 1),
    )
    yield "the cotangent is not projected onto the tangent space", at.u @ at.lyapunov(2 * ct(at.u) @ bar, 0) + outer
    v, s = at.v, at.s
    f = ct(v) @ skew(ct(at.u) @ bar) @ v
    sums = at.sums
    if np.iscomplexobj(f):
        phaseless = np.where(np.eye(len(s), dtype=bool), 0, f)
        yield "the imaginary diagonal (the phases) is missing", at.u @ v @ (phaseless / sums) @ ct(v) + outer
    for power in range(-8, -1):
        delta = 10.0**power
        absolute = np.ldexp(delta, -int(at.exponent[0, 0]))
        for said, divisor in (
            (f"sums of singular values are regularised: {delta:g} is added", sums + absolute),
            (f"sums of singular values are regularised: {delta:g} of |a|_2 is added", sums + delta * s[0]),
            (f"small sums of singular values are clamped at {delta:g} of |a|_2", np.maximum(sums, delta * s[0])),
        ):
            if not np.array_equal(divisor, sums):
                yield said, at.u @ v @ (f / divisor) @ ct(v) + outer
    with np.errstate(all="ignore"):
        for said, divisor, k in (
            ("differences of singular values where sums belong", s[:, None] - s, 0),
            ("products of singular values where sums belong", s[:, None] * s, -1),
            ("twice the larger singular value where the sum belongs", 2 * np.maximum(s[:, None], s), 0),
            ("squares of singular values where sums belong", s[:, None] ** 2 + s**2, -1),
        ):
            z = np.where(np.eye(len(s), dtype=bool) & (divisor == 0), 0, f / divisor)
            if np.isfinite(z).all():
                yield said, free(at.u @ v @ z @ ct(v), k) + outer


def describe(kind: str, inputs: Data, outputs: Data, claimed: PolarDerivative, precision: Precision,
             failed: Mapping[str, float]) -> list[str]:  # fmt: skip
    """Where the error lies, in the basis of singular vectors."""
    values = {name: x.value for name, x in inputs.items()}
    a = values["a"]
    if not a.size:
        return []
    wide = a.shape[0] < a.shape[1]
    at = point(ct(a) if wide else a, False)
    said, close = [], _closest(at.s)
    bad = any(not np.isfinite(x.value).all() for x in outputs.values())
    size = float(np.ldexp(at.s[0], int(at.exponent[0, 0])))
    if bad and not precision.tiny**0.5 < size < precision.largest**0.5:
        said.append("squares of a overflow or underflow")
    elif bad and close is not None and close[1] <= 8 * len(at.s) * precision.eps:
        i = close[0]
        said.append(
            f"differentiates through the SVD: singular values {i} and {i + 1} are equal, and it divides by their "
            "difference; a polar factor needs sums only"
        )
    if not bad and failed and not precision.tiny**0.5 < size < precision.largest**0.5:
        said.append("squares of a overflow or underflow")
    if bad or not failed:
        return said
    name = next(iter(failed))
    if name.startswith("h"):
        return said
    truth: Truth = truths(kind, values, claimed, FLOAT32)[0][name]
    x, exact = ldexp(outputs[name].value, -truth.exponent), rounded(truth.value)
    error = ct(x - exact) if wide else x - exact
    total, size = float(np.linalg.norm(error)), float(np.linalg.norm(exact))
    said.append(f"|{name} - exact| is {total / size:.2g} of |{name}|" if size else f"|{name}| should be 0")
    error, total = error / (total or 1.0), float(total > 0)  # squares may overflow
    inside = ct(at.u @ at.v) @ error @ at.v
    held = np.abs(inside) ** 2
    outer = max(total**2 - float(held.sum()), 0.0)
    if not at.square and outer > 0.9 * total**2:
        said.append(f"the error lies outside the {'row' if wide else 'column'} space of a")
    elif len(at.s) > 1:
        pairs = np.triu(held + held.T, 1)
        i, j = (int(k) for k in np.unravel_index(int(np.argmax(pairs)), pairs.shape))
        if pairs[i, j] > 0.5 * total**2:
            distance = float(abs(at.s[i] - at.s[j]) / at.s[0])
            divided = distance < 1e-3 and _amplified(total, size, distance, len(at.s), precision)
            said.append(
                f"most of the error belongs to singular values {i} and {j}, {at.s[i]:.3g} and {at.s[j]:.3g} of |a|_2"
                + (f", repeated or close (apart by {distance:.2g}): it divides by their difference "
                   "(differentiates through the SVD)" if divided else "")
            )  # fmt: skip
        elif close is not None and close[1] < 1e-3:
            near = np.abs(at.s[:, None] - at.s) < 1e-2 * at.s[0]
            if held[near & ~np.eye(len(at.s), dtype=bool)].sum() > 0.5 * total**2:
                divided = _amplified(total, size, close[1], len(at.s), precision)
                said.append(
                    f"most of the error belongs to pairs of repeated or close singular values (the closest are apart "
                    f"by {close[1]:.2g} of |a|_2): "
                    + ("it divides by their differences (differentiates through the SVD)" if divided else
                       "are they left out, or regularised?")
                )  # fmt: skip
    skewed = float(np.linalg.norm(skew(inside))) / 2
    if total and skewed < 0.1 * total and outer < 0.5 * total**2:
        said.append("the error is u times a Hermitian matrix: normal to the manifold")
    return said


def _amplified(error: float, size: float, distance: float, n: int, precision: Precision) -> bool:
    """Whether an error is about eps over a relative distance of singular values, up to a factor of a thousand."""
    expected = precision.eps / max(distance, precision.eps)
    return 1e-3 * expected * size <= error <= 1e3 * n * expected * size


def _closest(s: np.ndarray) -> tuple[int, float] | None:
    """Number of the first of the two closest singular values, and their distance relative to the largest."""
    if len(s) < 2 or not s[0] > 0:
        return None
    gaps = np.abs(np.diff(s)) / s[0]
    i = int(np.argmin(gaps))
    return i, float(gaps[i])
