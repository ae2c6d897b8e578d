"""What holds for every penalty: value, gradient and Hessian against 400 bits, stacks, layouts, libraries, sizes."""

import numpy as np
import pytest
from backends import BACKENDS, NUMPY, late, norm
from penalty_rows import DEGREES, ROWS, draw, truth

from orthoref import OutsideDomain

DTYPES = ("float32", "float64", "complex64", "complex128")
over_rows = pytest.mark.parametrize("row", ROWS, ids=str)
CASES = [pytest.param(i, row, dtype, id=f"{row}-{dtype}") for i, row in enumerate(ROWS) for dtype in DTYPES]
SEED = 3
TIED = ("mutual_coherence", "mutual_coherence_induced", "spectral_restricted_isometry")


def inner(x, y):
    return float(np.sum(np.conj(x).astype("complex128") * y).real)


@pytest.mark.parametrize(("i", "row", "dtype"), CASES)
def test_against_400_bits(i, row, dtype):
    pytest.importorskip("flint", reason="python-flint gives the reference")
    w, v, extra = row.draw(dtype, SEED), draw(row.shape, dtype, SEED + 1), row.extra((), dtype)
    value, along = truth(i, dtype.startswith("complex"), SEED)
    of_value, of_gradient, of_hessian = row.limits(w, dtype)
    got = row.value(w, extra)
    assert got.shape == () and got.dtype == w.real.dtype
    assert abs(float(got) - value) <= of_value
    found = row.gradient(w, extra)
    assert found.dtype == w.dtype and found.shape == w.shape
    bent = row.hvp(w, v, extra)
    assert bent.dtype == w.dtype and bent.shape == w.shape
    for g, first, second in along:
        assert abs(inner(g, found) - first) <= of_gradient * norm(g)
        assert abs(inner(g, bent) - second) <= of_hessian * norm(v) * norm(g)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@over_rows
def test_the_hessian_is_symmetric(row, dtype):
    w, v, u = row.draw(dtype, SEED), *(draw(row.shape, dtype, SEED + k) for k in (1, 2))
    extra = row.extra((), dtype)
    limit = row.limits(w, dtype)[2] * norm(u) * norm(v)
    assert abs(inner(u, row.hvp(w, v, extra)) - inner(v, row.hvp(w, u, extra))) <= 2 * limit


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@over_rows
def test_batched_is_stacked(row, dtype):
    w, v = row.draw(dtype, SEED, (2, 3)), draw((2, 3, *row.shape), dtype, SEED + 9)
    extra = row.extra((2, 3), dtype)
    together = row.value(w, extra), row.gradient(w, extra), row.hvp(w, v, extra)
    for at in np.ndindex(2, 3):
        one = tuple(z[at] for z in extra)
        alone = row.value(w[at], one), row.gradient(w[at], one), row.hvp(w[at], v[at], one)
        limits = row.limits(w[at], dtype)
        assert abs(together[0][at] - alone[0]) <= limits[0]
        assert norm(together[1][at] - alone[1]) <= limits[1]
        assert norm(together[2][at] - alone[2]) <= limits[2] * norm(v[at])


@over_rows
def test_layouts_and_inputs_that_stay(row):
    dtype = "complex128"
    w, v, extra = row.draw(dtype, SEED), draw(row.shape, dtype, SEED + 1), row.extra((), dtype)

    def strided(x):
        y = np.zeros(tuple(2 * s for s in x.shape), x.dtype, order="F")
        y[::2, ::2] = x
        y = y[::2, ::2]
        y.flags.writeable = False
        return y

    a, b = strided(w), strided(v)
    before = a.tobytes(), b.tobytes()
    limits = row.limits(w, dtype)
    assert abs(row.value(a, extra) - row.value(w, extra)) <= limits[0]
    assert norm(row.gradient(a, extra) - row.gradient(w, extra)) <= limits[1]
    assert norm(row.hvp(a, b, extra) - row.hvp(w, v, extra)) <= limits[2] * norm(v)
    assert before == (a.tobytes(), b.tobytes())


@pytest.mark.sample(6)
@pytest.mark.parametrize("backend", [late(backend) for backend in BACKENDS if backend is not NUMPY], indirect=True)
@over_rows
def test_other_libraries(row, backend):
    for dtype in (d for d in ("float32", "complex128") if d in backend.dtypes):
        w, v = row.draw(dtype, SEED, (2,)), draw((2, *row.shape), dtype, SEED + 1)
        extra = row.extra((2,), dtype)
        a, b, *more = (backend.asarray(x) for x in (w, v, *extra))
        got = row.value(a, more), row.gradient(a, more), row.hvp(a, b, more)
        assert all(type(x) is type(a) for x in got)
        limits = [sum(pair) for pair in zip(*(row.limits(x, dtype) for x in w), strict=True)]
        limits[2] *= norm(v)
        for x, y, limit in zip(
            got, (row.value(w, extra), row.gradient(w, extra), row.hvp(w, v, extra)), limits, strict=True
        ):
            x = backend.to_numpy(x)
            assert x.dtype == y.dtype and x.shape == y.shape and norm(x - y) <= limit


@over_rows
def test_what_is_refused(row):
    w, v, extra = draw(row.shape, "float64", SEED), draw(row.shape, "float64", SEED + 1), row.extra((), "float64")
    for bad in (np.nan, np.inf):
        broken = w.copy()
        broken[0, 0] = bad
        for call in (lambda x: row.value(x, extra), lambda x: row.gradient(x, extra), lambda x: row.hvp(x, v, extra)):
            with pytest.raises(OutsideDomain, match="w has"):
                call(broken)
        with pytest.raises(OutsideDomain, match="w_dot has"):
            row.hvp(w, broken, extra)
    for wrong in (w.tolist(), w.astype("float16"), w.astype("int64"), np.ma.masked_array(w)):
        with pytest.raises(TypeError):
            row.value(wrong, extra)
    with pytest.raises(ValueError, match="w_dot has shape"):
        row.hvp(w, v[:-1], extra)
    if "gram" in row.options:
        with pytest.raises(ValueError, match="gram='both' is not one of"):
            type(row)(row.name, row.hp, row.slopes, row.options | {"gram": "both"}).value(w, extra)


OF_ORDER = {  # (NOTHING) the value at a Gram matrix of zeros of order k
    "soft_orthogonality": np.sqrt,
    "soft_orthogonality_squared": float,
    "gain_adjusted": float,
    "off_diagonal": lambda k: 0.0,
    "mutual_coherence": lambda k: 1.0,
    "mutual_coherence_induced": lambda k: 1.0,
    "absolute_sum": float,
    "spectral_restricted_isometry": lambda k: 1.0,
    "spectral_restricted_isometry_power": lambda k: 1.0,
    "double_soft_orthogonality": np.sqrt,
    "double_soft_orthogonality_squared": float,
}


@over_rows
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 3), (0, 0)], ids=str)
def test_matrices_without_entries(row, shape):
    m, n = shape[-2:]
    w, gram = np.zeros(shape), row.options.get("gram")
    k = {"columns": n, "rows": m, "smaller": 0, None: m + n}[gram]
    extra = (np.ones((*shape[:-2], k)),) if row.start else ()
    if k and row.name in ("scale_free", "cosine"):
        with pytest.raises(OutsideDomain):
            row.value(w, extra)
    else:
        of_order = OF_ORDER.get(row.name, lambda k: k * row.options["gain"] ** 4 if "gain" in row.options else 0.0)
        value = row.value(w, extra)
        assert value.shape == shape[:-2] and value.dtype == w.dtype
        assert np.allclose(value, of_order(k) if k else 0.0, rtol=1e-15, atol=0)
    for derivative in (row.gradient(w, extra), row.hvp(w, w, extra)):
        assert derivative.shape == shape and derivative.dtype == w.dtype


@over_rows
def test_empty_stacks(row):
    w, extra = np.zeros((0, 2, *row.shape)), row.extra((0, 2), "float64")
    assert row.value(w, extra).shape == (0, 2)
    assert row.gradient(w, extra).shape == row.hvp(w, w, extra).shape == w.shape


def times(x, exponent):
    """X 2^exponent."""
    with np.errstate(over="ignore"):
        if np.iscomplexobj(x):
            y = np.empty_like(x)
            y.real, y.imag = np.ldexp(x.real, exponent), np.ldexp(x.imag, exponent)
            return y
        return np.ldexp(x, exponent)


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("where", ["large", "small"])
@over_rows
def test_sizes_at_the_ends_of_the_format(row, where, dtype):
    """Powers of two go through to the last bit, whatever overflows or underflows on the way.

    Where the identity is nothing beside W, or W beside it, all are homogeneous: what is known at 2^70 W says what
    is right near the end of the format, or that the result overflows and has to be refused.
    """
    info, of_value, single = np.finfo(dtype), DEGREES[row.name], dtype == "float32"
    near = (20 if of_value[0] == 4 else 40) if single else 70
    far = info.maxexp - 3 if where == "large" else -12 - info.minexp
    if where == "small":
        near, far = -near, -far
    degrees = tuple(of_value[0] - k for k in range(3)) if where == "large" else of_value[1]
    w, v, extra = row.draw(dtype, SEED), draw(row.shape, dtype, SEED + 1), row.extra((), dtype)
    base, middle, end = (times(w, k) for k in (near, near + (7 if where == "large" else -7), far))
    if row.name == "distance_squared" and row.shape == (1, 1) and single:
        degrees = (*degrees[:2], 0)  # the polar factor of a real number does not move
    calls = lambda x: row.value(x, extra), lambda x: row.gradient(x, extra), lambda x: row.hvp(x, v, extra)
    for call, degree in zip(calls, degrees, strict=True):
        if where == "small" and call is calls[2] and row.name in TIED and 1 not in row.shape:
            for x in (base, end):  # only the identity is left
                with pytest.raises(OutsideDomain, match="only one"):
                    call(x)
            continue
        expected = call(base)
        assert np.array_equal(call(middle), times(expected, 7 * degree if where == "large" else -7 * degree))
        expected = times(expected, degree * (far - near))
        if np.all(np.isfinite(expected)):
            assert np.array_equal(call(end), expected)
        else:
            with pytest.raises(OutsideDomain, match="overflows"):
                call(end)
