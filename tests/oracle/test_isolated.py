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

def fails_for_wide(a):
    if a.shape == (4, 4): raise ValueError(f"no {a.dtype}")
    u, h = orthoref.polar(a)
    return (-u if a.shape[-2] < a.shape[-1] else u), h

def prints_and_leaves(a):
    print("said")
    os.chdir("/")
    return orthoref.polar(a)

workspace = {}
def keeps(a):
    x = orthoref.polar(a)
    u, h = workspace.setdefault((a.shape, a.dtype), x)
    u[...], h[...] = x
    return u, h

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
    died = [o for o in report.outcomes if o.verdict.faults == ["ended its process: SIGABRT (aport.py:9 in aborts)"]]
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
    with pytest.raises(CannotRun, match=r"ValueError: no \(.*aport.py:31 in raises\)"):
        conformance.check(ports.raises, **SMALL)


SEVERAL = SMALL | {"dtypes": ["float32", "complex128"], "shapes": [(3, 3), (3, 5), (4, 4)], "max_cases": 30}


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["right", "fails_for_wide", "keeps", "aborts", "exits", "hangs"])
def test_several_processes_make_the_report_of_one(name, ports):
    """Bit for bit, in the same order: verdicts, laws, what is narrowed, where a run ends."""
    port, options = getattr(ports, name), SEVERAL | {"timeout": 1.0 if name == "hangs" else 30.0}
    one, three = (conformance.check(port, **options | {"jobs": jobs}) for jobs in (1, 3))
    assert one.json() == three.json() and one.text() == three.text() and one.html() == three.html()
    assert one.source == three.source and one.source[0].endswith("aport.py")
    if name not in ("aborts", "exits"):  # which have no other report
        assert conformance.check(port, **options | {"isolate": False}).json() == one.json()
    assert any(o.law and not o.verdict.holds for o in one.outcomes) == (name == "keeps")
    assert bool(one.narrowed) == (name == "fails_for_wide") and bool(one.stopped) == (name in ("exits", "hangs"))


@pytest.mark.exhaustive
def test_a_derivative_in_several_processes(ports):
    pytest.importorskip("torch")
    options = SMALL | {"derivative": "torch", "convert": torch_of, "shapes": [(3, 2)], "isolate": False}
    one, several = (conformance.check(torch_polar, **options, jobs=jobs) for jobs in (1, 2))
    assert several.json() == one.json() and "torch" in one.versions


@pytest.mark.exhaustive
def test_what_a_port_prints_there_is_no_output_of_ours(ports, capfd):
    assert conformance.check(ports.prints_and_leaves, **SMALL).holds
    out, err = capfd.readouterr()
    assert out == "" and "said" in err


@pytest.mark.parametrize("options", [{}, {"isolate": False, "jobs": 2}])
def test_what_cannot_be_sent_is_refused(options):
    with pytest.raises(CannotRun, match="functions of a module"):
        conformance.check(lambda a: np.eye(3), **SMALL | options)


def test_no_process_is_no_number_of_processes():
    with pytest.raises(ValueError, match="jobs=0 is not a positive number"):
        conformance.check(np.copy, **SMALL | {"jobs": 0})


def torch_of(a):
    import torch

    return torch.from_numpy(a.copy())


def torch_polar(a):
    import torch

    u, s, vh = torch.linalg.svd(a, full_matrices=False)
    return u @ vh, (vh.mH * s) @ vh
