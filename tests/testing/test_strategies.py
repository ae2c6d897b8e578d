from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import find, given, settings

from orthoref.oracle.cases import SPECTRA
from orthoref.testing import strategies


@pytest.mark.exhaustive
@settings(max_examples=15, deadline=None, derandomize=True)
@given(strategies.cases(dtypes=["float32", "complex128"], max_order=5, max_batch=2))
def test_drawn_cases_are_within_what_was_asked(case):
    a = case.matrix()
    assert a.dtype.name in ("float32", "complex128") and max(a.shape[-2:]) <= 5 and 2 <= a.ndim <= 3
    assert case.name in SPECTRA


def test_a_failing_property_shrinks_to_a_small_case():
    case = find(strategies.cases(), lambda case: case.matrix().shape[-1] >= 3, settings=settings(database=None))
    assert case.matrix().shape == (1, 3) and "cond=1.0" in case.recreate


@pytest.mark.exhaustive
def test_the_first_example_stays_within_the_deadline_of_hypothesis():
    """In an interpreter of its own: nothing has been imported by other tests."""
    code = (
        "import time\n"
        "from orthoref.testing import strategies\n"
        "import numpy as np, orthoref\n"
        "start = time.perf_counter()\n"
        "a = np.diag([2.0, 1.0])\n"
        "orthoref.testing.assert_polar(a, *orthoref.polar(a))\n"
        "print(time.perf_counter() - start)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) <= 0.2
