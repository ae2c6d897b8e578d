"""Ports of derivatives made by torch and JAX against formulas derived by hand, for every kind of output."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import pytest
from backends import JAX, TORCH, ct, gaussian, norm

from orthoref.oracle.autodiff import MODES, derivative

pytestmark = pytest.mark.sample(4)

BACKENDS = {"torch": TORCH, "jax": JAX}
VJP = [mode for mode in MODES if MODES[mode].vjp]
EVERY = [pytest.param(mode, marks=pytest.mark.exhaustive if mode == "jax jit" else ()) for mode in VJP]
SHAPES = [((5, 3), "complex128"), ((2, 3, 2, 2), "float64")]


@pytest.fixture(scope="module", autouse=True)
def warm():
    """What the first use of a mode loads is not charged to a test."""
    for mode in MODES:
        backend = BACKENDS[mode.split()[0]]
        if find_spec(backend.package) is not None:
            a = backend.asarray(gaussian((2, 2), "float64", 1))
            derivative(lambda a: a * a * a, mode, "vjp_jvp")(a, a, a)


class Map(NamedTuple):
    """A map A -> outputs that the frameworks differentiate, and its derivatives by hand."""

    port: object
    outputs: tuple[int, ...]
    jvp: object
    vjp: object


class Named(NamedTuple):
    u: object
    h: object


def b_of(n):
    return gaussian((n, n), "complex128", 7)


def same(b, a):
    """The matrix B in the framework and dtype of a."""
    b = b if "complex" in str(a.dtype) else b.real
    return (TORCH if "torch" in type(a).__module__ else JAX).asarray(b)


# holomorphic, antiholomorphic, neither; one array, a tuple, a named one, a longer one in another order
MAPS = {
    "A B": Map(
        lambda a: a @ same(b_of(a.shape[-1]), a),
        (0,),
        lambda a, e, b: (e @ b,),
        lambda a, y, b: y @ ct(b),
    ),
    "conj(A) B": Map(
        lambda a: [a.conj() @ same(b_of(a.shape[-1]), a)],
        (0,),
        lambda a, e, b: (e.conj() @ b,),
        lambda a, y, b: (y @ ct(b)).conj(),
    ),
    "A A^H A": Map(
        lambda a: (a @ a.mT.conj() @ a, "other"),
        (0,),
        lambda a, e, b: (e @ ct(a) @ a + a @ ct(e) @ a + a @ ct(a) @ e,),
        lambda a, y, b: y @ ct(a) @ a + a @ ct(y) @ a + a @ ct(a) @ y,
    ),
    "A B, A^T": Map(
        lambda a: Named(a @ same(b_of(a.shape[-1]), a), a.mT),
        (0, 1),
        lambda a, e, b: (e @ b, e.swapaxes(-1, -2)),
        lambda a, y, z, b: y @ ct(b) + z.swapaxes(-1, -2),
    ),
    "A^H A, -, A A": Map(
        lambda a: (a.mT.conj() @ a, a.shape, a * a),
        (2, 0),
        lambda a, e, b: (2 * a * e, ct(e) @ a + ct(a) @ e),
        lambda a, y, z, b: 2 * a.conj() * y + a @ (z + ct(z)),
    ),
}


def cubic_second(a, e, y):
    """The derivative along E of the VJP of A A^H A."""
    return y @ (ct(e) @ a + ct(a) @ e) + e @ ct(y) @ a + a @ ct(y) @ e + (e @ ct(a) + a @ ct(e)) @ y


def near(x, exact):
    """A dozen of products of matrices of order 5 with entries near 1."""
    x = np.asarray(x)
    assert x.shape == exact.shape and x.dtype == exact.dtype
    return norm(x - exact) <= 1000 * np.finfo(x.dtype).eps * norm(exact)


def setting(mode, shape, dtype, name):
    """Framework, A, A_dot, one cotangent for each output, all NumPy, and B."""
    backend = BACKENDS[mode.split()[0]]
    backend.require()
    a, e = (gaussian(shape, dtype, seed) for seed in (1, 2))
    b = b_of(shape[-1]) if dtype.startswith("complex") else b_of(shape[-1]).real
    bars = [gaussian(y.shape, dtype, 3 + i) for i, y in enumerate(MAPS[name].jvp(a, e, b))]
    return backend, a, e, bars, b


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize(("shape", "dtype"), SHAPES, ids=str)
@pytest.mark.parametrize("mode", EVERY)
def test_vjp(mode, shape, dtype, name):
    backend, a, _, bars, b = setting(mode, shape, dtype, name)
    port, outputs, _, vjp = MAPS[name]
    a_bar = derivative(port, mode, "vjp", outputs=outputs)(*map(backend.asarray, (a, *bars)))
    assert near(backend.to_numpy(a_bar), vjp(a, *bars, b))


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize(("shape", "dtype"), SHAPES, ids=str)
@pytest.mark.parametrize("mode", EVERY)
def test_jvp(mode, shape, dtype, name):
    backend, a, e, _, b = setting(mode, shape, dtype, name)
    port, outputs, jvp, _ = MAPS[name]
    tangents = derivative(port, mode, "jvp", outputs=outputs)(backend.asarray(a), backend.asarray(e))
    tangents = tangents if len(outputs) > 1 else (tangents,)
    for tangent, exact in zip(tangents, jvp(a, e, b), strict=True):
        assert near(backend.to_numpy(tangent), exact)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("mode", EVERY)
def test_several_inputs(mode, dtype):
    """A B^H: A_bar = Y_bar B, B_bar = Y_bar^H A; of an input that the result does not depend on, zero."""
    backend, a, b, _, _ = setting(mode, (2, 3, 3), dtype, "A B")
    y, e, f = (gaussian((2, 3, 3), dtype, seed) for seed in (5, 6, 7))

    def ct(x):
        return x.swapaxes(-1, -2).conj()

    def port(a, b):
        return a @ ct(b)

    found = derivative(port, mode, "vjp", inputs=2)(*map(backend.asarray, (a, b, y)))
    assert all(near(backend.to_numpy(x), z) for x, z in zip(found, (y @ b, ct(y) @ a), strict=True))
    dot = derivative(port, mode, "jvp", inputs=2)(*map(backend.asarray, (a, b, e, f)))
    assert near(backend.to_numpy(dot), e @ ct(b) + a @ ct(f))
    found = derivative(lambda a, b: a + a, mode, "vjp", inputs=2)(*map(backend.asarray, (a, b, y)))
    assert near(backend.to_numpy(found[0]), 2 * y) and not backend.to_numpy(found[1]).any()


def test_a_second_derivative_of_several_inputs():
    pytest.importorskip("torch")
    with pytest.raises(ValueError, match="no vjp_jvp of a function of 2 inputs"):
        derivative(len, "torch", "vjp_jvp", inputs=2)


@pytest.mark.parametrize(("shape", "dtype"), SHAPES, ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_derivative_of_the_vjp(mode, shape, dtype):
    backend, a, e, (y,), _ = setting(mode, shape, dtype, "A A^H A")
    vjp_jvp = derivative(MAPS["A A^H A"].port, mode, "vjp_jvp")
    assert near(backend.to_numpy(vjp_jvp(*map(backend.asarray, (a, e, y)))), cubic_second(a, e, y))


@pytest.mark.parametrize("name", ["A B", "A A^H A", "conj(A) B"])
def test_a_forgotten_conjugate_is_seen(name):
    """jax.vjp as it is; in only; out only: wrong for complex matrices, whatever the map."""
    jax = pytest.importorskip("jax")
    _, a, _, (y,), b = setting("jax", (3, 3), "complex128", name)
    _, pull_back = jax.vjp(lambda x: first_of(MAPS[name].port(x)), a)
    exact = MAPS[name].vjp(a, y, b)
    for before, after in ((False, False), (True, False), (False, True)):
        (a_bar,) = pull_back(y.conj() if before else y)
        assert not near(a_bar.conj() if after else a_bar, exact)
    assert near(pull_back(y.conj())[0].conj(), exact)


def first_of(result):
    return result[0] if isinstance(result, (tuple, list)) else result


# --- what is given, and how


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def layouts(torch):
    """Cotangents as a loss may send them: the gradient of sum() is one number, expanded."""
    y = TORCH.asarray(gaussian((4, 6), "float64", 3))
    yield "transposed", y[:, :4].mT
    yield "strided", y[:, ::2][:3].mT[:, :3]
    yield "expanded", torch.ones((), dtype=y.dtype).expand(3, 3)
    yield "conjugate view", torch.complex(y, y)[:3, :3].mH


def test_torch_cotangents_reach_the_backward_pass_as_they_are(torch):
    for name, y in layouts(torch):
        seen = []

        class Identity(torch.autograd.Function):
            @staticmethod
            def forward(ctx, a):
                return a.clone()

            @staticmethod
            def backward(ctx, y, seen=seen):
                seen.append((y.stride(), y.is_conj(), y.data_ptr()))
                return y.clone()

        a = torch.zeros(y.shape, dtype=y.dtype)
        result = derivative(Identity.apply, "torch", "vjp")(a, y)
        assert torch.equal(result, y), name
        assert seen == [(y.stride(), y.is_conj(), y.data_ptr())], name


@pytest.mark.parametrize("kind", ["vjp", "jvp", "vjp_jvp"])
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode.startswith("torch")])
def test_torch_inputs_are_left_alone(mode, kind, torch):
    a, e, y = given = [TORCH.asarray(gaussian((3, 3), "float64", seed)) for seed in range(3)]
    kept = [x.clone() for x in given]
    arguments = {"vjp": (a, y), "jvp": (a, e), "vjp_jvp": (a, e, y)}[kind]
    f = derivative(MAPS["A A^H A"].port, mode, kind)
    with torch.no_grad():  # of the caller
        result = f(*arguments)
    assert torch.equal(result, f(*arguments)) and result.any()
    assert not result.requires_grad
    for x, was in zip(given, kept, strict=True):
        assert torch.equal(x, was) and not x.requires_grad and x.grad is None


def test_torch_point_keeps_its_strides(torch):
    seen = []

    def port(a):
        seen.append(a.stride())
        return a * a

    a = torch.arange(12.0).reshape(3, 4)[:, ::2].mT
    for kind in ("vjp", "jvp"):
        derivative(port, "torch", kind)(a, a)
    assert seen == [a.stride()] * 2


@pytest.mark.parametrize("mode", VJP)
def test_a_cotangent_is_cast_to_the_format_of_the_result(mode):
    """The loss of a port that returns bfloat16 sends bfloat16: 2.796875 is the nearest to 2.79."""
    backend = BACKENDS[mode.split()[0]]
    backend.require()
    half = {"torch": lambda a: a.bfloat16(), "jax": lambda a: a.astype("bfloat16")}[mode.split()[0]]
    a = backend.asarray(np.ones((2, 2), "float32"))
    y = backend.asarray(np.full((2, 2), 2.79, "float32"))
    a_bar = backend.to_numpy(derivative(half, mode, "vjp")(a, y))
    assert a_bar.dtype == np.float32 and (a_bar == 2.796875).all()


def test_threads_do_not_disturb_the_forward_mode(torch):
    a = TORCH.asarray(gaussian((3, 3), "float64", 1))
    jvp = derivative(MAPS["A A^H A"].port, "torch", "jvp")
    with ThreadPoolExecutor(4) as pool:
        results = [*pool.map(lambda _: jvp(a, a), range(20))]
    assert all(torch.equal(x, results[0]) for x in results)


# --- what goes wrong


def test_torch_result_that_is_detached_raises(torch):
    a = torch.eye(2)
    detached = {
        "detach": lambda a: a.detach() * 2,
        "no_grad": torch.no_grad()(lambda a: a * 2),
        "constant": lambda a: torch.ones(2, 2, requires_grad=True) * 2,
    }
    for port in detached.values():
        with pytest.raises(RuntimeError, match=r"the result does not depend on the input: detached\?"):
            derivative(port, "torch", "vjp")(a, a)
        with pytest.raises(RuntimeError, match=r"the result does not depend on the input: detached\?"):
            derivative(port, "torch", "vjp_jvp")(a, a, a)
    with pytest.raises(RuntimeError, match=r"the result does not depend on the input: detached\?"):
        derivative(detached["constant"], "torch", "jvp")(a, a)


def test_torch_gradient_that_is_detached_raises(torch):
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            ctx.a = a.detach()
            return a * a * a

        @staticmethod
        def backward(ctx, y):
            return 3 * ctx.a * ctx.a * y

    a = torch.full((2, 2), 2.0)
    assert torch.equal(derivative(Cube.apply, "torch", "vjp")(a, a), 24 * torch.ones(2, 2))
    with pytest.raises(
        RuntimeError, match="the gradient does not depend on the input: detached or once_differentiable"
    ):
        derivative(Cube.apply, "torch", "vjp_jvp")(a, a, a)


@pytest.mark.parametrize("mode", VJP)
def test_one_detached_result_of_two_counts_as_zero(mode):
    backend = BACKENDS[mode.split()[0]]
    backend.require()

    def port(a):
        return a * a, backend.asarray(np.ones((2, 2)))

    a = backend.asarray(np.full((2, 2), 3.0))
    assert (backend.to_numpy(derivative(port, mode, "vjp", outputs=(0, 1))(a, a, a)) == 18).all()
    square, one = derivative(port, mode, "jvp", outputs=(0, 1))(a, a)
    assert (backend.to_numpy(square) == 18).all() and (backend.to_numpy(one) == 0).all()


@pytest.mark.parametrize("mode", ["torch", "jax"])
def test_what_cannot_be_differentiated_is_refused(mode):
    backend = BACKENDS[mode]
    backend.require()
    a = backend.asarray(np.eye(2))
    for port in (lambda a: np.eye(2), lambda a: (np.eye(2), a)):
        with pytest.raises(TypeError, match=r"the port returned a numpy\.ndarray, which cannot be differentiated"):
            derivative(port, mode, "vjp")(a, a)
    with pytest.raises(TypeError, match="the port returned 1 of at least 2 arrays"):
        derivative(lambda a: a * a, mode, "vjp", outputs=(0, 1))(a, a, a)
    with pytest.raises(ValueError, match="zip"):  # a cotangent is missing
        derivative(lambda a: (a, a), mode, "vjp", outputs=(0, 1))(a, a)


def test_what_a_backward_pass_raises_passes(torch):
    class Raises(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            return a.clone()

        @staticmethod
        def backward(ctx, y):
            raise KeyError("saved")

    a = torch.eye(2)
    with pytest.raises(KeyError, match="saved"):
        derivative(Raises.apply, "torch", "vjp")(a, a)
    with pytest.raises(RuntimeError, match="jvp"):  # there is no forward mode
        derivative(Raises.apply, "torch", "jvp")(a, a)
    assert torch.equal(derivative(lambda x: x * x, "torch", "jvp")(a, a), 2 * a)  # the next one is not disturbed


def test_a_write_into_the_point_is_refused_by_torch(torch):
    a = torch.eye(2)
    with pytest.raises(RuntimeError, match="in-place"):
        derivative(lambda a: a.mul_(2), "torch", "vjp")(a, a)
    assert torch.equal(a, torch.eye(2))


def test_a_jax_port_that_looks_at_values_cannot_be_compiled():
    jax = pytest.importorskip("jax")

    def port(a):
        return a * a if a[0, 0] > 0 else a

    a = JAX.asarray(np.eye(2))
    assert (np.asarray(derivative(port, "jax", "vjp")(a, a)) == 2 * np.eye(2)).all()
    with pytest.raises(jax.errors.TracerBoolConversionError):
        derivative(port, "jax jit", "vjp")(a, a)


@pytest.mark.filterwarnings("ignore:Some donated buffers were not usable")
def test_a_jax_port_that_takes_the_memory_of_its_input_raises():
    """JAX keeps the point for the backward pass, and it is gone."""
    jax = pytest.importorskip("jax")
    port = jax.jit(lambda a: a * a, donate_argnums=0)
    a, y = (JAX.asarray(gaussian((3, 3), "float64", seed)) for seed in (1, 2))
    with pytest.raises(RuntimeError, match="deleted"):
        derivative(port, "jax", "vjp")(a, y)


def test_a_mode_that_does_not_exist():
    with pytest.raises(ValueError, match="framework='tensorflow' is not one of"):
        derivative(len, "tensorflow", "vjp")
    with pytest.raises(ValueError, match="kind='hvp' is not one of"):
        derivative(len, "torch", "hvp")
    with pytest.raises(ValueError, match="framework='jax reverse' has no vjp: torch, torch vmap, jax"):
        derivative(len, "jax reverse", "vjp")


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 3), (1, 1)], ids=str)
@pytest.mark.parametrize("mode", VJP)
def test_empty_and_single(mode, shape):
    backend = BACKENDS[mode.split()[0]]
    backend.require()
    a = backend.asarray(np.ones(shape))
    for kind in ("vjp", "jvp"):
        assert tuple(derivative(lambda a: a * a, mode, kind)(a, a).shape) == shape


def test_nothing_is_imported_before_it_is_asked_for():
    code = "import sys, orthoref.oracle.autodiff; assert not {'torch', 'jax'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
