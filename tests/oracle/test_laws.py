"""Each law of several calls broken by a port that remembers, and kept by one that does not."""

from __future__ import annotations

import itertools
import re
import threading

import numpy as np
import pytest
from toy import Toy

from orthoref.oracle import laws
from orthoref.oracle.cases import drawn, named
from orthoref.oracle.laws import LAWS, broken, chosen
from orthoref.oracle.watchdog import Hung

CASE, OTHER = (drawn(shape, "geometric", 10.0, "float64") for shape in ((3, 3), (4, 2)))
LAW = {law.name: law for law in LAWS}


def found(name, port, case=CASE, other=OTHER, **options):
    with Toy(port, **options) as run:
        return broken(run, LAW[name], case, other)


def counting(faulty):
    """A port that is wrong at the calls with a number, from 0, that is ``faulty``."""
    calls = itertools.count()
    return lambda a: a + (1.0 if faulty(next(calls)) else 0.0)


@pytest.mark.parametrize("name", LAW)
def test_a_right_port_keeps_every_law(name):
    assert found(name, np.copy) == ""


def test_the_same_bits():
    words = "the second call with the same input gives another result"
    for faulty in (lambda i: i == 0, lambda i: i == 1):
        assert found("repeatable", counting(faulty)) == words
    ulp = itertools.count()
    assert found("repeatable", lambda a: a * (1 + 2.0**-52 * next(ulp))) == words
    dtypes = itertools.cycle(["float64", "float32"])
    ones = drawn((3, 3), None, None, "float64", structure="permutation")
    assert found("repeatable", lambda a: a.astype(next(dtypes)), ones) == words  # the same values
    assert found("repeatable", lambda a: np.full_like(a, np.nan)) == ""  # the same NaN
    outputs = itertools.cycle([("x",), ("x", "y")])
    with Toy(lambda a: tuple(a.copy() for _ in next(outputs)), order=None) as run:
        assert broken(run, LAW["repeatable"], CASE, OTHER) == words


def test_a_result_is_kept():
    buffer = np.empty((3, 3))

    def reuses(a):
        buffer[...] = a
        return buffer

    assert found("kept", reuses) == "the first result is changed by the second call"
    assert found("repeatable", reuses) == ""


def test_other_inputs_before():
    cache = {}

    def by_shape(a):
        return cache.setdefault(a.shape, a.copy()).copy()

    error = r"\|X - c A\| / \(eps\) = \S+ > 2"
    words = f"after a call with another input of the same shape: {error}"
    assert re.fullmatch(words, found("history", by_shape))
    state = {}

    def after_another_shape(a):
        wrong = state.setdefault("shape", a.shape) != a.shape
        state["shape"] = a.shape
        return a + wrong

    assert found("history", after_another_shape).startswith("after a call with another shape: |X - c A|")
    assert found("history", counting(lambda i: i == 3)).startswith("after calls with other inputs: |X - c A|")
    assert found("history", counting(lambda i: i == 0)) == ""  # what the battery itself sees
    assert found("history", counting(lambda i: i == 4)) == ""
    dtype = itertools.chain(["float64"], itertools.repeat("float32"))
    assert found("history", lambda a: a.astype(next(dtype))).endswith("x has dtype float32, the input float64")


def test_threads():
    two = threading.Barrier(2)

    def shares(a):
        try:
            two.wait(5.0)  # for another call
        except threading.BrokenBarrierError:
            return a.copy()
        return a + 1

    assert found("threads", shares).startswith("called from 4 threads at once: |X - c A|")
    assert found("threads", np.copy) == "" and laws.WORKERS == 4


def test_every_thread_and_round_is_judged():
    """16 calls of two inputs, one wrong: whichever it is."""
    for wrong in range(laws.WORKERS * laws.ROUNDS):
        calls = itertools.count()
        assert found("threads", lambda a, calls=calls, wrong=wrong: a + (next(calls) == wrong))
    inputs = set()

    def notes(a):
        inputs.add(a.tobytes())
        return a.copy()

    found("threads", notes)
    assert inputs == {case.matrix().tobytes() for case in (CASE, CASE.reseeded())}


@pytest.mark.parametrize("wrong", [1, 7, laws.CALLS])
def test_a_fault_now_and_then(wrong):
    words = found("every call", counting(lambda i: 1 <= i <= wrong))
    assert words.startswith(f"{wrong} of 40 calls with the same input: |X - c A|")
    assert found("every call", counting(lambda i: i > laws.CALLS)) == ""  # after the last
    first_wrong = found("every call", counting(lambda i: i == 0))
    assert first_wrong == ""  # the others differ from it, but hold: the battery saw the first


def test_inputs_that_are_too_large_to_be_given_so_often():
    large = drawn((2, 20, 25), "geometric", 10.0, "float64")
    larger = drawn((2, 20, 26), "geometric", 10.0, "float64")
    always = counting(lambda i: i % 2)
    assert found("every call", always, large) and not found("every call", always, larger)


@pytest.mark.parametrize("name", LAW)
def test_an_exception_breaks_a_law(name):
    calls = itertools.count()

    def raises(a):
        if next(calls) >= 1:
            raise ArithmeticError("too late\nmore")
        return a.copy()

    assert found(name, raises) == f"{LAW[name].text}: raised ArithmeticError: too late"


def test_a_port_that_hangs_is_not_asked_on():
    with Toy(lambda a: threading.Event().wait(0.2)) as run:
        run.watchdog.timeout = 0.01
        with pytest.raises(Hung):
            broken(run, LAW["repeatable"], CASE, OTHER)


def of(shape, **options):
    return drawn(shape, "geometric", 10.0, options.pop("dtype", "float64"), **options)


def test_cases_for_the_laws():
    usable = [of(shape) for shape in ((3, 3), (2, 3, 3), (6, 3), (2, 6, 3), (3, 6), (2, 3, 6), (64, 64))]
    assert chosen((case, True) for case in usable) == usable
    assert chosen((case, False) for case in usable) == []
    assert chosen([(of((1, 3, 3)), True)]) == [of((1, 3, 3))]
    left_out = [
        of((3, 3), scale=2.0), of((0, 3, 3)), of((3, 0)), of((2, 2)), of((4, 3)), of((1, 5)), of((1, 1)), of((5, 1)),
        of((40, 3)), named("hilbert", 5, "float64"), of((3, 3), scale=0.0),
    ]  # fmt: skip
    assert chosen((case, True) for case in left_out) == []
    again = [of(case.shape, seed=1) for case in usable]
    assert chosen((case, True) for case in [*usable, *again]) == usable
    short = of((3, 3), dtype="float32")  # another dtype
    assert chosen((case, True) for case in [*usable, short]) == [*usable, short]
    assert chosen((case, True) for case in [short, of((3, 3)), of((3, 3), seed=1)]) == [short, of((3, 3))]
    assert chosen((case, True) for case in [of((63, 63)), of((64, 64))]) == [of((63, 63)), of((64, 64))]
    assert chosen((case, True) for case in [of((64, 64)), of((65, 65), dtype="float32")]) == [of((64, 64))]
