"""What a conformance run found: text, JSON and one self-contained HTML page."""

from __future__ import annotations

import base64
import html
import io
import json
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from math import isfinite, isnan
from string import Template

import numpy as np

from orthoref._version import __version__
from orthoref.oracle.cases import Case
from orthoref.oracle.operation import Check, Operation
from orthoref.oracle.verdict import Verdict


@dataclass(frozen=True)
class Outcome:
    """One case of a run."""

    case: Case
    condition: float
    verdict: Verdict


@dataclass(frozen=True)
class Finding:
    """All failing cases with the same reason; ``example`` is the smallest of them."""

    reason: str
    count: int
    example: Outcome


@dataclass
class Report:
    """Outcomes of a run over a battery; ``holds`` if every case does."""

    port: str
    row: Operation
    limit: float
    options: dict[str, str]
    outcomes: list[Outcome] = field(default_factory=list)
    stopped: str = ""

    @property
    def holds(self) -> bool:
        """Whether every case was run, every one that could be judged holds, and there was one."""
        return not self.stopped and self.judged > 0 and all(outcome.verdict.holds for outcome in self.outcomes)

    @property
    def judged(self) -> int:
        """Number of cases that had something to judge."""
        return sum(outcome.verdict.decided for outcome in self.outcomes)

    @property
    def checks(self) -> dict[str, Check]:
        """The checks of the operation by name."""
        return {check.name: check for check in self.row.checks}

    @property
    def limits(self) -> dict[str, float]:
        """Checks with a limit of their own."""
        return {check.name: check.limit for check in self.row.checks if check.limit is not None}

    @property
    def failed(self) -> list[Outcome]:
        """The outcomes that do not hold."""
        return [outcome for outcome in self.outcomes if not outcome.verdict.holds]

    def title(self, name: str) -> str:
        """A check and its unit of error."""
        check = self.checks[name]
        unit = " ".join(filter(None, (check.of, self.row.unit if check.limit is None else "")))
        return f"{check.text} / ({unit})" if unit else check.text

    def findings(self) -> list[Finding]:
        """Failures grouped by reason (but for the numbers in it), most frequent first."""
        groups: dict[str, list[Outcome]] = {}
        for outcome in self.failed:
            verdict = outcome.verdict
            reason = "; ".join([*verdict.faults, *verdict.reasons]) or "a ratio exceeds its limit"
            groups.setdefault(re.sub(r"\d[\d.e+-]*", "#", reason), []).append(outcome)
        found = []
        for group in groups.values():
            example = min(group, key=_size)
            reason = "; ".join([*example.verdict.faults, *example.verdict.reasons]) or "a ratio exceeds its limit"
            found.append(Finding(reason, len(group), example))
        return sorted(found, key=lambda finding: -finding.count)

    def worst(self) -> dict[str, dict[str, float]]:
        """Largest ratio of each check per family; NaN wins."""
        table: dict[str, dict[str, float]] = {}
        for outcome in self.outcomes:
            row = table.setdefault(outcome.case.family, {})
            for check in outcome.verdict.checks:
                old = row.get(check.name, 0.0)
                row[check.name] = old if isnan(old) or check.ratio <= old else check.ratio
        return table

    def summary(self) -> str:
        """One line: port, operation, options, number of cases, verdict."""
        options = ", ".join(f"{key}={value}" for key, value in self.options.items())
        held = len(self.outcomes) - len(self.failed)
        verdict = "HOLDS" if self.holds else "FAILS"
        silent = len(self.outcomes) - self.judged
        count = f"{held} of {len(self.outcomes)} cases hold" + (f", {silent} of them not judged" if silent else "")
        return f"{self.port} as {self.row.name} ({options}): {verdict}, {count}"

    def text(self, *, examples: int = 5) -> str:
        """Plain text: summary, worst ratios per family, and the first findings with one recreated case each."""
        names = list(self.checks)
        lines = [self.summary(), *([self.stopped] if self.stopped else []), ""]
        table = [["worst ratio", *names]]
        table += [
            [family, *(_number(row[name]) if name in row else "-" for name in names)]
            for family, row in self.worst().items()
        ]
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        lines += [
            "  ".join(
                cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in table
        ]
        limits = "".join(f", {limit:g} for {name}" for name, limit in self.limits.items())
        unit = "; unit n eps (8 eps for n < 8) times the norm of what the error belongs to" if self.row.unit else ""
        lines.append(f"limit {self.limit:g}{limits}{unit}")
        found = self.findings()
        for finding in found[:examples]:
            outcome = finding.example
            lines += ["", f"{finding.count} x {finding.reason}", f"  smallest case: {outcome.case.id}"]
            lines += [line for line in outcome.verdict.lines() if not line.startswith("  reason")]
            lines.append(f"  recreate: {outcome.case.recreate}")
        if 0 < examples < len(found):
            lines += ["", f"and {len(found) - examples} other findings (all of them in the JSON and HTML reports)"]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.text()

    def json(self) -> str:
        """Everything, as strict JSON: numbers that are not finite are strings."""
        return json.dumps(
            {
                "schema": "orthoref-report-1",
                "port": self.port,
                "operation": self.row.name,
                "options": self.options,
                "limit": self.limit,
                "holds": self.holds,
                "stopped": self.stopped,
                "environment": environment(),
                "checks": {name: self.title(name).replace("n eps", "max(n, 8) eps") for name in self.checks},
                "cases": [
                    {
                        "id": outcome.case.id,
                        "family": outcome.case.family,
                        "recreate": outcome.case.recreate,
                        "condition": _strict(outcome.condition),
                        "holds": outcome.verdict.holds,
                        "ratios": {
                            check.name: {
                                "ratio": _strict(check.ratio),
                                "limit": check.limit,
                                "holds": check.holds,
                                "batch_index": list(check.index),
                            }
                            for check in outcome.verdict.checks
                        },
                        "faults": outcome.verdict.faults,
                        "reasons": outcome.verdict.reasons,
                    }
                    for outcome in self.outcomes
                ],
            },
            indent=1,
            allow_nan=False,
        )

    def html(self) -> str:
        """One page without outside references: summary, plot of ratio against condition number, findings, all failures.

        Needs matplotlib (extra ``report``).
        """
        page = Template(resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8"))
        return page.substitute(
            title=html.escape(f"orthoref: {self.port}"),
            verdict="holds" if self.holds else "fails",
            summary=html.escape(self.summary()),
            stopped=html.escape(self.stopped),
            environment=html.escape(", ".join(f"{key} {value}" for key, value in environment().items())),
            plot=base64.b64encode(self._plot()).decode(),
            text=html.escape(self.text(examples=0)),
            findings="".join(self._html_findings()) or "<p>None.</p>",
        )

    def _html_findings(self) -> Iterator[str]:
        for finding in self.findings():
            case = finding.example.case
            body = html.escape("\n".join([case.id, *finding.example.verdict.lines(), f"  recreate: {case.recreate}"]))
            title = f"{finding.count} &times; {html.escape(finding.reason)}"
            yield f"<details open><summary>{title}</summary><pre>{body}</pre></details>"

    def _plot(self) -> bytes:
        """SVG: one panel per check, ratio against condition number, a colour per family."""
        from matplotlib import colormaps
        from matplotlib.figure import Figure

        families = sorted({outcome.case.family for outcome in self.outcomes})
        columns = min(3, len(self.checks))
        rows = -(-len(self.checks) // columns)
        figure = Figure(figsize=(4.6 * columns, 3.4 * rows + 1), layout="constrained")
        axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
        for axis, name in zip(axes, self.checks, strict=False):
            for i, family in enumerate(families):
                for holds, marker in ((True, "."), (False, "x")):
                    points = [
                        (_clip(outcome.condition, 1, 1e18), _clip(check.ratio, 1e-3, 1e18))
                        for outcome in self.outcomes
                        if outcome.case.family == family
                        for check in outcome.verdict.checks
                        if check.name == name and check.holds == holds
                    ]
                    x, y = np.asarray(points).reshape(-1, 2).T
                    label = family if holds else None
                    axis.loglog(x, y, marker, markersize=4, color=colormaps["tab20"](i % 20), label=label, alpha=0.8)
            axis.axhline(self.limits.get(name, self.limit), color="black", linewidth=0.8, linestyle="--")
            axis.set_title(self.title(name), fontsize=9)
            axis.set_xlabel("condition number (1e18: singular)", fontsize=8)
            axis.set_ylabel("ratio (x: fails; 1e18: NaN or infinite)", fontsize=8)
            axis.set_xlim(0.5, 3e18)
            axis.set_ylim(5e-4, max(100.0, axis.get_ylim()[1]))
            axis.tick_params(labelsize=7)
        for axis in axes[len(self.checks) :]:
            axis.remove()
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8, markerscale=2)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        return buffer.getvalue()


def environment() -> dict[str, str]:
    """Versions and machine class that a figure needs to mean anything."""
    return {
        "orthoref": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": f"{platform.machine()} {platform.system()}",
    }


def _size(outcome: Outcome) -> tuple[int, float, str]:
    return outcome.case.matrix().size, outcome.condition, outcome.case.id


def _number(x: float) -> str:
    return f"{x:.3g}"


def _strict(x: float) -> float | str:
    return x if isfinite(x) else str(x)


def _clip(x: float, low: float, high: float) -> float:
    return high if not x < high else max(x, low)
