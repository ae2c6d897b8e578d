"""How a port is called, what its results are taken for, and what every port promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy import ROW, Toy

from orthoref.oracle.cases import drawn
from orthoref.oracle.lift import Lifted
from orthoref.oracle.operation import Operation
from orthoref.oracle.run import Called, Raised, contract, described, order_of, outputs

CASE = drawn((3, 2), "geometric", 10.0, "float32")
A, X, Y = (np.full((2, 2), value) for value in (1.0, 2.0, 3.0))
ONE = replace(ROW, outputs=("x",), optional=())
TWO = replace(ROW, outputs=("x", "y"), optional=())


@pytest.mark.parametrize(
    ("row", "returns", "order"),
    [
        (ROW, "auto", None), (ROW, "x", ("x",)), (ROW, "xy", ("x", "y")), (ROW, "yx", ("y", "x")),
        (ROW, "y,x", ("y", "x")), (TWO, "xy", ("x", "y")), (TWO, "auto", None),
    ],
)  # fmt: skip
def test_orders(row, returns, order):
    assert order_of(row, returns) == order


@pytest.mark.parametrize("returns", ["y", "xz", "xx", "x,x", "", "two x"])
def test_what_is_no_order(returns):
    row, returns = (TWO, "x") if returns == "two x" else (ROW, returns)
    with pytest.raises(ValueError, match=f"returns='{returns}' is not 'auto' or an order of x, y"):
        order_of(row, returns)


@pytest.mark.parametrize(
    ("row", "result", "order", "names"),
    [
        (ONE, X, None, "x"),
        (ROW, X, None, "x"), (ROW, (X, Y), None, "xy"), (ROW, [X, Y], None, "xy"), (ROW, (X,), None, "x"),
        (ROW, (X, Y, A), None, "xy"),
        (ROW, X, ("x",), "x"), (ROW, (X, Y), ("x",), "x"), (ROW, [X], ("x",), "x"),
        (ROW, (Y, X), ("y", "x"), "xy"), (ROW, (Y, X, A), ("y", "x"), "xy"), (TWO, (X, Y), ("x", "y"), "xy"),
    ],
)  # fmt: skip
def test_results_by_name(row, result, order, names):
    found = outputs(result, order, row)
    assert sorted(found) == [*names] and all(found[name] is {"x": X, "y": Y}[name] for name in names)


def test_the_result_of_a_row_with_one_output_is_that_output_whatever_it_is():
    pair = (X, Y)
    assert outputs(pair, None, ONE)["x"] is pair


@pytest.mark.parametrize(("result", "kind"), [(X, "ndarray"), ((X,), "tuple"), ([], "list")])
def test_too_few_results(result, kind):
    with pytest.raises(TypeError, match=f"the port returned a {kind}, not 2 arrays"):
        outputs(result, ("x", "y"), ROW)


def broken(given, returned, before=None, own_memory=True):
    before = {name: Lifted(np.asarray(x, float), "float64") for name, x in (before or given).items()}
    return [*contract(Called(given, before, returned, {}), own_memory)]


def test_a_kept_promise():
    assert broken({"a": A}, {"x": X}) == [] == broken({"a": A, "b": X}, {"x": Y, "y": Y})


def test_changed_inputs_are_named_where_there_are_several():
    assert broken({"a": A}, {"x": X}, {"a": Y}) == ["the input was changed in place"]
    assert broken({"a": A, "b": X}, {"x": Y.copy()}, {"a": A, "b": Y}) == ["b was changed in place"]
    assert broken({"a": A[0]}, {"x": Y}, {"a": Y}) == ["the input was changed in place"]  # cannot be read any more


def test_another_type():
    assert broken({"a": A}, {"x": [[1.0]]}) == ["x is a builtins.list, the input a numpy.ndarray"]
    assert broken({"a": [[1.0]]}, {"x": X}) == ["x is a numpy.ndarray, the input a builtins.list"]
    assert broken({"a": [[1.0]], "b": X}, {"x": [[2.0]]}) == []  # as the first


def test_another_device():
    xp = pytest.importorskip("array_api_strict")
    a, here, there = (xp.asarray(A, device=xp.Device(d)) for d in ("CPU_DEVICE", "CPU_DEVICE", "device1"))
    before = {"a": Lifted(A, "float64")}
    assert [*contract(Called({"a": a}, before, {"x": here}, {}), True)] == []
    words = [*contract(Called({"a": a}, before, {"x": there}, {}), True)]
    assert len(words) == 1 and words[0].startswith("x is on device ") and "device1" in words[0]


def test_shared_memory():
    words = ["x shares memory with the input: it changes with it"]
    for view in (A, A.T, A[:1], A[:1, :1], A[::-1], A.reshape(4, 1)):
        assert broken({"a": A}, {"x": view}) == words
        assert broken({"a": A}, {"x": view}, own_memory=False) == []
        assert broken({"a": X, "b": A}, {"x": view}) == words  # any of the inputs
    assert broken({"a": A}, {"x": A[:0]}) == []
    assert broken({"a": A}, {"x": A.copy()}) == []


def test_shared_memory_of_torch():
    torch = pytest.importorskip("torch")
    a = torch.ones((3, 3))
    before = {"a": Lifted(np.ones((3, 3)), "float32")}
    words = ["x shares memory with the input: it changes with it"]
    for view in (a, a.mT, a[:1], a[1:, 1:], a.detach()):
        assert [*contract(Called({"a": a}, before, {"x": view}, {}), True)] == words
    for own in (a.clone(), a[:0], torch.ones((3, 3)), torch.ones((0, 3))):
        assert [*contract(Called({"a": a}, before, {"x": own}, {}), True)] == []
    nothing = Called(
        {"a": torch.ones((0, 3))}, {"a": Lifted(np.ones((0, 3)), "float32")}, {"x": torch.ones((0, 3))}, {}
    )
    assert [*contract(nothing, True)] == []


def test_exceptions_by_type_and_first_line():
    class Strange(Exception):
        def __str__(self):
            raise RuntimeError

    assert described(ValueError("one\ntwo")) == "ValueError: one"
    assert described(ValueError()) == "ValueError: " and described(Strange()) == "Strange: "


def test_where_a_port_raised():
    def port(a):
        raise KeyError("lost")

    with Toy(port) as run, pytest.raises(Raised, match="KeyError: 'lost'") as caught:
        run.called(CASE)
    assert caught.value.kind == "KeyError" and caught.value.where.endswith(" in port")
    assert Raised.by(ValueError("never raised")).where == ""


def test_a_call():
    seen = []

    def port(a):
        seen.append(a)
        return a.astype("float64"), a + 1

    with Toy(port, order=("x", "y")) as run:
        called = run.called(CASE)
    assert np.array_equal(seen[0], CASE.matrix()) and seen[0].dtype == "float32"
    assert called.before["a"].dtype == "float32" and np.array_equal(called.before["a"].value, CASE.matrix())
    assert [called.outputs[name].dtype for name in ("x", "y")] == ["float64", "float32"]
    called.returned["x"][:] = 5
    assert (called.again()["x"].value == 5).all() and np.array_equal(called.outputs["x"].value, CASE.matrix())


def test_two_inputs_are_given_in_their_order():
    case = replace(CASE, calls=(*CASE.calls, ("b", CASE.reseeded().calls[0][1])))
    with Toy(lambda a, b: a - b, replace(ROW, inputs=("a", "b"))) as run:
        x = run.called(case).outputs["x"].value
    first, second = case.inputs().values()
    assert np.array_equal(x, first - second) and x.any()


def test_the_judge_is_shown_what_the_port_was_given():
    """XLA flushes subnormal numbers: no mistake of the port."""

    def flush(a):
        return np.where(np.abs(a) < 0.5, 0, a).astype(a.dtype)

    with Toy(np.copy, convert=flush) as run:
        called = run.called(CASE)
        assert run.judge(CASE, called).holds
    assert np.array_equal(called.before["a"].value, flush(CASE.matrix()))


def test_a_conversion_to_another_dtype_is_refused():
    words = r"^convert made float64 of a float32 input$"
    with Toy(np.copy, convert=lambda a: a.astype("float64")) as run, pytest.raises(ValueError, match=words):
        run.give(CASE)


def test_a_conversion_by_jax_to_single_precision_has_a_hint():
    double = drawn((3, 2), "geometric", 10.0, "float64")
    jnp = pytest.importorskip("jax.numpy")
    words = r"convert made float32 of a float64 input \(jax.config"
    with Toy(np.copy, convert=lambda a: jnp.asarray(a, "float32")) as run, pytest.raises(ValueError, match=words):
        run.give(double)


def test_the_format_that_is_claimed_is_the_unit_and_may_be_the_dtype_of_results():
    eps = 2.0**-7
    with Toy(lambda a: a * (1 + eps)) as run:
        assert not run.judge(CASE, run.called(CASE)).holds
    with Toy(lambda a: a * (1 + eps), precision="bfloat16") as run:
        assert run.format_of(CASE) == "bfloat16"
        assert run.judge(CASE, run.called(CASE)).holds
        called = run.called(CASE)
        stored = {"x": called.outputs["x"]._replace(dtype="bfloat16")}
        assert run.judge(CASE, replace(called, outputs=stored)).holds
        other = {"x": called.outputs["x"]._replace(dtype="float64")}
        assert not run.judge(CASE, replace(called, outputs=other)).holds


def test_what_is_claimed_and_the_limit_reach_the_judge():
    with Toy(lambda a: 3 * a, claimed=3.0) as run:
        assert run.judge(CASE, run.called(CASE)).holds
    eps = 2.0**-23
    ones = drawn((1, 1), None, None, "float32", structure="permutation")
    with Toy(lambda a: a * np.float32(1 + 3 * eps)) as run:
        assert not run.judge(ones, run.called(ones)).holds
    with Toy(lambda a: a * np.float32(1 + 3 * eps), limit=3.0) as run:
        assert run.judge(ones, run.called(ones)).holds


def test_reasons_where_they_are_asked_for():
    with Toy(lambda a: -a) as run:
        called = run.called(CASE)
        assert run.judge(CASE, called).reasons == []
        assert run.judge(CASE, called, reasons=True).reasons == ["x has the wrong sign"]
        assert run.judge(CASE, called).subject == CASE.id


def test_contracts_are_faults_beside_the_ratios():
    def port(a):
        a += 1
        return a

    with Toy(port) as run:
        verdict = run.judge(CASE, run.called(CASE))
    assert verdict.faults == [
        "the input was changed in place", "x shares memory with the input: it changes with it",
    ]  # fmt: skip
    assert not verdict.checks[0].holds
    with Toy(np.asarray, own_memory=False) as run:
        assert run.judge(CASE, run.called(CASE)).holds


def test_no_result_ends_the_run():
    def breaks(*_):
        raise KeyError("measure")

    row: Operation = replace(ROW, measure=breaks)
    with Toy(np.copy, row) as run:
        verdict = run.judge(CASE, run.called(CASE))
    assert verdict.faults == ["the result could not be judged: KeyError: 'measure'"] and not verdict.holds
    with Toy(np.copy) as run:
        called = run.called(CASE)
        outside = replace(called, before={"a": Lifted(np.full((3, 2), 99.0), "float32")})
        verdict = run.judge(CASE, outside)
    assert verdict.notes == ["not judged: a[0, 0] is 99"] and verdict.state == "not judged"
