"""The namespace: lazily imported, every function documented, nothing to inherit."""

import inspect
import json
import pkgutil
import subprocess
import sys

import pytest

import orthoref
from orthoref import steps

FUNCTIONS = [name for name in steps.__all__ if inspect.isfunction(getattr(steps, name))]
RULES = [name for name in FUNCTIONS if inspect.signature(getattr(steps, name)).return_annotation in ("Step", "Move")]


def test_resolves():
    assert orthoref.steps is steps and set(steps.__all__) <= set(dir(steps))
    with pytest.raises(AttributeError, match="no attribute 'mun'"):
        _ = steps.mun


def test_no_name_is_a_module():
    """A module of the name of a function would replace it when it is imported."""
    modules = {module.name for module in pkgutil.iter_modules(steps.__path__)}
    assert modules and not modules & set(steps.__all__)


def test_the_namespace_imports_nothing_heavy():
    code = "import sys, json; from orthoref import steps; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "scipy", "array_api_compat"} & set(json.loads(done.stdout))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring(name):
    doc = inspect.getdoc(getattr(steps, name))
    for section in ("Parameters", "Returns", "Raises"):
        assert f"{section}\n{'-' * len(section)}\n" in doc
    section = doc.split("Parameters\n")[1].split("Returns\n")[0]
    heads = [line.split(" : ")[0] for line in section.splitlines()[1:] if line and not line.startswith(" ")]
    documented = {word.strip() for head in heads for word in head.split(",")}
    assert documented == set(inspect.signature(getattr(steps, name)).parameters)


def test_the_rules_are_found():
    assert set(RULES) >= {"muon", "trust_region", "adam", "riemannian_sgd", "landing_sgd"} and len(RULES) == 13


@pytest.mark.parametrize("name", RULES)
def test_a_rule_takes_state_and_gradient_and_options_by_keyword(name):
    first, second, *others = inspect.signature(getattr(steps, name)).parameters.values()
    assert first.name == "state" and second.name in ("g", "egrad")
    for parameter in others:
        assert (parameter.name in ("w", "x")) != (parameter.kind is parameter.KEYWORD_ONLY)
    assert "lr" in (names := {p.name for p in others}) or "radius" in names


def test_presets_are_options_of_muon():
    options = set(inspect.signature(steps.muon).parameters)
    assert set(steps.SWITCHES) <= options
    assert all(set(chosen) <= options for chosen in steps.PRESETS.values())
