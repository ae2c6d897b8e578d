"""Callables of torch and JAX as ports of their derivatives. A framework is imported when a port of it is made.

The real inner product is <X, Y> = Re tr(X^H Y), as everywhere here. torch's gradients are for it. JAX transposes
instead: its VJP is the adjoint for the bilinear Re tr(X^T Y), for maps that are holomorphic and for those that are not.
With J the real-linear derivative and J* its adjoint,

    <y, J e> = Re tr(conj(y)^T J e) = Re tr(vjp(conj(y))^T e) = <conj(vjp(conj(y))), e>,   J* y = conj(vjp(conj(y))).

A VJP is the gradient of a -> <f(a), y>, and the second derivative of that number is symmetric: the derivative of the
VJP along a_dot is the VJP of the VJP with the cotangent a_dot, which is what double backward computes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from threading import Lock
from typing import Any, Literal, NamedTuple

from orthoref.arrays import Array, require_choice

Kind = Literal["vjp", "jvp", "vjp_jvp"]
Function = Callable[..., Any]
Builder = Callable[..., Function]  # of the port, its outputs, and how many inputs, constants and axes there are


class Mode(NamedTuple):
    """How a framework is asked: what makes a port's VJP, JVP and derivative of the VJP, None where it makes none."""

    vjp: Builder | None
    jvp: Builder | None
    vjp_jvp: Builder | None


def derivative(
    port: Function,
    framework: str,
    kind: Kind,
    *,
    outputs: Sequence[int] = (0,),
    inputs: int = 1,
    constants: int = 0,
    axes: int = 2,
) -> Function:
    """A port of a derivative, made of a port by automatic differentiation.

    Parameters
    ----------
    port : callable
        Takes one or several arrays, returns one or a sequence of several.
    framework : str
        A key of ``MODES``: "torch" is reverse mode, forward mode and double backward; "torch vmap" takes matrix by
        matrix by ``torch.func``. "jax" is ``jax.vjp``, ``jax.jvp`` and forward over reverse mode; "jax reverse" is
        reverse over reverse; "jax jit" and "jax vmap" are "jax" compiled, and matrix by matrix.
    kind : {"vjp", "jvp", "vjp_jvp"}
        What the result computes.
    outputs : sequence of int
        Which of what the port returns are differentiated, in order; the others count for nothing.
    inputs, constants : int
        How many arrays the port takes: those it is differentiated by, and after them others. "vjp_jvp" takes one.
    axes : int
        Of one member of the first input, for the modes that take member by member.

    Returns
    -------
    callable
        "vjp": ``f(a, *bars) -> a_bar`` with one cotangent for each output, cast to its dtype.
        "jvp": ``f(a, a_dot)``, one tangent or a tuple. Of several arrays: ``f(*inputs, *constants, *bars)``, a tuple,
        and ``f(*inputs, *constants, *dots)``.
        "vjp_jvp": ``f(a, a_dot, *bars)``, the derivative of the VJP along ``a_dot``.
        Arrays are the framework's. Cotangents reach the backward pass in the memory they are given in, no input is
        changed; whatever the port or its backward pass raises passes. What the port returns that does not depend on
        the input has the derivative zero, as in a sum with what does.

    Raises
    ------
    ImportError
        The framework is not installed.
    ValueError
        Unknown or missing mode.

    Notes
    -----
    The result raises TypeError if the port returns too few arrays or something else, and RuntimeError ("detached?") if
    torch finds that nothing depends on the input.
    """
    require_choice("framework", framework, tuple(MODES))
    require_choice("kind", kind, Mode._fields)
    build: Builder | None = getattr(MODES[framework], kind)
    if build is None:
        able = ", ".join(name for name, mode in MODES.items() if getattr(mode, kind) is not None)
        raise ValueError(f"framework={framework!r} has no {kind}: {able} have one")
    if kind == "vjp_jvp":
        if (count := inputs + constants) > 1:
            raise ValueError(f"no vjp_jvp of a function of {count} inputs")
        return build(port, outputs)
    return build(port, outputs, inputs, constants, axes)


def _chosen(port: Function, outputs: Sequence[int], array: type) -> Callable[..., tuple[Array, ...]]:
    """The port with a tuple of the outputs that are differentiated."""

    def f(*arrays: Array) -> tuple[Array, ...]:
        result = port(*arrays)
        results = result if isinstance(result, (tuple, list)) else (result,)
        if len(results) <= max(outputs):
            raise TypeError(f"the port returned {len(results)} of at least {max(outputs) + 1} arrays")
        for y in (chosen := tuple(results[i] for i in outputs)):
            if not isinstance(y, array):
                of = f"{type(y).__module__.partition('.')[0]}.{type(y).__name__}"
                raise TypeError(f"the port returned a {of}, which cannot be differentiated")
        return chosen

    return f


def _one_or_all(tangents: tuple[Array, ...]) -> Any:
    return tangents[0] if len(tangents) == 1 else tangents


def _matrix_by_matrix(f: Function, vmap: Callable[[Function], Function], axes: int = 2) -> Function:
    """``f`` of single matrices, mapped over the leading axes, which all arguments share."""

    def mapped(a: Array, *others: Array) -> Any:
        g = f
        for _ in range(a.ndim - axes):
            g = vmap(g)
        return g(a, *others)

    return mapped


# --- torch

RESULT = "the result does not depend on the input: detached?"
GRADIENT = "the gradient does not depend on the input: detached or once_differentiable?"


def _torch_vjp(port: Function, outputs: Sequence[int], inputs: int = 1, constants: int = 0, axes: int = 2) -> Function:
    torch = import_module("torch")
    f = _chosen(port, outputs, torch.Tensor)
    count = inputs + constants

    def vjp(*arrays: Array) -> Any:
        with torch.enable_grad():
            xs = [a.detach().requires_grad_() for a in arrays[:inputs]]
            return _one_or_all(_pulled_back(f(*xs, *arrays[inputs:count]), xs, arrays[count:], RESULT))

    return vjp


def _torch_double_backward(port: Function, outputs: Sequence[int]) -> Function:
    torch = import_module("torch")
    f = _chosen(port, outputs, torch.Tensor)

    def vjp_jvp(a: Array, a_dot: Array, *bars: Array) -> Array:
        with torch.enable_grad():
            x = a.detach().requires_grad_()
            a_bar = _pulled_back(f(x), [x], bars, RESULT, create_graph=True)
            return _pulled_back(a_bar, [x], (a_dot,), GRADIENT)[0]

    return vjp_jvp


def _pulled_back(
    ys: Sequence[Array], xs: Sequence[Array], bars: Sequence[Array], what: str, create_graph: bool = False
) -> tuple[Array, ...]:
    """Gradients; zero for one of several inputs that the result does not depend on."""
    torch = import_module("torch")
    attached = [(y, bar) for y, bar in zip(ys, bars, strict=True) if y.requires_grad]
    found: Sequence[Any] = [None] * len(xs)
    if attached:
        ys, bars = zip(*attached, strict=True)
        found = torch.autograd.grad(ys, xs, bars, create_graph=create_graph, allow_unused=True)
    if all(x_bar is None for x_bar in found) and any(y.numel() for y in ys):  # of nothing there is no derivative
        raise RuntimeError(what)
    return tuple(torch.zeros_like(x) if x_bar is None else x_bar for x, x_bar in zip(xs, found, strict=True))


_dual_level = Lock()  # torch has one for all threads


def _forward_mode() -> Any:
    """Forward mode of torch; what it loads at its first use warns of its own deprecation."""
    torch, forward = import_module("torch"), import_module("torch.autograd.forward_ad")
    with _dual_level, warnings.catch_warnings(), forward.dual_level():
        warnings.simplefilter("ignore")
        forward.make_dual(torch.zeros(1), torch.zeros(1))
    return forward


def _torch_forward(
    port: Function, outputs: Sequence[int], inputs: int = 1, constants: int = 0, axes: int = 2
) -> Function:
    torch, forward = import_module("torch"), _forward_mode()
    f = _chosen(port, outputs, torch.Tensor)
    count = inputs + constants

    def jvp(*arrays: Array) -> Any:
        with _dual_level, forward.dual_level():
            pairs = zip(arrays[:inputs], arrays[count:], strict=True)
            xs = [forward.make_dual(a.detach(), a_dot.detach()) for a, a_dot in pairs]
            ys = [forward.unpack_dual(y) for y in f(*xs, *arrays[inputs:count])]
        if all(y.tangent is None for y in ys) and any(y.primal.numel() for y in ys):
            raise RuntimeError(RESULT)
        return _one_or_all(tuple(torch.zeros_like(y.primal) if y.tangent is None else y.tangent for y in ys))

    return jvp


def _torch_mapped(kind: Kind) -> Builder:
    def build(port: Function, outputs: Sequence[int], inputs: int = 1, constants: int = 0, axes: int = 2) -> Function:
        torch = import_module("torch")
        f = _chosen(port, outputs, torch.Tensor)
        count = inputs + constants

        def vjp(*arrays: Array) -> Any:
            ys, pull_back = torch.func.vjp(f, *arrays[:count])
            bars = tuple(bar.to(y.dtype) for y, bar in zip(ys, arrays[count:], strict=True))
            return _one_or_all(pull_back(bars)[:inputs])

        def jvp(*arrays: Array) -> Any:
            dots = (*arrays[count:], *map(torch.zeros_like, arrays[inputs:count]))
            return _one_or_all(torch.func.jvp(f, arrays[:count], dots)[1])

        def vjp_jvp(a: Array, a_dot: Array, *bars: Array) -> Array:
            return torch.func.jvp(lambda x: vjp(x, *bars), (a,), (a_dot,))[1]

        _forward_mode()
        mapped = _matrix_by_matrix({"vjp": vjp, "jvp": jvp, "vjp_jvp": vjp_jvp}[kind], torch.func.vmap, axes)

        def alone(*arrays: Array) -> Any:
            with _dual_level:
                return mapped(*(x.detach() for x in arrays))

        return alone

    return build


# --- JAX


def _jax_vjp(port: Function, outputs: Sequence[int], inputs: int = 1, constants: int = 0, axes: int = 2) -> Function:
    return _adjoint(_chosen(port, outputs, import_module("jax").Array), inputs, constants)


def _adjoint(f: Callable[..., tuple[Array, ...]], inputs: int = 1, constants: int = 0) -> Function:
    """J* y = conj(vjp(conj(y)))."""
    jax = import_module("jax")
    count = inputs + constants

    def vjp(*arrays: Array) -> Any:
        ys, pull_back = jax.vjp(f, *arrays[:count])
        found = pull_back(tuple(bar.astype(y.dtype).conj() for y, bar in zip(ys, arrays[count:], strict=True)))
        return _one_or_all(tuple(x_bar.conj() for x_bar in found[:inputs]))

    return vjp


def _jax_jvp(port: Function, outputs: Sequence[int], inputs: int = 1, constants: int = 0, axes: int = 2) -> Function:
    jax = import_module("jax")
    f = _chosen(port, outputs, jax.Array)
    count = inputs + constants

    def jvp(*arrays: Array) -> Any:
        dots = (*arrays[count:], *map(jax.numpy.zeros_like, arrays[inputs:count]))
        return _one_or_all(jax.jvp(f, arrays[:count], dots)[1])

    return jvp


def _jax_forward_over_reverse(port: Function, outputs: Sequence[int]) -> Function:
    jax = import_module("jax")
    vjp = _jax_vjp(port, outputs)

    def vjp_jvp(a: Array, a_dot: Array, *bars: Array) -> Array:
        return jax.jvp(lambda x: vjp(x, *bars), (a,), (a_dot,))[1]

    return vjp_jvp


def _jax_reverse_over_reverse(port: Function, outputs: Sequence[int]) -> Function:
    vjp = _jax_vjp(port, outputs)

    def vjp_jvp(a: Array, a_dot: Array, *bars: Array) -> Array:
        return _adjoint(lambda x: (vjp(x, *bars),))(a, a_dot)

    return vjp_jvp


def _compiled(build: Builder) -> Builder:
    return lambda *arguments: import_module("jax").jit(build(*arguments))


def _mapped(build: Builder) -> Builder:
    def mapped(port: Function, outputs: Sequence[int], *arguments: int) -> Function:
        return _matrix_by_matrix(build(port, outputs, *arguments), import_module("jax").vmap, *arguments[2:])

    return mapped


_JAX = (_jax_vjp, _jax_jvp, _jax_forward_over_reverse)

MODES = {
    "torch": Mode(_torch_vjp, _torch_forward, _torch_double_backward),
    "torch vmap": Mode(_torch_mapped("vjp"), _torch_mapped("jvp"), _torch_mapped("vjp_jvp")),
    "jax": Mode(*_JAX),
    "jax reverse": Mode(None, None, _jax_reverse_over_reverse),
    "jax jit": Mode(*map(_compiled, _JAX)),
    "jax vmap": Mode(*map(_mapped, _JAX)),
}
