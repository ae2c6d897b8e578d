"""What every row of a derivative gets for free; rows are named only where polar and newton_schulz differ."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from backends import norm

import orthoref
from orthoref import OutsideDomain, conformance
from orthoref.cli import main
from orthoref.errors import PortFailure
from orthoref.oracle import cases
from orthoref.oracle.dual import real_inner
from orthoref.oracle.fixed import Fixed, rounded
from orthoref.oracle.lift import lift
from orthoref.oracle.operations import CONSTRUCTORS, DERIVATIVES, GEOMETRY, OPERATIONS, ROWS, TANGENT_MAPS
from orthoref.oracle.polar.derivative_ratios import PolarDerivative
from orthoref.oracle.polar.derivative_ratios import truths as polar_truths
from orthoref.oracle.precision import PRECISIONS, precision_of
from orthoref.oracle.residual import ldexp
from orthoref.testing import assert_jvp, assert_vjp

pytestmark = pytest.mark.sample(6)

FLOAT64 = PRECISIONS["float64"]
LAWLESS = ("repeatable", "kept", "own memory", "history", "every call", "threads")
over_rows = pytest.mark.parametrize("row", DERIVATIVES.values(), ids=DERIVATIVES)
over_operations = pytest.mark.parametrize("operation", OPERATIONS)
over_dtypes = pytest.mark.parametrize("dtype", ["float32", "complex128"])


def case(shape, dtype="float64", kind="generic", **options):
    made = cases.drawn(shape, options.pop("spectrum", "geometric"), options.pop("cond", 10.0), dtype, **options)
    made.factors["cotangent"] = kind
    return made


def inputs_of(row, shape, dtype="float64", kind="generic", claimed=None, **options):
    return case(shape, dtype, kind, **options).accompanied(row.companions(claimed or row.claim())).inputs()


def ours(row, inputs, **claims):
    """The reference as outputs by name."""
    found = row.reference(**inputs, **claims)
    return dict(zip(row.outputs, found if isinstance(found, tuple) else (found,), strict=True))


def lifted(arrays):
    return {name: lift(name, x) for name, x in arrays.items()}


def measured(row, inputs, outputs, claimed=None):
    precision = precision_of(inputs["a"].dtype.name)
    with np.errstate(all="ignore"):
        return row.measure(lifted(inputs), lifted(outputs), claimed or row.claim(), precision, row.limit)


def ratio(row, inputs, outputs, claimed=None):
    found = measured(row, inputs, outputs, claimed)
    if inputs["a"].shape != (1, 1):  # where the derivative of a real number is zero, as is all it could be
        assert np.all(found.judged), found.notes
    return max(float(np.max(x.ratio)) for x in found.measurements)


# the reference


@over_rows
def test_the_reference_holds(row):
    report = conformance.check(row.reference, row.name, battery="quick", max_cases=2, skip=LAWLESS, progress=False)
    assert report.holds, report.text()


@pytest.mark.exhaustive
@pytest.mark.parametrize("size", ["quick", "default"])
@over_rows
def test_the_reference_holds_its_battery(row, size):
    report = conformance.check(row.reference, row.name, battery=size, progress=False)
    assert report.holds, report.text()
    ratios = [check.ratio / check.limit for outcome in report.outcomes for check in outcome.verdict.checks]
    assert max(ratios) <= 0.5


@over_rows
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (5, 3), (3, 5), (2, 3, 2)], ids=str)
def test_the_reference_is_far_below_the_limit(row, shape, dtype):
    """A tenth of the limit, and a zero result where a real number has no derivative."""
    inputs = inputs_of(row, shape, dtype, seed=1)
    assert ratio(row, inputs, ours(row, inputs)) <= row.limit / 10


@over_rows
def test_inputs_are_left_alone(row):
    inputs = inputs_of(row, (2, 4, 3), seed=2)
    for x in inputs.values():
        x.flags.writeable = False
    assert ratio(row, inputs, ours(row, inputs)) <= row.limit


@over_rows
@over_dtypes
def test_a_stack_is_its_members(row, dtype):
    """Ratios of a stack are those of its members."""
    inputs = inputs_of(row, (3, 4, 3), dtype, seed=3, members="scaled")
    outputs = {name: x * (1 + 1e-5) for name, x in ours(row, inputs).items()}
    whole = measured(row, inputs, outputs)
    for k in range(3):
        alone = measured(row, *({name: x[k] for name, x in arrays.items()} for arrays in (inputs, outputs)))
        for x, y in zip(whole.measurements, alone.measurements, strict=True):
            # the probes of the unit are random: others in a stack
            assert 0.2 <= float(x.ratio[k]) / float(y.ratio) <= 5


@over_rows
def test_nothing_of_an_empty_stack(row):
    for shape in ((0, 3, 3), (3, 0), (0, 3)):
        a = np.zeros(shape)
        companions = {"input": a, "right": np.zeros((*shape[:-2], shape[-1], shape[-1])), "left": None}
        given = {"a": a, **{name: companions[like] for name, like in row.companions(row.claim()).items()}}
        found = measured(row, given, ours(row, given))
        assert found.measurements == [] and not found.judged.any()


# the truth


@over_operations
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5)], ids=str)
def test_adjoint_identity_to_25_digits(operation, shape, dtype):
    """<jvp, bar> = <e, vjp>, in fixed point: two different formulas."""
    vjp, jvp = (DERIVATIVES[f"{operation}_{kind}"] for kind in ("vjp", "jvp"))
    inputs = inputs_of(vjp, shape, dtype, seed=4)
    e = inputs_of(jvp, shape, dtype, seed=5)["a_dot"]
    bars = [inputs[name] for name in vjp.inputs[1:]]
    truths = vjp.measure.args[0].func
    (pulled,) = truths("vjp", inputs, vjp.claim(), FLOAT64)
    (pushed,) = truths("jvp", {"a": inputs["a"], "a_dot": e}, jvp.claim(), FLOAT64)

    def exact(truth):
        return truth.value * 2.0 ** int(truth.exponent.item())

    rest = real_inner(Fixed.of(e), exact(pulled["a_bar"]))
    size = float(np.abs(rest.rounded()).item())
    for name, bar in zip(jvp.outputs, bars, strict=True):
        rest = rest - real_inner(exact(pushed[name]), Fixed.of(bar))
    assert abs(float(rest.rounded().item())) <= 1e-25 * max(size, norm(e))


@over_operations
def test_second_derivatives_are_symmetric_to_25_digits(operation):
    row = DERIVATIVES[f"{operation}_vjp_jvp"]
    inputs = inputs_of(row, (4, 3), "complex128", seed=6)
    e, g = inputs["a_dot"], inputs_of(row, (4, 3), "complex128", seed=7)["a_dot"]
    truths = row.measure.args[0].func
    two = [next(iter(truths("vjp_jvp", {**inputs, "a_dot": x}, row.claim(), FLOAT64)[0].values())) for x in (e, g)]
    pairs = [real_inner(t.value * 2.0 ** int(t.exponent.item()), Fixed.of(x)) for t, x in zip(two, (g, e), strict=True)]
    assert abs((pairs[0] - pairs[1]).rounded().item()) <= 1e-25 * abs(pairs[0].rounded().item())


@over_rows
def test_one_truth_scaled_by_powers_of_two(row):
    """The unit goes with it, far outside the range of squares."""
    if True:
        inputs = inputs_of(row, (4, 3), seed=8)
        first = measured(row, inputs, {name: x * 1.001 for name, x in ours(row, inputs).items()})
        scaled = {name: x * 2.0 ** (-300 if name == "a" else 200) for name, x in inputs.items()}
        if row.name.endswith("vjp_jvp"):
            scaled = {name: x * 2.0 ** (-100) for name, x in inputs.items()}
        second = measured(row, scaled, {name: x * 1.001 for name, x in ours(row, scaled).items()})
        for x, y in zip(first.measurements, second.measurements, strict=True):
            assert 0.5 <= float(x.ratio) / float(y.ratio) <= 2 or row.inputs[-1] == "h_bar"


# the unit


PROBES = 12


@pytest.mark.parametrize(
    ("row", "claims"),
    [(row, {}) for row in DERIVATIVES.values()]
    + [(DERIVATIVES[f"polar_{kind}"], {"factor": factor}) for kind in ("vjp", "vjp_jvp") for factor in ("u", "h")],
    ids=lambda x: getattr(x, "name", str(x)),
)
@pytest.mark.parametrize(("shape", "cond"), [((4, 4), 10.0), ((6, 3), 1e3), ((3, 6), 10.0)])
def test_the_unit_is_neither_too_small_nor_vacuous(row, claims, shape, cond):
    """Float32 backward errors n eps |A|, of random direction, in float64: below the limit, above a thousandth of it."""
    if row.name.startswith("newton_schulz"):
        cond = 10.0
    claimed = row.claim(**claims)
    inputs = inputs_of(row, shape, "float32", claimed=claimed, seed=9, cond=cond)
    inputs = {name: x.astype(np.float64) for name, x in inputs.items()}
    random, worst = np.random.default_rng(0), 0.0
    n_eps = max(min(shape), 8) * PRECISIONS["float32"].eps
    precision = PRECISIONS["float32"]
    for _ in range(PROBES):
        changed = {}
        for name, x in inputs.items():
            d = random.standard_normal(x.shape)
            changed[name] = x + n_eps * norm(x) * d / norm(d)
        outputs = ours(row, {"u_bar": None, **changed} if claims else changed)
        found = row.measure(lifted(inputs), lifted(outputs), claimed, precision, row.limit)
        worst = max(worst, *(float(x.ratio) for x in found.measurements))
    assert row.limit / 1000 <= worst <= row.limit


# refusals


def arguments(operation, kind, shape=(4, 3), dtype="float64", **options):
    """Of assert_vjp or assert_jvp, right."""
    row = DERIVATIVES[f"{operation}_{kind}"]
    inputs = inputs_of(row, shape, dtype, **{"seed": 11} | options)
    outputs = ours(row, inputs)
    if kind == "vjp":
        return operation, inputs.pop("a"), tuple(inputs.values()), outputs["a_bar"]
    return operation, inputs["a"], inputs["a_dot"], tuple(outputs.values())


def judge(kind, arguments, change=lambda x: x, **options):
    """With the result changed (of a JVP the first)."""
    *given, result = arguments
    result = change(result) if kind == "vjp" else (change(result[0]), *result[1:])
    (assert_vjp if kind == "vjp" else assert_jvp)(*given, result, **options)


def one_entry(x):
    x = x.copy()
    x[(0,) * x.ndim] += 0.01 * np.max(np.abs(x))
    return x


def with_nan(x):
    x = x.copy()
    x[(0,) * x.ndim] = np.nan
    return x


def zero_where_it_matters(x):
    return 0 * x


FAULTS = {
    "sign": (lambda x: -x, "wrong sign"),
    "factor": (lambda x: 1.001 * x, "is 0.001 of"),
    "twice": (lambda x: 2 * x, "twice"),
    "half": (lambda x: x / 2, "half"),
    "conjugate": (np.conj, "conjugated"),
    "one entry": (one_entry, "of |"),
    "NaN": (with_nan, "1 of 12 entries that are NaN"),
    "zero": (zero_where_it_matters, "is zero"),
    "dtype": (lambda x: x.astype(np.complex64), "has dtype complex64"),
    "float32": (lambda x: x.astype(np.complex64).astype(np.complex128), "accurate to float32 only"),
    "shape": (lambda x: x[:-1], "shape"),
}


@over_operations
@pytest.mark.parametrize("kind", ["vjp", "jvp"])
@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults(operation, kind, name):
    change, words = FAULTS[name]
    given = arguments(operation, kind, dtype="complex128")
    judge(kind, given)
    with pytest.raises(PortFailure) as error:
        judge(kind, given, change)
    assert words in str(error.value), str(error.value)


@over_operations
@pytest.mark.parametrize("kind", ["vjp", "jvp"])
def test_the_wrong_member_of_a_stack(operation, kind):
    given = arguments(operation, kind, (3, 4, 3))
    judge(kind, given)
    with pytest.raises(PortFailure, match=r"batch index \([02],\)"):
        judge(kind, given, lambda x: x[[2, 1, 0]])


@over_operations
@pytest.mark.parametrize("kind", ["vjp", "jvp"])
def test_what_cannot_be_judged(operation, kind):
    *given, result = arguments(operation, kind)
    function = assert_vjp if kind == "vjp" else assert_jvp
    names = {"vjp": ["a", DERIVATIVES[f"{operation}_vjp"].inputs[1]], "jvp": ["a", "a_dot"]}[kind]
    for i, name in enumerate(names, start=1):
        for bad in (np.nan, np.inf):
            wrong = list(given)
            x = wrong[i][0] if isinstance(wrong[i], tuple) else wrong[i]
            x = x.copy()
            x[0, 0] = bad
            wrong[i] = (x, *wrong[i][1:]) if isinstance(wrong[i], tuple) else x
            with pytest.raises(OutsideDomain, match=name):
                function(*wrong, result)
        wrong = list(given)
        if i == 2:
            wrong[i] = tuple(x[:-1] for x in wrong[i]) if isinstance(wrong[i], tuple) else wrong[i][:-1]
            with pytest.raises(ValueError, match=name):
                function(*wrong, result)
    with pytest.raises(ValueError, match="operation='qr' is not one of polar, newton_schulz"):
        function("qr", *given[1:], result)
    with pytest.raises(TypeError, match="unknown"):
        function(*given, result, unknown=1)
    with pytest.raises(ValueError, match="limit=0"):
        function(*given, result, limit=0)

    def with_bars(x):  # cotangents of assert_vjp, tangents of assert_jvp
        return (*given[:2], x, result) if kind == "vjp" else (*given, x)

    for x, words in (
        (None, "cotangents" if kind == "vjp" else "tangents"),
        ((given[1],) * 3, "are 3"),
        ({"wrong": given[1]}, "has wrong"),
    ):
        with pytest.raises(ValueError, match=words):
            function(*with_bars(x))


@pytest.mark.exhaustive
def test_one_factor_alone():
    a = cases.matrix((4, 3), cond=10, seed=1)
    u_bar, h_bar = cases.cotangent(a, seed=2), cases.cotangent(a, like="right", seed=3)
    both, of_u, of_h = (orthoref.polar_vjp(a, *bars) for bars in ((u_bar, h_bar), (u_bar, None), (None, h_bar)))
    for bars, a_bar in (((u_bar, h_bar), both), ({"h_bar": h_bar}, of_h), ((None, h_bar), of_h), (u_bar, of_u),
                        ((u_bar, None), of_u), ({"u_bar": u_bar, "h_bar": h_bar}, both)):  # fmt: skip
        assert_vjp("polar", a, bars, a_bar)
        for wrong in (both, of_u, of_h):
            if wrong is not a_bar:
                with pytest.raises(PortFailure):
                    assert_vjp("polar", a, bars, wrong)
    u_dot, h_dot = orthoref.polar_jvp(a, u_bar)
    for dots in ((u_dot, h_dot), u_dot, (None, h_dot), {"h_dot": h_dot}):
        assert_jvp("polar", a, u_bar, dots)
    with pytest.raises(PortFailure):
        assert_jvp("polar", a, u_bar, (u_dot, -h_dot))


# where there are two derivatives, or none


def test_rank_deficient_real_square():
    """Both branches of U are right at a singular matrix, and no other: U differs by the sign of one direction."""
    x, y = (np.linalg.qr(np.random.default_rng(k).standard_normal((4, 4)))[0] for k in (1, 2))
    s = np.array([1.0, 0.7, 0.4, 0.0])
    u_bar = np.random.default_rng(3).standard_normal((4, 4))

    def vjp(signs):
        """The closed form, with the singular values of the branch."""
        t = s * signs
        f = (x * signs).T @ u_bar @ y
        sums = s[:, None] + s
        return (x * signs) @ (np.where(np.eye(4) > 0, 0, (f - f.T)) / np.where(sums == 0, 1, sums)) @ y.T, t

    a = (x * s) @ y.T
    first, second = (vjp(np.array([1, 1, 1, last]))[0] for last in (1, -1))
    assert norm(first - second) > 0.1
    assert_vjp("polar", a, u_bar, first)
    assert_vjp("polar", a, u_bar, second)
    for third in ((first + second) / 2, -first, 2 * first - second, vjp(np.array([1, 1, -1, 1]))[0]):
        with pytest.raises(PortFailure):
            assert_vjp("polar", a, u_bar, third)
    branches = polar_truths("vjp", {"a": a, "u_bar": u_bar}, PolarDerivative(factor="u"), FLOAT64)
    assert len(branches) == 2


@pytest.mark.parametrize(
    ("a", "dtype"),
    [(np.zeros((3, 2)), "float64"), (np.diag([1.0, 0.0]), "complex128"),
     (np.array([[1.0, 1], [1, 1], [1, 1]]), "float64"), (np.diag([1.0, 0, 0]), "float64"),
     (np.zeros((1, 2)), "float64")],
)  # fmt: skip
def test_no_derivative_there(a, dtype):
    a = a.astype(dtype)
    for words in ("not judged",):
        with pytest.raises(OutsideDomain, match=words):
            assert_vjp("polar", a, np.ones_like(a), np.ones_like(a))
        with pytest.raises(OutsideDomain, match=words):
            assert_jvp("polar", a, np.ones_like(a), np.ones_like(a))
    if not a.any():
        with pytest.raises(OutsideDomain, match="not judged"):
            assert_vjp("newton_schulz", a, np.ones_like(a), np.ones_like(a))


@over_rows
def test_out_of_range(row):
    """A port may raise where the result overflows, and is not judged if it does not."""
    inputs = inputs_of(row, (3, 2), kind="huge", seed=1, scale=1e-250)
    claimed = row.claim()
    said = row.outside(lifted(inputs), claimed)
    if row.name in (
        "polar_vjp",
        "polar_vjp_jvp",
        "newton_schulz_vjp",
        "polar_jvp",
        "newton_schulz_jvp",
        "newton_schulz_vjp_jvp",
    ):
        assert "not judged" in said and "out of range" in said
    assert row.outside(lifted(inputs_of(row, (3, 2), seed=1)), claimed) == ""


# cotangents


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (2, 4, 3)], ids=str)
def test_kinds_of_cotangents(shape, dtype):
    a = cases.matrix(shape, cond=10, seed=1, dtype=dtype)
    eps = precision_of(dtype).eps
    u, h = orthoref.polar(a.astype("complex128" if dtype == "complex64" else dtype))
    made = {kind: cases.cotangent(a, kind=kind, seed=2, dtype=dtype) for kind in cases.COTANGENTS}
    assert all(x.shape == a.shape and x.dtype == a.dtype for x in made.values())
    u_dot, _ = orthoref.polar_jvp(u @ h, made["normal"].astype(u.dtype))
    assert np.all(norm(u_dot) <= 100 * eps)
    inner = np.conj(u.mT) @ made["tangent"] if shape[-2] >= shape[-1] else made["tangent"] @ np.conj(u.mT)
    assert np.all(norm(inner + np.conj(inner.mT)) <= 100 * eps)
    assert not made["zero"].any()
    with np.errstate(under="ignore", over="ignore"):
        assert not np.any(made["tiny"].astype(a.dtype) ** 2) and made["tiny"].any()
        assert not np.isfinite(made["huge"] * made["huge"]).all() and np.isfinite(made["huge"]).all()
    assert made["expanded"].strides == (0,) * len(shape)
    assert made["transposed"].strides[-2] < made["transposed"].strides[-1]
    assert made["strided"].strides[-1] == 2 * made["strided"].itemsize
    for kind in ("generic", "tangent", "normal", "transposed", "strided", "expanded"):
        assert np.all(norm(made[kind]) >= 0.1) and np.all(norm(made[kind]) <= 3)
    side = cases.cotangent(a, kind="tangent", like="right", seed=2, dtype=dtype)
    assert side.shape == (*shape[:-1][:-1], shape[-1], shape[-1]) and np.array_equal(side, np.conj(side.mT))
    skew = cases.cotangent(a, kind="normal", like="left", seed=2, dtype=dtype)
    assert skew.shape == (*shape[:-2], shape[-2], shape[-2]) and np.array_equal(skew, -np.conj(skew.mT))


@over_rows
@pytest.mark.parametrize("kind", cases.COTANGENTS)
def test_every_kind_is_judged(row, kind):
    if kind == "huge" and row.name.endswith("vjp_jvp"):
        kind = "generic"  # overflows
    inputs = inputs_of(row, (4, 3), "float32", kind, seed=12)
    outputs = ours(row, inputs)
    found = measured(row, inputs, outputs)
    assert all(np.all(x.holds) for x in found.measurements), kind
    if kind in ("generic", "tangent", "huge", "expanded", "transposed", "strided"):
        assert np.all(found.judged)
        wrong = measured(row, inputs, {name: 1.5 * x for name, x in outputs.items()})
        assert not all(np.all(x.holds) for x in wrong.measurements)
    if kind == "zero":
        wrong = measured(row, inputs, {name: x + 1 for name, x in outputs.items()})
        assert not all(np.all(x.holds) for x in wrong.measurements)


@over_rows
def test_recreate_lines(row):
    for made in conformance.battery(row.name, size="quick", max_cases=6):
        scope = {"orthoref": orthoref}
        exec(made.recreate, scope)
        inputs = made.inputs()
        assert list(inputs) == list(row.inputs) or set(inputs) <= set(row.inputs)
        for name, x in inputs.items():
            assert scope[name].dtype == x.dtype and np.array_equal(scope[name], x) and scope[name].strides == x.strides


# conformance.check and the command


def right(a):
    import torch

    p, s, vh = torch.linalg.svd(a, full_matrices=False)
    return p @ vh, (vh.mH * s.unsqueeze(-2).to(vh.dtype)) @ vh


def of_torch(**options):
    torch = pytest.importorskip("torch")
    return {"derivative": "torch", "convert": lambda a: torch.asarray(a.copy()), "progress": False,
            "skip": (*LAWLESS, "repeated", "clustered", "almost_equal", "gallery"), "dtypes": ["float64"],
            "shapes": [(4, 2), (3, 3)], "max_cases": 2, **options}  # fmt: skip


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("port", "returns", "claims", "said"),
    [
        (lambda a: right(a)[0], "u", {}, "u"),
        (right, "uh", {}, "u and h"),
        (right, "auto", {}, "u and h"),
        (lambda a: right(a)[::-1], "hu", {}, "u and h"),
        (right, "uh", {"factor": "h"}, "h"),
        (right, "uh", {"factor": "u"}, "u"),
    ],
)
@pytest.mark.parametrize("kind", ["vjp", "jvp"])
def test_of_a_framework(port, returns, claims, said, kind):
    options = of_torch(skip=LAWLESS, max_cases=1, shapes=[(4, 2)])
    case_ = case((4, 2), seed=1)
    report = conformance.check(port, "polar", kind=kind, returns=returns, **claims, **options)
    assert f", {said})" in report.text().splitlines()[0] or f"side=right, {said}" in report.text()
    assert report.operation.name == f"polar_{kind}" if hasattr(report, "operation") else True
    assert case_ is not None


def test_unknown_claims_are_refused():
    with pytest.raises(TypeError, match="has no option colour"):
        conformance.check(lambda a: a, "polar", colour=1, **of_torch())
    with pytest.raises(ValueError, match="derivative='tf' is not one of"):
        conformance.check(lambda a: a, "polar", **of_torch(derivative="tf"))
    with pytest.raises(ValueError, match="derivative= belongs to one of polar, newton_schulz"):
        conformance.check(lambda a: a, "polar_vjp", **of_torch())
    with pytest.raises(ValueError, match="kind='hvp'"):
        conformance.check(lambda a: a, "polar", **of_torch(kind="hvp"))
    with pytest.raises(ValueError, match="is not one of"):
        conformance.check(lambda a: a, "qr_vjp", progress=False)
    assert set(ROWS) == {*OPERATIONS, *DERIVATIVES, *GEOMETRY, *TANGENT_MAPS, *CONSTRUCTORS}


@pytest.mark.exhaustive
def test_the_command(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    (tmp_path / "derivativeports.py").write_text(
        "import torch\n"
        "def right(a):\n    p, _, vh = torch.linalg.svd(a, full_matrices=False)\n    return p @ vh\n"
        "def wrong(a):\n    p, _, vh = torch.linalg.svd(a, full_matrices=False)\n    return a + (p @ vh - a).detach()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    options = ["--array", "torch", "--derivative", "--dtype", "float64", "--shape", "4x2", "--max-cases", "4"]
    status = main(["check", "derivativeports:wrong", "--returns", "u", *options])
    assert status == 1
    assert re.search("straight-through", capsys.readouterr().out)


def test_rows_are_rows():
    for name, row in DERIVATIVES.items():
        operation, _, kind = name.rpartition("_vjp_jvp" if name.endswith("_vjp_jvp") else "_")
        assert row.name == name and (operation or kind)
        assert replace(row, name="x").reference is row.reference
        claimed = row.claim()
        shapes = row.shapes(claimed, (2, 5, 3))
        inputs = inputs_of(row, (2, 5, 3), seed=1)
        outputs = ours(row, inputs)
        assert {key: x.shape for key, x in outputs.items()} == shapes
        (truth, *_) = row.measure.args[0](inputs, claimed, FLOAT64)
        for key, x in outputs.items():
            value = ldexp(rounded(truth[key].value), truth[key].exponent)
            assert np.all(norm(value - x) <= 1e-12 * norm(x) + 1e-300)
