"""Functions of other packages whose derivatives are judged: how each is called and what it claims; imported late.

Every port takes one array of its framework; ``PORTS`` says what else a run has to know.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Port:
    """A primal port and its claims.

    ``outputs`` are the indices of what it returns that are differentiated; ``claims`` are options of
    ``conformance.check`` of the primal; ``stacks`` and ``wide`` say whether leading axes and m < n are taken.
    """

    name: str
    framework: str
    operation: str
    function: Callable[[Any], Any]
    packages: tuple[str, ...]
    outputs: tuple[int, ...] = (0,)
    dtypes: tuple[str, ...] = ("float32", "float64", "complex64", "complex128")
    stacks: bool = True
    wide: bool = True
    claims: dict[str, Any] = field(default_factory=dict)

    def convert(self, a: np.ndarray) -> Any:
        """A NumPy array as the port takes it."""
        if self.framework == "torch":
            return import_module("torch").asarray(a.copy())
        return import_module("jax.numpy").asarray(a)


# --- polar


def torch_svd_u(a):
    """U = P V^H, differentiated through the SVD: NaN where singular values repeat."""
    p, _, vh = import_module("torch").linalg.svd(a, full_matrices=False)
    return p @ vh


def torch_svd(a):
    """U = P V^H and H = V S V^H."""
    p, s, vh = import_module("torch").linalg.svd(a, full_matrices=False)
    return p @ vh, (vh.mH * s.unsqueeze(-2).to(vh.dtype)) @ vh


def torch_newton_schulz(a):
    """U as the limit of X <- X + X (I - X^H X)/2 from A/|A|_F: 40 steps reach it for condition numbers up to 1e5."""
    torch = import_module("torch")
    x = a if a.shape[-2] >= a.shape[-1] else a.mH
    x = x / torch.linalg.matrix_norm(x, keepdim=True)
    for _ in range(40):
        x = 1.5 * x - 0.5 * x @ (x.mH @ x)
    return x if a.shape[-2] >= a.shape[-1] else x.mH


def jax_svd(a):
    """The derivative of JAX's SVD divides by s_i^2 - s_j^2: NaN at equal singular values."""
    return import_module("jax.scipy.linalg").polar(a, method="svd")


def jax_qdwh(a):
    """Its loop ends at convergence (lax.while_loop): JAX has a forward mode for it and no reverse mode."""
    return import_module("jax.scipy.linalg").polar(a, method="qdwh")


# --- newton_schulz

JORDAN = (3.4445, -4.7750, 2.0315)


def torch_muon(a):
    """In bfloat16, divided in place by the norm, which autograd refuses in reverse mode; the forward mode works."""
    return import_module("torch.optim._muon")._zeropower_via_newtonschulz(a, JORDAN, 5, 1e-7)


@cache
def optax_muon(preconditioning):
    """optax.contrib.muon, compiled once for every shape."""
    jax, muon = import_module("jax"), import_module("optax.contrib._muon")

    def port(a):
        rows = jax.numpy.asarray(JORDAN, a.real.dtype)
        return muon.orthogonalize_via_newton_schulz(a, rows, 5, preconditioning, 1e-8)

    return jax.jit(port)


@cache
def _keras():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return import_module("keras").optimizers.Muon(learning_rate=1e-3)


def keras_muon(a):
    """keras.optimizers.Muon on the torch backend."""
    return _keras().zeropower_via_newtonschulz5(a, 5)


def pytorch_optimizer(a):
    """Asked for float32. Its products are written into out=, which autograd refuses in both modes."""
    matrix = import_module("pytorch_optimizer.optimizer.utils.matrix")
    return matrix.zero_power_via_newton_schulz_5(a, dtype=import_module("torch").float32)


def pytorch_optimizer_gram(a):
    """The Gram form, S + c_0 I never formed, restarted before the third step. It writes into out=, too."""
    matrix = import_module("pytorch_optimizer.optimizer.utils.matrix")
    return matrix.zero_power_via_gram_newton_schulz(a, dtype=import_module("torch").float32)


MUON = {"schedule": "jordan", "steps": 5}
CLAMPED = {**MUON, "eps": 1e-7, "eps_rule": "clamp"}
# of preconditioning: normalize, eps, eps_rule; "schatten" clips the squared norm at 1e-8
OPTAX = {
    "frobenius": ("frobenius", 1e-8, "add"),
    "spectral": ("spectral", 1e-8, "add"),
    "aol": ("aol", 1e-8, "clamp"),
    "schatten": ("schatten4", 1e-4, "clamp"),
}

PORTS = (
    Port("torch.linalg.svd, U = P V^H", "torch", "polar", torch_svd_u, ("torch",)),
    Port("torch.linalg.svd, U = P V^H, H = V S V^H", "torch", "polar", torch_svd, ("torch",), outputs=(0, 1)),
    Port("torch, Newton-Schulz to convergence", "torch", "polar", torch_newton_schulz, ("torch",)),
    Port('jax.scipy.linalg.polar, method="svd"', "jax", "polar", jax_svd, ("jax",), outputs=(0, 1)),
    Port('jax.scipy.linalg.polar, method="qdwh"', "jax", "polar", jax_qdwh, ("jax",), outputs=(0, 1), wide=False),
    Port(
        "torch.optim.Muon",
        "torch",
        "newton_schulz",
        torch_muon,
        ("torch",),
        dtypes=("float32",),
        stacks=False,
        claims={**CLAMPED, "precision": "bfloat16"},
    ),
    *(
        Port(
            f"optax.contrib.muon, preconditioning {mode}",
            "jax",
            "newton_schulz",
            lambda a, mode=mode: optax_muon(mode)(a),
            ("jax", "optax"),
            dtypes=("float32", "float64", "complex64"),
            stacks=False,
            claims={**MUON, "normalize": normalize, "eps": eps, "eps_rule": rule},
        )
        for mode, (normalize, eps, rule) in OPTAX.items()
    ),
    Port(
        "keras.optimizers.Muon, torch backend",
        "torch",
        "newton_schulz",
        keras_muon,
        ("torch", "keras"),
        dtypes=("float32",),
        claims={**MUON, "eps": 1e-7},
    ),
    Port(
        "pytorch_optimizer, zero_power_via_newton_schulz_5",
        "torch",
        "newton_schulz",
        pytorch_optimizer,
        ("torch", "pytorch_optimizer"),
        dtypes=("float32",),
        claims={**CLAMPED, "precision": "float32"},
    ),
    Port(
        "pytorch_optimizer, zero_power_via_gram_newton_schulz",
        "torch",
        "newton_schulz",
        pytorch_optimizer_gram,
        ("torch", "pytorch_optimizer"),
        dtypes=("float32",),
        claims={**CLAMPED, "precision": "float32", "form": "gram", "restart": (2,)},
    ),
)
