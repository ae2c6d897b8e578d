"""Known mistakes in derivatives of the finite iteration, and what can be said where none of them fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from orthoref._schedules import presets
from orthoref.oracle.derivative import Mistake, multiples, shorter, undone
from orthoref.oracle.fixed import ct, rounded
from orthoref.oracle.newton_schulz import sweep
from orthoref.oracle.newton_schulz.claim import UPDATE_SCALES, Iteration
from orthoref.oracle.newton_schulz.derivative_ratios import exact, scaled, truths
from orthoref.oracle.operation import Data, Variant
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import ldexp, norm

FLOAT32 = PRECISIONS["float32"]  # whose truth is found in float64


def variants(kind: str, inputs: Data, outputs: Data, claimed: Iteration, precision: Precision,
             failed: Mapping[str, float]) -> Iterator[Variant]:  # fmt: skip
    """Known mistakes of one member: wrong formulas as the difference that they make, other claims as claims."""
    values = {name: x.value for name, x in inputs.items()}
    if not values["a"].size:
        return
    ((name, truth),) = truths(kind, values, claimed, FLOAT32)[0].items()
    if not np.isfinite(truth.unit):
        return
    bar = values["a_dot"] if kind == "jvp" else values["x_bar"]
    mistakes = [*multiples(name, truth, bar)]
    if kind == "vjp":
        mistakes += [(said, ldexp(made, -truth.exponent)) for said, made in _mistakes(values, claimed)]
    elif kind == "jvp":
        mistakes += [(said, ldexp(made, -truth.exponent)) for said, made in _along(values, claimed)]
    yield from undone(outputs, name, truth, mistakes)
    error = ldexp(outputs[name].value, -truth.exponent) - rounded(truth.value)
    for variant in _claims(claimed, values["a"].shape[-2:]):
        with suppress(ValueError, ArithmeticError):  # a schedule that diverges or does not have so many steps
            other, exponent = exact(kind, values, variant.claimed, False)
            if norm(ldexp(outputs[name].value, -exponent) - other) <= norm(error) / 2:  # the unit takes longer
                yield variant
    yield from shorter(error, rounded(truth.value), precision, float(truth.unit) / FLOAT32.eps)


def _mistakes(values: Mapping[str, np.ndarray], claimed: Iteration) -> Iterator[Mistake]:
    """Cotangents of wrong formulas, in the scale of the inputs."""
    a, x_bar = values["a"], values["x_bar"]
    m, n = a.shape

    def turn(x: np.ndarray) -> np.ndarray:
        return ct(x) if m <= n else x

    def down(x: np.ndarray) -> np.ndarray:
        return turn(ldexp(x, -e))

    a, bar = turn(a), claimed.factor(m, n) * turn(x_bar)
    e, eps = scaled(a, claimed)
    a = ldexp(a, -e)
    at, steps, aol = sweep.normalized(a, claimed, eps), sweep.rows(claimed), claimed.normalization.kind == "aol"
    seen = [at.x]
    for c in steps:
        seen.append(sweep.step(seen[-1], c))

    def back(x_bar: np.ndarray, first: int = 0, last: int = len(steps), detached: bool = False) -> np.ndarray:
        for k in range(last - 1, first - 1, -1):
            x, c = seen[k], steps[k]
            if detached:
                x_bar = x_bar * c[0] + (x_bar @ sweep.tail(ct(x) @ x, c) if len(c) > 1 else 0)
            else:
                x_bar = sweep.step_pulled(x, x_bar, c)
        return x_bar

    whole = back(bar)
    if at.over is not None:
        yield "the normalization is treated as constant", down(whole * at.over)
        yield "the normalization is not differentiated at all: 1/t is missing", down(whole)
        straight = "straight-through the steps"
        yield f"{straight}: only the normalization is differentiated", down(sweep.pulled(at, a, bar, aol))
        yield f"{straight}, the norm treated as constant", down(bar * at.over)
    if len(steps) > 1:
        yield "the first step is left out of the reverse sweep", down(sweep.pulled(at, a, back(bar, 1), aol))
        x_bar = bar
        for k in range(len(steps) - 1, -1, -1):
            x_bar = sweep.step_pulled(seen[k], x_bar, steps[len(steps) - 1 - k])
        words = "the reverse sweep takes the coefficients of the schedule in the order of the forward pass"
        yield words, down(sweep.pulled(at, a, x_bar, aol))
    if at.over is not None:
        right = sweep.pulled(at, a, whole, aol)
        yield "the part of the normalization has the wrong sign", down(2 * whole * at.over - right)
        if np.iscomplexobj(a) and not aol:
            inner = np.sum(np.conj(at.x) * whole, axis=(-2, -1))
            words = "the inner product of the normalization is complex: its imaginary part must not count"
            yield words, down(right - 1j * inner.imag * at.gradient * at.weight * at.over)
            yield f"{words} (conjugated)", down(right + 1j * inner.imag * at.gradient * at.weight * at.over)
    yield "the Gram matrices are treated as constant", down(sweep.pulled(at, a, back(bar, detached=True), aol))
    if np.iscomplexobj(a):
        conjugated = sweep.backward(a, np.conj(bar), claimed, eps)
        yield "the cotangent is conjugated: the gradient convention of JAX", down(conjugated)
        yield "cotangent and result are conjugated: the gradient convention of JAX", np.conj(down(conjugated))
    if claimed.eps:
        none = sweep.backward(a, bar, replace(claimed, eps=0.0), 0 * eps)
        yield "eps is left out", down(none)


def _along(values: Mapping[str, np.ndarray], claimed: Iteration) -> Iterator[Mistake]:
    a, direction = values["a"], values["a_dot"]
    m, n = a.shape

    def turn(x: np.ndarray) -> np.ndarray:
        return ct(x) if m <= n else x

    a, direction = turn(a), claimed.factor(m, n) * turn(direction)
    e, eps = scaled(a, claimed)
    a = ldexp(a, -e)
    at = sweep.normalized(a, claimed, eps)
    if at.over is None:
        return
    x_dot, x = direction * at.over, at.x
    for c in sweep.rows(claimed):
        x, x_dot = sweep.step(x, c), sweep.step_pulled(x, x_dot, c)
    yield "the normalization is treated as constant", turn(ldexp(x_dot, -e))


def _claims(claimed: Iteration, shape: Any) -> Iterator[Variant]:
    """The derivative of another iteration."""
    for steps in (claimed.steps - 1, claimed.steps + 1, claimed.steps - 2, claimed.steps + 2):
        if steps >= 0:
            words = f"the derivative of {steps} steps, not {claimed.steps}"
            yield Variant(words, words, claimed=replace(claimed, steps=steps))
    for eps in (0.0, *(10.0**k for k in range(-12, 1))):
        if eps != claimed.eps:
            words = f"the derivative with eps = {eps:.3g}, not {claimed.eps:.3g}"
            yield Variant(words, words, claimed=replace(claimed, eps=eps))
    for scale in UPDATE_SCALES:
        if scale != claimed.scale and claimed.factor(*shape) != UPDATE_SCALES[scale](*shape):
            yield Variant(f"scale {scale}", f"the update scale is {scale}, not {claimed.scale}",
                          claimed=replace(claimed, scale=scale))  # fmt: skip
    for kind in ("frobenius", "schatten4", "spectral", "aol", "none"):
        if kind != claimed.normalization.kind:
            words = f"the derivative under the norm {kind}, not {claimed.normalization.kind}"
            other = replace(claimed, normalization=replace(claimed.normalization, kind=kind))
            yield Variant(words, words, claimed=other)
    for name in presets.names():
        schedule = presets.get(name)
        if name != claimed.schedule.name and schedule.rows[0].polynomial:
            words = f"the derivative of the schedule {name}, not of {claimed.name}"
            yield Variant(words, words, claimed=replace(claimed, schedule=schedule))


def describe(kind: str, inputs: Data, outputs: Data, claimed: Iteration, precision: Precision,
             failed: Mapping[str, float]) -> list[str]:  # fmt: skip
    """How large the error is, and whether it is along the result."""
    values = {name: x.value for name, x in inputs.items()}
    if not failed or not values["a"].size:
        return []
    ((name, truth),) = truths(kind, values, claimed, FLOAT32)[0].items()
    x, exact = ldexp(outputs[name].value, -truth.exponent), rounded(truth.value)
    size = float(np.linalg.norm(exact))
    if not size:
        return [f"|{name}| should be 0"]
    said = [f"|{name} - exact| is {np.linalg.norm(x - exact) / size:.2g} of |{name}|"]
    multiple = np.vdot(exact, x).real / size**2
    if np.linalg.norm(x - multiple * exact) < 1e-2 * abs(multiple - 1) * size:
        said.append(f"{name} is {multiple:.6g} times what it should be")
    return said
