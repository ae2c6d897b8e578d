"""assert_newton_schulz as a caller meets it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from orthoref import OutsideDomain, PortFailure, newton_schulz, testing
from orthoref._schedules import presets
from orthoref._schedules.schedule import Normalization, Schedule
from orthoref.oracle import cases
from orthoref.oracle.newton_schulz.claim import UPDATE_SCALES

A = cases.matrix((2, 6, 4), cond=10, seed=1, scale=3.7)
X = newton_schulz(A)


def test_every_kind_of_array_is_accepted(backend):
    dtype = backend.dtypes[0]
    a, x = backend.asarray(A.astype(dtype)), backend.asarray(newton_schulz(A.astype(dtype)))
    testing.assert_newton_schulz(a, x)
    with pytest.raises(PortFailure, match="wrong sign"):
        testing.assert_newton_schulz(a, -x)


def test_nested_lists():
    testing.assert_newton_schulz(A.tolist(), X.tolist())
    testing.assert_newton_schulz([[3, 0], [0, 4]], newton_schulz(np.diag([3.0, 4.0])).tolist())
    with pytest.raises(PortFailure, match=r"list \(2, 6, 4\)"):
        testing.assert_newton_schulz(A.tolist(), A.tolist())
    testing.assert_newton_schulz(A.tolist(), X)


def test_torch_bfloat16():
    torch = pytest.importorskip("torch")
    a = torch.tensor(cases.matrix((40, 20), cond=10, dtype="bfloat16")).bfloat16()
    x = torch.tensor(newton_schulz(a.float().numpy(), precision="bfloat16")).bfloat16()
    testing.assert_newton_schulz(a, x)
    with pytest.raises(PortFailure, match=r"torch\.bfloat16 \(40, 20\)"):
        testing.assert_newton_schulz(a, -x)
    with pytest.raises(PortFailure, match="x has dtype bfloat16, the input float32"):
        testing.assert_newton_schulz(a.float(), x)
    testing.assert_newton_schulz(a.float(), x, precision="bfloat16")
    testing.assert_newton_schulz(a.requires_grad_(), x.float(), precision="bfloat16")


def test_ml_dtypes_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    a = cases.matrix((12, 12), cond=10, dtype="bfloat16")
    x = newton_schulz(a, precision="bfloat16")
    testing.assert_newton_schulz(a.astype(ml_dtypes.bfloat16), x.astype(ml_dtypes.bfloat16))
    with pytest.raises(PortFailure, match="wrong sign"):
        testing.assert_newton_schulz(a.astype(ml_dtypes.bfloat16), -x.astype(ml_dtypes.bfloat16))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_looser_precision_than_the_storage(precision):
    a = A.astype("float32")
    x = newton_schulz(a, "newton-schulz-5", precision=precision)
    with pytest.raises(PortFailure, match=f"accurate to {precision} only"):
        testing.assert_newton_schulz(a, x, "newton-schulz-5")
    testing.assert_newton_schulz(a, x, "newton-schulz-5", precision=precision)
    testing.assert_newton_schulz(A, x, "newton-schulz-5", precision=precision)  # dtypes may then differ
    with pytest.raises(PortFailure, match=f"judged as {precision}"):
        testing.assert_newton_schulz(a, -x, "newton-schulz-5", precision=precision)


def test_the_message_has_every_ratio_the_batch_index_the_reason_and_the_recreation_line():
    x = X.copy()
    x[1] = newton_schulz(A[1], steps=4)
    recreate = "orthoref.oracle.cases.matrix((2, 6, 4), cond=10, seed=1, scale=3.7)"
    with pytest.raises(PortFailure) as failure:
        testing.assert_newton_schulz(A, x, recreate=recreate)
    lines = str(failure.value).splitlines()
    assert lines[0] == "orthoref.testing.assert_newton_schulz: 1 of 2 checks failed        numpy.float64 (2, 6, 4)"
    number = r"\d\.\d+e\+\d+"
    relative = float(np.linalg.norm(x[1] - X[1]) / np.linalg.norm(X[1]))
    assert re.fullmatch(
        rf"  \|X - f\(A\)\| / rms rounding error +{number}  <= 4  FAIL  batch index \(1,\)  = {relative:.2g} relative",
        lines[1],
    )
    assert re.fullmatch(r"  1 - min Re\(p_i\^H X v_i\)/f\(s_i\) +[-\d.e]+  <= 1", lines[2])
    assert lines[3:] == ["  reason: 4 steps were taken, not 5", f"  recreate: {recreate}"]
    assert isinstance(failure.value, AssertionError)


def test_a_single_matrix_has_no_batch_index():
    with pytest.raises(PortFailure) as failure:
        testing.assert_newton_schulz(A[0], -X[0])
    assert "batch index" not in str(failure.value) and "recreate" not in str(failure.value)
    assert "  FAIL  = 2 relative" in str(failure.value)


def test_the_reported_ratio_is_the_limit_that_passes():
    a, x = A[0], X[0] * (1 + 1e-13)
    with pytest.raises(PortFailure) as failure:
        testing.assert_newton_schulz(a, x, limit=1e-3)
    ratio = float(re.search(r"rounding error +(\S+)", str(failure.value))[1])
    testing.assert_newton_schulz(a, x, limit=1.01 * ratio)
    with pytest.raises(PortFailure):
        testing.assert_newton_schulz(a, x, limit=0.99 * ratio)


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "you-6"},
        {"schedule": presets.get("you-6"), "steps": 4},
        {"schedule": Schedule.of("mine", [["1.5", "-0.5"]], past="repeat"), "steps": 6},
        {"steps": 3},
        {"normalize": "spectral"},
        {"normalize": Normalization("schatten4", "1.02")},
        {"eps": 1.0},
        {"eps": 100.0, "eps_rule": "clamp"},
    ],
    ids="-".join,
)
def test_options_are_passed_on(options):
    x = newton_schulz(A, **options)
    testing.assert_newton_schulz(A, x, **options)
    with pytest.raises(PortFailure):
        testing.assert_newton_schulz(A, x)


def test_form_and_scale_are_passed_on():
    testing.assert_newton_schulz(A, newton_schulz(A, form="gram", restart=[2]), form="gram", restart=[2])
    for scale, factor in UPDATE_SCALES.items():
        testing.assert_newton_schulz(A, factor(6, 4) * X, scale=scale)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((A * np.nan, X), {}, OutsideDomain, "nothing to judge"),
        ((A * np.inf, X), {}, OutsideDomain, "nothing to judge"),
        ((A, 3.0), {}, TypeError, "x must be"),
        ((A, None), {}, TypeError, "x must be"),
        ((A, X.astype(int)), {}, TypeError, "int64"),
        ((A[0, 0], X), {}, ValueError, "a must have at least 2 dimensions"),
        ((A, X[0, 0]), {}, ValueError, "x must have at least 2 dimensions"),
        ((A, X), {"precision": "float8"}, TypeError, "float8"),
        ((A, X), {"schedule": "moun"}, ValueError, "schedule 'moun'"),
        ((A, X), {"schedule": 3.4445}, TypeError, "schedule must be a name or a Schedule, not float"),
        ((A, X), {"schedule": "you-6", "steps": 7}, ValueError, "has 6 rows"),
        ((A, X), {"steps": 2.5}, ValueError, r"steps=2\.5"),
        ((A, X), {"normalize": "ky fan"}, ValueError, "ky fan"),
        ((A, X), {"eps": -1}, ValueError, "eps=-1"),
        ((A, X), {"eps_rule": "max"}, ValueError, "eps_rule='max'"),
        ((A, X), {"form": "left"}, ValueError, "form='left'"),
        ((A, X), {"restart": (2,)}, ValueError, "restart belongs to form='gram'"),
        ((A, X), {"form": "gram", "restart": (9,)}, ValueError, "restart=9"),
        ((A, X), {"scale": "m"}, ValueError, "scale='m'"),
        ((A, X), {"limit": float("nan")}, ValueError, "limit=nan"),
        ((A, X), {"limit": 0}, ValueError, "limit=0"),
    ],
)
def test_bad_arguments(arguments, options, error, words):
    with pytest.raises(error, match=words):
        testing.assert_newton_schulz(*arguments, **options)


@pytest.mark.parametrize("shape", [(2, 4, 6), (6, 4), (3, 6, 4), (2, 6, 5), (2, 2, 6, 4)])
def test_wrong_shapes_fail(shape):
    with pytest.raises(PortFailure, match="x has shape"):
        testing.assert_newton_schulz(A, np.zeros(shape))


def test_what_cannot_be_judged_is_an_error_of_the_question():
    a = cases.matrix((24, 24), cond=1e3, seed=1)
    x = newton_schulz(a)
    with pytest.raises(OutsideDomain, match="1 of 1 not judged: in bfloat16 the rounding errors alone are"):
        testing.assert_newton_schulz(a, x, "jordan", form="gram", precision="bfloat16")
    with pytest.raises(OutsideDomain, match="2 of 2 not judged"):
        testing.assert_newton_schulz(np.stack([a, a]), np.stack([x, x]), form="gram", precision="bfloat16")
    with pytest.raises(OutsideDomain, match="it may leave the range of bfloat16"):  # and right ports do
        testing.assert_newton_schulz(a, x * np.nan, form="gram", precision="bfloat16")
    b = cases.matrix((30, 20), cond=1e5, seed=182)
    with pytest.raises(OutsideDomain, match="1 of 1 not judged"):
        testing.assert_newton_schulz(b, newton_schulz(b), precision="float16", form="gram")
    with pytest.raises(PortFailure, match="NaN or infinite"):  # the standard form cannot: NaN is wrong anyhow
        testing.assert_newton_schulz(b, b * np.nan, "jordan", precision="bfloat16")
    with pytest.raises(PortFailure, match="x has shape"):
        testing.assert_newton_schulz(a, x[1:], form="gram", precision="bfloat16")


def test_what_can_be_judged_of_a_stack_is_judged():
    a = np.stack([np.eye(24), cases.matrix((24, 24), cond=1e3, seed=1)])
    x = newton_schulz(a)
    testing.assert_newton_schulz(a, x, form="gram", precision="bfloat16")
    x[0] *= -1
    with pytest.raises(PortFailure, match=r"batch index \(0,\)"):
        testing.assert_newton_schulz(a, x, form="gram", precision="bfloat16")


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 3, 0), (0, 3, 3)])
def test_nothing_is_there_to_fail_in_empty_arrays(shape):
    testing.assert_newton_schulz(np.zeros(shape), np.zeros(shape))


def test_the_arguments_are_not_changed():
    a, x = A.copy(), X.copy()
    testing.assert_newton_schulz(a, x)
    with pytest.raises(PortFailure):
        testing.assert_newton_schulz(a, -x)
    assert np.array_equal(a, A) and np.array_equal(x, X)
