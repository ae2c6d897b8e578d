"""What is known of one result before it is measured: whether it has converged, where an error sits, on which grid."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from orthoref import newton_schulz, polar
from orthoref._schedules.schedule import Normalization, Row, Schedule
from orthoref.oracle import cases
from orthoref.oracle.newton_schulz import reasons
from orthoref.oracle.newton_schulz.claim import iteration, run
from orthoref.oracle.newton_schulz.reasons import _concentrated, _grids, _Known, _spread, _with_values_of
from orthoref.oracle.newton_schulz.reasons import _without_conjugates as without_conjugates
from orthoref.oracle.precision import PRECISIONS

FLOAT64, FLOAT32, BFLOAT16 = (PRECISIONS[name] for name in ("float64", "float32", "bfloat16"))
A = cases.matrix((16, 16), cond=100, seed=1)


def known(a, x, claimed=None, eps=FLOAT64.eps):
    claimed = claimed or iteration("muon")
    return _Known(a, x, claimed, claimed.factor(*a.shape) * run(a, claimed), eps)


@pytest.mark.parametrize("scale", ["none", "0.2 sqrt(max(m, n))"])
def test_a_converged_result_errs_by_eps_times_the_condition(scale):
    claimed = iteration("muon", scale=scale)
    u = polar(A)[0] * claimed.factor(16, 16)
    noise = np.random.RandomState(0).standard_normal((16, 16))
    noise *= 8 * FLOAT64.eps * 100 * np.linalg.norm(u) / np.linalg.norm(noise) / claimed.factor(16, 16)
    for times, converged in ((0, True), (0.9, True), (1.2, False)):
        assert known(A, u + times * noise * claimed.factor(16, 16), claimed).converged() == converged
    assert not known(A, 2 * u, claimed).converged() and not known(A, run(A, claimed), claimed).converged()


def test_a_claim_that_converges_itself_says_nothing():
    """Not a hundred times nearer to the polar factor than to the claim."""
    claimed = iteration("newton-schulz-5", steps=12)
    assert not known(A, run(A, claimed), claimed).converged()


def test_singular_inputs_have_no_condition():
    a = np.diag([1.0, 0.5, 0.25, 0.0])
    with np.errstate(all="ignore"):  # as in variants
        assert known(a, np.eye(4)).converged() and not known(a, np.diag([1.0, 1.0, 1.0, 0.0])).converged()


@pytest.mark.parametrize("shape", [(4, 4), (9, 5), (5, 9)])
def test_where_an_error_sits(shape):
    def at(*places):
        error = np.zeros(shape)
        for place, value in places:
            error[place] = value
        return _concentrated(error)

    assert at(((1, 2), 1.0)) == "entry (1, 2)"
    assert at(((1, 2), 3.0), ((2, 3), 0.9)) == "entry (1, 2)" and at(((1, 2), 3.0), ((2, 3), 1.01)) == ""
    assert at((1, 1.0)) == "row 1" and at(((slice(None), 3), 1.0)) == "column 3"
    assert at((1, 1.0), ((2, 0), 0.5 * shape[1] ** 0.5)) == "" and at((1, 1.0), ((2, 0), 0.3)) == "row 1"
    assert _concentrated(np.ones(shape)) == ""
    assert _concentrated(1j * np.eye(*shape)) == ""


@pytest.mark.parametrize("shape", [(3, 3), (9, 3), (3, 9)])
def test_of_a_few_rows_or_columns_none_is_named(shape):
    error = np.zeros(shape)
    error[1, 2] = 1
    assert _concentrated(error) == ""


def test_grids_that_hold_all_entries():
    x = np.array([[1.0, 0.5], [3.0, 0.0]])
    assert _grids(x, FLOAT64) == ["bfloat16", "float16", "float32"] and _grids(x, FLOAT32) == ["bfloat16", "float16"]
    assert _grids(x, BFLOAT16) == []
    assert _grids(x + 2.0**-10, FLOAT64) == ["float32"] and _grids(x + 2.0**-30, FLOAT64) == []
    assert _grids(1e5 * x, FLOAT64) == ["float32"] and _grids(x * 1j, FLOAT32) == ["bfloat16", "float16"]
    assert _grids((1 + 2.0**-10) * np.eye(2), FLOAT64) == ["float16", "float32"]
    assert _grids(1j * (1 + 2.0**-30) * np.eye(2), FLOAT64) == []


def test_an_error_that_is_everywhere():
    reference = np.random.RandomState(0).standard_normal((20, 20))
    error = np.random.RandomState(1).standard_normal((20, 20))
    assert _spread(error, reference)
    concentrated = 1e-3 * error
    concentrated[3] = 1
    assert not _spread(concentrated, reference)
    zero = reference * (np.arange(20) < 8)  # where nothing is nothing errs
    assert _spread(error * (zero != 0), zero)


def test_values_with_other_vectors():
    x, reference = np.diag([3.0, 2.0, 1.0]), cases.matrix((5, 3), cond=10, seed=2)
    found = _with_values_of(np.eye(5, 3) @ x, reference)
    p, _, vh = np.linalg.svd(reference, full_matrices=False)
    np.testing.assert_allclose(found, p @ x @ vh, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_an_iteration_without_conjugates(shape):
    real = cases.matrix(shape, cond=10, seed=2)
    claimed = iteration("you-5", scale="0.2 sqrt(max(m, n))", eps=0.5)
    np.testing.assert_allclose(
        without_conjugates(real, claimed), claimed.factor(*shape) * run(real, claimed), rtol=0, atol=1e-13
    )
    a = cases.matrix(shape, cond=10, seed=2, dtype="complex128")
    x = a if shape[0] > shape[1] else a.conj().T
    x = x / (np.linalg.norm(a) + 0.5)
    for row in claimed.schedule.steps(5):
        c0, c1, c2 = (float(c) for c in row.numerator)
        g = x.T @ x
        x = c0 * x + x @ (c1 * g + c2 * g @ g)
    x = x if shape[0] > shape[1] else x.conj().T
    np.testing.assert_allclose(without_conjugates(a, claimed), claimed.factor(*shape) * x, rtol=1e-10, atol=0)


def test_why_eps_did_not_help():
    def said(eps, precision=FLOAT32):
        return [*reasons._lost_eps(iteration("muon", eps=eps), precision)]

    assert said(0.0) == ["no eps is claimed: zero has to be told apart"]
    assert said(1e-7) == ["eps 1e-07 is missing"]
    assert said(1e-10) == ["eps 1e-10 is missing, or was stored in float16, where it is zero"]
    assert said(1e-46) == ["eps 1e-46 is missing, or was stored in float32, where it is zero"]
    assert said(1e-10, BFLOAT16) == ["eps 1e-10 is missing"]
    assert np.isfinite(newton_schulz(np.zeros((2, 2)), eps=1e-7)).all()


def fitted(x, claimed, a=A):
    with np.errstate(all="ignore"):
        return {variant.key: variant for variant in reasons._fitted(known(a, x, claimed))}


def test_a_number_that_was_not_to_be_expected():
    claimed = iteration("jordan", steps=2)
    multiple = fitted(1.3 * run(A, claimed), claimed)["multiple"]
    assert multiple.reason == "x is 1.3 times what it should be"
    np.testing.assert_allclose(multiple.outputs["x"], run(A, claimed), rtol=0, atol=1e-12)
    norm = fitted(run(A, iteration("jordan", steps=2, normalize=Normalization("frobenius", "1.25"))), claimed)["norm"]
    assert norm.reason.startswith("a was divided by 1.25 times its norm: another norm, or ")
    assert float(norm.claimed.normalization.factor) == pytest.approx(1.25, rel=1e-11, abs=0)
    slight = fitted(run(A, iteration("jordan", steps=2, normalize=Normalization("frobenius", "1.001"))), claimed)[
        "norm"
    ]
    assert slight.reason == "the norm is wrong by +0.001 of it: computed in a shorter format?"
    assert "multiple" not in fitted(run(A, claimed) * (1 + 2.0**-10), claimed)
    assert "multiple" in fitted(run(A, claimed) * (1 + 2.0**-8), claimed)
    assert "multiple" not in fitted(-1.3 * run(A, claimed), claimed)
    row = Row((Fraction("3.45"), *claimed.schedule.rows[0].numerator[1:]))
    wrong = Schedule("wrong", (row,) * 2, claimed.schedule.normalization)
    found = fitted(run(A, iteration(wrong)), claimed)
    assert found["coefficient 0"].reason == "coefficient 0 is 3.45, not 3.4445"
    assert float(found["coefficient 0"].claimed.schedule.rows[0].numerator[0]) == pytest.approx(3.45, rel=1e-11, abs=0)
    assert fitted(np.random.RandomState(0).standard_normal((16, 16)), claimed) == {}


def test_a_polynomial_of_one_coefficient():
    """There is one to be fitted, and no other beside it."""
    one, other = (Schedule("one", (Row((Fraction(c),)),), Normalization()) for c in ("1.5", "1.25"))
    found = fitted(run(A, iteration(other)), iteration(one))
    assert found["coefficient 0"].reason == "coefficient 0 is 1.25, not 1.5"


def test_few_singular_values_do_not_tell():
    claimed = iteration("jordan", steps=2)
    a = np.diag([1.0, 1.0, 0.5])
    x = run(a, iteration("jordan", steps=2, normalize=Normalization("frobenius", "1.25")))
    assert not fitted(x, claimed, a)["norm"].reason.endswith("too few to tell)")
    wrong = Schedule("wrong", (Row((Fraction("3.45"), *claimed.schedule.rows[0].numerator[1:])),) * 2, Normalization())
    found = fitted(run(a, iteration(wrong)), claimed, a)
    assert any(key.startswith("coefficient") for key in found)
    assert all(v.reason.endswith("too few to tell)") for key, v in found.items() if key.startswith("coefficient"))
    three = np.diag([1.0, 0.5, 0.25])
    found = fitted(run(three, iteration(wrong)), claimed, three)
    (key,) = (key for key in found if key.startswith("coefficient"))
    assert not found[key].reason.endswith("too few to tell)")
    single = np.eye(3)
    x = run(single, iteration("jordan", steps=2, normalize=Normalization("frobenius", "1.25")))
    found = fitted(x, claimed, single)
    assert all(v.reason.endswith("too few to tell)") for key, v in found.items() if key != "multiple")


def test_what_was_done_to_the_input_counts_beside_what_it_leads_to():
    claimed = iteration("jordan")
    x = run(A.T, claimed)
    with np.errstate(all="ignore"):
        found = known(A, x, claimed).through(A.T, x)
    assert found and found[0].cost == 3.0 and all(one.cost >= 3 for one in found)


def test_how_far_a_mistake_may_be():
    """A hundred units of the claim, as the ratio tells them; without one as far as may be."""
    claimed = iteration("jordan")
    x = 1.5 * run(A, claimed)
    plain = known(A, x, claimed)
    assert plain.farthest == np.inf and plain.noise == 0 and plain.away == pytest.approx(1 / 3, rel=1e-12, abs=0)
    with_ratio = _Known(A, x, claimed, run(A, claimed), FLOAT64.eps, 50.0)
    assert with_ratio.farthest == pytest.approx(100 / 3 / 50, rel=1e-12, abs=0)
    assert with_ratio.noise == pytest.approx(0.25 / 3 / 50, rel=1e-12, abs=0)
    assert plain.enough(0.0) == plain.away and plain.enough(1.0) == plain.away / 2
    assert _Known(A, x, claimed, run(A, claimed), FLOAT64.eps, 1e9).enough(0.0) == pytest.approx(
        100 / 3e9, rel=1e-9, abs=0
    )


def undone(a, x, claimed):
    with np.errstate(all="ignore"):
        return {one.variant.key: one for one in reasons._undone(known(a, x, claimed))}


@pytest.mark.parametrize("shape", [(2, 200), (200, 2), (6, 6)])
@pytest.mark.parametrize("which", [[0], [0, 1]])
def test_directions_that_are_turned(shape, which):
    """Whatever the update scale is, 0.1 to 10; not all of them: that is the sign."""
    a = cases.matrix(shape, cond=5, seed=1)
    claimed = iteration("jordan", scale="sqrt(m/n)")
    p, s, vh = np.linalg.svd(a, full_matrices=False)
    right = claimed.factor(*shape) * run(a, claimed)
    values = np.diagonal(p.T @ right @ vh.T).copy()
    turned = values.copy()
    turned[which] *= -1
    found = undone(a, (p * turned) @ vh, claimed)
    if len(which) == len(s):
        assert "directions turned" not in found and found["x has the wrong sign"].distance <= 1e-12
        return
    one = found["directions turned"]
    count = "a singular direction has changed its sign"
    assert one.variant.reason == (count if which == [0] else "2 singular directions have changed their signs")
    assert one.distance <= 1e-12 and one.cost == 1.5
    np.testing.assert_allclose(one.variant.outputs["x"], right, rtol=0, atol=1e-12 * np.linalg.norm(right))


def test_directions_of_small_values_are_not_seen_to_turn():
    a = np.diag([1.0, 0.5, 1e-9])
    claimed = iteration("jordan")
    x = run(a, claimed)
    x[2, 2] *= -1
    assert "directions turned" not in undone(a, x, claimed)


def test_transposes_and_conjugates_are_undone():
    a = cases.matrix((5, 5), cond=5, seed=1, dtype="complex128")
    claimed = iteration("jordan", steps=2)
    right = run(a, claimed)
    for key, x in {
        "x has the wrong sign": -right,
        "rows and columns are swapped: x is the transpose of the result": right.T,
        "x is the conjugate transpose of the result": right.conj().T,
        "x is conjugated: a conjugate was lost or is too many": right.conj(),
        "lost conjugate": without_conjugates(a, claimed),
    }.items():
        found = undone(a, x, claimed)
        assert found[key].distance <= 1e-14 and min(found.values(), key=lambda one: one.distance) is found[key]
    assert undone(a.real, right.real, claimed).keys().isdisjoint({"lost conjugate"})
    assert len(undone(a[:, :3], right[:, :3], claimed)) == 2  # neither is a transpose


def test_the_rescaled_input_has_the_eps_of_a_claim_of_its_kind():
    def values(**options):
        return known(A, A, iteration("jordan", eps=0.5, **options)).aol.s

    plain = known(A, A).aol.s
    assert np.array_equal(values(), plain) and not np.allclose(values(normalize="aol"), plain, rtol=1e-3, atol=0)
    clamped = values(normalize="aol", eps_rule="clamp")
    assert not np.allclose(clamped, values(normalize="aol"), rtol=1e-3, atol=0)
