"""Muon against exact rational arithmetic written from the formulas of the ports, and its identities."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import isqrt

import numpy as np
import pytest
from muon_units import trajectory

from orthoref import newton_schulz, polar, steps
from orthoref.errors import OutsideDomain

EPS = 2.0**-52
JORDAN = tuple(Fraction(c) for c in ("3.4445", "-4.7750", "2.0315"))
BASE = dict(steps.PRESETS["jordan"]) | {"precision": None, "view": "matrix", "factor_of": "matrix", "factor_on": "lr"}

# --- Fractions --------------------------------------------------------------------------------------------------------


BITS = 160


def root(x):
    return Fraction(isqrt((x.numerator << 2 * BITS) // x.denominator), 1 << BITS)


def short(x):
    """To 160 bits after the point: digits would grow fivefold with every step."""
    return [[Fraction((v.numerator << BITS) // v.denominator, 1 << BITS) for v in row] for row in x]


def rational(x):
    return [[Fraction(float(v)) for v in row] for row in np.asarray(x)]


def combine(*terms):
    first = terms[0][1]
    return [[sum(c * x[i][j] for c, x in terms) for j in range(len(first[0]))] for i in range(len(first))]


def transpose(x):
    return [list(row) for row in zip(*x, strict=True)]


def times(x, y):
    return [[sum(a * b for a, b in zip(row, column, strict=True)) for column in zip(*y, strict=True)] for row in x]


def size(x):
    return root(sum(v * v for row in x for v in row))


def iterate(x, eps, rule, count):
    t = size(x) + Fraction(eps) if rule == "add" else max(size(x), Fraction(eps))
    x = short(combine((1 / t, x)))
    a, b, c = JORDAN
    for _ in range(count):
        gram = times(x, transpose(x))
        x = combine((a, x), (1, times(combine((b, gram), (c, times(gram, gram))), x)))
        x = short(x)
    return x


def exact_steps(w, gs, *, lr, momentum, averaging, nesterov, bias_correction, eps, eps_rule, steps, factor,
                orientation, weight_decay, decay):  # fmt: skip
    """States and parameters, one line of a port's source each."""
    mu, lr, wd = (Fraction(x) for x in (momentum, lr, weight_decay))
    w, m = rational(w), combine((0, rational(w)))
    rows, columns = len(w), len(w[0])
    out, into = (rows, columns) if orientation == "out-in" else (columns, rows)
    number = {
        "none": Fraction(1),
        "sqrt-max-1": root(max(Fraction(1), Fraction(out, into))),
        "sqrt-ratio": root(Fraction(out, into)),
        "match-rms": Fraction(0.2) * root(Fraction(max(out, into))),
    }[factor]
    for k, g in enumerate(map(rational, gs), start=1):
        if decay == "coupled":
            g = combine((1, g), (wd, w))
        m = combine((mu, m), (1 - mu, g)) if averaging == "ema" else combine((mu, m), (1, g))
        if not nesterov:
            d = combine((1 / (1 - mu**k), m)) if bias_correction else m
        elif bias_correction:
            d = combine((mu / (1 - mu ** (k + 1)), m), ((1 - mu) / (1 - mu**k), g))
        elif averaging == "ema":
            d = combine((mu, m), (1 - mu, g))
        else:
            d = combine((mu, m), (1, g))
        o = iterate(d, eps, eps_rule, steps)
        if decay == "decoupled":
            w = combine((1 - lr * wd, w))
        w = combine((1, w), (-lr * number, o))
        yield m, w


SHAPES = {"tall": (3, 2), "wide": (2, 3), "square": (2, 2)}
CHOICES = [
    {"averaging": averaging, "nesterov": nesterov, "bias_correction": bias, "factor": factor}
    | {"orientation": orientation, "decay": decay, "eps_rule": rule, "eps": eps}
    for (averaging, bias), nesterov, (factor, orientation), decay, (rule, eps) in product(
        [("ema", False), ("heavy-ball", False), ("ema", True)],
        [True, False],
        [
            ("sqrt-max-1", "out-in"),
            ("sqrt-max-1", "in-out"),
            ("sqrt-ratio", "in-out"),
            ("match-rms", "out-in"),
            ("none", "out-in"),
        ],
        ["decoupled", "coupled"],
        [("add", 1e-7), ("clamp", 1e-7), ("add", 0.25), ("clamp", 4.0)],
    )
]


@pytest.mark.sample(40)
@pytest.mark.parametrize("choice", CHOICES, ids=lambda c: "-".join(str(v) for v in c.values()))
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_three_steps_are_those_of_exact_arithmetic(shape, choice):
    rng = np.random.default_rng(11)
    w, gs = rng.standard_normal(shape), list(rng.standard_normal((3, *shape)))
    numbers = {"lr": 0.3, "momentum": 0.75, "weight_decay": 0.5, "steps": 2}
    ours = trajectory(w, gs, stored="float64", computed="float64", **BASE | numbers | choice)
    for (m, w_exact), step in zip(exact_steps(w, gs, **numbers, **choice), ours, strict=True):
        assert error(step.momentum, m) <= step.momentum_bound
        assert error(step.parameter, w_exact) <= step.parameter_bound


def error(x, exact):
    pairs = zip(np.asarray(x).ravel(), [v for row in exact for v in row], strict=True)
    return np.linalg.norm([float(Fraction(float(a)) - b) for a, b in pairs])


def test_one_step_by_hand():
    """M = G/2, D = M/2 + G/2 = 3/4 G, of norm 15/4; one step on diag(3, 4)/5; W shrinks by 1/8."""
    a, b, c = JORDAN
    expected = [a * s + b * s**3 + c * s**5 for s in (Fraction(3, 5), Fraction(4, 5))]
    w = np.asarray([[2.0, 0.0], [0.0, 4.0]])
    options = BASE | {"momentum": 0.5, "steps": 1, "eps": 0.0, "weight_decay": 0.25}
    state, update = steps.muon(steps.momentum_state(w), np.diag([3.0, 4.0]), w, lr=0.5, **options)
    assert np.array_equal(state.momentum, np.diag([1.5, 2.0]))
    exact = [-Fraction(1, 2) * (o + Fraction(1, 4) * v) for o, v in zip(expected, (2, 4), strict=True)]
    assert np.diagonal(update) == pytest.approx([float(v) for v in exact], rel=8 * EPS, abs=0)
    assert update[0, 1] == update[1, 0] == 0


# --- identities -------------------------------------------------------------------------------------------------------


def run(gs, w=None, **options):
    """Momenta and updates."""
    state, found = steps.momentum_state(gs[0]), []
    for g in gs:
        state, update = steps.muon(state, g, w, lr=1.0, **options)
        found.append((state.momentum, update))
    return found


@pytest.mark.parametrize("nesterov", [True, False])
def test_an_average_and_a_sum_make_the_same_updates(nesterov):
    """(MUON-SAME): the momenta differ by the factor 1 - mu, which the normalization removes."""
    gs = list(np.random.default_rng(3).standard_normal((4, 5, 3)))
    options = {"momentum": 0.75, "nesterov": nesterov, "eps": 0.0}
    for (m, u), (m_sum, u_sum) in zip(
        run(gs, averaging="ema", **options), run(gs, averaging="heavy-ball", **options), strict=True
    ):
        assert np.array_equal(4 * m, m_sum) and np.allclose(u, u_sum, rtol=0, atol=1e-12)  # powers of two; slope 500


def test_with_eps_they_do_not():
    gs = [1e-7 * np.eye(2)]
    (_, u), (_, u_sum) = run(gs, averaging="ema") + run(gs, averaging="heavy-ball")
    assert np.linalg.norm(u - u_sum) > 0.1


def test_the_exact_factor_is_the_limit_of_a_schedule_that_converges():
    g = np.random.default_rng(4).standard_normal((6, 4))
    (_, exact), (_, many) = run([g], schedule=None) + run([g], schedule="newton-schulz-5", steps=30)
    assert np.linalg.norm(exact - many) <= 30 * 6 * EPS  # n eps a step


def test_transposing_transposes():
    gs = list(np.random.default_rng(6).standard_normal((3, 5, 3)))
    for (m, u), (m_t, u_t) in zip(
        run(gs, orientation="in-out"), run([g.T for g in gs], orientation="out-in"), strict=True
    ):
        assert np.array_equal(m, m_t.T) and np.array_equal(u, u_t.T)


def test_views_flatten_and_stack():
    g = np.random.default_rng(7).standard_normal((4, 2, 3, 3))
    ((_, first),) = run([g], view="first-axis", factor="none")
    assert np.array_equal(first.reshape(4, 18), run([g.reshape(4, 18)], factor="none")[0][1])
    ((_, last),) = run([g], view="last-axis", factor="none")
    assert np.array_equal(last.reshape(24, 3), run([g.reshape(24, 3)], factor="none")[0][1])
    ((_, stack),) = run([g], factor="none")
    for i, j in np.ndindex(4, 2):
        assert np.allclose(stack[i, j], run([g[i, j]], factor="none")[0][1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("heads", [3, (1, 3, 2)])
@pytest.mark.parametrize("split", ["rows", "columns"])
def test_heads_are_matrices_of_their_own(heads, split):
    g = np.random.default_rng(8).standard_normal((6, 4))
    g = g if split == "rows" else g.T
    options = {"factor": "sqrt-max-1", "adaptive": True, "schedule": None, "momentum": 0.0}
    ((_, update),) = run([g], heads=heads, split=split, **options)
    start = 0
    for size_ in (2, 2, 2) if heads == 3 else heads:
        part = slice(start, start + size_)
        rows, columns = (part, slice(None)) if split == "rows" else (slice(None), part)
        block = g[rows, columns]
        u, s, vh = np.linalg.svd(block, full_matrices=False)
        factor = max(1, block.shape[0] / block.shape[1]) ** 0.5
        assert np.linalg.norm(update[rows, columns] + factor * s.sum() * (u @ vh)) <= 50 * EPS * s.sum()
        start += size_


@pytest.mark.parametrize(
    ("shape", "options", "number"),
    [
        ((8, 2), {"factor": "sqrt-max-1"}, 2),
        ((2, 8), {"factor": "sqrt-max-1"}, 1),
        ((8, 2), {"factor": "sqrt-max-1", "orientation": "in-out"}, 1),
        ((2, 8), {"factor": "sqrt-max-1", "orientation": "in-out"}, 2),
        ((2, 8), {"factor": "sqrt-ratio"}, 0.5),
        ((25, 4), {"factor": "match-rms"}, 1),
        ((4, 25), {"factor": "match-rms", "rms": 1}, 5),
        ((36, 2, 1, 2), {"factor": "sqrt-max-1", "view": "first-axis"}, 3),
        ((36, 2, 4, 1), {"factor": "sqrt-max-1", "view": "first-axis", "factor_of": "last-two"}, 2),
        ((36, 2, 5, 10), {"factor": "match-rms", "view": "first-axis"}, 2),
        ((3, 3, 2, 72), {"factor": "sqrt-max-1", "view": "last-axis", "orientation": "in-out"}, 2),
        ((8, 2), {"factor": "none"}, 1),
    ],
)
def test_factors(shape, options, number):
    (found,) = steps.update_factor(shape, **options)
    assert found == pytest.approx(number, rel=EPS, abs=0)


def test_the_factor_counts_the_head():
    assert steps.update_factor((12, 2), factor="sqrt-max-1", heads=(8, 4)) == pytest.approx((2, 2**0.5), rel=EPS, abs=0)


def test_adaptive_is_the_nuclear_norm():
    g = np.random.default_rng(9).standard_normal((5, 3))
    options = {"schedule": None, "momentum": 0.0}
    (_, plain), (_, scaled) = run([g], **options) + run([g], adaptive=True, **options)
    nuclear = np.linalg.svd(g)[1].sum()
    assert np.linalg.norm(scaled - nuclear * plain) <= 50 * EPS * nuclear


def test_an_aliased_buffer_is_divided_by_its_norm_and_only_without_nesterov():
    gs = list(np.random.default_rng(10).standard_normal((2, 4, 3)).astype("float32"))
    options = {"storage": "bfloat16", "precision": "bfloat16", "eps_rule": "clamp", "momentum": 0.5}
    (kept, _), _ = run(gs, nesterov=False, **options)
    (divided, first), (second, _) = run(gs, nesterov=False, aliased=True, **options)
    u = 2.0**-8
    assert abs(np.linalg.norm(divided) - 1) <= 3 * u and np.linalg.norm(divided - kept / np.linalg.norm(kept)) <= 3 * u
    assert np.array_equal(first, run(gs, nesterov=False, **options)[0][1])
    after = 0.5 * divided + 0.5 * gs[1]
    assert np.linalg.norm(second - after / np.linalg.norm(after)) <= 5 * u
    for (m, x), (m_a, x_a) in zip(run(gs, **options), run(gs, aliased=True, **options), strict=True):
        assert np.array_equal(m, m_a) and np.array_equal(x, x_a)


def test_storage_rounds_the_momentum_and_the_direction_once():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    gs = list(np.random.default_rng(12).standard_normal((3, 4, 3)).astype("float32"))
    m = np.zeros((4, 3), "float32")
    state, mu, weight = steps.momentum_state(m), np.float32(0.75), np.float32(0.25)
    for g in gs:
        state, d = steps.averaged(state, g, momentum=0.75, nesterov=True, storage="bfloat16")
        m = (mu * m + weight * g).astype(bfloat16).astype("float32")
        assert np.array_equal(state.momentum, m)
        assert np.array_equal(d, (mu * m + weight * g).astype(bfloat16).astype("float32"))


def test_a_short_format_is_that_of_the_iteration():
    g = np.random.default_rng(13).standard_normal((4, 3)).astype("float32")
    ((_, update),) = run([g], precision="bfloat16", momentum=0.0, factor="none")
    assert np.array_equal(update, -newton_schulz(g, "jordan", eps=1e-7, precision="bfloat16"))
    ((_, scaled),) = run([g], precision="bfloat16", momentum=0.0, factor_on="update")
    assert np.array_equal(scaled.astype("float32").view("uint32") & 0xFFFF, np.zeros((4, 3)))  # bfloat16 numbers


def test_complex_matrices():
    rng = np.random.default_rng(14)
    g = rng.standard_normal((5, 3)) + 1j * rng.standard_normal((5, 3))
    ((_, update),) = run([g], schedule=None, factor="none", momentum=0.0)
    assert np.linalg.norm(update + polar(g).u) <= 20 * EPS


def test_a_zero_gradient_moves_nothing():
    for schedule in ("muon", None):
        ((m, update),) = run([np.zeros((3, 2))], schedule=schedule)
        assert not m.any() and not update.any()


# --- what is refused --------------------------------------------------------------------------------------------------


G = np.eye(2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum": 1.0}, "momentum"),
        ({"momentum": -0.1}, "momentum"),
        ({"lr": -1.0}, "lr"),
        ({"lr": float("nan")}, "lr"),
        ({"averaging": "sum"}, "averaging"),
        ({"averaging": "heavy-ball", "bias_correction": True}, "bias_correction"),
        ({"factor": "max"}, "factor"),
        ({"factor_of": "all"}, "factor_of"),
        ({"factor_on": "w"}, "factor_on"),
        ({"decay": "both"}, "decay"),
        ({"weight_decay": 0.1}, "needs the parameter"),
        ({"weight_decay": 0.1, "decay": "coupled"}, "needs the parameter"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"heads": 3}, "do not divide"),
        ({"heads": (1, 2)}, "do not divide"),
        ({"heads": 0}, "do not divide"),
        ({"split": "both"}, "split"),
        ({"view": "flat"}, "view"),
        ({"orientation": "rows"}, "orientation"),
        ({"schedule": None, "aliased": True, "nesterov": False}, "aliased"),
        ({"storage": "float8"}, "storage"),
        ({"rms": -1.0}, "rms"),
    ],
)
def test_refused(options, message):
    with pytest.raises(ValueError, match=message):
        steps.muon(steps.momentum_state(G), G, **{"lr": 0.1} | options)


def test_refused_types_and_values():
    state = steps.momentum_state(G)
    with pytest.raises(TypeError, match="MomentumState"):
        steps.muon((G, 0), G, lr=0.1)
    with pytest.raises(ValueError, match="number of steps"):
        steps.muon(state._replace(step=-1), G, lr=0.1)
    with pytest.raises(ValueError, match="shape"):
        steps.muon(state, np.ones((3, 2)), lr=0.1)
    with pytest.raises(TypeError, match="lr"):
        steps.muon(state, G, lr="0.1")
    with pytest.raises(OutsideDomain, match="nan"):
        steps.muon(state, G * float("nan"), lr=0.1)
    big = steps.momentum_state(G)._replace(momentum=np.full((2, 2), 1.7e308))
    with pytest.raises(OutsideDomain, match="the momentum overflows"):
        steps.muon(big, np.full((2, 2), 1.7e308), averaging="heavy-ball", lr=0.1)
    with pytest.raises(ValueError, match="length 0"):
        steps.update_factor((0, 2), factor="sqrt-ratio")
    with pytest.raises(ValueError, match="fewer than 2"):
        steps.update_factor((2,), factor="none")


def test_presets_and_switches_cannot_be_changed():
    with pytest.raises(TypeError):
        steps.PRESETS["torch"]["nesterov"] = False
    with pytest.raises(TypeError):
        steps.SWITCHES["nesterov"] = ()
    for name, options in steps.PRESETS.items():
        assert all(options[key] in values for key, values in steps.SWITCHES.items() if key in options), name
        steps.muon(steps.momentum_state(G), G, G, lr=0.1, **options)
