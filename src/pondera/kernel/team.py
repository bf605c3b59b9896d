"""Threads that a framework keeps, lent to the optimizer steps.

PyTorch's threads (libgomp) go on looking for work for some milliseconds after each operation. Threads of ours
would get what those leave of the processors, in training just behind the backward pass; as a part of their team
a step costs what PyTorch's own does. Nothing is linked: whoever has such a team hands over its entry point.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from pondera.kernel import library, pool

_POINTER: Final = ctypes.c_void_p
_TYPES: Final = (_POINTER, ctypes.c_uint, _POINTER, _POINTER, ctypes.c_uint64, _POINTER)


class Team(NamedTuple):
    """A team of threads.

    Args:
        parallel: address of its `GOMP_parallel`.
        threads: how many it may use at present.
    """

    parallel: int
    threads: Callable[[], int]


class _State:
    """The team of this process."""

    def __init__(self) -> None:
        self.team: Team | None = None

    def forget(self) -> None:
        """In a forked child the team's threads are gone, and it would wait for them."""
        self.team = None


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_state.forget)


def lend(team: Team | None) -> None:
    """Let steps use a team from now on; None takes it back."""
    _state.team = team


def size() -> int:
    """Threads of the team that a step may use; 0 without one."""
    team = _state.team
    return 0 if team is None else max(1, min(team.threads(), pool.threads()))


def step(function: Any, address: int, count: int, rule: Any) -> bool:
    """Call a step of the compiled library on every piece, on the team's threads.

    Args:
        function: of the library: (pieces, count, rule) → 0 if there was no memory.
        address: of the first piece.
        count: of pieces.
        rule: what the step is told, by reference.

    Returns:
        Whether there was memory everywhere.
    """
    team, whole = _state.team, library.running().library
    if team is None or whole is None:
        raise AssertionError("asked for by who knows the size of the team")
    together = whole.pondera_together
    together.argtypes = _TYPES
    return bool(
        together(team.parallel, size(), ctypes.cast(function, _POINTER), address, count, rule)
    )
