"""Which module runs at present."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules import module as hooks


@contextmanager
def module_paths(model: nn.Module) -> Iterator[Callable[[], str]]:
    """A function that tells the path of the module that runs; by hooks that are taken off behind."""
    names = {id(module): path for path, module in model.named_modules(remove_duplicate=True)}
    running = list[str]()

    def enter(module: nn.Module, _: Any) -> None:
        running.append(names.get(id(module), running[-1] if running else ""))

    def leave(module: nn.Module, _: Any, output: Any) -> None:
        if running:
            running.pop()

    handles = [
        hooks.register_module_forward_pre_hook(enter),
        hooks.register_module_forward_hook(leave, always_call=True),
    ]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Using `torch.compile.* global hooks")
            yield lambda: running[-1] if running else ""
    finally:
        for handle in handles:
            handle.remove()
