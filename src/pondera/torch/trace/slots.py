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


_LAST: Final = frozenset("_fused_rms_norm native_layer_norm rms_norm".split())


def over_of(kind: str, name: str, args: Sequence[Any], dims: int) -> tuple[int, ...]:
    """The dimensions that a reduction, a softmax or a normalisation runs over; empty if not known."""
    if name in _LAST:
        return tuple(range(dims - len(args[1]), dims))
    if kind not in ("reduce", "softmax") or "pool" in name or name.startswith("_scaled"):
        return ()
    place = 2 if name in ("linalg_vector_norm", "norm") else 1
    given = args[place] if len(args) > place else None
    if isinstance(given, int) and not isinstance(given, bool):
        given = [given]
    if given is None or (isinstance(given, (list, tuple)) and not given):
        return tuple(range(dims))
    return tuple(sorted(k % dims for k in given)) if isinstance(given, (list, tuple)) else ()
