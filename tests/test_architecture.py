"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import io
import re
import shutil
import subprocess
import tokenize
from collections import Counter
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


# two capitals or digits or more in parentheses, hyphens between words, a star at the end: (DK), (DH*), (AOL-ERROR).
# (A), (NaN) and f(AB) are no labels; an abbreviation in prose is written without parentheses.
LABEL = re.compile(r"(?<!\w)\(([A-Z][A-Z0-9]+(?:-[A-Z0-9]+)*\*?)\)")
WORDS = (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING))


def labels(source: str) -> set[str]:
    """Equation labels in comments, docstrings and messages."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {label for token in tokens if token.type in WORDS for label in LABEL.findall(token.string)}


def without_a_page(sources: dict[str, str], pages: dict[str, str]) -> list[str]:
    """Labels of the code that no page derives, and tags that exist more than once."""
    tags = Counter(tag for page in pages.values() for tag in re.findall(r"\\tag\{([^}]*)\}", page))
    cited = [f"{name}: ({label})" for name, source in sources.items() for label in sorted(labels(source) - set(tags))]
    return cited + [f"({tag}) {count} times" for tag, count in tags.items() if count > 1]


def test_every_equation_label_of_the_code_is_derived_on_one_page():
    pages = {path.name: path.read_text() for path in (ROOT / "docs" / "derivations").glob("*.md")}
    if not pages:
        pytest.skip("needs the checkout")
    sources = {str(path.relative_to(PACKAGE)): path.read_text() for path in PACKAGE.rglob("*.py")}
    assert len(set().union(*map(labels, sources.values()))) > 20
    assert without_a_page(sources, pages) == []


def test_a_label_that_is_derived_nowhere_or_twice_is_found():
    pages = {"one": r"\tag{DK} \tag{DH*}", "two": r"\tag{AOL-ERROR} \tag{R7}"}
    code = '"""Of (A), f(AB), (NaN), (UP, DOWN): (DK), (DH*), (R7) and (AOL-ERROR)."""\nx = f(LIMIT)  # (C5)\n'
    assert labels(code) == {"DK", "DH*", "R7", "AOL-ERROR", "C5"}
    assert without_a_page({"f.py": code}, pages) == ["f.py: (C5)"]
    assert without_a_page({"f.py": code}, pages | {"three": r"\tag{C5} \tag{DK}"}) == ["(DK) 2 times"]


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
