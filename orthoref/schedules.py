"""Schedules: the coefficients of Newton-Schulz and rational iterations, published, designed, certified.

``get`` and ``names`` give the published lists, ``minimax``, ``pade``, ``scaled_newton``, ``qdwh`` and ``zolotarev``
design new ones, ``certify`` proves what a schedule does to an interval of singular values, ``identify`` finds
out which one a function implements.
"""

from typing import Any

from orthoref._schedules.certificate import Certificate
from orthoref._schedules.design import minimax, pade, qdwh, scaled_newton, zolotarev
from orthoref._schedules.presets import get, named, names
from orthoref._schedules.row import Number, Row
from orthoref._schedules.schedule import Normalization, Schedule
from orthoref.oracle.newton_schulz.identify import Identification, identify

__all__ = [
    "Certificate",
    "Identification",
    "Normalization",
    "Row",
    "Schedule",
    "certify",
    "get",
    "identify",
    "minimax",
    "names",
    "pade",
    "qdwh",
    "scaled_newton",
    "zolotarev",
]


def certify(schedule: str | Schedule, lower: Number, upper: Number = 1, **options: Any) -> Certificate:
    """:meth:`Schedule.certify` of a schedule or of a preset by name.

    Examples
    --------
    >>> certify("muon", "0.01").sign_safe
    True
    """
    return named(schedule).certify(lower, upper, **options)
