"""Certificates against exact arithmetic and dense sampling: zero violations, ends that are attained, thresholds.

Two judges, both without the library. PATH evaluates the composition at one rational point in fixed-point integers of
400 bits: an operation is wrong by at most 2^-400 times the size of the coefficients (below 2^75), a step multiplies an
error by at most sum (2k+1) |c_k| x^2k < 2^11 on the intervals used here, ten steps by 2^110; the rational iterations
have |f'| < 2^18 in their first step and less later. So a value is known to 2^-200 = SLACK.
EXTREMES samples the composition in float64 on grids that are dense at both ends and refines the most extreme samples by
a golden section in the arithmetic of PATH: what it finds is attained. It misses the supremum only if the samples do.
"""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import inf, isqrt, nextafter, sqrt

import numpy as np
import pytest

flint = pytest.importorskip("flint", reason="python-flint encloses the images")

from orthoref import NotCertified, OutsideDomain  # noqa: E402
from orthoref.schedules import (  # noqa: E402
    Row,
    Schedule,
    certify,
    get,
    names,
    pade,
    qdwh,
    scaled_newton,
    zolotarev,
)

pytestmark = pytest.mark.sample(4)

ONE = 1 << 400
SLACK = ONE >> 200
NEWTON = Schedule("newton", (Row((Fraction(1, 2), Fraction(1, 2)), (Fraction(0), Fraction(1))),), past="repeat")
IDENTITY = Schedule.of("identity", [("1",)], past="repeat")
RATIONAL = {
    "scaled Newton": scaled_newton("1e-3", 5),
    "QDWH": qdwh("1e-3", 4),
    "Zolotarev": zolotarev("1e-3", 2),
    "Halley": pade(1, 1, 4),
}

POLES = {
    "half": Schedule("pole", (Row((Fraction(1),), (Fraction(1), Fraction(-4))),)),  # x/(1 - 4 x^2)
    "pade": Schedule("pole", pade(0, 2).rows),  # 8x/(3 + 6 x^2 - x^4): at sqrt(3 + 2 sqrt(3)) = 2.5425
}
POLES["both"] = Schedule("pole", (*pade(1).rows, *POLES["half"].rows))  # in the second step
POLES["zero"] = Schedule("pole", (*pade(1).rows, *NEWTON.rows))  # [0.1, 2] -> [-1, 1], where (x + 1/x)/2 has a pole


# ---------------------------------------------------------------------------------------------------------------------
# the judges


def fixed(x) -> int:
    x = Fraction(x)
    return (x.numerator << 400) // x.denominator


def path_of(rows):
    """x -> the values after every step, integers over ONE."""
    steps = [([fixed(c) for c in row.numerator[::-1]], [fixed(c) for c in row.denominator[::-1]]) for row in rows]

    def path(x):
        found = []
        for top, bottom in steps:
            t = x * x >> 400
            n = d = 0
            for c in top:
                n = (n * t >> 400) + c
            for c in bottom:
                d = (d * t >> 400) + c
            x = x * n // d
            found.append(x)
        return found

    return path


def floats(rows, x):
    for row in rows:
        t = x * x
        x = x * np.polyval([float(c) for c in row.numerator[::-1]], t)
        if row.denominator != (1,):
            x = x / np.polyval([float(c) for c in row.denominator[::-1]], t)
    return x


def grid(low, high, count=4000):
    """Floats in [low, high]: geometric from the lower end (1e-9 high if that is 0), linear, geometric to the upper."""
    first, last = float(low), float(high)
    first = nextafter(first, inf) if first < low else first
    last = nextafter(last, 0) if last > high else last
    start = first if first > 0 else last * 1e-9
    points = [
        np.geomspace(start, last, count),
        np.linspace(first, last, count),
        last - (last - first) * np.geomspace(1e-9, 1, count),
    ]
    return np.unique(np.clip(np.concatenate(points), first, last))


def golden(f, left, right):
    """Least value of f on [left, right], integers over ONE.

    50 sections shrink a bracket of the grids below 1e-13: with |f''| <= 1e10, a value is off by 1e-16.
    """
    low, high = fixed(left), fixed(right)
    ratio = (isqrt(5 * ONE * ONE) - ONE) // 2
    p, q = high - ((high - low) * ratio >> 400), low + ((high - low) * ratio >> 400)
    fp, fq = f(p), f(q)
    for _ in range(50):
        if fp < fq:
            high, q, fq = q, p, fp
            p = high - ((high - low) * ratio >> 400)
            fp = f(p)
        else:
            low, p, fp = p, q, fq
            q = low + ((high - low) * ratio >> 400)
            fq = f(q)
    return min(fp, fq)


def least(f, approximate, x):
    """Least value of f over the floats x, the two most promising local minima refined."""
    y = approximate(x)
    inner = np.flatnonzero((y[1:-1] <= y[:-2]) & (y[1:-1] <= y[2:])) + 1
    inner = inner[np.argsort(y[inner])][:2]
    return min([golden(f, float(x[i - 1]), float(x[i + 1])) for i in inner], default=f(fixed(float(x[0]))))


def extremes(rows, low, high):
    """The image of [low, high], from inside: least and largest value that were found."""
    x = grid(low, high)
    path = path_of(rows)
    ends = [path(fixed(end))[-1] for end in (low, high)]
    bottom = least(lambda z: path(z)[-1], lambda z: floats(rows, z), x)
    top = -least(lambda z: -path(z)[-1], lambda z: -floats(rows, z), x)
    return Fraction(min(bottom, *ends), ONE), Fraction(max(top, *ends), ONE)


FIVE = ("polar-express-list", "polar-express-timm-safer")  # the other rows are near (15/8, -10/8, 3/8); time


def schedule_of(name):
    return RATIONAL[name] if name in RATIONAL else get(name)


def count(name, steps=None):
    return steps or (5 if name in FIVE else schedule_of(name).default_steps)


def the_rows(name, steps=None):
    return schedule_of(name).steps(count(name, steps))


def certificate(name, lower="0.001", upper="1", steps=None):
    return _certificate(name, lower, upper, count(name, steps))


@cache
def _certificate(name, lower, upper, steps):
    return certify(schedule_of(name), lower, upper, steps=steps)


# some behave as their relatives do, and are left out for the time that they take
RELATIVES = (
    "newton-schulz-5",
    "newton-schulz-7",
    *(f"polar-express-{x}" for x in ("timm", "nvidia", "nanogpt", "gram")),
)
PRESETS = [name for name in names() if name not in RELATIVES]
SOUND = [name for name in PRESETS if name != "aol-a"]  # without AOL rescaling that one changes signs on [0, 1]
SHORT = ("jordan", "newton-schulz-3", "aol-a", "aol-b", "Halley", "Zolotarev")  # the others take their time


def marked(*cases):
    """Cases, a name or a tuple that begins with one: what is not in SHORT is exhaustive."""
    tuples = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*each, marks=() if each[0] in SHORT else pytest.mark.exhaustive) for each in tuples]


CASES = [
    *((name, "0.001", "1") for name in [*PRESETS, *RATIONAL]),
    ("jordan", "0.01", "1"),
    ("jordan", "0", "1.2"),
    ("two-step-tail", "0.8", "0.82"),  # its maximum is inside
    ("you-5", "0.01", "1"),
    ("you-6", "0.01", "1"),
    ("newton-schulz-5", "1", "1.5"),
    ("scaled Newton", "0.0001", "2"),
    ("QDWH", "0", "10"),
    ("Zolotarev", "0", "5"),
]


@pytest.mark.parametrize(("name", "lower", "upper"), marked(*CASES))
def test_image(name, lower, upper):
    """Nothing outside, after any step, and both ends attained."""
    found, rows = certificate(name, lower, upper), the_rows(name)
    assert len(found.after) == found.steps == len(rows) and found.image == found.after[-1]
    low, high = Fraction(lower), Fraction(upper)
    inside = [low + (high - low) * Fraction(i, 97) ** power for i in range(98) for power in (1, 4)]
    bounds = [(fixed(a) - SLACK, fixed(b) + SLACK) for a, b in found.after]
    path = path_of(rows)
    for x in inside:
        for y, (a, b) in zip(path(fixed(x)), bounds, strict=True):
            assert a <= y <= b
    for k in sorted({1, 2, len(rows)}):
        least_, largest = extremes(rows[:k], low, high)
        a, b = (Fraction(end) for end in found.after[k - 1])
        assert a <= least_ + Fraction(SLACK, ONE) and largest <= b + Fraction(SLACK, ONE)
        # attained: the ends are rounded outwards to a neighbouring float, 2^-52; the golden section is exact to 1e-30
        assert least_ - a <= Fraction(1, 10**12) * abs(least_) and b - largest <= Fraction(1, 10**12) * abs(largest)


def positive(name):
    """Whether a step has a pole at 0: then the interval begins at its lower end, else at 0."""
    return RATIONAL[name].slope() is not None if name in RATIONAL else True


@pytest.mark.parametrize("name", marked(*PRESETS, *RATIONAL))
def test_slope(name):
    """The product of the first coefficients, and the quotient f(h)/h for a tiny h."""
    found, rows = certificate(name), the_rows(name)
    if not positive(name):
        assert found.slope == inf
        return
    product = 1
    for row in rows:
        product *= row.numerator[0] / row.denominator[0]
    assert found.slope == float(product)  # Fraction to float is rounded correctly
    # f(h)/h = f'(0) (1 + O(1e10 h^2)): every step has |f'''(0)/f'(0)| < 1e10 here, after a slope below 1e6
    h = Fraction(1, 10**30)
    quotient = Fraction(path_of(rows)(fixed(h))[-1], ONE) / h
    assert abs(quotient / product - 1) <= Fraction(1, 10**15)


@pytest.mark.parametrize("name", marked(*SOUND, *RATIONAL))
def test_highest_and_sign(name):
    found, rows = certificate(name), the_rows(name)
    bottom = Fraction(0) if positive(name) else Fraction(1, 1000)
    _, largest = extremes(rows, bottom, Fraction(1))
    assert abs(largest - Fraction(found.highest)) <= Fraction(1, 10**12) * largest <= Fraction(2, 10**12)
    assert found.sign_safe
    x = grid(bottom, Fraction(1))
    x = x[x > 0]
    for k in range(1, len(rows) + 1):
        # f(x)/x is above 0.01 at every sample, more than a million times the rounding errors of its evaluation
        assert (floats(rows[:k], x) / floats(rows[: k - 1], x)).min() > 0.01


@pytest.mark.parametrize(
    ("name", "upper", "witness"),
    [
        ("aol-a", "1", "0.884"),
        ("newton-schulz-3", "1.74", "1.733"),  # sqrt(3) = 1.73205...
        ("newton-schulz-7", "1.6", "1.59"),
        ("cubic5", "1.01", "1.009"),
    ],
)
def test_a_witness_where_the_sign_changes(name, upper, witness):
    """Exact Fractions: the first step takes the witness, which is in (0, upper], to a negative number."""
    x = Fraction(witness)
    assert 0 < x <= Fraction(upper)
    assert sum(c * x ** (2 * k + 1) for k, c in enumerate(get(name).rows[0].numerator)) < 0
    assert not certify(get(name), "0.001", upper, steps=1).sign_safe


def test_a_sign_that_changes_in_a_later_step():
    """1 -> 1.7 -> 1.7 (1.5 - 0.5 1.7^2) > 0, but 1 -> 1.8 -> -0.216."""
    last = ("1.5", "-0.5")
    assert certify(Schedule.of("s", [("1.7",), last]), "0.1", 1).sign_safe
    assert not certify(Schedule.of("s", [("1.8",), last]), "0.1", 1).sign_safe


@pytest.mark.parametrize("name", marked(*SOUND, *RATIONAL))
def test_kept_just_inside_and_just_outside(name):
    found, rows = certificate(name), the_rows(name)
    kept = Fraction(found.kept)
    assert extremes(rows, kept, Fraction(1))[0] >= Fraction(1, 2) - Fraction(SLACK, ONE)
    if positive(name):  # else every s > 0 is kept, and the statement ends where the image passes 2^60
        outside = kept * (1 - Fraction(1, 10**12))  # what certificate.py promises of its bisection
        assert path_of(rows)(fixed(outside))[-1] < ONE // 2


@pytest.mark.parametrize("name", marked(*PRESETS, *RATIONAL))
def test_tolerated_just_inside_and_just_outside(name):
    found, rows = certificate(name), the_rows(name)
    tolerated, path = Fraction(found.tolerated), path_of(rows)
    bottom = Fraction(0) if positive(name) else Fraction(1, 1000)
    assert extremes(rows, bottom, tolerated)[1] <= Fraction(3, 2) + Fraction(SLACK, ONE)
    for i in range(1, 400):
        assert min(path(fixed(bottom + (tolerated - bottom) * Fraction(i, 400)))) > 0
    outside = path(fixed(tolerated * (1 + Fraction(1, 10**12))))
    assert min(outside) <= 0 or outside[-1] > 3 * ONE // 2


def test_kept_is_none_where_the_largest_singular_value_itself_falls_below():
    assert certificate("aol-a").kept is None
    assert get("aol-a")(Fraction(1)) < 0
    assert certify(IDENTITY, "0.1", "0.4").kept is None
    assert certify(IDENTITY, "0.1", "0.5").kept == 0.5


@pytest.mark.parametrize(("level", "ceiling"), [("0.25", "1.1"), ("0.9", "3"), ("0.5", "1.5")])
def test_level_and_ceiling_of_the_identity(level, ceiling):
    found = certify(IDENTITY, "0.1", "1", level=level, ceiling=ceiling)
    assert (found.kept, found.tolerated) == pytest.approx((float(level), float(ceiling)), rel=1e-12, abs=0)
    assert Fraction(found.kept) >= Fraction(level) and Fraction(found.tolerated) <= Fraction(ceiling)
    assert (found.level, found.ceiling) == (float(level), float(ceiling))


@pytest.mark.parametrize("name", marked(*SOUND, *RATIONAL))
def test_amplification(name):
    """max (x/x_max)/(f(x)/f_max) over the interval that a step sees, sampled."""
    found, rows = certificate(name), the_rows(name)
    seen = [(Fraction(1, 1000), Fraction(1)), *((Fraction(a), Fraction(b)) for a, b in found.after)]
    for row, (low, high), claimed in zip(rows, seen, found.amplification, strict=False):
        path = path_of([row])
        factor = least(lambda z, f=path: f(z)[0] * ONE // z, lambda z, r=row: floats([r], z) / z, grid(low, high))
        ends = [path(fixed(end))[0] * ONE // fixed(end) for end in (low, high)]
        sampled = extremes([row], low, high)[1] / high / Fraction(min(factor, *ends), ONE)
        # the interval seen is known to 2^-52 relatively, which moves f(x)/x by at most |x f'/f| 2^-51 < 1e-12 here
        assert abs(Fraction(claimed) / sampled - 1) <= Fraction(1, 10**11)
    assert len(found.amplification) == len(rows)


def test_amplification_is_infinite_where_the_function_vanishes():
    assert certificate("aol-a").amplification[0] == inf


@pytest.mark.parametrize("name", marked(*SOUND, *RATIONAL))
def test_steps_to(name):
    """The first number of steps whose image is within 1e-3 of 1; before it some point lies outside, after every step.

    40 steps multiply an error of PATH by 3.5^40 < 2^75 at most: |f'| <= 3.5 on the images that do not converge.
    """
    found = certificate(name)
    schedule = schedule_of(name)
    rows = schedule.steps(40 if schedule.past != "stop" else len(schedule.rows))
    reached = found.steps_to
    if reached is not None:
        low, high = extremes(rows[:reached], Fraction(1, 1000), Fraction(1))
        assert abs(low - 1) <= Fraction(1, 1000) and abs(high - 1) <= Fraction(1, 1000)
        rows = rows[: reached - 1]
    path = path_of(rows)
    points = [Fraction(1, 1000), Fraction(1), *(Fraction(i, 50) ** 2 for i in range(2, 50))]
    away = np.array([[abs(y - ONE) > ONE // 1000 for y in path(fixed(x))] for x in points])
    assert away.any(axis=0).all()


@pytest.mark.parametrize("target", ["0.5", "0.49", "0.05", "1e-4", "1e-12", "1e-30", "0"])
def test_steps_to_other_targets(target):
    """Halley's iteration on [1/2, 1], by its identity (1-f)/(1+f) = ((1-x)/(1+x))^3: e = 3^-(3^k), 1 - f = 2e/(1+e)."""
    reached = certify(pade(1, 1), "0.5", 1, steps=1, target=target).steps_to
    errors = [2 * e / (1 + e) for e in (Fraction(1, 3**3**k) for k in range(8))]
    enough = [k for k, error in enumerate(errors) if error <= Fraction(target)]
    assert reached == (enough[0] if enough else None)


# ---------------------------------------------------------------------------------------------------------------------
# the numbers that were published or measured elsewhere

# slope at 0, image of [1e-3, 1], image of [1e-2, 1], largest output of (0, 1], kept, tolerated: measured by another
# program in exact arithmetic (facts, section 1.3)
TABLE = {
    ("jordan", None): ("485", ".4705 1.2024", ".6818 1.1344", "1.2024", "1.07e-3", "1.264"),
    ("you-5", None): ("493", ".4750 1.1450", ".9778 1.0318", "1.1450", "1.06e-3", "1.325"),
    ("you-6", None): ("1137", ".8663 .9993", ".9956 .9993", ".9993", "4.7e-4", "1.083"),
    ("polar-express-list", 5): ("1026", ".8764 1.1236", ".8764 1.1236", "1.1236", "5.1e-4", None),
    ("polar-express", 5): ("976", ".8462 1.1236", ".8703 1.1236", "1.1236", "5.3e-4", "1.011"),
    ("polar-express-nvidia", 5): ("976", ".8462 1.1236", None, "1.1236", "5.3e-4", "1.011"),
    ("polar-express", None): ("6363", "1.0000 1.0000", None, "1.0000", "8.5e-5", "1.011"),
}


def digits(x, typed):
    """Whether x is rounded to the number as it was typed: at most half a unit of its last place away."""
    mantissa, _, exponent = typed.partition("e")
    unit = Fraction(1, 10 ** len(mantissa.partition(".")[2])) * Fraction(10) ** int(exponent or 0)
    return abs(Fraction(x) - Fraction(typed)) <= unit / 2


def agrees(found, line):
    slope, wide, _, highest, kept, tolerated = line
    return (
        digits(found.slope, slope)
        and all(digits(x, typed) for x, typed in zip(found.image, wide.split(), strict=True))
        and digits(found.highest, highest)
        and found.kept is not None
        and digits(found.kept, kept)
        and (tolerated is None or digits(found.tolerated, tolerated))
        and found.sign_safe
    )


def options(steps):
    return {} if steps is None else {"steps": steps}


@pytest.mark.parametrize(
    ("name", "steps"),
    marked(*TABLE),
)
def test_the_table(name, steps):
    line = TABLE[name, steps]
    assert agrees(certificate(name, **options(steps)), line)
    if line[2] is not None:
        narrow = certificate(name, "0.01", **options(steps)).image
        assert all(digits(x, typed) for x, typed in zip(narrow, line[2].split(), strict=True))


@pytest.mark.parametrize(
    ("name", "steps", "expected"),
    [
        ("jordan", None, "1.72 1.57 1.57 1.57 1.57"),
        ("you-5", None, "10.9 5.4 2.8 1.1 1.1"),
        ("polar-express-list", 5, "8.2 8.2 8.2 3 1.1"),
    ],
)
def test_the_amplifications_of_the_table(name, steps, expected):
    found = certificate(name, **options(steps)).amplification
    assert all(digits(d, typed) for d, typed in zip(found, expected.split(), strict=True))


@pytest.mark.exhaustive
def test_more_amplifications_of_the_table():
    assert max(certificate("you-6").amplification) <= 2.25  # "at most 2.2"
    assert digits(certificate("polar-express", steps=5).amplification[0], "8.3")


@pytest.mark.parametrize("name", ["polar-express-list", "cans-5"])
def test_lists_without_a_margin_tolerate_nothing_above_one(name):
    """The table has 1.0001 for the first, from a grid; that is outside already."""
    assert 1 < certificate(name, steps=5).tolerated < 1.00001
    assert get(name)(Fraction("1.0001"), 5) > Fraction("1.5") or min(path_of(the_rows(name, 5))(fixed("1.0001"))) < 0


def changed(name, row, k, how):
    """The preset with one coefficient changed: its sign, or its third digit by one."""
    rows = [list(r.numerator) for r in get(name).rows]
    c = rows[row][k]
    if how == "sign":
        rows[row][k] = -c
    else:
        place = 0
        while Fraction(10) ** (place + 1) <= abs(c):
            place += 1
        while Fraction(10) ** place > abs(c):
            place -= 1
        rows[row][k] = c + Fraction(10) ** (place - 2)
    return Schedule.of("changed", rows, past=get(name).past, default_steps=get(name).default_steps)


@pytest.mark.exhaustive
@pytest.mark.parametrize("how", ["sign", "digit"])
@pytest.mark.parametrize(("name", "row", "k"), [("jordan", 0, 0), ("jordan", 0, 1), ("jordan", 0, 2)])
def test_a_wrong_coefficient_shows_in_the_table(name, row, k, how):
    wrong = changed(name, row, k, how)
    try:
        found = certify(wrong, "0.001")
    except OutsideDomain:
        return  # a changed sign may let the composition diverge: more visible than any number
    assert not agrees(found, TABLE[name, None])


# ---------------------------------------------------------------------------------------------------------------------
# hazards


@pytest.mark.exhaustive
def test_you_5_past_its_rows():
    """From the top again, its first row takes what is near 1 to 4.0848 - 6.8946 + 2.9270 = 0.1172."""
    five, six = certificate("you-5", "0.01"), certificate("you-5", "0.01", steps=6)
    assert five.image[0] > 0.97 and six.image[1] < 0.24
    assert six.image[0] <= 0.1172 <= six.image[1] and get("you-5").steps(6)[5] == get("you-5").rows[0]
    assert six.kept is None and certificate("you-5").steps_to is None


@pytest.mark.exhaustive
def test_jordan_does_not_converge():
    found = certificate("jordan")
    assert found.steps_to is None
    # f maps [0.682, 1.0501] over itself: see test_presets
    assert all(a <= 0.682 and b >= 1.0501 for a, b in certify(get("jordan"), "0.01", steps=6).after[2:])


def test_aol_a_without_its_rescaling():
    found = certificate("aol-a")
    assert not found.sign_safe
    # where the first row vanishes: t = (b - sqrt(b^2 - 4ac))/(2c), from one double each: 1e-15
    a, b, c = 4.0098, 7.0585, 2.4635
    assert found.tolerated == pytest.approx(sqrt((b - sqrt(b * b - 4 * a * c)) / (2 * c)), rel=1e-14, abs=0)
    assert f"{found.tolerated:.2f}" == "0.88"


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("name", "fixed_point"),
    [("newton-schulz-3", "3"), ("newton-schulz-5", "7/3")],  # f(x) = 0 at sqrt(3); f(x) = x at sqrt(7/3)
)
def test_the_domains_of_newton_schulz(name, fixed_point):
    """Convergence for x < sqrt(3) and x < sqrt(7/3): that many steps tolerate slightly less, and tend to it."""
    bounds = [Fraction(certify(get(name), "0.5", steps=k).tolerated) ** 2 for k in (1, 3, 7)]
    if name == "newton-schulz-3":
        # one step takes [0, sqrt(3)) into (0, 1]; the bisection is good to 1e-12
        assert all(0 <= Fraction(fixed_point) - b <= Fraction(6, 10**12) for b in bounds)
    else:
        # f' = 15 (1 - t)^2/8 = 10/3 at the fixed point: a distance from it grows by about that factor in each step
        deficits = [Fraction(fixed_point) - b for b in bounds]
        assert deficits[0] > deficits[1] > deficits[2] > 0
        assert Fraction(3, 10) ** 4 / 2 <= deficits[2] / deficits[1] <= Fraction(3, 10) ** 4 * 2


# ---------------------------------------------------------------------------------------------------------------------
# images with negative numbers, and poles


@pytest.mark.parametrize(
    ("schedule", "lower", "upper", "witnesses"),
    [
        (get("aol-a"), "0", "1", ("0.97", "0.98", "0.99", "1")),
        (get("newton-schulz-3"), "0.001", "2.2", ("0.001", "0.01", "0.1", "2.0", "2.05", "2.1")),
        (Schedule.of("odd", [("-1",), ("1.5", "-0.5")]), "0.1", "1.5", ("0.5", "1", "1.2")),
        (Schedule.of("odd", [("1", "-1"), ("2", "-3", "1")]), "0", "1.4", ("1.1", "1.2", "1.3", "1.4")),
    ],
    ids=["aol-a", "newton-schulz-3", "minus one", "both signs"],
)
def test_images_of_intervals_with_negative_numbers(schedule, lower, upper, witnesses):
    """After two steps of exact Fractions, every witness of [lower, upper] is in the image."""
    low, high = certify(schedule, lower, upper, steps=2).image
    for x in (Fraction(w) for w in (lower, upper, *witnesses)):
        assert Fraction(low) <= schedule(x, 2) <= Fraction(high)


def test_statements_about_newton_schulz_beyond_its_domain():
    """[0.001, 2.2] -> [-2.024, 1] -> [-1, 1.11] -> ...: 0.001 never gets beyond 0.001 (3/2)^4 in four steps."""
    found = certify(get("newton-schulz-3"), "0.001", "2.2", steps=2)
    assert found.kept is None or found.kept > 0.1  # f(f(0.1)) < 0.1 (3/2)^2 < 1/2
    assert found.steps_to is None or found.steps_to > 4


@pytest.mark.exhaustive
@pytest.mark.parametrize("lower", ["0", "0.1"])
def test_amplification_of_an_odd_function_does_not_depend_on_the_sign(lower):
    """f = 3/2 x - 1/2 x^3 on -[lower, 3/2]: f_max/x_max = 1/(3/2), least f/x = 3/2 - 9/8 = 3/8; 16/9 in all."""
    found = certify(Schedule.of("odd", [("-1",), ("1.5", "-0.5")]), lower, "1.5")
    assert found.amplification == pytest.approx((1, 16 / 9), rel=1e-14, abs=0)


@pytest.mark.parametrize(
    ("name", "lower", "upper"),
    [
        ("half", "0.1", "1"),
        ("pade", "0.1", "3"),
        ("pade", "0", "2.6"),
        ("pade", "2.4", "2.6"),
        ("both", "0.1", "1"),
        ("zero", "0.1", "2"),
    ],
)
def test_a_pole_inside_is_refused(name, lower, upper):
    with pytest.raises(OutsideDomain, match="pole"):
        certify(POLES[name], lower, upper)


@pytest.mark.parametrize("schedule", [POLES["pade"], pade(0, 2, 1)], ids=["one step", "for ever"])
@pytest.mark.parametrize("upper", ["2", "2.5"])
def test_a_pole_outside_is_not(upper, schedule):
    """One step has none in [0.1, 2.5]; that a second step would have one is no matter of a certificate of one step."""
    found = certify(schedule, "0.1", upper)
    true = 8 * Fraction(upper) / (3 + 6 * Fraction(upper) ** 2 - Fraction(upper) ** 4)
    assert abs(Fraction(found.image[1]) / max(true, 1) - 1) <= Fraction(1, 10**15)


def test_a_pole_at_an_end_is_refused():
    for lower, upper in (("0.5", "1"), ("0.1", "0.5")):
        with pytest.raises(OutsideDomain, match="pole"):
            certify(POLES["half"], lower, upper)


def test_newton_and_its_pole_at_0():
    for schedule in (NEWTON, scaled_newton("1e-3")):
        with pytest.raises(OutsideDomain, match=r"a step has a pole at x\^2 = 0"):
            certify(schedule, 0)
    found = certify(NEWTON, "0.25", "2", steps=1)
    # (x + 1/x)/2 falls from 17/8 at 1/4 to 1 at 1 and rises to 5/4 at 2
    assert found.image == pytest.approx((1, 17 / 8), rel=2**-52, abs=0)
    assert found.slope == inf and found.sign_safe and found.highest == 17 / 8


def test_tolerated_of_newton_begins_at_the_lower_end():
    """(x + 1/x)/2 <= 1.1 on [1.2, u] until u = 1.1 + sqrt(0.21)."""
    found = certify(NEWTON, "1.2", "2.2", steps=1, ceiling="1.1")
    assert found.tolerated == pytest.approx(1.1 + sqrt(0.21), rel=1e-12, abs=0)


# ---------------------------------------------------------------------------------------------------------------------
# corners


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["jordan"])
def test_from_zero_on(name):
    """0 goes to 0; kept, tolerated and slope do not depend on the lower end."""
    found, other = certify(get(name), 0, steps=5), certificate(name)
    assert found.lower == 0 == found.image[0] and all(low == 0 for low, _ in found.after)
    assert (found.kept, found.tolerated, found.slope, found.highest) == (
        other.kept,
        other.tolerated,
        other.slope,
        other.highest,
    )
    assert found.image[1] == found.highest and found.steps_to is None


def test_no_steps_are_the_identity():
    found = certify(get("jordan"), "0.25", "1", steps=0)
    assert (found.steps, found.after, found.amplification) == (0, (), ())
    assert found.image == (0.25, 1) and found.slope == found.highest == 1 and found.sign_safe
    assert (found.kept, found.tolerated) == pytest.approx((0.5, 1.5), rel=1e-12, abs=0)


def test_a_point():
    found = certify(get("jordan"), 1, 1, steps=1)
    true = Fraction("3.4445") - Fraction("4.775") + Fraction("2.0315")
    assert found.image[0] <= true <= found.image[1] <= nextafter(found.image[0], 2)
    assert found.amplification == (pytest.approx(1, rel=2**-52, abs=0),)


def test_a_function_without_a_linear_term_keeps_signs():
    """x^3 > 0 for x > 0."""
    found = certify(Schedule.of("cube", [("0", "1")]), "0.1", 1)
    assert found.slope == 0 and found.sign_safe
    assert found.tolerated == pytest.approx(1.5 ** (1 / 3), rel=1e-12, abs=0)


@pytest.mark.parametrize("level", ["1e-200", "1e-400"])
def test_kept_of_the_identity_at_a_tiny_level(level):
    """s itself, as a float rounded upwards. 0 would be false: 0 goes to 0."""
    kept = certify(IDENTITY, "0.5", level=level).kept
    assert Fraction(kept) >= Fraction(level)
    assert kept <= nextafter(float(level), inf) * (1 + 1e-12)


def test_a_slope_beyond_the_range_of_floats():
    """f = 2^200 x/(1 + 2^400 x^2) <= 1/2, six times: every singular value of [0.001, 1] stays bounded."""
    row = Row((Fraction(2) ** 200,), (Fraction(1), Fraction(2) ** 400))
    with suppress(OutsideDomain):  # a refusal that says so is right as well
        assert certify(Schedule("steep", (row,), past="repeat"), "0.001", steps=6).slope == inf


@pytest.mark.exhaustive
@pytest.mark.parametrize("steps", [8, 20])
def test_many_steps_remain_sharp(steps):
    """Pade [16/0] on [1/2, 1]: x <= f <= 1, of order 17 at 1: all is 1 to hundreds of digits after ten steps."""
    schedule = pade(16)
    x = schedule(Fraction(1, 2), 1)
    assert 0 < 1 - x < Fraction(1, 100)
    found = certify(schedule, "0.5", steps=steps)
    assert found.image == pytest.approx((1, 1), abs=2**-51)
    assert found.kept <= 0.01  # 0.01 goes to 0.033 in the first step, the slope is 3.3, and on


@pytest.mark.exhaustive
def test_more_singular_values_have_a_larger_image():
    intervals = [("0.5", "0.9"), ("0.01", "1"), ("0", "1.2")]
    images = [certify(get("jordan"), a, b, steps=2).image for a, b in intervals]
    for (a, b), (c, d) in pairwise(images):
        assert c <= a <= b <= d


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_coefficients_rounded_to_a_format(dtype):
    """The image is that of the coefficients as other libraries cast them, and not that of the decimals."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    cast = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}[dtype]
    rows = [
        Row(tuple(Fraction(float(np.float32(float(c)).astype(cast))) for c in row.numerator))
        for row in get("you-5").steps(3)
    ]
    found = certify(get("you-5"), "0.001", dtype=dtype, steps=3)
    assert found.dtype == dtype and found.schedule == f"you-5 in {dtype}"
    low, high = extremes(rows, Fraction(1, 1000), Fraction(1))
    assert abs(low / Fraction(found.image[0]) - 1) <= Fraction(1, 10**12)
    assert abs(high / Fraction(found.image[1]) - 1) <= Fraction(1, 10**12)
    exact_low, exact_high = extremes(get("you-5").steps(3), Fraction(1, 1000), Fraction(1))
    assert abs(low / exact_low - 1) > Fraction(1, 10**4) and abs(high / exact_high - 1) > Fraction(1, 10**5)
    slope = 1
    for row in rows:
        slope *= row.numerator[0]
    assert found.slope == float(slope)


@pytest.mark.exhaustive
def test_the_same_coefficients_in_another_format():
    """Jordan's decimals in float64 move the image by less than its sixth digit; 1.5 and -0.5 are numbers of any."""
    assert agrees(certify(get("jordan"), "0.001", dtype="float64"), TABLE["jordan", None])
    exact = certify(get("newton-schulz-3"), "0.1", steps=2)
    assert certify(get("newton-schulz-3"), "0.1", steps=2, dtype="bfloat16").image == exact.image


def test_lower_as_it_is_written():
    """A decimal string is the decimal, a float the binary number: for the identity the ends tell."""
    exact, binary = certify(IDENTITY, "0.1", "0.3"), certify(IDENTITY, 0.1, 0.3)
    assert binary.image == (0.1, 0.3)
    assert exact.image == (nextafter(0.1, 0), nextafter(0.3, 1))  # float(0.1) > 1/10, float(0.3) < 3/10: outwards
    assert certify(IDENTITY, Fraction(1, 10), Fraction(3, 10)).image == exact.image


# ---------------------------------------------------------------------------------------------------------------------
# refusals


def test_divergence_names_the_step():
    """3 -> 375 -> 1.5e13 -> beyond 2^60 in step 2, counted from 0."""
    x, step = Fraction(3), 0
    while True:
        x = get("jordan")(x, 1)
        if abs(x) > 2**60:
            break
        step += 1
    with pytest.raises(OutsideDomain, match=rf"singular values in \[0.001, 3\] diverge: step {step} of the schedule"):
        certify(get("jordan"), "0.001", 3, steps=8)
    assert step == 2
    assert certify(get("jordan"), "0.001", 3, steps=2).image[1] > 1e12


@pytest.mark.parametrize(
    ("lower", "upper", "shown"), [(-1, 1, r"\[-1, 1\]"), (1, "0.5", r"\[1, 0.5\]"), (0, 0, r"\[0, 0\]"), (0, -1, ".")]
)
def test_what_is_not_an_interval(lower, upper, shown):
    with pytest.raises(ValueError, match=rf"\[lower, upper\] = {shown}.* is not an interval in \[0, "):
        certify(get("jordan"), lower, upper)


@pytest.mark.parametrize("x", ["nan", inf, -inf, "x", None])
@pytest.mark.parametrize("argument", ["lower", "upper", "level", "ceiling", "target"])
def test_what_is_not_a_number(argument, x):
    with pytest.raises(ValueError, match="is not a finite number"):
        certify(get("jordan"), **{"lower": "0.1", argument: x})


def test_steps_that_are_not_there():
    with pytest.raises(ValueError, match="steps=-1 is not a number of steps"):
        certify(get("jordan"), "0.1", steps=-1)
    with pytest.raises(ValueError, match="schedule 'you-6' has 6 rows and does not say what comes after"):
        certify(get("you-6"), "0.1", steps=7)
    with pytest.raises(ValueError, match="dtype='int8' is not one of"):
        certify(get("jordan"), "0.1", dtype="int8")


def test_a_sign_that_256_bits_do_not_decide():
    """f(x)/x = 2 (1 - x^2/2)^2 is 0 at sqrt(2), which is no dyadic number."""
    touching = Schedule.of("touching", [("2", "-2", "0.5")])
    with pytest.raises(NotCertified, match=r"smallest value of f\(x\)/x on \(0, 1.45\] is 0 to 256 bits"):
        certify(touching, "0.1", "1.45")
    assert certify(touching, "0.1", "1.4").sign_safe
    # 3 (1 - x^2)^2 is 0 at 1, exactly: the sign of that singular value is lost
    assert not certify(Schedule.of("touching", [("3", "-6", "3")]), "0.1", "1.45").sign_safe


def test_the_precision_of_the_context_is_restored():
    for prec in (53, 77):
        with flint.ctx.workprec(prec):
            certify(get("jordan"), "0.1", steps=1)
            assert flint.ctx.prec == prec
            with pytest.raises(OutsideDomain):
                certify(get("jordan"), "0.1", 3, steps=9)
            assert flint.ctx.prec == prec


@pytest.mark.exhaustive
def test_the_precision_of_the_context_does_not_matter():
    found = certify(get("jordan"), "0.001", steps=2)
    for prec in (20, 1000):
        with flint.ctx.workprec(prec):
            assert certify(get("jordan"), "0.001", steps=2) == found


def test_the_method_is_the_function():
    assert get("jordan").certify("0.1", steps=1, level="0.4") == certify(get("jordan"), "0.1", steps=1, level="0.4")


def test_the_text_has_the_numbers():
    """To six digits or so, and what is printed remains proved: each number is rounded away from the claim."""
    found = certificate("jordan")
    lines = found.text().splitlines()
    assert lines[0] == "jordan, 5 steps, singular values in [0.001, 1]"
    shown = {line[2:31].strip(): line[31:] for line in lines[1:]}
    low, high = (float(x) for x in shown["output"].strip("[]").split(","))
    assert found.image[0] * (1 - 1e-5) <= low <= found.image[0]
    assert found.image[1] <= high <= found.image[1] * (1 + 1e-5)
    assert shown["sign on (0, 1]"] == "kept" and shown["steps to 1 +- 0.001"] == "not reached"
    assert found.highest <= float(shown["largest output of (0, 1]"]) <= found.highest * (1 + 1e-5)
    assert found.kept <= float(shown[">= 0.5 from"]) <= found.kept * (1 + 1e-3)
    assert found.tolerated * (1 - 1e-5) <= float(shown["<= 1.5 up to"].split()[0]) <= found.tolerated
    assert shown["<= 1.5 up to"].endswith("(keeps its sign and ends at or below 1.5)")
    assert float(shown["slope at 0"]) == pytest.approx(found.slope, rel=1e-5, abs=0)
    for printed, d in zip(shown["amplification per step"].split(), found.amplification, strict=True):
        assert d <= float(printed) <= d * 1.01
    wrong = certificate("aol-a").text()
    assert "CHANGES for some singular value" in wrong and ">= 0.5 from".ljust(29) + "none" in wrong


@pytest.mark.exhaustive
def test_the_text_has_the_steps_to_convergence():
    assert "steps to 1 +- 0.001".ljust(29) + "7" in certificate("polar-express").text()


def test_a_certificate_by_name():
    assert certify("muon", "0.1", steps=2) == certify(get("jordan"), "0.1", steps=2)
    with pytest.raises(ValueError, match="schedule 'moun' is not one of"):
        certify("moun", "0.1")
    with pytest.raises(TypeError, match="schedule must be a name or a Schedule, not list"):
        certify([[1.5, -0.5]], "0.1")
