"""Functions that nobody here wrote: the verdict over each is part of the documentation (docs/ports)."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from orthoref import conformance, testing
from orthoref.errors import PortFailure

pytestmark = [pytest.mark.port, pytest.mark.exhaustive]

SHAPES = [(1, 1), (2, 2), (5, 5), (16, 16), (24, 7)]


def test_scipy_holds():
    report = conformance.check(scipy.linalg.polar, shapes=SHAPES, progress=False)
    assert report.holds, report.text()


def test_torch_svd_polar_holds():
    torch = pytest.importorskip("torch")

    def port(a):
        p, s, vh = torch.linalg.svd(a, full_matrices=False)
        return p @ vh, (vh.mH * s.to(vh.dtype).unsqueeze(-2)) @ vh

    report = conformance.check(port, shapes=SHAPES, convert=lambda a: torch.asarray(a.copy()), progress=False)
    assert report.holds, report.text()


# XLA on the CPU flushes subnormal numbers to zero: outside what JAX claims
XLA = {"skip": ["extreme scale", "subnormal"], "progress": False, "dtypes": ["float32", "float64", "complex64"]}


def test_jax_svd_holds():
    jax = pytest.importorskip("jax")
    linalg = pytest.importorskip("jax.scipy.linalg")
    report = conformance.check(lambda a: linalg.polar(a, method="svd"), shapes=SHAPES, convert=jax.numpy.asarray, **XLA)
    assert report.holds, report.text()


def test_jax_qdwh_fails_where_the_rank_is_deficient_and_near_overflow_only():
    jax = pytest.importorskip("jax")
    linalg = pytest.importorskip("jax.scipy.linalg")
    report = conformance.check(linalg.polar, shapes=[(2, 2), (5, 5)], convert=jax.numpy.asarray, **XLA)
    assert not report.holds
    for outcome in report.failed:
        eps = np.finfo(outcome.case.dtype).eps
        assert outcome.case.name == "near_overflow" or outcome.condition > 0.01 / eps, outcome.case.id


@pytest.mark.parametrize(
    ("a", "words"),
    [
        (
            [[0.0, 0.0], [1.0, 1.0]],
            "rank deficient to working precision: u is neither orthonormal nor a partial isometry",
        ),
        (np.array([[0.5, 0.25], [0.25, 0.5]]) * np.finfo("float64").max, "near overflow"),
    ],
)
def test_jax_qdwh_smallest_counterexamples(a, words):
    jnp = pytest.importorskip("jax.numpy")
    linalg = pytest.importorskip("jax.scipy.linalg")
    a = jnp.asarray(a)
    for accepted in ("complete", "partial"):
        with pytest.raises(PortFailure, match=words):
            testing.assert_polar(a, *linalg.polar(a), rank_deficient=accepted)


def test_jax_without_float64_is_not_judged_as_float64():
    with pytest.raises(ValueError, match="convert made float32 of a float64 input"):
        conformance.check(lambda a: a, convert=lambda a: a.astype("float32"), dtypes=["float64"], progress=False)
