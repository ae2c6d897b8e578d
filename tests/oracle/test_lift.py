"""Lifting is exact, imports nothing, and refuses what it cannot read."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from orthoref import PortFailure, testing
from orthoref.oracle.lift import lift

VALUES = np.array([[1.0, -0.5], [2.0**-120, 3.0]])


def test_numpy_and_lists():
    for dtype in ("float16", "float32", "float64", "complex64", "complex128"):
        found = lift("a", VALUES.astype(dtype))
        assert found.dtype == dtype and np.array_equal(found.value, VALUES.astype(dtype))
        assert found.value.dtype in ("float64", "complex128")
    assert lift("a", VALUES.tolist()).dtype is None
    assert lift("a", [[1, 2], (3, 4)]).value.dtype == "float64"


def test_the_copy_is_a_copy():
    a = VALUES.copy()
    lift("a", a).value[0, 0] = 7
    assert a[0, 0] == 1


def test_strided_and_read_only():
    a = np.asfortranarray(np.arange(24.0).reshape(4, 6))[::2, ::-1]
    a.flags.writeable = False
    assert np.array_equal(lift("a", a).value, a)


def test_bfloat16_of_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    found = lift("a", VALUES.astype(ml_dtypes.bfloat16))
    assert found.dtype == "bfloat16" and np.array_equal(found.value, VALUES)


def test_torch():
    torch = pytest.importorskip("torch")
    t = torch.tensor(VALUES)
    assert np.array_equal(lift("a", t).value, VALUES)
    assert lift("a", t.to(torch.bfloat16))[1] == "bfloat16"
    assert np.array_equal(lift("a", t.to(torch.bfloat16)).value, VALUES)
    assert np.array_equal(lift("a", t.clone().requires_grad_()).value, VALUES)
    c = torch.tensor(VALUES + 1j)
    assert np.array_equal(lift("a", c.conj()).value, VALUES - 1j)
    assert np.array_equal(lift("a", c.conj().imag.neg()).value, np.ones((2, 2)))
    with pytest.raises(TypeError, match="int64"):
        lift("a", torch.ones((2, 2), dtype=torch.int64))


def test_jax():
    jnp = pytest.importorskip("jax.numpy")
    assert np.array_equal(lift("a", jnp.asarray(VALUES)).value, VALUES)
    assert lift("a", jnp.asarray(VALUES).astype(jnp.bfloat16)).dtype == "bfloat16"


@pytest.mark.parametrize("device", ["CPU_DEVICE", "device1", "no_float64"])
def test_array_api_strict(device):
    xp = pytest.importorskip("array_api_strict")
    found = lift("a", xp.asarray(VALUES.astype("float32"), device=xp.Device(device)))
    assert found.dtype == "float32" and np.array_equal(found.value, VALUES.astype("float32"))


def test_byte_order():
    assert lift("a", VALUES.astype(">f8")).dtype == "float64"


def test_dlpack_only():
    class Exporter:
        dtype = np.dtype("float64")

        def __dlpack__(self, **options):
            return VALUES.__dlpack__(**options)

        def __dlpack_device__(self):
            return VALUES.__dlpack_device__()

    assert np.array_equal(lift("a", Exporter()).value, VALUES)


class ArrayOnly:
    def __array__(self, dtype=None, copy=None):
        return VALUES.astype("float32")


class DLPackOnly:
    def __dlpack__(self, **options):
        return VALUES.__dlpack__(**options)

    def __dlpack_device__(self):
        return VALUES.__dlpack_device__()


@pytest.mark.parametrize(("x", "dtype"), [(ArrayOnly(), "float32"), (DLPackOnly(), "float64")])
def test_protocols_without_a_dtype(x, dtype):
    found = lift("a", x)
    assert found.dtype == dtype and np.array_equal(found.value, VALUES.astype(dtype))
    with pytest.raises(PortFailure, match=rf"\.{dtype} \(2, 2\)"):
        testing.assert_orthonormal(x)


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (3.0, TypeError, "a must be an array or a nested list, not float"),
        ("text", TypeError, "a must be an array or a nested list, not str"),
        (None, TypeError, "NoneType"),
        ([["x"]], TypeError, "numbers only"),
        ([[2**53 + 1, 0], [3, 4]], TypeError, "integer 9007199254740993"),
        ([[2**53 + 1, 0.5], [3, 4]], TypeError, "integer 9007199254740993"),
        ([[np.longdouble(1) / 3]], TypeError, "longdouble|float128"),
        ([[1.0, 2.0], [3.0]], TypeError, "rows differ in length"),
        ({"a": np.eye(2)}, TypeError, "a must be an array or a nested list, not dict"),
        (np.array([["x"]], dtype=object), TypeError, "object"),
        ([1.0, 2.0], ValueError, r"at least 2 dimensions .* not shape \(2,\)"),
        (np.ones((2, 2), int), TypeError, "int64"),
        (np.ones((2, 2), bool), TypeError, "bool"),
        (np.ma.masked_array(np.ones((2, 2)), mask=[[0, 1], [0, 0]]), TypeError, "masked"),
        (np.ones(3), ValueError, "at least 2 dimensions"),
    ],
)
def test_refused(x, error, words):
    with pytest.raises(error, match=words):
        lift("a", x)


@pytest.mark.exhaustive  # the imports of a process of its own
def test_no_framework_is_imported():
    code = (
        "import sys, numpy as np; from orthoref import testing; testing.assert_orthonormal(np.eye(3));"
        "print([m for m in ('torch', 'jax', 'cupy', 'scipy', 'numba', 'flint', 'matplotlib') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
