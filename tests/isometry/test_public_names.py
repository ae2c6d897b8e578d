"""The namespace: lazily imported, every function documented."""

import inspect
import json
import pkgutil
import subprocess
import sys

import pytest

import orthoref
from orthoref import isometry

FUNCTIONS = [name for name in isometry.__all__ if inspect.isfunction(getattr(isometry, name))]


def test_resolves():
    assert orthoref.isometry is isometry and set(isometry.__all__) <= set(dir(isometry))
    with pytest.raises(AttributeError, match="no attribute 'q'"):
        _ = isometry.q


def test_no_name_is_a_module():
    """A module of the name of a function would replace it when it is imported."""
    modules = {module.name for module in pkgutil.iter_modules(isometry.__path__)}
    assert modules and not modules & set(isometry.__all__)


def test_the_namespace_imports_nothing_heavy():
    code = "import sys, json; from orthoref import isometry; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "scipy", "array_api_compat"} & set(json.loads(done.stdout))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring(name):
    doc = inspect.getdoc(getattr(isometry, name))
    for section in ("Parameters", "Returns", "Raises"):
        assert f"{section}\n{'-' * len(section)}\n" in doc
    section = doc.split("Parameters\n")[1].split("Returns\n")[0]
    heads = [line.split(" : ")[0] for line in section.splitlines()[1:] if line and not line.startswith(" ")]
    documented = {word.strip() for head in heads for word in head.split(",")}
    assert documented == set(inspect.signature(getattr(isometry, name)).parameters)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_options_are_keywords(name):
    for parameter in inspect.signature(getattr(isometry, name)).parameters.values():
        if parameter.default is not parameter.empty:
            assert parameter.kind is parameter.KEYWORD_ONLY


def test_results_are_documented():
    for name in set(isometry.__all__) - set(FUNCTIONS):
        assert getattr(isometry, name).__doc__.strip() and getattr(isometry, name)._fields
