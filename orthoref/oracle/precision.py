"""Floating-point formats that a result may be stored in or computed with, and the unit of error they imply."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from orthoref.formats import FORMATS


class Precision(NamedTuple):
    """Spacing at 1 (``eps``, twice the unit roundoff), smallest subnormal (``tiny``) and largest number of a format."""

    name: str
    eps: float
    tiny: float
    largest: float

    @property
    def short(self) -> bool:
        """Whether results are stored in the format but computed with more precision."""
        return self.name in ("bfloat16", "float16", "tf32")

    def growth(self, n: int, m: int = 0) -> float:
        r"""Factor on ``eps`` in the unit of error for order n. Derivation: docs/derivations/ratios, equation (UNIT).

        max(n, 8) for float32 and float64: n is the factor of the a-priori bounds (LAPACK's test ratios). Below 8 the
        constants show: LAPACK's bidiagonal QR neglects what is below max(10, min(100, u^(-1/8))) u, which is 49 eps
        in binary64 for every n, and ten of these units are 80 eps. Sums over the m >= n entries of the n columns
        add :meth:`long`, equation (LONG).

        sqrt(n) for the 16-bit formats, which store what was computed with float32 accumulation: rounding the entries
        of U once more costs |dU|_F <= eps/2 |U|_F = sqrt(n) eps/2, while n eps would soon accept anything.
        """
        return sqrt(n) if self.short else max(n, 8.0, sqrt(n) * self.long(m))

    @staticmethod
    def long(m: int) -> float:
        """(LONG) m/10 for sums of up to 1000 terms that err alike; from then on blocks of a sum do not."""
        return max(min(m, 1000) / 10, m / 256)

    def relative(self, n: int, m: int = 0) -> float:
        """Factor on ``eps`` for errors relative to |A| or |H|.

        Rounding U to 16 bits changes U H by |dU H|_F with |dU| <= eps/2 |U| entry by entry: about eps/2 |H|_F.
        """
        return 1.0 if self.short else self.growth(n, m)

    def unit(self, n: int, relative: bool = False, m: int = 0) -> str:
        """Name of growth * eps (relative * eps)."""
        if self.short:
            return "eps" if relative else "sqrt(n) eps"
        if self.growth(n, m) > max(n, 8):
            return "sqrt(n) " + ("m/10 eps" if m <= 1000 else "100 eps" if m <= 25600 else "m/256 eps")
        return "n eps" if n >= 8 else "8 eps"


PRECISIONS = {f.name: Precision(f.name, f.eps, f.tiny, f.largest) for f in FORMATS.values()}
_REAL = {"complex64": "float32", "complex128": "float64"}


def precision_of(dtype: str) -> Precision:
    """Precision of a dtype by name; complex dtypes have that of their parts."""
    try:
        return PRECISIONS[_REAL.get(dtype, dtype)]
    except KeyError:
        raise TypeError(f"{dtype} is no format that orthoref judges in: {', '.join((*PRECISIONS, *_REAL))}") from None
