"""Every snippet of the README and of the docs is run, word for word. Code cells of pages are run by the build."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import orthoref

ROOT = Path(__file__).parent.parent
STUBS = Path(__file__).parent / "snippets"
FENCE = re.compile(r"^```(\S+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
# what is run elsewhere, and where
ELSEWHERE = {
    "python -m venv": ".ci/run runs both commands of the README",
    "pip install": "a lane installs the package; tests/test_package.py builds it",
    "python tools/mutation.py": "takes hours: docs/mutation.md says what came out",
}
# pages whose snippets quote a session in part; what they say is tested where it is claimed
QUOTED = {
    "docs/conventions.md": "one line, tests/oracle/test_autodiff.py",
    "docs/derivative_ports.md": "tests/ports/test_derivative_ports.py",
    "docs/ports.md": "tests/ports/test_ports.py",
    "docs/schedules_table.md": "tests/schedules/test_schedule.py",
    "docs/which_schedule.md": "docs/make_schedules.py",
}
PAGES = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if path.exists()]
NAMES = [str(path.relative_to(ROOT)) for path in PAGES if not {"_build", "_generated"} & set(path.parts)]


def blocks(name: str) -> list[tuple[str, str]]:
    return [] if name in QUOTED else FENCE.findall((ROOT / name).read_text(encoding="utf-8"))


def commands(name: str) -> Iterator[str]:
    for kind, text in blocks(name):
        if kind in ("sh", "console"):
            lines = [line.removeprefix("$ ") for line in text.splitlines() if kind == "sh" or line.startswith("$ ")]
            whole = re.split(r"(?<!\\)\n", "\n".join(lines))  # a command may go on after a backslash
            yield from (line for line in whole if line and not line.startswith(tuple(ELSEWHERE)))


def scripts(name: str) -> list[str]:
    return [text for kind, text in blocks(name) if kind == "python"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for module in ("torch", "jax", "flint", "matplotlib", "hypothesis"):
        if find_spec(module) is None:
            pytest.skip(f"needs {module}")
    for path in STUBS.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "my_port").chmod(stat.S_IRWXU)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, more in (("orthoref", "-m orthoref"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {more} "$@"\n')
        (programs / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{Path(orthoref.__file__).parent.parent}{os.pathsep}{tmp_path}")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return tmp_path


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [name for name in NAMES if any(commands(name))])
def test_commands(name, folder):
    """The exit status is that of a verdict: 0, of what fails or is undecided 1, 3, 4, but never 2."""
    for command in commands(name):
        done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1, 3, 4), f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr and "usage:" not in done.stderr, done.stderr


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [name for name in NAMES if scripts(name)])
def test_python(name, folder):
    """The scripts of a page one after the other, as a reader would; tests by pytest."""
    whole = []
    for number, text in enumerate(scripts(name)):
        if "def test_" in text:
            (folder / f"test_{number}.py").write_text(text)
        else:
            whole.append(text)
    (folder / "whole.py").write_text("from orthoref import testing\n" * bool(whole) + "\n".join(whole))
    done = subprocess.run([sys.executable, "whole.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    if name == "docs/index.md":  # and what it prints is what the start page shows
        assert done.stdout in [text for kind, text in blocks(name) if kind == "text"]
    if [*folder.glob("test_*.py")]:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:]


def test_the_snippets_are_found():
    if not NAMES:
        pytest.skip("needs the checkout")
    found = {name: (len([*commands(name)]), len(scripts(name))) for name in NAMES}
    assert found["README.md"][0] >= 4 and found["README.md"][1] >= 5
    assert found["docs/quickstart.md"][1] == 2 and found["docs/command_line.md"][0] == 7
    assert set(QUOTED) <= set(NAMES)


def test_what_a_snippet_prints_first_is_what_comes_out():
    """The failure that README and quickstart show, and no option in them that the command does not have."""
    from orthoref.cli import _parser

    parser = _parser()
    known = {option for action in parser._actions if action.choices for command in action.choices.values()
             for option in command._option_string_actions}  # fmt: skip
    text = "\n".join(line for name in NAMES for command in commands(name) for line in command.splitlines()
                     if not line.startswith(("asv ", "pip ")))  # fmt: skip
    used = set(re.findall(r"(?<=\s)--[a-z-]+", text))
    assert used <= known | {"--version"}, used - known
