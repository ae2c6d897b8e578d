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
    from orthoref.stiefel.coordinates import UnvectorCotangents as UnvectorCotangents
    from orthoref.stiefel.coordinates import VectorCotangents as VectorCotangents
    from orthoref.stiefel.coordinates import dimension as dimension
    from orthoref.stiefel.coordinates import unvector as unvector
    from orthoref.stiefel.coordinates import unvector_jvp as unvector_jvp
    from orthoref.stiefel.coordinates import unvector_vjp as unvector_vjp
    from orthoref.stiefel.coordinates import vector as vector
    from orthoref.stiefel.coordinates import vector_jvp as vector_jvp
    from orthoref.stiefel.coordinates import vector_vjp as vector_vjp
    from orthoref.stiefel.geodesic import distance as distance
    from orthoref.stiefel.geodesic import exp as exp
    from orthoref.stiefel.geodesic import exp_jvp as exp_jvp
    from orthoref.stiefel.geodesic import exp_vjp as exp_vjp
    from orthoref.stiefel.geodesic import log as log
    from orthoref.stiefel.geodesic import log_jvp as log_jvp
    from orthoref.stiefel.geodesic import log_vjp as log_vjp
    from orthoref.stiefel.inverse_retraction import inverse_retract as inverse_retract
    from orthoref.stiefel.inverse_retraction import inverse_retract_cayley as inverse_retract_cayley
    from orthoref.stiefel.inverse_retraction import inverse_retract_cayley_jvp as inverse_retract_cayley_jvp
    from orthoref.stiefel.inverse_retraction import inverse_retract_cayley_vjp as inverse_retract_cayley_vjp
    from orthoref.stiefel.inverse_retraction import inverse_retract_polar as inverse_retract_polar
    from orthoref.stiefel.inverse_retraction import inverse_retract_polar_jvp as inverse_retract_polar_jvp
    from orthoref.stiefel.inverse_retraction import inverse_retract_polar_vjp as inverse_retract_polar_vjp
    from orthoref.stiefel.inverse_retraction import inverse_retract_qr as inverse_retract_qr
    from orthoref.stiefel.inverse_retraction import inverse_retract_qr_jvp as inverse_retract_qr_jvp
    from orthoref.stiefel.inverse_retraction import inverse_retract_qr_vjp as inverse_retract_qr_vjp
    from orthoref.stiefel.landing_field import LandingCotangents as LandingCotangents
    from orthoref.stiefel.landing_field import landing as landing
    from orthoref.stiefel.landing_field import landing_jvp as landing_jvp
    from orthoref.stiefel.landing_field import landing_vjp as landing_vjp
    from orthoref.stiefel.metric import InnerCotangents as InnerCotangents
    from orthoref.stiefel.metric import NormCotangents as NormCotangents
    from orthoref.stiefel.metric import inner as inner
    from orthoref.stiefel.metric import inner_jvp as inner_jvp
    from orthoref.stiefel.metric import inner_vjp as inner_vjp
    from orthoref.stiefel.metric import norm as norm
    from orthoref.stiefel.metric import norm_jvp as norm_jvp
    from orthoref.stiefel.metric import norm_vjp as norm_vjp
    from orthoref.stiefel.parallel import TransportCotangents as TransportCotangents
    from orthoref.stiefel.parallel import transport_parallel as transport_parallel
    from orthoref.stiefel.parallel import transport_parallel_jvp as transport_parallel_jvp
    from orthoref.stiefel.parallel import transport_parallel_vjp as transport_parallel_vjp
    from orthoref.stiefel.retraction import retract as retract
    from orthoref.stiefel.retraction import retract_cayley as retract_cayley
    from orthoref.stiefel.retraction import retract_cayley_jvp as retract_cayley_jvp
    from orthoref.stiefel.retraction import retract_cayley_vjp as retract_cayley_vjp
    from orthoref.stiefel.retraction import retract_cholesky_qr as retract_cholesky_qr
    from orthoref.stiefel.retraction import retract_cholesky_qr_jvp as retract_cholesky_qr_jvp
    from orthoref.stiefel.retraction import retract_cholesky_qr_vjp as retract_cholesky_qr_vjp
    from orthoref.stiefel.retraction import retract_jvp as retract_jvp
    from orthoref.stiefel.retraction import retract_polar as retract_polar
    from orthoref.stiefel.retraction import retract_polar_jvp as retract_polar_jvp
    from orthoref.stiefel.retraction import retract_polar_vjp as retract_polar_vjp
    from orthoref.stiefel.retraction import retract_qr as retract_qr
    from orthoref.stiefel.retraction import retract_qr_jvp as retract_qr_jvp
    from orthoref.stiefel.retraction import retract_qr_vjp as retract_qr_vjp
    from orthoref.stiefel.retraction import retract_vjp as retract_vjp
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
    from orthoref.stiefel.rotation import PointsCotangents as PointsCotangents
    from orthoref.stiefel.rotation import RetractionCotangents as RetractionCotangents
    from orthoref.stiefel.sampling import component as component
    from orthoref.stiefel.sampling import random_point as random_point
    from orthoref.stiefel.sampling import random_tangent as random_tangent
    from orthoref.stiefel.tangent import ProjectCotangents as ProjectCotangents
    from orthoref.stiefel.tangent import normal as normal
    from orthoref.stiefel.tangent import normal_jvp as normal_jvp
    from orthoref.stiefel.tangent import normal_vjp as normal_vjp
    from orthoref.stiefel.tangent import project as project
    from orthoref.stiefel.tangent import project_jvp as project_jvp
    from orthoref.stiefel.tangent import project_vjp as project_vjp
    from orthoref.stiefel.transports import transport as transport
    from orthoref.stiefel.transports import transport_cayley as transport_cayley
    from orthoref.stiefel.transports import transport_cayley_jvp as transport_cayley_jvp
    from orthoref.stiefel.transports import transport_cayley_vjp as transport_cayley_vjp
    from orthoref.stiefel.transports import transport_isometric as transport_isometric
    from orthoref.stiefel.transports import transport_isometric_jvp as transport_isometric_jvp
    from orthoref.stiefel.transports import transport_isometric_vjp as transport_isometric_vjp
    from orthoref.stiefel.transports import transport_jvp as transport_jvp
    from orthoref.stiefel.transports import transport_polar as transport_polar
    from orthoref.stiefel.transports import transport_polar_jvp as transport_polar_jvp
    from orthoref.stiefel.transports import transport_polar_vjp as transport_polar_vjp
    from orthoref.stiefel.transports import transport_projection as transport_projection
    from orthoref.stiefel.transports import transport_projection_jvp as transport_projection_jvp
    from orthoref.stiefel.transports import transport_projection_vjp as transport_projection_vjp
    from orthoref.stiefel.transports import transport_qr as transport_qr
    from orthoref.stiefel.transports import transport_qr_jvp as transport_qr_jvp
    from orthoref.stiefel.transports import transport_qr_vjp as transport_qr_vjp
    from orthoref.stiefel.transports import transport_vjp as transport_vjp

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
    "dimension": "coordinates",
    "vector": "coordinates",
    "vector_jvp": "coordinates",
    "vector_vjp": "coordinates",
    "unvector": "coordinates",
    "unvector_jvp": "coordinates",
    "unvector_vjp": "coordinates",
    "VectorCotangents": "coordinates",
    "UnvectorCotangents": "coordinates",
    "random_point": "sampling",
    "random_tangent": "sampling",
    "component": "sampling",
    "transport": "transports",
    "transport_jvp": "transports",
    "transport_vjp": "transports",
    "transport_qr": "transports",
    "transport_qr_jvp": "transports",
    "transport_qr_vjp": "transports",
    "transport_polar": "transports",
    "transport_polar_jvp": "transports",
    "transport_polar_vjp": "transports",
    "transport_cayley": "transports",
    "transport_cayley_jvp": "transports",
    "transport_cayley_vjp": "transports",
    "transport_isometric": "transports",
    "transport_isometric_jvp": "transports",
    "transport_isometric_vjp": "transports",
    "TransportCotangents": "parallel",
    "transport_parallel": "parallel",
    "transport_parallel_jvp": "parallel",
    "transport_parallel_vjp": "parallel",
    "exp": "geodesic",
    "exp_jvp": "geodesic",
    "exp_vjp": "geodesic",
    "log": "geodesic",
    "distance": "geodesic",
    "PointsCotangents": "rotation",
    "inverse_retract_qr": "inverse_retraction",
    "inverse_retract_qr_jvp": "inverse_retraction",
    "inverse_retract_qr_vjp": "inverse_retraction",
    "inverse_retract_polar": "inverse_retraction",
    "inverse_retract_polar_jvp": "inverse_retraction",
    "inverse_retract_polar_vjp": "inverse_retraction",
    "inverse_retract_cayley": "inverse_retraction",
    "inverse_retract_cayley_jvp": "inverse_retraction",
    "inverse_retract_cayley_vjp": "inverse_retraction",
    "inverse_retract": "inverse_retraction",
    "retract_qr": "retraction",
    "retract_qr_jvp": "retraction",
    "retract_qr_vjp": "retraction",
    "retract_cholesky_qr": "retraction",
    "retract_cholesky_qr_jvp": "retraction",
    "retract_cholesky_qr_vjp": "retraction",
    "retract_polar": "retraction",
    "retract_polar_jvp": "retraction",
    "retract_polar_vjp": "retraction",
    "retract_cayley": "retraction",
    "retract_cayley_jvp": "retraction",
    "retract_cayley_vjp": "retraction",
    "retract": "retraction",
    "retract_jvp": "retraction",
    "retract_vjp": "retraction",
    "RetractionCotangents": "rotation",
    "log_jvp": "geodesic",
    "log_vjp": "geodesic",
    "transport_projection": "transports",
    "transport_projection_jvp": "transports",
    "transport_projection_vjp": "transports",
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
