"""Reports as one HTML page that refers to nothing outside: findings first, then where they are, then the plots.

The plots are SVG of our own, a few bytes a case: they take the colours of the page, light or dark. Findings differ in
colour and in shape; what holds is grey, and one family of inputs at a time can be lit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from importlib import resources
from math import isfinite, log10
from string import Template
from typing import TYPE_CHECKING

from orthoref.oracle.verdict import Verdict

if TYPE_CHECKING:
    from orthoref.oracle.report import Finding, Outcome, Report

WIDTH, HEIGHT = 460.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 10.0, 8.0, 34.0
LARGEST = 1e18  # drawn there: singular, NaN, infinite
LEAST = 1e-3
LEVELS = 8  # of a factor that are shown
# what is drawn at a point, about 7 wide
SHAPES = (
    "m-3.5-3.5l7 7m0-7l-7 7",  # saltire
    "m-4 0h8m-4-4v8",  # cross
    "m0-4l4 7h-8z",  # triangle
    "m-3.2-3.2h6.4v6.4h-6.4z",  # square
    "m0-4.5l4.5 4.5l-4.5 4.5l-4.5-4.5z",  # diamond
    "m0 4l4-7h-8z",  # triangle, downwards
    "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0",  # circle: all others
)


def page(reports: Sequence[Report]) -> str:
    """One page of one report, or of several with a table of contents."""
    title = f"orthoref: {reports[0].port}" if len(reports) == 1 else f"orthoref: {len(reports)} reports"
    body = "".join(_section(report, number) for number, report in enumerate(reports))
    template = Template(resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8"))
    return template.substitute(title=escape(title), body=(_contents(reports) if len(reports) > 1 else "") + body)


def _contents(reports: Sequence[Report]) -> str:
    rows = [
        f'<tr><td><a href="#r{i}">{escape(each.port)}</a></td><td>{escape(each.row.name)}</td>'
        f"<td{' class=bad' if each.status == 'FAILS' else ''}>{each.status}</td>"
        f"<td>{each.count('holds')}</td><td>{each.count('fails')}</td><td>{each.count('not judged')}</td></tr>"
        for i, each in enumerate(reports)
    ]
    head = "<tr><th>port</th><th>operation</th><th>verdict</th><th>hold</th><th>fail</th><th>not judged</th></tr>"
    failing = sum(not each.holds for each in reports)
    return (
        f"<h1>{len(reports)} reports, {f'{failing} of them do not hold' if failing else 'all hold'}</h1>"
        f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>'
    )


def _section(report: Report, number: int) -> str:
    findings = report.findings()
    parts = [_head(report), _findings(report, findings), _factors(report), _plots(report, findings), _worst(report)]
    return f'<section id="r{number}">{"".join(parts)}</section>'


def _head(report: Report) -> str:
    near = len(report.near_failed)
    counts = {
        "hold": report.count("holds"),
        "fail": report.count("fails") - near,
        report.limits_of.replace("near", "fail near", 1) if near else "": near,
        "not judged": report.count("not judged"),
        "empty": report.count("empty"),
    }
    chips = "".join(f"<li><b>{count}</b> {escape(word)}</li>" for word, count in counts.items() if word)
    said = [report.stopped, *report.sentences, f"{report.key}: {report.fits}" if report.key else ""]
    claim = [("operation", report.row.name), ("limit", f"{report.limit:g}"), *report.options.items()]
    claim.append(("versions", ", ".join(map(" ".join, report.versions.items()))))
    facts = "".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in claim if value)
    notes = "".join(f"<p><b>Note on the claim:</b> {escape(each)}.</p>" for each in report.hazards)
    state = {"HOLDS": "holds", "FAILS": "fails"}.get(report.status, "doubt")
    return (
        f'<div class="head {state}"><h1>{escape(report.port)} as {escape(report.row.name)}: '
        f'<span class="verdict">{report.status}</span></h1>'
        + "".join(f"<p>{escape(line)}</p>" for line in said if line)
        + f'<ul class="counts"><li><b>{len(report.outcomes)}</b> cases</li>{chips}</ul></div><dl>{facts}</dl>{notes}'
    )


def _findings(report: Report, findings: Sequence[Finding]) -> str:
    cards = [_card(report, finding, number) for number, finding in enumerate(findings)]
    if report.pooled is not None and (report.pooled.checks or report.pooled.faults):
        cards.append(f'<div class="card"><h3>all cases together</h3>{_ratios(report.pooled)}</div>')
    for note, count in report.notes().items():
        cards.append(f'<p class="soft">{count} &times; {escape(note)}</p>')
    return "<h2>Findings</h2>" + ("".join(cards) or "<p>None.</p>")


def _card(report: Report, finding: Finding, number: int) -> str:
    shape = min(number, len(SHAPES) - 1)
    mark = f'<svg class="mark" viewBox="0 0 10 10"><path class="shape s{shape}" d="M5 5{SHAPES[shape]}"/></svg>'
    near = ' <span class="tag">near the limits of the format</span>' if finding.near else ""
    case = finding.example.case
    recreate = case.recreate if "\n" in case.recreate else f"a = {case.recreate}"
    law = f", law: {escape(finding.example.law)}" if finding.example.law else ""
    return (
        f'<div class="card"><h3>{mark}{finding.count} &times; {escape(finding.reason)}{near}</h3>'
        f'<p class="soft">smallest case: {escape(case.id)}{law}</p>{_ratios(finding.example.verdict)}'
        f'<div class="line"><pre>import orthoref\n{escape(recreate)}</pre>'
        '<button class="copy">copy</button></div></div>'
    )


def _ratios(verdict: Verdict) -> str:
    rows = "".join(
        f"<tr><td>{escape(check.text)}</td><td{'' if check.holds else ' class=bad'}>{check.ratio:.3g}</td>"
        f"<td>{check.limit:.3g}</td><td>{_error(check.absolute, check.relative) if not check.holds else ''}</td></tr>"
        for check in verdict.checks
    )
    faults = "".join(f"<p>{escape(fault)}</p>" for fault in verdict.faults)
    head = "<tr><th>error over its unit</th><th>ratio</th><th>limit</th><th>error</th></tr>"
    return faults + (f'<div class="scroll"><table>{head}{rows}</table></div>' if rows else "")


def _error(absolute: float, relative: bool) -> str:
    return f"{absolute:.2g} {'relative' if relative else 'absolute'}" if isfinite(absolute) else ""


def _factors(report: Report) -> str:
    """Of each level how many cases fail, the worst first."""
    judged = [o for o in report.outcomes if o.verdict.state in ("holds", "fails")]
    if not any(not o.verdict.holds for o in judged):
        return ""
    share = sum(not o.verdict.holds for o in judged) / len(judged)
    tables = []
    for factor in dict.fromkeys(name for o in judged for name in o.factors):
        levels: dict[str, list[bool]] = {}
        for outcome in judged:
            levels.setdefault(outcome.factors.get(factor, "-"), []).append(outcome.verdict.holds)
        ranked = sorted(levels.items(), key=lambda item: (-item[1].count(False) / len(item[1]), -len(item[1])))
        if len(ranked) > 1:
            # chi-squared less its expectation: how much more the levels differ than chance lets them
            far = sum(len(held) * (held.count(False) / len(held) - share) ** 2 for _, held in ranked)
            tables.append((len(ranked) - far / max(share * (1 - share), 1e-9), _table(factor, ranked)))
    return (
        "<h2>Where they fail</h2><p class='soft'>At each level of each factor of the inputs, failing of judged cases; "
        "the most telling factor first."
        f'</p><div class="factors">{"".join(table for _, table in sorted(tables))}</div>'
    )


def _table(factor: str, ranked: Sequence[tuple[str, list[bool]]]) -> str:
    rows = [
        f"<tr><td>{escape(level)}</td>"
        f'<td><span class="bar"><i style="width:{100 * held.count(False) / len(held):.0f}%"></i></span></td>'
        f"<td>{held.count(False)} of {len(held)}</td></tr>"
        for level, held in ranked[:LEVELS]
    ]
    rest = ranked[LEVELS:]
    if rest:
        failing, total = sum(held.count(False) for _, held in rest), sum(len(held) for _, held in rest)
        rows.append(f"<tr><td>{len(rest)} other{'s' * (len(rest) > 1)}</td><td></td><td>{failing} of {total}</td></tr>")
    return f"<table><caption>{escape(factor)}</caption>{''.join(rows)}</table>"


def _worst(report: Report) -> str:
    names = list(report.checks)
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = []
    for family, row in report.worst().items():
        cells = "".join(
            f"<td{' class=bad' if not row[name] <= report.limits.get(name, report.limit) else ''}>{row[name]:.3g}</td>"
            if name in row
            else "<td>-</td>"
            for name in names
        )
        rows.append(f"<tr><td>{escape(family)}</td>{cells}</tr>")
    return (
        f'<h2>Worst ratios</h2><div class="scroll"><table><tr><th>family</th>{head}</tr>{"".join(rows)}</table></div>'
    )


# --- plots


def _plots(report: Report, findings: Sequence[Finding]) -> str:
    families = sorted({outcome.case.family for outcome in report.outcomes if outcome.verdict.checks})
    shape = _shapes(report, findings)
    figures = [
        f"<figure><figcaption>{escape(report.title(name))}</figcaption>{_panel(report, name, families, shape)}</figure>"
        for name in report.checks
    ]
    if report.points:
        caption = "all cases together: deviation from the claimed map"
        figures.append(f"<figure><figcaption>{caption}</figcaption>{_map(report)}</figure>")
    buttons = "".join(f'<button data-f="{i}" aria-pressed="false">{escape(f)}</button>' for i, f in enumerate(families))
    return (
        '<h2>Ratio against condition number</h2><p class="soft">Grey: holds. Failing cases have the mark of their '
        "finding. Dashed: the limit. At the right end: singular; at the top: NaN or infinite. Light one family:</p>"
        f'<div class="families">{buttons}</div><div class="plots">{"".join(figures)}</div>'
        if figures
        else ""
    )


def _shapes(report: Report, findings: Sequence[Finding]) -> dict[int, int]:
    """The mark of each failing outcome, by its place in the list."""
    number = {id(o): i for i, finding in enumerate(findings) for o in finding.outcomes}
    return {
        i: min(number[id(outcome)], len(SHAPES) - 1)
        for i, outcome in enumerate(report.outcomes)
        if id(outcome) in number
    }


def _panel(report: Report, name: str, families: Sequence[str], shape: dict[int, int]) -> str:
    ratios = [(i, o, c) for i, o in enumerate(report.outcomes) for c in o.verdict.checks if c.name == name]
    limit = report.limits.get(name, report.limit)
    top = max([100.0, 10 * limit, *(3 * _clip(c.ratio, LEAST) for _, _, c in ratios)])
    top = min(top, 3 * LARGEST)

    def at(outcome: Outcome, ratio: float) -> str:
        x = _place(_clip(outcome.condition, 1.0), 0.5, 3 * LARGEST, LEFT, WIDTH - RIGHT)
        y = _place(_clip(ratio, LEAST), LEAST / 2, top, HEIGHT - BOTTOM, TOP)
        return f"M{x:.1f} {y:.1f}"

    dots: dict[str, list[str]] = {}
    marks: dict[int, list[str]] = {}
    for i, outcome, check in ratios:
        if check.holds:
            dots.setdefault(outcome.case.family, []).append(at(outcome, check.ratio) + "h0")
        else:
            place = shape.get(i, len(SHAPES) - 1)
            marks.setdefault(place, []).append(at(outcome, check.ratio) + SHAPES[place])
    level = _place(limit, LEAST / 2, top, HEIGHT - BOTTOM, TOP)
    drawn = [*_axes(top), f'<path class="limit" d="M{LEFT:.0f} {level:.1f}H{WIDTH - RIGHT:.0f}"/>']
    drawn += [f'<path class="dot" data-f="{families.index(f)}" d="{"".join(p)}"/>' for f, p in dots.items()]
    drawn += [f'<path class="shape s{place}" d="{"".join(points)}"/>' for place, points in sorted(marks.items())]
    return _svg(drawn, f"{report.title(name)}: ratio against condition number, {len(ratios)} cases")


def _axes(top: float) -> Iterator[str]:
    for exponent in range(0, 19, 3):
        x = _place(10.0**exponent, 0.5, 3 * LARGEST, LEFT, WIDTH - RIGHT)
        yield f'<path class="grid" d="M{x:.1f} {TOP:.0f}V{HEIGHT - BOTTOM:.0f}"/>'
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 14:.0f}" text-anchor="middle">{_power(exponent)}</text>'
    highest = int(log10(top))
    for exponent in range(-3, highest + 1, 1 if highest < 6 else 3):
        y = _place(10.0**exponent, LEAST / 2, top, HEIGHT - BOTTOM, TOP)
        yield f'<path class="grid" d="M{LEFT:.0f} {y:.1f}H{WIDTH - RIGHT:.0f}"/>'
        yield f'<text x="{LEFT - 5:.0f}" y="{y + 4:.1f}" text-anchor="end">{_power(exponent)}</text>'
    yield f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 4:.0f}" text-anchor="middle">condition number</text>'


def _map(report: Report) -> str:
    """What all cases together show: the mean deviation from the claimed map, and its standard deviation."""
    points = [(float((p.low * p.high) ** 0.5), p) for p in report.points]
    shown = [p for x, p in points if x > 0]
    left, right = min(x for x, _ in points) / 1.3, max(x for x, _ in points) * 1.3
    reach = max(max(abs(v) for v in (p.least, p.most, p.deviation - p.error, p.deviation + p.error)) for p in shown)
    reach = 1.1 * reach if isfinite(reach) and reach > 0 else 1.0

    def across(x: float) -> float:
        return _place(x, left, right, LEFT + 14, WIDTH - RIGHT)

    def up(y: float) -> float:
        y = max(-reach, min(reach, y)) if isfinite(y) else reach
        return TOP + (HEIGHT - BOTTOM - TOP) * (1 - y / reach) / 2

    band = [f"{across(x):.1f} {up(p.most):.1f}" for x, p in points]
    band += [f"{across(x):.1f} {up(p.least):.1f}" for x, p in reversed(points)]
    bars = "".join(
        f"M{across(x):.1f} {up(p.deviation - p.error):.1f}V{up(p.deviation + p.error):.1f}" for x, p in points
    )
    dots = "".join(f"M{across(x):.1f} {up(p.deviation):.1f}h0" for x, p in points)
    drawn = [
        f'<path class="band" d="M{"L".join(band)}z"/>',
        f'<path class="grid" d="M{LEFT} {up(0):.1f}H{WIDTH - RIGHT}"/>',
    ]
    drawn += [f'<path class="shape s1" d="{bars}"/>', f'<path class="dot on" style="stroke:var(--mark)" d="{dots}"/>']
    for y in (-reach, 0.0, reach):
        drawn.append(f'<text x="{LEFT + 8:.0f}" y="{up(y) + 4:.1f}" text-anchor="end">{y:.2g}</text>')
    for x in (points[0][0], points[len(points) // 2][0], points[-1][0]):
        drawn.append(f'<text x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 14:.0f}" text-anchor="middle">{x:.2g}</text>')
    said = "normalized singular value; band: right ports in several orders of evaluation"
    drawn.append(f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 4:.0f}" text-anchor="middle">{said}</text>')
    return _svg(drawn, "mean deviation of the singular values of all results from the claimed map")


def _svg(drawn: Sequence[str], label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" aria-label="{escape(label)}">{"".join(drawn)}</svg>'


def _place(x: float, low: float, high: float, first: float, last: float) -> float:
    """On a logarithmic axis."""
    return first + (last - first) * (log10(x) - log10(low)) / (log10(high) - log10(low))


def _clip(x: float, low: float) -> float:
    return LARGEST if not x < LARGEST else max(x, low)


def _power(exponent: int) -> str:
    return {0: "1", 1: "10"}.get(exponent, f"1e{exponent}")
