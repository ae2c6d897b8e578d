"""Transports against definitions in n x n matrices and 400 bits, by what they keep, and by the adjoint identity.

Limits. Tangents V make X + V = Y R and M = I - A/2 + Z^H Z/4 invertible with |R^-1|, |M^-1| <= 1 and norms of at most
1 + |V| and (1 + |V|)^2 (c = 1): values of about eight products, each of relative error n eps (at least 8 counted), are
right to 10 n eps (1 + |V|)^2 |W|, and derivatives, which multiply by X + V or Z once more, to

    10 n eps (1 + |V|)^3 (|W_dot| + 3 (|X_dot| + |V_dot|) |W|).

Parallel transport is a product of 19 (1 + |V|) terms of norm 1, in a metric that differs from the Euclidean one by
beta^(1/2) either way.
"""

from inspect import signature

import numpy as np
import pytest
import stiefel_truth as truth
from backends import BACKENDS, ct, gaussian, late, norm
from exact import BITS, lift, lower
from stiefel_truth import DTYPES, METRICS, SHAPES, axis_aligned, beta, dtypes_of, point, tangent

from orthoref import OutsideDomain, stiefel

pytestmark = pytest.mark.sample(6)

NAMES = ("qr", "polar", "cayley", "isometric")
KINDS = [*NAMES, *METRICS]


def call(kind, suffix=""):
    """A transport by name, or the parallel one of a metric."""
    if kind in NAMES:
        return getattr(stiefel, f"transport_{kind}{suffix}")
    function = getattr(stiefel, f"transport_parallel{suffix}")
    return lambda *a, **options: function(*a, kind, **options)


def stretch(kind):
    b = beta(kind) if kind in METRICS else 1
    return max(b, 1 / b)


def unit(x):
    return 10 * max(x.shape[-2], 8) * float(np.finfo(x.dtype).eps)


def value_limit(kind, x, v, w, c=1.0):
    return unit(x) * stretch(kind) * (1 + norm(v) / c) ** 2 * norm(w)


def jvp_limit(kind, x, v, w, d, c=1.0):
    size = norm(d[2]) + 3 * (norm(d[0]) + norm(d[1])) / c * norm(w)
    return unit(x) * stretch(kind) ** 2 * (1 + norm(v) / c) ** 3 * size + 2.0**-130


def draw(shape, dtype, seed=1, c=1.0, step=0.5, aligned=False):
    x = axis_aligned(shape, dtype, seed, c) if aligned else point(shape, dtype, seed, c)
    v = tangent(x, seed + 1, c)
    return x, (step * c * v).astype(dtype), tangent(x, seed + 2, c)


def directions(shape, dtype, seed=40):
    return [gaussian(shape, dtype, seed + i) for i in range(3)]


def exact(kind):
    return {
        "qr": lambda x, v: truth.qf(x + v),
        "polar": lambda x, v: truth.polar_factor(x + v),
        "cayley": truth.cayley_cheap,
    }[kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(4, 2), (3, 3), (4, 1)])
def test_value(kind, dtype, shape):
    flint = pytest.importorskip("flint", reason="python-flint gives the reference")
    for aligned in (False, True):
        for step in (1e-8, 0.5, 10.0) if not aligned else (0.5,):
            if kind in METRICS and step == 10.0:
                continue  # a matrix exponential of order 16 in 400 bits: below, exhaustive
            x, v, w = draw(shape, dtype, step=step, aligned=aligned)
            if kind in ("qr", "polar"):
                expected = truth.mixed(exact(kind), (x, v, w), (x, v, w), along=False)
            else:
                with flint.ctx.workprec(BITS):
                    at = lift(x), lift(v), lift(w)
                    if kind == "cayley":
                        t = flint.acb(flint.arb(2) ** -80)
                        ends = [truth.cayley(at[0], at[1] + at[2] * s) for s in (t, -t)]
                        expected = lower((ends[0] - ends[1]).mid() * (1 / (2 * t)))
                    elif kind == "isometric":
                        expected = lower(truth.rotation(*at[:2]) * at[2])
                    else:
                        expected = lower(truth.parallel(*at, kind))
            # the n x n and the p x p formula agree on tangents only: these are rounded
            assert norm(call(kind)(x, v, w) - expected) <= 3 * value_limit(kind, x, v, w), (aligned, step)


@pytest.mark.parametrize("kind", [*NAMES, "euclidean", 1.5])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("shape", [(3, 2), (2, 2), (3, 1)])
def test_jvp(kind, dtype, shape):
    flint = pytest.importorskip("flint", reason="python-flint gives the reference")
    for step in (1e-8, 0.5) if kind in NAMES else (0.5,):
        a, d = draw(shape, dtype, step=step), directions(shape, dtype)
        if kind in ("qr", "polar", "cayley"):
            expected = truth.mixed(exact(kind), a, d, along=True)
        elif kind == "isometric":
            expected = truth.derivative(truth.isometric_cheap, a, d, (1, 1, 1))
        else:
            expected = truth.derivative(lambda *b: truth.parallel(*b, kind), a, d, (1, 1, 1))
        assert flint is not None
        assert norm(call(kind, "_jvp")(*a, *d) - expected) <= jvp_limit(kind, *a, d), step


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("c", [1.0, 3.0])
def test_adjoint(kind, dtype, c):
    for shape in SHAPES if c == 1 and kind in NAMES else SHAPES[:2]:
        step = 0.5 if kind in NAMES else 0.1  # the time is proportional to it
        a, d, bar = draw(shape, dtype, c=c, step=step), directions(shape, dtype), gaussian(shape, dtype, 60)
        pulled = call(kind, "_vjp")(*a, bar, scale=c)
        assert pulled._fields == ("x_bar", "v_bar", "w_bar")
        for i in range(3):
            alone = [x if j == i else np.zeros_like(x) for j, x in enumerate(d)]
            left = np.vdot(call(kind, "_jvp")(*a, *alone, scale=c), bar).real
            right = np.vdot(d[i], pulled[i]).real
            assert abs(left - right) <= 2 * jvp_limit(kind, *a, alone, c) * norm(bar), (shape, i)


def end(kind, x, v, c=1.0):
    """Where w goes to, in binary64: the point of the retraction or of the geodesic."""
    from scipy.linalg import expm

    y, u = (z.astype(np.result_type(z, np.float64)) / c for z in (x, v))
    if kind == "qr":
        q, r = np.linalg.qr(y + u)
        return q * (np.diagonal(r) / abs(np.diagonal(r)))
    if kind == "polar":
        p, _, qh = np.linalg.svd(y + u, full_matrices=False)
        return p @ qh
    if kind in NAMES:
        w = (np.eye(len(y)) - y @ ct(y) / 2) @ u @ ct(y)
        w = (w - ct(w)) / 2
        return np.linalg.solve(np.eye(len(y)) - w, y + w @ y)
    a, b = ct(y) @ u, beta(kind)
    n = u - y @ a
    return expm(n @ ct(y) - y @ ct(n) + 2 * b * y @ a @ ct(y)) @ y @ expm((1 - 2 * b) * a)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("c", [1.0, 3.0])
def test_tangent_linear_isometric(kind, dtype, c):
    for shape in SHAPES if c == 1 else SHAPES[:2]:
        for step in (1e-8, 0.5, 10.0) if kind in NAMES else (1e-8, 0.2):
            x, v, w = draw(shape, dtype, c=c, step=step)
            u = tangent(x, 9, c)
            y, limit = end(kind, x, v, c), value_limit(kind, x, v, w, c)
            got, other = call(kind)(x, v, w, scale=c), call(kind)(x, v, u, scale=c)
            assert norm(ct(y) @ got + ct(got) @ y) <= 2 * limit
            both = call(kind)(x, v, w - 2 * u, scale=c)
            assert norm(both - (got - 2 * other)) <= limit + 2 * value_limit(kind, x, v, u, c)
            metrics = METRICS if kind == "isometric" else [kind] if kind in METRICS else []
            for metric in metrics:
                before = stiefel.inner(x, w, u, metric, scale=c)
                # by its definition, at the y of binary64
                g, h = ct(y) @ got, ct(y) @ other
                after = np.vdot(got, other).real - (1 - beta(metric)) * np.vdot(g, h).real
                size = limit * norm(u) + value_limit(kind, x, v, u, c) * norm(w)
                assert abs(before - after) <= size * (1 + beta(metric)) * stretch(metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_parallel_transport_in_the_group(dtype, metric):
    """All metrics of the family are multiples of the bi-invariant one: W goes to X e^(A/2) (X^H W) e^(A/2)."""
    from scipy.linalg import expm

    for n in (2, 4):
        x, v, w = draw((n, n), dtype, step=1.0)
        half = expm(ct(x) @ v / 2)
        got = stiefel.transport_parallel(x, v, w, metric)
        assert norm(got - x @ half @ (ct(x) @ w) @ half) <= value_limit(metric, x, v, w)


def test_parallel_transport_on_the_sphere():
    """V goes to the velocity at the end, what is orthogonal to X and V stays."""
    x, v, w = np.eye(4, 1), 2.5 * np.eye(4)[:, 1:2], np.asarray([[0.0], [1.0], [2.0], [3.0]])
    got = stiefel.transport_parallel(x, v, w, "euclidean")
    expected = np.asarray([[-np.sin(2.5)], [np.cos(2.5)], [2.0], [3.0]])
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_velocity_is_parallel(dtype, metric):
    """The geodesic transports its own velocity: in a frame moved by isometries it is constant, L V = 0."""
    for shape in SHAPES:
        x, v, _ = draw(shape, dtype)
        y, got = end(metric, x, v), stiefel.transport_parallel(x, v, v, metric)
        b = beta(metric)
        a = ct(x) @ v
        n = v - x @ a
        right = n @ (ct(x) @ x) + x @ (2 * b * a) + (1 - 2 * b) * x @ a  # W1 X + X W2 = V at X
        assert norm(right - v) <= 1e-14 * (1 + norm(v)) * (1 + b)
        assert norm(got - (velocity(x, v, b) @ y + y @ ((1 - 2 * b) * a))) <= 2 * value_limit(metric, x, v, v)


def velocity(x, v, b):
    a = ct(x) @ v
    n = v - x @ a
    return n @ ct(x) - x @ ct(n) + 2 * b * x @ a @ ct(x)


@pytest.mark.exhaustive
@pytest.mark.parametrize("metric", METRICS)
def test_the_truth_of_parallel_transport_solves_its_equation(metric):
    """W' + Gamma(X', W) = 0 along the geodesic, by differences in 400 bits."""
    flint = pytest.importorskip("flint", reason="python-flint gives the reference")
    x, v, w = draw((3, 2), "complex128", step=1.0)
    with flint.ctx.workprec(BITS):
        y = truth.on_manifold(x)
        u, w = truth.project(y, lift(v)), truth.project(y, lift(w))
        h, t = flint.acb(flint.arb(2) ** -60), flint.acb(0.75)
        times = (t - h, t, t + h)
        points = [truth.geodesic(y, u, metric, s) for s in times]
        carried = [truth.parallel(y, u * s, w, metric) for s in times]
        speed, change = ((z[2] - z[0]) * (1 / (2 * h)) for z in (points, carried))
        rest = change + truth.christoffel(points[1], speed, carried[1], metric)
        assert float(truth.dot(rest, rest).mid()) ** 0.5 <= 1e-30


@pytest.mark.exhaustive
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_parallel_transport_over_many_turns(dtype, metric):
    flint = pytest.importorskip("flint", reason="python-flint gives the reference")
    x, v, w = draw((4, 2), dtype, step=30.0)
    with flint.ctx.workprec(BITS):
        expected = lower(truth.parallel(lift(x), lift(v), lift(w), metric))
    assert norm(stiefel.transport_parallel(x, v, w, metric) - expected) <= 3 * value_limit(metric, x, v, w)


@pytest.mark.parametrize("metric", ["canonical", 1.5])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_parallel_transport_of_tall_matrices(dtype, metric):
    """In the span of what is given: the same as that of matrices of few rows, carried by an isometry, (ST-PAR-SPAN)."""
    few, d, bar = draw((11, 2), dtype), directions((11, 2), dtype), gaussian((11, 2), dtype, 60)
    q = point((60, 11), "complex128" if dtype == "complex128" else "float64", 7)
    tall = [(q @ z).astype(dtype) for z in (*few, *d, bar)]
    assert norm(call(metric)(*tall[:3]) - q @ call(metric)(*few)) <= 2 * value_limit(metric, *tall[:3])
    limit = 2 * jvp_limit(metric, *tall[:3], tall[3:6])
    assert norm(call(metric, "_jvp")(*tall[:6]) - q @ call(metric, "_jvp")(*few, *d)) <= limit
    pulled = [call(metric, "_vjp")(*a) for a in ((*tall[:3], tall[6]), (*few, bar))]
    for i, (got, expected) in enumerate(zip(*pulled, strict=True)):
        ones = [(j == i) * np.eye(60, 2) for j in range(3)]
        assert norm(got - q @ expected) <= 2 * jvp_limit(metric, *tall[:3], ones) * norm(bar), i


# --- whatever the array -----------------------------------------------------------------------------------------------


def results(kind, x, v, w, d, bar, **options):
    return [
        call(kind)(x, v, w, **options),
        call(kind, "_jvp")(x, v, w, *d, **options),
        *call(kind, "_vjp")(x, v, w, bar, **options),
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float64", "complex64"])
def test_stack(kind, dtype):
    shape, alone = (5, 3), []
    for i in range(4):
        a, d = draw(shape, dtype, seed=5 * i, step=[0.05, 0.2][i % 2]), directions(shape, dtype, 70 + 5 * i)
        alone.append((*a, *d, gaussian(shape, dtype, i)))
    x, v, w, *d, bar = (np.stack(z).reshape(2, 2, *shape) for z in zip(*alone, strict=True))
    w = w * 2.0 ** np.array([[0, 100], [-100, 30]])[..., None, None].astype(w.real.dtype)
    together = results(kind, x, v, w, d, bar)
    for index in np.ndindex(2, 2):
        at = [z[index] for z in (x, v, w, *d, bar)]
        expected = results(kind, *at[:3], at[3:6], at[6])
        for one, two in zip(together, expected, strict=True):
            assert one.dtype == two.dtype
            # the number of intervals of the whole stack is that of its longest geodesic
            assert norm(one[index] - two) <= unit(x) * stretch(kind) ** 2 * (1 + norm(at[1])) ** 3 * norm(two)


@pytest.mark.parametrize("backend", [late(backend) for backend in BACKENDS], indirect=True)
@pytest.mark.parametrize("kind", [*NAMES, "canonical"])
def test_every_namespace(backend, kind):
    for dtype in dtypes_of(backend):
        shape = (2, 3, 2)
        x = point(shape, dtype, 1)
        v, w = (tangent(x, 2) * 0.1).astype(dtype), tangent(x, 3)
        d, bar = directions(shape, dtype), gaussian(shape, dtype, 60)
        expected = results(kind, x, v, w, d, bar)
        x, v, w, *d, bar = (backend.asarray(z) for z in (x, v, w, *d, bar))
        for one, two in zip(results(kind, x, v, w, d, bar), expected, strict=True):
            assert type(one) is type(x) and getattr(one, "device", None) == getattr(x, "device", None)
            one = backend.to_numpy(one)
            assert one.dtype == two.dtype
            assert norm(one - two) <= 1e3 * unit(two) * norm(two)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(0, 0), (4, 0), (0, 4, 2), (2, 3, 0)])
def test_empty(kind, shape):
    x = np.zeros(shape, "complex64")
    for got in results(kind, x, x, x, [x, x, x], x):
        assert got.shape == shape and got.dtype == x.dtype


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [-1000, 1000])
def test_tiny_and_huge(kind, k):
    """Linear in w: a power of two goes through to the last bit."""
    x, v, w = draw((5, 3), "float64")
    expected = call(kind)(x, v, w)
    if kind == "polar":  # an SVD of its own scaling
        assert norm(call(kind)(x, v, w * 2.0**k) * 2.0**-k - expected) <= value_limit(kind, x, v, w)
    else:
        np.testing.assert_array_equal(call(kind)(x, v, w * 2.0**k), expected * 2.0**k)


# --- by name, and what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*NAMES, "canonical"])
def test_by_name(kind):
    a, d, bar = draw((5, 3), "float64"), directions((5, 3), "float64"), gaussian((5, 3), "float64", 3)
    method, options = (kind, {}) if kind in NAMES else ("parallel", {"metric": kind})
    np.testing.assert_array_equal(stiefel.transport(*a, method, **options), call(kind)(*a))
    np.testing.assert_array_equal(stiefel.transport_jvp(*a, *d, method, **options), call(kind, "_jvp")(*a, *d))
    for one, two in zip(stiefel.transport_vjp(*a, bar, method, **options), call(kind, "_vjp")(*a, bar), strict=True):
        np.testing.assert_array_equal(one, two)


def test_wrong_name():
    a = draw((5, 3), "float64")
    with pytest.raises(ValueError, match="method='exp' is not one of"):
        stiefel.transport(*a, "exp")
    with pytest.raises(ValueError, match="parallel needs a metric"):
        stiefel.transport(*a, "parallel")
    with pytest.raises(ValueError, match="the others have none"):
        stiefel.transport(*a, "qr", metric="canonical")
    with pytest.raises(ValueError, match=r"^metric="):
        stiefel.transport(*a, "parallel", metric="Canonical")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", ["", "_jvp", "_vjp"])
def test_refused(kind, suffix):
    x, v, w = (np.stack([z, z]) for z in draw((5, 3), "float64"))
    more = {"": (), "_jvp": (w, w, w), "_vjp": (w,)}[suffix]
    for name, i in (("v", 1), ("w", 2)):
        a = [x, v, w]
        a[i] = a[i] + np.array([0, 1e-9])[:, None, None] * x
        with pytest.raises(OutsideDomain, match=rf"{name} is not tangent at x: .*batch index \(1,\)"):
            call(kind, suffix)(*a, *more)
    with pytest.raises(OutsideDomain, match=r"x is not on the manifold"):
        call(kind, suffix)(2 * x, v, w, *more)
    with pytest.raises(ValueError, match=r"^w has shape"):
        call(kind, suffix)(x, v, w[0], *more)


def test_a_geodesic_too_long():
    x, v, w = draw((5, 3), "float64", step=1e4)
    with pytest.raises(OutsideDomain, match=r"v has length .* c, beyond 1024 c, batch index \(0,\)"):
        stiefel.transport_parallel(x[None], v[None], w[None], "canonical")


def test_no_derivative_of_qr():
    x, w = np.stack([np.eye(3, 2)] * 2), np.zeros((2, 3, 2))
    v = w.copy()
    v[1, :, 1] = [1, -1 + 1e-16, 0]  # the two columns of x + v are parallel to working precision
    with pytest.raises(OutsideDomain, match=r"x \+ v is rank deficient: .*batch index \(1,\)"):
        stiefel.transport_qr(x, v, w, check=False)


RETRACTIONS = [
    ("qr", None),
    ("cholesky_qr", None),
    ("polar", None),
    ("cayley", None),
    ("exp", "canonical"),
    ("exp", 1.5),
]


@pytest.mark.parametrize(("retraction", "metric"), RETRACTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("c", [1.0, 3.0])
def test_projection_transport(retraction, metric, dtype, c):
    """Projection at the point of n x n formulas; the adjoint identity; the names."""
    end_kind = {"cholesky_qr": "qr", "exp": metric}.get(retraction, retraction)
    for shape in SHAPES[:3]:
        x, v, w = draw(shape, dtype, c=c)
        options = {"metric": metric, "scale": c}
        y = end(end_kind, x, v, c)
        got = stiefel.transport_projection(x, v, w, retraction, **options)
        m = ct(y) @ w
        assert norm(got - (w - y @ (m + ct(m)) / 2)) <= value_limit(end_kind, x, v, w, c)
        assert norm(got) <= norm(w) * (1 + unit(x))
        d, bar = directions(shape, dtype), gaussian(shape, dtype, 60)
        pulled = stiefel.transport_projection_vjp(x, v, w, bar, retraction, **options)
        for i in range(3):
            alone = [z if j == i else np.zeros_like(z) for j, z in enumerate(d)]
            left = np.vdot(stiefel.transport_projection_jvp(x, v, w, *alone, retraction, **options), bar).real
            limit = 2 * jvp_limit(end_kind, x, v, w, alone, c) * norm(bar)
            assert abs(left - np.vdot(d[i], pulled[i]).real) <= limit, (shape, i)
        along = stiefel.transport(x, v, w, "projection", retraction=retraction, **options)
        np.testing.assert_array_equal(along, got)
        whole = stiefel.transport_jvp(x, v, w, *d, "projection", retraction=retraction, **options)
        parts = stiefel.transport_projection_jvp(x, v, w, *d, retraction, **options)
        np.testing.assert_array_equal(whole, parts)
        by_name = stiefel.transport_vjp(x, v, w, bar, "projection", retraction=retraction, **options)
        np.testing.assert_array_equal(by_name.x_bar, pulled.x_bar)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("retraction", ["qr", "polar"])
def test_projection_transport_in_400_bits(retraction, dtype):
    pytest.importorskip("flint", reason="python-flint gives the reference")
    of = exact(retraction)
    a, d = draw((4, 2), dtype), directions((4, 2), dtype)
    expected = truth.derivative(lambda x, v, w: truth.project(of(x, v), w), a, d, (1, 1, 1))
    got = stiefel.transport_projection_jvp(*a, *d, retraction)
    assert norm(got - expected) <= jvp_limit(retraction, *a, d)


def test_projection_needs_a_retraction():
    a = draw((5, 3), "float64")
    with pytest.raises(ValueError, match="projection needs a retraction"):
        stiefel.transport(*a, "projection")
    with pytest.raises(ValueError, match="the others have none"):
        stiefel.transport(*a, "qr", retraction="qr")
    with pytest.raises(OutsideDomain, match="w is not tangent"):
        stiefel.transport_projection(a[0], a[1], a[2] + 1e-9 * a[0], "qr")


def test_signatures():
    for kind in (*NAMES, "parallel"):
        names = list(signature(getattr(stiefel, f"transport_{kind}")).parameters)
        assert names == ["x", "v", "w", *(["metric"] if kind == "parallel" else []), "scale", "check"]
