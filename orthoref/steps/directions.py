"""What a gradient is replaced by before a rule sees it. Derivations: docs/derivations/steps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Any, Literal

from orthoref._newton_schulz.iteration import Form, newton_schulz
from orthoref._polar.decomposition import RankDeficient, polar
from orthoref._schedules.schedule import Normalization, Schedule
from orthoref.arrays import Array, enter, namespace, require_choice
from orthoref.linalg import unit_scale

View = Literal["matrix", "first-axis", "last-axis"]
Split = Literal["rows", "columns"]


def orthogonalized(
    g: Array,
    *,
    schedule: str | Schedule | None = None,
    steps: int | None = None,
    normalize: str | Normalization | None = None,
    eps: float = 0.0,
    eps_rule: Literal["add", "clamp"] = "add",
    form: Form = "standard",
    restart: Sequence[int] = (),
    precision: str | None = None,
    rank_deficient: RankDeficient = "partial",
    view: View = "matrix",
    heads: int | Sequence[int] = 1,
    split: Split = "rows",
) -> Array:
    """The unitary polar factor of the matrices of g, or what a finite Newton-Schulz iteration makes of them.

    Parameters
    ----------
    g : array of shape (..., m, n)
    schedule : str or Schedule, optional
        Of :func:`orthoref.newton_schulz`. None: the polar factor itself, from :func:`orthoref.polar`.
    steps, normalize, eps, eps_rule, form, restart, precision
        As in :func:`orthoref.newton_schulz`; of no effect without a schedule.
    rank_deficient : {"partial", "complete", "raise"}
        Of the polar factor, as in :func:`orthoref.polar`. The partial isometry is the one that does not depend on how
        it is computed; it is zero for the zero matrix.
    view : {"matrix", "first-axis", "last-axis"}
        Which matrices: the last two axes, the others a stack; or one matrix, whose rows are the first axis (kernels of
        convolutions with the outputs first), or whose columns are the last (outputs last).
    heads : int or sequence of int
        Blocks, each a matrix of its own: a number of equal ones, or their sizes.
    split : {"rows", "columns"}
        What is divided into the blocks.

    Returns
    -------
    array of the shape of g

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`orthoref.newton_schulz` and :func:`orthoref.polar`; heads that do not divide the matrix.

    Notes
    -----
    Equation (MUON-ORTH).
    """
    enter(g=g)
    options: dict[str, Any] = {"steps": steps, "normalize": normalize, "eps": eps, "eps_rule": eps_rule}
    options |= {"form": form, "restart": restart, "precision": precision}

    def of(block: Array) -> Array:
        if schedule is None:
            return polar(block, rank_deficient=rank_deficient).u
        return newton_schulz(block, schedule, **options)

    return joined([of(block) for block in blocks(g, view, heads, split)], g, split)


def normalized(g: Array, *, view: View = "matrix") -> Array:
    """Every matrix of g divided by its Frobenius norm; the zero matrix stays zero.

    Parameters
    ----------
    g : array of shape (..., m, n)
    view : {"matrix", "first-axis", "last-axis"}
        As in :func:`orthogonalized`: whether an array of more axes is a stack or one layer.

    Returns
    -------
    array of the shape of g

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`orthoref.arrays.enter`.
    """
    xp = enter(g=g)
    return xp.reshape(divided(xp.reshape(g, matrix_shape(tuple(g.shape), view)), (-2, -1)), g.shape)


def component_normalized(g: Array, *, components: Split = "columns", view: View = "matrix") -> Array:
    """Every column (or row) of g divided by its Euclidean norm; a zero column stays zero.

    Parameters
    ----------
    g : array of shape (..., m, n)
        Equation 3 of [TuddenhamPruegelBennettHare2022]_ has the components of a layer as columns; weights with the
        outputs first have them as rows.
    components : {"columns", "rows"}
    view : {"matrix", "first-axis", "last-axis"}
        As in :func:`orthogonalized`.

    Returns
    -------
    array of the shape of g

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`orthoref.arrays.enter`.

    Notes
    -----
    Equation (COMPONENT). Zero at a zero column is the choice of smallest norm: no direction is preferred there, and no
    eps added to the norm makes small columns shorter than the others.
    """
    xp = enter(g=g)
    require_choice("components", components, ("columns", "rows"))
    matrix = xp.reshape(g, matrix_shape(tuple(g.shape), view))
    return xp.reshape(divided(matrix, -2 if components == "columns" else -1), g.shape)


def divided(g: Array, axis: int | tuple[int, int]) -> Array:
    """G over its Euclidean norm along the axes, without overflow or underflow on the way; zero stays zero."""
    xp = namespace(g)
    if 0 in g.shape:
        return xp.zeros_like(g)
    y = unit_scale(g, axis=axis).apply(g)
    size = xp.sqrt(xp.sum(xp.abs(y) ** 2, axis=axis, keepdims=True))
    return y / xp.where(size > 0, size, xp.ones_like(size))


def matrix_shape(shape: tuple[int, ...], view: View) -> tuple[int, ...]:
    """Shape of the matrices that a view makes of an array."""
    require_choice("view", view, ("matrix", "first-axis", "last-axis"))
    if view == "first-axis":
        return shape[0], prod(shape[1:])
    return shape if view == "matrix" else (prod(shape[:-1]), shape[-1])


def block_sizes(length: int, heads: Any, split: str) -> tuple[int, ...]:
    """Sizes of the blocks that an axis is divided into."""
    require_choice("split", split, ("rows", "columns"))
    if isinstance(heads, int) and not isinstance(heads, bool) and heads > 0 and length % heads == 0:
        return (length // heads,) * heads
    if isinstance(heads, Sequence) and not isinstance(heads, str):
        whole = all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in heads)
        if whole and sum(heads) == length:
            return tuple(heads)
    raise ValueError(f"heads={heads!r} do not divide {length} {split}")


def blocks(x: Array, view: View, heads: int | Sequence[int], split: Split) -> list[Array]:
    """The matrices of x, divided."""
    matrix = namespace(x).reshape(x, matrix_shape(tuple(x.shape), view))
    sizes = block_sizes(matrix.shape[-2 if split == "rows" else -1], heads, split)
    if len(sizes) == 1:
        return [matrix]
    ends = accumulate(sizes)
    parts = [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]
    return [matrix[..., part, :] if split == "rows" else matrix[..., part] for part in parts]


def joined(parts: list[Array], like: Array, split: Split) -> Array:
    """What :func:`blocks` divided, together again and in the shape that it had."""
    xp = namespace(like)
    whole = parts[0] if len(parts) == 1 else xp.concat(parts, axis=-2 if split == "rows" else -1)
    return xp.reshape(whole, like.shape)
