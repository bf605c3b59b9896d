"""Nested inputs and outputs: tuples, lists, mappings, dataclasses, and objects that hold tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from pondera.model.inputs import Input

_DEEPEST = 32  # levels; what refers to itself ends here


def leaves(tree: Any, *, inputs: bool = False, depth: int = 0) -> Iterator[Any]:
    """All tensors of a nested structure, in order; `Input`s, too, if asked for."""
    if isinstance(tree, torch.Tensor) or (inputs and isinstance(tree, Input)):
        yield tree
    elif depth < _DEEPEST and not isinstance(tree, Input):
        for entry in _entries(tree):
            yield from leaves(entry, inputs=inputs, depth=depth + 1)


def mapped(tree: Any, change: Callable[[Any], Any], depth: int = 0) -> Any:
    """The same structure with every tensor and `Input` changed; the given one stays as it is."""
    if isinstance(tree, (torch.Tensor, Input)):
        return change(tree)
    if depth >= _DEEPEST:
        return tree

    def inner(entry: Any) -> Any:
        return mapped(entry, change, depth + 1)

    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*map(inner, tree))
    if isinstance(tree, (list, tuple)):
        return _rebuilt(tree, [inner(entry) for entry in tree])
    if isinstance(tree, dict):
        made = copy.copy(tree)
        made.update({key: inner(entry) for key, entry in tree.items()})
        return made
    return _object(tree, inner) if _holds(tree) else tree


def _rebuilt(tree: Any, entries: list[Any]) -> Any:
    try:
        return type(tree)(entries)
    except (
        TypeError
    ):  # a sequence of a class with other arguments, such as torch.Size of no integers
        return tuple(entries) if isinstance(tree, tuple) else entries


def _object(tree: Any, inner: Callable[[Any], Any]) -> Any:
    made = copy.copy(tree)
    for name, entry in vars(tree).items():
        object.__setattr__(made, name, inner(entry))
    return made


def _holds(tree: Any) -> bool:
    """Whether an object is a record: neither code nor a module, with attributes of its own."""
    if isinstance(tree, (type, torch.nn.Module, torch.device, torch.dtype, torch.Generator)):
        return False
    return hasattr(tree, "__dict__") and not callable(tree)


def _entries(tree: Any) -> list[Any]:
    if isinstance(tree, Mapping):
        return list(tree.values())
    if isinstance(tree, (list, tuple)):
        return list(tree)
    if hasattr(tree, "to_tuple"):
        return list(tree.to_tuple())
    return list(vars(tree).values()) if _holds(tree) else []
