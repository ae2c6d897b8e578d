"""What a conformance run found: text, JSON and one self-contained HTML page."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite, isnan, prod
from typing import Any, Literal

import numpy as np

from orthoref._version import __version__
from orthoref.oracle.cases import Case
from orthoref.oracle.explain import masked
from orthoref.oracle.factors import concentrated
from orthoref.oracle.limits import near_limits
from orthoref.oracle.narrow import Narrowed
from orthoref.oracle.operation import Check, Measured, Operation
from orthoref.oracle.precision import precision_of
from orthoref.oracle.residual import condition
from orthoref.oracle.run import About
from orthoref.oracle.verdict import Verdict

SCHEMA = "orthoref-report-3"  # report.schema.json
STATES = ("holds", "fails", "not judged", "empty")
Status = Literal["HOLDS", "HOLDS IN RANGE", "FAILS", "UNDECIDED"]
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
    """All failing cases of the same kind; ``example`` is the smallest of them that was explained so.

    ``near`` says whether all of them are near the limits of the format.
    """

    reason: str
    count: int
    example: Outcome
    near: bool = False
    outcomes: tuple[Outcome, ...] = ()


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
    versions : dict
        Of orthoref, Python, NumPy, the judged package and the library of its arrays.
    hazards : list of str
        What the claim itself does that its maker may not want.
    source : (str, int), optional
        File and line of the port.
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
    versions: dict[str, str] = field(default_factory=lambda: environment())
    hazards: list[str] = field(default_factory=list)
    source: tuple[str, int] | None = None
    _known: dict[str, bool] = field(default_factory=dict, repr=False)

    def describe(self, port: About) -> None:
        """Take up what is known of the port beside verdicts."""
        self.options["arrays"], self.source = port.arrays, port.source
        self.versions |= port.versions

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

    def near(self, outcome: Outcome) -> bool:
        """Whether an input lies near the limits of its format, or of the one that is computed in."""
        return self._near(outcome.case)

    def _near(self, case: Case) -> bool:
        formats = {case.dtype, self.options.get("precision") or case.dtype}
        key = case.recreate
        if key not in self._known:
            self._known[key] = near_limits(case.inputs().values(), map(precision_of, formats))
        return self._known[key]

    @property
    def near_failed(self) -> list[Outcome]:
        """The outcomes that fail near the limits of the format."""
        return [outcome for outcome in self.failed if self.near(outcome)]

    @property
    def status(self) -> Status:
        """HOLDS: nothing fails, every case was run, and at least half of those that are not empty were judged.

        HOLDS IN RANGE: the same, but for inputs near the limits of the format, :mod:`orthoref.oracle.limits`; and
        what fails there holds when it is made plainer.
        """
        failed = self.failed
        if self.stopped or (self.pooled is not None and not self.pooled.holds):
            return "FAILS"
        holds = self.count("holds")
        enough = holds > 0 and holds >= self.count("not judged")
        if failed:
            in_range = len(self.near_failed) < len(failed) or any(not self._near(each.case) for each in self.narrowed)
            return "FAILS" if in_range or not enough else "HOLDS IN RANGE"
        return "HOLDS" if enough else "UNDECIDED"

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
        """What the verdict says in words, and all that is known of the inputs on which the port fails."""
        said = {
            "HOLDS IN RANGE": f"holds but for inputs {self.limits_of}, where the square of a norm leaves the range",
            "UNDECIDED": "fewer than half of the cases could be judged: that nothing fails says little",
        }.get(self.status, "")
        plain = [each.case for each in self.narrowed if not self._near(each.case)]
        in_range = plain if len(self.near_failed) == len(self.failed) else []  # found when it was made plainer
        # others need to be as small as they are
        anywhere = any(each.repeated and not each.needs for each in self.narrowed)
        needs = [each for each in self.narrowed if not (anywhere and each.repeated)]
        found = [said, self.where, *map(str, needs), *(f"fails in range, too: {case.id}" for case in in_range)]
        return [line for line in dict.fromkeys(found) if line]

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
            near = all(map(self.near, group)) and (before is None or before.near)
            all_ = (*(before.outcomes if before else ()), *group)
            found[same] = Finding(reason, len(all_), example, near, all_)
        return sorted(found.values(), key=lambda finding: (finding.near, -finding.count))

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
                   if value and value != said.get(key) and key not in ("claimed", "arrays")]  # fmt: skip
        claimed = ", ".join(filter(None, (self.options.get("claimed"), *options)))
        stopped = f", {self.stopped}" if self.stopped else ""
        near = len(self.near_failed)
        states = {"hold": self.count("holds"), "fail": self.count("fails") - near, f"fail {self.limits_of}": near,
                  "not judged": self.count("not judged"), "empty": self.count("empty")}  # fmt: skip
        counts = [f"{count} {word}" for word, count in states.items() if count or word == "hold"]
        pooled = ", together they fail" if self.pooled is not None and not self.pooled.holds else ""
        return f"{self.port} as {self.row.name} ({claimed}): {self.status}, of {len(self.outcomes)} cases " + (
            ", ".join(counts) + pooled + stopped
        )

    @property
    def limits_of(self) -> str:
        """Near the limits of which formats it fails."""
        names = {precision_of(outcome.case.dtype).name for outcome in self.near_failed}
        return f"near the limits of {', '.join(sorted(names))}"

    @property
    def claim(self) -> str:
        """All that was claimed and run, also where it is the default."""
        said = {"limit": f"{self.limit:g}"} | self.options
        return "; ".join(f"{key} {value}" for key, value in said.items() if value)

    def text(self, *, examples: int = 5) -> str:
        """Plain text: summary, worst ratios per family, and the first findings with one recreated case each."""
        names = list(self.checks)
        lines = [self.summary()]
        lines += self.sentences
        if self.key:
            lines.append(f"{self.key}: {self.fits}")
        if self.pooled is not None and (self.pooled.checks or self.pooled.faults):
            lines += [self.pooled.subject, *self.pooled.lines()]
        lines += [f"note on the claim: {each}" for each in self.hazards]
        lines += [f"claim: {self.claim}", f"with {', '.join(map(' '.join, self.versions.items()))}", ""]
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
            near = "near the limits of the format: " if finding.near else ""
            lines += ["", f"{finding.count} x {near}{finding.reason}", f"  smallest case: {outcome.case.id}"]
            lines += [line for line in outcome.verdict.lines() if not line.startswith("  reason")]
            lines.append("  recreate: " + outcome.case.recreate.replace("\n", "\n            "))
        if 0 < examples < len(found):
            more = len(found) - examples
            lines += ["", f"and {more} other finding{'s' * (more > 1)} (all of them in the JSON and HTML reports)"]
        for note, count in self.notes().items():
            lines += ["", f"{count} x {note}"]
        return "\n".join(lines)

    def notes(self) -> dict[str, int]:
        """Why cases were not judged, or in part, with the numbers of the first, and how often."""
        groups: dict[str, list[str]] = {}
        for note in (note for o in self.outcomes for note in o.verdict.notes[:1]):
            groups.setdefault(masked(note), []).append(note)
        most = sorted(groups.values(), key=len, reverse=True)[:3]
        return {alike[0] + (", and the like" if len({*alike}) > 1 else ""): len(alike) for alike in most}

    def __str__(self) -> str:
        return self.text()

    def json(self) -> str:
        """Everything, as strict JSON: numbers that are not finite are strings."""
        return json.dumps(
            {
                "schema": SCHEMA,
                "port": self.port,
                "operation": self.row.name,
                "options": self.options,
                "limit": self.limit,
                "status": self.status,
                "holds": self.holds,
                "counts": {state: self.count(state) for state in STATES} | {"fails near limits": len(self.near_failed)},
                "where": self.where,
                "needs": [list(each.needs) for each in self.narrowed],
                "reason": {"key": self.key, "fits": self.fits},
                "pooled": None if self.pooled is None else _record(self.pooled),
                "stopped": self.stopped,
                "hazards": self.hazards,
                "environment": self.versions,
                "checks": {name: self.title(name).replace("n eps", "max(n, 8) eps") for name in self.checks},
                "cases": [
                    {
                        "id": outcome.case.id,
                        "family": outcome.case.family,
                        "recreate": outcome.case.recreate,
                        "condition": _strict(outcome.condition),
                        "factors": outcome.factors,
                        "call": outcome.call,
                        "law": outcome.law,
                        "near_limits": not outcome.verdict.holds and self.near(outcome),
                        **_record(outcome.verdict),
                    }
                    for outcome in self.outcomes
                ],
            },
            indent=1,
            allow_nan=False,
        )

    def html(self) -> str:
        """One page without outside references: the claim, findings, where failures are, plots, worst ratios.

        See :func:`orthoref.oracle.page.page`, which takes several.
        """
        from orthoref.oracle.page import page

        return page([self])


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
