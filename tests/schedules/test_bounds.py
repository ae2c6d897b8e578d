"""The largest number that a certificate deals with, 2^60, as its docstrings say."""

from fractions import Fraction
from math import inf, nextafter

import pytest

from orthoref._schedules.certificate import Interval
from orthoref._schedules.schedule import Schedule
from orthoref.errors import OutsideDomain

pytest.importorskip("flint")

IDENTITY, DOUBLE, CUBE = (Schedule.of(name, [row]) for name, row in (("x", ["1"]), ("2x", ["2"]), ("x^3", ["0", "1"])))


def test_the_largest_interval():
    assert IDENTITY.certify(0, 2**60).image == (0, 2.0**60)
    with pytest.raises(ValueError, match="not an interval"):
        IDENTITY.certify(0, 2**60 + 1)


def test_the_largest_image():
    assert DOUBLE.certify(0, 2**59).highest == 2.0**60
    with pytest.raises(OutsideDomain, match="diverge"):
        DOUBLE.certify(0, 2**59 + 1)


def test_what_is_tolerated_ends_at_the_ceiling():
    assert IDENTITY.certify(0, 1, ceiling=2**59).tolerated == 2.0**59
    assert DOUBLE.certify(0, 1, ceiling=2**59).tolerated == 2.0**58


@pytest.mark.parametrize("ceiling", [2**60, 2**61, 2**70])
def test_what_is_tolerated_from_a_ceiling_of_2_60_on(ceiling):
    """inf where no number below 2^60 is the largest; where there is one, the image goes beyond 2^60 to the ceiling."""
    assert IDENTITY.certify(0, 1, ceiling=ceiling).tolerated == inf
    assert IDENTITY.certify(0, 2**60, ceiling=ceiling).tolerated == inf
    assert DOUBLE.certify(0, 1, ceiling=ceiling).tolerated == (2.0**59 if ceiling == 2**60 else inf)
    assert CUBE.certify(0, 1, ceiling=ceiling).tolerated == pytest.approx(ceiling ** (1 / 3), rel=1e-12, abs=0)


def test_an_interval_is_rounded_outwards():
    """From the outer ends of the enclosures of minimum and maximum, away from what is no float."""
    third = Fraction(1, 3)
    low, high = Interval((third, Fraction(1, 2)), (Fraction(3, 4), third * 7)).outer
    assert Fraction(low) < third < Fraction(nextafter(low, 1))
    assert Fraction(nextafter(high, 0)) < third * 7 < Fraction(high)
