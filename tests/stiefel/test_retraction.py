"""Retractions against their definitions in 400 bits, their derivatives, and what every step must keep.

Limits. Q and U of B = X + V move by at most 2^(1/2) |dB|/sigma_p(B), and B is perturbed by n eps |B|: 10 n eps cond(B).
Their derivatives along E are bounded by 2^(1/2) |E|/sigma_p <= 2^(1/2) |E| (sigma_p >= 1 for tangent vectors), and
change by at most 6/sigma_p^2 for a unit of B: 10 n eps cond(B) |E|. Cayley and exp are functions of W, |W| <= 2 |V|,
f(W) unitary, f' at most 1: 10 n eps (1 + |V|). The derivative of W along E has norm <= 4 (1 + |V|) |E|, the second
derivative of f is at most 1: 10 n eps (1 + |V|)^2 |E|.
"""

import tracemalloc

import numpy as np
import pytest
from backends import JAX_LATE, NUMPY, ct, draw, gaussian, norm
from exact import residual
from retractions import SHAPES, condition, derivative_hp, inner, pair, point, tangent, value_hp

from orthoref import OutsideDomain
from orthoref.stiefel import geodesic, retraction
from orthoref.stiefel.retraction import retract, retract_jvp, retract_vjp

pytestmark = pytest.mark.sample(4)

METHODS = ["qr", "cholesky_qr", "polar", "cayley"]
METRICS = ["euclidean", "canonical", 0.7]
NAMES = METHODS + METRICS


def n_eps(x):
    return x.shape[-2] * float(np.finfo(x.dtype).eps)


def options(name):
    return {"method": name} if name in METHODS else {"method": "exp", "metric": name}


def limits(name, x, v):
    """Of the value, and of the derivative along a unit of direction."""
    if name in METHODS[:3]:
        return 10 * n_eps(x) * condition(x, v), 10 * n_eps(x) * condition(x, v)
    return 10 * n_eps(x) * (1 + norm(v)), 10 * n_eps(x) * (1 + norm(v)) ** 2


def defect(y):
    """|I - Y^H Y| without rounding."""
    return norm(residual(np.eye(y.shape[-1]), ct(y), y))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("dtype", "axis"), [("float32", False), ("float64", True), ("complex64", True), ("complex128", False)]
)
def test_against_the_definition_in_400_bits(shape, dtype, name, axis):
    pytest.importorskip("flint", reason="python-flint gives the reference")
    for size in (1e-8, 0.7, 10.0):
        x, v = pair(shape, dtype, size, axis=axis)
        directions = gaussian(shape, dtype, 5), gaussian(shape, dtype, 6)
        limit, derivative_limit = limits(name, x, v)
        assert norm(retract(x, v, **options(name)) - value_hp(name, x, v)) <= limit
        found = retract_jvp(x, v, *directions, **options(name))
        error = norm(found - derivative_hp(name, x, v, *directions))
        assert error <= derivative_limit * (norm(directions[0]) + norm(directions[1])), size


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [*SHAPES, (40, 9), (520, 2)])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_vjp_is_the_adjoint(shape, dtype, name):
    """Both sides carry the error of a derivative times the norm of the other factor."""
    for size in (1e-8, 1.0, 30.0):
        x, v = pair(shape, dtype, size, seed=10)
        x_dot, v_dot, y_bar = (gaussian(shape, dtype, seed) for seed in (11, 12, 13))
        x_bar, v_bar = retract_vjp(x, v, y_bar, **options(name))
        forward = inner(retract_jvp(x, v, x_dot, v_dot, **options(name)), y_bar)
        limit = 2 * limits(name, x, v)[1] * (norm(x_dot) + norm(v_dot)) * norm(y_bar)
        assert abs(forward - inner(x_dot, x_bar) - inner(v_dot, v_bar)) <= limit, size


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_formula_off_the_tangent_space(shape, dtype, name):
    """Unchecked, V is any matrix: the same formulas, value, derivative and adjoint."""
    pytest.importorskip("flint", reason="python-flint gives the reference")
    x, v = point(shape, dtype, 15), 0.3 * gaussian(shape, dtype, 16)
    x_dot, v_dot, y_bar = (gaussian(shape, dtype, seed) for seed in (17, 18, 19))
    limit, derivative_limit = (z * condition(x, v) for z in limits(name, x, v))  # X + V may shrink here
    how = options(name) | {"check": False}
    assert norm(retract(x, v, **how) - value_hp(name, x, v)) <= limit
    y_dot = retract_jvp(x, v, x_dot, v_dot, **how)
    size = derivative_limit * condition(x, v) * (norm(x_dot) + norm(v_dot))
    assert norm(y_dot - derivative_hp(name, x, v, x_dot, v_dot)) <= size
    x_bar, v_bar = retract_vjp(x, v, y_bar, **how)
    assert abs(inner(y_dot, y_bar) - inner(x_dot, x_bar) - inner(v_dot, v_bar)) <= 2 * size * norm(y_bar)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [*SHAPES, (7, 3), (3, 3)])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_orthonormal_for_every_step(shape, dtype, name):
    """Also where A = X^H V is singular (odd order), Z tiny beside A, or a column of V zero."""
    top = float(np.finfo(dtype).max) / 1e3
    x, v = pair(shape, dtype, 1.0, seed=20)
    for size in (0.0, 1 / top, 1e-20, 1e-8, 1e-3, 1.0, 3.0, 30.0, 1e4, 1e8, 1e20, top):
        assert defect(retract(x, v * v.real.dtype.type(size), **options(name))) <= 10 * n_eps(x), size
    for skew in (1e-6, 1 - 1e-12):  # A or Z next to nothing
        assert defect(retract(x, tangent(x, 100.0, 21, skew), **options(name))) <= 10 * n_eps(x), skew


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [*SHAPES, (40, 9)])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_zero_step(shape, dtype, name):
    """R(X, 0) = X and its derivative along tangent vectors is the identity, to rounding of products of order n."""
    x, v = pair(shape, dtype, 1.0, seed=30)
    zero = np.zeros_like(x)
    assert norm(retract(x, zero, **options(name)) - x) <= 10 * n_eps(x)
    assert norm(retract_jvp(x, zero, zero, v, **options(name)) - v) <= 10 * n_eps(x)


ORDER = {"qr": (1, 1), "cholesky_qr": (1, 1), "polar": (2, 1), "cayley": (1, 2)}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("metric", "column"), [("euclidean", 0), ("canonical", 1)])
@pytest.mark.parametrize("shape", [(6, 3), (7, 2)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_order_by_slope(shape, dtype, method, metric, column):
    """|R(X, tV) - exp(X, tV)| = c t^(k+1)(1 + O(t)); at t = 2^-6 and 2^-9 rounding is 1e-6 of it or less.

    (Square matrices have the same geodesics for both metrics, and on spheres all retractions are second order.)
    """
    x, v = pair(shape, dtype, 1.0, seed=40)
    errors = [norm(retract(x, t * v, method) - retract(x, t * v, "exp", metric=metric)) for t in (2.0**-6, 2.0**-9)]
    assert np.log2(errors[0] / errors[1]) / 3 == pytest.approx(ORDER[method][column] + 1, rel=0, abs=0.1)


@pytest.mark.parametrize("name", NAMES)
@JAX_LATE
def test_stacks_and_layouts_in_every_namespace(backend, name):
    for dtype in backend.dtypes[-1:]:
        # the last ones leave the fast path of CholeskyQR, of the Gram matrix, of the p x p system
        pairs = [pair((7, 3), dtype, size, seed=50) for size in (1e-6, 1.0, 100.0, 1e5)]
        x, v = (np.stack(z).reshape(2, 2, 7, 3) for z in zip(*pairs, strict=True))
        x_dot, y_bar = gaussian(x.shape, dtype, 51), gaussian(x.shape, dtype, 52)
        X, V, X_dot, Y_bar = (backend.asarray(z) for z in (x, v, x_dot, y_bar))
        y = retract(X, V, **options(name))
        y_dot = retract_jvp(X, V, X_dot, Y_bar, **options(name))
        bars = retract_vjp(X, V, Y_bar, **options(name))
        assert type(y) is type(X) and y.dtype == X.dtype and y_dot.dtype == X.dtype and bars.x_bar.dtype == X.dtype
        assert bars._fields == ("x_bar", "v_bar")
        y, y_dot, x_bar, v_bar = (backend.to_numpy(z) for z in (y, y_dot, *bars))
        for i in np.ndindex(2, 2):
            limit, derivative_limit = limits(name, x[i], v[i])
            strided = np.asfortranarray(x[i])[::-1][::-1], np.repeat(v[i], 2, axis=1)[:, ::2]
            assert norm(y[i] - retract(*strided, **options(name))) <= limit
            assert defect(y[i]) <= 10 * n_eps(x)
            limit = derivative_limit * 2 * norm(x_dot[i])
            assert norm(y_dot[i] - retract_jvp(*strided, x_dot[i], y_bar[i], **options(name))) <= limit
            one = retract_vjp(*strided, y_bar[i], **options(name))
            limit = derivative_limit * 2 * norm(y_bar[i])
            assert norm(x_bar[i] - one.x_bar) <= limit and norm(v_bar[i] - one.v_bar) <= limit


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("c", [3.0, 1e-200, 1e200])
def test_scaled(c, name):
    """f_c(x, v) = c f_1(x/c, v/c): the same derivative."""
    x, v = pair((6, 3), "complex128", 1.0, seed=60)
    x, v = x * c, v * c
    x_dot, v_dot = gaussian(x.shape, "complex128", 61), gaussian(x.shape, "complex128", 62)
    one, scaled = options(name), options(name) | {"scale": c}
    np.testing.assert_array_equal(retract(x, v, **scaled), c * retract(x / c, v / c, **one))
    np.testing.assert_array_equal(
        retract_jvp(x, v, x_dot, v_dot, **scaled), retract_jvp(x / c, v / c, x_dot, v_dot, **one)
    )
    for of_c, of_1 in zip(retract_vjp(x, v, x_dot, **scaled), retract_vjp(x / c, v / c, x_dot, **one), strict=True):
        np.testing.assert_array_equal(of_c, of_1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1.0, 1e5])
@pytest.mark.parametrize("k", [900, -900])
def test_directions_of_every_size(name, size, k):
    x, v = pair((6, 3), "float64", size, seed=70)
    x_dot, v_dot = gaussian(x.shape, "float64", 71), gaussian(x.shape, "float64", 72)
    one = retract_jvp(x, v, x_dot, v_dot, **options(name))
    np.testing.assert_array_equal(retract_jvp(x, v, x_dot * 2.0**k, v_dot * 2.0**k, **options(name)), one * 2.0**k)
    one, many = retract_vjp(x, v, x_dot, **options(name)), retract_vjp(x, v, x_dot * 2.0**k, **options(name))
    for a, b in zip(one, many, strict=True):
        np.testing.assert_array_equal(b, a * 2.0**k)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_derivatives_of_huge_steps(dtype):
    """Q and U are homogeneous of degree 0 where X is negligible: derivatives of degree -1."""
    x, v = pair((7, 3), dtype, 1.0, seed=80)
    e = gaussian(x.shape, dtype, 81)
    for method in METHODS[:3]:
        near, far = (retract_jvp(x, v * 2.0**k, e, e, method) for k in (300, 900))
        assert norm(far * 2.0**600 - near) <= 10 * n_eps(x) * norm(near)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_second_pass_of_cholesky_qr(dtype):
    """At condition 1e3 the first pass leaves a defect of about eps 1e6, the second one its square."""
    b = draw((9, 4), dtype, cond=1e3, seed=82)
    q, down, _ = retraction._cholesky_qr(b)
    assert defect(q) <= 10 * n_eps(b)
    r = np.linalg.inv(down)
    assert norm(np.tril(r, -1)) <= 10 * n_eps(b) * norm(r) and (np.diagonal(r).real > 0).all()
    assert norm(q @ r - b) <= 10 * n_eps(b) * 1e3 * norm(b)


def test_a_diagonal_entry_below_the_normal_numbers_has_a_phase():
    """Its real and imaginary part have three bits: divided by its absolute value it would not have modulus 1."""
    b = np.asarray([[1, 0], [0, (3 + 4j) * 2.0**-1073], [0, 0]])
    y = retraction.retract_qr(np.zeros_like(b), b, check=False)
    assert defect(y) <= 10 * n_eps(y) and abs(y[1, 1]) > 0.99


def test_the_phase_is_1_where_a_column_vanishes():
    x = np.eye(4, 2)
    for dtype in ("float64", "complex128"):
        y = retraction.retract_qr(x.astype(dtype), np.asarray([[0, 0], [0, -1], [0, 0], [0, 0]], dtype), check=False)
        assert defect(y) <= 10 * n_eps(x) and np.array_equal(y[:, 0], x[:, 0])


@pytest.mark.parametrize("method", METHODS[:3])
def test_no_derivative_where_x_plus_v_is_rank_deficient(method):
    x, e = np.eye(4, 2)[None], np.ones((1, 4, 2))
    with pytest.raises(OutsideDomain, match=r"not differentiable.*batch index \(0,\)"):
        retract_jvp(x, -x, e, e, method, check=False)
    with pytest.raises(OutsideDomain, match="not differentiable"):
        retract_vjp(x, -x, e, method, check=False)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(0, 5, 2), (3, 5, 0), (0, 0)])
def test_empty(shape, name):
    x = np.zeros(shape)
    assert retract(x, x, **options(name)).shape == shape
    assert retract_jvp(x, x, x, x, **options(name)).shape == shape
    assert [z.shape for z in retract_vjp(x, x, x, **options(name))] == [shape, shape]


X, V = pair((5, 2), "float64", 1.0, seed=90)
WRONG = [
    pytest.param((X * (1 + 1e-9), V, "qr"), {}, OutsideDomain, "x is not on the manifold", id="off"),
    pytest.param((X, V, "qr"), {"scale": 2.0}, OutsideDomain, "x is not on the manifold", id="other radius"),
    pytest.param((X, V + 1e-9 * X, "qr"), {}, OutsideDomain, "v is not tangent", id="not tangent"),
    pytest.param((X, V * np.nan, "polar"), {}, OutsideDomain, "v has nan", id="nan"),
    pytest.param((X, V[:4], "polar"), {}, ValueError, "v has shape", id="shape"),
    pytest.param((X.T, V.T, "cayley"), {}, ValueError, "more columns than rows", id="wide"),
    pytest.param((X, V.astype("float32"), "cayley"), {}, TypeError, "differ in dtype", id="dtype"),
    pytest.param((X, V, "qr"), {"scale": 0.0}, ValueError, "scale=0.0", id="scale"),
    pytest.param((X, V, "svd"), {}, ValueError, "method='svd'", id="method"),
    pytest.param((X, V, "exp"), {}, ValueError, "exp needs a metric", id="no metric"),
    pytest.param((X, V, "qr"), {"metric": "euclidean"}, ValueError, "the others have none", id="metric of qr"),
    pytest.param((X, V, "exp"), {"metric": "embedded"}, ValueError, "metric='embedded'", id="metric"),
    pytest.param((X, V, "exp"), {"metric": -1}, ValueError, "alpha > -1", id="indefinite metric"),
    pytest.param((X, V, "exp"), {"metric": True}, ValueError, "metric=True", id="no number"),
    pytest.param(
        (X, V * 1e300, "cayley"), {"scale": 1e-300, "check": False}, OutsideDomain, "v / scale", id="overflow"
    ),
]


@pytest.mark.parametrize(("arguments", "keywords", "error", "message"), WRONG)
def test_wrong_input(arguments, keywords, error, message):
    x, v, method = arguments
    with pytest.raises(error, match=message):
        retract(x, v, method, **keywords)
    with pytest.raises(error, match=message):
        retract_jvp(x, v, x, v, method, **keywords)
    with pytest.raises(error, match=message):
        retract_vjp(x, v, v, method, **keywords)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_refused_is_computed_unchecked(method):
    x, v = X * (1 + 1e-9), V + 1e-9 * X
    assert norm(retract(x, v, method, check=False) - retract(X, V, method)) <= 1e-8


@pytest.mark.parametrize("method", METHODS)
def test_memory(method):
    """At most 4 n p + 6 p^2 words beside inputs and the result; a matrix of order n would be 100 times that."""
    n, p = 20_000, 4
    x = point((n, p), "float64", 100)
    v = tangent(x, 1.0, 101)
    retract(x, v, method, check=False)  # what is imported and cached on the way
    tracemalloc.start()
    y = retract(x, v, method, check=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / 8 - y.size <= 4 * n * p + 6 * p**2 + 5000  # Python's own objects


def test_by_name():
    for method in METHODS:
        for part, call in (("", retract), ("_jvp", retract_jvp), ("_vjp", retract_vjp)):
            arguments = (X, V) + {"": (), "_jvp": (V, X), "_vjp": (X,)}[part]
            got, own = call(*arguments, method), getattr(retraction, f"retract_{method}{part}")(*arguments)
            np.testing.assert_array_equal(np.asarray(got), np.asarray(own))
    np.testing.assert_array_equal(retract(X, V, "exp", metric=0), geodesic.exp(X, V, "canonical"))
    np.testing.assert_array_equal(retract(X, V, "exp", metric=-0.5), geodesic.exp(X, V, "euclidean"))
