"""Picks the adapter among the frameworks that are already imported."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

from pondera.core.errors import DomainError, missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pondera.model.adapter import AbstractAdapter
    from pondera.model.decay import DecayGroups
    from pondera.model.rows import Row

_ADAPTERS: Final = {"torch": "pondera.torch.adapter"}
_NAMES: Final = {"torch": "PyTorch"}


def adapter_of(model: object) -> AbstractAdapter:
    """The adapter of a model's framework.

    Args:
        model: a model of a framework that Pondera knows: a torch.nn.Module.

    Returns:
        The adapter.

    Raises:
        DomainError: the model belongs to no framework that is known and imported.
    """
    for framework in _ADAPTERS:
        if framework in sys.modules:
            adapter = adapter_by_name(framework)
            if adapter.is_model(model):
                return adapter
    raise DomainError(
        f"model: needs a torch.nn.Module; got {type(model).__name__}. Pass the model itself, not its "
        "class or its weights."
    )


def adapter_by_name(framework: str) -> AbstractAdapter:
    """The adapter of a framework by its name; imports the framework.

    Raises:
        MissingFramework: it is not installed.
    """
    try:
        module = importlib.import_module(_ADAPTERS[framework])
    except ModuleNotFoundError as fault:
        if fault.name != framework:
            raise
        raise missing(f"pondera.{framework}", _NAMES[framework], framework) from None
    return module.ADAPTER


def initialize(
    model: Any, example: Any, /, *, scheme: str = "orthogonal", seed: int = 0
) -> tuple[Row, ...]:
    """Give every weight of a model its start by a named scheme, in place.

    One forward pass on the example shows which weight each activation feeds. Dense and convolutional
    weights are drawn by the scheme, their biases and norm shifts become 0 and norm scales 1; whatever
    else there is (embeddings, attention, recurrent cells, frozen parameters) is left as it was, and its
    row says so.

    Args:
        model: a torch.nn.Module on the CPU or a GPU; changed in place, all or nothing.
        example: one batch: a tuple is positional, a dict keyword arguments, anything else the one input.
        scheme: "glorot", "he", "lecun", "orthogonal" (exact gain) or "mirrored" (chains of dense layers
            with f(u) − f(−u) = c·u).
        seed: 64-bit seed; a weight depends on it, on its name and on its shape alone.

    Returns:
        A row per parameter: name, shape, role, fans, law, gain, std, and why.

    Raises:
        DomainError: unknown scheme, no weight found, or a network that the scheme cannot serve, with the
            reason. The model is unchanged.

    >>> import torch, pondera
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    >>> rows = pondera.initialize(model, torch.randn(4, 8), scheme="he", seed=0)
    >>> rows[0].name, rows[0].law.name, rows[0].std
    ('0.weight', 'he_normal', 0.5)
    """
    return adapter_of(model).initialize(model, example, scheme=scheme, seed=seed)


def decay_groups(
    model: Any,
    /,
    *,
    weight_decay: float,
    embeddings: bool = False,
    decay: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> DecayGroups:
    """Param groups in which only what should decay decays, with an audit that says why.

    Weights that are summed over decay; biases, norms, scales, learned tokens, state-space rates and activation
    slopes do not, whatever their shape or name; embeddings by choice. What the model itself asks for (a
    `no_weight_decay()` list, a `_no_weight_decay` mark) is heard; patterns of the caller's win over all.

    Args:
        model: a torch.nn.Module, before any wrapping that flattens its parameters.
        weight_decay: of the decaying group, in the optimizer's unit, 0 ≤ weight_decay < ∞.
        embeddings: whether embedding tables (and heads tied to them) decay.
        decay: name patterns (as in fnmatch) that decay whatever they are.
        keep: name patterns that do not; they win over `decay`.

    Returns:
        A list of param groups for an optimizer; `.rows` is the audit, `.table()` its text.

    Raises:
        DomainError: weight_decay out of range, a pattern that matches nothing, a flattened parameter, or
            nothing to train.
    """
    return adapter_of(model).decay_groups(
        model, weight_decay=weight_decay, embeddings=embeddings, decay=decay, keep=keep
    )
