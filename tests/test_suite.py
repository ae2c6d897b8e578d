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
@pytest.mark.parametrize("marker", ["sample(4)", "exhaustive"])
def test_a_sample(marker, tmp_path):
    """A quarter of 400, give or take four standard deviations of 8.7; of one parameter that one; what has none.

    Of the others, and of what is exhaustive, two, give or take four standard deviations of 1.4.
    """
    count = re.compile(r"(\d+) passed")
    options = ([], ["-m", "exhaustive and not by_hand"], ["-m", "by_hand"])
    tests = SAMPLED.replace("sample(4)", marker)
    found = [count.search(run(tests, each, tmp_path)[1]) for each in options]
    fast, lane, by_hand = (int(each[1]) if each else 0 for each in found)
    assert fast + lane + by_hand == 402
    if marker == "exhaustive":
        assert fast == 0 and 1 <= lane - 2 <= 2 + 6
    else:
        assert 65 <= fast - 2 <= 135 and 1 <= lane <= 2 + 6
