"""Every example of a docstring is run."""

import doctest
import importlib
import pkgutil

import pytest

import orthoref

MODULES = sorted(["orthoref", *(module.name for module in pkgutil.walk_packages(orthoref.__path__, "orthoref."))])
EXTRAS = ("cupy", "flint", "hypothesis", "matplotlib", "numba", "rich")


def examples(name):
    """Of a module; one that cannot be imported is an error, but for an extra that is not installed."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        pytest.skip(f"needs {error.name}")
    return [test for test in doctest.DocTestFinder().find(module) if test.examples]


def said(test):
    """What doctest has to say about the examples: nothing if they hold."""
    output = []
    doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(test, out=output.append)
    return "".join(output)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    found = "".join(said(test) for test in examples(name))
    if any(f"No module named '{extra}'" in found or f"this needs {extra}: pip install" in found for extra in EXTRAS):
        pytest.skip("needs an extra")
    assert not found, found


def test_the_examples_are_found():
    found = {
        test.name for name in ("orthoref._newton_schulz.iteration", "orthoref.schedules") for test in examples(name)
    }
    assert {"orthoref._newton_schulz.iteration.newton_schulz", "orthoref.schedules.certify"} <= found
    assert {"orthoref._polar.weights", "orthoref.oracle.cases", "orthoref.cli"} <= set(MODULES)


def test_a_wrong_example_is_found():
    wrong = doctest.DocTestParser().get_doctest(">>> 1 / 3\n0.34\n", {}, "wrong", None, None)
    assert "Got:\n    0.333" in said(wrong)


def test_a_module_that_cannot_be_imported_is_an_error(monkeypatch):
    monkeypatch.setattr(importlib, "import_module", lambda name: __import__("no_such_module"))
    with pytest.raises(ModuleNotFoundError):
        examples("orthoref")
