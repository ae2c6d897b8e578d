"""Every rule on every array library: type, dtype and device in and out are the same; nothing is written to."""

from __future__ import annotations

import array_api_compat as compat
import numpy as np
import pytest
from backends import BACKENDS, JAX_LATE, NUMPY, ct, gaussian, isometry

from orthoref import steps

assert BACKENDS  # the fixture ``backend`` goes over them


def eps(dtype):
    return float(np.finfo(dtype).eps)


def same_kind(x, g):
    assert type(x) is type(g) and x.dtype == g.dtype and compat.device(x) == compat.device(g) and x.shape == g.shape


COUPLED = {"lr": 0.5, "weight_decay": 0.1, "decay": "coupled", "nesterov": False, "aliased": True}
RULES = {
    "muon": (steps.muon, {"lr": 0.5, "weight_decay": 0.1}),
    "muon polar": (steps.muon, {"lr": 0.5, "schedule": None, "adaptive": True}),
    "muon heads": (steps.muon, {"lr": 0.5, "heads": 2, "split": "columns"}),
    "muon coupled": (steps.muon, COUPLED),
    "ball spectral": (steps.trust_region, {"radius": 0.5, "decay": 0.1}),
    "ball max": (steps.trust_region, {"radius": 0.5, "norm": "max"}),
    "lars": (steps.lars, {"lr": 0.5, "weight_decay": 0.1}),
    "orthogonal lars": (steps.orthogonal_lars, {"lr": 0.5}),
}  # fmt: skip
WITHOUT_PARAMETER = {
    "sgdm": (steps.sgdm, {"lr": 0.5}),
    "orthogonal sgdm": (steps.orthogonal_sgdm, {"lr": 0.5}),
    "normalized sgdm": (steps.normalized_sgdm, {"lr": 0.5}),
    "component sgdm": (steps.component_normalized_sgdm, {"lr": 0.5}),
}
ON_A_MANIFOLD = {
    "riemannian": (steps.riemannian_sgd, {"lr": 0.1, "metric": "canonical", "momentum": 0.5}),
    "cayley": (steps.cayley_sgd, {"lr": 0.1, "momentum": 0.5}),
    "sweeps": (steps.cayley_sgd, {"lr": 0.1, "sweeps": 24, "contraction": 0.25, "size": "one", "metric": "euclidean"}),
}


@JAX_LATE
@pytest.mark.parametrize("dtype", ["float32", "complex64", "float64"])
def test_rules(backend, dtype):
    backend.require()
    if dtype not in backend.dtypes:
        pytest.skip("no such dtype")
    w, g = (backend.asarray(gaussian((2, 6, 4), dtype, seed)) for seed in (0, 1))
    zero = steps.momentum_state(w)
    for rule, options in RULES.values():
        state, update = rule(*rule(zero, g, w, **options)[:1], g, w, **options)
        same_kind(update, g)
        same_kind(state.momentum, g)
        assert state.step == 2
    for rule, options in WITHOUT_PARAMETER.values():
        (m, _), update = rule(zero, g, **options)
        same_kind(update, g)
        assert np.array_equal(backend.to_numpy(m), -backend.to_numpy(update))
    for rule in (steps.adam, steps.orthogonal_adam):
        state, update = rule(steps.adam_state(w), g, lr=0.5)
        for x in (update, state.mean, state.square):
            same_kind(x, g)


@JAX_LATE
@pytest.mark.parametrize("dtype", ["float32", "complex64", "float64"])
def test_rules_on_the_manifold(backend, dtype):
    backend.require()
    if dtype not in backend.dtypes:
        pytest.skip("no such dtype")
    x0 = np.stack([isometry(6, 3, dtype, seed) for seed in range(2)]).astype(dtype)
    x, g = backend.asarray(x0), backend.asarray(gaussian((2, 6, 3), dtype, 3))
    for rule, options in ON_A_MANIFOLD.values():
        state, point = rule(steps.momentum_state(x), g, x, **options)
        same_kind(point, g)
        same_kind(state.momentum, g)
        y = backend.to_numpy(point)
        assert np.linalg.norm(ct(y) @ y - np.eye(3)) <= 100 * eps(dtype)
    _, update = steps.landing_sgd(steps.momentum_state(x), g, x, lr=0.1, attraction=1.0)
    same_kind(update, g)
    assert steps.landing_safe_lr(x, g, attraction=1.0).shape == (2,)
    skew = steps.cayley_skew(x, g, metric="euclidean")
    w = backend.to_numpy(skew)
    assert np.array_equal(w, -ct(w))
    assert steps.cayley_sweeps_defect(x, skew, lr=0.1, sweeps=3).shape == (2, 3, 3)


@JAX_LATE
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_norms(backend, dtype):
    backend.require()
    g = backend.asarray(gaussian((2, 5, 3), dtype, 4))
    for kind in ("frobenius", "spectral", "max", "rms-rms", "1-2", "nuclear"):
        x = steps.lmo(g, kind)
        same_kind(x, g)
        pairing = np.sum(backend.to_numpy(g).conj() * backend.to_numpy(x), axis=(-2, -1)).real
        dual = backend.to_numpy(steps.dual_norm(g, kind))
        assert dual.dtype == "float32" and np.all(abs(pairing + dual) <= 15 * 10 * eps("float32") * dual)
        assert np.all(abs(backend.to_numpy(steps.norm(x, kind)) - 1) <= 50 * eps("float32"))
        gap = backend.to_numpy(steps.duality_gap(x, g, kind, radius=1.0))
        assert np.all(abs(gap) <= 15 * 10 * eps("float32") * dual)
        assert steps.descent_bound(g, g, kind, radius=1.0, smoothness=1.0).shape == (2,)


def test_a_stack_is_its_matrices():
    g, w = (NUMPY.asarray(gaussian((3, 5, 4), "float64", seed)) for seed in (5, 6))
    for rule, options in RULES.values():
        state, update = rule(steps.momentum_state(w), g, w, **options)
        for k in range(3):
            one, single = rule(steps.momentum_state(w[k]), g[k], w[k], **options)
            # products of a stack and of a matrix may be summed in another order; 500 is the slope of the iteration
            unit = 500 * 20 * eps("float64") * max(1, np.linalg.norm(single))
            assert np.allclose(update[k], single, rtol=0, atol=unit)
            assert np.allclose(state.momentum[k], one.momentum, rtol=0, atol=20 * eps("float64") * 10)
