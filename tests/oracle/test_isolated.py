"""Ports in a process of their own: every death is a finding, the verdict is otherwise the same."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from orthoref import conformance
from orthoref.errors import CannotRun

PORTS = """
import os, time
import numpy as np
import orthoref

def right(a): return orthoref.polar(a)

def aborts(a):
    if a.shape == (4, 4): os.abort()
    return orthoref.polar(a)

def exits(a): os._exit(3)

def raises(a): raise ValueError("no")

def mutates(a):
    u, h = orthoref.polar(a)
    if a.flags.writeable: a *= 2
    return u, h

def hangs(a): time.sleep(1000)

count = 0
def forgets(a):
    global count
    count += 1
    u, h = orthoref.polar(a)
    return (u, h) if count % 2 else (u * (1 + 1e-9), h)
"""
SMALL = {"dtypes": ["float64"], "shapes": [(3, 3)], "max_cases": 12, "progress": False, "isolate": True}


@pytest.fixture
def ports(tmp_path, monkeypatch):
    (tmp_path / "aport.py").write_text(PORTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "aport", raising=False)
    import aport

    yield aport
    sys.modules.pop("aport", None)


@pytest.mark.exhaustive
def test_a_right_port_has_the_verdict_that_it_has_here(ports):
    there = conformance.check(ports.right, **SMALL)
    here = conformance.check(ports.right, **SMALL | {"isolate": False})
    assert there.holds and [(o.case.id, o.law, o.verdict.checks) for o in there.outcomes] == [
        (o.case.id, o.law, o.verdict.checks) for o in here.outcomes
    ]


@pytest.mark.exhaustive
def test_an_abort_is_a_finding_and_the_run_goes_on(ports):
    report = conformance.check(ports.aborts, **SMALL | {"shapes": [(3, 3), (4, 4)], "max_cases": 8})
    died = [o for o in report.outcomes if o.verdict.faults == ["ended its process: SIGABRT"]]
    assert died and all(o.case.shape == (4, 4) for o in died) and not report.stopped
    assert {o.verdict.state for o in report.outcomes if o.case.shape == (3, 3)} == {"holds"}


@pytest.mark.exhaustive
def test_a_port_that_always_dies_is_given_up(ports):
    report = conformance.check(ports.exits, **SMALL)
    assert "ended its process: exit status 3" in report.text() and report.status == "FAILS"
    assert report.stopped == "2 cases not run after the port had ended its process 10 times"


@pytest.mark.exhaustive
def test_broken_promises_and_laws_are_seen_there(ports):
    assert "the input was changed in place" in conformance.check(ports.mutates, **SMALL).text()
    report = conformance.check(ports.forgets, **SMALL)
    assert any(o.law == "repeatable" and not o.verdict.holds for o in report.outcomes)


@pytest.mark.exhaustive
def test_what_hangs_is_ended_and_what_always_raises_is_no_verdict(ports):
    report = conformance.check(ports.hangs, timeout=0.2, **SMALL)
    assert "did not return within 0.2 s" in report.text() and "cases not run after the port hung" in report.text()
    with pytest.raises(CannotRun, match=r"ValueError: no \(.*aport.py:14 in raises\)"):
        conformance.check(ports.raises, **SMALL)


def test_what_cannot_be_sent_is_refused():
    with pytest.raises(CannotRun, match="functions of a module"):
        conformance.check(lambda a: np.eye(3), **SMALL)
