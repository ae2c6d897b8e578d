"""Schedules by design: minimax compositions, Pade approximants, weights of the rational iterations.

Derivations: docs/derivations/schedules, equations (GREEDY), (CUBIC), (REMEZ), (PADE), (BYERS-XU), (QDWH), (ZOLO).
"""

from __future__ import annotations

from fractions import Fraction
from math import comb, sqrt
from typing import Any

from orthoref._polar import weights
from orthoref._schedules import balls
from orthoref._schedules.balls import ball
from orthoref._schedules.row import Number, Row, exact
from orthoref._schedules.schedule import Normalization, Schedule
from orthoref.errors import NotConverged

MAX_EXCHANGES = 60  # Remez converges quadratically: six to eight for 1000 bits
SPECTRAL = Normalization("spectral")


def minimax(
    lower: Number,
    steps: int,
    degree: int = 5,
    *,
    cushion: Number = 0,
    safety: Number = 0,
    upper: Number = 1,
) -> Schedule:
    """Greedy composition of best odd polynomials: the smallest max |1 - f(x)| on [lower, upper] of all compositions.

    Parameters
    ----------
    lower, upper : numbers or decimal strings
        Interval of normalized singular values, 0 < lower < upper. Floats count as the binary numbers they are.
    steps : int
        Number of polynomials.
    degree : int
        Of each: 3, 5, 7, ...
    cushion : number
        Step k is designed for [max(l_k, cushion u_k), u_k] and, where the cushion is the larger one, rescaled so that
        f(l_k) and f(u_k) lie symmetrically about 1. Keeps f(x)/x of the first steps large on all of the interval.
    safety : number
        Every step but the last becomes f(x/(1 + safety)), inside the recursion: a margin for rounding errors.

    Returns
    -------
    Schedule
        With coefficients that are the float64 numbers nearest to the exact ones.

    Raises
    ------
    ValueError
        Arguments out of range.
    ModuleNotFoundError
        python-flint (extra ``certify``) is not installed.

    Notes
    -----
    Step k is the best approximation of 1 on its interval [l, u], from Chebyshev's alternation in degree + 1 over 2, + 1
    points (equation (REMEZ); degree 3 in closed form, (CUBIC)). It maps onto [1 - E, 1 + E], where the next one begins.
    [AmselPerssonMuscoGower2025]_ Theorem 4.1 proves that this greedy choice is optimal for the composition.

    Examples
    --------
    >>> minimax("0.001", 8).coefficients()[0]
    (8.47032880384807, -25.10807470666187, 18.62927559911801)
    """
    low, high, cushion_, safety_ = (exact(x) for x in (lower, upper, cushion, safety))
    if not 0 < low < high:
        raise ValueError(f"[lower, upper] = [{float(low):.6g}, {float(high):.6g}] is not an interval in (0, inf)")
    if not isinstance(degree, int) or degree < 3 or degree % 2 == 0:
        raise ValueError(f"degree={degree!r} is not an odd number from 3 on")
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps={steps!r} is not a positive number of steps")
    if not 0 <= cushion_ < 1 or safety_ < 0:
        raise ValueError(f"cushion={cushion!r} must be in [0, 1) and safety={safety!r} at least 0")

    bits = 192
    rows = _greedy(low, high, steps, degree, cushion_, safety_, bits)
    while True:
        bits *= 2
        better = _greedy(low, high, steps, degree, cushion_, safety_, bits)
        if better == rows:
            break
        rows = better
    made = ", ".join(
        f"{name} = {float(x)!r}"
        for name, x in (("lower", low), ("upper", high), ("cushion", cushion_), ("safety", safety_))
        if x != (1 if name == "upper" else 0)
    )
    return Schedule(f"minimax degree {degree}, {made}", rows, SPECTRAL, source="schedules.minimax")


def _greedy(
    lower: Fraction, upper: Fraction, steps: int, degree: int, cushion: Fraction, safety: Fraction, bits: int
) -> tuple[Row, ...]:
    """(GREEDY), in floating-point arithmetic of so many bits, rounded to float64 at the end."""
    rows = []
    with balls.precision(bits):
        low, high, margin = ball(lower), ball(upper), ball(1 + safety)
        for step in range(steps):
            raised = (ball(cushion) * high).mid()
            cushioned = bool(raised > low)
            c = _best(raised if cushioned else low, high, degree)
            if cushioned:
                # least value f(low), largest 1 + E = 2 - f(raised); their mean becomes 1
                factor = 2 / (balls.odd(c, low) + 2 - balls.odd(c, raised))
                c = [x * factor for x in c]
            if step < steps - 1:
                c = [x / margin ** (2 * i + 1) for i, x in enumerate(c)]
            c = [x.mid() for x in c]
            low = balls.odd(c, low).mid()
            high = (2 - low).mid()
            rows.append(Row(tuple(Fraction(float(x)) for x in c)))
    return tuple(rows)


def _best(low: Any, high: Any, degree: int) -> list[Any]:
    """Odd polynomial of best approximation to 1 on [low, high], coefficients of x, x^3, ..."""
    from flint import ctx

    q = (degree - 1) // 2
    gap = 1 - low / high
    if gap < ball(Fraction(1, 2 ** (ctx.prec // 2))):
        # (PADE) is the limit of the best polynomials, and nearer to them than the gap
        return [ball(x) / high ** (2 * i + 1) for i, x in enumerate(pade_row(q).numerator)]
    if degree == 3:
        # (CUBIC) f = (3/2) alpha beta x - (1/2) alpha^3 beta x^3
        alpha = (3 / (high * high + low * high + low * low)).sqrt()
        beta = 4 / (2 + low * high * (low + high) * alpha**3)
        return [(3 * alpha * beta / 2).mid(), (-(alpha**3) * beta / 2).mid()]
    # the alternation has the size gap^(q + 1), and so have the pivots of the linear system
    size = balls.lower(gap)
    with balls.precision(ctx.prec + (2 * q + 2) * (1 + size.denominator.bit_length() - size.numerator.bit_length())):
        return _remez(low, high, q)


def _remez(low: Any, high: Any, q: int) -> list[Any]:
    """(REMEZ) 1 - f alternates on low = x_0 < x_1 < ... < x_q < x_{q+1} = high, f'(x_i) = 0 inside."""
    from flint import arb, arb_mat, ctx

    inside = [(low + high) / 2 - (high - low) / 2 * arb.cos_pi(ball(Fraction(i, q + 1))) for i in range(1, q + 1)]
    for _ in range(MAX_EXCHANGES):
        points = [low, *(x.mid() for x in inside), high]
        system = arb_mat([[*(x ** (2 * k + 1) for k in range(q + 1)), arb((-1) ** i)] for i, x in enumerate(points)])
        solution = system.solve(arb_mat([[1]] * (q + 2)), algorithm="approx")
        c = [solution[k, 0].mid() for k in range(q + 1)]
        # f' = sum (2k+1) c_k t^k
        slopes = [(2 * k + 1) * balls.fraction(x) for k, x in enumerate(c)]
        previous, inside = inside, [x.mid() for x in balls.positive_zeros(slopes)]
        if len(inside) != q:
            break
        if all(
            abs(x - y) < (high - low) * ball(Fraction(1, 2 ** (ctx.prec // 3)))
            for x, y in zip(inside, previous, strict=True)
        ):
            return c
    raise NotConverged(f"Remez exchange on [{float(low):.6g}, {float(high):.6g}], degree {2 * q + 1}, did not settle")


def pade_row(numerator: int, denominator: int = 0) -> Row:
    """(PADE) x P(z)/Q(z) with z = 1 - x^2 and the Pade approximant [numerator/denominator] of (1 - z)^(-1/2)."""
    p, q = numerator, denominator
    half = Fraction(1, 2)
    in_z = (_hypergeometric(-p, half - q, -p - q, p), _hypergeometric(-q, -half - p, -p - q, q))
    top, bottom = (_in_t(coefficients) for coefficients in in_z)
    return Row(tuple(c / bottom[-1] for c in top), tuple(c / bottom[-1] for c in bottom)) if q else Row(top)


def _hypergeometric(a: int, b: Fraction, c: int, terms: int) -> list[Fraction]:
    """Coefficients of 2F1(a, b; c; z) up to z^terms."""
    found = [Fraction(1)]
    for k in range(terms):
        found.append(found[-1] * (a + k) * (b + k) / ((c + k) * (1 + k)))
    return found


def _in_t(coefficients: list[Fraction]) -> tuple[Fraction, ...]:
    """From powers of 1 - t to powers of t."""
    degree = len(coefficients) - 1
    return tuple(
        (-1) ** j * sum((c * comb(i, j) for i, c in enumerate(coefficients)), start=Fraction(0))
        for j in range(degree + 1)
    )


def pade(numerator: int, denominator: int = 0, steps: int = 5) -> Schedule:
    """Kenney and Laub's Pade family: f(x) = x P(1 - x^2)/Q(1 - x^2), one function again and again.

    Parameters
    ----------
    numerator, denominator : int
        Degrees of P and Q. (1, 0): 3/2, -1/2. (2, 0): 15/8, -10/8, 3/8. (1, 1): Halley's x (3 + x^2)/(1 + 3 x^2).
    steps : int
        The schedule's default number of steps; it repeats for ever.

    Returns
    -------
    Schedule

    Notes
    -----
    The approximant of (1 - z)^(-1/2) is a quotient of 2F1's: equation (PADE), [KenneyLaub1991]_. Order of convergence
    numerator + denominator + 1; f of degree (2m+1, 0) converges on a neighbourhood of (0, 1] only.
    """
    for name, value in (("numerator", numerator), ("denominator", denominator)):
        if not isinstance(value, int) or value < 0:
            raise ValueError(f"{name}={value!r} is not a degree")
    if numerator + denominator < 1:
        raise ValueError("numerator = denominator = 0 is the identity, not an iteration")
    row = pade_row(numerator, denominator)
    return Schedule(f"Pade [{numerator}/{denominator}]", (row,), SPECTRAL, "repeat", steps, "Kenney and Laub 1991")


def scaled_newton(lower: Number, steps: int = 9, upper: Number = 1) -> Schedule:
    """Newton's iteration f(x) = (zeta x + 1/(zeta x))/2 with the scaling of Byers and Xu for [lower, upper].

    Equation (BYERS-XU), [ByersXu2008]_: zeta_0 = 1/sqrt(ab), zeta_1 = sqrt(2 sqrt(ab)/(a + b)) and then
    zeta_k = 1/sqrt((zeta_{k-1} + 1/zeta_{k-1})/2), a = upper, b = lower. Every output is at least 1. 0 is a pole.
    """
    b, a = _unit_interval(lower, upper)
    rows, zeta = [], 1 / sqrt(a * b)
    for step in range(steps):
        if step == 1:
            zeta = sqrt(2 * sqrt(a * b) / (a + b))
        elif step > 1:
            zeta = 1 / sqrt((zeta + 1 / zeta) / 2)
        z = Fraction(zeta)
        rows.append(Row((1 / (2 * z), z / 2), (Fraction(0), Fraction(1))))
    return _rational(f"scaled Newton, lower = {b!r}", rows, "Byers and Xu 2008")


def qdwh(lower: Number, steps: int = 6) -> Schedule:
    """Halley steps f(x) = x (a + b x^2)/(1 + c x^2), weighted for [lower, 1]: (QDWH), [NakatsukasaBaiGygi2010]_."""
    low, _ = _unit_interval(lower, 1)
    rows = []
    for _step in range(steps):
        a, b, c, low = weights.halley(low)
        rows.append(Row((Fraction(a), Fraction(b)), (Fraction(1), Fraction(c))))
    return _rational(f"QDWH, lower = {float(exact(lower))!r}", rows, "Nakatsukasa, Bai and Gygi 2010")


def zolotarev(lower: Number, order: int | None = None, steps: int = 2) -> Schedule:
    """Composition of Zolotarev functions of type (2r+1, 2r) for [lower, 1]: (ZOLO), [NakatsukasaFreund2016]_.

    ``order`` is r, 1 to 8; by default the least one with which two steps reach 0.99, or 8.
    """
    low, _ = _unit_interval(lower, 1)
    r = weights.zolotarev_order(low, 0.99) if order is None else order
    if not 1 <= r <= 8:
        raise ValueError(f"order={order!r} is not in 1..8")
    rows = []
    for _step in range(steps):
        m_hat, poles, residues, low = weights.zolotarev(low, r)
        c, a = [Fraction(x) for x in poles], [Fraction(x) for x in residues]
        bottom = _product(c)
        top = list(bottom)
        for i, residue in enumerate(a):
            top = balls.plus(top, [residue * x for x in _product(c[:i] + c[i + 1 :])])
        rows.append(Row(tuple(Fraction(m_hat) * x for x in top), tuple(bottom)))
    return _rational(f"Zolotarev r = {r}, lower = {float(exact(lower))!r}", rows, "Nakatsukasa and Freund 2016")


def _rational(name: str, rows: list[Row], source: str) -> Schedule:
    if not rows:
        raise ValueError("steps must be at least 1")
    return Schedule(name, tuple(rows), SPECTRAL, source=source)


def _unit_interval(lower: Number, upper: Number) -> tuple[float, float]:
    low, high = float(exact(lower)), float(exact(upper))
    if not 0 < low <= high:
        raise ValueError(f"[lower, upper] = [{low:.6g}, {high:.6g}] is not an interval in (0, inf)")
    if low < 2.0**-500:
        raise ValueError(f"lower={low:.6g}: its square is beyond the range of floats")
    return low, high


def _product(roots: list[Fraction]) -> list[Fraction]:
    """Coefficients of prod (t + c), from the constant term on."""
    found = [Fraction(1)]
    for c in roots:
        found = balls.times(found, (c, Fraction(1)))
    return found
