"""Draws in JAX have NumPy's bits (tier "exact"), whatever XLA makes of the program around them."""

import hashlib
from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

jax = pytest.importorskip("jax", reason="JAX is not installed")

import jax.numpy as jnp

import pondera.jax as pj
import pondera.numpy as pn
from pondera.core import laws
from pondera.core.errors import DomainError, ShapeError
from pondera.jax import numbers, stream, weights
from tests.test_draw import KNOWN, known_name, known_recipe

STREAM = {"seed": 2**63 + 5, "name": "encoder.0.weight"}
NARROW = ("bfloat16", "complex64", "float16", "float32")
DRAWN = {
    "constant": laws.uniform(low=0.3, high=0.3),
    "symmetric": laws.uniform(low=-0.7, high=0.7),
    "interval": laws.uniform(low=-0.1, high=5.0),
    "normal": laws.normal(std=0.02),
    "normal about 1": laws.normal(std=0.02, mean=1.0),
    "normal about -1e4": laws.normal(std=0.02, mean=-1e4),
    "truncated": laws.truncated_normal(std=1.0),
    "truncated about 3": laws.truncated_normal(std=0.5, mean=3.0, cut=1.0),
    "half subnormal": laws.normal(std=2e-6),
    "half overflows": laws.normal(std=3e4),
    "he": laws.he_normal(),
    "glorot": laws.glorot_uniform(),
}
ELEMENTS = jax.jit(numbers.elements, static_argnames=("kind", "shape", "size", "dtype"))
seeds = st.integers(0, 2**64 - 1)
shapes = st.lists(st.integers(1, 12), min_size=2, max_size=4).map(tuple)


@pytest.fixture(autouse=True)
def strict():
    """Stricter than production: no dtype is promoted, no rank is broadcast unasked."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


def same(found, expected) -> bool:
    found = np.asarray(found)
    return (found.dtype, found.shape) == (expected.dtype, expected.shape) and (
        found.tobytes() == expected.tobytes()
    )


def by_core(law, shape, dtype, **place):
    """Core's own draw; bfloat16 by rounding float32's bits in integers."""
    wide = "float32" if dtype == "bfloat16" else dtype
    made = law.block if place else law.draw
    drawn = made(shape, dtype=wide, **STREAM, **place)
    return rounded(drawn) if dtype == "bfloat16" else drawn


def rounded(single):
    bits = single.view(np.uint32).astype(np.uint64)
    near = ((bits + 0x7FFF + (bits >> np.uint64(16) & np.uint64(1))) >> np.uint64(16)).astype("u2")
    return near.view(jnp.bfloat16)


def by_recipe(recipe, start, count, seed, name, dtype):
    """Elements start … start + count − 1 by the compiled function itself."""
    return ELEMENTS(
        stream.pair_of(start),
        tuple(stream.stream_of(seed, name, tag=tag) for tag in ("", "imag")),
        numbers.constants_of(recipe, dtype),
        kind=recipe.kind,
        shape=(start + count,),
        size=(count,),
        dtype=dtype,
    )


def mode(dtype):
    return jax.enable_x64(True) if dtype in numbers.WIDE else nullcontext()


# --- the numbers ---


@pytest.mark.parametrize("case", KNOWN, ids=known_name)
def test_jax_gives_the_known_answers(case):
    recipe, start, count = known_recipe(case), case["start"], case["count"]
    with mode(case["dtype"]):
        drawn = by_recipe(recipe, start, count, case["seed"], case["name"], case["dtype"])
    stored = np.asarray(drawn).astype(drawn.dtype.newbyteorder("<")).tobytes()
    assert drawn.dtype == case["dtype"]
    assert hashlib.sha256(stored).hexdigest()[:16] == case["sha256"]


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("dtype", numbers.DTYPES)
def test_numpy_and_jax_draw_equal_bits(kind, dtype):
    law, shape = DRAWN[kind], (6, 10, 7)
    recipe = law.recipe(shape)
    centred = not (recipe.offset or recipe.kind == "interval")
    with mode(dtype):
        if dtype.startswith("complex") and not centred:
            with pytest.raises(DomainError, match="centred at 0"):
                pj.weight(law, shape, dtype=dtype, **STREAM)
            return
        drawn = pj.weight(law, shape, dtype=dtype, **STREAM)
        with np.errstate(over="ignore"):
            assert same(drawn, by_core(law, shape, dtype))
        assert same(jax.jit(lambda: pj.weight(law, shape, dtype=dtype, **STREAM))(), drawn)


@settings(max_examples=25)
@given(kind=st.sampled_from([*DRAWN]), dtype=st.sampled_from(NARROW), shape=shapes, seed=seeds)
def test_any_shape_has_the_bits_of_numpy(kind, dtype, shape, seed):
    law = DRAWN[kind]
    recipe = law.recipe(shape)
    if dtype == "complex64" and (recipe.offset or recipe.kind == "interval"):
        dtype = "float32"
    made = pj.weight(law, shape, dtype=dtype, seed=seed, name="w")
    wide = "float32" if dtype == "bfloat16" else dtype
    with np.errstate(over="ignore"):
        drawn = law.draw(shape, dtype=wide, seed=seed, name="w")
        assert same(made, rounded(drawn) if dtype == "bfloat16" else drawn)


@settings(max_examples=20)
@given(
    start=st.one_of(
        *(st.integers(max(0, 2**k - 300), 2**k + 300) for k in (0, 32, 34, 38, 50, 62))
    ),
    kind=st.sampled_from(["symmetric", "truncated"]),
)
def test_elements_beyond_any_counter_word_are_numpy_s(start, kind):
    place = {"offset": (start,), "size": (600,)}
    made = pj.weight(DRAWN[kind], (2**62 + 1000,), **STREAM, **place)
    assert same(made, by_core(DRAWN[kind], (2**62 + 1000,), "float32", **place))


@settings(max_examples=12)
@given(data=st.data(), big=st.booleans())
def test_slices_are_those_of_the_whole(data, big):
    shape = (2**20, 2**14, 5) if big else (40, 30, 5)
    size = tuple(data.draw(st.integers(0, min(n, 20))) for n in shape)
    offset = tuple(data.draw(st.integers(0, n - part)) for n, part in zip(shape, size, strict=True))
    place = {"offset": offset, "size": size}
    expected = by_core(laws.he_normal(), shape, "float32", **place)
    assert same(pj.he_normal(shape, **STREAM, **place), expected)
    moving = jax.jit(lambda at: pj.he_normal(shape, **STREAM, offset=at, size=size))
    assert same(moving(tuple(jnp.int32(first) for first in offset)), expected)


def test_no_length_of_a_run_changes_the_numbers():
    whole = pn.normal((3000,), std=1.0, **STREAM)
    for first, last in pairwise([0, 1, 63, 64, 65, 255, 256, 257, 1000, 2999, 3000]):
        made = pj.normal((3000,), std=1.0, offset=(first,), size=(last - first,), **STREAM)
        assert same(made, whole[first:last])


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,)])
def test_shapes_without_axes_or_elements_are_drawn(shape):
    assert same(pj.normal(shape, std=1.0, **STREAM), pn.normal(shape, std=1.0, **STREAM))


# --- seeds ---


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=5)
def test_a_seed_may_be_traced(seed):
    drawn = jax.jit(lambda s: pj.truncated_normal((300,), std=0.1, seed=s, name="w"))
    assert same(drawn(jnp.uint32(seed)), pn.truncated_normal((300,), std=0.1, seed=seed, name="w"))
    assert same(drawn(np.uint32(seed)), pj.truncated_normal((300,), std=0.1, seed=seed, name="w"))


@given(seed=seeds)
@settings(max_examples=5)
def test_a_key_is_the_seed_of_its_64_bits(seed):
    high_low = jnp.asarray(np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32))
    expected = pn.normal((300,), std=0.1, seed=seed, name="w")
    for key in (high_low, jax.random.wrap_key_data(high_low), np.asarray(high_low)):
        assert same(pj.normal((300,), std=0.1, seed=key, name="w"), expected)
        traced = jax.jit(lambda k: pj.normal((300,), std=0.1, seed=k, name="w"))
        assert same(traced(key), expected)
    with jax.enable_x64(True):
        wide = jnp.asarray(np.uint64(seed))
        drawn = jax.jit(lambda s: pj.normal((300,), std=0.1, seed=s, name="w"))(wide)
        assert same(drawn, expected)
        assert same(pj.normal((300,), std=0.1, seed=wide, name="w"), expected)


def test_a_key_made_of_a_seed_draws_as_the_seed():
    for seed in (0, 5, 2**31):
        made = pj.he_normal((30, 20), seed=jax.random.key(seed), name="w")
        assert same(made, pn.he_normal((30, 20), seed=seed, name="w"))


def test_seeds_are_mapped():
    drawn = jax.vmap(lambda s: pj.normal((40, 9), std=0.1, seed=s, name="w"))(jnp.arange(4))
    for seed in range(4):
        assert same(drawn[seed], pn.normal((40, 9), std=0.1, seed=seed, name="w"))
    keys = jax.random.split(jax.random.key(7), (2, 3))
    nested = jax.vmap(jax.vmap(lambda k: pj.uniform((9,), low=0.0, high=1.0, seed=k, name="w")))
    high, low = np.moveaxis(np.asarray(jax.random.key_data(keys)).astype(object), -1, 0)
    made = nested(keys)
    for i, j in np.ndindex(2, 3):
        seed = int(high[i, j] << 32 | low[i, j])
        assert same(made[i, j], pn.uniform((9,), low=0.0, high=1.0, seed=seed, name="w"))


def test_layers_are_drawn_in_a_scan():
    def layer(carry, seed):
        return carry, pj.he_uniform((5, 6), seed=seed, name="block.weight")

    _, made = jax.lax.scan(layer, 0, jnp.arange(3, dtype=jnp.uint32))
    for seed in range(3):
        assert same(made[seed], pn.he_uniform((5, 6), seed=seed, name="block.weight"))


# --- what XLA might do to them ---


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_arithmetic_behind_a_draw_does_not_change_the_draw(dtype):
    """XLA may not join the draw's multiplication with the next, nor drop its rounding."""
    law = DRAWN["normal"]
    expected = by_core(law, (100, 300), dtype)
    factor = expected.dtype.type(3.3)
    times = jax.jit(lambda c: pj.weight(law, (100, 300), dtype=dtype, **STREAM) * c)
    fixed = jax.jit(lambda: pj.weight(law, (100, 300), dtype=dtype, **STREAM) * factor)
    assert same(times(factor), expected * factor)
    assert same(fixed(), expected * factor)
    widened = jax.jit(lambda: pj.weight(law, (100, 300), dtype=dtype, **STREAM).astype(jnp.float32))
    assert same(widened(), expected.astype(np.float32))


def test_gradients_pass_by_a_draw():
    weight = pn.normal((8,), std=0.1, **STREAM)
    slope = jax.grad(lambda x: jnp.sum(pj.normal((8,), std=0.1, **STREAM) * x))(jnp.ones(8))
    assert same(slope, weight)


def test_one_compilation_serves_every_name_seed_std_and_place():
    compiled = weights._compiled(numbers.elements, weights._ELEMENTS, None)
    pj.normal((33, 7), std=0.1, seed=0, name="first")
    before = compiled._cache_size()
    pj.normal((33, 7), std=0.3, mean=0.2, seed=2**40, name="second")
    pj.normal((33, 7), std=3.0, mean=1e5, seed=jnp.uint32(3), name="third")
    assert compiled._cache_size() == before


# --- traced offsets ---


@pytest.mark.parametrize(
    ("place", "fault", "said"),
    [
        (lambda at: {"offset": (at, 0)}, ShapeError, "needs size="),
        (lambda at: {"offset": (at,), "size": (2, 2)}, ShapeError, "one number for each axis"),
        (lambda at: {"offset": (at, 5), "size": (2, 2)}, ShapeError, "offset \\+ size"),
        (lambda at: {"offset": (at, -1), "size": (2, 2)}, ShapeError, "at least 0"),
        (lambda at: {"offset": (at * 1.5, 0), "size": (2, 2)}, DomainError, "integer scalars"),
        (lambda at: {"offset": (at > 0, 0), "size": (2, 2)}, DomainError, "integer scalars"),
        (lambda at: {"offset": (at[None], 0), "size": (2, 2)}, DomainError, "integer scalars"),
    ],
)
def test_a_traced_offset_is_checked_as_far_as_it_is_known(place, fault, said):
    with jax.numpy_dtype_promotion("standard"), pytest.raises(fault, match=said):
        jax.jit(lambda at: pj.normal((8, 6), std=1.0, **STREAM, **place(at)))(jnp.int32(1))


def test_an_offset_may_be_one_traced_array():
    place = {"size": (2, 3)}
    made = jax.jit(lambda at: pj.normal((8, 6), std=1.0, offset=at, **place, **STREAM))
    expected = pn.normal((8, 6), std=1.0, offset=(4, 2), **place, **STREAM)
    assert same(made(jnp.array([4, 2])), expected)
