"""The namespace: lazily imported, every function documented, every penalty with its gradient and its Hessian."""

import inspect
import json
import pkgutil
import subprocess
import sys

import pytest
from penalty_rows import DEGREES, ROWS

import orthoref
from orthoref import penalties

FUNCTIONS = list(penalties.__all__)
CONSTRAINTS = ("spectral_margin", "singular_value_bounding", "orthogonal_weight_normalization", "lowdin")


def test_resolves():
    assert orthoref.penalties is penalties and set(penalties.__all__) <= set(dir(penalties))
    with pytest.raises(AttributeError, match="no attribute 'soft'"):
        _ = penalties.soft


def test_no_name_is_a_module():
    """A module of the name of a function would replace it when it is imported."""
    modules = {module.name for module in pkgutil.iter_modules(penalties.__path__)}
    assert modules and not modules & set(penalties.__all__)


def test_the_namespace_imports_nothing_heavy():
    code = "import sys, json; from orthoref import penalties; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "scipy", "array_api_compat"} & set(json.loads(done.stdout))


def test_every_penalty_has_its_derivatives_and_its_row():
    names = {name for name in FUNCTIONS if not name.startswith(CONSTRAINTS)}
    plain = {name for name in names if not name.endswith(("_gradient", "_hvp"))}
    assert names == plain | {f"{name}_{kind}" for name in plain for kind in ("gradient", "hvp")}
    assert plain == {row.name for row in ROWS} == set(DEGREES)
    assert {f"{name}{kind}" for name in CONSTRAINTS for kind in ("", "_jvp", "_vjp")} | names == set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring(name):
    doc = inspect.getdoc(getattr(penalties, name))
    for section in ("Parameters", "Returns", "Raises"):
        assert f"{section}\n{'-' * len(section)}\n" in doc
    section = doc.split("Parameters\n")[1].split("Returns\n")[0]
    heads = [line.split(" : ")[0] for line in section.splitlines()[1:] if line and not line.startswith(" ")]
    documented = {word.strip() for head in heads for word in head.split(",")}
    assert documented == set(inspect.signature(getattr(penalties, name)).parameters)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_options_are_keywords_and_the_gram_matrix_is_named(name):
    for parameter in inspect.signature(getattr(penalties, name)).parameters.values():
        if parameter.annotation != "Array":
            assert parameter.kind is parameter.KEYWORD_ONLY
        if parameter.name == "gram":
            assert parameter.default is parameter.empty


@pytest.mark.parametrize("name", list(DEGREES))
def test_derivatives_take_the_arguments_of_their_function(name):
    """The Hessian one direction more, the gradient one policy more."""
    value, gradient, hvp = (
        list(inspect.signature(getattr(penalties, f"{name}{kind}")).parameters) for kind in ("", "_gradient", "_hvp")
    )
    assert [p for p in gradient if p != "subgradient"] == value == [p for p in hvp if p != "w_dot"]
    assert "w_dot" in hvp and "w_dot" not in value
