"""Ports that are right but for one condition: how they are kept, the inputs that show it, and the shared arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from orthoref.oracle import cases

Input = Callable[[], np.ndarray]
Port = Callable[[np.ndarray], Any]


@dataclass(frozen=True)
class Wrong:
    """``fresh()`` makes the port; some result of the calls ``on`` is wrong, the last one of the calls ``but`` is right.

    Every pattern of ``factors`` has to occur in the sentence that says where the failures concentrate.
    """

    fresh: Callable[[], Port]
    factors: tuple[str, ...]
    on: tuple[Input, ...]
    but: tuple[Input, ...]
    threads: bool = False


def planting(table: dict[str, Wrong]) -> Callable[..., Callable[[Callable], Callable]]:
    """A decorator that puts ports into a table; with ``state=True`` it decorates what makes a port."""

    def wrong(*factors: str, on: Any, but: Any, state: bool = False, threads: bool = False) -> Callable:
        def keep(function: Callable) -> Callable:
            calls = [x if isinstance(x, tuple) else (x,) for x in (on, but)]
            name = function.__name__.replace("_", " ")
            assert name not in table
            table[name] = Wrong(function if state else lambda: function, factors, *calls, threads)
            return function

        return keep

    return wrong


# What a factor may be called in a sentence
STACK = r"stack|batch"
MEMBERS = r"member|stack|batch"
LAYOUT = r"memory|layout|order\b|strid|contiguous|view"
ORDER = r"orders?\b|(row|column) counts?\b"  # a port may ask for the number of rows
SCALE = r"scale|overflow|underflow|subnormal|tiny|small|large|huge"
COND = r"cond|spectrum|singular"
CALLS = r"call|again|repeat|sequence|state|determinis"
ALIAS = r"input"


def draw(*shape: int, dtype: str = "float64", **options: Any) -> Input:
    """An ordinary matrix or stack, condition number 30 if nothing else is said."""
    return lambda: cases.matrix(shape, **({"cond": 30, "seed": 1} | options), dtype=dtype)


def of(make: Input, change: Callable[[np.ndarray], np.ndarray]) -> Input:
    """``change`` of an input."""
    return lambda: change(make())


def scaled(make: Input, factor: float) -> Input:
    return of(make, lambda a: (a * factor).astype(a.dtype))


def members(make: Input, *factors: float) -> Input:
    """The members of a stack times these factors; 0 for a zero member."""
    return of(make, lambda a: (a * np.reshape(factors, (-1, 1, 1))).astype(a.dtype))


def fortran(make: Input) -> Input:
    return of(make, np.asfortranarray)


def transposed(make: Input) -> Input:
    """Every matrix the transposed view of one in C order."""
    return of(make, lambda a: np.ascontiguousarray(np.swapaxes(a, -2, -1)).swapaxes(-2, -1))


def strided(make: Input) -> Input:
    return of(make, lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.size else a)


def negative(make: Input, axis: int = -2) -> Input:
    return of(make, lambda a: np.flip(np.ascontiguousarray(np.flip(a, axis)), axis))


def broadcast(make: Input, times: int) -> Input:
    return of(make, lambda a: np.broadcast_to(a, (times, *a.shape)))


def read_only(make: Input) -> Input:
    def change(a: np.ndarray) -> np.ndarray:
        a.flags.writeable = False
        return a

    return of(make, change)


def unaligned(make: Input) -> Input:
    def change(a: np.ndarray) -> np.ndarray:
        memory = np.zeros(a.nbytes + 1, np.uint8)[1:]
        view = memory.view(a.dtype).reshape(a.shape)
        view[...] = a
        return view

    return of(make, change)


def big_endian(make: Input) -> Input:
    return of(make, lambda a: a.astype(a.dtype.newbyteorder(">")))


def ct(x: np.ndarray) -> np.ndarray:
    return np.conj(np.swapaxes(x, -2, -1))


def herm(x: np.ndarray) -> np.ndarray:
    return x / 2 + ct(x) / 2


def real_of(x: np.ndarray) -> np.ndarray:
    """The parts of complex entries side by side."""
    return x.view(x.real.dtype) if np.iscomplexobj(x) else x


def times_power_of_two(x: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    x = np.array(x, x.dtype.newbyteorder("="), order="C")
    real_of(x)[...] = np.ldexp(real_of(x), exponent)
    return x


def unit(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Native C-ordered copy with the largest part of every matrix in [1/2, 1), and the exponents of two taken out."""
    size = np.maximum(np.abs(a.real), np.abs(a.imag)).max(axis=(-2, -1), keepdims=True, initial=0)
    exponent = np.frexp(size)[1]
    return times_power_of_two(a, -exponent), exponent


def lower(dtype: np.dtype) -> np.dtype:
    """The single precision of a dtype."""
    return np.dtype(np.complex64 if dtype.kind == "c" else np.float32)


def is_stack(a: np.ndarray) -> bool:
    return a.ndim > 2


def shape_of(a: np.ndarray) -> tuple[int, int]:
    return a.shape[-2:]


def is_square(a: np.ndarray) -> bool:
    """Square of order at least 2: on 1 x 1 every structure is the same."""
    return a.shape[-1] == a.shape[-2] > 1


def is_triangular(a: np.ndarray, atol: float = 0) -> bool:
    """Upper or lower, to an absolute tolerance."""
    return is_square(a) and any(np.allclose(a, half(a), rtol=0, atol=atol) for half in (np.triu, np.tril))


def repeated_axes(a: np.ndarray) -> list[int]:
    return [i for i, (d, s) in enumerate(zip(a.shape, a.strides, strict=True)) if s == 0 and d > 1 and a.size]


def in_c_order_from(a: np.ndarray) -> np.ndarray:
    """What lies behind the pointer, read as a contiguous array: within the memory of views with positive strides."""
    return np.lib.stride_tricks.as_strided(a, strides=np.empty(a.shape, a.dtype).strides)


def faults(
    port: Port, calls: tuple[Input, ...], judge: Callable, *, threads: bool = False, last: bool = False
) -> Iterator[str]:
    """What is wrong with (the last of) these calls: results judged after all of them, inputs, aliases, equal bits."""
    given = [make() for make in calls]
    before = [np.array(a) for a in given]
    if threads:
        with ThreadPoolExecutor(len(given)) as pool:
            results = [*pool.map(port, given)]
    else:
        results = [port(a) for a in given]
    for i, (a, was, result) in enumerate(zip(given, before, results, strict=True)):
        if last and i < len(calls) - 1:
            continue
        outputs = result if isinstance(result, tuple) else (result,)
        if not np.array_equal(a, was):
            yield f"call {i}: the input was changed"
        if any(np.may_share_memory(x, a) and np.shares_memory(x, a) for x in outputs):
            yield f"call {i}: the result is a view of the input"
        try:
            judge(was, *outputs)
        except AssertionError as refused:
            yield f"call {i}: {refused}"
        first = next(j for j, make in enumerate(calls) if make is calls[i])
        again = results[first] if isinstance(result, tuple) else (results[first],)
        if any(x.tobytes() != y.tobytes() for x, y in zip(outputs, again, strict=True)):
            yield f"call {i}: other bits than call {first}"
