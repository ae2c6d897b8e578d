"""One reason for a run of an operation that is as simple as can be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy import ROW, lifted

from orthoref.oracle import vote as voting
from orthoref.oracle.operation import Ratio, Variant
from orthoref.oracle.precision import PRECISIONS
from orthoref.oracle.verdict import Verdict, judge
from orthoref.oracle.vote import Failure, vote

SIGN = "x has the wrong sign"


def failure(wrong, shape=(4, 3), seed=0, dtype="float64", row=ROW, members=None):
    a = np.random.RandomState(seed).standard_normal(shape).astype(dtype).astype(float)
    x = wrong(a)
    if members is not None:  # the others are right
        x = np.where(np.isin(np.arange(len(a)), members)[:, None, None], x, a)
    inputs, outputs = {"a": lifted(a, dtype)}, {"x": lifted(x, dtype)}
    verdict = judge(row, inputs, outputs, precision=PRECISIONS[dtype], reasons=False)
    assert not verdict.holds
    return Failure(verdict, inputs, outputs, dtype, a.size)


def sign(a):
    return -a


def twice(a):
    return 2 * a


def odd(a):
    return a + np.arange(a.size).reshape(a.shape) ** 2


def run(failures, row=ROW):
    return vote(row, 1.0, row.limit, failures)


def test_one_reason_for_all():
    failures = [failure(sign, shape, seed) for seed, shape in enumerate([(4, 3), (3, 5), (4, 4), (2, 2), (1, 7)])]
    verdicts, key, fits = run(failures)
    assert (key, fits) == ("sign", "fits 5 of 5 failing cases on which it was tried")
    said = [verdict.reasons for verdict in verdicts]
    assert [SIGN] in said and all(reasons in ([], [SIGN]) for reasons in said)
    assert [v.checks for v in verdicts] == [f.verdict.checks for f in failures]


def test_only_the_smallest_and_a_moderate_case_of_a_kind_are_explained():
    failures = [failure(sign, (n, n), n) for n in (20, 16, 3, 2, 25)]
    explained = [i for i, verdict in enumerate(run(failures)[0]) if verdict.reasons]
    assert explained == sorted({3, voting._most_telling(failures, range(5))}) and len(explained) == 2


def test_a_single_failure_is_explained_without_a_vote():
    verdicts, key, fits = run([failure(sign)])
    assert verdicts[0].reasons == [SIGN] and verdicts[0].key == "sign" and key == fits == ""
    assert run([]) == ([], "", "")


def test_the_majority_beats_what_fits_a_few():
    """The smallest case, which is explained first, has a likelier reason of its own."""
    variants = ROW.variants

    def likelier(inputs, outputs, *more):
        a = inputs["a"].value
        if np.array_equal(a, a.T):
            yield Variant("symmetric", "a is symmetric", {"x": -outputs["x"].value})
        yield from variants(inputs, outputs, *more)

    row = replace(ROW, variants=likelier)
    failures = [failure(sign, (4, 3), seed) for seed in range(6)]
    a = np.array([[2.0, 1.0], [1.0, 3.0]])
    inputs, outputs = {"a": lifted(a)}, {"x": lifted(-a)}
    verdict = judge(row, inputs, outputs, precision=PRECISIONS["float64"], reasons=False)
    failures.append(Failure(verdict, inputs, outputs, "float64", 4))  # the smallest: it is explained
    verdicts, key, fits = run(failures, row)
    assert key == "sign" and verdicts[-1].key == "sign" and fits.startswith("fits 7 of 7")
    assert [v.key for v in run(failures[-1:], row)[0]] == ["symmetric"]


@pytest.mark.parametrize(("others", "key"), [(4, "sign"), (5, "")])
def test_three_fifths_are_a_majority(others, key):
    """6 of 10 are; 6 of 11 are not."""
    failures = [failure(sign, (4, 3), seed) for seed in range(6)] + [failure(odd, (4, 3), 9 + i) for i in range(others)]
    _, found, fits = run(failures)
    assert found == key
    assert fits == ("fits 6 of 10 failing cases on which it was tried" if key else "")


def test_at_most_twelve_cases_are_tried_evenly():
    assert voting._spread([*range(12)]) == [*range(12)]
    spread = voting._spread([*range(100)])
    assert len(spread) == 12 and spread[0] == 0 and spread[-1] == 99 and np.ptp(np.diff(spread)) <= 1
    assert run([failure(sign, (3, 3), seed) for seed in range(40)])[2].startswith("fits 12 of 12 ")


def test_cases_that_fail_without_a_ratio_are_not_explained():
    raised = Failure(Verdict("s", faults=["raised ValueError"]), {"a": lifted(np.eye(2))}, {}, "float64", 4)
    verdicts, key, _ = run([raised, failure(sign), raised, failure(sign, seed=1)])
    assert key == "sign" and verdicts[1].reasons == [SIGN]
    assert verdicts[0] is verdicts[2] is raised.verdict
    assert run([raised, raised])[0] == [raised.verdict] * 2


def test_kinds_are_failing_checks_and_faults_without_their_numbers():
    def of(checks, faults):
        ratios = [Ratio(name, "", float(fails), 0.5, 0.0) for name, fails in checks.items()]
        return Failure(Verdict("s", ratios, faults=faults), {}, {}, "float64", 1)

    one = of({"b": True, "a": True, "c": False}, ["x is 1.5e-3 away", "at (2, 3)"])
    assert one.kind == ("a", "b", "x is # away", "at (#, #)") and one.measured
    assert not of({"a": False}, ["x"]).measured


def test_the_commonest_kinds_are_represented():
    def of(name, size):
        a = {"a": lifted(np.eye(size))}
        return Failure(Verdict("s", [Ratio(name, "", 1.0, 0.5, 0.0)]), a, a, "float64", size * size)

    kinds = [of(name, 2) for name in "abcdef" for _ in range(2)] + [of("g", 2)] + [of(name, 1) for name in "bcdef"]
    failures = [*kinds, of("g", 1), of("g", 15)]
    chosen = [failures[i] for i in voting._representatives(failures)]
    assert {each.verdict.checks[0].name for each in chosen} == set("bcdef")  # five, the first of equals
    assert [each.size for each in chosen[:5]] == [1] * 5 and voting.KINDS == 5


def test_the_telling_case_has_moderate_size_and_distinct_singular_values():
    def of(s, m=None, scale=1.0):
        a = np.zeros((m or len(s), len(s)))
        np.fill_diagonal(a, s)
        verdict = Verdict("s", [Ratio("r", "", 1.0, 0.5, 0.0)])
        return Failure(verdict, {"a": lifted(a * scale)}, {"x": lifted(a)}, "float64", a.size)

    assert [voting._distinct(of(s)) for s in ([4, 3, 2, 1], [4, 4, 4, 1], [4, 4, 4, 4], [4, 3, 1e-3, 0], [0, 0])] == [
        3, 1, 0, 1, 0,
    ]  # fmt: skip
    assert voting._distinct(of([4, 3, 2, 1], scale=2.0**-1070)) == 3
    assert voting._distinct(of([1.0, 0.995, 0.5])) == 1  # within a hundredth is one
    alike, apart = of([1.0] * 16), of(range(1, 17))
    assert voting._most_telling([alike, apart], [0, 1]) == 1
    far = [of(range(1, 41), 40), *[alike] * 12]
    assert voting._most_telling(far, range(13)) == 1  # too large, though its values are apart
    assert voting._most_telling(far, range(12)) == 0  # among the twelve nearest
    sizes = [replace(alike, size=size) for size in (250, 125, 500, 0)]
    assert voting._far(sizes[0]) == 0 < voting._far(sizes[1]) == pytest.approx(voting._far(sizes[2]), rel=1e-12, abs=0)
    assert voting._far(sizes[3]) == pytest.approx(np.log(250), rel=1e-12, abs=0)


def test_a_tall_a_wide_and_a_square_case_are_asked():
    shapes = [(4, 3), (5, 3), (3, 4), (3, 3), (1, 5), (5, 1), (2, 4, 3)]
    failures = [failure(sign, shape, seed) for seed, shape in enumerate(shapes)]
    telling = voting._telling(failures)
    assert {np.sign(np.subtract(*shapes[i][-2:])) for i in telling} == {1, -1, 0} and len(telling) == 3
    assert voting._telling([failure(sign, (1, 5)), failure(sign, (1, 1))]) == []
    raised = Failure(Verdict("s", faults=["raised"]), {"a": lifted(np.eye(3))}, {}, "float64", 9)
    assert voting._telling([raised]) == []


def test_the_worst_member_of_a_stack_is_asked():
    failures = [failure(sign, (3, 4, 2), seed, members=[1]) for seed in range(3)]
    verdicts, key, _ = run(failures)
    assert key == "sign" and verdicts[0].reasons == [SIGN]
    inputs, outputs = voting._worst(failures[0])
    assert np.array_equal(outputs["x"].value, -inputs["a"].value) and inputs["a"].value.shape == (4, 2)


def test_the_format_of_the_case_is_the_unit():
    failures = [failure(sign, (4, 3), seed, "float32") for seed in range(3)]
    assert run(failures)[1] == "sign"


def test_an_explanation_that_fails_does_not_end_the_run():
    def breaks(*_):
        raise KeyError("variants")

    verdicts, key, _ = run([failure(sign), failure(sign, seed=1)], replace(ROW, variants=breaks))
    assert key == "" and "the failure could not be explained: KeyError: 'variants'" in verdicts[0].reasons


def test_a_reason_counts_where_undoing_it_makes_the_case_right():
    a = failure(sign)
    assert voting._fits(ROW, 1.0, 2.0, a, "sign") and not voting._fits(ROW, 1.0, 2.0, a, "twice")
    assert not voting._fits(ROW, 1.0, 2.0, a, "unheard of")
    two = replace(ROW, variants=lambda *_: iter([Variant("k", "", {"x": 3 * a.inputs["a"].value}), Variant("k", "")]))
    assert not voting._fits(two, 1.0, 2.0, a, "k")  # the first of that key is tried
    assert voting._keys(ROW, 1.0, 2.0, a) == ["sign"]
    assert voting._failed(failure(twice)).keys() >= {"error"}
    assert voting._keys(ROW, 1.0, 2.0, failure(twice)) == ["twice", "scaled input"]


def test_two_cases_vote_where_one_is_explained():
    a = np.eye(5)
    inputs, outputs = {"a": lifted(a)}, {"x": lifted(-a)}
    verdict = judge(ROW, inputs, outputs, precision=PRECISIONS["float64"], reasons=False)
    failures = [failure(sign, (3, 3)), Failure(verdict, inputs, outputs, "float64", 25)]
    verdicts, key, fits = run(failures)
    assert [bool(verdict.reasons) for verdict in verdicts] == [True, False]
    assert key == "sign" and fits == "fits 2 of 2 failing cases on which it was tried"


def test_a_rare_kind_has_the_reason_of_the_run_if_it_fits(monkeypatch):
    monkeypatch.setattr(voting, "KINDS", 1)
    common = [failure(sign, seed=k) for k in range(4)]
    rare = [replace(failure(wrong, seed=k), format="float64") for k, wrong in enumerate((sign, odd))]
    rare = [replace(each, verdict=replace(each.verdict, faults=[f"fault {name}"]))
            for each, name in zip(rare, "ab", strict=True)]  # fmt: skip
    verdicts, key, _ = run([*common, *rare])
    assert key == "sign" and verdicts[4].reasons == [SIGN] and not verdicts[5].reasons
