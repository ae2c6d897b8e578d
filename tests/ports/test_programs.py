"""Programs in other languages, judged by the files that they write: the right ones hold, a planted fault is named."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from orthoref import exchange

pytestmark = [pytest.mark.port, pytest.mark.exhaustive]

HERE = Path(__file__).parent
COMPILER = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)


@pytest.fixture(scope="module")
def polar(tmp_path_factory):
    """The compiled program, and the inputs: four dtypes, everything claimed."""
    if COMPILER is None:
        pytest.skip("no C++ compiler: c++, g++, clang++")
    folder = tmp_path_factory.mktemp("polar")
    command = [COMPILER, "-std=c++17", "-O2", "-o", str(folder / "polar"), str(HERE / "polar.cpp")]
    subprocess.run(command, check=True, timeout=300)
    exchange.export("polar", folder / "e", progress=False, battery="quick")
    return [str(folder / "polar")], folder / "e"


@pytest.fixture(scope="module")
def newton_schulz(tmp_path_factory):
    """The interpreter with the program, and the inputs: real numbers only."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node: node")
    folder = tmp_path_factory.mktemp("newton_schulz") / "e"
    options = {"dtypes": ["float32", "float64"], "battery": "quick", "progress": False}
    exchange.export("newton_schulz", folder, schedule="muon", **options)
    return [node, str(HERE / "newton_schulz.mjs")], folder


def judged(port, results, *fault):
    command, folder = port
    results.mkdir()
    subprocess.run([*command, str(folder), str(results), *fault], check=True, timeout=300)
    return exchange.judge(folder, results, progress=False)


def test_cpp_polar_holds(polar, tmp_path):
    report = judged(polar, tmp_path / "r")
    assert report.holds and not report.count("not judged") and not report.options["skip"], report.text()


@pytest.mark.parametrize(
    ("fault", "where", "reason"),
    [
        ("conjugate", "fails only for complex dtypes", "u is conjugated: a conjugate was lost or is too many"),
        ("single", "", "accurate to float32 only: somewhere on the way the working precision was float32 or the like"),
        ("partial", "", "u is a partial isometry: the null space of a was not completed"),
    ],
)
def test_cpp_polar_with_a_fault(fault, where, reason, polar, tmp_path):
    report = judged(polar, tmp_path / "r", fault)
    assert report.status == "FAILS" and where in report.where, report.text()
    assert reason in report.findings()[0].reason, report.text()
    if fault == "single":
        assert {outcome.case.dtype for outcome in report.failed} == {"float64"}


def test_node_newton_schulz_holds(newton_schulz, tmp_path):
    report = judged(newton_schulz, tmp_path / "r")
    assert report.holds and not report.options["skip"], report.text()


@pytest.mark.parametrize(("fault", "reason"), [("steps", "4 steps were taken, not 5"), ("typo", "coefficient 2")])
def test_node_newton_schulz_with_a_fault(fault, reason, newton_schulz, tmp_path):
    report = judged(newton_schulz, tmp_path / "r", fault)
    assert report.status == "FAILS" and reason in report.key, report.text()


def test_a_program_that_stops_half_way(polar, tmp_path):
    """What it did not write is missing, what it was writing is cut; the rest is judged."""
    report = judged(polar, tmp_path / "r")
    files = sorted((tmp_path / "r").iterdir())
    half = len(files) // 4 * 2
    for path in files[half:]:
        path.unlink()
    files[half - 1].write_bytes(files[half - 1].read_bytes()[:-5])
    cut = exchange.judge(polar[1], tmp_path / "r", progress=False)
    assert [o.verdict.state for o in cut.outcomes[: half // 2 - 1]] == [
        o.verdict.state for o in report.outcomes[: half // 2 - 1]
    ]
    reasons = [finding.reason for finding in cut.findings()]
    assert reasons[0] == "u is missing; h is missing" and "bytes of data, not" in reasons[1] and len(reasons) == 2
