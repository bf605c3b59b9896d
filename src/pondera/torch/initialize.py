"""A whole model's start, and the gain of a PyTorch activation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from pondera.core import gains
from pondera.core.errors import DomainError, ShapeError, placed
from pondera.core.gains import Direction
from pondera.core.laws.base import AbstractLaw
from pondera.model.assign import rows_for
from pondera.model.graph import Network
from pondera.model.rows import Row
from pondera.torch.fill import elementwise, filled
from pondera.torch.keep import evaluating, seeded
from pondera.torch.observe import observe


def gain(
    activation: nn.Module | Callable[[torch.Tensor], torch.Tensor] | str,
    *,
    direction: Direction = "forward",
    std: float = 1.0,
) -> float:
    """`pondera.gain` of a PyTorch module or function.

    Args:
        activation: a pointwise module or function of a float64 tensor, or a name.
        direction: "forward" or "backward".
        std: standard deviation of the pre-activations, positive.

    Returns:
        The gain.

    Raises:
        DomainError: as `pondera.gain`.

    >>> round(gain(nn.GELU()), 7)
    1.5335304
    """
    if isinstance(activation, str):
        return gains.gain(activation, direction=direction, std=std)

    def on_arrays(z: Any) -> Any:
        with torch.no_grad():
            return activation(torch.from_numpy(z.copy())).numpy()

    try:
        return gains.gain(on_arrays, direction=direction, std=std)
    except DomainError as fact:
        text = str(fact).replace(repr(on_arrays), repr(activation))
        raise DomainError(text) from None


def initialize(
    model: nn.Module, example: Any, /, *, scheme: str = "orthogonal", seed: int = 0
) -> tuple[Row, ...]:
    """See `pondera.initialize`, which this is for PyTorch.

    Args:
        model: changed in place, all or nothing; its mode and the global generators stay as they are.
        example: one batch: a tuple is positional, a dict keyword arguments, anything else the one input.
        scheme: "glorot", "he", "lecun", "mirrored" or "orthogonal".
        seed: 64-bit seed.

    Returns:
        A row per parameter, in the model's order.

    Raises:
        DomainError, ShapeError: as `pondera.initialize`; the model is unchanged.
    """
    rows = rows_for(network_of(model, example), scheme=scheme)
    fill(model, rows, seed=seed)
    return rows


def network_of(model: nn.Module, example: Any) -> Network:
    """What one forward pass in evaluation mode shows; nothing of the model or of any generator moves."""
    for name, parameter in model.named_parameters():
        if parameter.is_meta:
            raise DomainError(
                f"initialize: {name!r} lies on the meta device and has no memory to fill. "
                "Call module.to_empty(device=…) first."
            )
    with evaluating(model), torch.enable_grad(), seeded(None):
        try:
            return observe(model, example)
        except (DomainError, ShapeError):
            raise
        except Exception as fault:
            raise DomainError(
                f"initialize: the model must accept the example; {type(model).__name__} raised "
                f"{type(fault).__name__}: {first_line(fault)}. Pass a batch as the model's forward takes it."
            ) from fault


def fill(model: nn.Module, rows: Sequence[Row], *, seed: int) -> None:
    """Draw every row's law into its parameter; on an error the model is as before.

    What an element's law and place decide is checked, then drawn straight into the parameter; only what
    ties a whole matrix together is made beside it first.
    """
    parameters = dict(model.named_parameters())
    ready = list[Callable[[], Any]]()
    for row in rows:
        if row.law is None:
            continue
        try:
            ready.append(_prepared(parameters[row.name], row, row.law, seed))
        except (DomainError, ShapeError) as fact:
            raise placed(f"{row.name} (torch, shape={row.shape})", fact) from None
    with torch.no_grad():
        for write in ready:
            write()


def _prepared(
    parameter: torch.Tensor, row: Row, law: AbstractLaw, seed: int
) -> Callable[[], torch.Tensor]:
    """What fills the parameter and can no longer fail."""
    seeded, axes = (seed, row.name), (row.in_axes, row.out_axes)
    if elementwise(parameter, law, *seeded, *axes):
        return partial(filled, parameter, law, *seeded, *axes)
    beside = torch.empty(tuple(parameter.shape), dtype=parameter.dtype)
    return partial(parameter.copy_, filled(beside, law, *seeded, *axes))


def first_line(fault: BaseException) -> str:
    """The first line of an error's message, without a closing stop."""
    return (str(fault).strip().splitlines() or [""])[0].rstrip(".")
