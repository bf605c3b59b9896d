"""What each tensor of a normalisation, a lookup or an attention is."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, Final

import torch

_NORM_SLOTS: Final = ("entering", "scale", "shift")
_BATCH: Final = (*_NORM_SLOTS, "mean", "variance")
_SLOTS: Final = MappingProxyType(
    {
        "_batch_norm_no_update": _BATCH,
        "_batch_norm_with_update": _BATCH,
        "_fused_rms_norm": ("entering", "", "scale"),
        "_native_batch_norm_legit": _BATCH,
        "_native_batch_norm_legit_no_training": _BATCH,
        "cudnn_batch_norm": _BATCH,
        "embedding": ("table", "rows"),
        "_embedding_bag": ("table", "rows"),
        "_embedding_bag_forward_only": ("table", "rows"),
        "native_batch_norm": _BATCH,
        "native_group_norm": _NORM_SLOTS,
        "native_layer_norm": ("entering", "", "scale", "shift"),
        "rms_norm": ("entering", "", "scale"),
    }
)


def slots_of(name: str, args: Sequence[Any]) -> tuple[str, ...]:
    """What each tensor argument is, in order; empty where there is nothing to tell."""
    if name.startswith("_scaled_dot_product"):
        told: Sequence[str] = ("query", "key", "value", "mask")
    else:
        told = _SLOTS.get(name, ())
    pairs = zip(told, args, strict=False)
    return tuple(slot for slot, entry in pairs if isinstance(entry, torch.Tensor))
