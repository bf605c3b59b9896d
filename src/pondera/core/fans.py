"""Shape and axis roles → fan_in, fan_out: what a weight sums over, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from pondera.core.errors import ShapeError


class Fans(NamedTuple):
    """How many inputs an output sums over, and how many outputs an input feeds."""

    fan_in: int
    fan_out: int


def fans(
    shape: Sequence[int],
    /,
    *,
    in_axes: Sequence[int] | None = None,
    out_axes: Sequence[int] | None = None,
) -> Fans:
    """fan_in and fan_out of a dense or plain convolutional weight.

    Axes that are neither in nor out are the receptive field and count in both. Without axes the
    weight is stored as NumPy, JAX and Keras users do, y = x @ W: (…, in, out).

    Law:
        fan_in = field · prod(shape[i] for i in in_axes), fan_out = field · prod(shape[o] for o in out_axes)

    Assumes:
        no groups, stride 1, no transposition: those change what is summed, not the shape.

    Args:
        shape: the weight's shape, each size ≥ 1.
        in_axes: axes summed over forward; default the last but one. PyTorch's layout is (1,).
        out_axes: axes produced; default the last. PyTorch's layout is (0,).

    Returns:
        Fans(fan_in, fan_out), both ≥ 1.

    Raises:
        ShapeError: fewer than two axes, an empty axis, only one of the pair given, axes out of range or
            used twice.

    Limits:
        A grouped convolution's fan_out comes out `groups` times too large.

    Source:
        He et al. 2015, "Delving deep into rectifiers", §2.2 (n = k²c forward, k²d backward).

    Checked by:
        test_fans.py::test_fans_count_the_terms_of_a_real_convolution

    >>> fans((3, 3, 16, 32))
    Fans(fan_in=144, fan_out=288)
    >>> fans((32, 16, 3, 3), in_axes=(1,), out_axes=(0,))
    Fans(fan_in=144, fan_out=288)
    """
    shape = tuple(shape)
    if (in_axes is None) != (out_axes is None):
        raise ShapeError(
            f"fans: in_axes and out_axes go together; got in_axes={in_axes!r}, "
            f"out_axes={out_axes!r}. Pass both or neither."
        )
    if in_axes is None or out_axes is None:
        if len(shape) < 2:
            raise ShapeError(
                f"fans: a weight needs at least 2 axes; got shape={shape!r}. For a bias or norm "
                "scale use law='zeros' or 'ones', or pass in_axes= and out_axes=."
            )
        in_axes, out_axes = (-2,), (-1,)
    inward, outward = _positions(shape, in_axes), _positions(shape, out_axes)
    if len({*inward, *outward}) < len(inward) + len(outward):
        raise ShapeError(
            f"fans: an axis is in or out, once; got in_axes={tuple(in_axes)!r}, "
            f"out_axes={tuple(out_axes)!r} for shape={shape!r}. Name each axis once."
        )
    if any(size < 1 for size in shape):
        raise ShapeError(
            f"fans: every axis needs a size of at least 1; got shape={shape!r}. "
            "An empty weight has no fans: leave it out."
        )
    rest = prod(size for axis, size in enumerate(shape) if axis not in (*inward, *outward))
    return Fans(
        rest * prod(shape[axis] for axis in inward), rest * prod(shape[axis] for axis in outward)
    )


def _positions(shape: tuple[int, ...], axes: Sequence[int]) -> tuple[int, ...]:
    """The axes counted from the front."""
    for axis in axes:
        if not -len(shape) <= axis < len(shape):
            raise ShapeError(
                f"fans: axes of shape={shape!r} run from {-len(shape)} to {len(shape) - 1}; "
                f"got axis={axis!r}. Name an axis that exists."
            )
    return tuple(axis % len(shape) for axis in axes)
