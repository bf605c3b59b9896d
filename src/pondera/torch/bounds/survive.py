"""What keeps a regularised optimizer regularised: through copies, pickles and checkpoints."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any, Final

import torch

from pondera.torch.bounds import low
from pondera.torch.bounds.engine import Engine
from pondera.torch.bounds.entries import KEY, STEPS
from pondera.torch.bounds.team import lend_threads

_ENGINE: Final = "_pondera_engine"


def engine_of(optimizer: torch.optim.Optimizer) -> Engine:
    """The engine of an optimizer, hooked up if it was not; copies of the optimizer will have their own."""
    if not isinstance(optimizer, _Surviving):
        optimizer.__class__ = _surviving(type(optimizer))
    if getattr(optimizer, _ENGINE, None) is None:
        engine = Engine()
        lend_threads()
        setattr(optimizer, _ENGINE, engine)
        optimizer.register_step_pre_hook(engine.before)
        behind = optimizer.register_step_post_hook(engine.after)
        # Hooks that are there already are to see weights and gradients as they are left.
        optimizer._optimizer_step_post_hooks.move_to_end(behind.id, last=False)
        optimizer.register_state_dict_post_hook(_packed)
        optimizer.register_load_state_dict_pre_hook(_remember)
        optimizer.register_load_state_dict_post_hook(_compare)
    return getattr(optimizer, _ENGINE)


class _Surviving:
    """Mixed into an optimizer's class: a copy of it hooks itself up again (PyTorch drops hooks)."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[misc]
        if "_optimizer_step_pre_hooks" in self.__dict__:  # else it is not set up yet
            engine_of(self)  # type: ignore[arg-type]

    def __reduce_ex__(self, protocol: Any) -> Any:
        base = next(b for b in type(self).__mro__ if not issubclass(b, _Surviving))
        return _copied, (base,), self.__getstate__()


def _copied(base: type[torch.optim.Optimizer]) -> Any:
    surviving = _surviving(base)
    return surviving.__new__(surviving)


@cache
def _surviving(base: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    """A subclass that goes by its parent's name: schedulers and wrappers ask for it."""
    names = {
        "__module__": base.__module__,
        "__qualname__": base.__qualname__,
        "__doc__": base.__doc__,
    }
    return type(base.__name__, (_Surviving, base), names)


def _packed(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    low.packed(optimizer, saved, engine_of(optimizer).book(optimizer).entries)


def _remember(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    engine_of(optimizer).held = [
        {key: group[key] for key in (KEY, STEPS) if key in group}
        for group in optimizer.param_groups
    ]


def _compare(optimizer: torch.optim.Optimizer) -> None:
    """As with learning rates the checkpoint's bounds win; one without any leaves those attached."""
    engine = engine_of(optimizer)
    without = [group for group in optimizer.param_groups if KEY not in group]
    for group, held in zip(optimizer.param_groups, engine.held, strict=False):
        if group in without:
            group.update(held)
        elif held.get(KEY) is not None and _differ(held[KEY], group[KEY]):
            warnings.warn(
                "load_state_dict: the checkpoint holds other bounds than those attached, and they now act, as "
                "its learning rates do. Call Handle.replace for the new ones.",
                UserWarning,
                stacklevel=4,
            )
    engine.held = []
    engine.forget()


def _differ(ours: list[Any], theirs: list[Any]) -> bool:
    def said(plain: Any) -> Any:
        return plain and repr([plain["bound"], plain["schedule"]])

    return any(
        plain and said(plain) != said(other) for plain, other in zip(ours, theirs, strict=False)
    )
