"""What every row of the constructors gets for free; rows are named only where they differ."""

from __future__ import annotations

import re

import numpy as np
import pytest

import orthoref
from orthoref import conformance
from orthoref.cli import main
from orthoref.oracle import exchange
from orthoref.oracle.cases import Case, drawn
from orthoref.oracle.constructors import inputs as made
from orthoref.oracle.constructors import reasons
from orthoref.oracle.operations import CONSTRUCTORS
from orthoref.oracle.precision import precision_of
from orthoref.oracle.run import outputs
from orthoref.oracle.verdict import judge

LAWLESS = ("repeatable", "kept", "own memory", "history", "every call", "threads")
CONVENTIONS = {
    "cayley": [{}, {"sign": -1, "factor": 0.5, "diagonal": "given"}],
    "skew_exp": [{}],
    "givens_product": [{}, {"order": "round_robin", "phase": "given"}, {"order": "butterfly"}],
    "householder_product": [
        {},
        {"tau": "none", "columns": "full"},
        {"storage": "full", "order": "backward"},
        {"tau": "none", "storage": "below"},
    ],
}
ROWS = [
    pytest.param(CONSTRUCTORS[name + ending], claims, id=f"{name}{ending} {' '.join(map(str, claims.values()))}")
    for name, conventions in CONVENTIONS.items()
    for claims in conventions
    for ending in ("", "_jvp", "_vjp")
]
over_rows = pytest.mark.parametrize(("row", "claims"), ROWS)
over_random = pytest.mark.parametrize("name", ["haar", "orthogonal_init"])


def case_of(row, claims, batch=(), dtype="float64", kind="generic", structure="general", seed=3, **options) -> Case:
    claimed = row.claim(**claims)
    levels = row.shown(claimed, row.levels)
    shape = {"reflectors": (6, 3), "skew": (5, 5)}.get(levels.draw.__name__, (4, 4))
    dtype = dtype if dtype in row.dtypes else {"complex128": "float64", "complex64": "float32"}[dtype]
    case = drawn((*batch, *shape), None, None, dtype, structure=structure, seed=seed, function=levels.draw, **options)
    case.factors["cotangent"] = kind
    return case.accompanied(row.companions(claimed), row.inputs[0])


def reference(row, claims, inputs):
    return outputs(row.reference(*inputs.values(), **claims), None, row)


def judged(row, claims, inputs, found, **options):
    given, returned = ({name: row.lift(name, x) for name, x in each.items()} for each in (inputs, found))
    dtype = next(iter(inputs.values())).dtype.name
    return judge(row, given, returned, row.claim(**claims), precision=precision_of(dtype), **options)


@over_rows
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_the_public_function_holds(row, claims, dtype, batch):
    inputs = case_of(row, claims, batch, dtype).inputs()
    verdict = judged(row, claims, inputs, reference(row, claims, inputs))
    assert verdict.state == "holds", verdict.text("")
    assert all(check.ratio <= 1 for check in verdict.checks)


@over_rows
def test_an_error_far_above_rounding_does_not_hold(row, claims):
    """1e-9 of the whole in binary64, 1e-2 in binary32, in every output."""
    for dtype, size in (("float64", 1e-9), ("float32", 1e-2)):
        inputs = case_of(row, claims, (), dtype).inputs()
        right = reference(row, claims, inputs)
        for name, x in right.items():
            turned = np.random.default_rng(1).standard_normal(x.shape)
            turned = turned / np.linalg.norm(turned) * np.linalg.norm(x)
            verdict = judged(row, claims, inputs, right | {name: (x + size * turned).astype(x.dtype)})
            assert verdict.state == "fails", name


@over_rows
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_nonsense_does_not_hold(row, claims, value):
    inputs = case_of(row, claims).inputs()
    for name, x in (right := reference(row, claims, inputs)).items():
        verdict = judged(row, claims, inputs, right | {name: np.full_like(x, value)})
        assert verdict.state == "fails" and verdict.reasons, name


@over_rows
def test_a_single_entry_does_not_pass(row, claims):
    inputs = case_of(row, claims, (2,)).inputs()
    right = reference(row, claims, inputs)
    name = row.outputs[0]
    wrong = right[name].copy()
    wrong[(1, -1) + (0,) * (wrong.ndim - 2)] = np.nan
    verdict = judged(row, claims, inputs, right | {name: wrong}, reasons=False)
    assert not verdict.holds and all(check.index == (1,) for check in verdict.checks if not check.holds)


@over_rows
def test_a_wrong_shape_and_a_wrong_dtype_are_faults(row, claims):
    inputs = case_of(row, claims).inputs()
    right = reference(row, claims, inputs)
    name = row.outputs[0]
    assert "has shape" in judged(row, claims, inputs, right | {name: right[name][:-1]}).faults[0]
    short = {"float64": "float32", "complex128": "complex64"}[right[name].dtype.name]
    assert f"dtype {short}" in judged(row, claims, inputs, right | {name: right[name].astype(short)}).faults[0]


@pytest.mark.sample(8)
@over_rows
def test_a_conformance_run(row, claims):
    report = conformance.check(
        lambda *arrays: row.reference(*arrays, **claims), row.name, battery="quick", max_cases=4, progress=False,
        skip=LAWLESS, **claims,
    )  # fmt: skip
    assert report.status == "HOLDS", report.text()


@pytest.mark.exhaustive
@over_rows
def test_a_whole_run(row, claims):
    report = conformance.check(lambda *arrays: row.reference(*arrays, **claims), row.name, progress=False, **claims)
    assert report.status == "HOLDS", report.text()


@over_rows
def test_every_line_recreates_its_inputs(row, claims):
    case = case_of(row, claims, (2,), "complex64", structure=row.levels.structure[1])
    names = {"orthoref": orthoref}
    exec(f"import orthoref.oracle.constructors.inputs\n{case.recreate}" if len(case.calls) > 1 else
         f"import orthoref.oracle.constructors.inputs\n{case.calls[0][0]} = {case.recreate}", names)  # fmt: skip
    for name, x in case.inputs().items():
        np.testing.assert_array_equal(names[name], x)


@over_rows
def test_the_battery(row, claims):
    claimed = row.claim(**claims)
    levels = row.shown(claimed, row.levels)
    found = conformance.cases_of(row, claimed, None, dtypes=None, shapes=None, skip=(), size="default", seed=0,
                                 max_cases=None)  # fmt: skip
    seen = {name: {case.factors[name] for case in found} for name in found[0].factors}
    assert seen["structure"] >= {*levels.structure} and seen["memory"] == {*levels.memory}
    assert seen["dtype"] == {*row.dtypes} and seen.get("cotangent", set()) == {*levels.cotangent}
    assert {str(n) for n in levels.order} <= seen["order"]


def test_skew_matrices_are_skew_and_have_their_angles():
    for dtype in ("float32", "complex128"):
        for structure in made.SKEW:
            a = made.skew((3, 5, 5), structure=structure, dtype=dtype, seed=1)
            assert np.array_equal(a, -np.conj(np.swapaxes(a, -1, -2))) and a.dtype == dtype
            w = np.abs(np.linalg.eigvals(a.astype(complex)))
            if structure in ("half turn", "full turn"):
                assert np.all(np.abs(w.max(-1) - (np.pi if structure == "half turn" else 2 * np.pi)) <= 1e-5)
    assert np.sum(np.abs(np.linalg.eigvals(made.skew((6, 6), structure="one plane"))) > 1e-8) == 2


def test_taus_make_unitary_reflections_but_for_kinds():
    v = made.reflectors((5, 3), dtype="complex128", seed=1)
    squares = np.sum(np.abs(v) ** 2, axis=0)
    assert np.all(np.abs(np.abs(1 - made.taus_full(v, dtype="complex128") * squares) - 1) <= 1e-15)
    assert np.sum(made.taus_full(v.real, kind="zero tau") == 0) == 1
    singular = made.taus_below(v.real, kind="singular tau") * np.sum(made.below(v.real) ** 2, axis=0)
    assert np.sum(np.abs(singular - 1) <= 1e-15) == 1 and np.sum(np.abs(singular - 2) <= 1e-15) == 2


def test_what_a_projection_takes_away_is_not_held_against_the_port():
    row = CONSTRUCTORS["householder_product"]
    for dtype in ("float32", "complex128"):
        inputs = case_of(row, {}, (2,), dtype, kind="singular tau").inputs()
        verdict = judged(row, {}, inputs, reference(row, {}, inputs))
        assert verdict.holds and all(check.ratio <= 0.5 for check in verdict.checks), verdict.text("")


def test_a_squaring_too_few_is_told():
    """JAX's expm rounds the number of squarings down: 1e-9 are lost where the scaled norm is near twice its bound."""
    row, a = CONSTRUCTORS["skew_exp"], made.skew((6, 6), structure="axes", seed=1)
    for times, held in ((10.5, False), (5.3, True)):
        inputs = {"a": times / np.linalg.norm(a, 1) * a}
        verdict = judged(row, {}, inputs, {"q": reasons._pade(inputs["a"], 0)})
        assert verdict.holds == held
        assert held or "1 squaring too few" in verdict.reasons[0], verdict.text("")


@pytest.mark.parametrize("n", [1, 2, 5, 16])
def test_orders_from_numbers_of_angles(n):
    assert made.order_of(n * (n - 1) // 2) == n
    assert made.butterfly_order(made.butterfly_angles((n, n)).shape[-1]) == n if n & (n - 1) == 0 else n == 5
    with pytest.raises(ValueError, match="are not n"):
        made.order_of(2)
    with pytest.raises(ValueError, match="are not n/2"):
        made.butterfly_order(3)


@pytest.mark.parametrize(("name", "claims", "words"), [
    ("cayley", {"sign": 2}, "is not 1 or -1"), ("cayley", {"sign": True}, "is not 1"),
    ("cayley", {"factor": 0}, "is not positive"), ("cayley", {"factor": float("nan")}, "is not positive"),
    ("cayley", {"side": "both"}, "side="), ("cayley", {"diagonal": "yes"}, "diagonal="),
    ("givens_product", {"order": "forward"}, "is not one of columns"), ("givens_product", {"phase": "1"}, "phase="),
    ("householder_product", {"order": "columns"}, "is not one of forward"),
    ("householder_product", {"storage": "above"}, "storage="), ("householder_product", {"tau": "2"}, "tau="),
    ("cayley_vjp", {"space": "all"}, "space="), ("skew_exp_vjp", {"space": "all"}, "space="),
    ("haar", {"special": True}, "special="), ("haar", {"false_alarm": 0}, "is not a probability"),
    ("orthogonal_init", {"gain": -1}, "is not positive"), ("orthogonal_init", {"layout": "keras"}, "layout="),
    ("orthogonal_init", {"axis": True}, "is no integer"), ("orthogonal_init", {"false_alarm": 1}, "probability"),
])  # fmt: skip
def test_claims_are_checked(name, claims, words):
    with pytest.raises(ValueError, match=words):
        CONSTRUCTORS[name].claim(**claims)


def test_a_port_on_the_command_line(capsys, tmp_path, monkeypatch):
    (tmp_path / "myparametrization.py").write_text(
        "import numpy as np\n"
        "def cayley(a):\n    one = np.eye(a.shape[-1], dtype=a.dtype)\n    return np.linalg.solve(one - a, one + a)\n"
    )
    monkeypatch.chdir(tmp_path)
    arguments = ["check", "myparametrization:cayley", "--op", "cayley", "--shape", "4x4", "--dtype", "float64",
                 "--max-cases", "4"]  # fmt: skip
    assert main([*arguments, "--sign", "-1"]) == 0
    assert main(arguments) == 1
    assert "this is the transpose of the stated convention" in capsys.readouterr().out


@pytest.mark.parametrize(("op", "words"), [
    ("givens_product", ["--order", "rows"]), ("householder_product", ["--order", "backward"]),
    ("stiefel.retract", ["--order", "2"]),
])  # fmt: skip
def test_one_flag_of_several_kinds(op, words, tmp_path, monkeypatch, capsys):
    (tmp_path / "nothing.py").write_text("import numpy as np\ndef port(*arrays):\n    return 2 * np.eye(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["check", "nothing:port", "--op", op, *words, "--shape", "3x3", "--dtype", "float64", "--max-cases",
                 "1", "--quiet"]) == 1  # fmt: skip


@pytest.mark.parametrize("name", ["givens_product", "householder_product_vjp"])
def test_vectors_are_exported_and_judged_from_files(name, tmp_path):
    row = CONSTRUCTORS[name]
    folder, results = tmp_path / "cases", tmp_path / "results"
    exchange.export(name, folder, shapes=[(4, 3)] if "house" in name else [(4, 4)], dtypes=["float64"], max_cases=2,
                    progress=False)  # fmt: skip
    results.mkdir()
    for line in (folder / "cases.txt").read_text().splitlines():
        files = line.split()[1:]
        given = [np.load(folder / file) for file in files[: len(files) - len(row.outputs)]]
        found = row.reference(*given)
        found = found if isinstance(found, tuple) else (found,)
        for file, x in zip(files[len(given) :], found, strict=True):
            np.save(results / file, x)
    assert exchange.judge(folder, results, progress=False).status == "HOLDS"


# --- automatic differentiation


def torch_port(name):
    torch = pytest.importorskip("torch")

    def cayley(a):
        one = torch.eye(a.shape[-1], dtype=a.dtype)
        return torch.linalg.solve(one + a, one - a)

    def householder(v):
        q = torch.eye(v.shape[-2], v.shape[-1], dtype=v.dtype).expand(v.shape)
        for i in range(v.shape[-1] - 1, -1, -1):
            w = v[..., i : i + 1]
            q = q - 2 / (w.mH @ w) * w @ (w.mH @ q)
        return q

    return {"cayley": cayley, "skew_exp": torch.matrix_exp, "householder_product": torch.linalg.householder_product,
            "unnormalised": householder}[name]  # fmt: skip


AUTODIFF = [
    ("cayley", "cayley", {}),
    ("skew_exp", "skew_exp", {}),
    ("householder_product", "unnormalised", {"tau": "none"}),
]


@pytest.mark.exhaustive
@pytest.mark.parametrize(("operation", "port", "claims"), AUTODIFF)
@pytest.mark.parametrize("kind", ["vjp", "jvp"])
def test_derivatives_by_torch(operation, port, claims, kind):
    torch = pytest.importorskip("torch")
    report = conformance.check(
        torch_port(port), operation, derivative="torch", kind=kind, convert=torch.asarray, dtypes=["float64"],
        shapes=[(4, 4)], skip=(*LAWLESS, "expanded", "huge", "tiny", *(["zero reflector"] if claims else [])),
        max_cases=2, progress=False, **claims,
    )  # fmt: skip
    assert report.status == "HOLDS", report.text()


@pytest.mark.exhaustive
def test_several_inputs_are_differentiated_by_torch():
    torch = pytest.importorskip("torch")
    options = {"derivative": "torch", "convert": torch.asarray, "dtypes": ["float64"], "shapes": [(5, 3)],
               "progress": False}  # fmt: skip
    few = (*LAWLESS, "axes", "equal", "zero reflector", "graded", "zero tau", "singular tau", "huge", "tiny")
    held = conformance.check(torch_port("householder_product"), "householder_product", skip=few, max_cases=3, **options)
    assert held.status == "HOLDS", held.text()

    def detached(v, tau):
        return torch.linalg.householder_product(v, tau.detach())

    wrong = conformance.check(detached, "householder_product", skip=few, max_cases=3, **options)
    assert wrong.status == "FAILS" and "tau_bar is zero" in wrong.text(), wrong.text()


@pytest.mark.exhaustive
def test_the_backward_pass_of_torch_fails_where_tau_is_zero_or_a_projection():
    torch = pytest.importorskip("torch")
    report = conformance.check(
        torch_port("householder_product"), "householder_product", derivative="torch", convert=torch.asarray,
        dtypes=["float64"], shapes=[(5, 3)], skip=LAWLESS, progress=False,
    )  # fmt: skip
    failing = {outcome.case.factors["cotangent"] for outcome in report.failed}
    assert "singular tau" in failing and "generic" not in failing, report.text()


@pytest.mark.parametrize("framework", ["jax", pytest.param("jax vmap", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("kind", ["vjp", "jvp"])
def test_signs_are_constants_and_angles_vectors_for_jax(framework, kind):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    xp = jax.numpy
    options = {"derivative": framework, "kind": kind, "convert": xp.asarray, "dtypes": ["float64"], "progress": False,
               "max_cases": 1}  # fmt: skip
    skip = (*LAWLESS, "huge", "tiny", "expanded")

    def cayley(a, d):
        one = xp.eye(a.shape[-1])
        return xp.linalg.solve(one + a, one - a) * d[..., None, :]

    def turn(theta, phi):
        c, s, u = xp.cos(theta[..., 0]) + 0j, xp.sin(theta[..., 0]), xp.exp(1j * phi[..., 0])
        return xp.stack([xp.stack([c, -xp.conj(u) * s], -1), xp.stack([u * s, c], -1)], -2)

    first = conformance.check(cayley, "cayley", diagonal="given", shapes=[(3, 3)], skip=skip, **options)
    second = conformance.check(turn, "givens_product", phase="given", shapes=[(2, 2)], skip=skip, **options)
    assert first.status == second.status == "HOLDS", first.text() + second.text()


def test_a_kind_without_a_row_is_refused():
    with pytest.raises(ValueError, match="skew_exp has no row for kind='vjp_jvp'"):
        conformance.check(abs, "skew_exp", derivative="torch", kind="vjp_jvp")
    with pytest.raises(ValueError, match=r"derivative= belongs to one of .*cayley.*, not 'haar'"):
        conformance.check(abs, "haar", derivative="torch")


# --- random matrices


def unsigned(z):
    tall = z if z.shape[-2] >= z.shape[-1] else np.swapaxes(z, -1, -2)
    q = np.linalg.qr(tall)[0]
    return q if z.shape[-2] >= z.shape[-1] else np.swapaxes(q, -1, -2)


def sampled(port, name="haar", shapes=((400, 3, 3),), dtypes=("float64",), **claims):
    return conformance.check(port, name, shapes=shapes, dtypes=dtypes, max_cases=1, progress=False, **claims)


@over_random
def test_random_matrices_of_ours_hold(name):
    report = sampled(CONSTRUCTORS[name].reference, name, ((4, 3),) if name == "orthogonal_init" else ((400, 3, 3),))
    assert report.status == "HOLDS", report.text()


@pytest.mark.exhaustive
@over_random
@pytest.mark.parametrize("seed", range(5))
def test_random_matrices_of_ours_hold_everywhere(name, seed):
    report = conformance.check(CONSTRUCTORS[name].reference, name, progress=False, seed=seed)
    assert report.status == "HOLDS", report.text()


HAAR = CONSTRUCTORS["haar"].reference
INIT = CONSTRUCTORS["orthogonal_init"].reference


@pytest.mark.parametrize(("port", "words", "claims"), [
    (unsigned, r"not Haar: Q\[0,0\] < 0 always: QR without making the diagonal of R positive", {}),
    (lambda z: HAAR(z, special="yes"), "rotations only; this is special=yes", {}),
    (HAAR, "reflections are among them; this is special=no", {"special": "yes"}),
    (lambda z: np.repeat(HAAR(z[:1]), len(z), axis=0), "all points are the same", {}),
    (lambda z: 2 * HAAR(z), "columns have length 2, not 1: a gain", {}),
    (lambda z: HAAR(np.random.default_rng(0).uniform(size=z.shape)), "between 0 and 1", {}),
    (lambda z: np.round(HAAR(z), 5), "columns are (not orthonormal|orthonormal to tf32 only)", {}),
])  # fmt: skip
def test_a_sample_that_is_not_haar_is_refused_and_named(port, words, claims):
    report = sampled(port, **claims)
    assert report.status == "FAILS"
    assert [x for x in report.findings() if re.search(words, x.reason)], report.text()


def test_complex_samples_that_are_real_or_without_phases():
    for port, words in ((unsigned, "QR without making"), (lambda z: HAAR(z.real.copy()) + 0j, "all points are real")):
        report = sampled(port, dtypes=("complex128",))
        assert report.status == "FAILS" and words in report.text(), report.text()


def slices(x):
    return np.moveaxis(unsigned(np.moveaxis(x, (0, 1), (-2, -1))), (-2, -1), (0, 1))


@pytest.mark.parametrize(("port", "words", "shape", "claims"), [
    (INIT, "this is layout=torch, not layout=jax", (4, 2, 3), {"layout": "jax"}),
    (lambda x: INIT(x, layout="jax"), "this is layout=jax, not layout=torch", (4, 2, 3), {}),
    (INIT, "the gain is 1, not 1.4142", (4, 3), {"gain": 2**0.5}),
    (lambda x: INIT(x, layout="jax", gain=2), "the gain is 2, not 1, and this is layout=jax", (4, 2, 3), {}),
    (np.array, "rows are not orthonormal", (3, 6), {}),
    (slices, "every slice is orthonormal: the kernel was taken for a stack", (3, 2, 4), {}),
    (unsigned, r"x\[0, 0\] is never positive", (6, 3), {}),
    (lambda x: INIT(np.random.default_rng(0).standard_normal(x.shape)), "return the same: a fixed seed", (6, 3), {}),
])  # fmt: skip
def test_an_initialiser_that_is_wrong_is_refused_and_named(port, words, shape, claims):
    report = sampled(port, "orthogonal_init", (shape,), **claims)
    assert report.status == "FAILS" and re.search(words, report.text()), report.text()


def test_the_false_alarm_probability_is_that_of_the_claim():
    """Of samples of the right measure, judged at 0.3, about as many are refused as 0.3 allows."""
    row, refused = CONSTRUCTORS["haar"], 0
    claimed = row.claim(false_alarm=0.3)
    for seed in range(12):
        z = made.normal((100, 2, 2), seed=seed)
        verdict = judge(row, {"normal": row.lift("normal", z)}, {"q": row.lift("q", HAAR(z))}, claimed,
                        precision=precision_of("float64"), reasons=False)  # fmt: skip
        refused += not verdict.holds
    assert 1 <= refused <= 8  # of 12 draws at 0.3 9 and more have a probability of 2e-3


def test_too_few_matrices_are_no_sample():
    report = sampled(HAAR, shapes=((50, 3, 3),))
    assert report.outcomes[0].verdict.state == "not judged" and "no sample" in report.text()


# --- whole runs


def run_of(port, name, shapes, **claims):
    return conformance.check(port, name, shapes=shapes, dtypes=("float64",), skip=LAWLESS, max_cases=9, progress=False,
                             **claims)  # fmt: skip


def test_a_mistake_is_told_where_the_angles_tell_it_from_others():
    """Of order 2 the transpose is also the angle's sign."""
    report = run_of(lambda theta: np.swapaxes(CONSTRUCTORS["givens_product"].reference(theta), -1, -2),
                    "givens_product", [(2, 2), (5, 5)])  # fmt: skip
    assert report.key == "this is the transpose of the stated convention", report.text()


def test_a_plainer_case_is_not_sought_where_the_input_is_lost():
    """A real skew-Hermitian matrix of order 1 is 0, for which every port of the Cayley transform is right."""
    report = conformance.check(
        lambda a: orthoref.cayley(a, factor=0.5), "cayley", shapes=[(1, 1)], dtypes=("float64", "complex128"),
        skip=LAWLESS, progress=False,
    )  # fmt: skip
    assert report.status == "FAILS" and not any(each.needs for each in report.narrowed), report.text()


@pytest.mark.exhaustive
def test_of_a_sample_no_single_matrix_is_asked_for():
    report = sampled(unsigned, shapes=None)
    assert report.status == "FAILS" and not any(each.needs for each in report.narrowed), report.text()
