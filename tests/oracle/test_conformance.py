"""Running a port: stopping, reporting, writing."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from inspect import signature

import numpy as np
import pytest

from orthoref import conformance, newton_schulz, polar
from orthoref.errors import CannotRun
from orthoref.oracle.operations import OPERATIONS
from orthoref.oracle.residual import condition

SMALL = {"dtypes": ["float64"], "shapes": [(3, 3)], "progress": False}


@pytest.fixture(scope="module")
def failing():
    return conformance.check(lambda a: np.linalg.qr(a), returns="uh", name="qr", **SMALL)


@pytest.mark.exhaustive
def test_our_own_polar_holds_in_every_dtype_and_shape():
    shapes = [(1, 1), (5, 5), (16, 16), (9, 4), (4, 9), (3, 4, 4)]
    report = conformance.check(polar, shapes=shapes, progress=False, limit=1)
    assert report.holds, report.text()
    assert len([o for o in report.outcomes if not o.law]) == len(conformance.battery(shapes=shapes))


@pytest.mark.parametrize("side", ["right", "left"])
def test_left_and_u_only(side):
    assert conformance.check(lambda a: polar(a, side=side)[0], side=side, **SMALL).holds


@pytest.mark.exhaustive
def test_python_code_that_hangs_is_stopped():
    def hangs(a):
        while a.shape[0] == 3:
            with suppress(Exception):  # a port that swallows everything
                time.sleep(0.01)
        return polar(a)

    start = time.monotonic()
    report = conformance.check(hangs, timeout=0.5, **SMALL)
    assert time.monotonic() - start < 30
    assert not report.holds and len(report.outcomes) == 1
    assert "did not return within 0.5 s" in report.text() and "cases not run" in report.text()


def test_what_is_given_is_what_is_claimed():
    seen = []

    def port(a):
        seen.append((a.shape, a.dtype.name))
        return polar(a)

    conformance.check(port, dtypes=["complex64"], shapes=[(2, 5), (2, 3, 3)], progress=False)
    assert set(seen) == {((2, 5), "complex64"), ((2, 3, 3), "complex64")}


def test_families_can_be_left_out():
    all_, some = conformance.battery(), conformance.battery(skip=["gallery", "extreme scale", "graded"])
    assert {case.family for case in all_} - {case.family for case in some} >= {"gallery", "extreme scale", "graded"}
    some = conformance.battery(skip=["zero", "stacks"])
    assert "zero" in {case.name for case in all_} and "zero" not in {case.name for case in some}
    assert all(case.factors["batch"] == "none" for case in some)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"operation": "cube"}, "operation='cube'"),
        ({"returns": "vw"}, "returns='vw'"),
        ({"side": "top"}, "side='top'"),
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": float("inf")}, "timeout=inf"),
        ({"limit": float("nan")}, "limit=nan"),
        ({"limit": float("inf")}, "limit=inf"),
        ({"skip": ["galery"]}, "skip="),
        ({"skip": "gallery"}, "must be a sequence"),
        ({"dtypes": "float64"}, "must be a sequence"),
        ({"dtypes": []}, "no case is left"),
        ({"skip": ["C", "layouts"]}, "no case is left"),
        ({"shapes": [(3.5, 3)]}, "3.5"),
        ({"shapes": [(0, 3), (2, 0, 0)]}, "nothing to judge"),
        ({"dtypes": ["bfloat16"]}, "needs convert=: NumPy has no bfloat16"),
        ({"convert": lambda a: a.astype("float32")}, "convert made float32 of a float64 input"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(ValueError, match=words):
        conformance.check(polar, **{**SMALL, **options})


def test_an_unknown_precision_is_no_verdict():
    with pytest.raises(TypeError, match="foo is no format"):
        conformance.check(polar, precision="foo", **SMALL)


@pytest.mark.parametrize(("operation", "option"), [("polar", "schedule"), ("newton_schulz", "side")])
def test_an_option_of_another_operation(operation, option):
    with pytest.raises(TypeError, match=f"^{operation} has no option {option}: it has "):
        conformance.check(polar, operation, **{option: "left"})


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_claims_are_those_that_are_taken(operation):
    row = OPERATIONS[operation]
    assert [claim.name for claim in row.claims] == [*signature(row.claim).parameters]


def test_where_the_exact_iteration_diverges_nothing_is_judged():
    """Without a normalization: the cases of scale 1e30, of which the port need not even be asked."""
    port, claims = (
        partial(newton_schulz, normalize="none"),
        {"normalize": "none", "dtypes": ["float32"], "max_cases": 60},
    )
    report = conformance.check(port, "newton_schulz", shapes=[(5, 12)], progress=False, **claims)
    assert report.holds, report.text()
    large = [o for o in report.outcomes if o.case.factors["scale"] == "squares overflow"]
    assert large and all("the iteration overflows" in o.verdict.notes[0] for o in large)


def test_text(failing):
    text = failing.text()
    assert text.startswith("qr as polar (side=right, returns=uh, dtypes=float64, shapes=3x3): FAILS, ")
    assert "QR factorization" in text
    recreate = re.search(r"recreate: (orthoref\.oracle.*)", text)[1]
    import orthoref

    assert eval(recreate, {"orthoref": orthoref}).shape == (3, 3)


@pytest.mark.exhaustive
def test_the_example_is_the_smallest_case_of_its_kind():
    report = conformance.check(lambda a: -a, dtypes=["float64"], shapes=[(5, 5), (2, 2)], progress=False)
    for finding in report.findings():
        alike = [o for o in report.failed if o.verdict.reasons == finding.example.verdict.reasons]
        assert finding.example.case.matrix().size == min(o.case.matrix().size for o in alike)


def test_json_is_strict_and_complete(failing):
    data = json.loads(failing.json(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert data["holds"] is False and len(data["cases"]) == len(failing.outcomes)
    assert data["environment"]["numpy"] == np.__version__
    bad = next(case for case in data["cases"] if not case["holds"])
    assert bad["recreate"].startswith("orthoref.oracle.cases.") and bad["reasons"]


def test_condition_of_the_plot():
    assert condition(np.diag([4.0, 1.0])) == 4
    assert condition(np.diag([4.0, 0.0])) == np.inf
    assert condition(np.zeros((0, 3))) == 1
    assert condition(np.diag([4.0, 1.0]) * 2.0**-1074) == 4


def test_rows_of_the_table_are_complete():
    for name, row in OPERATIONS.items():
        assert row.name == name and row.checks and row.outputs and row.levels
        assert all(callable(x) for x in (row.reference, row.jvp, row.vjp, row.claim, row.measure))
        assert row.condition is None or callable(row.condition)


@pytest.mark.exhaustive
def test_hostile_ports_do_not_end_the_run():
    class Broken(Exception):
        def __str__(self):
            raise RuntimeError

    def broken(a):
        if a[0, 0] > 0:
            raise Broken
        return polar(a)

    def reshapes(a):
        result = polar(a)
        a.resize(9, refcheck=False)
        return result

    for port, words in ((broken, "raised Broken"), (reshapes, "changed in place")):
        report = conformance.check(port, **SMALL)
        assert not report.holds and words in report.text()


def test_sizes_of_numpy_and_zero_are_sizes():
    assert conformance.check(
        polar, dtypes=["float64"], shapes=[(np.int64(2), np.int64(2)), (0, 0)], progress=False
    ).holds


def raising(shapes_in_words, kinds=(ValueError,)):
    """A port that raises for whatever it is given, one kind after the other."""
    calls = iter(range(10**6))

    def port(a):
        k = next(calls)
        if shapes_in_words and k % 2:
            raise kinds[k % len(kinds)](f"matmul of {a.shape} is not there")
        raise kinds[k % len(kinds)](f"no {a.shape}")

    return port


def test_the_same_exception_in_other_words_everywhere_is_a_port_that_cannot_be_run():
    with pytest.raises(CannotRun, match=r"the same for all of .* or the like"):
        conformance.check(raising(True), "polar", battery="quick", max_cases=12, progress=False)


def test_different_exceptions_are_findings():
    report = conformance.check(raising(False, (ValueError, KeyError)), max_cases=6, progress=False)
    assert report.status == "FAILS"


def test_excused_and_empty_cases_are_no_results(monkeypatch):
    row = replace(conformance.row_of("polar"), outside=lambda before, claimed: "outside" * (a_size(before) > 50))
    monkeypatch.setattr(conformance, "row_of", lambda operation: row)
    with pytest.raises(CannotRun):
        conformance.check(raising(True), battery="quick", max_cases=12, progress=False)
    row = replace(row, outside=lambda before, claimed: "outside")
    assert conformance.check(raising(True), max_cases=6, progress=False).status == "UNDECIDED"


def a_size(before):
    return next(iter(before.values())).value.size
