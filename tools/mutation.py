"""Mutation score: single edits of the mathematics and the judge, each against the tests that should see it.

    python tools/mutation.py [MODULE ...] [--share 1] [--seed 0] [--jobs 1]   run what has not been run
    python tools/mutation.py --table                                          write docs/mutation_table.md
    python tools/mutation.py --list [MODULE ...]                              the sample, with what became of it

MODULE is a path within ``orthoref`` or the beginning of one: ``_polar``, ``oracle/polar/ratios.py``. By hand, not in
CI.

Nothing in the working tree is changed: the package is copied to a temporary folder, the edited module replaces the
original there, and a forked child that has NumPy and pytest imported already puts the folder first on its path and runs
tests until one fails. A first run over the unedited package notes which functions each test enters; a child runs the
tests that enter the edited function, the quick ones first. Results are appended to ``docs/mutation_results.jsonl``: a
run that was interrupted goes on, and survivors are tried again where their tests have changed. ``--table`` keeps the
last result of each edit there and makes the table of it. Edits that change nothing a caller could see, or that no test
should pin down, stand with the reason in ``tools/mutation_equivalent.toml``.
"""

# ruff: noqa: D102 (the hooks of pytest say what they are)
from __future__ import annotations

import argparse
import ast
import gc
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import tomllib
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from hashlib import sha1
from itertools import count, islice
from math import ceil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "orthoref"
STATE = ROOT / "build"
RESULTS = ROOT / "docs" / "mutation_results.jsonl"
EQUIVALENT = Path(__file__).with_name("mutation_equivalent.toml")
TABLE = ROOT / "docs" / "mutation_table.md"

SURVIVORS = "tests/meta/test_survivors_*.py"  # written for edits that nothing else had seen
POLAR = ("tests/polar",)
NEWTON_SCHULZ = ("tests/newton_schulz",)
SCHEDULES = ("tests/schedules",)
ROOMS, PLANTED = "tests/oracle", "tests/meta/test_planted_faults.py"
RUNS = ("tests/oracle/test_conformance.py", PLANTED, "tests/meta/test_wrong_ports.py")

# Beginning of a module's path -> the tests that should see its edits, the most specific first; the first match counts.
TESTS: dict[str, tuple[str, ...]] = {
    "linalg.py": ("tests/test_linalg.py", *POLAR, *NEWTON_SCHULZ),
    "arrays.py": ("tests/test_arrays.py", *POLAR, "tests/newton_schulz/test_iteration.py"),
    "formats.py": ("tests/test_formats.py", "tests/schedules/test_schedule.py", "tests/newton_schulz/test_rounding.py"),
    "_polar/weights.py": ("tests/polar/test_weights.py", *POLAR, "tests/schedules/test_design.py"),
    "_polar/": POLAR,
    "_newton_schulz/rounding.py": ("tests/newton_schulz/test_rounding.py", *NEWTON_SCHULZ),
    "_newton_schulz/": NEWTON_SCHULZ,
    "_schedules/row.py": ("tests/schedules/test_schedule.py", *SCHEDULES, "tests/newton_schulz/test_iteration.py"),
    "_schedules/schedule.py": ("tests/schedules/test_schedule.py", *SCHEDULES, "tests/newton_schulz/test_iteration.py"),
    "_schedules/certificate.py": ("tests/schedules/test_certificate.py", *SCHEDULES),
    "_schedules/design.py": ("tests/schedules/test_design.py", *SCHEDULES),
    "_schedules/presets.py": ("tests/schedules/test_presets.py", *SCHEDULES),
    "_schedules/": SCHEDULES,
    "kernels/": ("tests/kernels", *POLAR),
    "oracle/newton_schulz/rounding_error.py": (
        "tests/oracle/newton_schulz/test_rounding_error.py",
        SURVIVORS,
        "tests/oracle/newton_schulz/test_ratios.py",
        "tests/meta/test_newton_schulz_faults.py",
    ),
    "oracle/newton_schulz/enclosure.py": (f"{ROOMS}/newton_schulz/test_enclosure.py",),
    "oracle/newton_schulz/row.py": (f"{ROOMS}/newton_schulz/test_row.py", f"{ROOMS}/newton_schulz/test_ratios.py"),
    "oracle/newton_schulz/claim.py": (f"{ROOMS}/newton_schulz/test_row.py", f"{ROOMS}/newton_schulz/test_ratios.py"),
    "oracle/newton_schulz/fits.py": (f"{ROOMS}/newton_schulz/test_fits.py", f"{ROOMS}/newton_schulz/test_reasons.py"),
    "oracle/newton_schulz/hypotheses.py": (
        f"{ROOMS}/newton_schulz/test_hypotheses.py",
        f"{ROOMS}/newton_schulz/test_reasons.py",
        f"{ROOMS}/newton_schulz/test_identify.py",
    ),
    "oracle/newton_schulz/identify.py": (
        f"{ROOMS}/newton_schulz/test_search.py",
        f"{ROOMS}/newton_schulz/test_identify.py",
    ),
    "oracle/newton_schulz/reasons.py": (
        f"{ROOMS}/newton_schulz/test_known.py",
        f"{ROOMS}/newton_schulz/test_reasons.py",
        "tests/meta/test_newton_schulz_faults.py",
    ),
    "oracle/newton_schulz/": (
        "tests/oracle/newton_schulz",
        SURVIVORS,
        "tests/testing/test_assert_newton_schulz.py",
        "tests/meta/test_newton_schulz_faults.py",
        "tests/meta/test_wrong_ports.py",
    ),
    "oracle/polar/row.py": (f"{ROOMS}/polar/test_row.py", f"{ROOMS}/polar/test_ratios.py", PLANTED),
    "oracle/polar/directions.py": (f"{ROOMS}/polar/test_directions.py", PLANTED),
    "oracle/polar/reasons.py": (f"{ROOMS}/polar/test_reasons.py", PLANTED),
    "oracle/polar/enclosure.py": ("tests/oracle/test_certify.py",),
    "oracle/polar/": (
        "tests/oracle/polar",
        SURVIVORS,
        "tests/oracle/test_certify.py",
        "tests/testing/test_assertions.py",
        "tests/meta/test_planted_faults.py",
        "tests/meta/test_wrong_ports.py",
    ),
    "oracle/orthonormal/reasons.py": (f"{ROOMS}/orthonormal/test_reasons.py", PLANTED),
    "oracle/orthonormal/enclosure.py": ("tests/oracle/test_certify.py",),
    "oracle/orthonormal/": (
        "tests/oracle/orthonormal",
        SURVIVORS,
        "tests/testing/test_assertions.py",
        "tests/oracle/test_certify.py",
        "tests/meta/test_planted_faults.py",
    ),
    "oracle/factors.py": ("tests/oracle/test_factors.py", SURVIVORS),
    "oracle/battery.py": ("tests/oracle/test_battery.py", SURVIVORS),
    "oracle/cases.py": ("tests/oracle/test_cases.py", SURVIVORS, "tests/oracle/test_battery.py"),
    "oracle/precision.py": (
        "tests/oracle/test_cases.py",
        SURVIVORS,
        "tests/oracle/polar",
        "tests/oracle/newton_schulz/test_ratios.py",
    ),
    "oracle/verdict.py": ("tests/oracle/test_verdict.py", *RUNS, "tests/testing/test_assertions.py"),
    "oracle/explain.py": ("tests/oracle/test_explain.py", *RUNS, "tests/oracle/newton_schulz/test_reasons.py"),
    "oracle/run.py": ("tests/oracle/test_run.py", *RUNS, "tests/oracle/test_laws.py"),
    "oracle/laws.py": ("tests/oracle/test_laws.py", *RUNS),
    "oracle/vote.py": ("tests/oracle/test_vote.py", "tests/oracle/newton_schulz/test_reasons.py"),
    "oracle/narrow.py": ("tests/oracle/test_narrow.py", "tests/meta/test_wrong_ports.py"),
    "oracle/lift.py": ("tests/oracle/test_lift.py", "tests/testing/test_assertions.py"),
    "oracle/residual.py": ("tests/oracle/test_residual.py", "tests/oracle/polar", "tests/oracle/orthonormal"),
    "oracle/": ("tests/oracle", SURVIVORS, "tests/testing", "tests/meta"),
}
# An optional framework doubles the time and sees what the others see; other packages' ports are not ours.
SELECTION = ["-k", "not jax and not torch", "-m", "not port and not gpu"]
WHOLE = ("tests/oracle/newton_schulz/test_identify.py",)  # of which those marked exhaustive take part as well
SILENT = ("text", "__str__", "__repr__", "summary", "unit", "figure")  # functions that only say something
SECONDS = 20.0  # of tests that an edit meets, by their time under a tracer, which is two to three times as long
FRAMEWORKS = ("_refuse_differentiated",)  # and those that only arrays of torch and JAX get to


# Edits ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Edit:
    """Replace the bytes ``start`` to ``end`` of a module by ``new``."""

    module: str
    function: str
    first: int  # line where the innermost function begins, as in its code object; 0 for what is run on import
    line: int
    start: int
    end: int
    kind: str
    old: str
    new: str
    number: int  # of the same edit in the same function

    @property
    def key(self) -> str:
        """The same after changes elsewhere in the module."""
        return "|".join((self.module, self.function, self.old, self.new, str(self.number)))


_ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_BOUNDARY = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_NEGATION = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_TWINS = dict(
    pair
    for a, b in (("min", "max"), ("minimum", "maximum"), ("any", "all"), ("floor", "ceil"), ("real", "imag"),
                 ("lower", "upper"), ("ones_like", "zeros_like"), ("logical_and", "logical_or"))
    for pair in ((a, b), (b, a))
)  # fmt: skip
_DROPPED = {"ct", "conj", "abs", "sqrt", "hermitian_part", "skew_part", "matrix_transpose", "reversed", "sorted",
            "floor", "log2", "frobenius", "store", "mid", "triu", "sums", "_sums", "_positive"}  # fmt: skip
_ORDERED = {"solve", "inner", "where", "copysign", "ldexp", "comb", "Fraction", "pow",
            "Scale", "Interval", "_divided_difference", "_extremes", "_unit_interval", "_bisect", "wronskian",
            "_fisher"}  # fmt: skip
_NUMBERS = re.compile(r"[\s\d.,+-]*\d\.\d[\s\d.,+-]*")


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _literal(node: ast.AST) -> int | float | None:
    """A number, its sign included."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inside = _literal(node.operand)
        return None if inside is None or isinstance(node.operand, ast.UnaryOp) else -inside
    number = isinstance(node, ast.Constant) and type(node.value) in (int, float)
    return node.value if number else None


def _constants(value: int | float, axis: bool) -> Iterator[tuple[str, ast.expr]]:
    if axis and value in (-1, -2):
        yield "axis", ast.Constant(-3 - value)
        return
    halves = [value / 2] if isinstance(value, float) else [value // 2]
    for changed in dict.fromkeys([value + 1, -value, *halves]):
        if changed != value:
            yield "constant", ast.Constant(changed)


def _expressions(node: ast.AST, axis: bool) -> Iterator[tuple[str, ast.expr]]:
    """What an expression may be replaced by."""
    number = _literal(node)
    if number is not None:
        yield from _constants(number, axis)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "constant", ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _NUMBERS.fullmatch(node.value):
        for found in re.finditer(r"\d+\.\d+", node.value):
            at = found.end() - 1
            yield "digit", ast.Constant(node.value[:at] + str((int(node.value[at]) + 1) % 10) + node.value[at + 1 :])
    elif isinstance(node, ast.BinOp):
        left, op, right = node.left, node.op, node.right
        if isinstance(op, ast.MatMult):
            yield "swap", ast.BinOp(right, op, left)
        elif type(op) in _ARITHMETIC:
            yield "operator", ast.BinOp(left, _ARITHMETIC[type(op)](), right)
        if isinstance(op, (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.BitAnd, ast.BitOr)):
            yield "term", left
        if isinstance(op, (ast.Add, ast.Mult, ast.BitAnd, ast.BitOr)):
            yield "term", right
        if isinstance(op, ast.Sub):
            yield "term", ast.UnaryOp(ast.USub(), right)
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.UAdd):
        yield "sign", node.operand
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        for table, kind in ((_BOUNDARY, "boundary"), (_NEGATION, "negation")):
            if type(node.ops[0]) in table:
                yield kind, ast.Compare(node.left, [table[type(node.ops[0])]()], node.comparators)
    elif isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            if type(op) in _BOUNDARY:
                ops = [*node.ops[:i], _BOUNDARY[type(op)](), *node.ops[i + 1 :]]
                yield "boundary", ast.Compare(node.left, ops, node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield "logic", ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
        for i in range(len(node.values)):
            rest = [*node.values[:i], *node.values[i + 1 :]]
            yield "term", rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
    elif isinstance(node, ast.IfExp):
        yield "negation", ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.Attribute) and node.attr in ("mT", "T"):
        yield "dropped", node.value
    elif isinstance(node, ast.Call):
        name = _name(node)
        if name in _TWINS:
            other = _TWINS[name]
            func = ast.Name(other) if isinstance(node.func, ast.Name) else ast.Attribute(node.func.value, other)
            yield "twin", ast.Call(func, node.args, node.keywords)
        if name in _DROPPED and node.args:
            yield "dropped", node.args[0]
        at = 1 if name == "where" else 0
        if name in _ORDERED and len(node.args) >= at + 2 and not any(isinstance(a, ast.Starred) for a in node.args):
            args = [*node.args[:at], node.args[at + 1], node.args[at], *node.args[at + 2 :]]
            yield "swap", ast.Call(node.func, args, node.keywords)


def _statements(node: ast.stmt) -> Iterator[tuple[str, str]]:
    """What a statement may be replaced by."""
    if isinstance(node, ast.AugAssign):
        yield "deleted", "pass"
        if type(node.op) in _ARITHMETIC:
            changed = ast.AugAssign(node.target, _ARITHMETIC[type(node.op)](), node.value)
            yield "operator", ast.unparse(changed)
    elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        used = {name.id for name in ast.walk(node.value) if isinstance(name, ast.Name)}
        if node.targets[0].id in used:  # x = f(x)
            yield "deleted", "pass"
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "deleted", "pass"


@cache
def edits(module: str) -> list[Edit]:
    """All single edits of a module that could change what it computes."""
    source = (PACKAGE / module).read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    tree = ast.parse(source)
    found: list[Edit] = []
    seen: Counter[tuple[str, str, str]] = Counter()

    def add(node: ast.AST, where: tuple[str, int], kind: str, new: str) -> None:
        start, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        old = ast.unparse(node)
        same = (where[0], old, new)
        found.append(Edit(module, *where, node.lineno, start, end, kind, old, new, seen[same]))
        seen[same] += 1

    def visit(node: ast.AST, where: tuple[str, int], axis: bool = False) -> None:
        if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom, ast.Assert)):
            return  # messages
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _name(node.value) in FRAMEWORKS:
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if not where[0] and isinstance(node, ast.Assign) and isinstance(getattr(node.value, "op", None), ast.BitOr):
            return  # a union of types
        if isinstance(node, ast.ClassDef):
            where = (f"{where[0]}.{node.name}".lstrip("."), 0)
            for child in node.body:
                visit(child, where)
            return
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            if isinstance(node, ast.FunctionDef):
                if node.name in SILENT + FRAMEWORKS:
                    return
                for default in (*node.args.defaults, *(d for d in node.args.kw_defaults if d)):
                    visit(default, (f"{where[0]}.{node.name}".lstrip("."), where[1]))
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                where = (f"{where[0]}.{node.name}".lstrip("."), first)
            for child in node.body if isinstance(node, ast.FunctionDef) else [node.body]:
                visit(child, where)
            return
        if isinstance(node, ast.stmt):
            for kind, new in _statements(node):
                add(node, where, kind, new)
        elif isinstance(node, ast.expr):
            for kind, changed in _expressions(node, axis):
                new = ast.unparse(changed)
                if new != ast.unparse(node):
                    add(node, where, kind, f"({new})")
            if _literal(node) is not None:
                return
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                visit(node.value, where)
            return
        if isinstance(node, ast.If | ast.While):
            add(node.test, where, "negation", f"(not ({ast.unparse(node.test)}))")
        if isinstance(node, ast.Call) and _name(node) in ("TypeError", "ValueError", "OutsideDomain", "errstate"):
            return
        for field, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.keyword):
                    if child.arg != "strict":
                        visit(child.value, where, child.arg == "axis")
                elif isinstance(child, ast.AST):
                    inside = axis and isinstance(node, ast.Tuple)
                    visit(child, where, inside or (isinstance(node, ast.Subscript) and field == "slice"))

    visit_module = [
        node for node in tree.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]
    for node in visit_module:
        visit(node, ("", 0))
    return found


def applied(source: bytes, edit: Edit) -> bytes:
    """The module with the edit."""
    return source[: edit.start] + edit.new.encode() + source[edit.end :]


def _compiles(edit: Edit) -> bool:
    try:
        ast.parse(applied((PACKAGE / edit.module).read_bytes(), edit))
    except SyntaxError:
        return False
    return True


@cache
def sample(module: str, share: float, seed: int) -> list[Edit]:
    """About 1.5 sqrt(n) of the n edits, on as many lines as possible, the same ones after changes elsewhere."""
    ranked = sorted(edits(module), key=lambda e: sha1(f"{seed}|{e.key}".encode()).digest())
    on_line: Counter[int] = Counter()
    turns = []
    for edit in ranked:
        turns.append(on_line[edit.line])
        on_line[edit.line] += 1
    in_turn = (edit for _, _, edit in sorted(zip(turns, count(), ranked, strict=False)))
    return [*islice(filter(_compiles, in_turn), ceil(1.5 * share * len(ranked) ** 0.5))]


# Running tests in a child ---------------------------------------------------------------------------------------------


@cache
def tests_of(module: str) -> list[str]:
    """Test files of a module, relative to the root, the most specific first; as they were when the run began."""
    wanted = next(tests for start, tests in TESTS.items() if module.startswith(start))
    found: dict[str, None] = {}
    for pattern in wanted:
        for path in sorted(ROOT.glob(pattern)):
            files = sorted(path.rglob("test_*.py")) if path.is_dir() else [path]
            found |= dict.fromkeys(str(file.relative_to(ROOT)) for file in files)
    return [*found]


def digest(*paths: Path) -> str:
    """Of the contents of files."""
    together = sha1()
    for path in paths:
        together.update(path.read_bytes())
    return together.hexdigest()[:16]


@cache
def versions(module: str) -> dict[str, str]:
    """Of the module and of its tests when the run began."""
    return {"source": digest(PACKAGE / module), "tests": digest(*(ROOT / test for test in tests_of(module)))}


def _processor_time() -> float:
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


# Test files in order, each with its tests in order and their seconds, those that must not run (they
# fail without an edit, or cost too much), and whether tests that are in neither list run too.
Plan = list[tuple[str, dict[str, float], list[str], bool]]


class Entered:
    """Pytest plugin: which functions of the package each test enters, and how long it takes."""

    def __init__(self, overlay: str) -> None:
        self.prefix = overlay + "/orthoref/"
        self.codes: dict[int, object] = {}
        self.on_import: list[str] = []
        self.tests: dict[str, tuple[float, list[str]]] = {}
        self.failed: list[str] = []

    def trace(self, frame, event, arg):
        """Of ``sys.settrace``."""
        self.codes[id(frame.f_code)] = frame.f_code

    def seen(self) -> list[str]:
        """What was entered since the last call: module and line of the function."""
        codes, self.codes = self.codes, {}
        ours = [c for c in codes.values() if c.co_filename.startswith(self.prefix) and not c.co_name.startswith("<")]
        return sorted({f"{c.co_filename.removeprefix(self.prefix)}:{c.co_firstlineno}" for c in ours})

    def pytest_collection_finish(self) -> None:
        self.on_import = self.seen()
        self.caches = [
            value.cache_clear
            for name, module in sys.modules.items()
            if name.split(".")[0] in ("orthoref", "tests") or "test_" in name
            for value in vars(module).values()
            if callable(getattr(value, "cache_clear", None))
        ]

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef):
        """A fixture that several tests share counts for all of them."""
        before = self.seen()
        result = yield
        inside = self.seen()
        if fixturedef.scope != "function":  # for all tests behind too
            self.on_import = sorted({*self.on_import, *inside})
        self.inside_fixtures |= {*before, *inside}
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item, nextitem):
        for clear in self.caches:  # what one test leaves in a cache, others enter too
            clear()
        self.seen()
        self.inside_fixtures: set[str] = set()
        began = _processor_time()
        result = yield
        seconds = round(_processor_time() - began, 4)
        self.tests[item.nodeid] = (seconds, sorted({*self.seen(), *self.inside_fixtures}))
        return result


class Chosen:
    """Pytest plugin: these tests, in this order, none much longer than without the edit; ``every``: then the others."""

    def __init__(self, seconds: dict[str, float], without: list[str], every: bool) -> None:
        self.seconds, self.without, self.every = seconds, without, every
        self.failed = ""

    def pytest_collection_modifyitems(self, items: list) -> None:
        order = {name: i for i, name in enumerate(self.seconds)}
        chosen = [i for i in items if i.nodeid in order or (self.every and i.nodeid not in self.without)]
        items[:] = sorted(chosen, key=lambda item: order.get(item.nodeid, len(order)))

    def pytest_runtest_setup(self, item) -> None:
        signal.setitimer(signal.ITIMER_PROF, 10 + 10 * self.seconds.get(item.nodeid, 1.0))

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report) -> None:
        if report.failed and not self.failed:
            self.failed = f"collection of {report.nodeid}"


OPTIONS = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--disable-plugin-autoload", *SELECTION]


def arguments(test: str) -> list[str]:
    """Of pytest for a file."""
    return [*OPTIONS[:-1], OPTIONS[-1] + ("" if test in WHOLE else " and not exhaustive and not by_hand"), test]


def overlay_in(folder: str) -> str:
    """A copy of the package, with its bytecode, to be edited."""
    shutil.copytree(PACKAGE, Path(folder) / "orthoref")
    return folder


def _enter_child(overlay: str, log: str) -> None:
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # not those of the progress bar
    os.chdir(ROOT)
    sys.path.insert(0, overlay)
    os.environ["PYTHONPATH"] = overlay  # of the processes that tests start


def _baseline_child(overlay: str, test: str, result: str) -> None:
    _enter_child(overlay, result + ".log")
    plugin = Entered(overlay)
    sys.settrace(plugin.trace)
    status = int(pytest.main(arguments(test)[1:], plugins=[plugin]))
    sys.settrace(None)
    found = {"status": status, "failed": plugin.failed, "import": plugin.on_import, "tests": plugin.tests}
    Path(result).write_text(json.dumps(found))


def _mutant_child(overlay: str, plan: Plan, result: str, seconds: float) -> None:
    _enter_child(overlay, result + ".log")
    sys.dont_write_bytecode = True
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process
    resource.setrlimit(resource.RLIMIT_CPU, (ceil(seconds), ceil(seconds) + 5))
    resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
    signal.alarm(ceil(20 * seconds))
    for test, *chosen in plan:
        plugin = Chosen(*chosen)
        status = int(pytest.main(arguments(test), plugins=[plugin]))
        if status not in (0, 5):
            Path(result).write_text(json.dumps({"by": plugin.failed or f"{test}: pytest status {status}"}))
            return
    Path(result).write_text(json.dumps({"by": ""}))


def forked(function, *arguments) -> int:
    """The process id of a child that runs the function and ends."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        function(*arguments)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


# The run --------------------------------------------------------------------------------------------------------------


def baselines(modules: list[str], overlay: str, progress) -> dict[str, dict]:
    """Of every test file: functions entered on import and by each test, seconds."""
    package = digest(*sorted(PACKAGE.rglob("*.py")))
    files = list(dict.fromkeys(test for module in modules for test in tests_of(module)))
    found = {}
    task = progress.add_task("tests without an edit", total=len(files))
    for test in files:
        kept = STATE / "mutation" / f"{test.replace('/', '.')}-{digest(ROOT / test)}-{package}.json"
        if not kept.exists():
            progress.update(task, description=test)
            kept.parent.mkdir(parents=True, exist_ok=True)
            part = str(kept) + ".part"
            os.waitpid(forked(_baseline_child, overlay, test, part), 0)
            read = json.loads(Path(part).read_text())
            if read["status"] not in (0, 1, 5):
                sys.exit(f"{test} cannot be run: see {part}.log")
            Path(part).rename(kept)
        found[test] = json.loads(kept.read_text())
        for failed in found[test]["failed"]:
            progress.console.print(f"[bold]fails without an edit and takes no part:[/] {failed}", highlight=False)
            found[test]["tests"].pop(failed, None)
        progress.advance(task)
    return found


def planned(edit: Edit, known: dict[str, dict], killers: Counter[str]) -> Plan:
    """Those that have seen something and the quick ones first, as many as take SECONDS together."""
    function = f"{edit.module}:{edit.first}"
    found: list[tuple[int, float, str, str]] = []
    everywhere = {test: not edit.first or function in known[test]["import"] for test in tests_of(edit.module)}
    for test, every in everywhere.items():
        for name, (seconds, entered) in known[test]["tests"].items():
            if every or function in entered:
                found.append((-killers[name], seconds, name, test))
    kept: dict[str, dict[str, float]] = {}
    left = SECONDS
    for _, seconds, name, test in sorted(found):
        left -= seconds
        if left >= 0:
            kept.setdefault(test, {})[name] = seconds
    return [
        (test, kept[test], [*known[test]["failed"], *(known[test]["tests"].keys() - kept[test])], every)
        for test, every in everywhere.items()
        if test in kept
    ]


def run(modules: list[str], share: float, seed: int, jobs: int) -> None:
    """Run every edit of the samples that has no valid result."""
    import flint  # noqa: F401
    import numpy
    import scipy.linalg  # noqa: F401
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    numpy.linalg.svd(numpy.eye(2))
    pytest.main(["--version"])
    assert "orthoref" not in sys.modules, "the parent must not import the package"
    gc.freeze()
    STATE.mkdir(exist_ok=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with tempfile.TemporaryDirectory() as folder, Progress(*columns) as progress:
        overlays = []
        for i in range(jobs + 1):
            Path(folder, str(i)).mkdir()
            overlays.append(overlay_in(f"{folder}/{i}"))
        original = overlays.pop()
        known = baselines(modules, original, progress)
        # every module gets as far as the others if the run is interrupted
        samples = [sample(module, share, seed) for module in modules]
        turns = sorted(((i + 1) / len(edits), j, i) for j, edits in enumerate(samples) for i in range(len(edits)))
        past = results()
        queue = [e for _, j, i in turns if not is_valid(past.get((e := samples[j][i]).key), e)]
        killers: Counter[str] = Counter(r["by"] for r in past.values())
        task = progress.add_task("edits", total=len(queue))
        running: dict[int, tuple[Edit, str]] = {}
        while queue or running:
            while queue and overlays:
                edit, overlay = queue.pop(0), overlays.pop()
                target = Path(overlay, "orthoref", edit.module)
                target.write_bytes(applied(Path(original, "orthoref", edit.module).read_bytes(), edit))
                for old in target.parent.glob(f"__pycache__/{target.stem}.*"):
                    old.unlink()
                plan = planned(edit, known, killers)
                seconds = 60 + 10 * sum(s for _, tests, *_ in plan for s in tests.values())
                result = f"{overlay}/result.json"
                Path(result).unlink(missing_ok=True)
                running[forked(_mutant_child, overlay, plan, result, seconds)] = edit, overlay
            pid, status = os.wait()
            edit, overlay = running.pop(pid)
            result = Path(overlay, "result.json")
            if result.exists():
                by = json.loads(result.read_text())["by"]
            else:
                out_of_time = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (
                    signal.SIGPROF, signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL,
                )  # fmt: skip
                by = "timeout" if out_of_time else "crash"
            killers[by] += 1
            record(edit, by)
            if not by:
                progress.console.print(f"[bold]survived[/] {edit.module}:{edit.line} {edit.function}", highlight=False)
                progress.console.print(f"    {edit.old}\n    {edit.new}", markup=False, highlight=False)
            shutil.copyfile(Path(original, "orthoref", edit.module), Path(overlay, "orthoref", edit.module))
            overlays.append(overlay)
            progress.advance(task)


def record(edit: Edit, by: str) -> None:
    """Append a result, with the line of the module that it is about."""
    line = (PACKAGE / edit.module).read_text().splitlines()[edit.line - 1].strip()
    what = {name: getattr(edit, name) for name in ("module", "function", "old", "new", "number")}
    written({**what, "line": line, "by": by, "date": str(date.today()), **versions(edit.module)})


def written(*found: dict) -> None:
    """Append lines."""
    with RESULTS.open("a") as out:
        out.writelines(json.dumps(each) + "\n" for each in found)


def key(found: dict) -> str:
    """That of the edit of a line."""
    return "|".join(str(found[part]) for part in ("module", "function", "old", "new", "number"))


def results() -> dict[str, dict]:
    """The last result of every edit, with ``first``, whether a test failed for it when it was first tried."""
    known: dict[str, dict] = {}
    for found in map(json.loads, RESULTS.read_text().splitlines() if RESULTS.exists() else []):
        first = known.get(key(found), {"first": bool(found["by"])} | found)["first"]
        known[key(found)] = found | {"first": first}
    return known


def is_valid(found: dict | None, edit: Edit) -> bool:
    """Whether a result is of the present module and, for a survivor that is not equivalent, of the present tests."""
    now = versions(edit.module)
    return (
        found is not None
        and found["source"] == now["source"]
        and (found["by"] != "" or found["tests"] == now["tests"] or edit.key in reasons())
    )


# The table ------------------------------------------------------------------------------------------------------------


@cache
def reasons() -> dict[str, str]:
    """Why an edit cannot be seen, by its key; ``number`` is 0 where it is not given."""
    listed = tomllib.loads(EQUIVALENT.read_text())["edit"] if EQUIVALENT.exists() else []
    return {key({"number": 0} | each): each["reason"] for each in listed}


def table() -> str:
    """Score by module, and the survivors with their reasons, as Markdown, of all results."""
    why, tallies, survivors, now = reasons(), {}, [], {}
    for name, found in sorted(results().items()):
        if name not in now.setdefault(found["module"], _keys(found["module"])):
            continue  # the module has changed there
        tally = tallies.setdefault(found["module"], Counter[str]())
        kind = "killed" if found["by"] else "equivalent" if name in why else "open"
        tally[kind] += 1
        tally["time"] += found["by"] in ("timeout", "crash")
        tally["missed"] += kind == "killed" and found["first"] is False
        tally["unknown"] += found["first"] is None
        tally["older"] += found["source"] != versions(found["module"])["source"]
        if kind != "killed":
            survivors.append((found, why.get(name, "**not explained**")))
    total = sum(tallies.values(), Counter[str]())
    others = total["killed"] + total["open"]
    possible = sum(len(edits(module)) for module in tallies)
    heads = "edits", "of", "killed", "by time", "at first by none", "equivalent", "others alive", "killed of the others"
    text = (
        "<!-- Written by tools/mutation.py --table: do not edit. -->\n\n"
        f"{others + total['equivalent']} of {possible} single edits of {len(tallies)} modules were tried. "
        f"{total['equivalent']} are equivalent; tests see {total['killed']} of the other {others}, {_share(total)}. "
        f"At first no test saw {total['missed']} of these {total['killed']}: their tests were written for them "
        f"(of {total['unknown']} edits only the last result is on record).\n\n"
        f"| module | {' | '.join(heads)} |\n|---|{'--:|' * len(heads)}\n"
    )
    for module, tally in tallies.items():
        changed = " \\*" if tally["older"] else ""
        text += _counts(f"`{module}`{changed}", tally, len(edits(module)))
    text += _counts("all", total, possible)
    text += "\n\\* The module has changed since some of its edits were tried.\n"
    text += "\n| survivor | line | edit | why no test sees it |\n|---|---|---|---|\n"
    for found, reason in survivors:
        edit = f"{_code(found['old'])} → {_code(found['new'])}"
        text += f"| `{found['module']}` {found['function']} | {_code(found['line'])} | {edit} | {reason} |\n"
    return text


def _keys(module: str) -> set[str]:
    return {edit.key for edit in edits(module)} if (PACKAGE / module).exists() else set()


def _share(n: Counter[str]) -> str:
    others = n["killed"] + n["open"]
    return f"{100 * n['killed'] / others:.1f} %" if others else "-"


def _counts(name: str, n: Counter[str], possible: int) -> str:
    tried = n["killed"] + n["open"] + n["equivalent"]
    counts = (tried, possible, n["killed"], n["time"], n["missed"], n["equivalent"], n["open"])
    return f"| {name} | {' | '.join(map(str, counts))} | {_share(n)} |\n"


def _code(text: str) -> str:
    short = " ".join(text.split()).replace("|", "\\|")
    return f"`{short if len(short) <= 90 else short[:88] + ' …'}`"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="within orthoref, or the beginning of a path")
    parser.add_argument("--share", type=float, default=1.0, help="1: about 1.5 sqrt(n) of the n edits of a module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="write docs/mutation_table.md and run nothing")
    parser.add_argument("--list", action="store_true", help="print the sample and run nothing")
    chosen = parser.parse_args()
    paths = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))
    starts = tuple(chosen.modules) or tuple(TESTS)
    modules = [p for p in paths if p.startswith(starts) and any(p.startswith(t) for t in TESTS) and edits(p)]
    if not modules:
        sys.exit(f"no module begins with {', '.join(starts)}")
    if chosen.table:
        kept = sorted(results().values(), key=key)
        RESULTS.unlink(missing_ok=True)
        written(*kept)
        TABLE.write_text(table())
    elif chosen.list:
        known = results()
        for module in modules:
            picked = sample(module, chosen.share, chosen.seed)
            print(f"{module}: {len(picked)} of {len(edits(module))}")
            for e in picked:
                found = known.get(e.key)
                fate = (found["by"] or "SURVIVED") if is_valid(found, e) else "not run"
                print(f"  {e.line:4} {e.kind:9} {e.old!r} -> {e.new!r}: {fate}")
    else:
        for name, value in (("OMP_NUM_THREADS", "1"), ("OPENBLAS_NUM_THREADS", "1"), ("NUMBA_DISABLE_JIT", "1")):
            os.environ[name] = (
                value  # one thread: children are forked; a compiled kernel would be compiled anew in each
            )
        run(modules, chosen.share, chosen.seed, chosen.jobs)


if __name__ == "__main__":
    main()
