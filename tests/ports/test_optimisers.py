"""Optimisers of other packages, driven as they are."""

from __future__ import annotations

import os

import pytest

from orthoref.cli import main
from orthoref.oracle.optimisers.judge import PACKAGES, check
from orthoref.steps import PRESETS
from orthoref.testing import assert_step

pytestmark = pytest.mark.port
SMALL = {"shapes": [(12, 3), (3, 12)], "count": 2}
NAMES = ("torch.optim:Muon", "optax.contrib:muon", "pytorch_optimizer:Muon", "keras.optimizers:Muon")


@pytest.fixture
def port(request):
    """The port; asked for here, the import of a framework is no time of a test."""
    home, _, name = request.param.partition(":")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("torch")
    return getattr(pytest.importorskip(home), name)


@pytest.fixture(scope="module")
def torch():
    found = pytest.importorskip("torch")
    p = found.nn.Parameter(found.eye(2))
    p.grad = found.eye(2)
    found.optim.Muon([p], lr=0.1).step()  # the first step imports what torch.compile needs
    return found


@pytest.fixture(scope="module")
def hand_written(torch):
    class Muon(torch.optim.Optimizer):
        """Muon in bfloat16, written by hand."""

        turned_back = True

        def __init__(self, params, lr, momentum=0.95, weight_decay=0.1):
            super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

        def iterated(self, d):
            x = d.bfloat16() / d.norm().clamp(min=1e-7)
            wide = x.shape[0] <= x.shape[1]
            x = x if wide else x.T
            for _ in range(5):
                gram = x @ x.T
                x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
            return x if wide or not self.turned_back else x.T

        def buffer(self, p):
            return self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))

        @torch.no_grad()
        def step(self):
            for group in self.param_groups:
                for p in group["params"]:
                    m = self.buffer(p)
                    m.mul_(group["momentum"]).add_(p.grad, alpha=1 - group["momentum"])
                    o = self.iterated(torch.lerp(p.grad, m, group["momentum"])).reshape(p.shape)
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(o, alpha=-group["lr"] * max(1, p.shape[0] / p.shape[1]) ** 0.5)

    return Muon


@pytest.mark.parametrize("port", NAMES[:1], indirect=True)
def test_a_port_holds_as_it_is(port, torch):
    assert check(port, settings=["weight decay"], **SMALL).holds


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("port", NAMES, ids=lambda name: f"jax-{name}", indirect=True)
def test_ports_hold_as_they_are(port, seed):
    report = check(port, seed=seed, settings=["default", "weight decay", "small gradients"])
    assert report.holds, report.text()


def test_an_optimiser_by_hand_holds(hand_written):
    assert_step(hand_written, "torch", settings=["default", "weight decay", "changing rate"], **SMALL)


def test_a_buffer_in_the_memory_of_the_gradient(hand_written):
    class Aliased(hand_written):
        def buffer(self, p):
            return self.state[p].setdefault("momentum_buffer", p.grad)

    report = check(Aliased, "torch", settings=["default"], **SMALL)
    assert not report.holds and any("memory is not its own" in fault for fault in report.faults)


def test_a_rate_that_is_read_once(hand_written):
    class Once(hand_written):
        def step(self):
            for group in self.param_groups:
                group["lr"] = group.setdefault("first", group["lr"])
            super().step()

    report = check(Once, "torch", settings=["default", "changing rate"], **SMALL)
    assert "learning rate is that of the first step" in report.reasons[0]


def test_a_buffer_for_all_parameters_of_a_shape(hand_written, torch):
    class Shared(hand_written):
        def buffer(self, p):
            first = next(q for q in self.param_groups[0]["params"] if q.shape == p.shape)
            self.state[p]["momentum_buffer"] = super().buffer(first)
            return self.state[p]["momentum_buffer"]

    report = check(Shared, "torch", settings=["default"], **SMALL)
    assert not report.holds and any("share a buffer" in fault for fault in report.faults)


def test_a_matrix_that_is_not_turned_back(hand_written):
    class NotTurned(hand_written):
        turned_back = False

    report = check(NotTurned, "torch", settings=["default"], **SMALL)
    assert "not transposed back" in report.reasons[0]


def test_torch_divides_the_buffer_of_a_bfloat16_parameter(torch):
    report = check(torch.optim.Muon, dtype="bfloat16", settings=["default", "without Nesterov"], **SMALL)
    assert report.reasons == ["aliased=True, not False"]


@pytest.mark.exhaustive
def test_the_command(torch, tmp_path, capsys):
    page, found = tmp_path / "page.html", tmp_path / "found.json"
    shapes = ["--shape", "12x3"]
    assert main(["check", "torch.optim:Muon", "--op", "muon", *shapes, "--html", str(page), "--json", str(found)]) == 0
    assert "torch.optim:Muon: HOLDS as torch, float32" in capsys.readouterr().out
    assert "HOLDS" in page.read_text() and '"status": "HOLDS"' in found.read_text()
    wrong = ["--switch", "nesterov=False", "--steps", "5"]
    assert main(["check", "torch.optim:Muon", "--op", "muon", *shapes, *wrong]) == 1
    assert "nesterov=True, not False" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["torch.optim:Muon", "--jobs", "2"], "--jobs does not go with --op muon"),
        (["torch.optim:Muon", "--dtype", "float32", "--dtype", "bfloat16"], "one --dtype at a time"),
        (["torch.optim:Muon", "--switch", "nesterov"], "not of the form NAME=VALUE"),
        (["torch.optim:Muon", "--switch", "nestrov=1"], "nestrov is no switch of the rule"),
        (["numpy.linalg:svd"], "name the preset that it claims to be"),
        (["numpy.linalg:svd", "--preset", "torch"], "takes no learning rate"),
        (["torch.optim:LBFGS", "--shape", "4x4"], "the port cannot be run"),
    ],
)
def test_what_the_command_refuses(torch, arguments, said, capsys):
    assert main(["check", *arguments, "--op", "muon"]) == 2
    assert said in capsys.readouterr().err


def test_every_package_has_its_preset():
    assert set(PACKAGES.values()) <= set(PRESETS)
