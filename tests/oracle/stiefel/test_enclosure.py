"""Enclosures on the Stiefel manifold against truth found in other ways; what the theorems say in numbers."""

from __future__ import annotations

import json
import sys
from math import cos, pi, sin, sqrt

import numpy as np
import pytest

flint = pytest.importorskip("flint")

from flint import acb_mat, arb, arb_mat, ctx  # noqa: E402
from stiefel_enclosures import ALL_METRICS, BITS, METRIC_FREE, OPERATIONS, SHAPES, Case, broken, drawn, truth  # noqa: E402

from orthoref import NotCertified, NotConverged, OutsideDomain, certify, exchange, stiefel  # noqa: E402
from orthoref.oracle.stiefel import enclosure  # noqa: E402

over_operations = pytest.mark.parametrize("name", OPERATIONS)
over_dtypes = pytest.mark.parametrize("dtype", ["float64", "complex128"])
QUICK = {"exp": (4, ((3, 1), (3, 3), (4, 2))), "log": (3, ((2, 1), (3, 1), (3, 2)))}  # cases in 0.3 s; truth is slow


def certified(case: Case, given=None, **options):
    return getattr(certify.stiefel, case.name)(*case.arguments(), given, **options)


def pair(shape, dtype="float64", seed=0, length=1.0):
    rng = np.random.default_rng(seed)
    x = stiefel.random_point(shape, rng=rng, dtype=dtype)
    v = stiefel.random_tangent(x, "euclidean", rng=rng)
    size = np.linalg.norm(v)
    return x, v * (length / size) if size > 0 else v


def violations(name, seeds, shapes=SHAPES):
    """Of drawn cases, with random matrices as given values; those without a proof are none."""
    said = []
    for seed in seeds:
        rng = np.random.default_rng([seed, OPERATIONS.index(name)])
        case = drawn(name, rng, shapes)
        given = (rng.standard_normal(case.x.shape) * 10.0 ** -rng.integers(16)).astype(case.x.dtype)
        try:
            found = certified(case, given, digits=12 + seed % 20)
        except (OutsideDomain, NotConverged):
            assert name == "log"  # a geodesic that is too long, or none found
            continue
        said += [f"{seed}: {words}" for words in [broken(case, found, given)] if words]
    return said


@over_operations
@pytest.mark.parametrize("part", range(3))
def test_the_exact_value_is_inside_and_the_bounds_hold(name, part):
    count, shapes = QUICK.get(name, (8, SHAPES))
    assert violations(name, range(4 + part * count, 4 + (part + 1) * count), shapes) == []


@over_operations
@pytest.mark.exhaustive
def test_no_violation_of_many(name):
    assert violations(name, range(1000, 1020 if name == "log" else 1150)) == []


@over_operations
@over_dtypes
def test_a_wrong_truth_is_seen(name, dtype):
    """The comparison can fail: the value at another vector, and errors that are not those of the given matrix."""
    x, v = pair((2, 1) if name == "log" else (3, 2), dtype)
    other = v * (1 + 1e-13)
    arguments = [stiefel.exp(x, z, "canonical") if name == "log" else z for z in (v, other)]
    cases = [Case(name, x, z, "canonical", False) for z in arguments]
    given = np.zeros_like(x)
    found = certified(cases[1], given)
    assert "inside" in broken(cases[0], found, given)
    assert broken(cases[1], found, given) == ""
    assert "error" in broken(cases[1], found, given + 1e-12)


@over_dtypes
@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (3, 3), (5, 2)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_public_is_within_rounding_of_the_enclosure(name, shape, dtype):
    x, v = pair(shape, dtype, length=1.5)
    for metric in ALL_METRICS if name in ("gradient", "exp") else ["euclidean"]:
        case = Case(name, x, stiefel.exp(x, v, metric) if name == "log" else v, metric, False)
        with ctx.workprec(53):
            found = certified(case, getattr(stiefel, name)(*case.arguments()))
        assert found.error[1] <= 100 * 2.0**-52 and found.radius <= 1e-28 and found.bits == 124


# --- logarithms that are known ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ALL_METRICS)
def test_a_quarter_of_a_great_circle(metric):
    found = certify.stiefel.log(np.eye(3, 1), np.eye(3, 1, k=-1), metric, digits=40)
    with ctx.workprec(300):
        assert found.value[1, 0].contains(arb.pi() / 2) and found.value[0, 0].contains(0)
    assert found.length[0] <= pi / 2 <= found.length[1] <= pi / 2 * (1 + 1e-14)
    assert found.shortest


@pytest.mark.parametrize(("metric", "length"), [("euclidean", sqrt(0.5) * pi), ("canonical", pi / 2), (1.5, 0.993458)])
def test_a_turn_of_two_columns(metric, length):
    turn = np.eye(3)[:, [1, 0, 2]] * [1, -1, 1]  # X skew(A), A = [[0, -pi/2], [pi/2, 0]]
    found = certify.stiefel.log(np.eye(3), turn, metric)
    with ctx.workprec(300):
        assert found.value[1, 0].contains(arb.pi() / 2) and found.value[0, 1].contains(-arb.pi() / 2)
    assert found.length == pytest.approx((length, length), rel=1e-6, abs=0) and found.shortest


def test_a_phase():
    found = certify.stiefel.log(np.eye(1) + 0j, np.array([[1j]]), "canonical")
    with ctx.workprec(300):
        assert found.value[0, 0].imag.contains(arb.pi() / 2) and found.value[0, 0].real.contains(0)


def test_shortest_is_said_where_it_is_proved():
    x, v = pair((4, 2), seed=3)
    for metric, length, expected in (("euclidean", 2.0, True), ("canonical", 2.0, True), (1.5, 0.5, False)):
        v = v / stiefel.norm(x, v, metric) * length
        found = certify.stiefel.log(x, stiefel.exp(x, v, metric), metric, v)
        assert found.shortest is expected and found.error[1] < 1e-14
    for metric, length, expected in (("canonical", 2.80, True), ("canonical", 2.82, False), ("euclidean", 3.1, True)):
        v = length * np.eye(4, 2, k=-2) * [1, 0]  # of a great circle
        assert certify.stiefel.log(np.eye(4, 2), stiefel.exp(np.eye(4, 2), v, metric), metric).shortest is expected
    z, w = pair((3, 1), "complex128")
    assert not certify.stiefel.log(z, stiefel.exp(z, w / 2, "canonical"), "canonical").shortest
    assert certify.stiefel.log(z, stiefel.exp(z, w / 2, "euclidean"), "euclidean").shortest


@pytest.mark.parametrize(
    ("n", "p", "complex_", "c", "radius"),
    [(3, 3, False, 0.5, pi), (3, 3, True, 0.5, sqrt(0.5) * pi), (3, 3, False, 1.0, sqrt(2) * pi),
     (4, 2, False, 1.0, pi), (4, 2, True, 1.0, pi), (4, 1, False, 0.2, pi), (4, 1, True, 0.2, 0),
     (4, 2, False, 0.5, sqrt(0.8) * pi),
     (4, 2, True, 0.5, 0), (4, 2, False, 0.2, 0)],
)  # fmt: skip
def test_known_bounds_of_the_injectivity_radius(n, p, complex_, c, radius):
    kind = acb_mat if complex_ else arb_mat
    found = enclosure._injectivity(kind(n, p), arb(c))
    assert found <= radius and found == pytest.approx(radius, rel=1e-14, abs=0)


# --- what the theorems say --------------------------------------------------------------------------------------------


def on_the_circle(monkeypatch, start, refined=None):
    """The logarithm from e_1 to e_2, a quarter of a turn, is approximated by other angles."""
    v = np.array([[0.0], [start]])
    monkeypatch.setattr(enclosure, "approximate_log", lambda *_: v)
    moved = arb_mat([[0], [start if refined is None else refined]])
    monkeypatch.setattr(enclosure, "_refined", lambda *_: moved)
    return np.eye(2, 1), np.eye(2, 1, k=-1)


@pytest.mark.parametrize(
    ("metric", "ell"), [("euclidean", 3.0), ("canonical", sqrt(2)), (-0.75, 7.0), (1.5, sqrt(2) + 0.6)]
)
@pytest.mark.parametrize("moved", [0.0, 1e-3])
def test_the_bounds_are_those_of_the_theorem(monkeypatch, metric, ell, moved):
    """(SC8) to (SC10) for an angle that is off by d; the derivative is known where it is off by d + moved."""
    d = 1e-4
    points = on_the_circle(monkeypatch, pi / 2 + d + moved, pi / 2 + d)
    found = certify.stiefel.log(*points, metric, digits=1)
    size = sqrt(1 + 1 / cos(d + moved) ** 2)  # cos d on the tangents, 1 on the normals
    k = size / (1 - size * ell**2 * moved)
    assert found.radius == pytest.approx(2 * k * sin(d), rel=1e-9, abs=0)
    assert found.unique == pytest.approx(1 / (k * ell**2), rel=1e-9, abs=0)
    assert found.value[1, 0].contains(arb(pi) / 2)


def test_an_uncertain_derivative_counts(monkeypatch):
    points, exact = on_the_circle(monkeypatch, pi / 2), enclosure._derivative

    def uncertain(*arguments):
        j = exact(*arguments)
        return arb_mat(2, 2, [entry + arb(0, 0.01) for entry in j.entries()])

    monkeypatch.setattr(enclosure, "_derivative", uncertain)
    found = certify.stiefel.log(*points, "canonical", digits=1)
    assert found.unique == pytest.approx((1 - 0.02) / sqrt(2) / 2, rel=1e-9, abs=0)  # R is orthogonal


def test_uncertain_points_count(monkeypatch):
    points = on_the_circle(monkeypatch, pi / 2)
    monkeypatch.setattr(enclosure, "enclose_unitary_factor", lambda z: (z, 1e-4, 1.0))
    assert 1e-4 < certify.stiefel.log(*points, "canonical", digits=1).radius < 1e-2


@pytest.mark.parametrize(("off", "proved"), [(0.02, True), (0.1, False), (-pi, False)])
def test_how_near_the_approximation_has_to_be(monkeypatch, off, proved):
    """At 0.1 is 2 k ell^2 a = 3.6; from the antipode of e_2 nothing is to be seen in P_Y."""
    points = on_the_circle(monkeypatch, pi / 2 + off)
    if proved:
        assert certify.stiefel.log(*points, "euclidean", digits=1, max_bits=68).radius < 0.1
        return
    with pytest.raises(NotCertified, match="residual"):
        certify.stiefel.log(*points, "euclidean", digits=1, max_bits=68)


@pytest.mark.parametrize("size", [1e-6, 1e-3, 0.03, 0.1, 1.0])
@over_dtypes
def test_the_approximation_is_not_trusted(monkeypatch, size, dtype):
    """Without refinement the enclosure holds the exact logarithm still, or there is none."""
    x, v = pair((3, 2), dtype, seed=1)
    y = stiefel.exp(x, v, "canonical")
    exact = certify.stiefel.log(x, y, "canonical")
    monkeypatch.setattr(enclosure, "approximate_log", lambda *_: v + size * pair((3, 2), dtype, seed=2)[1])
    monkeypatch.setattr(enclosure, "_refined", lambda x, y, v, c, inverse: v)
    try:
        found = certify.stiefel.log(x, y, "canonical", digits=1, max_bits=68)
    except NotCertified:
        assert size >= 0.03
        return
    assert size <= 0.03
    assert all(ball.overlaps(value) for ball, value in zip(found.value.entries(), exact.value.entries(), strict=True))
    far = np.linalg.norm(enclosure.midpoints(found.value) - enclosure.midpoints(exact.value))
    assert size / 4 < far <= found.radius


@pytest.mark.parametrize("wrong", [lambda v: -v, np.conj, lambda v: 2 * v, lambda v: 0 * v])
def test_another_matrix_is_not_proved(monkeypatch, wrong):
    x, v = pair((4, 2), "complex128", seed=1)
    y = stiefel.exp(x, v, "euclidean")
    monkeypatch.setattr(enclosure, "approximate_log", lambda *_: wrong(v))
    monkeypatch.setattr(enclosure, "_refined", lambda x, y, v, c, inverse: v)
    with pytest.raises(NotCertified):
        certify.stiefel.log(x, y, "euclidean", max_bits=124)


def test_a_singular_derivative_is_refused(monkeypatch):
    """Antipodes on the sphere are conjugate: the derivative at half a great circle has rank one."""
    monkeypatch.setattr(enclosure, "approximate_log", lambda *_: np.array([[0.0], [pi], [0.0]]))
    with pytest.raises(NotCertified, match="logarithm at the 3 x 1 point"):
        certify.stiefel.log(np.eye(3, 1), -np.eye(3, 1), "euclidean", max_bits=124)


@over_dtypes
def test_what_the_balls_lack_is_added(dtype):
    x = np.eye(3, 2).astype(dtype)
    ball = arb(0, 0.01)

    def value(x, v):
        return type(x)(3, 2, [entry + ball for entry in x.entries()]), 0.05

    found = enclosure._certified(
        certify.stiefel.StiefelCertificate, "", value, {"x": x, "v": x}, ("y", x + 1), 1, 64 + 4
    )
    assert found.radius == pytest.approx(0.01 * sqrt(6) + 0.05, rel=1e-8, abs=0)
    entry = found.value[0, 0]
    assert entry.contains(1.0599) and not entry.contains(1.0601)
    assert found.error[0] <= sqrt(6) <= found.error[1]
    if dtype == "complex128":
        assert entry.contains(1 + 0.0499j) and not entry.contains(1 + 0.0501j)
    assert found.u is found.grad is found.y is found.v is found.value


@over_dtypes
def test_the_cholesky_factor(dtype):
    r = np.array([[2.0, 0.5 + 0.25j, 1j], [0, 1.0, -0.5], [0, 0, 0.5]])
    r = r if dtype == "complex128" else r.real
    kind, scalar = (acb_mat, complex) if dtype == "complex128" else (arb_mat, float)
    found = enclosure._cholesky(kind(3, 3, [scalar(z) for z in (np.conj(r.T) @ r).ravel()]))
    assert np.array_equal(enclosure.midpoints(found), r)


@pytest.mark.parametrize(("size", "n"), [(1.0, 5), (1e6, 4), (1e100, 4)])
def test_long_steps_take_more_bits(size, n):
    x, v = pair((n, 2), length=size)
    found = certify.stiefel.exp(x, v, "euclidean", digits=20)
    assert found.radius <= 1e-20 and found.bits >= np.log2(size)


@over_operations
def test_exported_cases_come_with_the_exact_result(name, tmp_path):
    claims = {} if name in METRIC_FREE else {"metric": "canonical"}
    options = {"dtypes": ["complex128"], "shapes": [(3, 2)], "max_cases": 4, "progress": False}
    exchange.export(f"stiefel.{name}", tmp_path / "e", **options, **claims)
    cases = json.loads((tmp_path / "e" / "manifest.json").read_text())["cases"]
    for case in cases:
        inputs = [np.load(tmp_path / "e" / each["file"]) for each in case["inputs"]]
        parts = np.array([float.fromhex(word) for word in case["outputs"][0]["midpoint"]])
        found = certified(Case(name, *inputs, "canonical", False), parts.view(complex).reshape(3, 2))
        radius = float.fromhex(case["outputs"][0]["radius"][0])
        assert 0 < found.error[1] <= sqrt(6) * radius <= 1e-14 * max(1.0, np.abs(parts).max())
    assert len(cases) == 4


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "words"), [("retract_qr", "column [12] of X"), ("retract_polar", "")])
@pytest.mark.parametrize("x", [np.eye(3, 2), np.eye(2), np.array([[1.0, 1.0], [0, 0]])])
def test_rank_deficient_sums_are_refused(name, words, x):
    v = -x if x[0, 1] == 0 else 0 * x
    with pytest.raises(NotCertified, match=f"could not be enclosed to 15 digits: {words}"):
        getattr(certify.stiefel, name)(x, v, max_bits=300)


def test_points_without_rank_have_no_nearest_one():
    with pytest.raises(NotCertified, match="the logarithm at the 3 x 2 point"):
        certify.stiefel.log(np.zeros((3, 2)), np.eye(3, 2), "euclidean", max_bits=300)


def test_components_and_antipodes():
    with pytest.raises(OutsideDomain, match="determinants of different sign"):
        certify.stiefel.log(np.eye(2), np.diag([1.0, -1.0]), "euclidean")
    with pytest.raises(OutsideDomain, match=r"beyond 2.22144 c none is the only"):
        certify.stiefel.log(np.eye(2) + 0j, np.diag([np.exp(3j), np.exp(1j)]), "canonical")


def test_too_many_digits_for_the_bits():
    x, v = pair((3, 2))
    with pytest.raises(NotCertified, match="100 digits: so many digits take more than 300 bits"):
        certify.stiefel.project(x, v, digits=100, max_bits=300)
    with pytest.raises(NotCertified, match=r"radius \S+ with 124 bits"):
        certify.stiefel.exp(x, 1e30 * v, "canonical", max_bits=200)


@over_operations
def test_bad_arguments(name):
    x, v = pair((3, 2))
    options = () if name not in ("gradient", "exp", "log") else ("canonical",)
    function = getattr(certify.stiefel, name)
    for arguments, error, words in (
        ((x.T, v.T), ValueError, "more columns than rows"),
        ((x, v[:, :1]), ValueError, r"has shape \(3, 1\), not \(3, 2\)"),
        ((np.stack([x, x]), v), ValueError, "one matrix, not a stack"),
        ((x, v * np.nan), OutsideDomain, "has nan at entry"),
        (("x", v), TypeError, "x must be an array"),
    ):
        with pytest.raises(error, match=words):
            function(*arguments, *options)
    with pytest.raises(ValueError, match=r"has shape \(2, 2\)"):
        function(x, v, *options, np.eye(2))
    with pytest.raises(ValueError, match="digits=0"):
        function(x, v, *options, digits=0)


@pytest.mark.parametrize("name", ["gradient", "exp", "log"])
@pytest.mark.parametrize("metric", ["euclid", -1.0, None])
def test_unknown_metrics(name, metric):
    with pytest.raises(ValueError, match="is not euclidean, canonical or a number alpha > -1"):
        getattr(certify.stiefel, name)(np.eye(2), np.eye(2), metric)


@over_operations
@pytest.mark.parametrize("shape", [(0, 0), (3, 0)])
def test_empty_matrices(name, shape):
    found = certified(Case(name, np.zeros(shape), np.zeros(shape), "canonical", False), np.zeros(shape))
    assert found.radius == pytest.approx(0, rel=0, abs=1e-300) and found.error[1] <= 1e-300
    assert (found.value.nrows(), found.value.ncols()) == shape


@over_operations
def test_balls_are_complex_where_something_is(name):
    x, v = pair((3, 2))
    real = Case(name, x, stiefel.exp(x, v, "canonical") if name == "log" else v, "canonical", False)
    assert isinstance(certified(real).value, arb_mat)
    assert isinstance(certified(real._replace(v=real.v + 0j)).value, acb_mat)
    off = certified(real, getattr(stiefel, name)(*real.arguments()) + 0.5j * np.eye(3, 2)).error
    assert off == pytest.approx((sqrt(0.5), sqrt(0.5)), rel=1e-14, abs=0)


@over_operations
def test_the_precision_of_the_context_is_restored(name):
    x, v = pair((3, 2))
    case = Case(name, x, stiefel.exp(x, v, "canonical") if name == "log" else v, "canonical", False)
    with ctx.workprec(77):
        certified(case)
        with pytest.raises(NotCertified):
            certified(case, max_bits=100)
        assert ctx.prec == 77


@over_operations
def test_without_flint_the_extra_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(ImportError, match="certify"):
        certified(Case(name, np.eye(2), np.eye(2), "canonical", False))


def test_the_truth_of_points_without_rounding_is_that_of_the_definition():
    """Two ways to the truth, from the entries and by n x n matrices, agree where both are defined."""
    rng = np.random.default_rng(3)
    for name in ("exp", "retract_cayley"):
        case = drawn(name, rng)
        while not case.exact or case.x.shape != (4, 2) or not 0.01 < np.linalg.norm(case.v) < 20:
            case = drawn(name, rng)
        with ctx.workprec(BITS):
            two = [[z for both in truth(case._replace(exact=exact)) for z in both] for exact in (True, False)]
            assert all(abs((s - t).mid()) < 2.0**-600 for s, t in zip(*two, strict=True))
