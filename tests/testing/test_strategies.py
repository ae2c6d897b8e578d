from __future__ import annotations

from hypothesis import find, given, settings

from orthoref.oracle.cases import SPECTRA
from orthoref.testing import strategies


@settings(max_examples=15, deadline=None, derandomize=True)
@given(strategies.cases(dtypes=["float32", "complex128"], max_order=5, max_batch=2))
def test_drawn_cases_are_within_what_was_asked(case):
    a = case.matrix()
    assert a.dtype.name in ("float32", "complex128") and max(a.shape[-2:]) <= 5 and 2 <= a.ndim <= 3
    assert case.name in SPECTRA


def test_a_failing_property_shrinks_to_a_small_case():
    case = find(strategies.cases(), lambda case: case.matrix().shape[-1] >= 3, settings=settings(database=None))
    assert case.matrix().shape == (1, 3) and "cond=1.0" in case.recreate
