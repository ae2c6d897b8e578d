"""Reasons: what is screened is what is measured, and what is named is what was done."""

from __future__ import annotations

import numpy as np
import pytest

from orthoref import conformance, newton_schulz
from orthoref._schedules import presets
from orthoref._schedules.schedule import Normalization, Schedule
from orthoref.oracle import cases
from orthoref.oracle.explain import accepted, agreed, explain
from orthoref.oracle.lift import Lifted
from orthoref.oracle.newton_schulz import fits, hypotheses
from orthoref.oracle.newton_schulz.claim import UPDATE_SCALES, iteration, run
from orthoref.oracle.newton_schulz.hypotheses import Divisor, Scale, Seen, Table
from orthoref.oracle.newton_schulz.ratios import compare
from orthoref.oracle.newton_schulz.row import ROW
from orthoref.oracle.precision import PRECISIONS

MUON = iteration("muon")
TALL = cases.matrix((27, 12), cond=30, seed=2, scale=3.7)
SQUARE = cases.matrix((24, 24), cond=30, seed=1, scale=3.7)
COMPLEX = cases.matrix((9, 16), cond=30, seed=5, scale=3.7, dtype="complex128")


def why(a, x, claimed=MUON, precision=None, first="", limit=4.0):
    """Key and text of the reasons."""
    precision = PRECISIONS[precision or a.dtype.name]
    inputs, outputs = {"a": Lifted(a.astype("float64"), None)}, {"x": Lifted(x.astype("float64"), None)}
    with np.errstate(all="ignore"):
        ratio = compare(inputs["a"].value, outputs["x"].value, claimed, precision).forward
    key, said = explain(ROW, inputs, outputs, claimed, precision, limit, {"forward": ratio}, first)
    return key, "; ".join(said)


# what is screened


@pytest.mark.parametrize("a", [TALL, SQUARE, COMPLEX, 1e-200 * SQUARE, 1e200 * SQUARE], ids=str.__class__)
@pytest.mark.parametrize("kind", ["frobenius", "schatten4", "spectral", "aol", "none"])
def test_the_screen_is_the_distance(a, kind):
    if kind == "none":
        a = a / np.linalg.norm(a / np.max(np.abs(a))) / np.max(np.abs(a))
    x = newton_schulz(a, "you-5")
    divisor = Divisor(kind, 1.02 if kind != "none" else 1.0)
    table = Table(hypotheses.of_schedule(presets.get("cans-5"), 7, claimed=True))
    scales = [Scale(name, UPDATE_SCALES[name](*a.shape)) for name in UPDATE_SCALES]
    seen = Seen.aol(a, x, directions=99) if kind == "aol" else Seen(a, x, directions=99)
    found = hypotheses.squares(seen, table, [divisor], scales)
    assert found.shape == (2, 8, 1, 7)
    for steps in (0, 3, 5, 7):
        for k, name in enumerate(UPDATE_SCALES):
            claimed = iteration("cans-5", steps=steps, normalize=Normalization(kind, repr(divisor.factor)), scale=name)
            f = claimed.factor(*a.shape) * run(a, claimed)
            distance = np.linalg.norm(x - f) / np.linalg.norm(x)
            assert np.sqrt(found[0, steps, 0, k]) == pytest.approx(distance, rel=1e-9, abs=1e-7)
    assert np.isinf(found[1, :6]).all() and np.isfinite(found[1, 6:]).all()  # past the last row it cycles
    with np.errstate(all="ignore"):
        own = hypotheses.nearest(seen, Table(hypotheses.of_schedule(presets.get("you-5"), 9)), [Divisor(kind)],
                                 scales[:1], 5, 10.0)  # fmt: skip
    assert [one.distance < 1e-12 for one in own] == ([True] if kind in ("frobenius", "none") else [False] * len(own))


@pytest.mark.parametrize(("rule", "eps"), [("add", 1e-3), ("clamp", 5.0), ("squared add", 0.1), ("squared clamp", 9.0)])
def test_a_divisor_is_its_claim(rule, eps):
    divisor = Divisor("frobenius", 1.01, eps, rule)
    size = 1.01 * np.linalg.norm(SQUARE)
    expected = {
        "add": size + eps,
        "clamp": max(size, eps),
        "squared add": np.hypot(size, eps**0.5),
        "squared clamp": max(size, eps**0.5),
    }[rule]
    seen = Seen(SQUARE, SQUARE)
    assert seen.divisor(divisor) / seen.unit == pytest.approx(expected, rel=1e-14, abs=0)
    claimed = divisor.apply(iteration("muon", steps=0), seen)
    assert np.allclose(run(SQUARE, claimed), SQUARE / expected, rtol=1e-13, atol=0)


def test_equilibrated_rows_have_one_norm_and_the_matrix_keeps_its_own():
    for axis in (0, 1):
        even = hypotheses.equilibrated(TALL, axis)
        assert np.ptp(np.linalg.norm(even, axis=axis)) <= 1e-14 * np.linalg.norm(even)
        assert np.linalg.norm(even) == pytest.approx(np.linalg.norm(TALL), rel=1e-14, abs=0)


def test_a_fit_finds_the_number():
    s = np.geomspace(1, 1e-2, 9)
    rows = [(3.4445, -4.7750, 2.0315)] * 5
    jordan = presets.get("jordan")
    with np.errstate(all="ignore"):  # of norms for which it diverges
        assert fits.norm(s, jordan(s / 1.3), rows) == pytest.approx(1.3, rel=1e-12, abs=0)
    for power, value in ((0, 3.46), (1, -4.8), (2, 2.0)):
        other = fits.changed(jordan, 5, None, power, value)
        with np.errstate(all="ignore"):  # of those that do not converge
            distance, row, found, number = fits.coefficients(s, other(s, 5), rows, alike=True)[0]
        assert (row, found) == (None, power) and distance <= 1e-12
        assert number == pytest.approx(value, rel=1e-12, abs=0)
    you = presets.get("you-5")
    other = fits.changed(you, 5, 3, 1, -3.1)
    with np.errstate(all="ignore"):
        distance, row, found, number = fits.coefficients(s, other(s, 5), you.coefficients(), alike=False)[0]
    assert (row, found) == (3, 1) and distance <= 1e-12 and number == pytest.approx(-3.1, rel=1e-12, abs=0)


# what is named

RECIPE = {"dtypes": ["float32"], "shapes": [(1, 1), (5, 5)], "progress": False}
PORTS = {
    "4 steps": (lambda a: newton_schulz(a, steps=4), {}, {"4 steps were taken, not 5"}),
    "8 steps": (lambda a: newton_schulz(a, steps=8), {}, {"8 steps were taken, not 5"}),
    "sign": (lambda a: -newton_schulz(a), {}, {"x has the wrong sign"}),
    "safety factor": (
        lambda a: newton_schulz(a, "polar-express-nanogpt", normalize="frobenius"),
        {"schedule": "polar-express-nanogpt"},
        {"the norm was not multiplied by 1.02"},
    ),
    "another list": (
        lambda a: newton_schulz(a, "you-6"),
        {},
        {"these are the coefficients of you-6, 6 steps"},
    ),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("fault", PORTS)
def test_all_failing_cases_say_the_same(fault):
    """One singular value or ten, of every spectrum: the likeliest of the mistakes that fit is the one."""
    port, claimed, keys = PORTS[fault]
    report = conformance.check(port, "newton_schulz", **RECIPE, **claimed)
    assert len(report.failed) > 10
    assert {one.verdict.key for one in report.failed if one.verdict.reasons} == keys
    assert report.key in keys and report.fits.startswith("fits 12 of 12")


def test_the_last_reason_is_tried_first():
    """With few singular values another coefficient can be blamed; the key of another case decides."""
    a = cases.matrix((5, 5), spectrum="one_small", cond=1e3, seed=1, dtype="float32")
    x = newton_schulz(a, Schedule.of("", [["3.4445", "-4.775", "2.03"]] * 5))
    key, said = why(a, x)
    assert key.startswith("coefficient") and "or another number: the singular values of this matrix are too few" in said
    for power, value in ((1, "-4.77"), (2, "2.03")):
        key, said = why(a, x, first=f"coefficient {power}")
        assert key == f"coefficient {power}" and f"is {value}" in said
    assert why(a, x, first="x is zero")[0].startswith("coefficient")  # what does not explain it is no reason


def test_an_explanation_is_one_measure_where_the_mistake_is_known(monkeypatch):
    """Hundreds are screened, one is measured."""
    counted = []
    measure = ROW.measure
    row = ROW.__class__(**{**vars(ROW), "measure": lambda *given: counted.append(1) or measure(*given)})
    a = SQUARE.astype("float32")
    for x in (newton_schulz(a, steps=3), newton_schulz(a, "you-6"), 1.7 * newton_schulz(a), -newton_schulz(a)):
        inputs, outputs = {"a": Lifted(a.astype("float64"), None)}, {"x": Lifted(x.astype("float64"), None)}
        counted.clear()
        key, _ = explain(row, inputs, outputs, MUON, PRECISIONS["float32"], 4.0, {"forward": 1e5})
        assert key and len(counted) == 1
    outputs = {"x": Lifted(np.sin(a.astype("float64")), None)}
    counted.clear()
    key, _ = explain(row, inputs, outputs, MUON, PRECISIONS["float32"], 4.0, {"forward": 1e6})
    assert not key and len(counted) <= 4


def test_every_mistake_that_fits_can_be_had():
    """Of a 1 x 1 matrix many do; the likeliest comes first."""
    a = np.asarray([[2.0]], "float32")
    inputs = {"a": Lifted(a.astype("float64"), None)}
    outputs = {"x": Lifted(newton_schulz(a, steps=4).astype("float64"), None)}
    found = [v.key for v in accepted(ROW, inputs, outputs, MUON, PRECISIONS["float32"], 4.0, {"forward": 1e5})]
    assert found[0] == "4 steps were taken, not 5" and "multiple" in found and len(set(found)) > 4


def test_several_shapes_agree_on_the_update_scale():
    """Of a tall matrix sqrt(m/n) is sqrt(max(1, m/n)), of a wide one it is neither that nor none."""
    keys = []
    for shape in ((12, 5), (5, 12), (8, 3)):
        a = cases.matrix(shape, cond=10, seed=1)
        inputs = {"a": Lifted(a, None)}
        outputs = {"x": Lifted((shape[0] / shape[1]) ** 0.5 * newton_schulz(a), None)}
        found = accepted(ROW, inputs, outputs, MUON, PRECISIONS["float64"], 4.0, {"forward": 1e14})
        keys.append([variant.key for variant in found])
    assert keys[0][0] == keys[2][0] == "update scale sqrt(max(1, m/n))" and keys[1][0] == "update scale sqrt(m/n)"
    assert agreed(keys) == "update scale sqrt(m/n)"
    assert agreed([]) == agreed([[], []]) == "" and agreed([["b", "a"], ["a", "b"], ["a"]]) == "a"


def test_long_iterations_are_explained_too():
    for name, steps in (("newton-schulz-3", 5), ("you-5", 7)):
        x = newton_schulz(SQUARE, name, steps=steps)
        assert why(SQUARE, x, iteration(name, steps=60))[0] == f"{steps} steps were taken, not 60"


# formats


@pytest.mark.parametrize(
    "wrong",
    [
        lambda a, x: newton_schulz(a + 1e-3 * np.eye(*a.shape), "newton-schulz-5"),  # a shift
        lambda a, x: newton_schulz(a, "newton-schulz-5", steps=7),
        lambda a, x: x + 4e-14 * (np.arange(x.size).reshape(x.shape) == 7),
        lambda a, x: x + 1e-7 * (np.arange(x.shape[1]) == 2),
        lambda a, x: x * (1 + 1e-6),
    ],
)
@pytest.mark.parametrize("a", [SQUARE, TALL], ids=["square", "tall"])
def test_no_format_is_blamed_for_another_mistake(a, wrong):
    claimed = iteration("newton-schulz-5")
    x = wrong(a, newton_schulz(a, "newton-schulz-5"))
    key, said = why(a, x, claimed)
    assert "accurate to" not in said and "accurate to" not in key


def test_a_short_format_is_named_where_it_is_stored_and_where_it_is_not():
    single = SQUARE.astype("float32")
    for precision in ("bfloat16", "float16"):
        key, said = why(single, newton_schulz(single, precision=precision))
        assert key == f"accurate to {precision}" and f"accurate to {precision} only" in said
    # four steps in it, and the last one in float32: on no grid
    x = newton_schulz(newton_schulz(single, steps=4, precision="float16"), steps=1, normalize="none")
    assert "the error is as large as that of rounding to float16 or tf32" in why(single, x)[1]
    x = newton_schulz(single, steps=4, precision="bfloat16")
    assert why(single, x)[0] == "4 steps were taken, not 5; in bfloat16"


def test_the_gram_form_is_known_by_its_error():
    claimed = iteration("you-6")
    for spectrum in ("geometric", "repeated", "one_large"):
        a = cases.matrix((40, 10), cond=1e3, spectrum=spectrum, seed=3, dtype="float32")
        x = newton_schulz(a, "you-6", form="gram")
        assert compare(a.astype("float64"), x.astype("float64"), claimed, PRECISIONS["float32"]).forward > 4
        assert "the error is that of the gram form, not of standard" in why(a, x, claimed)[1]
    a = cases.matrix((24, 24), cond=1e3, seed=3, dtype="float32")
    claimed = iteration("polar-express-list")
    x = newton_schulz(a, "polar-express-list", form="gram", restart=(2,))
    assert "the error is that of the gram form restarted at 2, not of standard" in why(a, x, claimed)[1]


def test_nothing_over_nothing():
    zero = np.zeros((4, 3))
    claimed = iteration("muon", eps=1e-8)
    key, said = why(zero, zero * np.nan, claimed, "float16")
    assert key.startswith("x not finite at zero: eps # is missing") and "for a zero input: 0/0?" in said
    assert "eps 1e-08 is missing, or was stored in float16, where it is zero" in said
    assert "no eps is claimed" in why(zero, zero * np.nan, MUON, "float32")[1]
    assert "x is not zero, though a is" in why(zero, zero + 1, MUON, "float32")[1]
