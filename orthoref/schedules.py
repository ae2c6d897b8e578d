"""Schedules: the coefficients of Newton-Schulz and rational iterations, published, designed, certified.

``get`` and ``names`` give the published lists, ``minimax``, ``pade``, ``scaled_newton``, ``qdwh`` and ``zolotarev``
design new ones, ``certify`` proves what a schedule does to an interval of singular values.
"""

from orthoref._schedules.certificate import Certificate, certify
from orthoref._schedules.design import minimax, pade, qdwh, scaled_newton, zolotarev
from orthoref._schedules.presets import get, names
from orthoref._schedules.schedule import Normalization, Row, Schedule

__all__ = [
    "Certificate",
    "Normalization",
    "Row",
    "Schedule",
    "certify",
    "get",
    "minimax",
    "names",
    "pade",
    "qdwh",
    "scaled_newton",
    "zolotarev",
]
