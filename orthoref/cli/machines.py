"""A verdict for machines that show it beside the code: annotations of GitHub, a JUnit test suite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from orthoref.oracle.report import Outcome, Report

MOST = 10  # annotations of one step that are shown
# what XML 1.0 cannot hold, not even escaped
CONTROL = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)], "?")


def github(report: Report) -> str:
    """Workflow commands: one error for each finding, a warning where a run is undecided, a notice where it holds."""
    where, summary = _place(report), report.summary()
    level = {"HOLDS": "notice", "FAILS": "error"}.get(report.status, "warning")
    lines = [_annotation(level, where, report.port, summary)]
    for each in report.findings()[: MOST - 1]:
        case = each.example.case
        text = f"{each.reason}\nsmallest case: {case.id}\nrecreate: {case.recreate}"
        lines.append(_annotation(level, where, f"{report.port}: {each.count} cases", text))
    return "\n".join(lines)


def _annotation(level: str, where: str, title: str, text: str) -> str:
    return f"::{level} {where}title={_escaped(title, ',:')}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _place(report: Report) -> str:
    """File and line of the function, if it lies below the working folder."""
    if report.source is None:
        return ""
    path, line = report.source
    try:
        relative = Path(path).relative_to(Path.cwd()).as_posix()
    except ValueError:
        return ""
    return f"file={_escaped(relative, ',:')},line={line},"


def junit(report: Report) -> str:
    """A test suite with a test for each case; what is not judged is skipped, with the reason."""
    failed = report.count("fails")
    skipped = len(report.outcomes) - failed - report.count("holds")
    failures, tests = failed + (report.status == "FAILS"), len(report.outcomes) + 1
    counts = {"tests": tests, "failures": failures, "errors": 0, "skipped": skipped}
    suite = ElementTree.Element("testsuite", {"name": _text(report.port)} | {key: str(n) for key, n in counts.items()})
    whole = ElementTree.SubElement(suite, "testcase", classname=_text(report.port), name="all cases together")
    if report.status == "FAILS":
        ElementTree.SubElement(whole, "failure", message=_text(report.summary())).text = _text(report.text())
    for outcome in report.outcomes:
        name = outcome.case.id + (f", {outcome.law}" if outcome.law else "")
        _case(ElementTree.SubElement(suite, "testcase", classname=_text(report.port), name=_text(name)), outcome)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _case(element: ElementTree.Element, outcome: Outcome) -> None:
    verdict = outcome.verdict
    if verdict.state == "fails":
        said = "; ".join([*verdict.faults, *verdict.reasons]) or "a ratio exceeds its limit"
        lines = [*verdict.lines(), f"  recreate: {outcome.case.recreate}"]
        ElementTree.SubElement(element, "failure", message=_text(said)).text = _text("\n".join(lines))
    elif verdict.state != "holds":
        ElementTree.SubElement(element, "skipped", message=_text("; ".join(verdict.notes) or verdict.state))


def _text(text: str) -> str:
    return text.translate(CONTROL)
