"""The command: exit status, files, messages."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from orthoref.cli import main

QUICK = ["--dtype", "float64", "--shape", "3x3", "--quiet"]


@pytest.fixture
def ports(tmp_path, monkeypatch):
    (tmp_path / "someports.py").write_text(
        "import numpy as np, time, orthoref\n"
        "def right(a): return orthoref.polar(a)\n"
        "def wrong(a): return np.linalg.qr(a)\n"
        "def hangs(a):\n    while True: pass\n"
        "class Thing:\n    @staticmethod\n    def polar(a): return orthoref.polar(a)\n"
        "number = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("someports", None)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["check", "someports:right", *QUICK], 0),
        (["check", "someports:Thing.polar", *QUICK], 0),
        (["check", "someports:wrong", *QUICK], 1),
        (["check", "someports:hangs", *QUICK, "--timeout", "0.2"], 1),
        (["check", "someports:right", "--op", "cube", *QUICK], 2),
        (["check", "someports:right", "--dtype", "float33"], 2),
        (["check", "someports:number", *QUICK], 2),
        (["check", "someports:nothing", *QUICK], 2),
        (["check", "nosuchmodule:f", *QUICK], 2),
        (["check", "someports", *QUICK], 2),
        (["check", "someports:right", *QUICK, "--html", "nosuchfolder/r.html"], 2),
    ],
)
def test_exit_status(arguments, status, ports):
    assert main(arguments) == status


@pytest.mark.parametrize(
    "arguments", [[], ["check"], ["check", "a:b", "--shape", "3"], ["check", "a:b", "--returns", "x"]]
)
def test_usage_errors_have_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2 and "usage" in capsys.readouterr().err


def test_files(ports, capsys):
    pytest.importorskip("matplotlib")
    assert (
        main(
            ["check", "someports:wrong", "--shape", "3x2", "--dtype", "float32", "--json", "r.json", "--html", "r.html"]
        )
        == 1
    )
    assert json.loads((ports / "r.json").read_text())["port"] == "someports:wrong"
    assert "someports:wrong" in (ports / "r.html").read_text()
    assert "FAILS" in capsys.readouterr().out


@pytest.mark.parametrize("array", ["torch", "jax"])
def test_arrays_of_a_framework(array, ports, capsys):
    pytest.importorskip(array)
    assert (
        main(["check", "someports:right", "--array", array, "--skip", "extreme scale", "--skip", "subnormal", *QUICK])
        == 0
    )


def test_as_a_command():
    command = [sys.executable, "-m", "orthoref.cli", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("orthoref 0.")


def test_native_code_that_holds_the_interpreter_lock_is_ended(ports):
    # ctypes.PyDLL keeps the lock: no Python thread can act, the process has to be ended from C
    (ports / "native.py").write_text("import ctypes\ndef f(a): ctypes.PyDLL(None).sleep(1000)\n")
    command = [sys.executable, "-m", "orthoref.cli", "check", "native:f", *QUICK, "--timeout", "0.5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ports)
    assert done.returncode == 1 and "native.py" in done.stderr
