import inspect
import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

import orthoref

HEAVY = ("numpy", "scipy", "numba", "cupy", "flint", "torch", "jax", "matplotlib", "array_api_compat", "hypothesis")


def functions():
    return [name for name in orthoref.__all__ if inspect.isfunction(getattr(orthoref, name, None))]


@pytest.mark.parametrize("name", orthoref.__all__)
def test_name_resolves(name):
    assert getattr(orthoref, name) is getattr(orthoref, name)
    assert name in dir(orthoref)


@pytest.mark.parametrize("name", orthoref.__all__)
def test_has_a_docstring(name):
    assert (getattr(orthoref, name).__doc__ or "").strip()


def test_the_mathematics_is_there():
    assert set(functions()) >= {"polar", "polar_jvp", "polar_vjp", "polar_condition"}


@pytest.mark.parametrize("name", functions())
@pytest.mark.parametrize("section", ["Parameters", "Returns", "Raises"])
def test_docstring_section(name, section):
    doc = inspect.getdoc(getattr(orthoref, name))
    assert f"{section}\n{'-' * len(section)}\n" in doc


@pytest.mark.parametrize("name", functions())
def test_docstring_names_every_parameter(name):
    function = getattr(orthoref, name)
    section = inspect.getdoc(function).split("Parameters\n")[1].split("Returns\n")[0]
    documented = {
        word.strip() for line in section.splitlines() if " : " in line for word in line.split(" : ")[0].split(",")
    }
    assert documented == set(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", functions())
def test_options_are_keywords(name):
    for parameter in inspect.signature(getattr(orthoref, name)).parameters.values():
        what = parameter.name in ("schedule", "m", "n", "p", "shape")  # what to compute, not how
        data = "Array" in str(parameter.annotation) or what
        assert data or parameter.kind is parameter.KEYWORD_ONLY


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'polarr'"):
        _ = orthoref.polarr


def test_errors_are_the_builtin_ones():
    assert issubclass(orthoref.OutsideDomain, ValueError)
    assert issubclass(orthoref.NotConverged, ArithmeticError)
    assert issubclass(orthoref.NotCertified, ArithmeticError)
    assert issubclass(orthoref.PortFailure, AssertionError)


def imported_by(statement):
    code = f"import sys, json; {statement}; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout))


def test_import_is_light():
    before = imported_by("pass")
    assert not (imported_by("import orthoref") - before) & set(HEAVY)


def test_polar_imports_only_the_runtime_core():
    before = imported_by("import numpy, array_api_compat")
    assert not (imported_by("from orthoref import polar") - before) & set(HEAVY)


def test_a_recreation_line_works_after_import_orthoref():
    code = "import orthoref; print(orthoref.oracle.cases.matrix((2, 3), seed=1).shape)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "(2, 3)\n"


@pytest.mark.parametrize("module", ["testing", "oracle"])
def test_dir_lists_what_is_there(module):
    found = getattr(orthoref, module)
    assert dir(found) == sorted(found.__all__)
    names = [
        name for name in dir(found) if name != "strategies" or find_spec("hypothesis")
    ]  # which comes with an extra
    assert all(getattr(found, name) is getattr(found, name) for name in names)


@pytest.mark.parametrize(
    ("missing", "statement", "extra"),
    [
        ("hypothesis", "orthoref.testing.strategies", "testing"),
        ("hypothesis", "import orthoref.testing.strategies", "testing"),
        ("matplotlib", "from orthoref import schedules; schedules.identify(orthoref.newton_schulz).figure()", "report"),
        ("flint", "from orthoref import schedules; schedules.certify('muon', '0.1')", "certify"),
        ("flint", "import numpy; orthoref.certify.polar(numpy.eye(2), numpy.eye(2))", "certify"),
    ],
)
@pytest.mark.exhaustive
def test_a_missing_extra_is_a_sentence_with_the_command(missing, statement, extra):
    code = f"import sys, importlib.util; sys.modules[{missing!r}] = None; import orthoref\n{statement}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: ") and f"pip install 'orthoref[{extra}]'" in last, done.stderr
