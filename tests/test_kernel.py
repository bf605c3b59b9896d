"""The kernel draws core's numbers, to the bit (tier "exact"): recipes, dtypes, levels, starts, slices."""

import threading
from functools import cache
from math import prod

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pondera.core import draw as meaning
from pondera.core.errors import DomainError, ShapeError
from pondera.core.recipes import Recipe, normal_recipe, truncated_recipe, uniform_recipe
from pondera.kernel import blocks, fills, pool
from pondera.kernel.fills import draw, fill, fill_block
from pondera.kernel.library import LEVELS
from tests.kernel_levels import running_at

RECIPES = {
    "constant": uniform_recipe(0.3, 0.3),
    "symmetric": uniform_recipe(-0.7, 0.7),
    "interval": uniform_recipe(-0.1, 5.0),
    "narrow interval": uniform_recipe(-7.0, -6.999),
    "normal": normal_recipe(0.02),
    "normal about 1": normal_recipe(0.02, mean=1.0),
    "normal about 1e5": normal_recipe(0.02, mean=-1e5),
    "truncated": truncated_recipe(1.0),
    "one-sided": truncated_recipe(2.0, mean=3.0, lower=-0.5, upper=8.0),
    "half subnormal": normal_recipe(2e-6),
    "half overflows": normal_recipe(3e4),
    "float32 subnormal": Recipe("symmetric", unit=1e-40 * 2**-31),
}
STARTS = (
    0,
    1,
    77,
    255,
    2**32 + 5,
    2**38 - 300,
    2**50 + 13,
)  # 2**38: the counter's low word runs over
COUNTS = (1, 5, 256, 700)
SEED, NAME = 2**63 + 5, "encoder.0.weight"
HELD = {"bfloat16": "uint16"}
level, compiled = running_at(LEVELS), running_at(LEVELS[1:])
each_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
each_dtype = pytest.mark.parametrize("dtype", [*meaning.DTYPES, "bfloat16"])
shapes = st.lists(st.integers(1, 40), max_size=4).filter(lambda shape: prod(shape) <= 20000)


@cache
def by_core(start, count, recipe, dtype):
    """Core's numbers; bfloat16 as the bits of the rounded float32."""
    wide = "float32" if dtype == "bfloat16" else dtype
    drawn = meaning.draw(start, count, recipe=recipe, seed=SEED, name=NAME, dtype=wide)
    return fills.to_bfloat16(drawn) if dtype == "bfloat16" else drawn


def possible(recipe, dtype):
    """Complex draws are centred."""
    return not dtype.startswith("complex") or recipe.kind == "constant" or not centre(recipe)


def centre(recipe):
    return recipe.kind == "interval" or recipe.offset


def same(found, expected):
    return found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


@each_dtype
@each_recipe
def test_fills_are_core_s_bits(level, recipe, dtype):
    for start in STARTS if possible(recipe, dtype) else ():
        for count in COUNTS:
            out = np.empty(count, HELD.get(dtype, dtype))
            fill(out, start, count, recipe=recipe, seed=SEED, name=NAME, dtype=dtype)
            assert same(out, by_core(start, count, recipe, dtype)), (start, count)


@each_recipe
def test_draw_is_core_s_draw(level, recipe):
    for dtype in meaning.DTYPES:
        if possible(recipe, dtype):
            drawn = draw(77, 70_000, recipe=recipe, seed=SEED, name=NAME, dtype=dtype)
            assert same(drawn, by_core(77, 70_000, recipe, dtype))
            assert draw(3, 0, recipe=recipe, seed=SEED, name=NAME, dtype=dtype).shape == (0,)


def test_the_last_elements_of_the_stream_can_be_drawn(level):
    recipe = RECIPES["normal"]
    drawn = draw(2**64 - 700, 700, recipe=recipe, seed=SEED, name=NAME)
    assert same(drawn, by_core(2**64 - 700, 700, recipe, "float32"))


@pytest.mark.parametrize(
    ("start", "count", "changed"),
    [
        (0, 3, {"dtype": "int32"}),
        (0, 3, {"seed": -1}),
        (0, 3, {"name": ""}),
        (-1, 3, {}),
        (2**64 - 2, 3, {}),
        (0, 3, {"dtype": "complex64", "recipe": RECIPES["interval"]}),
    ],
)
def test_what_core_refuses_is_refused_in_its_words(level, start, count, changed):
    given = {"recipe": RECIPES["normal"], "seed": 0, "name": "w", **changed}
    with pytest.raises(DomainError) as expected:
        meaning.draw(start, count, **given)
    with pytest.raises(DomainError) as found:
        draw(start, count, **given)
    assert str(found.value) == str(expected.value)


@each_dtype
@pytest.mark.parametrize("stride", [2, 3, -1, -5])
def test_fills_touch_every_stride_th_element_and_no_other(level, dtype, stride):
    count, recipe = 600, RECIPES["truncated"]
    room = np.zeros(count * abs(stride), HELD.get(dtype, dtype))
    out = room[::stride]
    fill(out, 255, count, recipe=recipe, seed=SEED, name=NAME, dtype=dtype)
    assert same(out.copy(), by_core(255, count, recipe, dtype))
    assert np.count_nonzero(room) == np.count_nonzero(out)


def test_an_address_with_a_stride_is_an_array_with_one(level):
    room, recipe = np.zeros(3000, np.complex64), RECIPES["normal"]
    where = room.ctypes.data + 8
    fill(where, 9, 1000, recipe=recipe, seed=SEED, name=NAME, dtype="complex64", stride=3)
    assert same(room[1::3].copy(), by_core(9, 1000, recipe, "complex64"))
    assert not room[0::3].any()
    assert not room[2::3].any()


def test_bfloat16_is_what_torch_rounds_to():
    torch = pytest.importorskip("torch")
    bits = np.random.default_rng(0).integers(0, 2**32, 100_000, dtype=np.uint32)
    bits[:4] = 0x3F808000, 0x3F818000, 0x00008000, 0x7F7FFFFF  # ties, subnormal, overflow
    x = bits[np.isfinite(bits.view(np.float32))].view(np.float32)
    rounded = torch.from_numpy(x).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    assert same(fills.to_bfloat16(x), rounded)


# --- slices ---


def spread_out(draw_from, size, dtype):
    """An array of shape `size` amid zeros: axes in any order in memory, any of them backwards."""
    order = draw_from(st.permutations(range(len(size))))
    steps = [draw_from(st.sampled_from([1, 2, -1, -2])) for _ in size]
    room = np.zeros([2 * size[axis] for axis in order], dtype)
    view = room[(..., *(slice(None, None, step) for step in steps))]
    view = view[(..., *(slice(0, size[axis]) for axis in order))]
    return room, view.transpose(np.argsort(order)) if size else view


@given(picked=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_slices_are_slices_of_the_whole(level, picked):
    shape = tuple(picked.draw(shapes))
    offset = tuple(picked.draw(st.integers(0, n - 1)) for n in shape)
    size = tuple(picked.draw(st.integers(0, n - o)) for n, o in zip(shape, offset, strict=True))
    dtype = picked.draw(st.sampled_from([*meaning.DTYPES, "bfloat16"]))
    recipe = RECIPES[picked.draw(st.sampled_from(["symmetric", "normal", "truncated"]))]
    room, out = spread_out(picked.draw, size, HELD.get(dtype, dtype))
    stream = {"recipe": recipe, "seed": SEED, "name": NAME, "dtype": dtype}
    fill_block(out, shape=shape, offset=offset, size=size, **stream)
    whole = by_core(0, prod(shape), recipe, dtype).reshape(shape)
    part = whole[tuple(slice(o, o + n) for o, n in zip(offset, size, strict=True))]
    assert same(np.ascontiguousarray(out), np.ascontiguousarray(part))
    assert np.count_nonzero(room) == np.count_nonzero(part)


def test_slices_of_a_huge_tensor_are_where_they_belong(level):
    shape, offset, size = (2**20, 2**24, 5), (2**19 + 1, 2**23 - 2, 1), (3, 4, 3)
    out, recipe = np.zeros(size, np.float32), RECIPES["normal"]
    fill_block(out, shape=shape, offset=offset, size=size, recipe=recipe, seed=SEED, name=NAME)
    for i, j in np.ndindex(3, 4):
        start = ((offset[0] + i) * shape[1] + offset[1] + j) * shape[2] + offset[2]
        assert same(out[i, j], by_core(start, 3, recipe, "float32"))


def test_an_address_without_strides_is_row_major(compiled):
    out, recipe = np.zeros((3, 4), np.float32), RECIPES["normal"]
    where = {"shape": (9, 7), "offset": (2, 1), "size": (3, 4)}
    fill_block(out.ctypes.data, **where, recipe=recipe, seed=SEED, name=NAME)
    assert same(out, by_core(0, 63, recipe, "float32").reshape(9, 7)[2:5, 1:5].copy())


# --- threads ---


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_bits_do_not_depend_on_the_number_of_threads(compiled, threads):
    pool.use_threads(threads)
    recipe, count = RECIPES["truncated"], 2**18 + 3
    assert same(
        draw(77, count, recipe=recipe, seed=SEED, name=NAME), by_core(77, count, recipe, "float32")
    )
    out = np.zeros((600, 300), np.float32)
    fill_block(
        out, shape=(600, 500), offset=(0, 100), size=(600, 300), recipe=recipe, seed=SEED, name=NAME
    )
    whole = by_core(0, 300_000, recipe, "float32").reshape(600, 500)
    assert same(out, whole[:, 100:400].copy())


def test_several_python_threads_may_draw_at_once(compiled):
    recipe, count, made = RECIPES["normal"], 2**18, {}

    def work(start):
        made[start] = draw(start, count, recipe=recipe, seed=SEED, name=NAME)

    workers = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for start in range(4):
        assert same(made[start], by_core(start, count, recipe, "float32"))


def test_a_fault_on_any_thread_is_the_caller_s():
    with pytest.raises(ZeroDivisionError):
        pool.each(lambda item: 1 // item, [1, 1, 0, 1])


@given(start=st.integers(0, 10**6), sizes=st.lists(st.integers(1, 50), min_size=1, max_size=3))
def test_parts_of_a_walk_are_the_walk(start, sizes):
    walk = blocks.block(sizes, [0] * len(sizes), sizes, blocks.row_major(sizes))._replace(
        start=start
    )
    places = []
    for part in blocks.parts(walk, 300):
        assert part.elements <= max(300, blocks.TILE) + blocks.TILE
        assert part.start - start == part.place  # row-major: memory follows the stream
        places += range(part.place, part.place + part.elements)
    assert places == list(range(prod(sizes)))


# --- what is refused ---

STREAM = {"recipe": RECIPES["normal"], "seed": 0, "name": "w"}
REFUSED = [
    (
        lambda: fill(0, 0, 3, **STREAM),
        "fill: out must be an array or a positive address; got int 0. "
        "Pass array, or tensor.data_ptr().",
    ),
    (
        lambda: fill(np.zeros(4, np.float32), 0, 3, **STREAM),
        "fill: out must have the shape that is drawn; got out.shape=(4,), drawn=(3,). "
        "Pass such an array, or a view of one.",
    ),
    (
        lambda: fill(np.zeros(3), 0, 3, **STREAM),
        "fill: out must be writable, aligned and hold float32 (as float32); got dtype=float64, "
        "strides=(8,), writeable=True. Pass such an array.",
    ),
    (
        lambda: fill(np.broadcast_to(np.float32(1), 3), 0, 3, **STREAM),
        "fill: out must be writable, aligned and hold float32 (as float32); got dtype=float32, "
        "strides=(0,), writeable=False. Pass such an array.",
    ),
    (
        lambda: fill_block(8, shape=(3, 4), offset=(1, 0), size=(3, 4), **STREAM),
        "fill_block: needs 0 <= offset and offset + size <= shape along every axis; got "
        "shape=(3, 4), offset=(1, 0), size=(3, 4), strides=(4, 1). "
        "Pass one number per axis of the whole tensor to each.",
    ),
    (
        lambda: fill_block(8, shape=[3] * 33, offset=[0] * 33, size=[2] * 33, **STREAM),
        "fill_block: a slice may have 32 axes that do not merge; got 33. Fill it in parts.",
    ),
    (
        lambda: pool.use_threads(0),
        "use_threads: needs an integer of at least 1, or None; got count=0. "
        "Use 1 to stay in the calling thread.",
    ),
]


@pytest.mark.parametrize(("call", "text"), REFUSED)
def test_messages_are_as_written(call, text):
    with pytest.raises((DomainError, ShapeError)) as error:
        call()
    assert str(error.value) == text
