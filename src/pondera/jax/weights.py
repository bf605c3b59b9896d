"""The laws as pure functions of JAX: under jit, vmap and any sharding, with the bits of every adapter.

An element-wise law is one fused loop in which each element makes its own word, so an array that is laid
out over devices is drawn shard by shard, and no device asks another.
"""

# JAX types many of its functions in part only
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from pondera import kernel
from pondera.core import draw as meaning
from pondera.core.errors import DomainError, ShapeError
from pondera.core.laws.base import AbstractLaw, Axes
from pondera.core.recipes import Recipe
from pondera.jax.matrices import TRACED, matrix_weight
from pondera.jax.numbers import DTYPES, WIDE, constants_of, elements
from pondera.jax.stream import Seed, start_of, stream_of, traced
from pondera.kernel import Weight

_ELEMENTS: Final = ("kind", "shape", "size", "dtype")
_MATRIX: Final = ("law", "axes", "shape", "dtype")


def weight(
    law: AbstractLaw,
    shape: Sequence[int],
    /,
    *,
    seed: Seed,
    name: str,
    in_axes: Sequence[int] | None = None,
    out_axes: Sequence[int] | None = None,
    dtype: Any = "float32",
    offset: Sequence[Any] | None = None,
    size: Sequence[int] | None = None,
    sharding: jax.sharding.Sharding | None = None,
) -> jax.Array:
    """A weight of the given shape by a law, or the slice [offset, offset + size) of it.

    Args:
        law: from `pondera.laws`, such as `laws.he_normal()`.
        shape: the stored shape; (fan_in, fan_out) for a dense layer, (…, in, out) for a convolution.
        seed: an integer in [0, 2⁶⁴); an integer scalar of JAX, traced or mapped; or a JAX key, whose 64
            bits are the seed.
        name: the parameter's name; equal names with one seed give equal weights.
        in_axes: axes summed over, default the last but one.
        out_axes: axes produced, default the last.
        dtype: float32, bfloat16, float16 or complex64; in JAX's 64-bit mode also float64 and complex128.
        offset: first index of the slice along each axis, default 0; for element-wise laws each may be
            traced, such as `jax.lax.axis_index(…) * rows` under shard_map.
        size: elements of the slice along each axis, default all from the offset on.
        sharding: how the result is laid out; each device makes its own part. `jax.jit(…,
            out_shardings=…)` around the call does the same.

    Returns:
        A new array.

    Raises:
        DomainError: seed, name or dtype out of range; a traced seed or offset for a law that is made on the
            host, or a traced offset of no integers. ShapeError: the shape has no fans for this law, the
            slice does not lie in it, or a traced offset comes without size.

    Limits:
        A traced seed counts modulo 2³² (2⁶⁴ if it has 64 bits); where a traced offset lies is not checked.
        Orthogonal matrices are made whole on every device and equal NumPy's to the rounding of their dtype.
        All laws that are neither element-wise nor orthogonal are made on the host; under jit their numbers
        are constants of the program. `draw + x` in one jit is one fused multiply-add on some processors:
        that sum, not the draw, may differ from NumPy's in its last bit. Numbers below 1.2e-38 may be 0.
    """
    kind = _dtype_name(dtype)
    given = None if offset is None else tuple(offset)
    moving = any(traced(first) for first in given or ())
    part = kernel.weight_of(
        law,
        Axes(*(None if axes is None else tuple(axes) for axes in (in_axes, out_axes))),
        shape=shape,
        offset=_known(given, shape, size) if moving else given,
        size=size,
        seed=0,
        name=name,
    )
    if part.recipe is not None:
        first = given if moving else part.offset
        return _elements(part, part.recipe, seed, kind, first, sharding)
    if moving:
        raise _needs_known(part, "whole and needs an offset", "offset")
    if isinstance(law, TRACED):
        return _matrix(part, seed, kind, sharding)
    return _by_host(part, seed, kind, sharding)


def _known(
    offset: Sequence[Any] | None, shape: Sequence[int], size: Sequence[int] | None
) -> Sequence[Any]:
    """An offset that is traced in part, with 0 in the place of what is not known yet."""
    first = offset or ()
    if size is None or len(first) != len(shape):
        raise ShapeError(
            "draw: a traced offset needs size=, and one number for each axis of the whole tensor; got "
            f"{len(first)} for shape={tuple(shape)}, size={size!r}. Pass both in full."
        )
    for number in filter(traced, first):
        if number.shape or not jnp.issubdtype(number.dtype, jnp.integer):
            raise DomainError(
                "draw: a traced offset must be of integer scalars; got "
                f"shape={number.shape}, dtype={number.dtype}. Convert it to jnp.int32."
            )
    return tuple(0 if traced(number) else number for number in first)


def _elements(
    part: Weight,
    recipe: Recipe,
    seed: Seed,
    dtype: str,
    offset: Sequence[Any] | None,
    sharding: jax.sharding.Sharding | None,
) -> jax.Array:
    held = "float32" if dtype == "bfloat16" else dtype
    meaning.draw(0, 0, recipe=recipe, seed=0, name=part.name, dtype=held)  # core's complaints
    streams = tuple(stream_of(seed, part.name, tag=tag) for tag in ("", "imag"))
    return _compiled(elements, _ELEMENTS, sharding)(
        start_of(offset or (0,) * len(part.shape), part.shape),
        streams,
        constants_of(recipe, dtype),
        kind=recipe.kind,
        shape=part.shape,
        size=part.size,
        dtype=dtype,
    )


def _matrix(
    part: Weight, seed: Seed, dtype: str, sharding: jax.sharding.Sharding | None
) -> jax.Array:
    made = _compiled(matrix_weight, _MATRIX, sharding if part.offset is None else None)(
        stream_of(seed, part.name), law=part.law, axes=part.axes, shape=part.shape, dtype=dtype
    )
    if part.offset is None:
        return made
    ends = zip(part.offset, part.size, strict=True)
    piece = made[tuple(slice(first, first + length) for first, length in ends)]
    return piece if sharding is None else jax.device_put(piece, sharding)


def _by_host(
    part: Weight, seed: Seed, dtype: str, sharding: jax.sharding.Sharding | None
) -> jax.Array:
    """What the kernel or core makes; with a sharding, each device's part alone."""
    if traced(seed):
        raise _needs_known(part, "on the host and needs a seed", "seed")
    pair = stream_of(seed, part.name).seed
    whole = part._replace(seed=int(pair.low) | int(pair.high) << 32)
    if sharding is None:
        return jnp.asarray(_made(whole, dtype))

    def shard(index: tuple[slice, ...] | None) -> npt.NDArray[Any]:
        ends = [at.indices(n)[:2] for at, n in zip(index or (), whole.size, strict=True)]
        first = whole.offset or (0,) * len(ends)
        offset = tuple(at + low for at, (low, _) in zip(first, ends, strict=True))
        return _made(whole._replace(offset=offset, size=tuple(b - a for a, b in ends)), dtype)

    return jax.make_array_from_callback(whole.size, sharding, shard)


def _made(part: Weight, dtype: str) -> npt.NDArray[Any]:
    out = np.empty(part.size, jnp.dtype(dtype))
    kernel.write(out.ctypes.data, None, part, dtype)
    return out


@cache
def _compiled(
    function: Callable[..., jax.Array],
    static: tuple[str, ...],
    sharding: jax.sharding.Sharding | None,
) -> Callable[..., jax.Array]:
    return jax.jit(function, static_argnames=static, out_shardings=sharding)


def _dtype_name(dtype: Any) -> str:
    try:
        name = jnp.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    if name not in DTYPES:
        raise DomainError(
            f"draw: dtype must be one of {', '.join(DTYPES)}; got dtype={name!r}. Cast afterwards."
        )
    if name in WIDE and jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
        raise DomainError(
            f"draw: dtype={name!r} needs JAX's 64-bit mode, which is off. Call "
            "jax.config.update('jax_enable_x64', True) first, or draw in 32 bits."
        )
    return name


def _needs_known(part: Weight, why: str, what: str) -> DomainError:
    return DomainError(
        f"draw: {part.law.name} is made {why} that is known before tracing; got a traced {what} for "
        f"{part.name!r}. Draw outside jit and vmap, or pass an integer."
    )
