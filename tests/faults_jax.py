"""Faults of the draws in JAX, of the form of `tests/faults.py`."""

from tests.faults import Mutant

JAX = "src/pondera/jax"
KNOWN = "test_jax.py::test_jax_gives_the_known_answers"

FAULTS = (
    Mutant(
        "jax_round_less",
        f"{JAX}/stream.py",
        "for _ in range(_ROUNDS):",
        "for _ in range(_ROUNDS - 1):",
        KNOWN,
    ),
    Mutant(
        "jax_halves_swapped",
        f"{JAX}/stream.py",
        "jnp.where(place < np.uint64(2), front,",
        "jnp.where(place > np.uint64(2), front,",
        KNOWN,
    ),
    Mutant(
        "jax_steps_of_16_bits",
        f"{JAX}/stream.py",
        "lax.broadcasted_iota(jnp.uint64, tuple(size), axis) * np.uint64(step)",
        "lax.broadcasted_iota(jnp.uint64, tuple(size), axis) * np.uint64(step % 2**16)",
        "test_jax.py::test_slices_are_those_of_the_whole",
    ),
    Mutant(
        "jax_block_without_high_word",
        f"{JAX}/stream.py",
        "c0, c1 = block & _LOW, block >> _HALF",
        "c0, c1 = block & _LOW, block >> np.uint64(63)",
        "test_jax.py::test_elements_beyond_any_counter_word_are_numpy_s",
    ),
    Mutant(
        "jax_place_of_a_slice_by_its_size",
        f"{JAX}/stream.py",
        "steps = _steps(shape)\n    with jax",
        "steps = _steps(size)\n    with jax",
        "test_jax.py::test_slices_are_those_of_the_whole",
    ),
    Mutant(
        "jax_product_of_long_words",
        f"{JAX}/stream.py",
        "p0, p1 = (c0 & _LOW) * _M0,",
        "p0, p1 = c0 * _M0,",
        KNOWN,
    ),
    Mutant(
        "jax_key_words_swapped",
        f"{JAX}/stream.py",
        "return Pair(seed[1], seed[0])",
        "return Pair(seed[0], seed[1])",
        "test_jax.py::test_a_key_is_the_seed_of_its_64_bits",
    ),
    Mutant(
        "jax_key_of_32_bits",
        f"{JAX}/stream.py",
        "return Pair(seed[1], seed[0])",
        "return Pair(seed[1], np.uint32(0))",
        "test_jax.py::test_seeds_are_mapped",
    ),
    Mutant(
        "jax_draw_open_to_algebra",
        f"{JAX}/numbers.py",
        "return lax.optimization_barrier(drawn)",
        "return drawn",
        "test_jax.py::test_arithmetic_behind_a_draw_does_not_change_the_draw",
    ),
    Mutant(
        "jax_complex_not_halved",
        f"{JAX}/numbers.py",
        "recipe.unit * sqrt(0.5) if halved",
        "recipe.unit if halved",
        "test_jax.py::test_numpy_and_jax_draw_equal_bits",
    ),
    Mutant(
        "jax_offset_added_in_floating_point",
        f"{JAX}/numbers.py",
        "return (quantile >> c.shift) + c.offset",
        "return quantile >> c.shift",
        "test_jax.py::test_numpy_and_jax_draw_equal_bits",
    ),
    Mutant(
        "jax_devices_that_ask_each_other",
        f"{JAX}/numbers.py",
        "return lax.optimization_barrier(drawn)",
        "return lax.optimization_barrier(drawn + 0 * drawn.sum())",
        "test_jax_meshes.py::test_no_device_asks_another",
    ),
    Mutant(
        "jax_sharding_forgotten",
        f"{JAX}/weights.py",
        "static_argnames=static, out_shardings=sharding)",
        "static_argnames=static)",
        "test_jax_meshes.py::test_each_shard_is_the_slice_of_the_whole",
    ),
    Mutant(
        "jax_std_compiled_in",
        f"{JAX}/weights.py",
        "        constants_of(recipe, dtype),\n        kind=recipe.kind,",
        '        constants_of(recipe, dtype),\n        kind=type("", (str,), {})(recipe.kind),',
        "test_jax.py::test_one_compilation_serves_every_name_seed_std_and_place",
    ),
    Mutant(
        "jax_reflections_not_signed",
        f"{JAX}/matrices.py",
        "product = product * jnp.where(diagonal < 0, one, -one)[None]",
        "product = product * one",
        "test_jax_laws.py::test_matrices_are_numpy_s_to_their_rounding",
    ),
    Mutant(
        "jax_mirror_that_devices_share",
        f"{JAX}/matrices.py",
        "q = (q[None] * pair[:, None, None]).reshape(-1, q.shape[1])",
        "q = jnp.concatenate([q, -q])",
        "test_jax_meshes.py::test_no_device_asks_another",
    ),
    Mutant(
        "jax_negative_seed_wrapped",
        f"{JAX}/stream.py",
        "return pair_of(_joined(stream_key(int(seed))))",
        "return pair_of(int(seed) % 2**64)",
        "test_jax_laws.py::test_messages_are_as_written",
    ),
)
