"""Faults that ports of the finite Newton-Schulz iteration have, and right results that must pass.

``muon`` is a transcription of the published loop in NumPy; the oracle must name what was planted into it.
"""

from __future__ import annotations

import numpy as np
import pytest

from orthoref import conformance, newton_schulz, testing
from orthoref._schedules import presets
from orthoref._schedules.schedule import Normalization, Schedule
from orthoref.errors import CannotRun, PortFailure
from orthoref.oracle import cases

pytestmark = pytest.mark.sample(4)

JORDAN = [(3.4445, -4.7750, 2.0315)] * 5
NANOGPT = presets.get("polar-express-nanogpt").coefficients()

SQUARE = cases.matrix((24, 24), cond=30, seed=1, scale=3.7)
TALL = cases.matrix((27, 12), cond=30, seed=2, scale=3.7)
WIDE = cases.matrix((12, 27), cond=30, seed=3, scale=3.7)
COMPLEX = cases.matrix((16, 16), cond=30, seed=4, scale=3.7, dtype="complex128")
COMPLEX_WIDE = cases.matrix((9, 16), cond=30, seed=5, scale=3.7, dtype="complex128")
SINGLE = SQUARE.astype("float32")
HARD = cases.matrix((24, 24), cond=1e6, seed=6, scale=3.7)  # no schedule takes 1e-6 to 1 in its few steps
STACK = cases.matrix((2, 3, 8, 5), cond=10, seed=8)
PUBLISHED_5 = Schedule("published, 5 rows", presets.get("polar-express-list").rows[:5])


def muon(a, rows=JORDAN, size=None, *, flip=None):
    """The loop as published, on the smaller side, in the dtype of a; ``flip`` turns round one singular direction."""
    x = a.conj().T if a.shape[0] > a.shape[1] else a
    x = x / (np.linalg.norm(x) if size is None else np.asarray(size, x.real.dtype))
    for c0, c1, c2 in np.asarray(rows, x.real.dtype):
        g = x @ x.conj().T
        x = c0 * x + (c1 * g + c2 * (g @ g)) @ x
    if flip is not None:
        p, _, _ = np.linalg.svd(x)
        x = x - 2 * np.outer(p[:, flip], p[:, flip].conj() @ x)
    return x.conj().T if a.shape[0] > a.shape[1] else x


def lost_conjugate(a, rows=JORDAN):
    x = a / np.linalg.norm(a)
    for c0, c1, c2 in rows:
        g = x @ x.T
        x = c0 * x + (c1 * g + c2 * (g @ g)) @ x
    return x


def digit(old, new, rows=JORDAN):
    return [tuple(new if c == old else c for c in row) for row in rows]


def moved(x, where):
    x[where] += 0.01
    return x


def schatten4(a):
    return np.linalg.norm(a @ a.conj().T) ** 0.5


# input, what is claimed, the faulty result, words that the message must contain
RESULTS = {
    "dropped conjugate of the result": (COMPLEX, {}, lambda a: muon(a).conj(), "x is conjugated"),
    "dropped conjugate, wide": (COMPLEX_WIDE, {}, lambda a: muon(a).conj(), "x is conjugated"),
    "x x^T for x x^H": (COMPLEX, {}, lost_conjugate, "X X^T was computed in place of X X^H"),
    "x x^T for x x^H, wide": (COMPLEX_WIDE, {}, lost_conjugate, "X X^T was computed in place of X X^H"),
    "transposed": (SQUARE, {}, lambda a: muon(a).T, "rows and columns are swapped"),
    "transposed, complex": (COMPLEX, {}, lambda a: muon(a).T, "rows and columns are swapped"),
    "conjugate transpose": (COMPLEX, {}, lambda a: muon(a).conj().T, "x is the conjugate transpose"),
    "transposed, wide": (WIDE, {}, lambda a: muon(a).T, "x has shape (27, 12), not (12, 27)"),
    "sign": (SQUARE, {}, lambda a: -muon(a), "x has the wrong sign"),
    "sign, tall": (TALL, {}, lambda a: -muon(a), "x has the wrong sign"),
    "largest direction flipped": (SQUARE, {}, lambda a: muon(a, flip=0), "a singular direction has changed its sign"),
    "smallest direction flipped": (SQUARE, {}, lambda a: muon(a, flip=-1), "a singular direction has changed its sign"),
    "direction flipped, tall": (TALL, {}, lambda a: muon(a, flip=3), "a singular direction has changed its sign"),
    "direction flipped, complex": (COMPLEX, {}, lambda a: muon(a, flip=3), "a singular direction has changed"),
    "direction flipped, float32": (SINGLE, {}, lambda a: muon(a, flip=5), "a singular direction has changed its sign"),
    "one step too few": (SQUARE, {}, lambda a: muon(a, JORDAN[1:]), "4 steps were taken, not 5"),
    "one step too many": (SQUARE, {}, lambda a: muon(a, JORDAN + JORDAN[:1]), "6 steps were taken, not 5"),
    "one step too few of a list": (
        SQUARE,
        {"schedule": "you-6"},
        lambda a: muon(a, presets.get("you-6").coefficients()[:-1]),
        "5 steps were taken, not 6",
    ),
    "another list": (
        SQUARE,
        {"schedule": "polar-express-list", "steps": 5},
        lambda a: muon(a, presets.get("cans-5").coefficients()),
        "these are the coefficients of cans-5, 5 steps",
    ),
    "another list of another length": (
        SQUARE,
        {},
        lambda a: muon(a, presets.get("you-6").coefficients()),
        "these are the coefficients of you-6, 6 steps",
    ),
    "safety factor of the norm is missing": (
        SQUARE,
        {"schedule": "polar-express-nanogpt"},
        lambda a: muon(a, NANOGPT),
        "the norm was not multiplied by 1.02",
    ),
    "safety factor of the norm is another": (
        SQUARE,
        {"schedule": "polar-express-nanogpt"},
        lambda a: muon(a, NANOGPT, 1.01 * np.linalg.norm(a)),
        "the norm was multiplied by 1.01",
    ),
    "safety factor of the norm too many": (
        SQUARE,
        {},
        lambda a: muon(a, size=1.02 * np.linalg.norm(a)),
        "the norm was multiplied by 1.02",
    ),
    "factor 1.02 in float32": (
        SINGLE,
        {"schedule": "polar-express-nanogpt"},
        lambda a: muon(a, NANOGPT),
        "the norm was not multiplied by 1.02",
    ),
    "safety factor in every row but the last": (
        SQUARE,
        {"schedule": PUBLISHED_5},
        lambda a: muon(a, PUBLISHED_5.scaled("1.01", last=False).coefficients()),
        "with a safety factor 1.01 (in every row but the last)",
    ),
    "safety factor in every row": (
        SQUARE,
        {"schedule": "polar-express-list", "steps": 5},
        lambda a: muon(a, presets.get("polar-express-gram").coefficients()),
        "with a safety factor 1.05 (in every row)",
    ),
    "eps is missing": (1e-7 * SQUARE, {"eps": 1e-7}, muon, "eps is missing"),
    "eps added, claimed clamped": (
        1e-8 * SQUARE,
        {"eps": 1e-7, "eps_rule": "clamp"},
        lambda a: muon(a, size=np.linalg.norm(a) + 1e-7),
        "eps goes into the norm by 'add', not 'clamp'",
    ),
    "eps clamped, claimed added": (
        1e-8 * SQUARE,
        {"eps": 1e-7},
        lambda a: muon(a, size=max(np.linalg.norm(a), 1e-7)),
        "eps goes into the norm by 'clamp', not 'add'",
    ),
    "eps too many": (
        1e-7 * SQUARE,
        {},
        lambda a: muon(a, size=np.linalg.norm(a) + 1e-7),
        "an eps of 1e-07 is added to the norm",
    ),
    "update scale, tall": (
        TALL,
        {},
        lambda a: (27 / 12) ** 0.5 * muon(a),
        "x is 1.5 times what it should be: the update scale sqrt(max(1, m/n))",
    ),
    "update scale, square": (
        SQUARE,
        {},
        lambda a: 0.2 * 24**0.5 * muon(a),
        "the update scale 0.2 sqrt(max(m, n))",
    ),
    "update scale is missing": (TALL, {"scale": "sqrt(max(1, m/n))"}, muon, "times what it should be"),
    "update scale by the other side": (
        WIDE,
        {"scale": "sqrt(max(1, m/n))"},
        lambda a: 1.5 * muon(a),
        "the update scale sqrt(max(1, n/m))",
    ),
    "any multiple": (SQUARE, {}, lambda a: 1.7 * muon(a), "x is 1.7 times what it should be"),
    "spectral norm": (SQUARE, {}, lambda a: muon(a, size=np.linalg.norm(a, 2)), "the normalization is spectral"),
    "Schatten-4 norm": (SQUARE, {}, lambda a: muon(a, size=schatten4(a)), "the normalization is schatten4"),
    "no norm": (SQUARE / 8, {}, lambda a: muon(a, size=1), "the normalization is none"),
    "claimed spectral": (SQUARE, {"normalize": "spectral"}, muon, "the normalization is frobenius, not spectral"),
    "claimed aol": (SQUARE, {"normalize": "aol"}, muon, "the normalization is frobenius, not aol"),
    "repeats": (
        SQUARE,
        {"schedule": "you-5", "steps": 7},
        lambda a: muon(a, [*(rows := presets.get("you-5").coefficients()), rows[-1], rows[-1]]),
        "past its last row the port repeats the last row",
    ),
    "cycles": (
        SQUARE,
        {"schedule": "cans-5", "steps": 6},
        lambda a: muon(a, [*(rows := presets.get("cans-5").coefficients()), rows[0]]),
        "past its last row the port cycles",
    ),
    "computed in bfloat16": (
        SINGLE,
        {},
        lambda a: newton_schulz(a, precision="bfloat16"),
        "accurate to bfloat16 only",
    ),
    "computed in float16": (
        SINGLE,
        {"schedule": "newton-schulz-5"},
        lambda a: newton_schulz(a, "newton-schulz-5", precision="float16"),
        "accurate to float16 only",
    ),
    "computed in float32": (SQUARE, {}, lambda a: muon(a.astype("float32")).astype("float64"), "float32 only"),
    "one NaN": (SQUARE, {}, lambda a: np.where(np.arange(576).reshape(24, 24) == 7, np.nan, muon(a)), "1 of 576"),
    "infinity": (TALL, {}, lambda a: np.inf * muon(a), "324 of 324 entries that are NaN or infinite"),
    "wrong dtype": (SQUARE, {}, lambda a: muon(a).astype("float32"), "x has dtype float32, the input float64"),
    "wrong shape": (TALL, {}, lambda a: muon(a)[:-1], "x has shape (26, 12), not (27, 12)"),
    "transpose of a tall matrix forgotten at the end": (TALL, {}, lambda a: muon(a.T), "x has shape (12, 27)"),
    "nothing done": (SQUARE, {}, lambda a: a, "x equals a: the input was returned, or overwritten"),
    "zero": (SQUARE, {}, lambda a: 0 * a, "x is zero"),
    "zero from an overflow": (1e200 * SQUARE, {}, lambda a: 0 * a, "|a|^2 overflows float64"),
    "one entry": (SQUARE, {}, lambda a: moved(muon(a), (3, 7)), "the error sits in entry (3, 7)"),
    "one row": (SQUARE, {}, lambda a: moved(muon(a), 23), "the error sits in row 23"),
    "one column": (TALL, {}, lambda a: moved(muon(a), (slice(None), 11)), "the error sits in column 11"),
    "another norm": (TALL, {}, lambda a: muon(a, size=1.3 * np.linalg.norm(a)), "a was divided by 1.3 times its norm"),
    "norm in float32": (
        WIDE,
        {},
        lambda a: muon(a, size=float(np.linalg.norm(a.astype("float32")))),
        "the norm is wrong by",
    ),
    "norm with an eps of its size": (SINGLE, {}, lambda a: muon(a, size=np.linalg.norm(a) + 9), "its norm: another"),
    "normalized only": (SQUARE, {}, lambda a: a / np.linalg.norm(a), "0 steps were taken, not 5"),
    "the polar factor": (HARD, {}, lambda a: (s := np.linalg.svd(a))[0] @ s[2], "x is the polar factor"),
    "QR": (SQUARE, {}, lambda a: np.linalg.qr(a)[0], "x is not this iteration"),
}


def in_other_order(a, rows=JORDAN):
    """The loop on a read column by column."""
    return muon(a.ravel(order="F").reshape(a.shape), rows)


def equilibrated(a, rows=JORDAN, axis=1, size=1.0, renormalized=False):
    """MuonEq before, and Muon+ after, the loop."""
    norms = np.linalg.norm(a, axis=axis, keepdims=True)
    a = a * (np.linalg.norm(a) / a.shape[1 - axis] ** 0.5 / np.maximum(norms, 1e-6))
    x = muon(a, rows, size * np.linalg.norm(a))
    return x * (min(x.shape) ** 0.5 / np.linalg.norm(x)) if renormalized else x


def directions_turned(a, *which):
    p, _, vh = np.linalg.svd(a)
    x = muon(a)
    return x - sum(2 * (p[:, i] @ x @ vh[i]) * np.outer(p[:, i], vh[i]) for i in which)


YOU_5 = presets.get("you-5").coefficients()
YOU_6 = presets.get("you-6").coefficients()
NEAR_1E4 = 1e-4 * SQUARE / np.linalg.norm(SQUARE)

# mistakes of which ports are made of: the same
MORE = {
    "three steps too few": (SQUARE, {}, lambda a: muon(a, JORDAN[:2]), "reason: 2 steps were taken, not 5"),
    "four steps too many": (TALL, {}, lambda a: muon(a, JORDAN[:1] * 9), "reason: 9 steps were taken, not 5"),
    "steps too few, float32": (SINGLE, {"schedule": "newton-schulz-3"}, lambda a: newton_schulz(
        a, "newton-schulz-3", steps=6), "reason: 6 steps were taken, not 10"),
    "the list runs out": (SQUARE, {"schedule": "you-5", "steps": 10}, lambda a: muon(a, YOU_5),
                          "reason: 5 steps were taken, not 10: as many as the list has rows"),
    "another list, another factor": (SQUARE, {}, lambda a: muon(a, NANOGPT, 1.01 * np.linalg.norm(a)),
                                     "coefficients of polar-express-nanogpt, 5 steps; the norm was multiplied by 1.01"),
    "another list, spectral norm": (WIDE, {}, lambda a: muon(a, YOU_6, np.linalg.norm(a, 2)),
                                    "coefficients of you-6, 6 steps; the normalization is spectral"),
    "another list, cut short": (TALL, {}, lambda a: muon(a, presets.get("cans-5").coefficients()[:3]),
                                "coefficients of cans-5, 3 steps"),
    "another list, scaled": (TALL, {}, lambda a: 1.5 * muon(a, YOU_6), "you-6, 6 steps; x is 1.5 times"),
    "aol": (SQUARE, {}, lambda a: newton_schulz(a, normalize="aol"), "the normalization is aol, not frobenius"),
    "aol, its list": (TALL, {}, lambda a: newton_schulz(a, "aol-a"), "aol-a, 4 steps; the normalization is aol"),
    "rows equilibrated": (SQUARE, {}, equilibrated, "reason: the rows of a are scaled to one norm first"),
    "rows equilibrated, tall": (TALL, {}, equilibrated, "reason: the rows of a are scaled to one norm first"),
    "columns equilibrated": (WIDE, {}, lambda a: equilibrated(a, axis=0), "the columns of a are scaled to one norm"),
    "rows equilibrated, 4 steps": (SQUARE, {}, lambda a: equilibrated(a, JORDAN[1:]),
                                   "the rows of a are scaled to one norm first; 4 steps were taken"),
    "renormalised": (WIDE, {}, lambda a: (x := muon(a)) * (12**0.5 / np.linalg.norm(x)), "reason: x is renormalised"),
    "equilibrated and renormalised": (TALL, {}, lambda a: equilibrated(a, renormalized=True),
                                      "scaled to one norm first; x is renormalised: |x|_F is sqrt(min(m, n))"),
    "equilibrated, another list, renormalised": (
        SQUARE, {}, lambda a: equilibrated(a, NANOGPT, size=1.01, renormalized=True),
        "first; these are the coefficients of polar-express-nanogpt, 5 steps; the norm was multiplied by 1.01; x is"),
    "eps clips the squared norm": (NEAR_1E4, {"eps": 1e-7, "eps_rule": "clamp"},
                                   lambda a: muon(a, size=max(np.linalg.norm(a) ** 2, 1e-7) ** 0.5),
                                   "the squared norm is clipped at an eps of 1e-07, the norm at 0.00032"),
    "eps in the squared norm": (NEAR_1E4, {"eps": 1e-8}, lambda a: muon(a, size=(np.linalg.norm(a) ** 2 + 1e-8) ** 0.5),
                                "an eps of 1e-08 is added to the squared norm"),
    "a large eps": (SINGLE, {"eps": 1e-7}, lambda a: muon(a, size=np.linalg.norm(a) + np.float32(1e-3)),
                    "an eps of 0.001 is added to the norm, not 1e-07"),
    "another eps": (1e-7 * SQUARE, {"eps": 1e-8}, lambda a: muon(a, size=np.linalg.norm(a) + 1e-7),
                    "an eps of 1e-07 is added to the norm, not 1e-08"),
    "coefficients in bfloat16": (SINGLE, {}, lambda a: muon(
        a, presets.get("jordan").rounded("bfloat16").coefficients()), "the coefficients were rounded to bfloat16"),
    "coefficients in float16": (SQUARE, {"schedule": "you-5"}, lambda a: muon(
        a, presets.get("you-5").rounded("float16").coefficients()), "the coefficients were rounded to float16"),
    "one digit": (SINGLE, {}, lambda a: muon(a, digit(3.4445, 3.4455)), "coefficient 0 is 3.4455, not 3.4445"),
    "digits swapped": (SINGLE, {"schedule": "you-5"}, lambda a: muon(a, digit(2.3037, 2.3073, YOU_5)),
                       "coefficient 2 of row 2 is 2.3073, not 2.3037"),
    "a row is skipped": (SQUARE, {"schedule": "you-6"}, lambda a: muon(a, YOU_6[1:]), "row 0 is left out"),
    "a row is applied twice": (SQUARE, {"schedule": "you-6"}, lambda a: muon(a, YOU_6[:3] + YOU_6[2:]),
                               "row 2 is applied twice"),
    "rows backwards": (SQUARE, {"schedule": "you-5"}, lambda a: muon(a, YOU_5[::-1]), "rows are taken in the reverse"),
    "the first row only": (TALL, {"schedule": "you-5"}, lambda a: muon(a, YOU_5[:1] * 5), "only the first row is"),
    "coefficients backwards": (SQUARE, {"schedule": "newton-schulz-5", "steps": 2}, lambda a: muon(
        a, [row[::-1] for row in presets.get("newton-schulz-5").coefficients(2)]), "taken in the reverse order"),
    "rows of a permuted": (SQUARE, {}, lambda a: muon(a[::-1]), "singular values of the result, but other"),
    "read column by column": (TALL, {}, in_other_order, "a is read column by column"),
    "stored column by column": (WIDE, {}, lambda a: muon(a).ravel(order="F").reshape(a.shape), "x is stored column by"),
    "update scale of another kind": (TALL, {"scale": "sqrt(max(1, m/n))"}, lambda a: 0.2 * 27**0.5 * muon(a),
                                     "the update scale 0.2 sqrt(max(m, n)), not sqrt(max(1, m/n))"),
    "two directions turned": (SQUARE, {}, lambda a: directions_turned(a, 3, 8), "2 singular directions have changed"),
    "4 steps in bfloat16": (SINGLE, {}, lambda a: newton_schulz(a, steps=4, precision="bfloat16"),
                            "4 steps were taken, not 5; x is stored in bfloat16"),
    "the squared norm": (SQUARE / 4, {}, lambda a: muon(a, size=np.linalg.norm(a) ** 2), "times its norm: another"),
    "orthogonal input, returned": (np.linalg.qr(SQUARE)[0], {}, lambda a: a, "x equals a"),
}  # fmt: skip


@pytest.mark.parametrize("fault", [*RESULTS, *MORE])
def test_a_wrong_result_is_caught_for_the_right_reason(fault):
    a, claimed, plant, words = (RESULTS | MORE)[fault]
    with pytest.raises(PortFailure) as failure:
        testing.assert_newton_schulz(a, plant(a.copy()), **claimed)
    assert words in str(failure.value)


# input, what is claimed, the faulty result: the singular vectors are right, the function of the singular values is not
OTHER_COEFFICIENTS = {
    "3.4455 for 3.4445, float32": (SINGLE, {}, lambda a: muon(a, digit(3.4445, 3.4455))),
    "2.0316 for 2.0315, float64": (SQUARE, {}, lambda a: muon(a, digit(2.0315, 2.0316))),
    "3.4445 for 3.4455, tall": (TALL, {}, lambda a: muon(a, digit(3.4445, 3.4455))),
    "digits swapped in one row, float32": (
        SINGLE,
        {"schedule": "you-5"},
        lambda a: muon(a, digit(2.3037, 2.3073, presets.get("you-5").coefficients())),
    ),
    "the first row is skipped": (
        SQUARE,
        {"schedule": "you-6"},
        lambda a: muon(a, presets.get("you-6").coefficients()[1:]),
    ),
    "rows in the wrong order": (
        SQUARE,
        {"schedule": "you-5"},
        lambda a: muon(a, presets.get("you-5").coefficients()[::-1]),
    ),
    "coefficients rounded to bfloat16": (
        SINGLE,
        {},
        lambda a: muon(a, presets.get("jordan").rounded("bfloat16").coefficients()),
    ),
}


@pytest.mark.parametrize("fault", OTHER_COEFFICIENTS)
def test_other_coefficients_are_caught_and_no_precision_is_blamed(fault):
    a, claimed, plant = OTHER_COEFFICIENTS[fault]
    with pytest.raises(PortFailure, match=r"\|X - f\(A\)\|.*FAIL") as failure:
        testing.assert_newton_schulz(a, plant(a.copy()), **claimed)
    assert "accurate to" not in str(failure.value)


@pytest.mark.parametrize(
    ("a", "claimed"),
    [
        (SQUARE, {}),
        (TALL, {}),
        (WIDE, {}),
        (COMPLEX, {}),
        (COMPLEX_WIDE, {}),
        (SINGLE, {}),
        (SQUARE, {"normalize": Normalization("frobenius")}),
    ],
)
def test_the_loop_that_the_faults_are_planted_in_passes(a, claimed):
    testing.assert_newton_schulz(a, muon(a), limit=1, **claimed)


def test_the_long_side_may_be_taken_for_the_gram_matrix():
    # x (x^T x) = (x x^T) x: slower, as right, and no less accurate than the unit
    for seed in range(5):
        for dtype in ("float32", "float64"):
            a = cases.matrix((40, 6), cond=30, seed=seed, scale=3.7, dtype=dtype)
            x = a / np.linalg.norm(a)
            for c0, c1, c2 in np.asarray(JORDAN, dtype):
                g = x @ x.T
                x = c0 * x + (c1 * g + c2 * (g @ g)) @ x
            testing.assert_newton_schulz(a, x)


@pytest.mark.parametrize("flip", [0, 20, 63])
def test_one_flipped_direction_of_64_is_caught_in_bfloat16(flip):
    a = cases.matrix((64, 64), cond=10, seed=flip, scale=3.7, dtype="bfloat16")
    x = newton_schulz(a, precision="bfloat16")
    testing.assert_newton_schulz(a, x, precision="bfloat16")
    p, _, _ = np.linalg.svd(a)
    flipped = cases.cast(x - 2 * np.outer(p[:, flip], p[:, flip] @ x), "bfloat16")
    with pytest.raises(PortFailure, match="a singular direction has changed its sign"):
        testing.assert_newton_schulz(a, flipped, precision="bfloat16")


@pytest.mark.exhaustive
@pytest.mark.parametrize("flip", [0, 3, 11])
@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_one_flipped_direction_is_caught_in_every_shape(flip, precision):
    for shape in ((12, 12), (30, 12), (12, 30)):
        a = cases.matrix(shape, cond=10, seed=1, scale=3.7, dtype="float16")
        x = newton_schulz(a, "newton-schulz-5", precision=precision)
        p, _, vh = np.linalg.svd(a, full_matrices=False)
        x -= 2 * (p[:, flip] @ x @ vh[flip]) * np.outer(p[:, flip], vh[flip])
        with pytest.raises(PortFailure, match="a singular direction has changed its sign"):
            testing.assert_newton_schulz(a, x, "newton-schulz-5", precision=precision)


@pytest.mark.parametrize("index", [(0, 0), (1, 2)])
def test_the_batch_index_of_the_fault_is_named(index):
    x = newton_schulz(STACK)
    x[index] *= -1
    with pytest.raises(PortFailure, match=rf"batch index \({index[0]}, {index[1]}\)[^!]*x has the wrong sign"):
        testing.assert_newton_schulz(STACK, x)


def test_not_a_number_out_of_the_zero_matrix_is_caught():
    zero = np.zeros((5, 3))
    testing.assert_newton_schulz(zero, zero)
    for x in (zero * np.nan, zero + 1e-30, zero + np.inf):
        with pytest.raises(PortFailure):
            testing.assert_newton_schulz(zero, x)


def test_a_matrix_of_rank_1_is_judged():
    a = np.outer(np.arange(1.0, 9), np.ones(5))
    testing.assert_newton_schulz(a, muon(a))
    with pytest.raises(PortFailure, match="wrong sign"):
        testing.assert_newton_schulz(a, -muon(a))
    with pytest.raises(PortFailure):  # something in the null space
        testing.assert_newton_schulz(a, muon(a) + 1e-9 * np.eye(8, 5))


# ports that break their contract, and what conformance says


def mutates(a):
    x = newton_schulz(a)
    a /= np.linalg.norm(a)
    return x


def gram_of_the_wrong_side(a):
    x = a / np.linalg.norm(a)
    for c0, c1, c2 in JORDAN:
        g = x.T @ x
        x = c0 * x + (c1 * g + c2 * (g @ g)) @ x
    return x


def batched(a, size):
    with np.errstate(all="ignore"):
        x = a / np.where(size > 0, size, 1)
    for c0, c1, c2 in JORDAN:
        g = x @ x.swapaxes(-1, -2)
        x = c0 * x + (c1 * g + c2 * (g @ g)) @ x
    return x


def without_zero(a):
    with np.errstate(all="ignore"):
        return muon(a)


PORTS = {
    "mutated input": (mutates, (3, 5), "the input was changed in place"),
    "wrong side, square": (gram_of_the_wrong_side, (5, 5), "x is not this iteration"),
    "norm of the whole stack": (lambda a: batched(a, np.linalg.norm(a)), (4, 4, 4), "that of something else than this"),
    "norm without keepdims": (
        lambda a: batched(a, np.linalg.norm(a, axis=(-2, -1))),
        (4, 4, 4),
        "fails partly for stacks whose members differ",
    ),
    "dtype": (lambda a: newton_schulz(a).astype("float32"), (3, 5), "x has dtype float32, the input float64"),
    "list": (lambda a: newton_schulz(a).tolist(), (3, 5), "x is a builtins.list"),
    "zero by zero": (without_zero, (3, 5), "15 of 15 entries that are NaN"),
    "no norm, one row": (lambda a: muon(a, size=1.0), (1, 6), "for input of extreme scale"),
}


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("fault", PORTS)
def test_a_broken_port_is_a_finding(fault):
    port, shape, words = PORTS[fault]
    report = conformance.check(port, "newton_schulz", dtypes=["float64"], shapes=[shape], progress=False)
    assert not report.holds
    assert words in report.text(examples=99)


@pytest.mark.parametrize(("port", "words"), [(lambda a: a @ a, "ValueError: matmul"), (lambda a: None, "not NoneType")])
def test_what_every_input_raises_is_no_verdict(port, words):
    with pytest.raises(CannotRun, match=words):
        conformance.check(port, "newton_schulz", dtypes=["float64"], shapes=[(3, 5)], max_cases=20, progress=False)


@pytest.mark.exhaustive
def test_the_right_batched_norm_holds():
    report = conformance.check(
        lambda a: batched(a, np.linalg.norm(a, axis=(-2, -1), keepdims=True)),
        "newton_schulz",
        dtypes=["float64"],
        shapes=[(4, 4, 4)],
        skip=["extreme scale"],
        progress=False,
    )
    assert report.holds, report.text()


@pytest.mark.exhaustive
def test_a_missing_safety_factor_is_a_finding_of_every_case_but_zero():
    report = conformance.check(
        lambda a: newton_schulz(a, "polar-express-nanogpt", normalize="frobenius"),
        "newton_schulz",
        schedule="polar-express-nanogpt",
        dtypes=["float32"],
        shapes=[(5, 5)],
        progress=False,
    )
    assert {o.case.factors["scale"] for o in report.outcomes if o.verdict.holds} == {"0", "-"}  # "-": of the gallery
    assert "the norm was not multiplied by 1.02" in report.text()


@pytest.mark.exhaustive
def test_eps_is_seen_at_small_scales():
    a = 1e-8 * SQUARE
    for claimed, done in (({"eps": 1e-7}, {"eps": 1e-6}), ({"eps": 1e-15}, {}), ({}, {"eps": 1e-15})):
        with pytest.raises(PortFailure):
            testing.assert_newton_schulz(a, newton_schulz(a, **done), **claimed)


def test_aol_needs_its_own_side():
    # AOL rescales rows of the smaller side: on the other side another matrix is iterated
    x = WIDE / np.sqrt(np.sum(np.abs(WIDE.T @ WIDE), axis=0))
    for c0, c1, c2 in presets.get("aol-a").coefficients():
        g = x @ x.T
        x = c0 * x + (c1 * g + c2 * (g @ g)) @ x
    with pytest.raises(PortFailure, match="x is not this iteration"):
        testing.assert_newton_schulz(WIDE, x, "aol-a")
