"""Points and tangents by what defines them: projections, metrics, gradients, Hessians; what is refused.

A computed product of matrices of norm 1 and v commits n eps |v| (n at least 8 counted); identities between a few of
them hold to 10 of these units, times max(1, 1/beta) where the metric divides.
"""

import numpy as np
import pytest
import stiefel_truth as truth
from backends import BACKENDS, ct, gaussian, late, norm
from exact import BITS, lift, lower
from stiefel_truth import DTYPES, METRICS, SHAPES, axis_aligned, beta, dtypes_of, normal_vector, point, tangent

from orthoref import OutsideDomain, stiefel


def unit(x, metric="euclidean"):
    return 10 * max(x.shape[-2], 8) * float(np.finfo(x.dtype).eps) * max(1, 1 / beta(metric))


def dot(x, y):
    return float(np.vdot(x, y).real)


def points(shape, dtype):
    return [point(shape, dtype, 1), axis_aligned(shape, dtype, 2)]


# --- projections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_projections(shape, dtype):
    for x in points(shape, dtype):
        v, w = gaussian(shape, dtype, 3), gaussian(shape, dtype, 4)
        p, q = stiefel.project(x, v), stiefel.normal(x, v)
        limit = unit(x) * norm(v)
        assert norm(p + q - v) <= limit and abs(dot(p, q)) <= limit * norm(v)
        assert norm(ct(x) @ p + ct(p) @ x) <= unit(x) * norm(p)
        assert norm(stiefel.project(x, p) - p) <= unit(x) * norm(p) and norm(stiefel.project(x, q)) <= limit
        assert norm(stiefel.normal(x, q) - q) <= limit and norm(stiefel.normal(x, p)) <= unit(x) * norm(p)
        assert abs(dot(stiefel.project(x, v), w) - dot(v, stiefel.project(x, w))) <= limit * norm(w)
        assert norm(q - x @ ((ct(x) @ v + ct(v) @ x) / 2)) <= limit


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_a_tiny_tangent_in_a_large_normal_vector_is_tangent_to_rounding_of_its_own_size(dtype):
    x = point((7, 3), dtype)
    v = normal_vector(x, 1) + 1e-12 * tangent(x, 2)
    for got in (stiefel.project(x, v), stiefel.gradient(x, v, "canonical")):
        assert 1e-13 <= norm(got) <= 1e-10  # 16 eps |v|, in any direction, is part of it
        assert norm(ct(x) @ got + ct(got) @ x) <= unit(x) * norm(got)
        stiefel.norm(x, got, "canonical")  # and so is not refused


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", SHAPES)
def test_range_and_null_space_of_the_projection(shape, dtype):
    """By its matrix over the real numbers: the ranks are the dimensions of the tangent and the normal space."""
    x = point(shape, dtype)
    units = np.eye(x.size).reshape(x.size, *shape).astype(dtype)
    units = np.concat([units, 1j * units]) if dtype == "complex128" else units
    columns = [stiefel.project(x, u).ravel() for u in units]
    matrix = np.array([np.concat([c.real, c.imag]) if dtype == "complex128" else c for c in columns])
    s = np.linalg.svd(matrix)[1]
    n, p = shape
    dimension = 2 * n * p - p * p if dtype == "complex128" else n * p - p * (p + 1) // 2
    assert np.sum(s > 0.5) == dimension
    assert np.all(abs(s - (s > 0.5)) <= unit(x))


@pytest.mark.parametrize("metric", METRICS)
def test_a_hessian_whose_terms_cancel_is_tangent_to_rounding_of_its_own_size(metric):
    x = point((7, 3), "complex128")
    v, g = tangent(x, 1), gaussian((7, 3), "complex128", 2)
    rest = stiefel.hessian(x, g, np.zeros_like(g), v, metric)
    e = beta(metric) * x @ (ct(x) @ rest) + rest - x @ (ct(x) @ rest)  # the gradient map takes it to rest
    got = stiefel.hessian(x, g, -e, v, metric)
    assert norm(got) <= unit(x, metric) * norm(rest)
    assert norm(ct(x) @ got + ct(got) @ x) <= unit(x) * norm(got)


# --- metrics ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_metric_by_components(dtype, metric):
    """beta <A, A'> + <V', W'> for V = X A + V', W = X A' + W', in binary64."""
    for shape in SHAPES:
        x = point(shape, dtype)
        v, w = tangent(x, 5), tangent(x, 6)
        y, vv, ww = (z.astype(np.result_type(z, np.float64)) for z in (x, v, w))
        a, b = ct(y) @ vv, ct(y) @ ww
        expected = beta(metric) * dot(a, b) + dot(vv - y @ a, ww - y @ b)
        size = unit(x) * (1 + beta(metric)) * norm(v) * norm(w)
        assert abs(stiefel.inner(x, v, w, metric) - expected) <= size
        square = beta(metric) * norm(a) ** 2 + norm(vv - y @ a) ** 2
        assert abs(stiefel.norm(x, v, metric) - square**0.5) <= unit(x, metric) * (1 + beta(metric)) * square**0.5


@pytest.mark.parametrize("metric", [0.0, -0.5])
def test_named_metrics_are_members_of_the_family(metric):
    x, name = point((5, 3), "complex128"), {0.0: "canonical", -0.5: "euclidean"}[metric]
    v, w = tangent(x, 5), gaussian((5, 3), "complex128", 6)
    assert stiefel.norm(x, v, metric) == stiefel.norm(x, v, name)
    np.testing.assert_array_equal(stiefel.gradient(x, w, metric), stiefel.gradient(x, w, name))
    np.testing.assert_array_equal(stiefel.hessian(x, w, w, v, metric), stiefel.hessian(x, w, w, v, name))


@pytest.mark.parametrize("k", [-1060, -1000, 1000, 1023])
def test_norm_of_tiny_and_huge_tangents(k):
    x, v = np.eye(2), np.asarray([[0.0, -(2.0**k)], [2.0**k, 0.0]])
    assert stiefel.norm(x, v, "canonical") == 2.0**k
    if k < 1023:
        assert stiefel.norm(x, v, "euclidean") == 2.0**k * 2.0**0.5
    else:
        assert stiefel.norm(x, v, "euclidean") == float(np.ldexp(2.0**0.5, 1023))
        with pytest.raises(OutsideDomain, match="the result overflows"):
            stiefel.norm(x, v, -0.99)
        with pytest.raises(OutsideDomain, match="the result overflows"):
            stiefel.inner(x, v, v, "canonical")


def test_norm_that_rounding_has_eaten():
    """Orthogonal matrices in a metric of weight 1e-17: at this X, rounded upwards, the square is negative."""
    x = point((3, 3), "float64", 0) * (1 + 1e-15)
    v = tangent(x, 1)
    with pytest.raises(OutsideDomain, match=r"lost to rounding: the metric is 5\.0e-17 .*batch index \(0,\)"):
        stiefel.norm(x[None], v[None], 1e16)


# --- gradient, Hessian, Weingarten map --------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_identity(dtype, metric):
    """<gradient, V> in the metric is Re tr(G^H V)."""
    for shape in SHAPES:
        for x in points(shape, dtype):
            g, v = gaussian(shape, dtype, 7), tangent(x, 8)
            grad = stiefel.gradient(x, g, metric)
            assert norm(ct(x) @ grad + ct(grad) @ x) <= unit(x) * norm(grad)
            left = stiefel.inner(x, grad, v, metric)
            assert abs(left - dot(g, v)) <= unit(x, metric) * (1 + beta(metric)) * norm(g) * norm(v)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_hessian_is_self_adjoint_in_its_own_metric(dtype, metric):
    """Of f = <C, X> + <X, L(X)>/2 with a self-adjoint L of no structure; in the wrong metric it is not self-adjoint."""
    for shape in SHAPES:
        x = point(shape, dtype, 1)
        v, w, c = tangent(x, 8), tangent(x, 9), gaussian(shape, dtype, 10)
        of = quadratic(shape, dtype)
        g = c + of(x)
        hv, hw = (stiefel.hessian(x, g, of(u), u, metric) for u in (v, w))
        assert norm(ct(x) @ hv + ct(hv) @ x) <= unit(x) * norm(hv)
        left, right = stiefel.inner(x, hv, w, metric), stiefel.inner(x, v, hw, metric)
        size = (1 + beta(metric)) * (norm(of(v)) * norm(w) + norm(of(w)) * norm(v) + 2 * norm(g) * norm(v) * norm(w))
        assert abs(left - right) <= unit(x, metric) * size
        if shape == (5, 3) and metric != "euclidean":
            assert abs(stiefel.inner(x, hv, w, "euclidean") - stiefel.inner(x, v, hw, "euclidean")) > 1e-3 * size


def quadratic(shape, dtype):
    """A self-adjoint map of matrices: A X B + A^H X B^H."""
    a, b = gaussian((shape[0],) * 2, dtype, 20), gaussian((shape[1],) * 2, dtype, 21)
    return lambda x: a @ x @ b + ct(a) @ x @ ct(b)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [(5, 3), (4, 4), (4, 1)])
def test_hessian_is_the_second_derivative_along_geodesics(shape, dtype, metric):
    """Of <C, X> + <X, L(X)>/2, with 400 bits: second difference of step 2^-80, of error 2^-160."""
    flint = pytest.importorskip("flint", reason="python-flint gives the reference")
    x = point(shape, dtype, 1)
    v, c = tangent(x, 8), gaussian(shape, dtype, 10)
    of = quadratic(shape, dtype)
    a, b = gaussian((shape[0],) * 2, dtype, 20), gaussian((shape[1],) * 2, dtype, 21)
    with flint.ctx.workprec(BITS):
        y = truth.on_manifold(x)
        u = truth.project(y, lift(v))
        a_, b_, c_, t = lift(a), lift(b), lift(c), flint.arb(2) ** -80

        def f(s):
            z = truth.geodesic(y, u, metric, flint.acb(s))
            return truth.dot(c_, z) + truth.dot(a_ * z * b_, z)

        second = float(((f(t) + f(-t) - 2 * f(0 * t)) / (t * t)).mid())
        start = lower((truth.geodesic(y, u, metric, flint.acb(t)) - y).mid() * flint.acb(1 / t))
        np.testing.assert_allclose(start, v, rtol=0, atol=1e-14)  # it leaves with v: X V^H V t^2 / 2 is 2^-80
        assert float(truth.inner(y, u, u, metric)[0, 0].real) > 0
    h = stiefel.hessian(x, c + of(x), of(v), v, metric)
    size = (1 + beta(metric)) * (norm(of(v)) + norm(c + of(x)) * norm(v)) * norm(v)
    assert abs(stiefel.inner(x, h, v, metric) - second) <= unit(x, metric) * size


@pytest.mark.parametrize("metric", METRICS)
def test_the_geodesics_of_the_tests_are_geodesics(metric):
    """Constant speed in the metric and zero first variation: d/ds of the energy of X(t) moved by sin(pi t) s E."""
    flint = pytest.importorskip("flint", reason="python-flint gives the reference")
    x = point((4, 2), "complex128", 1)
    v = tangent(x, 8)
    with flint.ctx.workprec(BITS):
        y = truth.on_manifold(x)
        u = truth.project(y, lift(v))
        h = flint.arb(2) ** -60

        def moved(t):
            return truth.geodesic(y, u, metric, flint.acb(t))

        # the Euler-Lagrange equation X'' = X (A^2 - N^H N) + 2 (1 - beta) N A at t = 1/2
        t = flint.arb(1) / 2
        before, here, after = moved(t - h), moved(t), moved(t + h)
        speed = (after - before) * flint.acb(1 / (2 * h))
        bend = (after + before - here * 2) * flint.acb(1 / (h * h))
        at = truth.adjoint_hp(here) * speed
        n = speed - here * at
        right = here * (at * at - truth.adjoint_hp(n) * n) + n * at * (2 - 2 * flint.acb(beta(metric)))
        assert float(truth.dot(bend - right, bend - right).mid()) ** 0.5 <= 1e-30
        assert (
            abs(float((truth.inner(here, speed, speed, metric) - truth.inner(y, u, u, metric))[0, 0].real.mid()))
            < 1e-30
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_weingarten(dtype):
    """Self-adjoint, and the difference between the Hessian and the projected one."""
    for shape in SHAPES:
        x = point(shape, dtype, 1)
        v, w, n, g = tangent(x, 8), tangent(x, 9), normal_vector(x, 10), gaussian(shape, dtype, 11)
        left, right = dot(stiefel.weingarten(x, v, n), w), dot(v, stiefel.weingarten(x, w, n))
        assert abs(left - right) <= unit(x) * norm(v) * norm(w) * norm(n)
        h = stiefel.hessian(x, g, w, v, "euclidean")
        parts = stiefel.project(x, w) + stiefel.weingarten(x, v, stiefel.normal(x, g))
        assert norm(h - parts) <= unit(x) * (norm(w) + norm(g) * norm(v))


@pytest.mark.parametrize("dtype", DTYPES)
def test_landing(dtype):
    """Half of the canonical gradient on the manifold; orthogonal terms, also far from it."""
    for shape in SHAPES:
        x, g = point(shape, dtype, 1), gaussian(shape, dtype, 11)
        half = stiefel.gradient(x, g, "canonical") / 2
        assert norm(stiefel.landing(x, g, attraction=3.0) - half) <= unit(x) * (norm(g) + 3)
        far = gaussian(shape, dtype, 12)
        turn = stiefel.landing(far, g, attraction=0)
        pull = stiefel.landing(far, np.zeros_like(g), attraction=1)
        size = unit(x) * norm(g) * norm(far) ** 2 * (norm(far) ** 3 + norm(far))
        assert norm(pull - far @ (ct(far) @ far - np.eye(shape[1]))) <= unit(x) * (norm(far) ** 3 + norm(far))
        assert abs(dot(turn, pull)) <= size


# --- any namespace, any layout, nothing -------------------------------------------------------------------------------

CALLS = {
    "project": lambda x, v, g, m: stiefel.project(x, g),
    "normal": lambda x, v, g, m: stiefel.normal(x, g),
    "inner": lambda x, v, g, m: stiefel.inner(x, v, v, m),
    "norm": lambda x, v, g, m: stiefel.norm(x, v, m),
    "gradient": lambda x, v, g, m: stiefel.gradient(x, g, m),
    "hessian": lambda x, v, g, m: stiefel.hessian(x, g, g, v, m),
    "weingarten": lambda x, v, g, m: stiefel.weingarten(x, v, stiefel.normal(x, g)),
    "landing": lambda x, v, g, m: stiefel.landing(x, g, attraction=1.0),
    "project_jvp": lambda x, v, g, m: stiefel.project_jvp(x, v, g, g),
    "project_vjp": lambda x, v, g, m: stiefel.project_vjp(x, v, g).x_bar,
    "normal_jvp": lambda x, v, g, m: stiefel.normal_jvp(x, v, g, g),
    "normal_vjp": lambda x, v, g, m: stiefel.normal_vjp(x, v, g).x_bar,
    "inner_jvp": lambda x, v, g, m: stiefel.inner_jvp(x, v, v, g, g, g, m),
    "inner_vjp": lambda x, v, g, m: stiefel.inner_vjp(x, v, v, stiefel.norm(x, v, m), m).x_bar,
    "norm_jvp": lambda x, v, g, m: stiefel.norm_jvp(x, v, g, g, m),
    "norm_vjp": lambda x, v, g, m: stiefel.norm_vjp(x, v, stiefel.inner(x, v, v, m), m).x_bar,
    "gradient_jvp": lambda x, v, g, m: stiefel.gradient_jvp(x, g, g, g, m),
    "gradient_vjp": lambda x, v, g, m: stiefel.gradient_vjp(x, g, g, m).x_bar,
    "hessian_jvp": lambda x, v, g, m: stiefel.hessian_jvp(x, g, g, v, g, g, g, g, m),
    "hessian_vjp": lambda x, v, g, m: stiefel.hessian_vjp(x, g, g, v, g, m).x_bar,
    "weingarten_jvp": lambda x, v, g, m: stiefel.weingarten_jvp(x, v, stiefel.normal(x, g), g, g, g),
    "weingarten_vjp": lambda x, v, g, m: stiefel.weingarten_vjp(x, v, stiefel.normal(x, g), g).x_bar,
    "landing_jvp": lambda x, v, g, m: stiefel.landing_jvp(x, g, g, g, attraction=1.0),
    "landing_vjp": lambda x, v, g, m: stiefel.landing_vjp(x, g, g, attraction=1.0).x_bar,
}


@pytest.mark.parametrize("backend", [late(backend) for backend in BACKENDS], indirect=True)
@pytest.mark.parametrize("name", CALLS)
def test_every_namespace(backend, name):
    """The same to rounding as on NumPy, in the dtype and on the device of x; nothing is written to."""
    for dtype in dtypes_of(backend):
        x = point((2, 5, 3), dtype)
        a = x, tangent(x, 1), gaussian(x.shape, dtype, 2)
        here = [backend.asarray(z) for z in a]
        got, expected = CALLS[name](*here, "canonical"), CALLS[name](*a, "canonical")
        assert type(got) is type(here[0]) and getattr(got, "device", None) == getattr(here[0], "device", None)
        got = backend.to_numpy(got)
        assert got.dtype == expected.dtype and got.shape == expected.shape
        # a few hundred sums and products of numbers of at most 2^5
        assert norm(got - expected) <= 1e4 * float(np.finfo(dtype).eps) * (1 + norm(expected))


@pytest.mark.parametrize("name", CALLS)
def test_layouts(name):
    """Fortran order, strides and reversed axes give what contiguous copies give, to the order of additions."""
    x = point((5, 3), "complex128")
    a = x, tangent(x, 1), gaussian(x.shape, "complex128", 2)
    expected = CALLS[name](*a, 1.0)
    wide = [np.zeros((10, 9), complex) for _ in a]
    for w, z in zip(wide, a, strict=True):
        w[::2, ::3] = z
    layouts = [
        [np.asfortranarray(z) for z in a],
        [w[::2, ::3] for w in wide],
        [z[::-1, ::-1].copy()[::-1, ::-1] for z in a],
    ]
    for moved in layouts:
        for z in moved:
            z.flags.writeable = False
        np.testing.assert_allclose(CALLS[name](*moved, 1.0), expected, rtol=0, atol=1e-13 * norm(expected))


@pytest.mark.parametrize("shape", [(0, 0), (4, 0), (0, 4, 2), (2, 3, 0), (2, 0, 0)])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("name", CALLS)
def test_empty(name, dtype, shape):
    x = np.zeros(shape, dtype)
    got = CALLS[name](x, x, x, "canonical")
    real = name in ("inner", "norm", "inner_jvp", "norm_jvp")
    assert got.shape == (shape[:-2] if real else shape)
    assert got.dtype == (x.real.dtype if real else dtype)


# --- what is refused --------------------------------------------------------------------------------------------------


def stack(shape=(5, 3)):
    x = point((2, *shape))
    return x, tangent(x, 1), gaussian(x.shape, "float64", 2)


@pytest.mark.parametrize("name", [name for name in CALLS if not name.startswith("landing")])
def test_off_the_manifold(name):
    x, v, g = stack()
    x[1] *= 1.001
    with pytest.raises(OutsideDomain, match=r"x is not on the manifold: .* = 3\.5e-03 c\^2.*batch index \(1,\)"):
        CALLS[name](x, v, g, "canonical")


def test_the_limit_counts_columns():
    """100 max(p, 8) eps, for very tall matrices, too: a defect of 1e-3 in float32 is no rounding error."""
    x = point((5000, 2), "float32")
    v = tangent(x, 1)
    stiefel.norm(x, v, "canonical")
    with pytest.raises(OutsideDomain, match=r"more than 100 max\(p, 8\) eps = 9\.5e-05"):
        stiefel.project((x * 1.0005).astype("float32"), v)
    with pytest.raises(OutsideDomain, match=r"v is not tangent .* more than 100 max\(p, 8\) eps = 9\.5e-05"):
        stiefel.norm(x, (v + 0.1 * x).astype("float32"), "canonical")


@pytest.mark.parametrize("name", ["inner", "norm", "hessian", "weingarten", "inner_jvp", "norm_vjp", "hessian_jvp"])
def test_not_tangent(name):
    x, v, g = stack()
    v[1] += 1e-9 * x[1]
    with pytest.raises(OutsideDomain, match=r"v is not tangent at x: .*batch index \(1,\)"):
        CALLS[name](x, v, g, "canonical")


@pytest.mark.parametrize("kind", ["", "_jvp", "_vjp"])
def test_not_normal(kind):
    x, v, g = stack()
    n = stiefel.normal(x, g)
    n[1] += 1e-9 * v[1]
    more = {"": (), "_jvp": (g, g, g), "_vjp": (g,)}[kind]
    with pytest.raises(OutsideDomain, match=r"normal is not normal at x: .*batch index \(1,\)"):
        getattr(stiefel, "weingarten" + kind)(x, v, n, *more)


def test_unchecked_is_the_formula_as_it_stands():
    x, v = gaussian((5, 3), "float64", 1), gaussian((5, 3), "float64", 2)
    once = v - x @ (x.T @ v + v.T @ x) / 2
    np.testing.assert_allclose(stiefel.project(x, v, check=False), once, rtol=0, atol=1e-13)
    expected = np.vdot(v, v) - np.vdot(x.T @ v, x.T @ v) / 2
    np.testing.assert_allclose(stiefel.inner(x, v, v, "canonical", check=False), expected, rtol=1e-13, atol=0)
    np.testing.assert_allclose(stiefel.gradient(x, v, "canonical", check=False), v - x @ v.T @ x, rtol=0, atol=1e-13)


@pytest.mark.parametrize("metric", ["Euclidean", "alpha", -1, -1.5, float("nan"), float("inf"), True, None, 1j])
def test_wrong_metric(metric):
    x, v, g = stack()
    for name in ("inner", "norm_jvp", "gradient", "hessian_vjp"):
        with pytest.raises(ValueError, match=r"^metric="):
            CALLS[name](x, v, g, metric)


def test_metric_is_required():
    x, v, g = stack()
    for call in (lambda: stiefel.inner(x, v, v), lambda: stiefel.norm(x, v), lambda: stiefel.gradient(x, g),
                 lambda: stiefel.hessian(x, g, g, v)):  # fmt: skip
        with pytest.raises(TypeError, match="metric"):
            call()


@pytest.mark.parametrize("c", [0, -1.0, float("nan"), float("inf"), True, "1", None])
def test_wrong_scale(c):
    x, v, _ = stack()
    with pytest.raises(ValueError, match=r"^scale="):
        stiefel.project(x, v, scale=c)


@pytest.mark.parametrize("c", [1e39, 1e-39])
def test_scale_outside_the_format(c):
    x = point((5, 3), "float32")
    with pytest.raises(ValueError, match="is no normal number of float32"):
        stiefel.project(x, x, scale=c)


def test_wrong_shapes_and_types():
    x, v, g = stack()
    with pytest.raises(ValueError, match=r"^x has shape \(2, 3, 5\): more columns than rows"):
        stiefel.project(x.mT, v.mT)
    with pytest.raises(ValueError, match=r"^v has shape \(5, 3\)"):
        stiefel.project(x, v[0])
    with pytest.raises(TypeError, match="differ in dtype"):
        stiefel.gradient(x, g.astype("float32"), "canonical")
    with pytest.raises(ValueError, match=r"^y_bar has shape \(3,\)"):
        stiefel.inner_vjp(x, v, v, np.ones(3), "canonical")
    with pytest.raises(TypeError, match="y_bar must be an array"):
        stiefel.inner_vjp(x, v, v, 1.0, "canonical")
    with pytest.raises(TypeError, match="differ in dtype"):
        stiefel.norm_vjp(x, v, np.ones(2, complex), "canonical")
    bad = g.copy()
    bad[1, 4, 0] = np.nan
    with pytest.raises(OutsideDomain, match=r"^egrad has nan at entry \(4, 0\), batch index \(1,\)"):
        stiefel.gradient(x, bad, "canonical")


@pytest.mark.parametrize("attraction", [-1.0, float("nan"), float("inf"), True, "1"])
def test_wrong_attraction(attraction):
    x, _, g = stack()
    with pytest.raises(ValueError, match=r"^attraction="):
        stiefel.landing(x, g, attraction=attraction)


def test_norm_has_no_derivative_at_zero():
    x, v, g = stack()
    v[1] = 0
    assert stiefel.norm(x, v, "canonical")[1] == 0
    for call in (lambda: stiefel.norm_jvp(x, v, g, g, "canonical"), lambda: stiefel.norm_vjp(x, v, np.ones(2), 1.0)):
        with pytest.raises(OutsideDomain, match=r"no derivative at v = 0, batch index \(1,\)"):
            call()
