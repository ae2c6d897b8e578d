"""The suite itself: a slow test is refused, and what is marked exhaustive is left out unless it is asked for."""

from __future__ import annotations

import os
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


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("options", "status", "summary"),
    [
        ([], 0, "2 passed, 1 deselected"),
        (["-m", "exhaustive", "--limit-seconds", "0.1"], 0, "1 passed, 2 deselected"),
        (["--limit-seconds", "0.1"], 1, "1 failed, 1 passed, 1 deselected"),
        (["--limit-seconds", "30"], 0, "2 passed, 1 deselected"),
    ],
)
def test_the_limit(options, status, summary, tmp_path):
    here = Path(__file__).parent
    for path in (here / "conftest.py", here / "backends.py", here.parent / "pyproject.toml"):
        shutil.copy(path, tmp_path)
    (tmp_path / "test_some.py").write_text(TESTS)
    env = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}  # options of this run
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_some.py", *options]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, summary in done.stdout) == (status, True), done.stdout + done.stderr
    assert ("of processor time, the limit is 0.1 s" in done.stdout) == (status == 1)
