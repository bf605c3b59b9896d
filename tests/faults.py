"""The faults of `tests/mutants.py`: a noun, a change of text, and the test that must notice it."""

from typing import NamedTuple

CORE = "src/pondera/core"


class Mutant(NamedTuple):
    """A fault: this text of this file becomes that text, and this test must fail."""

    name: str
    file: str
    old: str
    new: str
    test: str


MUTANTS = [
    # the stream
    Mutant(
        "one_round_less",
        f"{CORE}/bits.py",
        "for _ in range(rounds):",
        "for _ in range(rounds - 1):",
        "test_bits.py::test_philox_gives_the_known_answers_of_random123",
    ),
    Mutant(
        "keys_not_raised",
        f"{CORE}/bits.py",
        "k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW",
        "k0, k1 = (k0 + _W0) & _LOW, k1",
        "test_bits.py::test_philox_gives_the_known_answers_of_random123",
    ),
    Mutant(
        "words_interleaved",
        f"{CORE}/bits.py",
        "flat = np.stack(mixed, axis=1).reshape(-1)",
        "flat = np.stack(mixed, axis=-1).reshape(-1)",
        "test_bits.py::test_words_are_those_of_the_specification",
    ),
    Mutant(
        "slice_from_its_tile",
        f"{CORE}/bits.py",
        "return flat[start - first * TILE :][:count]",
        "return flat[:count]",
        "test_bits.py::test_words_do_not_depend_on_where_a_draw_starts",
    ),
    Mutant(
        "block_without_high_word",
        f"{CORE}/bits.py",
        "mixed = philox4x32((low, high, hashed",
        "mixed = philox4x32((low, 0 * high, hashed",
        "test_bits.py::test_words_of_neighbouring_tiles_and_high_tiles_differ",
    ),
    Mutant(
        "seed_without_high_word",
        f"{CORE}/bits.py",
        "return number & _LOW, number >> 32",
        "return number & _LOW, 0",
        "test_bits.py::test_streams_differ_by_seed_name_and_tag",
    ),
    Mutant(
        "name_hash_truncated",
        f"{CORE}/bits.py",
        'hashlib.sha256(text.encode()).digest()[:8], "little")',
        'hashlib.sha256(text.encode()).digest()[:4], "little")',
        "test_bits.py::test_words_are_those_of_the_specification",
    ),
    Mutant(
        "seed_wrapped",
        f"{CORE}/bits.py",
        "if isinstance(seed, bool) or not 0 <= number < SEEDS:",
        "if isinstance(seed, bool):",
        "test_bits.py::test_seeds_are_never_wrapped",
    ),
    # the numbers
    Mutant(
        "tag_of_the_imaginary_part_dropped",
        f"{CORE}/draw.py",
        'out.imag = _real(start, count, part, seed, name, "imag", kind)',
        'out.imag = _real(start, count, part, seed, name, "", kind)',
        "test_draw.py::test_complex_draws_have_the_std_as_modulus",
    ),
    Mutant(
        "complex_parts_at_full_std",
        f"{CORE}/draw.py",
        "unit=recipe.unit * math.sqrt(0.5))",
        "unit=recipe.unit)",
        "test_draw.py::test_complex_draws_have_the_std_as_modulus",
    ),
    Mutant(
        "unit_of_float32_in_float64",
        f"{CORE}/draw.py",
        "product = integers(w, recipe).astype(wide) * wide(recipe.unit)",
        "product = (integers(w, recipe) * recipe.unit).astype(wide)",
        "test_draw.py::test_draws_give_the_known_answers",
    ),
    Mutant(
        "float16_from_float64",
        f"{CORE}/draw.py",
        'wide = np.float64 if dtype == "float64" else np.float32',
        'wide = np.float32 if dtype == "float32" else np.float64',
        "test_draw.py::test_float16_is_float32_rounded_once",
    ),
    Mutant(
        "zero_among_uniforms",
        f"{CORE}/draw.py",
        "return ((w ^ np.uint32(2**31)) | np.uint32(1)).view(np.int32)",
        "return (w ^ np.uint32(2**31)).view(np.int32)",
        "test_draw.py::test_a_symmetric_uniform_is_never_zero_and_symmetric",
    ),
    Mutant(
        "shift_dropped",
        f"{CORE}/draw.py",
        "return (quantile >> np.int32(recipe.shift)) + np.int32(recipe.offset)",
        "return quantile + np.int32(recipe.offset)",
        "test_draw.py::test_draws_have_the_moments_of_their_distribution[shifted]",
    ),
    Mutant(
        "curvature_of_the_quantile_dropped",
        f"{CORE}/draw.py",
        "_high(within, slope[piece] - _high(within, curve[piece]))",
        "_high(within, slope[piece])",
        "test_draw.py::test_normal_quantile_matches_scipy",
    ),
    Mutant(
        "pass_that_begins_anew",
        f"{CORE}/draw.py",
        "made = words(start + done, size,",
        "made = words(start, size,",
        "test_draw.py::test_a_draw_is_one_across_the_passes_it_is_made_in",
    ),
    Mutant(
        "truncation_by_words_of_the_upper_cut",
        f"{CORE}/recipes.py",
        "span = min(_normal_words(upper) - floor, 2**32 - 1)",
        "span = min(_normal_words(upper), 2**32 - 1)",
        "test_draw.py::test_truncation_keeps_the_words_between_its_cuts",
    ),
    Mutant(
        "interval_one_integer_short",
        f"{CORE}/recipes.py",
        "span = min(ceiling - floor + 1, 2**32 - 1)",
        "span = min(ceiling - floor, 2**32 - 1)",
        "test_draw.py::test_draws_give_the_known_answers",
    ),
    # fans and gains
    Mutant(
        "swapped_fans",
        f"{CORE}/fans.py",
        "in_axes, out_axes = (-2,), (-1,)",
        "in_axes, out_axes = (-1,), (-2,)",
        "test_fans.py::test_fans_count_the_terms_of_a_real_convolution",
    ),
    Mutant(
        "field_left_out",
        f"{CORE}/fans.py",
        "rest * prod(shape[axis] for axis in inward)",
        "prod(shape[axis] for axis in inward)",
        "test_fans.py::test_fans_count_the_terms_of_a_real_convolution",
    ),
    Mutant(
        "forward_gain_for_backward",
        f"{CORE}/gains.py",
        'moment = signal / std**2 if direction == "forward" else slope',
        "moment = signal / std**2",
        "test_gains.py::test_gains_match_the_published_table",
    ),
    Mutant(
        "gain_blind_to_std",
        f"{CORE}/gains.py",
        'moment = signal / std**2 if direction == "forward" else slope',
        'moment = signal if direction == "forward" else slope',
        "test_gains.py::test_gain_of_a_homogeneous_function_does_not_depend_on_the_std",
    ),
    Mutant(
        "kinks_taken_for_smooth",
        f"{CORE}/gains.py",
        "_RESOLVED: Final = 1e-11",
        "_RESOLVED: Final = 1e-2",
        "test_gains.py::test_a_kink_may_lie_anywhere",
    ),
    Mutant(
        "ends_of_panels_unseen",
        f"{CORE}/gains.py",
        "return np.maximum(tail, np.maximum(at_left, at_right) / _POINTS)",
        "return tail",
        "test_gains.py::test_a_kink_may_lie_anywhere",
    ),
    Mutant(
        "steep_slope_taken_for_a_jump",
        f"{CORE}/gains.py",
        "broken = (close > wide / 2) & (close > 1e-9 * size + noise)",
        "broken = close > 1e-9 * size + noise",
        "test_gains.py::test_a_steep_slope_is_no_jump",
    ),
    Mutant(
        "odd_slope_tolerance",
        f"{CORE}/gains.py",
        "> 1e-6 * abs(slope) * _REACH",
        "> 1e-1 * abs(slope) * _REACH",
        "test_gains.py::test_odd_slope_is_not_taken_in_by_a_small_departure",
    ),
    # laws
    Mutant(
        "truncation_not_corrected",
        f"{CORE}/laws/fixed.py",
        "parent = self.sigma / truncated_std(self.cut)",
        "parent = self.sigma",
        "test_laws.py::test_returned_std_is_the_std_promised[truncated]",
    ),
    Mutant(
        "scaling_not_corrected",
        f"{CORE}/laws/variance.py",
        "return truncated_recipe(std / truncated_std(_CUT)",
        "return truncated_recipe(std",
        "test_laws.py::test_returned_std_is_the_std_promised[scaling, truncated]",
    ),
    Mutant(
        "std_taken_for_the_variance",
        f"{CORE}/laws/variance.py",
        "return sqrt(2 / (1 + slope**2))",
        "return 2 / (1 + slope**2)",
        "test_laws.py::test_he_normal_preserves_second_moment_through_relu",
    ),
    Mutant(
        "doubled_variance",
        f"{CORE}/laws/variance.py",
        "return self.gain / sqrt(_fan(",
        "return sqrt(2) * self.gain / sqrt(_fan(",
        "test_house_laws.py::test_laws_are_what_their_docstring_says",
    ),
    Mutant(
        "bound_of_the_uniform",
        f"{CORE}/laws/variance.py",
        "return uniform_recipe(-std * sqrt(3), std * sqrt(3))",
        "return uniform_recipe(-std * sqrt(6), std * sqrt(6))",
        "test_laws.py::test_returned_std_is_the_std_promised[glorot uniform]",
    ),
    Mutant(
        "one_fan_for_the_average",
        f"{CORE}/laws/variance.py",
        "return (fan_in + fan_out) / 2 if fan",
        "return fan_in if fan",
        "test_laws.py::test_returned_std_is_the_std_promised[glorot normal]",
    ),
    Mutant(
        "sign_in_a_law_line",
        f"{CORE}/laws/fixed.py",
        "        sqrt(1 - 2*cut*exp(",
        "        sqrt(1 + 2*cut*exp(",
        "test_house_laws.py::test_truncated_std_is_what_its_docstring_says",
    ),
    # orthogonal
    Mutant(
        "zero_divided_by_zero",
        f"{CORE}/orthogonal.py",
        "head = np.where(norm == 0, 1.0, v.diagonal())",
        "head = v.diagonal()",
        "test_orthogonal.py::test_a_normal_of_zero_leaves_an_orthogonal_matrix",
    ),
    Mutant(
        "sign_in_a_mirrored_block",
        f"{CORE}/orthogonal.py",
        "np.concatenate([across, -across], axis=0)",
        "np.concatenate([across, across], axis=0)",
        "test_orthogonal.py::test_mirrored_chain_is_a_product_of_orthogonal_matrices",
    ),
    Mutant(
        "widening_dropped",
        f"{CORE}/orthogonal.py",
        "* math.sqrt(max(1.0, high / wide))",
        "* math.sqrt(max(1.0, 1.0))",
        "test_orthogonal.py::test_widening_keeps_the_rms_and_narrowing_keeps_it_on_average",
    ),
    # fronts
    Mutant(
        "penalty_on_the_predictions",
        "src/pondera/numpy.py",
        "L1(strength).value(w) for w in _several(weights)",
        "L1(strength).value(w) for w in [prediction]",
        "test_numpy.py::test_the_losses_are_those_of_the_textbook",
    ),
    Mutant(
        "numpy_layout_for_torch",
        "src/pondera/torch/fill.py",
        "LAYOUT: Final = Axes((1,), (0,))",
        "LAYOUT: Final = Axes((0,), (1,))",
        "test_torch.py::test_the_default_axes_are_those_of_pytorch_layers",
    ),
    # whole models
    Mutant(
        "gain_of_the_activation_that_follows",
        "src/pondera/model/schemes/classic.py",
        "    exact = feed_gain(use)\n",
        "    exact = feed_gain(network.uses[min(index + 1, len(network.uses) - 1)])\n",
        "test_initialize.py::test_each_weight_gets_the_gain_of_what_feeds_it",
    ),
    Mutant(
        "biases_not_zeroed",
        "src/pondera/model/assign.py",
        '"bias": (laws.zeros,',
        '"bias": (laws.ones,',
        "test_torch.py::test_a_scheme_zeroes_biases_and_makes_norms_pass_what_they_normalise",
    ),
    # messages and imports
    Mutant(
        "no_nearest_name",
        f"{CORE}/errors.py",
        'hint = f"did you mean {near[0]!r}? " if near else ""',
        'hint = ""',
        "test_tools.py::test_messages_are_as_written",
    ),
    Mutant(
        "import_downwards",
        "src/pondera/numpy.py",
        "from pondera.core import laws\n",
        "from pondera.core import laws\nfrom pondera.model import graph\n",
        "test_house.py::test_imports_point_up_only[numpy.py]",
    ),
    Mutant(
        "argument_that_is_documented_otherwise",
        f"{CORE}/laws/fixed.py",
        "        cut: tail cut, in standard",
        "        limit: tail cut, in standard",
        "test_house.py::test_documented_arguments_are_those_of_the_signature[core/laws/fixed.py]",
    ),
    Mutant(
        "framework_imported_at_once",
        "src/pondera/__init__.py",
        "\nimport importlib\n",
        "\nimport importlib\n\nimport numpy\n",
        "test_house.py::test_importing_pondera_imports_no_framework",
    ),
]
