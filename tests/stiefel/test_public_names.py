"""The namespace: lazily imported, every function documented like the flat ones."""

import inspect
import json
import pkgutil
import subprocess
import sys

import pytest

import orthoref
from orthoref import stiefel

FUNCTIONS = [name for name in stiefel.__all__ if inspect.isfunction(getattr(stiefel, name))]


def test_resolves():
    assert orthoref.stiefel is stiefel and set(stiefel.__all__) <= set(dir(stiefel))
    with pytest.raises(AttributeError, match="no attribute 'projekt'"):
        _ = stiefel.projekt


def test_no_name_is_a_module():
    """A module of the name of a function would replace it when it is imported."""
    modules = {module.name for module in pkgutil.iter_modules(stiefel.__path__)}
    assert modules and not modules & set(stiefel.__all__)


def test_the_namespace_imports_nothing_heavy():
    code = "import sys, json; from orthoref import stiefel; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "scipy", "array_api_compat"} & set(json.loads(done.stdout))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring(name):
    doc = inspect.getdoc(getattr(stiefel, name))
    for section in ("Parameters", "Returns", "Raises"):
        assert f"{section}\n{'-' * len(section)}\n" in doc
    section = doc.split("Parameters\n")[1].split("Returns\n")[0]
    heads = [line.split(" : ")[0] for line in section.splitlines()[1:] if line and not line.startswith(" ")]
    documented = {word.strip() for head in heads for word in head.split(",")}
    assert documented == set(inspect.signature(getattr(stiefel, name)).parameters)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_options_are_keywords_and_the_metric_is_required(name):
    for parameter in inspect.signature(getattr(stiefel, name)).parameters.values():
        if parameter.name in ("scale", "check", "attraction", "rng", "dtype", "like", "special"):
            assert parameter.kind is parameter.KEYWORD_ONLY
        if parameter.name == "metric" and parameter.kind is not parameter.KEYWORD_ONLY:
            assert parameter.default is parameter.empty


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name.endswith(("_jvp", "_vjp"))])
def test_derivatives_take_the_arguments_of_their_function(name):
    """The arrays, then one direction for each (or one cotangent), then the rest as in the function."""
    function = list(inspect.signature(getattr(stiefel, name[:-4])).parameters.values())
    arrays = [p.name for p in function if p.annotation == "Array"]
    derivative = list(inspect.signature(getattr(stiefel, name)).parameters)
    options = [p.name for p in function if p.annotation != "Array"]
    if name.endswith("_jvp"):
        assert derivative == [*arrays, *(f"{a}_dot" for a in arrays), *options]
        return
    bar = derivative.pop(len(arrays))
    assert bar.endswith("_bar") and derivative == [*arrays, *options]
    result = inspect.signature(getattr(stiefel, name)).return_annotation
    assert getattr(stiefel, result)._fields == tuple(f"{a}_bar" for a in arrays)
