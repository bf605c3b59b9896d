"""Faults of the fills, slices and orthogonal matrices: see `tests/mutants.py`."""

from tests.faults import CORE, Mutant

KERNEL, TORCH = "src/pondera/kernel", "src/pondera/torch"

FAULTS = (
    Mutant(
        "signs_left_to_the_reflections",
        f"{CORE}/orthogonal.py",
        "(gain * signs).astype",
        "(gain * abs(signs)).astype",
        "test_orthogonal.py::test_orthogonal_matrices_have_haar_moments",
    ),
    Mutant(
        "reflections_in_reverse",
        f"{CORE}/orthogonal.py",
        "triangle = np.triu(-negative.astype(np.float64), 1)",
        "triangle = np.tril(-negative.astype(np.float64), -1)",
        "test_orthogonal.py::test_the_product_of_reflections_is_the_factor_of_its_normals",
    ),
    Mutant(
        "pivot_of_the_other_sign",
        f"{CORE}/orthogonal.py",
        "v *= (1 / (head + sign * norm))",
        "v *= (1 / (head - sign * norm))",
        "test_orthogonal.py::test_the_product_of_reflections_is_the_factor_of_its_normals",
    ),
    Mutant(
        "numpy_axes_dropped",
        "src/pondera/numpy.py",
        "law, _axes(in_axes, out_axes), shape=shape",
        "law, Axes(), shape=shape",
        "test_numpy.py::test_each_name_draws_by_its_law",
    ),
    Mutant(
        "global_generator",
        f"{TORCH}/fill.py",
        "        if placed.fill_small(tensor, law, axes, seed, name):\n",
        "        if placed.fill_small(tensor.normal_(), law, axes, seed, name):\n",
        "test_torch.py::test_no_global_generator_is_read_or_moved",
    ),
    Mutant(
        "bfloat16_taken_for_float16",
        f"{KERNEL}/records.py",
        'FORMATS: Final = ("float32", "bfloat16", "float16", "float64")',
        'FORMATS: Final = ("float32", "float16", "bfloat16", "float64")',
        "test_torch.py::test_bfloat16_is_float32_rounded_once_to_nearest_even",
    ),
    Mutant(
        "expanded_tensor_filled",
        f"{KERNEL}/blocks.py",
        "if size > 1 and stride <= reach:",
        "if size > 1 and stride < reach:",
        "test_torch.py::test_tensors_that_cannot_be_filled_are_refused_and_untouched[expanded]",
    ),
    Mutant(
        "tensor_touched_before_the_draw",
        f"{TORCH}/placed.py",
        "    if shape is None or not kernel.write_small(address,",
        "    tensor.detach().zero_()\n    if shape is None or not kernel.write_small(address,",
        "test_torch.py::test_a_tensor_is_untouched_by_a_draw_that_fails",
    ),
    # slices
    Mutant(
        "fans_of_the_slice",
        f"{KERNEL}/weights.py",
        "return Weight(law, axes, sizes, None if wide == sizes else first, wide, seed, name)",
        "return Weight(law, axes, wide, None, wide, seed, name)",
        "test_draws_blocks.py::test_fans_are_those_of_the_whole",
    ),
    Mutant(
        "offset_dropped",
        f"{KERNEL}/weights.py",
        "offset=weight.offset or (0,) * len(weight.shape),",
        "offset=(0,) * len(weight.shape),",
        "test_draws_blocks.py::test_tiles_of_a_matrix_make_the_matrix",
    ),
    Mutant(
        "slice_of_a_matrix_left_whole",
        f"{KERNEL}/weights.py",
        "slice(o, o + n) for o, n in zip(offset, size, strict=True)",
        "slice(0, n) for o, n in zip(offset, size, strict=True)",
        "test_draws_blocks.py::test_a_slice_of_a_law_that_ties_all_elements_is_cut_from_the_whole",
    ),
    Mutant(
        "slice_made_beyond_its_tensor",
        f"{KERNEL}/weights.py",
        "if any(o + n > most or n < 0 for o, n, most",
        "if any(n < 0 for o, n, most",
        "test_draws_blocks.py::test_messages_are_as_written_and_nothing_is",
    ),
    Mutant(
        "places_that_are_too_few_counted_one_by_one",
        f"{KERNEL}/blocks.py",
        "        return True  # fewer places than elements\n",
        "        return False\n",
        "test_draws_blocks.py::test_memory_that_overlaps_is_told_from_memory_that_does_not",
    ),
    # what is kept between draws
    Mutant(
        "streams_kept_without_their_seed_s_type",
        f"{KERNEL}/records.py",
        "kept_stream = lru_cache(maxsize=4096, typed=True)(_stream)",
        "kept_stream = lru_cache(maxsize=4096)(_stream)",
        "test_draws_blocks.py::test_an_array_is_untouched_by_a_draw_that_fails",
    ),
    Mutant(
        "stream_of_the_imaginary_part_kept_as_the_real_one",
        f"{KERNEL}/records.py",
        "hashed = name_hash(name, tag=tag)",
        "hashed = name_hash(name)",
        "test_kernel.py::test_fills_are_core_s_bits",
    ),
    Mutant(
        "float16_taken_for_bfloat16",
        f"{KERNEL}/weights.py",
        "return recipe and (records.whole(count), records.recipe(recipe, dtype))",
        'held = "bfloat16" if dtype == "float16" else dtype\n'
        "    return recipe and (records.whole(count), records.recipe(recipe, held))",
        "test_draws_fills.py::test_fills_are_core_s_bits",
    ),
    # PyTorch's memory
    Mutant(
        "strides_dropped",
        f"{TORCH}/placed.py",
        "strides = None if tensor.is_contiguous() else tensor.stride()",
        "strides = None",
        "test_draws_fills.py::test_channels_last_is_filled_in_place",
    ),
    Mutant(
        "conjugate_bit_overlooked",
        f"{TORCH}/placed.py",
        "if plain and tensor.is_cpu and not tensor.is_neg() and not tensor.is_conj():",
        "if plain and tensor.is_cpu and not tensor.is_neg():",
        "test_draws_fills.py::test_lazily_conjugated_views_read_as_they_were_filled",
    ),
    Mutant(
        "autograd_not_told",
        f"{TORCH}/placed.py",
        "    if not tensor.is_inference():",
        "    if tensor.is_inference() is None:",
        "test_draws_fills.py::test_what_autograd_saved_is_out_of_date_after_a_fill",
    ),
    Mutant(
        "meta_passed_over_in_silence",
        f"{TORCH}/placed.py",
        "RuntimeWarning,",
        "DeprecationWarning,",
        "test_draws_fills.py::test_a_tensor_without_memory_is_left_alone_with_a_word",
    ),
    # orthogonal matrices
    Mutant(
        "lengths_of_the_unrounded_reflectors",
        f"{CORE}/orthogonal.py",
        "np.square(v).sum(axis=0, dtype=np.float64) / 2",
        "np.square(v.astype(np.float16)).sum(axis=0, dtype=np.float64) / 2",
        "test_orthogonal.py::test_float32_matrices_are_orthonormal",
    ),
    Mutant(
        "product_in_float16_s_precision",
        f"{CORE}/orthogonal.py",
        "across[:, :width] = t @ v1.T",
        "across[:, :width] = (t @ v1.T).astype(np.float16)",
        "test_orthogonal.py::test_float32_matrices_are_orthonormal",
    ),
    Mutant(
        "inverse_by_halves_without_its_corner",
        f"{CORE}/orthogonal.py",
        "out[:half, half:] = -(first @",
        "out[:half, half:] = 0 * -(first @",
        "test_orthogonal.py::test_large_matrices_are_orthonormal_across_their_blocks",
    ),
    Mutant(
        "last_columns_of_a_product_left_out",
        f"{KERNEL}/products.py",
        "for begin in range(0, columns, wide)]",
        "for begin in range(0, columns - columns % _STRIP, wide)]",
        "test_orthogonal.py::test_products_are_those_of_numpy_to_rounding_and_equal_at_every_level",
    ),
)
