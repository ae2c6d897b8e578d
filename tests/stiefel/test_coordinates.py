"""Coordinates of tangents: orthonormal in the metric, round trips, derivatives against 400 bits.

Every result is a sum of products of matrices of norm at most 2: 10 max(n, 8) eps of the sizes of the arguments, times
max(beta, 1/beta)^(1/2), and for derivatives along x times the derivative 1/(s_p + s_{p-1}) of the polar factor of the
first p rows.
"""

import numpy as np
import pytest
import stiefel_truth as truth
from backends import BACKENDS, gaussian, late, norm
from exact import adjoint_hp
from stiefel_truth import DTYPES, METRICS, SHAPES, axis_aligned, beta, dtypes_of, point, tangent

from orthoref import OutsideDomain, stiefel


def unit(x, metric="euclidean"):
    stretch = max(beta(metric), 1 / beta(metric)) ** 0.5
    return 10 * max(x.shape[-2], 8) * float(np.finfo(x.dtype).eps) * stretch


def field(dtype):
    return "complex" if dtype.startswith("complex") else "real"


def numbers(x, seed):
    d = stiefel.dimension(*x.shape[-2:], field(x.dtype.name))
    return gaussian((*x.shape[:-2], d), x.real.dtype.name, seed)


def bend(x):
    """An upper bound of the derivative of the basis by X."""
    if x.shape[-1] == x.shape[-2]:
        return 1.0
    return 1 + 4 / float(np.linalg.svd(x[..., : x.shape[-1], :].astype("complex128"))[1].min())


@pytest.mark.parametrize(
    ("n", "p", "name", "expected"),
    [(5, 3, "real", 9), (5, 3, "complex", 21), (4, 4, "real", 6), (4, 4, "complex", 16), (4, 1, "real", 3),
     (4, 1, "complex", 7), (1, 1, "real", 0), (4, 0, "real", 0), (0, 0, "complex", 0)],
)  # fmt: skip
def test_dimension(n, p, name, expected):
    assert stiefel.dimension(n, p, name) == expected


@pytest.mark.parametrize(("n", "p", "name"), [(2, 3, "real"), (2, -1, "real"), (3, 2, "Real")])
def test_wrong_dimension(n, p, name):
    with pytest.raises(ValueError, match=r"no -?\d orthonormal columns|^field="):
        stiefel.dimension(n, p, name)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("c", [1.0, 3.0])
def test_round_trips_and_orthonormality(dtype, metric, c):
    for shape in SHAPES:
        for x in (point(shape, dtype, 1, c), axis_aligned(shape, dtype, 2, c)):
            v, w, z = tangent(x, 3, c), tangent(x, 4, c), numbers(x, 5)
            a, b = stiefel.vector(x, v, metric, scale=c), stiefel.vector(x, w, metric, scale=c)
            assert a.shape == z.shape and a.dtype == x.real.dtype
            assert norm(stiefel.unvector(x, a, metric, scale=c) - v) <= unit(x, metric) ** 1 * norm(v)
            u = stiefel.unvector(x, z, metric, scale=c)
            assert norm(stiefel.vector(x, u, metric, scale=c) - z) <= unit(x, metric) * norm(z)
            size = (1 + beta(metric)) * norm(v) * norm(w)
            assert abs(a @ b - stiefel.inner(x, v, w, metric, scale=c)) <= unit(x, metric) * size
            assert norm(stiefel.project(x, u, scale=c) - u) <= unit(x) * norm(u)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_basis_at_the_first_columns_of_the_identity(dtype):
    """X = [I; 0], S = I: the coordinates are the entries."""
    x, v = np.eye(4, 2, dtype=dtype), tangent(np.eye(4, 2, dtype=dtype), 1)
    z = stiefel.vector(x, v, "canonical")
    low, rest = v[1, 0], v[2:].ravel()
    expected = [low.real, *rest] if dtype == "float64" else [
        *(np.diagonal(v[:2]).imag / 2**0.5), low.real, low.imag, *rest.real, *rest.imag
    ]  # fmt: skip
    np.testing.assert_allclose(z, expected, rtol=0, atol=1e-15 * norm(v))


def exact_vector(x, v, metric, number):
    """The formula with the complement written out: the block reflector as an n x n matrix."""
    flint = truth.flint
    xh, b = adjoint_hp(x), flint.arb(beta(metric)).sqrt()
    a = truth.skew(xh * v)
    n, p = x.nrows(), x.ncols()
    low = [a[i, j] for i in range(p) for j in range(i)]
    two = flint.arb(2).sqrt() * b
    parts = [z.real * two for z in low]
    if number == "complex":
        parts = [a[i, i].imag * b for i in range(p)] + parts + [z.imag * two for z in low]
    if n > p:
        rest = adjoint_hp(complement(x)) * v
        parts += [z.real for z in rest.entries()]
        if number == "complex":
            parts += [z.imag for z in rest.entries()]
    return flint.acb_mat([[flint.acb(z)] for z in parts])


def complement(x):
    flint, n, p = truth.flint, x.nrows(), x.ncols()
    one = flint.acb_mat([[x[i, j] for j in range(p)] for i in range(p)])
    s = truth.polar_factor(one)
    y = flint.acb_mat([[x[i, j] + (s[i, j] if i < p else 0) for j in range(p)] for i in range(n)])
    middle = (truth.eye(p) + adjoint_hp(s) * one).inv()
    reflector = truth.eye(n) - y * middle * adjoint_hp(y)
    return flint.acb_mat([[reflector[i, j] for j in range(p, n)] for i in range(n)])


@pytest.mark.parametrize("metric", ["euclidean", 1.5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_vector_and_its_derivative_in_400_bits(dtype, metric):
    pytest.importorskip("flint", reason="python-flint gives the reference")
    for shape in ((5, 3), (3, 3), (4, 1)):
        x = point(shape, dtype, 1)
        v, d = tangent(x, 3), [gaussian(shape, dtype, 5), gaussian(shape, dtype, 6)]

        def f(x, v):
            return exact_vector(x, v, metric, field(dtype))

        got = stiefel.vector(x, v, metric)
        expected = truth.value(f, (x, v), (1, 1))
        assert norm(got - expected[:, 0]) <= unit(x, metric) * norm(v)
        got = stiefel.vector_jvp(x, v, *d, metric)
        expected = truth.derivative(f, (x, v), d, (1, 1))
        limit = unit(x, metric) * (norm(d[1]) + bend(x) ** 2 * norm(d[0]) * norm(v))
        assert norm(got - expected[:, 0]) <= limit


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_complement(dtype):
    """[X, Z] is unitary, also where the first rows of X vanish."""
    for x in (point((5, 2), dtype, 1), axis_aligned((5, 2), dtype, 2), np.eye(5, 2, -3).astype(dtype)):
        n, p = x.shape
        d = stiefel.dimension(n, p, field(dtype))
        count = (n - p) * p
        first = d - (2 if field(dtype) == "complex" else 1) * count
        z = np.hstack(
            [
                stiefel.unvector(x, np.eye(d, dtype=x.real.dtype)[first + p * i], "euclidean")[:, :1]
                for i in range(n - p)
            ]
        )
        q = np.hstack([x, z])
        assert norm(q.conj().T @ q - np.eye(n)) <= unit(x)


@pytest.mark.parametrize("metric", ["canonical", -0.75])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("c", [1.0, 3.0])
def test_adjoint_identities(dtype, metric, c):
    for shape in SHAPES:
        x = point(shape, dtype, 1, c)
        v, z, z_dot = tangent(x, 3, c), numbers(x, 4), numbers(x, 5)
        d, bar, z_bar = [gaussian(shape, dtype, 6 + i) for i in range(2)], gaussian(shape, dtype, 8), numbers(x, 9)
        pulled = stiefel.vector_vjp(x, v, z_bar, metric, scale=c)
        back = stiefel.unvector_vjp(x, z, bar, metric, scale=c)
        assert pulled._fields == ("x_bar", "v_bar") and back._fields == ("x_bar", "coordinates_bar")
        for i in range(2):
            e = [d[j] if j == i else np.zeros_like(d[j]) for j in range(2)]
            left = float(stiefel.vector_jvp(x, v, *e, metric, scale=c) @ z_bar)
            size = norm(e[1]) + bend(x / c) ** 2 * norm(e[0]) / c * norm(v)
            assert abs(left - np.vdot(d[i], pulled[i]).real) <= unit(x, metric) * size * norm(z_bar), (shape, i)
            e = (d[0], 0 * z_dot) if i == 0 else (0 * d[0], z_dot)
            left = np.vdot(stiefel.unvector_jvp(x, z, *e, metric, scale=c), bar).real
            right = np.vdot(d[0], back.x_bar).real if i == 0 else float(z_dot @ back.coordinates_bar)
            size = norm(e[1]) + bend(x / c) ** 2 * norm(e[0]) / c * norm(z)
            assert abs(left - right) <= unit(x, metric) ** 1 * size * norm(bar), (shape, i)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_derivatives_belong_to_inverse_maps(dtype):
    """vector(x, unvector(x, z)) = z for all x: the derivatives along the manifold cancel."""
    for shape in SHAPES:
        x, metric = point(shape, dtype, 1), "canonical"
        z, z_dot, x_dot = numbers(x, 4), numbers(x, 5), tangent(x, 6)
        v = stiefel.unvector(x, z, metric)
        v_dot = stiefel.unvector_jvp(x, z, x_dot, z_dot, metric)
        got = stiefel.vector_jvp(x, v, x_dot, v_dot, metric)
        assert norm(got - z_dot) <= unit(x, metric) * (norm(z_dot) + bend(x) ** 2 * norm(x_dot) * norm(z))


@pytest.mark.parametrize("backend", [late(backend) for backend in BACKENDS], indirect=True)
def test_every_namespace(backend):
    for dtype in dtypes_of(backend):
        x = point((2, 4, 2), dtype)
        v, z, d = tangent(x, 1), numbers(x, 2), gaussian(x.shape, dtype, 3)
        at = [backend.asarray(a) for a in (x, v, z, d)]
        for call in (
            lambda x, v, z, d: [stiefel.vector(x, v, 1.0)],
            lambda x, v, z, d: [stiefel.unvector(x, z, 1.0)],
            lambda x, v, z, d: [stiefel.vector_jvp(x, v, d, d, 1.0), stiefel.unvector_jvp(x, z, d, z, 1.0)],
            lambda x, v, z, d: [*stiefel.vector_vjp(x, v, z, 1.0), *stiefel.unvector_vjp(x, z, d, 1.0)],
        ):
            for got, expected in zip(call(*at), call(x, v, z, d), strict=True):
                assert type(got) is type(at[0]) and getattr(got, "device", None) == getattr(at[0], "device", None)
                got = backend.to_numpy(got)
                assert got.dtype == expected.dtype and got.shape == expected.shape
                assert norm(got - expected) <= 100 * unit(x) * norm(expected)


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
def test_stack(dtype):
    x = point((2, 3, 5, 2), dtype)
    v, z, d, bar = tangent(x, 1), numbers(x, 2), gaussian(x.shape, dtype, 3), numbers(x, 4)
    for call in (
        lambda x, v, z, d, bar: [stiefel.vector(x, v, 1.0), stiefel.unvector(x, z, 1.0)],
        lambda x, v, z, d, bar: [stiefel.vector_jvp(x, v, d, d, 1.0), stiefel.unvector_jvp(x, z, d, z, 1.0)],
        lambda x, v, z, d, bar: [*stiefel.vector_vjp(x, v, bar, 1.0), *stiefel.unvector_vjp(x, z, d, 1.0)],
    ):
        for index in np.ndindex(2, 3):
            alone = call(*(a[index] for a in (x, v, z, d, bar)))
            for whole, one in zip(call(x, v, z, d, bar), alone, strict=True):
                assert norm(whole[index] - one) <= unit(x) * norm(one) * bend(x[index])


@pytest.mark.parametrize("k", [-1000, 1000])
def test_tiny_and_huge(k):
    x = point((4, 2), "float64")
    v, z = tangent(x, 1), numbers(x, 2)
    np.testing.assert_array_equal(stiefel.vector(x, v * 2.0**k, 1.0), stiefel.vector(x, v, 1.0) * 2.0**k)
    np.testing.assert_array_equal(stiefel.unvector(x, z * 2.0**k, 1.0), stiefel.unvector(x, z, 1.0) * 2.0**k)


@pytest.mark.parametrize("shape", [(0, 0), (4, 0), (0, 4, 2), (2, 3, 0)])
def test_empty(shape):
    x = np.zeros(shape, "complex64")
    d = stiefel.dimension(*shape[-2:], "complex")
    z = np.zeros((*shape[:-2], d), "float32")
    assert stiefel.vector(x, x, 1.0).shape == z.shape == stiefel.vector_jvp(x, x, x, x, 1.0).shape
    assert stiefel.vector(x, x, 1.0).dtype == z.dtype
    assert stiefel.unvector(x, z, 1.0).shape == shape == stiefel.unvector_jvp(x, z, x, z, 1.0).shape
    assert [a.shape for a in stiefel.vector_vjp(x, x, z, 1.0)] == [shape, shape]
    assert [a.shape for a in stiefel.unvector_vjp(x, z, x, 1.0)] == [shape, z.shape]


def test_refused():
    x = point((2, 4, 2))
    v, z = tangent(x, 1), numbers(x, 2)
    with pytest.raises(OutsideDomain, match="v is not tangent"):
        stiefel.vector(x, v + 1e-9 * x, 1.0)
    with pytest.raises(OutsideDomain, match="x is not on the manifold"):
        stiefel.unvector(2 * x, z, 1.0)
    with pytest.raises(ValueError, match=r"^coordinates has shape \(5,\), the other arguments imply \(2, 5\)"):
        stiefel.unvector(x, z[0], 1.0)
    with pytest.raises(TypeError, match="coordinates must be an array"):
        stiefel.unvector(x, [1.0], 1.0)
    with pytest.raises(TypeError, match="differ in dtype"):
        stiefel.unvector(x, z + 0j, 1.0)
    with pytest.raises(OutsideDomain, match="y_bar has nan"):
        stiefel.vector_vjp(x, v, z * np.nan, 1.0)


def test_no_derivative_where_the_basis_jumps():
    x = np.eye(5, 2, -3)  # the first two rows vanish
    v, z = tangent(x, 1), numbers(x, 2)
    for call in (
        lambda: stiefel.vector_jvp(x, v, x, x, 1.0),
        lambda: stiefel.vector_vjp(x, v, z, 1.0),
        lambda: stiefel.unvector_jvp(x, z, x, z, 1.0),
        lambda: stiefel.unvector_vjp(x, z, x, 1.0),
    ):
        with pytest.raises(
            OutsideDomain, match="the basis has no derivative at x, a = its first 2 rows: u is not diff"
        ):
            call()
