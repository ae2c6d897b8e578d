"""Optimisers of other packages as they are: how one is made, shown gradients and read after every step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from orthoref.errors import CannotRun
from orthoref.oracle.lift import lift, name_of_dtype
from orthoref.oracle.run import described

KEYWORDS: Mapping[str, tuple[str, ...]] = {  # of a rule: what the arguments of ports are called
    "lr": ("lr", "learning_rate"),
    "momentum": ("momentum", "beta", "mu"),
    "nesterov": ("nesterov",),
    "weight_decay": ("weight_decay",),
    "steps": ("ns_steps", "num_steps", "steps", "backend_steps"),
    "eps": ("eps", "epsilon"),
}
BUFFERS = ("momentum", "mu", "buf", "exp_avg", "m", "trace", "velocity", "v")  # a buffer by its name, likeliest first


class Seen(NamedTuple):
    """What is read of one parameter after a step; ``start`` is its momentum just before, beside the new gradient."""

    parameter: np.ndarray
    start: np.ndarray | None
    momentum: np.ndarray | None
    dtype: str
    gradient_changed: bool


class Port:
    """An optimiser that somebody wrote: a class or function that makes one from parameters, or from a rate.

    ``library`` is how it is driven: "torch" (parameters first, ``step()``), "keras" (``build`` and ``apply``) or
    "functional" (``init(params)`` and ``update(gradients, state, params)``, as optax has it, of arrays of any kind).
    """

    def __init__(self, make: Callable[..., Any], arguments: Mapping[str, Any] | None = None, arrays: str = "auto"):
        given = dict(arguments or {})
        if isinstance(make, partial):  # of the command line
            bound: partial[Any] = make
            make, given = bound.func, {**bound.keywords, **given}
        if not callable(make):
            raise CannotRun(f"a {type(make).__name__} is no class or function that makes an optimiser")
        self.make, self.arguments = make, given
        try:
            self.parameters = dict(inspect.signature(make).parameters)
        except (TypeError, ValueError):
            self.parameters = {}
        module = (getattr(make, "__module__", None) or "").partition(".")[0]
        first = next(iter(self.parameters), "")
        if first in ("params", "parameters"):
            self.library = "torch"
        elif module == "keras":
            self.library = "keras"
        else:
            self.library = "functional"
        self.package = module
        self.arrays = ("jax" if module == "optax" else "numpy") if arrays == "auto" else arrays

    def keyword(self, switch: str) -> str | None:
        """What the port calls a switch; nothing if it has no such argument, or it was given already."""
        names = [name for name in KEYWORDS[switch] if name in self.parameters and name not in self.arguments]
        return names[0] if names else None

    def run(
        self, ws: Sequence[np.ndarray], gradients: Sequence[Sequence[np.ndarray]], rates: Sequence[float],
        settings: Mapping[str, Any], dtype: str,
    ) -> list[list[Seen]]:  # fmt: skip
        """What is seen of every parameter, by step."""
        arguments = dict(self.arguments)
        for switch, value in settings.items():
            name = self.keyword(switch)
            assert name is not None, switch
            arguments[name] = value
        drive = {"torch": _torch, "keras": _keras, "functional": _functional}[self.library]
        return list(drive(self, ws, gradients, rates, arguments, dtype))

    def rate(self, arguments: dict[str, Any], lr: Any) -> dict[str, Any]:
        """The arguments, with the learning rate."""
        name = self.keyword("lr")
        if name is None:
            raise CannotRun(f"the port takes no learning rate: none of its arguments is {' or '.join(KEYWORDS['lr'])}")
        return {name: lr} | arguments


def _torch(
    port: Port, ws: Sequence[np.ndarray], gradients: Sequence[Sequence[np.ndarray]], rates: Sequence[float],
    arguments: dict[str, Any], dtype: str,
) -> Iterator[list[Seen]]:  # fmt: skip
    """Parameters are tensors, changed in place; gradients are written into one tensor, as accumulation does."""
    torch = import_module("torch")
    ps = [torch.nn.Parameter(torch.tensor(w).to(getattr(torch, dtype))) for w in ws]
    arguments = port.rate(arguments, rates[0])
    try:
        opt = port.make(ps, **arguments)
    except Exception as error:
        try:  # ports that also hold another optimiser ask for a flag in the group
            opt = port.make([{"params": ps, "use_muon": True}], **arguments)
        except Exception:
            raise error from None
    if not all(hasattr(opt, name) for name in ("step", "param_groups", "state")):
        raise CannotRun(f"a {type(opt).__name__} is no torch optimiser: it has no step, param_groups and state")
    for p in ps:
        p.grad = torch.zeros_like(p)
    for gs, lr in zip(gradients, rates, strict=True):
        for p, g in zip(ps, gs, strict=True):
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            p.grad.copy_(torch.tensor(g))
        for group in opt.param_groups:
            group["lr"] = lr
        starts, taken = [_buffer(opt.state.get(p, {}), p) for p in ps], [p.grad.clone() for p in ps]
        opt.step()
        seen = []
        for p, start, before in zip(ps, starts, taken, strict=True):
            end = _buffer(opt.state.get(p, {}), p)
            changed = p.grad is None or not bool(torch.equal(p.grad, before))
            seen.append(Seen(_read(p), start, end, name_of_dtype(p), changed))
        yield seen


def _keras(
    port: Port, ws: Sequence[np.ndarray], gradients: Sequence[Sequence[np.ndarray]], rates: Sequence[float],
    arguments: dict[str, Any], dtype: str,
) -> Iterator[list[Seen]]:  # fmt: skip
    """Variables, changed in place; the state is a list of variables whose paths name what they belong to."""
    keras = import_module("keras")
    ps = [keras.Variable(w, dtype=dtype, name=f"p{index}") for index, w in enumerate(ws)]
    opt = port.make(**port.rate(arguments, rates[0]))
    opt.build(ps)

    def buffer(p: Any) -> np.ndarray | None:
        """The variable named after the parameter."""
        return _buffer({v.path: v for v in opt.variables if f"{p.name}_" in v.path}, p)

    for gs, lr in zip(gradients, rates, strict=True):
        opt.learning_rate = lr
        starts = [buffer(p) for p in ps]
        taken = [keras.ops.convert_to_tensor(g, dtype=dtype) for g in gs]
        opt.apply(taken, ps)
        yield [
            Seen(_read(p), start, buffer(p), dtype, not np.array_equal(_read(g), np.asarray(given, np.float64)))
            for p, start, g, given in zip(ps, starts, taken, gs, strict=True)
        ]


def _functional(
    port: Port, ws: Sequence[np.ndarray], gradients: Sequence[Sequence[np.ndarray]], rates: Sequence[float],
    arguments: dict[str, Any], dtype: str,
) -> Iterator[list[Seen]]:  # fmt: skip
    """One parameter at a time; ``update`` returns what is added to it, and the next state."""
    runs = [
        _functional_one(port, w, [gs[index] for gs in gradients], rates, arguments, dtype) for index, w in enumerate(ws)
    ]
    yield from (list(seen) for seen in zip(*runs, strict=True))


def _functional_one(
    port: Port, w: np.ndarray, gradients: Sequence[np.ndarray], rates: Sequence[float], arguments: dict[str, Any],
    dtype: str,
) -> Iterator[Seen]:  # fmt: skip
    array = _arrays(port.arrays, dtype)
    changing = len(set(rates)) > 1
    if changing and port.arrays == "jax":
        jnp = import_module("jax.numpy")
        table = jnp.asarray(rates, "float32")
        rule = port.make(**port.rate(arguments, lambda count: table[count]))  # a schedule
    elif changing:
        raise Unchanging
    else:
        rule = port.make(**port.rate(arguments, rates[0]))
    if not all(callable(getattr(rule, name, None)) for name in ("init", "update")):
        raise CannotRun(
            f"a {type(rule).__name__} cannot be driven: neither a torch optimiser (its maker takes params first), nor "
            "one of Keras, nor an object with init(params) and update(gradients, state, params)"
        )
    p = array(w)
    state = rule.init(p)
    update_of = import_module("jax").jit(rule.update) if port.arrays == "jax" else rule.update
    g = array(gradients[0])
    for given in gradients:
        if isinstance(g, np.ndarray):
            g[...] = given  # as accumulation does
        else:
            g = array(given)
        start = _buffer(state, p)
        before = _read(g).copy()
        update, state = update_of(g, state, p)
        p = array(p + update)
        yield Seen(_read(p), start, _buffer(state, p), name_of_dtype(p), not np.array_equal(_read(g), before))


class Unchanging(Exception):
    """A port whose rate cannot be changed between two steps."""


def _arrays(kind: str, dtype: str) -> Callable[[Any], Any]:
    """What makes an array of a library."""
    if kind == "jax":
        jnp = import_module("jax.numpy")
        return lambda x: jnp.asarray(x, dtype)
    if kind == "torch":
        torch = import_module("torch")
        return lambda x: torch.as_tensor(x).to(getattr(torch, dtype))
    if dtype == "bfloat16":
        return lambda x: np.asarray(x, import_module("ml_dtypes").bfloat16)
    return lambda x: np.array(x, dtype)


def _read(x: Any) -> np.ndarray:
    """A copy in float64."""
    if not hasattr(x, "__array__") and hasattr(x, "numpy"):
        x = x.numpy()
    x = getattr(x, "value", x)  # a variable
    return np.array(lift("x", x).value, np.float64)


def _buffer(state: Any, p: Any) -> np.ndarray | None:
    """The momentum in a state: the array of the shape of the parameter that is named so, or the only one."""
    shape = tuple(p.shape)
    found = [(path, x) for path, x in _leaves(state, "", 0) if tuple(x.shape) == shape]
    for name in BUFFERS:
        for path, x in found:
            last = path.rpartition("/")[2].lower()
            if last == name or (len(name) > 2 and name in last):
                return _read(x)
    return _read(found[0][1]) if len(found) == 1 else None


def _leaves(x: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Arrays in nested tuples, lists, mappings and plain objects, by path."""
    if depth > 12:
        return
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        yield path, x
    elif isinstance(x, Mapping):
        for key, value in x.items():
            yield from _leaves(value, f"{path}/{str(key).replace('/', '_')}", depth + 1)
    elif isinstance(x, tuple) and hasattr(x, "_fields"):
        for key, value in zip(x._fields, x, strict=True):
            yield from _leaves(value, f"{path}/{key}", depth + 1)
    elif isinstance(x, (tuple, list)):
        for index, value in enumerate(x):
            yield from _leaves(value, f"{path}/{index}", depth + 1)
    elif hasattr(x, "__dict__"):
        for key, value in vars(x).items():
            yield from _leaves(value, f"{path}/{key}", depth + 1)


def refused(error: BaseException) -> str:
    """A sentence about an exception of a port."""
    return described(error) if isinstance(error, Exception) else str(error)
