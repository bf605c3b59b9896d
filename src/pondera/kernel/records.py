"""What the compiled functions read: recipes, streams and walks as bytes in the layout of csrc/pondera.h.

A weight is drawn once, but its shape and law come again and again, and its name when it is drawn
anew: what was packed before is kept, so that a small fill costs little more than its call. (The bytes
of a Python object are aligned to 16, as the structures need.)
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

from pondera.core.bits import name_hash, stream_key
from pondera.core.recipes import Recipe
from pondera.kernel.blocks import MOST_AXES, Walk

KINDS: Final = ("constant", "symmetric", "interval", "normal", "truncated")
FORMATS: Final = ("float32", "bfloat16", "float16", "float64")
_STREAM: Final = struct.Struct("=2I2I")  # key, name
_RECIPE: Final = struct.Struct("=2I6id")  # floor, span; lower … format; unit
_WALK: Final = struct.Struct(f"=Qq{MOST_AXES}Q{MOST_AXES}Q{MOST_AXES}q")  # start, axes; per axis
_LOW: Final = 0xFFFFFFFF


def stream(seed: int, name: str, tag: str = "") -> bytes:
    """The head of a `pondera_recipe`: which stream.

    Args:
        seed: 64-bit seed.
        name: the parameter's name.
        tag: which further stream of that name.

    Raises:
        DomainError: seed or name out of range.
    """
    try:
        return kept_stream(seed, name, tag)
    except TypeError:  # what cannot be kept may still be an integer
        return _stream(seed, name, tag)


def _stream(seed: int, name: str, tag: str) -> bytes:
    hashed = name_hash(name, tag=tag)
    return _STREAM.pack(*stream_key(seed), hashed & _LOW, hashed >> 32)


# `stream`, but a TypeError for what cannot be kept; typed: True is no seed, though 1 is
kept_stream = lru_cache(maxsize=4096, typed=True)(_stream)


@lru_cache(maxsize=1024)
def recipe(made: Recipe, dtype: str) -> bytes:
    """The rest of a `pondera_recipe`: how a word becomes a number.

    Args:
        made: what to draw.
        dtype: bfloat16, float16, float32 or float64.
    """
    return _RECIPE.pack(
        made.floor % 2**32,
        made.span,
        made.lower,
        made.upper,
        made.shift,
        made.offset,
        KINDS.index(made.kind),
        FORMATS.index(dtype),
        made.unit,
    )


def walk(along: Walk) -> bytes:
    """A `pondera_block`.

    Args:
        along: which elements, and where they lie.
    """
    none = (0,) * (MOST_AXES - len(along.sizes))
    per_axis = (*along.sizes, *none, *along.hops, *none, *along.strides, *none)
    return _WALK.pack(along.start, len(along.sizes), *per_axis)


@lru_cache(maxsize=1024)
def whole(count: int) -> bytes:
    """The `pondera_block` of a whole weight that lies row-major in memory.

    Args:
        count: its elements.
    """
    return walk(Walk(0, 0, (count,), (1,), (1,)))
