"""Decay or not, parameter by parameter, for a PyTorch model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from pondera.core.errors import DomainError
from pondera.model.decay import DecayGroups, DecayRow, Kind, decided, kind_of, need_matches
from pondera.torch.observe import NORM_MODULES

_WRAPPED = "_orig_mod."  # torch.compile puts it in front of names


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
    _need_rate(weight_decay)
    named = _named(model)
    need_matches([name for names in named.values() for name in names], decay=decay, keep=keep)
    kinds, asked = _kinds(model), _asked_by_model(model)
    rows = list[DecayRow]()
    groups = {True: list[nn.Parameter](), False: list[nn.Parameter]()}
    for parameter, (name, *others) in named.items():
        row = decided(
            name,
            tuple(parameter.shape),
            kinds[parameter] if parameter.requires_grad else "frozen",
            embeddings=embeddings,
            decay=decay,
            keep=keep,
            named_by_model=bool(asked & {name, *others})
            or getattr(parameter, "_no_weight_decay", False),
            also=others,
        )
        rows.append(row)
        if parameter.requires_grad:
            groups[row.decayed].append(parameter)
    if not any(groups.values()):
        found = f"{len(named)} parameters, all frozen" if named else "a model without parameters"
        raise DomainError(
            f"decay_groups: needs a parameter that is trained; got {found}. Set requires_grad first, or pass "
            "the model that holds the weights."
        )
    made = ((True, weight_decay), (False, 0.0))
    return DecayGroups(
        ({"params": groups[d], "weight_decay": rate} for d, rate in made if groups[d]), rows
    )


def _need_rate(weight_decay: Any) -> None:
    try:
        fits = math.isfinite(weight_decay) and weight_decay >= 0
    except TypeError:
        fits = False
    if not fits:
        raise DomainError(
            f"decay_groups: needs 0 <= weight_decay < inf; got weight_decay={weight_decay!r}. "
            "Use 0 for no decay."
        )


def _named(model: nn.Module) -> dict[nn.Parameter, list[str]]:
    """Every parameter with all its names: a tied one has several."""
    named = dict[nn.Parameter, list[str]]()
    for name, parameter in model.named_parameters(remove_duplicate=False):
        _need_whole(name, parameter)
        named.setdefault(parameter, []).append(name.replace(_WRAPPED, ""))
    return named


def _kinds(model: nn.Module) -> dict[nn.Parameter, Kind]:
    """Kind of every parameter; of a tied one, an embedding's word counts before a layer's."""
    kinds = dict[nn.Parameter, Kind]()

    def note(module: nn.Module, owner: Kind | None) -> None:
        for leaf, parameter in module.named_parameters(recurse=False):
            kind = kind_of(leaf, tuple(parameter.shape), None if owner == "embedding" else owner)
            kind = "embedding" if owner == "embedding" and kind == "weight" else kind
            if parameter not in kinds or kind == "embedding":
                kinds[parameter] = kind

    for module in model.modules():
        owner = _owner(module)
        if is_parametrized(module):  # the weight then lies in a module of its own
            for inner in module.parametrizations.children():  # type: ignore[union-attr]
                note(inner, owner)
        note(module, owner)
    return kinds


def _owner(module: nn.Module) -> Kind | None:
    """What a module makes of all its own parameters."""
    name = type(module).__name__.removeprefix("Parametrized").lower()
    if hasattr(module, "num_embeddings"):  # nn.Embedding, nn.EmbeddingBag and other libraries' own
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
            prefix = f"{path}.".replace(_WRAPPED, "") if path else ""
            asked |= {prefix + str(name) for name in listed()}
    return asked


def _need_whole(name: str, parameter: nn.Parameter) -> None:
    """Refuse what has no shape of its own."""
    if isinstance(parameter, nn.UninitializedParameter):
        raise DomainError(
            f"decay_groups: {name!r} belongs to a lazy layer and has no shape yet. Run one batch through the "
            "model first."
        )
    if name.rsplit(".", 1)[-1] in ("_flat_param", "flat_param"):
        raise DomainError(
            f"decay_groups: {name!r} is many parameters flattened into one, and cannot be told apart. "
            "Call decay_groups before wrapping the model, or shard it without flattening (fully_shard)."
        )
