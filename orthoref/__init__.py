"""Reference orthogonality: polar decomposition, Newton-Schulz, derivatives, and an oracle that judges ports of them.

Names are resolved on first use, so that ``import orthoref`` (and with it the pytest plugin) imports nothing
heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from orthoref._version import __version__ as __version__

if TYPE_CHECKING:
    from orthoref import oracle as oracle
    from orthoref import schedules as schedules
    from orthoref import testing as testing
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
    "OutsideDomain": "errors",
    "NotConverged": "errors",
    "NotCertified": "errors",
    "NotJudged": "errors",
    "PortFailure": "errors",
    "oracle": "",
    "schedules": "",
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
