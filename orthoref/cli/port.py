"""The function that is judged, as the command line names it, and the arrays that it takes."""

from __future__ import annotations

import ast
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np

from orthoref.errors import CannotRun
from orthoref.oracle.run import described

SHORT = ("bfloat16", "float16")  # dtypes whose cases come as float32 arrays


def load(name: str, keywords: Sequence[str] = ()) -> Callable[..., Any]:
    """MODULE:FUNCTION or FILE.py:FUNCTION, with further arguments bound."""
    home, colon, attribute = name.rpartition(":")
    if not colon or not attribute or not home:
        raise CannotRun(f"{name!r} is not of the form MODULE:FUNCTION or FILE.py:FUNCTION")
    sys.path.insert(0, "")
    try:
        found: Any = _file(Path(home)) if home.endswith(".py") else import_module(home)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # importing runs foreign code
        raise CannotRun(f"cannot load {name}: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise CannotRun(f"{name} is a {type(found).__name__}, not a function")
    return partial(found, **dict(map(_keyword, keywords))) if keywords else found


@dataclass(frozen=True)
class Elsewhere:
    """A function that is loaded in the process that this is sent to, by being unpickled there."""

    name: str
    keywords: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return load, (self.name, self.keywords)

    def load(self) -> Callable[..., Any]:
        """The function, here."""
        return load(self.name, self.keywords)

    def __call__(self, *arrays: Any) -> Any:
        """Its result, here."""
        return self.load()(*arrays)


def _file(path: Path) -> Any:
    """A file as a module, which finds what lies beside it, as a script does."""
    path = path.resolve()
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    if path.stem in sys.modules and Path(getattr(sys.modules[path.stem], "__file__", None) or "").resolve() != path:
        raise ImportError(f"a module {path.stem} is in use already: the file needs another name")
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    sys.path.insert(0, str(path.parent))
    module = sys.modules[path.stem] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _keyword(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise CannotRun(f"--keyword {text!r} is not of the form NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


def kind_of(options: Namespace) -> str:
    """Which arrays: --array, or what differentiates them, or the name of the module."""
    if options.array != "auto":
        return options.array
    mode = getattr(options, "derivative", None) or "auto"
    return options.port.partition(".")[0].partition(":")[0] if mode == "auto" else mode.partition(" ")[0]


@dataclass(frozen=True)
class Convert:
    """Makes a library's array of a NumPy array, in a 16-bit dtype and on a device if they are named."""

    kind: str
    dtype: str | None = None
    device: str | None = None

    def __call__(self, a: np.ndarray) -> Any:
        """The array."""
        return getattr(self, f"_{self.kind}")(a)

    def _torch(self, a: np.ndarray) -> Any:
        torch = _library("torch")
        x = torch.from_numpy(a)  # layouts too: a copy would be in C order
        return x.to(self.device, None if self.dtype is None else getattr(torch, self.dtype))

    def _jax(self, a: np.ndarray) -> Any:
        jax = _library("jax")
        jax.config.update("jax_enable_x64", True)
        x = jax.numpy.asarray(a, dtype=self.dtype)
        if self.device is None:
            return x
        platform, _, number = self.device.partition(":")
        return jax.device_put(x, jax.devices(platform)[int(number or 0)])

    def _cupy(self, a: np.ndarray) -> Any:
        cupy = _library("cupy")
        with cupy.cuda.Device(int((self.device or "").partition(":")[2] or 0)):
            return cupy.asarray(a, dtype=self.dtype)


def converter(options: Namespace) -> Convert | None:
    """What makes the port's arrays; nothing for those of NumPy."""
    kind, dtypes = kind_of(options), options.dtype or []
    short = [dtype for dtype in dtypes if dtype in SHORT]
    if kind not in ("torch", "jax", "cupy"):
        if short:
            raise CannotRun(f"--dtype {short[0]} needs --array torch or jax: NumPy has no {short[0]} that ports take")
        if options.device is not None:
            raise CannotRun(f"--device {options.device} needs --array torch, jax or cupy")
        return None
    if short and len(set(dtypes)) > 1:
        raise CannotRun(f"--dtype {short[0]} goes alone: judge the other dtypes in a run of their own")
    _library(kind)
    convert = Convert(kind, short[0] if short else None, options.device)
    if options.device is not None:
        try:
            convert(np.ones((1, 1), "float32"))
        except Exception as error:  # of a library's own
            raise CannotRun(f"--device {options.device}: {described(error)}") from None
    return convert


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        extra = ": pip install 'orthoref[cuda12]' or 'orthoref[cuda13]'" if name == "cupy" else f": {error}"
        raise CannotRun(f"--array {name} needs {name}{extra}") from error
