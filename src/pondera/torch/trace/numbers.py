"""Integers that are known although tensors have no numbers: sizes, lengths and masks of the example."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily
from torch.utils._pytree import tree_map_only

from pondera.torch.flow import tensors_of

_MOST: Final = 1 << 14  # elements


class Numbers:
    """Real tensors beside small stand-ins of integers and truth values, computed along with them."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # stand-ins are held: ids

    def learn(self, stand: torch.Tensor, real: torch.Tensor) -> None:
        """Keep the numbers of a stand-in, if it is small and holds integers."""
        if _small(real):
            self._known[id(stand)] = stand, real

    def computed(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The call's result with numbers; None if they are not known."""
        tensors = list(tensors_of([args, kwargs]))
        if not tensors and not _creates_integers(func, kwargs):
            return None
        if torch.Tag.nondeterministic_seeded in func.tags or not all(map(self._is_known, tensors)):
            if func._schema.is_mutable and tensors:
                self._forget(tensors[0])
            return None
        with unset_fake_temporarily():
            try:
                return func(*tree_map_only(torch.Tensor, self._real, args), **self._mapped(kwargs))
            except (RuntimeError, NotImplementedError, IndexError):
                return None

    def _mapped(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return tree_map_only(torch.Tensor, self._real, kwargs)

    def _is_known(self, tensor: torch.Tensor) -> bool:
        if isinstance(tensor, FakeTensor):
            return id(tensor) in self._known
        return tensor.device.type == "cpu" and _small(tensor)

    def _real(self, tensor: torch.Tensor) -> torch.Tensor:
        return self._known[id(tensor)][1] if id(tensor) in self._known else tensor

    def _forget(self, written: torch.Tensor) -> None:
        memory = written.untyped_storage()._cdata
        for key, (stand, _) in list(self._known.items()):
            if stand.untyped_storage()._cdata == memory:
                del self._known[key]


def _small(tensor: torch.Tensor) -> bool:
    floats = tensor.is_floating_point() or tensor.is_complex()
    return not floats and not tensor.is_meta and tensor.numel() <= _MOST


def _creates_integers(func: Any, kwargs: dict[str, Any]) -> bool:
    """Whether a call that reads no tensor makes integers, few enough to be kept."""
    name = func._schema.name.rpartition("::")[2]
    if kwargs.get("dtype") in (torch.long, torch.int32, torch.bool):
        return name in ("arange", "full", "ones", "zeros", "scalar_tensor")
    return name == "arange" and kwargs.get("dtype") is None
