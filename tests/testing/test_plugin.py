"""The plugin, in a pytest run of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import resources

import pytest

from orthoref import conformance
from orthoref.oracle import schema
from orthoref.oracle.operations import ROWS

PLUGIN = ["-p", "no:cacheprovider", "-p", "no:randomly"]

TEST = """
import numpy as np, pytest, orthoref
from orthoref import testing

@pytest.mark.orthoref_cases("polar", dtypes=["float32"], shapes=[(2, 2)])
def test_right(orthoref_case):
    a = orthoref_case.matrix()
    testing.assert_polar(a, *orthoref.polar(a), recreate=orthoref_case.recreate)

def test_wrong():
    testing.assert_polar(np.diag([2.0, 1.0]), -np.eye(2))
"""


def run(folder, *arguments):
    command = [sys.executable, "-m", "pytest", *PLUGIN, *arguments]
    env = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}  # options of this run
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120, env=env)


@pytest.mark.exhaustive
def test_cases_and_a_short_failure(tmp_path):
    (tmp_path / "test_port.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    done = run(tmp_path, "-v")
    assert done.returncode == 1
    assert re.search(r"test_right\[float32-2x2-[^=\]]+\] PASSED", done.stdout)
    assert "1 failed" in done.stdout and "reason: u has the wrong sign" in done.stdout
    assert "_assertions.py" not in done.stdout and "judge.py" not in done.stdout  # the caller's line, not ours


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("mark", "argument", "words"),
    [
        ('"polar"', "", "test_x.py::test_a: @pytest.mark.orthoref_cases: the test has no argument orthoref_case"),
        ('"pola"', "orthoref_case", "operation='pola' is not one of polar, newton_schulz"),
        (
            '"polar", shape=[(2, 2)]',
            "orthoref_case",
            "no option shape: it has dtypes, shapes, skip, battery, seed, max",
        ),
        ('"polar", dtypes=["float33"]', "orthoref_case", "float33"),
        ('"polar", skip=["galery"]', "orthoref_case", "skip="),
        ('"polar", battery="huge"', "orthoref_case", "battery='huge' is not one of"),
        ('"polar", "newton_schulz"', "orthoref_case", "it takes one operation, not 'polar', 'newton_schulz'"),
        ('["polar"]', "orthoref_case", "operation=['polar'] is not one of polar"),
        ('"polar", max_cases="3"', "orthoref_case", "max_cases='3' is not a whole number between 1"),
        ('"polar", seed=-1', "orthoref_case", "seed=-1 is not a whole number between 0"),
    ],
)
def test_a_mark_that_cannot_be_meant_is_refused_at_collection(mark, argument, words, tmp_path):
    (tmp_path / "test_x.py").write_text(
        f"import pytest\n@pytest.mark.orthoref_cases({mark})\ndef test_a({argument}): pass\n"
    )
    done = run(tmp_path, "-q")
    assert done.returncode == 2 and words in done.stdout and "Traceback" not in done.stdout


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 1, "test_x.py::test_a: orthoref_case comes with @pytest.mark.orthoref_cases(operation)"),
        (["--orthoref-html", "nosuch/r.html"], 4, "nosuch/r.html cannot be written"),
        (["--orthoref-json", "."], 4, ". cannot be written"),
        (["--orthoref-html", "r", "--orthoref-json", "r"], 4, "r cannot be written"),
        (["--orthoref-html", "r.html"], 1, "no assertion of orthoref was reached"),
    ],
)
def test_what_is_set_up_wrong_is_said(arguments, status, words, tmp_path):
    (tmp_path / "test_x.py").write_text("def test_a(orthoref_case): pass\n")
    done = run(tmp_path, "-q", *arguments)
    said = done.stdout + done.stderr
    assert done.returncode == status and words in said and "INTERNALERROR" not in said


SUITE = """
import numpy as np, pytest, orthoref, scipy.linalg
from orthoref import testing

@pytest.mark.orthoref_cases("polar", dtypes=["float64"], shapes=[(3, 2)], battery="quick", seed=3, max_cases=9)
def test_right(orthoref_case):
    a = orthoref_case.matrix()
    testing.assert_polar(a, *orthoref.polar(a), recreate=orthoref_case.recreate)

@pytest.mark.orthoref_cases("polar", dtypes=["float64"], shapes=[(3, 2)], max_cases=9)
def test_wrong(orthoref_case):
    a = orthoref_case.matrix()
    if a[0, 0] > 0:
        raise RuntimeError("no")
    testing.assert_polar(a, -orthoref.polar(a).u)

@pytest.mark.orthoref_cases("newton_schulz", dtypes=["float32"], shapes=[(8, 8)], max_cases=9, skip=["extreme scale"])
def test_muon(orthoref_case):
    a = orthoref_case.matrix()
    x = orthoref.newton_schulz(a, steps=9, form="gram", precision="bfloat16")
    testing.assert_newton_schulz(a, x, steps=9, form="gram", precision="bfloat16")

def test_plain():
    testing.assert_polar(np.diag([2.0, 1.0]), np.eye(2))
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize("more", [[], ["-n", "2"]])
def test_the_verdicts_of_a_run_are_collected(more, tmp_path):
    if more:
        pytest.importorskip("xdist")
    (tmp_path / "test_suite.py").write_text(SUITE)
    done = run(tmp_path, "-rs", "--orthoref-html", "r.html", "--orthoref-json", "r.json", *more)
    assert "skipped" in done.stdout and "not judged: in bfloat16 the rounding errors alone are" in done.stdout
    found = json.loads((tmp_path / "r.json").read_text())
    reports = {report["port"].rpartition("::")[2]: report for report in found["reports"]}
    assert found["schema"] == "orthoref-reports-1" and set(reports) == {
        "test_right",
        "test_wrong",
        "test_muon",
        "test_plain",
    }
    assert reports["test_right"]["status"] == reports["test_plain"]["status"] == "HOLDS"
    wrong = reports["test_wrong"]
    assert wrong["counts"]["fails"] == len(wrong["cases"]) == 9
    assert any(case["faults"] == ["raised RuntimeError: no"] for case in wrong["cases"])
    assert any("wrong sign" in reason for case in wrong["cases"] for reason in case["reasons"])
    assert reports["test_muon"]["counts"]["not judged"]
    schema_ = json.loads((resources.files("orthoref.oracle") / "report.schema.json").read_text())
    assert all([*schema.faults(report, schema_, schema_)] == [] for report in found["reports"])
    assert "4 reports" in (tmp_path / "r.html").read_text() and "test_suite.py::test_wrong as polar" in done.stdout
    order = conformance.battery(dtypes=["float64"], shapes=[(3, 2)], max_cases=9)
    assert [case["id"] for case in wrong["cases"]] == [case.id for case in order]  # whatever ran when and where
    assert [*reports] == ["test_right", "test_wrong", "test_muon", "test_plain"]


@pytest.mark.exhaustive
def test_what_is_not_judged_in_a_test_without_the_mark_is_no_skip(tmp_path):
    (tmp_path / "test_x.py").write_text(
        "from orthoref import newton_schulz, testing\nfrom orthoref.oracle import cases\n"
        "def test_a():\n"
        "    a = cases.matrix((8, 8), cond=1e3, dtype='float32')\n"
        "    x = newton_schulz(a, steps=9)\n"
        "    testing.assert_newton_schulz(a, x, steps=9, form='gram', precision='bfloat16')\n"
    )
    assert "NotJudged" in run(tmp_path, "-q").stdout


@pytest.mark.parametrize("operation", ROWS)
def test_ids_are_words_of_k(operation):
    cases = conformance.battery(operation, dtypes=["float32"], size="quick", max_cases=60)
    assert all(re.fullmatch(r"[\w:+\-.\[\]\\/]+", case.id) for case in cases)


def test_the_marker_is_documented(tmp_path):
    assert "orthoref_cases(operation" in run(tmp_path, "--markers").stdout


def test_the_plugin_imports_no_numpy():
    code = "import sys, orthoref.testing._pytest_plugin; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
