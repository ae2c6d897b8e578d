"""Derivatives of functions that nobody here wrote: the verdict over each is part of the documentation."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from ports.derivative_ports import PORTS

from orthoref import conformance, testing
from orthoref.errors import CannotRun, PortFailure
from orthoref.oracle import autodiff, cases

pytestmark = [pytest.mark.port, pytest.mark.exhaustive]

SVD_U, SVD, NEWTON_SCHULZ, JAX_SVD, JAX_QDWH, MUON, *OPTAX, KERAS, OUT, GRAM = PORTS


@pytest.fixture(autouse=True)
def x64():
    try:
        import jax
    except ModuleNotFoundError:
        yield
        return
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def installed(port):
    for package in port.packages:
        if package == "keras":
            pytest.importorskip("torch")
            import os

            os.environ.setdefault("KERAS_BACKEND", "torch")
        pytest.importorskip(package)


def check(port, kind="vjp", **options):
    """A few cases of ordinary size and scale."""
    installed(port)
    if port.operation == "polar":
        options["returns"] = "u" if port.outputs == (0,) else "uh"
    shapes = [(1, 1), (5, 5), (7, 4), *([(4, 7)] if port.wide else []), *([(2, 3, 3)] if port.stacks else [])]
    dtypes = [dtype for dtype in ("float32", "complex128") if dtype in port.dtypes]
    options = {"shapes": shapes, "dtypes": dtypes, "skip": ["extreme scale"], "max_cases": 60, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the ports
        return conformance.check(
            port.function, port.operation, derivative=port.framework, kind=kind, convert=port.convert, progress=False,
            **options, **port.claims,
        )  # fmt: skip


def reasons(report):
    return " | ".join(finding.reason for finding in report.findings())


def refuses(port, kind, words, **options):
    """The framework says for every input that it cannot."""
    try:
        report = check(port, kind, **options)
    except CannotRun as error:
        said = [str(error)]
    else:
        assert report.count("holds") == 0
        said = ["".join(outcome.verdict.faults) for outcome in report.failed]
    assert said
    assert all(words in each for each in said), said


THROUGH = "differentiates through the SVD: singular values . and . are equal"


@pytest.mark.parametrize("port", [SVD_U, SVD, JAX_SVD], ids=lambda port: port.name)
@pytest.mark.parametrize("kind", ["vjp", "jvp"])
def test_through_the_svd_fails_at_equal_and_close_singular_values(port, kind):
    report = check(port, kind)
    assert report.status == "FAILS" and re.search(THROUGH, reasons(report)), report.text()
    for outcome in report.failed:
        s = np.linalg.svd(outcome.case.matrix().astype(complex), compute_uv=False)
        s = s.reshape(-1, s.shape[-1]) / s[..., :1].reshape(-1, 1)
        assert np.min(np.abs(np.diff(s, axis=-1))) < 1e-2 or np.min(s) < 1e-5, outcome.case.id


@pytest.mark.parametrize("kind", ["vjp", "jvp", "vjp_jvp"])
def test_through_the_svd_holds_where_singular_values_are_apart(kind):
    installed(SVD_U)
    a = cases.matrix((5, 5), spectrum="geometric", cond=10.0, seed=0, dtype="float64")
    e, bar = (cases.cotangent(a, seed=seed) for seed in (1, 2))
    port = autodiff.derivative(SVD_U.function, "torch", kind)
    arrays = [SVD_U.convert(x) for x in {"vjp": (a, bar), "jvp": (a, e), "vjp_jvp": (a, e, bar)}[kind]]
    if kind == "vjp":
        testing.assert_vjp("polar", a, bar, port(*arrays), limit=1)
    elif kind == "jvp":
        testing.assert_jvp("polar", a, e, port(*arrays), limit=1)
    else:
        import orthoref

        x, exact = np.asarray(port(*arrays)), orthoref.polar_vjp_jvp(a, e, bar)
        assert np.linalg.norm(x - exact) <= 1e-13 * np.linalg.norm(exact)


@pytest.mark.parametrize("port", [SVD_U, JAX_SVD], ids=lambda port: port.name)
def test_smallest_counterexample_of_the_svd_is_the_identity(port):
    installed(port)
    a, u_bar = np.eye(2), np.array([[1.0, 2.0], [3.0, 5.0]])
    a_bar = autodiff.derivative(port.function, port.framework, "vjp")(port.convert(a), port.convert(u_bar))
    with pytest.raises(PortFailure, match=THROUGH):
        testing.assert_vjp("polar", a, u_bar, np.asarray(a_bar))
    testing.assert_vjp("polar", a, u_bar, np.array([[0.0, -0.5], [0.5, 0.0]]))


@pytest.mark.parametrize("kind", ["vjp", "jvp"])
def test_newton_schulz_holds_until_it_has_not_converged(kind):
    report = check(NEWTON_SCHULZ, kind, max_cases=40)
    assert report.count("holds") > 20
    for outcome in report.failed:  # 40 steps reach condition numbers of 1e5
        assert outcome.condition > 1e4, outcome.case.id


@pytest.mark.parametrize("kind", ["vjp", "vjp_jvp"])
def test_jax_qdwh_has_no_reverse_mode(kind):
    options = {"shapes": [(5, 5)], "dtypes": ["float32"], "max_cases": 5}
    refuses(JAX_QDWH, kind, "Reverse-mode differentiation does not work for lax.while_loop", **options)


@pytest.mark.parametrize("kind", ["vjp", "vjp_jvp"])
def test_torch_muon_divides_in_place(kind):
    refuses(MUON, kind, "modified by an inplace operation")


def test_torch_muon_in_forward_mode_is_left_undecided_by_bfloat16():
    report = check(MUON, "jvp")
    assert report.status == "UNDECIDED" and report.count("fails") == 0, report.text()


@pytest.mark.parametrize("kind", ["vjp", "jvp"])
def test_keras_holds(kind):
    report = check(KERAS, kind)
    assert report.holds, report.text()


@pytest.mark.parametrize(("kind", "words"), [("vjp", "out=..."), ("jvp", "out= function"), ("vjp_jvp", "out=...")])
def test_pytorch_optimizer_writes_into_out(kind, words):
    refuses(OUT, kind, words)


FEW = {"shapes": [(4, 7)], "dtypes": ["float32", "complex64"], "max_cases": 12}  # JAX compiles for every shape


def test_optax_holds():
    report = check(OPTAX[0], **FEW)
    assert report.holds, report.text()


def test_optax_schatten_loses_a_conjugate_of_the_function():
    (port,) = (port for port in OPTAX if "schatten" in port.name)
    report = check(port, **FEW)
    assert report.status == "FAILS"
    assert {outcome.case.dtype for outcome in report.failed} == {"complex64"}, report.text()
