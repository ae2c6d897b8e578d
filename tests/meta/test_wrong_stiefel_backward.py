"""Every wrong derivative of a map on the Stiefel manifold is refused and named; right ones are not refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from backends import BACKENDS
from meta.wrong_stiefel_backward import RIGHT, WRONG, in_jax, in_torch

from orthoref import conformance
from orthoref.oracle.cases import drawn
from orthoref.oracle.lift import lift
from orthoref.oracle.operations import TANGENT_MAPS
from orthoref.oracle.precision import precision_of
from orthoref.oracle.verdict import judge

LAWS = ("repeatable", "kept", "own memory", "history", "every call", "threads")
FEW = {"shapes": [(5, 3), (4, 4)], "dtypes": ["complex128"], "max_cases": 6, "skip": LAWS, "progress": False}
BACKEND = {backend.name: backend for backend in BACKENDS}


def named(entries):
    return pytest.mark.parametrize(
        "entry",
        [pytest.param(e, id=f"{e.operation} {e.name} {' '.join(map(str, e.claims.values()))}") for e in entries],
    )


def judged(entry, shape=(6, 3), kind="generic"):
    """One case, all inputs of which are complex."""
    row = TANGENT_MAPS[entry.operation]
    case = drawn(shape, None, None, "complex128", structure="orthonormal", seed=5)
    case.factors["cotangent"] = kind
    claimed = row.claim(**entry.claims)
    inputs = case.accompanied(row.companions(claimed), "x").inputs()
    outputs = entry.port(*inputs.values())
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    given = {name: lift(name, x) for name, x in inputs.items()}
    found = {name: lift(name, x) for name, x in zip(row.outputs, outputs, strict=True)}
    return judge(row, given, found, claimed, precision=precision_of("float64"))


def test_there_are_enough():
    assert len({(e.operation, e.name, str(e.claims)) for e in WRONG}) == len(WRONG) >= 60
    assert len({e.operation for e in WRONG}) >= 9 and len(RIGHT) >= 15


@pytest.mark.sample(3)
@named(WRONG)
def test_a_wrong_derivative_is_refused_and_named_at_one_input(entry):
    verdict = judged(entry)
    assert verdict.state == "fails"
    assert re.search(entry.words, " ".join(verdict.reasons)), verdict.text("")


@named(RIGHT)
@pytest.mark.parametrize("shape", [(6, 3), (4, 4), (2, 5, 1)], ids=str)
def test_a_right_derivative_holds_at_one_input(entry, shape):
    verdict = judged(entry, shape)
    assert verdict.state == "holds", verdict.text("")
    assert all(check.ratio <= 1 for check in verdict.checks)


@pytest.mark.exhaustive
@named(WRONG)
def test_a_wrong_derivative_is_named(entry):
    report = conformance.check(entry.port, entry.operation, progress=False, **entry.claims)
    assert report.status == "FAILS"
    assert re.search(entry.words, report.text()), report.text()


@pytest.mark.exhaustive
@named(RIGHT)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_right_derivative_holds(entry, seed):
    report = conformance.check(entry.port, entry.operation, progress=False, seed=1000 * seed, **entry.claims)
    assert report.status == "HOLDS", report.text()


def differentiated(entry, name, kind, **options):
    backend = BACKEND[name]
    backend.require()
    return conformance.check(
        entry.port, entry.operation, derivative=name, kind=kind, **{**FEW, **options}, **entry.claims,
        convert=lambda a: backend.asarray(np.array(a.astype(a.dtype.newbyteorder("=")))),
    )  # fmt: skip


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_framework_is_right_and_wrong(name):
    """One of each; the others below."""
    BACKEND[name].require()
    right, wrong = (in_torch if name == "torch" else in_jax)()
    assert differentiated(right[0], name, "vjp", shapes=[(4, 2)], max_cases=2).status == "HOLDS"
    report = differentiated(wrong[0], name, "vjp", shapes=[(4, 2)], max_cases=12)
    assert report.status == "FAILS" and re.search(wrong[0].words, report.text()), report.text()


@pytest.mark.by_hand
@pytest.mark.parametrize("kind", ["vjp", "jvp"])
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_every_port_of_a_framework(name, kind):
    BACKEND[name].require()
    right, wrong = (in_torch if name == "torch" else in_jax)()
    for entry in right:
        report = differentiated(entry, name, kind)
        assert report.status == "HOLDS", report.text()
    for entry in wrong:
        report = differentiated(entry, name, kind)
        words = entry.words if kind == "vjp" else entry.words.replace("x_bar is zero: x", "X")
        assert report.status == "FAILS" and re.search(words, report.text()), report.text()
