"""What orthoref raises. Every message names the argument, the offending number and the batch index."""

from importlib.util import find_spec


class OutsideDomain(ValueError):
    """The input lies where the operation is not defined (NaN, rank deficient for a derivative, ...)."""


class NotJudged(OutsideDomain):
    """An assertion has nothing to judge: rounding errors, or the input, leave no answer that could be told wrong."""


class NotConverged(ArithmeticError):
    """An iteration, ours or LAPACK's, ended without the promised residual."""


class NotCertified(ArithmeticError):
    """A rigorous statement could not be proved. It may be true all the same."""


class CannotRun(RuntimeError):
    """What was asked for cannot be done: a port that does not load, or that raises the same exception for any input."""


class PortFailure(AssertionError):
    """A result that was judged does not satisfy its definition."""


def require(module: str, extra: str) -> None:
    """ModuleNotFoundError that names the extra of orthoref which an optional module comes with."""
    if find_spec(module) is None:
        raise ModuleNotFoundError(f"this needs {module}: pip install 'orthoref[{extra}]'", name=module)
