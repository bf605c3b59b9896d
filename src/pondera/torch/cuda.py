"""Draws into CUDA tensors: a weight → launches of the Triton kernels, with the bits of core.

Registered by `placed.register("cuda", cuda.fill)`. A kind of draw is trusted on a device once its first
numbers there were core's. What the kernels do not draw (a law without a recipe, a tensor of more than
2⁶³ elements, AMD's chips, devices before sm_80, PyTorch without Triton or Triton without a C compiler)
they leave to the caller, who makes it on the CPU.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from itertools import product
from math import prod, sqrt
from typing import Final

import numpy as np
import torch

from pondera import kernel
from pondera.core.bits import name_hash, stream_key
from pondera.core.draw import _table  # pyright: ignore[reportPrivateUsage]
from pondera.core.recipes import Kind, Recipe, normal_recipe, truncated_recipe, uniform_recipe
from pondera.kernel import Weight
from pondera.kernel.blocks import Walk, block

FORMATS: Final = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2, torch.float64: 3}
TRIALS: Final[dict[Kind, Recipe]] = {  # in the kernels' order of kinds
    "symmetric": uniform_recipe(-0.7, 0.7),
    "interval": uniform_recipe(-0.1, 5.0),
    "normal": normal_recipe(0.02, mean=1.0),
    "truncated": truncated_recipe(0.02, mean=1.0, lower=-1.0, upper=2.5),
}
KINDS: Final = tuple(TRIALS)
_PARTS: Final = {torch.complex64: torch.float32, torch.complex128: torch.float64}
_MOST: Final = 2**63  # positions are signed on the device
_AXES: Final = 4  # of a slice that one launch walks
_PROGRAM: Final = 1024  # blocks of four words, or elements, to a program
_OLDEST: Final = (8, 0)  # compute capability that the kernels are compiled for in the tests


def fill(tensor: torch.Tensor, weight: Weight) -> bool:
    """Fill a tensor of a CUDA device by a weight.

    Args:
        tensor: of the weight's size, any strides; its elements do not overlap.
        weight: what to draw.

    Returns:
        Whether it is filled; if not, it is untouched.

    Raises:
        DomainError, ShapeError: as the law's draw; the tensor is then untouched.
    """
    recipe = weight.recipe
    if recipe is None or not _can_fill(tensor, weight):
        return False
    if recipe.kind == "constant":
        kernel.checked(weight, _name(tensor.dtype))
        tensor.fill_(_unit(recipe, tensor.dtype))
        return True
    if not _trusted(tensor.device, _PARTS.get(tensor.dtype, tensor.dtype), recipe.kind):
        return False
    kernel.checked(weight, _name(tensor.dtype))
    if tensor.numel():
        for part, made, tag in _parts(tensor, recipe):
            _launch(part, weight, made, tag)
        with suppress(RuntimeError):  # a tensor of inference mode, of which autograd saves nothing
            torch.autograd.graph.increment_version(tensor)
    return True


@cache
def has_triton() -> bool:
    """Whether there is Triton, and PyTorch is not built for AMD."""
    return find_spec("triton") is not None and torch.version.hip is None


def _can_fill(tensor: torch.Tensor, weight: Weight) -> bool:
    old = tensor.is_cuda and torch.cuda.get_device_capability(tensor.device) < _OLDEST
    odd = tensor.is_neg() or tensor.is_conj()
    drawn = tensor.dtype in FORMATS or tensor.dtype in _PARTS
    return has_triton() and drawn and not old and not odd and prod(weight.shape) < _MOST


@cache
def _trusted(device: torch.device, dtype: torch.dtype, kind: Kind) -> bool:
    """Whether some numbers, made by both kernels on the device, are core's; if not, say so once."""
    from pondera.core import laws
    from pondera.core.laws.base import STORED

    shape, size, recipe = (40, 70), (40, 60), TRIALS[kind]
    law = laws.zeros()  # stands in: the recipe is given
    try:
        same = True
        for extent in (shape, size):
            trial = Weight(law, STORED, shape, (0, 0), extent, 2**63 + 5, "trial")
            made = torch.zeros(extent, dtype=dtype, device=device)
            _launch(made, trial, recipe, "")
            same = same and torch.equal(made.cpu(), _by_kernel(trial, recipe, dtype))
        reason = "its numbers are not those of the CPU"
    except Exception as fault:  # no compiler, no driver that fits …: whatever Triton has to say
        same, reason = False, f"{type(fault).__name__}: {fault}"
    if not same:
        warnings.warn(
            f"pondera.torch: {kind} draws in {dtype} on {device} are made on the CPU and copied, since "
            f"the device's own kernel does not work there ({reason}).",
            RuntimeWarning,
            stacklevel=5,
        )
    return same


def _by_kernel(trial: Weight, recipe: Recipe, dtype: torch.dtype) -> torch.Tensor:
    held = torch.empty(trial.size, dtype=dtype)
    kernel.fill_block(
        held.data_ptr(),
        shape=trial.shape,
        offset=(0, 0),
        size=trial.size,
        recipe=recipe,
        seed=trial.seed,
        name=trial.name,
        dtype=_name(dtype),
    )
    return held


def _parts(tensor: torch.Tensor, recipe: Recipe) -> Iterator[tuple[torch.Tensor, Recipe, str]]:
    """(real tensor, recipe, tag): the tensor itself, or its real and imaginary parts."""
    if tensor.dtype not in _PARTS:
        yield tensor, recipe, ""
        return
    half = replace(recipe, unit=recipe.unit * sqrt(0.5))
    yield tensor.real, half, ""
    yield tensor.imag, half, "imag"


def _launch(tensor: torch.Tensor, weight: Weight, recipe: Recipe, tag: str) -> None:
    from pondera.torch import cuda_kernels

    offset = weight.offset or (0,) * len(weight.shape)
    walk = block(weight.shape, offset, weight.size, tensor.stride())
    out = tensor.view(torch.int16) if tensor.dtype is torch.bfloat16 else tensor
    out = out.as_strided((1,), (1,), tensor.storage_offset())  # the walk has the strides
    stream = (*stream_key(weight.seed), *_split(name_hash(weight.name, tag=tag)))
    drawn = {
        "stream": tuple(_signed(word) for word in stream),
        "constants": _constants(recipe, tensor.dtype),
        "table": _columns(tensor.device),
        "kind": KINDS.index(recipe.kind),
        "form": FORMATS[tensor.dtype],
    }
    with torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext():
        for piece in _pieces(walk):
            start = tuple(_signed(word) for word in _split(piece.start))
            one = len(piece.sizes) == 1
            filled = cuda_kernels.fill_run if one else cuda_kernels.fill_walk
            filled(out, piece, start, _PROGRAM, **drawn)


def _constants(recipe: Recipe, dtype: torch.dtype) -> tuple[int, ...]:
    """The recipe as 32-bit words: the unit's bits (low, high), floor, span, lower, upper, shift, offset."""
    code = ("<Q", "<d") if dtype is torch.float64 else ("<I", "<f")
    (bits,) = struct.unpack(code[0], struct.pack(code[1], _unit(recipe, dtype)))
    words = (*_split(bits), recipe.floor % 2**32, recipe.span)
    rest = (recipe.lower, recipe.upper, recipe.shift, recipe.offset)
    return (*(_signed(word) for word in words), *rest)


def _unit(recipe: Recipe, dtype: torch.dtype) -> float:
    """The unit, rounded as a draw in this dtype rounds it."""
    if dtype in (torch.float64, torch.complex128):
        return recipe.unit
    with np.errstate(over="ignore"):
        return float(np.float32(recipe.unit))


def _pieces(walk: Walk) -> Iterator[Walk]:
    """The walk in pieces of at most _AXES axes, front axes one index at a time."""
    front = max(0, len(walk.sizes) - _AXES)
    for index in product(*(range(size) for size in walk.sizes[:front])):
        start = walk.start + sum(i * hop for i, hop in zip(index, walk.hops, strict=False))
        place = walk.place + sum(i * step for i, step in zip(index, walk.strides, strict=False))
        yield Walk(start, place, walk.sizes[front:], walk.hops[front:], walk.strides[front:])


@cache
def _columns(device: torch.device) -> tuple[torch.Tensor, ...]:
    """The quantile's table on a device."""
    return tuple(torch.tensor(column.view(np.int32), device=device) for column in _table())


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _split(number: int) -> tuple[int, int]:
    return number & 0xFFFFFFFF, number >> 32


def _signed(word: int) -> int:
    """The 32-bit word that has the same bits as a signed one: every launch then has the same types."""
    return word - 2**32 if word >= 2**31 else word
