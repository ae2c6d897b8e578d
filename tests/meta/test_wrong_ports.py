"""Ports with one fault each, under one condition: the default battery must catch them all and say where they fail."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
from meta import wrong_newton_schulz_ports, wrong_polar_ports
from meta.wrong_ports import draw, faults

from orthoref import conformance, newton_schulz, testing
from orthoref.oracle.cases import Call
from orthoref.oracle.operations import OPERATIONS

pytestmark = pytest.mark.sample(4)

PORTS = {"polar": wrong_polar_ports, "newton_schulz": wrong_newton_schulz_ports}
CLAIMS = {"polar": {}, "newton_schulz": {"schedule": "muon"}}
ASSERTIONS = {"polar": testing.assert_polar, "newton_schulz": testing.assert_newton_schulz}
WRONG = [(operation, name) for operation, module in PORTS.items() for name in module.WRONG]
RIGHT = [(operation, name) for operation, module in PORTS.items() for name in module.RIGHT]


def ids(pairs):
    return [f"{operation}: {name}" for operation, name in pairs]


def near(a, x):
    """No rounding of five steps of so small matrices reaches 1000 eps; a failing assertion diagnoses, which is slow."""
    reference = newton_schulz(a)
    assert x.shape == a.shape and x.dtype.name == a.dtype.name
    with np.errstate(all="ignore"):  # x may hold anything
        assert np.linalg.norm(x - reference) <= 1000 * np.finfo(a.dtype).eps * np.linalg.norm(reference)


@pytest.fixture(scope="module")
def remembering():
    """Measure equal results at equal inputs once: a wrong port has the bits of the right one wherever it is right."""
    with pytest.MonkeyPatch.context() as patch:
        for operation, row in OPERATIONS.items():
            patch.setitem(OPERATIONS, operation, replace(row, measure=remembered(row.measure)))
        patch.setattr(wrong_polar_ports, "polar", computed_once(wrong_polar_ports.polar))
        patch.setattr(wrong_newton_schulz_ports, "muon", computed_once(wrong_newton_schulz_ports.muon))
        patch.setattr(Call, "__call__", built_once(Call.__call__))
        yield


def computed_once(function):
    """The base of the wrong ports, which compute it for the same inputs again and again."""
    kept = {}

    def computed(a):
        key = a.shape, a.dtype, a.tobytes()
        if key not in kept:
            kept[key] = function(a)
        found = kept[key]
        return tuple(x.copy() for x in found) if isinstance(found, tuple) else found.copy()

    return computed


def built_once(build):
    """Inputs as fresh copies with the same strides, where copying keeps them."""
    kept = {}

    def built(call):
        if dict(call.options).get("memory", "C") not in ("C", "F", "transposed"):
            return build(call)
        if call not in kept:
            kept[call] = build(call)
        return kept[call].copy(order="K")

    return built


def remembered(measure):
    kept = {}

    def measured(inputs, outputs, *rest):
        digest = hashlib.blake2b(repr(rest).encode())
        for name, x in {**inputs, **outputs}.items():
            digest.update(f"{name} {x.dtype} {x.value.dtype} {x.value.shape}".encode() + x.value.tobytes())
        key = digest.digest()
        if key not in kept:
            kept[key] = measure(inputs, outputs, *rest)
        return kept[key]

    return measured


def explanation(report):
    """Where the failures concentrate, in words: the sentences from the table, broken laws and promises."""
    return "; ".join([*report.sentences, *(fault for o in report.failed for fault in o.verdict.faults[:1])])


@pytest.mark.parametrize(("operation", "name"), WRONG, ids=ids(WRONG))
def test_a_wrong_port_is_wrong_where_it_says_and_right_elsewhere(operation, name):
    wrong = PORTS[operation].WRONG[name]
    judge = testing.assert_polar if operation == "polar" else near
    try:
        found = [*faults(wrong.fresh(), wrong.on, judge, threads=wrong.threads)]
    except Exception as error:  # what a port raises is a finding
        found = [error]
    assert found
    assert not [*faults(wrong.fresh(), wrong.but, ASSERTIONS[operation], last=True)]


@pytest.mark.parametrize(("operation", "name"), RIGHT, ids=ids(RIGHT))
def test_a_right_port_is_right_at_ordinary_inputs(operation, name):
    port = PORTS[operation].RIGHT[name]
    for shape, dtype in (
        ((3, 5, 4), "complex64"),
        ((2, 2, 3, 6), "float64"),
        ((17, 17), "float32"),
        ((0, 3), "float64"),
    ):
        calls = (draw(*shape, dtype=dtype),)
        assert not [*faults(port, calls, ASSERTIONS[operation])]


@pytest.mark.parametrize("operation", PORTS)
def test_there_are_enough(operation):
    assert len(PORTS[operation].WRONG) >= 60 and len(PORTS[operation].RIGHT) >= 10


@pytest.mark.exhaustive
@pytest.mark.parametrize(("operation", "name"), WRONG, ids=ids(WRONG))
@pytest.mark.usefixtures("remembering")
def test_the_default_battery_catches_it_and_says_where(operation, name):
    wrong = PORTS[operation].WRONG[name]
    report = conformance.check(wrong.fresh(), operation, progress=False, **CLAIMS[operation])
    assert not report.holds
    for factor in wrong.factors:
        assert re.search(factor, explanation(report))


@pytest.mark.exhaustive
@pytest.mark.parametrize(("operation", "name"), RIGHT, ids=ids(RIGHT))
@pytest.mark.usefixtures("remembering")
def test_the_default_battery_holds_for_right_ports(operation, name):
    report = conformance.check(PORTS[operation].RIGHT[name], operation, progress=False, **CLAIMS[operation])
    assert report.holds, report.text()
