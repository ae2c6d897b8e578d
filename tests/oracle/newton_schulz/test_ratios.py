"""The judge of the finite iteration: what must pass, what cannot be judged, and how sharp the unit is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from orthoref import newton_schulz
from orthoref._schedules import presets
from orthoref._schedules.schedule import Normalization, Schedule
from orthoref.errors import OutsideDomain
from orthoref.oracle import cases
from orthoref.oracle.lift import Lifted
from orthoref.oracle.newton_schulz.claim import UPDATE_SCALES, iteration
from orthoref.oracle.newton_schulz.ratios import LIMIT, UNDECIDED, compare
from orthoref.oracle.newton_schulz.rounding_error import expected
from orthoref.oracle.newton_schulz.row import ROW
from orthoref.oracle.precision import PRECISIONS
from orthoref.oracle.verdict import judge

pytestmark = pytest.mark.sample(6)


def judged_as(a, x, claimed, **options):
    return judge(ROW, {"a": a}, {"x": x}, claimed, **options)


FORMS = {"standard": {}, "gram": {"form": "gram"}, "gram, restart": {"form": "gram", "restart": (2,)}}
SHAPES = (((24, 24), 30.0), ((20, 6), 10.0), ((6, 20), 1e3), ((1, 1), 1.0), ((40, 40), 1e3))


def transcribed(a, schedule):
    """The standard form in NumPy, with the norm of LAPACK: another order of operations than the reference."""
    x = a.conj().T if a.shape[0] > a.shape[1] else a
    how = schedule.normalization
    if how.kind == "aol":
        size = np.sqrt(np.sum(np.abs(x @ x.conj().T), axis=1, keepdims=True))
    else:
        size = np.linalg.norm(x)
    x = x / (float(how.factor) * size).astype(x.real.dtype)
    for row in schedule.coefficients():
        c = np.asarray(row, x.real.dtype)
        g = x @ x.conj().T
        tail = c[-1] * g
        for k in range(len(c) - 2, 0, -1):
            tail = c[k] * g + tail @ g
        x = c[0] * x + tail @ x
    return x.conj().T if a.shape[0] > a.shape[1] else x


def judged(a, x, precision, **claimed):
    wide = np.complex128 if np.iscomplexobj(a) else np.float64
    with np.errstate(all="ignore"):  # of results that may hold anything
        return compare(a.astype(wide), x.astype(wide), iteration(**claimed), PRECISIONS[precision])


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.exhaustive
def test_a_transcription_passes_and_the_unit_is_sharp(dtype):
    precision = {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)
    ratios = {}
    for name in presets.names():
        for shape, cond in SHAPES:
            for seed in range(2):
                a = cases.matrix(shape, cond=cond, seed=seed, scale=3.7, dtype=dtype)
                one = judged(a, transcribed(a, presets.get(name)), precision, schedule=name)
                assert one.decided and one.direction <= 0.1
                ratios[name, shape, seed] = one.forward
    worst = max(ratios, key=lambda key: ratios[key])
    assert ratios[worst] <= LIMIT, (worst, ratios[worst])
    assert 0.02 <= np.median(list(ratios.values())) <= 2


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
@pytest.mark.exhaustive
def test_the_emulated_port_passes_where_it_is_decided(precision, form):
    ratios, directions = {}, {}
    for name in presets.names():
        for shape, cond in SHAPES:
            for seed in range(2):
                a = cases.matrix(shape, cond=cond, seed=seed, scale=3.7, dtype="float32")
                try:
                    x = newton_schulz(a, name, precision=precision, **FORMS[form])
                except OutsideDomain:  # the iteration overflows in this format: a port returns NaN there
                    continue
                one = judged(a, x, precision, schedule=name, **FORMS[form])
                if one.decided:
                    ratios[name, shape, seed], directions[name, shape, seed] = one.forward, one.direction
    assert 0.02 <= np.median(list(ratios.values())) <= 2
    worst = max(ratios, key=lambda key: ratios[key])
    assert ratios[worst] <= LIMIT, (worst, ratios[worst])
    worst = max(directions, key=lambda key: directions[key])
    assert directions[worst] <= 0.5, (worst, directions[worst])  # half of what fails


@pytest.mark.exhaustive
def test_gram_form_in_float64():
    ratios = []
    for name in presets.names():
        for shape, cond in SHAPES:
            a = cases.matrix(shape, cond=cond, seed=5, scale=3.7)
            one = judged(a, newton_schulz(a, name, form="gram"), "float64", schedule=name, form="gram")
            assert one.decided
            ratios.append(one.forward)
    assert max(ratios) <= LIMIT
    assert 0.02 <= np.median(ratios) <= 2


def test_a_schedule_that_tolerates_nothing_above_1_is_not_judged_where_rounding_goes_there():
    # the last of the singular values in (0, 1] that rounding moves above 1 leaves for infinity within eight steps
    a = cases.matrix((24, 24), cond=30, seed=1, scale=3.7, dtype="float32")
    x = newton_schulz(a, "polar-express-list", precision="bfloat16")
    one = judged(a, x, "bfloat16", schedule="polar-express-list")
    assert not one.decided or one.forward <= LIMIT, one.forward


@pytest.mark.exhaustive
def test_every_normalization_scale_and_eps_passes():
    for shape in ((9, 9), (14, 5), (5, 14)):
        for dtype in ("float32", "complex128"):
            a = cases.matrix(shape, cond=10, seed=3, scale=1e-4, dtype=dtype)
            for kind in ("frobenius", "schatten4", "spectral", "aol"):
                for scale in UPDATE_SCALES:
                    for rule in ("add", "clamp"):
                        claimed = {"normalize": Normalization(kind, "1.02"), "eps": 1e-4, "eps_rule": rule}
                        x = np.asarray(UPDATE_SCALES[scale](*shape) * newton_schulz(a, **claimed)).astype(dtype)
                        verdict = judged_as(
                            Lifted(a, dtype),
                            Lifted(x, dtype),
                            iteration(**claimed, scale=scale),
                            precision=PRECISIONS["float32" if dtype == "float32" else "float64"],
                            limit=2,
                        )
                        assert verdict.holds, verdict.text("")


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_accumulation_is_free(seed):
    a = cases.matrix((32, 32), cond=100, seed=seed, dtype="float32")
    permuted = np.random.RandomState(seed).permutation(32)
    x = transcribed(a[:, permuted], presets.get("jordan"))[:, np.argsort(permuted)]
    assert judged(a, x, "float32").forward <= 1


@pytest.mark.exhaustive
@pytest.mark.parametrize("precisions", [("float32",), ("float16",), ("bfloat16",)])
def test_a_result_that_is_far_off_scores_at_least_the_inverse_of_undecided(precisions):
    # decided: the unit is at most a quarter of the result, so that zero scores 4 or more, its negative 8
    for precision in precisions:
        for name in presets.names():
            a = cases.matrix((16, 16), cond=30, seed=2)
            one = judged(a, np.zeros_like(a), precision, schedule=name)
            assert one.forward == pytest.approx(1 / one.unit, rel=1e-12, abs=0)
            assert not one.decided or one.forward >= 1 / UNDECIDED


def test_a_flipped_direction_scores_2():
    a = cases.matrix((20, 7), cond=10, seed=2)
    x = newton_schulz(a)
    p, _, vh = np.linalg.svd(a, full_matrices=False)
    for i in range(7):
        flipped = x - 2 * (p[:, i] @ x @ vh[i]) * np.outer(p[:, i], vh[i])
        assert judged(a, flipped, "bfloat16").direction == pytest.approx(2, abs=0.05)
        assert judged(a, flipped, "float64").direction == pytest.approx(2, abs=1e-12)
        assert judged(a, 1.5 * x, "float64").direction <= 0


def test_undecided_stacks():
    rounds = iteration("jordan", form="gram")
    bfloat16 = PRECISIONS["bfloat16"]
    hard = cases.matrix((24, 24), cond=1e3, seed=1)
    easy = np.eye(24)
    a = np.stack([easy, hard])
    x = newton_schulz(a)
    assert [compare(each, each, rounds, bfloat16).decided for each in a] == [True, False]
    verdict = judged_as(Lifted(a, None), Lifted(x, None), rounds, precision=bfloat16)
    assert verdict.holds and [check.name for check in verdict.checks] == ["forward", "direction", "multiple"]
    assert verdict.notes[0].startswith("1 of 2 not judged: in bfloat16 the rounding errors alone are")
    assert "form 'gram', schedule 'jordan'" in verdict.notes[0]
    x[1, 3, 4] = np.nan  # eigenvalues of G run away: right ports overflow, too
    verdict = judged_as(Lifted(a, None), Lifted(x, None), rounds, precision=bfloat16)
    assert verdict.holds and verdict.notes[0].endswith("; it may leave the range of bfloat16")
    wrong = np.stack([np.nan * x[0], x[1]])
    assert not judged_as(Lifted(a, None), Lifted(wrong, None), rounds, precision=bfloat16).holds
    standard, hard = iteration("jordan"), cases.matrix((30, 20), cond=1e5, seed=182)
    assert not compare(hard, np.nan * hard, standard, bfloat16).decided
    verdict = judged_as(Lifted(hard, None), Lifted(np.nan * hard, None), standard, precision=bfloat16)
    assert verdict.faults == ["x has entries that are NaN or infinite"] and not verdict.holds
    x[0] *= -1
    verdict = judged_as(Lifted(a, None), Lifted(x, None), rounds, precision=bfloat16)
    assert any("x has the wrong sign" in reason for reason in verdict.reasons)
    verdict = judged_as(Lifted(hard, None), Lifted(hard, None), rounds, precision=bfloat16)
    assert verdict.holds and not verdict.checks and verdict.notes


def test_undecided_because_the_schedule_diverges_just_above_1():
    # to first order the errors are small; a step of bfloat16 above 1, which the schedule does not tolerate, is not
    a = np.diag([1.0, 0.5])
    rounds = iteration("polar-express-list", normalize="spectral")
    one = compare(a, a, rounds, PRECISIONS["bfloat16"])
    first_order = expected(a, rounds.schedule.steps(), PRECISIONS["bfloat16"]).total()
    assert first_order <= UNDECIDED * np.linalg.norm(one.reference) and not one.decided
    verdict = judged_as(Lifted(a, None), Lifted(a, None), rounds, precision=PRECISIONS["bfloat16"])
    assert verdict.notes[0].startswith("1 of 1 not judged: in bfloat16 the rounding errors alone are inf of the result")


def test_the_unit_where_a_few_roundings_change_the_derivative():
    # an honest float16 port was 0.11 of the result away, four times the error to first order
    a = cases.matrix((4, 1), cond=1.0, seed=1)
    rounds = iteration("polar-express", steps=5)
    one = compare(a, newton_schulz(a, rounds.schedule, steps=5), rounds, PRECISIONS["float16"])
    start = a / (1.01 * np.linalg.norm(a))
    first_order = expected(start, rounds.schedule.steps(5), PRECISIONS["float16"]).total()
    assert one.decided and one.unit == pytest.approx(one.shaken / 4, rel=1e-12, abs=0)
    assert one.unit * np.linalg.norm(one.reference) > 2 * first_order


def test_undecided_beyond_first_order():
    # errors are a tenth of the result to first order, but single ones of four times their size a half
    a = cases.matrix((3, 2), cond=2.0, seed=0)
    one = judged(a, a, "bfloat16", schedule="aol-b")
    assert one.unit < UNDECIDED < one.shaken < 0.6 and not one.decided


def test_nan_in_a_stack_wins_over_every_number():
    a = cases.matrix((3, 5, 5), cond=10, seed=1)
    x = newton_schulz(a)
    x[0] *= 1e9
    x[1, 0, 0] = np.nan
    verdict = judged_as(Lifted(a, None), Lifted(x, None), iteration("jordan"), precision=PRECISIONS["float64"])
    assert not verdict.holds
    assert verdict.checks[0].index == (1,) and np.isnan(verdict.checks[0].ratio)
    assert verdict.reasons == ["x has 1 of 25 entries that are NaN or infinite"]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (0, 3, 3), (2, 0, 4)])
def test_empty_arrays(shape):
    a = Lifted(np.zeros(shape), "float64")
    assert judged_as(a, a, iteration("jordan"), precision=PRECISIONS["float64"]).holds


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_finite_input(value):
    a = np.ones((2, 3, 3))
    a[1, 0, 2] = value
    with pytest.raises(OutsideDomain, match=r"index \(1, 0, 2\): there is nothing to judge"):
        judged_as(Lifted(a, None), Lifted(a, None), iteration("jordan"), precision=PRECISIONS["float64"])


def test_zero_is_judged():
    zero = np.zeros((4, 3))
    for claimed in ({}, {"eps": 1e-7}, {"eps": 1e-7, "eps_rule": "clamp"}, {"normalize": "aol"}):
        one = judged(zero, zero, "float32", **claimed)
        assert one.decided and one.forward == 0 and one.direction == 0
        assert judged(zero, zero + 1e-30, "float32", **claimed).forward == np.inf
        assert not judged(zero, zero * np.nan, "float32", **claimed).forward <= LIMIT


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**-500, 2.0**500, 2.0**1000])
def test_the_verdict_does_not_depend_on_powers_of_two(scale):
    a = cases.matrix((7, 7), cond=10, seed=1)
    x = newton_schulz(a) + 1e-15
    one, other = judged(a, x, "float64"), judged(a * scale, x, "float64")
    assert other.forward == pytest.approx(one.forward, rel=1e-6, abs=0)
    assert other.unit == pytest.approx(one.unit, rel=1e-6, abs=0)


def test_iteration_as_text():
    assert str(iteration()) == "muon, 5 steps, norm frobenius"
    assert str(iteration("jordan")) == "jordan, 5 steps, norm frobenius" and iteration("jordan") == iteration()
    assert str(replace(iteration(), schedule=presets.get("you-5"))).startswith("you-5, ")
    text = str(iteration("polar-express", steps=6, eps=1e-7, eps_rule="clamp", scale="sqrt(m/n)"))
    assert text == "polar-express, 6 steps, norm frobenius x 1.01, eps 1e-07 (clamp), times sqrt(m/n)"
    assert iteration(scale="sqrt(max(1, m/n))").factor(8, 2) == 2
    assert iteration(scale="0.2 sqrt(max(m, n))").factor(25, 4) == 1
    assert iteration("aol-a").normalization == Normalization("aol")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"schedule": "moun"}, ValueError, "schedule 'moun'"),
        ({"schedule": 5}, TypeError, "schedule must be"),
        ({"schedule": "you-6", "steps": 7}, ValueError, "has 6 rows"),
        ({"steps": -1}, ValueError, "steps=-1"),
        ({"normalize": "ky fan"}, ValueError, "ky fan"),
        ({"normalize": 2}, TypeError, "normalize must be"),
        ({"eps": -1e-7}, ValueError, "eps=-1e-07"),
        ({"eps": float("nan")}, ValueError, "eps=nan"),
        ({"eps_rule": "max"}, ValueError, "eps_rule='max'"),
        ({"form": "left"}, ValueError, "form='left'"),
        ({"scale": "m"}, ValueError, "scale='m'"),
        ({"restart": (2,)}, ValueError, "restart belongs to form='gram'"),
        ({"form": "gram", "restart": (5,)}, ValueError, "restart=5"),
        ({"form": "gram", "restart": (0,)}, ValueError, "restart=0"),
    ],
)
def test_a_claim_that_newton_schulz_refuses_is_refused(options, error, words):
    with pytest.raises(error, match=words):
        iteration(**options)


def test_steps_of_no_rows():
    a = cases.matrix((4, 4), cond=3, seed=1)
    assert judged(a, a / np.linalg.norm(a), "float64", steps=0).forward <= 1


STRUCTURED = {
    "ones": np.ones((64, 64)),
    "ones, column": np.ones((500, 1)),
    "ones, wide": np.ones((4, 3000)),
    "equal rows": np.outer(np.ones(64), np.random.RandomState(0).standard_normal(64)),
    "equal columns": np.outer(np.random.RandomState(1).standard_normal(96), np.ones(32)),
    "blocks": np.kron(np.eye(4), np.ones((12, 9))),
    "triangular": np.tri(48),
    "signs": np.sign(np.random.RandomState(2).standard_normal((48, 48))),
    "identity": np.eye(32),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", STRUCTURED)
def test_equal_rounding_errors_of_equal_entries_are_no_fault(name, dtype):
    """(REPEAT): neither of a textbook loop nor of the library, in any number of steps."""
    a = STRUCTURED[name].astype(dtype)
    for schedule in ("jordan", "polar-express", "cans-5", "polar-express-list"):
        for steps in (1, 2, 5):
            rows = presets.get(schedule).coefficients()[:steps]
            rows = rows if len(rows) == steps else [rows[0]] * steps
            factor = float(presets.get(schedule).normalization.factor)
            x = a.T if a.shape[0] > a.shape[1] else a
            # the sum of squares in sequence, as a plain loop has it
            x = x / (a.dtype.type(factor) * np.sqrt(np.cumsum(x.ravel() ** 2)[-1]))
            for c0, c1, c2 in np.asarray(rows, dtype):
                g = x @ x.T
                x = c0 * x + (c1 * g + c2 * (g @ g)) @ x
            x = x.T if a.shape[0] > a.shape[1] else x
            for form, got in (("standard", x), ("gram", newton_schulz(a, schedule, steps=steps, form="gram"))):
                claimed = iteration(schedule, steps=steps, form=form)
                one = compare(*(z.astype("float64") for z in (a, got)), claimed, PRECISIONS[dtype])
                assert one.forward <= LIMIT or not one.decided, (schedule, steps, form, one.forward)


def test_a_small_input_is_stored_with_few_bits():
    """Entries of about 1e-6 are subnormal in float16: 2^-25 is some per cent of them, before the division."""
    for scale in (1e-5, 1e-6, 1e-7):
        a = cases.matrix((6, 4), cond=3.0, seed=1, scale=scale, dtype="float32")
        one = judged(a, newton_schulz(a, "jordan", steps=2, precision="float16"), "float16", schedule="jordan", steps=2)
        assert one.forward <= 1 and one.decided == (scale > 2e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("name", ["aol-a", "aol-b"])
def test_aol_of_orthogonal_rows_of_different_size(name, dtype):
    """Their products are rounding errors, and not small beside the square of the shorter row."""
    seen = []
    for cond in (10.0, 1e3, 1e5):
        a = cases.matrix((7, 8), spectrum="graded", cond=cond, seed=1, dtype=dtype)
        precision = {"complex64": "float32"}.get(dtype, dtype)
        one = judged(a, transcribed(a, presets.get(name)), precision, schedule=name)
        assert one.forward <= 1 and one.direction <= 0.5
        assert judged(a, 1.5 * newton_schulz(a, name), precision, schedule=name).forward > LIMIT
        seen.append(one.unit)
    assert seen[0] < seen[1] < seen[2]


def test_errors_are_relative_to_the_result():
    a = cases.matrix((4, 12), cond=10.0, seed=1)
    plain = judged(a, newton_schulz(a), "bfloat16")
    for scale, of in UPDATE_SCALES.items():
        x = 1.25 * of(4, 12) * newton_schulz(a)
        one = judged(a, x, "bfloat16", scale=scale)
        assert (one.unit, one.shaken) == pytest.approx((plain.unit, plain.shaken), rel=1e-12, abs=0)
        rounds = iteration(scale=scale)
        verdict = judged_as(Lifted(a, None), Lifted(x, None), rounds, precision=PRECISIONS["bfloat16"])
        assert verdict.checks[0].absolute == pytest.approx(0.25, rel=1e-12, abs=0)


def test_the_factor_of_aol_is_no_part_of_the_error():
    a = cases.matrix((7, 8), spectrum="graded", cond=1e3, seed=1)
    units = []
    for factor in (1, 8):
        how = Normalization("aol", factor)
        schedule = Schedule.of("linear", [[3]], normalization=how)
        units.append(judged(a, newton_schulz(a, schedule), "bfloat16", schedule=schedule).unit)
    assert units[0] == pytest.approx(units[1], rel=1e-12, abs=0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["frobenius", "aol", "none"])
@pytest.mark.parametrize("size", [1e-310, 1e-200, 1e-100])
def test_squares_that_underflow_are_judged(size, kind, form):
    """Far below eps the iteration is a factor: squares of such a result, and of its error, are zero."""
    claimed = {"schedule": "jordan", "normalize": kind, "eps": 0.0 if kind == "none" else 1e-4, **FORMS[form]}
    for dtype in ("float64", "complex128"):
        a = cases.matrix((4, 3), cond=10.0, seed=1, dtype=dtype) * size
        x = newton_schulz(a, **claimed)
        one = judged(a, x, "float64", **claimed)
        assert one.decided and one.forward <= 1 and one.direction <= 1e-9
        assert judged(a, 1.0001 * x, "float64", **claimed).forward > LIMIT
        assert judged(a, 0 * x, "float64", **claimed).forward > LIMIT
        assert judged(a, -x, "float64", **claimed).direction == pytest.approx(2, abs=1e-9)


@pytest.mark.exhaustive
def test_a_small_start_that_grows_is_judged_as_it_is():
    """600 steps take 1e-100 to 1: the iteration is not linear, whatever the size of its start."""
    schedule = Schedule.of("cubic", [["1.5", "-0.5"]], past="repeat")
    a = cases.matrix((4, 3), cond=10.0, seed=1) * 1e-100
    x = newton_schulz(a, schedule, steps=600, eps=1.0)
    claimed = {"schedule": schedule, "steps": 600, "eps": 1.0}
    rounded = x * (1 + np.finfo("float64").eps * np.sign(a))
    one = judged(a, rounded, "float64", **claimed)
    assert one.decided and one.forward <= LIMIT and abs(one.direction) <= 1e-9
    assert judged(a, 1.001 * x, "float64", **claimed).forward > LIMIT


def test_a_result_without_a_norm_is_not_judged():
    # cubes of 1e-62 can be squared no more, and are not linear
    schedule = Schedule.of("cube", [[0, 1]])
    a = cases.matrix((4, 3), cond=10.0, seed=1) * 1e-62
    one = judged(a, newton_schulz(a, schedule, eps=1.0), "float64", schedule=schedule, eps=1.0)
    assert not one.decided
    assert judged(0 * a, 0 * a, "float64", schedule=schedule, eps=1.0).decided


@pytest.mark.parametrize("k", range(20))
@pytest.mark.parametrize("name", ["newton-schulz-3", "newton-schulz-9", "polar-express"])
def test_aol_that_may_diverge_is_not_judged(name, k):
    """A converged schedule has no derivative: to first order nothing is left of divisors that are wrong altogether."""
    for seed in range(3):
        q = np.linalg.qr(np.random.RandomState(seed).standard_normal((16, 2)))[0].T
        a = (q * [[1.0], [10.0**-k]]).astype("float32")
        schedule = presets.get(name)
        x = transcribed(a, replace(schedule, normalization=Normalization("aol")))
        one = judged(a, x, "float32", schedule=name, normalize="aol")
        assert (one.forward <= 1 and one.direction <= 0.5) if one.decided else k >= 5


def test_zero_is_refused_where_little_else_can_be_judged():
    a = cases.matrix((3, 2), cond=2.0, seed=0)  # between a quarter and a half, beyond first order
    stack = np.stack([np.eye(3, 2), a])
    rounds = iteration("aol-b")
    for value, index in ((a, ()), (stack, (1,))):
        x = newton_schulz(value, "aol-b")
        said = []
        for _ in range(2):
            verdict = judged_as(Lifted(value, None), Lifted(x, None), rounds, precision=PRECISIONS["bfloat16"])
            said.append(verdict.faults)
            x[index] = 0
        assert said == [[], [f"x is zero{f', batch index {index}' if index else ''}"]]
    verdict = judged_as(Lifted(0 * a, None), Lifted(0 * a, None), rounds, precision=PRECISIONS["bfloat16"])
    assert verdict.holds
    lost = cases.matrix((4, 3), cond=5.0, seed=1) * 1e-9  # below everything in float16
    rounds = iteration("jordan", eps=1.0)
    verdict = judged_as(Lifted(lost, None), Lifted(0 * lost, None), rounds, precision=PRECISIONS["float16"])
    assert verdict.holds and not verdict.checks


@pytest.mark.parametrize("limit", [4.0, 50.0, 1e6])
def test_no_limit_accepts_zero_or_twice_the_result(limit):
    a = cases.matrix((3, 16, 16), cond=5.0, seed=1)
    for factor in (0, 2, -1):
        x = factor * newton_schulz(a)
        rounds = iteration()
        verdict = judged_as(Lifted(a, None), Lifted(x, None), rounds, precision=PRECISIONS["bfloat16"], limit=limit)
        forward = verdict.checks[0]
        assert not forward.holds and forward.limit < forward.ratio and forward.limit <= limit


@pytest.mark.parametrize("eps", [1e200, 1e260, 1e300, 1e305])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_eps_far_beyond_the_matrix(dtype, eps):
    a = np.ones((3, 4), dtype)
    x = newton_schulz(a.astype("float64"), eps=eps)
    one = judged(a, x, dtype, eps=eps)
    assert one.forward <= 1 and one.decided == (dtype == "float64")
    assert judged(a, 2 * x, "float64", eps=eps).forward > LIMIT
    verdict = judged_as(
        Lifted(a.astype("float64"), None),
        Lifted(2 * x, None),
        iteration(eps=eps),
        precision=PRECISIONS["float64"],
    )
    assert not verdict.holds and not any("accurate to" in reason for reason in verdict.reasons)


def test_rows_of_one_coefficient_in_gram_form():
    a = cases.matrix((5, 4), cond=5.0, seed=1)
    for rows in ([[2.0]], [["1.5", "-0.5"], [2.0]], [[2.0], ["0.75", "-0.0625"]]):
        schedule = Schedule.of("mixed", rows)
        x = newton_schulz(a, schedule, form="gram")
        assert judged(a, x, "float64", schedule=schedule, form="gram").forward <= 1


def test_what_overflows_does_not_equal_the_input():
    a = cases.matrix((4, 3), cond=5.0, seed=1)
    huge = np.full_like(a, 1e300)
    verdict = judged_as(Lifted(a, None), Lifted(huge, None), iteration(), precision=PRECISIONS["float64"])
    assert not verdict.holds and not any("equals a" in reason for reason in verdict.reasons)


def half_determined(precision="bfloat16"):
    """Half of the singular values are far below the rounding errors of you-6, half are not."""
    a = cases.matrix((16, 16), spectrum="repeated", cond=1e3, seed=1, dtype="float32")
    x = newton_schulz(a, "you-6", precision=precision)
    return a.astype("float64"), x.astype("float64")


def verdict_of(a, x, precision="bfloat16", **claimed):
    inputs, outputs = ({name: Lifted(np.asarray(z, float), None)} for name, z in (("a", a), ("x", x)))
    return judge(ROW, inputs, outputs, iteration(**claimed), precision=PRECISIONS[precision], reasons=False)


def failing(verdict):
    return {check.name for check in verdict.checks if not check.holds}


def test_what_is_determined_is_judged():
    """(DETERMINED): half of the directions, where the whole matrix is lost."""
    a, x = half_determined()
    one = judged(a, x, "bfloat16", schedule="you-6")
    assert not one.decided and one.judged and one.determined.tolist() == [True] * 8 + [False] * 8
    verdict = verdict_of(a, x, schedule="you-6")
    assert verdict.holds and verdict.judged == (1, 1)
    assert verdict.notes[0].startswith("1 of 1 judged in part, in 8 of 16 singular directions: in bfloat16")


def test_wrong_results_in_the_determined_half():
    a, x = half_determined()
    p, _, vh = np.linalg.svd(a)
    p, along = p[:, :8], p[:, :8].T @ x
    skew = np.random.RandomState(0).standard_normal((8, 8))
    turned = np.linalg.qr(np.eye(8) + 0.1 * (skew - skew.T))[0]
    first = np.outer(p[:, 0], along[0])
    wrong = {
        "turned": (x + p @ (turned - np.eye(8)) @ along, {"entries", "entry"}),
        "one direction": (x + 0.1 * first, {"entry"}),
        "one entry of the middle": (x + 0.6 * np.outer(p[:, 0], vh[3]), {"entry"}),
        "reversed": (x - 2 * first, {"entries", "entry"}),
        "a tenth too large": (1.1 * x, {"multiple"}),
        "nothing": (0 * x, {"entries", "entry", "multiple"}),
    }
    for name, (value, seen) in wrong.items():
        assert seen <= failing(verdict_of(a, value, schedule="you-6")), name


def test_what_is_lost_is_not_judged():
    """Whatever happens among directions that rounding decides: turned among themselves, signs changed."""
    a, x = half_determined()
    p = np.linalg.svd(a)[0][:, 8:]
    q = np.linalg.qr(np.random.RandomState(0).standard_normal((8, 8)))[0]
    assert verdict_of(a, x + p @ (q - np.eye(8)) @ (p.T @ x), schedule="you-6").holds


@pytest.mark.parametrize("times", [0.8, 1.2])
@pytest.mark.parametrize("name", ["jordan", "polar-express", "you-5", "you-6", "newton-schulz-5", "aol-a"])
def test_a_multiple_of_the_result_is_no_result(name, times):
    """(MULTIPLE): four fifths and six fifths of a right result were within four units in bfloat16."""
    for shape, cond in (((24, 24), 10.0), ((40, 10), 3.0)):
        a = cases.matrix(shape, cond=cond, seed=3, dtype="float32")
        x = newton_schulz(a, name, precision="bfloat16").astype("float64")
        one, other = (judged(a, value, "bfloat16", schedule=name) for value in (x, times * x))
        assert one.multiple <= one.most / 2 and other.multiple > other.most


@pytest.mark.parametrize("value", [1e9, 1e30])
def test_undecided_is_not_anything(value):
    hard = cases.matrix((3, 2), cond=2.0, seed=0)
    stack = np.stack([np.eye(3, 2), hard])
    x = newton_schulz(stack, "aol-b")
    assert verdict_of(stack, x, schedule="aol-b").holds
    x[1] = value
    faults = verdict_of(stack, x, schedule="aol-b").faults
    assert faults[0].startswith("|X - f(A)| is ") and all(fault.endswith(", batch index (1,)") for fault in faults)


def test_the_largest_result():
    """No input leads beyond what the steps can return: 30 in one singular direction that rounding decides."""
    a, _ = half_determined()
    x = newton_schulz(a, "jordan")
    p, _, vh = np.linalg.svd(a)
    assert verdict_of(a, x + 0.5 * np.outer(p[:, 15], vh[15])).holds
    faults = verdict_of(a, x + 30 * np.outer(p[:, 15], vh[15])).faults
    assert len(faults) == 1 and faults[0].startswith("|X|_2 is ")


def test_the_zero_matrix_does_not_count():
    """A port that returns 0.3 everywhere but for the zero matrix held, in bfloat16."""
    zero = np.zeros((12, 11))
    right = verdict_of(zero, zero)
    assert right.holds and right.state == "not judged"
    assert failing(verdict_of(zero, zero + 0.3)) == {"forward"}
    stack = np.stack([zero, np.eye(12, 11)])
    assert verdict_of(stack, newton_schulz(stack)).judged == (1, 2)


def test_an_unstable_iteration_is_said_to_be_so():
    a = cases.matrix((24, 24), cond=1e3, seed=1)
    (note,) = verdict_of(a, newton_schulz(a), form="gram").notes
    assert "the iteration is unstable there: a few roundings are enlarged to" in note


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_diagonal_concentrates_its_errors(precision):
    """(CONCENTRATION): they are all in n entries of n^2, each n times the variance that it has in a dense matrix."""
    a = np.diag(np.geomspace(1, 0.2, 24))
    one = judged(a, newton_schulz(a.astype("float32"), precision=precision), precision)
    assert one.holds and one.determined.sum() >= 20 and 0.02 <= one.entry <= 0.5


def test_a_curved_map_moves_all_equal_singular_values_one_way():
    """(BENT): at a maximum of f the errors of sixty equal singular values have one sign."""
    a = cases.matrix((64, 64), spectrum="one_small", cond=1e3, seed=1, dtype="float16")
    claimed = {"schedule": "cans-5", "form": "gram", "restart": (2, 4)}
    one = judged(a, newton_schulz(a, precision="float16", **claimed), "float16", **claimed)
    assert one.decided and one.multiple <= one.most / 2


def test_the_largest_result_of_what_is_subnormal_in_the_format():
    """What storing A adds is most of it: a right port of such matrices was refused, eps in the place of the norm."""
    a = cases.matrix((96, 32), scale=1.4693679385278594e-39, seed=202, dtype="float32", structure="orthonormal")
    claimed, bfloat16 = iteration("jordan", eps=1e-7), PRECISIONS["bfloat16"]
    x = newton_schulz(a, "jordan", eps=1e-7)
    assert compare(a.astype("float64"), x.astype("float64"), claimed, bfloat16).largest <= 0.8
    assert compare(a.astype("float64"), 2 * x.astype("float64"), claimed, bfloat16).largest > 1
