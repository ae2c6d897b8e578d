"""The oracle: measures, hard inputs, certificates, verdicts and reports. It never trusts an implementation."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__all__ = ["cases", "certify", "conformance", "exchange", "operations", "report", "verdict"]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> ModuleType:
    # a recreation line names orthoref.oracle.cases: it must work after ``import orthoref``
    if name not in __all__:
        raise AttributeError(f"module 'orthoref.oracle' has no attribute {name!r}")
    return import_module(f"orthoref.oracle.{name}")
