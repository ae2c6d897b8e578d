"""Every wrong port of the Stiefel manifold is refused with default settings and named; right ones are not refused."""

from __future__ import annotations

import re

import pytest
from meta.wrong_stiefel_ports import RIGHT, WRONG

from orthoref import conformance

LAWS = ("repeatable", "kept", "own memory", "history", "every call", "threads")
FEW = {"shapes": [(5, 3), (4, 4), (2, 7, 2)], "dtypes": ["float64", "complex128"], "max_cases": 10, "skip": LAWS}


def named(entries):
    return pytest.mark.parametrize(
        "entry", [pytest.param(e, id=f"{e.operation} {e.name} {' '.join(map(str, e.claims.values()))}") for e in entries]
    )


def checked(entry, **options):
    return conformance.check(entry.port, entry.operation, progress=False, **entry.claims, **options)


def test_there_are_enough():
    assert len({(e.operation, e.name, str(e.claims)) for e in WRONG}) == len(WRONG) >= 70
    assert len({e.operation for e in WRONG}) >= 10 and len(RIGHT) >= 20


@named(WRONG)
def test_a_wrong_port_is_refused(entry):
    """A few small cases are enough to refuse; to name it takes the battery."""
    report = checked(entry, **FEW)
    assert report.status == "FAILS"
    assert report.findings()[0].reason


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
