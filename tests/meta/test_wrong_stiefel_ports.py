"""Every wrong port of the Stiefel manifold is refused with default settings and named; right ones are not refused."""

from __future__ import annotations

import re

import pytest
from meta.wrong_stiefel_ports import RIGHT, WRONG

from orthoref import conformance
from orthoref.oracle.cases import drawn
from orthoref.oracle.lift import lift
from orthoref.oracle.operations import GEOMETRY
from orthoref.oracle.precision import precision_of
from orthoref.oracle.verdict import judge

LAWS = ("repeatable", "kept", "own memory", "history", "every call", "threads")
FEW = {"shapes": [(5, 3), (4, 4)], "dtypes": ["complex128"], "max_cases": 5, "skip": LAWS}


def named(entries):
    return pytest.mark.parametrize(
        "entry",
        [pytest.param(e, id=f"{e.operation} {e.name} {' '.join(map(str, e.claims.values()))}") for e in entries],
    )


def checked(entry, **options):
    return conformance.check(entry.port, entry.operation, progress=False, **entry.claims, **options)


def test_there_are_enough():
    assert len({(e.operation, e.name, str(e.claims)) for e in WRONG}) == len(WRONG) >= 70
    assert len({e.operation for e in WRONG}) >= 10 and len(RIGHT) >= 20


def one_input(entry):
    """A generic case, all inputs of which are complex."""
    row = GEOMETRY[entry.operation]
    case = drawn((6, 3), None, None, "complex128", structure="orthonormal", seed=5)
    case.factors["cotangent"] = "0.1" if "0.1" in row.levels.cotangent else "generic"
    claimed = row.claim(**entry.claims)
    inputs = case.accompanied(row.companions(claimed), row.inputs[0]).inputs()
    return row, claimed, inputs


@named([entry for entry in WRONG if entry.operation != "stiefel.retract"])
def test_a_wrong_port_is_refused_and_named_at_one_input(entry):
    row, claimed, inputs = one_input(entry)
    found = {row.outputs[0]: lift(row.outputs[0], entry.port(*inputs.values()))}
    given = {name: lift(name, x) for name, x in inputs.items()}
    verdict = judge(row, given, found, claimed, precision=precision_of("float64"))
    assert verdict.state == "fails"
    assert re.search(entry.words, " ".join(verdict.reasons)), verdict.text("")


@named([entry for entry in WRONG if entry.operation == "stiefel.retract"])
def test_what_is_no_retraction_is_refused_and_named(entry):
    report = checked(entry, **FEW)
    assert report.status == "FAILS" and re.search(entry.words, report.text()), report.text()


@pytest.mark.exhaustive
@named(WRONG)
def test_a_wrong_port_is_named(entry):
    report = checked(entry)
    assert report.status == "FAILS"
    assert re.search(entry.words, report.text()), report.text()


@named(RIGHT)
def test_a_right_port_holds_where_it_is_small(entry):
    report = checked(entry, **FEW)
    assert report.status == "HOLDS", report.text()


@pytest.mark.exhaustive
@named(RIGHT)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_right_port_holds(entry, seed):
    report = checked(entry, seed=1000 * seed)
    assert report.status == "HOLDS", report.text()
