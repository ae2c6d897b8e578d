"""Benchmarks that other projects inherit: what is timed is what is called, what is wrong is refused."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg

import orthoref
from orthoref.testing import asv

ROOT = Path(__file__).parents[2]


class Right(asv.Port):
    shapes, dtype = [(8, 4), (2, 3, 3)], "float64"
    port = staticmethod(scipy.linalg.polar)


class Long(Right):
    """Off by a part in a thousand."""

    port = staticmethod(lambda a: tuple(1.001 * x for x in scipy.linalg.polar(a)))


class Missing(Right):
    port = staticmethod(lambda a: tuple(np.nan * x for x in scipy.linalg.polar(a)))


def test_parameters_are_the_shapes_of_each_port():
    assert Right.params == ([(8, 4), (2, 3, 3)],)
    assert asv.Port.param_names == ("shape",)


def test_a_port_without_parameters_is_skipped():
    """asv finds the base class where a module imports it by name."""
    with pytest.raises(NotImplementedError):
        asv.Port().setup()


def test_errors_are_shares_of_the_limit():
    assert 0 < Right().track_error((8, 4)) <= 1
    off = Long().track_error((8, 4))
    unit = 10 * 8 * 2.0**-52  # limit and unit of an orthonormality check of 4 columns: |I - U^H U|_F = 0.002 sqrt(4)
    assert off >= 0.9 * 0.002 * 2 / unit


def test_what_no_ratio_judges_fails_with_the_report():
    with pytest.raises(RuntimeError, match=r"FAILS"):
        Missing().track_error((8, 4))


@pytest.mark.parametrize("operation", ["polar", "newton_schulz", "polar_vjp", "stiefel.retract_qr", "stiefel.log"])
def test_inputs_are_those_of_the_operation(operation):
    arrays = asv.inputs(operation, (12, 5), "complex64")
    row = orthoref.conformance.row_of(operation)
    assert len(arrays) == len(row.inputs)
    assert arrays[0].shape == (12, 5) and arrays[0].dtype == np.complex64 and arrays[0].flags.c_contiguous
    s = np.linalg.svd(arrays[0], compute_uv=False)
    assert s[0] / s[-1] == pytest.approx(1.0 if row.levels.frames else 1e3, rel=1e-3, abs=0)


def test_ratios_are_those_of_the_time():
    """Of sleeps, in wall time: they are at least as long as asked for."""
    ratio = asv.paired_ratio(lambda: time.sleep(0.02), lambda: time.sleep(0.002), wall=True, pairs=1, sample=0.001)
    assert ratio > 1


def test_the_port_is_called_once_a_measurement():
    pytest.importorskip("threadpoolctl")
    calls = []

    class Counted(Right):
        port = staticmethod(lambda a: calls.append(a.shape))

    bench = Counted()
    bench.setup((8, 4))
    assert calls == [(8, 4)]
    bench.time_port((8, 4))
    bench.peakmem_port((8, 4))
    bench.teardown()
    assert calls == 3 * [(8, 4)]


def test_what_is_converted_is_what_the_port_gets():
    pytest.importorskip("threadpoolctl")

    class Listed(Right):
        port = staticmethod(type)
        convert = staticmethod(lambda a: a.tolist())

    bench = Listed()
    bench.setup((8, 4))
    assert bench._call() is list
    bench.teardown()


@pytest.mark.exhaustive
def test_asv_runs_the_project_of_the_page(tmp_path):
    """The files of docs/how_to_follow_speed word for word, three commits: the second is refused, and no other."""
    pytest.importorskip("asv")
    path = ROOT / "docs" / "make_asv_graph.py"
    pytest.importorskip("matplotlib")
    if not path.exists():
        pytest.skip("the documentation is not here")
    spec = importlib.util.spec_from_file_location("make_asv_graph", path)
    graph = importlib.util.module_from_spec(spec)
    sys.modules["make_asv_graph"] = graph
    spec.loader.exec_module(graph)
    found = graph.measured(tmp_path, "--quick")
    errors = {version: max(numbers["track_error"]) for version, numbers in found.items()}
    assert errors["SVD"] <= 1 < errors["12 cubic steps"] and errors["SVD of R"] <= 1
    assert all(0 < x < np.inf for numbers in found.values() for each in numbers.values() for x in each)
