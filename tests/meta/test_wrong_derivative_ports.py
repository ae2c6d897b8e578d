"""Wrong backward passes are wrong where they say so, right ones are right: against orthoref's own VJP in float64."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
from backends import JAX, TORCH, norm
from meta.wrong_derivative_ports import (
    RIGHT,
    RIGHT_FORWARD,
    SCHEDULES,
    WRONG,
    WRONG_FORWARD,
    WRONG_TWICE,
    at,
    backward,
    by_newton_schulz,
    gaussian,
    newton_schulz,
    sweep,
)

from orthoref import newton_schulz_jvp, newton_schulz_vjp, polar_condition, polar_jvp, polar_vjp
from orthoref.oracle.autodiff import derivative

pytestmark = pytest.mark.sample(4)

BACKENDS = {"torch": TORCH, "jax": JAX}
FACTOR = 1000  # units of eps: far beyond what rounding does at these points, below every fault


@pytest.fixture(scope="module", autouse=True)
def warm():
    """What the first call loads is not charged to a test."""
    if find_spec("torch") is not None:
        a = TORCH.asarray(np.eye(2))
        derivative(RIGHT[0].port, "torch", "vjp", outputs=(0, 1))(a, a, a)
        derivative(by_newton_schulz, "torch", "jvp")(a, a)


def late(entries):
    """JAX, which compiles everything, is left to the exhaustive run."""
    return pytest.mark.parametrize(
        "entry", [pytest.param(e, id=e.name, marks=[pytest.mark.exhaustive] * (e.framework == "jax")) for e in entries]
    )


def truth(entry, a, *bars):
    """In double precision."""
    double = np.complex128 if np.iscomplexobj(a) else np.float64
    if entry.operation == "polar":
        return polar_vjp(a.astype(double), *(bar.astype(double) for bar in bars))
    return newton_schulz_vjp(a.astype(double), bars[0].astype(double), **entry.claims)


def error(entry, a_bar, a, *bars):
    """In units of eps, relative to the larger of the gradient and what the condition number makes of the cotangents."""
    exact = truth(entry, a, *bars)
    assert a_bar.shape == exact.shape and a_bar.dtype == a.dtype
    size = norm(exact)
    if entry.operation == "polar":
        condition = max(float(np.max(polar_condition(a))), 1 / norm(a))  # 0 for a number, where 1/|A| rounds
        size = max(size, condition * norm(bars[0]), *map(norm, bars[1:]))
    else:  # the part along A cancels
        size = max(size, norm(bars[0]) / norm(a))
    difference = norm(a_bar - exact)
    if not size:
        return 0.0 if difference == 0 else np.inf
    return difference / (np.finfo(a.dtype).eps * size)


def test_there_are_enough():
    assert len({entry.name.rpartition(",")[0] for entry in WRONG}) >= 60
    assert sum(entry.framework == "jax" for entry in WRONG) >= 10
    assert len(RIGHT) >= 20
    for entries in (WRONG, RIGHT):
        assert len({entry.name for entry in entries}) == len(entries)


def is_wrong(entry, a_bar, a, given, kept):
    """The result is, or a cotangent was changed."""
    changed = any(not np.array_equal(x, y) for x, y in zip(given, kept, strict=True))
    return changed or not error(entry, a_bar, a, *kept) <= FACTOR


@pytest.mark.parametrize("entry", WRONG, ids=lambda e: e.name)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_wrong_backward_pass_is_wrong_where_it_says(entry):
    a, *bars = entry.on()
    kept = [bar.copy() for bar in bars]
    assert is_wrong(entry, entry.backward(a, *bars), a, bars, kept)


def as_given(backend, x):
    """With the strides of a transposed or an expanded NumPy array."""
    if backend is TORCH and 0 in x.strides:
        return backend.asarray(x[:1, :1]).expand(x.shape)
    return backend.asarray(x) if x.flags.c_contiguous else backend.asarray(x.mT.copy()).mT


@late(WRONG)
def test_what_a_framework_finds_of_a_wrong_port_is_wrong(entry):
    backend = BACKENDS[entry.framework]
    backend.require()
    a, *bars = entry.on()
    given = [as_given(backend, bar) for bar in bars]
    vjp = derivative(entry.port, entry.framework, "vjp", outputs=entry.outputs)
    a_bar = backend.to_numpy(vjp(backend.asarray(a), *given))
    assert is_wrong(entry, a_bar, a, map(backend.to_numpy, given), bars)


POINTS = [
    ((4, 4), 30.0, "float64"),
    ((6, 3), 300.0, "complex128"),
    ((3, 5), 30.0, "float32"),
    ((3, 5), 30.0, "complex128"),
    ((2, 4, 4), 90.0, "complex64"),
    ((6, 3), 300.0, "float64"),
    ((1, 1), 1.0, "float64"),
]


def points(entry, chosen=POINTS):
    """Shape, condition number, dtype and spectrum; few for JAX, which compiles for every shape and dtype."""
    for shape, cond, dtype in POINTS[1:3] if entry.framework == "jax" else chosen:
        if dtype in entry.dtypes and (shape[-1] == shape[-2] or not entry.square):
            for spectrum in ("geometric",) if entry.distinct else ("geometric", "repeated"):
                yield shape, min(cond, entry.cond), dtype, spectrum


@late(RIGHT)
def test_a_right_one_is_right(entry):
    backend = BACKENDS[entry.framework]
    backend.require()
    vjp = derivative(entry.port, entry.framework, "vjp", outputs=entry.outputs)
    for shape, cond, dtype, spectrum in points(entry):
        a, *bars = at(shape, dtype, spectrum=spectrum, cond=cond)()
        bars = bars[: len(entry.outputs)]
        a_bar = backend.to_numpy(vjp(*map(backend.asarray, (a, *bars))))
        assert error(entry, a_bar, a, *bars) <= 100 * cond, (shape, dtype, spectrum)


def test_right_backward_passes_are_right():
    """The two that the wrong ones vary, without a framework; the error at the fault's own inputs."""
    for entry in WRONG:
        a, *bars = entry.on()
        right = backward if entry.operation == "polar" else partial(sweep, **arguments(entry.claims))
        assert error(entry, right(a, *bars), a, *bars) <= 100, entry.name


def arguments(claims):
    return {"rows": SCHEDULES[claims["schedule"]], "eps": claims["eps"], "clamp": claims["eps_rule"] == "clamp"}


# --- double backward and forward mode


BOTH_FACTORS = {"polar": lambda a: (u := by_newton_schulz(a), u.mH @ a), "newton_schulz": newton_schulz}


def second(entry, a, *bars, port=None):
    """The derivative of the VJP along a direction, by double backward, of the entry's port or another."""
    e = gaussian(a.shape, a.dtype.name, 9)
    arguments = map(TORCH.asarray, (a, e, *bars))
    return TORCH.to_numpy(derivative(port or entry.port, "torch", "vjp_jvp", outputs=entry.outputs)(*arguments))


@pytest.mark.parametrize("entry", [e for e in RIGHT if e.framework == "torch"], ids=lambda e: e.name)
def test_right_ones_agree_twice(entry):
    """With double backward through a converged iteration, or the plain one: another formula for all but that one."""
    TORCH.require()
    plain = BOTH_FACTORS[entry.operation]
    if entry.operation == "newton_schulz":
        plain = partial(plain, **arguments(entry.claims))
    for shape, cond, dtype, spectrum in points(entry, POINTS[:4]):
        if dtype in ("float32", "complex64") or (spectrum == "repeated" and entry.distinct_twice):
            continue
        a, *bars = at(shape, dtype, spectrum=spectrum, cond=cond)()
        bars = bars[: len(entry.outputs)]
        result, exact = second(entry, a, *bars), second(entry, a, *bars, port=plain)
        assert norm(result - exact) <= 1000 * np.finfo(dtype).eps * cond**2 * norm(exact), (shape, spectrum)


@pytest.mark.parametrize("entry", WRONG_TWICE, ids=lambda e: e.name)
def test_wrong_twice_and_right_once(entry):
    TORCH.require()
    a, *bars = entry.on()
    given = [*map(TORCH.asarray, (a, *bars))]
    vjp = derivative(entry.port, "torch", "vjp", outputs=entry.outputs)
    assert error(entry, TORCH.to_numpy(vjp(*given)), a, *bars) <= 100
    if "detached" in entry.name:
        with pytest.raises(RuntimeError, match=entry.words):
            second(entry, a, *bars)
        return
    exact = second(entry, a, *bars, port=BOTH_FACTORS[entry.operation])
    assert not norm(second(entry, a, *bars) - exact) <= 1e-3 * norm(exact)


def tangents_of(entry, a, e):
    """What the framework finds and what is right, each as a tuple."""
    backend = BACKENDS[entry.framework]
    backend.require()
    found = derivative(entry.port, entry.framework, "jvp", outputs=entry.outputs)(*map(backend.asarray, (a, e)))
    found = tuple(map(backend.to_numpy, found if isinstance(found, tuple) else (found,)))
    double = np.complex128 if np.iscomplexobj(a) else np.float64
    a, e = a.astype(double), e.astype(double)
    if entry.operation == "polar":
        return found, polar_jvp(a, e)[: len(found)]
    return found, (newton_schulz_jvp(a, e, **entry.claims),)


def tangent_errors(entry, a, e):
    """In units of eps, as for the VJP."""
    for x, exact in zip(*tangents_of(entry, a, e), strict=True):
        assert x.shape == exact.shape and x.dtype == a.dtype
        yield norm(x - exact) / (np.finfo(a.dtype).eps * max(norm(exact), norm(e) / norm(a)))


@late([e for e in (*RIGHT, *RIGHT_FORWARD) if e.forward])
def test_a_right_one_is_right_in_forward_mode(entry):
    for shape, cond, dtype, spectrum in points(entry):
        a = at(shape, dtype, spectrum=spectrum, cond=cond)()[0]
        for ratio in tangent_errors(entry, a, gaussian(shape, dtype, 9)):
            assert ratio <= 100 * cond, (shape, dtype, spectrum)


@late(WRONG_FORWARD)
def test_a_wrong_one_is_wrong_in_forward_mode(entry):
    assert not all(ratio <= FACTOR for ratio in tangent_errors(entry, *entry.on()))
