"""Schedules: the coefficients of Newton-Schulz and rational iterations, published, designed, certified.

``get`` and ``names`` give the published lists, ``minimax``, ``pade``, ``scaled_newton``, ``qdwh`` and ``zolotarev``
design new ones, ``certify`` proves what a schedule does to an interval of singular values, ``identify`` finds
out which one a function implements.
"""

from orthoref._schedules.certificate import Certificate, certify
from orthoref._schedules.design import minimax, pade, qdwh, scaled_newton, zolotarev
from orthoref._schedules.presets import get, names
from orthoref._schedules.schedule import Normalization, Row, Schedule
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
