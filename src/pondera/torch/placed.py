"""Where a tensor lies → what fills it: memory of the CPU by the kernel, other devices by who registered.

A device that nobody registered for gets the numbers from the CPU: made there, then copied. Whoever
registers draws the same bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch

from pondera import kernel
from pondera.core.errors import DomainError
from pondera.core.laws.base import AbstractLaw, Axes
from pondera.kernel import Weight

Filler = Callable[[torch.Tensor, Weight], bool]

DTYPES: Final = {
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
    torch.float32: "float32",
    torch.float64: "float64",
    torch.complex64: "complex64",
    torch.complex128: "complex128",
}
_PLAIN: Final = (torch.Tensor, torch.nn.Parameter)  # what no subclass stands in for
_IS_FUNCTIONAL: Final[Callable[[torch.Tensor], bool]] = getattr(torch, "_is_functional_tensor")  # noqa: B009
_DEEP: Final = 4  # stack frames from the warning to whoever called a fill


def _on_cuda(tensor: torch.Tensor, weight: Weight) -> bool:
    from pondera.torch import cuda  # when first needed: it may load a compiler

    return cuda.fill(tensor, weight)


_FILLERS: Final[dict[str, Filler]] = {"cuda": _on_cuda}


def register(device: str, filler: Filler) -> None:
    """Let a function fill the tensors of a kind of device from now on.

    Args:
        device: a `torch.device`'s type, such as "cuda".
        filler: fills a tensor of that device by a weight, and says whether it could; where it could
            not, the numbers come from the CPU. It is called under `torch.no_grad`, with a strided tensor
            of one of `DTYPES` whose elements do not overlap.
    """
    _FILLERS[device] = filler


def fill(tensor: torch.Tensor, weight: Weight) -> None:
    """Fill a tensor of the weight's size; `need_fillable` has looked at it.

    Args:
        tensor: on any device; one on the meta device is left alone, with a warning.
        weight: what to draw.

    Raises:
        DomainError, ShapeError: as the law's draw; the tensor is then untouched.
    """
    plain = type(tensor) in _PLAIN and not _IS_FUNCTIONAL(tensor)
    if plain and tensor.is_cpu and not tensor.is_neg() and not tensor.is_conj():
        _fill_memory(tensor, weight)
    elif tensor.is_meta or hasattr(tensor, "fake_mode"):
        kernel.checked(weight, DTYPES[tensor.dtype])
        warnings.warn(
            f"fill_: {weight.name!r} lies on the meta device and has no memory: it is left as it is. "
            "Call module.to_empty(device=…), then fill it.",
            RuntimeWarning,
            stacklevel=_DEEP,
        )
    else:
        with torch.no_grad():
            filler = _FILLERS.get(tensor.device.type) if plain else None
            if filler is None or not filler(tensor, weight):
                _copy(tensor, weight)


def fill_small(tensor: Any, law: AbstractLaw, axes: Axes, seed: int, name: str) -> bool:
    """Fill a small tensor that plainly lies in the CPU's memory, with as little as that takes.

    Args:
        tensor: what is to be filled, if it is such a tensor.
        law: from `pondera.laws`.
        axes: which axes the law's fans sum over.
        seed: 64-bit seed.
        name: the parameter's name.

    Returns:
        Whether it is filled; if not, `need_fillable` and `fill` look closer.

    Raises:
        DomainError, ShapeError: as the law's draw; the tensor is then untouched.
    """
    dtype = DTYPES.get(tensor.dtype) if type(tensor) in _PLAIN else None
    if dtype is None or not tensor.is_cpu or tensor.is_neg():  # small complex ones go the other way
        return False
    try:
        shape = tensor.shape if tensor.is_contiguous() else None
        address = tensor.data_ptr()
    except (
        RuntimeError
    ):  # sparse, nested, or of torch.func: no memory of its own, or none so simple
        return False
    if _lies_nowhere(tensor, address):
        return False
    if shape is None or not kernel.write_small(address, law, axes, shape, seed, name, dtype):
        return False
    _written(tensor)
    return True


def need_fillable(tensor: Any, name: str) -> None:
    """Refuse what cannot be filled.

    Args:
        tensor: what is to be filled.
        name: the parameter's name.

    Raises:
        DomainError: no tensor, a dtype that cannot hold a draw, no strided memory or none at all, or a
            tensor that overlaps itself.
    """
    if not isinstance(tensor, torch.Tensor):
        raise DomainError(
            f"fill_: needs a torch.Tensor; got {type(tensor).__name__}. Pass a tensor."
        )
    if tensor.dtype not in DTYPES:
        raise DomainError(
            f"fill_: {name!r} needs a floating point or complex dtype of at least 16 bits; got "
            f"dtype={tensor.dtype}. Draw in float32 and convert."
        )
    if tensor.layout is not torch.strided or tensor.is_nested:
        raise DomainError(
            f"fill_: {name!r} needs a dense tensor; got layout={tensor.layout}"
            f"{' (nested)' if tensor.is_nested else ''}. Fill a dense one and convert it."
        )
    if not tensor.is_contiguous() and kernel.overlaps(tensor.shape, tensor.stride()):
        raise DomainError(
            f"fill_: {name!r} overlaps itself (an expanded tensor); got strides {tensor.stride()}. "
            "Fill tensor.clone(), or the tensor it was expanded from."
        )
    if _is_freed(tensor):
        raise DomainError(
            f"fill_: {name!r} has no memory (its storage was freed, or it is a zero that PyTorch does not "
            f"store); got shape={tuple(tensor.shape)}. Give its storage its size back, or clone it."
        )


def _fill_memory(tensor: torch.Tensor, weight: Weight) -> None:
    strides = None if tensor.is_contiguous() else tensor.stride()
    try:
        address = tensor.data_ptr()
    except RuntimeError:  # a tensor of torch.func has no memory of its own
        with torch.no_grad():
            _copy(tensor, weight)
        return
    kernel.write(address, strides, weight, DTYPES[tensor.dtype])
    _written(tensor)


def _is_freed(tensor: torch.Tensor) -> bool:
    """Whether a plain tensor has elements, but its storage holds none."""
    if type(tensor) not in _PLAIN or not (tensor.is_cpu or tensor.is_cuda):
        return False
    if tensor._is_zerotensor():  # pyright: ignore[reportPrivateUsage]
        return True
    if _IS_FUNCTIONAL(tensor):  # of torch.func: its memory is another's
        return False
    try:
        return tensor.numel() > 0 and _lies_nowhere(tensor, tensor.data_ptr())
    except RuntimeError:  # likewise
        return False


def _lies_nowhere(tensor: torch.Tensor, address: int) -> bool:
    """Whether the storage begins at 0; a view of it then lies at its offset from there."""
    return address == tensor.storage_offset() * tensor.itemsize


def _written(tensor: torch.Tensor) -> None:
    """Tell autograd that what it saved of the tensor is out of date."""
    if not tensor.is_inference():  # autograd saves nothing of those
        torch.autograd.graph.increment_version(tensor)


def _copy(tensor: torch.Tensor, weight: Weight) -> None:
    """The numbers made in the CPU's memory, then copied."""
    dtype = DTYPES[tensor.dtype]
    # NumPy's memory: under torch.func even what torch.empty makes may be wrapped
    made = np.empty(weight.size, "uint16" if dtype == "bfloat16" else dtype)
    kernel.write(made.ctypes.data, None, weight, dtype)
    tensor.copy_(torch.from_numpy(made).view(tensor.dtype))  # pyright: ignore[reportUnknownMemberType]
