"""The rules of the house that a machine can check."""

from __future__ import annotations

import re
import shutil
import subprocess
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
