"""Named draws into PyTorch tensors. Weights are stored (out, in, field …), as PyTorch's layers do."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol

import torch

from pondera import kernel
from pondera.core import laws
from pondera.core.laws.base import AbstractLaw, Axes
from pondera.torch import placed

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
        shape: Sequence[int] | None = None,
        offset: Sequence[int] | None = None,
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
        offset: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
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
    shape: Sequence[int] | None = None,
    offset: Sequence[int] | None = None,
) -> torch.Tensor:
    """Fill a tensor in place by a law, or with the slice that it holds of a larger one.

    No global generator is read or moved: the numbers depend on (seed, name, shape, law, dtype) alone.

    Args:
        tensor: floating point or complex, any shape, strides and device; a parameter may require grad.
            One on the meta device is left alone, with a warning.
        law: from `pondera.laws`, such as `laws.he_normal()`.
        seed: 64-bit seed.
        name: the parameter's name; equal names with one seed give equal tensors.
        in_axes: axes summed over, default (1,) as in PyTorch's layers.
        out_axes: axes produced, default (0,).
        shape: of the whole tensor of which this one is the slice from `offset` on; default its own.
            The law's fans are those of the whole.
        offset: first index of the slice along each axis, default 0.

    Returns:
        The tensor.

    Raises:
        DomainError: dtype that cannot hold a draw, a tensor that overlaps itself, seed or name out of
            range. ShapeError: the shape has no fans for this law, or the slice does not lie in it. The
            tensor is then untouched.

    Limits:
        A slice costs what it holds. Laws that tie all elements together (orthogonal ones) make the whole.
    """
    return filled(tensor, law, seed, name, in_axes, out_axes, shape, offset)


def elementwise(
    tensor: torch.Tensor,
    law: AbstractLaw,
    seed: int,
    name: str,
    in_axes: Sequence[int] | None = None,
    out_axes: Sequence[int] | None = None,
) -> bool:
    """Whether `fill_`, of the same arguments, draws straight into the tensor and finds no fault there.

    Args:
        tensor: as of `fill_`.
        law: as of `fill_`.
        seed: as of `fill_`.
        name: as of `fill_`.
        in_axes: as of `fill_`.
        out_axes: as of `fill_`.

    Raises:
        DomainError, ShapeError: what `fill_` would raise.
    """
    weight = _weight(tensor, law, seed, name, in_axes, out_axes, None, None)
    return kernel.checked(weight, placed.DTYPES[tensor.dtype]).recipe is not None


def filled(
    tensor: torch.Tensor,
    law: AbstractLaw,
    seed: int,
    name: str,
    in_axes: Sequence[int] | None = None,
    out_axes: Sequence[int] | None = None,
    shape: Sequence[int] | None = None,
    offset: Sequence[int] | None = None,
) -> torch.Tensor:
    """`fill_`, with its arguments by place.

    Args:
        tensor: as of `fill_`.
        law: as of `fill_`.
        seed: as of `fill_`.
        name: as of `fill_`.
        in_axes: as of `fill_`.
        out_axes: as of `fill_`.
        shape: as of `fill_`.
        offset: as of `fill_`.

    Raises:
        DomainError, ShapeError: as `fill_`.
    """
    if shape is None and offset is None:
        axes = LAYOUT if in_axes is None and out_axes is None else _axes(in_axes, out_axes)
        if placed.fill_small(tensor, law, axes, seed, name):
            return tensor
    weight = _weight(tensor, law, seed, name, in_axes, out_axes, shape, offset)
    placed.fill(tensor, weight)
    return tensor


def _weight(
    tensor: torch.Tensor,
    law: AbstractLaw,
    seed: int,
    name: str,
    in_axes: Sequence[int] | None,
    out_axes: Sequence[int] | None,
    shape: Sequence[int] | None,
    offset: Sequence[int] | None,
) -> kernel.Weight:
    """What is to be drawn into a tensor that can be filled."""
    placed.need_fillable(tensor, name)
    axes = LAYOUT if in_axes is None and out_axes is None else _axes(in_axes, out_axes)
    own = tuple(tensor.shape)
    if shape is None and offset is None:
        return kernel.Weight(law, axes, own, None, own, seed, name)
    logical = own if shape is None else shape
    return kernel.weight_of(law, axes, shape=logical, offset=offset, size=own, seed=seed, name=name)


def _axes(inward: Sequence[int] | None, outward: Sequence[int] | None) -> Axes:
    """The axes as tuples, which laws can be kept by."""
    return Axes(*(None if axes is None else tuple(axes) for axes in (inward, outward)))


def _in_place(factory: Callable[..., AbstractLaw]) -> _Filling:
    """`fill_` by one law, with the law's own options beside the draw's."""
    kept = lru_cache(maxsize=256, typed=True)(factory)

    def filling(
        tensor: torch.Tensor,
        /,
        *,
        seed: int,
        name: str,
        in_axes: Sequence[int] | None = None,
        out_axes: Sequence[int] | None = None,
        shape: Sequence[int] | None = None,
        offset: Sequence[int] | None = None,
        **options: Any,
    ) -> torch.Tensor:
        try:
            law = kept(**options)
        except TypeError:  # an option that cannot be kept, or none of the law's
            law = factory(**options)
        return filled(tensor, law, seed, name, in_axes, out_axes, shape, offset)

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
        offset: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
        **options: Any,
    ) -> torch.Tensor:
        part = kernel.weight_of(
            laws.zeros(), LAYOUT, shape=shape, offset=offset, size=size, seed=seed, name=name
        )
        empty = torch.empty(part.size, dtype=dtype, device=device)
        sliced = {} if part.offset is None else {"shape": part.shape, "offset": part.offset}
        return filling(empty, seed=seed, name=name, **sliced, **options)

    making.__name__ = making.__qualname__ = getattr(filling, "__name__", "").rstrip("_")
    making.__doc__ = (
        "A new tensor of `shape`, or the slice [offset, offset + size) of it, filled.\n\n"
        f"{filling.__doc__}"
    )
    return making


delta_orthogonal_ = _in_place(laws.delta_orthogonal)
dirac_ = _in_place(laws.dirac)
glorot_normal_ = _in_place(laws.glorot_normal)
glorot_uniform_ = _in_place(laws.glorot_uniform)
hadamard_orthogonal_ = _in_place(laws.hadamard_orthogonal)
he_normal_ = _in_place(laws.he_normal)
he_uniform_ = _in_place(laws.he_uniform)
hippo_legs_input_ = _in_place(laws.hippo_legs_input)
hippo_legs_state_ = _in_place(laws.hippo_legs_state)
identity_ = _in_place(laws.identity)
kan_normal_ = _in_place(laws.kan_normal)
lecun_normal_ = _in_place(laws.lecun_normal)
lecun_uniform_ = _in_place(laws.lecun_uniform)
log_time_steps_ = _in_place(laws.log_time_steps)
log_uniform_ = _in_place(laws.log_uniform)
mamba2_decay_ = _in_place(laws.mamba2_decay)
mirrored_delta_orthogonal_ = _in_place(laws.mirrored_delta_orthogonal)
mirrored_orthogonal_ = _in_place(laws.mirrored_orthogonal)
mup_output_normal_ = _in_place(laws.mup_output_normal)
normal_ = _in_place(laws.normal)
ones_ = _in_place(laws.ones)
orthogonal_ = _in_place(laws.orthogonal)
residual_normal_ = _in_place(laws.residual_normal)
s4d_inv_ = _in_place(laws.s4d_inv)
s4d_lin_ = _in_place(laws.s4d_lin)
s4d_real_ = _in_place(laws.s4d_real)
siren_first_ = _in_place(laws.siren_first)
siren_hidden_ = _in_place(laws.siren_hidden)
small_normal_ = _in_place(laws.small_normal)
softplus_time_steps_ = _in_place(laws.softplus_time_steps)
sparse_ = _in_place(laws.sparse)
tiled_identity_ = _in_place(laws.tiled_identity)
torch_uniform_ = _in_place(laws.torch_uniform)
truncated_normal_ = _in_place(laws.truncated_normal)
uniform_ = _in_place(laws.uniform)
unit_rows_ = _in_place(laws.unit_rows)
variance_scaling_ = _in_place(laws.variance_scaling)
wang_normal_ = _in_place(laws.wang_normal)
zeros_ = _in_place(laws.zeros)

normal = _new(normal_)
uniform = _new(uniform_)
truncated_normal = _new(truncated_normal_)
