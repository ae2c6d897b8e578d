"""Muon of other packages, step by step: momentum and parameter after each of 20 steps, to rounding (MUON-UNIT)."""

from __future__ import annotations

import importlib
import os
import warnings
from contextlib import suppress

import numpy as np
import pytest
from muon_units import gradients, norm, trajectory, worst

from orthoref import newton_schulz, polar, steps

pytestmark = pytest.mark.port
LR = 0.02
SHAPES = {"wide": (6, 10), "tall": (10, 6), "square": (7, 7)}
KERNEL = (6, 2, 3, 1)


# --- the ports: (w, gradients, options of the port) -> [(momentum, parameter), ...] ----------------------------------


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def of_torch(torch, optimizer, w, gs, dtype, **options):
    """A torch optimiser, its parameter and buffer after every step as float64."""
    p = torch.nn.Parameter(torch.tensor(w).to(dtype))
    opt, found = optimizer(p, lr=LR, **options), []
    for g in gs:
        p.grad = torch.tensor(g).to(dtype)
        opt.step()
        found.append((opt.state[p]["momentum_buffer"].double().numpy().copy(), p.detach().double().numpy().copy()))
    return found


@pytest.fixture(scope="module")
def run_torch(torch):
    muon = pytest.importorskip("torch.optim._muon").Muon

    def run(w, gs, dtype="float32", **options):
        return of_torch(torch, lambda p, **o: muon([p], **o), w, gs, getattr(torch, dtype), **options)

    run(np.eye(2), [np.eye(2)])  # the first step imports what torch.compile needs
    return run


@pytest.fixture(scope="module")
def run_pytorch_optimizer(torch):
    muon = pytest.importorskip("pytorch_optimizer").Muon

    def run(w, gs, dtype="float32", **options):
        group = {"use_muon": True}
        return of_torch(
            torch, lambda p, **o: muon([{"params": [p]} | group], **o), w, gs, getattr(torch, dtype), **options
        )

    return run


@pytest.fixture(scope="module")
def run_optax():
    contrib, jax, jnp = (pytest.importorskip(name) for name in ("optax.contrib", "jax", "jax.numpy"))

    def run(w, gs, dtype="float32", **options):
        p = jnp.asarray(w, dtype)
        rule, found = contrib.muon(LR, **options), []
        state, update_of = rule.init(p), jax.jit(rule.update)
        for g in gs:
            update, state = update_of(jnp.asarray(g, dtype), state, p)
            p = p + update
            m = state.inner_states["muon"].inner_state[0].mu
            found.append((np.asarray(m, "float64"), np.asarray(p, "float64")))
        return found

    return run


@pytest.fixture(scope="module")
def run_keras():
    pytest.importorskip("torch")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")

    def run(w, gs, dtype="float32", **options):
        p, found = keras.Variable(w, dtype=dtype), []
        rule = keras.optimizers.Muon(LR, **options)
        rule.build([p])
        for g in gs:
            rule.apply([keras.ops.convert_to_tensor(g)], [p])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # NumPy's, of keras.src.backend.torch
                both = [keras.ops.convert_to_numpy(x) for x in (rule.momentums[0], p)]
            found.append(tuple(x.astype("float64") for x in both))
        return found

    return run


@pytest.fixture(scope="module")
def run_mlx():
    mx, optimizers = pytest.importorskip("mlx.core"), pytest.importorskip("mlx.optimizers")

    def run(w, gs, **options):
        p, found = mx.array(w), []
        rule = optimizers.Muon(LR, **options)
        rule.init({"w": p})
        for g in gs:
            p = rule.apply_gradients({"w": mx.array(g)}, {"w": p})["w"]
            found.append((np.array(rule.state["w"]["v"], "float64"), np.array(p, "float64")))
        return found

    return run


def bfloat16_factor(torch, x, eps=1e-7):
    """Five steps of Jordan's polynomial in bfloat16, the norm plus eps, the smaller side first."""
    tall = x.shape[-2] > x.shape[-1]
    y = (x.mT if tall else x).bfloat16()
    y = y / (torch.linalg.vector_norm(y) + eps)
    for _ in range(5):
        gram = y @ y.mT
        y = 3.4445 * y + (-4.7750 * gram + 2.0315 * gram @ gram) @ y
    return y.mT if tall else y


@pytest.fixture(scope="module")
def run_jordan(torch):
    """KellerJordan/Muon, which is on no index, in the operations that its source was read to do."""

    def run(w, gs, momentum=0.95, nesterov=True, weight_decay=0.0):
        p, m, found = torch.tensor(w), torch.zeros(w.shape), []
        for g in gs:
            g = torch.tensor(g)
            m = torch.lerp(m, g, 1 - momentum)
            d = torch.lerp(g, m, momentum) if nesterov else m
            o = bfloat16_factor(torch, d.reshape(len(d), -1) if d.ndim == 4 else d)
            o = o * max(1, g.shape[-2] / g.shape[-1]) ** 0.5
            p = p * (1 - LR * weight_decay) - LR * o.reshape(p.shape)
            found.append((m.double().numpy(), p.double().numpy()))
        return found

    return run


@pytest.fixture(scope="module")
def run_moonlight(torch):
    """MoonshotAI/Moonlight, which is on no index, in the operations that its source was read to do."""

    def run(w, gs, momentum=0.95, nesterov=True, weight_decay=0.1):
        p, m, found = torch.tensor(w), torch.zeros(w.shape), []
        for g in gs:
            g = torch.tensor(g)
            m = momentum * m + g
            o = bfloat16_factor(torch, g + momentum * m if nesterov else m)
            p = p * (1 - LR * weight_decay) - LR * 0.2 * max(p.shape) ** 0.5 * o
            found.append((m.double().numpy(), p.double().numpy()))
        return found

    return run


PORTS = ("torch", "pytorch_optimizer", "optax", "keras", "mlx", "jordan", "moonlight")
DION, COUPLED = {"ns_coeffs": "dion"}, {"weight_decay": 0.5}
CASES = [  # port, shape, options of the port, options of the rule over its preset
    *((port, shape, {}, {}) for port in PORTS for shape in SHAPES),
    *((port, "wide", {"nesterov": False}, {"nesterov": False}) for port in PORTS),
    *((port, "tall", {"weight_decay": 3.0}, {"weight_decay": 3.0}) for port in PORTS),
    *((port, "tall", {"momentum": 0.5}, {"momentum": 0.5}) for port in PORTS if port != "optax"),
    *((port, "kernel", {}, {}) for port in ("pytorch_optimizer", "mlx", "jordan")),
    ("torch", "tall", {"adjust_lr_fn": "match_rms_adamw"}, {"factor": "match-rms"}),
    ("torch", "wide", {"ns_steps": 3, "eps": 10.0}, {"steps": 3, "eps": 10.0}),
    ("optax", "tall", {"beta": 0.5, "eps": 0.3}, {"momentum": 0.5, "eps": 0.3}),
    ("optax", "tall", {"consistent_rms": 0.3}, {"factor": "match-rms", "rms": 0.3}),
    ("optax", "wide", {"adaptive": True}, {"adaptive": True}),
    ("optax", "wide", DION, {"schedule": "you-5"}),
    ("pytorch_optimizer", "tall", {"use_adjusted_lr": True}, {"factor": "match-rms"}),
    ("pytorch_optimizer", "wide", {"ns_coeffs": "quintic"}, {"schedule": "you-5"}),
    ("pytorch_optimizer", "wide", COUPLED | {"weight_decouple": False}, COUPLED | {"decay": "coupled"}),
    ("keras", "tall", {"rms_rate": None}, {"factor": "none"}),
    ("keras", "square", {"ns_steps": 4}, {"steps": 4}),
]


def drawn(shape, count=20, dtype="float32"):
    shape = SHAPES.get(shape, KERNEL)
    return np.random.default_rng(1).standard_normal(shape).astype(dtype), gradients(shape, count, 2, dtype)


@pytest.fixture
def port(request):
    """Name and runner; asked for here, the import of a framework is no time of a test."""
    return request.param, request.getfixturevalue(f"run_{request.param}")


def check(port, shape, given, rule, count=20):
    """Worst ratios of the errors to their bounds."""
    name, run = port
    w, gs = drawn(shape, count)
    options = dict(steps.PRESETS[name]) | rule
    computed = options["precision"] or "float32"
    return worst(trajectory(w, gs, lr=LR, stored="float32", computed=computed, **options), run(w, gs, **given))


def named(port, *rest):
    """JAX compiles in the first call: the limit of the time of a test asks for it in the name."""
    return "-".join(["jax-optax" if port == "optax" else port, *rest])


@pytest.mark.parametrize("port", PORTS, ids=named, indirect=True)
def test_steps(port):
    of_m, of_w = check(port, "tall", {}, {}, count=4)
    assert of_m <= 1 and of_w <= 1


CASE_NAMES = [named(port, shape, *map(str, given.items())) for port, shape, given, _ in CASES]


@pytest.mark.exhaustive
@pytest.mark.parametrize(("port", "shape", "given", "rule"), CASES, ids=CASE_NAMES, indirect=["port"])
def test_twenty_steps(port, shape, given, rule):
    of_m, of_w = check(port, shape, given, rule)
    assert of_m <= 1 and of_w <= 1


# --- the bounds see every switch --------------------------------------------------------------------------------------


@pytest.fixture
def exact_iteration(monkeypatch, torch):
    """The ports that force bfloat16 with the iteration itself in float64: what is left is float32, or float64."""

    def factor(update, coefficients=None, ns_steps=5, eps=1e-7, *, num_steps=5, weights=None):
        x = newton_schulz(update.double().numpy(), "jordan", steps=5, eps=eps, eps_rule="clamp")
        return torch.tensor(x).to(update.dtype)

    monkeypatch.setattr(pytest.importorskip("torch.optim._muon"), "_zeropower_via_newtonschulz", factor)
    with suppress(ImportError):
        base = importlib.import_module("pytorch_optimizer.optimizer.muon.base")
        monkeypatch.setattr(base, "zero_power_via_newton_schulz_5", factor)


FLIPPED = [
    {"averaging": "heavy-ball"},
    {"nesterov": False},
    {"bias_correction": True},
    {"steps": 4},
    {"eps": 1e-8, "eps_rule": "add"},
    {"eps_rule": "add"},
    {"adaptive": True},
    {"factor": "none"},
    {"factor": "match-rms"},
    {"orientation": "in-out"},
    {"weight_decay": 0.0},
    {"decay": "coupled"},
    {"momentum": 0.9},
    {"schedule": "you-5"},
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("port", ["torch", "pytorch_optimizer"], indirect=True)
@pytest.mark.parametrize("nesterov", [True, False])
def test_all_but_the_iteration_is_exact_to_rounding(exact_iteration, port, nesterov, dtype):
    name, run = port
    w, gs = drawn("tall", 6, dtype)
    given = {"weight_decay": 0.5, "nesterov": nesterov}
    ours = trajectory(w, gs, lr=LR, stored=dtype, computed="float64", **dict(steps.PRESETS[name]) | given)
    of_m, of_w = worst(ours, run(w, gs, dtype, **given))
    assert of_m <= 1 and of_w <= 1


@pytest.mark.parametrize("flipped", FLIPPED, ids=lambda f: "-".join(f"{k}={v}" for k, v in f.items()))
def test_every_switch_is_seen(run_torch, exact_iteration, flipped):
    w, gs = drawn("tall", 4, "float64")
    gs = [1e-3 * g for g in gs]  # eps counts
    options = dict(steps.PRESETS["torch"]) | {"weight_decay": 0.5} | flipped
    ours = trajectory(w, gs, lr=LR, stored="float64", computed="float64", **options)
    of_m, of_w = worst(ours, run_torch(w, gs, "float64", weight_decay=0.5))
    assert not (of_m <= 2 and of_w <= 2)


SEEN = ("averaging", "factor", "orientation", "weight_decay", "decay", "momentum")


@pytest.mark.parametrize("flipped", [f for f in FLIPPED if set(f) <= set(SEEN)], ids=str)
def test_large_differences_are_seen_through_bfloat16(run_torch, flipped):
    """Its bound is a third of a step; here the factor is 2, and the gradients are large."""
    rng = np.random.default_rng(7)
    w, gs = (10 * rng.standard_normal(shape).astype("float32") for shape in ((32, 8), (4, 32, 8)))
    options = dict(steps.PRESETS["torch"]) | {"weight_decay": 5.0} | flipped
    ours = list(trajectory(w, list(gs), lr=LR, stored="float32", computed="bfloat16", **options))
    of_m, of_w = worst(ours, run_torch(w, list(gs), weight_decay=5.0))
    assert not (of_m <= 1 and of_w <= 1)


# --- what is mutated, what aliases what -------------------------------------------------------------------------------


def test_torch_divides_the_buffer_of_a_bfloat16_parameter_without_nesterov(run_torch, torch):
    w, gs = drawn("tall", 4)
    w, gs = (np.asarray(torch.tensor(np.asarray(x)).bfloat16().float()) for x in (w, gs))
    options = dict(steps.PRESETS["torch"]) | {"nesterov": False}
    theirs = run_torch(w, list(gs), "bfloat16", nesterov=False)
    for aliased in (True, False):
        ours = trajectory(w, list(gs), lr=LR, stored="bfloat16", computed="bfloat16", **options | {"aliased": aliased})
        of_m, of_w = worst(ours, theirs)
        assert (of_m <= 1 and of_w <= 1) == aliased
    assert abs(norm(theirs[0][0]) - 1) <= 3 * 2.0**-8


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("port", ["torch", "pytorch_optimizer"], indirect=True)
def test_what_is_mutated(torch, port, dtype, nesterov):
    """The gradient becomes the direction in pytorch_optimizer; the buffer its own quotient in torch, in bfloat16."""
    port, _ = port
    if port == "torch":
        make = lambda p: torch.optim.Muon([p], lr=LR, nesterov=nesterov, weight_decay=0.0)  # noqa: E731
    else:
        muon = pytest.importorskip("pytorch_optimizer").Muon
        make = lambda p: muon([{"params": [p], "use_muon": True}], lr=LR, nesterov=nesterov)  # noqa: E731
    dtype = getattr(torch, dtype)
    w, (g,) = drawn("tall", 1)
    p, g = torch.nn.Parameter(torch.tensor(w).to(dtype)), torch.tensor(g).to(dtype)
    p.grad = g.clone()
    opt = make(p)
    opt.step()
    m = torch.lerp(torch.zeros_like(g), g, 1 - 0.95)
    gradient = torch.lerp(g, m, 0.95) if port == "pytorch_optimizer" and nesterov else g
    assert torch.equal(p.grad, gradient)
    buffer = opt.state[p]["momentum_buffer"]
    aliased = port == "torch" and dtype == torch.bfloat16 and not nesterov
    assert torch.equal(buffer, m) != aliased
    assert not aliased or torch.equal(buffer, m / m.norm())


def test_the_emulation_of_a_bfloat16_parameter(run_torch, torch):
    """With ``storage`` the rule rounds where the port does: entries differ by spacings of the format, if at all."""
    w, gs = drawn("tall", 5)
    w, gs = (np.asarray(torch.tensor(np.asarray(x)).bfloat16().float()) for x in (w, gs))
    options, state = dict(steps.PRESETS["torch"]) | {"storage": "bfloat16"}, steps.momentum_state(w)
    for k, (g, (m, _)) in enumerate(zip(gs, run_torch(w, list(gs), "bfloat16"), strict=True), start=1):
        state, _ = steps.muon(state, g, w, lr=LR, **options)
        assert np.all(abs(state.momentum - m) <= k * 2.0**-7 * abs(m))
        assert np.mean(state.momentum == m) >= 0.5


# --- other rules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_orthogonal_sgdm_is_sgd_of_torch_on_polar_factors(torch, seed):
    rng = np.random.default_rng(seed)
    w, gs = rng.standard_normal((5, 3)), rng.standard_normal((6, 5, 3))
    p = torch.nn.Parameter(torch.tensor(w))
    opt, state = torch.optim.SGD([p], lr=0.1, momentum=0.9), steps.momentum_state(w)
    for g in gs:
        u, _, vh = np.linalg.svd(g, full_matrices=False)
        p.grad = torch.tensor(u @ vh)
        opt.step()
        state, update = steps.orthogonal_sgdm(state, g, lr=0.1)
        w = w + update
    # the velocity is at most lr/(1 - 0.9) = 1 in norm 2; the SVD is good to 10 n eps, six steps to 60
    assert norm(w - p.detach().numpy()) <= 60 * 5 * 2.0**-52 * 2


def test_orthogonal_adam_is_adam_of_torch_on_polar_factors(torch):
    rng = np.random.default_rng(3)
    w, gs = rng.standard_normal((5, 3)), rng.standard_normal((6, 5, 3))
    p = torch.nn.Parameter(torch.tensor(w))
    opt, state = torch.optim.Adam([p], lr=0.1, betas=(0.7, 0.95), eps=1e-6), steps.adam_state(w)
    for g in gs:
        u, _, vh = np.linalg.svd(g, full_matrices=False)
        p.grad = torch.tensor(u @ vh)
        opt.step()
        state, update = steps.orthogonal_adam(state, g, lr=0.1, beta1=0.7, beta2=0.95, eps=1e-6)
        w = w + update
    # an entry of the quotient moves by the relative error of mean and root: 10 n eps over the smallest root mean square
    smallest = np.sqrt(state.square / (1 - 0.95**6)).min()
    assert norm(w - p.detach().numpy()) <= 6 * 0.1 * 4 * 50 * 2.0**-52 / smallest * np.sqrt(w.size)


def test_orthogonal_lars_is_lars_of_pytorch_optimizer_on_polar_factors(torch):
    lars = pytest.importorskip("pytorch_optimizer").LARS
    rng = np.random.default_rng(4)
    w, gs = rng.standard_normal((5, 3)), rng.standard_normal((6, 5, 3))
    p = torch.nn.Parameter(torch.tensor(w))
    opt = lars([p], lr=0.1, momentum=0.9, weight_decay=0.3, trust_coefficient=0.5)
    state = steps.momentum_state(w)
    for g in gs:
        p.grad = torch.tensor(polar(g).u)
        opt.step()
        state, update = steps.orthogonal_lars(state, g, w, lr=0.1, momentum=0.9, weight_decay=0.3, trust=0.5)
        w = w + update
    assert norm(w - p.detach().numpy()) <= 6 * 30 * 2.0**-52 * norm(w)


def test_minimisers_of_scion(torch):
    """Its directions point uphill, its columns have root mean square 1, its spectral ball is the one of RMS->RMS."""
    scion = pytest.importorskip("pytorch_optimizer.optimizer.scion")
    g = np.random.default_rng(5).standard_normal((6, 4))
    of = torch.tensor(g)
    assert np.array_equal(-scion.Sign(normalize=False).lmo(of).numpy(), steps.lmo(g, "max"))
    assert np.allclose(-scion.Sign().lmo(of).numpy(), steps.lmo(g, "max", radius=1 / 4), rtol=4e-16, atol=0)
    ours = steps.lmo(g, "1-2", radius=6**0.5)
    assert np.allclose(-scion.Col().lmo(of, eps=0.0).numpy(), ours, rtol=16 * 2.0**-52, atol=0)
    spectral = -scion.Spectral(num_steps=5).lmo(of).double().numpy()
    ours = steps.lmo(g, "rms-rms")
    finite = -((6 / 4) ** 0.5) * newton_schulz(g, "jordan", eps=1e-7, eps_rule="clamp")
    assert norm(spectral - finite) <= 0.1 * norm(finite) and norm(ours - finite) <= 0.35 * norm(finite)


def test_sign_sgd_of_optax_jax():
    optax, jnp = pytest.importorskip("optax"), pytest.importorskip("jax.numpy")
    g = np.random.default_rng(6).standard_normal((3, 4))
    rule = optax.sign_sgd(0.25)
    update, _ = rule.update(jnp.asarray(g), rule.init(jnp.asarray(g)))
    _, ours = steps.trust_region(steps.momentum_state(g), g, radius=0.25, norm="max", momentum=0.0)
    assert np.array_equal(np.asarray(update), ours)
