"""What a pass may leave behind, taken back: attributes, lists and dicts of modules, messages."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def attributes_kept(model: nn.Module) -> Iterator[None]:
    """Attributes of all modules as before behind, and what the lists, dicts and sets among them hold."""
    before = [(module, _noted(module.__dict__)) for module in model.modules()]
    try:
        yield
    finally:
        for module, noted in before:
            _restore(module.__dict__, noted)


@contextmanager
def quiet() -> Iterator[None]:
    """PyTorch does not print the errors of passes that are tried."""
    speaker = logging.getLogger("torch._subclasses.fake_tensor")
    before = speaker.disabled
    speaker.disabled = True
    try:
        yield
    finally:
        speaker.disabled = before


def _noted(attributes: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Name → (what it is, what it holds)."""
    return {name: (held, _content(held)) for name, held in attributes.items()}


def _content(held: Any) -> Any:
    if isinstance(held, (dict, list, set)):
        return dict(held) if isinstance(held, dict) else list(held)
    return None


def _restore(attributes: dict[str, Any], noted: dict[str, tuple[Any, Any]]) -> None:
    for name in [name for name in attributes if name not in noted]:
        del attributes[name]
    for name, (held, content) in noted.items():
        if attributes.get(name) is not held:
            attributes[name] = held
        if content is not None and not _same(held, content):
            held.clear()
            held.extend(content) if isinstance(held, list) else held.update(content)


def _same(held: Any, content: Any) -> bool:
    now = _content(held)
    if len(now) != len(content):
        return False
    if isinstance(now, dict):
        return all(k in content and content[k] is entry for k, entry in now.items())
    return all(one is other for one, other in zip(now, content, strict=True))
