"""The Stiefel manifold of matrices with orthonormal columns: tangents, metrics, retractions, geodesics, transports.

Points X have the shape (..., n, p), n >= p, with X^H X = c^2 I (c = ``scale``, 1 by default), real or complex; tangents
at X the same shape with X^H V + V^H X = 0. p = n is the orthogonal or unitary group. Leading axes are a stack.

Derivatives (``_jvp``, ``_vjp``) are those of the stated formula as a function of matrices: directions and cotangents
are arbitrary matrices, not only tangents.

Names are resolved on first use, one line of a table each.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orthoref.stiefel.landing_field import LandingCotangents as LandingCotangents
    from orthoref.stiefel.landing_field import landing as landing
    from orthoref.stiefel.landing_field import landing_jvp as landing_jvp
    from orthoref.stiefel.landing_field import landing_vjp as landing_vjp
    from orthoref.stiefel.metric import InnerCotangents as InnerCotangents
    from orthoref.stiefel.metric import Metric as Metric
    from orthoref.stiefel.metric import NormCotangents as NormCotangents
    from orthoref.stiefel.metric import inner as inner
    from orthoref.stiefel.metric import inner_jvp as inner_jvp
    from orthoref.stiefel.metric import inner_vjp as inner_vjp
    from orthoref.stiefel.metric import norm as norm
    from orthoref.stiefel.metric import norm_jvp as norm_jvp
    from orthoref.stiefel.metric import norm_vjp as norm_vjp
    from orthoref.stiefel.riemannian import GradientCotangents as GradientCotangents
    from orthoref.stiefel.riemannian import HessianCotangents as HessianCotangents
    from orthoref.stiefel.riemannian import WeingartenCotangents as WeingartenCotangents
    from orthoref.stiefel.riemannian import gradient as gradient
    from orthoref.stiefel.riemannian import gradient_jvp as gradient_jvp
    from orthoref.stiefel.riemannian import gradient_vjp as gradient_vjp
    from orthoref.stiefel.riemannian import hessian as hessian
    from orthoref.stiefel.riemannian import hessian_jvp as hessian_jvp
    from orthoref.stiefel.riemannian import hessian_vjp as hessian_vjp
    from orthoref.stiefel.riemannian import weingarten as weingarten
    from orthoref.stiefel.riemannian import weingarten_jvp as weingarten_jvp
    from orthoref.stiefel.riemannian import weingarten_vjp as weingarten_vjp
    from orthoref.stiefel.tangent import ProjectCotangents as ProjectCotangents
    from orthoref.stiefel.tangent import normal as normal
    from orthoref.stiefel.tangent import normal_jvp as normal_jvp
    from orthoref.stiefel.tangent import normal_vjp as normal_vjp
    from orthoref.stiefel.tangent import project as project
    from orthoref.stiefel.tangent import project_jvp as project_jvp
    from orthoref.stiefel.tangent import project_vjp as project_vjp

_HOME = {
    "project": "tangent",
    "project_jvp": "tangent",
    "project_vjp": "tangent",
    "normal": "tangent",
    "normal_jvp": "tangent",
    "normal_vjp": "tangent",
    "ProjectCotangents": "tangent",
    "inner": "metric",
    "inner_jvp": "metric",
    "inner_vjp": "metric",
    "norm": "metric",
    "norm_jvp": "metric",
    "norm_vjp": "metric",
    "InnerCotangents": "metric",
    "NormCotangents": "metric",
    "gradient": "riemannian",
    "gradient_jvp": "riemannian",
    "gradient_vjp": "riemannian",
    "hessian": "riemannian",
    "hessian_jvp": "riemannian",
    "hessian_vjp": "riemannian",
    "weingarten": "riemannian",
    "weingarten_jvp": "riemannian",
    "weingarten_vjp": "riemannian",
    "landing": "landing_field",
    "landing_jvp": "landing_field",
    "landing_vjp": "landing_field",
    "LandingCotangents": "landing_field",
    "GradientCotangents": "riemannian",
    "HessianCotangents": "riemannian",
    "WeingartenCotangents": "riemannian",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'orthoref.stiefel' has no attribute {name!r}")
    value = getattr(import_module(f"orthoref.stiefel.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
