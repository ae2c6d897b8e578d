"""Newton-Schulz iterations that nobody here wrote: the verdict over each, and the reason where it fails."""

from __future__ import annotations

import numpy as np
import pytest

from orthoref import conformance, testing
from orthoref.errors import CannotRun, PortFailure
from orthoref.oracle import cases
from orthoref.schedules import Normalization

pytestmark = [pytest.mark.port, pytest.mark.exhaustive]

SHAPES = [(1, 1), (1, 6), (5, 5), (16, 16), (24, 7), (7, 24)]
OVERFLOWS = "overflows {}: a norm has to scale before it squares"


def check(port, **options):
    return conformance.check(port, "newton_schulz", **{"shapes": SHAPES, "progress": False, **options})


EXTREME = {"squares overflow", "squares underflow", "near overflow", "near underflow"}


def fails_at_extreme_scales_only(report):
    """It does, and one of the reasons says that the square of the norm overflows or underflows, or what comes of it."""
    scales = {outcome.case.factors["scale"] for outcome in report.failed}
    return bool(scales) and scales <= EXTREME and not any(outcome.law for outcome in report.failed)


def reasons(report):
    return [finding.reason for finding in report.findings()]


# torch.optim.Muon: Jordan's row five times, bfloat16, |a|_F clamped at eps, two dimensions

TORCH = {"schedule": "jordan", "steps": 5, "eps": 1e-7, "eps_rule": "clamp", "precision": "bfloat16"}


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def zeropower():
    muon = pytest.importorskip("torch.optim._muon")
    return lambda a: muon._zeropower_via_newtonschulz(a, (3.4445, -4.7750, 2.0315), 5, 1e-7)


def test_torch_muon_holds_but_where_the_squared_norm_overflows(torch, zeropower):
    report = check(zeropower, convert=lambda a: torch.asarray(a.copy()), dtypes=["float32"], **TORCH)
    assert fails_at_extreme_scales_only(report), report.text()
    assert any(OVERFLOWS.format("bfloat16") in reason for reason in reasons(report))


def test_torch_muon_holds_at_the_scales_of_gradients(torch, zeropower):
    report = check(
        zeropower, convert=lambda a: torch.asarray(a.copy()), dtypes=["float32"], skip=["extreme scale"], **TORCH
    )
    assert report.holds, report.text()
    ratios = [check.ratio for o in report.outcomes for check in o.verdict.checks if check.name == "forward"]
    assert max(ratios) <= 1 and report.pooled.holds


def test_torch_muon_divides_a_bfloat16_gradient_in_place(torch, zeropower):
    report = check(
        zeropower,
        convert=lambda a: torch.asarray(a.copy()).bfloat16(),
        dtypes=["bfloat16"],
        shapes=[(5, 5), (7, 24), (24, 7)],
        skip=["extreme scale"],
        **TORCH,
    )
    assert not report.holds
    kept = [outcome for outcome in report.outcomes if outcome not in report.failed]
    for outcome in kept:  # a norm that rounds to 1 changes nothing, and zero stays zero
        size = np.linalg.norm(outcome.case.matrix())
        assert outcome.law or size == 0 or abs(size - 1) <= 2.0**-8
    assert all("the input was changed in place" in reason for reason in reasons(report))
    assert all(check.holds for outcome in report.failed for check in outcome.verdict.checks)


def test_torch_muon_does_not_change_a_float32_gradient(torch, zeropower):
    a = torch.asarray(cases.matrix((6, 4), cond=10, seed=1, dtype="float32"))
    kept = a.clone()
    x = zeropower(a)
    assert torch.equal(a, kept) and x.dtype == torch.bfloat16
    testing.assert_newton_schulz(a, x, "jordan", steps=5, eps=1e-7, eps_rule="clamp", precision="bfloat16")


def test_torch_muon_in_place_smallest_counterexample(torch, zeropower):
    a = torch.asarray([[3.0, 0.0], [0.0, 4.0]]).bfloat16()
    kept = a.clone()
    x = zeropower(a)
    assert not torch.equal(a, kept)
    testing.assert_newton_schulz(kept, x, "jordan", eps=1e-7, eps_rule="clamp")


def test_torch_muon_is_not_as_accurate_as_its_input(torch, zeropower):
    options = {key: value for key, value in TORCH.items() if key != "precision"}
    report = check(zeropower, convert=lambda a: torch.asarray(a.copy()), dtypes=["float32"], shapes=[(5, 5)], **options)
    assert "x has dtype bfloat16, the input float32" in report.text()
    report = check(
        lambda a: zeropower(a).float(),
        convert=lambda a: torch.asarray(a.copy()),
        dtypes=["float32"],
        shapes=[(5, 5)],
        skip=["extreme scale", "one_small", "repeated", "rank_deficient", "one_large", "strided"],
        **options,
    )
    assert any("accurate to bfloat16 only" in reason for reason in reasons(report))


def test_torch_muon_takes_two_dimensions(torch, zeropower):
    with pytest.raises(CannotRun, match="ValueError: Input tensor gradient must be a 2D matrix"):
        check(zeropower, convert=lambda a: torch.asarray(a.copy()), dtypes=["float32"], shapes=[(4, 4, 4)], **TORCH)


def test_torch_muon_clamps_at_1e_minus_7(torch, zeropower):
    a = torch.asarray(cases.matrix((6, 6), cond=2, seed=1, scale=1e-11, dtype="float32"))
    testing.assert_newton_schulz(a, zeropower(a), **TORCH)
    for eps in (0.0, 1e-8):
        with pytest.raises(PortFailure):
            testing.assert_newton_schulz(a, zeropower(a), **(TORCH | {"eps": eps}))


# optax.contrib.muon: preconditioning -> normalization, eps, rule. "schatten" clips |x x^T|_F, a squared norm, at 1e-8

OPTAX = {
    "frobenius": ("frobenius", 1e-8, "add"),
    "spectral": ("spectral", 1e-8, "add"),
    "aol": ("aol", 1e-8, "clamp"),
    "schatten": ("schatten4", 1e-4, "clamp"),
}


@pytest.fixture
def orthogonalize():
    jax = pytest.importorskip("jax")
    muon = pytest.importorskip("optax.contrib._muon")

    def port(mode, coefficients=(3.4445, -4.7750, 2.0315)):
        return jax.jit(
            lambda x: muon.orthogonalize_via_newton_schulz(
                x, jax.numpy.asarray(coefficients, x.real.dtype), 5, mode, 1e-8
            )
        )

    return port


def claims(mode):
    normalize, eps, rule = OPTAX[mode]
    jnp = pytest.importorskip("jax.numpy")
    return {
        "schedule": "jordan",
        "steps": 5,
        "normalize": normalize,
        "eps": eps,
        "eps_rule": rule,
        "convert": jnp.asarray,
        "shapes": [(1, 1), (5, 5), (24, 7)],
    }


@pytest.mark.parametrize("mode", OPTAX)
def test_optax_holds_in_float64(mode, orthogonalize):
    report = check(orthogonalize(mode), dtypes=["float64"], skip=["extreme scale"], **claims(mode))
    assert report.holds, report.text()
    assert all(outcome.verdict.checks for outcome in report.outcomes if not outcome.law)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("frobenius", OVERFLOWS.format("float32")),
        ("aol", "entries that are NaN or infinite"),
        ("schatten", "entries that are NaN or infinite"),
    ],
)
def test_optax_fails_in_float32_where_the_squared_norm_overflows_only(mode, words, orthogonalize):
    report = check(orthogonalize(mode), dtypes=["float32"], **claims(mode))
    assert fails_at_extreme_scales_only(report), report.text()
    assert any(words in reason or "x is zero" in reason for reason in reasons(report))


def test_optax_spectral_holds_in_float32(orthogonalize):
    report = check(orthogonalize("spectral"), dtypes=["float32"], skip=["extreme scale"], **claims("spectral"))
    assert report.holds, report.text()


@pytest.mark.parametrize(
    ("mode", "dtype"),
    [("frobenius", "complex64"), ("frobenius", "complex128"), ("spectral", "complex64"), ("aol", "complex128")],
)
def test_optax_holds_for_complex_matrices(mode, dtype, orthogonalize):
    report = check(orthogonalize(mode), dtypes=[dtype], skip=["extreme scale"], **claims(mode))
    assert report.holds, report.text()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_optax_schatten_loses_a_conjugate(dtype, orthogonalize):
    # x @ x.T in the first step, where the other modes have x @ x.T.conj()
    options = claims("schatten") | {"shapes": [(3, 4)]}
    report = check(orthogonalize("schatten"), dtypes=[dtype], skip=["extreme scale"], **options)
    general = [
        o for o in report.outcomes if o.case.factors["structure"] == "general" and o.case.factors["scale"] == "1"
    ]
    assert general and not any(outcome.verdict.holds for outcome in general)


def test_optax_schatten_smallest_counterexample(orthogonalize):
    # x x^T = 0 and x x^H = 2: the norm is clamped to 1e-4
    jnp = pytest.importorskip("jax.numpy")
    a = jnp.asarray([[1.0, 1.0j]])
    with pytest.raises(PortFailure):
        testing.assert_newton_schulz(
            a, orthogonalize("schatten")(a), "jordan", normalize="schatten4", eps=1e-4, eps_rule="clamp"
        )
    real = jnp.asarray([[1.0, 1.0]])
    testing.assert_newton_schulz(
        real, orthogonalize("schatten")(real), "jordan", normalize="schatten4", eps=1e-4, eps_rule="clamp"
    )


def test_optax_schatten_clips_a_square(orthogonalize):
    jnp = pytest.importorskip("jax.numpy")
    a = jnp.asarray(cases.matrix((6, 6), cond=10, seed=1, scale=1e-5))
    x = orthogonalize("schatten")(a)
    testing.assert_newton_schulz(a, x, "jordan", normalize="schatten4", eps=1e-4, eps_rule="clamp")
    with pytest.raises(PortFailure):
        testing.assert_newton_schulz(a, x, "jordan", normalize="schatten4", eps=1e-8, eps_rule="clamp")


def test_optax_dion_list(orthogonalize):
    muon = pytest.importorskip("optax.contrib._muon")
    port = orthogonalize("frobenius", muon._DION_NS_COEFFS)
    report = check(port, dtypes=["float64"], skip=["extreme scale"], **(claims("frobenius") | {"schedule": "you-5"}))
    assert report.holds, report.text()
    assert not check(
        port, dtypes=["float64"], **(claims("frobenius") | {"schedule": "jordan", "shapes": [(5, 5)]})
    ).holds


def test_optax_scales_by_the_other_side(orthogonalize):
    # a parameter of optax is (fan_in, fan_out), the transpose of torch's
    muon = pytest.importorskip("optax.contrib._muon")
    jnp = pytest.importorskip("jax.numpy")
    a = jnp.asarray(cases.matrix((6, 24), cond=10, seed=1))
    x = muon._scale_update_for_width_transfer(orthogonalize("frobenius")(a), muon.MuonDimensionNumbers())
    testing.assert_newton_schulz(a, x, "jordan", eps=1e-8, scale="sqrt(max(1, n/m))")
    with pytest.raises(PortFailure, match=r"x is 2 times what it should be: the update scale sqrt\(max\(1, n/m\)\)"):
        testing.assert_newton_schulz(a, x, "jordan", eps=1e-8, scale="sqrt(max(1, m/n))")


# keras.optimizers.Muon: |a|_F + 1e-7, in the dtype of the gradient; stacks, too

KERAS = {"schedule": "jordan", "steps": 5, "eps": 1e-7}


@pytest.fixture
def keras_muon(torch, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    muon = pytest.importorskip("keras").optimizers.Muon(learning_rate=1e-3)
    return lambda a: muon.zeropower_via_newtonschulz5(a, 5)


def test_keras_holds_in_float32_but_where_the_squared_norm_overflows(torch, keras_muon):
    shapes = [*SHAPES, (4, 4, 4)]
    report = check(keras_muon, convert=lambda a: torch.asarray(a.copy()), dtypes=["float32"], shapes=shapes, **KERAS)
    assert fails_at_extreme_scales_only(report), report.text()
    assert any(OVERFLOWS.format("float32") in reason for reason in reasons(report))


def test_keras_takes_the_norm_of_float64_in_float32(torch, keras_muon):
    a = torch.asarray(cases.matrix((7, 24), cond=10, seed=1))
    with pytest.raises(PortFailure, match="the norm is wrong by"):
        testing.assert_newton_schulz(a, keras_muon(a), **KERAS)
    testing.assert_newton_schulz(a, keras_muon(a), **KERAS, precision="float32")


# pytorch_optimizer: torch's iteration with a safety factor, and the Gram form; the last row is repeated

CLAMP = {"steps": 5, "eps": 1e-7, "eps_rule": "clamp"}


@pytest.fixture
def pytorch_optimizer():
    return pytest.importorskip("pytorch_optimizer.optimizer.utils.matrix")


@pytest.mark.parametrize(("form", "precision"), [("standard", "bfloat16"), ("gram", "float16"), ("gram", "float32")])
def test_pytorch_optimizer_holds_but_where_the_squared_norm_overflows(torch, pytorch_optimizer, form, precision):
    options = {"dtype": getattr(torch, precision)}
    if form == "gram":  # c_0 I is never added to S: an unfused c_0 Q + Q S
        port, claims = pytorch_optimizer.zero_power_via_gram_newton_schulz, {"form": "gram", "restart": (2,)}
    else:
        port, claims = pytorch_optimizer.zero_power_via_newton_schulz_5, {}
    report = check(
        lambda a: port(a, **options),
        convert=lambda a: torch.asarray(a.copy()),
        dtypes=["float32"],
        shapes=[*SHAPES, (4, 4, 4)],
        schedule="jordan",
        precision=precision,
        **CLAMP,
        **claims,
    )
    assert fails_at_extreme_scales_only(report), report.text()
    assert any(OVERFLOWS.format(precision) in reason for reason in reasons(report))


def test_the_polar_express_of_pytorch_optimizer_is_that_of_timm(torch, pytorch_optimizer):
    a = torch.asarray(cases.matrix((24, 7), cond=1e3, seed=1, dtype="float32"))
    x = pytorch_optimizer.zero_power_via_newton_schulz_5(
        a, weights="polar_express", safety_factor=1.01, dtype=torch.float32
    )
    norm = Normalization("frobenius", "1.01")
    testing.assert_newton_schulz(a, x, "polar-express-timm", normalize=norm, **CLAMP)
    with pytest.raises(PortFailure, match="these are the coefficients of polar-express-timm"):
        testing.assert_newton_schulz(a, x, "polar-express-list", normalize=norm, **CLAMP)
