"""Rows, schedules, normalizations and rounding to formats, judged by rational arithmetic and by casts of others.

u = 2^-53 is the unit roundoff of float64.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError
from fractions import Fraction
from math import inf, nan, nextafter
from random import Random

import numpy as np
import pytest

from orthoref import errors, schedules
from orthoref._schedules.row import exact, round_to
from orthoref.formats import FORMATS
from orthoref.schedules import Normalization, Row, Schedule

U = 2.0**-53
JORDAN = [("3.4445", "-4.7750", "2.0315")]
TWO = [("2", "-1.5", "0.5"), ("1.5", "-0.5")]
THREE = [("1",), ("2",), ("3",)]  # multiplications: the composition tells which rows were applied, and how often
HALLEY = Row((Fraction(3), Fraction(1)), (Fraction(1), Fraction(3)))
NEWTON = Row((Fraction(1, 2), Fraction(1, 2)), (Fraction(0), Fraction(1)))  # (x + 1/x)/2


def odd(coefficients, x):
    """sum c_k x^(2k+1) term by term: another order of evaluation than Horner's rule."""
    return sum((Fraction(c) * x ** (2 * k + 1) for k, c in enumerate(coefficients)), Fraction(0))


# ---------------------------------------------------------------------------------------------------------------------
# one row


@pytest.mark.parametrize("x", [Fraction(0), Fraction(1), Fraction(-3, 7), Fraction(22, 7), Fraction(1, 10**9)])
def test_a_row_is_exact_for_fractions(x):
    row = Row(tuple(Fraction(c) for c in JORDAN[0]))
    assert row(x) == odd(JORDAN[0], x) and isinstance(row(x), Fraction)
    assert HALLEY(x) == x * (3 + x * x) / (1 + 3 * x * x)


def test_integers_count_as_fractions():
    assert Row((Fraction(1, 3), Fraction(1, 7)))(2) == Fraction(2, 3) + Fraction(8, 7)
    assert NEWTON(2) == Fraction(5, 4)


@pytest.mark.parametrize("x", [0.0, 1e-3, 0.3, 0.9, 1.0, 1.2, -0.7])
def test_a_row_in_floats(x):
    # Horner in t = x x: the coefficient of t^k meets k+1 roundings of t and of itself, 2k multiplications and additions
    # and one of x; with k <= 2 at most 9 u, second order in the factor 1.01
    for coefficients in JORDAN + TWO:
        size = sum(abs(Fraction(c)) * abs(Fraction(x)) ** (2 * k + 1) for k, c in enumerate(coefficients))
        found = Row(tuple(Fraction(c) for c in coefficients))(x)
        assert isinstance(found, float)
        assert abs(Fraction(found) - odd(coefficients, Fraction(x))) <= Fraction(9 * U * 1.01) * size
    # numerator 5 u, denominator 5 u, all terms positive, one multiplication and one division
    true = HALLEY(Fraction(x))
    assert abs(Fraction(HALLEY(x)) - true) <= Fraction(12 * U * 1.01) * abs(true)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_of_an_array_is_its_row_at_every_entry(dtype):
    x = np.linspace(-1.2, 1.2, 24, dtype=dtype).reshape(2, 3, 4)
    y = HALLEY(x)
    assert y.dtype == x.dtype and y.shape == x.shape
    unit = float(np.finfo(dtype).eps) / 2
    for before, after in zip(x.ravel(), y.ravel(), strict=True):
        true = HALLEY(Fraction(float(before)))
        assert abs(Fraction(float(after)) - true) <= Fraction(12 * unit * 1.01) * abs(true)


def test_a_row_does_not_mutate_its_array():
    x = np.array([0.25, 0.5])
    HALLEY(x)
    assert np.array_equal(x, [0.25, 0.5])


def test_a_row_of_an_array_api_strict_array():
    xp = pytest.importorskip("array_api_strict")
    y = HALLEY(xp.asarray([0.5, 1.0]))
    assert [float(v) for v in y] == [1.625 / 1.75, 1.0]  # x(3 + t), 1 + 3t are exact: one rounding


@pytest.mark.parametrize(
    ("row", "degree", "polynomial", "slope"),
    [
        (Row((Fraction(5),)), 1, True, 5),
        (Row(tuple(Fraction(c) for c in JORDAN[0])), 5, True, Fraction("3.4445")),
        (HALLEY, 3, False, 3),
        (Row((Fraction(1),), (Fraction(2), Fraction(1))), 1, False, Fraction(1, 2)),
        (NEWTON, 3, False, None),
        (Row((Fraction(1),), (Fraction(2),)), 1, False, Fraction(1, 2)),
    ],
)
def test_degree_polynomial_slope(row, degree, polynomial, slope):
    assert (row.degree, row.polynomial, row.slope) == (degree, polynomial, slope)
    if slope is not None:  # f(h) = f'(0) h + O(h^3), with constants below 10 here
        h = Fraction(1, 10**6)
        assert abs(row(h) / h - slope) <= 10 * h * h


def test_a_pole_is_a_division_by_zero():
    with pytest.raises(ZeroDivisionError):
        NEWTON(Fraction(0))


@pytest.mark.parametrize("factor", ["1.01", Fraction(21, 20), 2, 1.5])
@pytest.mark.parametrize("row", [Row(tuple(Fraction(c) for c in JORDAN[0])), HALLEY, NEWTON])
def test_a_scaled_row_is_the_row_of_the_quotient(row, factor):
    for x in (Fraction(1, 3), Fraction(1), Fraction(9, 7)):
        assert row.scaled(factor)(x) == row(x / Fraction(factor))


def test_a_rounded_row_rounds_numerator_and_denominator():
    third = Fraction(1, 3)
    row = Row((third, -third), (third,)).rounded("float64")
    assert row == Row((Fraction(1 / 3), Fraction(-1 / 3)), (Fraction(1 / 3),))


# ---------------------------------------------------------------------------------------------------------------------
# rounding to a format


def test_round_to_float16_is_the_cast_of_numpy():
    """Halves, midpoints (ties) and the doubles beside them; NumPy casts double to half in one rounding."""
    halves = np.arange(0, 0x7BFF, 61, dtype=np.uint16).view(np.float16).astype(np.float64)
    following = (np.arange(0, 0x7BFF, 61, dtype=np.uint16) + np.uint16(1)).view(np.float16).astype(np.float64)
    ties = (halves + following) / 2  # exact
    values = np.concatenate([halves, ties, np.nextafter(ties, 0), np.nextafter(ties, np.inf)])
    for x in np.concatenate([values, -values]):
        assert round_to(Fraction(float(x)), "float16") == Fraction(float(np.float16(x)))


def test_round_to_bfloat16_is_the_cast_of_ml_dtypes():
    """From float32, where that cast rounds once. With subnormals, ties and their neighbours."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    bits = np.random.default_rng(1).integers(0, 0x7F7F0000, 1500, dtype=np.uint32)
    ties = (bits & np.uint32(0xFFFF0000)) | np.uint32(0x8000)
    small = np.arange(0, 2**20, 2**11, dtype=np.uint32)  # subnormal: 0 to 16 units of the last place
    every = np.concatenate([bits, ties, ties - np.uint32(1), ties + np.uint32(1), small])
    for x in every.view(np.float32):
        assert round_to(Fraction(float(x)), "bfloat16") == Fraction(float(x.astype(ml_dtypes.bfloat16)))
        assert round_to(-Fraction(float(x)), "bfloat16") == -Fraction(float(x.astype(ml_dtypes.bfloat16)))


def test_round_to_float32_is_the_cast_of_numpy():
    rng = np.random.default_rng(2)
    values = rng.standard_normal(1000) * 10.0 ** rng.integers(-44, 38, 1000)
    single = values.astype(np.float32)
    ties = (single.astype(np.float64) + np.nextafter(single, np.float32(np.inf)).astype(np.float64)) / 2  # exact
    for x in np.concatenate([values, ties, np.nextafter(ties, np.inf)]):
        assert round_to(Fraction(float(x)), "float32") == Fraction(float(np.float32(x)))


def test_round_to_float64_is_the_division_of_python():
    """int / int is rounded correctly, subnormal or not."""
    random = Random(3)
    for _ in range(2000):
        p, q = random.getrandbits(80) + 1, 10 ** random.randrange(40)
        scale = 2 ** random.randrange(1, 1050)
        assert round_to(Fraction(p, q), "float64") == Fraction(p / q)
        assert round_to(Fraction(-p, q * scale), "float64") == Fraction(-p / (q * scale))


def test_round_to_tf32_is_float32_with_13_bits_fewer():
    """On the bits of a float32, as an integer: carries run into the exponent, subnormals need no case of their own."""
    bits = np.random.default_rng(4).integers(0, 0x7F7FE000, 1500, dtype=np.uint32)
    ties = (bits & np.uint32(0xFFFFE000)) | np.uint32(0x1000)
    small = np.arange(0, 2**17, 2**9, dtype=np.uint32)
    for pattern in np.concatenate([bits, ties, ties - np.uint32(1), ties + np.uint32(1), small]):
        kept, dropped = divmod(int(pattern), 2**13)
        kept += dropped > 2**12 or (dropped == 2**12 and kept % 2)
        expected = np.array(kept << 13, dtype=np.uint32).view(np.float32)
        assert round_to(Fraction(float(pattern.view(np.float32))), "tf32") == Fraction(float(expected))


@pytest.mark.parametrize("dtype", FORMATS)
def test_a_number_is_rounded_once(dtype):
    """Just above a tie: a route through a wider format would meet the tie itself and go to the even neighbour, 1."""
    bits = {"bfloat16": 8, "float16": 11, "tf32": 11, "float32": 24, "float64": 53}[dtype]
    above = 1 + Fraction(1, 2**bits) + Fraction(1, 2**200)
    assert round_to(above, dtype) == 1 + Fraction(1, 2 ** (bits - 1))
    assert round_to(1 + Fraction(1, 2**bits), dtype) == 1


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("x", ["3.4445", "-4.7750", "2.0315", "0.1", "8.28721201814563", "1e-3", "1"])
def test_rounding_is_idempotent_odd_and_homogeneous(x, dtype):
    x = Fraction(x)
    once = round_to(x, dtype)
    assert round_to(once, dtype) == once == -round_to(-x, dtype)
    assert round_to(4 * x, dtype) == 4 * once


@pytest.mark.parametrize(
    ("dtype", "largest", "least"),
    [
        ("float16", Fraction(65504), Fraction(2) ** -24),
        ("bfloat16", (2 - Fraction(2) ** -7) * 2**127, Fraction(2) ** -133),
        ("tf32", (2 - Fraction(2) ** -10) * 2**127, Fraction(2) ** -136),
        ("float32", (2 - Fraction(2) ** -23) * 2**127, Fraction(2) ** -149),
        ("float64", (2 - Fraction(2) ** -52) * 2**1023, Fraction(2) ** -1074),
    ],
)
def test_the_ends_of_a_format(dtype, largest, least):
    unit = {"float16": 2**5, "bfloat16": 2**120, "tf32": 2**117, "float32": 2**104, "float64": 2**971}[dtype]
    tie = largest + Fraction(unit, 2)
    assert round_to(largest, dtype) == largest
    assert round_to(tie - 1, dtype) == largest  # below the tie between the largest number and the power of two
    assert round_to(least, dtype) == least
    assert round_to(least / 2, dtype) == 0  # ties to even
    assert round_to(least / 2 + least / 2**60, dtype) == least
    assert round_to(Fraction(0), dtype) == 0
    for beyond in (tie, -tie):
        with pytest.raises(OverflowError, match=f"beyond the range of {dtype}"):
            round_to(beyond, dtype)


def test_an_unknown_format():
    with pytest.raises(ValueError, match="dtype='int8' is not one of float64, float32, tf32, float16, bfloat16"):
        round_to(Fraction(1), "int8")
    with pytest.raises(ValueError, match="dtype='int8'"):
        Schedule.of("s", JORDAN).rounded("int8")


def test_a_rounded_schedule():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    before = Schedule.of("s", JORDAN, past="repeat", default_steps=5, source="somewhere")
    after = before.rounded("bfloat16")
    expected = [Fraction(float(np.float32(c).astype(ml_dtypes.bfloat16))) for c in JORDAN[0]]
    assert list(after.rows[0].numerator) == expected != list(before.rows[0].numerator)
    assert after.rows[0].denominator == (1,)
    assert after.name == "s in bfloat16"
    assert (after.past, after.default_steps, after.source) == ("repeat", 5, "somewhere")
    assert before.rows[0].numerator == tuple(Fraction(c) for c in JORDAN[0])


# ---------------------------------------------------------------------------------------------------------------------
# numbers as written


def test_strings_are_decimal_floats_are_binary():
    assert exact("0.1") == Fraction(1, 10)
    assert exact(0.1) == Fraction(3602879701896397, 36028797018963968) != Fraction(1, 10)
    assert exact("1e-3") == Fraction(1, 1000) and exact("7/3") == Fraction(7, 3) and exact(2) == 2
    assert exact("-1.5E+3") == -1500 and exact("1e-1000") == Fraction(1, 10**1000)
    assert Schedule.of("s", [("0.1", 0.1)]).rows[0].numerator == (exact("0.1"), exact(0.1))


@pytest.mark.parametrize("x", [nan, inf, -inf, "nan", "inf", "x", "", None, 1j, [1], "1/0", "1e99999999", "1E-1001"])
def test_what_is_not_a_finite_number(x):
    with pytest.raises(ValueError, match="is not a finite number"):
        exact(x)
    with pytest.raises(ValueError, match="is not a finite number"):
        Schedule.of("s", [(x,)])


# ---------------------------------------------------------------------------------------------------------------------
# schedules


@pytest.mark.parametrize(
    ("past", "applied"),
    [("stop", None), ("repeat", [1, 2, 3, 3, 3, 3, 3, 3]), ("cycle", [1, 2, 3, 1, 2, 3, 1, 2])],
)
def test_steps_past_the_last_row(past, applied):
    schedule = Schedule.of("s", THREE, past=past)
    for count in range(4):
        assert [row.numerator[0] for row in schedule.steps(count)] == [1, 2, 3][:count]
    for count in range(4, 9):
        if applied is None:
            with pytest.raises(
                ValueError, match=f"steps={count}: schedule 's' has 3 rows and does not say what comes after"
            ):
                schedule.steps(count)
        else:
            assert [row.numerator[0] for row in schedule.steps(count)] == applied[:count]


@pytest.mark.parametrize("count", [-1, 1.0, "2", True, False, nan])
def test_what_is_not_a_number_of_steps(count):
    schedule = Schedule.of("s", THREE, past="repeat")
    for asked in (schedule.steps, schedule.slope, schedule.coefficients, lambda n: schedule(1.0, n)):
        with pytest.raises(ValueError, match="is not a number of steps"):
            asked(count)


def test_too_many_steps():
    schedule = Schedule.of("s", THREE, past="repeat")
    assert len(schedule.steps(1000)) == 1000
    with pytest.raises(ValueError, match="steps=1001 is more than 1000"):
        schedule.steps(1001)


def test_the_default_number_of_steps():
    assert Schedule.of("s", THREE).default_steps == 3
    many = Schedule.of("s", THREE, past="cycle", default_steps=7)
    assert len(many.steps()) == len(many.coefficients()) == 7
    assert many(Fraction(1)) == many.slope() == 1 * 2 * 3 * 1 * 2 * 3 * 1
    assert many(Fraction(5), 0) == 5 and many.steps(0) == () and many.slope(0) == 1


def test_rows_are_applied_from_the_first_to_the_last():
    schedule = Schedule.of("s", TWO)
    for x in (Fraction(1, 3), Fraction(-2, 3), Fraction(11, 8)):
        assert schedule(x) == odd(TWO[1], odd(TWO[0], x)) != odd(TWO[0], odd(TWO[1], x))
    # two rows in floats: 9 u and 6 u of their sums of absolute values, the first carried on by |f_2'| <= 3/2 + 3/2 y^2
    x = 0.4
    first = odd([abs(Fraction(c)) for c in TWO[0]], Fraction(x))
    second = odd([abs(Fraction(c)) for c in TWO[1]], first)
    limit = Fraction(1.01 * U) * (9 * first * (Fraction(3, 2) + Fraction(3, 2) * first**2) + 6 * second)
    assert abs(Fraction(schedule(x)) - schedule(Fraction(x))) <= limit
    assert np.array_equal(schedule(np.array([x])), [schedule(x)])


def test_slope_is_the_product_of_the_first_coefficients():
    assert Schedule.of("s", JORDAN, past="repeat").slope(5) == Fraction("3.4445") ** 5
    assert Schedule.of("s", TWO).slope() == 3
    assert Schedule("s", (HALLEY, HALLEY)).slope() == 9
    assert Schedule("s", (HALLEY, NEWTON)).slope() is None
    assert Schedule("s", (HALLEY, NEWTON)).slope(1) == 3
    assert Schedule.of("s", [("0", "1"), ("2",)]).slope() == 0


@pytest.mark.parametrize("last", [True, False])
def test_scaled_schedules(last):
    before = Schedule.of("s", [*TWO, *JORDAN], past="repeat", source="somewhere")
    after = before.scaled("1.05", last=last)
    c = Fraction(21, 20)
    for i, (old, new) in enumerate(zip(before.rows, after.rows, strict=True)):
        expected = [a / c ** (2 * k + 1) for k, a in enumerate(old.numerator)]
        assert list(new.numerator) == (expected if last or i < 2 else list(old.numerator))
    assert (after.past, after.source, after.name) == ("repeat", "somewhere", "s")


def test_scaling_is_exact_and_can_be_undone():
    before = Schedule.of("s", TWO)
    assert before.scaled("1.01").scaled(1 / Fraction("1.01")) == before
    assert before.scaled(1) == before
    # a float counts as the binary number it is
    assert before.scaled(1.01) != before.scaled("1.01")


def test_coefficients_are_the_nearest_floats():
    assert Schedule.of("s", JORDAN, past="repeat").coefficients(2) == [(3.4445, -4.7750, 2.0315)] * 2
    assert Schedule.of("s", [(Fraction(1, 3),)]).coefficients() == [(1 / 3,)]
    with pytest.raises(ValueError, match="schedule 'halley' is rational: it has no list of polynomial coefficients"):
        Schedule("halley", (HALLEY,)).coefficients()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Schedule("s", ()), "schedule 's' has no rows"),
        (lambda: Schedule.of("s", []), "schedule 's' has no rows"),
        (lambda: Schedule("s", (HALLEY,), past="never"), "past='never' is not one of stop, repeat, cycle"),
        (lambda: Schedule.of("s", [("1",), ()]), "."),
        (lambda: Schedule("s", (Row((Fraction(1),), (Fraction(0),)),)), "."),
        (lambda: Schedule("s", (HALLEY,), default_steps=-1), "."),
    ],
    ids=["no rows", "none of", "past", "a row without coefficients", "denominator 0", "default_steps"],
)
def test_what_is_not_a_schedule(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---------------------------------------------------------------------------------------------------------------------
# normalizations


def test_normalizations():
    assert str(Normalization()) == "frobenius" and Normalization().factor == 1
    assert Normalization("aol", "1.01").factor == Fraction(101, 100)
    assert str(Normalization("schatten4", Fraction("1.02"))) == "schatten4 x 1.02"
    assert Schedule.of("s", TWO).normalization == Normalization("frobenius", 1)


@pytest.mark.parametrize("kind", ["l2", "", None, "Frobenius"])
def test_an_unknown_normalization(kind):
    with pytest.raises(ValueError, match="is not one of frobenius, schatten4, spectral, aol, none"):
        Normalization(kind)


def test_a_factor_without_a_quotient():
    with pytest.raises(ValueError, match="factor=0 cannot be divided by"):
        Schedule.of("s", THREE).scaled(0)
    with pytest.raises(ValueError, match="'1/0' is not a finite number"):
        Normalization("frobenius", "1/0")


@pytest.mark.parametrize("factor", [0, -1, "-0.5"])
def test_a_factor_that_is_not_positive(factor):
    with pytest.raises(ValueError, match=f"factor={Fraction(factor)} is not positive"):
        Normalization("frobenius", factor)


# ---------------------------------------------------------------------------------------------------------------------
# nothing changes


@pytest.mark.parametrize(
    ("thing", "attribute"),
    [
        (HALLEY, "numerator"),
        (HALLEY, "denominator"),
        (Normalization(), "factor"),
        (Schedule.of("s", TWO), "rows"),
        (Schedule.of("s", TWO), "default_steps"),
        (schedules.get("jordan"), "normalization"),
    ],
)
def test_everything_is_frozen(thing, attribute):
    with pytest.raises(FrozenInstanceError):
        setattr(thing, attribute, getattr(thing, attribute))
    with pytest.raises(FrozenInstanceError):
        delattr(thing, attribute)


def test_equal_things_are_equal_and_hashable():
    one, other = Schedule.of("s", TWO), Schedule.of("s", [list(row) for row in TWO])
    assert one == other and len({one, other}) == 1 and one is not other
    assert one != Schedule.of("s", JORDAN) and one != Schedule.of("t", TWO)


def test_a_list_that_is_changed_later_changes_nothing():
    written = [["2", "-1.5", "0.5"]]
    schedule = Schedule.of("s", written)
    written[0][0] = "9"
    written.append(["1"])
    assert schedule.rows == (Row((Fraction(2), Fraction(-3, 2), Fraction(1, 2))),)


# ---------------------------------------------------------------------------------------------------------------------
# names


def test_names_and_aliases():
    names = schedules.names()
    assert len(names) == len(set(names))
    for name in names:
        assert schedules.get(name).name == name
    for alias, name in {
        "muon": "jordan",
        "cubic": "newton-schulz-3",
        "cans": "cans-5",
    }.items():
        assert schedules.get(alias) is schedules.get(name)
        assert alias not in names


def test_the_list_of_names_is_a_copy():
    schedules.names().clear()
    assert "jordan" in schedules.names()


@pytest.mark.parametrize("name", ["nope", "Jordan", "", None, 3, ("jordan",), ["jordan"]])
def test_an_unknown_name_is_answered_with_all_names(name):
    with pytest.raises(ValueError, match="is not one of") as caught:
        schedules.get(name)
    message = str(caught.value)
    assert message.startswith(f"schedule {name!r} ")
    assert all(known in message for known in [*schedules.names(), "muon", "cubic", "cans"])


def test_a_name_of_two_things_is_refused_with_both():
    with pytest.raises(ValueError, match=r"'quintic' is said of two: .*newton-schulz-5, and you-5"):
        schedules.get("quintic")


# ---------------------------------------------------------------------------------------------------------------------
# without python-flint


def test_without_flint_certificates_and_design_say_what_to_install(monkeypatch):
    monkeypatch.setattr(errors, "find_spec", lambda name: None)
    for asked in (lambda: schedules.get("jordan").certify("0.1"), lambda: schedules.minimax("0.1", 2)):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'orthoref\[certify\]'"):
            asked()


def test_without_flint_all_else_works():
    code = """
import sys
sys.modules["flint"] = None
from orthoref import schedules
assert schedules.get("polar-express")(1.0) > 0
for made in (schedules.pade(2), schedules.scaled_newton("1e-3"), schedules.qdwh("1e-3"), schedules.zolotarev("1e-3")):
    assert abs(made(1.0) - 1) < 1e-3, made
try:
    schedules.certify(schedules.get("jordan"), "0.1")
except ModuleNotFoundError:
    print("as it should be")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert run.stdout.strip() == "as it should be", run.stderr


@pytest.mark.parametrize("bits", [8, 11, 24, 53])
def test_the_widths_of_the_formats(bits):
    """1 + 2^(1-bits) is the successor of 1 in exactly those formats that have so many bits."""
    x = 1 + Fraction(2) ** (1 - bits)
    widths = {"bfloat16": 8, "float16": 11, "tf32": 11, "float32": 24, "float64": 53}
    assert set(FORMATS) == set(widths)
    for dtype, width in widths.items():
        assert (round_to(x, dtype) == x) == (width >= bits)
        below = Fraction(nextafter(1.0, 0.0)) if width == 53 else 1 - Fraction(2) ** -width
        assert round_to(below, dtype) == below


def test_rows_made_by_hand():
    assert Row((1.5, "-0.5")) == Row((Fraction(3, 2), Fraction(-1, 2)))
    with pytest.raises(ValueError, match="nan is not a finite number"):
        Row((1.5, float("nan")))
    with pytest.raises(ValueError, match="0 is not a finite number of moderate size"):
        Schedule.of("huge", [["1" + 400 * "0"]])
    with pytest.raises(ValueError, match="an integer of 16610 bits is not a finite number of moderate size"):
        Row((10**5000,))
    with pytest.raises(TypeError, match=r"schedule 's': \(1.5, -0.5\) is no Row; Schedule.of takes lists"):
        Schedule("s", ((1.5, -0.5),))
    assert Schedule.of("largest", [[2.0**1023]]).coefficients() == [(2.0**1023,)]


def test_any_integer_is_a_number_of_steps():
    assert schedules.get("jordan").steps(np.int64(2)) == schedules.get("jordan").steps(2)
    for count in (np.float64(2), np.True_, True, 2.0, "2", np.asarray([1, 2])):
        with pytest.raises(ValueError, match="is not a number of steps"):
            schedules.get("jordan").steps(count)
