"""exp, log, distance: the geodesic equation, identities, closed forms, refusals.

Values and derivatives of exp in 400 bits are in test_retraction.

Limits: |exp| is computed to 10 n eps (1 + |V|), its inverse to the same times the norm of the inverse derivative, which
is at most 10 for the lengths used here but where it says otherwise.
"""

from math import pi

import numpy as np
import pytest
from backends import JAX_LATE, NUMPY, ct, isometry, norm
from exact import BITS, adjoint_hp, lift, size_hp
from retractions import SHAPES, exp_hp, eye_hp, inner, pair, point, tangent

from orthoref import OutsideDomain
from orthoref.stiefel.geodesic import _conjugate, distance, exp, exp_jvp, log, log_jvp, log_vjp
from orthoref.stiefel.metric import skew_weight as weight

pytestmark = pytest.mark.sample(4)

METRICS = ["euclidean", "canonical", 0.7]


def n_eps(x):
    return x.shape[-2] * float(np.finfo(x.dtype).eps)


def length(x, v, metric):
    g = ct(x) @ v
    return (weight(metric) * norm(g) ** 2 + norm(v - x @ g) ** 2) ** 0.5


@pytest.mark.parametrize("metric", [*METRICS, -0.8])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", SHAPES)
def test_geodesic_equation_in_400_bits(shape, dtype, metric):
    """c'' + c c'^H c' + 2 (1 - beta) (I - c c^H) c' c'^H c = 0 for the formula, by differences of step 2^-80.

    They leave 2^-160 of the fourth derivative. The formula is the one that test_retraction compares exp with.
    """
    flint = pytest.importorskip("flint", reason="python-flint gives the reference")
    with flint.ctx.workprec(BITS):
        x, v = (lift(z) for z in pair(shape, dtype, 1.0))
        for _ in range(6):  # points and tangents to 400 bits
            x = (x * (eye_hp(x.ncols()) * 3 - adjoint_hp(x) * x) * flint.acb(0.5)).mid()
        h = adjoint_hp(x) * v
        v = (v - x * (h + adjoint_hp(h)) * flint.acb(0.5)).mid()
        t, beta = flint.acb(flint.arb(2) ** -80), flint.acb(1) / (2 * (flint.acb(_alpha(metric)) + 1))
        before, c, after = (exp_hp(x, v * (flint.acb(0.75) + s), beta).mid() for s in (-t, 0 * t, t))
        first, second = (after - before) * (1 / (2 * t)), (after - 2 * c + before) * (1 / (t * t))
        turned = first * (adjoint_hp(first) * c)
        rest = second + c * (adjoint_hp(first) * first) + (turned - c * (adjoint_hp(c) * turned)) * (2 * (1 - beta))
        assert size_hp(rest) <= 2.0**-140


def _alpha(metric):
    return {"euclidean": -0.5, "canonical": 0.0}.get(metric, metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
@pytest.mark.parametrize("shape", [*SHAPES, (40, 9)])
def test_a_geodesic_continued_is_the_same_geodesic(shape, dtype, metric):
    """exp(c(s), (1 - s) c'(s)) = exp(x, v), and |c'(s)| does not change; 4 evaluations of exp and its derivative."""
    x, v = pair(shape, dtype, 2.0, seed=1)
    c = exp(x, v / 4, metric)
    velocity = exp_jvp(x, v / 4, 0 * x, v, metric)
    limit = 40 * n_eps(x) * (1 + norm(v)) ** 2
    assert norm(exp(c, velocity * x.dtype.type(0.75), metric) - exp(x, v, metric)) <= limit
    assert abs(length(c, velocity, metric) - length(x, v, metric)) <= limit * max(1, weight(metric))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("size", [0.0, 1e-8, 0.5, 1.5])
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [(shape, dtype) for shape in SHAPES for dtype in ("float64", "complex128")]
    + [((6, 3), "float32"), ((5, 4), "complex64"), pytest.param((40, 9), "float64", marks=pytest.mark.exhaustive)],
)
def test_log_undoes_exp(shape, dtype, size, metric):
    x, v = pair(shape, dtype, size, seed=2)
    y = exp(x, v, metric)
    found = log(x, y, metric)
    limit = 100 * n_eps(x) * (1 + norm(v))
    assert norm(found - v) <= limit
    assert norm(exp(x, found, metric) - y) <= limit
    assert abs(float(distance(x, y, metric)) - length(x, v, metric)) <= limit


@pytest.mark.parametrize("metric", METRICS)
def test_distance_is_symmetric(metric):
    x, v = pair((6, 3), "complex128", 1.0, seed=3)
    y = exp(x, v, metric)
    assert abs(float(distance(y, x, metric)) - length(x, v, metric)) <= 100 * n_eps(x) * 2


@pytest.mark.parametrize(("metric", "radius"), [("euclidean", pi), ("canonical", pi * 0.8**0.5)])
@pytest.mark.parametrize(("shape", "dtype"), [((6, 3), "float64"), ((5, 4), "float64"), ((4, 1), "complex128")])
def test_log_of_long_geodesics(shape, dtype, metric, radius):
    """At 0.95 of the radius of injectivity the inverse derivative is 1/sinc(0.95 pi) = 19 on a sphere."""
    if metric == "canonical" and dtype == "complex128":
        radius = pi / 2**0.5 * 0.9
    for seed in range(2):
        x, v = pair(shape, dtype, 1.0, seed=3 + seed)
        v = v * (0.95 * radius / length(x, v, metric))
        found = log(x, exp(x, v, metric), metric)
        assert norm(found - v) <= 1000 * n_eps(x) * (1 + norm(v))


@pytest.mark.exhaustive
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_log_between_random_points(dtype, metric):
    """Typical points of small manifolds are far from each other: found or refused, never wrong and never longer."""
    found = 0
    for seed in range(12):
        x, y = (isometry(5, 3, dtype, 10 * seed + k) for k in (0, 1))
        try:
            v = log(x, y, metric)
        except OutsideDomain:
            continue
        found += 1
        assert norm(exp(x, v, metric) - y) <= 100 * n_eps(x) * (1 + norm(v))
    assert found >= 1


@pytest.mark.parametrize("metric", METRICS)
def test_closed_forms(metric):
    """Spheres: the angle, whatever the metric; unitary matrices: beta^(1/2) times the norm of the angles."""
    x, y = (isometry(7, 1, "float64", seed) for seed in (4, 5))
    angle = 2 * np.arctan2(norm(x - y), norm(x + y))
    assert abs(float(distance(x, y, metric)) - angle) <= 100 * n_eps(x)
    angles = np.asarray([0.3, -0.2, 0.1, 0.4])
    u, q = isometry(4, 4, "complex128", 6), isometry(4, 4, "complex128", 7)
    y = u @ (q * np.exp(1j * angles)) @ ct(q)
    assert abs(float(distance(u, y, metric)) - weight(metric) ** 0.5 * norm(angles)) <= 100 * n_eps(u)
    assert norm(log(u, y, metric) - u @ (q * 1j * angles) @ ct(q)) <= 100 * n_eps(u)


def test_euclidean_and_canonical_agree_where_they_must():
    """Square matrices have the same geodesics; tangents with X^H V = 0 do not."""
    x, v = pair((4, 4), "complex128", 2.0, seed=8)
    assert norm(exp(x, v, "euclidean") - exp(x, v, "canonical")) <= 20 * n_eps(x) * 3
    x, v = pair((6, 2), "float64", 1.0, seed=9)
    assert norm(exp(x, v, "euclidean") - exp(x, v, "canonical")) >= 1e-2


@pytest.mark.parametrize("metric", [0.7])
@JAX_LATE
def test_stacks_in_every_namespace(backend, metric):
    dtype = backend.dtypes[-1]
    pairs = [pair((3, 1), dtype, size, seed=20) for size in (1e-6, 0.3)]
    x, v = (np.stack(z) for z in zip(*pairs, strict=True))
    y = exp(x, v, metric)
    X, Y = backend.asarray(x), backend.asarray(y)
    found, far = log(X, Y, metric), distance(X, Y, metric)
    assert type(found) is type(X) and found.dtype == X.dtype and far.shape == (2,)
    for i, w in enumerate(backend.to_numpy(found)):
        assert norm(w - v[i]) <= 100 * n_eps(x) * (1 + norm(v[i]))
        assert abs(backend.to_numpy(far)[i] - length(x[i], v[i], metric)) <= 100 * n_eps(x) * (1 + norm(v[i]))


@pytest.mark.parametrize("c", [4.0, 2.0**-600, 2.0**600])
def test_scaled(c):
    x, v = pair((5, 2), "float64", 1.0, seed=21)
    y = exp(x, v, "canonical")
    np.testing.assert_array_equal(log(x * c, y * c, "canonical", scale=c), c * log(x, y, "canonical"))
    np.testing.assert_array_equal(distance(x * c, y * c, "canonical", scale=c), c * distance(x, y, "canonical"))


@pytest.mark.parametrize("shape", [(0, 5, 2), (3, 5, 0)])
def test_empty(shape):
    x = np.zeros(shape)
    assert log(x, x, "canonical").shape == shape
    assert log_jvp(x, x, x, x, "canonical").shape == shape
    assert [z.shape for z in log_vjp(x, x, x, "canonical")] == [shape, shape]
    assert distance(x, x, "euclidean").shape == shape[:1] and not distance(x, x, "euclidean").any()


def test_no_geodesic_between_components():
    x = isometry(4, 4, "float64", 22)
    y = x * np.asarray([1.0, 1.0, 1.0, -1.0])
    with pytest.raises(OutsideDomain, match=r"determinants of different sign.*batch index \(1,\)"):
        log(np.stack([x, x]), np.stack([x, y]), "canonical")
    y = x * np.asarray([1.0, 1.0, 1.0, np.exp(3j)])  # joined in U(n)
    assert float(distance(x + 0j, y, "canonical")) == pytest.approx(3 / 2**0.5, rel=1e-13, abs=0)


@pytest.mark.parametrize(("metric", "v_size"), [("euclidean", 1.2), ("canonical", 1.2), (0.7, 1.3)])
@pytest.mark.parametrize("shape", [(6, 3), (4, 4)])
def test_beyond_the_radius_what_is_found_is_not_longer(shape, metric, v_size):
    x, v = pair(shape, "float64", 1.0, seed=23)
    radius = pi * min([1.0 if shape[1] < shape[0] else 9.0, (2 * weight(metric)) ** 0.5])
    v = v * (v_size * radius / length(x, v, metric))
    y = exp(x, v, metric)
    try:
        found = log(x, y, metric)
    except OutsideDomain:
        return
    assert length(x, found, metric) <= radius * (1 + 1e-12)
    assert norm(exp(x, found, metric) - y) <= 100 * n_eps(x) * (1 + norm(found))


@pytest.mark.exhaustive
def test_antipodes_of_a_sphere():
    """Every great circle leads there: a shortest one, of length pi, or a refusal; never NaN."""
    x = point((4, 1), "float64", 24)
    try:
        v = log(x, -x, "euclidean")
    except OutsideDomain:
        return
    assert norm(v) == pytest.approx(pi, rel=1e-7, abs=0)


@pytest.mark.parametrize(("metric", "alpha"), [("euclidean", -0.5), ("canonical", 0)])
def test_names_of_metrics(metric, alpha):
    assert weight(metric) == weight(alpha) == {"euclidean": 1.0, "canonical": 0.5}[metric]


@pytest.mark.parametrize("metric", ["Euclidean", -1, -1.5, np.inf, np.nan, None, True, "0"])
def test_wrong_metric(metric):
    x = np.eye(3, 2)
    for call in (exp, log, distance):
        with pytest.raises(ValueError, match="alpha > -1"):
            call(x, 0 * x if call is exp else x, metric)


def test_wrong_points():
    x = np.eye(3, 2)
    with pytest.raises(OutsideDomain, match="y is not on the manifold"):
        log(x, x * 2, "canonical")
    with pytest.raises(OutsideDomain, match="y has nan"):
        distance(x, x * np.nan, "canonical")
    with pytest.raises(ValueError, match="y has shape"):
        log(x, x[:, :1], "canonical")


def test_the_conjugate_point_is_one():
    """Canonical, V = [0; I]/2^(1/2) in St(4, 2): the derivative of exp is singular at that length, not before."""
    x = np.eye(4, 2)
    basis = [np.eye(1, 8, k).reshape(4, 2) for k in range(4, 8)] + [np.asarray([[0, -1.0], [1, 0], [0, 0], [0, 0]])]
    v = np.zeros((4, 2))
    v[2, 0] = v[3, 1] = 0.5**0.5  # unit length

    def smallest(t):
        columns = [exp_jvp(x, t * v, 0 * x, b, "canonical").ravel() for b in basis]
        return np.linalg.svd(np.stack(columns, axis=1))[1][-1]

    assert smallest(_conjugate(1.0)) <= 1e-6 and _conjugate(1.0) / pi == pytest.approx(0.9133, rel=1e-3, abs=0)
    assert min(smallest(t) for t in np.linspace(0.1, 0.9 * pi, 12)) >= 1e-3


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [*SHAPES, (9, 2)])
def test_derivative_of_log(shape, dtype, metric):
    """exp after log is the identity: D exp(X, V)[X_dot, D log[X_dot, Y_dot]] = Y_dot, and V_dot keeps V tangent.

    The derivative of exp, whose truth is known in 400 bits, decides; the VJP is its adjoint on tangent vectors.
    """
    x, v = pair(shape, dtype, 1.0, seed=30)
    y = exp(x, v, metric)
    x_dot, y_dot, v_bar = tangent(x, 1.0, 31), tangent(y, 1.0, 32, 0.3), tangent(x, 1.0, 33) + x
    v_dot = log_jvp(x, y, x_dot, y_dot, metric)
    limit = 1000 * n_eps(x)
    assert norm(exp_jvp(x, log(x, y, metric), x_dot, v_dot, metric) - y_dot) <= limit
    h = ct(x_dot) @ v + ct(x) @ v_dot
    assert norm(h + ct(h)) <= limit
    x_bar, y_bar = log_vjp(x, y, v_bar, metric)
    assert abs(inner(v_dot, v_bar) - inner(x_dot, x_bar) - inner(y_dot, y_bar)) <= limit
    for z, z_bar in ((x, x_bar), (y, y_bar)):
        assert norm(ct(z) @ z_bar + ct(z_bar) @ z) <= limit


def test_derivative_of_log_refuses_directions_off_the_manifold():
    x, v = pair((5, 2), "float64", 1.0, seed=34)
    y = exp(x, v, "canonical")
    with pytest.raises(OutsideDomain, match="x_dot is not tangent"):
        log_jvp(x, y, x, 0 * y, "canonical")
    with pytest.raises(OutsideDomain, match="y_dot is not tangent"):
        log_jvp(x, y, v, y, "canonical")


def test_derivative_of_log_scaled():
    x, v = pair((5, 2), "float64", 1.0, seed=35)
    y, w = exp(x, v, "euclidean"), tangent(x, 1.0, 36)
    one, scaled = log_jvp(x, y, w, 0 * y, "euclidean"), log_jvp(8 * x, 8 * y, w, 0 * y, "euclidean", scale=8.0)
    np.testing.assert_array_equal(one, scaled)
    for a, b in zip(log_vjp(x, y, w, 0.7), log_vjp(8 * x, 8 * y, w, 0.7, scale=8.0), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(log_jvp(x, y, w * 2.0**900, 0 * y, "euclidean"), one * 2.0**900)
