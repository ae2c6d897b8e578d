"""Wrong optimisers are refused and named, right ones are held: in NumPy, the iteration in float32 and in bfloat16."""

from __future__ import annotations

import pytest
from meta import wrong_optimisers as ports

from orthoref.oracle.optimisers.judge import check

SHAPES = [(12, 3), (3, 12)]
WRONG = {port.__name__: (port, *expected) for port, expected in ports.WRONG.items()}
SLOW = [ports.NoNesterovAndOneStepMore, ports.ThreeSwitches, ports.Shorter]  # all pairs are tried
NAMES = [pytest.param(name, marks=pytest.mark.exhaustive if port in SLOW else ()) for name, (port, *_) in WRONG.items()]


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_optimiser_is_refused_and_named(name):
    port, said, settings = WRONG[name]
    report = check(port, "torch", switches={"precision": None}, shapes=SHAPES, settings=settings, count=2)
    assert report.status == "FAILS"
    assert said in "\n".join(report.faults + report.reasons)


@pytest.mark.exhaustive
def test_several_switches_at_once():
    report = check(ports.ThreeSwitches, "torch", switches={"precision": None}, shapes=SHAPES, settings=("default",))
    (reason,) = report.reasons
    for name in ("averaging='heavy-ball'", "nesterov=False", "factor='none'"):
        assert name in reason


@pytest.mark.parametrize("port", ports.RIGHT)
def test_a_right_optimiser_is_held(port):
    report = check(port, "torch", switches={"precision": None}, shapes=SHAPES, count=2)
    assert report.holds, report.text()


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("port", ports.RIGHT)
def test_a_right_optimiser_is_held_for_every_seed(port, seed):
    report = check(port, "torch", switches={"precision": None}, seed=seed)
    assert report.holds, report.text()
    assert max(max(m, w) for _, m, w, _ in report.rows()) <= 0.5
