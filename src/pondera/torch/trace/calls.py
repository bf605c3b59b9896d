"""A recorded call as a function of float64 arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch


class _Slot:
    """The place of a tensor in a recorded call.

    Args:
        truth: whether it held truth values.
    """

    def __init__(self, *, truth: bool) -> None:
        self.truth = truth


_SLOT, _CONDITION = _Slot(truth=False), _Slot(truth=True)


def with_defaults(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """All arguments in the order of the schema, keywords and defaults filled in."""
    found = list(args)
    for entry in func._schema.arguments[len(args) :]:
        found.append(kwargs.get(entry.name, entry.default_value))
    return tuple(found)


class Call:
    """A pointwise operation, its tensors left open.

    Args:
        func: the dispatcher's operation.
        args: its arguments in the order of the schema.
    """

    def __init__(self, func: Any, args: tuple[Any, ...]) -> None:
        schema = func._schema.arguments
        split = sum(1 for entry in schema if not entry.kwarg_only)
        self._func = func
        self._args = [_emptied(entry) for entry in args[:split]]
        rest = schema[split : len(args)]
        self._kwargs = {
            e.name: _emptied(v)
            for e, v in zip(rest, args[split:], strict=True)
            if v is not None and e.name not in ("dtype", "device", "layout", "pin_memory")
        }

    def __call__(self, *arrays: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The result for these inputs, in the order in which the call had them."""
        left = [torch.from_numpy(np.array(a, dtype=np.float64)) for a in arrays]
        with torch.no_grad():
            args = [_filled(entry, left) for entry in self._args]
            kwargs = {key: _filled(entry, left) for key, entry in self._kwargs.items()}
            result = self._func(*args, **kwargs)
        return (result[0] if isinstance(result, tuple) else result).double().numpy()


def _emptied(entry: Any) -> Any:
    if isinstance(entry, torch.Tensor):
        return _CONDITION if entry.dtype == torch.bool else _SLOT
    if isinstance(entry, (list, tuple)):
        return [_emptied(part) for part in entry]
    return entry


def _filled(entry: Any, left: list[torch.Tensor]) -> Any:
    if isinstance(entry, _Slot):
        given = left.pop(0)
        return given != 0 if entry.truth else given
    return [_filled(part, left) for part in entry] if isinstance(entry, list) else entry
