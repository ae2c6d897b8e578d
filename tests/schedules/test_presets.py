"""The published lists, typed once more from the sources and compared digit by digit, and how they are related.

FACTS are the numbers of the repositories and papers named in the sources, as they were collected beside this project;
they are read by Decimal, not by the library.
"""

from __future__ import annotations

from collections import Counter
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import numpy as np
import pytest

from orthoref import schedules
from orthoref.schedules import Normalization, Row, Schedule, get

JORDAN = "3.4445 -4.7750 2.0315"
TAIL = "2 -1.5 0.5"
PAPER = """
8.28721201814563, -23.595886519098837, 17.300387312530933
4.107059111542203, -2.9478499167379106, 0.5448431082926601
3.9486908534822946, -2.908902115962949, 0.5518191394370137
3.3184196573706015, -2.488488024314874, 0.51004894012372
2.300652019954817, -1.6689039845747493, 0.4188073119525673
1.891301407787398, -1.2679958271945868, 0.37680408948524835
1.8750014808534479, -1.2500016453999487, 0.3750001645474248
1.875, -1.25, 0.375
"""
NANOGPT = """
8.156554524902461,-22.48329292557795,15.878769915207462
4.042929935166739,-2.808917465908714,0.5000178451051316
3.8916678022926607,-2.772484153217685,0.5060648178503393
3.285753657755655,-2.3681294933425376,0.46449024233003106
2.3465413258596377,-1.7097828382687081,0.42323551169305323
"""
FACTS = {
    "jordan": JORDAN,
    "two-step-tail": TAIL,
    "deepseek-v4": "\n".join([JORDAN] * 8 + [TAIL] * 2),
    "you-5": """
        4.0848,-6.8946,2.9270
        3.9505,-6.3029,2.6377
        3.7418,-5.5913,2.3037
        2.8769,-3.1427,1.2046
        2.8366,-3.0525,1.2012
        """,
    "cubic5": """
        3.3656576,-3.3420992
        2.5744352,-1.4957376
        2.5368962,-1.4312570
        2.4418906,-1.2764040
        2.2230472,-0.9630650
        """,
    "aol-a": """
        4.0098,-7.0585,2.4635
        3.4585,-5.5479,2.5959
        2.7573,-3.2939,1.4254
        2.7215,-3.0494,1.3169
        """,
    "aol-b": """
        4.6051,-9.6552,5.6769
        4.7505,-6.0861,2.1790
        2.7763,-2.3190,0.5523
        2.4231,-2.2861,0.8193
        """,
    "cans-5": """
        8.4703,-25.1081,18.6293
        4.1828,-3.1087,0.5806
        3.9619,-2.9541,0.5630
        3.2866,-2.4647,0.5074
        2.2737,-1.6447,0.4162
        """,
    "polar-express-list": PAPER,
    "polar-express-nanogpt": NANOGPT,
}
OVER_1024 = """
3955,-8306,5008
3735,-6681,3463
3799,-6499,3211
4019,-6385,2906
2677,-3029,1162
2172,-1833,682
"""
PADE = {  # Kenney and Laub's table, over one denominator
    "newton-schulz-3": ([3, -1], 2),
    "newton-schulz-5": ([15, -10, 3], 8),
    "newton-schulz-7": ([35, -35, 21, -5], 16),
    "newton-schulz-9": ([315, -420, 378, -180, 35], 128),
}
NAMES = {
    *FACTS,
    *PADE,
    "you-6",
    "polar-express",
    "polar-express-nvidia",
    "polar-express-timm",
    "polar-express-timm-safer",
    "polar-express-gram",
}


def read(text):
    return [[Fraction(Decimal(word)) for word in line.replace(",", " ").split()] for line in text.strip().splitlines()]


def rows(schedule):
    assert all(row.denominator == (1,) for row in schedule.rows)
    return [list(row.numerator) for row in schedule.rows]


def test_the_names():
    assert Counter(schedules.names()) == Counter(NAMES)


@pytest.mark.parametrize("name", FACTS)
def test_the_digits_of_a_list(name):
    expected = read(FACTS[name])
    found = rows(get(name))
    if get(name).past == "repeat":  # of equal rows at the end one is enough
        while len(expected) > len(found):
            assert expected[-1] == found[-1]
            expected.pop()
    assert found == expected


def test_the_six_rows_over_1024():
    assert rows(get("you-6")) == [[c / 1024 for c in row] for row in read(OVER_1024)]


@pytest.mark.parametrize("name", PADE)
def test_the_pade_rows(name):
    numerator, denominator = PADE[name]
    assert rows(get(name)) == [[Fraction(c, denominator) for c in numerator]]
    assert sum(numerator) == denominator  # f(1) = 1


def test_the_steps_of_the_sources():
    lengths = {
        "jordan": 5,
        "you-5": 5,
        "you-6": 6,
        "deepseek-v4": 10,
        "cubic5": 5,
        "aol-a": 4,
        "aol-b": 4,
        "cans-5": 5,
        "polar-express-list": 8,
        "polar-express": 8,
        "polar-express-nvidia": 8,
        "polar-express-nanogpt": 5,
        "polar-express-timm": 8,
        "polar-express-timm-safer": 8,
        "polar-express-gram": 5,
    }
    assert {name: len(get(name).steps()) for name in lengths} == lengths


def test_deepseek_v4_is_jordan_and_the_tail():
    steps = get("deepseek-v4").steps()
    assert steps == get("jordan").steps(8) + get("two-step-tail").steps(2)


@pytest.mark.parametrize(
    ("name", "kind", "factor"),
    [
        ("jordan", "frobenius", "1"),
        ("polar-express", "frobenius", "1.01"),  # X = G/(1.01 |G|_F + 1e-7)
        ("polar-express-list", "frobenius", "1"),
        ("polar-express-nvidia", "frobenius", "1"),
        ("polar-express-nanogpt", "frobenius", "1.02"),  # modded-nanogpt
        ("polar-express-gram", "frobenius", "1"),
        ("aol-a", "aol", "1"),
        ("aol-b", "aol", "1"),
    ],
)
def test_the_normalizations_of_the_sources(name, kind, factor):
    assert get(name).normalization == Normalization(kind, Fraction(factor))


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_preset_says_where_it_is_from(name):
    assert len(get(name).source) > 10 and get(name).name == name
    assert get(name).past in ("stop", "repeat", "cycle") and get(name).default_steps >= 1


@pytest.mark.parametrize("name", sorted(NAMES))
def test_no_two_presets_are_the_same(name):
    """Equal rows, steps, continuation and normalization under two names would be one list too many."""

    def key(schedule):
        return schedule.steps(), schedule.past, schedule.normalization

    assert [other for other in NAMES if key(get(other)) == key(get(name))] == [name]


# ---------------------------------------------------------------------------------------------------------------------
# relations between the lists, exactly


def over(factor, row):
    """f(x/c), by a_k/c^(2k+1)."""
    c = Fraction(Decimal(factor))
    return [a / c**degree for a, degree in zip(row, (1, 3, 5), strict=True)]


def test_polar_express_as_run_has_a_factor_in_all_rows_but_the_last():
    paper = read(PAPER)
    assert rows(get("polar-express")) == [over("1.01", row) for row in paper[:-1]] + paper[-1:]


def test_the_gram_form_has_a_factor_in_five_rows_the_last_included():
    assert rows(get("polar-express-gram")) == [over("1.05", row) for row in read(PAPER)[:5]]


def test_the_list_of_nvidia_is_the_one_as_run_to_four_decimals():
    """23 of the 24 numbers are rounded; the first, 8.20516..., is cut off: published, and copied, as 8.2051."""

    def four(x):
        """Rounded by Decimal; the quotient of the integers to 28 digits is no tie."""
        quotient = Decimal(x.numerator) / Decimal(x.denominator)
        return Fraction(quotient.quantize(Decimal("0.0001"), ROUND_HALF_EVEN))

    paper = read(PAPER)
    expected = [[four(a) for a in over("1.01", row)] for row in paper[:-1]] + paper[-1:]
    assert expected[0][0] == Fraction("8.2052")
    expected[0][0] = Fraction("8.2051")
    assert rows(get("polar-express-nvidia")) == expected
    assert get("polar-express-nvidia").coefficients()[0] == (8.2051, -22.9019, 16.4607)  # as read there
    # not of the list without the factor, nor with the factor in the last row
    assert rows(get("polar-express-nvidia"))[0] != [four(a) for a in paper[0]]
    assert rows(get("polar-express-nvidia"))[-1] != [four(a) for a in over("1.01", paper[-1])]


def test_the_lists_of_timm_and_nanogpt():
    """Up to rounding the safer list begins with four rows of nanogpt's; the fifth has the safety factor, there not."""
    safer, nanogpt = rows(get("polar-express-timm-safer")), read(NANOGPT)
    # two runs of the same Remez iteration in float64: fifteen digits
    assert all(
        abs(x / y - 1) <= Fraction(1, 10**14)
        for a, b in zip(safer[:4], nanogpt[:4], strict=True)
        for x, y in zip(a, b, strict=True)
    )
    assert [round(float(x), 5) for x in safer[4]] == [2.30053, -1.61117, 0.38334]
    assert [round(float(x), 5) for x in nanogpt[4]] == [2.34654, -1.70978, 0.42324]
    for x, y in zip(safer[4], over("1.02", nanogpt[4]), strict=True):
        assert abs(x / y - 1) <= Fraction(1, 10**14)


def test_six_different_lists_are_called_polar_express():
    named = [name for name in schedules.names() if name.startswith("polar-express")]
    assert len({get(name).steps(5) for name in named}) == len(named) == 7


def test_the_limits_of_the_rows():
    """The last rows of the long lists are (15/8, -10/8, 3/8)."""
    limit = Row((Fraction(15, 8), Fraction(-10, 8), Fraction(3, 8)))
    for name in ("polar-express-list", "polar-express", "polar-express-nvidia"):
        assert get(name).rows[-1] == limit == get("newton-schulz-5").rows[0]


# ---------------------------------------------------------------------------------------------------------------------
# hazards that the numbers alone show, in Fractions


def test_aol_a_flips_what_the_rescaling_it_is_made_for_produces():
    """AOL rescaling of a diagonal matrix gives singular values of exactly 1, and f(1) < 0 in the first row."""
    a = np.diag([4.0, 1.0, 0.25])
    rescaled = a / np.sqrt(np.abs(a @ a.T).sum(axis=1))[:, None]  # powers of two: exact
    assert np.array_equal(rescaled, np.eye(3))
    first = sum(read(FACTS["aol-a"])[0])
    assert first == Fraction("-0.5852") == get("aol-a")(Fraction(1), 1)
    assert get("aol-a")(Fraction(1)) < -Fraction(9, 10)  # and the other rows take it to -1
    # the sign changes at t = (7.0585 - sqrt(7.0585^2 - 4 4.0098 2.4635))/(2 2.4635), x = sqrt(t) = 0.8837
    assert get("aol-a")(Fraction("0.8836"), 1) > 0 > get("aol-a")(Fraction("0.8838"), 1)
    assert get("aol-b")(Fraction(1)) > Fraction(9, 10)


@pytest.mark.parametrize("name", ["polar-express-list", "cans-5"])
def test_lists_that_tolerate_nothing_above_one(name):
    """A norm rounded to bfloat16 is too small by up to 2^-8; half of that beyond 1 is amplified out of all bounds."""
    above = 1 + Fraction(1, 2**9)
    assert abs(get(name)(Fraction(1), 5) - 1) < Fraction("0.125")
    assert abs(get(name)(above, 5)) > 10


def test_you_5_past_its_rows():
    """From the top again, its first row sends 1 to 0.1172: one step more is worse than none."""
    assert get("you-5").past == "cycle"
    once = sum(read(FACTS["you-5"])[0])
    assert once == Fraction("0.1172")
    again = Schedule("again", get("you-5").rows, past="repeat")
    for x in ("0.01", "0.1", "0.5", "1"):
        assert abs(get("you-5")(Fraction(x), 5) - 1) < Fraction("0.04")
        assert abs(get("you-5")(Fraction(x), 6) - once) < Fraction("0.1")
        assert abs(again(Fraction(x), 6) - 1) < Fraction("0.04")


def test_jordan_never_converges():
    """f maps K = [0.682, 1.0501] over itself, and K is in the image of [0.01, 1] after two steps: it stays there."""
    f = get("jordan").rows[0]
    low, high = Fraction("0.682"), Fraction("1.0501")
    assert f(low) >= high and f(high) <= low  # by the intermediate value theorem f(K) contains K
    two = [get("jordan")(x, 2) for x in (Fraction(1, 100), Fraction(1, 5))]
    assert two[0] <= low and two[1] >= high
    assert get("jordan")(Fraction(1), 1) == Fraction("0.701")
