"""The command: exit status, files, messages."""

from __future__ import annotations

import ast
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from orthoref.cli import main

QUICK = ["--dtype", "float64", "--shape", "3x3", "--quiet"]


@pytest.fixture
def ports(tmp_path, monkeypatch):
    (tmp_path / "someports.py").write_text(
        "import numpy as np, time, orthoref\n"
        "def right(a): return orthoref.polar(a)\n"
        "def wrong(a): return np.linalg.qr(a)\n"
        "def raises(a, b): return a\n"
        "def rounds(a): return orthoref.newton_schulz(a, form='gram', steps=9)\n"
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
        (["check", "someports:wrong", *QUICK, "--max-cases", "40"], 1),
        (["check", "someports:hangs", *QUICK, "--timeout", "0.2"], 1),
        (["check", "someports:right", "--op", "cube", *QUICK], 2),
        (["check", "someports:right", "--dtype", "float33"], 2),
        (["check", "someports:number", *QUICK], 2),
        (["check", "someports:nothing", *QUICK], 2),
        (["check", "nosuchmodule:f", *QUICK], 2),
        (["check", "someports", *QUICK], 2),
        (["check", "someports:right", *QUICK, "--returns", "x"], 2),
        (["check", "someports:right", *QUICK, "--side", "top"], 2),
        (["check", "someports:raises", *QUICK], 2),
        pytest.param(
            [
                "check",
                "someports:rounds",
                *QUICK,
                "--op",
                "newton_schulz",
                "--precision",
                "bfloat16",
                "--form",
                "gram",
                "--steps",
                "9",
            ],
            3,
            marks=pytest.mark.exhaustive,
        ),
        (["check", "someports:right", *QUICK, "--html", "nosuchfolder/r.html"], 2),
    ],
)
def test_exit_status(arguments, status, ports):
    assert main(arguments) == status


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["check"],
        ["check", "a:b", "--shape", "3"],
        ["schedule"],
        ["schedule", "jordan", "--compare", "you-6"],
        ["schedule", "--list", "--minimax", "0.1"],
        ["schedule", "jordan", "--steps", "2.5"],
    ],
)
def test_usage_errors_have_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2 and "usage" in capsys.readouterr().err


@pytest.mark.exhaustive
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


@pytest.mark.exhaustive
def test_json_of_a_run_that_holds(ports, capsys):
    assert main(["check", "someports:right", "--shape", "3x2", "--dtype", "float64", "--json", "r.json"]) == 0
    assert json.loads((ports / "r.json").read_text())["port"] == "someports:right"
    assert "HOLDS" in capsys.readouterr().out


@pytest.mark.parametrize("array", ["torch", pytest.param("jax", marks=pytest.mark.exhaustive)])
def test_arrays_of_a_framework(array, ports, capsys):
    pytest.importorskip(array)
    assert (
        main(
            [
                "check",
                "someports:right",
                "--array",
                array,
                "--skip",
                "extreme scale",
                "--skip",
                "subnormal",
                "--max-cases",
                "40",
                *QUICK,
            ]
        )
        == 0
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize("module", ["orthoref", "orthoref.cli"])
def test_as_a_command(module):
    command = [sys.executable, "-m", module, "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("orthoref 0.")


@pytest.mark.exhaustive
def test_native_code_that_holds_the_interpreter_lock_is_ended(ports):
    # ctypes.PyDLL keeps the lock: no Python thread can act, the process has to be ended from C
    (ports / "native.py").write_text("import ctypes\ndef f(a): ctypes.PyDLL(None).sleep(1000)\n")
    command = [sys.executable, "-m", "orthoref.cli", "check", "native:f", *QUICK, "--timeout", "0.5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ports)
    assert done.returncode == 2 and "native.py" in done.stderr and "no verdict: the process was ended" in done.stderr


@pytest.fixture
def schedule(tmp_path, monkeypatch, capsys):
    pytest.importorskip("flint")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = main(["schedule", *arguments])
        return status, *capsys.readouterr()

    return run


def coefficients(out):
    return ast.literal_eval(out.partition("coefficients = ")[2].partition("\n]")[0] + "]")


def test_schedule_prints_the_published_coefficients_and_their_certificate(schedule):
    status, out, err = schedule("jordan")
    assert (status, err) == (0, "") and coefficients(out) == [(3.4445, -4.775, 2.0315)] * 5
    assert "jordan, 5 steps, singular values in [0.001, 1]" in out


def test_schedule_of_other_steps_and_another_interval(schedule):
    _, out, _ = schedule("jordan", "--steps", "3", "--lower", "1/8", "--upper", "1.01")
    assert len(coefficients(out)) == 3 and "jordan, 3 steps, singular values in [0.125, 1.01]" in out


def test_schedule_rounds_to_a_format(schedule):
    _, out, _ = schedule("jordan", "--dtype", "bfloat16")
    assert coefficients(out) == [(55 / 16, -153 / 32, 65 / 32)] * 5
    assert "jordan in bfloat16, 5 steps" in out and "in bfloat16 in" not in out


def test_schedule_designs(schedule):
    from orthoref import schedules

    _, out, _ = schedule("--minimax", "1e-2")
    assert coefficients(out) == schedules.minimax("1e-2", 5).coefficients() and "values in [0.01, 1]" in out


def test_schedule_designs_by_the_options(schedule):
    from orthoref import schedules

    _, out, _ = schedule(
        *("--minimax", "1e-2", "--degree", "9", "--steps", "2"), *("--cushion", "0.1", "--safety", "1/100")
    )
    expected = schedules.minimax("1e-2", 2, 9, cushion="0.1", safety="1/100").coefficients()
    assert coefficients(out) == expected and len(expected[0]) == 5
    assert "values in [0.1, 1]" in schedule("--minimax", "1e-2", "--steps", "2", "--lower", "0.1")[1]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["jordan", "--lower", "1.00000000000000000001"], 2),  # the float is 1
        (["jordan", "--lower", "1", "--upper", "0.99999999999999999999"], 2),
        (["--minimax", "0.99999999999999999999", "--steps", "1"], 0),
        (["--minimax", "0.1", "--steps", "1", "--cushion", "0.99999999999999999999"], 0),
        (["--minimax", "0.1", "--steps", "1", "--cushion", "1.0"], 2),
    ],
)
def test_schedule_takes_decimals_exactly(arguments, status, schedule):
    assert schedule(*arguments)[0] == status


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch"], "'nosuch' is not one of"),
        (["--compare", "jordan", "nosuch"], "'nosuch' is not one of"),
        (["jordan", "--lower", "2"], "[2, 1] is not an interval"),
        (["jordan", "--lower", "-1"], "[-1, 1] is not an interval"),
        (["jordan", "--lower", ""], "'' is not a finite number"),
        (["jordan", "--upper", "1e400"], "is not a finite number of moderate size"),
        (
            ["--compare", "newton-schulz-3", "jordan", "--upper", "1.3"],
            "jordan: singular values in [0.001, 1.3] diverge",
        ),
        (["you-6", "--steps", "7"], "has 6 rows"),
        (["jordan", "--dtype", "int8"], "'int8' is not one of"),
        (["jordan", "--degree", "3"], "--degree needs --minimax"),
        (["--minimax", "0"], "is not an interval"),
        (["--minimax", "0.1", "--degree", "4"], "degree=4"),
        (["jordan", "--plot", "nosuchfolder/f.png"], "no folder"),
        (["jordan", "--json", "."], "is a folder"),
        (["jordan", "--plot", "f.nosuch"], "is not supported"),
    ],
)
def test_schedule_that_cannot_run_says_why_in_one_line(arguments, message, schedule):
    status, out, err = schedule(*arguments)
    assert (status, out) == (2, "") and message in err and err.startswith("orthoref: ") and err.count("\n") == 1


@pytest.mark.parametrize(("module", "extra"), [("flint", "certify"), ("matplotlib", "report")])
def test_schedule_names_a_missing_extra(module, extra, schedule, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    status, out, err = schedule("jordan", "--plot", "f.png")
    assert (status, out) == (2, "") and f"orthoref[{extra}]" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [("certify", "NotCertified", "jordan: too near"), ("minimax", "NotConverged", "too near")],
)
def test_schedule_that_is_not_proved_or_found_says_so_in_one_line(function, error, message, schedule, monkeypatch):
    from orthoref import errors, schedules

    def refuses(*_, **__):
        raise getattr(errors, error)("too near")

    monkeypatch.setattr(schedules, function, refuses)
    assert schedule(*(["jordan"] if function == "certify" else ["--minimax", "0.1"])) == (
        2,
        "",
        f"orthoref: {message}\n",
    )


def test_schedule_with_a_changed_sign_is_printed(schedule):
    status, out, _ = schedule("newton-schulz-3", "--upper", "1.8")
    assert status == 0 and "CHANGES" in out


def test_schedule_compares(schedule):
    status, out, _ = schedule("--compare", "jordan", "you-6", "--dtype", "float16", "--json", "c.json", "--steps", "2")
    lines = [line.split() for line in out.splitlines()]
    assert status == 0 and [line[:4] for line in lines[1:3]] == [[n, "in", "float16", "2"] for n in ("jordan", "you-6")]
    found = json.loads(Path("c.json").read_text())
    assert [s["name"] for s in found["schedules"]] == ["jordan in float16", "you-6 in float16"]
    assert len(found["schedules"][0]["coefficients"]) == 2


def test_schedule_lists(schedule):
    from orthoref import schedules

    status, out, _ = schedule("--list")
    assert status == 0 and [line.split()[0] for line in out.splitlines()] == schedules.names()


@pytest.mark.exhaustive
@pytest.mark.parametrize("arguments", [["jordan"], ["--compare", "jordan", "aol-a"]])
def test_schedule_draws(arguments, schedule):
    pytest.importorskip("matplotlib")
    assert schedule(*arguments, "--plot", "f.png")[0] == 0
    png = Path("f.png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and min(struct.unpack(">2I", png[16:24])) >= 1000
