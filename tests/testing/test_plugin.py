"""The plugin, in a pytest run of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

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


def test_the_marker_is_documented(tmp_path):
    assert "orthoref_cases(operation" in run(tmp_path, "--markers").stdout


def test_the_plugin_imports_no_numpy():
    code = "import sys, orthoref.testing._pytest_plugin; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
