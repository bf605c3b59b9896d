"""Slices of a logical tensor, tier "exact": the bits of the whole, in any memory, at their own cost."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pondera.numpy as pn
from pondera import kernel
from pondera.core import laws
from pondera.core.draw import DTYPES
from pondera.core.errors import DomainError, ShapeError
from pondera.core.laws.base import Axes
from pondera.kernel import blocks, weights
from pondera.kernel.library import LEVELS
from tests import oracle
from tests.kernel_levels import running_at

STREAM = {"seed": 2**63 + 5, "name": "encoder.0.weight"}
LAWS = {  # one of each way that a law is drawn
    "normal": laws.normal(std=0.3),
    "moved": laws.normal(std=0.02, mean=1.0),
    "truncated": laws.truncated_normal(std=0.3),
    "uniform": laws.uniform(low=-0.1, high=0.7),
    "he": laws.he_normal(),
    "constant": laws.constant(0.3),
    "sparse": laws.sparse(sparsity=0.5),
    "rows": laws.unit_rows(),
}
level = running_at(LEVELS)
quiet = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
shapes = st.lists(st.integers(1, 9), min_size=2, max_size=5)


@st.composite
def slices(draw):
    """(shape, offset, size), the size perhaps 0."""
    shape = tuple(draw(shapes))
    offset = tuple(draw(st.integers(0, n - 1)) for n in shape)
    size = tuple(draw(st.integers(0, n - o)) for n, o in zip(shape, offset, strict=True))
    return shape, offset, size


@st.composite
def arrays_of(draw, size, dtype):
    """An array of a size amid sevens: axes in any order in memory, any of them backwards or spread."""
    order = draw(st.permutations(range(len(size))))
    steps = [draw(st.sampled_from([1, 2, -1, -3])) for _ in size]
    room = np.full([3 * size[axis] for axis in order], 7, dtype)
    view = room[tuple(slice(None, None, step) for step in steps)]
    view = view[tuple(slice(0, size[axis]) for axis in order)]
    return room, view.transpose(np.argsort(order))


def cut(whole, offset, size):
    return whole[tuple(slice(o, o + n) for o, n in zip(offset, size, strict=True))]


def drawable(law, dtype):
    """Complex draws are centred."""
    return not dtype.startswith("complex") or law not in ("moved", "uniform")


@pytest.mark.parametrize("law", LAWS)
@given(picked=st.data())
@quiet
def test_a_slice_has_the_bits_of_the_whole(level, law, picked):
    shape, offset, size = picked.draw(slices())
    dtype = picked.draw(st.sampled_from([d for d in DTYPES if drawable(law, d)]))
    whole = LAWS[law].draw(shape, **STREAM, dtype=dtype)
    made = pn.weight(LAWS[law], shape, offset=offset, size=size, dtype=dtype, **STREAM)
    assert made.dtype == dtype
    np.testing.assert_array_equal(made, cut(whole, offset, size))
    room, out = picked.draw(arrays_of(size, dtype))
    assert pn.weight(LAWS[law], shape, offset=offset, out=out, **STREAM) is out
    np.testing.assert_array_equal(out, cut(whole, offset, size))
    assert np.count_nonzero(room == 7) == room.size - out.size + np.count_nonzero(out == 7)


@pytest.mark.parametrize("law", ["orthogonal", "mirrored_orthogonal", "delta_orthogonal"])
def test_a_slice_of_a_law_that_ties_all_elements_is_cut_from_the_whole(level, law):
    shape, offset, size = (3, 3, 8, 12), (1, 0, 2, 4), (2, 1, 5, 8)
    whole = getattr(pn, law)(shape, **STREAM)
    made = getattr(pn, law)(shape, offset=offset, size=size, **STREAM)
    np.testing.assert_array_equal(made, cut(whole, offset, size))


def test_tiles_of_a_matrix_make_the_matrix(level):
    """As a mesh would: every element once, whatever the tiling."""
    shape, edges = (37, 53), ((0, 11, 12, 37), (0, 1, 3, 30, 53))
    whole = pn.he_normal(shape, **STREAM)
    pieces = np.zeros(shape, np.float32)
    for (top, down), (left, right) in itertools.product(*map(itertools.pairwise, edges)):
        part = {"offset": (top, left), "size": (down - top, right - left)}
        pieces[top:down, left:right] = pn.he_normal(shape, **part, **STREAM)
    np.testing.assert_array_equal(pieces, whole)


def test_fans_are_those_of_the_whole():
    part = {"offset": (0, 0), "size": (400, 4)}
    made = pn.he_normal((400, 300), **part, **STREAM)
    assert made.std() == pytest.approx(
        math.sqrt(2 / 400), rel=oracle.moment_tolerance(made.size, 3)
    )
    rows = pn.he_normal((400, 300), offset=(7, 0), size=(8, 300), **STREAM)
    assert rows.std() == pytest.approx(
        math.sqrt(2 / 400), rel=oracle.moment_tolerance(rows.size, 3)
    )


def test_a_slice_costs_what_it_holds():
    """2⁶² elements would never be made; the slice lies beyond 2⁵⁰."""
    shape, offset, size = (2**31, 2**31), (2**30, 2**30 + 1), (3, 5)
    made = pn.normal(shape, std=1.0, offset=offset, size=size, **STREAM)
    for row in range(3):
        start = (offset[0] + row) * shape[1] + offset[1]
        expected = kernel.draw(start, 5, recipe=laws.normal(std=1.0).recipe(shape), **STREAM)
        np.testing.assert_array_equal(made[row], expected)


def test_offset_and_size_each_have_a_default():
    whole = pn.normal((6, 7), std=1.0, **STREAM)
    np.testing.assert_array_equal(
        pn.normal((6, 7), std=1.0, offset=(2, 3), **STREAM), whole[2:, 3:]
    )
    np.testing.assert_array_equal(pn.normal((6, 7), std=1.0, size=(2, 3), **STREAM), whole[:2, :3])
    out = np.empty((2, 3), np.float32)
    pn.normal((6, 7), std=1.0, out=out, **STREAM)
    np.testing.assert_array_equal(out, whole[:2, :3])


def test_numpy_integers_are_integers():
    whole = pn.normal((6, 7), std=1.0, **STREAM)
    part = {"offset": np.array([1, 2]), "size": list(np.array([3, 4], np.int32))}
    np.testing.assert_array_equal(
        pn.normal(np.array([6, 7]), std=1.0, **part, **STREAM), whole[1:4, 2:6]
    )


def test_a_weight_may_be_drawn_anew_where_it_lies(level):
    out = np.zeros((6, 7), np.float16, order="F")
    assert pn.normal((6, 7), std=1.0, out=out, **STREAM) is out
    np.testing.assert_array_equal(out, pn.normal((6, 7), std=1.0, dtype="float16", **STREAM))


# --- what is refused; nothing is then written ---

OUT = np.full((3, 4), 7, np.float32)
OVERLAPPING = np.lib.stride_tricks.as_strided(np.full(12, 7, np.float32), (3, 4), (4, 4))
REFUSED = {
    "beyond": (
        {"offset": (1, 0), "size": (3, 4)},
        ShapeError,
        "draw: a slice needs offset + size <= shape along every axis; got shape=(3, 4), offset=(1, 0), "
        "size=(3, 4). Draw inside the tensor.",
    ),
    "before": (
        {"offset": (-1, 0)},
        ShapeError,
        "draw: offset must be an integer of at least 0 for each axis of the whole tensor; got "
        "offset=(-1, 0) for shape=(3, 4). Pass one number per axis.",
    ),
    "other axes": (
        {"size": (3,)},
        ShapeError,
        "draw: size must be an integer of at least 0 for each axis of the whole tensor; got size=(3,) "
        "for shape=(3, 4). Pass one number per axis.",
    ),
    "broken": (
        {"offset": (0.5, 0)},
        ShapeError,
        "draw: offset must be an integer of at least 0 for each axis of the whole tensor; got "
        "offset=(0.5, 0) for shape=(3, 4). Pass one number per axis.",
    ),
    "other shape": (
        {"out": OUT, "size": (2, 4)},
        ShapeError,
        "draw: out must have the shape that is drawn; got out.shape=(3, 4), drawn=(2, 4). Pass such an "
        "array, or a view of one.",
    ),
    "other dtype": (
        {"out": OUT, "dtype": "float64"},
        DomainError,
        "draw: dtype must be that of out, or be left out; got dtype='float64', out.dtype='float32'. "
        "Leave it out.",
    ),
    "overlapping": (
        {"out": OVERLAPPING},
        DomainError,
        "draw: out must not overlap itself; got shape=(3, 4), strides=(4, 4). Pass a copy of it.",
    ),
    "address": (
        {"out": 4096, "size": (3, 4)},
        DomainError,
        "draw: out must be an array or a positive address; got int 4096. Pass array, or "
        "tensor.data_ptr().",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_messages_are_as_written_and_nothing_is(kind):
    given_, error, text = REFUSED[kind]
    with pytest.raises(error) as found:
        pn.normal((3, 4), std=1.0, **given_, **STREAM)
    assert str(found.value) == text
    assert (OUT == 7).all()
    assert (OVERLAPPING == 7).all()


@pytest.mark.parametrize(
    "wrong", [{"seed": -1}, {"seed": True}, {"name": ""}, {"name": ["w"]}], ids=str
)
def test_an_array_is_untouched_by_a_draw_that_fails(level, wrong):
    pn.normal((3, 4), std=1.0, **{**STREAM, "seed": 1})  # True is no seed, though 1 is
    with pytest.raises(DomainError):
        pn.normal((3, 4), std=1.0, out=OUT, **{**STREAM, **wrong})
    assert (OUT == 7).all()


@given(
    sizes=st.lists(st.integers(1, 4), max_size=4),
    picked=st.data(),
)
def test_memory_that_overlaps_is_told_from_memory_that_does_not(sizes, picked):
    strides = [picked.draw(st.integers(-9, 9)) for _ in sizes]
    places = [0]
    for size, stride in zip(sizes, strides, strict=True):
        places = [place + stride * i for place in places for i in range(size)]
    assert blocks.overlaps(sizes, strides) == (len(set(places)) < len(places))


def test_memory_without_elements_overlaps_nothing():
    assert not blocks.overlaps((0, 3), (0, 0))
    assert blocks.overlaps((2**40, 2**40), (1, 1))  # nothing is counted: there are too few places


def test_a_law_that_cannot_be_kept_is_drawn_all_the_same():
    """Laws are kept by their hash; one of somebody else may have none."""

    class Unhashable(laws.Normal):
        __hash__ = None

    law = Unhashable("normal", sigma=0.3, mean=0.0)
    made = pn.weight(law, (5, 6), **STREAM)
    np.testing.assert_array_equal(made, pn.normal((5, 6), std=0.3, **STREAM))
    part = weights.weight_of(law, Axes(), shape=(5, 6), offset=None, size=None, **STREAM)
    assert part.recipe == laws.normal(std=0.3).recipe((5, 6))
