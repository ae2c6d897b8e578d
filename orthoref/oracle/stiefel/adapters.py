"""Conventions of other libraries as ports ``(x, *arrays)`` of stacks of tall matrices. No library is imported.

Each adapter takes what makes a library's object for a shape and returns a function that can be judged.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import prod
from typing import Any

import numpy as np

from orthoref.oracle.residual import ct

Port = Callable[..., Any]


def wide(port: Port) -> Port:
    """A port for matrices with orthonormal rows: the adjoint of everything."""
    return lambda *arrays: ct(np.asarray(port(*(ct(each) for each in arrays))))


def one_by_one(port: Port) -> Port:
    """A port of single matrices for stacks, empty ones included."""

    def called(x: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
        if not x.size:
            return np.zeros_like(x)
        flat = [each.reshape(-1, *x.shape[-2:]) for each in (x, *arrays)]
        return np.stack([port(*members) for members in zip(*flat, strict=True)]).reshape(x.shape)

    return called


def pymanopt(make: Callable[..., Any], method: str) -> Port:
    """A method of pymanopt's manifolds, stacks as products: ``make(n, p, k=k)``, arguments ``(point, *vectors)``."""
    made = cache(make)

    def called(x: np.ndarray, *arrays: np.ndarray) -> Any:
        *batch, n, p = x.shape
        if not x.size:
            return np.zeros_like(x)
        k = prod(batch)
        given = [each.reshape((k, n, p) if k > 1 else (n, p)) for each in (x, *arrays)]
        return np.asarray(getattr(made(n, p, k=k), method)(*given)).reshape(x.shape)

    return called


def algebra(port: Port, *, tangent: tuple[int, ...] = (), result: bool = False) -> Port:
    """A port whose tangents are skew-Hermitian, X^H V in place of V: arguments at these places, the result if told."""

    def called(x: np.ndarray, *arrays: np.ndarray) -> Any:
        turned = [ct(x) @ each if i in tangent else each for i, each in enumerate(arrays)]
        found = port(x, *turned)
        return x @ found if result else found

    return called


def point_last(make: Callable[..., Any], method: str) -> Port:
    """A method of geomstats' spaces and metrics: ``make(n, p)``, arguments ``(vector, point)``, ``(y, x)`` of a log."""
    made = cache(make)

    def called(x: np.ndarray, v: np.ndarray) -> Any:
        if not x.size:
            return np.zeros_like(x)
        return np.asarray(getattr(made(*x.shape[-2:]), method)(v, x))

    return called


def trivialization(set_base: Callable[[np.ndarray], tuple[Callable[[Any], Any], np.ndarray]]) -> Port:
    """A parametrisation Y = Q f(A) [I; 0] as a retraction at X = Q [I; 0].

    ``set_base(x)`` returns the forward pass and Q of one matrix; the pass is given the n x p matrix L with
    L - L^H = [A; B] = Q^H V, below the diagonal and half of the diagonal.
    """

    def one(x: np.ndarray, v: np.ndarray) -> np.ndarray:
        forward, q = set_base(x)
        turned = ct(q) @ v
        return np.asarray(forward(np.tril(turned, -1) + np.tril(turned - np.tril(turned, -1)) / 2))

    return one_by_one(one)
