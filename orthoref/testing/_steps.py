"""The assertion about optimisers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orthoref.errors import PortFailure
from orthoref.oracle.optimisers import judge


def assert_step(
    port: Callable[..., Any],
    rule: str = "auto",
    *,
    lr: float = judge.RATE,
    arguments: Mapping[str, Any] | None = None,
    dtype: str = "float32",
    shapes: Sequence[tuple[int, ...]] | None = None,
    count: int = 3,
    settings: Sequence[str] | None = None,
    arrays: str = "auto",
    seed: int = 0,
    **switches: Any,
) -> None:
    """Assert that an optimiser makes the steps of Muon that it claims, state included.

    Parameters
    ----------
    port : callable
        A class or function that makes the optimiser: of torch, parameters first (``torch.optim.Muon``); of Keras; or,
        from a learning rate, an object with ``init(params)`` and ``update(gradients, state, params)``, which returns
        what is added to the parameter and the next state (``optax.contrib.muon``, or one of NumPy).
    rule : str
        Name of the preset of :data:`orthoref.steps.PRESETS` that it claims to be. "auto": by its package.
    lr : float
    arguments : mapping, optional
        Further arguments of the port. What they change of the rule has to be said by ``switches``.
    dtype : {"float32", "float64", "bfloat16", "float16"}
        Of parameters and gradients.
    shapes : sequence of tuples of int, optional
        Of the parameters, in one optimiser where the library has that; by default a tall, a wide and a square matrix,
        and a kernel of four axes where the rule flattens them. The first is shown twice.
    count : int
        Number of steps in each setting.
    settings : sequence of str, optional
        Which settings, by the names of the report; by default all that the port has the arguments for.
    arrays : {"auto", "numpy", "jax", "torch"}
        What an object with ``init`` and ``update`` takes; by default NumPy arrays, those of JAX for optax.
    seed : int
    **switches
        Options of :func:`orthoref.steps.muon` in which the port claims to differ from the preset.

    Raises
    ------
    PortFailure
        An AssertionError with the worst ratios of each setting, and the switch or mistake that explains them.
    CannotRun
        The port cannot be driven, or no rule is known of it.

    Notes
    -----
    A step is judged from the state that the port itself has reached, equations (MUON-UNIT) and (MUON-SEEN): errors do
    not accumulate, except those of a momentum that cannot be seen. Where the iteration is in a 16-bit format, whose
    rounding hides most switches in one step, all steps together are held against each known mistake, equation
    (MUON-TELL).
    """
    __tracebackhide__ = True
    report = judge.check(
        port, rule, switches=switches, arguments=arguments, lr=lr, dtype=dtype, shapes=shapes, count=count, seed=seed,
        arrays=arrays, settings=settings,
    )  # fmt: skip
    if not report.holds:
        raise PortFailure(f"orthoref.testing.assert_step: {report.text()}")
