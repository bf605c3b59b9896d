"""Seed, name and index → 32-bit words, as XLA operations: core/bits.py with the seed traced.

Each element makes its own block of the generator and keeps one word of four. It asks no neighbour for
anything, so however an array is laid out over devices, no device asks another. XLA fuses all of it into
the loop that writes the array.
"""

# JAX types many of its functions in part only
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from pondera.core.bits import name_hash, stream_key
from pondera.core.errors import DomainError

Word = jax.Array | np.uint32
Seed = int | jax.Array

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_LANE, _LANE_BITS, _TILE_BITS = np.uint64(63), np.uint64(6), np.uint64(8)
_ROUNDS: Final = 10


class Pair(NamedTuple):
    """A 64-bit number as two words; what JAX holds without its 64-bit mode."""

    low: Word
    high: Word


class Stream(NamedTuple):
    """What a word depends on beside its index."""

    seed: Pair
    name: Pair


def pair_of(number: int) -> Pair:
    """A static number in [0, 2⁶⁴), split."""
    return Pair(np.uint32(number % 2**32), np.uint32(number >> 32))


def stream_of(seed: Seed, name: str, *, tag: str = "") -> Stream:
    """The stream of a seed and a name.

    Args:
        seed: an integer in [0, 2⁶⁴); an integer scalar of JAX, traced or not; or a JAX key, whose 64 bits
            are the seed (so that `jax.random.key(5)` is 5).
        name: the parameter's name.
        tag: which further stream of that name.

    Returns:
        The stream, traced where the seed is.

    Raises:
        DomainError: seed or name out of range. A traced integer cannot be refused: it counts modulo
            2³² or, if it has 64 bits, 2⁶⁴.
    """
    return Stream(_seed_pair(seed), pair_of(name_hash(name, tag=tag)))


def words(start: Pair, shape: Sequence[int], size: Sequence[int], stream: Stream) -> jax.Array:
    """Words of the slice of a tensor whose first element is number `start` of the whole.

    Args:
        start: row-major position of the slice's first element in the whole tensor.
        shape: of the whole tensor.
        size: elements of the slice along each axis.
        stream: seed and name.

    Returns:
        uint32 array of shape `size`.
    """
    steps = _steps(shape)
    with jax.enable_x64(True):
        i = jnp.broadcast_to((_wide(start.high) << _HALF) | _wide(start.low), tuple(size))
        for axis, step in enumerate(steps[: len(size)]):
            i = i + lax.broadcasted_iota(jnp.uint64, tuple(size), axis) * np.uint64(step)
        block = ((i >> _TILE_BITS) << _LANE_BITS) | (i & _LANE)
        return _philox_word(block, (i >> _LANE_BITS) & np.uint64(3), stream)


def high_product(x: Word, factor: Word) -> jax.Array:
    """Upper 32 bits of the 64-bit product of two words."""
    with jax.enable_x64(True):
        return _narrow((_wide(x) * _wide(factor)) >> _HALF)


def start_of(offset: Sequence[Any], shape: Sequence[int]) -> Pair:
    """Row-major position of an index, each of its numbers an integer or an integer scalar of JAX."""
    steps = _steps(shape)
    if not any(isinstance(number, jax.Array) for number in offset):
        return pair_of(sum(number * step for number, step in zip(offset, steps, strict=False)))
    with jax.enable_x64(True):
        total = jnp.zeros((), jnp.uint64)
        for number, step in zip(offset, steps, strict=False):
            total = total + _wide(number) * np.uint64(step)
        return Pair(_narrow(total), _narrow(total >> _HALF))


def traced(thing: Any) -> bool:
    """Whether JAX traces it, so that its numbers are not known yet."""
    return isinstance(thing, Tracer)


def _philox_word(block: jax.Array, place: jax.Array, stream: Stream) -> jax.Array:
    """Word number `place` of a block, in 64-bit lanes: a product's upper half is a shift away."""
    c0, c1 = block & _LOW, block >> _HALF
    c2, c3 = (_wide(half) for half in stream.name)
    k0, k1 = stream.seed
    for _ in range(_ROUNDS):  # what stands above 32 bits is cut off where it would count
        p0, p1 = (c0 & _LOW) * _M0, (c2 & _LOW) * _M1
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ _wide(k0), p1, (p0 >> _HALF) ^ c3 ^ _wide(k1), p0
        k0, k1 = k0 + _W0, k1 + _W1
    front = jnp.where(place == np.uint64(0), c0, c1)
    return _narrow(jnp.where(place < np.uint64(2), front, jnp.where(place == np.uint64(2), c2, c3)))


def _steps(shape: Sequence[int]) -> tuple[int, ...]:
    """From one element to the next along each axis, in the whole tensor."""
    return tuple(accumulate(reversed(tuple(shape)[1:]), int.__mul__, initial=1))[::-1]


def _wide(word: Any) -> jax.Array:
    return lax.convert_element_type(word, jnp.uint64)


def _narrow(wide: jax.Array) -> jax.Array:
    return lax.convert_element_type(wide, jnp.uint32)


def _seed_pair(seed: Seed) -> Pair:
    if isinstance(seed, np.ndarray) and seed.ndim:
        seed = jnp.asarray(seed)
    if not isinstance(seed, jax.Array):
        return pair_of(_joined(stream_key(seed)))
    if jnp.issubdtype(seed.dtype, jax.dtypes.prng_key):
        seed = jax.random.key_data(seed)
    if seed.shape == (2,) and seed.dtype == jnp.uint32:
        return Pair(seed[1], seed[0])  # as jax.random.PRNGKey orders them
    if seed.shape or not jnp.issubdtype(seed.dtype, jnp.integer):
        raise DomainError(
            "draw: a seed of JAX is an integer scalar, or a key of two uint32 words; got "
            f"shape={seed.shape}, dtype={seed.dtype}. Pass one seed; map over several with jax.vmap."
        )
    if not traced(seed):
        return pair_of(_joined(stream_key(int(seed))))
    if seed.dtype.itemsize < 8:
        return Pair(_narrow(seed), np.uint32(0))
    return Pair(_narrow(seed), _narrow(seed >> seed.dtype.type(32)))


def _joined(key: tuple[int, int]) -> int:
    return key[0] | key[1] << 32
