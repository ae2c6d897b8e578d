"""Reference orthogonality: polar decomposition, Newton-Schulz, derivatives, and an oracle that judges ports of them.

Names are resolved on first use, so that ``import orthoref`` (and with it the pytest plugin) imports nothing
heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from orthoref._version import __version__ as __version__

if TYPE_CHECKING:
    from orthoref import isometry as isometry
    from orthoref import oracle as oracle
    from orthoref import penalties as penalties
    from orthoref import schedules as schedules
    from orthoref import steps as steps
    from orthoref import stiefel as stiefel
    from orthoref import testing as testing
    from orthoref._constructors.cayley import CayleyFactors as CayleyFactors
    from orthoref._constructors.cayley import cayley as cayley
    from orthoref._constructors.cayley import cayley_jvp as cayley_jvp
    from orthoref._constructors.cayley import cayley_log_jacobian as cayley_log_jacobian
    from orthoref._constructors.cayley import cayley_neumann as cayley_neumann
    from orthoref._constructors.cayley import cayley_neumann_defect as cayley_neumann_defect
    from orthoref._constructors.cayley import cayley_neumann_jvp as cayley_neumann_jvp
    from orthoref._constructors.cayley import cayley_neumann_vjp as cayley_neumann_vjp
    from orthoref._constructors.cayley import cayley_rectangular as cayley_rectangular
    from orthoref._constructors.cayley import cayley_rectangular_jvp as cayley_rectangular_jvp
    from orthoref._constructors.cayley import cayley_rectangular_vjp as cayley_rectangular_vjp
    from orthoref._constructors.cayley import cayley_vjp as cayley_vjp
    from orthoref._constructors.cayley import inverse_cayley as inverse_cayley
    from orthoref._constructors.cayley import inverse_cayley_jvp as inverse_cayley_jvp
    from orthoref._constructors.cayley import inverse_cayley_vjp as inverse_cayley_vjp
    from orthoref._constructors.exponential import skew_exp as skew_exp
    from orthoref._constructors.exponential import skew_exp_jvp as skew_exp_jvp
    from orthoref._constructors.exponential import skew_exp_log_jacobian as skew_exp_log_jacobian
    from orthoref._constructors.exponential import skew_exp_vjp as skew_exp_vjp
    from orthoref._constructors.exponential import skew_log as skew_log
    from orthoref._constructors.exponential import skew_log_jvp as skew_log_jvp
    from orthoref._constructors.exponential import skew_log_vjp as skew_log_vjp
    from orthoref._constructors.givens import GivensCotangent as GivensCotangent
    from orthoref._constructors.givens import GivensRotation as GivensRotation
    from orthoref._constructors.givens import givens_apply as givens_apply
    from orthoref._constructors.givens import givens_apply_jvp as givens_apply_jvp
    from orthoref._constructors.givens import givens_apply_vjp as givens_apply_vjp
    from orthoref._constructors.givens import givens_log_jacobian as givens_log_jacobian
    from orthoref._constructors.givens import givens_matrix as givens_matrix
    from orthoref._constructors.givens import givens_matrix_jvp as givens_matrix_jvp
    from orthoref._constructors.givens import givens_matrix_vjp as givens_matrix_vjp
    from orthoref._constructors.givens import givens_pairs as givens_pairs
    from orthoref._constructors.givens import givens_product as givens_product
    from orthoref._constructors.givens import givens_product_jvp as givens_product_jvp
    from orthoref._constructors.givens import givens_product_vjp as givens_product_vjp
    from orthoref._constructors.givens import givens_rotation as givens_rotation
    from orthoref._constructors.givens import givens_rotation_jvp as givens_rotation_jvp
    from orthoref._constructors.givens import givens_rotation_vjp as givens_rotation_vjp
    from orthoref._constructors.givens_factor import GivensFactors as GivensFactors
    from orthoref._constructors.givens_factor import givens_factor as givens_factor
    from orthoref._constructors.givens_factor import givens_factor_jvp as givens_factor_jvp
    from orthoref._constructors.givens_factor import givens_factor_vjp as givens_factor_vjp
    from orthoref._constructors.haar import delta_orthogonal as delta_orthogonal
    from orthoref._constructors.haar import haar as haar
    from orthoref._constructors.haar import orthogonal_init as orthogonal_init
    from orthoref._constructors.householder import HouseholderCotangent as HouseholderCotangent
    from orthoref._constructors.householder import householder_apply as householder_apply
    from orthoref._constructors.householder import householder_apply_jvp as householder_apply_jvp
    from orthoref._constructors.householder import householder_apply_vjp as householder_apply_vjp
    from orthoref._constructors.householder import householder_log_jacobian as householder_log_jacobian
    from orthoref._constructors.householder import householder_matrix as householder_matrix
    from orthoref._constructors.householder import householder_matrix_jvp as householder_matrix_jvp
    from orthoref._constructors.householder import householder_matrix_vjp as householder_matrix_vjp
    from orthoref._constructors.householder import householder_product as householder_product
    from orthoref._constructors.householder import householder_product_jvp as householder_product_jvp
    from orthoref._constructors.householder import householder_product_vjp as householder_product_vjp
    from orthoref._constructors.householder_factor import HouseholderFactors as HouseholderFactors
    from orthoref._constructors.householder_factor import householder_factor as householder_factor
    from orthoref._constructors.householder_factor import householder_factor_jvp as householder_factor_jvp
    from orthoref._constructors.householder_factor import householder_factor_vjp as householder_factor_vjp
    from orthoref._constructors.skew import degrees_of_freedom as degrees_of_freedom
    from orthoref._constructors.skew import skew_from_vector as skew_from_vector
    from orthoref._constructors.skew import skew_from_vector_jvp as skew_from_vector_jvp
    from orthoref._constructors.skew import skew_from_vector_vjp as skew_from_vector_vjp
    from orthoref._constructors.skew import vector_from_skew as vector_from_skew
    from orthoref._constructors.skew import vector_from_skew_jvp as vector_from_skew_jvp
    from orthoref._constructors.skew import vector_from_skew_vjp as vector_from_skew_vjp
    from orthoref._newton_schulz.iteration import newton_schulz as newton_schulz
    from orthoref._newton_schulz.iteration import newton_schulz_jvp as newton_schulz_jvp
    from orthoref._newton_schulz.iteration import newton_schulz_vjp as newton_schulz_vjp
    from orthoref._newton_schulz.iteration import newton_schulz_vjp_jvp as newton_schulz_vjp_jvp
    from orthoref._polar.decomposition import PolarResult as PolarResult
    from orthoref._polar.decomposition import polar as polar
    from orthoref._polar.derivatives import PolarTangent as PolarTangent
    from orthoref._polar.derivatives import polar_condition as polar_condition
    from orthoref._polar.derivatives import polar_jvp as polar_jvp
    from orthoref._polar.derivatives import polar_vjp as polar_vjp
    from orthoref._polar.derivatives import polar_vjp_jvp as polar_vjp_jvp
    from orthoref.errors import NotCertified as NotCertified
    from orthoref.errors import NotConverged as NotConverged
    from orthoref.errors import NotJudged as NotJudged
    from orthoref.errors import OutsideDomain as OutsideDomain
    from orthoref.errors import PortFailure as PortFailure
    from orthoref.oracle import certify as certify
    from orthoref.oracle import conformance as conformance
    from orthoref.oracle import exchange as exchange

_HOME = {
    "polar": "_polar.decomposition",
    "polar_jvp": "_polar.derivatives",
    "polar_vjp": "_polar.derivatives",
    "polar_vjp_jvp": "_polar.derivatives",
    "polar_condition": "_polar.derivatives",
    "newton_schulz": "_newton_schulz.iteration",
    "newton_schulz_jvp": "_newton_schulz.iteration",
    "newton_schulz_vjp": "_newton_schulz.iteration",
    "newton_schulz_vjp_jvp": "_newton_schulz.iteration",
    "PolarResult": "_polar.decomposition",
    "PolarTangent": "_polar.derivatives",
    "HouseholderCotangent": "_constructors.householder",
    "householder_matrix": "_constructors.householder",
    "householder_matrix_jvp": "_constructors.householder",
    "householder_matrix_vjp": "_constructors.householder",
    "householder_product": "_constructors.householder",
    "householder_product_jvp": "_constructors.householder",
    "householder_product_vjp": "_constructors.householder",
    "householder_apply": "_constructors.householder",
    "householder_apply_jvp": "_constructors.householder",
    "householder_apply_vjp": "_constructors.householder",
    "householder_log_jacobian": "_constructors.householder",
    "HouseholderFactors": "_constructors.householder_factor",
    "householder_factor": "_constructors.householder_factor",
    "householder_factor_jvp": "_constructors.householder_factor",
    "householder_factor_vjp": "_constructors.householder_factor",
    "GivensRotation": "_constructors.givens",
    "GivensCotangent": "_constructors.givens",
    "givens_rotation": "_constructors.givens",
    "givens_rotation_jvp": "_constructors.givens",
    "givens_rotation_vjp": "_constructors.givens",
    "givens_pairs": "_constructors.givens",
    "givens_matrix": "_constructors.givens",
    "givens_matrix_jvp": "_constructors.givens",
    "givens_matrix_vjp": "_constructors.givens",
    "givens_product": "_constructors.givens",
    "givens_product_jvp": "_constructors.givens",
    "givens_product_vjp": "_constructors.givens",
    "givens_apply": "_constructors.givens",
    "givens_apply_jvp": "_constructors.givens",
    "givens_apply_vjp": "_constructors.givens",
    "givens_log_jacobian": "_constructors.givens",
    "GivensFactors": "_constructors.givens_factor",
    "givens_factor": "_constructors.givens_factor",
    "givens_factor_jvp": "_constructors.givens_factor",
    "givens_factor_vjp": "_constructors.givens_factor",
    "CayleyFactors": "_constructors.cayley",
    "cayley": "_constructors.cayley",
    "cayley_jvp": "_constructors.cayley",
    "cayley_vjp": "_constructors.cayley",
    "inverse_cayley": "_constructors.cayley",
    "inverse_cayley_jvp": "_constructors.cayley",
    "inverse_cayley_vjp": "_constructors.cayley",
    "cayley_log_jacobian": "_constructors.cayley",
    "cayley_rectangular": "_constructors.cayley",
    "cayley_rectangular_jvp": "_constructors.cayley",
    "cayley_rectangular_vjp": "_constructors.cayley",
    "cayley_neumann": "_constructors.cayley",
    "cayley_neumann_jvp": "_constructors.cayley",
    "cayley_neumann_vjp": "_constructors.cayley",
    "cayley_neumann_defect": "_constructors.cayley",
    "skew_exp": "_constructors.exponential",
    "skew_exp_jvp": "_constructors.exponential",
    "skew_exp_vjp": "_constructors.exponential",
    "skew_log": "_constructors.exponential",
    "skew_log_jvp": "_constructors.exponential",
    "skew_log_vjp": "_constructors.exponential",
    "skew_exp_log_jacobian": "_constructors.exponential",
    "degrees_of_freedom": "_constructors.skew",
    "skew_from_vector": "_constructors.skew",
    "skew_from_vector_jvp": "_constructors.skew",
    "skew_from_vector_vjp": "_constructors.skew",
    "vector_from_skew": "_constructors.skew",
    "vector_from_skew_jvp": "_constructors.skew",
    "vector_from_skew_vjp": "_constructors.skew",
    "haar": "_constructors.haar",
    "orthogonal_init": "_constructors.haar",
    "delta_orthogonal": "_constructors.haar",
    "OutsideDomain": "errors",
    "NotConverged": "errors",
    "NotCertified": "errors",
    "NotJudged": "errors",
    "PortFailure": "errors",
    "oracle": "",
    "isometry": "",
    "penalties": "",
    "schedules": "",
    "steps": "",
    "stiefel": "",
    "testing": "",
    "certify": "oracle",
    "conformance": "oracle",
    "exchange": "oracle",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'orthoref' has no attribute {name!r}")
    home = _HOME[name]
    if home in ("", "oracle"):  # a module
        value = import_module(".".join(filter(None, ("orthoref", home, name))))
    else:
        value = getattr(import_module(f"orthoref.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
