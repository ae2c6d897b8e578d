"""Penalties that pull a weight matrix towards orthonormal columns or rows, and weights that are bounded or projected.

``penalties.NAME(w, ...)`` is one real number a matrix of the stack w of shape (..., m, n), ``NAME_gradient(w, ...)``
its gradient for Re tr(X^H Y), ``NAME_hvp(w, w_dot, ...)`` its Hessian applied to a direction. Without a factor in
front: a port's weight of the penalty, its 1/2 or its mean over entries are its own. Which Gram matrix is meant, W^H W
or W W^H, is an argument. Where a penalty is not differentiable, ``subgradient`` says what its gradient is; a Hessian
there is refused.

The last group are functions, with JVP and VJP, whose result has bounded singular values or orthonormal columns.

Names are resolved on first use, one line of a table each.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orthoref.penalties.angles import cosine as cosine
    from orthoref.penalties.angles import cosine_gradient as cosine_gradient
    from orthoref.penalties.angles import cosine_hvp as cosine_hvp
    from orthoref.penalties.angles import scale_free as scale_free
    from orthoref.penalties.angles import scale_free_gradient as scale_free_gradient
    from orthoref.penalties.angles import scale_free_hvp as scale_free_hvp
    from orthoref.penalties.constraints import lowdin as lowdin
    from orthoref.penalties.constraints import lowdin_jvp as lowdin_jvp
    from orthoref.penalties.constraints import lowdin_vjp as lowdin_vjp
    from orthoref.penalties.constraints import orthogonal_weight_normalization as orthogonal_weight_normalization
    from orthoref.penalties.constraints import (
        orthogonal_weight_normalization_jvp as orthogonal_weight_normalization_jvp,
    )
    from orthoref.penalties.constraints import (
        orthogonal_weight_normalization_vjp as orthogonal_weight_normalization_vjp,
    )
    from orthoref.penalties.constraints import singular_value_bounding as singular_value_bounding
    from orthoref.penalties.constraints import singular_value_bounding_jvp as singular_value_bounding_jvp
    from orthoref.penalties.constraints import singular_value_bounding_vjp as singular_value_bounding_vjp
    from orthoref.penalties.constraints import spectral_margin as spectral_margin
    from orthoref.penalties.constraints import spectral_margin_jvp as spectral_margin_jvp
    from orthoref.penalties.constraints import spectral_margin_vjp as spectral_margin_vjp
    from orthoref.penalties.entries import absolute_sum as absolute_sum
    from orthoref.penalties.entries import absolute_sum_gradient as absolute_sum_gradient
    from orthoref.penalties.entries import absolute_sum_hvp as absolute_sum_hvp
    from orthoref.penalties.entries import mutual_coherence as mutual_coherence
    from orthoref.penalties.entries import mutual_coherence_gradient as mutual_coherence_gradient
    from orthoref.penalties.entries import mutual_coherence_hvp as mutual_coherence_hvp
    from orthoref.penalties.entries import mutual_coherence_induced as mutual_coherence_induced
    from orthoref.penalties.entries import mutual_coherence_induced_gradient as mutual_coherence_induced_gradient
    from orthoref.penalties.entries import mutual_coherence_induced_hvp as mutual_coherence_induced_hvp
    from orthoref.penalties.norms import double_soft_orthogonality as double_soft_orthogonality
    from orthoref.penalties.norms import double_soft_orthogonality_gradient as double_soft_orthogonality_gradient
    from orthoref.penalties.norms import double_soft_orthogonality_hvp as double_soft_orthogonality_hvp
    from orthoref.penalties.norms import double_soft_orthogonality_squared as double_soft_orthogonality_squared
    from orthoref.penalties.norms import (
        double_soft_orthogonality_squared_gradient as double_soft_orthogonality_squared_gradient,
    )
    from orthoref.penalties.norms import double_soft_orthogonality_squared_hvp as double_soft_orthogonality_squared_hvp
    from orthoref.penalties.norms import gain_adjusted as gain_adjusted
    from orthoref.penalties.norms import gain_adjusted_gradient as gain_adjusted_gradient
    from orthoref.penalties.norms import gain_adjusted_hvp as gain_adjusted_hvp
    from orthoref.penalties.norms import gain_target as gain_target
    from orthoref.penalties.norms import gain_target_gradient as gain_target_gradient
    from orthoref.penalties.norms import gain_target_hvp as gain_target_hvp
    from orthoref.penalties.norms import off_diagonal as off_diagonal
    from orthoref.penalties.norms import off_diagonal_gradient as off_diagonal_gradient
    from orthoref.penalties.norms import off_diagonal_hvp as off_diagonal_hvp
    from orthoref.penalties.norms import soft_orthogonality as soft_orthogonality
    from orthoref.penalties.norms import soft_orthogonality_gradient as soft_orthogonality_gradient
    from orthoref.penalties.norms import soft_orthogonality_hvp as soft_orthogonality_hvp
    from orthoref.penalties.norms import soft_orthogonality_squared as soft_orthogonality_squared
    from orthoref.penalties.norms import soft_orthogonality_squared_gradient as soft_orthogonality_squared_gradient
    from orthoref.penalties.norms import soft_orthogonality_squared_hvp as soft_orthogonality_squared_hvp
    from orthoref.penalties.power import spectral_restricted_isometry_power as spectral_restricted_isometry_power
    from orthoref.penalties.power import (
        spectral_restricted_isometry_power_gradient as spectral_restricted_isometry_power_gradient,
    )
    from orthoref.penalties.power import (
        spectral_restricted_isometry_power_hvp as spectral_restricted_isometry_power_hvp,
    )
    from orthoref.penalties.spectrum import distance as distance
    from orthoref.penalties.spectrum import distance_gradient as distance_gradient
    from orthoref.penalties.spectrum import distance_hvp as distance_hvp
    from orthoref.penalties.spectrum import distance_squared as distance_squared
    from orthoref.penalties.spectrum import distance_squared_gradient as distance_squared_gradient
    from orthoref.penalties.spectrum import distance_squared_hvp as distance_squared_hvp
    from orthoref.penalties.spectrum import spectral_norm as spectral_norm
    from orthoref.penalties.spectrum import spectral_norm_gradient as spectral_norm_gradient
    from orthoref.penalties.spectrum import spectral_norm_hvp as spectral_norm_hvp
    from orthoref.penalties.spectrum import spectral_restricted_isometry as spectral_restricted_isometry
    from orthoref.penalties.spectrum import (
        spectral_restricted_isometry_gradient as spectral_restricted_isometry_gradient,
    )
    from orthoref.penalties.spectrum import spectral_restricted_isometry_hvp as spectral_restricted_isometry_hvp

_HOME = {
    "soft_orthogonality": "norms",
    "soft_orthogonality_gradient": "norms",
    "soft_orthogonality_hvp": "norms",
    "soft_orthogonality_squared": "norms",
    "soft_orthogonality_squared_gradient": "norms",
    "soft_orthogonality_squared_hvp": "norms",
    "double_soft_orthogonality": "norms",
    "double_soft_orthogonality_gradient": "norms",
    "double_soft_orthogonality_hvp": "norms",
    "double_soft_orthogonality_squared": "norms",
    "double_soft_orthogonality_squared_gradient": "norms",
    "double_soft_orthogonality_squared_hvp": "norms",
    "gain_target": "norms",
    "gain_target_gradient": "norms",
    "gain_target_hvp": "norms",
    "gain_adjusted": "norms",
    "gain_adjusted_gradient": "norms",
    "gain_adjusted_hvp": "norms",
    "off_diagonal": "norms",
    "off_diagonal_gradient": "norms",
    "off_diagonal_hvp": "norms",
    "mutual_coherence": "entries",
    "mutual_coherence_gradient": "entries",
    "mutual_coherence_hvp": "entries",
    "mutual_coherence_induced": "entries",
    "mutual_coherence_induced_gradient": "entries",
    "mutual_coherence_induced_hvp": "entries",
    "absolute_sum": "entries",
    "absolute_sum_gradient": "entries",
    "absolute_sum_hvp": "entries",
    "spectral_restricted_isometry": "spectrum",
    "spectral_restricted_isometry_gradient": "spectrum",
    "spectral_restricted_isometry_hvp": "spectrum",
    "spectral_norm": "spectrum",
    "spectral_norm_gradient": "spectrum",
    "spectral_norm_hvp": "spectrum",
    "distance": "spectrum",
    "distance_gradient": "spectrum",
    "distance_hvp": "spectrum",
    "distance_squared": "spectrum",
    "distance_squared_gradient": "spectrum",
    "distance_squared_hvp": "spectrum",
    "spectral_restricted_isometry_power": "power",
    "spectral_restricted_isometry_power_gradient": "power",
    "spectral_restricted_isometry_power_hvp": "power",
    "scale_free": "angles",
    "scale_free_gradient": "angles",
    "scale_free_hvp": "angles",
    "cosine": "angles",
    "cosine_gradient": "angles",
    "cosine_hvp": "angles",
    "spectral_margin": "constraints",
    "spectral_margin_jvp": "constraints",
    "spectral_margin_vjp": "constraints",
    "singular_value_bounding": "constraints",
    "singular_value_bounding_jvp": "constraints",
    "singular_value_bounding_vjp": "constraints",
    "orthogonal_weight_normalization": "constraints",
    "orthogonal_weight_normalization_jvp": "constraints",
    "orthogonal_weight_normalization_vjp": "constraints",
    "lowdin": "constraints",
    "lowdin_jvp": "constraints",
    "lowdin_vjp": "constraints",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'orthoref.penalties' has no attribute {name!r}")
    value = getattr(import_module(f"orthoref.penalties.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
