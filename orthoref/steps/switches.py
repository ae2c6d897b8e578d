"""The options of :func:`orthoref.steps.muon` that ports have chosen: docs/which_muon.

``PRESETS`` maps the name of a port to keyword arguments with all its defaults but the learning rate; ``SWITCHES`` an
option to the values that ports give it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_PORTS: dict[str, dict[str, Any]] = {
    # KellerJordan/Muon, muon.py: kernels of four axes are flattened, arrays of three are stacks (view="matrix")
    "jordan": {
        "view": "first-axis",
        "factor_of": "last-two",
        "factor_on": "update",
        "precision": "bfloat16",
    },
    # torch.optim.Muon: matrices only
    "torch": {"eps_rule": "clamp", "precision": "bfloat16", "weight_decay": 0.1},
    # optax.contrib.muon: kernels (in, out)
    "optax": {"bias_correction": True, "eps": 1e-8, "orientation": "in-out"},
    # MoonshotAI/Moonlight, examples/toy_train.py: matrices only, kernels are flattened and never reshaped back
    "moonlight": {
        "averaging": "heavy-ball",
        "precision": "bfloat16",
        "factor": "match-rms",
        "weight_decay": 0.1,
    },
    # keras.optimizers.Muon: matrices only, kernels (in, out)
    "keras": {
        "averaging": "heavy-ball",
        "factor": "match-rms",
        "orientation": "in-out",
        "weight_decay": 0.004,
    },
    # pytorch_optimizer.Muon
    "pytorch_optimizer": {"eps_rule": "clamp", "precision": "bfloat16", "view": "first-axis"},
    # mlx.optimizers.Muon
    "mlx": {"view": "first-axis", "factor_of": "last-two", "weight_decay": 0.01, "decay": "coupled"},
}
_COMMON: dict[str, Any] = {
    "momentum": 0.95,
    "averaging": "ema",
    "nesterov": True,
    "bias_correction": False,
    "schedule": "jordan",
    "steps": 5,
    "normalize": "frobenius",
    "eps": 1e-7,
    "eps_rule": "add",
    "precision": None,
    "aliased": False,
    "view": "matrix",
    "adaptive": False,
    "factor": "sqrt-max-1",
    "factor_of": "matrix",
    "factor_on": "lr",
    "orientation": "out-in",
    "weight_decay": 0.0,
    "decay": "decoupled",
}
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {name: MappingProxyType(_COMMON | own) for name, own in _PORTS.items()}
)
SWITCHES: Mapping[str, tuple[Any, ...]] = MappingProxyType(  # what ports do: to try where one is none of the presets
    {
        "averaging": ("ema", "heavy-ball"),
        "nesterov": (True, False),
        "bias_correction": (False, True),
        "storage": (None, "bfloat16", "float16"),
        "schedule": ("jordan", "you-5", "polar-express-list", None),
        "steps": (5, 4, 6, 8, 10),
        "normalize": ("frobenius", "spectral", "schatten4", "aol"),
        "eps": (1e-7, 1e-8, 1e-15, 0.0),
        "eps_rule": ("add", "clamp"),
        "precision": (None, "bfloat16", "float16"),
        "aliased": (False, True),
        "view": ("matrix", "first-axis", "last-axis"),
        "split": ("rows", "columns"),
        "adaptive": (False, True),
        "factor": ("none", "sqrt-max-1", "sqrt-ratio", "match-rms"),
        "factor_of": ("matrix", "last-two"),
        "factor_on": ("lr", "update"),
        "orientation": ("out-in", "in-out"),
        "decay": ("decoupled", "coupled"),
    }
)
