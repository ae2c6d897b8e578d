"""Black boxes whose inside is known, and some that are no finite iteration."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from orthoref import newton_schulz
from orthoref._schedules import presets
from orthoref._schedules.design import qdwh
from orthoref._schedules.schedule import Normalization, Schedule
from orthoref.oracle.newton_schulz.identify import EPSILONS, identify

FEW = ["jordan", "newton-schulz-5", "you-5", "polar-express-nanogpt"]
ALIKE = ["jordan", "polar-express", "polar-express-list", "polar-express-nvidia", "polar-express-timm"]


@pytest.mark.parametrize("name", presets.names())
@pytest.mark.exhaustive
def test_every_preset_is_identified(name):
    eps = EPSILONS[3 + presets.names().index(name) % 6]
    rule = ("add", "clamp")[presets.names().index(name) % 2]
    # among all presets in every third case, among the ones that are easily confused in the others
    among = None if presets.names().index(name) % 3 == 2 else sorted({name, *ALIKE})
    found = identify(lambda a: newton_schulz(a, name, eps=eps, eps_rule=rule), candidates=among)
    match, schedule = found.match, presets.get(name)
    assert match is not None, found.text()
    assert (match.schedule.name, match.steps) == (name, schedule.default_steps)
    assert match.normalization == schedule.normalization
    assert (match.eps, match.eps_rule, match.scale) == (eps, rule, "none")
    assert found.precision == "float32" and found.ratio <= 4 and found.separation > 3
    assert found.text().startswith(str(match))
    # five steps of deepseek-v4 are those of jordan
    assert len(found.alike) == (1 if name == "jordan" and among is None else 0), found.text()


@pytest.mark.exhaustive
def test_five_steps_of_deepseek_v4_are_those_of_jordan():
    found = identify(lambda a: newton_schulz(a, "deepseek-v4", steps=5), candidates=["jordan", "deepseek-v4"])
    assert {found.match.schedule.name} | {text.partition(",")[0] for text in found.alike} == {"jordan", "deepseek-v4"}
    assert found.match.steps == 5 and "not distinguished by these probes" in found.text()


@pytest.mark.parametrize("steps", [1, 2, 4, 7, 12])
@pytest.mark.exhaustive
def test_the_number_of_steps(steps):
    found = identify(lambda a: newton_schulz(a, "jordan", steps=steps), candidates=FEW)
    assert found.match is not None and (found.match.schedule.name, found.match.steps) == ("jordan", steps)


@pytest.mark.parametrize(
    ("kind", "factor"), [("frobenius", "1"), ("schatten4", "1.01"), ("spectral", "1.02"), ("aol", "1.05")]
)
@pytest.mark.exhaustive
def test_the_normalization(kind, factor):
    how = Normalization(kind, factor)
    found = identify(lambda a: newton_schulz(a, "you-6", normalize=how), candidates=["you-6", "jordan"])
    assert found.match is not None and found.match.normalization == how


@pytest.mark.parametrize(
    "scale",
    ["sqrt(max(1, m/n))", "sqrt(max(1, n/m))", "0.2 sqrt(max(m, n))", "sqrt(m/n)", "sqrt(n/m)", "sqrt(max(m, n))"],
)
@pytest.mark.exhaustive
def test_the_update_scale(scale):
    def port(a):
        m, n = a.shape
        factor = eval(scale.replace(" sqrt", " * sqrt"), {"m": m, "n": n, "max": max, "sqrt": np.sqrt})
        return (factor * newton_schulz(a)).astype("float32")

    found = identify(port, candidates=["jordan", "you-5"])
    assert found.match is not None and found.match.scale == scale
    assert f"times {scale}" in found.text()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.exhaustive
def test_the_precision(precision):
    found = identify(lambda a: newton_schulz(a, "you-6", precision=precision), candidates=["you-6", "you-5", "jordan"])
    assert found.match is not None and found.match.schedule.name == "you-6"
    assert found.precision == precision and found.ratio <= 1


@pytest.mark.exhaustive
def test_float64():
    found = identify(lambda a: newton_schulz(a, eps=1e-7), candidates=FEW, dtype="float64")
    assert (found.precision, found.match.eps, found.match.schedule.name) == ("float64", 1e-7, "jordan")


@pytest.mark.exhaustive
def test_a_schedule_of_ones_own():
    mine = Schedule.of("mine", [["3", "-3.2", "1.2"]], past="repeat", default_steps=4)
    found = identify(lambda a: newton_schulz(a, mine), candidates=["jordan", mine])
    assert found.match is not None and (found.match.schedule.name, found.match.steps) == ("mine", 4)
    assert identify(lambda a: newton_schulz(a, mine), candidates=FEW).match is None


@pytest.mark.exhaustive
def test_torch_muon():
    torch = pytest.importorskip("torch")
    muon = pytest.importorskip("torch.optim._muon")

    def port(a):
        return muon._zeropower_via_newtonschulz(a, (3.4445, -4.7750, 2.0315), 5, 1e-7)

    found = identify(port, convert=torch.asarray)
    assert str(found.match) == "jordan, 5 steps, norm frobenius, eps 1e-07 (clamp)"
    assert found.precision == "bfloat16"


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("frobenius", "jordan, 5 steps, norm frobenius, eps 1e-08 (add)"),
        ("spectral", "jordan, 5 steps, norm spectral, eps 1e-08 (add)"),
        ("aol", "jordan, 5 steps, norm aol, eps 1e-08 (clamp)"),
        ("schatten", "jordan, 5 steps, norm schatten4, eps 0.0001 (clamp)"),  # |x x^T|_F, a square, clipped at 1e-8
    ],
)
@pytest.mark.exhaustive
def test_optax(mode, text):
    jax = pytest.importorskip("jax")
    muon = pytest.importorskip("optax.contrib._muon")
    coefficients = jax.numpy.asarray(muon._DEFAULT_NS_COEFFS, "float32")
    port = jax.jit(lambda x: muon.orthogonalize_via_newton_schulz(x, coefficients, 5, mode, 1e-8))
    found = identify(port, convert=jax.numpy.asarray, candidates=FEW)
    assert str(found.match) == text and found.precision == "float32"


def svd(a, of):
    p, s, vh = np.linalg.svd(a, full_matrices=False)
    return (p * of(s)) @ vh


def qr(a):
    return np.linalg.qr(a)[0] if a.shape[0] >= a.shape[1] else np.linalg.qr(a.T)[0].T


NONE_OF_THESE = {
    "tanh": lambda a: svd(a, np.tanh),
    "identity": lambda a: a,
    "zero": lambda a: 0 * a,
    "soft sign": lambda a: svd(a, lambda s: s / (s + 0.1)),
    "one coefficient wrong": lambda a: newton_schulz(a, Schedule.of("", [["3.4545", "-4.775", "2.0315"]] * 5)),
    "wrong sign": lambda a: -newton_schulz(a),
}


@pytest.mark.parametrize("name", NONE_OF_THESE)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.exhaustive
def test_none_of_these(name):
    found = identify(NONE_OF_THESE[name], candidates=FEW)
    assert found.match is None, found.text()
    assert found.text().startswith("none of these. Nearest: ")
    assert not found.ratio <= 4


@pytest.mark.parametrize("port", [lambda a: svd(a, np.ones_like), lambda a: svd(a, lambda s: 1 - 1e-5 * s)])
@pytest.mark.exhaustive
def test_the_polar_factor_is_every_converged_iteration(port):
    found = identify(port, candidates=FEW)
    assert found.match is None
    assert found.text().startswith("the polar factor to ") and "every converged iteration fits" in found.text()


@pytest.mark.exhaustive
def test_a_qr_factor_is_not_taken_for_the_polar_factor():
    # they agree on diagonal matrices
    found = identify(qr, candidates=FEW)
    assert found.match is None
    assert "polar factor" not in found.text(), found.text()


@pytest.mark.parametrize(
    ("port", "words"),
    [
        (lambda a: a * np.nan, r"returned NaN or infinity for a \(24, 24\) matrix"),
        (lambda a: a.T, r"returned shape \(27, 12\) for an input of shape \(12, 27\)"),
    ],
)
def test_a_port_that_returns_nonsense(port, words):
    with pytest.raises(ValueError, match=words):
        identify(port, candidates=["jordan"])


def raises_for_small(a):
    if np.linalg.norm(a) < 1e-5:
        raise RuntimeError("too small\nfor me")
    return newton_schulz(a)


@pytest.mark.parametrize(
    ("port", "words"),
    [
        (lambda a: newton_schulz(a) / (a.shape[0] != 8), "not used: the port returned NaN or infinity for a (8, 11)"),
        (lambda a: newton_schulz(a) / (a.shape[0] != 40), "not used: the port returned NaN or infinity for a (40, 40)"),
        (lambda a: newton_schulz(a) / (np.linalg.norm(a) > 1e-7), "matrix of norm 1e-08\n"),
        (raises_for_small, "not used: too small\n"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_probe_that_fails_is_dropped_and_said_so(port, words):
    found = identify(port, candidates=["jordan", "you-5"])
    assert found.match is not None and (found.match.schedule.name, found.match.eps) == ("jordan", 0.0)
    assert words in found.text() + "\n"


def equilibrated(a, axis=1):
    norms = np.linalg.norm(a, axis=axis, keepdims=True)
    return (a * (np.linalg.norm(a) / a.shape[1 - axis] ** 0.5 / np.maximum(norms, 1e-6))).astype(a.dtype)


def renormalized(x):
    return (x * (min(x.shape) ** 0.5 / np.linalg.norm(x))).astype(x.dtype)


NANOCHAT = partial(newton_schulz, schedule="polar-express-nanogpt", normalize=Normalization("frobenius", "1.01"))


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("port", "text"),
    [
        (
            lambda a: newton_schulz(equilibrated(a)),
            "jordan, 5 steps, norm frobenius\n  of a, its rows scaled to one norm",
        ),
        (
            lambda a: newton_schulz(equilibrated(a, 0), "you-6"),
            "you-6, 6 steps, norm frobenius\n  of a, its columns scaled",
        ),
        (
            lambda a: renormalized(newton_schulz(a)),
            "jordan, 5 steps, norm frobenius\n  renormalised: |x|_F = sqrt(min(m, n))",
        ),
        (
            lambda a: renormalized(NANOCHAT(equilibrated(a), eps=1e-6)),
            "polar-express-nanogpt, 5 steps, norm frobenius x 1.01, eps 1e-06 (add)\n  of a, its rows scaled to one",
        ),
        (lambda a: np.float32(1.7) * newton_schulz(a), "jordan, 5 steps, norm frobenius\n  times 1.7\n"),
    ],
)
def test_what_is_done_before_and_after_is_part_of_the_answer(port, text):
    found = identify(port, candidates=["jordan", "you-6", "polar-express-nanogpt"])
    assert found.text().startswith(text), found.text()
    assert found.precision == "float32" and found.ratio <= 1 and len(found.around) in (1, 2)


@pytest.mark.parametrize(
    "before",
    [
        lambda a: a * np.linspace(1, 1.01, a.shape[0])[:, None],
        lambda a: a / np.sqrt(np.linalg.norm(a, axis=1, keepdims=True)),
        lambda a: a + 1e-3 * np.abs(a),
    ],
)
@pytest.mark.parametrize("name", ["jordan", "polar-express-nanogpt"])
def test_another_preconditioner_is_no_shorter_format(before, name):
    found = identify(lambda a: newton_schulz(before(a).astype(a.dtype), name), candidates=FEW)
    assert found.match is None and found.text().startswith("none of these"), found.text()


def test_a_shorter_format_inside_is_accepted_where_it_is_clear():
    """Not stored in it: the last product is of float32."""
    jordan = presets.get("jordan")

    def port(a):
        x = newton_schulz(a, jordan, steps=4, precision="float16")
        return newton_schulz(x, jordan, steps=1, normalize="none")

    found = identify(port, candidates=FEW)
    assert found.match is not None and found.match.schedule.name == "jordan", found.text()
    assert found.precision == "float16" and found.ratio <= 1


def test_an_iteration_that_explodes_is_said_to():
    found = identify(lambda a: a, candidates=["jordan"])
    assert "times its rounding error away" in found.text()
    text = replace(found, ratio=float("inf")).text()
    assert " inf " not in text and "these steps explode in the format of the probes" in text


def test_bad_arguments():
    with pytest.raises(ValueError, match="schedule 'moun'"):
        identify(newton_schulz, candidates=["moun"])
    with pytest.raises(TypeError, match="x must be"):
        identify(lambda a: None, candidates=["jordan"])


@pytest.mark.exhaustive
def test_the_port_may_write_into_its_input():
    def port(a):
        x = newton_schulz(a)
        a *= 0
        return x

    assert identify(port, candidates=["jordan", "you-5"]).match.schedule.name == "jordan"


@pytest.mark.exhaustive
def test_the_scalar_map_and_its_figure():
    pytest.importorskip("matplotlib")
    found = identify(newton_schulz, candidates=["jordan", "you-5"])
    assert found.inputs.shape == found.outputs.shape == (40,)
    assert np.all(np.diff(found.inputs) < 0) and np.linalg.norm(found.inputs) == pytest.approx(1, abs=1e-6)
    assert np.allclose(found.outputs, presets.get("jordan")(found.inputs), rtol=0, atol=1e-4)
    (axis,) = found.figure().axes
    line, measured = axis.lines[:2]
    assert np.array_equal(measured.get_ydata(), found.outputs)
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["jordan, 5 steps", "measured"]
    assert np.allclose(line.get_ydata(), presets.get("jordan")(line.get_xdata()), rtol=1e-6, atol=0)  # float32
    found.figure().savefig(io.BytesIO(), format="png")
    assert identify(lambda a: a, candidates=["jordan"]).figure().axes


@pytest.mark.parametrize("kind", ["frobenius", "schatten4", "spectral"])
@pytest.mark.exhaustive
def test_the_curve_goes_through_the_points(kind):
    """The curve is of 2000 points and drawn through them: what it misses is the second difference."""
    pytest.importorskip("matplotlib")
    (axis,) = identify(lambda a: newton_schulz(a, "jordan", normalize=kind), candidates=["jordan"]).figure().axes
    (x, curve), (at, measured) = (line.get_data() for line in axis.lines[:2])
    gap = np.max(np.abs(np.diff(curve, 2))) / 8
    assert np.max(np.abs(np.interp(np.log(at), np.log(x), curve) - measured)) <= 2 * gap + 1e-5


@pytest.mark.parametrize(
    "wrong", [{"eps": 2e-3, "eps_rule": "clamp"}, {"eps": 5e-7}, {"normalize": Normalization("frobenius", "1.03")}]
)
@pytest.mark.exhaustive
def test_what_is_not_on_the_grid_is_none_of_these(wrong):
    """Not a float16 computation of the nearest: the error does not show in every probe."""
    found = identify(lambda a: newton_schulz(a, "muon", **wrong), candidates=["jordan", "you-6"])
    assert found.match is None and "none of these" in found.text()


@pytest.mark.parametrize("options", [{}, {"restart": (2,)}])
@pytest.mark.exhaustive
def test_the_gram_form(options):
    found = identify(lambda a: newton_schulz(a, "muon", form="gram", **options), candidates=["jordan", "you-6"])
    assert found.match.schedule.name == "jordan" and found.precision == "float32" and found.ratio <= 1


@pytest.mark.exhaustive
def test_a_stored_format_is_seen_in_the_results():
    """Undecided in bfloat16, but bfloat16 it is."""
    port = partial(newton_schulz, schedule="polar-express-timm", steps=5, precision="bfloat16")
    found = identify(port, candidates=["polar-express-timm", "jordan"])
    assert found.match.schedule.name == "polar-express-timm" and found.precision == "bfloat16"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "complex64"}, "dtype='complex64' of the probes is not float32 or float64"),
        ({"candidates": []}, "candidates is empty"),
        ({"candidates": [qdwh("0.1")]}, "is rational"),
    ],
)
def test_what_cannot_be_asked(options, message):
    with pytest.raises(ValueError, match=message):
        identify(newton_schulz, **options)
