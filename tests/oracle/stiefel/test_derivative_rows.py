"""Derivatives on the tangent bundle: the truth against differences and the adjoint identity, the unit, the freedom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from backends import BACKENDS

from orthoref import conformance, stiefel, testing
from orthoref.errors import NotJudged, PortFailure
from orthoref.oracle import cases
from orthoref.oracle.cases import drawn
from orthoref.oracle.dual import real_inner
from orthoref.oracle.fixed import Fixed, rounded
from orthoref.oracle.lift import Lifted, lift
from orthoref.oracle.operations import GEOMETRY, ROWS, TANGENT_MAPS
from orthoref.oracle.precision import PRECISIONS, precision_of
from orthoref.oracle.residual import ct, norm
from orthoref.oracle.stiefel import truth
from orthoref.oracle.stiefel.derivative_ratios import FREE
from orthoref.oracle.stiefel.derivative_truth import PULL, PUSH, reduced
from orthoref.oracle.stiefel.truth import herm, project
from orthoref.oracle.verdict import judge

SHAPES = [(4, 4), (6, 3), (2, 5, 1)]
LAWLESS = ("repeatable", "kept", "own memory", "history", "every call", "threads")
MAPS = {
    "stiefel.project": lambda x, v, c: truth.project(x, v),
    "stiefel.gradient": truth.gradient,
    "stiefel.retract_qr": lambda x, v, c: truth.qr(x, v),
    "stiefel.retract_polar": lambda x, v, c: truth.polar(x, v),
    "stiefel.retract_cayley": lambda x, v, c: truth.cayley(x, v),
    "stiefel.exp": truth.exp,
}
over_maps = pytest.mark.parametrize("name", MAPS)
over_rows = pytest.mark.parametrize("row", TANGENT_MAPS.values(), ids=TANGENT_MAPS)
over_dtypes = pytest.mark.parametrize("dtype", ["float32", "complex128"])


def inputs_of(row, shape, dtype="float64", kind="generic", structure="orthonormal", seed=3):
    case = drawn(shape, None, None, dtype, structure=structure, seed=seed)
    case.factors["cotangent"] = kind if kind in row.levels.cotangent else "generic"
    return case.accompanied(row.companions(row.claim()), "x").inputs()


def ours(row, inputs):
    found = row.reference(*inputs.values())
    found = found if isinstance(found, tuple) else (found,)
    return dict(zip(row.outputs, found, strict=True))


def judged(row, inputs, outputs, **options):
    given, found = ({name: lift(name, x) for name, x in each.items()} for each in (inputs, outputs))
    return judge(row, given, found, precision=precision_of(inputs["x"].dtype.name), **options)


# the truth


@over_maps
@over_dtypes
@pytest.mark.parametrize("c", [1.0, 0.4])
def test_push_is_the_derivative_and_pull_its_adjoint(name, dtype, c):
    """Differences of 2^-36 in 120 bits leave 2^-72 of a third derivative; adjoints agree to all bits."""
    row = ROWS[f"{name}_jvp"]
    x, v, x_dot, v_dot = (Fixed.of(each.astype("complex128" if dtype[0] == "c" else "float64"))
                          for each in inputs_of(row, (5, 2), dtype).values())  # fmt: skip
    bar = Fixed.of(cases.cotangent(rounded(x), seed=9, dtype="complex128" if dtype[0] == "c" else "float64"))
    y_dot, (x_bar, v_bar) = PUSH[name](x, v, x_dot, v_dot, c), PULL[name](x, v, bar, c)
    h, map_ = 2.0**-36, MAPS[name]
    difference = (map_(x + x_dot * h, v + v_dot * h, c) - map_(x - x_dot * h, v - v_dot * h, c)) * (0.5 / h)
    # the series of exp ends at 2e-25, which the difference multiplies by 2^36
    assert np.all(norm(rounded(difference - y_dot)) <= (1e-13 if name == "stiefel.exp" else 1e-18))
    gap = real_inner(y_dot, bar) - real_inner(x_dot, x_bar) - real_inner(v_dot, v_bar)
    assert abs(float(rounded(gap).item())) <= 1e-30
    if dtype == "float32":  # tangent to 1e-7 only
        return
    w = v_dot if name in FREE else project(x, v_dot)
    x_bar, v_bar = reduced(x, v, x_bar, v_bar, free=name in FREE)
    gap = real_inner(y_dot, bar) - real_inner(x_dot, x_bar) - real_inner(w, v_bar)
    assert abs(float(rounded(gap).item())) <= 1e-14


@over_maps
def test_the_reduction_removes_what_no_direction_sees(name):
    """X S + V T and X T, S and T Hermitian; of a free V only X S."""
    x, v, bar = inputs_of(ROWS[f"{name}_vjp"], (5, 2), "complex128").values()
    s, t = herm(ct(x) @ bar), herm(ct(bar) @ v)
    normal = (x @ s, 0 * v) if name in FREE else (x @ s + v @ t, x @ t)
    assert all(np.all(norm(each) <= 1e-14) for each in reduced(x, v, *normal, free=name in FREE))
    once = reduced(x, v, bar, v, free=name in FREE)
    twice = reduced(x, v, *once, free=name in FREE)
    assert all(np.all(norm(a - b) <= 1e-14) for a, b in zip(once, twice, strict=True))


def test_directions_stay_on_the_bundle():
    for kind in ("generic", "10", "zero"):
        x, v, x_dot, v_dot = inputs_of(ROWS["stiefel.exp_jvp"], (2, 6, 3), "complex128", kind).values()
        assert np.all(norm(herm(ct(x) @ x_dot)) <= 1e-14)
        assert np.all(norm(herm(ct(x_dot) @ v + ct(x) @ v_dot)) <= 1e-13)
        assert np.all(norm(x_dot) > 0.9) and np.all(norm(v_dot) > 0.9)


# what holds, what does not


@over_rows
@over_dtypes
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_ours_hold(row, dtype, shape):
    inputs = inputs_of(row, shape, dtype)
    assert [*inputs] == [*row.inputs]
    verdict = judged(row, inputs, ours(row, inputs))
    assert verdict.state == "holds", verdict.text("")
    assert all(check.ratio <= 1 for check in verdict.checks)


@over_rows
@pytest.mark.parametrize("kind", ["zero", "1e-8", "10", "horizontal", "vertical", "normal"])
def test_ours_hold_for_every_kind_of_tangent(row, kind):
    inputs = inputs_of(row, (6, 3), "complex128", kind)
    assert judged(row, inputs, ours(row, inputs)).state == "holds"


@over_rows
def test_an_error_far_above_rounding_does_not_hold(row):
    for dtype, size in (("float64", 1e-9), ("complex64", 1e-2)):
        inputs = inputs_of(row, (6, 3), dtype)
        right = ours(row, inputs)
        for name in right:
            wrong = right | {name: (right[name] + size * np.roll(right[name], 1, axis=0)).astype(dtype)}
            verdict = judged(row, inputs, wrong)
            assert not verdict.holds and verdict.reasons


@over_rows
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 1e300])
def test_nonsense_does_not_hold(row, value):
    inputs = inputs_of(row, (6, 3))
    assert judged(row, inputs, {name: np.full((6, 3), value) for name in row.outputs}).state == "fails"


@over_rows
def test_a_single_entry_does_not_pass(row):
    inputs = inputs_of(row, (2, 6, 3))
    for name in row.outputs:
        wrong = {each: np.array(x) for each, x in ours(row, inputs).items()}
        wrong[name][1, 4, 2] = np.nan
        verdict = judged(row, inputs, wrong)
        assert not verdict.holds and all(check.index == (1,) for check in verdict.checks if not check.holds)


@pytest.mark.parametrize("name", [name for name in TANGENT_MAPS if name.endswith("vjp")])
def test_what_the_bundle_does_not_see_is_free(name):
    """Of any size that rounding of it leaves the rest: another gradient, the same on the manifold."""
    row = TANGENT_MAPS[name]
    inputs = inputs_of(row, (6, 3), "complex128")
    x, v, bar = inputs.values()
    first, second = ours(row, inputs).values()
    s, t = herm(ct(x) @ bar), herm(ct(bar) @ v)
    free = name.removesuffix("_vjp") in FREE
    moved = (first + x @ s, second) if free else (first + x @ s + v @ t, second + x @ t)
    assert judged(row, inputs, dict(zip(row.outputs, moved, strict=True))).state == "holds"
    if free:
        assert judged(row, inputs, {row.outputs[0]: first, row.outputs[1]: second + x @ t}).state == "fails"
    else:  # T belongs to both
        assert judged(row, inputs, {row.outputs[0]: first, row.outputs[1]: second + x @ t}).state == "fails"
    assert judged(row, inputs, {row.outputs[0]: first + x @ (s @ s - ct(s)) * 1j, row.outputs[1]: second}).state == (
        "fails"
    )


def test_one_cotangent_alone():
    """That of V, of a port that treats X as constant and says so."""
    row = TANGENT_MAPS["stiefel.retract_polar_vjp"]
    inputs = inputs_of(row, (6, 3))
    assert judged(row, inputs, {"v_bar": ours(row, inputs)["v_bar"]}).state == "holds"
    assert judged(row, inputs, {"v_bar": -ours(row, inputs)["v_bar"]}).state == "fails"
    report = conformance.check(lambda *arrays: stiefel.retract_polar_vjp(*arrays).v_bar, row.name, returns="v_bar",
                               shapes=[(4, 2)], max_cases=3, progress=False, skip=LAWLESS)  # fmt: skip
    assert report.status == "HOLDS", report.text()


@over_rows
def test_the_unit_is_neither_too_small_nor_vacuous(row):
    """Float32 backward errors of every input, of random direction, in float64: above a ten-thousandth of the limit."""
    inputs = inputs_of(row, (6, 3), "float32", seed=9)
    inputs = {name: x.astype(np.float64) for name, x in inputs.items()}
    precision, random, worst = PRECISIONS["float32"], np.random.default_rng(0), 0.0
    function = getattr(stiefel, row.name.removeprefix("stiefel."))
    options = {"metric": "euclidean"} if "metric" in {claim.name for claim in row.claims} else {}
    for _ in range(8):
        changed = {}
        for name, x in inputs.items():
            d = random.standard_normal(x.shape)
            changed[name] = x + 8 * precision.eps * norm(x) * d / norm(d)
        found = function(*changed.values(), check=False, **options)
        outputs = dict(zip(row.outputs, found if isinstance(found, tuple) else (found,), strict=True))
        lifted = ({name: Lifted(x, "float64") for name, x in each.items()} for each in (inputs, outputs))
        verdict = row.measure(*lifted, row.claim(), precision, row.limit)
        worst = max(worst, *(float(x.ratio) for x in verdict.measurements))
    assert row.limit / 1e4 <= worst <= row.limit / 3


def test_a_direction_that_leaves_the_bundle_is_not_judged():
    row = TANGENT_MAPS["stiefel.retract_qr_jvp"]
    inputs = inputs_of(row, (6, 3))
    for name, wrong in (("x_dot", inputs["x"]), ("v_dot", inputs["v_dot"] + inputs["x"])):
        spoiled = inputs | {name: wrong}
        verdict = judged(row, spoiled, {"y_dot": np.ones((6, 3))})
        assert verdict.state == "not judged" and "leaves the tangent bundle" in verdict.notes[0]
        assert "tangent bundle" in row.outside({each: lift(each, x) for each, x in spoiled.items()}, row.claim())


@over_rows
def test_a_conformance_run(row):
    report = conformance.check(row.reference, row.name, shapes=[(4, 4), (5, 2)], dtypes=["float64"], max_cases=3,
                               progress=False, skip=LAWLESS)  # fmt: skip
    assert report.status == "HOLDS", report.text()


@pytest.mark.exhaustive
@over_rows
def test_ours_hold_their_battery(row):
    report = conformance.check(row.reference, row.name, progress=False)
    assert report.status == "HOLDS", report.text()


@over_rows
def test_every_line_recreates_its_inputs(row):
    import orthoref

    case = drawn((2, 5, 3), None, None, "complex64", structure="permutation", seed=4)
    case.factors["cotangent"] = "strided"
    case = case.accompanied(row.companions(row.claim()), "x")
    names = {"orthoref": orthoref}
    exec(case.recreate, names)
    for name, x in case.inputs().items():
        np.testing.assert_array_equal(names[name], x)
    assert case.recreate.count("matrix(") == 1
    other = case.changed((4, 2), dtype="float64", kind="generic").reseeded().inputs()
    assert all(x.shape == (4, 2) and x.dtype == np.float64 for x in other.values())


@over_rows
def test_the_battery(row):
    found = conformance.battery(row.name)
    assert {case.factors["cotangent"] for case in found} == set(row.levels.cotangent)
    for case in found[:: len(found) // 6]:
        if "empty" not in case.factors["class"] and case.factors["batch"] != "length 0":
            given = {name: lift(name, x) for name, x in case.inputs().items()}
            assert row.outside(given, row.claim()) == ""


def test_the_rows():
    kinds = ("vjp", "jvp")
    assert set(TANGENT_MAPS) == {f"{name}_{kind}" for name in MAPS for kind in kinds}
    for name, row in TANGENT_MAPS.items():
        primal = GEOMETRY[name.rpartition("_")[0]]
        assert row.inputs[:2] == primal.inputs and row.claims == primal.claims
        assert replace(row, name="x").reference is row.reference


# by automatic differentiation, and as assertions


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_differentiated_by_a_framework(name):
    backend = next(each for each in BACKENDS if each.name == name)
    backend.require()

    def port(x, v):
        inside = x.swapaxes(-1, -2).conj() @ v
        return v - x @ (inside + inside.swapaxes(-1, -2).conj()) / 2

    few = {"shapes": [(4, 2)], "dtypes": ["complex128"], "max_cases": 2, "progress": False, "skip": LAWLESS,
           "convert": lambda a: backend.asarray(np.array(a))}  # fmt: skip
    for kind in ("vjp", "jvp"):
        report = conformance.check(port, "stiefel.project", derivative=name, kind=kind, **few)
        assert report.status == "HOLDS" and f"as stiefel.project_{kind}" in report.text()
    report = conformance.check(port, "stiefel.gradient", metric="canonical", derivative=name, **few)
    assert report.status == "FAILS" and "gradient for the Euclidean metric" in report.text()


def test_what_has_no_derivative_row():
    few = {"progress": False, "derivative": "torch"}
    with pytest.raises(ValueError, match=r"derivative= belongs to one of .*stiefel.exp, .*not 'stiefel.log'"):
        conformance.check(lambda x, y: x, "stiefel.log", **few)
    with pytest.raises(ValueError, match=r"stiefel.exp has no row for kind='vjp_jvp'"):
        conformance.check(lambda x, v: x, "stiefel.exp", kind="vjp_jvp", **few)


def test_assertions():
    vjp, jvp = TANGENT_MAPS["stiefel.retract_qr_vjp"], TANGENT_MAPS["stiefel.retract_qr_jvp"]
    x, v, y_bar = inputs_of(vjp, (6, 3), "complex64").values()
    x_bar, v_bar = stiefel.retract_qr_vjp(x, v, y_bar)
    testing.assert_vjp("stiefel.retract_qr", (x, v), y_bar, (x_bar, v_bar))
    testing.assert_vjp("stiefel.retract_qr", (x, v), y_bar, (None, v_bar))
    with pytest.raises(PortFailure, match="x_bar and v_bar are conjugated: the gradient convention of JAX"):
        testing.assert_vjp("stiefel.retract_qr", (x, v), y_bar, (np.conj(x_bar), np.conj(v_bar)))
    with pytest.raises(ValueError, match="a must be 2 arrays: x, v"):
        testing.assert_vjp("stiefel.retract_qr", x, y_bar, (x_bar, v_bar))
    with pytest.raises(NotJudged, match="not on the manifold"):
        testing.assert_vjp("stiefel.retract_qr", (2 * x, v), y_bar, (x_bar, v_bar))
    *point, x_dot, v_dot = inputs_of(jvp, (6, 3), "complex64").values()
    y_dot = stiefel.retract_qr_jvp(*point, x_dot, v_dot)
    testing.assert_jvp("stiefel.retract_qr", point, (x_dot, v_dot), y_dot)
    with pytest.raises(PortFailure, match="X is treated as constant"):
        testing.assert_jvp("stiefel.retract_qr", point, (x_dot, v_dot),
                           stiefel.retract_qr_jvp(*point, 0 * x_dot, v_dot, check=False))  # fmt: skip
    with pytest.raises(ValueError, match="a_dot must be 2 arrays: x_dot, v_dot"):
        testing.assert_jvp("stiefel.retract_qr", point, x_dot, y_dot)
    x, g, bar = inputs_of(TANGENT_MAPS["stiefel.gradient_vjp"], (6, 3)).values()
    found = stiefel.gradient_vjp(x, g, bar, "canonical")
    testing.assert_vjp("stiefel.gradient", (x, g), bar, found, metric="canonical")
    with pytest.raises(PortFailure, match="gradient for the canonical metric"):
        testing.assert_vjp("stiefel.gradient", (x, g), bar, found)


def test_a_division_by_small_differences_is_no_shorter_format():
    """Both lose as many digits; where singular values differ, only a shorter format does."""
    row = TANGENT_MAPS["stiefel.retract_polar_vjp"]
    for kind, words in (("0.01", "divides by their differences"), ("generic", "accurate to tf32 only")):
        inputs = inputs_of(row, (15, 2), "complex64", kind)
        right = ours(row, inputs)
        noise = cases.cotangent(inputs["x"], seed=4, dtype="complex64")
        outputs = {name: (y + 1e-3 * norm(y) * noise).astype("complex64") for name, y in right.items()}
        said = " ".join(judged(row, inputs, outputs).reasons)
        assert words in said and ("accurate to" in said) == (kind == "generic"), said
