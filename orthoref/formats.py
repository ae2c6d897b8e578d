"""Number formats that results are stored in or computed with, in one table."""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple


class Format(NamedTuple):
    """A binary format: integers of ``bits`` bits times powers of two from 2^smallest on, below 2^top.

    Attributes
    ----------
    name : str
    bits : int
        Of the significand, the leading one included.
    smallest : int
        Exponent of the smallest subnormal number.
    top : int
        The largest number is the last one below 2^top.
    accumulation : float
        Unit roundoff of the sums in a product of such matrices: the 16-bit formats accumulate in float32.
    """

    name: str
    bits: int
    smallest: int
    top: int
    accumulation: float

    @property
    def eps(self) -> float:
        """Distance from 1 to the next number."""
        return 2.0 ** (1 - self.bits)

    @property
    def unit_roundoff(self) -> float:
        """Largest relative error of rounding to nearest."""
        return 2.0**-self.bits

    @property
    def tiny(self) -> float:
        """Smallest subnormal number."""
        return 2.0**self.smallest

    @property
    def smallest_normal(self) -> float:
        """The smallest number with a significand of full length."""
        return 2.0 ** (self.smallest + self.bits - 1)

    @property
    def largest(self) -> float:
        """Largest finite number."""
        return (2 - self.eps) * 2.0 ** (self.top - 1)


FORMATS = MappingProxyType(  # widest first
    {
        f.name: f
        for f in (
            Format("float64", 53, -1074, 1024, 2.0**-53),
            Format("float32", 24, -149, 128, 2.0**-24),
            Format("tf32", 11, -136, 128, 2.0**-24),
            Format("float16", 11, -24, 16, 2.0**-24),
            Format("bfloat16", 8, -133, 128, 2.0**-24),
        )
    }
)
