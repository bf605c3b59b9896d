"""Jobs in parallel processes, one thread each, that end with this one whatever ends it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection
from types import TracebackType
from typing import Any, Final

from pondera.core.errors import DomainError
from pondera.study.work import Job, Outcome, Work, work_out

_THREADS: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_work: Work | None = None  # of this worker process


class Workers:
    """Worker processes, started when first needed and stopped on leaving the block.

    Args:
        work: what the jobs share; sent to each process once.
        count: processes at most, ≥ 1.
    """

    def __init__(self, work: Work, count: int) -> None:
        self._work = work
        self._count = count
        self._pool: ProcessPoolExecutor | None = None
        self._others = set[Any]()

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._pool is None:
            return
        if kind is not None:  # the rest is not wanted any more
            for process in {*multiprocessing.active_children()} - self._others:
                process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def outcomes(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
        """Each job with its outcome, in the order of completion.

        Raises:
            DomainError: a job failed, or a process died.
        """
        try:
            futures = self._submitted(jobs)
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise DomainError(
                "study: a worker process died, most often for lack of memory. Pass --workers 1, or a smaller "
                "--batch-size; in a script of your own call study() under if __name__ == '__main__'."
            ) from None

    def _submitted(self, jobs: Sequence[Job]) -> dict[Future[Outcome], Job]:
        if self._pool is None:
            self._others = {*multiprocessing.active_children()}
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._count, context, _begin, (self._work,))
        with _one_thread_each(), _undisturbed():
            return {self._pool.submit(_do, job): job for job in jobs}


def _begin(work: Work) -> None:
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    sys.stdout = sys.stderr  # what a model prints is no result
    _work = work


def _end_with(sentinel: int) -> None:
    """A parent that is killed says no farewell: its end is watched for."""
    connection.wait([sentinel])
    os._exit(1)


def _do(job: Job) -> Outcome:
    if _work is None:
        raise AssertionError("the worker has not begun")
    return work_out(_work, job)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits until the processes are started; they inherit that they do not hear it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started inside compute on one thread; this one stays as it is."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, setting in before.items():
            if setting is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = setting
