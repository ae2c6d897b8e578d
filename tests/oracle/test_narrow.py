"""A failing case made plainer: which levels it needs to fail."""

from __future__ import annotations

import numpy as np
import pytest
from toy import Toy

from orthoref.oracle.cases import drawn
from orthoref.oracle.narrow import Narrowed, narrowed

DTYPES = ("float32", "float64", "complex64", "complex128")
ODD = {  # everything away from its plain level
    "shape": (2, 5, 3), "spectrum": "arithmetic", "cond": 100.0, "dtype": "complex128", "scale": 4.0,
    "structure": "triangular", "members": "scaled", "memory": "F",
}  # fmt: skip


def found(fails, dtypes=DTYPES, shapes=True, port=None, **changed):
    """For a port that is wrong where ``fails(a)``."""
    case = drawn(**(ODD | changed))
    with Toy(port or (lambda a: 2 * a + 1 if fails(a) else a.copy())) as run:
        return narrowed(run, case, dtypes, shapes)


def sizes(a):
    return np.linalg.svd(a, compute_uv=False)


NEEDS = {
    "in Fortran order": lambda a: a.flags.f_contiguous and not a.flags.c_contiguous,
    "for stacks of length 2": lambda a: a.ndim > 2,
    "for scale 4": lambda a: np.abs(sizes(a)).max() > 2,
    "for triangular input": lambda a: not np.tril(a, -1).any(),
    "at condition number 100": lambda a: sizes(a).max() > 50 * sizes(a).min(),
    "for complex dtypes": np.iscomplexobj,
    "for real dtypes": np.isrealobj,
    "in double precision": lambda a: a.dtype.itemsize == (16 if np.iscomplexobj(a) else 8),
    "in single precision": lambda a: a.dtype.itemsize == (8 if np.iscomplexobj(a) else 4),
    "for tall matrices": lambda a: a.shape[-2] > a.shape[-1],
    "for wide matrices": lambda a: a.shape[-2] < a.shape[-1],
    "for order 3": lambda a: min(a.shape[-2:]) % 2 == 1,
}
CHANGED = {
    "for real dtypes": {"dtype": "float64"},
    "in single precision": {"dtype": "complex64"},
    "for wide matrices": {"shape": (2, 3, 5)},
}


@pytest.mark.parametrize("words", NEEDS)
def test_the_level_that_it_needs_and_no_other(words):
    answer = found(NEEDS[words], **CHANGED.get(words, {}))
    assert answer.repeated and answer.needs == (words,)
    assert str(answer) == f"a failing case made plainer fails only {words}: with this changed it holds"
    assert NEEDS[words](answer.case.matrix())


def test_several_levels():
    answer = found(lambda a: a.shape[-2] > a.shape[-1] and np.iscomplexobj(a) and a.ndim > 2)
    assert answer.needs == ("for stacks of length 2", "for complex dtypes", "for tall matrices")
    assert str(answer) == (
        "a failing case made plainer fails only for stacks of length 2, for complex dtypes and for tall matrices: "
        "with any of these changed it holds"
    )
    scaled = found(lambda a: a.ndim > 2 and np.ptp(np.log(np.linalg.norm(a, axis=(-2, -1)))) > 1)
    assert scaled.needs == ("for stacks of members of very different scales", "for stacks of length 2")
    assert str(Narrowed(scaled.case, ("in one", "in two"))).endswith(
        "only in one and in two: with any of these changed it holds"
    )


def test_a_port_that_always_fails_needs_nothing_and_the_case_is_as_plain_as_can_be():
    answer = found(lambda a: True)
    assert answer.needs == () and answer.repeated and str(answer) == ""
    call = answer.case.calls[0][1]
    assert answer.case.shape == (4, 4)
    assert dict(call.options) == {
        "spectrum": "geometric", "cond": 10.0, "scale": 1.0, "seed": 0, "dtype": answer.case.dtype,
        "structure": "general", "members": "alike", "memory": "C",
    }  # fmt: skip


def test_a_plain_case_is_asked_once_and_for_the_other_dtypes_and_order():
    seen = []
    plain = {"shape": (3, 3), "spectrum": "geometric", "cond": 10.0, "dtype": "float64", "scale": 1.0,
             "structure": "general", "members": "alike", "memory": "C"}  # fmt: skip

    def port(a):
        seen.append((a.dtype.name, a.shape))
        return a + 1 if a.dtype == "float64" else a.copy()

    answer = found(None, port=port, **plain)
    assert answer.needs == ("in double precision", "for real dtypes")
    assert seen == [("float64", (3, 3)), ("float32", (3, 3)), ("complex128", (3, 3)), ("float64", (4, 4))]


def test_a_case_that_holds_when_it_is_asked_again():
    answer = found(lambda a: False)
    assert not answer.repeated and answer.needs == () and answer.case.shape == ODD["shape"]
    assert str(answer).startswith("a failing case holds when it is asked again")


def test_only_dtypes_and_shapes_that_are_claimed():
    seen = set()

    def port(a):
        seen.add((a.dtype.name, a.shape))
        return a + 1

    answer = found(None, ("complex128", "complex64"), False, port=port)
    assert seen == {("complex128", (2, 5, 3)), ("complex64", (2, 5, 3))} and answer.needs == ()


def test_real_values_need_a_complex_dtype():
    seen = set()
    found(None, port=lambda a: [seen.add(a.dtype.name), a + 1][1], structure="real", members="alike", memory="C")
    assert "float64" in seen  # the structure is made plain first
    seen.clear()
    found(lambda a: not a.imag.any(), structure="real")
    answer = found(lambda a: np.iscomplexobj(a) and not a.imag.any(), structure="real")
    assert answer.needs == ("for complex input with real values",) or answer.needs[0].startswith("for ")


def test_real_values_of_either_precision():
    def fails(a):
        return a.dtype == "complex128" and not a.imag.any()

    answer = found(fails, structure="real")
    assert "in double precision" in answer.needs and answer.case.dtype == "complex128"


def test_an_exception_is_a_failure():
    def raises(a):
        if a.ndim > 2:
            raise ArithmeticError
        return a.copy()

    assert found(None, port=raises).needs == ("for stacks of length 2",)


def test_levels_that_do_not_go_together_are_not_asked():
    """Hermitian matrices are square, and no member of a single one is zero: the level is needed, for all we know."""
    answer = found(lambda a: np.array_equal(a, a.swapaxes(-1, -2).conj()), shape=(2, 3, 3), structure="hermitian")
    assert answer.needs == ("for indefinite Hermitian input",)
    assert answer.case.shape == (4, 4)


def test_a_case_that_overflows_in_another_dtype_is_not_asked():
    answer = found(lambda a: np.abs(a).max() > 1e100, dtype="float64", scale=1e200)
    assert answer.needs == ("for scale 1e+200", "in double precision")


def test_a_spectrum():
    def arithmetic(a):
        s = sizes(a.reshape(-1, *a.shape[-2:])[0])
        return len(s) == 3 and abs(s[0] - 2 * s[1] + s[2]) < 0.01 * s[0]

    answer = found(arithmetic, members="alike", structure="general")
    assert answer.needs == ("for spectrum arithmetic", "for order 3")
