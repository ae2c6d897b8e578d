"""Right results must pass, over many seeds, spectra, scales and precisions."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings

from orthoref import OutsideDomain, polar, testing
from orthoref.oracle import cases
from orthoref.oracle.lift import Lifted
from orthoref.oracle.newton_schulz.row import ROW
from orthoref.oracle.precision import PRECISIONS
from orthoref.oracle.verdict import judge
from orthoref.testing import strategies

pytestmark = pytest.mark.sample(4)

SHAPES = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (8, 8), (20, 20), (12, 3), (3, 12), (500, 2)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", SHAPES)
def test_lapacks_svd_route_passes(shape, dtype):
    # the constants of LAPACK's bidiagonal QR, 49 eps in binary64, are what the unit max(n, 8) eps is made for
    for spectrum in ("geometric", "graded", "log_uniform", "one_large"):
        for seed in range(15):
            a = cases.matrix(shape, spectrum=spectrum, cond=1e3, seed=seed, dtype=dtype)
            testing.assert_polar(a, *scipy.linalg.polar(a))


@pytest.mark.exhaustive
@settings(max_examples=150, deadline=None, derandomize=True)
@given(strategies.cases(max_batch=2))
def test_our_own_results_pass_with_a_tenth_of_the_limit(case):
    a = case.matrix()
    for method in ("svd", "newton", "qdwh", "zolotarev"):
        u, h = polar(a, method=method)
        testing.assert_polar(a, u, h, limit=1, recreate=f"{case.recreate} {method}")
        testing.assert_polar(a, u, limit=1)
        testing.assert_orthonormal(u, limit=1)


@pytest.mark.parametrize("n", [1, 2, 16, 64, 200])
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_factors_rounded_once_to_16_bits_pass(n, precision):
    for seed in range(5):
        a = cases.matrix((n, n), cond=1e4, seed=seed, dtype=precision).astype("float64")
        u, h = (cases.cast(x, precision) for x in polar(a))
        testing.assert_polar(a, u, h, precision=precision)
        testing.assert_polar(a, u, precision=precision)


def test_partial_isometries_pass_where_they_are_claimed():
    a = cases.matrix((6, 6), spectrum="rank_deficient", seed=1)
    u, h = polar(a, rank_deficient="partial")
    testing.assert_polar(a, u, h, rank_deficient="partial")
    with pytest.raises(AssertionError, match="partial isometry"):
        testing.assert_polar(a, u, h)


def test_nothing_is_there_to_fail_in_empty_stacks():
    for shape in ((0, 0), (0, 3), (3, 0), (0, 3, 3), (2, 0, 4)):
        a = np.zeros(shape)
        testing.assert_polar(a, *polar(a))
        testing.assert_orthonormal(a)


@pytest.fixture(scope="module")
def script():
    """docs/make_false_alarms.py."""
    pytest.importorskip("torch")
    pytest.importorskip("rich")
    path = Path(__file__).parents[2] / "docs" / "make_false_alarms.py"
    spec = importlib.util.spec_from_file_location("make_false_alarms", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def refused_by_the_row(drawn, x):
    """What a port is refused by."""
    inputs, outputs = ({name: Lifted(z.astype(x.dtype), None)} for name, z in (("a", drawn.a), ("x", x)))
    return not judge(ROW, inputs, outputs, drawn.claimed, precision=PRECISIONS[drawn.precision], reasons=False).holds


@pytest.mark.exhaustive
def test_the_script_scores_all_that_a_port_is_refused_for(script):
    """Right results, and wrong ones: multiples, zero, what is far off; in all formats."""
    random, seen = np.random.RandomState(7), {True: 0, False: 0}
    for k in range(250):
        drawn = script.draw(random, large=0.0)
        x = script.compute(drawn.a, drawn.claimed, drawn.precision, drawn.way, drawn.turned)
        if not np.isfinite(x).all() or not x.any():
            continue
        x = [x, 1.1 * x, 0 * x, x + 1e4 * np.linalg.norm(x), -x][k % 5]
        try:
            found = script.scores(drawn, x)
            refused = refused_by_the_row(drawn, x)
        except OutsideDomain:
            continue
        assert (not all(ratio <= 1 for ratio in found.values())) == refused, (str(drawn), found)
        seen[refused] += 1
    assert min(seen.values()) >= 60


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(3))
def test_no_false_alarm_in_some_hundred_draws(script, seed):
    """The drawing of docs/make_false_alarms.py, in all rows, formats, forms and kinds of matrices."""
    seen = script.Seen()
    script.run(1000 + seed, 250, seen)
    assert not seen.refused, seen.largest
    assert sum(len(each) for each in seen.ways.values()) > 200
    assert {row for row, *_ in seen.ways} == set(script.ROWS)
    assert "newton_schulz" in script.ROWS and "Refused: 0." in script.report(seen, 250, [1000 + seed])
