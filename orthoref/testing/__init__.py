"""The face towards other projects: assertions, hypothesis strategies in ``strategies``, benchmarks in ``asv``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orthoref.testing import asv as asv
    from orthoref.testing import strategies as strategies
    from orthoref.testing._assertions import assert_jvp as assert_jvp
    from orthoref.testing._assertions import assert_newton_schulz as assert_newton_schulz
    from orthoref.testing._assertions import assert_orthonormal as assert_orthonormal
    from orthoref.testing._assertions import assert_polar as assert_polar
    from orthoref.testing._assertions import assert_vjp as assert_vjp
    from orthoref.testing._constructors import assert_orthogonal_constructor as assert_orthogonal_constructor
    from orthoref.testing._geometry import assert_gradient as assert_gradient
    from orthoref.testing._geometry import assert_haar as assert_haar
    from orthoref.testing._geometry import assert_hessian as assert_hessian
    from orthoref.testing._geometry import assert_inverse as assert_inverse
    from orthoref.testing._geometry import assert_projection as assert_projection
    from orthoref.testing._geometry import assert_retraction as assert_retraction
    from orthoref.testing._geometry import assert_tangent as assert_tangent
    from orthoref.testing._geometry import assert_transport as assert_transport
    from orthoref.testing._steps import assert_step as assert_step

JUDGING = ("assert_jvp", "assert_newton_schulz", "assert_orthonormal", "assert_polar", "assert_vjp")
GEOMETRY = (
    "assert_gradient",
    "assert_haar",
    "assert_hessian",
    "assert_inverse",
    "assert_projection",
    "assert_retraction",
    "assert_tangent",
    "assert_transport",
)
CONSTRUCTORS = ("assert_orthogonal_constructor",)
STEPS = ("assert_step",)
MODULES = ("asv", "strategies")
_HOME = {
    **dict.fromkeys(JUDGING, "_assertions"),
    **dict.fromkeys(GEOMETRY, "_geometry"),
    **dict.fromkeys(CONSTRUCTORS, "_constructors"),
    **dict.fromkeys(STEPS, "_steps"),
}
__all__ = [*JUDGING, *GEOMETRY, *CONSTRUCTORS, *STEPS, *MODULES]


def __getattr__(name: str) -> Any:
    # the pytest plugin lives in this package and is imported in every pytest run: nothing heavy before first use
    if name in MODULES:
        return import_module(f"orthoref.testing.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'orthoref.testing' has no attribute {name!r}")
    return getattr(import_module(f"orthoref.testing.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
