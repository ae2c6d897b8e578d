"""Parts of the search for what a black box computes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from orthoref import newton_schulz
from orthoref.oracle import cases
from orthoref.oracle.newton_schulz import identify as search
from orthoref.oracle.newton_schulz.claim import iteration, run
from orthoref.oracle.newton_schulz.hypotheses import Divisor, Table, of_schedule
from orthoref.oracle.newton_schulz.identify import SHAPES, Identification

A = cases.matrix((9, 6), cond=30, seed=2, scale=3.7)


@pytest.mark.parametrize(
    ("errors", "separation"),
    [([1.0, 2.0, 5.0], 5.0), ([2.0, 5.0, 6.0, 7.0], 3.5), ([1.0, 3.0, 4.0], 4.0), ([1.0], np.inf), ([1.0, 2.0], np.inf),
     ([0.0, 1.0], np.inf)],
)  # fmt: skip
def test_the_next_that_can_be_told_apart(errors, separation):
    """Those within three times the best error cannot."""
    assert search._separation([(error, None) for error in errors]) == separation


def test_divisors_and_eps_that_are_tried():
    found = search._divisors()
    assert len(found) == 13 and found[-1] == Divisor("none") and Divisor("spectral", 1.02) in found
    of = [*search._with_eps(Divisor("spectral", 1.02))]
    assert of[0] == Divisor("spectral", 1.02) and len(of) == 1 + 2 * 10 + 3
    assert {(d.eps, d.rule) for d in of[1:]} == {(e, r) for e in search.EPSILONS[1:] for r in ("add", "clamp")} | {
        (e, "squared clamp") for e in (1e-7, 1e-9, 1e-15)
    }
    assert all((d.kind, d.factor) == ("spectral", 1.02) for d in of)
    assert len([*search._with_eps(Divisor("aol"))]) == 21 and [*search._with_eps(Divisor("none"))] == [Divisor("none")]


def test_the_multiple_that_is_nearest():
    table = Table(of_schedule(iteration("jordan").schedule, 6))
    x = run(A, iteration("jordan", steps=4))
    with np.errstate(all="ignore"):
        assert search._multiple(table, A, 0.37 * x) == pytest.approx(0.37, rel=1e-12, abs=0)
        assert search._multiple(table, A, 0 * x) == 0


@pytest.mark.parametrize("scale", ["none", "0.2 sqrt(max(m, n))"])
def test_results_of_a_matrix_and_its_multiple_wander(scale):
    best = iteration("jordan", scale=scale)
    a = cases.matrix(SHAPES[0], cond=10, seed=2)
    x, noise = best.factor(*SHAPES[0]) * run(a, best), 1e-3 * np.random.RandomState(0).standard_normal((2, *SHAPES[0]))
    other = (A, run(A, best))
    assert search._wanders([(a, x + noise[0]), other, (2 * a, x + noise[1])], best)
    assert not search._wanders([(a, x + noise[0]), other, (2 * a, x + noise[0])], best)
    assert not search._wanders([(a, x + noise[0]), other, (2 * a, x - 3 * noise[0])], best)
    assert not search._wanders([(a, x + noise[0]), other], best)  # one says nothing
    assert not search._wanders([other], best)
    mixed = noise[0] + 2 * noise[1]  # a cosine of 0.45
    assert search._wanders([(a, x + noise[0]), (2 * a, x + mixed)], best)
    assert not search._wanders([(a, x + noise[0]), (2 * a, x + 1.3 * noise[0] + 2 * noise[1])], best)


def test_an_undecided_result_counts_where_it_is_near():
    assert search._undecided(SimpleNamespace(forward=2.0, unit=0.125)) == 2.0
    assert search._undecided(SimpleNamespace(forward=2.0, unit=0.13)) == np.inf


def test_storing_in_a_format():
    x = np.array([[1 + 2.0**-30, 1 + 2.0**-9]])
    assert np.array_equal(search._store(x, "float32"), [[1.0, 1 + 2.0**-9]])
    assert np.array_equal(search._store(x, "float16"), [[1.0, 1 + 2.0**-9]])
    assert np.array_equal(search._store(x, "bfloat16"), [[1.0, 1.0]])
    assert np.isnan(search._store(1e6 * x, "float16")).all()


@pytest.mark.parametrize("scale", ["none", "0.2 sqrt(max(m, n))"])
def test_the_scalar_map_and_whether_all_have_converged(scale):
    best = iteration("jordan", scale=scale)
    diagonal = np.diag(np.geomspace(1, 1e-3, 6))
    pairs = [(A, best.factor(9, 6) * run(A, best)), (diagonal, best.factor(6, 6) * run(diagonal, best))]
    inputs, outputs, converged = search._scalar_map(pairs, best)
    np.testing.assert_allclose(inputs, np.diagonal(diagonal) / np.linalg.norm(diagonal), rtol=1e-14, atol=0)
    np.testing.assert_allclose(outputs, np.diagonal(run(diagonal, best)), rtol=1e-13, atol=0)
    assert not converged
    p, _, vh = np.linalg.svd(A, full_matrices=False)
    for off, is_one in ((0.0, True), (9e-4, True), (1.1e-3, False)):
        ones = [(A, (1 + off) * best.factor(9, 6) * p @ vh), (diagonal, best.factor(6, 6) * np.eye(6))]
        assert search._scalar_map(ones, best)[2] == is_one
        assert search._scalar_map(ones[::-1], best)[2] == is_one
    dense = search._scalar_map(pairs[::-1], best)  # the last is not diagonal
    np.testing.assert_allclose(np.sort(dense[0]), np.sort(np.diagonal(diagonal)) / np.linalg.norm(diagonal), rtol=1e-12,
                               atol=0)  # fmt: skip


def found(**options):
    plain = {"match": None, "precision": None, "ratio": 7.0, "separation": np.inf, "alike": (), "converged": False,
             "best": iteration("jordan"), "inputs": np.array([1.0, 0.5]), "outputs": np.array([0.7, 1.1])}  # fmt: skip
    return Identification(**(plain | options)).text()


def test_findings():
    assert found().startswith(
        "none of these. Nearest: jordan, 5 steps, norm frobenius, 7 times its rounding error away\n"
    )
    assert "from 0.5 to 1 (of a Frobenius norm 1) become 0.7 to 1.1" in found()
    assert "these steps explode in the format of the probes" in found(ratio=np.inf)
    match = {"match": iteration("jordan"), "precision": "float32"}
    assert found(**match).split("\n") == [
        "jordan, 5 steps, norm frobenius", "  computed in float32: 7 of its expected rounding error"
    ]  # fmt: skip
    full = found(**match, separation=12.0, alike=("this", "that"), around=("times 2",), dropped=("probe",)).split("\n")
    assert full[1] == "  times 2" and full[3] == "  the next candidate is 12 times farther away"
    assert full[4:] == ["  not distinguished by these probes:", "    this", "    that", "  not used: probe"]
    assert found(converged=True, outputs=np.array([1.0, 1.002])).startswith(
        "the polar factor to 0.002: every converged"
    )


def test_three_dense_probes_are_enough():
    def port(shapes):
        def of(a):
            if a.shape not in shapes:
                raise ValueError(f"not {a.shape}")
            return a.copy()

        return of

    dense, small, dropped = search._probed(port(SHAPES), None, "float32")
    assert [a.shape for a, _ in dense] == [*SHAPES] and len(small) == len(search.SMALL_NORMS)
    assert dropped == ("not (8, 11)", "not (40, 40)")
    with pytest.raises(ValueError, match=r"not \(27, 12\)"):
        search._probed(port(SHAPES[:2]), None, "float32")
    with pytest.raises(ValueError, match="the port returned shape"):
        search._probed(lambda a: a.T, None, "float32")
    _, small, dropped = search._probed(
        lambda a: a * np.float32(np.inf if np.abs(a).max() < 1e-3 else 1), None, "float32"
    )
    assert len(small) < len(search.SMALL_NORMS) and "the port returned NaN or infinity for a (24, 24)" in dropped[0]


@pytest.mark.parametrize(
    ("ratios", "form", "ratio"),
    [  # of the standard form, of the Gram form, and of that with a restart
        ((0.5, 0.1, 0.1), "standard", 0.5), ((1.5, 0.9, 0.2), "gram", 0.9), ((3.0, 2.0, 3.5), "gram", 2.0),
        ((3.0, 3.5, 2.5), "gram at 2", 2.5), ((2.0, 3.5, 2.5), "standard", 2.0), ((4.0, 9.0, 9.0), "standard", 4.0),
        ((4.1, np.inf, np.inf), None, 4.1), ((np.inf, np.inf, np.inf), None, np.inf),
    ],
)  # fmt: skip
def test_the_form_whose_rounding_explains_the_errors(monkeypatch, ratios, form, ratio):
    """The first of a ratio of at most 1, else the least of at most 4."""
    names = {("standard", ()): 0, ("gram", ()): 1, ("gram", (2,)): 2}
    monkeypatch.setattr(
        search, "_ratios", lambda pairs, claimed, *_: (ratios[names[claimed.form, claimed.restart]], 1.0)
    )
    best = iteration("jordan")
    x = A + 2.0**-40
    found, precision, shown = search._explained([(1e-3, best), (1e-2, iteration("you-5"))], [(A, x)], "float64")
    assert shown == ratio and precision == (None if form is None else "float64")
    known = {"standard": ("standard", ()), "gram": ("gram", ()), "gram at 2": ("gram", (2,)), None: ("standard", ())}
    assert (found.form, found.restart) == known[form]


def test_a_shorter_format_has_to_be_clear_and_seen(monkeypatch):
    def of(single, least, apart, wanders=True, x=A + 2.0**-40):
        monkeypatch.setattr(search, "_ratios", lambda pairs, claimed, precision, most: (
            (single, least) if precision.name == "float32" else (1e6, 1.0)))  # fmt: skip
        monkeypatch.setattr(search, "_wanders", lambda *_: wanders)
        ranked = [(1e-3, iteration("jordan")), (1e-3 * apart, iteration("you-5"))]
        return search._explained(ranked, [(A, x)], "float64")[1]

    assert of(0.5, 0.02, 10.0) == "float32"
    assert of(1.1, 0.02, 10.0) is None and of(0.5, 0.019, 10.0) is None
    assert of(0.5, 0.02, 9.9) is None and of(0.5, 0.02, 10.0, wanders=False) is None
    assert of(0.5, 0.0, 1.0, x=A.astype("float32").astype(float)) == "float32"  # its results are stored in it


def test_a_port_that_refuses_the_square_probes_is_identified():
    """Whether its errors wander cannot be seen then."""

    def port(a):
        if a.shape == SHAPES[0]:
            raise ValueError("square")
        return newton_schulz(a, "polar-express")

    found = search.identify(port, candidates=["polar-express"])
    assert found.match is not None and found.match.schedule.name == "polar-express" and len(found.dropped) == 6
