"""What a report says, in three forms that must agree: text, JSON by its schema, HTML."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pytest

from orthoref import conformance, newton_schulz, polar
from orthoref.oracle import cases, limits, schema
from orthoref.oracle.narrow import Narrowed
from orthoref.oracle.newton_schulz.claim import iteration
from orthoref.oracle.newton_schulz.hazards import hazards
from orthoref.oracle.page import SHAPES, page
from orthoref.oracle.precision import precision_of
from orthoref.oracle.report import Outcome
from orthoref.oracle.verdict import Verdict

SMALL = {"dtypes": ["float32"], "shapes": [(5, 5), (4, 2), (2, 2, 3)], "max_cases": 40, "progress": False}
SCHEMA = json.loads(resources.files("orthoref.oracle").joinpath("report.schema.json").read_text(encoding="utf-8"))


def unscaled(a):
    """A polar factor by way of the Gram matrix of the input as it is, next to ours where that is in range."""
    u, h = polar(a)
    gram = np.sum(np.square(a), (-2, -1), keepdims=True)
    bad = (~np.isfinite(gram) | (gram < np.finfo(a.dtype).tiny)) & (np.abs(a).max((-2, -1), keepdims=True) > 0)
    return np.where(bad, np.nan, u), h


def wide(a):
    u, h = polar(a)
    return (-u if a.shape[-2] < a.shape[-1] else u), h


@pytest.fixture(scope="module")
def reports():
    with np.errstate(all="ignore"):
        return {
            "HOLDS": conformance.check(polar, name="p", **SMALL),
            "HOLDS IN RANGE": conformance.check(unscaled, name="p", **SMALL),
            "FAILS": conformance.check(wide, name="p", **SMALL),
        }


@pytest.mark.parametrize("status", ["HOLDS", "HOLDS IN RANGE", "FAILS"])
def test_the_json_is_as_its_schema_says(status, reports):
    report = reports[status]
    assert report.status == status and report.holds == (status == "HOLDS")
    found = json.loads(report.json())
    assert [*schema.faults(found, SCHEMA, SCHEMA)] == []
    counts = found["counts"]
    assert sum(counts[state] for state in ("holds", "fails", "not judged", "empty")) == len(found["cases"])
    assert counts["fails near limits"] == sum(case["near_limits"] for case in found["cases"]) <= counts["fails"]
    assert found["environment"].keys() >= {"orthoref", "numpy", "python", "machine"}
    assert found["options"]["arrays"] == "numpy.ndarray on cpu"


def test_the_schema_is_one(reports):
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(reports["FAILS"].json()), SCHEMA)


def test_what_the_schema_does_not_know_is_found(reports):
    found = json.loads(reports["FAILS"].json())
    wrong = [
        found | {"schema": "orthoref-report-2"},
        found | {"status": "PASSES"},
        {key: value for key, value in found.items() if key != "limit"},
        found | {"cases": [found["cases"][0] | {"judged": [1]}]},
        found | {"cases": [found["cases"][0] | {"condition": "NaN"}]},
    ]
    assert all([*schema.faults(each, SCHEMA, SCHEMA)] for each in wrong)


def test_the_schema_stays_within_what_is_checked():
    def words(node):
        if isinstance(node, dict):
            for key, value in node.items():
                yield key
                for each in value.values() if key in ("properties", "$defs") else [value]:
                    yield from words(each)

    assert {*words(SCHEMA)} <= schema.KNOWN


def test_counts_in_the_headline(reports):
    line = reports["HOLDS IN RANGE"].summary()
    assert re.search(r"HOLDS IN RANGE, of \d+ cases \d+ hold, \d+ fail near the limits of float32", line)
    report = reports["FAILS"]
    hold, fail, near = (
        int(n) for n in re.search(r"(\d+) hold, (\d+) fail, (\d+) fail near", report.summary()).groups()
    )
    assert (hold, fail + near, near) == (report.count("holds"), report.count("fails"), len(report.near_failed))
    assert "near the limits" not in reports["HOLDS"].summary()


def test_the_text_has_the_whole_claim_and_the_versions(reports):
    text = reports["HOLDS"].text()
    assert "claim: limit 10; returns auto; claimed side=right; dtypes float32; shapes 5x5, 4x2, 2x2x3; battery" in text
    assert re.search(rf"with orthoref \d[\w.]*, python \d[\w.]*, numpy {np.__version__}", text)
    said = "holds but for inputs near the limits of float32"
    assert said in reports["HOLDS IN RANGE"].text() and said in reports["HOLDS IN RANGE"].html()
    assert said not in reports["FAILS"].text() + reports["HOLDS"].text()


def test_a_failure_in_range_or_too_little_else_is_no_holding_in_range(reports):
    near, fails = reports["HOLDS IN RANGE"], reports["FAILS"]
    bad = next(o for o in fails.outcomes if not o.verdict.holds and not fails.near(o))
    assert replace(near, outcomes=[*near.outcomes, bad]).status == "FAILS"
    assert replace(near, stopped="it hung").status == "FAILS"
    assert replace(near, outcomes=near.near_failed).status == "FAILS"  # nothing holds


def test_what_fails_in_range_when_it_is_made_plainer_fails(reports):
    near = reports["HOLDS IN RANGE"]
    plain, far = (next(o.case for o in near.outcomes if near.near(o) == is_near) for is_near in (False, True))
    assert replace(near, narrowed=[Narrowed(far, ("there",))]).status == "HOLDS IN RANGE"
    found = replace(near, narrowed=[Narrowed(plain, ("there",))])
    assert found.status == "FAILS" and f"\nfails in range, too: {plain.id}\n" in found.text()
    both = replace(reports["FAILS"], narrowed=[Narrowed(plain, ("there",))])
    assert "in range, too" not in both.text()  # it is among the findings


def test_what_the_smallest_case_needs_is_not_said_where_another_needs_nothing(reports):
    case = reports["FAILS"].outcomes[0].case
    needy, plain, lucky = Narrowed(case, ("for complex dtypes",)), Narrowed(case, ()), Narrowed(case, (), False)
    for narrowed, said in (([needy], True), ([needy, lucky], True), ([needy, plain], False)):
        text = replace(reports["FAILS"], narrowed=narrowed).text()
        assert ("fails only for complex dtypes: with this changed" in text) == said
        assert ("holds when it is asked again" in text) == (lucky in narrowed)


@pytest.mark.exhaustive
def test_a_lost_conjugate_is_not_excused_by_the_cases_that_were_drawn():
    """All four complex cases that are drawn are near the limits: no excuse for a lost conjugate."""

    def conjugated(a):
        u, h = polar(a)
        return u.conj(), h

    options = {"shapes": [(5, 5), (7, 3)], "skip": ["byteswapped"], "max_cases": 12, "seed": 3, "progress": False}
    report = conformance.check(conjugated, **options)
    assert report.failed and len(report.near_failed) == len(report.failed) and report.status == "FAILS"
    assert "\nfails in range, too: complex" in report.text() and "fails in range, too: complex" in report.html()
    assert replace(report, narrowed=[]).status == "HOLDS IN RANGE"


def test_a_run_that_stopped_says_so_in_its_headline(reports):
    stopped = replace(reports["HOLDS"], stopped="3 cases not run after the port hung")
    assert re.search(r"FAILS, of \d+ cases \d+ hold, .*3 cases not run after the port hung$", stopped.summary())


def test_notes_have_the_numbers_of_the_first():
    cases_ = conformance.battery(**{key: SMALL[key] for key in ("dtypes", "shapes", "max_cases")})
    said = [
        "1 of 3 not judged",
        "2 of 3 not judged",
        "no derivative there in float32",
        "no derivative there in float32",
    ]
    outcomes = [Outcome(case, Verdict("s", notes=[note])) for case, note in zip(cases_, said, strict=False)]
    report = conformance.Report("p", conformance.row_of("polar"), 10.0, {}, outcomes)
    assert report.notes() == {"1 of 3 not judged, and the like": 2, "no derivative there in float32": 2}


def test_near_the_limits_of_a_format():
    single, short = precision_of("float32"), precision_of("float16")
    one = np.ones((2, 3))
    for scale, is_near in ((1.0, False), (1e18, False), (1e19, True), (1e-18, False), (1e-20, True), (0.0, False)):
        assert limits.near_limits([one * scale], [single]) == is_near, scale
    assert limits.near_limits([one * 200], [short, single]) and not limits.near_limits([one * 200], [single])
    assert limits.near_limits([np.stack([one, one * 1e-30])], [single])
    assert not limits.near_limits([np.diag([1.0, 1e-30])], [single])  # an entry is no norm
    huge = np.array([[3.0, 4.0j]]) * 2.0**1000
    assert limits.norms(huge) == pytest.approx(5 * 2.0**1000, rel=1e-15, abs=0)
    assert not limits.near_limits([np.zeros((0, 3))], [single])
    tiny = cases.cotangent(np.eye(3), kind="tiny", dtype="float32")
    assert limits.near_limits([np.eye(3), tiny], [single])


# --- HTML


class Page(HTMLParser):
    VOID = ("meta", "path", "br")

    def __init__(self, text):
        super().__init__()
        self.references, self.open, self.classes, self.wrong = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.references += [attrs[key] for key in ("src", "href") if key in attrs]
        self.classes.append(attrs.get("class"))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.classes.append(dict(attrs).get("class"))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_the_page_is_whole_and_refers_to_nothing_outside(reports):
    for report in reports.values():
        found = Page(report.html())
        assert found.references == [] and found.open == [] and found.wrong == []
        assert found.classes.count("card") == len(report.findings())


def test_the_page_begins_with_verdict_claim_and_findings(reports):
    text = reports["FAILS"].html()
    order = ["FAILS</span>", "<dt>limit</dt>", "<h2>Findings</h2>", 'class="card"', "Where they fail", "<svg viewBox"]
    assert [text.index(each) for each in order] == sorted(text.index(each) for each in order)
    example = reports["FAILS"].findings()[0].example.case
    assert f"a = {example.recreate}".replace("'", "&#x27;") in text
    assert "Where they fail" not in reports["HOLDS"].html()


def test_every_case_is_drawn_once_for_each_check(reports):
    report = reports["FAILS"]
    text = report.html()
    drawn = re.findall(r'class="(dot|shape s\d)" (?:data-f="\d+" )?d="([^"]*)"', text.partition('class="plots"')[2])
    dots = sum(d.count("h0") for kind, d in drawn if kind == "dot")
    marks = sum(d.count("M") for kind, d in drawn if kind != "dot")
    checks = [check for o in report.outcomes for check in o.verdict.checks]
    assert (dots, marks) == (sum(c.holds for c in checks), sum(not c.holds for c in checks))


def test_two_thousand_cases_stay_below_a_megabyte(reports):
    report = reports["FAILS"]
    many = replace(report, outcomes=(report.outcomes * 60)[:2000])
    assert len(many.html().encode()) < 1e6


def test_hostile_names_and_results_are_escaped(reports):
    report = replace(reports["FAILS"], port="<script>alert(1)</script>", hazards=["<b>"])
    nan = {"ratio": np.nan, "absolute": np.nan}
    verdicts = [replace(o.verdict, checks=[replace(c, **nan) for c in o.verdict.checks], faults=["<i>"])
                for o in report.outcomes]  # fmt: skip
    report.outcomes = [replace(o, verdict=verdict) for o, verdict in zip(report.outcomes, verdicts, strict=True)]
    text = report.html()
    assert "<script>alert" not in text and "<i>" not in text and "<b></b>" not in text and not Page(text).wrong


def test_several_reports_have_a_table_of_contents(reports):
    text = page([*reports.values()])
    assert [f'href="#r{i}"' in text and f'id="r{i}"' in text for i in range(3)] == [True] * 3
    assert "3 reports, 2 of them do not hold" in text


def test_findings_differ_in_colour_and_in_shape():
    style = resources.files("orthoref.oracle").joinpath("report.html").read_text(encoding="utf-8")
    assert len(set(SHAPES)) == len(SHAPES) == len(re.findall(r"\.s\d \{ stroke", style))
    for colours in re.findall(r"(?:--c\d: #[0-9a-f]{6};\s*){6}", style):
        found = re.findall(r"#[0-9a-f]{6}", colours)
        assert len(set(found)) == 6


# --- hazards of a claim


@pytest.mark.parametrize(
    ("claim", "precision", "words"),
    [
        (
            {"schedule": "aol-a", "normalize": "frobenius"},
            "float32",
            "aol-a under the normalization frobenius reverses dire",
        ),
        ({"schedule": "aol-a", "normalize": "frobenius"}, "float32", "above 0.884 of the norm"),
        ({"schedule": "you-5", "steps": 6}, "float32", "you-5 cycled to 6 steps maps [0.01, 1] of the norm into ["),
        (
            {"schedule": "cans-5"},
            "bfloat16",
            "cans-5 under the normalization frobenius tolerates nothing above 1.00001",
        ),
        ({"schedule": "muon", "steps": 3}, "float32", "muon in 3 steps maps [0.01, 1] of the norm into [0.4"),
    ],
)
def test_a_hazard_of_the_claim_is_said(claim, precision, words):
    pytest.importorskip("flint")
    assert any(words in each for each in hazards(iteration(**claim), precision_of(precision)))


@pytest.mark.parametrize(
    ("claim", "precision"),
    [
        ({}, "bfloat16"),
        ({"schedule": "polar-express"}, "bfloat16"),
        ({"schedule": "cans-5"}, "float32"),
        ({"normalize": "none"}, "float32"),
    ],
)
def test_a_claim_without_hazard(claim, precision):
    assert hazards(iteration(**claim), precision_of(precision)) == []


def test_what_is_said_of_the_image_is_so():
    """[0.01, 1] through the schedule itself, on a grid."""
    pytest.importorskip("flint")
    claimed = iteration("you-5", steps=6)
    (said,) = hazards(claimed, precision_of("float32"))
    low, high = (float(x) for x in re.search(r"into \[(.*), (.*)\]", said).groups())
    y = claimed.schedule(np.geomspace(0.01, 1, 20_000), 6)
    assert low <= y.min() * 1.01 and y.max() <= high * 1.01 and low >= y.min() * 0.95 and high >= y.max() * 0.95


def test_hazards_are_notes_of_the_report():
    pytest.importorskip("flint")
    port = partial(newton_schulz, schedule="you-5", steps=6)
    report = conformance.check(port, "newton_schulz", schedule="you-5", steps=6, **SMALL | {"max_cases": 10})
    assert "note on the claim: you-5 cycled to 6 steps maps" in report.text()
    assert json.loads(report.json())["hazards"] == report.hazards and "you-5 cycled" in report.html()
