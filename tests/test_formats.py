"""The table against NumPy, ml_dtypes and, for tf32, against what the letters stand for."""

import numpy as np
import pytest

from orthoref.formats import FORMATS
from orthoref.oracle.precision import PRECISIONS


def agrees(found, info):
    assert (found.bits, found.top) == (info.nmant + 1, info.maxexp)
    assert found.eps == 2 * found.unit_roundoff == info.eps
    assert (found.tiny, found.smallest_normal) == (info.smallest_subnormal, info.smallest_normal)
    assert found.largest == info.max


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_the_formats_of_numpy(name):
    agrees(FORMATS[name], np.finfo(name))


def test_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="has the format")
    agrees(FORMATS["bfloat16"], ml_dtypes.finfo("bfloat16"))


def test_tf32_has_the_range_of_float32_and_the_significand_of_float16():
    tf32, single, half = (FORMATS[name] for name in ("tf32", "float32", "float16"))
    assert (tf32.top, tf32.smallest_normal) == (single.top, single.smallest_normal)
    assert (tf32.bits, tf32.eps) == (half.bits, half.eps)


@pytest.mark.parametrize("name", FORMATS)
def test_sums_are_accumulated_in_float32_or_better(name):
    assert FORMATS[name].accumulation == min(FORMATS["float32"].unit_roundoff, FORMATS[name].unit_roundoff)


@pytest.mark.parametrize("name", FORMATS)
def test_the_oracle_judges_in_the_same_formats(name):
    of = FORMATS[name]
    assert tuple(PRECISIONS[name]) == (name, of.eps, of.tiny, of.largest) and set(PRECISIONS) == set(FORMATS)


def test_the_table_is_frozen():
    with pytest.raises(TypeError):
        FORMATS["float8"] = FORMATS["float16"]
    with pytest.raises(AttributeError):
        FORMATS["float16"].bits = 12
