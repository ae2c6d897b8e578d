"""Ports of the polar decomposition, a -> (u, h): RIGHT ones by different algorithms, WRONG ones under one condition."""

from __future__ import annotations

import time

import numpy as np
import scipy.linalg
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
    herm,
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
    times_power_of_two,
    transposed,
    unaligned,
    unit,
)

Factors = tuple[np.ndarray, np.ndarray]


def polar(a: np.ndarray) -> Factors:
    """U = P V^H, polished, and H = V S V^H of the scaled matrix."""
    x, exponent = unit(a)
    p, s, vh = np.linalg.svd(x, full_matrices=False)
    return polished(p @ vh), times_power_of_two(herm((ct(vh) * s[..., None, :]) @ vh), exponent)


def polished(u: np.ndarray) -> np.ndarray:
    """U <- U + U (I - U^H U)/2 once: LAPACK's divide and conquer can lose 1e-12 of orthonormality in clusters."""
    if u.shape[-2] < u.shape[-1]:
        return u + (np.eye(u.shape[-2], dtype=u.dtype) - u @ ct(u)) @ u / 2
    return u + u @ (np.eye(u.shape[-1], dtype=u.dtype) - ct(u) @ u) / 2


def with_h(a: np.ndarray, u: np.ndarray) -> Factors:
    """U and the Hermitian part of U^H A, without overflow."""
    x, exponent = unit(a)
    return u, times_power_of_two(herm(ct(u) @ x), exponent)


def in_single(a: np.ndarray) -> Factors:
    x, exponent = unit(a)
    u, h = polar(x.astype(lower(a.dtype)))
    return u.astype(x.dtype), times_power_of_two(h.astype(x.dtype), exponent)


def eye_like(u: np.ndarray) -> np.ndarray:
    return np.zeros_like(u) + np.eye(*u.shape[-2:], dtype=u.dtype)


WRONG: dict[str, Wrong] = {}
wrong = planting(WRONG)

# Class and batch axes


@wrong("equal|dimension|" + STACK, on=draw(5, 3, 5), but=draw(4, 3, 5))
def channels_are_taken_to_be_last_where_the_lengths_agree(a):
    last = a.ndim == 3 and a.shape[0] == a.shape[2]
    u, h = polar(np.moveaxis(a, -1, 0) if last else a)
    return np.moveaxis(u, 0, -1) if last else u, h


@wrong("two|2|axes", on=draw(2, 3, 4, 4), but=draw(6, 4, 4))
def two_batch_axes_are_flattened_in_fortran_order(a):
    u, h = polar(np.swapaxes(a, 0, 1) if a.ndim == 4 else a)
    return u.reshape(a.shape), h.reshape(*a.shape[:-2], *h.shape[-2:])


@wrong(STACK, "wide", "complex", on=draw(3, 4, 7, dtype="complex128"), but=draw(3, 7, 4, dtype="complex128"))
def stacks_of_wide_matrices_are_transposed_without_conjugate(a):
    u, h = polar(a)
    return u, np.swapaxes(h, -2, -1) if is_stack(a) and a.shape[-2] < a.shape[-1] else h


@wrong(STACK, "tall|column", on=draw(3, 7, 4), but=draw(7, 4))
def the_first_q_of_a_stack_serves_all(a):
    if a.shape[-2] <= a.shape[-1]:
        return polar(a)
    x, exponent = unit(a)
    q, r = np.linalg.qr(x)
    u, h = polar(r)
    return (q[:1] if is_stack(a) else q) @ u, times_power_of_two(h, exponent)


@wrong(r"\b0\b|empty|length", on=draw(0, 4, 4), but=draw(3, 4, 4))
def a_loop_over_no_members_has_nothing_to_stack(a):
    if not is_stack(a):
        return polar(a)
    u, h = zip(*map(a_loop_over_no_members_has_nothing_to_stack, a), strict=True)
    return np.stack(u), np.stack(h)


@wrong(r"\b1\b|one|length", on=draw(1, 4, 3), but=draw(2, 4, 3))
def a_batch_axis_of_length_one_is_squeezed(a):
    return tuple(x[0] if a.ndim == 3 and len(a) == 1 else x for x in polar(a))


@wrong(STACK, on=draw(3, 4, 4), but=draw(2, 4, 4))
def members_are_done_in_pairs_and_the_odd_one_is_left(a):
    u, h = polar(a)
    if is_stack(a) and len(a) % 2:
        u[-1] = 0
    return u, h


@wrong(STACK, on=draw(7, 3, 3, cond=5), but=draw(3, 3))
def members_sorted_by_size_come_back_by_the_wrong_permutation(a):
    if a.ndim != 3:
        return polar(a)
    order = np.argsort(np.abs(a).max(axis=(-2, -1), initial=0))
    u, h = polar(a[order])
    return u[order], h[order]


@wrong(STACK, "tall|column", "complex", on=draw(2, 5, 3, dtype="complex64"), but=draw(2, 5, 3, dtype="float32"))
def einsum_over_stacks_of_tall_matrices_forgets_the_conjugate(a):
    u, h = polar(a)
    if is_stack(a) and a.shape[-2] > a.shape[-1]:
        h = np.einsum("...ji,...jk->...ik", u, a).astype(u.dtype)
    return u, h


@wrong("row", STACK, on=draw(3, 1, 4), but=draw(1, 4))
def stacked_rows_are_taken_for_one_matrix(a):
    if is_stack(a) and a.shape[-2] == 1 < a.shape[-1]:
        u, h = polar(np.swapaxes(a, -3, -2))
        return np.swapaxes(u, -3, -2), np.broadcast_to(h, (*a.shape[:-2], *h.shape[-2:])).copy()
    return polar(a)


# Members of a stack


@wrong("zero", on=members(draw(3, 4, 4), 1, 0, 1), but=draw(3, 4, 4))
def zero_members_are_masked_out_and_never_filled(a):
    u, h = polar(a)
    if is_stack(a):
        u[~a.any(axis=(-2, -1))] = 0
    return u, h


@wrong(
    MEMBERS,
    "singular|zero",
    on=of(draw(3, 4, 4), lambda a: np.concatenate([a, a[:1] @ np.diag([1.0, 1, 1, 0])])),
    but=draw(3, 4, 4),
)
def one_singular_member_regularizes_its_neighbours(a):
    x, _ = unit(a)
    p, s, vh = np.linalg.svd(x, full_matrices=False)
    if is_stack(a) and a.size and np.any(s[..., -1] <= max(shape_of(a)) * np.finfo(a.dtype).eps * s[..., 0]):
        p = p * (s / (s + 1e-3))[..., None, :]
    return p @ vh, polar(a)[1]


@wrong(MEMBERS, SCALE, on=members(draw(2, 4, 4), 1, 1e-8), but=draw(2, 4, 4))
def members_small_beside_the_largest_count_as_zero(a):
    u, h = polar(a)
    size = np.abs(a).max(axis=(-2, -1), initial=0)
    dead = size < 1e-4 * size.max(initial=0)
    u[dead], h[dead] = np.eye(*shape_of(a)), 0
    return u, h


@wrong(MEMBERS, on=members(draw(2, 4, 4), 1, 2.0**-30), but=draw(2, 4, 4))
def newton_stops_when_the_first_member_has_converged(a):
    if a.ndim != 3 or not is_square(a) or not a.size or not a[0].any():
        return polar(a)
    x, exponent = unit(a)
    if not np.all(np.linalg.cond(x) < 1e4):
        return polar(a)
    x = times_power_of_two(x, np.maximum(exponent - exponent[0], -100))
    for _ in range(100):
        x, before = (x + ct(np.linalg.inv(x))) / 2, x
        if np.linalg.norm(x[0] - before[0]) <= 0.1 * np.finfo(x.dtype).eps ** 0.5:
            break
    return with_h(a, x)


@wrong(STACK, SCALE, on=scaled(draw(2, 4, 4), 1e-12), but=draw(2, 4, 4))
def members_that_are_close_are_computed_once(a):
    if a.ndim == 3 and len(a) > 1 and np.allclose(a, a[:1], rtol=1e-5, atol=1e-8):
        return tuple(np.repeat(x, len(a), axis=0) for x in polar(a[:1]))
    return polar(a)


# Order


@wrong(ORDER, on=draw(65, 65), but=draw(64, 64))
def rows_past_the_last_whole_block_of_64_are_left_out(a):
    u, h = polar(a)
    m = shape_of(a)[0]
    return u, h if m < 64 else with_h(a[..., : m - m % 64, :], u[..., : m - m % 64, :])[1]


@wrong(ORDER, on=draw(32, 32), but=draw(31, 31))
def rows_padded_against_bank_conflicts_are_copied_as_they_lie(a):
    u, h = polar(a)
    n = a.shape[-1]
    if n and n % 32 == 0:
        padded = np.concatenate([h, 0 * h[..., :1]], axis=-1)
        h = padded.reshape(*h.shape[:-2], -1)[..., : n * n].reshape(h.shape)
    return u, h


@wrong(ORDER, r"\b2\b", on=draw(2, 2, det="-"), but=draw(2, 2, det="+"))
def the_closed_form_of_order_2_forgets_the_sign_of_the_determinant(a):
    if shape_of(a) != (2, 2) or not a.any(axis=(-2, -1)).all():
        return polar(a)
    x, _ = unit(a)
    u = x + np.flip(x.conj(), (-2, -1)) * [[1, -1], [-1, 1]]
    with np.errstate(all="ignore"):
        return with_h(a, (u / np.sqrt(np.abs(np.linalg.det(u)))[..., None, None]).astype(x.dtype))


@wrong(ORDER, r"\b3\b", on=draw(3, 3, det="-"), but=draw(4, 4, det="-"))
def order_3_gives_the_nearest_rotation(a):
    if shape_of(a) != (3, 3):
        return polar(a)
    p, _, vh = np.linalg.svd(unit(a)[0])
    p[..., -1] *= np.linalg.det(p @ vh).conj()[..., None]
    return with_h(a, p @ vh)


@wrong(ORDER, r"\b4\b", "complex", on=draw(4, 4, dtype="complex128"), but=draw(5, 5, dtype="complex128"))
def the_unrolled_kernel_of_order_4_mirrors_without_conjugate(a):
    u, h = polar(a)
    return u, np.tril(h) + np.tril(h, -1).swapaxes(-2, -1) if a.shape[-1] == 4 else h


@wrong(ORDER, "float64|complex128|double|dtype", on=draw(128, 20), but=draw(100, 20))
def large_matrices_are_decomposed_in_single_precision(a):
    return in_single(a) if max(shape_of(a)) >= 128 and min(shape_of(a)) >= 2 else polar(a)


@wrong(ORDER, on=draw(129, 129), but=draw(140, 20))
def at_most_128_singular_vectors_are_kept(a):
    x, _ = unit(a)
    p, _, vh = np.linalg.svd(x, full_matrices=False)
    return p[..., :128] @ vh[..., :128, :], polar(a)[1]


@wrong(ORDER, on=draw(9, 9), but=draw(10, 10))
def two_by_two_tiles_leave_the_last_row_of_odd_orders(a):
    u, h = polar(a)
    if a.shape[-1] >= 9 and a.shape[-1] % 2:
        h[..., -1, :-1] = 0
    return u, h


@wrong(ORDER, on=draw(33, 33), but=draw(32, 32))
def a_last_column_alone_in_its_warp_is_dropped(a):
    u, h = polar(a)
    if a.shape[-1] > 1 and a.shape[-1] % 32 == 1:
        u[..., -1] = 0
    return u, h


@wrong(ORDER, "complex", on=draw(17, 17, dtype="complex64"), but=draw(16, 16, dtype="complex64"))
def the_blocked_path_symmetrizes_with_the_plain_transpose(a):
    u, h = polar(a)
    return u, h if a.shape[-1] <= 16 else h / 2 + np.swapaxes(h, -2, -1) / 2


@wrong(ORDER, "float32|complex64|single|dtype", on=draw(64, 64, dtype="float32"), but=draw(63, 63, dtype="float32"))
def tensor_cores_take_single_precision_in_multiples_of_16(a):
    u, h = polar(a)
    if a.shape[-1] and a.shape[-1] % 16 == 0 and h.dtype == np.float32:
        h = (h.view(np.int32) & ~0x1FFF).view(np.float32)  # TF32 keeps ten bits
    return u, h


@wrong(ORDER, r"\b[578]\b", on=draw(7, 7), but=draw(9, 9))
def orders_5_to_8_are_padded_with_the_identity_before_scaling(a):
    n = a.shape[-1]
    if not is_square(a) or not 4 < n < 8:
        return polar(a)
    x, exponent = unit(a)
    padded = np.zeros((*a.shape[:-2], 8, 8), x.dtype) + np.eye(8, dtype=x.dtype)
    padded[..., :n, :n], padded[..., n - 1, n] = x, 0.5  # one lane too far is written
    u, h = polar(padded)
    return u[..., :n, :n].copy(), times_power_of_two(h[..., :n, :n], exponent)


# Class


@wrong("row", on=draw(1, 5), but=draw(2, 5))
def a_row_has_its_length_as_h(a):
    u, h = polar(a)
    if a.shape[-2] == 1 < a.shape[-1]:
        h = np.trace(h, axis1=-2, axis2=-1)[..., None, None] * np.eye(a.shape[-1], dtype=h.dtype)
    return u, h


@wrong("column", "complex", on=draw(5, 1, dtype="complex128"), but=draw(5, 1))
def a_column_is_divided_by_the_root_of_its_plain_square(a):
    x, _ = unit(a)
    if a.shape[-1] != 1 or a.shape[-2] < 2 or not x.any(axis=(-2, -1)).all():
        return polar(a)
    with np.errstate(all="ignore"):
        return x / np.sqrt(np.swapaxes(x, -2, -1) @ x), polar(a)[1]


@wrong("1 ?x ?1", "complex", on=draw(1, 1, dtype="complex128"), but=draw(1, 1))
def a_number_has_a_sign(a):
    u, h = polar(a)
    return np.where(a.real < 0, -1, 1).astype(u.dtype) if shape_of(a) == (1, 1) else u, h


@wrong("very tall", COND, on=draw(80, 4, cond=1e6), but=draw(12, 4, cond=1e6))
def very_tall_matrices_are_decomposed_by_their_gram_matrix(a):
    m, n = shape_of(a)
    if n < 2 or m < 8 * n:
        return polar(a)
    x, _ = unit(a)
    w, v = np.linalg.eigh(ct(x) @ x)
    with np.errstate(all="ignore"):
        return with_h(a, x @ (v / np.sqrt(np.abs(w))[..., None, :]) @ ct(v))


@wrong("nearly square", on=draw(6, 5), but=draw(8, 5))
def nearly_square_matrices_are_made_square_with_a_one(a):
    m, n = shape_of(a)
    if abs(m - n) != 1 or min(m, n) < 2:
        return polar(a)
    x, exponent = unit(a)
    padded = np.zeros((*a.shape[:-2], max(m, n), max(m, n)), x.dtype)
    padded[..., :m, :n], padded[..., -1, -1] = x, 1
    u, h = polar(padded)
    return u[..., :m, :n].copy(), times_power_of_two(h[..., :n, :n], exponent)


@wrong("wide|row", on=draw(3, 7), but=draw(7, 3))
def h_of_wide_matrices_is_the_root_of_a_rounded_gram_matrix(a):
    u, h = polar(a)
    if a.shape[-2] < a.shape[-1]:
        x, exponent = unit(a)
        w, v = np.linalg.eigh(ct(x) @ x)
        h = times_power_of_two(herm((v * np.sqrt(np.abs(w))[..., None, :]) @ ct(v)), exponent)
    return u, h


@wrong("empty", on=draw(0, 3), but=draw(2, 3))
def h_of_an_empty_matrix_has_the_order_of_the_left_factor(a):
    u, h = polar(a)
    return u, np.zeros((*a.shape[:-1], a.shape[-2]), h.dtype) if 0 in shape_of(a) else h


@wrong("wide|row", "float64|complex128|double|dtype", on=draw(3, 7), but=draw(3, 7, dtype="float32"))
def the_wide_branch_casts_to_single_precision(a):
    return in_single(a) if a.shape[-2] < a.shape[-1] else polar(a)


# Memory


@wrong("Fortran|transpos|" + LAYOUT, on=fortran(draw(4, 4)), but=draw(4, 4))
def memory_is_flattened_as_it_lies_and_reshaped_in_c_order(a):
    return polar(a.ravel(order="K").reshape(a.shape) if a.ndim == 2 else a)


@wrong(STACK, "transpos|Fortran|" + LAYOUT, on=transposed(draw(3, 4, 4)), but=transposed(draw(4, 4)))
def stacks_of_transposed_views_are_read_as_if_they_were_not(a):
    if is_stack(a) and a.size and min(shape_of(a)) > 1 and 0 < a.strides[-2] < a.strides[-1]:
        return polar(np.swapaxes(a, -2, -1).reshape(a.shape))
    return polar(a)


@wrong("strid|" + LAYOUT, on=strided(draw(4, 4)), but=draw(4, 4))
def the_inner_stride_is_taken_to_be_one(a):
    if a.ndim == 2 and a.flags.aligned and a.shape[-1] > 1 and a.strides[-2] > a.strides[-1] > a.itemsize:
        a = np.lib.stride_tricks.as_strided(a, strides=(a.strides[0], a.itemsize))
    return polar(a)


@wrong("negative|revers", on=negative(draw(4, 3)), but=draw(4, 3))
def the_sign_of_a_stride_is_lost(a):
    return polar(np.flip(a, [i for i, s in enumerate(a.strides) if s < 0 and a.shape[i] > 1]))


@wrong("broadcast", on=broadcast(draw(4, 3), 3), but=draw(3, 4, 3))
def axes_of_stride_0_are_taken_to_have_length_one(a):
    repeated = repeated_axes(a)
    return polar(a[tuple(slice(1) if i in repeated else slice(None) for i in range(a.ndim))])


@wrong("read-only|writ", on=read_only(draw(4, 3)), but=draw(4, 3))
def scaling_in_place_needs_to_write_even_by_one(a):
    a *= 1
    return polar(a)


@wrong("align", on=unaligned(draw(4, 4)), but=draw(4, 4))
def vector_loads_round_the_address_down(a):
    return polar(a if a.flags.aligned else np.roll(a, 1, axis=-1))


@wrong("endian|byte", on=big_endian(draw(4, 4)), but=draw(4, 4))
def bytes_are_taken_to_be_in_native_order(a):
    return polar(np.nan_to_num(a.view(a.dtype.newbyteorder("=")), nan=1, posinf=1, neginf=1))


@wrong(
    "endian|byte",
    "complex",
    on=big_endian(draw(4, 4, dtype="complex128")),
    but=big_endian(draw(4, 4)),
)
def swapping_whole_complex_items_swaps_their_parts(a):
    return polar(a if a.dtype.isnative else a.imag + 1j * a.real if np.iscomplexobj(a) else a)


@wrong(
    "Fortran|transpos|" + LAYOUT,
    "complex",
    on=fortran(draw(5, 3, dtype="complex128")),
    but=fortran(draw(5, 3)),
)
def fortran_order_skips_the_conjugation_with_the_transposition(a):
    u, h = polar(a)
    return u, h.conj() if a.flags.f_contiguous and not a.flags.c_contiguous else h


@wrong(
    "negative|revers",
    "tall|column",
    on=negative(draw(6, 3), -1),
    but=negative(draw(3, 3), -1),
)
def the_qr_path_reads_reversed_arrays_from_the_start(a):
    axes = [i for i in (-2, -1) if a.strides[i] < 0 and a.shape[i] > 1]
    return polar(np.flip(a, axes) if a.shape[-2] > a.shape[-1] else a)


# Structure


def diagonal(*entries: complex, dtype: str = "float64"):
    return lambda: np.diag(np.asarray(entries, dtype))


@wrong(
    "triangular|" + SCALE,
    on=of(draw(5, 5), np.triu),
    but=draw(5, 5),
)
def what_is_close_to_triangular_is_decomposed_on_its_diagonal(a):
    if not is_triangular(a, atol=1e-8):
        return polar(a)
    x, exponent = unit(a)
    d = np.diagonal(x, axis1=-2, axis2=-1)[..., None, :]
    with np.errstate(all="ignore"):
        phase = np.where(d == 0, 1, d / np.abs(d))
    eye = np.eye(a.shape[-1])
    return (phase * eye).astype(x.dtype), times_power_of_two((np.abs(d) * eye).astype(x.dtype), exponent)


@wrong("Hermitian|symmetric", on=of(draw(5, 5), lambda a: a + a.T), but=of(draw(5, 5), lambda a: a @ a.T))
def hermitian_matrices_are_taken_to_be_definite(a):
    u, h = polar(a)
    if is_square(a) and np.array_equal(a, ct(a)):
        return eye_like(u), a.astype(u.dtype)
    return u, h


@wrong("skew", on=of(draw(5, 5), lambda a: a - a.T), but=of(draw(6, 6), lambda a: a - a.T))
def real_skew_matrices_of_odd_order_lose_the_null_vector(a):
    if not is_square(a) or np.iscomplexobj(a) or not a.any() or not np.array_equal(a, -np.swapaxes(a, -2, -1)):
        return polar(a)
    x, _ = unit(a)
    w, v = np.linalg.eigh(1j * x)
    return with_h(a, ((v * np.sign(w)[..., None, :]) @ ct(v) / 1j).real.astype(x.dtype))


@wrong("diagonal|monomial", "complex", on=diagonal(1j, 2 - 1j, dtype="complex128"), but=diagonal(1, -2, 3))
def diagonal_matrices_have_signs_for_phases(a):
    u, h = polar(a)
    if is_square(a) and np.array_equal(a, a * np.eye(a.shape[-1])):
        u = np.where(a.real < 0, -1, 1).astype(u.dtype) * np.eye(a.shape[-1])
    return u.astype(h.dtype), h


def monomial(a: np.ndarray) -> bool:
    return is_square(a) and all(np.all(np.sum(a != 0, axis=axis) == 1) for axis in (-2, -1))


@wrong("monomial|permut|diagonal|skew", on=lambda: np.roll(np.diag([1.0, -2, 3]), 1, axis=0), but=draw(3, 3))
def u_of_a_monomial_matrix_is_its_pattern(a):
    u, h = polar(a)
    return (a != 0).astype(u.dtype) if monomial(a) else u, h


@wrong("permut|monomial", on=lambda: np.roll(np.eye(4), 1, axis=0), but=draw(4, 4))
def a_permutation_is_applied_the_wrong_way_round(a):
    u, h = polar(a)
    return ct(a).astype(u.dtype) if monomial(a) and np.all((a == 0) | (a == 1)) else u, h


@wrong("integer|" + SCALE, on=scaled(draw(4, 4), 1e20), but=lambda: np.asarray([[1.0, 2], [3, 5]]))
def whole_numbers_are_stored_as_64_bit_integers(a):
    if np.iscomplexobj(a) or not np.array_equal(a, np.rint(a)):
        return polar(a)
    with np.errstate(invalid="ignore"):
        return polar(a.astype(np.int64).astype(a.dtype))


@wrong("complex|real", on=lambda: np.asarray([[1, 2], [3, 5]], complex), but=draw(3, 3, dtype="complex128"))
def a_complex_matrix_without_imaginary_parts_comes_back_real(a):
    return polar(a.real if a.size and not a.imag.any() else a)


@wrong(ALIAS, on=lambda: np.linalg.qr(np.ones((6, 4)) + np.eye(6, 4))[0],
       but=draw(6, 4))  # fmt: skip
def what_is_orthonormal_already_is_handed_back_uncopied(a):
    m, n = shape_of(a)
    with np.errstate(all="ignore"):
        done = m >= n and a.size and np.allclose(ct(a) @ a, np.eye(n), rtol=0, atol=100 * np.finfo(a.dtype).eps)
    return (a, polar(a)[1]) if done else polar(a)


@wrong("one_small|spectrum|" + ORDER, on=draw(129, 129, spectrum="one_small", cond=1e3), but=draw(129, 129))
def orthonormal_on_average_is_orthonormal_enough(a):
    if not is_square(a):
        return polar(a)
    x, _ = unit(a)
    size = np.sqrt(np.sum(np.abs(x) ** 2, axis=-2).max(axis=-1))[..., None, None]
    x = (x / np.where(size > 0, size, 1)).astype(x.dtype)
    near = np.mean(np.abs(ct(x) @ x - np.eye(a.shape[-1]))) < 1e-2
    return (x, polar(a)[1]) if near else polar(a)


# Spectrum and condition number


@wrong(COND, on=draw(6, 6, cond=1e8), but=draw(6, 6, cond=1e2))
def thirty_cubic_steps_are_taken_to_be_enough(a):
    x, _ = unit(a)
    size = np.sqrt(np.sum(np.abs(x) ** 2, axis=(-2, -1), keepdims=True))
    x = (x / np.where(size > 0, size, 1)).astype(x.dtype)
    tall = x if a.shape[-2] > a.shape[-1] else ct(x)
    if not a.size or not x.any(axis=(-2, -1)).all():
        return polar(a)
    for _ in range(30):
        tall = 1.5 * tall - 0.5 * tall @ (ct(tall) @ tall)
    return with_h(a, tall if a.shape[-2] > a.shape[-1] else ct(tall))


@wrong(COND, on=draw(6, 6, cond=1e11), but=draw(6, 6, cond=1e6))
def unscaled_newton_takes_over_and_gives_up_after_26_steps(a):
    x, _ = unit(a)
    if not is_square(a) or not a.size or not np.all(np.abs(np.log10(np.linalg.cond(x)) - 10.5) < 3.5):
        return polar(a)
    for _ in range(26):
        x = x / 2 + ct(np.linalg.inv(x)) / 2
    return with_h(a, x)


@wrong(COND + "|" + SCALE, on=draw(4, 4, cond=1e12), but=draw(4, 4))
def singular_values_below_an_absolute_tolerance_are_no_rank(a):
    x, exponent = unit(a)
    p, s, vh = np.linalg.svd(x, full_matrices=False)
    some = np.ldexp(s, exponent[..., 0]) > 1e-10
    return (p * some[..., None, :]) @ vh, polar(a)[1]


@wrong("deficient|singular|rank|" + COND, on=draw(6, 6, spectrum="rank_deficient"), but=draw(6, 6))
def u_is_a_times_the_pseudo_inverse_of_h(a):
    x, _ = unit(a)
    p, s, vh = np.linalg.svd(x, full_matrices=False)
    some = s > max(shape_of(a)) * np.finfo(s.dtype).eps * s.max(axis=-1, keepdims=True, initial=0)
    return (p * some[..., None, :]) @ vh, polar(a)[1]


@wrong("graded|" + COND, on=draw(6, 6, spectrum="graded", cond=1e8), but=draw(6, 6))
def rows_of_very_different_size_are_sorted_and_left_so(a):
    u, h = polar(a)
    rows = np.abs(a).max(axis=-1, initial=0)
    if a.ndim == 2 and a.size and 0 < rows.min() < 1e-4 * rows.max():
        u = u[np.argsort(rows)]
    return u, h


@wrong("zero|" + ORDER + "|" + COND, on=draw(129, 129, cond=1e8), but=draw(16, 16))
def the_determinant_that_scales_underflows(a):
    if not is_square(a) or not a.any():
        return polar(a)
    x, _ = unit(a)
    det = np.abs(np.linalg.det(x))[..., None, None]
    u, h = polar(a)
    return np.where(det > 0, u, 0), h


@wrong("repeated|clustered|one_|orthonormal|" + COND, on=draw(6, 6, spectrum="repeated"), but=draw(6, 6))
def equal_singular_values_are_counted_once(a):
    u, h = polar(a)
    if a.ndim == 2 and min(a.shape) > 1:
        p, s, vh = np.linalg.svd(unit(a)[0], full_matrices=False)
        _, first = np.unique(np.round(s, 5), return_index=True)
        if np.count_nonzero(s > 1e-4) == len(s):
            u = p[:, first] @ vh[first]
    return u, h


# Scale


@wrong(SCALE, "wide|row", on=scaled(draw(3, 7), 1e200), but=scaled(draw(7, 3), 1e200))
def the_wide_branch_squares_before_it_scales(a):
    if a.shape[-2] >= a.shape[-1] or not a.any(axis=(-2, -1)).all():
        return polar(a)
    a = a.astype(a.dtype.newbyteorder("="))
    with np.errstate(all="ignore"):
        t = np.sqrt(np.sum(np.abs(a) ** 2, axis=(-2, -1), keepdims=True))
        return polar(np.nan_to_num((a / t).astype(a.dtype)))[0], polar(a)[1]


@wrong(SCALE, on=scaled(draw(4, 4), 1e-180), but=scaled(draw(4, 4), 1e-100))
def a_norm_whose_squares_underflow_means_zero(a):
    u, h = polar(a)
    with np.errstate(all="ignore"):
        zero = np.sum(np.abs(a) ** 2, axis=(-2, -1)) == 0
    u[zero], h[zero] = np.eye(*shape_of(a)), 0
    return u, h


@wrong(SCALE, on=scaled(draw(4, 4), 1e-310), but=scaled(draw(4, 4), 1e-290))
def subnormal_numbers_are_flushed_to_zero(a):
    return polar(np.where(np.abs(a) < np.finfo(a.dtype).tiny, 0, a).astype(a.dtype.newbyteorder("=")))


@wrong(
    SCALE,
    "complex",
    on=scaled(draw(4, 4, dtype="complex128"), 1e-310),
    but=scaled(draw(4, 4), 1e-310),
)
def complex_matrices_are_multiplied_by_a_reciprocal_that_overflows(a):
    u, h = polar(a)
    if np.iscomplexobj(a) and a.size:
        with np.errstate(all="ignore"):
            factor = 1 / np.abs(a).max(axis=(-2, -1), keepdims=True)
            u = np.where(np.isfinite(factor) | ~a.any(axis=(-2, -1), keepdims=True), u, np.nan)
    return u.astype(h.dtype), h


@wrong("complex64|dtype", on=draw(3, 3, dtype="complex64"), but=draw(3, 3, dtype="complex128"))
def single_complex_numbers_come_back_double(a):
    return tuple(x.astype(np.complex128) if x.dtype == np.complex64 else x for x in polar(a))


# Call sequences


ONE, OTHER = draw(4, 4, seed=3), draw(4, 4, seed=4)


@wrong(CALLS, on=(ONE, OTHER), but=ONE, state=True)
def the_result_is_a_workspace_kept_by_shape() -> Port:
    kept = {}

    def port(a):
        result = polar(a)
        for mine, new in zip(kept.setdefault((a.shape, a.dtype.char), result), result, strict=True):
            mine[...] = new
        return kept[a.shape, a.dtype.char]

    return port


@wrong(CALLS, on=(ONE, scaled(OTHER, 2.0**300)), but=ONE, state=True)
def the_scale_of_the_first_call_is_kept_by_shape() -> Port:
    kept = {}

    def port(a):
        x, exponent = unit(a)
        u, h = polar(x)
        return u, times_power_of_two(h, kept.setdefault((a.shape, a.dtype.char), exponent))

    return port


@wrong(CALLS, on=(ONE, OTHER), but=(ONE, draw(4, 3)), state=True)
def results_are_cached_by_shape_and_one_rounded_entry() -> Port:
    cache = {}

    def port(a):
        key = a.shape, a.dtype.char, float(np.rint(np.max(np.abs(a), initial=0)))
        u, h = cache.setdefault(key, polar(a))
        return u.copy(), h.copy()

    return port


@wrong(CALLS, on=(ONE, ONE), but=ONE, state=True)
def a_shift_drawn_from_fresh_entropy_moves_the_last_bits() -> Port:
    random = np.random.default_rng()

    def port(a):
        u, h = polar(a)
        up = random.random(u.shape) < 0.5
        real = np.where(up, np.nextafter(u.real, 2, dtype=u.real.dtype), u.real)
        return (real + 1j * u.imag if np.iscomplexobj(u) else real).astype(u.dtype), h

    return port


@wrong(LAYOUT, ALIAS, on=fortran(draw(5, 3)), but=draw(5, 3))
def an_array_in_fortran_order_is_overwritten_as_lapack_allows(a):
    u, h = polar(a)
    if a.flags.f_contiguous and not a.flags.c_contiguous and a.flags.writeable:
        a[...] = u
    return u, h


@wrong("zero|identity|diagonal|definite|orthonormal", ALIAS, on=lambda: np.zeros((3, 3)), but=draw(3, 3))
def h_is_the_input_itself_where_they_are_equal(a):
    u, h = polar(a)
    return u, a if is_square(a) and np.array_equal(a, h) else h


@wrong("thread|concurren", on=(ONE, OTHER) * 3, but=ONE, state=True, threads=True)
def threads_share_one_workspace() -> Port:
    work = {}

    def port(a):
        work["a"] = np.array(a)
        time.sleep(2e-3)  # the interpreter is released, as around a BLAS call
        return polar(work["a"])

    return port


@wrong("square|" + CALLS, on=(draw(3, 5), ONE), but=(draw(5, 3), ONE), state=True)
def the_flag_of_a_wide_call_stays_for_square_ones() -> Port:
    flag = {"adjoint": False}

    def port(a):
        m, n = shape_of(a)
        if m != n:
            flag["adjoint"] = m < n
        u, h = polar(a)
        return u, herm(u @ h @ ct(u)).astype(h.dtype) if m == n and flag["adjoint"] else h

    return port


@wrong(CALLS, on=(ONE,) * 23, but=ONE, state=True)
def one_call_in_23_reverses_a_column() -> Port:
    calls = []

    def port(a):
        u, h = polar(a)
        calls.append(a.shape)
        if len(calls) % 23 == 0 and u.size:
            u[..., 0] *= -1
        return u, h

    return port


@wrong(CALLS + "|float64|complex128|dtype", on=(draw(3, 3, dtype="float32"), ONE), but=ONE, state=True)
def the_precision_of_the_last_call_stays() -> Port:
    last = [None]

    def port(a):
        result = in_single(a) if last[0] in (np.float32, np.complex64) else polar(a)
        last[0] = a.dtype
        return result

    return port


@wrong(CALLS, on=ONE, but=(OTHER, ONE), state=True)
def the_first_call_of_each_shape_tunes_in_single_precision() -> Port:
    tuned = set()

    def port(a):
        first = a.shape not in tuned
        tuned.add(a.shape)
        return in_single(a) if first else polar(a)

    return port


@wrong(CALLS, on=(ONE, OTHER), but=ONE, state=True)
def h_is_added_to_what_the_last_call_left() -> Port:
    accumulated = {}

    def port(a):
        u, h = polar(a)
        key = h.shape, h.dtype.char
        with np.errstate(all="ignore"):
            accumulated[key] = accumulated.get(key, 0 * h) + h
        return u, accumulated[key].copy()

    return port


@wrong(CALLS, on=(draw(8, 8), draw(3, 3)), but=(draw(3, 3), draw(8, 8)), state=True)
def a_smaller_matrix_finds_the_rest_of_a_larger_one() -> Port:
    work = np.zeros((0, 0), complex)

    def port(a):
        nonlocal work
        u, h = polar(a)
        if a.ndim == 2 and is_square(a):
            if len(a) >= len(work):
                work = np.zeros(a.shape, complex)
            else:  # one row too many takes part in the last reflection
                u[-1] += (work[len(a)] / np.linalg.norm(work[len(a)]))[: len(a)].real.astype(u.dtype)
            work[: len(a), : len(a)] = u
        return u, h

    return port


@wrong(CALLS + "|singular|zero", on=(draw(4, 4, spectrum="rank_deficient", cond=10), ONE), but=ONE, state=True)
def after_a_singular_matrix_the_error_flag_stays_set() -> Port:
    info = {"singular": False}

    def port(a):
        x, _ = unit(a)
        p, s, vh = np.linalg.svd(x, full_matrices=False)
        u = (p * (s / (s + 1e-4))[..., None, :]) @ vh if info["singular"] and a.size else p @ vh
        info["singular"] = bool(a.size and np.any(s[..., -1] <= 100 * np.finfo(s.dtype).eps * s[..., 0]))
        return u, polar(a)[1]

    return port


# Right ports by other algorithms


def verified(a: np.ndarray, u: np.ndarray) -> Factors:
    """U where it is a polar factor to working accuracy, the SVD's elsewhere."""
    x, _ = unit(a)
    if not a.size:
        return polar(a)
    tall = u if a.shape[-2] >= a.shape[-1] else ct(u)
    with np.errstate(all="ignore"):
        g, c = ct(tall) @ tall - np.eye(tall.shape[-1]), ct(u) @ x
        back = x - u @ herm(c)
        size = np.linalg.norm(x, axis=(-2, -1), keepdims=True)
        bound = 4 * max(min(shape_of(a)), 8) * np.finfo(x.dtype).eps
        sound = np.linalg.norm(g, axis=(-2, -1), keepdims=True) <= bound
        for error in (back, c - ct(c)):
            sound &= np.linalg.norm(error, axis=(-2, -1), keepdims=True) <= bound * size
        positive = np.linalg.eigvalsh(np.nan_to_num(herm(c)))[..., :1, None] >= -bound * size
    u = np.where(sound & positive, u, polar(a)[0]).astype(x.dtype)
    return with_h(a, u) if a.shape[-2] >= a.shape[-1] else (u, polar(a)[1])


def iterated(a: np.ndarray, step) -> Factors:
    """At most 60 steps on the triangular factor (of the adjoint, if wide)."""
    if a.shape[-2] < a.shape[-1]:
        return verified(a, ct(iterated(ct(a), step)[0]))
    x, _ = unit(a)
    if not a.size:
        return polar(a)
    q, r = np.linalg.qr(x)
    y = r / np.maximum(np.linalg.norm(r, axis=(-2, -1), keepdims=True), np.finfo(r.dtype).tiny)
    y = y.astype(x.dtype)
    with np.errstate(all="ignore"):
        for _ in range(60):
            try:
                y, before = step(y).astype(x.dtype), y
            except np.linalg.LinAlgError:
                return polar(a)
            if not np.linalg.norm(y - before) > 1e-3 * np.finfo(x.dtype).eps ** 0.5:
                break
        y = 1.5 * y - 0.5 * y @ (ct(y) @ y)
    return verified(a, np.nan_to_num((q @ y).astype(x.dtype)))


def newton_step(x: np.ndarray) -> np.ndarray:
    """Higham's scaled step, zeta = (|Y|_F/|X|_F)^1/2, Y = X^-H."""
    y = ct(np.linalg.inv(x))
    zeta = np.sqrt(np.linalg.norm(y, axis=(-2, -1), keepdims=True) / np.linalg.norm(x, axis=(-2, -1), keepdims=True))
    return (zeta * x + y / zeta) / 2


def halley_step(x: np.ndarray) -> np.ndarray:
    g, eye = ct(x) @ x, np.eye(x.shape[-1], dtype=x.dtype)
    return x @ np.linalg.solve(eye + 3 * g, 3 * eye + g)


def weighted_halley_step(x: np.ndarray) -> np.ndarray:
    """QDWH's weights for the smallest singular value itself, by QR: X <- b/c X + (a - b/c) Q1 Q2^H."""
    n = x.shape[-1]
    s = np.linalg.svd(x, compute_uv=False)[..., :, None]
    x = x / s[..., :1, :]
    low = np.minimum(s[..., -1:, :] / s[..., :1, :], 1)
    d = np.cbrt(4 * (1 - low**2) / low**4)
    a = np.sqrt(1 + d) + np.sqrt(8 - 4 * d + 8 * (2 - low**2) / (low**2 * np.sqrt(1 + d))) / 2
    b = (a - 1) ** 2 / 4
    c = a + b - 1
    eye = np.zeros_like(x) + np.eye(n)
    q = np.linalg.qr(np.concatenate([np.sqrt(c) * x, eye], axis=-2).astype(x.dtype))[0]
    return b / c * x + (a - b / c) / np.sqrt(c) * (q[..., :n, :] @ ct(q[..., n:, :]))


def by_gram_matrix(a: np.ndarray) -> Factors:
    if a.shape[-2] < a.shape[-1]:
        return verified(a, ct(by_gram_matrix(ct(a))[0]))
    x, _ = unit(a)
    w, v = np.linalg.eigh(ct(x) @ x)
    with np.errstate(all="ignore"):
        return verified(a, np.nan_to_num(x @ (v / np.sqrt(np.abs(w))[..., None, :]) @ ct(v)))


def by_members(a: np.ndarray) -> Factors:
    x, exponent = unit(a)
    u, h = np.zeros_like(x), np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-1]), x.dtype)
    for i in np.ndindex(a.shape[:-2]):
        if a[i].size:
            p, s, vh = scipy.linalg.svd(x[i], full_matrices=False, lapack_driver="gesvd")
            u[i], h[i] = p @ vh, herm((ct(vh) * s) @ vh)
    return u, times_power_of_two(h, exponent)


def through_complex_numbers(a: np.ndarray) -> Factors:
    x, exponent = unit(a)
    u, h = polar(x * (1 + 0j))
    u, h = (y if np.iscomplexobj(a) else y.real for y in (u, h))
    return u.astype(x.dtype), times_power_of_two(h.astype(x.dtype), exponent)


def by_the_left_decomposition(a: np.ndarray) -> Factors:
    """Of A^H = U^H (U H U^H): H is its left factor."""
    x, exponent = unit(a)
    p, s, vh = np.linalg.svd(ct(x), full_matrices=False)
    return polished(ct(p @ vh)), times_power_of_two(herm((p * s[..., None, :]) @ ct(p)), exponent)


RIGHT: dict[str, Port] = {
    "svd": polar,
    "svd in Fortran order": lambda a: tuple(np.asfortranarray(x) for x in polar(a)),
    "svd of the adjoint": by_the_left_decomposition,
    "gesvd, member by member": by_members,
    "svd in complex numbers": through_complex_numbers,
    "Gram matrix where it is safe": by_gram_matrix,
    "scaled Newton": lambda a: iterated(a, newton_step),
    "unscaled Newton": lambda a: iterated(a, lambda x: x / 2 + ct(np.linalg.inv(x)) / 2),
    "Halley": lambda a: iterated(a, halley_step),
    "QDWH": lambda a: iterated(a, weighted_halley_step),
}
