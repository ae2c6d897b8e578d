"""Files of one array, as others wrote them: nothing is believed, executed or allocated before it is checked."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

HEADER = 10_000  # bytes, of the text that describes the array
HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
NUMBERS = ("float32", "float64", "complex64", "complex128")


class Unreadable(ValueError):
    """Why a file is not the array that is expected, as what follows its name in a sentence."""


def load(path: Path, shape: tuple[int, ...], sha256: str = "") -> np.ndarray:
    """The array of this shape in a file, in the byte order of the machine.

    Takes versions 1.0 and 2.0 of the format, C and Fortran order, either byte order, the dtypes in ``NUMBERS``.
    :class:`Unreadable` for anything else: no file, a link, objects, another shape, more or fewer bytes than the shape
    takes, another digest.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:
        raise Unreadable("is missing") from None
    if not stat.S_ISREG(mode):  # a pipe would wait for ever
        raise Unreadable("is a link" if stat.S_ISLNK(mode) else "is no file")
    try:
        with path.open("rb") as file:
            dtype, order = _header(file, shape)
            begin, end = file.tell(), os.fstat(file.fileno()).st_size
            size = prod(shape) * dtype.itemsize
            if end - begin != size:
                raise Unreadable(f"has {end - begin} bytes of data, not {size}")
            file.seek(0)
            data = file.read(end)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from None
    if len(data) != end:
        raise Unreadable("changes while it is read")
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise Unreadable("has another digest")
    x = np.frombuffer(data, dtype, offset=begin, count=prod(shape)) if size else np.empty(0, dtype)
    return x.reshape(shape, order=order).astype(dtype.newbyteorder("="))


def _header(file: BinaryIO, shape: tuple[int, ...]) -> tuple[np.dtype, Any]:
    try:
        found, fortran, dtype = HEADERS[np.lib.format.read_magic(file)](file, max_header_size=HEADER)
    except KeyError:
        raise Unreadable("is not of version 1.0 or 2.0 of the .npy format") from None
    except Exception as error:  # the parsers of Python and NumPy, of any text
        said = "".join(c if c.isprintable() else "?" for c in str(error)[:100])
        raise Unreadable(f"is no .npy file: {said}") from None
    if dtype.newbyteorder("=").name not in NUMBERS:
        raise Unreadable(f"holds {str(dtype)[:40]}, not {', '.join(NUMBERS)}")
    if found != shape:
        raise Unreadable(f"has shape {str(found)[:100]}, not {shape}")
    return dtype, "F" if fortran else "C"


def save(path: Path, x: np.ndarray) -> str:
    """Write a new file in version 1.0, C order, little endian; its digest."""
    buffer = io.BytesIO()
    array = np.ascontiguousarray(x, x.dtype.newbyteorder("<"))
    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
    with path.open("xb") as file:
        file.write(buffer.getbuffer())
    return hashlib.sha256(buffer.getbuffer()).hexdigest()
