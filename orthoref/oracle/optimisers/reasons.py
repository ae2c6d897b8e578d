"""Switches and known mistakes, each as another step from the same state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from orthoref.oracle.optimisers.ratios import (
    Next,
    State,
    decoupled,
    direction,
    factor,
    moved,
    norm,
    orthogonalized,
    stepped,
)
from orthoref.steps import SWITCHES

Options = Mapping[str, Any]


class Reason(NamedTuple):
    """What a port does instead: a name, a sentence and the step; ``formats`` where it is a format that differs."""

    key: str
    sentence: str
    step: Callable[[State, Options], Next]
    formats: Mapping[str, str] = MappingProxyType({})
    changes: Options = MappingProxyType({})
    iterated: bool = False  # the buffer holds what the iteration made, with its rounding


MORE: Mapping[str, tuple[Any, ...]] = {
    "steps": (1, 2, 3, 7, 9, 12),
    "momentum": (0.0, 0.5, 0.9, 0.99),
    "eps": (1e-6, 1e-5, 1e-3),
    "rms": (1.0,),
}


def switches(options: Options, kernels: bool) -> Iterator[Reason]:
    """One switch of the rule that is set otherwise, whatever the setting."""
    for name in dict.fromkeys([*SWITCHES, *MORE]):
        if name in ("precision", "storage", "split", "factor_on") or (name in ("view", "factor_of") and not kernels):
            continue
        for value in dict.fromkeys((*SWITCHES.get(name, ()), *MORE.get(name, ()))):
            if (name in options and options[name] == value) or not _possible(name, value, options):
                continue
            changes = {name: value}
            if name == "averaging" and value != "ema":
                changes["bias_correction"] = False
            if name == "rms":
                changes["factor"] = "match-rms"
            was = f", not {options[name]!r}" if name in options else ""
            yield Reason(f"{name}={value!r}", f"{name}={value!r}{was}", _with(changes), changes=changes)
    yield Reason("weight_decay=0.0", "there is no weight decay", _with({"weight_decay": 0.0}),
                 changes={"weight_decay": 0.0})  # fmt: skip

    for name in ("nesterov", "momentum", "weight_decay", "steps"):
        sentence = f"the argument for {name} is not read: it stays {options[name]!r}"
        yield Reason(f"{name} not read", sentence, _with({name: options[name]}), changes={name: options[name]})


def together(one: Reason, other: Reason) -> Reason:
    """Two switches at once."""
    changes = {**one.changes, **other.changes}
    return Reason(f"{one.key}, {other.key}", f"{one.sentence}; and {other.sentence}", _with(changes), changes=changes)


def _possible(name: str, value: Any, options: Options) -> bool:
    """Whether a switch can be set so beside the others."""
    if name == "bias_correction":
        return not value or options["averaging"] == "ema"
    if name == "aliased":
        return not value or options["schedule"] is not None
    if name == "schedule":
        return value is not None or not options["aliased"]
    return name not in ("steps", "eps", "eps_rule", "normalize") or options["schedule"] is not None


def formats(options: Options, stored: str, computed: str) -> Iterator[Reason]:
    """Shorter formats, of the iteration and of the buffer."""
    for short in ("bfloat16", "float16"):
        if computed == "float32":
            sentence = f"precision={short!r}: the iteration is in {short}, not {computed}"
            yield Reason(f"precision={short!r}", sentence, stepped, {"computed": short})
        if stored == "float32":
            sentence = f"storage={short!r}: the momentum buffer is kept in {short}, not {stored}"
            yield Reason(f"storage={short!r}", sentence, stepped, {"momentum": short})


def _with(changes: Options) -> Callable[[State, Options], Next]:
    """The step with other options."""
    return lambda state, options: stepped(state, {**options, **changes})


def mistakes() -> Iterator[Reason]:
    """What no switch describes."""
    for function in _MISTAKES:
        assert function.__doc__ is not None
        key = function.__name__.removeprefix("_").replace("_", "-")
        yield Reason(key, function.__doc__.rstrip("."), function, iterated="orthogonalized" in key)


def _ema(options: Options) -> float:
    mu = float(options["momentum"])
    return 1 - mu if options["averaging"] == "ema" else 1.0


def _mixed(m: np.ndarray, g: np.ndarray, options: Options) -> np.ndarray:
    return options["momentum"] * m + _ema(options) * g


def _after(state: State, m: np.ndarray, d: np.ndarray, options: Options) -> Next:
    return Next(m, moved(state, orthogonalized(d, options), options))


def _nesterov_twice(state: State, options: Options) -> Next:
    """Nesterov's step is made twice."""
    m, d = direction(state, options)
    return _after(state, m, _mixed(d, state.gradient, options) if options["nesterov"] else d, options)


def _nesterov_weight(state: State, options: Options) -> Next:
    """In Nesterov's step the gradient has the weight of the other rule of averaging."""
    m, d = direction(state, options)
    weight = 1.0 if options["averaging"] == "ema" else 1 - options["momentum"]
    return _after(state, m, options["momentum"] * m + weight * state.gradient if options["nesterov"] else d, options)


def _momentum_after_the_step(state: State, options: Options) -> Next:
    """The momentum is updated after the step: the parameter moves by the one before."""
    m, _ = direction(state, options)
    return _after(state, m, state.momentum, options)


def _gradient_only(state: State, options: Options) -> Next:
    """The momentum is kept but not used: the parameter moves by the gradient."""
    m, _ = direction(state, options)
    return _after(state, m, state.gradient, options)


def _buffer_is_the_direction(state: State, options: Options) -> Next:
    """Nesterov's direction is written into the momentum buffer."""
    _, d = direction(state, options)
    return _after(state, d, d, options)


def _buffer_is_the_gradient(state: State, options: Options) -> Next:
    """The momentum buffer is the gradient itself: it holds what the gradient of the step was."""
    _, d = direction(state, options)
    return _after(state, state.gradient, d, options)


def _buffer_is_orthogonalized(state: State, options: Options) -> Next:
    """The momentum buffer holds the orthogonalized direction."""
    _, d = direction(state, options)
    o = orthogonalized(d, options)
    return Next(o, moved(state, o, options))


def _buffer_never_changes(state: State, options: Options) -> Next:
    """The new momentum is not stored."""
    _, d = direction(state, options)
    return _after(state, state.momentum, d, options)


def _first_gradient(state: State, options: Options) -> Next:
    """The momentum starts as the first gradient, without its weight."""
    m, d = direction(state, options)
    if not state.momentum.any():
        m = state.gradient
        d = _mixed(m, state.gradient, options) if options["nesterov"] else m
    return _after(state, m, d, options)


def _weights_swapped(state: State, options: Options) -> Next:
    """The weights of the average are exchanged: (1 - mu) M + mu G."""
    mu = options["momentum"]
    m = (1 - mu) * state.momentum + mu * state.gradient
    return _after(state, m, (1 - mu) * m + mu * state.gradient if options["nesterov"] else m, options)


def _orthogonalized_first(state: State, options: Options) -> Next:
    """The gradient is orthogonalized before the momentum, and not after it."""
    changed = state._replace(gradient=orthogonalized(state.gradient, options))
    m, d = direction(changed, options)
    return Next(m, moved(state, d, options))


def _rate_in_the_buffer(state: State, options: Options) -> Next:
    """The learning rate is multiplied into the momentum buffer."""
    mu, g = options["momentum"], state.lr * state.gradient
    m = mu * state.momentum + _ema(options) * g
    return _after(state, m, _mixed(m, g, options) if options["nesterov"] else m, options)


def _gradient_of_the_step_before(state: State, options: Options) -> Next:
    """The gradient is the one of the step before."""
    return stepped(state._replace(gradient=state.gradient_before), options)


def _rate_of_the_first_step(state: State, options: Options) -> Next:
    """The learning rate is that of the first step: later changes are not read."""
    return stepped(state._replace(lr=state.first_lr), options)


def _shrunk(state: State, options: Options, shrink: float, times: float = 1.0) -> Next:
    m, d = direction(state, options)
    o = orthogonalized(d, options)
    return Next(m, (1 - shrink) * state.parameter - times * state.lr * factor(d.shape, options) * o)


def _decay_without_the_rate(state: State, options: Options) -> Next:
    """The weight decay is not multiplied by the learning rate."""
    return _shrunk(state, options, decoupled(options))


def _decay_with_the_factor(state: State, options: Options) -> Next:
    """The weight decay is multiplied by the factor of the update."""
    return _shrunk(state, options, state.lr * decoupled(options) * factor(state.gradient.shape, options))


def _decay_with_the_rate_squared(state: State, options: Options) -> Next:
    """The weight decay is multiplied by the learning rate twice."""
    return _shrunk(state, options, state.lr**2 * decoupled(options))


def _decay_with_the_wrong_sign(state: State, options: Options) -> Next:
    """The weight decay makes the parameter grow."""
    return _shrunk(state, options, -state.lr * decoupled(options))


def _decay_after_the_update(state: State, options: Options) -> Next:
    """The parameter shrinks after the update, which shrinks with it."""
    shrink = state.lr * decoupled(options)
    return _shrunk(state, options, shrink, 1 - shrink)


def _decay_twice(state: State, options: Options) -> Next:
    """The weight decay is applied twice."""
    return _shrunk(state, options, 1 - (1 - state.lr * decoupled(options)) ** 2)


def _decay_in_the_direction(state: State, options: Options) -> Next:
    """The weight decay is added to the direction after the momentum, and orthogonalized with it."""
    m, d = direction(state, options)
    return _after(state, m, d + decoupled(options) * state.parameter, {**options, "weight_decay": 0.0})


def _times(power: Callable[[float], float]) -> Callable[[State, Options], Next]:
    def step(state: State, options: Options) -> Next:
        m, d = direction(state, options)
        return Next(m, moved(state, orthogonalized(d, options) * power(factor(d.shape, options)), options))

    return step


def _uphill(state: State, options: Options) -> Next:
    """The update has the wrong sign."""
    m, d = direction(state, options)
    return Next(m, moved(state, -orthogonalized(d, options), options))


def _factor_squared(state: State, options: Options) -> Next:
    """The factor of the update is multiplied in twice, or has no root."""
    return _times(lambda c: c)(state, options)


def _factor_inverted(state: State, options: Options) -> Next:
    """The factor of the update is inverted."""
    return _times(lambda c: c**-2)(state, options)


def _factor_of_the_shorter_side(state: State, options: Options) -> Next:
    """The factor takes the shorter side instead of the longer one."""
    rows, columns = state.gradient.shape[0], state.gradient[0].size
    return _times(lambda c: (min(rows, columns) / max(rows, columns)) ** 0.5)(state, options)


def _not_turned_back(state: State, options: Options) -> Next:
    """A matrix that is transposed for the iteration is not transposed back: its entries are read in the other order."""
    m, d = direction(state, options)
    o = orthogonalized(d, options)
    x = o.reshape(o.shape[0], -1)
    turned = x.T.reshape(o.shape) if x.shape[0] > x.shape[1] else o
    return Next(m, moved(state, turned, options))


def _not_turned_back_if_wide(state: State, options: Options) -> Next:
    """A wide matrix is transposed once too often: its entries are read in the other order."""
    m, d = direction(state, options)
    o = orthogonalized(d, options)
    x = o.reshape(o.shape[0], -1)
    turned = x.T.reshape(o.shape) if x.shape[0] < x.shape[1] else o
    return Next(m, moved(state, turned, options))


def _eps_in_the_root(state: State, options: Options) -> Next:
    """The number eps is added under the root of the sum of squares."""
    m, d = direction(state, options)
    size, eps = norm(d), float(options["eps"])
    more = (size**2 + eps) ** 0.5 - size
    return _after(state, m, d, {**options, "eps": more, "eps_rule": "add"})


def _not_orthogonalized(state: State, options: Options) -> Next:
    """The direction is not orthogonalized."""
    m, d = direction(state, options)
    return Next(m, moved(state, d, options))


def _normalized_only(state: State, options: Options) -> Next:
    """The direction is divided by its norm but not orthogonalized."""
    return stepped(state, {**options, "steps": 0, "aliased": False})


_MISTAKES = (
    _nesterov_twice, _nesterov_weight, _momentum_after_the_step, _gradient_only, _buffer_is_the_direction,
    _buffer_is_the_gradient, _buffer_is_orthogonalized, _buffer_never_changes, _first_gradient, _weights_swapped,
    _orthogonalized_first, _rate_in_the_buffer, _gradient_of_the_step_before, _rate_of_the_first_step,
    _decay_without_the_rate, _decay_with_the_factor, _decay_with_the_rate_squared, _decay_with_the_wrong_sign,
    _decay_after_the_update, _decay_twice, _decay_in_the_direction, _uphill, _factor_squared, _factor_inverted,
    _factor_of_the_shorter_side, _not_turned_back, _not_turned_back_if_wide, _eps_in_the_root, _not_orthogonalized,
    _normalized_only,
)  # fmt: skip
