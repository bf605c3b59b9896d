"""(seed, name) and element index → 32-bit words: Philox4x32-10, the meaning of every draw.

Stream v1, frozen. For element i of the flat (row-major, unsharded) tensor

    tile q = i >> 8,  word j = (i >> 6) & 3,  lane l = i & 63
    counter = (B mod 2³², B >> 32, H mod 2³², H >> 32),  B = (q << 6) | l
    key     = (seed mod 2³², seed >> 32)
    H       = the first 8 bytes of SHA-256(name in UTF-8), little endian

so that 256 neighbouring elements are four runs of 64 contiguous words. A second stream of the same
name (the imaginary part of a complex weight) hashes `name + "\\0" + tag`; a name holds no NUL.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import numpy.typing as npt

from pondera.core.errors import DomainError

Words = npt.NDArray[np.uint32]

TILE: Final = 256  # elements that share one block of 64 counters
LANES: Final = 64
SEEDS: Final = 2**64
ELEMENTS: Final = 2**64  # the block number B then stays below 2⁶²

# Salmon et al. 2011, table 2: multipliers and Weyl increments (golden ratio, √3 − 1)
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW, _HALF = 0xFFFFFFFF, np.uint64(32)


def philox4x32(
    counter: tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike, npt.ArrayLike],
    key: tuple[int, int],
    *,
    rounds: int = 10,
) -> tuple[Words, Words, Words, Words]:
    """Four 32-bit words for each counter: a keyed bijection of 128-bit counters.

    A pure function of its input: any element can be made alone, in any order.

    Law:
        a round maps (c0, c1, c2, c3) to (hi(M1·c2)^c1^k0, lo(M1·c2), hi(M0·c0)^c3^k1, lo(M0·c0));
        between rounds k0 += W0 and k1 += W1, all modulo 2**32

    Args:
        counter: four arrays (or integers) of equal shape, each in [0, 2³²).
        key: two integers in [0, 2³²).
        rounds: how often to mix; the stream uses 10.

    Returns:
        Four uint32 arrays of the counters' shape.

    Limits:
        Passes BigCrush from 7 rounds on (the paper); 10 leave a margin.

    Source:
        Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", SC'11, §3.3.

    Checked by:
        test_bits.py::test_philox_gives_the_known_answers_of_random123
    """
    c0, c1, c2, c3 = (np.asarray(c, dtype=np.uint32) for c in counter)
    k0, k1 = key
    for _ in range(rounds):
        p0, p1 = c0 * _M0, c2 * _M1  # 64-bit products
        c0, c1, c2, c3 = (
            (p1 >> _HALF).astype(np.uint32) ^ c1 ^ np.uint32(k0),
            p1.astype(np.uint32),
            (p0 >> _HALF).astype(np.uint32) ^ c3 ^ np.uint32(k1),
            p0.astype(np.uint32),
        )
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3


def name_hash(name: str, *, tag: str = "") -> int:
    """64-bit hash of a parameter's name: the upper half of every counter.

    SHA-256 because every Python has it and every language can reproduce it.

    Law:
        int.from_bytes(sha256(name if tag == "" else name + "\\0" + tag)[:8], "little")

    Args:
        name: the parameter's name, not empty, without NUL.
        tag: which further stream of that name; empty for the name's own.

    Returns:
        An integer in [0, 2⁶⁴).

    Raises:
        DomainError: the name is no string, is empty, holds a NUL or has no UTF-8.

    Limits:
        Two of a million names collide with probability 3e-8.

    Source:
        Own; SHA-256 is FIPS 180-4.

    Checked by:
        test_bits.py::test_streams_differ_by_seed_name_and_tag
    """
    is_text = isinstance(name, str)  # pyright: ignore[reportUnnecessaryIsInstance]
    if not is_text or not name or "\0" in name or not _has_utf8(name):
        raise DomainError(
            f"draw: a name is a non-empty string without NUL; got name={name!r}. "
            "Pass the parameter's name, such as name='encoder.0.weight'."
        )
    text = f"{name}\0{tag}" if tag else name
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def stream_key(seed: int) -> tuple[int, int]:
    """Philox key (low word, high word) of a 64-bit seed.

    Law:
        (seed % 2**32, seed // 2**32)

    Args:
        seed: an integer in [0, 2⁶⁴).

    Returns:
        Two integers in [0, 2³²).

    Raises:
        DomainError: the seed is no integer or lies outside the range; it is never wrapped.

    Source:
        Own (stream v1).

    Checked by:
        test_bits.py::test_streams_differ_by_seed_name_and_tag
    """
    try:
        number = seed.__index__()
    except (AttributeError, TypeError):
        number = -1
    if str(getattr(seed, "dtype", "")) in ("bool", "torch.bool"):  # PyTorch's True has an index
        number = -1
    if isinstance(seed, bool) or not 0 <= number < SEEDS:
        raise DomainError(
            f"draw: a seed is an integer with 0 <= seed < 2**64; got seed={seed!r}. "
            "Pass such an integer."
        )
    return number & _LOW, number >> 32


def words(start: int, count: int, *, seed: int, name: str, tag: str = "") -> Words:
    """The 32-bit words of elements start … start + count − 1 of a named stream.

    Law:
        word i = philox4x32((B, B >> 32, H, H >> 32), key)[(i >> 6) & 3],  B = ((i >> 8) << 6) | (i & 63)

    Args:
        start: index of the first element, 0 ≤ start.
        count: how many, start + count ≤ 2⁶⁴.
        seed: 64-bit seed.
        name: the parameter's name.
        tag: which further stream of that name.

    Returns:
        uint32 array of shape (count,).

    Raises:
        DomainError: start, count, seed or name out of range.

    Limits:
        Whole tiles of 256 are made, also for a single element.

    Source:
        Own (stream v1); the tile keeps stores contiguous in every back end.

    Checked by:
        test_bits.py::test_words_do_not_depend_on_where_a_draw_starts
    """
    if not (0 <= start and 0 <= count and start + count <= ELEMENTS):
        raise DomainError(
            f"draw: needs 0 <= start and start + count <= 2**64; got start={start!r}, "
            f"count={count!r}. Draw inside the tensor."
        )
    hashed, key = name_hash(name, tag=tag), stream_key(seed)
    first, last = start // TILE, -(-(start + count) // TILE)
    tiles = np.arange(last - first, dtype=np.uint64) + np.uint64(first)
    block = (tiles * np.uint64(LANES))[:, None] + np.arange(LANES, dtype=np.uint64)
    low, high = block.astype(np.uint32), (block >> _HALF).astype(np.uint32)
    mixed = philox4x32((low, high, hashed & _LOW, hashed >> 32), key)
    flat = np.stack(mixed, axis=1).reshape(-1)  # (tile, word, lane)
    return flat[start - first * TILE :][:count]


def _has_utf8(name: str) -> bool:
    """Half a surrogate pair has none."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
