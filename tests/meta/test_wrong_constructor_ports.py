"""Every wrong port of a constructor is refused with default settings and named; right ones are not refused."""

from __future__ import annotations

import re

import pytest
from meta.wrong_constructor_ports import RIGHT, SINGULAR, WRONG

from orthoref import conformance
from orthoref.oracle.cases import drawn
from orthoref.oracle.operations import CONSTRUCTORS
from orthoref.oracle.precision import precision_of
from orthoref.oracle.run import outputs
from orthoref.oracle.verdict import judge

LAWS = ("repeatable", "kept", "own memory", "history", "every call", "threads")


def named(entries):
    return pytest.mark.parametrize(
        "entry",
        [pytest.param(e, id=f"{e.operation} {e.name} {' '.join(map(str, e.claims.values()))}") for e in entries],
    )


def checked(entry, **options):
    return conformance.check(entry.port, entry.operation, progress=False, **entry.claims, **entry.options | options)


def test_there_are_enough():
    assert len({(e.operation, e.name, str(e.claims)) for e in WRONG}) == len(WRONG) >= 80
    assert {e.operation for e in WRONG} >= {*CONSTRUCTORS} and len(RIGHT) >= 30


def one_input(entry, kind="generic"):
    """A generic case, all inputs of which are complex, if they can be."""
    row = CONSTRUCTORS[entry.operation]
    claimed = row.claim(**entry.claims)
    levels = row.shown(claimed, row.levels)
    shapes = {"angles": (5, 5), "butterfly_angles": (8, 8), "reflectors": (6, 3), "skew": (5, 5), "haar": (400, 3, 3)}
    shape = (
        shapes[row.name if row.name == "haar" else levels.draw.__name__] if row.name != "orthogonal_init" else (4, 2, 3)
    )
    dtype = "complex128" if "complex128" in row.dtypes else "float64"
    case = drawn(shape, None, None, dtype, seed=5, function=levels.draw)
    case.factors["cotangent"] = kind
    return row, claimed, case.accompanied(row.companions(claimed), row.inputs[0]).inputs()


def verdict_at_one_input(entry):
    row, claimed, inputs = one_input(entry)
    found = outputs(entry.port(*inputs.values()), None, row)
    given, returned = ({name: row.lift(name, x) for name, x in each.items()} for each in (inputs, found))
    return judge(row, given, returned, claimed, precision=precision_of("float64"))


@named([entry for entry in WRONG if not entry.where])
def test_a_wrong_port_is_refused_and_named_at_one_input(entry):
    verdict = verdict_at_one_input(entry)
    assert verdict.state == "fails"
    assert re.search(entry.words, " ".join([*verdict.reasons, *verdict.faults])), verdict.text("")


@named([entry for entry in WRONG if entry.where and entry.where is not SINGULAR])
def test_a_port_that_is_wrong_somewhere_is_refused_there(entry):
    refused_there(entry)


@pytest.mark.exhaustive
@named([entry for entry in WRONG if entry.where is SINGULAR])
def test_a_port_that_is_wrong_at_singular_reflections_is_refused_there(entry):
    refused_there(entry)


def refused_there(entry):
    report = checked(entry, **entry.where, skip=LAWS)
    assert report.status == "FAILS", report.text()


@named(RIGHT)
def test_a_right_port_holds_at_one_input(entry):
    assert verdict_at_one_input(entry).state == "holds"


@pytest.mark.exhaustive
@named(WRONG)
def test_a_wrong_port_is_named(entry):
    report = checked(entry)
    assert report.status == "FAILS"
    assert re.search(entry.words, report.text()), report.text()


@pytest.mark.exhaustive
@named(RIGHT)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_right_port_holds(entry, seed):
    report = checked(entry, seed=1000 * seed)
    assert report.status == "HOLDS", report.text()
