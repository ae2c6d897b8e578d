"""The suite itself: a slow test is refused, and what is marked exhaustive is left out unless it is asked for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import time, pytest

def busy():
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass

def test_slow():
    busy()

def test_asleep():
    time.sleep(0.3)

@pytest.mark.exhaustive
def test_long():
    busy()
"""

SAMPLED = """
import pytest

pytestmark = pytest.mark.sample(4)

@pytest.mark.parametrize("i", range(400))
def test_many(i):
    pass

@pytest.mark.parametrize("i", [1])
def test_one(i):
    pass

def test_alone():
    pass
"""


def run(tests, options, folder):
    """Of pytest on these tests under our conftest: status and output."""
    here = Path(__file__).parent
    for path in (here / "conftest.py", here / "backends.py", here.parent / "pyproject.toml"):
        shutil.copy(path, folder)
    (folder / "test_some.py").write_text(tests)
    env = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}  # options of this run
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_some.py", *options]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("options", "status", "summary"),
    [
        ([], 0, "2 passed, 1 deselected"),
        (["-m", "exhaustive", "--limit-seconds", "0.1"], 0, "1 passed, 2 deselected"),
        (["--limit-seconds", "0.05"], 1, "1 failed, 1 passed, 1 deselected"),
        (["--limit-seconds", "30"], 0, "2 passed, 1 deselected"),
    ],
)
def test_the_limit(options, status, summary, tmp_path):
    found, output = run(TESTS, options, tmp_path)
    assert (found, summary in output) == (status, True), output
    assert ("of processor time, the limit is 0.05 s" in output) == (status == 1)


@pytest.mark.exhaustive
@pytest.mark.parametrize("marker", ["sample", "runs"])
def test_a_sample(marker, tmp_path):
    """A quarter of 400, give or take four standard deviations of 8.7; of one parameter that one; what has none."""
    count = re.compile(r"(\d+) passed")
    tests = SAMPLED if marker == "sample" else SAMPLED.replace("mark.sample", "mark.runs")
    options = ([], ["-m", "exhaustive"], ["-m", "by_hand"])
    fast, rest, by_hand = (count.search(run(tests, each, tmp_path)[1]) for each in options)
    found = [int(each[1]) if each else 0 for each in (fast, rest, by_hand)]
    chosen = found[0] - 2 if marker == "sample" else found[1] - 1
    assert sum(found) == 402 and 65 <= chosen <= 135
    if marker == "sample":  # every fourth of the others
        assert abs(found[1] - (found[1] + found[2]) / 4) <= 4 * (300 * 3 / 16) ** 0.5
    else:
        assert found[0] == 1
