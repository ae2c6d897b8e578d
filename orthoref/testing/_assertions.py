"""Assertions for anybody's test suite, inside pytest or without."""

from __future__ import annotations

from typing import Any, Literal

from orthoref.errors import PortFailure
from orthoref.oracle import judge
from orthoref.oracle.foreign import Lifted, lift
from orthoref.oracle.judge import Verdict
from orthoref.oracle.precision import Precision, precision_of


def assert_polar(
    a: Any,
    u: Any,
    h: Any = None,
    *,
    side: Literal["right", "left"] = "right",
    rank_deficient: Literal["complete", "partial"] = "complete",
    precision: str | None = None,
    limit: float = 10.0,
    recreate: str | None = None,
) -> None:
    """Assert that u (and h) are polar factors of a, as accurate as a backward stable method makes them.

    Parameters
    ----------
    a, u, h : arrays of shapes (..., m, n), (..., m, n), (..., n, n) (or (..., m, m) for side="left")
        NumPy, CuPy, torch (bfloat16 and CUDA too), JAX, anything with DLPack or ``__array__``, nested lists. They
        are lifted exactly to float64 for judging. ``h`` may be left out.
    side : {"right", "left"}
        a = u h or a = h u.
    rank_deficient : {"complete", "partial"}
        ``"partial"`` accepts a partial isometry for a rank-deficient a.
    precision : str, optional
        Format whose rounding is the unit of error: "float64", "float32", "tf32", "float16", "bfloat16". By default that
        of u's dtype, and then u and h must have the dtype of a. Name it where a float32 result was computed in less.
    limit : float
        Largest accepted ratio, in units of n eps (sqrt(n) eps for 16-bit formats) with n = min(m, n). Never more than
        half of what u = 0 scores, so that the assertion can fail.
    recreate : str, optional
        Line that recreates the input, printed with a failure.

    Raises
    ------
    PortFailure
        An AssertionError whose message lists every ratio, the batch index, the reason and ``recreate``.
    OutsideDomain
        NaN or infinity in a: there is nothing to judge.
    TypeError, ValueError
        Arguments that cannot be read.

    Notes
    -----
    A factorization is accepted on its residuals, not on closeness to another implementation: u of an ill-conditioned
    matrix may differ from the exact factor by eps times the condition number. :func:`orthoref.certify.polar` bounds
    that distance rigorously.
    """
    __tracebackhide__ = True
    arrays = {name: lift(name, x) for name, x in (("a", a), ("u", u), ("h", h)) if x is not None}
    format_, dtypes_judged = _format(arrays["u"], arrays["a"], precision)
    if not dtypes_judged:
        arrays["a"] = Lifted(arrays["a"].value, None)  # its dtype may then differ
    verdict = judge.polar(
        arrays["a"],
        arrays["u"],
        arrays.get("h"),
        precision=format_,
        side=_one_of("side", side, "right", "left"),
        rank_deficient=_one_of("rank_deficient", rank_deficient, "complete", "partial"),
        limit=_positive(limit),
        subject=_subject(u, precision, arrays["a"].value.shape),
    )
    _raise(verdict, "orthoref.testing.assert_polar", recreate)


def assert_orthonormal(
    q: Any, *, precision: str | None = None, limit: float = 10.0, recreate: str | None = None
) -> None:
    """Assert that q has orthonormal columns, or orthonormal rows if it is wide.

    Parameters
    ----------
    q : array of shape (..., m, n)
        As in :func:`assert_polar`.
    precision, limit, recreate
        As in :func:`assert_polar`; the ratio is |I - Q^H Q|/(n eps) in the Frobenius norm, n = min(m, n).

    Raises
    ------
    PortFailure
        An AssertionError with the ratio, the batch index and the reason.
    """
    __tracebackhide__ = True
    lifted = lift("q", q)
    format_, _ = _format(lifted, lifted, precision)
    verdict = judge.orthonormal(
        lifted, precision=format_, limit=_positive(limit), subject=_subject(q, precision, lifted.value.shape)
    )
    _raise(verdict, "orthoref.testing.assert_orthonormal", recreate)


def _format(result: Lifted, given: Lifted, precision: str | None) -> tuple[Precision, bool]:
    if precision is not None:
        return precision_of(precision), False
    return precision_of(result.dtype or given.dtype or "float64"), True


def _subject(x: Any, precision: str | None, shape: tuple[int, ...]) -> str:
    kind = (
        "list"
        if isinstance(x, (list, tuple))
        else f"{type(x).__module__.partition('.')[0]}.{str(x.dtype).rpartition('.')[2]}"
    )
    return f"{kind} {shape}" + (f", judged as {precision}" if precision else "")


def _one_of(name: str, value: str, *choices: str) -> str:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, choices))}")
    return value


def _positive(limit: float) -> float:
    if not limit > 0:
        raise ValueError(f"limit={limit!r} is not positive")
    return limit


def _raise(verdict: Verdict, caller: str, recreate: str | None) -> None:
    __tracebackhide__ = True
    if not verdict.holds:
        raise PortFailure(verdict.text(caller, recreate))
