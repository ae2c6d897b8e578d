"""Rigorous statements: balls that contain the exact result, bounds that hold for a given one.

Computed with Arb through python-flint (extra ``certify``). Each family has its own enclosure; here they are together.
The context precision of python-flint is global; it is restored on every way out, but the calls are not thread safe.
"""

from orthoref.oracle.newton_schulz.enclosure import NewtonSchulzCertificate, newton_schulz
from orthoref.oracle.orthonormal.enclosure import orthonormal
from orthoref.oracle.polar.enclosure import PolarCertificate, polar
from orthoref.oracle.stiefel import enclosure as stiefel

__all__ = ["NewtonSchulzCertificate", "PolarCertificate", "newton_schulz", "orthonormal", "polar", "stiefel"]
