"""LAPACK and blocks in the place of the generic products of reflections: the same numbers but for rounding.

Units. A reflection of a vector x commits at most (m + 4) eps |x|: an inner product of m terms, |tau| |v|^2 <= 2. So k
of them, none of which lengthens x, are off by at most k (m + 4) eps |x|, both ways of computing together by twice that.
The derivative by a reflector is a sum over two of these times 2 |tau| |v|, of matrices that are off by as much.
"""

from __future__ import annotations

import numpy as np
import pytest
from backends import gaussian, norm

from orthoref import (
    householder_apply,
    householder_apply_vjp,
    householder_product,
    householder_product_vjp,
    kernels,
)

pytestmark = pytest.mark.sample(6)
DTYPES = ["float32", "float64", "complex64", "complex128"]
SHAPES = [(1, 1), (5, 3), (6, 6), (70, 66), (130, 129)]  # more than one, two blocks of reflections
FORMS = [
    {},
    {"order": "backward"},
    {"storage": "below"},
    {"tau": True},
    {"tau": True, "order": "backward"},
    {"tau": True, "storage": "full"},
]


def draw(m, k, dtype, tau=False, storage=None, **options):
    """Unit vectors or LAPACK's form; a reflection that is dropped and a singular one."""
    v = gaussian((m, k), dtype, 1)
    if not tau:
        v[:, 0] = 0
        return v, None, options | ({"storage": storage} if storage else {})
    full = v if storage == "full" else np.tril(v, -1) + np.eye(m, k)
    square = np.sum(abs(full) ** 2, axis=0)
    t = (2 / square).astype(dtype)
    t[0] = 0
    t[-1] = 1 / square[-1]
    return v, t, options | ({"storage": storage} if storage else {})


def unit(m, k, dtype):
    return 2 * k * (m + 4) * float(np.finfo(dtype).eps)


def both(f, *args, **options):
    return (f(*args, **options, impl=impl) for impl in ("kernel", "generic"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products(shape, form, dtype):
    m, k = shape
    v, tau, options = draw(m, k, dtype, **form)
    for columns in {None, 0, 1, min(m, k + 1), k}:
        twin, generic = both(householder_product, v, tau, columns=columns, **options)
        assert twin.dtype == generic.dtype and twin.shape == generic.shape
        assert norm(twin - generic) <= unit(m, k, dtype) * max(1, generic.shape[1]) ** 0.5


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_applications(side, adjoint, form, dtype):
    m, k = 70, 66
    v, tau, options = draw(m, k, dtype, **form)
    x = gaussian((m, 3) if side == "left" else (3, m), dtype, 5)
    twin, generic = both(householder_apply, v, x, tau, side=side, adjoint=adjoint, **options)
    assert twin.dtype == generic.dtype and norm(twin - generic) <= unit(m, k, dtype) * norm(x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("shape", SHAPES[:4], ids=str)
def test_adjoints(shape, form, dtype):
    m, k = shape
    v, tau, options = draw(m, k, dtype, **form)
    q_bar, x, y_bar = gaussian((m, k), dtype, 6), gaussian((m, 2), dtype, 7), gaussian((m, 2), dtype, 8)
    below = options.get("storage", "full" if tau is None else "below") == "below"
    lengths = np.linalg.norm(np.tril(v, -1) + np.eye(m, k) if below else v, axis=0)
    shortest = np.min(lengths, where=lengths > 0, initial=1)
    factor = 2 * max(1 / shortest, np.max(lengths) * (1 if tau is None else np.max(abs(tau))), np.max(lengths) ** 2) * k
    for f, args, size in (
        (householder_product_vjp, (v, q_bar, tau), norm(q_bar)),
        (householder_apply_vjp, (v, x, y_bar, tau), norm(x) * norm(y_bar)),
    ):
        twin, generic = both(f, *args, **options)
        assert (twin.tau_bar is None) == (tau is None)
        for a, b in zip(twin, generic, strict=True):
            if a is not None:
                assert a.dtype == b.dtype and a.shape == b.shape
                assert norm(a.ravel() - b.ravel()) <= 4 * unit(m, k, dtype) * factor * size


def test_swaps_to_the_last_bit():
    """I - (e_i - e_j)(e_i - e_j)^T exchanges i and j: all numbers are integers."""
    rng = np.random.default_rng(0)
    m, k = 70, 66
    v = np.zeros((m, k))
    swaps = [rng.choice(m, 2, replace=False) for _ in range(k)]
    for column, (i, j) in zip(v.T, swaps, strict=True):
        column[i], column[j] = 1, -1
    expected = np.eye(m)
    for i, j in swaps:
        expected[:, [i, j]] = expected[:, [j, i]]
    for q in both(householder_product, v, np.ones(k), storage="full"):
        assert np.array_equal(q, expected)
    x = rng.integers(-8, 9, (m, 5)) / 4
    for y in both(householder_apply, v, x, np.ones(k), storage="full", adjoint=True):
        assert np.array_equal(y, expected.T @ x)


def test_layouts_and_inputs_that_stay():
    v, tau, _ = draw(40, 30, "complex128", tau=True)
    x = gaussian((40, 4), "complex128", 9)
    expected = householder_apply(v, x, tau, impl="kernel")
    given = [np.asfortranarray(v), np.repeat(x, 2, axis=0)[::2], np.repeat(tau, 3)[::3]]
    for one in given:
        one.flags.writeable = False
    assert norm(householder_apply(*given, impl="kernel") - expected) <= unit(40, 30, "float64") * norm(x)
    assert np.array_equal(
        householder_product(given[0], given[2], impl="kernel"), householder_product(v, tau, impl="kernel")
    )


def test_empty_and_refused():
    for shape in ((0, 0), (3, 0)):
        assert np.array_equal(householder_product(np.zeros(shape), impl="kernel"), np.eye(shape[0]))
    with pytest.raises(ValueError, match="single matrices"):
        householder_product(np.zeros((2, 3, 2)), impl="kernel")
    with pytest.raises(ValueError, match="impl='lapack'"):
        householder_product(np.zeros((3, 2)), impl="lapack")


def test_auto_takes_it_for_large_matrices():
    assert kernels.find("reflectors.product", np.zeros((128, 127)), "auto") is None
    assert kernels.find("reflectors.product", np.zeros((128, 128)), "auto") is not None
    assert kernels.find("reflectors.product", np.zeros((2, 128, 128)), "auto") is None
