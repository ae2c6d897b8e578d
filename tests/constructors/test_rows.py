"""What holds for every constructor: values and derivatives against 400 bits, adjoints, stacks, layouts, libraries.

Limits. A function that commits n eps in each of its terms errs by a multiple of n eps times `size`, the bound on
the sum of the terms of the derivative that the table states with every row; ten as everywhere.
"""

import numpy as np
import pytest
from backends import BACKENDS, NUMPY, ct, gaussian, late, norm
from constructor_rows import ROWS, derivative_hp, inner, tuple_of, value_hp

from orthoref import OutsideDomain

pytestmark = pytest.mark.sample(4)

over_rows = pytest.mark.parametrize("row", ROWS, ids=str)
CASES = [pytest.param(row, dtype, id=f"{row}-{dtype}") for row in ROWS for dtype in row.dtypes]
over_cases = pytest.mark.parametrize(("row", "dtype"), CASES)
DOUBLE = [case for case in CASES if case.values[1] in ("float64", "complex128")]


def limit(row, dtype, size):
    return 10 * row.n * float(np.finfo(dtype).eps) * size


def cotangents(values, seed=50):
    return tuple(gaussian(y.shape, y.dtype.name, seed + i) for i, y in enumerate(values))


@over_cases
def test_value_and_derivative_against_400_bits(row, dtype):
    pytest.importorskip("flint", reason="python-flint gives the reference")
    xs, dots = row.draw((), dtype, 1)
    size = row.size(xs, dots)
    for got, truth in zip(tuple_of(row.f(*xs)), value_hp(row.hp, xs), strict=True):
        assert norm(got - truth.reshape(got.shape)) <= limit(row, dtype, row.size(xs, xs) + norm(truth))
    for got, truth in zip(tuple_of(row.jvp(xs, dots)), derivative_hp(row.hp, xs, dots), strict=True):
        assert np.finfo(got.dtype).eps == np.finfo(dtype).eps
        assert norm(got - truth.reshape(got.shape)) <= limit(row, dtype, size)


@over_cases
def test_adjoint(row, dtype):
    xs, dots = row.draw((2,), dtype, 11)
    pushed = tuple_of(row.jvp(xs, dots))
    bars = cotangents(pushed)
    pulled = tuple_of(row.vjp(xs, bars))
    for x, x_bar in zip(xs, pulled, strict=True):
        assert x_bar.shape == x.shape and x_bar.dtype == x.dtype
    size = sum(row.size(tuple(x[i] for x in xs), tuple(e[i] for e in dots)) for i in range(2))
    assert abs(inner(bars, pushed) - inner(pulled, dots)) <= limit(row, dtype, size * sum(map(norm, bars)))


@pytest.mark.parametrize(("row", "dtype"), DOUBLE)
def test_batched_is_stacked(row, dtype):
    xs, dots = row.draw((2, 3), dtype, 21)
    bars = cotangents(tuple_of(row.f(*xs)))
    for f, arguments in ((lambda *z: row.f(*z[0]), (xs,)), (row.jvp, (xs, dots)), (row.vjp, (xs, bars))):
        together = tuple_of(f(*arguments))
        for i in np.ndindex(2, 3):
            alone = tuple_of(f(*(tuple(x[i] for x in one) for one in arguments)))
            size = row.size(tuple(x[i] for x in xs), tuple(e[i] for e in dots)) + row.size(
                *(tuple(x[i] for x in xs),) * 2
            )
            for x, y in zip(together, alone, strict=True):
                assert x[i].shape == y.shape
                assert norm(x[i] - y) <= limit(row, dtype, (size + norm(y)) * (1 + sum(norm(z[i]) for z in bars)))


@pytest.mark.parametrize(("row", "dtype"), DOUBLE)
def test_layouts_and_inputs_that_stay(row, dtype):
    """Strided, transposed and read-only memory: the result is the same up to the rounding of other BLAS routines."""
    xs, dots = row.draw((), dtype, 31)
    size = row.size(xs, dots) + row.size(xs, xs)

    def strided(x):
        y = np.zeros((*x.shape[:-2], *(2 * s for s in x.shape[-2:])), x.dtype, order="F")
        y[(..., *(slice(None, None, 2),) * min(x.ndim, 2))] = x
        y = y[(..., *(slice(None, None, 2),) * min(x.ndim, 2))]
        y.flags.writeable = False
        return y

    for f, arguments in ((lambda z: row.f(*z), (xs,)), (row.jvp, (xs, dots))):
        moved = tuple(tuple(map(strided, one)) for one in arguments)
        before = [[x.tobytes() for x in one] for one in moved]
        for x, y in zip(tuple_of(f(*moved)), tuple_of(f(*arguments)), strict=True):
            assert norm(x - y) <= limit(row, dtype, size + norm(y))
        assert before == [[x.tobytes() for x in one] for one in moved]


@pytest.mark.parametrize("backend", [late(backend) for backend in BACKENDS if backend is not NUMPY], indirect=True)
@over_rows
def test_other_libraries(row, backend):
    """Array type and dtype in = out, and the numbers of NumPy but for rounding."""
    for dtype in (d for d in ("float32", "complex128") if d in row.dtypes and d in backend.dtypes):
        xs, dots = row.draw((2,), dtype, 41)
        bars = cotangents(tuple_of(row.f(*xs)))
        size = sum(row.size(tuple(x[i] for x in xs), tuple(e[i] for e in dots)) for i in range(2)) + sum(map(norm, xs))
        for f, arguments in ((lambda *z: row.f(*z[0]), (xs,)), (row.jvp, (xs, dots)), (row.vjp, (xs, bars))):
            given = tuple(tuple(map(backend.asarray, one)) for one in arguments)
            for x, y in zip(tuple_of(f(*given)), tuple_of(f(*arguments)), strict=True):
                assert type(x) is type(given[0][0])
                x = backend.to_numpy(x)
                assert x.dtype == y.dtype and x.shape == y.shape
                assert norm(x - y) <= limit(row, dtype, (size + norm(y)) * (1 + sum(map(norm, bars))))


@over_rows
def test_what_is_refused(row):
    dtype = row.dtypes[0]
    xs, dots = row.draw((), dtype, 1)
    bars = cotangents(tuple_of(row.f(*xs)))
    for k in range(len(xs)):
        for bad in (np.nan, np.inf) if xs[k].size else ():
            broken = np.array(xs[k])
            broken.ravel()[:1] = bad
            for f, arguments in ((lambda z: row.f(*z), ()), (row.jvp, (dots,)), (row.vjp, (bars,))):
                with pytest.raises(OutsideDomain):
                    f((*xs[:k], broken, *xs[k + 1 :]), *arguments)
        like = xs[k].real
        for wrong in (xs[k].tolist(), *(like.astype(d) for d in ("int64", "float16")), np.ma.masked_array(xs[k])):
            with pytest.raises(TypeError):
                row.f(*xs[:k], wrong, *xs[k + 1 :])
        if xs[k].size and xs[k].ndim:
            with pytest.raises((TypeError, ValueError)):
                row.jvp(xs, (*dots[:k], dots[k][..., :0], *dots[k + 1 :]))
    with pytest.raises((TypeError, ValueError)):
        row.vjp(xs, (bars[0][..., :0, :0] if bars[0].ndim > 1 else bars[0][..., None, None], *bars[1:]))


@over_rows
def test_empty_stacks(row):
    xs, dots = row.draw((0, 2), row.dtypes[0], 1)
    values = tuple_of(row.f(*xs))
    assert all(y.shape[:2] == (0, 2) for y in (*values, *tuple_of(row.jvp(xs, dots))))
    for x, x_bar in zip(xs, tuple_of(row.vjp(xs, cotangents(values))), strict=True):
        assert x_bar.shape == x.shape and x_bar.dtype == x.dtype


SKEW = ("cayley ", "cayley_neumann", "skew_exp", "vector_from_skew")
TANGENT = ("inverse_cayley", "skew_log", "householder_factor", "givens_factor")


@pytest.mark.parametrize(("row", "dtype"), [case for case in DOUBLE if case.values[0].name.startswith(SKEW + TANGENT)])
def test_cotangents_lie_in_their_space(row, dtype):
    """Of a skew-Hermitian argument skew-Hermitian, of a unitary one tangent, for every cotangent of the result."""
    xs, _ = row.draw((), dtype, 61)
    bars = cotangents(tuple_of(row.f(*xs)))
    (x,), (x_bar,) = xs, tuple_of(row.vjp(xs, bars))
    g = x_bar if row.name.startswith(SKEW) else ct(x) @ x_bar
    assert norm(g + ct(g)) <= limit(row, dtype, row.size(xs, (x_bar,)) * (1 + sum(map(norm, bars))))
