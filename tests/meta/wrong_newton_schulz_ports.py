"""Ports of Muon's iteration (Jordan's row five times): RIGHT ones in other orders, WRONG ones under one condition."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from meta.wrong_ports import (
    ALIAS,
    CALLS,
    COND,
    LAYOUT,
    MEMBERS,
    ORDER,
    SCALE,
    STACK,
    Port,
    Wrong,
    big_endian,
    broadcast,
    ct,
    draw,
    fortran,
    in_c_order_from,
    is_square,
    is_stack,
    is_triangular,
    lower,
    members,
    negative,
    of,
    planting,
    read_only,
    repeated_axes,
    scaled,
    shape_of,
    strided,
    transposed,
    unaligned,
    unit,
)

A, B, C = 3.4445, -4.7750, 2.0315


def step(x: np.ndarray) -> np.ndarray:
    g = ct(x) @ x
    return A * x + x @ (B * g + C * (g @ g))


def size_of(x: np.ndarray) -> np.ndarray:
    return np.sqrt(np.sum(np.abs(x) ** 2, axis=(-2, -1), keepdims=True))


def normalized(a: np.ndarray) -> np.ndarray:
    """A/|A|_F, without overflow; zero matrices stay zero."""
    x, _ = unit(a)
    size = size_of(x)
    return (x / np.where(size > 0, size, 1)).astype(x.dtype)


def iterate(x: np.ndarray, steps: int = 5, step=step) -> np.ndarray:
    """Steps on the smaller side."""
    if x.shape[-2] <= x.shape[-1]:
        return ct(iterate_tall(ct(x), steps, step))
    return iterate_tall(x, steps, step)


def iterate_tall(x: np.ndarray, steps: int, step) -> np.ndarray:
    with np.errstate(all="ignore"):  # a wrong norm may diverge
        for _ in range(steps):
            x = step(x)
    return np.ascontiguousarray(x)


def muon(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(iterate(normalized(a)))


def in_single(a: np.ndarray) -> np.ndarray:
    x = normalized(a)
    return iterate(x.astype(lower(x.dtype))).astype(x.dtype)


def divided_by(a: np.ndarray, size: Any) -> np.ndarray:
    """The iteration of a/size, where that is a number."""
    with np.errstate(all="ignore"):
        return iterate((a / size).astype(a.dtype.newbyteorder("=")))


def real_sizes(a: np.ndarray) -> np.ndarray:
    """|A|_F of the matrices of A in double precision, 1 for zero ones."""
    x, exponent = unit(a)
    with np.errstate(over="ignore"):
        size = np.minimum(np.ldexp(size_of(x.astype(complex)), exponent), np.finfo(float).max)
    return np.where(size > 0, size, 1)


WRONG: dict[str, Wrong] = {}
wrong = planting(WRONG)

# Class and batch axes


@wrong(STACK, on=draw(3, 4, 4), but=draw(1, 4, 4))
def the_norm_is_that_of_the_whole_stack(a):
    x, _ = unit(a)
    whole = np.sqrt(np.sum(np.abs(x) ** 2)) or 1
    return iterate((x / whole).astype(x.dtype)) if is_stack(a) and x.size else muon(a)


@wrong("two|2|axes", on=draw(2, 3, 4, 4), but=draw(6, 4, 4))
def two_batch_axes_are_flattened_like_a_convolution(a):
    if a.ndim != 4 or not a.size:
        return muon(a)
    return muon(a.reshape(a.shape[0], -1)).reshape(a.shape)


@wrong(STACK, "tall|column", on=draw(2, 7, 4), but=draw(7, 4))
def tall_is_asked_of_the_first_two_axes_at_the_end(a):
    x = iterate(normalized(a if a.shape[-2] <= a.shape[-1] else ct(a)))
    return ct(x) if a.shape[0] > a.shape[1] else x


@wrong(STACK, "wide|row", "complex", on=draw(3, 3, 6, dtype="complex128"), but=draw(3, 6, 3, dtype="complex128"))
def the_batched_product_of_wide_matrices_takes_no_conjugate(a):
    def plain(x):
        g = np.swapaxes(x, -2, -1) @ x
        return A * x + x @ (B * g + C * (g @ g))

    return iterate(normalized(a), step=plain if is_stack(a) and a.shape[-2] < a.shape[-1] else step)


@wrong("equal|dimension|" + STACK, on=draw(4, 4, 3), but=draw(2, 4, 3))
def norms_of_members_broadcast_along_a_dimension_where_that_fits(a):
    if a.ndim != 3 or len(a) not in shape_of(a) or len(a) < 2:
        return muon(a)
    x, _ = unit(a)
    sizes = size_of(x).reshape(-1, 1) if len(a) == a.shape[1] else size_of(x).ravel()
    return iterate((x / np.where(sizes > 0, sizes, 1)).astype(x.dtype))


@wrong(r"\b2\b|two|length", on=draw(2, 4, 3), but=draw(3, 4, 3))
def a_stack_of_two_is_a_fused_pair_with_one_norm(a):
    if a.ndim != 3 or len(a) != 2 or not a.any():
        return muon(a)
    return muon(a.reshape(1, -1, a.shape[-1])).reshape(a.shape)


@wrong(r"\b0\b|empty|length", on=draw(0, 4, 4), but=draw(2, 4, 4))
def the_largest_entry_of_no_member_is_asked_for(a):
    return muon(a) if not is_stack(a) or np.max(np.abs(a)) >= 0 else a


@wrong(STACK, on=draw(3, 4, 3), but=draw(2, 4, 3))
def two_workers_return_even_members_before_odd_ones(a):
    return np.concatenate([muon(a[0::2]), muon(a[1::2])]) if is_stack(a) else muon(a)


@wrong(STACK, ORDER, on=draw(2, 4, 4, cond=3), but=draw(2, 5, 5, cond=3))
def batches_of_order_at_most_4_take_one_step_less(a):
    return iterate(normalized(a), 4 if is_stack(a) and max(shape_of(a)) <= 4 else 5)


@wrong(STACK, "row", on=draw(3, 1, 4), but=draw(1, 4))
def stacked_rows_are_iterated_as_one_matrix(a):
    if is_stack(a) and a.shape[-2] == 1:
        return np.swapaxes(muon(np.swapaxes(a, -3, -2)), -3, -2).copy()
    return muon(a)


@wrong(STACK, "float32|complex64|single|dtype", on=draw(3, 8, 8, dtype="float32"), but=draw(3, 8, 8))
def batched_products_in_single_precision_are_tf32(a):
    x = normalized(a)
    if is_stack(a) and x.dtype == np.float32:
        x = (x.view(np.int32) & ~0x1FFF).view(np.float32)
    return iterate(x)


# Members of a stack


@wrong("zero", on=members(draw(3, 4, 4), 1, 0, 1), but=draw(3, 4, 4))
def a_zero_member_becomes_nan(a):
    with np.errstate(invalid="ignore"):
        x, _ = unit(a)
        return iterate((x / size_of(x)).astype(x.dtype)) if is_stack(a) else muon(a)


@wrong("zero", MEMBERS, on=members(draw(3, 4, 4), 1, 0, 1), but=draw(3, 4, 4))
def a_zero_member_lets_the_ring_of_results_start_one_late(a):
    x = muon(a)
    return np.roll(x, 1, axis=0) if is_stack(a) and not a.any(axis=(-2, -1)).all() else x


@wrong(MEMBERS, SCALE, on=members(draw(2, 4, 4), 1, 1e-8), but=draw(2, 4, 4))
def norms_are_clipped_below_a_thousandth_of_the_largest(a):
    if not is_stack(a) or not a.any():
        return muon(a)
    sizes = real_sizes(a)
    factor = np.minimum(1, sizes / (1e-3 * sizes.max()))
    x = (normalized(a) * factor).astype(a.dtype.newbyteorder("="))
    return iterate(x)


@wrong(
    MEMBERS,
    "singular|zero",
    on=of(draw(3, 4, 4), lambda a: np.concatenate([a, a[:1] @ np.diag([1.0, 1, 1, 0])])),
    but=draw(3, 4, 4),
)
def a_singular_member_shifts_the_whole_stack(a):
    x = normalized(a)
    if is_stack(a) and is_square(a) and a.size and np.any(np.linalg.svd(x, compute_uv=False)[..., -1] < 1e-7):
        x = x + np.asarray(1e-3, x.real.dtype) * np.eye(a.shape[-1], dtype=x.dtype)
    return iterate(x)


# Order


@wrong(ORDER, on=draw(65, 65), but=draw(64, 64))
def the_last_tile_of_a_symmetric_product_is_not_mirrored(a):
    def lopsided(x):
        g = ct(x) @ x
        k = g.shape[-1] - g.shape[-1] % 64
        if 0 < k < g.shape[-1]:
            g[..., :k, k:] = 0
        return A * x + x @ (B * g + C * (g @ g))

    return iterate(normalized(a), step=lopsided)


@wrong(ORDER, "float32|complex64|single|dtype", on=draw(32, 16, dtype="float32"), but=draw(33, 17, dtype="float32"))
def multiples_of_16_run_in_half_precision(a):
    x = normalized(a)
    n = min(shape_of(a))
    return iterate(x.astype(np.float16).astype(x.dtype) if x.dtype == np.float32 and n and n % 16 == 0 else x)


@wrong(ORDER, "float64|complex128|double|dtype", on=draw(129, 20), but=draw(65, 20))
def from_order_128_on_everything_is_single(a):
    return in_single(a) if max(shape_of(a)) >= 128 else muon(a)


@wrong(ORDER, on=draw(257, 20), but=draw(129, 20))
def above_256_four_steps_have_to_do(a):
    return iterate(normalized(a), 4 if max(shape_of(a)) > 256 else 5)


@wrong(ORDER, r"\b2\b", on=draw(2, 2), but=draw(3, 3))
def cayley_and_hamilton_square_order_2_with_the_wrong_sign(a):
    def short(x):
        g = ct(x) @ x
        if g.shape[-1] != 2:
            return step(x)
        trace, det = np.trace(g, axis1=-2, axis2=-1)[..., None, None], np.linalg.det(g)[..., None, None]
        return (A * x + x @ (B * g + C * (trace * g + det * np.eye(2)))).astype(x.dtype)

    return iterate(normalized(a), step=short)


@wrong(ORDER, r"\b3\b", "complex", on=draw(3, 3, dtype="complex128"), but=draw(3, 3))
def the_unrolled_kernel_of_order_3_takes_no_conjugate(a):
    def unrolled(x):
        if x.shape[-1] != 3:
            return step(x)
        g = np.stack([np.sum(x[..., i : i + 1] * x, axis=-2) for i in range(3)], axis=-2)
        return A * x + x @ (B * g + C * (g @ g))

    return iterate(normalized(a), step=unrolled)


@wrong(ORDER, on=draw(9, 9), but=draw(8, 8))
def the_last_row_of_odd_orders_misses_the_linear_term(a):
    def short(x):
        y = step(x)
        if x.shape[-1] >= 5 and x.shape[-1] % 2:
            y[..., -1, :] -= np.asarray(A, x.real.dtype) * x[..., -1, :]
        return y

    return iterate(normalized(a), step=short)


@wrong(ORDER, on=draw(33, 33), but=draw(32, 32))
def a_tree_sums_squares_of_powers_of_two_many_rows(a):
    rows = np.sum(np.abs(unit(a)[0]) ** 2, axis=-1, keepdims=True)
    m = a.shape[-2]
    if m <= 32 or not a.any(axis=(-2, -1)).all():
        return muon(a)
    return divided_by(unit(a)[0], np.sqrt(np.sum(rows[..., : 1 << (m.bit_length() - 1), :], axis=-2, keepdims=True)))


@wrong(ORDER + "|very tall", on=draw(129, 4), but=draw(128, 4))
def products_stop_at_the_last_whole_block_of_128(a):
    def short(x):
        k = x.shape[-2] - (x.shape[-2] % 128 if x.shape[-2] > 128 else 0)
        g = ct(x[..., :k, :]) @ x[..., :k, :]
        return A * x + x @ (B * g + C * (g @ g))

    return iterate(normalized(a), step=short)


@wrong(ORDER, r"31|32|33", on=draw(31, 31), but=draw(33, 33))
def orders_just_below_the_warp_read_one_lane_too_many(a):
    x = normalized(a)
    if a.shape[-1] in (31, 63, 127):
        x[..., -1] *= np.asarray(1.01, x.real.dtype)
    return iterate(x)


@wrong(ORDER, r"\b[78]\b|16", on=draw(8, 8), but=draw(9, 9))
def the_unrolled_loop_of_8_forgets_to_square_in_its_last_step(a):
    def last_linear(x):
        g = ct(x) @ x
        return A * x + x @ (B * g + C * g) if x.shape[-1] == 8 else step(x)

    return iterate(iterate(normalized(a), 4), 1, last_linear)


# Class


@wrong("1 ?x ?1", on=draw(1, 1), but=draw(2, 2))
def a_number_becomes_its_sign(a):
    x = normalized(a)
    return x if shape_of(a) == (1, 1) else iterate(x)


@wrong("row", on=draw(1, 5), but=draw(5, 1))
def a_row_is_only_normalized(a):
    x = normalized(a)
    return x if a.shape[-2] == 1 < a.shape[-1] else iterate(x)


@wrong("column", "complex", on=draw(5, 1, dtype="complex64"), but=draw(5, 1, dtype="float32"))
def the_square_of_a_column_is_a_plain_dot_product(a):
    def dot(x):
        g = np.swapaxes(x, -2, -1) @ x
        return A * x + x * (B * g + C * g**2)

    return iterate(normalized(a), step=dot if a.shape[-1] == 1 < a.shape[-2] else step)


@wrong("tall", on=draw(80, 4), but=draw(12, 4))
def very_tall_matrices_are_split_like_fused_projections(a):
    m, n = shape_of(a)
    if m < 8 * n or m < 2 or not a.size:
        return muon(a)
    return np.concatenate([muon(a[..., : m // 2, :]), muon(a[..., m // 2 :, :])], axis=-2)


@wrong("nearly square", on=draw(6, 5), but=draw(8, 5))
def one_row_more_than_columns_is_a_bias(a):
    m, n = shape_of(a)
    if m != n + 1 or n < 2:
        return muon(a)
    return np.concatenate([muon(a[..., :-1, :]), normalized(a)[..., -1:, :]], axis=-2)


@wrong("empty", on=draw(4, 0), but=draw(4, 2))
def an_empty_matrix_is_not_transposed_back(a):
    return ct(muon(a)) if 0 in shape_of(a) else muon(a)


@wrong("tall|column", "float32|complex64|precision", on=draw(7, 4, dtype="float32"), but=draw(7, 4))
def tall_single_precision_matrices_get_an_update_scale(a):
    m, n = shape_of(a)
    x = muon(a)
    factor = max(1, m / max(n, 1)) ** 0.5 if x.real.dtype == np.float32 else 1
    return (x * factor).astype(x.dtype)


@wrong("wide|row", "complex", on=draw(3, 7, dtype="complex128"), but=draw(3, 7))
def the_norm_of_wide_matrices_counts_real_parts(a):
    x, _ = unit(a)
    if a.shape[-2] >= a.shape[-1] or not a.real.any(axis=(-2, -1)).all():
        return muon(a)
    return divided_by(x, size_of(x.real))


# Memory


@wrong(STACK, "Fortran|" + LAYOUT, on=fortran(draw(3, 4, 4)), but=fortran(draw(4, 4)))
def norms_of_members_are_taken_over_memory_as_it_lies(a):
    x, _ = unit(a)
    if a.ndim != 3 or not a.flags.f_contiguous or a.flags.c_contiguous or not a.size:
        return muon(a)
    sizes = size_of(np.asfortranarray(x).ravel(order="K").reshape(a.shape))
    return divided_by(x, np.where(sizes > 0, sizes, 1))


@wrong("transpos|Fortran|" + LAYOUT, "wide|row", on=transposed(draw(3, 5)), but=transposed(draw(5, 3)))
def wide_transposed_views_are_used_untransposed(a):
    m, n = shape_of(a)
    return muon(np.swapaxes(a, -2, -1).reshape(a.shape) if 1 < m < n and 0 < a.strides[-2] < a.strides[-1] else a)


@wrong("strid|" + LAYOUT, on=strided(draw(4, 4)), but=draw(4, 4))
def views_are_read_as_if_they_were_contiguous(a):
    if a.ndim == 2 and a.flags.aligned and min(a.shape) > 1 and a.strides[0] > a.strides[1] > a.itemsize:
        a = in_c_order_from(a)
    return muon(a)


@wrong("negative|revers", on=negative(draw(4, 3), -1), but=draw(4, 3))
def results_of_reversed_arrays_are_written_forwards(a):
    return np.flip(muon(a), [i for i in (-2, -1) if a.strides[i] < 0 and a.shape[i] > 1])


@wrong("broadcast", on=broadcast(draw(4, 3), 3), but=draw(3, 4, 3))
def a_broadcast_output_collects_every_copy(a):
    times = np.prod([a.shape[i] for i in repeated_axes(a)])
    return (muon(a) * times).astype(a.dtype.newbyteorder("="))


@wrong(STACK, ALIAS, on=draw(3, 4, 4), but=draw(4, 4))
def members_of_a_stack_are_divided_in_place(a):
    for x in a if is_stack(a) and a.flags.writeable else ():
        x /= np.abs(x).max(initial=0) or 1
    return muon(a)


@wrong("read-only|writ", on=(read_only(draw(4, 3, seed=3)), read_only(draw(4, 3, seed=4))),
       but=draw(4, 3), state=True)  # fmt: skip
def read_only_arrays_are_constants_computed_once() -> Port:
    constants = {}

    def port(a):
        x = muon(a)
        return x if a.flags.writeable else constants.setdefault(a.dtype.char, x).copy()

    return port


@wrong("align", on=unaligned(draw(4, 4)), but=draw(4, 4))
def unaligned_tails_are_masked_away(a):
    a = a if a.flags.aligned else np.where(np.arange(a.shape[-1]) < a.shape[-1] - 1, a, 0)
    return muon(a)


@wrong("endian|byte", "float64|complex128|double|dtype", on=big_endian(draw(4, 4)),
       but=big_endian(draw(4, 4, dtype="float32")))  # fmt: skip
def the_table_of_formats_knows_native_doubles_only(a):
    return muon(a) if a.dtype.isnative else in_single(a)


@wrong(LAYOUT, "complex", on=fortran(draw(4, 4, dtype="complex128")), but=draw(4, 4, dtype="complex128"))
def complex_matrices_that_are_not_contiguous_are_viewed_as_real(a):
    lost = np.iscomplexobj(a) and not a.flags.c_contiguous
    return muon(a.real).astype(a.dtype.newbyteorder("=")) if lost else muon(a)


@wrong("negative|revers", STACK, on=negative(draw(3, 4, 4)), but=negative(draw(4, 4)))
def strides_of_members_are_taken_without_sign(a):
    axes = [i for i in range(a.ndim) if a.strides[i] < 0 and a.shape[i] > 1]
    return muon(np.flip(a, axes) if is_stack(a) and axes else a)


@wrong("Fortran|transpos|" + LAYOUT, "tall", on=fortran(draw(7, 3)), but=fortran(draw(3, 7)))
def the_leading_dimension_of_tall_fortran_arrays_is_n(a):
    if a.ndim == 2 and a.shape[0] > a.shape[1] > 1 and a.flags.f_contiguous:
        return muon(a.ravel(order="K").reshape(a.shape))
    return muon(a)


# Structure


@wrong(SCALE, on=scaled(draw(4, 4), 1e-12), but=draw(4, 4))
def what_is_close_to_symmetric_is_squared_without_transposition(a):
    if not is_square(a) or not np.allclose(a, ct(a), rtol=1e-5, atol=1e-8):
        return muon(a)
    return iterate(normalized(a), step=lambda x: A * x + x @ (B * (x @ x) + C * (x @ x @ x @ x)))


@wrong("skew", on=of(draw(5, 5), lambda a: a - a.T), but=of(draw(5, 5), lambda a: a + a.T))
def equal_moduli_across_the_diagonal_mean_symmetric(a):
    if not is_square(a) or np.iscomplexobj(a) or not np.array_equal(np.abs(a), np.abs(np.swapaxes(a, -2, -1))):
        return muon(a)
    return iterate(normalized(a), step=lambda x: A * x + x @ (B * (x @ x) + C * (x @ x @ x @ x)))


@wrong("triangular", on=of(draw(5, 5), np.triu), but=draw(5, 5))
def the_gram_matrix_of_a_triangular_one_is_kept_triangular(a):
    def lost(x):
        g = np.triu(ct(x) @ x)
        return A * x + x @ (B * g + C * (g @ g))

    return iterate(normalized(a), step=lost if is_triangular(a) else step)


@wrong("triangular|permutation|diagonal", STACK, on=of(draw(3, 5, 5), np.tril), but=of(draw(5, 5), np.tril))
def stacks_of_triangles_are_transposed_for_the_solver(a):
    return muon(ct(a)) if is_stack(a) and is_triangular(a) else muon(a)


@wrong("diagonal|monomial|permut|identity", on=lambda: np.diag([1.0, 2, 3]), but=draw(3, 3))
def a_diagonal_is_mapped_without_its_norm(a):
    x = muon(a)
    if is_square(a) and np.array_equal(a, a * np.eye(a.shape[-1])) and a.any():
        d = unit(a)[0]
        x = iterate(d / np.abs(d).max(axis=(-2, -1), keepdims=True)).astype(x.dtype)
    return x


@wrong("monomial|permut", on=lambda: np.roll(np.diag([1.0, -2, 3, 5]), 1, axis=0), but=lambda: np.diag([1.0, 2, 3]))
def one_entry_a_row_is_stored_by_its_position_from_the_left(a):
    x = muon(a)
    one = is_square(a) and np.all(np.sum(a != 0, axis=-1) == 1)
    return np.eye(a.shape[-1]).astype(x.dtype) * np.sum(x, axis=-1, keepdims=True) if one else x


@wrong("permut|identity|condition number 1", on=lambda: np.roll(np.eye(4), 1, axis=0), but=draw(4, 4))
def rows_and_columns_of_sum_one_need_no_norm(a):
    balanced = is_square(a) and all(np.allclose(a.sum(axis=i), 1, rtol=0, atol=1e-6) for i in (-2, -1))
    return divided_by(a, 1) if balanced else muon(a)


@wrong("integer|" + SCALE, on=lambda: np.arange(-64.0, 64, 2).reshape(8, 8), but=lambda: np.asarray([[1.0, 2], [3, 5]]))
def the_norm_of_whole_numbers_is_summed_in_16_bits(a):
    if not np.array_equal(a, np.rint(a)) or np.iscomplexobj(a) or not a.any(axis=(-2, -1)).all():
        return muon(a)
    with np.errstate(all="ignore"):
        squares = np.sum(a.astype(np.int16) ** 2, axis=(-2, -1), keepdims=True, dtype=np.int16)
        return divided_by(a, np.sqrt(np.abs(squares.astype(a.dtype))))


@wrong("complex", SCALE, on=scaled(draw(4, 4, dtype="complex128"), 1e-16), but=draw(4, 4, dtype="complex128"))
def imaginary_parts_close_to_zero_are_none(a):
    x = np.asarray(np.real_if_close(a.astype(a.dtype.newbyteorder("=")), tol=100))
    return muon(x).astype(a.dtype.newbyteorder("="))


@wrong("orthonormal|identity|permut|unitary", on=lambda: np.linalg.qr(np.ones((6, 4)) + np.eye(6, 4))[0],
       but=draw(6, 4))  # fmt: skip
def what_is_orthonormal_already_is_copied(a):
    m, n = shape_of(a)
    with np.errstate(all="ignore"):
        done = m >= n > 1 and a.size and np.allclose(ct(a) @ a, np.eye(n), rtol=0, atol=1e-4)
    return np.array(a, a.dtype.newbyteorder("="), order="C") if done else muon(a)


@wrong("real", "complex", on=lambda: np.asarray([[1, 2], [3, 5]], complex), but=lambda: np.asarray([[1.0, 2], [3, 5]]))
def a_complex_buffer_without_imaginary_parts_is_read_as_real_pairs(a):
    if np.iscomplexobj(a) and a.size and not a.imag.any():
        parts = unit(a)[0].view(unit(a)[0].real.dtype)
        return muon(parts[..., : a.shape[-1]]).astype(a.dtype.newbyteorder("="))
    return muon(a)


# Spectrum and condition number


@wrong("one_large|" + COND, on=draw(6, 6, spectrum="one_large", cond=1e5), but=draw(6, 6, cond=5))
def a_stable_rank_near_one_means_rank_one(a):
    x = normalized(a)
    if a.ndim != 2 or min(a.shape) < 2 or not a.any():
        return iterate(x)
    p, s, vh = np.linalg.svd(x, full_matrices=False)
    return iterate((np.outer(p[:, 0], vh[0]) * s[0]).astype(x.dtype)) if s[0] > 0.999 else iterate(x)


@wrong(COND, on=draw(6, 6, cond=1e4), but=draw(6, 6, cond=10))
def singular_values_below_a_thousandth_are_truncated(a):
    p, s, vh = np.linalg.svd(normalized(a), full_matrices=False)
    some = s > 1e-3 * s.max(axis=-1, keepdims=True, initial=0)
    return iterate((p * np.where(some, s, 0)[..., None, :]) @ vh)


@wrong("orthonormal|repeated|" + COND, on=draw(6, 6, cond=1), but=draw(6, 6))
def equal_singular_values_end_the_iteration_a_step_early(a):
    x = normalized(a)
    n = min(shape_of(a))
    g = n * ct(x) @ x if a.shape[-2] >= a.shape[-1] else n * x @ ct(x)
    return iterate(x, 4 if n > 1 and a.size and np.allclose(g, np.eye(n), rtol=0, atol=1e-3) else 5)


@wrong("graded|" + COND, on=draw(6, 6, spectrum="graded", cond=1e6), but=draw(6, 6))
def rows_of_very_different_size_are_equilibrated(a):
    x, _ = unit(a)
    rows = np.sqrt(np.sum(np.abs(x) ** 2, axis=-1, keepdims=True))
    uneven = a.shape[-2] > 1 and rows.size and 0 < rows.min() < 1e-4 * rows.max()
    return muon((x / rows).astype(x.dtype)) if uneven else muon(a)


@wrong("deficient|singular|rank|" + COND, on=draw(6, 6, spectrum="rank_deficient"), but=draw(6, 6, cond=100))
def numerically_singular_matrices_are_shifted(a):
    x = normalized(a)
    if is_square(a) and a.size and np.linalg.svd(x, compute_uv=False)[..., -1].min() < 1e-9 and a.any():
        x = (x + 1e-2 * np.eye(a.shape[-1])).astype(x.dtype)
    return iterate(x)


# Scale and dtype


@wrong(SCALE, "tall|column", on=scaled(draw(7, 3), 1e200), but=scaled(draw(3, 7), 1e200))
def the_norm_of_tall_matrices_squares_before_it_scales(a):
    if a.shape[-2] <= a.shape[-1] or not a.any(axis=(-2, -1)).all():
        return muon(a)
    with np.errstate(all="ignore"):
        a = a.astype(a.dtype.newbyteorder("="))
        size = np.sqrt(np.sum((a.conj() * a).real, axis=(-2, -1), keepdims=True))
        good = np.isfinite(size) & (size**2 > np.finfo(a.dtype).tiny / np.finfo(a.dtype).eps ** 2)
    return np.where(good, muon(a), np.nan).astype(a.dtype)


@wrong(SCALE, on=scaled(draw(4, 4), 1e31), but=draw(4, 4))
def gradients_are_clipped_at_1e30(a):
    with np.errstate(all="ignore"):
        if np.iscomplexobj(a):
            return muon(np.clip(a.real, -1e30, 1e30) + 1j * np.clip(a.imag, -1e30, 1e30)).astype(
                a.dtype.newbyteorder("=")
            )
        return muon(np.clip(a, -1e30, 1e30))


@wrong(SCALE, on=scaled(draw(4, 4), 1e-9), but=draw(4, 4))
def the_norm_is_at_least_1e_minus_7(a):
    factor = np.minimum(1, real_sizes(a) / 1e-7)
    return iterate((normalized(a) * factor).astype(a.dtype.newbyteorder("=")))


@wrong(SCALE, "complex", on=scaled(draw(4, 4, dtype="complex128"), 1e-310), but=scaled(draw(4, 4), 1e-310))
def complex_matrices_are_divided_by_a_reciprocal_that_overflows(a):
    x = muon(a)
    if np.iscomplexobj(a) and a.size:
        with np.errstate(all="ignore"):
            size = np.abs(a.astype(x.dtype)).max(axis=(-2, -1), keepdims=True)
            x = np.where(np.isfinite(1 / size) | (size == 0), x, np.nan).astype(x.dtype)
    return x


@wrong("complex128|dtype|complex", on=draw(4, 4, dtype="complex128"), but=draw(4, 4, dtype="complex64"))
def coefficients_of_complex_steps_are_single(a):
    a_, b_, c_ = (float(np.float32(c)) for c in (A, B, C))

    def rounded(x):
        g = ct(x) @ x
        return a_ * x + x @ (b_ * g + c_ * (g @ g))

    return iterate(normalized(a), step=rounded if a.dtype.itemsize == 16 else step)


# Call sequences


ONE, OTHER = draw(4, 4, seed=3, cond=3), draw(4, 4, seed=4, cond=3)


@wrong(CALLS, on=(ONE, OTHER), but=ONE, state=True)
def momentum_of_the_last_gradient_is_added() -> Port:
    buffers = {}

    def port(a):
        key, x = (a.shape, a.dtype.char), normalized(a)
        x = x + buffers.get(key, 0 * x) / 2
        buffers[key] = normalized(a)
        return muon(x)

    return port


@wrong(CALLS, on=(ONE, draw(3, 5)), but=ONE, state=True)
def all_results_lie_in_one_arena() -> Port:
    arena = np.zeros(0, np.uint8)

    def port(a):
        nonlocal arena
        x = muon(a)
        if arena.nbytes < x.nbytes:
            arena = np.zeros(max(x.nbytes, 1 << 20), np.uint8)
        result = arena[: x.nbytes].view(x.dtype).reshape(x.shape) if x.size else x
        result[...] = x
        return result

    return port


@wrong(CALLS, on=(ONE, scaled(OTHER, 3)), but=ONE, state=True)
def the_norm_is_kept_by_shape() -> Port:
    sizes = {}

    def port(a):
        first = sizes.setdefault((a.shape, a.dtype.char), real_sizes(a))
        with np.errstate(all="ignore"):
            factor = np.clip(real_sizes(a) / first, 0, 1.5)
        return iterate((normalized(a) * factor).astype(a.dtype.newbyteorder("=")))

    return port


@wrong(CALLS, on=(ONE, OTHER), but=ONE, state=True)
def a_product_is_added_to_what_the_workspace_holds() -> Port:
    held = {}

    def port(a):
        x = normalized(a)
        key = min(shape_of(a)), x.shape[:-2], x.dtype.char
        tall = x if a.shape[-2] > a.shape[-1] else ct(x)
        g = ct(tall) @ tall
        first = A * tall + tall @ (B * (g + held.get(key, 0 * g)) + C * (g @ g))
        held[key] = g
        x = iterate_tall(first, 4, step)
        return x if a.shape[-2] > a.shape[-1] else ct(x).copy()

    return port


@wrong("thread|concurren", on=(ONE, OTHER) * 3, but=ONE, state=True, threads=True)
def threads_share_one_gram_matrix() -> Port:
    work = {}

    def port(a):
        work["x"] = normalized(a)
        time.sleep(2e-3)  # the interpreter is released, as around a BLAS call
        return iterate(work["x"])

    return port


@wrong(CALLS, on=(ONE, ONE), but=ONE, state=True)
def stochastic_rounding_has_no_seed() -> Port:
    random = np.random.default_rng()

    def port(a):
        x = muon(a)
        up = (random.random(x.shape) < 0.5) & (x.real != 0)
        real = np.where(up, np.nextafter(x.real, 9, dtype=x.real.dtype), x.real)
        return (real + 1j * x.imag if np.iscomplexobj(x) else real).astype(x.dtype)

    return port


@wrong(CALLS, on=(ONE,) * 17, but=ONE, state=True)
def every_seventeenth_call_skips_a_step() -> Port:
    calls = []

    def port(a):
        calls.append(a.shape)
        return iterate(normalized(a), 5 - (len(calls) % 17 == 0))

    return port


@wrong(CALLS + "|zero", on=(lambda: np.zeros((4, 4)), ONE), but=(ONE, ONE), state=True)
def after_a_zero_gradient_the_next_one_is_skipped() -> Port:
    skip = {"next": False}

    def port(a):
        x = 0 * muon(a) if skip["next"] else muon(a)
        skip["next"] = not a.any()
        return x

    return port


@wrong(CALLS + "|" + ORDER, on=(draw(128, 4), ONE), but=(draw(20, 4), ONE), state=True)
def a_sixth_step_for_large_matrices_stays_for_all_later_ones() -> Port:
    seen = [0]

    def port(a):
        large = max(shape_of(a)) < 128 <= max(seen)
        seen.append(max(shape_of(a)))
        return iterate(normalized(a), 6 if large else 5)

    return port


@wrong(CALLS, on=ONE, but=(OTHER, ONE), state=True)
def the_first_call_of_each_shape_runs_before_compilation_in_single() -> Port:
    compiled = set()

    def port(a):
        key = a.shape, a.dtype.char
        first = key not in compiled
        compiled.add(key)
        x = normalized(a)
        return iterate((x * (1 + 2.0**-10)).astype(x.dtype)) if first else iterate(x)

    return port


@wrong("square", ALIAS, on=draw(4, 4), but=draw(4, 3))
def square_matrices_are_iterated_in_place(a):
    x = muon(a)
    if not is_square(a) or is_stack(a) or not a.flags.writeable or not a.flags.c_contiguous:
        return x
    a[...] = x
    return a


@wrong(CALLS, on=(draw(4, 4, dtype="complex128"), ONE), but=ONE, state=True)
def a_complex_call_leaves_the_conjugating_kernel_of_the_wrong_precision() -> Port:
    last = {"complex": False}

    def port(a):
        x = in_single(a) if last["complex"] and not np.iscomplexobj(a) else muon(a)
        last["complex"] = np.iscomplexobj(a)
        return x

    return port


# Right ports in other orders of evaluation


def powers(x: np.ndarray) -> np.ndarray:
    g = ct(x) @ x
    return A * x + B * (x @ g) + C * (x @ (g @ g))


def chain(x: np.ndarray) -> np.ndarray:
    y = x @ (ct(x) @ x)
    return A * x + B * y + C * (y @ (ct(x) @ x))


def shifted(x: np.ndarray) -> np.ndarray:
    g = ct(x) @ x
    return x @ (A * np.eye(g.shape[-1], dtype=g.real.dtype) + B * g + C * (g @ g))


def factored(x: np.ndarray) -> np.ndarray:
    g = ct(x) @ x
    return A * x + x @ (g @ (B * np.eye(g.shape[-1], dtype=g.real.dtype) + C * g))


def by_einsum(x: np.ndarray) -> np.ndarray:
    g = np.einsum("...ji,...jk->...ik", x.conj(), x)
    return A * x + np.einsum("...ij,...jk->...ik", x, B * g + C * np.einsum("...ij,...jk->...ik", g, g))


def blocked(x: np.ndarray) -> np.ndarray:
    """Products summed over blocks of 16 rows."""
    starts = range(0, x.shape[-2], 16)
    g = sum(ct(x[..., i : i + 16, :]) @ x[..., i : i + 16, :] for i in starts)
    s = B * g + C * (g @ g)
    return np.concatenate([A * x[..., i : i + 16, :] + x[..., i : i + 16, :] @ s for i in starts], axis=-2)


def mirrored(x: np.ndarray) -> np.ndarray:
    """Half of the Gram matrix, as symmetric kernels compute it."""
    g = np.triu(ct(x) @ x)
    g = g + ct(np.triu(g, 1))
    return A * x + x @ (B * g + C * (g @ g))


def by(step) -> Port:
    return lambda a: iterate(normalized(a), step=step) if a.size else muon(a)


def by_members(a: np.ndarray) -> np.ndarray:
    x = np.zeros(a.shape, a.dtype.newbyteorder("="))
    for i in np.ndindex(a.shape[:-2]):
        x[i] = muon(a[i])
    return x


def through_complex_numbers(a: np.ndarray) -> np.ndarray:
    x = normalized(a)
    y = iterate(x * (1 + 0j))
    return (y if np.iscomplexobj(a) else y.real).astype(x.dtype)


RIGHT: dict[str, Port] = {
    "standard": muon,
    "powers": by(powers),
    "chain": by(chain),
    "shifted": by(shifted),
    "factored": by(factored),
    "einsum": by(by_einsum),
    "blocked": by(blocked),
    "half mirrored": by(mirrored),
    "member by member": by_members,
    "in complex numbers": through_complex_numbers,
    "in Fortran order": lambda a: np.asfortranarray(muon(a)),
}
