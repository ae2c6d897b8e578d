"""No test has a tolerance that it does not state: the absolute defaults swallow anything of the size of a rounding."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

STATED = {"approx": {"abs"}, "allclose": {"rtol", "atol"}, "isclose": {"rtol", "atol"}, "assert_allclose": {"rtol"}}
HERE = Path(__file__).parents[1]


def unstated(source):
    """Line and name of every comparison in this source whose tolerances are left to their defaults."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            missing = STATED.get(node.func.attr, set()) - {keyword.arg for keyword in node.keywords}
            if missing:
                yield node.lineno, f"{node.func.attr} without {sorted(missing)}"


@pytest.mark.parametrize("path", sorted(HERE.rglob("*.py")), ids=lambda path: str(path.relative_to(HERE)))
def test_every_tolerance_is_stated(path):
    assert not list(unstated(path.read_text()))


def test_an_unstated_tolerance_is_found():
    assert sorted(unstated("assert x == pytest.approx(y, rel=1e-12)\nnp.allclose(x, y, rtol=0)")) == [
        (1, "approx without ['abs']"),
        (2, "allclose without ['atol']"),
    ]
