"""What a conformance run found: text, JSON and one self-contained HTML page."""

from __future__ import annotations

import base64
import html
import io
import json
import platform
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from math import isfinite, isnan, prod
from string import Template
from typing import Any, Literal

import numpy as np

from orthoref._version import __version__
from orthoref.oracle.cases import Case
from orthoref.oracle.explain import masked
from orthoref.oracle.factors import concentrated
from orthoref.oracle.narrow import Narrowed
from orthoref.oracle.operation import Check, Measured, Operation
from orthoref.oracle.residual import condition
from orthoref.oracle.verdict import Verdict

NEARLY_ALL = 0.1  # where fewer cases hold, it is not the input that matters


@dataclass(frozen=True)
class Outcome:
    """One case of a run; ``call`` is which of several calls was judged, ``law`` the law that was tried at it."""

    case: Case
    verdict: Verdict
    call: str = "first"
    law: str = ""

    @cached_property
    def condition(self) -> float:
        """Condition number of the first input, the worst of a stack."""
        return condition(self.case.matrix())

    @property
    def factors(self) -> dict[str, str]:
        """Levels of all factors, the call among them."""
        return self.case.factors | {"call": self.call}


@dataclass(frozen=True)
class Finding:
    """All failing cases of the same kind; ``example`` is the smallest of them that was explained so."""

    reason: str
    count: int
    example: Outcome


@dataclass
class Report:
    """Outcomes of a run over a battery.

    Attributes
    ----------
    port : str
    row : Operation
    limit : float
    options : dict
        What was claimed, and what was run.
    outcomes : list of Outcome
    stopped : str
        Why the run ended early.
    narrowed : list of Narrowed
        What a small and a typical failing case need to fail.
    key, fits : str
        The mistake that explains most failing cases, and how many of those on which it was tried.
    pooled : Verdict, optional
        What only the whole run shows.
    points : object
        What the family pooled, for the figure.
    """

    port: str
    row: Operation
    limit: float
    options: dict[str, str]
    outcomes: list[Outcome] = field(default_factory=list)
    stopped: str = ""
    narrowed: list[Narrowed] = field(default_factory=list)
    key: str = ""
    fits: str = ""
    pooled: Verdict | None = None
    points: Any = None

    def pool(self, measured: Measured) -> None:
        """Take up what the family found in all results together."""
        checks = [each.worst() for each in measured.measurements]
        judged = int(np.sum(measured.judged)), int(np.size(measured.judged))
        reasons = [] if all(check.holds for check in checks) else list(measured.notes)
        notes = list(measured.notes) if not reasons else []
        self.pooled = Verdict("all cases together", checks, reasons, list(measured.faults), notes, judged)
        self.points = measured.observed

    def count(self, state: str) -> int:
        """Number of cases that hold, fail, are not judged or are empty."""
        return sum(outcome.verdict.state == state for outcome in self.outcomes)

    @property
    def status(self) -> Literal["HOLDS", "FAILS", "UNDECIDED"]:
        """HOLDS: nothing fails, every case was run, and at least half of those that are not empty were judged."""
        if self.stopped or self.count("fails") or (self.pooled is not None and not self.pooled.holds):
            return "FAILS"
        holds = self.count("holds")
        return "HOLDS" if holds and holds >= self.count("not judged") else "UNDECIDED"

    @property
    def holds(self) -> bool:
        """Whether the status is HOLDS."""
        return self.status == "HOLDS"

    @property
    def failed(self) -> list[Outcome]:
        """The outcomes that do not hold."""
        return [outcome for outcome in self.outcomes if not outcome.verdict.holds]

    @property
    def where(self) -> str:
        """On which inputs the failures concentrate; nothing where nearly all fail."""
        table = [(o.factors, o.verdict.holds) for o in self.outcomes if o.verdict.state in ("holds", "fails")]
        few = sum(holds for _, holds in table) <= NEARLY_ALL * len(table)
        return "" if few else concentrated(table)

    @property
    def sentences(self) -> list[str]:
        """All that is known of the inputs on which the port fails."""
        return [line for line in dict.fromkeys((self.where, *map(str, self.narrowed))) if line]

    @property
    def checks(self) -> dict[str, Check]:
        """The checks of the operation that some case has, by name."""
        made = {check.name for outcome in self.outcomes for check in outcome.verdict.checks}
        return {check.name: check for check in self.row.checks if check.name in made}

    @property
    def limits(self) -> dict[str, float]:
        """Checks with a limit of their own."""
        return {name: check.limit for name, check in self.checks.items() if check.limit is not None}

    def title(self, name: str) -> str:
        """A check and its unit of error."""
        check = self.checks[name]
        unit = " ".join(filter(None, (check.of, self.row.unit if check.limit is None else "")))
        return f"{check.text} / ({unit})" if unit else check.text

    def findings(self) -> list[Finding]:
        """Failures grouped by what fails (but for the numbers in it), most frequent first."""
        groups: dict[tuple[str, ...], list[Outcome]] = {}
        for outcome in self.failed:
            verdict = outcome.verdict
            failing = sorted(check.name for check in verdict.checks if not check.holds)
            faults = [masked(fault) for fault in verdict.faults]
            seen = verdict.key if any(isnan(check.ratio) for check in verdict.checks) else ""
            groups.setdefault((outcome.law, seen, *failing, *faults), []).append(outcome)
        found: dict[str, Finding] = {}
        for group in groups.values():
            explained = [o for o in group if o.verdict.reasons] or group
            key = max(explained, key=_size).verdict.key  # the larger matrix tells more
            example = min((o for o in explained if o.verdict.key == key), key=_size)
            reason = "; ".join([*example.verdict.faults, *example.verdict.reasons]) or "a ratio exceeds its limit"
            same = masked(reason)
            before = found.get(same)
            if before is not None:
                example = min(before.example, example, key=_size)
                reason = "; ".join([*example.verdict.faults, *example.verdict.reasons]) or reason
            found[same] = Finding(reason, len(group) + (before.count if before else 0), example)
        return sorted(found.values(), key=lambda finding: -finding.count)

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
        """One line: port, operation, claims, verdict, number of cases."""
        said = {"returns": "auto", "battery": "default", "shapes": "all", "dtypes": ", ".join(self.row.dtypes)}
        options = [f"{key}={value}" for key, value in self.options.items()
                   if value and value != said.get(key) and key != "claimed"]  # fmt: skip
        claimed = ", ".join(filter(None, (self.options.get("claimed"), *options)))
        states = {"hold": "holds", "fail": "fails", "not judged": "not judged", "empty": "empty"}
        counts = [f"{count} {word}" for word, state in states.items() if (count := self.count(state)) or word == "hold"]
        pooled = ", together they fail" if self.pooled is not None and not self.pooled.holds else ""
        return f"{self.port} as {self.row.name} ({claimed}): {self.status}, of {len(self.outcomes)} cases " + (
            ", ".join(counts) + pooled
        )

    def text(self, *, examples: int = 5) -> str:
        """Plain text: summary, worst ratios per family, and the first findings with one recreated case each."""
        names = list(self.checks)
        lines = [self.summary(), *([self.stopped] if self.stopped else [])]
        lines += self.sentences
        if self.status == "UNDECIDED":
            lines.append("fewer than half of the cases could be judged: that nothing fails says little")
        if self.key:
            lines.append(f"{self.key}: {self.fits}")
        if self.pooled is not None and (self.pooled.checks or self.pooled.faults):
            lines += [self.pooled.subject, *self.pooled.lines()]
        lines.append("")
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
        of = {"n eps": "n eps (8 eps for n < 8) times the norm of what the error belongs to"}
        unit = f"; unit {of.get(self.row.unit, self.row.unit)}" if self.row.unit else ""
        lines.append(f"limit {self.limit:g}{limits}{unit}")
        found = self.findings()
        for finding in found[:examples]:
            outcome = finding.example
            lines += ["", f"{finding.count} x {finding.reason}", f"  smallest case: {outcome.case.id}"]
            lines += [line for line in outcome.verdict.lines() if not line.startswith("  reason")]
            lines.append("  recreate: " + outcome.case.recreate.replace("\n", "\n            "))
        if 0 < examples < len(found):
            lines += ["", f"and {len(found) - examples} other findings (all of them in the JSON and HTML reports)"]
        for note, count in self.notes().items():
            lines += ["", f"{count} x {note}"]
        return "\n".join(lines)

    def notes(self) -> dict[str, int]:
        """Why cases were not judged, or in part, without the numbers, and how often."""
        notes = (masked(note) for o in self.outcomes for note in o.verdict.notes[:1])
        return dict(Counter(notes).most_common(3))

    def __str__(self) -> str:
        return self.text()

    def json(self) -> str:
        """Everything, as strict JSON: numbers that are not finite are strings."""
        return json.dumps(
            {
                "schema": "orthoref-report-2",
                "port": self.port,
                "operation": self.row.name,
                "options": self.options,
                "limit": self.limit,
                "status": self.status,
                "holds": self.holds,
                "counts": {state: self.count(state) for state in ("holds", "fails", "not judged", "empty")},
                "where": self.where,
                "needs": [list(each.needs) for each in self.narrowed],
                "reason": {"key": self.key, "fits": self.fits},
                "pooled": None if self.pooled is None else _record(self.pooled),
                "stopped": self.stopped,
                "environment": environment(),
                "checks": {name: self.title(name).replace("n eps", "max(n, 8) eps") for name in self.checks},
                "cases": [
                    {
                        "id": outcome.case.id,
                        "family": outcome.case.family,
                        "recreate": outcome.case.recreate,
                        "condition": _strict(outcome.condition),
                        "factors": outcome.factors,
                        "law": outcome.law,
                        **_record(outcome.verdict),
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
            verdict=self.status.lower(),
            where=html.escape("; ".join(self.sentences)),
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
        panels = len(self.checks) + bool(self.points)
        columns = max(1, min(3, panels))
        rows = max(1, -(-panels // columns))
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
        if self.points:
            self._plot_map(axes[len(self.checks)])
        for axis in axes[panels:]:
            axis.remove()
        handles, labels = axes[0].get_legend_handles_labels() if self.checks else ([], [])
        figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8, markerscale=2)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        return buffer.getvalue()

    def _plot_map(self, axis: Any) -> None:
        """What all cases together show: the mean deviation from the claimed map, and its standard deviation."""
        x = np.asarray([(each.low * each.high) ** 0.5 for each in self.points])
        middle, error = (np.asarray([getattr(each, name) for each in self.points]) for name in ("deviation", "error"))
        band = [np.asarray([getattr(each, name) for each in self.points]) for name in ("least", "most")]
        axis.fill_between(x, *band, color="0.85", label="right ports in several orders of evaluation")
        axis.errorbar(x, middle, yerr=error, fmt=".", markersize=4, linewidth=0.8, color="black", label="this port")
        axis.axhline(0, color="grey", linewidth=0.6)
        axis.set_xscale("log")
        axis.set_title("all cases together: deviation from the claimed map", fontsize=9)
        axis.set_xlabel("normalized singular value", fontsize=8)
        axis.set_ylabel("relative deviation of the singular value of X", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=7)


def _record(verdict: Verdict) -> dict[str, Any]:
    return {
        "state": verdict.state,
        "holds": verdict.holds,
        "judged": list(verdict.judged),
        "ratios": {
            check.name: {
                "ratio": _strict(check.ratio),
                "limit": check.limit,
                "holds": check.holds,
                "batch_index": list(check.index),
            }
            for check in verdict.checks
        },
        "faults": verdict.faults,
        "reasons": verdict.reasons,
        "notes": verdict.notes,
    }


def environment() -> dict[str, str]:
    """Versions and machine class that a figure needs to mean anything."""
    return {
        "orthoref": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": f"{platform.machine()} {platform.system()}",
    }


def _size(outcome: Outcome) -> tuple[int, str]:
    return prod(outcome.case.shape), outcome.case.id


def _number(x: float) -> str:
    return f"{x:.3g}"


def _strict(x: float) -> float | str:
    return x if isfinite(x) else str(x)


def _clip(x: float, low: float, high: float) -> float:
    return high if not x < high else max(x, low)
