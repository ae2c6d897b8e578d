"""Rows of the derivatives of the constructors that have one definite value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from orthoref._constructors import cayley, exponential, givens, householder
from orthoref.oracle import derivative
from orthoref.oracle.battery import Levels
from orthoref.oracle.cases import COTANGENTS
from orthoref.oracle.constructors import derivative_reasons as reasons
from orthoref.oracle.constructors.claim import (
    COLUMNS,
    DIAGONAL,
    FACTOR,
    ORDER,
    PHASE,
    PLANES,
    SIGN,
    SPACE,
    STORAGE,
    TAU,
    Cayley,
    Givens,
    Householder,
    Skew,
)
from orthoref.oracle.constructors.inputs import (
    bar,
    butterfly_bar,
    columnwise,
    complex_butterfly_bar,
    complex_product_bar,
    direction,
    left_bar,
    product_bar,
    vector,
)
from orthoref.oracle.constructors.ratios import skewed, truths
from orthoref.oracle.constructors.row import (
    MIRRORS,
    SQUARE,
    TURNS,
    mirrors,
    of,
    order_for,
    shape_of_mirrors,
    shape_of_turns,
    turns,
    with_phases,
    with_signs,
    with_taus,
)
from orthoref.oracle.operation import Check, Claim, Data, Measured, Operation
from orthoref.oracle.precision import Precision

DIFFERENTIATED = ("a", "theta", "phase", "v", "tau")
KINDS = tuple(kind for kind in COTANGENTS if kind not in ("tangent", "normal"))
TURNED = replace(TURNS, cotangent=KINDS, scale=(1.0, 0.0, 1e-8, 64.0), order=(1, 2, 3, 4, 5, 8, 9), entries=2**10)
MIRRORED = replace(
    MIRRORS,
    cotangent=(*KINDS, "zero tau", "singular tau"),
    scale=(1.0, 8.0),
    order=(1, 2, 3, 4, 5, 8, 9, 16),
    entries=2**11,
)
DERIVED = replace(SQUARE, cotangent=KINDS, scale=(1.0, 0.0, 1e-8, 8.0), order=(1, 2, 3, 4, 5, 8, 9, 16), entries=2**11)


def measure(name: str, unit: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision,
            limit: float) -> Measured:  # fmt: skip
    """Distance from the exact derivative, on the space on which it is determined."""
    if "a_bar" in outputs and claimed.space == "any":
        x = outputs["a_bar"]
        outputs = {"a_bar": x._replace(value=skewed(x.value))}
    found = derivative.measure(partial(truths, name), unit, inputs, outputs, claimed, precision, limit)
    wanted = [each for each in wanted_of(name, inputs) if each not in outputs]
    return replace(found, faults=[*found.faults, *(f"{each} is missing" for each in wanted)])


def wanted_of(name: str, inputs: Data) -> list[str]:
    """Outputs that belong to the given inputs."""
    return [f"{each}_bar" for each in DIFFERENTIATED if each in inputs] if name.endswith("vjp") else ["q_dot"]


def outside(name: str, inputs: Data, claimed: Any) -> str:
    """Where the result is out of range a port may raise."""
    return derivative.overflow(partial(truths, name), inputs, claimed) if next(iter(inputs.values())).value.size else ""


@dataclass(frozen=True)
class Derived:
    """What the rows of both derivatives of a constructor are made of.

    ``units`` are those of the JVP and the VJP, ``primal(claimed)`` the companions of the constructor itself, ``dots``
    what draws a direction of each input that moves, ``q_bar(claimed)`` what draws a cotangent, ``shapes(kind, claimed,
    *inputs)`` those of the outputs; ``of_vjp`` are claims that only the VJP has.
    """

    name: str
    units: tuple[str, str]
    jvp: Callable[..., Any]
    vjp: Callable[..., Any]
    levels: Levels
    claim: Callable[..., Any]
    claims: tuple[Claim, ...]
    inputs: tuple[str, ...]
    dots: Mapping[str, Any]
    shapes: Callable[..., dict[str, tuple[int, ...]]]
    primal: Callable[[Any], Mapping[str, Any]] = lambda claimed: {}
    q_bar: Callable[[Any], Any] = lambda claimed: "input"
    of_vjp: tuple[Claim, ...] = ()
    vectors: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def moving(self, claimed: Any) -> dict[str, Any]:
        """The directions of the inputs that are given."""
        given = {self.inputs[0], *self.primal(claimed)}
        return {f"{each}_dot": like for each, like in self.dots.items() if each in given}

    def row(self, kind: str) -> Operation:
        """The row of "jvp" or "vjp"."""
        name, vjp = f"{self.name}_{kind}", kind == "vjp"
        unit = self.units[vjp]
        outputs = tuple(f"{each}_bar" for each in self.dots) if vjp else ("q_dot",)
        others = ("q_bar",) if vjp else tuple(f"{each}_dot" for each in self.dots)
        return Operation(
            name=name,
            inputs=(*self.inputs, *others),
            outputs=outputs,
            optional=outputs[1:],
            claims=(*self.claims, *self.of_vjp) if vjp else self.claims,
            claim=self.claim,
            reference=self.vjp if vjp else self.jvp,
            shapes=partial(self.shapes, kind),
            companions=lambda claimed: {
                **self.primal(claimed), **({"q_bar": self.q_bar(claimed)} if vjp else self.moving(claimed)),
            },
            checks=tuple(Check(each, derivative.text(each)) for each in outputs),
            measure=partial(measure, name, unit),
            variants=partial(reasons.variants, name),
            describe=partial(reasons.describe, name),
            outside=partial(outside, name),
            levels=self.levels,
            limit=derivative.LIMIT,
            unit=unit,
            vectors=self.vectors,
            complexes=lambda claimed: ("q_dot",) if not vjp and getattr(claimed, "phase", "") == "given" else (),
            **self.more,
        )  # fmt: skip


def square(kind: str, claimed: Any, a: tuple[int, ...], *_: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Of the shape of the point."""
    return {"q_dot" if kind == "jvp" else "a_bar": tuple(a)}


def reference_cayley(function: Callable[..., Any], *arrays: Any, **claims: Any) -> Any:
    """Ours, with the signs in the second place."""
    a, *signs, last = arrays
    given = {"diagonal": signs[0]} if signs else {}
    return function(a, last, **given, **of(Cayley(**claims), "sign", "factor"))


def turned(kind: str, claimed: Givens, theta: tuple[int, ...], *others: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Of products of rotations."""
    if kind == "jvp":
        return {"q_dot": shape_of_turns(claimed, theta)}
    return {"theta_bar": tuple(theta)} | ({"phase_bar": tuple(theta)} if claimed.phase == "given" else {})


def bar_of_turns(claimed: Givens) -> Any:
    """What draws a cotangent of the product."""
    if claimed.order == "butterfly":
        return complex_butterfly_bar if claimed.phase == "given" else butterfly_bar
    return complex_product_bar if claimed.phase == "given" else product_bar


def reference_givens(kind: str, theta: Any, *others: Any, **claims: Any) -> Any:
    """Ours, the order of the matrix from the number of the angles."""
    claimed = Givens(**claims)
    n = order_for(claimed, theta.shape[-1])
    if kind == "vjp":
        *phase, q_bar = others
        bars = givens.givens_product_vjp(theta, n, q_bar, *phase, order=claimed.order)
        return tuple(x for x in bars if x is not None) if phase else bars.theta_bar
    if len(others) == 1:
        return givens.givens_product_jvp(theta, n, others[0], order=claimed.order)
    phase, theta_dot, phase_dot = others
    return givens.givens_product_jvp(theta, n, theta_dot, phase, phase_dot, order=claimed.order)


def mirrored(kind: str, claimed: Householder, v: tuple[int, ...], *others: tuple[int, ...]) -> dict[str, Any]:
    """Of products of reflections; tau as a column."""
    if kind == "jvp":
        return {"q_dot": shape_of_mirrors(claimed, v)}
    return {"v_bar": tuple(v)} | ({"tau_bar": (*v[:-2], v[-1], 1)} if claimed.tau == "given" else {})


def reference_householder(kind: str, v: Any, *others: Any, **claims: Any) -> Any:
    """Ours, with LAPACK's defaults."""
    claimed = Householder(**claims)
    options = of(claimed, "order", "storage")
    if kind == "vjp":
        *tau, q_bar = others
        bars = householder.householder_product_vjp(v, q_bar, *tau, **options)
        return (bars.v_bar, bars.tau_bar) if tau else bars.v_bar
    options["columns"] = v.shape[-2] if claimed.columns == "full" else v.shape[-1]
    if len(others) == 1:
        return householder.householder_product_jvp(v, others[0], **options)
    tau, v_dot, tau_dot = others
    return householder.householder_product_jvp(v, v_dot, tau, tau_dot, **options)


def reference_exp(function: Callable[..., Any], a: Any, other: Any, **claims: Any) -> Any:
    """Ours; the space of the cotangent is its own."""
    Skew(**claims)
    return function(a, other)


FAMILIES = (
    Derived(
        name="cayley",
        units=("2 |c| |dA| |N| n eps (1 + k) |I + c A| |N|", "2 |c| |Q_bar| |N| n eps (1 + k) |I + c A| |N|"),
        jvp=partial(reference_cayley, cayley.cayley_jvp),
        vjp=partial(reference_cayley, cayley.cayley_vjp),
        levels=DERIVED,
        claim=Cayley,
        claims=(SIGN, FACTOR, DIAGONAL),
        inputs=("a", "diagonal"),
        dots={"a": direction},
        shapes=square,
        primal=with_signs,
        of_vjp=(SPACE,),
        vectors=("diagonal",),
    ),
    Derived(
        name="skew_exp",
        units=("n eps |dA| (1 + 4 |A|)", "n eps |Q_bar| (1 + 4 |A|)"),
        jvp=partial(reference_exp, exponential.skew_exp_jvp),
        vjp=partial(reference_exp, exponential.skew_exp_vjp),
        levels=DERIVED,
        claim=Skew,
        claims=(),
        inputs=("a",),
        dots={"a": direction},
        shapes=square,
        of_vjp=(SPACE,),
    ),
    Derived(
        name="givens_product",
        units=("n eps (sqrt(2) |dot| + |dQ|) (1 + max |theta|)", "n eps sqrt(2) |Q_bar| (1 + max |theta|)"),
        jvp=partial(reference_givens, "jvp"),
        vjp=partial(reference_givens, "vjp"),
        levels=TURNED,
        claim=Givens,
        claims=(PLANES, PHASE),
        inputs=("theta", "phase"),
        dots={"theta": vector, "phase": vector},
        shapes=turned,
        primal=with_phases,
        q_bar=bar_of_turns,
        vectors=("theta", "phase", "theta_dot", "phase_dot", "theta_bar", "phase_bar"),
        more={"shown": turns, "dtypes": ("float32", "float64")},
    ),
    Derived(
        name="householder_product",
        units=("k eps sum |d tau| |v|^2 + 2 |tau| |v| |dv|", "k eps |Q_bar| |2 tau v|, |v^2|"),
        jvp=partial(reference_householder, "jvp"),
        vjp=partial(reference_householder, "vjp"),
        levels=MIRRORED,
        claim=Householder,
        claims=(STORAGE, TAU, ORDER, COLUMNS),
        inputs=("v", "tau"),
        dots={"v": bar, "tau": columnwise},
        shapes=mirrored,
        primal=with_taus,
        q_bar=lambda claimed: left_bar if claimed.columns == "full" else bar,
        vectors=("tau", "tau_dot", "tau_bar"),
        more={"shown": mirrors},
    ),
)
ROWS = tuple(family.row(kind) for family in FAMILIES for kind in ("jvp", "vjp"))
