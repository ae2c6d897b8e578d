"""What is printed about a schedule says what is proved, digit by digit."""

from __future__ import annotations

import ast
import json
import re
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("flint")

from orthoref import schedules
from orthoref.oracle.newton_schulz import present

NAMES = ["jordan", "you-6", "polar-express", "cans-5"]


@pytest.fixture(scope="module")
def pairs():
    return [(schedules.get(name), schedules.get(name).certify("1e-3")) for name in NAMES]


def lists(text):
    """The Python in a text: name -> value."""
    return {name: ast.literal_eval(value) for name, value in re.findall(r"^(\w+) = (\[\n.*?^\])", text, re.M | re.S)}


def shown(schedule, **options):
    certificate = schedule.certify("1e-3", **options)
    return present.text(schedule, certificate), certificate


def rows_of(schedule):
    """The lists that are printed of all rows; of a certificate they depend on the number of steps alone."""
    certificate = replace(schedule.certify("1e-3", steps=1), steps=len(schedule.rows))
    return lists(present.text(schedule, certificate))


def test_text_has_the_source_the_rules_and_the_certificate():
    text, certificate = shown(schedules.get("polar-express"), steps=2)
    for part in ("polar-express\n", "Amsel, Persson", "frobenius x 1.01\n", "the last row again\n", certificate.text()):
        assert part in text
    for name, past in (("aol-a", "all rows again\n"), ("you-6", "not said\n")):
        assert past in shown(schedules.get(name), steps=1)[0]


@pytest.mark.parametrize("steps", [None, 0, 3, pytest.param(7, marks=pytest.mark.exhaustive)])
def test_printed_coefficients_are_the_published_decimals(steps):
    text, _ = shown(schedules.get("jordan"), steps=steps)
    assert lists(text) == {"coefficients": [(3.4445, -4.775, 2.0315)] * (5 if steps is None else steps)}


def test_fractions_are_printed_where_no_float_is_the_number():
    schedule = schedules.get("polar-express")
    found = rows_of(schedule)
    assert schedules.Schedule.of("again", found["exact"]).rows == schedule.rows
    assert [[Fraction(c) for c in row] for row in found["coefficients"]] == [
        [Fraction(float(c)) for c in row.numerator] for row in schedule.rows
    ]


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_rounded_coefficients_are_floats_and_printed_once(dtype):
    schedule = schedules.get("polar-express").rounded(dtype)
    found = rows_of(schedule)
    assert list(found) == ["coefficients"]
    assert [tuple(Fraction(c) for c in row) for row in found["coefficients"]] == [r.numerator for r in schedule.rows]


def test_a_changed_sign_is_said():
    schedule = schedules.get("newton-schulz-3")
    certificate = schedule.certify("1e-3", "1.8", steps=2)  # beyond sqrt 3
    assert "CHANGES" in present.text(schedule, certificate)
    assert present.table([certificate])[1][7] == "NO" and "CHANGES" not in shown(schedule, steps=2)[0]


def test_record_is_strict_json():
    schedule = schedules.get("aol-a")
    certificate = replace(schedule.certify("1e-3"), tolerated=float("inf"), kept=None)
    found = json.loads(json.dumps(present.record(schedule, certificate), allow_nan=False))
    assert found["certificate"]["tolerated"] == "inf" and found["certificate"]["kept"] is None
    assert found["certificate"]["after"][0] == list(certificate.after[0])
    assert schedules.Schedule.of("again", found["exact"]).rows == schedule.rows
    assert [tuple(row) for row in found["coefficients"]] == schedule.coefficients()
    assert (found["normalization"], found["past"]) == ("aol", "cycle")


def test_the_table_is_rounded_to_the_safe_side(pairs):
    for _, c in pairs:
        row = dict(zip(*present.table([c]), strict=True))
        near = row["image"].startswith("1 + ")
        low, high = (near + Fraction(end) for end in re.findall(r"-?\d[^],]*", row["image"].removeprefix("1 + ")))
        assert low <= c.image[0] and c.image[1] <= high
        assert high - low - (c.image[1] - c.image[0]) <= 2e-3 * max(abs(low - near), abs(high - near))
        assert c.kept <= Fraction(row["kept"]) <= c.kept * 1.001
        assert c.tolerated * (1 - 1e-6) <= Fraction(row["tolerated"]) <= c.tolerated
        assert max(c.amplification) <= Fraction(row["amplification"]) <= max(c.amplification) * 1.01
        assert (row["schedule"], int(row["steps"]), row["sign safe"]) == (c.schedule, c.steps, "yes")
        assert row["steps to"] == ("never" if c.steps_to is None else str(c.steps_to))
        assert float(row["slope"]) == pytest.approx(c.slope, rel=1e-3, abs=0)


def test_table_of_what_is_not_there(pairs):
    c = replace(pairs[0][1], kept=None, tolerated=float("inf"), amplification=())
    assert present.table([c])[1][4:7] == ["none", "inf", "1"]


@pytest.mark.parametrize("rich", [True, False])
def test_show_with_and_without_rich(rich, pairs, capsys, monkeypatch):
    if rich:
        pytest.importorskip("rich")
        monkeypatch.setenv("COLUMNS", "40")  # nothing is cut
    else:
        for module in ("rich", "rich.console", "rich.table"):
            monkeypatch.setitem(sys.modules, module, None)
    certificates = [c for _, c in pairs]
    present.show(certificates)
    lines = capsys.readouterr().out.splitlines()
    for cells, line in zip(present.table(certificates), lines, strict=False):
        assert re.split(r"\s{2,}", line.strip()) == cells
    assert lines[len(pairs) + 1].startswith("singular values in [0.001, 1]; kept: >= 0.5 from; tolerated: <= 1.5")


def test_listing():
    lines = present.listing().splitlines()
    assert [line.split()[0] for line in lines] == schedules.names()
    assert all(line.endswith(schedules.get(line.split()[0]).source) for line in lines)


@pytest.mark.exhaustive
def test_figure_draws_the_function_and_the_certificate(pairs):
    pytest.importorskip("matplotlib")
    top, bottom = present.figure(pairs[:1]).axes
    (schedule, c), curve, error = pairs[0], top.lines[0], bottom.lines[0]
    x, y = curve.get_data()
    for i in range(0, len(x), len(x) // 12):
        truth = schedule(Fraction(x[i]))
        assert abs(Fraction(y[i]) - truth) <= 1e-12 and abs(Fraction(error.get_ydata()[i]) - abs(1 - truth)) <= 1e-12
    assert (
        x[0] == pytest.approx(1e-6, rel=1e-12, abs=0) and x[-1] == c.tolerated and {c.lower, c.upper, c.kept} <= set(x)
    )
    inside = y[(x >= c.lower) & (x <= c.upper)]
    assert c.image[0] - 1e-12 <= inside.min() <= c.image[0] + 1e-3
    assert c.image[1] - 1e-3 <= inside.max() <= c.image[1] + 1e-12
    band = top.collections[0].get_paths()[0].vertices
    assert [*band.min(0), *band.max(0)] == [c.lower, c.image[0], c.upper, c.image[1]]
    marks = {line.get_marker(): line.get_data() for line in top.lines if len(line.get_xdata()) == 1}
    np.testing.assert_allclose(
        [*marks["^"], *marks["s"]], np.reshape([c.kept, 0.5, c.tolerated, 1.5], (4, 1)), rtol=1e-6
    )
    assert (top.get_xscale(), top.get_yscale(), bottom.get_xscale(), bottom.get_yscale()) == (
        "log",
        "linear",
        "log",
        "log",
    )
    assert any(set(line.get_ydata()) == {1} for line in top.lines)


def test_figure_of_several_has_a_line_a_colour_and_a_label_for_each(pairs):
    pytest.importorskip("matplotlib")
    figure = present.figure(pairs)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [label.partition(",")[0] for label in labels[: len(NAMES)]] == NAMES
    assert "kept 0.001068, tolerated 1.263747" in labels[0] and len(labels) == len(NAMES) + 3
    curves = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 2]
    assert len({line.get_color() for line in curves}) == len(NAMES) == len(curves)


@pytest.mark.parametrize(("lower", "tolerated"), [(0, None), ("1e-9", None), ("1e-3", float("inf")), ("1e-3", 0.0)])
def test_figure_at_the_edges(lower, tolerated):
    pytest.importorskip("matplotlib")
    schedule = schedules.get("newton-schulz-5")
    c = schedule.certify(lower, steps=2)
    c = c if tolerated is None else replace(c, tolerated=tolerated, kept=None)
    figure = present.figure([(schedule, c)])
    figure.canvas.draw()
    x, y = figure.axes[0].lines[0].get_data()
    assert x[0] == pytest.approx(1e-10 if lower == "1e-9" else 1e-6, rel=1e-12, abs=0)
    assert x[-1] == (c.tolerated if tolerated is None else 1) and np.isfinite(y).all()


def test_figure_without_matplotlib_names_the_extra(pairs, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"orthoref\[report\]"):
        present.figure(pairs)
