"""pytest plugin: ``@pytest.mark.orthoref_cases("polar", dtypes=[...], shapes=[...])`` gives a test hard inputs.

It is imported in every pytest run of an environment that has orthoref: neither NumPy nor the oracle is imported
before a test asks for cases, or a report is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orthoref.errors import NotJudged

if TYPE_CHECKING:
    from orthoref.testing._collect import Collector

MARK, FIXTURE = "orthoref_cases", "orthoref_case"
KNOWN = ("dtypes", "shapes", "skip", "battery", "seed", "max_cases")
COLLECTOR: pytest.StashKey[Collector] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("orthoref", "verdicts of orthoref")
    for kind, what in (("html", "one page of"), ("json", "a JSON file with")):
        group.addoption(f"--orthoref-{kind}", type=Path, metavar="FILE",
                        help=f"write {what} what the assertions of orthoref found in the whole run")  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARK}(operation, dtypes=None, shapes=None, skip=(), battery='default', seed=0, max_cases=None): run the "
        f"test once for every input of the battery, passed as the argument {FIXTURE}; what cannot be judged is skipped",
    )
    files = [file for file in map(config.getoption, ("--orthoref-html", "--orthoref-json")) if file is not None]
    for file in files:
        if not file.absolute().parent.is_dir() or file.is_dir() or files.count(file) > 1:
            raise pytest.UsageError(f"{file} cannot be written: no such folder, a folder itself, or named twice")
    if files:
        from orthoref.testing._collect import Collector

        config.stash[COLLECTOR] = Collector()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    mark = metafunc.definition.get_closest_marker(MARK)
    if mark is None:
        return
    if FIXTURE not in metafunc.fixturenames:
        if mark in metafunc.definition.own_markers:  # that of a class or a module may be meant for other tests
            raise _usage(metafunc, f"the test has no argument {FIXTURE}, which the inputs are passed as")
        return
    if unknown := [name for name in mark.kwargs if name not in (*KNOWN, "operation")]:
        raise _usage(metafunc, f"no option {', '.join(unknown)}: it has {', '.join(KNOWN)}")
    if len(mark.args) + ("operation" in mark.kwargs) > 1:
        raise _usage(metafunc, f"it takes one operation, not {', '.join(map(repr, mark.args))}")
    from orthoref.oracle.conformance import battery

    options = {"size" if name == "battery" else name: value for name, value in mark.kwargs.items()}
    try:
        cases = battery(*mark.args, **options)
    except (TypeError, ValueError) as error:
        raise _usage(metafunc, re.sub("^size=", "battery=", str(error))) from None
    metafunc.parametrize(FIXTURE, cases, ids=[case.id for case in cases])


@pytest.fixture(name=FIXTURE)
def _without_mark(request: pytest.FixtureRequest) -> None:
    """An input of the battery, by the mark."""
    raise pytest.UsageError(f"{request.node.nodeid}: {FIXTURE} comes with @pytest.mark.{MARK}(operation)")


def _usage(metafunc: pytest.Metafunc, text: str) -> Exception:
    return pytest.Collector.CollectError(f"{metafunc.definition.nodeid}: @pytest.mark.{MARK}: {text}")


def pytest_collection_finish(session: pytest.Session) -> None:
    collector = session.config.stash.get(COLLECTOR, None)
    if collector is not None:
        collector.places = {item.nodeid: place for place, item in enumerate(session.items)}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    collector = item.config.stash.get(COLLECTOR, None)
    if collector is not None:
        collector.begin(item.nodeid, _operation(item), getattr(item, "funcargs", {}).get(FIXTURE))
    try:
        return (yield)
    except NotJudged as error:
        if item.get_closest_marker(MARK) is None:
            raise
        pytest.skip(str(error))
    except Exception as error:
        if collector is not None:
            collector.raised(error)
        raise
    finally:
        if collector is not None:
            collector.end()


def _operation(item: pytest.Item) -> str:
    mark = item.get_closest_marker(MARK)
    return "" if mark is None else str((*mark.args, mark.kwargs.get("operation", "polar"))[0])


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    collector = config.stash.get(COLLECTOR, None)
    if collector is None:
        return
    if hasattr(config, "workeroutput"):  # of pytest-xdist
        config.workeroutput["orthoref"] = collector.packed()
        return
    collector.write(config.getoption("--orthoref-html"), config.getoption("--orthoref-json"))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    collector = node.config.stash.get(COLLECTOR, None)
    if collector is not None and "orthoref" in getattr(node, "workeroutput", {}):
        collector.unpack(node.workeroutput["orthoref"])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    collector = config.stash.get(COLLECTOR, None)
    if collector is not None:
        terminalreporter.section("orthoref")
        for line in [report.summary() for report in collector.reports()] or ["no assertion of orthoref was reached"]:
            terminalreporter.write_line(line)
