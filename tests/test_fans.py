"""Fans against the terms of a real convolution, counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate

from pondera.core.errors import ShapeError
from pondera.core.fans import Fans, fans

sizes = st.integers(1, 5)
fields = st.lists(st.integers(1, 3), max_size=2)


def convolved(image, kernel):
    """image (…, in) and kernel (…, in, out) → (…, out), plain: one channel pair at a time."""
    return np.stack(
        [
            sum(
                correlate(image[..., i], kernel[..., i, o], mode="same")
                for i in range(kernel.shape[-2])
            )
            for o in range(kernel.shape[-1])
        ],
        axis=-1,
    )


@given(field=fields, inputs=sizes, outputs=sizes)
def test_fans_count_the_terms_of_a_real_convolution(field, inputs, outputs):
    kernel = np.ones((*field, inputs, outputs))
    middle = (4,) * len(field)
    ones = np.ones((*(9 for _ in field), inputs))
    impulse = np.zeros_like(ones)
    impulse[(*middle, 0)] = 1
    summed = convolved(ones, kernel)[(*middle, 0)]  # inputs that one output sums over
    reached = convolved(impulse, kernel).sum()  # outputs that one input feeds
    assert fans(kernel.shape) == Fans(fan_in=round(summed), fan_out=round(reached))


@given(field=fields, inputs=sizes, outputs=sizes, order=st.randoms(use_true_random=False))
def test_fans_follow_their_axes_through_any_permutation(field, inputs, outputs, order):
    shape = (*field, inputs, outputs)
    places = list(range(len(shape)))
    order.shuffle(places)
    moved = tuple(shape[place] for place in places)
    front = places.index(len(shape) - 2), places.index(len(shape) - 1)
    back = tuple(axis - len(shape) for axis in front)  # the same axes, counted from the end
    for inward, outward in (front, back):
        assert fans(moved, in_axes=(inward,), out_axes=(outward,)) == fans(shape)


@given(field=fields, inputs=sizes, outputs=sizes)
def test_swapping_the_roles_swaps_the_fans(field, inputs, outputs):
    shape = (*field, inputs, outputs)
    assert fans(shape, in_axes=(-1,), out_axes=(-2,)) == fans(shape)[::-1]


@given(heads=sizes, width=sizes, inputs=sizes)
def test_several_axes_count_together(heads, width, inputs):
    packed = fans((inputs, heads * width))
    assert fans((inputs, heads, width), in_axes=(0,), out_axes=(1, 2)) == packed


@pytest.mark.parametrize(
    "call",
    [
        {"shape": (64,)},
        {"shape": ()},
        {"shape": (3, 0)},
        {"shape": (3, 4), "in_axes": (0,)},
        {"shape": (3, 4), "out_axes": (0,)},
        {"shape": (3, 4), "in_axes": (2,), "out_axes": (0,)},
        {"shape": (3, 4), "in_axes": (-3,), "out_axes": (0,)},
        {"shape": (3, 4), "in_axes": (0,), "out_axes": (0,)},
        {"shape": (3, 4), "in_axes": (0,), "out_axes": (-2,)},
        {"shape": (3, 4), "in_axes": (0, 0), "out_axes": (1,)},
    ],
    ids=str,
)
def test_shapes_without_fans_are_refused(call):
    with pytest.raises(ShapeError, match=r"^fans: .*; got .*\. "):
        fans(call.pop("shape"), **call)
