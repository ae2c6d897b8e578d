"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import orthoref

PACKAGE = Path(orthoref.__file__).parent
ROOT = Path(__file__).parent.parent


def test_imports_run_one_way():
    if shutil.which("lint-imports") is None or not (ROOT / "pyproject.toml").exists():
        pytest.skip("needs import-linter and the checkout")
    done = subprocess.run(["lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_equation_label_of_the_code_is_derived_in_the_docs():
    pages = ROOT / "docs" / "derivations"
    if not pages.is_dir():
        pytest.skip("needs the checkout")
    label = re.compile(r"\((POLISH|SVD|NEWTON|QDWH|ZOLO|DU|DH\*?|KU|KH|UNIT|CAP|R[1-9]|C[1-9])\)")
    code = set(label.findall("".join(path.read_text() for path in PACKAGE.rglob("*.py"))))
    tags = set(re.findall(r"\\tag\{([^}]*)\}", "".join(path.read_text() for path in pages.glob("*.md"))))
    assert len(code) > 10 and code <= tags, code - tags


def test_the_mathematics_assigns_into_no_array():
    # JAX arrays are immutable, and arguments are never changed
    for path in (PACKAGE / "_polar").glob("*.py"):
        assert not re.search(r"^\s*\w+\[[^\]]*\]\s*[-+*/@]?=[^=]", path.read_text(), re.MULTILINE), path


def imports(package: Path) -> dict[str, set[str]]:
    """Who imports whom, wherever in the file the statement stands."""
    files = {".".join(path.relative_to(package.parent).with_suffix("").parts): path for path in package.rglob("*.py")}
    files = {name.removesuffix(".__init__"): path for name, path in files.items()}
    graph = {}
    for name, path in files.items():
        asked = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                asked |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                asked |= {x if x in files else node.module for x in names}
        graph[name] = asked & set(files)
    return graph


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A circle of imports, [] if there is none."""
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return error.args[1]
    return []


def test_no_import_goes_in_a_circle():
    assert circle(imports(PACKAGE)) == []


def test_a_circle_through_a_function_is_found(tmp_path):
    (tmp_path / "p").mkdir()
    for name, text in {"__init__": "", "a": "from p import b", "b": "def f():\n    from p.a import g"}.items():
        (tmp_path / "p" / f"{name}.py").write_text(text)
    assert set(circle(imports(tmp_path / "p"))) == {"p.a", "p.b"}
