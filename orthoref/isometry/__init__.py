"""Dynamical isometry: Jacobians of networks, mean field theory of their singular values, diagnostics of a training run.

Jacobians and diagnostics are functions of arrays, as everywhere. Mean field theory, in the limit of infinite width, is
about numbers: floats in, floats out, with an estimate of the error. sigma_w is the standard deviation of the weights
times the root of the width (sigma_w^2/n is the variance of an entry), never its square.

Names are resolved on first use, one line of a table each.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orthoref.isometry.diagnostics import Band as Band
    from orthoref.isometry.diagnostics import expected_absolute_cosine as expected_absolute_cosine
    from orthoref.isometry.diagnostics import mean_absolute_cosine as mean_absolute_cosine
    from orthoref.isometry.diagnostics import singular_value_band as singular_value_band
    from orthoref.isometry.edges import largest_squared_singular_value as largest_squared_singular_value
    from orthoref.isometry.edges import (
        largest_squared_singular_value_asymptote as largest_squared_singular_value_asymptote,
    )
    from orthoref.isometry.edges import squared_singular_value_variance as squared_singular_value_variance
    from orthoref.isometry.jacobians import JacobianCotangents as JacobianCotangents
    from orthoref.isometry.jacobians import Spectrum as Spectrum
    from orthoref.isometry.jacobians import input_output_jacobian as input_output_jacobian
    from orthoref.isometry.jacobians import input_output_jacobian_jvp as input_output_jacobian_jvp
    from orthoref.isometry.jacobians import input_output_jacobian_vjp as input_output_jacobian_vjp
    from orthoref.isometry.jacobians import recurrent_jacobian as recurrent_jacobian
    from orthoref.isometry.jacobians import spectrum as spectrum
    from orthoref.isometry.learning import linear_learning_time as linear_learning_time
    from orthoref.isometry.mean_field import CriticalPoint as CriticalPoint
    from orthoref.isometry.mean_field import Estimate as Estimate
    from orthoref.isometry.mean_field import chi as chi
    from orthoref.isometry.mean_field import critical_point as critical_point
    from orthoref.isometry.mean_field import critical_sigma_w as critical_sigma_w
    from orthoref.isometry.mean_field import fixed_point as fixed_point
    from orthoref.isometry.mean_field import second_moment as second_moment
    from orthoref.isometry.mean_field import slope_moment as slope_moment
    from orthoref.isometry.mean_field import variance_map as variance_map

_HOME = {
    "JacobianCotangents": "jacobians",
    "Spectrum": "jacobians",
    "input_output_jacobian": "jacobians",
    "input_output_jacobian_jvp": "jacobians",
    "input_output_jacobian_vjp": "jacobians",
    "recurrent_jacobian": "jacobians",
    "spectrum": "jacobians",
    "Estimate": "mean_field",
    "CriticalPoint": "mean_field",
    "second_moment": "mean_field",
    "slope_moment": "mean_field",
    "variance_map": "mean_field",
    "fixed_point": "mean_field",
    "chi": "mean_field",
    "critical_point": "mean_field",
    "critical_sigma_w": "mean_field",
    "squared_singular_value_variance": "edges",
    "largest_squared_singular_value": "edges",
    "largest_squared_singular_value_asymptote": "edges",
    "linear_learning_time": "learning",
    "Band": "diagnostics",
    "singular_value_band": "diagnostics",
    "mean_absolute_cosine": "diagnostics",
    "expected_absolute_cosine": "diagnostics",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'orthoref.isometry' has no attribute {name!r}")
    value = getattr(import_module(f"orthoref.isometry.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
