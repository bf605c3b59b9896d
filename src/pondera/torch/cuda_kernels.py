"""The draws in Triton: core's words and numbers, one block of the generator to a thread.

Two kernels: `_run_kernel` for elements that follow one another in the stream (each thread makes one block
and stores its four words, 64 elements apart, so that stores are contiguous), `_walk_kernel` for slices with
several axes (each thread makes the block of its element and keeps one word of four). All arithmetic is on
32-bit integers but the last multiplication; there is nothing that could be contracted or reassociated.
"""

# Triton has no types; a kernel's arguments are its own language
# ruff: noqa: ANN001, ANN202
# pyright: basic, reportMissingImports=false, reportIndexIssue=false
from __future__ import annotations

from typing import Any

import torch

from pondera.core.errors import MissingFramework
from pondera.kernel.blocks import Walk

try:
    import triton
    import triton.language as tl
except ModuleNotFoundError as _fault:
    if _fault.name != "triton":
        raise
    raise MissingFramework(
        "pondera.torch.cuda_kernels needs Triton, which is not installed. Run: pip install triton"
    ) from None

# values of `kind` and `form`: places in cuda.KINDS and cuda.FORMATS
SYMMETRIC = tl.constexpr(0)
INTERVAL = tl.constexpr(1)
TRUNCATED = tl.constexpr(3)
BFLOAT16 = tl.constexpr(1)
FLOAT16 = tl.constexpr(2)
FLOAT64 = tl.constexpr(3)


@triton.jit
def _word_of(signed):
    """A 32-bit argument as the word that it holds."""
    return signed.to(tl.int32).to(tl.uint32, bitcast=True)


@triton.jit
def _position(low, high):
    return (_word_of(high).to(tl.int64) << 32) | _word_of(low).to(tl.int64)


@triton.jit
def _philox(block, k0, k1, h0, h1):
    """The four words of a block: core.bits.philox4x32."""
    c0 = (block & 0xFFFFFFFF).to(tl.uint32)
    c1 = (block >> 32).to(tl.uint32)
    c2 = tl.zeros_like(c0) + h0
    c3 = tl.zeros_like(c0) + h1
    for _ in tl.static_range(10):
        first = c0
        third = c2
        c0 = tl.umulhi(third, tl.full(third.shape, 0xCD9E8D57, tl.uint32)) ^ c1 ^ k0
        c2 = tl.umulhi(first, tl.full(first.shape, 0xD2511F53, tl.uint32)) ^ c3 ^ k1
        c1 = third * tl.full(third.shape, 0xCD9E8D57, tl.uint32)
        c3 = first * tl.full(first.shape, 0xD2511F53, tl.uint32)
        k0 = k0 + tl.full((), 0x9E3779B9, tl.uint32)
        k1 = k1 + tl.full((), 0xBB67AE85, tl.uint32)
    return c0, c1, c2, c3


@triton.jit
def _normal_quantile(w, constant, slope, curve):
    """core.draw.normal_quantile."""
    sign = w.to(tl.int32, bitcast=True) >> 31
    magnitude = (w.to(tl.int32, bitcast=True) ^ sign) | 1
    pattern = magnitude.to(tl.float32).to(tl.int32, bitcast=True)
    piece = (pattern >> 17) - 8128  # 127 << 6
    within = (pattern << 15).to(tl.uint32, bitcast=True)
    third = tl.load(curve + piece).to(tl.uint32, bitcast=True)
    second = tl.load(slope + piece).to(tl.uint32, bitcast=True)
    first = tl.load(constant + piece).to(tl.uint32, bitcast=True)
    folded = first - tl.umulhi(within, second - tl.umulhi(within, third))
    return (folded.to(tl.int32, bitcast=True) ^ ~sign) - ~sign


@triton.jit
def _integers(w, floor, span, lower, upper, shift, offset, table0, table1, table2, kind):
    """core.draw.integers."""
    if kind == SYMMETRIC:
        return ((w ^ 0x80000000) | 1).to(tl.int32, bitcast=True)
    if kind == INTERVAL:
        moved = _word_of(floor) + tl.umulhi(w, tl.zeros_like(w) + _word_of(span))
        return moved.to(tl.int32, bitcast=True)
    if kind == TRUNCATED:
        w = _word_of(floor) + tl.umulhi(w, tl.zeros_like(w) + _word_of(span))
    quantile = _normal_quantile(w, table0, table1, table2)
    if kind == TRUNCATED:
        quantile = tl.minimum(tl.maximum(quantile, lower), upper)
    return (quantile >> shift) + offset


@triton.jit
def _store(place, kept, w, unit_low, unit_high, floor, span, lower, upper, shift, offset,
           table0, table1, table2, kind, form):  # fmt: skip
    """core.draw.numbers of some words, stored: one conversion, one multiplication, one rounding."""
    whole = _integers(w, floor, span, lower, upper, shift, offset, table0, table1, table2, kind)
    if form == FLOAT64:
        unit = _position(unit_low, unit_high).to(tl.float64, bitcast=True)
        tl.store(place, whole.to(tl.float64) * unit, mask=kept)
    else:
        x = whole.to(tl.float32) * unit_low.to(tl.int32).to(tl.float32, bitcast=True)
        if form == BFLOAT16:  # to nearest even, in integers: not every back end's cast rounds so
            bits = x.to(tl.uint32, bitcast=True)
            bits = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
            tl.store(place, bits.to(tl.uint16).to(tl.int16, bitcast=True), mask=kept)
        elif form == FLOAT16:
            tl.store(place, x.to(tl.float16), mask=kept)
        else:
            tl.store(place, x, mask=kept)


_WORDS = "k0 k1 h0 h1 unit_low unit_high floor span lower upper shift offset".split()
_RUN = ["start_low", "start_high", "first", "count", "stride"]
_WALK = ["start_low", "start_high", "first", "count",
         *(f"{what}{axis}" for what in ("size", "hop", "step") for axis in range(4))]  # fmt: skip


@triton.jit(do_not_specialize=[*_RUN, *_WORDS])
def _run_kernel(out, start_low, start_high, first, count, stride,
                k0, k1, h0, h1, unit_low, unit_high, floor, span, lower, upper, shift, offset,
                table0, table1, table2,
                kind: tl.constexpr, form: tl.constexpr, width: tl.constexpr):  # fmt: skip
    """Elements start … start + count − 1 of the stream, `stride` apart in memory."""
    start = _position(start_low, start_high)
    block = ((start >> 8) << 6) + tl.program_id(0).to(tl.int64) * width + tl.arange(0, width)
    w0, w1, w2, w3 = _philox(block, _word_of(k0), _word_of(k1), _word_of(h0), _word_of(h1))
    e = ((block >> 6) << 8) + (block & 63) - start
    out += first
    _store(out + e * stride, (e >= 0) & (e < count), w0, unit_low, unit_high, floor, span,
           lower, upper, shift, offset, table0, table1, table2, kind, form)  # fmt: skip
    e += 64
    _store(out + e * stride, (e >= 0) & (e < count), w1, unit_low, unit_high, floor, span,
           lower, upper, shift, offset, table0, table1, table2, kind, form)  # fmt: skip
    e += 64
    _store(out + e * stride, (e >= 0) & (e < count), w2, unit_low, unit_high, floor, span,
           lower, upper, shift, offset, table0, table1, table2, kind, form)  # fmt: skip
    e += 64
    _store(out + e * stride, (e >= 0) & (e < count), w3, unit_low, unit_high, floor, span,
           lower, upper, shift, offset, table0, table1, table2, kind, form)  # fmt: skip


@triton.jit(do_not_specialize=[*_WALK, *_WORDS])
def _walk_kernel(out, start_low, start_high, first, count,
                 size0, size1, size2, size3, hop0, hop1, hop2, hop3, step0, step1, step2, step3,
                 k0, k1, h0, h1, unit_low, unit_high, floor, span, lower, upper, shift, offset,
                 table0, table1, table2,
                 kind: tl.constexpr, form: tl.constexpr, width: tl.constexpr):  # fmt: skip
    """A slice: `hop` apart in the stream and `step` apart in memory along each axis."""
    rest = tl.program_id(0).to(tl.int64) * width + tl.arange(0, width)
    kept = rest < count
    i3 = rest % size3
    rest = rest // size3
    i2 = rest % size2
    rest = rest // size2
    i1 = rest % size1
    i0 = rest // size1
    position = _position(start_low, start_high) + i0 * hop0 + i1 * hop1 + i2 * hop2 + i3 * hop3
    block = ((position >> 8) << 6) + (position & 63)
    w0, w1, w2, w3 = _philox(block, _word_of(k0), _word_of(k1), _word_of(h0), _word_of(h1))
    which = (position >> 6) & 3
    w = tl.where(which < 2, tl.where(which == 0, w0, w1), tl.where(which == 2, w2, w3))
    place = out + first + i0 * step0 + i1 * step1 + i2 * step2 + i3 * step3
    _store(place, kept, w, unit_low, unit_high, floor, span,
           lower, upper, shift, offset, table0, table1, table2, kind, form)  # fmt: skip


def fill_run(
    out: torch.Tensor, walk: Walk, start: tuple[int, ...], width: int, **drawn: Any
) -> None:
    """Fill elements that follow one another in the stream.

    Args:
        out: where the walk's places count from; bfloat16 as int16.
        walk: of one axis.
        start: its first position, as two words.
        width: blocks to a program, a power of two.
        drawn: stream, constants, table, kind and form.
    """
    (count,), (stride,) = walk.sizes, walk.strides
    blocks = ((walk.start + count + 255) // 256 - walk.start // 256) * 64
    given = (*start, walk.place, count, stride, *drawn["stream"], *drawn["constants"])
    _run_kernel[(triton.cdiv(blocks, width),)](
        out,
        *given,
        *drawn["table"],
        kind=drawn["kind"],
        form=drawn["form"],
        width=width,
        enable_fp_fusion=False,
    )


def fill_walk(
    out: torch.Tensor, walk: Walk, start: tuple[int, ...], width: int, **drawn: Any
) -> None:
    """Fill a slice of several axes.

    Args:
        out: where the walk's places count from; bfloat16 as int16.
        walk: of two to four axes.
        start: its first position, as two words.
        width: elements to a program, a power of two.
        drawn: stream, constants, table, kind and form.
    """
    missing = 4 - len(walk.sizes)
    sizes = (1,) * missing + walk.sizes
    hops, steps = ((0,) * missing + axes for axes in (walk.hops, walk.strides))
    given = (*start, walk.place, walk.elements, *sizes, *hops, *steps)
    _walk_kernel[(triton.cdiv(walk.elements, width),)](
        out,
        *given,
        *drawn["stream"],
        *drawn["constants"],
        *drawn["table"],
        kind=drawn["kind"],
        form=drawn["form"],
        width=width,
        enable_fp_fusion=False,
    )
