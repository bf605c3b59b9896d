"""Second opinions, slow and plain: the stream in Python's integers, expectations by SciPy, and how
large an error may be, from the dtype and the number of draws alone."""

import hashlib
import math
import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import integrate, stats

STANDARD_ERRORS = 5  # a sound law stays within these …
SEPARATION = 20  # … and the nearest wrong one is at least this far away
RARE = 1e-6  # chance of a larger Kolmogorov–Smirnov distance for a sound law
_WORD = 2**32


def ulp(dtype) -> float:
    """Distance from 1 to the next number of a dtype."""
    return float(np.finfo(dtype).eps)


def moment_tolerance(count: int, kurtosis: float) -> float:
    """Relative error that the std of so many draws stays within."""
    return STANDARD_ERRORS * std_error(count, kurtosis)


def std_error(count: int, kurtosis: float) -> float:
    """Relative standard error of the std of so many draws."""
    return math.sqrt((kurtosis - 1) / (4 * count))


def distance(sample, cdf) -> float:
    """Kolmogorov–Smirnov distance of a sample to a distribution."""
    reached = cdf(np.sort(np.asarray(sample, dtype=np.float64), axis=None))
    steps = np.arange(reached.size + 1) / reached.size
    return float(max(np.max(reached - steps[:-1]), np.max(steps[1:] - reached)))


def distance_limit(count: int) -> float:
    """What that distance exceeds with chance RARE."""
    return float(stats.kstwobign.isf(RARE)) / math.sqrt(count)


def expectation(function, *, std: float = 1.0, kinks=()) -> float:
    """E f(z), z ~ N(0, std²), by SciPy's adaptive quadrature between the kinks."""
    edges = sorted({-12 * std, 0.0, 12 * std, *kinks})
    density = stats.norm(scale=std).pdf
    parts = (
        integrate.quad(lambda z: function(z) * density(z), low, high, epsabs=0, limit=400)[0]
        for low, high in pairwise(edges)
    )
    return math.fsum(parts)


# --- the stream, from docs/stream.md, one element at a time ---


def spelled_word(index: int, *, seed: int, name: str, tag: str = "") -> int:
    """The word of one element."""
    text = name.encode() + (b"\0" + tag.encode() if tag else b"")
    hashed = int.from_bytes(hashlib.sha256(text).digest()[:8], "little")
    tile, word, lane = index // 256, index // 64 % 4, index % 64
    block = 64 * tile + lane
    counter = [block % _WORD, block // _WORD, hashed % _WORD, hashed // _WORD]
    return spelled_philox(counter, [seed % _WORD, seed // _WORD], 10)[word]


def spelled_philox(counter, key, rounds: int) -> list[int]:
    """Philox4x32: high and low halves of two products, crossed and keyed, again and again."""
    c, k = list(counter), list(key)
    for _ in range(rounds):
        first, second = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [
            second // _WORD ^ c[1] ^ k[0],
            second % _WORD,
            first // _WORD ^ c[3] ^ k[1],
            first % _WORD,
        ]
        k = [(k[0] + 0x9E3779B9) % _WORD, (k[1] + 0xBB67AE85) % _WORD]
    return c


def spelled_quantile(word: int) -> int:
    """2²⁷ times the normal quantile of a word: octave, piece and the way along it."""
    lower = word < 2**31
    tail = (word if lower else _WORD - 1 - word) | 1  # distance to the nearer tail
    bits = int.from_bytes(struct.pack("<f", float(tail)), "little")
    packed = int(_TABLE[(bits >> 17) - (127 << 6)])
    along = bits % 2**17 << 15
    constant, slope, curve = packed >> 34, packed >> 13 & (2**21 - 1), packed & (2**13 - 1)
    size = constant - (along * (slope - (along * curve >> 32)) >> 32)
    return -size if lower else size


def spelled_draw(index: int, case: dict):
    """One element of a stored case, in its dtype, as NumPy scalar."""
    stream = {"seed": case["seed"], "name": case["name"]}
    dtype = case["dtype"]
    if not dtype.startswith("complex"):
        return _rounded(spelled_word(index, **stream), case, dtype, 1.0)
    part = "float32" if dtype == "complex64" else "float64"
    real, imaginary = (
        _rounded(spelled_word(index, **stream, tag=tag), case, part, math.sqrt(0.5))
        for tag in ("", "imag")
    )
    return np.dtype(dtype).type(complex(real, imaginary))


def _rounded(word: int, case: dict, dtype: str, factor: float):
    integer, unit = _SPELLED[case["kind"]](word, **case["given"])
    unit *= factor
    if dtype == "float64":
        return np.float64(float(integer) * unit)
    single = _packed("f", _packed("f", integer) * _packed("f", unit))  # a product exact in float64
    return np.float16(_packed("e", single)) if dtype == "float16" else np.float32(single)


def _packed(form: str, number: float) -> float:
    """The number as C's float (f) or IEEE's half (e) holds it, to nearest even."""
    return struct.unpack(form, struct.pack(form, number))[0]


def _uniform(word: int, low: float, high: float) -> tuple[int, float]:
    if low == -high:
        return (word - 2**31) | 1, high * 2.0**-31
    exponent = max(math.frexp(low)[1], math.frexp(high)[1])
    floor, top = (round(Fraction(b) * Fraction(2) ** (31 - exponent)) for b in (low, high))
    span = min(top, 2**31 - 1) - floor + 1
    return floor + (word * min(span, _WORD - 1) >> 32), 2.0 ** (exponent - 31)


def _normal(word: int, std: float, mean: float = 0.0) -> tuple[int, float]:
    return _moved(spelled_quantile(word), std, mean)


def _truncated(word: int, parent_std: float, lower: float, upper: float, mean: float = 0.0):
    floor, top = (round(stats.norm.cdf(cut) * _WORD) for cut in (lower, upper))
    kept = spelled_quantile(floor + (word * min(top - floor, _WORD - 1) >> 32))
    low, high = math.floor(max(lower, -8) * 2**27), math.ceil(min(upper, 7.99) * 2**27)
    return _moved(min(max(kept, low), high), parent_std, mean)


def _moved(quantile: int, std: float, mean: float) -> tuple[int, float]:
    shift = 0
    while (abs(mean) / std + 6.2304) * 2.0 ** (27 - shift) >= 2**31:
        shift += 1
    return (quantile >> shift) + round(mean / std * 2.0 ** (27 - shift)), std * 2.0 ** (shift - 27)


_SPELLED = {"uniform": _uniform, "normal": _normal, "truncated": _truncated}
_TABLE = np.load(Path(__file__).parents[1] / "src/pondera/core/quantile.npy")
