"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import importlib.util
import io
import re
import shutil
import subprocess
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import orthoref
from orthoref.oracle.operations import CONSTRUCTORS, DERIVATIVES, GEOMETRY, OPERATIONS, TANGENT_MAPS

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


parsed = cache(ast.parse)


@cache
def labels(source: str) -> set[str]:
    """Equation labels in comments, docstrings and messages."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {label for token in tokens if token.type in WORDS for label in LABEL.findall(token.string)}


def without_a_page(sources: dict[str, str], pages: dict[str, str]) -> list[str]:
    """Labels of the code that no page derives, and tags that exist more than once."""
    tags = Counter(tag for page in pages.values() for tag in re.findall(r"\\tag\{([^}]*)\}", page))
    cited = [f"{name}: ({label})" for name, source in sources.items() for label in sorted(labels(source) - set(tags))]
    return cited + [f"({tag}) {count} times" for tag, count in tags.items() if count > 1]


@pytest.mark.parametrize("folder", ["", *sorted(path.name for path in PACKAGE.iterdir() if path.is_dir())])
def test_every_equation_label_of_the_code_is_derived_on_one_page(folder):
    pages = {path.name: path.read_text() for path in (ROOT / "docs" / "derivations").glob("*.md")}
    if not pages:
        pytest.skip("needs the checkout")
    sources = {
        str(path.relative_to(PACKAGE)): path.read_text()
        for path in (PACKAGE / folder).glob("**/*.py" if folder else "*.py")
    }
    assert folder != "oracle" or len(set().union(*map(labels, sources.values()))) > 20
    assert without_a_page(sources, pages) == []


def test_a_label_that_is_derived_nowhere_or_twice_is_found():
    pages = {"one": r"\tag{DK} \tag{DH*}", "two": r"\tag{AOL-ERROR} \tag{R7}"}
    code = '"""Of (A), f(AB), (NaN), (UP, DOWN): (DK), (DH*), (R7) and (AOL-ERROR)."""\nx = f(LIMIT)  # (C5)\n'
    assert labels(code) == {"DK", "DH*", "R7", "AOL-ERROR", "C5"}
    assert without_a_page({"f.py": code}, pages) == ["f.py: (C5)"]
    assert without_a_page({"f.py": code}, pages | {"three": r"\tag{C5} \tag{DK}"}) == ["(DK) 2 times"]


MATHEMATICS = ("_constructors", "_newton_schulz", "_polar", "isometry", "penalties", "steps", "stiefel")
OWN = re.compile(r"\[|np\.(arange|full|ones|tile|zeros)\(")  # a list, or an array of NumPy that was just made


def assigned_into(source: str) -> list[str]:
    """Statements that assign into what the function around them has not made itself."""
    found = []
    for function in ast.walk(parsed(source)):
        if isinstance(function, ast.FunctionDef):
            made, changed = set(), []
            for node in ast.walk(function):
                if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
                    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                    names = [name for target in targets for name in getattr(target, "elts", [target])]
                    changed += [(name.value, node) for name in names if isinstance(name, ast.Subscript)]
                    values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value] * len(names)
                    pairs = zip(map(ast.unparse, names), map(ast.unparse, filter(None, values)), strict=False)
                    made |= {name for name, value in pairs if OWN.match(value)}
            found += [ast.unparse(node) for name, node in changed if ast.unparse(name) not in made]
    return found


@pytest.mark.parametrize("folder", MATHEMATICS)
def test_the_mathematics_assigns_into_no_array(folder):
    # JAX arrays are immutable, and arguments are never changed
    for path in (PACKAGE / folder).rglob("*.py"):
        assert set(assigned_into(path.read_text())) <= {"globals()[name] = value"}, path


def test_an_assignment_into_an_array_that_was_given_is_found():
    for line in ("x[0] = 1", "x[..., 0] += y", "y, x[0] = x, y", "z = y; z[0] = 1", "q = xp.zeros(3); q[0] = 1"):
        assert len(assigned_into(f"def f(x, y):\n    {line}")) == 1, line
    for line in ("x = np.zeros(3); x[0] = 1", "y, x = 0, [0] * 3; x[0] += 1", "x: list[int] = []; x[:1] = y"):
        assert assigned_into(f"def f(x, y):\n    {line}") == [], line


def at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING"):
            yield child
            yield from at_run_time(child)


def imports(package: Path) -> dict[str, set[str]]:
    """Who imports whom, wherever in the file the statement stands, but for what only annotations need."""
    files = {".".join(path.relative_to(package.parent).with_suffix("").parts): path for path in package.rglob("*.py")}
    files = {name.removesuffix(".__init__"): path for name, path in files.items()}
    graph = {}
    for name, path in files.items():
        asked = set()
        for node in at_run_time(parsed(path.read_text())):
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


@pytest.mark.exhaustive
def test_no_import_goes_in_a_circle():
    assert circle(imports(PACKAGE)) == []


def test_a_circle_through_a_function_is_found(tmp_path):
    (tmp_path / "p").mkdir()
    for name, text in {"__init__": "", "a": "from p import b", "b": "def f():\n    from p.a import g"}.items():
        (tmp_path / "p" / f"{name}.py").write_text(text)
    assert set(circle(imports(tmp_path / "p"))) == {"p.a", "p.b"}


# --- rooms and rows ---------------------------------------------------------------------------------------------------

ORACLE = PACKAGE / "oracle"
ROOMS = sorted(path.parent.name for path in ORACLE.glob("*/__init__.py"))
FILES = ("row.py", "ratios.py", "reasons.py", "enclosure.py")
ENGINES = {"optimisers"}  # rooms without a row, which say why
TOGETHER = ("operations.py", "certify.py")  # that is what they are for
SHARED = {
    ("polar", "orthonormal"),
    ("stiefel", "orthonormal"),
    ("constructors", "orthonormal"),
    ("constructors", "stiefel"),
    ("stiefel", "polar"),
    ("optimisers", "newton_schulz"),
}  # the first room may use the second
NAMED = {
    ("conformance.py", "polar"): "the default of check and battery",
    ("cases.py", "orthonormal"): "the structure of a matrix",
    ("factors.py", "orthonormal"): "the structure of a matrix",
}


def rooms_imported(source: str) -> set[str]:
    """Rooms of the oracle that a file imports from, wherever the statement stands."""
    asked = set()
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            asked |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            asked |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {room for room in ROOMS for name in asked if f"{name}.".startswith(f"orthoref.oracle.{room}.")}


def families_named(source: str) -> set[str]:
    """Families whose name is in an identifier or a string; docstrings and comments may say what they like."""
    tree, words = parsed(source), set()
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            words.add(node.value)
        names = (getattr(node, field, None) for field in ("id", "attr", "name", "asname", "arg", "module"))
        words |= {name for name in names if isinstance(name, str)}
    text = " ".join(words)
    return {room for room in ROOMS if re.search(rf"(?<![a-z]){room}(?![a-z])", text)}


def test_the_rooms_are_found():
    assert set(ROOMS) >= {"polar", "newton_schulz", "orthonormal"}
    assert {row.measure.__module__.split(".")[2] for row in OPERATIONS.values()} <= set(ROOMS)


@pytest.mark.parametrize("room", sorted(set(ROOMS) - ENGINES))
def test_every_room_has_the_same_files(room):
    assert all((ORACLE / room / name).exists() for name in FILES)


@pytest.mark.exhaustive
def test_general_files_name_no_family():
    general = {path.name: path.read_text() for path in ORACLE.glob("*.py") if path.name not in TOGETHER}
    assert {(name, room) for name, source in general.items() for room in families_named(source)} == set(NAMED)


def test_general_files_name_no_operation():
    general = {path.name: path.read_text() for path in ORACLE.glob("*.py") if path.name not in TOGETHER}
    assert {(name, room) for name, source in general.items() for room in rooms_imported(source)} == set()
    tree = parsed(general["conformance.py"])
    by_default = [
        default
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for default in node.args.defaults
        if ast.unparse(default) == "'polar'"
    ]
    assert sum(ast.unparse(node) == "'polar'" for node in ast.walk(tree)) == len(by_default) == 2


@pytest.mark.exhaustive
@pytest.mark.parametrize("room", ROOMS)
def test_a_family_knows_only_its_own_room(room):
    known = {other for path in (ORACLE / room).glob("*.py") for other in rooms_imported(path.read_text())}
    assert {(room, other) for other in known - {room}} <= SHARED


def test_a_name_in_code_is_found_and_one_in_prose_is_not():
    assert families_named('"""Of polar."""\n# polar\ndef f(bipolar):\n    """Of newton_schulz."""') == set()
    for code in ("polar = 1", "x.polar", "f(polar=1)", "def polar(): pass", "from a import polar", "x = 'a polar one'",
                 "f'{x} polar'", "import a.polar", "def f(polar_claim): pass"):  # fmt: skip
        assert families_named(code) == {"polar"}, code
    for code in ("from orthoref.oracle.polar import ratios", "def f():\n    from orthoref.oracle import polar",
                 "import orthoref.oracle.polar.row"):  # fmt: skip
        assert rooms_imported(code) == {"polar"}
    assert rooms_imported("from orthoref._polar import decomposition") == set()


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_row_is_exported_with_its_derivatives(name):
    row = OPERATIONS[name]
    assert row.reference is not None and row.jvp is not None and row.vjp is not None
    for public, function in ((name, row.reference), (f"{name}_jvp", row.jvp), (f"{name}_vjp", row.vjp)):
        found = orthoref
        for part in public.split("."):
            found = getattr(found, part)
        assert found is function


@pytest.mark.parametrize("name", DERIVATIVES)
def test_every_derivative_that_is_judged_is_exported_and_belongs_to_a_row(name):
    row = DERIVATIVES[name]
    assert row.reference is getattr(orthoref, name)
    operation = name.removesuffix("_jvp").removesuffix("_vjp")
    assert row.inputs[0] == OPERATIONS[operation].inputs[0]


@pytest.mark.parametrize("name", TANGENT_MAPS)
def test_every_derivative_on_a_manifold_is_exported_and_belongs_to_a_row(name):
    row, function = TANGENT_MAPS[name], getattr(orthoref.stiefel, name.removeprefix("stiefel."))
    assert getattr(row.reference, "func", row.reference) is function  # a partial one names the metric
    operation, kind = name.rsplit("_", 1)
    assert row.inputs[:2] == GEOMETRY[operation].inputs and row.claims == GEOMETRY[operation].claims
    assert {f"{operation}_{other}" for other in ("jvp", "vjp")} <= {*TANGENT_MAPS} and kind in ("jvp", "vjp")


def test_every_operation_has_every_kind_of_derivative():
    kinds = ("vjp", "jvp", "vjp_jvp")
    assert set(DERIVATIVES) == {f"{name}_{kind}" for name in OPERATIONS for kind in kinds}


@cache
def capability_lines(which="_capability_lines"):
    path = ROOT / "docs" / "conf.py"
    if not path.exists():
        pytest.skip("needs the checkout")
    spec = importlib.util.spec_from_file_location("conf", path)
    conf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conf)
    return getattr(conf, which)()


def test_every_row_has_its_capability_line():
    head, rule, *lines = capability_lines()
    assert len(lines) == len(OPERATIONS) and {line.count(" | ") for line in (head, rule, *lines)} == {head.count(" | ")}
    for line, row in zip(lines, OPERATIONS.values(), strict=True):
        for name in (row.name, f"{row.name}_jvp", f"{row.name}_vjp"):
            assert f"`~orthoref.{name}`" in line
        assert all(f"`{check.name}`" in line for check in row.checks) and all(dtype in line for dtype in row.dtypes)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("which", "rows"), [
    ("_derivative_lines", DERIVATIVES), ("_constructor_lines", CONSTRUCTORS),
    ("_geometry_lines", GEOMETRY | TANGENT_MAPS),
])  # fmt: skip
def test_every_row_that_is_judged_has_its_capability_line(which, rows):
    head, rule, *lines = capability_lines(which)
    assert {line.count(" | ") for line in (head, rule, *lines)} == {head.count(" | ")}
    for line, row in zip(lines, rows.values(), strict=True):
        assert line.startswith(f"| `{row.name}` | {{py:func}}`~orthoref.{row.name}`")
        assert all(f"`{name}`" in line for name in (*row.inputs, *row.outputs, *(claim.name for claim in row.claims)))


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(("folder", "ending"), [("docs/derivations", "md"), ("asv_benchmarks/benchmarks", "py")])
def test_every_row_has_its_page_and_its_benchmarks(name, folder, ending):
    if not (ROOT / folder).exists():
        pytest.skip("needs the checkout")
    text = (ROOT / folder / f"{name.partition('.')[0]}.{ending}").read_text()
    if ending == "py":  # and they run it
        assert re.search(rf"orthoref\.{name}\b", text)


@pytest.mark.parametrize("name", DERIVATIVES)
def test_every_derivative_has_its_benchmarks(name):
    if not (ROOT / "asv_benchmarks").exists():
        pytest.skip("needs the checkout")
    texts = [(ROOT / "asv_benchmarks" / "benchmarks" / f"{page}.py").read_text() for page in ("derivatives", "judging")]
    assert any(re.search(rf"orthoref\.{name}\b", text) for text in texts)


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_every_constructor_has_its_function_and_its_benchmarks(name):
    assert callable(getattr(orthoref, name)) and CONSTRUCTORS[name].reference is not None
    if not (ROOT / "asv_benchmarks").exists():
        pytest.skip("needs the checkout")
    text = (ROOT / "asv_benchmarks" / "benchmarks" / "constructors.py").read_text()
    assert re.search(rf"orthoref\.{name}\b", text)
