"""Hypothesis strategies that draw matrices by spectrum (extra ``testing``).

Entries drawn one by one give matrices that are singular or very well conditioned; a drawn spectrum covers what lies
between, and shrinks to a case with a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from math import log10

import numpy as np

from orthoref.errors import PortFailure, require

require("hypothesis", "testing")

from hypothesis import strategies as st  # noqa: E402

from orthoref._polar.decomposition import polar  # noqa: E402
from orthoref.oracle.cases import SPECTRA, Case, drawn  # noqa: E402
from orthoref.oracle.precision import precision_of  # noqa: E402
from orthoref.testing import _assertions  # noqa: E402

# What is imported with the first call of each is paid here, not out of the 200 ms that hypothesis leaves an example.
with suppress(PortFailure):
    _assertions.assert_polar(np.eye(2), *polar(np.eye(2)))
    _assertions.assert_newton_schulz(np.eye(2), -np.eye(2), steps=1)  # reasons, too


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    dtypes: Sequence[str] = ("float32", "float64", "complex64", "complex128"),
    spectra: Sequence[str] = tuple(SPECTRA),
    max_order: int = 12,
    max_batch: int = 0,
) -> Case:
    """Strategy for :class:`orthoref.oracle.cases.Case`: shape, spectrum, condition number, scale, seed and dtype.

    Parameters
    ----------
    dtypes, spectra : sequences of str
        To choose from.
    max_order : int
        Largest dimension; the smallest is 1.
    max_batch : int
        Largest number of stacked matrices; 0 for single matrices only.

    Returns
    -------
    SearchStrategy[Case]
        ``case.matrix()`` is the input, ``case.recreate`` the line that recreates it.
    """
    dtype = draw(st.sampled_from(tuple(dtypes)))
    precision = precision_of(dtype)
    size = st.integers(1, max_order)
    batch = draw(st.lists(st.integers(1, max_batch), max_size=1)) if max_batch else []
    decades = draw(st.integers(0, int(-log10(precision.eps)) + 1))
    scales: tuple[float | str, ...] = (1.0, "near overflow", "near underflow")
    return drawn(
        (*batch, draw(size), draw(size)),
        draw(st.sampled_from(tuple(spectra))),
        10.0**decades,
        dtype,
        scale=draw(st.sampled_from(scales)),
        seed=draw(st.integers(0, 2**16)),
    )
