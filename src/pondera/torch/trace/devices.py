"""One device for all that runs without numbers: what lies elsewhere gets a stand-in on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._pytree import tree_map_only

from pondera.torch.flow import tensors_of
from pondera.torch.trace.fakes import stand_in

_CPU = torch.device("cpu")


class Devices:
    """Stand-ins of the constants that a model holds on other devices, such as meta."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def moved(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a call, on the CPU."""
        if kwargs.get("device") not in (None, _CPU):
            kwargs = {**kwargs, "device": _CPU}
        if any(_elsewhere(tensor) for tensor in tensors_of([args, kwargs])):
            args, kwargs = tree_map_only(torch.Tensor, self._stand, (args, kwargs))
        return args, kwargs

    def _stand(self, tensor: torch.Tensor) -> torch.Tensor:
        if not _elsewhere(tensor):
            return tensor
        if id(tensor) not in self._known:
            self._known[id(tensor)] = tensor, stand_in(tensor)
        return self._known[id(tensor)][1]


def _elsewhere(tensor: torch.Tensor) -> bool:
    return tensor.device.type != "cpu" and not isinstance(tensor, FakeTensor)
