"""pytest plugin: ``@pytest.mark.orthoref_cases("polar", dtypes=[...], shapes=[...])`` gives a test hard inputs.

It is imported in every pytest run of an environment that has orthoref: neither NumPy nor the oracle is imported
before a test asks for cases.
"""

from __future__ import annotations

import pytest

MARK = "orthoref_cases"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARK}(operation, dtypes=None, shapes=None, skip=()): run the test once for every input of the battery, "
        "passed as the argument orthoref_case",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    mark = metafunc.definition.get_closest_marker(MARK)
    if mark is None or "orthoref_case" not in metafunc.fixturenames:
        return
    from orthoref.oracle.conformance import battery

    cases = battery(*mark.args, **mark.kwargs)
    metafunc.parametrize("orthoref_case", cases, ids=[case.id for case in cases])
