"""Optimiser steps as pure functions: Muon with the switches of its ports, trust regions, orthogonal gradients, Stiefel.

A rule takes the state, the gradient (and the parameter, where it needs it) and options, and returns the next state with
the update that is added to the parameter, or with the next point of a manifold. Nothing is changed in place, and there
is nothing to inherit: a state is a named tuple, a rule of a replaced gradient is the composition of two functions.

Arrays have the shape (..., m, n); leading axes are a stack, unless ``view`` says that they belong to the matrix.

``PRESETS`` maps the name of a port to the options of :func:`muon` with which it makes the same steps, ``SWITCHES`` an
option to the values that ports give it.

Names are resolved on first use, one line of a table each.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orthoref.steps.balls import dual_norm as dual_norm
    from orthoref.steps.balls import lmo as lmo
    from orthoref.steps.balls import norm as norm
    from orthoref.steps.balls import product_dual_norm as product_dual_norm
    from orthoref.steps.balls import product_lmo as product_lmo
    from orthoref.steps.balls import product_norm as product_norm
    from orthoref.steps.directions import component_normalized as component_normalized
    from orthoref.steps.directions import normalized as normalized
    from orthoref.steps.directions import orthogonalized as orthogonalized
    from orthoref.steps.door import AdamState as AdamState
    from orthoref.steps.door import MomentumState as MomentumState
    from orthoref.steps.door import Move as Move
    from orthoref.steps.door import Step as Step
    from orthoref.steps.door import adam_state as adam_state
    from orthoref.steps.door import momentum_state as momentum_state
    from orthoref.steps.first_order import adam as adam
    from orthoref.steps.first_order import component_normalized_sgdm as component_normalized_sgdm
    from orthoref.steps.first_order import lars as lars
    from orthoref.steps.first_order import normalized_sgdm as normalized_sgdm
    from orthoref.steps.first_order import orthogonal_adam as orthogonal_adam
    from orthoref.steps.first_order import orthogonal_lars as orthogonal_lars
    from orthoref.steps.first_order import orthogonal_sgdm as orthogonal_sgdm
    from orthoref.steps.first_order import sgdm as sgdm
    from orthoref.steps.manifold_rules import cayley_sgd as cayley_sgd
    from orthoref.steps.manifold_rules import cayley_skew as cayley_skew
    from orthoref.steps.manifold_rules import cayley_sweeps_defect as cayley_sweeps_defect
    from orthoref.steps.manifold_rules import landing_safe_lr as landing_safe_lr
    from orthoref.steps.manifold_rules import landing_sgd as landing_sgd
    from orthoref.steps.manifold_rules import riemannian_sgd as riemannian_sgd
    from orthoref.steps.muon_rule import Averaged as Averaged
    from orthoref.steps.muon_rule import averaged as averaged
    from orthoref.steps.muon_rule import muon as muon
    from orthoref.steps.muon_rule import update_factor as update_factor
    from orthoref.steps.switches import PRESETS as PRESETS
    from orthoref.steps.switches import SWITCHES as SWITCHES
    from orthoref.steps.trust import descent_bound as descent_bound
    from orthoref.steps.trust import duality_gap as duality_gap
    from orthoref.steps.trust import trust_region as trust_region

_HOME = {
    "Averaged": "muon_rule",
    "averaged": "muon_rule",
    "update_factor": "muon_rule",
    "muon": "muon_rule",
    "PRESETS": "switches",
    "SWITCHES": "switches",
    "MomentumState": "door",
    "AdamState": "door",
    "Step": "door",
    "Move": "door",
    "momentum_state": "door",
    "adam_state": "door",
    "orthogonalized": "directions",
    "normalized": "directions",
    "component_normalized": "directions",
    "norm": "balls",
    "dual_norm": "balls",
    "lmo": "balls",
    "product_norm": "balls",
    "product_dual_norm": "balls",
    "product_lmo": "balls",
    "trust_region": "trust",
    "duality_gap": "trust",
    "descent_bound": "trust",
    "sgdm": "first_order",
    "adam": "first_order",
    "lars": "first_order",
    "orthogonal_sgdm": "first_order",
    "orthogonal_adam": "first_order",
    "orthogonal_lars": "first_order",
    "normalized_sgdm": "first_order",
    "component_normalized_sgdm": "first_order",
    "riemannian_sgd": "manifold_rules",
    "cayley_skew": "manifold_rules",
    "cayley_sgd": "manifold_rules",
    "cayley_sweeps_defect": "manifold_rules",
    "landing_sgd": "manifold_rules",
    "landing_safe_lr": "manifold_rules",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'orthoref.steps' has no attribute {name!r}")
    value = getattr(import_module(f"orthoref.steps.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
