"""The commands as a user meets them: files, keywords, dtypes, help, a reader that goes away."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from argparse import Namespace

import numpy as np
import pytest

from orthoref.cli import COMMANDS, main
from orthoref.cli import port as ports
from orthoref.errors import CannotRun
from orthoref.oracle.operations import ROWS

ONE = ["--dtype", "float64", "--shape", "3x3", "--max-cases", "5", "--quiet"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "filed.py").write_text(
        "import orthoref, beside\n"
        "def right(a): return orthoref.polar(a)\n"
        "def sided(a, side, method='auto'): return orthoref.polar(a, side=side, method=method)\n"
        "def wants(a): return a.mT.resolve_conj()\n"
        "def nothing(a): pass\n"
        "def prints(a):\n"
        "    print('said')\n"
        "    import os; os.chdir('/')\n"
        "    return orthoref.polar(a)\n"
        "def step(a):\n"
        "    x = a / a.norm(dim=(-2, -1), keepdim=True)\n"
        "    return 1.5 * x - 0.5 * (x @ x.mT) @ x\n"
    )
    (tmp_path / "beside.py").write_text("")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/argparse.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("filed", "beside"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path
    for name in ("filed", "beside"):
        sys.modules.pop(name, None)


def test_a_file_with_what_lies_beside_it(folder, monkeypatch, capsys):
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert main(["check", str(folder / "filed.py") + ":right", *ONE]) == 0
    assert "filed.py:right as polar" in capsys.readouterr().out


def test_keywords_are_literals_or_text(folder):
    sided = ["check", "filed.py:sided", *ONE, "--side", "left", "--keyword", "side=left"]
    assert main([*sided, "--keyword", "method='newton'"]) == 0
    assert ports.load("filed.py:sided", ["side=(1, 2.5)", "method=qdwh"]).keywords == {
        "side": (1, 2.5),
        "method": "qdwh",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nosuch.py:f"], "cannot load nosuch.py:f: FileNotFoundError: no file"),
        (["filed.py"], "not of the form MODULE:FUNCTION or FILE.py:FUNCTION"),
        ([":f"], "not of the form"),
        (["filed.py:right", "--keyword", "side"], "--keyword 'side' is not of the form NAME=VALUE"),
        (["filed.py:sided"], "missing 1 required positional argument: 'side'; its other arguments are given by --key"),
        (["filed.py:right", "--keyword", "top=1"], "unexpected keyword argument 'top'; its other arguments are given"),
        (["filed.py:wants"], r"filed.py:4 in wants\); --array torch, jax or cupy"),
        (["filed.py:nothing"], r"returned nothing that can be judged for any of 5 inputs: .* NoneType; --returns"),
        (["filed.py:right", "--shape", "99999999x99999999"], "Unable to allocate"),
        (["taken/argparse.py:right"], "a module argparse is in use already: the file needs another name"),
        (["filed.py:right", "--jobs", "0"], "jobs=0 is not a positive number"),
        (["filed.py:right", "--seed", "-1"], "seed=-1 is not a whole number between 0"),
        (["filed.py:right", "--html", "r", "--json", "./r"], "r is to be written twice"),
        (["filed.py:right", "--derivative", "nosuch"], "derivative='nosuch' is not one of 'torch'"),
        (["filed.py:right", "--device", "cuda"], "--device cuda needs --array"),
        (["filed.py:right", "--dtype", "bfloat16"], "--dtype bfloat16 needs --array torch or jax"),
        (["filed.py:right", "--dtype", "bfloat16", "--array", "torch"], "--dtype bfloat16 goes alone"),
    ],
)  # fmt: skip
def test_what_is_set_up_wrong_is_said_with_what_to_do(arguments, words, folder, capsys):
    if "torch" in arguments:
        pytest.importorskip("torch")
    assert main(["check", *arguments, *ONE]) == 2
    out, err = capsys.readouterr()
    assert out == "" and re.search(words, err) and err.startswith("orthoref: ") and err.count("\n") == 1, err


def test_what_a_port_prints_and_where_it_goes_are_its_own(folder, capsys):
    assert main(["check", "filed.py:prints", *ONE, "--json", "r.json"]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1 and out.startswith("filed.py:prints as polar") and "said" in err
    assert (folder / "r.json").exists()


def test_a_file_that_cannot_be_written_is_seen_before_the_run(folder, capsys, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert main(["check", "filed.py:nosuch", *ONE, "--junit", "r.xml"]) == 2
    assert "r.xml cannot be written" in capsys.readouterr().err


def test_ctrl_c_is_one_line(folder, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("orthoref.conformance.check", interrupted)
    assert main(["check", "filed.py:right", *ONE]) == 130
    assert capsys.readouterr().err == "orthoref: interrupted\n"


def test_no_output_at_all_is_no_error(folder, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["check", "filed.py:right", *ONE]) == 0


def test_a_device_that_is_not_there_is_said(folder, capsys):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("it is there")
    assert main(["check", "filed.py:right", "--array", "torch", "--device", "cuda", *ONE]) == 2
    err = capsys.readouterr().err
    assert err.startswith("orthoref: --device cuda: ") and err.count("\n") == 1


def test_a_library_that_is_not_there_is_named_with_the_extra_if_it_is_one(monkeypatch):
    for name, words in (("cupy", r"needs cupy: pip install 'orthoref\[cuda12\]'"), ("torch", "needs torch: ")):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(CannotRun, match=words):
            ports.converter(Namespace(port="m.py:f", array=name, dtype=None, device=None))


def test_a_derivative_says_which_arrays():
    options = {"port": "m.py:f", "array": "auto", "dtype": None, "device": None}
    assert ports.kind_of(Namespace(**options, derivative="jax vmap")) == "jax"
    assert ports.kind_of(Namespace(**options, derivative="auto")) == "m"
    assert ports.kind_of(Namespace(**options | {"array": "numpy"}, derivative="torch")) == "numpy"


@pytest.mark.exhaustive
def test_several_processes_and_their_annotations(folder, capsys):
    """From files, with the place of the function, which is loaded elsewhere."""
    port = ["check", "filed.py:sided", "--keyword", "side=left", *ONE, "--format", "github", "--json"]
    assert main([*port, "one.json"]) == main([*port, "two.json", "--jobs", "2"]) == 1
    assert (folder / "one.json").read_text() == (folder / "two.json").read_text()
    assert capsys.readouterr().out.count("::error file=filed.py,line=3,title=filed.py%3Asided::") == 2


@pytest.mark.exhaustive
@pytest.mark.parametrize(("how", "words"), [("os._exit(0)", "(exit status 0)"), ("os.abort()", "(SIGABRT)")])
def test_a_process_that_a_port_ends_has_no_verdict(how, words, folder):
    """Above all not HOLDS: STOP in Fortran has the exit status 0."""
    (folder / "ends.py").write_text(f"import os\ndef port(a): {how}\n")
    command = [sys.executable, "-m", "orthoref", "check", "ends.py:port", *ONE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "") and f"no verdict: the process was ended {words}" in done.stderr


def test_a_16_bit_dtype_is_made_by_the_converter():
    torch = pytest.importorskip("torch")
    options = Namespace(port="m.py:f", array="torch", dtype=["bfloat16"], device="cpu")
    convert = ports.converter(options)
    x = convert(np.asfortranarray(np.ones((3, 4), "float32")))
    assert x.dtype == torch.bfloat16 and x.stride() == (1, 3)
    assert ports.converter(Namespace(port="m:f", array="auto", dtype=None, device=None)) is None
    assert ports.kind_of(Namespace(port="jax.scipy.linalg:polar", array="auto")) == "jax"


@pytest.mark.exhaustive
def test_a_run_in_bfloat16(folder, capsys):
    pytest.importorskip("torch")
    arguments = ["check", "filed.py:step", "--op", "newton_schulz", "--schedule", "cubic", "--steps", "1"]
    more = ["--array", "torch", "--dtype", "bfloat16", "--shape", "6x6", "--skip", "extreme scale", "--skip", "zero"]
    assert main([*arguments, *more, "--max-cases", "9", "--quiet"]) == 0
    assert "as newton_schulz (cubic, 1 steps, norm frobenius, dtypes=bfloat16" in capsys.readouterr().out


def test_cases_are_those_of_the_run(capsys):
    from orthoref import conformance

    asked = ["--dtype", "float32", "--shape", "4x3", "--skip", "extreme scale", "--max-cases", "7", "--seed", "2"]
    assert main(["cases", "polar", *asked, "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = conformance.battery(
        "polar", dtypes=["float32"], shapes=[(4, 3)], skip=["extreme scale"], max_cases=7, seed=2
    )
    assert [line.split("  ")[0] for line in lines] == [case.id for case in shown]
    assert all(line.endswith(case.recreate) for line, case in zip(lines, shown, strict=True))
    assert main(["cases", "polar", *asked]) == 0
    assert "  dtype: float32 (" in capsys.readouterr().out


def test_cases_of_a_derivative_take_a_line_each(capsys):
    assert main(["cases", "polar_vjp", "--dtype", "float64", "--shape", "2x2", "--max-cases", "3", "--quiet"]) == 0
    assert all("; u_bar = orthoref" in line for line in capsys.readouterr().out.splitlines())


@pytest.mark.exhaustive
def test_identify_takes_tensors(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    (tmp_path / "tensors.py").write_text(
        "def ortho(g, eps):\n"
        "    x = g / (g.norm() + eps)\n"
        "    t = x.size(0) > x.size(1)\n"
        "    x = x.mT if t else x\n"
        "    for _ in range(5):\n"
        "        s = x @ x.mT\n"
        "        x = 3.4445 * x + (-4.7750 * s + 2.0315 * s @ s) @ x\n"
        "    return x.mT if t else x\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    arguments = ["identify", "tensors.py:ortho", "--keyword", "eps=1e-7", "--candidate", "muon", "--candidate", "you-5"]
    assert main(arguments) == 2
    assert "tensors.py:2 in ortho); --array torch" in capsys.readouterr().err
    assert main([*arguments, "--array", "torch"]) == 0
    assert capsys.readouterr().out.startswith("jordan, 5 steps, norm frobenius, eps 1e-07 (add)\n  computed in float32")
    assert main([*arguments, "--array", "torch", "--dtype", "bfloat16"]) == 0
    assert "  computed in bfloat16" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_what_there_is_and_ends_with_three_examples(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    text = capsys.readouterr().out
    examples = [line.strip() for line in text.partition("examples:\n")[2].splitlines()]
    assert stop.value.code == 0 and len(examples) == 3
    assert all(line.startswith(f"orthoref {command} ") for line in examples)
    if command in ("check", "cases", "export"):
        assert all(name in "".join(text.split()) for name in ROWS)
    if command == "check":
        for claim in (claim for row in ROWS.values() for claim in row.claims):
            assert f"--{claim.name.replace('_', '-')}" in text
            assert all("".join(choice.split()) in "".join(text.split()) for choice in claim.choices)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_can_be_parsed(command, capsys):
    from orthoref.cli import _parser

    parser = _parser()
    with pytest.raises(SystemExit):
        main([command, "--help"])
    for line in capsys.readouterr().out.partition("examples:\n")[2].splitlines():
        arguments = shlex.split(line.partition(" | ")[0])
        assert arguments[0] == "orthoref" and parser.parse_args(arguments[1:]).run.__module__.endswith(command)


@pytest.mark.exhaustive
def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m orthoref cases polar --skip gallery | head -2"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0 and done.stderr == "" and len(done.stdout.splitlines()) == 2


def test_a_schedule_is_printed_without_the_extra(monkeypatch, capsys):
    from importlib import util

    real = util.find_spec
    monkeypatch.setattr("orthoref.cli.schedule.find_spec", lambda name: None if name == "flint" else real(name))
    assert main(["schedule", "muon", "--steps", "2", "--dtype", "bfloat16"]) == 0
    out = capsys.readouterr().out
    assert out.count("(3.4375, -4.78125, 2.03125),") == 2 and "pip install 'orthoref[certify]'" in out


def test_names_resolve_everywhere(capsys):
    assert main(["schedule", "--list"]) == 0
    assert "jordan (muon)" in capsys.readouterr().out
    with pytest.raises(CannotRun):
        ports.load("nothing")
    assert "muon" in next(claim for claim in ROWS["newton_schulz"].claims if claim.name == "schedule").choices
