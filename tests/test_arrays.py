import numpy as np
import pytest
from backends import DEVICE1, JAX, NO_FLOAT64, STRICT, TORCH

from orthoref import OutsideDomain, arrays, polar, polar_vjp


def test_enter_gives_the_shared_namespace(backend):
    import array_api_compat

    x = backend.asarray(np.ones((2, 3), "float32"))
    assert arrays.enter(a=x, c=x) is array_api_compat.array_namespace(x)


def test_enter_takes_every_dtype(backend):
    for dtype in backend.dtypes:
        x = backend.asarray(np.ones((1, 2, 3), dtype))
        arrays.enter(a=x)
        assert arrays.dtype_name(x) == dtype
        assert arrays.is_complex(x) == dtype.startswith("complex")


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool"])
def test_enter_refuses_other_dtypes(backend, dtype):
    with pytest.raises(TypeError, match=rf"^a has dtype {dtype}; orthoref takes float32, "):
        arrays.enter(a=backend.asarray(np.ones((2, 2), dtype)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_enter_refuses_half_precision(dtype):
    torch = pytest.importorskip("torch", reason="has both")
    with pytest.raises(TypeError, match=rf"^b has dtype {dtype}"):
        arrays.enter(a=torch.ones(2, 2), b=torch.ones(2, 2, dtype=getattr(torch, dtype)))


@pytest.mark.parametrize("x", [[[1.0]], 1.0, "a", np.float64(1.0)])
def test_enter_refuses_what_is_no_matrix(x):
    with pytest.raises((TypeError, ValueError), match=r"^first must "):
        arrays.enter(first=x)


def test_enter_refuses_a_missing_array():
    with pytest.raises(TypeError, match="a "):
        arrays.enter(a=None)


def test_enter_names_the_pair():
    x = np.ones((2, 2))
    with pytest.raises(TypeError, match=r"^one and two differ in dtype: float64 and complex128$"):
        arrays.enter(one=x, two=x + 0j)


@pytest.mark.parametrize("backend", [STRICT, TORCH, JAX], ids=lambda x: x.name)
def test_enter_refuses_mixed_namespaces(backend):
    backend.require()
    x = np.ones((2, 2))
    with pytest.raises(TypeError, match="one and two differ in namespace"):
        arrays.enter(one=x, two=backend.asarray(x))


def test_enter_refuses_mixed_devices():
    STRICT.require()
    x = np.ones((2, 2), "float32")
    for one, two in ((STRICT, DEVICE1), (DEVICE1, NO_FLOAT64)):
        with pytest.raises(ValueError, match="one and two differ in device"):
            arrays.enter(one=one.asarray(x), two=two.asarray(x))


@pytest.mark.parametrize("index", [(0, 0, 0), (1, 2, 3), (0, 1, 2)])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_enter_names_the_first_bad_entry(backend, index, value):
    x = np.zeros((2, 3, 4), "float32")
    x[index] = value
    x[1, 2, 3] = value
    with pytest.raises(OutsideDomain, match=rf"at entry \({index[1]}, {index[2]}\), batch index \({index[0]},\)$"):
        arrays.enter(a=backend.asarray(x))


def test_message_without_a_batch():
    with pytest.raises(OutsideDomain, match=r"^a has inf at entry \(1, 0\)$"):
        arrays.enter(a=np.asarray([[0.0], [np.inf]]))


@pytest.mark.parametrize("index", [(0,), (1, 2)])
def test_at_batch(index):
    assert arrays.at_batch(()) == "" and arrays.at_batch(index) == f", batch index {index}"


DIFFERENTIATED = r"^a is differentiated by torch.* pass a\.detach\(\), or .* torch\.autograd\.Function$"


def test_what_torch_differentiates_is_refused():
    """Its derivative of polar at the identity is NaN; without gradients, and for one array of two, all is well."""
    torch = pytest.importorskip("torch", reason="differentiates")
    x, tracked = torch.eye(3), torch.eye(3, requires_grad=True)
    with pytest.raises(TypeError, match=DIFFERENTIATED):
        polar(tracked)
    with pytest.raises(TypeError, match=r"^u_bar is differentiated by torch"):
        polar_vjp(x, u_bar=tracked)
    with torch.no_grad():
        assert arrays.enter(a=tracked) is arrays.enter(a=x, b=tracked.detach())


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own forward mode
@pytest.mark.parametrize("transform", ["grad", pytest.param("jvp", marks=pytest.mark.exhaustive)])
def test_what_torch_func_differentiates_is_refused(transform):
    torch = pytest.importorskip("torch", reason="differentiates")
    x = torch.eye(3)
    differentiated = {
        "grad": lambda: torch.func.grad(lambda a: polar(a).u.sum())(x),
        "jvp": lambda: torch.func.jvp(lambda a: polar(a).u, (x,), (x,)),
    }
    with pytest.raises(TypeError, match=DIFFERENTIATED):
        differentiated[transform]()


@pytest.mark.exhaustive  # torch imports its compiler
def test_the_way_that_the_message_names_for_torch():
    torch = pytest.importorskip("torch", reason="differentiates")

    class UnitaryFactor(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            ctx.save_for_backward(a)
            return polar(a).u

        @staticmethod
        def backward(ctx, u_bar):
            return polar_vjp(*ctx.saved_tensors, u_bar)

    a, u_bar = torch.eye(3, requires_grad=True), torch.arange(9.0).reshape(3, 3)
    UnitaryFactor.apply(a).backward(u_bar)
    assert torch.equal(a.grad, polar_vjp(a.detach(), u_bar))


@pytest.mark.parametrize("transform", ["jit", "grad", "vmap"])
def test_what_jax_traces_is_refused(transform):
    jax = pytest.importorskip("jax", reason="traces")
    of = {"jit": lambda a: polar(a).u, "grad": lambda a: polar(a).u.sum(), "vmap": lambda a: polar(a[None]).u}
    with pytest.raises(TypeError, match=r"^a is traced by jax \(\w*Tracer\).* jax\.custom_vjp.* jax\.pure_callback"):
        getattr(jax, transform)(of[transform])(jax.numpy.eye(3))


def jax_custom_vjp(forward, backward):
    """Real arrays: JAX's cotangents of complex ones are conjugates."""
    f = pytest.importorskip("jax", reason="traces").custom_vjp(forward)
    f.defvjp(lambda a: (f(a), a), lambda a, u_bar: (backward(a, u_bar),))
    return f


@pytest.mark.exhaustive  # JAX compiles every operation of polar
def test_the_way_that_the_message_names_for_jax_grad():
    jax = pytest.importorskip("jax", reason="traces")
    f = jax_custom_vjp(lambda a: polar(a).u, polar_vjp)
    a, w = jax.numpy.eye(3), jax.numpy.arange(9.0).reshape(3, 3)
    assert np.array_equal(jax.grad(lambda a: (w * f(a)).sum())(a), (w - w.T) / 2)  # (DU) at the identity


@pytest.mark.exhaustive
def test_the_way_that_the_message_names_for_jax_jit_and_vmap():
    jax = pytest.importorskip("jax", reason="traces")

    def outside(f):
        def call(*arrays):
            return jax.pure_callback(f, arrays[0], *arrays, vmap_method="broadcast_all")

        return call

    f = jax_custom_vjp(
        outside(lambda a: polar(np.asarray(a)).u),
        outside(lambda a, u_bar: polar_vjp(np.asarray(a), np.asarray(u_bar))),
    )
    a, w = jax.numpy.eye(3), jax.numpy.arange(9.0).reshape(3, 3)
    assert np.array_equal(jax.jit(jax.grad(lambda a: (w * f(a)).sum()))(a), (w - w.T) / 2)
    assert np.array_equal(jax.vmap(f)(a[None])[0], a)
