"""Decay or not, parameter by parameter, for a PyTorch model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from pondera.core.errors import DomainError
from pondera.model.decay import DecayGroups, DecayRow, Kind, decided, kind_of, need_matches
from pondera.torch.observe import NORM_MODULES


def decay_groups(
    model: nn.Module,
    /,
    *,
    weight_decay: float,
    embeddings: bool = False,
    decay: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> DecayGroups:
    """See `pondera.decay_groups`.

    Args:
        model: before any wrapping that flattens its parameters.
        weight_decay: of the decaying group, in the optimizer's unit, 0 ≤ weight_decay < ∞.
        embeddings: whether embedding tables decay.
        decay: name patterns that decay whatever they are.
        keep: name patterns that do not; they win over `decay`.

    Returns:
        Two param groups, or one if the other would be empty, and the audit.

    Raises:
        DomainError: weight_decay out of range, a pattern that matches nothing, a flattened parameter, or
            nothing to train.
    """
    if not (math.isfinite(weight_decay) and weight_decay >= 0):
        raise DomainError(
            f"decay_groups: needs 0 <= weight_decay < inf; got weight_decay={weight_decay!r}. "
            "Use 0 for no decay."
        )
    named = dict(model.named_parameters())
    need_matches(list(named), decay=decay, keep=keep)
    kinds = _kinds(model)
    asked = _asked_by_model(model)
    rows = list[DecayRow]()
    groups = {True: list[nn.Parameter](), False: list[nn.Parameter]()}
    for name, parameter in named.items():
        _need_shape(name)
        row = decided(
            name,
            tuple(parameter.shape),
            kinds[parameter] if parameter.requires_grad else "frozen",
            embeddings=embeddings,
            decay=decay,
            keep=keep,
            named_by_model=name in asked or getattr(parameter, "_no_weight_decay", False),
        )
        rows.append(row)
        if parameter.requires_grad:
            groups[row.decayed].append(parameter)
    if not any(groups.values()):
        raise DomainError(
            f"decay_groups: needs a parameter that is trained; got {len(named)} parameters, all frozen. "
            "Set requires_grad first."
        )
    made = ((True, weight_decay), (False, 0.0))
    return DecayGroups(
        ({"params": groups[d], "weight_decay": rate} for d, rate in made if groups[d]), rows
    )


def _kinds(model: nn.Module) -> dict[nn.Parameter, Kind]:
    """Kind of every parameter; of a tied one, an embedding's word counts before a layer's."""
    kinds = dict[nn.Parameter, Kind]()
    for module in model.modules():
        owner = _owner(module)
        for leaf, parameter in module.named_parameters(recurse=False):
            kind = kind_of(leaf, tuple(parameter.shape), owner)
            if parameter not in kinds or kind == "embedding":
                kinds[parameter] = kind
    return kinds


def _owner(module: nn.Module) -> Kind | None:
    """What a module makes of all its own parameters."""
    name = type(module).__name__.lower()
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return "embedding"
    if isinstance(module, NORM_MODULES) or name.endswith(("norm", "norm1d", "norm2d", "norm3d")):
        return "norm"
    return "activation" if isinstance(module, nn.PReLU) else None


def _asked_by_model(model: nn.Module) -> set[str]:
    """Names that the model's own `no_weight_decay()` lists, as timm's models do, also those of parts."""
    asked = set[str]()
    for path, module in model.named_modules():
        listed: Any = getattr(module, "no_weight_decay", None)
        if callable(listed):
            prefix = f"{path}." if path else ""
            asked |= {prefix + str(name) for name in listed()}
    return asked


def _need_shape(name: str) -> None:
    if name.rsplit(".", 1)[-1] in ("_flat_param", "flat_param"):
        raise DomainError(
            f"decay_groups: {name!r} is many parameters flattened into one, and cannot be told apart. "
            "Call decay_groups before wrapping the model, or shard it without flattening (fully_shard)."
        )
