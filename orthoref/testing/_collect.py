"""The verdicts of a whole pytest run, as one report for each test function and claim."""

from __future__ import annotations

import base64
import json
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from orthoref.errors import NotJudged, PortFailure
from orthoref.oracle.cases import Case
from orthoref.oracle.operation import Data, Operation
from orthoref.oracle.operations import ROWS
from orthoref.oracle.orthonormal.row import ROW as ORTHONORMAL
from orthoref.oracle.page import page
from orthoref.oracle.report import Outcome, Report
from orthoref.oracle.run import Raised
from orthoref.oracle.verdict import Verdict
from orthoref.testing import _assertions

TABLE = ROWS | {ORTHONORMAL.name: ORTHONORMAL}
SCHEMA = "orthoref-reports-1"


@dataclass(frozen=True)
class Given(Case):
    """What an assertion was given by a test of its own making."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict, hash=False)
    line: str = ""

    def inputs(self) -> dict[str, np.ndarray]:
        """As they were given, in float64."""
        return self.arrays

    def matrix(self) -> np.ndarray:
        """The first."""
        return next(iter(self.arrays.values()))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first."""
        return self.matrix().shape

    @property
    def recreate(self) -> str:
        """The line that the test passed, or the test."""
        return self.line or f"pytest {self.id!r}"


class Claim(NamedTuple):
    """What a test claims in an assertion."""

    claimed: str
    precision: str
    limit: float


@dataclass(frozen=True)
class Record:
    """One verdict: the test function, its claim if it came to an assertion, the outcome; all of it can be pickled.

    ``place`` is that of the test among all.
    """

    place: int
    test: str
    operation: str
    claim: Claim | None
    outcome: Outcome


class Collector:
    """Takes up what the assertions find while a test runs."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.places: dict[str, int] = {}
        self.node, self.operation = "", ""
        self.case: Case | None = None

    def begin(self, node: str, operation: str, case: Case | None) -> None:
        """A test begins."""
        self.node, self.operation, self.case = node, operation, case
        _assertions.record = self._take

    def end(self) -> None:
        """It has ended."""
        _assertions.record = None

    def raised(self, error: Exception) -> None:
        """What a test with an input of the battery raised, if it is no verdict: a finding about that input."""
        if self.case is not None and not isinstance(error, (PortFailure, NotJudged)):
            verdict = Verdict(self.case.id, faults=[Raised.by(error).fault])
            self._add(self.operation, None, Outcome(self.case, verdict))

    def packed(self) -> str:
        """For another process."""
        return base64.b64encode(pickle.dumps(self.records)).decode()

    def unpack(self, text: str) -> None:
        """What another process found."""
        self.records += pickle.loads(base64.b64decode(text))

    def reports(self) -> list[Report]:
        """One for each test function and claim, in the order of the tests, whatever ran when and where."""
        records = sorted(self.records, key=lambda each: each.place)
        claims = {each.test: each.claim for each in reversed(records) if each.claim is not None}
        found: dict[tuple[str, str, Claim], Report] = {}
        for each in records:
            row = TABLE[each.operation]
            claim = each.claim or claims.get(each.test) or Claim(str(row.claim() or ""), "", row.limit)
            key = each.test, each.operation, claim
            if key not in found:
                said = dict.fromkeys(("returns", "dtypes", "shapes", "skip", "battery", "max_cases"), "")
                said |= {"claimed": claim.claimed, "precision": claim.precision, "judged from": "assertions"}
                found[key] = Report(each.test, row, claim.limit, said)
            found[key].outcomes.append(each.outcome)
        for report in found.values():
            report.options["dtypes"] = ", ".join(dict.fromkeys(o.case.dtype for o in report.outcomes))
        return [*found.values()]

    def write(self, html: Path | None, text: Path | None) -> None:
        """The files that were asked for."""
        reports = self.reports()
        if html is not None and reports:
            html.write_text(page(reports), encoding="utf-8")
        if text is not None:
            found = {"schema": SCHEMA, "reports": [json.loads(report.json()) for report in reports]}
            text.write_text(json.dumps(found, indent=1), encoding="utf-8")

    def _add(self, operation: str, claim: Claim | None, outcome: Outcome) -> None:
        place = self.places.get(self.node, len(self.places))
        self.records.append(Record(place, self.node.partition("[")[0], operation, claim, outcome))

    def _take(self, row: Operation, inputs: Data, outputs: Data, claimed: Any, precision: str | None, limit: float,
              recreate: str | None, verdict: Verdict) -> None:  # fmt: skip
        case, data = self.case, inputs or outputs
        if case is None or (recreate is not None and recreate != case.recreate):
            dtype = next((x.dtype for x in data.values() if x.dtype), "float64")
            arrays = {name: x.value for name, x in data.items()}
            case = Given(self.node, "given", self.node, dtype, (), {}, arrays, recreate or "")
        claim = Claim(str(claimed or ""), precision or "", limit)
        self._add(row.name, claim, Outcome(case, verdict))
