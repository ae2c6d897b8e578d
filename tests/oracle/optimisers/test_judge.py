"""The engine that judges optimisers: settings, units, refusals, reports."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
import pytest
from meta import wrong_optimisers as ports

from orthoref import steps, testing
from orthoref.cli import main
from orthoref.errors import CannotRun, PortFailure
from orthoref.oracle.optimisers import judge, ratios
from orthoref.oracle.optimisers.reasons import formats, mistakes, switches

SMALL = {"switches": {"precision": None}, "shapes": [(12, 3), (3, 12)], "count": 2}


class Bare:
    """Muon whose state cannot be read: it is a closure."""

    def __init__(self, lr, port=ports.Muon):
        self.rule = port(lr)

    def init(self, w):
        state = [self.rule.init(w)]

        def step(g, w):
            change, state[0] = self.rule.update(g, state[0], w)
            return change

        return step

    def update(self, g, state, w):
        return state(g, w), state


def test_settings_are_those_that_the_port_has_arguments_for():
    assert {row[0] for row in judge.check(ports.Muon, "torch", **SMALL).rows()} == {
        "default", "weight decay", "without Nesterov", "momentum 0.5", "3 steps", "small gradients",
        "zero gradient first",
    }  # fmt: skip
    given = judge.check(ports.Muon, "torch", arguments={"momentum": 0.5, "nesterov": False},
                        **SMALL | {"switches": {"precision": None, "momentum": 0.5, "nesterov": False}})  # fmt: skip
    assert given.holds
    assert {"momentum 0.5", "without Nesterov", "with Nesterov"}.isdisjoint(row[0] for row in given.rows())


def test_a_port_without_a_visible_momentum_is_judged_by_its_parameters():
    report = judge.check(Bare, "torch", **SMALL)
    assert report.holds and any("no momentum buffer is found" in note for note in report.notes)
    wrong = judge.check(lambda lr: Bare(lr, ports.AfterTheStep), "torch", **SMALL)
    assert not wrong.holds and "updated after the step" in wrong.reasons[0]


def test_what_the_updates_alone_do_not_tell_is_not_refused():
    """(MUON-SAME), where eps does not count."""
    report = judge.check(lambda lr: Bare(lr, ports.HeavyBall), "torch", settings=["default"], **SMALL)
    assert report.holds


def test_a_changed_gradient_is_a_note():
    report = judge.check(ports.InPlace, "torch", settings=["default"], **SMALL)
    assert report.holds and any(note.startswith("the gradient is another one") for note in report.notes)


def test_a_kernel_is_flattened():
    report = judge.check(ports.Muon, "pytorch_optimizer", switches={"precision": None, "weight_decay": 0.1},
                         shapes=[judge.KERNEL], count=2)  # fmt: skip
    assert report.holds
    columns = judge.check(ports.Muon, "pytorch_optimizer", count=2, shapes=[judge.KERNEL], settings=["default"],
                          switches={"precision": None, "weight_decay": 0.1, "view": "last-axis"})  # fmt: skip
    assert "view='first-axis'" in columns.reasons[0]


def test_bias_correction_is_named():
    claim = {"precision": None, "orientation": "out-in", "eps": 1e-7, "eps_rule": "clamp", "weight_decay": 0.1}
    report = judge.check(ports.Muon, "optax", **SMALL | {"switches": claim, "settings": ["default"], "count": 3})
    assert "bias_correction=False, not True" in report.reasons[0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_unit_is_that_of_the_format(dtype):
    report = judge.check(ports.Muon, "torch", dtype=dtype, settings=["default"], **SMALL)
    assert report.holds
    eps = np.finfo(dtype).eps
    assert all(record.unit.parameter <= 2000 * eps for record in report.records)


def test_a_spacing_too_much_is_refused_in_float64():
    class Off(ports.Muon):
        def mean(self, m, g):
            return super().mean(m, g) * (1 + 2.0**-48)

    assert not judge.check(Off, "torch", dtype="float64", settings=["default"], **SMALL).holds


def test_parameters_that_change_their_format_are_a_fault():
    class Wider(ports.Muon):
        def update(self, g, state, w):
            change, state = super().update(g, state, w)
            return change, {"momentum": state["momentum"].astype("float64")}

    report = judge.check(Wider, "torch", settings=["default"], **SMALL)
    assert report.holds  # more precision in a buffer is no fault


def test_a_port_that_divides_zero_by_zero_is_refused():
    with np.errstate(all="ignore"):
        report = judge.check(ports.NoEps, "torch", settings=["zero gradient first"], **SMALL)
    assert not report.holds and any("not finite" in fault for fault in report.faults)


def test_exceptions_are_faults_unless_nothing_runs():
    class Picky(ports.Muon):
        def __init__(self, lr, momentum=0.95, nesterov=True):
            if not nesterov:
                raise NotImplementedError("only with Nesterov")
            super().__init__(lr, momentum=momentum)

    report = judge.check(Picky, "torch", settings=["default", "without Nesterov"], **SMALL)
    assert report.faults == ["without Nesterov: raises NotImplementedError: only with Nesterov"]

    class Broken(ports.Muon):
        def update(self, g, state, w):
            raise RuntimeError("never")

    with pytest.raises(CannotRun, match="RuntimeError: never"):
        judge.check(Broken, "torch", **SMALL)


class Nothing(NamedTuple):
    init: object = None


@pytest.mark.parametrize(
    ("port", "options", "said"),
    [
        (ports.Muon, {"rule": "auto"}, "name the preset"),
        (ports.Muon, {"rule": "tensorflow"}, "is none of jordan, torch"),
        (ports.Muon, {"rule": "torch", "switches": {"nestrov": True}}, "nestrov is no switch"),
        (ports.Muon, {"rule": "torch", "settings": ["nesterov"]}, "no setting nesterov of this port: default"),
        (ports.Muon, {"rule": "torch", "shapes": [(4,)]}, r"\(4,\) is no matrix"),
        (ports.Muon, {"rule": "torch", "shapes": [(0, 4)]}, r"\(0, 4\) is no matrix"),
        (ports.Muon, {"rule": "torch", "dtype": "int8"}, "dtype='int8' is none of"),
        (lambda lr: Nothing(), {"rule": "torch"}, "a Nothing cannot be driven"),
        (lambda beta: Nothing(), {"rule": "torch"}, "takes no learning rate"),
        (3, {"rule": "torch"}, "a int is no class or function"),
    ],
)
def test_what_cannot_be_driven_is_a_sentence(port, options, said):
    with pytest.raises(CannotRun, match=said):
        judge.check(port, **options)


def test_the_assertion():
    given = {"precision": None, "shapes": [(12, 3)], "count": 2}
    testing.assert_step(ports.Muon, "torch", **given)
    with pytest.raises(PortFailure, match=r"(?s)assert_step: NesterovTwice: FAILS as torch.*made twice"):
        testing.assert_step(ports.NesterovTwice, "torch", **given)


def test_the_report():
    report = judge.check(ports.NesterovTwice, "torch", settings=["default"], name="<b>", **SMALL)
    found = json.loads(report.json())
    assert found["schema"] == judge.SCHEMA and found["status"] == "FAILS"
    assert len(found["records"]) == len(report.records) == 3 * 2
    assert found["reasons"] == report.reasons
    page = report.html()
    assert "&lt;b&gt;: FAILS" in page and "<b>:" not in page and "made twice" in page
    assert report.summary() in report.text() and "(MUON-UNIT)" in report.text()


def test_the_command(tmp_path, capsys):
    page, found, port = tmp_path / "page.html", tmp_path / "found.json", tmp_path / "port_of_muon.py"
    port.write_text(
        "from meta.wrong_optimisers import Muon, NesterovTwice\n"
        "def right(lr): return Muon(lr)\n"
        "def wrong(lr): return NesterovTwice(lr)\n"
    )
    claim = ["--op", "muon", "--preset", "torch", "--switch", "precision=None", "--eps", "1e-7", "--shape", "4x2"]
    assert main(["check", f"{port}:right", *claim, "--html", str(page), "--json", str(found)]) == 0
    assert "right: HOLDS as torch" in capsys.readouterr().out
    assert "HOLDS" in page.read_text() and json.loads(found.read_text())["status"] == "HOLDS"
    assert main(["check", f"{port}:wrong", *claim]) == 1
    assert "made twice" in capsys.readouterr().out


@pytest.mark.parametrize("preset", steps.PRESETS)
def test_every_reason_is_another_step(preset):
    """None of them is the rule itself, where all of it counts: some have an effect on tall or long matrices only."""
    rng, points = np.random.default_rng(0), []
    for shape, nesterov, scale, k in (((6, 3), True, 1.0, 3), ((3, 6), False, 1e-9, 3), ((3, 6), True, 1.0, 1)):
        options = {**steps.PRESETS[preset], "weight_decay": 1.0, "nesterov": nesterov}
        m, w, g, before = scale * rng.standard_normal((4, *shape))
        m = m if k > 1 else 0 * m
        state = ratios.State(m, w, g, k, 0.1, 0.2, before)
        points.append((state, options, ratios.stepped(state, options)))
    for reason in (*switches(steps.PRESETS[preset], False), *mistakes()):
        idle = reason.key.endswith("not read") or reason.key == "nesterov=True"
        idle |= options["decay"] == "coupled" and reason.key.startswith("decay-")
        idle |= options["averaging"] == "heavy-ball" and reason.key == "first-gradient"
        idle |= options["factor"] == "match-rms" and reason.key.startswith("orientation")
        differs = any(
            ratios.norm(x - y) > 1e-9 * ratios.norm(y)
            for state, options, right in points
            for x, y in zip(reason.step(state, options), right, strict=True)
        )
        assert differs or idle, reason.key
    assert len(list(formats(options, "float32", "float32"))) == 4
