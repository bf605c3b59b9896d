"""One persistent pool of threads for all fills and steps.

The compiled functions leave Python's lock while they run, so ordinary threads are enough: no OpenMP, and
nobody else's thread settings are read or changed. A forked child makes its own pool; the inherited
one has no threads.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from pondera.core.errors import DomainError

Item = TypeVar("Item")

SMALLEST: Final = 2**16  # elements per chunk: below, waking a thread costs more than it saves
# Per thread. A thread that starts late is waited for the less; and PyTorch's threads (libgomp) keep a
# processor busy for some 7 ms after each of its operations, so that ours beside it is slow.
_CHUNKS: Final = 32


class _State:
    """The pool of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted: int | None = None  # by `use_threads`
        self.executor: ThreadPoolExecutor | None = None

    def forget(self) -> None:
        """In a forked child: other threads, and whoever held the lock, are gone."""
        self.lock = threading.Lock()
        self.executor = None


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_state.forget)


def threads() -> int:
    """How many threads a large fill uses: the processors that this process may run on."""
    if _state.wanted is not None:
        return _state.wanted
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_threads(count: int | None) -> None:
    """Use this many threads from now on.

    Args:
        count: 1 or more, the calling thread included; None for as many as there are processors.

    Raises:
        DomainError: count is no such integer.
    """
    whole = count is None or hasattr(count, "__index__")
    if not whole or (count is not None and count < 1):
        raise DomainError(
            f"use_threads: needs an integer of at least 1, or None; got count={count!r}. "
            "Use 1 to stay in the calling thread."
        )
    with _state.lock:
        _state.wanted = count
        old, _state.executor = _state.executor, None
    if old is not None:
        old.shutdown(wait=False)


def chunk_size(count: int) -> int:
    """Elements per chunk when `count` are to be made: a few chunks per thread, none small."""
    return max(SMALLEST, -(-count // (_CHUNKS * threads())))


def each(work: Callable[[Item], None], items: Iterable[Item]) -> None:
    """Call `work` on every item, in any order, on all threads; the caller's is one of them.

    Args:
        work: must be free to run at the same time on different items.
        items: what to work on.

    Raises:
        Whatever `work` raises; items that nobody had begun are then left.
    """
    left = deque(items)  # popleft is atomic

    def drain() -> None:
        while left:
            try:
                item = left.popleft()
            except IndexError:  # another thread took the last one
                return
            work(item)

    others = [future for _ in range(min(threads(), len(left)) - 1) if (future := _submit(drain))]
    try:
        drain()
    finally:
        left.clear()
        for future in others:  # their chunks lie in the caller's memory: wait for all
            if not future.cancel():
                future.result()


def _submit(work: Callable[[], None]) -> Future[None] | None:
    """The work on another thread; None while the interpreter shuts down."""
    try:
        with _state.lock:
            if _state.executor is None:
                _state.executor = ThreadPoolExecutor(
                    max_workers=max(1, threads() - 1),
                    thread_name_prefix="pondera",
                )
            return _state.executor.submit(work)
    except RuntimeError:
        return None
