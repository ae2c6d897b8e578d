"""What every row of the geometry gets for free; rows are named only where they differ."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest

from orthoref import conformance, stiefel
from orthoref.cli import main
from orthoref.oracle.cases import Case, cotangent, drawn
from orthoref.oracle.lift import lift
from orthoref.oracle.operations import GEOMETRY, TANGENT_MAPS
from orthoref.oracle.precision import precision_of
from orthoref.oracle.verdict import judge

pytestmark = pytest.mark.sample(4)

SHAPES = [(4, 4), (6, 3), (2, 5, 1)]
LAWLESS = ("repeatable", "kept", "own memory", "history", "every call", "threads")
over_rows = pytest.mark.parametrize("row", GEOMETRY.values(), ids=GEOMETRY)
over_dtypes = pytest.mark.parametrize("dtype", ["float32", "complex128"])


def case_of(row, shape, dtype="float64", kind="generic", structure="orthonormal", seed=3) -> Case:
    made = drawn(shape, None, None, dtype, structure=structure, seed=seed)
    made.factors["cotangent"] = kind
    return made.accompanied(row.companions(row.claim()), row.inputs[0])


def judged(row, inputs, output, **options):
    given = {name: lift(name, x) for name, x in inputs.items()}
    found = {row.outputs[0]: lift(row.outputs[0], output)}
    return judge(row, given, found, precision=precision_of(inputs["x"].dtype.name), **options)


def reference(row, inputs):
    return row.reference(*inputs.values())


@over_rows
@over_dtypes
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_ours_hold(row, dtype, shape):
    inputs = case_of(row, shape, dtype).inputs()
    assert [*inputs] == [*row.inputs]
    verdict = judged(row, inputs, reference(row, inputs))
    assert verdict.state == "holds", verdict.text("")
    assert all(check.ratio <= 1 for check in verdict.checks)


@over_rows
@pytest.mark.parametrize("kind", ["zero", "1e-8", "10", "horizontal", "vertical"])
def test_ours_hold_for_every_kind_of_tangent(row, kind):
    if kind not in row.levels.cotangent:
        pytest.skip("no such tangents")
    inputs = case_of(row, (6, 3), "complex128", kind).inputs()
    assert judged(row, inputs, reference(row, inputs)).holds


@over_rows
def test_an_error_far_above_rounding_does_not_hold(row):
    """1e-9 of the whole in binary64, 1e-2 in binary32, in every direction, and where nothing else is wrong."""
    for dtype, size in (("float64", 1e-9), ("complex64", 1e-2)):
        inputs = case_of(row, (6, 3), dtype).inputs()
        right = reference(row, inputs)
        wrong = right + size * np.roll(right, 1, axis=0)
        verdict = judged(row, inputs, wrong.astype(dtype))
        assert not verdict.holds and verdict.reasons


@over_rows
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_nonsense_does_not_hold(row, value):
    inputs = case_of(row, (6, 3)).inputs()
    wrong = reference(row, inputs)
    wrong[...] = value
    assert judged(row, inputs, wrong).state == "fails"


@over_rows
def test_a_single_entry_does_not_pass(row):
    inputs = case_of(row, (2, 6, 3)).inputs()
    wrong = reference(row, inputs)
    wrong[1, 4, 2] = np.nan
    verdict = judged(row, inputs, wrong)
    assert not verdict.holds and all(check.index == (1,) for check in verdict.checks if not check.holds)


@over_rows
@pytest.mark.parametrize("spoil", [lambda x: 2 * x, lambda x: 0 * x, lambda x: np.swapaxes(x, -1, -2).copy()])
def test_what_is_no_point_is_not_judged(row, spoil):
    """Off the manifold, or with more columns than rows; other members of a stack are."""
    inputs = case_of(row, (6, 3)).inputs()
    spoiled = {name: spoil(x) for name, x in inputs.items()}
    verdict = judged(row, spoiled, np.ones_like(spoiled["x"]))
    assert verdict.state == "not judged" and "x" in verdict.notes[0]
    given = {name: lift(name, x) for name, x in spoiled.items()}
    assert row.outside(given, row.claim()).startswith("not judged: x")
    if spoiled["x"].shape == (6, 3):
        stacked = {name: np.stack([inputs[name], spoiled[name]]) for name in inputs}
        right = np.stack([reference(row, inputs)] * 2)
        right[1] = 7
        assert judged(row, stacked, right).judged == (1, 2) and judged(row, stacked, right).holds
        right[0] = 7
        assert not judged(row, stacked, right).holds


@over_rows
def test_what_is_not_tangent_is_not_judged(row):
    tangents = [name for name, like in row.companions(row.claim()).items() if like == "tangent"]
    if not tangents:
        pytest.skip("takes no tangent")
    inputs = case_of(row, (6, 3)).inputs()
    inputs[tangents[0]] = inputs[tangents[0]] + inputs["x"]
    verdict = judged(row, inputs, np.ones((6, 3)))
    assert verdict.state == "not judged" and "not tangent" in verdict.notes[0]


@over_rows
def test_a_wrong_shape_is_a_fault(row):
    inputs = case_of(row, (6, 3)).inputs()
    assert "has shape (3, 6), not (6, 3)" in judged(row, inputs, np.ones((3, 6))).faults[0]


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
def test_ours_are_public(row):
    """The function of that name, with the metric that is the default of the claim."""
    function = getattr(row.reference, "func", row.reference)
    assert function is getattr(stiefel, row.name.removeprefix("stiefel."))


@over_rows
def test_every_line_recreates_its_inputs(row):
    import orthoref

    case = case_of(row, (2, 5, 3), "complex64", structure="permutation")
    names = {"orthoref": orthoref}
    exec(case.recreate, names)
    for name, x in case.inputs().items():
        np.testing.assert_array_equal(names[name], x)


@over_rows
def test_the_battery(row):
    found = conformance.battery(row.name)
    assert all(case.shape[-2] >= case.shape[-1] for case in found)
    seen = {name: {case.factors[name] for case in found} for name in found[0].factors}
    assert seen["cotangent"] == set(row.levels.cotangent)
    assert {"square", "tall", "column", "1x1", "very tall", "empty"} <= seen["class"]
    assert {"orthonormal", "permutation", "diagonal", "monomial"} <= seen["structure"]
    for case in found[:: len(found) // 12]:
        if "empty" not in case.factors["class"] and case.factors["batch"] != "length 0":
            inputs = case.inputs()
            given = {name: lift(name, x) for name, x in inputs.items()}
            assert row.outside(given, row.claim()) == ""


def test_the_skew_part_is_never_small():
    """|X^H V| of generic tangents is 1/sqrt(2) wherever there is a part outside, 1 where there is none."""
    for shape, dtype in (((40, 2), "float64"), ((40, 2), "complex128"), ((5, 5), "float32"), ((9, 1), "complex64")):
        x = drawn(shape, None, None, dtype, structure="permutation").matrix()
        v = cotangent(x, like="tangent", dtype=dtype, seed=1)
        inside = np.linalg.norm(np.conj(x).T @ v)
        assert inside == pytest.approx(1 if shape[0] == shape[1] else 0.5**0.5, rel=1e-5, abs=0)
        assert np.linalg.norm(v) == pytest.approx(1, rel=1e-5, abs=0)


def test_a_port_on_the_command_line(capsys, tmp_path, monkeypatch):
    (tmp_path / "mymanifold.py").write_text("def retract(x, v):\n    return x + v\n")
    monkeypatch.chdir(tmp_path)
    arguments = ["check", "mymanifold:retract", "--op", "stiefel.retract", "--metric", "canonical", "--order", "2",
                 "--shape", "4x2", "--dtype", "float64", "--max-cases", "4"]  # fmt: skip
    assert main(arguments) == 1
    assert "columns are not orthonormal" in capsys.readouterr().out


@pytest.mark.parametrize(("claims", "words"), [
    ({"metric": "hyperbolic"}, "is not euclidean"), ({"metric": -1}, "alpha > -1"), ({"metric": True}, "is not"),
    ({"scale": 0}, "is not a positive number"), ({"scale": "wide"}, "is not a positive"), ({"scale": True}, "positive"),
    ({"metric": float("nan")}, "alpha"), ({"order": 3}, "is not 1 or 2"), ({"order": True}, "is not 1 or 2"),
])  # fmt: skip
def test_claims_are_checked(claims, words):
    with pytest.raises(ValueError, match=words):
        GEOMETRY["stiefel.retract"].claim(**claims)


@pytest.mark.sample(8)
@pytest.mark.parametrize("scale", [3.0, 0.01])
@pytest.mark.parametrize(
    "row",
    [
        pytest.param(
            row, id=name, marks=pytest.mark.exhaustive if "exp" in name else ()
        )  # truth in 120 bits, half a second
        for name, row in (GEOMETRY | TANGENT_MAPS).items()
    ],
)
def test_scaled_manifolds(row, scale):
    """Ours hold with the scale that is claimed, and not with another one."""
    options = {"shapes": [(5, 2)], "dtypes": ["complex128"], "max_cases": 2, "progress": False, "skip": LAWLESS}
    report = conformance.check(partial(row.reference, scale=scale), row.name, scale=scale, **options)
    assert report.status == "HOLDS" and f"scale={scale:g}" in report.text(), report.text()
    wrong = partial(row.reference, scale=1.01 * scale, check=False)
    assert conformance.check(wrong, row.name, scale=scale, **options).status == "FAILS"


@pytest.mark.parametrize(("name", "port", "words"), [
    ("stiefel.project", lambda x, v: stiefel.project(x, v, check=False), "1/c.2 is missing"),
    ("stiefel.gradient", lambda x, g: stiefel.gradient(x, g, "euclidean", check=False), "1/c.2 is missing"),
    ("stiefel.retract_polar", lambda x, v: stiefel.retract_polar(x / 3, v / 3), "factor c = 3 of the result is"),
    ("stiefel.retract_qr", lambda x, v: 3 * stiefel.retract_qr(x / 3, v), "V is not divided by c = 3"),
    ("stiefel.exp", lambda x, v: stiefel.exp(x / 3, v, "euclidean"), "V is not divided by c = 3, and the result"),
])  # fmt: skip
def test_mistakes_about_the_scale(name, port, words):
    options = {"shapes": [(5, 2)], "dtypes": ["complex128"], "max_cases": 2, "progress": False, "skip": LAWLESS}
    report = conformance.check(port, name, scale=3.0, **options)
    assert report.status == "FAILS" and re.search(words, report.text()), report.text()


def test_the_order_of_a_scaled_retraction():
    case = case_of(GEOMETRY["stiefel.retract"], (5, 3), "complex128").times(3)
    few = {"shapes": [(5, 3)], "dtypes": ["complex128"], "max_cases": 1, "scale": 3.0, "order": 2, "progress": False,
           "skip": LAWLESS}  # fmt: skip
    assert conformance.check(partial(stiefel.retract_polar, scale=3.0), "stiefel.retract", **few).status == "HOLDS"
    report = conformance.check(partial(stiefel.retract_qr, scale=3.0), "stiefel.retract", **few)
    assert "first order only" in report.text()
    np.testing.assert_allclose(case.matrix().conj().T @ case.matrix(), 9 * np.eye(3), rtol=0, atol=1e-14)


def test_the_family_of_metrics():
    claim = GEOMETRY["stiefel.gradient"].claim
    assert claim("euclidean").c == claim(-0.5).c == 1 and claim("canonical").c == claim(0).c == 0.5
    assert claim("0.25").c == 0.4 and str(claim("canonical")) == "metric=canonical"


ROTATION, PHASE = np.array([[0.0, -1.0], [1.0, 0.0]]), np.diag([1j, 0])


@pytest.mark.parametrize(("x", "a", "metric", "radius"), [
    (np.eye(1) + 0j, np.array([[1j]]), "canonical", 0.5**0.5), (np.eye(3, 2) + 0j, PHASE, "canonical", 0.5**0.5),
    (np.eye(2) + 0j, PHASE, "euclidean", 1), (np.eye(4, 2) + 0j, PHASE, 1.0, 0.5), (np.eye(2), ROTATION, 1.0, 0.5**0.5),
    (np.eye(2), ROTATION, "euclidean", 2**0.5), (np.eye(2), ROTATION, "canonical", 1),
    (np.eye(4, 2), ROTATION, "canonical", 0.8**0.5), (np.eye(4, 2), ROTATION, "euclidean", 1),
])  # fmt: skip
def test_a_longer_way_round_is_no_logarithm(x, a, metric, radius):
    """X exp(t A) by way of the eigenvalues +-i t of A, up to where the bound of the length is and a little beyond."""
    row, c = GEOMETRY["stiefel.log"], GEOMETRY["stiefel.log"].claim(metric).c
    for part in (0.99, 1, 1.01):
        t = part * radius * np.pi / (np.sqrt(c) * np.linalg.norm(a))
        y = x @ (np.eye(len(a)) + np.sin(t) * a + (1 - np.cos(t)) * a @ a)
        given = {"x": lift("x", x), "y": lift("y", y)}
        verdict = judge(row, given, {"v": lift("v", x @ a * t)}, row.claim(metric), precision=precision_of("float64"))
        held = {check.name: check.holds for check in verdict.checks}
        assert held == {"there": True, "tangent": True, "shortest": part <= 1}, verdict.text("")
    assert "another tangent that leads to Y is shorter, or may be" in verdict.text("")
