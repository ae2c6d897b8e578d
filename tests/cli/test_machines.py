"""Annotations and JUnit, of a run made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from orthoref import conformance, polar
from orthoref.cli import machines
from orthoref.oracle.run import about

SMALL = {"dtypes": ["float64"], "shapes": [(3, 3)], "max_cases": 12, "skip": ["extreme scale"], "progress": False}


def raises(a):
    raise_for = float(a[0, 0]) > 0
    if raise_for:
        raise ValueError("100% of\nit, \x00 <bad>")
    return polar(a)


@pytest.fixture(scope="module")
def failing():
    return conformance.check(raises, name="m.py:raises", **SMALL)


def test_annotations_name_findings_place_and_escape(failing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = replace(failing, source=(str(tmp_path / "m.py"), 3))
    first, *rest = machines.github(here).splitlines()
    assert first.startswith("::error file=m.py,line=3,title=m.py%3Araises::m.py:raises as polar")
    assert rest and all(line.startswith("::error file=m.py,line=3,") for line in rest)
    assert "raised ValueError: 100%25 of%0Asmallest case: " in rest[0] and "%0Arecreate: orthoref.oracle" in rest[0]
    elsewhere, nowhere = (replace(failing, source=source) for source in (("/elsewhere/m.py", 3), None))
    assert all(machines.github(each).startswith("::error title=") for each in (elsewhere, nowhere))


def test_the_source_of_a_port_is_known_to_its_report(failing):
    path, line = failing.source
    assert path == str(Path(__file__).resolve())
    assert Path(path).read_text().splitlines()[line - 1] == "def raises(a):"
    assert about(len, None).source is None


def test_annotations_of_a_run_that_holds():
    report = replace(conformance.check(polar, name="p", **SMALL), source=None)
    assert machines.github(report).startswith("::notice title=p::p as polar") and "\n" not in machines.github(report)


def test_junit_counts_what_the_report_counts(failing):
    suite = ElementTree.fromstring(machines.junit(failing).encode())
    cases = suite.findall("testcase")
    assert len(cases) == int(suite.get("tests")) == len(failing.outcomes) + 1
    assert len(suite.findall("testcase/failure")) == int(suite.get("failures")) == failing.count("fails") + 1
    bad = next(o for o in failing.outcomes if not o.verdict.holds)
    element = next(case for case in cases if case.get("name") == bad.case.id)
    assert "100% of" in element[0].get("message") and f"recreate: {bad.case.recreate}" in element[0].text


def test_junit_skips_with_the_reason_and_survives_any_text(failing):
    outcomes = [replace(o, verdict=replace(o.verdict, checks=[], faults=[], judged=(0, 1), notes=["no \x1b\x00 judge"]))
                for o in failing.outcomes]  # fmt: skip
    suite = ElementTree.fromstring(machines.junit(replace(failing, outcomes=outcomes, port="\x01")).encode())
    skipped = suite.findall("testcase/skipped")
    assert len(skipped) == int(suite.get("skipped")) == len(outcomes)
    assert {element.get("message") for element in skipped} == {"no ?? judge"}
    assert suite.get("name") == "?" and np.all(
        [element.get("classname") == "?" for element in suite.findall("testcase")]
    )
