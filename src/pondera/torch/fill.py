"""Named draws into PyTorch tensors. Weights are stored (out, in, field …), as PyTorch's layers do."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import torch

from pondera.core import laws
from pondera.core.errors import DomainError, ShapeError
from pondera.core.laws.base import AbstractLaw, Axes

_NUMPY_DTYPES: Final = {
    torch.float16: "float16",
    torch.bfloat16: "float32",  # drawn in float32, then rounded once to nearest even by copy_
    torch.float32: "float32",
    torch.float64: "float64",
    torch.complex64: "complex64",
    torch.complex128: "complex128",
}
LAYOUT: Final = Axes((1,), (0,))


class _Filling(Protocol):
    """A law's filling function: tensor in, the same tensor out."""

    def __call__(
        self,
        tensor: torch.Tensor,
        /,
        *,
        seed: int,
        name: str,
        in_axes: Sequence[int] | None = None,
        out_axes: Sequence[int] | None = None,
        **options: Any,
    ) -> torch.Tensor: ...


class _Making(Protocol):
    """A law's drawing function: shape in, new tensor out."""

    def __call__(
        self,
        shape: Sequence[int],
        /,
        *,
        seed: int,
        name: str,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        **options: Any,
    ) -> torch.Tensor: ...


def fill_(
    tensor: torch.Tensor,
    law: AbstractLaw,
    /,
    *,
    seed: int,
    name: str,
    in_axes: Sequence[int] | None = None,
    out_axes: Sequence[int] | None = None,
) -> torch.Tensor:
    """Fill a tensor in place by a law.

    No global generator is read or moved: the numbers depend on (seed, name, shape, law, dtype) alone.

    Args:
        tensor: floating point or complex, any shape, strides and device; a parameter may require grad.
        law: from `pondera.laws`, such as `laws.he_normal()`.
        seed: 64-bit seed.
        name: the parameter's name; equal names with one seed give equal tensors.
        in_axes: axes summed over, default (1,) as in PyTorch's layers.
        out_axes: axes produced, default (0,).

    Returns:
        The tensor.

    Raises:
        DomainError: dtype that cannot hold a draw, a tensor without memory (meta) or one that overlaps
            itself, seed or name out of range. ShapeError: the shape has no fans for this law. The tensor
            is then untouched.
    """
    _need_fillable(tensor, name)
    axes = LAYOUT if in_axes is None and out_axes is None else Axes(in_axes, out_axes)
    drawn = law.draw(
        tuple(tensor.shape), axes, seed=seed, name=name, dtype=_NUMPY_DTYPES[tensor.dtype]
    )
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(drawn))  # pyright: ignore[reportUnknownMemberType]
    return tensor


def _need_fillable(tensor: torch.Tensor, name: str) -> None:
    if not isinstance(tensor, torch.Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DomainError(
            f"fill_: needs a torch.Tensor; got {type(tensor).__name__}. Pass a tensor."
        )
    if tensor.dtype not in _NUMPY_DTYPES:
        raise DomainError(
            f"fill_: {name!r} needs a floating point or complex dtype of at least 16 bits; got "
            f"dtype={tensor.dtype}. Draw in float32 and convert."
        )
    if tensor.is_meta:
        raise DomainError(
            f"fill_: {name!r} lies on the meta device and has no memory to fill. "
            "Call module.to_empty(device=…) first."
        )
    if any(
        step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True)
    ):
        raise DomainError(
            f"fill_: {name!r} overlaps itself (an expanded tensor); got strides {tensor.stride()}. "
            "Fill tensor.clone(), or the tensor it was expanded from."
        )


def _in_place(factory: Callable[..., AbstractLaw]) -> _Filling:
    """`fill_` by one law, with the law's own options beside the draw's."""

    def filling(
        tensor: torch.Tensor,
        /,
        *,
        seed: int,
        name: str,
        in_axes: Sequence[int] | None = None,
        out_axes: Sequence[int] | None = None,
        **options: Any,
    ) -> torch.Tensor:
        law = factory(**options)
        return fill_(tensor, law, seed=seed, name=name, in_axes=in_axes, out_axes=out_axes)

    filling.__name__ = filling.__qualname__ = f"{factory.__name__}_"
    filling.__doc__ = (
        f"`fill_` by `laws.{factory.__name__}`; its options and those of `fill_`.\n\n"
        f"The law:\n\n{inspect.getdoc(factory)}"
    )
    return filling


def _new(filling: _Filling) -> _Making:
    """The same draw into a new tensor."""

    def making(
        shape: Sequence[int],
        /,
        *,
        seed: int,
        name: str,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        **options: Any,
    ) -> torch.Tensor:
        try:
            empty = torch.empty(tuple(shape), dtype=dtype, device=device)
        except (TypeError, RuntimeError) as fault:
            raise ShapeError(
                f"draw: a shape is a sequence of integers of at least 0; got shape={shape!r} "
                f"({fault}). Pass a tuple, such as (256, 128)."
            ) from None
        return filling(empty, seed=seed, name=name, **options)

    making.__name__ = making.__qualname__ = getattr(filling, "__name__", "").rstrip("_")
    making.__doc__ = f"A new tensor of `shape`, filled.\n\n{filling.__doc__}"
    return making


normal_ = _in_place(laws.normal)
uniform_ = _in_place(laws.uniform)
truncated_normal_ = _in_place(laws.truncated_normal)
zeros_ = _in_place(laws.zeros)
ones_ = _in_place(laws.ones)
glorot_normal_ = _in_place(laws.glorot_normal)
glorot_uniform_ = _in_place(laws.glorot_uniform)
he_normal_ = _in_place(laws.he_normal)
he_uniform_ = _in_place(laws.he_uniform)
lecun_normal_ = _in_place(laws.lecun_normal)
lecun_uniform_ = _in_place(laws.lecun_uniform)
variance_scaling_ = _in_place(laws.variance_scaling)
orthogonal_ = _in_place(laws.orthogonal)
mirrored_orthogonal_ = _in_place(laws.mirrored_orthogonal)

normal = _new(normal_)
uniform = _new(uniform_)
truncated_normal = _new(truncated_normal_)
